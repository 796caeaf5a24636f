//! What the process does itself, as entries of the log like any other: start, stop, and a change of the keys it works with.

use anyhow::Context;
use audit::{AuditError, AuditLog, Filter, KeyChange, SubjectHasher};
use proto::audit::v1::{Detail, Entry, entry};

const START: &str = "start";
/// Names the keys subjects are hashed with, the one in use first, then the older ones.
const SUBJECT_KEYS: &str = "subject_keys";

/// The entry of something the process did itself.
pub(crate) fn hub_event() -> Entry {
    Entry {
        time: Some(query::timestamp(chrono::Utc::now())),
        kind: entry::Kind::HubEvent.into(),
        outcome: entry::Outcome::Answered.into(),
        disclosure: entry::Disclosure::Never.into(),
        ..Default::default()
    }
}

/// Records something the process did itself.
pub(crate) async fn record_event(log: &AuditLog, event: &str, details: &[(&str, &str)]) -> anyhow::Result<()> {
    let details = [("event", event)].into_iter().chain(details.iter().copied());
    let details = details.map(|(name, value)| Detail { name: name.to_owned(), value: value.to_owned() });
    let entry = Entry { details: details.collect(), ..hub_event() };
    log.append(entry).await.map(drop).with_context(|| format!("cannot record {event} in the audit log"))
}

/// Records the start, and before it each change of key since the last one: of the keys that sign the log, and of those that
/// hash subjects. First of all entries: the checkpoint that covers them is the first the new keys sign.
pub(crate) async fn record_start(
    log: &AuditLog,
    hasher: &SubjectHasher,
    details: &[(&str, &str)],
) -> anyhow::Result<()> {
    let subject_keys = hasher.key_ids().collect::<Vec<_>>().join(" ");
    let before = last_subject_keys(log).await?;
    if let Some(KeyChange { before, after }) = log.key_change() {
        let details = [("signing_keys_before", &*before.join(" ")), ("signing_keys_after", &*after.join(" "))];
        record_event(log, "key_change", &details).await?;
    }
    if let Some(before) = before.filter(|before| *before != subject_keys) {
        let details = [("subject_keys_before", &*before), ("subject_keys_after", &*subject_keys)];
        record_event(log, "key_change", &details).await?;
    }
    let details = [details, &[(SUBJECT_KEYS, &*subject_keys)]].concat();
    record_event(log, START, &details).await
}

/// The keys that hashed subjects after the last start; none if there was none, or it did not say.
async fn last_subject_keys(log: &AuditLog) -> anyhow::Result<Option<String>> {
    let starts = Filter { event: Some(START.to_owned()), ..Filter::default() };
    let found = match log.search_logs(vec![log.own()], &starts, 1, "").await {
        Ok(found) => found,
        // The index is being built anew. The next entry names the keys either way, and so did the start before it.
        Err(error @ AuditError::IndexBehind { .. }) => {
            tracing::warn!(%error, "whether the subject key changed is not looked up");
            return Ok(None);
        }
        Err(error) => return Err(error).context("cannot find the last start in the audit log"),
    };
    let details = found.entries.into_iter().filter_map(|logged| logged.entry).flat_map(|entry| entry.details);
    Ok(details.into_iter().find(|detail| detail.name == SUBJECT_KEYS).map(|detail| detail.value))
}
