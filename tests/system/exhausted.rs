//! What the machine runs out of: room for the log, and file descriptors. Nothing leaves unrecorded meanwhile, and all is well
//! again when there is room, without a hand.

use std::{process::Command, time::Duration};

use prost_types::FieldMask;
use proto::query::v1::{self as wire, subject::Identifier};
use tests::{Databases, Engine, Hub, HubFiles, Settings, error_info, query_client};
use tokio::net::TcpStream;
use tonic::Code;

fn request(personal_id: &str) -> wire::QueryRequest {
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![wire::Selection {
            record_type: "lienthong.population.v1.Resident".to_owned(),
            field_mask: Some(FieldMask { paths: vec!["full_name".to_owned()] }),
        }],
        purpose: Some(wire::Purpose {
            code: "test_everything".to_owned(),
            // Fills the log quickly.
            justification: "Lấp đầy nhật ký. ".repeat(25),
            ..Default::default()
        }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    }
}

/// Sets one of the limits of a running hub, as `prlimit` names them.
fn limit(hub: &Hub, which: &str) {
    let set = Command::new("prlimit").args(["--pid", &hub.pid().to_string(), which]).status();
    assert!(set.expect("prlimit runs").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_while_the_log_has_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 51, None).await.cast.everywhere.unwrap();
    let files = HubFiles::write(&databases, &Settings::default());
    // A file that would grow beyond 600 KiB cannot be written, as on a full disk.
    let full = "trap '' XFSZ; ulimit -S -f 600; exec \"$0\" \"$@\"";
    let hub = Hub::start_under(&files, &["bash", "-c", full]);
    let mut client = query_client(&hub, &files, "H21.99/all").await;
    let mut receipts = Vec::new();
    let refused = loop {
        match client.query(request(&somebody.personal_id)).await {
            Ok(answer) => receipts.push(answer.into_inner().receipt.unwrap()),
            Err(status) => break status,
        }
        assert!(receipts.len() < 5_000, "the log has grown beyond its limit");
    };
    for _ in 0..20 {
        let status = client.query(request(&somebody.personal_id)).await.expect_err("nothing leaves unrecorded");
        assert_eq!((status.code(), error_info(&status).0.as_str()), (Code::Unavailable, "AUDIT_LOG_UNAVAILABLE"));
    }
    assert_eq!(error_info(&refused).0, "AUDIT_LOG_UNAVAILABLE");
    limit(&hub, "--fsize=unlimited");
    let again = async {
        loop {
            if let Ok(answer) = client.query(request(&somebody.personal_id)).await {
                return answer.into_inner().receipt.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    receipts.push(tokio::time::timeout(Duration::from_secs(10), again).await.expect("there is room again"));
    assert!(hub.stop());

    let key = audit::SigningKey::load(&files.path("keys/log.key")).unwrap();
    let log = audit::AuditLog::open(&files.log_location(), key, audit::Options::default()).await.unwrap();
    for receipt in &receipts {
        assert_eq!(log.entry(receipt.log_index).await.unwrap().leaf_hash, receipt.leaf_hash);
    }
    log.close().await;
    println!("{} answers before the log was full, each of them in it", receipts.len() - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_without_descriptors_keeps_the_callers_it_has_and_takes_others_later() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 52, None).await.cast.everywhere.unwrap();
    let settings =
        Settings { server: "readiness_interval_s = 1\nhandshake_timeout_ms = 60000".to_owned(), ..Settings::default() };
    let files = HubFiles::write(&databases, &settings);
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, "H21.99/all").await;
    client.query(request(&somebody.personal_id)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    limit(&hub, "--nofile=96:");
    let mut idle = Vec::new();
    for _ in 0..150 {
        idle.push(TcpStream::connect(&hub.address).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..20 {
        let answer = client.query(request(&somebody.personal_id)).await.unwrap().into_inner();
        assert!(answer.receipt.is_some());
    }
    let warned = hub.lines.lock().unwrap().iter().any(|line| line.contains("cannot accept a connection"));
    assert!(warned, "there were no descriptors left");
    drop(idle);
    let another = tokio::time::timeout(Duration::from_secs(10), query_client(&hub, &files, "H21.99/all"));
    let mut another = another.await.expect("there are descriptors again");
    assert!(another.query(request(&somebody.personal_id)).await.unwrap().into_inner().complete);
    assert!(hub.stop());
}
