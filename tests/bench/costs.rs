//! What the adapter engine costs: a lookup through it beside the same lookup written by hand, on each engine, and a hub that
//! asks a remote adapter beside one that reads the database itself. In one run and in turns, so that ratios mean something.
//!
//! The lookup by hand is what somebody would write who needs just this: sqlx, its pool, one prepared statement, a struct. It
//! converts nothing.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use adapter_sdk::{Adapter, FetchRequest, Key, Mapping, PoolOptions, SecretUrl, SqlSource};
use chrono::NaiveDateTime;
use proto::{FieldSet, RecordType, Schema, options::v1::IdentifierKind};
use sqlx::{
    AssertSqlSafe, MySqlPool, PgPool, Row as _, SqlitePool,
    mysql::MySqlPoolOptions,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use synthetic::Sector;
use tests::{Databases, Engine, Hub, HubFiles, Settings};

use crate::{load, process, questions, scenario};

/// Lookups of each kind, and those before them.
const LOOKUPS: usize = 12_000;
const WARM_UP: usize = 400;
/// Time of one turn of a hub, and turns of each.
const HUB_TURN: Duration = Duration::from_millis(600);
const HUB_TURNS: usize = 15;
/// Calls of each kind that alternate call by call.
const HUB_CALLS: usize = 3_000;
const PEOPLE: u64 = 2_000;

/// The row as somebody would write it who needs just these columns.
#[derive(Debug)]
#[expect(dead_code, reason = "what is measured is that it is read")]
struct Resident {
    family_name: Option<String>,
    middle_name: Option<String>,
    given_name: Option<String>,
    birth_date: Option<String>,
    birth_year: Option<String>,
    gender: Option<i16>,
    household_number: Option<String>,
    changed: NaiveDateTime,
}

/// Reads the struct from a row of any engine.
macro_rules! resident {
    ($row:expr) => {{
        let row = $row;
        Ok(Resident {
            family_name: row.try_get(0)?,
            middle_name: row.try_get(1)?,
            given_name: row.try_get(2)?,
            birth_date: row.try_get(3)?,
            birth_year: row.try_get(4)?,
            gender: row.try_get(5)?,
            household_number: row.try_get(6)?,
            changed: row.try_get(7)?,
        })
    }};
}

enum Pool {
    Postgres(PgPool),
    MySql(MySqlPool),
    Sqlite(SqlitePool),
}

/// The lookup by hand.
struct ByHand {
    pool: Pool,
    sql: &'static str,
}

impl ByHand {
    async fn open(engine: Engine, url: &str) -> Self {
        let (quote, mark) = match engine {
            Engine::Postgres => ("\"", "$1"),
            Engine::MySql => ("`", "?"),
            Engine::Sqlite => ("\"", "?"),
        };
        let columns: Vec<_> = questions::COLUMNS.iter().map(|name| format!("{quote}{name}{quote}")).collect();
        let sql = format!("SELECT {} FROM cong_dan WHERE {quote}SoDinhDanh{quote} = {mark}", columns.join(", "));
        let pool = match engine {
            Engine::Postgres => {
                let options = PgPoolOptions::new().test_before_acquire(false);
                Pool::Postgres(options.connect(url).await.expect("the database answers"))
            }
            Engine::MySql => {
                let options = MySqlPoolOptions::new().test_before_acquire(false);
                Pool::MySql(options.connect(url).await.expect("the database answers"))
            }
            Engine::Sqlite => {
                let file: SqliteConnectOptions = url.parse().expect("an address");
                let options = SqlitePoolOptions::new().test_before_acquire(false);
                Pool::Sqlite(options.connect_with(file.read_only(true)).await.expect("the database is there"))
            }
        };
        Self { pool, sql: sql.leak() }
    }

    async fn find(&self, number: &str) -> Result<Vec<Resident>, sqlx::Error> {
        match &self.pool {
            Pool::Postgres(pool) => {
                let rows = sqlx::query(AssertSqlSafe(self.sql)).bind(number).fetch_all(pool).await?;
                rows.iter().map(|row| resident!(row)).collect()
            }
            Pool::MySql(pool) => {
                let rows = sqlx::query(AssertSqlSafe(self.sql)).bind(number).fetch_all(pool).await?;
                rows.iter().map(|row| resident!(row)).collect()
            }
            Pool::Sqlite(pool) => {
                let rows = sqlx::query(AssertSqlSafe(self.sql)).bind(number).fetch_all(pool).await?;
                rows.iter().map(|row| resident!(row)).collect()
            }
        }
    }
}

/// The same through the engine.
struct ByEngine {
    source: SqlSource,
    record_type: Arc<RecordType>,
    fields: FieldSet,
}

impl ByEngine {
    fn open(url: &str) -> Self {
        let schema = Schema::builtin().expect("the record types are sound");
        let registers = registers::all();
        let register = registers.iter().find(|register| register.id == Sector::Population.as_str());
        let register = register.expect("the register is built in");
        let mapping = Mapping::parse(register.mapping, "mapping.toml").expect("the mapping is sound");
        let (functions, url) = ((register.functions)(), SecretUrl::new(url));
        let source = SqlSource::open(&schema, &mapping, &functions, &url, PoolOptions::default()).expect("it opens");
        let record_type = Arc::clone(schema.record_type(questions::RESIDENT).expect("it is there"));
        let mut fields = record_type.no_fields();
        questions::FIELDS.iter().for_each(|path| fields.union_with(&record_type.expand(path)));
        Self { source, record_type, fields }
    }

    async fn find(&self, number: &str) -> usize {
        let request = FetchRequest {
            record_type: Arc::clone(&self.record_type),
            key: Key { kind: IdentifierKind::PersonalId, value: number.to_owned() },
            fields: self.fields.clone(),
            deadline: tokio::time::Instant::now() + Duration::from_secs(5),
            behalf: Arc::default(),
        };
        self.source.fetch(&request).await.expect("the source answers").records.len()
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Median times of a lookup in microseconds: by hand, and through the engine. They alternate call by call, so that whatever else
/// the machine does meets both alike.
async fn lookups(engine: Engine, url: &str, people: &[String]) -> (f64, f64) {
    let (hand, through) = (ByHand::open(engine, url).await, ByEngine::open(url));
    let (mut by_hand, mut by_engine) = (Vec::with_capacity(LOOKUPS), Vec::with_capacity(LOOKUPS));
    // The first warm up: connections, prepared statements, the catalogue.
    for (at, number) in people.iter().cycle().take(WARM_UP + LOOKUPS).enumerate() {
        let begun = Instant::now();
        let found = hand.find(number).await.expect("the database answers").len();
        let first = begun.elapsed();
        let begun = Instant::now();
        assert_eq!((found, through.find(number).await), (1, 1));
        let second = begun.elapsed();
        if at >= WARM_UP {
            by_hand.push(first.as_secs_f64() * 1e6);
            by_engine.push(second.as_secs_f64() * 1e6);
        }
    }
    (median(by_hand), median(by_engine))
}

/// One caller's calls of one kind.
#[derive(Default)]
struct Calls {
    /// Medians of the turns, microseconds.
    latency: Vec<f64>,
    /// Times of the calls that alternated with the other kinds, microseconds.
    alternating: Vec<f64>,
    answers: u64,
    /// Processor time of each process that serves them.
    processor: Vec<Duration>,
}

impl Calls {
    fn latency(&self) -> f64 {
        median(self.latency.clone())
    }

    /// Processor time of a call in microseconds, process by process.
    fn processor(&self) -> String {
        let each = self.processor.iter().map(|time| format!("{:.0}", time.as_secs_f64() * 1e6 / self.answers as f64));
        each.collect::<Vec<_>>().join(" + ")
    }
}

/// One caller's calls: an echo, a hub that reads the database, a hub that asks an adapter.
async fn remote(databases: &Databases, people: &Arc<Vec<String>>) -> [Calls; 3] {
    let files = [HubFiles::write(databases, &Settings::default()), HubFiles::write(databases, &Settings::default())];
    files.iter().for_each(scenario::log_apart);
    let adapter = adapter(&files[1]);
    ask_the_adapter(&files[1], &adapter.address);
    let hubs = [Hub::start(&files[0]), Hub::start(&files[1])];
    let (mut floor, address) = scenario::start_floor(&files[0]);
    let targets = [
        (scenario::Scenario::Echo, scenario::clients(&address, &files[0]).await, vec![floor.id()]),
        (scenario::Scenario::Query, scenario::clients(&hubs[0].address, &files[0]).await, vec![hubs[0].pid()]),
        (
            scenario::Scenario::Query,
            scenario::clients(&hubs[1].address, &files[1]).await,
            vec![hubs[1].pid(), adapter.pid()],
        ),
    ];
    let mut calls: [Calls; 3] = Default::default();
    for turn in 0..=HUB_TURNS {
        for (calls, (what, clients, processes)) in calls.iter_mut().zip(&targets) {
            let before: Vec<_> = processes.iter().map(|pid| process::processor_time(*pid)).collect();
            let (answers, errors, _, latency) = load::closed(clients, *what, people, 1, HUB_TURN).await;
            assert_eq!(errors, 0, "every call is answered");
            if turn == 0 {
                calls.processor = vec![Duration::ZERO; processes.len()];
                continue;
            }
            calls.latency.push(latency.value_at_quantile(0.5) as f64);
            calls.answers += answers;
            for ((sum, pid), before) in calls.processor.iter_mut().zip(processes).zip(before) {
                *sum += process::processor_time(*pid).saturating_sub(before);
            }
        }
    }
    for (at, person) in people.iter().cycle().take(WARM_UP + HUB_CALLS).enumerate() {
        for (calls, (what, clients, _)) in calls.iter_mut().zip(&targets) {
            let begun = Instant::now();
            assert!(load::ask(&mut clients[0].clone(), *what, person).await, "every call is answered");
            if at >= WARM_UP {
                calls.alternating.push(begun.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    floor.kill().expect("the floor runs");
    floor.wait().expect("the floor ends");
    drop(targets);
    let [first, second] = hubs;
    assert!(first.stop() && second.stop() && adapter.stop(), "they end well");
    calls
}

/// The population register's adapter, which lets the hub have everything.
fn adapter(files: &HubFiles) -> Hub {
    let id = Sector::Population.as_str();
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ntrust_domain = \"test.example\"\n\
         [tls]\ncertificate = \"keys/server.pem\"\nprivate_key = \"keys/server.key\"\nclient_authorities = [\"keys/ca.pem\"]\n\
         [source]\nid = \"{id}\"\ndatabase = {{ url_file = \"secrets/{id}\" }}\n[[allow]]\nsystem = \"H21.90/console\"\n"
    );
    fs::write(files.path("adapter.toml"), config).expect("a configuration");
    Hub::start_adapter(&files.path("adapter.toml"))
}

fn ask_the_adapter(files: &HubFiles, address: &str) {
    let id = Sector::Population.as_str();
    let port = address.rsplit_once(':').expect("a port").1;
    let remote = format!(
        "remote = {{ endpoint = \"https://localhost:{port}\", authority = \"keys/ca.pem\", \
         certificate = \"keys/H21.90_console.pem\", private_key = \"keys/H21.90_console.key\" }}"
    );
    let config = fs::read_to_string(files.path("config.toml")).expect("a configuration");
    let own = format!("database = {{ url_file = \"secrets/{id}\" }}");
    assert!(config.contains(&own), "the register is in the configuration");
    fs::write(files.path("config.toml"), config.replace(&own, &remote)).expect("a configuration");
}

/// Measures and prints all of it.
pub(crate) async fn measure() {
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures mean nothing");
    }
    let engines = [Engine::Postgres, Engine::MySql, Engine::Sqlite];
    println!("A lookup of one record, {LOOKUPS} of each in turns, medians in microseconds");
    println!("{:<10} {:>9} {:>9} {:>7}   wanted", "engine", "by hand", "engine", "ratio");
    let mut remotes = Vec::new();
    for engine in engines.into_iter().filter(|engine| engine.available()) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let databases = Databases::create(folder.path(), |_| engine).await;
        let mut truth = Vec::new();
        databases.fill(PEOPLE, 7, Some(&mut truth)).await;
        let people = Arc::new(scenario::residents(&truth));
        let (by_hand, by_engine) = lookups(engine, databases.url(Sector::Population), &people).await;
        let ratio = by_engine / by_hand;
        println!("{:<10} {by_hand:>9.1} {by_engine:>9.1} {ratio:>7.2}   at most 1.15", format!("{engine:?}"));
        // The floor, which has the echo, reads two of them.
        if engine != Engine::MySql {
            remotes.push((engine, remote(&databases, &people).await));
        }
        databases.drop().await;
    }
    println!(
        "\nA hub's query of one record, one caller, medians in microseconds; a remote adapter is to add less than 1.20 echoes.\n\
         In turns of {} ms an echo finds its processor's caches as the echo before it left them. Call by call it finds what an\n\
         adapter finds that is asked once a query.",
        HUB_TURN.as_millis()
    );
    println!(
        "{:<10} {:<13} {:>6} {:>9} {:>9} {:>7} {:>7}   processor time a call",
        "engine", "", "echo", "hub reads", "hub asks", "added", "echoes"
    );
    let row = |engine: &str, how: &str, [echo, local, remote]: [f64; 3], processor: &str| {
        let (added, echoes) = (remote - local, (remote - local) / echo);
        println!(
            "{engine:<10} {how:<13} {echo:>6.0} {local:>9.0} {remote:>9.0} {added:>7.0} {echoes:>7.2}   {processor}"
        );
    };
    for (engine, calls) in remotes {
        let [echo, local, remote] = &calls;
        let processor =
            format!("echo {}, hub {}, hub + adapter {}", echo.processor(), local.processor(), remote.processor());
        row(&format!("{engine:?}"), "in turns", calls.each_ref().map(Calls::latency), &processor);
        row("", "call by call", calls.each_ref().map(|calls| median(calls.alternating.clone())), "");
    }
}
