//! Retention and legal holds, by a running hub and from the command line: bodies go, everything that proves stays.

use std::fs;

use audit::{AuditLog, Options, SigningKey};
use prost_types::Timestamp;
use proto::audit::v1::{
    Access, Entry, Purpose,
    audit_service_client::AuditServiceClient,
    entry::{Disclosure, Kind, Outcome},
};
use tests::{Databases, Engine, Hub, HubFiles, LogDatabase, Settings};

use crate::command::{done, fails, path, profile};

const HELD: &str = "H21.65-220101-0007";

/// An answer of some years ago; every fifth released a sensitive field, number 7 belongs to a dossier of its own.
fn old(number: u64, years: i64) -> Entry {
    let path = if number.is_multiple_of(5) { "ethnicity" } else { "full_name" };
    Entry {
        time: Some(Timestamp {
            seconds: chrono::Utc::now().timestamp() - years * 365 * 86_400 + number as i64,
            nanos: 0,
        }),
        kind: Kind::Query.into(),
        outcome: Outcome::Answered.into(),
        disclosure: Disclosure::Immediate.into(),
        purpose: Some(Purpose {
            code: "test_everything".to_owned(),
            dossier_number: if number == 7 { HELD.to_owned() } else { format!("H21.65-220101-1{number:03}") },
            ..Purpose::default()
        }),
        accesses: vec![Access {
            record_type: "lienthong.population.v1.Resident".to_owned(),
            fields_asked: vec![path.to_owned()],
            fields_released: vec![path.to_owned()],
            ..Access::default()
        }],
        ..Entry::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_removes_what_is_due_and_keeps_what_is_held() {
    retention(Settings::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_removes_what_is_due_from_postgres() {
    let Some(database) = LogDatabase::create().await else { return };
    retention(Settings { log_url: Some(database.url.clone()), ..Settings::default() }).await;
    database.drop().await;
}

async fn retention(settings: Settings) {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    databases.fill(60, 41, None).await;
    let in_files = settings.log_url.is_none();
    let audit =
        "retention = \"retention.toml\"\nlegal_holds = \"legal-holds.toml\"\ntiles = \"published\"\n".to_owned();
    let files = HubFiles::write(&databases, &Settings { audit, ..settings });
    let deploy = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    fs::copy(deploy.join("retention.toml"), files.path("retention.toml")).unwrap();
    let hold = "[[holds]]\nnumber = \"17/QĐ-TTra\"\nordered_by = \"Thanh tra tỉnh\"\nreason = \"Thanh tra\"\n";
    fs::write(files.path("legal-holds.toml"), format!("{hold}dossier_number = \"{HELD}\"\n")).unwrap();

    // Forty entries of three years ago: past two years, not past five.
    let key = SigningKey::load(&files.path("keys/log.key")).unwrap();
    let log = AuditLog::open(&files.log_location(), key, Options::default()).await.unwrap();
    for number in 0..40 {
        log.append(old(number, 3)).await.unwrap();
    }
    log.close().await;

    // Counted beforehand, nothing is changed: 8 of 40 are sensitive, one of the others is held.
    let config = path(&files, "config.toml");
    let retain = ["audit", "retain", "--config", config.as_str()];
    let counted: serde_json::Value = serde_json::from_str(done(&[&retain[..], &["--json"]].concat()).trim()).unwrap();
    assert_eq!((counted["due"][0]["entries"].as_u64(), counted["due"][0]["months"].as_u64()), (Some(31), Some(24)));
    assert_eq!((counted["held"]["17/QĐ-TTra"].as_u64(), counted["removed"].as_u64()), (Some(1), Some(0)));
    let text = done(&retain);
    assert!(text.contains("Hold 17/QĐ-TTra keeps 1 entries") && text.contains("31 entries would be removed"), "{text}");

    // The hub does it at its start; the hold and the run are entries.
    let hub = Hub::start(&files);
    let operator = profile(&files, &hub, "H21.90/console");
    let search = |event: &str| done(&["audit", "search", "--profile", &operator, "--event", event, "--json"]);
    let mut runs = String::new();
    for _ in 0..100 {
        runs = search("retention");
        if runs.contains("\"retention\"") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(
        runs.contains("(no class): 31 entries older than 24 months") && runs.contains("17/QĐ-TTra: 1 entries kept"),
        "{runs}"
    );
    let placed = search("legal_hold_placed");
    assert!(placed.contains("Thanh tra tỉnh") && placed.contains(HELD), "{placed}");

    // A removed entry: a clear answer, and its hash is still proven.
    let channel = tests::channel(&hub, &files.authority(), Some(&files.certificate("H21.90/console"))).await.unwrap();
    let mut service = AuditServiceClient::new(channel);
    let reader = Some(proto::audit::v1::Officer { id: "1".to_owned(), name: "Test".to_owned(), ..Default::default() });
    let get = |log_index| proto::audit::v1::GetEntryRequest { log_index, reader: reader.clone(), ..Default::default() };
    let removed = service.get_entry(get(3)).await.unwrap_err();
    assert_eq!(removed.code(), tonic::Code::NotFound);
    assert_eq!(tests::error_info(&removed).0, "ENTRY_REMOVED", "{removed:?}");
    for kept in [5, 7] {
        let entry = service.get_entry(get(kept)).await.unwrap().into_inner().entry.unwrap();
        assert_eq!(entry.purpose, old(kept, 3).purpose);
    }
    let proof = proto::audit::v1::GetInclusionProofRequest { log_index: 3, ..Default::default() };
    let proof = service.get_inclusion_proof(proof).await.unwrap().into_inner();
    let hashes: Vec<_> = proof.hashes.iter().map(|hash| hash.as_slice().try_into().unwrap()).collect();
    let leaf = proof.leaf_hash.as_slice().try_into().unwrap();
    audit::verify::verify_leaf(&leaf, 3, &hashes, &proof.checkpoint.unwrap().note, &files.log_key()).unwrap();
    fails(&[&retain[..], &["--remove"]].concat(), "in use");

    // The hold is lifted while the hub runs, and that is recorded, too; the next run takes what it kept.
    fs::write(files.path("legal-holds.toml"), "").unwrap();
    let mut lifted = String::new();
    for _ in 0..200 {
        lifted = search("legal_hold_lifted");
        if lifted.contains("17/QĐ-TTra") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(lifted.contains("17/QĐ-TTra"), "{lifted}");
    assert!(hub.stop());
    let text = done(&[&retain[..], &["--remove"]].concat());
    assert!(text.contains("The bodies of 1 entries are removed"), "{text}");

    // Both ways to verify say what is gone, and that the rest holds.
    let key = path(&files, "keys/log.pub");
    let store = match in_files {
        true => ["--database".to_owned(), path(&files, "audit.sqlite")],
        false => ["--database-url-file".to_owned(), path(&files, "secrets/log")],
    };
    let text = done(&["audit", "verify", &store[0], &store[1], "--key", &key]);
    assert!(text.contains("The log verifies") && text.contains("32 bodies were removed by retention"), "{text}");
    let tiles = path(&files, "published");
    done(&["audit", "export", &store[0], &store[1], "--key", &key, "--tiles", &tiles]);
    let text = done(&["audit", "verify", "--tiles", &tiles, "--key", &key]);
    assert!(text.contains("The log verifies") && text.contains("32 bodies were removed by retention"), "{text}");
}
