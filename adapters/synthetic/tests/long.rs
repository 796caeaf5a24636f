//! The long form: a province of people, in minutes and in constant memory. `tests/run long` runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::time::Instant;

use synthetic::{Plan, Sector, Target};

/// Most memory the process has held, in MB, as Linux counts it.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
#[ignore = "takes minutes: part of tests/run long"]
async fn a_million_and_a_half_people_take_minutes_and_constant_memory() {
    let folder = tempfile::tempdir().unwrap();
    let targets: Vec<Target> = Sector::ALL
        .into_iter()
        .map(|sector| Target {
            sector,
            url: format!("sqlite://{}", folder.path().join(format!("{sector}.sqlite")).display()),
        })
        .collect();
    let start = Instant::now();
    let mut memory_at_tenth = 0;
    let summary = synthetic::write(&Plan::new(1_500_000, 1), &targets, None, |progress| {
        if memory_at_tenth == 0 && progress.people * 10 >= progress.people_total {
            memory_at_tenth = peak_memory();
        }
    })
    .await
    .unwrap();
    let (seconds, memory) = (start.elapsed().as_secs(), peak_memory());
    let rows: u64 = summary.rows.values().sum();
    println!(
        "1,500,000 people, {rows} rows in {seconds} s; peak memory {memory} MB, {memory_at_tenth} MB at a tenth of the way"
    );
    assert!(seconds < 30 * 60, "{seconds} s");
    assert!(memory < memory_at_tenth + 64, "memory grew from {memory_at_tenth} to {memory} MB");
}
