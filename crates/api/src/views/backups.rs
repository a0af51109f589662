//! Backups, as the API shows them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_controlplane::{Action as Allowed, model};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Action;
use crate::paging::Pagination;

/// The type of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum BackupType {
    /// It holds every row itself.
    #[serde(rename = "FULL")]
    Full,
    /// It holds what changed since another one.
    #[serde(rename = "INCREMENTAL")]
    Incremental,
}

impl From<model::BackupType> for BackupType {
    fn from(kind: model::BackupType) -> Self {
        match kind {
            model::BackupType::Full => BackupType::Full,
            model::BackupType::Incremental => BackupType::Incremental,
        }
    }
}

impl From<BackupType> for model::BackupType {
    fn from(kind: BackupType) -> Self {
        match kind {
            BackupType::Full => model::BackupType::Full,
            BackupType::Incremental => model::BackupType::Incremental,
        }
    }
}

/// A complete backup.
#[derive(Debug, Serialize, ToSchema)]
pub struct Backup {
    /// Its id.
    pub id: Uuid,
    /// Its read point: what it holds is as it was then.
    pub as_of_time: Timestamp,
    /// More about it.
    pub strongroom: BackupDetails,
}

/// More about a backup.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupDetails {
    /// Full or incremental.
    #[serde(rename = "type")]
    pub kind: BackupType,
    /// `COMPLETE`: others are not listed.
    pub status: String,
    /// Bytes that it takes in the storage: of an incremental, what changed.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub size_bytes: i64,
    /// Bytes of all rows that it holds, before compression.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub total_bytes: i64,
    /// Rows of all tables.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub rows: i64,
    /// Until when it is kept.
    pub expires_at: Option<Timestamp>,
    /// When it was complete.
    pub finished_at: Timestamp,
    /// Databases that have tables.
    pub databases: i32,
    /// The full backup of its chain, by its id; of a full one, its own.
    pub full_id: Uuid,
    /// Its name in the storage, such as `2026/11/22-130000.00`.
    pub engine_id: String,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// What you may do with it.
    pub actions: Vec<Action>,
}

/// A page of backups.
#[derive(Debug, Serialize, ToSchema)]
pub struct Backups {
    /// The backups.
    pub backups: Vec<Backup>,
    /// Where to go on.
    pub pagination: Pagination,
}

/// The calendar of backups.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupDays {
    /// The days on which there is something.
    pub days: Vec<BackupDay>,
}

/// A day of the calendar.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupDay {
    /// The day, in UTC.
    #[schema(value_type = String, format = Date)]
    pub date: String,
    /// Backups of that day.
    pub complete: i32,
    /// Backups that failed on that day.
    pub failed: i32,
}

/// How what the backups of a cluster take has grown.
#[derive(Debug, Serialize, ToSchema)]
pub struct StorageHistory {
    /// A point for each backup, oldest first; where there are many, 500 of them.
    pub points: Vec<StoragePoint>,
}

/// What the backups of a cluster took after one of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoragePoint {
    /// When.
    pub at: Timestamp,
    /// Bytes in the storage, of all backups until then that are still listed.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub stored_bytes: i64,
    /// Bytes of rows in the cluster.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub size_bytes: i64,
}

impl Backup {
    /// A backup, with what the caller may do with it.
    pub fn new(backup: &model::Backup, actions: Vec<Allowed>) -> Self {
        let full = model::BackupId::of(backup.cluster, &backup.full.to_string());
        let with_tables = backup.databases.iter().filter(|database| database.tables > 0).count();
        Backup {
            id: backup.id.uuid(),
            as_of_time: backup.data_from,
            strongroom: BackupDetails {
                kind: backup.kind.into(),
                status: "COMPLETE".to_owned(),
                size_bytes: backup.stored_bytes,
                total_bytes: backup.size_bytes,
                rows: backup.rows,
                expires_at: backup.expires_at,
                finished_at: backup.finished_at,
                databases: i32::try_from(with_tables).unwrap_or(i32::MAX),
                full_id: full.uuid(),
                engine_id: backup.engine_id.to_string(),
                encrypted: backup.key_id.is_some(),
                actions: actions.into_iter().map(Action::from).collect(),
            },
        }
    }
}

impl From<model::Day> for BackupDay {
    fn from(day: model::Day) -> Self {
        let count = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
        BackupDay {
            date: day.date.to_string(),
            complete: count(day.complete),
            failed: count(day.failed),
        }
    }
}

impl From<model::StoragePoint> for StoragePoint {
    fn from(point: model::StoragePoint) -> Self {
        let model::StoragePoint { at, stored_bytes, size_bytes } = point;
        StoragePoint { at, stored_bytes, size_bytes }
    }
}
