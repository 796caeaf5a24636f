//! Reading and comparing field values by their type, for discrepancies and claims. Knows value types, no record types.

use std::borrow::Cow;

use chrono::NaiveDate;
use normalize::PartialDate;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};
use proto::{Field, common::v1 as common};

#[cfg(test)]
mod tests;

/// A field's value, read for comparison.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fact {
    Text(String),
    Flag(bool),
    Number(i32),
    Date(PartialDate),
    Name {
        full: String,
        folded: String,
    },
    Code {
        code: String,
        label: String,
    },
    /// Commune code of today, and whether the mapping to it is certain.
    Place {
        commune: String,
        certain: bool,
    },
    Amount(String),
    Document(String),
}

/// How a claimed or second value stands to a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreement {
    Equal,
    Different,
    /// They do not contradict each other, but the fact says less than the other.
    Undecided,
}

/// The value of a field outside repeated messages; none when absent.
pub(crate) fn fact(message: &DynamicMessage, field: &Field) -> Option<Fact> {
    if field.repeated {
        return None;
    }
    let (last, parents) = field.descriptors.split_last()?;
    let mut holder = message;
    for parent in parents {
        // A field that is not set has no message to look into.
        let Cow::Borrowed(value) = holder.get_field(parent) else { return None };
        holder = value.as_message()?;
    }
    if !holder.has_field(last) {
        return None;
    }
    match holder.get_field(last).as_ref() {
        Value::Bool(flag) => Some(Fact::Flag(*flag)),
        Value::String(text) => Some(Fact::Text(text.clone())),
        Value::I32(number) => Some(Fact::Number(*number)),
        Value::Message(value) => value_fact(value),
        _ => None,
    }
}

/// The text of a string field; none when absent or empty.
pub(crate) fn text(message: &DynamicMessage, field: &Field) -> Option<String> {
    match fact(message, field) {
        Some(Fact::Text(text)) => Some(text),
        _ => None,
    }
}

fn value_fact(value: &DynamicMessage) -> Option<Fact> {
    match value.descriptor().full_name() {
        "lienthong.common.v1.PartialDate" => {
            let date: common::PartialDate = value.transcode_to().ok()?;
            Some(Fact::Date(PartialDate {
                year: u16::try_from(date.year).ok()?,
                month: date.month.and_then(|month| u8::try_from(month).ok()),
                day: date.day.and_then(|day| u8::try_from(day).ok()),
            }))
        }
        "lienthong.common.v1.PersonName" => {
            let name: common::PersonName = value.transcode_to().ok()?;
            Some(Fact::Name { full: name.full, folded: name.folded })
        }
        "lienthong.common.v1.CodedValue" => {
            let coded: common::CodedValue = value.transcode_to().ok()?;
            Some(Fact::Code { code: coded.code, label: coded.label })
        }
        "lienthong.common.v1.Address" => {
            let address: common::Address = value.transcode_to().ok()?;
            let certain = address.map_kind() != common::address::MapKind::Divided;
            (!address.mapped_commune_code.is_empty())
                .then_some(Fact::Place { commune: address.mapped_commune_code, certain })
        }
        "lienthong.common.v1.Money" => {
            let money: common::Money = value.transcode_to().ok()?;
            Some(Fact::Amount(money.amount_vnd))
        }
        "lienthong.common.v1.IdentityDocument" => {
            let document: common::IdentityDocument = value.transcode_to().ok()?;
            (!document.number.is_empty()).then_some(Fact::Document(document.number))
        }
        _ => None,
    }
}

impl Fact {
    /// Whether a claimed text agrees. Names compare with their marks when both sides have them, otherwise without.
    pub(crate) fn agrees_with(&self, claim: &str) -> Agreement {
        let claim = claim.trim();
        match self {
            Self::Text(text) => equal(same_text(text, claim)),
            Self::Flag(flag) => equal(normalize::boolean(claim).is_ok_and(|claimed| claimed.value == *flag)),
            Self::Number(number) => equal(claim.parse::<i32>().is_ok_and(|claimed| claimed == *number)),
            Self::Date(date) => {
                claim.parse::<PartialDate>().map_or(Agreement::Different, |claimed| dates(*date, claimed))
            }
            Self::Name { full, folded } => equal(same_name(full, folded, claim)),
            Self::Code { code, label } => equal(code.eq_ignore_ascii_case(claim) || same_text(label, claim)),
            Self::Place { commune, certain } => match (commune == claim, certain) {
                (true, _) => Agreement::Equal,
                (false, true) => Agreement::Different,
                (false, false) => Agreement::Undecided,
            },
            Self::Amount(amount) => match (normalize::vnd(amount), normalize::vnd(claim)) {
                (Ok(held), Ok(claimed)) => equal(held.value == claimed.value),
                _ => Agreement::Different,
            },
            Self::Document(number) => equal(number.eq_ignore_ascii_case(claim)),
        }
    }

    /// Whether two registers state the same fact.
    pub(crate) fn contradicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Date(one), Self::Date(two)) => {
                dates(*one, *two) == Agreement::Different || dates(*two, *one) == Agreement::Different
            }
            (Self::Name { full, folded }, Self::Name { full: second, .. }) => {
                full != second && !same_name(full, folded, second)
            }
            (Self::Code { code, .. }, Self::Code { code: second, .. }) => code != second,
            (Self::Place { commune, certain }, Self::Place { commune: second, certain: sure }) => {
                *certain && *sure && commune != second
            }
            (Self::Text(one), Self::Text(two)) => !same_text(one, two),
            (one, two) => one != two,
        }
    }
}

const fn equal(same: bool) -> Agreement {
    if same { Agreement::Equal } else { Agreement::Different }
}

/// A claim less precise than the register agrees when the common part does; a register less precise than the claim
/// cannot confirm it.
fn dates(held: PartialDate, claimed: PartialDate) -> Agreement {
    if held.year != claimed.year {
        return Agreement::Different;
    }
    let parts = [(held.month, claimed.month), (held.day, claimed.day)];
    let mut answer = Agreement::Equal;
    for (held, claimed) in parts {
        match (held, claimed) {
            (Some(one), Some(two)) if one != two => return Agreement::Different,
            (None, Some(_)) => answer = Agreement::Undecided,
            _ => {}
        }
    }
    answer
}

fn same_name(full: &str, folded: &str, claim: &str) -> bool {
    let Ok(claimed) = normalize::person_name(claim) else { return false };
    let claimed = claimed.value;
    if full.is_ascii() || claimed.full.is_ascii() {
        return claimed.folded == folded;
    }
    normalize::person_name(full).is_ok_and(|held| held.value.marked_key == claimed.marked_key)
}

fn same_text(held: &str, claim: &str) -> bool {
    match (normalize::text(held), normalize::text(claim)) {
        (Ok(one), Ok(two)) => {
            normalize::canonical_tone(&one.value).to_lowercase() == normalize::canonical_tone(&two.value).to_lowercase()
        }
        _ => held == claim,
    }
}

/// Whether a text can be a value of the field at all, so that a malformed claim is refused rather than answered.
pub fn claim_fits(field: &Field, claim: &str) -> bool {
    match &field.kind {
        proto::FieldKind::Bool => normalize::boolean(claim).is_ok(),
        proto::FieldKind::Int32 => claim.trim().parse::<i32>().is_ok(),
        proto::FieldKind::Value(name) if name == "lienthong.common.v1.PartialDate" => {
            claim.trim().parse::<PartialDate>().is_ok_and(|date| match (date.month, date.day) {
                (Some(month), Some(day)) => {
                    NaiveDate::from_ymd_opt(i32::from(date.year), u32::from(month), u32::from(day)).is_some()
                }
                _ => true,
            })
        }
        _ => true,
    }
}
