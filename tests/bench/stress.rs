//! What hurts whom: three times as many questions as the hub can answer, a register that hangs, and an agency that floods.
//!
//! The hub has one processor and the load another, so that neither takes the other's time.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use proto::query::v1::{QueryRequest, query_service_client::QueryServiceClient};
use synthetic::Sector;
use tests::{Databases, Engine, Fault, Hub, HubFiles, Proxy, Settings, query_client};
use tokio::task::JoinSet;
use tonic::{Code, Request, transport::Channel};

use crate::{load, process, questions};

const CALLERS: usize = 64;
const ROUNDS: usize = 3;
/// Share of the hub's capacity that those take who are watched.
const WATCHED: f64 = 0.1;
/// What those wait who need a register that hangs.
const DEADLINE: Duration = Duration::from_millis(1_000);
const FLOODING: &str = "H21.99/all";
const OTHER: &str = "H21.65/portal";

/// What came of questions at a fixed rate, each counted from when it was due.
struct Asked {
    answered: Histogram<u64>,
    refused: Histogram<u64>,
    failed: u64,
    incomplete: u64,
    took: Duration,
}

impl Asked {
    fn per_second(&self) -> f64 {
        self.answered.len() as f64 / self.took.as_secs_f64()
    }

    fn p99(&self) -> f64 {
        self.answered.value_at_quantile(0.99) as f64 / 1_000.0
    }
}

/// Asks so many times a second, answered or not.
async fn at_rate(
    client: QueryServiceClient<Channel>,
    per_second: f64,
    interval: Duration,
    deadline: Option<Duration>,
    question: impl Fn(usize) -> QueryRequest,
) -> Asked {
    let start = Instant::now();
    let mut under_way = JoinSet::new();
    for at in 0..(per_second * interval.as_secs_f64()) as usize {
        let due = start + Duration::from_secs_f64(at as f64 / per_second);
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        let mut client = client.clone();
        let mut request = Request::new(question(at));
        if let Some(deadline) = deadline {
            request.set_timeout(deadline);
        }
        under_way.spawn(async move { (client.query(request).await, due.elapsed()) });
    }
    let mut asked = Asked {
        answered: load::histogram(),
        refused: load::histogram(),
        failed: 0,
        incomplete: 0,
        took: Duration::ZERO,
    };
    while let Some(ended) = under_way.join_next().await {
        let (answer, took) = ended.expect("a caller ends");
        let microseconds = took.as_micros() as u64;
        match answer {
            Ok(answer) => {
                asked.incomplete += u64::from(!answer.get_ref().complete);
                asked.answered.saturating_record(microseconds);
            }
            Err(status) if status.code() == Code::ResourceExhausted => asked.refused.saturating_record(microseconds),
            Err(_) => asked.failed += 1,
        }
    }
    asked.took = start.elapsed();
    asked
}

/// Puts a process on one processor. Whether that can be done here.
fn pin(pid: u32, processor: usize) -> bool {
    let pinned = Command::new("taskset").args(["-a", "-c", "-p", &processor.to_string(), &pid.to_string()]).output();
    pinned.is_ok_and(|output| output.status.success())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Prints the figures. `seconds` is how long the register hangs.
pub(crate) async fn measure(seconds: u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let on = |sector| match sector {
        Sector::Population if Engine::Postgres.available() => Engine::Postgres,
        _ => Engine::Sqlite,
    };
    let mut databases = Databases::create(folder.path(), on).await;
    let somebody = databases.fill(1_000, 7, None).await.cast.everywhere.expect("somebody is in all registers");
    let number = somebody.personal_id;
    let proxy = stand_before_population(&mut databases).await;
    let settings =
        Settings { more: "[telemetry]\nmetrics_listen = \"127.0.0.1:0\"\n".to_owned(), ..Settings::default() };
    let files = HubFiles::write(&databases, &settings);
    let hub = Hub::start(&files);
    if !(pin(std::process::id(), 1) && pin(hub.pid(), 0)) {
        println!("hub and load share all processors: read the figures with that in mind");
    }
    let flooding = query_client(&hub, &files, FLOODING).await;
    let other = query_client(&hub, &files, OTHER).await;

    let people = Arc::new(vec![number.clone()]);
    let clients = vec![flooding.clone()];
    let interval = Duration::from_secs(4);
    let mut peaks = Vec::new();
    for _ in 0..ROUNDS {
        let (answers, _, took, _) =
            load::closed(&clients, crate::scenario::Scenario::Query, &people, CALLERS, interval).await;
        peaks.push(answers as f64 / took.as_secs_f64());
    }
    let peak = median(peaks);
    println!("capacity: {peak:.0} answers a second ({CALLERS} callers in closed loops, median of {ROUNDS} rounds)");

    overload(&flooding, &number, peak, interval, &hub).await;
    flood(&flooding, &other, &number, peak, interval).await;
    if let Some(proxy) = &proxy {
        hung(&flooding, &number, peak, Duration::from_secs(seconds), proxy).await;
    }
    assert!(hub.stop(), "the hub ends well");
    databases.drop().await;
}

async fn stand_before_population(databases: &mut Databases) -> Option<Proxy> {
    let target = databases.targets.iter_mut().find(|target| target.sector == Sector::Population)?;
    let url = target.url.clone();
    let (before, rest) = url.split_once('@')?;
    let (server, database) = rest.split_once('/')?;
    let proxy = Proxy::start(server).await;
    target.url = format!("{before}@{}/{database}", proxy.address);
    Some(proxy)
}

async fn overload(client: &QueryServiceClient<Channel>, number: &str, peak: f64, interval: Duration, hub: &Hub) {
    let before = process::memory(hub.pid(), "VmRSS");
    let mut goodputs = Vec::new();
    for _ in 0..ROUNDS {
        let asked = at_rate(client.clone(), peak * 3.0, interval, None, |_| questions::query(number)).await;
        println!(
            "at 3 times capacity: {:.0} answers a second ({:.2} of capacity), {} refused (p50 {:.1} ms, p99 {:.1} ms), {} failed",
            asked.per_second(),
            asked.per_second() / peak,
            asked.refused.len(),
            asked.refused.value_at_quantile(0.5) as f64 / 1_000.0,
            asked.refused.value_at_quantile(0.99) as f64 / 1_000.0,
            asked.failed,
        );
        goodputs.push(asked.per_second() / peak);
    }
    let after = process::memory(hub.pid(), "VmRSS");
    println!(
        "overload: goodput {:.2} of capacity; memory {before:.0} MiB before, {after:.0} MiB after",
        median(goodputs)
    );
}

async fn flood(
    flooding: &QueryServiceClient<Channel>,
    other: &QueryServiceClient<Channel>,
    number: &str,
    peak: f64,
    interval: Duration,
) {
    let portal = |_| questions::portal(number);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(at_rate(other.clone(), peak * WATCHED, interval, None, portal).await.p99());
        let flood = at_rate(flooding.clone(), peak * 3.0, interval, None, |_| questions::query(number));
        let (watched, _) = tokio::join!(at_rate(other.clone(), peak * WATCHED, interval, None, portal), flood);
        println!(
            "beside a flood: p99 {:.1} ms, {} refused, {} failed",
            watched.p99(),
            watched.refused.len(),
            watched.failed
        );
        beside.push(watched.p99());
    }
    let (alone, beside) = (median(alone), median(beside));
    println!("flood of another agency: p99 {alone:.1} ms alone, {beside:.1} ms beside it: {:.2}", beside / alone);
}

async fn hung(client: &QueryServiceClient<Channel>, number: &str, peak: f64, lasting: Duration, proxy: &Proxy) {
    let interval = Duration::from_secs(4).min(lasting);
    let without = |interval| at_rate(client.clone(), peak * WATCHED, interval, None, |_| questions::birth(number));
    let with =
        |interval| at_rate(client.clone(), peak * WATCHED, interval, Some(DEADLINE), |_| questions::everywhere(number));
    let (before, _) = tokio::join!(without(interval), with(interval));
    proxy.set(Fault::Hung);
    let (during, needing) = tokio::join!(without(lasting), with(lasting));
    proxy.set(Fault::None);
    println!(
        "a register hung for {} s: p99 of questions that do not need it {:.1} ms before, {:.1} ms during: {:.2}; of those that \
         do, {} answered in part within {} ms (slowest {:.0} ms), {} failed",
        lasting.as_secs(),
        before.p99(),
        during.p99(),
        during.p99() / before.p99(),
        needing.incomplete,
        DEADLINE.as_millis(),
        needing.answered.max() as f64 / 1_000.0,
        needing.failed,
    );
}
