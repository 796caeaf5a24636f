//! `lienthong adapter try`: one record beside its row.

use std::{process::ExitCode, sync::Arc, time::Duration};

use adapter_sdk::{Adapter as _, FetchRequest, FieldMark, Grade, Inspected, InspectedField, Key, SqlSource};
use anyhow::{anyhow, bail};
use proto::{FieldKind, RecordType, options::v1::IdentifierKind};
use tokio::time::Instant;

use super::{Bound, one_record_type};
use crate::{parse, show};

/// Nothing has the key.
const NOT_FOUND: u8 = 4;

/// Show one record beside the row it is made from.
#[derive(clap::Args)]
#[command(allow_missing_positional = true, after_long_help = include_str!("../../../../../deploy/help/adapter-try.txt"))]
pub(crate) struct Try {
    #[command(flatten)]
    bound: Bound,
    /// Record type, in full or its last part; none: the only one of the mapping.
    #[arg(value_name = "RECORD")]
    record: Option<String>,
    /// The number that finds it, or KIND=NUMBER when several kinds have its form.
    #[arg(value_name = "KEY", required = true)]
    key: String,
    /// How long to wait for the database.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 30_000)]
    timeout_ms: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Try {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let source = self.bound.open(4)?;
        let name = one_record_type(&source, self.record.as_deref())?;
        let description = source.describe().record(&name).ok_or_else(|| anyhow!("{name} is not described"))?;
        let record_type = description.record_type.clone();
        let deadline = Instant::now() + Duration::from_millis(self.timeout_ms);
        let mut found = Vec::new();
        for key in keys(&description.lookup, &self.key)? {
            let fields = description.fields.clone();
            let request =
                FetchRequest { record_type: record_type.clone(), key, fields, deadline, behalf: Arc::default() };
            found = source.inspect(&request).await?;
            if !found.is_empty() {
                break;
            }
        }
        if self.json {
            show::line(serde_json::to_string_pretty(&json(&source, &record_type, &found)?)?)?;
        } else {
            print(&source, &record_type, &found)?;
        }
        Ok(if found.is_empty() { ExitCode::from(NOT_FOUND) } else { ExitCode::SUCCESS })
    }
}

/// The keys a text can stand for, in the order of the mapping's lookups.
fn keys(lookup: &[IdentifierKind], text: &str) -> anyhow::Result<Vec<Key>> {
    let name = |kind: &IdentifierKind| kind.as_str_name().to_ascii_lowercase();
    if let Some((kind, value)) = text.split_once('=') {
        let Some(kind) = lookup.iter().find(|known| name(known) == kind) else {
            let known: Vec<_> = lookup.iter().map(name).collect();
            bail!("the mapping does not look the record up by \"{kind}\"; it does by {}", known.join(", "));
        };
        // As it stands: a number that is wrong may stand in the database just so.
        return Ok(vec![Key { kind: *kind, value: value.to_owned() }]);
    }
    let fitting: Vec<_> = lookup.iter().filter_map(|kind| parse::identifier("key", *kind, text).ok()).collect();
    if fitting.is_empty() {
        let known: Vec<_> = lookup.iter().map(name).collect();
        bail!("the key has the form of no {}; to look for it as it stands write KIND=NUMBER", known.join(", "));
    }
    Ok(fitting)
}

/// One line of the comparison.
struct Line<'a> {
    field: &'a InspectedField,
    value: Option<String>,
    verdict: String,
}

fn lines<'a>(record_type: &RecordType, inspected: &'a Inspected) -> Vec<Line<'a>> {
    let leaves = show::leaves(&inspected.record.message);
    let marks = &inspected.record.marks;
    let line = |field: &'a InspectedField| {
        let mark = marks.iter().find(|mark| mark.path == field.path);
        let filled =
            field.columns.iter().any(|column| column.text.as_ref().is_some_and(|text| !text.trim().is_empty()));
        let kind = &record_type.fields[field.field].kind;
        let value = leaves.iter().find(|(path, _)| *path == field.path).map(|(_, value)| value.clone());
        let refused = mark.is_some_and(|mark| mark.grade >= Grade::Invalid);
        // A flag that is false and a number that is 0 are not on the wire.
        let value = value.or_else(|| match kind {
            FieldKind::Bool if filled && !refused => Some("false".to_owned()),
            FieldKind::Int32 if filled && !refused => Some("0".to_owned()),
            _ => None,
        });
        let verdict = match (mark, &value) {
            (Some(mark), _) => verdict(mark),
            (None, Some(_)) => "ok".to_owned(),
            (None, None) => "empty".to_owned(),
        };
        Line { field, value, verdict }
    };
    inspected.fields.iter().map(line).collect()
}

fn grade(mark: &FieldMark) -> &'static str {
    match mark.grade {
        Grade::Repaired => "repaired",
        Grade::ConvertedWithLoss => "converted with loss",
        Grade::Suspect => "suspect",
        Grade::Invalid => "invalid",
        Grade::Missing => "missing",
    }
}

fn verdict(mark: &FieldMark) -> String {
    format!("{}: {}", grade(mark), mark.reasons.join(", "))
}

fn print(source: &SqlSource, record_type: &RecordType, found: &[Inspected]) -> anyhow::Result<()> {
    let description = source.describe();
    show::line(format!("{} from {} ({})", record_type.name, description.id, description.engine))?;
    for (at, inspected) in found.iter().enumerate() {
        show::line(format!("\nRecord {} of {}", at + 1, found.len()))?;
        let mut table = show::table(["Field", "Row", "Converter", "Record", "Verdict"]);
        for line in lines(record_type, inspected) {
            let columns = line.field.columns.iter();
            let row: Vec<_> = columns
                .map(|column| format!("{} = {}", column.name, column.text.as_deref().unwrap_or("NULL")))
                .collect();
            table.add_row([
                line.field.path.clone(),
                row.join("\n"),
                line.field.converter.clone(),
                line.value.unwrap_or_default(),
                line.verdict,
            ]);
        }
        show::line(table)?;
        if let Some(as_of) = inspected.record.as_of {
            show::line(format!("The register changed the row on {}.", as_of.to_rfc3339()))?;
        }
    }
    if found.is_empty() {
        show::line("No record has this key.")?;
    }
    if let Some(record) = description.record(&record_type.name).filter(|record| !record.unmapped().is_empty()) {
        show::line(format!("Fields without a column: {}", record.unmapped().join(", ")))?;
    }
    Ok(())
}

fn json(source: &SqlSource, record_type: &RecordType, found: &[Inspected]) -> anyhow::Result<serde_json::Value> {
    let records = found.iter().map(|inspected| {
        let fields: Vec<_> = lines(record_type, inspected)
            .into_iter()
            .map(|line| {
                let columns: Vec<_> = line
                    .field
                    .columns
                    .iter()
                    .map(|column| serde_json::json!({ "name": column.name, "text": column.text }))
                    .collect();
                serde_json::json!({
                    "field": line.field.path,
                    "columns": columns,
                    "converter": line.field.converter,
                    "value": line.value,
                    "verdict": line.verdict,
                })
            })
            .collect();
        Ok(serde_json::json!({
            "record": serde_json::to_value(&inspected.record.message)?,
            "as_of": inspected.record.as_of.map(|time| time.to_rfc3339()),
            "fields": fields,
        }))
    });
    let records: Vec<_> = records.collect::<anyhow::Result<_>>()?;
    let description = source.describe();
    Ok(serde_json::json!({
        "source": description.id,
        "engine": description.engine.name(),
        "mapping_digest": description.mapping_digest,
        "record_type": record_type.name,
        "records": records,
    }))
}
