//! Puts the hub together from its configuration and runs it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use access::{AccessFiles, AccessSet};
use anyhow::Context;
use audit::{AuditLog, Location, SigningKey, SigningKeys, SubjectHasher};
use proto::{
    Schema, audit::v1::audit_service_server::AuditServiceServer,
    catalog::v1::catalog_service_server::CatalogServiceServer,
    operator::v1::operator_service_server::OperatorServiceServer, query::v1::query_service_server::QueryServiceServer,
};
use query::Hub;
use tokio::{
    net::TcpListener,
    signal::unix::Signal,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tonic::service::Routes;

use crate::{
    admission::Limit,
    call::Timeouts,
    config::Config,
    current::{Current, InForce, RecordTypes, Snapshot},
    grpc::Calls,
    listen::{self, Listening},
    metrics::{self, Methods},
    own_events::{self, record_event},
    publish::{Published, Publisher},
    published::PublishedLog,
    readiness::{self, Readiness},
    reflection,
    rejections::{self, Strangers},
    reload::Reloader,
    retention::{self, RetentionFiles},
    sectors::{self, ProtoFiles},
    services::{AuditHandler, CatalogHandler, OperatorHandler, QueryHandler},
    sources::OpenSources,
    tls::Trust,
    tokens::Tokens,
    witnesses::Witnesses,
};

/// A hub that answers.
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    serving_files: Option<JoinHandle<()>>,
    watching: JoinHandle<()>,
    reloading: JoinHandle<()>,
    counting: JoinHandle<()>,
    retaining: Option<JoinHandle<()>>,
    limit: Limit,
    strangers: Strangers,
    publishing: Option<JoinHandle<()>>,
    current: Arc<Current>,
}

/// Everything a configuration names, loaded and checked; nothing is listening or written yet.
pub(crate) struct Parts {
    pub(crate) schema: Arc<Schema>,
    record_types_digest: String,
    pub(crate) access: AccessSet,
    pub(crate) warnings: Vec<String>,
    pub(crate) sources: OpenSources,
    trust: Trust,
    tokens: Tokens,
    signing_keys: SigningKeys,
    hasher: SubjectHasher,
    log_location: Location,
    witnesses: Witnesses,
    retention: Option<RetentionFiles>,
}

impl Parts {
    /// Loads every file the configuration names. A wrong mapping stops that source only; everything else is an error.
    pub(crate) fn load(config: &Config) -> anyhow::Result<Self> {
        let protos = ProtoFiles::read(config.sectors_folder().as_deref())?;
        let record_types_digest = protos.digest();
        let schema = Arc::new(protos.schema(None)?);
        let loaded = AccessSet::load(Arc::clone(&schema), &access_files(config)?)?;
        Ok(Self {
            record_types_digest,
            access: loaded.set,
            warnings: loaded.warnings.iter().map(ToString::to_string).collect(),
            sources: OpenSources::open(config, &schema)?,
            trust: Trust::load(&config.tls, config.folder())?,
            tokens: Tokens::load(config)?,
            signing_keys: signing_keys(config)?,
            witnesses: Witnesses::load(config)?,
            hasher: hasher(config)?,
            log_location: config.audit.database.location(config.folder()).context("audit.database")?,
            retention: RetentionFiles::load(config, &schema)?,
            schema,
        })
    }
}

fn signing_keys(config: &Config) -> anyhow::Result<SigningKeys> {
    let load = |path: &PathBuf| SigningKey::load(&config.path(path));
    let older = config.audit.older_signing_keys.iter().map(load).collect::<Result<_, _>>()?;
    Ok(SigningKeys::new(load(&config.audit.signing_key)?, older)?)
}

fn hasher(config: &Config) -> anyhow::Result<SubjectHasher> {
    let load = |path: &PathBuf| SubjectHasher::load(&config.path(path));
    let older = config.audit.older_subject_keys.iter().map(load).collect::<Result<_, _>>()?;
    Ok(load(&config.audit.subject_key)?.with_older(older))
}

/// The key whose public part the log is verified with.
pub(crate) fn signing_key(config: &Config) -> anyhow::Result<SigningKey> {
    Ok(SigningKey::load(&config.path(&config.audit.signing_key))?)
}

/// Where the configuration says the files of access are.
pub(crate) fn access_files(config: &Config) -> anyhow::Result<AccessFiles> {
    let of_sectors = config.sector_folders()?;
    let of_sectors = of_sectors.iter().filter_map(|folder| sectors::grants(folder));
    Ok(AccessFiles {
        grants: [config.path(&config.access.grants)].into_iter().chain(of_sectors).collect(),
        policies: config.path(&config.access.policies),
        purposes: config.path(&config.access.purposes),
        agencies: config.path(&config.access.agencies),
        quotas: config.access.quotas.as_ref().map(|path| config.path(path)),
    })
}

/// A new log may be the first thing in its folder.
fn make_folder(file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).with_context(|| format!("{}: the folder of the audit log", folder.display()))
}

/// Opens the log, listens and serves. Sources that are down do not hold it up. Changed files are reloaded, all of them
/// also when the signal comes.
pub(crate) async fn start(config: &Config, hangup: Option<Signal>) -> anyhow::Result<Running> {
    let parts = Parts::load(config)?;
    for warning in &parts.warnings {
        tracing::warn!("{warning}");
    }
    for problem in &parts.sources.problems {
        tracing::error!("{problem}; it stays out, the other sources are served");
    }
    let options = audit::Options { queue_size_max: config.audit.queue_entries_max, ..audit::Options::default() };
    if let Location::File(file) = &parts.log_location {
        make_folder(file)?;
    }
    let keys = parts.signing_keys.verifiers();
    let audit = AuditLog::open(&parts.log_location, parts.signing_keys, options).await?;
    let (state, published_state) = watch::channel(Published::default());
    let publisher = config.audit.tiles.as_ref().map(|folder| Publisher {
        location: parts.log_location.clone(),
        keys,
        folder: config.path(folder),
        witnesses: parts.witnesses,
        state,
    });
    let hub = Hub {
        schema: parts.schema,
        access: Arc::new(parts.access),
        sources: Arc::clone(&parts.sources.sources),
        audit: Arc::new(audit),
        hasher: Arc::new(parts.hasher),
        disclosure_delay: Duration::from_secs(u64::from(config.audit.disclosure_delay_days) * 86_400),
    };
    let listener = bind(config.server.listen).await?;
    let published = match (&config.audit.tiles, config.audit.tiles_listen) {
        (Some(folder), Some(address)) => Some((config.path(folder), bind(address).await?)),
        _ => None,
    };
    let address = listener.local_addr()?;
    let details = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("access_digest", hub.access.digest()),
        ("sources_digest", parts.sources.digest()),
        ("certificates_digest", parts.trust.digest()),
        ("adapter_certificates_digest", parts.sources.certificates_digest()),
        ("identity_providers_digest", parts.tokens.digest()),
        ("record_types_digest", &parts.record_types_digest),
    ];
    own_events::record_start(&hub.audit, &hub.hasher, &details).await?;
    let publishing = publisher.map(|publisher| tokio::spawn(publisher.run(hub.audit.checkpoints())));
    let (trust, tokens) = (Arc::new(parts.trust), Arc::new(parts.tokens));
    let record_types =
        Arc::new(RecordTypes { reflection: reflection::routes(&hub.schema)?, digest: parts.record_types_digest });
    let current = Arc::new(Current::new(Snapshot { hub: Arc::new(hub), trust, tokens, record_types }));

    let (stop, stopped) = watch::channel(false);
    let timeouts =
        Timeouts { default: config.call_timeout(), max: Duration::from_millis(config.server.call_timeout_max_ms) };
    let readiness = Arc::new(Readiness::default());
    let (health, health_service) = tonic_health::server::health_reporter();
    let watching = tokio::spawn(readiness::watch(
        Arc::clone(&readiness),
        Arc::clone(&current),
        health.clone(),
        Duration::from_secs(config.server.readiness_interval_s()),
        published_state.clone(),
        stopped.clone(),
    ));
    let bytes_max = config.server.request_bytes_max;
    let limit = Limit::new(config.server.calls_max);
    let lateness_max = Duration::from_micros(config.server.lateness_max_us);
    tokio::spawn(limit.clone().keep_up(lateness_max, stopped.clone()));
    metrics::observe(&current, &readiness, &limit, &published_state);
    if let Some(address) = config.telemetry.metrics_listen {
        tokio::spawn(metrics::serve(metrics::listen(address).await?, stopped.clone()));
    }
    let strangers = Strangers::default();
    let refused =
        rejections::watch_refused(Arc::clone(&current), limit.clone(), strangers.clone(), health, stopped.clone());
    let counting = tokio::spawn(refused);
    let retaining =
        parts.retention.map(|files| tokio::spawn(retention::run(files, Arc::clone(&current), stopped.clone())));
    let query_handler = QueryHandler {
        current: Arc::clone(&current),
        timeouts,
        batch_concurrency_max: config.server.batch_concurrency_max(),
        limit: limit.clone(),
        stop: stopped.clone(),
    };
    let catalog = CatalogHandler { current: Arc::clone(&current), timeouts, readiness };
    let audit_handler = AuditHandler {
        current: Arc::clone(&current),
        timeouts,
        limit: limit.clone(),
        published: published_state,
        stop: stopped.clone(),
    };
    // One at a time; who comes meanwhile waits.
    let (reloads, requests) = mpsc::channel(1);
    let operator = OperatorHandler { current: Arc::clone(&current), timeouts, limit: limit.clone(), reloads };
    let routes = Routes::new(QueryServiceServer::new(query_handler).max_decoding_message_size(bytes_max))
        .add_service(CatalogServiceServer::new(catalog).max_decoding_message_size(bytes_max))
        .add_service(AuditServiceServer::new(audit_handler).max_decoding_message_size(bytes_max))
        .add_service(OperatorServiceServer::new(operator).max_decoding_message_size(bytes_max))
        .add_service(health_service);
    let listening = Listening {
        trust_domain: config.server.trust_domain.clone(),
        handshake_timeout: Duration::from_millis(config.server.handshake_timeout_ms),
        connection_age_max: Duration::from_secs(config.server.connection_age_max_s),
        shutdown_timeout: Duration::from_secs(config.server.shutdown_timeout_s),
        current: Arc::clone(&current) as Arc<dyn InForce>,
        strangers: strangers.clone(),
    };
    let serving_files = match published {
        None => None,
        Some((folder, listener)) => {
            tracing::info!(address = %listener.local_addr()?, "published log");
            let open = config.audit.tiles_open;
            let files = PublishedLog::new(folder, open, timeouts, Arc::clone(&current), strangers.clone());
            Some(tokio::spawn(listen::run(listening.clone(), Arc::new(files), listener, stopped.clone())))
        }
    };
    let calls = Calls {
        timeouts,
        methods: Methods::new(&current.hub().schema),
        current: Arc::clone(&current) as Arc<dyn InForce>,
        strangers: strangers.clone(),
        limit: limit.clone(),
        routes,
    };
    let serving = tokio::spawn(listen::run(listening, Arc::new(calls), listener, stopped.clone()));
    let reloading =
        tokio::spawn(Reloader::new(config.clone(), Arc::clone(&current), parts.sources).run(hangup, requests, stopped));
    tracing::info!(%address, "listening");
    Ok(Running {
        address,
        stop,
        serving,
        serving_files,
        watching,
        reloading,
        counting,
        retaining,
        limit,
        strangers,
        publishing,
        current,
    })
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

impl Running {
    /// Stops accepting, lets calls under way end, records the stop, and closes the log.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.serving.await.context("listener")?;
        if let Some(serving) = self.serving_files {
            serving.await.context("listener of the published log")?;
        }
        self.watching.await.context("readiness")?;
        self.reloading.await.context("reload")?;
        self.counting.await.context("refused calls")?;
        if let Some(retaining) = self.retaining {
            retaining.await.context("retention")?;
        }
        let hub = self.current.hub();
        rejections::record_refused(&hub.audit, &self.limit, &self.strangers).await;
        let recorded = record_event(&hub.audit, "stop", &[]).await;
        hub.audit.close().await;
        if let Some(publishing) = self.publishing {
            publishing.await.context("publishing the log")?;
        }
        recorded
    }
}
