//! Keeps the log's files up to date while the hub runs: checkpoint, hash tiles and entry bundles (C2SP `tlog-tiles`), for
//! any web server to serve and for whoever copies them. With witnesses, a checkpoint is published when as many as required
//! have cosigned it; until then the one before stays, and the hub says so.

use std::{path::PathBuf, sync::Arc, time::Duration};

use audit::{Checkpoint, KeyHistory, Location, tiles::Publication};
use tokio::{runtime::Handle, sync::watch};

use crate::witnesses::Witnesses;

/// Pause between two publications: a checkpoint is published within a second of its entries.
const INTERVAL: Duration = Duration::from_millis(500);
/// Name under which the state stands in `grpc.health.v1`: not serving while a checkpoint lacks cosignatures, or files cannot be
/// written.
pub(crate) const HEALTH_NAME: &str = "lienthong.publication";

/// Which log is published where.
pub(crate) struct Publisher {
    pub(crate) location: Location,
    /// All that sign now: what was published before may carry an older one's signature only.
    pub(crate) keys: KeyHistory,
    pub(crate) folder: PathBuf,
    pub(crate) witnesses: Witnesses,
    pub(crate) state: watch::Sender<Published>,
}

/// What is published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Published {
    /// The newest checkpoint published, with the cosignatures it has; none until this process has published one.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Cosignatures that a newer checkpoint lacks; 0 if none waits for any.
    pub(crate) cosignatures_lacking: usize,
    /// The files could not be written.
    pub(crate) failed: bool,
}

impl Published {
    /// Whether everything there is to publish is, or is about to be.
    pub(crate) fn is_well(&self) -> bool {
        self.cosignatures_lacking == 0 && !self.failed
    }
}

impl Publisher {
    /// Publishes each new checkpoint until the log is closed, and then its last. What cannot be published now is published
    /// later: the log itself does not wait for it.
    pub(crate) async fn run(mut self, mut newest: watch::Receiver<Arc<Checkpoint>>) {
        let (location, keys, folder) = (self.location.clone(), self.keys.clone(), self.folder.clone());
        let mut publication = Publication::new(&location, &keys, &folder);
        let mut ended = false;
        loop {
            newest.mark_unchanged();
            self.publish(&mut publication).await;
            if ended {
                return;
            }
            tokio::time::sleep(INTERVAL).await;
            let well = self.state.borrow().is_well();
            ended = if well { newest.changed().await.is_err() } else { newest.has_changed().is_err() };
        }
    }

    async fn publish(&mut self, publication: &mut Publication<'_>) {
        loop {
            let runtime = Handle::current();
            // Files are written and synchronised on the thread that does it.
            let staged = tokio::task::block_in_place(|| runtime.block_on(publication.stage(&mut |_, _| {})));
            let checkpoint = match staged {
                Ok(None) => return,
                Ok(Some(staged)) => staged.checkpoint,
                Err(error) => return self.failed(&error),
            };
            let cosignatures = self.witnesses.cosign(publication, &checkpoint).await;
            let lacking = self.witnesses.required().saturating_sub(cosignatures.len());
            if lacking > 0 {
                return self.lacks(&checkpoint, lacking);
            }
            let checkpoint = checkpoint.with_signatures(&cosignatures);
            if let Err(error) = tokio::task::block_in_place(|| publication.publish(&checkpoint)) {
                return self.failed(&error);
            }
            let now = Published { checkpoint: Some(checkpoint), ..Published::default() };
            if !self.state.send_replace(now).is_well() {
                tracing::info!("the log is published again");
            }
        }
    }

    fn lacks(&self, checkpoint: &Checkpoint, lacking: usize) {
        let tree_size = checkpoint.tree_size;
        self.state.send_modify(|state| {
            if state.cosignatures_lacking != lacking {
                let required = self.witnesses.required();
                tracing::error!(
                    tree_size,
                    required,
                    lacking,
                    "the newest checkpoint lacks cosignatures and is not published"
                );
            }
            state.cosignatures_lacking = lacking;
            state.failed = false;
        });
    }

    fn failed(&self, error: &dyn std::fmt::Display) {
        self.state.send_modify(|state| {
            if !state.failed {
                tracing::error!(folder = %self.folder.display(), %error, "the log's files are not up to date");
            }
            state.failed = true;
        });
    }
}
