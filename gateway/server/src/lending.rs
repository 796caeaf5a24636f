//! A source lent to hubs elsewhere: the engine as a process of its own beside the database, whose credentials stay there. Its
//! owner says which hub may have what, and may keep an audit log of what left.

use std::{sync::Arc, time::Duration};

use adapter_sdk::{Adapter, SecretUrl};
use anyhow::Context;
use arc_swap::ArcSwap;
use audit::{AuditLog, SigningKey, SubjectHasher};
use aws_lc_rs::digest;
use proto::{Schema, adapter::v1::adapter_service_server::AdapterServiceServer};
use tokio::{net::TcpListener, signal::unix::Signal, sync::watch, task::JoinHandle};
use tonic::service::Routes;

use crate::{
    admission::Limit,
    call::Timeouts,
    current::{InForce, Snapshot},
    grpc::Calls,
    listen::{self, Listening, told_to_stop},
    metrics::Methods,
    own_events::{self, record_event},
    rejections::{self, Strangers},
    sectors::ProtoFiles,
    services::AdapterHandler,
    sources,
    tls::Trust,
};

mod allowed;
mod answer;
mod config;
mod reload;

pub(crate) use self::{
    allowed::{AllowList, Verb},
    answer::{Answer, Question},
    config::Config,
};
use self::{
    config::{Lender, RecordConfig},
    reload::Reloader,
};

/// How often calls refused unread are recorded.
const REFUSED_INTERVAL: Duration = Duration::from_secs(1);

/// What every call needs. A reload swaps it whole; a call ends with what it began with.
pub(crate) struct Lent {
    pub(crate) adapter: Arc<dyn Adapter>,
    pub(crate) allowed: AllowList,
    pub(crate) record: Option<Arc<Record>>,
    trust: Arc<Trust>,
    origin: Origin,
    /// SHA-256 over the owner's list, hex.
    allowed_digest: String,
}

/// The owner's own record of what left.
pub(crate) struct Record {
    pub(crate) log: AuditLog,
    pub(crate) hasher: SubjectHasher,
}

/// What the source was opened from.
#[derive(PartialEq, Eq)]
struct Origin {
    lender: Lender,
    mapping_digest: String,
    address: SecretUrl,
}

/// What is in force, and word of its changes.
pub(crate) struct Lending {
    lent: ArcSwap<Lent>,
    changes: watch::Sender<()>,
}

impl Lending {
    fn new(lent: Lent) -> Self {
        Self { lent: ArcSwap::from_pointee(lent), changes: watch::Sender::new(()) }
    }

    /// What to serve one call with.
    pub(crate) fn lent(&self) -> Arc<Lent> {
        self.lent.load_full()
    }

    fn replace(&self, lent: Lent) {
        self.lent.store(Arc::new(lent));
        self.changes.send_replace(());
    }
}

impl InForce for Lending {
    fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.lent.load().trust)
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        None
    }
}

impl Lent {
    /// Reads all that the configuration names. A source that did not change is kept, with its connections.
    fn load(
        config: &Config,
        schema: &Schema,
        record: Option<Arc<Record>>,
        before: Option<&Self>,
    ) -> anyhow::Result<Self> {
        let (folder, lender) = (config.folder(), &config.source);
        let address = lender.database.url(folder).context("source.database")?;
        let (mapping, _) = sources::mapping(folder, &lender.id, lender.mapping.as_deref())?;
        let origin = Origin { lender: lender.clone(), mapping_digest: mapping.digest, address };
        let adapter = match before.filter(|before| before.origin == origin) {
            Some(before) => Arc::clone(&before.adapter),
            None => Arc::new(sources::sql_source(
                folder,
                schema,
                &lender.id,
                lender.mapping.as_deref(),
                &lender.database,
                lender.connections_max,
            )?),
        };
        let trust = Trust::load(&config.tls, folder)?;
        let same = before.filter(|before| before.trust.digest() == trust.digest());
        let trust = same.map_or_else(|| Arc::new(trust), |before| Arc::clone(&before.trust));
        let digest = digest::digest(&digest::SHA256, format!("{:?}", config.allow).as_bytes());
        Ok(Self {
            allowed: AllowList::read(&config.allow, adapter.describe())?,
            adapter,
            record,
            trust,
            origin,
            allowed_digest: hex::encode(digest),
        })
    }

    /// What, and its digest.
    fn digests(&self) -> [(&'static str, &str); 3] {
        [
            ("allowed", &self.allowed_digest),
            ("mapping", &self.origin.mapping_digest),
            ("certificates", self.trust.digest()),
        ]
    }
}

/// An adapter that answers.
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    reloading: JoinHandle<()>,
    counting: JoinHandle<()>,
    record: Option<Arc<Record>>,
}

/// Opens the source and the record, listens and serves. A database that is down does not hold it up. Changed files are
/// reloaded, all of them also when the signal comes.
pub(crate) async fn start(config: Config, hangup: Signal) -> anyhow::Result<Running> {
    let schema = Arc::new(ProtoFiles::read(config.sectors_folder().as_deref())?.schema(None)?);
    let record = match &config.record {
        Some(record) => Some(Arc::new(open_record(record, &config).await.context("record")?)),
        None => None,
    };
    let lent = Lent::load(&config, &schema, record.clone(), None)?;
    if let Some(record) = &record {
        let details = lent.digests().map(|(what, digest)| (format!("{what}_digest"), digest.to_owned()));
        let details = details.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let details: Vec<_> = [("version", env!("CARGO_PKG_VERSION"))].into_iter().chain(details).collect();
        own_events::record_start(&record.log, &record.hasher, &details).await?;
    }
    let lending = Arc::new(Lending::new(lent));
    let server = &config.server;
    let timeouts = Timeouts {
        default: Duration::from_millis(server.call_timeout_ms),
        max: Duration::from_millis(server.call_timeout_max_ms),
    };
    let (limit, strangers) = (Limit::new(server.calls_max), Strangers::default());
    let handler = AdapterHandler { lending: Arc::clone(&lending), timeouts, limit: limit.clone() };
    let service = AdapterServiceServer::new(handler).max_decoding_message_size(server.request_bytes_max);
    let listening = Listening {
        trust_domain: server.trust_domain.clone(),
        handshake_timeout: Duration::from_millis(server.handshake_timeout_ms),
        connection_age_max: Duration::from_secs(server.connection_age_max_s),
        shutdown_timeout: Duration::from_secs(server.shutdown_timeout_s),
        current: Arc::clone(&lending) as Arc<dyn InForce>,
        strangers: strangers.clone(),
    };
    let calls = Calls {
        timeouts,
        methods: Methods::new(&schema),
        current: Arc::clone(&lending) as Arc<dyn InForce>,
        strangers: strangers.clone(),
        limit: limit.clone(),
        routes: Routes::new(service),
    };
    let listener =
        TcpListener::bind(server.listen).await.with_context(|| format!("cannot listen on {}", server.listen))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(limit.clone().keep_up(Duration::from_micros(server.lateness_max_us), stopped.clone()));
    let serving = tokio::spawn(listen::run(listening, Arc::new(calls), listener, stopped.clone()));
    let counting = tokio::spawn(count_refused(record.clone(), limit, strangers, stopped.clone()));
    let reloading = tokio::spawn(Reloader::new(config, schema, lending).run(hangup, stopped));
    Ok(Running { stop, serving, reloading, counting, record })
}

async fn open_record(config: &RecordConfig, whole: &Config) -> anyhow::Result<Record> {
    let folder = whole.folder();
    let key = SigningKey::load(&folder.join(&config.signing_key))?;
    let location = config.database.location(folder)?;
    Ok(Record {
        log: AuditLog::open(&location, key, audit::Options::default()).await?,
        hasher: SubjectHasher::load(&folder.join(&config.subject_key))?,
    })
}

/// Records from time to time, and at the end, who was turned away unread.
async fn count_refused(
    record: Option<Arc<Record>>,
    limit: Limit,
    strangers: Strangers,
    mut stop: watch::Receiver<bool>,
) {
    let Some(record) = record else { return };
    loop {
        let stopped = tokio::select! {
            () = tokio::time::sleep(REFUSED_INTERVAL) => false,
            () = told_to_stop(&mut stop) => true,
        };
        rejections::record_refused(&record.log, &limit, &strangers).await;
        if stopped {
            return;
        }
    }
}

impl Running {
    /// Stops accepting, lets calls under way end, records the stop, and closes the record.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.serving.await.context("listener")?;
        self.reloading.await.context("reload")?;
        self.counting.await.context("refused calls")?;
        let Some(record) = self.record else { return Ok(()) };
        let recorded = record_event(&record.log, "stop", &[]).await;
        record.log.close().await;
        recorded
    }
}
