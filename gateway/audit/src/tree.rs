//! The RFC 6962 Merkle tree over SHA-256: hashes, proofs, and where each hash is stored.
//!
//! Everything here is arithmetic on hashes and indices. Reading and writing hashes is left to the store, signing tree
//! heads to [`crate::Checkpoint`].
//!
//! Every proof element is the hash of a range of leaves, and every such range is a few *complete subtrees*: subtree
//! `(level, index)` spans the `2^level` leaves from `index * 2^level`. The hash of a complete subtree never changes, so
//! those are what is stored.

use std::ops::Range;

use aws_lc_rs::digest::{Context, SHA256, digest};

/// Bytes of a leaf that are copied to be hashed, at most.
const SHORT: usize = 1024;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// What is wrong with a proof, or with what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf is not in a tree of that size.
    #[error("log index {log_index} is beyond a tree of size {tree_size}")]
    IndexBeyondTree {
        /// The leaf asked for.
        log_index: u64,
        /// The size of the tree.
        tree_size: u64,
    },
    /// The older tree is larger than the newer one.
    #[error("tree size {from} is beyond tree size {to}")]
    SizesOutOfOrder {
        /// The older size.
        from: u64,
        /// The newer size.
        to: u64,
    },
    /// The proof has too many or too few hashes for its place in the tree.
    #[error("the proof has the wrong number of hashes")]
    WrongLength,
    /// The proof leads to another root.
    #[error("the proof does not lead to the root of the tree")]
    RootMismatch,
}

/// The root of the empty tree.
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// The hash of a leaf: `SHA-256(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    prefixed_hash::<SHORT>(0, entry)
}

/// SHA-256 of some bytes after one that says what they are. Less than so many bytes are copied to be hashed.
pub(crate) fn prefixed_hash<const SHORT: usize>(prefix: u8, bytes: &[u8]) -> Hash {
    // What is short is put together and hashed at once: setting up a context costs as much as hashing it.
    let mut short = [prefix; SHORT];
    if let Some(place) = short.get_mut(1..=bytes.len()) {
        place.copy_from_slice(bytes);
        return sha256(&short[..=bytes.len()]);
    }
    let mut context = Context::new(&SHA256);
    context.update(&[prefix]);
    context.update(bytes);
    to_hash(context.finish().as_ref())
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    sha256(&bytes)
}

/// The root of the tree with these leaf hashes.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    let mut stored = Vec::new();
    for leaf in leaves {
        frontier.push(*leaf, &mut stored);
        stored.clear();
    }
    frontier.root()
}

/// The audit path of a leaf in the tree of all `leaves` (RFC 6962, 2.1.1), from the leaf up.
pub fn inclusion_proof(leaves: &[Hash], log_index: u64) -> Result<Vec<Hash>, ProofError> {
    Ok(roots_of(leaves, &inclusion_ranges(log_index, leaves.len() as u64)?))
}

/// The proof that the tree of the first `from` leaves is a prefix of the tree of all `leaves` (RFC 6962, 2.1.2).
pub fn consistency_proof(leaves: &[Hash], from: u64) -> Result<Vec<Hash>, ProofError> {
    Ok(roots_of(leaves, &consistency_ranges(from, leaves.len() as u64)?))
}

/// Checks that `leaf` stands at `log_index` in the tree of size `tree_size` with this root (RFC 9162, 2.1.3.2).
pub fn verify_inclusion(
    leaf: &Hash,
    log_index: u64,
    tree_size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if log_index >= tree_size {
        return Err(ProofError::IndexBeyondTree { log_index, tree_size });
    }
    let (mut node, mut last) = (log_index, tree_size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::WrongLength);
    }
    if hash == *root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// Checks that the tree of size `from` with root `from_root` is a prefix of the tree of size `to` with root `to_root`
/// (RFC 9162, 2.1.4.2). The empty tree is a prefix of every tree, and its proof is empty.
pub fn verify_consistency(
    from: u64,
    from_root: &Hash,
    to: u64,
    to_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if from > to {
        return Err(ProofError::SizesOutOfOrder { from, to });
    }
    if from == to || from == 0 {
        let empty = empty_root();
        let prefix_root = if from == 0 { &empty } else { to_root };
        return match proof {
            [] if from_root == prefix_root && (to != 0 || to_root == prefix_root) => Ok(()),
            [] => Err(ProofError::RootMismatch),
            _ => Err(ProofError::WrongLength),
        };
    }
    let (mut node, mut last) = (from - 1, to - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    // A complete older tree is itself the first hash of the proof, so the proof leaves it out.
    let (seed, rest) = match proof {
        rest if from.is_power_of_two() => (from_root, rest),
        [first, rest @ ..] => (first, rest),
        [] => return Err(ProofError::WrongLength),
    };
    let (mut older, mut newer) = (*seed, *seed);
    for hash in rest {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if node & 1 == 1 || node == last {
            older = node_hash(hash, &older);
            newer = node_hash(hash, &newer);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            newer = node_hash(&newer, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::WrongLength);
    }
    if older == *from_root && newer == *to_root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// The right edge of a growing tree: the roots of its complete subtrees, largest first. All that appending needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    subtrees: Vec<Hash>,
}

impl Frontier {
    /// The frontier of a tree of `size` leaves, from the roots of [`complete_subtrees`]`(0..size)`. None if their number
    /// is wrong.
    pub fn new(size: u64, subtrees: Vec<Hash>) -> Option<Self> {
        (subtrees.len() == size.count_ones() as usize).then_some(Self { size, subtrees })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf. Adds to `stored` the hashes that become final by it: the leaf's own, then of each subtree it
    /// completes, upwards; they stand at the storage positions from [`stored_count`]`(size before)` on.
    pub fn push(&mut self, leaf: Hash, stored: &mut Vec<Hash>) {
        let mut hash = leaf;
        stored.push(hash);
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                hash = node_hash(&left, &hash);
                stored.push(hash);
            }
        }
        self.subtrees.push(hash);
        self.size += 1;
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        fold(&self.subtrees).unwrap_or_else(empty_root)
    }
}

/// How many hashes of complete subtrees, leaves included, a tree of `size` leaves has.
pub fn stored_count(size: u64) -> u64 {
    2 * size - u64::from(size.count_ones())
}

/// Where the hash of a complete subtree is stored. Positions count hashes in the order in which they become final, so
/// that a growing tree only ever appends.
pub fn position(level: u32, index: u64) -> u64 {
    let last_leaf = ((index + 1) << level) - 1;
    stored_count(last_leaf) + u64::from(level)
}

/// The complete subtrees `(level, index)` that make up a range of leaves, from left to right.
pub fn complete_subtrees(range: Range<u64>) -> Vec<(u32, u64)> {
    let mut subtrees = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let level = start.trailing_zeros().min((range.end - start).ilog2());
        subtrees.push((level, start >> level));
        start += 1 << level;
    }
    subtrees
}

/// The hash of a range of leaves from the hashes of its [`complete_subtrees`]. None if there are none.
pub fn fold(subtrees: &[Hash]) -> Option<Hash> {
    let (last, rest) = subtrees.split_last()?;
    Some(rest.iter().rev().fold(*last, |right, left| node_hash(left, &right)))
}

/// The ranges of leaves whose hashes are the inclusion proof of a leaf, from the leaf up.
pub fn inclusion_ranges(log_index: u64, tree_size: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if log_index >= tree_size {
        return Err(ProofError::IndexBeyondTree { log_index, tree_size });
    }
    let mut ranges = Vec::new();
    let mut tree = 0..tree_size;
    while tree.end - tree.start > 1 {
        let middle = split(&tree);
        if log_index < middle {
            ranges.push(middle..tree.end);
            tree.end = middle;
        } else {
            ranges.push(tree.start..middle);
            tree.start = middle;
        }
    }
    ranges.reverse();
    Ok(ranges)
}

/// The ranges of leaves whose hashes are the consistency proof between two tree sizes.
pub fn consistency_ranges(from: u64, to: u64) -> Result<Vec<Range<u64>>, ProofError> {
    if from > to {
        return Err(ProofError::SizesOutOfOrder { from, to });
    }
    if from == 0 {
        return Ok(Vec::new());
    }
    let mut ranges = Vec::new();
    let mut tree = 0..to;
    while tree.end != from {
        let middle = split(&tree);
        if from <= middle {
            ranges.push(middle..tree.end);
            tree.end = middle;
        } else {
            ranges.push(tree.start..middle);
            tree.start = middle;
        }
    }
    if tree.start != 0 {
        ranges.push(tree);
    }
    ranges.reverse();
    Ok(ranges)
}

/// Where a tree of two or more leaves parts: after the largest power of two below its size.
fn split(tree: &Range<u64>) -> u64 {
    tree.start + (1 << (tree.end - tree.start - 1).ilog2())
}

fn roots_of(leaves: &[Hash], ranges: &[Range<u64>]) -> Vec<Hash> {
    ranges.iter().map(|range| root(&leaves[range.start as usize..range.end as usize])).collect()
}

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    to_hash(digest(&SHA256, bytes).as_ref())
}

fn to_hash(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(bytes);
    hash
}

#[cfg(test)]
mod tests;
