//! Blocks of the index of the logs in a PostgreSQL database: tables in the same database.
//!
//! Each replica indexes its own log as it writes it. A search first brings every log's index up to its newest checkpoint,
//! so that the entries of a replica that has stopped are found too. A block is the same whoever writes it: the first does.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};

use super::{BUCKETS, Stored, VERSION};
use crate::store::{LogId, postgres, signed};

/// Made together with the tables of the logs.
pub(crate) const SCHEMA: &str = "
CREATE TABLE index_state (log_id integer PRIMARY KEY REFERENCES logs, version bigint NOT NULL, block_size bigint NOT NULL);
CREATE TABLE index_blocks (
    block bigint NOT NULL, earliest bigint NOT NULL, latest bigint NOT NULL, log_id integer NOT NULL, spans bytea NOT NULL,
    PRIMARY KEY (log_id, block)
);
CREATE TABLE index_buckets (
    bucket bigint NOT NULL, log_id integer NOT NULL, terms bytea NOT NULL, PRIMARY KEY (log_id, bucket)
);
";
const CONNECTION_COUNT: u32 = 3;
/// Longest wait for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Tables {
    pool: PgPool,
    block_size: i64,
}

impl Tables {
    pub(super) fn open(options: &PgConnectOptions, block_size: u64) -> Self {
        // What a crash takes from the index is read from the log again.
        let options = postgres::connect_options(options, "off").options(postgres::BY_KEY);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTION_COUNT)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(options);
        Self { pool, block_size: block_size as i64 }
    }

    /// Blocks of a log there are, from the first on. An index of another version is emptied.
    pub(super) async fn block_count(&self, log: LogId) -> Result<u64, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let select = "SELECT version, block_size FROM index_state WHERE log_id = $1";
        let state: Option<(i64, i64)> = sqlx::query_as(select).bind(log).fetch_optional(&mut *connection).await?;
        if state != Some((VERSION, self.block_size)) {
            self.begin(&mut connection, log).await?;
        }
        let select = "SELECT count(*) FROM index_blocks WHERE log_id = $1";
        let count: i64 = sqlx::query_scalar(select).bind(log).fetch_one(&mut *connection).await?;
        Ok(count as u64)
    }

    pub(super) async fn write(&self, log: LogId, block: &Stored, replace: bool) -> Result<(), sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        if replace {
            sqlx::query("DELETE FROM index_blocks WHERE log_id = $1 AND block = $2")
                .bind(log)
                .bind(block.number as i64)
                .execute(&mut *transaction)
                .await?;
            sqlx::query("DELETE FROM index_buckets WHERE log_id = $1 AND bucket >= $2 AND bucket < $3")
                .bind(log)
                .bind((block.number * BUCKETS) as i64)
                .bind(((block.number + 1) * BUCKETS) as i64)
                .execute(&mut *transaction)
                .await?;
        }
        let (earliest, latest) = block.spans.bounds();
        let begun = sqlx::query(
            "INSERT INTO index_blocks (block, earliest, latest, log_id, spans) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
        )
        .bind(block.number as i64)
        .bind(earliest)
        .bind(latest)
        .bind(log)
        .bind(block.spans.to_bytes())
        .execute(&mut *transaction)
        .await?;
        if begun.rows_affected() == 0 {
            return Ok(());
        }
        let (buckets, terms): (Vec<i64>, Vec<&[u8]>) =
            block.buckets.iter().map(|(bucket, terms)| (*bucket as i64, terms.as_slice())).unzip();
        sqlx::query(
            "INSERT INTO index_buckets (bucket, log_id, terms)
             SELECT bucket, $2, terms FROM unnest($1::int8[], $3::bytea[]) AS added (bucket, terms)",
        )
        .bind(buckets)
        .bind(log)
        .bind(terms)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    /// First and last block with a time in the range, and the spans of each.
    pub(super) async fn ends(
        &self,
        log: LogId,
        earliest: i64,
        latest: i64,
    ) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
        let mut ends = Vec::new();
        for select in [
            "SELECT block, spans FROM index_blocks WHERE log_id = $1 AND latest >= $2 AND earliest <= $3
             ORDER BY block LIMIT 1",
            "SELECT block, spans FROM index_blocks WHERE log_id = $1 AND latest >= $2 AND earliest <= $3
             ORDER BY block DESC LIMIT 1",
        ] {
            let query = sqlx::query_as(select).bind(log).bind(earliest).bind(latest);
            ends.extend(query.fetch_optional(&self.pool).await?);
        }
        Ok(ends)
    }

    pub(super) async fn buckets(&self, log: LogId, ids: &[u64]) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
        let select = "SELECT bucket, terms FROM index_buckets WHERE log_id = $1 AND bucket = ANY($2)";
        sqlx::query_as(select).bind(log).bind(signed(ids)).fetch_all(&self.pool).await
    }

    pub(super) async fn clear(&self, log: LogId) -> Result<(), sqlx::Error> {
        self.begin(&mut *self.pool.acquire().await?, log).await
    }

    /// Empties the index of a log, or begins it.
    async fn begin(&self, connection: &mut PgConnection, log: LogId) -> Result<(), sqlx::Error> {
        let mut transaction = connection.begin().await?;
        for delete in ["DELETE FROM index_buckets WHERE log_id = $1", "DELETE FROM index_blocks WHERE log_id = $1"] {
            sqlx::query(delete).bind(log).execute(&mut *transaction).await?;
        }
        let insert = "INSERT INTO index_state (log_id, version, block_size) VALUES ($1, $2, $3)
                      ON CONFLICT (log_id) DO UPDATE SET version = excluded.version, block_size = excluded.block_size";
        sqlx::query(insert).bind(log).bind(VERSION).bind(self.block_size).execute(&mut *transaction).await?;
        transaction.commit().await
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
