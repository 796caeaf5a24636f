//! The log's Ed25519 keys in the text forms of Go's `sumdb/note` and C2SP `signed-note`, and the files secrets live in.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;

use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::tree::sha256;

/// The signature type of plain Ed25519 in C2SP `signed-note`.
const ED25519_TYPE: u8 = 1;
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

/// Signs the heads of the log that bears its name.
pub struct SigningKey {
    verifier: VerifierKey,
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; 32]>,
}

impl SigningKey {
    /// A fresh key for the log `name`.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        Self::from_seed(name, random()?)
    }

    /// Reads `PRIVATE+KEY+name+id+key`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix("PRIVATE+KEY+").ok_or(KeyError::Signing)?;
        let (name, id, key) = split_key(rest).ok_or(KeyError::Signing)?;
        let key = Zeroizing::new(key);
        let seed = Zeroizing::new(ed25519(&key)?.ok_or(KeyError::Signing)?);
        let key = Self::from_seed(name, seed)?;
        if key.verifier.id == id { Ok(key) } else { Err(KeyError::Id) }
    }

    /// Writes `PRIVATE+KEY+name+id+key`.
    pub fn to_text(&self) -> Zeroizing<String> {
        let typed = Zeroizing::new(with_type(&self.seed));
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

    /// Ed25519 over the bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    fn from_seed(name: &str, seed: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| KeyError::Signing)?;
        let mut public_key = [0; 32];
        public_key.copy_from_slice(pair.public_key().as_ref());
        Ok(Self { verifier: VerifierKey::new(name, public_key)?, pair, seed })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("name", &self.verifier.name).field("seed", &"[redacted]").finish()
    }
}

/// Checks the signatures of the log that bears its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    public_key: [u8; 32],
}

impl VerifierKey {
    /// The key `name` with these 32 bytes of Ed25519 public key.
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name);
        }
        let digest = sha256(&[name.as_bytes(), b"\n", &with_type(&public_key)].concat());
        let id = [digest[0], digest[1], digest[2], digest[3]];
        Ok(Self { name: name.to_owned(), id, public_key })
    }

    /// Reads `name+id+key`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, id, key) = split_key(text).ok_or(KeyError::Verifier)?;
        let key = Self::new(name, ed25519(&key)?.ok_or(KeyError::Verifier)?)?;
        if key.id == id { Ok(key) } else { Err(KeyError::Id) }
    }

    /// The log's name, which is its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// First four bytes of `SHA-256(name || "\n" || 0x01 || public key)`.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// True if this is the key's Ed25519 signature of the message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public_key).verify(message, signature).is_ok()
    }
}

/// Writes `name+id+key`.
impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = STANDARD.encode(with_type(&self.public_key));
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

/// The 32 bytes after the signature type; None if there are more or fewer.
fn ed25519(key: &[u8]) -> Result<Option<[u8; 32]>, KeyError> {
    match key {
        [ED25519_TYPE, bytes @ ..] => Ok(bytes.try_into().ok()),
        [other, ..] => Err(KeyError::SignatureType(*other)),
        [] => Ok(None),
    }
}

fn with_type(key: &[u8; 32]) -> Vec<u8> {
    [&[ED25519_TYPE], key.as_slice()].concat()
}

#[cfg(test)]
mod tests;
