//! What a draft looks for: the leaf fields of a record type, each with the names it goes by.

use std::collections::{BTreeMap, HashSet};

use normalize::code_list;
use prost_reflect::FieldDescriptor;
use proto::{Field, FieldKind, RecordType};

use super::words::{Meanings, Weights, meanings};
use crate::mapping::{Conversion, FieldMapping, Mapping, RecordMapping};

/// What the name of a kind of card counts for a field that holds any document.
const DOCUMENT: f64 = 0.7;

/// What a nationality counts for a field that holds a country.
const NATIONALITY: f64 = 0.8;

/// A leaf field to find columns for.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Position in the record type's fields.
    pub(super) leaf: usize,
    /// Path within the record, or within the repeated message that holds it.
    pub(super) path: String,
    /// Path of the repeated message that holds it.
    pub(super) container: Option<String>,
    /// Names it goes by, with how much a likeness to each counts.
    pub(super) names: Vec<(Meanings, f64)>,
    pub(super) kind: FieldKind,
    pub(super) convert: String,
    pub(super) list: Option<String>,
    pub(super) vintage: Option<String>,
    pub(super) required: bool,
    /// Whether it is a number of the record's own subject.
    pub(super) identifies: bool,
}

/// The fields of a record type, and how much words tell among them.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) all: Vec<Target>,
    pub(super) weights: Weights,
    /// What the record type itself is called.
    pub(super) context: Meanings,
}

impl Targets {
    /// Converters and lists come from a mapping of the same record type where one is known.
    pub(super) fn new(record_type: &RecordType, known: &[Mapping]) -> Self {
        let own = known.iter().flat_map(|mapping| &mapping.records);
        let own = own.clone().find(|record| record.record_type.value == record_type.name);
        let all: Vec<Target> = record_type
            .fields
            .iter()
            .enumerate()
            .filter_map(|(leaf, field)| target(leaf, field, own.map(|record| conversions(record)).as_ref()))
            .collect();
        let short = record_type.name.rsplit('.').next().unwrap_or_default();
        let context = [short, &record_type.label_vi, &record_type.label_en]
            .into_iter()
            .fold(Meanings::default(), |all, name| all.with(meanings(name)));
        let sets = all.iter().map(|target| {
            let names = target.names.iter().flat_map(|(name, _)| name.0.iter().flatten());
            names.map(String::as_str).collect::<HashSet<_>>()
        });
        let weights = Weights::new(sets, &context);
        Self { weights, all, context }
    }

    /// Paths of the repeated messages.
    pub(super) fn containers(&self) -> Vec<&str> {
        let mut containers: Vec<_> = self.all.iter().filter_map(|target| target.container.as_deref()).collect();
        containers.dedup();
        containers
    }
}

/// How a known mapping converts each field, by full path.
fn conversions(record: &RecordMapping) -> BTreeMap<String, &FieldMapping> {
    let inside = |container: &str, field: &FieldMapping| format!("{container}.{}", field.path.value);
    let children = record
        .children
        .iter()
        .flat_map(|child| child.fields.iter().map(move |field| (inside(&child.field.value, field), field)));
    let joined = record
        .joined
        .iter()
        .flat_map(|joined| joined.fields.iter().map(move |field| (inside(&joined.field.value, field), field)));
    record.fields.iter().map(|field| (field.path.value.clone(), field)).chain(children).chain(joined).collect()
}

fn target(leaf: usize, field: &Field, known: Option<&BTreeMap<String, &FieldMapping>>) -> Option<Target> {
    let lists: Vec<usize> = (0..field.descriptors.len()).filter(|&at| field.descriptors[at].is_list()).collect();
    let depth = match lists.as_slice() {
        [] => 0,
        // A repeated message that is not repeated within another, and is no value itself.
        [at] if at + 1 < field.descriptors.len() => at + 1,
        _ => return None,
    };
    let join =
        |descriptors: &[FieldDescriptor]| descriptors.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".");
    let known = known.and_then(|known| known.get(&field.path)).copied();
    let option = |name: &str| known.and_then(|field| field.options.get(name)).map(|value| value.value.clone());
    let convert = match known.map(|field| &field.convert.value) {
        // What a card's number says is read from no other column.
        Some(Conversion::Convert(name)) if !name.starts_with("card_") => name.clone(),
        _ => converter(field).to_owned(),
    };
    Some(Target {
        leaf,
        path: join(&field.descriptors[depth..]),
        container: (depth > 0).then(|| join(&field.descriptors[..depth])),
        names: names(field, depth),
        kind: field.kind.clone(),
        list: option("list").or_else(|| list_of(field)),
        vintage: option("vintage"),
        required: known.is_some_and(|field| field.required),
        identifies: field.identifies.is_some(),
        convert,
    })
}

fn names(field: &Field, depth: usize) -> Vec<(Meanings, f64)> {
    let last = |label: &str| label.split(": ").skip(depth).collect::<Vec<_>>().join(" ");
    let mut names = vec![
        (meanings(&field.label_vi), 1.0),
        (meanings(&field.label_en), 1.0),
        (meanings(&field.path.replace('.', " ")), 1.0),
    ];
    if depth > 0 {
        let path = field.path.rsplit('.').next().unwrap_or_default();
        names.extend([&last(&field.label_vi), &last(&field.label_en), path].map(|name| (meanings(name), 1.0)));
    }
    if let Some(kind) = field.identifies {
        names.push((meanings(&kind.as_str_name().to_ascii_lowercase()), 1.0));
    }
    if let Some(concept) = &field.concept {
        names.push((meanings(concept), 0.95));
    }
    // Whose nationality is known, his country is; a country alone is where somebody lives.
    for (name, _) in names.clone().into_iter().filter(|(name, _)| name.mean("country")) {
        names.push((name.without(&["country"]).with(meanings("nationality")), NATIONALITY));
    }
    if is_value(field, "IdentityDocument") {
        // Old and new cards are documents.
        for (name, _) in names.clone() {
            let whose = name.without(&["identity document"]);
            names.extend(["cccd", "cmnd"].map(|card| (whose.clone().with(meanings(card)), DOCUMENT)));
        }
    }
    if is_value(field, "PersonName") {
        for (name, _) in names.clone() {
            // "Chủ hộ" alone is the head's name, and "tên" within a table of people a person's.
            let without = name.without(&["full name", "name"]);
            if !without.is_empty() {
                names.push((without, 0.9));
            } else {
                names.push((meanings("ten"), 1.0));
            }
        }
    }
    names.retain(|(name, _)| !name.is_empty());
    names.dedup();
    names
}

fn is_value(field: &Field, name: &str) -> bool {
    matches!(&field.kind, FieldKind::Value(full) if full.rsplit('.').next() == Some(name))
}

/// The converter a field of this kind and name most likely needs.
fn converter(field: &Field) -> &'static str {
    use proto::options::v1::IdentifierKind as Kind;
    let named =
        |meaning: &str| [&field.path, &field.label_vi, &field.label_en].iter().any(|name| meanings(name).mean(meaning));
    match &field.kind {
        FieldKind::Bool => "boolean",
        FieldKind::Int32 => "integer",
        FieldKind::Value(full) => match full.rsplit('.').next().unwrap_or_default() {
            "PersonName" => "person_name",
            "PartialDate" if named("birth date") => "birth_date",
            "PartialDate" => "partial_date",
            "Address" => "address",
            "Money" => "money",
            "IdentityDocument" => "identity_document",
            _ if named("industry") => "industry_code",
            _ => "code",
        },
        FieldKind::String => match field.identifies {
            Some(Kind::PersonalId) => "personal_id",
            Some(Kind::LegacyId) => "legacy_id",
            Some(Kind::SocialInsuranceNumber) => "social_insurance_number",
            Some(Kind::EnterpriseCode) => "tax_code",
            Some(Kind::BudgetUnitCode) => "budget_unit_code",
            _ if named("personal id") => "personal_id",
            _ if named("legacy id") => "legacy_id",
            _ if named("health card") => "health_insurance_card",
            _ if named("social insurance number") => "social_insurance_number",
            _ if named("enterprise code") => "tax_code",
            _ if named("number") && !named("name") => "text",
            _ if named("name") || named("office") || named("unit") => "org_name",
            _ => "text",
        },
    }
}

/// The list the field's comment in the `.proto` names (List `gender`), or the shared list of the field's own name.
fn list_of(field: &Field) -> Option<String> {
    let descriptor = field.descriptors.last()?;
    let file = descriptor.parent_message().parent_file();
    let comment = file.file_descriptor_proto().source_code_info.as_ref().and_then(|info| {
        let location = info.location.iter().find(|location| location.path == descriptor.path())?;
        location.leading_comments.clone()
    });
    let named = comment.and_then(|comment| Some(comment.split_once("List `")?.1.split_once('`')?.0.to_owned()));
    let own = || code_list(descriptor.name()).map(|list| list.scheme().to_owned());
    named.or_else(own).or_else(|| Some(descriptor.name().to_owned())).filter(|_| is_value(field, "CodedValue"))
}
