//! A witness as its own process.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use audit::{SigningKey, VerifierKey};

use crate::binary;

/// The files of a witness, and the process while it runs.
pub struct Witness {
    folder: PathBuf,
    /// Its public key.
    pub key: VerifierKey,
    /// `127.0.0.1:port`, the same at every start.
    pub address: String,
    child: Option<Child>,
}

impl Witness {
    /// Writes the files of a witness that follows the logs of these keys. Its TLS certificate is `server.pem` of a folder
    /// that `lienthong dev ca` made.
    pub fn write(folder: &Path, name: &str, certificates: &Path, logs: &[&str]) -> Self {
        let folder = folder.join(name);
        fs::create_dir(&folder).expect("a folder");
        let key = SigningKey::generate_for_witness(&format!("witness.example/{name}")).expect("a key");
        key.save(&folder.join("witness.key")).expect("a key file");
        // A port that was free a moment ago: the witness comes back to it.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        let logs: String = logs.iter().map(|key| format!("[[logs]]\nkeys = [{key:?}]\n")).collect();
        let certificates = certificates.display();
        let config = format!(
            "listen = \"{free}\"\nstate = \"state\"\nsigning_key = \"witness.key\"\n\
             [tls]\ncertificate = \"{certificates}/server.pem\"\nprivate_key = \"{certificates}/server.key\"\n{logs}"
        );
        fs::write(folder.join("witness.toml"), config).expect("a configuration");
        Self { folder, key: key.verifier().clone(), address: free.to_string(), child: None }
    }

    /// Starts it and waits until it listens. The first start begins its memory.
    pub fn start(&mut self) {
        let mut command = Command::new(binary());
        command.args(["audit", "witness", "--config"]).arg(self.folder.join("witness.toml"));
        if !self.folder.join("state").exists() {
            command.arg("--new");
        }
        let child = command.stderr(Stdio::piped()).env("NO_COLOR", "1").spawn();
        let mut child = child.expect("lienthong audit witness runs");
        let stderr = child.stderr.take().expect("piped");
        let (found, listening) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if line.contains("address=") {
                    // The receiver is gone once it has what it waits for.
                    let _ = found.send(());
                }
            }
        });
        self.child = Some(child);
        listening.recv_timeout(Duration::from_secs(60)).expect("the witness listens");
    }

    /// SIGKILL: no goodbye.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What the hub's configuration says of it.
    pub fn section(&self) -> String {
        let Self { key, address, .. } = self;
        format!("[[audit.witnesses]]\nkey = \"{key}\"\nurl = \"https://{address}\"\nauthorities = [\"keys/ca.pem\"]\n")
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.kill();
    }
}
