//! The gRPC services: thin handlers that parse, ask the hub, and map what comes back.

mod audit;
mod catalog;
mod operator;
mod query;

pub(crate) use self::{audit::AuditHandler, catalog::CatalogHandler, operator::OperatorHandler, query::QueryHandler};
