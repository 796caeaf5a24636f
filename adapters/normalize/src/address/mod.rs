//! Administrative units of both vintages, and the way from old to new.
//!
//! On 1 July 2025 districts went and most communes were merged. Merged units kept one of the old codes, so a code alone
//! does not say what it means: 94 of the 135 codes of Gia Lai now stand for another name. A written code is never
//! rewritten; the code of today stands beside it.

mod evidence;
mod units;

use std::borrow::Cow;

use crate::text::clean;
use crate::{Conversion, Converted, Defect, Note, Notes, outcome::named};
use units::{OldCommune, UNITS};

/// Which list of administrative units a code comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vintage {
    /// The three-tier list that ended on 30 June 2025.
    Pre2025,
    /// The two-tier list of Decision 19/2025, from 1 July 2025.
    Post2025,
    /// The register does not say.
    Unknown,
}
named!("vintage" Vintage { "pre-2025" => Pre2025, "post-2025" => Post2025, "unknown" => Unknown });

/// How a unit's code relates to the list of today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapKind {
    /// It is a code of today.
    Current,
    /// The whole old unit went into the mapped one.
    Whole,
    /// The old unit was divided; the mapped one took its main part.
    Divided,
    /// No unit of today is recorded for it.
    Unmapped,
}

/// A commune as the register wrote it, and as it is today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commune {
    /// The code as written, five digits.
    pub code: &'static str,
    /// The vintage the code was read in; unknown only where nothing decides it.
    pub vintage: Vintage,
    /// Name of the unit in that vintage; absent where the vintage is unknown.
    pub name: Option<&'static str>,
    /// The province it is in, in that vintage, two digits; absent where the vintage is unknown.
    pub province_code: Option<&'static str>,
    /// Code of today, where there is one.
    pub mapped_code: Option<&'static str>,
    /// Name of today.
    pub mapped_name: Option<&'static str>,
    /// Province of today, two digits.
    pub mapped_province_code: Option<&'static str>,
    /// How code and mapped code relate. With an undecided vintage, as if the code were old.
    pub map_kind: MapKind,
}

impl Commune {
    /// Whether it can be in the province of this code, as of its own time or as of today; a register may have brought one of
    /// two columns up to date. Where its own is not known, it can.
    pub fn may_be_in(&self, province_code: &str) -> bool {
        self.province_code.is_none_or(|own| own == province_code) || self.mapped_province_code == Some(province_code)
    }
}

/// A province as the register wrote it, and as it is today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Province {
    /// The code as written, two digits.
    pub code: &'static str,
    /// The vintage the code was read in.
    pub vintage: Vintage,
    /// Name in that vintage; absent where the vintage is unknown.
    pub name: Option<&'static str>,
    /// Code of today.
    pub mapped_code: &'static str,
    /// Name of today.
    pub mapped_name: &'static str,
}

/// A commune of either list, for those who need to choose one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommuneUnit {
    /// Five digits.
    pub code: &'static str,
    /// Full name with its type ("Phường Quy Nhơn").
    pub name: &'static str,
    /// The district's code; empty in the list of today.
    pub district_code: &'static str,
    /// The district's name; empty in the list of today.
    pub district: &'static str,
    /// The province's code in the unit's own vintage.
    pub province_code: &'static str,
    /// The province's name in the unit's own vintage.
    pub province: &'static str,
}

/// Reads a commune code in its vintage and finds the unit of today.
///
/// With an unknown vintage, `name_as_written` decides: the commune's name or a whole address. Where it does not, and
/// the code leads to the same unit of today either way, nothing is lost; otherwise no unit of today is given and
/// `vintage_unknown` is noted. Four digits are a code that lost its leading zero.
pub fn commune(code: &str, name_as_written: Option<&str>, vintage: Vintage) -> Conversion<Commune> {
    let Converted { value: code, mut notes } = unit_code(code, 5)?;
    let old = UNITS.old(&code).filter(|_| vintage != Vintage::Post2025);
    let current = UNITS.current(&code).filter(|_| vintage != Vintage::Pre2025);
    let commune = match (old, current) {
        (None, None) => return Err(Defect::UnknownCode),
        (Some(old), None) => from_old(old, &mut notes),
        (None, Some(current)) => from_current(current),
        (Some(old), Some(current)) => match evidence::decide(name_as_written.unwrap_or_default(), old, current) {
            Vintage::Pre2025 => from_old(old, &mut notes),
            Vintage::Post2025 => from_current(current),
            Vintage::Unknown => undecided(old, current, &mut notes),
        },
    };
    Ok(Converted { value: commune, notes })
}

/// Reads a province code in its vintage and finds the province of today. One digit is a code that lost its zero.
pub fn province(code: &str, vintage: Vintage) -> Conversion<Province> {
    let Converted { value: code, notes } = unit_code(code, 2)?;
    let old = UNITS.old_province(&code).filter(|_| vintage != Vintage::Post2025);
    let current = UNITS.current_province(&code).filter(|_| vintage != Vintage::Pre2025);
    let province = match (old, current) {
        (None, None) => return Err(Defect::UnknownCode),
        (Some(old), None) => Province { vintage: Vintage::Pre2025, ..*old },
        (None, Some(current)) => Province { vintage: Vintage::Post2025, ..*current },
        // Every province of today has the code of one of its parts, so either reading leads to the same province.
        (Some(old), Some(current)) => {
            Province { vintage: Vintage::Unknown, name: old.name.filter(|_| old.name == current.name), ..*current }
        }
    };
    Ok(Converted { value: province, notes })
}

/// The communes of today, all or those of one province of today.
pub fn communes(province_code: Option<&str>) -> impl Iterator<Item = CommuneUnit> {
    UNITS.currents.iter().copied().filter(move |unit| province_code.is_none_or(|code| unit.province_code == code))
}

/// The communes until June 2025, all or those of one province of then.
pub fn old_communes(province_code: Option<&str>) -> impl Iterator<Item = CommuneUnit> {
    let units = UNITS.olds.iter().map(|old| old.unit);
    units.filter(move |unit| province_code.is_none_or(|code| unit.province_code == code))
}

fn from_old(old: &OldCommune, notes: &mut Notes) -> Commune {
    let target = old.main_target();
    let map_kind = match (target, old.targets.len()) {
        (None, _) => MapKind::Unmapped,
        (Some(_), 1) => MapKind::Whole,
        (Some(_), _) => MapKind::Divided,
    };
    notes.insert_if(map_kind == MapKind::Unmapped, Note::CommuneUnmapped);
    notes.insert_if(map_kind == MapKind::Divided, Note::CommuneDivided);
    Commune {
        code: old.unit.code,
        vintage: Vintage::Pre2025,
        name: Some(old.unit.name),
        province_code: Some(old.unit.province_code),
        mapped_code: target.map(|target| target.code),
        mapped_name: target.map(|target| target.name),
        mapped_province_code: target.map(|target| target.province_code),
        map_kind,
    }
}

fn from_current(unit: &CommuneUnit) -> Commune {
    Commune {
        code: unit.code,
        vintage: Vintage::Post2025,
        name: Some(unit.name),
        province_code: Some(unit.province_code),
        mapped_code: Some(unit.code),
        mapped_name: Some(unit.name),
        mapped_province_code: Some(unit.province_code),
        map_kind: MapKind::Current,
    }
}

/// Both readings stand. They agree where the old unit, or its main part, went into the unit that has its code today.
fn undecided(old: &OldCommune, current: &CommuneUnit, notes: &mut Notes) -> Commune {
    let undecided = Commune {
        vintage: Vintage::Unknown,
        name: Some(current.name).filter(|name| *name == old.unit.name),
        province_code: None,
        ..from_current(current)
    };
    if old.main_target().is_some_and(|target| target.code == current.code) {
        return Commune { map_kind: from_old(old, notes).map_kind, ..undecided };
    }
    notes.insert(Note::VintageUnknown);
    Commune {
        mapped_code: None,
        mapped_name: None,
        mapped_province_code: None,
        map_kind: MapKind::Unmapped,
        ..undecided
    }
}

/// The digits of a unit's code. One missing digit is a lost zero; of the five districts that had no communes, the
/// three-digit code stands for the unit.
fn unit_code(input: &str, length: usize) -> Conversion<Cow<'_, str>> {
    let Converted { value, mut notes } = clean(input);
    if value.is_empty() {
        return Err(Defect::Empty);
    }
    if !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(crate::text::token(input).err().unwrap_or(Defect::NotDigits));
    }
    if value.len() >= 2 && value.bytes().all(|byte| byte == b'0') {
        return Err(Defect::Placeholder);
    }
    let is_island = length == 5 && value.len() == 3 && UNITS.old(&value).is_some();
    match value.len() {
        found if found == length || is_island => Ok(Converted { value, notes }),
        found if found + 1 == length => {
            notes.insert(Note::LeadingZeroRestored);
            Ok(Converted { value: Cow::Owned(format!("0{value}")), notes })
        }
        _ => Err(Defect::WrongLength),
    }
}

#[cfg(test)]
mod tests;
