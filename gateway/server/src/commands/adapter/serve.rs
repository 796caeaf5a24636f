//! `lienthong adapter serve`: the engine as a process of its own, beside the database it reads.

use std::{path::PathBuf, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    commands::serve::Told,
    lending::{self, Config},
    telemetry::Telemetry,
};

/// Serve one source to hubs elsewhere, so that the credentials of its database stay here.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../../deploy/help/adapter-serve.txt"))]
pub(crate) struct Serve {
    /// Configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
}

impl Serve {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(&self.config)?;
        let _telemetry = Telemetry::start(&config.telemetry)?;
        let (told, hangup) = (Told::listen()?, signal(SignalKind::hangup())?);
        let running = lending::start(config, hangup).await?;
        told.wait().await;
        tracing::info!("stopping: calls under way may end");
        running.stop().await?;
        Ok(ExitCode::SUCCESS)
    }
}
