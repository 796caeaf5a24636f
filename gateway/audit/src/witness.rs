//! A witness (C2SP `tlog-witness`): for each log it follows it remembers the newest checkpoint it cosigned, and cosigns only
//! what is consistent with it. Whoever trusts the witness knows that everybody is shown the same log.
//!
//! This is the decision and its memory; answering HTTP is left to a server.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::AuditError;
use crate::key::{SignatureType, SigningKey};
use crate::keys::{KeyHistory, LogKeys};
use crate::note::{Checkpoint, NoteError, NoteSignature, SignedNote, parse_text};
use crate::tiles::{read_if_there, synchronise, write};
use crate::tree::{self, Hash, ProofError, empty_root, sha256};
use crate::writer::lock;

/// Hashes a request may hold: no consistency proof between trees of 64-bit sizes has more.
const PROOF_LENGTH_MAX: usize = 63;

/// A request to cosign a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the tree that the proof begins with: the newest the witness has cosigned.
    pub old_size: u64,
    /// Consistency proof of RFC 6962, 2.1.2, from there to the checkpoint.
    pub proof: Vec<Hash>,
    /// The checkpoint, a signed note.
    pub note: String,
}

impl AddCheckpoint {
    /// Reads the body of a request. None if it is malformed.
    pub fn parse(body: &str) -> Option<Self> {
        let (head, note) = body.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let old_size = parse_size(lines.next()?.strip_prefix("old ")?)?;
        let proof = lines.map(parse_hash).collect::<Option<Vec<_>>>()?;
        (proof.len() <= PROOF_LENGTH_MAX).then(|| Self { old_size, proof, note: note.to_owned() })
    }
}

/// Writes the body of a request.
impl std::fmt::Display for AddCheckpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(formatter, "{}", STANDARD.encode(hash)))?;
        write!(formatter, "\n{}", self.note)
    }
}

/// A size in decimal digits without leading zeroes.
pub fn parse_size(text: &str) -> Option<u64> {
    text.parse().ok().filter(|size: &u64| size.to_string() == text)
}

fn parse_hash(line: &str) -> Option<Hash> {
    STANDARD.decode(line).ok()?.try_into().ok()
}

/// Why a checkpoint is not cosigned.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request is not of the form C2SP `tlog-witness` gives.
    #[error("the request is malformed")]
    Malformed,
    /// The witness does not follow the log.
    #[error("this witness does not follow the log")]
    UnknownLog,
    /// No key known of the log signed the checkpoint.
    #[error(transparent)]
    NotSigned(NoteError),
    /// The proof begins with a larger tree than it ends with.
    #[error("the old size {old_size} is beyond the checkpoint's, {tree_size}")]
    OldSizeBeyond {
        /// Size stated.
        old_size: u64,
        /// Size of the checkpoint.
        tree_size: u64,
    },
    /// The proof begins with another tree than the newest cosigned.
    #[error("the newest checkpoint cosigned is of tree size {tree_size}")]
    OtherSize {
        /// Size of the newest checkpoint cosigned; 0 if there is none.
        tree_size: u64,
    },
    /// The log has signed two trees of one size.
    #[error("another root was cosigned for tree size {tree_size}")]
    OtherRoot {
        /// The size.
        tree_size: u64,
    },
    /// The log does not hold what it held before, or does not prove it.
    #[error("consistency proof: {0}")]
    Inconsistent(#[from] ProofError),
    /// What would be cosigned could not be made durable.
    #[error(transparent)]
    Store(#[from] AuditError),
}

/// Why a witness cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The key is not one of a witness.
    #[error("the signing key is not of the type of witnesses (0x04)")]
    Key,
    /// A log is named twice.
    #[error("the log {origin} stands there twice")]
    LogTwice {
        /// Its origin.
        origin: String,
    },
    /// What was remembered cannot be relied on.
    #[error("{path} is not what this witness cosigned last of the log {origin}: {reason}")]
    State {
        /// The file.
        path: String,
        /// The log.
        origin: String,
        /// What is wrong with it.
        reason: NoteError,
    },
    /// The folder cannot be used.
    #[error(transparent)]
    Store(#[from] AuditError),
}

/// A witness and what it remembers. One process may have its folder open.
#[derive(Debug)]
pub struct Witness {
    key: SigningKey,
    folder: PathBuf,
    logs: BTreeMap<String, Followed>,
    _lock: File,
}

/// A log followed. Whoever decides about it holds its memory until the decision is durable.
#[derive(Debug)]
struct Followed {
    keys: KeyHistory,
    newest: Mutex<Option<Checkpoint>>,
}

impl Witness {
    /// Opens a witness that remembers in a folder, which must be there: a witness that forgot what it cosigned would cosign a
    /// fork. What it remembers carries its own cosignature, and is verified.
    pub fn open(folder: &Path, key: SigningKey, logs: Vec<KeyHistory>) -> Result<Self, WitnessError> {
        if key.verifier().signature_type() != SignatureType::Cosignature {
            return Err(WitnessError::Key);
        }
        let lock = lock(&folder.join("witness"))?;
        let mut followed = BTreeMap::new();
        for keys in logs {
            let origin = keys.origin().to_owned();
            let newest = Mutex::new(remembered(folder, &origin, &key)?);
            if followed.insert(origin.clone(), Followed { keys, newest }).is_some() {
                return Err(WitnessError::LogTwice { origin });
            }
        }
        Ok(Self { key, folder: folder.to_owned(), logs: followed, _lock: lock })
    }

    /// Name and public key of the witness.
    pub fn verifier(&self) -> &crate::VerifierKey {
        self.key.verifier()
    }

    /// The newest checkpoint cosigned of each log followed.
    pub fn newest(&self) -> impl Iterator<Item = (&str, Option<Checkpoint>)> {
        self.logs
            .iter()
            .map(|(origin, log)| (origin.as_str(), log.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    /// Cosigns a checkpoint at this time, in seconds since 1970, if it is consistent with everything cosigned before. When
    /// this returns a cosignature, the checkpoint is durable. Writes a file on the calling thread.
    pub fn add_checkpoint(&self, request: &AddCheckpoint, time: u64) -> Result<NoteSignature, Refusal> {
        let AddCheckpoint { old_size, proof, note } = request;
        let signed = SignedNote::parse(note).map_err(|_| Refusal::Malformed)?;
        let (origin, tree_size, _) = parse_text(&signed.text).ok_or(Refusal::Malformed)?;
        let log = self.logs.get(origin).ok_or(Refusal::UnknownLog)?;
        let checkpoint = Checkpoint::open(note, &log.keys).map_err(Refusal::NotSigned)?;
        if *old_size > tree_size {
            return Err(Refusal::OldSizeBeyond { old_size: *old_size, tree_size });
        }
        let mut newest = log.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let (known_size, known_root) =
            newest.as_ref().map_or((0, empty_root()), |newest| (newest.tree_size, newest.root_hash));
        if *old_size != known_size {
            return Err(Refusal::OtherSize { tree_size: known_size });
        }
        if known_size == tree_size && known_size > 0 && known_root != checkpoint.root_hash {
            return Err(Refusal::OtherRoot { tree_size });
        }
        tree::verify_consistency(known_size, &known_root, tree_size, &checkpoint.root_hash, proof)?;

        let signature = signed.cosign(&self.key, time);
        // The signatures of others are neither checked nor kept.
        let path = path(&self.folder, origin);
        let kept = SignedNote { signatures: vec![signature.clone()], ..signed };
        write(&path, kept.to_string().as_bytes(), true)?;
        synchronise(&self.folder)?;
        *newest = Some(checkpoint);
        Ok(signature)
    }
}

/// The file of a log: an origin may hold letters that a file's name may not.
fn path(folder: &Path, origin: &str) -> PathBuf {
    folder.join(format!("{}.checkpoint", hex::encode(sha256(origin.as_bytes()))))
}

fn remembered(folder: &Path, origin: &str, key: &SigningKey) -> Result<Option<Checkpoint>, WitnessError> {
    let path = path(folder, origin);
    let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
    let own = KeyHistory::new(origin, vec![(key.verifier().clone(), 0..=u64::MAX)]);
    let opened = Checkpoint::open(&String::from_utf8_lossy(&bytes), &own);
    opened.map(Some).map_err(|reason| WitnessError::State {
        path: path.display().to_string(),
        origin: origin.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests;
