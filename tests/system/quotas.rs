//! Quotas of a running hub: what is left is told, what is used up is refused with the time to wait, and recorded.

use std::{fs, time::Duration};

use futures::{StreamExt, stream};
use prost_types::FieldMask;
use proto::{
    audit::v1::{self as log, audit_service_client::AuditServiceClient, entry::Outcome},
    query::v1::{self as wire, batch_query_response::Result as ItemResult, subject::Identifier},
};
use tests::{Databases, Engine, Hub, HubFiles, Settings, client_of, error_info, query_client};
use tonic::{Code, metadata::MetadataMap};
use tonic_types::StatusExt;

fn request(personal_id: &str) -> wire::QueryRequest {
    let field_mask = Some(FieldMask { paths: vec!["full_name".to_owned()] });
    let record_type = "lienthong.population.v1.Resident".to_owned();
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![wire::Selection { record_type, field_mask }],
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    }
}

fn told(metadata: &MetadataMap) -> [String; 3] {
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-policy"]
        .map(|name| metadata.get(name).expect(name).to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_told_and_what_is_used_up_is_refused_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 89, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    let grant = files.path("grants/everything.toml");
    let agreed = "\n[[quotas]]\naction = \"query\"\ncalls = 3\nper = \"day\"\neach = [\"system\"]\n";
    fs::write(&grant, fs::read_to_string(&grant).unwrap() + agreed).unwrap();
    fs::write(
        files.path("quotas.toml"),
        "[[quotas]]\naction = \"batch\"\ncalls = 5\nper = \"hour\"\neach = [\"agency\"]\n",
    )
    .unwrap();
    let config = fs::read_to_string(files.path("config.toml")).unwrap();
    fs::write(files.path("config.toml"), config.replace("[access]", "[access]\nquotas = \"quotas.toml\"")).unwrap();
    let hub = Hub::start(&files);
    let mut client = query_client(&hub, &files, "H21.99/all").await;

    for remaining in ["2", "1", "0"] {
        let answer = client.query(request(&somebody)).await.unwrap();
        assert_eq!(told(answer.metadata()), ["3", remaining, "3;w=86400"]);
    }
    let refused = client.query(request(&somebody)).await.unwrap_err();
    assert_eq!((refused.code(), error_info(&refused).0.as_str()), (Code::ResourceExhausted, "QUOTA_USED_UP"));
    assert_eq!(told(refused.metadata()), ["3", "0", "3;w=86400"]);
    let wait = refused.get_error_details().retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::from_secs(8 * 3_600 - 120) && wait <= Duration::from_secs(8 * 3_600), "{wait:?}");
    assert!(refused.message().contains("99/TEST"), "{refused}");
    // Another system of the agency, and another action, have their own.
    query_client(&hub, &files, "H21.99/half").await.query(request(&somebody)).await.unwrap();

    // Of eight items five are answered; the others are refused one by one, and the stream goes on.
    let items =
        (0..8).map(|number| wire::BatchQueryRequest { item_id: number.to_string(), query: Some(request(&somebody)) });
    let answers = client.batch_query(stream::iter(items.collect::<Vec<_>>())).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(|answer| answer.unwrap().result.unwrap()).collect().await;
    let refusals: Vec<_> = answers
        .iter()
        .filter_map(|answer| match answer {
            ItemResult::Response(_) => None,
            ItemResult::Error(error) => Some((Code::from(error.code), error.reason.as_str())),
        })
        .collect();
    assert_eq!(refusals, [(Code::ResourceExhausted, "QUOTA_USED_UP"); 3]);

    // A reload counts on.
    fs::write(
        files.path("grants/more.toml"),
        fs::read_to_string(files.path("grants/half.toml"))
            .unwrap()
            .replace("98/TEST", "97/TEST")
            .replace("\"half\"", "\"more\""),
    )
    .unwrap();
    for _ in 0..500 {
        if hub.lines.lock().unwrap().iter().any(|line| line.contains(" reloaded ")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.query(request(&somebody)).await.unwrap_err().code(), Code::ResourceExhausted);

    let mut console = AuditServiceClient::new(client_of(&hub, &files, "H21.90/console").await);
    let reader = Some(log::Officer { id: "2".to_owned(), name: "Giám sát".to_owned(), ..Default::default() });
    let index: u64 = refused.metadata().get("lienthong-log-index").unwrap().to_str().unwrap().parse().unwrap();
    let entry = console
        .get_entry(log::GetEntryRequest { reader, log_index: index, ..Default::default() })
        .await
        .unwrap()
        .into_inner()
        .entry
        .unwrap();
    assert_eq!((entry.outcome(), entry.reason.as_str()), (Outcome::Refused, "QUOTA_USED_UP"));
    assert_eq!((entry.subjects.len(), entry.purpose.unwrap().code.as_str()), (1, "test_everything"));
    assert!(hub.stop());
}
