//! Quotas: how often agencies and their systems may ask. An agreement states what its parties agreed; `quotas.toml` what the
//! hub grants at all. Every one that fits a call is counted, and the first that is used up refuses it.
//!
//! Counting is the generic cell rate algorithm: `calls` may come at once, and after that as many in each period as it says.
//! Each replica of a gateway counts for itself.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota as Rate, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};
use serde::Deserialize;
use toml::Spanned;

use crate::{AccessRequest, AccessSet, Action, AgencyCode, Caller, Problem, SourceFile, catalogue::Catalogue};

/// Callers that are counted for longer than this without a call are forgotten; then they have their whole quota again.
const KEYS_BEFORE_SHRINKING: usize = 10_000;

/// What is counted on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Dimension {
    /// Each agency, all its systems together.
    Agency,
    /// Each system of each agency.
    System,
    /// Each purpose.
    Purpose,
    /// Each action.
    Action,
}

/// The time in which the calls are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

impl Period {
    const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

/// A quota as it stands in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuotaEntry {
    /// Calls allowed in the period, from 1.
    calls: Spanned<NonZeroU32>,
    per: Period,
    each: Vec<Dimension>,
    /// Only calls of this agency and those below it.
    agency: Option<Spanned<String>>,
    /// Only calls of systems of this name.
    system: Option<String>,
    /// Only calls with this action.
    action: Option<Spanned<Action>>,
    /// Only calls for this purpose.
    purpose: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotasFile {
    #[serde(default)]
    quotas: Vec<QuotaEntry>,
}

/// What a quota limits. Two of the same terms share their counts over a reload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Terms {
    /// Number of the agreement that states it; none for the hub's own.
    agreement: Option<String>,
    calls: NonZeroU32,
    per: Period,
    each: Vec<Dimension>,
    agency: Option<AgencyCode>,
    system: Option<String>,
    action: Option<Action>,
    purpose: Option<String>,
}

/// Whose calls are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Counted {
    agency: Option<AgencyCode>,
    system: Option<String>,
    purpose: Option<String>,
    action: Option<Action>,
}

type Counts = RateLimiter<Counted, DashMapStateStore<Counted>, DefaultClock, StateInformationMiddleware>;

/// A quota in force.
#[derive(Debug, Clone)]
pub(crate) struct Quota {
    terms: Terms,
    counts: Arc<Counts>,
}

/// How much of the scarcest quota that a call was counted under is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Calls that may come at once when nothing is used, and in each period.
    pub limit: u32,
    /// The period, in seconds.
    pub period_s: u64,
    /// Calls that may come now.
    pub remaining: u32,
    /// Seconds until all of the limit is free again, rounded up.
    pub reset_s: u64,
}

/// A quota is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// The quota, with nothing left.
    pub allowance: Allowance,
    /// Time until the next call is allowed.
    pub retry_after: Duration,
    /// Number of the agreement that states it; none for the hub's own.
    pub agreement: Option<String>,
}

impl Terms {
    fn fits(&self, caller: &Caller, action: Action, purpose: &str) -> bool {
        self.agency.as_ref().is_none_or(|agency| caller.agency.is_in(agency))
            && self.system.as_ref().is_none_or(|system| *system == caller.system)
            && self.action.is_none_or(|only| only == action)
            && self.purpose.as_ref().is_none_or(|only| only == purpose)
    }

    fn counted(&self, caller: &Caller, action: Action, purpose: &str) -> Counted {
        let mut counted = Counted::default();
        for dimension in &self.each {
            match dimension {
                Dimension::Agency => counted.agency = Some(caller.agency.clone()),
                Dimension::System => {
                    counted.agency = Some(caller.agency.clone());
                    counted.system = Some(caller.system.clone());
                }
                Dimension::Purpose => counted.purpose = Some(purpose.to_owned()),
                Dimension::Action => counted.action = Some(action),
            }
        }
        counted
    }

    fn allowance(&self, remaining: u32) -> Allowance {
        let used = u64::from(self.calls.get().saturating_sub(remaining));
        let reset_s = (used * self.per.seconds()).div_ceil(u64::from(self.calls.get()));
        Allowance { limit: self.calls.get(), period_s: self.per.seconds(), remaining, reset_s }
    }
}

impl Quota {
    fn new(terms: Terms) -> Option<Self> {
        let interval = Duration::from_secs(terms.per.seconds()).checked_div(terms.calls.get())?;
        let rate = Rate::with_period(interval)?.allow_burst(terms.calls);
        let counts = RateLimiter::dashmap(rate).with_middleware::<StateInformationMiddleware>();
        Some(Self { terms, counts: Arc::new(counts) })
    }

    fn count(&self, caller: &Caller, action: Action, purpose: &str) -> Result<Allowance, Exhausted> {
        if self.counts.len() > KEYS_BEFORE_SHRINKING {
            self.counts.retain_recent();
        }
        match self.counts.check_key(&self.terms.counted(caller, action, purpose)) {
            Ok(state) => Ok(self.terms.allowance(state.remaining_burst_capacity())),
            Err(until) => Err(Exhausted {
                allowance: self.terms.allowance(0),
                retry_after: until.wait_time_from(self.counts.clock().now()),
                agreement: self.terms.agreement.clone(),
            }),
        }
    }
}

/// Reads the hub's own quotas.
pub(crate) fn read(file: &SourceFile, catalogue: &Catalogue, problems: &mut Vec<Problem>) -> Vec<Quota> {
    match file.parse_toml::<QuotasFile>() {
        Ok(parsed) => {
            parsed.quotas.into_iter().filter_map(|entry| quota(entry, None, file, catalogue, problems)).collect()
        }
        Err(problem) => {
            problems.push(problem);
            Vec::new()
        }
    }
}

/// Checks one quota against the catalogues.
pub(crate) fn quota(
    entry: QuotaEntry,
    agreement: Option<&str>,
    file: &SourceFile,
    catalogue: &Catalogue,
    problems: &mut Vec<Problem>,
) -> Option<Quota> {
    let problem_count = problems.len();
    let agency = entry.agency.and_then(|code| match catalogue.listed_agency(code.get_ref()) {
        Ok(agency) => Some(agency.clone()),
        Err(message) => {
            problems.push(file.problem(code.span(), message));
            None
        }
    });
    if let Some(code) = &entry.purpose
        && let Err(message) = catalogue.listed_purpose(code.get_ref())
    {
        problems.push(file.problem(code.span(), message));
    }
    let mut each = entry.each;
    each.sort_unstable();
    each.dedup();
    let terms = Terms {
        agreement: agreement.map(ToOwned::to_owned),
        calls: *entry.calls.get_ref(),
        per: entry.per,
        each,
        agency,
        system: entry.system,
        action: entry.action.map(Spanned::into_inner),
        purpose: entry.purpose.map(Spanned::into_inner),
    };
    let quota = Quota::new(terms);
    if quota.is_none() {
        problems.push(file.problem(entry.calls.span(), "more calls than one in a nanosecond"));
    }
    quota.filter(|_| problems.len() == problem_count)
}

impl AccessSet {
    /// Counts a call under every quota that fits it: the hub's own, and those of the agreements that grant the system any
    /// of the record types asked for this action and purpose. Gives the scarcest; none fits, none is given.
    pub fn count(&self, request: &AccessRequest<'_>) -> Result<Option<Allowance>, Exhausted> {
        let purpose = request.purpose_code.trim();
        let agreed = self.covering(request).into_iter().flat_map(|index| &self.agreements[index].quotas);
        let mut scarcest: Option<Allowance> = None;
        for quota in self.quotas.iter().chain(agreed) {
            if !quota.terms.fits(request.caller, request.action, purpose) {
                continue;
            }
            let left = quota.count(request.caller, request.action, purpose)?;
            if scarcest.is_none_or(|known| left.remaining < known.remaining) {
                scarcest = Some(left);
            }
        }
        Ok(scarcest)
    }

    /// Takes over what an earlier set has counted under the same terms: a reload gives nobody a new quota.
    #[must_use]
    pub fn counting_on_from(mut self, earlier: &Self) -> Self {
        let known: HashMap<&Terms, &Arc<Counts>> =
            earlier.all_quotas().map(|quota| (&quota.terms, &quota.counts)).collect();
        let own = self.quotas.iter_mut();
        for quota in own.chain(self.agreements.iter_mut().flat_map(|agreement| &mut agreement.quotas)) {
            if let Some(counts) = known.get(&quota.terms) {
                quota.counts = Arc::clone(counts);
            }
        }
        self
    }

    fn all_quotas(&self) -> impl Iterator<Item = &Quota> {
        self.quotas.iter().chain(self.agreements.iter().flat_map(|agreement| &agreement.quotas))
    }
}
