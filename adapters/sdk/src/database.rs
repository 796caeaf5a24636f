//! The three engines behind one question: run this statement with these values, give me cells.

use std::sync::Arc;

use crate::{DatabaseAddress, Engine, PoolOptions, SecretUrl, SourceError, cell::Cell};

mod failure;
mod mysql;
mod place;
mod pool;
mod postgres;
mod sqlite;

pub(crate) use failure::Failure;
use place::Place;
use pool::Pool;

/// A row, in the order of the statement's columns.
pub(crate) type Row = Vec<Cell>;

/// A value bound to a statement. `None` compares equal to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bind {
    Text(Option<String>),
    Int(Option<i64>),
    Bool(Option<bool>),
    Bytes(Option<Vec<u8>>),
}

/// What a statement is to give.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask<'q> {
    /// Its rows, with these values bound.
    Rows(&'q [Bind]),
    /// Its columns without running it, each a row as the catalogue's statements give them: name, type, class, width,
    /// whether an index begins with it. Which indexes serve a statement, no engine says of its columns.
    Columns,
}

/// A column as a row of [`Ask::Columns`].
fn column_row(name: &str, kind: &str, class: &str) -> Row {
    let text = |text: &str| Cell::Text(text.to_owned());
    vec![text(name), text(kind), text(class), Cell::Null, Cell::Bool(true)]
}

/// A statement with places for values cannot stand for a table: nobody gives the values.
fn without_parameters(parameters: usize) -> Result<(), sqlx::Error> {
    if parameters == 0 { Ok(()) } else { Err(sqlx::Error::InvalidArgument(String::new())) }
}

/// The engines' pools.
#[derive(Debug)]
enum Pools {
    Postgres(Pool<postgres::Driver>),
    MySql(Pool<mysql::Driver>),
    Sqlite(Pool<sqlite::Driver>),
}

impl Pools {
    /// Reads the address; nothing is connected yet.
    fn new(url: &SecretUrl, options: &PoolOptions) -> Result<Self, SourceError> {
        let url = url.expose();
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        let refused = |_| SourceError::Address("it is malformed".into());
        match scheme {
            "postgres" | "postgresql" => {
                postgres::Driver::new(url).map(|driver| Self::Postgres(Pool::new(driver, options))).map_err(refused)
            }
            "mysql" | "mariadb" => {
                mysql::Driver::new(url).map(|driver| Self::MySql(Pool::new(driver, options))).map_err(refused)
            }
            "sqlite" => {
                sqlite::Driver::new(url).map(|driver| Self::Sqlite(Pool::new(driver, options))).map_err(refused)
            }
            _ => Err(SourceError::Address("it begins with postgres://, mysql:// or sqlite://".into())),
        }
    }

    const fn engine(&self) -> Engine {
        match self {
            Self::Postgres(_) => Engine::Postgres,
            Self::MySql(_) => Engine::MySql,
            Self::Sqlite(_) => Engine::Sqlite,
        }
    }

    async fn ask(&self, sql: &Arc<str>, ask: Ask<'_>) -> Result<Vec<Row>, Failure> {
        match self {
            Self::Postgres(pool) => pool.ask(sql, ask).await,
            Self::MySql(pool) => pool.ask(sql, ask).await,
            Self::Sqlite(pool) => pool.ask(sql, ask).await,
        }
    }
}

/// A database that is connected to when first asked, by an address that may change.
#[derive(Debug)]
pub(crate) struct Database {
    engine: Engine,
    place: Place,
}

impl Database {
    /// Reads the address; nothing is connected yet.
    pub(crate) fn new(address: &DatabaseAddress, options: &PoolOptions) -> Result<Self, SourceError> {
        let place = Place::new(address, options)?;
        Ok(Self { engine: place.opened().pools.engine(), place })
    }

    pub(crate) const fn engine(&self) -> Engine {
        self.engine
    }

    /// Runs a statement. Dropping the future ends the wait and the connection.
    pub(crate) async fn rows(&self, sql: &Arc<str>, binds: &[Bind]) -> Result<Vec<Row>, Failure> {
        self.ask(sql, Ask::Rows(binds)).await
    }

    /// What the statement gives, as far as it is asked.
    pub(crate) async fn ask(&self, sql: &Arc<str>, ask: Ask<'_>) -> Result<Vec<Row>, Failure> {
        self.place.ask(sql, ask).await
    }
}
