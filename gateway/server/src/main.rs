//! `lienthong`: the hub, and the tools of those who use, watch and try it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod admission;
mod call;
mod client;
mod commands;
mod config;
mod current;
mod descriptors;
mod exemplars;
mod expiry;
mod grpc;
mod https;
mod identity;
mod lending;
mod listen;
mod metrics;
mod own_events;
mod parse;
mod publish;
mod published;
mod readiness;
mod reflection;
mod rejections;
mod reload;
mod remote;
mod retention;
mod sectors;
mod serve;
mod services;
mod show;
mod sources;
mod status;
mod telemetry;
mod tls;
mod tokens;
mod witnesses;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = commands::Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("lienthong: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(arguments)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lienthong: {}", show::causes(&error));
            client::exit_code(&error)
        }
    }
}
