//! Numbers of social and health insurance.

use std::borrow::Cow;

use crate::personal_id::digits;
use crate::text::token;
use crate::{Conversion, Converted, Defect, Note, code_list, personal_id};

/// A health insurance card of either form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthInsuranceCard {
    /// As printed, without spaces: 15 characters (old) or 10 digits (new).
    pub number: String,
    /// The holder's insurance number, 10 digits.
    pub social_insurance_number: String,
    /// Two letters, old form only. Sensitive: it tells poverty, merit or ethnicity.
    pub object_group: Option<String>,
    /// 1 to 5, old form only.
    pub benefit_level: Option<u8>,
    /// Two digits, old form only.
    pub province_code: Option<String>,
}

/// Reads an insurance number: 10 digits, or the personal number that takes its place since 1 August 2025.
pub fn social_insurance_number(input: &str) -> Conversion<Cow<'_, str>> {
    let converted = digits(input)?;
    match converted.value.len() {
        10 => Ok(converted),
        12 => personal_id(&converted.value).map(|_| converted),
        _ => Err(Defect::WrongLength),
    }
}

/// Reads a card number, old (`GD4 52 5212345678`) or new (10 digits).
///
/// An object group the list here does not hold is noted `unknown_code`: the list is not known to be complete.
pub fn health_insurance_card(input: &str) -> Conversion<HealthInsuranceCard> {
    let Converted { value, mut notes } = token(input)?;
    let compact: String = value.chars().filter(|letter| !matches!(letter, ' ' | '-' | '.')).collect();
    notes.insert_if(compact != *value, Note::Punctuation);
    let number = compact.to_ascii_uppercase();
    notes.insert_if(number != compact, Note::Capitals);
    if !number.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        let insured = digits(&number)?.value.into_owned();
        if insured.len() != 10 {
            return Err(Defect::WrongLength);
        }
        let card = HealthInsuranceCard {
            social_insurance_number: insured,
            number,
            object_group: None,
            benefit_level: None,
            province_code: None,
        };
        return Ok(Converted { value: card, notes });
    }
    let card = old_card(number)?;
    let known = code_list("health_object_group")
        .is_some_and(|list| card.object_group.as_deref().and_then(|group| list.by_code(group)).is_some());
    notes.insert_if(!known, Note::UnknownCode);
    Ok(Converted { value: card, notes })
}

/// Two letters, a level of 1 to 5, two digits of province, ten of the insurance number.
fn old_card(number: String) -> Result<HealthInsuranceCard, Defect> {
    if !number.is_ascii() {
        return Err(Defect::WrongForm);
    }
    if number.len() != 15 {
        return Err(Defect::WrongLength);
    }
    let (group, rest) = number.split_at(2);
    let (level, rest) = rest.split_at(1);
    let (province, insured) = rest.split_at(2);
    if !group.bytes().all(|byte| byte.is_ascii_uppercase()) || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Defect::WrongForm);
    }
    let level: u8 = level.parse().map_err(|_| Defect::WrongForm)?;
    if !(1..=5).contains(&level) {
        return Err(Defect::OutOfRange);
    }
    Ok(HealthInsuranceCard {
        social_insurance_number: insured.to_owned(),
        object_group: Some(group.to_owned()),
        benefit_level: Some(level),
        province_code: Some(province.to_owned()),
        number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_cards_are_read() {
        let old = health_insurance_card("GD4 52 5212345678").unwrap();
        assert_eq!(old.notes, Note::Punctuation.into());
        assert_eq!(old.value.number, "GD4525212345678");
        assert_eq!(old.value.social_insurance_number, "5212345678");
        assert_eq!((old.value.object_group.as_deref(), old.value.benefit_level), (Some("GD"), Some(4)));
        assert_eq!(old.value.province_code.as_deref(), Some("52"));
        let new = health_insurance_card("5212345678").unwrap();
        assert!(new.notes.is_empty() && new.value.object_group.is_none());
        assert!(health_insurance_card("ZZ4525212345678").unwrap().notes.contains(Note::UnknownCode));
    }

    #[test]
    fn wrong_cards_are_defects() {
        for (input, defect) in [
            ("GD6525212345678", Defect::OutOfRange),
            ("GD0525212345678", Defect::OutOfRange),
            ("GD452521234567", Defect::WrongLength),
            ("G14525212345678", Defect::WrongForm),
            ("GD4525212345X78", Defect::WrongForm),
            ("GDĐ525212345678", Defect::WrongForm),
            ("521234567", Defect::WrongLength),
            ("0000000000", Defect::Placeholder),
        ] {
            assert_eq!(health_insurance_card(input), Err(defect), "{input}");
        }
    }

    #[test]
    fn insurance_numbers_have_ten_digits_or_are_personal_numbers() {
        assert!(social_insurance_number("5212345678").unwrap().notes.is_empty());
        assert!(social_insurance_number("052185000123").is_ok());
        assert_eq!(social_insurance_number("999185000123"), Ok(Converted::clean("999185000123".into())));
        assert_eq!(social_insurance_number("003185000123"), Err(Defect::UnknownPrefix));
        assert_eq!(social_insurance_number("521234567"), Err(Defect::WrongLength));
        assert_eq!(social_insurance_number("0000000000"), Err(Defect::Placeholder));
    }
}
