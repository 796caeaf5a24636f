//! What can go wrong while people are written.

use crate::Sector;

/// Why a population could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyntheticError {
    /// A plan outside what can be generated.
    #[error("a plan may have 20 to 2000000 people, this one has {people}")]
    PeopleOutOfRange {
        /// People asked for.
        people: u64,
    },
    /// The scheme of a URL names no engine.
    #[error("{sector}: the database url must begin with postgres://, mysql:// or sqlite://")]
    UnknownEngine {
        /// Whose URL.
        sector: Sector,
    },
    /// A sector has two targets.
    #[error("{sector}: more than one target")]
    DuplicateTarget {
        /// Which sector.
        sector: Sector,
    },
    /// A table is there already and the plan does not say to replace it.
    #[error("{sector}: table {table} exists already")]
    TableExists {
        /// Whose database.
        sector: Sector,
        /// The table.
        table: String,
    },
    /// A row does not fit its table: schema and generator disagree.
    #[error("table {table}: expected column {expected}, got {found}")]
    ColumnMismatch {
        /// The table.
        table: &'static str,
        /// The column the schema has there.
        expected: String,
        /// The column the row has there.
        found: String,
    },
    /// A statement of a schema file could not be read.
    #[error("{sector}: cannot read a statement of the schema")]
    Schema {
        /// Whose schema.
        sector: Sector,
    },
    /// The database refused.
    #[error("{sector}: database error")]
    Database {
        /// Whose database.
        sector: Sector,
        /// What the driver says.
        #[source]
        source: sqlx::Error,
    },
    /// The writer of a database ended unexpectedly.
    #[error("{sector}: the database writer ended unexpectedly")]
    WriterEnded {
        /// Whose writer.
        sector: Sector,
    },
    /// The truth could not be written.
    #[error("cannot write the truth")]
    Truth(#[from] std::io::Error),
}
