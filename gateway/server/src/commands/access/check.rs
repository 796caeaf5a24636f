//! `lienthong access check`.

use std::process::ExitCode;

use access::Problem;

use super::{Files, Moment};
use crate::show;

/// Lint the files.
#[derive(clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    moment: Moment,
    /// End with exit code 1 on warnings too.
    #[arg(long)]
    deny_warnings: bool,
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let ((schema, files), now) = (self.files.read()?, self.moment.get());
        let loaded = match super::load(&schema, &files, now) {
            Ok(loaded) => loaded,
            Err(error) => {
                say("error", &error.problems)?;
                show::line(format!("{} errors: a hub would refuse these files", error.problems.len()))?;
                return Ok(ExitCode::FAILURE);
            }
        };
        let mut warnings = loaded.warnings;
        warnings.extend(loaded.set.lint(now));
        warnings.sort_by(|left, right| (&left.file, left.line).cmp(&(&right.file, right.line)));
        say("warning", &warnings)?;
        show::line(format!(
            "no errors, {} warnings: {} agreements of {} agencies for {} purposes; digest {}",
            warnings.len(),
            loaded.set.agreements().len(),
            loaded.set.agencies().len(),
            loaded.set.purposes().len(),
            loaded.set.digest()
        ))?;
        Ok(if self.deny_warnings && !warnings.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn say(what: &str, problems: &[Problem]) -> std::io::Result<()> {
    problems.iter().try_for_each(|problem| show::line(format!("{what}: {problem}")))
}
