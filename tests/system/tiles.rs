//! The log of a running hub as files: exported while it is written, verified with the public key alone by the program and
//! by an independent verifier in Python.

use std::{fs, process::Command};

use futures::StreamExt;
use prost_types::FieldMask;
use proto::query::v1::{self as wire, subject::Identifier};
use tests::{Databases, Engine, Hub, HubFiles, Settings, query_client};

use crate::command::{done, fails, path, profile, run, text};

fn json(output: &str) -> serde_json::Value {
    serde_json::from_str(output.trim()).unwrap()
}

/// Python's standard library and the specifications, none of our code.
pub(crate) fn verify_with_python(tiles: &str, arguments: &[&str]) -> Result<String, String> {
    let python = std::env::var("LIENTHONG_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("python/verify_tiles.py");
    let output = Command::new(python).arg(script).arg(tiles).args(arguments).output().expect("Python 3 is there");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

pub(crate) async fn ask(hub: &Hub, files: &HubFiles, personal_id: &str, times: usize) {
    let client = query_client(hub, files, "H21.99/all").await;
    let request = wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![wire::Selection {
            record_type: "lienthong.population.v1.Resident".to_owned(),
            field_mask: Some(FieldMask { paths: vec!["full_name".to_owned()] }),
        }],
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    };
    let asked = futures::stream::iter(0..times).map(|_| {
        let (mut client, request) = (client.clone(), request.clone());
        async move { client.query(request).await.unwrap() }
    });
    asked.buffer_unordered(16).collect::<Vec<_>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_published_and_verified_from_files_and_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(60, 22, None).await.cast.everywhere.unwrap();
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let [key, database, tiles, state, kept, receipt, response] =
        ["keys/log.pub", "audit.sqlite", "published", "state", "kept.checkpoint", "a.json", "a.response"]
            .map(|name| path(&files, name));
    let verifier = files.log_key().to_string();
    let export = ["audit", "export", "--database", &database, "--key", &key, "--tiles", &tiles, "--json"];
    let verify = ["audit", "verify", "--tiles", &tiles, "--key", &key];

    // While the hub answers.
    ask(&hub, &files, &somebody.personal_id, 150).await;
    let first = json(&done(&export));
    assert_eq!(first["from_tree_size"], 0);
    done(&[&verify[..], &["--state", &state]].concat());
    fs::copy(files.path("published/checkpoint"), &kept).unwrap();
    let all = profile(&files, &hub, "H21.99/all");
    done(&[
        "query",
        "-p",
        &all,
        "--personal-id",
        &somebody.personal_id,
        "--select",
        "Resident:full_name",
        "--purpose",
        "test_everything",
        "--receipt",
        &receipt,
        "--response",
        &response,
    ]);
    ask(&hub, &files, &somebody.personal_id, 400).await;
    let (exported, ()) = tokio::join!(
        tokio::task::spawn_blocking({
            let export = export.map(str::to_owned);
            move || json(&done(&export.each_ref().map(String::as_str)))
        }),
        ask(&hub, &files, &somebody.personal_id, 100)
    );
    assert_eq!(exported.unwrap()["from_tree_size"], first["tree_size"]);
    assert!(hub.stop());
    let last = json(&done(&export));
    assert!(last["tree_size"].as_u64().unwrap() > 650, "{last}");

    // Nothing but the files and the key.
    let report = json(&done(&[&verify[..], &["--state", &state, "--checkpoint", &kept, "--json"]].concat()));
    assert_eq!((&report["verified"], &report["tree_size"]), (&true.into(), &last["tree_size"]), "{report}");
    print!("{}", verify_with_python(&tiles, &[&verifier]).unwrap());
    let held = done(&[&verify[..], &["--receipt", &receipt, "--response", &response]].concat());
    assert!(held.contains("is the one of the receipt, response digest included"), "{held}");
    let resumed = json(&done(&[&verify[..], &["--state", &state, "--json"]].concat()));
    assert_eq!(resumed["resumed_from"].as_u64().unwrap(), last["tree_size"].as_u64().unwrap() / 256 * 256);

    // A receipt that states another digest is told from its entry.
    let whole = fs::read_to_string(&receipt).unwrap();
    let mut changed = json(&whole);
    changed["response_digest"] = "00".repeat(32).into();
    fs::write(&receipt, changed.to_string()).unwrap();
    fails(&[&verify[..], &["--receipt", &receipt]].concat(), "another response digest than entry");
    fs::write(&receipt, whole).unwrap();

    // Both verifiers see a changed byte; ours says where.
    let bundle = files.path("published/tile/entries/001");
    let good = fs::read(&bundle).unwrap();
    let mut changed = good.clone();
    changed[50] ^= 1;
    fs::write(&bundle, changed).unwrap();
    fails(&verify, "entry 256 in tile/entries/001 does not match its hash in tile/0/001");
    assert!(verify_with_python(&tiles, &[&verifier]).is_err());
    fs::write(&bundle, good).unwrap();
    let tile = files.path("published/tile/0/000");
    fs::rename(&tile, files.path("moved")).unwrap();
    fails(&verify, "tile/0/000 is missing");
    assert!(verify_with_python(&tiles, &[&verifier]).is_err());
    fs::rename(files.path("moved"), &tile).unwrap();
    done(&verify);
    what_is_wrong_is_named_with_its_place(&files, &verify, last["tree_size"].as_u64().unwrap());

    // A log cut back to what it was is whole in itself, but not to who kept a checkpoint.
    fs::copy(&kept, files.path("earlier")).unwrap();
    fs::copy(files.path("published/checkpoint"), &kept).unwrap();
    fs::copy(files.path("earlier"), files.path("published/checkpoint")).unwrap();
    done(&verify);
    fails(&[&verify[..], &["--checkpoint", &kept]].concat(), "a checkpoint kept earlier has");
    fails(&[&verify[..], &["--state", &state]].concat(), "a checkpoint kept earlier has");
}

/// Ten kinds of damage to a log of three bundles; the inspector reads one line for each.
fn what_is_wrong_is_named_with_its_place(files: &HubFiles, verify: &[&str], tree_size: u64) {
    let (origin, place) = ("test.example/log", |name: &str| files.path(&format!("published/{name}")));
    let last = tree_size % 256;
    let (bundle, tile) = (format!("tile/entries/002.p/{last}"), format!("tile/0/002.p/{last}"));
    let (checkpoint, whole) = ("checkpoint", "the log does not verify");
    let flip = |at: usize| move |bytes: &mut Vec<u8>| bytes[at] ^= 1;
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 7);
    let line = |number: usize, at: usize| {
        move |bytes: &mut Vec<u8>| {
            let start: usize = bytes.split(|byte| *byte == b'\n').take(number).map(|line| line.len() + 1).sum();
            bytes[start + at] = if bytes[start + at] == b'A' { b'B' } else { b'A' };
        }
    };
    let other_tile = fs::read(place("tile/0/001")).unwrap();
    let unmatched = |entry, number| {
        format!("{whole}: entry {entry} in tile/entries/{number} does not match its hash in tile/0/{number}")
    };
    let unsigned = format!("checkpoint: the note has an invalid signature in the name of {origin}");
    type Change<'c> = Box<dyn Fn(&mut Vec<u8>) + 'c>;
    let damages: Vec<(&str, Change<'_>, String)> = vec![
        ("tile/entries/000", Box::new(flip(2)), unmatched(0, "000")),
        ("tile/0/001", Box::new(flip(32 * 9 + 31)), unmatched(256 + 9, "001")),
        (
            "tile/1/000.p/2",
            Box::new(flip(40)),
            format!("{whole}: hash 1 of tile/1/000.p/2 does not match the tiles below it"),
        ),
        ("tile/0/000", Box::new(|bytes| bytes.clone_from(&other_tile)), unmatched(0, "000")),
        (
            &bundle,
            Box::new(cut),
            format!("{whole}: {bundle} holds no whole bundle: it goes wrong at entry {}", tree_size - 1),
        ),
        (&tile, Box::new(cut), format!("{whole}: {tile} has {} bytes instead of {}", 32 * last - 7, 32 * last)),
        (checkpoint, Box::new(line(2, 5)), unsigned.clone()),
        (checkpoint, Box::new(line(0, 1)), unsigned.clone()),
        (checkpoint, Box::new(line(4, 50)), unsigned),
        (checkpoint, Box::new(|bytes| bytes.truncate(60)), "checkpoint: malformed signed note".to_owned()),
    ];
    for (file, change, expected) in damages {
        let good = fs::read(place(file)).unwrap();
        let mut changed = good.clone();
        change(&mut changed);
        fs::write(place(file), changed).unwrap();
        let output = run(verify);
        assert_eq!((text(&output).trim(), output.status.code()), (&*format!("lienthong: {expected}"), Some(1)));
        fs::write(place(file), good).unwrap();
    }
    done(verify);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_hub_publishes_its_log_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(60, 22, None).await.cast.everywhere.unwrap();
    let settings = Settings { audit: "tiles = \"published\"".to_owned(), ..Settings::default() };
    let files = HubFiles::write(&databases, &settings);
    let hub = Hub::start(&files);
    let published = || {
        let note = fs::read_to_string(files.path("published/checkpoint")).ok()?;
        Some(audit::Checkpoint::open(&note, &files.log_key()).unwrap().tree_size)
    };
    let mut slowest = std::time::Duration::ZERO;
    let [tiles, key] = ["published", "keys/log.pub"].map(|name| path(&files, name));
    for round in 1..=4 {
        ask(&hub, &files, &somebody.personal_id, 100).await;
        let asked = std::time::Instant::now();
        while published().is_none_or(|size| size < round * 100) {
            assert!(asked.elapsed().as_secs() < 20, "{:?} of {} entries are published", published(), round * 100);
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        slowest = slowest.max(asked.elapsed());
        done(&["audit", "verify", "--tiles", &tiles, "--key", &key]);
    }
    println!("published at most {slowest:?} after the last of 100 answers");
    assert!(hub.stop());
    let report = audit::verify::verify_store(&files.log_location(), &files.log_key(), &[], |_| {}).await.unwrap();
    assert_eq!(published(), Some(report.tree_size), "the stop is published too");
}
