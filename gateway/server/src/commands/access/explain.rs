//! `lienthong access explain`.

use std::{process::ExitCode, sync::Arc};

use access::{AccessRequest, Action, Assurance, Caller, FieldDecision, Officer, Reason};
use anyhow::{Context, bail};
use clap::ValueEnum;
use proto::{FieldSet, RecordType};

use super::{Files, Moment, View, day, disclosure, last_day, lines, who};
use crate::{client, show};

/// Say what a system would receive and why.
#[derive(clap::Args)]
#[command(after_long_help = include_str!("../../../../../deploy/help/explain.txt"))]
pub(crate) struct Explain {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    moment: Moment,
    /// The system that asks: AGENCY/SYSTEM.
    #[arg(long, short, value_name = "AGENCY/SYSTEM")]
    system: String,
    /// Code of the purpose it states; without one, it states none.
    #[arg(long, value_name = "CODE", default_value = "")]
    purpose: String,
    /// Dossier it names.
    #[arg(long, value_name = "NUMBER")]
    dossier: Option<String>,
    /// Record type and fields: TYPE:FIELD,FIELD or, for all its fields, TYPE. Repeatable.
    #[arg(long, value_name = "TYPE[:FIELDS]", required = true)]
    select: Vec<String>,
    /// What it wants to do: query, verify, batch or search.
    #[arg(long, default_value = "query", value_parser = lines::action)]
    action: Action,
    /// How its officer is established.
    #[arg(long, value_enum, default_value_t = Established::Asserted)]
    officer: Established,
}

/// How an officer is established.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Established {
    /// Nobody is named.
    Absent,
    /// The system says so.
    Asserted,
    /// A token proves it.
    Proven,
}

impl Established {
    fn officer(self) -> Option<Officer> {
        let assurance = match self {
            Self::Absent => return None,
            Self::Asserted => Assurance::Asserted,
            Self::Proven => Assurance::Proven,
        };
        // Decisions look at how an officer is established, never at who it is.
        Some(Officer { id: "-".to_owned(), name: "-".to_owned(), unit: None, assurance })
    }
}

impl Explain {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let view = self.files.view(&self.moment)?;
        let (agency, system) = self.system.split_once('/').context("--system: write AGENCY/SYSTEM")?;
        let caller = Caller {
            agency: agency.parse().with_context(|| format!("--system: \"{agency}\""))?,
            system: system.to_owned(),
        };
        let selections = self.select.iter().map(|text| selection(&view, text)).collect::<anyhow::Result<Vec<_>>>()?;
        let officer = self.officer.officer();
        let decisions = view.set.explain(&AccessRequest {
            caller: &caller,
            officer: officer.as_ref(),
            purpose_code: &self.purpose,
            dossier_number: self.dossier.as_deref(),
            action: self.action,
            selections: &selections,
            now: view.now,
        });
        self.frame(&view, &caller)?;
        for (record_type, _) in &selections {
            fields(&view, record_type, &decisions)?;
        }
        let released = agreements(&view, &decisions)?;
        let withheld = reasons(&decisions)?;
        show::line(format!("{released} fields released, {withheld} withheld"))?;
        Ok(match (released, withheld) {
            (_, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(3),
            _ => ExitCode::from(4),
        })
    }

    /// Who asks and why, as the files know it.
    fn frame(&self, view: &View, caller: &Caller) -> anyhow::Result<()> {
        let mut upwards =
            view.set.agencies().iter().filter(|agency| caller.agency.is_in(&agency.code)).collect::<Vec<_>>();
        upwards.sort_by_key(|agency| std::cmp::Reverse(agency.code.as_str().len()));
        match upwards.first() {
            Some(agency) => show::line(format!(
                "System   {} of {} {} / {} ({})",
                caller.system,
                agency.code,
                agency.name_vi,
                agency.name_en,
                agency.kind.as_str()
            ))?,
            None => {
                show::line(format!("System   {} of {}, an agency that is not listed", caller.system, caller.agency))?
            }
        }
        match (view.set.purpose(&self.purpose), self.purpose.as_str()) {
            (Some(purpose), _) => show::line(format!(
                "Purpose  {} {} / {}; {}",
                purpose.code, purpose.name_vi, purpose.name_en, purpose.legal_basis
            ))?,
            (None, "") => show::line("Purpose  none stated")?,
            (None, code) => {
                let known = view.set.purposes().iter().map(|purpose| purpose.code.as_str());
                show::line(format!("Purpose  {}", who::unknown("purpose", code, known)))?;
            }
        }
        Ok(())
    }
}

/// Parses `TYPE[:FIELD,FIELD]`.
fn selection(view: &View, text: &str) -> anyhow::Result<(Arc<RecordType>, FieldSet)> {
    let with_colon = if text.contains(':') { text.to_owned() } else { format!("{text}:") };
    let (name, paths) = client::typed(&view.schema, &with_colon)?;
    let Some(record_type) = view.schema.record_type(&name) else {
        bail!(who::unknown("record type", &name, view.schema.record_types().map(|known| known.name.as_str())));
    };
    if !text.contains(':') {
        return Ok((Arc::clone(record_type), record_type.all_fields()));
    }
    let mut asked = record_type.no_fields();
    for path in paths.split(',').map(str::trim) {
        let fields = record_type.expand(path);
        if fields.is_empty() {
            let known = record_type.fields.iter().map(|field| field.path.as_str());
            bail!(who::unknown(&format!("field of {name}"), path, known));
        }
        asked.union_with(&fields);
    }
    Ok((Arc::clone(record_type), asked))
}

fn fields(view: &View, record_type: &RecordType, decisions: &[FieldDecision]) -> anyhow::Result<()> {
    show::line(format!("\n{} {} / {}", record_type.name, record_type.label_vi, record_type.label_en))?;
    let mut table = show::table(["Field", "Label", "Class", "Answer", "Decided by"]);
    for decision in decisions.iter().filter(|decision| decision.record_type.name == record_type.name) {
        let field = &record_type.fields[decision.field];
        let class = field.sensitivity.as_str_name().trim_start_matches("SENSITIVITY_").to_lowercase();
        let (answer, by) = match &decision.outcome {
            Ok(by) => {
                let numbers: Vec<_> =
                    by.agreements.iter().map(|&index| view.set.agreements()[index].number.as_str()).collect();
                ("released", format!("{} ({})", numbers.join(", "), by.policy_ids.join(", ")))
            }
            Err(reason) => ("withheld", by(reason)),
        };
        table.add_row([field.path.clone(), field.label_vi.clone(), class, answer.to_owned(), by]);
    }
    show::line(table)?;
    Ok(())
}

fn by(reason: &Reason) -> String {
    match &reason.policy_id {
        Some(policy) => format!("{} ({policy})", reason.code),
        None => reason.code.clone(),
    }
}

/// Prints the agreements that release; counts the fields released.
fn agreements(view: &View, decisions: &[FieldDecision]) -> anyhow::Result<usize> {
    let released: Vec<_> = decisions.iter().filter_map(|decision| decision.outcome.as_ref().ok()).collect();
    let mut indexes: Vec<usize> = released.iter().flat_map(|by| by.agreements.iter().copied()).collect();
    indexes.sort_unstable();
    indexes.dedup();
    for index in indexes {
        let agreement = &view.set.agreements()[index];
        show::line(format!("\n{}  {}\n  {}", agreement.number, agreement.title, agreement.legal_basis))?;
        show::line(format!(
            "  lent by {}, {} to {}, citizen sees the access: {}; {}",
            agreement.provider,
            day(agreement.valid_from),
            last_day(agreement),
            disclosure(agreement.disclosure),
            agreement.place
        ))?;
    }
    Ok(released.len())
}

/// Prints why the others are withheld, each reason once; counts the fields withheld.
fn reasons(decisions: &[FieldDecision]) -> anyhow::Result<usize> {
    let withheld: Vec<_> = decisions.iter().filter_map(|decision| decision.outcome.as_ref().err()).collect();
    let mut said: Vec<&Arc<Reason>> = Vec::new();
    for reason in &withheld {
        if said.contains(reason) {
            continue;
        }
        said.push(reason);
        let count = withheld.iter().filter(|other| other == &reason).count();
        show::line(format!("\n{}, {count} fields\n  {}\n  {}", by(reason), reason.message_vi, reason.message_en))?;
    }
    Ok(withheld.len())
}
