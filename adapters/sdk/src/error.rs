//! Why a source did not answer.

use std::borrow::Cow;

use crate::Words;

/// Why a source did not answer. Holds names of tables and columns, and words of the database server where no value can be in
/// them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No connection, or it broke.
    #[error("the database cannot be reached{0}")]
    Unreachable(Words),
    /// The server is there, the database is not.
    #[error("the server has no such database{0}")]
    NoDatabase(Words),
    /// The deadline passed.
    #[error("the database did not answer in time")]
    Timeout,
    /// The database refuses the account or its rights.
    #[error("the database refuses the account, by wrong credentials or missing rights{0}")]
    Credentials(Words),
    /// A table or column the mapping reads is not there, or its type no longer fits.
    #[error("the database no longer fits the mapping: {}", .problems.join("; "))]
    SchemaChanged {
        /// What is missing or does not fit, by table and column.
        problems: Vec<String>,
    },
    /// More rows than one key may have.
    #[error("more than {limit} rows of {table} answer one key")]
    TooManyRecords {
        /// Table.
        table: String,
        /// The limit that was passed.
        limit: usize,
    },
    /// The source does not have this record type.
    #[error("the source has no records of type {record_type}")]
    UnknownRecordType {
        /// The type asked for.
        record_type: String,
    },
    /// The source cannot find this record type by this kind of number.
    #[error("the source does not find {record_type} by {kind}")]
    UnsupportedKey {
        /// The type asked for.
        record_type: String,
        /// The kind of number.
        kind: &'static str,
    },
    /// The source does not find candidates of this record type by these criteria.
    #[error("the source does not search {record_type} by these criteria")]
    SearchNotOffered {
        /// The type asked for.
        record_type: String,
    },
    /// No index narrows the search, and a table is never walked for one.
    #[error("no indexed column of {table} narrows the search")]
    SearchUnindexed {
        /// Table.
        table: String,
    },
    /// More rows than a search may look at.
    #[error("more than {limit} rows of {table} fit the search")]
    SearchTooBroad {
        /// Table.
        table: String,
        /// The limit that was passed.
        limit: usize,
    },
    /// A table's rows cannot be walked: nothing tells them apart.
    #[error(
        "table {table} has no primary key and no unique index without NULLs, of columns the account may read, to read it by"
    )]
    NoKey {
        /// Table.
        table: String,
    },
    /// The database answered with an error that is none of the above.
    #[error("the database failed with code {code}{}", remedy(.code))]
    Database {
        /// The engine's own error code, or `-`.
        code: String,
    },
    /// The address of the database cannot be used.
    #[error("the address of the database cannot be used: {0}")]
    Address(Cow<'static, str>),
    /// The owner of the source does not let the hub have this.
    #[error("the owner of the source refuses: {what}")]
    Refused {
        /// What is refused, by record type and field.
        what: String,
    },
    /// The adapter beside the database has as many calls under way as it takes. It is there, and will have a place.
    #[error("the adapter has too many calls under way")]
    Busy,
    /// The adapter beside the database cannot record what would leave, so nothing does.
    #[error("the adapter cannot record what would leave, so nothing does")]
    NotRecorded,
    /// A rule of the adapter itself was broken.
    #[error("internal error of the adapter: {0}")]
    Internal(&'static str),
}

impl SourceError {
    /// Stable name for clients, metrics and logs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "SOURCE_UNREACHABLE",
            Self::NoDatabase(_) => "SOURCE_NO_DATABASE",
            Self::Timeout => "SOURCE_TIMEOUT",
            Self::Credentials(_) => "SOURCE_CREDENTIALS",
            Self::SchemaChanged { .. } => "SOURCE_SCHEMA_CHANGED",
            Self::TooManyRecords { .. } => "SOURCE_TOO_MANY_RECORDS",
            Self::UnknownRecordType { .. } => "SOURCE_UNKNOWN_RECORD_TYPE",
            Self::UnsupportedKey { .. } => "SOURCE_UNSUPPORTED_KEY",
            Self::SearchNotOffered { .. } => "SEARCH_NOT_OFFERED",
            Self::SearchUnindexed { .. } => "SEARCH_UNINDEXED",
            Self::SearchTooBroad { .. } => "SEARCH_TOO_BROAD",
            Self::NoKey { .. } => "SOURCE_NO_KEY",
            Self::Database { .. } => "SOURCE_DATABASE_ERROR",
            Self::Address(_) => "SOURCE_ADDRESS",
            Self::Refused { .. } => "SOURCE_REFUSED",
            Self::Busy => "SOURCE_BUSY",
            Self::NotRecorded => "SOURCE_NOT_RECORDED",
            Self::Internal(_) => "ADAPTER_INTERNAL",
        }
    }

    /// Whether asking again may help without anyone repairing anything.
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Timeout | Self::Busy)
    }
}

/// What to do about an error that the way to the database causes, not a row.
fn remedy(code: &str) -> &'static str {
    match code {
        // A prepared statement is there already, or is not there.
        "42P05" | "26000" => {
            "; a pooler that changes servers between transactions keeps no statements: connect to the server itself, \
             or let the pooler keep sessions (pool_mode = session)"
        }
        _ => "",
    }
}
