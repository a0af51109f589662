//! What may be restored where.
//!
//! Restores need the right to restore on both clusters: on the source, since they show its data, and
//! on the destination, since they change it. A source may be deleted; its backups outlive it.

use jiff::SignedDuration;
use strongroom_catalog::ClusterId;
use strongroom_catalog::backups::Backup;
use strongroom_catalog::clusters::{Cluster, ClusterState};
use strongroom_catalog::restores::{RestoreKind, RestoreObject};
use strongroom_dataplane::collection;
use strongroom_dataplane::names::TableName;
use strongroom_dataplane::regions::{self, DatabaseRegions};
use strongroom_dataplane::restore::RestoreTarget;

use super::{App, Checked, RestoreChoices, RestoreRequest, conflict};
use crate::{Caller, Error, Permission, Result};

/// How old the newest backup may be that is restored without being named, as the original has it.
const LATELY: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The schema of a table that is named without one.
const PUBLIC: &str = "public";

impl App {
    /// Reads a request: refuses what nobody could mean, and finds source, destination and backup.
    pub(super) async fn checked_restore(
        &self,
        caller: &Caller,
        destination: ClusterId,
        request: RestoreRequest,
    ) -> Result<Checked> {
        let source = request.source.unwrap_or(destination);
        let destination = self.cluster_for(caller, Permission::Restore, destination).await?;
        let source = match source == destination.id {
            true => destination.clone(),
            false => self.cluster_for(caller, Permission::Restore, source).await?,
        };
        let RestoreRequest { kind, objects, options, confirm_cluster_name, backup, .. } = request;
        if let Some(typed) = confirm_cluster_name.filter(|_| kind == RestoreKind::Cluster)
            && typed != destination.name
        {
            let message = format!("'{typed}' is not the name of the destination cluster");
            return Err(Error::invalid(message)
                .hint("everything in the destination is replaced: type its name as it is"));
        }
        let target = target(kind, &objects, &options)?;
        let backup = match backup {
            Some(id) => self.backup_for(caller, Permission::Restore, source.id, id).await?,
            None => self.lately_backed_up(&source).await?,
        };
        Ok(Checked { source, destination, backup, kind, objects, options, target })
    }

    /// The backup that is meant where none is named: the newest, if it is not too old to be meant
    /// without a word.
    async fn lately_backed_up(&self, source: &Cluster) -> Result<Backup> {
        let newest = self.catalog().latest_backup(source.id, None).await?.ok_or_else(|| {
            Error::precondition(format!("cluster {} has no backup", source.name))
                .hint("take one, or name another source")
        })?;
        if self.now().duration_since(newest.data_from) > LATELY {
            return Err(Error::precondition(format!(
                "the newest backup of cluster {} is of {}, which is more than 7 days ago",
                source.name, newest.data_from
            ))
            .hint(format!("if you want that one, name it: backup_id {}", newest.id)));
        }
        Ok(newest)
    }

    /// Why the service does not do it, if it does not.
    pub(super) async fn refusal(
        &self,
        checked: &Checked,
        opened: &collection::Backup,
    ) -> Result<Option<Error>> {
        let refused = match self.usable_destination(checked).await {
            Ok(()) => by_plan(checked),
            refused => refused,
        };
        let refused = match refused {
            Ok(()) => self.by_regions(checked, opened).await,
            refused => refused,
        };
        match refused {
            Ok(()) => Ok(None),
            Err(error) if error.may_pass() => Err(error),
            Err(error) => Ok(Some(error)),
        }
    }

    /// A destination must be attached, and nothing may be replacing it.
    async fn usable_destination(&self, checked: &Checked) -> Result<()> {
        let Cluster { id, name, state, operation_status, .. } = &checked.destination;
        if checked.destination.deleted_at.is_some() {
            return Err(Error::precondition(format!("cluster {name} was deleted"))
                .hint("restore into a cluster that is attached"));
        }
        if *state != ClusterState::Created {
            return Err(Error::precondition(format!(
                "cluster {name} is not active: its state is {state}"
            )));
        }
        if operation_status.ends_with("RESTORE_RUNNING") {
            return Err(being_restored(name));
        }
        let open = self.catalog().open_restores(*id).await?;
        not_in_the_way(&open, checked.kind, name)
    }

    /// Databases that live in several regions go where these are, and never into a single one.
    async fn by_regions(&self, checked: &Checked, opened: &collection::Backup) -> Result<()> {
        let mut held = regions::of_backup(opened).await?;
        match &checked.target {
            RestoreTarget::Cluster => {}
            RestoreTarget::Databases { names, .. } => {
                held.retain(|database| names.contains(&database.database));
            }
            RestoreTarget::Tables { names, .. } => {
                held.retain(|held| names.iter().any(|name| name.database == held.database));
            }
        }
        let there = &checked.destination.regions;
        for database in held.iter().filter(|database| database.is_multi_region()) {
            if there.len() < 2 {
                return Err(into_single_region(database, &checked.destination));
            }
            if let RestoreTarget::Tables { names, into_db, .. } = &checked.target {
                let into = into_db.as_ref().unwrap_or(&database.database);
                self.takes_multi_region(checked, names, database, into).await?;
            }
        }
        if checked.options.skip_localities_check {
            return Ok(());
        }
        let mut missing: Vec<&str> = Vec::new();
        for region in held.iter().flat_map(|database| &database.regions) {
            if !there.contains(region) && !missing.contains(&region.as_str()) {
                missing.push(region);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::precondition(format!(
            "detected a mismatch in regions between the restore cluster and the backup cluster, \
             missing regions detected: {}.",
            missing.join(", ")
        ))
        .hint("restore into a cluster in these regions, or set skip_localities_check"))
    }

    /// A table of a database in several regions goes only into one that was declared so.
    async fn takes_multi_region(
        &self,
        checked: &Checked,
        names: &[TableName],
        database: &DatabaseRegions,
        into: &str,
    ) -> Result<()> {
        let server = self.server_of(checked.destination.id).await?;
        let live = regions::of_server(&server).await?;
        if live.iter().any(|live| live.database == into && live.is_multi_region()) {
            return Ok(());
        }
        let first = names.iter().find(|name| name.database == database.database);
        let table = first.map(|name| format!("{}.{}", name.schema, name.table)).unwrap_or_default();
        Err(Error::precondition(format!(
            "cannot restore descriptor for multi-region table {table} into non-multi-region database \
             {into}"
        ))
        .hint(format!(
            "make database {into} in the regions {} first, or restore the whole database",
            database.regions.join(", ")
        )))
    }
}

/// What replaces all of a cluster goes alone.
pub(super) fn not_in_the_way(open: &[RestoreKind], kind: RestoreKind, name: &str) -> Result<()> {
    let whole = kind == RestoreKind::Cluster && !open.is_empty();
    match whole || open.contains(&RestoreKind::Cluster) {
        true => Err(being_restored(name)),
        false => Ok(()),
    }
}

fn being_restored(name: &str) -> Error {
    conflict(format!("cluster {name} is being restored"))
        .hint("wait until that restore has ended, or cancel it")
}

fn into_single_region(database: &DatabaseRegions, destination: &Cluster) -> Error {
    let there = match destination.regions.first() {
        Some(region) => format!("in the single region {region}"),
        None => "in no region".to_owned(),
    };
    Error::precondition(format!(
        "database {} of this backup is multi-region ({}), and a multi-region database cannot be restored \
         into a single-region destination: cluster {} is {there}",
        database.database,
        database.regions.join(", "),
        destination.name
    ))
    .hint("restore it into a cluster in these regions")
}

/// Serverless clusters are restored as a whole, and from and to their like.
fn by_plan(checked: &Checked) -> Result<()> {
    let Checked { source, destination, kind, options, .. } = checked;
    let name = |cluster: &Cluster| format!("cluster {} ({})", cluster.name, cluster.plan);
    let (from, to) = (source.plan.is_serverless(), destination.plan.is_serverless());
    if *kind != RestoreKind::Cluster && (from || to) {
        let serverless = if to { destination } else { source };
        return Err(Error::precondition(format!(
            "{} can only be restored as a whole: its plan has no restores of databases or tables",
            name(serverless)
        ))
        .hint("restore the cluster"));
    }
    if from != to {
        return Err(Error::precondition(format!(
            "a backup of {} can not be restored into {}: Serverless and Dedicated do not mix",
            name(source),
            name(destination)
        ))
        .hint("restore into a cluster of the same plan"));
    }
    if to && options.skip_localities_check {
        return Err(Error::precondition(format!(
            "skip_localities_check is not supported by the plan of {}",
            name(destination)
        ))
        .hint("leave it out"));
    }
    Ok(())
}

/// What the engine is to restore. Refuses options that make no sense together.
pub(super) fn target(
    kind: RestoreKind,
    objects: &[RestoreObject],
    options: &RestoreChoices,
) -> Result<RestoreTarget> {
    let only_for = |option: &str, given: bool, what: &str| match given {
        true => Err(Error::invalid(format!("{option} can only be used for restores of {what}"))),
        false => Ok(()),
    };
    if kind != RestoreKind::Table {
        if kind == RestoreKind::Database && options.into_db.is_some() {
            let message = "cannot use \"into_db\" option when restoring database(s)";
            return Err(Error::invalid(message).hint("new_db_name gives a database another name"));
        }
        only_for("into_db", options.into_db.is_some(), "tables")?;
        only_for("into_schema", options.into_schema.is_some(), "tables")?;
        only_for("new_table_name", options.new_table_name.is_some(), "tables")?;
    }
    if kind != RestoreKind::Database && options.new_db_name.is_some() {
        return Err(only_one_database());
    }
    match kind {
        RestoreKind::Cluster if objects.is_empty() => Ok(RestoreTarget::Cluster),
        RestoreKind::Cluster => {
            Err(Error::invalid("objects are named in the restore of a whole cluster")
                .hint("leave them out, or restore with type DATABASE or TABLE"))
        }
        RestoreKind::Database | RestoreKind::Table if objects.is_empty() => {
            Err(Error::invalid(format!("objects is empty: name what to restore of type {kind}")))
        }
        RestoreKind::Database => {
            if let Some(object) = objects.iter().find(|object| object.table.is_some()) {
                let table = object.table.as_deref().unwrap_or_default();
                return Err(Error::invalid(format!(
                    "table {table} is named in a restore of type DATABASE"
                ))
                .hint("restore it with type TABLE"));
            }
            if options.new_db_name.is_some() && objects.len() != 1 {
                return Err(only_one_database());
            }
            Ok(RestoreTarget::Databases {
                names: objects.iter().map(|object| object.database.clone()).collect(),
                restore_to: options.new_db_name.clone(),
            })
        }
        RestoreKind::Table => {
            let named = |object: &RestoreObject| match &object.table {
                Some(table) => Ok(TableName {
                    database: object.database.clone(),
                    schema: object.schema.clone().unwrap_or_else(|| PUBLIC.to_owned()),
                    table: table.clone(),
                }),
                None => Err(Error::invalid(format!(
                    "an object of database {} names no table",
                    object.database
                ))),
            };
            let names = objects.iter().map(named).collect::<Result<Vec<TableName>>>()?;
            if options.new_table_name.is_some() && names.len() != 1 {
                let message = "new_table_name gives one table a new name; several are named";
                return Err(Error::invalid(message).hint("restore them one at a time"));
            }
            Ok(RestoreTarget::Tables {
                names,
                into_db: options.into_db.clone(),
                into_schema: options.into_schema.clone(),
                new_table_name: options.new_table_name.clone(),
            })
        }
    }
}

fn only_one_database() -> Error {
    Error::invalid(
        "new_db_name can only be used for RESTORE DATABASE with a single target database",
    )
}
