//! Reading a small JSON document over HTTPS: all that discovery and key sets need.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Time for one document, connecting included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest document read.
const BYTES_MAX: usize = 256 * 1024;

/// Gets a document. Redirects are not followed: a provider states its addresses itself.
pub(super) async fn json<T: DeserializeOwned>(tls: &Arc<ClientConfig>, address: &str) -> anyhow::Result<T> {
    let read = tokio::time::timeout(TIMEOUT, get(tls, address)).await;
    let body = read.with_context(|| format!("{address} took too long"))?.with_context(|| address.to_owned())?;
    serde_json::from_slice(&body).with_context(|| format!("{address} is not the document expected"))
}

async fn get(tls: &Arc<ClientConfig>, address: &str) -> anyhow::Result<Bytes> {
    let uri: Uri = address.parse().context("not an address")?;
    ensure!(uri.scheme_str() == Some("https"), "must begin with https://");
    let authority = uri.authority().context("names no host")?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let stream = TcpStream::connect((host.as_str(), authority.port_u16().unwrap_or(443))).await?;
    let name = ServerName::try_from(host)?;
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driving = tokio::spawn(connection);
    let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, authority.as_str())
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        bail!("answered {}", response.status());
    }
    let body = Limited::new(response.into_body(), BYTES_MAX).collect().await;
    driving.abort();
    Ok(body.map_err(|error| anyhow::anyhow!(error))?.to_bytes())
}
