//! Messages that are too large, too deep, or not what they say they are: refused, recorded, and without effect on others.

use bytes::{Buf, BufMut};
use prost::Message;
use prost_types::FieldMask;
use proto::{
    audit::v1::{self as log, audit_service_client::AuditServiceClient, entry::Outcome},
    query::v1::{self as wire, subject::Identifier},
};
use tests::{Databases, Engine, Hub, HubFiles, Settings, client_of, query_client};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};

/// Sends bytes as they are and forgets the answer.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;
    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item.as_slice());
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}

fn request(personal_id: &str) -> wire::QueryRequest {
    let field_mask = Some(FieldMask { paths: vec!["full_name".to_owned()] });
    wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(personal_id.to_owned())) }),
        selections: vec![wire::Selection { record_type: "lienthong.population.v1.Resident".to_owned(), field_mask }],
        purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    }
}

/// A field of a number nobody uses that begins a group in a group in a group.
fn groups(depth: usize) -> Vec<u8> {
    // Field 1000, wire types 3 (begin) and 4 (end).
    let tag = |wire_type: u32| {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(u64::from(1000 << 3 | wire_type), &mut bytes);
        bytes
    };
    [tag(3).repeat(depth), tag(4).repeat(depth)].concat()
}

/// The message in field 1 of itself, again and again: what a message that holds messages of its own type would be.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |inner: Vec<u8>, _| {
        let mut outer = vec![0x0a];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.extend(inner);
        outer
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_nested_and_broken_messages_are_refused_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let somebody = databases.fill(100, 163, None).await.cast.everywhere.unwrap().personal_id;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let good = request(&somebody).encode_to_vec();
    let with = |more: Vec<u8>| [good.clone(), more].concat();
    let mut many = request(&somebody);
    many.selections = vec![many.selections[0].clone(); 10_000];
    let mut paths = request(&somebody);
    paths.selections[0].field_mask = Some(FieldMask { paths: vec!["full_name".to_owned(); 10_000] });
    let mut path = request(&somebody);
    path.selections[0].field_mask = Some(FieldMask { paths: vec!["mother.".repeat(20_000)] });
    let attempts = [
        ("groups 100,000 deep", with(groups(100_000))),
        ("messages 1,000 deep in a place for one", nested(1_000)),
        ("a length of 2 GiB and no bytes", with(vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x07])),
        ("a number that does not end", with(vec![0xff; 11])),
        ("a group that does not end", with(vec![0xc3, 0x3e])),
        ("text that is not UTF-8", with(vec![0x0a, 0x04, 0x0a, 0x02, 0xff, 0xfe])),
        ("10,000 selections", many.encode_to_vec()),
        ("10,000 paths", paths.encode_to_vec()),
        ("a path of 20,000 parts", path.encode_to_vec()),
        ("20 MiB", with(vec![0; 20 << 20])),
    ];
    let channel = client_of(&hub, &files, "H21.99/all").await;
    let mut console = AuditServiceClient::new(client_of(&hub, &files, "H21.90/console").await);
    for (case, bytes) in attempts {
        for method in ["Query", "Search", "Verify"] {
            let mut grpc = Grpc::new(channel.clone());
            grpc.ready().await.unwrap();
            let path = PathAndQuery::try_from(format!("/lienthong.query.v1.QueryService/{method}")).unwrap();
            let status = grpc.unary(Request::new(bytes.clone()), path, Raw).await.map(drop).expect_err(case);
            assert_eq!(status.code(), Code::InvalidArgument, "{case}, {method}: {status:?}");
            let index = status.metadata().get("lienthong-log-index").unwrap_or_else(|| panic!("{case} is recorded"));
            let reader = Some(log::Officer { id: "2".to_owned(), name: "Giám sát".to_owned(), ..Default::default() });
            let log_index = index.to_str().unwrap().parse().unwrap();
            let one = log::GetEntryRequest { reader, log_index, ..Default::default() };
            let entry = console.get_entry(one).await.unwrap().into_inner().entry.unwrap();
            assert_eq!((entry.outcome(), entry.caller.unwrap().system.as_str()), (Outcome::Invalid, "all"), "{case}");
            assert!(entry.sources.is_empty(), "{case}: no database was asked");
        }
    }
    // The connection, and everybody else's, goes on.
    query_client(&hub, &files, "H21.99/all").await.query(request(&somebody)).await.unwrap();
    let peak = std::fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("30 messages refused; the hub's memory peaked at {} MiB", peak / 1024);
    assert!(peak < 400 * 1024, "{peak} KiB");
    assert!(hub.stop());
}
