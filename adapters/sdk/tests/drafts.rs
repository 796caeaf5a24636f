//! Drafts for databases of other people's making: what is beside a table is joined by real keys, a row's number is no number
//! of a person, and names of any form are taken.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use adapter_sdk::{
    Adapter, DraftRequest, Engine, Functions, Mapping, PoolOptions, SecretUrl, SqlSource, SurveyOptions,
};
use proto::Schema;
use support::{TestDatabase, databases};

mod support;

const RESIDENT: &str = "lienthong.population.v1.Resident";

async fn draft(database: &TestDatabase, table: &str, sample: bool) -> String {
    draft_knowing(database, table, sample, Vec::new()).await
}

async fn draft_knowing(database: &TestDatabase, table: &str, sample: bool, known: Vec<Mapping>) -> String {
    let request = DraftRequest {
        source: "drafted".to_owned(),
        record_types: vec![Schema::builtin().unwrap().record_type(RESIDENT).unwrap().clone()],
        table: Some(table.to_owned()),
        sample,
        known,
    };
    adapter_sdk::draft(&SecretUrl::new(&database.url), &request).await.unwrap_or_else(|error| panic!("{error}")).text
}

fn open(database: &TestDatabase, mapping: &str) -> SqlSource {
    let mapping = Mapping::parse(mapping, "draft.toml").unwrap_or_else(|error| panic!("{error}\n{mapping}"));
    let options = PoolOptions { connections_max: 1, ..PoolOptions::default() };
    let schema = Schema::builtin().unwrap();
    SqlSource::open(&schema, &mapping, &Functions::new(), &SecretUrl::new(&database.url), options).unwrap()
}

/// The SELECT a draft proposes in comments, as its reader would take it over.
fn proposed(text: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.starts_with("# select = "));
    let lines: Vec<_> = lines.map(|line| line.trim_start_matches("# ")).collect();
    let end = lines.iter().skip(1).position(|line| line.starts_with("\"\"\"")).unwrap() + 2;
    lines[..end].join("\n")
}

/// Names of people in a table of their own, as OpenMRS and Django keep them; a table that shares only a column's name.
#[tokio::test]
async fn a_table_beside_is_joined_by_its_key_and_the_proposed_select_runs() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE person (person_id INTEGER NOT NULL PRIMARY KEY, so_cccd VARCHAR(12), birthdate DATE, gender VARCHAR(1), user_id INTEGER, code VARCHAR(5));
                 CREATE TABLE person_name (name_id INTEGER NOT NULL PRIMARY KEY, person_id INTEGER NOT NULL, family_name VARCHAR(50), given_name VARCHAR(50), FOREIGN KEY (person_id) REFERENCES person (person_id));
                 CREATE TABLE stranger (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(5), ho_ten VARCHAR(50), dan_toc VARCHAR(2));
                 INSERT INTO person VALUES (1, '052185000123', '1985-03-07', 'F', 9, 'x');
                 INSERT INTO person_name VALUES (1, 1, 'Nguyễn', 'Thị Hoa');",
            )
            .await;
        let text = draft(&database, "person", true).await;
        let case = format!("{}: {text}", database.engine);
        assert!(text.contains("full_name: family_name, given_name of person_name"), "{case}");
        assert!(!text.contains("of stranger"), "{case}");
        let select = proposed(&text);
        for name in ["t1_family_name", "t1_given_name"] {
            assert_eq!(select.matches(name).count(), 1, "{case}");
        }
        // Taken over as it stands.
        let mapping = text.replace("table = \"person\"", &select);
        let fields = "[record.fields]\nfull_name = { from = [\"t1_family_name\", \"t1_given_name\"], convert = \"person_name\" }\n";
        let source = open(&database, &mapping.replace("[record.fields]\n", fields));
        assert_eq!(source.fit().await.unwrap().problems, [""; 0], "{case}");
        let options = SurveyOptions { key: vec!["person_id".to_owned()], ..SurveyOptions::default() };
        let quality = source.survey(RESIDENT, &options, |_, _| {}).await.unwrap();
        let record = &source.describe().records[0].record_type;
        let named = quality.fields.iter().find(|field| record.fields[field.field].path == "full_name").unwrap();
        assert_eq!((quality.rows, named.clean), (1, 1), "{case}");
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn the_number_of_a_row_is_never_looked_up_as_a_persons() {
    for database in databases().await {
        database
            .run("CREATE TABLE hoso (id INTEGER NOT NULL PRIMARY KEY, ho_ten VARCHAR(50), ngay_sinh DATE, dia_chi VARCHAR(200));")
            .await;
        let text = draft(&database, "hoso", false).await;
        assert!(text.contains("# personal_id = [\"id\"] # 0.00; DOUBT: no column looks like that number"), "{text}");
        let incomplete = Mapping::parse(&text, "draft.toml").unwrap_err();
        assert_eq!(incomplete.problems.len(), 1, "{incomplete}");
        assert!(incomplete.to_string().contains("lookup: no key finds a record: name the column"), "{incomplete}");
        // An address, though of which kind it is nobody says.
        assert!(text.contains("dia_chi; DOUBT: an address, but which of those above?"), "{text}");
        // With the column named, the rest is a mapping.
        let named = text.replace("# personal_id = [\"id\"]", "legacy_id = [\"ho_ten\"]");
        assert_eq!(open(&database, &named).fit().await.unwrap().problems, [""; 0]);
        database.remove().await;
    }
}

#[tokio::test]
async fn names_with_dots_and_line_breaks_are_names() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE \"so.dan\" (\"so.dinh.danh\" VARCHAR(12) NOT NULL PRIMARY KEY, \"ho.ten\" VARCHAR(50));
                 INSERT INTO \"so.dan\" VALUES ('052185000123', 'Nguyễn Thị Hoa');
                 CREATE TABLE phu_luc (\"so.dinh.danh\" VARCHAR(12), \"Ngày\nsinh\" VARCHAR(10), FOREIGN KEY (\"so.dinh.danh\") REFERENCES \"so.dan\" (\"so.dinh.danh\"));",
            )
            .await;
        let text = draft(&database, "so.dan", true).await;
        let source = open(&database, &text);
        assert_eq!(source.fit().await.unwrap().problems, [""; 0], "{}: {text}", database.engine);
        let quality = source.survey(RESIDENT, &SurveyOptions::default(), |_, _| {}).await.unwrap();
        assert_eq!((quality.rows, quality.fields.len()), (1, 2), "{}: {text}", database.engine);
        drop(source);
        database.remove().await;
    }
}

#[tokio::test]
async fn a_column_of_dates_in_two_forms_is_drafted_and_read_so() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE dan (so_cccd VARCHAR(12) NOT NULL PRIMARY KEY, ngay_sinh VARCHAR(20));
                 INSERT INTO dan VALUES ('052185000123', '07/03/1985'), ('052185000124', '08-03-1985 00:00:00'),
                  ('052185000125', '9/3/1985 0:00'), ('052185000126', '1985');",
            )
            .await;
        let text = draft(&database, "dan", true).await;
        assert!(text.contains("format = [\"dd/MM/yyyy\", \"dd-MM-yyyy\"]"), "{text}");
        let source = open(&database, &text);
        let quality = source.survey(RESIDENT, &SurveyOptions::default(), |_, _| {}).await.unwrap();
        let record = &source.describe().records[0].record_type;
        let born = quality.fields.iter().find(|field| record.fields[field.field].path == "birth_date").unwrap();
        assert_eq!((born.clean, born.invalid), (4, 0), "{}: {text}", database.engine);
        drop(source);
        database.remove().await;
    }
}

/// A key without an index says so beforehand, and one that does not tell rows apart reads less than there is.
#[tokio::test]
async fn a_key_that_is_not_unique_or_has_no_index_is_known_before_it_hurts() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE dan (id INTEGER NOT NULL PRIMARY KEY, so_cccd VARCHAR(12), nhom INTEGER);
                 INSERT INTO dan VALUES (1, '052185000123', 1), (2, '052185000124', 1), (3, '052185000125', 2);",
            )
            .await;
        let source = open(&database, &draft(&database, "dan", true).await);
        for (key, indexed) in [("id", true), ("nhom", false)] {
            assert_eq!(source.pages_are_indexed(RESIDENT, &[key.to_owned()]).await, Ok(indexed), "{}", database.engine);
        }
        let options = SurveyOptions { page_rows: 1, key: vec!["nhom".to_owned()], ..SurveyOptions::default() };
        let quality = source.survey(RESIDENT, &options, |_, _| {}).await.unwrap();
        assert!(quality.rows < quality.rows_in_table, "{}", database.engine);
        drop(source);
        database.remove().await;
    }
}

/// Lookups are explained with a number of the right form: half the rows are empty, and a planner would walk them for an empty
/// key.
#[tokio::test]
async fn a_lookup_is_explained_as_a_number_is_looked_up() {
    for database in databases().await {
        let rows: Vec<_> = (1..3_000)
            .map(|n| if n % 2 == 0 { format!("({n}, '')") } else { format!("({n}, '{:012}')", 52_185_000_000_u64 + n) })
            .collect();
        let analyse = if database.engine == Engine::MySql { "ANALYZE TABLE dan" } else { "ANALYZE" };
        database
            .run(&format!(
                "CREATE TABLE dan (id INTEGER NOT NULL PRIMARY KEY, so_cccd VARCHAR(12));
                 CREATE INDEX dan_so_cccd ON dan (so_cccd); INSERT INTO dan VALUES {}; {analyse};",
                rows.join(", ")
            ))
            .await;
        let source = open(&database, &draft(&database, "dan", true).await);
        let plans = source.explain().await.unwrap();
        assert!(plans[0].lines.join("\n").contains("dan_so_cccd"), "{}: {plans:?}", database.engine);
        drop(source);
        database.remove().await;
    }
}

/// The population register's own list of marital states takes its codes, not their names.
#[tokio::test]
async fn names_of_a_list_that_the_draft_declares_are_written_beside_its_codes() {
    let population = Mapping::parse(include_str!("../../population/mapping.toml"), "population").unwrap();
    for database in databases().await {
        database
            .run(
                "CREATE TABLE dan (so_cccd VARCHAR(12) NOT NULL PRIMARY KEY, hon_nhan VARCHAR(30));
                 INSERT INTO dan VALUES ('052185000123', 'Độc thân'), ('052185000124', 'Có vợ'), ('052185000125', 'Góa');",
            )
            .await;
        let mut text = draft_knowing(&database, "dan", true, vec![population.clone()]).await;
        // What only the population register can check.
        text.truncate(text.find("[[record.checks]]").unwrap_or(text.len()));
        let source = open(&database, &text);
        let quality = source.survey(RESIDENT, &SurveyOptions::default(), |_, _| {}).await.unwrap();
        let record = &source.describe().records[0].record_type;
        let state = quality.fields.iter().find(|field| record.fields[field.field].path == "marital_status").unwrap();
        assert_eq!((state.clean, state.invalid), (3, 0), "{}: {text}", database.engine);
        drop(source);
        database.remove().await;
    }
}

/// A month written as its first day is released as that day unless the column beside it is read.
#[tokio::test]
async fn a_column_that_says_how_exact_a_date_is_is_pointed_at() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE insured (so_cccd VARCHAR(12) NOT NULL PRIMARY KEY, ngay_sinh DATE, loai_ngay_sinh INTEGER);
                 CREATE TABLE person (so_cccd VARCHAR(12) NOT NULL PRIMARY KEY, birthdate DATE, birthdate_estimated INTEGER);
                 INSERT INTO insured VALUES ('052185000123', '1991-05-01', 2);",
            )
            .await;
        let doubt = "from = { date = \"ngay_sinh\", precision = \"loai_ngay_sinh\" }";
        let text = draft(&database, "insured", true).await;
        assert!(text.contains(doubt), "{}: {text}", database.engine);
        let text = draft(&database, "person", false).await;
        assert!(text.contains("# DOUBT: birthdate_estimated may say how exact it is"), "{}: {text}", database.engine);
        database.remove().await;
    }
}

/// A register of births has more columns that a death could be made of than the register of deaths.
#[tokio::test]
async fn the_table_called_as_the_record_is_taken_and_ended_rows_beside_it_are_doubted() {
    let database = TestDatabase::sqlite();
    database
        .run(
            "CREATE TABLE khai_sinh (id INTEGER NOT NULL PRIMARY KEY, so TEXT, quyen_so TEXT, ngay_dang_ky DATE, noi_dang_ky TEXT, ho_ten TEXT,
               so_dinh_danh VARCHAR(12), ngay_sinh DATE, gioi_tinh TEXT, dan_toc TEXT, quoc_tich TEXT, noi_cu_tru TEXT, nguoi_ky TEXT, ghi_chu TEXT);
             CREATE TABLE khai_tu (id INTEGER NOT NULL PRIMARY KEY, so TEXT, ngay_dang_ky DATE, ho_ten TEXT, so_dinh_danh VARCHAR(12), ngay_chet DATE, noi_chet TEXT);
             CREATE TABLE doanh_nghiep (id INTEGER NOT NULL PRIMARY KEY, ma_so_doanh_nghiep VARCHAR(14), ten_doanh_nghiep TEXT, tinh_trang TEXT);
             CREATE TABLE nganh_nghe (dn_id INTEGER REFERENCES doanh_nghiep (id), stt INTEGER, ma_nganh VARCHAR(5), chinh BOOLEAN, den_ngay DATE, ghi_chu TEXT, PRIMARY KEY (dn_id, stt));",
        )
        .await;
    let schema = Schema::builtin().unwrap();
    let drafted = async |record: &str| {
        let request = DraftRequest {
            source: "drafted".to_owned(),
            record_types: vec![schema.record_type(record).unwrap().clone()],
            table: None,
            sample: false,
            known: Vec::new(),
        };
        adapter_sdk::draft(&SecretUrl::new(&database.url), &request).await.unwrap().text
    };
    let death = drafted("lienthong.civilstatus.v1.DeathRegistration").await;
    assert!(death.contains("table = \"khai_tu\""), "{death}");
    let firm = drafted("lienthong.business.v1.EnterpriseRegistration").await;
    assert!(firm.contains("status = { from = \"tinh_trang\""), "{firm}");
    assert!(firm.contains("# DOUBT: if den_ngay ends a row's validity"), "{firm}");
    assert!(firm.contains("# Columns of nganh_nghe nothing reads: den_ngay, ghi_chu"), "{firm}");
}
