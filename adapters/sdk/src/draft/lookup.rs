//! Which columns find a record: those of its own subject's numbers, or of the people in it.

use proto::options::v1::IdentifierKind;

use super::{
    DraftRequest, Found,
    guess::{From, Guess, Named, NamedColumn, POSSIBLE, SURE, likeness},
    sample::Sample,
    words::meanings,
};
use crate::catalogue::ColumnType;

/// The share of a column's values that must be numbers of a kind for a lookup by it.
const HELD_SHARE: f64 = 0.9;

/// A column that finds the record by a kind of number, with how sure that is.
pub(super) type Lookup = (IdentifierKind, String, f64);

/// The columns of fields that identify, and of other numbers a known mapping of the record looks up; where there is none,
/// the likeliest column that could, or the table's key.
pub(super) fn lookup(found: &Found, request: &DraftRequest, main: &Named<'_>, fields: &[Guess<'_>]) -> Vec<Lookup> {
    let kind = |guess: &Guess<'_>| found.record_type.fields[guess.target.leaf].identifies;
    let own = fields.iter().filter_map(|guess| match &guess.from {
        From::Column(column) => Some((kind(guess)?, column.clone(), guess.score)),
        _ => None,
    });
    let mut lookup: Vec<Lookup> = own.collect();
    if lookup.is_empty() {
        lookup.extend(likeliest(found, main).or_else(|| {
            let identifying = found.record_type.fields.iter().find_map(|field| field.identifies);
            identifying.and_then(|kind| in_its_place(kind, main))
        }));
    }
    let known = request.known.iter().flat_map(|mapping| &mapping.records);
    let known = known.filter(|record| record.record_type.value == found.record_type.name);
    for kind in known.flat_map(|record| &record.lookup).map(|known| known.kind) {
        if !lookup.iter().any(|(known, ..)| *known == kind) {
            lookup.extend(called(kind, found, main, &lookup));
        }
    }
    if lookup.is_empty() {
        // No number names the record's own subject: the people in it are looked for.
        lookup.extend(fields.iter().flat_map(|guess| people(guess, found.sample(main))));
    }
    if lookup.is_empty() {
        lookup.extend(in_its_place(IdentifierKind::PersonalId, main));
    }
    lookup
}

/// The column that most likely holds a number of the record's subject, though no field was taken from it.
fn likeliest(found: &Found, main: &Named<'_>) -> Option<Lookup> {
    let mut best: Option<Lookup> = None;
    for target in &found.targets.all {
        let Some(kind) = found.record_type.fields[target.leaf].identifies else { continue };
        for column in &main.columns {
            let score = likeness(&found.targets, target, column, found.sample(main));
            if score > POSSIBLE / 2.0 && best.as_ref().is_none_or(|(.., known)| score > *known) {
                best = Some((kind, column.facts.name.clone(), score));
            }
        }
    }
    best
}

/// What only stands where a column of such a number must: the table's key.
fn in_its_place(kind: IdentifierKind, main: &Named<'_>) -> Option<Lookup> {
    let readable = |column: &&NamedColumn<'_>| !matches!(column.facts.kind, ColumnType::Unsupported(_));
    let key = main.columns.iter().find(|column| column.facts.key);
    let column = key.or_else(|| main.columns.iter().find(readable))?;
    Some((kind, column.facts.name.clone(), 0.0))
}

/// A column that is called as a kind of number, and holds no other.
fn called(kind: IdentifierKind, found: &Found, main: &Named<'_>, taken: &[Lookup]) -> Option<Lookup> {
    let name = kind.as_str_name().to_ascii_lowercase();
    let wanted = meanings(&name);
    let free = main.columns.iter().filter(|column| !taken.iter().any(|(_, known, _)| *known == column.facts.name));
    let mut scored: Vec<_> = free
        .filter_map(|column| {
            let named = column.names.iter().map(|known| found.targets.weights.alike(known, &wanted));
            let held = found.sample(main).and_then(|sample| sample.accepted(&column.facts.name, &name, None));
            let score = named.fold(0.0, f64::max) * held.unwrap_or(1.0);
            (score >= SURE).then(|| (kind, column.facts.name.clone(), score))
        })
        .collect();
    scored.sort_by(|left, right| right.2.total_cmp(&left.2));
    scored.into_iter().next()
}

/// The columns of a field that find somebody: personal numbers, and documents whose numbers are such.
fn people(guess: &Guess<'_>, sample: Option<&Sample>) -> Option<Lookup> {
    let column = match (&guess.from, guess.target.convert.as_str()) {
        (From::Column(column), "personal_id") => {
            return Some((IdentifierKind::PersonalId, column.clone(), guess.score));
        }
        (From::Column(column), "identity_document") => column,
        (From::Roles(roles), "identity_document") => &roles.iter().find(|(role, _)| *role == "number")?.1,
        _ => return None,
    };
    let share = sample?.accepted(column, "personal_id", None).filter(|share| *share >= HELD_SHARE)?;
    Some((IdentifierKind::PersonalId, column.clone(), guess.score * share))
}
