//! What an engine's errors mean, by its own codes. Its words are kept only where no row and no value can be in them.

use std::fmt;

use sqlx::{
    mysql::MySqlDatabaseError,
    postgres::{PgDatabaseError, PgErrorPosition},
};

use crate::SourceError;

/// The longest sentence kept, in characters.
const WORDS_MAX: usize = 400;

/// What a database server itself said, in one line. Empty where a value of anybody's could be in it. Shown with `: ` before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words {
    text: Option<Box<str>>,
    /// The character of the statement it speaks of, from 1.
    position: Option<usize>,
}

impl Words {
    fn new(text: &str) -> Self {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let end = line.char_indices().nth(WORDS_MAX).map_or(line.len(), |(end, _)| end);
        Self { text: Some(&line[..end]).filter(|line| !line.is_empty()).map(Box::from), position: None }
    }

    /// The same with the server's own code.
    fn with(self, code: &str) -> Self {
        let text = self.text.map(|text| format!("{text} (code {code})").into());
        Self { text, ..self }
    }

    pub(crate) const fn position(&self) -> Option<usize> {
        self.position
    }
}

impl fmt::Display for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.as_ref().map_or(Ok(()), |words| write!(formatter, ": {words}"))
    }
}

/// Why a statement gave no rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection broke or could not be made.
    Unreachable(Words),
    /// The server has no such database.
    NoDatabase(Words),
    /// The account or its rights.
    Credentials(Words),
    /// A table, column or type is not what the statement expects.
    Schema { code: String, words: Words },
    /// The engine gave up waiting.
    Timeout,
    /// Anything else.
    Other { code: String, words: Words },
}

/// What was done when an error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The connection was made: nothing but the address is in the words.
    Connecting,
    /// A statement was read by the server and not run, or it asked the catalogue: nothing but names and the statement is in
    /// them.
    Preparing,
    /// Values were given and rows read: they may be in the words.
    Running,
}

impl Failure {
    /// The connection broke; nobody said why.
    pub(super) const GONE: Self = Self::Unreachable(Words { text: None, position: None });

    pub(super) fn of(error: &sqlx::Error, stage: Stage) -> Self {
        let said = |text: &dyn fmt::Display| match stage {
            Stage::Running => Words::default(),
            Stage::Connecting | Stage::Preparing => Words::new(&text.to_string()),
        };
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().map(|code| code.into_owned()).unwrap_or_else(|| "-".to_owned());
                if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
                    return Self::of_mysql(error.number(), said(&error.message()));
                }
                if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
                    return Self::of_postgres(code, postgres_words(error, said(&error.message())), stage);
                }
                Self::of_sqlite(code, error.message(), said(&error.message()))
            }
            sqlx::Error::InvalidArgument(_) => {
                let words = "it has places for values ($1, ?), and nobody gives them";
                Self::Other { code: "parameter".to_owned(), words: Words::new(words) }
            }
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::Other { code: "decode".to_owned(), words: Words::default() }
            }
            sqlx::Error::Io(error) => Self::Unreachable(said(error)),
            sqlx::Error::Tls(error) => Self::Unreachable(said(error)),
            sqlx::Error::Protocol(error) => Self::Unreachable(said(error)),
            sqlx::Error::WorkerCrashed => Self::GONE,
            _ => Self::Other { code: "-".to_owned(), words: Words::default() },
        }
    }

    fn of_postgres(code: String, words: Words, stage: Stage) -> Self {
        match code.as_str() {
            "28000" | "28P01" | "42501" => Self::Credentials(words.with(&code)),
            // Undefined table, column, schema or operator; types that do not compare.
            "42P01" | "42703" | "3F000" | "42883" | "42804" | "42846" => Self::Schema { code, words },
            "57014" => Self::Timeout,
            "3D000" => Self::NoDatabase(words.with(&code)),
            // A plan outlived its table; one that is being made has not.
            "0A000" if stage != Stage::Preparing => Self::Unreachable(words.with(&code)),
            // The server shuts down, starts up or has no room.
            "57P01" | "57P02" | "57P03" | "53300" => Self::Unreachable(words.with(&code)),
            _ if code.starts_with("08") => Self::Unreachable(words.with(&code)),
            _ => Self::Other { code, words },
        }
    }

    fn of_mysql(number: u16, words: Words) -> Self {
        let code = number.to_string();
        match number {
            // MySQL hides with 1044 whether a database the account may not enter is there.
            1044 | 1045 | 1142 | 1143 | 1698 => Self::Credentials(words.with(&code)),
            1054 | 1146 => Self::Schema { code, words },
            1317 | 1205 | 1969 | 3024 => Self::Timeout,
            1049 => Self::NoDatabase(words.with(&code)),
            1040 | 1053 | 1077 | 1927 => Self::Unreachable(words.with(&code)),
            _ => Self::Other { code, words },
        }
    }

    fn of_sqlite(code: String, message: &str, words: Words) -> Self {
        // SQLite has one code for every error in a statement.
        if message.starts_with("no such table") || message.starts_with("no such column") {
            return Self::Schema { code, words };
        }
        match code.as_str() {
            "14" | "26" | "11" => Self::Unreachable(words),
            "3" | "23" => Self::Credentials(words),
            "5" | "6" => Self::Timeout,
            _ => Self::Other { code, words },
        }
    }
}

/// PostgreSQL says of which character of the statement it speaks.
fn postgres_words(error: &PgDatabaseError, words: Words) -> Words {
    match error.position() {
        Some(PgErrorPosition::Original(position)) => Words { position: Some(position), ..words },
        _ => words,
    }
}

impl From<Failure> for SourceError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable(words) => Self::Unreachable(words),
            Failure::NoDatabase(words) => Self::NoDatabase(words),
            Failure::Credentials(words) => Self::Credentials(words),
            Failure::Timeout => Self::Timeout,
            Failure::Schema { code, .. } | Failure::Other { code, .. } => Self::Database { code },
        }
    }
}
