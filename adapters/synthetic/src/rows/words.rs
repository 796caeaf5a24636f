//! Words the registers share: offices, peoples, countries, canonical codes of documents.

use crate::{chance::mix, place::Link};

/// Ethnicities the families of this crate have: canonical code, names as clerks write them.
pub(super) const ETHNICITIES: [(&str, &[&str]); 7] = [
    ("01", &["Kinh"]),
    ("02", &["Tày"]),
    ("06", &["Mường"]),
    ("07", &["Nùng"]),
    ("10", &["Gia-rai", "Gia Rai", "Jrai"]),
    ("13", &["Ba na", "Ba-na", "Bahnar", "Ba na (Rơ Ngao)"]),
    ("17", &["Chăm"]),
];

/// The name of an ethnicity as some clerk writes it.
pub(super) fn ethnicity_name(code: &str, hash: u64) -> &'static str {
    match ETHNICITIES.iter().find(|(known, _)| *known == code) {
        Some((_, names)) => names[(hash % names.len() as u64) as usize],
        None => "Hrê",
    }
}

/// Canonical codes of identity documents.
pub(super) const CARD: &str = "CCCD";
pub(super) const OLD_CARD: &str = "CMND";
pub(super) const PASSPORT: &str = "PASSPORT";

/// Who issued cards and passports.
pub(super) const CARD_ISSUER: &str = "Cục Cảnh sát quản lý hành chính về trật tự xã hội";
pub(super) const PASSPORT_ISSUER: &str = "Cục Quản lý xuất nhập cảnh";

pub(super) fn old_card_issuer(home: &Link) -> String {
    format!("Công an {}", home.old_province.replace("Tỉnh", "tỉnh").replace("Thành phố", "thành phố"))
}

/// A clerk or official by a hash; they are in no register of people.
pub(super) fn official(hash: u64) -> String {
    const FAMILIES: [&str; 6] = ["Nguyễn", "Trần", "Lê", "Võ", "Phạm", "Đặng"];
    const MIDDLES: [&str; 5] = ["Văn", "Thị", "Minh", "Quốc", "Thanh"];
    const GIVEN: [&str; 8] = ["Hòa", "Bình", "Thủy", "Sơn", "Hương", "Lâm", "Tú", "Khánh"];
    let at = |salt, count: usize| (mix(hash, salt) % count as u64) as usize;
    format!("{} {} {}", FAMILIES[at(1, 6)], MIDDLES[at(2, 5)], GIVEN[at(3, 8)])
}

/// The office that registers civil status at a place. The old ones were named after the old unit.
pub(super) fn registry_office(link: &Link, year: u16) -> String {
    if year >= 2026 {
        format!("Ủy ban nhân dân {}, {}", link.new_name, link.new_province)
    } else {
        format!("Ủy ban nhân dân {}, {}, {}", link.old_name, link.old_district, link.old_province)
    }
}
