//! The machine's clock jumps during load: answers go on, no deadline notices, and the log stays whole and searchable.

use std::{path::Path, time::Duration};

use audit::verify::Progress;
use tests::{Databases, Engine, Hub, HubFiles, Settings, query_client};
use tonic::Request;

use crate::kill::request;

/// Gives a program a wall clock that a file moves; what it measures time by stays true.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_disturbs_nobody() {
    if !Path::new(LIBRARY).exists() {
        println!("not tested: libfaketime is not installed; tests/run installs it");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 71, None).await.cast.everywhere.unwrap();
    let files = HubFiles::write(&databases, &Settings::default());
    let clock = files.path("clock");
    std::fs::write(&clock, "+0").unwrap();
    let environment = [
        format!("LD_PRELOAD={LIBRARY}"),
        format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
    ];
    let program: Vec<&str> = ["env"].into_iter().chain(environment.iter().map(String::as_str)).collect();
    let hub = Hub::start_under(&files, &program);
    let client = query_client(&hub, &files, "H21.99/all").await;
    let ask = |seconds: f64| {
        let (mut client, personal_id) = (client.clone(), somebody.personal_id.clone());
        async move {
            let (started, mut receipts) = (std::time::Instant::now(), Vec::new());
            while started.elapsed().as_secs_f64() < seconds {
                let mut request = Request::new(request(&personal_id));
                request.set_timeout(Duration::from_secs(5));
                receipts.push(client.query(request).await.expect("answers go on").into_inner().receipt.unwrap());
            }
            receipts
        }
    };
    let mut times = Vec::new();
    for jump in ["+0", "+7200", "-1200", "+86400", "+0"] {
        let asking = tokio::spawn(ask(0.6));
        tokio::time::sleep(Duration::from_millis(200)).await;
        // Renamed into place, so that nobody reads half a number.
        std::fs::write(files.path("clock.new"), jump).unwrap();
        std::fs::rename(files.path("clock.new"), &clock).unwrap();
        let receipts = asking.await.unwrap();
        assert!(receipts.len() > 2, "{jump}: {} answers", receipts.len());
        times.push((jump, receipts));
    }
    assert!(hub.stop());

    audit::verify::verify_store(&files.log_location(), &files.log_key(), &[], |_: Progress| {}).await.unwrap();
    let key = audit::SigningKey::load(&files.path("keys/log.key")).unwrap();
    let log = audit::AuditLog::open(&files.log_location(), key, audit::Options::default()).await.unwrap();
    let now = chrono::Utc::now().timestamp();
    for (jump, receipts) in &times {
        let entry = log.entry(receipts.last().unwrap().log_index).await.unwrap();
        assert_eq!(entry.leaf_hash, receipts.last().unwrap().leaf_hash);
        let offset = entry.entry.unwrap().time.unwrap().seconds - now;
        let wanted: i64 = jump.parse().unwrap();
        assert!((offset - wanted).abs() < 120, "{jump}: the entry's time is {offset} s from now");
    }
    log.close().await;
}
