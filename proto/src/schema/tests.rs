#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const OPTIONS: &str = include_str!("../../lienthong/options/v1/options.proto");

/// Record types the contract promises, by design.
const RECORD_TYPES: [&str; 11] = [
    "lienthong.budget.v1.BudgetUnit",
    "lienthong.business.v1.EnterpriseRegistration",
    "lienthong.civilstatus.v1.BirthRegistration",
    "lienthong.civilstatus.v1.DeathRegistration",
    "lienthong.civilstatus.v1.MaritalStatus",
    "lienthong.civilstatus.v1.MarriageRegistration",
    "lienthong.insurance.v1.HealthInsuranceCoverage",
    "lienthong.insurance.v1.SocialInsuranceParticipation",
    "lienthong.judicial.v1.CriminalRecordDetail",
    "lienthong.judicial.v1.CriminalRecordSummary",
    "lienthong.population.v1.Resident",
];

#[test]
fn every_field_of_every_record_type_is_described() {
    let schema = Schema::builtin().expect("every record field has labels, class and group");
    let names: Vec<_> = schema.record_types().map(|record| record.name.as_str()).collect();
    assert_eq!(names, RECORD_TYPES);
    for field in schema.record_types().flat_map(|record| &record.fields) {
        assert_ne!(field.sensitivity, Sensitivity::Unspecified, "{}", field.path);
        assert!(!field.label_vi.is_empty() && !field.label_en.is_empty() && !field.group.is_empty());
    }
}

#[test]
fn sensitive_personal_data_is_classed_as_decree_356_says() {
    let schema = Schema::builtin().unwrap();
    for record in schema.record_types() {
        for field in &record.fields {
            let leaf = field.descriptors.last().unwrap().name();
            if ["ethnicity", "religion", "blood_type", "death_cause"].contains(&leaf)
                || record.sector == "judicial_records"
            {
                assert_eq!(field.sensitivity, Sensitivity::Sensitive, "{} {}", record.name, field.path);
            }
        }
    }
}

fn compile(body: &str) -> Result<Schema, SchemaError> {
    let folder =
        std::env::temp_dir().join(format!("schema-test-{}-{:?}", std::process::id(), std::thread::current().id()));
    std::fs::create_dir_all(folder.join("lienthong/options/v1")).unwrap();
    std::fs::write(folder.join("lienthong/options/v1/options.proto"), OPTIONS).unwrap();
    std::fs::write(
        folder.join("land.proto"),
        format!("syntax = \"proto3\";\npackage land.v1;\nimport \"lienthong/options/v1/options.proto\";\n{body}"),
    )
    .unwrap();
    let mut compiler = protox::Compiler::new([&folder]).unwrap();
    compiler.include_imports(true).include_source_info(true).open_file("land.proto").unwrap();
    let descriptors = compiler.encode_file_descriptor_set();
    std::fs::remove_dir_all(&folder).unwrap();
    Schema::from_descriptors(&descriptors)
}

const PARCEL: &str = "option (lienthong.options.v1.record) = { vi: \"Thửa đất\" en: \"Parcel\" sector: \"land\" };";

#[test]
fn a_field_without_a_class_is_refused_by_name() {
    let error = compile(&format!(
        "message Parcel {{ {PARCEL}
           string number = 1 [(lienthong.options.v1.field) = {{ vi: \"Số\" en: \"Number\" group: \"identity\" }}]; }}"
    ))
    .unwrap_err();
    assert_eq!(error.to_string(), "land.proto:5:12: field land.v1.Parcel.number lacks sensitivity");
}

#[test]
fn nested_fields_are_leaves_and_masks_name_them_whole() {
    let described = "[(lienthong.options.v1.field) = { vi: \"a\" en: \"b\" sensitivity: BASIC group: \"g\" }]";
    let schema = compile(&format!(
        "message Parcel {{ {PARCEL} string number = 1 {described}; repeated Owner owners = 2 {described}; }}
         message Owner {{ string name = 1 {described}; bool resident = 2 {described}; }}"
    ))
    .unwrap();
    let parcel = schema.record_type("land.v1.Parcel").unwrap();
    assert_eq!(parcel.paths_of(&parcel.all_fields()), ["number", "owners.name", "owners.resident"]);
    assert_eq!(parcel.paths_of(&parcel.expand("owners")), ["owners.name", "owners.resident"]);
    assert!(parcel.expand("own").is_empty() && parcel.expand("*").is_empty() && parcel.expand("").is_empty());
    assert!(parcel.field("owners.name").unwrap().repeated);
}

#[test]
fn a_message_that_nests_itself_is_refused() {
    let described = "[(lienthong.options.v1.field) = { vi: \"a\" en: \"b\" sensitivity: BASIC group: \"g\" }]";
    let error = compile(&format!("message Parcel {{ {PARCEL} Parcel part = 1 {described}; }}")).unwrap_err();
    assert!(matches!(error, SchemaError::Recursive { .. }), "{error}");
}
