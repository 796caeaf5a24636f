//! The listening side: TLS handshakes in their own tasks, the caller's identity parsed once per connection, HTTP/2, drain.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tonic::{Code, Status, body::Body, service::Routes};
use tower::ServiceExt;

use crate::{
    call::Timeouts,
    current::InForce,
    identity::{self, IdentityError, Peer},
    metrics::{self, Methods},
    reflection,
    rejections::{self, Strangers},
    status,
    tls::{self, PeerTrust},
    tokens::{Proof, TokenError, Tokens},
};

/// A connection whose certificate is no longer accepted is cut after this time, with the streams that are still on it.
const UNTRUSTED_GRACE: Duration = Duration::from_secs(2);

/// Calls of one connection that may be given up before they were looked at, beyond which the connection is cut: the usual 20
/// would cut that of a busy hub, with all calls on it, when a source beside it hangs.
const ABANDONED_CALLS_MAX: usize = 512;

/// How connections are treated.
pub(crate) struct Listening {
    pub(crate) trust_domain: String,
    pub(crate) handshake_timeout: Duration,
    pub(crate) connection_age_max: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) timeouts: Timeouts,
    pub(crate) current: Arc<dyn InForce>,
    pub(crate) methods: Methods,
    pub(crate) strangers: Strangers,
    pub(crate) routes: Routes,
}

/// Accepts until told to stop, then lets calls under way end within the shutdown timeout.
pub(crate) async fn run(listening: Arc<Listening>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: wait for connections to close rather than spin.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = told_to_stop(&mut stop) => break,
        };
        connections.spawn(connection(Arc::clone(&listening), stream, stop.clone()));
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(listening.shutdown_timeout, drained).await.is_err() {
        tracing::warn!("calls were still under way at the end of the shutdown timeout");
    }
}

async fn connection(listening: Arc<Listening>, stream: TcpStream, mut stop: watch::Receiver<bool>) {
    let Ok(address) = stream.peer_addr() else { return };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot turn off Nagle's algorithm");
    }
    let trust = listening.current.trust();
    let acceptor = TlsAcceptor::from(trust.server());
    let tls = match tokio::time::timeout(listening.handshake_timeout, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => {
            tracing::warn!(client.address = %address.ip(), %error, "TLS handshake failed");
            if let Some(reason) = tls::refused_certificate(&error) {
                listening.strangers.note(reason);
            }
            return;
        }
        Err(_) => {
            tracing::warn!(client.address = %address.ip(), "TLS handshake took too long");
            return;
        }
    };
    let peer = identity::peer(tls.get_ref().1.peer_certificates(), &listening.trust_domain);
    if let Err(error) = &peer {
        tracing::warn!(client.address = %address.ip(), %error, "connection without a caller");
    }
    let trusted = PeerTrust::new(tls.get_ref().1.peer_certificates(), trust).map(Arc::new);
    let current = Arc::clone(&listening.current);
    let lost = {
        let trusted = trusted.clone();
        async move {
            match trusted {
                Some(trusted) => trusted.lost(current.as_ref()).await,
                None => std::future::pending().await,
            }
            tokio::time::sleep(UNTRUSTED_GRACE).await;
        }
    };
    let (age_max, grace) = (listening.connection_age_max, listening.shutdown_timeout);
    let service =
        tower::service_fn(move |request| answer(Arc::clone(&listening), peer.clone(), trusted.clone(), request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .max_pending_accept_reset_streams(ABANDONED_CALLS_MAX)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .timer(hyper_util::rt::TokioTimer::new());
    let serving = builder.serve_connection(TokioIo::new(tls), TowerToHyperService::new(service));
    tokio::pin!(serving);
    let aged = tokio::time::sleep(age_max);
    tokio::pin!(aged);
    let until_the_end = async {
        tokio::select! {
            ended = serving.as_mut() => ended,
            () = aged => {
                serving.as_mut().graceful_shutdown();
                // A stream may go on for as long as the hub would wait at its own stop; then the connection is cut.
                tokio::time::timeout(grace, serving).await.unwrap_or(Ok(()))
            }
            () = told_to_stop(&mut stop) => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        }
    };
    let ended = tokio::select! {
        ended = until_the_end => ended,
        () = lost => {
            tracing::warn!(client.address = %address.ip(), "connection cut: its certificate is no longer accepted");
            return;
        }
    };
    if let Err(error) = ended {
        tracing::debug!(client.address = %address.ip(), %error, "connection broke");
    }
}

/// Waits until the hub is told to stop, or the one who would tell is gone.
pub(crate) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stopped| *stopped).await);
}

/// Methods that a citizen's token opens.
const CITIZENS_METHODS: [&str; 1] = ["lienthong.audit.v1.AuditService/ListSubjectAccesses"];

/// What the call's token proves, if it carries one.
async fn proof(tokens: &Tokens, headers: &HeaderMap, peer: &Peer, path: &str) -> Result<Option<Proof>, TokenError> {
    let proof = tokens.proof(headers, &peer.caller.agency).await?;
    let citizens = proof.as_ref().is_some_and(|proof| proof.officer().is_none());
    if citizens && !CITIZENS_METHODS.contains(&path) {
        return Err(TokenError::OfCitizen);
    }
    Ok(proof)
}

async fn answer(
    listening: Arc<Listening>,
    peer: Result<Peer, IdentityError>,
    trusted: Option<Arc<PeerTrust>>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let peer = match peer {
        Ok(peer) => peer,
        Err(error) => {
            listening.strangers.note(status::identity_reason(error));
            return Ok(status::from_identity(error).into_http());
        }
    };
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let headers = request.headers().clone();
    let snapshot = listening.current.snapshot();
    let hub = snapshot.as_ref().map(|snapshot| &snapshot.hub);
    if let Some(Err(error)) = trusted.map(|trusted| trusted.check(listening.current.as_ref())) {
        let status = status::from_identity(error).into_http();
        return Ok(match hub {
            Some(hub) => rejections::record(hub, &peer, &path, &headers, listening.timeouts, status).await,
            None => status,
        });
    }
    if let Some(snapshot) = &snapshot {
        match proof(&snapshot.tokens, &headers, &peer, &path).await {
            Ok(None) => {}
            Ok(Some(proof)) => drop(request.extensions_mut().insert(Arc::new(proof))),
            Err(error) => {
                let status = status::from_token(error).into_http();
                return Ok(rejections::record(&snapshot.hub, &peer, &path, &headers, listening.timeouts, status).await);
            }
        }
    }
    request.extensions_mut().insert(peer.clone());
    let received = Instant::now();
    let routes = match &snapshot {
        Some(snapshot) if reflection::answers(&path) => snapshot.record_types.reflection.clone(),
        _ => listening.routes.clone(),
    };
    let response = match routes.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let response = match hub {
        Some(hub) => rejections::record(hub, &peer, &path, &headers, listening.timeouts, response).await,
        None => response,
    };
    let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
    metrics::answered(&listening.methods, &path, peer.caller.agency.as_str(), code, received.elapsed());
    Ok(response)
}
