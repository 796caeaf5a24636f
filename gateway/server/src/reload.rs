//! Reload while serving: agreements, policies, purposes, agencies, certificates, authorities, revocation lists, sources and
//! their mappings, on SIGHUP and when a file changes. All of it or nothing: a file that is wrong changes nothing and is
//! named. Each reload, and each refused one, is an entry of the audit log, with the digests before and after.

use std::{sync::Arc, time::Duration};

use access::{AccessSet, AccessSources, ENDING_SOON_DAYS};
use anyhow::{Context, bail};
use chrono::Utc;
use notify::RecommendedWatcher;
use query::Hub;
use tokio::{
    signal::unix::Signal,
    sync::{mpsc, watch},
};

use crate::{config::Config, current::Current, listen::told_to_stop, serve, sources::OpenSources, tls::Trust};

mod files;

/// When the log cannot record a reload, it is tried again after this time: nothing is in force unrecorded.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often expiry is looked at.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// A certificate or revocation list that ends within these days is reported as a warning.
const CERTIFICATE_DAYS: i64 = 30;
/// Longest part of a problem that goes into the log.
const PROBLEM_CHARACTERS_MAX: usize = 500;

/// Why a reload is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    Signal,
    Files,
}

impl Trigger {
    fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Files => "files",
        }
    }
}

/// Watches files and signal, and reloads.
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
        self.watcher = files::watcher(&self.config, self.changed.clone())
            .inspect_err(|error| tracing::warn!(%error, "files are not watched; SIGHUP reloads them"))
            .ok();
    }

    /// Runs until told to stop. Without a signal to listen for, only files lead to reloads.
    pub(crate) async fn run(mut self, mut hangup: Option<Signal>, mut stop: watch::Receiver<bool>) {
        let mut daily = tokio::time::interval(EXPIRY_INTERVAL);
        loop {
            let trigger = tokio::select! {
                () = hung_up(hangup.as_mut()) => Trigger::Signal,
                () = files::changed_and_quiet(&mut self.changes) => Trigger::Files,
                _ = daily.tick() => {
                    self.say_what_expires();
                    continue;
                }
                () = told_to_stop(&mut stop) => return,
            };
            while let Err(error) = self.reload(trigger).await {
                tracing::error!(%error, "the audit log cannot record a reload; it is tried again");
                tokio::select! {
                    () = tokio::time::sleep(RETRY_AFTER) => {}
                    () = told_to_stop(&mut stop) => return,
                }
            }
        }
    }

    /// Fails only when the log cannot record; then nothing has changed.
    async fn reload(&mut self, trigger: Trigger) -> anyhow::Result<()> {
        let (old_hub, old_trust) = (self.current.hub(), self.current.trust());
        let loaded = match self.load(&old_hub, &old_trust).await {
            Ok(loaded) => loaded,
            Err(error) => return self.refuse(trigger, &old_hub, &old_trust, &format!("{error:#}")).await,
        };
        self.refused = None;
        let same = Arc::ptr_eq(&loaded.access, &old_hub.access)
            && Arc::ptr_eq(&loaded.trust, &old_trust)
            && Arc::ptr_eq(&loaded.sources.sources, &old_hub.sources);
        if trigger == Trigger::Files && same {
            return Ok(());
        }
        let opened = loaded.sources.opened_since(&self.sources).collect::<Vec<_>>().join(" ");
        let details = [
            ("trigger", trigger.as_str()),
            ("access_digest_before", old_hub.access.digest()),
            ("access_digest_after", loaded.access.digest()),
            ("sources_digest_before", self.sources.digest()),
            ("sources_digest_after", loaded.sources.digest()),
            ("sources_opened", &opened),
            ("certificates_digest_before", old_trust.digest()),
            ("certificates_digest_after", loaded.trust.digest()),
        ];
        serve::record_event(&old_hub, "reload", &details).await?;
        tracing::info!(
            trigger = trigger.as_str(),
            agreements = loaded.access.agreements().len(),
            access_digest = loaded.access.digest(),
            sources_digest = loaded.sources.digest(),
            sources_opened = opened,
            certificates_digest = loaded.trust.digest(),
            "reloaded"
        );
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let sources = Arc::clone(&loaded.sources.sources);
        let hub = Hub { access: loaded.access, sources, ..(*old_hub).clone() };
        self.current.replace(Arc::new(hub), loaded.trust);
        self.sources = loaded.sources;
        self.config = loaded.config;
        self.watch_files();
        self.say_what_expires();
        Ok(())
    }

    /// Reads everything anew. What did not change is kept, with what the hub has learnt about it: decisions, connections to
    /// databases, TLS sessions.
    async fn load(&self, hub: &Hub, trust: &Arc<Trust>) -> anyhow::Result<Loaded> {
        let config = Config::load(self.config.file())?;
        if !self.config.reloads_into(&config) {
            tracing::warn!("[server], [audit] and [telemetry] take effect when the hub is started again");
        }
        let (schema, access, trust) = (Arc::clone(&hub.schema), Arc::clone(&hub.access), Arc::clone(trust));
        let sources = self.sources.clone();
        let load = move || {
            let files = AccessSources::read(&serve::access_files(&config))?;
            let mut warnings = Vec::new();
            let access = if files.digest() == access.digest() {
                access
            } else {
                let loaded = AccessSet::from_sources(&schema, &files, Utc::now())?;
                warnings.extend(loaded.warnings.iter().map(ToString::to_string));
                Arc::new(loaded.set)
            };
            let read = Trust::load(&config)?;
            let trust = if read.digest() == trust.digest() { trust } else { Arc::new(read) };
            let opened = sources.successor(&config, &schema)?;
            // A source that was wrong before may stay so; it stays out.
            if let Some(problem) = opened.problems.iter().find(|problem| !sources.problems.contains(problem)) {
                bail!("{problem}");
            }
            Ok(Loaded { config, access, warnings, trust, sources: opened })
        };
        // Reading and validating takes a while; calls go on beside it.
        tokio::task::spawn_blocking(load).await.context("reload")?
    }

    async fn refuse(&mut self, trigger: Trigger, hub: &Hub, trust: &Trust, problem: &str) -> anyhow::Result<()> {
        if trigger == Trigger::Files && self.refused.as_deref() == Some(problem) {
            return Ok(());
        }
        let shortened: String = problem.chars().take(PROBLEM_CHARACTERS_MAX).collect();
        let details = [
            ("trigger", trigger.as_str()),
            ("problem", &shortened),
            ("access_digest_in_force", hub.access.digest()),
            ("sources_digest_in_force", self.sources.digest()),
            ("certificates_digest_in_force", trust.digest()),
        ];
        serve::record_event(hub, "reload_refused", &details).await?;
        tracing::error!(trigger = trigger.as_str(), "reload refused, what was in force stays: {problem}");
        self.refused = Some(problem.to_owned());
        Ok(())
    }

    /// Days left of certificates, revocation lists and agreements, as log lines.
    fn say_what_expires(&self) {
        let (hub, trust, now) = (self.current.hub(), self.current.trust(), Utc::now());
        for (certificate, days_left) in trust.days_left(now) {
            if days_left < CERTIFICATE_DAYS {
                tracing::warn!(certificate, days_left, "certificate expires soon");
            } else {
                tracing::info!(certificate, days_left, "certificate holds");
            }
        }
        for agreement in hub.access.agreements() {
            let days_left = agreement.days_left(now);
            if days_left < ENDING_SOON_DAYS {
                tracing::warn!(agreement = agreement.number, days_left, "agreement ends soon");
            }
        }
    }
}

struct Loaded {
    config: Config,
    access: Arc<AccessSet>,
    warnings: Vec<String>,
    trust: Arc<Trust>,
    sources: OpenSources,
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
