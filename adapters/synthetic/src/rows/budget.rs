//! Units of the state budget, headed by people of their home block.

use super::words;
use crate::{
    Plan, Sector, SyntheticError,
    chance::{key, mix},
    draft::{Charset, Draft},
    organisation::{Unit, UnitKind},
    output::{Keys, Output},
    people::Block,
};

const OFFICE: &str = "Sở Tài chính tỉnh Gia Lai";

/// The code of a unit.
pub(super) fn code(plan: &Plan, unit: u64) -> String {
    Unit::new(plan, unit).code
}

pub(super) fn write(output: &mut Output<'_>, plan: &Plan, block: &Block) -> Result<(), SyntheticError> {
    let units = plan.units_of(block.index);
    for index in units.clone() {
        let unit = Unit::new(plan, index);
        let hash = mix(mix(plan.seed, key("head")), index);
        let chosen = block.everywhere().filter(|_| index == units.start);
        let head = chosen.or_else(|| block.adult(hash));
        let name = head.map_or_else(|| words::official(hash), |person| person.name.full());
        let number = head.and_then(|person| person.personal_id.as_deref());
        let mut draft = Draft::new(plan, "don_vi", index, Charset::Unicode);
        put(&mut draft, &unit);
        draft.name("thu_truong", "head_name", &name);
        draft.truth("head_name", name);
        draft.put("thu_truong_so_dinh_danh", number);
        draft.truth_if("head_personal_id", number);
        validity(&mut draft, &unit);
        let keys = Keys::default().with("budget_unit_code", Some(&unit.code)).personal_id(number);
        output.record(Sector::BudgetUnits, "lienthong.budget.v1.BudgetUnit", keys, draft)?;
    }
    Ok(())
}

fn put(draft: &mut Draft<'_>, unit: &Unit) {
    draft.put("ma_qhns", unit.code.as_str());
    draft.truth("code", unit.code.as_str());
    draft.text("ten_don_vi", "name", &unit.name);
    draft.truth("name", unit.name.as_str());
    draft.put("loai", unit.kind as i64);
    draft.truth("kind", unit.kind.code());
    draft.put("ma_cap_tren", &unit.parent_code);
    draft.truth_if("parent_code", unit.parent_code.clone());
    draft.put("cap_ngan_sach", i64::from(unit.level));
    draft.truth("budget_level", ["CENTRAL", "PROVINCE", "DISTRICT", "COMMUNE"][usize::from(unit.level) - 1]);
    draft.put("ma_chuong", unit.chapter);
    draft.truth("chapter", unit.chapter);
    draft.put("so_quyet_dinh", unit.decision_number.as_str());
    draft.truth("decision_number", unit.decision_number.as_str());
    draft.put("ngay_quyet_dinh", unit.decided.iso());
    draft.truth("decision_date", unit.decided.iso());
    draft.text("co_quan_tai_chinh", "issuing_office", OFFICE);
    draft.truth("issuing_office", OFFICE);
    let style = draft.style("address", &unit.seat);
    draft.text("dia_chi", "address", &unit.seat.text(style));
    draft.put("ma_xa", unit.seat.commune_code(style));
    draft.put("ma_tinh", unit.seat.province_code(style));
    let treasury = format!("Kho bạc Nhà nước khu vực {}", unit.level);
    draft.text("kho_bac", "treasury_office", &treasury);
    draft.truth("treasury_office", treasury);
}

fn validity(draft: &mut Draft<'_>, unit: &Unit) {
    draft.put("trang_thai", if unit.closed.is_some() { "C" } else { "A" });
    draft.truth("status", if unit.closed.is_some() { "CLOSED" } else { "ACTIVE" });
    draft.put("hieu_luc_tu", unit.decided.iso());
    draft.truth("valid_from", unit.decided.iso());
    draft.put("hieu_luc_den", unit.closed.map(|date| date.iso()));
    draft.truth_if("valid_until", unit.closed.map(|date| date.iso()));
    draft.moment("ngay_cap_nhat");
}

impl UnitKind {
    /// The canonical code.
    fn code(self) -> &'static str {
        match self {
            Self::BudgetUnit => "BUDGET_UNIT",
            Self::BudgetUser => "BUDGET_USER",
            Self::Other => "OTHER",
            Self::Project => "PROJECT",
        }
    }
}
