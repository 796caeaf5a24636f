//! The life of a query: decide, plan identity links, fetch from all sources side by side, assemble, record, release.
//!
//! [`Hub`] holds no state of its own: it is a snapshot of the agreements, the sources and the log. It knows record types by descriptor only, never by name. Wire parsing and status mapping are the server's.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod assemble;
mod error;
mod gather;
mod hub;
mod identity;
mod meters;
mod question;
mod record;
mod search;
mod source;
mod sources;
mod values;
mod verify;

pub use assemble::{basis, timestamp, withheld};
pub use error::{CallError, Failure, FailureOwner, Violation};
pub use hub::{Answered, Hub};
pub use meters::{DURATION_BOUNDS, Stage};
pub use question::{Asked, Call, Claim, Inquiry, Purpose, Question, Selection, VerifyQuestion};
pub use record::{begin_entry, officer};
pub use search::{CANDIDATES_MAX, SearchQuestion};
pub use source::{BreakerSettings, BreakerState, EndpointLoad, Source, SourceSettings};
pub use sources::{SearchFields, Sources, SourcesError};
pub use values::claim_fits;
