//! What the tests of the command line share.

use std::path::Path;

use strongroom_testkit::{Output, Strongroom};

/// A run of the program with these arguments.
pub(crate) fn strongroom(args: &[&str]) -> Strongroom {
    Strongroom::new(env!("CARGO_BIN_EXE_strongroom")).args(args)
}

/// The URL of a collection in this folder.
pub(crate) fn collection(folder: &Path) -> String {
    format!("file://{}", folder.display())
}

/// A run as a snapshot shows it: the command, what it printed, how it ended.
pub(crate) fn transcript(args: &[&str], output: &Output) -> String {
    let mut text = format!("$ strongroom {}\n", args.join(" "));
    text.push_str(&output.stdout);
    for line in output.stderr.lines() {
        text.push_str(&format!("2> {line}\n"));
    }
    let code = output.code.map_or("none".to_owned(), |code| code.to_string());
    text.push_str(&format!("exit {code}\n"));
    text
}

/// Runs the program with each of these arguments, and writes down what happened.
pub(crate) fn transcripts(calls: &[&[&str]]) -> String {
    let run = |args: &&[&str]| transcript(args, &strongroom(args).run());
    calls.iter().map(run).collect::<Vec<_>>().join("\n")
}
