//! C2SP `tlog-tiles`: the log as plain files that anyone can serve, copy and verify.
//!
//! | File | Holds |
//! |---|---|
//! | `checkpoint` | the newest signed checkpoint; written last |
//! | `tile/<L>/<N>` | 256 hashes of complete subtrees of 256^L leaves each |
//! | `tile/entries/<N>` | the 256 entries under the level 0 tile of the same number, each after its length (two bytes, big-endian) |
//!
//! | `remaining/<N>` | in the place of a bundle from which retention removed bodies: the same, a removed body's length 0 |
//!
//! A bundle that would not be whole is not served as one: a client of other logs finds it pruned, and hash tiles and proofs
//! as before. What remains of it is for our own verifier and whoever reads on.
//! The last tile of a level is partial and ends in `.p/<W>`. [`export`] writes these files from a log's database,
//! [`verify`] needs nothing but them and the log's public key, and [`Reader`] computes proofs from them.
//! Serving them is left to any web server.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{AuditError, Damage};
use crate::tree::Hash;
use crate::verify::VerifyError;

mod export;
mod prune;
mod reader;
mod state;
mod verify;

pub use export::{Exported, Publication, Staged, export, export_until};
pub use reader::{Files, Folder, Reader};
pub use verify::{Report, verify};

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: u64 = 256;
/// Levels of the tree between two levels of tiles.
const HEIGHT: u32 = 8;
/// No tree of 2^64 leaves has more levels of tiles.
const LEVEL_COUNT_MAX: u32 = 8;
/// The highest level C2SP `tlog-tiles` lets a path name.
const LEVEL_MAX: u32 = 63;
/// Folder of bundles, and of what remains of those that are no longer whole.
const BUNDLES: &str = "tile/entries";
const REMAINING: &str = "remaining";
/// Name of the checkpoint's file.
const CHECKPOINT: &str = "checkpoint";

/// One file of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Level of a tile of hashes; none for a bundle of entries.
    pub level: Option<u32>,
    /// Number within the level.
    pub index: u64,
    /// How many hashes or entries it holds, 1 to [`WIDTH`].
    pub width: u64,
}

impl Tile {
    /// The hash tile of a tree of this size; none if the tree has no hash there.
    pub fn hashes(level: u32, index: u64, tree_size: u64) -> Option<Self> {
        let width = width(level, index, tree_size);
        (width > 0).then_some(Self { level: Some(level), index, width })
    }

    /// The entry bundle of a tree of this size; none if the tree has no entry there.
    pub fn entries(index: u64, tree_size: u64) -> Option<Self> {
        let width = width(0, index, tree_size);
        (width > 0).then_some(Self { level: None, index, width })
    }

    /// The tile whose file lies at this path below the log's folder; none if no tile's does.
    pub fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let level = match level {
            "entries" => None,
            level => Some(level.parse().ok().filter(|level| *level <= LEVEL_MAX)?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok().filter(|width| (1..WIDTH).contains(width))?),
            None => (rest, WIDTH),
        };
        let digits: String = number.split('/').map(|part| part.strip_prefix('x').unwrap_or(part)).collect();
        let tile = Self { level, index: digits.parse().ok()?, width };
        // There is one way to write a path.
        (tile.path() == path).then_some(tile)
    }

    /// Where the file lies below the log's folder, for example `tile/0/x001/234.p/17`.
    pub fn path(&self) -> String {
        match self.width {
            WIDTH => self.full_path(),
            width => format!("{}/{width}", self.partial_folder()),
        }
    }

    /// Where what remains of a bundle lies, once bodies were removed from it.
    fn remaining_path(&self) -> String {
        self.path().replacen(BUNDLES, REMAINING, 1)
    }

    fn full_path(&self) -> String {
        let mut number = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1000);
            rest /= 1000;
        }
        match self.level {
            Some(level) => format!("tile/{level}/{number}"),
            None => format!("{BUNDLES}/{number}"),
        }
    }

    fn partial_folder(&self) -> String {
        format!("{}.p", self.full_path())
    }
}

/// The hashes a tile of a tree of this size has.
fn width(level: u32, index: u64, tree_size: u64) -> u64 {
    let hashes = if level < LEVEL_COUNT_MAX { tree_size >> (HEIGHT * level) } else { 0 };
    hashes.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH)
}

/// The bytes of one entry of a tiled log whose checkpoint has this size; none if they were removed.
pub fn entry(folder: &Path, log_index: u64, tree_size: u64) -> Result<Option<Vec<u8>>, VerifyError> {
    let missing = Damage::EntryMissing { log_index };
    let bundle = Tile::entries(log_index / WIDTH, tree_size).ok_or(missing.clone())?;
    let bundle = read_bundle(folder, &bundle)?;
    let entry = *bundle.entries()?.get((log_index % WIDTH) as usize).ok_or(missing)?;
    Ok(entry.map(<[u8]>::to_vec))
}

/// The leaf hash of one entry of a tiled log whose checkpoint has this size.
pub fn leaf_hash(folder: &Path, log_index: u64, tree_size: u64) -> Result<Hash, VerifyError> {
    let missing = Damage::EntryMissing { log_index };
    let tile = Tile::hashes(0, log_index / WIDTH, tree_size).ok_or(missing.clone())?;
    let (path, bytes) = read(folder, &tile)?;
    let hashes = parse_hashes(&bytes, &tile, &path)?;
    Ok(*hashes.get((log_index % WIDTH) as usize).ok_or(missing)?)
}

/// Reads the entries of a tiled log, up to a size, in order; none in the place of one that was removed. Checks nothing but
/// that they are there.
pub fn entries(
    folder: &Path,
    tree_size: u64,
    mut each: impl FnMut(u64, Option<&[u8]>) -> Result<(), VerifyError>,
) -> Result<(), VerifyError> {
    for index in 0..tree_size.div_ceil(WIDTH) {
        let Some(bundle) = Tile::entries(index, tree_size) else { continue };
        let bundle = read_bundle(folder, &bundle)?;
        for (log_index, entry) in (index * WIDTH..).zip(bundle.entries()?) {
            each(log_index, entry)?;
        }
    }
    Ok(())
}

/// A bundle as it was found: whole, or what remains of it.
struct Bundle {
    tile: Tile,
    path: String,
    bytes: Vec<u8>,
    whole: bool,
}

impl Bundle {
    /// The entries; none in the place of one that was removed.
    fn entries(&self) -> Result<Vec<Option<&[u8]>>, Damage> {
        let entries = parse_bundle(&self.bytes, &self.tile, &self.path)?;
        let there = |entry: &&[u8]| self.whole || !entry.is_empty();
        Ok(entries.into_iter().map(|entry| Some(entry).filter(there)).collect())
    }
}

/// Reads a bundle, or what remains of it.
fn read_bundle(folder: &Path, tile: &Tile) -> Result<Bundle, VerifyError> {
    let full = Tile { width: WIDTH, ..*tile };
    for (tile_found, remains) in [(tile, false), (&full, false), (tile, true), (&full, true)] {
        let path = if remains { tile_found.remaining_path() } else { tile_found.path() };
        if let Some(bytes) = read_if_there(&folder.join(&path))? {
            return Ok(Bundle { tile: *tile, path, bytes, whole: !remains });
        }
    }
    Err(Damage::TileMissing { path: tile.path() }.into())
}

/// Reads a tile, with the path it was found at. A full tile may stand in the place of a partial one, which may be deleted
/// once there is the full one.
fn read(folder: &Path, tile: &Tile) -> Result<(String, Vec<u8>), VerifyError> {
    let path = tile.path();
    for candidate in [path.clone(), tile.full_path()] {
        if let Some(bytes) = read_if_there(&folder.join(&candidate))? {
            return Ok((candidate, bytes));
        }
    }
    Err(Damage::TileMissing { path }.into())
}

pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, AuditError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(source) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(file_error(path, source)),
    }
}

/// The entries of a bundle, which holds exactly as many as its file's name says.
fn parse_bundle<'b>(bytes: &'b [u8], tile: &Tile, path: &str) -> Result<Vec<&'b [u8]>, Damage> {
    let width = if path == tile.path() || path == tile.remaining_path() { tile.width } else { WIDTH };
    let malformed =
        |place: usize| Damage::BundleMalformed { path: path.to_owned(), log_index: tile.index * WIDTH + place as u64 };
    let mut entries = Vec::with_capacity(width as usize);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<2>().ok_or_else(|| malformed(entries.len()))?;
        let (entry, after) =
            after.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or_else(|| malformed(entries.len()))?;
        entries.push(entry);
        rest = after;
        if entries.len() as u64 > width {
            return Err(malformed(width as usize));
        }
    }
    if (entries.len() as u64) < width {
        return Err(malformed(entries.len()));
    }
    entries.truncate(tile.width as usize);
    Ok(entries)
}

/// The hashes of a tile, which holds exactly as many as its file's name says.
fn parse_hashes(bytes: &[u8], tile: &Tile, path: &str) -> Result<Vec<Hash>, Damage> {
    let width = if path == tile.path() { tile.width } else { WIDTH };
    let (length, expected) = (bytes.len() as u64, 32 * width);
    if length != expected {
        return Err(Damage::TileLength { path: path.to_owned(), length, expected });
    }
    let (hashes, _) = bytes.as_chunks::<32>();
    Ok(hashes[..tile.width as usize].to_vec())
}

fn file_error(path: &Path, source: std::io::Error) -> AuditError {
    AuditError::File { path: path.display().to_string(), source }
}

/// Writes a file so that it is there as a whole or not at all. Its folder is synchronised by the caller.
pub(crate) fn write(path: &Path, bytes: &[u8], durable: bool) -> Result<(), AuditError> {
    let failed = |source| file_error(path, source);
    let mut temporary = PathBuf::from(path).into_os_string();
    temporary.push(".new");
    let mut file = fs::File::create(&temporary).map_err(failed)?;
    std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
    if durable {
        file.sync_all().map_err(failed)?;
    }
    fs::rename(&temporary, path).map_err(failed)
}

/// Makes the names in a folder durable.
pub(crate) fn synchronise(folder: &Path) -> Result<(), AuditError> {
    let synchronised = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synchronised.map_err(|source| file_error(folder, source))
}

#[cfg(test)]
mod tests;
