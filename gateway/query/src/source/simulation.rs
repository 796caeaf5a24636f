//! The scheduler under a simulated clock: sources that answer, slow down, hang, refuse and fail as a seed says, callers with
//! deadlines of all lengths, and what must hold whatever happens.
//!
//! A seed that fails is printed; add it to [`REMEMBERED`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use adapter_sdk::{
    Adapter, Engine, FetchRequest, Fetched, Key, RecordDescription, SourceDescription, SourceError, Words,
};
use async_trait::async_trait;
use proto::{RecordType, Schema, options::v1::IdentifierKind};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::time::{Instant, sleep, sleep_until};

use super::*;

/// Seeds run each time, and in the long form.
const SEEDS: u64 = 200;
const SEEDS_LONG: u64 = 10_000;
/// Seeds that once failed.
const REMEMBERED: [u64; 1] = [1_661];
/// Longest time an answer takes.
const LATENCY_MAX: Duration = Duration::from_secs(4);
/// Timers of the runtime are this coarse.
const TICK: Duration = Duration::from_millis(2);

#[derive(Debug, Clone, Copy)]
enum Behaviour {
    Answers(Duration),
    Refuses,
    Busy,
    Fails(Duration),
    Hangs,
}

/// What happened to one endpoint, in the simulation's own words.
#[derive(Debug, Default)]
struct Seen {
    under_way: usize,
    under_way_most: usize,
    answered: BTreeSet<String>,
    attempts: BTreeMap<String, usize>,
    begun: Vec<Duration>,
}

struct Simulated {
    description: SourceDescription,
    start: Instant,
    /// From when on the source behaves how, ascending.
    phases: Vec<(Duration, Behaviour)>,
    seen: Mutex<Seen>,
}

struct UnderWay<'a>(&'a Simulated);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.seen.lock().unwrap().under_way -= 1;
    }
}

#[async_trait]
impl Adapter for Simulated {
    fn describe(&self) -> &SourceDescription {
        &self.description
    }

    async fn fetch(&self, request: &FetchRequest) -> Result<Fetched, SourceError> {
        let begun = self.start.elapsed();
        let behaviour = self.phases.iter().rev().find(|(from, _)| *from <= begun).unwrap().1;
        {
            let mut seen = self.seen.lock().unwrap();
            seen.under_way += 1;
            seen.under_way_most = seen.under_way_most.max(seen.under_way);
            *seen.attempts.entry(request.key.value.clone()).or_default() += 1;
            seen.begun.push(begun);
        }
        let _under_way = UnderWay(self);
        match behaviour {
            Behaviour::Answers(after) => {
                sleep(after).await;
                self.seen.lock().unwrap().answered.insert(request.key.value.clone());
                Ok(Fetched { records: Vec::new(), retrieved_at: chrono::DateTime::UNIX_EPOCH })
            }
            Behaviour::Refuses => {
                sleep(Duration::from_millis(1)).await;
                Err(SourceError::Unreachable(Words::default()))
            }
            Behaviour::Busy => {
                sleep(Duration::from_millis(1)).await;
                Err(SourceError::Busy)
            }
            Behaviour::Fails(after) => {
                sleep(after).await;
                Err(SourceError::Database { code: "XX000".to_owned() })
            }
            Behaviour::Hangs => std::future::pending().await,
        }
    }

    async fn ready(&self) -> Result<(), SourceError> {
        Ok(())
    }
}

/// How long the simulated trouble lasts; afterwards everything answers.
const TROUBLE: Duration = Duration::from_secs(60);

/// A few agencies share the calls.
fn asker(call: usize) -> Asker {
    Asker { agency: format!("H21.{:02}", call % 3).parse().unwrap(), behalf: Arc::default() }
}

fn milliseconds(random: &mut ChaCha8Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.random_range(range))
}

fn simulated(random: &mut ChaCha8Rng, record_type: &Arc<RecordType>) -> Arc<Simulated> {
    let mut phases = vec![(Duration::ZERO, Behaviour::Answers(Duration::from_millis(5)))];
    let mut at = Duration::ZERO;
    while at < TROUBLE {
        let behaviour = match random.random_range(0..6) {
            0 | 1 => Behaviour::Answers(milliseconds(random, 1..20)),
            2 => Behaviour::Answers(milliseconds(random, 50..LATENCY_MAX.as_millis() as u64)),
            3 => Behaviour::Refuses,
            4 => Behaviour::Fails(milliseconds(random, 1..20)),
            _ => Behaviour::Hangs,
        };
        phases.push((at, behaviour));
        at += milliseconds(random, 100..20_000);
    }
    phases.push((TROUBLE, Behaviour::Answers(Duration::from_millis(5))));
    let description = SourceDescription {
        id: "simulated".to_owned(),
        label_vi: String::new(),
        label_en: String::new(),
        owner: String::new(),
        engine: Engine::Sqlite,
        mapping_digest: String::new(),
        records: vec![RecordDescription {
            record_type: Arc::clone(record_type),
            lookup: vec![IdentifierKind::PersonalId],
            alone: Vec::new(),
            search: Vec::new(),
            fields: record_type.all_fields(),
        }],
    };
    Arc::new(Simulated { description, start: Instant::now(), phases, seen: Mutex::default() })
}

fn settings(random: &mut ChaCha8Rng) -> SourceSettings {
    let open_min = milliseconds(random, 50..2_000);
    SourceSettings {
        concurrency_max: random.random_range(1..16),
        queue_max: random.random_range(0..32),
        attempt_timeout: milliseconds(random, 500..6_000),
        attempts_max: random.random_range(1..4),
        retry_delay: milliseconds(random, 1..100),
        hedge_delay: milliseconds(random, 10..500),
        breaker: BreakerSettings {
            failures_max: random.random_range(1..=16),
            patience: milliseconds(random, 10..1_500),
            open_min,
            open_max: open_min + milliseconds(random, 0..10_000),
        },
    }
}

/// Everything a run did, to compare two runs of one seed.
#[derive(Debug, PartialEq, Eq)]
struct Trace(Vec<(usize, Duration, Result<(), &'static str>)>);

async fn run(seed: u64, record_type: &Arc<RecordType>) -> Trace {
    fastrand::seed(seed);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let settings = settings(&mut random);
    let primary = simulated(&mut random, record_type);
    let replica = random.random_bool(0.5).then(|| simulated(&mut random, record_type));
    let second: Option<Arc<dyn Adapter>> = replica.clone().map(|replica| replica as _);
    let source = Arc::new(Source::new(Arc::clone(&primary) as _, second, settings.clone()));
    let start = primary.start;

    let mut calls = Vec::new();
    for call in 0..random.random_range(50..300_usize) {
        let arrives = start + milliseconds(&mut random, 0..TROUBLE.as_secs() * 1_000);
        let patience = milliseconds(&mut random, 1..10_000);
        let (source, record_type) = (Arc::clone(&source), Arc::clone(record_type));
        calls.push(tokio::spawn(async move {
            sleep_until(arrives).await;
            let deadline = arrives + patience;
            let key = Key { kind: IdentifierKind::PersonalId, value: call.to_string() };
            let outcome = source.fetch(&asker(call), &record_type, &key, &record_type.all_fields(), deadline).await;
            assert!(Instant::now() <= deadline + TICK, "seed {seed}: call {call} outlived its deadline");
            (call, start.elapsed(), outcome.map(drop).map_err(|failure| failure.reason))
        }));
    }
    let mut trace = Vec::new();
    for call in calls {
        trace.push(call.await.unwrap());
    }

    let endpoints: Vec<_> = [Some(&primary), replica.as_ref()].into_iter().flatten().collect();
    for (call, _, outcome) in &trace {
        let answered = endpoints.iter().any(|at| at.seen.lock().unwrap().answered.contains(&call.to_string()));
        assert!(outcome.is_err() || answered, "seed {seed}: call {call} has an answer nobody gave");
    }
    for endpoint in &endpoints {
        let seen = endpoint.seen.lock().unwrap();
        assert_eq!(seen.under_way, 0, "seed {seed}: something is still under way");
        assert!(seen.under_way_most <= settings.concurrency_max, "seed {seed}: more under way than allowed");
        let most = seen.attempts.values().copied().max().unwrap_or(0);
        assert!(most <= settings.attempts_max, "seed {seed}: {most} attempts for one call");
        left_alone(seed, endpoint, &seen.begun, &settings);
    }
    recovers(seed, &source, record_type, &settings).await;
    Trace(trace)
}

/// A source that refuses everybody is asked until its breaker opens, and then once in a while. Answers to what was asked
/// before it went down may still come in and speak for it; from then on nothing does.
fn left_alone(seed: u64, endpoint: &Simulated, begun: &[Duration], settings: &SourceSettings) {
    for (at, (from, behaviour)) in endpoint.phases.iter().enumerate() {
        if !matches!(behaviour, Behaviour::Refuses) {
            continue;
        }
        let until = endpoint.phases.get(at + 1).map_or(*from, |(until, _)| *until);
        let from = *from + LATENCY_MAX;
        let asked = begun.iter().filter(|begun| (from..until).contains(*begun)).count();
        let probes = until.saturating_sub(from).as_millis() / settings.breaker.open_min.as_millis() + 1;
        let allowed = settings.concurrency_max + settings.breaker.failures_max as usize + probes as usize;
        assert!(asked <= allowed, "seed {seed}: a source that is down was asked {asked} times, {allowed} are allowed");
    }
}

/// Once everything answers again, so does the source, without a hand.
async fn recovers(seed: u64, source: &Source, record_type: &Arc<RecordType>, settings: &SourceSettings) {
    sleep(TROUBLE + settings.breaker.open_max + settings.attempt_timeout).await;
    for call in ["first", "second"] {
        let key = Key { kind: IdentifierKind::PersonalId, value: call.to_owned() };
        let deadline = Instant::now() + Duration::from_secs(10);
        let outcome = source.fetch(&asker(0), record_type, &key, &record_type.all_fields(), deadline).await;
        assert!(outcome.is_ok(), "seed {seed}: the {call} call after the trouble fails");
    }
    for load in source.loads() {
        assert_eq!((load.running, load.waiting), (0, 0), "seed {seed}: a place was not given back");
    }
    assert_eq!(source.primary.breaker.state(), BreakerState::Closed, "seed {seed}");
}

#[test]
fn whatever_happens_to_a_source_calls_end_in_time_and_it_recovers() {
    let schema = Schema::builtin().unwrap();
    let record_type = Arc::clone(schema.record_types().next().unwrap());
    let simulate = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(seed, &record_type))
    };
    let long = std::env::var("LIENTHONG_TESTS").is_ok_and(|kind| kind == "long");
    let seeds = if long { SEEDS_LONG } else { SEEDS };
    for seed in REMEMBERED.into_iter().chain(0..seeds) {
        let trace = simulate(seed);
        if seed % 100 == 0 {
            assert_eq!(simulate(seed), trace, "seed {seed} does not repeat");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_hides_a_source_that_hangs_and_then_the_source_is_left_alone() {
    let schema = Schema::builtin().unwrap();
    let record_type = Arc::clone(schema.record_types().next().unwrap());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let with = |mut simulated: Arc<Simulated>, behaviour| {
        Arc::get_mut(&mut simulated).unwrap().phases = vec![(Duration::ZERO, behaviour)];
        simulated
    };
    let primary = with(simulated(&mut random, &record_type), Behaviour::Hangs);
    let replica = with(simulated(&mut random, &record_type), Behaviour::Answers(Duration::from_millis(5)));
    let source = Source::new(Arc::clone(&primary) as _, Some(replica as _), SourceSettings::default());
    let mut slow = 0;
    for call in 0..50 {
        let key = Key { kind: IdentifierKind::PersonalId, value: call.to_string() };
        let started = Instant::now();
        let deadline = started + Duration::from_secs(10);
        source.fetch(&asker(call), &record_type, &key, &record_type.all_fields(), deadline).await.unwrap();
        assert!(started.elapsed() <= Duration::from_millis(106));
        slow += usize::from(started.elapsed() >= Duration::from_millis(100));
    }
    assert_eq!(slow, BreakerSettings::default().failures_max as usize, "then its replica is asked at once");
    assert_eq!(source.primary.breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn callers_in_a_hurry_do_not_close_a_slow_source_to_others() {
    let schema = Schema::builtin().unwrap();
    let record_type = Arc::clone(schema.record_types().next().unwrap());
    let mut primary = simulated(&mut ChaCha8Rng::seed_from_u64(1), &record_type);
    Arc::get_mut(&mut primary).unwrap().phases = vec![(Duration::ZERO, Behaviour::Answers(Duration::from_millis(500)))];
    let source = Source::new(primary, None, SourceSettings::default());
    let ask = async |call: &str, patience| {
        let key = Key { kind: IdentifierKind::PersonalId, value: call.to_owned() };
        source.fetch(&asker(0), &record_type, &key, &record_type.all_fields(), Instant::now() + patience).await
    };
    for _ in 0..100 {
        let hurried = ask("hurried", Duration::from_millis(10)).await;
        assert_eq!(hurried.unwrap_err().reason, "SOURCE_TIMEOUT");
    }
    assert!(ask("patient", Duration::from_secs(5)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_says_it_is_busy_is_not_taken_for_broken() {
    let schema = Schema::builtin().unwrap();
    let record_type = Arc::clone(schema.record_types().next().unwrap());
    let mut primary = simulated(&mut ChaCha8Rng::seed_from_u64(1), &record_type);
    let answers = (Duration::from_secs(10), Behaviour::Answers(Duration::from_millis(1)));
    Arc::get_mut(&mut primary).unwrap().phases = vec![(Duration::ZERO, Behaviour::Busy), answers];
    let source = Source::new(Arc::clone(&primary) as _, None, SourceSettings::default());
    let ask = async |call: usize| {
        let key = Key { kind: IdentifierKind::PersonalId, value: call.to_string() };
        let deadline = Instant::now() + Duration::from_secs(5);
        source.fetch(&asker(call), &record_type, &key, &record_type.all_fields(), deadline).await
    };
    for call in 0..100 {
        assert_eq!(ask(call).await.unwrap_err().reason, "SOURCE_BUSY");
    }
    assert_eq!(source.primary.breaker.state(), BreakerState::Closed, "it is there");
    assert_eq!(primary.seen.lock().unwrap().begun.len(), 100, "asking again would only be more of the same");
    sleep_until(primary.start + Duration::from_secs(10)).await;
    assert!(ask(100).await.is_ok());
}
