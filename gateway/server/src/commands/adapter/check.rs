//! `lienthong adapter check`: mapping against database, and how good the data is.

use std::{path::PathBuf, process::ExitCode};

use adapter_sdk::{Adapter as _, RecordQuality, SourceError, SqlSource, SurveyOptions};
use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Bound, html, one_record_type, record_type, report::Report};
use crate::show;

/// Rows of a page that an index serves.
const PAGE_ROWS: u16 = 500;
/// Rows of a page for which the database walks a whole table.
const PAGE_ROWS_MAX: u16 = 5_000;

/// Compare a mapping with its live database and report how good the data is.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../../deploy/help/adapter-check.txt"))]
pub(crate) struct Check {
    #[command(flatten)]
    bound: Bound,
    /// Record types to read, in full or their last parts; none: all of the mapping.
    #[arg(value_name = "RECORD")]
    records: Vec<String>,
    /// Columns that together tell the record's rows apart, for a view without a primary key. Give one RECORD with
    /// it where the mapping has several.
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    key: Vec<String>,
    /// Rows to read of each record's table; absent: all.
    #[arg(long, value_name = "NUMBER")]
    rows: Option<u64>,
    /// Rows read by one statement; absent: 500, and 5000 where no index begins with the first column of --key.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=5_000))]
    page_rows: Option<u16>,
    /// Days within which a row must have changed to be live (sống).
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    live_days: usize,
    /// Compare the mapping only; read no data.
    #[arg(long, conflicts_with_all = ["key", "rows", "html", "records"])]
    no_data: bool,
    /// Also print how the database would run each lookup, in its own words.
    #[arg(long)]
    explain: bool,
    /// Write the report as one HTML page with charts that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let source = self.bound.open(1)?;
        let mut report = Report::new(source.describe(), source.fit().await?, self.live_days);
        if self.explain && report.fits() {
            report.plans = source.explain().await?;
        }
        if !self.no_data {
            report.undecided = source.undecided().await.context("counting what a `where` leaves out")?;
            let names = self.names(&source)?;
            for name in names {
                let page_rows = self.page_rows(&source, &name).await?;
                let options = SurveyOptions { page_rows, rows_max: self.rows, key: self.key.clone() };
                match survey(&source, &name, &options).await {
                    Ok(quality) => {
                        let wanted = self.rows.map_or(quality.rows_in_table, |rows| rows.min(quality.rows_in_table));
                        if !self.key.is_empty() && quality.rows < wanted {
                            let key = self.key.join(", ");
                            let reason =
                                format!("{key} does not tell its rows apart: {} of {wanted} read", quality.rows);
                            report.unread.push((name.clone(), reason));
                        }
                        report.records.push(quality);
                    }
                    // Said already, as what does not fit.
                    Err(SourceError::SchemaChanged { .. }) => report.unread.push((name, "does not fit".to_owned())),
                    Err(error @ SourceError::NoKey { .. }) => {
                        report.unread.push((name, format!("{error}; name the columns with --key")));
                    }
                    Err(error) => return Err(error).with_context(|| format!("reading {name}")),
                }
            }
        }
        if let Some(path) = &self.html {
            let page = html::page(&report)?;
            std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if self.json {
            show::line(serde_json::to_string_pretty(&report.json())?)?;
        } else {
            report.print()?;
        }
        Ok(if report.fits() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Rows of a page: as said, or more where each page costs the database a walk through the whole table.
    async fn page_rows(&self, source: &SqlSource, name: &str) -> anyhow::Result<usize> {
        let indexed = match source.pages_are_indexed(name, &self.key).await {
            // Said already, as what does not fit.
            Err(SourceError::SchemaChanged { .. }) => true,
            outcome => outcome?,
        };
        let rows = usize::from(self.page_rows.unwrap_or(if indexed { PAGE_ROWS } else { PAGE_ROWS_MAX }));
        if !indexed {
            eprintln!(
                "{name}: no index begins with {}, so the database walks and sorts the whole table for every {rows} rows; \
                 an index on the key, or --rows, spares it that",
                self.key.join(", ")
            );
        }
        Ok(rows)
    }

    /// The record types to read.
    fn names(&self, source: &SqlSource) -> anyhow::Result<Vec<String>> {
        if !self.key.is_empty() {
            return match &self.records[..] {
                [] => Ok(vec![one_record_type(source, None)?]),
                [name] => Ok(vec![record_type(source, name)?]),
                _ => bail!("--key belongs to one table: give one RECORD with it"),
            };
        }
        if self.records.is_empty() {
            return Ok(source.describe().records.iter().map(|record| record.record_type.name.clone()).collect());
        }
        self.records.iter().map(|name| record_type(source, name)).collect()
    }
}

/// Reads a record's table with a progress bar, which shows on terminals only.
async fn survey(source: &SqlSource, name: &str, options: &SurveyOptions) -> Result<RecordQuality, SourceError> {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} rows of {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar.set_message(name.rsplit('.').next().unwrap_or(name).to_owned());
    let outcome = source
        .survey(name, options, |rows, total| {
            bar.set_length(total);
            bar.set_position(rows);
        })
        .await;
    bar.finish_and_clear();
    outcome
}
