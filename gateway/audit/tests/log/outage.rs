//! A PostgreSQL server of the log's own that is restarted, crashes, hangs, and is replaced by its standby in the middle of
//! batches: no acknowledged entry is missing, the tree is whole, and the log goes on by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use audit::{AppendError, AuditLog, Location, Options};
use prost::Message;
use tokio::task::JoinHandle;

use crate::{Place, Server, entry};

fn long() -> bool {
    std::env::var("LIENTHONG_TESTS").is_ok_and(|tests| tests == "long")
}

/// What a caller appended, as log index and number of the entry, and how often it was refused.
type Seen = (Vec<(u64, u64)>, u64);

/// Sixteen callers that append until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    /// Callers that were answered so far.
    acknowledged: Arc<AtomicU64>,
    callers: Vec<JoinHandle<Seen>>,
}

impl Load {
    fn begin(log: &Arc<AuditLog>) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let callers = (0..16u64).map(|caller| {
            let (log, stop, acknowledged) = (log.clone(), stop.clone(), acknowledged.clone());
            tokio::spawn(async move {
                let (mut acks, mut refused) = (Vec::new(), 0);
                for turn in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let number = caller * 10_000_000 + turn;
                    match log.append(entry(number)).await {
                        Ok(appended) => {
                            acks.push((appended.log_index, number));
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(AppendError::Store(_)) => {
                            refused += 1;
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                (acks, refused)
            })
        });
        let callers = callers.collect();
        Self { stop, acknowledged, callers }
    }

    /// Waits until entries are acknowledged again; how long that took.
    async fn goes_on(&self) -> Duration {
        let (known, begun) = (self.acknowledged.load(Ordering::Relaxed), Instant::now());
        while self.acknowledged.load(Ordering::Relaxed) <= known + 16 {
            assert!(begun.elapsed() < Duration::from_secs(60), "the log does not go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        begun.elapsed()
    }

    async fn end(self) -> (Vec<(u64, u64)>, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut acks, mut refused) = (Vec::new(), 0);
        for caller in self.callers {
            let (more, not) = caller.await.unwrap();
            acks.extend(more);
            refused += not;
        }
        (acks, refused)
    }
}

/// Every acknowledged entry stands at its index, once, in a log that verifies.
async fn check(place: &Place, location: &Location, log: &AuditLog, acks: &[(u64, u64)]) -> u64 {
    let mut indices: Vec<u64> = acks.iter().map(|(index, _)| *index).collect();
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), acks.len(), "two answers share an entry");
    for (index, number) in acks {
        let logged = log.entry(*index).await.unwrap();
        assert_eq!(logged.entry_bytes, entry(*number).encode_to_vec(), "entry {index}");
    }
    log.close().await;
    let verified = audit::verify::verify_store(location, &place.verifier(), &[], |_| {}).await;
    verified.unwrap().tree_size
}

#[tokio::test(flavor = "multi_thread")]
async fn restarted_crashed_and_hung_under_load() {
    let Some(mut server) = Server::start(&[]) else { return };
    let place = Place::on(&server).await;
    let log = Arc::new(place.open().await);
    let load = Load::begin(&log);
    load.goes_on().await;
    let rounds = if long() { 10 } else { 2 };
    let mut waits = Vec::new();
    for _ in 0..rounds {
        tokio::task::block_in_place(|| server.restart());
        waits.push(("restart", load.goes_on().await));
        tokio::task::block_in_place(|| server.crash());
        tokio::task::block_in_place(|| server.run());
        waits.push(("crash", load.goes_on().await));
    }
    let hung = Duration::from_secs(if long() { 60 } else { 8 });
    server.freeze();
    tokio::time::sleep(hung).await;
    server.thaw();
    waits.push(("hang", load.goes_on().await));
    let (acks, refused) = load.end().await;
    let tree_size = check(&place, &place.location(), &log, &acks).await;
    println!(
        "{rounds} restarts, {rounds} crashes, {hung:?} of silence: {} entries acknowledged, all among the {tree_size} of a log \
         that verifies; {refused} refused; going on again after at most {:?}",
        acks.len(),
        waits.iter().map(|(_, wait)| *wait).max().unwrap()
    );
    assert!(refused > 0);
}

/// The standby must hold what is acknowledged (`synchronous_standby_names`); it takes over at the same address, as behind a
/// virtual address or a proxy.
#[tokio::test(flavor = "multi_thread")]
async fn failed_over_to_the_standby_in_the_middle_of_a_batch() {
    let Some(mut first) = Server::start(&["wal_level=replica", "max_wal_senders=4"]) else { return };
    let place = Place::on(&first).await;
    let mut standby = first.standby("standby", &[]);
    execute(&first, "ALTER SYSTEM SET synchronous_standby_names = 'standby'").await;
    execute(&first, "SELECT pg_reload_conf()").await;
    let mut lag = true;
    for _ in 0..100 {
        let synchronous = scalar(&first, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").await;
        lag = synchronous != 1;
        if !lag {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!lag, "the standby does not follow");
    let proxy = proxy(first.port).await;
    let database = place.address().rsplit_once('/').unwrap().1.to_owned();
    let location = Location::postgres(&format!("postgres://test@127.0.0.1:{}/{database}", proxy.port)).unwrap();
    let log = Arc::new(AuditLog::open(&location, place.key(), Options::default()).await.unwrap());
    let load = Load::begin(&log);
    load.goes_on().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::task::block_in_place(|| first.crash());
    execute(&standby, "SELECT pg_promote()").await;
    proxy.target.store(u64::from(standby.port), Ordering::Relaxed);
    let wait = load.goes_on().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (acks, refused) = load.end().await;
    let tree_size = check(&place, &location, &log, &acks).await;
    println!(
        "failed over: {} entries acknowledged, all among the {tree_size} of a log that verifies; {refused} refused; going on \
         again after {wait:?}",
        acks.len()
    );
    standby.restart();
    drop(standby);
    // The place is dropped on the first server, which no standby follows any more.
    first.run_with("synchronous_standby_names=");
}

async fn connect(server: &Server) -> sqlx::PgConnection {
    for _ in 0..100 {
        if let Ok(connection) = <sqlx::PgConnection as sqlx::Connection>::connect(&server.address()).await {
            return connection;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server does not answer");
}

async fn execute(server: &Server, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut connect(server).await).await.unwrap();
}

async fn scalar(server: &Server, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut connect(server).await).await.unwrap()
}

/// An address that stays while the server behind it changes.
struct Proxy {
    port: u16,
    target: Arc<AtomicU64>,
}

async fn proxy(port: u16) -> Proxy {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let target = Arc::new(AtomicU64::new(u64::from(port)));
    let to = target.clone();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let port = to.load(Ordering::Relaxed) as u16;
            tokio::spawn(async move {
                if let Ok(mut server) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut server).await;
                }
            });
        }
    });
    Proxy { port: own, target }
}
