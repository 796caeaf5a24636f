//! `lienthong audit reindex`: the search index, anew from the log.

use std::process::ExitCode;

use audit::{LogKeys, verify::Progress};

use super::{
    log_keys,
    store::Store,
    verify::{bar, show_progress},
};
use crate::show;

#[derive(clap::Args)]
pub(crate) struct Reindex {
    #[command(flatten)]
    store: Store,
    /// The log's public key (name+hash+key), or a file that holds it.
    #[arg(long, value_name = "KEY")]
    key: String,
}

impl Reindex {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let key = log_keys(&self.key)?;
        let bar = bar()?;
        let rebuilt = audit::rebuild_index(&self.store.required()?, &key, |verified, tree_size| {
            show_progress(&bar, Progress { verified, tree_size });
        })
        .await;
        bar.finish_and_clear();
        show::line(format!("The search index of {} is built anew from its {} entries.", key.origin(), rebuilt?))?;
        Ok(ExitCode::SUCCESS)
    }
}
