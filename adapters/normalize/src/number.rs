//! Money and truth values.
use crate::Conversion;
use rust_decimal::Decimal;
/// Money.
pub fn vnd(input: &str) -> Conversion<Decimal> {
    let _ = input;
    todo!()
}
/// Yes or no.
pub fn boolean(input: &str) -> Conversion<bool> {
    let _ = input;
    todo!()
}
