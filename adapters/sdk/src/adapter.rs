//! The contract between the hub and a source: describe, fetch, search, ready. Plain data in and out.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use normalize::PartialDate;
use prost_reflect::DynamicMessage;
use proto::{FieldSet, RecordType, options::v1::IdentifierKind};
use tokio::time::Instant;

use crate::{SourceError, search};

/// A source of records: one database, or a service that stands for one.
#[async_trait]
pub trait Adapter: Send + Sync {
    /// What the source has. It MUST NOT need the database and MUST NOT change during the adapter's life.
    fn describe(&self) -> &SourceDescription;

    /// The records a key names, with only the requested fields set. An unknown key gives no records. It MUST return
    /// within the deadline, and MUST NOT read columns that serve unrequested fields only.
    async fn fetch(&self, request: &FetchRequest) -> Result<Fetched, SourceError>;

    /// The records that fit all criteria, with the requested fields and those compared. More rows than may be looked at are
    /// an error, never cut off. It MUST return within the deadline, and MUST NOT walk a table. A source that describes no
    /// search fields is never asked.
    async fn search(&self, request: &SearchRequest) -> Result<Fetched, SourceError> {
        Err(SourceError::SearchNotOffered { record_type: request.record_type.name.clone() })
    }

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
    /// The criteria that find candidates, each with the field it is compared with; empty when search is not offered.
    pub search: Vec<SearchField>,
    /// The fields the mapping fills; the rest are unmapped and never set.
    pub fields: FieldSet,
}

impl RecordDescription {
    /// Paths of the fields the mapping leaves out.
    pub fn unmapped(&self) -> Vec<String> {
        self.record_type.paths_of(&self.record_type.all_fields().difference(&self.fields))
    }
}

/// A criterion a source searches by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchField {
    /// What is asked for.
    pub kind: CriterionKind,
    /// Position of the leaf field it is compared with, in [`RecordType::fields`].
    pub field: usize,
}

/// What somebody or something whose number is not known can be searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CriterionKind {
    /// A person's whole name, compared folded.
    PersonName,
    /// The whole name of an enterprise or unit, compared folded, its kind in full or abbreviated.
    OrganisationName,
    /// Birth date or year, compared as far as both sides know it.
    BirthDate,
    /// Commune of today, by its code.
    Commune,
}

impl CriterionKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::PersonName, Self::OrganisationName, Self::BirthDate, Self::Commune];

    /// The word used in mappings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PersonName => "person_name",
            Self::OrganisationName => "organisation_name",
            Self::BirthDate => "birth_date",
            Self::Commune => "commune",
        }
    }
}

/// One thing that is known of whom is searched. `Debug` hides the value.
#[derive(Clone, PartialEq, Eq)]
pub enum Criterion {
    /// A person's whole name.
    PersonName(String),
    /// The whole name of an enterprise or unit.
    OrganisationName(String),
    /// Birth date, at least the year.
    BirthDate(PartialDate),
    /// Commune code of today, 5 digits.
    Commune(String),
}

impl Criterion {
    /// Which it is.
    pub const fn kind(&self) -> CriterionKind {
        match self {
            Self::PersonName(_) => CriterionKind::PersonName,
            Self::OrganisationName(_) => CriterionKind::OrganisationName,
            Self::BirthDate(_) => CriterionKind::BirthDate,
            Self::Commune(_) => CriterionKind::Commune,
        }
    }
}

impl fmt::Debug for Criterion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Criterion").field(&self.kind()).finish_non_exhaustive()
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

/// A question to one source about somebody or something whose number is not known.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// The record type asked for.
    pub record_type: Arc<RecordType>,
    /// What is known; each kind once.
    pub criteria: Vec<Criterion>,
    /// The fields wanted beside those compared. Unmapped ones are ignored.
    pub fields: FieldSet,
    /// When to stop waiting.
    pub deadline: Instant,
    /// As in [`FetchRequest`].
    pub behalf: Arc<Behalf>,
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

impl FetchedRecord {
    /// The numbers of the record's own subject among the fields that were fetched.
    pub fn numbers(&self, record_type: &RecordType) -> Vec<Key> {
        let fields = record_type.fields.iter().filter_map(|field| Some((field.identifies?, field)));
        let numbers = fields.filter_map(|(kind, field)| {
            let value = search::leaf(&self.message, &field.descriptors)?;
            Some(Key { kind, value: value.as_str()?.to_owned() })
        });
        numbers.collect()
    }
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
