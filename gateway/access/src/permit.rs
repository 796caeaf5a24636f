//! What a decision says: a permit to release fields, or a refusal, each with what it rests on.

use std::{collections::BTreeMap, sync::Arc};

use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage, Value};
use proto::{FieldSet, RecordType};

use crate::Disclosure;

/// Leave to release fields. Only [`crate::AccessSet::decide`] makes one.
#[derive(Debug, Clone)]
pub struct Permit {
    selections: Vec<SelectionDecision>,
    disclosure: Disclosure,
    approvals: Vec<String>,
}

/// Leave to read the audit log or to operate the hub. Only [`crate::AccessSet::read_log`] and
/// [`crate::AccessSet::operate`] make one.
#[derive(Debug, Clone)]
pub struct HubPermit {
    agreements: Vec<String>,
    policy_ids: Vec<String>,
}

/// What may be released of one record type, and what not.
#[derive(Debug, Clone)]
pub struct SelectionDecision {
    /// Record type.
    pub record_type: Arc<RecordType>,
    /// Fields asked for.
    pub asked: FieldSet,
    /// Fields that may be released.
    pub released: FieldSet,
    /// The other fields, in order, each with its reason.
    pub withheld: Vec<Withheld>,
    /// Numbers of the agreements that release the fields.
    pub agreements: Vec<String>,
    /// Legal bases these agreements name.
    pub legal_bases: Vec<String>,
    /// Ids of the policies that decided.
    pub policy_ids: Vec<String>,
}

/// A field that was asked for and may not be released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// Position in [`RecordType::fields`].
    pub field: usize,
    /// Why.
    pub reason: Arc<Reason>,
}

/// Why something is not released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Stable code in UPPER_SNAKE_CASE.
    pub code: String,
    /// The rule it rests on, in Vietnamese.
    pub message_vi: String,
    /// The same in English.
    pub message_en: String,
    /// The guardrail that forbids, when it is not for want of an agreement.
    pub policy_id: Option<String>,
}

/// Nothing may be released.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}: {message_en}")]
pub struct Refusal {
    /// Stable code in UPPER_SNAKE_CASE: the most specific of the reasons of all fields.
    pub reason: String,
    /// The rule it rests on, in Vietnamese.
    pub message_vi: String,
    /// The same in English.
    pub message_en: String,
    /// Ids of the guardrails that forbid.
    pub policy_ids: Box<[String]>,
    /// What was asked, all of it withheld. Empty when the log was asked for.
    pub selections: Box<[SelectionDecision]>,
    /// When the citizen may see that this was asked: the strictest of the agreements that were considered.
    pub disclosure: Disclosure,
    /// Who approved that the citizen never sees it, if that is so.
    pub approvals: Arc<Vec<String>>,
}

impl Permit {
    pub(crate) fn new(selections: Vec<SelectionDecision>, disclosure: Disclosure, approvals: Vec<String>) -> Self {
        Self { selections, disclosure, approvals }
    }

    /// The decision on each selection, in the order asked. Some may release nothing, never all.
    pub fn selections(&self) -> &[SelectionDecision] {
        &self.selections
    }

    /// The permit, if it releases all of these fields of the selection; otherwise a refusal for the first that it withholds.
    pub fn requiring(self, selection: usize, fields: &FieldSet) -> Result<Self, Refusal> {
        let lacking = self.selections.get(selection).and_then(|decision| {
            let withheld = decision.withheld.iter().find(|withheld| fields.contains(withheld.field));
            withheld.map(|withheld| withheld.reason.clone())
        });
        let Some(reason) = lacking else { return Ok(self) };
        let mut selections = self.selections;
        selections.iter_mut().for_each(|decision| decision.released = decision.record_type.no_fields());
        Err(Refusal {
            reason: reason.code.clone(),
            message_vi: reason.message_vi.clone(),
            message_en: reason.message_en.clone(),
            policy_ids: reason.policy_id.iter().cloned().collect(),
            selections: selections.into(),
            disclosure: self.disclosure,
            approvals: self.approvals.into(),
        })
    }

    /// When the citizen may see the entry: the strictest of the agreements that release.
    pub fn disclosure(&self) -> Disclosure {
        self.disclosure
    }

    /// Who approved that the citizen never sees the entry, if that is so.
    pub fn approvals(&self) -> &[String] {
        &self.approvals
    }

    /// Removes from a record of the selection whatever may not be released, unknown fields included. A record of
    /// another type, or of a selection that does not exist, loses everything.
    ///
    /// A nested message is dropped when nothing in it may be released or nothing is left of it. The elements of a
    /// repeated message keep their places, though some may be empty, because quality marks count them.
    pub fn release(&self, selection: usize, record: &mut DynamicMessage) {
        let decision = self.selections.get(selection);
        let decision = decision.filter(|decision| decision.record_type.name == record.descriptor().full_name());
        let kept = decision.map_or_else(Kept::default, |decision| {
            Kept::of(decision.record_type.fields_of(&decision.released).map(|field| field.descriptors.as_slice()))
        });
        kept.reduce(record);
    }
}

impl HubPermit {
    pub(crate) fn new(agreements: Vec<String>, policy_ids: Vec<String>) -> Self {
        Self { agreements, policy_ids }
    }

    /// Numbers of the agreements that open it.
    pub fn agreements(&self) -> &[String] {
        &self.agreements
    }

    /// Ids of the policies that decided.
    pub fn policy_ids(&self) -> &[String] {
        &self.policy_ids
    }
}

impl Withheld {
    /// Stable code in UPPER_SNAKE_CASE.
    pub fn reason(&self) -> &str {
        &self.reason.code
    }

    /// The rule it rests on, in Vietnamese.
    pub fn message_vi(&self) -> &str {
        &self.reason.message_vi
    }

    /// The same in English.
    pub fn message_en(&self) -> &str {
        &self.reason.message_en
    }
}

/// The parts of a message that stay, by field number; a part without parts of its own stays whole.
#[derive(Debug, Default)]
struct Kept(BTreeMap<u32, Kept>);

impl Kept {
    fn of<'a>(paths: impl Iterator<Item = &'a [FieldDescriptor]>) -> Self {
        let mut root = Self::default();
        for path in paths {
            let mut at = &mut root;
            for field in path {
                at = at.0.entry(field.number()).or_default();
            }
        }
        root
    }

    /// Rebuilds the message from what stays, so that nothing unnamed can survive.
    fn reduce(&self, message: &mut DynamicMessage) {
        let mut reduced = DynamicMessage::new(message.descriptor());
        for (&number, parts) in &self.0 {
            let Some(field) = message.descriptor().get_field(number) else { continue };
            if !message.has_field(&field) {
                continue;
            }
            let Some(mut value) = message.take_field(&field) else { continue };
            if parts.0.is_empty() {
                forget_unknown(&mut value);
            } else {
                parts.reduce_value(&mut value);
                if matches!(&value, Value::Message(nested) if nested.fields().next().is_none()) {
                    continue;
                }
            }
            reduced.set_field(&field, value);
        }
        *message = reduced;
    }

    fn reduce_value(&self, value: &mut Value) {
        match value {
            Value::Message(nested) => self.reduce(nested),
            Value::List(elements) => elements.iter_mut().for_each(|element| self.reduce_value(element)),
            _ => {}
        }
    }
}

/// Removes fields that are not in the descriptors from a value that stays whole.
fn forget_unknown(value: &mut Value) {
    match value {
        Value::Message(nested) => {
            nested.take_unknown_fields().for_each(drop);
            nested.fields_mut().for_each(|(_, value)| forget_unknown(value));
        }
        Value::List(elements) => elements.iter_mut().for_each(forget_unknown),
        _ => {}
    }
}
