//! The live database's own word on tables, columns, types and indexes, and whether a mapping fits it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{
    Engine,
    cell::Cell,
    database::{Ask, Bind, Database, Failure, Row, Words},
    mapping::Table,
    plan::RecordPlan,
};

mod fit;
mod key;

pub(crate) use fit::{fit, unindexed};
pub(crate) use key::key;

/// What a column can hold, as far as binding and conversion care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Text,
    /// Text padded to a width.
    Padded(Option<usize>),
    Int,
    /// Exact or binary fractions.
    Number,
    Bool,
    Date,
    Bytes,
    Uuid,
    /// A type of the database's own with text values.
    Enumeration,
    /// No converter reads it.
    Unsupported(String),
}

impl fmt::Display for ColumnType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Text | Self::Padded(_) => "text",
            Self::Int => "whole numbers",
            Self::Number => "numbers",
            Self::Bool => "flags",
            Self::Date => "dates or times",
            Self::Bytes => "bytes",
            Self::Uuid => "UUIDs",
            Self::Enumeration => "an enumeration",
            Self::Unsupported(name) => return write!(formatter, "the type {name}"),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: ColumnType,
    /// Whether some index begins with it.
    pub(crate) indexed: bool,
    /// Whether the account may read it, as far as the engine says so.
    pub(crate) readable: bool,
}

/// The tables and SELECTs a mapping reads, by their name in the mapping. A table without columns is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Catalogue {
    engine: Engine,
    tables: BTreeMap<String, Vec<Column>>,
    /// SELECTs the database does not run, by name, with its error code and words.
    refused: BTreeMap<String, String>,
}

impl Catalogue {
    /// Asks the database about the tables of these records.
    pub(crate) async fn load(database: &Database, records: &[RecordPlan]) -> Result<Self, Failure> {
        let (mut tables, mut refused) = (BTreeMap::new(), BTreeMap::new());
        for table in records.iter().flat_map(self::tables) {
            let name = &table.name.value;
            if tables.contains_key(name) {
                continue;
            }
            let found = match &table.select {
                None => columns(database, name).await?,
                Some(select) => match described(database, select).await {
                    Err(Failure::Schema { code, words } | Failure::Other { code, words }) => {
                        refused.insert(name.clone(), format!("code {code}{words}{}", place(select, &words)));
                        Vec::new()
                    }
                    outcome => outcome?,
                },
            };
            tables.insert(name.clone(), found);
        }
        Ok(Self { engine: database.engine(), tables, refused })
    }

    #[cfg(test)]
    pub(crate) fn of(engine: Engine, tables: BTreeMap<String, Vec<Column>>) -> Self {
        Self { engine, tables, refused: BTreeMap::new() }
    }

    pub(crate) fn engine(&self) -> Engine {
        self.engine
    }

    /// The columns of a table; nothing when there is no such table.
    pub(crate) fn table(&self, name: &str) -> Option<&[Column]> {
        self.tables.get(name).map(Vec::as_slice).filter(|columns| !columns.is_empty())
    }

    /// Error code and words for a SELECT the database does not run.
    pub(crate) fn refused(&self, name: &str) -> Option<&str> {
        self.refused.get(name).map(String::as_str)
    }

    /// Whether a SELECT gives two columns one name, so that neither can be meant.
    pub(crate) fn is_twice(&self, table: &str, name: &str) -> bool {
        let columns = self.table(table).unwrap_or_default().iter();
        columns.filter(|column| self.named(column, name)).nth(1).is_some()
    }

    pub(crate) fn column(&self, table: &str, name: &str) -> Option<&Column> {
        self.table(table)?.iter().find(|column| self.named(column, name))
    }

    fn named(&self, column: &Column, name: &str) -> bool {
        match self.engine {
            Engine::Postgres => column.name == name,
            Engine::MySql | Engine::Sqlite => column.name.eq_ignore_ascii_case(name),
        }
    }
}

/// The tables a record's mapping reads.
pub(crate) fn tables(record: &RecordPlan) -> impl Iterator<Item = &Table> {
    let lookups = record.lookup.iter().filter_map(|lookup| lookup.through.as_ref());
    let children = record.children.iter().map(|child| &child.from);
    let exists = record.fields.iter().filter_map(|field| field.exists());
    std::iter::once(&record.from).chain(lookups.chain(children).chain(exists).map(|through| &through.table))
}

/// Schema, if named, and table. A part with a dot of its own stands in double quotes: `qlhk."so.dan"`.
pub(crate) fn split(table: &str) -> (Option<String>, String) {
    let (mut schema, mut part, mut quoted) = (None, String::new(), false);
    let (mut begins, mut letters) = (true, table.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '"' if begins => quoted = true,
            '"' if quoted && letters.next_if_eq(&'"').is_some() => part.push('"'),
            '"' if quoted => quoted = false,
            '.' if !quoted && schema.is_none() => schema = Some(std::mem::take(&mut part)),
            _ => part.push(letter),
        }
        begins = letter == '.' && !quoted && part.is_empty();
    }
    (schema, part)
}

/// The name that [`split`] takes apart.
pub(crate) fn table_name(schema: Option<&str>, table: &str) -> String {
    let part = |name: &str| match name.contains('.') || name.starts_with('"') {
        true => format!("\"{}\"", name.replace('"', "\"\"")),
        false => name.to_owned(),
    };
    schema.map_or_else(|| part(table), |schema| format!("{}.{}", part(schema), part(table)))
}

const POSTGRES: &str = "\
SELECT a.attname::text, COALESCE(b.typname, t.typname)::text, COALESCE(b.typtype, t.typtype)::text, \
CASE WHEN a.atttypmod > 4 THEN a.atttypmod - 4 END, \
EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indkey[0] = a.attnum), \
has_column_privilege(a.attrelid, a.attnum, 'SELECT') \
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
LEFT JOIN pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype \
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// The keys are asked for by constants: by the columns found, the server would open every table it has for each of them.
const MYSQL: &str = "\
SELECT CAST(c.COLUMN_NAME AS CHAR), CAST(c.DATA_TYPE AS CHAR), '', CAST(c.CHARACTER_MAXIMUM_LENGTH AS SIGNED), \
EXISTS (SELECT 1 FROM information_schema.STATISTICS s WHERE s.TABLE_SCHEMA = COALESCE(?, DATABASE()) \
AND s.TABLE_NAME = ? AND s.COLUMN_NAME = c.COLUMN_NAME AND s.SEQ_IN_INDEX = 1) \
FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND c.TABLE_NAME = ? \
ORDER BY c.ORDINAL_POSITION";

const SQLITE: &str = "\
SELECT c.name, c.type, '', NULL, c.pk = 1 OR EXISTS (SELECT 1 FROM pragma_index_list(?2, ?1) l \
JOIN pragma_index_info(l.name, ?1) i WHERE i.seqno = 0 AND i.name = c.name) \
FROM pragma_table_info(?2, ?1) c";

async fn columns(database: &Database, table: &str) -> Result<Vec<Column>, Failure> {
    let (schema, name) = split(table);
    let (sql, binds) = match database.engine() {
        Engine::Postgres => (POSTGRES, vec![Bind::Text(Some(crate::query::quoted(Engine::Postgres, table)))]),
        Engine::MySql => {
            let binds = [Bind::Text(schema), Bind::Text(Some(name))];
            (MYSQL, [binds.clone(), binds].concat())
        }
        Engine::Sqlite => {
            let schema = schema.unwrap_or_else(|| "main".to_owned());
            (SQLITE, vec![Bind::Text(Some(schema)), Bind::Text(Some(name))])
        }
    };
    let rows = database.facts(&Arc::from(sql), &binds).await?;
    Ok(rows.iter().map(|row| column(database.engine(), row)).collect())
}

/// What a SELECT is described behind. It stands in the SELECT's first line.
const BEFORE: &str = "SELECT * FROM (";

/// The place in a SELECT that words of the database are about, where they say so.
fn place(select: &str, words: &Words) -> String {
    let Some(at) = words.position().and_then(|position| position.checked_sub(BEFORE.len() + 1)) else {
        return String::new();
    };
    let before: String = select.chars().take(at).collect();
    let (line, column) =
        (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
    format!(", at line {line}, column {column} of it")
}

/// The columns of a SELECT.
async fn described(database: &Database, select: &str) -> Result<Vec<Column>, Failure> {
    let sql = Arc::from(format!("{BEFORE}{select}\n) s"));
    let rows = database.ask(&sql, Ask::Columns).await?;
    Ok(rows.iter().map(|row| column(database.engine(), row)).collect())
}

fn column(engine: Engine, row: &Row) -> Column {
    let text = |index: usize| row.get(index).and_then(Cell::key).unwrap_or_default();
    let (declared, class) = (text(1).to_ascii_lowercase(), text(2));
    let width = text(3).parse().ok();
    let kind = column_type(engine, &declared, &class, width);
    let indexed = matches!(row.get(4), Some(Cell::Int(1) | Cell::Bool(true)));
    Column { name: text(0), kind, indexed, readable: !matches!(row.get(5), Some(Cell::Bool(false))) }
}

/// What a column of this declared type can hold; its class is PostgreSQL's alone.
pub(crate) fn column_type(engine: Engine, declared: &str, class: &str, width: Option<usize>) -> ColumnType {
    match engine {
        Engine::Postgres => postgres_type(declared, class, width),
        Engine::MySql => mysql_type(declared, width),
        Engine::Sqlite => sqlite_type(declared),
    }
}

fn postgres_type(name: &str, class: &str, width: Option<usize>) -> ColumnType {
    match name {
        "text" | "varchar" | "name" | "citext" | "json" | "jsonb" | "time" => ColumnType::Text,
        "bpchar" => ColumnType::Padded(width),
        "int2" | "int4" | "int8" | "bit" | "varbit" => ColumnType::Int,
        "numeric" | "float4" | "float8" => ColumnType::Number,
        "bool" => ColumnType::Bool,
        "date" | "timestamp" | "timestamptz" => ColumnType::Date,
        "bytea" => ColumnType::Bytes,
        "uuid" => ColumnType::Uuid,
        _ if class == "e" => ColumnType::Enumeration,
        other => ColumnType::Unsupported(other.to_owned()),
    }
}

fn mysql_type(name: &str, width: Option<usize>) -> ColumnType {
    match name {
        "char" => ColumnType::Padded(width),
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" | "bit" => ColumnType::Int,
        "decimal" | "float" | "double" => ColumnType::Number,
        "date" | "datetime" | "timestamp" => ColumnType::Date,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => ColumnType::Bytes,
        "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" | "json" | "time" => {
            ColumnType::Text
        }
        "uuid" => ColumnType::Text,
        other => ColumnType::Unsupported(other.to_owned()),
    }
}

/// By the declared type's affinity; dates and flags are by name, since SQLite has no types for them.
fn sqlite_type(declared: &str) -> ColumnType {
    let width = declared.split(['(', ')']).nth(1).and_then(|width| width.parse().ok());
    let has = |part: &str| declared.contains(part);
    if has("bool") {
        ColumnType::Bool
    } else if has("int") {
        ColumnType::Int
    } else if declared.starts_with("char") || declared.starts_with("nchar") {
        ColumnType::Padded(width)
    } else if has("char") || has("clob") || has("text") || declared.is_empty() {
        ColumnType::Text
    } else if has("blob") || has("binary") || has("bytea") {
        ColumnType::Bytes
    } else if has("date") || has("time") {
        ColumnType::Date
    } else {
        ColumnType::Number
    }
}
