//! Did the hub read the registers right? Every field of every record of 2,000 people, read through the gateway and compared
//! with the truth the registers were generated from.
//!
//! A value may differ from the truth only under a mark that says it cannot be trusted: converted with loss, suspect,
//! invalid or missing. A repaired value must be the truth. Anything else is a silent difference, and fails the test.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Cursor,
    sync::Arc,
};

use futures::{StreamExt, stream};
use prost_reflect::{DynamicMessage, ReflectMessage, Value};
use prost_types::FieldMask;
use proto::{
    Schema,
    common::v1 as common,
    query::v1::{self as wire, field_quality::Grade, subject::Identifier},
};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use synthetic::Sector;
use tests::{Databases, Engine, Hub, HubFiles, Settings, query_client};

use defects::Defects;

mod defects;

const PEOPLE_SAMPLED: usize = 2_000;

/// One record as it truly is.
struct Truth {
    sector: String,
    record_type: String,
    /// (kind, number) pairs that find the record as stored.
    keys: Vec<(String, String)>,
    /// Leaf path with element numbers → canonical text.
    fields: BTreeMap<String, String>,
    /// Where the row was made to differ from the truth, and how.
    defects: Vec<(String, String)>,
}

fn parse_truth(line: &str) -> Truth {
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    let mut keys = Vec::new();
    for (kind, value) in json["keys"].as_object().unwrap() {
        match value {
            serde_json::Value::Array(values) => {
                keys.extend(values.iter().map(|value| (kind.clone(), value.as_str().unwrap().to_owned())));
            }
            value => keys.push((kind.clone(), value.as_str().unwrap().to_owned())),
        }
    }
    let mut fields = BTreeMap::new();
    flatten_json(&json["fields"], "", &mut fields);
    Truth {
        sector: json["sector"].as_str().unwrap().to_owned(),
        record_type: json["record_type"].as_str().unwrap().to_owned(),
        keys,
        fields,
        defects: json["defects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|defect| (text(defect, "field"), text(defect, "kind")))
            .collect(),
    }
}

fn text(json: &serde_json::Value, name: &str) -> String {
    json[name].as_str().unwrap().to_owned()
}

fn flatten_json(value: &serde_json::Value, path: &str, fields: &mut BTreeMap<String, String>) {
    match value {
        serde_json::Value::Object(parts) => {
            for (name, part) in parts {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten_json(part, &path, fields);
            }
        }
        serde_json::Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                flatten_json(item, &format!("{path}[{index}]"), fields);
            }
        }
        serde_json::Value::String(text) => drop(fields.insert(path.to_owned(), text.clone())),
        other => drop(fields.insert(path.to_owned(), other.to_string())),
    }
}

/// The same for a record as the hub gave it.
fn flatten_record(message: &DynamicMessage, path: &str, fields: &mut BTreeMap<String, String>) {
    for (field, value) in message.fields() {
        let path = if path.is_empty() { field.name().to_owned() } else { format!("{path}.{}", field.name()) };
        match value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    flatten_value(item, &format!("{path}[{index}]"), fields);
                }
            }
            value => flatten_value(value, &path, fields),
        }
    }
}

fn flatten_value(value: &Value, path: &str, fields: &mut BTreeMap<String, String>) {
    let mut put = |path: String, text: String| {
        if !text.is_empty() {
            fields.insert(path, text);
        }
    };
    match value {
        Value::String(text) => put(path.to_owned(), text.clone()),
        Value::Bool(flag) => put(path.to_owned(), flag.to_string()),
        Value::I32(number) => put(path.to_owned(), number.to_string()),
        Value::Message(message) => match message.descriptor().name() {
            "PartialDate" => put(path.to_owned(), date(&message.transcode_to().unwrap())),
            "PersonName" => put(path.to_owned(), message.transcode_to::<common::PersonName>().unwrap().full),
            "Money" => put(path.to_owned(), message.transcode_to::<common::Money>().unwrap().amount_vnd),
            "CodedValue" => put(path.to_owned(), code(&message.transcode_to().unwrap())),
            "Address" => {
                let address: common::Address = message.transcode_to().unwrap();
                put(path.to_owned(), format!("{}|{}", address.mapped_commune_code, address.text));
            }
            "IdentityDocument" => {
                let document: common::IdentityDocument = message.transcode_to().unwrap();
                put(format!("{path}.type"), document.r#type.as_ref().map(code).unwrap_or_default());
                put(format!("{path}.number"), document.number);
                put(format!("{path}.issue_date"), document.issue_date.as_ref().map(date).unwrap_or_default());
                put(format!("{path}.issue_place"), document.issue_place);
            }
            _ => flatten_record(message, path, fields),
        },
        other => panic!("{path} has a value of an unexpected type: {other:?}"),
    }
}

/// Paths of the addresses that say themselves that their code is not of today, or may not be, and which is.
fn old_addresses(message: &DynamicMessage, path: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (field, value) in message.fields() {
        let path = if path.is_empty() { field.name().to_owned() } else { format!("{path}.{}", field.name()) };
        let items = match value {
            Value::List(items) => {
                items.iter().enumerate().map(|(index, item)| (format!("{path}[{index}]"), item)).collect()
            }
            value => vec![(path, value)],
        };
        for (path, item) in items {
            let Value::Message(message) = item else { continue };
            if message.descriptor().name() != "Address" {
                found.extend(old_addresses(message, &path));
                continue;
            }
            let address: common::Address = message.transcode_to().unwrap();
            if !matches!(address.vintage(), common::address::Vintage::Post2025)
                && !address.mapped_commune_code.is_empty()
            {
                found.push(path);
            }
        }
    }
    found
}

fn date(date: &common::PartialDate) -> String {
    match (date.month, date.day) {
        (Some(month), Some(day)) => format!("{:04}-{month:02}-{day:02}", date.year),
        (Some(month), None) => format!("{:04}-{month:02}", date.year),
        _ => format!("{:04}", date.year),
    }
}

fn code(value: &common::CodedValue) -> String {
    if value.version.is_empty() || value.scheme != "vsic" {
        value.code.clone()
    } else {
        format!("{}:{}", value.version, value.code)
    }
}

/// Counts per sector, field and quality, and what was silently different.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<(String, String, String), u64>,
    records: BTreeMap<String, u64>,
    silent: Vec<String>,
    defects: Defects,
}

impl Tally {
    fn count(&mut self, truth: &Truth, path: &str, what: String) {
        let field = without_numbers(path);
        let record = truth.record_type.rsplit('.').next().unwrap();
        *self.counts.entry((truth.sector.clone(), format!("{record}.{field}"), what)).or_default() += 1;
    }

    fn compare(&mut self, truth: &Truth, found: &BTreeMap<String, String>, marks: &HashMap<String, (Grade, String)>) {
        *self.records.entry(truth.sector.clone()).or_default() += 1;
        self.defects.count(truth, found, marks);
        let paths: BTreeSet<&String> = truth.fields.keys().chain(found.keys()).collect();
        for path in paths {
            let mark = mark_of(path, marks);
            let grade = mark.map_or("clean".to_owned(), |(grade, _)| grade.as_str_name().to_lowercase());
            if truth.fields.get(path) == found.get(path) {
                self.count(truth, path, format!("equal, {grade}"));
            } else if mark.is_some_and(|(grade, _)| *grade > Grade::Repaired) {
                self.count(truth, path, format!("differs, {grade}"));
            } else {
                self.count(truth, path, format!("SILENT DIFFERENCE, {grade}"));
                self.silent.push(format!(
                    "{} {path}: truth {:?}, read {:?}, mark {:?}, found by {:?}",
                    truth.record_type,
                    truth.fields.get(path),
                    found.get(path),
                    mark,
                    truth.keys
                ));
            }
        }
    }

    fn print(&self, engines: &str) {
        println!("\n{engines}: records compared per sector: {:?}", self.records);
        println!("{:<18} {:<52} {:<28} {:>8}", "sector", "field", "quality", "count");
        for ((sector, field, quality), count) in &self.counts {
            println!("{sector:<18} {field:<52} {quality:<28} {count:>8}");
        }
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        for ((_, _, quality), count) in &self.counts {
            *totals.entry(quality).or_default() += count;
        }
        println!("{engines}: totals {totals:?}");
        self.defects.print(engines);
    }
}

fn without_numbers(path: &str) -> String {
    let mut inside = false;
    path.chars()
        .filter(|letter| {
            inside = (inside || *letter == '[') && *letter != ']';
            !inside && *letter != ']'
        })
        .collect()
}

/// The mark on a path, or on the field it is a part of.
fn mark_of<'a>(path: &str, marks: &'a HashMap<String, (Grade, String)>) -> Option<&'a (Grade, String)> {
    let mut path = path;
    loop {
        if let Some(mark) = marks.get(path) {
            return Some(mark);
        }
        path = path.rsplit_once(['.', '['])?.0;
    }
}

fn identifier(kind: &str, value: String) -> Identifier {
    match kind {
        "personal_id" => Identifier::PersonalId(value),
        "legacy_id" => Identifier::LegacyId(value),
        "social_insurance_number" => Identifier::SocialInsuranceNumber(value),
        "enterprise_code" => Identifier::EnterpriseCode(value),
        "budget_unit_code" => Identifier::BudgetUnitCode(value),
        other => panic!("the truth names a key of kind {other}"),
    }
}

/// Everything of some record types by one number.
fn request(schema: &Schema, key: &(String, String), record_types: &BTreeSet<&str>) -> wire::QueryRequest {
    let selections = record_types.iter().map(|name| {
        let record_type = schema.record_type(name).unwrap();
        let paths = record_type.descriptor.fields().map(|field| field.name().to_owned()).collect();
        wire::Selection { record_type: (*name).to_owned(), field_mask: Some(FieldMask { paths }) }
    });
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(identifier(&key.0, key.1.clone())) }),
        selections: selections.collect(),
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    }
}

async fn registers_are_read_right(engines: &str, engine: impl Fn(Sector) -> Engine) {
    if !Sector::ALL.into_iter().all(|sector| engine(sector).available()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), engine).await;
    let mut truth = Cursor::new(Vec::new());
    let summary = databases.fill(if tests::long() { 20_000 } else { 4_000 }, 2_026, Some(&mut truth)).await;
    let truths: Vec<Truth> = std::str::from_utf8(truth.get_ref()).unwrap().lines().map(parse_truth).collect();

    // Slip 2 is for prosecution bodies whatever was agreed; it has to be read here to be compared.
    let settings = Settings { without_policies: vec!["40-judicial"], ..Settings::default() };
    let files = HubFiles::write(&databases, &settings);
    let hub = Hub::start(&files);
    let client = query_client(&hub, &files, "H21.99/all").await;

    let schema = Arc::new(Schema::builtin().unwrap());
    let mut by_key: HashMap<(&str, &str, &str), Vec<usize>> = HashMap::new();
    for (index, truth) in truths.iter().enumerate() {
        for (kind, value) in &truth.keys {
            by_key.entry((&truth.record_type, kind, value)).or_default().push(index);
        }
    }
    // People at random, and with each the records that carry one of the person's numbers.
    let mut people: Vec<&Truth> = truths.iter().filter(|truth| truth.sector == "population").collect();
    people.shuffle(&mut StdRng::seed_from_u64(rand::random()));
    people.truncate(PEOPLE_SAMPLED);
    assert_eq!(people.len(), PEOPLE_SAMPLED);
    let mut questions: BTreeMap<(String, String), BTreeSet<&str>> = BTreeMap::new();
    for key in people.iter().flat_map(|person| &person.keys) {
        for record_type in schema.record_types() {
            if by_key.contains_key(&(record_type.name.as_str(), key.0.as_str(), key.1.as_str())) {
                questions.entry(key.clone()).or_default().insert(&record_type.name);
            }
        }
    }
    let answers = stream::iter(&questions)
        .map(|(key, record_types)| {
            let mut client = client.clone();
            let request = request(&schema, key, record_types);
            async move { (key, client.query(request).await.map(tonic::Response::into_inner)) }
        })
        .buffer_unordered(16)
        .collect::<Vec<_>>()
        .await;

    let links = links(&truths);
    let mut tally = Tally::default();
    for (key, answer) in answers {
        let answer = answer.unwrap_or_else(|status| panic!("{key:?}: {status:?}"));
        for result in &answer.results {
            assert_eq!(result.outcome(), wire::Outcome::Found, "{key:?} {result:?}");
            assert!(result.withheld.is_empty());
            assert!(result.failure.is_none(), "{key:?} {result:?}");
            let direct = &by_key[&(result.record_type.as_str(), key.0.as_str(), key.1.as_str())];
            // Under the person's other numbers there may be more: a file opened on an old card, a second insurance number.
            let reachable: BTreeSet<usize> = numbers_of(&truths, &links, key)
                .iter()
                .filter_map(|(kind, value)| by_key.get(&(result.record_type.as_str(), kind.as_str(), value.as_str())))
                .flatten()
                .copied()
                .collect();
            let paired = compare_records(&schema, &truths, &reachable, result, &mut tally);
            assert!(
                direct.iter().all(|index| paired.contains(index)),
                "{key:?} {}: not all were found",
                result.record_type
            );
        }
    }
    tally.print(engines);
    assert!(hub.stop());
    databases.drop().await;
    tally.defects.assert_none_silent(&summary.defects);
    let sectors: BTreeSet<&str> = tally.records.keys().map(String::as_str).collect();
    assert_eq!(sectors.len(), 6, "all sectors are among the records: {sectors:?}");
    assert!(
        tally.silent.is_empty(),
        "{} silent differences:\n{}",
        tally.silent.len(),
        tally.silent[..tally.silent.len().min(40)].join("\n")
    );
}

/// Record types that state several numbers of one person.
const LINKING: [&str; 3] = [
    "lienthong.population.v1.Resident",
    "lienthong.insurance.v1.SocialInsuranceParticipation",
    "lienthong.insurance.v1.HealthInsuranceCoverage",
];

/// Truths of linking records by each of their numbers.
type Links = HashMap<(String, String), Vec<usize>>;

fn links(truths: &[Truth]) -> Links {
    let mut links = Links::new();
    for (index, truth) in truths.iter().enumerate().filter(|(_, truth)| LINKING.contains(&truth.record_type.as_str())) {
        for key in &truth.keys {
            links.entry(key.clone()).or_default().push(index);
        }
    }
    links
}

/// A person's numbers, reached from one of them over the records that state several.
fn numbers_of(truths: &[Truth], links: &Links, key: &(String, String)) -> BTreeSet<(String, String)> {
    let mut numbers = BTreeSet::from([key.clone()]);
    for _ in 0..3 {
        let more: Vec<_> = numbers
            .iter()
            .filter_map(|number| links.get(number))
            .flatten()
            .flat_map(|&index| truths[index].keys.iter().cloned())
            .collect();
        numbers.extend(more);
    }
    numbers
}

/// Pairs the records of a result with their truths, each once: the pairing with the most equal fields. Gives the truths.
fn compare_records(
    schema: &Schema,
    truths: &[Truth],
    expected: &BTreeSet<usize>,
    result: &wire::SelectionResult,
    tally: &mut Tally,
) -> Vec<usize> {
    let descriptor = schema.record_type(&result.record_type).unwrap().descriptor.clone();
    let mut open: Vec<usize> = expected.iter().copied().collect();
    let mut paired = Vec::new();
    for record in &result.records {
        let message =
            DynamicMessage::decode(descriptor.clone(), record.value.as_ref().unwrap().value.as_slice()).unwrap();
        let mut found = BTreeMap::new();
        flatten_record(&message, "", &mut found);
        let mut marks: HashMap<_, _> =
            record.quality.iter().map(|mark| (mark.path.clone(), (mark.grade(), mark.reasons.join(",")))).collect();
        for path in old_addresses(&message, "") {
            marks.entry(path).or_insert((Grade::Repaired, "states_its_vintage".to_owned()));
        }
        let equal = |index: &usize| {
            truths[*index].fields.iter().filter(|(path, value)| found.get(*path) == Some(value)).count()
        };
        let best = (0..open.len()).max_by_key(|&position| equal(&open[position])).expect("no more records than truths");
        let best = open.remove(best);
        tally.compare(&truths[best], &found, &marks);
        paired.push(best);
    }
    paired
}

/// A nine-digit number or an insurance number finds the person in registers that know only the twelve-digit one: whichever
/// number is given, the same records come back, or the answer says that it may lack some.
#[tokio::test(flavor = "multi_thread")]
async fn every_number_of_a_person_leads_to_the_same_records() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let mut truth = Cursor::new(Vec::new());
    databases.fill(1_500, 77, Some(&mut truth)).await;
    let truths: Vec<Truth> = std::str::from_utf8(truth.get_ref()).unwrap().lines().map(parse_truth).collect();
    let links = links(&truths);
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let client = query_client(&hub, &files, "H21.99/all").await;
    let schema = Schema::builtin().unwrap();
    let record_types: BTreeSet<&str> = [
        "lienthong.population.v1.Resident",
        "lienthong.civilstatus.v1.BirthRegistration",
        "lienthong.civilstatus.v1.MaritalStatus",
        "lienthong.judicial.v1.CriminalRecordSummary",
        "lienthong.insurance.v1.SocialInsuranceParticipation",
        "lienthong.insurance.v1.HealthInsuranceCoverage",
    ]
    .into();
    let (mut people, mut births, mut equal, mut said) = (0, 0, 0, 0);
    for person in truths.iter().filter(|truth| truth.record_type == LINKING[0]) {
        let numbers = numbers_of(&truths, &links, &person.keys[0]);
        let kinds: BTreeSet<&str> = numbers.iter().map(|(kind, _)| kind.as_str()).collect();
        if kinds.len() < 3 || numbers.len() > 3 || people == 250 {
            continue;
        }
        people += 1;
        let mut answers = Vec::new();
        for number in &numbers {
            let answer = client.clone().query(request(&schema, number, &record_types)).await.unwrap().into_inner();
            let records: BTreeMap<String, BTreeSet<Vec<u8>>> = answer
                .results
                .iter()
                .map(|result| {
                    let values = result.records.iter().map(|record| record.value.as_ref().unwrap().value.clone());
                    (result.record_type.clone(), values.collect())
                })
                .collect();
            let birth = &records["lienthong.civilstatus.v1.BirthRegistration"];
            births += usize::from(number.0 != "personal_id" && !birth.is_empty());
            answers.push((answer.complete, records));
        }
        if answers.iter().all(|(_, records)| *records == answers[0].1) {
            equal += 1;
        } else {
            assert!(
                answers.iter().any(|(complete, _)| !complete),
                "{numbers:?} find different records, and no answer says so"
            );
            said += 1;
        }
    }
    println!(
        "{people} people by three numbers each: {equal} the same records, {said} said to be incomplete; {births} births found by an old or insurance number"
    );
    assert!(people >= 200 && equal * 10 >= people * 9, "{equal} of {people}");
    assert!(births > 100, "registers that know only the personal number were reached {births} times");
    assert!(hub.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn registers_on_sqlite_are_read_right() {
    registers_are_read_right("SQLite", |_| Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registers_on_postgresql_are_read_right() {
    registers_are_read_right("PostgreSQL", |_| Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registers_on_mariadb_are_read_right() {
    registers_are_read_right("MariaDB", |_| Engine::MySql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn registers_on_three_engines_at_once_are_read_right() {
    registers_are_read_right("three engines", |sector| match sector {
        Sector::Population | Sector::BusinessRegistry => Engine::Postgres,
        Sector::CivilStatus | Sector::Insurance => Engine::MySql,
        Sector::JudicialRecords | Sector::BudgetUnits => Engine::Sqlite,
    })
    .await;
}
