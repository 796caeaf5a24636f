//! The conformance suite on every built-in sector: in process and behind a remote adapter. The long form does so on every engine.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::Value;
use synthetic::Sector;
use tests::{Databases, Engine, Hub, HubFiles, Settings, binary};

/// Numbers of each record type and kind that the suite is given, from the truth the registers were made from.
const KNOWN: usize = 3;

struct Tried {
    passed: usize,
    skipped: usize,
    cases: u64,
}

/// Runs the suite; everything that is not skipped must pass.
fn conform(what: &str, arguments: &[String]) -> Tried {
    let output = Command::new(binary()).args(["adapter", "conform", "--json"]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let findings: Vec<Value> = serde_json::from_str(&said)
        .unwrap_or_else(|_| panic!("{what}: {said}{}", String::from_utf8_lossy(&output.stderr)));
    let with = |outcome: &str| findings.iter().filter(|finding| finding["outcome"] == outcome).collect::<Vec<_>>();
    assert!(with("failed").is_empty() && output.status.success(), "{what}: {:#?}", with("failed"));
    let cases = findings.iter().filter_map(|finding| finding["cases"].as_u64()).sum();
    Tried { passed: with("passed").len(), skipped: with("skipped").len(), cases }
}

/// `--known` for some of the numbers under which the truth has records of a sector.
fn known(truth: &str, sector: Sector) -> Vec<String> {
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for line in truth.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        // A number that a defect took from its row finds nothing.
        let keys = line["keys"].as_object().unwrap();
        let spoilt = |defect: &Value| keys.keys().any(|kind| defect["field"].as_str().unwrap().ends_with(kind));
        if line["sector"] != sector.as_str() || line["defects"].as_array().unwrap().iter().any(spoilt) {
            continue;
        }
        let record = line["record_type"].as_str().unwrap().to_owned();
        for (kind, number) in keys {
            let numbers = found.entry((record.clone(), kind.clone())).or_default();
            let one_or_more = number.as_array().map_or(std::slice::from_ref(number), Vec::as_slice);
            let more = one_or_more.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
            numbers.extend(more.into_iter().take(KNOWN.saturating_sub(numbers.len())));
        }
    }
    let known = found.into_iter().flat_map(|((record, kind), numbers)| {
        numbers.into_iter().map(move |number| format!("{record}:{kind}={number}"))
    });
    known.flat_map(|known| ["--known".to_owned(), known]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sector_conforms_in_process_and_behind_a_remote_adapter() {
    let engines: Vec<_> =
        [Engine::Sqlite, Engine::Postgres, Engine::MySql].into_iter().filter(|engine| engine.available()).collect();
    println!("engine    sector              where       passed  skipped  cases");
    for (round, engine) in engines.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let databases = Databases::create(folder.path(), |_| *engine).await;
        let mut truth = Vec::new();
        databases.fill(80, 23, Some(&mut truth)).await;
        let truth = String::from_utf8(truth).unwrap();
        let files = HubFiles::write(&databases, &Settings::default());
        for (at, sector) in Sector::ALL.into_iter().enumerate() {
            // Each sector on one of the engines; the long form: on all.
            if !tests::long() && at % engines.len() != round {
                continue;
            }
            let url = format!("file:{}", files.path("secrets").join(sector.as_str()).display());
            let mut here = vec!["--source".to_owned(), sector.to_string(), "--database".to_owned(), url];
            here.extend(known(&truth, sector));
            let config = format!(
                "[server]\nlisten = \"127.0.0.1:0\"\ntrust_domain = \"test.example\"\n\
                 [tls]\ncertificate = \"keys/server.pem\"\nprivate_key = \"keys/server.key\"\n\
                 client_authorities = [\"keys/ca.pem\"]\n\
                 [source]\nid = \"{sector}\"\ndatabase = {{ url_file = \"secrets/{sector}\" }}\n\
                 [[allow]]\nsystem = \"H21.90/console\"\n"
            );
            fs::write(files.path("adapter.toml"), config).unwrap();
            let adapter = Hub::start_adapter(&files.path("adapter.toml"));
            let path = |name: &str| files.path(name).display().to_string();
            let port = adapter.address.rsplit_once(':').unwrap().1;
            let mut there = vec!["--remote".to_owned(), format!("https://localhost:{port}")];
            there.extend(["--authority".to_owned(), path("keys/ca.pem")]);
            there.extend(["--certificate".to_owned(), path("keys/H21.90_console.pem")]);
            there.extend(["--private-key".to_owned(), path("keys/H21.90_console.key")]);
            there.extend(known(&truth, sector));
            for (place, arguments) in [("in process", here), ("remote", there)] {
                let tried = conform(&format!("{sector} on {engine:?}, {place}"), &arguments);
                let Tried { passed, skipped, cases } = tried;
                println!(
                    "{:<9} {:<19} {place:<11} {passed:>6}  {skipped:>7}  {cases:>5}",
                    format!("{engine:?}"),
                    sector.as_str()
                );
                assert!(passed >= 10, "{sector}: nearly nothing was tried");
            }
            assert!(adapter.stop());
        }
        databases.drop().await;
    }
}

/// The suite finds what is wrong: here, a mapping whose database has changed under it.
#[tokio::test]
async fn a_source_that_does_not_conform_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let units = databases.url(Sector::BudgetUnits);
    let output = Command::new(binary())
        .args(["adapter", "conform", "--source", Sector::BudgetUnits.as_str(), "--database"])
        .arg(units.replacen("sqlite://", "sqlite:", 1))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("FAILED") && said.contains("ready"), "{said}");
}
