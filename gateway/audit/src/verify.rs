//! Verification by someone who trusts nobody: a whole log from its file and a public key, or one entry from its proof.
//!
//! Nothing is taken from a running hub and nothing is written. The search index is no evidence and is not looked at.

use std::iter::Peekable;
use std::ops::Range;

use tokio::sync::mpsc;

use crate::error::{AuditError, Damage};
use crate::keys::LogKeys;
use crate::note::{Checkpoint, NoteError};
use crate::retention::Missing;
use crate::store::{Connection, Heads, Location, Packed, RunReader, Session, StoredHashes};
use crate::tree::{self, Frontier, Hash, ProofError};

/// Entries read at a time, and how many such parts are read before they are needed; bound the memory used.
const CHUNK: u64 = 2048;
const PARTS_AHEAD: usize = 2;

/// Why something does not verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The log contradicts itself or its signatures.
    #[error("the log does not verify: {0}")]
    Damaged(#[from] Damage),
    /// The log could not be read.
    #[error(transparent)]
    Unreadable(AuditError),
    /// The checkpoint is not one the key signed.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
    /// The file in which an earlier verification says how far it came cannot be relied on.
    #[error("{path} is damaged or of another log; without it everything is verified anew")]
    State {
        /// The file.
        path: String,
    },
    /// A list of a subject's accesses is not the log's.
    #[error("list of accesses: {0}")]
    List(#[from] crate::disclosure::ListError),
    /// The entry is not in the tree of the checkpoint.
    #[error("inclusion proof: {0}")]
    Proof(#[from] ProofError),
}

impl From<AuditError> for VerifyError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Damaged(damage) => Self::Damaged(damage),
            error => Self::Unreadable(error),
        }
    }
}

impl From<sqlx::Error> for VerifyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unreadable(error.into())
    }
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Entries verified.
    pub verified: u64,
    /// Entries in the log.
    pub tree_size: u64,
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Number of entries, each matching its leaf hash.
    pub tree_size: u64,
    /// Root of the tree, recomputed from the entries.
    pub root_hash: Hash,
    /// Hashes of the tree, each matching those below it.
    pub hash_count: u64,
    /// Checkpoints, each validly signed and matching the entries.
    pub checkpoint_count: u64,
    /// Entries whose bodies retention runs have removed, as the log records; their leaf hashes hold.
    pub removed_count: u64,
}

/// Verifies a whole log: every entry against its leaf hash, every stored hash against those below it, every stored
/// checkpoint's signature, and its root against the entries, which makes all checkpoints consistent with each other.
/// The same holds for the checkpoints `kept` by the verifier: without one, a log cut back to an earlier state of itself
/// looks whole.
///
/// An entry whose body is missing counts as removed if an entry of a retention run accounts for it; its leaf hash is then
/// held against the tree like any other.
///
/// Works on a copy, and on a log that is being written: it verifies what was there when it began. Stops at the first
/// thing wrong and says what and where it is. Memory is constant.
pub async fn verify_store(
    location: &Location,
    key: &dyn LogKeys,
    kept: &[Checkpoint],
    mut progress: impl FnMut(Progress),
) -> Result<Report, VerifyError> {
    let mut connection = Connection::read(location, key.origin()).await?;
    connection.begin_snapshot().await?;
    let mut session = connection.session();
    let (tree_size, _) = session.newest_head().await?.ok_or(Damage::CheckpointMissing)?;
    let mut kept: Vec<&Checkpoint> = kept.iter().collect();
    kept.sort_unstable_by_key(|checkpoint| checkpoint.tree_size);
    if let Some(newest) = kept.last().filter(|newest| newest.tree_size > tree_size) {
        return Err(Damage::Shrunk { tree_size, kept: newest.tree_size }.into());
    }
    let mut walk = Walk {
        key,
        kept: kept.into_iter().peekable(),
        frontier: Frontier::default(),
        missing: Missing::default(),
        checkpoint_count: 0,
    };
    for (size, note) in session.heads(Heads::Within(0..1)).await? {
        walk.checkpoint(size, &note)?;
    }
    walk.kept_checkpoints()?;
    // While one part is hashed, the next are read.
    let (parts, mut ready) = mpsc::channel(PARTS_AHEAD);
    let reader = tokio::spawn(read_parts(connection, tree_size, parts));
    while let Some(part) = ready.recv().await {
        walk.part(&part)?;
        progress(Progress { verified: walk.frontier.size(), tree_size });
    }
    let mut connection = reader.await.map_err(|_| sqlx::Error::WorkerCrashed)??;
    let mut session = connection.session();
    if let Some(log_index) = walk.missing.first() {
        return Err(Damage::EntryMissing { log_index }.into());
    }
    session.check_ends(tree_size).await?;
    if session.head_count().await? != walk.checkpoint_count {
        return Err(Damage::CheckpointUnexpected.into());
    }
    Ok(Report {
        tree_size,
        root_hash: walk.frontier.root(),
        hash_count: tree::stored_count(tree_size),
        checkpoint_count: walk.checkpoint_count,
        removed_count: walk.missing.accounted(),
    })
}

/// Verifies that an entry is in the log of this key: by its bytes, its index, an inclusion proof, and the checkpoint
/// the proof leads to. Returns the checkpoint.
pub fn verify_entry(
    entry_bytes: &[u8],
    log_index: u64,
    proof: &[Hash],
    note: &str,
    key: &dyn LogKeys,
) -> Result<Checkpoint, VerifyError> {
    verify_leaf(&tree::leaf_hash(entry_bytes), log_index, proof, note, key)
}

/// As [`verify_entry`], for someone who holds the entry's leaf hash and not the entry: whoever keeps a receipt.
pub fn verify_leaf(
    leaf_hash: &Hash,
    log_index: u64,
    proof: &[Hash],
    note: &str,
    key: &dyn LogKeys,
) -> Result<Checkpoint, VerifyError> {
    let checkpoint = Checkpoint::open(note, key)?;
    tree::verify_inclusion(leaf_hash, log_index, checkpoint.tree_size, proof, &checkpoint.root_hash)?;
    Ok(checkpoint)
}

/// Verifies that nothing was removed or changed between two checkpoints of the log of this key. Returns both.
pub fn verify_growth(
    older_note: &str,
    newer_note: &str,
    proof: &[Hash],
    key: &dyn LogKeys,
) -> Result<(Checkpoint, Checkpoint), VerifyError> {
    let (older, newer) = (Checkpoint::open(older_note, key)?, Checkpoint::open(newer_note, key)?);
    tree::verify_consistency(older.tree_size, &older.root_hash, newer.tree_size, &newer.root_hash, proof)?;
    Ok((older, newer))
}

/// Reads the whole log in parts, until nobody takes them any more. Gives the connection back.
async fn read_parts(
    mut connection: Connection,
    tree_size: u64,
    parts: mpsc::Sender<Part>,
) -> Result<Connection, sqlx::Error> {
    let mut session = connection.session();
    let (mut runs, mut start) = (RunReader::default(), 0);
    while start < tree_size {
        let end = tree_size.min(start + CHUNK);
        let part = Part::read(&mut session, &mut runs, start..end).await?;
        if parts.send(part).await.is_err() {
            break;
        }
        start = end;
    }
    Ok(connection)
}

/// What a store holds about a range of entries.
struct Part {
    range: Range<u64>,
    entries: Packed,
    hashes: StoredHashes,
    checkpoints: Vec<(u64, String)>,
}

impl Part {
    async fn read(session: &mut Session<'_>, runs: &mut RunReader, range: Range<u64>) -> Result<Self, sqlx::Error> {
        let entries = session.packed_entries(&range).await?;
        let hashes = runs.read(session, tree::stored_count(range.end)).await?;
        let checkpoints = session.heads(Heads::Within(range.start + 1..range.end + 1)).await?;
        Ok(Self { range, entries, hashes, checkpoints })
    }
}

/// The state of a verification: the tree as recomputed from the entries so far.
struct Walk<'k> {
    key: &'k dyn LogKeys,
    kept: Peekable<std::vec::IntoIter<&'k Checkpoint>>,
    frontier: Frontier,
    missing: Missing,
    checkpoint_count: u64,
}

impl Walk<'_> {
    fn part(&mut self, part: &Part) -> Result<(), VerifyError> {
        let mut entries = part.entries.iter().peekable();
        let mut stored = part.hashes.hashes().iter().peekable();
        let mut checkpoints = part.checkpoints.iter().peekable();
        let mut expected = Vec::new();
        for log_index in part.range.clone() {
            let position = tree::stored_count(log_index);
            let leaf_hash = match entries.next_if(|(index, _)| *index == log_index) {
                Some((_, entry)) => {
                    self.missing.account(entry);
                    tree::leaf_hash(entry)
                }
                None => {
                    self.missing.insert(log_index);
                    **stored.peek().ok_or_else(|| part.hashes.damage(0, log_index, position))?
                }
            };
            self.frontier.push(leaf_hash, &mut expected);
            for (level, hash) in (0..).zip(expected.drain(..)) {
                let (position, index) = (position + u64::from(level), log_index >> level);
                match stored.next() {
                    None => return Err(part.hashes.damage(level, index, position).into()),
                    Some(found) if *found == hash => {}
                    Some(_) if level == 0 => return Err(Damage::EntryChanged { log_index }.into()),
                    Some(_) => return Err(Damage::HashChanged { level, index, position }.into()),
                }
            }
            if let Some((size, note)) = checkpoints.next_if(|(size, _)| *size == log_index + 1) {
                self.checkpoint(*size, note)?;
            }
            self.kept_checkpoints()?;
        }
        Ok(())
    }

    /// Compares the checkpoints kept of the tree as it is now.
    fn kept_checkpoints(&mut self) -> Result<(), VerifyError> {
        let tree_size = self.frontier.size();
        while let Some(kept) = self.kept.next_if(|kept| kept.tree_size == tree_size) {
            if kept.root_hash != self.frontier.root() {
                return Err(Damage::Rewritten { tree_size }.into());
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self, tree_size: u64, note: &str) -> Result<(), VerifyError> {
        let checkpoint =
            Checkpoint::open(note, self.key).map_err(|reason| Damage::CheckpointInvalid { tree_size, reason })?;
        if checkpoint.tree_size != tree_size {
            return Err(Damage::CheckpointSize { tree_size, found: checkpoint.tree_size }.into());
        }
        if checkpoint.root_hash != self.frontier.root() {
            return Err(Damage::RootChanged { tree_size }.into());
        }
        self.checkpoint_count += 1;
        Ok(())
    }
}
