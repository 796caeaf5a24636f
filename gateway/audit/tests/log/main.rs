//! The log as a whole, on real files: appended to by many, killed, damaged, searched, verified.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod accesses;
mod append;
mod crash;
mod damage;
mod faults;
mod outage;
mod privileges;
mod public;
mod rate;
mod replicas;
mod retention;
mod rotation;
mod search;
mod tiles;
mod years;

mod place;
mod server;

use audit::AuditLog;
use proto::audit::v1::entry::{Disclosure, Kind, Outcome};
use proto::audit::v1::{Access, Caller, Entry, Officer, Purpose, SourceResult, SubjectHash};

pub use place::{ORIGIN, Place, Store};
pub use server::Server;

/// Runs each of these tests on every store.
#[macro_export]
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::Store::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if $crate::Store::Postgres.available() {
                    super::$name($crate::Store::Postgres).await;
                }
            })*
        }
    };
}

/// A plausible entry; the number decides every field one can search by.
pub fn entry(number: u64) -> Entry {
    let pick = |values: &[&str], salt: u64| {
        let scattered = (number + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        values[scattered as usize % values.len()].to_owned()
    };
    let record_types = ["example.v1.Alpha", "example.v1.Beta", "example.v1.Gamma"];
    Entry {
        version: 1,
        time: Some(prost_types::Timestamp {
            // A minute apart, every seventh out of order by two hours.
            seconds: 1_790_000_000 + 60 * number as i64 - if number % 7 == 3 { 7200 } else { 0 },
            nanos: (number % 1000) as i32 * 1_000_000,
        }),
        kind: Kind::Query as i32,
        method: "lienthong.query.v1.QueryService/Query".to_owned(),
        caller: Some(Caller {
            agency: pick(&["H21", "H21.65", "H21.65.03", "H210", "H08.12"], 1),
            system: pick(&["portal", "motcua", "batch"], 2),
            certificate_sha256: pick(&["00", "01", "02"], 11).repeat(32),
        }),
        officer: Some(Officer { id: pick(&["CB-1", "CB-2", "CB-3", "CB-4"], 3), ..Officer::default() }),
        purpose: Some(Purpose {
            code: pick(&["registration", "welfare"], 4),
            dossier_number: format!("H21.65-260914-{:04}", number % 50),
            justification: String::new(),
        }),
        subjects: vec![subject(number % 40), subject(number % 17)],
        accesses: vec![
            Access {
                record_type: pick(&record_types, 5),
                fields_asked: vec!["name".to_owned(), "birth_date".to_owned()],
                fields_released: vec!["name".to_owned()],
                agreements: vec![pick(&["01/TT-2026", "02/TT-2026"], 6), pick(&["03/TT-2026", "04/TT-2026"], 7)],
                ..Access::default()
            },
            Access {
                record_type: pick(&record_types, 8),
                fields_asked: vec![pick(&["address.text", "address.commune", "gender"], 10)],
                ..Access::default()
            },
        ],
        sources: vec![SourceResult {
            source: pick(&["source-a", "source-b", "source-c"], 9),
            outcome: "FOUND".to_owned(),
            ..SourceResult::default()
        }],
        outcome: [Outcome::Answered, Outcome::Partial, Outcome::Refused][number as usize % 3] as i32,
        response_digest: vec![number as u8; 32],
        duration_microseconds: number,
        disclosure: Disclosure::Immediate as i32,
        ..Entry::default()
    }
}

pub fn subject(number: u64) -> SubjectHash {
    audit::SubjectHasher::new(&[3; 32])
        .hash(proto::options::v1::IdentifierKind::PersonalId, &format!("0520950{number:05}"))
}

/// Appends entries `numbers`, 64 at a time.
pub async fn fill(log: &AuditLog, numbers: std::ops::Range<u64>) {
    use futures::StreamExt;
    futures::stream::iter(numbers)
        .map(|number| log.append(entry(number)))
        .buffered(64)
        .for_each(async |appended| {
            appended.unwrap();
        })
        .await;
}
