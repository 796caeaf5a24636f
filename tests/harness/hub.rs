//! A hub as its own process.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use proto::{RecordType, Schema};

use crate::{Databases, client::Certificate};

/// Trust domain of every hub under test.
pub const TRUST_DOMAIN: &str = "test.example";

/// The program under test, built beside this program (`target/<profile>`, or `deps` in it).
pub fn binary() -> PathBuf {
    let this = std::env::current_exe().expect("this program is a file");
    let found = this.ancestors().skip(1).take(2).map(|folder| folder.join("lienthong")).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no lienthong beside {}: run cargo build --workspace first", this.display()))
}

/// What varies between hubs.
pub struct Settings {
    /// Added to the `[server]` table of the configuration.
    pub server: String,
    /// Added to the `[audit]` table of the configuration.
    pub audit: String,
    /// Added at the end of the configuration.
    pub more: String,
    /// Policies left out, by the beginning of their file name.
    pub without_policies: Vec<&'static str>,
    /// Name of the audit log.
    pub log_origin: String,
    /// Address of the database the audit log lies in; none: an SQLite file.
    pub log_url: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: "readiness_interval_s = 1".to_owned(),
            audit: String::new(),
            more: String::new(),
            without_policies: Vec::new(),
            log_origin: "test.example/log".to_owned(),
            log_url: None,
        }
    }
}

/// The files a hub runs from: shipped agreements and policies, agreements that open everything to the system `all` of
/// `H21.99` and every second leaf to `half`, certificates, keys, configuration.
pub struct HubFiles {
    /// Folder of all of it.
    pub folder: tempfile::TempDir,
}

/// Systems that have certificates: those of the shipped agreements, and the tests' own.
const SYSTEMS: [&str; 8] = [
    "H21.65/portal",
    "H21.30/personnel",
    "H21.40.05/investigation",
    "H21.90/console",
    "H21.99/all",
    "H21.99/half",
    "H21.10/archive",
    "H21.12/civil-status",
];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

impl HubFiles {
    /// Writes the files. `databases` says where each source is.
    pub fn write(databases: &Databases, settings: &Settings) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        let made = Command::new(binary())
            .args(["dev", "ca", "--trust-domain", TRUST_DOMAIN, "--log-origin", &settings.log_origin, "--dir"])
            .arg(root.join("keys"))
            .args(SYSTEMS.iter().flat_map(|system| ["--system", system]))
            .output()
            .expect("lienthong dev ca runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        for sub in ["grants", "policies"] {
            fs::create_dir(root.join(sub)).expect("a folder");
            for entry in fs::read_dir(deploy().join(sub)).expect("deploy is there") {
                let path = entry.expect("deploy can be read").path();
                let name = path.file_name().expect("files have names").to_string_lossy().into_owned();
                if !settings.without_policies.iter().any(|start| name.starts_with(start)) {
                    fs::copy(&path, root.join(sub).join(&name)).expect("a copy");
                }
            }
        }
        let top: fn(&RecordType) -> Vec<String> =
            |record| record.descriptor.fields().map(|field| field.name().to_owned()).collect();
        fs::write(root.join("grants/everything.toml"), grant("99/TEST", "all", top)).expect("a grant");
        fs::write(root.join("grants/half.toml"), grant("98/TEST", "half", half_of)).expect("a grant");
        for (name, more) in [("purposes.toml", PURPOSE), ("agencies.toml", AGENCY)] {
            let text = fs::read_to_string(deploy().join(name)).expect("deploy is there");
            fs::write(root.join(name), text + more).expect("a catalogue");
        }
        fs::create_dir(root.join("secrets")).expect("a folder");
        let mut sources = String::new();
        for target in &databases.targets {
            let id = target.sector.as_str();
            fs::write(root.join("secrets").join(id), &target.url).expect("a secret");
            sources.push_str(&format!("\n[[sources]]\nid = \"{id}\"\ndatabase = {{ url_file = \"secrets/{id}\" }}\n"));
        }
        let log = match &settings.log_url {
            None => "\"audit.sqlite\"",
            Some(url) => {
                fs::write(root.join("secrets/log"), url).expect("a secret");
                "{ url_file = \"secrets/log\" }"
            }
        };
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ntrust_domain = \"{TRUST_DOMAIN}\"\n{}\n\n\
             [tls]\ncertificate = \"keys/server.pem\"\nprivate_key = \"keys/server.key\"\nclient_authorities = [\"keys/ca.pem\"]\n\n\
             [access]\ngrants = \"grants\"\npolicies = \"policies\"\npurposes = \"purposes.toml\"\nagencies = \"agencies.toml\"\n\n\
             [audit]\ndatabase = {log}\nsigning_key = \"keys/log.key\"\nsubject_key = \"keys/subject.key\"\n\
             {}\n{sources}\n{}\n",
            settings.server, settings.audit, settings.more
        );
        fs::write(root.join("config.toml"), config).expect("a configuration");
        Self { folder }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The certificate of one of [`SYSTEMS`].
    pub fn certificate(&self, system: &str) -> Certificate {
        let name = system.replace('/', "_");
        let read = |name: String| fs::read(self.path(&name)).expect("the system has a certificate");
        Certificate { pem: read(format!("keys/{name}.pem")), key: read(format!("keys/{name}.key")) }
    }

    /// The authority that signed the hub's certificate.
    pub fn authority(&self) -> Vec<u8> {
        fs::read(self.path("keys/ca.pem")).expect("there is an authority")
    }

    /// Where the audit log is.
    pub fn log_location(&self) -> audit::Location {
        match fs::read_to_string(self.path("secrets/log")) {
            Ok(url) => audit::Location::postgres(&url).expect("an address"),
            Err(_) => audit::Location::File(self.path("audit.sqlite")),
        }
    }

    /// The log's public key.
    pub fn log_key(&self) -> audit::VerifierKey {
        let text = fs::read_to_string(self.path("keys/log.pub")).expect("there is a public key");
        audit::VerifierKey::parse(text.trim()).expect("it is a key")
    }
}

const PURPOSE: &str = r#"
[[purposes]]
code = "test_everything"
name_vi = "Kiểm thử"
name_en = "Test"
procedure = "Kiểm thử"
legal_basis = "Không"
dossier_required = false
"#;

const AGENCY: &str = r#"
[[agencies]]
code = "H21.99"
name_vi = "Cơ quan kiểm thử"
name_en = "Test agency"
kind = "sector"
"#;

/// Every second leaf of a record type: what the system `half` may have.
pub fn half_of(record_type: &RecordType) -> Vec<String> {
    record_type.fields.iter().step_by(2).map(|field| field.path.clone()).collect()
}

/// An agreement over some fields of every record type.
fn grant(number: &str, system: &str, fields: fn(&RecordType) -> Vec<String>) -> String {
    let schema = Schema::builtin().expect("the schema is valid");
    let mut grant = format!("agreement = {number:?}\nsystems = [{system:?}]\n");
    grant.push_str(
        r#"
title = "Kiểm thử"
purposes = ["test_everything"]
actions = ["query", "verify", "batch", "search"]
valid_from = 2026-01-01
valid_until = 2099-12-31
legal_basis = "Không"
disclosure = "immediate"
officer_assurance = "asserted"

[parties]
provider = "H21"
consumer = "H21.99"
"#,
    );
    for record_type in schema.record_types() {
        let fields: Vec<_> = fields(record_type).iter().map(|path| format!("{path:?}")).collect();
        grant.push_str(&format!("\n[[records]]\ntype = {:?}\nfields = [{}]\n", record_type.name, fields.join(", ")));
    }
    grant
}

/// A running hub.
pub struct Hub {
    child: Child,
    /// `127.0.0.1:port`.
    pub address: String,
    /// Everything it wrote to standard error.
    pub lines: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    /// Starts the program on the files and waits until it listens.
    pub fn start(files: &HubFiles) -> Self {
        Self::try_start(files).unwrap_or_else(|lines| panic!("the hub did not start:\n{}", lines.join("\n")))
    }

    /// As [`Hub::start`]; gives what the program wrote when it ends instead of listening.
    pub fn try_start(files: &HubFiles) -> Result<Self, Vec<String>> {
        Self::spawn(Command::new(binary()), &["serve"], &files.path("config.toml"))
    }

    /// Starts an adapter beside its database, on a configuration of its own.
    pub fn start_adapter(config: &Path) -> Self {
        let started = Self::spawn(Command::new(binary()), &["adapter", "serve"], config);
        started.unwrap_or_else(|lines| panic!("the adapter did not start:\n{}", lines.join("\n")))
    }

    /// As [`Hub::start`], run by another program, which is given the hub's command line after its own arguments.
    pub fn start_under(files: &HubFiles, program: &[&str]) -> Self {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(binary());
        let started = Self::spawn(command, &["serve"], &files.path("config.toml"));
        started.unwrap_or_else(|lines| panic!("the hub did not start:\n{}", lines.join("\n")))
    }

    fn spawn(mut command: Command, run: &[&str], config: &Path) -> Result<Self, Vec<String>> {
        let mut child = command
            .args(run)
            .arg("--config")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env("NO_COLOR", "1")
            .spawn()
            .expect("lienthong serve runs");
        let stderr = child.stderr.take().expect("piped");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (found, address) = mpsc::channel();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening address=") {
                    // The receiver is gone once it has what it waits for.
                    let _ = found.send(address.trim().to_owned());
                }
                kept.lock().expect("no panic while held").push(line);
            }
        });
        match address.recv_timeout(Duration::from_secs(120)) {
            Ok(address) => Ok(Self { child, address, lines }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                let lines = lines.lock().expect("no panic while held").clone();
                Err(lines)
            }
        }
    }

    /// SIGKILL: no goodbye.
    pub fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it ended");
    }

    /// SIGTERM, and whether it ended well.
    pub fn stop(mut self) -> bool {
        let ended = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(ended.expect("kill runs").success());
        self.child.wait().expect("it ended").success()
    }

    /// Where it serves metrics, when it was told to.
    pub fn metrics_address(&self) -> Option<String> {
        self.address_after("metrics address=")
    }

    /// Where it serves the published log, when it was told to.
    pub fn published_address(&self) -> Option<String> {
        self.address_after("published log address=")
    }

    fn address_after(&self, words: &str) -> Option<String> {
        let lines = self.lines.lock().expect("no panic while held");
        let address = lines.iter().find_map(|line| line.split_once(words).map(|(_, address)| address));
        address.map(|address| address.trim().to_owned())
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
