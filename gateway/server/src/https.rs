//! Small documents over HTTPS, for what the hub asks of others: identity providers and witnesses.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use http::{HeaderMap, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs as provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Largest document read.
const BYTES_MAX: usize = 256 * 1024;

/// How servers whose certificates are of these authorities (PEM files) are connected to.
pub(crate) fn client_config(authorities: &[PathBuf], mut read: impl FnMut(&[u8])) -> anyhow::Result<Arc<ClientConfig>> {
    let mut trusted = RootCertStore::empty();
    for path in authorities {
        let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        read(&pem);
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.with_context(|| format!("cannot read certificate {}", path.display()))?;
            trusted.add(certificate).with_context(|| format!("{} holds no usable authority", path.display()))?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .context("no usable TLS version")?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A server that is asked again and again: one connection, kept while it holds.
pub(crate) struct Server {
    tls: Arc<ClientConfig>,
    uri: Uri,
    connection: Option<http1::SendRequest<Full<Bytes>>>,
}

/// What a server answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Server {
    /// The server at an address, which begins with `https://`.
    pub(crate) fn new(tls: Arc<ClientConfig>, address: &str) -> anyhow::Result<Self> {
        let uri: Uri = address.parse().context("not an address")?;
        ensure!(uri.scheme_str() == Some("https"), "must begin with https://");
        ensure!(uri.authority().is_some(), "names no host");
        Ok(Self { tls, uri, connection: None })
    }

    /// Asks for what stands at the address.
    pub(crate) async fn get(&mut self, accept: &'static str) -> anyhow::Result<Answer> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        self.ask(Request::get(path).header(header::ACCEPT, accept), Bytes::new()).await
    }

    /// Sends something to a path below the address.
    pub(crate) async fn post(&mut self, path: &str, body: String) -> anyhow::Result<Answer> {
        let path = format!("{}{path}", self.uri.path().trim_end_matches('/'));
        self.ask(Request::post(path), Bytes::from(body)).await
    }

    async fn ask(&mut self, request: http::request::Builder, body: Bytes) -> anyhow::Result<Answer> {
        let authority = self.uri.authority().context("names no host")?.clone();
        let request = request.header(header::HOST, authority.as_str()).body(Full::new(body))?;
        // Taken out, so that a request given up halfway leaves no connection behind that still waits for its answer.
        let mut kept = self.connection.take();
        if let Some(connection) = &mut kept
            && connection.ready().await.is_err()
        {
            kept = None;
        }
        let mut connection = match kept {
            Some(kept) => kept,
            None => self.connect(authority).await?,
        };
        let response = connection.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BYTES_MAX).collect().await.map_err(|error| anyhow::anyhow!(error))?;
        self.connection = Some(connection);
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    async fn connect(&self, authority: http::uri::Authority) -> anyhow::Result<http1::SendRequest<Full<Bytes>>> {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let stream = TcpStream::connect((host.as_str(), authority.port_u16().unwrap_or(443))).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(host)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a server broke");
            }
        });
        Ok(sender)
    }
}

/// Asks within a time, connecting included.
pub(crate) async fn within<T>(time: Duration, asking: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::time::timeout(time, asking).await.context("took too long")?
}
