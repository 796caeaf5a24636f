//! Binds one field: its place in the record, its columns, its converter.

use std::collections::BTreeMap;

use normalize::{CodedValue, DateFormat, Vintage, code_list, code_schemes};
use prost_reflect::FieldDescriptor;
use proto::FieldKind;

use super::{ColumnPlan, FieldPlan, InputPlan, compile::Scope};
use crate::{
    convert::{Accepts, Codes, Converter, List, SPECS},
    mapping::{Conversion, FieldMapping, Input, Spanned, Values},
    problem::{Problems, suggest},
    value::ValueType,
};

const DATE_FORMATS: [&str; 9] =
    ["yyyyMMdd", "dd.MM.yyyy", "dd/MM/yyyy", "dd-MM-yyyy", "yyyy-MM-dd", "MM/yyyy", "MM.yyyy", "yyyyMM", "yyyy"];
const VINTAGES: [&str; 3] = ["pre-2025", "post-2025", "unknown"];
const VSIC_VINTAGES: [&str; 2] = ["2018", "2025"];
const DOCUMENT_LIST: &str = "identity_document_type";
const OBJECT_GROUP_LIST: &str = "health_insurance_object_group";

pub(super) fn field(
    scope: &Scope<'_>,
    mapped: &FieldMapping,
    container: &[FieldDescriptor],
    problems: &mut Problems<'_>,
) -> Option<FieldPlan> {
    let place = format!("{}, field {}", scope.place, mapped.path.value);
    let (leaf, path) = leaf(scope, mapped, container, &place, problems)?;
    let kind = &scope.record_type.fields[leaf].kind;
    let bound = Bound::of(scope, mapped, &place, problems)?;
    if !bound.output.fits(kind) {
        problems.add(
            &mapped.convert.span,
            &place,
            format!("{} gives {}, the field is {kind}{}", bound.name, bound.output.name(), fitting(kind)),
        );
    }
    let converter = converter(scope, mapped, &bound, &place, problems)?;
    let input = input(scope, mapped, &bound, &place, problems)?;
    let convert = bound.name.to_owned();
    Some(FieldPlan { leaf, path, input, convert, converter, accepts: bound.accepts, required: mapped.required })
}

/// The converters for a kind of field.
fn fitting(kind: &FieldKind) -> String {
    let names: Vec<_> = SPECS.iter().filter(|spec| spec.output.fits(kind)).map(|spec| spec.name).collect();
    if names.is_empty() { String::new() } else { format!("; converters for it: {}", names.join(", ")) }
}

fn leaf(
    scope: &Scope<'_>,
    mapped: &FieldMapping,
    container: &[FieldDescriptor],
    place: &str,
    problems: &mut Problems<'_>,
) -> Option<(usize, Vec<FieldDescriptor>)> {
    let names = container.iter().map(FieldDescriptor::name).chain([mapped.path.value.as_str()]);
    let full = names.collect::<Vec<_>>().join(".");
    let Some(leaf) = scope.record_type.field_index(&full) else {
        let within = scope.record_type.expand(&full);
        let message = if within.is_empty() {
            let prefix = full.strip_suffix(&mapped.path.value).unwrap_or_default();
            let known = scope.record_type.fields.iter().filter_map(|field| field.path.strip_prefix(prefix));
            format!("the record has no such field{}", suggest(&mapped.path.value, known))
        } else {
            format!("this is a message; map its fields: {}", scope.record_type.paths_of(&within).join(", "))
        };
        problems.add(&mapped.path.span, place, message);
        return None;
    };
    let path = scope.record_type.fields[leaf].descriptors.get(container.len()..).unwrap_or_default().to_vec();
    if path.iter().any(FieldDescriptor::is_list) {
        problems.add(
            &mapped.path.span,
            place,
            "the field repeats: map it under [[record.children]] or [[record.joined]]",
        );
        return None;
    }
    Some((leaf, path))
}

/// A converter or function by name, with what it declares.
struct Bound<'a> {
    name: &'a str,
    roles: &'static [&'static str],
    options: &'static [&'static str],
    values: bool,
    output: ValueType,
    accepts: Accepts,
    derive: Option<crate::functions::Derive>,
}

impl<'a> Bound<'a> {
    fn of(scope: &Scope<'_>, mapped: &'a FieldMapping, place: &str, problems: &mut Problems<'_>) -> Option<Self> {
        let span = &mapped.convert.span;
        let bound = match &mapped.convert.value {
            Conversion::Convert(name) => {
                let Some(spec) = SPECS.iter().find(|spec| spec.name == name) else {
                    let hint = suggest(name, SPECS.iter().map(|spec| spec.name));
                    problems.add(span, place, format!("unknown converter \"{name}\"{hint}"));
                    return None;
                };
                let (roles, options, values) = (spec.roles, spec.options, spec.values);
                Self { name, roles, options, values, output: spec.output, accepts: spec.accepts, derive: None }
            }
            Conversion::Derive(name) => {
                let Some(derive) = scope.functions.derives().iter().find(|derive| derive.name == name) else {
                    let hint = suggest(name, scope.functions.derives().iter().map(|derive| derive.name));
                    problems.add(span, place, format!("the sector has no function \"{name}\"{hint}"));
                    return None;
                };
                Self {
                    name,
                    roles: derive.roles,
                    options: &[],
                    values: false,
                    output: derive.output,
                    accepts: Accepts::Any,
                    derive: Some(*derive),
                }
            }
        };
        let format = mapped.formats.first().map(|first| ("format", first));
        for (option, value) in mapped.options.iter().map(|(name, value)| (name.as_str(), value)).chain(format) {
            if !bound.options.contains(&option) {
                problems.add(&value.span, place, format!("{} has no option \"{option}\"", bound.name));
            }
        }
        if let (false, Some(Values::Named(Spanned { span, .. }) | Values::Inline(Spanned { span, .. }))) =
            (bound.values, &mapped.values)
        {
            problems.add(span, place, format!("{} takes no table of values", bound.name));
        }
        Some(bound)
    }
}

fn input(
    scope: &Scope<'_>,
    mapped: &FieldMapping,
    bound: &Bound<'_>,
    place: &str,
    problems: &mut Problems<'_>,
) -> Option<InputPlan> {
    let encoding = mapped.encoding.as_ref().unwrap_or(&scope.encoding);
    let column = |role: &str, column: &Spanned<String>| ColumnPlan {
        role: role.to_owned(),
        column: column.clone(),
        encoding: encoding.clone(),
    };
    let first = bound.roles.first().copied().unwrap_or_default();
    let all = |columns: &[Spanned<String>]| columns.iter().map(|name| column(first, name)).collect();
    Some(match &mapped.input {
        Input::Column(name) => InputPlan::Roles(vec![column(first, name)]),
        Input::Together(names) => InputPlan::Together(all(names)),
        Input::FirstOf(names) => InputPlan::FirstOf(all(names)),
        Input::Exists(through) => {
            if bound.output != ValueType::Bool {
                problems.add(&mapped.convert.span, place, "\"exists\" gives a bool");
            }
            InputPlan::Exists(through.clone())
        }
        Input::Roles(roles) => {
            for (role, column) in roles {
                if !bound.roles.contains(&role.as_str()) {
                    let hint = suggest(role, bound.roles.iter().copied());
                    problems.add(&column.span, place, format!("{} has no role \"{role}\"{hint}", bound.name));
                }
            }
            if let Some(wrong) = wrong_parts(bound, roles, !mapped.formats.is_empty()) {
                problems.add(&mapped.span, place, wrong);
            }
            // In the converter's own order, so that the leading role comes first.
            let given = bound.roles.iter().filter_map(|role| roles.get(*role).map(|name| column(role, name)));
            InputPlan::Roles(given.collect())
        }
    })
}

/// What is wrong with the columns of a date: one column holds it, or one each its year, month and day.
fn wrong_parts(bound: &Bound<'_>, roles: &BTreeMap<String, Spanned<String>>, format: bool) -> Option<&'static str> {
    // A role that is none is said already.
    let known = roles.keys().all(|role| bound.roles.contains(&role.as_str()));
    let dated = bound.derive.is_none() && bound.output == ValueType::Date && known;
    let has = |role: &str| roles.contains_key(role);
    let parts = has("year") || has("month") || has("day");
    match (has("date"), parts) {
        _ if !dated => None,
        (false, false) => {
            Some("which column holds the date? Name it as \"date\", or its parts as \"year\", \"month\", \"day\"")
        }
        (true, true) => {
            Some("a date stands in one column (\"date\") or in its parts (\"year\", \"month\", \"day\"), not in both")
        }
        (true, false) => None,
        (false, true) if has("precision") => {
            Some("\"precision\" says how exact the column \"date\" is; parts say it themselves")
        }
        (false, true) if format => Some("the parts of a date have no format"),
        (false, true) if !has("year") => Some("a month or a day is no date without its \"year\""),
        (false, true) if !has("month") && has("day") => Some("a day is no date without its \"month\""),
        (false, true) => None,
    }
}

fn converter(
    scope: &Scope<'_>,
    mapped: &FieldMapping,
    bound: &Bound<'_>,
    place: &str,
    problems: &mut Problems<'_>,
) -> Option<Converter> {
    if let Some(derive) = bound.derive {
        return Some(Converter::Derive(derive));
    }
    let formats = |problems: &mut Problems<'_>| -> Box<[DateFormat]> {
        let given = mapped.formats.iter();
        let known: Box<[_]> =
            given.filter_map(|name| named(name, "date format", &DATE_FORMATS, place, problems)).collect();
        if known.is_empty() { [DateFormat::Iso].into() } else { known }
    };
    Some(match bound.name {
        "text" => Converter::Text,
        "org_name" => Converter::OrgName,
        "person_name" => Converter::PersonName,
        "personal_id" => Converter::PersonalId,
        "legacy_id" => Converter::LegacyId,
        "tax_code" => Converter::TaxCode,
        "social_insurance_number" => Converter::SocialInsuranceNumber,
        "health_insurance_card" => Converter::HealthInsuranceCard,
        "card_object_group" => {
            Converter::CardObjectGroup(codes(scope, mapped, Some(OBJECT_GROUP_LIST), place, problems)?)
        }
        "card_benefit_level" => Converter::CardBenefitLevel,
        "budget_unit_code" => Converter::BudgetUnitCode,
        "partial_date" => Converter::Date { formats: formats(problems), birth: false },
        "birth_date" => Converter::Date { formats: formats(problems), birth: true },
        "code" => Converter::Code(codes(scope, mapped, None, place, problems)?),
        "industry_code" => {
            Converter::Industry(option(mapped, "vintage", "edition of VSIC", &VSIC_VINTAGES, place, problems))
        }
        "address" => {
            let vintage = option(mapped, "vintage", "vintage", &VINTAGES, place, problems);
            Converter::Address(vintage.unwrap_or(Vintage::Unknown))
        }
        "money" => Converter::Money,
        "decimal" => Converter::Decimal,
        "integer" => Converter::Integer,
        "boolean" => Converter::Boolean,
        "identity_document" => Converter::Document {
            codes: codes(scope, mapped, Some(DOCUMENT_LIST), place, problems)?,
            formats: formats(problems),
        },
        _ => return None,
    })
}

/// An option's value, if given and known.
fn option<T: std::str::FromStr>(
    mapped: &FieldMapping,
    name: &str,
    what: &str,
    known: &[&str],
    place: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    named(mapped.options.get(name)?, what, known, place, problems)
}

/// What a text names, if it is known.
fn named<T: std::str::FromStr>(
    given: &Spanned<String>,
    what: &str,
    known: &[&str],
    place: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let parsed = given.value.parse().ok();
    if parsed.is_none() {
        let hint = suggest(&given.value, known.iter().copied());
        problems.add(&given.span, place, format!("unknown {what} \"{}\"{hint}", given.value));
    }
    parsed
}

fn codes(
    scope: &Scope<'_>,
    mapped: &FieldMapping,
    default: Option<&str>,
    place: &str,
    problems: &mut Problems<'_>,
) -> Option<Codes> {
    let (name, span) = match (mapped.options.get("list"), default) {
        (Some(given), _) => (given.value.as_str(), &given.span),
        (None, Some(default)) => (default, &mapped.span),
        (None, None) => {
            problems.add(&mapped.span, place, "\"list\" is missing: which code list?");
            return None;
        }
    };
    let list = list(scope, name);
    if list.is_none() {
        let mut known: Vec<&str> = code_schemes().collect();
        known.extend(scope.mapping.lists.keys().map(String::as_str));
        problems.add(span, place, format!("unknown code list \"{name}\"{}", suggest(name, known)));
    }
    let values = match &mapped.values {
        None => None,
        Some(Values::Inline(values)) => Some(values),
        Some(Values::Named(table)) => {
            let found = scope.mapping.values.get(&table.value);
            if found.is_none() {
                let hint = suggest(&table.value, scope.mapping.values.keys().map(String::as_str));
                problems.add(&table.span, place, format!("no table [values.{}]{hint}", table.value));
            }
            found
        }
    };
    let list = list?;
    let values = values.map(|values| translate(values, &list, name, place, problems));
    Some(Codes { list, values })
}

/// The mapping's own list of that name, or the one every sector shares.
fn list(scope: &Scope<'_>, name: &str) -> Option<List> {
    match scope.mapping.lists.get(name) {
        Some(labels) => Some(List::Own { scheme: name.to_owned(), labels: labels.clone() }),
        None => code_list(name).map(List::Shared),
    }
}

fn translate(
    values: &Spanned<BTreeMap<String, String>>,
    list: &List,
    name: &str,
    place: &str,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, CodedValue> {
    let mut translated = BTreeMap::new();
    for (written, code) in &values.value {
        match list.by_code(code) {
            Some(value) => {
                translated.insert(written.clone(), value);
            }
            None => {
                let hint = suggest(code, list.codes());
                problems.add(&values.span, place, format!("the list {name} has no code \"{code}\"{hint}"));
            }
        }
    }
    translated
}
