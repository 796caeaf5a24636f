//! `lienthong audit keygen`: keys of logs, witnesses and hashed subjects, in files that only their owner may read.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use audit::{SigningKey, SubjectHasher};

use crate::show;

/// Make a key in a new file; an existing file is left alone.
#[derive(clap::Args)]
pub(crate) struct Keygen {
    /// What the key is for.
    #[arg(long = "for", value_enum, value_name = "USE", default_value_t = Use::Log)]
    usage: Use,
    /// Name of the log (its origin), or of the witness: an address without https://, for example hub.example.vn/log.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// File to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Use {
    /// Signs the checkpoints of a log.
    Log,
    /// Cosigns the checkpoints of logs, as a witness.
    Witness,
    /// Hashes the numbers of subjects.
    Subjects,
}

impl Keygen {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let name = || self.name.as_deref().context("a log or a witness needs a --name");
        let key = match self.usage {
            Use::Subjects => {
                SubjectHasher::create(&self.out)?;
                return Ok(ExitCode::SUCCESS);
            }
            Use::Log => SigningKey::generate(name()?)?,
            Use::Witness => SigningKey::generate_for_witness(name()?)?,
        };
        key.save(&self.out)?;
        show::line(key.verifier())?;
        Ok(ExitCode::SUCCESS)
    }
}
