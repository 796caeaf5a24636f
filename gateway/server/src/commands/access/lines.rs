//! The table of everything, with the actions that open the same put together, as matrix and who-can-see print it.

use std::sync::Arc;

use access::{Action, Agreement, Conditions, Opened, Reason, TableRow};
use proto::{FieldSet, RecordType, options::v1::Sensitivity};

use super::View;

/// One line of the table.
pub(super) struct Line {
    pub(super) agency: String,
    pub(super) system: String,
    /// Code; empty for the hub itself.
    pub(super) purpose: String,
    pub(super) actions: Vec<&'static str>,
    /// What is opened of which record type; none for the hub itself.
    pub(super) records: Option<(Arc<RecordType>, FieldSet)>,
    pub(super) agreement: usize,
    pub(super) conditions: Conditions,
    pub(super) reason: Option<Arc<Reason>>,
}

impl Line {
    fn of(row: TableRow) -> Self {
        let (purpose, action, records) = match row.opened {
            Opened::Hub(action) => (String::new(), action.as_str(), None),
            Opened::Fields { purpose, action, record_type, fields } => {
                (purpose, action.as_str(), Some((record_type, fields)))
            }
        };
        Self {
            agency: row.agency.to_string(),
            system: row.system,
            purpose,
            actions: vec![action],
            records,
            agreement: row.agreement,
            conditions: row.conditions,
            reason: row.reason,
        }
    }

    /// Whether they differ in nothing but their actions.
    fn is_like(&self, other: &Self) -> bool {
        let records = |line: &Self| line.records.as_ref().map(|(record, fields)| (record.name.clone(), fields.clone()));
        (&self.agency, &self.system, &self.purpose, self.agreement, self.conditions)
            == (&other.agency, &other.system, &other.purpose, other.agreement, other.conditions)
            && records(self) == records(other)
            && self.reason == other.reason
    }

    pub(super) fn who(&self) -> String {
        format!("{}/{}", self.agency, self.system)
    }

    /// Record type, or the hub.
    pub(super) fn what(&self) -> String {
        self.records.as_ref().map_or_else(|| "the hub".to_owned(), |(record_type, _)| record_type.name.clone())
    }

    /// "9/21".
    pub(super) fn count(&self) -> String {
        let count = self.records.as_ref();
        count.map_or_else(String::new, |(record, fields)| format!("{}/{}", fields.len(), record.fields.len()))
    }

    /// The fields, those of one nested message together, sensitive ones with an asterisk.
    pub(super) fn fields(&self) -> String {
        self.records.as_ref().map_or_else(String::new, |(record_type, fields)| compact(record_type, fields))
    }

    pub(super) fn agreement<'a>(&self, view: &'a View) -> &'a Agreement {
        &view.set.agreements()[self.agreement]
    }
}

/// All lines, those included that grant what is not released.
pub(super) fn all(view: &View) -> Vec<Line> {
    merged(view.set.table(view.now).into_iter().map(Line::of))
}

/// All lines about some of these fields, cut down to them.
pub(super) fn about(view: &View, sought: &[(Arc<RecordType>, FieldSet)]) -> Vec<Line> {
    merged(view.set.table(view.now).into_iter().map(Line::of).filter_map(|mut line| {
        let (record_type, fields) = line.records.as_mut()?;
        let (_, wanted) = sought.iter().find(|(wanted, _)| wanted.name == record_type.name)?;
        *fields = fields.intersection(wanted);
        (!fields.is_empty()).then_some(line)
    }))
}

fn merged(lines: impl Iterator<Item = Line>) -> Vec<Line> {
    let mut merged: Vec<Line> = Vec::new();
    for line in lines {
        // Lines that can be alike stand near each other: same system and purpose.
        let mut near = merged.iter_mut().rev().take_while(|known| known.purpose == line.purpose);
        match near.find(|known| known.is_like(&line)) {
            Some(known) => known.actions.extend(line.actions),
            None => merged.push(line),
        }
    }
    merged
}

/// Paths, those of one nested message together: "mother.{full_name, personal_id}".
pub(super) fn compact(record_type: &RecordType, fields: &FieldSet) -> String {
    let mut parts: Vec<(&str, Vec<String>)> = Vec::new();
    for field in record_type.fields_of(fields) {
        let (parent, leaf) = field.path.rsplit_once('.').unwrap_or(("", &field.path));
        let mark = if field.sensitivity == Sensitivity::Sensitive { "*" } else { "" };
        let leaf = format!("{leaf}{mark}");
        match parts.last_mut() {
            Some((last, leaves)) if *last == parent => leaves.push(leaf),
            _ => parts.push((parent, vec![leaf])),
        }
    }
    let parts = parts.into_iter().map(|(parent, leaves)| match (parent, leaves.as_slice()) {
        ("", leaves) => leaves.join(", "),
        (parent, [leaf]) => format!("{parent}.{leaf}"),
        (parent, leaves) => format!("{parent}.{{{}}}", leaves.join(", ")),
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// The action of this name.
pub(super) fn action(name: &str) -> Result<Action, String> {
    let found = Action::ALL.into_iter().find(|action| action.as_str() == name);
    found.ok_or_else(|| "must be query, verify, batch or search".to_owned())
}
