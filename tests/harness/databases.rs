//! Reference databases with generated people, on any of the three engines, dropped at the end.

use std::{io::Write, path::Path};

use sqlx::{Connection, MySqlConnection, PgConnection, SqliteConnection};
use synthetic::{Plan, Sector, Summary, Target};

/// A database engine under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Embedded.
    Sqlite,
    /// Server named by `LIENTHONG_TEST_POSTGRES`.
    Postgres,
    /// MariaDB, named by `LIENTHONG_TEST_MYSQL`.
    MySql,
}

impl Engine {
    /// The administrator's address of the server, if the tests were given one.
    pub fn server(self) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => std::env::var("LIENTHONG_TEST_POSTGRES").ok(),
            Self::MySql => std::env::var("LIENTHONG_TEST_MYSQL").ok(),
        }
    }

    /// Whether this engine can be tested here. `tests/run` starts all of them.
    pub fn available(self) -> bool {
        let there = self == Self::Sqlite || self.server().is_some();
        if !there {
            println!("{self:?} is not tested: no server is named; tests/run starts one");
        }
        there
    }
}

/// The six databases of one hub.
pub struct Databases {
    /// Where each is.
    pub targets: Vec<Target>,
    created: Vec<(Engine, String)>,
}

/// Names databases apart when tests run side by side.
fn unique(sector: Sector) -> String {
    let number = rand::random::<u32>();
    format!("lienthong_{}_{number:08x}", sector.as_str().replace('-', "_"))
}

/// Puts another database name into a server's address.
fn with_database(server: &str, name: &str) -> String {
    let (base, _) = server.rsplit_once('/').expect("the address of a server ends in a database");
    format!("{base}/{name}")
}

impl Databases {
    /// Makes empty databases, the engine of each sector as `engine` says.
    pub async fn create(folder: &Path, engine: impl Fn(Sector) -> Engine) -> Self {
        let mut databases = Self { targets: Vec::new(), created: Vec::new() };
        for sector in Sector::ALL {
            let engine = engine(sector);
            let url = match engine {
                Engine::Sqlite => format!("sqlite://{}", folder.join(format!("{sector}.sqlite")).display()),
                Engine::Postgres | Engine::MySql => {
                    let server = engine.server().expect("asked only when available");
                    let name = unique(sector);
                    execute(engine, &server, &format!("CREATE DATABASE {name}")).await;
                    let url = with_database(&server, &name);
                    databases.created.push((engine, name));
                    url
                }
            };
            databases.targets.push(Target { sector, url });
        }
        databases
    }

    /// Writes people, and the truth when asked.
    pub async fn fill(&self, people: u64, seed: u64, truth: Option<&mut (dyn Write + Send)>) -> Summary {
        synthetic::write(&Plan::new(people, seed), &self.targets, truth, |_| {}).await.expect("people are written")
    }

    /// Address of a sector's database.
    pub fn url(&self, sector: Sector) -> &str {
        &self.targets.iter().find(|target| target.sector == sector).expect("all sectors are there").url
    }

    /// Drops what was made on servers. SQLite files go with their folder.
    pub async fn drop(self) {
        for (engine, name) in &self.created {
            let force = if *engine == Engine::Postgres { " WITH (FORCE)" } else { "" };
            let server = engine.server().expect("was there before");
            execute(*engine, &server, &format!("DROP DATABASE {name}{force}")).await;
        }
    }
}

/// A PostgreSQL database for audit logs.
pub struct LogDatabase {
    /// Its address.
    pub url: String,
    name: String,
}

impl LogDatabase {
    /// Makes an empty one; none if there is no server.
    pub async fn create() -> Option<Self> {
        if !Engine::Postgres.available() {
            return None;
        }
        let name = format!("lienthong_log_{:08x}", rand::random::<u32>());
        let server = Engine::Postgres.server()?;
        execute(Engine::Postgres, &server, &format!("CREATE DATABASE {name}")).await;
        Some(Self { url: with_database(&server, &name), name })
    }

    /// Ends all connections, as a server that goes away does, and accepts no more.
    pub async fn stop(&self) {
        self.administer(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", self.name)).await;
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", self.name);
        self.administer(&end).await;
    }

    /// Accepts connections again.
    pub async fn start(&self) {
        self.administer(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.name)).await;
    }

    /// Drops it.
    pub async fn drop(self) {
        self.administer(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }

    async fn administer(&self, statement: &str) {
        let server = Engine::Postgres.server().expect("was there before");
        execute(Engine::Postgres, &server, statement).await;
    }
}

/// Runs one statement as administrator; a file that is not there is made.
pub async fn execute(engine: Engine, url: &str, statement: &str) {
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    match engine {
        Engine::Postgres => {
            let mut connection = PgConnection::connect(url).await.expect("the server answers");
            sqlx::raw_sql(statement).execute(&mut connection).await.expect("the statement runs");
        }
        Engine::MySql => {
            let mut connection = MySqlConnection::connect(url).await.expect("the server answers");
            sqlx::raw_sql(statement).execute(&mut connection).await.expect("the statement runs");
        }
        Engine::Sqlite => {
            let mut connection = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.expect("the file opens");
            sqlx::raw_sql(statement).execute(&mut connection).await.expect("the statement runs");
        }
    }
}
