//! `lienthong audit accesses`: who looked at a subject, as the subject may see it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use prost_reflect::DynamicMessage;
use proto::{
    Schema,
    audit::v1::{self as log, audit_service_client::AuditServiceClient},
};

use super::{Connect, search::subject};
use crate::{
    client::{CallFailed, Client},
    show,
};

/// Name of the message a list is kept as.
const LIST: &str = "lienthong.audit.v1.ListSubjectAccessesResponse";
/// Entries asked for at a time.
const PAGE_SIZE: u32 = 1000;

#[derive(clap::Args)]
pub(crate) struct Accesses {
    #[command(flatten)]
    connect: Connect,
    /// Subject: KIND=NUMBER with KIND one of personal_id, legacy_id, social_insurance_number, enterprise_code,
    /// budget_unit_code. Sent to the hub, which hashes it; never stored.
    #[arg(long, value_name = "KIND=NUMBER")]
    subject: String,
    /// From this moment on (RFC 3339, for example 2026-11-22T08:00:00+07:00).
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// Before this moment.
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
    /// Keep the list in this file, which must not exist: `audit verify --tiles --accesses` tells whether anything was left
    /// out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Accesses {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.out {
            ensure!(!path.exists(), "{} exists already", path.display());
        }
        let schema = Schema::builtin()?;
        let (subject_kind, number) = subject(&self.subject)?;
        let client = Client::of(&self.connect).await?;
        let mut service = AuditServiceClient::new(client.channel.clone());
        let mut request = log::ListSubjectAccessesRequest {
            subject_kind: subject_kind.into(),
            subject: number,
            from: self.from.map(query::timestamp),
            until: self.until.map(query::timestamp),
            page_size: PAGE_SIZE,
            page_token: String::new(),
            reader: client.reader(),
        };
        let mut list: Option<log::ListSubjectAccessesResponse> = None;
        loop {
            let page =
                service.list_subject_accesses(client.request(request.clone())).await.map_err(CallFailed::from)?;
            let mut page = page.into_inner();
            request.page_token = std::mem::take(&mut page.next_page_token);
            match &mut list {
                None => list = Some(page),
                Some(list) => list.accesses.append(&mut page.accesses),
            }
            if request.page_token.is_empty() {
                break;
            }
        }
        let list = list.unwrap_or_default();
        let text = show::json(&schema, LIST, &list)?;
        if let Some(path) = &self.out {
            std::fs::write(path, format!("{text}\n")).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if self.connect.json {
            show::line(text)?;
        } else {
            print(&list)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads a list that was kept.
pub(super) fn load(path: &Path) -> anyhow::Result<log::ListSubjectAccessesResponse> {
    let schema = Schema::builtin()?;
    let descriptor = schema.pool().get_message_by_name(LIST).context("the contract has lists of accesses")?;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut json = serde_json::Deserializer::from_str(&text);
    let parsed = DynamicMessage::deserialize(descriptor, &mut json).and_then(|list| json.end().map(|()| list));
    let list = parsed.with_context(|| format!("{} is no list of accesses", path.display()))?;
    list.transcode_to().with_context(|| format!("{} is no list of accesses", path.display()))
}

fn print(list: &log::ListSubjectAccessesResponse) -> anyhow::Result<()> {
    let mut table = show::table(["Log and index", "Time", "Who", "What", "Purpose", "Outcome"]);
    for access in &list.accesses {
        let time = access
            .time
            .and_then(|time| DateTime::from_timestamp(time.seconds, u32::try_from(time.nanos).unwrap_or_default()));
        let records = access.records.iter().map(|record| {
            let name = record.record_type.rsplit('.').next().unwrap_or_default();
            format!("{name}: {} ({})", record.fields_released.join(", "), record.agreements.join(", "))
        });
        let lines =
            |texts: Vec<String>| texts.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
        table.add_row([
            format!("{}\n{}", access.log_origin, access.log_index),
            time.map_or_else(String::new, |time| time.format("%Y-%m-%d %H:%M:%S").to_string()),
            lines(vec![access.agency.clone(), access.unit.clone(), access.system.clone()]),
            lines([access.kind().as_str_name().to_lowercase()].into_iter().chain(records).collect()),
            lines(vec![access.purpose.clone(), access.dossier_number.clone()]),
            access.outcome().as_str_name().to_lowercase(),
        ]);
    }
    show::line(table)?;
    Ok(show::line(format!("{} accesses in {} logs.", list.accesses.len(), list.logs.len()))?)
}
