//! What ends soon: certificates, revocation lists and agreements in force. Said in the log lines once a day and after each reload,
//! and in `grpc.health.v1`, where somebody watches.

use access::ENDING_SOON_DAYS;
use chrono::{DateTime, Utc};

use crate::current::Snapshot;

/// Name under which it stands in `grpc.health.v1`: not serving when anything ends soon or has ended.
pub(crate) const HEALTH_NAME: &str = "lienthong.expiry";
/// A certificate or revocation list that ends within these days is reported.
const CERTIFICATE_DAYS: i64 = 30;

/// Something in force that ends.
pub(crate) struct Ending {
    pub(crate) what: String,
    pub(crate) days_left: i64,
}

/// What ends soon or has ended. An agreement that has ended is history, not a warning.
pub(crate) fn ending_soon(snapshot: &Snapshot, now: DateTime<Utc>) -> Vec<Ending> {
    let certificates = snapshot.trust.days_left(now).filter(|(_, days)| *days < CERTIFICATE_DAYS);
    let certificates = certificates.map(|(file, days_left)| Ending { what: file.to_owned(), days_left });
    let agreements = snapshot.hub.access.agreements().iter().map(|agreement| Ending {
        what: format!("agreement {}", agreement.number),
        days_left: agreement.days_left(now),
    });
    certificates.chain(agreements.filter(|ending| (0..ENDING_SOON_DAYS).contains(&ending.days_left))).collect()
}
