//! A SELECT in a mapping stands for a table, on each engine there is, and lookups in it use the tables' own indexes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::time::Duration;

use adapter_sdk::{
    Adapter, Engine, FetchRequest, Fetched, Functions, Key, Mapping, PoolOptions, SecretUrl, SourceError, SqlSource,
    SurveyOptions,
};
use proto::{Schema, options::v1::IdentifierKind};
use support::{TestDatabase, databases};
use tokio::time::Instant;

mod support;

/// A join, aliases, and validity as events leave it; children and another table's key are SELECTs, too.
const MAPPING: &str = r#"
source = "select"
label_vi = "Thử"
label_en = "Test"
owner = "nobody"
[[record]]
type = "lienthong.business.v1.EnterpriseRegistration"
select = """
SELECT f.id AS firm, f.code AS code, n.text AS full_name, f.kind AS kind
FROM firm f JOIN firm_name n ON n.firm_id = f.id
WHERE n.ended IS NULL -- the name of today
"""
where = { kind = 1 }
order = ["firm"]
[record.lookup]
enterprise_code = ["code"]
personal_id = { select = "SELECT h.firm_id AS firm_id, h.number AS number FROM head h WHERE h.ended IS NULL", column = "number", join = { firm_id = "firm" } }
[record.fields]
enterprise_code = { from = "code", convert = "tax_code" }
name = { from = "full_name", convert = "org_name" }
[[record.children]]
field = "industries"
select = "SELECT firm_id AS owner, vsic AS code, vsic_year AS edition FROM industry WHERE ended IS NULL"
join = { owner = "firm" }
order = ["code"]
fields.code = { from = { code = "code", vintage = "edition" }, convert = "industry_code" }
"#;

const FIRM: &str = "lienthong.business.v1.EnterpriseRegistration";
const FIRMS: u32 = 3_000;

/// Enough rows for every planner to prefer an index, and one firm of two names, two heads and two industries.
fn schema() -> String {
    let mut sql = "
CREATE TABLE firm (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(14), kind INTEGER);
CREATE INDEX firm_code ON firm (code);
CREATE TABLE firm_name (firm_id INTEGER, text VARCHAR(50), ended DATE);
CREATE INDEX name_firm ON firm_name (firm_id);
CREATE TABLE head (firm_id INTEGER, number VARCHAR(12), ended DATE);
CREATE INDEX head_number ON head (number);
CREATE TABLE industry (firm_id INTEGER, vsic VARCHAR(5), vsic_year VARCHAR(4), ended DATE);
CREATE INDEX industry_firm ON industry (firm_id);
INSERT INTO firm VALUES (1, '0100233488', 1), (2, '0100233489', 2);
INSERT INTO firm_name VALUES (1, 'Công ty Cũ', '2020-01-01'), (1, 'Công ty Mới', NULL), (2, 'Hộ Ba', NULL);
INSERT INTO head VALUES (1, '052175000009', '2020-01-01'), (1, '052175000010', NULL);
INSERT INTO industry VALUES (1, '0111', '2018', NULL), (1, '0112', '2018', '2020-01-01');
"
    .to_owned();
    let all = |row: &dyn Fn(u32) -> String| (10..FIRMS).map(row).collect::<Vec<_>>().join(", ");
    sql += &format!("INSERT INTO firm VALUES {};\n", all(&|n| format!("({n}, '9{n:09}', 1)")));
    sql += &format!("INSERT INTO firm_name VALUES {};\n", all(&|n| format!("({n}, 'Công ty {n}', NULL)")));
    sql += &format!("INSERT INTO head VALUES {};\n", all(&|n| format!("({n}, '9{n:011}', NULL)")));
    sql + &format!("INSERT INTO industry VALUES {};\n", all(&|n| format!("({n}, '0111', '2018', NULL)")))
}

async fn filled(database: &TestDatabase) {
    database.run(&schema()).await;
    match database.engine {
        Engine::MySql => database.run_as_is("ANALYZE TABLE firm, firm_name, head, industry").await,
        Engine::Postgres | Engine::Sqlite => database.run_as_is("ANALYZE").await,
    }
}

fn open(database: &TestDatabase, mapping: &str) -> SqlSource {
    let mapping = Mapping::parse(mapping, "select.toml").unwrap_or_else(|error| panic!("{error}"));
    let (schema, url) = (Schema::builtin().unwrap(), SecretUrl::new(&database.url));
    SqlSource::open(&schema, &mapping, &Functions::new(), &url, PoolOptions::default()).unwrap()
}

async fn fetch(source: &SqlSource, kind: IdentifierKind, key: &str) -> Result<Fetched, SourceError> {
    let description = source.describe().record(FIRM).unwrap().clone();
    let request = FetchRequest {
        fields: description.fields,
        record_type: description.record_type,
        key: Key { kind, value: key.to_owned() },
        deadline: Instant::now() + Duration::from_secs(20),
        behalf: std::sync::Arc::default(),
    };
    source.fetch(&request).await
}

fn texts(fetched: &Fetched) -> Vec<String> {
    fetched.records.iter().map(|record| serde_json::to_string(&record.message).unwrap()).collect()
}

#[tokio::test]
async fn a_select_is_read_like_a_table_on_every_engine() {
    for database in databases().await {
        filled(&database).await;
        let source = open(&database, MAPPING);
        let engine = database.engine;
        let expected = [concat!(
            r#"{"enterpriseCode":"0100233488","name":"Công ty Mới","industries":"#,
            r#"[{"code":{"scheme":"vsic","version":"2018","code":"0111"}}]}"#
        )];
        let by_code = fetch(&source, IdentifierKind::EnterpriseCode, "0100233488").await.unwrap();
        assert_eq!(texts(&by_code), expected, "{engine}");
        let by_head = fetch(&source, IdentifierKind::PersonalId, "052175000010").await.unwrap();
        assert_eq!(texts(&by_head), expected, "{engine}");
        for (kind, key) in [
            // Head no longer; of another kind; not a number at all.
            (IdentifierKind::PersonalId, "052175000009"),
            (IdentifierKind::EnterpriseCode, "0100233489"),
            (IdentifierKind::EnterpriseCode, "' OR 1=1 --"),
        ] {
            assert_eq!(texts(&fetch(&source, kind, key).await.unwrap()), Vec::<String>::new(), "{engine}: {key}");
        }
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn lookups_in_a_select_use_the_indexes_of_its_tables() {
    for database in databases().await {
        filled(&database).await;
        let source = open(&database, MAPPING);
        let plans = source.explain().await.unwrap();
        assert_eq!(plans.len(), 2);
        for (plan, index) in plans.iter().zip(["firm_code", "head_number"]) {
            let text = plan.lines.join("\n");
            println!("{} by {}:\n{text}", database.engine, plan.by);
            assert!(text.contains(index), "{}: {index} serves the lookup:\n{text}", database.engine);
            // MariaDB reads a subquery's one row from a table of its own.
            let walks = ["Seq Scan", "SCAN", "| f | ALL", "| n | ALL", "| h | ALL"];
            assert!(!walks.iter().any(|walk| text.contains(walk)), "{}: no table is walked:\n{text}", database.engine);
        }
        // The test can fail: without the index the same lookup walks the table.
        let drop_index =
            if database.engine == Engine::MySql { "DROP INDEX firm_code ON firm" } else { "DROP INDEX firm_code" };
        database.run_as_is(drop_index).await;
        let text = open(&database, MAPPING).explain().await.unwrap()[0].lines.join("\n");
        assert!(!text.contains("firm_code"), "{text}");
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn a_select_is_walked_by_a_key_that_is_named() {
    for database in databases().await {
        filled(&database).await;
        let source = open(&database, MAPPING);
        let refused = source.survey(FIRM, &SurveyOptions::default(), |_, _| {}).await.unwrap_err();
        assert_eq!(refused, SourceError::NoKey { table: "SELECT of line 8".to_owned() });
        // A few rows to try it by need none.
        let samples = source.sample(FIRM, 50, 5).await.unwrap();
        assert_eq!(samples.len(), 5, "{}", database.engine);
        let options = SurveyOptions { page_rows: 700, key: vec!["firm".to_owned()], ..SurveyOptions::default() };
        let quality = source.survey(FIRM, &options, |_, _| {}).await.unwrap();
        // All but the one of another kind.
        assert_eq!((quality.rows, quality.rows_in_table), (u64::from(FIRMS) - 10 + 1, u64::from(FIRMS) - 10 + 1));
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn a_select_that_does_not_fit_is_told_by_line_and_heals() {
    for database in databases().await {
        filled(&database).await;
        let wrong_column = open(&database, &MAPPING.replace("from = \"full_name\"", "from = \"ful_name\""));
        let said = wrong_column.ready().await.unwrap_err().to_string();
        assert!(
            said.contains("table SELECT of line 8 has no column ful_name; did you mean \"full_name\"?"),
            "{}: {said}",
            database.engine
        );
        let wrong_table = open(&database, &MAPPING.replace("JOIN firm_name n", "JOIN firm_names n"));
        let said = wrong_table.ready().await.unwrap_err().to_string();
        assert!(
            said.contains("select.toml:8:10: record EnterpriseRegistration: the database does not run this SELECT"),
            "{said}"
        );
        database.run_as_is("CREATE VIEW firm_names AS SELECT * FROM firm_name").await;
        wrong_table.ready().await.unwrap();
        // A place for a value that nobody gives.
        let mark = if database.engine == Engine::Postgres { "$1" } else { "?" };
        let open_place = MAPPING.replace("n.ended IS NULL", &format!("n.ended IS NULL AND f.id = {mark}"));
        let said = open(&database, &open_place).ready().await.unwrap_err().to_string();
        assert!(said.contains("does not run this SELECT: code parameter"), "{}: {said}", database.engine);
        drop((wrong_column, wrong_table));
        database.remove().await;
    }
}

#[tokio::test]
async fn a_select_cannot_write() {
    for database in databases().await.into_iter().filter(|database| database.engine == Engine::Postgres) {
        filled(&database).await;
        database.run_as_is("CREATE SEQUENCE numbers").await;
        let writing = MAPPING.replace("f.kind AS kind", "f.kind AS kind, nextval('numbers') AS taken");
        // The column must be read for the function to be called.
        let writing = writing.replace("order = [\"firm\"]", "order = [\"taken\"]");
        let source = open(&database, &writing);
        let error = fetch(&source, IdentifierKind::EnterpriseCode, "0100233488").await.unwrap_err();
        assert_eq!(error, SourceError::Database { code: "25006".to_owned() }, "read-only transaction");
        drop(source);
        database.remove().await;
    }
}

#[test]
fn a_select_is_one_statement_that_reads() {
    for (wrong, said) in [
        ("DELETE FROM firm", "a SELECT begins with SELECT or WITH"),
        ("SELECT 1; DROP TABLE firm", "leave out the semicolon"),
        ("SELECT 'a;b'; DROP TABLE firm", "leave out the semicolon"),
    ] {
        let mapping =
            MAPPING.replace("SELECT h.firm_id AS firm_id, h.number AS number FROM head h WHERE h.ended IS NULL", wrong);
        let error = Mapping::parse(&mapping, "select.toml").unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    let texts = "SELECT h.firm_id AS firm_id, string_agg(h.number, ';') AS `a;b` FROM head h WHERE h.it <> 'it''s; so'";
    let list =
        MAPPING.replace("SELECT h.firm_id AS firm_id, h.number AS number FROM head h WHERE h.ended IS NULL", texts);
    assert!(Mapping::parse(&list, "select.toml").is_ok(), "a semicolon in a text ends no statement");
    let both = MAPPING.replace("where = { kind = 1 }", "where = { kind = 1 }\ntable = \"firm\"");
    let error = Mapping::parse(&both, "select.toml").unwrap_err();
    assert!(error.to_string().contains("rows come from \"table\" or \"select\", not both"), "{error}");
}
