//! The numbers that name a subject, taken only in their exact form.

use adapter_sdk::Key;
use normalize::{Conversion, Converted, Defect};
use proto::{
    options::v1::IdentifierKind,
    query::v1::{self as wire, subject::Identifier},
};

use super::check::{Check, Unreadable};

/// Parses a number given with its kind.
pub(crate) fn identifier(field: &str, kind: IdentifierKind, value: &str) -> Result<Key, Box<Unreadable>> {
    let mut check = Check::default();
    let wrapped = match kind {
        IdentifierKind::PersonalId => Identifier::PersonalId(value.to_owned()),
        IdentifierKind::LegacyId => Identifier::LegacyId(value.to_owned()),
        IdentifierKind::SocialInsuranceNumber => Identifier::SocialInsuranceNumber(value.to_owned()),
        IdentifierKind::EnterpriseCode => Identifier::EnterpriseCode(value.to_owned()),
        IdentifierKind::BudgetUnitCode => Identifier::BudgetUnitCode(value.to_owned()),
        IdentifierKind::Unspecified => {
            check.wrong(field, "needs the kind of number beside it", "thiếu loại số định danh đi kèm");
            return check.finish(None);
        }
    };
    let parsed = subject_at(&mut check, field, wrapped);
    check.finish(parsed)
}

/// Parses the subject. `open` gives the number behind the handle of a candidate, or nothing when officer or purpose, to which a
/// handle belongs, are wrong themselves.
pub(super) fn subject(
    check: &mut Check,
    subject: Option<wire::Subject>,
    open: impl FnOnce(&str) -> Option<Option<Key>>,
) -> Option<Key> {
    let Some(identifier) = subject.and_then(|subject| subject.identifier) else {
        check.wrong("subject", "must hold exactly one number", "phải có đúng một số định danh");
        return None;
    };
    if let Identifier::Candidate(handle) = &identifier {
        return candidate(check, open(handle)?);
    }
    let field = match &identifier {
        Identifier::PersonalId(_) => "subject.personal_id",
        Identifier::LegacyId(_) => "subject.legacy_id",
        Identifier::SocialInsuranceNumber(_) => "subject.social_insurance_number",
        Identifier::EnterpriseCode(_) => "subject.enterprise_code",
        Identifier::BudgetUnitCode(_) => "subject.budget_unit_code",
        Identifier::Candidate(_) => "subject.candidate",
    };
    subject_at(check, field, identifier)
}

fn candidate(check: &mut Check, key: Option<Key>) -> Option<Key> {
    if key.is_none() {
        check.wrong(
            "subject.candidate",
            "is no candidate shown in the last ten minutes to this system and officer, for this purpose and dossier",
            "không phải kết quả tìm kiếm trong mười phút qua của hệ thống và cán bộ này, cho mục đích và hồ sơ này",
        );
    }
    check.asked.subject.clone_from(&key);
    key
}

fn subject_at(check: &mut Check, field: &str, identifier: Identifier) -> Option<Key> {
    let (kind, parsed, expected, expected_vi) = match identifier {
        Identifier::PersonalId(value) => (
            IdentifierKind::PersonalId,
            exact(normalize::personal_id(&value), |id| id.as_str().to_owned()),
            "12 digits beginning with a province or country code",
            "12 chữ số, bắt đầu bằng mã tỉnh hoặc mã quốc gia",
        ),
        Identifier::LegacyId(value) => {
            (IdentifierKind::LegacyId, exact(normalize::legacy_id(&value), |id| id.to_string()), "9 digits", "9 chữ số")
        }
        Identifier::SocialInsuranceNumber(value) => (
            IdentifierKind::SocialInsuranceNumber,
            exact(normalize::social_insurance_number(&value), |number| number.to_string())
                .and_then(|number| if number.len() == 10 { Ok(number) } else { Err(Defect::WrongLength) }),
            "10 digits",
            "10 chữ số",
        ),
        Identifier::EnterpriseCode(value) => (
            IdentifierKind::EnterpriseCode,
            enterprise_code(&value),
            "10 digits with a valid check digit, or 13 with a branch suffix (NNNNNNNNNN-XXX)",
            "10 chữ số có số kiểm tra đúng, hoặc 13 chữ số gồm mã đơn vị phụ thuộc (NNNNNNNNNN-XXX)",
        ),
        Identifier::BudgetUnitCode(value) => (
            IdentifierKind::BudgetUnitCode,
            exact(normalize::budget_unit_code(&value), |code| code.to_string()),
            "7 digits, the first not 0",
            "7 chữ số, chữ số đầu khác 0",
        ),
        // Opened where the question is known it belongs to.
        Identifier::Candidate(_) => (IdentifierKind::Unspecified, Err(Defect::WrongForm), "a number", "số định danh"),
    };
    match parsed {
        Ok(value) => {
            let key = Key { kind, value };
            check.asked.subject = Some(key.clone());
            Some(key)
        }
        Err(defect) => {
            check.wrong(
                field,
                format!("{}; expected {expected}", defect.reason()),
                format!("sai định dạng; yêu cầu {expected_vi}"),
            );
            None
        }
    }
}

/// A caller's number must be right as it stands: what may be repaired in a register is refused in a question.
pub(super) fn exact<T>(conversion: Conversion<T>, text: impl Fn(T) -> String) -> Result<String, Defect> {
    let Converted { value, notes } = conversion?;
    if notes.is_empty() { Ok(text(value)) } else { Err(Defect::WrongLength) }
}

/// A branch may be written with or without its dash.
fn enterprise_code(text: &str) -> Result<String, Defect> {
    let Converted { value, notes } = normalize::tax_code(text)?;
    let written_as_code = notes.iter().all(|note| note == normalize::Note::Punctuation);
    match value {
        normalize::TaxCode::Enterprise(code) | normalize::TaxCode::Branch(code) if written_as_code => {
            Ok(code.to_string())
        }
        _ => Err(Defect::WrongLength),
    }
}
