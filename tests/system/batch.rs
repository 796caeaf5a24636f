//! `lienthong batch`: cut connections, killed hubs and a killed command lose no answer and write none twice.

use std::{
    collections::BTreeSet,
    fmt::Write,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tests::{Databases, Engine, Hub, HubFiles, Settings, binary};

use crate::command::{fails, path, profile, run, text};

/// Numbers of residents.
async fn residents(databases: &Databases, people: u64) -> BTreeSet<String> {
    let mut truth = std::io::Cursor::new(Vec::new());
    databases.fill(people, 61, Some(&mut truth)).await;
    std::str::from_utf8(truth.get_ref())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["record_type"] == "lienthong.population.v1.Resident")
        .filter_map(|line| line["keys"]["personal_id"].as_str().map(str::to_owned))
        .collect()
}

/// A port nobody has now, written into the configuration, so that a hub comes back where it was.
fn stay_at_one_address(files: &HubFiles) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = std::fs::read_to_string(files.path("config.toml")).unwrap();
    let fixed = config.replace("listen = \"127.0.0.1:0\"", &format!("listen = \"127.0.0.1:{port}\""));
    assert_ne!(fixed, config);
    std::fs::write(files.path("config.toml"), fixed).unwrap();
}

struct Asking {
    arguments: Vec<String>,
    answers: String,
}

impl Asking {
    fn new(files: &HubFiles, hub: &Hub) -> Self {
        let (profile, answers) = (profile(files, hub, "H21.99/all"), path(files, "answers.jsonl"));
        let arguments = [
            "batch",
            &path(files, "people.csv"),
            "--output",
            &answers,
            "-p",
            &profile,
            "--select",
            "Resident:personal_id",
            "--purpose",
            "test_everything",
        ];
        Self { arguments: arguments.map(str::to_owned).to_vec(), answers }
    }

    fn start(&self) -> Child {
        Command::new(binary()).args(&self.arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn lines(&self) -> usize {
        std::fs::read_to_string(&self.answers).unwrap_or_default().lines().count()
    }

    async fn wait_for_lines(&self, count: usize) {
        let started = Instant::now();
        while self.lines() < count {
            assert!(started.elapsed() < Duration::from_secs(60), "{} of {count} lines", self.lines());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_on_after_every_cut_and_has_each_answer_once() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let residents = residents(&databases, 300).await;
    let files = HubFiles::write(&databases, &Settings::default());
    stay_at_one_address(&files);
    let mut hub = Hub::start(&files);

    let count = if tests::long() { 200_000 } else { 8_000 };
    let asked: Vec<&String> = residents.iter().cycle().take(count).collect();
    let mut list = "personal_id\n".to_owned();
    asked.iter().for_each(|number| writeln!(list, "{number}").unwrap());
    std::fs::write(files.path("people.csv"), &list).unwrap();
    let asking = Asking::new(&files, &hub);

    let mut command = asking.start();
    for part in 1..=4 {
        asking.wait_for_lines(part * count / 8).await;
        // A hub killed, one told to stop, and the command itself killed.
        match part {
            1 | 3 => hub.kill(),
            2 => assert!(hub.stop()),
            _ => {
                command.kill().unwrap();
                command.wait().unwrap();
                // What a crash leaves of a line.
                let whole = std::fs::read_to_string(&asking.answers).unwrap();
                std::fs::write(&asking.answers, &whole[..whole.len() - 7]).unwrap();
                command = asking.start();
                continue;
            }
        }
        hub = Hub::start(&files);
    }
    assert!(command.wait().unwrap().success());

    let mut answered = vec![false; count];
    for line in std::fs::read_to_string(&asking.answers).unwrap().lines() {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        let row: usize = answer["itemId"].as_str().unwrap().parse().unwrap();
        assert!(!std::mem::replace(&mut answered[row - 1], true), "row {row} is answered twice");
        let number = &answer["response"]["results"][0]["records"][0]["value"]["personalId"];
        assert_eq!(number, asked[row - 1], "row {row}");
    }
    assert!(answered.iter().all(|answered| *answered), "a row is lost");

    // Nothing more to ask; and these answers are to this question only.
    let entries = || async { hub_entries(&files).await };
    let arguments: Vec<&str> = asking.arguments.iter().map(String::as_str).collect();
    assert!(run(&arguments).status.success());
    let other: Vec<&str> =
        arguments.iter().map(|argument| argument.replace("personal_id", "full_name").leak() as &str).collect();
    fails(&other, "answers to another question");
    assert!(hub.stop());
    let recorded = entries().await;
    println!(
        "{count} items through 3 restarts of the hub and 1 of the command: each answered once; {recorded} entries"
    );
    assert!(recorded >= count as u64);
    databases.drop().await;
}

async fn hub_entries(files: &HubFiles) -> u64 {
    audit::verify::verify_store(&files.log_location(), &files.log_key(), &[], |_| {}).await.unwrap().tree_size
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_a_fault_is_refused_with_its_line_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let asking = Asking::new(&files, &hub);
    let arguments: Vec<&str> = asking.arguments.iter().map(String::as_str).collect();
    for (list, words) in [
        ("cmnd\n123\n", "the first line names none of personal_id"),
        ("personal_id,legacy_id\n052185000123,\n", "more than one"),
        ("personal_id\n052185000123\n \n", "people.csv:3: names no subject"),
        ("personal_id\n052185000123,x\n", "line: 2"),
        ("personal_id\n", "names no subject"),
    ] {
        std::fs::write(files.path("people.csv"), list).unwrap();
        fails(&arguments, words);
        assert!(!files.path("answers.jsonl").exists(), "nothing was asked");
    }
    // A number that cannot be one is the hub's to refuse, for that row alone.
    std::fs::write(files.path("people.csv"), "personal_id\n12345\n").unwrap();
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let answer: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(files.path("answers.jsonl")).unwrap()).unwrap();
    assert_eq!(answer["error"]["reason"], "INVALID_REQUEST", "{answer}");
    assert!(hub.stop());
    databases.drop().await;
}
