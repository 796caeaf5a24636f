//! `lienthong adapter`: what the person who looks after a register needs before it goes live.

use std::{path::PathBuf, process::ExitCode};

use crate::{sectors::SectorsFolder, sources};
use adapter_sdk::{Functions, Mapping, MappingError, PoolOptions, SecretUrl, SqlSource};
use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use proto::Schema;

mod check;
mod conform;
mod draft;
mod html;
mod report;
mod serve;
mod trial;

#[derive(Subcommand)]
pub(crate) enum Adapter {
    /// Write a first mapping for a database, to be edited: guesses ranked, doubts as comments.
    Draft(draft::Draft),
    /// Show one record beside the row it is made from, field by field, with converter and verdict.
    Try(trial::Try),
    /// Compare a mapping with its live database, read all of it, and report how good the data is: đúng, đủ, sạch, sống.
    Check(check::Check),
    /// Try whether a mapping on its live database, or a remote adapter, does all that an adapter must do.
    Conform(conform::Conform),
    /// Serve one source to hubs elsewhere, so that the credentials of its database stay here.
    Serve(serve::Serve),
}

impl Adapter {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Draft(command) => command.run().await,
            Self::Try(command) => command.run().await,
            Self::Check(command) => command.run().await,
            Self::Conform(command) => command.run().await,
            Self::Serve(command) => command.run().await,
        }
    }
}

/// A mapping and the database it is for.
#[derive(clap::Args)]
struct Bound {
    #[command(flatten)]
    mapping: MappingChoice,
    #[command(flatten)]
    sectors: SectorsFolder,
    /// Where the database is: sqlite:FILE, file:FILE (its only line is the address) or env:VARIABLE (which holds it).
    /// Addresses are postgres://…, mysql://… or sqlite://…; they hold credentials, so none is taken here itself.
    #[arg(long, value_name = "REFERENCE")]
    database: String,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct MappingChoice {
    /// Mapping file.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Source whose built-in mapping is used.
    #[arg(long, value_name = "ID")]
    source: Option<String>,
}

impl Bound {
    /// Opens the database on so many connections. Nothing is connected yet.
    fn open(&self, connections_max: u32) -> anyhow::Result<SqlSource> {
        let schema = self.sectors.schema()?;
        let (mapping, functions) = self.mapping.load(&schema)?;
        let options = PoolOptions { connections_max, ..PoolOptions::default() };
        Ok(SqlSource::open(&schema, &mapping, &functions, &address(&self.database)?, options)?)
    }
}

impl MappingChoice {
    /// Reads it; what is wrong with its form is said with what is wrong with its names.
    fn load(&self, schema: &Schema) -> anyhow::Result<(Mapping, Functions)> {
        let wrong = |error: anyhow::Error| match error.downcast::<MappingError>() {
            Ok(error) => {
                let functions = sources::functions(error.source_id().unwrap_or_default());
                error.with_names(schema, &functions).into()
            }
            Err(other) => other,
        };
        match (&self.mapping, &self.source) {
            (Some(path), _) => sources::mapping_file(path).map_err(wrong),
            (None, Some(id)) => sources::builtin_mapping(id),
            (None, None) => Err(anyhow!("name a mapping or a source")),
        }
    }
}

/// Reads the address a reference leads to.
fn address(reference: &str) -> anyhow::Result<SecretUrl> {
    let url = match reference.split_once(':') {
        Some(("sqlite", path)) => format!("sqlite://{path}"),
        Some(("file", path)) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?.trim().to_owned()
        }
        Some(("env", name)) => std::env::var(name).with_context(|| format!("variable {name} is not set"))?,
        Some(("postgres" | "postgresql" | "mysql" | "mariadb", _)) => {
            bail!("--database: write the address into a file or a variable, and give file:FILE or env:VARIABLE")
        }
        _ => bail!("--database: write sqlite:FILE, file:FILE or env:VARIABLE"),
    };
    Ok(SecretUrl::new(url))
}

/// The full name of a record type of the source, given in full or by its last part.
fn record_type(source: &dyn adapter_sdk::Adapter, name: &str) -> anyhow::Result<String> {
    let types = || source.describe().records.iter().map(|record| record.record_type.name.as_str());
    let last = |full: &str| full.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case(name));
    let found = types().find(|full| *full == name).or_else(|| types().find(|full| last(full)));
    found.map(str::to_owned).ok_or_else(|| {
        anyhow!("the mapping has no record type \"{name}\"; it has {}", types().collect::<Vec<_>>().join(", "))
    })
}

/// The full name of the one record type of the source, or of the one named.
fn one_record_type(source: &dyn adapter_sdk::Adapter, named: Option<&str>) -> anyhow::Result<String> {
    match (named, &source.describe().records[..]) {
        (Some(name), _) => record_type(source, name),
        (None, [only]) => Ok(only.record_type.name.clone()),
        (None, several) => {
            let names: Vec<_> = several.iter().map(|record| record.record_type.name.as_str()).collect();
            Err(anyhow!("the mapping has several record types; give one of them: {}", names.join(", ")))
        }
    }
}
