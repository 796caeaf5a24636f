//! Social and health insurance: participants with their periods, and health cards.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::{message, some};
use crate::{
    Plan, Sector, SyntheticError,
    chance::{Domain, happens, pick, stream},
    date::{Date, PRESENT_YEAR},
    defect::Kind,
    draft::{Charset, Contradiction, Draft},
    number,
    organisation::{Firm, Unit},
    output::{Keys, Output},
    people::{Block, Person},
};

const SECTOR: Sector = Sector::Insurance;

pub(super) fn write(output: &mut Output<'_>, plan: &Plan, block: &Block) -> Result<(), SyntheticError> {
    for person in &block.people {
        let Some(number) = person.insurance_number.as_deref() else { continue };
        let chosen = person.is_everywhere || person.is_disputed || person.is_known_by_card;
        if chosen || (person.age() >= 18 && happens(plan.seed, "participant", person.index, 0.7)) {
            participant(output, plan, block, person, number, false)?;
            let rate = plan.rates.second_insurance_number;
            if person.legacy_id.is_some() && happens(plan.seed, "second_number", person.index, rate) {
                let second = number::insurance_number(person.index, block.region, true);
                participant(output, plan, block, person, &second, true)?;
            }
        }
        if person.death.is_none() && (chosen || happens(plan.seed, "card", person.index, 0.92)) {
            card(output, plan, person, number)?;
        }
    }
    Ok(())
}

/// A participant's row. The second number of a person was never matched: it knows only the old card.
fn participant(
    output: &mut Output<'_>,
    plan: &Plan,
    block: &Block,
    person: &Person,
    number: &str,
    is_second: bool,
) -> Result<(), SyntheticError> {
    let row = person.index * 2 + u64::from(is_second);
    let mut draft = Draft::new(plan, "nguoi_tham_gia", row, Charset::Unicode);
    let rng = &mut stream(plan.seed, Domain::Insurance, row);
    let known = person.personal_id.as_deref().filter(|_| !is_second);
    let contradiction = match (is_second, person.is_disputed) {
        (true, _) => Contradiction::None,
        (false, true) => Contradiction::Year(-2),
        (false, false) => draft.contradiction(person),
    };
    draft.put("id", row as i64 + 1);
    draft.put("maSoBhxh", number);
    draft.truth("social_insurance_number", number);
    if is_second {
        draft.note("social_insurance_number", Kind::SecondInsuranceNumber);
    }
    let stored = draft.personal_id("soDinhDanh", "personal_id", known);
    draft.truth_if("personal_id", known);
    let legacy = person.second_legacy_id.as_ref().filter(|_| is_second).or(person.legacy_id.as_ref());
    draft.put("cmnd", legacy.map(String::as_str));
    draft.truth_if("legacy_id", legacy.map(String::as_str));
    identity(&mut draft, person, contradiction);
    draft.put("danToc", person.ethnicity);
    draft.truth("ethnicity", person.ethnicity);
    let style = draft.style("address", &person.permanent);
    draft.put("maTinhKs", person.permanent.province_code(style));
    draft.put("maHuyenKs", person.permanent.district_code(style));
    draft.put("maXaKs", person.permanent.commune_code(style));
    draft.text("diaChi", "address", &person.permanent.text(style));
    let household = block.households[person.household].code.as_str();
    draft.put("maHo", household);
    draft.truth("household_code", household);

    let periods = periods(rng, plan, person);
    let is_paying = periods.last().is_some_and(|period| period.until.is_none());
    let (status, code) = match (person.age(), is_paying) {
        (62.., _) => (4, "PENSION"),
        (_, true) => (1, "ACTIVE"),
        (_, false) if row.is_multiple_of(2) => (2, "SUSPENDED"),
        (_, false) => (3, "ENDED"),
    };
    draft.put("trangThai", status);
    draft.truth("participation_status", code);
    draft.moment("ngayCapNhat");

    let mut truths = Vec::with_capacity(periods.len());
    for (nth, period) in periods.iter().enumerate() {
        truths.push(period.put(&mut draft, output, row, number, nth)?);
    }
    if !truths.is_empty() {
        draft.truth("periods", truths);
    }
    let keys = Keys::default()
        .personal_id(stored.as_deref())
        .with("social_insurance_number", Some(number))
        .with("legacy_id", legacy.map(String::as_str));
    output.record(SECTOR, "lienthong.insurance.v1.SocialInsuranceParticipation", keys, draft)
}

/// Name, birth date with what is known of it, and sex.
fn identity(draft: &mut Draft<'_>, person: &Person, contradiction: Contradiction) {
    let full = person.name.full();
    draft.name("hoTen", "full_name", &full);
    draft.truth("full_name", full);
    let written = draft.birth("birth_date", person.birth, contradiction);
    let precision = match (written.month, written.day) {
        (0, _) => 1,
        (_, 0) => 2,
        _ => 0,
    };
    draft.put("ngaySinh", written.padded().compact());
    draft.put("loaiNgaySinh", precision);
    draft.truth("birth_date", person.birth.iso());
    let male = draft.male("gender", person.male, contradiction);
    draft.put("gioiTinh", if male { 1 } else { 2 });
    draft.truth("gender", person.gender());
}

struct Period {
    from: Date,
    until: Option<Date>,
    employer: Option<(String, String)>,
    position: Option<&'static str>,
    salary: i64,
    /// Hundredths of a percent.
    rate: u32,
    kind: (i64, &'static str),
}

const POSITIONS: [&str; 6] = ["Nhân viên", "Công nhân", "Kế toán", "Trưởng phòng", "Lái xe", "Kỹ thuật viên"];

/// Periods of one working life, oldest first. One participant in ten pays without an employer.
fn periods(rng: &mut ChaCha8Rng, plan: &Plan, person: &Person) -> Vec<Period> {
    let mut year = (person.birth.year + rng.random_range(18..26)).max(1995);
    let last_year = (person.birth.year + 60).min(person.death.map_or(PRESENT_YEAR, |death| death.year));
    let mut periods = Vec::new();
    for _ in 0..rng.random_range(1..5) {
        if year >= last_year {
            break;
        }
        let years = rng.random_range(1..9);
        let is_last = year + years >= last_year;
        let is_open = is_last && last_year == PRESENT_YEAR;
        let employer = match rng.random_range(0..10) {
            0 => None,
            1 | 2 => {
                let unit = Unit::new(plan, rng.random_range(0..plan.units()));
                Some((unit.name, unit.code))
            }
            _ => {
                let firm = Firm::new(plan, rng.random_range(0..plan.firms()));
                Some((firm.name, firm.code))
            }
        };
        let (rate, kind) = match &employer {
            None => (2200, (2, "VOLUNTARY")),
            Some(_) if year < 2009 => (2000, (1, "COMPULSORY")),
            Some(_) if rng.random_bool(0.05) => (200, (3, "UNEMPLOYMENT")),
            Some(_) => (pick(rng, &[2550, 3200]), (1, "COMPULSORY")),
        };
        let month = rng.random_range(1..=6);
        periods.push(Period {
            from: Date { year, month, day: 0 },
            until: (!is_open).then(|| Date {
                year: (year + years).min(last_year),
                month: rng.random_range(7..=9),
                day: 0,
            }),
            position: employer.as_ref().map(|_| pick(rng, &POSITIONS)),
            employer,
            salary: rng.random_range(30..400) * 50_000,
            rate,
            kind,
        });
        if is_last {
            break;
        }
        year += years + 1;
    }
    periods
}

impl Period {
    fn put(
        &self,
        draft: &mut Draft<'_>,
        output: &mut Output<'_>,
        participant: u64,
        number: &str,
        nth: usize,
    ) -> Result<Value, SyntheticError> {
        let row = participant * 8 + nth as u64;
        let path = |leaf: &str| format!("periods[{nth}].{leaf}");
        let mut child = Draft::new(draft.plan, "qua_trinh_tham_gia", row, Charset::Unicode);
        child.put("id", row as i64 + 1);
        child.put("maSoBhxh", number);
        child.put("stt", nth as i64 + 1);
        child.put("tuThang", self.from.slashed());
        child.put("denThang", self.until.map(Date::slashed));
        let (name, code) = match &self.employer {
            Some((name, code)) => (Some(name.as_str()), Some(code.as_str())),
            None => (None, None),
        };
        child.text_if("tenDonVi", &path("employer_name"), name);
        child.tax_code("maDonVi", &path("employer_code"), code);
        child.text_if("chucDanh", &path("position"), self.position);
        child.put("mucThuNhap", self.salary);
        child.put("tyLeDong", decimal(u64::from(self.rate), 2, true));
        child.put("loai", self.kind.0);
        output.row(SECTOR, child.table, &child.cells)?;
        draft.defects.append(&mut child.defects);
        Ok(Value::Object(message([
            ("from_month", some(self.from.iso())),
            ("until_month", self.until.map(|date| Value::from(date.iso()))),
            ("employer_name", name.map(Value::from)),
            ("employer_code", code.map(Value::from)),
            ("position", self.position.map(Value::from)),
            ("salary_basis", some(self.salary.to_string())),
            ("contribution_rate_percent", some(decimal(u64::from(self.rate), 2, false))),
            ("insurance_kind", some(self.kind.1)),
        ])))
    }
}

/// A decimal number from its smallest parts, with all fraction digits as a database gives it or without useless ones.
pub(super) fn decimal(parts: u64, digits: u32, padded: bool) -> String {
    let unit = 10u64.pow(digits);
    let text = format!("{}.{:0width$}", parts / unit, parts % unit, width = digits as usize);
    if padded { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// Object group and benefit digit of the old card, by age.
fn group(rng: &mut ChaCha8Rng, person: &Person) -> (&'static str, i64) {
    match person.age() {
        0..6 => ("TE", 1),
        6..18 => ("HS", 4),
        18..60 => pick(rng, &[("DN", 4), ("DN", 4), ("GD", 4), ("CH", 4), ("HN", 2), ("CN", 3), ("DT", 2)]),
        _ => pick(rng, &[("HT", 3), ("GD", 4), ("CK", 2)]),
    }
}

fn card(output: &mut Output<'_>, plan: &Plan, person: &Person, number: &str) -> Result<(), SyntheticError> {
    let mut draft = Draft::new(plan, "the_bhyt", person.index, Charset::Unicode);
    let rng = &mut stream(plan.seed, Domain::Insurance, person.index + (1 << 40));
    let (group, level) = group(rng, person);
    let old_number = format!("{group}{level}{}{number}", &number[..2]);
    let is_old = rng.random_bool(0.4);
    let card_number = if is_old { old_number.as_str() } else { number };
    let contradiction = if person.is_disputed { Contradiction::Year(-2) } else { draft.contradiction(person) };
    draft.put("id", person.index as i64 + 1);
    draft.put("maThe", card_number);
    draft.truth("card_number", card_number);
    draft.put("maSoBHXH", number);
    draft.truth("social_insurance_number", number);
    let stored = draft.personal_id("soDinhDanh", "personal_id", person.personal_id.as_deref());
    draft.truth_if("personal_id", person.personal_id.clone());
    identity(&mut draft, person, contradiction);
    let style = draft.style("address", &person.current);
    draft.text("diaChi", "address", &person.current.text(style));
    draft.put("maTinh", person.current.province_code(style));
    draft.put("maHuyen", person.current.district_code(style));
    draft.put("maXa", person.current.commune_code(style));
    if is_old {
        draft.truth("object_group", group);
        draft.truth("benefit_level", level);
    }
    let facility = rng.random_range(1..60);
    let code = format!("{}{facility:03}", &number[..2]);
    draft.put("maDKBD", code.as_str());
    draft.truth("registered_facility_code", code);
    let name = format!("Trung tâm Y tế khu vực {facility}");
    draft.text("tenDKBD", "registered_facility_name", &name);
    draft.truth("registered_facility_name", name);
    let from = Date::within(rng, if is_old { 2020 } else { 2026 });
    draft.put("gtTheTu", from.slashed());
    draft.truth("valid_from", from.iso());
    let until = Date::day(from.year + u16::from(!is_old), 12, 31);
    draft.put("gtTheDen", until.slashed());
    draft.truth("valid_until", until.iso());
    let area = rng.random_bool(0.2).then(|| pick(rng, &["K1", "K2", "K3"]));
    draft.put("maKV", area);
    draft.truth_if("living_area", area);
    let five = (person.age() > 10 && rng.random_bool(0.7)).then(|| Date::within(rng, 2020));
    draft.put("ngayDu5Nam", five.map(Date::slashed));
    draft.truth_if("five_years_date", five.map(Date::iso));
    let previous = (!is_old && person.age() > 6 && rng.random_bool(0.5)).then_some(old_number.as_str());
    draft.put("maTheCu", previous);
    draft.truth_if("previous_card_number", previous);
    draft.moment("ngayCapNhat");
    let keys = Keys::default().personal_id(stored.as_deref()).with("social_insurance_number", Some(number));
    output.record(SECTOR, "lienthong.insurance.v1.HealthInsuranceCoverage", keys, draft)
}
