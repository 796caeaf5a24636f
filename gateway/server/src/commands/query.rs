//! `lienthong query` and `lienthong verify`.

use std::process::ExitCode;

use anyhow::{Context, anyhow};
use prost::Message;
use prost_reflect::DynamicMessage;
use prost_types::FieldMask;
use proto::{
    Schema,
    query::v1::{self as wire, claim_result::Verdict, query_service_client::QueryServiceClient, subject::Identifier},
};

use super::{Connect, audit::Keep};
use crate::{
    client::{CallFailed, Client, typed},
    descriptors, show,
};

/// Read records about one subject.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../deploy/help/query.txt"))]
pub(crate) struct Query {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    subject: Subject,
    /// Record type and fields: TYPE:FIELD[,FIELD…]. Repeat for more record types.
    #[arg(long, short, value_name = "TYPE:FIELDS", required = true)]
    select: Vec<String>,
    #[command(flatten)]
    purpose: Purpose,
    /// Source without which the answer is useless. Repeatable.
    #[arg(long, value_name = "SOURCE")]
    require: Vec<String>,
    #[command(flatten)]
    keep: Keep,
}

/// Ask whether claimed values agree.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../deploy/help/verify.txt"))]
pub(crate) struct Verify {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    subject: Subject,
    /// A claim: TYPE:FIELD=VALUE. Repeatable.
    #[arg(long, short, value_name = "TYPE:FIELD=VALUE", required = true)]
    claim: Vec<String>,
    #[command(flatten)]
    purpose: Purpose,
    #[command(flatten)]
    keep: Keep,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Subject {
    /// Personal identification number (số định danh cá nhân), 12 digits.
    #[arg(long, value_name = "NUMBER")]
    personal_id: Option<String>,
    /// Legacy identity card number (CMND), 9 digits.
    #[arg(long, value_name = "NUMBER")]
    legacy_id: Option<String>,
    /// Mã số BHXH, 10 digits.
    #[arg(long, value_name = "NUMBER")]
    social_insurance_number: Option<String>,
    /// Enterprise code (mã số doanh nghiệp), 10 or 13 digits.
    #[arg(long, value_name = "CODE")]
    enterprise_code: Option<String>,
    /// Budget unit code (mã số ĐVQHNS), 7 digits.
    #[arg(long, value_name = "CODE")]
    budget_unit_code: Option<String>,
    /// Handle of a candidate that `lienthong search` showed.
    #[arg(long, value_name = "HANDLE")]
    candidate: Option<String>,
}

/// Why it is asked.
#[derive(clap::Args)]
pub(super) struct Purpose {
    /// Purpose code from the purpose catalogue.
    #[arg(long, value_name = "CODE")]
    purpose: String,
    /// Dossier number (mã hồ sơ), for example H21.65-220914-0011.
    #[arg(long, value_name = "NUMBER", default_value = "")]
    dossier: String,
    /// Free text for the log; no personal data.
    #[arg(long, value_name = "TEXT", default_value = "")]
    justification: String,
}

impl Subject {
    fn message(self) -> wire::Subject {
        let identifier = self
            .personal_id
            .map(Identifier::PersonalId)
            .or(self.legacy_id.map(Identifier::LegacyId))
            .or(self.social_insurance_number.map(Identifier::SocialInsuranceNumber))
            .or(self.enterprise_code.map(Identifier::EnterpriseCode))
            .or(self.budget_unit_code.map(Identifier::BudgetUnitCode))
            .or(self.candidate.map(Identifier::Candidate));
        wire::Subject { identifier }
    }
}

impl Purpose {
    pub(super) fn message(self) -> wire::Purpose {
        wire::Purpose { code: self.purpose, dossier_number: self.dossier, justification: self.justification }
    }
}

/// Parses `TYPE:FIELD[,FIELD…]`.
pub(crate) fn selection(schema: &Schema, text: &str) -> anyhow::Result<wire::Selection> {
    let (record_type, fields) = typed(schema, text)?;
    let paths = fields.split(',').map(str::trim).filter(|path| !path.is_empty()).map(str::to_owned).collect();
    Ok(wire::Selection { record_type, field_mask: Some(FieldMask { paths }) })
}

/// Parses `TYPE:FIELD=VALUE`.
pub(crate) fn claim(schema: &Schema, text: &str) -> anyhow::Result<wire::Claim> {
    let (record_type, rest) = typed(schema, text)?;
    let (field, value) = rest.split_once('=').ok_or_else(|| anyhow!("{text} lacks a value: write TYPE:FIELD=VALUE"))?;
    Ok(wire::Claim { record_type, field: field.trim().to_owned(), value: value.to_owned() })
}

impl Query {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        self.keep.check()?;
        let client = Client::of(&self.connect).await?;
        let schema = descriptors::schema(&client, self.select.iter()).await?;
        let selections = self.select.iter().map(|text| selection(&schema, text)).collect::<anyhow::Result<_>>()?;
        let request = wire::QueryRequest {
            subject: Some(self.subject.message()),
            selections,
            purpose: Some(self.purpose.message()),
            officer: client.officer(),
            required_sources: self.require,
        };
        let mut response = QueryServiceClient::new(client.channel.clone())
            .query(client.request(request))
            .await
            .map_err(CallFailed::from)?
            .into_inner();
        if self.connect.json {
            show::line(show::json(&schema, "lienthong.query.v1.QueryResponse", &response)?)?;
        } else {
            print_response(&schema, &response)?;
        }
        let complete = response.complete;
        let (receipt, response) = (response.receipt.take(), response.encode_to_vec());
        self.keep.keep(&client, receipt.as_ref(), response).await?;
        Ok(ExitCode::from(if complete { 0 } else { 4 }))
    }
}

/// Prints an answer for people.
pub(crate) fn print_response(schema: &Schema, response: &wire::QueryResponse) -> anyhow::Result<()> {
    for result in &response.results {
        let record_type = schema.record_type(&result.record_type);
        let label = record_type
            .map_or(result.record_type.clone(), |record| format!("{} ({})", record.label_vi, record.label_en));
        let source = if result.source.is_empty() { String::new() } else { format!("  [{}]", result.source) };
        show::line(format!("{label}{source}: {}", result.outcome().as_str_name()))?;
        if let Some(failure) = &result.failure {
            show::line(format!("  {} / {} ({})", failure.message_vi, failure.message_en, failure.reason))?;
        }
        for record in &result.records {
            print_record(schema, record)?;
        }
        for withheld in &result.withheld {
            show::line(format!("  withheld {}: {} ({})", withheld.path, withheld.message_en, withheld.reason))?;
        }
        if !result.not_provided.is_empty() {
            let paths = result.not_provided.join(", ");
            show::line(format!("  nguồn không cung cấp / not provided by the source: {paths}"))?;
        }
        if let Some(decision) = result.decision.as_ref().filter(|decision| !decision.agreements.is_empty()) {
            show::line(format!("  released under agreement {}", decision.agreements.join(", ")))?;
        }
        show::line("")?;
    }
    for discrepancy in &response.discrepancies {
        let fields: Vec<_> = discrepancy
            .fields
            .iter()
            .map(|field| format!("{}{}", field.source, if field.authority { " (authority)" } else { "" }))
            .collect();
        show::line(format!("Sources disagree on {}: {}", discrepancy.concept, fields.join(", ")))?;
    }
    show::line(if response.complete {
        "Complete."
    } else {
        "Not complete: something asked was withheld, is not provided by any source, or a source failed."
    })?;
    if let Some(receipt) = &response.receipt {
        show::line(format!("Recorded in log {} as entry {}.", receipt.log_origin, receipt.log_index))?;
    }
    Ok(())
}

/// Prints why a source gave nothing.
pub(super) fn print_failure(source: &str, failure: &wire::Failure) -> anyhow::Result<()> {
    Ok(show::line(format!("{source}: {} / {} ({})", failure.message_vi, failure.message_en, failure.reason))?)
}

fn print_record(schema: &Schema, record: &wire::Record) -> anyhow::Result<()> {
    let value = record.value.as_ref().ok_or_else(|| anyhow!("a record came without a value"))?;
    let name = value.type_url.rsplit('/').next().unwrap_or_default();
    let descriptor = schema.pool().get_message_by_name(name).with_context(|| format!("{name} is not known here"))?;
    let message = DynamicMessage::decode(descriptor, value.value.as_slice())?;
    let record_type = schema.record_type(name);
    let mut table = show::table(["Field", "Label", "Value", "Quality"]);
    let mut shown = Vec::new();
    for (path, text) in show::leaves(&message) {
        let quality = show::quality_text(&record.quality, &path);
        table.add_row([path.clone(), label(record_type, &path), text, quality]);
        shown.push(path);
    }
    for mark in record.quality.iter().filter(|mark| !shown.contains(&mark.path)) {
        table.add_row([mark.path.clone(), label(record_type, &mark.path), "–".to_owned(), show::mark_text(mark)]);
    }
    show::line(table)?;
    Ok(())
}

/// Vietnamese label of a numbered path.
fn label(record_type: Option<&std::sync::Arc<proto::RecordType>>, path: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for letter in path.chars() {
        match letter {
            '[' => inside = true,
            ']' => inside = false,
            other if !inside => plain.push(other),
            _ => {}
        }
    }
    record_type.and_then(|record| record.field(&plain)).map(|field| field.label_vi.clone()).unwrap_or_default()
}

impl Verify {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        self.keep.check()?;
        let client = Client::of(&self.connect).await?;
        let schema = descriptors::schema(&client, self.claim.iter()).await?;
        let claims = self.claim.iter().map(|text| claim(&schema, text)).collect::<anyhow::Result<_>>()?;
        let request = wire::VerifyRequest {
            subject: Some(self.subject.message()),
            claims,
            purpose: Some(self.purpose.message()),
            officer: client.officer(),
            required_sources: Vec::new(),
        };
        let mut response = QueryServiceClient::new(client.channel.clone())
            .verify(client.request(request))
            .await
            .map_err(CallFailed::from)?
            .into_inner();
        if self.connect.json {
            show::line(show::json(&schema, "lienthong.query.v1.VerifyResponse", &response)?)?;
        } else {
            print_verdicts(&response)?;
        }
        let code = verify_code(&response);
        let (receipt, response) = (response.receipt.take(), response.encode_to_vec());
        self.keep.keep(&client, receipt.as_ref(), response).await?;
        Ok(ExitCode::from(code))
    }
}

fn verify_code(response: &wire::VerifyResponse) -> u8 {
    let any = |verdict: Verdict| response.results.iter().any(|result| result.verdict() == verdict);
    if any(Verdict::Mismatch) {
        6
    } else if any(Verdict::Unknown) || any(Verdict::Unspecified) {
        4
    } else {
        0
    }
}

/// Prints verdicts for people.
pub(crate) fn print_verdicts(response: &wire::VerifyResponse) -> anyhow::Result<()> {
    let mut table = show::table(["Record type", "Field", "Verdict", "Reason", "Source"]);
    for result in &response.results {
        table.add_row([
            result.record_type.clone(),
            result.field.clone(),
            result.verdict().as_str_name().to_owned(),
            result.reason.clone(),
            result.source.clone(),
        ]);
    }
    show::line(table)?;
    if let Some(receipt) = &response.receipt {
        show::line(format!("Recorded in log {} as entry {}.", receipt.log_origin, receipt.log_index))?;
    }
    Ok(())
}
