//! What is measured, and the processes it is measured on.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Cursor},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use proto::query::v1::{self as wire, query_service_client::QueryServiceClient};
use sqlx::{
    Connection, Executor, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use synthetic::Sector;
use tests::{Databases, Engine, Hub, HubFiles, Settings as HubSettings, channel_to};
use tonic::transport::Channel;

use crate::{
    Settings,
    load::{self, Run},
    open, process, questions,
    report::{Memory, Report},
};

/// Bytes of an entry about one record, and commits of them whose median counts.
const ENTRY_BYTES: usize = 512;
const COMMITS: usize = 400;

/// Connections the callers share.
const CONNECTIONS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    Echo,
    Lookup,
    Verify,
    Query,
    /// [`Self::Query`] on a hub that measures and traces nothing.
    Plain,
    Everywhere,
    Batch,
    /// [`Self::Query`] at a fixed rate, whatever the answers do.
    Open,
}

impl Scenario {
    /// Those run as closed loops, in turns.
    pub(crate) const CLOSED: [Self; 6] =
        [Self::Echo, Self::Lookup, Self::Verify, Self::Query, Self::Plain, Self::Everywhere];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Lookup => "lookup",
            Self::Verify => "verify",
            Self::Query => "query",
            Self::Plain => "query-untold",
            Self::Everywhere => "everywhere",
            Self::Batch => "batch",
            Self::Open => "query-open",
        }
    }
}

/// A hub that measures itself and says so to whoever asks.
pub(crate) fn told() -> HubSettings {
    HubSettings { more: "[telemetry]\nmetrics_listen = \"127.0.0.1:0\"\n".to_owned(), ..HubSettings::default() }
}

/// A hub that measures and traces nothing.
pub(crate) fn untold() -> HubSettings {
    HubSettings { more: "[telemetry]\nfilter = \"off,lienthong::serve=info\"\n".to_owned(), ..HubSettings::default() }
}

/// A process under load, with connections to it.
struct Target {
    pid: u32,
    clients: Vec<QueryServiceClient<Channel>>,
}

/// Databases, the floor and two hubs, one of which says nothing about itself.
pub(crate) struct Bench {
    databases: Databases,
    _folder: tempfile::TempDir,
    files: HubFiles,
    _untold_files: HubFiles,
    hub: Hub,
    untold: Hub,
    floor: Child,
    targets: [Target; 3],
    people: Arc<Vec<String>>,
    everywhere: Arc<Vec<String>>,
}

impl Bench {
    pub(crate) async fn start(engine: Engine, settings: &Settings) -> Self {
        eprintln!("{engine:?}: writing {} people", settings.people);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let databases = Databases::create(folder.path(), |_| engine).await;
        let mut truth = Cursor::new(Vec::new());
        let summary = databases.fill(settings.people, 7, Some(&mut truth)).await;
        let everywhere = summary.cast.everywhere.expect("somebody is in all registers").personal_id;
        let people = residents(truth.get_ref());

        let files = HubFiles::write(&databases, &told());
        let untold_files = HubFiles::write(&databases, &untold());
        log_apart(&files);
        log_apart(&untold_files);
        let (hub, untold) = (Hub::start(&files), Hub::start(&untold_files));
        let (floor, address) = start_floor(&files);
        let targets = [
            Target { pid: floor.id(), clients: clients(&address, &files).await },
            Target { pid: hub.pid(), clients: clients(&hub.address, &files).await },
            Target { pid: untold.pid(), clients: clients(&untold.address, &untold_files).await },
        ];
        let (people, everywhere) = (Arc::new(people), Arc::new(vec![everywhere]));
        let bench = Self {
            databases,
            _folder: folder,
            files,
            _untold_files: untold_files,
            hub,
            untold,
            floor,
            targets,
            people,
            everywhere,
        };
        for scenario in Scenario::CLOSED {
            let warm = bench.closed(scenario, 32, Duration::from_millis(500)).await;
            assert!(warm.answers > 0, "{} does not answer", scenario.name());
        }
        bench
    }

    fn target(&self, scenario: Scenario) -> &Target {
        match scenario {
            Scenario::Echo | Scenario::Lookup => &self.targets[0],
            Scenario::Plain => &self.targets[2],
            _ => &self.targets[1],
        }
    }

    fn people_of(&self, scenario: Scenario) -> &Arc<Vec<String>> {
        if scenario == Scenario::Everywhere { &self.everywhere } else { &self.people }
    }

    pub(crate) async fn closed(&self, scenario: Scenario, concurrency: usize, interval: Duration) -> Run {
        let target = self.target(scenario);
        let before = process::processor_time(target.pid);
        let (answers, errors, took, latency) =
            load::closed(&target.clients, scenario, self.people_of(scenario), concurrency, interval).await;
        let processor = process::processor_time(target.pid).saturating_sub(before);
        Run { answers, errors, took, latency, processor }
    }

    /// At half and at four fifths of what 64 callers got in closed loops.
    pub(crate) async fn open(&self, report: &mut Report, interval: Duration) {
        let full = self.closed(Scenario::Query, 64, interval / 2).await.per_second();
        for (round, part) in [0.5, 0.8].into_iter().enumerate() {
            let target = self.target(Scenario::Query);
            let before = process::processor_time(target.pid);
            let mut run = open::run(&target.clients, &self.people, full * part, interval).await;
            run.processor = process::processor_time(target.pid).saturating_sub(before);
            report.add_open(part, full * part, round, run);
        }
    }

    /// One stream of so many items.
    pub(crate) async fn batch(&self, items: usize) -> Run {
        let target = self.target(Scenario::Batch);
        let before = process::processor_time(target.pid);
        let people = Arc::clone(&self.people);
        let requests = stream::iter(0..items).map(move |item| wire::BatchQueryRequest {
            item_id: item.to_string(),
            query: Some(questions::query(&people[item % people.len()])),
        });
        let (start, mut latency) = (Instant::now(), load::histogram());
        let mut client = target.clients[0].clone();
        let mut answers = client.batch_query(requests).await.expect("a stream").into_inner();
        let (mut seen, mut errors, mut last) = (vec![false; items], 0, start);
        while let Some(answer) = answers.message().await.expect("the stream holds") {
            let item: usize = answer.item_id.parse().expect("an id of ours");
            assert!(!std::mem::replace(&mut seen[item], true), "item {item} is answered twice");
            errors += u64::from(!matches!(answer.result, Some(wire::batch_query_response::Result::Response(_))));
            latency.saturating_record(last.elapsed().as_micros() as u64);
            last = Instant::now();
        }
        assert!(seen.iter().all(|seen| *seen), "an item is lost");
        let processor = process::processor_time(target.pid).saturating_sub(before);
        Run { answers: items as u64 - errors, errors, took: start.elapsed(), latency, processor }
    }

    /// Median time of one durable commit as the log makes them, bare: one row of an entry's size, on the log's disk.
    pub(crate) async fn commit(&self) -> Duration {
        let options = SqliteConnectOptions::new()
            .filename(self.files.path("log/bare.sqlite"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let mut bare = SqliteConnection::connect_with(&options).await.expect("a database file");
        bare.execute("CREATE TABLE IF NOT EXISTS entry (value BLOB NOT NULL)").await.expect("a table");
        let (entry, mut times) = (vec![0_u8; ENTRY_BYTES], Vec::new());
        for _ in 0..COMMITS {
            let begun = Instant::now();
            let insert = sqlx::query("INSERT INTO entry VALUES (?)").bind(&entry);
            insert.execute(&mut bare).await.expect("it is written");
            times.push(begun.elapsed());
        }
        times.sort();
        times[times.len() / 2]
    }

    /// Mean time per stage, as the hub measured it.
    pub(crate) async fn stages(&self) -> Vec<(String, f64)> {
        match self.hub.metrics_address() {
            Some(address) => crate::report::stages(&tests::http_get(&address, "/metrics").await),
            None => Vec::new(),
        }
    }

    pub(crate) fn memory(&self) -> Memory {
        let log = std::fs::metadata(self.files.path("log/audit.sqlite")).map_or(0, |file| file.len());
        Memory {
            now_mib: process::memory(self.hub.pid(), "VmRSS"),
            most_mib: process::memory(self.hub.pid(), "VmHWM"),
            log_mib: log as f64 / 1024.0 / 1024.0,
        }
    }

    pub(crate) async fn stop(mut self) {
        self.floor.kill().expect("the floor runs");
        self.floor.wait().expect("the floor ends");
        drop(self.targets);
        assert!(self.hub.stop() && self.untold.stop(), "the hubs end well");
        self.databases.drop().await;
    }
}

/// Puts the log into a folder of its own: folders of configuration are watched, and every write to the log would be seen.
pub(crate) fn log_apart(files: &HubFiles) {
    std::fs::create_dir(files.path("log")).expect("a folder");
    let config = std::fs::read_to_string(files.path("config.toml")).expect("a configuration");
    let apart = config.replace("database = \"audit.sqlite\"", "database = \"log/audit.sqlite\"");
    std::fs::write(files.path("config.toml"), apart).expect("a configuration");
}

/// Personal numbers of the residents.
pub(crate) fn residents(truth: &[u8]) -> Vec<String> {
    let lines = std::str::from_utf8(truth).expect("JSON").lines();
    let numbers: BTreeSet<String> = lines
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .filter(|line| line["record_type"] == questions::RESIDENT)
        .filter_map(|line| line["keys"]["personal_id"].as_str().map(str::to_owned))
        .collect();
    numbers.into_iter().collect()
}

pub(crate) fn start_floor(files: &HubFiles) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().expect("this program is a file"))
        .arg("floor")
        .arg(files.path("keys"))
        .arg(files.path(&format!("secrets/{}", Sector::Population.as_str())))
        .stderr(Stdio::piped())
        .spawn()
        .expect("the floor starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let line = lines.next().expect("a line").expect("text");
    let (_, address) = line.split_once("listening address=").unwrap_or_else(|| panic!("the floor says: {line}"));
    (child, address.to_owned())
}

pub(crate) async fn clients(address: &str, files: &HubFiles) -> Vec<QueryServiceClient<Channel>> {
    let certificate = files.certificate("H21.99/all");
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let channel = channel_to(address, &files.authority(), Some(&certificate)).await.expect("a connection");
        clients.push(QueryServiceClient::new(channel).max_decoding_message_size(64 << 20));
    }
    clients
}
