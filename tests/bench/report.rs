//! One table and one JSON file.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use serde_json::{Value, json};
use tests::Engine;

use crate::{load::Run, scenario::Scenario};

/// What the hub held at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) now_mib: f64,
    pub(crate) most_mib: f64,
    pub(crate) log_mib: f64,
}

/// Figures of one run.
#[derive(Debug, Clone, Copy)]
struct Figures {
    per_second: f64,
    p50: f64,
    p99: f64,
    p999: f64,
    processor: f64,
    errors: u64,
}

impl Figures {
    fn of(run: &Run) -> Self {
        let at = |quantile| run.latency.value_at_quantile(quantile) as f64 / 1_000.0;
        Self {
            per_second: run.per_second(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            processor: run.processor_microseconds(),
            errors: run.errors,
        }
    }

    /// The median of each figure by itself; errors are added up.
    fn median(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut values: Vec<f64> = rounds.iter().map(figure).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            per_second: of(|round| round.per_second),
            p50: of(|round| round.p50),
            p99: of(|round| round.p99),
            p999: of(|round| round.p999),
            processor: of(|round| round.processor),
            errors: rounds.iter().map(|round| round.errors).sum(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Report {
    rounds: BTreeMap<(&'static str, usize, Scenario), Vec<Figures>>,
    /// Medians of bare commits, milliseconds.
    commits: BTreeMap<&'static str, Vec<f64>>,
    open: Vec<Value>,
    more: Vec<Value>,
    headed: bool,
}

fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgres",
        Engine::MySql => "mysql",
    }
}

impl Report {
    pub(crate) fn add(&mut self, engine: Engine, scenario: Scenario, concurrency: usize, _round: usize, run: Run) {
        let figures = Figures::of(&run);
        self.rounds.entry((name(engine), concurrency, scenario)).or_default().push(figures);
        if scenario == Scenario::Batch {
            self.line(name(engine), concurrency, scenario.name(), &figures);
        }
    }

    pub(crate) fn add_commit(&mut self, engine: Engine, commit: Duration) {
        self.commits.entry(name(engine)).or_default().push(commit.as_secs_f64() * 1e3);
    }

    /// Median time of a bare commit, milliseconds.
    fn commit(&self, engine: Engine) -> Option<f64> {
        let mut commits = self.commits.get(name(engine))?.clone();
        commits.sort_by(f64::total_cmp);
        commits.get(commits.len() / 2).copied()
    }

    pub(crate) fn add_open(&mut self, part: f64, rate: f64, _round: usize, run: Run) {
        let figures = Figures::of(&run);
        println!(
            "          at {:3.0} % of capacity, {rate:.0} a second, from when each was due: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, \
             {} errors",
            part * 100.0,
            figures.p50,
            figures.p99,
            figures.p999,
            figures.errors
        );
        self.open.push(json!({ "part_of_capacity": part, "rate": rate, "figures": value(&figures) }));
    }

    fn line(&mut self, engine: &str, concurrency: usize, scenario: &str, figures: &Figures) {
        if !self.headed {
            println!(
                "{:9} {:>4} {:13} {:>9} {:>9} {:>9} {:>9} {:>10} {:>7}",
                "engine", "c", "scenario", "per s", "p50 ms", "p99 ms", "p99.9 ms", "CPU µs", "errors"
            );
            self.headed = true;
        }
        println!(
            "{engine:9} {concurrency:4} {scenario:13} {:9.0} {:9.3} {:9.3} {:9.3} {:10.1} {:7}",
            figures.per_second, figures.p50, figures.p99, figures.p999, figures.processor, figures.errors
        );
    }

    fn median(&self, engine: Engine, concurrency: usize, scenario: Scenario) -> Option<Figures> {
        self.rounds.get(&(name(engine), concurrency, scenario)).map(|rounds| Figures::median(rounds))
    }

    /// The lines of one concurrency, and the ratios that matter.
    pub(crate) fn show(&mut self, engine: Engine, concurrency: usize) {
        for scenario in Scenario::CLOSED {
            if let Some(figures) = self.median(engine, concurrency, scenario) {
                self.line(name(engine), concurrency, scenario.name(), &figures);
            }
        }
        let of = |scenario| self.median(engine, concurrency, scenario);
        if let (Some(lookup), Some(query)) = (of(Scenario::Lookup), of(Scenario::Query)) {
            println!(
                "          query/lookup: throughput {:.2}, p50 {:+.2} ms",
                query.per_second / lookup.per_second,
                query.p50 - lookup.p50
            );
            if let Some(commit) = self.commit(engine).filter(|_| concurrency == 1) {
                println!(
                    "          a bare durable commit {commit:.2} ms: query is {:+.2} ms above lookup and commit",
                    query.p50 - lookup.p50 - commit
                );
            }
        }
        if let (Some(everywhere), Some(query)) = (of(Scenario::Everywhere), of(Scenario::Query)) {
            println!("          everywhere/query: p50 {:.2}", everywhere.p50 / query.p50);
        }
        if let (Some(plain), Some(query)) = (of(Scenario::Plain), of(Scenario::Query)) {
            println!("          telemetry: {:+.1} % processor time", (query.processor / plain.processor - 1.0) * 100.0);
        }
    }

    pub(crate) fn stages(&mut self, engine: Engine, stages: Vec<(String, f64)>) {
        if stages.is_empty() {
            return;
        }
        let texts: Vec<_> = stages.iter().map(|(stage, mean)| format!("{stage} {mean:.0}")).collect();
        println!("          stages, mean µs over everything: {}", texts.join(", "));
        let stages: serde_json::Map<_, _> = stages.into_iter().map(|(stage, mean)| (stage, json!(mean))).collect();
        self.more.push(json!({ "engine": name(engine), "stage_mean_microseconds": stages }));
    }

    pub(crate) fn memory(&mut self, engine: Engine, memory: Memory) {
        println!(
            "          memory {:.0} MiB, at most {:.0} MiB; log {:.0} MiB",
            memory.now_mib, memory.most_mib, memory.log_mib
        );
        let (now, most) = (memory.now_mib, memory.most_mib);
        self.more.push(json!({ "engine": name(engine), "resident_mib": now, "resident_most_mib": most }));
    }

    pub(crate) fn finish(&self, path: &Path) {
        let closed: Vec<_> = self
            .rounds
            .iter()
            .map(|((engine, concurrency, scenario), rounds)| {
                json!({
                    "engine": engine,
                    "concurrency": concurrency,
                    "scenario": scenario.name(),
                    "rounds": rounds.len(),
                    "median": value(&Figures::median(rounds)),
                })
            })
            .collect();
        let all = json!({ "closed": closed, "open": self.open, "bare_commits_ms": self.commits, "more": self.more });
        let text = serde_json::to_string_pretty(&all).expect("figures are JSON");
        fs::write(path, text).expect("the file can be written");
        println!("written to {}", path.display());
    }
}

fn value(figures: &Figures) -> Value {
    json!({
        "per_second": figures.per_second,
        "p50_ms": figures.p50,
        "p99_ms": figures.p99,
        "p999_ms": figures.p999,
        "processor_microseconds": figures.processor,
        "errors": figures.errors,
    })
}

/// Mean microseconds per stage from the hub's metrics.
pub(crate) fn stages(metrics: &str) -> Vec<(String, f64)> {
    let sums = by_stage(metrics, "lienthong_stage_duration_seconds_sum");
    let counts = by_stage(metrics, "lienthong_stage_duration_seconds_count");
    let mean = |(stage, sum): (String, f64)| counts.get(&stage).map(|count| (stage, sum / count * 1e6));
    sums.into_iter().filter_map(mean).collect()
}

fn by_stage(metrics: &str, name: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with(name)) {
        let stage = line.split("lienthong_stage=\"").nth(1).and_then(|rest| rest.split('"').next());
        let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        if let (Some(stage), Some(value)) = (stage, value) {
            *found.entry(stage.to_owned()).or_default() += value;
        }
    }
    found
}
