//! The lists of administrative units, read once from `data/`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{CommuneUnit, Province, Vintage};

pub(super) const COMMUNES: &str = include_str!("../../data/communes_2025.csv");
pub(super) const CROSSWALK: &str = include_str!("../../data/crosswalk_communes.csv");
pub(super) const PROVINCES: &str = include_str!("../../data/crosswalk_provinces.csv");

/// A commune of the old list and where it went.
pub(super) struct OldCommune {
    pub(super) unit: CommuneUnit,
    pub(super) targets: Vec<Target>,
}

impl OldCommune {
    /// The unit of today that took the main part.
    pub(super) fn main_target(&self) -> Option<&Target> {
        self.targets.iter().find(|target| target.is_main)
    }
}

/// A unit of today that took an old one or a part of it.
pub(super) struct Target {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    pub(super) province_code: &'static str,
    is_main: bool,
}

pub(super) struct Units {
    pub(super) olds: Vec<OldCommune>,
    pub(super) currents: Vec<CommuneUnit>,
    old_by_code: HashMap<&'static str, usize>,
    current_by_code: HashMap<&'static str, usize>,
    old_provinces: HashMap<&'static str, Province>,
    current_provinces: HashMap<&'static str, Province>,
}

impl Units {
    pub(super) fn old(&self, code: &str) -> Option<&OldCommune> {
        self.olds.get(*self.old_by_code.get(code)?)
    }

    pub(super) fn current(&self, code: &str) -> Option<&CommuneUnit> {
        self.currents.get(*self.current_by_code.get(code)?)
    }

    pub(super) fn old_province(&self, code: &str) -> Option<&Province> {
        self.old_provinces.get(code)
    }

    pub(super) fn current_province(&self, code: &str) -> Option<&Province> {
        self.current_provinces.get(code)
    }
}

pub(super) static UNITS: LazyLock<Units> = LazyLock::new(|| {
    let currents: Vec<CommuneUnit> = rows(COMMUNES).filter_map(current).collect();
    let mut olds: Vec<OldCommune> = Vec::new();
    let mut old_by_code = HashMap::new();
    for (unit, target) in rows(CROSSWALK).filter_map(crosswalk) {
        let index = *old_by_code.entry(unit.code).or_insert_with(|| {
            olds.push(OldCommune { unit, targets: Vec::new() });
            olds.len() - 1
        });
        olds[index].targets.extend(target);
    }
    let (mut old_provinces, mut current_provinces) = (HashMap::new(), HashMap::new());
    for [old_code, old_name, code, name] in rows(PROVINCES).filter_map(fields) {
        let current =
            Province { code, vintage: Vintage::Post2025, name: Some(name), mapped_code: code, mapped_name: name };
        let old = Province { code: old_code, vintage: Vintage::Pre2025, name: Some(old_name), ..current.clone() };
        old_provinces.insert(old_code, old);
        current_provinces.insert(code, current);
    }
    Units {
        current_by_code: currents.iter().enumerate().map(|(index, unit)| (unit.code, index)).collect(),
        olds,
        currents,
        old_by_code,
        old_provinces,
        current_provinces,
    }
});

/// The lines after the heading.
fn rows(csv: &'static str) -> impl Iterator<Item = &'static str> {
    csv.lines().skip(1)
}

/// The fields of a line, if there are as many as expected; none holds a comma or quote.
pub(super) fn fields<const COUNT: usize>(line: &'static str) -> Option<[&'static str; COUNT]> {
    let mut parts = line.split(',');
    let mut fields = [""; COUNT];
    for field in &mut fields {
        *field = parts.next()?;
    }
    parts.next().is_none().then_some(fields)
}

fn current(line: &'static str) -> Option<CommuneUnit> {
    let [code, name, _, province_code, province] = fields(line)?;
    Some(CommuneUnit { code, name, district_code: "", district: "", province_code, province })
}

/// An old commune and its target. Five island districts had no communes: they stand for themselves, without a target.
fn crosswalk(line: &'static str) -> Option<(CommuneUnit, Option<Target>)> {
    let [code, name, district_code, district, province_code, province, rest @ ..] = fields::<12>(line)?;
    let [new_code, new_name, new_province_code, _, _, is_default] = rest;
    let (code, name) = if code.is_empty() { (district_code, district) } else { (code, name) };
    let unit = CommuneUnit { code, name, district_code, district, province_code, province };
    let target =
        Target { code: new_code, name: new_name, province_code: new_province_code, is_main: is_default == "1" };
    Some((unit, (!new_code.is_empty()).then_some(target)))
}
