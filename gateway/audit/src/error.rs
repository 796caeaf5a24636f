//! What can go wrong with the log. No error carries anything of an entry but its index.

use std::sync::Arc;

use crate::note::NoteError;
use crate::tree::ProofError;

/// Why the log could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The database failed.
    #[error("audit log database: {0}")]
    Store(#[from] sqlx::Error),
    /// The database did not answer in time; what became of the last transaction is not known until it does.
    #[error("audit log database: no answer in time")]
    Timeout,
    /// Not an address of a PostgreSQL database.
    #[error("the address of the audit log's database is not of the form postgres://account:password@host/database")]
    Address,
    /// The store holds no log of this origin.
    #[error("there is no audit log of the origin {origin}")]
    LogNotFound {
        /// The origin asked for.
        origin: String,
    },
    /// A file beside the log could not be used.
    #[error("audit log file {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Another process has the log open for writing.
    #[error("audit log {path} is in use by another process")]
    InUse {
        /// The log.
        path: String,
    },
    /// The file is a database, but not an audit log.
    #[error("{path} is not an audit log")]
    NotALog {
        /// The file.
        path: String,
    },
    /// A newer release wrote the log.
    #[error("the audit log has schema version {found}; this release knows up to {known}")]
    NewerSchema {
        /// Version of the log.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
    /// An older release wrote the log, and this account may not make its schema that of this release.
    #[error(
        "the audit log has schema version {found}; for this release its owner sets it to {known}: \
         UPDATE lienthong_audit.meta SET value = '{known}' WHERE name = 'schema_version'"
    )]
    OlderSchema {
        /// Version of the log.
        found: i64,
        /// Version of this release.
        known: i64,
    },
    /// The log belongs to another name than the key's.
    #[error("the audit log is of the origin {found}, the key of {expected}")]
    Origin {
        /// Origin of the log.
        found: String,
        /// Name of the key.
        expected: String,
    },
    /// The newest checkpoint is not one this key signed.
    #[error("newest checkpoint of the audit log: {0}")]
    Note(#[from] NoteError),
    /// What is stored contradicts itself.
    #[error("the audit log is damaged: {0}")]
    Damaged(Damage),
    /// No entry has this index yet.
    #[error("log index {log_index} is beyond the tree of size {tree_size}")]
    EntryNotFound {
        /// The index asked for.
        log_index: u64,
        /// Size of the newest tree.
        tree_size: u64,
    },
    /// The body of this entry was removed at the end of its period; its leaf hash and all proofs hold.
    #[error("the body of entry {log_index} was removed at the end of its period, as entry {removal} records")]
    EntryRemoved {
        /// The index asked for.
        log_index: u64,
        /// Index of the entry that records the removal.
        removal: u64,
    },
    /// No tree has this size yet.
    #[error("tree size {asked} is beyond the newest, {tree_size}")]
    TreeSizeNotFound {
        /// The size asked for.
        asked: u64,
        /// Size of the newest tree.
        tree_size: u64,
    },
    /// The proof asked for cannot exist.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The page token is not one given out for this search.
    #[error("the page token does not belong to this search")]
    PageToken,
    /// The search index holds what nobody wrote; `lienthong audit reindex` builds it anew.
    #[error("the search index is damaged and must be built anew")]
    IndexDamaged,
    /// The search index has not caught up with the log in time.
    #[error("the search index has read {indexed} of {tree_size} entries")]
    IndexBehind {
        /// Entries indexed.
        indexed: u64,
        /// Entries in the log.
        tree_size: u64,
    },
}

/// Why entry bodies were not removed, or not all of those that are due. What was removed is accounted for in the log.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The store failed.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The entry that must account for what is removed could not be written; nothing of it was removed.
    #[error("the run is not in the log: {0}")]
    NotRecorded(#[from] AppendError),
}

impl From<sqlx::Error> for RetentionError {
    fn from(error: sqlx::Error) -> Self {
        Self::Audit(error.into())
    }
}

/// A contradiction in what is stored, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The body of an entry below the newest tree size is missing, and no retention run accounts for it.
    #[error("entry {log_index} is missing, and no retention run accounts for it")]
    EntryMissing {
        /// Its index.
        log_index: u64,
    },
    /// An entry stands where the newest checkpoint knows none.
    #[error("entry {log_index} stands beyond the newest checkpoint")]
    EntryUnexpected {
        /// Its index.
        log_index: u64,
    },
    /// An entry is not the one its leaf hash was made from.
    #[error("entry {log_index} does not match its leaf hash")]
    EntryChanged {
        /// Its index.
        log_index: u64,
    },
    /// A hash of the tree is missing.
    #[error("tree hash {index} at level {level} (position {position}) is missing")]
    HashMissing {
        /// Height above the leaves.
        level: u32,
        /// Index within the level.
        index: u64,
        /// Where it should be stored.
        position: u64,
    },
    /// A hash of the tree is not that of the two below it.
    #[error("tree hash {index} at level {level} (position {position}) does not match the hashes below it")]
    HashChanged {
        /// Height above the leaves.
        level: u32,
        /// Index within the level.
        index: u64,
        /// Where it is stored.
        position: u64,
    },
    /// A part of a hash of the tree is missing.
    #[error("tree hash {index} at level {level} (position {position}) is cut short")]
    HashCut {
        /// Height above the leaves.
        level: u32,
        /// Index within the level.
        index: u64,
        /// Where it is stored.
        position: u64,
    },
    /// A hash stands where the newest tree has none, or where another stands.
    #[error("a tree hash stands at position {position}, where there is another or, beyond the newest checkpoint, none")]
    HashUnexpected {
        /// Where it is stored.
        position: u64,
    },
    /// The public key of another replica's log is none.
    #[error("the public key entered for the log {origin} is not valid")]
    KeyInvalid {
        /// Origin of the log.
        origin: String,
    },
    /// No checkpoint is stored.
    #[error("there is no checkpoint")]
    CheckpointMissing,
    /// A checkpoint is filed under a size no tree has.
    #[error("a checkpoint is filed under an impossible tree size")]
    CheckpointUnexpected,
    /// A checkpoint is not a valid signed checkpoint of this log.
    #[error("checkpoint of tree size {tree_size}: {reason}")]
    CheckpointInvalid {
        /// The size it is filed under.
        tree_size: u64,
        /// What is wrong with it.
        reason: NoteError,
    },
    /// A checkpoint is filed under another size than its own.
    #[error("checkpoint of tree size {found} is filed as of tree size {tree_size}")]
    CheckpointSize {
        /// The size it is filed under.
        tree_size: u64,
        /// The size it states.
        found: u64,
    },
    /// A checkpoint's root is not that of the entries.
    #[error("checkpoint of tree size {tree_size} has another root than the entries")]
    RootChanged {
        /// Its size.
        tree_size: u64,
    },
    /// The log is shorter than it was.
    #[error("the log has {tree_size} entries, but a checkpoint kept earlier has {kept}")]
    Shrunk {
        /// Its size now.
        tree_size: u64,
        /// The size of the checkpoint kept.
        kept: u64,
    },
    /// A file of a tiled log is missing.
    #[error("{path} is missing")]
    TileMissing {
        /// The file, below the log's folder.
        path: String,
    },
    /// A tile of hashes has another length than its name says.
    #[error("{path} has {length} bytes instead of {expected}")]
    TileLength {
        /// The file, below the log's folder.
        path: String,
        /// Its length.
        length: u64,
        /// The length it should have.
        expected: u64,
    },
    /// A hash of a tile is not that of the entries below it.
    #[error("hash {place} of {path} does not match the tiles below it")]
    TileChanged {
        /// The file, below the log's folder.
        path: String,
        /// Number of the hash in the tile, from 0.
        place: usize,
    },
    /// An entry and its hash contradict each other; which one was changed cannot be told.
    #[error("entry {log_index} in {bundle} does not match its hash in {tile}")]
    EntryUnmatched {
        /// Its index.
        log_index: u64,
        /// File of the entry.
        bundle: String,
        /// File of the hash.
        tile: String,
    },
    /// A bundle does not hold the entries its name says.
    #[error("{path} holds no whole bundle: it goes wrong at entry {log_index}")]
    BundleMalformed {
        /// The file, below the log's folder.
        path: String,
        /// Index of the entry that is cut, missing or too many.
        log_index: u64,
    },
    /// An earlier partial tile is not the beginning of the later one.
    #[error("{path} is not the beginning of {later}")]
    PartialChanged {
        /// The earlier file, below the log's folder.
        path: String,
        /// The later file.
        later: String,
    },
    /// The log is signed and whole, but another than it was.
    #[error("the entries are not those of the checkpoint of tree size {tree_size} kept earlier")]
    Rewritten {
        /// Size of the checkpoint kept.
        tree_size: u64,
    },
}

/// Why an entry was not appended. Nothing may be released on any of these.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The entry is larger than a log entry may be.
    #[error("the entry has {length} bytes, more than {max}")]
    TooLarge {
        /// Its length.
        length: usize,
        /// The largest length allowed.
        max: usize,
    },
    /// Too many entries are waiting.
    #[error("too many entries are waiting to be logged")]
    QueueFull,
    /// The store failed; the entry was not acknowledged.
    #[error("the entry could not be stored: {0}")]
    Store(Arc<AuditError>),
    /// The log has been closed.
    #[error("the audit log is closed")]
    Closed,
}
