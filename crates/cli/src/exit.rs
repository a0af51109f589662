//! How the program ends: the only place that knows exit codes, and what a failure looks like.
//!
//! Codes: 0 done, 1 failed, 2 the call itself is wrong. More codes would invite scripts to depend on
//! a classification that servers and stores do not make reliably; who needs it reads the `kind` in
//! the JSON form, which is stable.

use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use serde::Serialize;
use strongroom_dataplane::{Error, Kind};

use crate::output;

/// The exit code of an error of this kind.
fn code(kind: Kind) -> ExitCode {
    match kind {
        Kind::Usage => ExitCode::from(2),
        Kind::NotFound
        | Kind::Conflict
        | Kind::Missing
        | Kind::Damaged
        | Kind::Key
        | Kind::Unsupported
        | Kind::Denied
        | Kind::Unreachable
        | Kind::Exhausted
        | Kind::Busy
        | Kind::Cancelled
        | Kind::Failed => ExitCode::from(1),
    }
}

/// The JSON form of an error.
#[derive(Serialize)]
struct Failure<'a> {
    error: FailureBody<'a>,
}

#[derive(Serialize)]
struct FailureBody<'a> {
    kind: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
}

/// Tells an error, if there is one, and makes the exit code.
pub(crate) fn report(done: Result<(), Error>, json: bool) -> ExitCode {
    let Err(error) = done else {
        return ExitCode::SUCCESS;
    };
    let (message, hint) = (error.message(), error.hint_text());
    if json {
        output::complain(&as_json(error.kind(), message, hint));
    } else {
        output::complain(&as_text(message, hint));
    }
    code(error.kind())
}

/// Tells what is wrong with the arguments, or prints the help that they ask for.
pub(crate) fn unparsed(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that has gone away is no failure; nobody else can be told of one.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        // The help again, but as an answer to a call without a command.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
        }
        _ if std::env::args_os().any(|arg| arg == "--json") => {
            let text = error.to_string();
            let message = text.lines().next().unwrap_or_default();
            let message = message.strip_prefix("error: ").unwrap_or(message).to_owned();
            let message = match missing(error) {
                Some(names) => format!("{message} {names}"),
                None => message,
            };
            let hint = "strongroom --help and the help of each command tell the arguments";
            output::complain(&as_json(Kind::Usage, &message, Some(hint)));
        }
        _ => output::complain(error.render().to_string().trim_end()),
    }
    code(Kind::Usage)
}

/// The arguments that are missing, which clap puts on lines of their own.
fn missing(error: &clap::Error) -> Option<String> {
    let of = matches!(error.kind(), ErrorKind::MissingRequiredArgument);
    of.then(|| error.get(ContextKind::InvalidArg).map(ToString::to_string)).flatten()
}

fn as_text(message: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("error: {message}\n  hint: {hint}"),
        None => format!("error: {message}"),
    }
}

fn as_json(kind: Kind, message: &str, hint: Option<&str>) -> String {
    output::json_line(&Failure { error: FailureBody { kind: kind.name(), message, hint } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wrong_call_has_a_code_of_its_own() {
        assert_eq!(code(Kind::Usage), ExitCode::from(2));
        for kind in [Kind::NotFound, Kind::Damaged, Kind::Cancelled, Kind::Failed] {
            assert_eq!(code(kind), ExitCode::from(1));
        }
        assert_eq!(report(Ok(()), false), ExitCode::SUCCESS);
    }

    #[test]
    fn an_error_is_told_with_its_way_out() {
        assert_eq!(as_text("it broke", None), "error: it broke");
        assert_eq!(as_text("it broke", Some("mend it")), "error: it broke\n  hint: mend it");
        assert_eq!(
            as_json(Kind::NotFound, "no \"x\"", None),
            r#"{"error":{"kind":"not-found","message":"no \"x\"","hint":null}}"#
        );
    }
}
