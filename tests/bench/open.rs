//! Open loops: questions arrive at a fixed rate, answered or not, and latency counts from when each was due, so that a hub
//! that falls behind is not spared the questions it held up (coordinated omission).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use proto::query::v1::query_service_client::QueryServiceClient;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::{
    load::{self, Run},
    scenario::Scenario,
};

/// Asks `per_second` times a second for an interval.
pub(crate) async fn run(
    clients: &[QueryServiceClient<Channel>],
    people: &Arc<Vec<String>>,
    per_second: f64,
    interval: Duration,
) -> Run {
    let start = Instant::now();
    let count = (per_second * interval.as_secs_f64()) as usize;
    let mut asked = JoinSet::new();
    for at in 0..count {
        let due = start + Duration::from_secs_f64(at as f64 / per_second);
        // Timers are a millisecond coarse: those due within it go out together, each counted from its own moment.
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        let (mut client, people) = (clients[at % clients.len()].clone(), Arc::clone(people));
        asked.spawn(async move {
            let answered = load::ask(&mut client, Scenario::Open, &people[at % people.len()]).await;
            answered.then(|| due.elapsed())
        });
    }
    let (mut latency, mut errors) = (load::histogram(), 0);
    while let Some(answer) = asked.join_next().await {
        match answer.expect("a caller ends") {
            Some(took) => latency.saturating_record(took.as_micros() as u64),
            None => errors += 1,
        }
    }
    Run { answers: latency.len(), errors, took: start.elapsed(), latency, processor: Duration::ZERO }
}
