//! `lienthong adapter draft` on databases nobody has mapped: drafted, checked and tried as they stand.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use sqlx::{AssertSqlSafe, Connection, Executor as _};
use tests::{Engine, binary};

/// A register of firms: Vietnamese without marks, abbreviations, a prefix, a table of codes, dates as text.
const FIRMS: &str = include_str!("draft/firms.sql");
/// A register of people: English, keys that count rows, codes explained by a comment's view of them.
const PEOPLE: &str = include_str!("draft/people.sql");

struct Foreign {
    engine: Engine,
    url: String,
    name: String,
}

impl Foreign {
    /// Makes a database of these statements.
    async fn create(engine: Engine, name: &str, folder: &Path, statements: &str) -> Self {
        let name = format!("draft_{name}_{}", std::process::id());
        let url = match engine {
            Engine::Sqlite => format!("sqlite://{}?mode=rwc", folder.join(&name).display()),
            _ => {
                run(engine, &engine.server().unwrap(), &format!("CREATE DATABASE {name}")).await;
                let server = engine.server().unwrap();
                format!("{}/{name}", server.rsplit_once('/').unwrap().0)
            }
        };
        for statement in statements.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            run(engine, &url, statement).await;
        }
        Self { engine, url: url.replace("?mode=rwc", ""), name }
    }

    async fn drop(self) {
        if self.engine != Engine::Sqlite {
            run(self.engine, &self.engine.server().unwrap(), &format!("DROP DATABASE {}", self.name)).await;
        }
    }
}

async fn run(engine: Engine, url: &str, statement: &str) {
    let sql = AssertSqlSafe(statement.to_owned());
    let outcome = match engine {
        Engine::Sqlite => sqlx::SqliteConnection::connect(url).await.unwrap().execute(sql).await.map(drop),
        Engine::Postgres => sqlx::PgConnection::connect(url).await.unwrap().execute(sql).await.map(drop),
        Engine::MySql => sqlx::MySqlConnection::connect(url).await.unwrap().execute(sql).await.map(drop),
    };
    outcome.unwrap_or_else(|error| panic!("{engine:?}: {error}: {statement}"));
}

fn adapter(arguments: &[&str]) -> Output {
    Command::new(binary()).arg("adapter").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Drafts a record, and says which of the expected lines the draft has not.
fn drafted(reference: &str, record: &str, mapping: &Path, expected: &[&str]) -> String {
    let path = mapping.to_str().unwrap();
    let _ = fs::remove_file(mapping);
    let output = adapter(&["draft", record, "--database", reference, "--sample", "--output", path]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let draft = fs::read_to_string(mapping).unwrap();
    for line in expected {
        assert!(draft.contains(line), "{line} is not in\n{draft}");
    }
    draft
}

fn tried(reference: &str, record: &str, key: &str, mapping: &Path) -> serde_json::Value {
    let arguments = ["try", "--mapping", mapping.to_str().unwrap(), "--database", reference, record, key, "--json"];
    let output = adapter(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["records"][0]["record"].clone()
}

#[tokio::test]
async fn foreign_databases_are_drafted_checked_and_tried_without_an_edit() {
    for engine in [Engine::Sqlite, Engine::Postgres, Engine::MySql].into_iter().filter(|engine| engine.available()) {
        let folder = tempfile::tempdir().unwrap();
        let mapping = folder.path().join("draft.toml");
        let secret = folder.path().join("secret");
        let reference = format!("file:{}", secret.display());

        let firms = Foreign::create(engine, "firms", folder.path(), FIRMS).await;
        fs::write(&secret, &firms.url).unwrap();
        let seems = text(&adapter(&["draft", "--database", &reference]).stdout);
        let first = seems.lines().find(|line| line.contains("lienthong.")).unwrap();
        assert!(first.contains("EnterpriseRegistration") && first.contains("dn_thongtin"), "{seems}");
        let draft = drafted(
            &reference,
            "EnterpriseRegistration",
            &mapping,
            &[
                "table = \"dn_thongtin\"",
                "enterprise_code = [\"dn_mst\"]",
                "name = { from = \"dn_ten\", convert = \"org_name\"",
                "1 = \"PRIVATE_ENTERPRISE\", 2 = \"JOINT_STOCK_COMPANY\", 3 = \"SINGLE_MEMBER_LLC\"",
                "format = \"dd/MM/yyyy\"",
                "text = \"dn_diachi\", commune = \"dn_maxa\", province = \"dn_matinh\"",
                "table = \"dn_nganhnghe\"",
                "code = { from = \"manganh\", convert = \"industry_code\"",
                "personal_id = { from = \"dn_ndd_cccd\", convert = \"personal_id\" }",
            ],
        );
        assert!(draft.contains("# DOUBT"), "a draft is a draft");
        // Samples decide; of what they hold only codes are written.
        assert!(!draft.contains("Hải Âu") && !draft.contains("052185000123"), "{draft}");
        let firm = tried(&reference, "EnterpriseRegistration", "4101000003", &mapping);
        assert_eq!(firm["name"], "Công ty cổ phần Hải Âu");
        assert_eq!(firm["foundingDate"], serde_json::json!({ "year": 2012, "month": 3, "day": 5 }));
        assert_eq!(firm["enterpriseType"]["code"], "JOINT_STOCK_COMPANY");
        assert_eq!(firm["industries"].as_array().unwrap().len(), 2);
        assert_eq!(firm["legalRepresentatives"][0]["fullName"]["full"], "Lê Thị Hoa");
        firms.drop().await;

        let people = Foreign::create(engine, "people", folder.path(), PEOPLE).await;
        fs::write(&secret, &people.url).unwrap();
        drafted(
            &reference,
            "Resident",
            &mapping,
            &[
                "table = \"citizens\"",
                "personal_id = [\"national_id\"]",
                "full_name = { from = [\"last_name\", \"middle_name\", \"first_name\"], convert = \"person_name\"",
                "encoding = \"tcvn3-as-latin1\"",
                "birth_date = { from = \"dob\", convert = \"birth_date\"",
                "\"father.full_name\" = { from = \"father_name\"",
                // Nothing says what they stand for: left out, not guessed.
                "# gender = { from = \"sex\", convert = \"code\", list = \"gender\", values = { 1 = \"?\", 2 = \"?\" }",
                "as_of = \"updated_at\"",
            ],
        );
        let person = tried(&reference, "Resident", "052185000123", &mapping);
        assert_eq!(person["fullName"]["full"], "Nguyễn Thị Hòa");
        assert_eq!(person["ethnicity"]["label"], "Ba na");
        assert!(person.get("gender").is_none());
        let again = adapter(&["draft", "Resident", "--database", &reference, "--output", mapping.to_str().unwrap()]);
        assert!(!again.status.success() && text(&again.stderr).contains("cannot write"), "an edited file stays");
        let wrong = adapter(&["draft", "Resident", "--database", &reference, "--table", "citizen"]);
        assert!(text(&wrong.stderr).contains("did you mean \"citizens\"?"), "{}", text(&wrong.stderr));
        people.drop().await;
    }
}
