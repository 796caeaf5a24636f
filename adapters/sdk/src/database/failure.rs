//! What an engine's errors mean, by its own codes. Messages are dropped: they may hold values.

use crate::SourceError;

/// Why a statement gave no rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection broke or could not be made.
    Unreachable,
    /// The account or its rights.
    Credentials,
    /// A table, column or type is not what the statement expects.
    Schema { code: String },
    /// The engine gave up waiting.
    Timeout,
    /// Anything else.
    Other { code: String },
}

impl Failure {
    pub(super) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().map(|code| code.into_owned()).unwrap_or_else(|| "-".to_owned());
                if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
                    return Self::of_mysql(error.number());
                }
                if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
                    return Self::of_postgres(code);
                }
                Self::of_sqlite(code, error.message())
            }
            sqlx::Error::InvalidArgument(_) => Self::Other { code: "parameter".to_owned() },
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Other { code: "decode".to_owned() },
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                Self::Unreachable
            }
            _ => Self::Other { code: "-".to_owned() },
        }
    }

    fn of_postgres(code: String) -> Self {
        match code.as_str() {
            "28000" | "28P01" | "42501" => Self::Credentials,
            // Undefined table, column, schema or operator; types that do not compare.
            "42P01" | "42703" | "3F000" | "42883" | "42804" | "42846" => Self::Schema { code },
            "57014" => Self::Timeout,
            // The server shuts down, starts up, has no such database or no room; a plan outlived its table.
            "57P01" | "57P02" | "57P03" | "3D000" | "53300" | "0A000" => Self::Unreachable,
            _ if code.starts_with("08") => Self::Unreachable,
            _ => Self::Other { code },
        }
    }

    fn of_mysql(number: u16) -> Self {
        match number {
            1044 | 1045 | 1142 | 1143 | 1698 => Self::Credentials,
            1054 | 1146 => Self::Schema { code: number.to_string() },
            1317 | 1205 | 1969 | 3024 => Self::Timeout,
            1040 | 1049 | 1053 | 1077 | 1927 => Self::Unreachable,
            _ => Self::Other { code: number.to_string() },
        }
    }

    fn of_sqlite(code: String, message: &str) -> Self {
        // SQLite has one code for every error in a statement.
        if message.starts_with("no such table") || message.starts_with("no such column") {
            return Self::Schema { code };
        }
        match code.as_str() {
            "14" | "26" | "11" => Self::Unreachable,
            "3" | "23" => Self::Credentials,
            "5" | "6" => Self::Timeout,
            _ => Self::Other { code },
        }
    }
}

impl From<Failure> for SourceError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unreachable => Self::Unreachable,
            Failure::Credentials => Self::Credentials,
            Failure::Timeout => Self::Timeout,
            Failure::Schema { code } | Failure::Other { code } => Self::Database { code },
        }
    }
}
