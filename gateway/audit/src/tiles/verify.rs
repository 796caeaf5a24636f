//! Verification of a tiled log from its files and the public key alone.

use std::iter::Peekable;
use std::path::Path;

use super::state::State;
use super::{CHECKPOINT, HEIGHT, Tile, WIDTH, parse_bundle, parse_hashes, read, read_bundle, read_if_there};
use crate::error::Damage;
use crate::keys::LogKeys;
use crate::note::{Checkpoint, NoteError};
use crate::retention::Missing;
use crate::tree::{self, Frontier, Hash};
use crate::verify::{Progress, VerifyError};

/// Bundles after which the state is saved.
const SAVE_INTERVAL: u64 = 64;

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The checkpoint: its signature is the key's, its root that of the entries.
    pub checkpoint: Checkpoint,
    /// Entries verified earlier, and not read again.
    pub resumed_from: u64,
    /// Entry bundles, each entry matching its leaf hash.
    pub bundle_count: u64,
    /// Tiles of hashes, each hash matching the entries below it.
    pub tile_count: u64,
    /// Entries whose bodies retention runs have removed, as the log records; their leaf hashes hold.
    pub removed_count: u64,
}

/// Verifies a tiled log: the checkpoint's signature, every entry against its leaf hash, every hash of every tile against
/// the entries, and the root. The checkpoints `kept` by the verifier must be of this log, at most as large as it, and
/// their roots those of the entries: otherwise a log cut back to an earlier state of itself looks whole.
///
/// With a `state` file the verification goes on where an earlier one stopped, and what that one has verified is not read
/// again, unless a checkpoint kept is older. A removed entry counts as verified by its leaf hash, if an entry of a retention
/// run accounts for it. Stops at the first thing wrong and says what and where it is. Memory is
/// constant.
pub fn verify(
    folder: &Path,
    key: &dyn LogKeys,
    kept: &[Checkpoint],
    state: Option<&Path>,
    mut progress: impl FnMut(Progress),
) -> Result<Report, VerifyError> {
    let note = read_if_there(&folder.join(CHECKPOINT))?.ok_or(Damage::CheckpointMissing)?;
    let note = String::from_utf8(note).map_err(|_| NoteError::MalformedNote)?;
    let checkpoint = Checkpoint::open(&note, key)?;
    let tree_size = checkpoint.tree_size;

    let start = match state {
        Some(path) => State::load(path, key)?.unwrap_or_default(),
        None => State::default(),
    };
    let mut kept: Vec<&Checkpoint> = kept.iter().chain(&start.checkpoint).collect();
    kept.sort_unstable_by_key(|checkpoint| checkpoint.tree_size);
    let largest = kept.last().map_or(0, |newest| newest.tree_size).max(start.tree_size);
    if largest > tree_size {
        return Err(Damage::Shrunk { tree_size, kept: largest }.into());
    }
    let older = kept.first().is_some_and(|oldest| oldest.tree_size < start.tree_size);
    let resumed = if older { State::default() } else { start.clone() };

    let mut walk = Walk {
        folder,
        checkpoint: &checkpoint,
        kept: kept.into_iter().peekable(),
        frontier: resumed.frontier().ok_or(Damage::RootChanged { tree_size: resumed.tree_size })?,
        complete: Vec::new(),
        pending: resumed.pending,
        counts: (0, 0),
        missing: Missing::default(),
    };
    walk.kept_checkpoints()?;
    let first = resumed.tree_size / WIDTH;
    for index in first..tree_size.div_ceil(WIDTH) {
        walk.bundle(index)?;
        let verified = walk.frontier.size();
        progress(Progress { verified, tree_size });
        // While something is missing and not accounted for, there is nothing to rely on.
        if verified.is_multiple_of(SAVE_INTERVAL * WIDTH)
            && walk.missing.is_empty()
            && let Some(path) = state
        {
            // One that was passed has been compared, and would only make the next verification begin anew.
            let ahead = start.checkpoint.clone().filter(|earlier| earlier.tree_size > verified);
            walk.state(ahead).save(path, key)?;
        }
    }
    let end = walk.state(Some(checkpoint.clone()));
    walk.finish()?;
    if let Some(log_index) = walk.missing.first() {
        return Err(Damage::EntryMissing { log_index }.into());
    }
    if let Some(path) = state {
        end.save(path, key)?;
    }
    let (bundle_count, tile_count) = walk.counts;
    let removed_count = walk.missing.accounted();
    Ok(Report { resumed_from: resumed.tree_size, bundle_count, tile_count, removed_count, checkpoint })
}

/// The tree as recomputed from the entries so far.
struct Walk<'w> {
    folder: &'w Path,
    checkpoint: &'w Checkpoint,
    kept: Peekable<std::vec::IntoIter<&'w Checkpoint>>,
    frontier: Frontier,
    /// Hashes that the last leaf made final.
    complete: Vec<Hash>,
    /// Hashes of the last, not yet full tile of each level from 1 on.
    pending: Vec<Vec<Hash>>,
    /// Bundles and tiles verified.
    counts: (u64, u64),
    missing: Missing,
}

impl Walk<'_> {
    /// The state as of the last full bundle. Entries after it are few, and are read again.
    fn state(&self, checkpoint: Option<Checkpoint>) -> State {
        let tree_size = self.frontier.size() / WIDTH * WIDTH;
        State { tree_size, pending: self.pending.clone(), checkpoint }
    }

    /// One bundle of entries and the level 0 tile above it.
    fn bundle(&mut self, index: u64) -> Result<(), VerifyError> {
        let tree_size = self.checkpoint.tree_size;
        let (Some(bundle), Some(tile)) = (Tile::entries(index, tree_size), Tile::hashes(0, index, tree_size)) else {
            return Ok(());
        };
        let found = read_bundle(self.folder, &bundle)?;
        let (tile_path, tile_bytes) = read(self.folder, &tile)?;
        let hashes = parse_hashes(&tile_bytes, &tile, &tile_path)?;
        for ((log_index, entry), hash) in (index * WIDTH..).zip(found.entries()?).zip(hashes) {
            match entry {
                Some(entry) if tree::leaf_hash(entry) == hash => self.missing.account(entry),
                Some(_) => {
                    let bundle = found.path.clone();
                    return Err(Damage::EntryUnmatched { log_index, bundle, tile: tile_path }.into());
                }
                None => self.missing.insert(log_index),
            }
            self.push(hash)?;
        }
        if found.whole {
            self.earlier_partials(&bundle, &found.bytes)?;
        }
        self.earlier_partials(&tile, &tile_bytes)?;
        self.counts = (self.counts.0 + 1, self.counts.1 + 1);
        Ok(())
    }

    /// Adds a leaf. Each tile it fills is compared with its file.
    fn push(&mut self, leaf: Hash) -> Result<(), VerifyError> {
        self.complete.clear();
        self.frontier.push(leaf, &mut self.complete);
        for level in 1..=(self.complete.len() - 1) / HEIGHT as usize {
            let hash = self.complete[level * HEIGHT as usize];
            if self.pending.len() < level {
                self.pending.push(Vec::new());
            }
            let hashes = &mut self.pending[level - 1];
            hashes.push(hash);
            if hashes.len() as u64 == WIDTH {
                let hashes = std::mem::take(hashes);
                let index = (self.frontier.size() - 1) >> (HEIGHT * (level as u32 + 1));
                self.tile(Tile { level: Some(level as u32), index, width: WIDTH }, &hashes)?;
            }
        }
        self.kept_checkpoints()
    }

    fn tile(&mut self, tile: Tile, expected: &[Hash]) -> Result<(), VerifyError> {
        let (path, bytes) = read(self.folder, &tile)?;
        let found = parse_hashes(&bytes, &tile, &path)?;
        if let Some(place) = found.iter().zip(expected).position(|(found, expected)| found != expected) {
            return Err(Damage::TileChanged { path, place }.into());
        }
        self.earlier_partials(&tile, &bytes)?;
        self.counts.1 += 1;
        Ok(())
    }

    /// Narrower partial tiles that are still there must be the beginning of what was verified.
    fn earlier_partials(&self, tile: &Tile, verified: &[u8]) -> Result<(), VerifyError> {
        let folder = tile.partial_folder();
        let Ok(files) = std::fs::read_dir(self.folder.join(&folder)) else { return Ok(()) };
        for file in files.flatten() {
            let Some(width) = file.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let earlier = Tile { width, ..*tile };
            if width >= tile.width {
                continue;
            }
            let path = format!("{folder}/{width}");
            let bytes = read_if_there(&file.path())?.ok_or(Damage::TileMissing { path: path.clone() })?;
            match tile.level {
                Some(_) => drop(parse_hashes(&bytes, &earlier, &path)?),
                None => drop(parse_bundle(&bytes, &earlier, &path)?),
            }
            if !verified.starts_with(&bytes) {
                return Err(Damage::PartialChanged { path, later: tile.path() }.into());
            }
        }
        Ok(())
    }

    /// Compares the checkpoints kept of the tree as it is now.
    fn kept_checkpoints(&mut self) -> Result<(), VerifyError> {
        let tree_size = self.frontier.size();
        while let Some(kept) = self.kept.next_if(|kept| kept.tree_size == tree_size) {
            if kept.root_hash != self.frontier.root() {
                return Err(Damage::Rewritten { tree_size }.into());
            }
        }
        Ok(())
    }

    /// The partial tiles above level 0, and the root.
    fn finish(&mut self) -> Result<(), VerifyError> {
        let tree_size = self.checkpoint.tree_size;
        for (level, hashes) in (1..).zip(std::mem::take(&mut self.pending)) {
            let index = (tree_size >> (HEIGHT * level)) / WIDTH;
            if let Some(tile) = Tile::hashes(level, index, tree_size) {
                self.tile(tile, &hashes)?;
            }
        }
        if self.frontier.root() != self.checkpoint.root_hash {
            return Err(Damage::RootChanged { tree_size }.into());
        }
        Ok(())
    }
}
