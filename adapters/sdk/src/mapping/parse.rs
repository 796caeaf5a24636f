//! From TOML to [`Mapping`].

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use aws_lc_rs::digest;
use chrono::FixedOffset;
use normalize::Encoding;
use proto::options::v1::IdentifierKind;
use toml::{
    Spanned as TomlSpanned,
    de::{DeTable, DeValue},
};

use super::{
    CheckMapping, ChildMapping, Conversion, EncodingChoice, FieldMapping, Input, Join, JoinedMapping, Lookup, Mapping,
    RecordMapping, SearchMapping, Spanned, Table, Through, Values,
    reader::{Reader, literal, text, text_table, texts},
};
use crate::{
    CriterionKind,
    problem::{MappingError, Problems, suggest},
};

type Node<'a> = TomlSpanned<DeValue<'a>>;

/// Vietnam's only time zone.
const TIME_ZONE_DEFAULT: &str = "+07:00";
pub(super) const ENCODINGS: [&str; 7] =
    ["utf-8", "tcvn3", "vni", "viqr", "windows-1258", "tcvn3-as-latin1", "vni-as-latin1"];
/// The options a converter may take, beside formats of dates.
pub(super) const CONVERTER_OPTIONS: [&str; 2] = ["list", "vintage"];

pub(super) fn mapping(text: &str, file: &str) -> Result<Mapping, MappingError> {
    let mut problems = Problems::new(text);
    let root = match DeTable::parse(text) {
        Ok(root) => root,
        Err(error) => {
            problems.add(&error.span().unwrap_or(0..0), "", error.message());
            return Err(problems.into_error(file));
        }
    };
    let mut reader = Reader::new(root.get_ref(), 0..0, "");
    let source = reader.required_text("source", &mut problems);
    let mut label = |key| reader.required_text(key, &mut problems).map(|text| text.value).unwrap_or_default();
    let (label_vi, label_en, owner) = (label("label_vi"), label("label_en"), label("owner"));
    let time_zone = time_zone(&mut reader, &mut problems);
    let encoding = encoding(&mut reader, &mut problems).unwrap_or(EncodingChoice::Fixed(Encoding::Utf8));
    let lists = named_tables(reader.get("lists"), "lists", &mut problems)
        .into_iter()
        .map(|(name, table)| (name, table.value))
        .collect();
    let values = named_tables(reader.get("values"), "values", &mut problems);
    let readers = reader.tables("record", &mut problems);
    if readers.is_empty() && problems.is_empty() {
        problems.add(&(0..0), "", "no [[record]]: the mapping maps nothing");
    }
    let records = readers.into_iter().filter_map(|reader| record(reader, &mut problems)).collect();
    reader.finish(&mut problems);
    let source = source.map(|id| {
        if id.value.is_empty() || !id.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            problems.add(&id.span, "source", "an id has small letters a to z, digits and dashes");
        }
        id.value
    });
    let mapping = Mapping {
        file: file.to_owned(),
        source: source.unwrap_or_default(),
        label_vi,
        label_en,
        owner,
        digest: hex::encode(digest::digest(&digest::SHA256, text.as_bytes())),
        text: text.to_owned(),
        time_zone,
        encoding,
        lists,
        values,
        records,
    };
    problems.finish_mapping(file, mapping)
}

fn record(mut reader: Reader<'_>, problems: &mut Problems<'_>) -> Option<RecordMapping> {
    reader.set_place("record".to_owned());
    let record_type = reader.required_text("type", problems)?;
    let short = record_type.value.rsplit('.').next().unwrap_or_default().to_owned();
    reader.set_place(format!("record {short}"));
    let reader_span = reader.span();
    let from = table(&mut reader, problems);
    let as_of = reader.text("as_of", problems);
    let encoding = encoding(&mut reader, problems);
    let lookup = match reader.get("lookup") {
        Some(node) => lookups(node, reader.place(), problems),
        None => {
            problems.add(&reader.span(), reader.place(), "[record.lookup] is missing: no key finds a record");
            Vec::new()
        }
    };
    let search = match reader.get("search") {
        Some(node) => search(node, reader.place(), problems),
        None => Vec::new(),
    };
    let fields = fields(&mut reader, problems);
    let children = reader.tables("children", problems);
    let children = children.into_iter().filter_map(|child| self::child(child, problems)).collect();
    let joined = reader.tables("joined", problems);
    let joined = joined.into_iter().filter_map(|joined| self::joined(joined, problems)).collect();
    let checks = reader.tables("checks", problems);
    let checks = checks.into_iter().filter_map(|check| self::check(check, problems)).collect();
    reader.finish(problems);
    // Without a table the mapping is refused; its names are worth a look all the same.
    let from = from.unwrap_or_else(|| Table {
        name: Spanned { value: String::new(), span: reader_span },
        select: None,
        filters: Vec::new(),
        order: Vec::new(),
    });
    Some(RecordMapping { record_type, from, as_of, lookup, search, encoding, fields, children, joined, checks })
}

/// The keys `table` or `select`, `where` and `order`.
fn table(reader: &mut Reader<'_>, problems: &mut Problems<'_>) -> Option<Table> {
    let (name, select) = match reader.text("select", problems) {
        Some(select) => {
            if let Some(table) = reader.text("table", problems) {
                problems.add(&table.span, reader.place(), "rows come from \"table\" or \"select\", not both");
            }
            check_select(&select, reader.place(), problems);
            let name = format!("SELECT of line {}", problems.line(&select.span));
            (Some(Spanned { value: name, span: select.span }), Some(select.value))
        }
        None => (reader.required_text("table", problems), None),
    };
    let filters = filters(reader, problems);
    let order = reader.texts("order", problems);
    Some(Table { name: name?, select, filters, order })
}

/// A SELECT is one statement that reads; that it changes nothing, the connection sees to.
fn check_select(select: &Spanned<String>, place: &str, problems: &mut Problems<'_>) {
    let first = select.value.split_whitespace().next().unwrap_or_default();
    if !["select", "with"].iter().any(|word| first.eq_ignore_ascii_case(word)) {
        problems.add(&select.span, place, "a SELECT begins with SELECT or WITH");
    } else if unquoted(&select.value).any(|letter| letter == ';') {
        problems.add(&select.span, place, "a SELECT is one statement: leave out the semicolon");
    }
}

/// The characters of a statement outside its texts and quoted names. A doubled quote ends one text and begins another.
fn unquoted(statement: &str) -> impl Iterator<Item = char> + '_ {
    let mut quote = None;
    statement.chars().filter(move |&letter| match quote {
        Some(open) => {
            if letter == open {
                quote = None;
            }
            false
        }
        None => {
            quote = Some(letter).filter(|letter| matches!(letter, '\'' | '"' | '`'));
            quote.is_none()
        }
    })
}

/// The key `where`.
fn filters(reader: &mut Reader<'_>, problems: &mut Problems<'_>) -> Vec<(Spanned<String>, String)> {
    let place = format!("{}, where", reader.place());
    match reader.get("where").map(|node| Reader::on(node, &place, problems)) {
        Some(Some(filters)) => filters
            .entries()
            .filter_map(|(column, node)| literal(node, &place, problems).map(|value| (column, value)))
            .collect(),
        _ => Vec::new(),
    }
}

fn lookups(node: &Node<'_>, place: &str, problems: &mut Problems<'_>) -> Vec<Lookup> {
    let place = format!("{place}, lookup");
    let Some(reader) = Reader::on(node, &place, problems) else { return Vec::new() };
    let mut lookups = Vec::new();
    for (key, node) in reader.entries() {
        let Some(kind) = identifier_kind(&key.value) else {
            let known: Vec<_> = identifier_kinds().map(|kind| kind.as_str_name().to_ascii_lowercase()).collect();
            let hint = suggest(&key.value, known.iter().map(String::as_str));
            problems.add(&key.span, &place, format!("unknown kind of key \"{}\"{hint}", key.value));
            continue;
        };
        let place = format!("{place} {}", key.value);
        let mut lookup = Lookup { kind, columns: Vec::new(), filters: Vec::new(), alone: false, through: None };
        if let DeValue::Table(table) = node.get_ref() {
            let Some(mut reader) = Reader::on(node, &place, problems) else { continue };
            lookup.columns = reader.texts("column", problems);
            if lookup.columns.is_empty() {
                problems.add(&node.span(), &place, "\"column\" is missing");
            }
            lookup.alone = reader.flag("alone", problems);
            if table.contains_key("table") || table.contains_key("select") {
                let Some(through) = through(&mut reader, problems) else { continue };
                lookup.through = Some(through);
            } else {
                lookup.filters = filters(&mut reader, problems);
            }
            reader.finish(problems);
        } else {
            lookup.columns = texts(node, &place, problems);
        }
        lookups.push(lookup);
    }
    if lookups.is_empty() {
        let message = "no key finds a record: name the column that holds such a number, as personal_id = [\"column\"]";
        problems.add(&node.span(), &place, message);
    }
    lookups
}

fn search(node: &Node<'_>, place: &str, problems: &mut Problems<'_>) -> Vec<SearchMapping> {
    let place = format!("{place}, search");
    let Some(reader) = Reader::on(node, &place, problems) else { return Vec::new() };
    let mut found = Vec::new();
    for (key, node) in reader.entries() {
        let Some(kind) = CriterionKind::ALL.into_iter().find(|kind| kind.as_str() == key.value) else {
            let hint = suggest(&key.value, CriterionKind::ALL.iter().map(|kind| kind.as_str()));
            problems.add(&key.span, &place, format!("unknown criterion \"{}\"{hint}", key.value));
            continue;
        };
        let Some(mut reader) = Reader::on(node, &format!("{place} {}", key.value), problems) else { continue };
        let field = reader.required_text("field", problems);
        let columns = reader.texts("column", problems);
        reader.finish(problems);
        if let Some(field) = field {
            found.push(SearchMapping { kind, field, columns });
        }
    }
    found
}

/// The keys `table`, `where`, `order` and `join`.
fn through(reader: &mut Reader<'_>, problems: &mut Problems<'_>) -> Option<Through> {
    let table = table(reader, problems);
    let place = format!("{}, join", reader.place());
    let Some(node) = reader.get("join") else {
        problems.add(
            &reader.span(),
            reader.place(),
            "\"join\" is missing: { column of this table = column of the record's table }",
        );
        return None;
    };
    let join: Vec<Join> = Reader::on(node, &place, problems)?
        .entries()
        .filter_map(|(other, node)| text(node, &place, problems).map(|own| Join { other, own }))
        .collect();
    if join.is_empty() {
        problems.add(&node.span(), &place, "the join names no columns");
        return None;
    }
    Some(Through { table: table?, join })
}

fn child(mut reader: Reader<'_>, problems: &mut Problems<'_>) -> Option<ChildMapping> {
    let field = nested(&mut reader, "children", problems);
    let from = through(&mut reader, problems);
    let encoding = encoding(&mut reader, problems);
    let fields = fields(&mut reader, problems);
    reader.finish(problems);
    Some(ChildMapping { field: field?, from: from?, encoding, fields })
}

fn joined(mut reader: Reader<'_>, problems: &mut Problems<'_>) -> Option<JoinedMapping> {
    let field = nested(&mut reader, "joined", problems);
    let separator = reader.required_text("separator", problems);
    if let Some(empty) = separator.as_ref().filter(|separator| separator.value.is_empty()) {
        problems.add(&empty.span, reader.place(), "the separator is empty");
    }
    let fields = fields(&mut reader, problems);
    reader.finish(problems);
    Some(JoinedMapping { field: field?, separator: separator?.value, fields })
}

fn nested(reader: &mut Reader<'_>, what: &str, problems: &mut Problems<'_>) -> Option<Spanned<String>> {
    let field = reader.required_text("field", problems)?;
    reader.set_place(format!("{}, {what} {}", reader.place(), field.value));
    Some(field)
}

fn check(mut reader: Reader<'_>, problems: &mut Problems<'_>) -> Option<CheckMapping> {
    let name = reader.required_text("check", problems)?;
    let place = format!("{}, check {}", reader.place(), name.value);
    reader.set_place(place.clone());
    let span = reader.span();
    let fields = match reader.get("fields").map(|node| Reader::on(node, &place, problems)) {
        Some(Some(fields)) => fields
            .entries()
            .filter_map(|(role, node)| text(node, &place, problems).map(|path| (role.value, path)))
            .collect(),
        Some(None) => BTreeMap::new(),
        None => {
            problems.add(&span, &place, "\"fields\" is missing");
            BTreeMap::new()
        }
    };
    reader.finish(problems);
    Some(CheckMapping { name, fields, span })
}

fn fields(reader: &mut Reader<'_>, problems: &mut Problems<'_>) -> Vec<FieldMapping> {
    let place = reader.place().to_owned();
    let Some(node) = reader.get("fields") else {
        problems.add(&reader.span(), &place, "\"fields\" is missing");
        return Vec::new();
    };
    let Some(fields) = Reader::on(node, &place, problems) else { return Vec::new() };
    fields
        .entries()
        .filter_map(|(path, node)| {
            let place = format!("{place}, field {}", path.value);
            field(path, Reader::on(node, &place, problems)?, problems)
        })
        .collect()
}

fn field(path: Spanned<String>, mut reader: Reader<'_>, problems: &mut Problems<'_>) -> Option<FieldMapping> {
    let span = reader.span();
    let input = input(&mut reader, problems);
    let convert = conversion(&mut reader, matches!(input, Some(Input::Exists(_))), problems);
    let required = reader.flag("required", problems);
    let encoding = encoding(&mut reader, problems);
    let formats = reader.texts("format", problems);
    let options = CONVERTER_OPTIONS
        .into_iter()
        .filter_map(|name| reader.text(name, problems).map(|value| (name.to_owned(), value)))
        .collect();
    let place = format!("{}, values", reader.place());
    let values = reader.get("values").and_then(|node| match node.get_ref() {
        DeValue::String(_) => text(node, &place, problems).map(Values::Named),
        _ => text_table(node, &place, problems).map(Values::Inline),
    });
    reader.finish(problems);
    Some(FieldMapping { path, input: input?, convert: convert?, required, encoding, formats, options, values, span })
}

fn conversion(reader: &mut Reader<'_>, exists: bool, problems: &mut Problems<'_>) -> Option<Spanned<Conversion>> {
    let convert = reader.text("convert", problems);
    let derive = reader.text("derive", problems);
    let named = |text: Spanned<String>, conversion: fn(String) -> Conversion| Spanned {
        value: conversion(text.value),
        span: text.span,
    };
    match (convert, derive) {
        (Some(convert), None) => Some(named(convert, Conversion::Convert)),
        (None, Some(derive)) => Some(named(derive, Conversion::Derive)),
        (None, None) if exists => {
            Some(Spanned { value: Conversion::Convert("boolean".to_owned()), span: reader.span() })
        }
        (None, None) => {
            problems.add(&reader.span(), reader.place(), "\"convert\" is missing");
            None
        }
        (Some(_), Some(derive)) => {
            problems.add(&derive.span, reader.place(), "a field has \"convert\" or \"derive\", not both");
            None
        }
    }
}

fn input(reader: &mut Reader<'_>, problems: &mut Problems<'_>) -> Option<Input> {
    let place = reader.place().to_owned();
    let (from, first_of, exists) = (reader.get("from"), reader.get("first_of"), reader.get("exists"));
    match (from, first_of, exists) {
        (Some(node), None, None) => match node.get_ref() {
            DeValue::String(_) => text(node, &place, problems).map(Input::Column),
            DeValue::Array(_) => Some(Input::Together(texts(node, &place, problems))),
            other if !other.is_table() => {
                let message = "a column in quotes, a list of columns or { role = column } is expected here, not";
                problems.add(&node.span(), &place, format!("{message} {}", other.type_str()));
                None
            }
            _ => {
                let roles = Reader::on(node, &place, problems)?;
                let roles =
                    roles.entries().filter_map(|(role, node)| Some((role.value, text(node, &place, problems)?)));
                Some(Input::Roles(roles.collect()))
            }
        },
        (None, Some(node), None) => Some(Input::FirstOf(texts(node, &place, problems))),
        (None, None, Some(node)) => {
            let mut exists = Reader::on(node, &format!("{place}, exists"), problems)?;
            let through = through(&mut exists, problems);
            exists.finish(problems);
            through.map(|through| Input::Exists(Box::new(through)))
        }
        (None, None, None) => {
            problems.add(&reader.span(), &place, "\"from\" is missing: which column holds it?");
            None
        }
        _ => {
            problems.add(&reader.span(), &place, "a field has one of \"from\", \"first_of\" and \"exists\"");
            None
        }
    }
}

fn encoding(reader: &mut Reader<'_>, problems: &mut Problems<'_>) -> Option<EncodingChoice> {
    let place = format!("{}, encoding", reader.place());
    let node = reader.get("encoding")?;
    if let DeValue::String(_) = node.get_ref() {
        return named_encoding(node, &place, problems).map(EncodingChoice::Fixed);
    }
    let mut choice = Reader::on(node, &place, problems)?;
    let column = choice.required_text("column", problems);
    let values = choice.get("values").map(|node| Reader::on(node, &place, problems));
    let values: BTreeMap<_, _> = match values {
        Some(Some(values)) => values
            .entries()
            .filter_map(|(value, node)| Some((value.value, named_encoding(node, &place, problems)?)))
            .collect(),
        Some(None) => return None,
        None => {
            problems.add(&node.span(), &place, "\"values\" is missing: { value of the column = encoding }");
            return None;
        }
    };
    choice.finish(problems);
    Some(EncodingChoice::ByColumn { column: column?, values })
}

fn named_encoding(node: &Node<'_>, place: &str, problems: &mut Problems<'_>) -> Option<Encoding> {
    let name = text(node, place, problems)?;
    parse_name(&name, "encoding", &ENCODINGS, place, problems)
}

fn parse_name<T: FromStr>(
    name: &Spanned<String>,
    what: impl Display,
    known: &[&str],
    place: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let parsed = name.value.parse().ok();
    if parsed.is_none() {
        let hint = suggest(&name.value, known.iter().copied());
        problems.add(&name.span, place, format!("unknown {what} \"{}\"{hint}", name.value));
    }
    parsed
}

fn time_zone(reader: &mut Reader<'_>, problems: &mut Problems<'_>) -> FixedOffset {
    let given = reader.text("time_zone", problems);
    let text = given.as_ref().map_or(TIME_ZONE_DEFAULT, |given| given.value.as_str());
    match (text.parse::<FixedOffset>(), &given) {
        (Ok(offset), _) => offset,
        (Err(_), Some(given)) => {
            problems.add(&given.span, "time_zone", "a time zone is an offset such as \"+07:00\"");
            chrono::Offset::fix(&chrono::Utc)
        }
        (Err(_), None) => chrono::Offset::fix(&chrono::Utc),
    }
}

fn named_tables(
    node: Option<&Node<'_>>,
    place: &str,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, Spanned<BTreeMap<String, String>>> {
    let Some(reader) = node.and_then(|node| Reader::on(node, place, problems)) else { return BTreeMap::new() };
    reader
        .entries()
        .filter_map(|(name, node)| {
            Some((name.value.clone(), text_table(node, &format!("{place}.{}", name.value), problems)?))
        })
        .collect()
}

/// `personal_id` for `IdentifierKind::PersonalId`, and so on.
fn identifier_kind(name: &str) -> Option<IdentifierKind> {
    identifier_kinds().find(|kind| kind.as_str_name().eq_ignore_ascii_case(name) && *name == name.to_ascii_lowercase())
}

pub(super) fn identifier_kinds() -> impl Iterator<Item = IdentifierKind> {
    (1..).map_while(|number| IdentifierKind::try_from(number).ok())
}
