//! Text.
use crate::Conversion;
use std::borrow::Cow;
/// Cleans text.
pub fn text(input: &str) -> Conversion<Cow<'_, str>> {
    let _ = input;
    todo!()
}
