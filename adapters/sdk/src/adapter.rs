//! The contract between the hub and a source: describe, fetch, ready. Plain data in and out.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use prost_reflect::DynamicMessage;
use proto::{FieldSet, RecordType, options::v1::IdentifierKind};
use tokio::time::Instant;

use crate::SourceError;

/// A source of records: one database, or a service that stands for one.
#[async_trait]
pub trait Adapter: Send + Sync {
    /// What the source has. It MUST NOT need the database and MUST NOT change during the adapter's life.
    fn describe(&self) -> &SourceDescription;

    /// The records a key names, with only the requested fields set. An unknown key gives no records. It MUST return
    /// within the deadline, and MUST NOT read columns that serve unrequested fields only.
    async fn fetch(&self, request: &FetchRequest) -> Result<Fetched, SourceError>;

    /// Whether a fetch could succeed now. It MUST be a real round trip that also finds a changed schema.
    async fn ready(&self) -> Result<(), SourceError>;
}

/// What a source is and has.
#[derive(Debug, Clone)]
pub struct SourceDescription {
    /// Short stable name ("population").
    pub id: String,
    /// Label in Vietnamese.
    pub label_vi: String,
    /// Label in English.
    pub label_en: String,
    /// The body that owns the data.
    pub owner: String,
    /// The database engine.
    pub engine: Engine,
    /// SHA-256 of the mapping file, lower-case hex.
    pub mapping_digest: String,
    /// The record types it answers.
    pub records: Vec<RecordDescription>,
}

impl SourceDescription {
    /// The description of a record type, if the source has it.
    pub fn record(&self, record_type: &str) -> Option<&RecordDescription> {
        self.records.iter().find(|record| record.record_type.name == record_type)
    }
}

/// What a source has of one record type.
#[derive(Debug, Clone)]
pub struct RecordDescription {
    /// The record type.
    pub record_type: Arc<RecordType>,
    /// The kinds of key that find records.
    pub lookup: Vec<IdentifierKind>,
    /// Those among them that may be the only number a row of the subject has: whoever wants all records of a subject
    /// asks by these, too.
    pub alone: Vec<IdentifierKind>,
    /// The fields the mapping fills; the rest are unmapped and never set.
    pub fields: FieldSet,
}

impl RecordDescription {
    /// Paths of the fields the mapping leaves out.
    pub fn unmapped(&self) -> Vec<String> {
        self.record_type.paths_of(&self.record_type.all_fields().difference(&self.fields))
    }
}

/// Database engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    MySql,
    /// SQLite.
    Sqlite,
}

impl Engine {
    /// OpenTelemetry's `db.system.name`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::MySql => "mysql",
            Self::Sqlite => "sqlite",
        }
    }
}

impl FromStr for Engine {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        [Self::Postgres, Self::MySql, Self::Sqlite].into_iter().find(|engine| engine.name() == name).ok_or(())
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A number that names a subject. `Debug` hides the number.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// What kind of number.
    pub kind: IdentifierKind,
    /// The number in its canonical form.
    pub value: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Key").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// A question to one source.
#[derive(Debug, Clone)]
pub struct FetchRequest {
    /// The record type asked for.
    pub record_type: Arc<RecordType>,
    /// Whom or what it is about.
    pub key: Key,
    /// The fields wanted. Unmapped ones are ignored.
    pub fields: FieldSet,
    /// When to stop waiting.
    pub deadline: Instant,
    /// For whom and what for. The engine does not look at it; the owner of a source elsewhere may.
    pub behalf: Arc<Behalf>,
}

/// For whom a record is wanted, and what for, as whoever asks the source states it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behalf {
    /// Code of the agency.
    pub agency: String,
    /// System of the agency.
    pub system: String,
    /// Code of the purpose.
    pub purpose: String,
}

/// An answer of one source. `Debug` of its records shows personal values: never log it.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The records found, in a stable order; none when the key is unknown.
    pub records: Vec<FetchedRecord>,
    /// When the source answered.
    pub retrieved_at: DateTime<Utc>,
}

/// One record.
#[derive(Debug, Clone)]
pub struct FetchedRecord {
    /// The record, of the requested type, with requested fields only.
    pub message: DynamicMessage,
    /// When the register last changed the row; absent when it does not say.
    pub as_of: Option<DateTime<Utc>>,
    /// What must be said about single fields; fields without a mark are as they should be.
    pub marks: Vec<FieldMark>,
}

/// What must be said about one field of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMark {
    /// Position of the leaf field in [`RecordType::fields`].
    pub field: usize,
    /// The field's path with element numbers from 0 where it passes through repeated messages (`industries[2].code`).
    pub path: String,
    /// How far the value may be trusted, or why it is not there.
    pub grade: Grade,
    /// Stable snake_case reasons.
    pub reasons: Vec<Cow<'static, str>>,
}

/// How far a field's value may be trusted, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// The meaning is certain; only the form was put right.
    Repaired,
    /// The value says less than the register meant, or one of several possible targets was taken.
    ConvertedWithLoss,
    /// The value is what the register holds, and there is a reason to doubt it.
    Suspect,
    /// The register holds something that is no valid value; the field is absent.
    Invalid,
    /// The register must hold a value and does not; the field is absent.
    Missing,
}

impl From<normalize::Grade> for Grade {
    fn from(grade: normalize::Grade) -> Self {
        match grade {
            normalize::Grade::Repaired => Self::Repaired,
            normalize::Grade::Lossy => Self::ConvertedWithLoss,
            normalize::Grade::Suspect => Self::Suspect,
        }
    }
}
