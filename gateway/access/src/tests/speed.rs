//! How long decisions take, held to what was promised where the build is optimised. Run with
//! `cargo test --release --workspace --lib -- --ignored --nocapture decisions_are_timed`.

use std::time::{Duration, Instant};

use super::*;

/// Median time of one call, each prepared outside the time.
fn median(rounds: usize, mut prepare: impl FnMut(), mut call: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            prepare();
            let start = Instant::now();
            call();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[rounds / 2]
}

/// Sets with one agreement and with 2,000 of 60 agencies.
#[test]
#[ignore = "a measurement"]
fn decisions_are_timed() {
    let record_type = SCHEMA.record_types().min_by_key(|record_type| record_type.fields.len().abs_diff(30)).unwrap();
    for count in [1, 2_000] {
        let mut sources = sources_with(Vec::new());
        for agency in 0..60 {
            sources.agencies.text.push_str(&format!(
                "[[agencies]]\ncode = \"H90.{agency:02}\"\nname_vi = \"A\"\nname_en = \"A\"\nkind = \"sector\"\n"
            ));
        }
        for number in 0..count {
            let mut file = grant(&number.to_string(), &format!("H90.{:02}", number % 60), &[record_type], "");
            file.text = file.text.replace("\"desk\"", &format!("\"desk-{}\"", number / 60));
            sources.grants.push(file);
        }
        let start = Instant::now();
        let set = load(&sources).unwrap().set;
        let loading = start.elapsed();
        let ask = Ask::new("H90.00", "desk-0", "check_enterprise", vec![whole(record_type)]);
        ask.clone().of(&set).unwrap();
        let request = |ask: &Ask| {
            let _ = set.decide(&AccessRequest {
                caller: &ask.caller,
                officer: ask.officer.as_ref(),
                purpose_code: &ask.purpose,
                dossier_number: ask.dossier,
                action: ask.action,
                selections: &ask.selections,
                now: ask.now,
            });
        };
        let cached = median(10_001, || {}, || request(&ask));
        let uncached = median(501, || set.cache.clear(), || request(&ask));
        let fields = record_type.fields.len();
        println!("{count} agreements: load {loading:?}; {fields} fields: cached {cached:?}, uncached {uncached:?}");
        if !cfg!(debug_assertions) {
            assert!(cached < Duration::from_micros(2), "{cached:?}");
            assert!(uncached < Duration::from_micros(100), "{uncached:?}");
        }
    }
}
