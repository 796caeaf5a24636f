//! `lienthong adapter draft`: a first mapping for a database.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use adapter_sdk::{
    Draft as Drafted, DraftRequest, Functions, Mapping, MappingError, OpenError, PoolOptions, SecretUrl, SqlSource,
};
use anyhow::{Context, anyhow, bail};
use proto::{RecordType, Schema};

use super::address;
use crate::{sectors::SectorsFolder, show};

/// Write a first mapping for a database, to be edited: guesses ranked, doubts as comments.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../../deploy/help/adapter-draft.txt"))]
pub(crate) struct Draft {
    /// Record types to map, in full or their last parts; none: print which the database seems to hold.
    #[arg(value_name = "RECORD")]
    records: Vec<String>,
    #[command(flatten)]
    sectors: SectorsFolder,
    /// Where the database is: sqlite:FILE, file:FILE (its only line is the address) or env:VARIABLE (which holds it).
    #[arg(long, value_name = "REFERENCE")]
    database: String,
    /// Table or view the record stands in; absent: the likeliest. Give one RECORD with it.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Look at some rows, too: formats of dates, encodings and codes are then seen, not guessed.
    #[arg(long)]
    sample: bool,
    /// Id of the source: small letters, digits, dashes. Absent: made of the database's first record type.
    #[arg(long, value_name = "ID")]
    source: Option<String>,
    /// File to write; it must not exist. Absent: standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Draft {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let schema = self.sectors.schema()?;
        let url = address(&self.database)?;
        let known = known_mappings()?;
        if self.records.is_empty() {
            return self.rank(&schema, &url, &known).await;
        }
        if self.table.is_some() && self.records.len() != 1 {
            bail!("--table belongs to one record type: give exactly one RECORD with it");
        }
        let record_types: Vec<_> =
            self.records.iter().map(|name| record_type(&schema, name)).collect::<anyhow::Result<_>>()?;
        let source = self.source.clone().or_else(|| record_types.first().map(|first| source_id(first)));
        let request = DraftRequest {
            source: source.unwrap_or_default(),
            record_types,
            table: self.table.clone(),
            sample: self.sample,
            known,
        };
        let drafted = adapter_sdk::draft(&url, &request).await?;
        let file = self.output.as_deref().map_or_else(|| "draft".into(), Path::to_string_lossy);
        let problems = problems(&schema, &url, &drafted, &file).await?;
        match &self.output {
            Some(path) => write(path, &drafted.text)?,
            None => show::line(&drafted.text)?,
        }
        for record in &drafted.records {
            eprintln!(
                "{}: {} of {} fields found in {} and beside it",
                record.record_type, record.found, record.fields, record.table
            );
        }
        eprintln!("lines marked DOUBT, to be looked at by somebody who knows the register: {}", drafted.doubts());
        for problem in &problems {
            eprintln!("{problem}");
        }
        Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn rank(&self, schema: &Schema, url: &SecretUrl, known: &[Mapping]) -> anyhow::Result<ExitCode> {
        let types: Vec<_> = schema.record_types().cloned().collect();
        let likely = adapter_sdk::likelihoods(url, &types, known).await?;
        if likely.is_empty() {
            bail!(
                "no table of this database looks like a record type this program knows: name one, and its table by --table"
            );
        }
        let mut table = show::table(["Record type", "Likeliest table", "Fields found", "Likelihood"]);
        for likely in &likely {
            table.add_row([
                likely.record_type.clone(),
                likely.table.clone(),
                format!("{} of {}", likely.found, likely.fields),
                format!("{:.1}", likely.score),
            ]);
        }
        show::line(table)?;
        show::line("Name one or more of them to draft a mapping.")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The mappings built in: they know converters and code lists of their record types.
fn known_mappings() -> anyhow::Result<Vec<Mapping>> {
    let parsed = registers::all().map(|register| Mapping::parse(register.mapping, register.id));
    Ok(parsed.into_iter().collect::<Result<_, _>>()?)
}

fn record_type(schema: &Schema, name: &str) -> anyhow::Result<Arc<RecordType>> {
    let last = |full: &str| full.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case(name));
    let found = schema.record_types().find(|known| known.name == name || last(&known.name));
    found.cloned().ok_or_else(|| {
        let known: Vec<_> = schema.record_types().map(|known| known.name.as_str()).collect();
        anyhow!("no record type \"{name}\"; known are {}", known.join(", "))
    })
}

/// `lienthong.<sector>.v1.Record` gives `<sector>`.
fn source_id(record_type: &RecordType) -> String {
    record_type.sector.replace('_', "-")
}

/// What somebody must complete first, and what the draft says that the database does not bear out, in the words of
/// `adapter check`.
async fn problems(schema: &Schema, url: &SecretUrl, drafted: &Drafted, file: &str) -> anyhow::Result<Vec<String>> {
    let lines = |error: MappingError| error.to_string().lines().map(str::to_owned).collect();
    let mapping = match Mapping::parse(&drafted.text, file) {
        Ok(mapping) => mapping,
        Err(incomplete) => return Ok(lines(incomplete.with_names(schema, &Functions::new()))),
    };
    let options = PoolOptions { connections_max: 1, ..PoolOptions::default() };
    match SqlSource::open(schema, &mapping, &Functions::new(), url, options) {
        Ok(source) => Ok(source.fit().await?.problems),
        Err(OpenError::Mapping(misfit)) => Ok(lines(misfit)),
        Err(other) => Err(other.into()),
    }
}

/// Never over a mapping somebody has edited.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))
}
