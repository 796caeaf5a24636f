//! Faults on the way to one source, during load: nobody else notices, nothing wrong is answered, every call ends in time, and
//! all is well again without a hand.
//!
//! The population register is on PostgreSQL: behind a proxy that does to the wire what the fault would, or on a server of the
//! test's own that is stopped, killed and restarted. The others are files.

use std::{
    collections::{BTreeMap, BTreeSet},
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
use tests::{Databases, Engine, Fault, Hub, HubFiles, Proxy, Server, Settings, http_get, query_client};
use tokio::sync::Mutex;
use tonic::{Code, Request, transport::Channel};

pub(crate) const RESIDENT: &str = "lienthong.population.v1.Resident";
pub(crate) const BIRTH: &str = "lienthong.civilstatus.v1.BirthRegistration";
/// What callers wait.
pub(crate) const DEADLINE: Duration = Duration::from_millis(1_500);

/// How long after its deadline a call may end. Much is forgiven on a machine that runs other tests at the same time.
pub(crate) fn grace() -> Duration {
    Duration::from_millis(if tests::long() { 100 } else { 500 })
}

pub(crate) fn request(personal_id: &str, record_types: &[&str]) -> Request<wire::QueryRequest> {
    let selection = |record_type: &&str| wire::Selection {
        record_type: (*record_type).to_owned(),
        field_mask: Some(FieldMask {
            paths: vec![if *record_type == RESIDENT { "personal_id" } else { "full_name" }.to_owned()],
        }),
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
    proxy: Option<Proxy>,
    hub: Hub,
    people: Arc<BTreeSet<String>>,
    schema: Arc<Schema>,
}

impl Stage {
    /// `with_replica`: the register's replica is the same database, past the proxy.
    async fn behind_a_proxy(with_replica: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let on = |sector| if sector == Sector::Population { Engine::Postgres } else { Engine::Sqlite };
        let mut databases = Databases::create(folder.path(), on).await;
        let truth = fill(&databases).await;
        let target = population(&mut databases);
        let url = target.url.clone();
        let (before, rest) = url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let proxy = Proxy::start(server).await;
        target.url = format!("{before}@{}/{database}", proxy.address);
        let replica = with_replica.then(|| format!("{before}@{rest}"));
        Self::set(folder, databases, Some(proxy), replica, &truth)
    }

    /// The register is on this server alone.
    async fn on(server: &Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
        population(&mut databases).url = server.root_url();
        let truth = fill(&databases).await;
        Self::set(folder, databases, None, None, &truth)
    }

    fn set(
        folder: tempfile::TempDir,
        databases: Databases,
        proxy: Option<Proxy>,
        replica: Option<String>,
        truth: &[u8],
    ) -> Self {
        let settings =
            Settings { more: "[telemetry]\nmetrics_listen = \"127.0.0.1:0\"\n".to_owned(), ..Settings::default() };
        let files = HubFiles::write(&databases, &settings);
        if let Some(replica) = replica {
            add_replica(&files, &replica);
        }
        let hub = Hub::start(&files);
        let schema = Arc::new(Schema::builtin().unwrap());
        Self { databases, _folder: folder, files, proxy, hub, people: Arc::new(people(truth)), schema }
    }

    async fn client(&self) -> QueryServiceClient<Channel> {
        query_client(&self.hub, &self.files, "H21.99/all").await
    }

    fn wire(&self, fault: Fault) {
        self.proxy.as_ref().expect("the register is behind a proxy").set(fault);
    }

    /// Outcomes of the population register under load while a fault lasts; gives what the metrics said at its end, too.
    async fn during(
        &self,
        begin: impl AsyncFnOnce(),
        lasting: Duration,
        end: impl AsyncFnOnce(),
    ) -> (BTreeMap<String, usize>, String) {
        let stop = Arc::new(AtomicBool::new(false));
        let callers = self.load(&stop).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        begin().await;
        tokio::time::sleep(lasting).await;
        let metrics = http_get(&self.hub.metrics_address().unwrap(), "/metrics").await;
        end().await;
        stop.store(true, Ordering::Relaxed);
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        for caller in callers {
            for (outcome, count) in caller.await.unwrap() {
                *outcomes.entry(outcome).or_default() += count;
            }
        }
        (outcomes, metrics)
    }

    /// Asks until told to stop, from several callers; gives the outcomes of the population register.
    async fn load(&self, stop: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<BTreeMap<String, usize>>> {
        let client = self.client().await;
        (0..4)
            .map(|caller| {
                let (mut client, people, stop) = (client.clone(), Arc::clone(&self.people), Arc::clone(stop));
                let schema = Arc::clone(&self.schema);
                tokio::spawn(async move {
                    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
                    for id in people.iter().cycle().skip(caller * 17) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let asked = Instant::now();
                        let answer = client.query(request(id, &[RESIDENT, BIRTH])).await;
                        assert!(asked.elapsed() < DEADLINE + grace(), "a call took {:?}", asked.elapsed());
                        let answer = answer.unwrap_or_else(|status| panic!("a partial answer, not {status:?}"));
                        let outcome = checked(&schema, &answer.into_inner(), id);
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
        let (started, id) = (Instant::now(), self.people.iter().next().unwrap());
        loop {
            let answer = client.query(request(id, &[RESIDENT, BIRTH])).await.unwrap().into_inner();
            if checked(&self.schema, &answer, id) == "FOUND" {
                return started.elapsed();
            }
            assert!(started.elapsed() < Duration::from_secs(40), "the source does not come back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(crate) fn population(databases: &mut Databases) -> &mut synthetic::Target {
    databases.targets.iter_mut().find(|target| target.sector == Sector::Population).unwrap()
}

/// Writes people; what is true of them.
pub(crate) async fn fill(databases: &Databases) -> Vec<u8> {
    let mut truth = std::io::Cursor::new(Vec::new());
    databases.fill(200, 81, Some(&mut truth)).await;
    truth.into_inner()
}

/// Personal numbers of the residents.
pub(crate) fn people(truth: &[u8]) -> BTreeSet<String> {
    let lines = std::str::from_utf8(truth).unwrap().lines();
    lines
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["record_type"] == RESIDENT)
        .filter_map(|line| line["keys"]["personal_id"].as_str().map(str::to_owned))
        .collect()
}

/// How the population register answered; whatever it gave must be true, and the other register must have answered.
pub(crate) fn checked(schema: &Schema, answer: &wire::QueryResponse, personal_id: &str) -> String {
    assert!(answer.receipt.is_some(), "every answer is recorded");
    let resident = answer.results.iter().find(|result| result.record_type == RESIDENT).unwrap();
    for record in &resident.records {
        let descriptor = schema.record_type(RESIDENT).unwrap().descriptor.clone();
        let value = record.value.as_ref().unwrap().value.as_slice();
        let decoded = DynamicMessage::decode(descriptor, value).unwrap();
        let found = decoded.get_field_by_name("personal_id").unwrap().as_str().unwrap().to_owned();
        assert_eq!(found, personal_id, "a wrong answer");
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
    let stage = Stage::behind_a_proxy(false).await;
    assert!(stage.recovered().await < Duration::from_secs(10), "nothing is wrong yet");
    // The long form is a source that hangs for five minutes.
    let lasting = Duration::from_secs(if tests::long() { 300 } else { 3 });
    let mut held = Vec::new();
    let faults =
        [Fault::Hung, Fault::Down, Fault::Cut, Fault::Garbage, Fault::Slow(Duration::from_millis(20)), Fault::Hung];
    for fault in faults {
        let (outcomes, metrics) =
            stage.during(async || stage.wire(fault), lasting, async || stage.wire(Fault::None)).await;
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
async fn a_database_that_is_stopped_killed_or_restarted_costs_only_its_own_part() {
    if !Server::available(Engine::Postgres) {
        return;
    }
    let server = Server::start(Engine::Postgres).await;
    let stage = Stage::on(&server).await;
    assert!(stage.recovered().await < Duration::from_secs(10), "nothing is wrong yet");
    let server = Mutex::new(server);
    let lasting = Duration::from_secs(if tests::long() { 60 } else { 3 });
    let (stopped, _) =
        stage.during(async || server.lock().await.freeze(), lasting, async || server.lock().await.thaw()).await;
    assert!(stopped.contains_key("SOURCE_SUSPENDED"), "the breaker opened: {stopped:?}");
    println!("stopped: {stopped:?}; well again after {:?}", stage.recovered().await);
    let (killed, _) =
        stage.during(async || server.lock().await.stop(), lasting, async || server.lock().await.again().await).await;
    assert!(killed.contains_key("SOURCE_UNREACHABLE") && killed.contains_key("SOURCE_SUSPENDED"), "{killed:?}");
    println!("killed: {killed:?}; well again after {:?}", stage.recovered().await);
    let (restarted, _) = stage.during(async || restart(&server).await, lasting, async || {}).await;
    assert!(restarted["FOUND"] > 0, "{restarted:?}");
    println!("restarted: {restarted:?}; well again after {:?}", stage.recovered().await);
    assert!(stage.hub.stop());
}

pub(crate) async fn restart(server: &Mutex<Server>) {
    let mut server = server.lock().await;
    server.stop();
    server.again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_answers_for_a_source_that_hangs() {
    if !Engine::Postgres.available() {
        return;
    }
    let stage = Stage::behind_a_proxy(true).await;
    stage.recovered().await;
    stage.wire(Fault::Hung);
    let mut client = stage.client().await;
    for id in stage.people.iter().take(60) {
        let answer = client.query(request(id, &[RESIDENT])).await.unwrap().into_inner();
        assert_eq!(checked(&stage.schema, &answer, id), "FOUND");
    }
    let metrics = http_get(&stage.hub.metrics_address().unwrap(), "/metrics").await;
    assert!(
        metrics.lines().any(|line| line.starts_with("lienthong_source_attempts") && line.contains("\"replica\"")),
        "{metrics}"
    );
    stage.wire(Fault::None);
    assert!(stage.hub.stop());
    stage.databases.drop().await;
}

/// Resident memory in MiB and open descriptors of a hub.
pub(crate) fn held_by(hub: &Hub) -> (f64, usize) {
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
    assert!(asked.elapsed() < DEADLINE + grace() && !answer.complete);
    for result in &answer.results {
        assert_eq!(result.outcome(), wire::Outcome::Unavailable);
        assert_eq!(result.failure.as_ref().unwrap().reason, "SOURCE_UNREACHABLE");
    }
    let mut needed = request("052185000123", &[RESIDENT]);
    needed.get_mut().required_sources = vec!["population".to_owned()];
    assert_eq!(client.query(needed).await.unwrap_err().code(), Code::Unavailable);
    assert!(hub.stop());
}
