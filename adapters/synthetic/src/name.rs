//! Names by people, region and cohort. A name is made in the parts the population register keeps and read as one whole:
//! in some peoples of the highlands the first word is no family name.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    chance::{pick, weighted},
    number::Region,
};

/// A name in the parts of the population register.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) family: Option<String>,
    pub(crate) middle: Option<String>,
    pub(crate) given: String,
}

impl Name {
    pub(crate) fn full(&self) -> String {
        [self.family.as_deref(), self.middle.as_deref(), Some(self.given.as_str())]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The peoples a family may belong to, by the code of the ethnicity list.
pub(crate) fn ethnicity(rng: &mut ChaCha8Rng, region: Region) -> &'static str {
    match region {
        Region::Coast => weighted(rng, &[("01", 970), ("13", 10), ("19", 10), ("17", 10)]),
        Region::Highland => weighted(rng, &[("01", 540), ("10", 300), ("13", 120), ("02", 15), ("07", 15), ("06", 10)]),
    }
}

/// A family name: absent for peoples that have none.
pub(crate) fn family(rng: &mut ChaCha8Rng, ethnicity: &str, region: Region) -> Option<String> {
    let name = match (ethnicity, region) {
        ("10", _) => pick(rng, &["Rơ Châm", "Siu", "Kpă", "Ksor", "Rah Lan", "Rơ Mah", "Nay"]),
        ("13", _) if rng.random_bool(0.5) => return None,
        ("13" | "19", _) => "Đinh",
        (_, Region::Coast) => weighted(rng, FAMILIES_COAST),
        (_, Region::Highland) => weighted(rng, FAMILIES_HIGHLAND),
    };
    Some(name.to_owned())
}

/// A name of a person born into a family.
pub(crate) fn person(
    rng: &mut ChaCha8Rng,
    ethnicity: &str,
    family: Option<&str>,
    mother_family: Option<&str>,
    male: bool,
    year: u16,
) -> Name {
    if matches!(ethnicity, "10" | "13" | "19") {
        return highland(rng, ethnicity, family, male);
    }
    let words = if male {
        weighted(rng, &[(2, 93), (3, 7275), (4, 2610), (5, 17)])
    } else {
        weighted(rng, &[(2, 20), (3, 3470), (4, 6460), (5, 50)])
    };
    let mut middle: Vec<&str> = Vec::new();
    if words > 2 && rng.random_bool(mark_of_sex(male, year)) {
        middle.push(if male { "Văn" } else { "Thị" });
    }
    while middle.len() + 2 < words {
        let word = match mother_family {
            Some(name) if middle.is_empty() && words > 3 && rng.random_bool(0.2) && !name.contains(' ') => name,
            _ => pick(rng, if male { &MIDDLE_MEN } else { &MIDDLE_WOMEN }),
        };
        if !middle.contains(&word) {
            middle.push(word);
        }
    }
    let given = loop {
        let given = weighted(rng, if male { GIVEN_MEN } else { GIVEN_WOMEN });
        if !middle.contains(&given) {
            break given;
        }
    };
    Name {
        family: family.map(str::to_owned),
        middle: (!middle.is_empty()).then(|| middle.join(" ")),
        given: given.to_owned(),
    }
}

/// How often a cohort has the middle word that tells the sex.
fn mark_of_sex(male: bool, year: u16) -> f64 {
    match (male, year) {
        (false, ..1970) => 0.75,
        (false, ..1990) => 0.55,
        (false, ..2005) => 0.40,
        (false, _) => 0.18,
        (true, ..1970) => 0.50,
        (true, ..1990) => 0.35,
        (true, ..2005) => 0.20,
        (true, _) => 0.03,
    }
}

fn highland(rng: &mut ChaCha8Rng, ethnicity: &str, family: Option<&str>, male: bool) -> Name {
    let word = pick(rng, if male { &HIGHLAND_MEN } else { &HIGHLAND_WOMEN });
    let prefixed = match (ethnicity, male) {
        ("10", false) => format!("H'{word}"),
        ("13", true) if family.is_none() => format!("A {word}"),
        ("13", false) if family.is_none() => format!("Y {word}"),
        _ => word.to_owned(),
    };
    match family {
        // Given name first.
        Some(family) if ethnicity == "10" && !male && rng.random_bool(0.2) => {
            Name { family: Some(prefixed), middle: None, given: family.to_owned() }
        }
        // A single word.
        Some(_) if rng.random_bool(0.01) => Name { family: None, middle: None, given: word.to_owned() },
        family => Name { family: family.map(str::to_owned), middle: None, given: prefixed },
    }
}

const FAMILIES_HIGHLAND: &[(&str, u32)] = &[
    ("Nguyễn", 2964),
    ("Trần", 1014),
    ("Lê", 837),
    ("Phạm", 593),
    ("Hoàng", 406),
    ("Phan", 318),
    ("Bùi", 268),
    ("Võ", 257),
    ("Hồ", 217),
    ("Vũ", 199),
    ("Đặng", 190),
    ("Đỗ", 178),
    ("Trương", 168),
    ("Huỳnh", 162),
    ("Ngô", 158),
    ("Đinh", 155),
    ("Dương", 123),
    ("Trịnh", 101),
    ("Nông", 98),
    ("Mai", 98),
    ("Hà", 97),
    ("Đoàn", 93),
    ("Lương", 89),
    ("Cao", 86),
    ("Đào", 76),
];

const FAMILIES_COAST: &[(&str, u32)] = &[
    ("Nguyễn", 3200),
    ("Trần", 1050),
    ("Lê", 870),
    ("Võ", 700),
    ("Phạm", 560),
    ("Huỳnh", 480),
    ("Đặng", 340),
    ("Hồ", 330),
    ("Phan", 330),
    ("Bùi", 230),
    ("Đỗ", 190),
    ("Trương", 190),
    ("Ngô", 170),
    ("Đinh", 150),
    ("Dương", 130),
    ("Mai", 110),
    ("Hà", 100),
    ("Đoàn", 100),
    ("Lương", 90),
    ("Cao", 90),
    ("Đào", 90),
    ("Tạ", 60),
    ("Châu", 50),
];

const MIDDLE_WOMEN: [&str; 14] =
    ["Ngọc", "Thu", "Thanh", "Kim", "Mỹ", "Bích", "Như", "Thùy", "Minh", "Quỳnh", "Hoài", "Tuyết", "Cẩm", "Hòa"];
const MIDDLE_MEN: [&str; 14] =
    ["Đức", "Hữu", "Quang", "Minh", "Thanh", "Công", "Đình", "Ngọc", "Quốc", "Xuân", "Trọng", "Hoàng", "Gia", "Thế"];

const GIVEN_WOMEN: &[(&str, u32)] = &[
    ("Trang", 419),
    ("Thảo", 352),
    ("Linh", 302),
    ("Anh", 246),
    ("Phương", 220),
    ("Hằng", 214),
    ("Huyền", 211),
    ("Hà", 207),
    ("Hiền", 203),
    ("Hương", 172),
    ("Ngọc", 172),
    ("Dung", 170),
    ("Nhung", 169),
    ("Thủy", 165),
    ("Nhi", 162),
    ("Lan", 150),
    ("Hồng", 150),
    ("Hoa", 150),
    ("Mai", 140),
    ("Thúy", 140),
    ("Vân", 130),
    ("Yến", 130),
    ("Trâm", 120),
    ("Diễm", 110),
    ("Hòa", 110),
    ("Loan", 110),
    ("Thơm", 90),
    ("Xuân", 90),
    ("Liễu", 80),
    ("Sương", 80),
    ("Thoa", 80),
    ("Đào", 60),
];

const GIVEN_MEN: &[(&str, u32)] = &[
    ("Tuấn", 271),
    ("Hoàng", 246),
    ("Huy", 223),
    ("Anh", 205),
    ("Hiếu", 199),
    ("Hùng", 198),
    ("Nam", 198),
    ("Sơn", 190),
    ("Đức", 188),
    ("Dũng", 170),
    ("Thành", 162),
    ("Đạt", 156),
    ("Cường", 156),
    ("Long", 155),
    ("Trung", 155),
    ("Hải", 142),
    ("Minh", 140),
    ("Phúc", 130),
    ("Bình", 130),
    ("Hòa", 130),
    ("Khánh", 120),
    ("Thắng", 120),
    ("Tâm", 110),
    ("Phương", 100),
    ("Lợi", 90),
    ("Toàn", 90),
    ("Hà", 80),
    ("Ngọc", 80),
    ("Khoa", 80),
    ("Thủy", 40),
    ("Linh", 40),
];

const HIGHLAND_WOMEN: [&str; 14] =
    ["Nguyệt", "Lan", "Đel", "Blĕ", "Nŭk", "Yuin", "Chim", "Bơi", "Ñui", "Mlơ", "Phyar", "Lin", "Hrih", "Đơn"];
const HIGHLAND_MEN: [&str; 14] =
    ["Hyuh", "Krơn", "Klơng", "Thuynh", "Bhim", "Brŏ", "Byuh", "Hmrưk", "Čơn", "Lăk", "Nhơi", "Tuin", "Đuch", "Blik"];
