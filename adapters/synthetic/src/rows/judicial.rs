//! Judicial records: files of those who were convicted and of those who only asked. All text is TCVN3 bytes.

use std::sync::LazyLock;

use rand::Rng;
use serde_json::{Value, json};

use super::{
    judicial_parts::{Ban, Conviction, Period, bans, convictions, history},
    message, some,
    words::{self, CARD, CARD_ISSUER, OLD_CARD, PASSPORT, PASSPORT_ISSUER},
};
use crate::{
    Plan, Sector, SyntheticError,
    chance::{Domain, happens, stream},
    date::Date,
    draft::{Charset, Draft, Fields},
    output::{Keys, Output},
    people::{Block, Person, Relative},
};

const SECTOR: Sector = Sector::JudicialRecords;
const ISSUER: &str = "Công an tỉnh Gia Lai";

/// Share of living adults with a conviction, and of those who have a file without one.
const CONVICTED: f64 = 0.01;
const ASKED: f64 = 0.06;

/// Ids of the lists this system numbers by itself.
static INTERNAL_IDS: LazyLock<Vec<(&'static str, &'static str, i64)>> = LazyLock::new(|| {
    include_str!("../../../judicial-records/schema/internal_ids.csv")
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split(',');
            let (list, id, code) = (columns.next()?, columns.next()?, columns.next()?);
            Some((list, code, id.parse().ok()?))
        })
        .collect()
});

fn internal_id(list: &str, code: &str) -> Option<i64> {
    INTERNAL_IDS.iter().find(|(known, entry, _)| *known == list && *entry == code).map(|(_, _, id)| *id)
}

pub(super) fn write(output: &mut Output<'_>, plan: &Plan, block: &Block) -> Result<(), SyntheticError> {
    for person in &block.people {
        if !person.is_living_adult() {
            continue;
        }
        let is_convicted = person.is_everywhere || happens(plan.seed, "convicted", person.index, CONVICTED);
        if is_convicted || person.is_known_by_card || happens(plan.seed, "asked", person.index, ASKED) {
            file(output, plan, block, person, is_convicted)?;
        }
    }
    Ok(())
}

fn file(
    output: &mut Output<'_>,
    plan: &Plan,
    block: &Block,
    person: &Person,
    is_convicted: bool,
) -> Result<(), SyntheticError> {
    let rng = &mut stream(plan.seed, Domain::Judicial, person.index);
    let convictions = if is_convicted { convictions(rng, person) } else { Vec::new() };
    let bans = bans(rng, &convictions);
    let history = history(rng, person);
    let mut draft = Draft::new(plan, "ho_so", person.index, Charset::Tcvn3);
    let keys = identity(&mut draft, rng, person);
    family(&mut draft, block, person);
    application(&mut draft, rng, !bans.is_empty());

    let parts = parts(&mut draft, output, person.index, &convictions, &bans, &history)?;
    output.row(SECTOR, "ho_so", &draft.cells)?;
    output.count(&draft.defects);
    if plan.wants_truth {
        let (summary, detail) = truths(&draft.fields, parts);
        let of = |fields, record: &str| (fields, format!("lienthong.judicial.v1.{record}"));
        for (fields, record) in [of(summary, "CriminalRecordSummary"), of(detail, "CriminalRecordDetail")] {
            output.truth(SECTOR, &record, &keys, &fields, &draft.defects)?;
        }
    }
    Ok(())
}

fn identity(draft: &mut Draft<'_>, rng: &mut impl Rng, person: &Person) -> Keys {
    let contradiction = draft.contradiction(person);
    let receive =
        format!("H21.01-{:02}{:02}{:02}-{:05}", 26, 1 + person.index % 10, 1 + person.index % 28, person.index);
    draft.put("id", person.index as i64 + 1);
    draft.put("receiveNo", receive.as_str());
    draft.truth("receive_number", receive);
    draft.put("personalId", &person.personal_id);
    draft.truth_if("personal_id", person.personal_id.clone());
    let full = person.name.full();
    draft.name("fullName", "full_name", &full);
    draft.truth("full_name", full);
    let male = draft.male("gender", person.male, contradiction);
    draft.put("genderId", i64::from(male));
    draft.truth("gender", person.gender());
    let birth = draft.birth("birth_date", person.birth, contradiction);
    draft.put("birthDateStr", birth.slashed());
    draft.truth("birth_date", person.birth.iso());
    let birth_place = person.birth_place.link.old_province;
    draft.text("birthPlace", "birth_place", birth_place);
    draft.truth("birth_place", birth_place);
    draft.put("nationalityId", internal_cell("nationality", "VN"));
    draft.truth("nationality", "VN");
    draft.put("ethnicId", internal_cell("ethnicity", person.ethnicity));
    draft.truth("ethnicity", person.ethnicity);
    let style = draft.style("residence", &person.permanent);
    draft.text("residence", "residence", &person.permanent.text(style));
    draft.put("reRegionId", person.permanent.commune_code(style));
    if person.current.detail == person.permanent.detail {
        draft.text_if("residenceTemporary", "temporary_residence", None);
        draft.put("rtRegionId", None::<String>);
    } else {
        let style = draft.style("temporary_residence", &person.current);
        draft.text("residenceTemporary", "temporary_residence", &person.current.text(style));
        draft.put("rtRegionId", person.current.commune_code(style));
    }
    document(draft, rng, person)
}

fn internal_cell(list: &str, code: &str) -> crate::draft::Cell {
    internal_id(list, code).map_or(crate::draft::Cell::Null, crate::draft::Cell::Int)
}

/// The document the file was opened on, and the keys that follow from it.
fn document(draft: &mut Draft<'_>, rng: &mut impl Rng, person: &Person) -> Keys {
    let old = person.legacy_id.as_deref().filter(|_| person.personal_id.is_none() || rng.random_bool(0.25));
    let abroad = old.is_none() && rng.random_bool(0.05);
    let keys = Keys::default().personal_id(person.personal_id.as_deref()).with("legacy_id", old);
    let (kind, code, number, issued, issuer) = match (old, &person.personal_id) {
        (Some(number), _) => {
            (1, OLD_CARD, number.to_owned(), Date::within(rng, 2008), words::old_card_issuer(person.permanent.link))
        }
        (None, Some(_)) if abroad => {
            let number = format!("C{:07}", person.index % 10_000_000);
            (0, PASSPORT, number, Date::within(rng, 2019), PASSPORT_ISSUER.to_owned())
        }
        (None, Some(number)) => (3, CARD, number.clone(), Date::within(rng, 2021), CARD_ISSUER.to_owned()),
        (None, None) => {
            for column in ["idTypeId", "identifyNo", "idIssueDate", "idIssuePlace"] {
                draft.put(column, None::<String>);
            }
            return keys;
        }
    };
    draft.put("idTypeId", kind);
    draft.put("identifyNo", number.as_str());
    draft.put("idIssueDate", issued.slashed());
    draft.text("idIssuePlace", "identity_document", &issuer);
    draft.truth(
        "identity_document",
        json!({ "type": code, "number": number, "issue_date": issued.iso(), "issue_place": issuer }),
    );
    keys
}

fn family(draft: &mut Draft<'_>, block: &Block, person: &Person) {
    let spouse = block.spouse(person).map(Person::as_relative);
    for (name, year, name_field, year_field, relative) in [
        ("fatherName", "fatherYear", "father_name", "father_birth_date", person.father.as_ref()),
        ("motherName", "motherYear", "mother_name", "mother_birth_date", person.mother.as_ref()),
        ("partnerName", "partnerYear", "spouse_name", "spouse_birth_date", spouse.as_ref()),
    ] {
        let full = relative.map(|relative: &Relative| relative.name.as_str());
        let born = relative.map(|relative| Date::year(relative.birth.year).iso());
        draft.name_if(name, name_field, full);
        draft.truth_if(name_field, full);
        draft.put(year, &born);
        draft.truth_if(year_field, born);
    }
}

fn application(draft: &mut Draft<'_>, rng: &mut impl Rng, is_banned: bool) {
    draft.put("phone", format!("09{:08}", rng.random_range(0..100_000_000)));
    draft.put("email", None::<String>);
    draft.put("declareTypeId", 3846);
    draft.put("objectRequestId", 72);
    draft.put("formType", rng.random_range(1..=2_i64));
    draft.put("isBanPosition", is_banned);
    draft.text("purpose", "purpose", "Bổ sung hồ sơ xin việc");
    draft.put("requestQty", 1);
    draft.text("issueBody", "issuing_body", ISSUER);
    draft.truth("issuing_body", ISSUER);
    draft.moment("updatedAt");
}

/// The repeated parts of the truth.
struct Parts {
    convictions: Vec<(bool, Value)>,
    bans: Vec<Value>,
    history: Vec<Value>,
}

fn parts(
    draft: &mut Draft<'_>,
    output: &mut Output<'_>,
    file: u64,
    convictions: &[Conviction],
    bans: &[Ban],
    history: &[Period],
) -> Result<Parts, SyntheticError> {
    let mut parts = Parts { convictions: Vec::new(), bans: Vec::new(), history: Vec::new() };
    for (nth, conviction) in convictions.iter().enumerate() {
        let value = child(draft, output, "an_tich", file, nth, |draft| conviction.put(draft, nth))?;
        parts.convictions.push((conviction.spent.is_some(), value));
    }
    for (nth, ban) in bans.iter().enumerate() {
        parts.bans.push(child(draft, output, "cam_dam_nhiem", file, nth, |draft| ban.put(draft, nth))?);
    }
    for (nth, period) in history.iter().enumerate() {
        parts.history.push(child(draft, output, "qua_trinh", file, nth, |draft| period.put(draft, nth))?);
    }
    Ok(parts)
}

/// Writes a row of a child table; its defects are the file's.
fn child(
    draft: &mut Draft<'_>,
    output: &mut Output<'_>,
    table: &'static str,
    file: u64,
    nth: usize,
    put: impl FnOnce(&mut Draft<'_>) -> Value,
) -> Result<Value, SyntheticError> {
    let mut row = Draft::new(draft.plan, table, file * 16 + nth as u64, draft.charset);
    row.put("id", (file * 16) as i64 + nth as i64 + 1);
    row.put("ho_so_id", file as i64 + 1);
    row.put("stt", nth as i64 + 1);
    let value = put(&mut row);
    output.row(SECTOR, table, &row.cells)?;
    draft.defects.append(&mut row.defects);
    Ok(value)
}

/// The truths of slip 1 and slip 2.
fn truths(all: &Fields, parts: Parts) -> (Fields, Fields) {
    const SUMMARY: [&str; 10] = [
        "receive_number",
        "personal_id",
        "full_name",
        "gender",
        "birth_date",
        "birth_place",
        "nationality",
        "residence",
        "identity_document",
        "issuing_body",
    ];
    let mut detail = all.clone();
    let mut summary: Fields = all
        .iter()
        .filter(|(field, _)| SUMMARY.contains(&field.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let unspent: Vec<Value> =
        parts.convictions.iter().filter(|(is_spent, _)| !is_spent).map(|(_, value)| value.clone()).collect();
    summary.insert("has_conviction".to_owned(), Value::from(!unspent.is_empty()));
    summary.insert("convictions".to_owned(), Value::from(unspent));
    summary.insert("office_bans".to_owned(), Value::from(parts.bans.clone()));
    let convictions: Vec<Value> = parts.convictions.into_iter().map(|(_, value)| value).collect();
    detail.insert("convictions".to_owned(), Value::from(convictions));
    detail.insert("office_bans".to_owned(), Value::from(parts.bans));
    detail.insert("history".to_owned(), Value::from(parts.history));
    (summary, detail)
}

impl Conviction {
    fn put(&self, draft: &mut Draft<'_>, nth: usize) -> Value {
        let path = |leaf: &str| format!("convictions[{nth}].{leaf}");
        draft.text("toa_an", &path("court"), &self.court);
        draft.put("so_ban_an", self.number.as_str());
        draft.put("ngay_tuyen", self.date.slashed());
        draft.text("toi_danh", &path("offence"), self.offence);
        draft.text("hinh_phat_chinh", &path("main_penalty"), &self.main_penalty);
        draft.text_if("hinh_phat_bo_sung", &path("additional_penalty"), self.additional_penalty.as_deref());
        draft.text_if("nghia_vu_dan_su", &path("civil_duty"), self.civil_duty.as_deref());
        draft.put("an_phi", self.court_fee);
        let (state, code) = self.state;
        draft.put("tinh_trang_thi_hanh", state);
        draft.put("DA_XOA_AN_TICH", i64::from(self.spent.is_some()));
        draft.put("ngay_xoa", self.spent.map(Date::slashed));
        Value::Object(message([
            ("court", some(self.court.as_str())),
            ("judgment_number", some(self.number.as_str())),
            ("judgment_date", some(self.date.iso())),
            ("offence", some(self.offence)),
            ("main_penalty", some(self.main_penalty.as_str())),
            ("additional_penalty", self.additional_penalty.clone().map(Value::from)),
            ("civil_duty", self.civil_duty.clone().map(Value::from)),
            ("court_fee", some(self.court_fee.to_string())),
            ("execution_state", some(code)),
            ("is_spent", some(self.spent.is_some())),
            ("spent_date", self.spent.map(|date| Value::from(date.iso()))),
        ]))
    }
}

impl Ban {
    fn put(&self, draft: &mut Draft<'_>, nth: usize) -> Value {
        draft.text("chuc_vu", &format!("office_bans[{nth}].post"), self.post);
        draft.put("den_ngay", self.until.slashed());
        json!({ "post": self.post, "until": self.until.iso() })
    }
}

impl Period {
    fn put(&self, draft: &mut Draft<'_>, nth: usize) -> Value {
        let path = |leaf: &str| format!("history[{nth}].{leaf}");
        draft.put("fromDateStr", self.from.slashed());
        draft.put("toDateStr", self.until.map(Date::slashed));
        draft.text("residencePlace", &path("residence"), &self.residence);
        draft.text_if("jobName", &path("job"), self.job);
        draft.text_if("workPlace", &path("work_place"), self.work_place.as_deref());
        Value::Object(message([
            ("from", some(self.from.iso())),
            ("until", self.until.map(|date| Value::from(date.iso()))),
            ("residence", some(self.residence.as_str())),
            ("job", self.job.map(Value::from)),
            ("work_place", self.work_place.clone().map(Value::from)),
        ]))
    }
}
