//! What a process has used, from `/proc`.

use std::{fs, time::Duration};

/// Clock ticks per second in `/proc`: fixed at 100 for user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time used so far, by all threads.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // The name in brackets may hold spaces; fields after it are numbered from 3.
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|&at| fields[at].parse::<u64>().expect("a number of ticks")).sum();
    Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND)
}

/// A size from `/proc/<pid>/status`, in MiB.
pub(crate) fn memory(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a known name");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a size");
    kib / 1_024.0
}
