//! Drills, as the API shows them.

use jiff::Timestamp;
use serde::Serialize;
use strongroom_controlplane::model::{self, Listed};
use utoipa::ToSchema;
use uuid::Uuid;

use super::jobs::{JobState, why};
use crate::paging::Pagination;

/// A backup that was restored into a throwaway cluster, and compared with what it says of itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct Drill {
    /// Its id, which is its job's.
    pub id: Uuid,
    /// How far it is.
    pub state: JobState,
    /// The backup.
    pub backup_id: Uuid,
    /// The time that the backup shows.
    pub backup_as_of_time: Timestamp,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was begun.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Tables that were restored and counted.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub tables_checked: i64,
    /// Rows in them.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub rows_checked: i64,
    /// What would not come back as the backup says. Empty: nothing.
    pub differences: Vec<String>,
    /// Why it failed, as a code.
    pub error_code: Option<String>,
    /// What happened, to which object.
    pub error_message: Option<String>,
    /// What to do about it.
    pub error_hint: Option<String>,
    /// Who asked for it.
    pub requested_by: Option<String>,
}

/// A page of drills.
#[derive(Debug, Serialize, ToSchema)]
pub struct Drills {
    /// The drills.
    pub drills: Vec<Drill>,
    /// Where to go on.
    pub pagination: Pagination,
}

impl From<model::Drill> for Drill {
    fn from(drill: model::Drill) -> Self {
        let model::Drill { job, findings, .. } = drill;
        let (error_code, error_message, error_hint) = why(job.error);
        Drill {
            id: job.id.uuid(),
            state: job.state.into(),
            backup_id: drill.backup.uuid(),
            backup_as_of_time: drill.backup_data_from,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            tables_checked: findings.tables_checked,
            rows_checked: findings.rows_checked,
            differences: findings.differences,
            error_code,
            error_message,
            error_hint,
            requested_by: job.requested_by,
        }
    }
}

impl From<Listed<model::Drill>> for Drills {
    fn from(listed: Listed<model::Drill>) -> Self {
        let pagination = Pagination::from(&listed);
        Drills { drills: listed.items.into_iter().map(Drill::from).collect(), pagination }
    }
}
