//! `lienthong demo`: builds a whole hub with synthetic people, plays a guided tour against it, and leaves it running.
//!
//! The demo starts the same server as `serve` does, with the configuration it has written, and talks to it over the
//! network with the certificates it has issued. What the tour does is data: `deploy/demo/tour.toml`.

mod play;
mod tour;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use include_dir::{Dir, include_dir};
use synthetic::Plan;

use super::{dev, serve::Told};
use crate::{client, config::Config, serve, show, telemetry::Telemetry};
use tour::Tour;

/// The files of `deploy/`, as they were when the program was built.
static DEPLOY: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../deploy");

const TRUST_DOMAIN: &str = "lienthong.example";
const LOG_ORIGIN: &str = "lienthong.example/demo-log";
const CERTIFICATE_DAYS: u32 = 30;
/// Written into a folder the demo has made, so that it never overwrites anybody else's.
const MARK: &str = ".lienthong-demo";

/// Build a hub, show it, leave it running.
#[derive(clap::Args)]
pub(crate) struct Demo {
    /// Folder for everything the demo writes. One the demo made earlier is made anew.
    #[arg(long, value_name = "FOLDER", default_value = "lienthong-demo")]
    dir: PathBuf,
    /// How many synthetic people.
    #[arg(long, default_value_t = 5_000)]
    people: u64,
    /// Equal seeds give equal people.
    #[arg(long, default_value_t = 2026)]
    seed: u64,
    /// End after the tour, with exit code 0 only if every step did what it should.
    #[arg(long)]
    once: bool,
    /// Print one JSON object per step.
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let tour = Tour::load()?;
        fresh_folder(&self.dir)?;
        let dir = fs::canonicalize(&self.dir)?;
        self.say(format!(
            "Building a hub in {} with {} synthetic people (seed {}).",
            dir.display(),
            self.people,
            self.seed
        ))?;
        let people = dev::sqlite_targets(&dir.join("databases"))?;
        let summary = dev::write_people(&Plan::new(self.people, self.seed), &people, None).await?;
        let port = free_port()?;
        write_hub(&dir, &tour, port)?;
        self.say(format!(
            "{} rows in {} databases, {} injected defects; certificates, agreements, policies and configuration are written.\n",
            summary.rows.values().sum::<u64>(),
            people.len(),
            summary.defects.values().sum::<u64>()
        ))?;

        // The source that is away when the hub starts: start-up must not depend on it.
        let away = Away::take(&dir, &tour.absent_at_start)?;
        let config = Config::load(&dir.join("config.toml"))?;
        let _telemetry = Telemetry::start(&config.telemetry)?;
        let running = serve::start(&config, None).await?;
        self.say(format!(
            "The hub listens on {}; {} is down at this moment.\n",
            running.address, tour.absent_at_start
        ))?;

        let failed = play::play(&tour, &summary.cast, &dir, away, self.json).await;
        let failed = match failed {
            Ok(failed) => failed,
            Err(error) => {
                running.stop().await?;
                return Err(error);
            }
        };
        if self.once {
            running.stop().await?;
            self.say(if failed == 0 {
                "Every step did what it should.".to_owned()
            } else {
                format!("{failed} step(s) FAILED.")
            })?;
            return Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if !self.json {
            show::line(tour.farewell(&self.dir, &format!("127.0.0.1:{port}"), &summary.cast))?;
        }
        Told::listen()?.wait().await;
        running.stop().await?;
        Ok(ExitCode::SUCCESS)
    }

    fn say(&self, text: impl std::fmt::Display) -> anyhow::Result<()> {
        if !self.json {
            show::line(text)?;
        }
        Ok(())
    }
}

/// Makes the folder, or makes anew one an earlier demo has made.
fn fresh_folder(dir: &Path) -> anyhow::Result<()> {
    if dir.join(MARK).exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove the earlier demo in {}", dir.display()))?;
    } else if dir.exists() && dir.read_dir().map(|mut entries| entries.next().is_some()).unwrap_or(true) {
        bail!("{} exists and was not made by the demo; name another folder with --dir", dir.display());
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::write(dir.join(MARK), "")?;
    Ok(())
}

/// The usual port when it is free, otherwise any free one.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 8443)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    Ok(listener.local_addr()?.port())
}

/// Writes certificates, keys, agreements, policies, configuration and client profiles.
fn write_hub(dir: &Path, tour: &Tour, port: u16) -> anyhow::Result<()> {
    let certificates = dir.join("certificates");
    let authority = dev::Authority::open_or_make(&certificates, CERTIFICATE_DAYS)?;
    authority.server(&["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    dev::log_keys(&dir.join("keys"), LOG_ORIGIN)?;

    for folder in ["grants", "policies"] {
        let files = DEPLOY.get_dir(folder).with_context(|| format!("{folder} is not built in"))?;
        fs::create_dir_all(dir.join(folder))?;
        for file in files.files() {
            fs::write(dir.join(file.path()), file.contents())?;
        }
    }
    for name in ["purposes.toml", "agencies.toml", "quotas.toml"] {
        let file = DEPLOY.get_file(name).with_context(|| format!("{name} is not built in"))?;
        fs::write(dir.join(name), file.contents())?;
    }
    fs::write(dir.join("config.toml"), config_text(port)?)?;

    let profiles = dir.join("clients");
    fs::create_dir_all(&profiles)?;
    for client in &tour.clients {
        authority.system(TRUST_DOMAIN, &client.agency, &client.system)?;
        let pair = format!("../certificates/{}_{}", client.agency, client.system);
        let profile = client::Profile {
            endpoint: format!("https://127.0.0.1:{port}"),
            authority: "../certificates/ca.pem".into(),
            certificate: format!("{pair}.pem").into(),
            private_key: format!("{pair}.key").into(),
            officer: client.officer.clone(),
        };
        fs::write(profiles.join(format!("{}.toml", client.name)), toml::to_string(&profile)?)?;
    }
    Ok(())
}

fn config_text(port: u16) -> anyhow::Result<String> {
    let template = DEPLOY
        .get_file("demo/config.toml")
        .and_then(include_dir::File::contents_utf8)
        .context("demo/config.toml is not built in")?;
    let mut text = template.replace("{listen}", &format!("127.0.0.1:{port}"));
    for register in registers::all() {
        let id = register.id;
        text.push_str(&format!("\n[[sources]]\nid = \"{id}\"\ndatabase = {{ sqlite = \"databases/{id}.sqlite\" }}\n"));
    }
    Ok(text)
}

/// A source's database moved out of the way.
struct Away {
    home: PathBuf,
    away: PathBuf,
}

impl Away {
    fn take(dir: &Path, source: &str) -> anyhow::Result<Self> {
        let home = dir.join("databases").join(format!("{source}.sqlite"));
        let away = home.with_extension("away");
        fs::rename(&home, &away).with_context(|| format!("source {source} has no database"))?;
        Ok(Self { home, away })
    }

    fn bring_back(&self) -> anyhow::Result<()> {
        if self.away.exists() {
            fs::rename(&self.away, &self.home)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_the_demo_writes_and_the_sample_are_valid() {
        let folder = std::env::temp_dir().join(format!("lienthong-config-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let sample = DEPLOY.get_file("config.toml").unwrap().contents_utf8().unwrap().to_owned();
        for text in [config_text(8443).unwrap(), sample] {
            let path = folder.join("config.toml");
            fs::write(&path, &text).unwrap();
            let config = Config::load(&path).unwrap();
            assert_eq!(config.sources.len(), registers::all().len());
            fs::write(&path, text.replace("[server]", "[server]\nlisten_address = \"x\"")).unwrap();
            let error = format!("{:#}", Config::load(&path).unwrap_err());
            assert!(error.contains("listen_address") && error.contains("line"), "{error}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_tour_is_valid() {
        let tour = Tour::load().unwrap();
        for step in &tour.steps {
            assert!(tour.clients.iter().any(|client| client.name == step.client), "{}", step.client);
        }
    }
}
