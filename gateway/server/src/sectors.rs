//! Sectors that are not built in: a folder each, with `.proto` files, and beside them sources, mappings and agreements.
//!
//! Read as files here and compiled into record types beside the built-in ones, at the start and at every reload. What the
//! folders hold besides, the configuration takes up (`sources.toml`) and access (`grants/`).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail, ensure};
use aws_lc_rs::digest;
use proto::{Schema, SchemaError};
use protox::{
    Compiler,
    file::{DescriptorSetFileResolver, File, FileResolver, GoogleFileResolver},
};

/// Folder of a sector's agreements, in the sector's.
const GRANTS: &str = "grants";
/// File with a sector's sources, in the sector's folder.
const SOURCES: &str = "sources.toml";
/// Folders nested deeper than this are a mistake.
const DEPTH_MAX: usize = 8;

/// The folders of the sectors under one folder, by name. Those whose name begins with a dot are none.
pub(crate) fn folders(under: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = entries(under)?;
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    Ok(entries.into_iter().filter(|path| path.is_dir() && !hidden(path)).collect())
}

/// The folder of a sector's agreements, if it has any.
pub(crate) fn grants(sector: &Path) -> Option<PathBuf> {
    Some(sector.join(GRANTS)).filter(|folder| folder.is_dir())
}

/// The file with a sector's sources, if it has any.
pub(crate) fn sources(sector: &Path) -> Option<PathBuf> {
    Some(sector.join(SOURCES)).filter(|file| file.is_file())
}

/// What a folder holds, by name.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let entries = fs::read_dir(folder).with_context(unreadable)?.collect::<Result<Vec<_>, _>>();
    let mut paths: Vec<PathBuf> = entries.with_context(unreadable)?.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    Ok(paths)
}

/// The `.proto` files of the sectors, read and not yet compiled.
#[derive(Debug, Default)]
pub(crate) struct ProtoFiles {
    /// Folder the names of the files start in.
    folder: PathBuf,
    /// Text by the name that imports use: `<sector>/<file>.proto`.
    texts: BTreeMap<String, String>,
}

impl ProtoFiles {
    /// Reads those of all sectors under a folder; none without a folder.
    pub(crate) fn read(folder: Option<&Path>) -> anyhow::Result<Self> {
        let Some(folder) = folder else { return Ok(Self::default()) };
        let mut files = Self { folder: folder.to_owned(), texts: BTreeMap::new() };
        for sector in folders(folder)? {
            files.collect(&sector, 0)?;
        }
        Ok(files)
    }

    fn collect(&mut self, folder: &Path, depth: usize) -> anyhow::Result<()> {
        ensure!(depth < DEPTH_MAX, "{}: folders are nested too deep", folder.display());
        for path in entries(folder)? {
            if path.is_dir() {
                self.collect(&path, depth + 1)?;
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let name = path.strip_prefix(&self.folder)?.to_str();
                let name = name.with_context(|| format!("{}: the name is not UTF-8", path.display()))?;
                self.texts.insert(name.to_owned(), text);
            }
        }
        Ok(())
    }

    /// SHA-256 over names and texts, hex.
    pub(crate) fn digest(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in self.texts.iter().flat_map(|(name, text)| [name, text]) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        hex::encode(context.finish())
    }

    /// Compiles them. The built-in record types are among those of the schema; nothing may bear the name of anything built
    /// in. Record types of the schema in force `before` that did not change stay the same objects. The error names file, line
    /// and column.
    pub(crate) fn schema(self, before: Option<&Schema>) -> anyhow::Result<Schema> {
        let builtin = Schema::builtin().context("record types")?;
        if self.texts.is_empty() {
            return Ok(builtin);
        }
        let known: Vec<String> = builtin.pool().files().map(|file| file.name().to_owned()).collect();
        let (folder, names): (_, Vec<String>) = (self.folder.clone(), self.texts.keys().cloned().collect());
        if let Some(name) = names.iter().find(|name| known.contains(name)) {
            bail!(
                "{}: a file of this name is built in; name the sector's folder otherwise",
                folder.join(name).display()
            );
        }
        let resolver = Resolver {
            builtin: DescriptorSetFileResolver::decode(proto::DESCRIPTORS).context("record types")?,
            sectors: self,
            google: GoogleFileResolver::new(),
        };
        let mut compiler = Compiler::with_file_resolver(resolver);
        // The built-in files are compiled, too, though nobody may import them: a name taken twice is found with its place.
        let opened = known.iter().chain(&names).try_for_each(|name| compiler.open_file(name).map(drop));
        opened.map_err(|error| anyhow!("{}", in_folder(&folder, &placed(&error))))?;
        let schema = Schema::extended(&builtin, before, compiler.descriptor_pool());
        let schema = schema.map_err(|error| match error {
            SchemaError::Undescribed(_) | SchemaError::UnsupportedType { .. } | SchemaError::Recursive { .. } => {
                anyhow!("{}", in_folder(&folder, &error.to_string()))
            }
            of_several => anyhow!("{}: {of_several}", folder.display()),
        })?;
        let offered = schema.pool().services().find(|service| names.iter().any(|n| n == service.parent_file().name()));
        if let Some(service) = offered {
            let file = folder.join(service.parent_file().name());
            bail!("{}: a sector declares record types, no services: {}", file.display(), service.full_name());
        }
        Ok(schema)
    }
}

/// What is wrong, behind its place. The plain text of these errors has none; the one for debugging is
/// `file:line:column: what`, without the file when it ends too early.
fn placed(error: &protox::Error) -> String {
    let text = format!("{error:?}");
    match error.file() {
        Some(file) if !text.starts_with(file) => format!("{file}: {text}"),
        _ => text,
    }
}

/// A message that begins with a file's name, with the folder before it.
fn in_folder(folder: &Path, message: &str) -> String {
    format!("{}{}{message}", folder.display(), std::path::MAIN_SEPARATOR)
}

/// Finds what sectors import: what is built in, files of sectors, and what every compiler of protobuf brings along.
struct Resolver {
    builtin: DescriptorSetFileResolver,
    sectors: ProtoFiles,
    google: GoogleFileResolver,
}

impl FileResolver for Resolver {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if let Some(text) = self.sectors.texts.get(name) {
            return File::from_source(name, text);
        }
        self.builtin.open_file(name).or_else(|_| self.google.open_file(name))
    }
}

/// The schema of the sectors under a folder, on the command line.
#[derive(clap::Args)]
pub(crate) struct SectorsFolder {
    /// Folder of sectors that are not built in, as `sectors` in a hub's configuration names it.
    #[arg(long, value_name = "FOLDER", env = "LIENTHONG_SECTORS")]
    sectors: Option<PathBuf>,
}

impl SectorsFolder {
    /// The built-in record types and those of the folder.
    pub(crate) fn schema(&self) -> anyhow::Result<Arc<Schema>> {
        Ok(Arc::new(ProtoFiles::read(self.sectors.as_deref())?.schema(None)?))
    }
}

#[cfg(test)]
mod tests;
