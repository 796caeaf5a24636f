//! Databases for tests: SQLite files always, PostgreSQL and MariaDB where `LIENTHONG_TEST_POSTGRES` and
//! `LIENTHONG_TEST_MYSQL` name a server. Each database is new and is dropped at the end.

#![allow(dead_code)]

use std::{
    env,
    sync::atomic::{AtomicU32, Ordering},
};

use adapter_sdk::Engine;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection, SqliteConnection};

pub(crate) struct TestDatabase {
    pub(crate) engine: Engine,
    pub(crate) url: String,
    server: Option<(String, String)>,
    _directory: Option<tempfile::TempDir>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A new database on every engine there is.
pub(crate) async fn databases() -> Vec<TestDatabase> {
    let mut databases = vec![TestDatabase::sqlite()];
    for (engine, variable) in [(Engine::Postgres, "LIENTHONG_TEST_POSTGRES"), (Engine::MySql, "LIENTHONG_TEST_MYSQL")] {
        match env::var(variable) {
            Ok(server) => databases.push(TestDatabase::on_server(engine, &server).await),
            Err(_) => eprintln!("{variable} is not set: {engine} is left out"),
        }
    }
    databases
}

impl TestDatabase {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("register.db").display());
        Self { engine: Engine::Sqlite, url, server: None, _directory: Some(directory) }
    }

    async fn on_server(engine: Engine, server: &str) -> Self {
        let name = format!("sdk_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        // The path of the server's address names a database to connect to first, or nothing.
        let (base, _) = server.rsplit_once('/').filter(|(base, _)| base.contains("//")).unwrap_or((server, ""));
        let base = if base.ends_with('/') { server } else { base };
        let url = format!("{}/{name}", base.trim_end_matches('/'));
        let create = match engine {
            Engine::MySql => format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
            _ => format!("CREATE DATABASE {name}"),
        };
        run(engine, server, &create).await;
        Self { engine, url, server: Some((server.to_owned(), name)), _directory: None }
    }

    /// Runs statements written in PostgreSQL's dialect.
    pub(crate) async fn run(&self, sql: &str) {
        run(self.engine, &self.url, &translated(sql, self.engine)).await;
    }

    /// Runs statements as they are.
    pub(crate) async fn run_as_is(&self, sql: &str) {
        run(self.engine, &self.url, sql).await;
    }

    pub(crate) async fn remove(self) {
        if let Some((server, name)) = &self.server {
            let force = if self.engine == Engine::Postgres { " WITH (FORCE)" } else { "" };
            run(self.engine, server, &format!("DROP DATABASE {name}{force}")).await;
        }
    }
}

async fn run(engine: Engine, url: &str, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    match engine {
        Engine::Postgres => {
            let mut connection = PgConnection::connect(url).await.unwrap();
            connection.execute(sqlx::raw_sql(sql)).await.unwrap();
            connection.close().await.unwrap();
        }
        Engine::MySql => {
            let mut connection = MySqlConnection::connect(url).await.unwrap();
            // Zero dates as old registers hold them; double quotes around names.
            connection.execute("SET SESSION sql_mode = 'ANSI_QUOTES'").await.unwrap();
            connection.execute(sqlx::raw_sql(sql)).await.unwrap();
            connection.close().await.unwrap();
        }
        Engine::Sqlite => {
            let mut connection = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
            connection.execute(sqlx::raw_sql(sql)).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}

/// From PostgreSQL's dialect; bytes are written `X'…'` for all.
fn translated(sql: &str, engine: Engine) -> String {
    let words: &[(&str, &str)] = match engine {
        Engine::Postgres => return postgres_bytes(sql),
        Engine::MySql => &[(" BYTEA", " VARBINARY(1000)"), (" TIMESTAMP", " DATETIME(6)")],
        Engine::Sqlite => &[
            (" BYTEA", " BLOB"),
            (" DECIMAL(21,3)", " TEXT"),
            (" DECIMAL(6,3)", " DECIMAL"),
            (" DECIMAL(5,2)", " TEXT"),
        ],
    };
    words.iter().fold(sql.to_owned(), |sql, (from, to)| sql.replace(from, to))
}

/// `X'4e'` to `'\x4e'`.
fn postgres_bytes(sql: &str) -> String {
    sql.replace("X'", "'\\x")
}
