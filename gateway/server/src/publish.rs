//! Keeps the log's files up to date while the hub runs: checkpoint, hash tiles and entry bundles (C2SP `tlog-tiles`), for
//! any web server to serve and for whoever copies them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use audit::{Checkpoint, Location, VerifierKey, tiles};
use tokio::{runtime::Handle, sync::watch};

/// Pause between two publications: a checkpoint is published within a second of its entries.
const INTERVAL: Duration = Duration::from_millis(500);

/// Which log is published where.
#[derive(Clone)]
pub(crate) struct Publisher {
    pub(crate) location: Location,
    pub(crate) key: VerifierKey,
    pub(crate) folder: PathBuf,
}

impl Publisher {
    /// Publishes each new checkpoint until the log is closed, and then its last. What cannot be published now is published
    /// later: the log itself does not wait for it.
    pub(crate) async fn run(self, mut newest: watch::Receiver<Arc<Checkpoint>>) {
        loop {
            newest.mark_unchanged();
            self.publish().await;
            tokio::time::sleep(INTERVAL).await;
            if newest.changed().await.is_err() {
                return self.publish().await;
            }
        }
    }

    async fn publish(&self) {
        let Self { location, key, folder } = self.clone();
        let runtime = Handle::current();
        // Files are written and synchronised on the thread that does it.
        let exporting = tokio::task::spawn_blocking(move || {
            runtime.block_on(async { tiles::export(&location, &key, &folder, |_, _| {}).await })
        });
        match exporting.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::error!(folder = %self.folder.display(), %error, "the log's files are not up to date");
            }
            Err(error) => tracing::error!(%error, "publishing the log ended abnormally"),
        }
    }
}
