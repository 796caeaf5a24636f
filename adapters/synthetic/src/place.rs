//! Places: the administrative units of both vintages, read from the crosswalk file itself.

use std::sync::LazyLock;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{chance::pick, number::Region};

const CROSSWALK: &str = include_str!("../../normalize/data/crosswalk_communes.csv");

/// An old commune and the commune of today that took it, or a part of it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) old_code: &'static str,
    pub(crate) old_name: &'static str,
    pub(crate) old_district_code: &'static str,
    pub(crate) old_district: &'static str,
    pub(crate) old_province_code: &'static str,
    pub(crate) old_province: &'static str,
    pub(crate) new_code: &'static str,
    pub(crate) new_name: &'static str,
    pub(crate) new_province_code: &'static str,
    pub(crate) new_province: &'static str,
    /// The old unit was divided.
    pub(crate) is_divided: bool,
}

struct Links {
    coast: Vec<Link>,
    highland: Vec<Link>,
    elsewhere: Vec<Link>,
}

static LINKS: LazyLock<Links> = LazyLock::new(|| {
    let mut links = Links { coast: Vec::new(), highland: Vec::new(), elsewhere: Vec::new() };
    for link in CROSSWALK.lines().skip(1).filter_map(link) {
        match link.old_province_code {
            "52" => links.coast.push(link),
            "64" => links.highland.push(link),
            _ if !link.is_divided => links.elsewhere.push(link),
            _ => {}
        }
    }
    links
});

/// A line of the crosswalk; nothing for the islands that have no successor.
fn link(line: &'static str) -> Option<Link> {
    let columns: Vec<&'static str> = line.split(',').collect();
    let [
        old_code,
        old_name,
        old_district_code,
        old_district,
        old_province_code,
        old_province,
        new_code,
        new_name,
        new_province_code,
        new_province,
        kind,
        _,
    ] = columns[..]
    else {
        return None;
    };
    (!old_code.is_empty() && !new_code.is_empty()).then_some(Link {
        old_code,
        old_name,
        old_district_code,
        old_district,
        old_province_code,
        old_province,
        new_code,
        new_name,
        new_province_code,
        new_province,
        is_divided: kind == "divided",
    })
}

/// An address: a unit and what stands before it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) link: &'static Link,
    /// House, street, hamlet.
    pub(crate) detail: String,
}

/// How a register wrote an address down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Codes of today, names of today in the text.
    Today,
    /// Codes of today, no unit named in the text.
    TodayUnnamed,
    /// Codes until June 2025, old names and district in the text.
    Old,
    /// Codes until June 2025, no unit named in the text: nothing tells the vintage.
    OldUnnamed,
}

impl Style {
    pub(crate) fn is_old(self) -> bool {
        matches!(self, Self::Old | Self::OldUnnamed)
    }
}

impl Place {
    /// A place in a region.
    pub(crate) fn within(rng: &mut ChaCha8Rng, region: Region) -> Self {
        let links = match region {
            Region::Coast => &LINKS.coast,
            Region::Highland => &LINKS.highland,
        };
        Self { link: &links[rng.random_range(0..links.len())], detail: detail(rng, region) }
    }

    /// A place in another province.
    pub(crate) fn elsewhere(rng: &mut ChaCha8Rng) -> Self {
        let links = &LINKS.elsewhere;
        Self { link: &links[rng.random_range(0..links.len())], detail: detail(rng, Region::Coast) }
    }

    /// The text as a register of the given style writes it.
    pub(crate) fn text(&self, style: Style) -> String {
        let Self { link, detail } = self;
        match style {
            Style::Today => format!("{detail}, {}, {}", link.new_name, link.new_province),
            Style::Old => format!("{detail}, {}, {}, {}", link.old_name, link.old_district, link.old_province),
            Style::TodayUnnamed | Style::OldUnnamed => detail.clone(),
        }
    }

    pub(crate) fn commune_code(&self, style: Style) -> &'static str {
        if style.is_old() { self.link.old_code } else { self.link.new_code }
    }

    pub(crate) fn province_code(&self, style: Style) -> &'static str {
        if style.is_old() { self.link.old_province_code } else { self.link.new_province_code }
    }

    /// Registers that named the old units had the district's code too.
    pub(crate) fn district_code(&self, style: Style) -> Option<&'static str> {
        (style == Style::Old).then_some(self.link.old_district_code)
    }
}

/// Streets and hamlets that are no commune's name, so that they never decide a vintage.
const STREETS: [&str; 8] = [
    "Nguyễn Huệ",
    "Xuân Diệu",
    "Phan Bội Châu",
    "Nguyễn Thái Học",
    "Hai Bà Trưng",
    "Võ Văn Dũng",
    "Biên Cương",
    "Cách Mạng Tháng Tám",
];
const VILLAGES: [&str; 8] =
    ["Plei Chuet", "Plei Kép", "Kon Mahar", "Bông Hiot", "Plei Ring", "Groi", "Kép Ping", "Tơ Nùng"];

fn detail(rng: &mut ChaCha8Rng, region: Region) -> String {
    match (rng.random_range(0..10), region) {
        (0..3, _) => format!("Số {} đường {}", rng.random_range(1..400), pick(rng, &STREETS)),
        (3..6, _) => format!("Tổ {}", rng.random_range(1..30)),
        (_, Region::Highland) => format!("Làng {}", pick(rng, &VILLAGES)),
        (_, Region::Coast) => format!("Thôn {}", rng.random_range(1..12)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_crosswalk_is_read_but_the_islands() {
        assert_eq!(CROSSWALK.lines().skip(1).filter(|line| line.split(',').count() != 12).count(), 0);
        assert_eq!(LINKS.coast.len() + LINKS.highland.len(), 376);
        assert!(LINKS.elsewhere.len() > 9_000);
    }

    #[test]
    fn streets_and_villages_are_no_communes() {
        for link in LINKS.coast.iter().chain(&LINKS.highland) {
            for name in [link.old_name, link.new_name, link.old_district] {
                let short = ["Phường ", "Xã ", "Thị trấn ", "Thành phố ", "Thị xã ", "Huyện "]
                    .iter()
                    .find_map(|kind| name.strip_prefix(kind))
                    .unwrap();
                assert!(STREETS.iter().chain(&VILLAGES).all(|word| *word != short), "{name}");
            }
        }
    }
}
