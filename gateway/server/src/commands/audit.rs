//! `lienthong audit`: for operators, inspectors, and whoever keeps a receipt.

mod checkpoint;
mod export;
mod receipt;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, anyhow, ensure};
use audit::{Hash, VerifierKey};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use futures::StreamExt;
use proto::{
    Schema,
    audit::v1::{self as log, audit_service_client::AuditServiceClient},
    options::v1::IdentifierKind,
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
    Search(Box<Search>),
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
}

#[derive(clap::Args)]
pub(crate) struct Search {
    #[command(flatten)]
    connect: Connect,
    /// From this moment on (RFC 3339, for example 2026-11-22T08:00:00+07:00).
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// Before this moment.
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// Calling agency; finds agencies below it too.
    #[arg(long, default_value = "")]
    agency: String,
    /// Calling system.
    #[arg(long, default_value = "")]
    system: String,
    /// Officer id.
    #[arg(long, default_value = "")]
    officer: String,
    /// Purpose code.
    #[arg(long, default_value = "")]
    purpose: String,
    /// Dossier number.
    #[arg(long, default_value = "")]
    dossier: String,
    /// Subject: KIND=NUMBER with KIND one of personal_id, legacy_id, social_insurance_number, enterprise_code,
    /// budget_unit_code. Sent to the hub, which hashes it; never stored.
    #[arg(long, value_name = "KIND=NUMBER")]
    subject: Option<String>,
    /// Full name of a record type.
    #[arg(long, default_value = "")]
    record_type: String,
    /// Source id.
    #[arg(long, default_value = "")]
    source: String,
    /// answered, partial, refused, invalid or failed.
    #[arg(long)]
    outcome: Option<String>,
    /// Agreement number.
    #[arg(long, default_value = "")]
    agreement: String,
    /// Entries to show at most.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(clap::Args)]
pub(crate) struct Tail {
    #[command(flatten)]
    connect: Connect,
    /// First entry to show; by default the next one written.
    #[arg(long, value_name = "INDEX")]
    from_index: Option<u64>,
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
        }
    }
}

fn subject(text: &str) -> anyhow::Result<(IdentifierKind, String)> {
    let (kind, number) = text.split_once('=').ok_or_else(|| anyhow!("--subject takes KIND=NUMBER"))?;
    let kind = IdentifierKind::from_str_name(&kind.to_uppercase())
        .filter(|kind| *kind != IdentifierKind::Unspecified)
        .ok_or_else(|| anyhow!("--subject: {kind} is no kind of number; see --help"))?;
    Ok((kind, number.to_owned()))
}

impl Search {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let schema = Schema::builtin()?;
        let (subject_kind, subject) = match &self.subject {
            Some(text) => subject(text)?,
            None => (IdentifierKind::Unspecified, String::new()),
        };
        let outcome = match &self.outcome {
            None => log::entry::Outcome::Unspecified,
            Some(name) => log::entry::Outcome::from_str_name(&name.to_uppercase())
                .ok_or_else(|| anyhow!("--outcome takes answered, partial, refused, invalid or failed"))?,
        };
        let client = Client::of(&self.connect).await?;
        let mut service = AuditServiceClient::new(client.channel.clone());
        let mut request = log::SearchEntriesRequest {
            from: self.from.map(query::timestamp),
            until: self.until.map(query::timestamp),
            agency: self.agency,
            system: self.system,
            officer: self.officer,
            purpose: self.purpose,
            dossier_number: self.dossier,
            subject_kind: subject_kind.into(),
            subject,
            record_type: self.record_type,
            source: self.source,
            outcome: outcome.into(),
            agreement: self.agreement,
            page_size: self.limit.clamp(1, 1000),
            page_token: String::new(),
            reader: client.reader(),
        };
        let mut entries = Vec::new();
        loop {
            let page =
                service.search_entries(client.request(request.clone())).await.map_err(CallFailed::from)?.into_inner();
            entries.extend(page.entries);
            if page.next_page_token.is_empty() || entries.len() >= self.limit as usize {
                break;
            }
            request.page_token = page.next_page_token;
        }
        entries.truncate(self.limit as usize);
        if self.connect.json {
            for entry in &entries {
                show::line(json_line(&schema, entry)?)?;
            }
        } else {
            print_entries(&entries)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn json_line(schema: &Schema, entry: &log::LoggedEntry) -> anyhow::Result<String> {
    let pretty: serde_json::Value =
        serde_json::from_str(&show::json(schema, "lienthong.audit.v1.LoggedEntry", entry)?)?;
    Ok(pretty.to_string())
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
        let unreadable = "entry of an encoding this version does not know".to_owned();
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
                let checkpoint =
                    service.get_checkpoint(log::GetCheckpointRequest {}).await.map_err(CallFailed::from)?;
                tree_size(&checkpoint.into_inner())?
            }
        };
        let request = log::TailEntriesRequest { from_index, reader: client.reader() };
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
        let proven = prove(&client, self.index, self.key.as_deref()).await?;
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
pub(crate) async fn prove(client: &Client, log_index: u64, key: Option<&str>) -> anyhow::Result<Proven> {
    let mut service = AuditServiceClient::new(client.channel.clone());
    let request = log::GetEntryRequest { log_index, reader: client.reader() };
    let entry = service.get_entry(client.request(request)).await.map_err(CallFailed::from)?.into_inner();
    let request = log::GetInclusionProofRequest { log_index, tree_size: 0 };
    let proof = service.get_inclusion_proof(client.request(request)).await.map_err(CallFailed::from)?.into_inner();
    let checkpoint = proof.checkpoint.ok_or_else(|| anyhow!("the hub gave no checkpoint with the proof"))?;
    let key = VerifierKey::parse(&key_text(key.unwrap_or(&checkpoint.verifier_key))?)?;
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
fn read_checkpoints(paths: &[PathBuf], key: &VerifierKey) -> anyhow::Result<Vec<audit::Checkpoint>> {
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
    key: &VerifierKey,
) -> anyhow::Result<()> {
    let (from_tree_size, to_tree_size) = (older.tree_size, newer.tree_size);
    ensure!(
        from_tree_size <= to_tree_size,
        "the log has {to_tree_size} entries, but a checkpoint kept earlier has {from_tree_size}: entries were removed"
    );
    let hashes = if from_tree_size == to_tree_size {
        Vec::new()
    } else {
        let request = log::GetConsistencyProofRequest { from_tree_size, to_tree_size };
        let mut service = AuditServiceClient::new(client.channel.clone());
        let proof = service.get_consistency_proof(client.request(request)).await.map_err(CallFailed::from)?;
        hashes(&proof.into_inner().hashes)?
    };
    audit::verify::verify_growth(&older.note, &newer.note, &hashes, key).with_context(|| {
        format!("the log of {to_tree_size} entries does NOT hold what the checkpoint of {from_tree_size} covers")
    })?;
    Ok(())
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
