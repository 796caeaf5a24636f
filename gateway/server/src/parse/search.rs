//! Requests for candidates: a name, and for people a birth year; nothing that would draw up a list.

use adapter_sdk::{Criterion, CriterionKind};
use normalize::{PartialDate, Vintage};
use proto::query::v1 as wire;
use query::{Call, Hub, SearchQuestion};

use super::{
    check::{Check, Unreadable, has_long_number},
    officer, purpose, record_type,
};
use crate::tokens::Proof;

const PAGE_SIZE_DEFAULT: usize = 5;
const PAGE_SIZE_MAX: i32 = 10;
const PERSON_NAME_CHARACTERS_MAX: usize = 200;
const ORGANISATION_NAME_CHARACTERS_MAX: usize = 250;
/// A person's name of one word is a real one in the highlands; of one letter it is none.
const NAME_CHARACTERS_MIN: usize = 2;

/// Parses a `Search` request.
pub(crate) fn search_question(
    hub: &Hub,
    call: &Call,
    request: wire::SearchRequest,
    proof: Option<&Proof>,
) -> Result<SearchQuestion, Box<Unreadable>> {
    let mut check = Check::default();
    let check_at = &mut check;
    let purpose = purpose(check_at, hub, request.purpose);
    let officer = officer(check_at, "officer", request.officer, proof);
    let record_type = record_type(check_at, "record_type", &hub.schema, &request.record_type);
    let criteria = criteria(check_at, request.criteria.unwrap_or_default());
    let page_size = page_size(check_at, request.page_size);
    let fields = record_type.as_ref().zip(criteria.as_ref()).and_then(|(record_type, criteria)| {
        let kinds: Vec<CriterionKind> = criteria.iter().map(Criterion::kind).collect();
        let fields = hub.sources.search_fields(record_type, &kinds);
        if fields.is_none() {
            check_at.wrong(
                "record_type",
                "is not searched by these criteria by any source; see CatalogService.ListSources",
                "không nguồn dữ liệu nào cho tìm kiếm theo các thông tin này; xem CatalogService.ListSources",
            );
        }
        fields
    });
    let parsed = (|| {
        let mut question = SearchQuestion {
            record_type: record_type?,
            criteria: criteria?,
            fields: fields?,
            purpose: purpose?,
            officer: officer?,
            page_size: page_size?,
            offset: 0,
        };
        if !request.page_token.is_empty() {
            match hub.page_offset(call, &question, &request.page_token) {
                Some(offset) => question.offset = offset,
                None => check_at.wrong(
                    "page_token",
                    "is no token of this search from the last ten minutes; leave everything else of the request unchanged",
                    "không phải mã trang của lần tìm kiếm này trong mười phút qua; giữ nguyên các phần khác của yêu cầu",
                ),
            }
        }
        Some(question)
    })();
    check.finish(parsed)
}

fn page_size(check: &mut Check, size: i32) -> Option<usize> {
    match size {
        0 => Some(PAGE_SIZE_DEFAULT),
        1..=PAGE_SIZE_MAX => usize::try_from(size).ok(),
        _ => {
            check.wrong(
                "page_size",
                format!("must be 1 to {PAGE_SIZE_MAX}, or 0 for {PAGE_SIZE_DEFAULT}"),
                format!("phải từ 1 đến {PAGE_SIZE_MAX}, hoặc 0 để lấy {PAGE_SIZE_DEFAULT}"),
            );
            None
        }
    }
}

fn criteria(check: &mut Check, criteria: wire::Criteria) -> Option<Vec<Criterion>> {
    let wire::Criteria { person_name, birth_date, commune_code, organisation_name } = criteria;
    let about_person = !person_name.is_empty();
    if about_person != organisation_name.is_empty() {
        check.wrong(
            "criteria",
            "must name either a person or an organisation",
            "phải nêu họ tên của một người hoặc tên của một tổ chức",
        );
        return None;
    }
    let wrong_before = check.violations.len();
    let mut parsed = Vec::new();
    if about_person {
        let read = name(check, "criteria.person_name", &person_name, PERSON_NAME_CHARACTERS_MAX);
        parsed.extend(read.map(Criterion::PersonName));
        if birth_date.is_empty() {
            check.wrong(
                "criteria.birth_date",
                "must give at least the birth year: people are not listed by name",
                "phải nêu ít nhất năm sinh: không liệt kê người theo họ tên",
            );
        }
    } else {
        let read = name(check, "criteria.organisation_name", &organisation_name, ORGANISATION_NAME_CHARACTERS_MAX);
        parsed.extend(read.map(Criterion::OrganisationName));
    }
    if !birth_date.is_empty() {
        match birth_date.trim().parse::<PartialDate>() {
            Ok(date) => parsed.push(Criterion::BirthDate(date)),
            Err(_) => check.wrong(
                "criteria.birth_date",
                "is no date; expected \"1985\", \"1985-03\" or \"1985-03-07\"",
                "không phải ngày tháng; ví dụ \"1985\", \"1985-03\" hoặc \"1985-03-07\"",
            ),
        }
    }
    if !commune_code.is_empty() {
        match normalize::commune(&commune_code, None, Vintage::Post2025) {
            Ok(known) if known.value.code == commune_code => parsed.push(Criterion::Commune(commune_code)),
            _ => check.wrong(
                "criteria.commune_code",
                "is no commune of today; expected its 5 digits",
                "không phải mã xã, phường hiện hành gồm 5 chữ số",
            ),
        }
    }
    (check.violations.len() == wrong_before).then_some(parsed)
}

/// A whole name: no number, no wildcard, no single letter.
fn name(check: &mut Check, at: &str, text: &str, characters_max: usize) -> Option<String> {
    let text = text.trim();
    let length = text.chars().count();
    if length < NAME_CHARACTERS_MIN || length > characters_max {
        check.wrong(
            at,
            format!("must have {NAME_CHARACTERS_MIN} to {characters_max} characters"),
            format!("phải có từ {NAME_CHARACTERS_MIN} đến {characters_max} ký tự"),
        );
        return None;
    }
    if has_long_number(text) || text.contains(['*', '%', '?']) || !text.chars().any(char::is_alphabetic) {
        check.wrong(
            at,
            "must be a whole name: letters, no number and no wildcard",
            "phải là tên đầy đủ: gồm chữ cái, không phải số, không có ký tự đại diện",
        );
        return None;
    }
    Some(text.to_owned())
}
