//! Several authorities sign the certificates of systems: each is enough, and one that is withdrawn is enough no more.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use prost_types::FieldMask;
use proto::query::v1::{self as wire, query_service_client::QueryServiceClient, subject::Identifier};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tests::{Certificate, Databases, Engine, Hub, HubFiles, Settings, channel, error_info, query_client};
use tonic::Code;

fn request(personal_id: &str) -> wire::QueryRequest {
    let field_mask = Some(FieldMask { paths: vec!["full_name".to_owned()] });
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![wire::Selection { record_type: "lienthong.population.v1.Resident".to_owned(), field_mask }],
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    }
}

/// A certificate of the system `all`, signed by another authority, whose certificate is written beside ours.
fn of_second_authority(files: &HubFiles) -> Certificate {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, "Second authority");
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    fs::write(files.path("keys/second.pem"), authority.pem()).unwrap();
    let mut system = CertificateParams::default();
    let uri = "spiffe://test.example/agency/H21.99/system/all";
    system.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    let key = KeyPair::generate().unwrap();
    let certificate = system.signed_by(&key, &authority).unwrap();
    Certificate { pem: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_joins_and_leaves_while_serving() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 167, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    let second = of_second_authority(&files);
    let hub = Hub::start(&files);
    let config = fs::read_to_string(files.path("config.toml")).unwrap();
    let both = config.replace("[\"keys/ca.pem\"]", "[\"keys/ca.pem\", \"keys/second.pem\"]");
    assert_ne!(both, config);

    // The system of the first authority asks all the time; none of its calls fails.
    let mut client = query_client(&hub, &files, "H21.99/half").await;
    let (stop, calls, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), request(&somebody));
    let steady = tokio::spawn({
        let (stop, calls) = (Arc::clone(&stop), Arc::clone(&calls));
        async move {
            while !stop.load(Ordering::Relaxed) {
                client.query(asked.clone()).await.expect("no call of the other authority's system fails");
                calls.fetch_add(1, Ordering::Relaxed);
            }
        }
    });

    let authority = files.authority();
    let ask = async || match channel(&hub, &authority, Some(&second)).await {
        Ok(channel) => QueryServiceClient::new(channel).query(request(&somebody)).await.map(drop).is_ok(),
        Err(_) => false,
    };
    assert!(!ask().await, "not trusted yet");
    fs::write(files.path("config.toml"), &both).unwrap();
    let begun = Instant::now();
    while !ask().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "the second authority did not come into force");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut open = QueryServiceClient::new(channel(&hub, &authority, Some(&second)).await.unwrap());
    open.query(request(&somebody)).await.unwrap();

    fs::write(files.path("config.toml"), &config).unwrap();
    let begun = Instant::now();
    let status = loop {
        assert!(begun.elapsed() < Duration::from_secs(30), "the second authority is still trusted");
        match open.query(request(&somebody)).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), error_info(&status).0.as_str()), (Code::Unauthenticated, "CERTIFICATE_NOT_TRUSTED"));
    assert!(status.metadata().contains_key("lienthong-log-index"), "it is recorded");
    assert!(!ask().await, "no new connection either");
    stop.store(true, Ordering::Relaxed);
    steady.await.unwrap();
    println!("{} calls of the other authority's system, none failed", calls.load(Ordering::Relaxed));
    assert!(hub.stop());
}
