//! A generator of people for the six reference databases.
//!
//! One seed gives one consistent population (families, firms, employment, convictions, old and new numbers) with the
//! defects real registers have, and on request the truth it started from. The schemas are the `schema.sql` files beside
//! the mappings. Reading the registers back is left to the mapping engine; nothing here knows a mapping.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout))]

mod chance;
mod date;
mod defect;
mod draft;
mod error;
mod load;
mod name;
mod number;
mod organisation;
mod output;
mod people;
mod place;
mod rows;
mod schema;

use std::{collections::BTreeMap, fmt, io::Write};

pub use defect::{DefectCounts, Rates};
pub use error::SyntheticError;

use number::PEOPLE_MAX;
use output::Output;
use people::Block;

/// Which population to write.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many people, 20 to 2,000,000.
    pub people: u64,
    /// Equal seeds give equal populations.
    pub seed: u64,
    /// Replace tables that exist; otherwise they are an error.
    pub replace: bool,
    /// How often each defect occurs.
    pub rates: Rates,
    /// Set when the truth is written: stating it costs time.
    wants_truth: bool,
}

impl Plan {
    /// A population with the usual defects that replaces nothing.
    pub fn new(people: u64, seed: u64) -> Self {
        Self { people, seed, replace: false, rates: Rates::default(), wants_truth: false }
    }
}

/// The six sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sector {
    /// Population register.
    Population,
    /// Civil status.
    CivilStatus,
    /// Judicial records.
    JudicialRecords,
    /// Social and health insurance.
    Insurance,
    /// Enterprise registration.
    BusinessRegistry,
    /// Budget-unit codes.
    BudgetUnits,
}

impl Sector {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Population,
        Self::CivilStatus,
        Self::JudicialRecords,
        Self::Insurance,
        Self::BusinessRegistry,
        Self::BudgetUnits,
    ];

    /// The name of the sector's folder under `adapters/`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Population => "population",
            Self::CivilStatus => "civil-status",
            Self::JudicialRecords => "judicial-records",
            Self::Insurance => "insurance",
            Self::BusinessRegistry => "business-registry",
            Self::BudgetUnits => "budget-units",
        }
    }

    /// The schema of the sector's reference database, in PostgreSQL's dialect.
    pub fn schema(self) -> &'static str {
        match self {
            Self::Population => include_str!("../../population/schema/schema.sql"),
            Self::CivilStatus => include_str!("../../civil-status/schema/schema.sql"),
            Self::JudicialRecords => include_str!("../../judicial-records/schema/schema.sql"),
            Self::Insurance => include_str!("../../insurance/schema/schema.sql"),
            Self::BusinessRegistry => include_str!("../../business-registry/schema/schema.sql"),
            Self::BudgetUnits => include_str!("../../budget-units/schema/schema.sql"),
        }
    }
}

impl fmt::Display for Sector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Where a sector's database is.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which sector.
    pub sector: Sector,
    /// `postgres://…`, `mysql://…` or `sqlite://file`.
    pub url: String,
}

/// How far the writing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// People written.
    pub people: u64,
    /// People planned.
    pub people_total: u64,
    /// Rows written, of all sectors.
    pub rows: u64,
}

/// What was written.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Rows per table.
    pub rows: BTreeMap<&'static str, u64>,
    /// Defects per kind.
    pub defects: DefectCounts,
    /// People and things to ask about.
    pub cast: Cast,
}

/// People and things worth asking about in a demonstration. Only a population of a few families may lack some.
#[derive(Clone, Debug, Default)]
pub struct Cast {
    /// Somebody in all six registers: heads a unit, represents a firm, has a spent conviction.
    pub everywhere: Option<CastMember>,
    /// Somebody to be asked for by the nine-digit number, though other registers know only the twelve digits.
    pub known_by_card: Option<CastMember>,
    /// Somebody whose insurance record has another birth year than the population register.
    pub disputed: Option<CastMember>,
    /// The firm the first represents.
    pub enterprise_code: Option<String>,
    /// The unit the first heads.
    pub budget_unit_code: Option<String>,
}

/// One of the cast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CastMember {
    /// Full name.
    pub name: String,
    /// Twelve digits.
    pub personal_id: String,
    /// Nine digits, if the person had a card.
    pub legacy_id: Option<String>,
    /// Ten digits, if insured.
    pub social_insurance_number: Option<String>,
}

/// Writes a population into the databases of the targets, and the truth as JSON lines when asked.
///
/// Sectors without a target are not generated. Memory does not grow with the population. Each database is written in
/// one transaction where its engine can (MySQL and MariaDB commit tables as they are created); after an error the
/// others may be complete.
pub async fn write(
    plan: &Plan,
    targets: &[Target],
    truth: Option<&mut (dyn Write + Send)>,
    mut progress: impl FnMut(Progress),
) -> Result<Summary, SyntheticError> {
    if !(20..=PEOPLE_MAX).contains(&plan.people) {
        return Err(SyntheticError::PeopleOutOfRange { people: plan.people });
    }
    let plan = &Plan { wants_truth: truth.is_some(), ..plan.clone() };
    let mut output = Output::open(targets, plan.replace, truth).await?;
    let blocks = plan.blocks();
    for index in 0..blocks {
        let block = Block::new(plan, index);
        rows::write_block(&mut output, plan, &block)?;
        output.flush(false).await?;
        if index % 50 == 49 || index + 1 == blocks {
            let people = (index * people::BLOCK + block.people.len() as u64).min(plan.people);
            progress(Progress { people, people_total: plan.people, rows: output.rows() });
        }
    }
    output.finish().await
}

#[cfg(test)]
mod tests;
