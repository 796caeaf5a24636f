//! Which columns tell the rows of a table apart, by the database's own word.

use std::sync::Arc;

use super::split;
use crate::{
    Engine,
    cell::Cell,
    database::{Bind, Database, Failure},
    mapping::Table,
};

const POSTGRES: &str = "\
SELECT a.attname::text FROM pg_index i \
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, at) \
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
WHERE k.at <= i.indnkeyatts AND i.indexrelid = (SELECT u.indexrelid FROM pg_index u \
WHERE u.indrelid = to_regclass($1) AND u.indisunique AND u.indisvalid AND u.indpred IS NULL AND u.indexprs IS NULL \
AND NOT EXISTS (SELECT 1 FROM pg_attribute n WHERE n.attrelid = u.indrelid AND n.attnum = ANY (u.indkey::int2[]) \
AND (NOT n.attnotnull OR NOT has_column_privilege(n.attrelid, n.attnum, 'SELECT'))) ORDER BY u.indisprimary DESC, u.indexrelid LIMIT 1) ORDER BY k.at";

const MYSQL: &str = "\
SELECT CAST(s.COLUMN_NAME AS CHAR) FROM information_schema.STATISTICS s \
WHERE s.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND s.TABLE_NAME = ? AND s.INDEX_NAME = (\
SELECT u.INDEX_NAME FROM information_schema.STATISTICS u \
WHERE u.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND u.TABLE_NAME = ? AND u.NON_UNIQUE = 0 GROUP BY u.INDEX_NAME \
HAVING SUM(u.NULLABLE = 'YES') = 0 AND SUM(u.SUB_PART IS NOT NULL) = 0 \
ORDER BY u.INDEX_NAME = 'PRIMARY' DESC, u.INDEX_NAME LIMIT 1) ORDER BY s.SEQ_IN_INDEX";

/// The row number, except in tables that have none: their primary key then holds no NULL.
const SQLITE: &str = "\
SELECT '_rowid_' FROM pragma_table_list t \
WHERE t.schema = ?1 AND t.name = ?2 COLLATE NOCASE AND t.type = 'table' AND t.wr = 0 \
UNION ALL SELECT name FROM (SELECT c.name FROM pragma_table_info(?2, ?1) c \
WHERE c.pk > 0 AND EXISTS (SELECT 1 FROM pragma_table_list t \
WHERE t.schema = ?1 AND t.name = ?2 COLLATE NOCASE AND t.wr = 1) ORDER BY c.pk)";

/// The columns of the primary key, or of a unique index without NULLs; none when the table has neither, or is none.
pub(crate) async fn key(database: &Database, table: &Table) -> Result<Vec<String>, Failure> {
    if table.select.is_some() {
        return Ok(Vec::new());
    }
    let (schema, name) = split(&table.name.value);
    let (sql, binds) = match database.engine() {
        Engine::Postgres => {
            (POSTGRES, vec![Bind::Text(Some(crate::query::quoted(Engine::Postgres, &table.name.value)))])
        }
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
    Ok(rows.iter().filter_map(|row| row.first().and_then(Cell::key)).collect())
}
