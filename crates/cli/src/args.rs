//! The arguments, as people write them, and what they stand for.
//!
//! Arguments that several commands share are defined once, so that they mean the same everywhere.
//! A secret is never the value of an argument, because every user of the machine can see those:
//! keys come from a file, a passphrase from the environment, and a server's password from
//! `PGPASSWORD` or a pass file (or, where somebody insists, from inside the URL).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser};
use jiff::{Span, SpanRelativeTo};
use strongroom_dataplane::postgres::server::Server;
use strongroom_dataplane::store::Store;
use strongroom_dataplane::{Error, Kind, Result};
use strongroom_format::key::Secret;
use zeroize::Zeroizing;

use crate::commands::Command;

/// Holds the passphrase of those who have no key file.
const PASSPHRASE: &str = "STRONGROOM_PASSPHRASE";
/// No key file is larger; a device that never ends must not fill the memory.
const LARGEST_KEY_FILE: u64 = 64 * 1024;

/// Backs up PostgreSQL clusters, and puts back a cluster, a database or a table.
#[derive(Debug, Parser)]
#[command(
    name = "strongroom",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Examples:
  strongroom backup --from postgresql://postgres@db:5432 --into file:///var/backups/shop
  strongroom backups --in file:///var/backups/shop
  strongroom restore table shop.public.orders --new-table-name orders_before \\
      --from latest --in file:///var/backups/shop --to postgresql://postgres@db:5432

Each command has examples of its own: strongroom restore table --help

Exit codes: 0 done, 1 failed, 2 wrong usage."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Print the result as JSON, and an error as a JSON object on stderr
    #[arg(long, global = true, display_order = 900)]
    pub(crate) json: bool,
}

/// The collection that is read.
#[derive(Debug, Args)]
pub(crate) struct InCollection {
    /// The collection: file:///absolute/folder or s3://bucket/folder?AWS_REGION=...
    #[arg(
        long = "in",
        value_name = "COLLECTION",
        env = "STRONGROOM_COLLECTION",
        hide_env_values = true
    )]
    collection: String,
}

impl InCollection {
    /// Opens it; it must exist.
    pub(crate) fn open(&self) -> Result<Store> {
        Store::open(&self.collection, false)
    }
}

/// The key of an encrypted backup.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The key of encrypted backups: a file of 32 bytes, 64 hexadecimal digits, or a passphrase;
    /// without it, the passphrase in STRONGROOM_PASSPHRASE, if that is set
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl KeyArgs {
    /// The key, if one was given.
    pub(crate) fn secret(&self) -> Result<Option<Secret>> {
        if let Some(file) = &self.key_file {
            return read_key_file(file).map(Some);
        }
        match std::env::var(PASSPHRASE).map(Zeroizing::new) {
            Err(std::env::VarError::NotPresent) => Ok(None),
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => Secret::passphrase(&text)
                .map(Some)
                .map_err(|error| Error::new(Kind::Key, format!("{PASSPHRASE}: {error}"))),
            Err(_) => Err(Error::new(Kind::Key, format!("{PASSPHRASE} is not valid UTF-8"))),
        }
    }
}

/// Reads a key file.
pub(crate) fn read_key_file(file: &Path) -> Result<Secret> {
    let shown = file.display();
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(file).and_then(|file| file.take(LARGEST_KEY_FILE).read_to_end(&mut bytes)).map_err(
        |error| {
            Error::new(Kind::Key, format!("key file {shown}: {error}"))
                .hint("check the name, and who may read it")
        },
    )?;
    Secret::from_file(&bytes).map_err(|error| {
        Error::new(Kind::Key, format!("key file {shown}: {error}"))
            .hint("openssl rand -hex 32 makes a good key; keep it apart from the backups")
    })
}

/// How much runs at the same time.
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Connections and readers at the same time [default: one per core, from 2 to 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
}

impl WorkerArgs {
    /// The number given, or one that suits the machine.
    pub(crate) fn count(&self) -> usize {
        match self.workers {
            Some(workers) => workers.into(),
            None => std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 8)),
        }
    }
}

/// The server that `url` names, or the one of `PGHOST` and friends.
pub(crate) fn server(url: Option<&str>) -> Result<Server> {
    Server::parse(url.unwrap_or_default())
}

/// A duration as people write it: `30d`, `12h`, `90m`, `1h 30m`, or a number of seconds.
pub(crate) fn duration(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs);
    let parsed = seconds.ok().or_else(|| {
        let span: Span = text.parse().ok()?;
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        Duration::try_from(duration).ok()
    });
    parsed.filter(|duration| !duration.is_zero()).ok_or_else(|| {
        "write a number of seconds, or a duration such as 90m, 12h or 30d".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_of_the_arguments_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("90", 90),
            ("12h", 43200),
            ("90m", 5400),
            ("1h 30m", 5400),
            ("30d", 30 * 86400),
            ("2w", 14 * 86400),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0", "-5", "-1h", "soon", "12x"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_file_that_does_not_end_is_not_read_for_ever() {
        // Its first 64 KiB are text, if a strange passphrase.
        assert!(read_key_file(Path::new("/dev/zero")).is_ok());
        let error = read_key_file(Path::new("/nonexistent/key")).unwrap_err();
        assert_eq!(error.kind(), Kind::Key);
    }
}
