//! What is asked of the log: as a filter, and as the entry of the reading states it.

use audit::Filter;
use prost_types::Timestamp;
use proto::{audit::v1 as wire, options::v1::IdentifierKind};
use query::{Asked, Hub, Violation};

use super::detail;
use crate::parse::{self, Unreadable};

/// Entries on a page when the caller does not say.
const PAGE_SIZE_DEFAULT: usize = 50;

/// A text of a request as its entry states it. A number in it may be a person's, pasted into the wrong place.
pub(super) fn recorded(name: &str, value: &str) -> wire::Detail {
    let unfit = parse::has_long_number(value) || value.chars().count() > 200;
    detail(name, if unfit { "(not recorded: may be a personal number)" } else { value })
}

/// What a search asked for, as its entry states it. The subject stands there as a keyed hash only.
pub(super) fn details(request: &wire::SearchEntriesRequest) -> Vec<wire::Detail> {
    let mut details: Vec<_> = [
        ("agency", &request.agency),
        ("system", &request.system),
        ("officer", &request.officer),
        ("purpose", &request.purpose),
        ("dossier_number", &request.dossier_number),
        ("record_type", &request.record_type),
        ("field", &request.field),
        ("source", &request.source),
        ("agreement", &request.agreement),
        ("event", &request.event),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| recorded(name, value))
    .collect();
    // A digest may hold a run of digits; it is no person's number.
    details.extend(
        Some(request.certificate_sha256.to_lowercase())
            .filter(|digest| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .map(|digest| detail("certificate_sha256", digest)),
    );
    details.extend(times(&request.from, &request.until));
    if request.outcome() != wire::entry::Outcome::Unspecified {
        details.push(detail("outcome", request.outcome().as_str_name()));
    }
    details
}

pub(super) fn filter(hub: &Hub, request: &wire::SearchEntriesRequest) -> Result<(Filter, usize), Box<Unreadable>> {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let subjects = if request.subject.is_empty() && request.subject_kind() == IdentifierKind::Unspecified {
        Vec::new()
    } else {
        let key = parse::identifier("subject", request.subject_kind(), &request.subject)?;
        hub.hasher.hashes(key.kind, &key.value)
    };
    let page_size = page_size(request.page_size)?;
    let digest = &request.certificate_sha256;
    if !digest.is_empty() && (digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        let violation = Violation {
            field: "certificate_sha256".to_owned(),
            english: "must be 64 hexadecimal digits".to_owned(),
            vietnamese: "phải gồm 64 chữ số thập lục phân".to_owned(),
        };
        return Err(Box::new(Unreadable { violations: vec![violation], asked: Asked::default() }));
    }
    let filter = Filter {
        from: request.from,
        until: request.until,
        agency: given(&request.agency),
        system: given(&request.system),
        certificate: given(&request.certificate_sha256).map(|digest| digest.to_lowercase()),
        officer: given(&request.officer),
        purpose: given(&request.purpose),
        dossier_number: given(&request.dossier_number),
        subjects,
        field: given(&request.field),
        record_type: given(&request.record_type),
        source: given(&request.source),
        outcome: Some(request.outcome()).filter(|outcome| *outcome != wire::entry::Outcome::Unspecified),
        agreement: given(&request.agreement),
        event: given(&request.event),
    };
    Ok((filter, page_size))
}

/// A period as its entry states it.
pub(super) fn times(from: &Option<Timestamp>, until: &Option<Timestamp>) -> Vec<wire::Detail> {
    let times = [("from", from), ("until", until)];
    times.into_iter().filter_map(|(name, time)| time.as_ref().map(|time| detail(name, time))).collect()
}

/// Entries on a page, from what the caller says.
pub(super) fn page_size(asked: u32) -> Result<usize, Box<Unreadable>> {
    match asked {
        0 => Ok(PAGE_SIZE_DEFAULT),
        size if size as usize <= audit::PAGE_SIZE_MAX => Ok(size as usize),
        _ => {
            let violation = Violation {
                field: "page_size".to_owned(),
                english: format!("must be at most {}", audit::PAGE_SIZE_MAX),
                vietnamese: format!("không quá {}", audit::PAGE_SIZE_MAX),
            };
            Err(Box::new(Unreadable { violations: vec![violation], asked: Asked::default() }))
        }
    }
}
