//! The shipped mappings on the reference schemas: they map every field, and each golden row gives its record.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, path::Path, time::Duration};

use adapter_sdk::{Adapter, FetchRequest, Key, Mapping, PoolOptions, SecretUrl, SqlSource};
use proto::{Schema, options::v1::IdentifierKind};
use registers::Register;
use serde_json::{Value, json};
use support::{TestDatabase, databases};
use tokio::time::Instant;

#[path = "../sdk/tests/support/mod.rs"]
mod support;

fn open(register: &Register, url: &str) -> SqlSource {
    let schema = Schema::builtin().unwrap();
    let mapping = Mapping::parse(register.mapping, &format!("{}/mapping.toml", register.id))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(mapping.source, register.id);
    SqlSource::open(&schema, &mapping, &(register.functions)(), &SecretUrl::new(url), PoolOptions::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_field_of_every_record_type_is_mapped() {
    let mut mapped = 0;
    for register in registers::all() {
        for record in &open(&register, "sqlite://nowhere.db").describe().records {
            assert_eq!(record.unmapped(), Vec::<String>::new(), "{}", record.record_type.name);
            mapped += 1;
        }
    }
    assert_eq!(mapped, Schema::builtin().unwrap().record_types().count());
}

#[tokio::test]
async fn shipped_mappings_fit_the_reference_schemas_and_their_indexes() {
    for register in registers::all() {
        for database in databases().await {
            database.run(register.schema).await;
            let source = open(&register, &database.url);
            if let Err(error) = source.ready().await {
                panic!("{} on {}: {error}", register.id, database.engine);
            }
            assert_eq!(source.unindexed_columns(), Vec::<String>::new(), "{} on {}", register.id, database.engine);
            drop(source);
            database.remove().await;
        }
    }
}

#[tokio::test]
async fn golden_rows_give_their_records() {
    let (mut cases, mut differences) = (0, Vec::new());
    for register in registers::all() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(register.id).join("testdata");
        for entry in fs::read_dir(&folder).unwrap() {
            let case = entry.unwrap().path();
            for database in databases().await {
                database.run(register.schema).await;
                database.run(&fs::read_to_string(case.join("row.sql")).unwrap()).await;
                differences.extend(compare(&register, &database, &case).await);
                database.remove().await;
            }
            cases += 1;
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(cases >= 12, "{cases}");
}

/// `record.json` is a list of questions, each with the records that answer it.
async fn compare(register: &Register, database: &TestDatabase, case: &Path) -> Vec<String> {
    let mut differences = Vec::new();
    let source = open(register, &database.url);
    let questions: Value = serde_json::from_str(&fs::read_to_string(case.join("record.json")).unwrap()).unwrap();
    for question in questions.as_array().unwrap() {
        let record_type = question["type"].as_str().unwrap();
        let (kind, value) = question["key"].as_object().unwrap().iter().next().unwrap();
        let record_type = source.describe().record(record_type).unwrap().record_type.clone();
        let fields = match question["fields"].as_array() {
            None => record_type.all_fields(),
            Some(paths) => paths.iter().fold(record_type.no_fields(), |mut set, path| {
                set.union_with(&record_type.expand(path.as_str().unwrap()));
                set
            }),
        };
        let request = FetchRequest {
            key: Key {
                kind: IdentifierKind::from_str_name(&kind.to_uppercase()).unwrap(),
                value: value.as_str().unwrap().to_owned(),
            },
            fields,
            deadline: Instant::now() + Duration::from_secs(20),
            behalf: std::sync::Arc::default(),
            record_type,
        };
        let fetched = source.fetch(&request).await.unwrap();
        let found: Vec<Value> = fetched.records.iter().map(readable).collect();
        let place = format!("{} on {}, {value}", case.display(), database.engine);
        differ(&json!(found), &question["records"], &place, &mut differences);
    }
    differences
}

fn differ(found: &Value, expected: &Value, place: &str, differences: &mut Vec<String>) {
    match (found, expected) {
        (Value::Object(left), Value::Object(right)) => {
            for key in left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))) {
                differ(&found[key], &expected[key], &format!("{place}, {key}"), differences);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (at, (left, right)) in left.iter().zip(right).enumerate() {
                differ(left, right, &format!("{place}[{at}]"), differences);
            }
        }
        _ if found == expected => {}
        _ => differences.push(format!("{place}: found {found}, expected {expected}")),
    }
}

/// A record as a person would write it down: protobuf JSON in field names, with the time of change and the marks.
fn readable(record: &adapter_sdk::FetchedRecord) -> Value {
    let options = prost_reflect::SerializeOptions::new().use_proto_field_name(true);
    let message = record.message.serialize_with_options(serde_json::value::Serializer, &options).unwrap();
    let marks: serde_json::Map<_, _> = record
        .marks
        .iter()
        .map(|mark| (mark.path.clone(), json!(format!("{:?}: {}", mark.grade, mark.reasons.join(", ")))))
        .collect();
    json!({ "record": message, "as_of": record.as_of.map(|time| time.to_rfc3339()), "marks": marks })
}

/// The list of internal ids is stated for people in a table and for the engine in the mapping.
#[test]
fn internal_ids_of_judicial_records_agree_with_the_mapping() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("judicial-records");
    let mapping = fs::read_to_string(folder.join("mapping.toml")).unwrap();
    let table = fs::read_to_string(folder.join("schema/internal_ids.csv")).unwrap();
    for line in table.lines().skip(1) {
        let [list, id, code, _] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let section = mapping.split(&format!("[values.{list}]")).nth(1).unwrap();
        let section = section.split("\n[").next().unwrap();
        assert!(section.contains(&format!("\n{id} = \"{code}\"")), "{line}");
    }
}
