//! What an attacker tries from outside: each refused, and each in the log. Tokens are in `tokens.rs`, revoked certificates in
//! `reload.rs`, malformed requests in `bad_input.rs`.

use std::{collections::BTreeMap, fs, process::Command, time::Duration};

use prost_types::FieldMask;
use proto::{
    audit::v1::{self as log, audit_service_client::AuditServiceClient, entry::Kind},
    query::v1::{self as wire, query_service_client::QueryServiceClient, subject::Identifier},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, date_time_ymd,
};
use tests::{Certificate, Databases, Engine, Hub, HubFiles, Settings, channel, client_of, error_info, query_client};
use tonic::{Code, Request, Status, metadata::AsciiMetadataKey};

const RESIDENT: &str = "lienthong.population.v1.Resident";
const GOOD: &str = "spiffe://test.example/agency/H21.99/system/all";

fn request(personal_id: &str, purpose: &str) -> wire::QueryRequest {
    let field_mask = Some(FieldMask { paths: vec!["full_name".to_owned()] });
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![wire::Selection { record_type: RESIDENT.to_owned(), field_mask }],
        purpose: Some(wire::Purpose {
            code: purpose.to_owned(),
            dossier_number: "H21.65-261122-0011".to_owned(),
            ..Default::default()
        }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    }
}

fn parameters(uris: &[&str]) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
    parameters
}

fn signed(parameters: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Certificate {
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.signed_by(&key, issuer).unwrap();
    Certificate { pem: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
}

fn ours(files: &HubFiles) -> Issuer<'static, KeyPair> {
    let key = fs::read_to_string(files.path("keys/ca.key")).unwrap();
    let pem = String::from_utf8(files.authority()).unwrap();
    Issuer::from_ca_cert_pem(&pem, KeyPair::from_pem(&key).unwrap()).unwrap()
}

async fn entries(hub: &Hub, files: &HubFiles) -> Vec<log::Entry> {
    use futures::StreamExt;
    let mut client = AuditServiceClient::new(client_of(hub, files, "H21.90/console").await);
    let reader = Some(log::Officer { id: "2".to_owned(), name: "Giám sát".to_owned(), ..Default::default() });
    let mut stream =
        client.tail_entries(log::TailEntriesRequest { reader, ..Default::default() }).await.unwrap().into_inner();
    let mut found = Vec::new();
    while let Ok(Some(entry)) = tokio::time::timeout(Duration::from_secs(2), stream.next()).await {
        found.push(entry.unwrap().entry.unwrap());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_look_alike_certificates_open_nothing_and_are_counted_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 107, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let call = async |certificate: Option<&Certificate>| match channel(&hub, &files.authority(), certificate).await {
        Err(error) => Err(Status::unavailable(error.to_string())),
        Ok(channel) => QueryServiceClient::new(channel).query(request(&somebody, "test_everything")).await.map(drop),
    };
    call(Some(&signed(&parameters(&[GOOD]), &ours(&files)))).await.expect("the right one is accepted");

    // Refused in the handshake: nothing of gRPC is reached.
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let other = CertifiedIssuer::self_signed(authority.clone(), KeyPair::generate().unwrap()).unwrap();
    // An authority that calls itself as ours does.
    for part in [DnType::CommonName, DnType::OrganizationName] {
        authority.distinguished_name.push(part, "Liên Thông");
    }
    let namesake = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut expired = parameters(&[GOOD]);
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut server = parameters(&[GOOD]);
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A system's certificate that makes itself an authority.
    let key = KeyPair::generate().unwrap();
    let system = parameters(&[GOOD]).signed_by(&key, &ours(&files)).unwrap();
    let mut upstart = signed(&parameters(&[GOOD]), &Issuer::new(parameters(&[GOOD]), key));
    upstart.pem.extend_from_slice(system.pem().as_bytes());
    let handshakes = [
        ("another authority", signed(&parameters(&[GOOD]), &other)),
        ("a namesake of our authority", signed(&parameters(&[GOOD]), &namesake)),
        ("expired", signed(&expired, &ours(&files))),
        ("made for servers", signed(&server, &ours(&files))),
        ("signed by a system", upstart),
    ];
    for (case, certificate) in &handshakes {
        let status = call(Some(certificate)).await.expect_err(case);
        assert_eq!(error_info(&status).0, "", "{case}: the hub said nothing in gRPC");
    }

    // Signed by our authority, but not for a system of an agency as written.
    let look_alikes: [(&[&str], &str); 13] = [
        (&[], "CERTIFICATE_WITHOUT_SPIFFE_ID"),
        (&["https://test.example/agency/H21.99/system/all"], "CERTIFICATE_WITHOUT_SPIFFE_ID"),
        (&["SPIFFE://test.example/agency/H21.99/system/all"], "CERTIFICATE_WITHOUT_SPIFFE_ID"),
        (&[GOOD, "spiffe://test.example/agency/H21.40.05/system/investigation"], "CERTIFICATE_WITH_SEVERAL_SPIFFE_IDS"),
        (&["spiffe://TEST.example/agency/H21.99/system/all"], "CERTIFICATE_OF_OTHER_TRUST_DOMAIN"),
        (&["spiffe://test.example.evil/agency/H21.99/system/all"], "CERTIFICATE_OF_OTHER_TRUST_DOMAIN"),
        (&["spiffe://test.example/agency/h21.99/system/all"], "CERTIFICATE_WITH_MALFORMED_SPIFFE_ID"),
        (&["spiffe://test.example/agency/H21.99/system/ALL"], "CERTIFICATE_WITH_MALFORMED_SPIFFE_ID"),
        (&["spiffe://test.example/agency/H21.99/system/%61ll"], "CERTIFICATE_WITH_MALFORMED_SPIFFE_ID"),
        (&["spiffe://test.example/agency/H21.99/system/all/"], "CERTIFICATE_WITH_MALFORMED_SPIFFE_ID"),
        (&["spiffe://test.example/agency/H21.99/../H21.40.05/system/all"], "CERTIFICATE_WITH_MALFORMED_SPIFFE_ID"),
        (&["spiffe://test.example/agency/H21.99./system/all"], "CERTIFICATE_WITH_MALFORMED_SPIFFE_ID"),
        (&["spiffe://test.example/agency/H21.99/system/all?as=console"], "CERTIFICATE_WITH_MALFORMED_SPIFFE_ID"),
    ];
    for (uris, reason) in look_alikes {
        let status = call(Some(&signed(&parameters(uris), &ours(&files)))).await.unwrap_err();
        assert_eq!((status.code(), error_info(&status).0.as_str()), (Code::Unauthenticated, reason), "{uris:?}");
    }
    call(None).await.unwrap_err();

    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for entry in entries(&hub, &files).await.iter().filter(|entry| entry.kind() == Kind::HubEvent) {
        let details: BTreeMap<_, _> =
            entry.details.iter().map(|detail| (detail.name.as_str(), &detail.value)).collect();
        if details["event"] == "callers without a valid certificate refused" {
            *counted.entry(details["reason"].clone()).or_default() += details["count"].parse::<u64>().unwrap();
        }
    }
    // A client may try a handshake more than once.
    for (reason, least) in [
        ("CERTIFICATE_NOT_TRUSTED", 3),
        ("CERTIFICATE_EXPIRED", 1),
        ("CERTIFICATE_FOR_OTHER_USAGE", 1),
        ("CERTIFICATE_WITHOUT_SPIFFE_ID", 3),
        ("CERTIFICATE_WITH_SEVERAL_SPIFFE_IDS", 1),
        ("CERTIFICATE_OF_OTHER_TRUST_DOMAIN", 2),
        ("CERTIFICATE_WITH_MALFORMED_SPIFFE_ID", 7),
        ("NO_CLIENT_CERTIFICATE", 1),
    ] {
        assert!(counted.get(reason).is_some_and(|count| *count >= least), "{reason}: {counted:?}");
    }
    println!(
        "{} wrong certificates, refused and counted in the log: {counted:?}",
        handshakes.len() + look_alikes.len()
    );
    assert!(hub.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn tricks_with_masks_metadata_purposes_and_repetition_open_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 109, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let mut all = query_client(&hub, &files, "H21.99/all").await;
    let with_mask = |paths: &[&str]| {
        let mut asked = request(&somebody, "test_everything");
        asked.selections[0].field_mask =
            Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
        asked
    };
    let masks: [&[&str]; 11] = [
        &[],
        &["*"],
        &["full_name.*"],
        &[""],
        &["."],
        &["full_name."],
        &[".full_name"],
        &["mother..full_name"],
        &["full_name", "FULL_NAME"],
        &["full_name/full"],
        &["full_name.full.full"],
    ];
    for mask in masks {
        let status = all.query(with_mask(mask)).await.expect_err("a trick");
        assert_eq!(status.code(), Code::InvalidArgument, "{mask:?}");
        assert!(status.metadata().contains_key("lienthong-log-index"), "{mask:?} is recorded");
    }

    // A number of another kind of subject finds nobody.
    let mut firm = request(&somebody, "test_everything");
    firm.subject = Some(wire::Subject { identifier: Some(Identifier::BudgetUnitCode("1000001".to_owned())) });
    assert_eq!(all.query(firm).await.unwrap_err().code(), Code::InvalidArgument);

    // A purpose of somebody else's agreement.
    let mut portal = query_client(&hub, &files, "H21.65/portal").await;
    let status = portal.query(request(&somebody, "test_everything")).await.unwrap_err();
    assert_eq!((status.code(), error_info(&status).0.as_str()), (Code::PermissionDenied, "PURPOSE_NOT_IN_AGREEMENT"));

    // Metadata that would speak for the certificate, if anybody listened.
    let mut archive = query_client(&hub, &files, "H21.10/archive").await;
    let mut smuggled = Request::new(request(&somebody, "test_everything"));
    for (name, value) in [
        ("x-forwarded-client-cert", "URI=spiffe://test.example/agency/H21.99/system/all"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-ssl-client-s-dn", "CN=all"),
        ("lienthong-agency", "H21.99"),
        ("lienthong-system", "all"),
        ("lienthong-log-index", "0"),
        ("grpc-status", "0"),
    ] {
        smuggled.metadata_mut().insert(AsciiMetadataKey::from_static(name), value.parse().unwrap());
    }
    let status = archive.query(smuggled).await.unwrap_err();
    assert_eq!((status.code(), error_info(&status).0.as_str()), (Code::PermissionDenied, "NO_AGREEMENT"));
    let smuggled: usize = status.metadata().get("lienthong-log-index").unwrap().to_str().unwrap().parse().unwrap();

    // A repeated call is another call: decided anew and recorded under its own index; from another system it is nothing.
    let first = all.query(request(&somebody, "test_everything")).await.unwrap().into_inner().receipt.unwrap().log_index;
    let again = all.query(request(&somebody, "test_everything")).await.unwrap().into_inner().receipt.unwrap().log_index;
    assert!(again > first);
    assert!(archive.query(request(&somebody, "test_everything")).await.is_err());

    let entries = entries(&hub, &files).await;
    assert_eq!(entries[smuggled].caller.as_ref().unwrap().system, "archive", "who the certificate says");
    assert!(hub.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_a_person_exists_shows_in_no_error_and_no_size() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 113, None).await.cast.everywhere.unwrap().personal_id;
    let nobody = "052185999999";
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);

    // To a system that may not know, a person and nobody read the same, to the byte.
    for (system, purpose) in [
        ("H21.10/archive", "test_everything"),
        ("H21.65/portal", "test_everything"),
        ("H21.90/console", "test_everything"),
    ] {
        let mut client = query_client(&hub, &files, system).await;
        let mut seen = Vec::new();
        for number in [somebody.as_str(), nobody] {
            let status = client.query(request(number, purpose)).await.unwrap_err();
            seen.push((status.code(), status.message().to_owned(), status.details().to_vec()));
        }
        assert_eq!(seen[0], seen[1], "{system}");
    }

    // Where one register is granted and another is not, the other's answer says nothing either.
    let mut client = query_client(&hub, &files, "H21.65/portal").await;
    let mut seen = Vec::new();
    for number in [somebody.as_str(), nobody] {
        let mut asked = request(number, "confirm_residence");
        asked.selections = vec![wire::Selection {
            record_type: RESIDENT.to_owned(),
            field_mask: Some(FieldMask { paths: vec!["religion".to_owned()] }),
        }];
        let status = client.query(asked).await.unwrap_err();
        seen.push((status.code(), status.message().to_owned(), status.details().to_vec()));
    }
    assert_eq!(seen[0], seen[1]);
    // A claim about a field that is not granted gets the same verdict and reason.
    let mut verdicts = Vec::new();
    for number in [somebody.as_str(), nobody] {
        let asked = request(number, "confirm_residence");
        let claim = |field: &str, value: &str| wire::Claim {
            record_type: RESIDENT.to_owned(),
            field: field.to_owned(),
            value: value.to_owned(),
        };
        let answer = client
            .verify(wire::VerifyRequest {
                subject: asked.subject,
                claims: vec![claim("religion", "Phật giáo"), claim("ethnicity", "Kinh")],
                purpose: asked.purpose,
                officer: asked.officer,
                required_sources: Vec::new(),
            })
            .await
            .map(|answer| answer.into_inner().results)
            .map_err(|status| (status.code(), status.message().to_owned(), status.details().to_vec()));
        verdicts.push(answer);
    }
    assert_eq!(verdicts[0], verdicts[1]);
    assert!(hub.stop());
}

/// Not about these: the certificates of these tests are made for a month and say nothing of revocation, and the port speaks
/// gRPC, so that there are no pages to protect with headers.
const NOT_ABOUT: [&str; 6] =
    ["cert_expirationStatus", "cert_notAfter", "cert_revocation", "HSTS", "security_headers", "engine_problem"];

#[tokio::test(flavor = "multi_thread")]
async fn testssl_finds_nothing_below_tls_1_2_and_nothing_weak() {
    if !tests::long() {
        eprintln!("testssl.sh takes a minute: passed over in the short form");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    databases.fill(100, 127, None).await;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let port = hub.address.rsplit(':').next().unwrap();
    let found = files.path("testssl.csv");
    let ran = Command::new("testssl")
        .args(["--quiet", "--color", "0", "--warnings", "off", "--ip", "one", "--nodns=min", "--add-ca"])
        .arg(files.path("keys/ca.pem"))
        .arg("--csvfile")
        .arg(&found)
        .arg(format!("localhost:{port}"))
        .output()
        .expect("testssl.sh is installed");
    let findings = csv::ReaderBuilder::new().flexible(true).from_path(&found).unwrap().into_deserialize();
    let findings: Vec<BTreeMap<String, String>> = findings.map(Result::unwrap).collect();
    assert!(findings.len() > 50, "{}", String::from_utf8_lossy(&ran.stdout));
    let text = |finding: &BTreeMap<String, String>, key: &str| finding[key].clone();
    let weak: Vec<_> = findings
        .iter()
        .filter(|finding| ["LOW", "MEDIUM", "HIGH", "CRITICAL", "FATAL"].contains(&text(finding, "severity").as_str()))
        .filter(|finding| !NOT_ABOUT.contains(&text(finding, "id").as_str()))
        .collect();
    assert!(weak.is_empty(), "{weak:#?}");
    let of = |id: &str| findings.iter().find(|finding| text(finding, "id") == id).map(|found| text(found, "finding"));
    for (id, expected) in
        [("SSLv2", "not offered"), ("SSLv3", "not offered"), ("TLS1", "not offered"), ("TLS1_1", "not offered")]
    {
        assert_eq!(of(id).as_deref(), Some(expected), "{id}");
    }
    assert!(of("TLS1_2").unwrap().starts_with("offered") && of("TLS1_3").unwrap().starts_with("offered"));
    // Grades are given from version 3.2 on.
    let grade = of("overall_grade");
    assert!(grade.as_deref().is_none_or(|grade| grade.starts_with('A')), "{grade:?}");
    println!("testssl.sh: {} findings, none weak, nothing below TLS 1.2, grade {grade:?}", findings.len());
    assert!(hub.stop());
}
