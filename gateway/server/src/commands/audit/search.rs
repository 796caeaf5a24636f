//! `lienthong audit search`: finds entries, shows them, or writes them out to be worked on elsewhere.

use std::{io, process::ExitCode};

use anyhow::anyhow;
use chrono::{DateTime, SecondsFormat, Utc};
use proto::{
    Schema,
    audit::v1::{self as log, audit_service_client::AuditServiceClient},
    options::v1::IdentifierKind,
};

use super::{Connect, json_line, print_entries};
use crate::{
    client::{CallFailed, Client},
    show,
};

/// Entries asked for at a time.
const PAGE_SIZE: u32 = 1000;

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
    /// SHA-256 of the caller's certificate, hex.
    #[arg(long, value_name = "DIGEST", default_value = "")]
    certificate: String,
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
    /// Field that was asked for, by its path in its record.
    #[arg(long, default_value = "")]
    field: String,
    /// Source id.
    #[arg(long, default_value = "")]
    source: String,
    /// answered, partial, refused, invalid or failed.
    #[arg(long)]
    outcome: Option<String>,
    /// Agreement number.
    #[arg(long, default_value = "")]
    agreement: String,
    /// Event of the hub, for example "retention" or "legal_hold_placed".
    #[arg(long, default_value = "")]
    event: String,
    /// Entries to show at most.
    #[arg(long, default_value_t = 50, conflicts_with = "all")]
    limit: u32,
    /// Show all that fit, however many.
    #[arg(long)]
    all: bool,
    /// Write comma-separated values: a line of names, then a line an entry, with its log and index, by which it can be
    /// proved. (--json writes one JSON object a line, the whole entry.)
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

impl Search {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let schema = Schema::builtin()?;
        let client = Client::of(&self.connect).await?;
        let mut service = AuditServiceClient::new(client.channel.clone());
        let mut left = if self.all { usize::MAX } else { self.limit.max(1) as usize };
        let mut request = self.request(&client)?;
        let mut csv = csv::Writer::from_writer(io::stdout());
        if self.csv {
            csv.write_record(COLUMNS)?;
        }
        // People read one table; files are written page by page, whatever their length.
        let mut table = Vec::new();
        while left > 0 {
            request.page_size = u32::try_from(left).unwrap_or(PAGE_SIZE).min(PAGE_SIZE);
            let page = service.search_entries(client.request(request.clone())).await.map_err(CallFailed::from)?;
            let page = page.into_inner();
            left = left.saturating_sub(page.entries.len());
            for entry in &page.entries {
                if self.connect.json {
                    show::line(json_line(&schema, entry)?)?;
                } else if self.csv {
                    csv.write_record(cells(entry))?;
                }
            }
            if !self.connect.json && !self.csv {
                table.extend(page.entries);
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        csv.flush()?;
        drop(csv);
        if !self.connect.json && !self.csv {
            print_entries(&table)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn request(&self, client: &Client) -> anyhow::Result<log::SearchEntriesRequest> {
        let (subject_kind, subject) = match &self.subject {
            Some(text) => subject(text)?,
            None => (IdentifierKind::Unspecified, String::new()),
        };
        let outcome = match &self.outcome {
            None => log::entry::Outcome::Unspecified,
            Some(name) => log::entry::Outcome::from_str_name(&name.to_uppercase())
                .ok_or_else(|| anyhow!("--outcome takes answered, partial, refused, invalid or failed"))?,
        };
        Ok(log::SearchEntriesRequest {
            from: self.from.map(query::timestamp),
            until: self.until.map(query::timestamp),
            agency: self.agency.clone(),
            system: self.system.clone(),
            certificate_sha256: self.certificate.clone(),
            officer: self.officer.clone(),
            purpose: self.purpose.clone(),
            dossier_number: self.dossier.clone(),
            subject_kind: subject_kind.into(),
            subject,
            record_type: self.record_type.clone(),
            field: self.field.clone(),
            source: self.source.clone(),
            outcome: outcome.into(),
            agreement: self.agreement.clone(),
            event: self.event.clone(),
            page_size: PAGE_SIZE,
            page_token: String::new(),
            reader: client.reader(),
        })
    }
}

pub(super) fn subject(text: &str) -> anyhow::Result<(IdentifierKind, String)> {
    let (kind, number) = text.split_once('=').ok_or_else(|| anyhow!("--subject takes KIND=NUMBER"))?;
    let kind = IdentifierKind::from_str_name(&kind.to_uppercase())
        .filter(|kind| *kind != IdentifierKind::Unspecified)
        .ok_or_else(|| anyhow!("--subject: {kind} is no kind of number; see --help"))?;
    Ok((kind, number.to_owned()))
}

const COLUMNS: [&str; 27] = [
    "log_origin",
    "log_index",
    "leaf_hash",
    "time",
    "kind",
    "method",
    "agency",
    "system",
    "certificate_sha256",
    "officer_id",
    "officer_name",
    "officer_unit",
    "officer_assurance",
    "purpose",
    "dossier_number",
    "justification",
    "subjects",
    "record_types",
    "fields_asked",
    "fields_released",
    "agreements",
    "sources",
    "outcome",
    "reason",
    "response_digest",
    "duration_microseconds",
    "details",
];

/// The cells of one line. Several values in one cell are parted by a space; those of different record types by a
/// semicolon.
fn cells(logged: &log::LoggedEntry) -> [String; COLUMNS.len()] {
    let entry = logged.entry.clone().unwrap_or_default();
    let time = entry
        .time
        .and_then(|time| DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).unwrap_or_default()));
    let per_access = |cell: fn(&log::Access) -> String| entry.accesses.iter().map(cell).collect::<Vec<_>>().join("; ");
    let subjects = entry.subjects.iter().map(|subject| {
        format!("{}:{}:{}", subject.kind().as_str_name().to_lowercase(), subject.key_id, hex::encode(&subject.hash))
    });
    let sources = entry.sources.iter().map(|source| format!("{}={}", source.source, source.outcome));
    let details = entry.details.iter().map(|detail| format!("{}={}", detail.name, detail.value));
    let (kind, outcome) = (entry.kind().as_str_name(), entry.outcome().as_str_name());
    let record_types = per_access(|access| access.record_type.clone());
    let fields_asked = per_access(|access| access.fields_asked.join(" "));
    let fields_released = per_access(|access| access.fields_released.join(" "));
    let agreements = per_access(|access| access.agreements.join(" "));
    let subjects = subjects.collect::<Vec<_>>().join(" ");
    let sources = sources.collect::<Vec<_>>().join(" ");
    let details = details.collect::<Vec<_>>().join("; ");
    let (kind, outcome) = (kind.to_lowercase(), outcome.to_lowercase());
    let caller = entry.caller.unwrap_or_default();
    let officer = entry.officer.unwrap_or_default();
    let purpose = entry.purpose.unwrap_or_default();
    [
        logged.log_origin.clone(),
        logged.log_index.to_string(),
        hex::encode(&logged.leaf_hash),
        time.map_or_else(String::new, |time| time.to_rfc3339_opts(SecondsFormat::Micros, true)),
        kind,
        entry.method,
        caller.agency,
        caller.system,
        caller.certificate_sha256,
        officer.id,
        officer.name,
        officer.unit,
        officer.assurance,
        purpose.code,
        purpose.dossier_number,
        purpose.justification,
        subjects,
        record_types,
        fields_asked,
        fields_released,
        agreements,
        sources,
        outcome,
        entry.reason,
        hex::encode(entry.response_digest),
        entry.duration_microseconds.to_string(),
        details,
    ]
    .map(inert)
}

/// A spreadsheet would run a text that begins like a formula.
fn inert(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}
