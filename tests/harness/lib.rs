//! What the whole-system tests share: a hub built from generated people, run as its own process, and clients for it.
//!
//! The hub under test is the shipped program, started with `lienthong serve` on files written here; nothing is linked in
//! or replaced. A failing set-up panics, which is what a test wants.

mod client;
mod databases;
mod hub;
mod oidc;
mod proxy;
mod server;
mod witness;

pub use client::{Certificate, channel, channel_to, client_of, error_info, http_get, https, query_client};
pub use databases::{Databases, Engine, LogDatabase, execute};
pub use hub::{Hub, HubFiles, Settings, binary, half_of};
pub use oidc::{Provider, SigningKey};
pub use proxy::{Fault, Proxy};
pub use server::{DATABASE, Server};
pub use witness::Witness;

/// Whether the long form of the tests is asked for (`tests/run long`).
pub fn long() -> bool {
    std::env::var("LIENTHONG_TESTS").is_ok_and(|kind| kind == "long")
}
