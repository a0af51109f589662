//! The command line: people's first way to everything that Strongroom does, and scripts' only one.
//!
//! It adds nothing to what the dataplane can do. It reads the arguments, calls one function, and
//! shows what came of it: the result, and only the result, on the standard output; progress, notes
//! and errors on the standard error output; and an exit code that a script can trust.

mod args;
mod commands;
mod exit;
mod output;
mod progress;
mod signals;

use std::process::ExitCode;

use clap::Parser;
use strongroom_dataplane::{Error, Kind};

use crate::args::Cli;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::unparsed(&error),
    };
    let json = cli.json;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime
        .map_err(|error| Error::new(Kind::Failed, format!("no threads can be started: {error}")))
        .and_then(|runtime| runtime.block_on(commands::run(cli)))
        .and_then(|result| output::result(&result));
    exit::report(done, json)
}
