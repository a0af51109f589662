//! `strongroom verify`: proves that a backup can be restored.

use std::time::Instant;

use clap::Args;
use serde::Serialize;
use strongroom_dataplane::Result;
use strongroom_dataplane::collection::Backup;
use strongroom_dataplane::verify::{self, Verified};
use strongroom_format::BackupId;

use crate::args::{InCollection, KeyArgs, WorkerArgs};
use crate::output::{self, count, facts};
use crate::progress::Reporter;
use crate::signals::cancelled_by_signals;

/// Check that a backup is whole: read every object, check every checksum, count every row
#[derive(Debug, Args)]
#[command(after_help = "\
With --restore it is also restored into a throwaway PostgreSQL server on this machine, which
needs the server's programs (initdb, postgres) here.

Examples:
  strongroom verify latest --in file:///var/backups/shop
  strongroom verify 2026/11/22-130000.00 --in file:///var/backups/shop --restore")]
pub(crate) struct VerifyArgs {
    /// The backup: an id as `strongroom backups` prints it, or `latest`
    backup: String,

    #[command(flatten)]
    collection: InCollection,

    /// Also restore it into a throwaway server, and count the rows there
    #[arg(long)]
    restore: bool,

    #[command(flatten)]
    workers: WorkerArgs,

    #[command(flatten)]
    key: KeyArgs,
}

/// What is told of a verified backup.
#[derive(Serialize)]
struct Report {
    backup: BackupId,
    status: &'static str,
    #[serde(flatten)]
    verified: Verified,
    seconds: f64,
}

impl VerifyArgs {
    pub(crate) async fn run(self, json: bool) -> Result<String> {
        let started = Instant::now();
        let store = self.collection.open()?;
        let secret = self.key.secret()?;
        let backup = Backup::open(&store, &self.backup, secret.as_ref()).await?;
        let workers = self.workers.count();
        let reporter = Reporter::new(json);
        let (progress, cancel) = (reporter.progress(), cancelled_by_signals(&reporter));
        let verified = match self.restore {
            true => verify::verify_by_restore(&backup, workers, &progress, &cancel).await,
            false => verify::verify(&backup, workers, &progress, &cancel).await,
        };
        let notes = reporter.finish();
        let mut verified = verified?;
        if json {
            output::add_missing(&mut verified.notes, notes);
        }
        let report = Report {
            backup: backup.manifest.id,
            status: "ok",
            verified,
            seconds: output::seconds_since(started),
        };
        Ok(if json { output::json(&report) } else { report.text() })
    }
}

impl Report {
    fn text(&self) -> String {
        let verified = &self.verified;
        let restored = verified.restored_tables.map(|tables| {
            format!(
                "{} into a throwaway server, with the same rows",
                output::counted(tables, "table")
            )
        });
        let mut text = facts(&[
            ("backup", self.backup.to_string()),
            ("status", "ok: every byte is what was written".to_owned()),
            ("objects", count(verified.objects)),
            ("segments", count(verified.segments)),
            ("rows", count(verified.rows)),
            ("read", output::size(verified.bytes_read)),
            ("restored", restored.unwrap_or_default()),
            (
                "took",
                format!(
                    "{} ({})",
                    output::seconds(self.seconds),
                    output::rate(verified.bytes_read, self.seconds)
                ),
            ),
        ]);
        for note in &verified.notes {
            text.push_str(&format!("note: {}\n", output::printable(note)));
        }
        text
    }
}
