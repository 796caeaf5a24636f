//! A first mapping for a database nobody has mapped yet.
//!
//! Names and comments of tables and columns, types, keys and, when asked for, some rows are compared with the names,
//! labels and types of a record type's fields. What comes out is a mapping to be edited: guesses ranked, doubts as
//! comments, never a meaning of a code that nothing states. Values read as samples stay in here, except the codes of
//! code lists.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proto::RecordType;
use tokio::time::timeout;

use crate::{DatabaseAddress, Mapping, PoolOptions, SecretUrl, SourceError, database::Database};

mod beside;
mod codes;
mod composite;
mod field;
mod guess;
mod inventory;
mod left;
mod lookup;
mod render;
mod rows;
mod sample;
mod structure;
mod target;
mod words;

use guess::{Guess, Named};
use inventory::Inventory;
use sample::Sample;
use structure::Shape;
use target::Targets;

/// How long one look into the database may take.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// What a draft is to be made of.
#[derive(Debug)]
pub struct DraftRequest {
    /// Id of the source.
    pub source: String,
    /// The record types to look for.
    pub record_types: Vec<Arc<RecordType>>,
    /// The table the record stands in; absent: the likeliest. Given only with one record type.
    pub table: Option<String>,
    /// Whether rows may be looked at.
    pub sample: bool,
    /// Mappings to learn converters and code lists from.
    pub known: Vec<Mapping>,
}

/// A drafted mapping.
#[derive(Debug)]
pub struct Draft {
    /// The mapping file.
    pub text: String,
    /// What was found of each record type.
    pub records: Vec<DraftedRecord>,
}

impl Draft {
    /// Lines marked DOUBT, which somebody who knows the register must look at.
    pub fn doubts(&self) -> usize {
        // The first is the one that says what the mark means.
        self.text.lines().filter(|line| line.contains("DOUBT")).count().saturating_sub(1)
    }
}

/// What a draft found of one record type.
#[derive(Debug)]
pub struct DraftedRecord {
    /// Full name.
    pub record_type: String,
    /// The table taken.
    pub table: String,
    /// Fields with a column.
    pub found: usize,
    /// Fields of the record type.
    pub fields: usize,
}

/// How much of a record type the likeliest table seems to hold.
#[derive(Debug)]
pub struct Likelihood {
    /// Full name.
    pub record_type: String,
    /// The table.
    pub table: String,
    /// Fields that seem to have a column in it.
    pub found: usize,
    /// Fields of the record type.
    pub fields: usize,
    /// Larger is likelier; for comparison only.
    pub score: f64,
}

/// Why there is no draft.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// The database cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There is no such table.
    #[error("the database has no table {name}{hint}")]
    NoTable {
        /// The table.
        name: String,
        /// The nearest right name.
        hint: String,
    },
    /// No table looks like the record type.
    #[error("no table looks like {record_type}; name one")]
    NothingFound {
        /// The record type.
        record_type: String,
    },
}

/// One record type with what was found of it.
struct Found {
    record_type: Arc<RecordType>,
    targets: Targets,
    table: String,
    ranked: Vec<(String, f64, usize)>,
    seen: Seen,
}

/// What was seen in the rows of tables, by table.
type Seen = BTreeMap<String, Rows>;

/// What was seen in the rows of a table.
struct Rows {
    sample: Sample,
    /// Codes of columns that refer to a table of codes: column to code to label.
    codes: BTreeMap<String, BTreeMap<String, String>>,
}

impl Found {
    /// Some rows of a table, where they were looked at.
    fn sample(&self, table: &Named<'_>) -> Option<&Sample> {
        self.seen.get(&table.facts.name).map(|rows| &rows.sample)
    }

    /// The codes of the table of codes that a column refers to.
    fn codes(&self, table: &Named<'_>, column: &str) -> Option<&BTreeMap<String, String>> {
        self.seen.get(&table.facts.name)?.codes.get(column)
    }
}

/// Which record types a database seems to hold, the likeliest first.
pub async fn likelihoods(
    url: &SecretUrl,
    record_types: &[Arc<RecordType>],
    known: &[Mapping],
) -> Result<Vec<Likelihood>, SourceError> {
    let database = one_connection(url)?;
    let inventory = within(inventory::inventory(&database)).await?;
    let tables: Vec<Named<'_>> = inventory.tables.iter().map(Named::new).collect();
    let mut likely: Vec<_> = record_types
        .iter()
        .filter_map(|record_type| {
            let targets = Targets::new(record_type, known);
            let (table, score, found) = structure::ranked(&targets, record_type, &tables).into_iter().next()?;
            Some(Likelihood { record_type: record_type.name.clone(), table, found, fields: targets.all.len(), score })
        })
        .collect();
    likely.sort_by(|left, right| right.score.total_cmp(&left.score));
    Ok(likely)
}

/// Drafts a mapping.
pub async fn draft(url: &SecretUrl, request: &DraftRequest) -> Result<Draft, DraftError> {
    let database = one_connection(url)?;
    let inventory = within(inventory::inventory(&database)).await?;
    let tables: Vec<Named<'_>> = inventory.tables.iter().map(Named::new).collect();
    let mut found = Vec::new();
    for record_type in &request.record_types {
        found.push(look(&database, &inventory, &tables, request, record_type).await?);
    }
    let shapes: Vec<(&Found, Shape<'_>)> = found
        .iter()
        .filter_map(|found| {
            let main = tables.iter().find(|table| table.facts.name == found.table)?;
            Some((found, structure::shape(found, request, &inventory, &tables, main)))
        })
        .collect();
    let text = render::render(request, &inventory, &tables, &shapes);
    let records = shapes.iter().map(|(found, shape)| {
        let parts =
            shape.children.iter().map(|child| &child.fields).chain(shape.joined.iter().map(|(_, fields)| fields));
        let all: Vec<&Guess<'_>> = shape.fields.iter().chain(parts.flatten()).collect();
        DraftedRecord {
            record_type: found.record_type.name.clone(),
            table: shape.table.clone(),
            found: all.len() + shape.exists.len(),
            fields: found.targets.all.len(),
        }
    });
    Ok(Draft { text, records: records.collect() })
}

/// Finds the table of a record type and looks at its rows, if that is allowed.
async fn look(
    database: &Database,
    inventory: &Inventory,
    tables: &[Named<'_>],
    request: &DraftRequest,
    record_type: &Arc<RecordType>,
) -> Result<Found, DraftError> {
    let targets = Targets::new(record_type, &request.known);
    let ranked = structure::ranked(&targets, record_type, tables);
    let table = match &request.table {
        Some(name) => {
            let known = || inventory.tables.iter().map(|table| table.name.as_str());
            let bare = |known: &&str| known.replace('"', "") == *name;
            let named = known()
                .find(|known| known == name)
                .or_else(|| known().find(bare))
                .or_else(|| known().find(|known| known.eq_ignore_ascii_case(name)));
            let hint = || crate::problem::suggest(name, known());
            named.ok_or_else(|| DraftError::NoTable { name: name.clone(), hint: hint() })?.to_owned()
        }
        None => ranked
            .first()
            .map(|(table, ..)| table.clone())
            .ok_or_else(|| DraftError::NothingFound { record_type: record_type.name.clone() })?,
    };
    let main = tables.iter().find(|known| known.facts.name == table);
    let main = main.ok_or(SourceError::Internal("a table vanished from the inventory"))?;
    let mut seen = Seen::new();
    if request.sample {
        let children = structure::children(&targets, tables, main);
        let beside = children.iter().filter_map(|child| inventory.table(&child.table));
        for facts in std::iter::once(main.facts).chain(beside) {
            if !seen.contains_key(&facts.name) {
                seen.insert(facts.name.clone(), rows(database, inventory, facts).await?);
            }
        }
    }
    Ok(Found { record_type: Arc::clone(record_type), targets, table, ranked, seen })
}

/// Looks at the rows of a table, and at the tables of codes its columns refer to.
async fn rows(database: &Database, inventory: &Inventory, facts: &inventory::TableFacts) -> Result<Rows, SourceError> {
    let sample = within(sample::sample(database, inventory, facts)).await?;
    let mut codes = BTreeMap::new();
    for column in &facts.columns {
        let Some((other, code, label)) = code_table(inventory, facts, &column.name) else { continue };
        let found = within(sample::codes(database, inventory, &sample, other, code, label)).await?;
        if !found.is_empty() {
            codes.insert(column.name.clone(), found);
        }
    }
    Ok(Rows { sample, codes })
}

/// The table of codes a column refers to, by declared key or by name, with its code and label columns.
fn code_table<'i>(
    inventory: &'i Inventory,
    table: &inventory::TableFacts,
    column: &str,
) -> Option<(&'i str, &'i str, &'i str)> {
    let declared = table.reference(column);
    let (other, code) = match declared {
        Some((other, code)) => (inventory.table(other)?, code.to_owned()),
        None => {
            let meant = words::meanings(column).without(&["number", "kind"]);
            let named = |facts: &&inventory::TableFacts| {
                let name = words::words(&crate::catalogue::split(&facts.name).1);
                let listed = [
                    "dm", "danh", "muc", "lkp", "lookup", "ref", "code", "codes", "list", "tbl", "m", "d", "loai",
                    "kind",
                ];
                let own: Vec<_> = name.iter().filter(|word| !listed.contains(&word.as_str())).cloned().collect();
                name.len() > own.len() && !meant.is_empty() && words::of_words(&own) == meant
            };
            let other = inventory.tables.iter().find(|facts| facts.name != table.name && named(facts))?;
            let [code] = other.key()[..] else { return None };
            (other, code.to_owned())
        }
    };
    let label = |column: &&inventory::ColumnFacts| {
        let meant = words::meanings(&column.name);
        ["name", "note"].iter().any(|meaning| meant.mean(meaning)) || column.name.eq_ignore_ascii_case("title")
    };
    let code = other.column(&code)?;
    let label = other.columns.iter().filter(|column| column.name != code.name).find(label)?;
    (other.columns.len() <= 8).then_some((other.name.as_str(), code.name.as_str(), label.name.as_str()))
}

/// A database that one caller reads.
fn one_connection(url: &SecretUrl) -> Result<Database, SourceError> {
    let options = PoolOptions { connections_max: 1, ..PoolOptions::default() };
    Database::new(&DatabaseAddress::fixed(url.clone()), &options)
}

async fn within<T>(read: impl Future<Output = Result<T, crate::database::Failure>>) -> Result<T, SourceError> {
    Ok(timeout(READ_TIMEOUT, read).await.map_err(|_| SourceError::Timeout)??)
}
