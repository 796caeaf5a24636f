//! What is valid and yet hardly meant: grants that come to nothing, agreements about to end, purposes nobody may state.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::{AccessSet, Agreement, Opened, Problem};

/// An agreement that ends within these days is reported: time to negotiate the next one.
pub const ENDING_SOON_DAYS: i64 = 60;

const DAY_SECONDS: i64 = 24 * 60 * 60;

impl Agreement {
    /// Whole days until it ends; negative when it has ended.
    pub fn days_left(&self, now: DateTime<Utc>) -> i64 {
        (self.valid_until - now.timestamp()).div_euclid(DAY_SECONDS)
    }
}

impl AccessSet {
    /// Looks for what the loaded files say in vain. Each agreement is looked at while it is in force, whatever the moment.
    pub fn lint(&self, now: DateTime<Utc>) -> Vec<Problem> {
        let mut found = Vec::new();
        for (index, agreement) in self.agreements.iter().enumerate() {
            let days = agreement.days_left(now);
            if (0..ENDING_SOON_DAYS).contains(&days) {
                let message = format!("agreement \"{}\" ends in {days} days", agreement.number);
                found.push(agreement.last_day_place.problem(message));
            }
            self.lint_grant(index, agreement, now, &mut found);
        }
        let named: HashSet<usize> =
            self.agreements.iter().flat_map(|agreement| agreement.purposes.iter().copied()).collect();
        for (index, purpose) in self.catalogue.purposes.iter().enumerate().filter(|(index, _)| !named.contains(index)) {
            let message = format!("no agreement names purpose \"{}\", so nobody can state it", purpose.code);
            found.push(self.catalogue.purpose_places[index].problem(message));
        }
        found
    }

    /// Fields that the agreement grants and a guardrail never lets through: the grant is wider than the law allows.
    fn lint_grant(&self, index: usize, agreement: &Agreement, now: DateTime<Utc>, found: &mut Vec<Problem>) {
        let within = now.timestamp().clamp(agreement.valid_from, agreement.valid_until - 1);
        let Some(within) = DateTime::from_timestamp(within, 0) else { return };
        let mut rows = Vec::new();
        self.add_rows(index, within, &mut rows);
        let mut said = HashSet::new();
        for row in rows.iter().filter(|row| row.conditions.never()) {
            let Some(reason) = &row.reason else { continue };
            let system = format!("{}/{}", row.agency, row.system);
            let by = reason.policy_id.as_deref().map_or(String::new(), |id| format!(" by guardrail {id}"));
            let (place, what) = match &row.opened {
                Opened::Fields { record_type, fields, .. } => {
                    let place = agreement.records.iter().position(|(granted, _)| granted.name == record_type.name);
                    let place = place.map_or(&agreement.place, |place| &agreement.record_places[place]);
                    let paths = record_type.paths_of(fields).join(", ");
                    (place, format!("{} fields of {} ({paths})", fields.len(), record_type.name))
                }
                Opened::Hub(action) => (&agreement.place, format!("{} of the hub", action.as_str())),
            };
            let message = format!(
                "agreement \"{}\" grants {what} to {system}, which it never receives: {}{by}",
                agreement.number, reason.code
            );
            // The same for every purpose and action.
            if said.insert(message.clone()) {
                found.push(place.problem(message));
            }
        }
    }
}
