//! Which log a command works on, when it works on the store itself and not through the hub.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use audit::Location;

/// Where the log is. Addresses with credentials are never given on the command line.
#[derive(clap::Args)]
#[group(multiple = false)]
pub(crate) struct Store {
    /// SQLite file of the log, or a copy of it. The hub may be running on it.
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// PostgreSQL database of the log: a file whose only line is its address.
    #[arg(long, value_name = "FILE")]
    database_url_file: Option<PathBuf>,
    /// PostgreSQL database of the log: an environment variable that holds its address.
    #[arg(long, value_name = "NAME")]
    database_url_env: Option<String>,
}

impl Store {
    /// The place named, if one was.
    pub(crate) fn location(&self) -> anyhow::Result<Option<Location>> {
        if let Some(path) = &self.database {
            ensure!(path.is_file(), "{} is not a file", path.display());
            return Ok(Some(Location::File(path.clone())));
        }
        let address = match (&self.database_url_file, &self.database_url_env) {
            (Some(path), _) => {
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            (None, Some(name)) => std::env::var(name).with_context(|| format!("variable {name} is not set"))?,
            (None, None) => return Ok(None),
        };
        Ok(Some(Location::postgres(address.trim())?))
    }

    /// The place, which must have been named.
    pub(crate) fn required(&self) -> anyhow::Result<Location> {
        self.location()?.context("name the log: --database, --database-url-file or --database-url-env")
    }
}
