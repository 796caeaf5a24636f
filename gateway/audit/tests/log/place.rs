//! A log of a test's own, in a file or in a database, and what only the keeper of a store can do to it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use audit::{AuditLog, Location, Options, SigningKey, VerifierKey};
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::server::Server;

pub const ORIGIN: &str = "gialai.example.vn/lienthong";
/// The tables that hold a log.
const TABLES: [&str; 3] = ["entries", "hashes", "heads"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Sqlite,
    /// On the server named by `LIENTHONG_TEST_POSTGRES`.
    Postgres,
}

impl Store {
    pub fn available(self) -> bool {
        let there = self == Self::Sqlite || server().is_some();
        if !there {
            println!("{self:?} is not tested: no server is named; tests/run starts one");
        }
        there
    }
}

fn server() -> Option<String> {
    std::env::var("LIENTHONG_TEST_POSTGRES").ok()
}

/// A folder that is gone when dropped, unless it is to be kept.
pub struct Folder {
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Folder {
    pub fn temporary() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { path: directory.path().to_owned(), temporary: Some(directory) }
    }

    pub fn kept(path: &Path) -> Self {
        std::fs::create_dir_all(path).unwrap();
        Self { path: path.to_owned(), temporary: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }
}

/// A place for a log, and its key; gone when dropped, unless its folder is kept.
pub struct Place {
    pub directory: Folder,
    pub store: Store,
    server: Option<String>,
    key: String,
    database: String,
    saved: AtomicU32,
}

impl Place {
    pub async fn empty(store: Store) -> Self {
        Self::with_key(store, server(), new_key()).await
    }

    /// A place on a server of one's own.
    pub async fn on(server: &Server) -> Self {
        Self::with_key(Store::Postgres, Some(server.address()), new_key()).await
    }

    /// A place for another log of the same key.
    pub async fn again(&self) -> Self {
        Self::with_key(self.store, self.server.clone(), self.key.clone()).await
    }

    /// The place in a folder, and on a server, that are kept; made the first time.
    pub async fn kept(store: Store, folder: &Path, server: Option<String>) -> Self {
        let directory = Folder::kept(folder);
        let database = "lienthong_log_kept".to_owned();
        let key_path = directory.path().join(format!("{store:?}.key"));
        if !key_path.exists() {
            if store == Store::Postgres {
                administer(server.as_deref().unwrap(), format!("CREATE DATABASE {database}")).await;
            }
            std::fs::write(&key_path, new_key()).unwrap();
        }
        let key = std::fs::read_to_string(key_path).unwrap();
        Self { directory, store, server, key, database, saved: AtomicU32::new(0) }
    }

    async fn with_key(store: Store, server: Option<String>, key: String) -> Self {
        let random = SigningKey::generate("name").unwrap().verifier().id();
        let database = format!("lienthong_log_{:08x}", u32::from_be_bytes(random));
        if store == Store::Postgres {
            administer(server.as_deref().unwrap(), format!("CREATE DATABASE {database}")).await;
        }
        let directory = Folder::temporary();
        Self { directory, store, server, key, database, saved: AtomicU32::new(0) }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("audit.db")
    }

    /// Where the log is, as text: a path or an address.
    pub fn address(&self) -> String {
        match self.store {
            Store::Sqlite => self.path().display().to_string(),
            Store::Postgres => {
                let server = self.server.as_deref().unwrap();
                format!("{}/{}", server.rsplit_once('/').unwrap().0, self.database)
            }
        }
    }

    pub fn location(&self) -> Location {
        location(&self.address())
    }

    pub fn key(&self) -> SigningKey {
        SigningKey::parse(&self.key).unwrap()
    }

    pub fn verifier(&self) -> VerifierKey {
        self.key().verifier().clone()
    }

    pub async fn open(&self) -> AuditLog {
        self.open_with(Options::default()).await
    }

    pub async fn open_with(&self, options: Options) -> AuditLog {
        AuditLog::open(&self.location(), self.key(), options).await.unwrap()
    }

    /// Verifies the log without any checkpoint kept earlier.
    pub async fn verify(&self) -> Result<audit::verify::Report, audit::verify::VerifyError> {
        audit::verify::verify_store(&self.location(), &self.verifier(), &[], |_| {}).await
    }

    /// Changes the store behind the log's back. The statements are SQLite's; those for PostgreSQL are made from them.
    pub async fn tamper(&self, sql: &str) {
        match self.store {
            Store::Sqlite => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path());
                let mut connection = options.connect().await.unwrap();
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Store::Postgres => {
                let mut defaults = String::new();
                for table in TABLES {
                    defaults += &format!("ALTER TABLE {table} ALTER log_id SET DEFAULT 1; ");
                }
                if !sql.contains("meta") {
                    self.execute(&defaults).await;
                }
                self.execute(&for_postgres(sql)).await;
            }
        }
    }

    pub async fn connect(&self) -> PgConnection {
        let options: sqlx::postgres::PgConnectOptions = self.address().parse().unwrap();
        options.options([("search_path", "lienthong_audit")]).connect().await.unwrap()
    }

    async fn execute(&self, sql: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Lets every write of a checkpoint fail, as a full disk would.
    pub async fn break_heads(&self) {
        match self.store {
            Store::Sqlite => {
                let trigger =
                    "CREATE TRIGGER broken BEFORE INSERT ON heads BEGIN SELECT RAISE(ABORT, 'disk full'); END";
                self.tamper(trigger).await;
            }
            Store::Postgres => {
                self.execute(
                    "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
                     'BEGIN RAISE EXCEPTION USING ERRCODE = ''53100''; END';
                     CREATE TRIGGER broken BEFORE INSERT ON heads FOR EACH ROW EXECUTE FUNCTION fail()",
                )
                .await;
            }
        }
    }

    pub async fn mend_heads(&self) {
        match self.store {
            Store::Sqlite => self.tamper("DROP TRIGGER broken").await,
            Store::Postgres => self.execute("DROP TRIGGER broken ON heads; DROP FUNCTION fail").await,
        }
    }

    /// Lets every removal of a body fail, or lets them pass again.
    pub async fn refuse_removals(&self, refuse: bool) {
        let statement = match (self.store, refuse) {
            (Store::Sqlite, true) => {
                return self
                    .tamper("CREATE TRIGGER kept BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'full'); END")
                    .await;
            }
            (Store::Sqlite, false) => return self.tamper("DROP TRIGGER kept").await,
            (Store::Postgres, true) => {
                "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN RAISE EXCEPTION USING ERRCODE = ''53100''; END';
                 CREATE TRIGGER kept BEFORE DELETE ON entries FOR EACH ROW EXECUTE FUNCTION keep()"
            }
            (Store::Postgres, false) => "DROP TRIGGER kept ON entries; DROP FUNCTION keep",
        };
        self.execute(statement).await;
    }

    /// The stored buckets of the search index.
    pub async fn index(&self) -> Vec<(i64, Vec<u8>)> {
        match self.store {
            Store::Sqlite => {
                let path = self.directory.path().join("audit.db.index");
                let mut connection =
                    sqlx::sqlite::SqliteConnectOptions::new().filename(path).read_only(true).connect().await.unwrap();
                let select = "SELECT bucket, terms FROM buckets ORDER BY bucket";
                sqlx::query_as(select).fetch_all(&mut connection).await.unwrap()
            }
            Store::Postgres => {
                let select = "SELECT bucket, terms FROM index_buckets ORDER BY bucket";
                sqlx::query_as(select).fetch_all(&mut self.connect().await).await.unwrap()
            }
        }
    }

    /// Keeps a copy of the log, which must be closed.
    pub async fn save(&self) -> u32 {
        let number = self.saved.fetch_add(1, Ordering::Relaxed);
        match self.store {
            Store::Sqlite => drop(std::fs::copy(self.path(), self.copy(number)).unwrap()),
            Store::Postgres => {
                let mut copy = format!("CREATE SCHEMA saved{number}; ");
                for table in TABLES {
                    copy += &format!("CREATE TABLE saved{number}.{table} AS TABLE {table}; ");
                }
                self.execute(&copy).await;
            }
        }
        number
    }

    /// Puts a copy back.
    pub async fn restore(&self, number: u32) {
        match self.store {
            Store::Sqlite => drop(std::fs::copy(self.copy(number), self.path()).unwrap()),
            Store::Postgres => {
                self.wipe().await;
                let inserts = TABLES.map(|table| format!("INSERT INTO {table} SELECT * FROM saved{number}.{table}; "));
                self.execute(&inserts.concat()).await;
            }
        }
    }

    /// Removes the log.
    pub async fn wipe(&self) {
        match self.store {
            Store::Sqlite => std::fs::remove_file(self.path()).unwrap(),
            Store::Postgres => {
                self.execute("TRUNCATE entries, hashes, heads, index_blocks, index_buckets, index_state").await;
            }
        }
    }

    fn copy(&self, number: u32) -> PathBuf {
        self.directory.path().join(format!("saved{number}.db"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.store == Store::Postgres && !self.directory.is_kept() {
            let drop = format!("DROP DATABASE {} WITH (FORCE)", self.database);
            let server = self.server.clone().unwrap();
            let dropping = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(administer(&server, drop));
            });
            let _ = dropping.join();
        }
    }
}

/// A log's place from a path or an address.
pub(crate) fn location(address: &str) -> Location {
    if address.starts_with("postgres://") {
        Location::postgres(address).unwrap()
    } else {
        Location::File(address.into())
    }
}

fn new_key() -> String {
    SigningKey::generate(ORIGIN).unwrap().to_text().to_string()
}

async fn administer(server: &str, sql: String) {
    let mut connection = PgConnection::connect(server).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
}

/// Byte strings are all that the statements of these tests spell differently.
fn for_postgres(sql: &str) -> String {
    let mut parts = sql.split("x'");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += &format!("'\\x{}", part.replacen('\'', "'::bytea", 1));
    }
    let zeros = |text: &str| {
        let mut parts = text.split("zeroblob(");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (count, rest) = part.split_once(')').unwrap();
            out += &format!("decode(repeat('00', {count}), 'hex'){rest}");
        }
        out
    };
    zeros(&text)
}
