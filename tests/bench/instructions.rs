//! Instructions per query, counted by callgrind: of two runs that differ in the number of queries, the difference. The kernel's
//! are not among them.

use std::{sync::Arc, time::Duration};

use proto::query::v1::query_service_client::QueryServiceClient;
use tests::{Databases, Engine, Hub, HubFiles, Settings, channel_to};

use crate::{
    load,
    scenario::{Scenario, told, untold},
};

const FEW: usize = 200;
const MANY: usize = 1_200;

/// Prints the figure for each kind of question. Needs `valgrind`.
pub(crate) async fn count() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(500, 7, None).await.cast.everywhere.expect("somebody is in all registers");
    let mut query = 0;
    for scenario in [Scenario::Verify, Scenario::Everywhere, Scenario::Query, Scenario::Plain] {
        let few = collected(&databases, scenario, &somebody.personal_id, FEW).await;
        let many = collected(&databases, scenario, &somebody.personal_id, MANY).await;
        let call = (many - few) / (MANY - FEW) as u64;
        println!("{:13} {call:9} instructions a call", scenario.name());
        match scenario {
            Scenario::Query => query = call,
            Scenario::Plain => println!("telemetry: {:+.1} %", (query as f64 / call as f64 - 1.0) * 100.0),
            _ => {}
        }
    }
    databases.drop().await;
}

async fn collected(databases: &Databases, scenario: Scenario, person: &str, calls: usize) -> u64 {
    // Quiet, so that only calls make the difference.
    let settings = if scenario == Scenario::Plain { untold() } else { told() };
    let settings = Settings { server: "readiness_interval_s = 3600".to_owned(), ..settings };
    let files = HubFiles::write(databases, &settings);
    let output = format!("--callgrind-out-file={}", files.path("callgrind.out").display());
    let hub = Hub::start_under(&files, &["valgrind", "--tool=callgrind", &output]);
    let certificate = files.certificate("H21.99/all");
    let channel = channel_to(&hub.address, &files.authority(), Some(&certificate)).await.expect("a connection");
    let mut client = QueryServiceClient::new(channel);
    for _ in 0..calls {
        assert!(load::ask(&mut client, scenario, person).await, "{} is not answered", scenario.name());
    }
    drop(client);
    let lines = Arc::clone(&hub.lines);
    assert!(hub.stop(), "the hub ends well");
    for _ in 0..100 {
        let found = lines.lock().expect("no panic while held").iter().find_map(|line| {
            let (_, figure) = line.split_once("Collected : ")?;
            figure.trim().parse().ok()
        });
        if let Some(figure) = found {
            return figure;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("callgrind says nothing");
}
