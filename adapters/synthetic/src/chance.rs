//! Repeatable chance: every draw is a function of the seed and of what it is drawn for, never of the order of work.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of draws is for; keeps streams of equal index apart.
#[derive(Clone, Copy)]
pub(crate) enum Domain {
    Block = 1,
    Firm = 2,
    Unit = 3,
    Judicial = 4,
    Insurance = 5,
    Civil = 6,
    Business = 7,
}

/// A stream of draws for one thing.
pub(crate) fn stream(seed: u64, domain: Domain, index: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(mix(mix(seed, domain as u64), index))
}

/// Whether something happens to one thing, drawn by hash.
pub(crate) fn happens(seed: u64, what: &str, index: u64, rate: f64) -> bool {
    unit(mix(mix(seed, key(what)), index)) < rate
}

/// A number in `0.0..1.0` from a hash.
pub(crate) fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

/// The hash of a word (FNV-1a).
pub(crate) const fn key(word: &str) -> u64 {
    let bytes = word.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

/// Two numbers into one (the finaliser of SplitMix64).
pub(crate) fn mix(left: u64, right: u64) -> u64 {
    let mut hash = left.rotate_left(25) ^ right.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// One of a list.
pub(crate) fn pick<T: Copy>(rng: &mut impl Rng, list: &[T]) -> T {
    list[rng.random_range(0..list.len())]
}

/// One of a list by weight.
pub(crate) fn weighted<T: Copy>(rng: &mut impl Rng, list: &[(T, u32)]) -> T {
    let total: u32 = list.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.random_range(0..total);
    for (item, weight) in list {
        if left < *weight {
            return *item;
        }
        left -= weight;
    }
    list[list.len() - 1].0
}
