//! `lienthong audit export`: the log as files that anyone can serve and verify.

use std::{path::PathBuf, process::ExitCode};

use audit::verify::Progress;

use super::{
    log_keys, read_checkpoints,
    store::Store,
    verify::{bar, show_progress},
};
use crate::show;

#[derive(clap::Args)]
pub(crate) struct Export {
    #[command(flatten)]
    store: Store,
    /// The log's public key (name+hash+key), or a file that holds it.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Folder to bring up to date, or to begin: checkpoint, hash tiles and entry bundles as C2SP tlog-tiles names them.
    /// An export that was interrupted goes on where it stopped.
    #[arg(long, value_name = "DIR")]
    tiles: PathBuf,
    /// End with this checkpoint, as the hub has published it or somebody kept it: it is written with the cosignatures it carries. By
    /// default the newest, which carries the log's own signature only.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Export {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let key = log_keys(&self.key)?;
        let location = self.store.required()?;
        let last = read_checkpoints(self.checkpoint.as_slice(), &key)?.pop();
        let bar = bar()?;
        let progress = |verified, tree_size| show_progress(&bar, Progress { verified, tree_size });
        let exported = match &last {
            Some(last) => audit::tiles::export_until(&location, &key, &self.tiles, last, progress).await,
            None => audit::tiles::export(&location, &key, &self.tiles, progress).await,
        };
        bar.finish_and_clear();
        let audit::tiles::Exported { from_tree_size, tree_size, file_count } = exported?;
        if self.json {
            show::line(serde_json::json!({
                "from_tree_size": from_tree_size,
                "tree_size": tree_size,
                "files": file_count,
            }))?;
        } else {
            show::line(format!(
                "{} holds the log of {tree_size} entries: {} new, {file_count} files written.",
                self.tiles.display(),
                tree_size - from_tree_size
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
