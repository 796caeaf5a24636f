//! Civil status: births, marriages, deaths, certificates of marital status.

use serde_json::Value;

use super::{
    marital_code, message, some,
    words::{self, CARD, CARD_ISSUER, OLD_CARD},
};
use crate::{
    Plan, Sector, SyntheticError,
    chance::happens,
    date::{Date, PRESENT_YEAR},
    draft::{Charset, Draft},
    output::{Keys, Output},
    people::{Block, Marital, Marriage, Person, Relative},
    place::Place,
};

const SECTOR: Sector = Sector::CivilStatus;

/// Columns and paths of a person named in an entry beside its subject.
type PersonColumns = [&'static str; 12];
const MOTHER: PersonColumns = [
    "meHoTen", "meNgaySinh", "meDanToc", "meQuocTich", "meLoaiCuTru", "meNoiCuTru", "meNoiCuTruDVHC",
    "meLoaiGiayToTuyThan", "meSoGiayToTuyThan", "meNgayCapGiayToTuyThan", "meNoiCapGiayToTuyThan", "meSoDDCN",
];
const FATHER: PersonColumns = [
    "chaHoTen", "chaNgaySinh", "chaDanToc", "chaQuocTich", "chaLoaiCuTru", "chaNoiCuTru", "chaNoiCuTruDVHC",
    "chaLoaiGiayToTuyThan", "chaSoGiayToTuyThan", "chaNgayCapGiayToTuyThan", "chaNoiCapGiayToTuyThan", "chaSoDDCN",
];
const HUSBAND: PersonColumns = [
    "chongHoTen", "chongNgaySinh", "chongDanToc", "chongQuocTich", "chongLoaiCuTru", "chongNoiCuTru",
    "chongNoiCuTruDVHC", "chongLoaiGiayToTuyThan", "chongSoGiayToTuyThan", "chongNgayCapGiayToTuyThan",
    "chongNoiCapGiayToTuyThan", "chongSoDDCN",
];
const WIFE: PersonColumns = [
    "voHoTen", "voNgaySinh", "voDanToc", "voQuocTich", "voLoaiCuTru", "voNoiCuTru", "voNoiCuTruDVHC",
    "voLoaiGiayToTuyThan", "voSoGiayToTuyThan", "voNgayCapGiayToTuyThan", "voNoiCapGiayToTuyThan", "voSoDDCN",
];
/// Number, name, gender, birth, ethnicity, nationality, residence, its unit, and the document.
type SubjectColumns = [&'static str; 12];
const DECEASED: SubjectColumns = [
    "nktSoDDCN", "nktHoTen", "nktGioiTinh", "nktNgaySinh", "nktDanToc", "nktQuocTich", "nktNoiCuTru",
    "nktNoiCuTruDVHC", "nktLoaiGiayToTuyThan", "nktSoGiayToTuyThan", "nktNgayCapGiayToTuyThan",
    "nktNoiCapGiayToTuyThan",
];
const CERTIFIED: SubjectColumns = [
    "nxnSoDDCN", "nxnHoTen", "nxnGioiTinh", "nxnNgaySinh", "nxnDanToc", "nxnQuocTich", "nxnNoiCuTru",
    "nxnNoiCuTruDVHC", "nxnLoaiGiayToTuyThan", "nxnSoGiayToTuyThan", "nxnNgayCapGiayToTuyThan",
    "nxnNoiCapGiayToTuyThan",
];

pub(super) fn write(output: &mut Output<'_>, plan: &Plan, block: &Block) -> Result<(), SyntheticError> {
    for person in &block.people {
        if person.personal_id.is_none() {
            continue;
        }
        // Old books were entered in part.
        let entered = if person.birth.year >= 1990 { 0.85 } else { 0.35 };
        let chosen = person.is_everywhere || person.is_known_by_card;
        if chosen || happens(plan.seed, "birth_entry", person.index, entered) {
            birth(output, plan, block, person)?;
        }
        if let Some(death) = person.death {
            self::death(output, plan, block, person, death)?;
        }
        if person.is_living_adult() && (chosen || happens(plan.seed, "certificate", person.index, 0.06)) {
            certificate(output, plan, block, person)?;
        }
    }
    for marriage in &block.marriages {
        let husband = &block.people[marriage.husband];
        let chosen = husband.is_everywhere || block.people[marriage.wife].is_everywhere;
        if chosen || happens(plan.seed, "marriage_entry", husband.index, 0.8) {
            self::marriage(output, plan, block, marriage)?;
        }
    }
    Ok(())
}

fn draft<'a>(plan: &'a Plan, table: &'static str, row: u64) -> Draft<'a> {
    let old = happens(plan.seed, table, row, plan.rates.vni_row);
    Draft::new(plan, table, row, if old { Charset::VniAsLatin1 } else { Charset::Unicode })
}

/// The columns every entry begins with.
fn registration(draft: &mut Draft<'_>, row: u64, date: Date, kind: i64, home: &Place) {
    let hash = draft.hash("registration", "number");
    draft.put("id", row as i64 + 1);
    draft.put("bangMa", if draft.charset == Charset::Unicode { "UNICODE" } else { "VNI" });
    let number = format!("{}/{}", 1 + hash % 700, date.year);
    draft.put("so", number.as_str());
    draft.truth("registration_number", number);
    let book = format!("{:02}/{}", 1 + hash / 1024 % 4, date.year);
    draft.put("quyenSo", book.as_str());
    draft.truth("book_number", book);
    let page = (hash % 3 > 0).then(|| format!("{}", 1 + hash / 4096 % 200));
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
    let title = if hash % 4 == 0 { "Chủ tịch" } else { "Phó Chủ tịch" };
    draft.text("chucVuNguoiKy", "signer_title", title);
    draft.truth("signer_title", title);
    let clerk = words::official(hash.rotate_left(17));
    draft.name("nguoiThucHien", "performer", &clerk);
    draft.truth("performer", clerk);
    let note = (hash / 64 % 20 == 0).then_some("Nhập từ sổ giấy năm 2019");
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
        (None, Some(number)) => Some((1, OLD_CARD, number.clone(), issued(2005), words::old_card_issuer(person.home.link))),
        (None, None) => None,
    }
}

fn put_document(draft: &mut Draft<'_>, columns: [&'static str; 4], path: &str, person: Option<&Relative>, year: u16) -> Option<Value> {
    let document = person.filter(|person| person.birth.year + 14 <= PRESENT_YEAR).and_then(|person| document(person, year));
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

fn ethnicity(draft: &mut Draft<'_>, column: &'static str, path: &str, code: &str) {
    let name = words::ethnicity_name(code, draft.hash(path, "name"));
    draft.text(column, path, name);
}

/// A person beside the subject. Gives the truth of it.
fn person(
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
    let temporary = draft.hash(group, "residence_kind") % 12 == 0;
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
fn add(draft: &mut Draft<'_>, group: &str, parts: Vec<(&'static str, Value)>) {
    for (leaf, value) in parts {
        draft.truth_at(&format!("{group}.{leaf}"), value);
    }
}

/// The subject of a death entry or certificate.
fn subject(draft: &mut Draft<'_>, columns: &SubjectColumns, home_field: &str, person: &Person, year: u16) -> Option<String> {
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
        let until = Date::within(&mut crate::chance::stream(draft.plan.seed, crate::chance::Domain::Civil, person.index), year);
        let from = Date::day((person.birth.year + 18).min(year), 1, 1);
        draft.put("nxnThoiGianCuTruTu", from.dotted());
        draft.put("nxnThoiGianCuTruDen", until.dotted());
        draft.truth("residence_from", from.iso());
        draft.truth("residence_until", until.iso());
    }
    let shown = put_document(draft, *document, "identity_document", Some(&person.as_relative()), year);
    draft.truth_if("identity_document", shown);
}

fn requester(draft: &mut Draft<'_>, person: Option<&Relative>, relation: &str, year: u16) {
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

fn birth(output: &mut Output<'_>, plan: &Plan, block: &Block, person: &Person) -> Result<(), SyntheticError> {
    let _ = block;
    let mut draft = draft(plan, "khai_sinh", person.index);
    let late = draft.hash("", "late") % 10 == 0;
    let year = (person.birth.year + if late { 3 } else { 0 }).min(PRESENT_YEAR);
    let date = if person.birth.is_full() && !late { person.birth } else { Date::day(year, 10, 20) };
    registration(&mut draft, person.index, date, if late { 4 } else { 1 }, &person.birth_place);
    let contradiction = draft.contradiction(person);
    draft.put("soDinhDanh", &person.personal_id);
    draft.truth_if("personal_id", person.personal_id.clone());
    let full = person.name.full();
    draft.name("nksHoTen", "full_name", &full);
    draft.truth("full_name", full);
    let male = draft.male("gender", person.male, contradiction);
    draft.put("nksGioiTinh", if male { 1 } else { 2 });
    draft.truth("gender", person.gender());
    let written = draft.birth("birth_date", person.birth, contradiction);
    draft.put("nksNgaySinh", written.dotted());
    draft.truth("birth_date", person.birth.iso());
    let words = format!("Năm {}", person.birth.year);
    draft.text("nksNgaySinhBangChu", "birth_date_in_words", &words);
    draft.truth("birth_date_in_words", words);
    for (text, unit, field, place) in [
        ("nksNoiSinh", "nksNoiSinhDVHC", "birth_place", &person.birth_place),
        ("nksQueQuan", "nksQueQuanDVHC", "hometown", &person.hometown),
    ] {
        let style = draft.style(field, place);
        draft.text(text, field, &place.text(style));
        draft.put(unit, place.commune_code(style));
    }
    ethnicity(&mut draft, "nksDanToc", "ethnicity", person.ethnicity);
    draft.truth("ethnicity", person.ethnicity);
    draft.text("nksQuocTich", "nationality", "Việt Nam");
    draft.truth("nationality", "VN");
    let kind = match (&person.mother, &person.father) {
        (Some(_), Some(_)) => 1,
        (None, Some(_)) => 2,
        (Some(_), None) => 3,
        (None, None) => 4,
    };
    draft.put("nksLoaiKhaiSinh", kind);
    draft.truth("birth_kind", kind.to_string());
    let paper = (person.birth.year >= 2014 && person.birth.is_full()).then(|| format!("GCS-{:08}", person.index));
    draft.put("maGCS", &paper);
    draft.put("ngayCapGCS", paper.as_ref().map(|_| person.birth.dotted()));
    draft.truth_if("birth_certificate_date", paper.as_ref().map(|_| person.birth.iso()));
    draft.truth_if("birth_certificate_number", paper);
    for (columns, group, parent) in [(&MOTHER, "mother", &person.mother), (&FATHER, "father", &person.father)] {
        let truth = self::person(&mut draft, columns, group, parent.as_ref(), year);
        add(&mut draft, group, truth);
    }
    let (asking, relation) = match (&person.father, &person.mother) {
        (Some(father), _) => (Some(father), "Cha"),
        (None, Some(mother)) => (Some(mother), "Mẹ"),
        (None, None) => (None, ""),
    };
    requester(&mut draft, asking, relation, year);
    draft.moment("ngayCapNhat");
    let keys = Keys::default().personal_id(person.personal_id.as_deref());
    output.record(SECTOR, "lienthong.civilstatus.v1.BirthRegistration", keys, draft)
}

fn marriage(output: &mut Output<'_>, plan: &Plan, block: &Block, marriage: &Marriage) -> Result<(), SyntheticError> {
    let (husband, wife) = (&block.people[marriage.husband], &block.people[marriage.wife]);
    let mut draft = draft(plan, "ket_hon", husband.index);
    let year = marriage.date.year;
    registration(&mut draft, husband.index, marriage.date, 1, &husband.permanent);
    let mut keys = Keys::default();
    let mut numbers: Vec<String> = Vec::new();
    for (columns, group, count, spouse) in
        [(&HUSBAND, "husband", "chongSoLanKH", husband), (&WIFE, "wife", "voSoLanKH", wife)]
    {
        let mut truth = person(&mut draft, columns, group, Some(&spouse.as_relative()), year);
        let times = 1 + i64::from(draft.hash(group, "times") % 25 == 0);
        draft.put(count, times);
        truth.push(("marriage_count", Value::from(times)));
        let stored = draft.cells.iter().rev().find(|(column, _)| *column == columns[11]);
        if let Some((_, crate::draft::Cell::Text(number))) = stored
            && number.len() == 12
        {
            numbers.push(number.clone());
        }
        add(&mut draft, group, truth);
    }
    // Either number finds the entry; a list says so.
    if !numbers.is_empty() {
        keys = keys.with_all("personal_id", numbers);
    }
    draft.put("ngayXacLapQuanHeHonNhan", marriage.date.dotted());
    draft.truth("effective_date", marriage.date.iso());
    draft.put("tinhTrangKetHon", if marriage.is_divorced { 2 } else { 1 });
    draft.truth("marriage_status", if marriage.is_divorced { "DIVORCED" } else { "IN_FORCE" });
    draft.moment("ngayCapNhat");
    output.record(SECTOR, "lienthong.civilstatus.v1.MarriageRegistration", keys, draft)
}

fn death(
    output: &mut Output<'_>,
    plan: &Plan,
    block: &Block,
    person: &Person,
    date: Date,
) -> Result<(), SyntheticError> {
    let mut draft = draft(plan, "khai_tu", person.index);
    registration(&mut draft, person.index, date, 1, &person.permanent);
    let stored = subject(&mut draft, &DECEASED, "last_residence", person, date.year);
    let hash = draft.hash("", "death");
    draft.put("nktNgayChet", date.dotted());
    draft.truth("death_date", date.iso());
    let time = (hash % 4 > 0).then(|| format!("{:02}:{:02}", hash / 8 % 24, hash / 512 % 60));
    draft.put("nktGioPhutChet", &time);
    draft.truth_if("death_time", time);
    let style = draft.style("death_place", &person.current);
    draft.text("nktNoiChet", "death_place", &person.current.text(style));
    draft.put("nktNoiChetDVHC", person.current.commune_code(style));
    const CAUSES: [&str; 5] = ["Tuổi già", "Bệnh tim mạch", "Tai biến mạch máu não", "Tai nạn giao thông", "Bệnh phổi"];
    let cause = CAUSES[(hash / 3 % 5) as usize];
    draft.text("nktNguyenNhanChet", "death_cause", cause);
    draft.truth("death_cause", cause);
    let kind = 1 + (hash / 7 % 7) as i64;
    draft.put("gbtLoai", kind);
    draft.truth("notice_kind", kind.to_string());
    let paper = format!("{}/GBT", 1 + hash % 900);
    draft.put("gbtSo", paper.as_str());
    draft.truth("notice_number", paper);
    draft.put("gbtNgay", date.dotted());
    draft.truth("notice_date", date.iso());
    let issuer = format!("Trạm Y tế {}", person.current.link.old_name);
    draft.text("gbtCoQuanCap", "notice_issuer", &issuer);
    draft.truth("notice_issuer", issuer);
    let reporter = block.spouse(person).map(Person::as_relative);
    requester(&mut draft, reporter.as_ref(), if person.male { "Vợ" } else { "Chồng" }, date.year);
    draft.moment("ngayCapNhat");
    let keys = Keys::default().personal_id(stored.as_deref());
    output.record(SECTOR, "lienthong.civilstatus.v1.DeathRegistration", keys, draft)
}

fn certificate(output: &mut Output<'_>, plan: &Plan, block: &Block, person: &Person) -> Result<(), SyntheticError> {
    let _ = block;
    let mut draft = draft(plan, "xac_nhan_hon_nhan", person.index);
    let hash = draft.hash("", "certificate");
    let date = Date::day(2024 + (hash % 2) as u16, 1 + (hash / 4 % 12) as u8, 1 + (hash / 64 % 28) as u8);
    registration(&mut draft, person.index, date, 0, &person.permanent);
    let stored = subject(&mut draft, &CERTIFIED, "residence", person, date.year);
    let (status, certified) = match person.marital {
        Marital::Single => (1, "NEVER_REGISTERED"),
        Marital::Married if hash % 3 == 0 => (5, "NOW_MARRIED"),
        Marital::Married => (2, "HAS_SPOUSE"),
        Marital::Divorced => (3, "DIVORCED"),
        Marital::Widowed => (4, "WIDOWED"),
    };
    draft.put("nxnTinhTrangHonNhan", status);
    draft.truth("certified_status", certified);
    draft.truth("marital_status", marital_code(person.marital));
    let to_marry = person.marital != Marital::Married && hash % 5 < 3;
    let purpose = if to_marry { 1 + (hash / 5 % 3) as i64 } else { 4 + (hash / 5 % 2) as i64 };
    draft.put("nxnMucDich", purpose);
    draft.truth("certificate_purpose", purpose.to_string());
    let partner = to_marry.then(|| words::official(hash.rotate_left(9)));
    draft.name_if("nxnNguoiDuDinhKetHon", "intended_partner", partner.as_deref());
    draft.truth_if("intended_partner", partner);
    draft.moment("ngayCapNhat");
    let keys = Keys::default().personal_id(stored.as_deref());
    output.record(SECTOR, "lienthong.civilstatus.v1.MaritalStatus", keys, draft)
}
