//! The configuration file: one TOML file, unknown keys rejected, secrets by reference, paths relative to the file.

use std::{
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use adapter_sdk::SecretUrl;
use anyhow::{Context, bail};
use serde::Deserialize;

use crate::sectors;

mod audit;
mod lookup;

pub(crate) use self::audit::{AuditConfig, LogReference, WitnessConfig};
pub(crate) use lookup::LookupConfig;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: ServerConfig,
    pub(crate) tls: TlsConfig,
    pub(crate) access: AccessConfig,
    pub(crate) audit: AuditConfig,
    #[serde(default)]
    pub(crate) telemetry: TelemetryConfig,
    #[serde(default)]
    pub(crate) sources: Vec<SourceConfig>,
    /// Folder of sectors that are not built in: record types, sources, mappings and agreements, a folder each.
    pub(crate) sectors: Option<PathBuf>,
    /// Whose tokens prove officers and citizens.
    #[serde(default)]
    pub(crate) identity_providers: Vec<IdentityProviderConfig>,
    /// The file; relative paths start in its folder.
    #[serde(skip)]
    file: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerConfig {
    /// Address and port to listen on; port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// Trust domain of the systems' SPIFFE ids.
    pub(crate) trust_domain: String,
    /// Time a call may take when the caller sets no deadline.
    #[serde(default = "ServerConfig::call_timeout_ms")]
    pub(crate) call_timeout_ms: u64,
    /// Longest deadline a caller may set; a longer one is cut to this.
    #[serde(default = "ServerConfig::call_timeout_max_ms")]
    pub(crate) call_timeout_max_ms: u64,
    /// Largest request message.
    #[serde(default = "ServerConfig::request_bytes_max")]
    pub(crate) request_bytes_max: usize,
    /// Calls and batch items under way at one time, over all callers; more are refused at once.
    #[serde(default = "ServerConfig::calls_max")]
    pub(crate) calls_max: usize,
    /// How long what is ready may wait for a processor most of the time before calls of agencies that call beside others wait for
    /// a turn.
    #[serde(default = "ServerConfig::lateness_max_us")]
    pub(crate) lateness_max_us: u64,
    /// Items of one batch under way at one time; absent: 16.
    pub(crate) batch_concurrency_max: Option<usize>,
    /// Time for a TLS handshake.
    #[serde(default = "ServerConfig::handshake_timeout_ms")]
    pub(crate) handshake_timeout_ms: u64,
    /// A connection is asked to close after this time, so that a certificate is looked at again.
    #[serde(default = "ServerConfig::connection_age_max_s")]
    pub(crate) connection_age_max_s: u64,
    /// Time for calls under way to end when the hub stops.
    #[serde(default = "ServerConfig::shutdown_timeout_s")]
    pub(crate) shutdown_timeout_s: u64,
    /// How often each source's readiness is asked for; absent: every 10 seconds.
    pub(crate) readiness_interval_s: Option<u64>,
}

impl ServerConfig {
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for (name, value) in [
            ("call_timeout_ms", self.call_timeout_ms),
            ("call_timeout_max_ms", self.call_timeout_max_ms),
            ("handshake_timeout_ms", self.handshake_timeout_ms),
            ("connection_age_max_s", self.connection_age_max_s),
            ("readiness_interval_s", self.readiness_interval_s()),
            ("request_bytes_max", self.request_bytes_max as u64),
            ("batch_concurrency_max", self.batch_concurrency_max() as u64),
            ("calls_max", self.calls_max as u64),
            ("lateness_max_us", self.lateness_max_us),
        ] {
            if value == 0 {
                bail!("server.{name} must be at least 1");
            }
        }
        if self.call_timeout_ms > self.call_timeout_max_ms {
            bail!("server.call_timeout_ms must not be more than server.call_timeout_max_ms");
        }
        Ok(())
    }

    pub(crate) fn batch_concurrency_max(&self) -> usize {
        self.batch_concurrency_max.unwrap_or(16)
    }

    pub(crate) fn readiness_interval_s(&self) -> u64 {
        self.readiness_interval_s.unwrap_or(10)
    }

    const fn call_timeout_ms() -> u64 {
        10_000
    }
    const fn call_timeout_max_ms() -> u64 {
        60_000
    }
    const fn request_bytes_max() -> usize {
        256 * 1024
    }
    const fn calls_max() -> usize {
        1_024
    }
    const fn lateness_max_us() -> u64 {
        200
    }
    const fn handshake_timeout_ms() -> u64 {
        5_000
    }
    const fn connection_age_max_s() -> u64 {
        3_600
    }
    const fn shutdown_timeout_s() -> u64 {
        20
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsConfig {
    /// PEM file: the hub's certificate, then its chain.
    pub(crate) certificate: PathBuf,
    /// PEM file: the key of the certificate.
    pub(crate) private_key: PathBuf,
    /// PEM files: authorities whose client certificates are accepted.
    pub(crate) client_authorities: Vec<PathBuf>,
    /// PEM files: revocation lists of these authorities.
    #[serde(default)]
    pub(crate) revocation_lists: Vec<PathBuf>,
}

impl TlsConfig {
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.client_authorities.is_empty() {
            bail!("tls.client_authorities must name at least one file");
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessConfig {
    /// Folder of sharing agreements.
    pub(crate) grants: PathBuf,
    /// Folder of Cedar policies.
    pub(crate) policies: PathBuf,
    /// Purpose catalogue.
    pub(crate) purposes: PathBuf,
    /// Agencies and their kinds.
    pub(crate) agencies: PathBuf,
    /// The hub's own quotas; absent: only agreements limit.
    pub(crate) quotas: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TelemetryConfig {
    /// Which spans and events are kept, in the syntax of `tracing_subscriber::EnvFilter`.
    pub(crate) filter: String,
    /// Form of the log lines on standard error.
    pub(crate) format: LogFormat,
    /// OTLP gRPC endpoint for traces and metrics; absent: not exported.
    pub(crate) otlp_endpoint: Option<String>,
    /// Where `GET /metrics` is answered in Prometheus' text format, to anybody; absent: nowhere.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Percentage of the calls whose spans are exported when the caller has not decided, up to 100.
    pub(crate) trace_percent: u8,
    /// Name of this service in traces.
    pub(crate) service_name: String,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
            otlp_endpoint: None,
            metrics_listen: None,
            trace_percent: 100,
            service_name: "lienthong".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceConfig {
    /// Id of the source, as its mapping states it.
    pub(crate) id: String,
    /// Where its database is. Absent: an adapter beside it reads it, see `remote`.
    pub(crate) database: Option<DatabaseReference>,
    /// The adapter that reads it. Absent: this process does, see `database`.
    pub(crate) remote: Option<RemoteConfig>,
    /// Mapping file; absent: the one built in for this id.
    pub(crate) mapping: Option<PathBuf>,
    /// Connections held at most.
    #[serde(default = "SourceConfig::connections_max")]
    pub(crate) connections_max: u32,
    /// Calls under way at most.
    #[serde(default = "SourceConfig::concurrency_max")]
    pub(crate) concurrency_max: usize,
    /// A copy of the database, read by the same mapping when the first fails or takes its time.
    pub(crate) replica: Option<DatabaseReference>,
    /// How it is asked.
    #[serde(default)]
    pub(crate) lookup: LookupConfig,
}

/// The file with the sources of a sector that is not built in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SectorSources {
    sources: Vec<SourceConfig>,
}

/// An OpenID provider whose tokens prove who acts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityProviderConfig {
    /// Exactly as its tokens state it in `iss`; `https://`. Discovery starts here.
    pub(crate) issuer: String,
    /// What its tokens state in `aud` when they are meant for this hub.
    pub(crate) audience: String,
    /// PEM files: authorities of its own TLS certificate.
    pub(crate) authorities: Vec<PathBuf>,
    /// Whom its tokens are about.
    pub(crate) holders: Holders,
    /// Levels of assurance (`acr`) that prove somebody; a token of another level is refused.
    pub(crate) assurance_levels: Vec<String>,
    /// Claim with the officer's id, or the citizen's personal number.
    #[serde(default = "IdentityProviderConfig::id_claim")]
    pub(crate) id_claim: String,
    /// Claim with the officer's full name.
    #[serde(default = "IdentityProviderConfig::name_claim")]
    pub(crate) name_claim: String,
    /// Claim with the code of the officer's agency or unit, which must be the calling agency or below it.
    #[serde(default = "IdentityProviderConfig::agency_claim")]
    pub(crate) agency_claim: String,
    /// How far its clock and the hub's may differ.
    #[serde(default = "IdentityProviderConfig::clock_skew_s")]
    pub(crate) clock_skew_s: u64,
}

/// Whom a provider's tokens are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Holders {
    /// Officers of agencies.
    Officers,
    /// Citizens, who may see who looked at them.
    Citizens,
}

impl IdentityProviderConfig {
    fn id_claim() -> String {
        "sub".to_owned()
    }
    fn name_claim() -> String {
        "name".to_owned()
    }
    fn agency_claim() -> String {
        "agency".to_owned()
    }
    const fn clock_skew_s() -> u64 {
        30
    }

    fn check(&self) -> anyhow::Result<()> {
        let issuer = &self.issuer;
        if !issuer.starts_with("https://") {
            bail!("identity provider {issuer}: issuer must begin with https://");
        }
        if self.audience.is_empty() || self.authorities.is_empty() || self.assurance_levels.is_empty() {
            bail!("identity provider {issuer}: audience, authorities and assurance_levels must not be empty");
        }
        if self.clock_skew_s > 300 {
            bail!("identity provider {issuer}: clock_skew_s must be at most 300");
        }
        Ok(())
    }
}

impl SourceConfig {
    /// The same with its paths starting in a folder.
    fn in_folder(mut self, folder: &Path) -> Self {
        self.mapping = self.mapping.map(|path| folder.join(path));
        self.database = self.database.map(|database| database.in_folder(folder));
        if let Some(remote) = &mut self.remote {
            for path in [&mut remote.authority, &mut remote.certificate, &mut remote.private_key] {
                *path = folder.join(&*path);
            }
        }
        self.replica = self.replica.map(|replica| replica.in_folder(folder));
        self
    }

    const fn connections_max() -> u32 {
        16
    }
    const fn concurrency_max() -> usize {
        32
    }
}

/// An adapter beside its database, and how the hub shows itself to it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoteConfig {
    /// `https://host:port`; the host must stand in the adapter's certificate.
    pub(crate) endpoint: String,
    /// PEM file: the authority that signed the adapter's certificate.
    pub(crate) authority: PathBuf,
    /// PEM file: the certificate the hub shows, that of a system.
    pub(crate) certificate: PathBuf,
    /// PEM file: its key.
    pub(crate) private_key: PathBuf,
}

/// Where a database is. Addresses with credentials are never written into the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum DatabaseReference {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A file whose only line is the address (`postgres://…`, `mysql://…`).
    UrlFile(PathBuf),
    /// An environment variable that holds the address.
    UrlEnv(String),
}

impl DatabaseReference {
    fn in_folder(self, folder: &Path) -> Self {
        match self {
            Self::Sqlite(path) => Self::Sqlite(folder.join(path)),
            Self::UrlFile(path) => Self::UrlFile(folder.join(path)),
            Self::UrlEnv(name) => Self::UrlEnv(name),
        }
    }
}

impl fmt::Display for DatabaseReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "SQLite file {}", path.display()),
            Self::UrlFile(path) => write!(formatter, "address in {}", path.display()),
            Self::UrlEnv(name) => write!(formatter, "address in ${name}"),
        }
    }
}

impl DatabaseReference {
    /// Reads the address the reference leads to; relative paths start in `folder`.
    pub(crate) fn url(&self, folder: &Path) -> anyhow::Result<SecretUrl> {
        Ok(SecretUrl::new(match self {
            Self::Sqlite(path) => format!("sqlite://{}", folder.join(path).display()),
            reference => reference.address(folder)?,
        }))
    }

    /// The text it leads to.
    fn address(&self, folder: &Path) -> anyhow::Result<String> {
        match self {
            Self::Sqlite(path) => Ok(folder.join(path).display().to_string()),
            Self::UrlFile(path) => {
                let path = folder.join(path);
                let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                Ok(text.trim().to_owned())
            }
            Self::UrlEnv(name) => std::env::var(name).with_context(|| format!("variable {name} is not set")),
        }
    }
}

impl Config {
    /// Reads the file. The error names line and column.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read configuration {}", path.display()))?;
        let mut config: Self =
            toml::from_str(&text).with_context(|| format!("configuration {} is not valid", path.display()))?;
        config.file = path.to_owned();
        config.take_up_sectors()?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        self.server.check()?;
        self.audit.check()?;
        if self.telemetry.trace_percent > 100 {
            bail!("telemetry.trace_percent must be at most 100");
        }
        self.tls.check()?;
        for (index, provider) in self.identity_providers.iter().enumerate() {
            provider.check()?;
            if self.identity_providers[..index].iter().any(|earlier| earlier.issuer == provider.issuer) {
                bail!("identity provider {} stands there twice", provider.issuer);
            }
        }
        for source in &self.sources {
            if source.connections_max == 0 || source.concurrency_max == 0 {
                bail!("source {}: connections_max and concurrency_max must be at least 1", source.id);
            }
            if source.database.is_some() == source.remote.is_some() {
                bail!("source {}: give either its database or the remote adapter that reads it", source.id);
            }
            if source.remote.is_some() && (source.mapping.is_some() || source.replica.is_some()) {
                bail!("source {}: the mapping and the replica of a remote adapter are its own", source.id);
            }
            source.lookup.check().with_context(|| format!("source {}: lookup", source.id))?;
        }
        Ok(())
    }

    /// Adds the sources that sectors bring along; paths in a sector's file start in its folder.
    fn take_up_sectors(&mut self) -> anyhow::Result<()> {
        for folder in self.sector_folders()? {
            let Some(file) = sectors::sources(&folder) else { continue };
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let found: SectorSources =
                toml::from_str(&text).with_context(|| format!("{} is not valid", file.display()))?;
            let folder = std::path::absolute(&folder).with_context(|| format!("cannot find {}", folder.display()))?;
            self.sources.extend(found.sources.into_iter().map(|source| source.in_folder(&folder)));
        }
        Ok(())
    }

    /// The folder of the sectors that are not built in.
    pub(crate) fn sectors_folder(&self) -> Option<PathBuf> {
        self.sectors.as_ref().map(|folder| self.path(folder))
    }

    /// The folders of these sectors.
    pub(crate) fn sector_folders(&self) -> anyhow::Result<Vec<PathBuf>> {
        self.sectors_folder().as_deref().map_or_else(|| Ok(Vec::new()), sectors::folders)
    }

    /// A path of the file, as the process can open it.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.folder().join(path)
    }

    /// The file it was read from.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Whether all that differs is what a reload puts in force.
    pub(crate) fn reloads_into(&self, other: &Self) -> bool {
        (&self.server, &self.audit, &self.telemetry) == (&other.server, &other.audit, &other.telemetry)
    }

    /// The folder relative paths start in.
    pub(crate) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    pub(crate) const fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.server.call_timeout_ms)
    }
}
