//! What hurts whom: three times as many questions as the hub can answer, a register that hangs, and an agency that floods.
//!
//! The hub has one processor and the load another, so that neither takes the other's time. Floods come from a process of
//! their own that gives way to the one that watches: what is watched must not wait for its own flood to be written.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use proto::query::v1::{QueryRequest, query_service_client::QueryServiceClient};
use serde::{Deserialize, Serialize};
use synthetic::Sector;
use tests::{Certificate, Databases, Engine, Fault, Hub, HubFiles, Proxy, Settings, channel_to, query_client};
use tokio::task::JoinSet;
use tonic::{Code, Request, transport::Channel};

use crate::{load, process, questions, scenario::Scenario};

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
        milliseconds(&self.answered, 0.99)
    }
}

fn milliseconds(latency: &Histogram<u64>, quantile: f64) -> f64 {
    latency.value_at_quantile(quantile) as f64 / 1_000.0
}

fn quantiles(latency: &Histogram<u64>) -> String {
    [0.5, 0.9, 0.99].map(|quantile| format!("{:.1}", milliseconds(latency, quantile))).join(", ")
}

/// Asks so many times a second, answered or not.
async fn at_rate(
    clients: &[QueryServiceClient<Channel>],
    per_second: f64,
    interval: Duration,
    deadline: Option<Duration>,
    question: impl Fn() -> QueryRequest,
) -> Asked {
    let start = Instant::now();
    let mut under_way = JoinSet::new();
    for at in 0..(per_second * interval.as_secs_f64()) as usize {
        let due = start + Duration::from_secs_f64(at as f64 / per_second);
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        let mut client = clients[at % clients.len()].clone();
        let mut request = Request::new(question());
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

/// Connections a flood comes over: an HTTP/2 connection alone holds back what is more than its streams.
const FLOOD_CONNECTIONS: usize = 8;

/// What a flood says of itself.
#[derive(Serialize, Deserialize)]
struct Flood {
    sent_per_second: f64,
    answered_per_second: f64,
    refused: u64,
    refusal_p50_ms: f64,
    refusal_p99_ms: f64,
    failed: u64,
}

/// The process that floods: address, folder of keys, calls a second, seconds, personal number.
pub(crate) async fn flood_from(mut arguments: impl Iterator<Item = String>) {
    let mut next = || arguments.next().expect("five arguments");
    let (address, keys, rate, seconds, number) = (next(), PathBuf::from(next()), next(), next(), next());
    let (rate, seconds): (f64, f64) = (rate.parse().expect("a rate"), seconds.parse().expect("seconds"));
    let read = |name: &str| fs::read(keys.join(name)).expect("a key file");
    let certificate = Certificate { pem: read("H21.99_all.pem"), key: read("H21.99_all.key") };
    let mut clients = Vec::new();
    for _ in 0..FLOOD_CONNECTIONS {
        let channel = channel_to(&address, &read("ca.pem"), Some(&certificate)).await.expect("a connection");
        clients.push(QueryServiceClient::new(channel));
    }
    let asked =
        at_rate(&clients, rate, Duration::from_secs_f64(seconds), None, || questions::everywhere(&number)).await;
    let sent = asked.answered.len() + asked.refused.len() + asked.failed;
    let flood = Flood {
        sent_per_second: sent as f64 / asked.took.as_secs_f64(),
        answered_per_second: asked.per_second(),
        refused: asked.refused.len(),
        refusal_p50_ms: milliseconds(&asked.refused, 0.5),
        refusal_p99_ms: milliseconds(&asked.refused, 0.99),
        failed: asked.failed,
    };
    println!("{}", serde_json::to_string(&flood).expect("figures are JSON"));
}

/// Floods from a process that gives way to everybody else.
async fn flood(hub: &Hub, files: &HubFiles, per_second: f64, interval: Duration, number: &str) -> Flood {
    let output = tokio::process::Command::new("nice")
        .args(["-n", "19"])
        .arg(std::env::current_exe().expect("this program is a file"))
        .args(["flood", &hub.address])
        .arg(files.path("keys"))
        .args([per_second.to_string(), interval.as_secs_f64().to_string(), number.to_owned()])
        .output()
        .await
        .expect("the flood starts");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
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
    let hub = if pin(std::process::id(), 1) {
        // From its start, so that it knows how many processors it has.
        Hub::start_under(&files, &["taskset", "-c", "0"])
    } else {
        println!("hub and load share all processors: read the figures with that in mind");
        Hub::start(&files)
    };
    let watched = [query_client(&hub, &files, OTHER).await];
    let everybody = [query_client(&hub, &files, FLOODING).await];

    let people = Arc::new(vec![number.clone()]);
    let interval = Duration::from_secs(4);
    let mut peaks = Vec::new();
    for _ in 0..ROUNDS {
        let (answers, _, took, _) = load::closed(&everybody, Scenario::Everywhere, &people, CALLERS, interval).await;
        peaks.push(answers as f64 / took.as_secs_f64());
    }
    let peak = median(peaks);
    println!(
        "capacity: {peak:.0} answers a second about one person in six registers ({CALLERS} callers in closed loops, median \
         of {ROUNDS} rounds)"
    );
    overload(&hub, &files, &number, peak, interval).await;
    beside_a_flood(&hub, &files, &watched, &number, peak, interval).await;
    side_by_side(&everybody, &watched, &number, interval).await;
    if let Some(proxy) = &proxy {
        hung(&everybody, &number, peak, Duration::from_secs(seconds), proxy).await;
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

async fn overload(hub: &Hub, files: &HubFiles, number: &str, peak: f64, interval: Duration) {
    let before = process::memory(hub.pid(), "VmRSS");
    let mut goodputs = Vec::new();
    for _ in 0..ROUNDS {
        let flood = flood(hub, files, peak * 3.0, interval, number).await;
        let goodput = flood.answered_per_second / peak;
        println!(
            "overload: {:.1} of capacity sent, {goodput:.2} answered, {} refused (p50 {:.1} ms, p99 {:.1} ms), {} failed",
            flood.sent_per_second / peak,
            flood.refused,
            flood.refusal_p50_ms,
            flood.refusal_p99_ms,
            flood.failed,
        );
        goodputs.push(goodput);
    }
    let after = process::memory(hub.pid(), "VmRSS");
    let goodput = median(goodputs);
    println!("overload: goodput {goodput:.2} of capacity; memory {before:.0} MiB before, {after:.0} MiB after");
}

async fn beside_a_flood(
    hub: &Hub,
    files: &HubFiles,
    watched: &[QueryServiceClient<Channel>],
    number: &str,
    peak: f64,
    interval: Duration,
) {
    let portal = || questions::portal(number);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = at_rate(watched, peak * WATCHED, interval, None, portal).await;
        alone.push(before.p99());
        let flooding = flood(hub, files, peak * 3.0, interval + Duration::from_secs(2), number);
        let asking = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            at_rate(watched, peak * WATCHED, interval, None, portal).await
        };
        let (asked, flooding) = tokio::join!(asking, flooding);
        println!(
            "flood: {:.1} of capacity sent, {:.2} answered; beside it p50, p90, p99 {} ms, alone {} ms, {} refused, {} failed",
            flooding.sent_per_second / peak,
            flooding.answered_per_second / peak,
            quantiles(&asked.answered),
            quantiles(&before.answered),
            asked.refused.len(),
            asked.failed
        );
        beside.push(asked.p99());
    }
    let (alone, beside) = (median(alone), median(beside));
    println!("flood: another agency's p99 {alone:.1} ms alone, {beside:.1} ms beside it: {:.2}", beside / alone);
}

/// Callers in closed loops, and what they got a second.
async fn callers(
    clients: &[QueryServiceClient<Channel>],
    question: impl Fn() -> QueryRequest + Clone + Send + 'static,
    interval: Duration,
) -> f64 {
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS / 2 {
        let (mut client, question) = (clients[caller % clients.len()].clone(), question.clone());
        callers.spawn(async move {
            let mut answers = 0_u64;
            while begun.elapsed() < interval {
                answers += u64::from(client.query(question()).await.is_ok());
            }
            answers
        });
    }
    callers.join_all().await.iter().sum::<u64>() as f64 / begun.elapsed().as_secs_f64()
}

/// Two agencies that both ask as much as they can: what is left of the hub when each gives the other way.
async fn side_by_side(
    first: &[QueryServiceClient<Channel>],
    second: &[QueryServiceClient<Channel>],
    number: &str,
    interval: Duration,
) {
    let (one, other) = (number.to_owned(), number.to_owned());
    let (one, other) = (move || questions::everywhere(&one), move || questions::portal(&other));
    let alone = (callers(first, one.clone(), interval).await, callers(second, other.clone(), interval).await);
    let (one, other) = tokio::join!(callers(first, one, interval), callers(second, other, interval));
    println!(
        "side by side: two agencies of {} callers each get {:.2} and {:.2} of what they get alone",
        CALLERS / 2,
        one / alone.0,
        other / alone.1
    );
}

async fn hung(clients: &[QueryServiceClient<Channel>], number: &str, peak: f64, lasting: Duration, proxy: &Proxy) {
    let interval = Duration::from_secs(4).min(lasting);
    let without = |interval| at_rate(clients, peak * WATCHED, interval, None, || questions::birth(number));
    let with = |interval| at_rate(clients, peak * WATCHED, interval, Some(DEADLINE), || questions::everywhere(number));
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
