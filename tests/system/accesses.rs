//! A citizen asks who looked at them: the extract the operations centre hands out, and that nobody can leave anything out.

use std::fs;

use tests::{Databases, Engine, Hub, HubFiles, Settings, query_client};

use crate::{
    command::{done, fails, path, profile, run},
    kill::request,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_gets_a_list_that_proves_itself_complete() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(60, 22, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    // What the system `half` asks is not for the subject's eyes.
    let grant = fs::read_to_string(files.path("grants/half.toml")).unwrap();
    let never = "\"never\"\ndisclosure_approved_by = \"Quyết định 12/QĐ-CT\"";
    fs::write(files.path("grants/half.toml"), grant.replace("\"immediate\"", never)).unwrap();
    let hub = Hub::start(&files);
    for (system, times) in [("H21.99/all", 3), ("H21.99/half", 2)] {
        let mut client = query_client(&hub, &files, system).await;
        for _ in 0..times {
            // Both answered and refused questions are accesses.
            let _ = client.query(request(&somebody)).await;
        }
    }

    let [list, tiles, key, database] =
        ["list.json", "published", "keys/log.pub", "audit.sqlite"].map(|name| path(&files, name));
    let subject = format!("personal_id={somebody}");
    let all = profile(&files, &hub, "H21.99/all");
    let refused = run(&["audit", "accesses", "-p", &all, "--subject", &subject]);
    assert_eq!(refused.status.code(), Some(3), "only who reads the log may hand out extracts: {refused:?}");
    let console = profile(&files, &hub, "H21.90/console");
    let shown = done(&["audit", "accesses", "-p", &console, "--subject", &subject, "--out", &list]);
    assert!(shown.contains("3 accesses in 1 logs."), "{shown}");
    let text = fs::read_to_string(&list).unwrap();
    assert!(text.contains("99/TEST") && !text.contains("98/TEST") && !text.contains(&somebody), "{text}");

    done(&["audit", "export", "--database", &database, "--key", &key, "--tiles", &tiles]);
    let verify = ["audit", "verify", "--tiles", &tiles, "--key", &key, "--accesses", &list];
    let verified = done(&verify);
    assert!(verified.contains("holds the 3 accesses") && verified.contains("none is left out"), "{verified}");

    let mut changed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let removed = changed["accesses"].as_array_mut().unwrap().remove(1);
    fs::write(&list, changed.to_string()).unwrap();
    fails(&verify, &format!("entry {} is left out of the list", removed["logIndex"].as_str().unwrap()));
    fs::write(&list, text.replace("test_everything", "other")).unwrap();
    fails(&verify, "is another in the list than in the log");

    // The extract was itself recorded, with whom it was about.
    let read = done(&["audit", "search", "-p", &console, "--subject", &subject, "--json"]);
    assert!(read.contains("AuditService/ListSubjectAccesses"), "{read}");
    assert!(hub.stop());
}
