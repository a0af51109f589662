//! Jobs, as the API shows them.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use strongroom_controlplane::model::Failure;
use strongroom_controlplane::{Action as Allowed, model};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Action;
use crate::paging::Pagination;

/// Something that takes long: a backup, a restore, a drill and so on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    pub kind: JobKind,
    /// How far it is.
    pub state: JobState,
    /// The cluster that it concerns.
    pub cluster_id: Option<Uuid>,
    /// The backup that it reads, builds on or has taken.
    pub backup_id: Option<Uuid>,
    /// The SQL statement that it stands for, without secrets.
    pub description: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was begun for the first time.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How often it was begun.
    pub attempts: i32,
    /// It is not begun before this time.
    pub not_before: Timestamp,
    /// Why it failed, as a code; of one that is to be begun again, why it failed the last time.
    pub error_code: Option<String>,
    /// What happened, to which object.
    pub error_message: Option<String>,
    /// What to do about it.
    pub error_hint: Option<String>,
    /// Who asked for it.
    pub requested_by: Option<String>,
    /// Whether somebody wishes that it stops.
    pub cancel_requested: bool,
    /// How far it is, once it says so.
    pub progress: Option<Progress>,
    /// What you may do with it.
    pub actions: Vec<Action>,
}

/// What a job does.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobKind {
    /// It takes a backup.
    Backup,
    /// It puts one back.
    Restore,
    /// It puts one back into a throwaway cluster, and compares.
    Drill,
    /// It removes what is no longer needed.
    Prune,
    /// It tells people that something went wrong.
    Alert,
}

impl From<model::JobKind> for JobKind {
    fn from(kind: model::JobKind) -> Self {
        match kind {
            model::JobKind::Backup => JobKind::Backup,
            model::JobKind::Restore => JobKind::Restore,
            model::JobKind::Drill => JobKind::Drill,
            model::JobKind::Prune => JobKind::Prune,
            model::JobKind::Alert => JobKind::Alert,
        }
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// It waits.
    Pending,
    /// Somebody works on it.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended badly.
    Failed,
    /// It was given up because somebody wished so.
    Canceled,
}

impl From<model::JobState> for JobState {
    fn from(state: model::JobState) -> Self {
        match state {
            model::JobState::Pending => JobState::Pending,
            model::JobState::Running => JobState::Running,
            model::JobState::Succeeded => JobState::Succeeded,
            model::JobState::Failed => JobState::Failed,
            model::JobState::Canceled => JobState::Canceled,
        }
    }
}

/// How far a table of a job is.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TableState {
    /// Nothing of it was moved yet.
    Waiting,
    /// Some of it was.
    Running,
    /// All of it was.
    Done,
}

/// How far a job is, in numbers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Progress {
    /// What it is doing.
    pub step: Option<String>,
    /// How much of it is done, from 0 to 1.
    pub fraction: f64,
    /// Bytes that were moved.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub bytes_done: i64,
    /// Bytes to move, as far as is known.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub bytes_total: i64,
    /// Tables that are done.
    pub tables_done: i32,
    /// Tables that are known.
    pub tables_total: i32,
    /// Some of the tables, those under way first; for those who may look into backups.
    pub tables: Vec<TableProgress>,
    /// What somebody should know; for those who may look into backups.
    pub notes: Vec<String>,
}

/// How far a table is.
#[derive(Debug, Serialize, ToSchema)]
pub struct TableProgress {
    /// Its database.
    pub database: String,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Rows that were moved.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub rows_done: i64,
    /// Bytes that were moved.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub bytes_done: i64,
    /// Bytes to move.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub bytes_total: i64,
    /// How far it is in all.
    pub state: TableState,
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub struct Jobs {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Where to go on.
    pub pagination: Pagination,
}

/// A page of backups that wait, run or failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct IncompleteBackups {
    /// Their jobs.
    pub incomplete_backups: Vec<Job>,
    /// Where to go on.
    pub pagination: Pagination,
}

impl Job {
    /// A job, with what the caller may do with it.
    pub fn new(job: model::Job, actions: Vec<Allowed>) -> Self {
        let taken = job.result.as_ref().and_then(|result| result["backup_id"].as_str());
        let taken = taken.and_then(|id| id.parse().ok());
        let (error_code, error_message, error_hint) = why(job.error);
        Job {
            id: job.id.uuid(),
            kind: job.kind.into(),
            state: job.state.into(),
            cluster_id: job.cluster.map(|cluster| cluster.uuid()),
            backup_id: taken.or(job.backup.map(|backup| backup.uuid())),
            description: job.statement,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            attempts: i32::try_from(job.attempts).unwrap_or(i32::MAX),
            not_before: job.not_before,
            error_code,
            error_message,
            error_hint,
            requested_by: job.requested_by,
            cancel_requested: job.cancel_requested_at.is_some(),
            progress: job.progress.as_ref().and_then(Progress::read),
            actions: actions.into_iter().map(Action::from).collect(),
        }
    }
}

/// Code, message and hint. What one may not be told of it is empty.
pub(super) fn why(failure: Option<Failure>) -> (Option<String>, Option<String>, Option<String>) {
    match failure {
        None => (None, None, None),
        Some(Failure { code, message, hint }) => {
            (Some(code), Some(message).filter(|message| !message.is_empty()), hint)
        }
    }
}

impl Progress {
    /// What a worker wrote. None: it has said nothing yet.
    pub fn read(value: &Value) -> Option<Self> {
        let number = |of: &Value, name: &str| of[name].as_i64().unwrap_or(0);
        let count = |name: &str| i32::try_from(number(value, name)).unwrap_or(i32::MAX);
        let text = |of: &Value, name: &str| of[name].as_str().unwrap_or_default().to_owned();
        let fraction = value.get("fraction")?.as_f64()?;
        let all = |name: &str| value[name].as_array().cloned().unwrap_or_default();
        Some(Progress {
            step: value["step"].as_str().map(str::to_owned),
            fraction: fraction.clamp(0.0, 1.0),
            bytes_done: number(value, "bytes_done"),
            bytes_total: number(value, "bytes_total"),
            tables_done: count("tables_done"),
            tables_total: count("tables_total"),
            tables: all("tables")
                .iter()
                .map(|table| TableProgress {
                    database: text(table, "database"),
                    schema: text(table, "schema"),
                    name: text(table, "name"),
                    rows_done: number(table, "rows_done"),
                    bytes_done: number(table, "bytes_done"),
                    bytes_total: number(table, "bytes_total"),
                    state: match text(table, "state").as_str() {
                        "DONE" => TableState::Done,
                        "RUNNING" => TableState::Running,
                        _ => TableState::Waiting,
                    },
                })
                .collect(),
            notes: all("notes")
                .iter()
                .filter_map(|note| note.as_str().map(str::to_owned))
                .collect(),
        })
    }
}
