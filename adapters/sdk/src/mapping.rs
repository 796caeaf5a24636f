//! The mapping language: what a data owner reads, reviews and signs.
//!
//! A mapping is data. It has no conditions and no expressions; a rule that needs one is a named function of the sector.
//! This module knows the language's form; whether names fit record types and databases is checked by `plan` and
//! `catalogue`. The page for its authors is this crate's README.

use std::{collections::BTreeMap, ops::Range};

use normalize::Encoding;
use proto::options::v1::IdentifierKind;

use crate::{CriterionKind, problem::MappingError};

mod parse;
mod reader;
#[cfg(test)]
mod tests;

/// A parsed mapping file: one source, one database.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Name of the file, for errors.
    pub file: String,
    /// Id of the source.
    pub source: String,
    /// Label in Vietnamese.
    pub label_vi: String,
    /// Label in English.
    pub label_en: String,
    /// The body that owns the data.
    pub owner: String,
    /// SHA-256 of the file, lower-case hex.
    pub digest: String,
    pub(crate) text: String,
    pub(crate) time_zone: chrono::FixedOffset,
    pub(crate) encoding: EncodingChoice,
    pub(crate) lists: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) values: BTreeMap<String, Spanned<BTreeMap<String, String>>>,
    pub(crate) records: Vec<RecordMapping>,
}

impl Mapping {
    /// Reads a mapping. Its form is checked completely; its names are checked when a source is opened on it.
    pub fn parse(text: &str, file: &str) -> Result<Self, MappingError> {
        parse::mapping(text, file)
    }

    /// Full names of the record types it maps.
    pub fn record_types(&self) -> impl Iterator<Item = &str> {
        self.records.iter().map(|record| record.record_type.value.as_str())
    }
}

/// A value and where it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct RecordMapping {
    pub(crate) record_type: Spanned<String>,
    pub(crate) from: Table,
    pub(crate) as_of: Option<Spanned<String>>,
    pub(crate) lookup: Vec<Lookup>,
    pub(crate) search: Vec<SearchMapping>,
    pub(crate) encoding: Option<EncodingChoice>,
    pub(crate) fields: Vec<FieldMapping>,
    pub(crate) children: Vec<ChildMapping>,
    pub(crate) joined: Vec<JoinedMapping>,
    pub(crate) checks: Vec<CheckMapping>,
}

/// A table, a view or a SELECT, with the rows that count.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Name, or schema and name with a dot between. A SELECT is called by its line.
    pub(crate) name: Spanned<String>,
    /// The SELECT that stands for a table.
    pub(crate) select: Option<String>,
    /// Columns that must equal a literal.
    pub(crate) filters: Vec<(Spanned<String>, String)>,
    /// Columns that give rows their order.
    pub(crate) order: Vec<Spanned<String>>,
}

/// Which columns a kind of number is looked up in.
#[derive(Debug, Clone)]
pub(crate) struct Lookup {
    pub(crate) kind: IdentifierKind,
    pub(crate) columns: Vec<Spanned<String>>,
    /// Columns of the record's table that must equal a literal for the number to be of this kind.
    pub(crate) filters: Vec<(Spanned<String>, String)>,
    /// Whether some rows of a subject have this number and none of the others.
    pub(crate) alone: bool,
    /// The table that holds the columns, when it is not the record's own.
    pub(crate) through: Option<Through>,
}

/// A criterion candidates are found by.
#[derive(Debug, Clone)]
pub(crate) struct SearchMapping {
    pub(crate) kind: CriterionKind,
    /// Path of the field it is compared with.
    pub(crate) field: Spanned<String>,
    /// Columns that narrow the rows to compare, by index; none when the field is only compared.
    pub(crate) columns: Vec<Spanned<String>>,
}

/// Another table and how it joins the record's.
#[derive(Debug, Clone)]
pub(crate) struct Through {
    pub(crate) table: Table,
    pub(crate) join: Vec<Join>,
}

/// A column of the other table that equals a column of the record's table.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(crate) other: Spanned<String>,
    pub(crate) own: Spanned<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EncodingChoice {
    Fixed(Encoding),
    /// A column of the row tells.
    ByColumn {
        column: Spanned<String>,
        values: BTreeMap<String, Encoding>,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct FieldMapping {
    pub(crate) path: Spanned<String>,
    pub(crate) input: Input,
    pub(crate) convert: Spanned<Conversion>,
    pub(crate) required: bool,
    pub(crate) encoding: Option<EncodingChoice>,
    /// The forms dates are written in, the first that reads one counts.
    pub(crate) formats: Vec<Spanned<String>>,
    /// Other options of the converter, by name.
    pub(crate) options: BTreeMap<String, Spanned<String>>,
    pub(crate) values: Option<Values>,
    pub(crate) span: Range<usize>,
}

/// What reads the input: a converter every mapping may use, or a function of the sector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Conversion {
    Convert(String),
    Derive(String),
}

/// Register's code to canonical code: a table of the mapping by name, or written in place.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    Named(Spanned<String>),
    Inline(Spanned<BTreeMap<String, String>>),
}

#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// One column.
    Column(Spanned<String>),
    /// Several columns whose filled texts are joined by a space.
    Together(Vec<Spanned<String>>),
    /// The first of several columns that is filled.
    FirstOf(Vec<Spanned<String>>),
    /// Columns in the roles a converter names.
    Roles(BTreeMap<String, Spanned<String>>),
    /// Whether another table has a row.
    Exists(Box<Through>),
}

#[derive(Debug, Clone)]
pub(crate) struct ChildMapping {
    pub(crate) field: Spanned<String>,
    pub(crate) from: Through,
    pub(crate) encoding: Option<EncodingChoice>,
    pub(crate) fields: Vec<FieldMapping>,
}

#[derive(Debug, Clone)]
pub(crate) struct JoinedMapping {
    pub(crate) field: Spanned<String>,
    pub(crate) separator: String,
    pub(crate) fields: Vec<FieldMapping>,
}

#[derive(Debug, Clone)]
pub(crate) struct CheckMapping {
    pub(crate) name: Spanned<String>,
    /// Paths of fields in the roles the check names.
    pub(crate) fields: BTreeMap<String, Spanned<String>>,
    pub(crate) span: Range<usize>,
}
