//! The policy files: parsed, named, ordered, and validated strictly against the schema.

use std::{collections::HashMap, sync::Arc};

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator, ffi::DetailedError};

use crate::{Reason, SourceFile, files::Problem};

/// The policies, and what guardrails say when they forbid.
pub(super) struct Policies {
    pub(super) policies: PolicySet,
    /// By policy: place in the order of the files, and reason.
    pub(super) reasons: HashMap<PolicyId, (usize, Arc<Reason>)>,
    files: HashMap<PolicyId, SourceFile>,
}

/// Reads the files in order. Each policy has an id of its own, each guardrail a reason and its text in both languages.
pub(super) fn read(files: &[SourceFile], problems: &mut Vec<Problem>) -> Policies {
    let mut read = Policies { policies: PolicySet::new(), reasons: HashMap::new(), files: HashMap::new() };
    for file in files {
        let parsed = match file.text.parse::<PolicySet>() {
            Ok(parsed) => parsed,
            Err(errors) => {
                problems.extend(errors.iter().map(|error| cedar_problem(file, &DetailedError::from(error))));
                continue;
            }
        };
        if parsed.num_of_templates() > 0 {
            problems.push(file.problem_without_place("policy templates are not used here"));
        }
        let mut policies: Vec<&Policy> = parsed.policies().collect();
        // Cedar names the policies of a text "policy0", "policy1", … in their order.
        policies.sort_by_key(|policy| {
            AsRef::<str>::as_ref(policy.id()).trim_start_matches("policy").parse::<usize>().unwrap_or(usize::MAX)
        });
        for policy in policies {
            if let Err(message) = read.add(policy, file) {
                problems.push(file.problem_without_place(message));
            }
        }
    }
    if read.policies.is_empty() && problems.is_empty() {
        problems.push(Problem {
            file: "policies".to_owned(),
            line: None,
            column: None,
            message: "there is no policy, so nothing would ever be permitted".to_owned(),
        });
    }
    read
}

impl Policies {
    fn add(&mut self, policy: &Policy, file: &SourceFile) -> Result<(), String> {
        let annotation = |name: &str| policy.annotation(name).filter(|text| !text.trim().is_empty());
        let id = annotation("id").ok_or("a policy has no @id")?;
        let policy_id = PolicyId::new(id);
        if policy.entity_literals().iter().any(|literal| literal.type_name().basename() == "Field") {
            return Err(format!(
                "policy \"{id}\" names a single field; policies speak of record types, groups and classes"
            ));
        }
        if policy.effect() == Effect::Forbid {
            let required = |name: &str| {
                annotation(name).map(str::to_owned).ok_or_else(|| format!("guardrail \"{id}\" has no @{name}"))
            };
            let reason = Reason {
                code: required("reason")?,
                message_vi: required("message_vi")?,
                message_en: required("message_en")?,
                policy_id: Some(id.to_owned()),
            };
            self.reasons.insert(policy_id.clone(), (self.reasons.len(), Arc::new(reason)));
        }
        self.policies.add(policy.new_id(policy_id.clone())).map_err(|_| format!("policy id \"{id}\" is used twice"))?;
        self.files.insert(policy_id, file.clone());
        Ok(())
    }
}

pub(super) fn validate(read: &Policies, cedar_schema: &Schema, problems: &mut Vec<Problem>) {
    let result = Validator::new(cedar_schema.clone()).validate(&read.policies, ValidationMode::Strict);
    let errors = result.validation_errors().map(|error| (error.policy_id(), DetailedError::from(error)));
    let warnings = result.validation_warnings().map(|warning| (warning.policy_id(), DetailedError::from(warning)));
    for (policy_id, detail) in errors.chain(warnings) {
        if let Some(file) = read.files.get(policy_id) {
            problems.push(cedar_problem(file, &detail));
        }
    }
}

fn cedar_problem(file: &SourceFile, detail: &DetailedError) -> Problem {
    let message = match &detail.help {
        Some(help) => format!("{}; {help}", detail.message),
        None => detail.message.clone(),
    };
    match detail.source_locations.first() {
        Some(label) => file.problem(label.loc.start..label.loc.end, message),
        None => file.problem_without_place(message),
    }
}
