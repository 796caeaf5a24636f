//! The converters mappings may name: each ties a function of `normalize` to roles, options and a type.

use std::collections::BTreeMap;

use normalize::{CodeList, CodedValue, DateFormat, IndustryVintage, Vintage};

use crate::{functions::Derive, value::ValueType};

mod run;

pub(crate) use run::Outcome;

/// What a converter is called and needs.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// Roles of its columns; a mapping that gives one column gives the first, which must be there.
    pub(crate) roles: &'static [&'static str],
    pub(crate) options: &'static [&'static str],
    /// Whether a table of values may translate the register's codes.
    pub(crate) values: bool,
    pub(crate) output: ValueType,
    pub(crate) accepts: Accepts,
}

/// The kinds of column a converter can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// Text and bytes.
    Text,
    /// Text, bytes and whole numbers.
    TextOrNumber,
    /// Numbers, and text with numbers in it.
    Number,
    /// Dates, and text or numbers with dates in them.
    Date,
    /// Flags, and what stands for them.
    Flag,
    /// Anything: several columns of several kinds.
    Any,
}

const VALUE: &[&str] = &["value"];
/// A date as one column, perhaps with how exact it is beside it; or its parts in columns of their own.
const DATE: &[&str] = &["date", "precision", "year", "month", "day"];

const fn spec(name: &'static str, output: ValueType, accepts: Accepts) -> Spec {
    Spec { name, roles: VALUE, options: &[], values: false, output, accepts }
}

/// Every converter.
pub(crate) const SPECS: &[Spec] = &[
    spec("text", ValueType::Text, Accepts::TextOrNumber),
    spec("org_name", ValueType::Text, Accepts::Text),
    spec("person_name", ValueType::Name, Accepts::Text),
    spec("personal_id", ValueType::Text, Accepts::TextOrNumber),
    spec("legacy_id", ValueType::Text, Accepts::TextOrNumber),
    spec("tax_code", ValueType::Text, Accepts::TextOrNumber),
    spec("social_insurance_number", ValueType::Text, Accepts::TextOrNumber),
    spec("health_insurance_card", ValueType::Text, Accepts::TextOrNumber),
    spec("card_object_group", ValueType::Code, Accepts::Text),
    spec("card_benefit_level", ValueType::Int, Accepts::Text),
    spec("budget_unit_code", ValueType::Text, Accepts::TextOrNumber),
    Spec { roles: DATE, options: &["format"], ..spec("partial_date", ValueType::Date, Accepts::Date) },
    Spec { roles: DATE, options: &["format"], ..spec("birth_date", ValueType::Date, Accepts::Date) },
    Spec { options: &["list"], values: true, ..spec("code", ValueType::Code, Accepts::Flag) },
    Spec {
        roles: &["code", "vintage"],
        options: &["vintage"],
        ..spec("industry_code", ValueType::Code, Accepts::TextOrNumber)
    },
    Spec {
        roles: &["text", "commune", "province", "district"],
        options: &["vintage"],
        ..spec("address", ValueType::Address, Accepts::TextOrNumber)
    },
    spec("money", ValueType::Money, Accepts::Number),
    spec("decimal", ValueType::Text, Accepts::Number),
    spec("integer", ValueType::Int, Accepts::Number),
    spec("boolean", ValueType::Bool, Accepts::Flag),
    Spec {
        roles: &["number", "type", "issue_date", "issue_place"],
        options: &["format", "list"],
        values: true,
        ..spec("identity_document", ValueType::Document, Accepts::Any)
    },
];

/// A converter with its options, ready to run.
#[derive(Debug, Clone)]
pub(crate) enum Converter {
    Text,
    OrgName,
    PersonName,
    PersonalId,
    LegacyId,
    TaxCode,
    SocialInsuranceNumber,
    HealthInsuranceCard,
    CardObjectGroup(Codes),
    CardBenefitLevel,
    BudgetUnitCode,
    Date { formats: Box<[DateFormat]>, birth: bool },
    Code(Codes),
    Industry(Option<IndustryVintage>),
    Address(Vintage),
    Money,
    Decimal,
    Integer,
    Boolean,
    Document { codes: Codes, formats: Box<[DateFormat]> },
    Derive(Derive),
}

/// How a register's codes become codes of a list.
#[derive(Debug, Clone)]
pub(crate) struct Codes {
    pub(crate) list: List,
    /// The register's code to the canonical one, when the mapping gives a table; nothing else is then accepted.
    pub(crate) values: Option<BTreeMap<String, CodedValue>>,
}

/// A code list: one every sector shares, or one the mapping declares.
#[derive(Debug, Clone)]
pub(crate) enum List {
    Shared(&'static CodeList),
    Own { scheme: String, labels: BTreeMap<String, String> },
}

impl List {
    /// The value of a canonical code.
    pub(crate) fn by_code(&self, code: &str) -> Option<CodedValue> {
        match self {
            Self::Shared(list) => list.by_code(code).map(|entry| list.coded(entry)),
            Self::Own { scheme, labels } => labels.get(code).map(|label| CodedValue {
                scheme: scheme.clone().into(),
                version: "".into(),
                code: code.to_owned().into(),
                label: label.clone().into(),
            }),
        }
    }

    pub(crate) fn codes(&self) -> Vec<&str> {
        match self {
            Self::Shared(list) => list.entries().iter().map(|entry| entry.code).collect(),
            Self::Own { labels, .. } => labels.keys().map(String::as_str).collect(),
        }
    }
}
