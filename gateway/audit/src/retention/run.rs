//! A run over a log: what is due is counted, named in an entry, and only then removed.

use chrono::{DateTime, SecondsFormat, Utc};
use proto::audit::v1::entry::{Disclosure, Kind, Outcome};
use proto::audit::v1::{Detail, Entry};

use super::removal::SLICE;
use super::{Due, Hold, Judge, Removal, Rules, Survey};
use crate::error::{AuditError, Damage, RetentionError};
use crate::key::VerifierKey;
use crate::log::AuditLog;
use crate::store::{Connection, Location, Remover};

/// Counts what a run would remove from a log, which may be in use. Changes nothing. Reports entries looked at, and entries
/// in the log.
pub async fn survey(
    location: &Location,
    key: &VerifierKey,
    rules: &Rules,
    holds: &[Hold],
    now: DateTime<Utc>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Survey, AuditError> {
    let mut connection = Connection::read(location, key.name()).await?;
    let mut session = connection.session();
    let (tree_size, _) = session.newest_head().await?.ok_or(AuditError::Damaged(Damage::CheckpointMissing))?;
    let judge = Judge { rules, holds, now };
    let mut survey = Survey::default();
    for start in (0..tree_size).step_by(SLICE as usize) {
        let end = tree_size.min(start + SLICE);
        let (_, more) = judge.due(&mut session, start..end, &mut survey).await?;
        progress(end, tree_size);
        if !more {
            break;
        }
    }
    Ok(survey)
}

impl AuditLog {
    /// Removes the bodies that are at the end of their period and under no hold from this process's log and its index.
    /// Each part of it is an entry before it is done: after a failure nothing is missing that no entry accounts for, and
    /// the next run goes on. Reports as [`survey`] does.
    pub async fn retain(
        &self,
        rules: &Rules,
        holds: &[Hold],
        now: DateTime<Utc>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Survey, RetentionError> {
        let own = self.own();
        let tree_size = own.checkpoint().tree_size;
        let judge = Judge { rules, holds, now };
        let mut total = Survey::default();
        let mut remover: Option<Remover> = None;
        for start in (0..tree_size).step_by(SLICE as usize) {
            let end = tree_size.min(start + SLICE);
            let mut survey = Survey::default();
            let mut reader = self.readers().acquire().await.map_err(AuditError::from)?;
            let (due, more) = judge.due(&mut reader.session(), start..end, &mut survey).await?;
            drop(reader);
            if let Some(removal) = Removal::new(&due) {
                self.append(entry(&removal, &survey, now)).await?;
                let remover = match &mut remover {
                    Some(remover) => remover,
                    none => none.insert(Remover::open(self.location(), own.id).await?),
                };
                remover.remove(&due).await?;
                self.index.forget(own.id, start..end).await?;
            }
            total.add(survey);
            progress(end, tree_size);
            if !more {
                break;
            }
        }
        if let Some(remover) = remover {
            remover.finish().await?;
        }
        Ok(total)
    }

    /// Index of the entry that accounts for the removal of a body from this or another log of the store; none if none does.
    pub async fn removal_of(&self, origin: &str, log_index: u64) -> Result<Option<u64>, AuditError> {
        let view = self.log(origin).await?;
        let runs = crate::Filter { event: Some(super::removal::EVENT.to_owned()), ..Default::default() };
        let mut token = String::new();
        loop {
            let page = self.search_logs(vec![view.clone()], &runs, crate::PAGE_SIZE_MAX, &token).await?;
            let names = |entry: &Entry| Removal::of(entry).is_some_and(|removal| removal.names(log_index));
            let found = page.entries.iter().find(|logged| logged.entry.as_ref().is_some_and(names));
            if let Some(logged) = found {
                return Ok(Some(logged.log_index));
            }
            if page.next_page_token.is_empty() {
                return Ok(None);
            }
            token = page.next_page_token;
        }
    }
}

impl Survey {
    fn add(&mut self, other: Self) {
        self.looked_at += other.looked_at;
        for (class, due) in other.due {
            self.due.entry(class).or_insert(Due { count: 0, ..due }).count += due.count;
        }
        for (number, count) in other.held {
            *self.held.entry(number).or_default() += count;
        }
    }
}

/// The entry of a part of a run.
fn entry(removal: &Removal, survey: &Survey, now: DateTime<Utc>) -> Entry {
    let mut details = removal.details();
    for (class, due) in &survey.due {
        let class = if class.is_empty() { "(no class)" } else { class };
        let before = DateTime::from_timestamp(due.before, 0).unwrap_or_default();
        let before = before.to_rfc3339_opts(SecondsFormat::Secs, true);
        let value = format!("{class}: {} entries older than {} months, made before {before}", due.count, due.months);
        details.push(Detail { name: "class".to_owned(), value });
    }
    for (number, count) in &survey.held {
        details.push(Detail { name: "held".to_owned(), value: format!("{number}: {count} entries kept") });
    }
    Entry {
        time: Some(prost_types::Timestamp { seconds: now.timestamp(), nanos: now.timestamp_subsec_nanos() as i32 }),
        kind: Kind::HubEvent.into(),
        outcome: Outcome::Answered.into(),
        disclosure: Disclosure::Never.into(),
        details,
        ..Entry::default()
    }
}
