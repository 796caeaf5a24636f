//! The search index made anew, by a command and not by the process that writes the log.

use crate::error::{AuditError, Damage};
use crate::index::Index;
use crate::keys::LogKeys;
use crate::log::Options;
use crate::note::Checkpoint;
use crate::store::{Connection, Location, Readers};
use crate::writer;

/// Throws the search index of the log of this key away and builds it from the log. Reports entries read and entries to
/// read; returns how many there are. A log in an SQLite file must not be open; one in a PostgreSQL database may be.
pub async fn rebuild_index(
    location: &Location,
    key: &dyn LogKeys,
    progress: impl FnMut(u64, u64),
) -> Result<u64, AuditError> {
    let _lock = match location {
        Location::File(path) => Some(writer::lock(path)?),
        Location::Postgres(_) => None,
    };
    let mut connection = Connection::read(location, key.origin()).await?;
    let log = connection.log_id();
    let head = connection.session().newest_head().await?;
    connection.close().await?;
    let (_, note) = head.ok_or(AuditError::Damaged(Damage::CheckpointMissing))?;
    let checkpoint = Checkpoint::open(&note, key)?;
    let tree_size = checkpoint.tree_size;

    let readers = Readers::open(location, log, 1).await?;
    let index = Index::open(location, &readers, tree_size, Options::default().index_block_size).await?;
    let rebuilt = index.rebuild(log, tree_size, progress).await;
    index.close().await;
    readers.close().await;
    rebuilt.map(|()| tree_size)
}
