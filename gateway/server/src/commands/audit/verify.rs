//! `lienthong audit verify`: for someone who trusts nobody and holds the log's public key.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use audit::{Checkpoint, Cosignature, KeyHistory, Location, LogKeys, VerifierKey, disclosure, verify::Progress};
use chrono::DateTime;

use super::{accesses, key_text, log_keys, prove_growth, read_checkpoints, receipt::ReceiptFile, store::Store};
use crate::{
    client::{Client, Profile},
    show,
};

/// Verify a whole log, or a receipt, with the public key alone.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../../deploy/help/audit-verify.txt"))]
#[group(
    id = "what",
    required = true,
    multiple = true,
    args = ["database", "database_url_file", "database_url_env", "tiles", "receipt"]
)]
pub(crate) struct Verify {
    #[command(flatten)]
    store: Store,
    /// Whole log: its folder of tiles, as `lienthong audit export` writes it.
    #[arg(long, value_name = "DIR", conflicts_with = "Store")]
    tiles: Option<PathBuf>,
    /// With --tiles: remember in this file how far the verification came, and go on from there the next time.
    #[arg(long, value_name = "FILE", requires = "tiles")]
    state: Option<PathBuf>,
    /// Receipt, as `lienthong query --receipt` and `lienthong verify --receipt` keep it. With --tiles it is held against
    /// its entry there.
    #[arg(long, value_name = "FILE", conflicts_with = "Store")]
    receipt: Option<PathBuf>,
    /// List of a subject's accesses, as `lienthong audit accesses --out` keeps it: whether it is the log's, and whether any was
    /// left out.
    #[arg(long, value_name = "FILE", requires = "tiles")]
    accesses: Option<PathBuf>,
    /// The answer the receipt was given with, as --response keeps it.
    #[arg(long, value_name = "FILE", requires = "receipt")]
    response: Option<PathBuf>,
    /// Client profile: fetch a fresh proof from the hub, and let it prove that the log still holds all checkpoints kept.
    #[arg(long, short, value_name = "FILE", requires = "receipt", conflicts_with = "tiles")]
    profile: Option<PathBuf>,
    /// The log's public key (name+hash+key), or a file that holds it; one a line where the log had several, after each the tree
    /// sizes it signs for ("from N", "until N").
    #[arg(long, value_name = "KEY")]
    key: String,
    /// With --tiles: public key of a witness (name+hash+key), or a file that holds it; its cosignature is looked for. Repeatable.
    #[arg(long, value_name = "KEY", requires = "tiles")]
    witness: Vec<String>,
    /// How many of these witnesses must have cosigned the checkpoint; by default all.
    #[arg(long, value_name = "COUNT", requires = "witness")]
    require: Option<usize>,
    /// A checkpoint kept from earlier: the log must still hold it. Repeatable.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Deadline of each call for a fresh proof.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

impl Verify {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let key = log_keys(&self.key)?;
        let kept = read_checkpoints(&self.checkpoint, &key)?;
        match (self.store.location()?, &self.tiles, &self.receipt) {
            (Some(location), ..) => self.database(&location, &key, &kept).await?,
            (None, Some(tiles), receipt) => self.tiles(tiles, receipt.as_deref(), &key, kept)?,
            (None, None, Some(receipt)) => self.receipt(receipt, &key, &kept).await?,
            (None, None, None) => bail!("nothing to verify: give --database, --tiles or --receipt"),
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn database(&self, location: &Location, key: &KeyHistory, kept: &[Checkpoint]) -> anyhow::Result<()> {
        let bar = bar()?;
        let report = audit::verify::verify_store(location, key, kept, |progress| show_progress(&bar, progress)).await;
        bar.finish_and_clear();
        let report = report?;
        if self.json {
            show::line(serde_json::json!({
                "verified": true,
                "tree_size": report.tree_size,
                "root_hash": hex::encode(report.root_hash),
                "checkpoints": report.checkpoint_count,
                "removed": report.removed_count,
            }))?;
        } else {
            show::line(format!(
                "The log verifies: {} entries, {} tree hashes, {} signed checkpoints, root {}.",
                report.tree_size,
                report.hash_count,
                report.checkpoint_count,
                hex::encode(report.root_hash)
            ))?;
            show_removed(report.removed_count)?;
        }
        Ok(())
    }

    fn tiles(
        &self,
        folder: &Path,
        receipt: Option<&Path>,
        key: &KeyHistory,
        mut kept: Vec<Checkpoint>,
    ) -> anyhow::Result<()> {
        let receipt = receipt.map(ReceiptFile::load).transpose()?;
        if let Some(receipt) = &receipt {
            self.check_response(receipt)?;
            kept.extend(receipt.check_kept_proof(key)?);
        }
        let list = self.accesses.as_deref().map(accesses::load).transpose()?;
        if let Some(list) = &list {
            kept.push(disclosure::covered(key, list)?);
        }
        let bar = bar()?;
        let report =
            audit::tiles::verify(folder, key, &kept, self.state.as_deref(), |progress| show_progress(&bar, progress));
        bar.finish_and_clear();
        let report = report?;
        let cosignatures = self.cosignatures(&report.checkpoint)?;
        if let Some(receipt) = &receipt {
            let (index, tree_size) = (receipt.log_index, report.checkpoint.tree_size);
            match audit::tiles::entry(folder, index, tree_size)? {
                Some(entry) => receipt.check_entry(&entry)?,
                None => receipt.check_leaf(&audit::tiles::leaf_hash(folder, index, tree_size)?)?,
            }
        }
        let listed = match &list {
            Some(list) => Some(disclosure::verify_list(folder, report.checkpoint.tree_size, key, list)?),
            None => None,
        };
        let (tree_size, root) = (report.checkpoint.tree_size, hex::encode(report.checkpoint.root_hash));
        if self.json {
            return Ok(show::line(serde_json::json!({
                "verified": true,
                "tree_size": tree_size,
                "root_hash": root,
                "bundles": report.bundle_count,
                "tiles": report.tile_count,
                "removed": report.removed_count,
                "resumed_from": report.resumed_from,
                "checkpoints": kept.len(),
                "witnesses": cosignatures.iter().map(|seen| &seen.witness).collect::<Vec<_>>(),
                "receipt_log_index": receipt.as_ref().map(|receipt| receipt.log_index),
                "response_verified": self.response.is_some(),
                "accesses_verified": listed.map(|listed| listed.accesses),
                "accesses_verified_by_hash": listed.map(|listed| listed.by_hash),
                "accesses_unknown_because_removed": listed.map(|listed| listed.removed),
            }))?);
        }
        show::line(format!(
            "The log verifies: {tree_size} entries, root {root}, signed by {}; {} entry bundles and {} hash tiles read.",
            key.origin(),
            report.bundle_count,
            report.tile_count
        ))?;
        show_removed(report.removed_count)?;
        if report.resumed_from > 0 {
            show::line(format!("The first {} entries were verified earlier and not read again.", report.resumed_from))?;
        }
        for Cosignature { witness, time } in &cosignatures {
            let time = i64::try_from(*time).ok().and_then(|time| DateTime::from_timestamp(time, 0));
            let time = time.map_or_else(|| "an impossible time".to_owned(), |time| time.to_rfc3339());
            show::line(format!("Its checkpoint was cosigned by {witness} at {time}."))?;
        }
        if !kept.is_empty() {
            show::line(format!("It holds unchanged all that {} checkpoints kept cover.", kept.len()))?;
        }
        if let Some(listed) = listed {
            show::line(format!(
                "The list holds the {} accesses of the subject that this log has, and none is left out.",
                listed.accesses
            ))?;
            if listed.by_hash > 0 {
                show::line(format!(
                    "{} accesses of the list were removed from the log since; their hashes are the list's.",
                    listed.by_hash
                ))?;
            }
            if listed.removed > 0 {
                show::line(format!(
                    "{} other entries were removed at the end of their period: whether they were about the subject cannot be told.",
                    listed.removed
                ))?;
            }
        }
        if let Some(receipt) = &receipt {
            show::line(format!("Entry {} is the one of the receipt, response digest included.", receipt.log_index))?;
        }
        if self.response.is_some() {
            show::line("The response is the one the receipt was given with.")?;
        }
        Ok(())
    }

    /// The cosignatures of the witnesses given, of which there must be as many as required.
    fn cosignatures(&self, checkpoint: &Checkpoint) -> anyhow::Result<Vec<Cosignature>> {
        let parse = |key: &String| VerifierKey::parse(&key_text(key)?).with_context(|| format!("witness {key}"));
        let witnesses = self.witness.iter().map(parse).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(checkpoint.witnessed(&witnesses, self.require.unwrap_or(witnesses.len()))?)
    }

    async fn receipt(&self, path: &Path, key: &KeyHistory, kept: &[Checkpoint]) -> anyhow::Result<()> {
        let receipt = ReceiptFile::load(path)?;
        self.check_response(&receipt)?;
        let then = receipt.check_kept_proof(key)?;
        let checkpoint = match &self.profile {
            Some(profile) => {
                let client = Client::connect(&Profile::load(profile)?, CALL_TIMEOUT).await?;
                let now = receipt.check_with_hub(&client, key).await?;
                for older in then.iter().chain(kept) {
                    prove_growth(&client, older, &now, key).await?;
                }
                now
            }
            None => {
                let Some(then) = then else {
                    bail!("the receipt was kept without a proof: give --profile to fetch one from the hub")
                };
                ensure!(
                    kept.is_empty(),
                    "a receipt alone does not show what became of a checkpoint: give --profile to ask the hub for the proof"
                );
                then
            }
        };
        if self.json {
            return Ok(show::line(serde_json::json!({
                "verified": true,
                "log_index": receipt.log_index,
                "tree_size": checkpoint.tree_size,
                "root_hash": hex::encode(checkpoint.root_hash),
                "response_verified": self.response.is_some(),
                "proof_fetched_now": self.profile.is_some(),
                "checkpoints": kept.len(),
            }))?);
        }
        show::line(format!(
            "The receipt verifies: its entry {} is in the log {} of {} entries, whose root {} is signed.",
            receipt.log_index,
            checkpoint.origin,
            checkpoint.tree_size,
            hex::encode(checkpoint.root_hash)
        ))?;
        if self.response.is_some() {
            show::line("The response is the one the receipt was given with.")?;
        }
        if self.profile.is_some() {
            show::line("The log as it is now still holds all that the checkpoints kept cover.")?;
        }
        Ok(())
    }

    fn check_response(&self, receipt: &ReceiptFile) -> anyhow::Result<()> {
        let Some(path) = &self.response else { return Ok(()) };
        let response = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        receipt.check_response(&response)
    }
}

fn show_removed(count: u64) -> anyhow::Result<()> {
    if count > 0 {
        show::line(format!("{count} bodies were removed by retention, as the log itself records; their hashes hold."))?;
    }
    Ok(())
}

pub(super) fn bar() -> anyhow::Result<indicatif::ProgressBar> {
    let style = indicatif::ProgressStyle::with_template("{bar:40} {pos}/{len} entries, {eta} left")?;
    Ok(indicatif::ProgressBar::no_length().with_style(style))
}

pub(super) fn show_progress(bar: &indicatif::ProgressBar, progress: Progress) {
    bar.set_length(progress.tree_size);
    bar.set_position(progress.verified);
}
