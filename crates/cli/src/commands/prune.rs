//! `strongroom prune`: deletes what no kept backup needs.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use strongroom_dataplane::Result;
use strongroom_dataplane::prune::{self, Action, Expiry, PruneOptions, Pruned};

use crate::args::{InCollection, KeyArgs, duration};
use crate::output;
use crate::progress::Reporter;
use crate::signals::cancelled_by_signals;

/// Let old backups expire, and delete what no kept backup needs
#[derive(Debug, Args)]
#[command(after_help = "\
A backup that is older than its type is kept expires: it is no longer listed, and can not be
restored. Its objects are deleted by a later prune, when the grace time has passed since; a restore
that has begun can end until then. Packs that a kept backup needs stay for as long as it does. The
newest backup of each cluster and targets never expires.

What an interrupted backup left is removed when nothing was written there for the grace time. Prune
may run beside backups, restores and other prunes, may be interrupted, and should run regularly.

For encrypted backups give the key: without it, nothing is deleted of a chain in which a backup is
kept, since what that one needs can not be read.

Examples:
  strongroom prune --in file:///var/backups/shop --keep-full 30d --keep-incremental 7d --dry-run
  strongroom prune --in file:///var/backups/shop --keep-full 30d --keep-incremental 7d --json \\
      | jq -r '.backups[] | select(.action == \"expire\") | .id'")]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    collection: InCollection,

    /// How long full backups are kept, as 30d or 12h
    #[arg(long, value_name = "AGE", value_parser = duration)]
    keep_full: Duration,

    /// How long incremental backups are kept
    #[arg(long, value_name = "AGE", value_parser = duration)]
    keep_incremental: Duration,

    /// How long the objects of an expired backup stay, and how long a backup may write nothing
    /// before it counts as interrupted
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    grace: Duration,

    /// Only tell what would be done, and why
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    key: KeyArgs,

    /// What time it is; for tests
    #[arg(long, hide = true)]
    now: Option<Timestamp>,
}

/// What is told of a finished prune.
#[derive(Serialize)]
struct Report<'a> {
    collection: &'a str,
    dry_run: bool,
    #[serde(flatten)]
    pruned: Pruned,
}

impl PruneArgs {
    pub(crate) async fn run(self, json: bool) -> Result<String> {
        let store = self.collection.open()?;
        let options = PruneOptions {
            expiry: Expiry::ByAge { full: self.keep_full, incremental: self.keep_incremental },
            grace: self.grace,
            secret: self.key.secret()?,
            dry_run: self.dry_run,
            now: self.now,
        };
        let reporter = Reporter::new(json);
        let cancel = cancelled_by_signals(&reporter);
        let pruned = prune::run(&store, &options, &reporter.progress(), &cancel).await;
        reporter.finish();
        let report = Report { collection: store.shown(), dry_run: self.dry_run, pruned: pruned? };
        Ok(if json { output::json(&report) } else { report.text() })
    }
}

impl Report<'_> {
    fn text(&self) -> String {
        let Pruned { backups, freed_bytes, notes } = &self.pruned;
        if backups.is_empty() {
            return format!("collection {} holds no backups", self.collection);
        }
        let rows = backups.iter().map(|verdict| {
            vec![
                verdict.id.to_string(),
                verdict.kind.to_owned(),
                output::size(verdict.stored_bytes),
                output::size(verdict.freed_bytes),
                format!("{}: {}", verdict.action.name(), verdict.reason),
            ]
        });
        let frees = if self.dry_run { ">WOULD FREE" } else { ">FREED" };
        let mut text = output::table(&["BACKUP", "TYPE", ">STORED", frees, "WHY"], rows);
        for note in notes {
            text.push_str(&format!("note: {}\n", output::printable(note)));
        }
        let expired = backups.iter().filter(|verdict| verdict.action == Action::Expire).count();
        let (expire, free) = match self.dry_run {
            true => ("would expire", "would be freed"),
            false => ("expired", "freed"),
        };
        let any = expired > 0;
        let expired = output::counted(expired as u64, "backup");
        let freed = output::size(*freed_bytes);
        text.push_str(&format!("\n{expired} {expire}, {freed} {free}\n"));
        if any {
            text.push_str("what expires is deleted by a later prune, after the grace time\n");
        }
        text
    }
}
