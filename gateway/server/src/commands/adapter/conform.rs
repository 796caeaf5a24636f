//! `lienthong adapter conform`: what every adapter must do, tried on one.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use adapter_sdk::{Adapter, Key, PoolOptions, SqlSource};
use anyhow::{Context, bail};
use conformance::{Example, Finding, Options, Outcome};
use proto::{Schema, options::v1::IdentifierKind};

use super::{MappingChoice, address, record_type};
use crate::{config::RemoteConfig, remote::RemoteSource, sectors::SectorsFolder, show};

/// Try whether a mapping on its live database, or a remote adapter, does all that an adapter must do.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../../deploy/help/adapter-conform.txt"))]
pub(crate) struct Conform {
    /// Mapping file.
    #[arg(long, value_name = "FILE", requires = "database", required_unless_present_any = ["source", "remote"])]
    mapping: Option<PathBuf>,
    #[command(flatten)]
    sectors: SectorsFolder,
    /// Source whose built-in mapping is used.
    #[arg(long, value_name = "ID", requires = "database", conflicts_with = "mapping")]
    source: Option<String>,
    /// Where the database is: sqlite:FILE, file:FILE (its only line is the address) or env:VARIABLE (which holds it).
    #[arg(long, value_name = "REFERENCE")]
    database: Option<String>,
    /// A remote adapter instead: https://host:port.
    #[arg(
        long,
        value_name = "URL",
        requires_all = ["authority", "certificate", "private_key"],
        conflicts_with_all = ["mapping", "source", "database"]
    )]
    remote: Option<String>,
    /// PEM file: the authority that signed the remote adapter's certificate.
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// PEM file: the certificate of a system on the remote adapter's list.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// PEM file: its key.
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// A number that is in the register, as RECORD:KIND=NUMBER. Beside those that a database is asked for.
    #[arg(long, value_name = "EXAMPLE")]
    known: Vec<String>,
    /// Numbers of each kind that a database is asked for, from the first rows of each record type.
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=200))]
    samples: u16,
    /// Time for one answer, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    timeout_ms: u64,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Rows looked through for numbers.
const SAMPLE_ROWS: usize = 200;

impl Conform {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let schema = self.sectors.schema()?;
        let options = Options { timeout: Duration::from_millis(self.timeout_ms), ..Options::default() };
        let findings = if let Some(remote) = &self.remote {
            let source = RemoteSource::connect(&schema, &self.remote_config(remote)?, "".as_ref()).await?;
            let examples = self.known(&source)?;
            conformance::run(&source, &schema, &examples, &options).await
        } else {
            let source = self.open(&schema)?;
            let mut examples = self.known(&source)?;
            examples.extend(self.sampled(&source).await);
            conformance::run(&source, &schema, &examples, &options).await
        };
        if self.json {
            show::line(serde_json::to_string_pretty(&findings)?)?;
        } else {
            print(&findings)?;
        }
        Ok(if conformance::conforms(&findings) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn open(&self, schema: &Schema) -> anyhow::Result<SqlSource> {
        let choice = MappingChoice { mapping: self.mapping.clone(), source: self.source.clone() };
        let (mapping, functions) = choice.load(schema)?;
        let url = address(self.database.as_deref().context("name a database")?)?;
        let options = PoolOptions { connections_max: 4, ..PoolOptions::default() };
        Ok(SqlSource::open(schema, &mapping, &functions, &url, options)?)
    }

    fn remote_config(&self, endpoint: &str) -> anyhow::Result<RemoteConfig> {
        let given = |path: &Option<PathBuf>| path.clone().context("name authority, certificate and private key");
        Ok(RemoteConfig {
            endpoint: endpoint.to_owned(),
            authority: given(&self.authority)?,
            certificate: given(&self.certificate)?,
            private_key: given(&self.private_key)?,
        })
    }

    fn known(&self, source: &dyn Adapter) -> anyhow::Result<Vec<Example>> {
        let example = |text: &String| {
            let parts = text.split_once(':').and_then(|(record, key)| Some((record, key.split_once('=')?)));
            let Some((record, (kind, number))) = parts else { bail!("--known: write RECORD:KIND=NUMBER") };
            let kind = IdentifierKind::from_str_name(&kind.to_ascii_uppercase())
                .with_context(|| format!("--known: there is no kind of number \"{kind}\""))?;
            Ok(Example {
                record_type: record_type(source, record)?,
                key: Key { kind, value: number.to_owned() },
                record: None,
            })
        };
        self.known.iter().map(example).collect()
    }

    async fn sampled(&self, source: &SqlSource) -> Vec<Example> {
        let mut examples = Vec::new();
        for record in &source.describe().records {
            let name = &record.record_type.name;
            // A source that cannot be read is what the suite finds out and says.
            let Ok(samples) = source.sample(name, SAMPLE_ROWS, usize::from(self.samples)).await else { continue };
            examples.extend(samples.into_iter().map(|sample| Example {
                record_type: name.clone(),
                key: sample.key,
                record: Some(sample.record),
            }));
        }
        examples
    }
}

fn print(findings: &[Finding]) -> anyhow::Result<()> {
    let mut table = show::table(["Record type", "Check", "Cases", "Result", "What was wrong, or why it was skipped"]);
    for finding in findings {
        let result = match finding.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "skipped",
        };
        let last = finding.record_type.rsplit('.').next().unwrap_or_default();
        let cases = finding.cases.to_string();
        table.add_row([last, finding.check, &cases, result, &finding.problems.join("\n")]);
    }
    show::line(table)?;
    let count = |outcome| findings.iter().filter(|finding| finding.outcome == outcome).count();
    show::line(format!(
        "{} passed, {} failed, {} skipped; {} cases",
        count(Outcome::Passed),
        count(Outcome::Failed),
        count(Outcome::Skipped),
        findings.iter().map(|finding| finding.cases).sum::<usize>()
    ))?;
    Ok(())
}
