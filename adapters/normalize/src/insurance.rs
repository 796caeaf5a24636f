//! Numbers of social and health insurance.
use crate::Conversion;
use std::borrow::Cow;
/// A health insurance card of either form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthInsuranceCard {
    /// As printed, without spaces: 15 characters (old) or 10 digits (new).
    pub number: String,
    /// The holder's insurance number, 10 digits.
    pub social_insurance_number: String,
    /// Two letters, old form only. Sensitive: tells poverty, merit or ethnicity.
    pub object_group: Option<String>,
    /// 1 to 5, old form only.
    pub benefit_level: Option<u8>,
    /// Two digits, old form only.
    pub province_code: Option<String>,
}
/// Insurance number.
pub fn social_insurance_number(input: &str) -> Conversion<Cow<'_, str>> {
    let _ = input;
    todo!()
}
/// Card.
pub fn health_insurance_card(input: &str) -> Conversion<HealthInsuranceCard> {
    let _ = input;
    todo!()
}
