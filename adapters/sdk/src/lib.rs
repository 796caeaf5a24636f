//! The adapter engine: turns a mapping file and a database into a source of records.
//!
//! A mapping says where each field of a record comes from. The engine checks it against the record types and the live
//! database, generates one read-only statement per set of fields, converts rows with `normalize`, and reports per field
//! what had to be repaired or cannot be trusted. Who may see what, and how sources are combined, is left to the gateway.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod adapter;
mod catalogue;
mod cell;
mod convert;
mod database;
mod draft;
mod error;
mod functions;
mod mapping;
mod options;
mod plan;
mod problem;
mod quality;
mod query;
mod record;
mod search;
mod source;
mod value;

pub use adapter::{
    Adapter, Behalf, Criterion, CriterionKind, Engine, FetchRequest, Fetched, FetchedRecord, FieldMark, Grade, Key,
    RecordDescription, SearchField, SearchRequest, SourceDescription,
};
pub use database::Words;
pub use draft::{Draft, DraftError, DraftRequest, DraftedRecord, Likelihood, draft, likelihoods};
pub use error::SourceError;
pub use functions::{Check, CheckedValues, Derive, Functions, Inputs};
pub use mapping::Mapping;
pub use options::{DatabaseAddress, PoolOptions, SecretUrl};
pub use problem::{MappingError, Problem};
pub use quality::{FieldQuality, Reason, RecordQuality};
pub use source::{
    Fit, Inspected, InspectedColumn, InspectedField, LookupPlan, OpenError, Sample, SqlSource, SurveyOptions,
};
pub use value::{Address, IdentityDocument, Value, ValueType};
