//! A reload of 2,000 agreements of 60 agencies while serving: no call fails, and it is soon in force.

use std::{
    fmt::Write,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use prost_types::FieldMask;
use proto::query::v1::{self as wire, subject::Identifier};
use tests::{Databases, Engine, Hub, HubFiles, Settings, query_client};

const AGREEMENTS: usize = 2_000;
const AGENCIES: usize = 60;
/// Files that changed are read when they have been quiet for so long.
const QUIET: Duration = Duration::from_millis(300);

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

fn reloads(hub: &Hub) -> usize {
    hub.lines.lock().unwrap().iter().filter(|line| line.contains(" reloaded ")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_agreements_reload_while_serving() {
    if !tests::long() {
        eprintln!("2,000 agreements take a while without optimisation: passed over in the short form");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 131, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    let mut agencies = fs::read_to_string(files.path("agencies.toml")).unwrap();
    for agency in 0..AGENCIES {
        write!(
            agencies,
            "\n[[agencies]]\ncode = \"H90.{agency:02}\"\nname_vi = \"A\"\nname_en = \"A\"\nkind = \"sector\"\n"
        )
        .unwrap();
    }
    fs::write(files.path("agencies.toml"), agencies).unwrap();
    let shipped = fs::read_to_string(files.path("grants/half.toml")).unwrap();
    for number in 0..AGREEMENTS {
        let grant = shipped
            .replace("98/TEST", &format!("X{number}"))
            .replace("\"half\"", &format!("\"desk-{}\"", number / AGENCIES))
            .replace("\"H21.99\"", &format!("\"H90.{:02}\"", number % AGENCIES));
        fs::write(files.path(&format!("grants/x{number:04}.toml")), grant).unwrap();
    }
    let hub = Hub::start(&files);
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let client = query_client(&hub, &files, "H21.99/all").await;
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (mut client, stop, calls, request) =
                (client.clone(), Arc::clone(&stop), Arc::clone(&calls), request(&somebody));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    client.query(request.clone()).await.expect("no call fails");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let grant = files.path("grants/x0000.toml");
    let mut took = Vec::new();
    for round in 0..5 {
        let before = reloads(&hub);
        let changed = fs::read_to_string(&grant).unwrap() + &format!("# {round}\n");
        fs::write(&grant, changed).unwrap();
        let begun = Instant::now();
        while reloads(&hub) == before {
            assert!(begun.elapsed() < Duration::from_secs(60), "the change did not come into force");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        took.push(begun.elapsed().saturating_sub(QUIET));
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    took.sort_unstable();
    println!(
        "reload of {AGREEMENTS} agreements, median {:?} of {took:?}; {} calls, none failed",
        took[2],
        calls.load(Ordering::Relaxed)
    );
    // Without optimisation only that it works is tested.
    assert!(cfg!(debug_assertions) || took[2] < Duration::from_secs(1), "{took:?}");
    assert!(hub.stop());
}
