//! The one task that writes: takes all waiting entries, commits them with a signed head in one transaction, then
//! answers each.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use crate::error::{AppendError, AuditError, Damage};
use crate::keys::SigningKeys;
use crate::log::{Appended, KeyChange};
use crate::meters;
use crate::note::{Checkpoint, NoteError, SignedNote};
use crate::store::{Backfill, Batch, Connection, Location, LogId};
use crate::tree::{self, Frontier, Hash};

/// Longest time a batch waits for callers that were there for the one before.
const LINGER: Duration = Duration::from_micros(200);
/// Checkpoints that were the newest for less than this are not kept.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// An entry waiting to be written, and who waits for it.
pub(crate) struct Pending {
    entry: Vec<u8>,
    leaf_hash: Hash,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

impl Pending {
    /// Hashes the entry where its caller is: there are many callers, and one writer.
    pub(crate) fn new(entry: Vec<u8>, reply: oneshot::Sender<Result<Appended, AppendError>>) -> Self {
        Self { leaf_hash: tree::leaf_hash(&entry), entry, reply }
    }
}

/// Owns the writing connection and the state of the tree that goes with it.
pub(crate) struct Writer {
    location: Location,
    keys: SigningKeys,
    state: Option<State>,
    newest: watch::Sender<Arc<Checkpoint>>,
    batch_size_max: usize,
    last_kept: Option<Instant>,
    lock: Option<File>,
    backfill: Option<Backfill>,
}

/// What is left of a writer that has stopped.
#[derive(Debug)]
pub(crate) struct Stopped {
    connection: Option<Connection>,
    lock: Option<File>,
    backfill: Option<Backfill>,
}

impl Stopped {
    /// Closes the store, then lets others have it. Of a file's connections the last to close moves everything into the
    /// one file, so the readers' must be closed before.
    pub(crate) async fn close(self) {
        if let Some(backfill) = self.backfill {
            backfill.end().await;
        }
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::warn!(error = %error, "audit log did not close cleanly");
        }
        drop(self.lock);
    }
}

/// Known only as long as it agrees with the store; dropped and read again after any failure.
struct State {
    connection: Connection,
    frontier: Frontier,
}

impl Writer {
    /// Opens the log, checks its end, and starts it with the checkpoint of the empty tree if it is new.
    pub(crate) async fn open(location: Location, keys: SigningKeys, batch_size_max: usize) -> Result<Self, AuditError> {
        let (lock, backfill) = match &location {
            Location::File(path) => (Some(lock(path)?), Some(Backfill::of(path))),
            // The connection holds the log, and the server writes what it holds by itself.
            Location::Postgres(_) => (None, None),
        };
        let mut connection = Connection::write(&location, &keys.verifiers(), batch_size_max, false).await?;
        if connection.session().newest_head().await?.is_none() {
            connection.session().check_ends(0).await?;
            let empty = Checkpoint::sign_with(0, tree::empty_root(), &keys)?;
            connection.insert_head(0, &empty.note).await?;
        }
        let (frontier, checkpoint) = read_head(&mut connection, &keys).await?;
        let (newest, _) = watch::channel(Arc::new(checkpoint));
        let state = Some(State { connection, frontier });
        Ok(Self { location, keys, state, newest, batch_size_max, last_kept: None, lock, backfill })
    }

    /// Number of the log within its store.
    pub(crate) fn log_id(&self) -> LogId {
        self.state.as_ref().map_or(0, |state| state.connection.log_id())
    }

    /// How the keys differ from those that signed the newest checkpoint, if they do.
    pub(crate) fn key_change(&self) -> Option<KeyChange> {
        let newest = self.newest.borrow().clone();
        let note = SignedNote::parse(&newest.note).ok()?;
        let own = note.signatures.iter().filter(|signature| signature.name == newest.origin);
        let before: Vec<_> = own.map(|signature| hex::encode(signature.key_id)).collect();
        let after: Vec<_> = self.keys.all().map(|key| hex::encode(key.verifier().id())).collect();
        (before != after).then_some(KeyChange { before, after })
    }

    /// Where each new checkpoint is published once it is durable.
    pub(crate) fn newest(&self) -> watch::Receiver<Arc<Checkpoint>> {
        self.newest.subscribe()
    }

    /// Writes until `close` is signalled and the queue is drained, or all senders are gone.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Pending>, mut close: oneshot::Receiver<()>) -> Stopped {
        let mut batch = Vec::with_capacity(self.batch_size_max);
        let mut closing = false;
        let mut previous = 1;
        loop {
            let taken = tokio::select! {
                biased;
                _ = &mut close, if !closing => {
                    closing = true;
                    queue.close();
                    continue;
                }
                taken = queue.recv_many(&mut batch, self.batch_size_max) => taken,
            };
            if taken == 0 {
                break;
            }
            self.linger(&mut queue, &mut batch, previous).await;
            previous = batch.len();
            self.commit(&mut batch).await;
        }
        Stopped { connection: self.state.map(|state| state.connection), lock: self.lock, backfill: self.backfill }
    }

    /// Callers that were answered together come back together, a little apart. Waiting for as many as the last batch
    /// had spares them a commit each; a lone caller never waits.
    async fn linger(&self, queue: &mut mpsc::Receiver<Pending>, batch: &mut Vec<Pending>, previous: usize) {
        let wanted = previous.min(self.batch_size_max);
        let started = Instant::now();
        while batch.len() < wanted && started.elapsed() < LINGER {
            tokio::task::yield_now().await;
            while batch.len() < self.batch_size_max
                && let Ok(pending) = queue.try_recv()
            {
                batch.push(pending);
            }
        }
    }

    async fn commit(&mut self, pending: &mut Vec<Pending>) {
        let started = Instant::now();
        let written = self.write(pending).await;
        meters::committed(pending.len(), started.elapsed(), written.is_ok());
        match written {
            Ok(appended) => {
                for (pending, appended) in pending.drain(..).zip(appended) {
                    // A caller that has gone away leaves its entry in the log.
                    let _ = pending.reply.send(Ok(appended));
                }
                // Those who follow the log after those who wait for it.
                self.newest.send_modify(|_| ());
            }
            Err(error) => {
                let error = Arc::new(error);
                for pending in pending.drain(..) {
                    let _ = pending.reply.send(Err(AppendError::Store(Arc::clone(&error))));
                }
                self.recover(&error).await;
            }
        }
    }

    async fn write(&mut self, pending: &[Pending]) -> Result<Vec<Appended>, AuditError> {
        self.ensure_state().await?;
        let dropped_head = self.dropped_head();
        let Some(state) = &mut self.state else { return Err(AuditError::Damaged(Damage::CheckpointMissing)) };

        let mut frontier = state.frontier.clone();
        let mut batch = Batch { first_index: frontier.size(), dropped_head, ..Batch::default() };
        let mut appended = Vec::with_capacity(pending.len());
        for Pending { entry, leaf_hash, .. } in pending {
            appended.push(Appended { log_index: frontier.size(), leaf_hash: *leaf_hash });
            frontier.push(*leaf_hash, &mut batch.hashes);
            batch.lengths.push(entry.len());
            batch.entries.extend_from_slice(entry);
        }
        let checkpoint = Checkpoint::sign_with(frontier.size(), frontier.root(), &self.keys)?;
        batch.tree_size = checkpoint.tree_size;
        batch.note = checkpoint.note.clone();

        let bytes = batch.entries.len();
        state.connection.append(batch).await?;
        if let Some(backfill) = &mut self.backfill {
            backfill.written(bytes);
        }
        state.frontier = frontier;
        if dropped_head.is_none() {
            self.last_kept = Some(Instant::now());
        }
        // Who is answered finds a checkpoint with the entry in it.
        self.newest.send_if_modified(|newest| {
            *newest = Arc::new(checkpoint);
            false
        });
        Ok(appended)
    }

    /// The newest checkpoint so far, if it follows the last kept one too closely to be kept itself.
    fn dropped_head(&self) -> Option<u64> {
        let newest = self.newest.borrow().tree_size;
        let recent = self.last_kept.is_some_and(|at| at.elapsed() < CHECKPOINT_INTERVAL);
        (newest > 0 && recent).then_some(newest)
    }

    /// After a failure the store alone knows what holds: whether the transaction happened is read back, not assumed.
    async fn recover(&mut self, error: &AuditError) {
        let Some(mut state) = self.state.take() else { return };
        if !state.connection.settle(error).await {
            return;
        }
        let read = match read_head(&mut state.connection, &self.keys).await {
            Ok((frontier, checkpoint)) => self.adopt(State { connection: state.connection, frontier }, checkpoint),
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            tracing::error!(error = %error, "audit log unreadable after a failed write");
        }
    }

    async fn ensure_state(&mut self) -> Result<(), AuditError> {
        if self.state.is_none() {
            let keys = self.keys.verifiers();
            let mut connection = Connection::write(&self.location, &keys, self.batch_size_max, true).await?;
            let (frontier, checkpoint) = read_head(&mut connection, &self.keys).await?;
            self.adopt(State { connection, frontier }, checkpoint)?;
        }
        Ok(())
    }

    /// Goes on from what the store holds. A store that lost what was acknowledged, such as a standby that was behind, is
    /// refused: going on there would fork the tree.
    fn adopt(&mut self, state: State, checkpoint: Checkpoint) -> Result<(), AuditError> {
        let newest = self.newest.borrow().clone();
        if checkpoint.tree_size < newest.tree_size {
            let damage = Damage::Shrunk { tree_size: checkpoint.tree_size, kept: newest.tree_size };
            return Err(AuditError::Damaged(damage));
        }
        if checkpoint.tree_size == newest.tree_size && checkpoint.root_hash != newest.root_hash {
            return Err(AuditError::Damaged(Damage::Rewritten { tree_size: newest.tree_size }));
        }
        self.state = Some(state);
        if checkpoint.tree_size != newest.tree_size {
            self.newest.send_replace(Arc::new(checkpoint));
        }
        Ok(())
    }
}

/// The newest checkpoint and the frontier it stands for, checked against each other and the ends of the tables.
async fn read_head(connection: &mut Connection, keys: &SigningKeys) -> Result<(Frontier, Checkpoint), AuditError> {
    let damaged = AuditError::Damaged;
    let mut session = connection.session();
    let (tree_size, note) = session.newest_head().await?.ok_or(damaged(Damage::CheckpointMissing))?;
    let checkpoint = Checkpoint::open(&note, &keys.verifiers()).map_err(|reason| match reason {
        NoteError::NotSigned { .. } => AuditError::Note(reason),
        reason => damaged(Damage::CheckpointInvalid { tree_size, reason }),
    })?;
    if checkpoint.tree_size != tree_size {
        return Err(damaged(Damage::CheckpointSize { tree_size, found: checkpoint.tree_size }));
    }
    session.check_ends(tree_size).await?;
    let subtrees = session.subtree_hashes(&tree::complete_subtrees(0..tree_size)).await?;
    let frontier = Frontier::new(tree_size, subtrees).ok_or(damaged(Damage::RootChanged { tree_size }))?;
    if frontier.root() != checkpoint.root_hash {
        return Err(damaged(Damage::RootChanged { tree_size }));
    }
    Ok((frontier, checkpoint))
}

/// Two writers would fork the tree; the lock ends with the process, however that ends.
pub(crate) fn lock(path: &Path) -> Result<File, AuditError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let failed = |source| AuditError::File { path: PathBuf::from(&lock_path).display().to_string(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(AuditError::InUse { path: path.display().to_string() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

#[cfg(test)]
mod tests;
