//! PostgreSQL and MariaDB, where the environment names a server.

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, Row};

use super::targets;
use crate::{Plan, Sector, Summary, SyntheticError, Target, write};

const PEOPLE: u64 = 1_000;

/// The server a variable names; without one the test says so and passes.
fn server(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok();
    if url.is_none() {
        println!("skipped: {variable} names no server");
    }
    url
}

fn all_in(url: &str) -> Vec<Target> {
    Sector::ALL.into_iter().map(|sector| Target { sector, url: url.to_owned() }).collect()
}

fn with_database(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').filter(|(server, _)| !server.ends_with('/')).unwrap_or((url, ""));
    format!("{server}/{database}")
}

/// What SQLite holds of the same plan: truth and rows.
async fn reference() -> (Summary, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let mut truth = Vec::new();
    let summary = write(&Plan::new(PEOPLE, 3), &targets(folder.path()), Some(&mut truth), |_| {}).await.unwrap();
    (summary, truth)
}

#[tokio::test]
async fn postgres_holds_the_same() {
    let Some(url) = server("LIENTHONG_TEST_POSTGRES") else { return };
    let database = format!("synthetic_{}", std::process::id());
    let mut admin = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {database}"))).execute(&mut admin).await.unwrap();
    let url = with_database(&url, &database);
    let (expected, expected_truth) = reference().await;
    let mut truth = Vec::new();
    let summary = write(&Plan::new(PEOPLE, 3), &all_in(&url), Some(&mut truth), |_| {}).await.unwrap();
    assert_eq!(summary.rows, expected.rows);
    assert!(truth == expected_truth);
    let again = write(&Plan::new(PEOPLE, 3), &all_in(&url), None, |_| {}).await;
    assert!(matches!(again, Err(SyntheticError::TableExists { .. })));

    let mut connection = PgConnection::connect(&url).await.unwrap();
    for (table, rows) in &expected.rows {
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM \"{table}\"")))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(count as u64, *rows, "{table}");
    }
    let bodies = "SELECT count(*) FROM \"ho_so\" WHERE \"issueBody\" = '\\x43ab6e6720616e2074d86e6820476961204c6169'";
    let count: i64 = sqlx::query_scalar(bodies).fetch_one(&mut connection).await.unwrap();
    assert_eq!(count as u64, expected.rows["ho_so"]);
    connection.close().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {database}"))).execute(&mut admin).await.unwrap();
}

#[tokio::test]
async fn mariadb_holds_the_same() {
    let Some(url) = server("LIENTHONG_TEST_MYSQL") else { return };
    let database = format!("synthetic_{}", std::process::id());
    let mut admin = MySqlConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {database}"))).execute(&mut admin).await.unwrap();
    let url = with_database(&url, &database);
    let (expected, expected_truth) = reference().await;
    let mut truth = Vec::new();
    let summary = write(&Plan::new(PEOPLE, 3), &all_in(&url), Some(&mut truth), |_| {}).await.unwrap();
    assert_eq!(summary.rows, expected.rows);
    assert!(truth == expected_truth);

    let mut connection = MySqlConnection::connect(&url).await.unwrap();
    for (table, rows) in &expected.rows {
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM `{table}`")))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(count as u64, *rows, "{table}");
    }
    let row =
        sqlx::query("SELECT count(*) FROM `ho_so` WHERE `issueBody` = X'43ab6e6720616e2074d86e6820476961204c6169'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(row.get::<i64, _>(0) as u64, expected.rows["ho_so"]);
    connection.close().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {database}"))).execute(&mut admin).await.unwrap();
}
