//! Dates as the people of this crate have them: known to the day, the month or the year.

use rand::Rng;

/// The year the registers are read in; nothing happens after October of it.
pub(crate) const PRESENT_YEAR: u16 = 2026;

/// A date of known precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: u16,
    /// 0 when unknown.
    pub(crate) month: u8,
    /// 0 when unknown.
    pub(crate) day: u8,
}

impl Date {
    pub(crate) fn day(year: u16, month: u8, day: u8) -> Self {
        Self { year, month, day }
    }

    pub(crate) fn year(year: u16) -> Self {
        Self { year, month: 0, day: 0 }
    }

    /// A day of a year; before November in the present one.
    pub(crate) fn within(rng: &mut impl Rng, year: u16) -> Self {
        let year = year.min(PRESENT_YEAR);
        let last = if year == PRESENT_YEAR { 10 } else { 12 };
        Self { year, month: rng.random_range(1..=last), day: rng.random_range(1..=28) }
    }

    /// A day from `first` to the end of `last`.
    pub(crate) fn between(rng: &mut impl Rng, first: u16, last: u16) -> Self {
        let last = last.min(PRESENT_YEAR);
        let year = rng.random_range(first.min(last)..=last);
        Self::within(rng, year)
    }

    pub(crate) fn month_only(self) -> Self {
        Self { day: 0, ..self }
    }

    pub(crate) fn is_full(self) -> bool {
        self.day != 0
    }

    /// Moves by years; 29 February does not occur, so every result is a day of the calendar.
    pub(crate) fn plus_years(self, years: u16) -> Self {
        Self { year: self.year + years, ..self }
    }

    /// The same date known no better than `01-01` tells: how registers without partial dates write a year.
    pub(crate) fn padded(self) -> Self {
        Self { year: self.year, month: self.month.max(1), day: self.day.max(1) }
    }

    /// `yyyy-MM-dd`, `yyyy-MM`, `yyyy`: how the truth writes it.
    pub(crate) fn iso(self) -> String {
        self.joined("-", false)
    }

    /// `yyyyMMdd`, `yyyyMM`, `yyyy`.
    pub(crate) fn compact(self) -> String {
        self.joined("", false)
    }

    /// `dd.MM.yyyy`, `MM.yyyy`, `yyyy`.
    pub(crate) fn dotted(self) -> String {
        self.joined(".", true)
    }

    /// `dd/MM/yyyy`, `MM/yyyy`, `yyyy`.
    pub(crate) fn slashed(self) -> String {
        self.joined("/", true)
    }

    fn joined(self, separator: &str, day_first: bool) -> String {
        let Self { year, month, day } = self;
        match (month, day, day_first) {
            (0, _, _) => format!("{year:04}"),
            (_, 0, false) => format!("{year:04}{separator}{month:02}"),
            (_, 0, true) => format!("{month:02}{separator}{year:04}"),
            (_, _, false) => format!("{year:04}{separator}{month:02}{separator}{day:02}"),
            (_, _, true) => format!("{day:02}{separator}{month:02}{separator}{year:04}"),
        }
    }
}
