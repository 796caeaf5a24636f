//! The services beside single queries: batches, the catalogue, and the log while it is written.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream};
use prost_types::FieldMask;
use proto::{
    Schema,
    audit::v1::{self as log, audit_service_client::AuditServiceClient, entry::Kind, entry::Outcome as EntryOutcome},
    catalog::v1::{self as catalog, catalog_service_client::CatalogServiceClient},
    query::v1::{self as wire, batch_query_response::Result as ItemResult, subject::Identifier},
};
use tests::{Databases, Engine, Hub, HubFiles, Settings, client_of, error_info, query_client};
use tonic::Code;

const RESIDENT: &str = "lienthong.population.v1.Resident";

fn request(personal_id: &str) -> wire::QueryRequest {
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![wire::Selection {
            record_type: RESIDENT.to_owned(),
            field_mask: Some(FieldMask { paths: vec!["full_name".to_owned()] }),
        }],
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(officer()),
        required_sources: Vec::new(),
    }
}

fn officer() -> wire::Officer {
    wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }
}

fn reader() -> log::Officer {
    log::Officer { id: "VH-1".to_owned(), name: "Người vận hành".to_owned(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_every_item_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let mut truth = std::io::Cursor::new(Vec::new());
    databases.fill(300, 61, Some(&mut truth)).await;
    let names: BTreeMap<String, String> = std::str::from_utf8(truth.get_ref())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["record_type"] == RESIDENT && line["keys"]["personal_id"].is_string())
        .map(|line| {
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            (text(&line["keys"]["personal_id"]), text(&line["fields"]["full_name"]))
        })
        .collect();
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, "H21.99/all").await;

    let mut items: Vec<wire::BatchQueryRequest> = names
        .keys()
        .map(|id| wire::BatchQueryRequest { item_id: format!("person-{id}"), query: Some(request(id)) })
        .collect();
    let valid = items.len();
    let mut wrong = request("052185000123");
    wrong.selections[0].record_type = "lienthong.population.v1.Residents".to_owned();
    items.push(wire::BatchQueryRequest { item_id: "wrong".to_owned(), query: Some(wrong) });
    items.push(wire::BatchQueryRequest { item_id: "empty".to_owned(), query: None });
    items.push(wire::BatchQueryRequest { item_id: "nobody".to_owned(), query: Some(request("001199999999")) });

    let answers = client.batch_query(stream::iter(items)).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(Result::unwrap).collect().await;
    assert_eq!(answers.len(), valid + 3, "each item is answered once");
    let schema = Schema::builtin().unwrap();
    let descriptor = &schema.record_type(RESIDENT).unwrap().descriptor;
    let mut indices = Vec::new();
    let (mut found, mut right) = (0, 0);
    for answer in answers {
        match (answer.item_id.as_str(), answer.result.unwrap()) {
            ("wrong" | "empty", ItemResult::Error(error)) => {
                assert_eq!((error.code, error.reason.as_str()), (Code::InvalidArgument as i32, "INVALID_REQUEST"));
                assert!(!error.message_vi.is_empty());
                indices.push((error.receipt.unwrap().log_index, EntryOutcome::Invalid));
            }
            ("nobody", ItemResult::Response(response)) => {
                assert_eq!(response.results[0].outcome(), wire::Outcome::NotFound);
                indices.push((response.receipt.unwrap().log_index, EntryOutcome::Answered));
            }
            (item, ItemResult::Response(response)) => {
                let result = &response.results[0];
                let record = &result.records[0];
                let message = prost_reflect::DynamicMessage::decode(
                    descriptor.clone(),
                    record.value.as_ref().unwrap().value.as_slice(),
                )
                .unwrap();
                let name = message.get_field_by_name("full_name").unwrap().as_message().unwrap().clone();
                let full = name.get_field_by_name("full").unwrap().as_str().unwrap().to_owned();
                found += 1;
                right += usize::from(names[item.strip_prefix("person-").unwrap()] == full);
                let provenance = record.provenance.as_ref().unwrap();
                assert_eq!(provenance.source, "population");
                assert_eq!(provenance.mapping_digest.len(), 64);
                assert!(provenance.retrieved_at.is_some() && provenance.as_of.is_some());
                indices.push((response.receipt.unwrap().log_index, EntryOutcome::Answered));
            }
            (item, other) => panic!("{item}: {other:?}"),
        }
    }
    assert_eq!(found, valid);
    // Names without marks differ from the truth; answers given to the wrong item would differ nearly always.
    assert!(right * 10 > found * 9, "{right} of {found} names are those of the item's person");
    indices.sort_unstable();
    let total = indices.len();
    indices.dedup_by_key(|(index, _)| *index);
    assert_eq!(indices.len(), total, "every item has an entry of its own");

    assert!(hub.stop());
    let key = audit::SigningKey::load(&files.path("keys/log.key")).unwrap();
    let log = audit::AuditLog::open(&files.log_location(), key, audit::Options::default()).await.unwrap();
    for (index, outcome) in indices {
        let entry = log.entry(index).await.unwrap().entry.unwrap();
        assert_eq!((entry.kind(), entry.outcome()), (Kind::BatchItem, outcome));
    }
    log.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_tells_what_there_is_and_what_a_caller_may_see() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    databases.fill(20, 62, None).await;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let mut portal = CatalogServiceClient::new(client_of(&hub, &files, "H21.65/portal").await);

    let schema = Schema::builtin().unwrap();
    let types = portal.list_record_types(catalog::ListRecordTypesRequest {}).await.unwrap().into_inner().record_types;
    assert_eq!(types.len(), schema.record_types().count());
    for listed in &types {
        let known = schema.record_type(&listed.name).unwrap();
        let paths: Vec<_> = listed.fields.iter().map(|field| &field.path).collect();
        assert_eq!(paths, known.fields.iter().map(|field| &field.path).collect::<Vec<_>>());
        assert!(listed.fields.iter().all(|field| !field.label_vi.is_empty() && field.sensitivity != 0));
    }
    let one = portal.get_record_type(catalog::GetRecordTypeRequest { name: RESIDENT.to_owned() }).await.unwrap();
    assert_eq!(one.into_inner().name, RESIDENT);
    let unknown = portal.get_record_type(catalog::GetRecordTypeRequest { name: "x".to_owned() }).await.unwrap_err();
    assert_eq!((unknown.code(), error_info(&unknown).0.as_str()), (Code::NotFound, "UNKNOWN_RECORD_TYPE"));

    // Readiness comes from a round trip, so it takes a moment.
    let mut sources = Vec::new();
    for _ in 0..50 {
        sources = portal.list_sources(catalog::ListSourcesRequest {}).await.unwrap().into_inner().sources;
        if sources.iter().all(|source| source.ready) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(sources.len(), 6);
    assert!(sources.iter().all(|source| source.ready && source.engine == "sqlite" && !source.record_types.is_empty()));
    let purposes = portal.list_purposes(catalog::ListPurposesRequest {}).await.unwrap().into_inner().purposes;
    assert!(purposes.iter().any(|purpose| purpose.code == "confirm_residence" && purpose.dossier_required));

    let check = |code: &str, paths: &[&str]| catalog::CheckAccessRequest {
        selections: vec![wire::Selection {
            record_type: RESIDENT.to_owned(),
            field_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        }],
        purpose: Some(wire::Purpose {
            code: code.to_owned(),
            dossier_number: "H21.65-261122-0001".to_owned(),
            justification: String::new(),
        }),
        officer: Some(officer()),
        action: String::new(),
    };
    let answer =
        portal.check_access(check("confirm_residence", &["full_name", "religion"])).await.unwrap().into_inner();
    assert_eq!(answer.selections[0].released, ["full_name"]);
    assert_eq!(answer.selections[0].withheld[0].path, "religion");
    assert!(!answer.selections[0].decision.as_ref().unwrap().agreements.is_empty());
    let nothing = portal.check_access(check("staff_appointment", &["full_name"])).await.unwrap().into_inner();
    assert!(nothing.selections[0].released.is_empty());
    assert_eq!(nothing.selections[0].withheld[0].reason, "PURPOSE_NOT_IN_AGREEMENT");
    let mut wrong = check("confirm_residence", &["full_name"]);
    wrong.action = "delete".to_owned();
    assert_eq!(error_info(&portal.check_access(wrong).await.unwrap_err()).1, ["action"]);
    assert!(hub.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_follow_the_log_and_nobody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 63, None).await.cast.everywhere.unwrap();
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, "H21.99/all").await;
    let mut console = AuditServiceClient::new(client_of(&hub, &files, "H21.90/console").await);

    let mut tail = console
        .tail_entries(log::TailEntriesRequest { reader: Some(reader()), ..Default::default() })
        .await
        .unwrap()
        .into_inner();
    let start = tail.message().await.unwrap().unwrap();
    assert_eq!((start.log_index, start.entry.unwrap().kind()), (0, Kind::HubEvent));
    let reading = tail.message().await.unwrap().unwrap().entry.unwrap();
    assert_eq!(reading.kind(), Kind::LogRead, "the reading itself is recorded before the first entry leaves");
    assert_eq!(reading.officer.unwrap().id, "VH-1");
    let receipt = client.query(request(&somebody.personal_id)).await.unwrap().into_inner().receipt.unwrap();
    let live = tail.message().await.unwrap().unwrap();
    assert_eq!((live.log_index, &live.leaf_hash), (receipt.log_index, &receipt.leaf_hash));
    drop(tail);
    let mut resumed = console
        .tail_entries(log::TailEntriesRequest {
            from_index: live.log_index,
            reader: Some(reader()),
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(resumed.message().await.unwrap().unwrap().log_index, live.log_index);

    // Whoever asked may check their receipt: proofs hold hashes only.
    let mut caller = AuditServiceClient::new(client_of(&hub, &files, "H21.99/all").await);
    let proof = log::GetInclusionProofRequest { log_index: receipt.log_index, ..Default::default() };
    let proof = caller.get_inclusion_proof(proof).await.unwrap().into_inner();
    assert_eq!(proof.leaf_hash, receipt.leaf_hash);
    let note = proof.checkpoint.unwrap().note;
    let checkpoint = audit::Checkpoint::open(&note, &files.log_key()).unwrap();
    let hashes: Vec<audit::Hash> = proof.hashes.iter().map(|hash| hash.as_slice().try_into().unwrap()).collect();
    let leaf: audit::Hash = receipt.leaf_hash.as_slice().try_into().unwrap();
    audit::tree::verify_inclusion(&leaf, receipt.log_index, checkpoint.tree_size, &hashes, &checkpoint.root_hash)
        .unwrap();
    let beyond = log::GetInclusionProofRequest { log_index: 1_000_000, ..Default::default() };
    assert!(matches!(
        caller.get_inclusion_proof(beyond).await.unwrap_err().code(),
        Code::NotFound | Code::InvalidArgument
    ));

    // Entries are for operators; the refusal is recorded.
    let before = console.get_checkpoint(log::GetCheckpointRequest::default()).await.unwrap().into_inner();
    let before = audit::Checkpoint::open(&before.note, &files.log_key()).unwrap().tree_size;
    let search = log::SearchEntriesRequest { reader: Some(reader()), ..Default::default() };
    let refused = [
        caller.search_entries(search.clone()).await.unwrap_err(),
        caller.get_entry(log::GetEntryRequest { reader: Some(reader()), ..Default::default() }).await.unwrap_err(),
        caller
            .tail_entries(log::TailEntriesRequest { reader: Some(reader()), ..Default::default() })
            .await
            .unwrap_err(),
    ];
    for status in &refused {
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
        assert!(status.metadata().get("lienthong-log-index").is_some());
    }
    let nameless = console.search_entries(log::SearchEntriesRequest::default()).await.unwrap_err();
    assert_eq!(error_info(&nameless).1, ["reader"]);
    let found = console.search_entries(search).await.unwrap().into_inner();
    let refusals = found.entries.iter().filter(|entry| {
        let entry_of = entry.entry.as_ref().unwrap();
        entry.log_index >= before && entry_of.kind() == Kind::LogRead && entry_of.outcome() == EntryOutcome::Refused
    });
    assert_eq!(refusals.count(), 3);
    // A tail that is open does not hold up the hub's stopping.
    assert!(hub.stop());
}
