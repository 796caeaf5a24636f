//! Writing rows into a database: text buffers here, the connection in a task of its own, so that generating and writing
//! overlap. The buffers and the channel are bounded; memory does not grow with the population.

mod engine;
mod render;

use tokio::{sync::mpsc, task::JoinHandle};

use self::engine::Connection;
use crate::{
    Sector, SyntheticError, Target,
    draft::Cell,
    schema::{Dialect, Schema},
};

/// A buffer of this size is handed over.
const CHUNK_BYTES: usize = 512 * 1024;

/// What the writing task is told.
enum Order {
    /// Run a statement: `INSERT`, or the head of a `COPY` with its rows.
    Rows { head: String, rows: String },
    /// Create the indexes and commit. Without it nothing stays.
    Finish { indexes: Vec<String> },
}

struct Buffer {
    table: &'static str,
    columns: Vec<&'static str>,
    head: String,
    rows: String,
}

/// The way into one sector's database.
pub(crate) struct Loader {
    sector: Sector,
    dialect: Dialect,
    buffers: Vec<Buffer>,
    indexes: Vec<String>,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<Result<(), sqlx::Error>>,
}

impl Loader {
    /// Connects and creates the tables.
    pub(crate) async fn open(target: &Target, replace: bool) -> Result<Self, SyntheticError> {
        let sector = target.sector;
        let failed = |source| SyntheticError::Database { sector, source };
        let dialect = Dialect::of(&target.url).ok_or(SyntheticError::UnknownEngine { sector })?;
        let schema = Schema::of(sector)?;
        let mut connection = Connection::open(&target.url, dialect).await.map_err(failed)?;
        for table in &schema.tables {
            if replace {
                connection.run(format!("DROP TABLE IF EXISTS \"{}\"", table.name)).await.map_err(failed)?;
            } else if connection.run(format!("SELECT 1 FROM \"{}\" LIMIT 1", table.name)).await.is_ok() {
                return Err(SyntheticError::TableExists { sector, table: table.name.to_owned() });
            }
        }
        connection.begin().await.map_err(failed)?;
        for table in &schema.tables {
            connection.run(table.create(dialect)).await.map_err(failed)?;
        }
        let buffers = schema
            .tables
            .iter()
            .map(|table| Buffer {
                table: table.name,
                columns: table.columns.iter().map(|column| column.name).collect(),
                head: dialect.rows_head(table),
                rows: String::new(),
            })
            .collect();
        let (orders, received) = mpsc::channel(2);
        let task = tokio::spawn(work(connection, received));
        Ok(Self { sector, dialect, buffers, indexes: schema.indexes, orders, task })
    }

    pub(crate) fn sector(&self) -> Sector {
        self.sector
    }

    /// Adds a row. The cells MUST be in the order of the table's columns, all of them.
    pub(crate) fn push(&mut self, table: &'static str, cells: &[(&'static str, Cell)]) -> Result<(), SyntheticError> {
        let sector = self.sector;
        let buffer =
            self.buffers.iter_mut().find(|buffer| buffer.table == table).ok_or(SyntheticError::Schema { sector })?;
        let fits = buffer.columns.len() == cells.len()
            && buffer.columns.iter().zip(cells).all(|(column, (found, _))| column == found);
        if !fits {
            return Err(mismatch(buffer, cells));
        }
        self.dialect.render(cells.iter().map(|(_, cell)| cell), &mut buffer.rows);
        Ok(())
    }

    /// Hands over the buffers that are full, or all of them.
    pub(crate) async fn flush(&mut self, all: bool) -> Result<(), SyntheticError> {
        for at in 0..self.buffers.len() {
            let buffer = &mut self.buffers[at];
            if buffer.rows.is_empty() || (!all && buffer.rows.len() < CHUNK_BYTES) {
                continue;
            }
            let rows = std::mem::take(&mut buffer.rows);
            let order = Order::Rows { head: buffer.head.clone(), rows };
            if self.orders.send(order).await.is_err() {
                return Err(self.failure().await);
            }
        }
        Ok(())
    }

    /// Creates the indexes and commits.
    pub(crate) async fn finish(mut self) -> Result<(), SyntheticError> {
        let indexes = std::mem::take(&mut self.indexes);
        if self.orders.send(Order::Finish { indexes }).await.is_err() {
            return Err(self.failure().await);
        }
        let sector = self.sector;
        match self.task.await {
            Ok(result) => result.map_err(|source| SyntheticError::Database { sector, source }),
            Err(_) => Err(SyntheticError::WriterEnded { sector }),
        }
    }

    /// Why the writing task ended.
    async fn failure(&mut self) -> SyntheticError {
        let sector = self.sector;
        match (&mut self.task).await {
            Ok(Err(source)) => SyntheticError::Database { sector, source },
            _ => SyntheticError::WriterEnded { sector },
        }
    }
}

fn mismatch(buffer: &Buffer, cells: &[(&'static str, Cell)]) -> SyntheticError {
    let count = buffer.columns.len().max(cells.len());
    let at = (0..count).find(|&at| buffer.columns.get(at) != cells.get(at).map(|(name, _)| name)).unwrap_or_default();
    let name = |column: Option<&&'static str>| column.map_or_else(|| "no column".to_owned(), |name| (*name).to_owned());
    SyntheticError::ColumnMismatch {
        table: buffer.table,
        expected: name(buffer.columns.get(at)),
        found: name(cells.get(at).map(|(name, _)| name)),
    }
}

async fn work(mut connection: Connection, mut orders: mpsc::Receiver<Order>) -> Result<(), sqlx::Error> {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Rows { head, rows } => connection.rows(head, rows).await?,
            Order::Finish { indexes } => {
                for index in indexes {
                    connection.run(index).await?;
                }
                return connection.commit().await;
            }
        }
    }
    Ok(())
}
