//! Cedar's side: the policies as read from their files, checked strictly, and the entities they speak about, built once.
//!
//! Policies know a field by its record type, group and class alone. What they say of one field therefore holds for all
//! that are alike in these and are granted by the same agreements, and is asked once.

use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, RestrictedExpression,
};
use proto::Schema;

use crate::{
    Action, Agreement, Assurance, HubAction, Reason, SourceFile, catalogue::Catalogue, files::Problem, set::System,
};

mod entities;
mod read;
mod schema;

/// What the policies say about one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Permitted, by these policies.
    Permitted(Vec<Arc<str>>),
    /// Forbidden by a guardrail; the rank is its place in the order of the files.
    Forbidden(usize, Arc<Reason>),
    /// No policy permits it.
    Unpermitted,
}

/// What the policies may look at beside principal, action and resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    pub(crate) now: i64,
    pub(crate) assurance: Option<Assurance>,
    pub(crate) agreement: Option<usize>,
    /// Set when records are asked for, not the log.
    pub(crate) records: Option<RecordCircumstances>,
}

/// What they may look at when records are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordCircumstances {
    pub(crate) action: Action,
    pub(crate) purpose_stated: bool,
    pub(crate) purpose: Option<usize>,
    pub(crate) dossier_present: bool,
}

/// Policies and entities, ready to be asked.
pub(crate) struct Guard {
    authorizer: Authorizer,
    policies: read::Policies,
    /// By action, the policies that can apply to it: those about another action would be looked at in vain each time.
    by_action: Vec<(EntityUid, PolicySet)>,
    entities: Entities,
    names: entities::Names,
    failure: Arc<Reason>,
}

/// What the entities are built from.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) agreements: &'a [Agreement],
    pub(crate) systems: &'a [System],
}

impl Guard {
    /// Reads and validates the policies, and builds the entities. `None` when that fails; the problems say why.
    pub(crate) fn build(files: &[SourceFile], world: World<'_>, problems: &mut Vec<Problem>) -> Option<Self> {
        let policies = read::read(files, problems);
        match Self::with_policies(policies, world, problems) {
            Ok(guard) => Some(guard),
            Err(message) => {
                let file = "policy schema".to_owned();
                problems.push(Problem { file, line: None, column: None, message });
                None
            }
        }
    }

    fn with_policies(policies: read::Policies, world: World<'_>, problems: &mut Vec<Problem>) -> Result<Self, String> {
        let cedar_schema = schema::cedar_schema(world.schema)?;
        read::validate(&policies, &cedar_schema, problems);
        let names = entities::Names::of(world)?;
        let entities = entities::build(&names, world)?;
        let entities = Entities::from_entities(entities, Some(&cedar_schema)).map_err(|error| error.to_string())?;
        let by_action = names.actions().map(|action| Ok((action.clone(), about(&policies.policies, action)?)));
        let by_action = by_action.collect::<Result<_, String>>()?;
        Ok(Self {
            authorizer: Authorizer::new(),
            policies,
            by_action,
            entities,
            names,
            failure: Arc::new(Reason::policy_failure()),
        })
    }

    /// The context shared by all fields asked in the same circumstances.
    pub(crate) fn context(&self, circumstances: &Circumstances) -> Context {
        let entity = |uid: &EntityUid| RestrictedExpression::new_entity_uid(uid.clone());
        let mut pairs = vec![
            ("now", RestrictedExpression::new_long(circumstances.now)),
            ("officer_assurance", entity(self.names.assurance(circumstances.assurance))),
        ];
        if let Some(agreement) = circumstances.agreement {
            pairs.push(("agreement", entity(&self.names.agreements[agreement])));
        }
        if let Some(records) = circumstances.records {
            pairs.push(("action", RestrictedExpression::new_string(records.action.as_str().to_owned())));
            pairs.push(("purpose_stated", RestrictedExpression::new_bool(records.purpose_stated)));
            pairs.push(("dossier_present", RestrictedExpression::new_bool(records.dossier_present)));
            if let Some(purpose) = records.purpose {
                pairs.push(("purpose", entity(&self.names.purposes[purpose])));
            }
        }
        // Fails only on a key given twice; without its attributes no policy permits anything.
        Context::from_pairs(pairs.into_iter().map(|(name, value)| (name.to_owned(), value))).unwrap_or(Context::empty())
    }

    /// May the system do this with the field?
    pub(crate) fn field(
        &self,
        system: usize,
        action: Action,
        record_type: usize,
        field: usize,
        context: Context,
    ) -> Verdict {
        let names = &self.names;
        self.ask(&names.systems[system], names.action(action), &names.fields[record_type][field], context)
    }

    /// May the system do this with the hub itself?
    pub(crate) fn hub(&self, system: usize, action: HubAction, context: Context) -> Verdict {
        self.ask(&self.names.systems[system], self.names.hub_action(action), &self.names.log, context)
    }

    fn ask(&self, system: &EntityUid, action: &EntityUid, resource: &EntityUid, context: Context) -> Verdict {
        // Without a schema: policies and entities were validated at load, and validating each request costs more than
        // deciding it.
        let request = Request::new(system.clone(), action.clone(), resource.clone(), context, None);
        let Ok(request) = request else { return self.failed() };
        let Some((_, policies)) = self.by_action.iter().find(|(known, _)| known == action) else {
            return self.failed();
        };
        let response = self.authorizer.is_authorized(&request, policies, &self.entities);
        // Cedar skips a policy that cannot be evaluated; a skipped guardrail must not open anything.
        if response.diagnostics().errors().next().is_some() {
            return self.failed();
        }
        let policies = response.diagnostics().reason();
        match response.decision() {
            Decision::Allow => {
                let mut ids: Vec<Arc<str>> = policies.map(|id| Arc::from(AsRef::<str>::as_ref(id))).collect();
                ids.sort_unstable();
                Verdict::Permitted(ids)
            }
            Decision::Deny => {
                let first = policies.filter_map(|id| self.policies.reasons.get(id)).min_by_key(|(rank, _)| *rank);
                first.map_or(Verdict::Unpermitted, |(rank, reason)| Verdict::Forbidden(*rank, reason.clone()))
            }
        }
    }

    fn failed(&self) -> Verdict {
        Verdict::Forbidden(usize::MAX, self.failure.clone())
    }
}

/// The policies that are about the action, or about several.
fn about(policies: &PolicySet, action: &EntityUid) -> Result<PolicySet, String> {
    let of_another = |constraint: ActionConstraint| matches!(constraint, ActionConstraint::Eq(only) if only != *action);
    let applying = policies.policies().filter(|policy| !of_another(policy.action_constraint())).cloned();
    PolicySet::from_policies(applying).map_err(|error| error.to_string())
}
