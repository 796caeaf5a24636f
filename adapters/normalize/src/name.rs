//! Names.
use crate::Conversion;
use std::borrow::Cow;
/// A person's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName {
    /// Canonical spelling.
    pub full: String,
    /// What the register wrote, only where it differs.
    pub as_written: Option<String>,
    /// Key for finding: upper case, no marks.
    pub folded: String,
    /// Key for telling apart: upper case, marks kept.
    pub marked_key: String,
}
/// Reads a person's name.
pub fn person_name(input: &str) -> Conversion<PersonName> {
    let _ = input;
    todo!()
}
/// Reads a name of a firm or agency, or an address.
pub fn org_name(input: &str) -> Conversion<Cow<'_, str>> {
    let _ = input;
    todo!()
}
/// Folded key.
pub fn fold_name(name: &str) -> String {
    let _ = name;
    todo!()
}
/// Marked key.
pub fn marked_key(name: &str) -> String {
    let _ = name;
    todo!()
}
/// Canonical tone.
pub fn canonical_tone(text: &str) -> Cow<'_, str> {
    let _ = text;
    todo!()
}
