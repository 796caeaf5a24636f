//! What the owner of a source lets which hub have.

use std::collections::{BTreeSet, HashMap};

use access::Caller;
use adapter_sdk::{Behalf, RecordDescription, SourceDescription};
use anyhow::{Context, ensure};
use proto::{FieldSet, RecordType};

use super::config::{Allow, AllowedRecord};

/// The owner's list: by hub, what it may have for whom and for what. Who is not on it has nothing.
pub(crate) struct AllowList(HashMap<Caller, Vec<Allowed>>);

/// What is done with fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Fetching them for a number.
    Fetch,
    /// Finding by them whose number is not known, and showing them of who was found.
    Search,
}

/// One entry of it.
struct Allowed {
    search: bool,
    agencies: Option<BTreeSet<String>>,
    purposes: Option<BTreeSet<String>>,
    records: HashMap<String, FieldSet>,
}

impl AllowList {
    /// Reads the list against what the source has.
    pub(super) fn read(list: &[Allow], source: &SourceDescription) -> anyhow::Result<Self> {
        let mut allowed: HashMap<Caller, Vec<Allowed>> = HashMap::new();
        for entry in list {
            let read = || -> anyhow::Result<(Caller, Allowed)> {
                let (agency, system) = entry.system.split_once('/').context("write AGENCY/SYSTEM")?;
                let agency = agency.parse().context("no agency code")?;
                Ok((Caller { agency, system: system.to_owned() }, Allowed::read(entry, source)?))
            };
            let (caller, entry) = read().with_context(|| format!("allow {}", entry.system))?;
            allowed.entry(caller).or_default().push(entry);
        }
        Ok(Self(allowed))
    }

    /// What the hub may be told of: everything that some entry of its allows it to do this with.
    pub(crate) fn describable(&self, hub: &Caller, verb: Verb, record: &RecordDescription) -> FieldSet {
        fields_of(self.of(hub, verb), record)
    }

    /// What the hub may do this with on this behalf.
    pub(crate) fn fields(&self, hub: &Caller, verb: Verb, behalf: &Behalf, record: &RecordDescription) -> FieldSet {
        fields_of(self.of(hub, verb).filter(|allowed| allowed.covers(behalf)), record)
    }

    /// Whether the hub is on the list at all.
    pub(crate) fn names(&self, hub: &Caller) -> bool {
        self.0.contains_key(hub)
    }

    fn of(&self, hub: &Caller, verb: Verb) -> impl Iterator<Item = &Allowed> {
        self.0.get(hub).into_iter().flatten().filter(move |allowed| allowed.search || verb == Verb::Fetch)
    }
}

/// The fields of a record type that any of the entries allows.
fn fields_of<'a>(entries: impl Iterator<Item = &'a Allowed>, record: &RecordDescription) -> FieldSet {
    let mut fields = record.record_type.no_fields();
    for allowed in entries.filter_map(|entry| entry.records.get(&record.record_type.name)) {
        fields.union_with(allowed);
    }
    fields.intersection(&record.fields)
}

impl Allowed {
    fn read(entry: &Allow, source: &SourceDescription) -> anyhow::Result<Self> {
        let set = |codes: &Option<Vec<String>>| codes.as_ref().map(|codes| codes.iter().cloned().collect());
        let records = match &entry.records {
            None => {
                source.records.iter().map(|record| (record.record_type.name.clone(), record.fields.clone())).collect()
            }
            Some(records) => {
                let mut read: HashMap<String, FieldSet> = HashMap::new();
                for record in records {
                    let known = source.record(&record.r#type);
                    let known = known.with_context(|| format!("the mapping has no {}", record.r#type))?;
                    let fields = fields(record, &known.record_type)?;
                    read.entry(record.r#type.clone())
                        .or_insert_with(|| known.record_type.no_fields())
                        .union_with(&fields);
                }
                read
            }
        };
        Ok(Self { search: entry.search, agencies: set(&entry.agencies), purposes: set(&entry.purposes), records })
    }

    fn covers(&self, behalf: &Behalf) -> bool {
        let among =
            |codes: &Option<BTreeSet<String>>, code: &str| codes.as_ref().is_none_or(|codes| codes.contains(code));
        among(&self.agencies, &behalf.agency) && among(&self.purposes, &behalf.purpose)
    }
}

fn fields(allowed: &AllowedRecord, record_type: &RecordType) -> anyhow::Result<FieldSet> {
    let mut fields = record_type.no_fields();
    for path in &allowed.fields {
        let named = record_type.expand(path);
        ensure!(!named.is_empty(), "{} has no field {path}", allowed.r#type);
        fields.union_with(&named);
    }
    for group in &allowed.groups {
        let mut members = record_type.no_fields();
        for (index, _) in record_type.fields.iter().enumerate().filter(|(_, field)| field.group == *group) {
            members.insert(index);
        }
        ensure!(!members.is_empty(), "{} has no group {group}", allowed.r#type);
        fields.union_with(&members);
    }
    ensure!(!fields.is_empty(), "name fields or groups of {}", allowed.r#type);
    Ok(fields)
}
