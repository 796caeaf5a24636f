//! The witnesses the hub asks to cosign its checkpoints (C2SP `tlog-witness`).

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use audit::{
    Checkpoint, NoteSignature, SignatureType, VerifierKey,
    tiles::Publication,
    witness::{AddCheckpoint, parse_size},
};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::{StreamExt, stream::FuturesUnordered};
use http::{StatusCode, header};
use tokio::time::Instant;

use crate::{
    config::{Config, WitnessConfig},
    https::{self, Answer, Server},
};

/// Longest time for one witness to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the others are waited for once as many as required have cosigned.
const GRACE: Duration = Duration::from_millis(200);
/// Wait before a witness that failed is asked again, at first and at most.
const RETRY_DELAYS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Media type of the tree size a witness answers with when another is expected.
const SIZE_TYPE: &str = "text/x.tlog.size";

/// The witnesses of the configuration.
pub(crate) struct Witnesses {
    witnesses: Vec<Witness>,
    required: usize,
}

impl Witnesses {
    pub(crate) fn load(config: &Config) -> anyhow::Result<Self> {
        let load = |witness: &WitnessConfig| {
            Witness::load(config, witness).with_context(|| format!("witness {}", witness.key))
        };
        let witnesses = config.audit.witnesses.iter().map(load).collect::<anyhow::Result<Vec<_>>>()?;
        for (place, witness) in witnesses.iter().enumerate() {
            let twice = witnesses[..place].iter().any(|earlier| earlier.key == witness.key);
            ensure!(!twice, "witness {} stands there twice", witness.key.name());
        }
        Ok(Self { witnesses, required: config.audit.witnesses_required })
    }

    /// Cosignatures a checkpoint needs to be published.
    pub(crate) fn required(&self) -> usize {
        self.required
    }

    /// Asks the witnesses side by side to cosign a checkpoint; those that failed lately are left alone for a while. Gives the
    /// cosignatures that came in time.
    pub(crate) async fn cosign(
        &mut self,
        publication: &Publication<'_>,
        checkpoint: &Checkpoint,
    ) -> Vec<NoteSignature> {
        let now = Instant::now();
        let required = self.required;
        let asked = self.witnesses.iter_mut().filter(|witness| witness.retry_at.is_none_or(|at| at <= now));
        let mut answers: FuturesUnordered<_> = asked.map(|witness| witness.ask(publication, checkpoint)).collect();
        let mut cosignatures = Vec::new();
        let mut until = now + ANSWER_TIMEOUT;
        loop {
            if cosignatures.len() >= required {
                until = until.min(Instant::now() + GRACE);
            }
            match tokio::time::timeout_at(until, answers.next()).await {
                Ok(Some(cosignature)) => cosignatures.extend(cosignature),
                Ok(None) | Err(_) => return cosignatures,
            }
        }
    }
}

/// One witness, and what is known of it.
struct Witness {
    key: VerifierKey,
    server: Server,
    /// Size of the newest checkpoint it has cosigned, as far as known.
    size: u64,
    retry_at: Option<Instant>,
    delays: ExponentialBackoff,
}

impl Witness {
    fn load(config: &Config, witness: &WitnessConfig) -> anyhow::Result<Self> {
        let key = VerifierKey::parse(&witness.key)?;
        ensure!(key.signature_type() == SignatureType::Cosignature, "the key is not of the type of witnesses (0x04)");
        let authorities: Vec<_> = witness.authorities.iter().map(|path| config.path(path)).collect();
        let server = Server::new(https::client_config(&authorities, |_| {})?, &witness.url)?;
        Ok(Self { key, server, size: 0, retry_at: None, delays: delays() })
    }

    /// Its cosignature. A failure is said once, until it cosigns again.
    async fn ask(&mut self, publication: &Publication<'_>, checkpoint: &Checkpoint) -> Option<NoteSignature> {
        match https::within(ANSWER_TIMEOUT, self.cosign(publication, checkpoint)).await {
            Ok(cosignature) => {
                if self.retry_at.take().is_some() {
                    tracing::info!(lienthong.witness = self.key.name(), "the witness cosigns again");
                    self.delays = delays();
                }
                Some(cosignature)
            }
            Err(error) => {
                if self.retry_at.is_none() {
                    let error = format!("{error:#}");
                    tracing::error!(lienthong.witness = self.key.name(), error, "the witness does not cosign");
                }
                self.retry_at = Some(Instant::now() + self.delays.next().unwrap_or(RETRY_DELAYS.1));
                None
            }
        }
    }

    async fn cosign(
        &mut self,
        publication: &Publication<'_>,
        checkpoint: &Checkpoint,
    ) -> anyhow::Result<NoteSignature> {
        // A witness that knows another size than supposed says which, once.
        for _ in 0..2 {
            let (old_size, tree_size) = (self.size, checkpoint.tree_size);
            ensure!(
                old_size <= tree_size,
                "it has cosigned a tree of size {old_size}, the log has {tree_size} entries: entries were lost"
            );
            let proof = publication.consistency_proof(old_size, tree_size).await?;
            let request = AddCheckpoint { old_size, proof, note: checkpoint.note.clone() };
            let answer = self.server.post("/add-checkpoint", request.to_string()).await?;
            match answer.status {
                StatusCode::OK => {
                    self.size = tree_size;
                    return self.cosignature(&answer, checkpoint);
                }
                StatusCode::CONFLICT => {
                    let known = size(&answer).context("it has cosigned another root for this tree size")?;
                    ensure!(known != old_size, "it has cosigned another root for tree size {known}");
                    self.size = known;
                }
                status => bail!("it answered {status}: {}", text(&answer).trim().chars().take(200).collect::<String>()),
            }
        }
        bail!("it cosigns checkpoints that are not asked for here")
    }

    /// Of the lines it answered, the one that is its own.
    fn cosignature(&self, answer: &Answer, checkpoint: &Checkpoint) -> anyhow::Result<NoteSignature> {
        let text = text(answer);
        let own = |line: &str| {
            let line = NoteSignature::parse(line)?;
            (line.name == self.key.name() && line.key_id == self.key.id()).then_some(line)
        };
        let cosignature = text.lines().find_map(own).context("its answer holds no cosignature of its key")?;
        checkpoint
            .clone()
            .with_signatures(std::slice::from_ref(&cosignature))
            .witnessed(std::slice::from_ref(&self.key), 1)?;
        Ok(cosignature)
    }
}

fn delays() -> ExponentialBackoff {
    let (min, max) = RETRY_DELAYS;
    ExponentialBuilder::default().with_min_delay(min).with_max_delay(max).without_max_times().with_jitter().build()
}

/// The tree size a witness expects.
fn size(answer: &Answer) -> Option<u64> {
    let stated = answer.headers.get(header::CONTENT_TYPE).is_some_and(|stated| stated == SIZE_TYPE);
    stated.then(|| text(answer)).and_then(|text| parse_size(text.strip_suffix('\n')?))
}

fn text(answer: &Answer) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&answer.body)
}
