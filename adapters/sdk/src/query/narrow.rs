//! What indexed columns can say of a search before any row is read.

use normalize::{PartialDate, fold_name, organisation_keys};

use crate::{
    Criterion,
    catalogue::{Catalogue, ColumnType},
    mapping::Spanned,
    plan::{RecordPlan, SearchPlan},
};

/// What one column must hold, by positions of given values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Term {
    /// It equals one of these.
    OneOf(std::ops::Range<usize>),
    /// It is in one of these ranges: from the first value on, before the second.
    Within(Vec<(usize, usize)>),
}

/// A column and what it must hold; one of those together must.
pub(super) type Alternatives = Vec<(String, Term)>;

/// The conditions that narrow the rows, and the values they are given. None when no index does.
pub(super) fn narrowing(
    record: &RecordPlan,
    criteria: &[Criterion],
    catalogue: &Catalogue,
) -> Option<(Vec<Alternatives>, Vec<String>)> {
    let mut values = Vec::new();
    let conditions: Vec<Alternatives> = criteria
        .iter()
        .filter_map(|criterion| {
            let search = record.search.iter().find(|search| search.kind == criterion.kind())?;
            indexed(search, record, catalogue).then(|| alternatives(search, criterion, record, catalogue, &mut values))
        })
        .collect();
    (!conditions.is_empty()).then_some((conditions, values))
}

/// Whether an index begins with each of the columns: with one that has none, the table would be walked.
fn indexed(search: &SearchPlan, record: &RecordPlan, catalogue: &Catalogue) -> bool {
    let table = &record.from.name.value;
    let has_index =
        |column: &Spanned<String>| catalogue.column(table, &column.value).is_some_and(|column| column.indexed);
    !search.columns.is_empty() && search.columns.iter().all(has_index)
}

fn alternatives(
    search: &SearchPlan,
    criterion: &Criterion,
    record: &RecordPlan,
    catalogue: &Catalogue,
    values: &mut Vec<String>,
) -> Alternatives {
    let table = &record.from.name.value;
    let term = |column: &Spanned<String>| {
        let kind = catalogue.column(table, &column.value).map_or(ColumnType::Text, |column| column.kind.clone());
        let from = values.len();
        let term = match criterion {
            Criterion::PersonName(name) => {
                values.push(fold_name(name));
                Term::OneOf(from..values.len())
            }
            Criterion::OrganisationName(name) => {
                values.extend(organisation_keys(name));
                Term::OneOf(from..values.len())
            }
            Criterion::BirthDate(date) => {
                let bounds = year_bounds(&kind, *date);
                let ranges = (0..bounds.len()).map(|at| (from + 2 * at, from + 2 * at + 1)).collect();
                values.extend(bounds.into_iter().flat_map(|(first, end)| [first, end]));
                Term::Within(ranges)
            }
            // Codes of both vintages stand in one column; only the normalised address tells.
            Criterion::Commune(_) => Term::OneOf(from..from),
        };
        (column.value.clone(), term)
    };
    search.columns.iter().map(term).collect()
}

/// The bounds of a year in a column: text that begins with the year, a date, or a number that is the year or `yyyyMMdd`.
/// The day does not narrow, because many registers hold only the year.
fn year_bounds(kind: &ColumnType, date: PartialDate) -> Vec<(String, String)> {
    let (year, next) = (date.year, date.year.saturating_add(1));
    match kind {
        ColumnType::Date => vec![(format!("{year:04}-01-01"), format!("{next:04}-01-01"))],
        ColumnType::Int | ColumnType::Number => {
            vec![(year.to_string(), next.to_string()), (format!("{year}0000"), format!("{next}0000"))]
        }
        _ => vec![(format!("{year:04}"), format!("{next:04}"))],
    }
}
