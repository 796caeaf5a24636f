//! The generator against plain SQL: what is written is read back without any of the engine that will read it in earnest.

mod consistency;
mod rates;
mod servers;

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use crate::{Plan, Sector, Summary, SyntheticError, Target, write};

/// A written population: its summary, its truth, its databases.
struct Written {
    summary: Summary,
    truth: Vec<u8>,
    folder: tempfile::TempDir,
}

fn targets(folder: &Path) -> Vec<Target> {
    Sector::ALL
        .into_iter()
        .map(|sector| Target { sector, url: format!("sqlite://{}/{sector}.db", folder.display()) })
        .collect()
}

async fn written(plan: &Plan) -> Written {
    let folder = tempfile::tempdir().unwrap();
    let mut truth = Vec::new();
    let summary = write(plan, &targets(folder.path()), Some(&mut truth), |_| {}).await.unwrap();
    Written { summary, truth, folder }
}

impl Written {
    async fn database(&self, sector: Sector) -> SqliteConnection {
        SqliteConnection::connect(&format!("sqlite://{}/{sector}.db", self.folder.path().display())).await.unwrap()
    }

    /// The rows of a statement, each as its columns' text.
    async fn texts(&self, sector: Sector, statement: &str) -> Vec<Vec<Option<String>>> {
        let mut database = self.database(sector).await;
        let rows = sqlx::query(AssertSqlSafe(statement.to_owned())).fetch_all(&mut database).await.unwrap();
        rows.iter().map(|row| (0..row.len()).map(|at| row.try_get_unchecked(at).unwrap()).collect()).collect()
    }

    async fn number(&self, sector: Sector, statement: &str) -> i64 {
        let mut database = self.database(sector).await;
        sqlx::query_scalar(AssertSqlSafe(statement.to_owned())).fetch_one(&mut database).await.unwrap()
    }

    fn truths(&self) -> Vec<Value> {
        self.truth
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn equal_seeds_give_equal_bytes_and_others_do_not() {
    let first = written(&Plan::new(400, 7)).await;
    let second = written(&Plan::new(400, 7)).await;
    let other = written(&Plan::new(400, 8)).await;
    assert_eq!(first.truth, second.truth);
    assert_ne!(first.truth, other.truth);
    for sector in Sector::ALL {
        let file = |written: &Written| std::fs::read(written.folder.path().join(format!("{sector}.db"))).unwrap();
        assert_eq!(file(&first), file(&second), "{sector}");
        assert_ne!(file(&first), file(&other), "{sector}");
    }
}

#[tokio::test]
async fn a_larger_population_begins_with_the_same_people() {
    let names = "SELECT \"id\", \"Ho\", \"Ten\", \"SoDinhDanh\" FROM \"cong_dan\" WHERE \"id\" <= 200 ORDER BY \"id\"";
    let small = written(&Plan::new(400, 3)).await.texts(Sector::Population, names).await;
    let large = written(&Plan::new(900, 3)).await.texts(Sector::Population, names).await;
    assert!(small.len() >= 100);
    // Who heads units and firms depends on how many there are, who lives does not.
    assert_eq!(small, large);
}

#[tokio::test]
async fn every_record_with_a_key_has_its_truth() {
    let written = written(&Plan::new(2_000, 1)).await;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for truth in written.truths() {
        *counts.entry(truth["record_type"].as_str().unwrap().to_owned()).or_default() += 1;
        assert!(!truth["keys"].as_object().unwrap().is_empty());
    }
    let rows = &written.summary.rows;
    assert_eq!(counts["lienthong.population.v1.Resident"], rows["cong_dan"]);
    assert_eq!(counts["lienthong.judicial.v1.CriminalRecordSummary"], rows["ho_so"]);
    assert_eq!(counts["lienthong.judicial.v1.CriminalRecordDetail"], rows["ho_so"]);
    assert_eq!(counts["lienthong.insurance.v1.SocialInsuranceParticipation"], rows["nguoi_tham_gia"]);
    assert_eq!(counts["lienthong.insurance.v1.HealthInsuranceCoverage"], rows["the_bhyt"]);
    assert_eq!(counts["lienthong.business.v1.EnterpriseRegistration"], rows["DOANH_NGHIEP"]);
    assert_eq!(counts["lienthong.budget.v1.BudgetUnit"], rows["don_vi"]);
    assert_eq!(counts["lienthong.civilstatus.v1.BirthRegistration"], rows["khai_sinh"]);
    assert_eq!(counts.len(), 11);
}

#[tokio::test]
async fn without_defects_the_truth_names_none() {
    let plan = Plan { rates: crate::Rates::none(), ..Plan::new(1_000, 5) };
    let written = written(&plan).await;
    let allowed = ["year_as_january_first", "unmappable_letter", "lost_capital", "contradicts_personal_id"];
    assert!(written.summary.defects.keys().all(|kind| allowed.contains(kind)), "{:?}", written.summary.defects);
    // Only the person chosen to be disputed.
    assert_eq!(written.summary.defects.get("contradicts_personal_id").copied().unwrap_or_default() % 2, 0);
    let text = written.texts(Sector::Population, "SELECT \"Cha_HoVaTen\" FROM \"cong_dan\"").await;
    assert!(text.iter().flatten().flatten().all(|name| !name.contains("  ") && name.to_uppercase() != *name));
}

#[tokio::test]
async fn tables_are_replaced_on_request_only() {
    let folder = tempfile::tempdir().unwrap();
    let targets = targets(folder.path());
    let plan = Plan::new(100, 1);
    let first = write(&plan, &targets, None, |_| {}).await.unwrap();
    let again = write(&plan, &targets, None, |_| {}).await;
    assert!(matches!(again, Err(SyntheticError::TableExists { .. })), "{again:?}");
    let replaced = write(&Plan { replace: true, ..plan }, &targets, None, |_| {}).await.unwrap();
    assert_eq!(first.rows, replaced.rows);
}

#[tokio::test]
async fn wrong_plans_and_targets_are_refused() {
    let target = |sector, url: &str| Target { sector, url: url.to_owned() };
    let run = async |people, targets: &[Target]| write(&Plan::new(people, 1), targets, None, |_| {}).await;
    assert!(matches!(run(19, &[]).await, Err(SyntheticError::PeopleOutOfRange { people: 19 })));
    assert!(matches!(run(2_000_001, &[]).await, Err(SyntheticError::PeopleOutOfRange { .. })));
    let unknown = run(20, &[target(Sector::Insurance, "oracle://db")]).await;
    assert!(matches!(unknown, Err(SyntheticError::UnknownEngine { sector: Sector::Insurance })));
    let missing = run(20, &[target(Sector::Insurance, "sqlite:///no/such/folder/x.db")]).await;
    assert!(matches!(missing, Err(SyntheticError::Database { sector: Sector::Insurance, .. })));
    let twice = [target(Sector::Population, "sqlite::memory:"), target(Sector::Population, "sqlite::memory:")];
    assert!(matches!(run(20, &twice).await, Err(SyntheticError::DuplicateTarget { .. })));
}

#[tokio::test]
async fn progress_reaches_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut steps = Vec::new();
    write(&Plan::new(2_345, 1), &targets(folder.path()), None, |progress| steps.push(progress)).await.unwrap();
    assert!(steps.len() >= 3 && steps.is_sorted_by_key(|step| step.people));
    let last = steps.last().unwrap();
    assert_eq!((last.people, last.people_total), (2_345, 2_345));
}

#[tokio::test]
async fn the_cast_is_where_it_is_said_to_be() {
    for seed in 1..6 {
        let written = written(&Plan::new(400, seed)).await;
        let cast = &written.summary.cast;
        let everywhere = cast.everywhere.as_ref().unwrap();
        let id = &everywhere.personal_id;
        for (sector, statement) in [
            (Sector::Population, format!("SELECT count(*) FROM \"cong_dan\" WHERE \"SoDinhDanh\" = '{id}'")),
            (Sector::CivilStatus, format!("SELECT count(*) FROM \"khai_sinh\" WHERE \"soDinhDanh\" = '{id}'")),
            (
                Sector::JudicialRecords,
                format!(
                    "SELECT count(*) FROM \"ho_so\" JOIN \"an_tich\" ON \"ho_so_id\" = \"ho_so\".\"id\" \
                     WHERE \"personalId\" = '{id}' AND \"DA_XOA_AN_TICH\" = 1"
                ),
            ),
            (Sector::Insurance, format!("SELECT count(*) FROM \"nguoi_tham_gia\" WHERE \"soDinhDanh\" = '{id}'")),
            (
                Sector::BudgetUnits,
                format!("SELECT count(*) FROM \"don_vi\" WHERE \"thu_truong_so_dinh_danh\" = '{id}'"),
            ),
        ] {
            assert!(written.number(sector, &statement).await > 0, "{sector} seed {seed}");
        }
        let firm = cast.enterprise_code.as_ref().unwrap();
        let statement = format!(
            "SELECT count(*) FROM \"DOANH_NGHIEP\" JOIN \"NGUOI_DAI_DIEN\" USING (\"ENTERPRISE_ID\") \
             WHERE \"ENTERPRISE_GDT_CODE\" = '{firm}' AND \"SO_DINH_DANH\" = '{id}'"
        );
        assert_eq!(written.number(Sector::BusinessRegistry, &statement).await, 1, "seed {seed}");

        let disputed = &cast.disputed.as_ref().unwrap().personal_id;
        let year = |column: &str, table: &str, key: &str| {
            format!(
                "SELECT CAST(substr(\"{column}\", 1, 4) AS INTEGER) FROM \"{table}\" WHERE \"{key}\" = '{disputed}'"
            )
        };
        let registered = written.number(Sector::Population, &year("NgaySinh", "cong_dan", "SoDinhDanh")).await;
        let insured = written.number(Sector::Insurance, &year("ngaySinh", "nguoi_tham_gia", "soDinhDanh")).await;
        assert_eq!(insured, registered - 2, "seed {seed}");

        let card = cast.known_by_card.as_ref().unwrap().legacy_id.as_ref().unwrap();
        let statement = format!("SELECT count(*) FROM \"cong_dan\" WHERE \"SoCMND\" = '{card}'");
        assert_eq!(written.number(Sector::Population, &statement).await, 1, "seed {seed}");
    }
}
