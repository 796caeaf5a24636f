//! `OperatorService`: what operators do to a running hub. Every call is recorded.

use std::sync::Arc;

use chrono::Utc;
use proto::{
    audit::v1::entry::{Kind, Outcome},
    operator::v1::{self as wire, operator_service_server::OperatorService},
};
use query::CallError;
use tokio::sync::{mpsc, oneshot};
use tonic::{Code, Request, Response, Status};

use crate::{admission::Limit, call, current::Current, parse, reload, status};

pub(crate) struct OperatorHandler {
    pub(crate) current: Arc<Current>,
    pub(crate) timeouts: call::Timeouts,
    pub(crate) limit: Limit,
    pub(crate) reloads: mpsc::Sender<reload::Request>,
}

#[tonic::async_trait]
impl OperatorService for OperatorHandler {
    async fn reload(&self, request: Request<wire::ReloadRequest>) -> Result<Response<wire::ReloadResponse>, Status> {
        let method = "lienthong.operator.v1.OperatorService/Reload";
        let (call, span) = call::begin(method, request.metadata(), request.extensions(), self.timeouts)?;
        let (hub, proof, reloads) = (self.current.hub(), call::proof(&request), self.reloads.clone());
        self.limit
            .to_the_end(&call.caller.clone(), call.deadline, span, async move {
                let officer = match parse::reader("officer", request.into_inner().officer, proof.as_deref()) {
                    Ok(officer) => officer,
                    Err(unreadable) => {
                        let error = CallError::Invalid { violations: unreadable.violations, receipt: None };
                        let error = hub.reject(&call, Kind::HubEvent, &unreadable.asked, error).await;
                        return Err(status::from_call(&error));
                    }
                };
                let permit = match hub.access.operate(&call.caller, Some(&officer), Utc::now()) {
                    Ok(permit) => permit,
                    Err(refusal) => {
                        let mut entry = query::begin_entry(Kind::HubEvent, &call);
                        entry.officer = Some(query::officer(&officer));
                        entry.set_outcome(Outcome::Refused);
                        entry.reason.clone_from(&refusal.reason);
                        let receipt = hub.record(&call, entry).await.map_err(|error| status::from_call(&error))?;
                        let receipt = Some(Box::new(receipt));
                        return Err(status::from_call(&CallError::Refused { refusal: Box::new(refusal), receipt }));
                    }
                };
                let (answer, outcome) = oneshot::channel();
                reloads.send(reload::Request { call, officer, permit, answer }).await.map_err(|_| stopping())?;
                match outcome.await.map_err(|_| stopping())? {
                    Ok(reloaded) => Ok(Response::new(response(reloaded))),
                    Err(refused) => Err(status::with_log_index(not_reloaded(&refused.problem), refused.log_index)),
                }
            })
            .await
    }
}

fn response(reloaded: reload::Reloaded) -> wire::ReloadResponse {
    let in_force = reloaded.in_force.into_iter();
    let in_force =
        in_force.map(|(what, digest, changed)| wire::InForce { what: what.to_owned(), digest, changed }).collect();
    wire::ReloadResponse { log_index: reloaded.log_index, in_force }
}

fn not_reloaded(problem: &str) -> Status {
    let english = format!("nothing was reloaded, what was in force stays: {problem}");
    let vietnamese = format!("Không nạp lại được, cấu hình đang dùng được giữ nguyên: {problem}");
    status::plain(Code::FailedPrecondition, "RELOAD_REFUSED", &english, &vietnamese)
}

fn stopping() -> Status {
    status::plain(Code::Unavailable, "STOPPING", "the hub is stopping", "Trục liên thông đang dừng.")
}
