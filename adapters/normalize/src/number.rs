//! Amounts of money and truth values.

use std::borrow::Cow;

use rust_decimal::Decimal;

use crate::text::{clean, token};
use crate::{Conversion, Converted, Defect, Note, fold_name};

/// Digits after the point that registers keep.
const FRACTION_MAX: usize = 3;
/// Digits before it.
const WHOLE_MAX: usize = 18;

/// Reads an amount in dong: digits, with up to three after a point.
///
/// Thousands separators are accepted where they cannot be a decimal point: "1.000.000", "1,000,000.50". A single
/// separator before exactly three digits ("500.000") can be read two ways and is [`Defect::BadNumber`], unless more than
/// three digits or a zero stand before it. Amounts below zero are [`Defect::OutOfRange`].
pub fn vnd(input: &str) -> Conversion<Decimal> {
    let Converted { value, mut notes } = amount(input)?;
    let bare = without_unit(&value);
    notes.insert_if(bare.len() != value.len(), Note::Punctuation);
    let (negative, bare) = bare.strip_prefix('-').map_or((false, bare), |rest| (true, rest));
    let plain = plain_number(bare)?;
    notes.insert_if(matches!(plain, Cow::Owned(_)), Note::Punctuation);
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    if whole.len() > WHOLE_MAX || fraction.len() > FRACTION_MAX {
        return Err(Defect::OutOfRange);
    }
    let amount: Decimal = plain.parse().map_err(|_| Defect::BadNumber)?;
    if negative && !amount.is_zero() {
        return Err(Defect::OutOfRange);
    }
    Ok(Converted { value: amount, notes })
}

/// Reads a number as people write it: a point or a comma before the fraction, separators between thousands.
///
/// As with [`vnd`], a single separator before exactly three digits ("1.500") can be read two ways and is
/// [`Defect::BadNumber`]. A column of a number type is read by its type, not by this.
pub fn decimal(input: &str) -> Conversion<Decimal> {
    let Converted { value, mut notes } = amount(input)?;
    let (sign, bare) = match value.as_bytes().first() {
        Some(b'-') => ("-", &value[1..]),
        Some(b'+') => ("", &value[1..]),
        _ => ("", &*value),
    };
    let open = bare.starts_with(['.', ',']);
    let bare = if open { Cow::Owned(format!("0{bare}")) } else { Cow::Borrowed(bare) };
    let plain = plain_number(&bare)?;
    notes.insert_if(open || matches!(plain, Cow::Owned(_)), Note::Punctuation);
    let number = format!("{sign}{plain}").parse().map_err(|_| Defect::BadNumber)?;
    Ok(Converted { value: number, notes })
}

/// Yes as registers write it, folded.
const YES: [&str; 8] = ["1", "T", "TRUE", "Y", "YES", "X", "CO", "DUNG"];
/// No, likewise.
const NO: [&str; 7] = ["0", "F", "FALSE", "N", "NO", "KHONG", "SAI"];

/// Reads yes or no, in the ways registers write them.
pub fn boolean(input: &str) -> Conversion<bool> {
    let Converted { value, notes } = clean(input);
    if value.is_empty() {
        return Err(Defect::Empty);
    }
    let says = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    let spells = |words: &[&str]| !value.is_ascii() && words.contains(&fold_name(&value).as_str());
    let truth = if says(&YES) || spells(&YES) {
        true
    } else if says(&NO) || spells(&NO) {
        false
    } else {
        return Err(Defect::NotBoolean);
    };
    Ok(Converted { value: truth, notes })
}

/// As [`token`], but zeros are an amount.
fn amount(input: &str) -> Conversion<Cow<'_, str>> {
    match token(input) {
        Err(Defect::Placeholder) if input.contains('0') => Ok(clean(input)),
        other => other,
    }
}

fn without_unit(value: &str) -> &str {
    let units = ["đồng", "Đồng", "ĐỒNG", "VNĐ", "vnđ", "VND", "vnd", "₫", "đ"];
    units.iter().find_map(|unit| value.strip_suffix(unit)).unwrap_or(value).trim_end()
}

/// The number with a point for its fraction and nothing between the thousands.
fn plain_number(written: &str) -> Result<Cow<'_, str>, Defect> {
    let separators: Vec<char> = written.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    let last = match separators[..] {
        [] if written.is_empty() => return Err(Defect::BadNumber),
        [] => return Ok(Cow::Borrowed(written)),
        [.., last] => last,
    };
    let thousands = separators[0];
    if !matches!(thousands, '.' | ',' | ' ') || !matches!(last, '.' | ',' | ' ') {
        return Err(Defect::BadNumber);
    }
    let single = separators.len() == 1;
    let (whole, fraction) = match written.rsplit_once(last) {
        Some((whole, fraction)) if single && last != ' ' && !looks_like_thousands(whole, fraction) => (whole, fraction),
        Some(_) if single && last != ' ' => return Err(Defect::BadNumber),
        Some((whole, fraction)) if last != thousands && last != ' ' => (whole, fraction),
        _ => (written, ""),
    };
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) && !is_grouped(whole, thousands) {
        return Err(Defect::BadNumber);
    }
    let has_fraction = whole.len() != written.len();
    if whole.is_empty()
        || (has_fraction && (fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit())))
    {
        return Err(Defect::BadNumber);
    }
    if single && last == '.' {
        return Ok(Cow::Borrowed(written));
    }
    let whole = whole.replace(thousands, "");
    Ok(Cow::Owned(if has_fraction { format!("{whole}.{fraction}") } else { whole }))
}

/// "500" and "000": a fraction of three digits, or thousands.
fn looks_like_thousands(whole: &str, fraction: &str) -> bool {
    fraction.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0')
}

/// One to three digits, then groups of three.
fn is_grouped(whole: &str, separator: char) -> bool {
    let mut groups = whole.split(separator);
    let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    groups.next().is_some_and(|first| (1..=3).contains(&first.len()) && digits(first) && !first.starts_with('0'))
        && groups.all(|group| group.len() == 3 && digits(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_can_be_read_two_ways_is_none() {
        for (written, number) in [
            ("25,5", "25.5"),
            ("120.75", "120.75"),
            ("-3.5", "-3.5"),
            ("1.234.567,8", "1234567.8"),
            ("1,234.5", "1234.5"),
            ("0.125", "0.125"),
            ("12345.678", "12345.678"),
            (".5", "0.5"),
            ("100", "100"),
            ("0", "0"),
        ] {
            assert_eq!(decimal(written).unwrap().value.to_string(), number, "{written}");
        }
        for wrong in ["1.500", "1,500", "120.000", "1.2.3", "1,2,3", "12a", "1e5", "-", ".", "--1"] {
            assert!(decimal(wrong).is_err(), "{wrong}");
        }
        assert!(decimal("120.75").unwrap().notes.is_empty());
        assert_eq!(decimal("25,5").unwrap().notes, Note::Punctuation.into());
    }

    #[test]
    fn amounts_are_read_where_they_can_be_read_one_way() {
        for (input, amount, repaired) in [
            ("5000000", "5000000", false),
            ("5000000.000", "5000000.000", false),
            ("0", "0", false),
            ("0.500", "0.500", false),
            ("1500.5", "1500.5", false),
            ("000000000", "0", false),
            ("1.000.000", "1000000", true),
            ("1,000,000.50", "1000000.50", true),
            ("1.000.000,5", "1000000.5", true),
            ("1 000 000", "1000000", true),
            ("1500,5", "1500.5", true),
            ("5000000 đồng", "5000000", true),
            ("1.000.000 VND", "1000000", true),
        ] {
            let converted = vnd(input).unwrap();
            assert_eq!(converted.value, amount.parse().unwrap(), "{input}");
            assert_eq!(converted.notes.contains(Note::Punctuation), repaired, "{input}");
        }
    }

    #[test]
    fn what_can_be_read_two_ways_or_none_is_a_defect() {
        for input in [
            "500.000",
            "1,000",
            "1.00.000",
            "1.000.00",
            "1.",
            ".5",
            "12a",
            "1e6",
            "1.0000.000",
            "--1",
            "01.000.000",
            "1.000,000,5",
            "đ",
        ] {
            assert_eq!(vnd(input), Err(Defect::BadNumber), "{input}");
        }
        for input in ["-5", "1234567890123456789", "1.0005"] {
            assert_eq!(vnd(input), Err(Defect::OutOfRange), "{input}");
        }
        assert_eq!(vnd("không"), Err(Defect::Placeholder));
        assert_eq!(vnd(""), Err(Defect::Empty));
    }

    #[test]
    fn yes_and_no_have_many_spellings() {
        for yes in ["1", "t", "true", "Y", "x", "Có", "TRUE"] {
            assert!(boolean(yes).unwrap().value, "{yes}");
        }
        for no in ["0", "f", "False", "n", "Không", "KHONG"] {
            assert!(!boolean(no).unwrap().value, "{no}");
        }
        assert_eq!(boolean("2"), Err(Defect::NotBoolean));
        assert_eq!(boolean(" "), Err(Defect::Empty));
    }
}
