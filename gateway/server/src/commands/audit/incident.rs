//! `lienthong audit incident`: whom an incident concerns. Law 91/2025/QH15, article 23: the report is due within 72 hours.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, ensure};
use chrono::{DateTime, SecondsFormat, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use proto::audit::v1::{self as log, audit_service_client::AuditServiceClient, entry::Outcome};

use super::Connect;
use crate::{
    client::{CallFailed, Client},
    show,
};

/// Entries asked for at a time.
const PAGE_SIZE: u32 = 1000;

/// List the subjects that answers were given about.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../../deploy/help/audit-incident.txt"))]
pub(crate) struct Incident {
    #[command(flatten)]
    connect: Connect,
    /// From this moment on (RFC 3339, for example 2026-11-22T08:00:00+07:00).
    #[arg(long, value_name = "TIME")]
    from: DateTime<Utc>,
    /// Before this moment.
    #[arg(long, value_name = "TIME")]
    until: DateTime<Utc>,
    /// Calling agency, and those below it.
    #[arg(long, default_value = "")]
    agency: String,
    /// Calling system.
    #[arg(long, default_value = "")]
    system: String,
    /// Officer id: the account.
    #[arg(long, default_value = "")]
    officer: String,
    /// SHA-256 of the caller's certificate, hex.
    #[arg(long, value_name = "DIGEST", default_value = "")]
    certificate: String,
    /// File to write, comma-separated: one line a subject. Must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What became known about one subject.
#[derive(Default)]
struct Affected {
    answers: u64,
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
    /// Record type and fields that were released.
    fields: BTreeMap<String, BTreeSet<String>>,
    /// Log and index of each answer's entry.
    entries: Vec<(String, u64)>,
}

/// Kind of number, id of the key, and keyed hash.
type Subject = (String, String, Vec<u8>);

impl Incident {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(!self.out.exists(), "{} exists already", self.out.display());
        ensure!(self.from < self.until, "--from must be before --until");
        let client = Client::of(&self.connect).await?;
        let mut service = AuditServiceClient::new(client.channel.clone());
        let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{pos} entries read, {elapsed}")?);
        bar.enable_steady_tick(Duration::from_millis(200));
        let mut affected = BTreeMap::<Subject, Affected>::new();
        let mut request = self.request(&client);
        loop {
            let page = service.search_entries(client.request(request.clone())).await.map_err(CallFailed::from)?;
            let page = page.into_inner();
            bar.inc(page.entries.len() as u64);
            page.entries.iter().for_each(|logged| note(&mut affected, logged));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        bar.finish_and_clear();
        let answers: u64 = affected.values().map(|affected| affected.answers).sum();
        self.write(&affected)?;
        if self.connect.json {
            show::line(serde_json::json!({ "subjects": affected.len(), "answers": answers, "file": self.out }))?;
        } else {
            show::line(format!(
                "{} subjects are affected, by {answers} answers about them; {} names them.",
                affected.len(),
                self.out.display()
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn request(&self, client: &Client) -> log::SearchEntriesRequest {
        log::SearchEntriesRequest {
            from: Some(query::timestamp(self.from)),
            until: Some(query::timestamp(self.until)),
            agency: self.agency.clone(),
            system: self.system.clone(),
            officer: self.officer.clone(),
            certificate_sha256: self.certificate.clone(),
            page_size: PAGE_SIZE,
            reader: client.reader(),
            ..Default::default()
        }
    }

    fn write(&self, affected: &BTreeMap<Subject, Affected>) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", self.out.display());
        let mut csv = csv::Writer::from_path(&self.out).with_context(failed)?;
        csv.write_record(["kind", "key_id", "hash", "answers", "first", "last", "released", "entries"])?;
        for ((kind, key_id, hash), affected) in affected {
            let time = |time: Option<DateTime<Utc>>| {
                time.map_or_else(String::new, |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
            };
            let released = affected.fields.iter().map(|(record_type, fields)| {
                let fields: Vec<_> = fields.iter().map(String::as_str).collect();
                format!("{record_type}: {}", fields.join(" "))
            });
            let entries = affected.entries.iter().map(|(origin, index)| format!("{origin}#{index}"));
            csv.write_record([
                kind.clone(),
                key_id.clone(),
                hex::encode(hash),
                affected.answers.to_string(),
                time(affected.first),
                time(affected.last),
                released.collect::<Vec<_>>().join("; "),
                entries.collect::<Vec<_>>().join(" "),
            ])?;
        }
        csv.flush().with_context(failed)
    }
}

/// Adds an entry, if something was answered: what was refused or failed told nothing about anybody.
fn note(affected: &mut BTreeMap<Subject, Affected>, logged: &log::LoggedEntry) {
    let Some(entry) = &logged.entry else { return };
    if !matches!(entry.outcome(), Outcome::Answered | Outcome::Partial) || entry.kind() == log::entry::Kind::LogRead {
        return;
    }
    let time = entry
        .time
        .as_ref()
        .and_then(|time| DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).unwrap_or_default()));
    for subject in &entry.subjects {
        let kind = subject.kind().as_str_name().to_lowercase();
        let affected = affected.entry((kind, subject.key_id.clone(), subject.hash.clone())).or_default();
        affected.answers += 1;
        affected.first = [affected.first, time].into_iter().flatten().min();
        affected.last = affected.last.max(time);
        affected.entries.push((logged.log_origin.clone(), logged.log_index));
        for access in &entry.accesses {
            let fields = affected.fields.entry(access.record_type.clone()).or_default();
            fields.extend(access.fields_released.iter().cloned());
        }
    }
}
