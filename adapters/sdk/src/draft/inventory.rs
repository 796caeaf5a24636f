//! Everything a database says of itself: its tables with columns, keys, comments and the values of enumerations.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Engine,
    catalogue::{ColumnType, column_type, table_name},
    cell::Cell,
    database::{Database, Failure, Row},
};

#[derive(Debug, Clone)]
pub(super) struct Inventory {
    pub(super) engine: Engine,
    pub(super) tables: Vec<TableFacts>,
}

#[derive(Debug, Clone)]
pub(super) struct TableFacts {
    /// As a mapping writes it: with its schema where the connection does not look there by itself.
    pub(super) name: String,
    pub(super) comment: String,
    pub(super) columns: Vec<ColumnFacts>,
    pub(super) references: Vec<Reference>,
}

#[derive(Debug, Clone)]
pub(super) struct ColumnFacts {
    pub(super) name: String,
    pub(super) comment: String,
    pub(super) kind: ColumnType,
    /// Characters, for text that has a limit.
    pub(super) width: Option<usize>,
    /// Whether some index begins with it.
    pub(super) indexed: bool,
    /// Part of the primary key.
    pub(super) key: bool,
    /// The values the type allows, where it lists them.
    pub(super) values: Vec<String>,
}

/// A foreign key: own columns and, in step, columns of the other table.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) columns: Vec<String>,
    pub(super) table: String,
    pub(super) others: Vec<String>,
}

impl Inventory {
    pub(super) fn table(&self, name: &str) -> Option<&TableFacts> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl TableFacts {
    pub(super) fn column(&self, name: &str) -> Option<&ColumnFacts> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The table a column refers to, and the column there, when the key is that column alone.
    pub(super) fn reference(&self, column: &str) -> Option<(&str, &str)> {
        let found = self.references.iter().find(|reference| reference.columns == [column])?;
        Some((&found.table, found.others.first()?))
    }

    pub(super) fn key(&self) -> Vec<&str> {
        self.columns.iter().filter(|column| column.key).map(|column| column.name.as_str()).collect()
    }
}

/// Table, comment, column, type, class of type, width, column's comment, indexed, key, values, schema that must be named.
const POSTGRES: &str = "\
SELECT c.relname::text, \
obj_description(c.oid, 'pg_class'), a.attname::text, COALESCE(b.typname, t.typname)::text, \
COALESCE(b.typtype, t.typtype)::text, CASE WHEN a.atttypmod > 4 THEN a.atttypmod - 4 END, \
col_description(c.oid, a.attnum), \
EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum), \
EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey::int2[])), \
(SELECT string_agg(e.enumlabel, E'\\n' ORDER BY e.enumsortorder) FROM pg_enum e \
WHERE e.enumtypid = COALESCE(b.oid, t.oid)), \
CASE WHEN NOT pg_table_is_visible(c.oid) THEN n.nspname::text END \
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype \
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition \
AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_t%' \
AND has_column_privilege(c.oid, a.attnum, 'SELECT') ORDER BY c.relname, n.nspname, a.attnum";

/// Key, table, own column, other table, other column, schemas of the tables that must be named.
const POSTGRES_REFERENCES: &str = "\
SELECT k.oid::text, c.relname::text, a.attname::text, o.relname::text, b.attname::text, \
CASE WHEN NOT pg_table_is_visible(c.oid) THEN n.nspname::text END, \
CASE WHEN NOT pg_table_is_visible(o.oid) THEN m.nspname::text END FROM pg_constraint k \
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
JOIN pg_class o ON o.oid = k.confrelid JOIN pg_namespace m ON m.oid = o.relnamespace \
CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS p(own, other, at) \
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.own \
JOIN pg_attribute b ON b.attrelid = o.oid AND b.attnum = p.other \
WHERE k.contype = 'f' ORDER BY k.oid, p.at";

/// The tables beside the columns are read once and not for each column: the server opens every table for each such question.
const MYSQL: &str = "\
SELECT CAST(c.TABLE_NAME AS CHAR), CAST(t.TABLE_COMMENT AS CHAR), CAST(c.COLUMN_NAME AS CHAR), \
CAST(c.DATA_TYPE AS CHAR), CAST(c.COLUMN_TYPE AS CHAR), CAST(c.CHARACTER_MAXIMUM_LENGTH AS SIGNED), \
CAST(c.COLUMN_COMMENT AS CHAR), i.COLUMN_NAME IS NOT NULL, c.COLUMN_KEY = 'PRI', NULL \
FROM information_schema.COLUMNS c \
JOIN (SELECT DISTINCT TABLE_NAME, TABLE_COMMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()) t \
ON t.TABLE_NAME = c.TABLE_NAME \
LEFT JOIN (SELECT DISTINCT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
WHERE TABLE_SCHEMA = DATABASE() AND SEQ_IN_INDEX = 1) i ON i.TABLE_NAME = c.TABLE_NAME AND i.COLUMN_NAME = c.COLUMN_NAME \
WHERE c.TABLE_SCHEMA = DATABASE() ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION";

const MYSQL_REFERENCES: &str = "\
SELECT CAST(CONCAT(k.TABLE_NAME, '.', k.CONSTRAINT_NAME) AS CHAR), CAST(k.TABLE_NAME AS CHAR), \
CAST(k.COLUMN_NAME AS CHAR), CAST(k.REFERENCED_TABLE_NAME AS CHAR), CAST(k.REFERENCED_COLUMN_NAME AS CHAR) \
FROM information_schema.KEY_COLUMN_USAGE k WHERE k.TABLE_SCHEMA = DATABASE() \
AND k.REFERENCED_TABLE_SCHEMA = DATABASE() ORDER BY 1, k.ORDINAL_POSITION";

const SQLITE: &str = "\
SELECT s.name, '', c.name, c.type, '', NULL, '', \
c.pk = 1 OR EXISTS (SELECT 1 FROM pragma_index_list(s.name) l JOIN pragma_index_info(l.name) i \
WHERE i.seqno = 0 AND i.name = c.name), c.pk > 0, NULL \
FROM sqlite_schema s JOIN pragma_table_info(s.name) c \
WHERE s.type IN ('table', 'view') AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY s.name, c.cid";

const SQLITE_REFERENCES: &str = "\
SELECT s.name || '.' || f.id, s.name, f.\"from\", f.\"table\", COALESCE(f.\"to\", (SELECT c.name \
FROM pragma_table_info(f.\"table\") c WHERE c.pk = f.seq + 1)) \
FROM sqlite_schema s JOIN pragma_foreign_key_list(s.name) f WHERE s.type = 'table' ORDER BY s.name, f.id, f.seq";

/// Reads it.
pub(super) async fn inventory(database: &Database) -> Result<Inventory, Failure> {
    let engine = database.engine();
    let (columns, references) = match engine {
        Engine::Postgres => (POSTGRES, POSTGRES_REFERENCES),
        Engine::MySql => (MYSQL, MYSQL_REFERENCES),
        Engine::Sqlite => (SQLITE, SQLITE_REFERENCES),
    };
    let mut tables: Vec<TableFacts> = Vec::new();
    for row in database.facts(&Arc::from(columns), &[]).await? {
        let name = named(&row, 0, 10);
        if tables.last().is_none_or(|last| last.name != name) {
            tables.push(TableFacts { name, comment: text(&row, 1), columns: Vec::new(), references: Vec::new() });
        }
        if let Some(table) = tables.last_mut() {
            table.columns.push(column(engine, &row));
        }
    }
    let mut found: BTreeMap<String, (String, Reference)> = BTreeMap::new();
    for row in database.facts(&Arc::from(references), &[]).await? {
        let (_, reference) = found.entry(text(&row, 0)).or_insert_with(|| {
            let table = named(&row, 3, 6);
            (named(&row, 1, 5), Reference { columns: Vec::new(), table, others: Vec::new() })
        });
        reference.columns.push(text(&row, 2));
        reference.others.push(text(&row, 4));
    }
    for (owner, reference) in found.into_values() {
        if let Some(table) = tables.iter_mut().find(|table| table.name == owner) {
            table.references.push(reference);
        }
    }
    Ok(Inventory { engine, tables })
}

/// A table as a mapping writes it, from its name and its schema.
fn named(row: &Row, table: usize, schema: usize) -> String {
    let schema = row.get(schema).and_then(Cell::key);
    table_name(schema.as_deref(), &text(row, table))
}

fn text(row: &Row, at: usize) -> String {
    row.get(at).and_then(Cell::key).unwrap_or_default()
}

fn column(engine: Engine, row: &Row) -> ColumnFacts {
    let flag = |at: usize| matches!(row.get(at), Some(Cell::Int(1) | Cell::Bool(true)));
    let (declared, class) = (text(row, 3).to_ascii_lowercase(), text(row, 4));
    let width = text(row, 5).parse().ok();
    let values = match engine {
        Engine::MySql => listed(&class),
        Engine::Postgres | Engine::Sqlite => text(row, 9).lines().map(str::to_owned).collect(),
    };
    let kind = column_type(engine, &declared, &class, width);
    // SQLite states the width as part of the type.
    let declared_width = || declared.split(['(', ')']).nth(1).and_then(|width| width.trim().parse().ok());
    let textual = matches!(kind, ColumnType::Text | ColumnType::Padded(_));
    ColumnFacts {
        name: text(row, 2),
        comment: text(row, 6),
        kind,
        width: width.or_else(declared_width).filter(|_| textual),
        indexed: flag(7),
        key: flag(8),
        values,
    }
}

/// The values of MySQL's `enum('a','b')`.
fn listed(declared: &str) -> Vec<String> {
    let Some(inside) = declared.strip_prefix("enum(").and_then(|rest| rest.strip_suffix(')')) else {
        return Vec::new();
    };
    inside.split(',').map(|value| value.trim().trim_matches('\'').replace("''", "'")).collect()
}
