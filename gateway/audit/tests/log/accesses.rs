//! The list of a subject's accesses: what is in it, and that whoever holds the entries notices when one is left out.

use audit::disclosure::{self, ListError};
use audit::verify::VerifyError;
use audit::{AuditLog, Filter, tiles};
use futures::StreamExt;
use prost_types::Timestamp;
use proto::audit::v1::entry::Disclosure;
use proto::audit::v1::{Checkpoint, Entry, ListSubjectAccessesResponse};

use crate::{Place, Store, entry, subject};

crate::on_both_stores! {
    a_list_holds_what_is_open_and_nothing_may_be_left_out,
}

const NOW: Timestamp = Timestamp { seconds: 1_800_000_000, nanos: 0 };

fn time(number: u64) -> Timestamp {
    Timestamp { seconds: 1_790_000_000 + 60 * number as i64, nanos: 0 }
}

async fn append(log: &AuditLog, numbers: std::ops::Range<u64>) {
    let appending = futures::stream::iter(numbers).map(|number| log.append(classed(number))).buffered(64);
    appending
        .for_each(async |appended| {
            appended.unwrap();
        })
        .await;
}

/// Entries about subject 5 are 5, 45, 85, …; some of them delayed, some never to be seen.
fn classed(number: u64) -> Entry {
    let (disclosure, from) = match number % 400 {
        85 => (Disclosure::Delayed, Some(NOW)),
        125 => (Disclosure::Delayed, Some(Timestamp { nanos: 1, ..NOW })),
        165 => (Disclosure::Delayed, None),
        205 => (Disclosure::Never, None),
        245 => (Disclosure::Unspecified, None),
        _ => (Disclosure::Immediate, None),
    };
    let mut entry = Entry {
        time: Some(time(number)),
        disclosure_from: from,
        subjects: vec![subject(number % 40)],
        ..entry(number)
    };
    entry.set_disclosure(disclosure);
    entry
}

async fn a_list_holds_what_is_open_and_nothing_may_be_left_out(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open().await;
    append(&log, 0..400).await;
    // The period begins with entry 45 and ends before entry 365.
    let filter =
        Filter { from: Some(time(45)), until: Some(time(365)), subjects: vec![subject(5)], ..Filter::default() };
    let logs = log.logs().await.unwrap();
    let checkpoint = Checkpoint { note: logs[0].checkpoint().note.clone(), ..Checkpoint::default() };
    let found = log.search_logs(logs, &filter, 1000, "").await.unwrap();
    let seen = found.entries.iter().filter_map(|logged| {
        let entry = logged.entry.as_ref().filter(|entry| disclosure::is_open(entry, &NOW))?;
        Some(disclosure::seen_by_subject(&logged.log_origin, logged.log_index, &logged.entry_bytes, entry))
    });
    let list = ListSubjectAccessesResponse {
        subject_hashes: vec![subject(5)],
        from: filter.from,
        until: filter.until,
        at: Some(NOW),
        logs: vec![checkpoint],
        accesses: seen.collect(),
        next_page_token: String::new(),
    };
    // Of 45, 85, …, 325 the delayed one whose date has come stays, those closed do not.
    let indices: Vec<u64> = list.accesses.iter().map(|access| access.log_index).collect();
    assert_eq!(indices, [325, 285, 85, 45]);
    assert_eq!(list.accesses[0].agency, entry(325).caller.unwrap().agency);

    // The log grows on before it is published.
    append(&log, 400..500).await;
    log.close().await;
    let folder = place.directory.path().join("tiles");
    tiles::export(&place.location(), &place.verifier(), &folder, |_, _| {}).await.unwrap();
    let check = |list: &ListSubjectAccessesResponse| {
        let covered = disclosure::covered(&place.verifier(), list)?;
        let report = tiles::verify(&folder, &place.verifier(), &[covered], None, |_| {})?;
        disclosure::verify_list(&folder, report.checkpoint.tree_size, &place.verifier(), list)
    };
    assert_eq!(check(&list).unwrap(), disclosure::Listed { accesses: 4, by_hash: 0, removed: 0 });
    let wrong = |change: &dyn Fn(&mut ListSubjectAccessesResponse)| {
        let mut changed = list.clone();
        change(&mut changed);
        match check(&changed) {
            Err(VerifyError::List(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    for place in 0..4 {
        let log_index = list.accesses[place].log_index;
        assert_eq!(wrong(&|list| drop(list.accesses.remove(place))), ListError::LeftOut { log_index });
        let changed = ListError::Changed { log_index };
        assert_eq!(wrong(&|list| list.accesses[place].purpose.push('x')), changed);
        assert_eq!(wrong(&|list| list.accesses[place].leaf_hash[7] ^= 1), changed);
        assert_eq!(wrong(&|list| list.accesses[place].records.clear()), changed);
    }
    let superfluous = |log_index| ListError::Superfluous { log_index };
    assert_eq!(wrong(&|list| list.accesses.push(list.accesses[3].clone())), superfluous(45));
    assert_eq!(wrong(&|list| list.until = Some(time(300))), superfluous(325));
    assert_eq!(wrong(&|list| list.from = Some(time(46))), superfluous(45));
    assert_eq!(wrong(&|list| list.from = None), ListError::LeftOut { log_index: 5 });
    assert_eq!(wrong(&|list| list.at = Some(Timestamp { nanos: 1, ..NOW })), ListError::LeftOut { log_index: 125 });
    assert_eq!(wrong(&|list| list.at = None), ListError::NoMoment);
    assert_eq!(wrong(&|list| list.subject_hashes = vec![subject(6)]), ListError::LeftOut { log_index: 46 });
    assert!(matches!(wrong(&|list| list.logs.clear()), ListError::NotCovered { .. }));
    // A checkpoint nobody signed covers nothing.
    let mut forged = list.clone();
    forged.logs[0].note = forged.logs[0].note.replacen("\n400\n", "\n40\n", 1);
    assert!(matches!(check(&forged), Err(VerifyError::Checkpoint(_))));
}
