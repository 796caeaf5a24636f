//! Every combination of filters finds what a scan of all entries finds, page by page.

use std::cell::Cell;

use audit::{AuditError, AuditLog, Filter, Options};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proto::audit::v1::entry::Outcome;
use proto::audit::v1::{Entry, LoggedEntry};

use crate::{Place, Store, entry, fill, subject};

crate::on_both_stores! {
    pages_stay_where_they_are_while_the_log_grows,
    what_was_just_appended_is_found_at_once,
    an_entry_without_caller_time_or_purpose_is_found_only_where_nothing_of_these_is_asked,
    a_period_holds_its_beginning_and_not_its_end,
    searches_given_up_at_any_moment_harm_none_that_follow,
}

const COUNT: u64 = 6000;
/// Entries of a block of the index, fewer than otherwise.
const BLOCK: u64 = 1100;

fn maybe<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> impl Strategy<Value = Option<T>> {
    prop_oneof![3 => Just(None), 1 => proptest::sample::select(values).prop_map(Some)]
}

fn texts(values: &[&str]) -> impl Strategy<Value = Option<String>> + use<> {
    maybe(values.iter().map(|value| (*value).to_owned()).collect())
}

/// The same person under a key that is no longer used.
fn other_key(number: u64) -> proto::audit::v1::SubjectHash {
    audit::SubjectHasher::new(&[4; 32])
        .hash(proto::options::v1::IdentifierKind::PersonalId, &format!("0520950{number:05}"))
}

fn time() -> impl Strategy<Value = Option<prost_types::Timestamp>> {
    let seconds = 1_790_000_000 - 10_000..1_790_000_000 + 60 * COUNT as i64 + 10_000;
    proptest::option::of((seconds, 0..3i32).prop_map(|(seconds, part)| prost_types::Timestamp {
        seconds: seconds - seconds % 60 + 20,
        nanos: part * 400_000_000,
    }))
}

fn filters() -> impl Strategy<Value = Filter> {
    let who = (
        texts(&["H21", "H21.65", "H21.65.03", "H08", "H2%", "H2", "' OR 1=1 --"]),
        texts(&["portal", "motcua", "none"]),
        texts(&["CB-1", "CB-2", "CB-9"]),
    );
    let why = (texts(&["registration", "welfare"]), texts(&["H21.65-260914-0007", "H21.65-260914-0033", "%"]));
    let what = (
        maybe((0..45).map(|number| vec![other_key(number), subject(number)]).collect()),
        texts(&["example.v1.Alpha", "example.v1.Beta", "example.v1.Delta"]),
        texts(&["source-a", "source-c", "source-d"]),
        maybe(vec![Outcome::Answered, Outcome::Refused, Outcome::Failed]),
        texts(&["01/TT-2026", "04/TT-2026", "05/TT-2026"]),
        texts(&["birth_date", "address.text", "death_date"]),
        texts(&[&"00".repeat(32), &"01".repeat(32), &"ff".repeat(32)]),
    );
    (time(), time(), who, why, what).prop_map(|(from, until, who, why, what)| Filter {
        from,
        until,
        agency: who.0,
        system: who.1,
        officer: who.2,
        purpose: why.0,
        dossier_number: why.1,
        certificate: what.6,
        subjects: what.0.unwrap_or_default(),
        field: what.5,
        record_type: what.1,
        source: what.2,
        outcome: what.3,
        agreement: what.4,
        event: None,
    })
}

/// The meaning of each filter, written out from the contract's words.
fn fits(filter: &Filter, entry: &Entry) -> bool {
    let caller = entry.caller.clone().unwrap();
    let time = entry.time.map(|time| (time.seconds, time.nanos)).unwrap();
    let same = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    let one_of =
        |wanted: &Option<String>, found: Vec<String>| wanted.as_ref().is_none_or(|wanted| found.contains(wanted));
    filter.from.is_none_or(|from| time >= (from.seconds, from.nanos))
        && filter.until.is_none_or(|until| time < (until.seconds, until.nanos))
        && filter.agency.as_ref().is_none_or(|wanted| format!("{}.", caller.agency).starts_with(&format!("{wanted}.")))
        && same(&filter.system, &caller.system)
        && same(&filter.certificate, &caller.certificate_sha256)
        && same(&filter.officer, &entry.officer.as_ref().unwrap().id)
        && same(&filter.purpose, &entry.purpose.as_ref().unwrap().code)
        && same(&filter.dossier_number, &entry.purpose.as_ref().unwrap().dossier_number)
        && (filter.subjects.is_empty() || entry.subjects.iter().any(|subject| filter.subjects.contains(subject)))
        && one_of(&filter.field, entry.accesses.iter().flat_map(|access| access.fields_asked.clone()).collect())
        && one_of(&filter.record_type, entry.accesses.iter().map(|access| access.record_type.clone()).collect())
        && one_of(&filter.source, entry.sources.iter().map(|source| source.source.clone()).collect())
        && filter.outcome.is_none_or(|wanted| entry.outcome() == wanted)
        && one_of(&filter.agreement, entry.accesses.iter().flat_map(|access| access.agreements.clone()).collect())
}

async fn all_pages(log: &AuditLog, filter: &Filter, page_size: usize) -> Vec<LoggedEntry> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = log.search(filter, page_size, &token).await.unwrap();
        assert!(page.entries.len() <= page_size);
        found.extend(page.entries);
        if page.next_page_token.is_empty() {
            return found;
        }
        token = page.next_page_token;
    }
}

#[test]
fn filters_and_their_combinations_agree_with_a_scan_on_sqlite() {
    filters_agree_with_a_scan(Store::Sqlite, 150);
}

#[test]
fn filters_and_their_combinations_agree_with_a_scan_on_postgres() {
    if Store::Postgres.available() {
        filters_agree_with_a_scan(Store::Postgres, 60);
    }
}

fn filters_agree_with_a_scan(store: Store, case_count: u32) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (place, log) = runtime.block_on(async {
        let place = Place::empty(store).await;
        // Blocks of the index that are full, and one that is not.
        let log = place.open_with(Options { index_block_size: BLOCK, ..Options::default() }).await;
        fill(&log, 0..COUNT).await;
        (place, log)
    });
    let found_least = case_count / 8;
    let (cases, found_some) = (Cell::new(0), Cell::new(0));
    let config = Config { cases: case_count, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(filters(), proptest::sample::select(vec![40usize, 333, 1000])), |(filter, page_size)| {
            let expected: Vec<u64> = (0..COUNT).rev().filter(|number| fits(&filter, &entry(*number))).collect();
            let found = runtime.block_on(all_pages(&log, &filter, page_size));
            prop_assert_eq!(found.iter().map(|logged| logged.log_index).collect::<Vec<_>>(), expected.clone());
            prop_assert!(found.iter().all(|logged| logged.entry == Some(entry(logged.log_index))));
            cases.set(cases.get() + 1);
            found_some.set(found_some.get() + usize::from(!expected.is_empty()));
            Ok(())
        })
        .unwrap();
    println!("{} filters, {} of them found something", cases.get(), found_some.get());
    assert!(found_some.get() > found_least as usize);
    runtime.block_on(log.close());
    drop(place);
}

async fn pages_stay_where_they_are_while_the_log_grows(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open().await;
    fill(&log, 0..100).await;
    let everything = Filter::default();
    let first = log.search(&everything, 30, "").await.unwrap();
    assert_eq!(
        first.entries.iter().map(|logged| logged.log_index).collect::<Vec<_>>(),
        (70..100).rev().collect::<Vec<_>>()
    );
    fill(&log, 100..150).await;
    let second = log.search(&everything, 30, &first.next_page_token).await.unwrap();
    assert_eq!(
        second.entries.iter().map(|logged| logged.log_index).collect::<Vec<_>>(),
        (40..70).rev().collect::<Vec<_>>()
    );

    let other = Filter { system: Some("portal".to_owned()), ..Filter::default() };
    for token in [first.next_page_token.as_str(), "nonsense", "5"] {
        assert!(matches!(log.search(&other, 30, token).await, Err(AuditError::PageToken)), "{token}");
    }
    // The page that ends exactly at the last match has no next one.
    let last = log.search(&everything, 150, "").await.unwrap();
    assert_eq!((last.entries.len(), last.next_page_token.as_str()), (150, ""));
    log.close().await;
}

async fn what_was_just_appended_is_found_at_once(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open().await;
    for number in 0..100 {
        let appended = log.append(entry(number)).await.unwrap();
        let newest = log.search(&Filter::default(), 1, "").await.unwrap();
        assert_eq!(newest.entries[0].log_index, appended.log_index);
        let filter = Filter { subjects: vec![subject(number % 40)], ..Filter::default() };
        assert_eq!(log.search(&filter, 1, "").await.unwrap().entries[0].log_index, appended.log_index);
    }
    log.close().await;
}

#[tokio::test]
async fn the_index_is_rebuilt_on_demand_and_whenever_it_is_unusable() {
    let place = Place::empty(Store::Sqlite).await;
    let index = place.directory.path().join("audit.db.index");
    let filter = Filter { officer: Some("CB-2".to_owned()), ..Filter::default() };
    let options = Options { index_block_size: 400, ..Options::default() };
    let log = place.open_with(options.clone()).await;
    fill(&log, 0..1500).await;
    let expected = all_pages(&log, &filter, 1000).await;
    assert!(expected.len() > 200);

    let mut last = (0, 0);
    log.rebuild_index(|done, all| last = (done, all)).await.unwrap();
    assert_eq!(last, (1500, 1500));
    assert_eq!(all_pages(&log, &filter, 1000).await, expected);
    log.close().await;

    let good = std::fs::read(&index).unwrap();
    let other = Place::empty(Store::Sqlite).await;
    let other_log = other.open_with(options.clone()).await;
    fill(&other_log, 500..2000).await;
    all_pages(&other_log, &filter, 1000).await;
    other_log.close().await;
    let foreign = std::fs::read(other.directory.path().join("audit.db.index")).unwrap();
    for (name, bytes) in
        [("gone", None), ("text", Some(b"no index".repeat(600))), ("foreign", Some(foreign)), ("good", Some(good))]
    {
        match bytes {
            Some(bytes) => std::fs::write(&index, bytes).unwrap(),
            None => std::fs::remove_file(&index).unwrap(),
        }
        let log = place.open_with(options.clone()).await;
        assert_eq!(all_pages(&log, &filter, 1000).await, expected, "{name}");
        log.close().await;
    }
    // Of another block size.
    let log = place.open().await;
    assert_eq!(all_pages(&log, &filter, 1000).await, expected);
    log.close().await;
}

async fn an_entry_without_caller_time_or_purpose_is_found_only_where_nothing_of_these_is_asked(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open().await;
    log.append(Entry { outcome: Outcome::Answered as i32, ..Entry::default() }).await.unwrap();
    assert_eq!(log.search(&Filter::default(), 10, "").await.unwrap().entries.len(), 1);
    let answered = Filter { outcome: Some(Outcome::Answered), ..Filter::default() };
    assert_eq!(log.search(&answered, 10, "").await.unwrap().entries.len(), 1);
    let zero = Some(prost_types::Timestamp::default());
    for filter in [
        Filter { from: zero, ..Filter::default() },
        Filter { agency: Some("H21".to_owned()), ..Filter::default() },
        Filter { officer: Some(String::new()), ..Filter::default() },
    ] {
        assert_eq!(log.search(&filter, 10, "").await.unwrap().entries.len(), 0, "{filter:?}");
    }
    log.close().await;
}

async fn a_period_holds_its_beginning_and_not_its_end(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open().await;
    fill(&log, 0..30).await;
    let (from, until) = (entry(5).time, entry(9).time);
    let page = log.search(&Filter { from, until, ..Filter::default() }, 100, "").await.unwrap();
    // Entry 3 and 10 are two hours early; 5 to 8 are in their order.
    assert_eq!(page.entries.iter().map(|logged| logged.log_index).collect::<Vec<_>>(), [8, 7, 6, 5]);
    log.close().await;
}

async fn searches_given_up_at_any_moment_harm_none_that_follow(store: Store) {
    let place = Place::empty(store).await;
    let log = place.open_with(Options { reader_count_max: 2, ..Options::default() }).await;
    let all = Filter::default();
    let (mut given_up, mut count) = (0, 0);
    for micros in (0..30_u64).map(|round| 200 * round) {
        fill(&log, count..count + 150).await;
        count += 150;
        let search = log.search(&all, 50, "");
        match tokio::time::timeout(std::time::Duration::from_micros(micros), search).await {
            Ok(found) => assert_eq!(found.unwrap().entries[0].log_index, count - 1),
            Err(_) => given_up += 1,
        }
        let found = log.search(&all, 50, "").await.unwrap();
        assert_eq!(found.entries[0].log_index, count - 1);
    }
    assert!(given_up > 2, "{given_up} searches were given up");
    log.close().await;
}
