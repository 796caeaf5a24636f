//! Retention: the files that say how long entries are kept and which are held, and the task that acts on them once a day.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use audit::{
    Filter,
    retention::{Class, Hold, MONTHS_MIN, Rules},
};
use chrono::{DateTime, SecondsFormat, Utc};
use proto::{
    Schema,
    audit::v1::{
        SubjectHash,
        entry::{Disclosure, Kind},
    },
    options::v1::IdentifierKind,
};
use query::Hub;
use serde::Deserialize;
use tokio::{sync::watch, time::Instant};

use crate::{config::Config, current::Current, listen::told_to_stop, own_events::record_event, parse::has_long_number};

/// Between two runs.
const INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon a hold that was placed or lifted is in the log.
const HOLDS_INTERVAL: Duration = Duration::from_secs(10);
const PLACED: &str = "legal_hold_placed";
const LIFTED: &str = "legal_hold_lifted";

/// Where the files are. They are read anew each time.
#[derive(Clone)]
pub(crate) struct RetentionFiles {
    rules: PathBuf,
    holds: Option<PathBuf>,
    schema: Arc<Schema>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    default_months: u32,
    #[serde(default)]
    classes: Vec<ClassEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassEntry {
    name: String,
    months: u32,
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default)]
    purposes: Vec<String>,
    #[serde(default)]
    record_types: Vec<String>,
    #[serde(default)]
    disclosures: Vec<String>,
    #[serde(default)]
    sensitive: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldsFile {
    #[serde(default)]
    holds: Vec<HoldEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldEntry {
    number: String,
    ordered_by: String,
    reason: String,
    subject: Option<SubjectEntry>,
    dossier_number: Option<String>,
    agency: Option<String>,
    system: Option<String>,
    officer: Option<String>,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

/// A subject as entries name it: the number stands in no file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectEntry {
    kind: String,
    key_id: String,
    hash: String,
}

impl RetentionFiles {
    /// The files a configuration names, which must be right; none if it names none.
    pub(crate) fn load(config: &Config, schema: &Arc<Schema>) -> anyhow::Result<Option<Self>> {
        let Some(rules) = &config.audit.retention else { return Ok(None) };
        let holds = config.audit.legal_holds.as_ref().map(|path| config.path(path));
        let files = Self { rules: config.path(rules), holds, schema: Arc::clone(schema) };
        files.rules()?;
        files.holds()?;
        Ok(Some(files))
    }

    pub(crate) fn rules(&self) -> anyhow::Result<Rules> {
        let file: RulesFile = read(&self.rules)?;
        let wrong = || format!("{}", self.rules.display());
        check_months("default_months", file.default_months).with_context(wrong)?;
        let classes = file.classes.into_iter().map(|class| {
            let name = class.name.clone();
            class.class(&self.schema).with_context(|| format!("{}: class {name:?}", self.rules.display()))
        });
        let classes = classes.collect::<anyhow::Result<_>>()?;
        Ok(Rules { default_months: file.default_months, classes, schema: Arc::clone(&self.schema) })
    }

    pub(crate) fn holds(&self) -> anyhow::Result<Vec<Hold>> {
        let Some(path) = &self.holds else { return Ok(Vec::new()) };
        let file: HoldsFile = read(path)?;
        let mut holds: Vec<Hold> = Vec::new();
        for entry in file.holds {
            let number = entry.number.clone();
            let hold = entry.hold().with_context(|| format!("{}: hold {number:?}", path.display()))?;
            ensure!(
                holds.iter().all(|earlier| earlier.number != hold.number),
                "{}: hold {number:?} stands there twice",
                path.display()
            );
            holds.push(hold);
        }
        Ok(holds)
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
}

fn check_months(name: &str, months: u32) -> anyhow::Result<()> {
    ensure!(
        (MONTHS_MIN..=1200).contains(&months),
        "{name} must be {MONTHS_MIN} to 1200: Decree 165/2025/ND-CP asks for no less than {MONTHS_MIN}"
    );
    Ok(())
}

impl ClassEntry {
    fn class(self, schema: &Schema) -> anyhow::Result<Class> {
        check_months("months", self.months)?;
        let kinds = self.kinds.iter().map(|name| {
            let kind = Kind::from_str_name(&name.to_uppercase()).filter(|kind| *kind != Kind::Unspecified);
            let kind = kind.with_context(|| format!("there is no kind of entry {name:?}"))?;
            ensure!(kind != Kind::HubEvent, "events of the hub itself are always kept");
            Ok(kind)
        });
        let disclosures = self.disclosures.iter().map(|name| {
            let disclosure = Disclosure::from_str_name(&name.to_uppercase());
            disclosure
                .filter(|known| *known != Disclosure::Unspecified)
                .with_context(|| format!("disclosure {name:?} is none of \"immediate\", \"delayed\", \"never\""))
        });
        let class = Class {
            kinds: kinds.collect::<anyhow::Result<_>>()?,
            disclosures: disclosures.collect::<anyhow::Result<_>>()?,
            name: self.name,
            months: self.months,
            purposes: self.purposes,
            record_types: self.record_types,
            sensitive: self.sensitive,
        };
        if let Some(unknown) = class.record_types.iter().find(|name| schema.record_type(name).is_none()) {
            bail!("there is no record type {unknown}");
        }
        let conditional = class.sensitive
            || !(class.kinds.is_empty()
                && class.disclosures.is_empty()
                && class.purposes.is_empty()
                && class.record_types.is_empty());
        ensure!(conditional, "states no condition; default_months is for entries of no class");
        Ok(class)
    }
}

impl HoldEntry {
    fn hold(self) -> anyhow::Result<Hold> {
        for (name, text) in [("number", &self.number), ("ordered_by", &self.ordered_by), ("reason", &self.reason)] {
            ensure!(!text.trim().is_empty(), "{name} is empty");
            ensure!(!has_long_number(text), "{name} holds what may be a personal number, and goes into the log");
        }
        let stamp = |time: Option<DateTime<Utc>>| time.map(query::timestamp);
        let covers = Filter {
            from: stamp(self.from),
            until: stamp(self.until),
            agency: self.agency,
            system: self.system,
            officer: self.officer,
            dossier_number: self.dossier_number,
            subjects: self.subject.map(SubjectEntry::hash).transpose()?.into_iter().collect(),
            ..Filter::default()
        };
        ensure!(covers != Filter::default(), "says nothing of what it covers");
        Ok(Hold { number: self.number, ordered_by: self.ordered_by, reason: self.reason, covers })
    }
}

impl SubjectEntry {
    fn hash(self) -> anyhow::Result<SubjectHash> {
        let kind = IdentifierKind::from_str_name(&self.kind.to_uppercase());
        let kind = kind.filter(|kind| *kind != IdentifierKind::Unspecified);
        let hash = hex::decode(&self.hash).ok().filter(|hash| hash.len() == 32);
        Ok(SubjectHash {
            kind: kind.with_context(|| format!("there is no kind of number {:?}", self.kind))?.into(),
            key_id: self.key_id,
            hash: hash.context("hash must be 64 hexadecimal digits, as in an entry of the log")?,
        })
    }
}

/// Records holds as they are placed and lifted, and once a day removes what is at the end of its period, from the start of
/// the hub until told to stop. What is wrong with the files stops the removing, not the hub.
pub(crate) async fn run(files: RetentionFiles, current: Arc<Current>, mut stop: watch::Receiver<bool>) {
    let mut next = Instant::now();
    loop {
        let (due, hub) = (Instant::now() >= next, current.hub());
        tokio::select! {
            done = act(&files, &hub, due) => match done {
                Ok(()) if due => next = Instant::now() + INTERVAL,
                Ok(()) => {}
                Err(error) => tracing::error!("nothing is removed from the audit log: {error:#}"),
            },
            () = told_to_stop(&mut stop) => return,
        }
        tokio::select! {
            () = tokio::time::sleep(HOLDS_INTERVAL) => {}
            () = told_to_stop(&mut stop) => return,
        }
    }
}

async fn act(files: &RetentionFiles, hub: &Hub, due: bool) -> anyhow::Result<()> {
    let holds = files.holds()?;
    record_holds(hub, &holds).await?;
    if due {
        let removed = hub.audit.retain(&files.rules()?, &holds, Utc::now(), |_, _| {}).await?;
        tracing::info!(looked_at = removed.looked_at, removed = removed.count(), "retention run");
    }
    Ok(())
}

/// Records what differs from what the log says is held.
pub(crate) async fn record_holds(hub: &Hub, holds: &[Hold]) -> anyhow::Result<()> {
    let known = known_holds(hub).await?;
    for (number, stated) in &known {
        if !holds.iter().any(|hold| hold.number == *number && statement(hold) == *stated) {
            record_event(&hub.audit, LIFTED, &[("number", number)]).await?;
        }
    }
    for hold in holds {
        let stated = statement(hold);
        if !known.contains(&(hold.number.clone(), stated.clone())) {
            let details: Vec<(&str, &str)> =
                stated.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            record_event(&hub.audit, PLACED, &details).await?;
        }
    }
    Ok(())
}

/// What an entry states of a hold, in order.
type Statement = Vec<(String, String)>;

fn statement(hold: &Hold) -> Statement {
    let time = |time: &Option<prost_types::Timestamp>| {
        let time = time.as_ref().and_then(|time| DateTime::from_timestamp(time.seconds, time.nanos.unsigned_abs()));
        time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    };
    let covers = &hold.covers;
    let subject = covers.subjects.first().map(|subject| {
        format!("{} {} {}", subject.kind().as_str_name().to_lowercase(), subject.key_id, hex::encode(&subject.hash))
    });
    let stated = [
        ("number", Some(hold.number.clone())),
        ("ordered_by", Some(hold.ordered_by.clone())),
        ("reason", Some(hold.reason.clone())),
        ("subject", subject),
        ("dossier_number", covers.dossier_number.clone()),
        ("agency", covers.agency.clone()),
        ("system", covers.system.clone()),
        ("officer", covers.officer.clone()),
        ("from", time(&covers.from)),
        ("until", time(&covers.until)),
    ];
    stated.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The holds that are in force as far as the log knows: placed, and not lifted since.
async fn known_holds(hub: &Hub) -> anyhow::Result<Vec<(String, Statement)>> {
    let mut events = Vec::new();
    for event in [PLACED, LIFTED] {
        let filter = Filter { event: Some(event.to_owned()), ..Filter::default() };
        let mut token = String::new();
        loop {
            let page = hub.audit.search(&filter, audit::PAGE_SIZE_MAX, &token).await?;
            events.extend(page.entries.into_iter().filter_map(|logged| logged.entry));
            if page.next_page_token.is_empty() {
                break;
            }
            token = page.next_page_token;
        }
    }
    events.sort_by_key(|entry| entry.time.map(|time| (time.seconds, time.nanos)));
    let mut known: Vec<(String, Statement)> = Vec::new();
    for entry in events {
        let mut details = entry.details.into_iter().map(|detail| (detail.name, detail.value));
        let Some((_, event)) = details.next() else { continue };
        let stated: Statement = details.collect();
        let Some((_, number)) = stated.first().cloned() else { continue };
        known.retain(|(known, _)| *known != number);
        if event == PLACED {
            known.push((number, stated));
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests;
