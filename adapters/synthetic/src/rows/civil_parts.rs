//! What civil-status entries have in common: the registration, documents, and the people an entry names.

use serde_json::Value;

use super::{
    message, some,
    words::{self, CARD, CARD_ISSUER, OLD_CARD},
};
use crate::{
    chance::{Domain, stream},
    date::{Date, PRESENT_YEAR},
    draft::{Charset, Draft},
    people::{Person, Relative},
    place::Place,
};

/// Columns and paths of a person named in an entry beside its subject.
pub(super) type PersonColumns = [&'static str; 12];
pub(super) const MOTHER: PersonColumns = [
    "meHoTen",
    "meNgaySinh",
    "meDanToc",
    "meQuocTich",
    "meLoaiCuTru",
    "meNoiCuTru",
    "meNoiCuTruDVHC",
    "meLoaiGiayToTuyThan",
    "meSoGiayToTuyThan",
    "meNgayCapGiayToTuyThan",
    "meNoiCapGiayToTuyThan",
    "meSoDDCN",
];
pub(super) const FATHER: PersonColumns = [
    "chaHoTen",
    "chaNgaySinh",
    "chaDanToc",
    "chaQuocTich",
    "chaLoaiCuTru",
    "chaNoiCuTru",
    "chaNoiCuTruDVHC",
    "chaLoaiGiayToTuyThan",
    "chaSoGiayToTuyThan",
    "chaNgayCapGiayToTuyThan",
    "chaNoiCapGiayToTuyThan",
    "chaSoDDCN",
];
pub(super) const HUSBAND: PersonColumns = [
    "chongHoTen",
    "chongNgaySinh",
    "chongDanToc",
    "chongQuocTich",
    "chongLoaiCuTru",
    "chongNoiCuTru",
    "chongNoiCuTruDVHC",
    "chongLoaiGiayToTuyThan",
    "chongSoGiayToTuyThan",
    "chongNgayCapGiayToTuyThan",
    "chongNoiCapGiayToTuyThan",
    "chongSoDDCN",
];
pub(super) const WIFE: PersonColumns = [
    "voHoTen",
    "voNgaySinh",
    "voDanToc",
    "voQuocTich",
    "voLoaiCuTru",
    "voNoiCuTru",
    "voNoiCuTruDVHC",
    "voLoaiGiayToTuyThan",
    "voSoGiayToTuyThan",
    "voNgayCapGiayToTuyThan",
    "voNoiCapGiayToTuyThan",
    "voSoDDCN",
];
/// Number, name, gender, birth, ethnicity, nationality, residence, its unit, and the document.
pub(super) type SubjectColumns = [&'static str; 12];
pub(super) const DECEASED: SubjectColumns = [
    "nktSoDDCN",
    "nktHoTen",
    "nktGioiTinh",
    "nktNgaySinh",
    "nktDanToc",
    "nktQuocTich",
    "nktNoiCuTru",
    "nktNoiCuTruDVHC",
    "nktLoaiGiayToTuyThan",
    "nktSoGiayToTuyThan",
    "nktNgayCapGiayToTuyThan",
    "nktNoiCapGiayToTuyThan",
];
pub(super) const CERTIFIED: SubjectColumns = [
    "nxnSoDDCN",
    "nxnHoTen",
    "nxnGioiTinh",
    "nxnNgaySinh",
    "nxnDanToc",
    "nxnQuocTich",
    "nxnNoiCuTru",
    "nxnNoiCuTruDVHC",
    "nxnLoaiGiayToTuyThan",
    "nxnSoGiayToTuyThan",
    "nxnNgayCapGiayToTuyThan",
    "nxnNoiCapGiayToTuyThan",
];

/// The columns every entry begins with.
pub(super) fn registration(draft: &mut Draft<'_>, row: u64, date: Date, kind: i64, home: &Place) {
    let hash = draft.hash("registration", "number");
    draft.put("id", row as i64 + 1);
    draft.put("bangMa", if draft.charset == Charset::Unicode { "UNICODE" } else { "VNI" });
    let number = format!("{}/{}", 1 + hash % 700, date.year);
    draft.put("so", number.as_str());
    draft.truth("registration_number", number);
    let book = format!("{:02}/{}", 1 + hash / 1024 % 4, date.year);
    draft.put("quyenSo", book.as_str());
    draft.truth("book_number", book);
    let page = (!hash.is_multiple_of(3)).then(|| format!("{}", 1 + hash / 4096 % 200));
    draft.put("trangSo", &page);
    draft.truth_if("page_number", page);
    draft.put("ngayDangKy", date.dotted());
    draft.truth("registration_date", date.iso());
    draft.put("loaiDangKy", kind);
    draft.truth("registration_kind", kind.to_string());
    let office = words::registry_office(home.link, date.year);
    draft.text("noiDangKy", "registration_place", &office);
    draft.truth("registration_place", office);
    let signer = words::official(hash);
    draft.name("nguoiKy", "signer", &signer);
    draft.truth("signer", signer);
    let title = if hash.is_multiple_of(4) { "Chủ tịch" } else { "Phó Chủ tịch" };
    draft.text("chucVuNguoiKy", "signer_title", title);
    draft.truth("signer_title", title);
    let clerk = words::official(hash.rotate_left(17));
    draft.name("nguoiThucHien", "performer", &clerk);
    draft.truth("performer", clerk);
    let note = (hash / 64).is_multiple_of(20).then_some("Nhập từ sổ giấy năm 2019");
    draft.text_if("ghiChu", "note", note);
    draft.truth_if("note", note);
}

/// The document a person showed: the card, or the old one where the event was before 2016.
fn document(person: &Relative, year: u16) -> Option<(i64, &'static str, String, Date, String)> {
    let old = year < 2016;
    let issued = |first: u16| Date::day(first.clamp(person.birth.year + 14, PRESENT_YEAR), 5, 17);
    match (&person.personal_id, &person.legacy_id) {
        (_, Some(number)) if old => {
            Some((1, OLD_CARD, number.clone(), issued(2005), words::old_card_issuer(person.home.link)))
        }
        (Some(number), _) => Some((4, CARD, number.clone(), issued(2021), CARD_ISSUER.to_owned())),
        (None, Some(number)) => {
            Some((1, OLD_CARD, number.clone(), issued(2005), words::old_card_issuer(person.home.link)))
        }
        (None, None) => None,
    }
}

fn put_document(
    draft: &mut Draft<'_>,
    columns: [&'static str; 4],
    path: &str,
    person: Option<&Relative>,
    year: u16,
) -> Option<Value> {
    let document =
        person.filter(|person| person.birth.year + 14 <= PRESENT_YEAR).and_then(|person| document(person, year));
    let Some((kind, code, number, issued, issuer)) = document else {
        for column in columns {
            draft.put(column, None::<String>);
        }
        return None;
    };
    draft.put(columns[0], kind);
    draft.put(columns[1], number.as_str());
    draft.put(columns[2], issued.dotted());
    draft.text(columns[3], path, &issuer);
    Some(Value::Object(message([
        ("type", some(code)),
        ("number", some(number)),
        ("issue_date", some(issued.iso())),
        ("issue_place", some(issuer)),
    ])))
}

pub(super) fn ethnicity(draft: &mut Draft<'_>, column: &'static str, path: &str, code: &str) {
    let name = words::ethnicity_name(code, draft.hash(path, "name"));
    draft.text(column, path, name);
}

/// A person beside the subject. Gives the truth of it.
pub(super) fn party(
    draft: &mut Draft<'_>,
    columns: &PersonColumns,
    group: &str,
    person: Option<&Relative>,
    year: u16,
) -> Vec<(&'static str, Value)> {
    let [name, birth, people, nation, kind, home, unit, document @ .., number] = columns;
    let path = |leaf: &str| format!("{group}.{leaf}");
    let document = [document[0], document[1], document[2], document[3]];
    let Some(someone) = person else {
        for column in columns {
            draft.put(column, None::<String>);
        }
        return Vec::new();
    };
    draft.name(name, &path("full_name"), &someone.name);
    draft.put(birth, someone.birth.dotted());
    ethnicity(draft, people, &path("ethnicity"), someone.ethnicity);
    draft.text(nation, &path("nationality"), "Việt Nam");
    let temporary = draft.hash(group, "residence_kind").is_multiple_of(12);
    draft.put(kind, if temporary { 2 } else { 1 });
    let field = path("residence");
    let style = draft.style(&field, &someone.home);
    draft.text(home, &field, &someone.home.text(style));
    draft.put(unit, someone.home.commune_code(style));
    let shown = put_document(draft, document, &path("identity_document"), Some(someone), year);
    draft.personal_id(number, &path("personal_id"), someone.personal_id.as_deref());
    let mut truth = vec![
        ("full_name", Value::from(someone.name.as_str())),
        ("birth_date", Value::from(someone.birth.iso())),
        ("ethnicity", Value::from(someone.ethnicity)),
        ("nationality", Value::from("VN")),
        ("residence_kind", Value::from(if temporary { "TEMPORARY" } else { "PERMANENT" })),
    ];
    truth.extend(shown.map(|shown| ("identity_document", shown)));
    truth.extend(someone.personal_id.as_deref().map(|number| ("personal_id", Value::from(number))));
    truth
}

/// Adds the parts of a nested message; the address among them is there already.
pub(super) fn add_truth(draft: &mut Draft<'_>, group: &str, parts: Vec<(&'static str, Value)>) {
    for (leaf, value) in parts {
        draft.truth_at(&format!("{group}.{leaf}"), value);
    }
}

/// The subject of a death entry or certificate.
pub(super) fn subject(
    draft: &mut Draft<'_>,
    columns: &SubjectColumns,
    home_field: &str,
    person: &Person,
    year: u16,
) -> Option<String> {
    let [number, name, sex, birth, people, nation, home, unit, document @ ..] = columns;
    let contradiction = draft.contradiction(person);
    let stored = draft.personal_id(number, "personal_id", person.personal_id.as_deref());
    draft.truth_if("personal_id", person.personal_id.clone());
    let full = person.name.full();
    draft.name(name, "full_name", &full);
    draft.truth("full_name", full);
    let male = draft.male("gender", person.male, contradiction);
    draft.put(sex, if male { 1 } else { 2 });
    draft.truth("gender", person.gender());
    let written = draft.birth("birth_date", person.birth, contradiction);
    draft.put(birth, written.dotted());
    draft.truth("birth_date", person.birth.iso());
    ethnicity(draft, people, "ethnicity", person.ethnicity);
    draft.truth("ethnicity", person.ethnicity);
    draft.text(nation, "nationality", "Việt Nam");
    draft.truth("nationality", "VN");
    let style = draft.style(home_field, &person.permanent);
    draft.text(home, home_field, &person.permanent.text(style));
    draft.put(unit, person.permanent.commune_code(style));
    put_after(draft, document, person, year);
    stored
}

/// Documents follow the subject in both tables, but for the period of residence of a certificate.
fn put_after(draft: &mut Draft<'_>, document: &[&'static str; 4], person: &Person, year: u16) {
    if draft.table == "xac_nhan_hon_nhan" {
        let until = Date::within(&mut stream(draft.plan.seed, Domain::Civil, person.index), year);
        let from = Date::day((person.birth.year + 18).min(year), 1, 1);
        draft.put("nxnThoiGianCuTruTu", from.dotted());
        draft.put("nxnThoiGianCuTruDen", until.dotted());
        draft.truth("residence_from", from.iso());
        draft.truth("residence_until", until.iso());
    }
    let shown = put_document(draft, *document, "identity_document", Some(&person.as_relative()), year);
    draft.truth_if("identity_document", shown);
}

pub(super) fn requester(draft: &mut Draft<'_>, person: Option<&Relative>, relation: &str, year: u16) {
    const DOCUMENT: [&str; 4] =
        ["nycLoaiGiayToTuyThan", "nycSoGiayToTuyThan", "nycNgayCapGiayToTuyThan", "nycNoiCapGiayToTuyThan"];
    draft.name_if("nycHoTen", "requester.full_name", person.map(|person| person.name.as_str()));
    let relation = person.map(|_| relation);
    draft.text_if("nycQuanHe", "requester.relation", relation);
    let shown = put_document(draft, DOCUMENT, "requester.identity_document", person, year);
    if let Some(person) = person {
        let value = message([
            ("full_name", some(person.name.as_str())),
            ("relation", relation.map(Value::from)),
            ("identity_document", shown),
        ]);
        draft.truth("requester", value);
    }
}
