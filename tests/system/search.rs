//! Searching for people whose number is not known: found folded, shown in part, recorded one by one, and of no use to anybody
//! who wants to draw up lists or to find out who exists.

use std::{collections::BTreeSet, time::Duration};

use prost::Message;
use prost_types::FieldMask;
use proto::{
    audit::v1::{
        self as log,
        audit_service_client::AuditServiceClient,
        entry::{Kind, Outcome},
    },
    catalog::v1::{self as catalog, catalog_service_client::CatalogServiceClient},
    options::v1::IdentifierKind,
    query::v1::{self as wire, claim_result::Verdict, query_service_client::QueryServiceClient, subject::Identifier},
};
use sqlx::{AssertSqlSafe, Connection, Executor, Row, SqliteConnection};
use synthetic::Sector;
use tests::{Databases, Engine, Hub, HubFiles, Settings, client_of, error_info, query_client};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use crate::command::{done, profile};

const RESIDENT: &str = "lienthong.population.v1.Resident";
const FIRM: &str = "lienthong.business.v1.EnterpriseRegistration";
const DOSSIER: &str = "H21.12-261122-0001";
pub(crate) const REGISTRAR: &str = "H21.12/civil-status";

fn officer() -> Option<wire::Officer> {
    Some(wire::Officer { id: "TP-1".to_owned(), name: "Hộ tịch viên".to_owned(), unit: String::new() })
}

fn purpose(code: &str, dossier: &str) -> Option<wire::Purpose> {
    Some(wire::Purpose { code: code.to_owned(), dossier_number: dossier.to_owned(), ..Default::default() })
}

/// A registrar's search for a person.
pub(crate) fn search(name: &str, birth: &str) -> wire::SearchRequest {
    wire::SearchRequest {
        record_type: RESIDENT.to_owned(),
        criteria: Some(wire::Criteria {
            person_name: name.to_owned(),
            birth_date: birth.to_owned(),
            ..Default::default()
        }),
        purpose: purpose("death_linked_service", DOSSIER),
        officer: officer(),
        page_size: 0,
        page_token: String::new(),
    }
}

fn query_of(candidate: &str, dossier: &str) -> wire::QueryRequest {
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::Candidate(candidate.to_owned())) }),
        selections: vec![wire::Selection {
            record_type: RESIDENT.to_owned(),
            field_mask: Some(FieldMask { paths: vec!["personal_id".to_owned()] }),
        }],
        purpose: purpose("death_linked_service", dossier),
        officer: officer(),
        required_sources: Vec::new(),
    }
}

/// A person of the register: number, name and birth date as the register writes them.
pub(crate) struct Person {
    pub(crate) number: String,
    pub(crate) name: String,
    pub(crate) born: String,
}

/// Somebody with a number that agrees with the birth date, and with marks in the name.
pub(crate) async fn somebody(database: &mut SqliteConnection) -> Person {
    let sql = r#"SELECT "SoDinhDanh", trim("Ho" || ' ' || coalesce("ChuDem" || ' ', '') || "Ten"), "NgaySinh" FROM "cong_dan"
        WHERE "SoDinhDanh" IS NOT NULL AND length("NgaySinh") = 8 AND "Ho" = 'Nguyễn'
        AND "HoTenKhongDau" IN (SELECT "HoTenKhongDau" FROM "cong_dan" GROUP BY 1 HAVING count(*) = 1) ORDER BY "id" LIMIT 1"#;
    let row = database.fetch_one(sql).await.unwrap();
    Person { number: row.get(0), name: row.get(1), born: row.get(2) }
}

/// Gives this many people with a number one name and birth date.
async fn namesakes(database: &mut SqliteConnection, count: usize, last_name: &str) {
    let sql = format!(
        r#"UPDATE "cong_dan" SET "Ho" = 'Lê', "ChuDem" = NULL, "Ten" = '{last_name}', "HoTenKhongDau" = 'LE {}',
        "NgaySinh" = '19850307', "NamSinh" = NULL WHERE "id" IN (SELECT "id" FROM "cong_dan"
        WHERE "SoDinhDanh" IS NOT NULL AND "Ho" <> 'Lê' AND "Ho" <> 'Nguyễn' ORDER BY "id" LIMIT {count})"#,
        last_name.to_uppercase()
    );
    database.execute(AssertSqlSafe(sql)).await.unwrap();
}

pub(crate) async fn found(
    client: &mut QueryServiceClient<Channel>,
    request: wire::SearchRequest,
) -> Result<wire::SearchResponse, Status> {
    client.search(request).await.map(tonic::Response::into_inner)
}

/// The entry at a place of the log.
pub(crate) async fn entry(hub: &Hub, files: &HubFiles, index: u64) -> log::Entry {
    let mut client = AuditServiceClient::new(client_of(hub, files, "H21.90/console").await);
    let reader = Some(log::Officer { id: "2".to_owned(), name: "Giám sát".to_owned(), ..Default::default() });
    let request = log::GetEntryRequest { reader, log_index: index, ..Default::default() };
    client.get_entry(request).await.unwrap().into_inner().entry.unwrap()
}

fn recorded_at(status: &Status) -> u64 {
    status.metadata().get("lienthong-log-index").expect("it is recorded").to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_without_a_number_is_found_shown_in_part_and_then_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    databases.fill(400, 141, None).await;
    let mut register = SqliteConnection::connect(databases.url(Sector::Population)).await.unwrap();
    let person = somebody(&mut register).await;
    let year = person.born[..4].to_owned();
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, REGISTRAR).await;

    // As it is written, and as somebody types it who has no marks.
    let plain = unmarked(&person.name);
    let mut handles = Vec::new();
    for name in [person.name.as_str(), &plain, &person.name.to_uppercase()] {
        let response = found(&mut client, search(name, &year)).await.unwrap();
        assert!(response.complete && response.next_page_token.is_empty(), "{response:?}");
        let [candidate] = response.candidates.as_slice() else { panic!("one fits {name}: {response:?}") };
        assert_eq!(candidate.number, format!("*********{}", &person.number[9..]));
        assert_eq!((candidate.birth_date.as_str(), candidate.source.as_str()), (year.as_str(), "population"));
        assert_eq!(candidate.number_kind(), IdentifierKind::PersonalId);
        assert!(!candidate.commune_code.is_empty() && !candidate.commune_name.is_empty());
        // Neither the number nor the day is anywhere in the answer.
        let bytes = response.encode_to_vec();
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(
            holds(&person.number[9..]) && !holds(&person.number) && !holds(&person.number[3..]) && !holds(&person.born)
        );
        assert_eq!(response.decision.as_ref().unwrap().agreements, ["16/2026/TTCS-CA-TP"]);
        handles.push(candidate.handle.clone());

        let recorded = entry(&hub, &files, response.receipt.unwrap().log_index).await;
        assert_eq!((recorded.kind(), recorded.outcome()), (Kind::Search, Outcome::Answered));
        let hasher = audit::SubjectHasher::load(&files.path("keys/subject.key")).unwrap();
        assert_eq!(recorded.subjects, [hasher.hash(IdentifierKind::PersonalId, &person.number)]);
        let text = format!("{recorded:?}");
        assert!(!text.contains(&person.name) && !text.contains(&plain), "the log holds nobody's name: {text}");
    }
    // A day the register contradicts, another commune, another year: nobody, and that is recorded, too.
    let other_day = if person.born.ends_with("28") { "27" } else { "28" };
    let wrong = [format!("{year}-{}-{other_day}", &person.born[4..6]), (year.parse::<u16>().unwrap() + 1).to_string()];
    for birth in &wrong {
        let response = found(&mut client, search(&person.name, birth)).await.unwrap();
        assert!(response.candidates.is_empty() && response.complete);
        let recorded = entry(&hub, &files, response.receipt.unwrap().log_index).await;
        assert!(recorded.subjects.is_empty() && recorded.accesses[0].fields_released.is_empty());
    }
    let right_day = format!("{year}-{}-{}", &person.born[4..6], &person.born[6..]);
    let response = found(&mut client, search(&person.name, &right_day)).await.unwrap();
    assert_eq!(response.candidates[0].birth_date, right_day);

    // The one chosen is asked about by the handle, by whom it was given to, for the same dossier and as the same officer.
    let handle = handles.last().unwrap();
    let response = client.query(query_of(handle, DOSSIER)).await.unwrap().into_inner();
    let record = response.results[0].records[0].value.as_ref().unwrap();
    assert!(record.value.windows(12).any(|window| window == person.number.as_bytes()));
    let recorded = entry(&hub, &files, response.receipt.unwrap().log_index).await;
    assert_eq!(recorded.accesses[0].agreements, ["08/2026/TTCS-CA-TP"], "under the agreement for reading");
    let claim = wire::Claim { record_type: RESIDENT.to_owned(), field: "birth_date".to_owned(), value: year.clone() };
    let asked = query_of(handle, DOSSIER);
    let verify = wire::VerifyRequest {
        subject: asked.subject,
        claims: vec![claim],
        purpose: asked.purpose,
        officer: asked.officer,
        required_sources: Vec::new(),
    };
    let verdicts = client.verify(verify).await.unwrap().into_inner();
    assert_eq!(verdicts.results[0].verdict(), Verdict::Match);
    let mut of_other = query_of(handle, DOSSIER);
    of_other.officer.as_mut().unwrap().id = "TP-2".to_owned();
    let mut forged = handle.clone().into_bytes();
    forged[40] = if forged[40] == b'0' { b'1' } else { b'0' };
    let forged = query_of(&String::from_utf8(forged).unwrap(), DOSSIER);
    let other_dossier = query_of(handle, "H21.12-261122-0002");
    for (case, refused) in [("another officer", of_other), ("another dossier", other_dossier), ("forged", forged)] {
        let status = client.query(refused).await.expect_err(case);
        assert_eq!(
            (status.code(), error_info(&status).0.as_str()),
            (Code::InvalidArgument, "INVALID_REQUEST"),
            "{case}"
        );
        assert_eq!(entry(&hub, &files, recorded_at(&status)).await.outcome(), Outcome::Invalid);
    }
    let mut stolen = query_of(handle, DOSSIER);
    stolen.purpose = purpose("death_linked_service", DOSSIER);
    let status = query_client(&hub, &files, "H21.65/portal").await.query(stolen).await.expect_err("another system");
    assert_eq!(status.code(), Code::InvalidArgument);

    // The citizen sees that they were shown, and the command line finds, shows and asks.
    let console = profile(&files, &hub, "H21.90/console");
    let subject = format!("personal_id={}", person.number);
    let accesses = done(&["audit", "accesses", "-p", &console, "--subject", &subject]);
    assert!(accesses.contains("16/2026/TTCS-CA-TP"), "{accesses}");
    let registrar = profile(&files, &hub, REGISTRAR);
    let why = ["--purpose", "death_linked_service", "--dossier", DOSSIER];
    let find = ["search", "-p", &registrar, "Resident", "--name", &plain, "--birth", &year];
    let shown = done(&[&find[..], &why].concat());
    assert!(shown.contains(&person.number[9..]) && !shown.contains(&person.number), "{shown}");
    let handle = shown.split("--candidate ").nth(1).unwrap().split_whitespace().next().unwrap();
    let ask = ["query", "-p", &registrar, "--candidate", handle, "--select", "Resident:personal_id"];
    assert!(done(&[&ask[..], &why].concat()).contains(&person.number));
    assert!(hub.stop());
}

/// The name without marks, by Python's rule rather than ours: canonical decomposition, marks dropped, đ as d.
fn unmarked(name: &str) -> String {
    let script = "import sys, unicodedata as u; print(''.join(c for c in u.normalize('NFD', sys.argv[1]) \
        if not u.combining(c)).replace('đ', 'd').replace('Đ', 'D'))";
    let folded = std::process::Command::new("python3").args(["-c", script, name]).output().unwrap();
    String::from_utf8(folded.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_stable_each_is_recorded_and_their_tokens_lead_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    databases.fill(400, 149, None).await;
    let mut register = SqliteConnection::connect(databases.url(Sector::Population)).await.unwrap();
    namesakes(&mut register, 12, "Hoa").await;
    namesakes(&mut register, 21, "Lan").await;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, REGISTRAR).await;
    let mut pages = Vec::new();
    let mut request = search("Lê Hòa", "1985");
    loop {
        let response = found(&mut client, request.clone()).await.unwrap();
        let recorded = entry(&hub, &files, response.receipt.as_ref().unwrap().log_index).await;
        assert_eq!(recorded.subjects.len(), response.candidates.len(), "under every candidate shown");
        let numbers: Vec<_> = response.candidates.iter().map(|candidate| candidate.number.clone()).collect();
        let subjects: Vec<_> = recorded.subjects.iter().map(|subject| subject.hash.clone()).collect();
        request.page_token.clone_from(&response.next_page_token);
        pages.push((numbers, subjects));
        if request.page_token.is_empty() {
            break;
        }
    }
    let sizes: Vec<_> = pages.iter().map(|(numbers, _)| numbers.len()).collect();
    assert_eq!(sizes, [5, 5, 2]);
    let all: BTreeSet<_> = pages.iter().flat_map(|(_, subjects)| subjects).collect();
    assert_eq!(all.len(), 12, "nobody twice, nobody left out");
    let again = found(&mut client, search("LE HOA", "1985-03-07")).await.unwrap();
    let numbers: Vec<_> = again.candidates.iter().map(|candidate| candidate.number.clone()).collect();
    assert_eq!(numbers, pages[0].0, "the order is the same for another search");

    // A token belongs to its search, to nobody else, and cannot be made to begin elsewhere.
    let token = again.next_page_token;
    let with = |mut request: wire::SearchRequest, token: &str| {
        request.page_token = token.to_owned();
        request
    };
    let mut more_a_page = search("LE HOA", "1985-03-07");
    more_a_page.page_size = 10;
    let mut of_other = with(search("LE HOA", "1985-03-07"), &token);
    of_other.officer.as_mut().unwrap().id = "TP-2".to_owned();
    let changed = format!("{}00", &token[..token.len() - 2]);
    let attempts = [
        ("another name", with(search("Lê Lan", "1985-03-07"), &token)),
        ("another year", with(search("LE HOA", "1985"), &token)),
        ("another page size", with(more_a_page, &token)),
        ("another officer", of_other),
        ("changed", with(search("LE HOA", "1985-03-07"), &changed)),
        ("made up", with(search("LE HOA", "1985-03-07"), "10")),
    ];
    for (case, attempt) in attempts {
        let status = found(&mut client, attempt).await.expect_err(case);
        assert_eq!(status.code(), Code::InvalidArgument, "{case}");
        assert!(status.message().starts_with("page_token: "), "{case}: {}", status.message());
        let recorded = entry(&hub, &files, recorded_at(&status)).await;
        assert_eq!((recorded.kind(), recorded.outcome()), (Kind::Search, Outcome::Invalid), "{case}");
    }
    // One more than may be shown: none is, and the answer asks for more.
    let many = found(&mut client, search("Lê Lan", "1985")).await.unwrap();
    assert!(many.candidates.is_empty() && !many.complete && many.next_page_token.is_empty(), "{many:?}");
    assert_eq!(many.failures[0].failure.as_ref().unwrap().reason, "SEARCH_TOO_BROAD");
    let recorded = entry(&hub, &files, many.receipt.unwrap().log_index).await;
    assert!(recorded.subjects.is_empty());
    assert_eq!(recorded.sources[0].reason, "SEARCH_TOO_BROAD");
    assert!(hub.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_tells_nobody_who_exists_and_has_a_quota_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    databases.fill(400, 151, None).await;
    let mut register = SqliteConnection::connect(databases.url(Sector::Population)).await.unwrap();
    let person = somebody(&mut register).await;
    let year = person.born[..4].to_owned();
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);

    // Whoever may not search learns the same of somebody and of nobody, to the byte, and no database is asked.
    let nobody = "Nguyễn Không Có Ai";
    let mut without_dossier = search(&person.name, &year);
    without_dossier.purpose = purpose("test_everything", "");
    let mut by_portal = search(&person.name, &year);
    by_portal.purpose = purpose("confirm_residence", DOSSIER);
    let mut for_other_purpose = search(&person.name, &year);
    for_other_purpose.purpose = purpose("confirm_marital_status", DOSSIER);
    let cases = [
        ("H21.99/all", without_dossier, "SEARCH_NEEDS_DOSSIER"),
        ("H21.65/portal", by_portal, "PURPOSE_NOT_IN_AGREEMENT"),
        (REGISTRAR, for_other_purpose, "PURPOSE_NOT_IN_AGREEMENT"),
        ("H21.10/archive", search(&person.name, &year), "NO_AGREEMENT"),
        ("H21.30/personnel", search(&person.name, &year), "ACTION_NOT_IN_AGREEMENT"),
    ];
    for (system, request, reason) in cases {
        let mut client = query_client(&hub, &files, system).await;
        let mut told = Vec::new();
        for name in [person.name.as_str(), nobody] {
            let mut request = request.clone();
            request.criteria.as_mut().unwrap().person_name = name.to_owned();
            let status = found(&mut client, request).await.expect_err(system);
            let recorded = entry(&hub, &files, recorded_at(&status)).await;
            assert_eq!((recorded.kind(), recorded.outcome()), (Kind::Search, Outcome::Refused), "{system}");
            assert!(recorded.sources.is_empty() && recorded.subjects.is_empty(), "{system}");
            told.push((status.code(), status.message().to_owned(), status.details().to_vec()));
        }
        assert_eq!(told[0], told[1], "{system}");
        let info = Status::with_details(told[0].0, &told[0].1, told[0].2.clone().into());
        assert!(
            told[0].0 == Code::PermissionDenied && error_info(&info).0.contains(reason),
            "{system}: {:?}",
            error_info(&info)
        );
    }

    // What is no whole name with a birth year is no search.
    let mut client = query_client(&hub, &files, REGISTRAR).await;
    let criteria = |change: fn(&mut wire::Criteria)| {
        let mut request = search("Nguyễn Văn An", "1985");
        change(request.criteria.as_mut().unwrap());
        request
    };
    let mut judicial = search("Nguyễn Văn An", "1985");
    judicial.record_type = "lienthong.judicial.v1.CriminalRecordSummary".to_owned();
    let mut pages = search("Nguyễn Văn An", "1985");
    pages.page_size = 11;
    let attempts = [
        ("criteria.birth_date", criteria(|criteria| criteria.birth_date.clear())),
        ("criteria.birth_date", criteria(|criteria| criteria.birth_date = "85".to_owned())),
        ("criteria", criteria(|criteria| criteria.person_name.clear())),
        ("criteria", criteria(|criteria| criteria.organisation_name = "Công ty".to_owned())),
        ("criteria.person_name", criteria(|criteria| criteria.person_name = "N".to_owned())),
        ("criteria.person_name", criteria(|criteria| criteria.person_name = "Nguyễn %".to_owned())),
        ("criteria.person_name", criteria(|criteria| criteria.person_name = "*".repeat(9))),
        ("criteria.person_name", criteria(|criteria| criteria.person_name = "052185000001".to_owned())),
        ("criteria.commune_code", criteria(|criteria| criteria.commune_code = "00000".to_owned())),
        ("record_type", judicial),
        ("page_size", pages),
    ];
    for (field, attempt) in attempts {
        let status = found(&mut client, attempt).await.expect_err(field);
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!((status.code(), violations[0].field.as_str()), (Code::InvalidArgument, field));
        assert_eq!(entry(&hub, &files, recorded_at(&status)).await.kind(), Kind::Search);
    }

    // The agreement allows 20 in an hour, whoever was found; the refusal says when the next may come.
    let mut exhausted = None;
    for asked in 0..25 {
        let name = if asked % 2 == 0 { person.name.as_str() } else { nobody };
        match client.search(search(name, &year)).await {
            Ok(response) => {
                assert!(response.metadata().contains_key("ratelimit-remaining"));
                assert!(asked < 20);
            }
            Err(status) => {
                assert_eq!((status.code(), asked), (Code::ResourceExhausted, 20));
                exhausted = Some(status);
                break;
            }
        }
    }
    let exhausted = exhausted.unwrap();
    let wait = exhausted.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::from_secs(100) && wait <= Duration::from_secs(180), "{wait:?}");
    // Its questions with a number go on.
    let by_number = wire::Subject { identifier: Some(Identifier::PersonalId(person.number)) };
    let request = wire::QueryRequest { subject: Some(by_number), ..query_of("", DOSSIER) };
    client.query(request).await.expect("searching has a quota of its own");
    assert!(hub.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enterprise_is_found_by_its_name_and_its_public_number_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let code = databases.fill(400, 157, None).await.cast.enterprise_code.unwrap();
    let mut register = SqliteConnection::connect(databases.url(Sector::BusinessRegistry)).await.unwrap();
    let rename = r#"UPDATE "DOANH_NGHIEP" SET "NAME" = 'CÔNG TY TNHH HOÀ BÌNH', "NAME_FOLDED" = 'CONG TY TNHH HOA BINH'
        WHERE "ENTERPRISE_GDT_CODE" = ?"#;
    sqlx::query(rename).bind(&code).execute(&mut register).await.unwrap();
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, "H21.65/portal").await;
    let request = |name: &str| wire::SearchRequest {
        record_type: FIRM.to_owned(),
        criteria: Some(wire::Criteria { organisation_name: name.to_owned(), ..Default::default() }),
        purpose: purpose("check_enterprise", ""),
        officer: officer(),
        ..Default::default()
    };
    for name in ["Công ty TNHH Hoà Bình", "công ty trách nhiệm hữu hạn hòa bình"] {
        let response = found(&mut client, request(name)).await.unwrap();
        let numbers: Vec<_> = response.candidates.iter().map(|candidate| candidate.number.as_str()).collect();
        assert_eq!(numbers, [code.as_str()], "{name}");
    }
    assert!(found(&mut client, request("Hòa Bình")).await.unwrap().candidates.is_empty());

    // The catalogue says what can be searched and CheckAccess who may.
    let mut catalogue = CatalogServiceClient::new(client_of(&hub, &files, "H21.65/portal").await);
    let sources = catalogue.list_sources(catalog::ListSourcesRequest {}).await.unwrap().into_inner().sources;
    let searchable: BTreeSet<_> = sources
        .iter()
        .flat_map(|source| &source.record_types)
        .filter(|record| !record.search.is_empty())
        .map(|record| record.record_type.as_str())
        .collect();
    assert_eq!(searchable, BTreeSet::from([RESIDENT, FIRM]));
    let check = catalog::CheckAccessRequest {
        selections: vec![wire::Selection {
            record_type: FIRM.to_owned(),
            field_mask: Some(FieldMask { paths: vec!["name".to_owned(), "members".to_owned()] }),
        }],
        purpose: purpose("check_enterprise", ""),
        officer: officer(),
        action: "search".to_owned(),
    };
    let access = catalogue.check_access(check).await.unwrap().into_inner();
    assert_eq!(access.selections[0].released, ["name"]);
    assert!(!access.selections[0].withheld.is_empty());
    assert!(hub.stop());
}
