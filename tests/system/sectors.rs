//! A sector the code has never heard of: a folder dropped into a running hub, known everywhere, changed, refused when it is
//! wrong, and taken away again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use prost_types::FieldMask;
use proto::query::v1::{self as wire, query_service_client::QueryServiceClient, subject::Identifier};
use sqlx::Connection as _;
use tests::{Databases, Engine, Hub, HubFiles, Settings, query_client};

use crate::command::{done, fails, profile, run, text};

const PERSON: &str = "052185000123";
const SCHEMA: &str = "
CREATE TABLE gcn (so_phat_hanh TEXT PRIMARY KEY, ngay_cap TEXT, so_dinh_danh TEXT, chu_su_dung TEXT, so_thua TEXT,
  so_to TEXT, dien_tich TEXT, loai_dat TEXT, dia_chi TEXT, ma_xa TEXT, the_chap INTEGER, da_thu_hoi INTEGER, cap_nhat TEXT);
CREATE INDEX gcn_so_dinh_danh ON gcn (so_dinh_danh);
CREATE TABLE gcn_dong_su_dung (so_phat_hanh TEXT, stt INTEGER, ho_ten TEXT, PRIMARY KEY (so_phat_hanh, stt));
INSERT INTO gcn VALUES
  ('BK 123456', '20120305', '052185000123', 'NguyÔn ThÞ H»ng', '42', '7', '120.50', 'ONT', 'Th«n 2', '21556', 1, 0,
   '2024-05-06 07:08:09'),
  ('AA 000001', '20010101', '052185000123', 'NguyÔn ThÞ H»ng', '41', '7', '80', 'ONT', NULL, NULL, 0, 1, NULL);
INSERT INTO gcn_dong_su_dung VALUES ('BK 123456', 1, 'Lª V¨n §øc');
";

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/land")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { assert!(fs::copy(&path, &target).is_ok()) }
    }
}

/// A hub with the folder of sectors, empty, and its configuration.
async fn started(folder: &Path) -> (Databases, String, HubFiles, Hub) {
    let databases = Databases::create(folder, |_| Engine::Sqlite).await;
    let somebody = databases.fill(50, 71, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    fs::create_dir(files.path("sectors")).unwrap();
    let config = fs::read_to_string(files.path("config.toml")).unwrap();
    fs::write(files.path("config.toml"), format!("sectors = \"sectors\"\n{config}")).unwrap();
    let hub = Hub::start(&files);
    (databases, somebody, files, hub)
}

/// The example with a database of its own, beside the folder of sectors.
async fn prepared(files: &HubFiles) -> PathBuf {
    let (ready, database) = (files.path("land"), files.path("land.sqlite"));
    copy(&example(), &ready);
    let mut connection =
        sqlx::SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", database.display())).await.unwrap();
    sqlx::raw_sql(SCHEMA).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    fs::write(ready.join("database.url"), format!("sqlite://{}\n", database.display())).unwrap();
    ready
}

/// Waits until so many log lines hold the text; the last of them.
async fn line(hub: &Hub, words: &str, times: usize) -> String {
    let begun = Instant::now();
    loop {
        let lines = hub.lines.lock().unwrap().clone();
        let found: Vec<_> = lines.iter().filter(|line| line.contains(words)).collect();
        if found.len() >= times {
            return found[found.len() - 1].clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "no line says {words}:\n{}", lines.join("\n"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn ask(profile: &str, select: &str) -> std::process::Output {
    let dossier = ["--purpose", "identify_applicant", "--dossier", "H21.65-261122-0001"];
    run(&[&["query", "-p", profile, "--personal-id", PERSON, "--select", select, "--json"], &dossier[..]].concat())
}

/// Asks until the answer is as wanted.
async fn until(profile: &str, select: &str, wanted: impl Fn(&std::process::Output) -> bool) {
    let begun = Instant::now();
    loop {
        let answer = ask(profile, select);
        if wanted(&answer) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "not in force: {}", text(&answer));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Calls of a built-in record type until told to stop; none may fail.
fn built_in_calls(
    client: QueryServiceClient<tonic::transport::Channel>,
    personal_id: String,
) -> (Arc<AtomicBool>, Arc<AtomicUsize>, tokio::task::JoinHandle<()>) {
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (told, counted) = (Arc::clone(&stop), Arc::clone(&calls));
    let calling = tokio::spawn(async move {
        let mut client = client;
        while !told.load(Ordering::Relaxed) {
            let field_mask = Some(FieldMask { paths: vec!["full_name".to_owned()] });
            let record_type = "lienthong.population.v1.Resident".to_owned();
            let request = wire::QueryRequest {
                subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.clone())) }),
                selections: vec![wire::Selection { record_type, field_mask }],
                purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
                officer: Some(wire::Officer {
                    id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new()
                }),
                required_sources: Vec::new(),
            };
            assert!(client.query(request).await.expect("no call fails").into_inner().complete);
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (stop, calls, calling)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sector_nobody_built_in_comes_into_a_running_hub_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (_databases, somebody, files, hub) = started(folder.path()).await;
    let portal = profile(&files, &hub, "H21.65/portal");
    let (stop, calls, calling) = built_in_calls(query_client(&hub, &files, "H21.99/all").await, somebody);
    let select = "LandUseCertificate:serial_number,parcel";
    let unknown = ask(&portal, select);
    assert!(
        text(&unknown).contains("INVALID_ARGUMENT") || text(&unknown).contains("InvalidArgument"),
        "{}",
        text(&unknown)
    );

    // Dropped in: no signal, no restart. Only its own source is opened.
    let sector = files.path("sectors/land");
    fs::rename(prepared(&files).await, &sector).unwrap();
    let reloaded = line(&hub, "reloaded", 1).await;
    assert!(reloaded.contains("sources_opened=\"land\""), "{reloaded}");

    // The command line asks by name, and reads the answer by reflection.
    let answer = ask(&portal, select);
    assert!(answer.status.success(), "{}", text(&answer));
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    let record = &answer["results"][0]["records"][0]["value"];
    assert_eq!(record["@type"], "type.googleapis.com/land.v1.LandUseCertificate");
    assert_eq!(record["serialNumber"], "BK 123456");
    assert_eq!(record["parcel"]["area"], "120.5");
    let verify = ["verify", "-p", &portal, "--personal-id", PERSON, "--purpose", "identify_applicant"];
    let claim = ["--dossier", "H21.65-261122-0001", "--claim", "landusecertificate:holder_name=Nguyễn Thị Hằng"];
    assert!(done(&[&verify[..], &claim].concat()).contains("MATCH"));
    python(&hub, &files);
    tools(&files);
    lent(&files);

    // Another sector beside it leaves its source, and the connections of it, as they are.
    let beside = files.path("sectors/beside");
    fs::create_dir(&beside).unwrap();
    let proto = fs::read_to_string(sector.join("land.proto")).unwrap();
    fs::write(
        beside.join("beside.proto"),
        proto.replace("land.v1", "beside.v1").replace("LandUseCertificate", "Beside"),
    )
    .unwrap();
    let reloaded = line(&hub, "reloaded", 2).await;
    assert!(reloaded.contains("sources_opened=\"\""), "{reloaded}");
    assert!(ask(&portal, select).status.success());

    // A field more, in the record type and in the mapping, at once.
    let more = "  // When it ends.\n  string term = 8 [(lienthong.options.v1.field) = { vi: \"Thời hạn\" en: \"Term\" \
                sensitivity: BASIC group: \"certificate\" }];\n}\n\n// A parcel of land.";
    fs::write(sector.join("land.proto"), proto.replace("}\n\n// A parcel of land.", more)).unwrap();
    // Nobody maps it yet, which leaves nothing out.
    let not_provided =
        |answer: &std::process::Output| text(answer).replace([' ', '\n'], "").contains("\"notProvided\":[\"term\"]");
    until(&portal, "LandUseCertificate:serial_number,term", not_provided).await;
    fs::write(sector.join("land.proto"), &proto).unwrap();
    let unknown_field = |answer: &std::process::Output| text(answer).contains("unknown field \"term\"");
    until(&portal, "LandUseCertificate:serial_number,term", unknown_field).await;

    // The whole folder is replaced, as when an archive is unpacked: what comes and goes in the new one is seen, too.
    fs::rename(files.path("sectors"), files.path("sectors-before")).unwrap();
    line(&hub, "reload refused", 1).await;
    fs::create_dir(files.path("sectors")).unwrap();
    let unknown_type = |answer: &std::process::Output| text(answer).contains("unknown record type \"land.v1");
    until(&portal, "land.v1.LandUseCertificate:serial_number", unknown_type).await;
    fs::rename(files.path("sectors-before/land"), &sector).unwrap();
    until(&portal, select, |answer| answer.status.success()).await;

    // Taken away: unknown again, and the rest goes on.
    fs::rename(&sector, files.path("taken")).unwrap();
    until(&portal, "land.v1.LandUseCertificate:serial_number", unknown_type).await;
    stop.store(true, Ordering::Relaxed);
    calling.await.unwrap();
    println!("{} calls of a built-in record type meanwhile, none failed", calls.load(Ordering::Relaxed));
    assert!(calls.load(Ordering::Relaxed) > 0);
    assert!(hub.stop());
}

/// Python knows it by reflection.
fn python(hub: &Hub, files: &HubFiles) {
    let Ok(python) = std::env::var("LIENTHONG_PYTHON") else {
        println!("Python is not tested: LIENTHONG_PYTHON names no Python with grpcio; tests/run prepares one");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/sector.py");
    let mut command = Command::new(python);
    command.arg(script).args([&hub.address, files.path("keys").to_str().unwrap(), PERSON]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("all checks passed"), "{}", text(&output));
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

/// What the command line reads from files knows it, too.
fn tools(files: &HubFiles) {
    let (config, sectors) = (crate::command::path(files, "config.toml"), crate::command::path(files, "sectors"));
    assert!(done(&["config", "check", "--config", &config]).contains("land.v1.LandUseCertificate"));
    assert!(done(&["access", "check", "--config", &config]).contains("no errors"));
    let who = done(&["access", "who-can-see", "--config", &config, "land.v1.LandUseCertificate:parcel.area"]);
    assert!(who.starts_with("land.v1.LandUseCertificate: parcel.area") && who.contains("1 of the 10 systems"), "{who}");
    assert!(done(&["access", "matrix", "--config", &config, "--csv"]).contains("land.v1.LandUseCertificate"));
    // A guardrail may name it; one that misspells it is refused.
    let policy = files.path("policies/95-land.cedar");
    let text = |name: &str| {
        format!(
            "@id(\"no-land\")\n@reason(\"NO_LAND\")\n@message_vi(\"Không\")\n@message_en(\"No\")\n\
             forbid (principal, action, resource is Field)\nwhen {{ resource.record_type == RecordType::\"{name}\" && \
             context.action == \"batch\" }};\n"
        )
    };
    fs::write(&policy, text("land.v1.LandUseCertificate")).unwrap();
    done(&["access", "check", "--config", &config]);
    fs::write(&policy, text("land.v1.LandUseCertificat")).unwrap();
    fails(&["access", "check", "--config", &config], "95-land.cedar");
    fs::remove_file(&policy).unwrap();
    // The mapping is checked, tried and drafted without a hub.
    let (mapping, database) =
        (crate::command::path(files, "sectors/land/mapping.toml"), format!("file:{sectors}/land/database.url"));
    let bound = ["--mapping", &mapping, "--sectors", &sectors, "--database", &database];
    assert!(done(&[&["adapter", "check"], &bound[..]].concat()).contains("parcel.use"));
    let tried = done(&[&["adapter", "try"], &bound[..], &["LandUseCertificate", PERSON]].concat());
    assert!(tried.contains("Nguyễn Thị Hằng"), "{tried}");
    let conforms = done(&[&["adapter", "conform"], &bound[..]].concat());
    assert!(conforms.contains("finds_known_numbers") && conforms.contains(" 0 failed"), "{conforms}");
    let draft =
        ["adapter", "draft", "LandUseCertificate", "--table", "gcn", "--sectors", &sectors, "--database", &database];
    let drafted = text_of(&run(&draft));
    assert!(drafted.contains("type = \"land.v1.LandUseCertificate\"") && drafted.contains("so_dinh_danh"), "{drafted}");
}

/// An adapter beside the database lends it, and does all that an adapter must do.
fn lent(files: &HubFiles) {
    let config = "sectors = \"sectors\"\n[server]\nlisten = \"127.0.0.1:0\"\ntrust_domain = \"test.example\"\n\
        [tls]\ncertificate = \"keys/server.pem\"\nprivate_key = \"keys/server.key\"\nclient_authorities = [\"keys/ca.pem\"]\n\
        [source]\nid = \"land\"\nmapping = \"sectors/land/mapping.toml\"\n\
        database = { url_file = \"sectors/land/database.url\" }\n[[allow]]\nsystem = \"H21.90/console\"\n";
    fs::write(files.path("adapter.toml"), config).unwrap();
    let adapter = Hub::start_adapter(&files.path("adapter.toml"));
    let endpoint = format!("https://localhost:{}", adapter.address.rsplit_once(':').unwrap().1);
    let path = |name: &str| crate::command::path(files, name);
    let (authority, certificate, key) =
        (path("keys/ca.pem"), path("keys/H21.90_console.pem"), path("keys/H21.90_console.key"));
    let known = format!("LandUseCertificate:personal_id={PERSON}");
    let said = done(&[
        "adapter",
        "conform",
        "--remote",
        &endpoint,
        "--authority",
        &authority,
        "--certificate",
        &certificate,
        "--private-key",
        &key,
        "--sectors",
        &path("sectors"),
        "--known",
        &known,
    ]);
    assert!(said.contains(" 0 failed"), "{said}");
    assert!(adapter.stop());
}

fn text_of(output: &std::process::Output) -> String {
    text(output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_sector_changes_nothing_and_is_named_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let (_databases, _, files, hub) = started(folder.path()).await;
    let portal = profile(&files, &hub, "H21.65/portal");
    let sector = files.path("sectors/land");
    fs::rename(prepared(&files).await, &sector).unwrap();
    line(&hub, "reloaded", 1).await;
    let select = "LandUseCertificate:serial_number";
    let good = |name: &str| fs::read_to_string(example().join(name)).unwrap();
    let (proto, mapping, grant, sources) =
        (good("land.proto"), good("mapping.toml"), good("grants/portal.toml"), good("sources.toml"));
    let stranger =
        "message Resident { option (lienthong.options.v1.record) = { vi: \"a\" en: \"b\" sector: \"c\" }; }\n";
    let wrong: [(&str, String, &str); 10] = [
        // Syntax, unknown types and imports, by protobuf's compiler.
        ("land.proto", proto.replace("string serial_number = 1 [", "string serial_number = ["), "land/land.proto:18:"),
        ("land.proto", proto.replace("  Parcel parcel = 5", "  Parzel parcel = 5"), "land/land.proto:49:3"),
        ("land.proto", proto.replace("common/v1/common.proto", "common/v1/komon.proto"), "land/land.proto:7:1"),
        ("land.proto", proto.replace("string serial_number = 1", "string serial_number = 2"), "land/land.proto:"),
        // A name that is taken.
        (
            "land.proto",
            proto.replace("package land.v1;", "package lienthong.population.v1;") + stranger,
            "name 'lienthong.population.v1.Resident' is already defined",
        ),
        // What a record type must say of its fields.
        (
            "land.proto",
            proto.replacen("    sensitivity: BASIC\n", "", 1),
            "land/land.proto:18:3: field land.v1.LandUseCertificate.serial_number lacks sensitivity",
        ),
        (
            "land.proto",
            proto.replace("optional bool mortgaged", "optional double mortgaged"),
            "land/land.proto:56:3: field land.v1.LandUseCertificate.mortgaged has type double",
        ),
        // The other files, too.
        ("mapping.toml", mapping.replace("serial_number =", "serial_numbr ="), "did you mean \"serial_number\"?"),
        ("grants/portal.toml", grant.replace("\"parcel\"]", "\"parzel\"]"), "portal.toml:19:"),
        ("sources.toml", sources.replace("mapping =", "maping ="), "sources.toml is not valid"),
    ];
    let mut log = Vec::new();
    for (number, (file, text, words)) in wrong.into_iter().enumerate() {
        let path = sector.join(file);
        let before = fs::read_to_string(&path).unwrap();
        assert_ne!(text, before, "{file}: {words}");
        fs::write(&path, text).unwrap();
        let said = line(&hub, "reload refused", number + 1).await;
        log.push(said.clone());
        let all = hub.lines.lock().unwrap().join("\n");
        let tail = all.rsplit("reload refused").next().unwrap().to_owned();
        assert!(tail.contains(words), "{words} is not in: {tail}");
        let answer = ask(&portal, select);
        assert!(answer.status.success(), "what was in force stays: {}", crate::command::text(&answer));
        fs::write(&path, before).unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    log.iter().for_each(|line| println!("{line}"));
    assert!(hub.stop());
}
