//! `AdapterService`: a source of this process for hubs elsewhere, within what its owner allows them.

use std::sync::Arc;

use adapter_sdk::RecordDescription;
use proto::adapter::v1::{self as wire, adapter_service_server::AdapterService};
use query::Call;
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};
use tracing::Instrument;

use crate::{
    admission::Limit,
    call,
    lending::{Answer, Lending, Question, Verb},
    remote::convert,
};

pub(crate) struct AdapterHandler {
    pub(crate) lending: Arc<Lending>,
    pub(crate) timeouts: call::Timeouts,
    pub(crate) limit: Limit,
}

#[tonic::async_trait]
impl AdapterService for AdapterHandler {
    async fn describe(
        &self,
        request: Request<wire::DescribeRequest>,
    ) -> Result<Response<wire::DescribeResponse>, Status> {
        let (call, _span) = self.begin("lienthong.adapter.v1.AdapterService/Describe", &request)?;
        let lent = self.lending.lent();
        lent.on_the_list(&call).map_err(|error| convert::status(&error))?;
        let fields = |verb| {
            let (lent, caller) = (&lent, &call.caller);
            move |record: &RecordDescription| lent.allowed.describable(caller, verb, record)
        };
        Ok(Response::new(convert::described(lent.adapter.describe(), fields(Verb::Fetch), fields(Verb::Search))))
    }

    async fn fetch(&self, request: Request<wire::FetchRequest>) -> Result<Response<wire::FetchResponse>, Status> {
        self.answer("lienthong.adapter.v1.AdapterService/Fetch", request).await
    }

    async fn search(&self, request: Request<wire::SearchRequest>) -> Result<Response<wire::SearchResponse>, Status> {
        self.answer("lienthong.adapter.v1.AdapterService/Search", request).await
    }

    async fn ready(&self, request: Request<wire::ReadyRequest>) -> Result<Response<wire::ReadyResponse>, Status> {
        let (call, _span) = self.begin("lienthong.adapter.v1.AdapterService/Ready", &request)?;
        let lent = self.lending.lent();
        let ready = async {
            lent.on_the_list(&call)?;
            lent.adapter.ready().await
        };
        ready.await.map(|()| Response::new(wire::ReadyResponse {})).map_err(|error| convert::status(&error))
    }
}

impl AdapterHandler {
    fn begin<T>(&self, method: &'static str, request: &Request<T>) -> Result<(Call, tracing::Span), Status> {
        call::begin(method, request.metadata(), request.extensions(), self.timeouts)
    }

    /// Answers a question, recorded where its owner keeps a record.
    async fn answer<Q: Into<Question>, A: From<Answer>>(
        &self,
        method: &'static str,
        request: Request<Q>,
    ) -> Result<Response<A>, Status> {
        let (call, span) = self.begin(method, &request)?;
        let lent = self.lending.lent();
        let asked = request.into_inner().into();
        let answer = if lent.record.is_none() {
            // Nothing is to be recorded: a caller who goes ends the work by that.
            lent.answer(&call, &asked).instrument(span).await.map_err(|error| convert::status(&error))?
        } else {
            // Dropped with this call when its caller goes: the work then ends, and that is recorded.
            let (_waiting, gone) = oneshot::channel::<()>();
            let (caller, deadline) = (call.caller.clone(), call.deadline);
            let work = async move { lent.recorded(&call, &asked, gone).await.map_err(|error| convert::status(&error)) };
            self.limit.to_the_end(&caller, deadline, span, Box::pin(work)).await?
        };
        Ok(Response::new(answer.into()))
    }
}
