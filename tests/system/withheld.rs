//! What is not granted is not in the bytes: tested on the encoded response as it came over the wire.

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use prost_reflect::DynamicMessage;
use prost_types::FieldMask;
use proto::{
    Schema,
    query::v1::{self as wire, subject::Identifier},
};
use sqlx::{Connection, Row, SqliteConnection};
use synthetic::Sector;
use tests::{Databases, Engine, Hub, HubFiles, Settings, client_of, half_of, query_client};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Sends a message and keeps the answer's bytes as they came.
struct RawAnswer;
struct Encode;
struct Keep;

impl Codec for RawAnswer {
    type Encode = wire::QueryRequest;
    type Decode = Bytes;
    type Encoder = Encode;
    type Decoder = Keep;
    fn encoder(&mut self) -> Encode {
        Encode
    }
    fn decoder(&mut self) -> Keep {
        Keep
    }
}

impl Encoder for Encode {
    type Item = wire::QueryRequest;
    type Error = tonic::Status;
    fn encode(&mut self, item: wire::QueryRequest, buffer: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        buffer.put(item.encode_to_vec().as_slice());
        Ok(())
    }
}

impl Decoder for Keep {
    type Item = Bytes;
    type Error = tonic::Status;
    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_not_granted_are_absent_from_the_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let summary = databases.fill(400, 21, None).await;
    let files = HubFiles::write(&databases, &Settings::default());
    let hub = Hub::start(&files);
    let somebody = summary.cast.everywhere.unwrap();

    // What the register holds in columns the portal is not granted, beside one it is.
    let mut connection = SqliteConnection::connect(databases.url(Sector::Population)).await.unwrap();
    let row = sqlx::query(r#"SELECT "Cha_HoVaTen", "Me_HoVaTen" FROM cong_dan WHERE "SoDinhDanh" = ?"#)
        .bind(&somebody.personal_id)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let hidden: Vec<String> = (0..2).filter_map(|column| row.get::<Option<String>, _>(column)).collect();
    assert_eq!(hidden.len(), 2, "father and mother are in the register");

    let asked =
        ["full_name", "birth_date", "ethnicity", "religion", "blood_type", "father", "mother", "spouse.full_name"];
    let granted = ["full_name", "birth_date"];
    let request = wire::QueryRequest {
        subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(somebody.personal_id.clone())) }),
        selections: vec![wire::Selection {
            record_type: "lienthong.population.v1.Resident".to_owned(),
            field_mask: Some(FieldMask { paths: asked.iter().map(|path| (*path).to_owned()).collect() }),
        }],
        purpose: Some(wire::Purpose {
            code: "confirm_residence".to_owned(),
            dossier_number: "H21.65-261122-0001".to_owned(),
            justification: String::new(),
        }),
        officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
        required_sources: Vec::new(),
    };
    let mut grpc = tonic::client::Grpc::new(client_of(&hub, &files, "H21.65/portal").await);
    grpc.ready().await.unwrap();
    let path = "/lienthong.query.v1.QueryService/Query".parse().unwrap();
    let bytes = grpc.unary(tonic::Request::new(request), path, RawAnswer).await.unwrap().into_inner();

    for value in &hidden {
        let folded = value.to_uppercase();
        assert!(
            !contains(&bytes, value.as_bytes()) && !contains(&bytes, folded.as_bytes()),
            "a parent's name is in the bytes"
        );
    }
    let answer = wire::QueryResponse::decode(bytes.clone()).unwrap();
    let result = &answer.results[0];
    let schema = Schema::builtin().unwrap();
    let record_type = schema.record_type(&result.record_type).unwrap();
    let value = &result.records[0].value.as_ref().unwrap().value;
    assert!(contains(&bytes, value), "the record stands in the answer as it is");
    let record = DynamicMessage::decode(record_type.descriptor.clone(), value.as_slice()).unwrap();
    assert_eq!(record.unknown_fields().count(), 0);
    // Tags on the wire, not fields after decoding.
    let mut tags: Vec<u32> = top_level_tags(value);
    tags.dedup();
    let mut expected: Vec<u32> =
        granted.iter().map(|name| record_type.descriptor.get_field_by_name(name).unwrap().number()).collect();
    expected.sort_unstable();
    assert_eq!(tags, expected);

    let mut withheld: Vec<&str> = result.withheld.iter().map(|field| field.path.as_str()).collect();
    withheld.sort_unstable();
    let mut hidden: Vec<String> = asked
        .iter()
        .filter(|path| !granted.contains(path))
        .flat_map(|path| record_type.paths_of(&record_type.expand(path)))
        .collect();
    hidden.sort_unstable();
    assert_eq!(withheld, hidden, "every field asked and not released is named as withheld");
    assert!(result.withheld.iter().all(|field| !field.reason.is_empty() && !field.message_vi.is_empty()));
    assert!(!answer.complete);
    // Quality marks speak of released fields only.
    assert!(result.records[0].quality.iter().all(|mark| granted.contains(&mark.path.as_str())));

    // The receipt's digest covers the bytes before it.
    let receipt = answer.receipt.clone().unwrap();
    let unreceipted = wire::QueryResponse { receipt: None, ..answer };
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &unreceipted.encode_to_vec());
    assert_eq!(digest.as_ref(), receipt.response_digest);
    assert!(hub.stop());
}

/// The texts of a record's leaves, by path without element numbers.
fn texts(message: &DynamicMessage, prefix: &str, found: &mut Vec<(String, String)>) {
    use prost_reflect::Value;
    fn walk(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
        match value {
            Value::List(items) => items.iter().for_each(|item| walk(item, path, found)),
            Value::Message(message) => texts(message, path, found),
            Value::String(text) => found.push((path.to_owned(), text.clone())),
            _ => {}
        }
    }
    for (field, value) in message.fields() {
        let path = if prefix.is_empty() { field.name().to_owned() } else { format!("{prefix}.{}", field.name()) };
        walk(value, &path, found);
    }
}

/// With every second leaf granted, nested and repeated parts among them: what `all` sees in the other leaves is nowhere in
/// the bytes `half` gets, for every record type and many people.
#[tokio::test(flavor = "multi_thread")]
async fn half_granted_records_hold_no_more_than_their_half() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::create(folder.path(), |_| Engine::Sqlite).await;
    let mut truth = std::io::Cursor::new(Vec::new());
    databases.fill(400, 22, Some(&mut truth)).await;
    let settings = Settings { without_policies: vec!["40-judicial"], ..Settings::default() };
    let files = HubFiles::write(&databases, &settings);
    let hub = Hub::start(&files);
    let mut all = query_client(&hub, &files, "H21.99/all").await;
    let half = client_of(&hub, &files, "H21.99/half").await;
    let schema = Schema::builtin().unwrap();
    let mut compared = std::collections::BTreeMap::new();
    for line in std::str::from_utf8(truth.get_ref()).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = line["record_type"].as_str().unwrap();
        let Some(id) = line["keys"]["personal_id"].as_str() else { continue };
        let count = compared.entry(name.to_owned()).or_insert(0);
        if *count >= 15 {
            continue;
        }
        *count += 1;
        let record_type = schema.record_type(name).unwrap();
        let request = wire::QueryRequest {
            subject: Some(wire::Subject { identifier: Some(Identifier::PersonalId(id.to_owned())) }),
            selections: vec![wire::Selection {
                record_type: name.to_owned(),
                field_mask: Some(FieldMask {
                    paths: record_type.fields.iter().map(|field| field.path.clone()).collect(),
                }),
            }],
            purpose: Some(wire::Purpose { code: "test_everything".to_owned(), ..Default::default() }),
            officer: Some(wire::Officer { id: "1".to_owned(), name: "Kiểm thử".to_owned(), unit: String::new() }),
            required_sources: Vec::new(),
        };
        let whole = all.query(request.clone()).await.unwrap().into_inner();
        let mut grpc = tonic::client::Grpc::new(half.clone());
        grpc.ready().await.unwrap();
        let path = "/lienthong.query.v1.QueryService/Query".parse().unwrap();
        let bytes = grpc.unary(tonic::Request::new(request), path, RawAnswer).await.unwrap().into_inner();
        let answer = wire::QueryResponse::decode(bytes.clone()).unwrap();
        let granted = half_of(record_type);
        let withheld: Vec<&str> = answer.results[0].withheld.iter().map(|field| field.path.as_str()).collect();
        let hidden: Vec<&str> = record_type
            .fields
            .iter()
            .map(|field| field.path.as_str())
            .filter(|path| !granted.iter().any(|one| one == path))
            .collect();
        assert_eq!(withheld, hidden, "{name}");

        let leaf_of = |path: &str| {
            record_type
                .fields
                .iter()
                .find(|field| path == field.path || path.starts_with(&format!("{}.", field.path)))
                .unwrap()
                .path
                .clone()
        };
        let read = |response: &wire::QueryResponse| {
            let mut found = Vec::new();
            for record in &response.results[0].records {
                let value = record.value.as_ref().unwrap();
                let message = DynamicMessage::decode(record_type.descriptor.clone(), value.value.as_slice()).unwrap();
                texts(&message, "", &mut found);
            }
            found
        };
        let seen = read(&answer);
        assert!(
            seen.iter().all(|(path, _)| granted.contains(&leaf_of(path))),
            "{name}: a leaf that is not granted came back"
        );
        for (path, text) in read(&whole) {
            // Names of code lists are no values.
            if path.ends_with(".scheme") || path.ends_with(".version") {
                continue;
            }
            let said_elsewhere = seen.iter().any(|(_, granted)| granted.contains(&text));
            if !granted.contains(&leaf_of(&path)) && text.chars().count() >= 6 && !said_elsewhere {
                assert!(!contains(&bytes, text.as_bytes()), "{name} {path}: the value is in the bytes");
            }
        }
    }
    println!("records compared: {compared:?}");
    assert!(compared.len() >= 9 && compared.values().sum::<i32>() > 80, "{compared:?}");
    assert!(hub.stop());
}

/// Numbers of the fields of an encoded message, in order.
fn top_level_tags(mut bytes: &[u8]) -> Vec<u32> {
    use prost::encoding::{DecodeContext, decode_key, skip_field};
    let mut tags = Vec::new();
    while !bytes.is_empty() {
        let (tag, wire_type) = decode_key(&mut bytes).unwrap();
        skip_field(wire_type, tag, &mut bytes, DecodeContext::default()).unwrap();
        tags.push(tag);
    }
    tags
}
