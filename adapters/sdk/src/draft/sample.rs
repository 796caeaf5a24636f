//! What columns hold, as far as a few hundred rows tell: which numbers, dates and encodings are in them.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use chrono::FixedOffset;
use normalize::{DateFormat, Encoding, Note, code_list};

use super::inventory::{Inventory, TableFacts};
use crate::{
    catalogue::ColumnType,
    cell::Cell,
    database::{Database, Failure},
    query::{identifier, quoted},
};

/// Rows read of a table.
const ROWS: usize = 500;
/// Rows of a table of codes; a longer one is none.
pub(super) const CODES_MAX: usize = 300;
/// Letters of the shortest date with signs that has a day: 7/3/1985.
const WHOLE_DATE: usize = 8;
/// Date formats, the less forgiving first.
const FORMATS: [&str; 6] = ["yyyy-MM-dd", "yyyyMMdd", "dd/MM/yyyy", "dd-MM-yyyy", "dd.MM.yyyy", "yyyyMM"];

/// Some cells of each column, without the empty ones, and of how many rows; the encoding their texts were decoded from, where
/// that is another than the database says.
#[derive(Debug, Default)]
pub(super) struct Sample(BTreeMap<String, Vec<Cell>>, usize, Option<&'static str>);

/// Reads the first rows of a table.
pub(super) async fn sample(database: &Database, inventory: &Inventory, table: &TableFacts) -> Result<Sample, Failure> {
    let readable: Vec<_> =
        table.columns.iter().filter(|column| !matches!(column.kind, ColumnType::Unsupported(_))).collect();
    let names: Vec<_> = readable.iter().map(|column| name(inventory, &column.name)).collect();
    let sql = format!("SELECT {} FROM {} LIMIT {ROWS}", names.join(", "), quoted(inventory.engine, &table.name));
    let mut cells: BTreeMap<String, Vec<Cell>> = BTreeMap::new();
    let rows = database.rows(&Arc::from(sql), &[]).await?;
    let count = rows.len();
    for row in rows {
        for (column, cell) in readable.iter().zip(row) {
            if cell.key().is_some_and(|text| !text.trim().is_empty()) || matches!(cell, Cell::Bytes(_)) {
                cells.entry(column.name.clone()).or_default().push(cell);
            }
        }
    }
    Ok(Sample(cells, count, None).decoded())
}

/// Codes and labels of a table of codes; nothing when it is too long to be one. Labels too few to tell their encoding are read in
/// that of the table that has the codes.
pub(super) async fn codes(
    database: &Database,
    inventory: &Inventory,
    beside: &Sample,
    table: &str,
    code: &str,
    label: &str,
) -> Result<BTreeMap<String, String>, Failure> {
    let columns = format!("{}, {}", name(inventory, code), name(inventory, label));
    let sql = format!("SELECT {columns} FROM {} LIMIT {}", quoted(inventory.engine, table), CODES_MAX + 1);
    let rows = database.rows(&Arc::from(sql), &[]).await?;
    if rows.len() > CODES_MAX {
        return Ok(BTreeMap::new());
    }
    let (codes, labels): (Vec<Cell>, Vec<Cell>) = rows
        .into_iter()
        .filter_map(|row| <[Cell; 2]>::try_from(row).ok())
        .filter(|row| row.iter().all(|cell| cell.key().is_some()))
        .map(|[code, label]| (code, label))
        .unzip();
    let count = labels.len();
    let mut labels = Sample(BTreeMap::from([(label.to_owned(), labels)]), count, None).decoded();
    if labels.2.is_none() {
        labels = labels.decoded_from(beside.2);
    }
    let codes = codes.iter().filter_map(Cell::key).map(|code| code.trim().to_owned());
    Ok(codes.zip(labels.texts(label)).collect())
}

/// A column's name is one name, dots or not.
fn name(inventory: &Inventory, column: &str) -> String {
    identifier(inventory.engine, column)
}

impl Sample {
    /// With its texts as they read in the encoding that most of them fit.
    fn decoded(self) -> Self {
        let texts = |cells: &Vec<Cell>| cells.iter().any(|cell| matches!(cell, Cell::Text(_)));
        let columns: Vec<&str> =
            self.0.iter().filter(|(_, cells)| texts(cells)).map(|(name, _)| name.as_str()).collect();
        let found = self.encoding(&columns).filter(|name| *name != "utf-8");
        self.decoded_from(found)
    }

    fn decoded_from(mut self, name: Option<&'static str>) -> Self {
        let Some(encoding) = name.and_then(|name| Encoding::from_str(name).ok()) else { return self };
        for cell in self.0.values_mut().flatten() {
            if let Cell::Text(text) = cell
                && let Ok(decoded) = normalize::decode_text(text, encoding).map(|read| read.value.into_owned())
            {
                *text = decoded;
            }
        }
        self.2 = name;
        self
    }

    pub(super) fn texts(&self, column: &str) -> Vec<String> {
        let cells = self.0.get(column).map(Vec::as_slice).unwrap_or_default();
        cells.iter().filter_map(Cell::key).map(|text| text.trim().to_owned()).collect()
    }

    /// How many of the sampled values there are of each, when they are few.
    pub(super) fn distinct(&self, column: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for text in self.texts(column) {
            *counts.entry(text).or_default() += 1;
        }
        counts
    }

    /// The share of values a converter accepts; nothing when there are too few, or when it accepts anything.
    pub(super) fn accepted(&self, column: &str, convert: &str, list: Option<&str>) -> Option<f64> {
        let texts = self.texts(column);
        let share = |accepts: &dyn Fn(&str) -> bool| {
            let accepted = texts.iter().filter(|text| accepts(text)).count();
            (texts.len() >= 3).then(|| accepted as f64 / texts.len() as f64)
        };
        match convert {
            "personal_id" if self.numbers(column) => share(&|text| normalize::personal_id_of_number(text).is_ok()),
            "personal_id" => share(&|text| normalize::personal_id(text).is_ok()),
            "legacy_id" => share(&|text| normalize::legacy_id(text).is_ok()),
            "tax_code" => share(&|text| normalize::tax_code(text).is_ok()),
            "social_insurance_number" => share(&|text| normalize::social_insurance_number(text).is_ok()),
            "health_insurance_card" => share(&|text| normalize::health_insurance_card(text).is_ok()),
            "budget_unit_code" => share(&|text| normalize::budget_unit_code(text).is_ok()),
            "money" => share(&|text| normalize::vnd(text).is_ok()),
            "boolean" => share(&|text| normalize::boolean(text).is_ok()),
            "person_name" => share(&|text| !text.chars().any(|letter| letter.is_ascii_digit())),
            "partial_date" | "birth_date" if self.native_dates(column) => Some(1.0),
            "partial_date" | "birth_date" => self.format(column).map(|(_, share)| share),
            // A whole date with its signs is no text of another kind; 01/2010 may be the first book of 2010.
            "text" => {
                let dates = self.format(column).filter(|(format, _)| format.contains(['-', '/', '.']));
                let whole = texts.iter().all(|text| text.len() >= WHOLE_DATE);
                dates.filter(|(_, share)| texts.len() >= 3 && *share > 0.9 && whole).map(|_| 0.0)
            }
            "code" => {
                let list = list.and_then(code_list)?;
                // Codes of the register's own are no evidence against the list, names of the list are for it.
                share(&|text| list.convert(text).is_ok()).filter(|share| *share > 0.5)
            }
            _ => None,
        }
    }

    /// Whether a column holds bytes, which tell nothing of the columns of text beside it.
    pub(super) fn bytes(&self, column: &str) -> bool {
        self.0.get(column).is_some_and(|cells| cells.iter().any(|cell| matches!(cell, Cell::Bytes(_))))
    }

    /// Whether a column's type is a number, which keeps no zeros at the front.
    fn numbers(&self, column: &str) -> bool {
        let number = |cell: &Cell| matches!(cell, Cell::Int(_) | Cell::Decimal(_));
        self.0.get(column).is_some_and(|cells| cells.iter().all(number))
    }

    /// How many rows hold nothing there, and how many were read.
    pub(super) fn empty(&self, column: &str) -> (usize, usize) {
        (self.1.saturating_sub(self.0.get(column).map_or(0, Vec::len)), self.1)
    }

    /// Whether there are rows, and none holds anything there.
    pub(super) fn is_empty(&self, column: &str) -> bool {
        self.1 > 0 && self.empty(column).0 == self.1
    }

    /// Whether some value stands in several rows.
    pub(super) fn repeats(&self, column: &str) -> bool {
        self.distinct(column).values().any(|count| *count > 1)
    }

    pub(super) fn native_dates(&self, column: &str) -> bool {
        let dated = |cell: &Cell| matches!(cell, Cell::Date(_) | Cell::DateTime(_) | Cell::Instant(_));
        self.0.get(column).is_some_and(|cells| cells.iter().all(dated))
    }

    /// How many of the column's values are times that are not midnight, and how many there are.
    pub(super) fn times(&self, column: &str) -> (usize, usize) {
        let cells = self.0.get(column).map(Vec::as_slice).unwrap_or_default();
        // As a mapping reads them that says nothing else.
        let Some(zone) = FixedOffset::east_opt(7 * 3600) else { return (0, cells.len()) };
        let is_other = |cell: &&Cell| {
            let read = cell.text(Encoding::Utf8, zone, false);
            read.is_ok_and(|day| day.is_some_and(|day| day.notes.contains(Note::TimeDropped)))
        };
        (cells.iter().filter(is_other).count(), cells.len())
    }

    /// The date format that reads most values, with its share.
    pub(super) fn format(&self, column: &str) -> Option<(&'static str, f64)> {
        let texts = self.texts(column);
        let shares = FORMATS.iter().filter_map(|name| {
            let format = DateFormat::from_str(name).ok()?;
            let read = texts.iter().filter(|text| normalize::partial_date(text, format).is_ok()).count();
            Some((*name, read as f64 / texts.len().max(1) as f64))
        });
        shares.rev().max_by(|left, right| left.1.total_cmp(&right.1)).filter(|_| !texts.is_empty())
    }

    /// The formats that together read the values: the one that reads most, and others for what that leaves; with their share.
    pub(super) fn formats(&self, column: &str) -> Option<(Vec<&'static str>, f64)> {
        let mut left = self.texts(column);
        let all = left.len();
        let (first, _) = self.format(column)?;
        let mut formats = Vec::new();
        let others = FORMATS.iter().copied().filter(|format| *format != first);
        for name in std::iter::once(first).chain(others) {
            let format = DateFormat::from_str(name).ok()?;
            let before = left.len();
            left.retain(|text| normalize::partial_date(text, format).is_err());
            if left.len() < before {
                formats.push(name);
            }
        }
        (!formats.is_empty()).then(|| (formats, (all - left.len()) as f64 / all.max(1) as f64))
    }

    /// The encoding that most of the text with marks reads well in, over several columns, when that is clear.
    pub(super) fn encoding(&self, columns: &[&str]) -> Option<&'static str> {
        let cells = columns.iter().filter_map(|column| self.0.get(*column)).flatten();
        let marked: Vec<&Cell> = cells
            .filter(|cell| match cell {
                Cell::Text(text) => !text.is_ascii(),
                Cell::Bytes(bytes) => !bytes.is_ascii(),
                _ => false,
            })
            .collect();
        let bytes = marked.iter().filter(|cell| matches!(cell, Cell::Bytes(_))).count() * 2 > marked.len();
        if !bytes && self.2.is_some() {
            return self.2;
        }
        let candidates: &[&'static str] = if bytes {
            &["utf-8", "tcvn3", "vni", "windows-1258"]
        } else {
            &["utf-8", "tcvn3-as-latin1", "vni-as-latin1"]
        };
        let zone = FixedOffset::east_opt(0)?;
        let well = |name: &str| {
            let Ok(encoding) = Encoding::from_str(name) else { return 0 };
            let reads = |cell: &&&Cell| match cell.text(encoding, zone, true) {
                Ok(Some(text)) => !text.notes.contains(Note::EncodingAlarm) && !normalize::alarm(&text.value.text),
                _ => false,
            };
            marked.iter().filter(reads).count()
        };
        let (best, read) = candidates.iter().map(|name| (*name, well(name))).rev().max_by_key(|(_, read)| *read)?;
        (marked.len() >= 3 && read * 10 >= marked.len() * 7).then_some(best)
    }
}
