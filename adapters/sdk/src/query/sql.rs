//! Writes SQL in the dialect of each engine. Names are quoted, values are bound; nothing else enters a statement.

use std::{fmt::Write, sync::Arc};

use super::{
    Selected, Slot,
    narrow::{Alternatives, Term},
    other_form,
};
use crate::{
    Engine,
    catalogue::{Catalogue, ColumnType, split},
    database::Bind,
    mapping::{Lookup, Spanned, Table, Through},
    plan::RecordPlan,
};

/// A statement and what to bind to it.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(super) sql: Arc<str>,
    pub(super) slots: Vec<Slot>,
}

/// A table or column name in the engine's quotes; a dot separates schema and table.
pub(crate) fn quoted(engine: Engine, table: &str) -> String {
    let (schema, name) = split(table);
    let quote = |part: &str| identifier(engine, part);
    schema.map_or_else(|| quote(&name), |schema| format!("{}.{}", quote(&schema), quote(&name)))
}

/// A SELECT where a table's name may stand. Its last line may be a comment.
fn derived(select: &str) -> String {
    format!("(\n{select}\n)")
}

/// A column's name in the engine's quotes.
pub(crate) fn identifier(engine: Engine, name: &str) -> String {
    let mark = if engine == Engine::MySql { '`' } else { '"' };
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push(mark);
    for c in name.chars().filter(|c| *c != '\0') {
        if c == mark {
            quoted.push(mark);
        }
        quoted.push(c);
    }
    quoted.push(mark);
    quoted
}

/// A value as a column of this type compares it; equal to nothing when the column can hold no such value.
pub(super) fn bind(kind: &ColumnType, value: Option<&str>) -> Bind {
    let owned = || value.map(str::to_owned);
    match kind {
        // A branch's dash is in no number.
        ColumnType::Int | ColumnType::Number => {
            let whole = |value: &str| value.trim().parse().or_else(|_| other_form(value).parse()).ok();
            Bind::Int(value.and_then(whole))
        }
        ColumnType::Bool => Bind::Bool(value.and_then(|value| match value {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        })),
        ColumnType::Bytes => Bind::Bytes(value.map(|value| value.as_bytes().to_vec())),
        ColumnType::Uuid => Bind::Text(owned().filter(|value| uuid::Uuid::parse_str(value).is_ok())),
        ColumnType::Text
        | ColumnType::Padded(_)
        | ColumnType::Date
        | ColumnType::Enumeration
        | ColumnType::Unsupported(_) => Bind::Text(owned()),
    }
}

/// Whether a column of this type can hold the value at all.
pub(crate) fn can_hold(kind: &ColumnType, value: &str) -> bool {
    !matches!(bind(kind, Some(value)), Bind::Int(None) | Bind::Bool(None) | Bind::Text(None))
}

pub(super) struct Builder<'a> {
    catalogue: &'a Catalogue,
    engine: Engine,
    sql: String,
    slots: Vec<Slot>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(catalogue: &'a Catalogue) -> Self {
        Self { catalogue, engine: catalogue.engine(), sql: String::new(), slots: Vec::new() }
    }

    /// The rows of a record that a key names; value 0 is the key.
    pub(super) fn record(
        mut self,
        record: &RecordPlan,
        lookup: &Lookup,
        selected: &[Selected],
        rows_max: usize,
    ) -> Statement {
        self.select(&record.from, "r", selected, Some(record));
        self.push(" WHERE ");
        match &lookup.through {
            None => {
                self.any_equal(&record.from, "r", &lookup.columns);
                self.equal_literals(&record.from, "r", &lookup.filters);
            }
            Some(through) => {
                // Not EXISTS: SQLite would walk the whole table.
                self.names("r", through.join.iter().map(|join| join.own.value.as_str()));
                self.push(" IN (SELECT ");
                self.list("l", through.join.iter().map(|join| join.other.value.as_str()));
                self.from(&through.table, "l");
                self.push(" WHERE ");
                self.any_equal(&through.table, "l", &lookup.columns);
                self.filters(&through.table, "l");
                self.push(")");
            }
        }
        self.filters(&record.from, "r");
        self.finish(&record.from, "r", rows_max)
    }

    /// The rows that join so many parents; the values are the parents' keys, one after the other.
    pub(super) fn children(
        mut self,
        from: &Through,
        selected: &[Selected],
        parents: usize,
        rows_max: usize,
    ) -> Statement {
        self.select(&from.table, "c", selected, None);
        self.push(" WHERE ");
        if let [join] = from.join.as_slice() {
            self.name("c", &join.other.value);
            self.push(" IN (");
            for parent in 0..parents {
                self.push(if parent == 0 { "" } else { ", " });
                self.given(&from.table, &join.other.value, parent);
            }
            self.push(")");
        } else {
            self.push("(");
            for parent in 0..parents {
                self.push(if parent == 0 { "(" } else { " OR (" });
                for (at, join) in from.join.iter().enumerate() {
                    self.push(if at == 0 { "" } else { " AND " });
                    self.name("c", &join.other.value);
                    self.push(" = ");
                    self.given(&from.table, &join.other.value, parent * from.join.len() + at);
                }
                self.push(")");
            }
            self.push(")");
        }
        self.filters(&from.table, "c");
        self.finish(&from.table, "c", rows_max)
    }

    /// Rows in the order of a key, after the position whose texts are the values or from the beginning.
    pub(super) fn page(
        mut self,
        record: &RecordPlan,
        selected: &[Selected],
        key: &[String],
        after: bool,
        rows: usize,
    ) -> Statement {
        let from = &record.from;
        self.select(from, "r", selected, Some(record));
        self.push(" WHERE ");
        if after {
            self.after(from, key)
        } else {
            self.push("1 = 1")
        }
        self.filters(from, "r");
        for (at, column) in key.iter().enumerate() {
            self.push(if at == 0 { " ORDER BY " } else { ", " });
            let kind = self.kind(from, column);
            self.comparable("r", column, &kind);
        }
        let _ = write!(self.sql, " LIMIT {rows}");
        Statement { sql: Arc::from(self.sql), slots: self.slots }
    }

    /// Rows that fit all conditions, in any order: an order would tempt a planner to walk the table in it.
    pub(super) fn search(
        mut self,
        record: &RecordPlan,
        conditions: &[Alternatives],
        selected: &[Selected],
        rows_max: usize,
    ) -> Statement {
        let from = &record.from;
        self.select(from, "r", selected, Some(record));
        for (at, alternatives) in conditions.iter().enumerate() {
            self.push(if at == 0 { " WHERE (" } else { " AND (" });
            for (at, (column, term)) in alternatives.iter().enumerate() {
                self.push(if at == 0 { "" } else { " OR " });
                self.term(from, column, term);
            }
            self.push(")");
        }
        self.filters(from, "r");
        let _ = write!(self.sql, " LIMIT {}", rows_max.saturating_add(1));
        Statement { sql: Arc::from(self.sql), slots: self.slots }
    }

    fn term(&mut self, from: &Table, column: &str, term: &Term) {
        let kind = self.kind(from, column);
        match term {
            Term::OneOf(values) => {
                self.comparable("r", column, &kind);
                self.push(" IN (");
                for (at, value) in values.clone().enumerate() {
                    self.push(if at == 0 { "" } else { ", " });
                    self.given(from, column, value);
                }
                self.push(")");
            }
            Term::Within(ranges) => {
                for (at, (first, end)) in ranges.iter().enumerate() {
                    self.push(if at == 0 { "(" } else { " OR (" });
                    for (operator, value) in [(" >= ", *first), (" < ", *end)] {
                        self.push(if operator == " < " { " AND " } else { "" });
                        self.comparable("r", column, &kind);
                        self.push(operator);
                        self.given(from, column, value);
                    }
                    self.push(")");
                }
            }
        }
    }

    /// How many rows there are.
    pub(super) fn count(mut self, record: &RecordPlan) -> Statement {
        self.push("SELECT COUNT(*)");
        self.from(&record.from, "r");
        self.push(" WHERE 1 = 1");
        self.filters(&record.from, "r");
        Statement { sql: Arc::from(self.sql), slots: self.slots }
    }

    /// In how many rows a column holds nothing.
    pub(super) fn nulls(mut self, table: &Table, column: &str) -> Statement {
        self.push("SELECT COUNT(*)");
        self.from(table, "r");
        self.push(" WHERE ");
        self.name("r", column);
        self.push(" IS NULL");
        Statement { sql: Arc::from(self.sql), slots: self.slots }
    }

    /// Beyond a position in the order of several columns. Written out, since not every engine finds an index for a
    /// comparison of row values; the first term is what it finds one for.
    fn after(&mut self, from: &Table, key: &[String]) {
        if key.len() > 1 {
            self.compare(from, key, 0, ">=");
            self.push(" AND ");
        }
        for at in 0..key.len() {
            self.push("(");
            self.compare(from, key, at, ">");
            if at + 1 < key.len() {
                self.push(" OR (");
                self.compare(from, key, at, "=");
                self.push(" AND ");
            }
        }
        self.push(&")".repeat(key.len() * 2 - 1));
    }

    fn compare(&mut self, from: &Table, key: &[String], at: usize, operator: &str) {
        let kind = self.kind(from, &key[at]);
        self.comparable("r", &key[at], &kind);
        let _ = write!(self.sql, " {operator} ");
        self.given(from, &key[at], at);
    }

    fn select(&mut self, from: &Table, alias: &str, selected: &[Selected], record: Option<&RecordPlan>) {
        self.push("SELECT ");
        if selected.is_empty() {
            self.push("1");
        }
        for (at, selected) in selected.iter().enumerate() {
            self.push(if at == 0 { "" } else { ", " });
            match selected {
                Selected::Column(name) => self.name(alias, name),
                Selected::Exists(field) => {
                    if let Some(through) = record.and_then(|record| record.fields.get(*field)?.exists()) {
                        self.exists(through, alias);
                    }
                }
            }
        }
        self.from(from, alias);
    }

    fn exists(&mut self, through: &Through, alias: &str) {
        self.push("EXISTS (SELECT 1");
        self.from(&through.table, "e");
        for (at, join) in through.join.iter().enumerate() {
            self.push(if at == 0 { " WHERE " } else { " AND " });
            self.name("e", &join.other.value);
            self.push(" = ");
            self.name(alias, &join.own.value);
        }
        self.filters(&through.table, "e");
        self.push(")");
    }

    fn from(&mut self, table: &Table, alias: &str) {
        let name = match &table.select {
            Some(select) => derived(select),
            None => quoted(self.engine, &table.name.value),
        };
        let _ = write!(self.sql, " FROM {name} {alias}");
    }

    /// One of the columns equals value 0, or its other form, without the leading zero a spreadsheet took from it or a
    /// branch's dash: the engine reads such a number and marks it, so it must find it, too.
    fn any_equal(&mut self, table: &Table, alias: &str, columns: &[Spanned<String>]) {
        self.push("(");
        for (at, column) in columns.iter().enumerate() {
            self.push(if at == 0 { "" } else { " OR " });
            let kind = self.kind(table, &column.value);
            self.comparable(alias, &column.value, &kind);
            // SQLite compares padding; the others do not.
            if let (Engine::Sqlite, ColumnType::Padded(Some(width))) = (self.engine, &kind) {
                self.push(" IN (");
                self.given(table, &column.value, 0);
                self.push(", ");
                self.placeholder(Slot::GivenOtherwise(0), &kind);
                self.push(", ");
                self.placeholder(Slot::GivenPadded(0, *width), &kind);
                self.push(")");
            } else if matches!(kind, ColumnType::Text | ColumnType::Padded(_)) {
                self.push(" IN (");
                self.given(table, &column.value, 0);
                self.push(", ");
                self.placeholder(Slot::GivenOtherwise(0), &kind);
                self.push(")");
            } else {
                self.push(" = ");
                self.given(table, &column.value, 0);
            }
        }
        self.push(")");
    }

    fn filters(&mut self, table: &Table, alias: &str) {
        self.equal_literals(table, alias, &table.filters);
    }

    fn equal_literals(&mut self, table: &Table, alias: &str, literals: &[(Spanned<String>, String)]) {
        for (column, literal) in literals {
            self.push(" AND ");
            let kind = self.kind(table, &column.value);
            self.comparable(alias, &column.value, &kind);
            self.push(" = ");
            let literal = Slot::Literal(bind(&kind, Some(literal)));
            self.placeholder(literal, &kind);
        }
    }

    fn finish(mut self, table: &Table, alias: &str, rows_max: usize) -> Statement {
        for (at, column) in table.order.iter().enumerate() {
            self.push(if at == 0 { " ORDER BY " } else { ", " });
            self.name(alias, &column.value);
        }
        // One row more than allowed, so that too many are seen and never cut off.
        let _ = write!(self.sql, " LIMIT {}", rows_max.saturating_add(1));
        Statement { sql: Arc::from(self.sql), slots: self.slots }
    }

    fn given(&mut self, table: &Table, column: &str, at: usize) {
        let kind = self.kind(table, column);
        self.placeholder(Slot::Given(at, kind.clone()), &kind);
    }

    fn placeholder(&mut self, slot: Slot, kind: &ColumnType) {
        self.slots.push(slot);
        let number = self.slots.len();
        let cast = match kind {
            ColumnType::Padded(_) => Some("bpchar"),
            ColumnType::Uuid => Some("uuid"),
            ColumnType::Date => Some("timestamp"),
            _ => None,
        };
        let _ = match (self.engine, cast) {
            (Engine::Postgres, Some(cast)) => write!(self.sql, "CAST(${number} AS {cast})"),
            (Engine::Postgres, None) => write!(self.sql, "${number}"),
            (Engine::MySql | Engine::Sqlite, _) => write!(self.sql, "?"),
        };
    }

    /// A column in a form that compares with text where its type does not.
    fn comparable(&mut self, alias: &str, column: &str, kind: &ColumnType) {
        if (self.engine, kind) == (Engine::Postgres, &ColumnType::Enumeration) {
            self.push("CAST(");
            self.name(alias, column);
            self.push(" AS text)");
        } else {
            self.name(alias, column);
        }
    }

    fn kind(&self, table: &Table, column: &str) -> ColumnType {
        self.catalogue.column(&table.name.value, column).map_or(ColumnType::Text, |column| column.kind.clone())
    }

    fn names<'n>(&mut self, alias: &str, names: impl ExactSizeIterator<Item = &'n str>) {
        let several = names.len() > 1;
        self.push(if several { "(" } else { "" });
        self.list(alias, names);
        self.push(if several { ")" } else { "" });
    }

    fn list<'n>(&mut self, alias: &str, names: impl Iterator<Item = &'n str>) {
        for (at, name) in names.enumerate() {
            self.push(if at == 0 { "" } else { ", " });
            self.name(alias, name);
        }
    }

    fn name(&mut self, alias: &str, column: &str) {
        let column = identifier(self.engine, column);
        let _ = write!(self.sql, "{alias}.{column}");
    }

    fn push(&mut self, text: &str) {
        self.sql.push_str(text);
    }
}
