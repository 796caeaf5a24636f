//! A source read by an adapter beside its database: the hub's side of `AdapterService`.
//!
//! What the source has is asked once, when the hub starts, and kept in a file: an adapter that is down then does not keep
//! its source out of the hub. An adapter that has got another mapping since says so in every answer, and its source is
//! out of step until the hub reloads.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use adapter_sdk::{Adapter, FetchRequest, Fetched, SearchRequest, SourceDescription, SourceError};
use anyhow::{Context, anyhow};
use prost::Message as _;
use proto::{
    Schema,
    adapter::v1::{self as wire, adapter_service_client::AdapterServiceClient},
};
use tokio::{runtime::Handle, time::Instant};
use tonic::{
    Request, Response, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::{config::RemoteConfig, telemetry};

pub(crate) mod convert;

/// How long the hub waits for a description when it starts.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a readiness check waits.
const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection without an answer to a ping for so long is dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A source behind a remote adapter.
pub(crate) struct RemoteSource {
    description: SourceDescription,
    client: AdapterServiceClient<Channel>,
}

impl RemoteSource {
    /// Takes what the adapter said last of what it has, as [`describe`] keeps it.
    pub(crate) fn open(schema: &Schema, config: &RemoteConfig, folder: &Path, kept: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(kept).with_context(|| format!("cannot read {}", kept.display()))?;
        let described = wire::DescribeResponse::decode(bytes.as_slice());
        Self::described(
            schema,
            config,
            folder,
            described.with_context(|| format!("{} is no description", kept.display()))?,
        )
    }

    /// Asks the adapter what it has.
    pub(crate) async fn connect(schema: &Schema, config: &RemoteConfig, folder: &Path) -> anyhow::Result<Self> {
        let described =
            ask(config, folder).await?.map_err(|why| anyhow!("the adapter at {}: {why}", config.endpoint))?;
        Self::described(schema, config, folder, described)
    }

    fn described(
        schema: &Schema,
        config: &RemoteConfig,
        folder: &Path,
        described: wire::DescribeResponse,
    ) -> anyhow::Result<Self> {
        let description = convert::description(schema, described)
            .with_context(|| format!("the adapter at {} describes itself wrongly", config.endpoint))?;
        Ok(Self { description, client: AdapterServiceClient::new(channel(config, folder)?) })
    }

    /// Whether an answer was made by the mapping the hub was told of.
    fn of_the_same_mapping(&self, digest: &str) -> Result<(), SourceError> {
        if digest == self.description.mapping_digest {
            return Ok(());
        }
        let now = digest.get(..12).unwrap_or_default();
        let problem =
            format!("the adapter has another mapping since the hub asked what it has: {now}…; reload the hub");
        Err(SourceError::SchemaChanged { problems: vec![problem] })
    }
}

/// What the adapter says it has, or why it does not. Fails when the configuration cannot be used.
async fn ask(config: &RemoteConfig, folder: &Path) -> anyhow::Result<Result<wire::DescribeResponse, String>> {
    let mut request = Request::new(wire::DescribeRequest {});
    request.set_timeout(DESCRIBE_TIMEOUT);
    let mut client = AdapterServiceClient::new(channel(config, folder)?);
    Ok(match tokio::time::timeout(DESCRIBE_TIMEOUT, client.describe(request)).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(convert::error(&status).to_string()),
        Err(_) => Err("it did not answer in time".to_owned()),
    })
}

/// Asks the adapter what it has and keeps the answer; when it is down, what it said the last time counts. Relative paths of
/// the configuration start in `folder`. It blocks: a configuration is read at the start and beside the calls.
pub(crate) fn describe(config: &RemoteConfig, folder: &Path, kept: &Path) -> anyhow::Result<Vec<u8>> {
    let asked = tokio::task::block_in_place(|| Handle::current().block_on(ask(config, folder)))?;
    let last = fs::read(kept);
    let why = match asked {
        Ok(described) => {
            let bytes = described.encode_to_vec();
            if !last.is_ok_and(|last| last == bytes) {
                fs::write(kept, &bytes).with_context(|| format!("cannot write {}", kept.display()))?;
            }
            return Ok(bytes);
        }
        Err(why) => why,
    };
    let last = last.with_context(|| {
        format!("the adapter at {} does not say what it has, and never has before: {why}", config.endpoint)
    })?;
    tracing::warn!(endpoint = config.endpoint, why, "adapter does not answer; its last description counts");
    Ok(last)
}

/// A connection made when it is first needed, and again when it broke.
fn channel(config: &RemoteConfig, folder: &Path) -> anyhow::Result<Channel> {
    let read = |path: &PathBuf| {
        let path = folder.join(path);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&config.authority)?))
        .identity(Identity::from_pem(read(&config.certificate)?, read(&config.private_key)?));
    let endpoint = Endpoint::from_shared(config.endpoint.clone())
        .with_context(|| format!("{} is no endpoint", config.endpoint))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tls_config(tls)
        .context("certificate, private key or authority cannot be used")?;
    Ok(endpoint.connect_lazy())
}

/// A request within the caller's trace that the other side gives up on when its caller would.
fn request<T>(message: T, left: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(left);
    telemetry::pass_on(request.metadata_mut());
    request
}

/// Waits for an answer until the deadline; nothing is asked after it.
async fn answered<T, C: Future<Output = Result<Response<T>, Status>>>(
    deadline: Instant,
    call: impl FnOnce(Duration) -> C,
) -> Result<T, SourceError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(SourceError::Timeout);
    }
    let answer = tokio::time::timeout_at(deadline, call(left)).await.map_err(|_| SourceError::Timeout)?;
    answer.map(Response::into_inner).map_err(|status| convert::error(&status))
}

#[tonic::async_trait]
impl Adapter for RemoteSource {
    fn describe(&self) -> &SourceDescription {
        &self.description
    }

    async fn fetch(&self, asked: &FetchRequest) -> Result<Fetched, SourceError> {
        let Some(record) = self.description.record(&asked.record_type.name) else {
            return Err(SourceError::UnknownRecordType { record_type: asked.record_type.name.clone() });
        };
        let message = wire::FetchRequest {
            record_type: asked.record_type.name.clone(),
            kind: asked.key.kind.into(),
            number: asked.key.value.clone(),
            fields: asked.record_type.paths_of(&asked.fields.intersection(&record.fields)),
            agency: asked.behalf.agency.clone(),
            system: asked.behalf.system.clone(),
            purpose: asked.behalf.purpose.clone(),
        };
        let mut client = self.client.clone();
        let answer = answered(asked.deadline, |left| client.fetch(request(message, left))).await?;
        self.of_the_same_mapping(&answer.mapping_digest)?;
        convert::fetched(&asked.record_type, answer.records, answer.retrieved_at)
    }

    async fn search(&self, asked: &SearchRequest) -> Result<Fetched, SourceError> {
        let record_type = &asked.record_type;
        let offered = self.description.record(&record_type.name).filter(|record| !record.search.is_empty());
        let Some(record) = offered else {
            return Err(SourceError::SearchNotOffered { record_type: record_type.name.clone() });
        };
        let message = wire::SearchRequest {
            record_type: record_type.name.clone(),
            criteria: asked.criteria.iter().map(convert::wire_criterion).collect(),
            fields: record_type.paths_of(&asked.fields.intersection(&record.fields)),
            agency: asked.behalf.agency.clone(),
            system: asked.behalf.system.clone(),
            purpose: asked.behalf.purpose.clone(),
        };
        let mut client = self.client.clone();
        let answer = answered(asked.deadline, |left| client.search(request(message, left))).await?;
        self.of_the_same_mapping(&answer.mapping_digest)?;
        convert::fetched(record_type, answer.records, answer.retrieved_at)
    }

    async fn ready(&self) -> Result<(), SourceError> {
        let mut client = self.client.clone();
        let answer = client.ready(request(wire::ReadyRequest {}, READY_TIMEOUT));
        match tokio::time::timeout(READY_TIMEOUT, answer).await {
            Ok(answer) => answer.map(drop).map_err(|status| convert::error(&status)),
            Err(_) => Err(SourceError::Timeout),
        }
    }
}
