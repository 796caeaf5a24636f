//! `lienthong access who-can-see`.

use std::{process::ExitCode, sync::Arc};

use anyhow::bail;
use proto::{FieldSet, RecordType, Schema};

use super::{Files, Moment, View, disclosure, last_day, lines, lines::Line};
use crate::{client, show};

/// List everybody who can receive a field.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../../deploy/help/who-can-see.txt"))]
pub(crate) struct WhoCanSee {
    /// TYPE:FIELD, or FIELD of every record type that has it; a nested part may be named whole.
    #[arg(value_name = "FIELD")]
    field: String,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    moment: Moment,
}

impl WhoCanSee {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let view = self.files.view(&self.moment)?;
        let sought = sought(&view.schema, &self.field)?;
        for (record_type, fields) in &sought {
            show::line(format!("{}: {}", record_type.name, lines::compact(record_type, fields)))?;
        }
        let (never, can): (Vec<Line>, Vec<Line>) =
            lines::about(&view, &sought).into_iter().partition(|line| line.conditions.never());
        let mut table =
            show::table(["System", "Purpose", "Actions", "Fields", "To", "Agreement", "Until", "Citizen sees it"]);
        for line in &can {
            let agreement = line.agreement(&view);
            table.add_row([
                line.who(),
                line.purpose.clone(),
                line.actions.join("\n"),
                named(line, sought.len()),
                line.conditions.to_string(),
                agreement.number.clone(),
                last_day(agreement),
                disclosure(agreement.disclosure).to_owned(),
            ]);
        }
        if !can.is_empty() {
            show::line(table)?;
        }
        if !never.is_empty() {
            granted_in_vain(&view, &never, sought.len())?;
        }
        let systems: std::collections::BTreeSet<String> = can.iter().map(Line::who).collect();
        show::line(format!(
            "{} of the {} systems that agreements name; nobody else. Decided for every purpose, action and kind of officer.",
            systems.len(),
            view.set.systems().count()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn named(line: &Line, record_types: usize) -> String {
    match record_types {
        1 => line.fields(),
        _ => format!("{}: {}", line.what().rsplit('.').next().unwrap_or_default(), line.fields()),
    }
}

fn granted_in_vain(view: &View, never: &[Line], record_types: usize) -> anyhow::Result<()> {
    show::line("Granted, yet not released now:")?;
    let mut table = show::table(["System", "Purpose", "Actions", "Fields", "Agreement", "Why not"]);
    for line in never {
        let agreement = line.agreement(view);
        let why = line.reason.as_ref().map_or("released under another agreement", |reason| &reason.code);
        table.add_row([
            line.who(),
            line.purpose.clone(),
            line.actions.join("\n"),
            named(line, record_types),
            format!("{} ({} to {})", agreement.number, super::day(agreement.valid_from), last_day(agreement)),
            why.to_owned(),
        ]);
    }
    show::line(table)?;
    Ok(())
}

/// The fields meant, by record type.
pub(super) fn sought(schema: &Schema, text: &str) -> anyhow::Result<Vec<(Arc<RecordType>, FieldSet)>> {
    let (types, path): (Vec<&Arc<RecordType>>, &str) = match text.contains(':') {
        true => {
            let (name, path) = client::typed(schema, text)?;
            let Some(record_type) = schema.record_type(&name) else {
                bail!(unknown("record type", &name, schema.record_types().map(|known| known.name.as_str())));
            };
            (vec![record_type], path)
        }
        false => (schema.record_types().collect(), text),
    };
    let found = types.iter().map(|record_type| (Arc::clone(record_type), record_type.expand(path)));
    let found: Vec<_> = found.filter(|(_, fields)| !fields.is_empty()).collect();
    if found.is_empty() {
        let known = types.iter().flat_map(|record_type| record_type.fields.iter().map(|field| field.path.as_str()));
        bail!(unknown("field", path, known));
    }
    Ok(found)
}

/// "… is unknown", with the nearest right name.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known.map(|known| (strsim::normalized_damerau_levenshtein(name, known), known));
    match near.max_by(|(left, _), (right, _)| left.total_cmp(right)) {
        Some((likeness, nearest)) if likeness >= 0.5 => {
            format!("{what} \"{name}\" is unknown; did you mean \"{nearest}\"?")
        }
        _ => format!("{what} \"{name}\" is unknown"),
    }
}
