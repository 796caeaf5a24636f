//! Years of entries: how long a search takes among a million and among ten, how fast all of it is verified, how many bytes
//! an entry takes, and how much memory.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use audit::{AuditLog, Filter, Options, tree};
use futures::StreamExt;
use proto::audit::v1::{Access, Caller, Entry, Officer, Purpose, SourceResult, SubjectHash};
use proto::options::v1::IdentifierKind;

use crate::place::Folder;
use crate::{Place, Server, Store, rate};

const YEAR_SECONDS: u64 = 365 * 86_400;
/// Entries of a year.
const YEAR: u64 = 2_000_000;
const OFFICERS: u64 = 2_000;
const SUBJECTS: u64 = 1_000_000;
const SEARCHES: u64 = 100;

/// Scatters numbers; the same every time.
fn scatter(number: u64, salt: u64) -> u64 {
    let mixed = (number ^ salt << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 24
}

fn subject(number: u64) -> SubjectHash {
    SubjectHash {
        kind: IdentifierKind::PersonalId as i32,
        key_id: "2026-01".to_owned(),
        hash: (0..4)
            .flat_map(|part| scatter(number, part + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes())
            .collect(),
    }
}

fn officer(number: u64) -> String {
    format!("CB-{number:05}")
}

fn time(number: u64) -> prost_types::Timestamp {
    let micros = number * (YEAR_SECONDS * 1_000_000 / YEAR);
    prost_types::Timestamp {
        seconds: 1_700_000_000 + (micros / 1_000_000) as i64,
        nanos: (micros % 1_000_000) as i32 * 1000,
    }
}

/// An entry as a province's work makes them: a question of an officer about a person, two records, eight fields.
fn access(number: u64) -> Entry {
    let pick = |count: u64, salt: u64| scatter(number, salt) % count;
    let fields =
        ["full_name", "birth_date", "gender", "personal_id", "permanent_address", "marital_status", "nationality"];
    let some =
        |first: u64| (0..4).map(|at| fields[(first + at) as usize % fields.len()].to_owned()).collect::<Vec<_>>();
    Entry {
        version: 1,
        time: Some(time(number)),
        kind: 1,
        method: "lienthong.query.v1.QueryService/Query".to_owned(),
        caller: Some(Caller {
            agency: format!("H21.{:02}.{:02}", pick(20, 1), pick(8, 2)),
            system: ["portal", "one-stop", "registry"][pick(3, 3) as usize].to_owned(),
            certificate_sha256: format!("{:064x}", pick(60, 4)),
        }),
        officer: Some(Officer {
            id: officer(pick(OFFICERS, 5)),
            name: "Nguyễn Thị Kiểm Thử".to_owned(),
            unit: "Bộ phận Một cửa".to_owned(),
            assurance: "proven".to_owned(),
        }),
        purpose: Some(Purpose {
            code: format!("purpose_{}", pick(12, 6)),
            dossier_number: format!("H21.{:02}-260914-{:07}", pick(20, 1), number / 2),
            justification: String::new(),
        }),
        subjects: vec![subject(pick(SUBJECTS, 7)), subject(SUBJECTS + pick(SUBJECTS, 7))],
        accesses: [8, 9]
            .map(|salt| Access {
                record_type: format!("example.sector{}.v1.Record", pick(6, salt)),
                fields_asked: some(pick(7, salt)),
                fields_released: some(pick(7, salt)),
                agreements: vec![format!("{:02}/2026/TT", pick(30, salt))],
                policy_ids: vec!["agreement".to_owned()],
                ..Access::default()
            })
            .to_vec(),
        sources: vec![SourceResult {
            source: format!("source-{}", pick(6, 8)),
            record_type: format!("example.sector{}.v1.Record", pick(6, 8)),
            outcome: "FOUND".to_owned(),
            mapping_digest: format!("{:064x}", pick(6, 8)),
            record_count: 1,
            ..SourceResult::default()
        }],
        outcome: 1 + i32::from(pick(20, 10) == 0),
        response_digest: vec![number as u8; 32],
        duration_microseconds: 500 + pick(4000, 11),
        trace_id: format!("{:032x}", scatter(number, 12)),
        disclosure: 1,
        ..Entry::default()
    }
}

/// Megabytes of memory in use: now, and at most so far.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// Each of these twice; the second time is the warm one.
async fn searched(log: &AuditLog, what: &str, filters: Vec<Filter>) {
    let (mut waits, mut found) = (Vec::new(), 0);
    for filter in &filters {
        log.search(filter, 50, "").await.unwrap();
        let begun = Instant::now();
        let page = log.search(filter, 50, "").await.unwrap();
        waits.push(begun.elapsed());
        found += page.entries.len();
    }
    waits.sort_unstable();
    let (median, slowest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    println!("  search by {what}: p50 {median:.1?}, slowest of {} {slowest:.1?}; {found} entries found", filters.len());
    assert!(found > 0, "{what}");
    assert!(median < Duration::from_millis(50), "{what}: {median:?}");
}

/// Seconds to hash as many bytes as the log holds, as the tree hashes them and already in memory.
fn hashing(count: u64, entry_bytes: u64) -> f64 {
    let entry = vec![7_u8; (entry_bytes / count) as usize];
    let sample = count.min(1_000_000);
    let begun = Instant::now();
    let mut hash = tree::leaf_hash(&entry);
    for _ in 0..sample {
        hash = tree::node_hash(&hash, &tree::leaf_hash(&entry));
    }
    std::hint::black_box(hash);
    begun.elapsed().as_secs_f64() * (count as f64 / sample as f64)
}

/// `LIENTHONG_TEST_ENTRIES` lists other sizes, `LIENTHONG_TEST_STORE` names one store. `LIENTHONG_TEST_FOLDER` names a folder in
/// which the logs are kept: another run grows them further, or only measures them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: run it alone, in release"]
async fn searched_and_verified_at_every_size() {
    let sizes = std::env::var("LIENTHONG_TEST_ENTRIES").unwrap_or_else(|_| "1000000,10000000".to_owned());
    let only = std::env::var("LIENTHONG_TEST_STORE").unwrap_or_default();
    for store in [Store::Sqlite, Store::Postgres] {
        if !format!("{store:?}").contains(&only) {
            continue;
        }
        let Some((_server, place)) = place(store).await else { continue };
        for size in sizes.split(',').map(|size| size.parse::<u64>().unwrap()) {
            grow(&place, size).await;
            measure(&place, size).await;
        }
    }
}

/// The server the log is on, which ends last, and its place there; none where PostgreSQL is not installed.
async fn place(store: Store) -> Option<(Option<Server>, Place)> {
    let kept = std::env::var_os("LIENTHONG_TEST_FOLDER").map(PathBuf::from);
    let folder = || kept.as_ref().map_or_else(Folder::temporary, |kept| Folder::kept(&kept.join("server")));
    let server = match store {
        Store::Sqlite => None,
        Store::Postgres => Some(Server::start_in(folder(), &["max_wal_size=4GB", "shared_buffers=512MB"])?),
    };
    let place = match &kept {
        Some(kept) => Place::kept(store, kept, server.as_ref().map(Server::address)).await,
        None => rate::place(store, &server).await,
    };
    Some((server, place))
}

async fn grow(place: &Place, to: u64) {
    let options = Options { batch_size_max: 2048, queue_size_max: 8192, ..Options::default() };
    let log = place.open_with(options).await;
    let from = log.checkpoint().tree_size;
    let begun = Instant::now();
    futures::stream::iter(from..to)
        .map(|number| log.append(access(number)))
        .buffered(4096)
        .for_each(async |done| {
            done.unwrap();
        })
        .await;
    let appended = begun.elapsed();
    // Searching waits for the index.
    while let Err(error) = log.search(&Filter::default(), 1, "").await {
        assert!(matches!(error, audit::AuditError::IndexBehind { .. }), "{error}");
    }
    let rate = (to - from) as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{:?}: grown to {to} entries in {appended:.1?}, indexed after {:.1?}: {rate:.0}/s",
        place.store,
        begun.elapsed()
    );
    log.close().await;
}

async fn measure(place: &Place, count: u64) {
    let begun = Instant::now();
    let log = place.open().await;
    let week = |number: u64| {
        let first = scatter(number, 20) % count.saturating_sub(YEAR / 52).max(1);
        (Some(time(first)), Some(time(first + YEAR / 52)))
    };
    log.search(&Filter::default(), 1, "").await.unwrap();
    println!("  open and searchable after {:.1?}", begun.elapsed());
    let by_subject = |number| Filter { subjects: vec![subject(scatter(number, 21) % SUBJECTS)], ..Filter::default() };
    searched(&log, "subject", (0..SEARCHES).map(by_subject).collect()).await;
    let by_officer = |number| {
        let (from, until) = week(number);
        Filter { officer: Some(officer(scatter(number, 22) % OFFICERS)), from, until, ..Filter::default() }
    };
    searched(&log, "officer and week", (0..SEARCHES).map(by_officer).collect()).await;
    log.close().await;
    let (before, _) = memory();
    let begun = Instant::now();
    let report = place.verify().await.unwrap();
    let verified = begun.elapsed().as_secs_f64();
    assert_eq!(report.tree_size, count);
    let entry_bytes =
        (0..1000).map(|at| prost::Message::encoded_len(&access(at * count / 1000)) as u64).sum::<u64>() * count / 1000;
    let hashed = hashing(count, entry_bytes);
    println!(
        "  verified in {verified:.1} s, {:.0} entries/s; the same bytes hashed in memory in {hashed:.1} s: {:.2} of that speed",
        count as f64 / verified,
        hashed / verified
    );
    let (log_bytes, index_bytes) = rate::bytes(place).await;
    let (now, most) = memory();
    println!(
        "  an entry of {} bytes takes {} in the log and {} in the index; memory {before} MB before and {now} MB after verifying, {most} MB at most",
        entry_bytes / count,
        log_bytes / count,
        index_bytes / count
    );
}
