//! The benchmark: what the hub costs over its floors, measured in one run on one machine, so that ratios mean something.
//!
//! `tests/run bench` builds everything in release mode, starts PostgreSQL, and runs this. It prints one table and writes
//! JSON. Floors and hub are processes of their own, under the same certificates, on the same databases; the load comes from
//! here. What is measured at one concurrency is measured in turns, round by round, and the median of the rounds is shown.
//!
//! | | |
//! |---|---|
//! | echo | tonic with mTLS, answering at once |
//! | lookup | the same, with one select by key through sqlx, its texts sent back; no policy, mapping or audit |
//! | verify, query | one record type, through the hub |
//! | everywhere | one person's records of all registers, through the hub |
//! | batch | one stream of many items |
//!
//! `tests/run bench costs` compares the adapter engine with lookups written by hand, and a remote adapter with an echo.
//!
//! `tests/run bench instructions` counts instructions per query with callgrind instead: the figure that does not depend on
//! what else the machine does. `tests/run bench stress [SECONDS]` shows what overload, a flood of one agency and a register
//! that hangs for so long cost the others.

mod costs;
mod floor;
mod instructions;
mod load;
mod open;
mod process;
mod questions;
mod report;
mod scenario;
mod stress;

use std::{path::PathBuf, time::Duration};

use report::Report;
use scenario::{Bench, Scenario};
use tests::Engine;

/// What to measure.
struct Settings {
    people: u64,
    rounds: usize,
    interval: Duration,
    concurrency: Vec<usize>,
    batch_items: usize,
    engines: Vec<Engine>,
    only: Vec<String>,
    json: PathBuf,
}

const USAGE: &str = "bench instructions | bench costs | bench stress [SECONDS] | bench [--people N] [--rounds N] [--interval-ms N] [--concurrency N,N…] [--batch-items N] \
                     [--engines sqlite,postgres] [--only SCENARIO,…] [--json FILE]";

impl Settings {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut settings = Self {
            people: 5_000,
            rounds: 3,
            interval: Duration::from_millis(1_500),
            concurrency: vec![1, 16, 64, 256],
            batch_items: 100_000,
            engines: vec![Engine::Postgres, Engine::Sqlite],
            only: Vec::new(),
            json: PathBuf::from("bench.json"),
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} lacks a value"))?;
            let wrong = |_| format!("{name}: {value} is no number");
            match name.as_str() {
                "--people" => settings.people = value.parse().map_err(wrong)?,
                "--rounds" => settings.rounds = value.parse().map_err(wrong)?,
                "--interval-ms" => settings.interval = Duration::from_millis(value.parse().map_err(wrong)?),
                "--batch-items" => settings.batch_items = value.parse().map_err(wrong)?,
                "--json" => settings.json = PathBuf::from(value),
                "--only" => settings.only = value.split(',').map(str::to_owned).collect(),
                "--concurrency" => {
                    settings.concurrency = value.split(',').map(str::parse).collect::<Result<_, _>>().map_err(wrong)?;
                }
                "--engines" => {
                    settings.engines = value.split(',').map(engine).collect::<Result<_, _>>()?;
                }
                _ => return Err(format!("{name} is unknown\n{USAGE}")),
            }
        }
        Ok(settings)
    }

    fn wants(&self, scenario: Scenario) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == scenario.name())
    }
}

fn engine(name: &str) -> Result<Engine, String> {
    match name {
        "sqlite" => Ok(Engine::Sqlite),
        "postgres" => Ok(Engine::Postgres),
        "mysql" => Ok(Engine::MySql),
        _ => Err(format!("{name} is no engine")),
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if arguments.next_if(|first| first == "instructions").is_some() {
        return runtime.block_on(instructions::count());
    }
    if arguments.next_if(|first| first == "costs").is_some() {
        return runtime.block_on(costs::measure());
    }
    if arguments.next_if(|first| first == "floor").is_some() {
        return runtime.block_on(floor::serve(arguments));
    }
    if arguments.next_if(|first| first == "flood").is_some() {
        return runtime.block_on(stress::flood_from(arguments));
    }
    if arguments.next_if(|first| first == "stress").is_some() {
        let seconds = arguments.next().map_or(Ok(30), |seconds| seconds.parse()).expect("a number of seconds");
        return runtime.block_on(stress::measure(seconds));
    }
    match Settings::parse(arguments) {
        Ok(settings) => runtime.block_on(measure(&settings)),
        Err(problem) => {
            eprintln!("{problem}");
            std::process::exit(2);
        }
    }
}

async fn measure(settings: &Settings) {
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures mean nothing");
    }
    let mut report = Report::default();
    for &engine in settings.engines.iter().filter(|engine| engine.available()) {
        let bench = Bench::start(engine, settings).await;
        for &concurrency in &settings.concurrency {
            for round in 0..settings.rounds {
                if concurrency == 1 {
                    report.add_commit(engine, bench.commit().await);
                }
                for scenario in Scenario::CLOSED.into_iter().filter(|scenario| settings.wants(*scenario)) {
                    let run = bench.closed(scenario, concurrency, settings.interval).await;
                    report.add(engine, scenario, concurrency, round, run);
                }
            }
            report.show(engine, concurrency);
        }
        if settings.wants(Scenario::Open) {
            bench.open(&mut report, settings.interval * 2).await;
        }
        if settings.wants(Scenario::Batch) && settings.batch_items > 0 {
            let run = bench.batch(settings.batch_items).await;
            report.add(engine, Scenario::Batch, 1, 0, run);
        }
        report.stages(engine, bench.stages().await);
        report.memory(engine, bench.memory());
        bench.stop().await;
    }
    report.finish(&settings.json);
}
