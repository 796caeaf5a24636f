//! An adapter by itself, as hubs call it: what its owner allows for whom and what for, files that change while it serves, and
//! deadlines, callers who go and traces that reach it.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::Span;
use prost_types::FieldMask;
use proto::{
    adapter::v1::{self as wire, adapter_service_client::AdapterServiceClient},
    audit::v1::{self as log, entry::Outcome},
    options::v1::IdentifierKind,
    query::v1::{self as query, subject::Identifier},
};
use sqlx::{Connection as _, PgConnection};
use tests::{Certificate, Databases, Engine, Hub, HubFiles, Settings, channel, error_info, execute, query_client};
use tonic::{Code, Request, Status, transport::Channel};

use crate::{
    reload::{certificate, hang_up, line, revocation_list},
    telemetry::Collector,
};

const UNIT: &str = "lienthong.budget.v1.BudgetUnit";
/// Longest wait for a change to be in force.
const IN_FORCE_MAX: Duration = Duration::from_secs(20);

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

const ALLOW_ALL: &str = "[[allow]]\nsystem = \"H21.90/console\"\n";

/// The files of an adapter, and its database.
struct Stage {
    files: HubFiles,
    url: String,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new(engine: Engine, unit: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
        let files = HubFiles::write(&databases, &Settings::default());
        let url = match engine.server() {
            None => format!("sqlite://{}", folder.path().join("units.sqlite").display()),
            Some(server) => {
                let name = format!("lending_{:08x}", rand::random::<u32>());
                execute(engine, &server, &format!("CREATE DATABASE {name}")).await;
                format!("{}/{name}", server.rsplit_once('/').unwrap().0)
            }
        };
        for statement in unit.split(';') {
            execute(engine, &url, statement).await;
        }
        fs::write(files.path("secrets/units"), &url).unwrap();
        fs::write(files.path("units.toml"), MAPPING).unwrap();
        Self { files, url, _folder: folder }
    }

    fn configure(&self, allow: &str, more: &str) -> PathBuf {
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ntrust_domain = \"test.example\"\n\
             [tls]\ncertificate = \"keys/server.pem\"\nprivate_key = \"keys/server.key\"\n\
             client_authorities = [\"keys/ca.pem\"]\nrevocation_lists = [\"keys/revoked.pem\"]\n\
             [source]\nid = \"units\"\ndatabase = {{ url_file = \"secrets/units\" }}\nmapping = \"units.toml\"\n\
             connections_max = 1\n{allow}\n{more}\n"
        );
        fs::write(self.files.path("keys/revoked.pem"), revocation_list(&self.files, 1, &[])).unwrap();
        let path = self.files.path("adapter.toml");
        fs::write(&path, config).unwrap();
        path
    }

    async fn client(&self, adapter: &Hub, certificate: &Certificate) -> AdapterServiceClient<Channel> {
        AdapterServiceClient::new(channel(adapter, &self.files.authority(), Some(certificate)).await.unwrap())
    }

    /// Lets the hub have this adapter's source and no other.
    fn ask_through(&self, adapter: &Hub, more: &str) {
        let port = adapter.address.rsplit_once(':').unwrap().1;
        let config = fs::read_to_string(self.files.path("config.toml")).unwrap();
        let sources = format!(
            "[[sources]]\nid = \"units\"\nremote = {{ endpoint = \"https://localhost:{port}\", authority = \"keys/ca.pem\", \
             certificate = \"keys/H21.90_console.pem\", private_key = \"keys/H21.90_console.key\" }}\n"
        );
        let others = config.split("[[sources]]").next().unwrap();
        fs::write(self.files.path("config.toml"), format!("{others}{sources}{more}")).unwrap();
    }

    /// What the owner recorded, in order.
    async fn recorded(&self) -> Vec<log::Entry> {
        let key = audit::SigningKey::load(&self.files.path("keys/log.key")).unwrap();
        let location = audit::Location::File(self.files.path("left.sqlite"));
        let log = audit::AuditLog::open(&location, key, audit::Options::default()).await.unwrap();
        let mut entries = Vec::new();
        for index in 0..log.checkpoint().tree_size {
            entries.push(log.entry(index).await.unwrap().entry.unwrap());
        }
        log.close().await;
        entries
    }
}

const RECORD: &str =
    "[record]\ndatabase = \"left.sqlite\"\nsigning_key = \"keys/log.key\"\nsubject_key = \"keys/subject.key\"\n";

fn asked(code: &str, agency: &str, purpose: &str) -> wire::FetchRequest {
    wire::FetchRequest {
        record_type: UNIT.to_owned(),
        kind: IdentifierKind::BudgetUnitCode.into(),
        number: code.to_owned(),
        fields: vec!["code".to_owned(), "name".to_owned()],
        agency: agency.to_owned(),
        system: "portal".to_owned(),
        purpose: purpose.to_owned(),
    }
}

async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < IN_FORCE_MAX, "the change did not come into force");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn refused<T>(answer: Result<T, Status>) -> bool {
    answer.is_err_and(|status| status.code() == Code::PermissionDenied && error_info(&status).0 == "SOURCE_REFUSED")
}

const UNITS: &str =
    "CREATE TABLE unit (code VARCHAR(7), name VARCHAR(50)); INSERT INTO unit VALUES ('1055507', 'Sở Y tế')";

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_allows_for_whom_and_what_for_and_changes_it_while_serving() {
    let stage = Stage::new(Engine::Sqlite, UNITS).await;
    let some = format!("{ALLOW_ALL}agencies = [\"H21.65\"]\npurposes = [\"confirm_residence\"]\n");
    let config = stage.configure(&some, RECORD);
    let adapter = Hub::start_adapter(&config);
    let hub = stage.files.certificate("H21.90/console");
    let mut client = stage.client(&adapter, &hub).await;
    let mut stranger = stage.client(&adapter, &stage.files.certificate("H21.99/all")).await;

    let answer = client.fetch(asked("1055507", "H21.65", "confirm_residence")).await.unwrap().into_inner();
    assert_eq!(answer.records.len(), 1);
    assert!(refused(client.fetch(asked("1055507", "H21.10", "confirm_residence")).await), "another agency");
    assert!(refused(client.fetch(asked("1055507", "H21.65", "identify_applicant")).await), "another purpose");
    assert!(refused(stranger.fetch(asked("1055507", "H21.65", "confirm_residence")).await), "another hub");
    assert!(refused(stranger.describe(wire::DescribeRequest {}).await));
    assert!(refused(stranger.ready(wire::ReadyRequest {}).await));

    // The list changes; a list that is wrong does not come into force.
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("confirm_residence", "identify_applicant"))
        .unwrap();
    until(async || refused(client.fetch(asked("1055507", "H21.65", "confirm_residence")).await).then_some(())).await;
    client.fetch(asked("1055507", "H21.65", "identify_applicant")).await.unwrap();
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, good.replace("H21.90/console", "console")).unwrap();
    line(&adapter, "reload refused", 1).await;
    client.fetch(asked("1055507", "H21.65", "identify_applicant")).await.expect("what was in force stays");
    fs::write(&config, good).unwrap();

    // So does the mapping, and answers say so.
    fs::write(stage.files.path("units.toml"), format!("{MAPPING}# reviewed\n")).unwrap();
    let again = until(async || {
        let again = client.fetch(asked("1055507", "H21.65", "identify_applicant")).await.unwrap().into_inner();
        (again.mapping_digest != answer.mapping_digest).then_some(again)
    });
    assert_eq!(again.await.records[0].record, answer.records[0].record);
    hang_up(&adapter);
    line(&adapter, "trigger=\"signal\"", 1).await;

    // A certificate that is revoked has nothing from then on.
    let mut revoked = stage.client(&adapter, &certificate(&stage.files, 8)).await;
    assert!(refused(revoked.ready(wire::ReadyRequest {}).await), "accepted, but on no list");
    fs::write(stage.files.path("keys/revoked.pem"), revocation_list(&stage.files, 2, &[8])).unwrap();
    until(async || {
        let code = revoked.ready(wire::ReadyRequest {}).await.err().map(|status| status.code());
        (code == Some(Code::Unauthenticated)).then_some(())
    })
    .await;
    client.ready(wire::ReadyRequest {}).await.expect("the hub's own goes on");
    assert!(adapter.stop());

    // All of it is in the owner's record: who, for whom, what for, and what was in force.
    let entries = stage.recorded().await;
    let first =
        entries.iter().find(|entry| entry.outcome() == Outcome::Answered && !entry.accesses.is_empty()).unwrap();
    assert_eq!(first.purpose.as_ref().unwrap().code, "confirm_residence");
    let details = |entry: &log::Entry| -> BTreeMap<String, String> {
        entry.details.iter().map(|detail| (detail.name.clone(), detail.value.clone())).collect()
    };
    assert_eq!(details(first)["on_behalf_of_agency"], "H21.65");
    assert_eq!(first.accesses[0].fields_released, ["code", "name"]);
    let events: Vec<_> = entries.iter().filter_map(|entry| details(entry).remove("event")).collect();
    let count = |name: &str| events.iter().filter(|event| *event == name).count();
    assert_eq!((count("start"), count("reload"), count("reload_refused"), count("stop")), (1, 4, 1, 1), "{events:?}");
    let refusals = entries.iter().filter(|entry| entry.outcome() == Outcome::Refused);
    assert!(refusals.clone().count() >= 3 && refusals.clone().all(|entry| entry.response_digest.is_empty()));
    let all = format!("{entries:?}");
    assert!(!all.contains("1055507"), "numbers stand in the record as keyed hashes");
}

#[tokio::test]
async fn options_that_an_adapter_has_no_use_for_are_refused() {
    let stage = Stage::new(Engine::Sqlite, UNITS).await;
    for option in ["batch_concurrency_max = 3", "readiness_interval_s = 3"] {
        let config = stage.configure(ALLOW_ALL, "");
        let text = fs::read_to_string(&config).unwrap().replace("[server]\n", &format!("[server]\n{option}\n"));
        fs::write(&config, text).unwrap();
        let ended = Command::new(tests::binary()).args(["adapter", "serve", "--config"]).arg(&config).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(option.split(' ').next().unwrap()), "{said}");
    }
}

/// Whoever asks for this code waits for long.
const NAPPING: &str = "CREATE TABLE unit_base (code VARCHAR(7)); INSERT INTO unit_base VALUES ('1055507'), ('1055508'); \
    CREATE VIEW unit AS SELECT code, CASE WHEN code = '1055508' THEN pg_sleep(60)::text ELSE 'Sở Y tế' END AS name FROM unit_base";

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_has_no_place_is_busy_and_not_suspended() {
    if !Engine::Postgres.available() {
        return;
    }
    let stage = Stage::new(Engine::Postgres, NAPPING).await;
    let config = stage.configure(ALLOW_ALL, RECORD);
    // Of two places a hub that is alone may have one.
    let text = fs::read_to_string(&config).unwrap().replace("[server]\n", "[server]\ncalls_max = 2\n");
    fs::write(&config, text).unwrap();
    let adapter = Hub::start_adapter(&config);
    stage.ask_through(&adapter, "");
    let hub = Hub::start(&stage.files);
    let client = query_client(&hub, &stage.files, "H21.99/all").await;
    let ask = async |code: &str| {
        let answer = client.clone().query(question(code)).await.unwrap().into_inner();
        let result = &answer.results[0];
        (result.outcome(), result.failure.as_ref().map(|failure| failure.reason.clone()).unwrap_or_default())
    };
    let mut napping = client.clone();
    // Until it has the place: whoever asks below may hold it for a moment.
    let nap = tokio::spawn(async move {
        let busy = |answer: &query::QueryResponse| {
            answer.results[0].failure.as_ref().is_some_and(|failure| failure.reason == "SOURCE_BUSY")
        };
        while busy(napping.query(question("1055508")).await.unwrap().get_ref()) {}
    });
    let busy = (query::Outcome::Unavailable, "SOURCE_BUSY".to_owned());
    until(async || (ask("1055507").await == busy).then_some(())).await;
    // Many more of them than would open a circuit breaker.
    for _ in 0..40 {
        assert_eq!(ask("1055507").await, busy);
    }
    nap.abort();
    let found = (query::Outcome::Found, String::new());
    until(async || {
        let now = ask("1055507").await;
        assert!(now == busy || now == found, "busy until there is a place, and then at once: {now:?}");
        (now == found).then_some(())
    })
    .await;
    assert!(hub.stop() && adapter.stop());
    drop_database(&stage.url).await;
}

async fn drop_database(url: &str) {
    let (server, name) = url.rsplit_once('/').unwrap();
    execute(Engine::Postgres, &format!("{server}/postgres"), &format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_and_a_caller_who_goes_end_the_work_down_to_the_database() {
    if !Engine::Postgres.available() {
        return;
    }
    let stage = Stage::new(Engine::Postgres, NAPPING).await;
    let mut database = PgConnection::connect(&stage.url).await.unwrap();
    let mut running = async || -> i64 {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lienthong' AND state = 'active' \
             AND datname = current_database()";
        sqlx::query_scalar(count).fetch_one(&mut database).await.unwrap()
    };
    for record in [RECORD, ""] {
        let adapter = Hub::start_adapter(&stage.configure(ALLOW_ALL, record));
        let mut client = stage.client(&adapter, &stage.files.certificate("H21.90/console")).await;
        client.fetch(asked("1055507", "", "")).await.unwrap();

        let mut slow = Request::new(asked("1055508", "", ""));
        slow.set_timeout(Duration::from_millis(700));
        let begun = Instant::now();
        assert!(client.fetch(slow).await.is_err());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        // The only connection is free again at once, and the database stops soon after.
        client.fetch(asked("1055507", "", "")).await.expect("the next caller is served");
        until(async || (running().await == 0).then_some(())).await;

        let mut gone = client.clone();
        let call = tokio::spawn(async move { gone.fetch(asked("1055508", "", "")).await });
        until(async || (running().await == 1).then_some(())).await;
        call.abort();
        client.fetch(asked("1055507", "", "")).await.expect("the next caller is served");
        until(async || (running().await == 0).then_some(())).await;
        assert!(adapter.stop());
    }
    let reasons: Vec<_> = stage.recorded().await.into_iter().map(|entry| entry.reason).collect();
    let count = |reason: &str| reasons.iter().filter(|found| *found == reason).count();
    // Whether the deadline's end is noticed by the adapter or told by the caller is a race.
    assert_eq!(count("SOURCE_TIMEOUT") + count("CALLER_GONE"), 2, "{reasons:?}");
    assert!(count("CALLER_GONE") >= 1, "{reasons:?}");
    drop(database);
    drop_database(&stage.url).await;
}

/// A question to the hub for the name of a unit.
fn question(code: &str) -> query::QueryRequest {
    query::QueryRequest {
        subject: Some(query::Subject { identifier: Some(Identifier::BudgetUnitCode(code.to_owned())) }),
        selections: vec![query::Selection {
            record_type: UNIT.to_owned(),
            field_mask: Some(FieldMask { paths: vec!["name".to_owned()] }),
        }],
        purpose: Some(query::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(query::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_holds_the_hubs_spans_and_the_adapters() {
    let collector = Collector::default();
    let telemetry = format!("[telemetry]\notlp_endpoint = \"http://{}\"\n", collector.serve().await);
    let stage = Stage::new(Engine::Sqlite, UNITS).await;
    let adapter = Hub::start_adapter(&stage.configure(ALLOW_ALL, &format!("{RECORD}{telemetry}")));
    stage.ask_through(&adapter, &telemetry);
    let hub = Hub::start(&stage.files);
    let mut client = query_client(&hub, &stage.files, "H21.99/all").await;
    let mut request = Request::new(question("1055507"));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    request.metadata_mut().insert("traceparent", format!("00-{trace}-b7ad6b7169203331-01").parse().unwrap());
    let answer = client.query(request).await.unwrap().into_inner();
    assert_eq!(answer.results[0].outcome(), query::Outcome::Found);
    // Stopping sends what is left.
    assert!(hub.stop() && adapter.stop());
    tokio::time::sleep(Duration::from_millis(200)).await;

    let spans = collector.spans(trace);
    let named = |name: &str| -> Vec<&Span> { spans.iter().filter(|span| span.name == name).collect() };
    let call = named("lienthong.adapter.v1.AdapterService/Fetch")[0];
    let source = named("source")[0];
    assert_eq!(call.parent_span_id, source.span_id, "the adapter's call is a child of the hub's asking");
    assert!(named("fetch").iter().any(|fetch| fetch.parent_span_id == call.span_id), "the engine's work is below it");
    let entries = stage.recorded().await;
    let entry = entries.iter().find(|entry| !entry.accesses.is_empty()).unwrap();
    assert_eq!(entry.trace_id, trace);
    assert_eq!(entry.purpose.as_ref().unwrap().code, "test_everything", "the hub says what for");
    assert!(entry.details.iter().any(|detail| detail.name == "on_behalf_of_agency" && detail.value == "H21.99"));
}
