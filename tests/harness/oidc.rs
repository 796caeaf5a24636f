//! An OpenID provider as its own process: npm's oidc-provider.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::HubFiles;

/// A signing key of a provider.
pub struct SigningKey {
    /// Its id in the key set.
    pub id: &'static str,
    /// ECDSA P-256 in PKCS #8, PEM.
    pub pem: String,
}

/// A running provider.
pub struct Provider {
    child: Child,
    /// Its issuer.
    pub issuer: String,
    port: u16,
    /// The token it gave each of its clients.
    pub tokens: BTreeMap<String, String>,
}

impl Provider {
    /// Where npm put oidc-provider; without it tests of tokens are passed over.
    pub fn available() -> bool {
        let found = std::env::var_os("LIENTHONG_NODE_MODULES").is_some();
        if !found {
            eprintln!("LIENTHONG_NODE_MODULES is not set: passed over");
        }
        found
    }

    /// Starts one on a free port with the hub's TLS certificate. Clients are ids with the claims of their tokens.
    pub fn start(files: &HubFiles, key: &SigningKey, clients: &[(&str, Value)]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        Self::start_on(port, files, key, clients)
    }

    /// Stops and starts again with another key in place of the first.
    pub fn rotate(mut self, files: &HubFiles, key: &SigningKey, clients: &[(&str, Value)]) -> Self {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it ended");
        Self::start_on(self.port, files, key, clients)
    }

    fn start_on(port: u16, files: &HubFiles, key: &SigningKey, clients: &[(&str, Value)]) -> Self {
        let issuer = format!("https://localhost:{port}");
        let clients: Vec<_> = clients.iter().map(|(id, claims)| json!({ "id": id, "claims": claims })).collect();
        let settings = json!({
            "issuer": issuer, "port": port, "audience": "lienthong", "clients": clients,
            "keys": [{ "kid": key.id, "pem": key.pem }],
            "tls_key": files.path("keys/server.key"), "tls_certificate": files.path("keys/server.pem"),
        });
        let path = files.path(&format!("provider-{port}.json"));
        fs::write(&path, settings.to_string()).expect("settings");
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("oidc/provider.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .arg(path)
            .env("NODE_EXTRA_CA_CERTS", files.path("keys/ca.pem"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs");
        let mut tokens = BTreeMap::new();
        for line in BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok) {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["token", client, token] => drop(tokens.insert(client.to_owned(), token.to_owned())),
                ["ready"] => return Self { child, issuer, port, tokens },
                _ => {}
            }
        }
        panic!("the provider did not start; tokens so far: {tokens:?}");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
