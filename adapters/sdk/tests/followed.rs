//! Drafts that are followed as they stand: what they read is what the rows say, rows that may not count are named, and no
//! other column is taken for a person's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use adapter_sdk::{
    Adapter, DraftRequest, Engine, FetchRequest, Functions, Key, Mapping, PoolOptions, SecretUrl, SqlSource,
};
use proto::{Schema, options::v1::IdentifierKind};
use support::{TestDatabase, databases};
use tokio::time::Instant;

mod support;

/// The built-in mappings, as the program gives them to a draft.
fn known() -> Vec<Mapping> {
    let texts = [
        include_str!("../../judicial-records/mapping.toml"),
        include_str!("../../insurance/mapping.toml"),
        include_str!("../../civil-status/mapping.toml"),
        include_str!("../../business-registry/mapping.toml"),
        include_str!("../../budget-units/mapping.toml"),
    ];
    texts.map(|text| Mapping::parse(text, "known.toml").unwrap()).into()
}

async fn drafted(database: &TestDatabase, record: &str, sample: bool) -> String {
    drafted_of(database, record, sample, None).await
}

async fn drafted_of(database: &TestDatabase, record: &str, sample: bool, table: Option<&str>) -> String {
    let schema = Schema::builtin().unwrap();
    let record_type = schema.record_types().find(|known| known.name.ends_with(record)).unwrap().clone();
    let request = DraftRequest {
        source: "drafted".to_owned(),
        record_types: vec![record_type],
        table: table.map(str::to_owned),
        sample,
        known: known(),
    };
    adapter_sdk::draft(&SecretUrl::new(&database.url), &request).await.unwrap_or_else(|error| panic!("{error}")).text
}

fn open(database: &TestDatabase, text: &str) -> SqlSource {
    let mapping = Mapping::parse(text, "draft.toml").unwrap_or_else(|error| panic!("{error}\n{text}"));
    let options = PoolOptions { connections_max: 1, ..PoolOptions::default() };
    let schema = Schema::builtin().unwrap();
    SqlSource::open(&schema, &mapping, &Functions::new(), &SecretUrl::new(&database.url), options)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What the draft, followed as it stands, gives out for a personal number; it must fit the database.
async fn record(database: &TestDatabase, text: &str, key: &str) -> serde_json::Value {
    let source = open(database, text);
    assert_eq!(source.fit().await.unwrap().problems, [""; 0], "{}: {text}", database.engine);
    let record_type = source.describe().records[0].record_type.clone();
    let request = FetchRequest {
        fields: record_type.all_fields(),
        record_type,
        key: Key { kind: IdentifierKind::PersonalId, value: key.to_owned() },
        deadline: Instant::now() + Duration::from_secs(20),
        behalf: std::sync::Arc::default(),
    };
    let found = source.fetch(&request).await.unwrap();
    assert_eq!(found.records.len(), 1, "{}: {key}\n{text}", database.engine);
    serde_json::to_value(&found.records[0].message).unwrap()
}

/// The line of a field; nothing when it is commented out or not there.
fn line<'d>(draft: &'d str, field: &str) -> Option<&'d str> {
    draft.lines().find(|line| line.starts_with(&format!("{field} = {{ ")))
}

fn has(draft: &str, parts: &[&str], database: &TestDatabase) {
    for part in parts {
        assert!(draft.contains(part), "{}: {part} is not in\n{draft}", database.engine);
    }
}

/// Files and judgments; the first man's first conviction is spent, the second man's only one is.
const JUDGMENTS: &str = "\
    CREATE TABLE doi_tuong (ma_dt INTEGER NOT NULL PRIMARY KEY, so_cccd VARCHAR(12), so_cmnd VARCHAR(9), ho_ten VARCHAR(50), ngay_sinh INTEGER,
      thang_sinh INTEGER, nam_sinh INTEGER);
    INSERT INTO doi_tuong VALUES (1, '079190000002', '023456789', 'Lê Thị Hoa', 13, 2, 1990), (2, '079090000003', NULL, 'Lê Văn An', NULL, NULL, 1990),
      (3, '079090000004', NULL, 'Lê Văn Ba', 0, 5, 1990);
    CREATE TABLE ban_an (ma_ba INTEGER NOT NULL PRIMARY KEY, ma_dt INTEGER NOT NULL, toa_an VARCHAR(100), toi_danh VARCHAR(100), da_xoa BOOLEAN, ngay_xoa DATE,
      FOREIGN KEY (ma_dt) REFERENCES doi_tuong (ma_dt));
    INSERT INTO ban_an VALUES (1, 1, 'TAND A', 'Trộm cắp', true, '2015-01-01'), (2, 1, 'TAND B', 'Cố ý gây thương tích', false, NULL),
      (3, 2, 'TAND C', 'Trộm cắp', true, '2023-01-01');";

#[tokio::test]
async fn convictions_that_are_spent_stay_where_they_are() {
    for database in databases().await {
        database.run(JUDGMENTS).await;
        let slip_1 = drafted(&database, ".CriminalRecordSummary", true).await;
        let one = record(&database, &slip_1, "079190000002").await;
        assert_eq!(one["convictions"].as_array().unwrap().len(), 1, "{}: {slip_1}", database.engine);
        assert_eq!((&one["convictions"][0]["court"], &one["hasConviction"]), (&"TAND B".into(), &true.into()));
        let other = record(&database, &slip_1, "079090000003").await;
        assert_eq!((other.get("convictions"), &other["hasConviction"]), (None, &false.into()), "{}", database.engine);
        // The second slip has them all.
        let slip_2 = drafted(&database, ".CriminalRecordDetail", true).await;
        let all = record(&database, &slip_2, "079190000002").await;
        assert_eq!(all["convictions"].as_array().unwrap().len(), 2, "{}: {slip_2}", database.engine);
        has(
            &slip_2,
            &["da_xoa may mark rows that no longer count; to leave these out: where = { da_xoa = "],
            &database,
        );

        // Nothing written is not yet "not spent": the count is told, and no flag is made of it.
        database.run("UPDATE ban_an SET da_xoa = NULL WHERE ma_ba = 2").await;
        let text = drafted(&database, ".CriminalRecordSummary", true).await;
        has(&text, &["it is NULL in 1 of 3 sampled rows", "IS NULL OR"], &database);
        assert_eq!(line(&text, "has_conviction"), None, "{text}");
        // What the doubt proposes can be taken as it stands.
        let select = text.split("if these count: ").nth(1).unwrap().lines().next().unwrap();
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("where = ")).collect();
        let one = record(&database, &kept.join("\n").replace("table = \"ban_an\"", select), "079190000002").await;
        assert_eq!(one["convictions"][0]["court"], "TAND B", "{}: {select}", database.engine);
        database.remove().await;
    }
}

#[tokio::test]
async fn a_date_in_three_columns_is_given_out_as_exact_as_it_is() {
    for database in databases().await {
        database.run(JUDGMENTS).await;
        for sample in [true, false] {
            let text = drafted(&database, ".CriminalRecordSummary", sample).await;
            let from = "{ year = \"nam_sinh\", month = \"thang_sinh\", day = \"ngay_sinh\" }";
            assert!(line(&text, "birth_date").unwrap().contains(from), "{}: {text}", database.engine);
            has(&text, &["legacy_id = [\"so_cmnd\"]"], &database);
            for (key, born) in [
                ("079190000002", serde_json::json!({ "year": 1990, "month": 2, "day": 13 })),
                ("079090000003", serde_json::json!({ "year": 1990 })),
                ("079090000004", serde_json::json!({ "year": 1990, "month": 5 })),
            ] {
                assert_eq!(record(&database, &text, key).await["birthDate"], born, "{}", database.engine);
            }
        }
        // A whole date beside its year is no part of it.
        database
            .run(
                "DROP TABLE ban_an; DROP TABLE doi_tuong;
                 CREATE TABLE cong_dan (so_cccd VARCHAR(12) NOT NULL PRIMARY KEY, ho_ten VARCHAR(50), ngay_sinh VARCHAR(10), thang_sinh INTEGER, nam_sinh INTEGER, gioi_tinh VARCHAR(3));
                 INSERT INTO cong_dan VALUES ('079190000002', 'Lê Thị Hoa', '13/02/1990', 2, 1990, 'Nữ'), ('079090000003', 'Lê Văn An', '01/12/1990', 12, 1990, 'Nam');",
            )
            .await;
        let text = drafted(&database, ".Resident", true).await;
        assert!(line(&text, "birth_date").unwrap().contains("from = \"ngay_sinh\""), "{}: {text}", database.engine);
        database.remove().await;
    }
}

#[tokio::test]
async fn rows_that_may_not_count_are_named_with_the_line_that_leaves_them_out() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE doanh_nghiep (id INTEGER NOT NULL PRIMARY KEY, ma_so_dn VARCHAR(14), ma_so_cha VARCHAR(14), ten_dn VARCHAR(200), dia_chi_tru_so VARCHAR(200),
                   xa_phuong VARCHAR(100), tinh_thanh VARCHAR(100), is_active CHAR(1), purged_at TIMESTAMP NULL, deleted_by INTEGER);
                 INSERT INTO doanh_nghiep VALUES (1, '0100109106', NULL, 'Công ty cổ phần An Bình', '2 Lê Lợi', 'Phường Bến Nghé', 'TP Hồ Chí Minh', 'Y', NULL, NULL),
                   (2, '0100109106-001', '0100109106', 'Chi nhánh An Bình', '3 Lê Lợi', 'Phường Bến Nghé', 'TP Hồ Chí Minh', 'N', '2020-01-01 00:00:00', 7);
                 CREATE TABLE nguoi_dai_dien (id INTEGER NOT NULL PRIMARY KEY, dn_id INTEGER NOT NULL, ho_ten VARCHAR(100), so_cccd VARCHAR(12), den_ngay DATE,
                   FOREIGN KEY (dn_id) REFERENCES doanh_nghiep (id));
                 CREATE TABLE thanh_vien (id INTEGER NOT NULL PRIMARY KEY, dn_id INTEGER NOT NULL, ten_thanh_vien VARCHAR(100), gia_tri_gop DECIMAL(21,3), huy SMALLINT, ly_do_huy VARCHAR(10),
                   FOREIGN KEY (dn_id) REFERENCES doanh_nghiep (id));
                 INSERT INTO thanh_vien VALUES (1, 1, 'Trần Văn An', 1000, 0, NULL), (2, 1, 'Kim Lee', 500, 1, 'rút');",
            )
            .await;
        let text = drafted(&database, ".EnterpriseRegistration", true).await;
        let expected = [
            "is_active may mark the rows that count; to read no others: where = { is_active = \"Y\" }",
            "purged_at may mark rows that no longer count; to leave these out: select = ",
            "if den_ngay ends a row's validity, read the rows that hold: select = ",
            "huy may mark rows that no longer count; to leave these out: where = { huy = 0 }",
            "enterprise_code = [\"ma_so_dn\"]",
            "parent_code = { from = \"ma_so_cha\"",
            "contribution = { from = \"gia_tri_gop\"",
            "from = [\"dia_chi_tru_so\", \"xa_phuong\", \"tinh_thanh\"], convert = \"address\"",
            "# Columns of thanh_vien nothing reads: huy, ly_do_huy",
        ];
        has(&text, &expected, &database);
        assert!(!text.contains("deleted_by =") && !text.contains("ly_do_huy may"), "{text}");
        // Every line it proposes is one: taken over, the rest of the mapping still fits.
        for (marker, place) in
            [("purged_at may", "table = \"doanh_nghiep\""), ("if den_ngay", "table = \"nguoi_dai_dien\"")]
        {
            let doubt = text.lines().find(|line| line.contains(marker)).unwrap();
            let select = &doubt[doubt.find("select = ").unwrap()..];
            let source = open(&database, &text.replace(place, select));
            assert_eq!(source.fit().await.unwrap().problems, [""; 0], "{}: {select}", database.engine);
        }
        database.remove().await;
    }
}

#[tokio::test]
async fn the_rows_beside_are_looked_at_as_the_records_own() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE nguoi_tham_gia (ma_so_bhxh VARCHAR(10) NOT NULL PRIMARY KEY, so_cccd VARCHAR(12), ho_ten VARCHAR(50), dia_chi VARCHAR(200), ma_xa VARCHAR(5), ma_tinh VARCHAR(2));
                 INSERT INTO nguoi_tham_gia VALUES ('0123456789', '079185000124', 'Lê Thị Hoa', '2 Lê Lợi', '26740', '79');
                 CREATE TABLE qua_trinh_dong (id INTEGER NOT NULL PRIMARY KEY, ma_so_bhxh VARCHAR(10), tu_thang VARCHAR(7), den_thang VARCHAR(7), ten_don_vi VARCHAR(100), loai_bh VARCHAR(20),
                   FOREIGN KEY (ma_so_bhxh) REFERENCES nguoi_tham_gia (ma_so_bhxh));
                 INSERT INTO qua_trinh_dong VALUES (1, '0123456789', '01.2010', '12.2015', 'Công ty A', 'BHXH bắt buộc'), (2, '0123456789', '01.2016', NULL, 'Công ty B', 'BHTN'),
                   (3, '0123456789', '02.2016', NULL, 'Công ty B', 'BHYT');",
            )
            .await;
        let text = drafted(&database, ".SocialInsuranceParticipation", true).await;
        assert!(!text.contains("draft with --sample"), "{}: {text}", database.engine);
        let from = "from = { text = \"dia_chi\", commune = \"ma_xa\", province = \"ma_tinh\" }";
        has(&text, &["format = \"dd.MM.yyyy\"", from], &database);
        let found = record(&database, &text, "079185000124").await;
        let period = |at: usize| {
            let period = &found["periods"][at];
            (period["fromMonth"].clone(), period["insuranceKind"]["code"].clone())
        };
        let month = |year: u16, month: u8| serde_json::json!({ "year": year, "month": month });
        assert_eq!(period(0), (month(2010, 1), "COMPULSORY".into()), "{}: {text}", database.engine);
        assert_eq!(period(1), (month(2016, 1), "UNEMPLOYMENT".into()), "{}", database.engine);
        assert_eq!(period(2), (month(2016, 2), "HEALTH".into()), "{}", database.engine);
        database.remove().await;
    }
}

/// The numbers of documents that are personal numbers find both spouses; the key of the table would find strangers.
#[tokio::test]
async fn a_marriage_is_found_by_the_documents_of_both() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE ket_hon (id INTEGER NOT NULL PRIMARY KEY, so VARCHAR(20), quyen_so VARCHAR(20), ngay_dk DATE, chong_ho_ten VARCHAR(50), chong_so_giay_to VARCHAR(20),
                   vo_ho_ten VARCHAR(50), vo_so_giay_to VARCHAR(20));
                 INSERT INTO ket_hon VALUES (1, '5', '01/2015', '2015-03-04', 'Nguyễn Văn An', '079085000123', 'Lê Thị Hoa', '079187000124'),
                   (2, '6', '01/2015', '2015-03-05', 'Trần Văn Bình', '079085000125', 'Lê Thị Mai', '079187000126'),
                   (3, '7', '02/2015', '2015-03-06', 'Đỗ Văn Cường', '079085000127', 'Lê Thị Ba', '079187000128');",
            )
            .await;
        let text = drafted(&database, ".MarriageRegistration", true).await;
        has(
            &text,
            &["personal_id = [\"chong_so_giay_to\", \"vo_so_giay_to\"]", "book_number = { from = \"quyen_so\""],
            &database,
        );
        for key in ["079085000125", "079187000126"] {
            let found = record(&database, &text, key).await;
            assert_eq!(
                (&found["registrationNumber"], &found["wife"]["fullName"]["full"]),
                (&"6".into(), &"Lê Thị Mai".into())
            );
        }
        // Unseen, they may be numbers of anything.
        let unseen = drafted(&database, ".MarriageRegistration", false).await;
        has(&unseen, &["# personal_id = [\"id\"] # 0.00; DOUBT: no column looks like that number"], &database);
        database.remove().await;
    }
}

#[tokio::test]
async fn names_that_registers_use_are_known() {
    let database = TestDatabase::sqlite();
    database
        .run(
            "CREATE TABLE dm_dvqhns (ma_dvqhns VARCHAR(7) NOT NULL PRIMARY KEY, ten_dvqhns VARCHAR(200), loai_dv VARCHAR(2), ma_dv_cha VARCHAR(7), ngay_hl DATE, ngay_het_hl DATE);
             CREATE TABLE the_bhyt (id INTEGER NOT NULL PRIMARY KEY, ma_so_bhxh VARCHAR(10), ma_the VARCHAR(15), gt_tu DATE, gt_den DATE, ngay_du5nam DATE);",
        )
        .await;
    let unit = drafted(&database, ".BudgetUnit", false).await;
    for (field, column) in [
        ("name", "ten_dvqhns"),
        ("kind", "loai_dv"),
        ("parent_code", "ma_dv_cha"),
        ("valid_from", "ngay_hl"),
        ("valid_until", "ngay_het_hl"),
    ] {
        assert!(
            line(&unit, field).is_some_and(|line| line.contains(&format!("from = \"{column}\""))),
            "{field}\n{unit}"
        );
    }
    let card = drafted(&database, ".HealthInsuranceCoverage", false).await;
    for (field, column) in [("valid_from", "gt_tu"), ("valid_until", "gt_den"), ("five_years_date", "ngay_du5nam")] {
        assert!(
            line(&card, field).is_some_and(|line| line.contains(&format!("from = \"{column}\""))),
            "{field}\n{card}"
        );
    }
}

/// People in tables of products many use: a title is no name, the seconds of a clock are no number of a person.
#[tokio::test]
async fn people_of_common_products_are_found_by_their_names() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE patient_data (pid BIGINT NOT NULL PRIMARY KEY, title VARCHAR(255), fname VARCHAR(255), lname VARCHAR(255), mname VARCHAR(255), ss VARCHAR(255), deceased_reason VARCHAR(255), country VARCHAR(2));
                 INSERT INTO patient_data VALUES (1, 'Mr.', 'An', 'Nguyễn', 'Văn', '079085000123', '', 'VN'), (2, 'Mrs.', 'Hoa', 'Lê', 'Thị', '079187000124', '', 'VN'),
                   (3, 'Mr.', 'Bình', 'Trần', '', '079050000125', 'x', 'VN');",
            )
            .await;
        let text = drafted(&database, ".Resident", true).await;
        let found = record(&database, &text, "079085000123").await;
        assert_eq!(found["fullName"]["full"], "Nguyễn Văn An", "{}: {text}", database.engine);
        assert_eq!(line(&text, "is_deceased"), None, "{text}");
        // Where somebody lives is not whose citizen he is.
        assert_eq!(line(&text, "nationality"), None, "{text}");
        database.run("DROP TABLE patient_data").await;

        database
            .run(
                "CREATE TABLE hs_hr_employee (emp_number INTEGER NOT NULL PRIMARY KEY, employee_id VARCHAR(50), emp_lastname VARCHAR(100), emp_firstname VARCHAR(100), emp_middle_name VARCHAR(100),
                   emp_gender SMALLINT, emp_other_id VARCHAR(100), joined_date DATE, city_code VARCHAR(10), coun_code VARCHAR(10), work_station INTEGER);
                 INSERT INTO hs_hr_employee VALUES (1, 'E1', 'Nguyễn', 'An', 'Văn', 1, '079085000123', NULL, '', '', 1), (2, 'E2', 'Lê', 'Hoa', 'Thị', 2, '079187000124', NULL, '', '', 1),
                   (3, 'E3', 'Trần', 'Bình', '', 1, '079050000125', NULL, '', '', 1);",
            )
            .await;
        let text = drafted(&database, ".Resident", true).await;
        let found = record(&database, &text, "079187000124").await;
        assert_eq!(found["fullName"]["full"], "Lê Thị Hoa", "{}: {text}", database.engine);
        database.run("DROP TABLE hs_hr_employee").await;

        database
            .run(
                "CREATE TABLE users_field_data (uid INTEGER NOT NULL PRIMARY KEY, name VARCHAR(60), created INTEGER, changed INTEGER);
                 INSERT INTO users_field_data VALUES (1, 'hoa', 1700000001, 1700000100), (2, 'an', 1700000002, 1700000200), (3, 'ba', 1700000003, 1700000300);
                 CREATE TABLE user__field_cccd (entity_id INTEGER NOT NULL, delta INTEGER NOT NULL, field_cccd_value VARCHAR(12), PRIMARY KEY (entity_id, delta));
                 INSERT INTO user__field_cccd VALUES (1, 0, '079187000124'), (2, 0, '079085000123'), (3, 0, '079085000127');
                 CREATE TABLE user__field_ho_ten (entity_id INTEGER NOT NULL, delta INTEGER NOT NULL, field_ho_ten_value VARCHAR(60), PRIMARY KEY (entity_id, delta));",
            )
            .await;
        let text = drafted(&database, ".Resident", true).await;
        has(
            &text,
            &["personal_id = [\"field_cccd_value\"]", "full_name: field_ho_ten_value of user__field_ho_ten"],
            &database,
        );
        assert!(!text.contains("\"changed\"") && !text.contains("\"created\""), "{}: {text}", database.engine);
        database.remove().await;
    }
}

/// A partner's country is nobody's membership, and the row of its parent is no code of an enterprise.
#[tokio::test]
async fn a_column_is_no_part_of_what_it_is_not_called() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE res_country (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(100), code VARCHAR(2));
                 INSERT INTO res_country VALUES (241, 'Vietnam', 'VN');
                 CREATE TABLE res_partner (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(200), name2 VARCHAR(200), parent_id INTEGER, vat VARCHAR(20), company_registry VARCHAR(20), country_id INTEGER,
                   FOREIGN KEY (parent_id) REFERENCES res_partner (id), FOREIGN KEY (country_id) REFERENCES res_country (id));
                 INSERT INTO res_partner VALUES (1, 'Công ty cổ phần An Bình', 'An Binh JSC', NULL, '0100109106', NULL, 241), (2, 'Chi nhánh An Bình', NULL, 1, '0100109106-001', NULL, 241);",
            )
            .await;
        let text = drafted(&database, ".EnterpriseRegistration", true).await;
        has(&text, &["enterprise_code = [\"vat\"]"], &database);
        assert!(
            !text.contains("[[record.joined]]") && line(&text, "parent_code").is_none(),
            "{}: {text}",
            database.engine
        );
        database.remove().await;
    }
}

/// MySQL has a type for years; other engines have numbers and texts.
#[tokio::test]
async fn parts_of_a_date_may_be_of_any_type() {
    for database in databases().await {
        let year = if database.engine == Engine::MySql { "YEAR" } else { "SMALLINT" };
        database
            .run(&format!(
                "CREATE TABLE dan (so_cccd VARCHAR(12), y {year}, m CHAR(2), d DECIMAL(2,0));
                 INSERT INTO dan VALUES ('079185000124', 1985, '03', 7), ('079185000125', 1985, '3', NULL), ('079185000126', 1985, '', 7), ('079185000127', NULL, NULL, NULL);"
            ))
            .await;
        let text = "source = \"dan\"\nlabel_vi = \"Thử\"\nlabel_en = \"Test\"\nowner = \"nobody\"\n[[record]]\ntype = \"lienthong.population.v1.Resident\"\n\
                    table = \"dan\"\nlookup.personal_id = [\"so_cccd\"]\nfields.personal_id = { from = \"so_cccd\", convert = \"personal_id\" }\n\
                    fields.birth_date = { from = { year = \"y\", month = \"m\", day = \"d\" }, convert = \"birth_date\" }\n";
        let born = |key: &'static str| record(&database, text, key);
        let day = serde_json::json!({ "year": 1985, "month": 3, "day": 7 });
        assert_eq!(born("079185000124").await["birthDate"], day, "{}", database.engine);
        let month = serde_json::json!({ "year": 1985, "month": 3 });
        assert_eq!(born("079185000125").await["birthDate"], month, "{}", database.engine);
        // A day of no month is no date, and no parts are none.
        for key in ["079185000126", "079185000127"] {
            assert_eq!(born(key).await.get("birthDate"), None, "{} {key}", database.engine);
        }
        database.remove().await;
    }
}

/// Somebody else's number is not the subject's, a family name is no full name, a place of birth no registry office.
#[tokio::test]
async fn what_is_called_after_others_is_theirs() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE birth_records (record_id INTEGER NOT NULL PRIMARY KEY, registration_number VARCHAR(30), child_first_names VARCHAR(100), child_family_name VARCHAR(100),
                   place_of_birth VARCHAR(200), mother_first_names VARCHAR(100), mother_family_name VARCHAR(100), mother_birth_year SMALLINT, mother_birth_month SMALLINT,
                   mother_birth_day SMALLINT, cccd_nguoi_yeu_cau VARCHAR(12), archived_at TIMESTAMP NULL);
                 INSERT INTO birth_records VALUES (1, '2010/12', 'Thị Hoa', 'Nguyễn', 'Bệnh viện Từ Dũ', 'Thị Lan', 'Lê', 1985, 5, NULL, '079185000124', NULL),
                   (2, '2010/13', 'Văn Bình', 'Nguyễn', 'Bệnh viện Từ Dũ', 'Thị Lan', 'Lê', 1985, 5, 6, '079185000124', NULL),
                   (3, '2010/14', 'Văn Cường', 'Lê', 'Bệnh viện Từ Dũ', 'Thị Ba', 'Trần', 1990, NULL, NULL, '079190000125', '2021-01-01 00:00:00');",
            )
            .await;
        let text = drafted(&database, ".BirthRegistration", true).await;
        let expected = [
            "full_name = { from = [\"child_family_name\", \"child_first_names\"]",
            "\"mother.full_name\" = { from = [\"mother_family_name\", \"mother_first_names\"]",
            "from = { year = \"mother_birth_year\", month = \"mother_birth_month\", day = \"mother_birth_day\" }",
            "\"requester.identity_document\" = { from = \"cccd_nguoi_yeu_cau\"",
            "archived_at may mark rows that no longer count",
        ];
        has(&text, &expected, &database);
        assert_eq!(line(&text, "personal_id"), None, "{}: {text}", database.engine);
        // Nor is a birth place where the birth was registered.
        let resident = drafted(&database, ".Resident", true).await;
        assert!(!resident.contains("birth_registration_place = {"), "{}: {resident}", database.engine);
        database.remove().await;
    }
}

/// Amounts in other money or counted in millions, shares of one, people who left, and people who are something else.
#[tokio::test]
async fn what_stands_beside_an_amount_or_a_name_is_doubted() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE company (company_id INTEGER NOT NULL PRIMARY KEY, company_number VARCHAR(13), company_name VARCHAR(160), share_capital DECIMAL(21,3), currency VARCHAR(3),
                   reg_address_line1 VARCHAR(200), reg_address_city VARCHAR(50));
                 INSERT INTO company VALUES (1, '0100109106', 'Công ty cổ phần An Bình', 5000000000, 'VND', '2 Lê Lợi', 'Hà Nội'), (2, '0101248141', 'FPT', 1000000, 'USD', '3 Lê Lợi', 'Hà Nội');
                 CREATE TABLE officer (officer_id INTEGER NOT NULL PRIMARY KEY, company_id INTEGER NOT NULL, officer_role VARCHAR(40), full_name VARCHAR(100), national_id VARCHAR(12), resigned_on DATE,
                   FOREIGN KEY (company_id) REFERENCES company (company_id));
                 CREATE TABLE shareholder (shareholder_id INTEGER NOT NULL PRIMARY KEY, company_id INTEGER NOT NULL, name VARCHAR(100), von_gop_trieu DECIMAL(21,3), share_percent DECIMAL(6,3),
                   nationality VARCHAR(30), left_on DATE, FOREIGN KEY (company_id) REFERENCES company (company_id));
                 INSERT INTO shareholder VALUES (1, 1, 'Trần Văn An', 3000, 0.6, 'Vietnamese', NULL), (2, 1, 'Kim Lee', 2000, 0.4, 'South Korean', '2015-01-01'), (3, 2, 'Ann', 1, 1, 'American', NULL);",
            )
            .await;
        let text = drafted(&database, ".EnterpriseRegistration", true).await;
        let expected = [
            "# DOUBT: currency may say what money this is",
            "# DOUBT: is every row of officer this: Người đại diện theo pháp luật?",
            "# DOUBT: officer_role may say that some rows are not",
            "if resigned_on ends a row's validity",
            "if left_on ends a row's validity",
            "# DOUBT: von_gop_trieu speaks of \"trieu\"",
            "# DOUBT: share_percent holds nothing above 1",
            "head_office = { from = [\"reg_address_line1\", \"reg_address_city\"]",
        ];
        has(&text, &expected, &database);
        // What a country's people are called names the country.
        let country = line(&text, "country").unwrap_or_else(|| panic!("{text}"));
        assert!(country.contains("from = \"nationality\", convert = \"code\", list = \"nationality\""), "{country}");
        database.remove().await;
    }
}

/// The hub's own register reads group and benefit from the card's number; another has columns for them.
#[tokio::test]
async fn what_a_card_says_is_read_where_it_is_written() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE the_bhyt (id INTEGER NOT NULL PRIMARY KEY, ma_the VARCHAR(15), cccd VARCHAR(12), ho_ten VARCHAR(50), nhom_doi_tuong VARCHAR(2), muc_huong VARCHAR(1), han_the_tu VARCHAR(8), han_the_den VARCHAR(8), la_hien_hanh SMALLINT);
                 INSERT INTO the_bhyt VALUES (1, 'DN4797912345678', '079185000124', 'Lê Thị Hoa', 'DN', '4', '20230101', '20231231', 0), (2, 'HT2797912345679', '079155000125', 'Lê Văn Ba', 'HT', '2', '20240101', '20241231', 1);",
            )
            .await;
        let text = drafted(&database, ".HealthInsuranceCoverage", true).await;
        let card = record(&database, &text, "079185000124").await;
        assert_eq!(
            (&card["objectGroup"]["code"], &card["benefitLevel"]),
            (&"DN".into(), &4.into()),
            "{}: {text}",
            database.engine
        );
        assert_eq!(card["validUntil"], serde_json::json!({ "year": 2023, "month": 12, "day": 31 }), "{text}");
        has(
            &text,
            &["la_hien_hanh may mark the rows that count; to read no others: where = { la_hien_hanh = 1 }"],
            &database,
        );
        database.remove().await;
    }
}

/// Every table of some products numbers its rows in a column of the same name.
#[tokio::test]
async fn rows_of_equal_numbers_are_not_each_others() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE llx_adherent (rowid INTEGER NOT NULL PRIMARY KEY, lastname VARCHAR(50), firstname VARCHAR(50), birth DATE);
                 INSERT INTO llx_adherent VALUES (1, 'Võ', 'Kim Lan', '1985-03-07'), (2, 'Bùi', 'Hữu Hùng', '1970-01-02');
                 CREATE TABLE llx_adherent_extrafields (rowid INTEGER NOT NULL PRIMARY KEY, fk_object INTEGER NOT NULL, cccd VARCHAR(12));
                 INSERT INTO llx_adherent_extrafields VALUES (1, 2, '079070000001'), (2, 1, '079185000002');",
            )
            .await;
        let text = drafted_of(&database, ".Resident", true, Some("llx_adherent")).await;
        has(&text, &["table = \"llx_adherent\"", "full_name = "], &database);
        assert!(!text.contains("JOIN"), "{}: {text}", database.engine);
        database.remove().await;
    }
}

/// A table beside it whose key has the same name may be meant; no foreign key says so.
#[tokio::test]
async fn a_table_beside_that_nobody_declared_is_doubted() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE nhan_khau (ma_nk INTEGER NOT NULL PRIMARY KEY, ho_ten VARCHAR(50), ngay_sinh DATE, gioi_tinh VARCHAR(3));
                 CREATE TABLE giay_to (ma_nk INTEGER NOT NULL PRIMARY KEY, so_cccd VARCHAR(12));",
            )
            .await;
        let text = drafted_of(&database, ".Resident", false, Some("nhan_khau")).await;
        let doubt = "#   DOUBT: no foreign key says that rows of giay_to belong to these";
        has(&text, &["#   personal_id: so_cccd of giay_to", doubt], &database);
        database.remove().await;
    }
}

/// Midnights of another time zone, and codes that numbers have cut.
#[tokio::test]
async fn what_a_type_says_otherwise_than_the_register_is_doubted() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE cong_dan (so_cccd VARCHAR(12) NOT NULL PRIMARY KEY, ho_ten VARCHAR(50), ngay_sinh TIMESTAMP, so_ho_khau INTEGER);
                 INSERT INTO cong_dan VALUES ('079185000002', 'Võ Kim Lan', '1985-03-06 17:00:00', 1001), ('079070000001', 'Bùi Hữu Hùng', '1970-05-02 00:00:00', 17);",
            )
            .await;
        let text = drafted(&database, ".Resident", true).await;
        has(&text, &["# DOUBT: so_ho_khau holds numbers, which keep no zeros at the front"], &database);
        // SQLite has no type for times: what stands there is text, and is refused.
        if database.engine != Engine::Sqlite {
            has(&text, &["# DOUBT: 1 of 2 sampled values are times other than midnight"], &database);
        }
        database.remove().await;
    }
}

/// Text kept in TCVN3 as Latin-1 characters: codes and names are looked up as they read.
#[tokio::test]
async fn codes_in_an_old_encoding_are_known_as_they_read() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE cong_dan (so_cccd VARCHAR(12) NOT NULL PRIMARY KEY, ho_ten VARCHAR(50), gioi_tinh VARCHAR(5));
                 INSERT INTO cong_dan VALUES ('079185000002', 'NguyÔn ThÞ Hoa', 'N÷'), ('079185000003', 'TrÇn ThÞ Lan', 'N÷'), ('079070000001', 'TrÇn V¨n B×nh', 'Nam'),
                   ('079070000004', 'Lª V¨n H¶i', 'Nam');",
            )
            .await;
        let text = drafted(&database, ".Resident", true).await;
        has(&text, &["encoding = \"tcvn3-as-latin1\""], &database);
        assert!(line(&text, "gender").is_some() && !text.contains('÷'), "{}: {text}", database.engine);
        let resident = record(&database, &text, "079185000002").await;
        assert_eq!(
            (&resident["fullName"]["full"], &resident["gender"]["code"]),
            (&"Nguyễn Thị Hoa".into(), &"F".into())
        );
        database.remove().await;
    }
}

/// Labels of a table of codes are read as the texts of the table that has the codes are.
#[tokio::test]
async fn labels_of_codes_in_an_old_encoding_are_known_as_they_read() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE dm_gioi_tinh (ma VARCHAR(5) NOT NULL PRIMARY KEY, ten VARCHAR(20));
                 INSERT INTO dm_gioi_tinh VALUES ('7', 'Nam'), ('8', 'N÷');
                 CREATE TABLE cong_dan (so_cccd VARCHAR(12) NOT NULL PRIMARY KEY, ho_ten VARCHAR(50), gioi_tinh VARCHAR(5), FOREIGN KEY (gioi_tinh) REFERENCES dm_gioi_tinh (ma));
                 INSERT INTO cong_dan VALUES ('079185000002', 'NguyÔn ThÞ Hoa', '8'), ('079185000003', 'TrÇn ThÞ Lan', '8'), ('079070000001', 'TrÇn V¨n B×nh', '7'),
                   ('079070000004', 'Lª V¨n H¶i', '7');",
            )
            .await;
        let text = drafted(&database, ".Resident", true).await;
        assert!(!text.contains('÷'), "{}: {text}", database.engine);
        let resident = record(&database, &text, "079185000002").await;
        assert_eq!(resident["gender"]["code"], "F", "{}: {text}", database.engine);
        database.remove().await;
    }
}
