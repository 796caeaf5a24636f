//! What comes back: for numbers that are there, and for those that are not.

use adapter_sdk::{Fetched, FieldMark, Grade};
use prost_reflect::Value;
use proto::{FieldSet, options::v1::IdentifierKind};

use crate::{Finding, NO_EXAMPLES, Subject, content, project, short};

/// Numbers of no kind that any register holds.
const UNKNOWN: [&str; 3] = ["999999999999", "0000000", "0"];

pub(crate) async fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let mut wholes = Vec::new();
    let mut findings = finds(subject, &mut wholes).await;
    findings.push(unknown(subject).await);
    findings.push(only_what_is_asked(subject, &wholes).await);
    findings.push(marks(subject, &wholes));
    findings.push(empty_is_absent(subject, &wholes));
    findings
}

/// Asks by every example, and keeps the whole answers.
async fn finds(subject: &Subject<'_>, wholes: &mut Vec<(usize, Fetched)>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for kind in &subject.record.lookup {
        let mut finding = subject.finding("finds_known_numbers", "a number that is in the register finds its record");
        for (at, example) in subject.examples.iter().enumerate().filter(|(_, example)| example.key.kind == *kind) {
            match subject.whole(&example.key).await {
                Ok(fetched) => {
                    let found = match &example.record {
                        None => !fetched.records.is_empty(),
                        Some(known) => fetched.records.iter().any(|record| {
                            record.message == known.message
                                && record.marks == known.marks
                                && record.as_of == known.as_of
                        }),
                    };
                    finding.expect(found, || format!("a {} did not find the record it stands in", short(*kind)));
                    wholes.push((at, fetched));
                }
                Err(error) => finding.expect(false, || format!("a {} gave: {}", short(*kind), error.reason())),
            }
        }
        findings.push(finding.or_skipped(&format!("no {} is known to be in the register; name one", short(*kind))));
    }
    findings
}

async fn unknown(subject: &Subject<'_>) -> Finding {
    let mut finding =
        subject.finding("unknown_numbers_find_nothing", "a number that is not there gives no record and no error");
    for kind in &subject.record.lookup {
        for number in
            UNKNOWN.into_iter().filter(|number| !subject.examples.iter().any(|known| known.key.value == *number))
        {
            let answer = subject.ask(*kind, number, &subject.record.fields).await;
            finding.expect(answer.as_ref().is_ok_and(|fetched| fetched.records.is_empty()), || match answer {
                Ok(_) => format!("a {} nobody has found a record", short(*kind)),
                Err(error) => format!("an unknown {} gave: {}", short(*kind), error.reason()),
            });
        }
    }
    finding
}

/// Every field for itself, each half, and none: what comes back is that part of the whole record and nothing else.
async fn only_what_is_asked(subject: &Subject<'_>, wholes: &[(usize, Fetched)]) -> Finding {
    let rule = "a question for some fields gives that part of the whole records, with the same marks, and nothing else";
    let mut finding = subject.finding("only_what_is_asked", rule);
    // Each kind of number is another statement; one example of each is asked for everything.
    let mut seen: Vec<IdentifierKind> = Vec::new();
    for (at, whole) in wholes.iter().filter(|(_, whole)| !whole.records.is_empty()) {
        let key = &subject.examples[*at].key;
        let thorough = !seen.contains(&key.kind);
        if thorough {
            seen.push(key.kind);
        }
        for fields in subsets(subject, thorough) {
            let what = || subject.record_type().paths_of(&fields).join(", ");
            match subject.ask(key.kind, &key.value, &fields).await {
                Ok(part) => {
                    finding.expect(is_part(subject, whole, &part, &fields), || format!("asked for: {}", what()))
                }
                Err(error) => finding.expect(false, || format!("{} when asked for: {}", error.reason(), what())),
            }
        }
    }
    finding.or_skipped(NO_EXAMPLES)
}

fn subsets(subject: &Subject<'_>, thorough: bool) -> Vec<FieldSet> {
    let none = subject.record_type().no_fields();
    let take = |wanted: &dyn Fn(usize) -> bool| {
        let mut set = none.clone();
        subject.record.fields.iter().filter(|field| wanted(*field)).for_each(|field| set.insert(field));
        set
    };
    let mut subsets = vec![none.clone(), take(&|field| field % 2 == 0), take(&|field| field % 2 == 1)];
    // Fields that the source does not fill may be asked for.
    subsets.push(subject.record_type().all_fields());
    if thorough {
        subsets.extend(subject.record.fields.iter().map(|only| take(&|field| field == only)));
    }
    subsets
}

fn is_part(subject: &Subject<'_>, whole: &Fetched, part: &Fetched, fields: &FieldSet) -> bool {
    let of = |marks: &[FieldMark]| marks.iter().filter(|mark| fields.contains(mark.field)).cloned().collect::<Vec<_>>();
    let expected = whole
        .records
        .iter()
        .map(|record| (project::project(&record.message, subject.record_type(), fields), of(&record.marks)));
    let given = part.records.iter().map(|record| (record.message.clone(), record.marks.clone()));
    let mut given: Vec<_> = given.collect();
    let mut expected: Vec<_> = expected.collect();
    // What is said of a field does not depend on the order in which fields are read.
    given.iter_mut().chain(&mut expected).for_each(|(_, marks)| marks.sort_by(|a, b| a.path.cmp(&b.path)));
    given == expected
}

/// What is said of fields can be understood, and fits what is there.
fn marks(subject: &Subject<'_>, wholes: &[(usize, Fetched)]) -> Finding {
    let rule = "each mark names a field of the source by its path, has reasons in snake_case, and a field that is invalid or \
                missing is absent";
    let mut finding = subject.finding("marks_fit", rule);
    let snake = |reason: &str| {
        !reason.is_empty() && reason.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    for record in wholes.iter().flat_map(|(_, whole)| &whole.records) {
        for mark in &record.marks {
            let path = subject.path(mark.field).to_owned();
            finding.expect(subject.record.fields.contains(mark.field), || format!("{path}: not a field of the source"));
            finding
                .expect(unnumbered(&mark.path) == path, || format!("{path}: the path of the mark is another field's"));
            finding.expect(!mark.reasons.is_empty() && mark.reasons.iter().all(|reason| snake(reason)), || {
                format!("{path}: a reason is no stable name")
            });
            let gone = mark.grade < Grade::Invalid || mark.path != path || {
                let field = &subject.record_type().fields[mark.field];
                project::values(&record.message, &field.descriptors).next().is_none()
            };
            finding.expect(gone, || format!("{path}: invalid or missing, and yet there"));
        }
        for field in project::filled(&record.message, subject.record_type()) {
            finding.expect(subject.record.fields.contains(field), || {
                format!("{}: filled, but not described", subject.path(field))
            });
        }
    }
    finding.or_skipped("no record was found to look at")
}

/// `industries[2].code` is `industries.code`.
fn unnumbered(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut inside = false;
    for character in path.chars() {
        match character {
            '[' => inside = true,
            ']' => inside = false,
            other if !inside => plain.push(other),
            _ => {}
        }
    }
    plain
}

/// NULL, empty text and padding are no values.
fn empty_is_absent(subject: &Subject<'_>, wholes: &[(usize, Fetched)]) -> Finding {
    let rule = "what is empty in the register is absent: no empty text, no padding, no empty message";
    let mut finding = subject.finding("empty_is_absent", rule);
    for record in wholes.iter().flat_map(|(_, whole)| &whole.records) {
        for field in &subject.record_type().fields {
            for value in project::values(&record.message, &field.descriptors) {
                finding.expect(sound(&value), || format!("{}: empty or padded", field.path));
            }
        }
    }
    finding.or_skipped("no record was found to look at")
}

fn sound(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.is_empty() && text.trim() == text,
        Value::Message(message) => message.fields().next().is_some(),
        _ => true,
    }
}

/// Whether two answers to the same question say the same.
pub(crate) fn same(first: &Fetched, second: &Fetched) -> bool {
    content(first) == content(second)
}
