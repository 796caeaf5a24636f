//! `lienthong audit checkpoint`: what one keeps to notice, later, that a log was changed or cut.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use audit::LogKeys;
use proto::audit::v1::{self as log, audit_service_client::AuditServiceClient};

use super::{Connect, log_keys, prove_growth, read_checkpoints};
use crate::{
    client::{CallFailed, Client},
    show,
};

#[derive(clap::Args)]
pub(crate) struct Checkpoint {
    #[command(flatten)]
    connect: Connect,
    /// The log's public key (name+hash+key), or a file that holds it, from a place you trust.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// A checkpoint kept from earlier: the hub must prove that the log still holds it. Repeatable.
    #[arg(long, value_name = "FILE")]
    since: Vec<PathBuf>,
    /// Write the checkpoint to this file. An existing one is replaced, and only when everything was proven.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Checkpoint {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let key = log_keys(&self.key)?;
        let kept = read_checkpoints(&self.since, &key)?;
        let client = Client::of(&self.connect).await?;
        let mut service = AuditServiceClient::new(client.channel.clone());
        let request = log::GetCheckpointRequest { log_origin: key.origin().to_owned() };
        let answer = service.get_checkpoint(client.request(request)).await;
        let note = answer.map_err(CallFailed::from)?.into_inner().note;
        let newest = audit::Checkpoint::open(&note, &key).context("the hub's newest checkpoint")?;
        for older in &kept {
            prove_growth(&client, older, &newest, &key).await?;
        }
        if let Some(path) = &self.out {
            std::fs::write(path, &newest.note).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if self.connect.json {
            show::line(serde_json::json!({
                "tree_size": newest.tree_size,
                "root_hash": hex::encode(newest.root_hash),
                "checkpoint": newest.note,
                "consistent_with": kept.iter().map(|older| older.tree_size).collect::<Vec<_>>(),
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        show::line(newest.note.trim_end())?;
        for older in &kept {
            let size = older.tree_size;
            show::line(format!("Holds unchanged the {size} entries of the checkpoint of tree size {size}."))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
