//! How columns of other people's databases keep what they keep, and how it is shown beside the record.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use adapter_sdk::{
    Adapter, Engine, FetchRequest, Fetched, Functions, Grade, Key, Mapping, PoolOptions, SecretUrl, SqlSource,
};
use proto::{Schema, options::v1::IdentifierKind};
use support::{TestDatabase, databases};
use tokio::time::Instant;

mod support;

const RESIDENT: &str = "lienthong.population.v1.Resident";
const INSURED: &str = "lienthong.insurance.v1.SocialInsuranceParticipation";
const FIRM: &str = "lienthong.business.v1.EnterpriseRegistration";

fn open(database: &TestDatabase, record: &str) -> SqlSource {
    let head = "source = \"columns\"\nlabel_vi = \"Thử\"\nlabel_en = \"Test\"\nowner = \"nobody\"\n";
    let mapping = Mapping::parse(&format!("{head}[[record]]\n{record}"), "columns.toml").unwrap();
    let options = PoolOptions { connections_max: 1, ..PoolOptions::default() };
    let schema = Schema::builtin().unwrap();
    SqlSource::open(&schema, &mapping, &Functions::new(), &SecretUrl::new(&database.url), options).unwrap()
}

fn request(source: &SqlSource, record: &str, kind: IdentifierKind, key: &str) -> FetchRequest {
    let record_type = source.describe().record(record).unwrap().record_type.clone();
    FetchRequest {
        fields: record_type.all_fields(),
        record_type,
        key: Key { kind, value: key.to_owned() },
        deadline: Instant::now() + Duration::from_secs(20),
        behalf: std::sync::Arc::default(),
    }
}

/// MariaDB says of text in a binary collation and of what JSON functions give that it is bytes.
#[tokio::test]
async fn text_is_shown_as_text_beside_the_record() {
    for database in databases().await.into_iter().filter(|database| database.engine == Engine::MySql) {
        database
            .run_as_is(
                "CREATE TABLE person (pid VARCHAR(12) COLLATE utf8mb4_bin, ten VARCHAR(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, doc JSON);
                 INSERT INTO person VALUES ('052185000123', 'Nguyễn Thị Hoa', '{\"noi_sinh\": \"Quy Nhơn\"}')",
            )
            .await;
        let select = "SELECT pid, ten, json_value(doc, '$.noi_sinh') AS noi_sinh FROM person";
        let source = open(
            &database,
            &format!(
                "type = \"{RESIDENT}\"\nselect = \"{select}\"\nlookup.personal_id = [\"pid\"]\n\
                 fields.personal_id = {{ from = \"pid\", convert = \"personal_id\" }}\n\
                 fields.full_name = {{ from = \"ten\", convert = \"person_name\" }}\n\
                 fields.birth_registration_place = {{ from = {{ text = \"noi_sinh\" }}, convert = \"address\" }}\n"
            ),
        );
        let request = request(&source, RESIDENT, IdentifierKind::PersonalId, "052185000123");
        let found = source.inspect(&request).await.unwrap();
        let mut shown: Vec<_> =
            found[0].fields.iter().flat_map(|field| &field.columns).map(|column| column.text.clone()).collect();
        shown.sort();
        assert_eq!(shown, ["052185000123", "Nguyễn Thị Hoa", "Quy Nhơn"].map(|text| Some(text.to_owned())));
        drop(source);
        database.remove().await;
    }
}

/// 0100000001 kept as the number 100000001, and 0100109106-001 as 100109106001.
#[tokio::test]
async fn numbers_of_insured_and_of_branches_are_whole_again_from_columns_of_numbers() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE insured (so BIGINT, wide DECIMAL(12,0)); INSERT INTO insured VALUES (100000001, 100000001), (7912345678, 7912345678);
                 CREATE TABLE firm (code BIGINT); INSERT INTO firm VALUES (100109106001), (100109106), (4101000003001);",
            )
            .await;
        for column in ["so", "wide"] {
            let source = open(
                &database,
                &format!(
                    "type = \"{INSURED}\"\ntable = \"insured\"\nlookup.social_insurance_number = [\"{column}\"]\n\
                     fields.social_insurance_number = {{ from = \"{column}\", convert = \"social_insurance_number\" }}\n"
                ),
            );
            for (number, marks) in [("0100000001", vec![Grade::Repaired]), ("7912345678", Vec::new())] {
                let request = request(&source, INSURED, IdentifierKind::SocialInsuranceNumber, number);
                let found = source.fetch(&request).await.unwrap();
                let case = format!("{} {column} {number}", database.engine);
                assert_eq!(found.records.len(), 1, "{case}");
                let message = serde_json::to_value(&found.records[0].message).unwrap();
                assert_eq!(message["socialInsuranceNumber"], number, "{case}");
                assert_eq!(found.records[0].marks.iter().map(|mark| mark.grade).collect::<Vec<_>>(), marks, "{case}");
            }
        }
        let source = open(
            &database,
            &format!(
                "type = \"{FIRM}\"\ntable = \"firm\"\nlookup.enterprise_code = [\"code\"]\n\
                 fields.enterprise_code = {{ from = \"code\", convert = \"tax_code\" }}\n"
            ),
        );
        for code in ["0100109106-001", "0100109106", "4101000003-001"] {
            let request = request(&source, FIRM, IdentifierKind::EnterpriseCode, code);
            let found = source.fetch(&request).await.unwrap();
            assert_eq!(found.records.len(), 1, "{} {code}", database.engine);
            let message = serde_json::to_value(&found.records[0].message).unwrap();
            assert_eq!(message["enterpriseCode"], code, "{}", database.engine);
        }
        drop(source);
        database.remove().await;
    }
}

/// Phúc Xá in Hà Nội, 00001, kept as the number 1, and province 01 as 1; Côn Đảo, a district without communes, 755; and Bến Nghé, 26740,
/// which is in Ho Chi Minh City and not in Hà Nội.
#[tokio::test]
async fn codes_of_units_have_their_zeros_again_and_short_industries_are_in_doubt() {
    for database in databases().await {
        database
            .run(
                "CREATE TABLE person (pid VARCHAR(12), xa INTEGER, tinh INTEGER); INSERT INTO person VALUES ('052185000123', 1, 1), ('052185000124', 755, 77), ('052185000125', 26740, 1);
                 CREATE TABLE firm (code VARCHAR(10), id INTEGER); INSERT INTO firm VALUES ('0100233488', 1);
                 CREATE TABLE industry (firm_id INTEGER, n INTEGER, number INTEGER, written VARCHAR(5));
                 INSERT INTO industry VALUES (1, 1, 141, '141'), (1, 2, 4652, '4652');",
            )
            .await;
        let source = open(
            &database,
            &format!(
                "type = \"{RESIDENT}\"\ntable = \"person\"\nlookup.personal_id = [\"pid\"]\n\
                 fields.hometown = {{ from = {{ commune = \"xa\", province = \"tinh\" }}, convert = \"address\", vintage = \"pre-2025\" }}\n"
            ),
        );
        let request = request(&source, RESIDENT, IdentifierKind::PersonalId, "052185000123");
        let found = source.fetch(&request).await.unwrap();
        let address = serde_json::to_value(&found.records[0].message).unwrap()["hometown"].clone();
        assert_eq!((&address["communeCode"], &address["provinceCode"]), (&"00001".into(), &"01".into()), "{address}");
        let reasons = |records: &Fetched| {
            records.records[0].marks.iter().flat_map(|mark| mark.reasons.clone()).collect::<Vec<_>>()
        };
        assert!(reasons(&found).contains(&"leading_zero_restored".into()), "{:?}", found.records[0].marks);
        for (number, commune, doubted) in [("052185000124", "755", false), ("052185000125", "26740", true)] {
            let request = self::request(&source, RESIDENT, IdentifierKind::PersonalId, number);
            let found = source.fetch(&request).await.unwrap();
            let address = serde_json::to_value(&found.records[0].message).unwrap()["hometown"].clone();
            assert_eq!(address["communeCode"], commune, "{address}");
            assert_eq!(reasons(&found).contains(&"units_disagree".into()), doubted, "{number}");
        }
        for (column, doubted) in [("number", 1), ("written", 0)] {
            let source = open(
                &database,
                &format!(
                    "type = \"{FIRM}\"\ntable = \"firm\"\nlookup.enterprise_code = [\"code\"]\n\
                     fields.enterprise_code = {{ from = \"code\", convert = \"tax_code\" }}\n\
                     [[record.children]]\nfield = \"industries\"\ntable = \"industry\"\njoin = {{ firm_id = \"id\" }}\norder = [\"n\"]\n\
                     fields.code = {{ from = \"{column}\", convert = \"industry_code\", vintage = \"2018\" }}\n"
                ),
            );
            let request = self::request(&source, FIRM, IdentifierKind::EnterpriseCode, "0100233488");
            let found = source.fetch(&request).await.unwrap();
            let suspects = found.records[0].marks.iter().filter(|mark| mark.grade == Grade::Suspect).count();
            assert_eq!(suspects, doubted, "{} {column}", database.engine);
        }
        drop(source);
        database.remove().await;
    }
}
