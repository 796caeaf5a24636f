//! Plays the tour over the network and checks what comes of each step.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::{anyhow, bail, ensure};
use audit::VerifierKey;
use proto::{
    Schema,
    audit::v1::{self as log, audit_service_client::AuditServiceClient},
    options::v1::IdentifierKind,
    query::v1::{self as wire, query_service_client::QueryServiceClient, subject::Identifier},
};
use synthetic::Cast;

use super::{
    Away,
    tour::{Act, Expect, QueryAct, Step, Tour, fill},
};
use crate::{
    client::{CallFailed, Client, Profile},
    commands::{audit as audit_command, query},
    show,
};

/// Plays all steps; gives the number that failed.
pub(super) async fn play(tour: &Tour, cast: &Cast, dir: &Path, away: Away, json: bool) -> anyhow::Result<usize> {
    let schema = Schema::builtin()?;
    let mut player = Player { schema, cast, dir, json, last_index: None };
    let mut failed = 0;
    for (index, step) in tour.steps.iter().enumerate() {
        if step.bring_back_source {
            away.bring_back()?;
        }
        let number = index + 1;
        if !json {
            show::line(format!("── {number}. {}\n      {}  [{}]\n", step.title_vi, step.title_en, step.client))?;
        }
        let outcome = player.step(step, step.bring_back_source).await;
        if let Err(error) = &outcome {
            failed += 1;
            if !json {
                show::line(format!("FAILED: {error:#}"))?;
            }
        }
        if json {
            show::line(serde_json::json!({
                "step": number,
                "title": step.title_en,
                "client": step.client,
                "ok": outcome.is_ok(),
                "error": outcome.as_ref().err().map(|error| format!("{error:#}")),
                "answer": outcome.ok(),
            }))?;
        } else {
            show::line("")?;
        }
    }
    away.bring_back()?;
    Ok(failed)
}

struct Player<'a> {
    schema: Schema,
    cast: &'a Cast,
    dir: &'a Path,
    json: bool,
    /// Entry to prove.
    last_index: Option<u64>,
}

impl Player<'_> {
    /// Does one step and checks its outcome; a source that has just come back may need a moment.
    async fn step(&mut self, step: &Step, patient: bool) -> anyhow::Result<serde_json::Value> {
        let mut tries = if patient { 20 } else { 1 };
        loop {
            tries -= 1;
            match self.once(step, tries == 0).await {
                Err(_) if tries > 0 => tokio::time::sleep(Duration::from_millis(250)).await,
                outcome => return outcome,
            }
        }
    }

    async fn once(&mut self, step: &Step, show_failure: bool) -> anyhow::Result<serde_json::Value> {
        let profile = Profile::load(&self.dir.join("clients").join(format!("{}.toml", step.client)))?;
        let client = Client::connect(&profile, Duration::from_secs(10)).await?;
        match &step.act {
            Act::Query(act) => self.query(step, act, &client, show_failure).await,
            Act::Verify { subject, claims } => self.verify(step, subject, claims, &client).await,
            Act::Search { subject } => self.search(step, subject, &client).await,
            Act::Prove {} => self.prove(&client).await,
            Act::VerifyLog {} => self.verify_log().await,
        }
    }

    fn purpose(step: &Step) -> wire::Purpose {
        wire::Purpose { code: step.purpose.clone(), dossier_number: step.dossier.clone(), justification: String::new() }
    }

    async fn query(
        &self,
        step: &Step,
        act: &QueryAct,
        client: &Client,
        show_failure: bool,
    ) -> anyhow::Result<serde_json::Value> {
        let identifier = match (&act.subject, &act.legacy_id, &act.enterprise_code) {
            (Some(id), None, None) => Identifier::PersonalId(fill(id, self.cast)?),
            (None, Some(id), None) => Identifier::LegacyId(fill(id, self.cast)?),
            (None, None, Some(code)) => Identifier::EnterpriseCode(fill(code, self.cast)?),
            _ => bail!("the step must name exactly one subject"),
        };
        let selections =
            act.select.iter().map(|text| query::selection(&self.schema, text)).collect::<anyhow::Result<_>>()?;
        let request = wire::QueryRequest {
            subject: Some(wire::Subject { identifier: Some(identifier) }),
            selections,
            purpose: Some(Self::purpose(step)),
            officer: client.officer(),
            required_sources: Vec::new(),
        };
        let answer = QueryServiceClient::new(client.channel.clone()).query(client.request(request)).await;
        if let Expect::Refused { code } = &step.expect {
            let status = match answer {
                Ok(_) => bail!("the call was answered and should have been refused"),
                Err(status) => status,
            };
            ensure!(format!("{:?}", status.code()) == *code, "refused with {:?}, expected {code}", status.code());
            let text = CallFailed::from(status).to_string();
            self.say(&text)?;
            return Ok(serde_json::json!({ "refused": text }));
        }
        let response = answer.map_err(CallFailed::from)?.into_inner();
        let outcome = check_answer(&step.expect, &response);
        if !self.json && (outcome.is_ok() || show_failure) {
            query::print_response(&self.schema, &response)?;
        }
        outcome?;
        self.as_json("lienthong.query.v1.QueryResponse", &response)
    }

    async fn verify(
        &self,
        step: &Step,
        subject: &str,
        claims: &[String],
        client: &Client,
    ) -> anyhow::Result<serde_json::Value> {
        let claims = claims
            .iter()
            .map(|text| query::claim(&self.schema, &fill(text, self.cast)?))
            .collect::<anyhow::Result<_>>()?;
        let request = wire::VerifyRequest {
            subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(fill(subject, self.cast)?)) }),
            claims,
            purpose: Some(Self::purpose(step)),
            officer: client.officer(),
            required_sources: Vec::new(),
        };
        let response = QueryServiceClient::new(client.channel.clone())
            .verify(client.request(request))
            .await
            .map_err(CallFailed::from)?
            .into_inner();
        if !self.json {
            query::print_verdicts(&response)?;
        }
        let Expect::Verdicts { results } = &step.expect else { bail!("a verification expects verdicts") };
        let verdicts: Vec<_> = response.results.iter().map(|result| result.verdict().as_str_name()).collect();
        ensure!(verdicts == *results, "verdicts are {verdicts:?}, expected {results:?}");
        self.as_json("lienthong.query.v1.VerifyResponse", &response)
    }

    async fn search(&mut self, step: &Step, subject: &str, client: &Client) -> anyhow::Result<serde_json::Value> {
        let request = log::SearchEntriesRequest {
            subject_kind: IdentifierKind::PersonalId.into(),
            subject: fill(subject, self.cast)?,
            reader: client.reader(),
            ..Default::default()
        };
        let page = AuditServiceClient::new(client.channel.clone())
            .search_entries(client.request(request))
            .await
            .map_err(CallFailed::from)?
            .into_inner();
        if !self.json {
            audit_command::print_entries(&page.entries)?;
        }
        let Expect::Entries { count } = step.expect else { bail!("a search expects entries") };
        ensure!(page.entries.len() >= count, "{} entries, expected at least {count}", page.entries.len());
        let oldest = page.entries.last().ok_or_else(|| anyhow!("nothing was found"))?;
        self.last_index = Some(oldest.log_index);
        self.as_json("lienthong.audit.v1.SearchEntriesResponse", &page)
    }

    async fn prove(&self, client: &Client) -> anyhow::Result<serde_json::Value> {
        let index = self.last_index.ok_or_else(|| anyhow!("no search came before"))?;
        let key = self.dir.join("keys/log.pub");
        let proven = audit_command::prove(client, "", index, key.to_str()).await?;
        self.say(&format!(
            "{}\nEntry {index} is in the tree of {} entries: its hash and {} proof hashes give the signed root.",
            proven.checkpoint.note.trim_end(),
            proven.checkpoint.tree_size,
            proven.proof.len()
        ))?;
        Ok(serde_json::json!({ "log_index": index, "tree_size": proven.checkpoint.tree_size }))
    }

    async fn verify_log(&self) -> anyhow::Result<serde_json::Value> {
        let key = VerifierKey::parse(std::fs::read_to_string(self.dir.join("keys/log.pub"))?.trim())?;
        let report = audit::verify::verify_store(&self.dir.join("log/audit.sqlite").into(), &key, &[], |_| {}).await?;
        self.say(&format!(
            "{} entries, {} tree hashes and {} signed checkpoints verify.",
            report.tree_size, report.hash_count, report.checkpoint_count
        ))?;
        Ok(serde_json::json!({ "tree_size": report.tree_size, "checkpoints": report.checkpoint_count }))
    }

    fn say(&self, text: &str) -> anyhow::Result<()> {
        if !self.json {
            show::line(text)?;
        }
        Ok(())
    }

    fn as_json(&self, name: &str, message: &impl prost::Message) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::from_str(&show::json(&self.schema, name, message)?)?)
    }
}

fn check_answer(expect: &Expect, response: &wire::QueryResponse) -> anyhow::Result<()> {
    let Expect::Answer { found, unavailable, withheld, discrepancies, complete } = expect else {
        bail!("a query expects an answer");
    };
    for (names, outcome) in [(found, wire::Outcome::Found), (unavailable, wire::Outcome::Unavailable)] {
        for name in names {
            let ends = |result: &&wire::SelectionResult| result.record_type.rsplit('.').next() == Some(name);
            let result = response.results.iter().find(ends).ok_or_else(|| anyhow!("{name} is not in the answer"))?;
            ensure!(
                result.outcome() == outcome,
                "{name} is {}, expected {}",
                result.outcome().as_str_name(),
                outcome.as_str_name()
            );
        }
    }
    let paths: BTreeSet<_> =
        response.results.iter().flat_map(|result| &result.withheld).map(|field| field.path.as_str()).collect();
    ensure!(paths == withheld.iter().map(String::as_str).collect(), "withheld are {paths:?}, expected {withheld:?}");
    for concept in discrepancies {
        let reported = response.discrepancies.iter().any(|discrepancy| discrepancy.concept == *concept);
        ensure!(reported, "a discrepancy on {concept} was expected");
    }
    ensure!(response.complete == *complete, "complete is {}, expected {complete}", response.complete);
    ensure!(response.receipt.is_some(), "the answer has no receipt");
    Ok(())
}
