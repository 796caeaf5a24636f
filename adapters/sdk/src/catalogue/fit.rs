//! Compares a bound mapping with the live database.

use super::{Catalogue, Column, ColumnType};
use crate::{
    Engine,
    convert::Accepts,
    mapping::{EncodingChoice, Spanned, Table, Through},
    plan::{FieldPlan, RecordPlan},
    problem::{Problem, Problems, suggest},
    query::can_hold,
};

/// Everything of a record's mapping that the database does not bear out.
pub(crate) fn fit(catalogue: &Catalogue, record: &RecordPlan, text: &str) -> Vec<Problem> {
    let short = record.record_type.name.rsplit('.').next().unwrap_or_default();
    let mut fit = Fit { catalogue, problems: Problems::new(text), place: format!("record {short}") };
    let own = record.from.name.value.as_str();
    if fit.table(&record.from) {
        for lookup in &record.lookup {
            fit.place = format!("record {short}, lookup {}", lookup.kind.as_str_name().to_ascii_lowercase());
            let table = lookup.through.as_ref().map_or(own, |through| through.table.name.value.as_str());
            if lookup.through.as_ref().is_none_or(|through| fit.through(through, own)) {
                for column in lookup.columns.iter().chain(lookup.filters.iter().map(|(column, _)| column)) {
                    fit.column(table, column);
                }
            }
        }
        for search in &record.search {
            fit.place = format!("record {short}, search {}", search.kind.as_str());
            for column in &search.columns {
                fit.column(own, column);
            }
        }
        fit.place = format!("record {short}, as_of");
        if let Some(as_of) = &record.as_of
            && let Some(column) = fit.column(own, as_of)
            && !matches!(column.kind, ColumnType::Date | ColumnType::Text)
        {
            fit.problem(as_of, format!("{own}.{} holds no times", as_of.value));
        }
        let joined = record.joined.iter().flat_map(|joined| &joined.fields);
        for field in record.fields.iter().chain(joined) {
            fit.place = format!("record {short}, field {}", record.record_type.fields[field.leaf].path);
            fit.field(own, field);
        }
    }
    for child in &record.children {
        fit.place = format!("record {short}, children {}", child.name);
        if fit.through(&child.from, own) {
            for field in &child.fields {
                fit.place = format!("record {short}, field {}", record.record_type.fields[field.leaf].path);
                fit.field(&child.from.table.name.value, field);
            }
        }
    }
    fit.problems.into_list()
}

/// Lookup and join columns that no index begins with, which is correct, but slow; and search columns, which then narrow nothing.
pub(crate) fn unindexed(catalogue: &Catalogue, record: &RecordPlan) -> Vec<String> {
    let own = record.from.name.value.as_str();
    let mut columns = Vec::new();
    for lookup in &record.lookup {
        let table = lookup.through.as_ref().map_or(own, |through| through.table.name.value.as_str());
        columns.extend(lookup.columns.iter().map(|column| (table, &column.value)));
        if let Some(through) = &lookup.through {
            columns.extend(through.join.first().map(|join| (own, &join.own.value)));
        }
    }
    columns.extend(record.search.iter().flat_map(|search| &search.columns).map(|column| (own, &column.value)));
    for child in &record.children {
        columns.extend(child.from.join.first().map(|join| (child.from.table.name.value.as_str(), &join.other.value)));
    }
    columns
        .into_iter()
        .filter(|(table, name)| catalogue.column(table, name).is_some_and(|column| !column.indexed))
        .map(|(table, name)| format!("{table}.{name}"))
        .collect()
}

struct Fit<'a> {
    catalogue: &'a Catalogue,
    problems: Problems<'a>,
    place: String,
}

impl<'a> Fit<'a> {
    fn problem<T>(&mut self, at: &Spanned<T>, message: String) {
        self.problems.add(&at.span, &self.place, message);
    }

    fn table(&mut self, table: &Table) -> bool {
        let name = &table.name;
        if self.catalogue.table(&name.value).is_none() {
            let message = match self.catalogue.refused(&name.value) {
                Some(said) => format!("the database does not run this SELECT: {said}"),
                None => format!("the database has no table {}, or shows it to nobody", name.value),
            };
            self.problem(name, message);
            return false;
        }
        if self.catalogue.table(&name.value).is_some_and(|columns| columns.iter().all(|column| !column.readable)) {
            self.problem(name, format!("the account may not read table {0}: GRANT SELECT ON {0}", name.value));
            return false;
        }
        for column in &table.order {
            self.column(&name.value, column);
        }
        for (column, literal) in &table.filters {
            let Some(found) = self.column(&name.value, column) else { continue };
            if !can_hold(&found.kind, literal) {
                let message = format!("column {}.{} holds {}, never \"{literal}\"", name.value, found.name, found.kind);
                self.problem(column, message);
            }
        }
        true
    }

    fn through(&mut self, through: &Through, own: &str) -> bool {
        let there = self.table(&through.table);
        for join in &through.join {
            self.column(own, &join.own);
            if there {
                self.column(&through.table.name.value, &join.other);
            }
        }
        there
    }

    fn column(&mut self, table: &str, column: &Spanned<String>) -> Option<&'a Column> {
        let found = self.catalogue.column(table, &column.value);
        if self.catalogue.is_twice(table, &column.value) {
            let message = format!("{table} has two columns {}; give one of them another name with AS", column.value);
            self.problem(column, message);
        }
        // A table that is not there has been reported.
        if let (None, Some(columns)) = (found, self.catalogue.table(table)) {
            let hint = suggest(&column.value, columns.iter().map(|column| column.name.as_str()));
            // MySQL shows nobody a column that he may not read.
            let hidden = self.catalogue.engine() == Engine::MySql && !hint.contains("did you mean");
            let perhaps = if hidden { "; or the account may not read it" } else { "" };
            self.problem(column, format!("table {table} has no column {}{hint}{perhaps}", column.value));
        }
        if found.is_some_and(|column| !column.readable) {
            let message = format!("the account may not read column {table}.{0}: GRANT SELECT (\"{0}\")", column.value);
            self.problem(column, message);
        }
        found
    }

    fn field(&mut self, table: &str, field: &FieldPlan) {
        if let Some(through) = field.exists() {
            self.through(through, table);
        }
        for used in field.input.columns() {
            if let EncodingChoice::ByColumn { column, .. } = &used.encoding {
                self.column(table, column);
            }
            let Some(column) = self.column(table, &used.column) else { continue };
            // The converter reads its leading column; the others are codes and texts of any type.
            let leading = field.input.columns().first().is_some_and(|first| first.role == used.role);
            let accepts = if leading { field.accepts } else { Accepts::Any };
            if !accepts.accept(&column.kind, self.catalogue.engine()) {
                let message = format!(
                    "column {table}.{} holds {}, which {} does not read{}",
                    column.name,
                    column.kind,
                    field.convert,
                    remedy(&column.kind)
                );
                self.problem(&used.column, message);
            }
        }
    }
}

/// What to do about a column that no converter of a kind reads.
fn remedy(kind: &ColumnType) -> &'static str {
    match kind {
        ColumnType::Unsupported(_) | ColumnType::Date | ColumnType::Uuid => {
            "; a SELECT in place of the table can make text of it: CAST(… AS text), in MySQL CAST(… AS CHAR)"
        }
        _ => "",
    }
}

impl Accepts {
    fn accept(self, kind: &ColumnType, engine: Engine) -> bool {
        use ColumnType as C;
        // What SQLite calls a number may be anything.
        let number = matches!(kind, C::Int | C::Number) || engine == Engine::Sqlite && *kind == C::Date;
        let text = matches!(kind, C::Text | C::Padded(_) | C::Bytes | C::Enumeration)
            || engine == Engine::Sqlite && *kind == C::Number;
        match self {
            Self::Text => text,
            Self::TextOrNumber => text || number || *kind == C::Uuid,
            Self::Number => number || matches!(kind, C::Text | C::Padded(_)),
            Self::Date => matches!(kind, C::Date | C::Text | C::Padded(_) | C::Int | C::Bytes) || number,
            Self::Flag => text || number || *kind == C::Bool,
            Self::Any => !matches!(kind, C::Unsupported(_)),
        }
    }
}
