//! `strongroom restore`: puts back a cluster, databases, or tables.
//!
//! Always the same road: plan, show the plan, refuse it or run it. `--plan` stops after showing.

use std::io::{BufRead, IsTerminal};
use std::time::Instant;

use clap::{Args, Subcommand};
use serde::Serialize;
use strongroom_dataplane::collection::Backup;
use strongroom_dataplane::names::TableName;
use strongroom_dataplane::postgres::server::Server;
use strongroom_dataplane::restore::{
    self, Plan, RestoreOptions, RestoreTarget, Restored, SkipMissing,
};
use strongroom_dataplane::{Error, Kind, Result};
use strongroom_format::BackupId;

use crate::args::{InCollection, KeyArgs, WorkerArgs, server};
use crate::output::{self, count, counted, facts};
use crate::progress::Reporter;
use crate::signals::cancelled_by_signals;

/// Created objects that a plan shows of each kind; the others are counted.
const SHOWN_OF_A_KIND: usize = 12;

/// The heading above the options that leave something out.
const DEPENDENCIES: &str = "Where something that is needed is missing";

/// Put back a cluster, databases, or tables from a backup
#[derive(Debug, Args)]
#[command(after_help = "\
A restore is all or nothing: it is planned first, then loaded out of sight, then made visible in
one short step. Whatever fails or is cancelled, the server is as it was before.

Examples:
  strongroom restore database shop --restore-to shop_copy --plan \\
      --from latest --in file:///var/backups/shop --to postgresql://postgres@db:5432
  strongroom restore table shop.public.orders --new-table-name orders_before \\
      --from latest --in file:///var/backups/shop --to postgresql://postgres@db:5432")]
pub(crate) struct RestoreArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Cluster(ClusterArgs),
    Database(DatabaseArgs),
    Table(TableArgs),
}

/// Put back a whole cluster: replaces every database of the server, and its roles
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  strongroom restore cluster --from latest --in file:///var/backups/shop \\
      --to postgresql://postgres@new-db:5432")]
struct ClusterArgs {
    #[command(flatten)]
    common: Common,

    /// Do not ask; needed where there is no terminal
    #[arg(long)]
    yes: bool,
}

/// Put back databases, each under its name, or one under another
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom restore database shop billing \\
      --from latest --in file:///var/backups/shop --to postgresql://postgres@db:5432
  strongroom restore database shop --restore-to shop_yesterday --from 2026/11/22-130000.00 \\
      --in file:///var/backups/shop --to postgresql://postgres@db:5432")]
struct DatabaseArgs {
    /// The databases, by their names in the backup
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,

    #[command(flatten)]
    common: Common,

    /// Give the database this name; only where one is named
    #[arg(long, value_name = "NEW")]
    restore_to: Option<String>,

    #[command(flatten)]
    skip_missing: SkipMissingArgs,
}

/// Put back tables, beside their old place or in it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom restore table shop.public.orders --new-table-name orders_before \\
      --from latest --in file:///var/backups/shop --to postgresql://postgres@db:5432
  strongroom restore table shop.public.orders shop.public.lines \\
      --into-db inspection --skip-missing-foreign-keys \\
      --from latest --in file:///var/backups/shop --to postgresql://postgres@db:5432")]
struct TableArgs {
    /// The tables, as database.schema.table in the backup
    #[arg(required = true, value_name = "D.S.T")]
    names: Vec<String>,

    #[command(flatten)]
    common: Common,

    /// Put them into this database, which is created if it does not exist [default: their own]
    #[arg(long, value_name = "D")]
    into_db: Option<String>,

    /// Put them into this schema, which is created if it does not exist [default: their own]
    #[arg(long, value_name = "S")]
    into_schema: Option<String>,

    /// Give the table this name; only where one is named
    #[arg(long, value_name = "T")]
    new_table_name: Option<String>,

    #[command(flatten)]
    skip_missing: SkipMissingArgs,
}

/// What every restore takes.
#[derive(Debug, Args)]
struct Common {
    /// The backup: an id as `strongroom backups` prints it, or `latest`
    #[arg(long, value_name = "BACKUP")]
    from: String,

    #[command(flatten)]
    collection: InCollection,

    /// The server: postgresql://user@host:5432/database; what that leaves open, such as the
    /// password, comes from PGHOST, PGUSER, PGPASSWORD and so on, or from a pass file
    #[arg(long, value_name = "URL")]
    to: Option<String>,

    /// Print what would be done, what is in the way and what is missing; change nothing
    #[arg(long)]
    plan: bool,

    #[command(flatten)]
    workers: WorkerArgs,

    #[command(flatten)]
    key: KeyArgs,
}

/// What may be left out.
#[derive(Debug, Args)]
struct SkipMissingArgs {
    /// Leave out foreign keys whose other table is neither restored nor in the target
    #[arg(long, help_heading = DEPENDENCIES)]
    skip_missing_foreign_keys: bool,

    /// Leave out defaults whose sequence is neither restored nor in the target
    #[arg(long, help_heading = DEPENDENCIES)]
    skip_missing_sequences: bool,

    /// Leave out views that need something which is neither restored nor in the target
    #[arg(long, help_heading = DEPENDENCIES)]
    skip_missing_views: bool,

    /// Own what belongs to a role that does not exist, and leave out grants to such roles
    #[arg(long, help_heading = DEPENDENCIES)]
    skip_missing_roles: bool,
}

impl From<SkipMissingArgs> for SkipMissing {
    fn from(args: SkipMissingArgs) -> Self {
        SkipMissing {
            foreign_keys: args.skip_missing_foreign_keys,
            sequences: args.skip_missing_sequences,
            views: args.skip_missing_views,
            roles: args.skip_missing_roles,
        }
    }
}

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
                run(
                    args.common,
                    RestoreTarget::Cluster,
                    SkipMissing::default(),
                    asks,
                    json,
                )
                .await
            }
            What::Database(args) => {
                let target = RestoreTarget::Databases {
                    names: args.names,
                    restore_to: args.restore_to,
                };
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
    let options = RestoreOptions {
        target,
        to,
        skip_missing,
        workers: common.workers.count(),
    };
    let reporter = Reporter::new(json);
    let progress = reporter.progress();
    let plan = restore::plan(&backup, &options, &progress).await;
    reporter.finish();
    let plan = plan?;
    if common.plan {
        return Ok(if json {
            output::json(&plan)
        } else {
            plan_text(&plan)
        });
    }
    reporter.say(plan_text(&plan).trim_end());
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
    let report = Report {
        backup: backup.manifest.id,
        restored,
        seconds: started.elapsed().as_secs_f64(),
    };
    Ok(if json {
        output::json(&report)
    } else {
        report.text()
    })
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
    Err(Error::new(
        Kind::Cancelled,
        "the restore was not confirmed; nothing was changed",
    ))
}

/// The plan for people.
fn plan_text(plan: &Plan) -> String {
    let mut text = format!(
        "plan: restore {} into {}: {}, {}, {} ({} to read)\n",
        plan.backup,
        plan.target,
        counted(plan.tables, "table"),
        counted(plan.rows, "row"),
        output::size(plan.size_bytes),
        output::size(plan.stored_bytes),
    );
    for line in creations(plan) {
        text.push_str(&format!("  create  {line}\n"));
    }
    for replaced in &plan.replaces {
        text.push_str(&format!("  replace {replaced}\n"));
    }
    for note in &plan.notes {
        text.push_str(&format!("  note    {note}\n"));
    }
    for conflict in &plan.conflicts {
        text.push_str(&format!("  in the way: {}\n", conflict.message));
        text.push_str(&ways_out(&conflict.resolutions));
    }
    for missing in &plan.missing {
        text.push_str(&format!("  missing: {}\n", missing.message));
        text.push_str(&ways_out(&missing.resolutions));
    }
    output::printable(&text)
}

/// What is created, a line each, of every kind only the first few.
fn creations(plan: &Plan) -> Vec<String> {
    let mut kinds: Vec<&str> = Vec::new();
    for creation in &plan.creates {
        if !kinds.contains(&creation.kind.as_str()) {
            kinds.push(&creation.kind);
        }
    }
    let mut lines = Vec::new();
    for kind in kinds {
        let of_kind: Vec<_> = plan
            .creates
            .iter()
            .filter(|creation| creation.kind == kind)
            .collect();
        for creation in of_kind.iter().take(SHOWN_OF_A_KIND) {
            let from = creation
                .from
                .as_ref()
                .map(|from| format!(" from {from}"))
                .unwrap_or_default();
            let rows = creation
                .rows
                .map(|rows| format!(" ({})", counted(rows, "row")));
            lines.push(format!(
                "{kind} {}{from}{}",
                creation.name,
                rows.unwrap_or_default()
            ));
        }
        if of_kind.len() > SHOWN_OF_A_KIND {
            let more = count((of_kind.len() - SHOWN_OF_A_KIND) as u64);
            lines.push(format!("{kind}: {more} more (--json shows all)"));
        }
    }
    lines
}

fn ways_out(resolutions: &[String]) -> String {
    let line = |(at, resolution): (usize, &String)| {
        let start = if at == 0 {
            "    way out: "
        } else {
            "    or:      "
        };
        format!("{start}{resolution}\n")
    };
    resolutions.iter().enumerate().map(line).collect()
}

impl Report {
    fn text(&self) -> String {
        let restored = &self.restored;
        let mut text = facts(&[
            ("restored", self.backup.to_string()),
            ("created", output::names(&restored.created, 100)),
            ("tables", count(restored.tables)),
            ("rows", count(restored.rows)),
            ("size", output::size(restored.size_bytes)),
            (
                "read",
                format!("{} from the collection", output::size(restored.bytes_read)),
            ),
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
