//! Grants: the sharing agreements, one TOML file each, read against the schema and the catalogues.

use std::{collections::HashSet, ops::Range, sync::Arc};

use chrono::{FixedOffset, NaiveDate, NaiveTime, TimeZone};
use proto::{FieldSet, RecordType, Schema};
use serde::Deserialize;
use toml::{Spanned, value::Datetime};

use crate::{
    Action, AgencyCode, Assurance, HubAction, SourceFile,
    catalogue::Catalogue,
    files::{Place, Problem, unknown},
    quota::{self, Quota, QuotaEntry},
};

/// Dates in agreements are Vietnamese days.
const UTC_OFFSET_SECONDS: i32 = 7 * 60 * 60;

/// A sharing agreement in the form decisions need.
#[derive(Debug, Clone)]
pub struct Agreement {
    /// Number of the agreement.
    pub number: String,
    /// Title.
    pub title: String,
    /// Where it states its number.
    pub place: Place,
    /// Agency that lends the data.
    pub provider: AgencyCode,
    /// Agency that may ask; agencies below it are covered.
    pub consumer: AgencyCode,
    /// Names of the consumer's systems that may ask.
    pub systems: Vec<String>,
    /// First second in force, since 1970.
    pub valid_from: i64,
    /// First second no longer in force, since 1970.
    pub valid_until: i64,
    /// Positions in [`crate::AccessSet::purposes`].
    pub purposes: Vec<usize>,
    /// What may be done with the records.
    pub actions: Vec<Action>,
    /// What may be done with the hub itself. An agreement that opens any of it opens no records.
    pub hub_actions: Vec<HubAction>,
    /// How often its systems may ask.
    pub(crate) quotas: Vec<Quota>,
    /// Legal basis.
    pub legal_basis: String,
    /// When the citizen may see entries made under it.
    pub disclosure: Disclosure,
    /// Who approved that the citizen never does, and by which decision; only with [`Disclosure::Never`].
    pub disclosure_approved_by: Option<String>,
    /// How officers must be established for sensitive fields.
    pub officer_assurance: Assurance,
    /// Record types and the fields granted of each.
    pub records: Vec<(Arc<RecordType>, FieldSet)>,
    /// Where it states its last day.
    pub(crate) last_day_place: Place,
    /// Where it names each of the record types.
    pub(crate) record_places: Vec<Place>,
}

impl Agreement {
    /// Whether it opens the audit log.
    pub fn reads_log(&self) -> bool {
        self.hub_actions.contains(&HubAction::ReadLog)
    }
}

/// When the citizen may see an entry of the audit log; the later the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disclosure {
    /// At once.
    #[default]
    Immediate,
    /// After the delay the audit log applies.
    Delayed,
    /// Never.
    Never,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantFile {
    agreement: Spanned<String>,
    title: Spanned<String>,
    parties: Parties,
    systems: Spanned<Vec<Spanned<String>>>,
    valid_from: Spanned<Datetime>,
    valid_until: Spanned<Datetime>,
    #[serde(default)]
    purposes: Vec<Spanned<String>>,
    actions: Spanned<Vec<GrantAction>>,
    legal_basis: Spanned<String>,
    disclosure: Spanned<Disclosure>,
    disclosure_approved_by: Option<Spanned<String>>,
    #[serde(default = "proven")]
    officer_assurance: Assurance,
    #[serde(default)]
    records: Vec<Records>,
    #[serde(default)]
    quotas: Vec<QuotaEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parties {
    provider: Spanned<String>,
    consumer: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    r#type: Spanned<String>,
    #[serde(default)]
    fields: Vec<Spanned<String>>,
    #[serde(default)]
    groups: Vec<Spanned<String>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum GrantAction {
    Query,
    Verify,
    Batch,
    Search,
    ReadLog,
    Operate,
}

fn proven() -> Assurance {
    Assurance::Proven
}

/// Reads one grant. `None` when something is wrong with it, which is then among the problems. The warnings are about what is
/// said twice.
pub(crate) fn read(
    file: &SourceFile,
    schema: &Schema,
    catalogue: &Catalogue,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) -> Option<Agreement> {
    let grant: GrantFile = file.parse_toml().map_err(|problem| problems.push(problem)).ok()?;
    let mut reader = Reader { file, problems: Vec::new(), warnings: Vec::new() };
    let agreement = reader.agreement(grant, schema, catalogue);
    let agreement = agreement.filter(|_| reader.problems.is_empty());
    problems.append(&mut reader.problems);
    warnings.append(&mut reader.warnings);
    agreement
}

struct Reader<'a> {
    file: &'a SourceFile,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Reader<'_> {
    fn wrong(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.problems.push(self.file.problem(span, message));
    }

    fn agreement(&mut self, grant: GrantFile, schema: &Schema, catalogue: &Catalogue) -> Option<Agreement> {
        let actions_span = grant.actions.span();
        let mut hub_actions: Vec<HubAction> =
            grant.actions.get_ref().iter().filter_map(|action| hub_action(*action)).collect();
        hub_actions.sort_unstable();
        hub_actions.dedup();
        if hub_actions == [HubAction::Operate] {
            self.wrong(actions_span.clone(), "who operates the hub reads its log as well: name read_log, too");
        }
        let mut actions: Vec<Action> =
            grant.actions.get_ref().iter().filter_map(|action| record_action(*action)).collect();
        actions.sort_unstable();
        actions.dedup();
        self.check_shape(
            !hub_actions.is_empty(),
            &actions,
            actions_span,
            grant.records.is_empty(),
            grant.purposes.is_empty(),
        );

        self.check_approval(&grant.disclosure, grant.disclosure_approved_by.as_ref());
        let disclosure_approved_by =
            grant.disclosure_approved_by.map(|approval| self.text(approval, "disclosure_approved_by"));
        self.warn_of_repeats("purpose", grant.purposes.iter());
        self.warn_of_repeats("system", grant.systems.get_ref().iter());
        let purposes = grant
            .purposes
            .iter()
            .filter_map(|code| self.or_wrong(code.span(), catalogue.listed_purpose(code.get_ref())))
            .collect();
        let mut records: Vec<(Arc<RecordType>, FieldSet)> = Vec::new();
        let mut record_places = Vec::new();
        for part in &grant.records {
            let Some((record_type, fields)) = self.records(part, schema) else { continue };
            if records.iter().any(|(earlier, _)| earlier.name == record_type.name) {
                self.wrong(part.r#type.span(), format!("record type \"{}\" stands here twice", record_type.name));
            }
            records.push((record_type, fields));
            record_places.push(self.file.place(part.r#type.span()));
        }
        let provider = self.party(&grant.parties.provider, catalogue);
        let consumer = self.party(&grant.parties.consumer, catalogue);
        let valid_from = self.start_of_day(&grant.valid_from, 0);
        let valid_until = self.start_of_day(&grant.valid_until, 1);
        if let (Some(from), Some(until)) = (valid_from, valid_until)
            && from >= until
        {
            self.wrong(grant.valid_until.span(), "valid_until is before valid_from");
        }
        let quotas = grant.quotas.into_iter().filter_map(|entry| {
            quota::quota(entry, Some(grant.agreement.get_ref()), self.file, catalogue, &mut self.problems)
        });
        let quotas = quotas.collect();
        if grant.systems.get_ref().is_empty() {
            self.wrong(grant.systems.span(), "names no system");
        }
        for name in grant.systems.get_ref() {
            if !is_system_name(name.get_ref()) {
                let message =
                    format!("\"{}\" is no name of a system: 1 to 64 small letters, digits and hyphens", name.get_ref());
                self.wrong(name.span(), message);
            }
        }
        Some(Agreement {
            place: self.file.place(grant.agreement.span()),
            last_day_place: self.file.place(grant.valid_until.span()),
            record_places,
            number: self.text(grant.agreement, "agreement"),
            title: self.text(grant.title, "title"),
            provider: provider?,
            consumer: consumer?,
            systems: grant.systems.into_inner().into_iter().map(|name| self.text(name, "system")).collect(),
            valid_from: valid_from?,
            valid_until: valid_until?,
            purposes,
            actions,
            hub_actions,
            quotas,
            legal_basis: self.text(grant.legal_basis, "legal_basis"),
            disclosure: grant.disclosure.into_inner(),
            disclosure_approved_by,
            officer_assurance: grant.officer_assurance,
            records,
        })
    }

    /// What citizens never see, somebody has answered for.
    fn check_approval(&mut self, disclosure: &Spanned<Disclosure>, approved_by: Option<&Spanned<String>>) {
        match (disclosure.get_ref(), approved_by) {
            (Disclosure::Never, None) => self.wrong(
                disclosure.span(),
                "disclosure \"never\" needs disclosure_approved_by: who approved it, and by which decision",
            ),
            (Disclosure::Immediate | Disclosure::Delayed, Some(approval)) => {
                self.wrong(approval.span(), "disclosure_approved_by goes with disclosure \"never\" only");
            }
            _ => {}
        }
    }

    /// An agreement opens records for purposes, or the log, never both.
    fn check_shape(&mut self, log: bool, actions: &[Action], span: Range<usize>, no_records: bool, no_purposes: bool) {
        let message = match (log, actions.is_empty()) {
            (true, false) => "an agreement that opens the log cannot open records",
            (true, true) if !no_records || !no_purposes => {
                "an agreement that opens the log names no records and no purposes"
            }
            (false, true) => "names no action",
            (false, false) if no_records => "names no records",
            (false, false) if no_purposes => "names no purpose",
            _ => return,
        };
        self.wrong(span, message);
    }

    /// Warns of a name that stands in a list twice.
    fn warn_of_repeats<'a>(&mut self, what: &str, names: impl Iterator<Item = &'a Spanned<String>>) {
        let mut seen = HashSet::new();
        for name in names.filter(|name| !seen.insert(name.get_ref())) {
            let message = format!("{what} \"{}\" stands here twice", name.get_ref());
            self.warnings.push(self.file.problem(name.span(), message));
        }
    }

    fn or_wrong<T>(&mut self, span: Range<usize>, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.wrong(span, message)).ok()
    }

    fn text(&mut self, text: Spanned<String>, name: &str) -> String {
        if text.get_ref().trim().is_empty() {
            self.wrong(text.span(), format!("{name} is empty"));
        }
        text.into_inner()
    }

    fn party(&mut self, code: &Spanned<String>, catalogue: &Catalogue) -> Option<AgencyCode> {
        self.or_wrong(code.span(), catalogue.listed_agency(code.get_ref()).cloned())
    }

    /// The first second of the day, or of a later one, in Viet Nam.
    fn start_of_day(&mut self, date: &Spanned<Datetime>, days_later: u64) -> Option<i64> {
        let value = date.get_ref();
        let day = value.date.filter(|_| value.time.is_none() && value.offset.is_none()).and_then(|date| {
            NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into())?
                .checked_add_days(chrono::Days::new(days_later))
        });
        let start = day.and_then(|day| {
            FixedOffset::east_opt(UTC_OFFSET_SECONDS)?.from_local_datetime(&day.and_time(NaiveTime::MIN)).single()
        });
        if start.is_none() {
            self.wrong(date.span(), "not a date of the form 2026-12-31");
        }
        start.map(|start| start.timestamp())
    }

    fn records(&mut self, part: &Records, schema: &Schema) -> Option<(Arc<RecordType>, FieldSet)> {
        let name = part.r#type.get_ref();
        let Some(record_type) = schema.record_type(name) else {
            let known = schema.record_types().map(|record_type| record_type.name.as_str());
            self.wrong(part.r#type.span(), unknown("record type", name, known));
            return None;
        };
        let mut granted = record_type.no_fields();
        for path in &part.fields {
            let fields = record_type.expand(path.get_ref());
            if fields.is_empty() {
                let known = record_type.fields.iter().map(|field| field.path.as_str());
                self.wrong(path.span(), unknown(&format!("field of {name}"), path.get_ref(), known));
            }
            if !fields.is_empty() && fields.difference(&granted).is_empty() {
                let message = format!("field \"{}\" stands here twice", path.get_ref());
                self.warnings.push(self.file.problem(path.span(), message));
            }
            granted.union_with(&fields);
        }
        let named = granted.clone();
        for group in &part.groups {
            let mut fields = record_type.no_fields();
            let members = record_type.fields.iter().enumerate().filter(|(_, field)| &field.group == group.get_ref());
            members.for_each(|(index, _)| fields.insert(index));
            if fields.is_empty() {
                let known = record_type.fields.iter().map(|field| field.group.as_str());
                self.wrong(group.span(), unknown(&format!("field group of {name}"), group.get_ref(), known));
            }
            for field in fields.intersection(&named).iter() {
                let path = &record_type.fields[field].path;
                let message = format!("group \"{}\" holds field \"{path}\", which is named as well", group.get_ref());
                self.warnings.push(self.file.problem(group.span(), message));
            }
            granted.union_with(&fields);
        }
        self.warn_of_repeats("group", part.groups.iter());
        if part.fields.is_empty() && part.groups.is_empty() {
            self.wrong(part.r#type.span(), "names neither fields nor groups");
        }
        Some((record_type.clone(), granted))
    }
}

fn record_action(action: GrantAction) -> Option<Action> {
    match action {
        GrantAction::Query => Some(Action::Query),
        GrantAction::Verify => Some(Action::Verify),
        GrantAction::Batch => Some(Action::Batch),
        GrantAction::Search => Some(Action::Search),
        GrantAction::ReadLog | GrantAction::Operate => None,
    }
}

fn hub_action(action: GrantAction) -> Option<HubAction> {
    match action {
        GrantAction::ReadLog => Some(HubAction::ReadLog),
        GrantAction::Operate => Some(HubAction::Operate),
        GrantAction::Query | GrantAction::Verify | GrantAction::Batch | GrantAction::Search => None,
    }
}

/// Whether a certificate can carry this system name. One that none can carry is a slip of the pen: the grant would never
/// apply.
fn is_system_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
