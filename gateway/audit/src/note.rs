//! C2SP `signed-note`, `tlog-checkpoint` and `tlog-cosignature`: the text form in which tree heads are signed, cosigned,
//! published and kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::key::{SignatureType, SigningKey, VerifierKey, is_key_name, split_cosignature};
use crate::keys::{LogKeys, SigningKeys};
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
    #[error("the note is not signed by {key} with the key given")]
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
    /// Fewer witnesses cosigned the checkpoint than are required.
    #[error("the checkpoint has {found} cosignatures of {required} required")]
    TooFewCosignatures {
        /// Valid cosignatures of the witnesses known.
        found: usize,
        /// Cosignatures required.
        required: usize,
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
        let mut note = Self::unsigned(text)?;
        note.signatures.push(note.signature(key, 0));
        Ok(note)
    }

    /// The cosignature of a witness, at this time in seconds since 1970. The note keeps the signatures it has.
    pub fn cosign(&self, key: &SigningKey, time: u64) -> NoteSignature {
        self.signature(key, time)
    }

    fn unsigned(text: String) -> Result<Self, NoteError> {
        if !is_note_text(&text) || !text.ends_with('\n') {
            return Err(NoteError::MalformedNote);
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    fn signature(&self, key: &SigningKey, time: u64) -> NoteSignature {
        let verifier = key.verifier();
        NoteSignature { name: verifier.name().to_owned(), key_id: verifier.id(), signature: key.sign(&self.text, time) }
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
        self.signature_of(key).map(|_| self.text.as_str())
    }

    /// The text, if one of the keys signed it, and none of them has a signature there that is not its own.
    pub fn verify_any(&self, keys: &[&VerifierKey]) -> Result<&str, NoteError> {
        let mut refused = None;
        let mut verified = false;
        for key in keys {
            match self.signature_of(key) {
                Ok(_) => verified = true,
                Err(not_signed @ NoteError::NotSigned { .. }) => refused = refused.or(Some(not_signed)),
                Err(invalid) => return Err(invalid),
            }
        }
        match refused {
            _ if verified => Ok(&self.text),
            Some(error) => Err(error),
            None => Err(NoteError::NotSigned { key: "any key known".to_owned() }),
        }
    }

    /// When this witness cosigned the note, in seconds since 1970.
    pub fn cosigned_at(&self, witness: &VerifierKey) -> Result<u64, NoteError> {
        let not_signed = || NoteError::NotSigned { key: witness.name().to_owned() };
        if witness.signature_type() != SignatureType::Cosignature {
            return Err(not_signed());
        }
        split_cosignature(&self.signature_of(witness)?.signature).map(|(time, _)| time).ok_or_else(not_signed)
    }

    /// The valid signature of a key.
    fn signature_of(&self, key: &VerifierKey) -> Result<&NoteSignature, NoteError> {
        let named = |signature: &&NoteSignature| signature.name == key.name() && signature.key_id == key.id();
        match self.signatures.iter().find(named) {
            None => Err(NoteError::NotSigned { key: key.name().to_owned() }),
            Some(found) if key.verifies(&self.text, &found.signature) => Ok(found),
            Some(_) => Err(NoteError::InvalidSignature { key: key.name().to_owned() }),
        }
    }
}

/// Writes the note as it is published.
impl std::fmt::Display for SignedNote {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(formatter, "{signature}"))
    }
}

/// Writes the signature line, without its end.
impl std::fmt::Display for NoteSignature {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, key_id, signature } = self;
        write!(formatter, "— {name} {}", STANDARD.encode([key_id, signature.as_slice()].concat()))
    }
}

impl NoteSignature {
    /// Reads a signature line, without its end. Verifies nothing.
    pub fn parse(line: &str) -> Option<Self> {
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
        Self::sign_by(tree_size, root_hash, std::iter::once(key), key.verifier().name())
    }

    /// Signs a tree head with each key of the log; their name is the origin.
    pub fn sign_with(tree_size: u64, root_hash: Hash, keys: &SigningKeys) -> Result<Self, NoteError> {
        Self::sign_by(tree_size, root_hash, keys.all(), keys.current().verifier().name())
    }

    fn sign_by<'k>(
        tree_size: u64,
        root_hash: Hash,
        keys: impl Iterator<Item = &'k SigningKey>,
        origin: &str,
    ) -> Result<Self, NoteError> {
        let mut note = SignedNote::unsigned(format!("{origin}\n{tree_size}\n{}\n", STANDARD.encode(root_hash)))?;
        note.signatures = keys.map(|key| note.signature(key, 0)).collect();
        Ok(Self { origin: origin.to_owned(), tree_size, root_hash, note: note.to_string() })
    }

    /// Reads a checkpoint of the log whose key, or keys, these are, and verifies it: signed by one of the keys that sign for
    /// its tree size. Signatures of others are ignored, and so are extension lines.
    pub fn open(note: &str, keys: &(impl LogKeys + ?Sized)) -> Result<Self, NoteError> {
        let parsed = SignedNote::parse(note)?;
        let (origin, tree_size, root_hash) = match parse_text(&parsed.text) {
            Some(parts) => parts,
            None => {
                // Who signed a text decides first what is wrong with it.
                parsed.verify_any(&keys.at(0))?;
                return Err(NoteError::MalformedCheckpoint);
            }
        };
        parsed.verify_any(&keys.at(tree_size))?;
        if origin != keys.origin() {
            return Err(NoteError::Origin { found: origin.to_owned(), expected: keys.origin().to_owned() });
        }
        Ok(Self { origin: origin.to_owned(), tree_size, root_hash, note: note.to_owned() })
    }

    /// The checkpoint with further signatures on its note; those that are there already are left as they are.
    pub fn with_signatures(mut self, signatures: &[NoteSignature]) -> Self {
        for signature in signatures {
            let line = format!("{signature}\n");
            if !self.note.ends_with(&line) && !self.note.contains(&format!("\n{line}")) {
                self.note.push_str(&line);
            }
        }
        self
    }

    /// The cosignatures of these witnesses, each witness once. A note with a cosignature in a witness's name that is not the
    /// witness's is refused.
    pub fn cosignatures(&self, witnesses: &[VerifierKey]) -> Result<Vec<Cosignature>, NoteError> {
        let note = SignedNote::parse(&self.note)?;
        let mut found: Vec<Cosignature> = Vec::new();
        for (place, witness) in witnesses.iter().enumerate() {
            if witnesses[..place].contains(witness) {
                continue;
            }
            match note.cosigned_at(witness) {
                Ok(time) => found.push(Cosignature { witness: witness.name().to_owned(), time }),
                Err(NoteError::NotSigned { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// As [`Checkpoint::cosignatures`], of which there must be as many as required.
    pub fn witnessed(&self, witnesses: &[VerifierKey], required: usize) -> Result<Vec<Cosignature>, NoteError> {
        let cosignatures = self.cosignatures(witnesses)?;
        let found = cosignatures.len();
        if found < required { Err(NoteError::TooFewCosignatures { found, required }) } else { Ok(cosignatures) }
    }
}

/// That a witness saw a checkpoint, and had seen none of its log that contradicts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Name of the witness.
    pub witness: String,
    /// When it cosigned, by its own clock, in seconds since 1970.
    pub time: u64,
}

/// Origin, tree size and root hash; extension lines may follow and are ignored.
pub(crate) fn parse_text(text: &str) -> Option<(&str, u64, Hash)> {
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
