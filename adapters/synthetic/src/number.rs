//! Numbers of people, firms and units. Each is unique because it is a one-to-one image of an index, not because it was
//! looked up; prefixes and ranges are those of the registers except for tax codes, whose prefix 00 no office has.

use crate::date::Date;

/// Most people a plan may have; beyond it the serial part of personal numbers would repeat.
pub(crate) const PEOPLE_MAX: u64 = 2_000_000;

/// Indexes with equal serials in a personal number are this far apart.
const SERIALS: u64 = 1_000_000;

/// Prefixes of provinces other than the two of today's Gia Lai.
const OTHER_PREFIXES: [&str; 60] = [
    "001", "002", "004", "006", "008", "010", "011", "012", "014", "015", "017", "019", "020", "022", "024", "025",
    "026", "027", "030", "031", "033", "034", "035", "036", "037", "038", "040", "042", "044", "045", "046", "048",
    "049", "051", "054", "056", "058", "060", "062", "066", "067", "068", "070", "072", "074", "075", "077", "079",
    "080", "082", "083", "084", "086", "087", "089", "091", "092", "093", "094", "095",
];

/// The two old provinces of today's Gia Lai.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    /// Bình Định.
    Coast,
    /// Gia Lai.
    Highland,
}

impl Region {
    /// Which region a block of people lives in. Two people with equal serials never share a region, so their personal
    /// numbers differ.
    pub(crate) fn of(hash: u64, first_index: u64) -> Self {
        let odd_window = (first_index / SERIALS) % 2 == 1;
        if (hash % 100 < 55) != odd_window { Self::Coast } else { Self::Highland }
    }

    pub(crate) fn old_province(self) -> &'static str {
        match self {
            Self::Coast => "52",
            Self::Highland => "64",
        }
    }

    fn personal_prefix(self) -> &'static str {
        match self {
            Self::Coast => "052",
            Self::Highland => "064",
        }
    }
}

/// `PPP G YY NNNNNN`. `elsewhere` picks a prefix outside the region for births registered in another province.
pub(crate) fn personal_id(index: u64, region: Region, elsewhere: Option<usize>, male: bool, birth: Date) -> String {
    let window = (index / SERIALS) as usize % 2;
    let prefix = match elsewhere {
        // Even places for one window, odd for the other: the same reason as in `Region::of`.
        Some(choice) => OTHER_PREFIXES[(choice * 2 + window) % OTHER_PREFIXES.len()],
        None => region.personal_prefix(),
    };
    let century = (u64::from(birth.year) - 1900) / 100 * 2 + u64::from(!male);
    let serial = scatter(index, SERIALS, 387_420_489);
    format!("{prefix}{century}{:02}{serial:06}", birth.year % 100)
}

/// Nine digits with the old prefix of the province. The second number of a person lies in a range of its own.
pub(crate) fn legacy_id(index: u64, region: Region, second: bool) -> String {
    let prefix = if region == Region::Coast { "21" } else { "23" };
    let offset = if second { 5_000_000 } else { 0 };
    format!("{prefix}{:07}", scatter(index + offset, 10_000_000, 387_420_489))
}

/// Ten digits beginning with the province's code.
pub(crate) fn insurance_number(index: u64, region: Region, second: bool) -> String {
    let offset = if second { 50_000_000 } else { 0 };
    format!("{}{:08}", region.old_province(), scatter(index + offset, 100_000_000, 387_420_489))
}

/// Seven digits, the first given by the kind of unit.
pub(crate) fn budget_unit_code(index: u64, kind_digit: u8) -> String {
    format!("{kind_digit}{:06}", scatter(index, 1_000_000, 387_420_489))
}

/// The enterprise code of a firm: the first issuable of three numbers that belong to its index. Of three consecutive
/// numbers at most one carries, and a step without carry changes the remainder, so one of them is always issuable.
pub(crate) fn enterprise_code(index: u64) -> String {
    (1..=3)
        .find_map(|step| {
            let stem = format!("00{:07}", index * 3 + step);
            check_digit(&stem).map(|digit| format!("{stem}{digit}"))
        })
        .unwrap_or_default()
}

/// The check digit of a nine-digit stem, if it may be issued.
pub(crate) fn check_digit(stem: &str) -> Option<u8> {
    const WEIGHTS: [u32; 9] = [31, 29, 23, 19, 17, 13, 7, 5, 3];
    let sum: u32 = stem.bytes().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    match sum % 11 {
        0 => None,
        remainder => Some((10 - remainder) as u8),
    }
}

/// A tax code with another check digit than the right one.
pub(crate) fn with_wrong_check_digit(code: &str) -> String {
    let mut digits: Vec<u8> = code.bytes().collect();
    if let Some(digit) = digits.get_mut(9) {
        *digit = b'0' + (*digit - b'0' + 3) % 10;
    }
    digits.into_iter().map(char::from).collect()
}

/// A one-to-one scattering of `0..range`; `factor` has no common divisor with a power of ten.
fn scatter(index: u64, range: u64, factor: u64) -> u64 {
    ((u128::from(index % range) * u128::from(factor) + 271_828) % u128::from(range)) as u64
}
