//! Reload while serving: agreements, policies, purposes, agencies, certificates, authorities, revocation lists, sources and
//! their mappings, record types of sectors that are not built in, quotas and identity providers, on SIGHUP, when a file changes and when an operator asks. All of it or nothing: a file that is wrong changes nothing and is
//! named. Each reload, and each refused one, is an entry of the audit log, with the digests before and after.

use std::{sync::Arc, time::Duration};

use access::{AccessSet, AccessSources, HubPermit, Officer};
use anyhow::{Context, bail};
use chrono::Utc;
use notify::RecommendedWatcher;
use proto::audit::v1::{
    self as log,
    entry::{Disclosure, Kind, Outcome},
};
use query::Hub;
use tokio::{
    signal::unix::Signal,
    sync::{mpsc, oneshot, watch},
};

use crate::{
    config::Config,
    current::{Current, RecordTypes, Snapshot},
    expiry::{self, Ending},
    listen::told_to_stop,
    own_events::hub_event,
    reflection,
    sectors::ProtoFiles,
    serve,
    sources::OpenSources,
    tls::Trust,
    tokens::Tokens,
};

pub(crate) mod files;

/// When the log cannot record a reload, it is tried again after this time: nothing is in force unrecorded.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often expiry is looked at.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest part of a problem that goes into the log.
const PROBLEM_CHARACTERS_MAX: usize = 500;

/// Why a reload is tried.
enum Trigger {
    Signal,
    Files,
    Operator(Box<Request>),
}

impl Trigger {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Files => "files",
            Self::Operator(_) => "operator",
        }
    }
}

/// An operator's wish, decided already.
pub(crate) struct Request {
    pub(crate) call: query::Call,
    pub(crate) officer: Officer,
    pub(crate) permit: HubPermit,
    pub(crate) answer: oneshot::Sender<Result<Reloaded, NotReloaded>>,
}

/// What is in force after a reload.
#[derive(Debug)]
pub(crate) struct Reloaded {
    pub(crate) log_index: u64,
    /// What, its digest, and whether it is other than before.
    pub(crate) in_force: Vec<(&'static str, String, bool)>,
}

/// Why what was in force stays.
#[derive(Debug)]
pub(crate) struct NotReloaded {
    pub(crate) log_index: u64,
    pub(crate) problem: String,
}

/// Watches files, listens to signal and operators, and reloads.
pub(crate) struct Reloader {
    /// The configuration in force, but for what takes effect only at a start.
    config: Config,
    current: Arc<Current>,
    /// The sources in force.
    sources: OpenSources,
    changed: mpsc::UnboundedSender<()>,
    changes: mpsc::UnboundedReceiver<()>,
    /// Files are watched as long as it lives.
    watcher: Option<RecommendedWatcher>,
    /// The problem last recorded, so that a file that stays wrong is recorded once.
    refused: Option<String>,
}

impl Reloader {
    /// Watches the files of the configuration from now on.
    pub(crate) fn new(config: Config, current: Arc<Current>, sources: OpenSources) -> Self {
        let (changed, changes) = mpsc::unbounded_channel();
        // The files are read again once they are watched: they may have changed since they were read first.
        changed.send(()).ok();
        let mut reloader = Self { config, current, sources, changed, changes, watcher: None, refused: None };
        reloader.watch_files();
        reloader
    }

    fn watch_files(&mut self) {
        let sectors = self.config.sectors_folder();
        let (files, folders) = files::of_hub(&self.config);
        self.watcher = files::watcher(&files, &folders, sectors.as_deref(), self.changed.clone())
            .inspect_err(|error| tracing::warn!(%error, "files are not watched; SIGHUP reloads them"))
            .ok();
    }

    /// Runs until told to stop. Without a signal to listen for, files and operators lead to reloads.
    pub(crate) async fn run(
        mut self,
        mut hangup: Option<Signal>,
        mut requests: mpsc::Receiver<Request>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut daily = tokio::time::interval(EXPIRY_INTERVAL);
        loop {
            let trigger = tokio::select! {
                () = hung_up(hangup.as_mut()) => Trigger::Signal,
                () = files::changed_and_quiet(&mut self.changes) => Trigger::Files,
                Some(request) = requests.recv() => Trigger::Operator(Box::new(request)),
                _ = daily.tick() => {
                    self.say_what_expires();
                    continue;
                }
                () = told_to_stop(&mut stop) => return,
            };
            // Before anything is read, so that what changes from then on is seen: a folder may have been replaced by another.
            self.watch_files();
            let outcome = loop {
                match self.reload(&trigger).await {
                    Ok(outcome) => break outcome,
                    Err(error) => tracing::error!(%error, "the audit log cannot record a reload; it is tried again"),
                }
                tokio::select! {
                    () = tokio::time::sleep(RETRY_AFTER) => {}
                    () = told_to_stop(&mut stop) => return,
                }
            };
            if let (Trigger::Operator(request), Some(outcome)) = (trigger, outcome) {
                // The caller may have gone; the log has it.
                let _ = request.answer.send(outcome);
            }
        }
    }

    /// Nothing when the trigger was a change of files and nothing that counts has changed. Fails only when the log cannot
    /// record; then nothing has changed.
    async fn reload(&mut self, trigger: &Trigger) -> anyhow::Result<Option<Result<Reloaded, NotReloaded>>> {
        let before = self.current.snapshot();
        let loaded = match self.load(&before).await {
            Ok(loaded) => loaded,
            Err(error) => {
                let refused = self.refuse(trigger, &before, &format!("{error:#}")).await?;
                return Ok(refused.map(Err));
            }
        };
        self.refused = None;
        let after = &loaded.snapshot;
        let changes = [
            (
                "access",
                before.hub.access.digest(),
                after.hub.access.digest(),
                !Arc::ptr_eq(&before.hub.access, &after.hub.access),
            ),
            (
                "sources",
                self.sources.digest(),
                loaded.sources.digest(),
                !Arc::ptr_eq(&before.hub.sources, &after.hub.sources),
            ),
            ("certificates", before.trust.digest(), after.trust.digest(), !Arc::ptr_eq(&before.trust, &after.trust)),
            (
                "adapter_certificates",
                self.sources.certificates_digest(),
                loaded.sources.certificates_digest(),
                self.sources.certificates_digest() != loaded.sources.certificates_digest(),
            ),
            (
                "identity_providers",
                before.tokens.digest(),
                after.tokens.digest(),
                !Arc::ptr_eq(&before.tokens, &after.tokens),
            ),
            (
                "record_types",
                &before.record_types.digest,
                &after.record_types.digest,
                !Arc::ptr_eq(&before.record_types, &after.record_types),
            ),
        ];
        if matches!(trigger, Trigger::Files) && changes.iter().all(|(.., changed)| !changed) {
            return Ok(None);
        }
        let opened = loaded.sources.opened_since(&self.sources).collect::<Vec<_>>().join(" ");
        let mut details = vec![("trigger".to_owned(), trigger.as_str().to_owned())];
        for (what, old, new, _) in changes {
            details.push((format!("{what}_digest_before"), old.to_owned()));
            details.push((format!("{what}_digest_after"), new.to_owned()));
        }
        details.push(("sources_opened".to_owned(), opened.clone()));
        let log_index = record(&before.hub, trigger, "reload", details).await?;
        let in_force = changes.map(|(what, _, digest, changed)| (what, digest.to_owned(), changed)).to_vec();
        tracing::info!(
            trigger = trigger.as_str(),
            agreements = after.hub.access.agreements().len(),
            access_digest = after.hub.access.digest(),
            sources_digest = loaded.sources.digest(),
            sources_opened = opened,
            certificates_digest = after.trust.digest(),
            "reloaded"
        );
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        self.current.replace(loaded.snapshot);
        self.sources = loaded.sources;
        self.config = loaded.config;
        self.watch_files();
        self.say_what_expires();
        Ok(Some(Ok(Reloaded { log_index, in_force })))
    }

    /// Reads everything anew. What did not change is kept, with what the hub has learnt about it: decisions, connections to
    /// databases, TLS sessions, keys of identity providers.
    async fn load(&self, before: &Arc<Snapshot>) -> anyhow::Result<Loaded> {
        let config = Config::load(self.config.file())?;
        if !self.config.reloads_into(&config) {
            tracing::warn!("[server], [audit] and [telemetry] take effect when the hub is started again");
        }
        let (before, sources) = (Arc::clone(before), self.sources.clone());
        // Reading and validating takes a while; calls go on beside it.
        tokio::task::spawn_blocking(move || load(config, &before, &sources)).await.context("reload")?
    }

    async fn refuse(
        &mut self,
        trigger: &Trigger,
        before: &Snapshot,
        problem: &str,
    ) -> anyhow::Result<Option<NotReloaded>> {
        if matches!(trigger, Trigger::Files) && self.refused.as_deref() == Some(problem) {
            return Ok(None);
        }
        let shortened: String = problem.chars().take(PROBLEM_CHARACTERS_MAX).collect();
        let details = [
            ("trigger", trigger.as_str()),
            ("problem", &shortened),
            ("access_digest_in_force", before.hub.access.digest()),
            ("sources_digest_in_force", self.sources.digest()),
            ("certificates_digest_in_force", before.trust.digest()),
            ("adapter_certificates_digest_in_force", self.sources.certificates_digest()),
            ("identity_providers_digest_in_force", before.tokens.digest()),
            ("record_types_digest_in_force", &before.record_types.digest),
        ];
        let details = details.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let log_index = record(&before.hub, trigger, "reload_refused", details).await?;
        tracing::error!(trigger = trigger.as_str(), "reload refused, what was in force stays: {problem}");
        self.refused = Some(problem.to_owned());
        Ok(Some(NotReloaded { log_index, problem: shortened }))
    }

    /// Days left of certificates, revocation lists and agreements, as log lines.
    fn say_what_expires(&self) {
        let (snapshot, now) = (self.current.snapshot(), Utc::now());
        for (certificate, days_left) in snapshot.trust.days_left(now) {
            tracing::info!(certificate, days_left, "certificate holds");
        }
        for Ending { what, days_left } in expiry::ending_soon(&snapshot, now) {
            tracing::warn!(what, days_left, "ends soon");
        }
    }
}

struct Loaded {
    config: Config,
    snapshot: Snapshot,
    sources: OpenSources,
    warnings: Vec<String>,
}

fn load(config: Config, before: &Snapshot, open: &OpenSources) -> anyhow::Result<Loaded> {
    let protos = ProtoFiles::read(config.sectors_folder().as_deref())?;
    let same_record_types = protos.digest() == before.record_types.digest;
    let (schema, record_types) = if same_record_types {
        (Arc::clone(&before.hub.schema), Arc::clone(&before.record_types))
    } else {
        let digest = protos.digest();
        let schema = Arc::new(protos.schema(Some(&before.hub.schema))?);
        let reflection = reflection::routes(&schema)?;
        (schema, Arc::new(RecordTypes { reflection, digest }))
    };
    let files = AccessSources::read(&serve::access_files(&config)?)?;
    let mut warnings = Vec::new();
    let access = if same_record_types && files.digest() == before.hub.access.digest() {
        Arc::clone(&before.hub.access)
    } else {
        let loaded = AccessSet::from_sources(&schema, &files, Utc::now())?;
        warnings.extend(loaded.warnings.iter().map(ToString::to_string));
        Arc::new(loaded.set.counting_on_from(&before.hub.access))
    };
    let trust = Trust::load(&config.tls, config.folder())?;
    let trust = if trust.digest() == before.trust.digest() { Arc::clone(&before.trust) } else { Arc::new(trust) };
    let tokens = Tokens::load(&config)?;
    let tokens = if tokens.digest() == before.tokens.digest() { Arc::clone(&before.tokens) } else { Arc::new(tokens) };
    let sources = open.successor(&config, &schema)?;
    // A source that was wrong before may stay so; it stays out.
    if let Some(problem) = sources.problems.iter().find(|problem| !open.problems.contains(problem)) {
        bail!("{problem}");
    }
    let hub = Hub { schema, access, sources: Arc::clone(&sources.sources), ..(*before.hub).clone() };
    Ok(Loaded { config, snapshot: Snapshot { hub: Arc::new(hub), trust, tokens, record_types }, sources, warnings })
}

/// Records an event; one that an operator asked for with the operator's call. Gives its index.
async fn record(hub: &Hub, trigger: &Trigger, event: &str, details: Vec<(String, String)>) -> anyhow::Result<u64> {
    let details = [("event".to_owned(), event.to_owned())].into_iter().chain(details);
    let mut details: Vec<_> = details.map(|(name, value)| log::Detail { name, value }).collect();
    let outcome = if event == "reload" { Outcome::Answered } else { Outcome::Failed };
    let failed = || format!("cannot record {event} in the audit log");
    let Trigger::Operator(request) = trigger else {
        let entry = log::Entry { outcome: outcome.into(), details, ..hub_event() };
        return hub.audit.append(entry).await.map(|appended| appended.log_index).with_context(failed);
    };
    let detail = |name: &str, value: &String| log::Detail { name: name.to_owned(), value: value.clone() };
    details.extend(request.permit.agreements().iter().map(|number| detail("agreement", number)));
    details.extend(request.permit.policy_ids().iter().map(|id| detail("policy", id)));
    let entry = log::Entry {
        officer: Some(query::officer(&request.officer)),
        outcome: outcome.into(),
        disclosure: Disclosure::Never.into(),
        details,
        ..query::begin_entry(Kind::HubEvent, &request.call)
    };
    hub.record(&request.call, entry).await.map(|receipt| receipt.log_index).with_context(failed)
}

async fn hung_up(hangup: Option<&mut Signal>) {
    let heard = match hangup {
        Some(hangup) => hangup.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending::<()>().await;
    }
}
