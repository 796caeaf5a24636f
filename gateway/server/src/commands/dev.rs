//! `lienthong dev`: certificates, keys and synthetic people, for trying and testing only.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use audit::{SigningKey, SubjectHasher};
use clap::Subcommand;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};
use synthetic::{Plan, Progress, Sector, Summary, Target};

use crate::show;

#[derive(Subcommand)]
pub(crate) enum Dev {
    /// Make an authority, the hub's certificate, certificates of systems, and the log's keys. Run again with the same folder
    /// to add systems; what is there is kept.
    Ca(Ca),
    /// Write synthetic people into the six reference databases. Equal seeds give equal people, with the defects
    /// real registers have.
    People(People),
}

#[derive(clap::Args)]
pub(crate) struct Ca {
    /// Folder to write into; made when absent.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// Trust domain of the SPIFFE ids.
    #[arg(long, default_value = "lienthong.example")]
    trust_domain: String,
    /// System to make a certificate for: AGENCY/SYSTEM, for example H21.65/portal. Repeatable.
    #[arg(long, value_name = "AGENCY/SYSTEM")]
    system: Vec<String>,
    /// Host name or address the hub's certificate holds for. Repeatable.
    #[arg(long, value_name = "HOST", default_values = ["localhost", "127.0.0.1"])]
    host: Vec<String>,
    /// Days the certificates hold.
    #[arg(long, default_value_t = 365)]
    days: u32,
    /// Name (origin) of the audit log in its checkpoints.
    #[arg(long, default_value = "lienthong.example/log")]
    log_origin: String,
}

#[derive(clap::Args)]
pub(crate) struct People {
    /// How many people, 20 to 2,000,000.
    #[arg(long, default_value_t = 20_000)]
    people: u64,
    /// Equal seeds give equal people.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for SQLite files, one per register. For other engines use --target.
    #[arg(long, value_name = "FOLDER", required_unless_present = "target")]
    dir: Option<PathBuf>,
    /// A register's database: SECTOR=URL with postgres://, mysql:// or sqlite://. Repeatable. Other registers are not written.
    #[arg(long, value_name = "SECTOR=URL", conflicts_with = "dir")]
    target: Vec<String>,
    /// Also write the truth the registers started from, as JSON lines, to this file.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Replace the registers' tables when they exist.
    #[arg(long)]
    replace: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Dev {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Ca(command) => {
                let systems = command
                    .system
                    .iter()
                    .map(|text| {
                        let parts = text.split_once('/').with_context(|| format!("{text}: write AGENCY/SYSTEM"))?;
                        Ok((parts.0.to_owned(), parts.1.to_owned()))
                    })
                    .collect::<anyhow::Result<Vec<_>>>()?;
                let authority = Authority::open_or_make(&command.dir, command.days)?;
                authority.server(&command.host)?;
                for (agency, system) in &systems {
                    authority.system(&command.trust_domain, agency, system)?;
                }
                let verifier = log_keys(&command.dir, &command.log_origin)?;
                show::line(format!("Certificates and keys are in {}.", command.dir.display()))?;
                show::line(format!("Public key of the log: {verifier}"))?;
                Ok(ExitCode::SUCCESS)
            }
            Self::People(command) => command.run().await,
        }
    }
}

/// A certificate authority for trying, kept in a folder as `ca.pem` and `ca.key`.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    days: u32,
}

impl Authority {
    pub(crate) fn open_or_make(folder: &Path, days: u32) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        if !certificate.exists() {
            let pair = KeyPair::generate()?;
            let mut parameters = parameters("Liên Thông development authority", days)?;
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            write_new(&certificate, parameters.self_signed(&pair)?.pem().as_bytes(), 0o644)?;
            write_new(&key, pair.serialize_pem().as_bytes(), 0o600)?;
        }
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let pair = KeyPair::from_pem(&read(&key)?).with_context(|| format!("{} is no private key", key.display()))?;
        let issuer = Issuer::from_ca_cert_pem(&read(&certificate)?, pair)
            .with_context(|| format!("{} is no authority", certificate.display()))?;
        Ok(Self { folder: folder.to_owned(), issuer, days })
    }

    /// Makes the hub's certificate as `server.pem` and `server.key`, unless it is there.
    pub(crate) fn server(&self, hosts: &[String]) -> anyhow::Result<()> {
        let mut certificate = parameters("lienthong", self.days)?;
        certificate.subject_alt_names = CertificateParams::new(hosts)?.subject_alt_names;
        certificate.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue("server", certificate)
    }

    /// Makes a system's certificate as `<agency>_<system>.pem` and `.key`, unless it is there.
    pub(crate) fn system(&self, trust_domain: &str, agency: &str, system: &str) -> anyhow::Result<()> {
        let mut certificate = parameters(&format!("{agency} {system}"), self.days)?;
        let id = format!("spiffe://{trust_domain}/agency/{agency}/system/{system}");
        certificate.subject_alt_names = vec![SanType::URI(id.try_into()?)];
        certificate.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&format!("{agency}_{system}"), certificate)
    }

    fn issue(&self, name: &str, mut parameters: CertificateParams) -> anyhow::Result<()> {
        let path = self.folder.join(format!("{name}.pem"));
        if path.exists() {
            return Ok(());
        }
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let pair = KeyPair::generate()?;
        let certificate = parameters.signed_by(&pair, &self.issuer)?;
        write_new(&path, certificate.pem().as_bytes(), 0o644)?;
        write_new(&self.folder.join(format!("{name}.key")), pair.serialize_pem().as_bytes(), 0o600)
    }
}

fn parameters(name: &str, days: u32) -> anyhow::Result<CertificateParams> {
    use chrono::Datelike;
    let day = |date: chrono::NaiveDate| -> anyhow::Result<_> {
        Ok(date_time_ymd(date.year(), u8::try_from(date.month())?, u8::try_from(date.day())?))
    };
    let today = chrono::Utc::now().date_naive();
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = day(today - chrono::Days::new(1))?;
    parameters.not_after = day(today + chrono::Days::new(u64::from(days)))?;
    Ok(parameters)
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(content).with_context(|| format!("cannot write {}", path.display()))
}

/// Makes the log's signing key (`log.key`, its public part in `log.pub`) and the key that hashes subjects (`subject.key`),
/// unless they are there. Gives the public key.
pub(crate) fn log_keys(folder: &Path, origin: &str) -> anyhow::Result<String> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("log.key");
    if !path.exists() {
        SigningKey::generate(origin)?.save(&path)?;
    }
    let verifier = SigningKey::load(&path)?.verifier().to_string();
    fs::write(folder.join("log.pub"), format!("{verifier}\n"))
        .with_context(|| format!("cannot write {}", folder.join("log.pub").display()))?;
    let subject = folder.join("subject.key");
    if !subject.exists() {
        SubjectHasher::create(&subject)?;
    }
    Ok(verifier)
}

/// SQLite files of all registers in a folder.
pub(crate) fn sqlite_targets(folder: &Path) -> anyhow::Result<Vec<Target>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let target = |sector: Sector| Target {
        sector,
        url: format!("sqlite://{}", folder.join(format!("{sector}.sqlite")).display()),
    };
    Ok(Sector::ALL.into_iter().map(target).collect())
}

/// Writes people with a progress bar.
pub(crate) async fn write_people(plan: &Plan, targets: &[Target], truth: Option<&Path>) -> anyhow::Result<Summary> {
    let style = indicatif::ProgressStyle::with_template("{bar:40} {pos}/{len} people, {msg} rows, {eta} left")?;
    let bar = indicatif::ProgressBar::new(plan.people).with_style(style);
    let progress = |progress: Progress| {
        bar.set_position(progress.people);
        bar.set_message(progress.rows.to_string());
    };
    let summary = match truth {
        None => synthetic::write(plan, targets, None, progress).await?,
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            let mut writer = BufWriter::new(file);
            let summary = synthetic::write(plan, targets, Some(&mut writer), progress).await?;
            writer.flush().with_context(|| format!("cannot write {}", path.display()))?;
            summary
        }
    };
    bar.finish_and_clear();
    Ok(summary)
}

impl People {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let targets = match &self.dir {
            Some(folder) => sqlite_targets(folder)?,
            None => self.target.iter().map(|text| target(text)).collect::<anyhow::Result<_>>()?,
        };
        let mut plan = Plan::new(self.people, self.seed);
        plan.replace = self.replace;
        let summary = write_people(&plan, &targets, self.truth.as_deref()).await?;
        if self.json {
            let defects: std::collections::BTreeMap<_, _> =
                summary.defects.iter().map(|(kind, count)| (kind.to_string(), count)).collect();
            show::line(serde_json::json!({ "rows": summary.rows, "defects": defects }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = show::table(["Table", "Rows"]);
        for (name, rows) in &summary.rows {
            table.add_row([(*name).to_owned(), rows.to_string()]);
        }
        show::line(table)?;
        let mut table = show::table(["Defect", "Occurrences"]);
        for (kind, count) in summary.defects.iter() {
            table.add_row([kind.to_string(), count.to_string()]);
        }
        show::line(table)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn target(text: &str) -> anyhow::Result<Target> {
    let (name, url) = text.split_once('=').with_context(|| format!("{text}: write SECTOR=URL"))?;
    let Some(sector) = Sector::ALL.into_iter().find(|sector| sector.as_str() == name) else {
        let known: Vec<_> = Sector::ALL.iter().map(|sector| sector.as_str()).collect();
        bail!("{name} is no sector; they are {}", known.join(", "));
    };
    Ok(Target { sector, url: url.to_owned() })
}
