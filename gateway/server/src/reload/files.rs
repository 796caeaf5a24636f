//! Watching the files a configuration names.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind},
};
use tokio::sync::mpsc;

use crate::config::{Config, DatabaseReference};

/// Files change together: this long without another change ends a change.
const QUIET: Duration = Duration::from_millis(300);

/// Waits for a change, and until no other follows it.
pub(crate) async fn changed_and_quiet(changes: &mut mpsc::UnboundedReceiver<()>) {
    if changes.recv().await.is_none() {
        return std::future::pending().await;
    }
    while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {}
}

/// The files a hub's configuration names, and the folders of which every file counts.
pub(super) fn of_hub(config: &Config) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let access = &config.access;
    let tls = &config.tls;
    let mut files: Vec<PathBuf> = [&tls.certificate, &tls.private_key].map(|path| config.path(path)).to_vec();
    files.extend(tls.client_authorities.iter().chain(&tls.revocation_lists).map(|path| config.path(path)));
    files.extend([&access.purposes, &access.agencies].into_iter().chain(&access.quotas).map(|path| config.path(path)));
    files.push(config.file().to_owned());
    for source in &config.sources {
        files.extend(source.mapping.iter().map(|path| config.path(path)));
        for reference in source.database.iter().chain(&source.replica) {
            if let DatabaseReference::UrlFile(path) = reference {
                files.push(config.path(path));
            }
        }
        if let Some(remote) = &source.remote {
            files.extend([&remote.authority, &remote.certificate, &remote.private_key].map(|path| config.path(path)));
        }
    }
    (files, [&access.grants, &access.policies].map(|path| config.path(path)).to_vec())
}

/// Watches the folders of the files, since files are mostly replaced, not rewritten; and a folder with all below it, where
/// whole folders come and go. A folder that is not there is said, and the others are watched; it is seen to come where the
/// folder it stands in is watched.
pub(crate) fn watcher(
    files: &[PathBuf],
    folders: &[PathBuf],
    tree: Option<&Path>,
    changed: mpsc::UnboundedSender<()>,
) -> anyhow::Result<RecommendedWatcher> {
    let parents = files.iter().filter_map(|file| file.parent().map(ToOwned::to_owned));
    let above = tree.and_then(Path::parent).map(ToOwned::to_owned);
    let folders = parents.chain(folders.iter().cloned()).chain(above).filter_map(|folder| {
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        folder.canonicalize().inspect_err(|error| not_watched(&folder, error)).ok()
    });
    let folders: BTreeSet<_> = folders.collect();
    let names: BTreeSet<_> = files.iter().filter_map(|file| file.file_name().map(ToOwned::to_owned)).collect();
    // The log and the databases may lie in the same folders and change all the time.
    let ours = move |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "toml" || extension == "cedar" || extension == "proto")
            || path.file_name().is_some_and(|name| names.contains(name))
    };
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let ours = |event: Event| is_of_folders(event.kind) || event.paths.iter().any(&ours);
        if event.is_ok_and(|event| is_change(event.kind) && ours(event)) {
            // Nobody receives when the hub is stopping.
            let _ = changed.send(());
        }
    })?;
    let folders = folders.iter().map(|folder| (folder.as_path(), RecursiveMode::NonRecursive));
    for (folder, mode) in folders.chain(tree.map(|tree| (tree, RecursiveMode::Recursive))) {
        watcher.watch(folder, mode).unwrap_or_else(|error| not_watched(folder, &error));
    }
    Ok(watcher)
}

fn not_watched(folder: &Path, error: &dyn std::fmt::Display) {
    tracing::warn!(folder = %folder.display(), %error, "a folder is not watched; SIGHUP reloads what is in it");
}

/// Whether folders come or go, or anything is moved: a sector is dropped in and taken away whole.
fn is_of_folders(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Create(CreateKind::Folder)
            | EventKind::Remove(RemoveKind::Folder)
            | EventKind::Modify(ModifyKind::Name(_))
    )
}

/// Reading is no change, or a reload would lead to the next.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) => true,
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Other => false,
    }
}
