//! What is left of a record when only some fields are asked for: the oracle for answers to narrower questions.

use prost_reflect::{DynamicMessage, FieldDescriptor, Value};
use proto::{FieldSet, RecordType};

/// The record with only these fields. Elements of repeated messages stay as many as they are, as long as one of their fields
/// is among them.
pub(crate) fn project(record: &DynamicMessage, record_type: &RecordType, fields: &FieldSet) -> DynamicMessage {
    let paths: Vec<&[FieldDescriptor]> =
        record_type.fields_of(fields).map(|field| field.descriptors.as_slice()).collect();
    part(record, &paths)
}

fn part(from: &DynamicMessage, paths: &[&[FieldDescriptor]]) -> DynamicMessage {
    let mut to = DynamicMessage::new(prost_reflect::ReflectMessage::descriptor(from));
    for field in from.fields().map(|(field, _)| field).collect::<Vec<_>>() {
        let below: Vec<_> = paths
            .iter()
            .filter_map(|path| path.split_first().filter(|(first, _)| **first == field).map(|(_, below)| below))
            .collect();
        if below.is_empty() {
            continue;
        }
        let value = from.get_field(&field);
        let value = if below.iter().any(|below| below.is_empty()) { value.into_owned() } else { inner(&value, &below) };
        let empty = matches!(&value, Value::Message(message) if message.fields().next().is_none());
        if !empty {
            to.set_field(&field, value);
        }
    }
    to
}

fn inner(value: &Value, paths: &[&[FieldDescriptor]]) -> Value {
    match value {
        Value::Message(message) => Value::Message(part(message, paths)),
        Value::List(items) => Value::List(items.iter().map(|item| inner(item, paths)).collect()),
        other => other.clone(),
    }
}

/// The leaf fields, by position, that hold a value somewhere in the record.
pub(crate) fn filled(record: &DynamicMessage, record_type: &RecordType) -> Vec<usize> {
    let holds = |field: &proto::Field| values(record, &field.descriptors).next().is_some();
    record_type.fields.iter().enumerate().filter(|(_, field)| holds(field)).map(|(at, _)| at).collect()
}

/// The values at a path, through repeated messages.
pub(crate) fn values<'a>(
    record: &'a DynamicMessage,
    path: &'a [FieldDescriptor],
) -> Box<dyn Iterator<Item = Value> + 'a> {
    let Some((first, below)) = path.split_first() else { return Box::new(std::iter::empty()) };
    if !record.has_field(first) {
        return Box::new(std::iter::empty());
    }
    let value = record.get_field(first).into_owned();
    if below.is_empty() {
        return match value {
            Value::List(items) => Box::new(items.into_iter()),
            value => Box::new(std::iter::once(value)),
        };
    }
    let inner: Vec<Value> = match value {
        Value::Message(message) => values(&message, below).collect(),
        Value::List(items) => {
            let messages = items.iter().filter_map(Value::as_message);
            messages.flat_map(|message| values(message, below).collect::<Vec<_>>()).collect()
        }
        _ => Vec::new(),
    };
    Box::new(inner.into_iter())
}
