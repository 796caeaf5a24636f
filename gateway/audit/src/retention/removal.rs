//! What a run removed, as its entry states it; and what is missing from a log, until such an entry accounts for it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use proto::audit::v1::entry::Kind;
use proto::audit::v1::{Detail, Entry};

/// Name of the event.
pub(crate) const EVENT: &str = "retention";
/// Indices accounted for together: one entry states a run over so many at most.
pub(crate) const SLICE: u64 = 1 << 16;

/// The indices whose bodies one run removed. Its entry is a `HUB_EVENT` with the details `event` = `retention`,
/// `first_index`, `last_index`, `count`, and, unless that is all between the two, `removed`: one bit for each index from the
/// first on, the lowest bit of a byte first, in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removal {
    first: u64,
    last: u64,
    bits: Option<Vec<u8>>,
}

impl Removal {
    /// Of ascending indices within [`SLICE`] of each other; none if there is none.
    pub(crate) fn new(indices: &[u64]) -> Option<Self> {
        let (first, last) = (*indices.first()?, *indices.last()?);
        if last - first + 1 == indices.len() as u64 {
            return Some(Self { first, last, bits: None });
        }
        let mut bits = vec![0_u8; ((last - first) / 8 + 1) as usize];
        for index in indices {
            bits[((index - first) / 8) as usize] |= 1 << ((index - first) % 8);
        }
        Some(Self { first, last, bits: Some(bits) })
    }

    pub(crate) fn details(&self) -> Vec<Detail> {
        let detail = |name: &str, value: String| Detail { name: name.to_owned(), value };
        let mut details = vec![
            detail("event", EVENT.to_owned()),
            detail("first_index", self.first.to_string()),
            detail("last_index", self.last.to_string()),
            detail("count", self.indices().count().to_string()),
        ];
        details.extend(self.bits.as_ref().map(|bits| detail("removed", STANDARD.encode(bits))));
        details
    }

    /// The removal an entry states; none if it is no entry of a run.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let detail = |name: &str| entry.details.iter().find(|detail| detail.name == name).map(|detail| &detail.value);
        if entry.kind() != Kind::HubEvent || detail("event").is_none_or(|event| event != EVENT) {
            return None;
        }
        let (first, last): (u64, u64) = (detail("first_index")?.parse().ok()?, detail("last_index")?.parse().ok()?);
        if last < first || last - first >= SLICE {
            return None;
        }
        let bits = match detail("removed") {
            Some(text) => Some(STANDARD.decode(text).ok().filter(|bits| bits.len() as u64 == (last - first) / 8 + 1)?),
            None => None,
        };
        Some(Self { first, last, bits })
    }

    /// As [`Self::of`], from an entry's bytes. Nearly all entries are passed over at their first bytes.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        if !may_be_event(bytes) {
            return None;
        }
        Self::of(&Entry::decode(bytes).ok()?)
    }

    pub(crate) fn names(&self, log_index: u64) -> bool {
        let within = (self.first..=self.last).contains(&log_index);
        within && self.bits.as_ref().is_none_or(|bits| is_set(bits, log_index - self.first))
    }

    pub(crate) fn indices(&self) -> impl Iterator<Item = u64> {
        (self.first..=self.last).filter(|index| self.names(*index))
    }

    /// First and last index.
    pub(crate) fn ends(&self) -> (u64, u64) {
        (self.first, self.last)
    }
}

fn is_set(bits: &[u8], at: u64) -> bool {
    bits.get((at / 8) as usize).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

/// False only for entries that are no events: the fields stand in ascending order, so the kind follows version and time.
fn may_be_event(bytes: &[u8]) -> bool {
    let [0x08, 1, 0x12, length, rest @ ..] = bytes else { return true };
    match rest.get(usize::from(*length)..) {
        Some([0x18, kind, ..]) => i32::from(*kind) == Kind::HubEvent as i32,
        _ => true,
    }
}

/// Indices whose bodies are missing and not yet accounted for, a bit each.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    slices: BTreeMap<u64, Slice>,
    accounted: u64,
}

#[derive(Debug)]
struct Slice {
    bits: Vec<u8>,
    count: u64,
}

impl Missing {
    pub(crate) fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    pub(crate) fn insert(&mut self, log_index: u64) {
        let empty = || Slice { bits: vec![0; SLICE as usize / 8], count: 0 };
        let slice = self.slices.entry(log_index / SLICE).or_insert_with(empty);
        let at = log_index % SLICE;
        slice.count += u64::from(!is_set(&slice.bits, at));
        slice.bits[(at / 8) as usize] |= 1 << (at % 8);
    }

    /// Takes out what an entry accounts for, if it is one of a run.
    pub(crate) fn account(&mut self, entry_bytes: &[u8]) {
        if self.is_empty() {
            return;
        }
        let Some(removal) = Removal::of_bytes(entry_bytes) else { return };
        for log_index in removal.indices() {
            let (number, at) = (log_index / SLICE, log_index % SLICE);
            let Some(slice) = self.slices.get_mut(&number).filter(|slice| is_set(&slice.bits, at)) else { continue };
            slice.bits[(at / 8) as usize] &= !(1 << (at % 8));
            slice.count -= 1;
            self.accounted += 1;
            if slice.count == 0 {
                self.slices.remove(&number);
            }
        }
    }

    /// The first that nothing accounts for.
    pub(crate) fn first(&self) -> Option<u64> {
        let (number, slice) = self.slices.first_key_value()?;
        (0..SLICE).find(|at| is_set(&slice.bits, *at)).map(|at| number * SLICE + at)
    }

    /// How many were accounted for.
    pub(crate) fn accounted(&self) -> u64 {
        self.accounted
    }
}
