//! Searching on each engine there is: what is found, what is too much, and that no table is walked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use adapter_sdk::{
    Adapter, Criterion, CriterionKind, Fetched, Functions, Mapping, PoolOptions, SearchRequest, SecretUrl, SourceError,
    SqlSource,
};
use proto::Schema;
use support::databases;
use tokio::time::Instant;

mod support;

const RESIDENT: &str = "lienthong.population.v1.Resident";
const FIRM: &str = "lienthong.business.v1.EnterpriseRegistration";

const MAPPING: &str = r#"
source = "engines"
label_vi = "Thử"
label_en = "Test"
owner = "nobody"
[[record]]
type = "lienthong.population.v1.Resident"
table = "person"
[record.lookup]
personal_id = ["number"]
[record.search]
person_name = { field = "full_name", column = "name_key" }
birth_date = { field = "birth_date", column = ["born", "born_year"] }
commune = { field = "permanent_address" }
[record.fields]
personal_id = { from = "number", convert = "personal_id" }
full_name = { from = "name", convert = "person_name", encoding = "tcvn3" }
birth_date = { first_of = ["born", "born_year"], convert = "partial_date", format = "yyyyMMdd" }
permanent_address = { from = { text = "street", commune = "ward", province = "city", district = "district" }, convert = "address", vintage = "post-2025" }
[[record]]
type = "lienthong.business.v1.EnterpriseRegistration"
table = "firm"
[record.lookup]
enterprise_code = ["code"]
[record.search]
organisation_name = { field = "name", column = "name_key" }
[record.fields]
enterprise_code = { from = "code", convert = "tax_code" }
name = { from = "name", convert = "org_name" }
"#;

/// Nguyễn Thị Hoà and Nguyễn Thị Hoa in TCVN3; one of 1985 with a day, one with the year only, one of 1986. 20194 is a
/// commune code of today.
const SCHEMA: &str = r#"
CREATE TABLE "person" ("number" VARCHAR(12), "name" BYTEA, "name_key" VARCHAR(100), "born" VARCHAR(8),
  "born_year" INTEGER, "street" VARCHAR(50), "ward" VARCHAR(5), "district" VARCHAR(3), "city" VARCHAR(2));
CREATE INDEX "person_number" ON "person" ("number");
CREATE INDEX "person_name_key" ON "person" ("name_key");
CREATE INDEX "person_born" ON "person" ("born");
CREATE INDEX "person_born_year" ON "person" ("born_year");
CREATE TABLE "firm" ("code" VARCHAR(14), "name" VARCHAR(100), "name_key" VARCHAR(100));
CREATE INDEX "firm_code" ON "firm" ("code");
CREATE INDEX "firm_name_key" ON "firm" ("name_key");
INSERT INTO "person" VALUES ('052185000001', X'4e677579d46e205468de20486fb5', 'NGUYEN THI HOA', '19850307', NULL, NULL, 'WARD1', NULL, '52');
INSERT INTO "person" VALUES ('052185000002', X'4e677579d46e205468de20486f61', 'NGUYEN THI HOA', NULL, 1985, NULL, 'WARD2', NULL, '52');
INSERT INTO "person" VALUES ('052186000003', X'4e677579d46e205468de20486fb5', 'NGUYEN THI HOA', '19860101', NULL, NULL, 'WARD1', NULL, '52');
INSERT INTO "person" VALUES ('052185000004', X'5472c76e2042d76e68', 'TRAN BINH', '19850307', NULL, NULL, NULL, NULL, NULL);
INSERT INTO "firm" VALUES ('0100233488', 'Công ty TNHH Hoà Bình', 'CONG TY TNHH HOA BINH');
INSERT INTO "firm" VALUES ('0100100079', 'Công ty Trách nhiệm hữu hạn Hòa Bình', 'CONG TY TRACH NHIEM HUU HAN HOA BINH');
INSERT INTO "firm" VALUES ('0100109106', 'Công ty CP Hoà Bình', 'CONG TY CP HOA BINH');
"#;

fn open(url: &str, options: PoolOptions) -> SqlSource {
    let mapping = Mapping::parse(MAPPING, "search.toml").unwrap();
    let schema = Schema::builtin().unwrap();
    SqlSource::open(&schema, &mapping, &Functions::new(), &SecretUrl::new(url), options)
        .unwrap_or_else(|e| panic!("{e}"))
}

fn name(name: &str) -> Criterion {
    Criterion::PersonName(name.to_owned())
}

fn born(date: &str) -> Criterion {
    Criterion::BirthDate(date.parse().unwrap())
}

async fn search(source: &SqlSource, record: &str, criteria: Vec<Criterion>) -> Result<Fetched, SourceError> {
    let record_type = source.describe().record(record).unwrap().record_type.clone();
    let mut fields = record_type.no_fields();
    fields.insert(record_type.field_index("personal_id").or(record_type.field_index("enterprise_code")).unwrap());
    source
        .search(&SearchRequest {
            record_type,
            criteria,
            fields,
            deadline: Instant::now() + Duration::from_secs(20),
            behalf: Default::default(),
        })
        .await
}

/// The numbers found, sorted.
async fn found(source: &SqlSource, record: &str, criteria: Vec<Criterion>) -> Vec<String> {
    let fetched = search(source, record, criteria).await.unwrap();
    let number = |name| {
        fetched
            .records
            .iter()
            .filter_map(move |found| Some(found.message.get_field_by_name(name)?.as_str()?.to_owned()))
    };
    let mut numbers: Vec<String> =
        if record == RESIDENT { number("personal_id").collect() } else { number("enterprise_code").collect() };
    numbers.sort();
    numbers
}

/// The schema with two communes of today in the place of WARD1 and WARD2.
fn schema() -> String {
    let mut codes = normalize::communes(None).map(|commune| commune.code.to_owned());
    SCHEMA.replace("WARD1", &codes.next().unwrap()).replace("WARD2", &codes.next().unwrap())
}

#[tokio::test]
async fn candidates_are_found_folded_on_every_engine() {
    let mut codes = normalize::communes(None).map(|commune| commune.code.to_owned());
    let (ward, elsewhere) = (codes.next().unwrap(), codes.nth(20).unwrap());
    for database in databases().await {
        database.run(&schema()).await;
        let (source, engine) = (open(&database.url, PoolOptions::default()), database.engine);
        let kinds: Vec<_> = source.describe().record(RESIDENT).unwrap().search.iter().map(|field| field.kind).collect();
        assert_eq!(kinds.len(), 3);
        assert!(kinds.contains(&CriterionKind::PersonName) && kinds.contains(&CriterionKind::Commune));
        let both = ["052185000001", "052185000002"];
        for asked in ["Nguyễn Thị Hoà", "nguyen thi hoa", "NGUYỄN THỊ HÒA", "Nguyễn  Thị Hóa"] {
            assert_eq!(found(&source, RESIDENT, vec![name(asked), born("1985")]).await, both, "{engine}: {asked}");
        }
        // A register that knows the year only does not contradict a day; one that knows another day does.
        let of_day = |date| found(&source, RESIDENT, vec![name("Nguyen Thi Hoa"), born(date)]);
        assert_eq!(of_day("1985-03-07").await, both, "{engine}");
        assert_eq!(of_day("1985-03-08").await, ["052185000002"], "{engine}");
        assert_eq!(of_day("1986").await, ["052186000003"], "{engine}");
        // By the birth year alone, the index on the dates narrows; text and number columns alike.
        let year = found(&source, RESIDENT, vec![born("1985")]).await;
        assert_eq!(year, ["052185000001", "052185000002", "052185000004"], "{engine}");
        let at = |code: &str| vec![name("Nguyen Thi Hoa"), born("1985"), Criterion::Commune(code.to_owned())];
        assert_eq!(found(&source, RESIDENT, at(&ward)).await, ["052185000001"], "{engine}");
        assert!(found(&source, RESIDENT, at(&elsewhere)).await.is_empty(), "{engine}");
        // Names of others, parts of names, wildcards and statements find nobody.
        for other in ["Nguyễn Thị", "Hoa", "NGUYEN%", "NGUYEN THI HO_", "x' OR '1'='1", "Trần Bình"] {
            assert!(found(&source, RESIDENT, vec![name(other), born("1986")]).await.is_empty(), "{engine}: {other}");
        }
        let firm = |asked: &str| found(&source, FIRM, vec![Criterion::OrganisationName(asked.to_owned())]);
        assert_eq!(firm("CÔNG TY TNHH HÒA BÌNH").await, ["0100100079", "0100233488"], "{engine}");
        assert_eq!(firm("công ty cổ phần hoà bình").await, ["0100109106"], "{engine}");
        assert!(firm("Hòa Bình").await.is_empty(), "{engine}");
        let not_offered = search(&source, FIRM, vec![born("1985")]).await.unwrap_err();
        assert_eq!(not_offered.reason(), "SEARCH_NOT_OFFERED", "{engine}");
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn every_search_uses_its_indexes_and_walks_no_table() {
    const PEOPLE: u32 = 8_000;
    for database in databases().await {
        database.run(&schema()).await;
        let row = |at: u32| {
            let (year, key) = (1940 + at % 80, format!("NGUYEN THI {at}"));
            let (born, born_year) = match at % 20 {
                0 => ("NULL".to_owned(), year.to_string()),
                _ => (format!("'{year}0101'"), "NULL".to_owned()),
            };
            format!("('{:012}', X'41', '{key}', {born}, {born_year}, NULL, NULL, NULL, NULL)", at + 1)
        };
        for from in (0..PEOPLE).step_by(1_000) {
            let rows: Vec<_> = (from..from + 1_000).map(row).collect();
            database.run(&format!("INSERT INTO \"person\" VALUES {};", rows.join(", "))).await;
        }
        let table = if database.engine == adapter_sdk::Engine::MySql { " TABLE \"person\"" } else { "" };
        database.run(&format!("ANALYZE{table}")).await;
        let (source, engine) = (open(&database.url, PoolOptions::default()), database.engine);
        let plans = source.explain().await.unwrap();
        for (by, indexes) in [
            ("search by person_name", &["person_name_key"][..]),
            ("search by birth_date", &["person_born", "person_born_year"]),
        ] {
            let plan = plans.iter().find(|plan| plan.by == by).unwrap();
            let text = plan.lines.join("\n");
            assert!(indexes.iter().all(|index| text.contains(index)), "{engine}: {by}:\n{text}");
            let walks = ["Seq Scan", "SCAN", "| r | ALL"];
            assert!(!walks.iter().any(|walk| text.contains(walk)), "{engine}: no table is walked for {by}:\n{text}");
        }
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn too_much_is_said_and_never_cut_off() {
    for database in databases().await {
        database.run(&schema()).await;
        let source = open(&database.url, PoolOptions { search_rows_max: 2, ..PoolOptions::default() });
        let by_year = search(&source, RESIDENT, vec![born("1985")]).await.unwrap_err();
        assert_eq!(
            by_year,
            SourceError::SearchTooBroad { table: "person".to_owned(), limit: 2 },
            "{}",
            database.engine
        );
        let by_both = found(&source, RESIDENT, vec![name("Tran Binh"), born("1985")]).await;
        assert_eq!(by_both, ["052185000004"], "both columns narrow together");
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn without_an_index_nothing_is_searched() {
    for database in databases().await {
        database.run(&schema()).await;
        let on = if database.engine == adapter_sdk::Engine::MySql { " ON \"person\"" } else { "" };
        database.run(&format!("DROP INDEX \"person_name_key\"{on}; DROP INDEX \"person_born_year\"{on};")).await;
        let source = open(&database.url, PoolOptions::default());
        let unindexed = search(&source, RESIDENT, vec![name("Tran Binh"), born("1985")]).await.unwrap_err();
        assert_eq!(unindexed, SourceError::SearchUnindexed { table: "person".to_owned() }, "{}", database.engine);
        assert_eq!(source.unindexed_columns(), ["person.born_year", "person.name_key"]);
        drop(source);
        database.remove().await;
    }
}

#[test]
fn a_mapping_that_lets_people_be_searched_by_less_is_refused() {
    let schema = Schema::builtin().unwrap();
    for (from, to, said) in [
        (
            "birth_date = { field = \"birth_date\", column = [\"born\", \"born_year\"] }\n",
            "",
            "people are searched by name and birth year",
        ),
        ("person_name = { field = \"full_name\", column = \"name_key\" }\n", "", "nobody is found without a name"),
        ("field = \"full_name\", column", "field = \"gender\", column", "is no mapped field"),
        (
            "field = \"full_name\", column",
            "field = \"personal_id\", column",
            "has type string, which is no person_name",
        ),
        (
            ", column = \"name_key\" }\nbirth_date = { field = \"birth_date\", column = [\"born\", \"born_year\"] }",
            " }\nbirth_date = { field = \"birth_date\" }",
            "no \"column\" narrows the rows",
        ),
        (
            "{ field = \"permanent_address\" }",
            "{ field = \"permanent_address\", column = \"ward\" }",
            "no column tells",
        ),
        ("person_name = {", "persn_name = {", "unknown criterion \"persn_name\"; did you mean"),
    ] {
        let wrong = MAPPING.replacen(from, to, 1);
        assert_ne!(wrong, MAPPING, "{from}");
        let refused = Mapping::parse(&wrong, "wrong.toml").map_err(|error| error.to_string()).and_then(|mapping| {
            let url = SecretUrl::new("sqlite://nowhere.db");
            SqlSource::open(&schema, &mapping, &Functions::new(), &url, PoolOptions::default())
                .map(drop)
                .map_err(|error| error.to_string())
        });
        let refused = refused.expect_err(said);
        assert!(refused.contains(said), "{said}: {refused}");
    }
}
