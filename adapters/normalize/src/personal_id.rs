//! Personal numbers, new and old.
use crate::{Conversion, Gender, PartialDate};
use std::borrow::Cow;
/// A 12-digit personal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PersonalId([u8; 12]);
impl PersonalId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
    /// Birth year the number was issued for.
    pub fn birth_year(&self) -> u16 {
        todo!()
    }
    /// Whether issued for a man.
    pub fn male(&self) -> bool {
        todo!()
    }
}
/// Reads a personal number.
pub fn personal_id(input: &str) -> Conversion<PersonalId> {
    let _ = input;
    todo!()
}
/// Whether the number contradicts the record.
pub fn contradicts(id: &PersonalId, birth: Option<PartialDate>, gender: Option<Gender>) -> bool {
    let _ = (id, birth, gender);
    todo!()
}
/// Reads a CMND.
pub fn legacy_id(input: &str) -> Conversion<Cow<'_, str>> {
    let _ = input;
    todo!()
}
