//! The command line's knowledge of record types: those built in, and those that only the hub knows, by its reflection.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, bail};
use futures::StreamExt as _;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorProto;
use proto::{
    Schema,
    catalog::v1::{ListRecordTypesRequest, catalog_service_client::CatalogServiceClient},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::client::{CallFailed, Client, is_known};

/// Files that one hub's record types may need; more is not a hub.
const FILES_MAX: usize = 1_000;

/// The schema to write `TYPE:…` arguments and read answers by. The hub is asked only when one names a record type that is
/// not built in.
pub(crate) async fn schema<'a>(
    client: &Client,
    mut arguments: impl Iterator<Item = &'a String>,
) -> anyhow::Result<Schema> {
    let builtin = Schema::builtin()?;
    if arguments.all(|text| is_known(&builtin, text)) {
        return Ok(builtin);
    }
    let request = client.request(ListRecordTypesRequest::default());
    let listed = CatalogServiceClient::new(client.channel.clone()).list_record_types(request).await;
    let listed = listed.map_err(CallFailed::from)?.into_inner().record_types;
    let mut found = Found { pool: builtin.pool().clone(), files: BTreeMap::new() };
    for record_type in listed.into_iter().filter(|listed| builtin.record_type(&listed.name).is_none()) {
        if found.pool.get_message_by_name(&record_type.name).is_none() {
            found.take(client, MessageRequest::FileContainingSymbol(record_type.name)).await?;
        }
    }
    Schema::extended(&builtin, None, found.pool).context("the hub's record types cannot be read")
}

/// What reflection has given so far.
struct Found {
    pool: DescriptorPool,
    /// Files whose imports are not all there yet, by name.
    files: BTreeMap<String, Vec<u8>>,
}

impl Found {
    /// Asks for a file and everything it imports, and adds them to the pool, imports first.
    async fn take(&mut self, client: &Client, wanted: MessageRequest) -> anyhow::Result<()> {
        let mut wanted = vec![wanted];
        let mut order = Vec::new();
        while let Some(next) = wanted.pop() {
            for bytes in file(client, next).await? {
                let file = FileDescriptorProto::decode(bytes.as_slice()).context("reflection gave no descriptor")?;
                let (name, imports) = (file.name().to_owned(), file.dependency);
                if self.pool.get_file_by_name(&name).is_some() || self.files.insert(name.clone(), bytes).is_some() {
                    continue;
                }
                if self.files.len() > FILES_MAX {
                    bail!("the hub's record types need more than {FILES_MAX} files");
                }
                let unknown = imports
                    .into_iter()
                    .filter(|import| self.pool.get_file_by_name(import).is_none() && !self.files.contains_key(import));
                wanted.extend(unknown.map(MessageRequest::FileByFilename));
                order.push(name);
            }
        }
        self.add(order)
    }

    /// Adds files to the pool, each once its imports are there.
    fn add(&mut self, mut names: Vec<String>) -> anyhow::Result<()> {
        while !names.is_empty() {
            let before = names.len();
            let mut left = Vec::new();
            for name in names {
                let bytes = self.files.get(&name).map(Vec::as_slice).unwrap_or_default();
                let imports = FileDescriptorProto::decode(bytes)?.dependency;
                if imports.iter().all(|import| self.pool.get_file_by_name(import).is_some()) {
                    self.pool.decode_file_descriptor_proto(bytes).with_context(|| format!("{name} cannot be read"))?;
                } else {
                    left.push(name);
                }
            }
            if left.len() == before {
                bail!("the hub's files import each other: {}", left.join(", "));
            }
            names = left;
        }
        Ok(())
    }
}

/// Asks reflection for one file; it may add files that this one imports.
async fn file(client: &Client, wanted: MessageRequest) -> anyhow::Result<Vec<Vec<u8>>> {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(wanted) };
    let mut service = ServerReflectionClient::new(client.channel.clone());
    let requests = futures::stream::once(std::future::ready(request));
    let answers = service.server_reflection_info(client.request(requests)).await.map_err(CallFailed::from)?;
    let answer = answers.into_inner().next().await.context("reflection gave no answer")?.map_err(CallFailed::from)?;
    match answer.message_response {
        Some(MessageResponse::FileDescriptorResponse(files)) => Ok(files.file_descriptor_proto),
        Some(MessageResponse::ErrorResponse(error)) => Err(anyhow!("reflection: {}", error.error_message)),
        _ => Err(anyhow!("reflection gave another answer than was asked for")),
    }
}
