//! Faults of the database that holds the log, during load: no answer without its entry, every call ends in time with a clear
//! word, and all is well again without a hand.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use audit::verify::Progress;
use proto::query::v1::Receipt;
use tests::{Databases, Engine, Fault, Hub, HubFiles, Proxy, Server, Settings, error_info, query_client};
use tokio::{sync::Mutex, task::JoinHandle};
use tonic::{Code, Request};

use crate::{
    faults::{grace, restart},
    kill::request,
};

const DEADLINE: Duration = Duration::from_millis(1_500);
const CALLERS: usize = 8;

/// What callers saw.
#[derive(Default)]
struct Seen {
    receipts: Vec<Receipt>,
    refused: BTreeMap<String, usize>,
    /// The latest end of a call after its deadline.
    late: Duration,
}

struct Stage {
    hub: Hub,
    files: HubFiles,
    personal_id: String,
    _databases: Databases,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn set(log_url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
        let somebody = databases.fill(100, 41, None).await.cast.everywhere.unwrap();
        let files = HubFiles::write(&databases, &Settings { log_url: Some(log_url.to_owned()), ..Settings::default() });
        let hub = Hub::start(&files);
        Self { hub, files, personal_id: somebody.personal_id, _databases: databases, _folder: folder }
    }

    async fn load(&self, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<Seen>> {
        let client = query_client(&self.hub, &self.files, "H21.99/all").await;
        (0..CALLERS)
            .map(|_| {
                let (mut client, stop, personal_id) = (client.clone(), Arc::clone(stop), self.personal_id.clone());
                tokio::spawn(async move {
                    let mut seen = Seen::default();
                    while !stop.load(Ordering::Relaxed) {
                        let mut request = Request::new(request(&personal_id));
                        request.set_timeout(DEADLINE);
                        let asked = Instant::now();
                        let answer = client.query(request).await;
                        seen.late = seen.late.max(asked.elapsed().saturating_sub(DEADLINE));
                        match answer {
                            Ok(answer) => seen.receipts.push(answer.into_inner().receipt.unwrap()),
                            Err(status) => {
                                let reason = match status.code() {
                                    Code::Unavailable => error_info(&status).0,
                                    // The caller's own clock, a little before the hub's word arrived.
                                    Code::DeadlineExceeded | Code::Cancelled => "DEADLINE".to_owned(),
                                    _ => panic!("no clear word: {status:?}"),
                                };
                                *seen.refused.entry(reason).or_default() += 1;
                                tokio::time::sleep(Duration::from_millis(10)).await;
                            }
                        }
                    }
                    seen
                })
            })
            .collect()
    }

    /// Load before, during and after a fault; what was seen, with how long it took until the hub answered again.
    async fn during(&self, begin: impl AsyncFnOnce(), lasting: Duration, end: impl AsyncFnOnce()) -> (Seen, Duration) {
        let stop = Arc::new(AtomicBool::new(false));
        let callers = self.load(&stop).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        begin().await;
        tokio::time::sleep(lasting).await;
        end().await;
        let ended = Instant::now();
        let mut client = query_client(&self.hub, &self.files, "H21.99/all").await;
        while let Err(status) = client.query(request(&self.personal_id)).await {
            assert!(ended.elapsed() < Duration::from_secs(30), "the log does not come back: {status:?}");
        }
        let recovered = ended.elapsed();
        stop.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        for caller in callers {
            let seen = caller.await.unwrap();
            all.receipts.extend(seen.receipts);
            all.late = all.late.max(seen.late);
            seen.refused.into_iter().for_each(|(reason, count)| *all.refused.entry(reason).or_default() += count);
        }
        assert!(all.late <= grace(), "a call ended {:?} after its deadline", all.late);
        (all, recovered)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_without_its_entry_whatever_happens_to_the_logs_database() {
    if !Server::available(Engine::Postgres) {
        return;
    }
    let server = Server::start(Engine::Postgres).await;
    let proxy = Proxy::start(&server.place()).await;
    let url = server.root_url().replace(&server.place(), &proxy.address);
    let stage = Stage::set(&url).await;
    let lasting = Duration::from_secs(if tests::long() { 60 } else { 3 });
    let mut receipts: BTreeMap<u64, Receipt> = BTreeMap::new();
    let mut note = |what: &str, (seen, recovered): (Seen, Duration)| {
        println!(
            "{what}: {} answers, refused {:?}, latest {:?} after its deadline, well again after {recovered:?}",
            seen.receipts.len(),
            seen.refused,
            seen.late
        );
        assert!(!seen.receipts.is_empty(), "{what}: there was load");
        for receipt in seen.receipts {
            assert!(receipts.insert(receipt.log_index, receipt).is_none(), "two answers share an entry");
        }
    };
    for fault in [Fault::Slow(Duration::from_millis(100)), Fault::Hung, Fault::Down, Fault::Cut, Fault::Garbage] {
        let seen = stage.during(async || proxy.set(fault), lasting, async || proxy.set(Fault::None)).await;
        note(&format!("{fault:?}"), seen);
    }
    let server = Mutex::new(server);
    note(
        "stopped",
        stage.during(async || server.lock().await.freeze(), lasting, async || server.lock().await.thaw()).await,
    );
    note(
        "killed",
        stage.during(async || server.lock().await.stop(), lasting, async || server.lock().await.again().await).await,
    );
    note("restarted", stage.during(async || restart(&server).await, lasting, async || {}).await);
    assert!(stage.hub.stop());

    let location = audit::Location::postgres(&server.lock().await.root_url()).unwrap();
    audit::verify::verify_store(&location, &stage.files.log_key(), &[], |_: Progress| {}).await.unwrap();
    let key = audit::SigningKey::load(&stage.files.path("keys/log.key")).unwrap();
    let log = audit::AuditLog::open(&location, key, audit::Options::default()).await.unwrap();
    for receipt in receipts.values() {
        assert_eq!(log.entry(receipt.log_index).await.unwrap().leaf_hash, receipt.leaf_hash);
    }
    println!("{} answers, each of them in a log that verifies", receipts.len());
    log.close().await;
}
