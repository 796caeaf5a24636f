//! How a source is reached.

use std::{fmt, time::Duration};

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

/// Limits of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// Connections kept at most.
    pub connections_max: u32,
    /// How long a connection may lie idle before it is closed.
    pub idle_timeout: Duration,
    /// Rows of the record's table that may answer one key; more is an error, never cut off.
    pub rows_max: usize,
    /// Rows of one child table that may belong to these rows; more is an error, never cut off.
    pub child_rows_max: usize,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self { connections_max: 16, idle_timeout: Duration::from_secs(300), rows_max: 200, child_rows_max: 5_000 }
    }
}
