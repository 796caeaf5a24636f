//! Random requests decided twice: by a running hub, and by a plain, slow reading of the files that shares no code with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use prost_types::FieldMask;
use proto::{
    RecordType, Schema,
    catalog::v1::{self as catalog, catalog_service_client::CatalogServiceClient},
    options::v1::Sensitivity,
    query::v1 as wire,
};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tests::{Databases, Engine, Hub, HubFiles, Provider, Settings, SigningKey, client_of};
use toml::{Table, Value};
use tonic::{Request, transport::Channel};

/// Systems with certificates.
const SYSTEMS: [(&str, &str); 8] = [
    ("H21.65", "portal"),
    ("H21.30", "personnel"),
    ("H21.40.05", "investigation"),
    ("H21.90", "console"),
    ("H21.99", "all"),
    ("H21.99", "half"),
    ("H21.10", "archive"),
    ("H21.12", "civil-status"),
];

/// The record type of judicial slip no. 2: for prosecution bodies and proven officers, whatever was agreed.
const SLIP_2: &str = "lienthong.judicial.v1.CriminalRecordDetail";

struct Plain {
    grants: Vec<Table>,
    /// Whether a dossier is required, by purpose.
    purposes: BTreeMap<String, bool>,
    /// What kind of agency, by code.
    kinds: BTreeMap<String, String>,
}

fn words(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn is_under(path: &str, above: &str) -> bool {
    path == above || path.starts_with(&format!("{above}."))
}

impl Plain {
    fn read(files: &HubFiles) -> Self {
        let parse = |path: &Path| fs::read_to_string(path).unwrap().parse::<Table>().unwrap();
        let grants = fs::read_dir(files.path("grants")).unwrap().map(|entry| parse(&entry.unwrap().path())).collect();
        let purposes = parse(&files.path("purposes.toml"));
        let purposes = purposes["purposes"].as_array().unwrap().iter();
        let purposes =
            purposes.map(|row| (row["code"].as_str().unwrap().to_owned(), row["dossier_required"].as_bool().unwrap()));
        let agencies = parse(&files.path("agencies.toml"));
        let agencies = agencies["agencies"].as_array().unwrap().iter();
        let kinds =
            agencies.map(|row| (row["code"].as_str().unwrap().to_owned(), row["kind"].as_str().unwrap().to_owned()));
        Self { grants, purposes: purposes.collect(), kinds: kinds.collect() }
    }

    /// Numbers of the agreements that release the field to the system, today.
    fn releasing(&self, ask: &Ask, record_type: &RecordType, field: usize, today: &str) -> BTreeSet<String> {
        let field = &record_type.fields[field];
        let (agency, system) = ask.system;
        let of_caller = |grant: &&Table| {
            is_under(agency, grant["parties"]["consumer"].as_str().unwrap())
                && words(grant.get("systems")).contains(&system)
        };
        let grants: Vec<_> = self.grants.iter().filter(of_caller).collect();
        let reads_log = grants.iter().any(|grant| words(grant.get("actions")).contains(&"read_log"));
        let above = self.kinds.iter().filter(|(code, _)| is_under(agency, code));
        let kind = above.max_by_key(|(code, _)| code.len()).map_or("", |(_, kind)| kind);
        let slip_2 = record_type.name == SLIP_2 && !(ask.proven && kind == "prosecution");
        if reads_log || slip_2 || (self.purposes[&ask.purpose] && !ask.dossier) {
            return BTreeSet::new();
        }
        // Search: nothing sensitive, and what is not public only for a dossier.
        let may_search =
            field.sensitivity == Sensitivity::Public || (field.sensitivity == Sensitivity::Basic && ask.dossier);
        if ask.action == "search" && !may_search {
            return BTreeSet::new();
        }
        let releases = |grant: &&Table| {
            let names_field = grant.get("records").and_then(Value::as_array).into_iter().flatten().any(|part| {
                part["type"].as_str() == Some(&record_type.name)
                    && (words(part.get("groups")).contains(&field.group.as_str())
                        || words(part.get("fields")).iter().any(|name| is_under(&field.path, name)))
            });
            names_field
                && grant["valid_from"].to_string().as_str() <= today
                && today <= grant["valid_until"].to_string().as_str()
                && words(grant.get("actions")).contains(&ask.action)
                && words(grant.get("purposes")).contains(&ask.purpose.as_str())
                && (field.sensitivity != Sensitivity::Sensitive
                    || ask.proven
                    || grant.get("officer_assurance").and_then(Value::as_str) == Some("asserted"))
        };
        let releasing = grants.into_iter().filter(releases);
        releasing.map(|grant| grant["agreement"].as_str().unwrap().to_owned()).collect()
    }
}

struct Ask {
    system: (&'static str, &'static str),
    purpose: String,
    action: &'static str,
    dossier: bool,
    /// Whether a token proves the officer.
    proven: bool,
    selections: Vec<(Arc<RecordType>, BTreeSet<usize>)>,
}

impl Ask {
    fn random(plain: &Plain, schema: &Schema, dice: &mut ChaCha8Rng) -> Self {
        let system = *SYSTEMS.choose(dice).unwrap();
        let mine = plain.grants.iter().filter(|grant| words(grant.get("systems")).contains(&system.1));
        let grant = mine.collect::<Vec<_>>().choose(dice).copied().unwrap_or(&plain.grants[0]);
        let purposes: Vec<_> = plain.purposes.keys().map(String::as_str).collect();
        let agreed = words(grant.get("purposes"));
        let purpose = if dice.random_ratio(4, 5) { agreed.choose(dice) } else { purposes.choose(dice) };
        let purpose = purpose.or(purposes.first()).unwrap().to_string();
        let types: Vec<_> = schema.record_types().collect();
        let parts = grant.get("records").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut selections: Vec<(Arc<RecordType>, BTreeSet<usize>)> = Vec::new();
        for _ in 0..dice.random_range(1..4) {
            let granted = parts.choose(dice).and_then(|part| schema.record_type(part["type"].as_str().unwrap()));
            let chosen = granted.filter(|_| dice.random_ratio(3, 4)).unwrap_or_else(|| types.choose(dice).unwrap());
            let fields: BTreeSet<_> = (0..chosen.fields.len()).filter(|_| dice.random_ratio(1, 2)).collect();
            if !fields.is_empty() && selections.iter().all(|(known, _)| known.name != chosen.name) {
                selections.push((Arc::clone(chosen), fields));
            }
        }
        if selections.is_empty() {
            selections.push((Arc::clone(types[0]), BTreeSet::from([0])));
        }
        let action = ["query", "verify", "batch", "search"].choose(dice).unwrap();
        Self { system, purpose, action, dossier: dice.random_ratio(4, 5), proven: dice.random_ratio(1, 2), selections }
    }

    fn request(&self, tokens: &BTreeMap<String, String>) -> Request<catalog::CheckAccessRequest> {
        let selections = self.selections.iter().map(|(record_type, fields)| wire::Selection {
            record_type: record_type.name.clone(),
            field_mask: Some(FieldMask {
                paths: fields.iter().map(|field| record_type.fields[*field].path.clone()).collect(),
            }),
        });
        let asserted = wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), ..Default::default() };
        let mut request = Request::new(catalog::CheckAccessRequest {
            selections: selections.collect(),
            purpose: Some(wire::Purpose {
                code: self.purpose.clone(),
                dossier_number: if self.dossier { "H21.65-261122-0011".to_owned() } else { String::new() },
                ..Default::default()
            }),
            officer: Some(asserted).filter(|_| !self.proven),
            action: self.action.to_owned(),
        });
        if self.proven {
            let token = format!("Bearer {}", tokens[self.system.1]).parse().unwrap();
            request.metadata_mut().insert("authorization", token);
        }
        request
    }
}

/// Compares the hub's answer field by field. Gives how many fields it released and withheld.
fn compare(plain: &Plain, ask: &Ask, answer: &catalog::CheckAccessResponse, today: &str) -> (usize, usize) {
    let (mut released, mut withheld) = (0, 0);
    assert_eq!(answer.selections.len(), ask.selections.len());
    for ((record_type, fields), decided) in ask.selections.iter().zip(&answer.selections) {
        assert_eq!(decided.record_type, record_type.name);
        let mut agreements = BTreeSet::new();
        let (mut expected, mut refused) = (BTreeSet::new(), BTreeSet::new());
        for &field in fields {
            let releasing = plain.releasing(ask, record_type, field, today);
            let path = record_type.fields[field].path.clone();
            if releasing.is_empty() {
                refused.insert(path)
            } else {
                expected.insert(path)
            };
            agreements.extend(releasing);
        }
        let said = || format!("{:?} {} {} {}", ask.system, ask.action, ask.purpose, record_type.name);
        assert_eq!(decided.released.iter().cloned().collect::<BTreeSet<_>>(), expected, "{}", said());
        assert_eq!(
            decided.withheld.iter().map(|field| field.path.clone()).collect::<BTreeSet<_>>(),
            refused,
            "{}",
            said()
        );
        let basis: BTreeSet<_> = decided.decision.iter().flat_map(|decision| decision.agreements.clone()).collect();
        assert_eq!(basis, agreements, "{}", said());
        released += expected.len();
        withheld += refused.len();
    }
    (released, withheld)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_decides_random_requests_as_the_files_read() {
    const TASKS: u64 = 8;
    let requests: u64 = if tests::long() { 100_000 } else { 4_000 };
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    databases.fill(100, 103, None).await;
    let files = HubFiles::write(&databases, &Settings::default());
    if !Provider::available() {
        return;
    }
    // An officer of each system's agency, who proves it by a token.
    let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let officers =
        SYSTEMS.map(|(agency, system)| (system, json!({ "name": "Cán bộ", "agency": agency, "acr": "high" })));
    let provider = Provider::start(&files, &SigningKey { id: "a", pem }, &officers);
    let config = fs::read_to_string(files.path("config.toml")).unwrap();
    let provided = format!(
        "{config}\n[[identity_providers]]\nissuer = \"{}\"\naudience = \"lienthong\"\nauthorities = [\"keys/ca.pem\"]\n\
         holders = \"officers\"\nassurance_levels = [\"high\"]\n",
        provider.issuer
    );
    fs::write(files.path("config.toml"), provided).unwrap();
    let tokens = Arc::new(provider.tokens.clone());
    let hub = Hub::start(&files);
    let (plain, schema) = (Arc::new(Plain::read(&files)), Arc::new(Schema::builtin().unwrap()));
    // A day in Viet Nam; the test does not run over midnight.
    let today = (chrono::Utc::now() + chrono::Duration::hours(7)).format("%Y-%m-%d").to_string();
    let mut clients: BTreeMap<&str, CatalogServiceClient<Channel>> = BTreeMap::new();
    for (agency, system) in SYSTEMS {
        let channel = client_of(&hub, &files, &format!("{agency}/{system}")).await;
        clients.insert(system, CatalogServiceClient::new(channel));
    }
    let tasks = (0..TASKS).map(|task| {
        let (plain, schema, mut clients, today, tokens) =
            (Arc::clone(&plain), Arc::clone(&schema), clients.clone(), today.clone(), Arc::clone(&tokens));
        tokio::spawn(async move {
            let mut dice = ChaCha8Rng::seed_from_u64(task);
            let (mut released, mut withheld) = (0, 0);
            for _ in 0..requests / TASKS {
                let ask = Ask::random(&plain, &schema, &mut dice);
                let client = clients.get_mut(ask.system.1).unwrap();
                let answer = client.check_access(ask.request(&tokens)).await.unwrap().into_inner();
                let found = compare(&plain, &ask, &answer, &today);
                released += found.0;
                withheld += found.1;
            }
            (released, withheld)
        })
    });
    let (mut released, mut withheld) = (0, 0);
    for task in tasks.collect::<Vec<_>>() {
        let found = task.await.unwrap();
        released += found.0;
        withheld += found.1;
    }
    println!("{requests} requests: {released} fields released, {withheld} withheld, no difference");
    assert!(released > withheld / 20, "too little released to mean anything: {released}");
    assert!(hub.stop());
}
