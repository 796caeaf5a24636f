//! From the log's database to files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{CHECKPOINT, HEIGHT, LEVEL_COUNT_MAX, Tile, WIDTH, file_error, prune, read_if_there, synchronise, write};
use crate::error::{AuditError, Damage};
use crate::keys::LogKeys;
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
    key: &dyn LogKeys,
    folder: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<Exported, VerifyError> {
    write_all(Publication::new(location, key, folder), &mut progress).await
}

/// As [`export`], up to a checkpoint of the log that somebody holds, and no further: it is published with the signatures it
/// carries there, those of witnesses among them.
pub async fn export_until(
    location: &Location,
    key: &dyn LogKeys,
    folder: &Path,
    last: &Checkpoint,
    mut progress: impl FnMut(u64, u64),
) -> Result<Exported, VerifyError> {
    let publication = Publication { last: Some(last.clone()), ..Publication::new(location, key, folder) };
    let exported = write_all(publication, &mut progress).await?;
    // It may have stood there before with fewer signatures.
    write(&folder.join(CHECKPOINT), last.note.as_bytes(), true)?;
    synchronise(folder)?;
    Ok(exported)
}

async fn write_all(
    mut publication: Publication<'_>,
    progress: &mut impl FnMut(u64, u64),
) -> Result<Exported, VerifyError> {
    let mut from_tree_size = None;
    let mut tree_size = 0;
    while let Some(staged) = publication.stage(progress).await? {
        from_tree_size.get_or_insert(staged.from_tree_size);
        publication.publish(&staged.checkpoint)?;
        tree_size = staged.checkpoint.tree_size;
    }
    let tree_size = tree_size.max(publication.published.unwrap_or(0));
    let file_count = publication.files.count;
    Ok(Exported { from_tree_size: from_tree_size.unwrap_or(tree_size), tree_size, file_count })
}

/// A checkpoint whose tiles are durable, and which may be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Entries published before.
    pub from_tree_size: u64,
    /// The checkpoint, signed by the log.
    pub checkpoint: Checkpoint,
}

/// A folder of tiles that follows a log: first the tiles of a checkpoint are made durable, then the checkpoint is published,
/// with whatever signatures it has been given meanwhile.
#[derive(Debug)]
pub struct Publication<'p> {
    location: &'p Location,
    keys: &'p dyn LogKeys,
    files: Files<'p>,
    /// Size of the checkpoint in the folder, once it was compared with the log.
    published: Option<u64>,
    /// Size up to which tiles are durable.
    tiles: Option<u64>,
    /// Where it ends; none if it follows the log.
    last: Option<Checkpoint>,
}

impl<'p> Publication<'p> {
    /// A publication of the log of these keys in a folder.
    pub fn new(location: &'p Location, keys: &'p dyn LogKeys, folder: &'p Path) -> Self {
        let files = Files { folder, touched: BTreeSet::new(), superseded: Vec::new(), removals: Vec::new(), count: 0 };
        Self { location, keys, files, published: None, tiles: None, last: None }
    }

    /// Makes the tiles of a newer checkpoint durable: the newest, or one on the way there when there are many entries to
    /// write. None if the newest is published. Reports entries written and entries to write.
    pub async fn stage(&mut self, progress: &mut impl FnMut(u64, u64)) -> Result<Option<Staged>, VerifyError> {
        let mut connection = Connection::read(self.location, self.keys.origin()).await?;
        let mut session = connection.session();
        let (newest, _) = session.newest_head().await?.ok_or(Damage::CheckpointMissing)?;
        let target = self.last.as_ref().map_or(newest, |last| last.tree_size);
        if target > newest {
            return Err(Damage::Shrunk { tree_size: newest, kept: target }.into());
        }
        if self.published.is_none() {
            self.published = published_size(&mut session, self.files.folder, self.keys, target).await?;
            self.tiles = self.published;
            prune::resume(self.files.folder, self.published.unwrap_or(0))?;
        }
        if self.published == Some(target) {
            return Ok(None);
        }
        let from = self.tiles.unwrap_or(0);
        progress(from, target);
        let checkpoint = next_checkpoint(&mut session, self.keys, from + STAGE, target, self.last.as_ref()).await?;
        let to = checkpoint.tree_size;
        self.files.bundles(&mut session, from, to, |exported| progress(exported, target)).await?;
        self.files.upper_tiles(&mut session, from, to).await?;
        self.files.synchronise()?;
        self.tiles = Some(to);
        Ok(Some(Staged { from_tree_size: self.published.unwrap_or(0), checkpoint }))
    }

    /// Publishes a checkpoint that was staged.
    pub fn publish(&mut self, checkpoint: &Checkpoint) -> Result<(), VerifyError> {
        self.files.publish(checkpoint)?;
        self.published = Some(checkpoint.tree_size);
        Ok(())
    }

    /// Proof that the tree of size `from` is a prefix of the tree of size `to`, of which the log has entries.
    pub async fn consistency_proof(&self, from: u64, to: u64) -> Result<Vec<Hash>, AuditError> {
        let mut connection = Connection::read(self.location, self.keys.origin()).await?;
        let mut session = connection.session();
        let mut hashes = Vec::new();
        for range in tree::consistency_ranges(from, to)? {
            let subtrees = session.subtree_hashes(&tree::complete_subtrees(range)).await?;
            hashes.extend(tree::fold(&subtrees));
        }
        Ok(hashes)
    }
}

/// Size of the checkpoint in the folder, which must be one of this log; none if there is none.
async fn published_size(
    session: &mut Session<'_>,
    folder: &Path,
    key: &dyn LogKeys,
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

/// A checkpoint of at least this size, but the last or the newest at most; signed by the key, and of the tree as it is stored.
async fn next_checkpoint(
    session: &mut Session<'_>,
    key: &dyn LogKeys,
    size_min: u64,
    newest: u64,
    last: Option<&Checkpoint>,
) -> Result<Checkpoint, VerifyError> {
    let head = session.heads(Heads::From(size_min.min(newest))).await?.pop();
    let (tree_size, note) = head.ok_or(Damage::CheckpointMissing)?;
    if let Some(last) = last.filter(|last| last.tree_size <= tree_size) {
        if root(session, last.tree_size).await? != last.root_hash {
            return Err(Damage::Rewritten { tree_size: last.tree_size }.into());
        }
        return Ok(last.clone());
    }
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
#[derive(Debug)]
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
            let packed = session.packed_entries(&range).await?;
            let mut entries = packed.iter().peekable();
            let (mut bundle, mut whole) = (Vec::new(), true);
            for (log_index, hash) in range.zip(&hashes) {
                // Whether it may be missing is told by the entry of a retention run, and checked by whoever verifies.
                let Some((_, entry)) = entries.next_if(|(found, _)| *found == log_index) else {
                    bundle.extend_from_slice(&[0, 0]);
                    whole = false;
                    continue;
                };
                let length = u16::try_from(entry.len()).ok().filter(|_| tree::leaf_hash(entry) == *hash);
                let length = length.ok_or(Damage::EntryChanged { log_index })?;
                if log_index >= from && Removal::of_bytes(entry).is_some() {
                    self.removals.push(log_index);
                }
                bundle.extend_from_slice(&length.to_be_bytes());
                bundle.extend_from_slice(entry);
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

    /// Makes the names of the files written durable.
    fn synchronise(&mut self) -> Result<(), AuditError> {
        fs::create_dir_all(self.folder).map_err(|source| file_error(self.folder, source))?;
        std::mem::take(&mut self.touched).iter().try_for_each(|folder| synchronise(folder))
    }

    /// Publishes a checkpoint once all it covers is durable, then removes what it makes superfluous.
    fn publish(&mut self, checkpoint: &Checkpoint) -> Result<(), VerifyError> {
        let covered = self.removals.partition_point(|log_index| *log_index < checkpoint.tree_size);
        let covered: Vec<u64> = self.removals.drain(..covered).collect();
        prune::announce(self.folder, &covered)?;
        write(&self.folder.join(CHECKPOINT), checkpoint.note.as_bytes(), true)?;
        synchronise(self.folder)?;
        for path in self.superseded.drain(..) {
            prune::remove(&path)?;
        }
        prune::resume(self.folder, checkpoint.tree_size)
    }
}

fn leaves(range: std::ops::Range<u64>) -> Vec<(u32, u64)> {
    range.map(|log_index| (0, log_index)).collect()
}
