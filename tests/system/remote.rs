//! A source read by an adapter beside its database: the same answers as in process, within what its owner allows, recorded
//! at home, and honest when one side goes away.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use prost_types::FieldMask;
use proto::{
    Schema,
    catalog::v1::{self as catalog, catalog_service_client::CatalogServiceClient},
    query::v1::{self as wire, claim_result::Verdict, subject::Identifier},
};
use serde_json::Value;
use tests::{Databases, Engine, Hub, HubFiles, Settings, binary, client_of, query_client};

use crate::{
    reload::{entries, events, line},
    search::entry,
};

const RESIDENT: &str = "lienthong.population.v1.Resident";
/// Longest wait for the hub to see a change.
const SEEN_MAX: Duration = Duration::from_secs(20);

/// A hub's files, and an adapter's beside them in the same folder.
pub(crate) struct Both {
    pub(crate) files: HubFiles,
    pub(crate) databases: Databases,
    people: Vec<String>,
    port: u16,
}

impl Both {
    pub(crate) async fn new(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let databases = Databases::create(&folder, |_| engine).await;
        let mut truth = Vec::new();
        databases.fill(100, 21, Some(&mut truth)).await;
        let lines = String::from_utf8(truth).unwrap();
        let people = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let people = people.filter(|line| line["sector"] == "population");
        let people =
            people.filter_map(|line| Some(line["keys"]["personal_id"].as_str()?.to_owned())).take(20).collect();
        let files = HubFiles::write(&databases, &Settings::default());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { files, databases, people, port }
    }

    /// Lets the hub ask the adapter instead of the database.
    pub(crate) fn make_remote(&self) {
        let path = self.files.path("config.toml");
        let text = fs::read_to_string(&path).unwrap();
        let own = "database = { url_file = \"secrets/population\" }";
        let remote = format!(
            "remote = {{ endpoint = \"https://localhost:{}\", authority = \"keys/ca.pem\", \
             certificate = \"keys/H21.90_console.pem\", private_key = \"keys/H21.90_console.key\" }}",
            self.port
        );
        assert!(text.contains(own));
        fs::write(&path, text.replace(own, &remote)).unwrap();
    }

    /// Writes the adapter's configuration; `allowed` says which records the hub may have.
    pub(crate) fn adapter_config(&self, allowed: &str) -> PathBuf {
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:{}\"\ntrust_domain = \"test.example\"\n\
             [tls]\ncertificate = \"keys/server.pem\"\nprivate_key = \"keys/server.key\"\nclient_authorities = [\"keys/ca.pem\"]\n\
             [source]\nid = \"population\"\ndatabase = {{ url_file = \"secrets/population\" }}\n\
             [[allow]]\nsystem = \"H21.90/console\"\n{allowed}\n\
             [record]\ndatabase = \"left.sqlite\"\nsigning_key = \"keys/log.key\"\nsubject_key = \"keys/subject.key\"\n",
            self.port
        );
        let path = self.files.path("adapter.toml");
        fs::write(&path, config).unwrap();
        path
    }

    /// What the hub answers about everybody: outcomes, records and marks, without times and receipts.
    async fn answers(&self, hub: &Hub) -> Vec<wire::SelectionResult> {
        let schema = Schema::builtin().unwrap();
        let fields = &schema.record_type(RESIDENT).unwrap().fields;
        let paths: Vec<_> = fields.iter().map(|field| field.path.clone()).collect();
        let mut client = query_client(hub, &self.files, "H21.99/all").await;
        let mut answers = Vec::new();
        for person in &self.people {
            let mut answer = client.query(request(person, &paths)).await.unwrap().into_inner();
            for record in answer.results.iter_mut().flat_map(|result| &mut result.records) {
                let provenance = record.provenance.as_mut().unwrap();
                provenance.retrieved_at = None;
            }
            answers.append(&mut answer.results);
        }
        answers
    }

    /// A field that is not lent makes the answer incomplete, is named to people, and is unknown to those who verify it.
    async fn says_what_is_not_provided(&self, hub: &Hub) {
        let mut client = query_client(hub, &self.files, "H21.99/all").await;
        let person = &self.people[0];
        for (path, complete) in [("full_name", true), ("ethnicity", false)] {
            let answer = client.query(request(person, &[path.to_owned()])).await.unwrap().into_inner();
            let absent: &[String] = if complete { &[] } else { &[path.to_owned()] };
            assert_eq!((answer.complete, answer.results[0].not_provided.as_slice()), (complete, absent));
            let access = entry(hub, &self.files, answer.receipt.unwrap().log_index).await.accesses.remove(0);
            assert_eq!(access.fields_asked, [path]);
            assert_eq!(access.fields_released.is_empty(), !complete, "nobody was told what no source provides");
        }
        let asked = request(person, &[]);
        let claim = |field: &str| wire::Claim {
            record_type: RESIDENT.to_owned(),
            field: field.to_owned(),
            value: "không đúng".to_owned(),
        };
        let claims = vec![claim("full_name"), claim("ethnicity")];
        let wire::QueryRequest { subject, purpose, officer, .. } = asked;
        let verify = wire::VerifyRequest { subject, claims, purpose, officer, required_sources: Vec::new() };
        let results = client.verify(verify).await.unwrap().into_inner().results;
        let said: Vec<_> = results.iter().map(|result| (result.verdict(), result.reason.as_str())).collect();
        assert_eq!(said, [(Verdict::Mismatch, ""), (Verdict::Unknown, "NOT_PROVIDED")]);
    }

    /// Asks about one person until the source fails for this reason.
    async fn until_reason(&self, hub: &Hub, reason: &str) {
        let begun = Instant::now();
        let mut last = String::new();
        while begun.elapsed() < SEEN_MAX {
            last = self.until(hub, wire::Outcome::Unavailable).await.failure.unwrap().reason;
            if last == reason {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the source failed for {last}, not {reason}");
    }

    /// Asks about one person until the outcome is as wanted.
    async fn until(&self, hub: &Hub, wanted: wire::Outcome) -> wire::SelectionResult {
        let mut client = query_client(hub, &self.files, "H21.99/all").await;
        let begun = Instant::now();
        while begun.elapsed() < SEEN_MAX {
            let paths = vec!["full_name".to_owned()];
            let answer = client.query(request(&self.people[0], &paths)).await.unwrap().into_inner();
            if answer.results[0].outcome() == wanted {
                return answer.results[0].clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the hub never answered {wanted:?}");
    }
}

fn request(personal_id: &str, paths: &[String]) -> wire::QueryRequest {
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![wire::Selection {
            record_type: RESIDENT.to_owned(),
            field_mask: Some(FieldMask { paths: paths.to_vec() }),
        }],
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    }
}

#[tokio::test]
async fn a_remote_adapter_answers_as_the_engine_in_process_does() {
    for engine in [Engine::Sqlite, Engine::Postgres, Engine::MySql].into_iter().filter(|engine| engine.available()) {
        let both = Both::new(engine).await;
        let hub = Hub::start(&both.files);
        let here = both.answers(&hub).await;
        assert!(here.iter().all(|result| result.outcome() == wire::Outcome::Found));
        assert!(here.iter().flat_map(|result| &result.records).any(|record| !record.quality.is_empty()));
        hub.kill();
        both.make_remote();
        let adapter = Hub::start_adapter(&both.adapter_config(""));
        let hub = Hub::start(&both.files);
        assert_eq!(here, both.answers(&hub).await, "{engine:?}: records, marks, digests and outcomes are the same");
        assert!(hub.stop() && adapter.stop());

        // What left is proven at home, too: 20 answers, a start and a stop.
        let verify =
            |arguments: &[&str]| Command::new(binary()).args(["audit", "verify"]).args(arguments).output().unwrap();
        let left = both.files.path("left.sqlite");
        let key = both.files.path("keys/log.pub");
        let verified = verify(&["--database", left.to_str().unwrap(), "--key", key.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(
            verified.status.success() && said.contains("22 entries"),
            "{said}{}",
            String::from_utf8_lossy(&verified.stderr)
        );
        both.databases.drop().await;
    }
}

#[tokio::test]
async fn what_the_owner_does_not_allow_is_neither_described_nor_given() {
    let both = Both::new(Engine::Sqlite).await;
    both.make_remote();
    let allowed = format!("records = [{{ type = \"{RESIDENT}\", fields = [\"personal_id\", \"full_name\"] }}]");
    let adapter = Hub::start_adapter(&both.adapter_config(&allowed));
    let hub = Hub::start(&both.files);
    // The hub's own agreement covers everything; the owner's list does not.
    for result in both.answers(&hub).await {
        let schema = Schema::builtin().unwrap();
        let descriptor = schema.record_type(RESIDENT).unwrap().descriptor.clone();
        let value = result.records[0].value.as_ref().unwrap();
        let record = prost_reflect::DynamicMessage::decode(descriptor, value.value.as_slice()).unwrap();
        let present: Vec<_> = record.fields().map(|(field, _)| field.name().to_owned()).collect();
        assert!(present.iter().all(|name| ["personal_id", "full_name"].contains(&name.as_str())), "{present:?}");
        // What is not lent is not taken for empty.
        let all: Vec<_> = schema.record_type(RESIDENT).unwrap().fields.iter().map(|field| field.path.clone()).collect();
        let lent = |path: &String| path == "personal_id" || path == "full_name" || path.starts_with("full_name.");
        let expected: Vec<_> = all.into_iter().filter(|path| !lent(path)).collect();
        assert_eq!(result.not_provided, expected);
    }
    both.says_what_is_not_provided(&hub).await;
    let mut catalog = CatalogServiceClient::new(client_of(&hub, &both.files, "H21.99/all").await);
    let sources = catalog.list_sources(catalog::ListSourcesRequest {}).await.unwrap().into_inner().sources;
    assert!(sources.iter().any(|source| source.id == "population"), "{sources:?}");
    drop(adapter);

    // A narrower list at home while the hub still believes in the wider one: refused, and the hub says so.
    let narrower = format!("records = [{{ type = \"{RESIDENT}\", fields = [\"personal_id\"] }}]");
    let adapter = Hub::start_adapter(&both.adapter_config(&narrower));
    both.until_reason(&hub, "SOURCE_REFUSED").await;
    // A system that is on no list, with a good certificate, has nothing.
    drop(adapter);
    let config = both.adapter_config("");
    let text = fs::read_to_string(&config).unwrap().replace("H21.90/console", "H21.10/archive");
    fs::write(&config, text).unwrap();
    let _adapter = Hub::start_adapter(&config);
    both.until_reason(&hub, "SOURCE_REFUSED").await;
}

#[tokio::test]
async fn a_side_that_goes_away_costs_its_own_part_until_it_is_back() {
    let both = Both::new(Engine::Sqlite).await;
    both.make_remote();
    let config = both.adapter_config("");
    let adapter = Hub::start_adapter(&config);
    let hub = Hub::start(&both.files);
    both.until(&hub, wire::Outcome::Found).await;
    adapter.kill();
    both.until_reason(&hub, "SOURCE_UNREACHABLE").await;
    hub.kill();
    // The hub starts without the adapter, from what it said the last time.
    let hub = Hub::start(&both.files);
    both.until(&hub, wire::Outcome::Unavailable).await;
    let _adapter = Hub::start_adapter(&config);
    both.until(&hub, wire::Outcome::Found).await;
}

/// On both sides: the hub, which reaches the adapter with a certificate of its own, and the adapter, which is known by its.
#[tokio::test]
async fn a_certificate_replaced_between_hub_and_adapter_is_an_entry_of_both_logs() {
    let both = Both::new(Engine::Sqlite).await;
    both.make_remote();
    let config = both.adapter_config("");
    let adapter = Hub::start_adapter(&config);
    let hub = Hub::start(&both.files);
    both.until(&hub, wire::Outcome::Found).await;
    let digests = |event: &BTreeMap<String, String>, what: &str| {
        (event[&format!("{what}_digest_before")].clone(), event[&format!("{what}_digest_after")].clone())
    };

    // Another certificate for the same key is read like a new one.
    let append = |name: &str| {
        let path = both.files.path(name);
        let pem = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("# renewed\n{pem}")).unwrap();
    };
    append("keys/H21.90_console.pem");
    line(&hub, "reloaded", 1).await;
    both.until(&hub, wire::Outcome::Found).await;
    let entries = entries(&hub, &both.files).await;
    let (starts, reloads) = (events(&entries, "start"), events(&entries, "reload"));
    let (before, after) = digests(reloads.last().unwrap(), "adapter_certificates");
    assert_eq!(before, starts[0]["adapter_certificates_digest"]);
    assert_ne!(before, after);
    assert_eq!(reloads.last().unwrap()["sources_opened"], "population", "the connection is made with the new one");

    append("keys/server.pem");
    line(&adapter, "reloaded", 1).await;
    assert!(hub.stop() && adapter.stop());
    let key = audit::SigningKey::load(&both.files.path("keys/log.key")).unwrap();
    let left = audit::Location::File(both.files.path("left.sqlite"));
    let log = audit::AuditLog::open(&left, key, audit::Options::default()).await.unwrap();
    let page = log.search(&audit::Filter::default(), 1000, "").await.unwrap();
    let left: Vec<_> = page.entries.into_iter().filter_map(|logged| logged.entry).collect();
    let (starts, reloads) = (events(&left, "start"), events(&left, "reload"));
    let (before, after) = digests(&reloads[0], "certificates");
    assert_eq!((reloads.len(), &before), (1, &starts[0]["certificates_digest"]));
    assert_ne!(before, after);
    assert!(!starts[0]["subject_keys"].is_empty());
    log.close().await;
}
