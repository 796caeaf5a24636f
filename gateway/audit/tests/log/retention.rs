//! Bodies go at the end of their period, named by an entry; leaf hashes, proofs and everything younger stay.

use std::collections::BTreeSet;
use std::path::Path;

use audit::disclosure::{self, Listed};
use audit::retention::{Class, Hold, Rules, survey};
use audit::verify::VerifyError;
use audit::{AuditError, AuditLog, Damage, Filter, Options, RetentionError, tiles, tree, verify};
use chrono::{DateTime, Months, Utc};
use futures::StreamExt;
use prost::Message;
use proto::audit::v1::{Checkpoint, ListSubjectAccessesResponse};

use crate::{Place, Store, entry, fill, subject};

crate::on_both_stores! {
    bodies_go_and_all_proofs_hold,
    a_run_that_is_interrupted_leaves_nothing_unaccounted,
    a_list_of_accesses_is_checked_by_what_is_left,
}

const COUNT: u64 = 700;
const HELD: &str = "H21.65-260914-0007";

/// Entries made before this are old enough.
fn before() -> i64 {
    entry(500).time.unwrap().seconds
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(before(), 0).unwrap().checked_add_months(Months::new(24)).unwrap()
}

/// Two years; five for one of the two purposes.
fn rules() -> Rules {
    let purposes = vec!["welfare".to_owned()];
    let class = Class { name: "welfare".to_owned(), months: 60, purposes, ..Class::default() };
    Rules { default_months: 24, classes: vec![class], schema: std::sync::Arc::new(proto::Schema::builtin().unwrap()) }
}

fn holds() -> [Hold; 1] {
    let covers = Filter { dossier_number: Some(HELD.to_owned()), ..Filter::default() };
    [Hold { number: "17/QĐ-TTra".to_owned(), covers, ..Hold::default() }]
}

/// Old, of no class, and maybe held.
fn expired(number: u64) -> bool {
    let entry = entry(number);
    entry.time.unwrap().seconds < before() && entry.purpose.unwrap().code != "welfare"
}

fn is_held(number: u64) -> bool {
    entry(number).purpose.unwrap().dossier_number == HELD
}

fn due() -> BTreeSet<u64> {
    (0..COUNT).filter(|number| expired(*number) && !is_held(*number)).collect()
}

async fn open(place: &Place) -> AuditLog {
    place.open_with(Options { index_block_size: 200, ..Options::default() }).await
}

/// Whether any file below a folder holds these bytes.
fn holds_bytes(folder: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|file| {
        let path = file.path();
        if path.is_dir() {
            return holds_bytes(&path, wanted);
        }
        std::fs::read(path).unwrap().windows(wanted.len()).any(|window| window == wanted)
    })
}

fn files(folder: &Path) -> BTreeSet<(String, Vec<u8>)> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for file in std::fs::read_dir(next).unwrap().flatten().map(|file| file.path()) {
            if file.is_dir() {
                folders.push(file);
            } else {
                let name = file.strip_prefix(folder).unwrap().display().to_string();
                found.insert((name, std::fs::read(&file).unwrap()));
            }
        }
    }
    found
}

async fn bodies_go_and_all_proofs_hold(store: Store) {
    let (place, due) = (Place::empty(store).await, due());
    assert!(due.len() > 100 && due.len() < 400, "{}", due.len());
    let folder = place.directory.path().join("tiles");
    let key = place.verifier();
    let log = open(&place).await;
    fill(&log, 0..COUNT).await;
    let kept = log.checkpoint();
    tiles::export(&place.location(), &key, &folder, |_, _| {}).await.unwrap();

    // Counting changes nothing.
    let counted = survey(&place.location(), &key, &rules(), &holds(), now(), |_, _| {}).await.unwrap();
    assert_eq!(counted.count(), due.len() as u64);
    assert_eq!(counted.due[""].before, before());
    let held = (0..COUNT).filter(|number| expired(*number) && is_held(*number)).count() as u64;
    assert!(held > 0);
    assert_eq!(counted.held["17/QĐ-TTra"], held);
    assert_eq!(place.verify().await.unwrap().removed_count, 0);

    assert_eq!(log.retain(&rules(), &holds(), now(), |_, _| {}).await.unwrap(), counted);
    // While the log is open, too, no file of an SQLite log holds a body that is gone; of the files published, later.
    for file in ["audit.db", "audit.db-wal"].iter().filter(|_| store == Store::Sqlite) {
        let bytes = std::fs::read(place.directory.path().join(file)).unwrap();
        for body in due.iter().step_by(10).map(|number| entry(*number).encode_to_vec()) {
            assert!(!bytes.windows(body.len()).any(|window| window == body), "{file}");
        }
    }
    // Nor does the index know their terms: it is as if made of what is left.
    let index = place.index().await;
    assert_eq!(index.iter().map(|(bucket, _)| bucket / 1024).collect::<BTreeSet<_>>(), BTreeSet::from([0, 1, 2]));
    log.rebuild_index(|_, _| {}).await.unwrap();
    assert!(place.index().await == index);
    fill(&log, COUNT..COUNT + 60).await;
    let newest = log.checkpoint();
    assert_eq!(newest.tree_size, COUNT + 61, "the run is one entry");
    let run = log.entry(COUNT).await.unwrap().entry.unwrap();
    let detail = |name: &str| run.details.iter().find(|detail| detail.name == name).unwrap().value.clone();
    assert_eq!((detail("event"), detail("count")), ("retention".to_owned(), due.len().to_string()));
    assert!(detail("held").contains("17/QĐ-TTra"));

    let hashes = |proof: &[Vec<u8>]| proof.iter().map(|hash| hash.as_slice().try_into().unwrap()).collect::<Vec<_>>();
    for number in 0..COUNT + 61 {
        let proof = log.inclusion_proof(number, newest.tree_size).await.unwrap();
        let made = if number < COUNT { number } else { number.wrapping_sub(1) };
        let bytes = entry(made).encode_to_vec();
        if due.contains(&number) {
            match log.entry(number).await {
                Err(AuditError::EntryRemoved { log_index, removal }) => {
                    assert_eq!((log_index, removal), (number, COUNT))
                }
                other => panic!("{number}: {other:?}"),
            }
            let leaf = tree::leaf_hash(&bytes);
            assert_eq!(proof.leaf_hash, leaf);
            verify::verify_leaf(&leaf, number, &hashes(&proof.hashes), &newest.note, &key).unwrap();
        } else if number != COUNT {
            assert_eq!(log.entry(number).await.unwrap().entry_bytes, bytes);
            verify::verify_entry(&bytes, number, &hashes(&proof.hashes), &newest.note, &key).unwrap();
        }
    }
    let growth = log.consistency_proof(kept.tree_size, newest.tree_size).await.unwrap();
    verify::verify_growth(&kept.note, &newest.note, &growth, &key).unwrap();

    // What is found is what is there, in full blocks of the index as in the last; a tail goes through all.
    let all = log.search(&Filter::default(), 1000, "").await.unwrap().entries;
    assert_eq!(all.len() as u64, newest.tree_size - due.len() as u64);
    assert!(all.iter().all(|logged| !due.contains(&logged.log_index)));
    for number in [3, 250, 490] {
        let filter = Filter { subjects: entry(number).subjects, ..Filter::default() };
        let found: BTreeSet<u64> =
            log.search(&filter, 1000, "").await.unwrap().entries.iter().map(|logged| logged.log_index).collect();
        assert!(found.is_disjoint(&due) && !found.is_empty(), "{number}");
    }
    let tail: Vec<_> = log.tail(0).take(newest.tree_size as usize).collect().await;
    for (index, logged) in (0..).zip(tail) {
        let logged = logged.unwrap();
        assert_eq!((logged.log_index, logged.entry_bytes.is_empty()), (index, due.contains(&index)));
        assert_eq!(logged.leaf_hash.len(), 32);
    }
    // Nothing is due any more, so there is nothing to record.
    assert_eq!(log.retain(&rules(), &holds(), now(), |_, _| {}).await.unwrap().count(), 0);
    assert_eq!(log.checkpoint().tree_size, newest.tree_size);
    log.close().await;
    let report = verify::verify_store(&place.location(), &key, &[(*kept).clone()], |_| {}).await.unwrap();
    assert_eq!((report.tree_size, report.removed_count), (newest.tree_size, due.len() as u64));

    // The published files follow; a folder begun anew is the same.
    tiles::export(&place.location(), &key, &folder, |_, _| {}).await.unwrap();
    let again = place.directory.path().join("again");
    tiles::export(&place.location(), &key, &again, |_, _| {}).await.unwrap();
    // But for partial tiles of before.
    assert!(files(&again).is_subset(&files(&folder)));
    assert!(files(&folder).difference(&files(&again)).all(|(name, _)| name.ends_with(".p/188")));
    assert!(files(&folder).iter().any(|(name, _)| name == "remaining/000"));
    assert!(!folder.join("tile/entries/000").exists());
    let report = tiles::verify(&folder, &key, &[(*kept).clone()], None, |_| {}).unwrap();
    assert_eq!(report.removed_count, due.len() as u64);
    for number in [*due.first().unwrap(), *due.last().unwrap()] {
        assert_eq!(tiles::entry(&folder, number, newest.tree_size).unwrap(), None);
        let leaf = tiles::leaf_hash(&folder, number, newest.tree_size).unwrap();
        assert_eq!(leaf, tree::leaf_hash(&entry(number).encode_to_vec()));
    }
    // No file holds a body that is gone; each holds those that stayed.
    std::fs::remove_dir_all(&again).unwrap();
    for number in due.iter().step_by(40) {
        assert!(!holds_bytes(place.directory.path(), &entry(*number).encode_to_vec()), "{number}");
    }
    let stayed = (0..COUNT).find(|number| expired(*number) && is_held(*number)).unwrap();
    assert!(holds_bytes(&folder, &entry(stayed).encode_to_vec()));

    // One more that is missing is damage, in the store and in the files.
    place.tamper(&format!("DELETE FROM entries WHERE log_index = {stayed}")).await;
    let missing = place.verify().await;
    let expected = Damage::EntryMissing { log_index: stayed };
    assert!(matches!(&missing, Err(VerifyError::Damaged(damage)) if *damage == expected), "{missing:?}");
    let log = open(&place).await;
    assert!(matches!(log.entry(stayed).await, Err(AuditError::Damaged(damage)) if damage == expected));
    log.close().await;
    let remaining = folder.join("remaining/000");
    let whole = std::fs::read(&remaining).unwrap();
    let bytes = entry(stayed).encode_to_vec();
    let at = whole.windows(bytes.len()).position(|window| window == bytes).unwrap();
    let cut = [&whole[..at - 2], &[0, 0], &whole[at + bytes.len()..]].concat();
    std::fs::write(&remaining, cut).unwrap();
    let missing = tiles::verify(&folder, &key, &[], None, |_| {});
    assert!(matches!(&missing, Err(VerifyError::Damaged(damage)) if *damage == expected), "{missing:?}");
}

/// The entry of a run is written, and then the store fails: bodies are there that may be missing, and the next run ends it.
async fn a_run_that_is_interrupted_leaves_nothing_unaccounted(store: Store) {
    let (place, due) = (Place::empty(store).await, due());
    let log = open(&place).await;
    fill(&log, 0..COUNT).await;
    place.refuse_removals(true).await;
    let failed = log.retain(&rules(), &holds(), now(), |_, _| {}).await;
    assert!(matches!(failed, Err(RetentionError::Audit(AuditError::Store(_)))), "{failed:?}");
    let report = place.verify().await.unwrap();
    assert_eq!((report.tree_size, report.removed_count), (COUNT + 1, 0));
    place.refuse_removals(false).await;
    assert_eq!(log.retain(&rules(), &holds(), now(), |_, _| {}).await.unwrap().count(), due.len() as u64);
    log.close().await;
    let report = place.verify().await.unwrap();
    assert_eq!((report.tree_size, report.removed_count), (COUNT + 2, due.len() as u64));
}

async fn a_list_of_accesses_is_checked_by_what_is_left(store: Store) {
    let (place, due) = (Place::empty(store).await, due());
    let log = open(&place).await;
    fill(&log, 0..COUNT).await;
    let wanted = subject(5);
    let filter = Filter { subjects: vec![wanted.clone()], ..Filter::default() };
    let checkpoint = Checkpoint { note: log.checkpoint().note.clone(), ..Checkpoint::default() };
    let found = log.search(&filter, 1000, "").await.unwrap().entries;
    let seen = found.iter().map(|logged| {
        let entry = logged.entry.as_ref().unwrap();
        disclosure::seen_by_subject(&logged.log_origin, logged.log_index, &logged.entry_bytes, entry)
    });
    let list = ListSubjectAccessesResponse {
        subject_hashes: vec![wanted],
        at: Some(prost_types::Timestamp { seconds: 1_900_000_000, nanos: 0 }),
        logs: vec![checkpoint],
        accesses: seen.collect(),
        ..ListSubjectAccessesResponse::default()
    };
    log.retain(&rules(), &holds(), now(), |_, _| {}).await.unwrap();
    log.close().await;
    let (folder, key) = (place.directory.path().join("tiles"), place.verifier());
    let report = async || {
        tiles::export(&place.location(), &key, &folder, |_, _| {}).await.unwrap();
        tiles::verify(&folder, &key, &[], None, |_| {}).unwrap().checkpoint.tree_size
    };
    let tree_size = report().await;
    let removed: Vec<u64> = found.iter().map(|logged| logged.log_index).filter(|index| due.contains(index)).collect();
    assert!(!removed.is_empty());
    let expected = Listed {
        accesses: (found.len() - removed.len()) as u64,
        by_hash: removed.len() as u64,
        removed: (due.len() - removed.len()) as u64,
    };
    assert_eq!(disclosure::verify_list(&folder, tree_size, &key, &list).unwrap(), expected);
    // A list that says something else of what was removed has another leaf hash; what it leaves out cannot be told.
    let mut changed = list.clone();
    let at = changed.accesses.iter().position(|access| access.log_index == removed[0]).unwrap();
    changed.accesses[at].leaf_hash[3] ^= 1;
    assert!(matches!(
        disclosure::verify_list(&folder, tree_size, &key, &changed),
        Err(VerifyError::List(disclosure::ListError::Changed { log_index })) if log_index == removed[0]
    ));
    changed.accesses.remove(at);
    let fewer = Listed { by_hash: expected.by_hash - 1, removed: expected.removed + 1, ..expected };
    assert_eq!(disclosure::verify_list(&folder, tree_size, &key, &changed).unwrap(), fewer);
}
