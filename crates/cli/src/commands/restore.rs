//! `strongroom restore`: puts back a cluster, databases, or tables.
//!
//! Always the same road: plan, show the plan, refuse it or run it. `--plan` stops after showing.

mod args;
mod plan;

use std::io::{BufRead, IsTerminal};
use std::time::Instant;

use serde::Serialize;
use strongroom_dataplane::collection::Backup;
use strongroom_dataplane::names::TableName;
use strongroom_dataplane::postgres::server::Server;
use strongroom_dataplane::restore::{
    self, Fence, RestoreOptions, RestoreTarget, Restored, SkipMissing,
};
use strongroom_dataplane::{Error, Kind, Result};
use strongroom_format::BackupId;

use self::args::{Common, What};
use crate::args::server;
use crate::output::{self, count, facts};
use crate::progress::Reporter;
use crate::signals::cancelled_by_signals;

pub(crate) use self::args::RestoreArgs;

impl RestoreArgs {
    pub(crate) async fn run(self, json: bool) -> Result<String> {
        match self.what {
            What::Cluster(args) => {
                let asks = !args.yes && !args.common.plan;
                if asks && (json || !std::io::stdin().is_terminal()) {
                    return Err(Error::new(
                        Kind::Usage,
                        "restoring a cluster replaces every database of the server, and there is no \
                         terminal to confirm it at",
                    )
                    .hint("add --yes if that is what you want; --plan shows what would be done"));
                }
                run(args.common, RestoreTarget::Cluster, SkipMissing::default(), asks, json).await
            }
            What::Database(args) => {
                let target =
                    RestoreTarget::Databases { names: args.names, restore_to: args.restore_to };
                run(args.common, target, args.skip_missing.into(), false, json).await
            }
            What::Table(args) => {
                let names = args.names.iter().map(|name| name.parse());
                let target = RestoreTarget::Tables {
                    names: names.collect::<Result<Vec<TableName>>>()?,
                    into_db: args.into_db,
                    into_schema: args.into_schema,
                    new_table_name: args.new_table_name,
                };
                run(args.common, target, args.skip_missing.into(), false, json).await
            }
        }
    }
}

/// What is told of a finished restore.
#[derive(Serialize)]
struct Report {
    backup: BackupId,
    #[serde(flatten)]
    restored: Restored,
    seconds: f64,
}

async fn run(
    common: Common,
    target: RestoreTarget,
    skip_missing: SkipMissing,
    asks: bool,
    json: bool,
) -> Result<String> {
    let started = Instant::now();
    let to = server(common.to.as_deref())?;
    let store = common.collection.open()?;
    let secret = common.key.secret()?;
    let backup = Backup::open(&store, &common.from, secret.as_ref()).await?;
    let (workers, fence) = (common.workers.count(), Fence::open());
    let options = RestoreOptions { target, to, skip_missing, schema_only: false, workers, fence };
    let reporter = Reporter::new(json);
    let progress = reporter.progress();
    let plan = restore::plan(&backup, &options, &progress).await;
    reporter.finish();
    let plan = plan?;
    if common.plan {
        return Ok(if json { output::json(&plan) } else { plan::text(&plan) });
    }
    // The error of a refused plan tells its first obstacle itself.
    let obstacles = plan.conflicts.len() + plan.missing.len();
    if obstacles != 1 {
        reporter.say(plan::text(&plan).trim_end());
    }
    plan.refuse()?;
    if asks {
        confirm(&options.to)?;
    }
    let cancel = cancelled_by_signals(&reporter);
    let restored = restore::run(&backup, &options, &progress, &cancel).await;
    let notes = reporter.finish();
    let mut restored = restored?;
    if json {
        output::add_missing(&mut restored.notes, notes);
    }
    let report =
        Report { backup: backup.manifest.id, restored, seconds: output::seconds_since(started) };
    Ok(if json { output::json(&report) } else { report.text() })
}

/// Has the person type the server's name, which a hand on the wrong terminal does not.
fn confirm(server: &Server) -> Result<()> {
    let word = server.to_string();
    output::ask(&format!(
        "This replaces every database of {word}. Type {word} to go on, anything else to stop: "
    ));
    let mut typed = String::new();
    let read = std::io::stdin().lock().read_line(&mut typed);
    if read.is_ok() && typed.trim() == word {
        return Ok(());
    }
    Err(Error::new(Kind::Cancelled, "the restore was not confirmed; nothing was changed"))
}

impl Report {
    fn text(&self) -> String {
        let restored = &self.restored;
        let mut text = facts(&[
            ("restored", output::names(&restored.created, 100)),
            ("from", format!("backup {}", self.backup)),
            ("tables", count(restored.tables)),
            ("rows", count(restored.rows)),
            ("size", output::size(restored.size_bytes)),
            ("read", format!("{} from the collection", output::size(restored.bytes_read))),
            (
                "took",
                format!(
                    "{} ({})",
                    output::seconds(self.seconds),
                    output::rate(restored.size_bytes, self.seconds)
                ),
            ),
        ]);
        for note in &restored.notes {
            text.push_str(&format!("note: {}\n", output::printable(note)));
        }
        text
    }
}
