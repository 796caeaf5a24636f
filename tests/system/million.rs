//! `adapter check` over a table of a million rows: memory that does not grow with the table, one connection, which is
//! read-only and asks in pages of a key.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection, SqliteConnection};
use tests::{Engine, binary};

const MAPPING: &str = r#"
source = "million"
label_vi = "Triệu dòng"
label_en = "A million rows"
owner = "nobody"
[[record]]
type = "lienthong.budget.v1.BudgetUnit"
table = "unit"
as_of = "at"
[record.lookup]
budget_unit_code = ["code"]
[record.fields]
code = { from = "code", convert = "budget_unit_code", required = true }
name = { from = "name", convert = "org_name" }
decision_date = { from = "day", convert = "partial_date", format = "dd/MM/yyyy" }
head_name = { from = "head", convert = "person_name" }
"#;

/// What a server gives a user to read: the address, and one to make and drop the database.
struct Place {
    engine: Engine,
    url: String,
    server: Option<(String, String)>,
}

impl Place {
    fn new(engine: Engine, folder: &Path) -> Self {
        let Some(server) = engine.server() else {
            return Self { engine, url: format!("sqlite://{}", folder.join("million.sqlite").display()), server: None };
        };
        let name = format!("million_{:08x}", rand::random::<u32>());
        let (base, _) = server.rsplit_once('/').expect("the address of a server ends in a database");
        Self { engine, url: format!("{base}/{name}"), server: Some((server.clone(), name)) }
    }

    async fn run(&self, url: &str, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self.engine {
            Engine::Postgres => {
                let mut connection = PgConnection::connect(url).await.unwrap();
                connection.execute(sqlx::raw_sql(sql)).await.unwrap();
            }
            Engine::MySql => {
                let mut connection = MySqlConnection::connect(url).await.unwrap();
                connection.execute(sqlx::raw_sql(sql)).await.unwrap();
            }
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
                connection.execute(sqlx::raw_sql(sql)).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }

    /// A table of so many rows, one in ten with a defect in its name and one in twenty in its date.
    async fn fill(&self, rows: u64) {
        if let Some((server, name)) = &self.server {
            self.run(server, &format!("CREATE DATABASE {name}")).await;
        }
        let table = "CREATE TABLE unit (code VARCHAR(7) PRIMARY KEY, name VARCHAR(80), day VARCHAR(10), head VARCHAR(60), \
                     at VARCHAR(20))";
        let (from, digits) = match self.engine {
            Engine::Postgres => {
                (format!("generate_series(0, {}) AS s(n)", rows - 1), "CAST(1000000 + n AS VARCHAR(7))")
            }
            Engine::MySql => (format!("(SELECT seq - 1 AS n FROM seq_1_to_{rows}) s"), "CAST(1000000 + n AS CHAR(7))"),
            Engine::Sqlite => (
                format!(
                    "(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < {}) SELECT n FROM c)",
                    rows - 1
                ),
                "CAST(1000000 + n AS TEXT)",
            ),
        };
        let charset = if self.engine == Engine::MySql { " CHARACTER SET utf8mb4" } else { "" };
        self.run(&self.url, &format!("{table}{charset}")).await;
        let rows = format!(
            "INSERT INTO unit SELECT {digits}, CASE WHEN n % 10 = 0 THEN 'Sở  Tài chính' ELSE 'Sở Tài chính' END, \
             CASE WHEN n % 20 = 0 THEN '31/02/2009' ELSE '03/02/2009' END, 'Nguyễn Thị Hồng Nhung', '2026-01-02 03:04:05' FROM {from}"
        );
        self.run(&self.url, &rows).await;
    }

    async fn remove(&self) {
        if let Some((server, name)) = &self.server {
            self.run(server, &format!("DROP DATABASE {name}")).await;
        }
    }

    /// How many connections of the engine's the database sees.
    async fn connections(&self) -> Option<i64> {
        let mut connection = match self.engine {
            Engine::Postgres => PgConnection::connect(&self.url).await.ok()?,
            _ => return None,
        };
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lienthong' AND datname = current_database()";
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.ok()
    }
}

/// What one check needed.
struct Needed {
    report: serde_json::Value,
    peak_mb: f64,
    time: Duration,
    connections_max: i64,
}

async fn check(place: &Place, folder: &Path) -> Needed {
    let (mapping, address) = (folder.join("mapping.toml"), folder.join("address"));
    fs::write(&mapping, MAPPING).unwrap();
    fs::write(&address, &place.url).unwrap();
    let begun = Instant::now();
    let mut child = Command::new(binary())
        .args(["adapter", "check", "--json", "--mapping", mapping.to_str().unwrap(), "--database"])
        .arg(format!("file:{}", address.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut peak_mb, mut connections_max) = (0.0_f64, 0);
    while child.try_wait().unwrap().is_none() {
        peak_mb = peak_mb.max(resident_peak(child.id()).unwrap_or_default());
        connections_max = connections_max.max(place.connections().await.unwrap_or_default());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let report = serde_json::from_slice(&output.stdout).unwrap();
    Needed { report, peak_mb, time: begun.elapsed(), connections_max }
}

/// The most memory the process ever held, in MB.
fn resident_peak(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_rows_are_checked_in_constant_memory() {
    let (few, many) = if tests::long() { (50_000, 1_000_000) } else { (1_000, 10_000) };
    println!(
        "{:<10} {:>9} {:>8} {:>9} {:>12} {:>12}",
        "engine", "rows", "time", "rows/s", "peak memory", "connections"
    );
    for engine in [Engine::Sqlite, Engine::Postgres, Engine::MySql] {
        if !engine.available() {
            continue;
        }
        let mut peaks = Vec::new();
        for rows in [few, many] {
            let folder = tempfile::tempdir().unwrap();
            let place = Place::new(engine, folder.path());
            place.fill(rows).await;
            let needed = check(&place, folder.path()).await;
            place.remove().await;
            let record = &needed.report["records"][0];
            assert_eq!(record["rows"], rows, "{}", needed.report);
            println!(
                "{:<10} {rows:>9} {:>6.1} s {:>9.0} {:>9.1} MB {:>12}",
                format!("{engine:?}"),
                needed.time.as_secs_f64(),
                rows as f64 / needed.time.as_secs_f64(),
                needed.peak_mb,
                needed.connections_max
            );
            assert!(needed.connections_max <= 1, "{} connections", needed.connections_max);
            peaks.push(needed.peak_mb);
        }
        assert!(peaks[1] < peaks[0] * 1.3 + 4.0, "{engine:?}: memory grows with the table: {peaks:?} MB");
    }
}
