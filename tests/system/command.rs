//! Running the command line.

use std::process::{Command, Output};

use tests::{Hub, HubFiles, binary};

pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().unwrap()
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs and must succeed; what it printed.
pub(crate) fn done(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    text(&output)
}

/// Runs and must fail with exit code 1 and these words.
pub(crate) fn fails(arguments: &[&str], words: &str) {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output));
    assert!(text(&output).contains(words), "{words:?} is not in: {}", text(&output));
}

/// A client profile for a system of the hub.
pub(crate) fn profile(files: &HubFiles, hub: &Hub, system: &str) -> String {
    let name = system.replace('/', "_");
    let path = files.path(&format!("{name}.toml"));
    let text = format!(
        "endpoint = \"https://{}\"\nauthority = \"keys/ca.pem\"\ncertificate = \"keys/{name}.pem\"\n\
         private_key = \"keys/{name}.key\"\n[officer]\nid = \"1\"\nname = \"Test\"\n",
        hub.address
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

pub(crate) fn path(files: &HubFiles, name: &str) -> String {
    files.path(name).to_str().unwrap().to_owned()
}
