//! Industry codes (VSIC).
use crate::{Conversion, outcome::named};
/// Which edition of VSIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndustryVintage {
    /// Decision 27/2018.
    Vsic2018,
    /// Decision 36/2025, from 15 November 2025.
    Vsic2025,
}
named!("industry vintage" IndustryVintage { "2018" => Vsic2018, "2025" => Vsic2025 });
/// An industry code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndustryCode {
    /// A letter, or two to five digits.
    pub code: String,
    /// Level 1 (section) to 5.
    pub level: u8,
    /// Edition.
    pub vintage: IndustryVintage,
}
/// Reads an industry code.
pub fn industry_code(input: &str, vintage: IndustryVintage) -> Conversion<IndustryCode> {
    let _ = (input, vintage);
    todo!()
}
