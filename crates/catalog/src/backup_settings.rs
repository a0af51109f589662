//! Backup settings of a cluster: whether, how often, and how long backups are kept.
//!
//! Which values are allowed is a rule of the plan, and stands in the control plane. Here is what
//! needs the row: the retention can be set once, and every change has a number, the *generation*.
//! The scheduler makes one full backup per generation, by a slot that names it; so a change is
//! followed by a full at once, once, whatever the number of replicas.

use jiff::Timestamp;

use crate::clusters::{ClusterState, Plan, Provider};
use crate::database::{FromRow, Row, args};
use crate::{Catalog, CatalogError, ClusterId, LocationId, Result, Write};

/// The settings of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSettings {
    /// Whose settings.
    pub cluster: ClusterId,
    /// Whether backups are taken.
    pub enabled: bool,
    /// From one backup to the next.
    pub frequency_minutes: i64,
    /// How long new backups are kept.
    pub retention_days: i64,
    /// When the retention was set by somebody. It can not be set again.
    pub retention_set_at: Option<Timestamp>,
    /// Counts the changes.
    pub generation: i64,
    /// When they were last changed.
    pub updated_at: Timestamp,
}

/// What is to be changed. What is `None` stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct SettingsChange {
    /// Whether backups are taken.
    pub enabled: Option<bool>,
    /// From one backup to the next.
    pub frequency_minutes: Option<i64>,
    /// How long new backups are kept.
    pub retention_days: Option<i64>,
}

/// What the scheduler must know of a cluster.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The cluster's plan.
    pub plan: Plan,
    /// Who runs its machines.
    pub provider: Provider,
    /// Where it is in its life.
    pub state: ClusterState,
    /// Where its backups go.
    pub location: Option<LocationId>,
    /// Its settings.
    pub settings: BackupSettings,
    /// The newest slot that became a backup job.
    pub last_slot: Option<String>,
    /// When the newest backup was taken.
    pub last_backup: Option<Timestamp>,
    /// When the newest full backup was taken.
    pub last_full: Option<Timestamp>,
}

const COLUMNS: &str = "cluster_id, enabled, frequency_minutes, retention_days, retention_set_at, \
                       generation, updated_at";

impl FromRow for BackupSettings {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(BackupSettings {
            cluster: row.get("cluster_id")?,
            enabled: row.get("enabled")?,
            frequency_minutes: row.get("frequency_minutes")?,
            retention_days: row.get("retention_days")?,
            retention_set_at: row.opt("retention_set_at")?,
            generation: row.get("generation")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

impl FromRow for Schedule {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Schedule {
            plan: row.get("plan")?,
            provider: row.get("provider")?,
            state: row.get("state")?,
            location: row.opt("location_id")?,
            settings: BackupSettings {
                cluster: row.get("cluster_id")?,
                enabled: row.get("enabled")?,
                frequency_minutes: row.get("frequency_minutes")?,
                retention_days: row.get("retention_days")?,
                retention_set_at: row.opt("retention_set_at")?,
                generation: row.get("generation")?,
                updated_at: row.get("settings_updated_at")?,
            },
            last_slot: row.opt("last_slot")?,
            last_backup: row.opt("last_backup")?,
            last_full: row.opt("last_full")?,
        })
    }
}

impl Catalog {
    /// The settings of a cluster.
    pub async fn backup_settings(&self, cluster: ClusterId) -> Result<BackupSettings> {
        let sql = format!("SELECT {COLUMNS} FROM backup_settings WHERE cluster_id = $1");
        let sql = sqlx::AssertSqlSafe(sql);
        let found = self.database.find("reading backup settings", sql, args![cluster]).await?;
        found.ok_or_else(|| CatalogError::not_found("backup settings of cluster", cluster))
    }

    /// All that the scheduler must know, in one statement: every cluster that is attached and has
    /// backups enabled.
    pub async fn schedules(&self) -> Result<Vec<Schedule>> {
        let sql = "SELECT plan, provider, state, location_id, cluster_id, enabled, \
                   frequency_minutes, retention_days, retention_set_at, generation, \
                   backup_settings.updated_at AS settings_updated_at, \
                   (SELECT slot FROM jobs WHERE jobs.cluster_id = clusters.id \
                    AND kind = 'backup' AND slot IS NOT NULL \
                    ORDER BY created_at DESC, jobs.id DESC LIMIT 1) AS last_slot, \
                   (SELECT max(data_from) FROM backups WHERE backups.cluster_id = clusters.id) \
                    AS last_backup, \
                   (SELECT data_from FROM backups WHERE backups.cluster_id = clusters.id \
                    AND kind = 'full' ORDER BY data_from DESC LIMIT 1) AS last_full \
                   FROM clusters JOIN backup_settings ON backup_settings.cluster_id = clusters.id \
                   WHERE state = 'CREATED' AND enabled = $1 ORDER BY clusters.id";
        self.database.all("reading schedules", sql, args![true]).await
    }
}

impl Write<'_> {
    /// Gives a new cluster its settings. A retention that somebody chose counts as set.
    pub async fn create_backup_settings(
        &mut self,
        cluster: ClusterId,
        enabled: bool,
        frequency_minutes: i64,
        retention_days: i64,
        retention_was_chosen: bool,
    ) -> Result<BackupSettings> {
        let now = self.now();
        let sql = format!(
            "INSERT INTO backup_settings ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, 1, $6) \
             RETURNING {COLUMNS}"
        );
        let set_at = retention_was_chosen.then_some(now);
        let values = args![cluster, enabled, frequency_minutes, retention_days, set_at, now];
        let made = self.tx.one("making backup settings", sqlx::AssertSqlSafe(sql), values).await;
        made.map_err(|error: CatalogError| {
            error.or_exists("backup settings of cluster", cluster).or_missing("cluster", cluster)
        })
    }

    /// Changes settings. What stays as it is, is no change, and has no number.
    pub async fn change_backup_settings(
        &mut self,
        cluster: ClusterId,
        change: SettingsChange,
    ) -> Result<BackupSettings> {
        let doing = "changing backup settings";
        let lock = self.tx.dialect().for_update();
        let sql = format!("SELECT {COLUMNS} FROM backup_settings WHERE cluster_id = $1{lock}");
        let old: Option<BackupSettings> =
            self.tx.find(doing, sqlx::AssertSqlSafe(sql), args![cluster]).await?;
        let old =
            old.ok_or_else(|| CatalogError::not_found("backup settings of cluster", cluster))?;
        let new = BackupSettings {
            enabled: change.enabled.unwrap_or(old.enabled),
            frequency_minutes: change.frequency_minutes.unwrap_or(old.frequency_minutes),
            retention_days: change.retention_days.unwrap_or(old.retention_days),
            ..old.clone()
        };
        if new == old {
            return Ok(old);
        }
        let now = self.now();
        let retention_changes = new.retention_days != old.retention_days;
        if retention_changes && old.retention_set_at.is_some() {
            // The original's words, which its clients show.
            let reason = "cluster already has a retention policy set, open a support ticket to \
                          change it";
            return Err(CatalogError::conflict("cluster", cluster, reason));
        }
        let set_at = if retention_changes { Some(now) } else { old.retention_set_at };
        let sql = format!(
            "UPDATE backup_settings SET enabled = $2, frequency_minutes = $3, retention_days = $4, \
             retention_set_at = $5, generation = generation + 1, updated_at = $6 \
             WHERE cluster_id = $1 RETURNING {COLUMNS}"
        );
        let values =
            args![cluster, new.enabled, new.frequency_minutes, new.retention_days, set_at, now];
        self.tx.one(doing, sqlx::AssertSqlSafe(sql), values).await
    }
}
