//! How fast the log appends, beside the bare rate of one-row transactions on the same disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;

use crate::{Place, entry};

const SPAN: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: run it alone, in release"]
async fn appends_per_second() {
    let bare = one_row_transactions().await;
    println!("one-row transactions: {bare:.0}/s");
    for callers in [1, 16, 64, 256] {
        let place = Place::empty();
        let log = Arc::new(place.open().await);
        let started = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|caller| {
                let log = log.clone();
                tokio::spawn(async move {
                    let mut waits = Vec::new();
                    while started.elapsed() < SPAN {
                        let begun = Instant::now();
                        log.append(entry(caller * 1_000_000 + waits.len() as u64)).await.unwrap();
                        waits.push(begun.elapsed());
                    }
                    waits
                })
            })
            .collect();
        let mut waits: Vec<Duration> =
            futures::future::join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect();
        let rate = waits.len() as f64 / started.elapsed().as_secs_f64();
        waits.sort_unstable();
        let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize];
        log.close().await;
        let lag = started.elapsed() - SPAN;
        println!(
            "{callers:>3} callers: {rate:>7.0}/s ({:.1} x), p50 {:?}, p99 {:?}; index done {lag:?} later",
            rate / bare,
            at(0.5),
            at(0.99)
        );
        let bytes = |name: &str| std::fs::metadata(place.directory.path().join(name)).unwrap().len();
        let count = waits.len() as u64;
        println!(
            "            {} bytes an entry in the log, {} in the index",
            bytes("audit.db") / count,
            bytes("audit.db.index") / count
        );
        let begun = Instant::now();
        let report = place.verify().await.unwrap();
        println!("            verified {} entries in {:?}", report.tree_size, begun.elapsed());
    }
}

async fn one_row_transactions() -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(directory.path().join("bare.db"))
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Full);
    let mut connection = options.disable_statement_logging().connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE rows (id INTEGER PRIMARY KEY, value BLOB)").execute(&mut connection).await.unwrap();
    let value = prost::Message::encode_to_vec(&entry(0));
    let (started, mut count) = (Instant::now(), 0);
    while started.elapsed() < SPAN {
        sqlx::query("INSERT INTO rows (value) VALUES (?)").bind(&value).execute(&mut connection).await.unwrap();
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

/// Verifying files, beside hashing the same bytes once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: run it alone, in release"]
async fn tiles_exported_and_verified_per_second() {
    let place = Place::empty();
    let log = place.open().await;
    let count = 300_000;
    crate::fill(&log, 0..count).await;
    log.close().await;
    let (folder, key) = (place.directory.path().join("tiles"), place.verifier());
    let begun = Instant::now();
    let exported = audit::tiles::export(&place.path(), &key, &folder, |_, _| {}).await.unwrap();
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
