//! The defects registers have, and how each changes a text.

use std::collections::BTreeMap;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// How often each defect occurs (the field's own estimates). Text defects are per field of a row.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rates {
    /// `hoà` for `hòa`.
    pub tone_placement: f64,
    /// A name all in capitals.
    pub capitals: f64,
    /// Decomposed letters.
    pub unicode_form: f64,
    /// A name without marks.
    pub no_diacritics: f64,
    /// A civil-status row of an old import in VNI.
    pub vni_row: f64,
    /// People known by the old card number only, of those who had one.
    pub cmnd_only: f64,
    /// Addresses with codes until June 2025 and no statement of it.
    pub old_address: f64,
    /// People with a second row under another card number, of those who had a card.
    pub duplicate_person: f64,
    /// Several insurance numbers.
    pub second_insurance_number: f64,
    /// Gender or birth year against the personal number.
    pub contradicts_personal_id: f64,
    /// A tax code with a wrong check digit.
    pub wrong_check_digit: f64,
    /// A look-alike of Đ, of texts that have Đ. One text in ten does.
    pub lookalike_letter: f64,
    /// Two spaces.
    pub whitespace: f64,
    /// A personal number without its leading zero.
    pub leading_zero: f64,
    /// A word that says nothing where nothing should stand.
    pub placeholder: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            tone_placement: 0.08,
            capitals: 0.04,
            unicode_form: 0.03,
            no_diacritics: 0.02,
            vni_row: 0.01,
            cmnd_only: 0.03,
            old_address: 0.35,
            duplicate_person: 0.01,
            second_insurance_number: 0.01,
            contradicts_personal_id: 0.005,
            wrong_check_digit: 0.003,
            lookalike_letter: 0.02,
            whitespace: 0.005,
            leading_zero: 0.005,
            placeholder: 0.01,
        }
    }
}

impl Rates {
    /// Registers without defects.
    pub fn none() -> Self {
        Self {
            tone_placement: 0.0,
            capitals: 0.0,
            unicode_form: 0.0,
            no_diacritics: 0.0,
            vni_row: 0.0,
            cmnd_only: 0.0,
            old_address: 0.0,
            duplicate_person: 0.0,
            second_insurance_number: 0.0,
            contradicts_personal_id: 0.0,
            wrong_check_digit: 0.0,
            lookalike_letter: 0.0,
            whitespace: 0.0,
            leading_zero: 0.0,
            placeholder: 0.0,
        }
    }
}

/// How many times each kind of defect was written.
pub type DefectCounts = BTreeMap<&'static str, u64>;

/// Kinds of defect. Where a converter has a note for one, the names are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    TonePlacement,
    Capitals,
    UnicodeForm,
    NoDiacritics,
    LookalikeLetter,
    Whitespace,
    UnmappableLetter,
    LostCapital,
    YearAsJanuaryFirst,
    ContradictsPersonalId,
    LeadingZero,
    WrongCheckDigit,
    Placeholder,
    OldAddress,
    CommuneDivided,
    DuplicatePerson,
    SecondInsuranceNumber,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::TonePlacement => "tone_placement",
            Self::Capitals => "capitals",
            Self::UnicodeForm => "unicode_form",
            Self::NoDiacritics => "no_diacritics",
            Self::LookalikeLetter => "lookalike_letter",
            Self::Whitespace => "whitespace",
            Self::UnmappableLetter => "unmappable_letter",
            Self::LostCapital => "lost_capital",
            Self::YearAsJanuaryFirst => "year_as_january_first",
            Self::ContradictsPersonalId => "contradicts_personal_id",
            Self::LeadingZero => "leading_zero",
            Self::WrongCheckDigit => "wrong_check_digit",
            Self::Placeholder => "placeholder",
            Self::OldAddress => "old_address",
            Self::CommuneDivided => "commune_divided",
            Self::DuplicatePerson => "duplicate_person",
            Self::SecondInsuranceNumber => "second_insurance_number",
        }
    }
}

/// Open rimes with the tone on the first vowel, and the same with the tone on the second.
const TONES: [(&str, &str); 15] = [
    ("òa", "oà"),
    ("óa", "oá"),
    ("ỏa", "oả"),
    ("õa", "oã"),
    ("ọa", "oạ"),
    ("òe", "oè"),
    ("óe", "oé"),
    ("ỏe", "oẻ"),
    ("õe", "oẽ"),
    ("ọe", "oẹ"),
    ("ùy", "uỳ"),
    ("úy", "uý"),
    ("ủy", "uỷ"),
    ("ũy", "uỹ"),
    ("ụy", "uỵ"),
];

/// The other place for the tones of a text, if any of its words has one.
pub(crate) fn tone_variant(text: &str) -> Option<String> {
    let mut changed = false;
    let words: Vec<String> = text
        .split(' ')
        .map(|word| {
            let bare = word.trim_end_matches([',', '.']);
            let punctuation = &word[bare.len()..];
            let lower = bare.to_lowercase();
            let rime = TONES.iter().find(|(old, _)| lower.ends_with(old));
            let Some((old, new)) = rime else { return word.to_owned() };
            changed = true;
            let kept = bare.chars().count() - old.chars().count();
            let stem: String = bare.chars().take(kept).collect();
            // Each letter keeps its case: "Ủy" becomes "Uỷ", "ỦY" becomes "UỶ".
            let rime: String = bare
                .chars()
                .skip(kept)
                .zip(new.chars())
                .map(
                    |(written, letter)| {
                        if written.is_uppercase() { letter.to_uppercase().collect() } else { letter.to_string() }
                    },
                )
                .collect();
            format!("{stem}{rime}{punctuation}")
        })
        .collect();
    changed.then(|| words.join(" "))
}

/// The text in bare letters.
pub(crate) fn without_marks(text: &str) -> String {
    text.nfd()
        .filter(|letter| !is_combining_mark(*letter))
        .map(|letter| match letter {
            'Đ' => 'D',
            'đ' => 'd',
            letter => letter,
        })
        .collect()
}

/// Whether TCVN3 makes a capital of this text small: it has bytes for the toneless ones only, and a reader tells
/// capitals from the other letters of the word.
pub(crate) fn loses_capitals(text: &str) -> bool {
    text.split(|letter: char| !letter.is_alphabetic()).any(|word| {
        let has_toned =
            word.chars().any(|letter| letter.is_uppercase() && !letter.is_ascii() && !"ĂÂÊÔƠƯĐ".contains(letter));
        let mut ascii = word.chars().filter(char::is_ascii_alphabetic);
        let is_readable = ascii.clone().count() >= 2 && ascii.all(|letter| letter.is_ascii_uppercase());
        has_toned && !is_readable
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_move_in_open_rimes_only() {
        assert_eq!(tone_variant("Nguyễn Thị Hòa").as_deref(), Some("Nguyễn Thị Hoà"));
        assert_eq!(tone_variant("CÔNG TY THỦY SẢN, HÒA, AN").as_deref(), Some("CÔNG TY THUỶ SẢN, HOÀ, AN"));
        assert_eq!(tone_variant("Nguyễn Hoàng Quý"), None);
    }

    #[test]
    fn marks_go_and_letters_stay() {
        assert_eq!(without_marks("Đặng Thị Ngọc Bưởi"), "Dang Thi Ngoc Buoi");
    }

    #[test]
    fn a_single_toned_capital_is_lost() {
        assert!(loses_capitals("Ấp Bắc"));
        assert!(loses_capitals("Ủy ban nhân dân"));
        assert!(!loses_capitals("TÒA ÁN NHÂN DÂN".split(' ').next().unwrap()));
        assert!(!loses_capitals("Đăk Ơ, Âu Cơ"));
    }
}
