//! Handles and page tokens: what a hub must find again is sealed and given to the caller to keep, so that nothing is kept
//! here and any replica can open it.
//!
//! AES-256-GCM under a key derived from the log's subject key. What it is for (who searches, as whom, for what) goes into the
//! additional data: in other hands, or for another search, a seal does not open, like one that was made up. All handles are
//! of one length.

use access::{Caller, Officer};
use adapter_sdk::Key;
use audit::SubjectHasher;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    digest,
};
use proto::options::v1::IdentifierKind;

use crate::question::Purpose;

/// How long handles and page tokens hold, in seconds.
const VALID_SECONDS: i64 = 600;
/// Longer than any number that names a subject.
const NUMBER_LENGTH_MAX: usize = 16;

/// For whom and what a seal holds.
pub(crate) struct Scope([u8; 32]);

impl Scope {
    /// The system, its officer, purpose and dossier, and more of the question.
    pub(crate) fn new(caller: &Caller, officer: &Officer, purpose: &Purpose, more: &[&str]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        let agency = caller.agency.to_string();
        let dossier = purpose.dossier_number.as_deref().unwrap_or_default();
        let parts = [agency.as_str(), &caller.system, &officer.id, officer.assurance.as_str(), &purpose.code, dossier];
        for part in parts.iter().chain(more) {
            // Lengths keep neighbours apart.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }
}

/// Seals the number of a candidate. None when the library gives no random bytes.
pub(crate) fn handle(hasher: &SubjectHasher, scope: &Scope, key: &Key, now: i64) -> Option<String> {
    let number = key.value.as_bytes();
    let mut plain = vec![u8::try_from(key.kind as i32).ok()?, u8::try_from(number.len()).ok()?];
    plain.extend_from_slice(number);
    plain.resize(2 + NUMBER_LENGTH_MAX.max(number.len()), 0);
    seal(hasher, "candidate", scope, now, plain)
}

/// The number a handle stands for; none when it was not made for this, or too long ago.
pub(crate) fn open_handle(hasher: &SubjectHasher, scope: &Scope, handle: &str, now: i64) -> Option<Key> {
    let plain = open(hasher, "candidate", scope, now, handle)?;
    let (&kind, rest) = plain.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let value = String::from_utf8(rest.get(..usize::from(length))?.to_vec()).ok()?;
    Some(Key { kind: IdentifierKind::try_from(i32::from(kind)).ok()?, value })
}

/// Seals where a page begins.
pub(crate) fn page(hasher: &SubjectHasher, scope: &Scope, offset: usize, now: i64) -> Option<String> {
    seal(hasher, "page", scope, now, u32::try_from(offset).ok()?.to_be_bytes().to_vec())
}

/// Where a page begins; none when the token was not made for this search, or too long ago.
pub(crate) fn open_page(hasher: &SubjectHasher, scope: &Scope, token: &str, now: i64) -> Option<usize> {
    let plain = open(hasher, "page", scope, now, token)?;
    usize::try_from(u32::from_be_bytes(plain.try_into().ok()?)).ok()
}

fn key(hasher: &SubjectHasher, label: &str) -> Option<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, &*hasher.derived_secret(&format!("search {label}"))).ok()
}

fn seal(hasher: &SubjectHasher, label: &str, scope: &Scope, now: i64, plain: Vec<u8>) -> Option<String> {
    let mut text = now.saturating_add(VALID_SECONDS).to_be_bytes().to_vec();
    text.extend(plain);
    let nonce = key(hasher, label)?.seal_in_place_append_tag(Aad::from(scope.0), &mut text).ok()?;
    Some(hex::encode([nonce.as_ref().as_slice(), &text].concat()))
}

fn open(hasher: &SubjectHasher, label: &str, scope: &Scope, now: i64, sealed: &str) -> Option<Vec<u8>> {
    let bytes = hex::decode(sealed).ok()?;
    let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = text.to_vec();
    let plain = key(hasher, label)?.open_in_place(nonce, Aad::from(scope.0), &mut text).ok()?;
    let (until, rest) = plain.split_at_checked(size_of::<i64>())?;
    (now < i64::from_be_bytes(until.try_into().ok()?)).then(|| rest.to_vec())
}

#[cfg(test)]
mod tests {
    use access::Assurance;

    use super::*;

    fn scope(system: &str, officer: &str, dossier: &str, more: &[&str]) -> Scope {
        let caller = Caller { agency: "H21.12".parse().unwrap(), system: system.to_owned() };
        let officer =
            Officer {
                id: officer.to_owned(), name: "Kiểm thử".to_owned(), unit: None, assurance: Assurance::Asserted
            };
        let purpose =
            Purpose { code: "p".to_owned(), dossier_number: Some(dossier.to_owned()), justification: String::new() };
        Scope::new(&caller, &officer, &purpose, more)
    }

    #[test]
    fn a_handle_opens_for_whom_it_was_made_and_for_ten_minutes() {
        let hasher = SubjectHasher::new(&[7; 32]);
        let mine = || scope("a", "1", "D1", &[]);
        let number = Key { kind: IdentifierKind::PersonalId, value: "052185000001".to_owned() };
        let made = handle(&hasher, &mine(), &number, 1_000).unwrap();
        let open = |hasher: &SubjectHasher, scope: Scope, handle: &str, now| open_handle(hasher, &scope, handle, now);
        assert_eq!(open(&hasher, mine(), &made, 1_599), Some(number.clone()));
        assert_eq!(open(&hasher, mine(), &made, 1_600), None);
        for other in [scope("b", "1", "D1", &[]), scope("a", "2", "D1", &[]), scope("a", "1", "D2", &[])] {
            assert_eq!(open(&hasher, other, &made, 1_000), None);
        }
        assert_eq!(open(&SubjectHasher::new(&[8; 32]), mine(), &made, 1_000), None);
        assert_eq!(open_page(&hasher, &mine(), &made, 1_000), None, "a handle is no page token");
        // Every byte counts, and nothing of the number shows.
        for at in 0..made.len() {
            let mut forged = made.clone().into_bytes();
            forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(open(&hasher, mine(), &String::from_utf8(forged).unwrap(), 1_000), None, "{at}");
        }
        let short = Key { kind: IdentifierKind::LegacyId, value: "215000001".to_owned() };
        let other = handle(&hasher, &mine(), &short, 1_000).unwrap();
        assert_eq!(other.len(), made.len());
        assert_ne!(handle(&hasher, &mine(), &number, 1_000).unwrap(), made);
        for made_up in ["", "00", "zz", &made[..made.len() - 2], &"00".repeat(54)] {
            assert_eq!(open(&hasher, mine(), made_up, 1_000), None);
        }
    }

    #[test]
    fn a_page_token_belongs_to_one_search() {
        let hasher = SubjectHasher::new(&[7; 32]);
        let search = |name: &'static str| scope("a", "1", "D1", &["record type", name]);
        let token = page(&hasher, &search("NGUYEN VAN AN"), 5, 1_000).unwrap();
        assert_eq!(open_page(&hasher, &search("NGUYEN VAN AN"), &token, 1_000), Some(5));
        assert_eq!(open_page(&hasher, &search("NGUYEN VAN BA"), &token, 1_000), None);
        assert_eq!(open_page(&hasher, &search("NGUYEN VAN AN"), &token, 1_600), None);
    }
}
