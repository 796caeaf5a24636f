//! The population register.

use serde_json::Value;

use super::{marital_code, message, some};
use crate::{
    Plan, Sector, SyntheticError,
    defect::Kind,
    draft::{Charset, Contradiction, Draft},
    output::{Keys, Output},
    people::{Block, Marital, Person, Relation, Relative},
    place::Place,
};

const RECORD: &str = "lienthong.population.v1.Resident";

pub(super) fn write(output: &mut Output<'_>, plan: &Plan, block: &Block) -> Result<(), SyntheticError> {
    for person in &block.people {
        resident(output, plan, block, person, false)?;
        if person.second_legacy_id.is_some() {
            resident(output, plan, block, person, true)?;
        }
    }
    Ok(())
}

/// A resident's row; `doubled` is the second one of a person registered again under another card.
fn resident(
    output: &mut Output<'_>,
    plan: &Plan,
    block: &Block,
    person: &Person,
    doubled: bool,
) -> Result<(), SyntheticError> {
    let row = person.index * 2 + u64::from(doubled);
    let mut draft = Draft::new(plan, "cong_dan", row, Charset::Unicode);
    let personal_id = person.personal_id.as_deref().filter(|_| !doubled);
    let legacy_id = if doubled { &person.second_legacy_id } else { &person.legacy_id };
    let contradiction = if doubled || person.is_disputed { Contradiction::None } else { draft.contradiction(person) };
    if doubled {
        draft.note("personal_id", Kind::DuplicatePerson);
    }

    draft.put("id", row as i64 + 1);
    draft.put("SoDinhDanh", personal_id);
    draft.truth_if("personal_id", person.personal_id.as_deref().filter(|_| !doubled));
    draft.put("SoCMND", legacy_id);
    draft.truth_if("legacy_id", legacy_id.as_deref());
    name_parts(&mut draft, person);
    let male = draft.male("gender", person.male, contradiction);
    draft.put("GioiTinh", if male { 1 } else { 2 });
    draft.truth("gender", person.gender());
    draft.put("DanToc", person.ethnicity);
    draft.truth("ethnicity", person.ethnicity);
    draft.put("TonGiao", person.religion);
    draft.truth("religion", person.religion);
    draft.put("QuocTich", "VN");
    draft.truth("nationality", "VN");
    draft.put("TinhTrangHonNhan", marital_id(person.marital));
    draft.truth("marital_status", marital_code(person.marital));
    draft.put("NhomMau", person.blood);
    draft.truth("blood_type", person.blood);
    let birth = draft.birth("birth_date", person.birth, contradiction);
    let year_alone = birth.month == 0;
    draft.put("NgaySinh", (!year_alone).then(|| birth.compact()));
    draft.put("NamSinh", year_alone.then(|| birth.compact()));
    draft.truth("birth_date", person.birth.iso());

    address(&mut draft, &COLUMNS[0], "birth_registration_place", &person.birth_place);
    address(&mut draft, &COLUMNS[1], "hometown", &person.hometown);
    address(&mut draft, &COLUMNS[2], "permanent_address", &person.permanent);
    address(&mut draft, &COLUMNS[3], "current_address", &person.current);
    relative(&mut draft, &RELATIVES[0], "father", person.father.as_ref());
    relative(&mut draft, &RELATIVES[1], "mother", person.mother.as_ref());
    let spouse = block.spouse(person).map(Person::as_relative);
    relative(&mut draft, &RELATIVES[2], "spouse", spouse.as_ref());
    household(&mut draft, block, person);
    draft.put("DaChet", person.death.is_some());
    draft.truth("is_deceased", person.death.is_some());
    draft.moment("NgayCapNhat");

    let keys = Keys::default().personal_id(personal_id).with("legacy_id", legacy_id.as_deref());
    output.record(Sector::Population, RECORD, keys, draft)
}

/// The parts are damaged apart from each other, but a name in capitals is so in all parts.
fn name_parts(draft: &mut Draft<'_>, person: &Person) {
    let full = person.name.full();
    draft.truth("full_name", full.clone());
    // The whole is damaged and cut again where the parts meet: damage changes no number of words but one space.
    draft.name("Ho", "full_name", &full);
    let Some((_, crate::draft::Cell::Text(written))) = draft.cells.pop() else { return };
    let words: Vec<&str> = written.split(' ').filter(|word| !word.is_empty()).collect();
    let count = |part: &Option<String>| part.as_deref().map_or(0, |part| part.split(' ').count());
    let family = count(&person.name.family);
    let middle = family + count(&person.name.middle);
    let doubled_space = written.contains("  ");
    let join = |words: &[&str]| (!words.is_empty()).then(|| words.join(" "));
    // The extra space of a doubled one stays at the end of its part.
    let space = if doubled_space && family == 1 { " " } else { "" };
    draft.put("Ho", join(&words[..family]).map(|part| part + space));
    draft.put("ChuDem", join(&words[family..middle]));
    draft.put(
        "Ten",
        join(&words[middle..]).map(|part| if doubled_space && space.is_empty() { format!(" {part}") } else { part }),
    );
    draft.put("HoTenKhongDau", normalize::fold_name(&written));
}

fn marital_id(marital: Marital) -> i64 {
    match marital {
        Marital::Single => 1,
        Marital::Married => 2,
        Marital::Divorced => 3,
        Marital::Widowed => 4,
    }
}

/// Columns of an address: province, district, commune, text, country.
const COLUMNS: [[&str; 5]; 4] = [
    [
        "NoiDangKyKhaiSinh_MaTinhThanh",
        "NoiDangKyKhaiSinh_MaQuanHuyen",
        "NoiDangKyKhaiSinh_MaPhuongXa",
        "NoiDangKyKhaiSinh_ChiTiet",
        "NoiDangKyKhaiSinh_QuocGia",
    ],
    ["QueQuan_MaTinhThanh", "QueQuan_MaQuanHuyen", "QueQuan_MaPhuongXa", "QueQuan_ChiTiet", "QueQuan_QuocGia"],
    [
        "ThuongTru_MaTinhThanh",
        "ThuongTru_MaQuanHuyen",
        "ThuongTru_MaPhuongXa",
        "ThuongTru_ChiTiet",
        "ThuongTru_QuocGia",
    ],
    [
        "NoiOHienTai_MaTinhThanh",
        "NoiOHienTai_MaQuanHuyen",
        "NoiOHienTai_MaPhuongXa",
        "NoiOHienTai_ChiTiet",
        "NoiOHienTai_QuocGia",
    ],
];

fn address(draft: &mut Draft<'_>, columns: &[&'static str; 5], field: &str, place: &Place) {
    let style = draft.style(field, place);
    draft.put(columns[0], place.province_code(style));
    draft.put(columns[1], place.district_code(style));
    draft.put(columns[2], place.commune_code(style));
    draft.text(columns[3], field, &place.text(style));
    draft.put(columns[4], "VN");
}

/// Columns of a relative, and the paths of its parts.
struct RelativeColumns {
    columns: [&'static str; 4],
    name: &'static str,
    personal_id: &'static str,
}

const RELATIVES: [RelativeColumns; 3] = [
    RelativeColumns {
        columns: ["Cha_HoVaTen", "Cha_SoDinhDanh", "Cha_SoCMND", "Cha_QuocTich"],
        name: "father.full_name",
        personal_id: "father.personal_id",
    },
    RelativeColumns {
        columns: ["Me_HoVaTen", "Me_SoDinhDanh", "Me_SoCMND", "Me_QuocTich"],
        name: "mother.full_name",
        personal_id: "mother.personal_id",
    },
    RelativeColumns {
        columns: ["VoChong_HoVaTen", "VoChong_SoDinhDanh", "VoChong_SoCMND", "VoChong_QuocTich"],
        name: "spouse.full_name",
        personal_id: "spouse.personal_id",
    },
];

fn relative(draft: &mut Draft<'_>, at: &RelativeColumns, field: &str, relative: Option<&Relative>) {
    draft.name_if(at.columns[0], at.name, relative.map(|relative| relative.name.as_str()));
    draft.personal_id(at.columns[1], at.personal_id, relative.and_then(|relative| relative.personal_id.as_deref()));
    draft.put(at.columns[2], relative.and_then(|relative| relative.legacy_id.as_deref()));
    draft.put(at.columns[3], relative.map(|_| "VN"));
    if let Some(relative) = relative
        && draft.plan.wants_truth
    {
        let value = message([
            ("full_name", some(relative.name.as_str())),
            ("personal_id", relative.personal_id.clone().map(Value::from)),
            ("legacy_id", relative.legacy_id.clone().map(Value::from)),
            ("nationality", some("VN")),
        ]);
        draft.truth(field, value);
    }
}

fn household(draft: &mut Draft<'_>, block: &Block, person: &Person) {
    let household = &block.households[person.household];
    let head = &block.people[household.head];
    let (relation, code) = match person.relation {
        Relation::Head => (1, "HEAD"),
        Relation::Spouse => (2, "SPOUSE"),
        Relation::Child => (3, "CHILD"),
        Relation::Parent => (4, "PARENT"),
    };
    let name = head.name.full();
    draft.name("ChuHo_HoVaTen", "household_head.full_name", &name);
    draft.personal_id("ChuHo_SoDinhDanh", "household_head.personal_id", head.personal_id.as_deref());
    draft.put("ChuHo_QuanHe", relation);
    draft.put("SoSoHoKhau", household.number.as_str());
    if draft.plan.wants_truth {
        let value = message([
            ("full_name", some(name)),
            ("personal_id", head.personal_id.clone().map(Value::from)),
            ("relation", some(code)),
        ]);
        draft.truth("household_head", value);
        draft.truth("household_number", household.number.as_str());
    }
}
