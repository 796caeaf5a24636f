//! Who looked at a subject, as the subject may see it.

use audit::{AuditError, Filter, disclosure};
use chrono::Utc;
use prost_types::Timestamp;
use proto::{
    audit::v1::{self as wire, entry::Kind},
    options::v1::IdentifierKind,
};
use query::{Call, Hub};
use tonic::Status;

use super::{detail, published, request};
use crate::{
    parse::{self, Unreadable},
    status,
    tokens::{Proof, TokenError},
};

/// Reads what was asked: about whom, in which period, how many at a time.
pub(super) fn period(
    hub: &Hub,
    request: &wire::ListSubjectAccessesRequest,
) -> Result<(Filter, usize), Box<Unreadable>> {
    let key = parse::identifier("subject", request.subject_kind(), &request.subject)?;
    let filter = Filter {
        from: request.from,
        until: request.until,
        subjects: hub.hasher.hashes(key.kind, &key.value),
        ..Filter::default()
    };
    Ok((filter, request::page_size(request.page_size)?))
}

/// Decides whether a citizen reads of themselves, which needs no agreement: the token is the right. Gives the entry to record
/// the reading with; it names no officer, for there was none.
pub(super) fn by_subject(
    call: &Call,
    request: &wire::ListSubjectAccessesRequest,
    citizen: Option<&Proof>,
    details: Vec<wire::Detail>,
) -> Result<wire::Entry, Status> {
    let own = citizen.filter(|proof| {
        request.subject_kind() == IdentifierKind::PersonalId && proof.citizen() == Some(request.subject.as_str())
    });
    let own = own.ok_or_else(|| status::from_token(TokenError::OfCitizen))?;
    let mut entry = query::begin_entry(Kind::LogRead, call);
    entry.details = details;
    entry.details.extend([detail("reader", "citizen"), detail("issuer", &own.issuer)]);
    Ok(entry)
}

/// One page. The moment for which disclosure is decided goes with the page token, so that it is one for the whole list.
pub(super) async fn list(
    hub: &Hub,
    request: &wire::ListSubjectAccessesRequest,
    period: &Filter,
    page_size: usize,
) -> Result<wire::ListSubjectAccessesResponse, AuditError> {
    let (at, token) = match request.page_token.split_once('/') {
        None if request.page_token.is_empty() => (query::timestamp(Utc::now()), ""),
        None => return Err(AuditError::PageToken),
        Some((at, token)) => (moment(at).ok_or(AuditError::PageToken)?, token),
    };
    let logs = hub.audit.logs().await?;
    let covered = if token.is_empty() { logs.iter().map(published).collect() } else { Vec::new() };
    let page = hub.audit.search_logs(logs, period, page_size, token).await?;
    let seen = |logged: &wire::LoggedEntry| {
        let entry = logged.entry.as_ref().filter(|entry| disclosure::is_open(entry, &at))?;
        Some(disclosure::seen_by_subject(&logged.log_origin, logged.log_index, &logged.entry_bytes, entry))
    };
    let next = Some(page.next_page_token).filter(|token| !token.is_empty());
    Ok(wire::ListSubjectAccessesResponse {
        subject_hashes: period.subjects.clone(),
        from: request.from,
        until: request.until,
        at: Some(at),
        logs: covered,
        accesses: page.entries.iter().filter_map(seen).collect(),
        next_page_token: next.map(|token| format!("{}.{}/{token}", at.seconds, at.nanos)).unwrap_or_default(),
    })
}

fn moment(text: &str) -> Option<Timestamp> {
    let (seconds, nanos) = text.split_once('.')?;
    Some(Timestamp { seconds: seconds.parse().ok()?, nanos: nanos.parse().ok()? })
}
