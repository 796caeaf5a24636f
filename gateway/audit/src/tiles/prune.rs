//! Removing from the published files what a retention run removed from the log.
//!
//! The folder must be a whole log at every moment, so bodies go after the checkpoint under which the run's entry stands.
//! What is still to be done then is noted in the folder before, and done by the next export if this one is interrupted.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Tile, WIDTH, entry, file_error, read_bundle, read_if_there, synchronise, write};
use crate::error::AuditError;
use crate::retention::Removal;
use crate::verify::VerifyError;

/// Indices of entries that record runs not yet followed here, a line each.
const NOTED: &str = "pruning";

/// Notes runs that are to be followed once their entries are published.
pub(super) fn announce(folder: &Path, removals: &[u64]) -> Result<(), AuditError> {
    if removals.is_empty() {
        return Ok(());
    }
    let lines: String = removals.iter().map(|log_index| format!("{log_index}\n")).collect();
    let noted = noted(folder)?.unwrap_or_default();
    write(&folder.join(NOTED), (noted + &lines).as_bytes(), true)?;
    synchronise(folder)
}

/// Follows the runs that are noted and published.
pub(super) fn resume(folder: &Path, tree_size: u64) -> Result<(), VerifyError> {
    let Some(noted) = noted(folder)? else { return Ok(()) };
    for log_index in noted.lines().filter_map(|line| line.parse().ok()).filter(|index| *index < tree_size) {
        let Some(bytes) = entry(folder, log_index, tree_size)? else { continue };
        if let Some(removal) = Removal::of_bytes(&bytes) {
            follow(folder, &removal, tree_size)?;
        }
    }
    remove(&folder.join(NOTED))?;
    Ok(synchronise(folder)?)
}

fn noted(folder: &Path) -> Result<Option<String>, AuditError> {
    Ok(read_if_there(&folder.join(NOTED))?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// Takes the bodies of a run from each bundle it touches: first what remains is durable, then the bundle goes.
fn follow(folder: &Path, removal: &Removal, tree_size: u64) -> Result<(), VerifyError> {
    let (first, last) = removal.ends();
    for index in first / WIDTH..=last / WIDTH {
        let Some(tile) = Tile::entries(index, tree_size) else { continue };
        let found = read_bundle(folder, &tile)?;
        let mut remains = Vec::with_capacity(found.bytes.len());
        let mut changed = false;
        for (log_index, entry) in (index * WIDTH..).zip(found.entries()?) {
            let kept = entry.filter(|_| !removal.names(log_index)).unwrap_or_default();
            changed |= entry.is_some() && kept.is_empty();
            remains.extend_from_slice(&(kept.len() as u16).to_be_bytes());
            remains.extend_from_slice(kept);
        }
        if !changed {
            continue;
        }
        let path = folder.join(tile.remaining_path());
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|source| file_error(parent, source))?;
        write(&path, &remains, true)?;
        for ancestor in parent.ancestors().take_while(|ancestor| ancestor.starts_with(folder)) {
            synchronise(ancestor)?;
        }
        for path in tile.predecessors(true).map(|path| folder.join(path)).chain(siblings(&tile, &path)) {
            remove(&path)?;
        }
    }
    Ok(())
}

impl Tile {
    /// Files and folders that a bundle, or with `remains` what is left of one, takes the place of.
    pub(super) fn predecessors(&self, remains: bool) -> impl Iterator<Item = PathBuf> {
        let full = Self { width: WIDTH, ..*self };
        let partial = self.partial_folder();
        let mut paths = vec![PathBuf::from(&partial)];
        if remains {
            paths.push(PathBuf::from(full.path()));
            // The partial file that is left stands in the same folder as those before it.
            if self.width == WIDTH {
                paths.push(PathBuf::from(partial.replacen(super::BUNDLES, super::REMAINING, 1)));
            }
        }
        paths.into_iter()
    }
}

/// Other files of the folder of a partial tile.
pub(super) fn siblings(tile: &Tile, path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().filter(|_| tile.width < WIDTH).and_then(|folder| fs::read_dir(folder).ok());
    let files = folder.into_iter().flatten().flatten().map(|file| file.path());
    files.filter(|file| file != path).collect()
}

/// Removes a file or a folder, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), AuditError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(file_error(path, source)),
        _ => Ok(()),
    }
}
