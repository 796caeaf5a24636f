//! Searching a source that an adapter lends: as in process, if its owner allows it, and in the owner's own record.

use std::{collections::BTreeSet, fs};

use proto::{
    adapter::v1::{self as adapter, adapter_service_client::AdapterServiceClient},
    audit::v1::{self as log, entry::Kind, entry::Outcome},
    catalog::v1::{self as catalog, catalog_service_client::CatalogServiceClient},
    options::v1::IdentifierKind,
    query::v1 as wire,
};
use sqlx::{Connection as _, SqliteConnection};
use synthetic::Sector;
use tests::{Engine, Hub, channel, client_of, error_info, query_client};
use tonic::Code;

use crate::{
    remote::Both,
    search::{Person, REGISTRAR, found, search, somebody},
};

const RESIDENT: &str = "lienthong.population.v1.Resident";

/// The candidates of a search, without the handles, which are another each time.
async fn candidates(hub: &Hub, both: &Both, person: &Person) -> Vec<wire::Candidate> {
    let mut client = query_client(hub, &both.files, REGISTRAR).await;
    let mut candidates = Vec::new();
    for birth in [&person.born[..4], "1900"] {
        let response = found(&mut client, search(&person.name.to_uppercase(), birth)).await.unwrap();
        assert!(response.complete, "{response:?}");
        candidates.extend(response.candidates);
    }
    candidates.iter_mut().for_each(|candidate| candidate.handle.clear());
    candidates
}

/// What the adapter's owner recorded of searches.
async fn recorded(both: &Both) -> Vec<log::Entry> {
    let key = audit::SigningKey::load(&both.files.path("keys/log.key")).unwrap();
    let location = audit::Location::File(both.files.path("left.sqlite"));
    let log = audit::AuditLog::open(&location, key, audit::Options::default()).await.unwrap();
    let mut entries = Vec::new();
    for index in 0..log.checkpoint().tree_size {
        entries.push(log.entry(index).await.unwrap().entry.unwrap());
    }
    log.close().await;
    entries.retain(|entry| entry.kind() == Kind::Search);
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lent_source_is_searched_as_in_process_and_its_owner_records_who_was_shown() {
    let both = Both::new(Engine::Sqlite).await;
    let mut register = SqliteConnection::connect(both.databases.url(Sector::Population)).await.unwrap();
    let person = somebody(&mut register).await;
    let hub = Hub::start(&both.files);
    let here = candidates(&hub, &both, &person).await;
    assert_eq!(here.len(), 1);
    hub.kill();

    both.make_remote();
    let lent = Hub::start_adapter(&both.adapter_config("search = true"));
    let hub = Hub::start(&both.files);
    assert_eq!(here, candidates(&hub, &both, &person).await);
    assert!(hub.stop() && lent.stop());
    let [shown, nobody] = recorded(&both).await.try_into().unwrap();
    let hasher = audit::SubjectHasher::load(&both.files.path("keys/subject.key")).unwrap();
    assert_eq!(shown.subjects, [hasher.hash(IdentifierKind::PersonalId, &person.number)]);
    assert_eq!((shown.outcome(), nobody.outcome()), (Outcome::Answered, Outcome::Answered));
    assert!(nobody.subjects.is_empty() && nobody.accesses[0].fields_released.is_empty());
    assert!(shown.accesses[0].fields_released.contains(&"full_name".to_owned()), "{:?}", shown.accesses);
    assert_eq!(shown.purpose.as_ref().unwrap().code, "death_linked_service");
    let detail = |name: &str| shown.details.iter().find(|detail| detail.name == name).map(|found| found.value.as_str());
    assert_eq!(detail("searched_by"), Some("person_name,birth_date"));
    assert_eq!(detail("on_behalf_of_agency"), Some("H21.12"));
    let text = format!("{shown:?}{nobody:?}");
    assert!(!text.contains(&person.name) && !text.contains(&person.number), "nobody's name or number: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_owners_word_a_lent_source_is_not_searched() {
    let both = Both::new(Engine::Sqlite).await;
    let mut register = SqliteConnection::connect(both.databases.url(Sector::Population)).await.unwrap();
    let person = somebody(&mut register).await;
    both.make_remote();
    let config = both.adapter_config("");
    let lent = Hub::start_adapter(&config);
    let hub = Hub::start(&both.files);

    // Nothing said of searching: not offered, and the catalogue says so.
    let mut catalogue = CatalogServiceClient::new(client_of(&hub, &both.files, "H21.65/portal").await);
    let sources = catalogue.list_sources(catalog::ListSourcesRequest {}).await.unwrap().into_inner().sources;
    let residents = sources.iter().flat_map(|source| &source.record_types).find(|held| held.record_type == RESIDENT);
    assert!(residents.unwrap().search.is_empty(), "{residents:?}");
    let mut client = query_client(&hub, &both.files, REGISTRAR).await;
    let status = found(&mut client, search(&person.name, &person.born[..4])).await.unwrap_err();
    assert_eq!((status.code(), error_info(&status).1), (Code::InvalidArgument, vec!["record_type".to_owned()]));
    assert!(hub.stop() && lent.stop());

    // What is asked at home is refused at home, whatever the hub believes, and recorded.
    let one_agency = "agencies = [\"H21.12\"]\nsearch = true\n\
        records = [{ type = \"lienthong.population.v1.Resident\", fields = [\"personal_id\", \"full_name\", \"birth_date\"] }]";
    fs::remove_file(both.files.path("left.sqlite")).unwrap();
    let lent = Hub::start_adapter(&both.adapter_config(one_agency));
    let certificate = both.files.certificate("H21.90/console");
    let mut client =
        AdapterServiceClient::new(channel(&lent, &both.files.authority(), Some(&certificate)).await.unwrap());
    let described = client.describe(adapter::DescribeRequest {}).await.unwrap().into_inner();
    let offered: BTreeSet<_> = described.records[0].search.iter().map(|search| search.field.as_str()).collect();
    assert_eq!(
        offered,
        BTreeSet::from(["full_name", "birth_date"]),
        "the address is not on the list, so nobody is searched by it"
    );
    let criterion =
        |kind: adapter::CriterionKind, value: &str| adapter::Criterion { kind: kind.into(), value: value.to_owned() };
    let by = |criteria: Vec<adapter::Criterion>, fields: &[&str], agency: &str| adapter::SearchRequest {
        record_type: RESIDENT.to_owned(),
        criteria,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        agency: agency.to_owned(),
        ..Default::default()
    };
    let name = || criterion(adapter::CriterionKind::PersonName, &person.name);
    let born = || criterion(adapter::CriterionKind::BirthDate, &person.born[..4]);
    let answer = client.search(by(vec![name(), born()], &["personal_id"], "H21.12")).await.unwrap().into_inner();
    assert_eq!(answer.records.len(), 1);
    let commune = criterion(adapter::CriterionKind::Commune, "21550");
    for (case, code, request) in [
        ("another agency", Code::PermissionDenied, by(vec![name(), born()], &["personal_id"], "H21.65")),
        ("a field that is not on the list", Code::PermissionDenied, by(vec![name(), born()], &["gender"], "H21.12")),
        ("compared with one that is not", Code::PermissionDenied, by(vec![name(), commune], &[], "H21.12")),
        ("by nothing", Code::InvalidArgument, by(Vec::new(), &["personal_id"], "H21.12")),
        ("twice by one", Code::InvalidArgument, by(vec![name(), name()], &["personal_id"], "H21.12")),
        (
            "by a date that is none",
            Code::InvalidArgument,
            by(vec![name(), criterion(adapter::CriterionKind::BirthDate, "85")], &[], "H21.12"),
        ),
        (
            "by what people have not",
            Code::InvalidArgument,
            by(vec![criterion(adapter::CriterionKind::OrganisationName, "A")], &[], "H21.12"),
        ),
    ] {
        let status = client.search(request).await.expect_err(case);
        assert_eq!(status.code(), code, "{case}: {status:?}");
        assert!(!format!("{status:?}").contains(&person.name), "{case}");
    }
    assert!(lent.stop());
    let outcomes: Vec<_> = recorded(&both).await.iter().map(log::Entry::outcome).collect();
    let count = |outcome| outcomes.iter().filter(|found| **found == outcome).count();
    assert_eq!((count(Outcome::Answered), count(Outcome::Refused), count(Outcome::Invalid)), (1, 3, 4));
}
