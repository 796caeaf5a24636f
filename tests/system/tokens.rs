//! Officers and citizens proven by tokens of a real OpenID provider, and tokens that prove nothing.

use std::{
    fs,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use prost_types::FieldMask;
use proto::{
    audit::v1::{self as log, audit_service_client::AuditServiceClient},
    options::v1::IdentifierKind,
    query::v1::{self as wire, query_service_client::QueryServiceClient, subject::Identifier},
};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};
use tests::{Databases, Engine, Hub, HubFiles, Provider, Settings, SigningKey, client_of, error_info};
use tonic::{Code, Request, Status, metadata::MetadataValue, transport::Channel};

use crate::command::{self, path, profile, run};

const RESIDENT: &str = "lienthong.population.v1.Resident";

fn signing_key(id: &'static str) -> SigningKey {
    SigningKey { id, pem: KeyPair::generate().unwrap().serialize_pem() }
}

fn request(personal_id: &str, officer: Option<&str>) -> wire::QueryRequest {
    let field_mask = Some(FieldMask { paths: vec!["full_name".to_owned(), "ethnicity".to_owned()] });
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![wire::Selection { record_type: RESIDENT.to_owned(), field_mask }],
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: officer.map(|id| wire::Officer {
            id: id.to_owned(),
            name: "Kiểm thử".to_owned(),
            ..Default::default()
        }),
        required_sources: Vec::new(),
    }
}

fn carrying<T>(message: T, authorizations: &[&str]) -> Request<T> {
    let mut request = Request::new(message);
    for value in authorizations {
        request.metadata_mut().append("authorization", MetadataValue::try_from(*value).unwrap());
    }
    request
}

/// Names of the fields withheld, with the reason of the first.
fn withheld(answer: &wire::QueryResponse) -> Vec<(&str, &str)> {
    let fields = answer.results.iter().flat_map(|result| &result.withheld);
    fields.map(|field| (field.path.split('.').next().unwrap(), field.reason.as_str())).collect()
}

fn about(personal_id: &str) -> log::ListSubjectAccessesRequest {
    log::ListSubjectAccessesRequest {
        subject_kind: IdentifierKind::PersonalId.into(),
        subject: personal_id.to_owned(),
        ..Default::default()
    }
}

async fn entry(hub: &Hub, files: &HubFiles, log_index: u64) -> log::Entry {
    let mut client = AuditServiceClient::new(client_of(hub, files, "H21.90/console").await);
    let reader = log::Officer { id: "2".to_owned(), name: "Giám sát".to_owned(), ..Default::default() };
    let request = log::GetEntryRequest { reader: Some(reader), log_index, ..Default::default() };
    client.get_entry(request).await.unwrap().into_inner().entry.unwrap()
}

/// The refusal, checked to be recorded with the same reason.
async fn refused(hub: &Hub, files: &HubFiles, status: &Status) -> (Code, String) {
    let index =
        status.metadata().get("lienthong-log-index").expect("it is recorded").to_str().unwrap().parse().unwrap();
    let (reason, _) = error_info(status);
    assert_eq!(entry(hub, files, index).await.reason, reason);
    (status.code(), reason)
}

fn officer_claims(agency: &str, level: &str) -> Value {
    json!({ "name": "Trần Thị Mẫu", "agency": agency, "acr": level })
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_prove_officers_and_wrong_ones_open_nothing() {
    if !Provider::available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 83, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    let (first, second) = (signing_key("a"), signing_key("b"));
    let clients = [
        ("CB-0017", officer_claims("H21.99.03", "high")),
        ("CB-0018", officer_claims("H21.12", "high")),
        ("CB-0019", officer_claims("H21.99", "low")),
    ];
    let provider = Provider::start(&files, &first, &clients);
    let citizens = Provider::start(&files, &signing_key("c"), &[("079203012345", json!({ "acr": "high" }))]);

    // Without the clause that accepts asserted officers, sensitive fields are for proven ones.
    let grant = files.path("grants/everything.toml");
    let text = fs::read_to_string(&grant).unwrap().replace("officer_assurance = \"asserted\"\n", "");
    fs::write(&grant, text).unwrap();
    let sections = [(&provider.issuer, "officers"), (&citizens.issuer, "citizens")].map(|(issuer, holders)| {
        format!(
            "[[identity_providers]]\nissuer = \"{issuer}\"\naudience = \"lienthong\"\nauthorities = [\"keys/ca.pem\"]\n\
             holders = \"{holders}\"\nassurance_levels = [\"high\"]\nclock_skew_s = 2\n"
        )
    });
    let config = fs::read_to_string(files.path("config.toml")).unwrap() + &sections.concat();
    fs::write(files.path("config.toml"), config).unwrap();
    let hub = Hub::start(&files);
    let mut client = QueryServiceClient::new(client_of(&hub, &files, "H21.99/all").await);

    // Asserted: the name. Proven: all of it, with the officer stated or left out.
    let asserted = client.query(request(&somebody, Some("CB-0017"))).await.unwrap().into_inner();
    let reasons = withheld(&asserted);
    assert!(
        !reasons.is_empty() && reasons.iter().all(|found| *found == ("ethnicity", "SENSITIVE_NEEDS_PROVEN_OFFICER")),
        "{reasons:?}"
    );
    let bearer = format!("Bearer {}", provider.tokens["CB-0017"]);
    for stated in [None, Some("CB-0017")] {
        let proven = client.query(carrying(request(&somebody, stated), &[&bearer])).await.unwrap().into_inner();
        assert_eq!(withheld(&proven), []);
        let officer = entry(&hub, &files, proven.receipt.unwrap().log_index).await.officer.unwrap();
        assert_eq!((officer.id.as_str(), officer.name.as_str()), ("CB-0017", "Trần Thị Mẫu"));
        assert_eq!((officer.unit.as_str(), officer.assurance.as_str()), ("H21.99.03", "proven"));
    }
    let other = client.query(carrying(request(&somebody, Some("CB-0099")), &[&bearer])).await.unwrap_err();
    assert_eq!((other.code(), error_info(&other).1), (Code::InvalidArgument, vec!["officer.id".to_owned()]));

    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let made = |changes: Value, algorithm: Algorithm, key_id: Option<&str>, key: &EncodingKey| {
        let mut claims = json!({
            "iss": provider.issuer, "aud": "lienthong", "sub": "CB-0017", "name": "Trần Thị Mẫu", "agency": "H21.99",
            "acr": "high", "iat": now - 10, "exp": now + 600,
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        let header = Header { kid: key_id.map(ToOwned::to_owned), ..Header::new(algorithm) };
        format!("Bearer {}", encode(&header, &claims, key).unwrap())
    };
    let key = EncodingKey::from_ec_pem(first.pem.as_bytes()).unwrap();
    let signed = |changes: Value| made(changes, Algorithm::ES256, Some("a"), &key);
    let good = signed(json!({}));
    client.query(carrying(request(&somebody, None), &[&good])).await.expect("made by hand, and right");

    let stranger = EncodingKey::from_ec_pem(signing_key("x").pem.as_bytes()).unwrap();
    let public = KeyPair::from_pem(&first.pem).unwrap();
    let secrets = [public.public_key_pem().into_bytes(), public.der_bytes().to_vec()];
    let payload = good.split('.').nth(1).unwrap();
    // {"alg":"none","kid":"a"}
    let unsigned = format!("Bearer eyJhbGciOiJub25lIiwia2lkIjoiYSJ9.{payload}.");
    let cases: Vec<(&str, Vec<String>, &str)> = vec![
        ("alg none", vec![unsigned], "TOKEN_MALFORMED"),
        (
            "key confusion, PEM",
            vec![made(json!({}), Algorithm::HS256, Some("a"), &EncodingKey::from_secret(&secrets[0]))],
            "TOKEN_OF_WRONG_ALGORITHM",
        ),
        (
            "key confusion, bytes",
            vec![made(json!({}), Algorithm::HS256, Some("a"), &EncodingKey::from_secret(&secrets[1]))],
            "TOKEN_OF_WRONG_ALGORITHM",
        ),
        (
            "signed by another",
            vec![made(json!({}), Algorithm::ES256, Some("a"), &stranger)],
            "TOKEN_WITH_WRONG_SIGNATURE",
        ),
        ("unknown key", vec![made(json!({}), Algorithm::ES256, Some("z"), &stranger)], "TOKEN_OF_UNKNOWN_KEY"),
        ("no key id", vec![made(json!({}), Algorithm::ES256, None, &key)], "TOKEN_MALFORMED"),
        ("wrong audience", vec![signed(json!({ "aud": "portal" }))], "TOKEN_FOR_OTHER_AUDIENCE"),
        ("no audience", vec![signed(json!({ "aud": null }))], "TOKEN_MALFORMED"),
        ("unknown issuer", vec![signed(json!({ "iss": "https://sso.example" }))], "TOKEN_OF_UNKNOWN_ISSUER"),
        ("expired", vec![signed(json!({ "iat": now - 900, "exp": now - 60 }))], "TOKEN_EXPIRED"),
        ("without end", vec![signed(json!({ "exp": null }))], "TOKEN_MALFORMED"),
        ("issued in the future", vec![signed(json!({ "iat": now + 60 }))], "TOKEN_FROM_THE_FUTURE"),
        ("not yet valid", vec![signed(json!({ "nbf": now + 60 }))], "TOKEN_FROM_THE_FUTURE"),
        ("another agency", vec![signed(json!({ "agency": "H21.12" }))], "TOKEN_OF_OTHER_AGENCY"),
        ("an agency whose code begins the same", vec![signed(json!({ "agency": "H21.990" }))], "TOKEN_OF_OTHER_AGENCY"),
        ("the agency above", vec![signed(json!({ "agency": "H21" }))], "TOKEN_OF_OTHER_AGENCY"),
        ("no agency", vec![signed(json!({ "agency": null }))], "TOKEN_OF_OTHER_AGENCY"),
        ("low assurance", vec![signed(json!({ "acr": "low" }))], "TOKEN_ASSURANCE_TOO_LOW"),
        ("no assurance", vec![signed(json!({ "acr": null }))], "TOKEN_ASSURANCE_TOO_LOW"),
        ("no name", vec![signed(json!({ "name": " " }))], "TOKEN_WITHOUT_HOLDER"),
        (
            "the provider's own, of another agency",
            vec![format!("Bearer {}", provider.tokens["CB-0018"])],
            "TOKEN_OF_OTHER_AGENCY",
        ),
        (
            "the provider's own, of low assurance",
            vec![format!("Bearer {}", provider.tokens["CB-0019"])],
            "TOKEN_ASSURANCE_TOO_LOW",
        ),
        ("two of them", vec![good.clone(), good.clone()], "TOKEN_UNREADABLE"),
        ("another scheme", vec!["Basic dXNlcjpwYXNz".to_owned()], "TOKEN_UNREADABLE"),
        ("rubbish", vec!["Bearer a.b.c".to_owned()], "TOKEN_MALFORMED"),
        // One letter less leaves no whole number of bytes, whatever the signature.
        ("cut short", vec![good[..good.len() - 1].to_owned()], "TOKEN_MALFORMED"),
    ];
    for (case, authorizations, reason) in &cases {
        let authorizations: Vec<_> = authorizations.iter().map(String::as_str).collect();
        let status = client.query(carrying(request(&somebody, None), &authorizations)).await.expect_err(case);
        assert_eq!(refused(&hub, &files, &status).await, (Code::Unauthenticated, (*reason).to_owned()), "{case}");
        assert!(!status.message().contains("CB-0017"), "{case}");
    }
    println!("{} wrong tokens, each refused and recorded", cases.len());

    // A token used by a system of another agency is a stolen one.
    let mut thief = QueryServiceClient::new(client_of(&hub, &files, "H21.12/civil-status").await);
    let status = thief.query(carrying(request(&somebody, None), &[&good])).await.unwrap_err();
    assert_eq!(refused(&hub, &files, &status).await, (Code::Unauthenticated, "TOKEN_OF_OTHER_AGENCY".to_owned()));
    // A command line sends it, too, with a stream that goes on.
    let token = path(&files, "officer.token");
    fs::write(&token, good.trim_start_matches("Bearer ")).unwrap();
    let console = profile(&files, &hub, "H21.90/console");
    let followed = run(&["audit", "tail", "-p", &console, "--from-index", "0", "--token-file", &token]);
    let followed = command::text(&followed);
    assert!(followed.contains("TOKEN_OF_OTHER_AGENCY"), "{followed}");
    // A citizen's token opens no record.
    let citizen = format!("Bearer {}", citizens.tokens["079203012345"]);
    let status = client.query(carrying(request(&somebody, Some("CB-0017")), &[&citizen])).await.unwrap_err();
    assert_eq!(refused(&hub, &files, &status).await, (Code::PermissionDenied, "TOKEN_OF_CITIZEN".to_owned()));
    // It opens the list of those who looked at that citizen, to a system that may not read the log; and nobody else's.
    client.query(carrying(request("079203012345", None), &[&good])).await.unwrap();
    let mut log_client = AuditServiceClient::new(client_of(&hub, &files, "H21.99/all").await);
    let own = about("079203012345");
    let seen = log_client.list_subject_accesses(carrying(own.clone(), &[&citizen])).await.unwrap().into_inner();
    assert_eq!(seen.accesses.len(), 1, "{seen:?}");
    let search = log::SearchEntriesRequest {
        reader: Some(log::Officer { id: "2".to_owned(), name: "Giám sát".to_owned(), ..Default::default() }),
        page_size: 1,
        ..Default::default()
    };
    let mut console = AuditServiceClient::new(client_of(&hub, &files, "H21.90/console").await);
    let newest = console.search_entries(search).await.unwrap().into_inner().entries.remove(0).entry.unwrap();
    assert!(newest.kind() == log::entry::Kind::LogRead && newest.officer.is_none(), "{newest:?}");
    assert_eq!(newest.subjects[0].hash, seen.subject_hashes[0].hash, "the reading is recorded, with whom it was about");
    for (request, authorizations, reason) in [
        (about(&somebody), vec![citizen.as_str()], "TOKEN_OF_CITIZEN"),
        (
            log::ListSubjectAccessesRequest { subject_kind: IdentifierKind::LegacyId.into(), ..about("212345678") },
            vec![citizen.as_str()],
            "TOKEN_OF_CITIZEN",
        ),
        (own, vec![good.as_str()], "ACTION_NOT_IN_AGREEMENT"),
    ] {
        let status = log_client.list_subject_accesses(carrying(request, &authorizations)).await.unwrap_err();
        assert_eq!(refused(&hub, &files, &status).await, (Code::PermissionDenied, reason.to_owned()));
    }

    // The provider takes another key: its tokens are accepted, those of the key it withdrew are not.
    let provider = provider.rotate(&files, &second, &clients);
    let renewed = format!("Bearer {}", provider.tokens["CB-0017"]);
    accepted(&mut client, &somebody, &renewed).await;
    let status = client.query(carrying(request(&somebody, None), &[&good])).await.unwrap_err();
    assert_eq!(refused(&hub, &files, &status).await, (Code::Unauthenticated, "TOKEN_OF_UNKNOWN_KEY".to_owned()));
    // While it is down, officers with tokens of known keys go on.
    drop(provider);
    accepted(&mut client, &somebody, &renewed).await;
    assert!(hub.stop());
}

/// Keys are looked for again at intervals only.
async fn accepted(client: &mut QueryServiceClient<Channel>, personal_id: &str, bearer: &str) {
    let begun = Instant::now();
    while let Err(status) = client.query(carrying(request(personal_id, None), &[bearer])).await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{status}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
