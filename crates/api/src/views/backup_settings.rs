//! Backup settings, as the API shows them.

use serde::Serialize;
use strongroom_controlplane::app::backup_settings::SettingsDetail;
use utoipa::ToSchema;

/// The backup settings of a cluster.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupConfiguration {
    /// Whether backups are taken.
    pub enabled: bool,
    /// From one backup to the next.
    pub frequency_minutes: i32,
    /// How long new backups are kept.
    pub retention_days: i32,
    /// What is ours of them.
    pub strongroom: BackupConfigurationExtras,
}

/// What is ours of backup settings.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupConfigurationExtras {
    /// Whether the retention can still be set: that is done once.
    pub retention_can_be_set: bool,
    /// From one restore drill to the next. 0: there are none.
    pub drill_every_days: i32,
    /// The frequencies that the plan allows.
    pub allowed_frequencies: Vec<i32>,
    /// The retentions that can be set now.
    pub allowed_retentions: Vec<i32>,
}

impl From<SettingsDetail> for BackupConfiguration {
    fn from(detail: SettingsDetail) -> Self {
        let int = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
        let ints = |values: Vec<i64>| values.into_iter().map(int).collect();
        BackupConfiguration {
            enabled: detail.settings.enabled,
            frequency_minutes: int(detail.settings.frequency_minutes),
            retention_days: int(detail.settings.retention_days),
            strongroom: BackupConfigurationExtras {
                retention_can_be_set: detail.retention_can_be_set,
                drill_every_days: int(detail.settings.drill_every_days),
                allowed_frequencies: ints(detail.allowed_frequencies),
                allowed_retentions: ints(detail.allowed_retentions),
            },
        }
    }
}
