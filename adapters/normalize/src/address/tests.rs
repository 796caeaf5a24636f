use std::collections::{HashMap, HashSet};

use super::units::{COMMUNES, CROSSWALK, PROVINCES, fields};
use super::*;

fn read(code: &str, name: &str, vintage: Vintage) -> Converted<Commune> {
    commune(code, Some(name).filter(|name| !name.is_empty()), vintage).unwrap()
}

#[test]
fn every_row_is_read() {
    assert!(CROSSWALK.lines().all(|line| fields::<12>(line).is_some()));
    assert!(COMMUNES.lines().all(|line| fields::<5>(line).is_some()));
    assert!(PROVINCES.lines().all(|line| fields::<4>(line).is_some()));
    assert_eq!(communes(None).count(), 3321);
    assert_eq!(UNITS.olds.iter().map(|old| old.targets.len()).sum::<usize>() + 5, 10602);
    // 10,035 coded communes and five districts without communes.
    assert_eq!(old_communes(None).count(), 10040);
    assert_eq!(UNITS.olds.iter().filter(|old| old.main_target().is_none()).count(), 5);
    let codes: HashSet<_> = communes(None).map(|unit| unit.code).collect();
    assert!(UNITS.olds.iter().flat_map(|old| &old.targets).all(|target| codes.contains(target.code)));
}

#[test]
fn gia_lai_counts_as_published() {
    assert_eq!(communes(Some("52")).count(), 135);
    assert_eq!(communes(Some("52")).filter(|unit| unit.name.starts_with("Phường")).count(), 25);
    assert_eq!((old_communes(Some("52")).count(), old_communes(Some("64")).count()), (155, 218));
    let divided: HashSet<_> = old_communes(Some("52"))
        .chain(old_communes(Some("64")))
        .filter(|unit| commune(unit.code, None, Vintage::Pre2025).unwrap().value.map_kind == MapKind::Divided)
        .map(|unit| unit.code)
        .collect();
    assert_eq!(divided, HashSet::from(["21634", "21997", "22000"]));
}

#[test]
fn map_kinds_count_as_in_the_source() {
    let mut counts = HashMap::new();
    for unit in old_communes(None) {
        let converted = commune(unit.code, None, Vintage::Pre2025).unwrap();
        assert_eq!(converted.notes.contains(Note::CommuneDivided), converted.value.map_kind == MapKind::Divided);
        assert_eq!(converted.notes.contains(Note::CommuneUnmapped), converted.value.map_kind == MapKind::Unmapped);
        *counts.entry(format!("{:?}", converted.value.map_kind)).or_insert(0) += 1;
    }
    assert_eq!(counts, HashMap::from([("Whole".into(), 9564), ("Divided".into(), 471), ("Unmapped".into(), 5)]));
}

#[test]
fn a_code_means_what_its_vintage_says() {
    let old = read("21583", "", Vintage::Pre2025).value;
    assert_eq!(
        (old.name, old.mapped_code, old.mapped_name),
        (Some("Phường Thị Nại"), Some("21583"), Some("Phường Quy Nhơn"))
    );
    let merged = read("21556", "", Vintage::Pre2025).value;
    assert_eq!(
        (merged.name, merged.mapped_code, merged.mapped_province_code),
        (Some("Phường Đống Đa"), Some("21583"), Some("52"))
    );
    let new = read("21583", "", Vintage::Post2025).value;
    assert_eq!((new.name, new.map_kind), (Some("Phường Quy Nhơn"), MapKind::Current));
    assert_eq!(commune("21556", None, Vintage::Post2025), Err(Defect::UnknownCode));
}

#[test]
fn written_names_decide_an_unknown_vintage() {
    for (written, vintage) in [
        ("Phường Thị Nại, TP Quy Nhơn, Bình Định", Vintage::Pre2025),
        ("12 Trần Hưng Đạo, P. Thị Nại, Quy Nhơn", Vintage::Pre2025),
        ("thi nai, tp. quy nhon", Vintage::Pre2025),
        ("Phường Quy Nhơn, tỉnh Gia Lai", Vintage::Post2025),
        ("P.Quy Nhơn, Gia Lai", Vintage::Post2025),
        ("Khu phố Thị Nại, phường Quy Nhơn", Vintage::Post2025),
        ("Quy Nhơn", Vintage::Post2025),
        ("PHƯỜNG THỊ NẠI", Vintage::Pre2025),
        ("12 Trần Hưng Đạo", Vintage::Unknown),
        ("", Vintage::Unknown),
        ("Thị Nại, Quy Nhơn", Vintage::Unknown),
    ] {
        let converted = read("21583", written, Vintage::Unknown);
        assert_eq!(converted.value.vintage, vintage, "{written}");
        // Either reading leads to Quy Nhơn, so nothing is lost.
        assert_eq!(converted.value.mapped_code, Some("21583"), "{written}");
        assert!(converted.notes.is_empty(), "{written}");
    }
    assert_eq!(read("21556", "", Vintage::Unknown).value.vintage, Vintage::Pre2025);
}

#[test]
fn an_undecided_vintage_that_matters_is_noted() {
    // 00118 is one of the 27 whose main part went to another unit.
    let undecided = read("00118", "", Vintage::Unknown);
    assert_eq!(undecided.notes, Note::VintageUnknown.into());
    assert_eq!((undecided.value.mapped_code, undecided.value.map_kind), (None, MapKind::Unmapped));
    // Where a divided unit's main part kept the code, either reading leads to the same unit.
    let divided: Vec<_> = communes(None)
        .filter(|unit| read(unit.code, "", Vintage::Unknown).notes == Note::CommuneDivided.into())
        .collect();
    assert!(divided.iter().all(|unit| read(unit.code, "", Vintage::Unknown).value.mapped_code == Some(unit.code)));
    assert!(!divided.is_empty());
    let shared: Vec<_> = communes(None).filter(|unit| UNITS.old(unit.code).is_some()).collect();
    assert_eq!(shared.len(), 3316);
    let lost = |unit: &&CommuneUnit| read(unit.code, "", Vintage::Unknown).notes.contains(Note::VintageUnknown);
    assert_eq!(shared.iter().filter(lost).count(), 27);
}

#[test]
fn names_of_the_lists_decide_for_themselves() {
    let mut wrong = Vec::new();
    for unit in communes(None) {
        let Some(old) = UNITS.old(unit.code).filter(|old| old.unit.name != unit.name) else { continue };
        if crate::marked_key(old.unit.name) == crate::marked_key(unit.name) {
            continue; // Five differ in capitals only.
        }
        let address = format!("{}, {}, {}", old.unit.name, old.unit.district, old.unit.province);
        if read(unit.code, &address, Vintage::Unknown).value.vintage != Vintage::Pre2025 {
            wrong.push(address);
        }
        let address = format!("{}, {}", unit.name, unit.province);
        if read(unit.code, &address, Vintage::Unknown).value.vintage != Vintage::Post2025 {
            wrong.push(address);
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn lost_zeros_and_wrong_codes() {
    assert_eq!(read("1234", "", Vintage::Unknown).value.code, "01234");
    assert!(read("1234", "", Vintage::Unknown).notes.contains(Note::LeadingZeroRestored));
    for (code, defect) in [
        ("123", Defect::WrongLength),
        ("21583x", Defect::NotDigits),
        ("99999", Defect::UnknownCode),
        ("00000", Defect::Placeholder),
        ("", Defect::Empty),
        ("-", Defect::Placeholder),
    ] {
        assert_eq!(commune(code, None, Vintage::Unknown), Err(defect), "{code}");
    }
    let island = read("498", "", Vintage::Pre2025);
    assert_eq!((island.value.name, island.value.map_kind), (Some("Huyện Hoàng Sa"), MapKind::Unmapped));
}

#[test]
fn provinces_lead_to_today() {
    for (code, vintage, name, today) in [
        ("52", Vintage::Pre2025, Some("Tỉnh Bình Định"), "52"),
        ("64", Vintage::Pre2025, Some("Tỉnh Gia Lai"), "52"),
        ("52", Vintage::Post2025, Some("Tỉnh Gia Lai"), "52"),
        ("64", Vintage::Unknown, Some("Tỉnh Gia Lai"), "52"),
        ("52", Vintage::Unknown, None, "52"),
        ("1", Vintage::Unknown, Some("Thành phố Hà Nội"), "01"),
    ] {
        let province = province(code, vintage).unwrap().value;
        assert_eq!((province.name, province.mapped_code), (name, today), "{code} {vintage:?}");
    }
    assert_eq!(province("64", Vintage::Post2025), Err(Defect::UnknownCode));
    assert_eq!(province("99", Vintage::Unknown), Err(Defect::UnknownCode));
    for unit in communes(None) {
        let of_old = UNITS.old_province(unit.province_code).unwrap();
        assert_eq!(of_old.mapped_code, unit.province_code);
    }
}
