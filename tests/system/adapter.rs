//! `lienthong adapter`: what a database's owner sees before going live, on each engine.

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::Value;
use sqlx::{Connection, Row, SqliteConnection};
use synthetic::Sector;
use tests::{Databases, Engine, binary};

const PEOPLE: u64 = 1_000;

fn adapter(arguments: &[&str]) -> Output {
    Command::new(binary()).arg("adapter").args(arguments).env("COLUMNS", "200").output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is a count"))
}

#[tokio::test]
async fn a_check_reads_all_of_every_register_and_counts_the_same_on_every_engine() {
    let mut first: Option<Vec<Value>> = None;
    for engine in [Engine::Sqlite, Engine::Postgres, Engine::MySql].into_iter().filter(|engine| engine.available()) {
        let folder = tempfile::tempdir().unwrap();
        let databases = Databases::create(folder.path(), |_| engine).await;
        let summary = databases.fill(PEOPLE, 11, None).await;
        let (mut counted, mut rows) = (Vec::new(), 0);
        for target in &databases.targets {
            let secret = folder.path().join("secret");
            fs::write(&secret, &target.url).unwrap();
            let reference = format!("file:{}", secret.display());
            let output = adapter(&["check", "--source", target.sector.as_str(), "--database", &reference, "--json"]);
            assert!(
                output.status.success(),
                "{engine:?} {}: {}",
                target.sector,
                String::from_utf8_lossy(&output.stderr)
            );
            let report = json(&output);
            assert_eq!((&report["fits"], &report["not_read"]), (&true.into(), &serde_json::json!([])));
            assert_eq!(report["unindexed_columns"], serde_json::json!([]), "{engine:?} {}", target.sector);
            for record in report["records"].as_array().unwrap() {
                assert_eq!(record["rows"], record["rows_in_table"]);
                rows += number(&record["rows"]);
                for field in record["fields"].as_array().unwrap() {
                    let parts = ["clean_values", "repaired", "converted_with_loss", "suspect", "invalid", "absent"];
                    let sum: u64 = parts.iter().map(|part| number(&field[part])).sum();
                    assert_eq!(sum, number(&field["expected"]), "every value is in one part: {field}");
                }
                counted.push(record.clone());
            }
        }
        println!(
            "{engine:?}: {} record types, {rows} rows read, {} rows written",
            counted.len(),
            summary.rows.values().sum::<u64>()
        );
        for record in &mut counted {
            for field in record["fields"].as_array_mut().unwrap() {
                // Which rows come first differs with the order of keys, so the examples may.
                for reason in field["reasons"].as_object_mut().unwrap().values_mut() {
                    reason["examples"].take();
                }
            }
        }
        match &first {
            Some(first) => assert_eq!(first, &counted, "{engine:?} counts as SQLite"),
            None => first = Some(counted),
        }
        databases.drop().await;
    }
}

/// Texts of a column, longest first: what must not stand in a report.
async fn texts(database: &str, statement: &str) -> Vec<String> {
    let mut connection = SqliteConnection::connect(database).await.unwrap();
    let rows = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).fetch_all(&mut connection).await.unwrap();
    rows.iter().filter_map(|row| row.try_get::<String, _>(0).ok()).filter(|text| text.chars().count() > 6).collect()
}

#[tokio::test]
async fn the_page_stands_alone_and_neither_it_nor_the_tables_hold_a_persons_data() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    databases.fill(PEOPLE, 12, None).await;
    let url = databases.url(Sector::Population).to_owned();
    let reference = url.replacen("sqlite://", "sqlite:", 1);
    let page = folder.path().join("page.html");
    let output =
        adapter(&["check", "--source", "population", "--database", &reference, "--html", page.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (html, printed) = (fs::read_to_string(&page).unwrap(), String::from_utf8(output.stdout).unwrap());
    for word in ["đúng", "đủ", "sạch", "sống"] {
        assert!(html.contains(word) && printed.contains(word), "{word}");
    }
    for outside in ["http://", "https://", "<script", "<link", "<img", "src=", "url(", "@import"] {
        assert!(!html.contains(outside), "the page needs nothing else: {outside}");
    }
    assert!(html.matches("<svg").count() > 20, "a chart for every field");
    let columns =
        ["SoDinhDanh", "SoCMND", "NgaySinh", "ThuongTru_ChiTiet", "ChuHo_HoVaTen", "Me_HoVaTen", "SoSoHoKhau"];
    let mut personal = Vec::new();
    for column in columns {
        personal.extend(texts(&url, &format!("SELECT DISTINCT {column} FROM cong_dan")).await);
    }
    assert!(personal.len() > 3_000, "there is something to look for: {}", personal.len());
    for text in personal {
        assert!(!html.contains(&text) && !printed.contains(&text), "a person's data is shown");
    }
}

#[tokio::test]
async fn a_mapping_that_does_not_fit_is_told_with_line_and_nearest_name() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    databases.fill(50, 13, None).await;
    let reference = databases.url(Sector::BudgetUnits).replacen("sqlite://", "sqlite:", 1);
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../adapters/budget-units/mapping.toml");
    let mapping = folder.path().join("mapping.toml");
    let wrong = fs::read_to_string(shipped).unwrap().replacen("\"ten_don_vi\"", "\"ten_donvi\"", 1);
    fs::write(&mapping, wrong).unwrap();
    let arguments = ["check", "--mapping", mapping.to_str().unwrap(), "--database", &reference];
    let output = adapter(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("The mapping does not fit the database:"), "{printed}");
    assert!(printed.contains("mapping.toml:35:17: record BudgetUnit, field name: "), "{printed}");
    assert!(printed.contains("no column ten_donvi; did you mean \"ten_don_vi\"?"), "{printed}");

    let address = adapter(&["check", "--source", "budget-units", "--database", "postgres://me:secret@host/db"]);
    assert_eq!(address.status.code(), Some(1));
    let said = String::from_utf8(address.stderr).unwrap();
    assert!(said.contains("file:FILE or env:VARIABLE") && !said.contains("secret"), "{said}");
    let unknown = adapter(&["check", "--source", "budget-unit", "--database", &reference]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("use one of population, civil-status"));
}

#[tokio::test]
async fn a_try_shows_a_record_beside_its_row_on_every_engine() {
    for engine in [Engine::Sqlite, Engine::Postgres, Engine::MySql].into_iter().filter(|engine| engine.available()) {
        let folder = tempfile::tempdir().unwrap();
        let databases = Databases::create(folder.path(), |_| engine).await;
        let mut truth = Vec::new();
        databases.fill(PEOPLE, 14, Some(&mut truth)).await;
        let secret = folder.path().join("secret");
        fs::write(&secret, databases.url(Sector::Population)).unwrap();
        let reference = format!("file:{}", secret.display());
        let person = number_of_somebody(&truth);
        let arguments = ["try", "--source", "population", "--database", &reference, "resident", &person];
        let table = String::from_utf8(adapter(&arguments).stdout).unwrap();
        assert!(table.contains("cong_dan.NgaySinh = ") && table.contains("birth_date"), "{table}");
        let shown = json(&adapter(&[&arguments[..], &["--json"]].concat()));
        let record = &shown["records"][0];
        assert_eq!(record["record"]["personalId"], person.as_str());
        let fields = record["fields"].as_array().unwrap();
        let name = fields.iter().find(|field| field["field"] == "full_name").unwrap();
        assert_eq!(name["converter"], "person_name");
        assert_eq!(name["value"], record["record"]["fullName"]["full"]);
        let columns: Vec<_> = name["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(columns, ["cong_dan.Ho", "cong_dan.ChuDem", "cong_dan.Ten"]);

        let nobody = adapter(&["try", "--source", "population", "--database", &reference, "Resident", "personal_id=0"]);
        assert_eq!(nobody.status.code(), Some(4), "{}", String::from_utf8_lossy(&nobody.stderr));
        let malformed = adapter(&["try", "--source", "population", "--database", &reference, "Resident", "abc"]);
        assert_eq!(malformed.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&malformed.stderr).contains("write KIND=NUMBER"));
        databases.drop().await;
    }
}

/// The number of a person the truth names, who must be found by it.
fn number_of_somebody(truth: &[u8]) -> String {
    let lines = String::from_utf8(truth.to_vec()).unwrap();
    let people = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut numbers = people
        .filter(|line| line["sector"] == "population")
        .filter_map(|line| Some(line["keys"]["personal_id"].as_str()?.to_owned()));
    numbers.next().unwrap()
}

/// A database of somebody else's, in a folder with the file that names it.
async fn foreign(folder: &std::path::Path) -> String {
    let file = folder.join("foreign.sqlite");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(
        "CREATE TABLE dan (id INTEGER PRIMARY KEY, so_cccd VARCHAR(12), ho_ten VARCHAR(50), nhom INTEGER);
         INSERT INTO dan VALUES (1, '052185000123', 'Nguyễn Thị Hoa', 1), (2, '052185000124', char(27) || '[31mTrần Văn An', 1),
          (3, '052185000125', 'Lê Văn Bình', 2);
         CREATE TABLE ho_so (id INTEGER PRIMARY KEY, ho_ten VARCHAR(50), ngay_sinh DATE);",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    format!("sqlite:{}", file.display())
}

#[tokio::test]
async fn what_the_tools_cannot_do_ends_with_a_reason_and_no_success() {
    let folder = tempfile::tempdir().unwrap();
    let database = foreign(folder.path()).await;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let said = |output: &Output| {
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };

    // No column looks like a number of a person: the draft is written, and says what is missing, with its line.
    let incomplete = path("incomplete.toml");
    let output = adapter(&["draft", "Resident", "--table", "ho_so", "--database", &database, "--output", &incomplete]);
    let text = fs::read_to_string(&incomplete).unwrap();
    let line = text.lines().position(|line| line == "[record.lookup]").unwrap() + 1;
    assert!(!output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(&format!("{incomplete}:{line}:")), "{}", said(&output));
    assert!(said(&output).contains("no key finds a record: name the column"), "{}", said(&output));

    // A key that does not tell rows apart leaves some unread.
    let mapping = path("dan.toml");
    let output =
        adapter(&["draft", "Resident", "--table", "dan", "--database", &database, "--sample", "--output", &mapping]);
    assert!(output.status.success(), "{}", said(&output));
    let check = |more: &[&str]| adapter(&[&["check", "--mapping", &mapping, "--database", &database], more].concat());
    assert!(check(&["Resident"]).status.success(), "{}", said(&check(&["Resident"])));
    let output = check(&["--key", "nhom", "--page-rows", "1"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("nhom does not tell its rows apart: 2 of 3 read"), "{}", said(&output));
    assert!(said(&output).contains("no index begins with nhom"), "{}", said(&output));

    // What a row holds commands no terminal.
    let output = adapter(&["try", "--mapping", &mapping, "--database", &database, "052185000124"]);
    assert!(said(&output).contains("\\u001b[31mTrần") && !said(&output).contains('\u{1b}'), "{}", said(&output));

    // Of several record types, the one that is meant must be said.
    for several in [&["try", "052185000124"][..], &["check", "--key", "id"]] {
        let output = adapter(&[several, &["--source", "civil-status", "--database", &database]].concat());
        assert!(!output.status.success() && said(&output).contains("several record types"), "{}", said(&output));
    }

    // Everything that is wrong with a mapping, in one go.
    let wrong = path("wrong.toml");
    let text = fs::read_to_string(&mapping).unwrap().replace("v1.Resident", "v1.Residnet");
    fs::write(&wrong, text.replace("table = \"dan\"", "tabel = \"dan\"")).unwrap();
    let output = adapter(&["check", "--mapping", &wrong, "--database", &database, "--no-data"]);
    assert!(!output.status.success());
    for expected in ["did you mean \"lienthong.population.v1.Resident\"?", "did you mean \"table\"?"] {
        assert!(said(&output).contains(expected), "{}", said(&output));
    }

    // A password with signs of its own.
    let secret = path("secret");
    fs::write(&secret, "postgres://user:se/cret@127.0.0.1:1/x").unwrap();
    let output = adapter(&["draft", "--database", &format!("file:{secret}")]);
    assert!(!output.status.success() && !said(&output).contains("cret@"), "{}", said(&output));
    assert!(said(&output).contains("percent-encoded: @ %40"), "{}", said(&output));
}
