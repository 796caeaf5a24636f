//! Two replicas of the hub with their logs in one PostgreSQL database, and that database going away and coming back.

use std::{fs, time::Duration};

use proto::query::v1 as wire;
use tests::{Databases, Engine, Hub, HubFiles, LogDatabase, Settings, error_info, query_client};
use tonic::Code;

use crate::{
    command::{done, path, profile, run},
    kill::request,
};

struct Replica {
    files: HubFiles,
    hub: Hub,
}

impl Replica {
    async fn ask(&self, personal_id: &str) -> Result<wire::QueryResponse, tonic::Status> {
        let mut client = query_client(&self.hub, &self.files, "H21.99/all").await;
        client.query(request(personal_id)).await.map(tonic::Response::into_inner)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_a_database_and_survive_its_absence() {
    let Some(database) = LogDatabase::create().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(60, 22, None).await.cast.everywhere.unwrap().personal_id;
    let files = ["a", "b"].map(|name| {
        let settings = Settings {
            log_origin: format!("test.example/{name}"),
            log_url: Some(database.url.clone()),
            ..Settings::default()
        };
        HubFiles::write(&databases, &settings)
    });
    // Replicas hash subjects with one key.
    fs::copy(files[0].path("keys/subject.key"), files[1].path("keys/subject.key")).unwrap();
    let [first, second] = files.map(|files| Replica { hub: Hub::start(&files), files });
    for _ in 0..3 {
        first.ask(&somebody).await.unwrap();
        second.ask(&somebody).await.unwrap();
    }

    // One search finds both, in any of its forms; an entry of the one is proved by the other.
    let console = profile(&second.files, &second.hub, "H21.90/console");
    let subject = format!("personal_id={somebody}");
    let search = ["audit", "search", "-p", &console, "--subject", &subject, "--record-type"];
    let resident = "lienthong.population.v1.Resident";
    let lines = done(&[&search[..], &[resident, "--field", "full_name", "--json"]].concat());
    let entries: Vec<serde_json::Value> =
        lines.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |origin: &str| entries.iter().filter(|entry| entry["logOrigin"] == origin).count();
    assert_eq!((entries.len(), of("test.example/a"), of("test.example/b")), (6, 3, 3));
    assert_eq!(done(&[&search[..], &[resident, "--field", "birth_date", "--json"]].concat()).trim(), "");
    let table = done(&[&search[..], &[resident, "--all", "--csv"]].concat());
    let mut reader = csv::Reader::from_reader(table.trim().as_bytes());
    let rows: Vec<std::collections::HashMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 6);
    let other = rows.iter().find(|row| row["log_origin"] == "test.example/a").unwrap();
    assert_eq!((other["fields_asked"].as_str(), other["outcome"].as_str()), ("full_name", "answered"));
    assert!(!table.contains(&somebody), "the number itself is nowhere");
    let key = path(&first.files, "keys/log.pub");
    let proved = done(&[
        "audit",
        "prove",
        "-p",
        &console,
        "--origin",
        "test.example/a",
        "--key",
        &key,
        "--json",
        &other["log_index"],
    ]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(proved.trim()).unwrap()["leaf_hash"], other["leaf_hash"]);

    // Whom a certificate was told about, over both logs.
    let report = path(&second.files, "affected.csv");
    let incident = [
        "audit",
        "incident",
        "-p",
        &console,
        "--from",
        "2026-01-01T00:00:00Z",
        "--until",
        "2100-01-01T00:00:00Z",
        "--out",
        &report,
        "--certificate",
    ];
    done(&[&incident[..], &[other["certificate_sha256"].as_str()]].concat());
    let mut reader = csv::Reader::from_path(&report).unwrap();
    let rows: Vec<std::collections::HashMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    let asked = rows.iter().find(|row| row["kind"] == "personal_id").unwrap();
    assert_eq!((rows.len(), asked["answers"].as_str()), (1, "3"), "the certificate of the first replica's caller");
    assert_eq!(asked["released"], format!("{resident}: full_name"));
    assert_eq!(asked["entries"].matches("test.example/a#").count(), 3);
    assert!(other["subjects"].contains(&asked["hash"]));
    assert_eq!(
        run(&[&incident[..], &[other["certificate_sha256"].as_str()]].concat()).status.code(),
        Some(1),
        "it exists"
    );
    let malformed = run(&["audit", "search", "-p", &console, "--certificate", "12"]);
    assert_eq!(malformed.status.code(), Some(1), "{malformed:?}");

    // Without the database nothing is answered, and nobody has to help afterwards.
    database.stop().await;
    for replica in [&first, &second] {
        for _ in 0..2 {
            let refused = replica.ask(&somebody).await.unwrap_err();
            assert_eq!((refused.code(), error_info(&refused).0.as_str()), (Code::Unavailable, "AUDIT_LOG_UNAVAILABLE"));
        }
    }
    database.start().await;
    for replica in [&first, &second] {
        let mut again = replica.ask(&somebody).await;
        for _ in 0..20 {
            if again.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            again = replica.ask(&somebody).await;
        }
        assert_eq!(again.unwrap().receipt.unwrap().log_origin, replica.files.log_key().name());
    }
    for replica in [first, second] {
        assert!(replica.hub.stop());
        let (url, key) = (path(&replica.files, "secrets/log"), path(&replica.files, "keys/log.pub"));
        let verified = done(&["audit", "verify", "--database-url-file", &url, "--key", &key]);
        assert!(verified.contains("The log verifies"), "{verified}");
        let rebuilt = done(&["audit", "reindex", "--database-url-file", &url, "--key", &key]);
        assert!(rebuilt.contains("is built anew"), "{rebuilt}");
    }
    database.drop().await;
}
