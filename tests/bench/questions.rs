//! The same question in every form it is asked.

use prost_types::FieldMask;
use proto::query::v1::{self as wire, subject::Identifier};

/// What the single-record scenarios ask for, and the columns the floor reads for it.
pub(crate) const RESIDENT: &str = "lienthong.population.v1.Resident";
pub(crate) const FIELDS: [&str; 4] = ["full_name", "birth_date", "gender", "household_number"];
pub(crate) const COLUMNS: [&str; 8] =
    ["Ho", "ChuDem", "Ten", "NgaySinh", "NamSinh", "GioiTinh", "SoSoHoKhau", "NgayCapNhat"];

/// A record type of each register that knows people, with some fields.
const EVERYWHERE: [(&str, &[&str]); 6] = [
    (RESIDENT, &FIELDS),
    ("lienthong.civilstatus.v1.BirthRegistration", &["full_name", "birth_date"]),
    ("lienthong.judicial.v1.CriminalRecordSummary", &["full_name"]),
    ("lienthong.insurance.v1.SocialInsuranceParticipation", &["full_name"]),
    ("lienthong.business.v1.EnterpriseRegistration", &["enterprise_code"]),
    ("lienthong.budget.v1.BudgetUnit", &["code", "name"]),
];

fn selection(record_type: &str, fields: &[&str]) -> wire::Selection {
    let paths = fields.iter().map(|&field| field.to_owned()).collect();
    wire::Selection { record_type: record_type.to_owned(), field_mask: Some(FieldMask { paths }) }
}

fn request(personal_id: &str, selections: Vec<wire::Selection>) -> wire::QueryRequest {
    wire::QueryRequest {
        subject: Some(subject(personal_id)),
        selections,
        purpose: Some(purpose()),
        officer: Some(officer()),
        required_sources: Vec::new(),
    }
}

fn subject(personal_id: &str) -> wire::Subject {
    wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }
}

fn purpose() -> wire::Purpose {
    wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }
}

fn officer() -> wire::Officer {
    wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }
}

/// One record type.
pub(crate) fn query(personal_id: &str) -> wire::QueryRequest {
    request(personal_id, vec![selection(RESIDENT, &FIELDS)])
}

/// One record type of another register.
pub(crate) fn birth(personal_id: &str) -> wire::QueryRequest {
    let (record_type, fields) = EVERYWHERE[1];
    request(personal_id, vec![selection(record_type, fields)])
}

/// What a portal asks while a dossier is filed, under its own agreement.
pub(crate) fn portal(personal_id: &str) -> wire::QueryRequest {
    let mut request = request(personal_id, vec![selection(RESIDENT, &["full_name"])]);
    request.purpose = Some(wire::Purpose {
        code: "confirm_residence".to_owned(),
        dossier_number: "H21.65-261122-0009".to_owned(),
        ..Default::default()
    });
    request
}

/// A record type of each register.
pub(crate) fn everywhere(personal_id: &str) -> wire::QueryRequest {
    request(personal_id, EVERYWHERE.iter().map(|(record_type, fields)| selection(record_type, fields)).collect())
}

/// One claim about each field of the one record type.
pub(crate) fn verify(personal_id: &str) -> wire::VerifyRequest {
    let claim = |(field, value): (&str, &str)| wire::Claim {
        record_type: RESIDENT.to_owned(),
        field: field.to_owned(),
        value: value.to_owned(),
    };
    wire::VerifyRequest {
        subject: Some(subject(personal_id)),
        claims: [("full_name", "Nguyễn Văn An"), ("birth_date", "1985-03-07"), ("gender", "M")].map(claim).to_vec(),
        purpose: Some(purpose()),
        officer: Some(officer()),
        required_sources: Vec::new(),
    }
}
