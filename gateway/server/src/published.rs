//! The published log over HTTPS, as C2SP `tlog-tiles` has it: `GET /checkpoint` and `GET /tile/…`, read only.
//!
//! Checkpoint and hash tiles hold hashes only and are open to anybody, with or without a certificate. Entry bundles name
//! officers and dossiers: they are for systems whose agreement grants `read_log`, for an officer who is named as in any call, by
//! a token or by the headers `lienthong-officer-id` and `lienthong-officer-name` (UTF-8). Each bundle fetched is recorded before
//! it leaves, as every reading of the log is. Where everybody who reaches the address may read the log, `tiles_open` gives them
//! out like hashes; such readings are counted by the second.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use audit::tiles::Tile;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use proto::audit::v1::{Entry, Officer, entry::Outcome};
use query::Call;
use rustls::ServerConfig;
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tower::ServiceExt;
use tower_http::services::ServeDir;

use crate::{
    call::Timeouts,
    current::Current,
    grpc,
    identity::IdentityError,
    listen::{Answer, Connected},
    rejections::{self, Strangers},
    services::{detail, permitted, reader},
    status, telemetry,
    tls::Trust,
};

/// Path of the newest checkpoint.
const CHECKPOINT: &str = "checkpoint";
/// What the entry of a reading states as its method.
const METHOD: &str = "GET tile/entries";
/// A checkpoint is replaced within a second.
const REPLACED: HeaderValue = HeaderValue::from_static("no-cache");
/// Tiles never change.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Who may read entries is asked each time.
const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-store");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Answers with the files of a published log.
pub(crate) struct PublishedLog {
    files: ServeDir,
    /// Entries are for anybody.
    open: bool,
    timeouts: Timeouts,
    current: Arc<Current>,
    strangers: Strangers,
}

/// A file of the log. Other names, those of files being written among them, are not there.
enum Named {
    Checkpoint,
    Hashes,
    Entries(Tile),
}

impl Named {
    fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        if path == CHECKPOINT {
            return Some(Self::Checkpoint);
        }
        let tile = Tile::parse(path)?;
        Some(if tile.level.is_some() { Self::Hashes } else { Self::Entries(tile) })
    }
}

/// Why a file is not given.
struct Refused(StatusCode, String);

impl PublishedLog {
    /// The log in a folder; its entries for anybody if `open`.
    pub(crate) fn new(
        folder: PathBuf,
        open: bool,
        timeouts: Timeouts,
        current: Arc<Current>,
        strangers: Strangers,
    ) -> Self {
        let files = ServeDir::new(folder).append_index_html_on_directories(false);
        Self { files, open, timeouts, current, strangers }
    }

    async fn file(&self, connected: &Connected, request: Request<Incoming>) -> Result<Response<Body>, Refused> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(Refused(StatusCode::METHOD_NOT_ALLOWED, "this log is read only".to_owned()));
        }
        let not_found = || Refused(StatusCode::NOT_FOUND, "the log has no such file".to_owned());
        let named = Named::parse(request.uri().path()).ok_or_else(not_found)?;
        let reading = match &named {
            Named::Entries(_) if self.open => {
                self.strangers.note_reading("tile/entries");
                None
            }
            Named::Entries(tile) => Some(self.reading(connected, tile, request.headers()).await?),
            Named::Checkpoint | Named::Hashes => None,
        };
        let response = match self.files.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let given = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
        if let Some((call, mut entry)) = reading {
            entry.set_outcome(if given { Outcome::Answered } else { Outcome::Invalid });
            let recorded = self.current.hub().record(&call, entry).await;
            recorded.map_err(|error| refused(&status::from_call(&error)))?;
        }
        if response.status() == StatusCode::NOT_FOUND {
            return Err(not_found());
        }
        let mut response = response.map(Body::new);
        if given {
            let (content, caching) = match named {
                Named::Checkpoint => (TEXT, REPLACED),
                Named::Hashes => (BYTES, IMMUTABLE),
                Named::Entries(_) => (BYTES, NOT_KEPT),
            };
            response.headers_mut().insert(header::CONTENT_TYPE, content);
            response.headers_mut().insert(header::CACHE_CONTROL, caching);
        }
        Ok(response)
    }

    /// The entry to record a reading with, if the caller may read. A refusal is recorded here.
    async fn reading(&self, connected: &Connected, tile: &Tile, headers: &HeaderMap) -> Result<(Call, Entry), Refused> {
        let peer =
            connected.check(self.current.as_ref()).and_then(|()| connected.peer.as_ref().map_err(|error| *error));
        let peer = peer.map_err(|error| {
            self.strangers.note(status::identity_reason(error));
            Refused(StatusCode::FORBIDDEN, format!("entries are for systems that may read the log: {error}"))
        })?;
        let snapshot = self.current.snapshot();
        let proof = match grpc::proof(&snapshot.tokens, headers, peer, METHOD).await {
            Ok(proof) => proof,
            Err(error) => {
                let status = status::from_token(error);
                let response = status.clone().into_http();
                rejections::record(&snapshot.hub, peer, METHOD, headers, self.timeouts, response).await;
                return Err(refused(&status));
            }
        };
        let received = Instant::now();
        let span = telemetry::call_span(METHOD, &peer.caller, headers);
        let call = Call {
            method: METHOD.to_owned(),
            caller: peer.caller.clone(),
            certificate_sha256: peer.certificate_sha256.clone(),
            received,
            deadline: received + self.timeouts.default,
            deadline_given: false,
            trace_id: telemetry::trace_id(&telemetry::trace(&span, headers)),
        };
        let may_read = async {
            let reader = reader(&snapshot.hub, &call, officer(headers), proof.as_ref()).await?;
            permitted(&snapshot.hub, &call, &reader, vec![detail("path", tile.path())]).await
        };
        let entry = may_read.await.map_err(|status| refused(&status))?;
        Ok((call, entry))
    }
}

/// The officer the headers name.
fn officer(headers: &HeaderMap) -> Option<Officer> {
    let text = |name| headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let (id, name) = (text("lienthong-officer-id")?, text("lienthong-officer-name")?);
    Some(Officer { id: id.to_owned(), name: name.to_owned(), ..Officer::default() })
}

/// What a status means to one who fetches files.
fn refused(status: &Status) -> Refused {
    let code = match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => StatusCode::FORBIDDEN,
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Refused(code, status.message().to_owned())
}

impl Answer for PublishedLog {
    fn tls(trust: &Trust) -> Arc<ServerConfig> {
        trust.for_files()
    }

    fn without_caller(&self, _error: IdentityError, _address: IpAddr) {}

    async fn answer(self: Arc<Self>, connected: Arc<Connected>, request: Request<Incoming>) -> Response<Body> {
        match self.file(&connected, request).await {
            Ok(response) => response,
            Err(Refused(code, reason)) => {
                let mut response = Response::new(Body::new(format!("{reason}\n")));
                *response.status_mut() = code;
                response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
                response.headers_mut().insert(header::CACHE_CONTROL, NOT_KEPT);
                if code == StatusCode::METHOD_NOT_ALLOWED {
                    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                }
                response
            }
        }
    }
}
