//! The log a running hub publishes over HTTPS, read by somebody else's HTTP/1.1 and HTTP/2 clients.

use std::process::Command;

use http::{Method, Request, Response, StatusCode, header};
use proto::audit::v1::{self as log, audit_service_client::AuditServiceClient, entry};
use tests::{Databases, Engine, Hub, HubFiles, Settings, channel_to, client_of, https};
use tonic::transport::Channel;

use crate::tiles::ask;

async fn published(size: u64, files: &HubFiles) {
    let begun = std::time::Instant::now();
    loop {
        let note = std::fs::read_to_string(files.path("published/checkpoint")).unwrap_or_default();
        if audit::Checkpoint::open(&note, &files.log_key()).is_ok_and(|checkpoint| checkpoint.tree_size >= size) {
            return;
        }
        assert!(begun.elapsed().as_secs() < 20, "the log is not published");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The independent verifier, over HTTPS; with the certificate of a system or none.
fn verify_with_python(files: &HubFiles, address: &str, system: Option<&str>) -> Result<String, String> {
    let python = std::env::var("LIENTHONG_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("python/verify_tiles.py");
    let mut command = Command::new(python);
    command.arg(script).arg(format!("https://{address}")).arg(files.log_key().to_string());
    command.arg(files.path("keys/ca.pem"));
    if let Some(name) = system.map(|system| system.replace('/', "_")) {
        command.arg(files.path(&format!("keys/{name}.pem"))).arg(files.path(&format!("keys/{name}.key")));
    }
    let output = command.output().expect("Python 3 is there");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// How fetches of entry bundles were recorded: by whom, what, and the outcome.
async fn readings(hub: &Hub, files: &HubFiles) -> Vec<(String, String, entry::Outcome)> {
    let mut service = AuditServiceClient::new(client_of(hub, files, "H21.90/console").await);
    let reader = log::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), ..Default::default() };
    let request = log::SearchEntriesRequest { reader: Some(reader), page_size: 1000, ..Default::default() };
    let entries = service.search_entries(request).await.unwrap().into_inner().entries;
    let fetched =
        entries.into_iter().filter_map(|logged| logged.entry).filter(|entry| entry.method == "GET tile/entries");
    fetched
        .map(|entry| {
            assert_eq!(entry.kind(), entry::Kind::LogRead);
            let path = entry.details.iter().find(|detail| detail.name == "path");
            let path = path.map_or_else(String::new, |path| path.value.clone());
            (entry.caller.as_ref().unwrap().system.clone(), path, entry.outcome())
        })
        .collect()
}

/// Fetches a file for an officer, who is named.
async fn fetch(channel: &Channel, method: Method, path: &str, officer: Option<&str>) -> Response<bytes::Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(name) = officer {
        request = request.header("lienthong-officer-id", "1").header("lienthong-officer-name", name.as_bytes());
    }
    https(channel, request.body(String::new()).unwrap()).await
}

async fn get(channel: &Channel, path: &str) -> (StatusCode, String, String) {
    let response = fetch(channel, Method::GET, path, Some("Trần Kiểm Tra")).await;
    let header = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    (response.status(), header(header::CONTENT_TYPE), header(header::CACHE_CONTROL))
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_verifies_the_tree_and_those_who_may_the_entries() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(60, 22, None).await.cast.everywhere.unwrap();
    let audit = "tiles = \"published\"\ntiles_listen = \"127.0.0.1:0\"".to_owned();
    let files = HubFiles::write(&databases, &Settings { audit, ..Settings::default() });
    let hub = Hub::start(&files);
    let address = hub.published_address().unwrap();
    ask(&hub, &files, &somebody.personal_id, 300).await;
    published(300, &files).await;

    // Anybody, over HTTP/1.1.
    let verified = verify_with_python(&files, &address, None).unwrap();
    assert!(verified.contains("(by their hashes)"), "{verified}");
    print!("{verified}");
    assert!(readings(&hub, &files).await.is_empty(), "hashes are no entries");

    // Anybody, over HTTP/2.
    let anybody = channel_to(&address, &files.authority(), None).await.unwrap();
    let (text, bytes) = ("text/plain; charset=utf-8".to_owned(), "application/octet-stream".to_owned());
    let immutable = "public, max-age=31536000, immutable".to_owned();
    assert_eq!(get(&anybody, "/checkpoint").await, (StatusCode::OK, text.clone(), "no-cache".to_owned()));
    assert_eq!(get(&anybody, "/tile/0/000").await, (StatusCode::OK, bytes.clone(), immutable));
    let full = fetch(&anybody, Method::GET, "/tile/0/000", None).await;
    assert!(*full.body() == std::fs::read(files.path("published/tile/0/000")).unwrap());
    let head = fetch(&anybody, Method::HEAD, "/tile/0/000", None).await;
    assert_eq!((head.status(), head.headers()[header::CONTENT_LENGTH].to_str().unwrap()), (StatusCode::OK, "8192"));
    assert!(head.body().is_empty());
    std::fs::write(files.path("published/checkpoint.new"), "half written").unwrap();
    std::fs::write(files.path("published/tile/0/000.new"), "half written").unwrap();
    for path in [
        "/",
        "/checkpoint.new",
        "/tile/0/000.new",
        "/tile",
        "/tile/0",
        "/tile/0/",
        "/tile/0/999",
        "/tile/9/000",
        "/tile/0/0",
        "/../config.toml",
        "/tile/../../config.toml",
        "/tile/0/%2e%2e/%2e%2e/%2e%2e/config.toml",
        "/tile/0/000/../../../../keys/log.key",
        "//checkpoint",
    ] {
        assert_eq!(get(&anybody, path).await, (StatusCode::NOT_FOUND, text.clone(), "no-store".to_owned()), "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let response = fetch(&anybody, method.clone(), "/checkpoint", None).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(response.headers()["allow"], "GET, HEAD", "{method}");
    }

    // Entries name officers.
    let refused = fetch(&anybody, Method::GET, "/tile/entries/000", Some("Trần Kiểm Tra")).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(String::from_utf8_lossy(refused.body()).contains("no client certificate was presented"));
    let certificate = files.certificate("H21.65/portal");
    let portal = channel_to(&address, &files.authority(), Some(&certificate)).await.unwrap();
    assert_eq!(get(&portal, "/tile/entries/000").await.0, StatusCode::FORBIDDEN);
    assert_eq!(get(&portal, "/tile/0/000").await.0, StatusCode::OK);
    let certificate = files.certificate("H21.90/console");
    let console = channel_to(&address, &files.authority(), Some(&certificate)).await.unwrap();
    let nobody = fetch(&console, Method::GET, "/tile/entries/000", None).await;
    assert_eq!(nobody.status(), StatusCode::BAD_REQUEST, "who reads entries is a person");
    let bundle = fetch(&console, Method::GET, "/tile/entries/000", Some("Trần Kiểm Tra")).await;
    assert_eq!(
        (bundle.status(), &bundle.headers()[header::CACHE_CONTROL]),
        (StatusCode::OK, &"no-store".parse().unwrap())
    );
    assert!(*bundle.body() == std::fs::read(files.path("published/tile/entries/000")).unwrap());
    assert_eq!(get(&console, "/tile/entries/x001/000").await.0, StatusCode::NOT_FOUND);
    let recorded = [
        ("console", "tile/entries/x001/000", entry::Outcome::Invalid),
        ("console", "tile/entries/000", entry::Outcome::Answered),
        ("console", "", entry::Outcome::Invalid),
        ("portal", "tile/entries/000", entry::Outcome::Refused),
    ];
    let recorded = recorded.map(|(system, path, outcome)| (system.to_owned(), path.to_owned(), outcome));
    assert_eq!(readings(&hub, &files).await, recorded);
    let verified = verify_with_python(&files, &address, Some("H21.90/console")).unwrap();
    assert!(!verified.contains("hashes"), "{verified}");
    print!("{verified}");
    let seen = readings(&hub, &files).await.len();
    assert!((6..=7).contains(&seen), "two bundles, one perhaps asked for twice: {seen}");

    assert!(hub.stop());

    // Where everybody may read the log, everybody can.
    let config = std::fs::read_to_string(files.path("config.toml")).unwrap();
    std::fs::write(files.path("config.toml"), config.replace("tiles_listen", "tiles_open = true\ntiles_listen"))
        .unwrap();
    let hub = Hub::start(&files);
    let anybody = channel_to(&hub.published_address().unwrap(), &files.authority(), None).await.unwrap();
    let bundle = fetch(&anybody, Method::GET, "/tile/entries/000", None).await;
    assert!(*bundle.body() == std::fs::read(files.path("published/tile/entries/000")).unwrap());
    assert_eq!(readings(&hub, &files).await.len(), seen, "not singly");
    assert!(hub.stop());
}
