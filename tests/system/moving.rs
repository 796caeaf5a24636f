//! A source that moves, on servers of the test's own: its database restarts, goes away while a replica is there, changes its
//! password, and changes its table. Each time the hub says so for that source alone, and is well again without a restart.

use std::{
    fs,
    time::{Duration, Instant},
};

use prost_types::FieldMask;
use proto::{
    Schema,
    query::v1::{self as wire, query_service_client::QueryServiceClient, subject::Identifier},
};
use synthetic::Sector;
use tests::{DATABASE, Databases, Engine, Hub, HubFiles, Server, Settings, query_client};
use tonic::transport::Channel;

const UNIT: &str = "lienthong.budget.v1.BudgetUnit";
const RESIDENT: &str = "lienthong.population.v1.Resident";
/// Longest wait until the hub has seen a change.
const SEEN_MAX: Duration = Duration::from_secs(30);

const MAPPING: &str = r#"
source = "units"
label_vi = "Thử"
label_en = "Test"
owner = "nobody"
[[record]]
type = "lienthong.budget.v1.BudgetUnit"
table = "unit"
[record.lookup]
budget_unit_code = ["code"]
[record.fields]
code = { from = "code", convert = "budget_unit_code" }
name = { from = "name", convert = "org_name" }
"#;

/// The statements that make the register on a server, whose unit has a name of its own.
fn register(engine: Engine, name: &str) -> Vec<String> {
    let account = match engine {
        Engine::Postgres => ["CREATE USER app PASSWORD 'old'", "GRANT SELECT ON unit TO app"],
        _ => ["CREATE USER app@'127.0.0.1' IDENTIFIED BY 'old'", "GRANT SELECT ON register.* TO app@'127.0.0.1'"],
    };
    let table = ["CREATE TABLE unit (code VARCHAR(7), name VARCHAR(50))".to_owned()];
    let row = [format!("INSERT INTO unit VALUES ('1055507', '{name}')")];
    table.into_iter().chain(row).chain(account.map(str::to_owned)).collect()
}

struct Stage {
    engine: Engine,
    server: Server,
    replica: Server,
    files: HubFiles,
    hub: Hub,
    somebody: String,
    client: QueryServiceClient<Channel>,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn set(engine: Engine) -> Self {
        let (server, replica) = (Server::start(engine).await, Server::start(engine).await);
        for (server, name) in [(&server, "Chính"), (&replica, "Bản sao")] {
            for statement in register(engine, name) {
                server.administer(&statement, DATABASE).await;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
        let somebody = databases.fill(60, 71, None).await.cast.everywhere.unwrap().personal_id;
        let files = HubFiles::write(&databases, &Settings::default());
        fs::write(files.path("units.toml"), MAPPING).unwrap();
        fs::write(files.path("secrets/units"), server.url("app", "old")).unwrap();
        fs::write(files.path("secrets/replica"), replica.url("app", "old")).unwrap();
        let config = fs::read_to_string(files.path("config.toml")).unwrap();
        let others = config.split("[[sources]]").next().unwrap();
        let population = Sector::Population.as_str();
        let sources = format!(
            "[[sources]]\nid = \"{population}\"\ndatabase = {{ url_file = \"secrets/{population}\" }}\n\
             [[sources]]\nid = \"units\"\nmapping = \"units.toml\"\ndatabase = {{ url_file = \"secrets/units\" }}\n"
        );
        fs::write(files.path("config.toml"), format!("{others}{sources}")).unwrap();
        let hub = Hub::start(&files);
        let client = query_client(&hub, &files, "H21.99/all").await;
        Self { engine, server, replica, files, hub, somebody, client, _folder: folder }
    }

    async fn ask(&mut self, record_type: &str, field: &str, subject: Identifier) -> wire::SelectionResult {
        let request = wire::QueryRequest {
            subject: Some(wire::Subject { identifier: Some(subject) }),
            selections: vec![wire::Selection {
                record_type: record_type.to_owned(),
                field_mask: Some(FieldMask { paths: vec![field.to_owned()] }),
            }],
            purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
            officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
            required_sources: Vec::new(),
        };
        self.client.query(request).await.expect("the hub answers").into_inner().results.remove(0)
    }

    /// What the register says: the name of the unit, or why not. All the while the other source answers.
    async fn says(&mut self) -> Result<String, String> {
        let somebody = Identifier::PersonalId(self.somebody.clone());
        let other = self.ask(RESIDENT, "full_name", somebody).await;
        assert_eq!(other.outcome(), wire::Outcome::Found, "the other source goes on");
        let unit = self.ask(UNIT, "name", Identifier::BudgetUnitCode("1055507".to_owned())).await;
        match unit.failure {
            Some(failure) => Err(failure.reason),
            None => {
                let descriptor = Schema::builtin().unwrap().record_type(UNIT).unwrap().descriptor.clone();
                let value = unit.records[0].value.as_ref().unwrap();
                let record = prost_reflect::DynamicMessage::decode(descriptor, value.value.as_slice()).unwrap();
                Ok(record.get_field_by_name("name").unwrap().as_str().unwrap().to_owned())
            }
        }
    }

    async fn until(&mut self, wanted: Result<&str, &[&str]>) {
        let begun = Instant::now();
        loop {
            let said = self.says().await;
            let as_wanted = match (&said, wanted) {
                (Ok(name), Ok(wanted)) => name == wanted,
                (Err(reason), Err(wanted)) => wanted.contains(&reason.as_str()),
                _ => false,
            };
            if as_wanted {
                return;
            }
            assert!(begun.elapsed() < SEEN_MAX, "{:?}: the source says {said:?}, not {wanted:?}", self.engine);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn restart(&mut self) {
        self.server.stop();
        self.until(Err(&["SOURCE_UNREACHABLE", "SOURCE_SUSPENDED"])).await;
        self.server.again().await;
        self.until(Ok("Chính")).await;
    }

    /// A replica that the configuration names, from a reload on, answers while the database is away.
    async fn fail_over(&mut self) {
        let config = fs::read_to_string(self.files.path("config.toml")).unwrap();
        fs::write(self.files.path("config.toml"), format!("{config}replica = {{ url_file = \"secrets/replica\" }}\n"))
            .unwrap();
        crate::reload::line(&self.hub, " reloaded ", 1).await;
        self.server.stop();
        self.until(Ok("Bản sao")).await;
        for _ in 0..20 {
            assert_eq!(self.says().await, Ok("Bản sao".to_owned()), "every call is answered");
        }
        self.server.again().await;
        self.until(Ok("Chính")).await;
        fs::write(self.files.path("config.toml"), config).unwrap();
        crate::reload::line(&self.hub, " reloaded ", 2).await;
    }

    /// The password changes; until the hub's file does, the source says what is wrong.
    async fn rotate(&mut self) {
        let (change, disconnect) = match self.engine {
            Engine::Postgres => (
                "ALTER USER app PASSWORD 'new'",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'",
            ),
            _ => ("ALTER USER app@'127.0.0.1' IDENTIFIED BY 'new'", "KILL USER app@'127.0.0.1'"),
        };
        self.server.administer(change, DATABASE).await;
        let begun = Instant::now();
        loop {
            // Again and again: a connection that was being made with the old password stands in no list yet.
            self.server.administer(disconnect, DATABASE).await;
            let said = self.says().await;
            if said == Err("SOURCE_CREDENTIALS".to_owned()) {
                break;
            }
            assert!(begun.elapsed() < SEEN_MAX, "{:?}: the source says {said:?} with the old password", self.engine);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        fs::write(self.files.path("secrets/units"), self.server.url("app", "new")).unwrap();
        self.until(Ok("Chính")).await;
    }

    /// A column vanishes, and comes back.
    async fn drift(&mut self) {
        self.server.administer("ALTER TABLE unit RENAME COLUMN name TO title", DATABASE).await;
        self.until(Err(&["SOURCE_SCHEMA_CHANGED"])).await;
        self.server.administer("ALTER TABLE unit RENAME COLUMN title TO name", DATABASE).await;
        self.until(Ok("Chính")).await;
    }
}

async fn moves(engine: Engine) {
    if !Server::available(engine) {
        return;
    }
    let mut stage = Stage::set(engine).await;
    stage.until(Ok("Chính")).await;
    stage.restart().await;
    stage.fail_over().await;
    stage.rotate().await;
    stage.drift().await;
    assert!(stage.hub.stop());
    drop(stage.replica);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_restarts_fails_over_changes_its_password_and_its_table() {
    moves(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_restarts_fails_over_changes_its_password_and_its_table() {
    moves(Engine::MySql).await;
}
