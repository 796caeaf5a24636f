//! What a database refuses is said in its own words, as far as no value can be in them, and with the place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use adapter_sdk::{
    Adapter, DraftRequest, Engine, FetchRequest, Functions, Key, Mapping, PoolOptions, SecretUrl, SqlSource,
    SurveyOptions,
};
use proto::{Schema, options::v1::IdentifierKind};
use support::databases;
use tokio::time::Instant;

mod support;

const UNIT: &str = "lienthong.budget.v1.BudgetUnit";

const NAME_IN_TCVN3: &str = "fields.name = { from = \"name\", convert = \"org_name\", encoding = \"tcvn3\" }\n";

/// A mapping of budget units whose rows come from this.
fn mapping(rows: &str) -> Mapping {
    mapping_of(rows, "fields.name = { from = \"name\", convert = \"org_name\" }\n")
}

fn mapping_of(rows: &str, more: &str) -> Mapping {
    let text = format!(
        "source = \"refused\"\nlabel_vi = \"Thử\"\nlabel_en = \"Test\"\nowner = \"nobody\"\n\
         [[record]]\ntype = \"{UNIT}\"\n{rows}\nlookup.budget_unit_code = [\"code\"]\n\
         fields.code = {{ from = \"code\", convert = \"budget_unit_code\" }}\n{more}"
    );
    Mapping::parse(&text, "refused.toml").unwrap_or_else(|error| panic!("{error}"))
}

fn open_at(url: &str, mapping: &Mapping) -> Result<SqlSource, String> {
    let options = PoolOptions { connections_max: 1, ..PoolOptions::default() };
    let schema = Schema::builtin().unwrap();
    SqlSource::open(&schema, mapping, &Functions::new(), &SecretUrl::new(url), options).map_err(|e| e.to_string())
}

fn open(url: &str, rows: &str) -> SqlSource {
    open_at(url, &mapping(rows)).unwrap()
}

/// The address of a database for another account.
fn as_account(url: &str, account: &str, password: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    format!("{scheme}://{account}:{password}@{}", rest.split_once('@').unwrap().1)
}

#[tokio::test]
async fn a_select_that_does_not_run_is_said_with_the_servers_words_and_place() {
    for database in databases().await {
        database.run("CREATE TABLE unit (code VARCHAR(10), name VARCHAR(50));").await;
        let select = "SELECT code, name,\\n  nope FROM unit";
        let fit = open(&database.url, &format!("select = \"{select}\"")).fit().await.unwrap();
        let expected = match database.engine {
            Engine::Postgres => "code 42703: column \"nope\" does not exist, at line 2, column 3 of it",
            Engine::MySql => "code 1054: Unknown column 'nope' in ",
            Engine::Sqlite => "code 1: no such column: nope",
        };
        assert_eq!(fit.problems.len(), 1, "{fit:?}");
        assert!(fit.problems[0].contains(expected), "{}: {fit:?}", database.engine);

        let fit = open(&database.url, "select = \"SELECT code, name FORM unit\"").fit().await.unwrap();
        let expected = match database.engine {
            Engine::Postgres => "code 42601: syntax error at or near \"unit\", at line 1, column 24 of it",
            Engine::MySql => "code 1064: You have an error in your SQL syntax",
            Engine::Sqlite => "near \"unit\": syntax error",
        };
        assert!(fit.problems[0].contains(expected), "{}: {fit:?}", database.engine);
        let place = if database.engine == Engine::Postgres { "$1" } else { "?" };
        let fit =
            open(&database.url, &format!("select = \"SELECT code, name FROM unit WHERE code = {place}\"")).fit().await;
        assert!(fit.unwrap().problems[0].contains("it has places for values"), "{}", database.engine);
        database.remove().await;
    }
}

#[tokio::test]
async fn a_select_that_writes_is_refused_for_what_it_is() {
    for database in databases().await.into_iter().filter(|database| database.engine == Engine::Postgres) {
        database.run("CREATE TABLE unit (code VARCHAR(10), name VARCHAR(50));").await;
        let writing = "WITH gone AS (DELETE FROM unit RETURNING *) SELECT code, name FROM gone";
        let fit = open(&database.url, &format!("select = \"{writing}\"")).fit().await.unwrap();
        assert!(fit.problems[0].contains("code 0A000: WITH clause containing a data-modifying statement"), "{fit:?}");
        database.remove().await;
    }
}

#[tokio::test]
async fn a_connection_that_is_refused_says_why() {
    for database in databases().await.into_iter().filter(|database| database.engine != Engine::Sqlite) {
        let postgres = database.engine == Engine::Postgres;
        let missing = open(&format!("{}_missing", database.url), "table = \"unit\"").ready().await.unwrap_err();
        let expected = if postgres { "does not exist (code 3D000)" } else { "(code 1049)" };
        assert!(missing.to_string().starts_with("the server has no such database: "), "{missing}");
        assert!(missing.to_string().contains(expected), "{missing}");
        let wrong = as_account(&database.url, "nobody_at_all", "wrong");
        let refused = open(&wrong, "table = \"unit\"").ready().await.unwrap_err();
        let expected = if postgres { "\"nobody_at_all\" (code 28P01)" } else { "'nobody_at_all'@" };
        assert!(refused.to_string().contains(expected), "{refused}");
        assert!(!refused.to_string().contains("wrong@"), "{refused}");
        database.remove().await;
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = open(&format!("postgres://a:b@127.0.0.1:{closed}/x"), "table = \"unit\"").ready().await.unwrap_err();
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

/// The password is not in the message, the way to write it is.
#[test]
fn an_address_whose_password_has_signs_of_its_own_is_told_how_to_be_written() {
    let mapping = mapping("table = \"unit\"");
    for scheme in ["postgres", "mysql"] {
        for password in ["se/cret", "se#cret", "se?cret", "12/cret", "se@c:ret/", "p@ss/cret"] {
            let said = open_at(&format!("{scheme}://user:{password}@127.0.0.1:1/x"), &mapping).unwrap_err();
            assert!(said.contains("percent-encoded: @ %40, : %3A, / %2F"), "{password}: {said}");
            assert!(!said.contains("cret"), "{said}");
        }
        for good in ["user:se%2Fcret@127.0.0.1:1/x", "user@127.0.0.1:1/x", "127.0.0.1:1/x?user=a@b"] {
            assert!(open_at(&format!("{scheme}://{good}"), &mapping).is_ok(), "{good}");
        }
    }
}

/// An account that may read some columns only: what it may not read is named, its own columns are read and drafted.
#[tokio::test]
async fn a_column_the_account_may_not_read_is_named() {
    for database in databases().await.into_iter().filter(|database| database.engine != Engine::Sqlite) {
        let postgres = database.engine == Engine::Postgres;
        let account = format!("reader_{}_{}", std::process::id(), if postgres { "p" } else { "m" });
        database
            .run("CREATE TABLE unit (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(10) NOT NULL UNIQUE, name VARCHAR(50));
                  CREATE TABLE closed (code VARCHAR(10), name VARCHAR(50));
                  INSERT INTO unit VALUES (1, '1055507', 'Sở Y tế'), (2, '1055508', 'Sở Nội vụ');")
            .await;
        let grants = if postgres {
            format!("CREATE ROLE {account} LOGIN PASSWORD 'x'; GRANT SELECT (code) ON unit TO {account}")
        } else {
            format!("CREATE USER {account} IDENTIFIED BY 'x'; GRANT SELECT (code) ON unit TO {account}")
        };
        database.run_as_is(&grants).await;
        let url = as_account(&database.url, &account, "x");
        let fit = open(&url, "table = \"unit\"").fit().await.unwrap();
        let expected = if postgres {
            "field name: the account may not read column unit.name: GRANT SELECT (\"name\")"
        } else {
            "field name: table unit has no column name; known are code; or the account may not read it"
        };
        assert!(fit.problems.len() == 1 && fit.problems[0].contains(expected), "{fit:?}");
        if postgres {
            let fit = open(&url, "table = \"closed\"").fit().await.unwrap();
            assert!(
                fit.problems[0].contains("the account may not read table closed: GRANT SELECT ON closed"),
                "{fit:?}"
            );
        }
        // The primary key may not be read; the other key serves.
        let own = mapping_of("table = \"unit\"", "");
        let source = open_at(&url, &own).unwrap();
        assert_eq!(source.fit().await.unwrap().problems, [""; 0]);
        assert_eq!(source.survey(UNIT, &SurveyOptions::default(), |_, _| {}).await.unwrap().rows, 2);
        let request = DraftRequest {
            source: "x".to_owned(),
            record_types: vec![Schema::builtin().unwrap().record_type(UNIT).unwrap().clone()],
            table: Some("unit".to_owned()),
            sample: true,
            known: Vec::new(),
        };
        let drafted = adapter_sdk::draft(&SecretUrl::new(&url), &request).await.unwrap().text;
        assert!(drafted.contains("code = { from = \"code\"") && !drafted.contains("\"id\""), "{drafted}");
        drop(source);
        if postgres {
            database.run_as_is(&format!("DROP OWNED BY {account}; DROP ROLE {account}")).await;
        } else {
            database.run_as_is(&format!("DROP USER {account}")).await;
        }
        database.remove().await;
    }
}

/// A database of an encoding it does not know itself: what its bytes mean, the mapping says.
#[tokio::test]
async fn a_database_without_an_encoding_is_read_by_the_mappings() {
    for mut database in databases().await.into_iter().filter(|database| database.engine == Engine::Postgres) {
        let name = format!("sdk_ascii_{}", std::process::id());
        database
            .run_as_is(&format!(
                "CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            ))
            .await;
        let url = format!("{}/{name}", database.url.rsplit_once('/').unwrap().0);
        let home = std::mem::replace(&mut database.url, url.clone());
        // "Sở Y tế" in TCVN3, as iconv -t TCVN5712-1 gives it.
        database
            .run_as_is(
                "CREATE TABLE unit (code VARCHAR(10), name VARCHAR(50));
                 INSERT INTO unit VALUES ('1055507', E'S\\xeb Y t\\xd5');",
            )
            .await;
        let source = open_at(&url, &mapping_of("table = \"unit\"", NAME_IN_TCVN3)).unwrap();
        let record_type = source.describe().record(UNIT).unwrap().record_type.clone();
        let request = FetchRequest {
            fields: record_type.all_fields(),
            record_type,
            key: Key { kind: IdentifierKind::BudgetUnitCode, value: "1055507".to_owned() },
            deadline: Instant::now() + Duration::from_secs(20),
            behalf: std::sync::Arc::default(),
        };
        let found = source.fetch(&request).await.unwrap();
        assert_eq!(serde_json::to_value(&found.records[0].message).unwrap()["name"], "Sở Y tế");
        drop(source);
        database.url = home;
        database.run_as_is(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
        database.remove().await;
    }
}
