//! The tour as `deploy/demo/tour.toml` states it.

use std::path::Path;

use anyhow::{Context, anyhow};
use serde::Deserialize;
use synthetic::{Cast, CastMember};

use super::DEPLOY;
use crate::client::ProfileOfficer;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tour {
    /// Source whose database is not there at start.
    pub(super) absent_at_start: String,
    pub(super) clients: Vec<TourClient>,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TourClient {
    pub(super) name: String,
    pub(super) agency: String,
    pub(super) system: String,
    pub(super) officer: ProfileOfficer,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) title_vi: String,
    pub(super) title_en: String,
    pub(super) client: String,
    #[serde(default)]
    pub(super) purpose: String,
    #[serde(default)]
    pub(super) dossier: String,
    /// Brings the absent source back before the step.
    #[serde(default)]
    pub(super) bring_back_source: bool,
    pub(super) act: Act,
    pub(super) expect: Expect,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Act {
    Query(QueryAct),
    Verify {
        subject: String,
        claims: Vec<String>,
    },
    Search {
        subject: String,
    },
    /// Proves the newest entry of the last search.
    Prove {},
    VerifyLog {},
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryAct {
    /// Personal id.
    pub(super) subject: Option<String>,
    pub(super) legacy_id: Option<String>,
    pub(super) enterprise_code: Option<String>,
    pub(super) select: Vec<String>,
}

/// What a step must come to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Expect {
    Answer {
        /// Last parts of record types that must be found.
        found: Vec<String>,
        #[serde(default)]
        unavailable: Vec<String>,
        #[serde(default)]
        withheld: Vec<String>,
        #[serde(default)]
        discrepancies: Vec<String>,
        complete: bool,
    },
    Verdicts {
        results: Vec<String>,
    },
    Refused {
        code: String,
    },
    Entries {
        /// At least so many.
        count: usize,
    },
    Proven {},
}

impl Tour {
    pub(super) fn load() -> anyhow::Result<Self> {
        let text = DEPLOY
            .get_file("demo/tour.toml")
            .and_then(include_dir::File::contents_utf8)
            .context("demo/tour.toml is not built in")?;
        toml::from_str(text).context("demo/tour.toml is not valid")
    }

    /// What to try while the hub stays up.
    pub(super) fn farewell(&self, dir: &Path, address: &str, cast: &Cast) -> String {
        let text = DEPLOY.get_file("demo/farewell.txt").and_then(include_dir::File::contents_utf8).unwrap_or_default();
        let text = text.replace("{dir}", &dir.display().to_string()).replace("{address}", address);
        fill(&text, cast).unwrap_or(text)
    }
}

/// Puts the synthetic people and things in the place of `{…}`.
pub(super) fn fill(text: &str, cast: &Cast) -> anyhow::Result<String> {
    let mut filled = text.to_owned();
    for (name, member) in
        [("everywhere", &cast.everywhere), ("known_by_card", &cast.known_by_card), ("disputed", &cast.disputed)]
    {
        for part in ["name", "personal_id", "legacy_id", "social_insurance_number"] {
            let place = format!("{{{name}.{part}}}");
            if filled.contains(&place) {
                filled = filled.replace(&place, &member_part(member.as_ref(), name, part)?);
            }
        }
    }
    for (name, value) in [("enterprise_code", &cast.enterprise_code), ("budget_unit_code", &cast.budget_unit_code)] {
        let place = format!("{{{name}}}");
        if filled.contains(&place) {
            let value = value
                .as_ref()
                .ok_or_else(|| anyhow!("there is no {name} among the synthetic people; take more people"))?;
            filled = filled.replace(&place, value);
        }
    }
    Ok(filled)
}

fn member_part(member: Option<&CastMember>, name: &str, part: &str) -> anyhow::Result<String> {
    let member =
        member.ok_or_else(|| anyhow!("there is nobody for {name} among the synthetic people; take more people"))?;
    let value = match part {
        "name" => Some(member.name.clone()),
        "personal_id" => Some(member.personal_id.clone()),
        "legacy_id" => member.legacy_id.clone(),
        _ => member.social_insurance_number.clone(),
    };
    value.ok_or_else(|| anyhow!("{name} has no {part}; take another seed"))
}
