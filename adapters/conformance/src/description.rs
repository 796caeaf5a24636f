//! What a source says of itself.

use std::collections::HashSet;

use adapter_sdk::{Adapter, RecordDescription};
use proto::{Schema, options::v1::IdentifierKind};

use crate::{Finding, described};

pub(crate) fn check(adapter: &dyn Adapter, schema: &Schema) -> Vec<Finding> {
    let description = described(adapter);
    let mut whole = Finding::new("", "describes_itself", "id, labels, owner and the digest of the mapping are stated");
    for (name, text) in [
        ("id", &description.id),
        ("label_vi", &description.label_vi),
        ("label_en", &description.label_en),
        ("owner", &description.owner),
    ] {
        whole.expect(!text.trim().is_empty(), || format!("{name} is empty"));
    }
    let hexadecimal =
        |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    whole.expect(hexadecimal(&description.mapping_digest), || "mapping_digest is no SHA-256 in hexadecimal".to_owned());
    whole.expect(!description.records.is_empty(), || "it has no record type".to_owned());
    let mut seen = HashSet::new();
    for record in &description.records {
        let name = &record.record_type.name;
        whole.expect(seen.insert(name), || format!("{name} stands there twice"));
    }
    let mut findings = vec![whole];
    findings.extend(description.records.iter().map(|described| record(described, schema)));
    findings
}

fn record(record: &RecordDescription, schema: &Schema) -> Finding {
    let name = &record.record_type.name;
    let mut finding = Finding::new(
        name,
        "describes_record",
        "fields and kinds of number are known, classified, and each stands once",
    );
    finding.expect(schema.record_type(name).is_some(), || "the hub does not know the record type".to_owned());
    finding.expect(!record.lookup.is_empty(), || "no kind of number finds it".to_owned());
    finding.expect(!record.fields.is_empty(), || "it has no field".to_owned());
    let kinds: HashSet<_> = record.lookup.iter().collect();
    finding.expect(kinds.len() == record.lookup.len(), || "a kind of number stands there twice".to_owned());
    finding.expect(!kinds.contains(&IdentifierKind::Unspecified), || "a kind of number is unspecified".to_owned());
    finding.expect(record.alone.iter().all(|kind| kinds.contains(kind)), || {
        "a number that may stand alone does not find it".to_owned()
    });
    for field in record.fields.iter() {
        let known = record.record_type.fields.get(field);
        finding.expect(known.is_some_and(|field| field.sensitivity as i32 != 0), || {
            format!("field {field} is unknown or has no sensitivity class")
        });
    }
    finding
}
