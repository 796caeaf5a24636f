//! Named functions of a sector: what a mapping, being data, cannot say.

use std::borrow::Cow;

use normalize::{Conversion, Gender, PersonalId, contradicts, personal_id};

use crate::value::{Value, ValueType};

/// The texts of a row that one field is made from, in the roles its converter names.
#[derive(Debug, Default)]
pub struct Inputs<'a>(pub(crate) Vec<InputText<'a>>);

#[derive(Debug)]
pub(crate) struct InputText<'a> {
    pub(crate) role: &'a str,
    pub(crate) text: Cow<'a, str>,
    /// The database itself holds a date: the text is `yyyy-MM-dd` whatever the mapping says of text dates.
    pub(crate) native_date: bool,
    /// The database itself holds a number, which keeps no zeros at the front.
    pub(crate) number: bool,
}

impl Inputs<'_> {
    /// The text in a role; nothing when the column is empty or not mapped.
    pub fn get(&self, role: &str) -> Option<&str> {
        self.input(role).map(|input| input.text.as_ref())
    }

    pub(crate) fn input(&self, role: &str) -> Option<&InputText<'_>> {
        self.0.iter().find(|input| input.role == role)
    }
}

/// A function that makes a value from columns, where no converter does. It must be pure and must not panic.
#[derive(Debug, Clone, Copy)]
pub struct Derive {
    /// Name in mappings.
    pub name: &'static str,
    /// The roles of its columns; a mapping that gives one column gives the first.
    pub roles: &'static [&'static str],
    /// Type of its values.
    pub output: ValueType,
    /// The function. Nothing: the row holds no value. It is not called when all columns are empty.
    pub run: fn(&Inputs<'_>) -> Conversion<Option<Value>>,
}

/// The values of a record that one check compares, by role.
#[derive(Debug, Default)]
pub struct CheckedValues<'a>(pub(crate) Vec<(&'a str, &'a Value)>);

impl CheckedValues<'_> {
    /// The value in a role; nothing when the field is empty, invalid or not mapped.
    pub fn get(&self, role: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| *name == role).map(|(_, value)| *value)
    }
}

/// A function that compares fields of one record and casts doubt on some. It must be pure and must not panic.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Name in mappings.
    pub name: &'static str,
    /// The roles it reads.
    pub roles: &'static [&'static str],
    /// The roles whose fields it may doubt. Its other columns are read only when one of these is requested.
    pub doubts: &'static [&'static str],
    /// The function: roles to doubt, each with a stable snake_case reason.
    pub run: fn(&CheckedValues<'_>) -> Vec<(&'static str, &'static str)>,
}

/// The functions mappings of a sector may name, beside those every mapping may.
#[derive(Debug, Clone, Default)]
pub struct Functions {
    derives: Vec<Derive>,
    checks: Vec<Check>,
}

impl Functions {
    /// The functions every mapping may name.
    pub fn new() -> Self {
        Self { derives: Vec::new(), checks: vec![PERSONAL_ID_AGREES] }
    }

    /// Adds a function.
    #[must_use]
    pub fn with_derive(mut self, derive: Derive) -> Self {
        self.derives.push(derive);
        self
    }

    /// Adds a check.
    #[must_use]
    pub fn with_check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    pub(crate) fn derives(&self) -> &[Derive] {
        &self.derives
    }

    pub(crate) fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// The digits of a personal number tell birth year and sex. A contradiction is a doubt about the column, not a
/// rejection: corrections leave old numbers behind.
const PERSONAL_ID_AGREES: Check = Check {
    name: "personal_id_agrees",
    roles: &["personal_id", "birth_date", "gender"],
    doubts: &["birth_date", "gender"],
    run: personal_id_agrees,
};

fn personal_id_agrees(values: &CheckedValues<'_>) -> Vec<(&'static str, &'static str)> {
    let Some(id) = values.get("personal_id").and_then(number) else { return Vec::new() };
    let birth = match values.get("birth_date") {
        Some(Value::Date(date)) => Some(*date),
        _ => None,
    };
    let gender = match values.get("gender") {
        Some(Value::Code(code)) => Gender::from_code(&code.code),
        _ => None,
    };
    let mut doubts = Vec::new();
    let reason = normalize::Note::ContradictsPersonalId.reason();
    if contradicts(&id, birth, None) {
        doubts.push(("birth_date", reason));
    }
    if contradicts(&id, None, gender) {
        doubts.push(("gender", reason));
    }
    doubts
}

fn number(value: &Value) -> Option<PersonalId> {
    match value {
        Value::Text(text) => personal_id(text).ok().map(|id| id.value),
        _ => None,
    }
}
