//! Turns a request into a decision: which fields of which record types this system may have for this purpose, under
//! which agreement, and why not the rest. The only maker of a [`Permit`].
//!
//! Two questions are kept apart. *Which agency may have which fields for which purpose* is a grant: a TOML file that
//! mirrors the signed sharing agreement. *What must never happen whatever was agreed* is a guardrail: a Cedar `forbid`.
//! Cedar decides both, under a strict schema derived from the descriptors, with the grants as entities; whatever no
//! policy permits is denied.
//!
//! Everything here is immutable. A reload builds a new [`AccessSet`] and swaps it in, and with the old one go its
//! cached decisions. Who the caller is (certificates, tokens), what the registers answer, and the recording of the
//! decision are the business of others.
//!
//! ```no_run
//! # fn example(schema: std::sync::Arc<proto::Schema>, request: &access::AccessRequest<'_>) -> Result<(), access::LoadError> {
//! let loaded = access::AccessSet::load(schema, &access::AccessFiles::under("deploy"))?;
//! match loaded.set.decide(request) {
//!     Ok(permit) => println!("released under {:?}", permit.selections()[0].agreements),
//!     Err(refusal) => println!("{}: {}", refusal.reason, refusal.message_en),
//! }
//! # Ok(()) }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout))]

mod agency;
mod catalogue;
mod decide;
mod files;
mod grant;
mod lint;
mod permit;
mod policy;
mod quota;
mod request;
mod set;
mod table;

pub use agency::{AgencyCode, InvalidAgencyCode};
pub use catalogue::{Agency, AgencyKind, Purpose};
pub use files::{AccessFiles, AccessSources, LoadError, Place, Problem, SourceFile};
pub use grant::{Agreement, Disclosure};
pub use lint::ENDING_SOON_DAYS;
pub use permit::{HubPermit, Permit, Reason, Refusal, SelectionDecision, Withheld};
pub use quota::{Allowance, Exhausted};
pub use request::{AccessRequest, Action, Assurance, Caller, HubAction, Officer};
pub use set::{AccessSet, Loaded};
pub use table::{Conditions, FieldDecision, Opened, ReleasedBy, TableRow};

#[cfg(test)]
mod tests;
