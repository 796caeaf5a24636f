//! `lienthong serve`.

use std::{path::PathBuf, process::ExitCode};

use tokio::signal::unix::{Signal, SignalKind, signal};

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
        // Before anything is started, so that a signal during start-up stops the hub in order, too.
        let told = Told::listen()?;
        let hangup = signal(SignalKind::hangup())?;
        let running = serve::start(&config, Some(hangup)).await?;
        told.wait().await;
        tracing::info!("stopping: calls under way may end");
        running.stop().await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// SIGTERM or Ctrl-C.
pub(crate) struct Told {
    terminate: Signal,
    interrupt: Signal,
}

impl Told {
    /// From now on the signals no longer end the process by themselves.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them.
    pub(crate) async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
