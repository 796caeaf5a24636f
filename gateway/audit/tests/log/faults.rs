//! Each of the system calls by which the store writes, failing once; a disk that is full: what was acknowledged is there, the
//! tree is whole, and the log goes on by itself. The faults are injected by `strace`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use audit::{AppendError, AuditLog, Options, SigningKey};
use prost::Message;
use proto::audit::v1::Entry;

use crate::{Place, Store, entry};

const PATH: &str = "LIENTHONG_TEST_FAULT_PATH";
const KEY: &str = "LIENTHONG_TEST_FAULT_KEY";
const LIMIT: &str = "LIENTHONG_TEST_FAULT_BYTES";
const LARGE: &str = "LIENTHONG_TEST_FAULT_LARGE";
/// Rounds of a child; in each some entries are appended at once.
const ROUNDS: u64 = 12;
const TOGETHER: u64 = 3;
/// What a disk that fails, or is full, answers to these calls.
const FAULTS: [(&str, &str); 10] = [
    ("fsync", "EIO"),
    ("fdatasync", "EIO"),
    ("pwrite64", "EIO"),
    ("pwrite64", "ENOSPC"),
    ("write", "EIO"),
    ("openat", "EMFILE"),
    ("openat", "EIO"),
    ("ftruncate", "ENOSPC"),
    ("rename", "EIO"),
    ("unlink", "EIO"),
];

fn long() -> bool {
    std::env::var("LIENTHONG_TESTS").is_ok_and(|tests| tests == "long")
}

/// Entries of these numbers are large: together twice as much as is moved out of the write-ahead log at a time.
const LARGE_NUMBERS: Range<u64> = 5000..5100;

fn numbered(number: u64) -> Entry {
    let large = Entry { method: "x".repeat(50_000), ..entry(number) };
    if LARGE_NUMBERS.contains(&number) { large } else { entry(number) }
}

/// Run by the tests below as its own process: opens the log, appends, publishes it as files, and prints `ack index number` for
/// what was acknowledged. Opening may fail, too; then the parent opens the log, as whoever starts the hub again.
#[tokio::test]
#[ignore = "the child process of each_call_failing_once"]
async fn append_through_a_fault() {
    let (Ok(path), Ok(key)) = (std::env::var(PATH), std::env::var(KEY)) else { return };
    let key = || SigningKey::parse(&key).unwrap();
    let place = crate::place::location(&path);
    let folder = Path::new(&path).with_extension("tiles");
    let log = match AuditLog::open(&place, key(), Options::default()).await {
        Ok(log) => log,
        // Calls are counted in each thread, and each connection has one of its own, so opening again would fail again.
        Err(error) => return println!("not opened: {error}"),
    };
    for round in 0..ROUNDS {
        let numbers = round * TOGETHER..(round + 1) * TOGETHER;
        let answers = futures::future::join_all(numbers.clone().map(|number| log.append(entry(number)))).await;
        for (number, answer) in numbers.zip(answers) {
            match answer {
                Ok(appended) => println!("ack {} {number}", appended.log_index),
                Err(AppendError::Store(error)) => println!("failed {number}: {error}"),
                Err(error) => panic!("{error}"),
            }
        }
        if round % 4 == 3
            && let Err(error) = audit::tiles::export(&place, key().verifier(), &folder, |_, _| {}).await
        {
            println!("not published: {error}");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let large = if std::env::var(LARGE).is_ok() { LARGE_NUMBERS } else { 0..0 };
    for number in large {
        match log.append(numbered(number)).await {
            Ok(appended) => println!("ack {} {number}", appended.log_index),
            Err(error) => println!("failed {number}: {error}"),
        }
    }
    // It went on by itself; a new connection may have met the fault once more.
    let mut last = log.append(entry(1000)).await;
    for _ in 0..3 {
        if last.is_ok() {
            break;
        }
        last = log.append(entry(1000)).await;
    }
    println!("ack {} 1000", last.unwrap().log_index);
    log.close().await;
}

/// The child, under `strace` with these arguments, looking at nothing but the files of the log.
fn child(place: &Place, strace: &[&str], large: bool) -> std::process::Output {
    let file = place.address();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq"]).args(strace);
    for suffix in ["", "-wal", "-shm", "-journal", ".lock", ".index", ".index-wal", ".index-shm"] {
        command.args(["-P", &format!("{file}{suffix}")]);
    }
    let tiles = Path::new(&file).with_extension("tiles");
    for name in
        ["", "checkpoint", "checkpoint.new", "tile", "tile/0", "tile/entries", "tile/0/000.p", "tile/entries/000.p"]
    {
        command.arg("-P").arg(tiles.join(name));
    }
    for width in [12, 24, 36, 37] {
        for level in ["0", "entries"] {
            command.arg("-P").arg(tiles.join(format!("tile/{level}/000.p/{width}")));
            command.arg("-P").arg(tiles.join(format!("tile/{level}/000.p/{width}.new")));
        }
    }
    command
        .arg("-P")
        .arg(place.directory.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "faults::append_through_a_fault", "--ignored", "--nocapture", "--test-threads=1"])
        .env(PATH, &file)
        .env(KEY, place.key().to_text().as_str())
        .envs(large.then_some((LARGE, "yes")))
        .output()
        .unwrap()
}

fn text(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// How often the busiest thread of the child makes the call, when nothing fails: `strace` counts in each thread.
async fn calls(call: &str, large: bool) -> u64 {
    let place = Place::empty(Store::Sqlite).await;
    let trace = place.directory.path().join("trace");
    let output = child(&place, &["-e", &format!("trace={call}"), "-o", trace.to_str().unwrap()], large);
    assert!(output.status.success(), "{}", text(&output));
    let mut threads = BTreeMap::<String, u64>::new();
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        if let Some((thread, _)) = line.split_once(' ').filter(|(_, rest)| rest.trim_start().starts_with(call)) {
            *threads.entry(thread.to_owned()).or_default() += 1;
        }
    }
    threads.into_values().max().unwrap_or_default()
}

/// What was acknowledged is there, the tree is whole, and there may be more.
async fn check(place: &Place, printed: &str, context: &str) -> usize {
    let acks: Vec<(u64, u64)> = printed.lines().filter_map(crate::crash::acknowledgement).collect();
    if printed.contains("not opened: ") {
        place.open().await.close().await;
    }
    let before = place.verify().await.unwrap_or_else(|error| panic!("{error}: {context}"));
    let log = place.open().await;
    for (index, number) in &acks {
        let logged = log.entry(*index).await.unwrap_or_else(|error| panic!("{index}: {error}: {context}"));
        assert_eq!(logged.entry_bytes, numbered(*number).encode_to_vec(), "{context}");
    }
    log.append(entry(2000)).await.unwrap();
    log.close().await;
    assert_eq!(place.verify().await.unwrap().tree_size, before.tree_size + 1, "{context}");
    acks.len()
}

#[tokio::test]
async fn each_call_failing_once() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("not tested: there is no strace");
        return;
    }
    let mut lines = Vec::new();
    let (mut all_runs, mut all_acknowledged) = (0, 0);
    for (call, error) in FAULTS {
        let count = calls(call, false).await;
        let step = if long() { 1 } else { (count / 2).max(1) };
        let (mut runs, mut refused, mut unpublished, mut unopened, mut acknowledged) = (0, 0, 0, 0, 0);
        for when in (1..=count).step_by(step as usize) {
            let place = Place::empty(Store::Sqlite).await;
            let inject = format!("inject={call}:error={error}:when={when}");
            let output = child(&place, &["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject], false);
            let printed = text(&output);
            let context = format!("{call} number {when} failing with {error}:\n{printed}");
            assert!(output.status.success(), "{context}");
            acknowledged += check(&place, &printed, &context).await;
            let tiles = place.path().with_extension("tiles");
            audit::tiles::export(&place.location(), &place.verifier(), &tiles, |_, _| {}).await.unwrap();
            let published = audit::tiles::verify(&tiles, &place.verifier(), &[], None, |_| {});
            published.unwrap_or_else(|error| panic!("files: {error}: {context}"));
            runs += 1;
            unopened += printed.matches("not opened").count();
            refused += printed.matches("failed ").count();
            unpublished += printed.matches("not published").count();
        }
        lines.push(format!(
            "{call} {error}: {count} calls, {runs} made to fail: {acknowledged} entries acknowledged and there, \
             {refused} refused, {unpublished} times published later, {unopened} times opened only when started again"
        ));
        all_runs += runs;
        all_acknowledged += acknowledged;
    }
    lines.iter().for_each(|line| println!("{line}"));
    println!("{all_runs} faults, {all_acknowledged} entries acknowledged, none lost, no broken tree");
    assert!(all_runs >= FAULTS.len() - 2);
}

/// As above, while pages are moved out of the write-ahead log beside the writer: some of the calls, in every thread.
#[tokio::test]
async fn calls_failing_while_pages_are_moved() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("not tested: there is no strace");
        return;
    }
    let (mut runs, mut acknowledged) = (0, 0);
    for (call, error) in [("fsync", "EIO"), ("pwrite64", "EIO"), ("pwrite64", "ENOSPC"), ("openat", "EIO")] {
        let count = calls(call, true).await;
        let step = (count / if long() { 100 } else { 2 }).max(1);
        for when in (1..=count).step_by(step as usize) {
            let place = Place::empty(Store::Sqlite).await;
            let inject = format!("inject={call}:error={error}:when={when}");
            let output = child(&place, &["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject], true);
            let printed = text(&output);
            let context = format!("{call} number {when} failing with {error}:\n{printed}");
            assert!(output.status.success(), "{context}");
            acknowledged += check(&place, &printed, &context).await;
            runs += 1;
        }
    }
    println!("{runs} faults, {acknowledged} entries acknowledged, none lost, no broken tree");
}

/// Run by the test below as its own process, in which no file may grow beyond some bytes: a disk that is full, to a database.
#[tokio::test]
#[ignore = "the child process of a_full_disk_refuses_and_goes_on_when_there_is_room"]
async fn append_until_full() {
    let (Ok(path), Ok(key), Ok(limit)) = (std::env::var(PATH), std::env::var(KEY), std::env::var(LIMIT)) else {
        return;
    };
    let place = crate::place::location(&path);
    let log = AuditLog::open(&place, SigningKey::parse(&key).unwrap(), Options::default()).await.unwrap();
    let own = std::process::id().to_string();
    let room = |bytes: &str| {
        let set = Command::new("prlimit").args(["--pid", &own, &format!("--fsize={bytes}:unlimited")]).status();
        assert!(set.unwrap().success());
    };
    room(&limit);
    let (mut number, mut refused) = (0, 0);
    while refused < 20 {
        match log.append(entry(number)).await {
            Ok(appended) => println!("ack {} {number}", appended.log_index),
            Err(AppendError::Store(_)) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        number += 1;
        assert!(number < 100_000, "the file never was full");
    }
    room("unlimited");
    for number in 200_000..200_010 {
        let appended = log.append(entry(number)).await.unwrap();
        println!("ack {} {number}", appended.log_index);
    }
    println!("refused {refused}");
    log.close().await;
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let limits: &[u64] =
        if long() { &[200_000, 250_000, 300_001, 350_003, 400_000, 1_000_000] } else { &[200_000, 300_001] };
    for limit in limits {
        let place = Place::empty(Store::Sqlite).await;
        // SIGXFSZ is ignored, as it is in a hub; the write then fails with EFBIG.
        let run = "trap '' XFSZ; exec \"$0\" \"$@\"";
        let output = Command::new("sh")
            .args(["-c", run])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "faults::append_until_full", "--ignored", "--nocapture", "--test-threads=1"])
            .env(PATH, place.address())
            .env(KEY, place.key().to_text().as_str())
            .env(LIMIT, limit.to_string())
            .output()
            .unwrap();
        let printed = text(&output);
        assert!(output.status.success() && printed.contains("refused 20"), "{printed}");
        let acknowledged = check(&place, &printed, &printed).await;
        println!("full at {limit} bytes: {acknowledged} entries acknowledged and there, 20 refused, then it went on");
        assert!(acknowledged > 20);
    }
}
