//! Moving what SQLite's write-ahead log holds into the file, beside whoever writes.
//!
//! SQLite itself has the connection that writes do it, once the write-ahead log has a thousand pages: those who wait for that
//! commit wait for as many writes as all commits since have made.

use std::path::{Path, PathBuf};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::sqlite;

/// Bytes written after which what is there is moved.
const STEP: usize = 2 << 20;
/// Bytes of the pages that a commit writes beside those its entries fill: ends of tables, and what leads there.
const BESIDE: usize = 5 * 4096;

/// Moves pages whenever enough was written, over a connection of its own.
#[derive(Debug)]
pub(crate) struct Backfill {
    /// Bytes written since, about.
    bytes: usize,
    due: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl Backfill {
    /// For the file at a path, once there is one.
    pub(crate) fn of(path: &Path) -> Self {
        let (due, asked) = mpsc::channel(1);
        Self { bytes: 0, due, task: tokio::spawn(follow(path.to_owned(), asked)) }
    }

    /// A commit of so many bytes of entries is durable.
    pub(crate) fn written(&mut self, bytes: usize) {
        self.bytes += bytes + BESIDE;
        if self.bytes >= STEP {
            self.bytes = 0;
            // Where it is asked for already, that moves these, too.
            let _ = self.due.try_send(());
        }
    }

    /// Closes its connection.
    pub(crate) async fn end(self) {
        drop(self.due);
        if let Err(error) = self.task.await {
            tracing::error!(error = %error, "moving the audit log's write-ahead log failed");
        }
    }
}

async fn follow(path: PathBuf, mut asked: mpsc::Receiver<()>) {
    let mut connection = None;
    while asked.recv().await.is_some() {
        if let Err(error) = step(&path, &mut connection).await {
            // Nothing is lost: it stays in the write-ahead log, and is moved the next time.
            tracing::warn!(error = %error, "audit log's write-ahead log not moved into the file");
            connection = None;
        }
    }
    if let Some(connection) = connection
        && let Err(error) = connection.close().await
    {
        tracing::warn!(error = %error, "audit log's connection did not close cleanly");
    }
}

async fn step(path: &Path, connection: &mut Option<SqliteConnection>) -> Result<(), sqlx::Error> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(SqliteConnection::connect_with(&sqlite::connect_options(path)).await?),
    };
    // Waits for nobody and lets nobody wait; what it cannot have now it moves the next time.
    sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn pages_move_into_the_file_while_it_is_written_and_what_is_open_stays_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.db");
        let options = sqlite::connect_options(&path).create_if_missing(true).pragma("wal_autocheckpoint", "0");
        let mut writer = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql("CREATE TABLE rows (value BLOB)").execute(&mut writer).await.unwrap();
        let mut backfill = Backfill::of(&path);
        let length = || std::fs::metadata(&path).unwrap().len();
        for round in 1..=3 {
            let insert = "INSERT INTO rows VALUES (zeroblob(1000000))";
            sqlx::raw_sql(insert).execute(&mut writer).await.unwrap();
            assert!(length() < round * 1_000_000);
            // Nothing is due before that.
            backfill.written(STEP - 2 * BESIDE - backfill.bytes);
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(length() < round * 1_000_000);
            backfill.written(BESIDE);
            let begun = Instant::now();
            while length() < round * 1_000_000 {
                assert!(begun.elapsed() < Duration::from_secs(10), "nothing was moved");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        backfill.end().await;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM rows").fetch_one(&mut writer).await.unwrap();
        assert_eq!(count, 3);
    }
}
