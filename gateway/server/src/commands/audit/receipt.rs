//! Receipts as files: what the caller of a query keeps, to show years later that the query is in the log.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail, ensure};
use audit::{Checkpoint, Hash, KeyHistory, LogKeys};
use prost::Message;
use proto::{
    audit::v1::{self as log, audit_service_client::AuditServiceClient},
    query::v1::Receipt,
};
use serde::{Deserialize, Serialize};

use super::hashes;
use crate::client::{CallFailed, Client};

/// Names the form of the file.
const FORMAT: &str = "lienthong-receipt-1";

/// What of an answer to keep.
#[derive(clap::Args)]
pub(crate) struct Keep {
    /// Keep the receipt in a new file, with a proof that the entry is in the log. Holds no personal data;
    /// `lienthong audit verify --receipt FILE` checks it, also without the hub.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Keep the answer in a new file, byte for byte as the receipt's digest covers it.
    #[arg(long, value_name = "FILE", requires = "receipt")]
    response: Option<PathBuf>,
}

/// A receipt, and the proof that was to be had when it was given.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReceiptFile {
    format: String,
    pub(crate) log_origin: String,
    pub(crate) log_index: u64,
    leaf_hash: String,
    response_digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<KeptProof>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptProof {
    /// Audit path of RFC 6962 from the leaf up.
    hashes: Vec<String>,
    /// The signed checkpoint the path leads to.
    checkpoint: String,
}

impl Keep {
    /// Refuses before the call what would fail after it: a call is recorded, its receipt should not get lost.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for path in [&self.receipt, &self.response].into_iter().flatten() {
            ensure!(!path.exists(), "{} exists already", path.display());
        }
        Ok(())
    }

    /// Writes what is to be kept. `response` is the answer's serialisation without its receipt.
    pub(crate) async fn keep(
        &self,
        client: &Client,
        receipt: Option<&Receipt>,
        response: Vec<u8>,
    ) -> anyhow::Result<()> {
        let Some(path) = &self.receipt else { return Ok(()) };
        let receipt = receipt.ok_or_else(|| anyhow!("the answer came without a receipt"))?;
        if let Some(path) = &self.response {
            write_new(path, &response)?;
        }
        let mut file = ReceiptFile {
            format: FORMAT.to_owned(),
            log_origin: receipt.log_origin.clone(),
            log_index: receipt.log_index,
            leaf_hash: hex::encode(&receipt.leaf_hash),
            response_digest: hex::encode(&receipt.response_digest),
            proof: None,
        };
        match fetch_proof(client, &receipt.log_origin, receipt.log_index).await {
            Ok((hashes, checkpoint)) => {
                file.proof = Some(KeptProof { hashes: hashes.iter().map(hex::encode).collect(), checkpoint });
            }
            Err(error) => eprintln!(
                "lienthong: the receipt is kept without a proof, which can still be had later with --profile: {error:#}"
            ),
        }
        write_new(path, format!("{}\n", serde_json::to_string_pretty(&file)?).as_bytes())?;
        file.check_response(&response).context("the receipt is not of the answer that came with it")
    }
}

impl ReceiptFile {
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file: Self = serde_json::from_str(&text).with_context(|| format!("{} is no receipt", path.display()))?;
        ensure!(file.format == FORMAT, "{} has the form {}, known is {FORMAT}", path.display(), file.format);
        Ok(file)
    }

    pub(crate) fn leaf_hash(&self) -> anyhow::Result<Hash> {
        hash(&self.leaf_hash).context("leaf_hash")
    }

    pub(crate) fn response_digest(&self) -> anyhow::Result<Hash> {
        hash(&self.response_digest).context("response_digest")
    }

    /// Checks that these are the bytes of the answer the receipt was given with.
    pub(crate) fn check_response(&self, response: &[u8]) -> anyhow::Result<()> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, response);
        ensure!(
            digest.as_ref() == self.response_digest()?,
            "the response has the digest {}, the receipt states {}",
            hex::encode(digest),
            self.response_digest
        );
        Ok(())
    }

    /// Checks the proof kept in the file, if one is. Gives the checkpoint it leads to.
    pub(crate) fn check_kept_proof(&self, key: &KeyHistory) -> anyhow::Result<Option<Checkpoint>> {
        self.check_origin(key)?;
        let Some(proof) = &self.proof else { return Ok(None) };
        let hashes = proof.hashes.iter().map(|text| hash(text)).collect::<anyhow::Result<Vec<_>>>();
        let hashes = hashes.context("proof")?;
        self.check_proof(&hashes, &proof.checkpoint, key).map(Some)
    }

    /// Lets the hub prove that the entry is in the log as it is now.
    pub(crate) async fn check_with_hub(&self, client: &Client, key: &KeyHistory) -> anyhow::Result<Checkpoint> {
        self.check_origin(key)?;
        let (hashes, note) = fetch_proof(client, &self.log_origin, self.log_index).await?;
        self.check_proof(&hashes, &note, key)
    }

    /// Checks that an entry of a verified log is the one the receipt was given for.
    pub(crate) fn check_entry(&self, entry_bytes: &[u8]) -> anyhow::Result<()> {
        let index = self.log_index;
        ensure!(
            audit::tree::leaf_hash(entry_bytes) == self.leaf_hash()?,
            "entry {index} of the log is another than the receipt's"
        );
        let entry = log::Entry::decode(entry_bytes).with_context(|| format!("entry {index} cannot be read"))?;
        ensure!(
            entry.response_digest == self.response_digest()?,
            "the receipt states another response digest than entry {index}"
        );
        Ok(())
    }

    /// Checks that this is the leaf hash of the receipt's entry, whose body is gone.
    pub(crate) fn check_leaf(&self, leaf_hash: &Hash) -> anyhow::Result<()> {
        let index = self.log_index;
        ensure!(*leaf_hash == self.leaf_hash()?, "entry {index} of the log is another than the receipt's");
        Ok(())
    }

    fn check_origin(&self, key: &KeyHistory) -> anyhow::Result<()> {
        if self.log_origin == key.origin() {
            return Ok(());
        }
        bail!("the receipt is of the log {}, the key of {}", self.log_origin, key.origin())
    }

    fn check_proof(&self, proof: &[Hash], note: &str, key: &KeyHistory) -> anyhow::Result<Checkpoint> {
        audit::verify::verify_leaf(&self.leaf_hash()?, self.log_index, proof, note, key)
            .with_context(|| format!("the receipt's entry {} is NOT proven to be in the log", self.log_index))
    }
}

/// The audit path of an entry, and the newest checkpoint, to which it leads.
async fn fetch_proof(client: &Client, origin: &str, log_index: u64) -> anyhow::Result<(Vec<Hash>, String)> {
    let request = log::GetInclusionProofRequest { log_index, tree_size: 0, log_origin: origin.to_owned() };
    let mut service = AuditServiceClient::new(client.channel.clone());
    let proof = service.get_inclusion_proof(client.request(request)).await.map_err(CallFailed::from)?.into_inner();
    let checkpoint = proof.checkpoint.ok_or_else(|| anyhow!("the hub gave no checkpoint with the proof"))?;
    Ok((hashes(&proof.hashes)?, checkpoint.note))
}

fn hash(text: &str) -> anyhow::Result<Hash> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).map_err(|_| anyhow!("{text:?} is no SHA-256 hash in hexadecimal"))?;
    Ok(hash)
}

/// Writes a file that is not there yet; only its owner may read it.
fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.with_context(|| format!("cannot write {}", path.display()))
}
