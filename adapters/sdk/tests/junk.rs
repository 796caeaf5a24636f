//! Rows of junk on each engine there is: a record with typed defects, never an error of the source or a panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::{fmt::Write as _, time::Duration};

use adapter_sdk::{
    Adapter, Engine, FetchRequest, FetchedRecord, Functions, Grade, Key, Mapping, PoolOptions, SecretUrl, SqlSource,
};
use proto::{Schema, options::v1::IdentifierKind};
use support::databases;
use tokio::time::Instant;

mod support;

const MAPPING: &str = r#"
source = "junk"
label_vi = "Rác"
label_en = "Junk"
owner = "nobody"
[[record]]
type = "lienthong.budget.v1.BudgetUnit"
table = "unit"
as_of = "at"
[record.lookup]
budget_unit_code = ["code"]
[record.fields]
code = { from = "code", convert = "budget_unit_code" }
name = { from = "number", convert = "text" }
chapter = { from = "bits", convert = "text" }
decision_date = { from = "day", convert = "partial_date" }
valid_from = { from = "moment", convert = "partial_date" }
issuing_office = { from = "hours", convert = "text" }
treasury_office = { from = "bytes", convert = "org_name", encoding = "tcvn3" }
head_name = { from = "words", convert = "person_name" }
head_personal_id = { from = "words", convert = "personal_id" }
valid_until = { from = "words", convert = "partial_date", format = "dd/MM/yyyy" }
status = { from = "words", convert = "code", list = "active_status" }
"#;

fn open(url: &str) -> SqlSource {
    let mapping = Mapping::parse(MAPPING, "junk.toml").unwrap();
    let options = PoolOptions::default();
    SqlSource::open(&Schema::builtin().unwrap(), &mapping, &Functions::new(), &SecretUrl::new(url), options)
        .unwrap_or_else(|e| panic!("{e}"))
}

async fn fetch(source: &SqlSource, code: &str) -> FetchedRecord {
    let record_type = source.describe().records[0].record_type.clone();
    let request = FetchRequest {
        fields: record_type.all_fields(),
        record_type,
        key: Key { kind: IdentifierKind::BudgetUnitCode, value: code.to_owned() },
        deadline: Instant::now() + Duration::from_secs(20),
        behalf: std::sync::Arc::default(),
    };
    let mut fetched = source.fetch(&request).await.unwrap_or_else(|error| panic!("{code}: {error}"));
    assert_eq!(fetched.records.len(), 1, "{code}");
    fetched.records.remove(0)
}

/// The grade on each path, with its reasons.
fn marks(record: &FetchedRecord) -> Vec<(&str, Grade, String)> {
    record.marks.iter().map(|mark| (mark.path.as_str(), mark.grade, mark.reasons.join(","))).collect()
}

fn table(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => {
            "CREATE TABLE unit (code VARCHAR(9) PRIMARY KEY, number NUMERIC, bits BIT(3), day DATE, moment TIMESTAMP, \
             hours TIME, bytes BYTEA, words TEXT, at TIMESTAMPTZ)"
        }
        Engine::MySql => {
            "CREATE TABLE unit (code VARCHAR(9) PRIMARY KEY, number DECIMAL(65,0), bits BIT(3), day DATE, moment DATETIME, \
             hours TIME, bytes VARBINARY(200), words TEXT CHARACTER SET utf8mb4, at TIMESTAMP NULL)"
        }
        Engine::Sqlite => {
            "CREATE TABLE unit (code TEXT PRIMARY KEY, number NUMERIC, bits INT, day DATE, moment TIMESTAMP, hours TEXT, \
             bytes BLOB, words TEXT, at TIMESTAMP)"
        }
    }
}

/// A row's code, its other values, and path and reason of what must be said of it.
type Strange = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What each engine lets a row hold and no register means.
fn strange(engine: Engine) -> &'static [Strange] {
    match engine {
        Engine::Postgres => &[
            (
                "1000001",
                "'NaN', B'101', 'infinity', '-infinity', '24:00:00', NULL, NULL, 'infinity'",
                &[("name", "out_of_range"), ("decision_date", "out_of_range"), ("valid_from", "out_of_range")],
            ),
            (
                "1000002",
                "1e40, B'000', '4713-01-01 BC', '294276-12-31 23:59:59', NULL, NULL, NULL, '0001-01-01 BC'",
                &[("name", "out_of_range"), ("decision_date", "bad_date"), ("valid_from", "out_of_range")],
            ),
            (
                "1000003",
                "NULL, NULL, '5874897-12-31', NULL, NULL, NULL, NULL, NULL",
                &[("decision_date", "out_of_range")],
            ),
        ],
        Engine::MySql => &[
            (
                "1000001",
                "1234567890123456789012345678901234567890, b'101', '0000-00-00', '0000-00-00 00:00:00', '838:59:59', NULL, NULL, NULL",
                &[],
            ),
            (
                "1000002",
                "NULL, NULL, '2009-00-07', NULL, '-01:00:00', NULL, NULL, NULL",
                &[("decision_date", "bad_date")],
            ),
        ],
        Engine::Sqlite => &[
            (
                "1000001",
                "9e999, 'x', 'infinity', X'ff', -1, 5, X'00', 'never'",
                &[("decision_date", "bad_date"), ("valid_from", "undecodable_byte")],
            ),
            (
                "1000002",
                "X'80', 9223372036854775807, 20090203, -1, NULL, NULL, X'ff', 1e300",
                &[("name", "undecodable_byte"), ("decision_date", "bad_date"), ("valid_from", "bad_date")],
            ),
        ],
    }
}

#[tokio::test]
async fn values_no_register_means_are_defects_of_their_fields() {
    for database in databases().await {
        let engine = database.engine;
        database.run_as_is(table(engine)).await;
        for (code, values, _) in strange(engine) {
            database.run_as_is(&format!("INSERT INTO unit VALUES ('{code}', {values})")).await;
        }
        let source = open(&database.url);
        for (code, _, expected) in strange(engine) {
            let record = fetch(&source, code).await;
            let marks = marks(&record);
            for (path, reason) in *expected {
                let found = marks.iter().find(|(marked, ..)| marked == path);
                assert!(
                    found.is_some_and(|(_, grade, reasons)| *grade == Grade::Invalid && reasons == reason),
                    "{engine} {code} {path}: {reason} is not in {marks:?}"
                );
            }
            let text = serde_json::to_string(&record.message).unwrap();
            if engine == Engine::Postgres && *code == "1000001" {
                assert_eq!(text, r#"{"code":"1000001","chapter":"5","issuingOffice":"24:00:00"}"#);
            }
            if engine == Engine::MySql && *code == "1000001" {
                assert_eq!(
                    text,
                    r#"{"code":"1000001","name":"1234567890123456789012345678901234567890","chapter":"5","issuingOffice":"838:59:59"}"#
                );
            }
        }
        drop(source);
        database.remove().await;
    }
}

/// Numbers that are always the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn text(&mut self) -> String {
        const LETTERS: [char; 24] = [
            'a', 'Đ', 'Ð', 'ễ', '\u{300}', '\u{302}', '\u{ad}', '\u{200b}', '\u{feff}', '0', '1', '9', '/', '-', '.',
            ' ', '\'', '"', '\\', '\n', '\u{1}', 'ŉ', '𝔸', '\u{fffd}',
        ];
        (0..self.roll(40)).map(|_| LETTERS[self.roll(24) as usize]).collect()
    }
}

#[tokio::test]
async fn rows_of_junk_are_read() {
    let rows = if std::env::var("LIENTHONG_TESTS").is_ok_and(|tests| tests == "long") { 20_000 } else { 500 };
    for database in databases().await {
        let engine = database.engine;
        database.run_as_is(table(engine)).await;
        let mut dice = Dice(7);
        let mut sql = String::new();
        for row in 0..rows {
            let mut bytes = String::new();
            (0..dice.roll(60)).for_each(|_| write!(bytes, "{:02x}", dice.roll(256)).unwrap());
            let bytes = if engine == Engine::Postgres { format!("'\\x{bytes}'") } else { format!("X'{bytes}'") };
            let words = dice.text().replace('\'', "''");
            let words = if engine == Engine::MySql { words.replace('\\', "\\\\") } else { words };
            let separator = if row % 500 == 0 { "INSERT INTO unit (code, bytes, words) VALUES" } else { "," };
            write!(sql, "{separator} ('{}', {bytes}, '{words}')", 1_000_000 + row).unwrap();
            if row % 500 == 499 {
                database.run_as_is(&std::mem::take(&mut sql)).await;
            }
        }
        let source = open(&database.url);
        let (mut invalid, mut released) = (0, 0);
        for row in 0..rows {
            let record = fetch(&source, &(1_000_000 + row).to_string()).await;
            invalid += record.marks.iter().filter(|mark| mark.grade == Grade::Invalid).count();
            released += record.message.fields().count();
        }
        println!("{engine}: {rows} rows of junk: {released} values released, {invalid} refused");
        assert!(invalid > rows && released >= rows, "{engine}: {invalid} {released}");
        drop(source);
        database.remove().await;
    }
}
