//! Every fault in turn, again and again, on one hub under load: nothing it holds may grow, whatever it went through.
//!
//! The population register and the log are each on a PostgreSQL server of the test's own, behind a proxy; the other registers
//! are files. The long form goes on for half an hour, or as many minutes as `LIENTHONG_SOAK_MINUTES` says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use audit::verify::Progress;
use proto::{Schema, query::v1::Receipt};
use tests::{Databases, Engine, Fault, Hub, HubFiles, Proxy, Server, Settings, error_info, http_get, query_client};
use tokio::{sync::Mutex, task::JoinHandle};
use tonic::Code;

use crate::faults::{BIRTH, DEADLINE, RESIDENT, checked, fill, grace, held_by, people, population, request, restart};

const CALLERS: usize = 4;
/// Between the calls of a caller.
const PAUSE: Duration = Duration::from_millis(20);
/// Cycles until the hub holds what it needs.
const WARM: usize = 2;

/// What callers saw.
#[derive(Default)]
struct Seen {
    outcomes: BTreeMap<String, usize>,
    receipts: Vec<Receipt>,
    late: Duration,
}

struct Stage {
    hub: Hub,
    files: HubFiles,
    people: Arc<BTreeSet<String>>,
    schema: Arc<Schema>,
    register: (Mutex<Server>, Proxy),
    log: (Mutex<Server>, Proxy),
    _databases: Databases,
    _folder: tempfile::TempDir,
}

async fn behind_a_proxy() -> (Server, Proxy, String) {
    let server = Server::start(Engine::Postgres).await;
    let proxy = Proxy::start(&server.place()).await;
    let url = server.root_url().replace(&server.place(), &proxy.address);
    (server, proxy, url)
}

impl Stage {
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (register, register_proxy, register_url) = behind_a_proxy().await;
        let (log, log_proxy, log_url) = behind_a_proxy().await;
        let mut databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
        population(&mut databases).url = register_url;
        let people = people(&fill(&databases).await);
        let settings = Settings {
            log_url: Some(log_url),
            more: "[telemetry]\nmetrics_listen = \"127.0.0.1:0\"\n".to_owned(),
            ..Settings::default()
        };
        let files = HubFiles::write(&databases, &settings);
        Self {
            hub: Hub::start(&files),
            files,
            people: Arc::new(people),
            schema: Arc::new(Schema::builtin().unwrap()),
            register: (Mutex::new(register), register_proxy),
            log: (Mutex::new(log), log_proxy),
            _databases: databases,
            _folder: folder,
        }
    }

    async fn load(&self, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<Seen>> {
        let client = query_client(&self.hub, &self.files, "H21.99/all").await;
        (0..CALLERS)
            .map(|caller| {
                let (mut client, people, stop) = (client.clone(), Arc::clone(&self.people), Arc::clone(stop));
                let schema = Arc::clone(&self.schema);
                tokio::spawn(async move {
                    let mut seen = Seen::default();
                    for id in people.iter().cycle().skip(caller * 17) {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let asked = Instant::now();
                        let answer = client.query(request(id, &[RESIDENT, BIRTH])).await;
                        seen.late = seen.late.max(asked.elapsed().saturating_sub(DEADLINE));
                        let outcome = match answer {
                            Ok(answer) => {
                                let answer = answer.into_inner();
                                let outcome = checked(&schema, &answer, id);
                                seen.receipts.extend(answer.receipt);
                                outcome
                            }
                            Err(status) => match status.code() {
                                Code::Unavailable | Code::ResourceExhausted => error_info(&status).0,
                                // The caller's own clock, a little before the hub's word arrived.
                                Code::DeadlineExceeded | Code::Cancelled => "DEADLINE".to_owned(),
                                _ => panic!("no clear word: {status:?}"),
                            },
                        };
                        *seen.outcomes.entry(outcome).or_default() += 1;
                        tokio::time::sleep(PAUSE).await;
                    }
                    seen
                })
            })
            .collect()
    }

    /// Each fault for so long, and as long again until the next.
    async fn cycle(&self, lasting: Duration) {
        for (server, proxy) in [&self.register, &self.log] {
            let faults = [Fault::Slow(Duration::from_millis(50)), Fault::Hung, Fault::Down, Fault::Cut, Fault::Garbage];
            for fault in faults {
                proxy.set(fault);
                tokio::time::sleep(lasting).await;
                proxy.set(Fault::None);
                tokio::time::sleep(lasting).await;
            }
            server.lock().await.freeze();
            tokio::time::sleep(lasting).await;
            server.lock().await.thaw();
            tokio::time::sleep(lasting).await;
            server.lock().await.stop();
            tokio::time::sleep(lasting).await;
            server.lock().await.again().await;
            tokio::time::sleep(lasting).await;
            restart(server).await;
            tokio::time::sleep(lasting).await;
        }
        // What is watched is loaded anew.
        let config = self.files.path("config.toml");
        fs::write(&config, fs::read_to_string(&config).unwrap() + "\n").unwrap();
        tokio::time::sleep(lasting).await;
    }

    /// Waits until everything answers; then what the hub holds: MiB, descriptors, tasks.
    async fn held_when_well(&self) -> (f64, usize, usize) {
        let mut client = query_client(&self.hub, &self.files, "H21.99/all").await;
        let (started, id) = (Instant::now(), self.people.iter().next().unwrap());
        loop {
            let answer = client.query(request(id, &[RESIDENT, BIRTH])).await;
            if answer.is_ok_and(|answer| checked(&self.schema, answer.get_ref(), id) == "FOUND") {
                break;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "the hub does not come back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(client);
        // Connections that were given up are closed by then.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let metrics = http_get(&self.hub.metrics_address().unwrap(), "/metrics").await;
        let tasks = metrics.lines().find(|line| line.starts_with("lienthong_tasks{")).unwrap();
        let (memory, descriptors) = held_by(&self.hub);
        (memory, descriptors, tasks.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as usize)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_again_and_again_nothing_grows() {
    if !Server::available(Engine::Postgres) {
        return;
    }
    let minutes = std::env::var("LIENTHONG_SOAK_MINUTES").map_or(30, |minutes| minutes.parse().unwrap());
    let (cycles, lasting, whole) = if tests::long() {
        (WARM + 2, Duration::from_secs(4), Duration::from_secs(60 * minutes))
    } else {
        (2, Duration::from_millis(300), Duration::ZERO)
    };
    let stage = Stage::set().await;
    let stop = Arc::new(AtomicBool::new(false));
    let (started, callers) = (Instant::now(), stage.load(&stop).await);
    let mut held = Vec::new();
    while held.len() < cycles || started.elapsed() < whole {
        stage.cycle(lasting).await;
        held.push(stage.held_when_well().await);
        let (memory, descriptors, tasks) = held[held.len() - 1];
        println!(
            "{:.1} min, cycle {}: {memory:.0} MiB, {descriptors} descriptors, {tasks} tasks",
            started.elapsed().as_secs_f64() / 60.0,
            held.len()
        );
    }
    stop.store(true, Ordering::Relaxed);
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut receipts: BTreeMap<u64, Receipt> = BTreeMap::new();
    let mut late = Duration::ZERO;
    for caller in callers {
        let seen = caller.await.unwrap();
        seen.outcomes.into_iter().for_each(|(outcome, count)| *outcomes.entry(outcome).or_default() += count);
        late = late.max(seen.late);
        for receipt in seen.receipts {
            assert!(receipts.insert(receipt.log_index, receipt).is_none(), "two answers share an entry");
        }
    }
    println!("{outcomes:?}, at most {late:?} after the deadline");
    assert!(outcomes["FOUND"] > 0 && late <= grace(), "{outcomes:?}, {late:?}");
    if tests::long() {
        let (warm, last) = (held[WARM - 1], held[held.len() - 1]);
        assert!(last.0 < warm.0 * 1.2 + 16.0, "memory: {held:?}");
        assert!(last.1 <= warm.1 + 8 && last.2 <= warm.2 + 8, "descriptors, tasks: {held:?}");
    }
    assert!(stage.hub.stop());

    let location = audit::Location::postgres(&stage.log.0.lock().await.root_url()).unwrap();
    audit::verify::verify_store(&location, &stage.files.log_key(), &[], |_: Progress| {}).await.unwrap();
    let key = audit::SigningKey::load(&stage.files.path("keys/log.key")).unwrap();
    let log = audit::AuditLog::open(&location, key, audit::Options::default()).await.unwrap();
    let step = receipts.len().div_ceil(10_000);
    for receipt in receipts.values().step_by(step) {
        assert_eq!(log.entry(receipt.log_index).await.unwrap().leaf_hash, receipt.leaf_hash);
    }
    println!("{} answers, one in {step} looked up: each in a log that verifies", receipts.len());
    log.close().await;
}
