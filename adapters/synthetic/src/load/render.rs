//! Rows as text: lines of `COPY` for PostgreSQL, value lists of `INSERT` for the others.

use std::fmt::Write;

use crate::{
    draft::Cell,
    schema::{Dialect, Table},
};

impl Dialect {
    /// The engine a URL names.
    pub(crate) fn of(url: &str) -> Option<Self> {
        match url.split_once(':')?.0 {
            "postgres" | "postgresql" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::MySql),
            "sqlite" => Some(Self::Sqlite),
            _ => None,
        }
    }

    /// What stands before the rows of a table.
    pub(crate) fn rows_head(self, table: &Table) -> String {
        let columns = table.column_list();
        match self {
            Self::Postgres => format!("COPY \"{}\" ({columns}) FROM STDIN", table.name),
            Self::MySql | Self::Sqlite => format!("INSERT INTO \"{}\" ({columns}) VALUES\n", table.name),
        }
    }

    /// Appends a row to the rows of a chunk.
    pub(crate) fn render<'a>(self, cells: impl Iterator<Item = &'a Cell>, rows: &mut String) {
        match self {
            Self::Postgres => copy_line(cells, rows),
            Self::MySql | Self::Sqlite => value_list(cells, rows),
        }
    }
}

fn copy_line<'a>(cells: impl Iterator<Item = &'a Cell>, rows: &mut String) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            rows.push('\t');
        }
        match cell {
            Cell::Null => rows.push_str("\\N"),
            Cell::Int(number) => number_text(*number, rows),
            Cell::Bool(truth) => rows.push(if *truth { 't' } else { 'f' }),
            Cell::Text(text) => escaped(text, rows, |letter| match letter {
                '\\' => Some("\\\\"),
                '\t' => Some("\\t"),
                '\n' => Some("\\n"),
                '\r' => Some("\\r"),
                _ => None,
            }),
            Cell::Bytes(bytes) => {
                rows.push_str("\\\\x");
                hex(bytes, rows);
            }
        }
    }
    rows.push('\n');
}

fn value_list<'a>(cells: impl Iterator<Item = &'a Cell>, rows: &mut String) {
    rows.push_str(if rows.is_empty() { "(" } else { ",\n(" });
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            rows.push(',');
        }
        match cell {
            Cell::Null => rows.push_str("NULL"),
            Cell::Int(number) => number_text(*number, rows),
            Cell::Bool(truth) => rows.push(if *truth { '1' } else { '0' }),
            Cell::Text(text) => {
                rows.push('\'');
                escaped(text, rows, |letter| (letter == '\'').then_some("''"));
                rows.push('\'');
            }
            Cell::Bytes(bytes) => {
                rows.push_str("X'");
                hex(bytes, rows);
                rows.push('\'');
            }
        }
    }
    rows.push(')');
}

fn number_text(number: i64, rows: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(rows, "{number}");
}

fn hex(bytes: &[u8], rows: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        rows.push(char::from(DIGITS[usize::from(byte >> 4)]));
        rows.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// Appends text, replacing what the escape knows. All escaped characters are ASCII.
fn escaped(text: &str, rows: &mut String, escape: impl Fn(char) -> Option<&'static str>) {
    let mut start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if let Some(replacement) = byte.is_ascii().then(|| escape(char::from(byte))).flatten() {
            rows.push_str(&text[start..at]);
            rows.push_str(replacement);
            start = at + 1;
        }
    }
    rows.push_str(&text[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(dialect: Dialect, cells: &[Cell]) -> String {
        let mut rows = String::new();
        dialect.render(cells.iter(), &mut rows);
        rows
    }

    #[test]
    fn quotes_and_backslashes_survive() {
        let cells = [Cell::from("H'Lan \\ Siu"), Cell::Null, Cell::Bytes(vec![0xad, 0]), Cell::Bool(true)];
        assert_eq!(rendered(Dialect::Sqlite, &cells), "('H''Lan \\ Siu',NULL,X'ad00',1)");
        assert_eq!(rendered(Dialect::Postgres, &cells), "H'Lan \\\\ Siu\t\\N\t\\\\xad00\tt\n");
    }

    #[test]
    fn urls_name_engines() {
        assert_eq!(Dialect::of("postgres://localhost/x"), Some(Dialect::Postgres));
        assert_eq!(Dialect::of("sqlite://x.db"), Some(Dialect::Sqlite));
        assert_eq!(Dialect::of("oracle://x"), None);
        assert_eq!(Dialect::of("x.db"), None);
    }
}
