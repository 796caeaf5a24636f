//! The gRPC services: thin handlers that parse, ask the hub, and map what comes back.

mod adapter;
mod audit;
mod catalog;
mod operator;
mod query;

pub(crate) use self::{
    adapter::AdapterHandler,
    audit::{AuditHandler, detail, permitted, reader},
    catalog::CatalogHandler,
    operator::OperatorHandler,
    query::QueryHandler,
};
