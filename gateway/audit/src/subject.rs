//! Keyed hashes of the numbers that name people and organisations, so that the log can be searched by a number without
//! holding it.

use std::fmt;
use std::path::Path;

use aws_lc_rs::hmac;
use proto::audit::v1::SubjectHash;
use proto::options::v1::IdentifierKind;
use zeroize::Zeroizing;

use crate::key::{KeyError, random, read_secret, write_secret};
use crate::tree::sha256;

/// Hashes subjects' numbers with a secret key, kept outside the log. After a change of key the older ones are kept for
/// finding the entries made with them.
///
/// The hash is HMAC-SHA-256 over `<kind number>:<identifier>`, for example `1:052095000017`. The identifier must be in
/// its canonical form; bringing it there is left to the caller.
#[derive(Clone)]
pub struct SubjectHasher {
    // Cleared by the cryptographic library when dropped.
    key: hmac::Key,
    key_id: String,
    older: Vec<SubjectHasher>,
}

impl SubjectHasher {
    /// Hashes with this key.
    pub fn new(key: &[u8; 32]) -> Self {
        let key_id = hex::encode(&sha256(key)[..4]);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), key_id, older: Vec::new() }
    }

    /// Reads the key, 64 hexadecimal digits, from a file that only its owner may read.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0; 32]);
        let text = read_secret(path)?;
        hex::decode_to_slice(text.trim_end(), &mut *key).map_err(|_| KeyError::SubjectHash)?;
        Ok(Self::new(&key))
    }

    /// Makes a fresh key and writes it to a new file that only its owner may read.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let key = random()?;
        write_secret(path, &Zeroizing::new(hex::encode(*key)))?;
        Ok(Self::new(&key))
    }

    /// Also finds what was hashed with older keys.
    pub fn with_older(self, older: Vec<SubjectHasher>) -> Self {
        Self { older, ..self }
    }

    /// Names the key without giving it away: the first 8 hexadecimal digits of its SHA-256.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Names the key and every older one, in this order.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self).chain(&self.older).map(Self::key_id)
    }

    /// The keyed hash of a subject's canonical number.
    pub fn hash(&self, kind: IdentifierKind, identifier: &str) -> SubjectHash {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(format!("{}:", kind as i32).as_bytes());
        context.update(identifier.as_bytes());
        SubjectHash { kind: kind as i32, key_id: self.key_id.clone(), hash: context.sign().as_ref().to_vec() }
    }

    /// A secret for another use, named by a label: replicas that share the key share it, and it tells nothing of the key.
    pub fn derived_secret(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut context = hmac::Context::with_key(&self.key);
        // No identifier's hash begins so: theirs begin with the number of a kind.
        context.update(b"derive:");
        context.update(label.as_bytes());
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(context.sign().as_ref());
        secret
    }

    /// The hashes of a number under the key and every older one: an entry about the subject carries one of them.
    pub fn hashes(&self, kind: IdentifierKind, identifier: &str) -> Vec<SubjectHash> {
        std::iter::once(self).chain(&self.older).map(|key| key.hash(kind, identifier)).collect()
    }
}

impl fmt::Debug for SubjectHasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SubjectHasher").field("key_id", &self.key_id).field("key", &"[redacted]").finish()
    }
}

#[cfg(test)]
mod tests;
