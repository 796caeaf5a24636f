//! Receipts: what a caller keeps of an answer shows years later that the query is in the log, and whether the log is still
//! the one it was.

use std::path::PathBuf;

use proto::audit::v1::{GetConsistencyProofRequest, audit_service_client::AuditServiceClient};
use tests::{Databases, Engine, Hub, HubFiles, Settings, client_of, error_info};

use crate::command::{done, fails, path, profile};

const PURPOSE: [&str; 2] = ["--purpose", "test_everything"];

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_verifies_without_the_hub_and_notices_another_log() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(60, 21, None).await.cast.everywhere.unwrap();
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let all = profile(&files, &hub, "H21.99/all");
    let (key, receipt, response) = (path(&files, "keys/log.pub"), path(&files, "a.json"), path(&files, "a.response"));
    let subject = ["-p", &all, "--personal-id", &somebody.personal_id];
    let keep = ["--receipt", &receipt, "--response", &response];
    let query = [&["query", "--select", "Resident:full_name"], &subject[..], &PURPOSE, &keep].concat();
    done(&query);
    fails(&query, "exists already");
    let (claim, second) = (format!("Resident:full_name={}", somebody.name), path(&files, "b.json"));
    done(&[&["verify", "--claim", &claim, "--receipt", &second], &subject[..], &PURPOSE].concat());

    let verify = ["audit", "verify", "--key", &key, "--receipt"];
    let kept = path(&files, "kept.checkpoint");
    done(&["audit", "checkpoint", "-p", &all, "--key", &key, "--out", &kept]);
    for _ in 0..3 {
        done(&[&["query", "--select", "Resident:full_name"], &subject[..], &PURPOSE].concat());
    }
    let now = done(&[&verify[..], &[&receipt, "--profile", &all, "--checkpoint", &kept, "--json"]].concat());
    let now: serde_json::Value = serde_json::from_str(now.trim()).unwrap();
    assert_eq!((&now["verified"], &now["checkpoints"]), (&true.into(), &1.into()), "{now}");
    assert!(done(&["audit", "checkpoint", "-p", &all, "--key", &key, "--since", &kept]).contains("Holds unchanged"));

    // Over the API: wrong sizes name their field.
    let mut service = AuditServiceClient::new(client_of(&hub, &files, "H21.99/all").await);
    for (from, to, field) in
        [(3, 2, "from_tree_size"), (1_000_000, 0, "from_tree_size"), (1, 1_000_000, "to_tree_size")]
    {
        let request = GetConsistencyProofRequest { from_tree_size: from, to_tree_size: to, ..Default::default() };
        let status = service.get_consistency_proof(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert_eq!(error_info(&status).1, [field], "{from} {to}");
    }
    assert!(hub.stop());

    // The hub is gone.
    assert!(done(&[&verify[..], &[&receipt, "--response", &response]].concat()).contains("The response is the one"));
    done(&[&verify[..], &[&second]].concat());
    fails(&[&verify[..], &[&second, "--response", &response]].concat(), "has the digest");
    fails(&[&verify[..], &[&receipt, "--checkpoint", &kept]].concat(), "give --profile");
    let mut changed = std::fs::read(&response).unwrap();
    changed[10] ^= 1;
    std::fs::write(&response, changed).unwrap();
    fails(&[&verify[..], &[&receipt, "--response", &response]].concat(), "has the digest");
    let whole = std::fs::read_to_string(&receipt).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let other = serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(&second).unwrap()).unwrap();
    for (field, words) in [("leaf_hash", "NOT proven"), ("log_index", "NOT proven"), ("proof", "NOT proven")] {
        let mut mixed = parsed.clone();
        mixed[field] = other[field].clone();
        std::fs::write(&receipt, mixed.to_string()).unwrap();
        fails(&[&verify[..], &[&receipt]].concat(), words);
    }
    std::fs::write(&receipt, whole.replace("lienthong-receipt-1", "lienthong-receipt-9")).unwrap();
    fails(&[&verify[..], &[&receipt]].concat(), "lienthong-receipt-9");
    std::fs::write(&receipt, &whole).unwrap();
    let stranger = audit::SigningKey::generate("test.example/log").unwrap().verifier().to_string();
    fails(&["audit", "verify", "--key", &stranger, "--receipt", &receipt], "not signed by");

    // The holder of the key starts over with another log of the same name, shorter and then longer than it was.
    for file in ["audit.sqlite", "audit.sqlite-wal", "audit.sqlite-shm", "audit.sqlite.index"] {
        let file: PathBuf = files.path(file);
        if file.exists() {
            std::fs::remove_file(file).unwrap();
        }
    }
    let hub = Hub::start(&files);
    let all = profile(&files, &hub, "H21.99/all");
    fails(&["audit", "checkpoint", "-p", &all, "--key", &key, "--since", &kept], "entries were removed");
    let subject = ["-p", &all, "--personal-id", &somebody.personal_id];
    for _ in 0..9 {
        done(&[&["query", "--select", "Resident:full_name"], &subject[..], &PURPOSE].concat());
    }
    fails(&["audit", "checkpoint", "-p", &all, "--key", &key, "--since", &kept], "does NOT hold");
    fails(&[&verify[..], &[&receipt, "--profile", &all]].concat(), "NOT proven");
    assert!(hub.stop());
}
