//! [`LogView`]: one log of a store as it stands, to be read and proved. Replicas that share a store read each other's.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use prost::Message;
use proto::audit::v1::{Entry, InclusionProof, LoggedEntry};
use tokio::sync::watch;

use crate::error::{AuditError, Damage};
use crate::key::VerifierKey;
use crate::keys::{KeyHistory, LogKeys};
use crate::note::Checkpoint;
use crate::store::postgres::LogRow;
use crate::store::{LogId, Readers};
use crate::tree::{self, Hash};

/// Entries read at a time when following a log.
const TAIL_CHUNK: u64 = 64;
/// How often the log of another process is looked at for new entries.
const TAIL_INTERVAL: Duration = Duration::from_millis(500);

/// One log of a store, with the checkpoint that was its newest when this was made.
#[derive(Debug, Clone)]
pub struct LogView {
    pub(crate) id: LogId,
    pub(crate) verifier: VerifierKey,
    pub(crate) checkpoint: Arc<Checkpoint>,
    pub(crate) readers: Readers,
    pub(crate) newest: Newest,
}

/// How the newest checkpoint of a log becomes known.
#[derive(Debug, Clone)]
pub(crate) enum Newest {
    /// This process writes it.
    Watched(watch::Receiver<Arc<Checkpoint>>),
    /// Another process does, under these keys.
    Stored(Arc<KeyHistory>),
}

impl LogView {
    /// The log of another process.
    pub(crate) async fn other(row: LogRow, readers: &Readers) -> Result<Self, AuditError> {
        let invalid = || AuditError::Damaged(Damage::KeyInvalid { origin: row.origin.clone() });
        let keys = KeyHistory::parse(&row.verifier_keys).map_err(|_| invalid())?;
        let verifier = keys.keys().first().ok_or_else(invalid)?.0.clone();
        let readers = readers.of(row.id);
        let checkpoint = Arc::new(newest(&readers, &keys).await?);
        Ok(Self { id: row.id, verifier, checkpoint, readers, newest: Newest::Stored(Arc::new(keys)) })
    }

    /// The log's name and public key, the newest if several sign. That of another process's log is what it entered into the store.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The checkpoint this view is of.
    pub fn checkpoint(&self) -> &Arc<Checkpoint> {
        &self.checkpoint
    }

    /// One entry.
    pub async fn entry(&self, log_index: u64) -> Result<LoggedEntry, AuditError> {
        let tree_size = self.checkpoint.tree_size;
        if log_index >= tree_size {
            return Err(AuditError::EntryNotFound { log_index, tree_size });
        }
        let found = self.entries(&[log_index]).await?.pop();
        found.ok_or(AuditError::Damaged(Damage::EntryMissing { log_index }))
    }

    /// Proof that an entry is in the tree of a size up to the checkpoint's. The checkpoint is set when the size is its.
    pub async fn inclusion_proof(&self, log_index: u64, tree_size: u64) -> Result<InclusionProof, AuditError> {
        self.check_size(tree_size)?;
        let ranges = tree::inclusion_ranges(log_index, tree_size)?;
        let mut reader = self.readers.acquire().await?;
        let leaf_hash = reader.session().subtree_hashes(&[(0, log_index)]).await?.concat();
        drop(reader);
        let hashes = self.range_hashes(&ranges).await?;
        let checkpoint = (self.checkpoint.tree_size == tree_size).then(|| proto::audit::v1::Checkpoint {
            note: self.checkpoint.note.clone(),
            verifier_key: self.verifier.to_string(),
            ..Default::default()
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
        self.check_size(to)?;
        self.range_hashes(&tree::consistency_ranges(from, to)?).await
    }

    /// Entries from an index on: first those there are, then each as it is committed. Ends when this process's log is
    /// closed.
    pub fn tail(self, from_index: u64) -> impl Stream<Item = Result<LoggedEntry, AuditError>> + Send + use<> {
        let start = (self, from_index, Vec::new().into_iter());
        futures::stream::try_unfold(start, async |(mut view, mut next, mut ready)| {
            loop {
                if let Some(entry) = ready.next() {
                    return Ok(Some((entry, (view, next, ready))));
                }
                let tree_size = view.checkpoint.tree_size;
                if next < tree_size {
                    let end = tree_size.min(next + TAIL_CHUNK);
                    ready = view.all_entries(next..end).await?.into_iter();
                    next = end;
                } else if !view.advance().await? {
                    return Ok(None);
                }
            }
        })
    }

    /// Entries by index, in ascending order; those that do not exist are left out.
    pub(crate) async fn entries(&self, indices: &[u64]) -> Result<Vec<LoggedEntry>, AuditError> {
        let rows = self.readers.acquire().await?.session().entries(indices).await?;
        rows.into_iter().map(|(log_index, bytes, hash)| self.logged(log_index, bytes, hash)).collect()
    }

    /// Entries of a range; one whose body is gone has its leaf hash only.
    async fn all_entries(&self, range: Range<u64>) -> Result<Vec<LoggedEntry>, AuditError> {
        let indices: Vec<u64> = range.clone().collect();
        let mut entries = self.entries(&indices).await?;
        if entries.len() == indices.len() {
            return Ok(entries);
        }
        let leaves: Vec<_> = indices.iter().map(|index| (0, *index)).collect();
        let leaves = self.readers.acquire().await?.session().subtree_hashes(&leaves).await?;
        let mut there = entries.drain(..).peekable();
        let logged = range.zip(leaves).map(|(log_index, leaf_hash)| {
            let removed = || LoggedEntry {
                log_index,
                leaf_hash: leaf_hash.to_vec(),
                log_origin: self.verifier.name().to_owned(),
                ..LoggedEntry::default()
            };
            there.next_if(|entry| entry.log_index == log_index).unwrap_or_else(removed)
        });
        Ok(logged.collect())
    }

    /// An entry that no longer matches its hash in the tree is never handed out.
    fn logged(&self, log_index: u64, entry_bytes: Vec<u8>, leaf_hash: Vec<u8>) -> Result<LoggedEntry, AuditError> {
        if tree::leaf_hash(&entry_bytes) != *leaf_hash {
            return Err(AuditError::Damaged(Damage::EntryChanged { log_index }));
        }
        let entry = Entry::decode(entry_bytes.as_slice()).ok();
        Ok(LoggedEntry { log_index, leaf_hash, entry_bytes, entry, log_origin: self.verifier.name().to_owned() })
    }

    /// Waits for a newer checkpoint. False when there will be none.
    async fn advance(&mut self) -> Result<bool, AuditError> {
        match &mut self.newest {
            Newest::Watched(watched) => {
                let known = self.checkpoint.tree_size;
                match watched.wait_for(|newest| newest.tree_size > known).await {
                    Ok(newest) => self.checkpoint = newest.clone(),
                    Err(_) => return Ok(false),
                }
            }
            Newest::Stored(keys) => {
                tokio::time::sleep(TAIL_INTERVAL).await;
                self.checkpoint = Arc::new(newest(&self.readers, keys.as_ref()).await?);
            }
        }
        Ok(true)
    }

    fn check_size(&self, asked: u64) -> Result<(), AuditError> {
        let tree_size = self.checkpoint.tree_size;
        if asked > tree_size { Err(AuditError::TreeSizeNotFound { asked, tree_size }) } else { Ok(()) }
    }

    async fn range_hashes(&self, ranges: &[Range<u64>]) -> Result<Vec<Hash>, AuditError> {
        let parts: Vec<_> = ranges.iter().map(|range| tree::complete_subtrees(range.clone())).collect();
        let hashes = self.readers.acquire().await?.session().subtree_hashes(&parts.concat()).await?;
        let mut rest = hashes.as_slice();
        let take = |part: &Vec<_>| {
            let (hashes, after) = rest.split_at(part.len());
            rest = after;
            tree::fold(hashes)
        };
        Ok(parts.iter().filter_map(take).collect())
    }
}

/// The newest checkpoint of a log another process writes.
async fn newest(readers: &Readers, keys: &dyn LogKeys) -> Result<Checkpoint, AuditError> {
    let head = readers.acquire().await?.session().newest_head().await?;
    let (tree_size, note) = head.ok_or(AuditError::Damaged(Damage::CheckpointMissing))?;
    Checkpoint::open(&note, keys).map_err(|reason| AuditError::Damaged(Damage::CheckpointInvalid { tree_size, reason }))
}
