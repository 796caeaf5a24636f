//! Quotas as the files state them.

use super::*;
use crate::{Allowance, Exhausted};

/// What stands in `quotas.toml`, and at the end of the agreement of the system `desk` of `H21.65`.
fn set(hub: &str, agreement: &str) -> AccessSet {
    let mut granted = grant("1", "H21.65", &[&mixed_record_type()], "");
    granted.text.push_str(agreement);
    let mut sources = sources_with(vec![granted]);
    sources.quotas.text = hub.to_owned();
    load(&sources).unwrap().set
}

fn asking(agency: &str, action: Action) -> Ask {
    Ask { action, ..Ask::new(agency, "desk", "check_enterprise", vec![whole(&mixed_record_type())]) }
}

fn count(set: &AccessSet, ask: &Ask) -> Result<Option<Allowance>, Exhausted> {
    set.count(&ask.request())
}

const THREE_AN_HOUR: &str = "[[quotas]]\ncalls = 3\nper = \"hour\"\neach = [\"agency\"]\n";

#[test]
fn what_is_used_up_refuses_until_its_time() {
    let set = set(THREE_AN_HOUR, "");
    let ask = asking("H21.65", Action::Query);
    for remaining in [2, 1, 0] {
        let left = count(&set, &ask).unwrap().unwrap();
        assert_eq!((left.limit, left.period_s, left.remaining), (3, 3_600, remaining));
        // A third of an hour for each call that was used.
        assert_eq!(left.reset_s, u64::from(3 - remaining) * 1_200);
    }
    let exhausted = count(&set, &ask).unwrap_err();
    assert_eq!(exhausted.agreement, None);
    assert!((1_100..=1_200).contains(&exhausted.retry_after.as_secs()), "{exhausted:?}");
    // Another agency has its own; nobody who has no quota is limited.
    assert!(count(&set, &asking("H21.66", Action::Query)).is_ok());
}

#[test]
fn each_dimension_counts_on_its_own_and_filters_leave_the_rest_alone() {
    let hub = "[[quotas]]\ncalls = 1\nper = \"day\"\neach = [\"system\", \"action\"]\n\
               [[quotas]]\naction = \"batch\"\ncalls = 1\nper = \"day\"\neach = []\n";
    let set = set(hub, "");
    for action in [Action::Query, Action::Verify] {
        for agency in ["H21.65", "H21.66"] {
            assert!(count(&set, &asking(agency, action)).is_ok());
            assert!(count(&set, &asking(agency, action)).is_err());
        }
    }
    assert!(count(&set, &asking("H21.65", Action::Batch)).is_ok());
    assert!(count(&set, &asking("H21.66", Action::Batch)).is_err(), "all batches of all agencies together");
}

#[test]
fn an_agreement_limits_what_it_opens_and_nothing_else() {
    let set = set(
        "",
        "[[quotas]]\naction = \"query\"\npurpose = \"check_enterprise\"\ncalls = 1\nper = \"day\"\neach = [\"system\"]\n",
    );
    let ask = asking("H21.65", Action::Query);
    assert!(count(&set, &ask).unwrap().is_some());
    assert_eq!(count(&set, &ask).unwrap_err().agreement.as_deref(), Some("1"));
    assert_eq!(count(&set, &asking("H21.65", Action::Verify)), Ok(None), "another action");
    assert_eq!(count(&set, &asking("H21.66", Action::Query)), Ok(None), "another agency");
    let other = proto_record_type_beside_mixed();
    let other = Ask { selections: vec![whole(&other)], ..ask };
    assert_eq!(count(&set, &other), Ok(None), "a record type the agreement does not open");
}

fn proto_record_type_beside_mixed() -> Arc<RecordType> {
    let mixed = mixed_record_type();
    Arc::clone(SCHEMA.record_types().find(|record_type| record_type.name != mixed.name).unwrap())
}

#[test]
fn a_reload_gives_nobody_a_new_quota_unless_its_terms_change() {
    let before = set(THREE_AN_HOUR, "");
    let ask = asking("H21.65", Action::Query);
    (0..3).for_each(|_| assert!(count(&before, &ask).is_ok()));
    let same = set(THREE_AN_HOUR, "").counting_on_from(&before);
    assert!(count(&same, &ask).is_err());
    let wider = set(&THREE_AN_HOUR.replace('3', "4"), "").counting_on_from(&before);
    assert!(count(&wider, &ask).is_ok());
}

#[test]
fn wrong_quotas_are_named_with_file_and_line() {
    for (text, said) in [
        ("[[quotas]]\ncalls = 0\nper = \"hour\"\neach = []\n", "quotas.toml:2"),
        ("[[quotas]]\ncalls = 1\nper = \"fortnight\"\neach = []\n", "quotas.toml:3"),
        ("[[quotas]]\ncalls = 1\nper = \"hour\"\neach = [\"subject\"]\n", "quotas.toml:4"),
        ("[[quotas]]\ncalls = 1\nper = \"hour\"\neach = []\nagency = \"H99\"\n", "quotas.toml:5"),
        ("[[quotas]]\ncalls = 1\nper = \"hour\"\neach = []\npurpose = \"curiosity\"\n", "quotas.toml:5"),
        ("[[quotas]]\ncalls = 1\nper = \"hour\"\neach = []\nburst = 1\n", "quotas.toml:5"),
    ] {
        let mut sources = sources_with(Vec::new());
        sources.quotas.text = text.to_owned();
        let error = load(&sources).err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    }
}
