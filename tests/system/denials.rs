//! Every RPC in the descriptors is denied to those who may not call it. The methods are read from the descriptors, so that a
//! new one is denied here before anybody thinks of it; there is no list of exceptions.

use std::collections::BTreeSet;

use prost_types::FieldMask;
use proto::{
    Schema,
    audit::v1::{self as log, audit_service_client::AuditServiceClient, entry::Outcome},
    operator::v1::{self as operator, operator_service_client::OperatorServiceClient},
    options::v1::IdentifierKind,
    query::v1::{self as wire, subject::Identifier},
};
use tests::{Databases, Engine, Hub, HubFiles, Settings, channel, client_of, error_info, query_client};
use tonic::{Code, Request, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_prost::ProstCodec;

/// Every method of the hub's packages: path, and whether requests and answers stream.
fn methods() -> Vec<(String, bool, bool)> {
    let schema = Schema::builtin().unwrap();
    let services = schema.pool().services().filter(|service| service.package_name().starts_with("lienthong."));
    let methods = services.flat_map(|service| {
        let of = service.full_name().to_owned();
        let methods: Vec<_> = service.methods().collect();
        methods.into_iter().map(move |method| {
            (format!("/{of}/{}", method.name()), method.is_client_streaming(), method.is_server_streaming())
        })
    });
    methods.collect()
}

/// Calls a method with an empty message, whatever its type, and gives the error it ends in.
async fn denied(
    channel: Channel,
    (path, client_streams, server_streams): &(String, bool, bool),
    token: bool,
) -> Status {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = PathAndQuery::try_from(path.as_str()).unwrap();
    let codec = ProstCodec::<(), ()>::default();
    let requests = tokio_stream::iter([()]);
    let (mut one, mut many) = (Request::new(()), Request::new(requests));
    if token {
        one.metadata_mut().insert("authorization", "Bearer a.b.c".parse().unwrap());
        many.metadata_mut().insert("authorization", "Bearer a.b.c".parse().unwrap());
    }
    let streamed = match (client_streams, server_streams) {
        (false, false) => return grpc.unary(one, path, codec).await.expect_err("it is denied"),
        (true, false) => return grpc.client_streaming(many, path, codec).await.expect_err("it is denied"),
        (false, true) => grpc.server_streaming(one, path, codec).await,
        (true, true) => grpc.streaming(many, path, codec).await,
    };
    match streamed {
        Err(status) => status,
        Ok(answers) => answers.into_inner().message().await.expect_err("it is denied"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_is_denied_without_a_certificate_and_with_a_wrong_token() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    databases.fill(100, 97, None).await;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let methods = methods();
    assert!(methods.len() >= 15, "{methods:?}");
    let anonymous = channel(&hub, &files.authority(), None).await.unwrap();
    let known = client_of(&hub, &files, "H21.99/all").await;
    for method in &methods {
        let status = denied(anonymous.clone(), method, false).await;
        let found = (status.code(), error_info(&status).0);
        assert_eq!(found, (Code::Unauthenticated, "NO_CLIENT_CERTIFICATE".to_owned()), "{}", method.0);
        let status = denied(known.clone(), method, true).await;
        let found = (status.code(), error_info(&status).0);
        assert_eq!(found, (Code::Unauthenticated, "TOKEN_MALFORMED".to_owned()), "{}", method.0);
        assert!(status.metadata().contains_key("lienthong-log-index"), "{} is recorded", method.0);
    }
    println!("{} methods, each denied twice", methods.len());
    assert!(hub.stop());
}

/// Methods that every system with a certificate may call: what they answer holds nothing about anybody.
const OPEN_TO_SYSTEMS: [&str; 8] = [
    "/lienthong.audit.v1.AuditService/GetCheckpoint",
    "/lienthong.audit.v1.AuditService/GetConsistencyProof",
    "/lienthong.audit.v1.AuditService/GetInclusionProof",
    "/lienthong.catalog.v1.CatalogService/CheckAccess",
    "/lienthong.catalog.v1.CatalogService/GetRecordType",
    "/lienthong.catalog.v1.CatalogService/ListPurposes",
    "/lienthong.catalog.v1.CatalogService/ListRecordTypes",
    "/lienthong.catalog.v1.CatalogService/ListSources",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_about_somebody_is_denied_to_a_system_without_an_agreement() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 101, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    // A certificate it has, and no agreement.
    let system = "H21.10/archive";
    let officer = || Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), ..Default::default() });
    let reader = || Some(log::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), ..Default::default() });
    let subject = || Some(wire::Subject { identifier: Some(Identifier::PersonalId(somebody.clone())) });
    let purpose = || Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() });
    let record_type = "lienthong.population.v1.Resident".to_owned();
    let question = || wire::QueryRequest {
        subject: subject(),
        selections: vec![wire::Selection {
            record_type: record_type.clone(),
            field_mask: Some(FieldMask { paths: vec!["full_name".to_owned()] }),
        }],
        purpose: purpose(),
        officer: officer(),
        required_sources: Vec::new(),
    };
    let claim = wire::Claim { record_type: record_type.clone(), field: "full_name".to_owned(), value: "A".to_owned() };
    let claims = wire::VerifyRequest {
        subject: subject(),
        claims: vec![claim],
        purpose: purpose(),
        officer: officer(),
        required_sources: Vec::new(),
    };
    let mut query = query_client(&hub, &files, system).await;
    let mut audit = AuditServiceClient::new(client_of(&hub, &files, system).await);
    let mut operator = OperatorServiceClient::new(client_of(&hub, &files, system).await);
    let item = wire::BatchQueryRequest { item_id: "1".to_owned(), query: Some(question()) };
    let item =
        query.batch_query(tokio_stream::iter([item])).await.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(wire::batch_query_response::Result::Error(item)) = item.result else { panic!("the item is denied") };
    let item_status = (Code::from(item.code), item.receipt.map(|receipt| receipt.log_index));

    let candidates = wire::SearchRequest {
        record_type: record_type.clone(),
        criteria: Some(wire::Criteria {
            person_name: "Nguyễn Văn An".to_owned(),
            birth_date: "1985".to_owned(),
            ..Default::default()
        }),
        purpose: purpose(),
        officer: officer(),
        ..Default::default()
    };
    let tail = log::TailEntriesRequest { reader: reader(), ..Default::default() };
    let search = log::SearchEntriesRequest { reader: reader(), ..Default::default() };
    let one = log::GetEntryRequest { reader: reader(), ..Default::default() };
    let list = log::ListSubjectAccessesRequest {
        subject_kind: IdentifierKind::PersonalId.into(),
        subject: somebody.clone(),
        reader: reader(),
        ..Default::default()
    };
    let statuses = [
        ("/lienthong.query.v1.QueryService/Query", query.query(question()).await.map(drop)),
        ("/lienthong.query.v1.QueryService/Verify", query.verify(claims).await.map(drop)),
        ("/lienthong.query.v1.QueryService/Search", query.search(candidates).await.map(drop)),
        ("/lienthong.audit.v1.AuditService/SearchEntries", audit.search_entries(search).await.map(drop)),
        ("/lienthong.audit.v1.AuditService/ListSubjectAccesses", audit.list_subject_accesses(list).await.map(drop)),
        ("/lienthong.audit.v1.AuditService/GetEntry", audit.get_entry(one).await.map(drop)),
        ("/lienthong.audit.v1.AuditService/TailEntries", audit.tail_entries(tail).await.map(drop)),
        (
            "/lienthong.operator.v1.OperatorService/Reload",
            operator.reload(operator::ReloadRequest { officer: officer() }).await.map(drop),
        ),
    ];
    let mut denied: BTreeSet<String> = BTreeSet::from(["/lienthong.query.v1.QueryService/BatchQuery".to_owned()]);
    let mut recorded = vec![item_status];
    for (method, answer) in statuses {
        let status = answer.expect_err(method);
        let index = status.metadata().get("lienthong-log-index").map(|index| index.to_str().unwrap().parse().unwrap());
        recorded.push((status.code(), index));
        denied.insert(method.to_owned());
    }
    let mut console = AuditServiceClient::new(client_of(&hub, &files, "H21.90/console").await);
    for (code, index) in recorded {
        assert_eq!(code, Code::PermissionDenied);
        let request =
            log::GetEntryRequest { reader: reader(), log_index: index.expect("it is recorded"), ..Default::default() };
        let entry = console.get_entry(request).await.unwrap().into_inner().entry.unwrap();
        assert_eq!((entry.outcome(), entry.caller.unwrap().system.as_str()), (Outcome::Refused, "archive"));
    }
    denied.extend(OPEN_TO_SYSTEMS.map(ToOwned::to_owned));
    // What adapters serve to hubs, no hub serves to anybody; `lending.rs` asks adapters themselves.
    let everything = client_of(&hub, &files, "H21.99/all").await;
    for method in methods().into_iter().filter(|(path, ..)| path.starts_with("/lienthong.adapter.")) {
        let status = self::denied(everything.clone(), &method, false).await;
        assert_eq!(error_info(&status).0, "INVALID_REQUEST", "{}", method.0);
        assert!(status.metadata().contains_key("lienthong-log-index"), "{} is recorded", method.0);
        denied.insert(method.0);
    }
    let all: BTreeSet<String> = methods().into_iter().map(|(path, ..)| path).collect();
    assert_eq!(denied, all, "a method is neither denied here nor open to every system");
    assert!(hub.stop());
}
