//! Checks a mapping against the record types.

use std::{ops::Range, sync::Arc};

use prost_reflect::FieldDescriptor;
use proto::{RecordType, Schema};

use super::{CheckPlan, ChildPlan, FieldPlan, JoinedPlan, Plan, RecordPlan, field, search};
use crate::{
    functions::Functions,
    mapping::{CheckMapping, EncodingChoice, FieldMapping, Mapping, RecordMapping, Spanned},
    problem::{MappingError, Problems, suggest},
};

/// What field compilation needs to know.
pub(super) struct Scope<'a> {
    pub(super) mapping: &'a Mapping,
    pub(super) functions: &'a Functions,
    pub(super) record_type: &'a RecordType,
    pub(super) place: String,
    pub(super) encoding: EncodingChoice,
}

/// Binds a mapping, or says everything that is wrong with it.
pub(crate) fn compile(mapping: &Mapping, schema: &Schema, functions: &Functions) -> Result<Plan, MappingError> {
    let mut problems = Problems::new(&mapping.text);
    let mut records: Vec<RecordPlan> = Vec::new();
    for record in &mapping.records {
        let name = &record.record_type;
        let Some(record_type) = schema.record_type(&name.value) else {
            let hint = suggest(&name.value, schema.record_types().map(|known| known.name.as_str()));
            problems.add(&name.span, "record", format!("unknown record type \"{}\"{hint}", name.value));
            continue;
        };
        if records.iter().any(|known| known.record_type.name == name.value) {
            problems.add(&name.span, "record", format!("\"{}\" is mapped twice", name.value));
            continue;
        }
        records.push(self::record(mapping, record, record_type, functions, &mut problems));
    }
    let plan = Plan { file: mapping.file.clone(), text: mapping.text.clone(), time_zone: mapping.time_zone, records };
    problems.finish(&mapping.file, plan)
}

fn record(
    mapping: &Mapping,
    record: &RecordMapping,
    record_type: &Arc<RecordType>,
    functions: &Functions,
    problems: &mut Problems<'_>,
) -> RecordPlan {
    let short = record_type.name.rsplit('.').next().unwrap_or_default();
    let mut scope = Scope {
        mapping,
        functions,
        record_type,
        place: format!("record {short}"),
        encoding: record.encoding.clone().unwrap_or_else(|| mapping.encoding.clone()),
    };
    let mut plan = RecordPlan {
        record_type: Arc::clone(record_type),
        from: record.from.clone(),
        as_of: record.as_of.clone(),
        lookup: record.lookup.clone(),
        search: Vec::new(),
        fields: fields(&scope, &record.fields, &[], problems),
        children: Vec::new(),
        joined: Vec::new(),
        checks: Vec::new(),
        mapped: record_type.no_fields(),
    };
    let record_encoding = scope.encoding.clone();
    for child in &record.children {
        scope.place = format!("record {short}, children {}", child.field.value);
        // A child's rows do not hold the column that tells the encoding of the record's row.
        scope.encoding = match (&child.encoding, &record_encoding) {
            (Some(own), _) => own.clone(),
            (None, EncodingChoice::ByColumn { .. }) => mapping.encoding.clone(),
            (None, fixed) => fixed.clone(),
        };
        let Some(container) = container(&scope, &child.field, problems) else { continue };
        let fields = fields(&scope, &child.fields, &container, problems);
        let name = child.field.value.clone();
        plan.children.push(ChildPlan { name, container, from: child.from.clone(), fields });
    }
    scope.encoding = record_encoding;
    for joined in &record.joined {
        scope.place = format!("record {short}, joined {}", joined.field.value);
        let Some(container) = container(&scope, &joined.field, problems) else { continue };
        for field in &joined.fields {
            if !matches!(field.input, crate::mapping::Input::Column(_)) {
                problems.add(
                    &field.span,
                    &scope.place,
                    format!("field {}: joined text comes from one column", field.path.value),
                );
            }
        }
        let mut fields = fields(&scope, &joined.fields, &container, problems);
        // The column that leads is the one written first in the file.
        let first = joined.fields.iter().min_by_key(|field| field.span.start).map(|field| field.path.value.clone());
        fields.sort_by_key(|field| Some(leaf_name(field)) != first);
        let (name, separator) = (joined.field.value.clone(), joined.separator.clone());
        plan.joined.push(JoinedPlan { name, container, separator, fields });
    }
    scope.place = format!("record {short}");
    claim(&mut plan, record, &scope.place, problems);
    plan.search = search::search(&plan, record, &scope.place, problems);
    plan.checks = record.checks.iter().filter_map(|check| self::check(&scope, &plan, check, problems)).collect();
    plan
}

fn leaf_name(field: &FieldPlan) -> String {
    field.path.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".")
}

/// Marks what is mapped; a field mapped twice has no single origin.
fn claim(plan: &mut RecordPlan, record: &RecordMapping, place: &str, problems: &mut Problems<'_>) {
    let children = plan.children.iter().flat_map(|child| &child.fields);
    let joined = plan.joined.iter().flat_map(|joined| &joined.fields);
    for field in plan.fields.iter().chain(children).chain(joined) {
        if plan.mapped.contains(field.leaf) {
            let path = &plan.record_type.fields[field.leaf].path;
            problems.add(&record.record_type.span, place, format!("field {path} is mapped twice"));
        }
        plan.mapped.insert(field.leaf);
    }
}

fn fields(
    scope: &Scope<'_>,
    fields: &[FieldMapping],
    container: &[FieldDescriptor],
    problems: &mut Problems<'_>,
) -> Vec<FieldPlan> {
    fields.iter().filter_map(|mapped| field::field(scope, mapped, container, problems)).collect()
}

/// The descriptors down to a repeated message.
fn container(scope: &Scope<'_>, field: &Spanned<String>, problems: &mut Problems<'_>) -> Option<Vec<FieldDescriptor>> {
    let depth = field.value.split('.').count();
    let within = scope.record_type.expand(&field.value);
    let found = within
        .iter()
        .next()
        .map(|leaf| scope.record_type.fields[leaf].descriptors[..].iter().take(depth).cloned().collect::<Vec<_>>());
    let repeated = |path: &Vec<FieldDescriptor>| {
        path.split_last().is_some_and(|(last, above)| last.is_list() && !above.iter().any(FieldDescriptor::is_list))
    };
    let container = found.filter(|path| scope.record_type.field_index(&field.value).is_none() && repeated(path));
    if container.is_none() {
        let known = repeated_messages(scope.record_type);
        let hint = suggest(&field.value, known.iter().map(String::as_str));
        problems.add(&field.span, &scope.place, format!("\"{}\" is no repeated message{hint}", field.value));
    }
    container
}

fn repeated_messages(record_type: &RecordType) -> Vec<String> {
    let mut names: Vec<String> = record_type
        .fields
        .iter()
        .filter_map(|field| {
            let depth = field.descriptors.iter().position(FieldDescriptor::is_list)? + 1;
            (depth < field.descriptors.len())
                .then(|| field.descriptors[..depth].iter().map(FieldDescriptor::name).collect::<Vec<_>>().join("."))
        })
        .collect();
    names.dedup();
    names
}

fn check(
    scope: &Scope<'_>,
    plan: &RecordPlan,
    mapped: &CheckMapping,
    problems: &mut Problems<'_>,
) -> Option<CheckPlan> {
    let name = &mapped.name;
    let Some(check) = scope.functions.checks().iter().find(|check| check.name == name.value) else {
        let hint = suggest(&name.value, scope.functions.checks().iter().map(|check| check.name));
        problems.add(&name.span, &scope.place, format!("unknown check \"{}\"{hint}", name.value));
        return None;
    };
    let place = format!("{}, check {}", scope.place, check.name);
    let mut fields = Vec::new();
    for (role, path) in &mapped.fields {
        if !check.roles.contains(&role.as_str()) {
            let hint = suggest(role, check.roles.iter().copied());
            problems.add(&path.span, &place, format!("the check has no role \"{role}\"{hint}"));
            continue;
        }
        match plan.fields.iter().position(|field| plan.record_type.fields[field.leaf].path == path.value) {
            Some(position) => fields.push((role.clone(), position)),
            None => {
                let known = plan.fields.iter().map(|field| plan.record_type.fields[field.leaf].path.as_str());
                let hint = suggest(&path.value, known);
                problems.add(&path.span, &place, format!("\"{}\" is no mapped field{hint}", path.value));
            }
        }
    }
    require_role(check.roles, &mapped.fields, &mapped.span, &place, problems);
    Some(CheckPlan { check: *check, fields })
}

/// The first role must be given.
fn require_role<T>(
    roles: &[&str],
    given: &std::collections::BTreeMap<String, T>,
    span: &Range<usize>,
    place: &str,
    problems: &mut Problems<'_>,
) {
    if let Some(first) = roles.first().filter(|role| !given.contains_key(**role)) {
        problems.add(span, place, format!("the role \"{first}\" is missing"));
    }
}
