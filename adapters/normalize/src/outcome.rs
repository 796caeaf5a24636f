//! What a conversion answers: a value, a value with notes on how it was come by, or a defect.
//!
//! Neither notes nor defects ever hold the value they speak of, so both may be logged, counted and shown to people
//! who may not see the data.

use std::fmt;

/// How far a noted value may be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// The meaning is certain; only the form was put right.
    Repaired,
    /// The value is right but says less than the register meant, or one of several possible targets was taken.
    Lossy,
    /// The value is what the register holds, and there is a reason to doubt it.
    Suspect,
}

macro_rules! notes {
    ($($(#[doc = $doc:literal])+ $name:ident $reason:literal $grade:ident;)+) => {
        /// What a converter says about a value it released.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Note { $($(#[doc = $doc])+ $name,)+ }

        impl Note {
            /// Every note there is, in declaration order.
            pub const ALL: &'static [Note] = &[$(Note::$name,)+];

            /// Stable snake_case name, for provenance, reports and metrics.
            pub const fn reason(self) -> &'static str {
                match self { $(Note::$name => $reason,)+ }
            }

            /// How far a value with this note may be trusted.
            pub const fn grade(self) -> Grade {
                match self { $(Note::$name => Grade::$grade,)+ }
            }
        }
    };
}

notes! {
    /// Decomposed or mis-ordered marks were composed (NFC).
    UnicodeForm "unicode_form" Repaired;
    /// A letter that only looks Vietnamese (Ð, Ɖ, a typographic apostrophe) was replaced by the right one.
    LookalikeLetter "lookalike_letter" Repaired;
    /// Spaces were trimmed or collapsed, or invisible characters removed.
    Whitespace "whitespace" Repaired;
    /// The tone mark was moved to its canonical letter (hoà to hòa).
    TonePlacement "tone_placement" Repaired;
    /// Capitals were restored in a name written all in capitals or without them.
    Capitals "capitals" Repaired;
    /// A leading zero lost on the way was put back.
    LeadingZeroRestored "leading_zero_restored" Repaired;
    /// Separators between groups of digits were added or removed.
    Punctuation "punctuation" Repaired;
    /// An agency code in the form of QCVN 102:2016 was rewritten in the form of Decision 20/2020.
    OldAgencyFormat "old_agency_format" Repaired;
    /// The register holds a name where a code was expected, and exactly one entry bears it.
    CodeByName "code_by_name" Repaired;
    /// A detail in brackets has no place in the code list and was dropped.
    DetailDropped "detail_dropped" Lossy;
    /// The encoding cannot say whether a word starts with a capital (toned capitals of TCVN3).
    CaseUnknown "case_unknown" Lossy;
    /// A day was taken from a time that is not midnight; in another time zone it is another day.
    TimeDropped "time_dropped" Lossy;
    /// The old commune was divided; the default part was taken.
    CommuneDivided "commune_divided" Lossy;
    /// The old unit has no unit of today recorded for it.
    CommuneUnmapped "commune_unmapped" Lossy;
    /// A name of two or more words without a single mark: marks may have been lost.
    NoDiacritics "no_diacritics" Suspect;
    /// 1 January stands where often only the year was known.
    SuspectPrecision "suspect_precision" Suspect;
    /// A birth date that has not come yet.
    FutureDate "future_date" Suspect;
    /// A question mark or replacement character inside a word: a letter was lost before the register stored it.
    UnmappableLetter "unmappable_letter" Suspect;
    /// The text looks as if it were in another encoding than declared.
    EncodingAlarm "encoding_alarm" Suspect;
    /// Birth year or sex in the personal number contradicts the record.
    ContradictsPersonalId "contradicts_personal_id" Suspect;
    /// Twelve digits are a personal number as they stand, and a branch's tax code with a zero before them.
    MayLackZero "may_lack_zero" Suspect;
    /// The check digit does not fit.
    CheckDigit "check_digit" Suspect;
    /// It cannot be told whether the unit's code is from before or after 1 July 2025, and it matters.
    VintageUnknown "vintage_unknown" Suspect;
    /// The commune is in another province than the one beside it.
    UnitsDisagree "units_disagree" Suspect;
    /// Well formed, but not in the list known here.
    UnknownCode "unknown_code" Suspect;
}

/// A set of notes, as small as a number.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Notes(u32);

impl Notes {
    /// No notes: the value is as it should be.
    pub const NONE: Notes = Notes(0);

    /// Adds a note.
    pub fn insert(&mut self, note: Note) {
        self.0 |= 1 << note as u32;
    }

    /// Adds a note where `happened`.
    pub fn insert_if(&mut self, happened: bool, note: Note) {
        if happened {
            self.insert(note);
        }
    }

    /// Whether the set holds `note`.
    pub const fn contains(self, note: Note) -> bool {
        self.0 & (1 << note as u32) != 0
    }

    /// Whether there is nothing to say.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The notes, in declaration order.
    pub fn iter(self) -> impl Iterator<Item = Note> {
        Note::ALL.iter().copied().filter(move |&note| self.contains(note))
    }

    /// The notes of both sets.
    #[must_use]
    pub const fn union(self, other: Notes) -> Notes {
        Notes(self.0 | other.0)
    }

    /// The gravest grade among the notes.
    pub fn worst(self) -> Option<Grade> {
        self.iter().map(Note::grade).max()
    }
}

impl From<Note> for Notes {
    fn from(note: Note) -> Notes {
        let mut notes = Notes::NONE;
        notes.insert(note);
        notes
    }
}

impl FromIterator<Note> for Notes {
    fn from_iter<I: IntoIterator<Item = Note>>(iter: I) -> Notes {
        iter.into_iter().fold(Notes::NONE, |notes, note| notes.union(note.into()))
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter().map(Note::reason)).finish()
    }
}

/// A value, and what must be said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converted<T> {
    /// The value.
    pub value: T,
    /// What was repaired, lost or is doubtful.
    pub notes: Notes,
}

impl<T> Converted<T> {
    /// A value about which nothing needs saying.
    pub const fn clean(value: T) -> Converted<T> {
        Converted { value, notes: Notes::NONE }
    }

    /// A value with notes.
    pub fn noted(value: T, notes: impl Into<Notes>) -> Converted<T> {
        Converted { value, notes: notes.into() }
    }

    /// The same notes on another value.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Converted<U> {
        Converted { value: convert(self.value), notes: self.notes }
    }
}

/// Why a value could not be released. Holds nothing of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Defect {
    /// Nothing, or nothing but spaces.
    #[error("empty")]
    Empty,
    /// A filler written where there was nothing to write ("không", "0000000000", "…").
    #[error("placeholder instead of a value")]
    Placeholder,
    /// A date of zeros.
    #[error("date of zeros")]
    ZeroDate,
    /// Too few or too many characters.
    #[error("wrong length")]
    WrongLength,
    /// Something other than digits.
    #[error("not digits")]
    NotDigits,
    /// The right characters in the wrong arrangement.
    #[error("wrong form")]
    WrongForm,
    /// The leading digits belong to no known issuer.
    #[error("unknown prefix")]
    UnknownPrefix,
    /// The check digit does not fit.
    #[error("wrong check digit")]
    WrongCheckDigit,
    /// A number the rules of issue exclude.
    #[error("number that is never issued")]
    NotIssuable,
    /// Not a date in the declared format, or not in the calendar.
    #[error("not a date")]
    BadDate,
    /// A number, date or precision outside what is possible.
    #[error("out of range")]
    OutOfRange,
    /// In no list.
    #[error("unknown code")]
    UnknownCode,
    /// A name borne by several entries of the list.
    #[error("name borne by several codes")]
    AmbiguousName,
    /// A byte or character the declared encoding does not have.
    #[error("byte not in the declared encoding")]
    UndecodableByte,
    /// Not a number, or one that can be read two ways.
    #[error("not a number")]
    BadNumber,
    /// Not one of the accepted words for yes and no.
    #[error("neither yes nor no")]
    NotBoolean,
    /// Longer than any real value.
    #[error("too long")]
    TooLong,
}

impl Defect {
    /// Stable snake_case name, for reports and metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Defect::Empty => "empty",
            Defect::Placeholder => "placeholder",
            Defect::ZeroDate => "zero_date",
            Defect::WrongLength => "wrong_length",
            Defect::NotDigits => "not_digits",
            Defect::WrongForm => "wrong_form",
            Defect::UnknownPrefix => "unknown_prefix",
            Defect::WrongCheckDigit => "wrong_check_digit",
            Defect::NotIssuable => "not_issuable",
            Defect::BadDate => "bad_date",
            Defect::OutOfRange => "out_of_range",
            Defect::UnknownCode => "unknown_code",
            Defect::AmbiguousName => "ambiguous_name",
            Defect::UndecodableByte => "undecodable_byte",
            Defect::BadNumber => "bad_number",
            Defect::NotBoolean => "not_boolean",
            Defect::TooLong => "too_long",
        }
    }

    /// Whether the register simply holds no value: nothing there, a filler, or a date of zeros.
    pub const fn is_absent(self) -> bool {
        matches!(self, Defect::Empty | Defect::Placeholder | Defect::ZeroDate)
    }
}

/// The answer of every converter.
pub type Conversion<T> = Result<Converted<T>, Defect>;

/// A name in a mapping (of an encoding, a date format, a vintage) that stands for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind}, expected one of: {}", known.join(", "))]
pub struct UnknownName {
    /// What was to be named: "encoding", "date format", ...
    pub kind: &'static str,
    /// The names there are.
    pub known: &'static [&'static str],
}

/// Gives an enum its names in mappings: `NAMES`, `FromStr` and `name()`.
macro_rules! named {
    ($kind:literal $type:ident { $($name:literal => $variant:ident),+ $(,)? }) => {
        impl $type {
            /// The names accepted in a mapping.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name in a mapping.
            pub const fn name(self) -> &'static str {
                match self { $($type::$variant => $name),+ }
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::UnknownName;

            fn from_str(name: &str) -> Result<$type, $crate::UnknownName> {
                match name {
                    $($name => Ok($type::$variant),)+
                    _ => Err($crate::UnknownName { kind: $kind, known: $type::NAMES }),
                }
            }
        }
    };
}
pub(crate) use named;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in_and_know_the_worst() {
        let notes: Notes = [Note::UnknownCode, Note::Whitespace].into_iter().collect();
        assert!(notes.contains(Note::Whitespace) && !notes.contains(Note::Capitals));
        assert_eq!(notes.iter().collect::<Vec<_>>(), [Note::Whitespace, Note::UnknownCode]);
        assert_eq!(notes.worst(), Some(Grade::Suspect));
        assert_eq!(Notes::NONE.worst(), None);
        assert_eq!(Notes::from(Note::CommuneDivided).union(Note::Capitals.into()).worst(), Some(Grade::Lossy));
    }

    #[test]
    fn reasons_are_distinct_and_every_note_fits_the_set() {
        let mut reasons: Vec<_> = Note::ALL.iter().map(|note| note.reason()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), Note::ALL.len());
        assert!(Note::ALL.len() <= 32);
    }

    #[test]
    fn unknown_names_list_the_known_ones() {
        let error = "utf-9".parse::<crate::Encoding>().unwrap_err();
        assert!(error.to_string().starts_with("unknown encoding, expected one of: utf-8, tcvn3"));
    }
}
