//! Firms and units of the state budget. What others refer to (code, name, seat) is a function of the index alone; who
//! leads them is chosen among the people of their home block.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    Plan,
    chance::{Domain, key, mix, pick, stream, weighted},
    date::{Date, PRESENT_YEAR},
    number::{self, Region},
    people::BLOCK,
    place::Place,
};

/// Every this many firms there is a branch of the firm before it.
const BRANCH_EVERY: u64 = 12;

impl Plan {
    pub(crate) fn blocks(&self) -> u64 {
        self.people.div_ceil(BLOCK)
    }

    pub(crate) fn firms(&self) -> u64 {
        self.people / 30 + 3
    }

    pub(crate) fn units(&self) -> u64 {
        self.people / 300 + 2
    }

    /// The firms at home in a block.
    pub(crate) fn firms_of(&self, block: u64) -> std::ops::Range<u64> {
        share(block, self.blocks(), self.firms())
    }

    /// The units at home in a block.
    pub(crate) fn units_of(&self, block: u64) -> std::ops::Range<u64> {
        share(block, self.blocks(), self.units())
    }
}

fn share(block: u64, blocks: u64, things: u64) -> std::ops::Range<u64> {
    (block * things).div_ceil(blocks)..((block + 1) * things).div_ceil(blocks)
}

/// A firm as registered, without its people.
#[derive(Debug)]
pub(crate) struct Firm {
    pub(crate) code: String,
    pub(crate) parent_code: Option<String>,
    pub(crate) kind: FirmKind,
    pub(crate) name: String,
    pub(crate) short_name: Option<String>,
    pub(crate) foreign_name: Option<String>,
    pub(crate) former_licence: Option<String>,
    pub(crate) founded: Date,
    pub(crate) amended: Option<Date>,
    pub(crate) amendments: u32,
    /// 1 to 7.
    pub(crate) status: u8,
    /// Thousandths of a đồng.
    pub(crate) capital: u64,
    pub(crate) seat: Place,
}

/// The legal forms, by the id of the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirmKind {
    Private = 1,
    SingleMember = 2,
    MultiMember = 3,
    JointStock = 4,
    Partnership = 5,
    Branch = 6,
    Office = 7,
    Location = 8,
}

impl Firm {
    pub(crate) fn new(plan: &Plan, index: u64) -> Self {
        let rng = &mut stream(plan.seed, Domain::Firm, index);
        let is_branch = index % BRANCH_EVERY == BRANCH_EVERY - 1;
        let kind = if is_branch {
            pick(rng, &[FirmKind::Branch, FirmKind::Branch, FirmKind::Office, FirmKind::Location])
        } else {
            weighted(
                rng,
                &[
                    (FirmKind::Private, 12),
                    (FirmKind::SingleMember, 45),
                    (FirmKind::MultiMember, 25),
                    (FirmKind::JointStock, 16),
                    (FirmKind::Partnership, 2),
                ],
            )
        };
        let parent_code = is_branch.then(|| number::enterprise_code(index - 1));
        let code = match &parent_code {
            Some(parent) => format!("{parent}-{:03}", 1 + index % 9),
            None => number::enterprise_code(index),
        };
        let founded = Date::between(rng, 1998, PRESENT_YEAR - 1);
        let amendments = rng.random_range(0..9);
        let proper = format!("{} {}", pick(rng, &NAMES), index + 1);
        let short = format!("{} {}", pick(rng, &SHORT_NAMES), index + 1);
        let millions: u64 = rng.random_range(50..90_000);
        // A few capitals were converted from foreign money and are no round number.
        let fraction = if rng.random_bool(0.05) { rng.random_range(1..1000) } else { 0 };
        Self {
            code,
            parent_code,
            kind,
            name: firm_name(rng, kind, &proper),
            foreign_name: rng.random_bool(0.4).then(|| format!("{} COMPANY LIMITED", short.to_uppercase())),
            short_name: rng.random_bool(0.5).then_some(short),
            former_licence: (founded.year < 2010).then(|| format!("35{:08}", mix(key("licence"), index) % 100_000_000)),
            founded,
            amended: (amendments > 0).then(|| Date::between(rng, founded.year + 1, PRESENT_YEAR)),
            amendments,
            status: weighted(rng, &[(1, 78), (2, 7), (3, 4), (4, 2), (5, 2), (6, 1), (7, 6)]),
            capital: if is_branch { 0 } else { millions * 1_000_000_000 + fraction },
            seat: seat(rng),
        }
    }
}

fn firm_name(rng: &mut ChaCha8Rng, kind: FirmKind, proper: &str) -> String {
    let trade = pick(rng, &TRADES);
    let name = match kind {
        FirmKind::Private => format!("Doanh nghiệp tư nhân {proper}"),
        FirmKind::SingleMember => format!("Công ty TNHH một thành viên {trade} {proper}"),
        FirmKind::MultiMember => format!("Công ty TNHH {trade} {proper}"),
        FirmKind::JointStock => format!("Công ty cổ phần {trade} {proper}"),
        FirmKind::Partnership => format!("Công ty hợp danh {proper}"),
        FirmKind::Branch => format!("Chi nhánh Công ty {trade} {proper}"),
        FirmKind::Office => format!("Văn phòng đại diện Công ty {trade} {proper}"),
        FirmKind::Location => format!("Địa điểm kinh doanh {proper}"),
    };
    if rng.random_bool(0.6) { name.to_uppercase() } else { name }
}

fn seat(rng: &mut ChaCha8Rng) -> Place {
    let region = if rng.random_bool(0.55) { Region::Coast } else { Region::Highland };
    Place::within(rng, region)
}

/// A unit of the budget, without its head.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) code: String,
    pub(crate) parent_code: Option<String>,
    pub(crate) name: String,
    pub(crate) kind: UnitKind,
    /// 1 central, 2 province, 3 district, 4 commune.
    pub(crate) level: u8,
    pub(crate) chapter: &'static str,
    pub(crate) decision_number: String,
    pub(crate) decided: Date,
    pub(crate) seat: Place,
    pub(crate) closed: Option<Date>,
}

/// Kinds of unit, by the first digit of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnitKind {
    BudgetUnit = 1,
    BudgetUser = 2,
    Other = 3,
    Project = 7,
}

impl Unit {
    pub(crate) fn new(plan: &Plan, index: u64) -> Self {
        let rng = &mut stream(plan.seed, Domain::Unit, index);
        let kind = unit_kind(index);
        let seat = seat(rng);
        let (head, level, chapter) = match kind {
            UnitKind::Project => ("Dự án đầu tư hạ tầng", 2, "599"),
            UnitKind::Other => ("Hội Chữ thập đỏ", 4, "860"),
            _ => weighted(
                rng,
                &[
                    (("Ủy ban nhân dân", 4, "805"), 4),
                    (("Trường Tiểu học", 4, "822"), 5),
                    (("Trường Trung học cơ sở", 4, "822"), 4),
                    (("Trạm Y tế", 4, "823"), 3),
                    (("Phòng Tài chính - Kế hoạch", 3, "618"), 1),
                    (("Chi cục Kiểm lâm khu vực", 2, "412"), 1),
                ],
            ),
        };
        let name = if head == "Ủy ban nhân dân" {
            format!("{head} {}", seat.link.new_name)
        } else {
            format!("{head} số {} {}", index + 1, seat.link.new_name)
        };
        let decided = Date::between(rng, 2009, 2024);
        // The district level ended with June 2025.
        let closed = (level == 3).then(|| Date::day(2025, 6, 30));
        Self {
            code: number::budget_unit_code(index, kind as u8),
            parent_code: (index > 0 && index.is_multiple_of(3))
                .then(|| number::budget_unit_code(index - 1, unit_kind(index - 1) as u8)),
            name,
            kind,
            level,
            chapter,
            decision_number: format!("{}/QĐ-STC", rng.random_range(1..3000)),
            decided,
            seat,
            closed,
        }
    }
}

fn unit_kind(index: u64) -> UnitKind {
    match mix(key("unit_kind"), index) % 20 {
        0..=9 => UnitKind::BudgetUnit,
        10..=16 => UnitKind::BudgetUser,
        17 => UnitKind::Other,
        _ => UnitKind::Project,
    }
}

/// The region a unit's office or a firm's tax office is named after.
const NAMES: [&str; 16] = [
    "Hòa Phát",
    "Thủy Tiên",
    "Đại Thành",
    "Tây Nguyên Xanh",
    "Hoàng Gia",
    "Phú Quý",
    "Minh Khuê",
    "Đông Dương",
    "Trường Hải Âu",
    "Thành Công",
    "Việt Hưng",
    "Ngọc Bích",
    "Khánh Hòa Lộc",
    "An Khang",
    "Đức Tín",
    "Bảo Châu",
];
const SHORT_NAMES: [&str; 6] = ["HPT", "TT Green", "Dai Thanh", "Viet Hung", "NB Trading", "AK Invest"];
const TRADES: [&str; 8] =
    ["Thương mại", "Xây dựng", "Dịch vụ vận tải", "Chế biến nông sản", "Thủy sản", "Cà phê", "Gỗ và đá", "Công nghệ"];

/// Industry codes with their edition of VSIC.
pub(crate) const INDUSTRIES: [(&str, &str, u16); 14] = [
    ("0126", "Trồng cây cà phê", 2018),
    ("0125", "Trồng cây cao su", 2018),
    ("0321", "Nuôi trồng thủy sản biển", 2018),
    ("1629", "Sản xuất sản phẩm khác từ gỗ", 2018),
    ("41010", "Xây dựng nhà để ở", 2018),
    ("41020", "Xây dựng nhà không để ở", 2018),
    ("4632", "Bán buôn thực phẩm", 2018),
    ("4933", "Vận tải hàng hóa bằng đường bộ", 2018),
    ("5510", "Dịch vụ lưu trú ngắn ngày", 2025),
    ("5610", "Nhà hàng và dịch vụ ăn uống", 2025),
    ("6201", "Lập trình máy vi tính", 2018),
    ("6810", "Kinh doanh bất động sản", 2025),
    ("7110", "Hoạt động kiến trúc và tư vấn kỹ thuật", 2025),
    ("47110", "Bán lẻ tổng hợp", 2018),
];
