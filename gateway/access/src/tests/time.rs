//! Decisions as time passes: a cached one never outlives what it rests on.

use super::*;

#[test]
fn an_agreement_ends_with_its_last_day_in_viet_nam_though_its_decision_was_cached() {
    let mixed = mixed_record_type();
    let set = load(&sources_with(vec![grant("1", "H21.65", &[&mixed], "")])).unwrap().set;
    let ask = Ask::new("H21.65", "desk", "check_enterprise", vec![whole(&mixed)]);
    let reason = |now: &str| Ask { now: at(now), ..ask.clone() }.of(&set).err().map(|refusal| refusal.reason);
    // 31 December 2026 ends at midnight in Viet Nam, which is 17:00 UTC; the clock moves forth and back.
    for _ in 0..2 {
        assert_eq!(reason("2025-12-31T16:59:59.999Z").as_deref(), Some("AGREEMENT_NOT_YET_IN_FORCE"));
        assert_eq!(reason("2025-12-31T17:00:00Z"), None);
        assert_eq!(reason("2026-11-22T03:00:00Z"), None);
        assert_eq!(reason("2026-12-31T16:59:59.999Z"), None);
        assert_eq!(reason("2026-12-31T17:00:00Z").as_deref(), Some("AGREEMENT_EXPIRED"));
    }
}

#[test]
fn of_two_agreements_the_one_in_force_decides() {
    let mixed = mixed_record_type();
    let second = "valid_from = 2027-01-01\nvalid_until = 2027-12-31\ndisclosure = \"never\"\n\
         disclosure_approved_by = \"Giám đốc Công an tỉnh, 21/QĐ-CAT\"";
    let grants = vec![grant("1", "H21.65", &[&mixed], ""), grant("2", "H21.65", &[&mixed], second)];
    let set = load(&sources_with(grants)).unwrap().set;
    let ask = Ask::new("H21.65", "desk", "check_enterprise", vec![whole(&mixed)]);
    for (now, number, disclosure) in [
        ("2026-12-31T16:59:59Z", "1", crate::Disclosure::Immediate),
        ("2026-12-31T17:00:00Z", "2", crate::Disclosure::Never),
        ("2026-06-01T00:00:00Z", "1", crate::Disclosure::Immediate),
    ] {
        let permit = Ask { now: at(now), ..ask.clone() }.of(&set).unwrap();
        assert_eq!(permit.selections()[0].agreements, [number], "{now}");
        assert_eq!(permit.disclosure(), disclosure, "{now}");
        assert_eq!(permit.approvals().len(), usize::from(disclosure == crate::Disclosure::Never), "{now}");
    }
    // When both have ended, the refusal says so; it is as secret as the stricter of the two.
    let refusal = Ask { now: at("2028-06-01T00:00:00Z"), ..ask }.of(&set).unwrap_err();
    assert_eq!(refusal.reason, "AGREEMENT_EXPIRED");
    assert_eq!(refusal.disclosure, crate::Disclosure::Never);
    assert_eq!(*refusal.approvals, ["Giám đốc Công an tỉnh, 21/QĐ-CAT"]);
}

#[test]
fn circumstances_are_not_confused_in_the_cache() {
    let mixed = mixed_record_type();
    let set = load(&sources_with(vec![grant("1", "H21.65", &[&mixed], "")])).unwrap().set;
    let ask = Ask::new("H21.65", "desk", "identify_applicant", vec![whole(&mixed)]);
    for _ in 0..2 {
        assert_eq!(ask.clone().of(&set).unwrap().selections()[0].released, mixed.all_fields());
        let asserted = Ask { officer: Some(officer(Assurance::Asserted)), ..ask.clone() };
        assert_ne!(asserted.of(&set).unwrap().selections()[0].released, mixed.all_fields());
        assert!(Ask { officer: None, ..ask.clone() }.of(&set).is_err());
        assert!(Ask { dossier: None, ..ask.clone() }.of(&set).is_err());
        assert!(Ask { action: Action::Verify, ..ask.clone() }.of(&set).is_err());
        assert!(Ask { purpose: "settle_insurance".to_owned(), ..ask.clone() }.of(&set).is_err());
        assert!(Ask { purpose: "check_enterprise".to_owned(), dossier: None, ..ask.clone() }.of(&set).is_ok());
    }
}

#[test]
fn what_citizens_never_see_somebody_has_approved() {
    let record_type = mixed_record_type();
    let load = |lines: &str| load(&sources_with(vec![grant("30/TEST", "H21.65", &[&record_type], lines)]));
    let approved = "disclosure = \"never\"\ndisclosure_approved_by = \"Giám đốc Sở, 1/QĐ\"";
    assert!(load(approved).is_ok());
    for (lines, message) in [
        ("disclosure = \"never\"", "disclosure_approved_by"),
        ("disclosure = \"never\"\ndisclosure_approved_by = \" \"", "is empty"),
        ("disclosure = \"delayed\"\ndisclosure_approved_by = \"Giám đốc Sở\"", "goes with disclosure \"never\" only"),
    ] {
        let error = load(lines).map(drop).expect_err(lines);
        assert!(error.problems.iter().any(|problem| problem.message.contains(message)), "{lines}: {error}");
    }
}
