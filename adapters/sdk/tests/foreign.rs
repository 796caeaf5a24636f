//! Databases of other people's making, on each engine there is: no value is released whose meaning is not certain, and
//! nothing valid is refused for the way its column keeps it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use adapter_sdk::{
    Adapter, DraftRequest, Engine, FetchRequest, Fetched, Functions, Grade, Key, Mapping, PoolOptions, SecretUrl,
    SourceError, SqlSource, SurveyOptions,
};
use proto::{Schema, options::v1::IdentifierKind};
use support::{TestDatabase, databases};
use tokio::time::Instant;

mod support;

const RESIDENT: &str = "lienthong.population.v1.Resident";
const UNIT: &str = "lienthong.budget.v1.BudgetUnit";
const FIRM: &str = "lienthong.business.v1.EnterpriseRegistration";
const HEAD: &str = "source = \"foreign\"\nlabel_vi = \"Thử\"\nlabel_en = \"Test\"\nowner = \"nobody\"\n";

fn open(database: &TestDatabase, records: &str) -> SqlSource {
    let mapping = Mapping::parse(&format!("{HEAD}{records}"), "foreign.toml").unwrap_or_else(|e| panic!("{e}"));
    let options = PoolOptions { connections_max: 1, ..PoolOptions::default() };
    let schema = Schema::builtin().unwrap();
    SqlSource::open(&schema, &mapping, &Functions::new(), &SecretUrl::new(&database.url), options)
        .unwrap_or_else(|e| panic!("{e}"))
}

async fn fetch(source: &SqlSource, record: &str, kind: IdentifierKind, key: &str) -> Result<Fetched, SourceError> {
    let record_type = source.describe().record(record).unwrap().record_type.clone();
    let request = FetchRequest {
        fields: record_type.all_fields(),
        record_type,
        key: Key { kind, value: key.to_owned() },
        deadline: Instant::now() + Duration::from_secs(20),
        behalf: std::sync::Arc::default(),
    };
    source.fetch(&request).await
}

/// The records of a personal number or another key of residents, as JSON.
async fn residents(source: &SqlSource, kind: IdentifierKind, key: &str) -> Vec<serde_json::Value> {
    let fetched = fetch(source, RESIDENT, kind, key).await.unwrap();
    fetched.records.iter().map(|record| serde_json::to_value(&record.message).unwrap()).collect()
}

#[tokio::test]
async fn a_column_of_numbers_keeps_no_zeros_and_the_record_has_them_again() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE person (pid BIGINT, wide DECIMAL(12,0));
                 INSERT INTO person VALUES (1193580287, 1193580287), (52185000123, 52185000123);",
            )
            .await;
        for column in ["pid", "wide"] {
            let source = open(
                &database,
                &format!(
                    "[[record]]\ntype = \"{RESIDENT}\"\ntable = \"person\"\nlookup.personal_id = [\"{column}\"]\n\
                     fields.personal_id = {{ from = \"{column}\", convert = \"personal_id\" }}\n"
                ),
            );
            for number in ["001193580287", "052185000123"] {
                let found = fetch(&source, RESIDENT, IdentifierKind::PersonalId, number).await.unwrap();
                let case = format!("{} {column} {number}", database.engine);
                assert_eq!(found.records.len(), 1, "{case}");
                let message = serde_json::to_value(&found.records[0].message).unwrap();
                assert_eq!(message["personalId"], number, "{case}");
                let mark = &found.records[0].marks[0];
                assert_eq!(
                    (mark.grade, mark.reasons[0].as_ref()),
                    (Grade::Repaired, "leading_zero_restored"),
                    "{case}"
                );
            }
        }
        database.remove().await;
    }
}

#[tokio::test]
async fn a_precision_goes_with_a_date_of_any_form() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE person (pid VARCHAR(12), d DATE, t TIMESTAMP, s VARCHAR(10), v VARCHAR(10), n INTEGER, p INTEGER);
                 INSERT INTO person VALUES
                  ('052185000123', '1985-03-07', '1985-03-07 00:00:00', '1985-03-07', '07/03/1985', 19850307, 2);",
            )
            .await;
        for (column, format) in
            [("d", ""), ("t", ""), ("s", ""), ("v", ", format = \"dd/MM/yyyy\""), ("n", ", format = \"yyyyMMdd\"")]
        {
            let source = open(
                &database,
                &format!(
                    "[[record]]\ntype = \"{RESIDENT}\"\ntable = \"person\"\nlookup.personal_id = [\"pid\"]\n\
                     fields.birth_date = {{ from = {{ date = \"{column}\", precision = \"p\" }}, convert = \"birth_date\"{format} }}\n"
                ),
            );
            let found = residents(&source, IdentifierKind::PersonalId, "052185000123").await;
            let expected = serde_json::json!({ "year": 1985, "month": 3 });
            assert_eq!(found[0]["birthDate"], expected, "{} {column}", database.engine);
        }
        database.remove().await;
    }
}

#[tokio::test]
async fn a_key_that_is_no_number_finds_nobody() {
    for database in databases().await {
        let charset = if database.engine == Engine::MySql { " CHARACTER SET latin1" } else { "" };
        database
            .run(&format!(
                "CREATE TABLE person (old VARCHAR(20){charset});
                 INSERT INTO person VALUES (''), ('0'), (' '), ('000000000'), ('211234567');"
            ))
            .await;
        let source = open(
            &database,
            &format!(
                "[[record]]\ntype = \"{RESIDENT}\"\ntable = \"person\"\nlookup.legacy_id = [\"old\"]\n\
                 fields.legacy_id = {{ from = \"old\", convert = \"legacy_id\" }}\n"
            ),
        );
        for key in ["", " ", "0", "00", "000000000", "không", "N/A", "21123456７", "Đỗ"] {
            let found = residents(&source, IdentifierKind::LegacyId, key).await;
            assert_eq!(found.len(), 0, "{} {key:?}", database.engine);
        }
        assert_eq!(residents(&source, IdentifierKind::LegacyId, "211234567").await.len(), 1, "{}", database.engine);
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn a_point_in_time_is_the_day_it_was_where_the_register_is() {
    for database in databases().await.into_iter().filter(|database| database.engine == Engine::MySql) {
        database
            .run_as_is(
                "SET time_zone = '+07:00';
                 CREATE TABLE person (pid VARCHAR(12), born TIMESTAMP NULL, wall DATETIME, changed TIMESTAMP NOT NULL UNIQUE);
                 INSERT INTO person VALUES ('052185000123', '1990-05-05 00:00:00', '1990-05-05 00:00:00', '2020-01-02 03:04:05'),
                  ('052185000124', '1990-05-05 23:59:59', '1990-05-05 23:59:59', '2020-01-02 03:04:06')",
            )
            .await;
        for column in ["born", "wall"] {
            let source = open(
                &database,
                &format!(
                    "[[record]]\ntype = \"{RESIDENT}\"\ntable = \"person\"\nas_of = \"changed\"\nlookup.personal_id = [\"pid\"]\n\
                     fields.birth_date = {{ from = \"{column}\", convert = \"birth_date\" }}\n"
                ),
            );
            for (number, changed) in [("052185000123", 1_577_909_045), ("052185000124", 1_577_909_046)] {
                let found = fetch(&source, RESIDENT, IdentifierKind::PersonalId, number).await.unwrap();
                let message = serde_json::to_value(&found.records[0].message).unwrap();
                assert_eq!(message["birthDate"], serde_json::json!({ "year": 1990, "month": 5, "day": 5 }), "{column}");
                assert_eq!(found.records[0].as_of.unwrap().timestamp(), changed);
            }
            // Pages go on behind a point in time.
            let options = SurveyOptions { page_rows: 1, ..SurveyOptions::default() };
            assert_eq!(source.survey(RESIDENT, &options, |_, _| {}).await.unwrap().rows, 2);
        }
        database.remove().await;
    }
}

#[tokio::test]
async fn a_point_in_text_may_be_thousands_and_in_a_number_never_is() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE firm (code VARCHAR(10), id INTEGER);
                 CREATE TABLE member (firm_id INTEGER, n INTEGER, own DOUBLE PRECISION, written VARCHAR(10));
                 INSERT INTO firm VALUES ('0100233488', 1);
                 INSERT INTO member VALUES (1, 1, 1.125, '1.500'), (1, 2, 25.5, '25,5'), (1, 3, 0.125, '0.125');",
            )
            .await;
        let source = |column: &str, field: &str, convert: &str| {
            open(
                &database,
                &format!(
                    "[[record]]\ntype = \"{FIRM}\"\ntable = \"firm\"\nlookup.enterprise_code = [\"code\"]\n\
                     fields.enterprise_code = {{ from = \"code\", convert = \"tax_code\" }}\n\
                     [[record.children]]\nfield = \"members\"\ntable = \"member\"\njoin = {{ firm_id = \"id\" }}\norder = [\"n\"]\n\
                     fields.{field} = {{ from = \"{column}\", convert = \"{convert}\" }}\n"
                ),
            )
        };
        let ratios = async |column: &str| {
            let source = source(column, "ratio_percent", "decimal");
            let found = fetch(&source, FIRM, IdentifierKind::EnterpriseCode, "0100233488").await.unwrap();
            let message = serde_json::to_value(&found.records[0].message).unwrap();
            let member = |at: usize| message["members"][at]["ratioPercent"].as_str().unwrap_or("none").to_owned();
            [member(0), member(1), member(2)]
        };
        assert_eq!(ratios("own").await, ["1.125", "25.5", "0.125"], "{}", database.engine);
        assert_eq!(ratios("written").await, ["none", "25.5", "0.125"], "{}", database.engine);
        let source = source("own", "contribution", "money");
        let found = fetch(&source, FIRM, IdentifierKind::EnterpriseCode, "0100233488").await.unwrap();
        let message = serde_json::to_value(&found.records[0].message).unwrap();
        assert_eq!(message["members"][0]["contribution"]["amountVnd"], "1.125", "{}", database.engine);
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn a_branch_is_found_with_its_dash_or_without() {
    for database in databases().await {
        database
            .run("CREATE TABLE firm (code VARCHAR(14)); INSERT INTO firm VALUES ('0100233488001'), ('0100233488-002');")
            .await;
        let source = open(
            &database,
            &format!(
                "[[record]]\ntype = \"{FIRM}\"\ntable = \"firm\"\nlookup.enterprise_code = [\"code\"]\n\
                 fields.enterprise_code = {{ from = \"code\", convert = \"tax_code\" }}\n"
            ),
        );
        for branch in ["0100233488-001", "0100233488-002"] {
            let found = fetch(&source, FIRM, IdentifierKind::EnterpriseCode, branch).await.unwrap();
            assert_eq!(found.records.len(), 1, "{} {branch}", database.engine);
            let message = serde_json::to_value(&found.records[0].message).unwrap();
            assert_eq!(message["enterpriseCode"], branch, "{}", database.engine);
        }
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn two_bars_mean_what_they_mean_to_the_server() {
    for database in databases().await.into_iter().filter(|database| database.engine == Engine::MySql) {
        database
            .run("CREATE TABLE unit (code VARCHAR(10), n INTEGER); INSERT INTO unit VALUES ('1000001', 5), ('1000002', 7);")
            .await;
        let source = open(
            &database,
            &format!(
                "[[record]]\ntype = \"{UNIT}\"\nselect = \"SELECT code FROM unit WHERE n = 5 || n = 1\"\n\
                 lookup.budget_unit_code = [\"code\"]\nfields.code = {{ from = \"code\", convert = \"budget_unit_code\" }}\n"
            ),
        );
        for (code, records) in [("1000001", 1), ("1000002", 0)] {
            let found = fetch(&source, UNIT, IdentifierKind::BudgetUnitCode, code).await.unwrap();
            assert_eq!(found.records.len(), records, "{code}");
        }
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn a_birth_that_has_not_come_is_in_doubt() {
    let database = TestDatabase::sqlite();
    database
        .run(
            "CREATE TABLE person (pid VARCHAR(12), born VARCHAR(10));
             INSERT INTO person VALUES ('052185000123', '2099'), ('052185000124', '2001-01-02');",
        )
        .await;
    let source = open(
        &database,
        &format!(
            "[[record]]\ntype = \"{RESIDENT}\"\ntable = \"person\"\nlookup.personal_id = [\"pid\"]\n\
             fields.birth_date = {{ from = \"born\", convert = \"birth_date\" }}\n"
        ),
    );
    let future = fetch(&source, RESIDENT, IdentifierKind::PersonalId, "052185000123").await.unwrap();
    let mark = &future.records[0].marks[0];
    assert_eq!((mark.grade, mark.reasons[0].as_ref()), (Grade::Suspect, "future_date"));
    let past = fetch(&source, RESIDENT, IdentifierKind::PersonalId, "052185000124").await.unwrap();
    assert_eq!(past.records[0].marks, []);
}

#[tokio::test]
async fn rows_their_own_number_does_not_find_are_counted() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE person (id INTEGER NOT NULL PRIMARY KEY, old VARCHAR(20), note VARCHAR(20));
                
                 CREATE INDEX person_old ON person (old);
                 INSERT INTO person (id, old) VALUES (1, '169630528'), (2, '169 630 529'), (3, ' 169630530'), (4, '69630531'),
                  (5, '169.630.532'), (6, NULL), (7, 'không');",
            )
            .await;
        let source = open(
            &database,
            &format!(
                "[[record]]\ntype = \"{RESIDENT}\"\ntable = \"person\"\nlookup.legacy_id = [\"old\"]\n\
                 fields.legacy_id = {{ from = \"old\", convert = \"legacy_id\" }}\n"
            ),
        );
        let quality = source.survey(RESIDENT, &SurveyOptions::default(), |_, _| {}).await.unwrap();
        assert_eq!((quality.rows, quality.fields[0].unfindable), (7, 3), "{}", database.engine);
        // As the lookup itself says.
        for (number, records) in
            [("169630528", 1), ("169630529", 0), ("169630530", 0), ("069630531", 1), ("169630532", 0)]
        {
            let found = residents(&source, IdentifierKind::LegacyId, number).await;
            assert_eq!(found.len(), records, "{} {number}", database.engine);
        }
        for (key, indexed) in [("id", true), ("old", true), ("note", false)] {
            assert_eq!(source.pages_are_indexed(RESIDENT, &[key.to_owned()]).await, Ok(indexed), "{}", database.engine);
        }
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn what_no_lookup_can_mean_is_told_before_any() {
    for database in databases().await {
        database.run("CREATE TABLE unit (code VARCHAR(10), live SMALLINT, at TIMESTAMP);").await;
        let fields =
            "lookup.budget_unit_code = [\"code\"]\nfields.code = { from = \"code\", convert = \"budget_unit_code\" }\n";
        let problems = async |records: String| open(&database, &records).fit().await.unwrap().problems;
        let filter = problems(format!(
            "[[record]]\ntype = \"{UNIT}\"\ntable = \"unit\"\nwhere = {{ live = \"NULL\" }}\n{fields}"
        ))
        .await;
        assert!(filter[0].contains("column unit.live holds whole numbers, never \"NULL\""), "{filter:?}");
        let text = problems(format!(
            "[[record]]\ntype = \"{UNIT}\"\ntable = \"unit\"\n{fields}fields.name = {{ from = \"at\", convert = \"org_name\" }}\n"
        ))
        .await;
        assert!(text[0].contains("column unit.at holds dates or times, which org_name does not read"), "{text:?}");
        if database.engine == Engine::Postgres {
            let twice = problems(format!(
                "[[record]]\ntype = \"{UNIT}\"\nselect = \"SELECT a.*, b.* FROM unit a JOIN unit b ON a.code = b.code\"\n{fields}"
            ))
            .await;
            assert!(twice[0].contains("has two columns code; give one of them another name"), "{twice:?}");
        }
        database.remove().await;
    }
}

async fn drafted(database: &TestDatabase, record: &str, table: &str) -> String {
    let schema = Schema::builtin().unwrap();
    let record_type = schema.record_types().find(|known| known.name.ends_with(record)).unwrap().clone();
    let known = [include_str!("../../population/mapping.toml"), include_str!("../../civil-status/mapping.toml")];
    let known = known.map(|text| Mapping::parse(text, "known").unwrap());
    let request = DraftRequest {
        source: "foreign".to_owned(),
        record_types: vec![record_type],
        table: Some(table.to_owned()),
        sample: true,
        known: known.into(),
    };
    adapter_sdk::draft(&SecretUrl::new(&database.url), &request).await.unwrap().text
}

/// The line of a field with the doubts above it.
fn line_of<'d>(draft: &'d str, field: &str) -> (Vec<&'d str>, &'d str) {
    let lines: Vec<&str> = draft.lines().collect();
    let is = |line: &&str| line.trim_start_matches("# ").starts_with(&format!("{field} = {{ from"));
    let at = lines.iter().position(is).unwrap_or_else(|| panic!("no {field} in\n{draft}"));
    let doubts = lines[..at].iter().rev().take_while(|line| line.starts_with("# DOUBT")).copied();
    (doubts.collect(), lines[at])
}

#[tokio::test]
async fn a_draft_takes_no_row_number_for_a_code_and_no_word_for_its_contrary() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE ethnic_group (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(20), a1 INTEGER, a2 INTEGER, a3 INTEGER,
                   a4 INTEGER, a5 INTEGER, a6 INTEGER, a7 INTEGER);
                 CREATE TABLE resident (cccd VARCHAR(12) NOT NULL, ho_ten VARCHAR(50), dan_toc INTEGER, hon_nhan VARCHAR(30),
                   ton_giao VARCHAR(30), nhom_mau VARCHAR(10), tu_ngay DATE NOT NULL, den_ngay DATE, is_deleted SMALLINT,
                   PRIMARY KEY (cccd, tu_ngay), FOREIGN KEY (dan_toc) REFERENCES ethnic_group (id));
                 INSERT INTO ethnic_group (id, name) VALUES (1, 'Black'), (2, 'Asian'), (3, 'White');
                 INSERT INTO resident VALUES
                  ('052185000123', 'Nguyễn Thị Hòa', 1, 'Kết hôn', 'Khác', 'O-', '2020-01-01', '2021-01-01', 0),
                  ('052185000123', 'Nguyễn Thị Hòa', 1, 'Độc thân', 'Không', 'O+', '2021-01-01', NULL, NULL),
                  ('052185000124', 'Trần Văn An', 2, 'Đã kết hôn', 'Khác', 'A', '2020-01-01', NULL, NULL),
                  ('052185000125', 'Lê Văn Bình', 3, 'Góa vợ', 'Công giáo', 'AB', '2020-01-01', NULL, 0);",
            )
            .await;
        let draft = drafted(&database, ".Resident", "resident").await;
        let engine = database.engine;

        let (doubts, line) = line_of(&draft, "ethnicity");
        assert!(
            line.starts_with("# ") && doubts.iter().any(|doubt| doubt.contains("rows of ethnic_group")),
            "{engine} {draft}"
        );

        let (doubts, line) = line_of(&draft, "marital_status");
        assert!(
            !line.contains("\"Kết hôn\"") && doubts.iter().any(|doubt| doubt.contains("refused: Kết hôn")),
            "{engine} {draft}"
        );
        for known in ["\"Độc thân\" = \"SINGLE\"", "\"Đã kết hôn\" = \"MARRIED\"", "\"Góa vợ\" = \"WIDOWED\""]
        {
            assert!(line.contains(known), "{engine} {known} {line}");
        }

        let (doubts, line) = line_of(&draft, "religion");
        assert!(!line.contains("\"Khác\" =") && line.contains("\"Không\" = \"99\""), "{engine} {line}");
        assert!(doubts.iter().any(|doubt| doubt.contains("refused: Khác")), "{engine} {doubts:?}");

        let (_, line) = line_of(&draft, "blood_type");
        assert!(!line.contains("O-") && !line.contains("O+"), "{engine} {line}");

        assert!(draft.contains("# DOUBT: several rows have one cccd"), "{engine} {draft}");
        assert!(
            draft.contains("if den_ngay ends a row's validity") && draft.contains(" IS NULL OR "),
            "{engine} {draft}"
        );
        assert!(draft.contains("it is NULL in 2 of 4 sampled rows, which this leaves out"), "{engine} {draft}");
        database.remove().await;
    }
}

#[tokio::test]
async fn a_draft_of_an_event_is_a_mapping_and_keeps_days_from_times() {
    let database = TestDatabase::sqlite();
    database
        .run(
            "CREATE TABLE SoKetHon (id INTEGER NOT NULL PRIMARY KEY, HoTenNam VARCHAR(50), CCCDNam VARCHAR(12),
               HoTenNu VARCHAR(50), CCCDNu VARCHAR(12), NgayDangKy DATE);
             CREATE TABLE KhaiTu (SoCCCD VARCHAR(12), HoTen VARCHAR(50), NgayChet VARCHAR(10));
             INSERT INTO KhaiTu VALUES ('052150000123', 'Trần Văn An', '01/02/2020'),
              ('052150000124', 'Lê Văn Bình', '13/02/2020'), ('052150000125', 'Hồ Thị Ba', '28/12/2021');",
        )
        .await;
    let marriage = drafted(&database, ".MarriageRegistration", "SoKetHon").await;
    Mapping::parse(&marriage, "draft").unwrap_or_else(|error| panic!("{error}\n{marriage}"));
    assert!(marriage.contains("personal_id = ["), "{marriage}");
    let death = drafted(&database, ".DeathRegistration", "KhaiTu").await;
    assert!(line_of(&death, "death_date").1.contains("from = \"NgayChet\", convert = \"partial_date\""), "{death}");
    assert!(!death.contains("death_time = {"), "{death}");
}
