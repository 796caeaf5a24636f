//! How far a verification has come, so that the next one goes on from there.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{HEIGHT, LEVEL_COUNT_MAX, WIDTH, read_if_there, write};
use crate::error::AuditError;
use crate::keys::LogKeys;
use crate::note::Checkpoint;
use crate::tree::{self, Frontier, Hash, sha256};
use crate::verify::VerifyError;

const TITLE: &str = "lienthong audit verification 1";

/// What was verified, up to the end of a full bundle: all that going on needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Entries verified; a multiple of [`WIDTH`].
    pub(super) tree_size: u64,
    /// Hashes of the last, not yet full tile of each level from 1 on.
    pub(super) pending: Vec<Vec<Hash>>,
    /// The newest checkpoint verified whole, unless the size has passed it.
    pub(super) checkpoint: Option<Checkpoint>,
}

impl State {
    /// The right edge of the tree that was verified.
    pub(super) fn frontier(&self) -> Option<Frontier> {
        let mut subtrees = Vec::new();
        for hashes in self.pending.iter().rev() {
            for (level, index) in tree::complete_subtrees(0..hashes.len() as u64) {
                let (first, count) = ((index << level) as usize, 1 << level);
                subtrees.push(tree::root(&hashes[first..first + count]));
            }
        }
        Frontier::new(self.tree_size, subtrees)
    }

    /// Reads the state; none if there is no such file.
    pub(super) fn load(path: &Path, key: &dyn LogKeys) -> Result<Option<Self>, VerifyError> {
        let Some(bytes) = read_if_there(path)? else { return Ok(None) };
        let state = String::from_utf8(bytes).ok().and_then(|text| Self::parse(&text, key));
        state.map(Some).ok_or_else(|| VerifyError::State { path: path.display().to_string() })
    }

    pub(super) fn save(&self, path: &Path, key: &dyn LogKeys) -> Result<(), AuditError> {
        write(path, self.to_text(key).as_bytes(), false)
    }

    /// Title, origin, size, one line of hashes a level, an empty line, the checkpoint if there is one; in the last line the
    /// digest of all that.
    fn to_text(&self, key: &dyn LogKeys) -> String {
        let mut text = format!("{TITLE}\n{}\n{}\n", key.origin(), self.tree_size);
        for hashes in &self.pending {
            text.push_str(&format!("-{}\n", STANDARD.encode(hashes.concat())));
        }
        text.push('\n');
        text.push_str(self.checkpoint.as_ref().map_or("", |checkpoint| &checkpoint.note));
        let digest = hex::encode(sha256(text.as_bytes()));
        format!("{text}{digest}\n")
    }

    fn parse(text: &str, key: &dyn LogKeys) -> Option<Self> {
        let end = text.strip_suffix('\n')?.rfind('\n')? + 1;
        let (text, digest) = text.split_at(end);
        if digest.trim_end() != hex::encode(sha256(text.as_bytes())) {
            return None;
        }
        let (head, note) = text.split_once("\n\n")?;
        let mut lines = head.lines();
        if lines.next()? != TITLE || lines.next()? != key.origin() {
            return None;
        }
        let tree_size: u64 = lines.next()?.parse().ok()?;
        let pending = lines.map(hashes).collect::<Option<Vec<_>>>()?;
        let checkpoint = if note.is_empty() { None } else { Some(Checkpoint::open(note, key).ok()?) };
        let state = Self { tree_size, pending, checkpoint };
        state.fits().then_some(state)
    }

    /// True if there are as many hashes as a tree of the size has.
    fn fits(&self) -> bool {
        self.tree_size.is_multiple_of(WIDTH)
            && (1..LEVEL_COUNT_MAX).all(|level| {
                let found = self.pending.get(level as usize - 1).map_or(0, Vec::len) as u64;
                found == (self.tree_size >> (HEIGHT * level)) % WIDTH
            })
    }
}

fn hashes(line: &str) -> Option<Vec<Hash>> {
    let bytes = STANDARD.decode(line.strip_prefix('-')?).ok()?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.to_vec())
}
