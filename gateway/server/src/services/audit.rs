//! `AuditService`. Whoever reads entries is recorded before the first of them leaves.

mod accesses;
mod request;

use std::{pin::Pin, sync::Arc};

use access::Officer;
use audit::{AuditError, LogView};
use aws_lc_rs::digest;
use chrono::Utc;
use futures::{Stream, StreamExt};
use prost::Message;
use proto::audit::v1::{self as wire, audit_service_server::AuditService, entry::Kind};
use query::{Call, CallError, Hub, Violation};
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status};

use crate::{
    admission::Limit,
    call,
    current::Current,
    listen::told_to_stop,
    parse::{self, Unreadable},
    publish::Published,
    status,
    tokens::Proof,
};

pub(crate) struct AuditHandler {
    pub(crate) current: Arc<Current>,
    pub(crate) timeouts: call::Timeouts,
    pub(crate) limit: Limit,
    pub(crate) published: watch::Receiver<Published>,
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
            .to_the_end(&call.caller.clone(), call.deadline, span, async move {
                let request = request.into_inner();
                let reader = reader(&hub, &call, request.reader.clone(), proof.as_deref()).await?;
                let (filter, page_size) = match request::filter(&hub, &request) {
                    Ok(parsed) => parsed,
                    Err(mut unreadable) => {
                        unreadable.asked.officer = Some(reader);
                        return Err(rejected(&hub, &call, *unreadable).await);
                    }
                };
                let mut reading = permitted(&hub, &call, &reader, request::details(&request)).await?;
                reading.subjects = filter.subjects.first().cloned().into_iter().collect();
                let page = hub.audit.search(&filter, page_size, &request.page_token).await;
                let page = page.map(|page| wire::SearchEntriesResponse {
                    entries: page.entries,
                    next_page_token: page.next_page_token,
                });
                record_reading(&hub, &call, reading, page, "page_token").await
            })
            .await
    }

    async fn list_subject_accesses(
        &self,
        request: Request<wire::ListSubjectAccessesRequest>,
    ) -> Result<Response<wire::ListSubjectAccessesResponse>, Status> {
        let (call, span) = self.begin("lienthong.audit.v1.AuditService/ListSubjectAccesses", &request)?;
        let (hub, proof) = (self.current.hub(), call::proof(&request));
        self.limit
            .to_the_end(&call.caller.clone(), call.deadline, span, async move {
                let request = request.into_inner();
                let citizen = proof.as_deref().filter(|proof| proof.citizen().is_some());
                let reader = match citizen {
                    Some(_) => None,
                    None => Some(reader(&hub, &call, request.reader.clone(), proof.as_deref()).await?),
                };
                let (period, page_size) = match accesses::period(&hub, &request) {
                    Ok(parsed) => parsed,
                    Err(mut unreadable) => {
                        unreadable.asked.officer = reader;
                        return Err(rejected(&hub, &call, *unreadable).await);
                    }
                };
                let times = request::times(&request.from, &request.until);
                let mut reading = match (&reader, citizen) {
                    (Some(reader), _) => permitted(&hub, &call, reader, times).await?,
                    (None, citizen) => accesses::by_subject(&call, &request, citizen, times)?,
                };
                reading.subjects = period.subjects.first().cloned().into_iter().collect();
                let page = accesses::list(&hub, &request, &period, page_size).await;
                record_reading(&hub, &call, reading, page, "page_token").await
            })
            .await
    }

    async fn get_entry(&self, request: Request<wire::GetEntryRequest>) -> Result<Response<wire::LoggedEntry>, Status> {
        let (call, span) = self.begin("lienthong.audit.v1.AuditService/GetEntry", &request)?;
        let (hub, proof) = (self.current.hub(), call::proof(&request));
        self.limit
            .to_the_end(&call.caller.clone(), call.deadline, span, async move {
                let request = request.into_inner();
                let reader = reader(&hub, &call, request.reader, proof.as_deref()).await?;
                let mut asked = vec![detail("log_index", request.log_index)];
                asked.extend(origin_detail(&request.log_origin));
                let reading = permitted(&hub, &call, &reader, asked).await?;
                let entry = hub.audit.entry_of(&request.log_origin, request.log_index).await;
                record_reading(&hub, &call, reading, entry, "log_index").await
            })
            .await
    }

    async fn get_checkpoint(
        &self,
        request: Request<wire::GetCheckpointRequest>,
    ) -> Result<Response<wire::Checkpoint>, Status> {
        let (_call, _span) = self.begin("lienthong.audit.v1.AuditService/GetCheckpoint", &request)?;
        let log = self.log(&request.into_inner().log_origin).await?;
        let mut checkpoint = published(&log);
        if log.verifier() == self.current.hub().audit.verifier() {
            let published = self.published.borrow();
            checkpoint.published_note =
                published.checkpoint.as_ref().map_or_else(String::new, |published| published.note.clone());
            checkpoint.cosignatures_lacking = u32::try_from(published.cosignatures_lacking).unwrap_or(u32::MAX);
        }
        Ok(Response::new(checkpoint))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<wire::GetInclusionProofRequest>,
    ) -> Result<Response<wire::InclusionProof>, Status> {
        let (_call, _span) = self.begin("lienthong.audit.v1.AuditService/GetInclusionProof", &request)?;
        let wire::GetInclusionProofRequest { log_index, tree_size, log_origin } = request.into_inner();
        let log = self.log(&log_origin).await?;
        let proof = log.inclusion_proof(log_index, or_newest(tree_size, &log)).await;
        Ok(Response::new(proof.map_err(|error| from_log("log_index", &error))?))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<wire::GetConsistencyProofRequest>,
    ) -> Result<Response<wire::ConsistencyProof>, Status> {
        let (_call, _span) = self.begin("lienthong.audit.v1.AuditService/GetConsistencyProof", &request)?;
        let wire::GetConsistencyProofRequest { from_tree_size, to_tree_size, log_origin } = request.into_inner();
        let log = self.log(&log_origin).await?;
        let to_tree_size = or_newest(to_tree_size, &log);
        let hashes = log.consistency_proof(from_tree_size, to_tree_size).await.map_err(|error| match error {
            AuditError::TreeSizeNotFound { .. } => wrong("to_tree_size", error.to_string()),
            AuditError::Proof(_) => wrong("from_tree_size", error.to_string()),
            error => from_log("from_tree_size", &error),
        })?;
        Ok(Response::new(wire::ConsistencyProof {
            from_tree_size,
            to_tree_size,
            hashes: hashes.iter().map(|hash| hash.to_vec()).collect(),
            checkpoint: (log.checkpoint().tree_size == to_tree_size).then(|| published(&log)),
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
            .to_the_end(&call.caller.clone(), call.deadline, span, async move {
                let request = request.into_inner();
                let reader = reader(&hub, &call, request.reader, proof.as_deref()).await?;
                let mut asked = vec![detail("from_index", request.from_index)];
                asked.extend(origin_detail(&request.log_origin));
                let mut reading = permitted(&hub, &call, &reader, asked).await?;
                let log = match hub.audit.log(&request.log_origin).await {
                    Ok(log) => log,
                    // Records the failure, and gives its status.
                    Err(error) => {
                        let failed =
                            record_reading::<wire::LoggedEntry>(&hub, &call, reading, Err(error), "log_origin");
                        return Err(failed.await.err().unwrap_or_else(|| wrong("log_origin", String::new())));
                    }
                };
                reading.set_outcome(wire::entry::Outcome::Answered);
                hub.record(&call, reading).await.map_err(|error| status::from_call(&error))?;
                let caller = call.caller.clone();
                let entries = log
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

    /// The log of an origin, as of now.
    async fn log(&self, origin: &str) -> Result<LogView, Status> {
        self.current.hub().audit.log(origin).await.map_err(|error| from_log("log_origin", &error))
    }
}

pub(super) fn published(log: &LogView) -> wire::Checkpoint {
    wire::Checkpoint {
        note: log.checkpoint().note.clone(),
        verifier_key: log.verifier().to_string(),
        ..Default::default()
    }
}

/// The tree size asked for; 0 asks for the newest.
fn or_newest(tree_size: u64, log: &LogView) -> u64 {
    if tree_size == 0 { log.checkpoint().tree_size } else { tree_size }
}

fn origin_detail(origin: &str) -> Option<wire::Detail> {
    (!origin.is_empty()).then(|| request::recorded("log_origin", origin))
}

pub(crate) async fn reader(
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
pub(crate) async fn permitted(
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

pub(crate) fn detail(name: &str, value: impl ToString) -> wire::Detail {
    wire::Detail { name: name.to_owned(), value: value.to_string() }
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
        AuditError::EntryRemoved { .. } => status::plain(
            Code::NotFound,
            "ENTRY_REMOVED",
            &error.to_string(),
            "Nội dung mục nhật ký này đã được xoá khi hết thời hạn lưu trữ; mã băm và bằng chứng vẫn còn nguyên giá trị.",
        ),
        AuditError::LogNotFound { .. } => wrong("log_origin", error.to_string()),
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
        | AuditError::Timeout
        | AuditError::Address
        | AuditError::File { .. }
        | AuditError::InUse { .. }
        | AuditError::NotALog { .. }
        | AuditError::NewerSchema { .. }
        | AuditError::OlderSchema { .. }
        | AuditError::Origin { .. }
        | AuditError::Note(_)
        | AuditError::IndexBehind { .. }
        | AuditError::IndexDamaged => {
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
