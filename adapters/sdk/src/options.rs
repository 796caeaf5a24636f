//! How a source is reached.

use std::{fmt, sync::Arc, time::Duration};

use crate::SourceError;

/// The address of a database, with credentials: `postgres://`, `mysql://` (also for MariaDB) or `sqlite://`. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Takes the address.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// How the address of a database is come by. It is read again when the database refuses the account, so that credentials
/// can be changed without a restart.
#[derive(Clone)]
pub struct DatabaseAddress(Arc<dyn Fn() -> Result<SecretUrl, String> + Send + Sync>);

impl DatabaseAddress {
    /// An address that does not change.
    pub fn fixed(url: SecretUrl) -> Self {
        Self::read_by(move || Ok(url.clone()))
    }

    /// An address that this reads; its error says what cannot be read, without the address.
    pub fn read_by(read: impl Fn() -> Result<SecretUrl, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) fn read(&self) -> Result<SecretUrl, SourceError> {
        (self.0)().map_err(|problem| SourceError::Address(problem.into()))
    }
}

/// Limits of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// Connections kept at most.
    pub connections_max: u32,
    /// How long a connection may lie idle before it is closed.
    pub idle_timeout: Duration,
    /// Rows of the record's table that may answer one key; more is an error, never cut off.
    pub rows_max: usize,
    /// Rows that indexed columns may leave for a search to compare; more is an error.
    pub search_rows_max: usize,
    /// Rows of one child table that may belong to these rows; more is an error, never cut off.
    pub child_rows_max: usize,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            connections_max: 16,
            idle_timeout: Duration::from_secs(300),
            rows_max: 200,
            search_rows_max: 2_000,
            child_rows_max: 5_000,
        }
    }
}
