//! The schema files of the reference databases, read as tables, and their translation to the other dialects.
//!
//! The files are the only statement of the schemas. They keep to a small form: `CREATE TABLE` with one column a line,
//! `CREATE INDEX`, double-quoted identifiers, `--` comments.

use crate::{Sector, SyntheticError};

/// The SQL dialects of the reference databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    MySql,
    Sqlite,
}

/// PostgreSQL type, MySQL type, SQLite type; types not listed are the same everywhere. SQLite turns decimals into
/// floating-point numbers, which hold a percentage, but no amount of 21 digits: that is text there.
const TYPES: [(&str, &str, &str); 4] = [
    ("BYTEA", "VARBINARY(1000)", "BLOB"),
    ("TIMESTAMP", "DATETIME(6)", "TIMESTAMP"),
    ("DECIMAL(6,3)", "DECIMAL(6,3)", "DECIMAL"),
    ("DECIMAL", "DECIMAL", "TEXT"),
];

/// A table of a reference database.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<Column>,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Type and constraints as the file has them.
    definition: String,
}

/// The tables and indexes of a sector.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) tables: Vec<Table>,
    /// Index statements, the same in all dialects.
    pub(crate) indexes: Vec<String>,
}

impl Schema {
    pub(crate) fn of(sector: Sector) -> Result<Self, SyntheticError> {
        Self::parse(sector.schema()).ok_or(SyntheticError::Schema { sector })
    }

    fn parse(text: &'static str) -> Option<Self> {
        let mut schema = Self { tables: Vec::new(), indexes: Vec::new() };
        for line in text.lines() {
            let code = line.split("--").next().unwrap_or_default().trim();
            if code.starts_with("CREATE TABLE") {
                schema.tables.push(Table { name: quoted(code)?, columns: Vec::new() });
            } else if code.starts_with("CREATE INDEX") {
                schema.indexes.push(code.trim_end_matches(';').to_owned());
            } else if code.starts_with('"') {
                let name = quoted(code)?;
                let definition = code[name.len() + 2..].trim().trim_end_matches(',').to_owned();
                schema.tables.last_mut()?.columns.push(Column { name, definition });
            } else if !matches!(code, "" | ");") {
                return None;
            }
        }
        Some(schema)
    }
}

/// The first double-quoted word.
fn quoted(code: &'static str) -> Option<&'static str> {
    code.split('"').nth(1)
}

impl Table {
    pub(crate) fn create(&self, dialect: Dialect) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("  \"{}\" {}", column.name, translated(&column.definition, dialect)))
            .collect();
        let suffix = if dialect == Dialect::MySql { " CHARACTER SET utf8mb4" } else { "" };
        format!("CREATE TABLE \"{}\" (\n{}\n){suffix}", self.name, columns.join(",\n"))
    }

    /// The columns, quoted and joined.
    pub(crate) fn column_list(&self) -> String {
        self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
    }
}

fn translated(definition: &str, dialect: Dialect) -> String {
    let found = TYPES.iter().find_map(|(postgres, mysql, sqlite)| {
        let rest = definition.strip_prefix(postgres)?;
        match dialect {
            Dialect::Postgres => None,
            Dialect::MySql => Some(format!("{mysql}{rest}")),
            // SQLite has no use for precision and scale.
            Dialect::Sqlite => Some(format!("{sqlite}{}", rest.split_once(')').map_or(rest, |(_, rest)| rest))),
        }
    });
    found.unwrap_or_else(|| definition.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_read() {
        let tables: Vec<usize> = Sector::ALL.iter().map(|&sector| Schema::of(sector).unwrap().tables.len()).collect();
        assert_eq!(tables, [1, 4, 4, 3, 4, 1]);
        for sector in Sector::ALL {
            let written = sector.schema().matches("CREATE INDEX").count();
            assert_eq!(Schema::of(sector).unwrap().indexes.len(), written);
        }
    }

    #[test]
    fn types_are_translated() {
        assert_eq!(translated("BYTEA", Dialect::MySql), "VARBINARY(1000)");
        assert_eq!(translated("BYTEA", Dialect::Sqlite), "BLOB");
        assert_eq!(translated("DECIMAL(21,3) NOT NULL", Dialect::Sqlite), "TEXT NOT NULL");
        assert_eq!(translated("DECIMAL(6,3)", Dialect::Sqlite), "DECIMAL");
        assert_eq!(translated("DECIMAL(21,3)", Dialect::MySql), "DECIMAL(21,3)");
        assert_eq!(translated("TIMESTAMP NOT NULL", Dialect::MySql), "DATETIME(6) NOT NULL");
        assert_eq!(translated("VARCHAR(12)", Dialect::Sqlite), "VARCHAR(12)");
    }
}
