//! What is not released is absent from the encoded bytes, in nested and repeated messages too.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value, prost::Message};

use super::*;
use crate::{Disclosure, SelectionDecision};

/// Text that stands for the leaf at a path and is no part of that of another.
fn mark(path: &str) -> String {
    format!("<{path}>")
}

/// A record with every leaf filled, texts by their mark, and two elements in each list.
fn filled(descriptor: &MessageDescriptor, path: &str, record_type: &RecordType) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let here = match record_type.field(path) {
            Some(_) => path.to_owned(),
            None if path.is_empty() => field.name().to_owned(),
            None => format!("{path}.{}", field.name()),
        };
        let value = filled_value(&field, &here, record_type);
        message.set_field(&field, if field.is_list() { Value::List(vec![value.clone(), value]) } else { value });
    }
    message
}

fn filled_value(field: &FieldDescriptor, path: &str, record_type: &RecordType) -> Value {
    match field.kind() {
        Kind::String => Value::String(mark(path)),
        Kind::Message(nested) => Value::Message(filled(&nested, path, record_type)),
        Kind::Bool => Value::Bool(true),
        Kind::Enum(kind) => Value::EnumNumber(kind.values().last().unwrap().number()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(7),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(7),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(7),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(7),
        other => panic!("{other:?} is not filled"),
    }
}

fn permit(record_type: &Arc<RecordType>, released: FieldSet) -> Permit {
    let decision = SelectionDecision {
        record_type: record_type.clone(),
        asked: record_type.all_fields(),
        released,
        withheld: Vec::new(),
        agreements: Vec::new(),
        legal_bases: Vec::new(),
        policy_ids: Vec::new(),
    };
    Permit::new(vec![decision], Disclosure::Immediate, Vec::new())
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Whether a value is at the path, in any element.
fn is_present(message: &DynamicMessage, descriptors: &[FieldDescriptor]) -> bool {
    let Some((field, rest)) = descriptors.split_first() else { return true };
    if !message.has_field(field) {
        return false;
    }
    match message.get_field(field).as_ref() {
        Value::Message(nested) => is_present(nested, rest),
        Value::List(elements) if !rest.is_empty() => {
            elements.iter().filter_map(Value::as_message).any(|nested| is_present(nested, rest))
        }
        _ => true,
    }
}

#[test]
fn bytes_hold_released_leaves_and_no_others() {
    for record_type in SCHEMA.record_types() {
        let full = filled(&record_type.descriptor, "", record_type);
        // One leaf at a time, all but one, and every third.
        let count = record_type.fields.len();
        for step in 0..=2 * count {
            let mut released = record_type.no_fields();
            let is_released = |field: usize| match step {
                _ if step < count => field == step,
                _ if step < 2 * count => field != step - count,
                _ => field.is_multiple_of(3),
            };
            (0..count).filter(|&field| is_released(field)).for_each(|field| released.insert(field));
            let mut record = full.clone();
            permit(record_type, released.clone()).release(0, &mut record);
            let bytes = record.encode_to_vec();
            let decoded = DynamicMessage::decode(record_type.descriptor.clone(), bytes.as_slice()).unwrap();
            for (index, field) in record_type.fields.iter().enumerate() {
                let name = format!("{} {}", record_type.name, field.path);
                assert_eq!(is_present(&decoded, &field.descriptors), released.contains(index), "{name}");
                if holds(&full.encode_to_vec(), &mark(&field.path)) {
                    assert_eq!(holds(&bytes, &mark(&field.path)), released.contains(index), "{name}");
                }
            }
        }
    }
}

#[test]
fn nothing_released_leaves_no_byte_and_everything_released_changes_none() {
    for record_type in SCHEMA.record_types() {
        let full = filled(&record_type.descriptor, "", record_type);
        let mut record = full.clone();
        permit(record_type, record_type.no_fields()).release(0, &mut record);
        assert_eq!(record.encode_to_vec(), Vec::<u8>::new());
        let mut record = full.clone();
        permit(record_type, record_type.all_fields()).release(0, &mut record);
        assert_eq!(record, full);
        // A selection that is not there, and a record of another type.
        let mut record = full.clone();
        permit(record_type, record_type.all_fields()).release(1, &mut record);
        assert_eq!(record.encoded_len(), 0);
        let other = SCHEMA.record_types().find(|other| other.name != record_type.name).unwrap();
        let mut record = full.clone();
        permit(other, other.all_fields()).release(0, &mut record);
        assert_eq!(record.encoded_len(), 0);
    }
}

#[test]
fn fields_that_no_descriptor_names_do_not_survive() {
    let record_type = SCHEMA.record_types().next().unwrap();
    let full = filled(&record_type.descriptor, "", record_type);
    // Field 9999, length-delimited: tag (9999 << 3) | 2 = 79994, as a varint FA F0 04. It is put into the record and,
    // the same bytes being valid anywhere, into its first value message.
    let unknown = [&[0xFA, 0xF0, 0x04, 6][..], b"hidden"].concat();
    let value = record_type
        .fields
        .iter()
        .find(|field| field.descriptors.len() == 1 && matches!(field.kind, proto::FieldKind::Value(_)));
    let value = &value.unwrap().descriptors[0];
    let inner = full.get_field(value).as_message().unwrap().encode_to_vec();
    let inner = DynamicMessage::decode(
        full.get_field(value).as_message().unwrap().descriptor(),
        [inner, unknown.clone()].concat().as_slice(),
    );
    let mut with_inner = full.clone();
    with_inner.set_field(value, Value::Message(inner.unwrap()));
    let bytes = [with_inner.encode_to_vec(), unknown].concat();
    assert_eq!(bytes.windows(6).filter(|window| window == b"hidden").count(), 2);
    let mut record = DynamicMessage::decode(record_type.descriptor.clone(), bytes.as_slice()).unwrap();
    permit(record_type, record_type.all_fields()).release(0, &mut record);
    assert_eq!(record.encode_to_vec(), full.encode_to_vec());
}

#[test]
fn elements_keep_their_places() {
    let (record_type, field) = SCHEMA
        .record_types()
        .find_map(|record_type| {
            let nested = |field: &&proto::Field| field.descriptors.len() == 2 && field.descriptors[0].is_list();
            Some((record_type, record_type.fields.iter().find(nested)?))
        })
        .unwrap();
    let mut record = filled(&record_type.descriptor, "", record_type);
    // The first element lacks the leaf that is released.
    let list = record.get_field_mut(&field.descriptors[0]).as_list_mut().unwrap();
    list[0].as_message_mut().unwrap().clear_field(&field.descriptors[1]);
    permit(record_type, record_type.expand(&field.path)).release(0, &mut record);
    let value = record.get_field(&field.descriptors[0]);
    let list: Vec<&DynamicMessage> = value.as_list().unwrap().iter().filter_map(Value::as_message).collect();
    assert_eq!(list.len(), 2);
    assert_eq!(list[0].encoded_len(), 0);
    assert!(list[1].has_field(&field.descriptors[1]));
}

#[test]
fn a_permit_that_lacks_what_is_required_is_a_refusal() {
    let mixed = mixed_record_type();
    let of_class = |class| {
        let mut set = mixed.no_fields();
        let fields = mixed.fields.iter().enumerate().filter(|(_, field)| field.sensitivity == class);
        fields.for_each(|(index, _)| set.insert(index));
        set
    };
    let set = load(&sources_with(vec![grant("1", "H21.65", &[&mixed], "")])).unwrap().set;
    let ask = Ask {
        officer: Some(officer(Assurance::Asserted)),
        ..Ask::new("H21.65", "desk", "identify_applicant", vec![whole(&mixed)])
    };
    let permit = ask.of(&set).unwrap();
    let kept = permit.clone().requiring(0, &of_class(Sensitivity::Basic)).unwrap();
    assert_eq!(kept.selections()[0].released, permit.selections()[0].released);
    let refusal = permit.requiring(0, &mixed.all_fields()).unwrap_err();
    assert_eq!(refusal.reason, "SENSITIVE_NEEDS_PROVEN_OFFICER");
    assert_eq!(*refusal.policy_ids, ["sensitive_needs_assured_officer"]);
    assert!(refusal.selections[0].released.is_empty());
}
