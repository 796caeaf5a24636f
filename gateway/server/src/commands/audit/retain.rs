//! `lienthong audit retain`: what is at the end of its period.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context;
use audit::{
    AuditLog, Options,
    retention::{Survey, survey},
    verify::Progress,
};
use chrono::{DateTime, SecondsFormat, Utc};
use proto::Schema;

use super::verify::{bar, show_progress};
use crate::{config::Config, retention::RetentionFiles, serve::signing_key, show};

/// Count the entries whose retention period has ended.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../../deploy/help/audit-retain.txt"))]
pub(crate) struct Retain {
    /// Configuration file of the hub whose log it is.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// Remove what was counted. Not while the hub runs, which does so itself once a day.
    #[arg(long)]
    remove: bool,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Retain {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(&self.config)?;
        let files = RetentionFiles::load(&config, &Arc::new(Schema::builtin()?))?;
        let files = files.context("the configuration names no file audit.retention: nothing is ever removed")?;
        let (rules, holds, now) = (files.rules()?, files.holds()?, Utc::now());
        let (location, key) = (config.audit.database.location(config.folder())?, signing_key(&config)?);
        let bar = bar()?;
        let progress = |verified, tree_size| show_progress(&bar, Progress { verified, tree_size });
        let found = if self.remove {
            let log = AuditLog::open(&location, key, Options::default()).await?;
            let removed = log.retain(&rules, &holds, now, progress).await;
            log.close().await;
            removed?
        } else {
            survey(&location, key.verifier(), &rules, &holds, now, progress).await?
        };
        bar.finish_and_clear();
        self.show(&found)?;
        Ok(ExitCode::SUCCESS)
    }

    fn show(&self, found: &Survey) -> anyhow::Result<()> {
        let before = |seconds| {
            let time = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
            time.to_rfc3339_opts(SecondsFormat::Secs, true)
        };
        if self.json {
            let due = found.due.iter().map(|(class, due)| {
                serde_json::json!({
                    "class": class,
                    "months": due.months,
                    "made_before": before(due.before),
                    "entries": due.count,
                })
            });
            return Ok(show::line(serde_json::json!({
                "looked_at": found.looked_at,
                "due": due.collect::<Vec<_>>(),
                "held": found.held,
                "removed": if self.remove { found.count() } else { 0 },
            }))?);
        }
        let mut table = show::table(["Class", "Kept for", "Ended for entries made before", "Entries"]);
        for (class, due) in &found.due {
            let class = if class.is_empty() { "(no class)" } else { class };
            table.add_row([
                class.to_owned(),
                format!("{} months", due.months),
                before(due.before),
                due.count.to_string(),
            ]);
        }
        if !found.due.is_empty() {
            show::line(table)?;
        }
        for (number, count) in &found.held {
            show::line(format!("Hold {number} keeps {count} entries beyond their period."))?;
        }
        let count = found.count();
        show::line(if self.remove {
            format!("The bodies of {count} entries are removed; their hashes, and all proofs, stay.")
        } else {
            format!("The bodies of {count} entries would be removed; nothing was changed.")
        })?;
        Ok(())
    }
}
