//! Random requests decided twice: by the set, and by a plain, slow reading of the files that shares no code with it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use toml::Table;

use super::*;

/// SplitMix64: repeatable, and good enough to pick test cases.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())].clone()
    }
}

pub(super) struct Oracle {
    grants: Vec<Table>,
    /// Kind by agency code.
    agencies: BTreeMap<String, String>,
    /// Whether a dossier is required, by purpose code.
    purposes: BTreeMap<String, bool>,
    guarded: String,
}

fn words(value: Option<&toml::Value>) -> Vec<&str> {
    value.and_then(|value| value.as_array()).into_iter().flatten().filter_map(|word| word.as_str()).collect()
}

fn is_under(path: &str, above: &str) -> bool {
    path == above || path.starts_with(&format!("{above}."))
}

impl Oracle {
    pub(super) fn read(sources: &AccessSources) -> Self {
        let parse = |file: &SourceFile| file.text.parse::<Table>().unwrap();
        let rows = |file: &SourceFile, name: &str| parse(file)[name].as_array().unwrap().clone();
        let text = |row: &toml::Value, key: &str| row[key].as_str().unwrap().to_owned();
        Self {
            grants: sources.grants.iter().map(parse).collect(),
            agencies: rows(&sources.agencies, "agencies")
                .iter()
                .map(|row| (text(row, "code"), text(row, "kind")))
                .collect(),
            purposes: rows(&sources.purposes, "purposes")
                .iter()
                .map(|row| (text(row, "code"), row["dossier_required"].as_bool().unwrap()))
                .collect(),
            guarded: guarded_record_type().name.clone(),
        }
    }

    /// Every listed agency with every name of a system that some grant of it or of one above it has.
    pub(super) fn systems(&self) -> BTreeSet<(String, String)> {
        let mut systems = BTreeSet::new();
        for code in self.agencies.keys() {
            for grant in
                self.grants.iter().filter(|grant| is_under(code, grant["parties"]["consumer"].as_str().unwrap()))
            {
                systems.extend(words(grant.get("systems")).into_iter().map(|name| (code.clone(), name.to_owned())));
            }
        }
        systems
    }

    pub(super) fn purpose_codes(&self) -> impl Iterator<Item = String> + '_ {
        self.purposes.keys().cloned()
    }

    /// Grants whose parties and systems fit the caller, and the kind of its agency.
    fn of_caller(&self, caller: &Caller) -> (Vec<&Table>, &str) {
        let code = caller.agency.as_str();
        let listed = self.agencies.iter().filter(|(listed, _)| is_under(code, listed));
        let kind = listed.max_by_key(|(listed, _)| listed.len()).map_or("", |(_, kind)| kind);
        let fits = |grant: &&Table| {
            is_under(code, grant["parties"]["consumer"].as_str().unwrap())
                && words(grant.get("systems")).contains(&caller.system.as_str())
        };
        (self.grants.iter().filter(fits).collect(), kind)
    }

    /// Numbers of the agreements that release the field; empty when it is withheld.
    pub(super) fn releasing(&self, ask: &Ask, record_type: &RecordType, field: usize) -> BTreeSet<String> {
        let field = &record_type.fields[field];
        let (grants, kind) = self.of_caller(&ask.caller);
        let assurance = ask.officer.as_ref().map(|officer| officer.assurance);
        let forbidden = match self.purposes.get(&ask.purpose) {
            None => true,
            Some(dossier_required) => *dossier_required && ask.dossier.is_none(),
        } || assurance.is_none()
            || grants.iter().any(|grant| words(grant.get("actions")).contains(&"read_log"))
            || (record_type.name == self.guarded && (kind != "prosecution" || assurance != Some(Assurance::Proven)));
        if forbidden {
            return BTreeSet::new();
        }
        // Search: nothing sensitive, and what is not public only for a dossier.
        let searched = ask.action.as_str() == "search";
        let may_search = field.sensitivity == Sensitivity::Public
            || (field.sensitivity == Sensitivity::Basic && ask.dossier.is_some());
        if searched && !may_search {
            return BTreeSet::new();
        }
        let today = (ask.now + Duration::hours(7)).format("%Y-%m-%d").to_string();
        let releases = |grant: &&&Table| {
            let in_force = grant["valid_from"].to_string() <= today && today <= grant["valid_until"].to_string();
            let names_field =
                grant.get("records").and_then(|value| value.as_array()).into_iter().flatten().any(|part| {
                    part["type"].as_str() == Some(&record_type.name)
                        && (words(part.get("groups")).contains(&field.group.as_str())
                            || words(part.get("fields")).iter().any(|name| is_under(&field.path, name)))
                });
            let accepts_asserted = grant.get("officer_assurance").and_then(|value| value.as_str()) == Some("asserted");
            in_force
                && names_field
                && words(grant.get("actions")).contains(&ask.action.as_str())
                && words(grant.get("purposes")).contains(&ask.purpose.as_str())
                && (field.sensitivity != Sensitivity::Sensitive
                    || assurance == Some(Assurance::Proven)
                    || accepts_asserted)
        };
        grants.iter().filter(releases).map(|grant| grant["agreement"].as_str().unwrap().to_owned()).collect()
    }

    /// A request, three times in four by a system that has an agreement and for one of its purposes.
    fn random_ask(&self, dice: &mut Dice) -> Ask {
        let grant = &self.grants[dice.roll(self.grants.len())];
        let mut agency = grant["parties"]["consumer"].as_str().unwrap().to_owned();
        let mut system = dice.pick(&words(grant.get("systems")));
        let purposes = words(grant.get("purposes"));
        let mut purpose = purposes.get(dice.roll(purposes.len().max(1))).copied().unwrap_or("identify_applicant");
        match dice.roll(16) {
            0 => agency = dice.pick(&["H21", "H30", "H21.65", "H21.40"]).to_string(),
            1 => agency.push_str(".07"),
            2 => system = dice.pick(&["portal", "console", "desk", "personnel"]),
            3 => purpose = dice.pick(&["", "curiosity", "check_enterprise", "staff_appointment"]),
            _ => {}
        }
        let named: Vec<Arc<RecordType>> = SCHEMA.record_types().cloned().collect();
        let mut selections: Vec<(Arc<RecordType>, FieldSet)> = Vec::new();
        let parts = grant.get("records").and_then(|value| value.as_array()).cloned().unwrap_or_default();
        for _ in 0..=dice.roll(3) {
            let granted = parts.get(dice.roll(2 * parts.len() + 1)).and_then(|part| part["type"].as_str());
            let record_type = granted.and_then(|name| SCHEMA.record_type(name).cloned());
            let record_type = record_type.unwrap_or_else(|| dice.pick(&named));
            let mut asked = record_type.no_fields();
            (0..record_type.fields.len()).filter(|_| dice.roll(3) > 0).for_each(|field| asked.insert(field));
            selections.push((record_type, asked));
        }
        let granted = Action::ALL.into_iter().filter(|action| words(grant.get("actions")).contains(&action.as_str()));
        let mut actions: Vec<Action> = granted.collect();
        if actions.is_empty() || dice.roll(8) == 0 {
            actions = Action::ALL.to_vec();
        }
        let action = dice.pick(&actions);
        Ask {
            action,
            officer: [None, Some(Assurance::Proven), Some(Assurance::Proven)]
                .get(dice.roll(8))
                .copied()
                .unwrap_or(Some(Assurance::Asserted))
                .map(officer),
            dossier: if dice.roll(6) == 0 { None } else { Some("H21.65-261122-0011") },
            now: at(dice.pick(&[
                "2025-12-31T16:59:59Z",
                "2025-12-31T17:00:00Z",
                "2026-11-22T03:00:00Z",
                "2026-11-23T03:00:00Z",
                "2027-07-01T20:00:00Z",
                "2028-12-31T16:59:59Z",
                "2028-12-31T17:00:00Z",
            ])),
            ..Ask::new(&agency, system, purpose, selections)
        }
    }
}

#[test]
fn random_requests_are_decided_as_the_files_read() {
    let long = std::env::var("LIENTHONG_TESTS").is_ok_and(|kind| kind == "long");
    let requests = if long { 100_000 } else { 2_000 };
    let sources = shipped_sources();
    let (set, oracle) = (shipped_set(), Oracle::read(&sources));
    let mut dice = Dice(20261122);
    let (mut permits, mut released_fields, mut withheld_fields) = (0, 0, 0);
    for number in 0..requests {
        let ask = oracle.random_ask(&mut dice);
        let answer = ask.clone().of(&set);
        permits += usize::from(answer.is_ok());
        let decisions = match &answer {
            Ok(permit) => permit.selections(),
            Err(refusal) => &refusal.selections,
        };
        assert_eq!(decisions.len(), ask.selections.len());
        for ((record_type, asked), decision) in ask.selections.iter().zip(decisions) {
            let mut agreements = BTreeSet::new();
            for field in asked.iter() {
                let releasing = oracle.releasing(&ask, record_type, field);
                let path = &record_type.fields[field].path;
                assert_eq!(
                    decision.released.contains(field),
                    !releasing.is_empty(),
                    "request {number}, {path}: {ask:?}"
                );
                assert_eq!(decision.withheld.iter().any(|withheld| withheld.field == field), releasing.is_empty());
                agreements.extend(releasing);
            }
            assert_eq!(decision.released.difference(asked).len(), 0);
            assert_eq!(decision.agreements.iter().cloned().collect::<BTreeSet<_>>(), agreements);
            released_fields += decision.released.len();
            withheld_fields += decision.withheld.len();
        }
        let nothing = decisions.iter().all(|decision| decision.released.is_empty());
        assert_eq!(answer.is_err(), nothing, "request {number}");
    }
    println!("{requests} requests: {permits} permits, {released_fields} fields released, {withheld_fields} withheld");
    assert!(permits > requests / 5, "too few permits to mean anything: {permits}");
}
