//! What is wrong with a mapping, said so that its author can repair it.

use std::{fmt, ops::Range};

use proto::Schema;

use crate::{Functions, Mapping, plan::compile};

/// One thing wrong with a mapping file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Where in the mapping, for example `record BirthRegistration, field mother.gender`; may be empty.
    pub place: String,
    /// What is wrong and, where there is one, the nearest right name.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: ", self.line, self.column)?;
        if !self.place.is_empty() {
            write!(formatter, "{}: ", self.place)?;
        }
        formatter.write_str(&self.message)
    }
}

/// A mapping file that cannot be used, with everything wrong with it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .problems.iter().map(|problem| format!("{}:{problem}", .file)).collect::<Vec<_>>().join("\n"))]
pub struct MappingError {
    /// Name of the file.
    pub file: String,
    /// What is wrong, in the order of the file.
    pub problems: Vec<Problem>,
    /// What could be read of a file whose form is wrong.
    partial: Option<Box<Mapping>>,
}

impl MappingError {
    /// Id of the source, where it could be read.
    pub fn source_id(&self) -> Option<&str> {
        self.partial.as_ref().map(|mapping| mapping.source.as_str())
    }

    /// Adds what is wrong with names in the parts that could be read, so that its author has all of it at once. What depends on
    /// other parts is left out.
    #[must_use]
    pub fn with_names(mut self, schema: &Schema, functions: &Functions) -> Self {
        let Some(mapping) = self.partial.take() else { return self };
        if let Err(named) = compile(&mapping, schema, functions) {
            let certain =
                |problem: &Problem| !problem.place.contains(", check ") && !problem.place.ends_with(", search");
            self.problems.extend(named.problems.into_iter().filter(certain));
            self.problems.sort_by_key(|problem| (problem.line, problem.column));
        }
        self
    }
}

/// Collects problems and knows lines.
pub(crate) struct Problems<'a> {
    text: &'a str,
    list: Vec<Problem>,
}

impl<'a> Problems<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, list: Vec::new() }
    }

    /// The line something stands in, from 1.
    pub(crate) fn line(&self, span: &Range<usize>) -> usize {
        self.text.get(..span.start).unwrap_or(self.text).matches('\n').count() + 1
    }

    pub(crate) fn add(&mut self, span: &Range<usize>, place: &str, message: impl Into<String>) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        self.list.push(Problem {
            line: self.line(span),
            column: before[line_start..].chars().count() + 1,
            place: place.to_owned(),
            message: message.into(),
        });
    }

    /// The mapping when nothing is wrong with its form.
    pub(crate) fn finish_mapping(self, file: &str, mapping: Mapping) -> Result<Mapping, MappingError> {
        if self.list.is_empty() {
            return Ok(mapping);
        }
        Err(MappingError { partial: Some(Box::new(mapping)), ..self.into_error(file) })
    }

    /// The value when nothing is wrong.
    pub(crate) fn finish<T>(self, file: &str, value: T) -> Result<T, MappingError> {
        if self.list.is_empty() { Ok(value) } else { Err(self.into_error(file)) }
    }

    pub(crate) fn into_error(mut self, file: &str) -> MappingError {
        self.list.sort_by_key(|problem| (problem.line, problem.column));
        MappingError { file: file.to_owned(), problems: self.list, partial: None }
    }

    pub(crate) fn into_list(self) -> Vec<Problem> {
        self.list
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// `; did you mean "…"?` with the known name nearest to an unknown one, or the list of known names when it is short.
pub(crate) fn suggest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    const LISTED_MAX: usize = 12;
    let known: Vec<&str> = known.into_iter().collect();
    let folded = unknown.to_lowercase();
    let nearest = known
        .iter()
        .map(|name| {
            let name_folded = name.to_lowercase();
            // Two letters changed places, one is wrong, missing or too many: likelier than a word that only begins alike.
            let slip = strsim::osa_distance(&folded, &name_folded) <= 1 && folded.chars().count() > 2;
            (slip, strsim::jaro_winkler(&folded, &name_folded), *name)
        })
        .max_by(|left, right| left.0.cmp(&right.0).then(left.1.total_cmp(&right.1)));
    match nearest {
        Some((slip, likeness, name)) if slip || likeness >= 0.8 => format!("; did you mean \"{name}\"?"),
        _ if !known.is_empty() && known.len() <= LISTED_MAX => format!("; known are {}", known.join(", ")),
        _ => String::new(),
    }
}
