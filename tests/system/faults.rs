//! Faults on the way to one source, during load: nobody else notices, nothing wrong is answered, every call ends in time, and
//! all is well again without a hand.
//!
//! The population register is on PostgreSQL behind a proxy that does to the wire what the fault would; the others are files.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use prost_reflect::DynamicMessage;
use prost_types::FieldMask;
use proto::{
    Schema,
    query::v1::{self as wire, query_service_client::QueryServiceClient, subject::Identifier},
};
use synthetic::Sector;
use tests::{Databases, Engine, Fault, Hub, HubFiles, Proxy, Settings, http_get, query_client};
use tonic::{Code, Request, transport::Channel};

const RESIDENT: &str = "lienthong.population.v1.Resident";
const BIRTH: &str = "lienthong.civilstatus.v1.BirthRegistration";
/// What callers wait, and what is forgiven on a busy machine.
const DEADLINE: Duration = Duration::from_millis(1_500);
const GRACE: Duration = Duration::from_millis(500);

fn request(personal_id: &str, record_types: &[&str]) -> Request<wire::QueryRequest> {
    let selection = |record_type: &&str| wire::Selection {
        record_type: (*record_type).to_owned(),
        field_mask: Some(FieldMask { paths: vec!["full_name".to_owned()] }),
    };
    let mut request = Request::new(wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: record_types.iter().map(selection).collect(),
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    });
    request.set_timeout(DEADLINE);
    request
}

/// A hub whose population register is behind a proxy, and what the register holds.
struct Stage {
    databases: Databases,
    _folder: tempfile::TempDir,
    files: HubFiles,
    proxy: Proxy,
    hub: Hub,
    names: Arc<BTreeMap<String, String>>,
    schema: Arc<Schema>,
}

impl Stage {
    /// `with_replica`: the register's replica is the same database, past the proxy.
    async fn set(with_replica: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let on = |sector| if sector == Sector::Population { Engine::Postgres } else { Engine::Sqlite };
        let mut databases = Databases::create(folder.path(), on).await;
        let mut truth = std::io::Cursor::new(Vec::new());
        databases.fill(200, 81, Some(&mut truth)).await;
        let target = databases.targets.iter_mut().find(|target| target.sector == Sector::Population).unwrap();
        let url = target.url.clone();
        let (before, rest) = url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let proxy = Proxy::start(server).await;
        target.url = format!("{before}@{}/{database}", proxy.address);
        let settings =
            Settings { more: "[telemetry]\nmetrics_listen = \"127.0.0.1:0\"\n".to_owned(), ..Settings::default() };
        let files = HubFiles::write(&databases, &settings);
        if with_replica {
            add_replica(&files, &format!("{before}@{rest}"));
        }
        let hub = Hub::start(&files);
        let schema = Arc::new(Schema::builtin().unwrap());
        Self { databases, _folder: folder, files, proxy, hub, names: Arc::new(names(truth.get_ref())), schema }
    }

    async fn client(&self) -> QueryServiceClient<Channel> {
        query_client(&self.hub, &self.files, "H21.99/all").await
    }

    /// Asks until told to stop, from several callers; gives the outcomes of the population register.
    async fn load(&self, stop: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<BTreeMap<String, usize>>> {
        let client = self.client().await;
        (0..4)
            .map(|caller| {
                let (mut client, names, stop) = (client.clone(), Arc::clone(&self.names), Arc::clone(stop));
                let schema = Arc::clone(&self.schema);
                tokio::spawn(async move {
                    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
                    for (id, name) in names.iter().cycle().skip(caller * 17) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let asked = Instant::now();
                        let answer = client.query(request(id, &[RESIDENT, BIRTH])).await;
                        assert!(asked.elapsed() < DEADLINE + GRACE, "a call took {:?}", asked.elapsed());
                        let answer = answer.unwrap_or_else(|status| panic!("a partial answer, not {status:?}"));
                        let outcome = checked(&schema, &answer.into_inner(), name);
                        *outcomes.entry(outcome).or_default() += 1;
                    }
                    outcomes
                })
            })
            .collect()
    }

    /// Waits until the population register answers again.
    async fn recovered(&self) -> Duration {
        let mut client = self.client().await;
        let (started, (id, name)) = (Instant::now(), self.names.iter().next().unwrap());
        loop {
            let answer = client.query(request(id, &[RESIDENT, BIRTH])).await.unwrap().into_inner();
            if checked(&self.schema, &answer, name) == "FOUND" {
                return started.elapsed();
            }
            assert!(started.elapsed() < Duration::from_secs(40), "the source does not come back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn names(truth: &[u8]) -> BTreeMap<String, String> {
    std::str::from_utf8(truth)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["record_type"] == RESIDENT && line["keys"]["personal_id"].is_string())
        .map(|line| {
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            (text(&line["keys"]["personal_id"]), text(&line["fields"]["full_name"]))
        })
        .collect()
}

/// How the population register answered; whatever it gave must be true, and the other register must have answered.
fn checked(schema: &Schema, answer: &wire::QueryResponse, name: &str) -> String {
    assert!(answer.receipt.is_some(), "every answer is recorded");
    let resident = answer.results.iter().find(|result| result.record_type == RESIDENT).unwrap();
    for record in &resident.records {
        let descriptor = schema.record_type(RESIDENT).unwrap().descriptor.clone();
        let value = record.value.as_ref().unwrap().value.as_slice();
        let decoded = DynamicMessage::decode(descriptor, value).unwrap();
        let full = decoded.get_field_by_name("full_name").unwrap().into_owned();
        let full = full.as_message().unwrap().get_field_by_name("full").unwrap().as_str().unwrap().to_owned();
        assert_eq!(full, name, "a wrong answer");
    }
    for other in answer.results.iter().filter(|result| result.record_type != RESIDENT) {
        assert!(matches!(other.outcome(), wire::Outcome::Found | wire::Outcome::NotFound), "{other:?}");
    }
    match resident.outcome() {
        wire::Outcome::Unavailable => resident.failure.as_ref().unwrap().reason.clone(),
        outcome => outcome.as_str_name().to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_one_source_costs_only_its_own_part_and_passes() {
    if !Engine::Postgres.available() {
        return;
    }
    let stage = Stage::set(false).await;
    assert!(stage.recovered().await < Duration::from_secs(10), "nothing is wrong yet");
    // The long form is a soak of half an hour.
    let lasting = Duration::from_secs(if tests::long() { 300 } else { 3 });
    let mut held = Vec::new();
    let faults =
        [Fault::Hung, Fault::Down, Fault::Cut, Fault::Garbage, Fault::Slow(Duration::from_millis(20)), Fault::Hung];
    for fault in faults {
        let stop = Arc::new(AtomicBool::new(false));
        let callers = stage.load(&stop).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.proxy.set(fault);
        tokio::time::sleep(lasting).await;
        let metrics = http_get(&stage.hub.metrics_address().unwrap(), "/metrics").await;
        stage.proxy.set(Fault::None);
        stop.store(true, Ordering::Relaxed);
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        for caller in callers {
            for (outcome, count) in caller.await.unwrap() {
                *outcomes.entry(outcome).or_default() += count;
            }
        }
        if matches!(fault, Fault::Down | Fault::Hung) {
            assert!(outcomes.contains_key("SOURCE_SUSPENDED"), "{fault:?}: the breaker opened: {outcomes:?}");
            let breaker = metrics.lines().find(|line| {
                line.starts_with("lienthong_source_breaker") && line.contains("\"population\"") && !line.ends_with(" 0")
            });
            assert!(breaker.is_some(), "{fault:?}: the breaker is in the metrics");
        }
        println!("{fault:?}: {outcomes:?}; well again after {:?}", stage.recovered().await);
        held.push(held_by(&stage.hub));
    }
    println!("memory (MiB) and descriptors after each: {held:?}");
    let ((memory_first, descriptors_first), (memory, descriptors)) = (held[0], held[held.len() - 1]);
    assert!(memory < memory_first * 1.5 + 20.0 && descriptors < descriptors_first + 20, "{held:?}");
    assert!(stage.hub.stop());
    stage.databases.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_answers_for_a_source_that_hangs() {
    if !Engine::Postgres.available() {
        return;
    }
    let stage = Stage::set(true).await;
    stage.recovered().await;
    stage.proxy.set(Fault::Hung);
    let mut client = stage.client().await;
    for (id, name) in stage.names.iter().take(60) {
        let answer = client.query(request(id, &[RESIDENT])).await.unwrap().into_inner();
        assert_eq!(checked(&stage.schema, &answer, name), "FOUND");
    }
    let metrics = http_get(&stage.hub.metrics_address().unwrap(), "/metrics").await;
    assert!(
        metrics.lines().any(|line| line.starts_with("lienthong_source_attempts") && line.contains("\"replica\"")),
        "{metrics}"
    );
    stage.proxy.set(Fault::None);
    assert!(stage.hub.stop());
    stage.databases.drop().await;
}

/// Resident memory in MiB and open descriptors of a hub.
fn held_by(hub: &Hub) -> (f64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    (kib / 1_024.0, std::fs::read_dir(format!("/proc/{}/fd", hub.pid())).unwrap().count())
}

/// Names a replica of the population register in the configuration.
fn add_replica(files: &HubFiles, url: &str) {
    std::fs::write(files.path("secrets/replica"), url).unwrap();
    let config = std::fs::read_to_string(files.path("config.toml")).unwrap();
    let own = "database = { url_file = \"secrets/population\" }\n";
    assert!(config.contains(own));
    let both = format!("{own}replica = {{ url_file = \"secrets/replica\" }}\n");
    std::fs::write(files.path("config.toml"), config.replace(own, &both)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_starts_with_every_source_down_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    for target in &mut databases.targets {
        target.url = "postgres://nobody:nothing@127.0.0.1:1/nowhere".to_owned();
    }
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, "H21.99/all").await;
    let asked = Instant::now();
    let answer = client.query(request("052185000123", &[RESIDENT, BIRTH])).await.unwrap().into_inner();
    assert!(asked.elapsed() < DEADLINE + GRACE && !answer.complete);
    for result in &answer.results {
        assert_eq!(result.outcome(), wire::Outcome::Unavailable);
        assert_eq!(result.failure.as_ref().unwrap().reason, "SOURCE_UNREACHABLE");
    }
    let mut needed = request("052185000123", &[RESIDENT]);
    needed.get_mut().required_sources = vec!["population".to_owned()];
    assert_eq!(client.query(needed).await.unwrap_err().code(), Code::Unavailable);
    assert!(hub.stop());
}
