//! Which rows count: the columns that mark rows as removed, spent, ended or in force, and what a known mapping of the same
//! record leaves out by them.

use super::{
    guess::{Named, NamedColumn},
    render::{key, string},
    sample::Sample,
    structure::Child,
    words::{self, Meanings},
};
use crate::{
    Engine, Mapping,
    catalogue::ColumnType,
    mapping::{Input, RecordMapping, Table},
    query::{identifier, quoted},
};

/// Text in a longer column is no flag.
const FLAG_WIDTH_MAX: usize = 10;
/// Words of columns that say who removed a row, or why.
const ABOUT: [&str; 6] = ["by", "nguoi", "user", "reason", "ly", "note"];

/// A column that tells rows that count from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) column: String,
    sort: Sort,
    counts: Counts,
    /// In how many of the sampled rows it is NULL, and how many these are.
    null: Option<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Deleted, cancelled, spent.
    Removed,
    /// The end of what the row says.
    Ended,
    /// In force.
    InForce,
}

/// What the column holds in rows that count.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Counts {
    /// A literal, as TOML and as SQL write it.
    Literal(String, String),
    /// Nothing.
    Null,
    /// Nothing, or a day to come.
    NullOrToCome,
    /// Nobody says.
    Unclear,
}

/// The columns of a table that tell which of its rows count.
pub(super) fn markers(table: &Named<'_>, engine: Engine, sample: Option<&Sample>) -> Vec<Marker> {
    let unrelated = |column: &&NamedColumn<'_>| {
        table.facts.reference(&column.facts.name).is_none()
            && !column.words.iter().any(|word| ABOUT.contains(&word.as_str()))
    };
    table.columns.iter().filter(unrelated).filter_map(|column| marker(column, engine, sample)).collect()
}

fn marker(column: &NamedColumn<'_>, engine: Engine, sample: Option<&Sample>) -> Option<Marker> {
    let means = |meaning: &str| column.names.iter().any(|name| name.mean(meaning));
    let dated = column.facts.kind == ColumnType::Date;
    let (sort, counts) = if means("removed") || means("spent") {
        (Sort::Removed, if dated { Counts::Null } else { flag(column, false, engine, sample)? })
    } else if means("in force") {
        (Sort::InForce, flag(column, true, engine, sample)?)
    } else if (means("until") || means("valid until")) && dated {
        (Sort::Ended, Counts::NullOrToCome)
    } else if (means("until") || means("valid until")) && is_written_date(column, sample) {
        (Sort::Ended, Counts::Null)
    } else {
        return None;
    };
    let null = sample.map(|sample| sample.empty(&column.facts.name));
    Some(Marker { column: column.facts.name.clone(), sort, counts, null })
}

/// What a flag holds in rows for which it says this.
fn flag(column: &NamedColumn<'_>, says: bool, engine: Engine, sample: Option<&Sample>) -> Option<Counts> {
    let held = sample.map(|sample| sample.distinct(&column.facts.name)).unwrap_or_default();
    let number = if says { "1" } else { "0" };
    let literal = |value: &str| Counts::Literal(value.to_owned(), value.to_owned());
    Some(match &column.facts.kind {
        ColumnType::Bool if engine == Engine::Postgres => literal(if says { "true" } else { "false" }),
        ColumnType::Bool => literal(number),
        ColumnType::Int if held.is_empty() || held.contains_key("0") || held.contains_key("1") => literal(number),
        ColumnType::Int => Counts::Unclear,
        ColumnType::Text | ColumnType::Padded(_) | ColumnType::Enumeration => {
            let values = column.facts.values.iter().chain(held.keys());
            let mut known: Vec<&String> =
                values.filter(|value| normalize::boolean(value).is_ok_and(|flag| flag.value == says)).collect();
            known.sort();
            known.dedup();
            match known[..] {
                [value] => Counts::Literal(string(value), format!("'{}'", value.replace('\'', "''"))),
                _ if column.facts.width.is_some_and(|width| width <= FLAG_WIDTH_MAX) => Counts::Unclear,
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn is_written_date(column: &NamedColumn<'_>, sample: Option<&Sample>) -> bool {
    let written = matches!(column.facts.kind, ColumnType::Text | ColumnType::Padded(_) | ColumnType::Int);
    let format = |sample: &Sample| sample.format(&column.facts.name).is_none_or(|(_, share)| share > 0.9);
    written && sample.is_none_or(format)
}

impl Marker {
    /// Whether it marks rows that are gone.
    pub(super) fn removes(&self) -> bool {
        self.sort == Sort::Removed
    }

    /// The `where` of a mapping that reads the rows that count, where a literal says which these are.
    pub(super) fn filter(&self) -> Option<String> {
        match &self.counts {
            Counts::Literal(value, _) => Some(format!("{{ {} = {value} }}", key(&self.column))),
            _ => None,
        }
    }

    /// Whether some sampled row holds nothing there, so that `where` leaves it out.
    pub(super) fn is_sometimes_null(&self) -> bool {
        self.null.is_some_and(|(null, _)| null > 0)
    }

    /// The rows that `where` leaves out because nothing stands there; empty when there is none.
    pub(super) fn left_out(&self, engine: Engine, table: &str) -> String {
        match self.null {
            Some((0, _)) => String::new(),
            Some((null, rows)) => {
                let select = self.select(engine, table);
                format!(
                    "; it is NULL in {null} of {rows} sampled rows, which this leaves out; if these count: {select}"
                )
            }
            None => "; rows where it is NULL are left out".to_owned(),
        }
    }

    /// What somebody who knows the register must decide, with the line to add.
    pub(super) fn doubt(&self, engine: Engine, table: &str) -> String {
        let column = &self.column;
        let line = match self.filter() {
            Some(filter) => format!("where = {filter}{}", self.left_out(engine, table)),
            None if self.counts == Counts::Unclear => format!("where = {{ {} = … }}", key(column)),
            None => self.select(engine, table),
        };
        match self.sort {
            Sort::Removed => format!("{column} may mark rows that no longer count; to leave these out: {line}"),
            Sort::Ended => format!("if {column} ends a row's validity, read the rows that hold: {line}"),
            Sort::InForce => format!("{column} may mark the rows that count; to read no others: {line}"),
        }
    }

    /// A SELECT of the rows that count, and of those that do not say.
    fn select(&self, engine: Engine, table: &str) -> String {
        let column = identifier(engine, &self.column);
        let or = match &self.counts {
            Counts::Literal(_, value) => format!(" OR {column} = {value}"),
            Counts::NullOrToCome => format!(" OR {column} >= CURRENT_DATE"),
            Counts::Null | Counts::Unclear => String::new(),
        };
        let table = quoted(engine, table);
        format!("select = {}", string(&format!("SELECT * FROM {table} WHERE {column} IS NULL{or}")))
    }
}

/// Columns of a child table nothing reads that may say that some of its rows are something else.
pub(super) fn kinds(child: &Child<'_>, table: &Named<'_>) -> Vec<String> {
    let read: Vec<&str> = child.fields.iter().flat_map(|guess| guess.from.columns()).collect();
    let kind = |name: &Meanings| name.mean("role") || name.mean("kind") && name.0.len() == 1;
    let columns = table.columns.iter().filter(|column| !read.contains(&column.facts.name.as_str()));
    let columns = columns.filter(|column| column.names.iter().any(kind));
    columns.map(|column| column.facts.name.clone()).collect()
}

/// The columns by which a known mapping of the record type leaves rows of a repeated message out.
pub(super) fn left_out_by_known(known: &[Mapping], record_type: &str, container: &str) -> Vec<String> {
    let child = record(known, record_type)
        .and_then(|record| record.children.iter().find(|child| child.field.value == container));
    child.map(|child| filters(&child.from.table)).unwrap_or_default()
}

/// The repeated message that a known mapping of the record type has a flag for: whether there is one at all.
pub(super) fn exists_by_known(known: &[Mapping], record_type: &str, path: &str) -> Option<String> {
    let record = record(known, record_type)?;
    let field = record.fields.iter().find(|field| field.path.value == path)?;
    let Input::Exists(through) = &field.input else { return None };
    let same =
        |table: &Table| table.name.value == through.table.name.value && filters(table) == filters(&through.table);
    Some(record.children.iter().find(|child| same(&child.from.table))?.field.value.clone())
}

/// The marker that means what a known mapping leaves rows out by.
pub(super) fn certain(markers: &[Marker], known: &[String]) -> Option<Marker> {
    let removed = |name: &Meanings| name.mean("removed") || name.mean("spent");
    known.iter().any(|column| removed(&words::meanings(column))).then_some(())?;
    markers.iter().find(|marker| marker.removes() && marker.filter().is_some()).cloned()
}

fn record<'k>(known: &'k [Mapping], record_type: &str) -> Option<&'k RecordMapping> {
    known.iter().flat_map(|mapping| &mapping.records).find(|record| record.record_type.value == record_type)
}

fn filters(table: &Table) -> Vec<String> {
    table.filters.iter().map(|(column, _)| column.value.clone()).collect()
}
