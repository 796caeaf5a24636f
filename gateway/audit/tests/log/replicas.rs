//! Several replicas on one database: a log each, one search over all; and a database that goes away.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use audit::{AppendError, AuditError, AuditLog, Damage, Filter, Options, SigningKey, verify};
use futures::StreamExt;

use crate::{Place, Store, entry, fill};

struct Replica {
    log: AuditLog,
    key: SigningKey,
}

async fn replica(place: &Place, name: &str) -> Replica {
    let key = SigningKey::generate(&format!("hub.example.vn/{name}")).unwrap();
    let options = Options { index_block_size: 60, ..Options::default() };
    let log = AuditLog::open(&place.location(), SigningKey::parse(&key.to_text()).unwrap(), options).await;
    Replica { log: log.unwrap(), key }
}

#[tokio::test]
async fn each_replica_has_its_log_and_one_search_finds_all() {
    if !Store::Postgres.available() {
        return;
    }
    let place = Place::empty(Store::Postgres).await;
    let replicas = [replica(&place, "a").await, replica(&place, "b").await, replica(&place, "c").await];
    // Entry n goes to the replica n modulo 3, all at once: their batches interleave.
    let writing = replicas.iter().zip(0..).map(|(replica, rest)| async move {
        for number in (0..300).filter(|number| number % 3 == rest) {
            replica.log.append(entry(number)).await.unwrap();
        }
    });
    futures::future::join_all(writing).await;
    for replica in &replicas {
        assert_eq!(replica.log.checkpoint().tree_size, 100);
    }

    // From any of them, page by page, each entry once; what is written meanwhile shifts nothing.
    let filter = Filter { officer: Some("CB-2".to_owned()), ..Filter::default() };
    let expected = (0..300).filter(|number| entry(*number).officer.unwrap().id == "CB-2").count();
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = replicas[1].log.search(&filter, 7, &token).await.unwrap();
        found.extend(page.entries);
        replicas[0].log.append(entry(1000 + found.len() as u64)).await.unwrap();
        if page.next_page_token.is_empty() {
            break;
        }
        token = page.next_page_token;
    }
    let mut durations: Vec<u64> =
        found.iter().map(|logged| logged.entry.clone().unwrap().duration_microseconds).collect();
    durations.sort_unstable();
    durations.dedup();
    assert_eq!((found.len(), durations.len()), (expected, expected));
    for replica in &replicas {
        let own: Vec<u64> = found
            .iter()
            .filter(|logged| logged.log_origin == replica.key.verifier().name())
            .map(|logged| logged.log_index)
            .collect();
        assert!(own.len() > 10 && own.is_sorted_by(|a, b| a > b), "each log from its newest entry down: {own:?}");
    }

    // Any replica proves the entries of any other.
    for (prover, writer) in [(0, 1), (1, 2), (2, 0)] {
        let (prover, key) = (&replicas[prover].log, replicas[writer].key.verifier());
        let view = prover.log(key.name()).await.unwrap();
        assert_eq!(view.verifier(), key);
        let tree_size = view.checkpoint().tree_size;
        let proof = view.inclusion_proof(42, tree_size).await.unwrap();
        let hashes: Vec<_> = proof.hashes.iter().map(|hash| hash.as_slice().try_into().unwrap()).collect();
        let logged = view.entry(42).await.unwrap();
        let note = proof.checkpoint.unwrap().note;
        verify::verify_entry(&logged.entry_bytes, 42, &hashes, &note, key).unwrap();
        verify::verify_entry(&logged.entry_bytes, 42, &hashes, &note, replicas[(writer + 1) % 3].key.verifier())
            .expect_err("the proof is of one log only");
    }
    assert!(matches!(replicas[0].log.log("hub.example.vn/d").await, Err(AuditError::LogNotFound { .. })));

    // A tail of another replica's log, from an index on.
    let other = replicas[2].log.log("hub.example.vn/b").await.unwrap();
    let mut tail = Box::pin(other.tail(98));
    for index in [98, 99] {
        assert_eq!(tail.next().await.unwrap().unwrap().log_index, index);
    }
    replicas[1].log.append(entry(7)).await.unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap().log_index, 100);
    drop(tail);

    // A replica that stopped is still searched, and each log verifies by itself.
    let [first, second, third] = replicas;
    for stopped in [first, second] {
        let size = stopped.log.checkpoint().tree_size;
        stopped.log.close().await;
        let report = verify::verify_store(&place.location(), stopped.key.verifier(), &[], |_| {}).await.unwrap();
        assert_eq!(report.tree_size, size);
    }
    let newest = third.log.search(&Filter::default(), 1000, "").await.unwrap();
    assert!(newest.entries.len() > 300);
    let mut last = (0, 0);
    third.log.rebuild_index(|done, all| last = (done, all)).await.unwrap();
    assert_eq!(last, (100, 100));
    assert_eq!(third.log.search(&Filter::default(), 1000, "").await.unwrap(), newest);
    third.log.close().await;
}

/// Ends the connections of the log, as a server that restarts does.
async fn cut(place: &Place) {
    let mut connection = place.connect().await;
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&mut connection)
    .await
    .unwrap();
}

#[tokio::test]
async fn connections_cut_under_load_lose_nothing_acknowledged() {
    if !Store::Postgres.available() {
        return;
    }
    let place = Place::empty(Store::Postgres).await;
    let log = place.open().await;
    let done = AtomicBool::new(false);
    let appending = futures::stream::iter(0..u64::MAX)
        .take_while(|_| futures::future::ready(!done.load(Ordering::Relaxed)))
        .map(|number| {
            let log = &log;
            async move { (number, log.append(entry(number)).await) }
        })
        .buffer_unordered(32)
        .collect::<Vec<_>>();
    let cutting = async {
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(60)).await;
            cut(&place).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let (answers, ()) = tokio::join!(appending, cutting);
    let mut acknowledged = 0;
    for (number, answer) in &answers {
        match answer {
            Ok(appended) => {
                acknowledged += 1;
                assert_eq!(log.entry(appended.log_index).await.unwrap().entry, Some(entry(*number)));
            }
            Err(error) => assert!(matches!(error, AppendError::Store(_)), "{error}"),
        }
    }
    let failed = answers.len() - acknowledged;
    assert!(failed > 0 && acknowledged > failed, "{acknowledged} acknowledged, {failed} failed");
    // By itself, the log goes on: the first to meet a connection that was cut is refused, and the next is not.
    let mut last = log.append(entry(1)).await;
    if last.is_err() {
        last = log.append(entry(1)).await;
    }
    last.unwrap();
    log.close().await;
    let report = place.verify().await.unwrap();
    assert!(report.tree_size > acknowledged as u64, "{report:?}");
}

#[tokio::test]
async fn a_database_that_lost_what_was_acknowledged_is_refused() {
    if !Store::Postgres.available() {
        return;
    }
    let place = Place::empty(Store::Postgres).await;
    let log = place.open().await;
    fill(&log, 0..10).await;
    log.close().await;
    let earlier = place.save().await;
    let log = place.open().await;
    fill(&log, 10..20).await;
    // A standby that was behind takes over.
    cut(&place).await;
    place.restore(earlier).await;
    for _ in 0..3 {
        match log.append(entry(20)).await {
            Err(AppendError::Store(error)) => match error.as_ref() {
                AuditError::Damaged(damage) => assert_eq!(*damage, Damage::Shrunk { tree_size: 10, kept: 20 }),
                // The connection was found cut.
                other => assert!(matches!(other, AuditError::Store(_)), "{other}"),
            },
            other => panic!("{other:?}"),
        }
    }
    log.close().await;
}

#[tokio::test]
async fn two_processes_cannot_write_one_log() {
    if !Store::Postgres.available() {
        return;
    }
    let place = Place::empty(Store::Postgres).await;
    let log = place.open().await;
    fill(&log, 0..5).await;
    // The lock is lost behind both: the keys of the tables still keep the tree whole.
    let mut connection = place.connect().await;
    sqlx::query("INSERT INTO entries (log_index, entry, log_id) VALUES (5, '\\x00', 1)")
        .execute(&mut connection)
        .await
        .unwrap();
    assert!(matches!(log.append(entry(5)).await, Err(AppendError::Store(_))));
    sqlx::query("DELETE FROM entries WHERE log_index = 5").execute(&mut connection).await.unwrap();
    fill(&log, 5..9).await;
    log.close().await;
    assert_eq!(place.verify().await.unwrap().tree_size, 9);
}
