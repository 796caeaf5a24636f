//! From rows to a record and its marks.

use std::borrow::Cow;

use chrono::FixedOffset;
use normalize::{Converted, Defect, Notes};
use prost_reflect::{DynamicMessage, FieldDescriptor, Value as Dynamic};

use crate::{
    FetchedRecord, FieldMark, Grade,
    cell::Cell,
    convert::Outcome,
    database::Row,
    functions::{CheckedValues, InputText, Inputs},
    mapping::EncodingChoice,
    plan::{ColumnPlan, FieldPlan, InputPlan, RecordPlan},
    query::{ChildRead, ColumnRead, FieldRead, JoinedRead, Query},
    value::Value,
};

/// A required field whose column is empty.
const EMPTY_AT_SOURCE: &str = "empty_at_source";
/// Joined texts with different numbers of parts.
const MISALIGNED: &str = "misaligned_parts";
/// The column that tells the encoding holds something the mapping does not list.
const UNKNOWN_ENCODING: &str = "unknown_encoding";

/// Why a value is not released: a defect's reason or one of the above.
type Fault = &'static str;

/// Makes one record of its row and its children's rows, which follow the query's children.
pub(crate) fn record(
    plan: &RecordPlan,
    query: &Query,
    row: &Row,
    children: &[Vec<&Row>],
    time_zone: FixedOffset,
) -> FetchedRecord {
    observed(plan, query, row, children, time_zone, &mut |_, _| {})
}

/// The same, telling `seen` of every value there could be: its leaf field, and whether there is one to release.
pub(crate) fn observed(
    plan: &RecordPlan,
    query: &Query,
    row: &Row,
    children: &[Vec<&Row>],
    time_zone: FixedOffset,
    seen: &mut dyn FnMut(usize, bool),
) -> FetchedRecord {
    let message = DynamicMessage::new(plan.record_type.descriptor.clone());
    let mut maker = Maker { plan, time_zone, message, marks: Vec::new(), seen };
    let checked = maker.fields(query, row);
    maker.checks(query, &checked);
    for read in &query.joined {
        maker.joined(read, row);
    }
    for (read, rows) in query.children.iter().zip(children) {
        maker.children(read, rows);
    }
    let as_of = query.as_of.and_then(|slot| row.get(slot)).and_then(|cell| cell.instant(time_zone));
    FetchedRecord { message: maker.message, as_of, marks: maker.marks }
}

struct Maker<'a> {
    plan: &'a RecordPlan,
    time_zone: FixedOffset,
    message: DynamicMessage,
    marks: Vec<FieldMark>,
    seen: &'a mut dyn FnMut(usize, bool),
}

impl Maker<'_> {
    /// Converts the record's own fields; gives back values for checks, by position of the field.
    fn fields(&mut self, query: &Query, row: &Row) -> Vec<(usize, Value)> {
        let plan = self.plan;
        let mut values = Vec::new();
        for read in &query.fields {
            let field = &plan.fields[read.field];
            let outcome = outcome(field, read, row, self.time_zone);
            if let Ok(Converted { value: Some(value), .. }) = &outcome
                && query.checks.iter().any(|&check| plan.checks[check].fields.iter().any(|(_, at)| *at == read.field))
            {
                values.push((read.field, value.clone()));
            }
            if read.released {
                let path = plan.record_type.fields[field.leaf].path.clone();
                if let Some(value) = self.judge(field, path, outcome) {
                    set(&mut self.message, &field.path, value);
                }
            }
        }
        values
    }

    /// Notes what must be said of an outcome and gives the value to release.
    fn judge(
        &mut self,
        field: &FieldPlan,
        path: String,
        outcome: Result<Converted<Option<Value>>, Fault>,
    ) -> Option<Value> {
        (self.seen)(field.leaf, matches!(outcome, Ok(Converted { value: Some(_), .. })));
        match outcome {
            Ok(Converted { value: Some(value), notes }) => {
                for note in notes.iter() {
                    self.mark(field.leaf, &path, note.grade().into(), note.reason());
                }
                Some(value)
            }
            Ok(Converted { value: None, .. }) => {
                if field.required {
                    self.mark(field.leaf, &path, Grade::Missing, EMPTY_AT_SOURCE);
                }
                None
            }
            Err(fault) => {
                self.mark(field.leaf, &path, Grade::Invalid, fault);
                None
            }
        }
    }

    /// Marks a field that gets no value at all.
    fn withhold(&mut self, field: usize, path: &str, grade: Grade, reason: &'static str) {
        (self.seen)(field, false);
        self.mark(field, path, grade, reason);
    }

    fn mark(&mut self, field: usize, path: &str, grade: Grade, reason: &'static str) {
        match self.marks.iter_mut().find(|mark| mark.path == path) {
            Some(mark) => {
                mark.grade = mark.grade.max(grade);
                if !mark.reasons.iter().any(|known| known == reason) {
                    mark.reasons.push(reason.into());
                }
            }
            None => self.marks.push(FieldMark { field, path: path.to_owned(), grade, reasons: vec![reason.into()] }),
        }
    }

    fn checks(&mut self, query: &Query, values: &[(usize, Value)]) {
        let plan = self.plan;
        for check in query.checks.iter().map(|&check| &plan.checks[check]) {
            let given = check.fields.iter().filter_map(|(role, at)| {
                values.iter().find(|(field, _)| field == at).map(|(_, value)| (role.as_str(), value))
            });
            for (role, reason) in (check.check.run)(&CheckedValues(given.collect())) {
                let released =
                    check.field(role).filter(|at| query.fields.iter().any(|read| read.released && read.field == *at));
                let Some(leaf) = released.map(|at| plan.fields[at].leaf) else { continue };
                self.mark(leaf, &plan.record_type.fields[leaf].path, Grade::Suspect, reason);
            }
        }
    }

    /// One element per part of the leading column's text.
    fn joined(&mut self, read: &JoinedRead, row: &Row) {
        let plan = &self.plan.joined[read.joined];
        let texts: Vec<_> =
            read.fields.iter().map(|part| joined_text(&plan.fields[part.field], part, row, self.time_zone)).collect();
        let parts: Vec<Vec<&str>> = texts
            .iter()
            .map(|text| text.as_ref().map(|(text, _)| split(text, &plan.separator)).unwrap_or_default())
            .collect();
        let count = parts.first().map_or(0, Vec::len);
        let mut elements: Vec<_> = (0..count).filter_map(|_| element(&plan.container)).collect();
        for ((part, text), parts) in read.fields.iter().zip(&texts).zip(&parts).filter(|((part, _), _)| part.released) {
            let field = &plan.fields[part.field];
            let inner = leaf_name(&field.path);
            let whole = format!("{}.{inner}", plan.name);
            match text {
                Err(fault) => self.withhold(field.leaf, &whole, Grade::Invalid, fault),
                // Parts that cannot be told apart are given to nobody.
                Ok(_) if !parts.is_empty() && parts.len() != count => {
                    self.withhold(field.leaf, &whole, Grade::Invalid, MISALIGNED);
                }
                Ok(_) if count == 0 && field.required => {
                    self.withhold(field.leaf, &whole, Grade::Missing, EMPTY_AT_SOURCE);
                }
                Ok((_, notes)) => {
                    for (at, message) in elements.iter_mut().enumerate() {
                        let text = parts.get(at).copied().unwrap_or_default();
                        let inputs = one_input(part_role(field), text);
                        let outcome = field
                            .converter
                            .run(&inputs)
                            .map(|converted| Converted { notes: converted.notes.union(*notes), ..converted });
                        let path = format!("{}[{at}].{inner}", plan.name);
                        if let Some(value) = self.judge(field, path, outcome.map_err(Defect::reason)) {
                            set(message, &field.path, value);
                        }
                    }
                }
            }
        }
        append(&mut self.message, &plan.container, elements);
    }

    fn children(&mut self, read: &ChildRead, rows: &[&Row]) {
        let plan = &self.plan.children[read.child];
        let mut elements = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let Some(mut message) = element(&plan.container) else { return };
            for read in &read.fields {
                let field = &plan.fields[read.field];
                let path = format!("{}[{at}].{}", plan.name, leaf_name(&field.path));
                let outcome = outcome(field, read, row, self.time_zone);
                if let Some(value) = self.judge(field, path, outcome) {
                    set(&mut message, &field.path, value);
                }
            }
            elements.push(message);
        }
        append(&mut self.message, &plan.container, elements);
    }
}

/// Converts one field of one row.
fn outcome(
    field: &FieldPlan,
    read: &FieldRead,
    row: &Row,
    time_zone: FixedOffset,
) -> Result<Converted<Option<Value>>, Fault> {
    let columns = field.input.columns();
    let mut notes = Notes::NONE;
    let mut texts = Vec::with_capacity(columns.len());
    if field.exists().is_some() {
        let cell = read.columns.first().and_then(|column| row.get(column.slot)).unwrap_or(&Cell::Null);
        let found = matches!(cell, Cell::Bool(true)) || matches!(cell, Cell::Int(found) if *found != 0);
        return Ok(Converted::clean(Some(Value::Bool(found))));
    }
    for (plan, column) in columns.iter().zip(&read.columns) {
        if let Some((text, found)) = text(plan, *column, row, time_zone)? {
            notes = notes.union(found);
            texts.push(text);
            if matches!(field.input, InputPlan::FirstOf(_)) {
                break;
            }
        }
    }
    if matches!(field.input, InputPlan::Together(_)) && texts.len() > 1 {
        let whole = texts.iter().map(|input| input.text.as_ref()).collect::<Vec<_>>().join(" ");
        texts.truncate(1);
        if let Some(first) = texts.first_mut() {
            first.text = Cow::Owned(whole);
        }
    }
    let outcome: Outcome = field.converter.run(&Inputs(texts));
    outcome.map(|converted| Converted { notes: converted.notes.union(notes), ..converted }).map_err(Defect::reason)
}

/// The decoded text of one column; nothing when it is empty.
fn text<'r>(
    plan: &'r ColumnPlan,
    read: ColumnRead,
    row: &'r Row,
    time_zone: FixedOffset,
) -> Result<Option<(InputText<'r>, Notes)>, Fault> {
    let cell = row.get(read.slot).unwrap_or(&Cell::Null);
    if matches!(cell, Cell::Null) {
        return Ok(None);
    }
    let encoding = match &plan.encoding {
        EncodingChoice::Fixed(encoding) => *encoding,
        EncodingChoice::ByColumn { values, .. } => {
            let told = read.encoding.and_then(|slot| row.get(slot)).and_then(Cell::key).unwrap_or_default();
            *values.get(told.trim()).ok_or(UNKNOWN_ENCODING)?
        }
    };
    let decoded = cell.text(encoding, time_zone, read.padded).map_err(Defect::reason)?;
    Ok(decoded.map(|decoded| {
        let input = InputText {
            role: &plan.role,
            text: decoded.value.text,
            native_date: decoded.value.native_date,
            number: decoded.value.number,
        };
        (input, decoded.notes)
    }))
}

fn joined_text(
    field: &FieldPlan,
    read: &FieldRead,
    row: &Row,
    time_zone: FixedOffset,
) -> Result<(String, Notes), Fault> {
    let (Some(plan), Some(column)) = (field.input.columns().first(), read.columns.first()) else {
        return Ok((String::new(), Notes::NONE));
    };
    let text = text(plan, *column, row, time_zone)?;
    Ok(text.map(|(input, notes)| (input.text.into_owned(), notes)).unwrap_or_default())
}

/// The parts of a joined text, without the empty ones a closing separator leaves at the end.
fn split<'t>(text: &'t str, separator: &str) -> Vec<&'t str> {
    let mut parts: Vec<_> = text.split(separator).map(str::trim).collect();
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    parts
}

fn part_role(field: &FieldPlan) -> &str {
    field.input.columns().first().map_or("", |column| column.role.as_str())
}

fn one_input<'t>(role: &'t str, text: &'t str) -> Inputs<'t> {
    if text.is_empty() {
        return Inputs::default();
    }
    Inputs(vec![InputText { role, text: text.into(), native_date: false, number: false }])
}

pub(crate) fn leaf_name(path: &[FieldDescriptor]) -> String {
    path.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".")
}

/// Sets a field, making the messages on the way to it.
fn set(message: &mut DynamicMessage, path: &[FieldDescriptor], value: Value) {
    let Some((last, above)) = path.split_last() else { return };
    let mut at = message;
    for field in above {
        let Some(inner) = at.get_field_mut(field).as_message_mut() else { return };
        at = inner;
    }
    if let Some(value) = value.into_field(last) {
        at.set_field(last, value);
    }
}

/// An empty element of a repeated message.
fn element(container: &[FieldDescriptor]) -> Option<DynamicMessage> {
    let kind = container.last()?.kind();
    kind.as_message().map(|descriptor| DynamicMessage::new(descriptor.clone()))
}

fn append(message: &mut DynamicMessage, container: &[FieldDescriptor], elements: Vec<DynamicMessage>) {
    let Some((last, above)) = container.split_last() else { return };
    if elements.is_empty() {
        return;
    }
    let mut at = message;
    for field in above {
        let Some(inner) = at.get_field_mut(field).as_message_mut() else { return };
        at = inner;
    }
    at.set_field(last, Dynamic::List(elements.into_iter().map(Dynamic::Message).collect()));
}
