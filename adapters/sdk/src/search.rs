//! Whether a record fits what is known of somebody: compared on normalised values, so that encodings, marks, spellings and
//! old commune codes do not matter.

use std::borrow::Cow;

use normalize::{PartialDate, fold_name, organisation_keys};
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage, Value};

use crate::{Criterion, FetchedRecord, plan::RecordPlan};

/// The map kind of an address in a commune that was divided: the commune of today is not certain.
const DIVIDED: i32 = 3;

/// A criterion made ready to be compared with many records.
pub(crate) struct Comparison<'a> {
    leaf: usize,
    wanted: Wanted<'a>,
}

enum Wanted<'a> {
    Folded(String),
    Organisation(String),
    Date(PartialDate),
    Commune(&'a str),
}

/// Makes the criteria ready; nothing when the record is not searched by one of them.
pub(crate) fn comparisons<'a>(plan: &RecordPlan, criteria: &'a [Criterion]) -> Option<Vec<Comparison<'a>>> {
    let comparison = |criterion: &'a Criterion| {
        let leaf = plan.search.iter().find(|search| search.kind == criterion.kind())?.leaf;
        let wanted = match criterion {
            Criterion::PersonName(name) => Wanted::Folded(fold_name(name)),
            Criterion::OrganisationName(name) => Wanted::Organisation(key(name)),
            Criterion::BirthDate(date) => Wanted::Date(*date),
            Criterion::Commune(code) => Wanted::Commune(code),
        };
        Some(Comparison { leaf, wanted })
    };
    criteria.iter().map(comparison).collect()
}

impl Comparison<'_> {
    /// Position of the field that is compared.
    pub(crate) fn leaf(&self) -> usize {
        self.leaf
    }

    /// Whether the record states what is wanted. One that states nothing does not fit; one that states less does.
    pub(crate) fn fits(&self, plan: &RecordPlan, record: &FetchedRecord) -> bool {
        let Some(field) = plan.record_type.fields.get(self.leaf) else { return false };
        let Some(value) = leaf(&record.message, &field.descriptors) else { return false };
        match (&self.wanted, value.as_ref()) {
            (Wanted::Folded(folded), Value::Message(name)) => text(name, "folded") == *folded,
            (Wanted::Organisation(wanted), Value::String(name)) => key(name) == *wanted,
            (Wanted::Date(wanted), Value::Message(date)) => {
                let same = |part: &str, wanted: Option<u8>| match (number(date, part), wanted) {
                    (Some(held), Some(wanted)) => held == i32::from(wanted),
                    _ => true,
                };
                number(date, "year") == Some(i32::from(wanted.year))
                    && same("month", wanted.month)
                    && same("day", wanted.day)
            }
            (Wanted::Commune(code), Value::Message(address)) => {
                let divided =
                    address.get_field_by_name("map_kind").and_then(|kind| kind.as_enum_number()) == Some(DIVIDED);
                text(address, "mapped_commune_code") == *code || divided
            }
            _ => false,
        }
    }
}

fn key(name: &str) -> String {
    organisation_keys(name).into_iter().next().unwrap_or_default()
}

/// The value of a field outside repeated messages; none when absent.
pub(crate) fn leaf<'m>(message: &'m DynamicMessage, path: &[FieldDescriptor]) -> Option<Cow<'m, Value>> {
    let (last, above) = path.split_last()?;
    let mut holder = message;
    for field in above {
        // A field that is not set has no message to look into.
        let Cow::Borrowed(value) = holder.get_field(field) else { return None };
        holder = value.as_message()?;
    }
    holder.has_field(last).then(|| holder.get_field(last))
}

fn text(message: &DynamicMessage, name: &str) -> String {
    let value = message.get_field_by_name(name);
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn number(message: &DynamicMessage, name: &str) -> Option<i32> {
    let field = message.descriptor().get_field_by_name(name)?;
    message.has_field(&field).then(|| message.get_field(&field).as_i32()).flatten()
}
