//! A database server of a test's own, which may go away and come back.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use sqlx::{Connection, MySqlConnection, PgConnection};
use tempfile::TempDir;

use crate::Engine;

/// Longest wait for a server to answer.
const START_MAX: Duration = Duration::from_secs(60);
/// The name of the database that is made in it.
pub const DATABASE: &str = "register";

/// The server. It ends when dropped.
pub struct Server {
    engine: Engine,
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

/// The newest of PostgreSQL's folders of programs.
fn postgres() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    folders.filter(|folder| folder.join("initdb").exists()).max()
}

fn mariadb() -> Option<PathBuf> {
    ["/usr/sbin/mariadbd", "/usr/bin/mariadbd"].map(PathBuf::from).into_iter().find(|program| program.exists())
}

/// Runs a program as somebody else when the test is run by root: database servers refuse to be.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

impl Server {
    /// Whether the programs of an engine are installed. `tests/run` installs them.
    pub fn available(engine: Engine) -> bool {
        let there = match engine {
            Engine::Postgres => postgres().is_some(),
            Engine::MySql => mariadb().is_some(),
            Engine::Sqlite => false,
        };
        if !there {
            println!("{engine:?} is not tested: its server is not installed; tests/run installs it");
        }
        there
    }

    /// Makes a server with an empty database in a folder of its own, and starts it.
    pub async fn start(engine: Engine) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if is_root() {
            let owned = Command::new("chown").arg("nobody:nogroup").arg(folder.path()).status();
            assert!(owned.expect("chown runs").success());
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr()).expect("a free port").port();
        let mut server = Self { engine, folder, port, process: None };
        server.make();
        server.again().await;
        server.administer(&format!("CREATE DATABASE {DATABASE}"), "").await;
        server
    }

    fn make(&self) {
        let data = self.folder.path().join("data");
        let made = match self.engine {
            Engine::Postgres => {
                let initdb = postgres().expect("asked only when available").join("initdb");
                unprivileged(&initdb)
                    .arg("-D")
                    .arg(&data)
                    .args(["-U", "postgres", "--no-sync", "--encoding=UTF8"])
                    .output()
            }
            _ => unprivileged(Path::new("mariadb-install-db"))
                .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
                .arg(format!("--datadir={}", data.display()))
                .output(),
        };
        let made = made.expect("the programs run");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        if self.engine == Engine::Postgres {
            // Root is let in from this machine; everybody else shows a password.
            let rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
            std::fs::write(data.join("pg_hba.conf"), rules).expect("a file");
        }
    }

    /// Starts it again, on the port it had, and waits until it answers.
    pub async fn again(&mut self) {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = match self.engine {
            Engine::Postgres => {
                let mut command = unprivileged(&postgres().expect("asked only when available").join("postgres"));
                command
                    .arg("-D")
                    .arg(path("data"))
                    .arg("-k")
                    .arg(self.folder.path())
                    .arg("-p")
                    .arg(self.port.to_string());
                command.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
                command
            }
            _ => {
                let mut command = unprivileged(&mariadb().expect("asked only when available"));
                command.arg("--no-defaults").arg(format!("--datadir={}", path("data").display()));
                command.arg(format!("--port={}", self.port)).arg(format!("--socket={}", path("socket").display()));
                command.arg(format!("--pid-file={}", path("pid").display()));
                command.args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--character-set-server=utf8mb4"]);
                command
            }
        };
        let log = File::options().create(true).append(true).open(path("log")).expect("a log");
        let errors = log.try_clone().expect("the same file");
        self.process = Some(command.stdout(Stdio::from(log)).stderr(Stdio::from(errors)).spawn().expect("it starts"));
        let begun = Instant::now();
        while !self.answers().await {
            let said = || std::fs::read_to_string(path("log")).unwrap_or_default();
            assert!(begun.elapsed() < START_MAX, "the server did not start:\n{}", said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn answers(&self) -> bool {
        match self.engine {
            Engine::Postgres => PgConnection::connect(&self.root("postgres")).await.is_ok(),
            _ => MySqlConnection::connect(&self.root("")).await.is_ok(),
        }
    }

    /// It goes away at once, with all connections, as in a power failure.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let signal = if self.engine == Engine::Postgres { "-QUIT" } else { "-KILL" };
            let told = Command::new("kill").args([signal, &process.id().to_string()]).status();
            assert!(told.expect("kill runs").success());
            process.wait().expect("it ends");
        }
    }

    /// Stops every process of the server where it is: it answers nothing, and refuses nothing.
    pub fn freeze(&self) {
        self.signal_all("-STOP");
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal_all("-CONT");
    }

    /// Signals the server's process and its children.
    fn signal_all(&self, signal: &str) {
        let Some(process) = &self.process else { return };
        let own = process.id().to_string();
        // Fails where there are no children, as with MariaDB.
        let _ = Command::new("pkill").args([signal, "-P", &own]).status();
        let told = Command::new("kill").args([signal, &own]).status();
        assert!(told.expect("kill runs").success());
    }

    /// `127.0.0.1:port`.
    pub fn place(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The address of the register in it, for root.
    pub fn root_url(&self) -> String {
        self.root(DATABASE)
    }

    /// Runs a statement as root; `database` may be empty.
    pub async fn administer(&self, statement: &str, database: &str) {
        let database = if database.is_empty() && self.engine == Engine::Postgres { "postgres" } else { database };
        crate::execute(self.engine, &self.root(database), statement).await;
    }

    fn root(&self, database: &str) -> String {
        match self.engine {
            Engine::Postgres => format!("postgres://postgres@127.0.0.1:{}/{database}", self.port),
            _ => format!("mysql://root@127.0.0.1:{}/{database}", self.port),
        }
    }

    /// The address of the register in it, for an account.
    pub fn url(&self, account: &str, password: &str) -> String {
        let scheme = if self.engine == Engine::Postgres { "postgres" } else { "mysql" };
        format!("{scheme}://{account}:{password}@127.0.0.1:{}/{DATABASE}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.thaw();
        }
        self.stop();
    }
}
