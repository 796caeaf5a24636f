//! Everything decisions rest on, loaded together and never changed.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use proto::Schema;

use crate::{
    AccessFiles, AccessSources, Action, Agency, Agreement, Caller, LoadError, Problem, Purpose,
    catalogue::Catalogue,
    decide::Decisions,
    grant,
    policy::{Guard, World},
    quota::{self, Quota},
};

/// Agreements, purposes, agencies and guardrails in force, ready to decide.
pub struct AccessSet {
    pub(crate) catalogue: Catalogue,
    pub(crate) agreements: Vec<Agreement>,
    pub(crate) systems: Systems,
    /// Record types that are decided on, in the order of the schema.
    pub(crate) record_types: HashMap<String, usize>,
    pub(crate) guard: Guard,
    /// The hub's own quotas.
    pub(crate) quotas: Vec<Quota>,
    pub(crate) cache: Decisions,
    digest: String,
}

/// A set, and what is worth saying about its files.
pub struct Loaded {
    /// The set.
    pub set: AccessSet,
    /// What is said twice, in one agreement or in two, and agreements that have expired.
    pub warnings: Vec<Problem>,
}

/// A system that some agreement names.
#[derive(Debug, Clone)]
pub(crate) struct System {
    /// Position of its agency among the listed ones.
    pub(crate) agency: usize,
    pub(crate) name: String,
    /// Whether an agreement opens the log to it.
    pub(crate) reads_log: bool,
    /// Positions of the agreements that name it.
    pub(crate) agreements: Vec<usize>,
}

impl System {
    /// Name of its entity.
    pub(crate) fn id(&self, catalogue: &Catalogue) -> String {
        format!("{}/{}", catalogue.agencies[self.agency].code, self.name)
    }
}

/// The systems that agreements name, found by agency and name; and their agreements by action and purpose.
#[derive(Debug, Default)]
pub(crate) struct Systems {
    pub(crate) all: Vec<System>,
    by_agency: HashMap<usize, HashMap<String, usize>>,
    candidates: HashMap<(usize, Action, usize), Vec<usize>>,
}

impl Systems {
    fn of(catalogue: &Catalogue, agreements: &[Agreement]) -> Self {
        let mut systems = Self::default();
        for (position, agreement) in agreements.iter().enumerate() {
            let agencies = catalogue.agencies.iter().enumerate();
            for (agency, _) in agencies.filter(|(_, agency)| agency.code.is_in(&agreement.consumer)) {
                for name in &agreement.systems {
                    systems.add(agency, name, position, agreement);
                }
            }
        }
        systems
    }

    fn add(&mut self, agency: usize, name: &str, position: usize, agreement: &Agreement) {
        let next = self.all.len();
        let index = *self.by_agency.entry(agency).or_default().entry(name.to_owned()).or_insert(next);
        if index == next {
            self.all.push(System { agency, name: name.to_owned(), reads_log: false, agreements: Vec::new() });
        }
        let system = &mut self.all[index];
        system.reads_log |= agreement.reads_log();
        if !system.agreements.contains(&position) {
            system.agreements.push(position);
            for &action in &agreement.actions {
                for &purpose in &agreement.purposes {
                    self.candidates.entry((index, action, purpose)).or_default().push(position);
                }
            }
        }
    }

    /// Agreements of a system for an action and a purpose.
    pub(crate) fn candidates(&self, system: usize, action: Action, purpose: usize) -> &[usize] {
        self.candidates.get(&(system, action, purpose)).map_or(&[], Vec::as_slice)
    }
}

impl AccessSet {
    /// Reads the files and builds the set; nothing is loaded when anything is wrong.
    pub fn load(schema: Arc<Schema>, files: &AccessFiles) -> Result<Loaded, LoadError> {
        Self::from_sources(&schema, &AccessSources::read(files)?, Utc::now())
    }

    /// Builds the set from text. The moment decides only which warnings are given.
    pub fn from_sources(schema: &Schema, sources: &AccessSources, now: DateTime<Utc>) -> Result<Loaded, LoadError> {
        let mut problems = Vec::new();
        let catalogue = Catalogue::read(&sources.agencies, &sources.purposes, &mut problems);
        // Grants refer to the catalogues: without these every line of them would be reported as well.
        if !problems.is_empty() {
            return Err(LoadError { problems });
        }
        let mut warnings = Vec::new();
        let grants = sources.grants.iter();
        let agreements: Vec<Agreement> =
            grants.filter_map(|file| grant::read(file, schema, &catalogue, &mut problems, &mut warnings)).collect();
        let quotas = quota::read(&sources.quotas, &catalogue, &mut problems);
        check_numbers(&agreements, &mut problems);
        let systems = Systems::of(&catalogue, &agreements);
        let world = World { schema, catalogue: &catalogue, agreements: &agreements, systems: &systems.all };
        let guard = Guard::build(&sources.policies, world, &mut problems);
        let Some(guard) = guard.filter(|_| problems.is_empty()) else { return Err(LoadError { problems }) };
        let record_types = schema.record_types().enumerate();
        let record_types = record_types.map(|(index, record_type)| (record_type.name.clone(), index)).collect();
        warn(&agreements, &catalogue, now, &mut warnings);
        let cache = Decisions::new();
        let set = Self { catalogue, agreements, systems, record_types, guard, quotas, cache, digest: sources.digest() };
        Ok(Loaded { set, warnings })
    }

    /// SHA-256 over all files read, hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The purpose catalogue.
    pub fn purposes(&self) -> &[Purpose] {
        &self.catalogue.purposes
    }

    /// The purpose of this code.
    pub fn purpose(&self, code: &str) -> Option<&Purpose> {
        self.catalogue.purpose(code).map(|index| &self.catalogue.purposes[index])
    }

    /// The agencies.
    pub fn agencies(&self) -> &[Agency] {
        &self.catalogue.agencies
    }

    /// The agreements, in the order of their files.
    pub fn agreements(&self) -> &[Agreement] {
        &self.agreements
    }

    /// The system among those that agreements name. An agency that is not listed counts as the nearest one above it.
    pub(crate) fn system(&self, caller: &Caller) -> Option<usize> {
        let agency = self.catalogue.nearest_agency(&caller.agency)?;
        self.systems.by_agency.get(&agency)?.get(&caller.system).copied()
    }
}

fn check_numbers(agreements: &[Agreement], problems: &mut Vec<Problem>) {
    let mut files: BTreeMap<&str, &str> = BTreeMap::new();
    for agreement in agreements {
        if let Some(earlier) = files.insert(&agreement.number, &agreement.place.file) {
            problems.push(agreement.place.problem(format!("agreement \"{}\" is also in {earlier}", agreement.number)));
        }
    }
}

fn warn(agreements: &[Agreement], catalogue: &Catalogue, now: DateTime<Utc>, warnings: &mut Vec<Problem>) {
    for (index, agreement) in agreements.iter().enumerate() {
        if agreement.valid_until <= now.timestamp() {
            let message = format!("agreement \"{}\" has expired", agreement.number);
            warnings.push(agreement.last_day_place.problem(message));
        }
        for earlier in &agreements[..index] {
            if let Some((place, what)) = overlap(earlier, agreement, catalogue) {
                let (number, other) = (&agreement.number, &earlier.number);
                let message = format!("agreement \"{number}\" grants again what \"{other}\" grants: {what}");
                warnings.push(agreement.record_places[place].problem(message));
            }
        }
    }
}

/// What two agreements both grant to the same system at the same time, if anything, and which of the right one's records
/// that is.
fn overlap(left: &Agreement, right: &Agreement, catalogue: &Catalogue) -> Option<(usize, String)> {
    let together = left.valid_from < right.valid_until && right.valid_from < left.valid_until;
    let same_agency = left.consumer.is_in(&right.consumer) || right.consumer.is_in(&left.consumer);
    if !together || !same_agency || !left.actions.iter().any(|action| right.actions.contains(action)) {
        return None;
    }
    let names: HashSet<&String> = left.systems.iter().collect();
    let system = right.systems.iter().find(|name| names.contains(name))?;
    let purpose = right.purposes.iter().find(|purpose| left.purposes.contains(purpose))?;
    left.records.iter().find_map(|(record_type, fields)| {
        let place = right.records.iter().position(|(other, _)| other.name == record_type.name)?;
        let (_, others) = &right.records[place];
        let both = fields.intersection(others).len();
        let purpose = &catalogue.purposes[*purpose].code;
        (both > 0).then(|| (place, format!("{both} fields of {} to {system} for {purpose}", record_type.name)))
    })
}
