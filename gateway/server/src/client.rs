//! The command line's side of a connection: profile, channel, and what went wrong in words.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow};
use proto::{audit::v1 as log, query::v1 as wire};
use serde::{Deserialize, Serialize};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_types::StatusExt;

use crate::commands::Connect;

/// How one system of one agency reaches the hub.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// `https://host:port`.
    pub(crate) endpoint: String,
    /// PEM file of the authority that signed the hub's certificate; relative to the profile.
    pub(crate) authority: PathBuf,
    /// PEM file of the system's certificate.
    pub(crate) certificate: PathBuf,
    /// PEM file of its key.
    pub(crate) private_key: PathBuf,
    /// Officer in whose name calls are made.
    pub(crate) officer: ProfileOfficer,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileOfficer {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) unit: String,
}

/// A connected client.
pub(crate) struct Client {
    pub(crate) channel: Channel,
    officer: ProfileOfficer,
    /// `Bearer …`: proves the officer, in the place of the profile's.
    token: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Profile {
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read profile {}", path.display()))?;
        let mut profile: Self =
            toml::from_str(&text).with_context(|| format!("profile {} is not valid", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for file in [&mut profile.authority, &mut profile.certificate, &mut profile.private_key] {
            *file = folder.join(&*file);
        }
        Ok(profile)
    }
}

impl Client {
    /// Connects as a command line says.
    pub(crate) async fn of(connect: &Connect) -> anyhow::Result<Self> {
        let mut profile = Profile::load(&connect.profile)?;
        if let (Some(id), Some(name)) = (&connect.officer_id, &connect.officer_name) {
            profile.officer = ProfileOfficer { id: id.clone(), name: name.clone(), unit: String::new() };
        }
        let mut client = Self::connect(&profile, Duration::from_millis(connect.timeout_ms)).await?;
        if let Some(path) = &connect.token_file {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read token {}", path.display()))?;
            let value = format!("Bearer {}", text.trim());
            client.token = Some(value.parse().with_context(|| format!("{} holds no token", path.display()))?);
        }
        Ok(client)
    }

    pub(crate) async fn connect(profile: &Profile, timeout: Duration) -> anyhow::Result<Self> {
        let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&profile.authority)?))
            .identity(Identity::from_pem(read(&profile.certificate)?, read(&profile.private_key)?));
        let endpoint = Endpoint::from_shared(profile.endpoint.clone())
            .with_context(|| format!("{} is no endpoint", profile.endpoint))?
            .connect_timeout(Duration::from_secs(5))
            .tls_config(tls)
            .context("certificate, private key or authority cannot be used")?;
        let channel =
            endpoint.connect().await.with_context(|| format!("cannot connect to the hub at {}", profile.endpoint))?;
        Ok(Self { channel, officer: profile.officer.clone(), token: None, timeout })
    }

    /// A request with the client's deadline and token.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.request_without_end(message);
        request.set_timeout(self.timeout);
        request
    }

    /// A request with the client's token for a stream that goes on until one side ends it.
    pub(crate) fn request_without_end<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }

    /// The officer to name; none beside a token, which says who it is.
    pub(crate) fn officer(&self) -> Option<wire::Officer> {
        let ProfileOfficer { id, name, unit } = self.officer.clone();
        self.token.is_none().then_some(wire::Officer { id, name, unit })
    }

    /// As [`Client::officer`], for calls to the log.
    pub(crate) fn reader(&self) -> Option<log::Officer> {
        let officer = self.officer()?;
        Some(log::Officer { id: officer.id, name: officer.name, unit: officer.unit, assurance: String::new() })
    }
}

/// A gRPC status as an error that keeps its code for [`exit_code`].
#[derive(Debug, thiserror::Error)]
#[error("{}", describe(.0))]
pub(crate) struct CallFailed(pub(crate) Box<Status>);

impl From<Status> for CallFailed {
    fn from(status: Status) -> Self {
        Self(Box::new(status))
    }
}

/// Whether the client gave up waiting. tonic calls that cancelled.
fn timed_out(status: &Status) -> bool {
    let first = std::error::Error::source(status);
    std::iter::successors(first, |error| error.source()).any(|error| error.is::<tonic::TimeoutExpired>())
}

/// What a status says, in every part it says it in.
fn describe(status: &Status) -> String {
    if timed_out(status) {
        return "no answer within the call's deadline (--timeout-ms); the hub may have recorded the call".to_owned();
    }
    let details = status.get_error_details();
    let mut text = format!("{:?}", status.code());
    if let Some(info) = details.error_info() {
        text.push_str(&format!(" ({})", info.reason));
    }
    text.push_str(&format!(": {}", status.message()));
    if let Some(request) = details.bad_request() {
        for violation in &request.field_violations {
            text.push_str(&format!("\n  {}: {}", violation.field, violation.description));
        }
    }
    if let Some(localized) = details.localized_message() {
        text.push_str(&format!("\n  {}", localized.message));
    }
    if let Some(index) = status.metadata().get(crate::status::LOG_INDEX_KEY).and_then(|value| value.to_str().ok()) {
        text.push_str(&format!("\n  recorded in the audit log as entry {index}"));
    }
    if let Some(source) = std::error::Error::source(status) {
        text.push_str(&format!("\n  {source}: does the hub accept this certificate?"));
    }
    text
}

/// The exit code an error stands for.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    let failed = error.downcast_ref::<CallFailed>().map(|failed| &failed.0);
    let code = failed.map(|status| if timed_out(status) { Code::DeadlineExceeded } else { status.code() });
    ExitCode::from(match code {
        Some(Code::PermissionDenied | Code::Unauthenticated) => 3,
        Some(Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded) => 5,
        _ => 1,
    })
}

/// Splits `TYPE:REST`, and finds the record type by its full name or by a last part only one has.
pub(crate) fn typed<'a>(schema: &proto::Schema, text: &'a str) -> anyhow::Result<(String, &'a str)> {
    let (name, rest) = split(text)?;
    Ok((record_type(schema, name)?, rest))
}

/// The full name of a record type named in full or by a last part only one has.
pub(crate) fn record_type(schema: &proto::Schema, name: &str) -> anyhow::Result<String> {
    match &named(schema, name)[..] {
        [one] => Ok((*one).to_owned()),
        // Unknown here may be known there: the hub answers for its own schema.
        [] => Ok(name.to_owned()),
        _ => Err(anyhow!("{name} is the name of several record types; write it in full")),
    }
}

/// Whether `TYPE:REST`, or `TYPE` alone, names exactly one record type of the schema.
pub(crate) fn is_known(schema: &proto::Schema, text: &str) -> bool {
    named(schema, text.split_once(':').map_or(text, |(name, _)| name)).len() == 1
}

fn split(text: &str) -> anyhow::Result<(&str, &str)> {
    text.split_once(':').ok_or_else(|| anyhow!("{text} lacks the record type: write TYPE:FIELD"))
}

/// The record types of this full name, or with this last part.
fn named<'a>(schema: &'a proto::Schema, name: &str) -> Vec<&'a str> {
    if let Some(found) = schema.record_type(name) {
        return vec![&found.name];
    }
    let ends = |full: &str| full.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case(name));
    schema.record_types().map(|record| record.name.as_str()).filter(|full| ends(full)).collect()
}

#[cfg(test)]
mod tests {
    use proto::catalog::v1::{ListSourcesRequest, catalog_service_client::CatalogServiceClient};

    use super::*;

    #[tokio::test]
    async fn a_hub_that_does_not_answer_is_no_question_of_certificates() {
        // Accepts connections, and never says a word.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{}", silent.local_addr().unwrap())).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let mut request = Request::new(ListSourcesRequest::default());
        request.set_timeout(Duration::from_millis(20));
        let status = CatalogServiceClient::new(channel).list_sources(request).await.unwrap_err();
        assert!(describe(&status).starts_with("no answer within the call's deadline"), "{}", describe(&status));
        assert_eq!(exit_code(&CallFailed::from(status).into()), ExitCode::from(5));
    }
}
