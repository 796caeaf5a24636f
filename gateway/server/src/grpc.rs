//! gRPC calls: the caller is known or told why not, a token is checked, and errors that nobody recorded are.

use std::{net::IpAddr, sync::Arc, time::Instant};

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use rustls::ServerConfig;
use tonic::{Code, Status, body::Body, service::Routes};
use tower::ServiceExt;

use crate::{
    admission::Limit,
    call::Timeouts,
    current::InForce,
    exemplars::TraceKept,
    identity::{IdentityError, Peer},
    listen::{Answer, Connected},
    metrics::{self, Methods},
    reflection,
    rejections::{self, Strangers},
    status,
    tls::Trust,
    tokens::{Proof, TokenError, Tokens},
};

/// Methods that a citizen's token opens.
const CITIZENS_METHODS: [&str; 1] = ["lienthong.audit.v1.AuditService/ListSubjectAccesses"];

/// Answers gRPC calls by their routes.
pub(crate) struct Calls {
    pub(crate) timeouts: Timeouts,
    pub(crate) methods: Methods,
    pub(crate) current: Arc<dyn InForce>,
    pub(crate) strangers: Strangers,
    pub(crate) limit: Limit,
    pub(crate) routes: Routes,
}

impl Answer for Calls {
    fn tls(trust: &Trust) -> Arc<ServerConfig> {
        trust.for_calls()
    }

    fn without_caller(&self, error: IdentityError, address: IpAddr) {
        tracing::warn!(client.address = %address, %error, "connection without a caller");
    }

    async fn answer(self: Arc<Self>, connected: Arc<Connected>, mut request: Request<Incoming>) -> Response<Body> {
        let peer = match &connected.peer {
            Ok(peer) => peer.clone(),
            Err(error) => {
                self.strangers.note(status::identity_reason(*error));
                return status::from_identity(*error).into_http();
            }
        };
        let path = request.uri().path().trim_start_matches('/').to_owned();
        let headers = request.headers().clone();
        let snapshot = self.current.snapshot();
        let hub = snapshot.as_ref().map(|snapshot| &snapshot.hub);
        if let Err(error) = connected.check(self.current.as_ref()) {
            let status = status::from_identity(error).into_http();
            return match hub {
                Some(hub) => rejections::record(hub, &peer, &path, &headers, self.timeouts, status).await,
                None => status,
            };
        }
        let received = Instant::now();
        if let Some(refusal) = self.limit.refusal(&peer.caller, &path) {
            metrics::answered(
                &self.methods,
                &path,
                peer.caller.agency.as_str(),
                refusal.code(),
                received.elapsed(),
                None,
            );
            return refusal.into_http();
        }
        if let Some(snapshot) = &snapshot {
            match proof(&snapshot.tokens, &headers, &peer, &path).await {
                Ok(None) => {}
                Ok(Some(proof)) => drop(request.extensions_mut().insert(Arc::new(proof))),
                Err(error) => {
                    let status = status::from_token(error).into_http();
                    return rejections::record(&snapshot.hub, &peer, &path, &headers, self.timeouts, status).await;
                }
            }
        }
        request.extensions_mut().insert(peer.clone());
        let trace = TraceKept::default();
        request.extensions_mut().insert(trace.clone());
        let routes = match &snapshot {
            Some(snapshot) if reflection::answers(&path) => snapshot.record_types.reflection.clone(),
            _ => self.routes.clone(),
        };
        let response = match routes.oneshot(request.map(Body::new)).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let response = match hub {
            Some(hub) => rejections::record(hub, &peer, &path, &headers, self.timeouts, response).await,
            None => response,
        };
        let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
        metrics::answered(&self.methods, &path, peer.caller.agency.as_str(), code, received.elapsed(), trace.get());
        response
    }
}

/// What the call's token proves, if it carries one.
pub(crate) async fn proof(
    tokens: &Tokens,
    headers: &HeaderMap,
    peer: &Peer,
    path: &str,
) -> Result<Option<Proof>, TokenError> {
    let proof = tokens.proof(headers, &peer.caller.agency).await?;
    let citizens = proof.as_ref().is_some_and(|proof| proof.officer().is_none());
    if citizens && !CITIZENS_METHODS.contains(&path) {
        return Err(TokenError::OfCitizen);
    }
    Ok(proof)
}
