//! Proofs from tiles: what a client of any C2SP `tlog-tiles` log does, with this log's tiles or another's.

use std::path::{Path, PathBuf};

use super::{HEIGHT, Tile, WIDTH, parse_bundle, parse_hashes, read_if_there};
use crate::error::{AuditError, Damage};
use crate::note::Checkpoint;
use crate::tree::{self, Hash, ProofError};
use crate::verify::VerifyError;

/// What fetches the files of a tiled log by their paths.
pub trait Files {
    /// The bytes of the file at a path such as `tile/0/x001/234.p/17`; none if there is no such file.
    fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>, AuditError>;
}

/// A folder that holds the files.
#[derive(Debug, Clone)]
pub struct Folder(
    /// Where it is.
    pub PathBuf,
);

impl Files for Folder {
    fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>, AuditError> {
        read_if_there(&Path::new(&self.0).join(path))
    }
}

impl<F: Fn(&str) -> Result<Option<Vec<u8>>, AuditError>> Files for F {
    fn fetch(&self, path: &str) -> Result<Option<Vec<u8>>, AuditError> {
        self(path)
    }
}

/// Computes proofs from the tiles of a log up to one of its checkpoints. It fetches only the tiles a proof needs, and hands
/// out nothing that does not lead to the checkpoint's root.
#[derive(Debug)]
pub struct Reader<F> {
    files: F,
    checkpoint: Checkpoint,
}

impl<F: Files> Reader<F> {
    /// A reader of the tree a checkpoint is of. Whether the checkpoint is the log's is decided by whoever opened it.
    pub fn new(files: F, checkpoint: Checkpoint) -> Self {
        Self { files, checkpoint }
    }

    /// The checkpoint that everything read is held against.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// An entry with its inclusion proof, which has been verified.
    pub fn entry(&self, log_index: u64) -> Result<(Vec<u8>, Vec<Hash>), VerifyError> {
        let Checkpoint { tree_size, root_hash, .. } = self.checkpoint;
        let missing = Damage::EntryMissing { log_index };
        let bundle =
            Tile::entries(log_index / WIDTH, tree_size).ok_or(ProofError::IndexBeyondTree { log_index, tree_size })?;
        let (path, bytes) = self.fetch(&bundle)?;
        let entries = parse_bundle(&bytes, &bundle, &path)?;
        let entry = entries.get((log_index % WIDTH) as usize).ok_or(missing)?.to_vec();
        let proof = self.hashes(tree::inclusion_ranges(log_index, tree_size)?)?;
        tree::verify_inclusion(&tree::leaf_hash(&entry), log_index, tree_size, &proof, &root_hash)?;
        Ok((entry, proof))
    }

    /// The leaf hash at an index with its inclusion proof (RFC 6962, 2.1.1), which has been verified.
    pub fn inclusion_proof(&self, log_index: u64) -> Result<(Hash, Vec<Hash>), VerifyError> {
        let Checkpoint { tree_size, root_hash, .. } = self.checkpoint;
        let proof = self.hashes(tree::inclusion_ranges(log_index, tree_size)?)?;
        let leaf_hash = self.subtree(0, log_index)?;
        tree::verify_inclusion(&leaf_hash, log_index, tree_size, &proof, &root_hash)?;
        Ok((leaf_hash, proof))
    }

    /// The root of the tree as it was at an earlier size, with the proof that it is a prefix of the checkpoint's tree
    /// (RFC 6962, 2.1.2), which has been verified.
    pub fn consistency_proof(&self, from: u64) -> Result<(Hash, Vec<Hash>), VerifyError> {
        let Checkpoint { tree_size, root_hash, .. } = self.checkpoint;
        let proof = self.hashes(tree::consistency_ranges(from, tree_size)?)?;
        let older = if from == 0 { tree::empty_root() } else { self.range(0..from)? };
        tree::verify_consistency(from, &older, tree_size, &root_hash, &proof)?;
        Ok((older, proof))
    }

    fn hashes(&self, ranges: Vec<std::ops::Range<u64>>) -> Result<Vec<Hash>, VerifyError> {
        ranges.into_iter().map(|range| self.range(range)).collect()
    }

    /// The hash of a range of leaves that a proof may need.
    fn range(&self, range: std::ops::Range<u64>) -> Result<Hash, VerifyError> {
        let subtrees = tree::complete_subtrees(range).into_iter().map(|(level, index)| self.subtree(level, index));
        let hashes = subtrees.collect::<Result<Vec<_>, _>>()?;
        Ok(tree::fold(&hashes).unwrap_or_else(tree::empty_root))
    }

    /// The hash of a complete subtree: its own where a tile has it, otherwise from the hashes of a tile below it.
    fn subtree(&self, level: u32, index: u64) -> Result<Hash, VerifyError> {
        let (tile_level, above) = (level / HEIGHT, level % HEIGHT);
        let first = index << above;
        let missing = || Damage::TileMissing {
            path: Tile { level: Some(tile_level), index: first / WIDTH, width: WIDTH }.path(),
        };
        let tile = Tile::hashes(tile_level, first / WIDTH, self.checkpoint.tree_size).ok_or_else(missing)?;
        let (path, bytes) = self.fetch(&tile)?;
        let hashes = parse_hashes(&bytes, &tile, &path)?;
        let place = (first % WIDTH) as usize;
        Ok(tree::root(hashes.get(place..place + (1 << above)).ok_or_else(missing)?))
    }

    /// A tile, with the path it was found at. A full tile may stand in the place of a partial one.
    fn fetch(&self, tile: &Tile) -> Result<(String, Vec<u8>), VerifyError> {
        let path = tile.path();
        for candidate in [path.clone(), tile.full_path()] {
            if let Some(bytes) = self.files.fetch(&candidate)? {
                return Ok((candidate, bytes));
            }
        }
        Err(Damage::TileMissing { path }.into())
    }
}

#[cfg(test)]
mod tests;
