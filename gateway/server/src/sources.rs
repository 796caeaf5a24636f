//! The sources a configuration names: opened at the start, and at a reload only those that changed, so that all others keep
//! their connections and what the hub has learnt about them.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use adapter_sdk::{Adapter, Functions, Mapping, PoolOptions, SqlSource};
use anyhow::{Context, anyhow};
use aws_lc_rs::digest;
use proto::Schema;
use query::{Source, Sources};

use crate::config::{Config, DatabaseReference, SourceConfig};

/// The sources in force, and what they were opened from.
#[derive(Clone)]
pub(crate) struct OpenSources {
    pub(crate) sources: Arc<Sources>,
    /// What is wrong with sources that stay out.
    pub(crate) problems: Vec<String>,
    /// By id, what each open source was opened from: its section and the files and variables that this refers to.
    origins: BTreeMap<String, Digest>,
    digest: String,
}

type Digest = Vec<u8>;

impl OpenSources {
    /// Opens all. A source that is wrong stays out and is among the problems.
    pub(crate) fn open(config: &Config, schema: &Arc<Schema>) -> anyhow::Result<Self> {
        let nothing = Self {
            sources: Arc::new(Sources::new(Vec::new())?),
            problems: Vec::new(),
            origins: BTreeMap::new(),
            digest: String::new(),
        };
        nothing.successor(config, schema)
    }

    /// The sources of a changed configuration; those that did not change are kept as they are.
    pub(crate) fn successor(&self, config: &Config, schema: &Arc<Schema>) -> anyhow::Result<Self> {
        let mut list = Vec::new();
        let mut origins = BTreeMap::new();
        let mut problems = Vec::new();
        let mut context = digest::Context::new(&digest::SHA256);
        for source in &config.sources {
            let opened = Origin::read(config, source).and_then(|origin| {
                context.update(&origin.public);
                let kept = self.sources.get(&source.id).filter(|_| self.origins.get(&source.id) == Some(&origin.all));
                Ok((kept.map_or_else(|| open(config, schema, source), Ok)?, origin.all))
            });
            match opened {
                Ok((opened, origin)) => {
                    list.push(opened);
                    origins.insert(source.id.clone(), origin);
                }
                Err(error) => problems.push(format!("source {}: {error:#}", source.id)),
            }
        }
        let same = problems == self.problems
            && origins == self.origins
            && list.iter().map(|source| source.id()).eq(self.ids());
        let sources = if same { Arc::clone(&self.sources) } else { Arc::new(Sources::new(list)?) };
        Ok(Self { sources, problems, origins, digest: hex::encode(context.finish()) })
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.sources.adapters().map(|adapter| adapter.describe().id.as_str())
    }

    /// SHA-256 over sections and mappings, hex. Addresses with credentials are not in it.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// Ids of the sources that are open here and were not, or not so, before.
    pub(crate) fn opened_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a str> {
        let changed = self.origins.iter().filter(|(id, origin)| before.origins.get(*id) != Some(*origin));
        changed.map(|(id, _)| id.as_str())
    }
}

/// What a source is opened from.
struct Origin {
    /// Digest of its section and mapping.
    public: Digest,
    /// Digest of these and of the addresses of its database and replica.
    all: Digest,
}

impl Origin {
    fn read(config: &Config, source: &SourceConfig) -> anyhow::Result<Self> {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(format!("{source:?}").as_bytes());
        if let Some(path) = &source.mapping {
            context.update(&bytes(&config.path(path))?);
        }
        let public = context.clone().finish().as_ref().to_vec();
        for database in [Some(&source.database), source.replica.as_ref()].into_iter().flatten() {
            match database {
                DatabaseReference::Sqlite(_) => {}
                DatabaseReference::UrlFile(path) => context.update(&bytes(&config.path(path))?),
                DatabaseReference::UrlEnv(name) => context.update(std::env::var(name).unwrap_or_default().as_bytes()),
            }
        }
        Ok(Self { public, all: context.finish().as_ref().to_vec() })
    }
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn open(config: &Config, schema: &Arc<Schema>, source: &SourceConfig) -> anyhow::Result<Arc<Source>> {
    let path = source.mapping.as_ref().map(|path| config.path(path));
    let (mapping, functions) = match path {
        Some(path) => mapping_file(&path)?,
        None => builtin_mapping(&source.id)?,
    };
    anyhow::ensure!(mapping.source == source.id, "its mapping is for source {}", mapping.source);
    let options = PoolOptions { connections_max: source.connections_max, ..PoolOptions::default() };
    let read = |database: &DatabaseReference| -> anyhow::Result<Arc<dyn Adapter>> {
        let url = config.database_url(&source.id, database)?;
        Ok(Arc::new(SqlSource::open(schema, &mapping, &functions, &url, options.clone())?))
    };
    let replica = source.replica.as_ref().map(read).transpose()?;
    Ok(Arc::new(Source::new(read(&source.database)?, replica, source.lookup.settings(source.concurrency_max))))
}

/// Reads a mapping file; the functions it may name are those of the register with its source's id.
pub(crate) fn mapping_file(path: &Path) -> anyhow::Result<(Mapping, Functions)> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mapping = Mapping::parse(&text, &path.display().to_string())?;
    let register = registers::all().into_iter().find(|register| register.id == mapping.source);
    Ok((mapping, register.map_or_else(Functions::new, |register| (register.functions)())))
}

/// The mapping built in for a source.
pub(crate) fn builtin_mapping(id: &str) -> anyhow::Result<(Mapping, Functions)> {
    let Some(register) = registers::all().into_iter().find(|register| register.id == id) else {
        let known: Vec<_> = registers::all().iter().map(|register| register.id).collect();
        return Err(anyhow!(
            "no mapping is built in for \"{id}\"; name a mapping file, or use one of {}",
            known.join(", ")
        ));
    };
    Ok((Mapping::parse(register.mapping, &format!("{id}/mapping.toml"))?, (register.functions)()))
}
