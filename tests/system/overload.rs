//! More calls than the hub takes: refusals are quick and say when to come back, other agencies do not notice, and the log
//! tells how many there were without an entry for each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use prost_types::FieldMask;
use proto::{
    audit::v1::entry::Kind,
    query::v1::{self as wire, subject::Identifier},
};
use tests::{Databases, Engine, Hub, HubFiles, Settings, client_of, error_info, http_get, query_client};
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_types::StatusExt;

fn request(personal_id: &str, purpose: &str) -> wire::QueryRequest {
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![wire::Selection {
            record_type: "lienthong.population.v1.Resident".to_owned(),
            field_mask: Some(FieldMask { paths: vec!["full_name".to_owned()] }),
        }],
        purpose: Some(wire::Purpose {
            code: purpose.to_owned(),
            dossier_number: "H21.65-261122-0009".to_owned(),
            ..Default::default()
        }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_agency_is_refused_quickly_and_spares_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 91, None).await.cast.everywhere.unwrap();
    let settings = Settings {
        server: "readiness_interval_s = 1\ncalls_max = 12".to_owned(),
        more: "[telemetry]\nmetrics_listen = \"127.0.0.1:0\"\n".to_owned(),
        ..Settings::default()
    };
    let files = HubFiles::write(&databases, &settings);
    let hub = Hub::start(&files);
    let flooding = query_client(&hub, &files, "H21.99/all").await;
    let mut other = query_client(&hub, &files, "H21.65/portal").await;
    let stop = Arc::new(AtomicBool::new(false));
    let flood: Vec<_> = (0..48)
        .map(|_| {
            let (mut client, stop) = (flooding.clone(), Arc::clone(&stop));
            let request = request(&somebody.personal_id, "test_everything");
            tokio::spawn(async move {
                let (mut answered, mut refused, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
                while !stop.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    match client.query(request.clone()).await {
                        Ok(_) => answered += 1,
                        Err(status) => {
                            assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                            assert_eq!(error_info(&status).0, "TOO_MANY_CALLS");
                            let wait = status.get_error_details().retry_info().unwrap().retry_delay.unwrap();
                            assert!((500..1_000).contains(&wait.as_millis()), "{wait:?}");
                            refused += 1;
                            slowest = slowest.max(asked.elapsed());
                        }
                    }
                }
                (answered, refused, slowest)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    // One at a time, this agency never has more than its part.
    for _ in 0..50 {
        let answer = other.query(request(&somebody.personal_id, "confirm_residence")).await;
        assert!(answer.is_ok(), "another agency's flood is not its fault: {answer:?}");
    }
    let mut health = HealthClient::new(client_of(&hub, &files, "H21.65/portal").await);
    let mut capacity = async || {
        let asked = HealthCheckRequest { service: "lienthong.capacity".to_owned() };
        health.check(asked).await.unwrap().into_inner().status()
    };
    let mut says = async |wanted: ServingStatus| {
        let started = Instant::now();
        while capacity().await != wanted {
            assert!(started.elapsed() < Duration::from_secs(5), "health does not become {wanted:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    says(ServingStatus::NotServing).await;
    stop.store(true, Ordering::Relaxed);
    says(ServingStatus::Serving).await;
    let (mut answered, mut refused, mut slowest) = (0, 0, Duration::ZERO);
    for caller in flood {
        let (own_answered, own_refused, own_slowest) = caller.await.unwrap();
        answered += own_answered;
        refused += own_refused;
        slowest = slowest.max(own_slowest);
    }
    assert!(answered > 0 && refused > 0, "{answered} answered, {refused} refused");
    println!("{answered} answered, {refused} refused, the slowest refusal after {slowest:?}");

    let metrics = http_get(&hub.metrics_address().unwrap(), "/metrics").await;
    for name in [
        "rpc_server_call_duration_seconds_bucket",
        "lienthong_stage_duration_seconds_bucket",
        "lienthong_source_duration_seconds_bucket",
        "lienthong_source_breaker",
        "lienthong_source_waiting",
        "lienthong_calls_running",
        "lienthong_audit_waiting",
        "lienthong_audit_commit_size_bucket",
        "lienthong_audit_commit_duration_seconds_bucket",
        "lienthong_certificate_days_left",
        "lienthong_agreement_days_left",
        "RESOURCE_EXHAUSTED",
        "H21.65",
    ] {
        assert!(metrics.contains(name), "{name} is in the metrics:\n{metrics}");
    }
    for personal in [&somebody.personal_id, &somebody.name] {
        assert!(!metrics.contains(personal.as_str()), "metrics hold a personal value");
    }

    assert!(hub.stop());
    let key = audit::SigningKey::load(&files.path("keys/log.key")).unwrap();
    let log = audit::AuditLog::open(&files.log_location(), key, audit::Options::default()).await.unwrap();
    let (mut counted, mut singly) = (0, 0);
    for index in 0..log.checkpoint().tree_size {
        let entry = log.entry(index).await.unwrap().entry.unwrap();
        let detail = |name: &str| entry.details.iter().find(|detail| detail.name == name).map(|detail| &detail.value);
        if detail("event").is_some_and(|event| event == "calls refused over the limit") {
            assert_eq!(detail("system").unwrap(), "all");
            counted += detail("count").unwrap().parse::<u64>().unwrap();
        }
        singly += u64::from(entry.kind() == Kind::RejectedCall);
    }
    log.close().await;
    assert_eq!((counted, singly), (refused, 0), "all of them, by the second");
}
