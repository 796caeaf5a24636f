//! From the log's database to files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{CHECKPOINT, HEIGHT, LEVEL_COUNT_MAX, Tile, WIDTH, file_error, prune, read_if_there, write};
use crate::error::{AuditError, Damage};
use crate::key::VerifierKey;
use crate::note::Checkpoint;
use crate::retention::Removal;
use crate::store::{Connection, Heads, Location, Session};
use crate::tree::{self, Hash};
use crate::verify::VerifyError;

/// Entries after which a checkpoint is published on the way, so that an interrupted export has not to begin anew.
const STAGE: u64 = 1 << 16;

/// What an export wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Entries that had been exported before.
    pub from_tree_size: u64,
    /// Entries there are now.
    pub tree_size: u64,
    /// Files written, the checkpoint not counted.
    pub file_count: u64,
}

/// Brings a folder of tiles up to the newest checkpoint of a log's database, which may be in use. An empty or missing
/// folder is begun.
///
/// A checkpoint is published only when all its tiles are durable, so the folder is a whole log at every moment, and an
/// export that was interrupted goes on from the last checkpoint published. Each entry is checked against its leaf hash
/// and each checkpoint against the tree; what the folder holds already is checked against the database by its root.
/// Reports entries exported and entries to export. What a retention run removed goes from the folder once the run's entry is
/// published.
///
/// Files are written on the calling thread: this is work for a command, not for a server's.
pub async fn export(
    location: &Location,
    key: &VerifierKey,
    folder: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<Exported, VerifyError> {
    let mut connection = Connection::read(location, key.name()).await?;
    let mut session = connection.session();
    let (target, _) = session.newest_head().await?.ok_or(Damage::CheckpointMissing)?;
    let from_tree_size = published_size(&mut session, folder, key, target).await?;
    prune::resume(folder, from_tree_size.unwrap_or(0))?;
    let mut files = Files { folder, touched: BTreeSet::new(), superseded: Vec::new(), removals: Vec::new(), count: 0 };
    let mut done = from_tree_size;
    progress(done.unwrap_or(0), target);
    while done.is_none_or(|done| done < target) {
        let from = done.unwrap_or(0);
        let checkpoint = next_checkpoint(&mut session, key, from + STAGE, target).await?;
        files.bundles(&mut session, from, checkpoint.tree_size, |exported| progress(exported, target)).await?;
        files.upper_tiles(&mut session, from, checkpoint.tree_size).await?;
        files.publish(&checkpoint)?;
        done = Some(checkpoint.tree_size);
    }
    let (from_tree_size, tree_size) = (from_tree_size.unwrap_or(0), done.unwrap_or(0));
    Ok(Exported { from_tree_size, tree_size, file_count: files.count })
}

/// Size of the checkpoint in the folder, which must be one of this log; none if there is none.
async fn published_size(
    session: &mut Session<'_>,
    folder: &Path,
    key: &VerifierKey,
    newest: u64,
) -> Result<Option<u64>, VerifyError> {
    let path = folder.join(CHECKPOINT);
    let Some(note) = read_if_there(&path)? else { return Ok(None) };
    let published = Checkpoint::open(&String::from_utf8_lossy(&note), key)?;
    let tree_size = published.tree_size;
    if tree_size > newest {
        return Err(Damage::Shrunk { tree_size: newest, kept: tree_size }.into());
    }
    if root(session, tree_size).await? != published.root_hash {
        return Err(Damage::Rewritten { tree_size }.into());
    }
    Ok(Some(tree_size))
}

/// A checkpoint of at least this size, or the newest; signed by the key, and of the tree as it is stored.
async fn next_checkpoint(
    session: &mut Session<'_>,
    key: &VerifierKey,
    size_min: u64,
    newest: u64,
) -> Result<Checkpoint, VerifyError> {
    let head = session.heads(Heads::From(size_min.min(newest))).await?.pop();
    let (tree_size, note) = head.ok_or(Damage::CheckpointMissing)?;
    let checkpoint = Checkpoint::open(&note, key).map_err(|reason| Damage::CheckpointInvalid { tree_size, reason })?;
    if checkpoint.tree_size != tree_size {
        return Err(Damage::CheckpointSize { tree_size, found: checkpoint.tree_size }.into());
    }
    if root(session, tree_size).await? != checkpoint.root_hash {
        return Err(Damage::RootChanged { tree_size }.into());
    }
    Ok(checkpoint)
}

async fn root(session: &mut Session<'_>, tree_size: u64) -> Result<Hash, AuditError> {
    let subtrees = session.subtree_hashes(&tree::complete_subtrees(0..tree_size)).await?;
    Ok(tree::fold(&subtrees).unwrap_or_else(tree::empty_root))
}

/// The folder as it is being written.
struct Files<'f> {
    folder: &'f Path,
    /// Folders with files not yet known to be durable.
    touched: BTreeSet<PathBuf>,
    /// Folders of partial tiles that full ones replace.
    superseded: Vec<PathBuf>,
    /// Indices of new entries that record retention runs.
    removals: Vec<u64>,
    count: u64,
}

impl Files<'_> {
    /// Entry bundles, and level 0 tiles beside them.
    async fn bundles(
        &mut self,
        session: &mut Session<'_>,
        from: u64,
        to: u64,
        mut exported: impl FnMut(u64),
    ) -> Result<(), VerifyError> {
        for index in from / WIDTH..to.div_ceil(WIDTH) {
            let first = index * WIDTH;
            let range = first..to.min(first + WIDTH);
            let hashes = session.subtree_hashes(&leaves(range.clone())).await?;
            let mut entries = session.entry_bytes(range.clone()).await?.into_iter().peekable();
            let (mut bundle, mut whole) = (Vec::new(), true);
            for (log_index, hash) in range.zip(&hashes) {
                // Whether it may be missing is told by the entry of a retention run, and checked by whoever verifies.
                let Some((_, entry)) = entries.next_if(|(found, _)| *found == log_index) else {
                    bundle.extend_from_slice(&[0, 0]);
                    whole = false;
                    continue;
                };
                let length = u16::try_from(entry.len()).ok().filter(|_| tree::leaf_hash(&entry) == *hash);
                let length = length.ok_or(Damage::EntryChanged { log_index })?;
                if log_index >= from && Removal::of_bytes(&entry).is_some() {
                    self.removals.push(log_index);
                }
                bundle.extend_from_slice(&length.to_be_bytes());
                bundle.extend_from_slice(&entry);
            }
            self.put_bundle(index, to, &bundle, whole)?;
            self.put(Tile::hashes(0, index, to), &hashes.concat())?;
            exported(to.min(first + WIDTH));
        }
        Ok(())
    }

    async fn upper_tiles(&mut self, session: &mut Session<'_>, from: u64, to: u64) -> Result<(), VerifyError> {
        for level in 1..LEVEL_COUNT_MAX {
            let (known, hashes) = (from >> (HEIGHT * level), to >> (HEIGHT * level));
            if known == hashes {
                continue;
            }
            for index in known / WIDTH..hashes.div_ceil(WIDTH) {
                let places = index * WIDTH..hashes.min((index + 1) * WIDTH);
                let subtrees: Vec<_> = places.map(|place| (HEIGHT * level, place)).collect();
                let tile = session.subtree_hashes(&subtrees).await?.concat();
                self.put(Tile::hashes(level, index, to), &tile)?;
            }
        }
        Ok(())
    }

    fn put_bundle(&mut self, index: u64, tree_size: u64, bytes: &[u8], whole: bool) -> Result<(), AuditError> {
        let Some(tile) = Tile::entries(index, tree_size) else { return Ok(()) };
        if whole {
            return self.put(Some(tile), bytes);
        }
        let path = self.folder.join(tile.remaining_path());
        self.put_file(&path, bytes)?;
        self.superseded.extend(prune::siblings(&tile, &path));
        self.superseded.extend(tile.predecessors(true).map(|path| self.folder.join(path)));
        Ok(())
    }

    fn put(&mut self, tile: Option<Tile>, bytes: &[u8]) -> Result<(), AuditError> {
        let Some(tile) = tile else { return Ok(()) };
        self.put_file(&self.folder.join(tile.path()), bytes)?;
        if tile.width == WIDTH {
            self.superseded.push(self.folder.join(tile.partial_folder()));
        }
        Ok(())
    }

    fn put_file(&mut self, path: &Path, bytes: &[u8]) -> Result<(), AuditError> {
        if let Some(parent) = path.parent().filter(|parent| !self.touched.contains(*parent)) {
            fs::create_dir_all(parent).map_err(|source| file_error(parent, source))?;
            let ours = parent.ancestors().take_while(|ancestor| ancestor.starts_with(self.folder));
            self.touched.extend(ours.map(Path::to_owned));
        }
        write(path, bytes, true)?;
        self.count += 1;
        Ok(())
    }

    /// Publishes a checkpoint once all it covers is durable, then removes what it makes superfluous.
    fn publish(&mut self, checkpoint: &Checkpoint) -> Result<(), VerifyError> {
        fs::create_dir_all(self.folder).map_err(|source| file_error(self.folder, source))?;
        for folder in std::mem::take(&mut self.touched) {
            synchronise(&folder)?;
        }
        prune::announce(self.folder, &self.removals)?;
        write(&self.folder.join(CHECKPOINT), checkpoint.note.as_bytes(), true)?;
        synchronise(self.folder)?;
        for path in self.superseded.drain(..) {
            prune::remove(&path)?;
        }
        self.removals.clear();
        prune::resume(self.folder, checkpoint.tree_size)
    }
}

fn leaves(range: std::ops::Range<u64>) -> Vec<(u32, u64)> {
    range.map(|log_index| (0, log_index)).collect()
}

/// Makes the names in a folder durable.
pub(super) fn synchronise(folder: &Path) -> Result<(), AuditError> {
    let synchronised = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synchronised.map_err(|source| file_error(folder, source))
}
