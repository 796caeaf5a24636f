//! [`AuditLog`]: the open log, as its callers see it.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::Stream;
use prost::Message;
use proto::audit::v1::{Entry, InclusionProof, LoggedEntry};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::error::{AppendError, AuditError, Damage};
use crate::index::Index;
use crate::key::{SigningKey, VerifierKey};
use crate::note::Checkpoint;
use crate::store;
use crate::tree::{self, Hash};
use crate::writer::{Pending, Stopped, Writer};

/// Version of the entry encoding written by this release.
pub const ENTRY_VERSION: u32 = 1;
/// Longest entry, in bytes. Entry bundles of C2SP `tlog-tiles` end at 65,535.
pub const ENTRY_LENGTH_MAX: usize = 60_000;

/// Entries read at a time when following the log.
const TAIL_CHUNK: u64 = 64;

/// Limits of an open log.
#[derive(Debug, Clone)]
pub struct Options {
    /// Entries that may wait to be written; further ones are refused.
    pub queue_size_max: usize,
    /// Entries in one transaction.
    pub batch_size_max: usize,
    /// Connections that read.
    pub reader_count_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue_size_max: 4096, batch_size_max: 512, reader_count_max: 4 }
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
    readers: SqlitePool,
    pub(crate) index: Index,
    tasks: Mutex<Option<Tasks>>,
}

#[derive(Debug)]
struct Tasks {
    close: oneshot::Sender<()>,
    writer: JoinHandle<Stopped>,
    indexer: JoinHandle<SqliteConnection>,
}

impl AuditLog {
    /// Opens the log in the file `path`, or starts one there. The key's name is the log's origin.
    ///
    /// Checks that the newest checkpoint is signed by the key and fits the end of what is stored; checking everything is
    /// left to [`crate::verify`].
    pub async fn open(path: &Path, key: SigningKey, options: Options) -> Result<Self, AuditError> {
        let verifier = key.verifier().clone();
        let writer = Writer::open(path.to_owned(), key, options.batch_size_max.max(1)).await?;
        let newest = writer.newest();
        let readers = SqlitePoolOptions::new()
            .max_connections(options.reader_count_max.max(1))
            .test_before_acquire(false)
            .connect_with(store::connect_options(path).read_only(true))
            .await?;
        let (index, indexer) = Index::open(path, readers.clone(), newest.clone()).await?;
        let (queue, waiting) = mpsc::channel(options.queue_size_max.max(1));
        let (close, closing) = oneshot::channel();
        let writer = tokio::spawn(writer.run(waiting, closing));
        let tasks = Mutex::new(Some(Tasks { close, writer, indexer: tokio::spawn(indexer.run()) }));
        Ok(Self { verifier, queue, newest, readers, index, tasks })
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
        self.queue.try_send(Pending { entry: entry.encode_to_vec(), reply }).map_err(|refused| match refused {
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
        match indexer.await {
            Ok(indexer) => self.index.close(indexer).await,
            Err(error) => tracing::error!(error = %error, "audit log indexer failed"),
        }
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

    /// One entry.
    pub async fn entry(&self, log_index: u64) -> Result<LoggedEntry, AuditError> {
        let tree_size = self.checkpoint().tree_size;
        if log_index >= tree_size {
            return Err(AuditError::EntryNotFound { log_index, tree_size });
        }
        let found = self.entries(&[log_index]).await?.pop();
        found.ok_or(AuditError::Damaged(Damage::EntryMissing { log_index }))
    }

    /// Proof that an entry is in the tree of a size up to the newest checkpoint's. The checkpoint is set when the size
    /// is the newest one.
    pub async fn inclusion_proof(&self, log_index: u64, tree_size: u64) -> Result<InclusionProof, AuditError> {
        let newest = self.checkpoint_of(tree_size)?;
        let ranges = tree::inclusion_ranges(log_index, tree_size)?;
        let leaf_hash = store::subtree_hashes(&self.readers, &[(0, log_index)]).await?.concat();
        let hashes = self.range_hashes(&ranges).await?;
        let checkpoint = (newest.tree_size == tree_size).then(|| proto::audit::v1::Checkpoint {
            note: newest.note.clone(),
            verifier_key: self.verifier.to_string(),
        });
        Ok(InclusionProof {
            log_index,
            tree_size,
            leaf_hash,
            hashes: hashes.iter().map(|hash| hash.to_vec()).collect(),
            checkpoint,
        })
    }

    /// Proof that the tree of size `from` is a prefix of the tree of size `to`.
    pub async fn consistency_proof(&self, from: u64, to: u64) -> Result<Vec<Hash>, AuditError> {
        self.checkpoint_of(to)?;
        self.range_hashes(&tree::consistency_ranges(from, to)?).await
    }

    /// Entries from an index on: first those there are, then each as it is committed. Ends when the log is closed.
    pub fn tail(&self, from_index: u64) -> impl Stream<Item = Result<LoggedEntry, AuditError>> + Send + use<> {
        follow(self.readers.clone(), self.newest.clone(), from_index)
    }

    /// Entries by index, in ascending order; those that do not exist are left out.
    pub(crate) async fn entries(&self, indices: &[u64]) -> Result<Vec<LoggedEntry>, AuditError> {
        read(&self.readers, indices).await
    }

    fn checkpoint_of(&self, asked: u64) -> Result<Arc<Checkpoint>, AuditError> {
        let newest = self.checkpoint();
        if asked > newest.tree_size {
            return Err(AuditError::TreeSizeNotFound { asked, tree_size: newest.tree_size });
        }
        Ok(newest)
    }

    async fn range_hashes(&self, ranges: &[Range<u64>]) -> Result<Vec<Hash>, AuditError> {
        let parts: Vec<_> = ranges.iter().map(|range| tree::complete_subtrees(range.clone())).collect();
        let hashes = store::subtree_hashes(&self.readers, &parts.concat()).await?;
        let mut rest = hashes.as_slice();
        let take = |part: &Vec<_>| {
            let (hashes, after) = rest.split_at(part.len());
            rest = after;
            tree::fold(hashes)
        };
        Ok(parts.iter().filter_map(take).collect())
    }
}

fn follow(
    readers: SqlitePool,
    newest: watch::Receiver<Arc<Checkpoint>>,
    from_index: u64,
) -> impl Stream<Item = Result<LoggedEntry, AuditError>> + Send {
    let start = (readers, newest, from_index, Vec::new().into_iter());
    futures::stream::try_unfold(start, async |(readers, mut newest, mut next, mut ready)| {
        loop {
            if let Some(entry) = ready.next() {
                return Ok(Some((entry, (readers, newest, next, ready))));
            }
            let tree_size = newest.borrow_and_update().tree_size;
            if next < tree_size {
                let end = tree_size.min(next + TAIL_CHUNK);
                ready = read_all(&readers, next..end).await?.into_iter();
                next = end;
            } else if newest.changed().await.is_err() {
                return Ok(None);
            }
        }
    })
}

async fn read_all(readers: &SqlitePool, range: Range<u64>) -> Result<Vec<LoggedEntry>, AuditError> {
    let indices: Vec<u64> = range.clone().collect();
    let entries = read(readers, &indices).await?;
    match range.zip(&entries).find(|(index, entry)| entry.log_index != *index) {
        Some((log_index, _)) => Err(AuditError::Damaged(Damage::EntryMissing { log_index })),
        None if entries.len() < indices.len() => {
            Err(AuditError::Damaged(Damage::EntryMissing { log_index: indices[entries.len()] }))
        }
        None => Ok(entries),
    }
}

async fn read(readers: &SqlitePool, indices: &[u64]) -> Result<Vec<LoggedEntry>, AuditError> {
    let rows = store::entries(readers, indices).await?;
    rows.into_iter().map(|(log_index, bytes, hash)| logged(log_index, bytes, hash)).collect()
}

/// An entry that no longer matches its hash in the tree is never handed out.
fn logged(log_index: u64, entry_bytes: Vec<u8>, leaf_hash: Vec<u8>) -> Result<LoggedEntry, AuditError> {
    if tree::leaf_hash(&entry_bytes) != *leaf_hash {
        return Err(AuditError::Damaged(Damage::EntryChanged { log_index }));
    }
    let entry = Entry::decode(entry_bytes.as_slice()).ok();
    Ok(LoggedEntry { log_index, leaf_hash, entry_bytes, entry })
}
