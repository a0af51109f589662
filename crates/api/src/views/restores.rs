//! Restores and their plans, as the API shows them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_controlplane::model::{self, JobState, Listed, RestoreChoices, RestoreKind};
use strongroom_controlplane::{Action as Allowed, Error};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Action;
use super::jobs::{JobState as State, Progress, why};
use crate::paging::Pagination;

/// What is put back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RestoreType {
    /// All of a cluster. Everything in the destination is replaced.
    Cluster,
    /// Databases.
    Database,
    /// Tables.
    Table,
}

impl From<RestoreType> for RestoreKind {
    fn from(kind: RestoreType) -> Self {
        match kind {
            RestoreType::Cluster => RestoreKind::Cluster,
            RestoreType::Database => RestoreKind::Database,
            RestoreType::Table => RestoreKind::Table,
        }
    }
}

impl From<RestoreKind> for RestoreType {
    fn from(kind: RestoreKind) -> Self {
        match kind {
            RestoreKind::Cluster => RestoreType::Cluster,
            RestoreKind::Database => RestoreType::Database,
            RestoreKind::Table => RestoreType::Table,
        }
    }
}

/// A database or table to be put back.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreObject {
    /// The database in the backup.
    pub database: String,
    /// The table's schema; `public` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// Another name for the only table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_name: Option<String>,
}

/// How something is put back.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestoreOptions {
    /// Tables: the database that they go to; made if it does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into_db: Option<String>,
    /// The new name of the only database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_db_name: Option<String>,
    /// Definitions without rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_only: Option<bool>,
    /// Regions that the destination lacks do not matter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_localities_check: Option<bool>,
    /// Leave out foreign keys whose other table is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_missing_foreign_keys: Option<bool>,
    /// Leave out defaults whose sequence is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_missing_sequences: Option<bool>,
    /// Leave out views that need something missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_missing_views: Option<bool>,
    /// Cut sequences off from owners that are missing; always done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_missing_sequence_owners: Option<bool>,
    /// Let things belong to the connecting role where their owner is missing, and leave out grants to
    /// missing roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_missing_roles: Option<bool>,
    /// Tables: the schema that they go to; made if it does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into_schema: Option<String>,
    /// Another name for the only table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_table_name: Option<String>,
    /// The destination's name, typed by somebody who is about to replace all of it. Checked if it is
    /// given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_cluster_name: Option<String>,
}

/// A restore that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRestore {
    /// What is put back.
    #[serde(rename = "type")]
    pub kind: RestoreType,
    /// The backup; the newest of the source, if it is left out.
    pub backup_id: Option<Uuid>,
    /// The cluster whose backup it is; the destination, if it is left out.
    pub source_cluster_id: Option<Uuid>,
    /// Which databases or tables.
    pub objects: Option<Vec<RestoreObject>>,
    /// How.
    pub restore_opts: Option<RestoreOptions>,
}

/// Empty texts are what clients send for nothing.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl TryFrom<CreateRestore> for model::RestoreRequest {
    type Error = Error;

    fn try_from(body: CreateRestore) -> Result<Self, Error> {
        let options = body.restore_opts.unwrap_or_default();
        let mut new_table_name = given(options.new_table_name);
        let mut objects = Vec::new();
        let given_objects = body.objects.unwrap_or_default();
        let alone = given_objects.len() == 1;
        for object in given_objects {
            if let Some(name) = given(object.new_name) {
                if !alone || new_table_name.as_ref().is_some_and(|other| *other != name) {
                    let message = "new_name gives one table another name; several are named";
                    return Err(Error::invalid(message).hint("restore them one at a time"));
                }
                new_table_name = Some(name);
            }
            objects.push(model::RestoreObject {
                database: object.database,
                schema: given(object.schema),
                table: given(object.table),
            });
        }
        let set = |flag: Option<bool>| flag.unwrap_or(false);
        Ok(model::RestoreRequest {
            kind: body.kind.into(),
            source: body.source_cluster_id.map(Into::into),
            backup: body.backup_id.map(Into::into),
            objects,
            options: RestoreChoices {
                into_db: given(options.into_db),
                into_schema: given(options.into_schema),
                new_table_name,
                new_db_name: given(options.new_db_name),
                schema_only: set(options.schema_only),
                skip_localities_check: set(options.skip_localities_check),
                skip_missing_foreign_keys: set(options.skip_missing_foreign_keys),
                skip_missing_sequences: set(options.skip_missing_sequences),
                skip_missing_sequence_owners: set(options.skip_missing_sequence_owners),
                skip_missing_views: set(options.skip_missing_views),
                skip_missing_roles: set(options.skip_missing_roles),
            },
            confirm_cluster_name: given(options.confirm_cluster_name),
        })
    }
}

impl From<RestoreChoices> for RestoreOptions {
    fn from(choices: RestoreChoices) -> Self {
        let set = |flag: bool| flag.then_some(true);
        RestoreOptions {
            into_db: choices.into_db,
            new_db_name: choices.new_db_name,
            schema_only: set(choices.schema_only),
            skip_localities_check: set(choices.skip_localities_check),
            skip_missing_foreign_keys: set(choices.skip_missing_foreign_keys),
            skip_missing_sequences: set(choices.skip_missing_sequences),
            skip_missing_views: set(choices.skip_missing_views),
            skip_missing_sequence_owners: set(choices.skip_missing_sequence_owners),
            skip_missing_roles: set(choices.skip_missing_roles),
            into_schema: choices.into_schema,
            new_table_name: choices.new_table_name,
            confirm_cluster_name: None,
        }
    }
}

/// How a restore went, in the original's words.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RestoreStatus {
    /// It waits or runs.
    Pending,
    /// It is done.
    Success,
    /// It failed, or was cancelled. The destination is as it was.
    Failed,
}

/// A restore.
#[derive(Debug, Serialize, ToSchema)]
pub struct Restore {
    /// Its id, which is its job's.
    pub id: Uuid,
    /// The backup; null, if you may not see its cluster.
    pub backup_id: Option<Uuid>,
    /// How it went.
    pub status: RestoreStatus,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// What is put back.
    #[serde(rename = "type")]
    pub kind: RestoreType,
    /// How much of it is done, from 0 to 1.
    pub completion_percent: f64,
    /// The cluster whose backup it is; empty, if you may not see that.
    pub source_cluster_name: String,
    /// The cluster that it goes into; empty, if you may not see that.
    pub destination_cluster_name: String,
    /// The time that the backup shows; null, if you may not see its cluster.
    pub backup_end_time: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Its job.
    pub crdb_job_id: String,
    /// Why it failed, as a number of gRPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_error_code: Option<i32>,
    /// Why it failed, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_error_message: Option<String>,
    /// Which databases or tables.
    pub objects: Vec<RestoreObject>,
    /// How.
    pub restore_opts: RestoreOptions,
    /// What is ours.
    pub strongroom: RestoreDetails,
}

/// What the original does not tell of a restore.
#[derive(Debug, Serialize, ToSchema)]
pub struct RestoreDetails {
    /// How far it is.
    pub state: State,
    /// The cluster whose backup it is; null, if you may not see that. Then nothing else tells of it.
    pub source_cluster_id: Option<Uuid>,
    /// The cluster that it goes into; null, if you may not see that. Then nothing else tells of it.
    pub destination_cluster_id: Option<Uuid>,
    /// When it was begun for the first time.
    pub started_at: Option<Timestamp>,
    /// The SQL statement that it stands for, without secrets.
    pub statement: Option<String>,
    /// How far it is, once it says so.
    pub progress: Option<Progress>,
    /// What a person has to set again.
    pub set_again: Vec<String>,
    /// Why it failed, as a code.
    pub error_code: Option<String>,
    /// What happened, to which object.
    pub error_message: Option<String>,
    /// What to do about it.
    pub error_hint: Option<String>,
    /// Who asked for it.
    pub requested_by: Option<String>,
    /// Whether somebody wishes that it stops.
    pub cancel_requested: bool,
    /// What you may do with it.
    pub actions: Vec<Action>,
}

/// A page of restores.
#[derive(Debug, Serialize, ToSchema)]
pub struct Restores {
    /// The restores.
    pub restores: Vec<Restore>,
    /// Where to go on.
    pub pagination: Pagination,
}

/// The number of gRPC for the code of a job's error.
fn grpc_code(code: &str) -> i32 {
    match code {
        "cancelled" => 1,
        "usage" | "invalid" => 3,
        "not-found" => 5,
        "denied" => 7,
        "exhausted" => 8,
        "conflict" | "missing" | "key" | "precondition" => 9,
        "busy" => 10,
        "unsupported" => 12,
        "unreachable" => 14,
        "damaged" => 15,
        _ => 13,
    }
}

/// The id of what may be told: not nil.
fn told(id: Uuid) -> Option<Uuid> {
    Some(id).filter(|id| !id.is_nil())
}

impl Restore {
    /// A restore, with what the caller may do with it.
    pub fn new(restore: model::Restore, actions: Vec<Allowed>) -> Self {
        let job = restore.job;
        let status = match job.state {
            JobState::Pending | JobState::Running => RestoreStatus::Pending,
            JobState::Succeeded => RestoreStatus::Success,
            JobState::Failed | JobState::Canceled => RestoreStatus::Failed,
        };
        let progress = job.progress.as_ref().and_then(Progress::read);
        let moved = progress.as_ref().map_or(0.0, |progress| progress.fraction);
        let choices: RestoreChoices = serde_json::from_value(restore.options).unwrap_or_default();
        let objects = restore.objects.into_iter().map(|object| RestoreObject {
            database: object.database,
            schema: object.schema,
            table: object.table,
            new_name: None,
        });
        let canceled = job.state == JobState::Canceled;
        let ended = job.state == JobState::Failed || canceled;
        let (error_code, error_message, error_hint) = why(job.error);
        let code = match canceled {
            true => Some("cancelled".to_owned()),
            false => error_code.clone(),
        };
        // The original has no other place for a hint.
        let message = match (canceled, &error_message, &error_hint) {
            (true, ..) => {
                Some("the restore was cancelled; the destination is as it was".to_owned())
            }
            (false, Some(message), Some(hint)) => Some(format!("{message}\nhint: {hint}")),
            (false, message, _) => message.clone(),
        };
        Restore {
            id: job.id.uuid(),
            backup_id: told(restore.backup.uuid()),
            status,
            created_at: job.created_at,
            kind: restore.kind.into(),
            completion_percent: restore.completion.max(moved).clamp(0.0, 1.0),
            source_cluster_name: restore.source_name,
            destination_cluster_name: restore.destination_name,
            backup_end_time: told(restore.backup.uuid()).map(|_| restore.backup_data_from),
            completed_at: job.finished_at,
            crdb_job_id: job.id.to_string(),
            client_error_code: code.filter(|_| ended).as_deref().map(grpc_code),
            client_error_message: message.filter(|_| ended),
            objects: objects.collect(),
            restore_opts: choices.into(),
            strongroom: RestoreDetails {
                state: job.state.into(),
                source_cluster_id: told(restore.source.uuid()),
                destination_cluster_id: told(restore.destination.uuid()),
                started_at: job.started_at,
                statement: job.statement,
                progress,
                set_again: restore.set_again,
                error_code,
                error_message,
                error_hint,
                requested_by: job.requested_by,
                cancel_requested: job.cancel_requested_at.is_some(),
                actions: actions.into_iter().map(Action::from).collect(),
            },
        }
    }
}

impl Restores {
    /// A page of restores, each with what the caller may do with it.
    pub fn new(
        listed: Listed<model::Restore>,
        actions: impl Fn(&model::Restore) -> Vec<Allowed>,
    ) -> Self {
        let pagination = Pagination::from(&listed);
        let shown = |restore| {
            let actions = actions(&restore);
            Restore::new(restore, actions)
        };
        Restores { restores: listed.items.into_iter().map(shown).collect(), pagination }
    }
}

/// What a restore would do, and what stands in its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct RestorePlan {
    /// The backup.
    pub backup_id: Uuid,
    /// The server that it would be restored to.
    pub target: String,
    /// What would be created.
    pub creates: Vec<PlannedCreation>,
    /// Things of the destination that restored ones would use.
    pub uses: Vec<PlannedUse>,
    /// What is in the way.
    pub conflicts: Vec<PlannedConflict>,
    /// What is needed, and is neither restored nor in the destination.
    pub missing: Vec<PlannedMissing>,
    /// What would be replaced or removed.
    pub replaces: Vec<String>,
    /// What would be left out, or would differ from the backup.
    pub notes: Vec<String>,
    /// Tables that would be loaded.
    pub tables: i32,
    /// Rows that would be loaded.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub rows: u64,
    /// Bytes of rows, before compression.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub size_bytes: u64,
    /// Bytes that would be read from the storage.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub stored_bytes: u64,
    /// Why it would be refused, whatever else is said here.
    pub refused: Option<String>,
    /// What could be done about that.
    pub hint: Option<String>,
    /// What a person would have to set again.
    pub set_again: Vec<String>,
    /// The SQL statement that it stands for, without secrets.
    pub statement: String,
}

/// Something that would be created.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedCreation {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its name in the backup, where that is another one.
    pub from: Option<String>,
    /// Its rows, where it holds any.
    #[schema(value_type = Option<String>, format = Int64)]
    pub rows: Option<String>,
}

/// Something of the destination that restored things would use.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedUse {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it is what the backup means by that name: `same`, `different` or `not-compared`.
    pub comparison: String,
}

/// Something that is in the way.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedConflict {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What is the matter.
    pub message: String,
    /// Statements or options that resolve it; any one of them.
    pub resolutions: Vec<String>,
}

/// Something that is missing.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlannedMissing {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What needs it.
    pub needed_by: String,
    /// The option that leaves the dependent part out, where there is one.
    pub option: Option<String>,
    /// What is the matter.
    pub message: String,
    /// Statements or options that resolve it; any one of them.
    pub resolutions: Vec<String>,
}

impl From<model::RestorePlan> for RestorePlan {
    fn from(planned: model::RestorePlan) -> Self {
        let plan = planned.plan;
        let comparison = |value: &model::Comparison| match value {
            model::Comparison::Same => "same",
            model::Comparison::Different => "different",
            model::Comparison::NotCompared => "not-compared",
        };
        RestorePlan {
            backup_id: planned.backup.id.uuid(),
            target: plan.target,
            creates: plan
                .creates
                .into_iter()
                .map(|new| PlannedCreation {
                    kind: new.kind,
                    name: new.name,
                    from: new.from,
                    rows: new.rows.map(|rows| rows.to_string()),
                })
                .collect(),
            uses: plan
                .uses
                .into_iter()
                .map(|used| PlannedUse {
                    comparison: comparison(&used.comparison).to_owned(),
                    kind: used.kind,
                    name: used.name,
                })
                .collect(),
            conflicts: plan
                .conflicts
                .into_iter()
                .map(|found| PlannedConflict {
                    kind: found.kind,
                    name: found.name,
                    message: found.message,
                    resolutions: found.resolutions,
                })
                .collect(),
            missing: plan
                .missing
                .into_iter()
                .map(|found| PlannedMissing {
                    kind: found.kind,
                    name: found.name,
                    needed_by: found.needed_by,
                    option: found.option,
                    message: found.message,
                    resolutions: found.resolutions,
                })
                .collect(),
            replaces: plan.replaces,
            notes: plan.notes,
            tables: i32::try_from(plan.tables).unwrap_or(i32::MAX),
            rows: plan.rows,
            size_bytes: plan.size_bytes,
            stored_bytes: plan.stored_bytes,
            refused: planned.refused,
            hint: planned.hint,
            set_again: planned.set_again,
            statement: planned.statement,
        }
    }
}
