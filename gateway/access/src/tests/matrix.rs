//! The shipped agreements as one table, kept in `deploy/matrix.txt` and reviewed by hand against them.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use super::*;

const HEADER: &str = "\
# What the files in deploy/ release: for each system and purpose, action and record type, the fields.
# With a dossier number and a named officer, on 22 November 2026. \"any officer\": asserted by the calling system or proven;
# \"proven officer\": the fields that are released beyond these to a proven officer only. What is not listed is refused.
# Written by the test `the_matrix_is_as_reviewed` when ACCESS_MATRIX=write is set; review every change against the grants.
";

/// The fields released of a whole record type.
fn released(set: &AccessSet, ask: &Ask, assurance: Assurance) -> FieldSet {
    let ask = Ask { officer: Some(officer(assurance)), ..ask.clone() };
    ask.of(set).map(|permit| permit.selections()[0].released.clone()).unwrap_or_default()
}

/// Paths, those of one nested message together: "mother.{full_name, personal_id}".
fn compact(record_type: &RecordType, fields: &FieldSet) -> String {
    let mut parts: Vec<(String, Vec<String>)> = Vec::new();
    for path in record_type.paths_of(fields) {
        let (parent, leaf) = path.rsplit_once('.').unwrap_or(("", &path));
        match parts.last_mut() {
            Some((last, leaves)) if last == parent && !parent.is_empty() => leaves.push(leaf.to_owned()),
            _ => parts.push((parent.to_owned(), vec![leaf.to_owned()])),
        }
    }
    let parts = parts.into_iter().map(|(parent, leaves)| match parent.as_str() {
        "" => leaves.concat(),
        _ => format!("{parent}.{{{}}}", leaves.join(", ")),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// One line for each group of actions that release the same fields.
fn write_record_type(
    text: &mut String,
    set: &AccessSet,
    agency: &str,
    system: &str,
    purpose: &str,
    record_type: &Arc<RecordType>,
) {
    let mut lines: Vec<(&str, FieldSet, Vec<&str>)> = Vec::new();
    for action in Action::ALL {
        let ask = Ask { action, ..Ask::new(agency, system, purpose, vec![whole(record_type)]) };
        let any = released(set, &ask, Assurance::Asserted);
        let beyond = released(set, &ask, Assurance::Proven).difference(&any);
        for (who, fields) in [("any officer", any), ("proven officer", beyond)] {
            match lines.iter_mut().find(|(known, same, _)| *known == who && *same == fields) {
                Some((_, _, actions)) => actions.push(action.as_str()),
                None => lines.push((who, fields, vec![action.as_str()])),
            }
        }
    }
    for (who, fields, actions) in lines.into_iter().filter(|(_, fields, _)| !fields.is_empty()) {
        let of = format!("{}/{}", fields.len(), record_type.fields.len());
        writeln!(text, "  {purpose} {} {} {who} {of}", actions.join("+"), record_type.name).unwrap();
        writeln!(text, "      {}", compact(record_type, &fields)).unwrap();
    }
}

fn matrix(set: &AccessSet) -> String {
    let mut text = HEADER.to_owned();
    let mut systems: BTreeMap<(String, String), bool> = BTreeMap::new();
    for agreement in set.agreements() {
        for system in &agreement.systems {
            *systems.entry((agreement.consumer.to_string(), system.clone())).or_default() |= agreement.reads_log();
        }
    }
    for ((agency, system), _) in systems {
        writeln!(text, "\n{agency} {system}").unwrap();
        if set
            .read_log(&caller(&agency, &system), Some(&officer(Assurance::Asserted)), at("2026-11-22T03:00:00Z"))
            .is_ok()
        {
            writeln!(text, "  reads the log").unwrap();
        }
        for purpose in set.purposes() {
            for record_type in SCHEMA.record_types() {
                write_record_type(&mut text, set, &agency, &system, &purpose.code, record_type);
            }
        }
    }
    text
}

#[test]
fn the_matrix_is_as_reviewed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/matrix.txt");
    let now = matrix(&shipped_set());
    if std::env::var("ACCESS_MATRIX").is_ok_and(|value| value == "write") {
        std::fs::write(&path, &now).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    let change = now.lines().zip(reviewed.lines().chain(std::iter::repeat(""))).find(|(now, reviewed)| now != reviewed);
    assert_eq!(now, reviewed, "first change: {change:?}; set ACCESS_MATRIX=write and review the difference");
}
