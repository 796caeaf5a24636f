//! Bad certificates, bad requests, bad databases: each a clear error, and an audit entry wherever the caller was known.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prost_types::FieldMask;
use proto::{
    Schema,
    audit::v1::entry::{Kind, Outcome as EntryOutcome},
    query::v1::{self as wire, query_service_client::QueryServiceClient, subject::Identifier},
};
use rcgen::{CertificateParams, Issuer, KeyPair, SanType, date_time_ymd};
use synthetic::Sector;
use tests::{Certificate, Databases, Engine, Hub, HubFiles, Settings, channel, error_info, execute, query_client};
use tokio::net::{TcpListener, TcpStream};
use tonic::{Code, Request, Status, transport::Channel};

const RESIDENT: &str = "lienthong.population.v1.Resident";

fn request(personal_id: &str) -> wire::QueryRequest {
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![selection(RESIDENT, &["full_name"])],
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    }
}

fn selection(record_type: &str, paths: &[&str]) -> wire::Selection {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    wire::Selection { record_type: record_type.to_owned(), field_mask: Some(FieldMask { paths }) }
}

/// Index of the entry that records a refusal, from the status itself.
fn recorded(status: &Status) -> u64 {
    let index = status.metadata().get("lienthong-log-index").unwrap_or_else(|| panic!("not recorded: {status:?}"));
    index.to_str().unwrap().parse().unwrap()
}

fn localized(status: &Status) -> bool {
    use tonic_types::StatusExt;
    status
        .get_error_details()
        .localized_message()
        .is_some_and(|message| message.locale == "vi" && !message.message.is_empty())
}

/// A certificate made here, by our authority or another.
fn certificate(files: &HubFiles, ours: bool, expired: bool, uri: Option<&str>) -> Certificate {
    let mut parameters = CertificateParams::default();
    parameters.subject_alt_names = uri.into_iter().map(|uri| SanType::URI(uri.try_into().unwrap())).collect();
    if expired {
        (parameters.not_before, parameters.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let key = KeyPair::generate().unwrap();
    let issuer = if ours {
        let authority_key = std::fs::read_to_string(files.path("keys/ca.key")).unwrap();
        let authority = String::from_utf8(files.authority()).unwrap();
        Issuer::from_ca_cert_pem(&authority, KeyPair::from_pem(&authority_key).unwrap()).unwrap()
    } else {
        let mut authority = CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Issuer::new(authority, KeyPair::generate().unwrap())
    };
    let signed = parameters.signed_by(&key, &issuer).unwrap();
    Certificate { pem: signed.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
}

async fn call_with(hub: &Hub, files: &HubFiles, certificate: Option<&Certificate>) -> Result<(), Status> {
    match channel(hub, &files.authority(), certificate).await {
        Err(error) => Err(Status::unavailable(error.to_string())),
        Ok(channel) => QueryServiceClient::new(channel).query(request("052185000123")).await.map(drop),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_certificates_open_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    databases.fill(20, 51, None).await;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let good = "spiffe://test.example/agency/H21.99/system/all";

    let none = call_with(&hub, &files, None).await.unwrap_err();
    assert_eq!((none.code(), error_info(&none).0.as_str()), (Code::Unauthenticated, "NO_CLIENT_CERTIFICATE"));
    assert!(localized(&none));
    for (uri, reason) in [
        (None, "CERTIFICATE_WITHOUT_SPIFFE_ID"),
        (Some("https://test.example/agency/H21.99/system/all"), "CERTIFICATE_WITHOUT_SPIFFE_ID"),
        (Some("spiffe://other.example/agency/H21.99/system/all"), "CERTIFICATE_OF_OTHER_TRUST_DOMAIN"),
        (Some("spiffe://test.example/agency/H21.99/system/all/more"), "CERTIFICATE_WITH_MALFORMED_SPIFFE_ID"),
    ] {
        let status = call_with(&hub, &files, Some(&certificate(&files, true, false, uri))).await.unwrap_err();
        assert_eq!((status.code(), error_info(&status).0.as_str()), (Code::Unauthenticated, reason), "{uri:?}");
    }
    // These end in the TLS handshake, with its alerts; nothing of gRPC is reached.
    for (ours, expired) in [(false, false), (true, true)] {
        let status = call_with(&hub, &files, Some(&certificate(&files, ours, expired, Some(good)))).await.unwrap_err();
        assert_ne!(status.code(), Code::Unauthenticated, "ours {ours}, expired {expired}: {status:?}");
        assert_eq!(error_info(&status).0, "", "the hub said nothing in gRPC");
    }
    call_with(&hub, &files, Some(&certificate(&files, true, false, Some(good)))).await.unwrap();
    let lines = hub.lines.lock().unwrap().join("\n");
    assert!(lines.contains("UnknownIssuer") && lines.contains("certificate expired"), "{lines}");
    assert!(hub.stop());
}

type Change = Box<dyn Fn(&mut wire::QueryRequest)>;

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_name_the_field_and_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 52, None).await.cast.everywhere.unwrap();
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, "H21.99/all").await;
    let id = |make: fn(String) -> Identifier, value: &str| -> Change {
        let value = value.to_owned();
        Box::new(move |request| request.subject = Some(wire::Subject { identifier: Some(make(value.clone())) }))
    };
    let cases: Vec<(&str, Change, &str)> = vec![
        ("too short", id(Identifier::PersonalId, "05218500012"), "subject.personal_id"),
        ("letters", id(Identifier::PersonalId, "05218500012x"), "subject.personal_id"),
        ("unknown prefix", id(Identifier::PersonalId, "003185000123"), "subject.personal_id"),
        ("wrong check digit", id(Identifier::EnterpriseCode, "0100109107"), "subject.enterprise_code"),
        ("old number too long", id(Identifier::LegacyId, "2123456789"), "subject.legacy_id"),
        ("no subject", Box::new(|request| request.subject = None), "subject"),
        ("empty selection", Box::new(|request| request.selections.clear()), "selections"),
        ("record type", Box::new(|request| request.selections[0].record_type.push('s')), "selections[0].record_type"),
        (
            "field",
            Box::new(|request| request.selections = vec![selection(RESIDENT, &["ful_name"])]),
            "selections[0].field_mask.paths[0]",
        ),
        (
            "wildcard",
            Box::new(|request| request.selections = vec![selection(RESIDENT, &["*"])]),
            "selections[0].field_mask.paths[0]",
        ),
        ("no mask", Box::new(|request| request.selections[0].field_mask = None), "selections[0].field_mask"),
        (
            "purpose",
            Box::new(|request| request.purpose.as_mut().unwrap().code = "curiosity".to_owned()),
            "purpose.code",
        ),
        ("no purpose", Box::new(|request| request.purpose = None), "purpose"),
        (
            "dossier",
            Box::new(|request| request.purpose.as_mut().unwrap().dossier_number = "12".to_owned()),
            "purpose.dossier_number",
        ),
        ("no officer", Box::new(|request| request.officer = None), "officer"),
        ("officer without name", Box::new(|request| request.officer.as_mut().unwrap().name.clear()), "officer.name"),
        (
            "source",
            Box::new(|request| request.required_sources = vec!["populations".to_owned()]),
            "required_sources[0]",
        ),
        (
            "subject of another kind",
            Box::new(|request| {
                request.subject =
                    Some(wire::Subject { identifier: Some(Identifier::EnterpriseCode("0314409058".to_owned())) });
            }),
            "selections[0].record_type",
        ),
    ];
    let mut indices = Vec::new();
    for (name, change, field) in &cases {
        let mut wrong = request(&somebody.personal_id);
        change(&mut wrong);
        let status = client.query(wrong).await.unwrap_err();
        let (reason, fields) = error_info(&status);
        assert_eq!((status.code(), reason.as_str()), (Code::InvalidArgument, "INVALID_REQUEST"), "{name}: {status:?}");
        assert_eq!(fields, [*field], "{name}: {status:?}");
        assert!(localized(&status), "{name}");
        indices.push((recorded(&status), Kind::Query, EntryOutcome::Invalid));
    }
    let mut claims = wire::VerifyRequest {
        subject: request(&somebody.personal_id).subject,
        claims: vec![wire::Claim {
            record_type: RESIDENT.to_owned(),
            field: "birth_date".to_owned(),
            value: "7/3/1985".to_owned(),
        }],
        purpose: request("").purpose,
        officer: request("").officer,
        required_sources: Vec::new(),
    };
    let status = client.verify(claims.clone()).await.unwrap_err();
    assert_eq!(error_info(&status).1, ["claims[0].value"]);
    indices.push((recorded(&status), Kind::Verify, EntryOutcome::Invalid));
    claims.claims.clear();
    assert_eq!(error_info(&client.verify(claims).await.unwrap_err()).1, ["claims"]);

    // One megabyte: refused before it is read, and recorded all the same.
    let mut large = request(&somebody.personal_id);
    large.purpose.as_mut().unwrap().justification = "x".repeat(1_000_000);
    let status = client.query(large).await.unwrap_err();
    assert_eq!(
        (status.code(), error_info(&status).1),
        (Code::InvalidArgument, vec!["request".to_owned()]),
        "{status:?}"
    );
    indices.push((recorded(&status), Kind::RejectedCall, EntryOutcome::Invalid));

    // A method the hub does not have.
    let mut grpc = tonic::client::Grpc::new(tests::client_of(&hub, &files, "H21.99/all").await);
    grpc.ready().await.unwrap();
    let codec = tonic_prost_codec();
    let path = "/lienthong.query.v1.QueryService/Delete".parse().unwrap();
    let status = grpc.unary(Request::new(request(&somebody.personal_id)), path, codec).await.unwrap_err();
    assert_eq!(error_info(&status).1, ["method"], "{status:?}");
    indices.push((recorded(&status), Kind::RejectedCall, EntryOutcome::Invalid));

    // One millisecond for everything there is. The client gives up by itself; the hub records the call to its end.
    let schema = Schema::builtin().unwrap();
    let mut hurried = request(&somebody.personal_id);
    hurried.selections = schema
        .record_types()
        .map(|record_type| {
            let paths = record_type.descriptor.fields().map(|field| field.name().to_owned()).collect();
            wire::Selection { record_type: record_type.name.clone(), field_mask: Some(FieldMask { paths }) }
        })
        .collect();
    let before = indices.last().unwrap().0 + 1;
    for _ in 0..10 {
        let mut hurried = Request::new(hurried.clone());
        hurried.set_timeout(Duration::from_millis(1));
        let status = client.query(hurried).await.unwrap_err();
        assert!(matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded), "{status:?}");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;

    let lines = hub.lines.lock().unwrap().join("\n");
    assert!(!lines.contains(&somebody.personal_id) && !lines.contains("panicked"), "{lines}");
    assert!(hub.stop());
    let key = audit::SigningKey::load(&files.path("keys/log.key")).unwrap();
    let log = audit::AuditLog::open(&files.log_location(), key, audit::Options::default()).await.unwrap();
    let mut hurried = 0;
    for index in before..log.checkpoint().tree_size {
        let entry = log.entry(index).await.unwrap().entry.unwrap();
        if entry.kind() == Kind::Query {
            // A hub that is quick enough has some of it when the time is up.
            if entry.outcome() == EntryOutcome::Partial {
                assert!(entry.sources.iter().any(|source| source.outcome == "UNAVAILABLE"), "{entry:?}");
            } else {
                assert_eq!((entry.outcome(), entry.reason.as_str()), (EntryOutcome::Failed, "DEADLINE_EXCEEDED"));
                assert!(entry.accesses.iter().all(|access| access.fields_released.is_empty()));
            }
            hurried += 1;
        }
    }
    assert!(hurried > 0, "calls of one millisecond reached the hub");
    for (index, kind, outcome) in indices {
        let entry = log.entry(index).await.unwrap().entry.unwrap();
        assert_eq!((entry.kind(), entry.outcome()), (kind, outcome), "entry {index}");
        assert_eq!(entry.caller.unwrap().agency, "H21.99");
    }
    log.close().await;
}

fn tonic_prost_codec() -> tonic_prost::ProstCodec<wire::QueryRequest, wire::QueryResponse> {
    tonic_prost::ProstCodec::default()
}

/// Stands between the hub and a database server, and can be cut.
struct Wire {
    port: u16,
    open: Arc<AtomicBool>,
    cut: tokio::sync::watch::Sender<u64>,
}

impl Wire {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(AtomicBool::new(true));
        let (cut, cuts) = tokio::sync::watch::channel(0);
        let is_open = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if !is_open.load(Ordering::SeqCst) {
                    continue;
                }
                let (server, mut cuts) = (server.clone(), cuts.clone());
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { port, open, cut }
    }

    fn cut(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.cut.send_modify(|count| *count += 1);
    }

    fn mend(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

fn host_and_port(url: &str) -> String {
    let after = url.rsplit_once('@').unwrap().1;
    after.split_once('/').unwrap().0.to_owned()
}

/// Asks for everything until the population source answers as wanted; gives the last answer.
async fn until(
    client: &mut QueryServiceClient<Channel>,
    personal_id: &str,
    wanted: wire::Outcome,
) -> wire::QueryResponse {
    let mut last = None;
    for _ in 0..60 {
        let mut both = request(personal_id);
        both.selections.push(selection("lienthong.budget.v1.BudgetUnit", &["name"]));
        let answer = client.query(both).await.unwrap().into_inner();
        if answer.results[0].outcome() == wanted {
            return answer;
        }
        last = Some(answer);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("the source never was {wanted:?}: {last:?}");
}

async fn a_source_in_trouble_speaks_for_itself(engine: Engine) {
    if !engine.available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let databases =
        Databases::create(folder.path(), |sector| if sector == Sector::Population { engine } else { Engine::Sqlite })
            .await;
    let somebody = databases.fill(100, 53, None).await.cast.everywhere.unwrap();
    let files = HubFiles::write(&databases, &Settings::default());
    let url = databases.url(Sector::Population).to_owned();
    let server = host_and_port(&url);
    let proxy = Wire::to(server.clone()).await;
    let secret = files.path("secrets/population");
    let through_wire = url.replace(&server, &format!("127.0.0.1:{}", proxy.port));
    std::fs::write(&secret, &through_wire).unwrap();
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, "H21.99/all").await;
    let id = &somebody.personal_id;
    until(&mut client, id, wire::Outcome::Found).await;

    // The server is gone.
    proxy.cut();
    let answer = until(&mut client, id, wire::Outcome::Unavailable).await;
    let failure = answer.results[0].failure.clone().unwrap();
    assert_eq!((failure.owner(), failure.reason.as_str()), (wire::failure::Owner::Source, "SOURCE_UNREACHABLE"));
    assert!(!failure.message_vi.is_empty() && !answer.complete);
    assert_eq!(answer.results[1].outcome(), wire::Outcome::Found, "the other source answers for itself");
    assert!(answer.receipt.is_some());
    let mut needed = request(id);
    needed.required_sources = vec!["population".to_owned()];
    let status = client.query(needed).await.unwrap_err();
    assert_eq!((status.code(), error_info(&status).0.as_str()), (Code::Unavailable, "REQUIRED_SOURCE_FAILED"));
    recorded(&status);
    proxy.mend();
    until(&mut client, id, wire::Outcome::Found).await;

    // A table is renamed under the running hub, and comes back.
    execute(engine, &url, "ALTER TABLE cong_dan RENAME TO cong_dan_cu").await;
    let answer = until(&mut client, id, wire::Outcome::Unavailable).await;
    let failure = answer.results[0].failure.clone().unwrap();
    assert_eq!((failure.owner(), failure.reason.as_str()), (wire::failure::Owner::Adapter, "SOURCE_SCHEMA_CHANGED"));
    execute(engine, &url, "ALTER TABLE cong_dan_cu RENAME TO cong_dan").await;
    until(&mut client, id, wire::Outcome::Found).await;
    assert!(hub.stop());

    // A wrong password, from the start.
    std::fs::write(&secret, url.replace(":test@", ":wrong@")).unwrap();
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, "H21.99/all").await;
    let answer = until(&mut client, id, wire::Outcome::Unavailable).await;
    assert_eq!(answer.results[0].failure.clone().unwrap().reason, "SOURCE_CREDENTIALS");
    let lines = hub.lines.lock().unwrap().join("\n");
    assert!(!lines.contains("wrong@") && !lines.contains(id.as_str()), "secrets and numbers stay out of the log lines");
    assert!(hub.stop());
    databases.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_source_in_trouble_speaks_for_itself() {
    a_source_in_trouble_speaks_for_itself(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_source_in_trouble_speaks_for_itself() {
    a_source_in_trouble_speaks_for_itself(Engine::MySql).await;
}
