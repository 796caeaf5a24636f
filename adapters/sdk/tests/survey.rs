//! Whole tables read and counted, and single records beside their rows, on each engine there is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use adapter_sdk::{
    Adapter, FetchRequest, FieldQuality, Functions, Key, Mapping, PoolOptions, RecordQuality, SecretUrl, SourceError,
    SqlSource, SurveyOptions,
};
use proto::{Schema, options::v1::IdentifierKind};
use support::{TestDatabase, databases};
use tokio::time::Instant;

mod support;

const MAPPING: &str = r#"
source = "survey"
label_vi = "Thử"
label_en = "Test"
owner = "nobody"
[[record]]
type = "lienthong.budget.v1.BudgetUnit"
table = "unit"
where = { gone = 0 }
as_of = "at"
[record.lookup]
budget_unit_code = ["code"]
[record.fields]
code = { from = "code", convert = "budget_unit_code", required = true }
name = { from = ["name", "name2"], convert = "org_name" }
decision_date = { from = "decided", convert = "partial_date", format = "dd/MM/yyyy" }
head_personal_id = { from = "head", convert = "personal_id" }
[[record]]
type = "lienthong.business.v1.EnterpriseRegistration"
table = "firm"
[record.lookup]
enterprise_code = ["code"]
[record.fields]
enterprise_code = { from = "code", convert = "tax_code" }
amendment_count = { from = "changes", convert = "integer" }
[[record.children]]
field = "industries"
table = "industry"
join = { firm_id = "id" }
order = ["n"]
fields.code = { from = { code = "vsic", vintage = "year" }, convert = "industry_code" }
fields.is_main = { from = "main", convert = "boolean" }
[[record.joined]]
field = "legal_representatives"
separator = ";"
fields.full_name = { from = "heads", convert = "person_name" }
"#;

/// Keys of two columns, one a point in time; the same text stands in many pages.
const SCHEMA: &str = r#"
CREATE TABLE "unit" ("year" INTEGER NOT NULL, "made" TIMESTAMP NOT NULL, "code" VARCHAR(10), "name" VARCHAR(50),
  "name2" VARCHAR(50), "decided" VARCHAR(10), "head" CHAR(12), "gone" INTEGER, "at" TIMESTAMP, "spare" INTEGER,
  PRIMARY KEY ("year", "made"));
CREATE INDEX "unit_code" ON "unit" ("code");
CREATE TABLE "firm" ("id" VARCHAR(10) NOT NULL PRIMARY KEY, "code" VARCHAR(14), "changes" INTEGER, "heads" VARCHAR(100));
CREATE TABLE "industry" ("firm_id" VARCHAR(10), "n" INTEGER, "vsic" VARCHAR(5), "year" VARCHAR(4), "main" INTEGER);
CREATE VIEW "everything" AS SELECT * FROM "unit";
INSERT INTO "unit" VALUES
 (2020, '2020-01-01 00:00:00.000001', '1000001', 'Sở Tài chính', NULL, '01/02/2020', '052175000009', 0, '2020-01-01 00:00:00', 1),
 (2020, '2020-01-01 00:00:00.000002', '1000002', 'Sở  Y tế', NULL, '31/02/2020', '052175000009', 0, '2020-01-01 00:00:00', 1),
 (2020, '2020-01-01 12:00:00.000000', '1000003', 'Phòng', 'Giáo dục', NULL, '52175000009', 0, NULL, 1),
 (2020, '2020-02-01 00:00:00.000000', NULL, '  ', NULL, '', NULL, 0, '2999-01-01 00:00:00', 1),
 (2021, '2020-01-01 00:00:00.000000', '0000000', NULL, NULL, '1/2/2020', '9123', 0, '2999-01-01 00:00:00', 1),
 (2021, '2020-01-01 00:00:01.000000', '1000006', 'Đã giải thể', NULL, NULL, NULL, 1, NULL, 1);
INSERT INTO "firm" VALUES ('a', '0100233488', 0, 'Nguyễn Văn An;Trần Bình'), ('b', '0100233489', NULL, NULL), ('c', '0100233488', 2, 'Lê Chi');
INSERT INTO "industry" VALUES ('a', 1, '0111', '2018', 1), ('a', 2, 'ab1', '2018', 0), ('c', 1, '0111', '2018', NULL);
"#;

fn open(database: &TestDatabase, mapping: &str) -> SqlSource {
    let mapping = Mapping::parse(mapping, "survey.toml").unwrap();
    let (schema, url) = (Schema::builtin().unwrap(), SecretUrl::new(&database.url));
    let options = PoolOptions { connections_max: 1, ..PoolOptions::default() };
    SqlSource::open(&schema, &mapping, &Functions::new(), &url, options).unwrap_or_else(|e| panic!("{e}"))
}

const UNIT: &str = "lienthong.budget.v1.BudgetUnit";
const FIRM: &str = "lienthong.business.v1.EnterpriseRegistration";

fn field<'q>(quality: &'q RecordQuality, path: &str) -> &'q FieldQuality {
    let at = quality.record_type.field_index(path).unwrap();
    quality.fields.iter().find(|field| field.field == at).unwrap()
}

/// expected, clean, repaired, suspect, invalid, absent.
fn counts(field: &FieldQuality) -> [u64; 6] {
    [field.expected, field.clean, field.repaired, field.suspect, field.invalid, field.absent()]
}

#[tokio::test]
async fn every_row_is_counted_once_whatever_the_size_of_a_page() {
    for database in databases().await {
        database.run(SCHEMA).await;
        let source = open(&database, MAPPING);
        for page_rows in [1, 2, 3, 5, 500] {
            let options = SurveyOptions { page_rows, ..SurveyOptions::default() };
            let mut heard = Vec::new();
            let units = source.survey(UNIT, &options, |rows, total| heard.push((rows, total))).await.unwrap();
            let case = format!("{}, pages of {page_rows}", database.engine);
            assert_eq!((units.rows, units.rows_in_table), (5, 5), "{case}");
            assert_eq!(heard.last(), Some(&(5, 5)), "{case}");
            // A filler is nothing; one number is missing.
            assert_eq!(counts(field(&units, "code")), [5, 3, 0, 0, 0, 2], "{case}");
            assert_eq!(counts(field(&units, "name")), [5, 2, 1, 0, 0, 2], "{case}");
            assert_eq!(counts(field(&units, "decision_date")), [5, 2, 0, 0, 1, 2], "{case}");
            // Twice as it should be, once with a zero lost, once too short.
            assert_eq!(counts(field(&units, "head_personal_id")), [5, 2, 1, 0, 1, 1], "{case}");
            // Two rows of 2020, two not yet old, one that does not say.
            assert_eq!((units.undated, units.live(365)), (1, Some(0.5)), "{case}");
        }
        let options = SurveyOptions { rows_max: Some(3), page_rows: 2, ..SurveyOptions::default() };
        let units = source.survey(UNIT, &options, |_, _| {}).await.unwrap();
        assert_eq!((units.rows, units.rows_in_table), (3, 5), "{}", database.engine);
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn children_and_joined_parts_count_each_for_itself_and_zero_is_a_value() {
    for database in databases().await {
        database.run(SCHEMA).await;
        let source = open(&database, MAPPING);
        let options = SurveyOptions { page_rows: 2, ..SurveyOptions::default() };
        let firms = source.survey(FIRM, &options, |_, _| {}).await.unwrap();
        assert_eq!(firms.rows, 3);
        assert_eq!(counts(field(&firms, "enterprise_code")), [3, 2, 0, 0, 1, 0]);
        assert_eq!(counts(field(&firms, "amendment_count")), [3, 2, 0, 0, 0, 1]);
        assert_eq!(counts(field(&firms, "industries.code")), [3, 2, 0, 0, 1, 0], "{}", database.engine);
        assert_eq!(counts(field(&firms, "industries.is_main")), [3, 2, 0, 0, 0, 1]);
        assert_eq!(counts(field(&firms, "legal_representatives.full_name")), [3, 3, 0, 0, 0, 0]);
        assert_eq!((firms.tells_age, firms.live(365)), (false, None));
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn examples_show_public_values_and_only_the_shape_of_others() {
    let database = TestDatabase::sqlite();
    database.run(SCHEMA).await;
    let units = open(&database, MAPPING).survey(UNIT, &SurveyOptions::default(), |_, _| {}).await.unwrap();
    assert_eq!(field(&units, "decision_date").reasons["bad_date"].examples, ["31/02/2020"]);
    let heads = field(&units, "head_personal_id");
    assert_eq!(heads.reasons["leading_zero_restored"].examples, ["99999999999"]);
    assert_eq!(heads.reasons["wrong_length"].examples, ["9999"]);
}

#[tokio::test]
async fn a_view_needs_its_key_named() {
    for database in databases().await {
        database.run(SCHEMA).await;
        let source = open(&database, &MAPPING.replace("table = \"unit\"", "table = \"everything\""));
        let refused = source.survey(UNIT, &SurveyOptions::default(), |_, _| {}).await.unwrap_err();
        assert_eq!(refused, SourceError::NoKey { table: "everything".to_owned() }, "{}", database.engine);
        let key = vec!["year".to_owned(), "made".to_owned()];
        let options = SurveyOptions { page_rows: 1, key, ..SurveyOptions::default() };
        let units = source.survey(UNIT, &options, |_, _| {}).await.unwrap();
        assert_eq!((units.rows, units.rows_in_table), (5, 5), "{}", database.engine);
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn the_fit_names_columns_nothing_reads_and_fields_without_a_column() {
    for database in databases().await {
        database.run(SCHEMA).await;
        let source = open(&database, MAPPING);
        let fit = source.fit().await.unwrap();
        assert_eq!(fit.problems, Vec::<String>::new());
        assert_eq!(fit.unindexed, ["firm.code", "industry.firm_id"], "{}", database.engine);
        assert_eq!(fit.unread, ["unit.year", "unit.made", "unit.spare"], "{}", database.engine);
        assert!(fit.unmapped.contains(&(UNIT.to_owned(), "chapter".to_owned())));
        database.run(r#"ALTER TABLE "unit" RENAME COLUMN "decided" TO "decision""#).await;
        let fit = source.fit().await.unwrap();
        assert!(fit.problems[0].contains("table unit has no column decided"), "{fit:?}");
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn rows_a_where_leaves_out_for_want_of_a_value_are_counted() {
    for database in databases().await {
        database.run(SCHEMA).await;
        let source = open(&database, MAPPING);
        assert_eq!(source.undecided().await.unwrap(), Vec::<String>::new(), "{}", database.engine);
        database.run(r#"UPDATE "unit" SET "gone" = NULL WHERE "code" IN ('1000001', '1000006')"#).await;
        assert_eq!(source.undecided().await.unwrap(), ["unit.gone (2)"], "{}", database.engine);
        // As a child's table, a lookup's and a flag's, too.
        let spent = MAPPING.replace("table = \"industry\"", "table = \"industry\"\nwhere = { main = 1 }").replace(
            "enterprise_code = [\"code\"]",
            "enterprise_code = { column = \"code\", where = { changes = 0 } }",
        );
        let source = open(&database, &spent);
        let undecided = source.undecided().await.unwrap();
        assert_eq!(undecided, ["firm.changes (1)", "industry.main (1)", "unit.gone (2)"], "{}", database.engine);
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn a_record_is_shown_beside_its_row() {
    for database in databases().await {
        database.run(SCHEMA).await;
        let source = open(&database, MAPPING);
        let description = source.describe().record(FIRM).unwrap().clone();
        let request = FetchRequest {
            fields: description.fields,
            record_type: description.record_type,
            key: Key { kind: IdentifierKind::EnterpriseCode, value: "0100233488".to_owned() },
            deadline: Instant::now() + Duration::from_secs(20),
            behalf: std::sync::Arc::default(),
        };
        let found = source.inspect(&request).await.unwrap();
        assert_eq!(found.len(), 2);
        let firm =
            found.iter().find(|firm| firm.fields.iter().any(|field| field.path == "industries[1].code")).unwrap();
        let shown = |path: &str| {
            let field = firm.fields.iter().find(|field| field.path == path).unwrap();
            let columns: Vec<_> = field.columns.iter().map(|c| (c.name.as_str(), c.text.as_deref())).collect();
            (columns, field.converter.as_str())
        };
        assert_eq!(
            shown("industries[1].code"),
            (vec![("industry.vsic", Some("ab1")), ("industry.year", Some("2018"))], "industry_code")
        );
        let heads = vec![("firm.heads", Some("Nguyễn Văn An;Trần Bình"))];
        assert_eq!(shown("legal_representatives[1].full_name"), (heads, "person_name"));
        assert_eq!(shown("amendment_count"), (vec![("firm.changes", Some("0"))], "integer"));
        // The record is the one a fetch gives.
        let fetched = source.fetch(&request).await.unwrap();
        assert_eq!(
            fetched.records.iter().map(|r| r.message.clone()).collect::<Vec<_>>(),
            found.iter().map(|i| i.record.message.clone()).collect::<Vec<_>>()
        );
        drop(source);
        database.remove().await;
    }
}
