//! Removing entry bodies from a store, and what is left of them in its files.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection, SqliteConnection};

use super::{Location, LogId, postgres, signed, sqlite};
use crate::error::AuditError;

/// Bodies removed in one transaction: appending waits for it in an SQLite file.
const CHUNK: usize = 2048;
/// Longest wait for others to let the write-ahead log be emptied.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that removes entry bodies, beside the one that appends.
pub(crate) enum Remover {
    Sqlite(SqliteConnection),
    Postgres(PgConnection, LogId),
}

impl Remover {
    pub(crate) async fn open(location: &Location, log: LogId) -> Result<Self, AuditError> {
        match location {
            Location::File(path) => Ok(Self::Sqlite(sqlite::remover(path).await?)),
            Location::Postgres(options) => Ok(Self::Postgres(postgres::remover(options).await?, log)),
        }
    }

    pub(crate) async fn remove(&mut self, indices: &[u64]) -> Result<(), AuditError> {
        for indices in indices.chunks(CHUNK) {
            match self {
                Self::Sqlite(connection) => {
                    let delete = "DELETE FROM entries WHERE log_index IN (SELECT value FROM json_each(?))";
                    sqlx::query(delete).bind(sqlite::json_array(indices)).execute(connection).await?;
                }
                Self::Postgres(connection, log) => {
                    let delete = "DELETE FROM entries WHERE log_id = $1 AND log_index = ANY($2)";
                    sqlx::query(delete).bind(*log).bind(signed(indices)).execute(connection).await?;
                }
            }
        }
        Ok(())
    }

    /// Gives the space back. What was removed is overwritten in an SQLite file (`secure_delete`) and its write-ahead log is
    /// emptied; PostgreSQL uses the space again, once the owner of the table has vacuumed it: it lets nobody else.
    pub(crate) async fn finish(self) -> Result<(), AuditError> {
        match self {
            Self::Sqlite(mut connection) => {
                empty_write_ahead_log(&mut connection).await?;
                Ok(connection.close().await?)
            }
            Self::Postgres(mut connection, _) => {
                let owned = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'entries'::regclass";
                if sqlx::query_scalar(owned).fetch_one(&mut connection).await? {
                    sqlx::query("VACUUM entries").execute(&mut connection).await?;
                } else {
                    tracing::warn!(
                        "removed entries stay in the database's files until its owner runs VACUUM lienthong_audit.entries"
                    );
                }
                Ok(connection.close().await?)
            }
        }
    }
}

/// While another connection is at the same it is refused at once, so it is tried again for as long as a lock is waited for.
async fn empty_write_ahead_log(connection: &mut SqliteConnection) -> Result<(), AuditError> {
    let started = Instant::now();
    loop {
        let truncate = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)");
        let (busy, _, _): (i64, i64, i64) = truncate.fetch_one(&mut *connection).await?;
        if busy == 0 {
            return Ok(());
        }
        if started.elapsed() > LOCK_TIMEOUT {
            return Err(AuditError::Timeout);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
