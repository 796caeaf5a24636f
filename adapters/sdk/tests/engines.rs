//! A source on each engine there is: types, keys, and what it says when its database misbehaves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant as Clock};

use adapter_sdk::{
    Adapter, Engine, FetchRequest, Fetched, Functions, Grade, Key, Mapping, PoolOptions, SecretUrl, SourceError,
    SqlSource,
};
use prost_reflect::Value;
use proto::{Schema, options::v1::IdentifierKind};
use support::{TestDatabase, databases};
use tokio::time::Instant;

mod support;

const MAPPING: &str = r#"
source = "engines"
label_vi = "Thử"
label_en = "Test"
owner = "nobody"
[[record]]
type = "lienthong.budget.v1.BudgetUnit"
table = "unit"
order = ["id"]
as_of = "at"
[record.lookup]
budget_unit_code = ["code"]
personal_id = ["head"]
[record.fields]
code = { from = "code", convert = "budget_unit_code" }
name = { from = "name", convert = "text" }
chapter = { from = "chapter", convert = "text" }
decision_date = { from = "decided", convert = "partial_date" }
valid_from = { from = "born", convert = "partial_date", format = "yyyyMMdd" }
head_personal_id = { from = "head", convert = "personal_id" }
treasury_office = { from = "treasury", convert = "text", encoding = "tcvn3" }
[[record]]
type = "lienthong.business.v1.EnterpriseRegistration"
table = "firm"
[record.lookup]
enterprise_code = ["code"]
[record.fields]
enterprise_code = { from = "code", convert = "tax_code" }
charter_capital = { from = "capital", convert = "money" }
amendment_count = { from = "changes", convert = "integer" }
[[record.children]]
field = "members"
table = "member"
join = { firm_id = "id", firm_year = "year" }
order = ["n"]
fields.ratio_percent = { from = "share", convert = "decimal" }
fields.contribution = { from = "amount", convert = "money" }
"#;

const SCHEMA: &str = r#"
CREATE TABLE "unit" ("id" BIGINT, "code" INTEGER, "head" CHAR(12), "name" VARCHAR(50), "chapter" CHAR(6),
  "decided" DATE, "born" INTEGER, "treasury" BYTEA, "at" TIMESTAMP);
CREATE INDEX "unit_code" ON "unit" ("code");
CREATE TABLE "firm" ("id" INTEGER, "year" VARCHAR(4), "code" VARCHAR(14), "capital" DECIMAL(21,3), "changes" SMALLINT);
CREATE TABLE "member" ("firm_id" BIGINT, "firm_year" VARCHAR(4), "n" INTEGER, "share" DECIMAL(6,3), "amount" DOUBLE PRECISION);
INSERT INTO "unit" VALUES (1, 1055507, '052175000009', 'Sở Tài chính', '418', '2009-02-03', 20090203, X'4bb86f', '2026-01-02 03:04:05');
INSERT INTO "unit" VALUES (2, 2000005, '52175000008', '  ', '   ', NULL, NULL, NULL, NULL);
INSERT INTO "firm" VALUES (1, '2020', '0100233488', 123456789012345678.125, 3);
INSERT INTO "firm" VALUES (1, '2021', '0100233488', 5, 0);
INSERT INTO "member" VALUES (1, '2020', 2, 40.5, 1500000.5), (1, '2020', 1, 59.5, 2), (1, '2021', 1, 100, NULL);
"#;

fn open_with(url: &str, options: PoolOptions) -> SqlSource {
    let mapping = Mapping::parse(MAPPING, "engines.toml").unwrap();
    let schema = Schema::builtin().unwrap();
    SqlSource::open(&schema, &mapping, &Functions::new(), &SecretUrl::new(url), options)
        .unwrap_or_else(|e| panic!("{e}"))
}

fn open(url: &str) -> SqlSource {
    open_with(url, PoolOptions::default())
}

const UNIT: &str = "lienthong.budget.v1.BudgetUnit";
const FIRM: &str = "lienthong.business.v1.EnterpriseRegistration";

async fn fetch(source: &SqlSource, record: &str, kind: IdentifierKind, key: &str) -> Result<Fetched, SourceError> {
    fetch_within(source, record, kind, key, Duration::from_secs(20)).await
}

async fn fetch_within(
    source: &SqlSource,
    record: &str,
    kind: IdentifierKind,
    key: &str,
    time: Duration,
) -> Result<Fetched, SourceError> {
    let record_type = source.describe().record(record).unwrap().record_type.clone();
    let request = FetchRequest {
        fields: record_type.all_fields(),
        record_type,
        key: Key { kind, value: key.to_owned() },
        deadline: Instant::now() + time,
        behalf: std::sync::Arc::default(),
    };
    source.fetch(&request).await
}

fn text(message: &prost_reflect::DynamicMessage) -> String {
    serde_json::to_string(message).unwrap()
}

#[tokio::test]
async fn types_and_keys_mean_the_same_on_every_engine() {
    for database in databases().await {
        database.run(SCHEMA).await;
        let source = open(&database.url);
        let engine = database.engine;
        // A number column compares as a number; text in place of a number finds nothing.
        let units = fetch(&source, UNIT, IdentifierKind::BudgetUnitCode, "1055507").await.unwrap();
        assert_eq!(units.records.len(), 1, "{engine}");
        assert_eq!(
            text(&units.records[0].message),
            concat!(
                r#"{"code":"1055507","name":"Sở Tài chính","chapter":"418","decisionDate":{"year":2009,"month":2,"day":3},"#,
                r#""treasuryOffice":"Káo","headPersonalId":"052175000009","validFrom":{"year":2009,"month":2,"day":3}}"#
            ),
            "{engine}"
        );
        assert_eq!(units.records[0].as_of.unwrap().to_rfc3339(), "2026-01-01T20:04:05+00:00", "{engine}");
        assert_eq!(units.records[0].marks, [], "{engine}");
        for key in ["1055507' OR '1'='1", "' OR 1=1 --", "", "1055508", "99999999999999999999"] {
            let none = fetch(&source, UNIT, IdentifierKind::BudgetUnitCode, key).await.unwrap();
            assert!(none.records.is_empty(), "{engine}: {key}");
            assert!(fetch(&source, FIRM, IdentifierKind::EnterpriseCode, key).await.unwrap().records.is_empty());
        }
        // A padded column is found without its padding; empty and blank cells hold nothing.
        let padded = fetch(&source, UNIT, IdentifierKind::PersonalId, "52175000008").await.unwrap();
        assert_eq!(padded.records.len(), 1, "{engine}");
        assert_eq!(
            text(&padded.records[0].message),
            r#"{"code":"2000005","headPersonalId":"052175000008"}"#,
            "{engine}"
        );
        assert_eq!(padded.records[0].as_of, None);
        assert_eq!(
            (padded.records[0].marks[0].path.as_str(), padded.records[0].marks[0].grade),
            ("head_personal_id", Grade::Repaired)
        );
        database.remove().await;
    }
}

#[tokio::test]
async fn children_join_by_several_columns_and_numbers_keep_their_digits() {
    for database in databases().await {
        database.run(SCHEMA).await;
        let source = open(&database.url);
        let firms = fetch(&source, FIRM, IdentifierKind::EnterpriseCode, "0100233488").await.unwrap();
        let mut found: Vec<_> = firms.records.iter().map(|record| text(&record.message)).collect();
        found.sort();
        let expected = [
            r#"{"enterpriseCode":"0100233488","amendmentCount":0,"charterCapital":{"amountVnd":"5"},"members":[{"ratioPercent":"100"}]}"#,
            r#"{"enterpriseCode":"0100233488","amendmentCount":3,"charterCapital":{"amountVnd":"123456789012345678.125"},"members":[{"contribution":{"amountVnd":"2"},"ratioPercent":"59.5"},{"contribution":{"amountVnd":"1500000.5"},"ratioPercent":"40.5"}]}"#,
        ];
        // SQLite's reference schemas hold decimals as text; a literal number there loses digits before we see it.
        if database.engine != Engine::Sqlite {
            assert_eq!(found, expected, "{}", database.engine);
        }
        let zero = firms.records.iter().find(|record| text(&record.message).contains(r#""amendmentCount":0"#)).unwrap();
        assert_eq!(*zero.message.get_field_by_name("amendment_count").unwrap(), Value::I32(0));
        database.remove().await;
    }
}

#[tokio::test]
async fn too_many_rows_are_an_error_and_never_cut_off() {
    let database = TestDatabase::sqlite();
    database.run(SCHEMA).await;
    let source = open_with(&database.url, PoolOptions { rows_max: 1, ..PoolOptions::default() });
    let error = fetch(&source, FIRM, IdentifierKind::EnterpriseCode, "0100233488").await.unwrap_err();
    assert_eq!(error, SourceError::TooManyRecords { table: "firm".to_owned(), limit: 1 });
    let source = open_with(&database.url, PoolOptions { child_rows_max: 2, ..PoolOptions::default() });
    let error = fetch(&source, FIRM, IdentifierKind::EnterpriseCode, "0100233488").await.unwrap_err();
    assert_eq!(error, SourceError::TooManyRecords { table: "member".to_owned(), limit: 2 });
}

#[tokio::test]
async fn a_schema_that_changes_under_a_running_source_is_named_and_heals() {
    for database in databases().await {
        database.run(SCHEMA).await;
        let source = open(&database.url);
        let engine = database.engine;
        source.ready().await.unwrap();
        let unit = || fetch(&source, UNIT, IdentifierKind::BudgetUnitCode, "1055507");
        assert_eq!(unit().await.unwrap().records.len(), 1);

        database.run(r#"ALTER TABLE "unit" RENAME TO "unit_old""#).await;
        let error = unit().await.unwrap_err();
        assert_eq!((error.reason(), error.retryable()), ("SOURCE_SCHEMA_CHANGED", false), "{engine}");
        assert!(
            error.to_string().contains("engines.toml:8:9: record BudgetUnit: the database has no table unit"),
            "{engine}: {error}"
        );
        assert_eq!(source.ready().await.unwrap_err().reason(), "SOURCE_SCHEMA_CHANGED", "{engine}");
        // The other record type of the source goes on.
        assert_eq!(fetch(&source, FIRM, IdentifierKind::EnterpriseCode, "0100233488").await.unwrap().records.len(), 2);

        database.run(r#"ALTER TABLE "unit_old" RENAME TO "unit""#).await;
        source.ready().await.unwrap();
        assert_eq!(unit().await.unwrap().records.len(), 1, "{engine}");

        database.run(r#"ALTER TABLE "unit" RENAME COLUMN "name" TO "nam""#).await;
        let error = unit().await.unwrap_err().to_string();
        assert!(
            error.contains("field name: table unit has no column name; did you mean \"nam\"?"),
            "{engine}: {error}"
        );
        database.run(r#"ALTER TABLE "unit" RENAME COLUMN "nam" TO "name""#).await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(unit().await.unwrap().records.len(), 1, "{engine}: without anyone asking for readiness");
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said_at_once_and_opening_does_not_need_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("later.db");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [
        format!("sqlite://{}", file.display()),
        format!("postgres://a:b@127.0.0.1:{closed}/x"),
        format!("mysql://a:b@127.0.0.1:{closed}/x"),
    ] {
        let source = open(&url);
        let begin = Clock::now();
        let error = fetch(&source, UNIT, IdentifierKind::BudgetUnitCode, "1055507").await.unwrap_err();
        assert!(matches!(error, SourceError::Unreachable(_)) && error.retryable(), "{url}: {error}");
        assert!(matches!(source.ready().await, Err(SourceError::Unreachable(_))));
        assert!(begin.elapsed() < Duration::from_secs(2), "{url}");
    }
    let source = open(&format!("sqlite://{}", file.display()));
    assert!(source.ready().await.is_err());
    let database = TestDatabase::sqlite();
    database.run(SCHEMA).await;
    std::fs::copy(database.url.strip_prefix("sqlite://").unwrap(), &file).unwrap();
    source.ready().await.unwrap();
    assert_eq!(fetch(&source, UNIT, IdentifierKind::BudgetUnitCode, "1055507").await.unwrap().records.len(), 1);
}

#[tokio::test]
async fn credentials_and_missing_databases_are_told_apart() {
    for database in databases().await.into_iter().filter(|database| database.engine != Engine::Sqlite) {
        let (head, tail) = database.url.split_once("://").unwrap();
        let (_, address) = tail.split_once('@').unwrap();
        let wrong = open(&format!("{head}://nobody:wrong@{address}"));
        assert!(matches!(wrong.ready().await, Err(SourceError::Credentials(_))), "{}", database.engine);
        let missing = open(&format!("{}_missing", database.url));
        assert!(matches!(missing.ready().await, Err(SourceError::NoDatabase(_))), "{}", database.engine);
        database.remove().await;
    }
}

#[tokio::test]
async fn a_mistyped_column_is_refused_with_its_line() {
    for database in databases().await {
        let schema = SCHEMA.split("INSERT").next().unwrap().replace(r#""changes" SMALLINT"#, r#""changes" DATE"#);
        database.run(&schema).await;
        let source = open(&database.url);
        // SQLite's declared types bind nobody.
        if database.engine != Engine::Sqlite {
            let error = source.ready().await.unwrap_err().to_string();
            assert!(
                error.contains(
                    "field amendment_count: column firm.changes holds dates or times, which integer does not read"
                ),
                "{error}"
            );
        }
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn lookup_columns_without_an_index_are_named() {
    for database in databases().await {
        database.run(SCHEMA).await;
        let source = open(&database.url);
        assert_eq!(source.unindexed_columns(), Vec::<String>::new(), "nothing is known before contact");
        source.ready().await.unwrap();
        assert_eq!(source.unindexed_columns(), ["firm.code", "member.firm_id", "unit.head"], "{}", database.engine);
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn waiting_ends_at_the_deadline_and_the_source_answers_again() {
    for database in databases().await.into_iter().filter(|database| database.engine == Engine::Postgres) {
        database.run(SCHEMA).await;
        database.run_as_is(r#"ALTER TABLE "unit" RENAME TO "unit_base"; CREATE VIEW "unit" AS SELECT "unit_base".* FROM "unit_base", pg_sleep(0.5)"#).await;
        let source = open_with(&database.url, PoolOptions { connections_max: 1, ..PoolOptions::default() });
        source.ready().await.unwrap();
        let slow =
            |time| fetch_within(&source, UNIT, IdentifierKind::BudgetUnitCode, "1055507", Duration::from_millis(time));
        let begin = Clock::now();
        // The second waits for the only connection, within its own deadline.
        let (first, second) = tokio::join!(slow(200), slow(100));
        assert_eq!((first.unwrap_err(), second.unwrap_err()), (SourceError::Timeout, SourceError::Timeout));
        assert!(begin.elapsed() < Duration::from_millis(450));
        assert_eq!(slow(5000).await.unwrap().records.len(), 1);
        // Connections the server has closed are replaced without an error.
        database.run_as_is("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lienthong' AND datname = current_database()").await;
        assert_eq!(slow(5000).await.unwrap().records.len(), 1);
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn dates_of_zeros_flags_and_unsigned_numbers_of_mysql() {
    for database in databases().await.into_iter().filter(|database| database.engine == Engine::MySql) {
        database.run_as_is(r#"CREATE TABLE "unit" ("id" BIGINT UNSIGNED, "code" INT UNSIGNED, "head" VARCHAR(12), "name" BIT(4), "chapter" TINYINT(1), "decided" DATE, "born" YEAR, "treasury" LONGBLOB, "at" DATETIME)"#).await;
        database.run_as_is(r#"INSERT INTO "unit" VALUES (18446744073709551615, 1055507, 'x', b'1010', 7, '0000-00-00', 2009, NULL, '0000-00-00 00:00:00'), (2, 2000005, NULL, NULL, NULL, '2009-02-00', NULL, NULL, '2026-01-02 03:04:05')"#).await;
        database
            .run(
                &SCHEMA
                    .lines()
                    .filter(|line| {
                        line.starts_with("CREATE TABLE \"firm\"") || line.starts_with("CREATE TABLE \"member\"")
                    })
                    .collect::<Vec<_>>()
                    .join("\n"),
            )
            .await;
        let source = open(&database.url);
        let first = fetch(&source, UNIT, IdentifierKind::BudgetUnitCode, "1055507").await.unwrap();
        assert_eq!(
            text(&first.records[0].message),
            r#"{"code":"1055507","name":"10","chapter":"7","validFrom":{"year":2009}}"#
        );
        // The driver gives a date of zeros as NULL: MySQL writes it where there is no date.
        let marks: Vec<_> = first.records[0].marks.iter().map(|mark| (mark.path.as_str(), mark.grade)).collect();
        assert_eq!(marks, [("head_personal_id", Grade::Invalid)]);
        assert_eq!(first.records[0].as_of, None);
        let second = fetch(&source, UNIT, IdentifierKind::BudgetUnitCode, "2000005").await.unwrap();
        assert_eq!(text(&second.records[0].message), r#"{"code":"2000005","decisionDate":{"year":2009,"month":2}}"#);
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn sources_are_read_only() {
    // Nothing in the engine writes; the connection itself refuses, should a view try.
    for database in databases().await.into_iter().filter(|database| database.engine == Engine::Postgres) {
        database.run(SCHEMA).await;
        database.run_as_is(r#"ALTER TABLE "unit" RENAME TO "unit_base"; CREATE FUNCTION sneak() RETURNS SETOF unit_base LANGUAGE plpgsql AS $$ BEGIN DELETE FROM member; RETURN QUERY SELECT * FROM unit_base; END $$; CREATE VIEW "unit" AS SELECT * FROM sneak()"#).await;
        let source = open(&database.url);
        let error = fetch(&source, UNIT, IdentifierKind::BudgetUnitCode, "1055507").await.unwrap_err();
        assert_eq!(error, SourceError::Database { code: "25006".to_owned() });
        drop(source);
        database.remove().await;
    }
}
