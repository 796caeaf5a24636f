//! The `[audit]` section: the log, its keys, where it is published, who cosigns it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::bail;
use audit::Location;
use serde::Deserialize;

use super::DatabaseReference;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditConfig {
    /// Where the log is: an SQLite file, made when absent, or a PostgreSQL database.
    pub(crate) database: LogReference,
    /// File with the log's signing key (`lienthong dev ca` makes one). The key's name is the log's origin.
    pub(crate) signing_key: PathBuf,
    /// Files with the keys it replaces: they sign, too, until they are left out here, so that whoever knows only one of the
    /// keys goes on verifying.
    #[serde(default)]
    pub(crate) older_signing_keys: Vec<PathBuf>,
    /// File with the key that hashes subjects' numbers: 32 bytes or more.
    pub(crate) subject_key: PathBuf,
    /// Files with keys used before it: entries made with them are still found by a subject's number.
    #[serde(default)]
    pub(crate) older_subject_keys: Vec<PathBuf>,
    /// Periods of retention; absent: nothing is ever removed from the log.
    pub(crate) retention: Option<PathBuf>,
    /// Legal holds: orders that entries be kept beyond their period.
    pub(crate) legal_holds: Option<PathBuf>,
    /// Folder in which the log is published as files while the hub runs; absent: it is not.
    pub(crate) tiles: Option<PathBuf>,
    /// Where this folder is served over HTTPS, to anybody; absent: nowhere.
    pub(crate) tiles_listen: Option<SocketAddr>,
    /// Whether it serves entries, too, to anybody who reaches it.
    #[serde(default)]
    pub(crate) tiles_open: bool,
    /// Who cosigns checkpoints.
    #[serde(default)]
    pub(crate) witnesses: Vec<WitnessConfig>,
    /// How many of them must have cosigned a checkpoint before it is published.
    #[serde(default)]
    pub(crate) witnesses_required: usize,
    /// Days after which a citizen sees an access whose agreement delays disclosure.
    #[serde(default = "AuditConfig::disclosure_delay_days")]
    pub(crate) disclosure_delay_days: u32,
    /// Entries that may wait to be written; beyond it calls are refused.
    #[serde(default = "AuditConfig::queue_entries_max")]
    pub(crate) queue_entries_max: usize,
}

/// An independent witness (C2SP `tlog-witness`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WitnessConfig {
    /// Its public key, `name+hash+key`.
    pub(crate) key: String,
    /// Where it takes checkpoints, `https://`; `/add-checkpoint` is added.
    pub(crate) url: String,
    /// PEM files: authorities of its TLS certificate.
    pub(crate) authorities: Vec<PathBuf>,
}

impl AuditConfig {
    const fn disclosure_delay_days() -> u32 {
        365
    }
    const fn queue_entries_max() -> usize {
        4_096
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.queue_entries_max == 0 {
            bail!("audit.queue_entries_max must be at least 1");
        }
        if self.legal_holds.is_some() && self.retention.is_none() {
            bail!("audit.legal_holds needs audit.retention: without it nothing is removed");
        }
        if self.tiles_listen.is_some() && self.tiles.is_none() {
            bail!("audit.tiles_listen needs audit.tiles: the folder to serve");
        }
        if !self.witnesses.is_empty() && self.tiles.is_none() {
            bail!("audit.witnesses need audit.tiles: the folder with the checkpoints they cosign");
        }
        if self.witnesses_required > self.witnesses.len() {
            bail!("audit.witnesses_required must not be more than there are audit.witnesses");
        }
        Ok(())
    }
}

/// Where the log is: the path of an SQLite file, or a reference as a source's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "the path of an SQLite file, or { url_file = … } or { url_env = … }")]
pub(crate) enum LogReference {
    /// An SQLite file.
    File(PathBuf),
    /// A database.
    Database(DatabaseReference),
}

impl LogReference {
    /// Where that is; relative paths start in `folder`.
    pub(crate) fn location(&self, folder: &Path) -> anyhow::Result<Location> {
        match self {
            Self::File(path) | Self::Database(DatabaseReference::Sqlite(path)) => Ok(Location::File(folder.join(path))),
            Self::Database(reference) => Ok(Location::postgres(&reference.address(folder)?)?),
        }
    }
}
