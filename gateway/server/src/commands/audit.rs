//! `lienthong audit`: for operators, inspectors, and whoever keeps a receipt.

mod accesses;
mod checkpoint;
mod export;
mod incident;
mod keygen;
mod receipt;
mod reindex;
mod retain;
mod search;
mod store;
mod verify;
mod witness;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, anyhow, ensure};
use audit::{Hash, KeyHistory, LogKeys, VerifierKey};
use chrono::DateTime;
use clap::Subcommand;
use futures::StreamExt;
use proto::{
    Schema,
    audit::v1::{self as log, audit_service_client::AuditServiceClient},
};

use super::Connect;
use crate::{
    client::{CallFailed, Client},
    show,
};

pub(crate) use receipt::Keep;

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Find entries; all filters given must fit. Newest first. The search itself is recorded.
    Search(Box<search::Search>),
    /// Show entries as they are written, until interrupted.
    Tail(Tail),
    /// Fetch an entry and its inclusion proof, and check both here, without trusting the hub.
    Prove(Prove),
    /// Fetch the newest signed checkpoint, and check that the log still holds those kept earlier.
    Checkpoint(checkpoint::Checkpoint),
    /// Write the log as files anyone can serve and verify (C2SP tlog-tiles), or bring them up to date.
    Export(export::Export),
    /// Verify a whole log, or a receipt, with the public key alone.
    Verify(Box<verify::Verify>),
    /// List who looked at a subject, as the subject may see it: for a citizen who asks.
    Accesses(accesses::Accesses),
    /// List the subjects that answers were given about: by whom, in a time, through which certificate. For an incident report.
    Incident(incident::Incident),
    /// Make a key of a log, of a witness, or for hashing subjects.
    Keygen(keygen::Keygen),
    /// Run a witness: cosign the checkpoints of logs that only ever grow (C2SP tlog-witness).
    Witness(witness::Witness),
    /// Throw the search index of a log away and build it anew from the log.
    Reindex(reindex::Reindex),
    /// Count the entries whose retention period has ended, and which of them are held; with --remove, remove their bodies.
    Retain(retain::Retain),
}

#[derive(clap::Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    connect: Connect,
    /// First entry to show; by default the next one written.
    #[arg(long, value_name = "INDEX")]
    from_index: Option<u64>,
    /// Name of the log, where replicas share a store; by default the one the answering replica writes.
    #[arg(long, value_name = "NAME", default_value = "")]
    origin: String,
}

#[derive(clap::Args)]
pub(crate) struct Prove {
    #[command(flatten)]
    connect: Connect,
    /// Index of the entry, as a receipt states it.
    index: u64,
    /// The log's public key (name+hash+key), from a place you trust; by default what the hub says of itself.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Name of the log, where replicas share a store; by default the one the answering replica writes.
    #[arg(long, value_name = "NAME", default_value = "")]
    origin: String,
}

impl Audit {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Search(command) => command.run().await,
            Self::Tail(command) => command.run().await,
            Self::Prove(command) => command.run().await,
            Self::Checkpoint(command) => command.run().await,
            Self::Export(command) => command.run().await,
            Self::Verify(command) => command.run().await,
            Self::Accesses(command) => command.run().await,
            Self::Incident(command) => command.run().await,
            Self::Keygen(command) => command.run(),
            Self::Witness(command) => command.run().await,
            Self::Reindex(command) => command.run().await,
            Self::Retain(command) => command.run().await,
        }
    }
}

fn json_line(schema: &Schema, entry: &log::LoggedEntry) -> anyhow::Result<String> {
    show::json_line(schema, "lienthong.audit.v1.LoggedEntry", entry)
}

/// Prints entries for people, one row each.
pub(crate) fn print_entries(entries: &[log::LoggedEntry]) -> anyhow::Result<()> {
    let mut table = show::table(["Index", "Time", "Caller", "Officer", "What", "Purpose", "Outcome"]);
    for entry in entries {
        table.add_row(row(entry));
    }
    show::line(table)?;
    Ok(())
}

fn row(logged: &log::LoggedEntry) -> [String; 7] {
    let Some(entry) = &logged.entry else {
        let gone = logged.entry_bytes.is_empty();
        let unreadable =
            if gone { "removed at the end of its period" } else { "of an encoding not known here" }.to_owned();
        return [
            logged.log_index.to_string(),
            String::new(),
            String::new(),
            String::new(),
            unreadable,
            String::new(),
            String::new(),
        ];
    };
    let time = entry
        .time
        .as_ref()
        .and_then(|time| DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).unwrap_or_default()));
    let purpose = entry.purpose.as_ref().map_or_else(String::new, |purpose| {
        [purpose.code.as_str(), &purpose.dossier_number]
            .iter()
            .filter(|part| !part.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join("\n")
    });
    let outcome = entry.outcome().as_str_name().to_lowercase();
    [
        logged.log_index.to_string(),
        time.map_or_else(String::new, |time| time.format("%Y-%m-%d %H:%M:%S").to_string()),
        entry.caller.as_ref().map_or_else(String::new, |caller| format!("{}\n{}", caller.agency, caller.system)),
        entry.officer.as_ref().map_or_else(String::new, |officer| officer.name.clone()),
        what(entry),
        purpose,
        if entry.reason.is_empty() { outcome } else { format!("{outcome}\n{}", entry.reason) },
    ]
}

fn what(entry: &log::Entry) -> String {
    let kind = entry.kind().as_str_name().to_lowercase().replace('_', " ");
    let records: Vec<_> = entry
        .accesses
        .iter()
        .map(|access| {
            let name = access.record_type.rsplit('.').next().unwrap_or_default();
            format!("{name} {}/{}", access.fields_released.len(), access.fields_asked.len())
        })
        .collect();
    let details: Vec<_> = entry.details.iter().map(|detail| format!("{} {}", detail.name, detail.value)).collect();
    [vec![kind], records, details].concat().join("\n")
}

impl Tail {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let schema = Schema::builtin()?;
        let client = Client::of(&self.connect).await?;
        let mut service = AuditServiceClient::new(client.channel.clone());
        let from_index = match self.from_index {
            Some(index) => index,
            None => {
                let request = log::GetCheckpointRequest { log_origin: self.origin.clone() };
                let checkpoint = service.get_checkpoint(client.request(request)).await.map_err(CallFailed::from)?;
                tree_size(&checkpoint.into_inner())?
            }
        };
        let request = log::TailEntriesRequest { from_index, reader: client.reader(), log_origin: self.origin };
        let request = client.request_without_end(request);
        let mut entries = service.tail_entries(request).await.map_err(CallFailed::from)?.into_inner();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(CallFailed::from)?;
            if self.connect.json {
                show::line(json_line(&schema, &entry)?)?;
            } else {
                show::line(row(&entry).map(|cell| cell.replace('\n', " ")).join("  "))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn tree_size(checkpoint: &log::Checkpoint) -> anyhow::Result<u64> {
    let key = VerifierKey::parse(&checkpoint.verifier_key)?;
    Ok(audit::Checkpoint::open(&checkpoint.note, &key)?.tree_size)
}

impl Prove {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let client = Client::of(&self.connect).await?;
        let proven = prove(&client, &self.origin, self.index, self.key.as_deref()).await?;
        if self.connect.json {
            show::line(serde_json::json!({
                "log_index": self.index,
                "leaf_hash": hex::encode(&proven.entry.leaf_hash),
                "tree_size": proven.checkpoint.tree_size,
                "root_hash": hex::encode(proven.checkpoint.root_hash),
                "checkpoint": proven.checkpoint.note,
                "proof": proven.proof.iter().map(hex::encode).collect::<Vec<_>>(),
                "verified": true,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        print_entries(std::slice::from_ref(&proven.entry))?;
        show::line(proven.checkpoint.note.trim_end())?;
        show::line(format!(
            "Entry {} is in the tree of {} entries: its hash and {} proof hashes give the signed root.",
            self.index,
            proven.checkpoint.tree_size,
            proven.proof.len()
        ))?;
        if self.key.is_none() {
            show::line("The key was the hub's own word; give --key from a place you trust.")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// An entry with a proof that has been checked here.
pub(crate) struct Proven {
    pub(crate) entry: log::LoggedEntry,
    pub(crate) checkpoint: audit::Checkpoint,
    pub(crate) proof: Vec<Hash>,
}

/// Fetches an entry and its proof, and checks them against the key.
pub(crate) async fn prove(client: &Client, origin: &str, log_index: u64, key: Option<&str>) -> anyhow::Result<Proven> {
    let mut service = AuditServiceClient::new(client.channel.clone());
    let request = log::GetEntryRequest { log_index, reader: client.reader(), log_origin: origin.to_owned() };
    let entry = service.get_entry(client.request(request)).await.map_err(CallFailed::from)?.into_inner();
    let request = log::GetInclusionProofRequest { log_index, tree_size: 0, log_origin: origin.to_owned() };
    let proof = service.get_inclusion_proof(client.request(request)).await.map_err(CallFailed::from)?.into_inner();
    let checkpoint = proof.checkpoint.ok_or_else(|| anyhow!("the hub gave no checkpoint with the proof"))?;
    let key = log_keys(key.unwrap_or(&checkpoint.verifier_key))?;
    let hashes = hashes(&proof.hashes)?;
    let checkpoint = audit::verify::verify_entry(&entry.entry_bytes, log_index, &hashes, &checkpoint.note, &key)
        .with_context(|| format!("entry {log_index} is NOT proven to be in the log"))?;
    Ok(Proven { entry, checkpoint, proof: hashes })
}

/// The hashes of a proof.
fn hashes(proof: &[Vec<u8>]) -> anyhow::Result<Vec<Hash>> {
    let hashes = proof.iter().map(|hash| Hash::try_from(hash.as_slice())).collect::<Result<Vec<_>, _>>();
    hashes.map_err(|_| anyhow!("the proof holds something that is no SHA-256 hash"))
}

/// Checkpoints kept in files.
fn read_checkpoints(paths: &[PathBuf], key: &KeyHistory) -> anyhow::Result<Vec<audit::Checkpoint>> {
    let read = |path: &PathBuf| {
        let note = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        audit::Checkpoint::open(&note, key).with_context(|| format!("{} is no checkpoint of this log", path.display()))
    };
    paths.iter().map(read).collect()
}

/// Lets the hub prove that the log still holds everything an older checkpoint covers.
async fn prove_growth(
    client: &Client,
    older: &audit::Checkpoint,
    newer: &audit::Checkpoint,
    key: &KeyHistory,
) -> anyhow::Result<()> {
    let (from_tree_size, to_tree_size) = (older.tree_size, newer.tree_size);
    ensure!(
        from_tree_size <= to_tree_size,
        "the log has {to_tree_size} entries, but a checkpoint kept earlier has {from_tree_size}: entries were removed"
    );
    let hashes = if from_tree_size == to_tree_size {
        Vec::new()
    } else {
        let request =
            log::GetConsistencyProofRequest { from_tree_size, to_tree_size, log_origin: key.origin().to_owned() };
        let mut service = AuditServiceClient::new(client.channel.clone());
        let proof = service.get_consistency_proof(client.request(request)).await.map_err(CallFailed::from)?;
        hashes(&proof.into_inner().hashes)?
    };
    audit::verify::verify_growth(&older.note, &newer.note, &hashes, key).with_context(|| {
        format!("the log of {to_tree_size} entries does NOT hold what the checkpoint of {from_tree_size} covers")
    })?;
    Ok(())
}

/// The keys of a log, given as one key or as a file of a key a line, with the tree sizes each signs for.
fn log_keys(key: &str) -> anyhow::Result<KeyHistory> {
    KeyHistory::parse(&key_text(key)?).with_context(|| format!("public key {key}"))
}

/// A key given as itself or as a file that holds it.
fn key_text(key: &str) -> anyhow::Result<String> {
    let path = PathBuf::from(key);
    if path.is_file() {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        return Ok(text.trim().to_owned());
    }
    Ok(key.to_owned())
}
