//! The listening side: TLS handshakes in their own tasks, the caller's identity parsed once per connection, HTTP, drain.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;

use crate::{
    current::InForce,
    identity::{self, IdentityError, Peer},
    rejections::Strangers,
    tls::{self, PeerTrust, Trust},
};

/// A connection whose certificate is no longer accepted is cut after this time, with the streams that are still on it.
const UNTRUSTED_GRACE: Duration = Duration::from_secs(2);

/// Calls of one connection that may be given up before they were looked at, beyond which the connection is cut: the usual 20
/// would cut that of a busy hub, with all calls on it, when a source beside it hangs.
const ABANDONED_CALLS_MAX: usize = 512;

/// How connections are treated.
#[derive(Clone)]
pub(crate) struct Listening {
    pub(crate) trust_domain: String,
    pub(crate) handshake_timeout: Duration,
    pub(crate) connection_age_max: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) current: Arc<dyn InForce>,
    pub(crate) strangers: Strangers,
}

/// What stands behind a listening address.
pub(crate) trait Answer: Send + Sync + 'static {
    /// How handshakes are done, with the certificates in force.
    fn tls(trust: &Trust) -> Arc<ServerConfig>;

    /// Told of a connection that has no caller. Its requests are answered nevertheless.
    fn without_caller(&self, error: IdentityError, address: std::net::IpAddr);

    /// Answers one request of a connection.
    fn answer(
        self: Arc<Self>,
        connected: Arc<Connected>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Who is at the other end of a connection.
pub(crate) struct Connected {
    pub(crate) peer: Result<Peer, IdentityError>,
    trusted: Option<PeerTrust>,
}

impl Connected {
    /// Whether the certificate, if there is one, is still accepted.
    pub(crate) fn check(&self, current: &dyn InForce) -> Result<(), IdentityError> {
        self.trusted.as_ref().map_or(Ok(()), |trusted| trusted.check(current))
    }

    /// Waits until the certificate is no longer accepted.
    async fn lost(&self, current: &dyn InForce) {
        match &self.trusted {
            Some(trusted) => trusted.lost(current).await,
            None => std::future::pending().await,
        }
    }
}

/// Accepts until told to stop, then lets requests under way end within the shutdown timeout.
pub(crate) async fn run<A: Answer>(
    listening: Listening,
    answerer: Arc<A>,
    listener: TcpListener,
    stop: watch::Receiver<bool>,
) {
    let listening = Arc::new(listening);
    let stopping = stop.clone();
    accept(listener, listening.shutdown_timeout, stop, |stream| {
        connection(Arc::clone(&listening), Arc::clone(&answerer), stream, stopping.clone())
    })
    .await;
}

/// Accepts connections and serves each in a task of its own, until told to stop; then lets them end within a time.
pub(crate) async fn accept<C: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    drain: Duration,
    mut stop: watch::Receiver<bool>,
    mut connection: impl FnMut(TcpStream) -> C,
) {
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
        connections.spawn(connection(stream));
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(drain, drained).await.is_err() {
        tracing::warn!("calls were still under way at the end of the shutdown timeout");
    }
}

async fn connection<A: Answer>(
    listening: Arc<Listening>,
    answerer: Arc<A>,
    stream: TcpStream,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(address) = stream.peer_addr() else { return };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot turn off Nagle's algorithm");
    }
    let trust = listening.current.trust();
    let acceptor = TlsAcceptor::from(A::tls(&trust));
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
    let chain = tls.get_ref().1.peer_certificates();
    let connected = Arc::new(Connected {
        peer: identity::peer(chain, &listening.trust_domain),
        trusted: PeerTrust::new(chain, trust),
    });
    if let Err(error) = connected.peer {
        answerer.without_caller(error, address.ip());
    }
    let lost = {
        let (connected, listening) = (Arc::clone(&connected), Arc::clone(&listening));
        async move {
            connected.lost(listening.current.as_ref()).await;
            tokio::time::sleep(UNTRUSTED_GRACE).await;
        }
    };
    let (age_max, grace) = (listening.connection_age_max, listening.shutdown_timeout);
    let service = tower::service_fn(move |request| {
        let answer = Arc::clone(&answerer).answer(Arc::clone(&connected), request);
        async { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .max_pending_accept_reset_streams(ABANDONED_CALLS_MAX)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .timer(TokioTimer::new());
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
