//! The configuration of an adapter: which source is lent, to whom, and what its owner records.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::config::{DatabaseReference, LogReference, ServerConfig, TelemetryConfig, TlsConfig};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: ServerConfig,
    pub(crate) tls: TlsConfig,
    pub(super) source: Lender,
    /// Who may have what. Nobody else may have anything.
    pub(super) allow: Vec<Allow>,
    /// The owner's own record of what left; absent: none is kept.
    pub(super) record: Option<RecordConfig>,
    /// Folder of sectors that are not built in, of which the source is one; read at the start.
    sectors: Option<PathBuf>,
    #[serde(default)]
    pub(crate) telemetry: TelemetryConfig,
    /// The file; relative paths start in its folder.
    #[serde(skip)]
    file: PathBuf,
}

/// The source that is lent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lender {
    /// Id of the source, as its mapping states it.
    pub(super) id: String,
    /// Where its database is.
    pub(super) database: DatabaseReference,
    /// Mapping file; absent: the one built in for this id.
    pub(super) mapping: Option<PathBuf>,
    /// Connections held at most.
    #[serde(default = "Lender::connections_max")]
    pub(super) connections_max: u32,
}

impl Lender {
    const fn connections_max() -> u32 {
        16
    }
}

/// What one hub may have. A system that stands there several times may have what any of its entries allows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Allow {
    /// `agency/system` of the hub's certificate.
    pub(super) system: String,
    /// Codes of the agencies on whose behalf the hub may ask, as it states them; absent: any.
    pub(super) agencies: Option<Vec<String>>,
    /// Codes of the purposes it may ask for, as it states them; absent: any.
    pub(super) purposes: Option<Vec<String>>,
    /// Record types and fields; absent: everything the mapping fills.
    pub(super) records: Option<Vec<AllowedRecord>>,
    /// Whether it may also search: find by these fields whose number is not known.
    #[serde(default)]
    pub(super) search: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AllowedRecord {
    /// Full name.
    pub(super) r#type: String,
    /// Paths of fields, or of messages that nest them.
    #[serde(default)]
    pub(super) fields: Vec<String>,
    /// Field groups.
    #[serde(default)]
    pub(super) groups: Vec<String>,
}

/// Where the owner records what left.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordConfig {
    /// Where the log is: an SQLite file, made when absent, or a PostgreSQL database.
    pub(super) database: LogReference,
    /// File with the log's signing key. The key's name is the log's origin.
    pub(super) signing_key: PathBuf,
    /// File with the key that hashes subjects' numbers: 32 bytes or more.
    pub(super) subject_key: PathBuf,
}

impl Config {
    /// Reads the file. The error names line and column.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read configuration {}", path.display()))?;
        let mut config: Self =
            toml::from_str(&text).with_context(|| format!("configuration {} is not valid", path.display()))?;
        config.file = path.to_owned();
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        self.server.check()?;
        self.tls.check()?;
        for (name, given) in [
            ("server.batch_concurrency_max", self.server.batch_concurrency_max.is_some()),
            ("server.readiness_interval_s", self.server.readiness_interval_s.is_some()),
            ("telemetry.metrics_listen", self.telemetry.metrics_listen.is_some()),
        ] {
            if given {
                bail!("{name} is for hubs, an adapter has no use for it");
            }
        }
        ensure!(self.source.connections_max > 0, "source.connections_max must be at least 1");
        ensure!(!self.allow.is_empty(), "[[allow]] names nobody, so nobody could be answered");
        Ok(())
    }

    /// The file it was read from.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The folder relative paths start in.
    pub(super) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// The folder of sectors that are not built in.
    pub(super) fn sectors_folder(&self) -> Option<PathBuf> {
        self.sectors.as_ref().map(|folder| self.folder().join(folder))
    }

    /// Whether all that differs is what a reload puts in force.
    pub(super) fn reloads_into(&self, other: &Self) -> bool {
        (&self.server, &self.record, &self.telemetry, &self.sectors)
            == (&other.server, &other.record, &other.telemetry, &other.sectors)
    }

    /// The files whose change is worth a reload.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let tls = &self.tls;
        let paths = [&tls.certificate, &tls.private_key].into_iter();
        let paths = paths.chain(&tls.client_authorities).chain(&tls.revocation_lists).chain(&self.source.mapping);
        let mut files: Vec<_> = paths.map(|path| self.folder().join(path)).collect();
        if let DatabaseReference::UrlFile(path) = &self.source.database {
            files.push(self.folder().join(path));
        }
        files.push(self.file.clone());
        files
    }
}
