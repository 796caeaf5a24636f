//! A row as a register holds it, beside the truth it came from. Whatever makes the two differ is done here and noted.

use normalize::Encoding;
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;

use crate::{
    Plan,
    chance::{key, mix, unit},
    date::Date,
    defect::{self, Kind},
    number,
    people::Person,
    place::{Place, Style},
};

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Bool(bool),
    /// Text, a date, a moment or a decimal number.
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Option<&str>> for Cell {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::Null, Self::from)
    }
}
impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}
impl From<&Option<String>> for Cell {
    fn from(text: &Option<String>) -> Self {
        Self::from(text.as_deref())
    }
}
impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<bool> for Cell {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

/// How a row keeps its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    Unicode,
    /// TCVN3 bytes.
    Tcvn3,
    /// VNI bytes kept as Latin-1 characters.
    VniAsLatin1,
}

/// A record's truth: the fields that have a value.
pub(crate) type Fields = Map<String, Value>;

/// A difference between row and truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Defect {
    pub(crate) field: String,
    pub(crate) kind: Kind,
}

/// Which of the fields that a personal number vouches for a row has wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contradiction {
    None,
    Gender,
    /// The year is off by this much.
    Year(i16),
}

/// A row in the making.
pub(crate) struct Draft<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) table: &'static str,
    pub(crate) charset: Charset,
    pub(crate) cells: Vec<(&'static str, Cell)>,
    pub(crate) defects: Vec<Defect>,
    pub(crate) fields: Fields,
    /// Hash of seed, table and row.
    base: u64,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(plan: &'a Plan, table: &'static str, row: u64, charset: Charset) -> Self {
        Self {
            plan,
            table,
            charset,
            cells: Vec::with_capacity(64),
            defects: Vec::new(),
            fields: Map::new(),
            base: mix(mix(plan.seed, key(table)), row),
        }
    }

    /// Fills a column.
    pub(crate) fn put(&mut self, column: &'static str, cell: impl Into<Cell>) {
        self.cells.push((column, cell.into()));
    }

    /// States what is true.
    pub(crate) fn truth(&mut self, field: &str, value: impl Into<Value>) {
        if self.plan.wants_truth {
            self.fields.insert(field.to_owned(), value.into());
        }
    }

    /// States what is true, if anything is.
    pub(crate) fn truth_if(&mut self, field: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.truth(field, value);
        }
    }

    pub(crate) fn note(&mut self, field: &str, kind: Kind) {
        self.defects.push(Defect { field: field.to_owned(), kind });
    }

    /// A hash that belongs to a field of this row.
    pub(crate) fn hash(&self, field: &str, what: &str) -> u64 {
        mix(self.base, mix(key(field), key(what)))
    }

    /// Whether a defect hits a field of this row.
    pub(crate) fn hits(&self, field: &str, kind: Kind, rate: f64) -> bool {
        unit(self.hash(field, kind.as_str())) < rate
    }

    /// A person's name, with the damage names suffer.
    pub(crate) fn name(&mut self, column: &'static str, field: &str, name: &str) {
        let rates = self.plan.rates;
        let mut text = self.tone(field, name);
        if self.hits(field, Kind::NoDiacritics, rates.no_diacritics) && text.contains(' ') && !text.is_ascii() {
            text = defect::without_marks(&text);
            self.defects.retain(|defect| defect.field != field);
            self.note(field, Kind::NoDiacritics);
        }
        if self.hits(field, Kind::Capitals, rates.capitals) {
            text = text.to_uppercase();
            self.note(field, Kind::Capitals);
        }
        let cell = self.encoded(field, text, true);
        self.put(column, cell);
    }

    /// A name that may be absent.
    pub(crate) fn name_if(&mut self, column: &'static str, field: &str, name: Option<&str>) {
        match name {
            Some(name) => self.name(column, field, name),
            None => self.put(column, Cell::Null),
        }
    }

    /// Text other than a person's name: its capitals and marks cannot be restored, so they stay.
    pub(crate) fn text(&mut self, column: &'static str, field: &str, text: &str) {
        let text = self.tone(field, text);
        let cell = self.encoded(field, text, false);
        self.put(column, cell);
    }

    /// Text that may be absent; clerks write a placeholder at times.
    pub(crate) fn text_if(&mut self, column: &'static str, field: &str, text: Option<&str>) {
        if let Some(text) = text {
            return self.text(column, field, text);
        }
        if !self.hits(field, Kind::Placeholder, self.plan.rates.placeholder) {
            return self.put(column, Cell::Null);
        }
        self.note(field, Kind::Placeholder);
        let word = ["không", "…", "-"][(self.hash(field, "word") % 3) as usize];
        let cell = match self.charset {
            Charset::Unicode => Cell::from(word),
            charset => encode(word, charset).0,
        };
        self.put(column, cell);
    }

    fn tone(&mut self, field: &str, text: &str) -> String {
        if self.hits(field, Kind::TonePlacement, self.plan.rates.tone_placement)
            && let Some(variant) = defect::tone_variant(text)
        {
            self.note(field, Kind::TonePlacement);
            return variant;
        }
        text.to_owned()
    }

    fn encoded(&mut self, field: &str, mut text: String, is_name: bool) -> Cell {
        let rates = self.plan.rates;
        if self.hits(field, Kind::Whitespace, rates.whitespace) && text.contains(' ') {
            text = text.replacen(' ', "  ", 1);
            self.note(field, Kind::Whitespace);
        }
        if self.charset != Charset::Unicode {
            let (cell, replaced) = encode(&text, self.charset);
            if replaced > 0 {
                self.note(field, Kind::UnmappableLetter);
            }
            // Names get their title case back; other text keeps the small letter the byte stands for.
            if self.charset == Charset::Tcvn3 && !is_name && defect::loses_capitals(&text) {
                self.note(field, Kind::LostCapital);
            }
            return cell;
        }
        if text.contains('Đ') && self.hits(field, Kind::LookalikeLetter, rates.lookalike_letter) {
            text = text.replace('Đ', if self.hash(field, "which").is_multiple_of(2) { "Ð" } else { "Ɖ" });
            self.note(field, Kind::LookalikeLetter);
        }
        if self.hits(field, Kind::UnicodeForm, rates.unicode_form) && !text.is_ascii() {
            let decomposed: String = text.nfd().collect();
            if decomposed != text {
                text = decomposed;
                self.note(field, Kind::UnicodeForm);
            }
        }
        Cell::Text(text)
    }

    /// The style of an address, and the note if its vintage is not told.
    pub(crate) fn style(&mut self, field: &str, place: &Place) -> Style {
        let style = if self.hits(field, Kind::OldAddress, self.plan.rates.old_address) {
            self.note(field, Kind::OldAddress);
            if place.link.is_divided {
                self.note(field, Kind::CommuneDivided);
            }
            if self.hash(field, "named").is_multiple_of(2) { Style::Old } else { Style::OldUnnamed }
        } else if self.hash(field, "named").is_multiple_of(10) {
            Style::TodayUnnamed
        } else {
            Style::Today
        };
        if self.plan.wants_truth {
            self.truth_at(field, format!("{}|{}", place.link.new_code, place.text(style)));
        }
        style
    }

    /// States the truth of a field by its path; nested messages are maps.
    pub(crate) fn truth_at(&mut self, path: &str, value: impl Into<Value>) {
        if !self.plan.wants_truth {
            return;
        }
        match path.split_once('.') {
            None => self.truth(path, value),
            Some((group, leaf)) => {
                let entry = self.fields.entry(group.to_owned()).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = entry {
                    map.insert(leaf.to_owned(), value.into());
                }
            }
        }
    }

    /// A birth date as the row writes it: wrong by contradiction, or padded where only the year is known.
    pub(crate) fn birth(&mut self, field: &str, birth: Date, contradiction: Contradiction) -> Date {
        let mut written = birth;
        if let Contradiction::Year(offset) = contradiction {
            written.year = written.year.saturating_add_signed(offset);
            self.note(field, Kind::ContradictsPersonalId);
        }
        if birth.month == 0 && self.hits(field, Kind::YearAsJanuaryFirst, 0.5) {
            self.note(field, Kind::YearAsJanuaryFirst);
            written = written.padded();
        }
        written
    }

    /// Whether this row contradicts the personal number it holds.
    pub(crate) fn contradiction(&self, person: &Person) -> Contradiction {
        if person.personal_id.is_none()
            || !self.hits("", Kind::ContradictsPersonalId, self.plan.rates.contradicts_personal_id)
        {
            return Contradiction::None;
        }
        let hash = self.hash("", "contradiction");
        match hash % 2 {
            0 => Contradiction::Gender,
            _ => Contradiction::Year(-1 - (hash / 2 % 9) as i16),
        }
    }

    /// The sex as the row has it.
    pub(crate) fn male(&mut self, field: &str, male: bool, contradiction: Contradiction) -> bool {
        if contradiction == Contradiction::Gender {
            self.note(field, Kind::ContradictsPersonalId);
            return !male;
        }
        male
    }

    /// A personal number; a spreadsheet may have taken its zero. Gives what is stored.
    pub(crate) fn personal_id(&mut self, column: &'static str, field: &str, number: Option<&str>) -> Option<String> {
        let mut stored = number.map(str::to_owned);
        if let Some(number) = number.and_then(|number| number.strip_prefix('0'))
            && self.hits(field, Kind::LeadingZero, self.plan.rates.leading_zero)
        {
            self.note(field, Kind::LeadingZero);
            stored = Some(number.to_owned());
        }
        self.put(column, &stored);
        stored
    }

    /// A tax code in a column that only refers to it.
    pub(crate) fn tax_code(&mut self, column: &'static str, field: &str, code: Option<&str>) -> Option<String> {
        let mut stored = code.map(str::to_owned);
        if let Some(code) = code
            && code.len() >= 10
            && self.hits(field, Kind::WrongCheckDigit, self.plan.rates.wrong_check_digit)
        {
            self.note(field, Kind::WrongCheckDigit);
            stored = Some(number::with_wrong_check_digit(code));
        }
        self.put(column, &stored);
        stored
    }

    /// When the register last touched the row.
    pub(crate) fn moment(&mut self, column: &'static str) {
        let hash = self.hash(column, "moment");
        let text = format!(
            "2026-{:02}-{:02} {:02}:{:02}:{:02}",
            1 + hash % 10,
            1 + hash / 16 % 28,
            7 + hash / 1024 % 11,
            hash / 65_536 % 60,
            hash / 16_777_216 % 60
        );
        self.put(column, text);
    }
}

fn encode(text: &str, charset: Charset) -> (Cell, usize) {
    match charset {
        Charset::Unicode => (Cell::from(text), 0),
        Charset::Tcvn3 => {
            let (bytes, replaced) = normalize::encode(text, Encoding::Tcvn3);
            (Cell::Bytes(bytes), replaced)
        }
        Charset::VniAsLatin1 => {
            let (bytes, replaced) = normalize::encode(text, Encoding::VniAsLatin1);
            (Cell::Text(String::from_utf8_lossy(&bytes).into_owned()), replaced)
        }
    }
}
