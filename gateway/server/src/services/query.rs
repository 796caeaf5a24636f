//! `QueryService`.

use std::sync::Arc;

use access::{Action, Allowance};
use futures::{Stream, StreamExt, stream};
use proto::{
    audit::v1::entry::Kind,
    query::v1::{self as wire, query_service_server::QueryService},
};
use query::{Asked, Call, CallError, Hub, Stage};
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::{
    admission::Limit,
    call,
    current::Current,
    listen::told_to_stop,
    metrics,
    parse::{self, Unreadable},
    status,
    tokens::Proof,
};

pub(crate) struct QueryHandler {
    pub(crate) current: Arc<Current>,
    pub(crate) timeouts: call::Timeouts,
    pub(crate) batch_concurrency_max: usize,
    pub(crate) limit: Limit,
    pub(crate) stop: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl QueryService for QueryHandler {
    async fn query(&self, request: Request<wire::QueryRequest>) -> Result<Response<wire::QueryResponse>, Status> {
        let (call, span) = call::begin(
            "lienthong.query.v1.QueryService/Query",
            request.metadata(),
            request.extensions(),
            self.timeouts,
        )?;
        let (hub, proof) = (self.current.hub(), call::proof(&request));
        self.limit
            .to_the_end(
                &call.caller.clone(),
                call.deadline,
                span,
                Box::pin(async move {
                    let question =
                        match validate(|| parse::question(&hub, &call, request.into_inner(), proof.as_deref())) {
                            Ok(question) => question,
                            Err(unreadable) => return refused(invalid(&hub, &call, Kind::Query, *unreadable).await),
                        };
                    match hub.admit(&call, Kind::Query, Action::Query, &question).await {
                        Ok(allowance) => answered(hub.query(&call, &question).await, allowance),
                        Err(error) => refused(error),
                    }
                }),
            )
            .await
    }

    async fn verify(&self, request: Request<wire::VerifyRequest>) -> Result<Response<wire::VerifyResponse>, Status> {
        let (call, span) = call::begin(
            "lienthong.query.v1.QueryService/Verify",
            request.metadata(),
            request.extensions(),
            self.timeouts,
        )?;
        let (hub, proof) = (self.current.hub(), call::proof(&request));
        self.limit
            .to_the_end(
                &call.caller.clone(),
                call.deadline,
                span,
                Box::pin(async move {
                    let verify = match validate(|| {
                        parse::verify_question(&hub, &call, request.into_inner(), proof.as_deref())
                    }) {
                        Ok(verify) => verify,
                        Err(unreadable) => return refused(invalid(&hub, &call, Kind::Verify, *unreadable).await),
                    };
                    match hub.admit(&call, Kind::Verify, Action::Verify, &verify.question).await {
                        Ok(allowance) => answered(hub.verify(&call, &verify).await, allowance),
                        Err(error) => refused(error),
                    }
                }),
            )
            .await
    }

    async fn search(&self, request: Request<wire::SearchRequest>) -> Result<Response<wire::SearchResponse>, Status> {
        let (call, span) = call::begin(
            "lienthong.query.v1.QueryService/Search",
            request.metadata(),
            request.extensions(),
            self.timeouts,
        )?;
        let (hub, proof) = (self.current.hub(), call::proof(&request));
        self.limit
            .to_the_end(
                &call.caller.clone(),
                call.deadline,
                span,
                Box::pin(async move {
                    let read = || parse::search_question(&hub, &call, request.into_inner(), proof.as_deref());
                    let question = match validate(read) {
                        Ok(question) => question,
                        Err(unreadable) => return refused(invalid(&hub, &call, Kind::Search, *unreadable).await),
                    };
                    match hub.admit(&call, Kind::Search, Action::Search, &question).await {
                        Ok(allowance) => answered(hub.search(&call, &question).await, allowance),
                        Err(error) => refused(error),
                    }
                }),
            )
            .await
    }

    type BatchQueryStream = std::pin::Pin<Box<dyn Stream<Item = Result<wire::BatchQueryResponse, Status>> + Send>>;

    async fn batch_query(
        &self,
        request: Request<Streaming<wire::BatchQueryRequest>>,
    ) -> Result<Response<Self::BatchQueryStream>, Status> {
        let frame = call::begin(
            "lienthong.query.v1.QueryService/BatchQuery",
            request.metadata(),
            request.extensions(),
            self.timeouts,
        )?;
        let (call, span) = frame;
        let proof = call::proof(&request);
        let current = Arc::clone(&self.current);
        let timeout = self.timeouts.default;
        // A deadline the caller set holds for the whole stream; without one, each item has the usual time.
        let end = call.deadline_given.then_some(call.deadline);
        let mut stop = self.stop.clone();
        // A stream never ends by itself; it must not hold up the hub's stopping. Items under way are answered.
        let items = ended_by_error(request.into_inner()).take_until(async move { told_to_stop(&mut stop).await });
        let limit = self.limit.clone();
        let answers = items
            .map(move |item| {
                // What is in force when the item comes: a long stream must not outlive a reload.
                let (hub, mut call, span) = (current.hub(), call.clone(), span.clone());
                call.received = tokio::time::Instant::now();
                call.deadline = end.map_or(call.received + timeout, |end| end.min(call.received + timeout));
                let proof = proof.clone();
                let limit = limit.clone();
                async move {
                    let caller = call.caller.clone();
                    let answer = || Box::pin(async move { batch_item(&hub, &call, item, proof.as_deref()).await });
                    limit.in_its_turn(&caller, span, answer).await
                }
            })
            .buffer_unordered(self.batch_concurrency_max);
        Ok(Response::new(Box::pin(answers)))
    }
}

/// A stream's items up to its first error, which is passed on as the last.
fn ended_by_error(
    items: Streaming<wire::BatchQueryRequest>,
) -> impl Stream<Item = Result<wire::BatchQueryRequest, Status>> + Send {
    stream::unfold(Some(items), |items| async move {
        let mut items = items?;
        match items.message().await {
            Ok(Some(item)) => Some((Ok(item), Some(items))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

async fn batch_item(
    hub: &Hub,
    call: &Call,
    item: Result<wire::BatchQueryRequest, Status>,
    proof: Option<&Proof>,
) -> Result<wire::BatchQueryResponse, Status> {
    let item = match item {
        Ok(item) => item,
        Err(error) if error.code() == tonic::Code::Cancelled => return Err(error),
        Err(_) => {
            let violation = query::Violation {
                field: "item".to_owned(),
                english: "is too large or not a valid message; the stream ends here".to_owned(),
                vietnamese: "quá lớn hoặc không phải thông điệp hợp lệ; luồng dừng tại đây".to_owned(),
            };
            let unreadable = Unreadable { violations: vec![violation], asked: Asked::default() };
            return Err(status::from_call(&invalid(hub, call, Kind::RejectedCall, unreadable).await));
        }
    };
    let (item_id, parsed) = validate(|| parse::batch_item(hub, call, item, proof));
    let answer = match parsed {
        Ok(question) => match hub.admit(call, Kind::BatchItem, Action::Batch, &question).await {
            Ok(_) => hub.batch_item(call, &question).await,
            Err(error) => Err(error),
        },
        Err(unreadable) => Err(invalid(hub, call, Kind::BatchItem, *unreadable).await),
    };
    let code = answer.as_ref().err().map_or(Code::Ok, |error| status::told(error).code);
    metrics::item_answered(call.caller.agency.as_str(), code);
    let result = match answer {
        Ok(response) => wire::batch_query_response::Result::Response(response),
        Err(error) => {
            let told = status::told(&error);
            wire::batch_query_response::Result::Error(wire::BatchError {
                code: told.code.into(),
                reason: error.reason().to_owned(),
                message_vi: told.vietnamese,
                message_en: told.english,
                receipt: error.receipt().cloned(),
            })
        }
    };
    Ok(wire::BatchQueryResponse { item_id, result: Some(result) })
}

/// An answer, with what is left of the caller's quota.
fn answered<M>(answer: Result<M, CallError>, allowance: Option<Allowance>) -> Result<Response<M>, Status> {
    let mut response = answer.map(Response::new).map_err(|error| status::from_call(&error))?;
    if let Some(allowance) = allowance {
        status::add_allowance(response.metadata_mut(), &allowance);
    }
    Ok(response)
}

fn refused<M>(error: CallError) -> Result<Response<M>, Status> {
    Err(status::from_call(&error))
}

/// Reads a request in a span of its own.
fn validate<T>(read: impl FnOnce() -> T) -> T {
    let _stage = Stage::begin("validate");
    tracing::info_span!("validate").in_scope(read)
}

async fn invalid(hub: &Hub, call: &Call, kind: Kind, unreadable: Unreadable) -> CallError {
    let Unreadable { violations, asked } = unreadable;
    hub.reject(call, kind, &asked, CallError::Invalid { violations, receipt: None }).await
}
