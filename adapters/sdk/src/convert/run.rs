//! Runs a converter on the texts of a row.

use std::{borrow::Cow, str::FromStr};

use chrono::{Datelike, TimeDelta, Utc};
use normalize::{
    CodedValue, Conversion, Converted, DateFormat, Defect, IndustryVintage, MapKind, Note, Notes, PartialDate,
    PersonalId, TaxCode, Vintage,
};
use rust_decimal::Decimal;

use super::{Codes, Converter, List};
use crate::{
    functions::{InputText, Inputs},
    value::{Address, IdentityDocument, Value},
};

/// Digits after the point that an amount may have.
const MONEY_SCALE_MAX: u32 = 3;
/// More than any amount: 18 digits before the point.
const MONEY_END: Decimal = Decimal::from_parts(0xa764_0000, 0x0de0_b6b3, 0, false, 0);
/// How far ahead of UTC a day may have begun somewhere.
const DAY_AHEAD: TimeDelta = TimeDelta::hours(14);
/// An industry code of no more digits, from a column of numbers, may be one of a digit more that lost its zero.
const INDUSTRY_DIGITS_UNSURE: usize = 3;
/// Digits of the code of a commune, a district and a province.
const COMMUNE_DIGITS: usize = 5;
const DISTRICT_DIGITS: usize = 3;
const PROVINCE_DIGITS: usize = 2;
/// Digits of an insurance number.
const INSURANCE_DIGITS: usize = 10;

/// A value with notes, nothing because the row holds nothing, or the defect that keeps the value from being released.
pub(crate) type Outcome = Conversion<Option<Value>>;

impl Converter {
    /// Converts. Empty columns have no input; without any input there is no value.
    pub(crate) fn run(&self, inputs: &Inputs<'_>) -> Outcome {
        if inputs.0.is_empty() {
            return Ok(Converted::clean(None));
        }
        match self.value(inputs) {
            Err(Defect::Empty) => Ok(Converted::clean(None)),
            outcome => outcome,
        }
    }

    fn value(&self, inputs: &Inputs<'_>) -> Outcome {
        let input = inputs.0.first().map(|input| input.text.as_ref()).unwrap_or_default();
        match self {
            Self::Text => text(normalize::text(input)).map(|value| alarmed(value, input)),
            Self::OrgName => text(normalize::org_name(input)).map(|value| alarmed(value, input)),
            Self::PersonName => some(normalize::person_name(input), Value::Name).map(|value| alarmed(value, input)),
            Self::PersonalId => some(personal_id(inputs), |id| Value::Text(id.as_str().to_owned())),
            Self::LegacyId => text(normalize::legacy_id(input)),
            Self::TaxCode => some(tax_code(inputs), |code| Value::Text(code.as_str().to_owned())),
            Self::SocialInsuranceNumber => restored(inputs, |input| text(normalize::social_insurance_number(input))),
            Self::HealthInsuranceCard => {
                restored(inputs, |input| some(normalize::health_insurance_card(input), |card| Value::Text(card.number)))
            }
            Self::CardObjectGroup(codes) => card_object_group(input, codes),
            Self::CardBenefitLevel => normalize::health_insurance_card(input)
                .map(|card| Converted::clean(card.value.benefit_level.map(|level| Value::Int(level.into())))),
            Self::BudgetUnitCode => text(normalize::budget_unit_code(input)),
            Self::Date { formats, birth } => date(inputs, formats, *birth),
            Self::Code(codes) => some(codes.convert(input), Value::Code),
            Self::Industry(vintage) => industry(inputs, *vintage),
            Self::Address(vintage) => address(inputs, *vintage),
            Self::Money => some(money(inputs), Value::Money),
            Self::Decimal => some(decimal(inputs), |number| Value::Text(number.normalize().to_string())),
            Self::Integer => integer(inputs),
            Self::Boolean => some(normalize::boolean(input), Value::Bool),
            Self::Document { codes, formats } => document(inputs, codes, formats),
            Self::Derive(derive) => (derive.run)(inputs),
        }
    }
}

fn some<T>(conversion: Conversion<T>, value: impl FnOnce(T) -> Value) -> Outcome {
    conversion.map(|converted| converted.map(|inner| Some(value(inner))))
}

fn personal_id(inputs: &Inputs<'_>) -> Conversion<PersonalId> {
    match inputs.0.first() {
        Some(input) if input.number => normalize::personal_id_of_number(&input.text),
        input => normalize::personal_id(input.map(|input| input.text.as_ref()).unwrap_or_default()),
    }
}

fn tax_code(inputs: &Inputs<'_>) -> Conversion<TaxCode> {
    match inputs.0.first() {
        Some(input) if input.number => normalize::tax_code_of_number(&input.text),
        input => normalize::tax_code(input.map(|input| input.text.as_ref()).unwrap_or_default()),
    }
}

/// An insurance number as it was before a column of numbers took the zero at its front.
fn restored(inputs: &Inputs<'_>, convert: impl Fn(&str) -> Outcome) -> Outcome {
    let Some(input) = inputs.0.first() else { return Ok(Converted::clean(None)) };
    if !input.number || input.text.len() != INSURANCE_DIGITS - 1 {
        return convert(&input.text);
    }
    let mut outcome = convert(&format!("0{}", input.text))?;
    outcome.notes.insert(Note::LeadingZeroRestored);
    Ok(outcome)
}

fn text(conversion: Conversion<Cow<'_, str>>) -> Outcome {
    some(conversion, |text| Value::Text(text.into_owned()))
}

/// Adds the alarm when the input looks as if it were in another encoding than declared.
fn alarmed<T>(mut converted: Converted<T>, input: &str) -> Converted<T> {
    converted.notes.insert_if(!input.is_ascii() && normalize::alarm(input), Note::EncodingAlarm);
    converted
}

/// An amount; a number of the database's own has a point nobody could take for the sign between thousands.
fn money(inputs: &Inputs<'_>) -> Conversion<Decimal> {
    let Some(input) = inputs.0.first() else { return Err(Defect::Empty) };
    let amount = if input.number { own_number(&input.text)? } else { return normalize::vnd(&input.text) };
    let negative = amount.is_sign_negative() && !amount.is_zero();
    if negative || amount >= MONEY_END || amount.normalize().scale() > MONEY_SCALE_MAX {
        return Err(Defect::OutOfRange);
    }
    Ok(Converted::clean(amount))
}

fn decimal(inputs: &Inputs<'_>) -> Conversion<Decimal> {
    let Some(input) = inputs.0.first() else { return Err(Defect::Empty) };
    if input.number { own_number(&input.text).map(Converted::clean) } else { normalize::decimal(&input.text) }
}

/// A number of the database's own, as it writes it.
fn own_number(text: &str) -> Result<Decimal, Defect> {
    Decimal::from_str(text).map_err(|_| Defect::BadNumber)
}

/// The text without spaces around it, and the note that it had some.
fn trimmed(input: &str) -> (&str, Notes) {
    let trimmed = input.trim();
    let mut notes = Notes::NONE;
    notes.insert_if(trimmed.len() != input.len(), Note::Whitespace);
    (trimmed, notes)
}

fn integer(inputs: &Inputs<'_>) -> Outcome {
    let Converted { value: number, notes } = decimal(inputs)?;
    if !number.fract().is_zero() {
        return Err(Defect::BadNumber);
    }
    let number = i32::try_from(number).map_err(|_| Defect::OutOfRange)?;
    Ok(Converted { value: Some(Value::Int(number)), notes })
}

fn date(inputs: &Inputs<'_>, formats: &[DateFormat], birth: bool) -> Outcome {
    let part = |role: &str| inputs.get(role).unwrap_or_default();
    let mut converted = match (inputs.input("date"), inputs.get("precision")) {
        (Some(input), Some(precision)) => written_date(input, formats, |text, format| match birth {
            true => normalize::birth_date_with_precision(text, precision, format),
            false => normalize::partial_date_with_precision(text, precision, format),
        }),
        (Some(input), None) if birth => written_date(input, formats, normalize::birth_date),
        (Some(input), None) => written_date(input, formats, normalize::partial_date),
        // How exact a date is says nothing without the date.
        (None, Some(_)) => return Ok(Converted::clean(None)),
        (None, None) if birth => normalize::birth_date_of_parts(part("year"), part("month"), part("day")),
        (None, None) => normalize::date_of_parts(part("year"), part("month"), part("day")),
    }?;
    converted.notes.insert_if(birth && is_to_come(converted.value), Note::FutureDate);
    some(Ok(converted), Value::Date)
}

/// Whether a date lies in the future wherever one is, as far as it is known.
fn is_to_come(date: PartialDate) -> bool {
    let today = (Utc::now() + DAY_AHEAD).date_naive();
    let (year, month, day) = (i32::from(date.year), date.month.map(u32::from), date.day.map(u32::from));
    (year, month.unwrap_or(1), day.unwrap_or(1)) > (today.year(), today.month(), today.day())
}

/// Reads a date in the form it is written in: the database's own for real dates, whatever the mapping says of text. No text
/// is a date of two forms.
fn written_date(
    input: &InputText<'_>,
    formats: &[DateFormat],
    read: impl Fn(&str, DateFormat) -> Conversion<PartialDate>,
) -> Conversion<PartialDate> {
    if input.native_date {
        return read(day_of(&input.text), DateFormat::Iso);
    }
    let mut unread = Defect::BadDate;
    for format in formats {
        match read(&input.text, *format) {
            // The form was another one, or a better reason is known already.
            Err(Defect::BadDate) => {}
            Err(defect) => unread = defect,
            read => return read,
        }
    }
    Err(unread)
}

/// The day of a timestamp at midnight, as some engines write a date; any other text as it is.
fn day_of(text: &str) -> &str {
    match text.split_once([' ', 'T']) {
        Some((day, time)) if day.len() == 10 && time.chars().all(|c| matches!(c, '0' | ':' | '.')) => day,
        _ => text,
    }
}

impl Codes {
    pub(crate) fn convert(&self, input: &str) -> Conversion<CodedValue> {
        let (trimmed, notes) = trimmed(input);
        if trimmed.is_empty() {
            return Err(Defect::Empty);
        }
        let found = match (&self.values, &self.list) {
            (Some(values), _) => values.get(trimmed).cloned(),
            (None, List::Shared(list)) => return list.convert(input),
            (None, own @ List::Own { .. }) => own.by_code(trimmed),
        };
        found.map(|value| Converted { value, notes }).ok_or(Defect::UnknownCode)
    }
}

fn card_object_group(input: &str, codes: &Codes) -> Outcome {
    let card = normalize::health_insurance_card(input)?.value;
    let Some(group) = card.object_group else { return Ok(Converted::clean(None)) };
    some(codes.convert(&group), Value::Code)
}

fn industry(inputs: &Inputs<'_>, declared: Option<IndustryVintage>) -> Outcome {
    let Some(code) = inputs.get("code") else { return Ok(Converted::clean(None)) };
    let vintage = match inputs.get("vintage") {
        Some(written) => written.trim().parse().map_err(|_| Defect::UnknownCode)?,
        None => declared.ok_or(Defect::UnknownCode)?,
    };
    let version = match vintage {
        IndustryVintage::Vsic2018 => "2018",
        IndustryVintage::Vsic2025 => "2025",
    };
    let mut converted = normalize::industry_code(code, vintage)?;
    // A column of numbers keeps no zero at the front, and without it 0141 is another code.
    let number = inputs.input("code").is_some_and(|input| input.number);
    converted.notes.insert_if(number && code.len() <= INDUSTRY_DIGITS_UNSURE, Note::UnknownCode);
    some(Ok(converted), |industry| {
        Value::Code(CodedValue {
            scheme: "vsic".into(),
            version: version.into(),
            code: industry.code.into(),
            label: "".into(),
        })
    })
}

fn address(inputs: &Inputs<'_>, declared: Vintage) -> Outcome {
    let mut address = Address::default();
    let mut notes = Notes::NONE;
    let mut defect = None;
    match inputs.get("text").map(|input| normalize::org_name(input).map(|text| alarmed(text, input))) {
        None => {}
        Some(Ok(text)) => {
            address.text = text.value.into_owned();
            notes = text.notes;
        }
        Some(Err(found)) => defect = Some(found),
    }
    // Only codes from before July 2025 come with a district.
    let old = declared == Vintage::Unknown && inputs.get("district").is_some();
    let vintage = if old { Vintage::Pre2025 } else { declared };
    match codes(&mut address, inputs, vintage) {
        Ok(found) => notes = notes.union(found),
        // A text that can be read is worth releasing without codes, under doubt.
        Err(_) if !address.text.is_empty() => notes.insert(Note::UnknownCode),
        Err(found) => defect = defect.or(Some(found)),
    }
    if address == Address::default() {
        return defect.map_or(Ok(Converted::clean(None)), Err);
    }
    Ok(Converted { value: Some(Value::Address(Box::new(address))), notes })
}

/// The code of a unit, with the zeros that a column of numbers took from its front.
fn unit_code<'i>(inputs: &'i Inputs<'_>, role: &str, digits: usize, notes: &mut Notes) -> Option<Cow<'i, str>> {
    let input = inputs.input(role)?;
    let code = input.text.trim();
    // The five districts that had no communes stand for one, with their three digits.
    let district = || normalize::commune(code, None, Vintage::Pre2025).is_ok();
    if !input.number || code.len() >= digits || (code.len() == DISTRICT_DIGITS && district()) {
        return Some(Cow::Borrowed(code));
    }
    notes.insert(Note::LeadingZeroRestored);
    Some(Cow::Owned(format!("{code:0>digits$}")))
}

/// Fills in the codes of an address whose text is there.
fn codes(address: &mut Address, inputs: &Inputs<'_>, vintage: Vintage) -> Result<Notes, Defect> {
    let mut restored = Notes::NONE;
    let commune = unit_code(inputs, "commune", COMMUNE_DIGITS, &mut restored);
    let province = unit_code(inputs, "province", PROVINCE_DIGITS, &mut restored);
    let province = province.as_deref();
    if let Some(code) = commune.as_deref() {
        let written = Some(address.text.as_str()).filter(|text| !text.is_empty());
        let Converted { value: commune, mut notes } = normalize::commune(code, written, vintage)?;
        notes.insert_if(province.is_some_and(|province| !commune.may_be_in(province)), Note::UnitsDisagree);
        address.commune_code = commune.code.to_owned();
        address.province_code = province.unwrap_or_default().to_owned();
        address.vintage = Some(commune.vintage);
        address.mapped_commune_code = commune.mapped_code.unwrap_or_default().to_owned();
        address.mapped_province_code = commune.mapped_province_code.unwrap_or_default().to_owned();
        address.map_kind = Some(commune.map_kind);
        return Ok(notes.union(restored));
    }
    let Some(code) = province else { return Ok(Notes::NONE) };
    let Converted { value: province, notes } = normalize::province(code, vintage)?;
    address.province_code = province.code.to_owned();
    address.vintage = Some(province.vintage);
    address.mapped_province_code = province.mapped_code.to_owned();
    let current = province.vintage == Vintage::Post2025;
    address.map_kind = Some(if current { MapKind::Current } else { MapKind::Whole });
    Ok(notes.union(restored))
}

fn document(inputs: &Inputs<'_>, codes: &Codes, formats: &[DateFormat]) -> Outcome {
    let mut notes = Notes::NONE;
    let kind = part(inputs, "type", &mut notes, |input| codes.convert(&input.text))?;
    let number =
        part(inputs, "number", &mut notes, |input| normalize::text(&input.text).map(|text| text.map(unspaced)))?;
    let issue_date =
        part(inputs, "issue_date", &mut notes, |input| written_date(input, formats, normalize::partial_date))?;
    let issue_place = part(inputs, "issue_place", &mut notes, |input| {
        normalize::org_name(&input.text).map(|text| alarmed(text.map(Cow::into_owned), &input.text))
    })?;
    // A type alone names no document.
    if number.is_none() && issue_date.is_none() && issue_place.is_none() {
        return Ok(Converted::clean(None));
    }
    let document = IdentityDocument {
        kind,
        number: number.unwrap_or_default(),
        issue_date,
        issue_place: issue_place.unwrap_or_default(),
    };
    Ok(Converted { value: Some(Value::Document(Box::new(document))), notes })
}

fn unspaced(text: Cow<'_, str>) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// One part of a value made of several: nothing when empty.
fn part<T>(
    inputs: &Inputs<'_>,
    role: &str,
    notes: &mut Notes,
    convert: impl FnOnce(&InputText<'_>) -> Conversion<T>,
) -> Result<Option<T>, Defect> {
    let Some(input) = inputs.input(role) else { return Ok(None) };
    match convert(input) {
        Ok(converted) => {
            *notes = notes.union(converted.notes);
            Ok(Some(converted.value))
        }
        Err(Defect::Empty) => Ok(None),
        Err(defect) => Err(defect),
    }
}
