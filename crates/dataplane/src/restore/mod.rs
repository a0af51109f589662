//! Putting data back: plan, stage, publish.
//!
//! A restore is all or nothing. It is first *planned*: everything that could stand in its way is
//! looked for, and nothing is written. Then it is *staged*: loaded into databases or schemas with
//! hidden names, where nobody sees it. Then it is *published*: one transaction gives the staged
//! objects their names. Until that transaction commits, the target is as it was. A *fence* is asked
//! right before that ([`fence`]).
//!
//! Crash cases. A restore that fails or is cancelled removes its staging remains. One that is
//! killed leaves them behind, under names that begin with `strongroom_staging_`; the next restore
//! into the same server finds and removes them ([`staging`]).

mod afterwards;
mod cluster;
mod columns;
mod compare;
mod database;
mod event_triggers;
mod fence;
mod large_objects;
mod load;
mod plan;
mod publication;
mod resolve;
mod reuse;
mod schema;
mod selection;
mod staging;
mod table;

use serde::{Deserialize, Serialize};
use strongroom_format::contents::TableData;
use tokio_util::sync::CancellationToken;

use crate::collection::Backup;
use crate::names::TableName;
use crate::postgres::server::Server;
use crate::progress::Progress;
use crate::{Error, Kind, Result};

pub use afterwards::afterwards;
pub use fence::{Fence, Outcome, Publication, Transaction, outcome, settle};
pub use plan::{Comparison, Conflict, Creation, Missing, Plan, Use};

/// What to put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreTarget {
    /// Every database and role of a cluster backup, replacing what the target has.
    Cluster,
    /// These databases, each under its name, or a single one under another.
    Databases {
        /// Their names in the backup.
        names: Vec<String>,
        /// The new name of the only one.
        restore_to: Option<String>,
    },
    /// These tables.
    Tables {
        /// Their names in the backup.
        names: Vec<TableName>,
        /// The database to put them into; created if it does not exist. Else: their own.
        into_db: Option<String>,
        /// The schema to put them into; created if it does not exist. Else: their own.
        into_schema: Option<String>,
        /// The new name of the only one.
        new_table_name: Option<String>,
    },
}

/// Dependencies that may be left out when they are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkipMissing {
    /// Leave out foreign keys whose other table is missing.
    pub foreign_keys: bool,
    /// Leave out defaults whose sequence is missing.
    pub sequences: bool,
    /// Leave out views that need something missing.
    pub views: bool,
    /// Let objects belong to the connecting role where their owner is missing, and leave out
    /// grants to missing roles.
    pub roles: bool,
}

/// How to put it back, and where.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// What.
    pub target: RestoreTarget,
    /// Where.
    pub to: Server,
    /// What may be left out.
    pub skip_missing: SkipMissing,
    /// Definitions alone: no rows, no large objects, sequences where they begin.
    pub schema_only: bool,
    /// Connections that load rows and build indexes.
    pub workers: usize,
    /// What is asked right before the publication.
    pub fence: Fence,
}

/// What a finished restore did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Restored {
    /// What now exists that did not before: databases, or tables, by their new names.
    pub created: Vec<String>,
    /// Tables loaded.
    pub tables: u64,
    /// Rows loaded.
    pub rows: u64,
    /// Bytes of rows, before compression.
    pub size_bytes: u64,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// What was left out or differs from the backup, and what to do about it.
    pub notes: Vec<String>,
}

impl Restored {
    /// What a restore of this plan will have done, but for what it reads.
    fn planned(plan: &Plan, created: Vec<String>, mut notes: Vec<String>) -> Self {
        if plan.rows > 0 {
            notes.push(
                "statistics are not restored: run ANALYZE in each restored database, or leave it to \
                 autovacuum"
                    .to_owned(),
            );
        }
        let Plan { tables, rows, size_bytes, .. } = *plan;
        Restored { created, tables, rows, size_bytes, bytes_read: 0, notes }
    }
}

/// Looks for everything that could stand in the way. Writes nothing.
pub async fn plan(backup: &Backup, options: &RestoreOptions, progress: &Progress) -> Result<Plan> {
    let hollow = options.schema_only.then(|| without_rows(backup));
    plan_all(hollow.as_ref().unwrap_or(backup), options, progress).await
}

async fn plan_all(backup: &Backup, options: &RestoreOptions, progress: &Progress) -> Result<Plan> {
    check(options)?;
    progress.step("planning");
    match &options.target {
        RestoreTarget::Cluster => cluster::plan(backup, options).await,
        RestoreTarget::Databases { .. } => database::plan(backup, options).await,
        RestoreTarget::Tables { .. } => table::plan(backup, options).await,
    }
}

/// Plans, stages and publishes. On an error or a cancel the target is as it was before.
pub async fn run(
    backup: &Backup,
    options: &RestoreOptions,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Restored> {
    let done = run_to_the_end(backup, options, progress, cancel).await;
    match done {
        Ok(restored) => Ok(restored),
        Err(error) => Err(backup.unless_pruned(error).await),
    }
}

/// Removes what killed restores left behind on the server; every restore begins with it. Those that
/// are alive, and their staging, are left alone: their number is returned.
pub async fn sweep(server: &Server, progress: &Progress) -> Result<usize> {
    Ok(staging::sweep(server, progress).await?.len())
}

async fn run_to_the_end(
    backup: &Backup,
    options: &RestoreOptions,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Restored> {
    let before = backup.store.bytes_read();
    let others = staging::sweep(&options.to, progress).await?;
    let hollow = options.schema_only.then(|| without_rows(backup));
    let held = hollow.as_ref().unwrap_or(backup);
    let mut restored = run_planned(held, options, progress, cancel).await?;
    staging::sweep_again(&options.to, &others, progress).await;
    restored.bytes_read = backup.store.bytes_read() - before;
    Ok(restored)
}

async fn run_planned(
    backup: &Backup,
    options: &RestoreOptions,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Restored> {
    let plan = plan_all(backup, options, progress).await?;
    plan.refuse()?;
    match &options.target {
        RestoreTarget::Cluster => cluster::run(backup, options, plan, progress, cancel).await,
        RestoreTarget::Databases { .. } => {
            database::run(backup, options, plan, progress, cancel).await
        }
        RestoreTarget::Tables { .. } => table::run(backup, options, plan, progress, cancel).await,
    }
}

/// The same backup, as if nothing had held rows.
fn without_rows(backup: &Backup) -> Backup {
    let mut contents = backup.contents.clone();
    for database in &mut contents.databases {
        for table in &mut database.tables {
            table.data = TableData::default();
        }
        database.sequences.clear();
        database.large_objects.clear();
        database.large_object_data = None;
        database.filled_views.clear();
    }
    let (store, manifest, key) = (&backup.store, &backup.manifest, &backup.key);
    Backup { store: store.clone(), manifest: manifest.clone(), contents, key: key.clone() }
}

/// The roles that the definitions need: owners, and those who are granted something.
pub(crate) fn roles_needed(entries: &[crate::postgres::archive::Entry]) -> Vec<String> {
    schema::roles_needed(entries.iter()).into_keys().collect()
}

/// The partitions whose rows a restore loads through another relation, and that one's name: of the
/// whole database, or of these tables.
pub(crate) fn loaded_through(
    entries: &[crate::postgres::archive::Entry],
    database: &strongroom_format::contents::Database,
    tables: Option<&[TableName]>,
) -> std::collections::HashMap<(String, String), (String, String)> {
    let selection = tables.map(|names| {
        let definitions = selection::Definitions::new(entries);
        let named = names.iter().filter_map(|name| definitions.relation(&name.schema, &name.table));
        definitions.select(&named.map(|entry| entry.id).collect::<Vec<i32>>(), database)
    });
    let restored = |id| {
        selection.as_ref().is_none_or(|all| all.relations.contains(id) || all.parts.contains(id))
    };
    selection::loaded_through(entries.iter().filter(|entry| restored(&entry.id)))
}

/// Reads in the definitions what a plan compares with a target.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_definitions(entries: &[crate::postgres::archive::Entry]) {
    entries.iter().for_each(compare::read);
    let definitions = selection::Definitions::new(entries);
    let selection = selection::Selection {
        relations: entries.iter().map(|entry| entry.id).collect(),
        ..Default::default()
    };
    reuse::Deciding::of(&definitions, &selection);
}

/// The relation of this name.
pub(crate) fn relation<'a>(
    entries: &'a [crate::postgres::archive::Entry],
    schema: &str,
    name: &str,
) -> Option<&'a crate::postgres::archive::Entry> {
    selection::Definitions::new(entries).relation(schema, name)
}

/// The names of a table's partitions, of all levels, in the archive's order.
pub(crate) fn partitions(
    entries: &[crate::postgres::archive::Entry],
    table: &crate::postgres::archive::Entry,
) -> Vec<(String, String)> {
    selection::Definitions::new(entries).partitions(table)
}

/// Refuses options that contradict each other.
fn check(options: &RestoreOptions) -> Result<()> {
    let usage = |message: &str| Err(Error::new(Kind::Usage, message));
    let one_at_a_time = "restore them one at a time, or leave the option out";
    if options.workers == 0 {
        return usage("--workers is 0; at least one connection is needed");
    }
    match &options.target {
        RestoreTarget::Databases { names, .. } if names.is_empty() => usage("name a database"),
        RestoreTarget::Databases { names, restore_to: Some(_) } if names.len() != 1 => {
            usage("--restore-to gives one database a new name; several are named")
                .map_err(|error| error.hint(one_at_a_time))
        }
        RestoreTarget::Tables { names, .. } if names.is_empty() => usage("name a table"),
        RestoreTarget::Tables { names, new_table_name: Some(_), .. } if names.len() != 1 => {
            usage("--new-table-name gives one table a new name; several are named")
                .map_err(|error| error.hint(one_at_a_time))
        }
        _ => Ok(()),
    }
}
