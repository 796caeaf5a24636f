//! Puts the hub together from its configuration and runs it.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use access::{AccessFiles, AccessSet};
use adapter_sdk::{Adapter, Functions, Mapping, PoolOptions, SqlSource};
use anyhow::{Context, anyhow};
use audit::{AuditLog, SigningKey, SubjectHasher};
use proto::{
    Schema,
    audit::v1::{self as log, audit_service_server::AuditServiceServer, entry},
    catalog::v1::catalog_service_server::CatalogServiceServer,
    query::v1::query_service_server::QueryServiceServer,
};
use query::{Hub, SourceSettings, Sources};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_rustls::TlsAcceptor;
use tonic::service::Routes;

use crate::{
    call::Timeouts,
    config::{Config, SourceConfig},
    listen::{self, Listening},
    readiness::{self, Readiness},
    services::{AuditHandler, CatalogHandler, Limit, QueryHandler},
    tls,
};

/// A hub that answers.
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    watching: JoinHandle<()>,
    hub: Arc<Hub>,
}

/// Everything a configuration names, loaded and checked; nothing is listening or written yet.
pub(crate) struct Parts {
    pub(crate) schema: Arc<Schema>,
    pub(crate) access: Arc<AccessSet>,
    pub(crate) warnings: Vec<String>,
    pub(crate) sources: Sources,
    pub(crate) source_problems: Vec<String>,
    tls: Arc<rustls::ServerConfig>,
    signing_key: SigningKey,
    hasher: SubjectHasher,
}

impl Parts {
    /// Loads every file the configuration names. A wrong mapping stops that source only; everything else is an error.
    pub(crate) fn load(config: &Config) -> anyhow::Result<Self> {
        let schema = Arc::new(Schema::builtin().context("record types")?);
        let loaded = AccessSet::load(Arc::clone(&schema), &access_files(config))?;
        let mut adapters = Vec::new();
        let mut source_problems = Vec::new();
        for source in &config.sources {
            match open_source(config, &schema, source) {
                Ok(adapter) => {
                    adapters.push((adapter, SourceSettings { concurrency_max: source.concurrency_max }));
                }
                Err(error) => source_problems.push(format!("source {}: {error:#}", source.id)),
            }
        }
        Ok(Self {
            access: Arc::new(loaded.set),
            warnings: loaded.warnings.iter().map(ToString::to_string).collect(),
            sources: Sources::new(adapters)?,
            source_problems,
            tls: tls::server_config(config)?,
            signing_key: SigningKey::load(&config.path(&config.audit.signing_key))?,
            hasher: SubjectHasher::load(&config.path(&config.audit.subject_key))?,
            schema,
        })
    }
}

/// Where the configuration says the files of access are.
pub(crate) fn access_files(config: &Config) -> AccessFiles {
    AccessFiles {
        grants: config.path(&config.access.grants),
        policies: config.path(&config.access.policies),
        purposes: config.path(&config.access.purposes),
        agencies: config.path(&config.access.agencies),
    }
}

fn open_source(config: &Config, schema: &Arc<Schema>, source: &SourceConfig) -> anyhow::Result<Arc<dyn Adapter>> {
    let path = source.mapping.as_ref().map(|path| config.path(path));
    let (mapping, functions) = match path {
        Some(path) => mapping_file(&path)?,
        None => builtin_mapping(&source.id)?,
    };
    anyhow::ensure!(mapping.source == source.id, "its mapping is for source {}", mapping.source);
    let options = PoolOptions { connections_max: source.connections_max, ..PoolOptions::default() };
    Ok(Arc::new(SqlSource::open(schema, &mapping, &functions, &config.database_url(source)?, options)?))
}

/// Reads a mapping file; the functions it may name are those of the register with its source's id.
pub(crate) fn mapping_file(path: &Path) -> anyhow::Result<(Mapping, Functions)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mapping = Mapping::parse(&text, &path.display().to_string())?;
    let register = registers::all().into_iter().find(|register| register.id == mapping.source);
    Ok((mapping, register.map_or_else(Functions::new, |register| (register.functions)())))
}

/// The mapping built in for a source.
pub(crate) fn builtin_mapping(id: &str) -> anyhow::Result<(Mapping, Functions)> {
    let Some(register) = registers::all().into_iter().find(|register| register.id == id) else {
        let known: Vec<_> = registers::all().iter().map(|register| register.id).collect();
        return Err(anyhow!(
            "no mapping is built in for \"{id}\"; name a mapping file, or use one of {}",
            known.join(", ")
        ));
    };
    Ok((Mapping::parse(register.mapping, &format!("{id}/mapping.toml"))?, (register.functions)()))
}

/// Opens the log, listens and serves. Sources that are down do not hold it up.
pub(crate) async fn start(config: &Config) -> anyhow::Result<Running> {
    let parts = Parts::load(config)?;
    for warning in &parts.warnings {
        tracing::warn!("{warning}");
    }
    for problem in &parts.source_problems {
        tracing::error!("{problem}; it stays out, the other sources are served");
    }
    let options = audit::Options { queue_size_max: config.audit.queue_entries_max, ..audit::Options::default() };
    let audit = AuditLog::open(&config.path(&config.audit.database), parts.signing_key, options).await?;
    let hub = Arc::new(Hub {
        schema: parts.schema,
        access: parts.access,
        sources: Arc::new(parts.sources),
        audit: Arc::new(audit),
        hasher: Arc::new(parts.hasher),
    });
    let listener = TcpListener::bind(config.server.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.server.listen))?;
    let address = listener.local_addr()?;
    record_event(&hub, "start", &[("version", env!("CARGO_PKG_VERSION")), ("access_digest", hub.access.digest())])
        .await?;

    let (stop, stopped) = watch::channel(false);
    let timeouts =
        Timeouts { default: config.call_timeout(), max: Duration::from_millis(config.server.call_timeout_max_ms) };
    let readiness = Arc::new(Readiness::new(&hub.sources));
    let (health, health_service) = tonic_health::server::health_reporter();
    let watching = tokio::spawn(readiness::watch(
        Arc::clone(&readiness),
        Arc::clone(&hub.sources),
        health,
        Duration::from_secs(config.server.readiness_interval_s),
        stopped.clone(),
    ));
    let bytes_max = config.server.request_bytes_max;
    let limit = Limit::new(config.server.calls_max);
    let query_handler = QueryHandler {
        hub: Arc::clone(&hub),
        timeouts,
        batch_concurrency_max: config.server.batch_concurrency_max,
        limit: limit.clone(),
        stop: stopped.clone(),
    };
    let catalog = CatalogHandler { hub: Arc::clone(&hub), timeouts, readiness };
    let audit_handler = AuditHandler { hub: Arc::clone(&hub), timeouts, limit, stop: stopped.clone() };
    let routes = Routes::new(QueryServiceServer::new(query_handler).max_decoding_message_size(bytes_max))
        .add_service(CatalogServiceServer::new(catalog).max_decoding_message_size(bytes_max))
        .add_service(AuditServiceServer::new(audit_handler).max_decoding_message_size(bytes_max))
        .add_service(health_service)
        .add_service(reflection(ReflectionVersion::V1)?.build_v1()?)
        .add_service(reflection(ReflectionVersion::V1Alpha)?.build_v1alpha()?);
    let listening = Arc::new(Listening {
        tls: TlsAcceptor::from(parts.tls),
        trust_domain: config.server.trust_domain.clone(),
        handshake_timeout: Duration::from_millis(config.server.handshake_timeout_ms),
        connection_age_max: Duration::from_secs(config.server.connection_age_max_s),
        shutdown_timeout: Duration::from_secs(config.server.shutdown_timeout_s),
        timeouts,
        hub: Arc::clone(&hub),
        routes,
    });
    let serving = tokio::spawn(listen::run(listening, listener, stopped));
    tracing::info!(%address, "listening");
    Ok(Running { address, stop, serving, watching, hub })
}

enum ReflectionVersion {
    V1,
    V1Alpha,
}

fn reflection<'b>(version: ReflectionVersion) -> anyhow::Result<tonic_reflection::server::Builder<'b>> {
    let own = match version {
        ReflectionVersion::V1 => tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        ReflectionVersion::V1Alpha => tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    };
    Ok(tonic_reflection::server::Builder::configure()
        .include_reflection_service(false)
        .register_encoded_file_descriptor_set(own)
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET))
}

impl Running {
    /// Stops accepting, lets calls under way end, records the stop, and closes the log.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.serving.await.context("listener")?;
        self.watching.await.context("readiness")?;
        let recorded = record_event(&self.hub, "stop", &[]).await;
        self.hub.audit.close().await;
        recorded
    }
}

/// Records something the hub did itself.
async fn record_event(hub: &Hub, event: &str, details: &[(&str, &str)]) -> anyhow::Result<()> {
    let details = [("event", event)].into_iter().chain(details.iter().copied());
    let details = details.map(|(name, value)| log::Detail { name: name.to_owned(), value: value.to_owned() });
    let entry = log::Entry {
        time: Some(query::timestamp(chrono::Utc::now())),
        kind: entry::Kind::HubEvent.into(),
        outcome: entry::Outcome::Answered.into(),
        disclosure: entry::Disclosure::Never.into(),
        details: details.collect(),
        ..Default::default()
    };
    hub.audit.append(entry).await.map(drop).with_context(|| format!("cannot record {event} in the audit log"))
}
