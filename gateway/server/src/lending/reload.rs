//! Reload while serving: mapping, address, allow-list, certificates, authorities and revocation lists, on SIGHUP and when a
//! file changes. All of it or nothing: a file that is wrong changes nothing and is named. With a record, each reload and each
//! refused one is an entry of it, and is in force no sooner.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use notify::RecommendedWatcher;
use proto::{
    Schema,
    audit::v1::{self as log, entry::Outcome},
};
use tokio::{
    signal::unix::Signal,
    sync::{mpsc, watch},
};

use super::{Config, Lending, Lent};
use crate::{listen::told_to_stop, own_events::hub_event, reload::files};

/// When the record cannot be written, a reload is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Longest part of a problem that goes into the record.
const PROBLEM_CHARACTERS_MAX: usize = 500;

pub(super) struct Reloader {
    /// The configuration in force, but for what takes effect only at a start.
    config: Config,
    schema: Arc<Schema>,
    lending: Arc<Lending>,
    changed: mpsc::UnboundedSender<()>,
    changes: mpsc::UnboundedReceiver<()>,
    /// Files are watched as long as it lives.
    watcher: Option<RecommendedWatcher>,
    /// The problem last said, so that a file that stays wrong is said once.
    refused: Option<String>,
}

impl Reloader {
    /// Watches the files of the configuration from now on.
    pub(super) fn new(config: Config, schema: Arc<Schema>, lending: Arc<Lending>) -> Self {
        let (changed, changes) = mpsc::unbounded_channel();
        // The files are read again once they are watched: they may have changed since they were read first.
        changed.send(()).ok();
        let mut reloader = Self { config, schema, lending, changed, changes, watcher: None, refused: None };
        reloader.watch_files();
        reloader
    }

    fn watch_files(&mut self) {
        self.watcher = files::watcher(&self.config.files(), &[], None, self.changed.clone())
            .inspect_err(|error| tracing::warn!(%error, "files are not watched; SIGHUP reloads them"))
            .ok();
    }

    /// Runs until told to stop.
    pub(super) async fn run(mut self, mut hangup: Signal, mut stop: watch::Receiver<bool>) {
        loop {
            let trigger = tokio::select! {
                Some(()) = hangup.recv() => "signal",
                () = files::changed_and_quiet(&mut self.changes) => "files",
                () = told_to_stop(&mut stop) => return,
            };
            while let Err(error) = self.reload(trigger).await {
                tracing::error!(%error, "a reload cannot be recorded; it is tried again");
                tokio::select! {
                    () = tokio::time::sleep(RETRY_AFTER) => {}
                    () = told_to_stop(&mut stop) => return,
                }
            }
        }
    }

    /// Fails only when the record cannot be written; then nothing has changed.
    async fn reload(&mut self, trigger: &'static str) -> anyhow::Result<()> {
        let before = self.lending.lent();
        let (config, after) = match self.load(&before) {
            Ok(loaded) => loaded,
            Err(error) => return self.refuse(trigger, &before, format!("{error:#}")).await,
        };
        self.refused = None;
        let opened = !Arc::ptr_eq(&before.adapter, &after.adapter);
        if trigger == "files" && !opened && before.digests() == after.digests() {
            return Ok(());
        }
        let mut details = vec![("trigger".to_owned(), trigger.to_owned())];
        for ((what, old), (_, new)) in before.digests().into_iter().zip(after.digests()) {
            details.push((format!("{what}_digest_before"), old.to_owned()));
            details.push((format!("{what}_digest_after"), new.to_owned()));
        }
        details.push(("source_opened".to_owned(), opened.to_string()));
        record(&before, Outcome::Answered, "reload", details).await?;
        tracing::info!(trigger, source_opened = opened, "reloaded");
        self.lending.replace(after);
        self.config = config;
        self.watch_files();
        Ok(())
    }

    fn load(&self, before: &Lent) -> anyhow::Result<(Config, Lent)> {
        let config = Config::load(self.config.file())?;
        if !self.config.reloads_into(&config) {
            tracing::warn!("[server], [record], [telemetry] and sectors take effect when the adapter is started again");
        }
        let lent =
            tokio::task::block_in_place(|| Lent::load(&config, &self.schema, before.record.clone(), Some(before)))?;
        Ok((config, lent))
    }

    async fn refuse(&mut self, trigger: &'static str, before: &Lent, problem: String) -> anyhow::Result<()> {
        if trigger == "files" && self.refused.as_ref() == Some(&problem) {
            return Ok(());
        }
        let shortened = problem.chars().take(PROBLEM_CHARACTERS_MAX).collect();
        let details = vec![("trigger".to_owned(), trigger.to_owned()), ("problem".to_owned(), shortened)];
        record(before, Outcome::Failed, "reload_refused", details).await?;
        tracing::error!(trigger, "reload refused, what was in force stays: {problem}");
        self.refused = Some(problem);
        Ok(())
    }
}

async fn record(lent: &Lent, outcome: Outcome, event: &str, details: Vec<(String, String)>) -> anyhow::Result<()> {
    let Some(record) = &lent.record else { return Ok(()) };
    let details = [("event".to_owned(), event.to_owned())].into_iter().chain(details);
    let details = details.map(|(name, value)| log::Detail { name, value }).collect();
    let entry = log::Entry { outcome: outcome.into(), details, ..hub_event() };
    record.log.append(entry).await.map(drop).with_context(|| format!("cannot record {event}"))
}
