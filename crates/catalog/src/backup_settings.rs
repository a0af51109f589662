//! Backup settings of a cluster: whether, how often, and how long backups are kept.
//!
//! Which values are allowed is a rule of the plan, and stands in the control plane. Here is what
//! needs the row: the retention can be set once, and every change has a number, the *generation*.
//! The scheduler makes one full backup per generation, by a slot that names it; so a change is
//! followed by a full at once, once, whatever the number of replicas.

use jiff::Timestamp;

use crate::clock::SKEW;
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
    /// From one restore drill to the next, in days. 0: there are none.
    pub drill_every_days: i64,
    /// When the retention was set by somebody. It can not be set again.
    pub retention_set_at: Option<Timestamp>,
    /// Counts the changes of what concerns backups, and not drills.
    pub generation: i64,
    /// When what concerns backups was last changed.
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
    /// From one restore drill to the next, in days. 0: there are none.
    pub drill_every_days: Option<i64>,
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
    /// Whether a backup job waits or runs.
    pub open: bool,
    /// When the newest drill was asked for.
    pub last_drill: Option<Timestamp>,
}

/// What the scheduler must know of a cluster's collection. There is one for every cluster that has a
/// location, also for those that were deleted: their backups are kept for their time.
#[derive(Clone, Debug)]
pub struct Upkeep {
    /// The cluster.
    pub cluster: ClusterId,
    /// Where its collection lies.
    pub location: LocationId,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// Whether backups are known, listed or retired.
    pub has_backups: bool,
    /// Whether the time of a backup is over that is still listed.
    pub expired: bool,
    /// Whether something of a retired backup may be left.
    pub retired: bool,
    /// When the newest prune was asked for.
    pub last_prune: Option<Timestamp>,
    /// Whether a prune waits or runs.
    pub open: bool,
}

impl FromRow for Upkeep {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Upkeep {
            cluster: row.get("id")?,
            location: row.get("location_id")?,
            deleted_at: row.opt("deleted_at")?,
            has_backups: row.get("has_backups")?,
            expired: row.get("expired")?,
            retired: row.get("retired")?,
            last_prune: row.opt("last_prune")?,
            open: row.get("open")?,
        })
    }
}

const COLUMNS: &str = "cluster_id, enabled, frequency_minutes, retention_days, drill_every_days, \
                       retention_set_at, generation, updated_at";

/// The columns of a [`Schedule`] that are columns of tables.
pub(crate) const SETTINGS: &str = "plan, provider, clusters.state AS state, location_id, \
    backup_settings.cluster_id AS cluster_id, enabled, frequency_minutes, retention_days, \
    drill_every_days, retention_set_at, generation, \
    backup_settings.updated_at AS settings_updated_at";

impl FromRow for BackupSettings {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(BackupSettings {
            cluster: row.get("cluster_id")?,
            enabled: row.get("enabled")?,
            frequency_minutes: row.get("frequency_minutes")?,
            retention_days: row.get("retention_days")?,
            drill_every_days: row.get("drill_every_days")?,
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
                drill_every_days: row.get("drill_every_days")?,
                retention_set_at: row.opt("retention_set_at")?,
                generation: row.get("generation")?,
                updated_at: row.get("settings_updated_at")?,
            },
            last_slot: row.opt("last_slot")?,
            last_backup: row.opt("last_backup")?,
            last_full: row.opt("last_full")?,
            open: row.get("open")?,
            last_drill: row.opt("last_drill")?,
        })
    }
}

impl Schedule {
    /// Takes settings that were changed while a clock was ahead for old ones: nothing else would be as
    /// new as they are until that time has come.
    pub(crate) fn believe_until(&mut self, at_most: Timestamp) {
        if self.settings.updated_at > at_most {
            self.settings.updated_at = Timestamp::UNIX_EPOCH;
        }
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
        // `coalesce`, so that the index on slots is not taken for the way to the newest one.
        let sql = format!(
            "SELECT {SETTINGS}, \
             (SELECT slot FROM jobs WHERE jobs.cluster_id = clusters.id AND kind = 'backup' \
              AND coalesce(slot, '') <> '' AND created_at <= $2 \
              ORDER BY created_at DESC, jobs.id DESC LIMIT 1) \
              AS last_slot, \
             (SELECT max(data_from) FROM backups WHERE backups.cluster_id = clusters.id \
              AND data_from <= $2) AS last_backup, \
             (SELECT max(data_from) FROM backups WHERE backups.cluster_id = clusters.id \
              AND kind = 'full' AND data_from <= $2) AS last_full, \
             EXISTS (SELECT 1 FROM jobs WHERE jobs.cluster_id = clusters.id AND kind = 'backup' \
              AND jobs.state IN ('pending', 'running')) AS open, \
             (SELECT max(created_at) FROM jobs WHERE jobs.cluster_id = clusters.id \
              AND kind = 'drill' AND created_at <= $2) AS last_drill \
             FROM clusters JOIN backup_settings ON backup_settings.cluster_id = clusters.id \
             WHERE clusters.state = 'CREATED' AND enabled = $1 ORDER BY clusters.id"
        );
        let sql = sqlx::AssertSqlSafe(sql);
        // What is of a time to come was made while a clock was ahead, and says nothing of now.
        let at_most = self.now().saturating_add(SKEW).unwrap_or(Timestamp::MAX);
        let mut found: Vec<Schedule> =
            self.database.all("reading schedules", sql, args![true, at_most]).await?;
        found.iter_mut().for_each(|schedule| schedule.believe_until(at_most));
        Ok(found)
    }

    /// What there may be to prune, of every cluster that has a location.
    pub async fn upkeep(&self) -> Result<Vec<Upkeep>> {
        let sql = "SELECT id, location_id, deleted_at, \
                   EXISTS (SELECT 1 FROM backups WHERE backups.cluster_id = clusters.id) \
                    AS has_backups, \
                   EXISTS (SELECT 1 FROM backups WHERE backups.cluster_id = clusters.id \
                    AND retired_at IS NULL AND expires_at <= $1) AS expired, \
                   EXISTS (SELECT 1 FROM backups WHERE backups.cluster_id = clusters.id \
                    AND retired_at IS NOT NULL) AS retired, \
                   (SELECT max(created_at) FROM jobs WHERE jobs.cluster_id = clusters.id \
                    AND kind = 'prune') AS last_prune, \
                   EXISTS (SELECT 1 FROM jobs WHERE jobs.cluster_id = clusters.id \
                    AND kind = 'prune' AND jobs.state IN ('pending', 'running')) AS open \
                   FROM clusters WHERE location_id IS NOT NULL ORDER BY id";
        self.database.all("reading what there may be to prune", sql, args![self.now()]).await
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
            "INSERT INTO backup_settings ({COLUMNS}) VALUES ($1, $2, $3, $4, 0, $5, 1, $6) \
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
            drill_every_days: change.drill_every_days.unwrap_or(old.drill_every_days),
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
        // How often a backup is tried says nothing of backups: no full one follows.
        let only_drills =
            BackupSettings { drill_every_days: old.drill_every_days, ..new.clone() } == old;
        let generation = old.generation + i64::from(!only_drills);
        let sql = format!(
            "UPDATE backup_settings SET enabled = $2, frequency_minutes = $3, retention_days = $4, \
             drill_every_days = $5, retention_set_at = $6, generation = $7, updated_at = $8 \
             WHERE cluster_id = $1 RETURNING {COLUMNS}"
        );
        let values = args![
            cluster,
            new.enabled,
            new.frequency_minutes,
            new.retention_days,
            new.drill_every_days,
            set_at,
            generation,
            if only_drills { old.updated_at } else { now },
        ];
        self.tx.one(doing, sqlx::AssertSqlSafe(sql), values).await
    }
}
