//! Checks what a mapping says of searching: each criterion is compared with a field it fits, some index narrows the rows,
//! and a person's name never stands without the birth date.

use proto::FieldKind;

use super::{RecordPlan, SearchPlan};
use crate::{
    CriterionKind,
    mapping::RecordMapping,
    problem::{Problems, suggest},
};

pub(super) fn search(
    plan: &RecordPlan,
    record: &RecordMapping,
    place: &str,
    problems: &mut Problems<'_>,
) -> Vec<SearchPlan> {
    let place = format!("{place}, search");
    let mut found: Vec<SearchPlan> = Vec::new();
    for mapped in &record.search {
        let path = &mapped.field;
        let leaf = plan.fields.iter().map(|field| field.leaf).find(|&leaf| field_path(plan, leaf) == path.value);
        let Some(leaf) = leaf else {
            let hint = suggest(&path.value, plan.fields.iter().map(|field| field_path(plan, field.leaf)));
            problems.add(&path.span, &place, format!("\"{}\" is no mapped field{hint}", path.value));
            continue;
        };
        let kind = &plan.record_type.fields[leaf].kind;
        if !fits(mapped.kind, kind) {
            let message = format!("field {} has type {kind}, which is no {}", path.value, mapped.kind.as_str());
            problems.add(&path.span, &place, message);
            continue;
        }
        if let Some(column) = mapped.columns.first().filter(|_| mapped.kind == CriterionKind::Commune) {
            problems.add(
                &column.span,
                &place,
                "a commune is compared after its code is brought up to date: no column tells",
            );
        }
        found.push(SearchPlan { kind: mapped.kind, leaf, columns: mapped.columns.clone() });
    }
    let has = |kind| found.iter().any(|known| known.kind == kind);
    let Some(first) = record.search.first().filter(|_| found.len() == record.search.len()) else { return found };
    let span = &first.field.span;
    if has(CriterionKind::PersonName) && !has(CriterionKind::BirthDate) {
        problems.add(span, &place, "people are searched by name and birth year: \"birth_date\" is missing");
    }
    if !has(CriterionKind::PersonName) && !has(CriterionKind::OrganisationName) {
        problems.add(
            span,
            &place,
            "nobody is found without a name: \"person_name\" or \"organisation_name\" is missing",
        );
    }
    if found.iter().all(|criterion| criterion.columns.is_empty()) {
        problems.add(span, &place, "no \"column\" narrows the rows: some criterion names indexed columns");
    }
    if record.from.select.is_some() {
        problems.add(span, &place, "rows are searched in a table, whose indexes are known, not in a SELECT");
    }
    found
}

fn field_path(plan: &RecordPlan, leaf: usize) -> &str {
    plan.record_type.fields[leaf].path.as_str()
}

fn fits(criterion: CriterionKind, kind: &FieldKind) -> bool {
    let value = |name: &str| *kind == FieldKind::Value(format!("lienthong.common.v1.{name}"));
    match criterion {
        CriterionKind::PersonName => value("PersonName"),
        CriterionKind::OrganisationName => *kind == FieldKind::String,
        CriterionKind::BirthDate => value("PartialDate"),
        CriterionKind::Commune => value("Address"),
    }
}
