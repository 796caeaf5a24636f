//! Codes of agencies, dossiers and budget units.
use crate::Conversion;
use std::borrow::Cow;
/// Budget unit.
pub fn budget_unit_code(input: &str) -> Conversion<Cow<'_, str>> {
    let _ = input;
    todo!()
}
/// Dossier.
pub fn dossier_number(input: &str) -> Conversion<Cow<'_, str>> {
    let _ = input;
    todo!()
}
/// Agency.
pub fn agency_code(input: &str) -> Conversion<Cow<'_, str>> {
    let _ = input;
    todo!()
}
