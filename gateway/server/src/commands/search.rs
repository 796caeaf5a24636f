//! `lienthong search`.

use std::process::ExitCode;

use anyhow::anyhow;
use prost::Message;
use proto::{
    options::v1::IdentifierKind,
    query::v1::{self as wire, query_service_client::QueryServiceClient},
};

use super::{
    Connect,
    audit::Keep,
    query::{Purpose, print_failure},
};
use crate::{
    client::{CallFailed, Client, record_type},
    descriptors, show,
};

/// Find candidates for somebody whose number is not known.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../deploy/help/search.txt"))]
pub(crate) struct Search {
    #[command(flatten)]
    connect: Connect,
    /// Record type to search.
    #[arg(value_name = "TYPE")]
    record: String,
    /// A person's whole name; needs --birth.
    #[arg(long, value_name = "NAME", requires = "birth", conflicts_with = "organisation")]
    name: Option<String>,
    /// Birth date, or the year.
    #[arg(long, value_name = "YYYY[-MM[-DD]]")]
    birth: Option<String>,
    /// Commune of today, by its code.
    #[arg(long, value_name = "CODE")]
    commune: Option<String>,
    /// Whole name of an enterprise or unit.
    #[arg(long, value_name = "NAME", required_unless_present = "name")]
    organisation: Option<String>,
    #[command(flatten)]
    purpose: Purpose,
    /// Candidates in a page, 1 to 10.
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    page_size: u8,
    /// Token of the page, as the page before gave it.
    #[arg(long, value_name = "TOKEN", default_value = "")]
    page_token: String,
    #[command(flatten)]
    keep: Keep,
}

impl Search {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        self.keep.check()?;
        let client = Client::of(&self.connect).await?;
        let schema = descriptors::schema(&client, [&self.record].into_iter()).await?;
        let record_type = record_type(&schema, &self.record)?;
        let request = wire::SearchRequest {
            record_type,
            criteria: Some(wire::Criteria {
                person_name: self.name.unwrap_or_default(),
                birth_date: self.birth.unwrap_or_default(),
                commune_code: self.commune.unwrap_or_default(),
                organisation_name: self.organisation.unwrap_or_default(),
            }),
            purpose: Some(self.purpose.message()),
            officer: client.officer(),
            page_size: i32::from(self.page_size),
            page_token: self.page_token,
        };
        let mut response = QueryServiceClient::new(client.channel.clone())
            .search(client.request(request))
            .await
            .map_err(CallFailed::from)?
            .into_inner();
        if self.connect.json {
            show::line(show::json(&schema, "lienthong.query.v1.SearchResponse", &response)?)?;
        } else {
            print_candidates(&response)?;
        }
        let complete = response.complete;
        let (receipt, response) = (response.receipt.take(), response.encode_to_vec());
        self.keep.keep(&client, receipt.as_ref(), response).await?;
        Ok(ExitCode::from(if complete { 0 } else { 4 }))
    }
}

/// Prints candidates for people.
fn print_candidates(response: &wire::SearchResponse) -> anyhow::Result<()> {
    for failed in &response.failures {
        let failure = failed.failure.as_ref().ok_or_else(|| anyhow!("a failure came without its reason"))?;
        print_failure(&failed.source, failure)?;
    }
    if response.candidates.is_empty() {
        show::line("No candidate.")?;
    } else {
        let mut table = show::table(["Name", "Born", "Commune", "Number", "Source"]);
        for candidate in &response.candidates {
            let kind = candidate.number_kind().as_str_name().to_lowercase();
            let number = if candidate.number_kind() == IdentifierKind::Unspecified { "" } else { &candidate.number };
            table.add_row([
                candidate.name.as_str(),
                &candidate.birth_date,
                &candidate.commune_name,
                &format!("{number} ({kind})"),
                &candidate.source,
            ]);
        }
        show::line(table)?;
        show::line("To ask about one of them, in the same order:")?;
        for candidate in &response.candidates {
            show::line(format!("  --candidate {}", candidate.handle))?;
        }
    }
    for withheld in &response.withheld {
        show::line(format!("  withheld {}: {} ({})", withheld.path, withheld.message_en, withheld.reason))?;
    }
    if !response.next_page_token.is_empty() {
        show::line(format!("There are more: --page-token {}", response.next_page_token))?;
    }
    if let Some(receipt) = &response.receipt {
        show::line(format!("Recorded in log {} as entry {}.", receipt.log_origin, receipt.log_index))?;
    }
    Ok(())
}
