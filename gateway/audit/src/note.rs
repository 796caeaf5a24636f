//! C2SP `signed-note` and `tlog-checkpoint`: the text form in which tree heads are signed, published and kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::key::{SigningKey, VerifierKey, is_key_name};
use crate::tree::Hash;

/// More signatures than any note of ours can carry; keeps a hostile note from costing time.
const SIGNATURE_COUNT_MAX: usize = 100;

/// Why a note is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not of the form C2SP `signed-note` gives.
    #[error("malformed signed note")]
    MalformedNote,
    /// Not of the form C2SP `tlog-checkpoint` gives.
    #[error("malformed checkpoint")]
    MalformedCheckpoint,
    /// No signature of the key is on the note.
    #[error("the note is not signed by {key}")]
    NotSigned {
        /// Name of the key.
        key: String,
    },
    /// There is a signature in the key's name, but not the key's.
    #[error("the note has an invalid signature in the name of {key}")]
    InvalidSignature {
        /// Name of the key.
        key: String,
    },
    /// The checkpoint is of another log.
    #[error("the checkpoint is of the log {found}, not of {expected}")]
    Origin {
        /// The log named in the checkpoint.
        found: String,
        /// The log expected.
        expected: String,
    },
}

/// A text and its signatures, not yet verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    /// What is signed; ends in a newline.
    pub text: String,
    /// In the order of the note.
    pub signatures: Vec<NoteSignature>,
}

/// One signature line of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the key.
    pub name: String,
    /// Id of the key.
    pub key_id: [u8; 4],
    /// The signature itself.
    pub signature: Vec<u8>,
}

impl SignedNote {
    /// Signs a text. The text must end in a newline and hold no other control character.
    pub fn sign(text: String, key: &SigningKey) -> Result<Self, NoteError> {
        if !is_note_text(&text) || !text.ends_with('\n') {
            return Err(NoteError::MalformedNote);
        }
        let verifier = key.verifier();
        let signature = NoteSignature {
            name: verifier.name().to_owned(),
            key_id: verifier.id(),
            signature: key.sign(text.as_bytes()),
        };
        Ok(Self { text, signatures: vec![signature] })
    }

    /// Reads a note. Verifies nothing.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let malformed = || NoteError::MalformedNote;
        if !is_note_text(note) {
            return Err(malformed());
        }
        let end = note.rfind("\n\n").ok_or_else(malformed)?;
        let (text, lines) = (&note[..=end], &note[end + 2..]);
        let lines = lines.strip_suffix('\n').ok_or_else(malformed)?;
        let signatures =
            lines.split('\n').map(NoteSignature::parse).collect::<Option<Vec<_>>>().ok_or_else(malformed)?;
        if signatures.len() > SIGNATURE_COUNT_MAX {
            return Err(malformed());
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text, if the key signed it.
    pub fn verify(&self, key: &VerifierKey) -> Result<&str, NoteError> {
        let named = |signature: &&NoteSignature| signature.name == key.name() && signature.key_id == key.id();
        match self.signatures.iter().find(named) {
            None => Err(NoteError::NotSigned { key: key.name().to_owned() }),
            Some(found) if key.verifies(self.text.as_bytes(), &found.signature) => Ok(&self.text),
            Some(_) => Err(NoteError::InvalidSignature { key: key.name().to_owned() }),
        }
    }
}

/// Writes the note as it is published.
impl std::fmt::Display for SignedNote {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        for NoteSignature { name, key_id, signature } in &self.signatures {
            writeln!(formatter, "— {name} {}", STANDARD.encode([key_id, signature.as_slice()].concat()))?;
        }
        Ok(())
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        let bytes = STANDARD.decode(encoded).ok()?;
        let (key_id, signature) = bytes.split_first_chunk::<4>()?;
        (is_key_name(name) && !signature.is_empty()).then(|| Self {
            name: name.to_owned(),
            key_id: *key_id,
            signature: signature.to_vec(),
        })
    }
}

/// A signed tree head. One read from outside exists only after its signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Number of entries.
    pub tree_size: u64,
    /// RFC 6962 root of the tree of that size.
    pub root_hash: Hash,
    /// The signed note as published.
    pub note: String,
}

impl Checkpoint {
    /// Signs a tree head; the key's name is the origin.
    pub fn sign(tree_size: u64, root_hash: Hash, key: &SigningKey) -> Result<Self, NoteError> {
        let origin = key.verifier().name().to_owned();
        let text = format!("{origin}\n{tree_size}\n{}\n", STANDARD.encode(root_hash));
        let note = SignedNote::sign(text, key)?.to_string();
        Ok(Self { origin, tree_size, root_hash, note })
    }

    /// Reads a checkpoint of the log whose key this is, and verifies it.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, NoteError> {
        let parsed = SignedNote::parse(note)?;
        let (origin, tree_size, root_hash) = parse_text(parsed.verify(key)?).ok_or(NoteError::MalformedCheckpoint)?;
        if origin != key.name() {
            return Err(NoteError::Origin { found: origin.to_owned(), expected: key.name().to_owned() });
        }
        Ok(Self { origin: origin.to_owned(), tree_size, root_hash, note: note.to_owned() })
    }
}

/// Origin, tree size and root hash; extension lines may follow and are ignored.
fn parse_text(text: &str) -> Option<(&str, u64, Hash)> {
    let lines: Vec<&str> = text.strip_suffix('\n')?.split('\n').collect();
    let [origin, size, root, ..] = lines.as_slice() else { return None };
    if lines.iter().any(|line| line.is_empty()) {
        return None;
    }
    let tree_size: u64 = size.parse().ok().filter(|value: &u64| value.to_string() == *size)?;
    Some((origin, tree_size, STANDARD.decode(root).ok()?.try_into().ok()?))
}

/// True if the only control character is the newline.
fn is_note_text(text: &str) -> bool {
    text.bytes().all(|byte| byte >= b' ' || byte == b'\n')
}

#[cfg(test)]
mod tests;
