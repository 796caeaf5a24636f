//! Hashes as they are stored: one row holds a run of them, of consecutive positions, end to end, under the position of the
//! first. A batch so adds a few rows, where a row for each hash would cost more than all the rest of it. Logs of schema 1
//! hold rows of one hash, which are runs of one.

use super::{Packed, Session};
use crate::error::Damage;
use crate::tree::Hash;

/// Most hashes of a run. Whoever looks for a hash looks this far back; such a row is short enough to lie eight to a page of
/// PostgreSQL and four to a page of SQLite, and is kept whole in it.
pub(crate) const RUN_MAX: u64 = 30;
const HASH_LENGTH: usize = size_of::<Hash>();

/// How many rows so many hashes make.
pub(crate) fn run_count(hash_count: usize) -> i64 {
    hash_count.div_ceil(RUN_MAX as usize) as i64
}

/// What is wrong where stored hashes do not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// No run goes on there.
    Missing,
    /// A run begins before the one before it ends, or is longer than any that is written.
    Unexpected,
    /// A run ends in a part of a hash.
    Cut,
}

/// Reads all hashes of a log in the order of their positions, each row once.
#[derive(Debug, Default)]
pub(crate) struct RunReader {
    /// Rows at positions below were read.
    sought: u64,
    /// Position of the first hash not yet given out.
    first: u64,
    /// Hashes from there on.
    ahead: Vec<u8>,
    flaw: Option<Flaw>,
}

/// Stored hashes of a range of positions, as far as they are there.
#[derive(Debug)]
pub(crate) struct StoredHashes {
    bytes: Vec<u8>,
    flaw: Flaw,
}

impl RunReader {
    /// The hashes from the end of those given out before, up to a position.
    pub(crate) async fn read(&mut self, session: &mut Session<'_>, end: u64) -> Result<StoredHashes, sqlx::Error> {
        let runs = session.packed_runs(&(self.sought..end)).await?;
        self.sought = end;
        Ok(self.take(&runs, end))
    }

    fn take(&mut self, runs: &Packed, end: u64) -> StoredHashes {
        for (position, run) in runs.iter() {
            self.add(position, run);
        }
        let wanted = end.saturating_sub(self.first) as usize * HASH_LENGTH;
        let ahead = self.ahead.split_off(wanted.min(self.ahead.len()));
        let bytes = std::mem::replace(&mut self.ahead, ahead);
        self.first += (bytes.len() / HASH_LENGTH) as u64;
        StoredHashes { bytes, flaw: self.flaw.unwrap_or(Flaw::Missing) }
    }

    /// Adds a row. Hashes given out end where something is wrong.
    fn add(&mut self, position: u64, run: &[u8]) {
        let end = self.first + (self.ahead.len() / HASH_LENGTH) as u64;
        let (whole, longest) = (run.len() / HASH_LENGTH * HASH_LENGTH, RUN_MAX as usize * HASH_LENGTH);
        if position < end {
            self.ahead.truncate(position.saturating_sub(self.first) as usize * HASH_LENGTH);
            self.flaw = Some(Flaw::Unexpected);
        } else if self.flaw.is_none() {
            if position == end {
                self.ahead.extend_from_slice(&run[..whole.min(longest)]);
            }
            self.flaw = match () {
                () if position > end => Some(Flaw::Missing),
                () if whole > longest => Some(Flaw::Unexpected),
                () if whole < run.len() => Some(Flaw::Cut),
                () => None,
            };
        }
    }
}

impl StoredHashes {
    /// The hashes, ascending.
    pub(crate) fn hashes(&self) -> &[Hash] {
        self.bytes.as_chunks().0
    }

    /// What is wrong where they end too early.
    pub(crate) fn damage(&self, level: u32, index: u64, position: u64) -> Damage {
        match self.flaw {
            Flaw::Missing => Damage::HashMissing { level, index, position },
            Flaw::Unexpected => Damage::HashUnexpected { position },
            Flaw::Cut => Damage::HashCut { level, index, position },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;

    fn hash(number: u8) -> Vec<u8> {
        vec![number; HASH_LENGTH]
    }

    fn run(numbers: Range<u8>) -> Vec<u8> {
        numbers.flat_map(hash).collect()
    }

    /// Numbers of the hashes read in parts that end at these positions, and what is wrong after them.
    fn read(rows: &[(u64, Vec<u8>)], ends: &[u64]) -> (Vec<u8>, Damage) {
        let (mut reader, mut numbers, mut damage) = (RunReader::default(), Vec::new(), None);
        for end in ends {
            let mut runs = Packed::default();
            let within = rows.iter().filter(|(position, _)| (reader.sought..*end).contains(position));
            within.for_each(|(position, run)| runs.push(*position, run));
            reader.sought = *end;
            let part = reader.take(&runs, *end);
            numbers.extend(part.hashes().iter().map(|hash| hash[0]));
            damage = Some(part.damage(0, 0, numbers.len() as u64));
        }
        (numbers, damage.unwrap())
    }

    #[test]
    fn runs_are_read_whole_however_they_lie_across_parts() {
        let rows = [(0, run(0..5)), (5, run(5..6)), (6, run(6..36)), (36, run(36..40))];
        for ends in [&[40][..], &[1, 5, 6, 20, 40], &[4, 37, 40], &[10, 11, 12, 40]] {
            assert_eq!(read(&rows, ends).0, (0..40).collect::<Vec<_>>(), "{ends:?}");
        }
    }

    #[test]
    fn hashes_end_where_something_is_wrong_with_their_rows() {
        let whole = || vec![(0, run(0..10)), (10, run(10..20)), (20, run(20..30))];
        let position = |position| Damage::HashUnexpected { position };
        for ends in [&[30][..], &[5, 15, 25, 30], &[10, 20, 30]] {
            let check = |rows: &[(u64, Vec<u8>)], count: u8, damage: Damage| {
                assert_eq!(read(rows, ends), ((0..count).collect(), damage), "{ends:?}");
            };
            let missing = |position| Damage::HashMissing { level: 0, index: 0, position };
            let cut = |position| Damage::HashCut { level: 0, index: 0, position };
            let mut rows = whole();
            rows.remove(1);
            check(&rows, 10, missing(10));
            let mut rows = whole();
            rows[1].1.truncate(5 * HASH_LENGTH);
            check(&rows, 15, missing(15));
            rows[1].1.push(0);
            check(&rows, 15, cut(15));
            let mut rows = whole();
            rows[1].1.push(0);
            check(&rows, 20, cut(20));
            rows[1].1.extend(&hash(20)[1..]);
            check(&rows, 20, position(20));
            // A run that ends within the next one, in a part of a hash.
            rows[1].1.push(0);
            check(&rows, 20, position(20));
            let mut rows = whole();
            rows.insert(2, (13, Vec::new()));
            check(&rows, 13, position(13));
        }
    }

    #[test]
    fn a_run_longer_than_any_that_is_written_ends_at_the_longest() {
        assert_eq!(read(&[(0, run(0..31))], &[31]), ((0..30).collect(), Damage::HashUnexpected { position: 30 }));
    }
}
