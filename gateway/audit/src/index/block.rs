//! A block of the index: which terms the entries of one range of indices carry, in memory and as it is stored.
//!
//! Terms fall into [`BUCKETS`] buckets by their first bits, and a bucket is stored as one value: for each of its terms, in
//! order, five further bytes of the term, the length of what follows (shifted left by one; the lowest bit tells a bitmap),
//! and the places of the entries within the block, as differences or as a bitmap, whichever is shorter. Two terms that
//! agree in all bytes kept share their entries; whoever searches looks at each entry anyway.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use prost::Message;
use proto::audit::v1::Entry;

use crate::search::{self, Term, Terms};

/// Buckets of a block.
pub(super) const BUCKETS: u64 = 1024;
/// Entries whose earliest and latest time are kept together.
const SPAN: u64 = 1024;
/// Bytes of a term that stand in its bucket.
const SUFFIX: usize = 5;

/// What is stored cannot be what was written.
#[derive(Debug)]
pub(super) struct Malformed;

/// The entries read so far of one range of indices.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) number: u64,
    size: u64,
    /// Entries read, from the first of the block on.
    length: u64,
    postings: HashMap<Term, Vec<u16>>,
    spans: Spans,
}

impl Block {
    /// An empty block; `size` is at most 65,536.
    pub(super) fn new(number: u64, size: u64) -> Self {
        Self { number, size, length: 0, postings: HashMap::new(), spans: Spans::default() }
    }

    /// Index of the first entry of the block.
    pub(super) fn start(&self) -> u64 {
        self.number * self.size
    }

    /// Index of the entry to read next.
    pub(super) fn end(&self) -> u64 {
        self.start() + self.length
    }

    /// Index of the first entry of the next block.
    pub(super) fn limit(&self) -> u64 {
        self.start() + self.size
    }

    pub(super) fn is_full(&self) -> bool {
        self.length == self.size
    }

    /// Takes in the entries that follow; those whose bodies were removed are not among them.
    pub(super) fn add(&mut self, entries: &[(u64, &[u8])]) {
        for (log_index, bytes) in entries {
            self.read_to(log_index + 1);
            // An entry that cannot be read cannot be found; saying so is the verifier's part.
            let Ok(entry) = Entry::decode(*bytes) else { continue };
            let place = log_index - self.start();
            for term in search::terms_of(&entry) {
                self.postings.entry(term).or_default().push(place as u16);
            }
            if let Some(time) = &entry.time {
                self.spans.add(place, search::micros(time));
            }
        }
    }

    /// There is nothing else before an index.
    pub(super) fn read_to(&mut self, end: u64) {
        self.length = end - self.start();
    }

    pub(super) fn spans(&self) -> &Spans {
        &self.spans
    }

    /// Buckets that are not empty, as they are stored.
    pub(super) fn buckets(&self) -> Vec<(u64, Vec<u8>)> {
        let mut terms: Vec<(&Term, &Vec<u16>)> = self.postings.iter().collect();
        terms.sort_unstable_by_key(|(term, _)| term.0 as u64);
        let mut buckets: Vec<(u64, Vec<u8>)> = Vec::new();
        for (term, places) in terms {
            let number = bucket(*term);
            if buckets.last().is_none_or(|(last, _)| *last != number) {
                buckets.push((number, Vec::new()));
            }
            if let Some((_, bytes)) = buckets.last_mut() {
                write_term(bytes, *term, places, self.size);
            }
        }
        buckets
    }

    /// Places of the entries that carry the terms, ascending.
    pub(super) fn places(&self, terms: &Terms) -> Vec<u16> {
        let found = |term: &Term| self.postings.get(term).cloned().unwrap_or_default();
        combine(&terms.first.iter().map(found).collect::<Vec<_>>(), terms.others.iter().map(found))
    }
}

/// The bucket a term is stored in.
pub(super) fn bucket(term: Term) -> u64 {
    term.0 as u64 >> (64 - BUCKETS.ilog2())
}

fn suffix(term: Term) -> [u8; SUFFIX] {
    let bytes = ((term.0 as u64) << BUCKETS.ilog2()).to_be_bytes();
    std::array::from_fn(|at| bytes[at])
}

/// Places of the entries that carry the terms, ascending, from the stored buckets of a block.
pub(super) fn places(buckets: &BTreeMap<u64, &[u8]>, size: u64, terms: &Terms) -> Result<Vec<u16>, Malformed> {
    let found = |term: &Term| match buckets.get(&bucket(*term)) {
        Some(bytes) => read_term(bytes, *term, size),
        None => Ok(Vec::new()),
    };
    let first = terms.first.iter().map(found).collect::<Result<Vec<_>, _>>()?;
    let others = terms.others.iter().map(found).collect::<Result<Vec<_>, _>>()?;
    Ok(combine(&first, others))
}

/// What is in one of the first and in all of the others.
fn combine(first: &[Vec<u16>], others: impl IntoIterator<Item = Vec<u16>>) -> Vec<u16> {
    let mut places = first.concat();
    places.sort_unstable();
    places.dedup();
    for other in others {
        if places.is_empty() {
            break;
        }
        places.retain(|place| other.binary_search(place).is_ok());
    }
    places
}

fn write_term(bytes: &mut Vec<u8>, term: Term, places: &[u16], size: u64) {
    bytes.extend_from_slice(&suffix(term));
    let bitmap_length = size.div_ceil(8) as usize;
    let mut differences = Vec::new();
    let mut previous = 0;
    for place in places {
        write_number(&mut differences, u64::from(place - previous));
        previous = *place;
    }
    if differences.len() <= bitmap_length {
        write_number(bytes, (differences.len() as u64) << 1);
        bytes.extend_from_slice(&differences);
        return;
    }
    let mut bitmap = vec![0_u8; bitmap_length];
    for place in places {
        bitmap[usize::from(*place / 8)] |= 1 << (place % 8);
    }
    write_number(bytes, (bitmap_length as u64) << 1 | 1);
    bytes.extend_from_slice(&bitmap);
}

fn read_term(mut bytes: &[u8], term: Term, size: u64) -> Result<Vec<u16>, Malformed> {
    let wanted = suffix(term);
    let mut places = Vec::new();
    while let Some((found, after)) = bytes.split_first_chunk::<SUFFIX>() {
        if *found > wanted {
            return Ok(places);
        }
        let (length, after) = read_number(after)?;
        let (listed, after) = after.split_at_checked((length >> 1) as usize).ok_or(Malformed)?;
        if *found == wanted {
            read_places(listed, length & 1 == 1, size, &mut places)?;
        }
        bytes = after;
    }
    if bytes.is_empty() { Ok(places) } else { Err(Malformed) }
}

fn read_places(mut listed: &[u8], bitmap: bool, size: u64, places: &mut Vec<u16>) -> Result<(), Malformed> {
    if bitmap {
        for (at, byte) in listed.iter().enumerate() {
            let set = (0..8).filter(|bit| byte >> bit & 1 == 1);
            places.extend(set.map(|bit| (8 * at + bit) as u16));
        }
    } else {
        let mut place = 0;
        while !listed.is_empty() {
            let (difference, after) = read_number(listed)?;
            place += difference;
            places.push(u16::try_from(place).map_err(|_| Malformed)?);
            listed = after;
        }
    }
    let last = places.last().copied().unwrap_or_default();
    if u64::from(last) < size { Ok(()) } else { Err(Malformed) }
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((number, &bytes[at + 1..]));
        }
    }
    Err(Malformed)
}

/// Earliest and latest time, in microseconds, of each [`SPAN`] entries of a block.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Spans(Vec<(i64, i64)>);

/// No entry with a time.
const NO_TIME: (i64, i64) = (i64::MAX, i64::MIN);

impl Spans {
    fn add(&mut self, place: u64, micros: i64) {
        let span = (place / SPAN) as usize;
        if self.0.len() <= span {
            self.0.resize(span + 1, NO_TIME);
        }
        let (earliest, latest) = &mut self.0[span];
        *earliest = (*earliest).min(micros);
        *latest = (*latest).max(micros);
    }

    /// Earliest and latest time of all.
    pub(super) fn bounds(&self) -> (i64, i64) {
        self.0.iter().fold(NO_TIME, |all, span| (all.0.min(span.0), all.1.max(span.1)))
    }

    /// The places within the block outside which no entry has a time from `earliest` to `latest`; none if there is none.
    pub(super) fn within(&self, earliest: i64, latest: i64) -> Option<Range<u64>> {
        let overlaps = |span: &(i64, i64)| span.1 >= earliest && span.0 <= latest;
        let first = self.0.iter().position(overlaps)? as u64;
        let last = self.0.iter().rposition(overlaps)? as u64;
        Some(first * SPAN..(last + 1) * SPAN)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(earliest, latest)| [earliest.to_be_bytes(), latest.to_be_bytes()]).flatten().collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let (numbers, rest) = bytes.as_chunks::<8>();
        let (pairs, odd) = numbers.as_chunks::<2>();
        if !rest.is_empty() || !odd.is_empty() {
            return Err(Malformed);
        }
        let span = |[earliest, latest]: &[[u8; 8]; 2]| (i64::from_be_bytes(*earliest), i64::from_be_bytes(*latest));
        Ok(Self(pairs.iter().map(span).collect()))
    }
}

#[cfg(test)]
mod tests;
