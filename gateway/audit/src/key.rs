//! Ed25519 keys of logs and witnesses in the text forms of Go's `sumdb/note` and C2SP `signed-note`, and the files secrets
//! live in.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;

use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::tree::sha256;

/// What signs a cosignature, besides its time (C2SP `tlog-cosignature`).
const COSIGNATURE_HEADER: &str = "cosignature/v1";
/// Latest time a cosignature may state.
const COSIGNATURE_TIME_MAX: u64 = i64::MAX as u64;
/// Key files are one short line; anything longer is another file.
const KEY_FILE_LENGTH_MAX: u64 = 4096;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key's name may hold no space and no plus sign and may not be empty.
    #[error("a key name must not be empty nor contain spaces or '+'")]
    Name,
    /// Not of the form `name+id+key`.
    #[error("not a verifier key of the form name+id+key")]
    Verifier,
    /// Not of the form `PRIVATE+KEY+name+id+key`.
    #[error("not a signing key of the form PRIVATE+KEY+name+id+key")]
    Signing,
    /// The key id is not that of the name and key beside it.
    #[error("the key id does not belong to the key")]
    Id,
    /// A signature type other than Ed25519.
    #[error("unknown signature type {0}")]
    SignatureType(u8),
    /// Keys that are to be of one log have several names.
    #[error("the keys of one log must have one name")]
    SeveralNames,
    /// After a key there is something else than the tree sizes it signs for.
    #[error("after a key may stand \"from N\" and \"until N\": the tree sizes it signs for")]
    Range,
    /// A hash key of the wrong form.
    #[error("a subject hash key is 64 hexadecimal digits")]
    SubjectHash,
    /// The system gave no random bytes.
    #[error("no random bytes to be had")]
    Random,
    /// The file could not be read or written.
    #[error("key file {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Others than the owner may read or write the file.
    #[error("key file {path} is open to others (mode {mode:03o}): run chmod 600 on it")]
    FileMode {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
}

/// What a key's signatures are, as C2SP `signed-note` tells signature types apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureType {
    /// `0x01`, Ed25519 over the text: the signature of a log.
    Log,
    /// `0x04`, Ed25519 over the text and the time: the cosignature of a witness (C2SP `tlog-cosignature`).
    Cosignature,
}

impl SignatureType {
    const fn byte(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Cosignature => 4,
        }
    }

    /// Parts a key's bytes into the type and the rest.
    fn split(key: &[u8]) -> Result<Option<(Self, [u8; 32])>, KeyError> {
        let Some((byte, rest)) = key.split_first() else { return Ok(None) };
        let known = [Self::Log, Self::Cosignature].into_iter().find(|known| known.byte() == *byte);
        let known = known.ok_or(KeyError::SignatureType(*byte))?;
        Ok(rest.try_into().ok().map(|bytes| (known, bytes)))
    }
}

/// Signs the checkpoints of the log that bears its name, or cosigns those of others as the witness that does.
pub struct SigningKey {
    verifier: VerifierKey,
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; 32]>,
}

impl SigningKey {
    /// A fresh key for the log `name`.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        Self::from_seed(name, SignatureType::Log, random()?)
    }

    /// A fresh key for the witness `name`.
    pub fn generate_for_witness(name: &str) -> Result<Self, KeyError> {
        Self::from_seed(name, SignatureType::Cosignature, random()?)
    }

    /// Reads `PRIVATE+KEY+name+id+key`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix("PRIVATE+KEY+").ok_or(KeyError::Signing)?;
        let (name, id, key) = split_key(rest).ok_or(KeyError::Signing)?;
        let key = Zeroizing::new(key);
        let (signature_type, seed) = SignatureType::split(&key)?.ok_or(KeyError::Signing)?;
        let key = Self::from_seed(name, signature_type, Zeroizing::new(seed))?;
        if key.verifier.id == id { Ok(key) } else { Err(KeyError::Id) }
    }

    /// Writes `PRIVATE+KEY+name+id+key`.
    pub fn to_text(&self) -> Zeroizing<String> {
        let typed = Zeroizing::new(with_type(self.verifier.signature_type, &self.seed));
        let VerifierKey { name, id, .. } = &self.verifier;
        Zeroizing::new(format!("PRIVATE+KEY+{name}+{}+{}", hex::encode(id), *Zeroizing::new(STANDARD.encode(&*typed))))
    }

    /// Reads the key from a file that only its owner may read.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::parse(read_secret(path)?.trim_end())
    }

    /// Writes the key to a new file that only its owner may read. An existing file is left alone and is an error.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        write_secret(path, &self.to_text())
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a text, at this time (seconds since 1970) if the time is signed, too.
    pub(crate) fn sign(&self, text: &str, time: u64) -> Vec<u8> {
        match self.verifier.signature_type {
            SignatureType::Log => self.pair.sign(text.as_bytes()).as_ref().to_vec(),
            SignatureType::Cosignature => {
                let time = time.min(COSIGNATURE_TIME_MAX);
                let signature = self.pair.sign(cosigned(text, time).as_bytes());
                [time.to_be_bytes().as_slice(), signature.as_ref()].concat()
            }
        }
    }

    fn from_seed(name: &str, signature_type: SignatureType, seed: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| KeyError::Signing)?;
        let mut public_key = [0; 32];
        public_key.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { verifier: VerifierKey::of_type(name, signature_type, public_key)?, pair, seed })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("name", &self.verifier.name).field("seed", &"[redacted]").finish()
    }
}

/// Checks the signatures of the log, or the cosignatures of the witness, that bears its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    signature_type: SignatureType,
    public_key: [u8; 32],
}

impl VerifierKey {
    /// The log's key `name` with these 32 bytes of Ed25519 public key.
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self, KeyError> {
        Self::of_type(name, SignatureType::Log, public_key)
    }

    /// The key `name` for signatures of this type.
    pub fn of_type(name: &str, signature_type: SignatureType, public_key: [u8; 32]) -> Result<Self, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name);
        }
        let digest = sha256(&[name.as_bytes(), b"\n", &with_type(signature_type, &public_key)].concat());
        let id = [digest[0], digest[1], digest[2], digest[3]];
        Ok(Self { name: name.to_owned(), id, signature_type, public_key })
    }

    /// Reads `name+id+key`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, key) = split_key(text).ok_or(KeyError::Verifier)?;
        let (signature_type, public_key) = SignatureType::split(&key)?.ok_or(KeyError::Verifier)?;
        let key = Self::of_type(name, signature_type, public_key)?;
        if key.id == id { Ok(key) } else { Err(KeyError::Id) }
    }

    /// Name of the log, by habit its origin, or of the witness.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// First four bytes of `SHA-256(name || "\n" || signature type || public key)`.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// What its signatures are.
    pub fn signature_type(&self) -> SignatureType {
        self.signature_type
    }

    /// True if this is the key's signature of the text.
    pub(crate) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        match self.signature_type {
            SignatureType::Log => self.verifies_bytes(text.as_bytes(), signature),
            SignatureType::Cosignature => {
                let Some((time, signature)) = split_cosignature(signature) else { return false };
                time <= COSIGNATURE_TIME_MAX && self.verifies_bytes(cosigned(text, time).as_bytes(), signature)
            }
        }
    }

    fn verifies_bytes(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public_key).verify(message, signature).is_ok()
    }
}

/// Parts a cosignature into its time, in seconds since 1970, and the Ed25519 signature.
pub(crate) fn split_cosignature(signature: &[u8]) -> Option<(u64, &[u8])> {
    signature.split_first_chunk::<8>().map(|(time, signature)| (u64::from_be_bytes(*time), signature))
}

/// What a cosignature signs.
fn cosigned(text: &str, time: u64) -> String {
    format!("{COSIGNATURE_HEADER}\ntime {time}\n{text}")
}

/// Writes `name+id+key`.
impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode(with_type(self.signature_type, &self.public_key));
        write!(formatter, "{}+{}+{key}", self.name, hex::encode(self.id))
    }
}

/// True for a name C2SP `signed-note` allows.
pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|letter: char| letter == '+' || letter.is_whitespace())
}

/// 32 random bytes.
pub(crate) fn random() -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

/// The text of a file that only its owner may read.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let failed = |source| KeyError::File { path: path.display().to_string(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    refuse_open_mode(path, &file.metadata().map_err(failed)?)?;
    let mut text = Zeroizing::new(String::new());
    file.take(KEY_FILE_LENGTH_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Writes one line to a new file that only its owner may read.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), KeyError> {
    let failed = |source| KeyError::File { path: path.display().to_string(), source };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all()).map_err(failed)
}

#[cfg(unix)]
fn refuse_open_mode(path: &Path, metadata: &std::fs::Metadata) -> Result<(), KeyError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyError::FileMode { path: path.display().to_string(), mode }) }
}

#[cfg(not(unix))]
fn refuse_open_mode(_path: &Path, _metadata: &std::fs::Metadata) -> Result<(), KeyError> {
    Ok(())
}

/// Parts `name+id+key` into name, id and the bytes of the key.
fn split_key(text: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, rest) = text.split_once('+')?;
    let (id, key) = rest.split_once('+')?;
    let mut id_bytes = [0; 4];
    hex::decode_to_slice(id, &mut id_bytes).ok()?;
    Some((name, id_bytes, STANDARD.decode(key).ok()?))
}

fn with_type(signature_type: SignatureType, key: &[u8; 32]) -> Vec<u8> {
    [&[signature_type.byte()], key.as_slice()].concat()
}

#[cfg(test)]
mod tests;
