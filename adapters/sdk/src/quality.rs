//! How good the data of a register is: counts per field, in constant memory.
//!
//! The four words officials use are kept apart: *đủ* (complete) is whether there is a value, *đúng* (valid) whether a value
//! there is one and undoubted, *sạch* (clean) whether it needed nothing at all, *sống* (live) when the row last changed.
//! Whether a valid value is true of the person, no single register can say.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use proto::{FieldSet, RecordType, options::v1::Sensitivity};

use crate::{FetchedRecord, FieldMark, Grade, InspectedField};

/// Examples kept of each reason.
const EXAMPLES_MAX: usize = 3;
/// Characters shown of an example.
const EXAMPLE_CHARACTERS_MAX: usize = 60;
/// Ages are counted by the day up to this, and together beyond it.
const AGE_DAYS_MAX: usize = 100 * 366;
/// Reasons of a field whose column holds a filler: the register has no value there.
const FILLERS: [&str; 3] = ["empty", "placeholder", "zero_date"];

/// What was counted of one record type.
#[derive(Debug, Clone)]
pub struct RecordQuality {
    /// The record type.
    pub record_type: Arc<RecordType>,
    /// The table its rows are in.
    pub table: String,
    /// Rows read.
    pub rows: u64,
    /// Rows there were when reading began.
    pub rows_in_table: u64,
    /// The mapped fields, in the order of the record type.
    pub fields: Vec<FieldQuality>,
    /// Whether the mapping says when rows last changed.
    pub tells_age: bool,
    /// Rows by the whole days since they last changed.
    pub ages: Vec<u64>,
    /// Rows that do not say when they last changed.
    pub undated: u64,
}

/// What was counted of one field. Elements of repeated messages count each for itself.
#[derive(Debug, Clone, Default)]
pub struct FieldQuality {
    /// Position in the record type's fields.
    pub field: usize,
    /// Declared encoding of its column.
    pub encoding: String,
    /// Values there could be.
    pub expected: u64,
    /// Values about which nothing needs saying.
    pub clean: u64,
    /// Values whose form was put right.
    pub repaired: u64,
    /// Values that say less than the register meant.
    pub lossy: u64,
    /// Values in doubt.
    pub suspect: u64,
    /// What is there and is no value.
    pub invalid: u64,
    /// Values the record is looked up by and cannot be found by, since the register writes them in another way.
    pub unfindable: u64,
    /// Reasons, with how often and what was found.
    pub reasons: BTreeMap<Cow<'static, str>, Reason>,
    filled: u64,
}

/// One reason of one field.
#[derive(Debug, Clone, Default)]
pub struct Reason {
    /// Values it was said of.
    pub count: u64,
    /// What the database holds there: as it is for public fields, only its shape for all others.
    pub examples: Vec<String>,
}

impl FieldQuality {
    /// Values that are there, right or wrong.
    pub const fn present(&self) -> u64 {
        self.filled + self.invalid
    }

    /// Places without a value, or with a filler for one.
    pub const fn absent(&self) -> u64 {
        self.expected.saturating_sub(self.present())
    }

    /// *Đủ*: the share of places with a value.
    pub fn complete(&self) -> Option<f64> {
        share(self.present(), self.expected)
    }

    /// *Đúng*: the share of values there that are valid and not in doubt.
    pub fn valid(&self) -> Option<f64> {
        share(self.filled.saturating_sub(self.suspect), self.present())
    }

    /// *Sạch*: the share of values there that needed nothing.
    pub fn clean(&self) -> Option<f64> {
        share(self.clean, self.present())
    }

    /// Values that look as if their column had another encoding than declared, or cannot be decoded by it.
    pub fn encoding_alarms(&self) -> u64 {
        ["encoding_alarm", "undecodable_byte", "unknown_encoding"]
            .iter()
            .filter_map(|reason| self.reasons.get(*reason))
            .map(|reason| reason.count)
            .sum()
    }
}

impl RecordQuality {
    /// *Sống*: of the rows that say when they last changed, the share that did within so many days.
    pub fn live(&self, days: usize) -> Option<f64> {
        let dated = self.ages.iter().sum();
        share(self.ages.iter().take(days.saturating_add(1)).sum(), dated)
    }

    /// Days since the change of the row in the middle.
    pub fn median_age_days(&self) -> Option<usize> {
        let dated: u64 = self.ages.iter().sum();
        let mut left = dated.div_ceil(2);
        if left == 0 {
            return None;
        }
        self.ages.iter().position(|rows| {
            left = left.saturating_sub(*rows);
            left == 0
        })
    }

    /// One of the words over all fields, each value counting the same.
    pub fn overall(&self, part: impl Fn(&FieldQuality) -> u64, whole: impl Fn(&FieldQuality) -> u64) -> Option<f64> {
        share(self.fields.iter().map(part).sum(), self.fields.iter().map(whole).sum())
    }

    /// *Đủ* over all fields.
    pub fn complete(&self) -> Option<f64> {
        self.overall(FieldQuality::present, |field| field.expected)
    }

    /// *Đúng* over all fields.
    pub fn valid(&self) -> Option<f64> {
        self.overall(|field| field.filled.saturating_sub(field.suspect), FieldQuality::present)
    }

    /// *Sạch* over all fields.
    pub fn clean(&self) -> Option<f64> {
        self.overall(|field| field.clean, FieldQuality::present)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share is read to one decimal place")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Counts records one by one.
pub(crate) struct Tally {
    pub(crate) quality: RecordQuality,
    /// Position among the counted fields, by leaf.
    places: Vec<Option<usize>>,
}

impl Tally {
    pub(crate) fn new(
        record_type: Arc<RecordType>,
        table: &str,
        encodings: Vec<(usize, String)>,
        mapped: &FieldSet,
    ) -> Self {
        let mut places = vec![None; record_type.fields.len()];
        let mut fields = Vec::new();
        for leaf in mapped.iter() {
            places[leaf] = Some(fields.len());
            fields.push(FieldQuality { field: leaf, ..FieldQuality::default() });
        }
        for (leaf, name) in encodings {
            if let Some(field) = places.get(leaf).copied().flatten().and_then(|at| fields.get_mut(at)) {
                field.encoding = name;
            }
        }
        let quality = RecordQuality {
            record_type,
            table: table.to_owned(),
            rows: 0,
            rows_in_table: 0,
            fields,
            tells_age: false,
            ages: Vec::new(),
            undated: 0,
        };
        Self { quality, places }
    }

    fn field(&mut self, leaf: usize) -> Option<&mut FieldQuality> {
        let at = self.places.get(leaf).copied().flatten()?;
        self.quality.fields.get_mut(at)
    }

    /// A place for a value, and whether it has one.
    pub(crate) fn seen(&mut self, leaf: usize, filled: bool) {
        if let Some(field) = self.field(leaf) {
            field.expected += 1;
            field.filled += u64::from(filled);
            field.clean += u64::from(filled);
        }
    }

    /// A number its own lookup does not find as it is written.
    pub(crate) fn unfindable(&mut self, leaf: usize) {
        if let Some(field) = self.field(leaf) {
            field.unfindable += 1;
        }
    }

    /// Counts a record whose places have been seen; whether its examples are wanted.
    pub(crate) fn record(&mut self, record: &FetchedRecord, now: DateTime<Utc>) -> bool {
        self.quality.rows += 1;
        match record.as_of {
            Some(changed) => self.age((now - changed).num_days()),
            None => self.quality.undated += 1,
        }
        let mut wanted = false;
        for mark in &record.marks {
            wanted |= self.mark(mark);
        }
        wanted
    }

    fn age(&mut self, days: i64) {
        // A row changed in the future is as fresh as one of today.
        let days = usize::try_from(days).unwrap_or(0).min(AGE_DAYS_MAX);
        if self.quality.ages.len() <= days {
            self.quality.ages.resize(days + 1, 0);
        }
        self.quality.ages[days] += 1;
    }

    fn mark(&mut self, mark: &FieldMark) -> bool {
        let Some(field) = self.field(mark.field) else { return false };
        match mark.grade {
            Grade::Repaired => field.repaired += 1,
            Grade::ConvertedWithLoss => field.lossy += 1,
            Grade::Suspect => field.suspect += 1,
            Grade::Invalid if mark.reasons.iter().any(|reason| FILLERS.contains(&reason.as_ref())) => {}
            Grade::Invalid => field.invalid += 1,
            Grade::Missing => {}
        }
        if mark.grade < Grade::Invalid {
            field.clean = field.clean.saturating_sub(1);
        }
        let mut wanted = false;
        for reason in &mark.reasons {
            let counted = field.reasons.entry(reason.clone()).or_default();
            counted.count += 1;
            wanted |= counted.examples.len() < EXAMPLES_MAX && mark.grade != Grade::Missing;
        }
        wanted
    }

    /// Keeps what the database holds where something had to be said.
    pub(crate) fn examples(&mut self, record: &FetchedRecord, fields: &[InspectedField]) {
        for mark in record.marks.iter().filter(|mark| mark.grade != Grade::Missing) {
            let found = fields.iter().find(|field| field.path == mark.path);
            let Some(found) = found.or_else(|| fields.iter().find(|field| field.field == mark.field)) else { continue };
            let public = self.quality.record_type.fields[mark.field].sensitivity == Sensitivity::Public;
            let texts = found.columns.iter().filter_map(|column| column.text.as_deref());
            let example = texts.map(|text| if public { clipped(text) } else { shape(text) }).collect::<Vec<_>>();
            let example = example.join(" | ");
            let Some(field) = self.field(mark.field) else { continue };
            for reason in &mark.reasons {
                let Some(counted) = field.reasons.get_mut(reason) else { continue };
                if counted.examples.len() < EXAMPLES_MAX && !counted.examples.contains(&example) {
                    counted.examples.push(example.clone());
                }
            }
        }
    }
}

fn clipped(text: &str) -> String {
    text.chars().take(EXAMPLE_CHARACTERS_MAX).collect()
}

/// The shape of a text: what kind of character stands where, and nothing of which.
fn shape(text: &str) -> String {
    if text.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())) {
        return format!("{} bytes", (text.len() - 2) / 2);
    }
    let shaped = text.chars().take(EXAMPLE_CHARACTERS_MAX).map(|c| match c {
        c if c.is_numeric() => '9',
        c if c.is_uppercase() => 'X',
        c if c.is_alphabetic() => 'x',
        c if c.is_whitespace() => ' ',
        c if c.is_ascii_punctuation() => c,
        _ => '?',
    });
    shaped.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_tells_nothing_of_the_value() {
        assert_eq!(shape("Nguyễn Văn A, 12/03/1980"), "Xxxxxx Xxx X, 99/99/9999");
        assert_eq!(shape("0x4bb86f"), "3 bytes");
        assert_eq!(shape("\u{301}·"), "??");
        assert_eq!(shape(&"a".repeat(100)).len(), EXAMPLE_CHARACTERS_MAX);
    }

    #[test]
    fn shares_of_nothing_are_nothing_and_the_median_is_the_middle_row() {
        assert_eq!(FieldQuality::default().valid(), None);
        let schema = proto::Schema::builtin().unwrap();
        let record_type = schema.record_types().next().unwrap();
        let mut tally = Tally::new(Arc::clone(record_type), "t", Vec::new(), &record_type.all_fields());
        for days in [-3, 1, 4, 4, 900_000] {
            tally.age(days);
        }
        assert_eq!(tally.quality.median_age_days(), Some(4));
        assert_eq!((tally.quality.live(1), tally.quality.live(4)), (Some(0.4), Some(0.8)));
        assert_eq!(tally.quality.ages.len(), AGE_DAYS_MAX + 1);
    }
}
