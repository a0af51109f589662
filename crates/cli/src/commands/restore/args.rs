//! The arguments of `strongroom restore`.

use clap::{Args, Subcommand};
use strongroom_dataplane::restore::SkipMissing;

use crate::args::{InCollection, KeyArgs, WorkerArgs};

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
    pub(super) what: What,
}

#[derive(Debug, Subcommand)]
pub(super) enum What {
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
pub(super) struct ClusterArgs {
    #[command(flatten)]
    pub(super) common: Common,

    /// Do not ask; needed where there is no terminal
    #[arg(long)]
    pub(super) yes: bool,
}

/// Put back databases, each under its name, or one under another
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom restore database shop billing \\
      --from latest --in file:///var/backups/shop --to postgresql://postgres@db:5432
  strongroom restore database shop --restore-to shop_yesterday --from 2026/11/22-130000.00 \\
      --in file:///var/backups/shop --to postgresql://postgres@db:5432")]
pub(super) struct DatabaseArgs {
    /// The databases, by their names in the backup
    #[arg(required = true, value_name = "NAME")]
    pub(super) names: Vec<String>,

    #[command(flatten)]
    pub(super) common: Common,

    /// Give the database this name; only where one is named
    #[arg(long, value_name = "NEW")]
    pub(super) restore_to: Option<String>,

    #[command(flatten)]
    pub(super) skip_missing: SkipMissingArgs,
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
pub(super) struct TableArgs {
    /// The tables, as database.schema.table in the backup
    #[arg(required = true, value_name = "D.S.T")]
    pub(super) names: Vec<String>,

    #[command(flatten)]
    pub(super) common: Common,

    /// Put them into this database, which is created if it does not exist [default: their own]
    #[arg(long, value_name = "D")]
    pub(super) into_db: Option<String>,

    /// Put them into this schema, which is created if it does not exist [default: their own]
    #[arg(long, value_name = "S")]
    pub(super) into_schema: Option<String>,

    /// Give the table this name; only where one is named
    #[arg(long, value_name = "T")]
    pub(super) new_table_name: Option<String>,

    #[command(flatten)]
    pub(super) skip_missing: SkipMissingArgs,
}

/// What every restore takes.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// The backup: an id as `strongroom backups` prints it, or `latest`
    #[arg(long, value_name = "BACKUP")]
    pub(super) from: String,

    #[command(flatten)]
    pub(super) collection: InCollection,

    /// The server: postgresql://user@host:5432/database; what that leaves open, such as the
    /// password, comes from PGHOST, PGUSER, PGPASSWORD and so on, or from a pass file
    #[arg(long, value_name = "URL")]
    pub(super) to: Option<String>,

    /// Print what would be done, what is in the way and what is missing; change nothing
    #[arg(long)]
    pub(super) plan: bool,

    #[command(flatten)]
    pub(super) workers: WorkerArgs,

    #[command(flatten)]
    pub(super) key: KeyArgs,
}

/// What may be left out.
#[derive(Debug, Args)]
pub(super) struct SkipMissingArgs {
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
