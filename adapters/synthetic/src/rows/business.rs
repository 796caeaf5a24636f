//! Enterprise registration: the firms at home in a block, led and owned by its people.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::{insurance::decimal, message, some, words};
use crate::{
    Plan, Sector, SyntheticError,
    chance::{Domain, pick, stream},
    date::Date,
    draft::{Charset, Draft},
    organisation::{Firm, FirmKind, INDUSTRIES},
    output::{Keys, Output},
    people::{Block, Person},
};

const SECTOR: Sector = Sector::BusinessRegistry;

/// The code of a firm.
pub(super) fn code(plan: &Plan, firm: u64) -> String {
    Firm::new(plan, firm).code
}

pub(super) fn write(output: &mut Output<'_>, plan: &Plan, block: &Block) -> Result<(), SyntheticError> {
    let firms = plan.firms_of(block.index);
    for index in firms.clone() {
        enterprise(output, plan, block, index, index == firms.start)?;
    }
    Ok(())
}

/// Somebody who leads or owns: from the block, or an official name where the block has no adult.
struct Leader {
    name: String,
    personal_id: Option<String>,
}

impl Leader {
    fn of(person: &Person) -> Self {
        Self { name: person.name.full(), personal_id: person.personal_id.clone() }
    }

    fn drawn(rng: &mut ChaCha8Rng, block: &Block) -> Self {
        let hash = rng.random();
        match block.adult(hash) {
            Some(person) => Self::of(person),
            None => Self { name: words::official(hash), personal_id: None },
        }
    }
}

fn leaders(rng: &mut ChaCha8Rng, block: &Block, is_first: bool) -> Vec<Leader> {
    let mut leaders = vec![match block.everywhere().filter(|_| is_first) {
        Some(person) => Leader::of(person),
        None => Leader::drawn(rng, block),
    }];
    if rng.random_bool(0.12) {
        let second = Leader::drawn(rng, block);
        if leaders.iter().all(|leader| leader.personal_id != second.personal_id) {
            leaders.push(second);
        }
    }
    leaders
}

fn enterprise(
    output: &mut Output<'_>,
    plan: &Plan,
    block: &Block,
    index: u64,
    is_first: bool,
) -> Result<(), SyntheticError> {
    let firm = Firm::new(plan, index);
    let rng = &mut stream(plan.seed, Domain::Business, index);
    let leaders = leaders(rng, block, is_first);
    let id = index as i64 + 1;
    let mut draft = Draft::new(plan, "DOANH_NGHIEP", index, Charset::Unicode);
    draft.put("ENTERPRISE_ID", id);
    // The firm of the demonstration has its right code.
    let stored = if is_first && block.everywhere().is_some() {
        draft.put("ENTERPRISE_GDT_CODE", firm.code.as_str());
        Some(firm.code.clone())
    } else {
        draft.tax_code("ENTERPRISE_GDT_CODE", "enterprise_code", Some(&firm.code))
    };
    draft.truth("enterprise_code", firm.code.as_str());
    draft.put("IMP_BUSINESS_CODE", &firm.former_licence);
    draft.truth_if("former_licence_number", firm.former_licence.clone());
    draft.tax_code("PARENT_GDT_CODE", "parent_code", firm.parent_code.as_deref());
    draft.truth_if("parent_code", firm.parent_code.clone());
    draft.put("ENTERPRISE_TYPE_ID", firm.kind as i64);
    draft.truth("enterprise_type", firm.kind.code());
    draft.text("NAME", "name", &firm.name);
    if let Some((_, crate::draft::Cell::Text(written))) = draft.cells.last() {
        let folded = normalize::fold_name(written);
        draft.put("NAME_FOLDED", folded);
    }
    draft.truth("name", firm.name.as_str());
    draft.text_if("SHORT_NAME", "short_name", firm.short_name.as_deref());
    draft.truth_if("short_name", firm.short_name.clone());
    draft.text_if("NAME_F", "foreign_name", firm.foreign_name.as_deref());
    draft.truth_if("foreign_name", firm.foreign_name.clone());
    draft.put("FOUNDING_DATE", firm.founded.slashed());
    draft.truth("founding_date", firm.founded.iso());
    draft.put("LAST_AMEND_DATE", firm.amended.map(Date::slashed));
    draft.truth_if("last_amendment_date", firm.amended.map(Date::iso));
    draft.put("NUMBER_CHANGES", i64::from(firm.amendments));
    draft.truth("amendment_count", firm.amendments);
    draft.put("ENTERPRISE_STATUS", i64::from(firm.status));
    draft.truth("status", status_code(firm.status));
    put_leaders(&mut draft, &leaders);
    draft.put("CAPITAL_AMOUNT", decimal(firm.capital, 3, true));
    draft.truth("charter_capital", decimal(firm.capital, 3, false));
    let style = draft.style("head_office", &firm.seat);
    draft.put("HO_CITY_ID", firm.seat.province_code(style));
    draft.put("HO_DISTRICT_ID", firm.seat.district_code(style));
    draft.put("HO_WARD_ID", firm.seat.commune_code(style));
    draft.put("HO_STREET_NUMBER", firm.seat.detail.as_str());
    draft.text("HO_ADDRESS_FULL_TEXT", "head_office", &firm.seat.text(style));
    draft.moment("UPDATED_AT");

    industries(&mut draft, output, rng, id)?;
    members(&mut draft, output, rng, block, &firm, id)?;
    let mut keys = Keys::default();
    if let Some(code) = stored.filter(|code| *code == firm.code) {
        keys = keys.with("enterprise_code", Some(&code));
    }
    let numbers: Vec<String> = leaders.into_iter().filter_map(|leader| leader.personal_id).collect();
    for (nth, number) in numbers.iter().enumerate() {
        let cells =
            [("ENTERPRISE_ID", id.into()), ("STT", (nth as i64 + 1).into()), ("SO_DINH_DANH", number.as_str().into())];
        output.row(SECTOR, "NGUOI_DAI_DIEN", &cells)?;
    }
    if !numbers.is_empty() {
        keys = keys.with_all("personal_id", numbers);
    }
    output.record(SECTOR, "lienthong.business.v1.EnterpriseRegistration", keys, draft)
}

/// Names and numbers joined by ";", in step.
fn put_leaders(draft: &mut Draft<'_>, leaders: &[Leader]) {
    let mut names = Vec::with_capacity(leaders.len());
    let mut numbers = Vec::with_capacity(leaders.len());
    for (nth, leader) in leaders.iter().enumerate() {
        draft.name("LEGAL_NAMES", &format!("legal_representatives[{nth}].full_name"), &leader.name);
        names.extend(popped_text(draft));
        let path = format!("legal_representatives[{nth}].personal_id");
        draft.personal_id("LEGAL_IDS", &path, leader.personal_id.as_deref());
        numbers.push(popped_text(draft).unwrap_or_default());
    }
    draft.put("LEGAL_NAMES", names.join(";"));
    draft.put("LEGAL_IDS", numbers.join(";"));
    let truth: Vec<Value> = leaders
        .iter()
        .map(|leader| {
            Value::Object(message([
                ("full_name", some(leader.name.as_str())),
                ("personal_id", leader.personal_id.clone().map(Value::from)),
            ]))
        })
        .collect();
    draft.truth("legal_representatives", truth);
}

fn popped_text(draft: &mut Draft<'_>) -> Option<String> {
    match draft.cells.pop() {
        Some((_, crate::draft::Cell::Text(text))) => Some(text),
        _ => None,
    }
}

fn industries(
    draft: &mut Draft<'_>,
    output: &mut Output<'_>,
    rng: &mut ChaCha8Rng,
    id: i64,
) -> Result<(), SyntheticError> {
    let first = rng.random_range(0..INDUSTRIES.len());
    let mut truth = Vec::new();
    for nth in 0..rng.random_range(1..5) {
        let (code, name, edition) = INDUSTRIES[(first + nth * 3) % INDUSTRIES.len()];
        let is_main = nth == 0;
        let cells = [
            ("ENTERPRISE_ID", id.into()),
            ("STT", (nth as i64 + 1).into()),
            ("CODE", code.into()),
            ("NAME", name.into()),
            ("IS_MAIN", (if is_main { "Y" } else { "N" }).into()),
            ("VSIC_YEAR", i64::from(edition).into()),
        ];
        output.row(SECTOR, "NGANH_NGHE", &cells)?;
        truth.push(json!({ "code": format!("{edition}:{code}"), "is_main": is_main }));
    }
    draft.truth("industries", truth);
    Ok(())
}

/// Countries of members: text of the register, canonical code.
const COUNTRIES: [(&str, &str); 6] = [
    ("Việt Nam", "VN"),
    ("Việt Nam", "VN"),
    ("Việt Nam", "VN"),
    ("Hàn Quốc", "KR"),
    ("Nhật Bản", "JP"),
    ("Trung Quốc", "CN"),
];

fn members(
    draft: &mut Draft<'_>,
    output: &mut Output<'_>,
    rng: &mut ChaCha8Rng,
    block: &Block,
    firm: &Firm,
    id: i64,
) -> Result<(), SyntheticError> {
    let shares: &[u64] = match firm.kind {
        FirmKind::SingleMember => &[100_000],
        FirmKind::MultiMember => {
            pick::<&[u64]>(rng, &[&[60_000, 40_000], &[50_000, 50_000], &[33_334, 33_333, 33_333]])
        }
        FirmKind::Partnership => &[50_000, 50_000],
        FirmKind::JointStock => &[51_000, 29_500, 19_500],
        _ => &[],
    };
    let mut truth = Vec::new();
    for (nth, share) in shares.iter().enumerate() {
        let member = Leader::drawn(rng, block);
        let (country, country_code) =
            if firm.kind == FirmKind::JointStock && nth > 0 { pick(rng, &COUNTRIES) } else { COUNTRIES[0] };
        let amount = (u128::from(firm.capital) * u128::from(*share) / 100_000) as u64;
        let mut row = Draft::new(draft.plan, "THANH_VIEN", id as u64 * 16 + nth as u64, Charset::Unicode);
        row.put("ENTERPRISE_ID", id);
        row.put("STT", nth as i64 + 1);
        row.name("MEMBER_NAME", &format!("members[{nth}].full_name"), &member.name);
        row.put("AMOUNT", decimal(amount, 3, true));
        row.put("RATIO_PERCENT", decimal(*share, 3, true));
        row.text("COUNTRY", &format!("members[{nth}].country"), country);
        output.row(SECTOR, row.table, &row.cells)?;
        draft.defects.append(&mut row.defects);
        truth.push(json!({
            "full_name": member.name,
            "contribution": decimal(amount, 3, false),
            "ratio_percent": decimal(*share, 3, false),
            "country": country_code,
        }));
    }
    if !truth.is_empty() {
        draft.truth("members", truth);
    }
    Ok(())
}

impl FirmKind {
    /// The canonical code.
    fn code(self) -> &'static str {
        match self {
            Self::Private => "PRIVATE_ENTERPRISE",
            Self::SingleMember => "SINGLE_MEMBER_LLC",
            Self::MultiMember => "MULTI_MEMBER_LLC",
            Self::JointStock => "JOINT_STOCK_COMPANY",
            Self::Partnership => "PARTNERSHIP",
            Self::Branch => "BRANCH",
            Self::Office => "REPRESENTATIVE_OFFICE",
            Self::Location => "BUSINESS_LOCATION",
        }
    }
}

/// The canonical code of a status.
fn status_code(status: u8) -> &'static str {
    match status {
        1 => "OPERATING",
        2 => "SUSPENDED",
        3 => "ABSENT",
        4 => "REVOKED",
        5 => "DISSOLVING",
        6 => "BANKRUPTCY",
        _ => "ENDED",
    }
}
