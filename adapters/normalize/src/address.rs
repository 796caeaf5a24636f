//! Administrative units of both vintages and the way from old to new.

use crate::{Conversion, outcome::named};

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
    /// Code of today, where there is one.
    pub mapped_code: Option<&'static str>,
    /// Name of today.
    pub mapped_name: Option<&'static str>,
    /// Province of today, two digits.
    pub mapped_province_code: Option<&'static str>,
    /// How code and mapped code relate.
    pub map_kind: MapKind,
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

/// Reads a commune code.
pub fn commune(code: &str, name_as_written: Option<&str>, vintage: Vintage) -> Conversion<Commune> {
    let _ = (code, name_as_written, vintage);
    todo!()
}
/// Reads a province code.
pub fn province(code: &str, vintage: Vintage) -> Conversion<Province> {
    let _ = (code, vintage);
    todo!()
}
/// Communes of today, all or of one province.
pub fn communes(province_code: Option<&str>) -> impl Iterator<Item = CommuneUnit> {
    let _ = province_code;
    std::iter::empty()
}
/// Communes until June 2025, all or of one old province.
pub fn old_communes(province_code: Option<&str>) -> impl Iterator<Item = CommuneUnit> {
    let _ = province_code;
    std::iter::empty()
}
