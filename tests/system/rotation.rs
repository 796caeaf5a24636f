//! The log's key is replaced, with an overlap: who knows only one of the keys goes on verifying, receipts of before stay good,
//! and what happened is in the log. The hub's own events are entries like any other.

use std::{collections::BTreeMap, fs, time::Duration};

use audit::{KeyHistory, VerifierKey};
use proto::audit::v1::{self as log, audit_service_client::AuditServiceClient, entry::Kind};
use tests::{Databases, Engine, Hub, HubFiles, Settings, client_of};
use tokio_stream::StreamExt;

use crate::{
    command::{done, fails, path, profile},
    tiles::ask,
};

/// What the hub recorded of itself, oldest first, each event's details by name.
async fn events(hub: &Hub, files: &HubFiles) -> Vec<BTreeMap<String, String>> {
    let mut client = AuditServiceClient::new(client_of(hub, files, "H21.90/console").await);
    let reader = log::Officer { id: "2".to_owned(), name: "Giám sát".to_owned(), ..Default::default() };
    let request = log::TailEntriesRequest { reader: Some(reader), ..Default::default() };
    let mut stream = client.tail_entries(request).await.unwrap().into_inner();
    let mut found = Vec::new();
    while let Ok(Some(entry)) = tokio::time::timeout(Duration::from_secs(2), stream.next()).await {
        let entry = entry.unwrap().entry.unwrap();
        if entry.kind() == Kind::HubEvent {
            found.push(entry.details.into_iter().map(|detail| (detail.name, detail.value)).collect());
        }
    }
    found
}

/// Edits the configuration.
fn configure(files: &HubFiles, from: &str, to: &str) {
    let config = fs::read_to_string(files.path("config.toml")).unwrap();
    assert!(config.contains(from), "{from} is not in {config}");
    fs::write(files.path("config.toml"), config.replace(from, to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_replaced_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(60, 22, None).await.cast.everywhere.unwrap();
    let settings = Settings { audit: "tiles = \"published\"".to_owned(), ..Settings::default() };
    let files = HubFiles::write(&databases, &settings);
    let [tiles, database, old, new, both] =
        ["published", "audit.sqlite", "keys/log.pub", "new.pub", "both.pub"].map(|name| path(&files, name));
    let keep = |hub: &Hub, name: &str| {
        let (receipt, all) = (path(&files, name), profile(&files, hub, "H21.99/all"));
        let subject = ["query", "-p", &all, "--personal-id", &somebody.personal_id, "--select", "Resident:full_name"];
        done(&[&subject[..], &["--purpose", "test_everything", "--receipt", &receipt]].concat());
        receipt
    };
    let verify = |what: [&str; 2], key: &str| done(&["audit", "verify", what[0], what[1], "--key", key]);
    let refuse = |what: [&str; 2], key: &str, words: &str| {
        fails(&["audit", "verify", what[0], what[1], "--key", key], words);
    };
    let newest = || {
        let note = fs::read_to_string(files.path("published/checkpoint")).unwrap();
        note.lines().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let not_signed = "is not signed by test.example/log";

    let hub = Hub::start(&files);
    ask(&hub, &files, &somebody.personal_id, 20).await;
    let before = keep(&hub, "before.json");
    assert!(hub.stop());
    let last_of_old = newest();

    // A new key that comes from nowhere is refused: the log would be forked, or somebody else's.
    let printed = done(&["audit", "keygen", "--name", "test.example/log", "--out", &path(&files, "keys/new.key")]);
    fs::write(&new, printed.trim()).unwrap();
    configure(&files, "signing_key = \"keys/log.key\"", "signing_key = \"keys/new.key\"");
    let lines = Hub::try_start(&files).err().unwrap().join("\n");
    assert!(lines.contains(not_signed), "{lines}");

    // Overlap: both sign.
    let (one, two) = ("signing_key = \"keys/new.key\"", "older_signing_keys = [\"keys/log.key\"]");
    configure(&files, one, &format!("{one}\n{two}"));
    let hub = Hub::start(&files);
    ask(&hub, &files, &somebody.personal_id, 20).await;
    let during = keep(&hub, "during.json");
    assert!(hub.stop());
    let last_of_overlap = newest();
    for key in [&old, &new] {
        verify(["--tiles", &tiles], key);
        verify(["--receipt", &during], key);
    }
    verify(["--receipt", &before], &old);
    refuse(["--receipt", &before], &new, not_signed);

    // The old key is left out.
    configure(&files, &format!("{two}\n"), "");
    let hub = Hub::start(&files);
    ask(&hub, &files, &somebody.personal_id, 20).await;
    let after = keep(&hub, "after.json");
    let events = events(&hub, &files).await;
    assert!(hub.stop());
    let key = |name: &str| VerifierKey::parse(fs::read_to_string(files.path(name)).unwrap().trim()).unwrap();
    let (old_key, new_key) = (key("keys/log.pub"), key("new.pub"));
    let history = format!("# since 2026\n{old_key} until {last_of_overlap}\n{new_key} from {}\n", last_of_old + 1);
    assert_eq!(KeyHistory::parse(&history).unwrap().keys().len(), 2);
    fs::write(&both, history).unwrap();
    verify(["--tiles", &tiles], &new);
    refuse(["--tiles", &tiles], &old, not_signed);
    refuse(["--receipt", &after], &old, not_signed);
    refuse(["--database", &database], &new, not_signed);
    refuse(["--database", &database], &old, not_signed);
    for what in [
        ["--tiles", &tiles],
        ["--database", &database],
        ["--receipt", &before],
        ["--receipt", &during],
        ["--receipt", &after],
    ] {
        verify(what, &both);
    }

    // A retired key signs nothing newer than it was meant to.
    let early = format!("{old_key} until {last_of_old}\n{new_key} from {}\n", last_of_overlap + 1);
    fs::write(&both, early).unwrap();
    refuse(["--receipt", &during], &both, "is not signed by");

    let names: Vec<_> = events.iter().map(|event| event["event"].as_str()).collect();
    assert_eq!(names, ["start", "stop", "key_change", "start", "stop", "key_change", "start"]);
    let id = |key: &VerifierKey| key.id().map(|byte| format!("{byte:02x}")).concat();
    let (old_id, new_id) = (id(&old_key), id(&new_key));
    let change =
        |event: &BTreeMap<String, String>| (event["signing_keys_before"].clone(), event["signing_keys_after"].clone());
    assert_eq!(change(&events[2]), (old_id.clone(), format!("{new_id} {old_id}")));
    assert_eq!(change(&events[5]), (format!("{new_id} {old_id}"), new_id));
}

/// Names a subject key as the log does: the first 8 hexadecimal digits of its SHA-256.
fn subject_key_id(files: &HubFiles, name: &str) -> String {
    let text = fs::read_to_string(files.path(name)).unwrap();
    let digits = text.trim().as_bytes().chunks(2);
    let key: Vec<u8> = digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key);
    digest.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_that_hashes_subjects_is_replaced_on_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(60, 22, None).await.cast.everywhere.unwrap();
    let files = HubFiles::write(&databases, &Settings::default());
    let found = |hub: &Hub| {
        let console = profile(&files, hub, "H21.90/console");
        let subject = format!("personal_id={}", somebody.personal_id);
        let lines = done(&["audit", "search", "-p", &console, "--subject", &subject, "--json"]);
        lines.matches("QueryService/Query").count()
    };
    let hub = Hub::start(&files);
    ask(&hub, &files, &somebody.personal_id, 3).await;
    assert!(hub.stop());
    // The same key again is no change, after a crash neither.
    Hub::start(&files).kill();

    done(&["audit", "keygen", "--for", "subjects", "--out", &path(&files, "keys/new-subject.key")]);
    let old = "subject_key = \"keys/subject.key\"";
    let new = "subject_key = \"keys/new-subject.key\"";
    configure(&files, old, &format!("{new}\nolder_subject_keys = [\"keys/subject.key\"]"));
    let hub = Hub::start(&files);
    ask(&hub, &files, &somebody.personal_id, 2).await;
    assert_eq!(found(&hub), 5, "entries of before are found under the key of then");
    assert!(hub.stop());

    let [old_id, new_id] = ["keys/subject.key", "keys/new-subject.key"].map(|name| subject_key_id(&files, name));
    configure(&files, "\nolder_subject_keys = [\"keys/subject.key\"]", "");
    let hub = Hub::start(&files);
    assert_eq!(found(&hub), 2, "without the old key nobody finds what it hashed");
    let events = events(&hub, &files).await;
    assert!(hub.stop());
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str()).collect();
    assert_eq!(names, ["start", "stop", "start", "key_change", "start", "stop", "key_change", "start"]);
    let change =
        |event: &BTreeMap<String, String>| (event["subject_keys_before"].clone(), event["subject_keys_after"].clone());
    let both = format!("{new_id} {old_id}");
    assert_eq!(change(&events[3]), (old_id.clone(), both.clone()));
    assert_eq!(change(&events[6]), (both, new_id.clone()));
    let started: Vec<_> = events.iter().filter_map(|event| event.get("subject_keys")).collect();
    assert_eq!(started, [&old_id, &old_id, &format!("{new_id} {old_id}"), &new_id]);
}
