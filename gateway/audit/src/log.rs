//! [`AuditLog`]: the open log, as its callers see it.

use std::sync::{Arc, Mutex};

use futures::Stream;
use prost::Message;
use proto::audit::v1::{Entry, InclusionProof, LoggedEntry};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::error::{AppendError, AuditError, Damage};
use crate::index::Index;
use crate::key::VerifierKey;
use crate::keys::SigningKeys;
use crate::note::Checkpoint;
use crate::store::{Location, Readers, postgres};
use crate::tree::Hash;
use crate::view::{LogView, Newest};
use crate::writer::{Pending, Stopped, Writer};

/// Version of the entry encoding written by this release.
pub const ENTRY_VERSION: u32 = 1;
/// Longest entry, in bytes. Entry bundles of C2SP `tlog-tiles` end at 65,535.
pub const ENTRY_LENGTH_MAX: usize = 60_000;

/// Limits of an open log.
#[derive(Debug, Clone)]
pub struct Options {
    /// Entries that may wait to be written; further ones are refused.
    pub queue_size_max: usize,
    /// Entries in one transaction.
    pub batch_size_max: usize,
    /// Connections that read.
    pub reader_count_max: u32,
    /// Entries of one block of the search index, at most 65,536; the last, not yet full block is held in memory. Processes
    /// that share a store must agree: an index of another block size is built anew.
    pub index_block_size: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue_size_max: 4096, batch_size_max: 512, reader_count_max: 4, index_block_size: 1 << 15 }
    }
}

/// Where an entry stands in the log, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Index of the entry.
    pub log_index: u64,
    /// RFC 6962 leaf hash of the entry.
    pub leaf_hash: Hash,
}

/// An open audit log. One process may have it open; any number of tasks may share it.
///
/// Entries that were acknowledged survive the process and the power. Close it with [`AuditLog::close`]; if it is dropped
/// instead, what waits is still written as long as the runtime lives.
#[derive(Debug)]
pub struct AuditLog {
    verifier: VerifierKey,
    queue: mpsc::Sender<Pending>,
    newest: watch::Receiver<Arc<Checkpoint>>,
    location: Location,
    readers: Readers,
    pub(crate) index: Arc<Index>,
    key_change: Option<KeyChange>,
    tasks: Mutex<Option<Tasks>>,
}

/// That a log is signed by other keys than before: ids of the keys, hex, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// Keys that signed the newest checkpoint found.
    pub before: Vec<String>,
    /// Keys that sign the next.
    pub after: Vec<String>,
}

#[derive(Debug)]
struct Tasks {
    close: oneshot::Sender<()>,
    writer: JoinHandle<Stopped>,
    indexer: JoinHandle<()>,
}

impl AuditLog {
    /// Opens the log of the key, or keys, at a place, or starts one there. The key's name is the log's origin.
    ///
    /// Checks that the newest checkpoint is signed by one of the keys and fits the end of what is stored; checking everything is
    /// left to [`crate::verify`].
    pub async fn open(location: &Location, keys: impl Into<SigningKeys>, options: Options) -> Result<Self, AuditError> {
        let keys = keys.into();
        let verifier = keys.current().verifier().clone();
        let writer = Writer::open(location.clone(), keys, options.batch_size_max.max(1)).await?;
        let newest = writer.newest();
        let key_change = writer.key_change();
        let readers = Readers::open(location, writer.log_id(), options.reader_count_max.max(1)).await?;
        let tree_size = newest.borrow().tree_size;
        let index = Arc::new(Index::open(location, &readers, tree_size, options.index_block_size).await?);
        let (queue, waiting) = mpsc::channel(options.queue_size_max.max(1));
        let (close, closing) = oneshot::channel();
        let writer = tokio::spawn(writer.run(waiting, closing));
        let tasks =
            Mutex::new(Some(Tasks { close, writer, indexer: tokio::spawn(Arc::clone(&index).follow(newest.clone())) }));
        Ok(Self { verifier, queue, newest, location: location.clone(), readers, index, key_change, tasks })
    }

    /// How the keys the log was opened with differ from those that signed its newest checkpoint then, if they do. The next
    /// checkpoint is signed by the new ones, so whoever opens a log says so in the first entry.
    pub fn key_change(&self) -> Option<&KeyChange> {
        self.key_change.as_ref()
    }

    /// Appends an entry and returns once it is durable, in the tree, and under a signed checkpoint.
    ///
    /// The version is set here. On an error nothing is acknowledged; a caller that stops waiting may still find its
    /// entry in the log.
    pub async fn append(&self, mut entry: Entry) -> Result<Appended, AppendError> {
        entry.version = ENTRY_VERSION;
        let length = entry.encoded_len();
        if length > ENTRY_LENGTH_MAX {
            return Err(AppendError::TooLarge { length, max: ENTRY_LENGTH_MAX });
        }
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Pending::new(entry.encode_to_vec(), reply)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => AppendError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
        })?;
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Refuses new entries, writes those that wait, and closes the files.
    pub async fn close(&self) {
        let tasks = self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let Some(Tasks { close, writer, indexer }) = tasks else { return };
        let _ = close.send(());
        let stopped = writer.await;
        self.index.hurry();
        if let Err(error) = indexer.await {
            tracing::error!(error = %error, "audit log indexer failed");
        }
        self.index.close().await;
        self.readers.close().await;
        match stopped {
            Ok(writer) => writer.close().await,
            Err(error) => tracing::error!(error = %error, "audit log writer failed"),
        }
    }

    /// Entries that wait to be written.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity().saturating_sub(self.queue.capacity())
    }

    /// The log's name and public key.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The newest signed checkpoint.
    pub fn checkpoint(&self) -> Arc<Checkpoint> {
        self.newest.borrow().clone()
    }

    /// The newest signed checkpoint, and each that follows, until the log is closed.
    pub fn checkpoints(&self) -> watch::Receiver<Arc<Checkpoint>> {
        self.newest.clone()
    }

    /// The log this process writes, as of now.
    pub fn own(&self) -> LogView {
        LogView {
            id: self.readers.log_id(),
            verifier: self.verifier.clone(),
            checkpoint: self.checkpoint(),
            readers: self.readers.clone(),
            newest: Newest::Watched(self.newest.clone()),
        }
    }

    /// The log of an origin in the same store, as of now; the empty origin is this process's own.
    pub async fn log(&self, origin: &str) -> Result<LogView, AuditError> {
        if origin.is_empty() || origin == self.verifier.name() {
            return Ok(self.own());
        }
        let other = self.logs().await?.into_iter().find(|log| log.verifier.name() == origin);
        other.ok_or_else(|| AuditError::LogNotFound { origin: origin.to_owned() })
    }

    /// All logs of the store, as of now: this process's own and, where replicas share a store, theirs.
    pub async fn logs(&self) -> Result<Vec<LogView>, AuditError> {
        let Readers::Postgres(pool, own) = &self.readers else { return Ok(vec![self.own()]) };
        let rows = postgres::logs(&mut *pool.acquire().await?).await?;
        let mut logs = Vec::with_capacity(rows.len());
        for row in rows {
            if row.id == *own {
                logs.push(self.own());
            } else {
                logs.push(LogView::other(row, &self.readers).await?);
            }
        }
        Ok(logs)
    }

    /// One entry of this process's log.
    pub async fn entry(&self, log_index: u64) -> Result<LoggedEntry, AuditError> {
        self.entry_of("", log_index).await
    }

    /// One entry of the log of an origin in the same store; the empty origin is this process's own. A body that was removed
    /// is [`AuditError::EntryRemoved`]; one that is missing and should not be is damage.
    pub async fn entry_of(&self, origin: &str, log_index: u64) -> Result<LoggedEntry, AuditError> {
        match self.log(origin).await?.entry(log_index).await {
            Err(AuditError::Damaged(Damage::EntryMissing { log_index })) => {
                match self.removal_of(origin, log_index).await? {
                    Some(removal) => Err(AuditError::EntryRemoved { log_index, removal }),
                    None => Err(AuditError::Damaged(Damage::EntryMissing { log_index })),
                }
            }
            read => read,
        }
    }

    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// As [`LogView::inclusion_proof`], of this process's log.
    pub async fn inclusion_proof(&self, log_index: u64, tree_size: u64) -> Result<InclusionProof, AuditError> {
        self.own().inclusion_proof(log_index, tree_size).await
    }

    /// As [`LogView::consistency_proof`], of this process's log.
    pub async fn consistency_proof(&self, from: u64, to: u64) -> Result<Vec<Hash>, AuditError> {
        self.own().consistency_proof(from, to).await
    }

    /// As [`LogView::tail`], of this process's log.
    pub fn tail(&self, from_index: u64) -> impl Stream<Item = Result<LoggedEntry, AuditError>> + Send + use<> {
        self.own().tail(from_index)
    }
}
