//! Each guardrail forbids what it says, and is what forbids it: without it the decision is another.

use std::collections::BTreeSet;

use cedar_policy::PolicySet;

use super::*;

/// The sources without one policy, found by its `@id`.
fn without(sources: &AccessSources, id: &str) -> AccessSources {
    let mut sources = sources.clone();
    for file in &mut sources.policies {
        let policies: PolicySet = file.text.parse().unwrap();
        let kept = policies.policies().filter(|policy| policy.annotation("id") != Some(id)).cloned();
        file.text = PolicySet::from_policies(kept).unwrap().to_string();
    }
    sources
}

struct Case {
    id: &'static str,
    reason: &'static str,
    sources: AccessSources,
    ask: Ask,
    /// The reason given when the guardrail is gone; none when the fields are then released.
    then: Option<&'static str>,
}

/// One case for each guardrail.
fn cases() -> Vec<Case> {
    let (mixed, guarded) = (mixed_record_type(), guarded_record_type());
    let plain = sources_with(vec![grant("1", "H21.65", &[&mixed], "")]);
    let ask = Ask::new("H21.65", "desk", "identify_applicant", vec![whole(&mixed)]);
    let of_class = |class| {
        let mut set = mixed.no_fields();
        let fields = mixed.fields.iter().enumerate().filter(|(_, field)| field.sensitivity == class);
        fields.for_each(|(index, _)| set.insert(index));
        set
    };
    let (basic, sensitive) = (of_class(Sensitivity::Basic), of_class(Sensitivity::Sensitive));
    let searching = sources_with(vec![grant("1", "H21.65", &[&mixed], "actions = [\"search\"]")]);
    let search = Ask { action: Action::Search, ..ask.clone() };
    let log = "actions = [\"read_log\"]";
    let mut opens_log = grant("2", "H21.65", &[], log);
    opens_log.text = opens_log.text.lines().filter(|line| !line.starts_with("purposes")).collect::<Vec<_>>().join("\n");
    let prosecution = sources_with(vec![grant("1", "H21.40.05", &[&guarded], "officer_assurance = \"asserted\"")]);
    let slip = vec![whole(&guarded)];
    let asserted = Some(officer(Assurance::Asserted));
    vec![
        Case {
            id: "purpose_is_stated",
            reason: "PURPOSE_MISSING",
            sources: plain.clone(),
            ask: Ask { purpose: " ".to_owned(), ..ask.clone() },
            then: Some("PURPOSE_NOT_IN_AGREEMENT"),
        },
        Case {
            id: "purpose_is_in_catalogue",
            reason: "PURPOSE_UNKNOWN",
            sources: plain.clone(),
            ask: Ask { purpose: "curiosity".to_owned(), ..ask.clone() },
            then: Some("PURPOSE_NOT_IN_AGREEMENT"),
        },
        Case {
            id: "officer_is_named",
            reason: "OFFICER_MISSING",
            sources: plain.clone(),
            ask: Ask { officer: None, ..ask.clone() },
            then: None,
        },
        Case {
            id: "dossier_is_stated",
            reason: "DOSSIER_MISSING",
            sources: plain.clone(),
            ask: Ask { dossier: Some(" "), ..ask.clone() },
            then: None,
        },
        Case {
            id: "operators_read_no_records",
            reason: "OPERATOR_READS_NO_RECORDS",
            sources: sources_with(vec![grant("1", "H21.65", &[&mixed], ""), opens_log]),
            ask: ask.clone(),
            then: None,
        },
        Case {
            id: "agreement_has_begun",
            reason: "AGREEMENT_NOT_YET_IN_FORCE",
            sources: plain.clone(),
            ask: Ask { now: at("2025-12-31T16:59:59Z"), ..ask.clone() },
            then: None,
        },
        Case {
            id: "agreement_has_not_ended",
            reason: "AGREEMENT_EXPIRED",
            sources: plain.clone(),
            ask: Ask { now: at("2026-12-31T17:00:00Z"), ..ask.clone() },
            then: None,
        },
        Case {
            id: "slip_2_is_for_prosecution_bodies",
            reason: "SLIP_2_RESTRICTED",
            sources: sources_with(vec![grant("1", "H21.65", &[&guarded], "")]),
            ask: Ask { selections: slip.clone(), ..ask.clone() },
            then: None,
        },
        Case {
            id: "slip_2_needs_proven_officer",
            reason: "SLIP_2_NEEDS_PROVEN_OFFICER",
            sources: prosecution,
            ask: Ask { officer: asserted.clone(), ..Ask::new("H21.40.05", "desk", "identify_applicant", slip) },
            then: None,
        },
        Case {
            id: "sensitive_needs_assured_officer",
            reason: "SENSITIVE_NEEDS_PROVEN_OFFICER",
            sources: plain,
            ask: Ask { officer: asserted, selections: vec![(mixed.clone(), sensitive.clone())], ..ask },
            then: None,
        },
        Case {
            id: "search_tells_nothing_sensitive",
            reason: "SEARCH_TELLS_NOTHING_SENSITIVE",
            sources: searching.clone(),
            ask: Ask { selections: vec![(mixed.clone(), sensitive)], ..search.clone() },
            then: None,
        },
        Case {
            id: "search_for_people_names_dossier",
            reason: "SEARCH_NEEDS_DOSSIER",
            sources: searching,
            ask: Ask {
                purpose: "check_enterprise".to_owned(),
                dossier: None,
                selections: vec![(mixed, basic)],
                ..search
            },
            then: None,
        },
    ]
}

#[test]
fn every_guardrail_is_what_forbids() {
    for case in cases() {
        let refusal = case.ask.clone().of(&load(&case.sources).unwrap().set).expect_err(case.id);
        assert_eq!(refusal.reason, case.reason, "{}", case.id);
        assert_eq!(*refusal.policy_ids, [case.id]);
        assert!(!refusal.message_vi.is_empty() && !refusal.message_en.is_empty());
        let asked = &case.ask.selections[0];
        assert_eq!(refusal.selections[0].withheld.len(), asked.1.len(), "{}", case.id);

        let open = load(&without(&case.sources, case.id)).unwrap().set;
        match (case.then, case.ask.of(&open)) {
            (None, Ok(permit)) => assert!(!permit.selections()[0].released.is_empty(), "{}", case.id),
            (Some(reason), Err(refusal)) => assert_eq!(refusal.reason, reason, "{}", case.id),
            (expected, found) => panic!("{}: expected {expected:?}, found {found:?}", case.id),
        }
    }
}

#[test]
fn every_shipped_guardrail_has_a_case() {
    let tested: BTreeSet<String> = cases().into_iter().map(|case| case.id.to_owned()).collect();
    let mut shipped = BTreeSet::new();
    for file in shipped_sources().policies {
        let policies: PolicySet = file.text.parse().unwrap();
        let forbids = policies.policies().filter(|policy| policy.effect() == cedar_policy::Effect::Forbid);
        shipped.extend(forbids.map(|policy| policy.annotation("id").unwrap().to_owned()));
    }
    assert_eq!(tested, shipped);
}

#[test]
fn an_agreement_may_accept_asserted_officers_for_sensitive_fields() {
    let mixed = mixed_record_type();
    let set =
        load(&sources_with(vec![grant("1", "H21.65", &[&mixed], "officer_assurance = \"asserted\"")])).unwrap().set;
    let mut ask = Ask::new("H21.65", "desk", "identify_applicant", vec![whole(&mixed)]);
    ask.officer = Some(officer(Assurance::Asserted));
    let permit = ask.clone().of(&set).unwrap();
    assert_eq!(permit.selections()[0].released, mixed.all_fields());
    ask.officer = None;
    assert_eq!(ask.of(&set).unwrap_err().reason, "OFFICER_MISSING");
}

#[test]
fn refusals_tell_how_far_the_callers_own_agreements_go() {
    let mixed = mixed_record_type();
    let set = load(&sources_with(vec![grant("1", "H21.65", &[&mixed], "")])).unwrap().set;
    let other = SCHEMA.record_types().find(|record_type| record_type.name != mixed.name).unwrap();
    let ask = Ask::new("H21.65", "desk", "check_enterprise", vec![whole(&mixed)]);
    assert!(ask.clone().of(&set).is_ok());
    let reason = |ask: Ask| ask.of(&set).unwrap_err().reason;
    for (agency, system) in [("H21.65", "other"), ("H21.10", "desk"), ("H21", "desk"), ("H30", "desk")] {
        assert_eq!(reason(Ask { caller: caller(agency, system), ..ask.clone() }), "NO_AGREEMENT", "{agency} {system}");
    }
    assert_eq!(reason(Ask { action: Action::Batch, ..ask.clone() }), "ACTION_NOT_IN_AGREEMENT");
    assert_eq!(reason(Ask { purpose: "settle_insurance".to_owned(), ..ask.clone() }), "PURPOSE_NOT_IN_AGREEMENT");
    let unrelated = Ask { selections: vec![whole(other)], ..ask.clone() };
    assert!(["FIELD_NOT_IN_AGREEMENT", "SLIP_2_RESTRICTED"].contains(&reason(unrelated).as_str()));
    assert_eq!(reason(Ask { selections: Vec::new(), ..ask.clone() }), "NOTHING_ASKED");
    // One selection released, one not: a permit that withholds the second whole.
    let both = Ask { selections: vec![whole(&mixed), whole(other)], ..ask.clone() };
    let permit = both.of(&set).unwrap();
    assert!(permit.selections()[1].released.is_empty());
    assert_eq!(permit.selections()[1].withheld.len(), other.fields.len());
    // An agency below the consumer is covered.
    assert!(Ask { caller: caller("H21.65.01", "desk"), ..ask.clone() }.of(&set).is_ok());
    // A permit that withholds something names what releases and what withholds.
    let permit = Ask { officer: Some(officer(Assurance::Asserted)), ..ask }.of(&set).unwrap();
    let decision = &permit.selections()[0];
    assert_eq!(decision.agreements, ["1"]);
    assert_eq!(decision.legal_bases, ["Thử nghiệm, Điều 1"]);
    let ids: BTreeSet<&str> = decision.policy_ids.iter().map(String::as_str).collect();
    assert_eq!(ids, BTreeSet::from(["agreement_releases_field", "sensitive_needs_assured_officer"]));
    assert_eq!(decision.released.len() + decision.withheld.len(), mixed.fields.len());
    assert!(
        decision.withheld.iter().all(|withheld| mixed.fields[withheld.field].sensitivity == Sensitivity::Sensitive)
    );
}

#[test]
fn the_log_is_read_by_operators_only() {
    let set = shipped_set();
    let (named, now) = (officer(Assurance::Asserted), at("2026-11-22T03:00:00Z"));
    let permit = set.read_log(&caller("H21.90", "console"), Some(&named), now).unwrap();
    assert_eq!(permit.agreements(), ["15/2026/QCVH-LT"]);
    assert_eq!(permit.policy_ids(), ["agreement_opens_log"]);
    let reason = |agency, system, officer, now| set.read_log(&caller(agency, system), officer, now).unwrap_err().reason;
    assert_eq!(reason("H21.90", "console", None, now), "OFFICER_MISSING");
    assert_eq!(reason("H21.90", "console", Some(&named), at("2029-01-01T00:00:00Z")), "AGREEMENT_EXPIRED");
    assert_eq!(reason("H21.65", "portal", Some(&named), now), "ACTION_NOT_IN_AGREEMENT");
    assert_eq!(reason("H21.65", "console", Some(&named), now), "NO_AGREEMENT");
}
