//! How a source behaves: the same every time, within its deadlines, for many at once, and in words when it cannot.

use std::time::Duration;

use adapter_sdk::{Adapter, Key, SourceError};
use chrono::Utc;
use futures::{StreamExt, stream};
use proto::{Schema, options::v1::IdentifierKind};
use tokio::time::{Instant, timeout};

use crate::{Finding, NO_EXAMPLES, Options, Subject, content::same, described, request, short, tells};

/// How much later than its deadline an answer may come: the machine may be busy.
const GRACE: Duration = Duration::from_secs(1);
/// A number of no kind that any register holds.
const NOBODYS: &str = "999999999999";
/// Questions whose callers go.
const ABANDONED: usize = 64;
/// How far the clocks of hub and source may differ.
const CLOCK_SKEW: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

pub(crate) async fn ready(adapter: &dyn Adapter) -> Finding {
    let mut finding = Finding::new("", "ready", "the database answers and fits the mapping");
    let answer = adapter.ready().await;
    finding.expect(answer.is_ok(), || answer.as_ref().map_or_else(ToString::to_string, |()| String::new()));
    finding
}

/// A record type the source does not have is refused.
pub(crate) async fn unknown_record_type(adapter: &dyn Adapter, schema: &Schema, options: &Options) -> Finding {
    let mut finding =
        Finding::new("", "refuses_other_record_types", "a record type the source does not have is refused");
    let other = schema.record_types().find(|other| described(adapter).record(&other.name).is_none());
    if let Some(other) = other {
        let key = Key { kind: IdentifierKind::PersonalId, value: NOBODYS.to_owned() };
        let answer = adapter.fetch(&request(other, key, &other.all_fields(), options.timeout)).await;
        finding
            .expect(matches!(answer, Err(SourceError::UnknownRecordType { .. })), || "it was not refused".to_owned());
    }
    finding.or_skipped("the source has every record type there is")
}

pub(crate) async fn check(subject: &Subject<'_>) -> Vec<Finding> {
    vec![
        other_kinds(subject).await,
        repeatable(subject).await,
        side_by_side(subject).await,
        deadlines(subject).await,
        callers_who_go(subject).await,
    ]
}

async fn other_kinds(subject: &Subject<'_>) -> Finding {
    let rule = "a kind of number that does not find the record type is refused";
    let mut finding = subject.finding("refuses_other_kinds", rule);
    let kinds = (1..).map_while(|kind| IdentifierKind::try_from(kind).ok());
    for kind in kinds.filter(|kind| !subject.record.lookup.contains(kind)) {
        let answer = subject.ask(kind, NOBODYS, &subject.record.fields).await;
        finding.expect(matches!(answer, Err(SourceError::UnsupportedKey { .. })), || {
            format!("a question by {} was not refused", short(kind))
        });
    }
    finding.or_skipped("every kind of number finds it")
}

/// The same question has the same answer, made now.
async fn repeatable(subject: &Subject<'_>) -> Finding {
    let rule = "the same question asked twice has the same answer, each with the time it was made at";
    let mut finding = subject.finding("repeatable", rule);
    let digest = described(subject.adapter).mapping_digest.clone();
    for example in &subject.examples {
        let before = Utc::now() - CLOCK_SKEW;
        let (first, second) = (subject.whole(&example.key).await, subject.whole(&example.key).await);
        let after = Utc::now() + CLOCK_SKEW;
        let (Ok(first), Ok(second)) = (first, second) else {
            finding.expect(false, || format!("a question by {} failed", short(example.key.kind)));
            continue;
        };
        finding.expect(same(&first, &second), || format!("two answers by {} differ", short(example.key.kind)));
        let times = [first.retrieved_at, second.retrieved_at];
        finding.expect(times.iter().all(|time| (before..=after).contains(time)), || {
            "retrieved_at is not the time of the answer".to_owned()
        });
    }
    finding.expect(described(subject.adapter).mapping_digest == digest, || "the mapping's digest changed".to_owned());
    if subject.examples.is_empty() { Finding { cases: 0, ..finding }.or_skipped(NO_EXAMPLES) } else { finding }
}

async fn side_by_side(subject: &Subject<'_>) -> Finding {
    let rule = "many questions at once, some of them for numbers nobody has, have the answers each has alone";
    let mut finding = subject.finding("side_by_side", rule);
    let mut keys: Vec<Key> = subject.examples.iter().map(|example| example.key.clone()).collect();
    if keys.is_empty() {
        return finding.or_skipped(NO_EXAMPLES);
    }
    let unknown = |kind: &IdentifierKind| Key { kind: *kind, value: NOBODYS.to_owned() };
    keys.extend(subject.record.lookup.iter().map(unknown));
    let mut alone = Vec::new();
    for key in &keys {
        alone.push(subject.whole(key).await);
    }
    // Each several times, so that questions for the same number meet, too.
    let asked: Vec<usize> = (0..keys.len() * 4).map(|at| at % keys.len()).collect();
    let answers = stream::iter(asked).map(async |at| (at, subject.whole(&keys[at]).await));
    let answers: Vec<_> = answers.buffer_unordered(subject.options.concurrency.max(1)).collect().await;
    for (at, together) in answers {
        let equal = matches!((&alone[at], &together), (Ok(alone), Ok(together)) if same(alone, together));
        finding.expect(equal, || format!("an answer by {} differs", short(keys[at].kind)));
    }
    finding
}

/// A deadline is kept, and a past one is not worked on.
async fn deadlines(subject: &Subject<'_>) -> Finding {
    let mut finding =
        subject.finding("keeps_deadlines", "no answer comes later than its deadline, and a past deadline is said");
    for (kind, value) in numbers(subject) {
        for time in [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(2)] {
            let begun = Instant::now();
            let answer = subject.ask_within(kind, &value, &subject.record.fields, time).await;
            finding.expect(begun.elapsed() < time + GRACE, || "an answer came much later than its deadline".to_owned());
            let said = matches!(answer, Err(SourceError::Timeout)) || (!time.is_zero() && answer.is_ok());
            finding.expect(said, || match &answer {
                Ok(_) => "a past deadline was answered".to_owned(),
                Err(error) => format!("a past deadline gave: {}", error.reason()),
            });
            let told = answer.err().is_some_and(|error| tells(&error, &value));
            finding.expect(!told, || "an error holds the number asked for".to_owned());
        }
    }
    finding
}

/// Callers who go leave nothing behind that keeps others waiting.
async fn callers_who_go(subject: &Subject<'_>) -> Finding {
    let rule = "after many callers who did not wait, the next is answered in time";
    let mut finding = subject.finding("frees_what_callers_leave", rule);
    let numbers = numbers(subject);
    let abandoned = (0..ABANDONED).map(|at| {
        let (kind, value) = &numbers[at % numbers.len()];
        let patience = Duration::from_micros(u64::try_from(at).unwrap_or_default() * 50);
        timeout(patience, subject.ask(*kind, value, &subject.record.fields))
    });
    drop(futures::future::join_all(abandoned).await);
    for (kind, value) in &numbers {
        let answer = subject.ask(*kind, value, &subject.record.fields).await;
        finding.expect(answer.is_ok(), || match &answer {
            Err(error) => format!("afterwards a question by {} gave: {}", short(*kind), error.reason()),
            Ok(_) => String::new(),
        });
    }
    finding
}

/// A number of each kind: one that is there, if one is known.
fn numbers(subject: &Subject<'_>) -> Vec<(IdentifierKind, String)> {
    let kinds = subject.record.lookup.iter();
    let number = |kind: &IdentifierKind| {
        let known = subject.examples.iter().find(|example| example.key.kind == *kind);
        (*kind, known.map_or_else(|| NOBODYS.to_owned(), |example| example.key.value.clone()))
    };
    kinds.map(number).collect()
}
