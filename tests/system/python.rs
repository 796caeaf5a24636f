//! A client that has nothing of ours: Python with grpcio and reflection.

use std::{process::Command, sync::Arc};

use tests::{Databases, Engine, Hub, HubFiles, Settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_needs_only_grpcio_and_reflection() {
    let Ok(python) = std::env::var("LIENTHONG_PYTHON") else {
        println!("not tested: LIENTHONG_PYTHON names no Python with grpcio; tests/run prepares one");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let summary = databases.fill(300, 11, None).await;
    let files = Arc::new(HubFiles::write(&databases, &Settings::default()));
    let hub = Hub::start(&files);
    let somebody = summary.cast.everywhere.unwrap();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("python/client.py");
    let output = Command::new(python)
        .arg(script)
        .args([&hub.address, files.path("keys").to_str().unwrap(), &somebody.personal_id, &somebody.name])
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("all checks passed"), "{stdout}");
    print!("{stdout}");
    assert!(hub.stop());
}
