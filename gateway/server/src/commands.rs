//! The command line.

mod access;
mod adapter;
mod audit;
mod batch;
mod config;
mod demo;
mod dev;
mod query;
mod reload;
mod search;
pub(crate) mod serve;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Liên Thông: one question to the registers of a province, one answer, and a log that proves itself.
#[derive(Parser)]
#[command(name = "lienthong", version, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 done and complete; 1 failed; 2 wrong command line; 3 refused by policy; \
    4 answered in part, or a claim unknown; 5 temporarily unavailable; 6 a claim does not match.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the hub with a configuration file, until SIGTERM or Ctrl-C.
    Serve(serve::Serve),
    /// Read records about one subject.
    Query(query::Query),
    /// Ask whether claimed values agree with the registers; no value is released.
    Verify(query::Verify),
    /// Ask the same question about many subjects, from a file into a file; goes on where it stopped.
    Batch(Box<batch::Batch>),
    /// Find candidates for somebody whose number is not known: people by name and birth year, enterprises by name.
    Search(search::Search),
    /// Have a running hub read its files again: all or nothing, recorded with digests. For operators.
    Reload(reload::Reload),
    /// Search, follow, prove and verify the audit log.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Read the files that decide: lint them, explain a decision, list who sees what, compare two versions.
    #[command(subcommand)]
    Access(access::Access),
    /// Try a mapping on one record, and check it and the data of a whole database before going live.
    #[command(subcommand)]
    Adapter(adapter::Adapter),
    /// Check a configuration.
    #[command(subcommand)]
    Config(config::Config),
    /// Make certificates, keys and synthetic people for trying and testing.
    #[command(subcommand)]
    Dev(dev::Dev),
    /// Build a whole hub with synthetic people, show it at work, and leave it running.
    Demo(demo::Demo),
}

/// How a command reaches the hub.
#[derive(clap::Args)]
pub(crate) struct Connect {
    /// Client profile: TOML with endpoint, authority, certificate, private_key and [officer].
    #[arg(long, short, value_name = "FILE", env = "LIENTHONG_PROFILE")]
    pub(crate) profile: PathBuf,
    /// Act as this officer instead of the profile's: id in the agency.
    #[arg(long, value_name = "ID", requires = "officer_name")]
    pub(crate) officer_id: Option<String>,
    /// Name of that officer.
    #[arg(long, value_name = "NAME", requires = "officer_id")]
    pub(crate) officer_name: Option<String>,
    /// File with an OpenID token that proves the officer, who is then not asserted by this system.
    #[arg(long, value_name = "FILE", env = "LIENTHONG_TOKEN_FILE", conflicts_with = "officer_id")]
    pub(crate) token_file: Option<PathBuf>,
    /// Deadline of the call.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 10_000)]
    pub(crate) timeout_ms: u64,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs the command.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        Command::Serve(command) => command.run().await,
        Command::Query(command) => command.run().await,
        Command::Verify(command) => command.run().await,
        Command::Batch(command) => command.run().await,
        Command::Search(command) => command.run().await,
        Command::Reload(command) => command.run().await,
        Command::Audit(command) => command.run().await,
        Command::Access(command) => command.run(),
        Command::Adapter(command) => command.run().await,
        Command::Config(command) => command.run(),
        Command::Dev(command) => command.run().await,
        Command::Demo(command) => command.run().await,
    }
}
