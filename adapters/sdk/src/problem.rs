//! What is wrong with a mapping, said so that its author can repair it.

use std::{fmt, ops::Range};

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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(|problem| format!("{}:{problem}", .file)).collect::<Vec<_>>().join("\n"))]
pub struct MappingError {
    /// Name of the file.
    pub file: String,
    /// What is wrong, in the order of the file.
    pub problems: Vec<Problem>,
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

    /// The value when nothing is wrong.
    pub(crate) fn finish<T>(self, file: &str, value: T) -> Result<T, MappingError> {
        if self.list.is_empty() { Ok(value) } else { Err(self.into_error(file)) }
    }

    pub(crate) fn into_error(mut self, file: &str) -> MappingError {
        self.list.sort_by_key(|problem| (problem.line, problem.column));
        MappingError { file: file.to_owned(), problems: self.list }
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
        .map(|name| (strsim::jaro_winkler(&folded, &name.to_lowercase()), *name))
        .max_by(|left, right| left.0.total_cmp(&right.0));
    match nearest {
        Some((likeness, name)) if likeness >= 0.8 => format!("; did you mean \"{name}\"?"),
        _ if !known.is_empty() && known.len() <= LISTED_MAX => format!("; known are {}", known.join(", ")),
        _ => String::new(),
    }
}
