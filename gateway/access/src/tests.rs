//! Decisions over the shipped files, and over the shipped policies with grants written for the purpose. Record types
//! and fields are chosen by their properties, so that no name of a sector stands here.

use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use proto::{FieldSet, RecordType, Schema, options::v1::Sensitivity};

use crate::{
    AccessFiles, AccessRequest, AccessSet, AccessSources, Action, Assurance, Caller, LoadError, Loaded, Officer,
    Permit, Problem, Refusal, SourceFile,
};

mod files;
mod guardrails;
mod matrix;
mod oracle;
mod quota;
mod release;
mod speed;
mod table;
mod time;

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(Schema::builtin().unwrap()));

fn shipped_sources() -> AccessSources {
    AccessSources::read(&AccessFiles::under(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy"))).unwrap()
}

fn shipped_set() -> AccessSet {
    load(&shipped_sources()).unwrap().set
}

fn load(sources: &AccessSources) -> Result<Loaded, LoadError> {
    AccessSet::from_sources(&SCHEMA, sources, at("2026-11-22T03:00:00Z"))
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn caller(agency: &str, system: &str) -> Caller {
    Caller { agency: agency.parse().unwrap(), system: system.to_owned() }
}

fn officer(assurance: Assurance) -> Officer {
    Officer { id: "CB-017".to_owned(), name: "Trần Thị Mẫu".to_owned(), unit: None, assurance }
}

/// A request that meets every guardrail unless a test changes it.
#[derive(Debug, Clone)]
struct Ask {
    caller: Caller,
    officer: Option<Officer>,
    purpose: String,
    dossier: Option<&'static str>,
    action: Action,
    selections: Vec<(Arc<RecordType>, FieldSet)>,
    now: DateTime<Utc>,
}

impl Ask {
    fn new(agency: &str, system: &str, purpose: &str, selections: Vec<(Arc<RecordType>, FieldSet)>) -> Self {
        Self {
            caller: caller(agency, system),
            officer: Some(officer(Assurance::Proven)),
            purpose: purpose.to_owned(),
            dossier: Some("H21.65-261122-0011"),
            action: Action::Query,
            selections,
            now: at("2026-11-22T03:00:00Z"),
        }
    }

    fn request(&self) -> AccessRequest<'_> {
        AccessRequest {
            caller: &self.caller,
            officer: self.officer.as_ref(),
            purpose_code: &self.purpose,
            dossier_number: self.dossier,
            action: self.action,
            selections: &self.selections,
            now: self.now,
        }
    }

    fn of(self, set: &AccessSet) -> Result<Permit, Refusal> {
        set.decide(&self.request())
    }
}

/// All fields of a record type.
fn whole(record_type: &Arc<RecordType>) -> (Arc<RecordType>, FieldSet) {
    (record_type.clone(), record_type.all_fields())
}

/// The record type that the guardrails name, read from their files.
fn guarded_record_type() -> Arc<RecordType> {
    let sources = shipped_sources();
    let named = sources.policies.iter().find_map(|file| file.text.split("RecordType::\"").nth(1)?.split('"').next());
    SCHEMA.record_type(named.unwrap()).unwrap().clone()
}

/// A record type that the guardrails do not name, with sensitive and other fields.
fn mixed_record_type() -> Arc<RecordType> {
    let guarded = guarded_record_type();
    let is_mixed = |record_type: &&Arc<RecordType>| {
        let sensitive = |field: &proto::Field| field.sensitivity == Sensitivity::Sensitive;
        record_type.fields.iter().any(sensitive) && !record_type.fields.iter().all(sensitive)
    };
    SCHEMA.record_types().filter(|record_type| record_type.name != guarded.name).find(is_mixed).unwrap().clone()
}

/// A grant of all groups of these record types to `desk` of the agency, with lines added at the top.
fn grant(number: &str, agency: &str, record_types: &[&Arc<RecordType>], lines: &str) -> SourceFile {
    let mut text = format!("agreement = \"{number}\"\ntitle = \"Thử nghiệm\"\nsystems = [\"desk\"]\n{lines}\n");
    for (key, value) in [
        ("purposes", "[\"check_enterprise\", \"identify_applicant\"]"),
        ("actions", "[\"query\"]"),
        ("valid_from", "2026-01-01"),
        ("valid_until", "2026-12-31"),
        ("legal_basis", "\"Thử nghiệm, Điều 1\""),
        ("disclosure", "\"immediate\""),
    ] {
        if !lines.lines().any(|line| line.starts_with(key)) {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text.push_str(&format!("[parties]\nprovider = \"H21\"\nconsumer = \"{agency}\"\n"));
    for record_type in record_types {
        let mut groups: Vec<&str> = record_type.fields.iter().map(|field| field.group.as_str()).collect();
        groups.sort_unstable();
        groups.dedup();
        text.push_str(&format!("[[records]]\ntype = \"{}\"\ngroups = {groups:?}\n", record_type.name));
    }
    SourceFile { name: format!("{}.toml", number.replace('/', "-")), text }
}

/// The shipped policies and catalogues with other grants.
fn sources_with(grants: Vec<SourceFile>) -> AccessSources {
    AccessSources { grants, ..shipped_sources() }
}

fn first_message(error: &LoadError) -> &Problem {
    &error.problems[0]
}
