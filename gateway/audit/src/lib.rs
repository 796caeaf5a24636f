//! The audit log: append, prove, search, verify.
//!
//! The log is an RFC 6962 Merkle tree over SHA-256 whose heads are C2SP `tlog-checkpoint` notes signed with Ed25519. It
//! knows nothing of policy and nothing of gRPC; what goes into an entry is decided by its callers.
//!
//! # An entry
//!
//! is a `lienthong.audit.v1.Entry`, and a leaf of the tree is its serialisation, byte for byte as stored. The encoding
//! is canonical: protobuf's binary format, fields in ascending order of number, each once; fields that hold their
//! default left out; repeated fields in the order given; no unknown fields; `version` = 1. Two encoders that follow
//! these rules give the same bytes, but nobody needs to encode again: proofs cover the bytes stored.
//! The leaf hash is `SHA-256(0x00 || bytes)`. An entry has at most [`ENTRY_LENGTH_MAX`] bytes.
//!
//! # The life of an entry
//!
//! [`AuditLog::append`] puts the encoded entry into a bounded queue. One task takes everything that waits, gives out the
//! indices, extends the tree, signs the new head, and stores it all in one durable transaction; then it answers each
//! caller. After a failed transaction nothing of it is acknowledged, and what holds is read back from the store. A
//! second task follows with the search index, which lies beside the log and can be rebuilt from it.
//!
//! # Retention
//!
//! Bodies of entries go when their period ends ([`retention`]); leaf hashes, and with them all proofs, stay.
//!
//! # Stores
//!
//! A log lies in an SQLite file or in a PostgreSQL database ([`Location`]). A database holds the logs of any number of
//! processes, each with its own origin and key; [`AuditLog::search`] finds the entries of all of them, and
//! [`AuditLog::log`] reads and proves each.
//!
//! # Verifying, this log or any other
//!
//! What verifies knows nothing of entries or stores and works on every log of its kind, with any origin, leaves of any bytes
//! and 64-bit sizes: [`tree`] checks inclusion and consistency proofs (RFC 6962, RFC 9162), [`Checkpoint::open`] signed
//! checkpoints (C2SP `signed-note`, `tlog-checkpoint`; signatures of keys not known and extension lines are ignored),
//! [`Checkpoint::witnessed`] cosignatures (C2SP `tlog-cosignature`), [`tiles::Reader`] computes proofs from tiles that
//! any closure fetches, and [`tiles::verify`] checks a whole folder of them (C2SP `tlog-tiles`).
//!
//! ```
//! use audit::{Checkpoint, KeyHistory, VerifierKey, tiles, tree};
//!
//! /// Whether a public log holds an entry: by its checkpoint, its tiles and its key alone.
//! fn holds(
//!     note: &str,
//!     vkey: &str,
//!     origin: &str,
//!     fetch: impl Fn(&str) -> Result<Option<Vec<u8>>, audit::AuditError>,
//!     log_index: u64,
//!     entry: &[u8],
//! ) -> Result<bool, Box<dyn std::error::Error>> {
//!     let keys = KeyHistory::new(origin, vec![(VerifierKey::parse(vkey)?, 0..=u64::MAX)]);
//!     let reader = tiles::Reader::new(fetch, Checkpoint::open(note, &keys)?);
//!     let (leaf_hash, _proof) = reader.inclusion_proof(log_index)?;
//!     Ok(leaf_hash == tree::leaf_hash(entry))
//! }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod disclosure;
mod error;
mod index;
mod key;
mod keys;
mod log;
mod meters;
mod note;
mod reindex;
pub mod retention;
mod search;
mod store;
mod subject;
pub mod tiles;
pub mod tree;
pub mod verify;
mod view;
pub mod witness;
mod writer;

pub use error::{AppendError, AuditError, Damage, RetentionError};
pub use key::{KeyError, SignatureType, SigningKey, VerifierKey};
pub use keys::{KeyHistory, LogKeys, SigningKeys};
pub use log::{Appended, AuditLog, ENTRY_LENGTH_MAX, ENTRY_VERSION, KeyChange, Options};
pub use note::{Checkpoint, Cosignature, NoteError, NoteSignature, SignedNote};
pub use reindex::rebuild_index;
pub use search::{Filter, PAGE_SIZE_MAX, Page};
pub use store::Location;
pub use subject::SubjectHasher;
pub use tree::{Hash, ProofError};
pub use view::LogView;
