//! SIGKILL at random moments under load: no answer without its entry, and the hub starts again without help.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use audit::verify::Progress;
use prost_types::FieldMask;
use proto::query::v1::{self as wire, Receipt, subject::Identifier};
use tests::{Databases, Engine, Hub, HubFiles, LogDatabase, Settings, query_client};

const CALLERS: usize = 8;

/// A question about one person.
pub(crate) fn request(personal_id: &str) -> wire::QueryRequest {
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![wire::Selection {
            record_type: "lienthong.population.v1.Resident".to_owned(),
            field_mask: Some(FieldMask { paths: vec!["full_name".to_owned()] }),
        }],
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_survives_sigkill() {
    kill(if tests::long() { 100 } else { 20 }, Settings::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_survives_sigkill_with_the_log_in_postgres() {
    let Some(database) = LogDatabase::create().await else { return };
    let settings = Settings { log_url: Some(database.url.clone()), ..Settings::default() };
    kill(if tests::long() { 100 } else { 5 }, settings).await;
    database.drop().await;
}

async fn kill(kills: usize, settings: Settings) {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 31, None).await.cast.everywhere.unwrap();
    let files = Arc::new(HubFiles::write(&databases, &settings));
    let receipts: Arc<Mutex<BTreeMap<u64, Receipt>>> = Arc::default();
    for _ in 0..kills {
        let hub = Hub::start(&files);
        let client = query_client(&hub, &files, "H21.99/all").await;
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (mut client, receipts) = (client.clone(), Arc::clone(&receipts));
                let request = request(&somebody.personal_id);
                tokio::spawn(async move {
                    // Until the hub is gone.
                    while let Ok(answer) = client.query(request.clone()).await {
                        let receipt = answer.into_inner().receipt.unwrap();
                        let twice = receipts.lock().unwrap().insert(receipt.log_index, receipt);
                        assert!(twice.is_none(), "two answers share an entry");
                    }
                })
            })
            .collect();
        // Under load, however slow the machine is: after some answers of this start, at a random moment.
        let (before, some) = (receipts.lock().unwrap().len(), rand::random_range(5..200));
        while receipts.lock().unwrap().len() < before + some {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_micros(rand::random_range(0..20_000))).await;
        hub.kill();
        for caller in callers {
            caller.await.unwrap();
        }
    }
    // The last start shows that no help was needed; then the log is looked at without the hub.
    assert!(Hub::start(&files).stop());
    let receipts = receipts.lock().unwrap().clone();
    let location = files.log_location();
    let report = audit::verify::verify_store(&location, &files.log_key(), &[], |_: Progress| {}).await.unwrap();
    let key = audit::SigningKey::load(&files.path("keys/log.key")).unwrap();
    let log = audit::AuditLog::open(&location, key, audit::Options::default()).await.unwrap();
    for receipt in receipts.values() {
        let entry = log.entry(receipt.log_index).await.unwrap();
        assert_eq!(entry.leaf_hash, receipt.leaf_hash, "entry {}", receipt.log_index);
        assert_eq!(entry.entry.unwrap().response_digest, receipt.response_digest);
    }
    log.close().await;
    println!(
        "{kills} kills, {} answers, every one of them among the {} entries of a log that verifies",
        receipts.len(),
        report.tree_size
    );
}
