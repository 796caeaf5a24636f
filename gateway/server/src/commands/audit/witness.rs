//! `lienthong audit witness`: a small server for an office that is independent of the hub's. It answers `POST
//! /add-checkpoint` as C2SP `tlog-witness` has it, and nothing else.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail, ensure};
use audit::{
    KeyHistory, SigningKey,
    witness::{AddCheckpoint, Refusal, Witness as Memory},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs as provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    commands::serve::Told,
    config::TelemetryConfig,
    listen::{self, told_to_stop},
    telemetry::Telemetry,
};

/// Largest request: 63 hashes, and a checkpoint with some dozens of signatures.
const REQUEST_BYTES_MAX: usize = 128 * 1024;
/// Time for a TLS handshake, and for a request to arrive.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time for requests under way to end when told to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// Media type of the tree size that is expected instead of the one stated.
const SIZE_TYPE: HeaderValue = HeaderValue::from_static("text/x.tlog.size");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../../deploy/help/audit-witness.txt"))]
pub(crate) struct Witness {
    /// Configuration: TOML with listen, state, signing_key, [tls] and [[logs]].
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Begin: make the folder in which the witness remembers. Without this a missing folder is an error, because a witness that
    /// forgot what it cosigned would cosign a fork.
    #[arg(long)]
    new: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Address and port; port 0 takes a free one. Without `tls` a loopback address: a proxy stands before it.
    listen: SocketAddr,
    /// Folder in which it remembers what it cosigned.
    state: PathBuf,
    /// File with its signing key (`lienthong audit keygen --for witness`).
    signing_key: PathBuf,
    /// Its TLS certificate and key.
    tls: Option<Tls>,
    /// The logs it follows.
    logs: Vec<Log>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    /// PEM file: certificate, then its chain.
    certificate: PathBuf,
    /// PEM file: the key of the certificate.
    private_key: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    /// Public keys, `name+hash+key`, each with the tree sizes it signs for where it does not sign for all.
    keys: Vec<String>,
    /// First line of its checkpoints; by default the name of its keys.
    origin: Option<String>,
}

impl Log {
    fn load(&self) -> anyhow::Result<KeyHistory> {
        let keys = KeyHistory::parse(&self.keys.join("\n"))?;
        Ok(match &self.origin {
            Some(origin) => KeyHistory::new(origin, keys.keys().to_vec()),
            None => keys,
        })
    }
}

impl Witness {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let text = std::fs::read_to_string(&self.config)
            .with_context(|| format!("cannot read configuration {}", self.config.display()))?;
        let config: Config =
            toml::from_str(&text).with_context(|| format!("configuration {} is not valid", self.config.display()))?;
        let base = self.config.parent().unwrap_or(Path::new("")).to_owned();
        let _telemetry = Telemetry::start(&TelemetryConfig::default())?;
        let tls = match &config.tls {
            Some(tls) => Some(server_config(&base, tls)?),
            None if config.listen.ip().is_loopback() => None,
            None => bail!("without [tls] a witness listens on a loopback address only, behind a proxy"),
        };
        ensure!(!config.logs.is_empty(), "name at least one log to follow");
        let logs = config.logs.iter().map(Log::load).collect::<anyhow::Result<Vec<_>>>()?;
        let state = base.join(&config.state);
        if self.new {
            std::fs::create_dir(&state).with_context(|| format!("cannot make {}", state.display()))?;
        }
        ensure!(state.is_dir(), "{} is not there: --new begins a new witness", state.display());
        let memory = Memory::open(&state, SigningKey::load(&base.join(&config.signing_key))?, logs)?;
        for (origin, newest) in memory.newest() {
            let tree_size = newest.map_or(0, |newest| newest.tree_size);
            tracing::info!(lienthong.log = origin, tree_size, "follows");
        }
        let told = Told::listen()?;
        let listener =
            TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
        tracing::info!(key = %memory.verifier(), address = %listener.local_addr()?, "witness");
        let (stop, stopped) = watch::channel(false);
        let (memory, stopping) = (Arc::new(memory), stopped.clone());
        let serving = tokio::spawn(listen::accept(listener, DRAIN, stopped, move |stream| {
            let (memory, tls, stop) = (Arc::clone(&memory), tls.clone(), stopping.clone());
            async move {
                match tls {
                    None => serve(memory, stream, stop).await,
                    Some(tls) => match tokio::time::timeout(PATIENCE, TlsAcceptor::from(tls).accept(stream)).await {
                        Ok(Ok(stream)) => serve(memory, stream, stop).await,
                        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                        Err(_) => tracing::debug!("TLS handshake took too long"),
                    },
                }
            }
        }));
        told.wait().await;
        stop.send_replace(true);
        serving.await?;
        Ok(ExitCode::SUCCESS)
    }
}

fn server_config(base: &Path, tls: &Tls) -> anyhow::Result<Arc<ServerConfig>> {
    let (certificate, key) = (base.join(&tls.certificate), base.join(&tls.private_key));
    let chain = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read certificate {}", certificate.display()))?;
    let key =
        PrivateKeyDer::from_pem_file(&key).with_context(|| format!("cannot read private key {}", key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .context("no usable TLS version")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("certificate and private key do not fit together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Serves one connection, which is kept open between requests.
async fn serve(
    memory: Arc<Memory>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut stop: watch::Receiver<bool>,
) {
    let service = hyper::service::service_fn(move |request| {
        let memory = Arc::clone(&memory);
        async move { Ok::<_, std::convert::Infallible>(answer(&memory, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE * 12);
    builder.http2().timer(TokioTimer::new());
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = told_to_stop(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection broke");
    }
}

async fn answer(memory: &Arc<Memory>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/add-checkpoint" {
        return text(StatusCode::NOT_FOUND, "a witness answers POST /add-checkpoint");
    }
    if request.method() != Method::POST {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "a witness answers POST /add-checkpoint");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let body = Limited::new(request.into_body(), REQUEST_BYTES_MAX).collect();
    let Ok(Ok(body)) = tokio::time::timeout(PATIENCE, body).await else {
        return text(StatusCode::BAD_REQUEST, "the request is too long, or took too long");
    };
    let body = body.to_bytes();
    let Some(asked) = std::str::from_utf8(&body).ok().and_then(AddCheckpoint::parse) else {
        return refused(&Refusal::Malformed);
    };
    let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "the clock of this witness is wrong");
    };
    let (memory, old_size) = (Arc::clone(memory), asked.old_size);
    // Deciding ends with a file being written and synchronised.
    match tokio::task::spawn_blocking(move || memory.add_checkpoint(&asked, now.as_secs())).await {
        Ok(Ok(signature)) => {
            tracing::debug!(old_size, "cosigned");
            text(StatusCode::OK, &signature.to_string())
        }
        Ok(Err(refusal)) => refused(&refusal),
        Err(error) => {
            tracing::error!(%error, "cosigning ended abnormally");
            text(StatusCode::INTERNAL_SERVER_ERROR, "this witness failed")
        }
    }
}

/// The answer C2SP `tlog-witness` gives to each refusal. What may be proof of a log's misbehaviour is said.
fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let code = match refusal {
        Refusal::Malformed | Refusal::OldSizeBeyond { .. } => StatusCode::BAD_REQUEST,
        Refusal::UnknownLog => StatusCode::NOT_FOUND,
        Refusal::NotSigned(_) => StatusCode::FORBIDDEN,
        Refusal::OtherSize { tree_size } => {
            let mut response = text(StatusCode::CONFLICT, &tree_size.to_string());
            response.headers_mut().insert(header::CONTENT_TYPE, SIZE_TYPE);
            return response;
        }
        Refusal::OtherRoot { .. } => StatusCode::CONFLICT,
        Refusal::Inconsistent(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    match refusal {
        Refusal::OtherRoot { .. } | Refusal::Inconsistent(_) => {
            tracing::error!(error = %refusal, "NOT cosigned: a signed checkpoint contradicts what was cosigned before, or its proof is wrong");
        }
        Refusal::Store(error) => tracing::error!(%error, "not cosigned: the checkpoint cannot be remembered"),
        refusal => tracing::debug!(error = %refusal, "not cosigned"),
    }
    // What went wrong with the disk is not for strangers.
    let reason = if code.is_server_error() { "this witness failed".to_owned() } else { refusal.to_string() };
    text(code, &reason)
}

fn text(code: StatusCode, line: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{line}\n"))));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response
}
