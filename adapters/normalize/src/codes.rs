//! Code lists.
use crate::{Conversion, Defect};
use std::borrow::Cow;
/// A value of a code list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodedValue {
    /// The list ("ethnicity").
    pub scheme: Cow<'static, str>,
    /// The edition of the list.
    pub version: Cow<'static, str>,
    /// The canonical code.
    pub code: Cow<'static, str>,
    /// The Vietnamese label.
    pub label: Cow<'static, str>,
}
/// One entry of a code list.
#[derive(Clone, Debug)]
pub struct CodeEntry {
    /// Canonical code.
    pub code: &'static str,
    /// Vietnamese label.
    pub label_vi: &'static str,
    /// English label.
    pub label_en: &'static str,
    /// Other names.
    pub aliases: Vec<&'static str>,
}
/// A code list.
#[derive(Debug)]
pub struct CodeList {}
impl CodeList {
    /// Its name.
    pub fn scheme(&self) -> &'static str {
        todo!()
    }
    /// Its edition.
    pub fn version(&self) -> &'static str {
        todo!()
    }
    /// All entries.
    pub fn entries(&self) -> &[CodeEntry] {
        todo!()
    }
    /// By exact canonical code.
    pub fn by_code(&self, code: &str) -> Option<&CodeEntry> {
        let _ = code;
        todo!()
    }
    /// By name: folded, whole, exactly one.
    pub fn by_name(&self, name: &str) -> Result<&CodeEntry, Defect> {
        let _ = name;
        todo!()
    }
    /// An entry as a coded value.
    pub fn coded(&self, entry: &CodeEntry) -> CodedValue {
        let _ = entry;
        todo!()
    }
    /// Code first, then name (noted `code_by_name`).
    pub fn convert(&self, input: &str) -> Conversion<CodedValue> {
        let _ = input;
        todo!()
    }
}
/// The list of that name.
pub fn code_list(scheme: &str) -> Option<&'static CodeList> {
    let _ = scheme;
    todo!()
}
/// The names of all lists.
pub fn code_schemes() -> impl Iterator<Item = &'static str> {
    std::iter::empty()
}
/// Gender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gender {
    /// M
    Male,
    /// F
    Female,
    /// X
    Undetermined,
    /// U
    Unknown,
}
impl Gender {
    /// The canonical code of the list `gender`.
    pub const fn code(self) -> &'static str {
        match self {
            Gender::Male => "M",
            Gender::Female => "F",
            Gender::Undetermined => "X",
            Gender::Unknown => "U",
        }
    }
    /// From a canonical code of the list `gender`.
    pub fn from_code(code: &str) -> Option<Gender> {
        let _ = code;
        todo!()
    }
}
