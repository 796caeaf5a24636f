//! The index of the logs in a PostgreSQL database: tables in the same database.
//!
//! Each replica indexes its own log as it writes it. A search first brings every log's index up to its newest checkpoint,
//! so that the entries of a replica that has stopped are found too; whoever indexes a log holds the row of its state.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection, Postgres, QueryBuilder};
use tokio::sync::watch;

use super::{Additions, CATCH_UP, CHUNK, RETRY, VERSION, one_of};
use crate::error::AuditError;
use crate::note::Checkpoint;
use crate::search::{Terms, TimeRange};
use crate::store::{LogId, Readers, postgres};

/// Made together with the tables of the logs.
pub(crate) const SCHEMA: &str = "
CREATE TABLE index_state (log_id integer PRIMARY KEY REFERENCES logs, version bigint NOT NULL, tree_size bigint NOT NULL);
CREATE TABLE postings (
    term bigint NOT NULL, log_index bigint NOT NULL, log_id integer NOT NULL, PRIMARY KEY (term, log_id, log_index)
);
CREATE TABLE blocks (
    block bigint NOT NULL, earliest bigint NOT NULL, latest bigint NOT NULL, log_id integer NOT NULL,
    PRIMARY KEY (log_id, block)
);
";
const CONNECTION_COUNT: u32 = 3;
/// Longest wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The index as searches see it.
#[derive(Debug)]
pub(crate) struct Index {
    pool: PgPool,
    log: Readers,
}

/// The task that keeps the index up with this replica's log.
pub(crate) struct Indexer {
    pool: PgPool,
    log: Readers,
    newest: watch::Receiver<Arc<Checkpoint>>,
}

impl Index {
    pub(super) fn open(
        options: &PgConnectOptions,
        log: Readers,
        newest: watch::Receiver<Arc<Checkpoint>>,
    ) -> (Self, Indexer) {
        // What a crash takes from the index is read from the log again. Every question to it goes down one of its primary
        // keys; without statistics the planner would at times read a table whole.
        let plans = ["enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin"];
        let options = postgres::connect_options(options, "off").options(plans.map(|plan| (plan, "off")));
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTION_COUNT)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        (Self { pool: pool.clone(), log: log.clone() }, Indexer { pool, log, newest })
    }

    /// Brings the index of a log up to a size.
    pub(super) async fn wait_for(&self, log: LogId, tree_size: u64) -> Result<(), AuditError> {
        let mut connection = self.pool.acquire().await?;
        let mut indexed = indexed(&mut connection, log).await?;
        let log = self.log.of(log);
        let reached = tokio::time::timeout(CATCH_UP, async {
            while indexed < tree_size {
                indexed = read_chunk(&mut connection, &log, tree_size).await?;
            }
            Ok(())
        });
        reached.await.unwrap_or(Err(AuditError::IndexBehind { indexed, tree_size }))
    }

    /// First and last block with a time in the range.
    pub(super) async fn blocks(
        &self,
        log: LogId,
        times: &TimeRange,
    ) -> Result<(Option<i64>, Option<i64>), sqlx::Error> {
        let select = "SELECT min(block), max(block) FROM blocks WHERE log_id = $1 AND latest >= $2 AND earliest <= $3";
        let query = sqlx::query_as(select).bind(log).bind(times.earliest_micros()).bind(times.latest_micros());
        query.fetch_one(&self.pool).await
    }

    pub(super) async fn candidates(
        &self,
        log: LogId,
        terms: &Terms,
        range: Range<u64>,
        count_max: usize,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let mut query = QueryBuilder::<Postgres>::new("SELECT p.log_index FROM postings p WHERE p.term");
        one_of(&mut query, &terms.first);
        query.push(" AND p.log_id = ").push_bind(log);
        query.push(" AND p.log_index >= ").push_bind(range.start as i64);
        query.push(" AND p.log_index < ").push_bind(range.end as i64);
        for term in &terms.others {
            query.push(" AND (SELECT true FROM postings o WHERE o.log_id = p.log_id AND o.log_index = p.log_index");
            query.push(" AND o.term = ").push_bind(term.0).push(")");
        }
        query.push(" ORDER BY p.log_index DESC LIMIT ").push_bind(count_max as i64);
        query.build_query_scalar().fetch_all(&self.pool).await
    }

    pub(super) async fn rebuild(
        &self,
        log: LogId,
        tree_size: u64,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(), AuditError> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        hold(&mut transaction, log).await?;
        clear(&mut transaction, log).await?;
        transaction.commit().await?;
        let (log, mut indexed) = (self.log.of(log), 0);
        while indexed < tree_size {
            indexed = read_chunk(&mut connection, &log, tree_size).await?;
            progress(indexed.min(tree_size), tree_size);
        }
        Ok(())
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Indexer {
    pub(super) async fn run(mut self) {
        let mut closing = false;
        loop {
            let tree_size = self.newest.borrow_and_update().tree_size;
            if let Err(error) = self.read_to(tree_size).await {
                tracing::warn!(error = %error, "search index not written");
                if closing {
                    return;
                }
                tokio::time::sleep(RETRY).await;
                continue;
            }
            if closing {
                return;
            }
            closing = self.newest.changed().await.is_err();
        }
    }

    async fn read_to(&self, tree_size: u64) -> Result<(), AuditError> {
        let mut connection = self.pool.acquire().await?;
        while read_chunk(&mut connection, &self.log, tree_size).await? < tree_size {}
        Ok(())
    }
}

/// Entries of a log that are indexed.
async fn indexed(connection: &mut PgConnection, log: LogId) -> Result<u64, sqlx::Error> {
    let select = "SELECT tree_size FROM index_state WHERE log_id = $1 AND version = $2";
    let size: Option<i64> = sqlx::query_scalar(select).bind(log).bind(VERSION).fetch_optional(connection).await?;
    Ok(size.unwrap_or_default() as u64)
}

/// Indexes the next entries, unless somebody else has meanwhile. Returns how many are indexed now.
async fn read_chunk(connection: &mut PgConnection, log: &Readers, tree_size: u64) -> Result<u64, AuditError> {
    let Readers::Postgres(_, id) = log else { return Ok(tree_size) };
    let mut transaction = connection.begin().await?;
    let start = hold(&mut transaction, *id).await?;
    if start >= tree_size {
        return Ok(start);
    }
    let end = tree_size.min(start + CHUNK);
    let entries = log.acquire().await?.session().entry_bytes(start..end).await?;
    insert(&mut transaction, *id, Additions::of(&entries)).await?;
    sqlx::query("UPDATE index_state SET tree_size = $2 WHERE log_id = $1")
        .bind(id)
        .bind(end as i64)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(end)
}

/// Holds the index of a log until the transaction ends. Returns how many entries are indexed; an index of another version
/// is emptied.
async fn hold(connection: &mut PgConnection, log: LogId) -> Result<u64, sqlx::Error> {
    let select = "SELECT version, tree_size FROM index_state WHERE log_id = $1 FOR UPDATE";
    loop {
        let state: Option<(i64, i64)> = sqlx::query_as(select).bind(log).fetch_optional(&mut *connection).await?;
        match state {
            Some((VERSION, tree_size)) => return Ok(tree_size as u64),
            Some(_) => {
                clear(connection, log).await?;
                return Ok(0);
            }
            None => {
                let insert = "INSERT INTO index_state VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";
                sqlx::query(insert).bind(log).bind(VERSION).execute(&mut *connection).await?;
            }
        }
    }
}

async fn clear(connection: &mut PgConnection, log: LogId) -> Result<(), sqlx::Error> {
    for delete in ["DELETE FROM postings WHERE log_id = $1", "DELETE FROM blocks WHERE log_id = $1"] {
        sqlx::query(delete).bind(log).execute(&mut *connection).await?;
    }
    let update = "UPDATE index_state SET version = $2, tree_size = 0 WHERE log_id = $1";
    sqlx::query(update).bind(log).bind(VERSION).execute(connection).await.map(drop)
}

async fn insert(connection: &mut PgConnection, log: LogId, additions: Additions) -> Result<(), sqlx::Error> {
    let (terms, indices): (Vec<i64>, Vec<i64>) =
        additions.postings.iter().map(|(term, index)| (*term, *index as i64)).unzip();
    sqlx::query(
        "INSERT INTO postings (term, log_index, log_id) SELECT term, log_index, $3
         FROM unnest($1::int8[], $2::int8[]) AS posting (term, log_index) ON CONFLICT DO NOTHING",
    )
    .bind(terms)
    .bind(indices)
    .bind(log)
    .execute(&mut *connection)
    .await?;
    for (block, (earliest, latest)) in additions.blocks {
        sqlx::query(
            "INSERT INTO blocks (block, earliest, latest, log_id) VALUES ($1, $2, $3, $4) ON CONFLICT (log_id, block)
             DO UPDATE SET earliest = least(blocks.earliest, excluded.earliest),
                           latest = greatest(blocks.latest, excluded.latest)",
        )
        .bind(block as i64)
        .bind(earliest)
        .bind(latest)
        .bind(log)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
