//! Reload while serving: no call fails, no decision is stale, a wrong file changes nothing, a revoked certificate is refused on
//! a connection that was good, and all of it stands in the log.

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt;
use prost_types::FieldMask;
use proto::{
    audit::v1::{self as log, audit_service_client::AuditServiceClient, entry::Kind},
    operator::v1::{self as operator, operator_service_client::OperatorServiceClient},
    query::v1::{self as wire, query_service_client::QueryServiceClient, subject::Identifier},
};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevocationReason,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use tests::{Certificate, Databases, Engine, Hub, HubFiles, Settings, channel, client_of, error_info, query_client};
use tonic::{Code, Status, transport::Channel};

const RESIDENT: &str = "lienthong.population.v1.Resident";
/// Longest wait for a change to come into force.
const IN_FORCE_MAX: Duration = Duration::from_secs(20);

fn request(personal_id: &str) -> wire::QueryRequest {
    let field_mask = Some(FieldMask { paths: vec!["full_name".to_owned()] });
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![wire::Selection { record_type: RESIDENT.to_owned(), field_mask }],
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    }
}

/// An agreement that opens a name to a system that has none.
fn archive_grant(last_day: &str) -> String {
    format!(
        "agreement = \"97/TEST\"\ntitle = \"Kiểm thử\"\nsystems = [\"archive\"]\npurposes = [\"test_everything\"]\n\
         actions = [\"query\"]\nvalid_from = 2026-01-01\nvalid_until = {last_day}\nlegal_basis = \"Không\"\n\
         disclosure = \"immediate\"\n[parties]\nprovider = \"H21\"\nconsumer = \"H21.10\"\n\
         [[records]]\ntype = \"{RESIDENT}\"\nfields = [\"full_name\"]\n"
    )
}

/// Calls until the answer is as wanted.
async fn until<T>(
    client: &mut QueryServiceClient<Channel>,
    personal_id: &str,
    wanted: impl Fn(Result<wire::QueryResponse, Status>) -> Option<T>,
) -> T {
    let begun = Instant::now();
    while begun.elapsed() < IN_FORCE_MAX {
        let answer = client.query(request(personal_id)).await.map(tonic::Response::into_inner);
        if let Some(found) = wanted(answer) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the change did not come into force");
}

fn refused(reason: &'static str) -> impl Fn(Result<wire::QueryResponse, Status>) -> Option<Status> {
    move |answer| answer.err().filter(|status| error_info(status).0 == reason)
}

pub(crate) fn hang_up(hub: &Hub) {
    assert!(Command::new("kill").args(["-HUP", &hub.pid().to_string()]).status().unwrap().success());
}

/// Waits until so many log lines hold the text.
pub(crate) async fn line(hub: &Hub, text: &str, times: usize) {
    let begun = Instant::now();
    while hub.lines.lock().unwrap().iter().filter(|line| line.contains(text)).count() < times {
        let lines = hub.lines.lock().unwrap().join("\n");
        assert!(begun.elapsed() < IN_FORCE_MAX, "no line says {text}:\n{lines}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// All entries of the log, as the operations centre sees them.
pub(crate) async fn entries(hub: &Hub, files: &HubFiles) -> Vec<log::Entry> {
    let mut client = AuditServiceClient::new(client_of(hub, files, "H21.90/console").await);
    let reader = log::Officer { id: "2".to_owned(), name: "Giám sát".to_owned(), ..Default::default() };
    let request = log::TailEntriesRequest { reader: Some(reader), ..Default::default() };
    let mut stream = client.tail_entries(request).await.unwrap().into_inner();
    let mut found = Vec::new();
    while let Ok(Some(entry)) = tokio::time::timeout(Duration::from_secs(2), stream.next()).await {
        found.push(entry.unwrap().entry.unwrap());
    }
    found
}

/// What the hub recorded of itself, each event's details by name.
pub(crate) fn events(entries: &[log::Entry], name: &str) -> Vec<BTreeMap<String, String>> {
    let own = entries.iter().filter(|entry| entry.kind() == Kind::HubEvent);
    let details = own.map(|entry| {
        entry.details.iter().map(|detail| (detail.name.clone(), detail.value.clone())).collect::<BTreeMap<_, _>>()
    });
    details.filter(|details| details["event"] == name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_under_load_fail_no_call_and_leave_no_stale_decision() {
    let rounds = if tests::long() { 25 } else { 5 };
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 61, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let client = query_client(&hub, &files, "H21.99/all").await;
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (mut client, stop, calls, request) =
                (client.clone(), Arc::clone(&stop), Arc::clone(&calls), request(&somebody));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.query(request.clone()).await.expect("no call fails").into_inner();
                    assert!(answer.complete);
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    let mut archive = query_client(&hub, &files, "H21.10/archive").await;
    let grant = files.path("grants/archive.toml");
    let mut signals = 0;
    for round in 0..rounds {
        // Opened, ended by its last day, and taken away: each time a decision was cached before.
        until(&mut archive, &somebody, refused("NO_AGREEMENT")).await;
        fs::write(&grant, archive_grant("2099-12-31")).unwrap();
        until(&mut archive, &somebody, Result::ok).await;
        // A file that is wrong changes nothing.
        fs::write(&grant, archive_grant("2099-12-31").replace("full_name", "ful_name")).unwrap();
        line(&hub, "archive.toml:15:11: field of", round + 1).await;
        assert!(archive.query(request(&somebody)).await.is_ok(), "what was in force stays");
        fs::write(&grant, archive_grant("2026-01-31")).unwrap();
        until(&mut archive, &somebody, refused("AGREEMENT_EXPIRED")).await;
        fs::remove_file(&grant).unwrap();
        until(&mut archive, &somebody, refused("NO_AGREEMENT")).await;
        hang_up(&hub);
        signals += 1;
        line(&hub, "trigger=\"signal\"", signals).await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let calls = calls.load(Ordering::Relaxed);

    let entries = entries(&hub, &files).await;
    let reloads = events(&entries, "reload");
    assert_eq!(reloads.iter().filter(|reload| reload["trigger"] == "signal").count(), rounds);
    assert_eq!(reloads.len(), rounds * 4, "{reloads:?}");
    let mut in_force = events(&entries, "start")[0]["access_digest"].clone();
    for reload in &reloads {
        assert_eq!(reload["access_digest_before"], in_force, "the chain of digests has no gap");
        in_force.clone_from(&reload["access_digest_after"]);
    }
    let wrong = events(&entries, "reload_refused");
    assert_eq!(wrong.len(), rounds);
    assert!(wrong.iter().all(|event| event["problem"].contains("did you mean \"full_name\"?")), "{wrong:?}");
    println!("{calls} calls, none failed, during {} reloads and {} refused ones", reloads.len(), wrong.len());
    assert!(calls > 50 * rounds, "too little load to mean anything: {calls}");
    assert!(hub.stop());
}

/// The authority that signs the systems' certificates.
fn authority(files: &HubFiles) -> Issuer<'static, KeyPair> {
    let key = fs::read_to_string(files.path("keys/ca.key")).unwrap();
    let pem = String::from_utf8(files.authority()).unwrap();
    Issuer::from_ca_cert_pem(&pem, KeyPair::from_pem(&key).unwrap()).unwrap()
}

/// A certificate of the system `all` with a serial number of its own.
pub(crate) fn certificate(files: &HubFiles, serial: u64) -> Certificate {
    let mut parameters = CertificateParams::default();
    let id = "spiffe://test.example/agency/H21.99/system/all";
    parameters.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    parameters.serial_number = Some(SerialNumber::from(serial));
    let key = KeyPair::generate().unwrap();
    let signed = parameters.signed_by(&key, &authority(files)).unwrap();
    Certificate { pem: signed.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
}

pub(crate) fn revocation_list(files: &HubFiles, number: u64, revoked: &[u64]) -> String {
    let revoked = revoked.iter().map(|&serial| RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date_time_ymd(2026, 1, 2),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    });
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 2),
        next_update: date_time_ymd(2099, 1, 1),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&authority(files)).unwrap().pem().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_refused_on_an_open_connection_and_certificates_rotate() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 67, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    let list = files.path("keys/revoked.pem");
    fs::write(&list, revocation_list(&files, 1, &[])).unwrap();
    let config = fs::read_to_string(files.path("config.toml")).unwrap();
    let config = config.replace("\n[access]", "revocation_lists = [\"keys/revoked.pem\"]\n\n[access]");
    fs::write(files.path("config.toml"), config).unwrap();
    let hub = Hub::start(&files);
    line(&hub, "certificate holds", 2).await;

    let (good, bad) = (certificate(&files, 7), certificate(&files, 8));
    let connect = async |certificate| {
        QueryServiceClient::new(channel(&hub, &files.authority(), Some(certificate)).await.expect("it is accepted"))
    };
    let (mut of_good, mut of_bad) = (connect(&good).await, connect(&bad).await);
    of_good.query(request(&somebody)).await.unwrap();
    of_bad.query(request(&somebody)).await.unwrap();

    // A list cut short would let everybody in again: it is refused.
    fs::write(&list, "").unwrap();
    line(&hub, "holds no revocation list", 1).await;
    of_bad.query(request(&somebody)).await.unwrap();

    fs::write(&list, revocation_list(&files, 2, &[8])).unwrap();
    let status = until(&mut of_bad, &somebody, refused("CERTIFICATE_REVOKED")).await;
    assert_eq!(status.code(), Code::Unauthenticated);
    let index: usize = status.metadata().get("lienthong-log-index").unwrap().to_str().unwrap().parse().unwrap();
    of_good.query(request(&somebody)).await.expect("the other certificate of the system goes on");
    line(&hub, "connection cut", 1).await;
    let again = channel(&hub, &files.authority(), Some(&bad)).await;
    let refused_anew = match again {
        Ok(channel) => QueryServiceClient::new(channel).query(request(&somebody)).await.is_err(),
        Err(_) => true,
    };
    assert!(refused_anew, "no new connection with a revoked certificate");

    // The hub's own certificate is replaced; the connection that was open goes on, and new ones are made.
    for name in ["server.pem", "server.key"] {
        fs::remove_file(files.path("keys").join(name)).unwrap();
    }
    let before = hub.lines.lock().unwrap().iter().filter(|line| line.contains(" reloaded ")).count();
    let made = Command::new(tests::binary())
        .args(["dev", "ca", "--trust-domain", "test.example", "--log-origin", "test.example/log", "--dir"])
        .arg(files.path("keys"))
        .status();
    assert!(made.unwrap().success());
    line(&hub, " reloaded ", before + 1).await;
    of_good.query(request(&somebody)).await.expect("the open connection goes on");
    connect(&good).await.query(request(&somebody)).await.expect("a new connection is made");

    let entries = entries(&hub, &files).await;
    assert_eq!(entries[index].reason, "CERTIFICATE_REVOKED");
    assert_eq!(entries[index].caller.as_ref().unwrap().system, "all");
    let reloads = events(&entries, "reload");
    assert!(reloads.len() >= 2);
    for reload in &reloads {
        assert_ne!(reload["certificates_digest_before"], reload["certificates_digest_after"]);
        assert_eq!(reload["access_digest_before"], reload["access_digest_after"]);
    }
    assert!(hub.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_mapping_and_a_changed_list_of_sources_come_into_force_and_a_wrong_mapping_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 71, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    let mapping = files.path("population.toml");
    let shipped =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../adapters/population/mapping.toml")).unwrap();
    fs::write(&mapping, &shipped).unwrap();
    let section = "database = { url_file = \"secrets/population\" }\n";
    let config = fs::read_to_string(files.path("config.toml")).unwrap();
    let config = config.replace(section, &format!("{section}mapping = \"population.toml\"\n"));
    fs::write(files.path("config.toml"), &config).unwrap();
    let hub = Hub::start(&files);

    let mut client = query_client(&hub, &files, "H21.99/all").await;
    let digest_of =
        |answer: wire::QueryResponse| answer.results[0].records[0].provenance.as_ref().unwrap().mapping_digest.clone();
    let before = digest_of(client.query(request(&somebody)).await.unwrap().into_inner());

    fs::write(&mapping, shipped.replace("label_en = \"Population register\"", "label_en = \"People\"")).unwrap();
    until(&mut client, &somebody, |answer| (digest_of(answer.unwrap()) != before).then_some(())).await;

    fs::write(&mapping, shipped.replace("[[record]]", "[[recrod]]")).unwrap();
    line(&hub, "reload refused", 1).await;
    let after = digest_of(client.query(request(&somebody)).await.unwrap().into_inner());
    assert_ne!(after, before, "what was in force stays");

    // Without the source nobody answers for the record type; with it again, somebody does.
    fs::write(&mapping, &shipped).unwrap();
    until(&mut client, &somebody, |answer| (digest_of(answer.unwrap()) == before).then_some(())).await;
    let (head, tail) = config.split_once("\n[[sources]]\nid = \"population\"").unwrap();
    let rest = tail.find("\n[[sources]]").map_or("", |next| &tail[next..]);
    fs::write(files.path("config.toml"), format!("{head}{rest}")).unwrap();
    let answered = |answer: &wire::QueryResponse| answer.results.iter().any(|result| !result.records.is_empty());
    until(&mut client, &somebody, |answer| answer.is_ok_and(|answer| !answered(&answer)).then_some(())).await;
    fs::write(files.path("config.toml"), &config).unwrap();
    until(&mut client, &somebody, |answer| answer.is_ok_and(|answer| answered(&answer)).then_some(())).await;

    let entries = entries(&hub, &files).await;
    let reloads = events(&entries, "reload");
    let opened: Vec<_> = reloads.iter().map(|reload| reload["sources_opened"].as_str()).collect();
    assert_eq!(opened, ["population", "population", "", "population"]);
    assert!(reloads.iter().all(|reload| reload["sources_digest_before"] != reload["sources_digest_after"]));
    let refused = events(&entries, "reload_refused");
    assert_eq!(refused.len(), 1);
    assert!(refused[0]["problem"].contains("population.toml:"), "it names file and line: {refused:?}");
    assert!(hub.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_reload_and_nobody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 73, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let officer =
        || wire::Officer { id: "VH-1".to_owned(), name: "Người vận hành".to_owned(), ..Default::default() };
    let reload = async |system: &str, officer| {
        let mut client = OperatorServiceClient::new(client_of(&hub, &files, system).await);
        client.reload(operator::ReloadRequest { officer }).await.map(tonic::Response::into_inner)
    };

    let same = reload("H21.90/console", Some(officer())).await.unwrap();
    let what: Vec<_> = same.in_force.iter().map(|in_force| (in_force.what.as_str(), in_force.changed)).collect();
    let names = ["access", "sources", "certificates", "adapter_certificates", "identity_providers", "record_types"];
    assert_eq!(what, names.map(|name| (name, false)));

    let grant = files.path("grants/archive.toml");
    fs::write(&grant, archive_grant("2099-12-31")).unwrap();
    let mut archive = query_client(&hub, &files, "H21.10/archive").await;
    let changed = reload("H21.90/console", Some(officer())).await.unwrap();
    // The change of the file alone may have been quicker.
    assert_ne!(changed.in_force[0].digest, same.in_force[0].digest);
    archive.query(request(&somebody)).await.expect("it is in force when the operator is told so");

    fs::write(&grant, archive_grant("2099-12-31").replace("full_name", "ful_name")).unwrap();
    let wrong = reload("H21.90/console", Some(officer())).await.unwrap_err();
    assert_eq!((wrong.code(), error_info(&wrong).0.as_str()), (Code::FailedPrecondition, "RELOAD_REFUSED"));
    assert!(wrong.message().contains("archive.toml:15:11"), "{wrong}");

    let nobody = reload("H21.90/console", None).await.unwrap_err();
    assert_eq!((nobody.code(), error_info(&nobody).1), (Code::InvalidArgument, vec!["officer".to_owned()]));
    for system in ["H21.99/all", "H21.65/portal", "H21.10/archive"] {
        let refused = reload(system, Some(officer())).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{system}");
        assert!(refused.metadata().contains_key("lienthong-log-index"), "{system}");
    }

    let entries = entries(&hub, &files).await;
    let by_operator = &entries[usize::try_from(changed.log_index).unwrap()];
    assert_eq!(by_operator.kind(), Kind::HubEvent);
    assert_eq!(by_operator.caller.as_ref().unwrap().system, "console");
    assert_eq!(by_operator.officer.as_ref().unwrap().id, "VH-1");
    let detail = |name: &str| {
        by_operator.details.iter().filter(|detail| detail.name == name).map(|detail| &detail.value).next().unwrap()
    };
    assert_eq!((detail("trigger").as_str(), detail("agreement").as_str()), ("operator", "15/2026/QCVH-LT"));
    assert_eq!(*detail("access_digest_after"), changed.in_force[0].digest);
    let refused = entries
        .iter()
        .filter(|entry| entry.method.ends_with("/Reload") && entry.outcome() == log::entry::Outcome::Refused);
    assert_eq!(refused.count(), 3);
    assert!(hub.stop());
}
