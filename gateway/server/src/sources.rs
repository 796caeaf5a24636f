//! The sources a configuration names: opened at the start, and at a reload only those that changed, so that all others keep
//! their connections and what the hub has learnt about them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use adapter_sdk::{Adapter, DatabaseAddress, Functions, Mapping, PoolOptions, RecordDescription, SqlSource};
use anyhow::{Context, anyhow};
use aws_lc_rs::digest;
use proto::Schema;
use query::{Source, Sources};

use crate::{
    config::{Config, DatabaseReference, LogReference, SourceConfig},
    remote::{self, RemoteSource},
};

/// The sources in force, and what they were opened from.
#[derive(Clone)]
pub(crate) struct OpenSources {
    pub(crate) sources: Arc<Sources>,
    /// What is wrong with sources that stay out.
    pub(crate) problems: Vec<String>,
    /// By id, what each open source was opened from: its section and the files and variables that this refers to.
    origins: BTreeMap<String, Digest>,
    digest: String,
    certificates_digest: String,
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
            certificates_digest: String::new(),
        };
        nothing.successor(config, schema)
    }

    /// The sources of a changed configuration; those that did not change are kept as they are.
    pub(crate) fn successor(&self, config: &Config, schema: &Arc<Schema>) -> anyhow::Result<Self> {
        let mut list = Vec::new();
        let mut origins = BTreeMap::new();
        let mut problems = Vec::new();
        let mut context = digest::Context::new(&digest::SHA256);
        let mut certificates = digest::Context::new(&digest::SHA256);
        for source in &config.sources {
            let opened = Origin::read(config, source).and_then(|origin| {
                context.update(&origin.public);
                certificates.update(&origin.certificates);
                let kept = self
                    .sources
                    .get(&source.id)
                    .filter(|kept| self.origins.get(&source.id) == Some(&origin.all) && reads_types_of(kept, schema));
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
            && list.iter().map(|source| source.id()).eq(self.ids())
            && list.iter().all(|source| self.holds(source));
        let sources = if same { Arc::clone(&self.sources) } else { Arc::new(Sources::new(list)?) };
        let (digest, certificates_digest) = (hex::encode(context.finish()), hex::encode(certificates.finish()));
        Ok(Self { sources, problems, origins, digest, certificates_digest })
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.sources.adapters().map(|adapter| adapter.describe().id.as_str())
    }

    /// SHA-256 over sections and mappings, hex. Addresses with credentials are not in it.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// SHA-256 over the certificates by which adapters and this hub know each other, hex: for each source read by an adapter, its
    /// id, the authority of the adapter's certificate and the hub's own certificate. A key belongs to its certificate.
    pub(crate) fn certificates_digest(&self) -> &str {
        &self.certificates_digest
    }

    /// Ids of the sources that are open here and were not, or not so, before.
    pub(crate) fn opened_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a str> {
        self.ids().filter(|id| !self.sources.get(id).is_some_and(|source| before.holds(&source)))
    }

    /// Whether it is this very source.
    fn holds(&self, source: &Arc<Source>) -> bool {
        self.sources.get(source.id()).is_some_and(|held| Arc::ptr_eq(&held, source))
    }
}

/// Whether what a source reads are record types of this schema, and not others of the same names.
fn reads_types_of(source: &Source, schema: &Schema) -> bool {
    let records = &source.adapter().describe().records;
    let same = |record: &RecordDescription| {
        let name = &record.record_type.name;
        schema.record_type(name).is_some_and(|found| Arc::ptr_eq(found, &record.record_type))
    };
    records.iter().all(same)
}

/// What a source is opened from.
struct Origin {
    /// Digest of its section and mapping.
    public: Digest,
    /// Its id and the certificates for its adapter; nothing if it has none.
    certificates: Vec<u8>,
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
        let mut certificates = Vec::new();
        if let Some(adapter) = &source.remote {
            // Another mapping over there is another source here.
            context.update(&remote::describe(adapter, config.folder(), &kept(config, source))?);
            certificates.extend_from_slice(source.id.as_bytes());
            for path in [&adapter.authority, &adapter.certificate] {
                let pem = bytes(&config.path(path))?;
                certificates.extend_from_slice(&(pem.len() as u64).to_be_bytes());
                certificates.extend_from_slice(&pem);
            }
            context.update(&certificates);
        }
        let public = context.clone().finish().as_ref().to_vec();
        for database in source.database.iter().chain(&source.replica) {
            match database {
                DatabaseReference::Sqlite(_) => {}
                DatabaseReference::UrlFile(path) => context.update(&bytes(&config.path(path))?),
                DatabaseReference::UrlEnv(name) => context.update(std::env::var(name).unwrap_or_default().as_bytes()),
            }
        }
        Ok(Self { public, certificates, all: context.finish().as_ref().to_vec() })
    }
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn open(config: &Config, schema: &Arc<Schema>, source: &SourceConfig) -> anyhow::Result<Arc<Source>> {
    let folder = config.folder();
    let settings = source.lookup.settings(source.concurrency_max);
    if let Some(remote) = &source.remote {
        let adapter = RemoteSource::open(schema, remote, folder, &kept(config, source))?;
        let id = &adapter.describe().id;
        anyhow::ensure!(*id == source.id, "the adapter at {} has source {id}", remote.endpoint);
        return Ok(Arc::new(Source::new(Arc::new(adapter), None, settings)));
    }
    let mapping = source.mapping.as_deref();
    let read = |database: &DatabaseReference| -> anyhow::Result<Arc<dyn Adapter>> {
        Ok(Arc::new(sql_source(folder, schema, &source.id, mapping, database, source.connections_max)?))
    };
    let replica = source.replica.as_ref().map(read).transpose()?;
    let database = source.database.as_ref().context("it names no database")?;
    Ok(Arc::new(Source::new(read(database)?, replica, settings)))
}

/// Where the last description of a remote source is kept: beside the audit log, or beside the configuration where the log is
/// no file.
fn kept(config: &Config, source: &SourceConfig) -> PathBuf {
    let beside = match &config.audit.database {
        LogReference::File(path) | LogReference::Database(DatabaseReference::Sqlite(path)) => config.path(path),
        LogReference::Database(_) => config.file().to_owned(),
    };
    let mut name = beside.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.description", source.id));
    beside.with_file_name(name)
}

/// A source whose database this process reads, by this mapping file or the one built in; relative paths start in `folder`.
pub(crate) fn sql_source(
    folder: &Path,
    schema: &Schema,
    id: &str,
    mapping: Option<&Path>,
    database: &DatabaseReference,
    connections_max: u32,
) -> anyhow::Result<SqlSource> {
    let (mapping, functions) = self::mapping(folder, id, mapping)?;
    let options = PoolOptions { connections_max, ..PoolOptions::default() };
    let (reference, folder) = (database.clone(), folder.to_owned());
    // What keeps the address from being read now is said in full; later the old one stays in use.
    reference.url(&folder)?;
    let address = DatabaseAddress::read_by(move || reference.url(&folder).map_err(|error| error.to_string()));
    Ok(SqlSource::open_at(schema, &mapping, &functions, &address, options)?)
}

/// The mapping of a source: that of the file, or the one built in.
pub(crate) fn mapping(folder: &Path, id: &str, file: Option<&Path>) -> anyhow::Result<(Mapping, Functions)> {
    let (mapping, functions) = match file {
        Some(path) => mapping_file(&folder.join(path))?,
        None => builtin_mapping(id)?,
    };
    anyhow::ensure!(mapping.source == id, "its mapping is for source {}", mapping.source);
    Ok((mapping, functions))
}

/// Reads a mapping file; the functions it may name are those of the register with its source's id.
pub(crate) fn mapping_file(path: &Path) -> anyhow::Result<(Mapping, Functions)> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mapping = Mapping::parse(&text, &path.display().to_string())?;
    let functions = functions(&mapping.source);
    Ok((mapping, functions))
}

/// The functions that a mapping of this source may name.
pub(crate) fn functions(source: &str) -> Functions {
    let register = registers::all().into_iter().find(|register| register.id == source);
    register.map_or_else(Functions::new, |register| (register.functions)())
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
