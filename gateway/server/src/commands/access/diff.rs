//! `lienthong access diff`.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use access::{AccessSet, Conditions, Disclosure, Opened};
use anyhow::bail;
use chrono::{DateTime, Utc};
use proto::{RecordType, Schema};

use super::{Moment, disclosure, lines};
use crate::show;

/// Compare two folders.
#[derive(clap::Args)]
pub(crate) struct Diff {
    /// Folder as it is: grants/, policies/, purposes.toml, agencies.toml, perhaps sectors/.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// Folder as it is to be.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    #[command(flatten)]
    moment: Moment,
}

/// One cell of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    who: String,
    purpose: String,
    record_type: String,
    action: &'static str,
    field: Option<usize>,
}

/// What a cell holds: each agreement that opens it, with its conditions.
type Held = Vec<(String, Conditions, Disclosure)>;

/// Cells that change in the same way.
struct Change {
    who: String,
    purpose: String,
    record_type: String,
    actions: Vec<&'static str>,
    fields: Vec<usize>,
    before: Held,
    after: Held,
}

impl Diff {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let now = self.moment.get();
        let (old_schema, old) = super::load_folder(&self.old, now)?;
        let (new_schema, new) = super::load_folder(&self.new, now)?;
        if let Some(name) = redefined(&old_schema, &new_schema) {
            bail!("the record type {name} itself has other fields in {}: cells cannot be compared", self.new.display());
        }
        let (old, new) = (cells(&old, now), cells(&new, now));
        let mut keys: Vec<&Cell> = old.keys().chain(new.keys()).collect();
        keys.sort();
        keys.dedup();
        let (mut opened, mut closed, mut changed, mut same) = (0, 0, 0, 0);
        let mut changes: Vec<Change> = Vec::new();
        for cell in keys {
            let before = old.get(cell).cloned().unwrap_or_default();
            let after = new.get(cell).cloned().unwrap_or_default();
            match (before.is_empty(), after.is_empty()) {
                _ if before == after => {
                    same += 1;
                    continue;
                }
                (true, _) => opened += 1,
                (_, true) => closed += 1,
                _ => changed += 1,
            }
            add(&mut changes, cell, before, after);
        }
        for change in joined(changes) {
            // A record type of a sector that comes or goes is known on one side only.
            let schema = if new_schema.record_type(&change.record_type).is_some() { &new_schema } else { &old_schema };
            say(schema, &change)?;
        }
        show::line(format!("{opened} cells opened, {closed} closed, {changed} changed, {same} as before"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A record type that both know and that has other fields in one than in the other.
fn redefined<'a>(old: &'a Schema, new: &Schema) -> Option<&'a str> {
    let other = |record: &&Arc<RecordType>| {
        let now = new.record_type(&record.name);
        now.is_some_and(|now| now.paths_of(&now.all_fields()) != record.paths_of(&record.all_fields()))
    };
    old.record_types().find(other).map(|record| record.name.as_str())
}

fn cells(set: &AccessSet, now: DateTime<Utc>) -> BTreeMap<Cell, Held> {
    let mut cells: BTreeMap<Cell, Held> = BTreeMap::new();
    for row in set.table(now).into_iter().filter(|row| !row.conditions.never()) {
        let agreement = &set.agreements()[row.agreement];
        let held = (agreement.number.clone(), row.conditions, agreement.disclosure);
        let who = format!("{}/{}", row.agency, row.system);
        match &row.opened {
            Opened::Hub(action) => {
                let action = action.as_str();
                let cell = Cell { who, purpose: String::new(), record_type: String::new(), action, field: None };
                cells.entry(cell).or_default().push(held);
            }
            Opened::Fields { purpose, action, record_type, fields } => {
                for field in fields.iter() {
                    let cell = Cell {
                        who: who.clone(),
                        purpose: purpose.clone(),
                        record_type: record_type.name.clone(),
                        action: action.as_str(),
                        field: Some(field),
                    };
                    cells.entry(cell).or_default().push(held.clone());
                }
            }
        }
    }
    cells.values_mut().for_each(|held| held.sort());
    cells
}

fn add(changes: &mut Vec<Change>, cell: &Cell, before: Held, after: Held) {
    let alike = changes.iter_mut().rev().find(|change| {
        (&change.who, &change.purpose, &change.record_type, change.actions.as_slice())
            == (&cell.who, &cell.purpose, &cell.record_type, [cell.action].as_slice())
            && change.before == before
            && change.after == after
    });
    match alike {
        Some(change) => change.fields.extend(cell.field),
        None => changes.push(Change {
            who: cell.who.clone(),
            purpose: cell.purpose.clone(),
            record_type: cell.record_type.clone(),
            actions: vec![cell.action],
            fields: cell.field.into_iter().collect(),
            before,
            after,
        }),
    }
}

/// Puts the actions together that change alike.
fn joined(changes: Vec<Change>) -> Vec<Change> {
    let mut joined: Vec<Change> = Vec::new();
    for change in changes {
        let alike = joined.iter_mut().rev().find(|known| {
            (&known.who, &known.purpose, &known.record_type, &known.fields, &known.before, &known.after)
                == (&change.who, &change.purpose, &change.record_type, &change.fields, &change.before, &change.after)
        });
        match alike {
            Some(known) => known.actions.extend(change.actions),
            None => joined.push(change),
        }
    }
    joined
}

fn say(schema: &Schema, change: &Change) -> std::io::Result<()> {
    let sign = match (change.before.is_empty(), change.after.is_empty()) {
        (true, _) => '+',
        (_, true) => '-',
        _ => '~',
    };
    let what =
        schema.record_type(&change.record_type).map_or_else(|| "audit log".to_owned(), |found| opened(found, change));
    let purpose = if change.purpose.is_empty() { "" } else { &format!(" {}", change.purpose) };
    show::line(format!("{sign} {}{purpose} {} {what}", change.who, change.actions.join("+")))?;
    if !change.before.is_empty() {
        show::line(format!("    before: {}", held(&change.before)))?;
    }
    if !change.after.is_empty() {
        show::line(format!("    after:  {}", held(&change.after)))?;
    }
    Ok(())
}

fn opened(record_type: &Arc<RecordType>, change: &Change) -> String {
    let mut fields = record_type.no_fields();
    change.fields.iter().for_each(|&field| fields.insert(field));
    format!("{}: {}", record_type.name, lines::compact(record_type, &fields))
}

fn held(held: &Held) -> String {
    let parts = held.iter().map(|(number, conditions, when)| {
        format!("{conditions}, under {number}, shown to the citizen: {}", disclosure(*when))
    });
    parts.collect::<Vec<_>>().join("; ")
}
