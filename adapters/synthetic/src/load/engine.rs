//! One connection of any of the three engines, and the little in which they differ here.

use std::str::FromStr;

use sqlx::{
    AssertSqlSafe, Connection as _, Executor, MySqlConnection, PgConnection, SqliteConnection, raw_sql,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::schema::Dialect;

pub(crate) enum Connection {
    Postgres(PgConnection),
    MySql(MySqlConnection),
    Sqlite(SqliteConnection),
}

impl Connection {
    pub(crate) async fn open(url: &str, dialect: Dialect) -> Result<Self, sqlx::Error> {
        Ok(match dialect {
            Dialect::Postgres => Self::Postgres(PgConnection::connect(url).await?),
            Dialect::MySql => {
                let mut connection = MySqlConnection::connect(url).await?;
                connection
                    .execute("SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES'")
                    .await?;
                Self::MySql(connection)
            }
            Dialect::Sqlite => {
                // A database that is being written for the first time need not survive a crash.
                let options = SqliteConnectOptions::from_str(url)?
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Memory)
                    .synchronous(SqliteSynchronous::Off);
                Self::Sqlite(SqliteConnection::connect_with(&options).await?)
            }
        })
    }

    /// Runs one statement. All statements are made of schema files and escaped values.
    pub(crate) async fn run(&mut self, statement: String) -> Result<(), sqlx::Error> {
        let statement = raw_sql(AssertSqlSafe(statement));
        match self {
            Self::Postgres(connection) => statement.execute(connection).await.map(drop),
            Self::MySql(connection) => statement.execute(connection).await.map(drop),
            Self::Sqlite(connection) => statement.execute(connection).await.map(drop),
        }
    }

    pub(crate) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        match self {
            // Its tables commit as they are created, and one transaction of millions of rows would fill its undo log.
            Self::MySql(_) => Ok(()),
            _ => self.run("BEGIN".to_owned()).await,
        }
    }

    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        if !matches!(self, Self::MySql(_)) {
            self.run("COMMIT".to_owned()).await?;
        }
        match self {
            Self::Postgres(connection) => connection.close().await,
            Self::MySql(connection) => connection.close().await,
            Self::Sqlite(connection) => connection.close().await,
        }
    }

    /// Writes the rows of a chunk.
    pub(crate) async fn rows(&mut self, head: String, rows: String) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(connection) => {
                let mut copy = connection.copy_in_raw(&head).await?;
                copy.send(rows.into_bytes()).await?;
                copy.finish().await.map(drop)
            }
            _ => self.run(head + &rows).await,
        }
    }
}
