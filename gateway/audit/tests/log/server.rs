//! A PostgreSQL server of a test's own: durable as in production, and free to be stopped, restarted and replaced.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::place::Folder;

pub struct Server {
    pub port: u16,
    directory: Folder,
    process: Option<Child>,
    /// What is said to `postgres` besides.
    options: Vec<String>,
}

fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|v| v.path()).collect();
    found.sort();
    found.into_iter().map(|version| version.join("bin")).rfind(|bin| bin.join("initdb").exists())
}

/// A command that does not run as root, which a database server refuses.
fn command(program: &Path) -> Command {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let mut command = Command::new(if root { Path::new("setpriv") } else { program });
    if root {
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command
}

impl Server {
    /// An empty server that syncs what it commits; none where PostgreSQL is not installed.
    pub fn start(options: &[&str]) -> Option<Self> {
        Self::start_in(Folder::temporary(), options)
    }

    /// The server of a folder; an empty one where there is none yet.
    pub fn start_in(folder: Folder, options: &[&str]) -> Option<Self> {
        let server = Self::new(folder, options)?;
        let data = server.data();
        if data.join("PG_VERSION").exists() {
            return Some(server.begin());
        }
        let made = command(&programs()?.join("initdb"))
            .arg("-D")
            .arg(&data)
            .args(["-U", "test", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
            .status();
        assert!(made.unwrap().success(), "initdb failed");
        Some(server.begin())
    }

    /// A standby that follows this server.
    pub fn standby(&self, name: &str, options: &[&str]) -> Self {
        let server = Self::new(Folder::temporary(), options).unwrap();
        let from = format!("host=127.0.0.1 port={} user=test application_name={name}", self.port);
        let made = command(&programs().unwrap().join("pg_basebackup"))
            .arg("-D")
            .arg(server.data())
            .args(["-d", &from, "-R", "-X", "stream", "-c", "fast", "--no-sync"])
            .status();
        assert!(made.unwrap().success(), "pg_basebackup failed");
        server.begin()
    }

    fn new(directory: Folder, options: &[&str]) -> Option<Self> {
        if programs().is_none() {
            println!("not tested: there is no PostgreSQL to start");
            return None;
        }
        // The server runs under another account.
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Some(Self { port, directory, process: None, options })
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn begin(mut self) -> Self {
        self.run();
        self
    }

    /// Starts the server with one more option.
    pub fn run_with(&mut self, option: &str) {
        self.options.push(option.to_owned());
        self.run();
    }

    /// Starts the server, and waits until it answers. What was there before may still hold its port or its memory for a
    /// moment: then the server ends, and is started again.
    pub fn run(&mut self) {
        let log = self.directory.path().join("server.log");
        let mut postgres = command(&programs().unwrap().join("postgres"));
        postgres.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-k"]).arg(self.directory.path());
        for option in ["listen_addresses=127.0.0.1", "fsync=on", "synchronous_commit=on", "max_connections=100"] {
            postgres.args(["-c", option]);
        }
        for option in &self.options {
            postgres.args(["-c", option]);
        }
        postgres.stderr(std::fs::File::options().create(true).append(true).open(&log).unwrap());
        let mut process = postgres.spawn().unwrap();
        for _ in 0..300 {
            if process.try_wait().unwrap().is_some() {
                process = postgres.spawn().unwrap();
            }
            let ready = command(&programs().unwrap().join("pg_isready"))
                .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            if ready.unwrap().success() {
                self.process = Some(process);
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.process = Some(process);
        panic!("PostgreSQL did not start:\n{}", std::fs::read_to_string(&log).unwrap_or_default());
    }

    pub fn address(&self) -> String {
        format!("postgres://test@127.0.0.1:{}/postgres", self.port)
    }

    /// Ends the server at once, as a loss of power does; what it had not synced is its own affair.
    pub fn crash(&mut self) {
        if let Some(mut process) = self.process.take() {
            self.signal_all("KILL", process.id());
            process.wait().unwrap();
        }
    }

    /// Restarts the server the way its keepers do.
    pub fn restart(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal("INT", process.id());
            process.wait().unwrap();
        }
        self.run();
    }

    /// Stops every process of the server where it is.
    pub fn freeze(&self) {
        self.process.iter().for_each(|process| self.signal_all("STOP", process.id()));
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.process.iter().for_each(|process| self.signal_all("CONT", process.id()));
    }

    fn signal_all(&self, name: &str, postmaster: u32) {
        signal(name, postmaster);
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(id) = process.file_name().to_string_lossy().parse() else { continue };
            let Ok(status) = std::fs::read_to_string(process.path().join("stat")) else { continue };
            // The name, in parentheses, may hold anything; the parent is the second word after it.
            let parent = status.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
            if parent == Some(postmaster) {
                signal(name, id);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.thaw();
        if let Some(mut process) = self.process.take() {
            signal(if self.directory.is_kept() { "INT" } else { "QUIT" }, process.id());
            let _ = process.wait();
        }
        if !self.directory.is_kept() {
            // The files are another account's.
            let _ = std::fs::remove_dir_all(self.data());
        }
    }
}

fn signal(name: &str, process: u32) {
    let _ = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).stderr(Stdio::null()).status();
}
