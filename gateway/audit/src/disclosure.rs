//! What the subject of an entry may see of it, and when; and whether a list of that left nothing out.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;
use prost_types::Timestamp;
use proto::audit::v1::entry::Disclosure;
use proto::audit::v1::{Entry, ListSubjectAccessesResponse, SubjectAccess, SubjectAccessRecord};

use crate::keys::LogKeys;
use crate::note::Checkpoint;
use crate::tiles;
use crate::tree;
use crate::verify::VerifyError;

/// Whether an entry is open to its subjects at a moment. An entry of no disclosure class is not.
pub fn is_open(entry: &Entry, at: &Timestamp) -> bool {
    match entry.disclosure() {
        Disclosure::Immediate => true,
        Disclosure::Delayed => entry.disclosure_from.as_ref().is_some_and(|from| order(from) <= order(at)),
        Disclosure::Never | Disclosure::Unspecified => false,
    }
}

/// An entry as its subject sees it: the office, not the person who acted.
pub fn seen_by_subject(log_origin: &str, log_index: u64, entry_bytes: &[u8], entry: &Entry) -> SubjectAccess {
    let caller = entry.caller.clone().unwrap_or_default();
    let purpose = entry.purpose.clone().unwrap_or_default();
    let records = entry.accesses.iter().map(|access| SubjectAccessRecord {
        record_type: access.record_type.clone(),
        fields_asked: access.fields_asked.clone(),
        fields_released: access.fields_released.clone(),
        agreements: access.agreements.clone(),
    });
    SubjectAccess {
        log_origin: log_origin.to_owned(),
        log_index,
        leaf_hash: tree::leaf_hash(entry_bytes).to_vec(),
        time: entry.time,
        kind: entry.kind,
        agency: caller.agency,
        system: caller.system,
        unit: entry.officer.as_ref().map(|officer| officer.unit.clone()).unwrap_or_default(),
        purpose: purpose.code,
        dossier_number: purpose.dossier_number,
        outcome: entry.outcome,
        records: records.collect(),
    }
}

/// Why a list of accesses is not the log's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The list says nothing about this log.
    #[error("the list does not cover the log {origin}")]
    NotCovered {
        /// The log.
        origin: String,
    },
    /// The list does not say for which moment it was made.
    #[error("the list does not say for which moment it was made")]
    NoMoment,
    /// An entry that belongs into the list is not there.
    #[error("entry {log_index} is left out of the list")]
    LeftOut {
        /// Its index.
        log_index: u64,
    },
    /// An entry is in the list, but says something else there.
    #[error("entry {log_index} is another in the list than in the log")]
    Changed {
        /// Its index.
        log_index: u64,
    },
    /// The log has no such entry that belongs into the list, or it is there twice.
    #[error("entry {log_index} does not belong into the list, or stands there twice")]
    Superfluous {
        /// Its index.
        log_index: u64,
    },
    /// The entry has an encoding this release does not know; whether it belongs into the list cannot be told.
    #[error("entry {log_index} cannot be read")]
    Unreadable {
        /// Its index.
        log_index: u64,
    },
}

/// What was found of a list of accesses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listed {
    /// Accesses that are in the log as in the list.
    pub accesses: u64,
    /// Accesses of the list whose bodies were removed from the log since: their leaf hashes are those of the list.
    pub by_hash: u64,
    /// Other entries whose bodies were removed: whether they were about the subject cannot be told.
    pub removed: u64,
}

/// Holds a list of accesses against the tiled log of this key, which must have been verified together with the list's
/// checkpoint ([`covered`]) and has `tree_size` entries. Every entry up to that checkpoint that carries the subject's hash, lies in the period and was
/// open to the subject at the list's moment must be in the list, as it is in the log, and no other. An entry whose body was
/// removed since is held against the list by its leaf hash.
pub fn verify_list(
    folder: &Path,
    tree_size: u64,
    key: &dyn LogKeys,
    list: &ListSubjectAccessesResponse,
) -> Result<Listed, VerifyError> {
    let covered = covered(key, list)?.tree_size;
    let at = list.at.ok_or(ListError::NoMoment)?;
    let mut listed = BTreeMap::new();
    for access in list.accesses.iter().filter(|access| access.log_origin == key.origin()) {
        let log_index = access.log_index;
        if listed.insert(log_index, access).is_some() {
            return Err(ListError::Superfluous { log_index }.into());
        }
    }
    let mut verified = Listed::default();
    tiles::entries(folder, tree_size, |log_index, bytes| {
        if log_index >= covered {
            return Ok(());
        }
        let Some(bytes) = bytes else {
            verified.removed += 1;
            if let Some(access) = listed.remove(&log_index) {
                if tiles::leaf_hash(folder, log_index, tree_size)?[..] != access.leaf_hash {
                    return Err(ListError::Changed { log_index }.into());
                }
                verified.removed -= 1;
                verified.by_hash += 1;
            }
            return Ok(());
        };
        let entry = Entry::decode(bytes).map_err(|_| ListError::Unreadable { log_index })?;
        let belongs = entry.subjects.iter().any(|subject| list.subject_hashes.contains(subject))
            && is_within(entry.time.as_ref(), list)
            && is_open(&entry, &at);
        if belongs {
            let access = listed.remove(&log_index).ok_or(ListError::LeftOut { log_index })?;
            if *access != seen_by_subject(key.origin(), log_index, bytes, &entry) {
                return Err(ListError::Changed { log_index }.into());
            }
            verified.accesses += 1;
        }
        Ok(())
    })?;
    match listed.first_key_value() {
        Some((log_index, _)) => Err(ListError::Superfluous { log_index: *log_index }.into()),
        None => Ok(verified),
    }
}

/// The checkpoint up to which a list covers the log of this key.
pub fn covered(key: &dyn LogKeys, list: &ListSubjectAccessesResponse) -> Result<Checkpoint, VerifyError> {
    let note = list.logs.iter().find(|log| log.note.split('\n').next() == Some(key.origin()));
    let note = note.ok_or_else(|| ListError::NotCovered { origin: key.origin().to_owned() })?;
    Ok(Checkpoint::open(&note.note, key)?)
}

fn is_within(time: Option<&Timestamp>, list: &ListSubjectAccessesResponse) -> bool {
    let Some(time) = time else { return list.from.is_none() && list.until.is_none() };
    list.from.as_ref().is_none_or(|from| order(from) <= order(time))
        && list.until.as_ref().is_none_or(|until| order(time) < order(until))
}

fn order(time: &Timestamp) -> (i64, i32) {
    (time.seconds, time.nanos)
}
