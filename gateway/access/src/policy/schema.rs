//! The Cedar schema: a fixed part, and the words derived from the descriptors.
//!
//! Record types, sectors, field groups and classes are enumerated, so a policy that misspells one is refused at load.

use std::collections::BTreeSet;

use cedar_policy::Schema as CedarSchema;
use proto::{Schema, options::v1::Sensitivity};

use crate::{AgencyKind, Assurance};

/// Assurance of an officer who is not there.
pub(super) const ABSENT: &str = "absent";
/// Id of the one log there is.
pub(super) const LOG: &str = "log";

const FIXED: &str = r#"
entity Agency in [Agency] { kind: AgencyKind };
entity System in [Agency] { name: String, agency_kind: AgencyKind, reads_log: Bool };
entity Purpose { dossier_required: Bool };
entity Field { record_type: RecordType, sector: Sector, group: FieldGroup, sensitivity: Sensitivity };
entity Agreement {
  consumer: Agency, systems: Set<String>, actions: Set<String>, opens_log: Bool, opens_hub: Bool, purposes: Set<Purpose>,
  fields: Set<Field>, officer_assurance: Assurance, valid_from: Long, valid_until: Long,
};
action read_records;
action query, verify, batch, search in [read_records] appliesTo {
  principal: System, resource: Field,
  context: {
    now: Long, officer_assurance: Assurance, agreement?: Agreement,
    action: String, purpose_stated: Bool, purpose?: Purpose, dossier_present: Bool,
  },
};
action read_log, operate appliesTo {
  principal: System, resource: Log,
  context: { now: Long, officer_assurance: Assurance, agreement?: Agreement },
};
"#;

/// The schema policies are validated against.
pub(super) fn cedar_schema(schema: &Schema) -> Result<CedarSchema, String> {
    let fields = || schema.record_types().flat_map(|record_type| &record_type.fields);
    let classes = [Sensitivity::Public, Sensitivity::Basic, Sensitivity::Sensitive];
    let assurances = [ABSENT, Assurance::Asserted.as_str(), Assurance::Proven.as_str()];
    let text = [
        FIXED.to_owned(),
        enumeration("AgencyKind", AgencyKind::ALL.iter().map(|kind| kind.as_str())),
        enumeration("Assurance", assurances.into_iter()),
        enumeration("FieldGroup", fields().map(|field| field.group.as_str())),
        enumeration("Log", [LOG].into_iter()),
        enumeration("RecordType", schema.record_types().map(|record_type| record_type.name.as_str())),
        enumeration("Sector", schema.record_types().map(|record_type| record_type.sector.as_str())),
        enumeration("Sensitivity", classes.into_iter().map(sensitivity)),
    ]
    .concat();
    let (schema, _) = CedarSchema::from_cedarschema_str(&text).map_err(|error| error.to_string())?;
    Ok(schema)
}

/// The word policies use for a class. A field without a class counts as sensitive, though the schema holds none.
pub(super) fn sensitivity(class: Sensitivity) -> &'static str {
    match class {
        Sensitivity::Public => "public",
        Sensitivity::Basic => "basic",
        Sensitivity::Sensitive | Sensitivity::Unspecified => "sensitive",
    }
}

fn enumeration<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> String {
    let words: BTreeSet<String> = words.map(|word| format!("{word:?}")).collect();
    format!("entity {name} enum [{}];\n", words.into_iter().collect::<Vec<_>>().join(", "))
}
