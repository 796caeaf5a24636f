//! `lienthong config`.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;

use crate::{config, serve::Parts, show};

#[derive(Subcommand)]
pub(crate) enum Config {
    /// Load everything a configuration names (certificates, keys, agreements, policies, mappings), say what is wrong, and
    /// exit. Opens no port, no log and no database; adapters elsewhere are asked what they have.
    Check(Check),
}

#[derive(clap::Args)]
pub(crate) struct Check {
    /// Configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
}

impl Config {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Check(check) = self;
        let config = config::Config::load(&check.config)?;
        let parts = Parts::load(&config)?;
        for warning in &parts.warnings {
            show::line(format!("warning: {warning}"))?;
        }
        for problem in &parts.sources.problems {
            show::line(format!("error: {problem}"))?;
        }
        let mut table = show::table(["Source", "Engine", "Database", "Record types", "Unmapped fields"]);
        for adapter in parts.sources.sources.adapters() {
            let source = adapter.describe();
            let entry = config.sources.iter().find(|entry| entry.id == source.id);
            let database = entry.map(|entry| match (&entry.database, &entry.remote) {
                (Some(database), _) => database.to_string(),
                (None, Some(remote)) => format!("adapter at {}", remote.endpoint),
                (None, None) => String::new(),
            });
            table.add_row([
                source.id.clone(),
                source.engine.to_string(),
                database.unwrap_or_default(),
                source.records.iter().map(|record| record.record_type.name.clone()).collect::<Vec<_>>().join("\n"),
                source.records.iter().map(|record| record.unmapped().len()).sum::<usize>().to_string(),
            ]);
        }
        show::line(table)?;
        show::line(format!(
            "{} record types, {} agreements, {} purposes",
            parts.schema.record_types().count(),
            parts.access.agreements().len(),
            parts.access.purposes().len()
        ))?;
        if parts.sources.problems.is_empty() {
            show::line("The configuration can be served.")?;
            Ok(ExitCode::SUCCESS)
        } else {
            show::line("Served without the sources in error.")?;
            Ok(ExitCode::FAILURE)
        }
    }
}
