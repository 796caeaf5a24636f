//! The files access is made of, and what is wrong with them, by file and line.

use std::{
    fmt, fs,
    ops::Range,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;
use serde::de::DeserializeOwned;

/// Where the files are.
#[derive(Debug, Clone)]
pub struct AccessFiles {
    /// Folders of the grants, `*.toml`.
    pub grants: Vec<PathBuf>,
    /// Folder of the policies, `*.cedar`.
    pub policies: PathBuf,
    /// The purpose catalogue.
    pub purposes: PathBuf,
    /// The agencies.
    pub agencies: PathBuf,
    /// The hub's own quotas; none, and only agreements limit.
    pub quotas: Option<PathBuf>,
}

impl AccessFiles {
    /// The usual names in one folder: `grants/`, `policies/`, `purposes.toml`, `agencies.toml`, and `quotas.toml` where
    /// there is one.
    pub fn under(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref();
        Self {
            grants: vec![folder.join("grants")],
            policies: folder.join("policies"),
            purposes: folder.join("purposes.toml"),
            agencies: folder.join("agencies.toml"),
            quotas: Some(folder.join("quotas.toml")).filter(|file| file.exists()),
        }
    }
}

/// The text of the files. Those of a folder stand in the order of their names.
#[derive(Debug, Clone)]
pub struct AccessSources {
    /// Grants.
    pub grants: Vec<SourceFile>,
    /// Policies; of several guardrails that forbid the same thing, the first names the reason.
    pub policies: Vec<SourceFile>,
    /// The purpose catalogue.
    pub purposes: SourceFile,
    /// The agencies.
    pub agencies: SourceFile,
    /// The hub's own quotas.
    pub quotas: SourceFile,
}

/// One file.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Name for messages.
    pub name: String,
    /// Content.
    pub text: String,
}

/// Something wrong, or worth a warning, in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File, as it was named.
    pub file: String,
    /// Line, counted from 1, when it is about one.
    pub line: Option<usize>,
    /// Column in characters, counted from 1.
    pub column: Option<usize>,
    /// What it is.
    pub message: String,
}

/// Where in which file something is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// File, as it was named.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
}

impl Place {
    /// A problem here.
    pub(crate) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { file: self.file.clone(), line: Some(self.line), column: Some(self.column), message: message.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        for place in [self.line, self.column].into_iter().flatten() {
            write!(formatter, ":{place}")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

/// The files do not make a valid set; nothing was loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct LoadError {
    /// Everything that is wrong, as far as it could be read.
    pub problems: Vec<Problem>,
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

impl AccessSources {
    /// Reads the files.
    pub fn read(files: &AccessFiles) -> Result<Self, LoadError> {
        let mut problems = Vec::new();
        let sources = Self {
            grants: files.grants.iter().flat_map(|folder| read_folder(folder, "toml", &mut problems)).collect(),
            policies: read_folder(&files.policies, "cedar", &mut problems),
            purposes: read_file(&files.purposes, &mut problems),
            agencies: read_file(&files.agencies, &mut problems),
            quotas: files.quotas.as_ref().map_or_else(SourceFile::none, |path| read_file(path, &mut problems)),
        };
        if problems.is_empty() { Ok(sources) } else { Err(LoadError { problems }) }
    }

    /// SHA-256 over names and contents of all files, hex.
    pub fn digest(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        let singles = [&self.purposes, &self.agencies, &self.quotas].into_iter();
        for file in self.grants.iter().chain(&self.policies).chain(singles) {
            // Only the last part of the name: the same files in another place are the same set.
            let name = Path::new(&file.name).file_name().map_or(file.name.as_bytes(), |name| name.as_encoded_bytes());
            for part in [name, file.text.as_bytes()] {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
        }
        hex::encode(context.finish())
    }
}

fn read_folder(folder: &Path, extension: &str, problems: &mut Vec<Problem>) -> Vec<SourceFile> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut paths: Vec<PathBuf> = match entries {
        Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
        Err(error) => {
            problems.push(unreadable(folder, &error));
            return Vec::new();
        }
    };
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths.iter().map(|path| read_file(path, problems)).collect()
}

fn read_file(path: &Path, problems: &mut Vec<Problem>) -> SourceFile {
    let text = fs::read_to_string(path).unwrap_or_else(|error| {
        problems.push(unreadable(path, &error));
        String::new()
    });
    SourceFile { name: path.display().to_string(), text }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem { file: path.display().to_string(), line: None, column: None, message: format!("cannot be read: {error}") }
}

impl SourceFile {
    /// In place of a file that nobody named.
    fn none() -> Self {
        Self { name: String::new(), text: String::new() }
    }

    /// Where a span of this file begins.
    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// A problem at a place in this file.
    pub(crate) fn problem(&self, span: Range<usize>, message: impl Into<String>) -> Problem {
        self.place(span).problem(message)
    }

    /// A problem of the file as a whole.
    pub(crate) fn problem_without_place(&self, message: impl Into<String>) -> Problem {
        Problem { file: self.name.clone(), line: None, column: None, message: message.into() }
    }

    pub(crate) fn parse_toml<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        toml::from_str(&self.text).map_err(|error| match error.span() {
            Some(span) => self.problem(span, error.message()),
            None => self.problem_without_place(error.message()),
        })
    }
}

/// "… is unknown", with the right name that is nearest, if any is near.
pub(crate) fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let nearest = known
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= 0.5)
        .max_by(|(left, _), (right, _)| left.total_cmp(right));
    match nearest {
        Some((_, candidate)) => format!("{what} \"{name}\" is unknown; did you mean \"{candidate}\"?"),
        None => format!("{what} \"{name}\" is unknown"),
    }
}
