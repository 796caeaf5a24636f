//! The rows of a block of people, sector by sector.

mod budget;
mod business;
mod civil;
mod civil_parts;
mod insurance;
mod judicial;
mod judicial_parts;
mod population;
mod words;

use serde_json::{Map, Value};

use crate::{
    CastMember, Plan, Sector, SyntheticError,
    output::Output,
    people::{Block, Marital},
};

/// Writes everything a block has in the sectors that have a target.
pub(crate) fn write_block(output: &mut Output<'_>, plan: &Plan, block: &Block) -> Result<(), SyntheticError> {
    type Write = fn(&mut Output<'_>, &Plan, &Block) -> Result<(), SyntheticError>;
    let writers: [(Sector, Write); 6] = [
        (Sector::Population, population::write),
        (Sector::CivilStatus, civil::write),
        (Sector::JudicialRecords, judicial::write),
        (Sector::Insurance, insurance::write),
        (Sector::BusinessRegistry, business::write),
        (Sector::BudgetUnits, budget::write),
    ];
    for (sector, write) in writers {
        if output.has(sector) {
            write(output, plan, block)?;
        }
    }
    cast(output, plan, block);
    Ok(())
}

fn cast(output: &mut Output<'_>, plan: &Plan, block: &Block) {
    let cast = output.cast();
    for person in &block.people {
        if person.is_everywhere && cast.everywhere.is_none() {
            cast.everywhere = CastMember::of(person);
            cast.enterprise_code = plan.firms_of(block.index).next().map(|firm| business::code(plan, firm));
            cast.budget_unit_code = plan.units_of(block.index).next().map(|unit| budget::code(plan, unit));
        }
        if person.is_known_by_card && cast.known_by_card.is_none() {
            cast.known_by_card = CastMember::of(person);
        }
        if person.is_disputed && cast.disputed.is_none() {
            cast.disputed = CastMember::of(person);
        }
    }
}

/// A nested message of the truth: the parts that have a value.
fn message<const N: usize>(parts: [(&str, Option<Value>); N]) -> Map<String, Value> {
    parts.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))).collect()
}

/// A value that is there.
fn some(value: impl Into<Value>) -> Option<Value> {
    Some(value.into())
}

/// The canonical code of a marital status.
fn marital_code(marital: Marital) -> &'static str {
    match marital {
        Marital::Single => "SINGLE",
        Marital::Married => "MARRIED",
        Marital::Divorced => "DIVORCED",
        Marital::Widowed => "WIDOWED",
    }
}
