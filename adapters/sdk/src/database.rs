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
pub use failure::Words;
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
    /// The same of the database's own catalogue: names are bound and read, nobody's values.
    Facts(&'q [Bind]),
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

/// How an address is written whose password has signs of its own.
const ENCODED: &str = "write these signs in the account's name or password percent-encoded: \
                       @ %40, : %3A, / %2F, # %23, ? %3F, % %25, space %20";

/// Whether an @ comes after a sign that ends the host: the password has that sign, or the name of the database has an @.
fn behind_authority(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://").filter(|(scheme, _)| *scheme != "sqlite") else { return false };
    let Some(end) = rest.find(['/', '?', '#']) else { return false };
    let (host, behind) = rest.split_at(end);
    let parameters = behind.find('=').unwrap_or(behind.len());
    host.contains(':') && behind[..parameters].contains('@')
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
        if behind_authority(url) {
            return Err(SourceError::Address(format!("an @ stands behind a / or ? or #; {ENCODED}").into()));
        }
        let refused = |_| {
            let form = "://ACCOUNT:PASSWORD@HOST:PORT/DATABASE";
            SourceError::Address(format!("it is malformed: write {scheme}{form}; {ENCODED}").into())
        };
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

    /// Rows of the database's own catalogue.
    pub(crate) async fn facts(&self, sql: &Arc<str>, binds: &[Bind]) -> Result<Vec<Row>, Failure> {
        self.ask(sql, Ask::Facts(binds)).await
    }

    /// What the statement gives, as far as it is asked.
    pub(crate) async fn ask(&self, sql: &Arc<str>, ask: Ask<'_>) -> Result<Vec<Row>, Failure> {
        self.place.ask(sql, ask).await
    }
}
