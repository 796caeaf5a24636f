//! Wire requests to parsed questions: every rule on a request's form is here, and every error names the field.

use std::{collections::HashSet, sync::Arc};

use access::{Assurance, Officer};
use proto::{FieldSet, RecordType, Schema, options::v1::IdentifierKind, query::v1 as wire};
use query::{Call, Claim, Hub, Purpose, Question, Selection, VerifyQuestion};

use crate::tokens::Proof;

mod check;
mod search;
mod subject;
#[cfg(test)]
mod tests;

use check::{Check, unknown_name};
use subject::{exact, subject};

pub(crate) use check::{Unreadable, has_long_number};
pub(crate) use search::search_question;
pub(crate) use subject::identifier;

const SELECTIONS_MAX: usize = 32;
const PATHS_MAX: usize = 200;
const CLAIMS_MAX: usize = 64;
const CLAIM_CHARACTERS_MAX: usize = 500;
const JUSTIFICATION_CHARACTERS_MAX: usize = 500;
const OFFICER_ID_CHARACTERS_MAX: usize = 64;
const OFFICER_NAME_CHARACTERS_MAX: usize = 200;
const REQUIRED_SOURCES_MAX: usize = 32;

/// Parses a `Query` request.
pub(crate) fn question(
    hub: &Hub,
    call: &Call,
    request: wire::QueryRequest,
    proof: Option<&Proof>,
) -> Result<Question, Box<Unreadable>> {
    let mut check = Check::default();
    let parsed = question_parts(&mut check, hub, call, request, proof);
    check.finish(parsed)
}

/// Parses the query inside a batch item.
pub(crate) fn batch_item(
    hub: &Hub,
    call: &Call,
    request: wire::BatchQueryRequest,
    proof: Option<&Proof>,
) -> (String, Result<Question, Box<Unreadable>>) {
    let mut check = Check::default();
    if request.item_id.is_empty() || request.item_id.chars().count() > 64 {
        check.wrong("item_id", "must have 1 to 64 characters", "phải có từ 1 đến 64 ký tự");
    }
    check.prefix = "query.".to_owned();
    let parsed = match request.query {
        Some(query) => question_parts(&mut check, hub, call, query, proof),
        None => {
            check.wrong("", "must be present", "không được thiếu");
            None
        }
    };
    (request.item_id.chars().take(64).collect(), check.finish(parsed))
}

fn question_parts(
    check: &mut Check,
    hub: &Hub,
    call: &Call,
    request: wire::QueryRequest,
    proof: Option<&Proof>,
) -> Option<Question> {
    let purpose = purpose(check, hub, request.purpose);
    let officer = officer(check, "officer", request.officer, proof);
    let open = |handle: &str| Some(hub.candidate(call, officer.as_ref()?, purpose.as_ref()?, handle));
    let subject = subject(check, request.subject, open);
    let selections = selections(check, &hub.schema, request.selections);
    if let Some(subject) = &subject {
        for (index, selection) in selections.iter().enumerate() {
            reachable(check, hub, &format!("selections[{index}].record_type"), &selection.record_type, subject.kind);
        }
    }
    let required_sources = required_sources(check, hub, request.required_sources, &selections);
    Some(Question { subject: subject?, selections, purpose: purpose?, officer: officer?, required_sources })
}

/// Parses a `Verify` request. Claims about one record type become one selection.
pub(crate) fn verify_question(
    hub: &Hub,
    call: &Call,
    request: wire::VerifyRequest,
    proof: Option<&Proof>,
) -> Result<VerifyQuestion, Box<Unreadable>> {
    let mut check = Check::default();
    let purpose = purpose(&mut check, hub, request.purpose);
    let officer = officer(&mut check, "officer", request.officer, proof);
    let open = |handle: &str| Some(hub.candidate(call, officer.as_ref()?, purpose.as_ref()?, handle));
    let subject = subject(&mut check, request.subject, open);
    let mut selections: Vec<Selection> = Vec::new();
    let mut claims = Vec::new();
    if request.claims.is_empty() || request.claims.len() > CLAIMS_MAX {
        check.wrong(
            "claims",
            format!("must have 1 to {CLAIMS_MAX} claims"),
            format!("phải có từ 1 đến {CLAIMS_MAX} thông tin cần đối chiếu"),
        );
    }
    for (index, claim) in request.claims.iter().take(CLAIMS_MAX).enumerate() {
        let at = format!("claims[{index}]");
        let Some(record_type) = record_type(&mut check, &format!("{at}.record_type"), &hub.schema, &claim.record_type)
        else {
            continue;
        };
        if let Some(subject) = &subject {
            reachable(&mut check, hub, &format!("{at}.record_type"), &record_type, subject.kind);
        }
        let Some(field) = claim_field(&mut check, &at, &record_type, claim) else { continue };
        let selection =
            selections.iter().position(|known| known.record_type.name == record_type.name).unwrap_or_else(|| {
                let fields = record_type.no_fields();
                selections.push(Selection { record_type: Arc::clone(&record_type), fields });
                selections.len() - 1
            });
        if let Some(selected) = selections.get_mut(selection) {
            selected.fields.insert(field);
        }
        claims.push(Claim { selection, field, value: claim.value.clone() });
    }
    let required_sources = required_sources(&mut check, hub, request.required_sources, &selections);
    let parsed = (|| {
        let question =
            Question { subject: subject?, selections, purpose: purpose?, officer: officer?, required_sources };
        Some(VerifyQuestion { question, claims })
    })();
    check.finish(parsed)
}

fn claim_field(check: &mut Check, at: &str, record_type: &RecordType, claim: &wire::Claim) -> Option<usize> {
    let Some(field) = record_type.field_index(&claim.field) else {
        let known = record_type.fields.iter().map(|field| field.path.as_str());
        unknown_name(check, &format!("{at}.field"), "field", "trường", &claim.field, known);
        return None;
    };
    if record_type.fields[field].repeated {
        check.wrong(format!("{at}.field"), "is repeated and cannot be claimed", "là trường lặp, không đối chiếu được");
        return None;
    }
    let length = claim.value.trim().chars().count();
    if length == 0 || length > CLAIM_CHARACTERS_MAX {
        check.wrong(
            format!("{at}.value"),
            format!("must have 1 to {CLAIM_CHARACTERS_MAX} characters"),
            format!("phải có từ 1 đến {CLAIM_CHARACTERS_MAX} ký tự"),
        );
        return None;
    }
    if !query::claim_fits(&record_type.fields[field], &claim.value) {
        check.wrong(
            format!("{at}.value"),
            format!("is no value of type {}", record_type.fields[field].kind),
            "không đúng kiểu giá trị của trường",
        );
        return None;
    }
    Some(field)
}

/// An access check: a question without a subject.
pub(crate) struct AccessCheck {
    pub(crate) selections: Vec<(Arc<RecordType>, FieldSet)>,
    pub(crate) purpose: Purpose,
    pub(crate) officer: Officer,
}

/// Parses the selections, purpose and officer of an access check, which names no subject.
pub(crate) fn access_check(
    hub: &Hub,
    selected: Vec<wire::Selection>,
    stated: Option<wire::Purpose>,
    acting: Option<wire::Officer>,
    proof: Option<&Proof>,
) -> Result<AccessCheck, Box<Unreadable>> {
    let mut check = Check::default();
    let selections = selections(&mut check, &hub.schema, selected);
    let purpose = purpose(&mut check, hub, stated);
    let officer = officer(&mut check, "officer", acting, proof);
    let parsed = (|| {
        let selections =
            selections.into_iter().map(|selection| (selection.record_type, selection.fields)).collect::<Vec<_>>();
        Some(AccessCheck { selections, purpose: purpose?, officer: officer? })
    })();
    check.finish(parsed)
}

/// Parses the officer who reads the log or operates the hub.
pub(crate) fn reader(
    name: &str,
    officer_field: Option<wire::Officer>,
    proof: Option<&Proof>,
) -> Result<Officer, Box<Unreadable>> {
    let mut check = Check::default();
    let parsed = officer(&mut check, name, officer_field, proof);
    check.finish(parsed)
}

fn selections(check: &mut Check, schema: &Schema, selections: Vec<wire::Selection>) -> Vec<Selection> {
    if selections.is_empty() || selections.len() > SELECTIONS_MAX {
        check.wrong(
            "selections",
            format!("must have 1 to {SELECTIONS_MAX} selections"),
            format!("phải có từ 1 đến {SELECTIONS_MAX} mục cần tra cứu"),
        );
    }
    let mut seen = HashSet::new();
    let mut parsed = Vec::new();
    for (index, selection) in selections.into_iter().take(SELECTIONS_MAX).enumerate() {
        let at = format!("selections[{index}]");
        let Some(record_type) = record_type(check, &format!("{at}.record_type"), schema, &selection.record_type) else {
            continue;
        };
        if !seen.insert(record_type.name.clone()) {
            check.wrong(format!("{at}.record_type"), "is selected twice", "bị chọn hai lần");
            continue;
        }
        let paths = selection.field_mask.unwrap_or_default().paths;
        let fields = fields(check, &format!("{at}.field_mask"), &record_type, &paths);
        parsed.push(Selection { record_type, fields });
    }
    parsed
}

fn fields(check: &mut Check, at: &str, record_type: &RecordType, paths: &[String]) -> FieldSet {
    let mut fields = record_type.no_fields();
    if paths.is_empty() || paths.len() > PATHS_MAX {
        check.wrong(
            at,
            format!("must name 1 to {PATHS_MAX} fields; there is no mask for all fields"),
            format!("phải nêu từ 1 đến {PATHS_MAX} trường; không có cách chọn tất cả các trường"),
        );
        return fields;
    }
    for (index, path) in paths.iter().enumerate() {
        let named = record_type.expand(path);
        if named.is_empty() {
            let known = record_type.fields.iter().map(|field| field.path.as_str());
            unknown_name(check, &format!("{at}.paths[{index}]"), "field", "trường", path, known);
        }
        fields.union_with(&named);
    }
    fields
}

fn record_type(check: &mut Check, at: &str, schema: &Schema, name: &str) -> Option<Arc<RecordType>> {
    let found = schema.record_type(name).map(Arc::clone);
    if found.is_none() {
        let known = schema.record_types().map(|record| record.name.as_str());
        unknown_name(check, at, "record type", "loại bản ghi", name, known);
    }
    found
}

fn reachable(check: &mut Check, hub: &Hub, at: &str, record_type: &RecordType, kind: IdentifierKind) {
    if !hub.sources.reaches(record_type, kind) && hub.sources.holds(record_type) {
        check.wrong(
            at,
            format!("cannot be found by {}", kind.as_str_name().to_lowercase()),
            "không tra cứu được bằng loại số định danh này",
        );
    }
}

fn purpose(check: &mut Check, hub: &Hub, purpose: Option<wire::Purpose>) -> Option<Purpose> {
    let Some(purpose) = purpose else {
        check.wrong("purpose", "must be present", "không được thiếu");
        return None;
    };
    if hub.access.purpose(&purpose.code).is_none() {
        let known = hub.access.purposes().iter().map(|known| known.code.as_str());
        unknown_name(check, "purpose.code", "purpose", "mục đích", &purpose.code, known);
        return None;
    }
    if purpose.justification.chars().count() > JUSTIFICATION_CHARACTERS_MAX {
        check.wrong(
            "purpose.justification",
            format!("must have at most {JUSTIFICATION_CHARACTERS_MAX} characters"),
            format!("không quá {JUSTIFICATION_CHARACTERS_MAX} ký tự"),
        );
    }
    let dossier_number = match purpose.dossier_number.as_str() {
        "" => None,
        number => match exact(normalize::dossier_number(number), |number| number.to_string()) {
            Ok(number) => Some(number),
            Err(_) => {
                check.wrong(
                    "purpose.dossier_number",
                    "is no dossier number; expected <agency>-yyMMdd-<sequence>, for example H21.65-220914-0011",
                    "không đúng dạng mã hồ sơ <mã cơ quan>-yyMMdd-<số thứ tự>, ví dụ H21.65-220914-0011",
                );
                return None;
            }
        },
    };
    if has_long_number(&purpose.justification) {
        check.wrong(
            "purpose.justification",
            "must hold no number of nine digits or more: it is stored in clear, and such a number may name a person",
            "không được chứa dãy từ chín chữ số trở lên vì có thể là số định danh của một người",
        );
        return None;
    }
    let purpose = Purpose { code: purpose.code, dossier_number, justification: purpose.justification };
    check.asked.purpose = Some(purpose.clone());
    Some(purpose)
}

/// The officer as a token proves it; without a token, as the caller says.
fn officer(check: &mut Check, at: &str, stated: Option<wire::Officer>, proof: Option<&Proof>) -> Option<Officer> {
    let Some(proven) = proof.and_then(Proof::officer) else { return asserted_officer(check, at, stated) };
    check.asked.officer = Some(proven.clone());
    if stated.is_some_and(|stated| stated.id.trim() != proven.id) {
        check.wrong(
            format!("{at}.id"),
            "is not the officer of the token; leave the officer out, or state the same id",
            "không phải cán bộ của mã xác thực; xin bỏ trống hoặc nêu đúng mã cán bộ",
        );
        return None;
    }
    Some(proven.clone())
}

fn asserted_officer(check: &mut Check, at: &str, officer: Option<wire::Officer>) -> Option<Officer> {
    let Some(officer) = officer else {
        check.wrong(
            at,
            "must be present: every call names the officer who acts",
            "không được thiếu: mỗi yêu cầu phải nêu cán bộ thực hiện",
        );
        return None;
    };
    let mut sound = true;
    for (name, value, characters_max) in
        [("id", &officer.id, OFFICER_ID_CHARACTERS_MAX), ("name", &officer.name, OFFICER_NAME_CHARACTERS_MAX)]
    {
        let length = value.trim().chars().count();
        if length == 0 || length > characters_max {
            sound = false;
            check.wrong(
                format!("{at}.{name}"),
                format!("must have 1 to {characters_max} characters"),
                format!("phải có từ 1 đến {characters_max} ký tự"),
            );
        }
    }
    if officer.unit.chars().count() > OFFICER_ID_CHARACTERS_MAX {
        sound = false;
        check.wrong(
            format!("{at}.unit"),
            format!("must have at most {OFFICER_ID_CHARACTERS_MAX} characters"),
            format!("không quá {OFFICER_ID_CHARACTERS_MAX} ký tự"),
        );
    }
    if !sound {
        return None;
    }
    let officer = Officer {
        id: officer.id.trim().to_owned(),
        name: officer.name.trim().to_owned(),
        unit: Some(officer.unit).filter(|unit| !unit.is_empty()),
        assurance: Assurance::Asserted,
    };
    check.asked.officer = Some(officer.clone());
    Some(officer)
}

fn required_sources(check: &mut Check, hub: &Hub, ids: Vec<String>, selections: &[Selection]) -> Vec<String> {
    if ids.len() > REQUIRED_SOURCES_MAX {
        check.wrong(
            "required_sources",
            format!("must have at most {REQUIRED_SOURCES_MAX} ids"),
            format!("không quá {REQUIRED_SOURCES_MAX} nguồn"),
        );
    }
    for (index, id) in ids.iter().take(REQUIRED_SOURCES_MAX).enumerate() {
        let at = format!("required_sources[{index}]");
        let source = hub.sources.adapters().map(|adapter| adapter.describe()).find(|source| source.id == *id);
        let Some(source) = source else {
            let known: Vec<_> = hub.sources.adapters().map(|adapter| adapter.describe().id.as_str()).collect();
            unknown_name(check, &at, "source", "nguồn dữ liệu", id, known.into_iter());
            continue;
        };
        if !selections.iter().any(|selection| source.record(&selection.record_type.name).is_some()) {
            check.wrong(at, "holds none of the record types asked for", "không có loại bản ghi nào được hỏi");
        }
    }
    ids
}
