//! Reflection on the record types in force: services of the library, made anew when record types change.

use anyhow::Context;
use proto::Schema;
use tonic::service::Routes;
use tonic_reflection::{pb, server::Builder};

/// What the paths of all versions of reflection begin with.
const PATHS: &str = "grpc.reflection.";

/// Whether a call is one of reflection; the path is without its first slash.
pub(crate) fn answers(path: &str) -> bool {
    path.starts_with(PATHS)
}

/// Both versions of reflection over a schema and the services that every hub has.
pub(crate) fn routes(schema: &Schema) -> anyhow::Result<Routes> {
    // Encoded by the pool: options of our own survive only so.
    let record_types = schema.pool().encode_to_vec();
    let build = |own: &'static [u8]| {
        Builder::configure()
            .include_reflection_service(false)
            .register_encoded_file_descriptor_set(own)
            .register_encoded_file_descriptor_set(&record_types)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = build(pb::v1::FILE_DESCRIPTOR_SET).build_v1().context("reflection")?;
    let v1alpha = build(pb::v1alpha::FILE_DESCRIPTOR_SET).build_v1alpha().context("reflection")?;
    Ok(Routes::new(v1).add_service(v1alpha))
}
