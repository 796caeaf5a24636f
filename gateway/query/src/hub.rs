//! The request path.

use std::{sync::Arc, time::Duration};

use access::{AccessRequest, AccessSet, Action, Allowance, Permit};
use adapter_sdk::Behalf;
use aws_lc_rs::digest;
use chrono::Utc;
use prost::Message;
use proto::{
    FieldSet, RecordType, Schema,
    audit::v1::{self as log, entry},
    query::v1::{QueryResponse, Receipt, VerifyResponse},
};
use tokio::time::Instant;
use tracing::Instrument;

use crate::{
    assemble,
    error::{CallError, Failure},
    gather::{self, Gathered},
    meters::Stage,
    question::{Asked, Call, Inquiry, Question, VerifyQuestion},
    record,
    source::Asker,
    sources::Sources,
    verify,
};

/// Everything a call needs, as one consistent snapshot.
#[derive(Clone)]
pub struct Hub {
    /// Record types.
    pub schema: Arc<Schema>,
    /// Agreements, purposes and guardrails.
    pub access: Arc<AccessSet>,
    /// Databases.
    pub sources: Arc<Sources>,
    /// The log.
    pub audit: Arc<audit::AuditLog>,
    /// Hashes subjects' numbers for the log.
    pub hasher: Arc<audit::SubjectHasher>,
    /// After this time a subject sees an entry whose disclosure is delayed.
    pub disclosure_delay: Duration,
}

/// A response that carries proof of its recording.
pub trait Answered: Message + Sized {
    /// Adds the proof.
    fn set_receipt(&mut self, receipt: Receipt);
    /// Whether everything asked was answered.
    fn is_complete(&self) -> bool;
}

impl Answered for QueryResponse {
    fn set_receipt(&mut self, receipt: Receipt) {
        self.receipt = Some(receipt);
    }
    fn is_complete(&self) -> bool {
        self.complete
    }
}

impl Answered for VerifyResponse {
    fn set_receipt(&mut self, receipt: Receipt) {
        self.receipt = Some(receipt);
    }
    fn is_complete(&self) -> bool {
        self.complete
    }
}

impl Hub {
    /// Counts a call under the quotas that fit it, before anything is done for it. One that is used up refuses the call, and
    /// the refusal is recorded.
    pub async fn admit(
        &self,
        call: &Call,
        kind: entry::Kind,
        action: Action,
        question: &impl Inquiry,
    ) -> Result<Option<Allowance>, CallError> {
        let selections = question.asked_fields();
        match self.access.count(&self.request(call, question, action, &selections)) {
            Ok(allowance) => Ok(allowance),
            Err(exhausted) => {
                let exhausted = CallError::QuotaUsedUp { exhausted: Box::new(exhausted), receipt: None };
                Err(self.reject(call, kind, &question.asked(), exhausted).await)
            }
        }
    }

    /// Reads records about one subject.
    pub async fn query(&self, call: &Call, question: &Question) -> Result<QueryResponse, CallError> {
        self.query_as(call, question, Action::Query, entry::Kind::Query).await
    }

    /// Reads records as one item of a batch, which agreements grant separately.
    pub async fn batch_item(&self, call: &Call, question: &Question) -> Result<QueryResponse, CallError> {
        self.query_as(call, question, Action::Batch, entry::Kind::BatchItem).await
    }

    async fn query_as(
        &self,
        call: &Call,
        question: &Question,
        action: Action,
        kind: entry::Kind,
    ) -> Result<QueryResponse, CallError> {
        let mut entry = record::begin_entry(kind, call);
        record::note_question(&mut entry, question, &self.hasher);
        let answer = match self.ask(call, question, action, &mut entry).await {
            Ok((permit, mut gathered)) => {
                let _span = tracing::info_span!("assemble").entered();
                let _stage = Stage::begin("assemble");
                Ok(assemble::response(&self.sources, &permit, &mut gathered))
            }
            Err(error) => Err(error),
        };
        self.release(call, entry, answer).await
    }

    /// Says of each claim whether the registers agree.
    pub async fn verify(&self, call: &Call, question: &VerifyQuestion) -> Result<VerifyResponse, CallError> {
        let mut entry = record::begin_entry(entry::Kind::Verify, call);
        record::note_question(&mut entry, &question.question, &self.hasher);
        let answer = match self.ask(call, &question.question, Action::Verify, &mut entry).await {
            Ok((permit, gathered)) => {
                // A verdict is no value: nothing was released.
                entry.accesses.iter_mut().for_each(|access| access.fields_released.clear());
                Ok(verify::response(question, &permit, &gathered))
            }
            Err(error) => Err(error),
        };
        self.release(call, entry, answer).await
    }

    /// Records a call that was refused before it could be understood, and hands back the refusal with its receipt.
    pub async fn reject(&self, call: &Call, kind: entry::Kind, asked: &Asked, error: CallError) -> CallError {
        let mut entry = record::begin_entry(kind, call);
        record::note_asked(&mut entry, asked, &self.hasher);
        note_error(&mut entry, &error);
        match self.record(call, entry).await {
            Ok(receipt) => error.recorded(receipt),
            Err(unrecorded) => unrecorded,
        }
    }

    /// Makes an entry durable.
    pub async fn record(&self, call: &Call, mut entry: log::Entry) -> Result<Receipt, CallError> {
        record::stamp(&mut entry, call, self.disclosure_delay);
        let response_digest = entry.response_digest.clone();
        let _stage = Stage::begin("record");
        let appended = self.audit.append(entry).instrument(tracing::info_span!("record")).await?;
        Ok(Receipt {
            log_origin: self.audit.verifier().name().to_owned(),
            log_index: appended.log_index,
            leaf_hash: appended.leaf_hash.to_vec(),
            response_digest,
        })
    }

    /// Decides, then asks the sources for what may be released and nothing else.
    async fn ask(
        &self,
        call: &Call,
        question: &Question,
        action: Action,
        entry: &mut log::Entry,
    ) -> Result<(Permit, Gathered), CallError> {
        let permit = self.decide(call, question, action, entry)?;
        if Instant::now() >= call.deadline {
            return Err(CallError::DeadlineExceeded { receipt: None });
        }
        let stage = Stage::begin("fetch");
        let asker = asker(call, question);
        let gathered = gather::gather(&self.sources, &permit, &asker, &question.subject, call.source_deadline())
            .instrument(tracing::info_span!("fetch"))
            .await;
        drop(stage);
        record::note_sources(entry, &permit, &gathered, &self.hasher);
        match failed_requirement(question, &gathered) {
            Some((source_id, failure)) => Err(CallError::RequiredSource { source_id, failure, receipt: None }),
            None => Ok((permit, gathered)),
        }
    }

    pub(crate) fn decide(
        &self,
        call: &Call,
        question: &impl Inquiry,
        action: Action,
        entry: &mut log::Entry,
    ) -> Result<Permit, CallError> {
        let _span = tracing::info_span!("decide").entered();
        let _stage = Stage::begin("decide");
        let selections = question.asked_fields();
        match self.access.decide(&self.request(call, question, action, &selections)) {
            Ok(permit) => {
                record::note_permit(entry, &permit);
                Ok(permit)
            }
            Err(refusal) => {
                record::note_refusal(entry, &refusal);
                Err(CallError::Refused { refusal: Box::new(refusal), receipt: None })
            }
        }
    }

    fn request<'a>(
        &self,
        call: &'a Call,
        question: &'a impl Inquiry,
        action: Action,
        selections: &'a [(Arc<RecordType>, FieldSet)],
    ) -> AccessRequest<'a> {
        AccessRequest {
            caller: &call.caller,
            officer: Some(question.officer()),
            purpose_code: &question.purpose().code,
            dossier_number: question.purpose().dossier_number.as_deref(),
            action,
            selections,
            now: Utc::now(),
        }
    }

    /// **Invariant**: the only way out of a call. Nothing is returned, answer or error, before its entry is durable; when
    /// the log cannot record, the only thing returned is that.
    pub(crate) async fn release<R: Answered>(
        &self,
        call: &Call,
        mut entry: log::Entry,
        answer: Result<R, CallError>,
    ) -> Result<R, CallError> {
        let answer = match answer {
            Ok(_) if Instant::now() >= call.deadline => Err(CallError::DeadlineExceeded { receipt: None }),
            other => other,
        };
        match &answer {
            Ok(response) => {
                entry.response_digest = digest::digest(&digest::SHA256, &response.encode_to_vec()).as_ref().to_vec();
                entry.set_outcome(if response.is_complete() {
                    entry::Outcome::Answered
                } else {
                    entry::Outcome::Partial
                });
            }
            Err(error) => note_error(&mut entry, error),
        }
        let receipt = self.record(call, entry).await?;
        match answer {
            Ok(mut response) => {
                response.set_receipt(receipt);
                Ok(response)
            }
            Err(error) => Err(error.recorded(receipt)),
        }
    }
}

/// For whom a question is asked, as sources are told.
pub(crate) fn asker(call: &Call, question: &impl Inquiry) -> Asker {
    let behalf = Behalf {
        agency: call.caller.agency.to_string(),
        system: call.caller.system.clone(),
        purpose: question.purpose().code.clone(),
    };
    Asker { agency: call.caller.agency.clone(), behalf: Arc::new(behalf) }
}

/// An entry for a call without an answer says so; what had been decided stays, what had been released does not.
fn note_error(entry: &mut log::Entry, error: &CallError) {
    entry.set_outcome(match error {
        CallError::Invalid { .. } => entry::Outcome::Invalid,
        CallError::Refused { .. } | CallError::QuotaUsedUp { .. } => entry::Outcome::Refused,
        CallError::RequiredSource { .. } | CallError::DeadlineExceeded { .. } | CallError::NotRecorded(_) => {
            entry::Outcome::Failed
        }
    });
    entry.reason = error.reason().to_owned();
    for access in &mut entry.accesses {
        access.fields_released.clear();
    }
}

/// The first source the caller cannot do without that gave no answer, or was not asked because nothing it holds may be
/// released.
fn failed_requirement(question: &Question, gathered: &Gathered) -> Option<(String, Failure)> {
    question.required_sources.iter().find_map(|required| {
        let mut answers = gathered.answers.iter().filter(|answer| answer.source == *required).peekable();
        if answers.peek().is_none() {
            return Some((required.clone(), Failure::NOT_ASKED));
        }
        answers.find_map(|answer| {
            let failure = answer.result.as_ref().err().or(answer.unasked.as_ref())?;
            Some((required.clone(), failure.clone()))
        })
    })
}
