use adapter_sdk::Key;
use proto::query::v1::subject::Identifier;

use super::*;

fn subject_of(identifier: Identifier) -> Result<Key, Box<Unreadable>> {
    let mut check = Check::default();
    let parsed = subject(&mut check, Some(wire::Subject { identifier: Some(identifier) }), |_| None);
    check.finish(parsed)
}

#[test]
fn numbers_are_taken_only_in_their_exact_form() {
    for (identifier, field) in [
        (Identifier::PersonalId("05218500012".to_owned()), "subject.personal_id"),
        (Identifier::PersonalId("999185000123x".to_owned()), "subject.personal_id"),
        (Identifier::PersonalId(String::new()), "subject.personal_id"),
        (Identifier::LegacyId("12345678".to_owned()), "subject.legacy_id"),
        (Identifier::SocialInsuranceNumber("052185000123".to_owned()), "subject.social_insurance_number"),
        (Identifier::EnterpriseCode("0100109107".to_owned()), "subject.enterprise_code"),
        (Identifier::EnterpriseCode("052185000123".to_owned()), "subject.enterprise_code"),
        (Identifier::BudgetUnitCode("0123456".to_owned()), "subject.budget_unit_code"),
    ] {
        let violations = subject_of(identifier).unwrap_err().violations;
        assert_eq!(violations[0].field, field);
        assert!(violations[0].english.contains("expected") && violations[0].vietnamese.contains("yêu cầu"));
    }
}

#[test]
fn a_number_is_never_repeated_in_an_error() {
    let violations = subject_of(Identifier::PersonalId("05218500012".to_owned())).unwrap_err().violations;
    assert!(!format!("{violations:?}").contains("0521"));
    let schema = Schema::builtin().unwrap();
    let mut check = Check::default();
    assert!(record_type(&mut check, "selections[0].record_type", &schema, "052185000123").is_none());
    assert!(!format!("{:?}", check.violations).contains("0521"), "a number in the place of a name");
}

#[test]
fn valid_numbers_are_taken() {
    for (identifier, value) in [
        (Identifier::PersonalId("052185000123".to_owned()), "052185000123"),
        (Identifier::LegacyId("212345678".to_owned()), "212345678"),
        (Identifier::EnterpriseCode("0314409058".to_owned()), "0314409058"),
        (Identifier::EnterpriseCode("0314409058002".to_owned()), "0314409058-002"),
        (Identifier::BudgetUnitCode("1055507".to_owned()), "1055507"),
    ] {
        assert_eq!(subject_of(identifier).unwrap().value, value);
    }
}

#[test]
fn a_request_without_a_subject_is_refused() {
    for subject_field in [None, Some(wire::Subject { identifier: None })] {
        let mut check = Check::default();
        assert!(subject(&mut check, subject_field, |_| None).is_none());
        assert_eq!(check.violations[0].field, "subject");
    }
}

#[test]
fn masks_must_name_known_fields() {
    let schema = Schema::builtin().unwrap();
    let name = schema.record_types().next().unwrap().name.clone();
    let select = |paths: &[&str]| {
        let mut check = Check::default();
        let mask = prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
        let selection = wire::Selection { record_type: name.clone(), field_mask: Some(mask) };
        selections(&mut check, &schema, vec![selection]);
        check.violations
    };
    let first = schema.record_type(&name).unwrap().fields[0].path.clone();
    assert!(select(&[&first]).is_empty());
    assert_eq!(select(&[])[0].field, "selections[0].field_mask");
    for wrong in ["*", "", ".", "no_such_field", "name.*"] {
        assert_eq!(select(&[wrong])[0].field, "selections[0].field_mask.paths[0]", "{wrong}");
    }
    let misspelt = format!("{first}x");
    assert!(select(&[&misspelt])[0].english.contains(&format!("did you mean \"{first}\"")));
}

#[test]
fn no_selection_and_repeated_record_types_are_refused() {
    let schema = Schema::builtin().unwrap();
    let mut check = Check::default();
    selections(&mut check, &schema, Vec::new());
    assert_eq!(check.violations[0].field, "selections");

    let record = schema.record_types().next().unwrap();
    let mask = prost_types::FieldMask { paths: vec![record.fields[0].path.clone()] };
    let selection = wire::Selection { record_type: record.name.clone(), field_mask: Some(mask) };
    let mut check = Check::default();
    selections(&mut check, &schema, vec![selection.clone(), selection]);
    assert_eq!(check.violations[0].field, "selections[1].record_type");
}

#[test]
fn a_misspelt_record_type_is_told_its_full_name() {
    let schema = Schema::builtin().unwrap();
    let full = schema.record_types().next().unwrap().name.clone();
    let short = full.rsplit('.').next().unwrap();
    let mask = prost_types::FieldMask { paths: vec!["any".to_owned()] };
    let selection = wire::Selection { record_type: format!("{short}s"), field_mask: Some(mask) };
    let mut check = Check::default();
    selections(&mut check, &schema, vec![selection]);
    assert_eq!(check.violations[0].field, "selections[0].record_type");
    assert!(check.violations[0].english.ends_with(&format!("; did you mean \"{full}\"?")));
}

#[test]
fn numbers_that_may_name_a_person_stay_out_of_free_text() {
    assert!(has_long_number("về số 052185000123"));
    assert!(has_long_number("212345678"));
    assert!(!has_long_number("hồ sơ H21.65-220914-0011, công văn 4856/BCA"));
}
