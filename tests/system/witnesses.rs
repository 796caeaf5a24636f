//! Witnesses as their own processes: the protocol, letter by letter, and a hub that publishes nothing without them.

use std::{fs, time::Duration};

use audit::{Checkpoint, Hash, SigningKey, tree};
use http::{Method, Request, StatusCode};
use proto::audit::v1::{self as log, audit_service_client::AuditServiceClient};
use tests::{Databases, Engine, Hub, HubFiles, Settings, Witness, channel_to, client_of, http_get, https};
use tonic::transport::Channel;

use crate::{
    command::{done, fails, path},
    tiles::{ask, verify_with_python},
};

/// A log that exists only here.
struct Log {
    key: SigningKey,
    leaves: Vec<Hash>,
}

impl Log {
    fn new(origin: &str) -> Self {
        let leaves = (0_u64..64).map(|number| tree::leaf_hash(&number.to_be_bytes())).collect();
        Self { key: SigningKey::generate(origin).unwrap(), leaves }
    }

    fn note(&self, size: usize) -> String {
        Checkpoint::sign(size as u64, tree::root(&self.leaves[..size]), &self.key).unwrap().note
    }

    fn request(&self, from: usize, to: usize) -> String {
        let proof = tree::consistency_proof(&self.leaves[..to], from as u64).unwrap();
        audit::witness::AddCheckpoint { old_size: from as u64, proof, note: self.note(to) }.to_string()
    }
}

/// Code, media type and body of an answer.
async fn post(channel: &Channel, path: &str, body: String) -> (StatusCode, String, String) {
    let response = https(channel, Request::post(path).body(body).unwrap()).await;
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    (response.status(), media_type, String::from_utf8(response.body().to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_answers_as_the_specification_says_and_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    done(&["dev", "ca", "--dir", keys.to_str().unwrap()]);
    let authority = fs::read(keys.join("ca.pem")).unwrap();
    let log = Log::new("test.example/followed");
    let mut witness = Witness::write(folder.path(), "w1", &keys, &[&log.key.verifier().to_string()]);
    witness.start();
    let channel = channel_to(&witness.address, &authority, None).await.unwrap();
    let add = |body: String| post(&channel, "/add-checkpoint", body);
    let code = async |body: String| post(&channel, "/add-checkpoint", body).await.0;

    let (status, _, line) = add(log.request(0, 5)).await;
    assert_eq!(status, StatusCode::OK, "{line}");
    assert!(line.starts_with("— witness.example/w1 ") && line.ends_with('\n') && line.lines().count() == 1, "{line}");
    let cosigned = format!("{}{line}", log.note(5));
    let cosigned = Checkpoint::open(&cosigned, log.key.verifier()).unwrap();
    let seen = cosigned.witnessed(std::slice::from_ref(&witness.key), 1).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(seen[0].time) < 60);

    let five = (StatusCode::CONFLICT, "text/x.tlog.size".to_owned(), "5\n".to_owned());
    assert_eq!(add(log.request(0, 9)).await, five);
    assert_eq!(add(log.request(4, 9)).await, five);
    assert_eq!(code(log.request(5, 9).replacen("old 5", "old 10", 1)).await, StatusCode::BAD_REQUEST);
    assert_eq!(code(Log::new("test.example/other").request(0, 5)).await, StatusCode::NOT_FOUND);
    assert_eq!(code(Log::new("test.example/followed").request(5, 9)).await, StatusCode::FORBIDDEN);
    let mut fork = Log { key: SigningKey::parse(&log.key.to_text()).unwrap(), leaves: log.leaves.clone() };
    fork.leaves[2] = [2; 32];
    assert_eq!(code(fork.request(5, 9)).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(code(fork.request(5, 5)).await, StatusCode::CONFLICT);
    for body in [String::new(), "old 5\n".to_owned(), "old x\n\n".to_owned() + &log.note(9), "x".repeat(200_000)] {
        assert_eq!(code(body).await, StatusCode::BAD_REQUEST);
    }
    assert_eq!(post(&channel, "/", log.request(5, 9)).await.0, StatusCode::NOT_FOUND);
    let get = https(&channel, Request::get("/add-checkpoint").body(String::new()).unwrap()).await;
    assert_eq!(
        (get.status(), get.headers()["allow"].to_str().unwrap()),
        (StatusCode::METHOD_NOT_ALLOWED, Method::POST.as_str())
    );

    // What was answered is remembered, whatever happens then.
    for (from, to) in (5..15).zip(6..16) {
        let channel = channel_to(&witness.address, &authority, None).await.unwrap();
        assert_eq!(post(&channel, "/add-checkpoint", log.request(from, to)).await.0, StatusCode::OK, "{to}");
        witness.kill();
        witness.start();
        let channel = channel_to(&witness.address, &authority, None).await.unwrap();
        let known = (StatusCode::CONFLICT, "text/x.tlog.size".to_owned(), format!("{to}\n"));
        assert_eq!(post(&channel, "/add-checkpoint", log.request(from, to)).await, known);
    }
    // One that has lost its memory does not begin, and a second one does not take it over.
    let config = folder.path().join("w1/witness.toml");
    let arguments = ["audit", "witness", "--config", config.to_str().unwrap()];
    fails(&arguments, "in use by another process");
    witness.kill();
    fs::rename(folder.path().join("w1/state"), folder.path().join("w1/elsewhere")).unwrap();
    fails(&arguments, "--new begins a new witness");
}

/// A hub, and three witnesses of which two must cosign.
struct Setting {
    _databases: tempfile::TempDir,
    files: HubFiles,
    witnesses: Vec<Witness>,
    personal_id: String,
}

async fn setting() -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let personal_id = databases.fill(60, 22, None).await.cast.everywhere.unwrap().personal_id;
    let audit = "tiles = \"published\"\nwitnesses_required = 2".to_owned();
    let files = HubFiles::write(&databases, &Settings { audit, ..Settings::default() });
    let log = files.log_key().to_string();
    let witness = |name| Witness::write(folder.path(), name, &files.path("keys"), &[&log]);
    let mut witnesses = vec![witness("w1"), witness("w2"), witness("w3")];
    let sections: String = witnesses.iter().map(Witness::section).collect();
    let config = fs::read_to_string(files.path("config.toml")).unwrap();
    let telemetry = "[telemetry]\nmetrics_listen = \"127.0.0.1:0\"\n";
    fs::write(files.path("config.toml"), format!("{config}\n{sections}\n{telemetry}")).unwrap();
    witnesses[0].start();
    witnesses[1].start();
    Setting { _databases: folder, files, witnesses, personal_id }
}

impl Setting {
    fn published(&self) -> Option<Checkpoint> {
        let note = fs::read_to_string(self.files.path("published/checkpoint")).ok()?;
        Some(Checkpoint::open(&note, &self.files.log_key()).unwrap())
    }

    async fn wait_for(&self, size: u64) -> Checkpoint {
        let begun = std::time::Instant::now();
        loop {
            if let Some(checkpoint) = self.published().filter(|checkpoint| checkpoint.tree_size >= size) {
                return checkpoint;
            }
            assert!(begun.elapsed().as_secs() < 60, "{size} entries are not published");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the hub says of its publication: the note published, and the cosignatures the next lacks.
    async fn said(&self, hub: &Hub) -> (String, u32) {
        let mut service = AuditServiceClient::new(client_of(hub, &self.files, "H21.65/portal").await);
        let checkpoint = service.get_checkpoint(log::GetCheckpointRequest::default()).await.unwrap().into_inner();
        (checkpoint.published_note, checkpoint.cosignatures_lacking)
    }

    async fn wait_until_lacking(&self, hub: &Hub, lacking: u32) {
        let begun = std::time::Instant::now();
        while self.said(hub).await.1 != lacking {
            assert!(begun.elapsed().as_secs() < 60, "{:?} instead of {lacking}", self.said(hub).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[derive(prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// 1 serving, 2 not serving.
async fn health(hub: &Hub, files: &HubFiles) -> i32 {
    let mut client = tonic::client::Grpc::new(client_of(hub, files, "H21.65/portal").await);
    client.ready().await.unwrap();
    let request = HealthCheckRequest { service: "lienthong.publication".to_owned() };
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let answer = client.unary(tonic::Request::new(request), "/grpc.health.v1.Health/Check".parse().unwrap(), codec);
    answer.await.unwrap().into_inner().status
}

async fn metric(hub: &Hub, name: &str) -> String {
    let page = http_get(&hub.metrics_address().unwrap(), "/metrics").await;
    let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} is not in {page}"));
    line.rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_published_when_enough_witnesses_cosigned_it() {
    let mut setting = setting().await;
    let hub = Hub::start(&setting.files);
    ask(&hub, &setting.files, &setting.personal_id, 100).await;
    let checkpoint = setting.wait_for(100).await;
    let keys: Vec<_> = setting.witnesses.iter().map(|witness| witness.key.clone()).collect();
    assert_eq!(checkpoint.witnessed(&keys, 2).unwrap().len(), 2);
    let key = path(&setting.files, "keys/log.pub");
    let tiles = path(&setting.files, "published");
    let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let mut verify = vec!["audit", "verify", "--tiles", &tiles, "--key", &key];
    verify.extend(texts.iter().flat_map(|key| ["--witness", key]));
    let report = done(&[&verify[..], &["--require", "2"]].concat());
    assert!(report.contains("was cosigned by witness.example/w1 at 20"), "{report}");
    fails(&[&verify[..], &["--require", "3"]].concat(), "the checkpoint has 2 cosignatures of 3 required");
    fails(&verify, "the checkpoint has 2 cosignatures of 3 required");

    // One of the two is gone: the hub answers, and says what it lacks.
    setting.witnesses[1].kill();
    ask(&hub, &setting.files, &setting.personal_id, 50).await;
    setting.wait_until_lacking(&hub, 1).await;
    let stays = setting.published().unwrap();
    assert!(stays.tree_size < 150, "{}", stays.tree_size);
    assert_eq!(setting.said(&hub).await, (stays.note.clone(), 1));
    assert_eq!(metric(&hub, "lienthong_audit_cosignatures_lacking").await, "1");
    assert_eq!(health(&hub, &setting.files).await, 2);
    let lines = hub.lines.lock().unwrap().join("\n");
    assert!(lines.contains("the newest checkpoint lacks cosignatures and is not published"), "{lines}");
    assert!(lines.contains("the witness does not cosign"), "{lines}");

    // It comes back, and the third comes, too.
    setting.witnesses[1].start();
    setting.witnesses[2].start();
    setting.wait_for(150).await;
    setting.wait_until_lacking(&hub, 0).await;
    assert_eq!(metric(&hub, "lienthong_audit_cosignatures_lacking").await, "0");
    assert_eq!(health(&hub, &setting.files).await, 1);
    assert!(hub.stop());
    let last = setting.published().unwrap();
    let (location, log_key) = (setting.files.log_location(), setting.files.log_key());
    let report = audit::verify::verify_store(&location, &log_key, &[], |_| {}).await.unwrap();
    assert_eq!(last.tree_size, report.tree_size, "the stop is published, cosigned");
    last.witnessed(&keys, 2).unwrap();
    done(&[&verify[..], &["--require", "2"]].concat());
    // Somebody else's verifier reads the note with all its signatures.
    let log_key = log_key.to_string();
    let cosigned: Vec<_> = last.witnessed(&keys, 2).unwrap().into_iter().map(|seen| seen.witness).collect();
    let cosigners = keys.iter().filter(|key| cosigned.iter().any(|name| name == key.name()));
    let cosigners: Vec<_> = cosigners.map(|key| format!("witness={key}")).collect();
    let arguments: Vec<&str> = [&log_key].into_iter().chain(&cosigners).map(String::as_str).collect();
    print!("{}", verify_with_python(&tiles, &arguments).unwrap());

    // A copy made from the database, for an archive, carries the cosignatures of the checkpoint it ends with.
    let [database, copy, kept, newest] =
        ["audit.sqlite", "copy", "kept.checkpoint", "published/checkpoint"].map(|name| path(&setting.files, name));
    fs::write(&kept, &stays.note).unwrap();
    let export = ["audit", "export", "--database", &database, "--key", &key, "--tiles", &copy];
    let until = |checkpoint: &str| [&export[..], &["--checkpoint", checkpoint]].concat().join(" ");
    let export_until = |checkpoint: &str| done(&until(checkpoint).split(' ').collect::<Vec<_>>());
    let mut verify = vec!["audit", "verify", "--tiles", &copy, "--key", &key, "--require", "2"];
    verify.extend(texts.iter().flat_map(|key| ["--witness", key]));
    export_until(&kept);
    assert!(done(&verify).contains(&format!("The log verifies: {} entries", stays.tree_size)));
    done(&export);
    fails(&verify, "the checkpoint has 0 cosignatures of 2 required");
    export_until(&newest);
    assert!(done(&verify).contains(&format!("The log verifies: {} entries", last.tree_size)));
    fails(&until(&kept).split(' ').collect::<Vec<_>>(), "a checkpoint kept earlier has");
    done(&verify);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_back_gets_no_cosignature_any_more() {
    let setting = setting().await;
    let hub = Hub::start(&setting.files);
    ask(&hub, &setting.files, &setting.personal_id, 30).await;
    setting.wait_for(30).await;
    assert!(hub.stop());
    let log = setting.files.path("audit.sqlite");
    fs::copy(&log, setting.files.path("earlier.sqlite")).unwrap();
    let hub = Hub::start(&setting.files);
    ask(&hub, &setting.files, &setting.personal_id, 30).await;
    setting.wait_for(60).await;
    assert!(hub.stop());

    // Whoever runs the hub puts back yesterday's log and hides what was published since.
    for beside in ["-wal", "-shm", ".index", ".index-wal", ".index-shm"] {
        let _ = fs::remove_file(setting.files.path(&format!("audit.sqlite{beside}")));
    }
    fs::copy(setting.files.path("earlier.sqlite"), &log).unwrap();
    fs::remove_dir_all(setting.files.path("published")).unwrap();
    let hub = Hub::start(&setting.files);
    setting.wait_until_lacking(&hub, 2).await;
    assert!(hub.lines.lock().unwrap().join("\n").contains("entries were lost"));
    // And when it has grown again.
    ask(&hub, &setting.files, &setting.personal_id, 60).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    setting.wait_until_lacking(&hub, 2).await;
    assert_eq!(setting.published(), None, "nothing but the forked log is there, and it is not published");
}
