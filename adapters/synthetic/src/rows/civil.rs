//! Civil status: births, marriages, deaths, certificates of marital status.

use serde_json::Value;

use super::{
    civil_parts::{
        CERTIFIED, DECEASED, FATHER, HUSBAND, MOTHER, WIFE, add_truth, ethnicity, party, registration, requester,
        subject,
    },
    marital_code, words,
};
use crate::{
    Plan, Sector, SyntheticError,
    chance::happens,
    date::{Date, PRESENT_YEAR},
    draft::{Cell, Charset, Draft},
    output::{Keys, Output},
    people::{Block, Marital, Marriage, Person},
};

const SECTOR: Sector = Sector::CivilStatus;

pub(super) fn write(output: &mut Output<'_>, plan: &Plan, block: &Block) -> Result<(), SyntheticError> {
    for person in &block.people {
        if person.personal_id.is_none() {
            continue;
        }
        // Old books were entered in part.
        let entered = if person.birth.year >= 1990 { 0.85 } else { 0.35 };
        let chosen = person.is_everywhere || person.is_known_by_card;
        if chosen || happens(plan.seed, "birth_entry", person.index, entered) {
            birth(output, plan, person)?;
        }
        if let Some(death) = person.death {
            self::death(output, plan, block, person, death)?;
        }
        if person.is_living_adult() && (chosen || happens(plan.seed, "certificate", person.index, 0.06)) {
            certificate(output, plan, person)?;
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

fn birth(output: &mut Output<'_>, plan: &Plan, person: &Person) -> Result<(), SyntheticError> {
    let mut draft = draft(plan, "khai_sinh", person.index);
    let late = draft.hash("", "late").is_multiple_of(10);
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
        let truth = party(&mut draft, columns, group, parent.as_ref(), year);
        add_truth(&mut draft, group, truth);
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
        let mut truth = party(&mut draft, columns, group, Some(&spouse.as_relative()), year);
        let times = 1 + i64::from(draft.hash(group, "times").is_multiple_of(25));
        draft.put(count, times);
        truth.push(("marriage_count", Value::from(times)));
        let stored = draft.cells.iter().rev().find(|(column, _)| *column == columns[11]);
        // Where the register lost the leading zero, the true number must find the entry all the same.
        if let Some((_, Cell::Text(number))) = stored {
            numbers.push(format!("{number:0>12}"));
        }
        add_truth(&mut draft, group, truth);
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
    let time = (!hash.is_multiple_of(4)).then(|| format!("{:02}:{:02}", hash / 8 % 24, hash / 512 % 60));
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

fn certificate(output: &mut Output<'_>, plan: &Plan, person: &Person) -> Result<(), SyntheticError> {
    let mut draft = draft(plan, "xac_nhan_hon_nhan", person.index);
    let hash = draft.hash("", "certificate");
    let date = Date::day(2024 + (hash % 2) as u16, 1 + (hash / 4 % 12) as u8, 1 + (hash / 64 % 28) as u8);
    registration(&mut draft, person.index, date, 0, &person.permanent);
    let stored = subject(&mut draft, &CERTIFIED, "residence", person, date.year);
    let (status, certified) = match person.marital {
        Marital::Single => (1, "NEVER_REGISTERED"),
        Marital::Married if hash.is_multiple_of(3) => (5, "NOW_MARRIED"),
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
