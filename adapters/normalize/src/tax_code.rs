//! Tax codes.
use crate::{Conversion, PersonalId};
/// A tax code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TaxCode {
    /// 10 digits.
    Enterprise(String),
    /// `NNNNNNNNNN-XXX`.
    Branch(String),
    /// A personal number used as tax code.
    Person(PersonalId),
}
impl TaxCode {
    /// Canonical text.
    pub fn as_str(&self) -> &str {
        todo!()
    }
}
/// Reads a tax code.
pub fn tax_code(input: &str) -> Conversion<TaxCode> {
    let _ = input;
    todo!()
}
/// Check digit.
pub fn tax_code_check_digit(first_nine: &str) -> Option<u8> {
    let _ = first_nine;
    todo!()
}
