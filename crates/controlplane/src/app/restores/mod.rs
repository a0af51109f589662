//! Restores: planned, asked for, watched, cancelled.
//!
//! A restore is planned before anything is enqueued: rules of the service first ([`rules`]), then the
//! engine's plan against the live destination. What stands in the way is told with everything that
//! resolves it, and nothing becomes a job that is known not to work. The destination may have changed
//! when the job runs, so the engine plans once more then ([`crate::jobs`]).

mod rules;
mod words;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_catalog::audit::{NewEvent, Outcome};
use strongroom_catalog::backups::Backup;
use strongroom_catalog::clusters::Cluster;
use strongroom_catalog::restores::{
    NewRestore, Restore, RestoreFilter, RestoreKind, RestoreObject,
};
use strongroom_catalog::{BackupId, ClusterId, JobId, Listed, Page};
use strongroom_dataplane::postgres::server::Server;
use strongroom_dataplane::progress::Progress;
use strongroom_dataplane::restore::{self, Fence, Plan, RestoreTarget, SkipMissing};
use strongroom_dataplane::{Error as EngineError, collection};
use uuid::Uuid;

use super::jobs::{leave_out_contents, leave_out_words};
use super::{App, done};
use crate::{Action, Caller, Error, Kind, Permission, Result};

/// What is asked to be put back, and where from.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// All of a cluster, databases, or tables.
    pub kind: RestoreKind,
    /// The cluster whose backup it is. `None`: the destination itself.
    pub source: Option<ClusterId>,
    /// The backup. `None`: the newest of the source.
    pub backup: Option<BackupId>,
    /// Which databases or tables.
    pub objects: Vec<RestoreObject>,
    /// How.
    pub options: RestoreChoices,
    /// The destination's name, typed by somebody who is about to replace all of it. Checked if it is
    /// given.
    pub confirm_cluster_name: Option<String>,
}

/// How something is put back; the names are those of the SQL options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestoreChoices {
    /// Tables: the database that they go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into_db: Option<String>,
    /// Tables: the schema that they go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into_schema: Option<String>,
    /// The new name of the only table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_table_name: Option<String>,
    /// The new name of the only database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_db_name: Option<String>,
    /// Definitions without rows.
    pub schema_only: bool,
    /// Regions that the destination lacks do not matter.
    pub skip_localities_check: bool,
    /// Leave out foreign keys whose other table is missing.
    pub skip_missing_foreign_keys: bool,
    /// Leave out defaults whose sequence is missing.
    pub skip_missing_sequences: bool,
    /// Cut sequences off from owners that are missing. The engine always does.
    pub skip_missing_sequence_owners: bool,
    /// Leave out views that need something missing.
    pub skip_missing_views: bool,
    /// Let things belong to the connecting role where their owner is missing, and leave out grants to
    /// missing roles.
    pub skip_missing_roles: bool,
}

impl RestoreChoices {
    pub(crate) fn skip_missing(&self) -> SkipMissing {
        SkipMissing {
            foreign_keys: self.skip_missing_foreign_keys,
            sequences: self.skip_missing_sequences,
            views: self.skip_missing_views,
            roles: self.skip_missing_roles,
        }
    }
}

/// What a restore would do, and what stands in its way.
#[derive(Clone, Debug)]
pub struct RestorePlan {
    /// The backup.
    pub backup: Backup,
    /// The engine's plan; its resolutions name options as the API does.
    pub plan: Plan,
    /// Why the service would refuse it, whatever the engine says.
    pub refused: Option<String>,
    /// What could be done about that.
    pub hint: Option<String>,
    /// What a person would have to set again afterwards.
    pub set_again: Vec<String>,
    /// The SQL statement that it stands for, without secrets.
    pub statement: String,
}

/// A request that makes sense: who, what, from where to where.
pub(crate) struct Checked {
    pub(crate) source: Cluster,
    pub(crate) destination: Cluster,
    pub(crate) backup: Backup,
    pub(crate) kind: RestoreKind,
    pub(crate) objects: Vec<RestoreObject>,
    pub(crate) options: RestoreChoices,
    pub(crate) target: RestoreTarget,
}

impl RestorePlan {
    /// The first thing that stands in the way, with everything that resolves it.
    fn refuse(&self) -> Result<()> {
        if let Some(reason) = &self.refused {
            let error = Error::precondition(reason);
            return Err(match &self.hint {
                Some(hint) => error.hint(hint),
                None => error,
            });
        }
        let conflicts =
            self.plan.conflicts.iter().map(|found| (&found.message, &found.resolutions));
        let missing = self.plan.missing.iter().map(|found| (&found.message, &found.resolutions));
        let mut found = conflicts.chain(missing);
        let Some((message, resolutions)) = found.next() else { return Ok(()) };
        let message = match found.count() {
            0 => message.clone(),
            1 => format!("{message} (and 1 more obstacle: ask for a plan)"),
            more => format!("{message} (and {more} more obstacles: ask for a plan)"),
        };
        let error = Error::precondition(message);
        Err(match resolutions.is_empty() {
            true => error,
            false => error.hint(resolutions.join("\n  or: ")),
        })
    }
}

impl App {
    /// What a restore into a cluster would do. Writes nothing.
    pub async fn plan_restore(
        &self,
        caller: &Caller,
        destination: ClusterId,
        request: RestoreRequest,
    ) -> Result<RestorePlan> {
        let checked = self.checked_restore(caller, destination, request).await?;
        self.planned_restore(&checked).await
    }

    /// Enqueues a restore into a cluster, if nothing stands in its way.
    pub async fn create_restore(
        &self,
        caller: &Caller,
        destination: ClusterId,
        request: RestoreRequest,
    ) -> Result<Restore> {
        let checked = self.checked_restore(caller, destination, request).await?;
        let plan = self.planned_restore(&checked).await?;
        plan.refuse()?;
        let Checked { source, destination, backup, kind, objects, options, .. } = checked;
        let new = NewRestore {
            source: source.id,
            destination: destination.id,
            backup: backup.id,
            kind,
            objects,
            options: serde_json::to_value(&options).unwrap_or_default(),
            statement: Some(plan.statement),
            requested_by: Some(caller.actor.name.clone()),
        };
        let mut write = self.catalog().begin().await?;
        // Asked once more: while this one was planned, somebody may have asked for another.
        let open = write.open_restores(destination.id).await?;
        rules::not_in_the_way(&open, kind, &destination.name)?;
        let restore = write.enqueue_restore(&new).await?;
        let event = NewEvent {
            object_name: Some(destination.name.clone()),
            cluster: Some(destination.id),
            ..done(caller, action(kind), "restore", restore.job.id, details(&restore, "REQUESTED"))
        };
        write.record(&event).await?;
        write.commit().await?;
        self.ring();
        Ok(restore)
    }

    /// A restore into this cluster, or of this cluster's backups.
    pub async fn restore(&self, caller: &Caller, cluster: ClusterId, id: JobId) -> Result<Restore> {
        caller.require_with(Permission::SeeCluster, cluster)?;
        let found = self.catalog().restore(id).await?;
        if found.destination != cluster && found.source != cluster {
            return Err(Error::not_found("restore", id));
        }
        Ok(as_seen(caller, found))
    }

    /// The restores into a cluster, newest first.
    pub async fn restores(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
        page: &Page,
    ) -> Result<Listed<Restore>> {
        caller.require_with(Permission::SeeCluster, cluster)?;
        let destination = Some(cluster);
        let filter = RestoreFilter { destination, from, until, ..RestoreFilter::default() };
        let Listed { items, next, previous, as_of } =
            self.catalog().restores(&filter, page).await?;
        let items = items.into_iter().map(|restore| as_seen(caller, restore)).collect();
        Ok(Listed { items, next, previous, as_of })
    }

    /// Wishes that a restore stops. What it has staged is then removed; the destination stays as it
    /// was.
    pub async fn cancel_restore(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        id: JobId,
    ) -> Result<Restore> {
        caller.require_with(Permission::Restore, cluster)?;
        let restore = self.catalog().restore(id).await?;
        if restore.destination != cluster {
            return Err(Error::not_found("restore", id));
        }
        let mut write = self.catalog().begin().await?;
        let job = write.cancel_job(id).await?;
        let event = NewEvent {
            object_name: Some(restore.destination_name.clone()),
            cluster: Some(cluster),
            ..done(
                caller,
                action(restore.kind),
                "restore",
                id,
                details(&restore, "CANCEL_REQUESTED"),
            )
        };
        write.record(&event).await?;
        if job.state.has_ended() {
            write.record(&ended(&restore, Outcome::Done, "CANCELED")).await?;
        }
        write.commit().await?;
        Ok(as_seen(caller, self.catalog().restore(id).await?))
    }

    /// What the caller may do with a restore.
    pub fn restore_actions(&self, caller: &Caller, restore: &Restore) -> Vec<Action> {
        let cancel = caller
            .action_with("cancel", Permission::Restore, restore.destination)
            .unless(restore.job.state.has_ended(), || "it has ended".to_owned())
            .unless(restore.job.cancel_requested_at.is_some(), || {
                "it is being cancelled".to_owned()
            });
        vec![cancel]
    }

    async fn planned_restore(&self, checked: &Checked) -> Result<RestorePlan> {
        let _turn = self.0.turns.to_read().await?;
        let opened = self.open_backup(&checked.backup).await?;
        let statement = words::statement(checked, opened.store.shown());
        let backup = checked.backup.clone();
        let mut planned = RestorePlan {
            plan: Plan { backup: backup.engine_id.to_string(), ..Plan::default() },
            backup,
            refused: None,
            hint: None,
            set_again: Vec::new(),
            statement,
        };
        if let Some(refusal) = self.refusal(checked, &opened).await? {
            planned.refused = Some(refusal.message().to_owned());
            planned.hint = refusal.hint_text().map(str::to_owned);
            if checked.destination.deleted_at.is_some() {
                return Ok(planned);
            }
        }
        let to = self.server_of(checked.destination.id).await?;
        match self.engine_plan(checked, &opened, to).await {
            Ok(plan) => planned.plan = words::for_api(plan),
            // Whatever keeps the engine from planning keeps it from restoring.
            Err(error) if speaks_against_it(&error) => {
                planned.hint =
                    planned.hint.or_else(|| error.hint_text().map(words::options_of_api));
                planned.refused.get_or_insert_with(|| error.message().to_owned());
            }
            Err(error) => return Err(error.into()),
        }
        let elsewhere = checked.source.id != checked.destination.id;
        let lost = restore::afterwards(&opened, &checked.target, elsewhere).await;
        planned.set_again = lost.unwrap_or_default();
        let noted = planned.plan.notes.iter().cloned();
        planned.set_again.extend(noted);
        Ok(planned)
    }

    async fn engine_plan(
        &self,
        checked: &Checked,
        opened: &collection::Backup,
        to: Server,
    ) -> Result<Plan, EngineError> {
        let options = self.engine_options(checked, to, Fence::open());
        restore::plan(opened, &options, &Progress::silent()).await
    }

    fn engine_options(
        &self,
        checked: &Checked,
        to: Server,
        fence: Fence,
    ) -> restore::RestoreOptions {
        restore::RestoreOptions {
            target: checked.target.clone(),
            to,
            skip_missing: checked.options.skip_missing(),
            schema_only: checked.options.schema_only,
            workers: self.config().connections,
            fence,
        }
    }
}

/// Whether an error of the engine's plan says something about the restore, rather than about now.
fn speaks_against_it(error: &EngineError) -> bool {
    use strongroom_dataplane::Kind;
    matches!(
        error.kind(),
        Kind::Unsupported | Kind::Denied | Kind::Conflict | Kind::Missing | Kind::NotFound
    )
}

/// A restore without what the caller may not know of it: names of tables, and all that tells of a cluster
/// at one of its ends that does not exist for the caller. Its id becomes nil, and that of its backup.
fn as_seen(caller: &Caller, mut restore: Restore) -> Restore {
    let sees = |cluster| caller.may_with(Permission::SeeCluster, cluster);
    let (source, destination) = (sees(restore.source), sees(restore.destination));
    if !caller.may_with(Permission::Restore, restore.destination) {
        leave_out_contents(&mut restore.job);
        restore.objects.clear();
        restore.set_again.clear();
        restore.options = json!({});
    }
    if source && destination {
        return restore;
    }
    leave_out_words(&mut restore.job);
    restore.set_again.clear();
    if !source {
        restore.source = ClusterId::from(Uuid::nil());
        restore.source_name.clear();
        restore.backup = BackupId::from(Uuid::nil());
        restore.backup_data_from = Timestamp::UNIX_EPOCH;
        restore.objects.clear();
    }
    if !destination {
        restore.destination = ClusterId::from(Uuid::nil());
        restore.destination_name.clear();
        restore.options = json!({});
    }
    restore
}

/// How the audit log calls restores of a kind.
pub(crate) fn action(kind: RestoreKind) -> &'static str {
    match kind {
        RestoreKind::Cluster => "RESTORE_CLUSTER",
        RestoreKind::Database => "RESTORE_DATABASE",
        RestoreKind::Table => "RESTORE_TABLE",
    }
}

/// What the audit log tells of a restore.
pub(crate) fn details(restore: &Restore, what: &str) -> serde_json::Value {
    json!({
        "event": what,
        "restore_id": restore.job.id,
        "type": restore.kind,
        "backup_id": restore.backup,
        "source_cluster": restore.source_name,
        "destination_cluster": restore.destination_name,
        "statement": restore.job.statement,
        "requested_by": restore.job.requested_by,
    })
}

/// The audit event of a restore that has ended.
pub(crate) fn ended(restore: &Restore, outcome: Outcome, what: &str) -> NewEvent {
    let caller = Caller::system("worker");
    let (action, id) = (action(restore.kind), restore.job.id);
    NewEvent {
        object_name: Some(restore.destination_name.clone()),
        cluster: Some(restore.destination),
        outcome,
        ..done(&caller, action, "restore", id, details(restore, what))
    }
}

/// The engine's target of a restore that the catalog knows.
pub(crate) fn target_of(
    kind: RestoreKind,
    objects: &[RestoreObject],
    options: &RestoreChoices,
) -> Result<RestoreTarget> {
    rules::target(kind, objects, options)
}

/// An error for something that stands as it is.
fn conflict(message: impl Into<String>) -> Error {
    Error::new(Kind::Conflict, message)
}
