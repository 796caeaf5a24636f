//! Clients of a hub under test.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use proto::query::v1::query_service_client::QueryServiceClient;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{
    Status,
    body::Body,
    transport::{Certificate as Authority, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_types::StatusExt;
use tower::ServiceExt;

use crate::{Hub, HubFiles};

/// A client certificate with its key, PEM.
pub struct Certificate {
    /// Certificate.
    pub pem: Vec<u8>,
    /// Key.
    pub key: Vec<u8>,
}

/// Connects, with a certificate or without.
pub async fn channel(
    hub: &Hub,
    authority: &[u8],
    certificate: Option<&Certificate>,
) -> Result<Channel, tonic::transport::Error> {
    channel_to(&hub.address, authority, certificate).await
}

/// The same, to whatever listens at an address.
pub async fn channel_to(
    address: &str,
    authority: &[u8],
    certificate: Option<&Certificate>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Authority::from_pem(authority));
    if let Some(Certificate { pem, key }) = certificate {
        tls = tls.identity(Identity::from_pem(pem, key));
    }
    Endpoint::from_shared(format!("https://{address}"))
        .expect("an address")
        .connect_timeout(Duration::from_secs(10))
        .tls_config(tls)?
        .connect()
        .await
}

/// Connects as one of the systems that have certificates.
pub async fn client_of(hub: &Hub, files: &HubFiles, system: &str) -> Channel {
    channel(hub, &files.authority(), Some(&files.certificate(system))).await.expect("the hub accepts the system")
}

/// `QueryService` as one of the systems.
pub async fn query_client(hub: &Hub, files: &HubFiles, system: &str) -> QueryServiceClient<Channel> {
    QueryServiceClient::new(client_of(hub, files, system).await).max_decoding_message_size(64 * 1024 * 1024)
}

/// Stable reason of an error, and the request fields it names.
pub fn error_info(status: &Status) -> (String, Vec<String>) {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    let fields = details
        .bad_request()
        .map(|request| request.field_violations.iter().map(|violation| violation.field.clone()).collect::<Vec<_>>());
    (reason, fields.unwrap_or_default())
}

/// What HTTPS (HTTP/2) answers.
pub async fn https(channel: &Channel, request: Request<String>) -> Response<Bytes> {
    let request = request.map(|body| Body::new(Full::new(Bytes::from(body))));
    let answered = channel.clone().oneshot(request).await.expect("an answer");
    let (head, body) = answered.into_parts();
    Response::from_parts(head, body.collect().await.expect("a body").to_bytes())
}

/// What plain HTTP gives at a path; empty when nobody answers.
pub async fn http_get(address: &str, path: &str) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = TcpStream::connect(address).await {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a request is sent");
        let _ended = stream.read_to_string(&mut text).await;
    }
    text
}
