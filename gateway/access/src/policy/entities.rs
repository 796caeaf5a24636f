//! The entities policies speak about: built once at load, then found by position, so that no call builds a name.

use std::collections::HashMap;

use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use proto::RecordType;

use super::{World, schema};
use crate::{Action, Agreement, Assurance, HubAction};

/// Names of the entities, in the order of what they stand for.
pub(super) struct Names {
    pub(super) systems: Vec<EntityUid>,
    pub(super) agreements: Vec<EntityUid>,
    pub(super) purposes: Vec<EntityUid>,
    /// By record type in the order of the schema, then by field.
    pub(super) fields: Vec<Vec<EntityUid>>,
    pub(super) log: EntityUid,
    read_log: EntityUid,
    operate: EntityUid,
    actions: [EntityUid; 4],
    absent: EntityUid,
    asserted: EntityUid,
    proven: EntityUid,
}

impl Names {
    pub(super) fn of(world: World<'_>) -> Result<Self, String> {
        let all =
            |entity_type, ids: Vec<String>| ids.iter().map(|id| uid(entity_type, id)).collect::<Result<Vec<_>, _>>();
        let field_ids = |record_type: &RecordType| {
            record_type.fields.iter().map(|field| format!("{}.{}", record_type.name, field.path)).collect()
        };
        Ok(Self {
            systems: all("System", world.systems.iter().map(|system| system.id(world.catalogue)).collect())?,
            agreements: all("Agreement", world.agreements.iter().map(|agreement| agreement.number.clone()).collect())?,
            purposes: all("Purpose", world.catalogue.purposes.iter().map(|purpose| purpose.code.clone()).collect())?,
            fields: world
                .schema
                .record_types()
                .map(|record_type| all("Field", field_ids(record_type)))
                .collect::<Result<_, _>>()?,
            log: uid("Log", schema::LOG)?,
            read_log: uid("Action", HubAction::ReadLog.as_str())?,
            operate: uid("Action", HubAction::Operate.as_str())?,
            actions: [
                uid("Action", Action::Query.as_str())?,
                uid("Action", Action::Verify.as_str())?,
                uid("Action", Action::Batch.as_str())?,
                uid("Action", Action::Search.as_str())?,
            ],
            absent: uid("Assurance", schema::ABSENT)?,
            asserted: uid("Assurance", Assurance::Asserted.as_str())?,
            proven: uid("Assurance", Assurance::Proven.as_str())?,
        })
    }

    pub(super) fn action(&self, action: Action) -> &EntityUid {
        let [query, verify, batch, search] = &self.actions;
        match action {
            Action::Query => query,
            Action::Verify => verify,
            Action::Batch => batch,
            Action::Search => search,
        }
    }

    /// All actions.
    pub(super) fn actions(&self) -> impl Iterator<Item = &EntityUid> {
        self.actions.iter().chain([&self.read_log, &self.operate])
    }

    pub(super) fn hub_action(&self, action: HubAction) -> &EntityUid {
        match action {
            HubAction::ReadLog => &self.read_log,
            HubAction::Operate => &self.operate,
        }
    }

    pub(super) fn assurance(&self, assurance: Option<Assurance>) -> &EntityUid {
        match assurance {
            None => &self.absent,
            Some(Assurance::Asserted) => &self.asserted,
            Some(Assurance::Proven) => &self.proven,
        }
    }
}

/// All entities, with their attributes and parents.
pub(super) fn build(names: &Names, world: World<'_>) -> Result<Vec<Entity>, String> {
    let mut built = Built::default();
    built.agencies(world)?;
    built.systems(names, world)?;
    built.purposes(names, world)?;
    built.fields(names, world)?;
    built.agreements(names, world)?;
    Ok(built.0)
}

type Attributes<'a> = Vec<(&'a str, RestrictedExpression)>;
type Outcome = Result<(), String>;

#[derive(Default)]
struct Built(Vec<Entity>);

impl Built {
    fn add(&mut self, uid: EntityUid, attributes: Attributes<'_>, parents: Vec<EntityUid>) -> Outcome {
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value));
        let entity = Entity::new_with_tags(uid, attributes, parents, []).map_err(|error| error.to_string())?;
        self.0.push(entity);
        Ok(())
    }

    fn agencies(&mut self, world: World<'_>) -> Outcome {
        for agency in &world.catalogue.agencies {
            let above = agency.code.upwards().skip(1).filter(|code| world.catalogue.listed_agency(code).is_ok());
            let parents = above.map(|code| uid("Agency", code)).collect::<Result<_, _>>()?;
            let attributes = vec![("kind", word("AgencyKind", agency.kind.as_str())?)];
            self.add(uid("Agency", agency.code.as_str())?, attributes, parents)?;
        }
        Ok(())
    }

    fn systems(&mut self, names: &Names, world: World<'_>) -> Outcome {
        for (system, name) in world.systems.iter().zip(&names.systems) {
            let agency = &world.catalogue.agencies[system.agency];
            let attributes = vec![
                ("name", text(&system.name)),
                ("agency_kind", word("AgencyKind", agency.kind.as_str())?),
                ("reads_log", RestrictedExpression::new_bool(system.reads_log)),
            ];
            self.add(name.clone(), attributes, vec![uid("Agency", agency.code.as_str())?])?;
        }
        Ok(())
    }

    fn purposes(&mut self, names: &Names, world: World<'_>) -> Outcome {
        for (purpose, name) in world.catalogue.purposes.iter().zip(&names.purposes) {
            let required = RestrictedExpression::new_bool(purpose.dossier_required);
            self.add(name.clone(), vec![("dossier_required", required)], Vec::new())?;
        }
        Ok(())
    }

    fn fields(&mut self, names: &Names, world: World<'_>) -> Outcome {
        for (record_type, field_names) in world.schema.record_types().zip(&names.fields) {
            for (field, name) in record_type.fields.iter().zip(field_names) {
                let attributes = vec![
                    ("record_type", word("RecordType", &record_type.name)?),
                    ("sector", word("Sector", &record_type.sector)?),
                    ("group", word("FieldGroup", &field.group)?),
                    ("sensitivity", word("Sensitivity", schema::sensitivity(field.sensitivity))?),
                ];
                self.add(name.clone(), attributes, Vec::new())?;
            }
        }
        Ok(())
    }

    fn agreements(&mut self, names: &Names, world: World<'_>) -> Outcome {
        let positions: HashMap<&str, usize> = world
            .schema
            .record_types()
            .enumerate()
            .map(|(index, record_type)| (record_type.name.as_str(), index))
            .collect();
        for (agreement, name) in world.agreements.iter().zip(&names.agreements) {
            self.add(name.clone(), agreement_attributes(agreement, names, &positions)?, Vec::new())?;
        }
        Ok(())
    }
}

fn agreement_attributes(
    agreement: &Agreement,
    names: &Names,
    positions: &HashMap<&str, usize>,
) -> Result<Attributes<'static>, String> {
    let mut fields = Vec::new();
    for (record_type, granted) in &agreement.records {
        let Some(&position) = positions.get(record_type.name.as_str()) else { continue };
        fields.extend(granted.iter().map(|field| entity(&names.fields[position][field])));
    }
    let purposes = agreement.purposes.iter().map(|&purpose| entity(&names.purposes[purpose]));
    Ok(vec![
        ("consumer", entity(&uid("Agency", agreement.consumer.as_str())?)),
        ("systems", RestrictedExpression::new_set(agreement.systems.iter().map(|name| text(name)))),
        ("actions", RestrictedExpression::new_set(agreement.actions.iter().map(|action| text(action.as_str())))),
        ("opens_log", RestrictedExpression::new_bool(agreement.reads_log())),
        ("opens_hub", RestrictedExpression::new_bool(agreement.hub_actions.contains(&HubAction::Operate))),
        ("purposes", RestrictedExpression::new_set(purposes)),
        ("fields", RestrictedExpression::new_set(fields)),
        ("officer_assurance", entity(names.assurance(Some(agreement.officer_assurance)))),
        ("valid_from", RestrictedExpression::new_long(agreement.valid_from)),
        ("valid_until", RestrictedExpression::new_long(agreement.valid_until)),
    ])
}

fn uid(entity_type: &str, id: &str) -> Result<EntityUid, String> {
    let entity_type: EntityTypeName = entity_type.parse().map_err(|error| format!("{entity_type}: {error}"))?;
    Ok(EntityUid::from_type_name_and_id(entity_type, EntityId::new(id)))
}

fn entity(uid: &EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid.clone())
}

fn word(entity_type: &str, id: &str) -> Result<RestrictedExpression, String> {
    Ok(RestrictedExpression::new_entity_uid(uid(entity_type, id)?))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}
