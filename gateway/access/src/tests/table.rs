//! The table of everything, held against the plain reading of the files; and the lint.

use std::collections::{BTreeMap, BTreeSet};

use super::{oracle::Oracle, *};
use crate::{Conditions, Opened};

/// System, purpose, action, record type, field, agreement, officer, dossier.
type Case = (String, String, &'static str, String, usize, String, Option<Assurance>, bool);

fn cases_of_the_table(set: &AccessSet) -> BTreeSet<Case> {
    let mut cases = BTreeSet::new();
    for row in set.table(at("2026-11-22T03:00:00Z")) {
        let Opened::Fields { purpose, action, record_type, fields } = row.opened else { continue };
        for (officer, dossier) in Conditions::circumstances().filter(|(who, with)| row.conditions.hold(*who, *with)) {
            for field in fields.iter() {
                let added = cases.insert((
                    format!("{}/{}", row.agency, row.system),
                    purpose.clone(),
                    action.as_str(),
                    record_type.name.clone(),
                    field,
                    set.agreements()[row.agreement].number.clone(),
                    officer,
                    dossier,
                ));
                assert!(added, "a case stands in the table twice");
            }
        }
    }
    cases
}

fn cases_of_the_files(sources: &AccessSources) -> BTreeSet<Case> {
    let oracle = Oracle::read(sources);
    let mut cases = BTreeSet::new();
    for (agency, system) in oracle.systems() {
        for purpose in oracle.purpose_codes() {
            for (action, record_type) in Action::ALL
                .into_iter()
                .flat_map(|action| SCHEMA.record_types().map(move |record_type| (action, record_type)))
            {
                for (assurance, dossier) in Conditions::circumstances() {
                    let ask = Ask {
                        action,
                        officer: assurance.map(officer),
                        dossier: dossier.then_some("H21.65-261122-0011"),
                        ..Ask::new(&agency, &system, &purpose, vec![whole(record_type)])
                    };
                    for field in 0..record_type.fields.len() {
                        cases.extend(oracle.releasing(&ask, record_type, field).into_iter().map(|number| {
                            let system = format!("{agency}/{system}");
                            let name = record_type.name.clone();
                            (system, purpose.clone(), action.as_str(), name, field, number, assurance, dossier)
                        }));
                    }
                }
            }
        }
    }
    cases
}

#[test]
fn the_table_holds_every_case_the_files_open_and_no_other() {
    let (table, files) = (cases_of_the_table(&shipped_set()), cases_of_the_files(&shipped_sources()));
    assert_eq!(table.difference(&files).next(), None, "in the table, not in the files");
    assert_eq!(files.difference(&table).next(), None, "in the files, not in the table");
    println!("{} cases in the table and in the files", table.len());
    assert!(table.len() > 1_000);
}

#[test]
fn an_explanation_names_for_each_field_what_decides_it() {
    let (set, sources) = (shipped_set(), shipped_sources());
    let oracle = Oracle::read(&sources);
    let mut kinds: BTreeMap<bool, usize> = BTreeMap::new();
    for row in set.table(at("2026-11-22T03:00:00Z")) {
        let Opened::Fields { purpose, action, record_type, .. } = row.opened else { continue };
        let agency = row.agency.to_string();
        let ask = Ask { action, ..Ask::new(&agency, &row.system, &purpose, vec![whole(&record_type)]) };
        let explained = set.explain(&AccessRequest {
            caller: &ask.caller,
            officer: ask.officer.as_ref(),
            purpose_code: &ask.purpose,
            dossier_number: ask.dossier,
            action: ask.action,
            selections: &ask.selections,
            now: ask.now,
        });
        assert_eq!(explained.len(), record_type.fields.len());
        for decision in explained {
            let releasing = oracle.releasing(&ask, &record_type, decision.field);
            *kinds.entry(decision.outcome.is_ok()).or_default() += 1;
            match decision.outcome {
                Ok(by) => {
                    let numbers = by.agreements.iter().map(|&index| set.agreements()[index].number.clone());
                    assert_eq!(numbers.collect::<BTreeSet<_>>(), releasing);
                    assert_eq!(
                        by.policy_ids.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
                        ["agreement_releases_field"]
                    );
                }
                Err(reason) => {
                    assert!(releasing.is_empty());
                    assert!(!reason.message_vi.is_empty() && !reason.message_en.is_empty());
                }
            }
        }
    }
    assert!(kinds.values().all(|count| *count > 100), "{kinds:?}");
}

#[test]
fn the_log_is_in_the_table_for_those_who_read_it() {
    let set = shipped_set();
    let rows = set.table(at("2026-11-22T03:00:00Z"));
    let readers: Vec<_> =
        rows.iter().filter(|row| matches!(row.opened, Opened::Hub(crate::HubAction::ReadLog))).collect();
    let names: Vec<_> = readers.iter().map(|row| format!("{}/{}", row.agency, row.system)).collect();
    assert_eq!(names, ["H21.90/console", "H21.90/inspection"]);
    assert!(readers.iter().all(|row| row.conditions.to_string() == "any named officer"));
}

#[test]
fn conditions_are_put_in_words() {
    let mixed = mixed_record_type();
    let words = |lines: &str| -> BTreeSet<String> {
        let set = load(&sources_with(vec![grant("1", "H21.65", &[&mixed], lines)])).unwrap().set;
        set.table(at("2026-11-22T03:00:00Z")).iter().map(|row| row.conditions.to_string()).collect()
    };
    assert_eq!(
        words("purposes = [\"check_enterprise\"]"),
        BTreeSet::from(["any named officer".to_owned(), "proven officer".to_owned()])
    );
    assert_eq!(
        words("purposes = [\"identify_applicant\"]"),
        BTreeSet::from(["any named officer; dossier".to_owned(), "proven officer; dossier".to_owned()])
    );
    let accepted = "officer_assurance = \"asserted\"\npurposes = [\"check_enterprise\"]";
    assert_eq!(words(accepted), BTreeSet::from(["any named officer".to_owned()]));
    let expired = "valid_from = 2020-01-01\nvalid_until = 2020-12-31";
    assert_eq!(words(expired), BTreeSet::from(["never".to_owned()]));
}

#[test]
fn lint_finds_what_is_granted_in_vain() {
    let (guarded, mixed) = (guarded_record_type(), mixed_record_type());
    let file = grant("1", "H21.65", &[&mixed, &guarded], "valid_until = 2026-12-31");
    let line = |needle: &str| file.text.lines().position(|line| line.contains(needle)).unwrap() + 1;
    let (ending, in_vain) = (line("valid_until"), line(&guarded.name));
    let set = load(&sources_with(vec![file.clone()])).unwrap().set;
    let found = set.lint(at("2026-11-22T03:00:00Z"));
    let of_grant: Vec<_> = found.iter().filter(|problem| problem.file == "1.toml").collect();
    assert_eq!(of_grant.len(), 2, "{found:?}");
    // From 10:00 on 22 November to the end of 31 December are 39 whole days.
    assert_eq!(of_grant[0].message, "agreement \"1\" ends in 39 days");
    assert_eq!(of_grant[0].line, Some(ending));
    assert_eq!(of_grant[1].line, Some(in_vain));
    assert!(
        of_grant[1].message.contains("to H21.65/desk, which it never receives: SLIP_2_RESTRICTED by guardrail slip_2")
    );
    // The grants left name two of the purposes.
    let unused = found.iter().filter(|problem| problem.message.contains("so nobody can state it")).count();
    assert_eq!(unused, set.purposes().len() - 2);
    assert!(found.iter().all(|problem| problem.line.is_some()));
}

#[test]
fn the_shipped_files_grant_nothing_in_vain() {
    // One purpose is in the catalogue for agreements to come; everything else is used.
    let messages: Vec<_> =
        shipped_set().lint(at("2026-11-22T03:00:00Z")).into_iter().map(|found| found.message).collect();
    assert_eq!(messages, ["no agreement names purpose \"judicial_slip\", so nobody can state it"]);
}
