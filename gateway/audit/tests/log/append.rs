//! Appending, reading back, proving; a full queue, a failing store, a closed log.

use std::sync::Arc;
use std::time::Duration;

use audit::{AppendError, AuditError, AuditLog, Damage, Location, Options, SigningKey, tree, verify};
use futures::StreamExt;
use prost::Message;
use proto::audit::v1::Entry;

use crate::{ORIGIN, Place, Store, entry, fill};

crate::on_both_stores! {
    each_of_many_concurrent_entries_is_kept_and_proved,
    the_log_goes_on_where_it_stopped_and_grows_consistently,
    wrong_files_and_wrong_keys_are_refused,
    opening_notices_an_end_that_does_not_fit,
    an_entry_that_no_longer_fits_its_hash_is_not_handed_out,
    an_entry_too_large_is_refused_and_the_largest_is_kept,
    a_full_queue_refuses_and_keeps_what_waits,
    a_failing_store_acknowledges_nothing_and_recovers,
    callers_that_stop_waiting_harm_nothing,
    closing_writes_what_waits_and_refuses_more,
    a_tail_follows_and_resumes,
}

fn hashes(proof: &[Vec<u8>]) -> Vec<tree::Hash> {
    proof.iter().map(|hash| hash.as_slice().try_into().unwrap()).collect()
}

async fn each_of_many_concurrent_entries_is_kept_and_proved(store: Store) {
    let place = Place::empty(store).await;
    let log = Arc::new(place.open().await);
    let empty = log.checkpoint();
    assert_eq!((empty.tree_size, empty.root_hash), (0, tree::empty_root()));

    let tasks: Vec<_> = (0..300u64)
        .map(|number| {
            let log = log.clone();
            tokio::spawn(async move { (number, log.append(entry(number)).await.unwrap()) })
        })
        .collect();
    let mut leaves = vec![[0; 32]; 300];
    for task in tasks {
        let (number, appended) = task.await.unwrap();
        assert_eq!(appended.leaf_hash, tree::leaf_hash(&entry(number).encode_to_vec()));
        let logged = log.entry(appended.log_index).await.unwrap();
        assert_eq!(logged.entry, Some(entry(number)));
        assert_eq!(logged.entry_bytes, entry(number).encode_to_vec());
        leaves[appended.log_index as usize] = appended.leaf_hash;
    }

    let newest = log.checkpoint();
    assert_eq!((newest.tree_size, newest.root_hash), (300, tree::root(&leaves)));
    for (index, leaf) in (0..).zip(&leaves) {
        let proof = log.inclusion_proof(index, 300).await.unwrap();
        assert_eq!(proof.leaf_hash, leaf);
        let bytes = log.entry(index).await.unwrap().entry_bytes;
        let note = proof.checkpoint.unwrap().note;
        verify::verify_entry(&bytes, index, &hashes(&proof.hashes), &note, &place.verifier()).unwrap();
        assert!(verify::verify_entry(b"other", index, &hashes(&proof.hashes), &note, &place.verifier()).is_err());
    }
    for size in [1u64, 2, 3, 7, 64, 100, 255, 256, 257, 299] {
        let proof = log.inclusion_proof(0, size).await.unwrap();
        assert_eq!(hashes(&proof.hashes), tree::inclusion_proof(&leaves[..size as usize], 0).unwrap());
        assert_eq!(proof.checkpoint, None);
        let proof = log.consistency_proof(size, 300).await.unwrap();
        assert_eq!(proof, tree::consistency_proof(&leaves, size).unwrap());
    }
    assert!(matches!(log.entry(300).await, Err(AuditError::EntryNotFound { log_index: 300, tree_size: 300 })));
    assert!(matches!(log.inclusion_proof(0, 301).await, Err(AuditError::TreeSizeNotFound { .. })));
    assert!(matches!(log.inclusion_proof(7, 7).await, Err(AuditError::Proof(_))));
    assert!(matches!(log.consistency_proof(5, 4).await, Err(AuditError::Proof(_))));
    log.close().await;
    assert_eq!(place.verify().await.unwrap().tree_size, 300);
}

async fn the_log_goes_on_where_it_stopped_and_grows_consistently(store: Store) {
    let place = Place::empty(store).await;
    let mut older = None;
    for round in 0..5u64 {
        let log = place.open().await;
        assert_eq!(log.checkpoint().tree_size, round * 37);
        fill(&log, round * 37..(round + 1) * 37).await;
        let newer = log.checkpoint();
        if let Some(older) = older.replace(newer.clone()) {
            let proof = log.consistency_proof(older.tree_size, newer.tree_size).await.unwrap();
            verify::verify_growth(&older.note, &newer.note, &proof, &place.verifier()).unwrap();
        }
        log.close().await;
    }
    let report = place.verify().await.unwrap();
    assert_eq!(report.tree_size, 185);
    assert_eq!(report.hash_count, 2 * 185 - 5); // 185 = 0b10111001
    assert!(report.checkpoint_count >= 5, "the checkpoint each run began with is kept");
}

async fn wrong_files_and_wrong_keys_are_refused(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open().await;
    fill(&log, 0..3).await;
    let second = AuditLog::open(&place.location(), place.key(), Options::default()).await;
    assert!(matches!(second, Err(AuditError::InUse { .. })), "two writers on one log");
    log.close().await;

    let open = async |key: &SigningKey| {
        AuditLog::open(&place.location(), SigningKey::parse(&key.to_text()).unwrap(), Options::default()).await
    };
    let other = SigningKey::generate(ORIGIN).unwrap();
    assert!(matches!(open(&other).await, Err(AuditError::Note(_))), "another key of the same name");
    if store == Store::Sqlite {
        let renamed = SigningKey::generate("other.example.vn/log").unwrap();
        assert!(matches!(open(&renamed).await, Err(AuditError::Origin { .. })));
    }

    place.tamper("UPDATE meta SET value = '3' WHERE name = 'schema_version'").await;
    assert!(matches!(open(&place.key()).await, Err(AuditError::NewerSchema { found: 3, known: 2 })));
    place.tamper("DROP TABLE meta").await;
    assert!(matches!(open(&place.key()).await, Err(AuditError::NotALog { .. })));

    if store == Store::Postgres {
        // What is no database does not become one, and nothing of the address is shown.
        let nowhere = Location::postgres("postgres://someone:secret@127.0.0.1:1/none").unwrap();
        let refused = AuditLog::open(&nowhere, place.key(), Options::default()).await.unwrap_err();
        assert!(!format!("{refused:?} {nowhere:?} {nowhere}").contains("secret"));
        assert!(Location::postgres("audit.db").is_err());
        return;
    }
    let nowhere = place.directory.path().join("missing/audit.db");
    assert!(matches!(
        AuditLog::open(&nowhere.into(), place.key(), Options::default()).await,
        Err(AuditError::File { .. })
    ));
    std::fs::write(place.path(), "this is no database, whatever it is called, it is text and nothing else ".repeat(99))
        .unwrap();
    assert!(open(&place.key()).await.is_err());
}

async fn opening_notices_an_end_that_does_not_fit(store: Store) {
    for (sql, expected) in [
        ("DELETE FROM entries WHERE log_index = 9", Damage::EntryMissing { log_index: 9 }),
        ("INSERT INTO entries VALUES (10, x'00')", Damage::EntryUnexpected { log_index: 10 }),
        ("INSERT INTO hashes VALUES (18, zeroblob(32))", Damage::HashUnexpected { position: 18 }),
        (
            "UPDATE hashes SET hash = substr(hash, 1, length(hash) - 32) WHERE position = (SELECT max(position) FROM hashes)",
            Damage::HashMissing { level: 1, index: 4, position: 17 },
        ),
        ("DELETE FROM hashes; INSERT INTO hashes VALUES (0, zeroblob(576))", Damage::RootChanged { tree_size: 10 }),
        ("DELETE FROM heads WHERE tree_size = 10", Damage::EntryUnexpected { log_index: 0 }),
    ] {
        let place = Place::empty(store).await;
        let log = place.open().await;
        fill(&log, 0..10).await;
        log.close().await;
        place.tamper("DELETE FROM heads WHERE tree_size NOT IN (0, 10)").await;
        place.tamper(sql).await;
        match AuditLog::open(&place.location(), place.key(), Options::default()).await {
            Err(AuditError::Damaged(damage)) => assert_eq!(damage, expected, "{sql}"),
            other => panic!("{sql}: {:?}", other.err()),
        }
    }
}

async fn an_entry_that_no_longer_fits_its_hash_is_not_handed_out(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open().await;
    fill(&log, 0..4).await;
    place
        .tamper("UPDATE entries SET entry = (SELECT entry FROM entries WHERE log_index = 1) WHERE log_index = 2")
        .await;
    assert!(matches!(log.entry(2).await, Err(AuditError::Damaged(Damage::EntryChanged { log_index: 2 }))));
    assert!(log.entry(1).await.is_ok());
    assert!(matches!(log.tail(0).collect::<Vec<_>>().await.pop(), Some(Err(AuditError::Damaged(_)))));
    log.close().await;
}

async fn an_entry_too_large_is_refused_and_the_largest_is_kept(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open().await;
    let mut large = entry(0);
    large.reason = "x".repeat(audit::ENTRY_LENGTH_MAX);
    assert!(matches!(log.append(large.clone()).await, Err(AppendError::TooLarge { max: 60_000, .. })));
    let excess = large.encoded_len() - audit::ENTRY_LENGTH_MAX;
    large.reason.truncate(large.reason.len() - excess);
    assert_eq!(large.encoded_len(), 60_000);
    log.append(large.clone()).await.unwrap();
    assert_eq!(log.entry(0).await.unwrap().entry, Some(large));
    log.close().await;
}

async fn a_full_queue_refuses_and_keeps_what_waits(store: Store) {
    let place = Place::empty(store).await;
    let options = Options { queue_size_max: 4, ..Options::default() };
    let log = place.open_with(options).await;
    // On one thread the writer runs only when this task waits, so all twenty find the queue as it is.
    let answers = futures::future::join_all((0..20).map(|number| log.append(entry(number)))).await;
    let kept = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(kept, 4);
    assert!(answers[4..].iter().all(|answer| matches!(answer, Err(AppendError::QueueFull))));
    log.append(entry(20)).await.unwrap();
    log.close().await;
    assert_eq!(place.verify().await.unwrap().tree_size, 5);
}

async fn a_failing_store_acknowledges_nothing_and_recovers(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open().await;
    fill(&log, 0..10).await;
    let before = log.checkpoint();
    // The head is written last: by then the entries and hashes of the batch are in the transaction.
    place.break_heads().await;
    for _ in 0..3 {
        let answers = futures::future::join_all((10..30).map(|number| log.append(entry(number)))).await;
        assert!(answers.iter().all(|answer| matches!(answer, Err(AppendError::Store(_)))));
        assert_eq!(log.checkpoint(), before);
    }
    place.mend_heads().await;
    fill(&log, 10..30).await;
    for number in 0..30 {
        assert_eq!(log.entry(number).await.unwrap().entry, Some(entry(number)));
    }
    log.close().await;
    assert_eq!(place.verify().await.unwrap().tree_size, 30);
}

async fn callers_that_stop_waiting_harm_nothing(store: Store) {
    let place = Place::empty(store).await;
    let log = Arc::new(place.open().await);
    for number in 0..50 {
        let append = log.append(entry(number));
        if number % 2 == 0 {
            let _ = tokio::time::timeout(Duration::ZERO, append).await;
        } else {
            append.await.unwrap();
        }
    }
    log.close().await;
    assert_eq!(place.verify().await.unwrap().tree_size, 50);
}

async fn closing_writes_what_waits_and_refuses_more(store: Store) {
    let place = Place::empty(store).await;
    let log = Arc::new(place.open().await);
    let waiting: Vec<_> = (0..200)
        .map(|number| {
            let log = log.clone();
            tokio::spawn(async move { log.append(entry(number)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    log.close().await;
    log.close().await;
    let mut kept = 0;
    for answer in waiting {
        match answer.await.unwrap() {
            Ok(_) => kept += 1,
            Err(error) => assert!(matches!(error, AppendError::Closed), "{error}"),
        }
    }
    assert!(matches!(log.append(entry(0)).await, Err(AppendError::Closed)));
    assert_eq!(place.verify().await.unwrap().tree_size, kept);
}

async fn a_tail_follows_and_resumes(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open().await;
    fill(&log, 0..100).await;
    let mut tail = Box::pin(log.tail(90));
    for index in 90..100 {
        let logged = tail.next().await.unwrap().unwrap();
        assert_eq!((logged.log_index, logged.entry), (index, Some(entry(index))));
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), tail.next()).await.is_err(), "there is nothing to see yet");
    log.append(entry(100)).await.unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap().log_index, 100);
    drop(tail);

    // Resumed after the last index seen; one that starts in the future waits for it.
    let (resumed, future) = (log.tail(101), log.tail(110));
    fill(&log, 101..120).await;
    log.close().await;
    let indices = |logged: Vec<Result<proto::audit::v1::LoggedEntry, AuditError>>| -> Vec<u64> {
        logged.into_iter().map(|entry| entry.unwrap().log_index).collect()
    };
    let failed = resumed.collect::<Vec<_>>().await;
    // A closed log no longer reads; what follows is an end or an error, never silence.
    assert!(failed.len() <= 1);
    drop(future);
    let log = place.open().await;
    let (resumed, future) = (log.tail(101).take(19), log.tail(110).take(10));
    assert_eq!(indices(resumed.collect().await), (101..120).collect::<Vec<_>>());
    assert_eq!(indices(future.collect().await), (110..120).collect::<Vec<_>>());
    log.close().await;
}

/// Under callers that never pause, too.
#[tokio::test(flavor = "multi_thread")]
async fn the_write_ahead_log_of_a_file_stays_short() {
    let place = Place::empty(Store::Sqlite).await;
    let log = place.open().await;
    let large = |number| Entry { method: "x".repeat(50_000), ..entry(number) };
    let appended = futures::stream::iter(0..1000).map(|number| log.append(large(number))).buffered(8);
    appended.for_each(async |appended| assert!(appended.is_ok())).await;
    let bytes = std::fs::metadata(format!("{}-wal", place.address())).unwrap().len();
    log.close().await;
    assert!(bytes < 16_000_000, "{bytes} bytes for 50 MB of entries");
    assert_eq!(place.verify().await.unwrap().tree_size, 1000);
}
