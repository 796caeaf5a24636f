//! The two lists that grants refer to: agencies and purposes.

use std::collections::HashMap;

use serde::Deserialize;
use toml::Spanned;

use crate::{
    AgencyCode, SourceFile,
    files::{Place, Problem, unknown},
};

/// Why systems may ask.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// Stable code in snake_case, as callers state it.
    pub code: String,
    /// Name in Vietnamese.
    pub name_vi: String,
    /// Name in English.
    pub name_en: String,
    /// Administrative procedure it serves.
    pub procedure: String,
    /// Article of law it rests on.
    pub legal_basis: String,
    /// Whether a dossier number must be stated.
    pub dossier_required: bool,
}

/// An agency that is party to agreements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agency {
    /// Code.
    pub code: AgencyCode,
    /// Name in Vietnamese.
    pub name_vi: String,
    /// Name in English.
    pub name_en: String,
    /// What kind of body it is; those below it that are not listed are of the same kind.
    pub kind: AgencyKind,
}

/// Kinds of body that guardrails tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgencyKind {
    /// Runs the public-service portal.
    Portal,
    /// Owns a register or does the work of a sector.
    Sector,
    /// Investigates, prosecutes or judges.
    Prosecution,
    /// Runs and watches the hub.
    Operations,
}

impl AgencyKind {
    pub(crate) const ALL: [Self; 4] = [Self::Portal, Self::Sector, Self::Prosecution, Self::Operations];

    /// The word used in `agencies.toml` and policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Portal => "portal",
            Self::Sector => "sector",
            Self::Prosecution => "prosecution",
            Self::Operations => "operations",
        }
    }
}

/// Agencies and purposes, found by code.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) agencies: Vec<Agency>,
    pub(crate) purposes: Vec<Purpose>,
    /// Where each purpose begins.
    pub(crate) purpose_places: Vec<Place>,
    agency_by_code: HashMap<String, usize>,
    purpose_by_code: HashMap<String, usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurposesFile {
    purposes: Vec<Spanned<Purpose>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgenciesFile {
    agencies: Vec<AgencyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgencyEntry {
    code: Spanned<String>,
    name_vi: String,
    name_en: String,
    kind: AgencyKind,
}

impl Catalogue {
    pub(crate) fn read(agencies: &SourceFile, purposes: &SourceFile, problems: &mut Vec<Problem>) -> Self {
        let mut catalogue = Self::default();
        match agencies.parse_toml::<AgenciesFile>() {
            Ok(file) => file.agencies.into_iter().for_each(|entry| catalogue.add_agency(entry, agencies, problems)),
            Err(problem) => problems.push(problem),
        }
        match purposes.parse_toml::<PurposesFile>() {
            Ok(file) => file.purposes.into_iter().for_each(|entry| catalogue.add_purpose(entry, purposes, problems)),
            Err(problem) => problems.push(problem),
        }
        catalogue
    }

    fn add_agency(&mut self, entry: AgencyEntry, file: &SourceFile, problems: &mut Vec<Problem>) {
        let code = match entry.code.as_ref().parse::<AgencyCode>() {
            Ok(code) => code,
            Err(error) => return problems.push(file.problem(entry.code.span(), error.to_string())),
        };
        if self.agency_by_code.insert(code.as_str().to_owned(), self.agencies.len()).is_some() {
            problems.push(file.problem(entry.code.span(), format!("agency \"{code}\" is listed twice")));
        }
        self.agencies.push(Agency { code, name_vi: entry.name_vi, name_en: entry.name_en, kind: entry.kind });
    }

    fn add_purpose(&mut self, entry: Spanned<Purpose>, file: &SourceFile, problems: &mut Vec<Problem>) {
        let span = entry.span();
        let purpose = entry.into_inner();
        let is_code = |code: &str| {
            !code.is_empty()
                && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        if !is_code(&purpose.code) {
            problems.push(file.problem(span.clone(), format!("purpose code \"{}\" is not snake_case", purpose.code)));
        }
        for (name, value) in [
            ("name_vi", &purpose.name_vi),
            ("name_en", &purpose.name_en),
            ("procedure", &purpose.procedure),
            ("legal_basis", &purpose.legal_basis),
        ] {
            if value.trim().is_empty() {
                problems.push(file.problem(span.clone(), format!("purpose \"{}\": {name} is empty", purpose.code)));
            }
        }
        self.purpose_places.push(file.place(span.clone()));
        if self.purpose_by_code.insert(purpose.code.clone(), self.purposes.len()).is_some() {
            problems.push(file.problem(span, format!("purpose \"{}\" is listed twice", purpose.code)));
        }
        self.purposes.push(purpose);
    }

    pub(crate) fn purpose(&self, code: &str) -> Option<usize> {
        self.purpose_by_code.get(code).copied()
    }

    /// The agency of this code, or the nearest listed one above it.
    pub(crate) fn nearest_agency(&self, code: &AgencyCode) -> Option<usize> {
        code.upwards().find_map(|code| self.agency_by_code.get(code).copied())
    }

    /// The listed agency of this code, or what is wrong with it.
    pub(crate) fn listed_agency(&self, code: &str) -> Result<&AgencyCode, String> {
        match self.agency_by_code.get(code) {
            Some(&index) => Ok(&self.agencies[index].code),
            None => Err(unknown("agency", code, self.agency_by_code.keys().map(String::as_str))),
        }
    }

    /// The purpose of this code, or what is wrong with it.
    pub(crate) fn listed_purpose(&self, code: &str) -> Result<usize, String> {
        self.purpose(code).ok_or_else(|| unknown("purpose", code, self.purpose_by_code.keys().map(String::as_str)))
    }
}
