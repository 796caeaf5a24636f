//! `lienthong access`: what the files that decide say, read without a hub.

mod check;
mod diff;
mod explain;
mod lines;
mod matrix;
mod who;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use access::{AccessFiles, AccessSet, AccessSources, Agreement, Disclosure, LoadError, Loaded};
use anyhow::{Context, anyhow};
use chrono::{DateTime, FixedOffset, NaiveDate, TimeZone, Utc};
use clap::Subcommand;
use proto::Schema;

use crate::{
    config::Config,
    sectors::{self, ProtoFiles},
    serve,
};

/// Days in agreements and on the command line are Vietnamese days.
const UTC_OFFSET_SECONDS: i32 = 7 * 60 * 60;

#[derive(Subcommand)]
pub(crate) enum Access {
    /// Lint agreements, purposes, agencies and policies: errors and warnings with file and line.
    Check(check::Check),
    /// Say field by field what a system would receive, and which agreement or guardrail decides it, with its legal text.
    Explain(explain::Explain),
    /// Print everything the agreements open as one table.
    Matrix(matrix::Matrix),
    /// List everybody who can receive a field: systems, purposes, actions, agreements and conditions; nobody else can.
    WhoCanSee(who::WhoCanSee),
    /// Compare two folders of these files: every cell of the table that changes.
    Diff(diff::Diff),
}

impl Access {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check(command) => command.run(),
            Self::Explain(command) => command.run(),
            Self::Matrix(command) => command.run(),
            Self::WhoCanSee(command) => command.run(),
            Self::Diff(command) => command.run(),
        }
    }
}

/// Where the files are.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Files {
    /// Configuration file of a hub, whose [access] names the files.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder with grants/, policies/, purposes.toml and agencies.toml, perhaps sectors/.
    #[arg(long, short, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// The moment that is asked about.
#[derive(clap::Args)]
struct Moment {
    /// Decide as at this day (2026-12-31, noon in Viet Nam) or moment (2026-12-31T23:59:59+07:00) instead of now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<DateTime<Utc>>,
}

impl Moment {
    fn get(&self) -> DateTime<Utc> {
        self.at.unwrap_or_else(Utc::now)
    }
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(moment) = text.parse::<DateTime<FixedOffset>>() {
        return Ok(moment.to_utc());
    }
    let noon = text.parse::<NaiveDate>().ok().and_then(|day| day.and_hms_opt(12, 0, 0));
    let offset = FixedOffset::east_opt(UTC_OFFSET_SECONDS);
    let moment = noon.zip(offset).and_then(|(noon, offset)| offset.from_local_datetime(&noon).single());
    moment.map(|moment| moment.to_utc()).ok_or_else(|| "write 2026-12-31 or 2026-12-31T23:59:59+07:00".to_owned())
}

/// A set read for looking at.
struct View {
    schema: Arc<Schema>,
    set: AccessSet,
    now: DateTime<Utc>,
}

impl Files {
    /// The files, and the record types they are about.
    fn read(&self) -> anyhow::Result<(Arc<Schema>, AccessFiles)> {
        match (&self.config, &self.dir) {
            (Some(config), _) => {
                let config = Config::load(config)?;
                Ok((schema(config.sectors_folder().as_deref())?, serve::access_files(&config)?))
            }
            (None, Some(folder)) => under(folder),
            (None, None) => Err(anyhow!("name the files with --config or --dir")),
        }
    }

    fn view(&self, moment: &Moment) -> anyhow::Result<View> {
        let (schema, files) = self.read()?;
        let loaded = load(&schema, &files, moment.get())?;
        Ok(View { schema, set: loaded.set, now: moment.get() })
    }
}

/// The usual names in one folder, with `sectors/` where there is one.
fn under(folder: &Path) -> anyhow::Result<(Arc<Schema>, AccessFiles)> {
    let mut files = AccessFiles::under(folder);
    let sectors_folder = Some(folder.join("sectors")).filter(|folder| folder.is_dir());
    if let Some(folder) = &sectors_folder {
        files.grants.extend(sectors::folders(folder)?.iter().filter_map(|sector| sectors::grants(sector)));
    }
    Ok((schema(sectors_folder.as_deref())?, files))
}

/// The built-in record types and those of a folder of sectors.
fn schema(sectors_folder: Option<&Path>) -> anyhow::Result<Arc<Schema>> {
    Ok(Arc::new(ProtoFiles::read(sectors_folder)?.schema(None)?))
}

fn load(schema: &Schema, files: &AccessFiles, now: DateTime<Utc>) -> Result<Loaded, LoadError> {
    AccessSet::from_sources(schema, &AccessSources::read(files)?, now)
}

fn load_folder(folder: &Path, now: DateTime<Utc>) -> anyhow::Result<(Arc<Schema>, AccessSet)> {
    let (schema, files) = under(folder)?;
    let loaded = load(&schema, &files, now).with_context(|| format!("{} cannot be used", folder.display()))?;
    Ok((schema, loaded.set))
}

/// A second as a day in Viet Nam.
fn day(seconds: i64) -> String {
    let moment = DateTime::from_timestamp(seconds, 0).zip(FixedOffset::east_opt(UTC_OFFSET_SECONDS));
    moment.map_or_else(String::new, |(moment, offset)| moment.with_timezone(&offset).format("%Y-%m-%d").to_string())
}

/// The last day of an agreement.
fn last_day(agreement: &Agreement) -> String {
    day(agreement.valid_until - 1)
}

fn disclosure(disclosure: Disclosure) -> &'static str {
    match disclosure {
        Disclosure::Immediate => "immediate",
        Disclosure::Delayed => "delayed",
        Disclosure::Never => "never",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_noon_in_viet_nam() {
        assert_eq!(moment("2026-12-31").unwrap().to_rfc3339(), "2026-12-31T05:00:00+00:00");
        assert_eq!(moment("2026-12-31T23:59:59+07:00").unwrap().to_rfc3339(), "2026-12-31T16:59:59+00:00");
        for wrong in ["", "31/12/2026", "2026-02-30", "tomorrow"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_are_vietnamese_days() {
        // Midnight of 1 January 2029 in Viet Nam is 17:00 UTC of the day before.
        let midnight = DateTime::parse_from_rfc3339("2028-12-31T17:00:00Z").unwrap().timestamp();
        assert_eq!((day(midnight - 1), day(midnight)), ("2028-12-31".to_owned(), "2029-01-01".to_owned()));
    }
}
