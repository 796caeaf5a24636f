//! The contract: services and messages generated from `proto/lienthong`, and the [`Schema`] of record types read from
//! their descriptors.
//!
//! Only the hub's own packages become Rust types. Record types are known by descriptor alone and travel as dynamic
//! messages, so that adding a sector needs no generated code.

pub mod schema;

pub use schema::{Field, FieldKind, FieldSet, RecordType, Schema, SchemaError};

/// Generated messages and services, in modules that follow the packages.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod generated {
    pub mod options {
        pub mod v1 {
            tonic::include_proto!("lienthong.options.v1");
        }
    }
    pub mod common {
        pub mod v1 {
            tonic::include_proto!("lienthong.common.v1");
        }
    }
    pub mod query {
        pub mod v1 {
            tonic::include_proto!("lienthong.query.v1");
        }
    }
    pub mod catalog {
        pub mod v1 {
            tonic::include_proto!("lienthong.catalog.v1");
        }
    }
    pub mod audit {
        pub mod v1 {
            tonic::include_proto!("lienthong.audit.v1");
        }
    }
    pub mod operator {
        pub mod v1 {
            tonic::include_proto!("lienthong.operator.v1");
        }
    }
    pub mod adapter {
        pub mod v1 {
            tonic::include_proto!("lienthong.adapter.v1");
        }
    }
}

pub use generated::{adapter, audit, catalog, common, operator, options, query};

/// The encoded `FileDescriptorSet` of all packages, custom options included.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
