//! Backup settings of a cluster: whether, how often, and how long.
//!
//! Which values there are is the plan's rule, and stands in [`crate::cadence`]. Here is what a change
//! may do: the retention is set once, a request that disables backups says nothing else, and every
//! change is told in the audit log. The full backup that follows a change at once is the scheduler's
//! work: a change has a number, and makes the present slot a new one.

use serde_json::json;
use strongroom_catalog::ClusterId;
use strongroom_catalog::backup_settings::{BackupSettings, SettingsChange};
use strongroom_catalog::clusters::{Cluster, Plan};

use super::App;
use super::clusters::{cluster_event, deleted};
use crate::{Caller, Error, Permission, Result, cadence};

/// The longest time from one drill to the next, in days.
const RAREST_DRILL: i64 = 365;

/// The settings of a cluster, and what they can be.
#[derive(Clone, Debug)]
pub struct SettingsDetail {
    /// The settings.
    pub settings: BackupSettings,
    /// Whether the retention can still be set.
    pub retention_can_be_set: bool,
    /// The frequencies that the plan allows, in minutes.
    pub allowed_frequencies: Vec<i64>,
    /// The retentions that can be set now, in days.
    pub allowed_retentions: Vec<i64>,
}

impl SettingsDetail {
    fn new(cluster: &Cluster, settings: BackupSettings) -> Self {
        let retention_days = cadence::retention(cluster.plan, settings.retention_days);
        let settings = BackupSettings { retention_days, ..settings };
        let retention_can_be_set =
            settings.retention_set_at.is_none() && cluster.plan != Plan::Basic;
        let allowed_retentions = match retention_can_be_set {
            true => cadence::RETENTIONS.to_vec(),
            false => vec![settings.retention_days],
        };
        SettingsDetail {
            allowed_frequencies: cadence::allowed_frequencies(cluster.plan).to_vec(),
            settings,
            retention_can_be_set,
            allowed_retentions,
        }
    }
}

impl App {
    /// The settings of a cluster.
    pub async fn backup_settings(&self, caller: &Caller, id: ClusterId) -> Result<SettingsDetail> {
        let cluster = self.cluster_for(caller, Permission::SeeCluster, id).await?;
        let settings = self.catalog().backup_settings(id).await?;
        Ok(SettingsDetail::new(&cluster, settings))
    }

    /// Changes the settings of a cluster. What is `None` stays.
    pub async fn change_backup_settings(
        &self,
        caller: &Caller,
        id: ClusterId,
        change: SettingsChange,
    ) -> Result<SettingsDetail> {
        let cluster = self.cluster_for(caller, Permission::ManageBackups, id).await?;
        if cluster.deleted_at.is_some() {
            return Err(deleted(&cluster));
        }
        let old = self.catalog().backup_settings(id).await?;
        check(&cluster, &old, change)?;
        let fixed = cluster.plan == Plan::Basic;
        let retention_days = change.retention_days.filter(|_| !fixed);
        let change = SettingsChange { retention_days, ..change };
        let mut write = self.catalog().begin().await?;
        let new = write.change_backup_settings(id, change).await?;
        if new != old {
            let values = |settings: &BackupSettings| {
                json!({
                    "enabled": settings.enabled,
                    "frequency_minutes": settings.frequency_minutes,
                    "retention_days": settings.retention_days,
                    "drill_every_days": settings.drill_every_days,
                })
            };
            let details = json!({ "old": values(&old), "new": values(&new) });
            let event = cluster_event(caller, "BACKUP_SETTINGS_CHANGED", &cluster, details);
            write.record(&event).await?;
            write.commit().await?;
        }
        Ok(SettingsDetail::new(&cluster, new))
    }
}

/// Refuses what the rules do not allow.
fn check(cluster: &Cluster, old: &BackupSettings, change: SettingsChange) -> Result<()> {
    let SettingsChange { enabled, frequency_minutes, retention_days, drill_every_days } = change;
    if let Some(reason) = cadence::unavailable(cluster.plan, cluster.provider)
        && (enabled == Some(true) || frequency_minutes.is_some() || retention_days.is_some())
    {
        return Err(Error::precondition(format!("cluster {}: {reason}", cluster.name)));
    }
    if enabled == Some(false) && (frequency_minutes.is_some() || retention_days.is_some()) {
        let message =
            "a request that disables backups can not set frequency_minutes or retention_days";
        return Err(Error::invalid(message).hint("send enabled alone, and the others before"));
    }
    let frequencies = cadence::allowed_frequencies(cluster.plan);
    let same_or = |value: Option<i64>, old: i64, allowed: &[i64]| {
        value.is_none_or(|value| value == old || allowed.contains(&value))
    };
    if !same_or(frequency_minutes, old.frequency_minutes, frequencies) {
        return Err(not_among("frequency_minutes", frequency_minutes, frequencies, cluster));
    }
    if cluster.plan == Plan::Basic {
        let kept = cadence::retention(cluster.plan, old.retention_days);
        if !same_or(retention_days, kept, &[]) {
            return Err(not_among("retention_days", retention_days, &[kept], cluster));
        }
        return check_drills(drill_every_days);
    }
    if !same_or(retention_days, old.retention_days, cadence::RETENTIONS) {
        return Err(not_among("retention_days", retention_days, cadence::RETENTIONS, cluster));
    }
    if old.retention_set_at.is_some() && !same_or(retention_days, old.retention_days, &[]) {
        // The original's words, which its clients know.
        return Err(Error::precondition(
            "cluster already has a retention policy set, open a support ticket to change it",
        ));
    }
    check_drills(drill_every_days)
}

fn check_drills(every_days: Option<i64>) -> Result<()> {
    match every_days {
        Some(days) if !(0..=RAREST_DRILL).contains(&days) => Err(Error::invalid(format!(
            "drill_every_days is {days}; it can be from 0 (never) to {RAREST_DRILL}"
        ))),
        _ => Ok(()),
    }
}

fn not_among(field: &str, value: Option<i64>, allowed: &[i64], cluster: &Cluster) -> Error {
    let value = value.unwrap_or_default();
    let allowed: Vec<_> = allowed.iter().map(i64::to_string).collect();
    Error::invalid(format!(
        "{field} is {value}; for plan {} it can be {}",
        cluster.plan,
        allowed.join(", ")
    ))
}
