//! One source as the hub asks it: bounded, within the caller's time, again or elsewhere when that may help, and not at all
//! while it is down.
//!
//! Order of a lookup: a breaker that is open refuses at once; a queue that is full refuses at once; then a turn is waited
//! for, the breaker is asked again, and the adapter is asked until the attempt's time is up. Lookups only read, so any of
//! them may be repeated.

use std::{sync::Arc, time::Duration};

use access::AgencyCode;
use adapter_sdk::{Adapter, Behalf, Criterion, FetchRequest, Fetched, Key, SearchRequest, SourceError};
use proto::{FieldSet, RecordType, options::v1::IdentifierKind};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument;

use crate::{error::Failure, meters::SourceMeter};

mod breaker;
mod lookup;
mod settings;
#[cfg(test)]
mod simulation;
mod turns;

use breaker::Breaker;
pub use breaker::BreakerState;
use lookup::Lookup;
pub use settings::{BreakerSettings, SourceSettings};
use turns::{Turn, Turns};

/// A source, its replica if it has one, and what is under way to them.
pub struct Source {
    primary: Endpoint,
    replica: Option<Endpoint>,
    settings: SourceSettings,
    meter: Arc<SourceMeter>,
}

/// Something that can be asked, with its own bounds.
struct Endpoint {
    name: &'static str,
    meter: Arc<SourceMeter>,
    adapter: Arc<dyn Adapter>,
    turns: Arc<Turns>,
    breaker: Breaker,
    attempt_timeout: Duration,
}

/// Why an endpoint gave nothing, and what may be done about it.
struct Unanswered {
    failure: Failure,
    remedy: Remedy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Asking again, or asking the replica.
    Again,
    /// Asking the replica.
    Elsewhere,
    /// None: the replica would say the same.
    Nothing,
}

impl Remedy {
    fn of(error: &SourceError) -> Self {
        match error {
            SourceError::Unreachable(_) => Self::Again,
            // Not again: another wait of the same length for a source that hangs helps nobody.
            SourceError::Timeout
            | SourceError::Credentials(_)
            | SourceError::NoDatabase(_)
            | SourceError::Database { .. } => Self::Elsewhere,
            // Nor this: more questions are what it has too many of.
            SourceError::Busy => Self::Elsewhere,
            _ => Self::Nothing,
        }
    }
}

impl Source {
    /// A source that nothing is under way to. The replica reads a copy of it by the same mapping.
    pub fn new(adapter: Arc<dyn Adapter>, replica: Option<Arc<dyn Adapter>>, settings: SourceSettings) -> Self {
        let meter = Arc::new(SourceMeter::new(&adapter.describe().id));
        let replica = replica.map(|adapter| Endpoint::new("replica", adapter, settings.clone(), Arc::clone(&meter)));
        let mut own = settings.clone();
        if replica.is_some() {
            // A source whose replica answers first again and again is not the one to ask first.
            own.breaker.patience = own.breaker.patience.min(settings.hedge_delay);
        }
        Self { primary: Endpoint::new("primary", adapter, own, Arc::clone(&meter)), replica, settings, meter }
    }

    /// What reads its database.
    pub fn adapter(&self) -> &Arc<dyn Adapter> {
        &self.primary.adapter
    }

    /// Id of the source, as its adapter describes it.
    pub fn id(&self) -> &str {
        &self.primary.adapter.describe().id
    }

    pub(crate) fn mapping_digest(&self) -> &str {
        &self.primary.adapter.describe().mapping_digest
    }

    /// The kinds of number a record type is found by, and those under which rows may stand alone.
    pub(crate) fn lookup(&self, record_type: &RecordType) -> (&[IdentifierKind], &[IdentifierKind]) {
        self.adapter()
            .describe()
            .record(&record_type.name)
            .map_or((&[], &[]), |record| (record.lookup.as_slice(), record.alone.as_slice()))
    }

    /// Those of a record type's fields that the source never fills: unmapped, or not lent.
    pub(crate) fn not_provided(&self, record_type: &RecordType, fields: &FieldSet) -> FieldSet {
        let described = self.adapter().describe().record(&record_type.name);
        described.map_or_else(|| fields.clone(), |record| fields.difference(&record.fields))
    }

    pub(crate) fn finds(&self, record_type: &RecordType, kind: IdentifierKind) -> bool {
        self.lookup(record_type).0.contains(&kind)
    }

    /// What each endpoint is doing now.
    pub(crate) fn loads(&self) -> impl Iterator<Item = EndpointLoad<'_>> {
        [Some(&self.primary), self.replica.as_ref()].into_iter().flatten().map(|at| {
            let (running, waiting) = at.turns.load();
            EndpointLoad { source: self.id(), endpoint: at.name, breaker: at.breaker.state(), running, waiting }
        })
    }

    /// Asks for somebody, within the deadline.
    pub(crate) async fn fetch(
        &self,
        asker: &Asker,
        record_type: &Arc<RecordType>,
        key: &Key,
        fields: &FieldSet,
        deadline: Instant,
    ) -> Result<Fetched, Failure> {
        let (record_type, key, fields) = (Arc::clone(record_type), key.clone(), fields.clone());
        let behalf = Arc::clone(&asker.behalf);
        self.look_up(asker, Lookup::Key(FetchRequest { record_type, key, fields, deadline, behalf })).await
    }

    /// Searches for somebody, within the deadline.
    pub(crate) async fn search(
        &self,
        asker: &Asker,
        record_type: &Arc<RecordType>,
        criteria: &[Criterion],
        fields: &FieldSet,
        deadline: Instant,
    ) -> Result<Fetched, Failure> {
        let (record_type, criteria, fields) = (Arc::clone(record_type), criteria.to_vec(), fields.clone());
        let behalf = Arc::clone(&asker.behalf);
        self.look_up(asker, Lookup::Search(SearchRequest { record_type, criteria, fields, deadline, behalf })).await
    }

    async fn look_up(&self, asker: &Asker, lookup: Lookup) -> Result<Fetched, Failure> {
        let record_type = Arc::clone(lookup.record_type());
        let span = tracing::info_span!("source", lienthong.source = self.id(), lienthong.record_type = record_type.name, error.type = tracing::field::Empty);
        async {
            let asked = Instant::now();
            let answer = self.ask(&asker.agency, &lookup).await;
            self.meter.looked_up(&record_type, asked.elapsed(), &answer);
            if let Err(failure) = &answer {
                tracing::Span::current().record("error.type", failure.reason);
            }
            answer
        }
        .instrument(span)
        .await
    }

    /// Asks, and asks again while that may help and time remains.
    async fn ask(&self, agency: &AgencyCode, request: &Lookup) -> Result<Fetched, Failure> {
        let mut delays = self.settings.retry_delays();
        loop {
            let unanswered = match self.attempt(agency, request).await {
                Ok(fetched) => return Ok(fetched),
                Err(unanswered) => unanswered,
            };
            match delays.next() {
                Some(delay) if unanswered.remedy == Remedy::Again && Instant::now() + delay < request.deadline() => {
                    sleep(delay).await
                }
                _ => return Err(unanswered.failure),
            }
        }
    }

    /// Asks once; the replica, too, when the source has failed or takes its time.
    async fn attempt(&self, agency: &AgencyCode, request: &Lookup) -> Result<Fetched, Unanswered> {
        let Some(replica) = &self.replica else { return self.primary.ask(agency, request).await };
        let first = self.primary.ask(agency, request);
        tokio::pin!(first);
        let hedge = Instant::now() + self.settings.hedge_delay;
        match timeout_at(hedge.min(request.deadline()), &mut first).await {
            Ok(Ok(fetched)) => return Ok(fetched),
            Ok(Err(unanswered)) if unanswered.remedy != Remedy::Nothing => {
                // What the source says is the answer when neither has one.
                return replica.ask(agency, request).await.map_err(|_| unanswered);
            }
            Ok(Err(unanswered)) => return Err(unanswered),
            Err(_) => {}
        }
        let second = replica.ask(agency, request);
        tokio::pin!(second);
        tokio::select! {
            biased;
            answer = &mut first => match answer {
                Ok(fetched) => Ok(fetched),
                Err(unanswered) => second.await.map_err(|_| unanswered),
            },
            answer = &mut second => match answer {
                Ok(fetched) => Ok(fetched),
                Err(_) => first.await,
            },
        }
    }
}

/// For whom lookups are made: in whose turn, and what the source is told of it.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) agency: AgencyCode,
    pub(crate) behalf: Arc<Behalf>,
}

/// What one endpoint of a source is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointLoad<'s> {
    /// Source id.
    pub source: &'s str,
    /// `primary` or `replica`.
    pub endpoint: &'static str,
    /// Whether it is asked.
    pub breaker: BreakerState,
    /// Lookups under way.
    pub running: usize,
    /// Lookups waiting for their turn.
    pub waiting: usize,
}

impl Endpoint {
    fn new(name: &'static str, adapter: Arc<dyn Adapter>, settings: SourceSettings, meter: Arc<SourceMeter>) -> Self {
        Self {
            name,
            meter,
            adapter,
            turns: Turns::new(settings.concurrency_max, settings.queue_max),
            breaker: Breaker::new(settings.breaker),
            attempt_timeout: settings.attempt_timeout,
        }
    }

    async fn ask(&self, agency: &AgencyCode, request: &Lookup) -> Result<Fetched, Unanswered> {
        if self.breaker.refuses() {
            return Err(Unanswered { failure: Failure::SUSPENDED, remedy: Remedy::Elsewhere });
        }
        let _turn = self.turn(agency, request.deadline()).await?;
        // It may have opened while this lookup waited.
        let Some(pass) = self.breaker.pass() else {
            return Err(Unanswered { failure: Failure::SUSPENDED, remedy: Remedy::Elsewhere });
        };
        let deadline = request.deadline().min(Instant::now() + self.attempt_timeout);
        let request = request.clone().until(deadline);
        let answer =
            timeout_at(deadline, request.ask(self.adapter.as_ref())).await.unwrap_or(Err(SourceError::Timeout));
        let error = match answer {
            Ok(fetched) => {
                pass.answered();
                self.meter.attempted(self.name, "answered");
                return Ok(fetched);
            }
            Err(error) => error,
        };
        let outcome = match error {
            SourceError::Unreachable(_) => {
                pass.failed();
                "unreachable"
            }
            // Whether the time was the source's to keep or the caller's to give, the pass tells from how long it was.
            SourceError::Timeout => {
                drop(pass);
                "timeout"
            }
            // It says itself that it is there.
            SourceError::Busy => {
                pass.answered();
                "busy"
            }
            _ => {
                pass.answered();
                "error"
            }
        };
        self.meter.attempted(self.name, outcome);
        tracing::warn!(lienthong.source = self.adapter.describe().id, %error, "source failed");
        Err(Unanswered { failure: Failure::from(&error), remedy: Remedy::of(&error) })
    }

    /// Waits for a turn, unless too many wait already.
    async fn turn(&self, agency: &AgencyCode, deadline: Instant) -> Result<Turn, Unanswered> {
        let turn = timeout_at(deadline, self.turns.take(agency)).await.ok().flatten();
        turn.ok_or(Unanswered { failure: Failure::BUSY, remedy: Remedy::Elsewhere })
    }
}
