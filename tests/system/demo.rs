//! `lienthong demo --once` and the command line.

use std::process::{Command, Output};

use tests::{Databases, Engine, Hub, HubFiles, Settings, binary};

fn run(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_demo_shows_everything_it_promises() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let output = run(&["demo", "--once", "--json", "--people", "600", "--dir", dir.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output));
    let steps: Vec<serde_json::Value> =
        String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(steps.len() >= 10);
    assert!(steps.iter().all(|step| step["ok"] == true), "{steps:#?}");

    // The same files serve again, and its own earlier folder is made anew, but no other.
    let config = dir.join("config.toml");
    let check = run(&["config", "check", "--config", config.to_str().unwrap()]);
    assert!(check.status.success(), "{}", text(&check));
    let mut served = Command::new(binary()).args(["serve", "--config", config.to_str().unwrap()]).spawn().unwrap();
    let profile = dir.join("clients/console.toml");
    let mut found = None;
    for _ in 0..50 {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let search = run(&["audit", "search", "-p", profile.to_str().unwrap(), "--json", "--limit", "3"]);
        if search.status.success() {
            found = Some(String::from_utf8_lossy(&search.stdout).lines().count());
            break;
        }
    }
    assert!(Command::new("kill").arg(served.id().to_string()).status().unwrap().success());
    assert!(served.wait().unwrap().success());
    assert_eq!(found, Some(3), "the hub runs again from the files, with its log");
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("mine"), "").unwrap();
    let refused = run(&["demo", "--once", "--dir", other.to_str().unwrap()]);
    assert!(!refused.status.success() && text(&refused).contains("was not made by the demo"));
    assert!(other.join("mine").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let summary = databases.fill(300, 12, None).await;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let somebody = summary.cast.everywhere.unwrap();
    let profile = |system: &str| {
        let path = files.path(&format!("{}.toml", system.replace('/', "_")));
        let name = system.replace('/', "_");
        let text = format!(
            "endpoint = \"https://{}\"\nauthority = \"keys/ca.pem\"\ncertificate = \"keys/{name}.pem\"\n\
             private_key = \"keys/{name}.key\"\n[officer]\nid = \"1\"\nname = \"Test\"\n",
            hub.address
        );
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (portal, archive, console) = (profile("H21.65/portal"), profile("H21.10/archive"), profile("H21.90/console"));
    let query = |profile: &str, select: &str| {
        let arguments = ["query", "-p", profile, "--personal-id", &somebody.personal_id, "--select", select];
        let purpose = ["--purpose", "confirm_residence", "--dossier", "H21.65-261122-0001", "--json"];
        run(&[&arguments[..], &purpose[..]].concat())
    };
    let complete = query(&portal, "Resident:full_name");
    assert_eq!(complete.status.code(), Some(0), "{}", text(&complete));
    let parsed: serde_json::Value = serde_json::from_slice(&complete.stdout).unwrap();
    assert_eq!(parsed["results"][0]["records"][0]["value"]["fullName"]["full"], somebody.name);
    assert_eq!(query(&portal, "Resident:full_name,religion").status.code(), Some(4), "something was withheld");
    let refused = query(&archive, "Resident:full_name");
    assert_eq!(refused.status.code(), Some(3), "{}", text(&refused));
    assert!(text(&refused).contains("NO_AGREEMENT") && text(&refused).contains("thỏa thuận"));
    let unknown = query(&portal, "Resident:ful_name");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown).contains("did you mean \"full_name\"?"), "{}", text(&unknown));

    let verify = |claim: &str| {
        let arguments = ["verify", "-p", &portal, "--personal-id", &somebody.personal_id, "--claim", claim];
        run(&[&arguments[..], &["--purpose", "confirm_residence", "--dossier", "H21.65-261122-0001"]].concat())
    };
    assert_eq!(verify(&format!("Resident:full_name={}", somebody.name)).status.code(), Some(0));
    assert_eq!(verify("Resident:full_name=Nguyễn Văn Không").status.code(), Some(6));
    assert_eq!(verify("Resident:religion=99").status.code(), Some(3), "nothing asked is granted");

    let subject = format!("personal_id={}", somebody.personal_id);
    let search = run(&["audit", "search", "-p", &console, "--subject", &subject, "--outcome", "refused", "--json"]);
    assert!(search.status.success(), "{}", text(&search));
    let found: Vec<serde_json::Value> =
        String::from_utf8_lossy(&search.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), 2, "the archive's query and the verification of religion: {found:#?}");
    assert!(
        !String::from_utf8_lossy(&search.stdout).contains(&somebody.personal_id),
        "the log holds no number in clear"
    );
    let index = found[0]["logIndex"].as_str().unwrap().to_owned();
    let prove = run(&["audit", "prove", &index, "-p", &console, "--key", files.path("keys/log.pub").to_str().unwrap()]);
    assert!(prove.status.success(), "{}", text(&prove));
    let not_operator = run(&["audit", "search", "-p", &portal]);
    assert_eq!(not_operator.status.code(), Some(3), "{}", text(&not_operator));

    assert!(hub.stop());
    let database = files.path("audit.sqlite");
    let key = files.path("keys/log.pub");
    let verified = run(&["audit", "verify", "--database", database.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", text(&verified));
}
