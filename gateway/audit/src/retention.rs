//! Retention: entry bodies are removed at the end of their period, and nothing else is.
//!
//! The leaf hash stays, and with it every hash of the tree, every checkpoint and every proof. What a run removes stands in
//! an entry of its own ([`Removal`]) that is durable before the first body goes: so the log itself says which bodies may
//! be missing, and a body that is missing without being named there is damage like any other. Bodies under a legal hold
//! stay, whatever their age. The hub's own events stay, too: they are about nobody, and hold the log's history together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Months, Utc};
use prost::Message;
use proto::Schema;
use proto::audit::v1::Entry;
use proto::audit::v1::entry::{Disclosure, Kind};
use proto::options::v1::Sensitivity;

use crate::error::AuditError;
use crate::search::Filter;
use crate::store::Session;

mod removal;
mod run;

pub(crate) use removal::{Missing, Removal};
pub use run::survey;

/// No entry may go earlier, whatever is configured (Decree 165/2025/ND-CP).
pub const MONTHS_MIN: u32 = 6;
/// Entries read at a time.
const CHUNK: u32 = 1024;

/// How long entries are kept: as long as the longest period of the classes they belong to.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Period of entries that belong to no class.
    pub default_months: u32,
    /// The classes.
    pub classes: Vec<Class>,
    /// Tells which fields are sensitive.
    pub schema: Arc<Schema>,
}

/// Entries that are kept for a period of their own. All conditions that are given must hold, in each any of its values.
#[derive(Debug, Clone, Default)]
pub struct Class {
    /// Name, for reports.
    pub name: String,
    /// Period, in months from the time of the entry.
    pub months: u32,
    /// What happened.
    pub kinds: Vec<Kind>,
    /// Purpose codes.
    pub purposes: Vec<String>,
    /// Full names of record types that were asked for.
    pub record_types: Vec<String>,
    /// When the subject may see the entry.
    pub disclosures: Vec<Disclosure>,
    /// A field of the class *sensitive* was released.
    pub sensitive: bool,
}

/// An order that entries be kept beyond their period.
#[derive(Debug, Clone, Default)]
pub struct Hold {
    /// Number of the order.
    pub number: String,
    /// Who ordered it.
    pub ordered_by: String,
    /// Why.
    pub reason: String,
    /// What it covers.
    pub covers: Filter,
}

/// What was found to be due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Bodies looked at.
    pub looked_at: u64,
    /// Bodies at the end of their period, by the class that decided it; the empty name is that of no class.
    pub due: BTreeMap<String, Due>,
    /// Bodies beyond their period that are held, by the number of the order.
    pub held: BTreeMap<String, u64>,
}

/// Bodies of one class at the end of their period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The period.
    pub months: u32,
    /// Entries made before this moment are at its end; seconds since 1970.
    pub before: i64,
    /// How many.
    pub count: u64,
}

impl Survey {
    /// Bodies that may go.
    pub fn count(&self) -> u64 {
        self.due.values().map(|due| due.count).sum()
    }
}

/// The rules as of one moment.
struct Judge<'r> {
    rules: &'r Rules,
    holds: &'r [Hold],
    now: DateTime<Utc>,
}

impl Judge<'_> {
    /// The moment a period before now.
    fn before(&self, months: u32) -> i64 {
        self.now.checked_sub_months(Months::new(months)).map_or(i64::MIN, |before| before.timestamp())
    }

    /// No entry made from this moment on is due.
    fn latest(&self) -> i64 {
        let periods = self.rules.classes.iter().map(|class| class.months);
        self.before(periods.chain([self.rules.default_months]).min().unwrap_or(u32::MAX))
    }

    /// Notes an entry that is due. True if its body may go.
    fn judge(&self, entry: &Entry, survey: &mut Survey) -> bool {
        let Some(time) = entry.time.filter(|_| entry.kind() != Kind::HubEvent) else { return false };
        let of_class = self.rules.classes.iter().filter(|class| class.holds(entry, &self.rules.schema));
        let (months, name) = of_class
            .map(|class| (class.months, class.name.as_str()))
            .max_by_key(|(months, _)| *months)
            .unwrap_or((self.rules.default_months, ""));
        let before = self.before(months);
        if time.seconds >= before {
            return false;
        }
        if let Some(hold) = self.holds.iter().find(|hold| hold.covers.matches(entry)) {
            *survey.held.entry(hold.number.clone()).or_default() += 1;
            return false;
        }
        survey.due.entry(name.to_owned()).or_insert(Due { months, before, count: 0 }).count += 1;
        true
    }

    /// Indices in the range whose bodies may go. False if no later entry can be due either.
    async fn due(
        &self,
        session: &mut Session<'_>,
        range: Range<u64>,
        survey: &mut Survey,
    ) -> Result<(Vec<u64>, bool), AuditError> {
        let (mut due, mut next) = (Vec::new(), range.start);
        loop {
            let entries = session.next_entries(next..range.end, CHUNK).await?;
            let Some((last, _)) = entries.last() else { return Ok((due, true)) };
            next = last + 1;
            let mut old = false;
            for (log_index, bytes) in &entries {
                // What cannot be read has no known period, and stays.
                let Ok(entry) = Entry::decode(bytes.as_slice()) else { continue };
                survey.looked_at += 1;
                old |= entry.time.is_some_and(|time| time.seconds < self.latest());
                if self.judge(&entry, survey) {
                    due.push(*log_index);
                }
            }
            // Entries stand nearly in the order of their times: after so many young ones there is no old one.
            if !old && entries.len() == CHUNK as usize {
                return Ok((due, false));
            }
        }
    }
}

impl Class {
    fn holds(&self, entry: &Entry, schema: &Schema) -> bool {
        let purpose = entry.purpose.as_ref().map(|purpose| &purpose.code);
        let asked = |name: &String| entry.accesses.iter().any(|access| access.record_type == *name);
        (self.kinds.is_empty() || self.kinds.contains(&entry.kind()))
            && (self.purposes.is_empty() || purpose.is_some_and(|code| self.purposes.contains(code)))
            && (self.record_types.is_empty() || self.record_types.iter().any(asked))
            && (self.disclosures.is_empty() || self.disclosures.contains(&entry.disclosure()))
            && (!self.sensitive || released_sensitive(entry, schema))
    }
}

/// Whether something sensitive was released. A field this release does not know counts as such.
fn released_sensitive(entry: &Entry, schema: &Schema) -> bool {
    entry.accesses.iter().any(|access| {
        let record_type = schema.record_type(&access.record_type);
        access.fields_released.iter().any(|path| {
            let field = record_type.and_then(|record_type| record_type.field(path));
            field.is_none_or(|field| field.sensitivity == Sensitivity::Sensitive)
        })
    })
}

#[cfg(test)]
mod tests;
