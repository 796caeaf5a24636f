//! `AuditService`. Whoever reads entries is recorded before the first of them leaves.

use std::{pin::Pin, sync::Arc};

use access::Officer;
use audit::{AuditError, AuditLog, Filter};
use aws_lc_rs::digest;
use chrono::Utc;
use futures::{Stream, StreamExt};
use prost::Message;
use proto::{
    audit::v1::{self as wire, audit_service_server::AuditService, entry::Kind},
    options::v1::IdentifierKind,
};
use query::{Asked, Call, CallError, Hub, Violation};
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status};

use crate::{
    admission::Limit,
    call,
    current::Current,
    listen::told_to_stop,
    parse::{self, Unreadable},
    status,
    tokens::Proof,
};

/// Entries on a page when the caller does not say.
const PAGE_SIZE_DEFAULT: u32 = 50;

pub(crate) struct AuditHandler {
    pub(crate) current: Arc<Current>,
    pub(crate) timeouts: call::Timeouts,
    pub(crate) limit: Limit,
    pub(crate) stop: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl AuditService for AuditHandler {
    async fn search_entries(
        &self,
        request: Request<wire::SearchEntriesRequest>,
    ) -> Result<Response<wire::SearchEntriesResponse>, Status> {
        let (call, span) = self.begin("lienthong.audit.v1.AuditService/SearchEntries", &request)?;
        let (hub, proof) = (self.current.hub(), call::proof(&request));
        self.limit
            .to_the_end(&call.caller.clone(), span, async move {
                let request = request.into_inner();
                let reader = reader(&hub, &call, request.reader.clone(), proof.as_deref()).await?;
                let (filter, page_size) = match filter(&hub, &request) {
                    Ok(parsed) => parsed,
                    Err(mut unreadable) => {
                        unreadable.asked.officer = Some(reader);
                        return Err(rejected(&hub, &call, *unreadable).await);
                    }
                };
                let mut reading = permitted(&hub, &call, &reader, details(&request)).await?;
                reading.subjects = filter.subject.iter().cloned().collect();
                let page = hub.audit.search(&filter, page_size, &request.page_token).await;
                let page = page.map(|page| wire::SearchEntriesResponse {
                    entries: page.entries,
                    next_page_token: page.next_page_token,
                });
                record_reading(&hub, &call, reading, page, "page_token").await
            })
            .await
    }

    async fn get_entry(&self, request: Request<wire::GetEntryRequest>) -> Result<Response<wire::LoggedEntry>, Status> {
        let (call, span) = self.begin("lienthong.audit.v1.AuditService/GetEntry", &request)?;
        let (hub, proof) = (self.current.hub(), call::proof(&request));
        self.limit
            .to_the_end(&call.caller.clone(), span, async move {
                let request = request.into_inner();
                let reader = reader(&hub, &call, request.reader, proof.as_deref()).await?;
                let reading = permitted(&hub, &call, &reader, vec![detail("log_index", request.log_index)]).await?;
                record_reading(&hub, &call, reading, hub.audit.entry(request.log_index).await, "log_index").await
            })
            .await
    }

    async fn get_checkpoint(
        &self,
        request: Request<wire::GetCheckpointRequest>,
    ) -> Result<Response<wire::Checkpoint>, Status> {
        let (_call, _span) = self.begin("lienthong.audit.v1.AuditService/GetCheckpoint", &request)?;
        let log = &self.current.hub().audit;
        Ok(Response::new(published(log, &log.checkpoint())))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<wire::GetInclusionProofRequest>,
    ) -> Result<Response<wire::InclusionProof>, Status> {
        let (_call, _span) = self.begin("lienthong.audit.v1.AuditService/GetInclusionProof", &request)?;
        let request = request.into_inner();
        // Kept here, because the log may grow before the proof is read.
        let log = Arc::clone(&self.current.hub().audit);
        let newest = log.checkpoint();
        let tree_size = or_newest(request.tree_size, &newest);
        let proof = log.inclusion_proof(request.log_index, tree_size).await;
        let mut proof = proof.map_err(|error| from_log("log_index", &error))?;
        proof.checkpoint = published_if_of(&log, &newest, tree_size);
        Ok(Response::new(proof))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<wire::GetConsistencyProofRequest>,
    ) -> Result<Response<wire::ConsistencyProof>, Status> {
        let (_call, _span) = self.begin("lienthong.audit.v1.AuditService/GetConsistencyProof", &request)?;
        let wire::GetConsistencyProofRequest { from_tree_size, to_tree_size } = request.into_inner();
        let log = Arc::clone(&self.current.hub().audit);
        let newest = log.checkpoint();
        let to_tree_size = or_newest(to_tree_size, &newest);
        let hashes = log.consistency_proof(from_tree_size, to_tree_size).await;
        let hashes = hashes.map_err(|error| match error {
            AuditError::TreeSizeNotFound { .. } => wrong("to_tree_size", error.to_string()),
            AuditError::Proof(_) => wrong("from_tree_size", error.to_string()),
            error => from_log("from_tree_size", &error),
        })?;
        Ok(Response::new(wire::ConsistencyProof {
            from_tree_size,
            to_tree_size,
            hashes: hashes.iter().map(|hash| hash.to_vec()).collect(),
            checkpoint: published_if_of(&log, &newest, to_tree_size),
        }))
    }

    type TailEntriesStream = Pin<Box<dyn Stream<Item = Result<wire::LoggedEntry, Status>> + Send>>;

    async fn tail_entries(
        &self,
        request: Request<wire::TailEntriesRequest>,
    ) -> Result<Response<Self::TailEntriesStream>, Status> {
        let (call, span) = self.begin("lienthong.audit.v1.AuditService/TailEntries", &request)?;
        let (hub, proof) = (self.current.hub(), call::proof(&request));
        let current = Arc::clone(&self.current);
        let mut stop = self.stop.clone();
        self.limit
            .to_the_end(&call.caller.clone(), span, async move {
                let request = request.into_inner();
                let reader = reader(&hub, &call, request.reader, proof.as_deref()).await?;
                let mut reading =
                    permitted(&hub, &call, &reader, vec![detail("from_index", request.from_index)]).await?;
                reading.set_outcome(wire::entry::Outcome::Answered);
                hub.record(&call, reading).await.map_err(|error| status::from_call(&error))?;
                let caller = call.caller.clone();
                let entries = hub
                    .audit
                    .tail(request.from_index)
                    // A tail may go on for days: what is in force now decides, not what was when it began.
                    .map(move |entry| match current.hub().access.read_log(&caller, Some(&reader), Utc::now()) {
                        Ok(_) => entry.map_err(|error| from_log("from_index", &error)),
                        Err(refusal) => {
                            Err(status::from_call(&CallError::Refused { refusal: Box::new(refusal), receipt: None }))
                        }
                    })
                    // A tail never ends by itself; it must not hold up the hub's stopping.
                    .take_until(async move { told_to_stop(&mut stop).await });
                Ok(Response::new(Box::pin(entries) as Self::TailEntriesStream))
            })
            .await
    }
}

impl AuditHandler {
    fn begin<T>(&self, method: &'static str, request: &Request<T>) -> Result<(Call, tracing::Span), Status> {
        call::begin(method, request.metadata(), request.extensions(), self.timeouts)
    }
}

fn published(log: &AuditLog, checkpoint: &audit::Checkpoint) -> wire::Checkpoint {
    wire::Checkpoint { note: checkpoint.note.clone(), verifier_key: log.verifier().to_string() }
}

fn published_if_of(log: &AuditLog, checkpoint: &audit::Checkpoint, tree_size: u64) -> Option<wire::Checkpoint> {
    (checkpoint.tree_size == tree_size).then(|| published(log, checkpoint))
}

/// The tree size asked for; 0 asks for the newest.
fn or_newest(tree_size: u64, newest: &audit::Checkpoint) -> u64 {
    if tree_size == 0 { newest.tree_size } else { tree_size }
}

async fn reader(
    hub: &Hub,
    call: &Call,
    reader: Option<wire::Officer>,
    proof: Option<&Proof>,
) -> Result<Officer, Status> {
    let reader = reader.map(|reader| proto::query::v1::Officer { id: reader.id, name: reader.name, unit: reader.unit });
    match parse::reader("reader", reader, proof) {
        Ok(reader) => Ok(reader),
        Err(unreadable) => Err(rejected(hub, call, *unreadable).await),
    }
}

async fn rejected(hub: &Hub, call: &Call, unreadable: Unreadable) -> Status {
    let error = CallError::Invalid { violations: unreadable.violations, receipt: None };
    status::from_call(&hub.reject(call, Kind::LogRead, &unreadable.asked, error).await)
}

/// Decides whether the caller may read entries. Gives the entry to record the reading with; records a refusal itself.
async fn permitted(
    hub: &Hub,
    call: &Call,
    reader: &Officer,
    details: Vec<wire::Detail>,
) -> Result<wire::Entry, Status> {
    let mut entry = query::begin_entry(Kind::LogRead, call);
    entry.officer = Some(query::officer(reader));
    entry.details = details;
    match hub.access.read_log(&call.caller, Some(reader), Utc::now()) {
        Ok(permit) => {
            entry.details.extend(permit.agreements().iter().map(|number| detail("agreement", number)));
            entry.details.extend(permit.policy_ids().iter().map(|id| detail("policy", id)));
            Ok(entry)
        }
        Err(refusal) => {
            entry.set_outcome(wire::entry::Outcome::Refused);
            entry.reason.clone_from(&refusal.reason);
            let receipt = hub.record(call, entry).await.map_err(|error| status::from_call(&error))?;
            let receipt = Some(Box::new(receipt));
            Err(status::from_call(&CallError::Refused { refusal: Box::new(refusal), receipt }))
        }
    }
}

/// Records what came of a reading, then lets it go.
async fn record_reading<M: Message>(
    hub: &Hub,
    call: &Call,
    mut entry: wire::Entry,
    read: Result<M, AuditError>,
    field: &str,
) -> Result<Response<M>, Status> {
    match read {
        Ok(message) => {
            entry.set_outcome(wire::entry::Outcome::Answered);
            entry.response_digest = digest::digest(&digest::SHA256, &message.encode_to_vec()).as_ref().to_vec();
            hub.record(call, entry).await.map_err(|error| status::from_call(&error))?;
            Ok(Response::new(message))
        }
        Err(error) => {
            let status = from_log(field, &error);
            entry.set_outcome(match status.code() {
                Code::InvalidArgument | Code::NotFound => wire::entry::Outcome::Invalid,
                _ => wire::entry::Outcome::Failed,
            });
            entry.reason = status::reason(&status);
            let receipt = hub.record(call, entry).await.map_err(|error| status::from_call(&error))?;
            Err(status::with_log_index(status, receipt.log_index))
        }
    }
}

fn detail(name: &str, value: impl ToString) -> wire::Detail {
    wire::Detail { name: name.to_owned(), value: value.to_string() }
}

/// What a search asked for, as its entry states it. The subject stands there as a keyed hash only.
fn details(request: &wire::SearchEntriesRequest) -> Vec<wire::Detail> {
    let mut details: Vec<_> = [
        ("agency", &request.agency),
        ("system", &request.system),
        ("officer", &request.officer),
        ("purpose", &request.purpose),
        ("dossier_number", &request.dossier_number),
        ("record_type", &request.record_type),
        ("source", &request.source),
        ("agreement", &request.agreement),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    // A number in a filter may be a person's, pasted into the wrong place.
    .map(|(name, value)| {
        let unfit = parse::has_long_number(value) || value.chars().count() > 200;
        detail(name, if unfit { "(not recorded: may be a personal number)" } else { value.as_str() })
    })
    .collect();
    for (name, time) in [("from", &request.from), ("until", &request.until)] {
        details.extend(time.as_ref().map(|time| detail(name, time)));
    }
    if request.outcome() != wire::entry::Outcome::Unspecified {
        details.push(detail("outcome", request.outcome().as_str_name()));
    }
    details
}

fn filter(hub: &Hub, request: &wire::SearchEntriesRequest) -> Result<(Filter, usize), Box<Unreadable>> {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let subject = if request.subject.is_empty() && request.subject_kind() == IdentifierKind::Unspecified {
        None
    } else {
        let key = parse::identifier("subject", request.subject_kind(), &request.subject)?;
        Some(hub.hasher.hash(key.kind, &key.value))
    };
    let page_size = match request.page_size {
        0 => PAGE_SIZE_DEFAULT as usize,
        size if size as usize <= audit::PAGE_SIZE_MAX => size as usize,
        _ => {
            let violation = Violation {
                field: "page_size".to_owned(),
                english: format!("must be at most {}", audit::PAGE_SIZE_MAX),
                vietnamese: format!("không quá {}", audit::PAGE_SIZE_MAX),
            };
            return Err(Box::new(Unreadable { violations: vec![violation], asked: Asked::default() }));
        }
    };
    let filter = Filter {
        from: request.from,
        until: request.until,
        agency: given(&request.agency),
        system: given(&request.system),
        officer: given(&request.officer),
        purpose: given(&request.purpose),
        dossier_number: given(&request.dossier_number),
        subject,
        record_type: given(&request.record_type),
        source: given(&request.source),
        outcome: Some(request.outcome()).filter(|outcome| *outcome != wire::entry::Outcome::Unspecified),
        agreement: given(&request.agreement),
    };
    Ok((filter, page_size))
}

/// The status of a field with an impossible value.
fn wrong(field: &str, english: String) -> Status {
    let vietnamese = "giá trị không hợp lệ".to_owned();
    status::invalid(vec![Violation { field: field.to_owned(), english, vietnamese }])
}

/// The status of an error of the log's reading side.
fn from_log(field: &str, error: &AuditError) -> Status {
    match error {
        AuditError::EntryNotFound { .. } => {
            status::plain(Code::NotFound, "ENTRY_NOT_FOUND", &error.to_string(), "Không có mục nhật ký này.")
        }
        AuditError::TreeSizeNotFound { .. } => wrong("tree_size", error.to_string()),
        AuditError::Proof(_) => status::plain(
            Code::NotFound,
            "ENTRY_NOT_IN_TREE",
            &error.to_string(),
            "Mục nhật ký không có trong cây này.",
        ),
        AuditError::PageToken => wrong(field, error.to_string()),
        AuditError::Damaged(_) => {
            tracing::error!(%error, "the audit log is damaged");
            status::plain(Code::DataLoss, "AUDIT_LOG_DAMAGED", &error.to_string(), "Nhật ký truy cập bị hỏng.")
        }
        AuditError::Store(_)
        | AuditError::File { .. }
        | AuditError::InUse { .. }
        | AuditError::NotALog { .. }
        | AuditError::NewerSchema { .. }
        | AuditError::Origin { .. }
        | AuditError::Note(_)
        | AuditError::IndexBehind { .. } => {
            tracing::error!(%error, "the audit log cannot be read");
            status::plain(
                Code::Unavailable,
                "AUDIT_LOG_UNAVAILABLE",
                "the audit log cannot be read now",
                "Tạm thời không đọc được nhật ký truy cập.",
            )
        }
    }
}
