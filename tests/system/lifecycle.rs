//! Stopping and starting under load: calls under way are answered, and behind two replicas a client that retries as
//! `deploy/README.md` says loses none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use prost_types::FieldMask;
use proto::query::v1::{self as wire, query_service_client::QueryServiceClient, subject::Identifier};
use synthetic::Sector;
use tests::{Databases, Engine, Fault, Hub, HubFiles, Proxy, Settings, channel_to, error_info, query_client};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

fn request(personal_id: &str) -> wire::QueryRequest {
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
async fn calls_under_way_are_answered_when_the_hub_is_told_to_stop() {
    if !Engine::Postgres.available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let on = |sector| if sector == Sector::Population { Engine::Postgres } else { Engine::Sqlite };
    let mut databases = Databases::create(folder.path(), on).await;
    let somebody = databases.fill(100, 71, None).await.cast.everywhere.unwrap();
    let target = databases.targets.iter_mut().find(|target| target.sector == Sector::Population).unwrap();
    let url = target.url.clone();
    let (before, rest) = url.split_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    let proxy = Proxy::start(server).await;
    target.url = format!("{before}@{}/{database}", proxy.address);
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, "H21.99/all").await;
    client.query(request(&somebody.personal_id)).await.unwrap();

    proxy.set(Fault::Slow(Duration::from_millis(500)));
    let calls: Vec<_> = (0..12)
        .map(|_| {
            let (mut client, request) = (client.clone(), request(&somebody.personal_id));
            tokio::spawn(async move { client.query(request).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(250)).await;
    let stopped = tokio::task::spawn_blocking(move || hub.stop());
    for call in calls {
        let answer = call.await.unwrap().expect("a call under way is answered").into_inner();
        assert!(answer.complete && answer.receipt.is_some());
    }
    assert!(stopped.await.unwrap());
    databases.drop().await;
}

/// The documented policy: a call that read nothing may be repeated, on the other replica first.
async fn by_the_policy(replicas: &[QueryServiceClient<Channel>], first: usize, id: &str) -> Result<usize, Status> {
    let mut attempts = 0;
    loop {
        let mut client = replicas[(first + attempts) % replicas.len()].clone();
        attempts += 1;
        let status = match client.query(request(id)).await {
            Ok(_) => return Ok(attempts),
            Err(status) => status,
        };
        // An error without a reason was made by the connection, not by a hub.
        let broken = error_info(&status).0.is_empty();
        let again = broken || matches!(status.code(), Code::Unavailable | Code::ResourceExhausted);
        if !again || attempts == 6 {
            return Err(status);
        }
        let asked = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
        let own = Duration::from_millis(50 << attempts).mul_f64(rand::random_range(0.5..1.0));
        tokio::time::sleep(asked.unwrap_or(own)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_behind_two_replicas_loses_no_call_that_is_retried() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 72, None).await.cast.everywhere.unwrap();
    // A replica restarts on the port it had.
    let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let files: Vec<HubFiles> = (0..2).map(|_| HubFiles::write(&databases, &Settings::default())).collect();
    for files in &files {
        let config = std::fs::read_to_string(files.path("config.toml")).unwrap();
        let fixed = config.replace("listen = \"127.0.0.1:0\"", &format!("listen = \"{}\"", port()));
        std::fs::write(files.path("config.toml"), fixed).unwrap();
    }
    let mut hubs: Vec<_> = files.iter().map(|files| Some(Hub::start(files))).collect();
    let mut clients = Vec::new();
    for (hub, files) in hubs.iter().zip(&files) {
        let address = &hub.as_ref().unwrap().address;
        let channel = channel_to(address, &files.authority(), Some(&files.certificate("H21.99/all"))).await.unwrap();
        clients.push(QueryServiceClient::new(channel));
    }
    let (stop, repeated) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let (clients, id) = (clients.clone(), somebody.personal_id.clone());
            let (stop, repeated) = (Arc::clone(&stop), Arc::clone(&repeated));
            tokio::spawn(async move {
                let mut answered = 0;
                while !stop.load(Ordering::Relaxed) {
                    let attempts = by_the_policy(&clients, caller, &id).await.expect("no call is lost");
                    repeated.fetch_add(usize::from(attempts > 1), Ordering::Relaxed);
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for round in 0..if tests::long() { 40 } else { 4 } {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let at = round % 2;
        let hub = hubs[at].take().unwrap();
        // By turns in order and without a word.
        if round < 2 {
            assert!(tokio::task::spawn_blocking(move || hub.stop()).await.unwrap());
        } else {
            hub.kill();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        hubs[at] = Some(Hub::start(&files[at]));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let mut answered = 0;
    for caller in callers {
        answered += caller.await.unwrap();
    }
    println!("{answered} calls answered, {} of them not at the first attempt", repeated.load(Ordering::Relaxed));
    assert!(answered > 50);
}
