//! The process killed at random moments under load: what it acknowledged is there, and the log goes on by itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use audit::{AuditLog, Options, SigningKey, verify};
use prost::Message;

use crate::{Place, Store, entry, place};

crate::on_both_stores! {
    killed_at_any_moment,
}

const PATH: &str = "LIENTHONG_TEST_CRASH_PATH";
const KEY: &str = "LIENTHONG_TEST_CRASH_KEY";
/// Callers of the process that is killed: no batch has more entries.
const CALLERS: u64 = 32;

fn kills() -> usize {
    if std::env::var("LIENTHONG_TESTS").is_ok_and(|tests| tests == "long") { 100 } else { 5 }
}

/// Run by the test below as its own process: appends with [`CALLERS`] and prints `index number` once acknowledged.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child process of killed_at_any_moment"]
async fn append_until_killed() {
    let (Ok(path), Ok(key)) = (std::env::var(PATH), std::env::var(KEY)) else { return };
    let log = Arc::new(
        AuditLog::open(&place::location(&path), SigningKey::parse(&key).unwrap(), Options::default()).await.unwrap(),
    );
    let start = log.checkpoint().tree_size;
    let callers = (0..CALLERS).map(|caller| {
        let log = log.clone();
        tokio::spawn(async move {
            for turn in 0.. {
                let number = start * 1000 + turn * CALLERS + caller;
                let appended = log.append(entry(number)).await.unwrap();
                // One write of a short line: whole or not at all.
                std::io::stdout().write_all(format!("ack {} {number}\n", appended.log_index).as_bytes()).unwrap();
            }
        })
    });
    futures::future::join_all(callers).await;
}

async fn killed_at_any_moment(store: Store) {
    let place = Place::empty(store).await;
    let (mut acknowledged, mut kept) = (0, Vec::new());
    for kill in 0..kills() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::append_until_killed", "--ignored", "--nocapture"])
            .env(PATH, place.address())
            .env(KEY, place.key().to_text().as_str())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || -> Vec<(u64, u64)> {
            let lines = output.split(b'\n').map_while(Result::ok);
            lines.filter_map(|line| acknowledgement(std::str::from_utf8(&line).ok()?)).collect()
        });
        let moment = Duration::from_micros(300_000 + u64::from(uuid_like(kill)) % 400_000);
        tokio::time::sleep(moment).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let seen = reader.join().unwrap();
        assert!(!seen.is_empty(), "nothing was appended before kill {kill}");
        acknowledged += seen.len();

        // What was there before the last kill is there still, entry by entry: the tree then is the beginning of this one.
        let before = verify::verify_store(&place.location(), &place.verifier(), &kept, |_| {}).await.unwrap();
        let log = place.open().await;
        // A server may still commit what a process that is gone has sent; it lets nobody write the log until it has.
        let (opened, late) = (log.checkpoint().tree_size, if store == Store::Postgres { CALLERS } else { 0 });
        assert!((before.tree_size..=before.tree_size + late).contains(&opened), "{opened} after {}", before.tree_size);
        for (index, number) in &seen {
            assert_eq!(log.entry(*index).await.unwrap().entry_bytes, entry(*number).encode_to_vec(), "index {index}");
        }
        log.append(entry(1)).await.unwrap();
        kept = vec![log.checkpoint().as_ref().clone()];
        log.close().await;
        assert_eq!(kept[0].tree_size, opened + 1);
    }
    verify::verify_store(&place.location(), &place.verifier(), &kept, |_| {}).await.unwrap();
    println!("{} kills, {acknowledged} entries acknowledged, none lost", kills());
}

pub(crate) fn acknowledgement(line: &str) -> Option<(u64, u64)> {
    // The test harness prints its own text before the first line.
    let (_, rest) = line.split_once("ack ")?;
    let (index, number) = rest.split_once(' ')?;
    Some((index.parse().ok()?, number.parse().ok()?))
}

/// A different moment each run.
fn uuid_like(salt: usize) -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(salt) as u32
}
