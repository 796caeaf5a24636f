//! Closed loops: so many callers, each asking again as soon as it is answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use proto::query::v1::query_service_client::QueryServiceClient;
use tonic::transport::Channel;

use crate::{questions, scenario::Scenario};

/// Latencies in microseconds, up to ten minutes, to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("a valid range")
}

/// What came of a run.
pub(crate) struct Run {
    pub(crate) answers: u64,
    pub(crate) errors: u64,
    pub(crate) took: Duration,
    pub(crate) latency: Histogram<u64>,
    /// Processor time of the serving process.
    pub(crate) processor: Duration,
}

impl Run {
    pub(crate) fn per_second(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn processor_microseconds(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.answers.max(1) as f64
    }
}

/// Asks once; whether it was answered as it should be.
pub(crate) async fn ask(client: &mut QueryServiceClient<Channel>, scenario: Scenario, personal_id: &str) -> bool {
    match scenario {
        Scenario::Echo | Scenario::Verify => client.verify(questions::verify(personal_id)).await.is_ok(),
        Scenario::Everywhere => {
            let answer = client.query(questions::everywhere(personal_id)).await;
            answer.is_ok_and(|answer| answer.into_inner().complete)
        }
        Scenario::Lookup => {
            let answer = client.query(questions::query(personal_id)).await;
            answer.is_ok_and(|answer| answer.get_ref().results[0].records.len() == 1)
        }
        Scenario::Query | Scenario::Plain | Scenario::Batch | Scenario::Open => {
            let answer = client.query(questions::query(personal_id)).await;
            answer.is_ok_and(|answer| answer.get_ref().complete && answer.get_ref().results[0].records.len() == 1)
        }
    }
}

/// Runs the loops for an interval. `clients` are connections; callers share them.
pub(crate) async fn closed(
    clients: &[QueryServiceClient<Channel>],
    scenario: Scenario,
    people: &Arc<Vec<String>>,
    concurrency: usize,
    interval: Duration,
) -> (u64, u64, Duration, Histogram<u64>) {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let callers: Vec<_> = (0..concurrency)
        .map(|caller| {
            let mut client = clients[caller % clients.len()].clone();
            let (people, next) = (Arc::clone(people), Arc::clone(&next));
            tokio::spawn(async move {
                let (mut latency, mut errors) = (histogram(), 0);
                while start.elapsed() < interval {
                    let person = &people[next.fetch_add(1, Ordering::Relaxed) % people.len()];
                    let asked = Instant::now();
                    if ask(&mut client, scenario, person).await {
                        latency.saturating_record(asked.elapsed().as_micros() as u64);
                    } else {
                        errors += 1;
                    }
                }
                (latency, errors)
            })
        })
        .collect();
    let (mut latency, mut errors) = (histogram(), 0);
    for caller in callers {
        let (own, failed) = caller.await.expect("a caller ends");
        latency.add(own).expect("the same digits");
        errors += failed;
    }
    (latency.len(), errors, start.elapsed(), latency)
}
