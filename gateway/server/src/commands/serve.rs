//! `lienthong serve`.

use std::{path::PathBuf, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use crate::{config::Config, serve, telemetry::Telemetry};

/// Run the hub.
#[derive(clap::Args)]
pub(crate) struct Serve {
    /// Configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
}

impl Serve {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(&self.config)?;
        let _telemetry = Telemetry::start(&config.telemetry)?;
        let running = serve::start(&config).await?;
        until_told().await?;
        tracing::info!("stopping: calls under way may end");
        running.stop().await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Waits for SIGTERM or Ctrl-C.
pub(crate) async fn until_told() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
