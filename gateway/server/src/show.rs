//! What the command line prints: tables for people, JSON for programs.

use std::{
    borrow::Cow,
    fmt::Display,
    io::{self, Write},
};

use comfy_table::{Cell, ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};
use prost_reflect::{DynamicMessage, ReflectMessage, Value};
use proto::{Schema, query::v1 as wire};

/// Prints a line. A reader that has gone (`| head`) is no error worth a message.
pub(crate) fn line(text: impl Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{}", harmless(&text.to_string())) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other,
    }
}

/// An error and what led to it, in one line; what a message has said already is not said again.
pub(crate) fn causes(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if said.is_empty() {
            said = cause;
        } else if !said.ends_with(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// An empty table that fits the terminal.
pub(crate) fn table<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width() {
        table.set_width(width);
    }
    table.set_header(header.map(Cell::new));
    table
}

/// Width of the terminal, or a readable one when the output is no terminal.
fn width() -> Option<u16> {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.or(Some(110))
}

/// Any message of the contract as JSON, records inside included.
pub(crate) fn json(schema: &Schema, name: &str, message: &impl prost::Message) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&dynamic(schema, name, message)?)?)
}

/// As [`json`], in one line.
pub(crate) fn json_line(schema: &Schema, name: &str, message: &impl prost::Message) -> anyhow::Result<String> {
    Ok(serde_json::to_string(&dynamic(schema, name, message)?)?)
}

fn dynamic(schema: &Schema, name: &str, message: &impl prost::Message) -> anyhow::Result<DynamicMessage> {
    let descriptor =
        schema.pool().get_message_by_name(name).ok_or_else(|| anyhow::anyhow!("{name} is not in the descriptors"))?;
    Ok(DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())?)
}

/// A text with pictures in the place of characters that command a terminal: what databases hold is nobody's command.
fn harmless(text: &str) -> Cow<'_, str> {
    let commands = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if !text.contains(commands) {
        return Cow::Borrowed(text);
    }
    let picture = |letter: char| match letter {
        '\u{7f}' => '\u{2421}',
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(letter)).unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::REPLACEMENT_CHARACTER,
    };
    Cow::Owned(text.chars().map(|letter| if commands(letter) { picture(letter) } else { letter }).collect())
}

/// The leaf values of a record as (path, text), elements of repeated messages numbered from 0.
pub(crate) fn leaves(record: &DynamicMessage) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(record, "", &mut found);
    found
}

fn collect(message: &DynamicMessage, prefix: &str, found: &mut Vec<(String, String)>) {
    for (field, value) in message.fields() {
        let path = if prefix.is_empty() { field.name().to_owned() } else { format!("{prefix}.{}", field.name()) };
        match value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    leaf(item, &format!("{path}[{index}]"), found);
                }
            }
            other => leaf(other, &path, found),
        }
    }
}

fn leaf(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Message(message) => match value_text(message) {
            Some(text) => found.push((path.to_owned(), text)),
            None => collect(message, path, found),
        },
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        Value::Bool(flag) => found.push((path.to_owned(), flag.to_string())),
        Value::I32(number) => found.push((path.to_owned(), number.to_string())),
        other => found.push((path.to_owned(), format!("{other:?}"))),
    }
}

/// A value message in one line; none for a message that nests fields.
fn value_text(message: &DynamicMessage) -> Option<String> {
    use proto::common::v1 as common;
    match message.descriptor().full_name() {
        "lienthong.common.v1.PartialDate" => {
            let date: common::PartialDate = message.transcode_to().ok()?;
            Some(date_text(&date))
        }
        "lienthong.common.v1.PersonName" => {
            let name: common::PersonName = message.transcode_to().ok()?;
            Some(name.full)
        }
        "lienthong.common.v1.CodedValue" => {
            let coded: common::CodedValue = message.transcode_to().ok()?;
            Some(if coded.label.is_empty() { coded.code } else { format!("{} ({})", coded.label, coded.code) })
        }
        "lienthong.common.v1.Money" => {
            let money: common::Money = message.transcode_to().ok()?;
            Some(format!("{} đ", money.amount_vnd))
        }
        "lienthong.common.v1.Address" => {
            let address: common::Address = message.transcode_to().ok()?;
            Some(match address.mapped_commune_code.as_str() {
                "" => address.text,
                code => format!("{} [{code}]", address.text),
            })
        }
        "lienthong.common.v1.IdentityDocument" => {
            let document: common::IdentityDocument = message.transcode_to().ok()?;
            let kind = document.r#type.map(|kind| kind.label).unwrap_or_default();
            let issued = document.issue_date.as_ref().map(|date| format!(", {}", date_text(date))).unwrap_or_default();
            Some(format!("{kind} {}{issued}", document.number))
        }
        _ => None,
    }
}

fn date_text(date: &proto::common::v1::PartialDate) -> String {
    match (date.month, date.day) {
        (Some(month), Some(day)) => format!("{:04}-{month:02}-{day:02}", date.year),
        (Some(month), None) => format!("{:04}-{month:02}", date.year),
        _ => format!("{:04}", date.year),
    }
}

/// Marks of a record's field at a path of [`leaves`], in one line.
pub(crate) fn quality_text(quality: &[wire::FieldQuality], path: &str) -> String {
    let marks = quality.iter().filter(|mark| mark.path == path);
    marks.map(mark_text).collect::<Vec<_>>().join("; ")
}

/// One mark in one line.
pub(crate) fn mark_text(mark: &wire::FieldQuality) -> String {
    let grade = mark.grade().as_str_name().to_lowercase().replace('_', " ");
    format!("{grade}: {}", mark.reasons.join(", "))
}
