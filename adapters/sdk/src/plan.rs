//! A mapping bound to record types: every name resolved, every converter ready to run.

use std::sync::Arc;

use chrono::FixedOffset;
use prost_reflect::FieldDescriptor;
use proto::{FieldSet, RecordType};

use crate::{
    CriterionKind,
    convert::{Accepts, Converter},
    functions::Check,
    mapping::{EncodingChoice, Lookup, Spanned, Table, Through},
};

mod compile;
mod field;
mod search;

pub(crate) use compile::compile;

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) file: String,
    /// The mapping's text, to find lines in.
    pub(crate) text: String,
    pub(crate) time_zone: FixedOffset,
    pub(crate) records: Vec<RecordPlan>,
}

#[derive(Debug)]
pub(crate) struct RecordPlan {
    pub(crate) record_type: Arc<RecordType>,
    pub(crate) from: Table,
    pub(crate) as_of: Option<Spanned<String>>,
    pub(crate) lookup: Vec<Lookup>,
    pub(crate) search: Vec<SearchPlan>,
    pub(crate) fields: Vec<FieldPlan>,
    pub(crate) children: Vec<ChildPlan>,
    pub(crate) joined: Vec<JoinedPlan>,
    pub(crate) checks: Vec<CheckPlan>,
    /// Every field the mapping fills.
    pub(crate) mapped: FieldSet,
}

/// A criterion candidates are found by.
#[derive(Debug)]
pub(crate) struct SearchPlan {
    pub(crate) kind: CriterionKind,
    /// Position of the field it is compared with, in the record type's fields.
    pub(crate) leaf: usize,
    /// Columns of the record's table that narrow the rows.
    pub(crate) columns: Vec<Spanned<String>>,
}

/// How one leaf field is made from a row.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    /// Position in the record type's fields.
    pub(crate) leaf: usize,
    /// From the message a row becomes down to the leaf.
    pub(crate) path: Vec<FieldDescriptor>,
    pub(crate) input: InputPlan,
    /// The converter's name in the mapping, or the function's.
    pub(crate) convert: String,
    pub(crate) converter: Converter,
    pub(crate) accepts: Accepts,
    pub(crate) required: bool,
}

impl FieldPlan {
    /// The table whose rows it asks for, if it does.
    pub(crate) fn exists(&self) -> Option<&Through> {
        match &self.input {
            InputPlan::Exists(through) => Some(through),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(crate) enum InputPlan {
    /// Each column in its role.
    Roles(Vec<ColumnPlan>),
    /// Filled columns joined by a space, in the first role.
    Together(Vec<ColumnPlan>),
    /// The first filled column, in the first role.
    FirstOf(Vec<ColumnPlan>),
    /// Whether another table has a row.
    Exists(Box<Through>),
}

impl InputPlan {
    pub(crate) fn columns(&self) -> &[ColumnPlan] {
        match self {
            Self::Roles(columns) | Self::Together(columns) | Self::FirstOf(columns) => columns,
            Self::Exists(_) => &[],
        }
    }
}

#[derive(Debug)]
pub(crate) struct ColumnPlan {
    pub(crate) role: String,
    pub(crate) column: Spanned<String>,
    pub(crate) encoding: EncodingChoice,
}

/// A repeated message, one element per row of another table.
#[derive(Debug)]
pub(crate) struct ChildPlan {
    /// Its path in the record.
    pub(crate) name: String,
    pub(crate) container: Vec<FieldDescriptor>,
    pub(crate) from: Through,
    pub(crate) fields: Vec<FieldPlan>,
}

/// A repeated message, one element per part of joined texts.
#[derive(Debug)]
pub(crate) struct JoinedPlan {
    pub(crate) name: String,
    pub(crate) container: Vec<FieldDescriptor>,
    pub(crate) separator: String,
    /// The first leads: its column decides how many elements there are.
    pub(crate) fields: Vec<FieldPlan>,
}

#[derive(Debug)]
pub(crate) struct CheckPlan {
    pub(crate) check: Check,
    /// Role and position in [`RecordPlan::fields`].
    pub(crate) fields: Vec<(String, usize)>,
}

impl CheckPlan {
    /// The position of the field in a role.
    pub(crate) fn field(&self, role: &str) -> Option<usize> {
        self.fields.iter().find(|(name, _)| name == role).map(|(_, field)| *field)
    }
}
