//! How fast the log appends on each store, beside what the same disk and database do bare, in one run.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::AuditLog;
use proto::audit::v1::Entry;
use sqlx::{ConnectOptions, Connection};

use crate::{Place, Server, Store, entry};

/// What is measured with, unless `LIENTHONG_TEST_CALLERS` lists other numbers.
const CALLERS: &str = "1,16,64,256";
/// Entries made before the time is taken: to make one takes its caller longer than to append it takes the log.
const ENTRIES: u64 = 1024;
/// Turns of callers and of one-row transactions with each other, so that both meet the same disk.
const TURNS: u32 = 8;
/// Before a turn of one-row transactions, nobody follows the log any more.
const REST: Duration = Duration::from_millis(250);

fn span() -> Duration {
    let seconds = std::env::var("LIENTHONG_TEST_RATE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(4))
}

/// Rate a second, median and 99th percentile of the waits.
struct Measured {
    rate: f64,
    median: Duration,
    slowest: Duration,
    count: u64,
}

impl Measured {
    fn of(mut waits: Vec<Duration>, elapsed: Duration) -> Self {
        waits.sort_unstable();
        let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize];
        Self {
            rate: waits.len() as f64 / elapsed.as_secs_f64(),
            median: at(0.5),
            slowest: at(0.99),
            count: waits.len() as u64,
        }
    }

    fn print(&self, what: &str, beside: &str) {
        println!("{what:<34} {:>8.0}/s  p50 {:>9.1?}  p99 {:>9.1?}  {beside}", self.rate, self.median, self.slowest);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: run it alone, in release"]
async fn appends_per_second() {
    fdatasync().print("fdatasync of 4 KiB", "");
    let only = std::env::var("LIENTHONG_TEST_STORE").unwrap_or_default();
    let callers = std::env::var("LIENTHONG_TEST_CALLERS").unwrap_or_else(|_| CALLERS.to_owned());
    for store in [Store::Sqlite, Store::Postgres] {
        let server = if store == Store::Postgres { Server::start(&[]) } else { None };
        if !format!("{store:?}").contains(&only) || (store == Store::Postgres && server.is_none()) {
            continue;
        }
        // As in a hub, whoever writes is a task among others.
        let own_place = place(store, &server).await;
        tokio::spawn(async move { one_caller(&own_place).await }).await.unwrap();
        for callers in callers.split(',').map(|callers| callers.parse().unwrap()) {
            appends(&place(store, &server).await, callers).await;
        }
    }
}

/// An empty place; a database on a server that syncs what it commits.
pub(crate) async fn place(store: Store, server: &Option<Server>) -> Place {
    match server {
        Some(server) if store == Store::Postgres => Place::on(server).await,
        _ => Place::empty(store).await,
    }
}

fn fdatasync() -> Measured {
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(directory.path().join("bare")).unwrap();
    (&file).write_all(&[0; 1 << 20]).unwrap();
    file.sync_all().unwrap();
    let (started, mut waits) = (Instant::now(), Vec::new());
    while started.elapsed() < span() {
        let begun = Instant::now();
        file.write_all_at(&[waits.len() as u8; 4096], (waits.len() as u64 % 256) * 4096).unwrap();
        file.sync_data().unwrap();
        waits.push(begun.elapsed());
    }
    Measured::of(waits, started.elapsed())
}

/// A table beside the log, to write a row a transaction.
enum Bare {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Bare {
    async fn open(place: &Place) -> Self {
        match place.store {
            Store::Sqlite => {
                let options = sqlx::sqlite::SqliteConnectOptions::new()
                    .filename(place.directory.path().join("bare.db"))
                    .create_if_missing(true)
                    .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
                    .synchronous(sqlx::sqlite::SqliteSynchronous::Full);
                let mut connection = options.disable_statement_logging().connect().await.unwrap();
                let table = "CREATE TABLE rows (id INTEGER PRIMARY KEY, value BLOB)";
                sqlx::raw_sql(table).execute(&mut connection).await.unwrap();
                Self::Sqlite(connection)
            }
            Store::Postgres => {
                let mut connection = sqlx::PgConnection::connect(&place.address()).await.unwrap();
                let table = "CREATE TABLE rows (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value bytea)";
                sqlx::raw_sql(table).execute(&mut connection).await.unwrap();
                Self::Postgres(connection)
            }
        }
    }

    /// One transaction of so many rows of a value; how long it took.
    async fn write(&mut self, value: &[u8], count: u64) -> Duration {
        let begun = Instant::now();
        match self {
            Self::Sqlite(connection) => {
                let rows = vec!["(?)"; count as usize].join(",");
                let insert = sqlx::AssertSqlSafe(format!("INSERT INTO rows (value) VALUES {rows}"));
                let query = (0..count).fold(sqlx::query(insert), |query, _| query.bind(value));
                query.execute(connection).await.map(drop)
            }
            Self::Postgres(connection) => {
                let query = sqlx::query("INSERT INTO rows (value) SELECT unnest($1::bytea[])");
                query.bind(vec![value; count as usize]).execute(connection).await.map(drop)
            }
        }
        .unwrap();
        begun.elapsed()
    }

    /// Transactions of so many rows for a while.
    async fn write_for(&mut self, value: &[u8], count: u64, turn: Duration) -> (Vec<Duration>, Duration) {
        let (started, mut waits) = (Instant::now(), Vec::new());
        while started.elapsed() < turn {
            waits.push(self.write(value, count).await);
        }
        (waits, started.elapsed())
    }
}

/// One caller, and one-row transactions in turns with it, so that both meet the same disk.
async fn one_caller(place: &Place) {
    let (mut bare, value) = (Bare::open(place).await, prost::Message::encode_to_vec(&entry(0)));
    let log = place.open().await;
    let (started, mut waits, mut bare_waits) = (Instant::now(), Vec::new(), Vec::new());
    while started.elapsed() < 2 * span() {
        for _ in 0..20 {
            let entry = entry(waits.len() as u64);
            let begun = Instant::now();
            log.append(entry).await.unwrap();
            waits.push(begun.elapsed());
        }
        for _ in 0..20 {
            bare_waits.push(bare.write(&value, 1).await);
        }
    }
    log.close().await;
    let total = |waits: &[Duration]| waits.iter().sum::<Duration>();
    let (own, beside) = (total(&waits), total(&bare_waits));
    let (measured, bare) = (Measured::of(waits, own), Measured::of(bare_waits, beside));
    let ratio = measured.median.as_secs_f64() / bare.median.as_secs_f64();
    measured.print(
        &format!("{:?}, one caller in turns", place.store),
        &format!("a bare commit p50 {:.1?}: {ratio:.2} x its wait", bare.median),
    );
}

/// One caller's appends. It takes its next entry while it waits: what is measured is the log.
async fn append_for(log: Arc<AuditLog>, entries: Arc<Vec<Entry>>, turn: Duration, first: usize) -> Vec<Duration> {
    let at = |number: usize| entries[(61 * first + number) % entries.len()].clone();
    let (started, mut waits, mut next) = (Instant::now(), Vec::new(), at(0));
    while started.elapsed() < turn {
        let begun = Instant::now();
        let append = async {
            log.append(std::mem::take(&mut next)).await.unwrap();
            begun.elapsed()
        };
        let (wait, following) = futures::join!(append, async { at(waits.len() + 1) });
        waits.push(wait);
        next = following;
    }
    waits
}

async fn appends(place: &Place, callers: u64) {
    let (mut bare, value) = (Bare::open(place).await, prost::Message::encode_to_vec(&entry(0)));
    let log = Arc::new(place.open().await);
    let entries: Arc<Vec<_>> = Arc::new((0..ENTRIES).map(entry).collect());
    let turn = span() / TURNS;
    let (mut waits, mut bare_waits, mut ratios, mut bounds) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut elapsed, mut bare_elapsed) = (Duration::ZERO, Duration::ZERO);
    let mut started = Instant::now();
    for _ in 0..TURNS {
        tokio::time::sleep(REST).await;
        let (rows, took) = bare.write_for(&value, 1, turn).await;
        let row_rate = rows.len() as f64 / took.as_secs_f64();
        bare_elapsed += took;
        bare_waits.extend(rows);
        let (together, took) = bare.write_for(&value, callers, turn).await;
        bounds.push((callers * together.len() as u64) as f64 / took.as_secs_f64() / row_rate);
        started = Instant::now();
        let append = |caller| append_for(Arc::clone(&log), Arc::clone(&entries), turn, caller as usize);
        let tasks = (0..callers).map(|caller| tokio::spawn(append(caller)));
        let appended: Vec<Duration> =
            futures::future::join_all(tasks.collect::<Vec<_>>()).await.into_iter().flat_map(Result::unwrap).collect();
        ratios.push(appended.len() as f64 / started.elapsed().as_secs_f64() / row_rate);
        elapsed += started.elapsed();
        waits.extend(appended);
    }
    let (measured, bare) = (Measured::of(waits, elapsed), Measured::of(bare_waits, bare_elapsed));
    ratios.sort_by(f64::total_cmp);
    bounds.sort_by(f64::total_cmp);
    let ended = started + turn;
    log.close().await;
    let lag = ended.elapsed();
    let begun = Instant::now();
    let report = place.verify().await.unwrap();
    let verified = report.tree_size as f64 / begun.elapsed().as_secs_f64();
    let (log_bytes, index_bytes) = bytes(place).await;
    let count = measured.count;
    let beside = format!(
        "{:.1} ({:.1} to {:.1}) x the one-row rate of {:.0}/s (as many bare rows in one transaction {:.1} x), wait {:.2} x; index {lag:.1?} behind; verified {verified:.0}/s; {} + {} bytes an entry",
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1],
        bare.rate,
        bounds[bounds.len() / 2],
        measured.median.as_secs_f64() / bare.median.as_secs_f64(),
        log_bytes / count,
        index_bytes / count
    );
    measured.print(&format!("{:?}, {callers} callers", place.store), &beside);
}

/// Bytes of the log and of its index.
pub(crate) async fn bytes(place: &Place) -> (u64, u64) {
    match place.store {
        Store::Sqlite => {
            let bytes = |name: &str| std::fs::metadata(place.directory.path().join(name)).unwrap().len();
            (bytes("audit.db"), bytes("audit.db.index"))
        }
        Store::Postgres => {
            let select = "SELECT pg_total_relation_size('entries') + pg_total_relation_size('hashes')
                                 + pg_total_relation_size('heads'),
                                 pg_total_relation_size('index_buckets') + pg_total_relation_size('index_blocks')";
            let (log, index): (i64, i64) = sqlx::query_as(select).fetch_one(&mut place.connect().await).await.unwrap();
            (log as u64, index as u64)
        }
    }
}

/// Verifying files, beside hashing the same bytes once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: run it alone, in release"]
async fn tiles_exported_and_verified_per_second() {
    let place = Place::empty(Store::Sqlite).await;
    let log = place.open().await;
    let count = 300_000;
    crate::fill(&log, 0..count).await;
    log.close().await;
    let (folder, key) = (place.directory.path().join("tiles"), place.verifier());
    let begun = Instant::now();
    let exported = audit::tiles::export(&place.location(), &key, &folder, |_, _| {}).await.unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    println!("{count} entries exported in {seconds:.2} s, {} files", exported.file_count);
    for _ in 0..3 {
        let begun = Instant::now();
        audit::tiles::verify(&folder, &key, &[], None, |_| {}).unwrap();
        let verified = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        let (mut folders, mut bytes) = (vec![folder.clone()], 0);
        while let Some(next) = folders.pop() {
            for file in std::fs::read_dir(next).unwrap() {
                let path = file.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let content = std::fs::read(path).unwrap();
                    bytes += content.len();
                    std::hint::black_box(audit::tree::leaf_hash(&content));
                }
            }
        }
        let hashed = begun.elapsed().as_secs_f64();
        println!(
            "{bytes} bytes verified in {verified:.2} s ({:.0} entries/s), read and hashed in {hashed:.2} s: {:.2} of that speed",
            count as f64 / verified,
            hashed / verified
        );
    }
}
