//! How clusters are doing, for a whole page of them with one statement.

use jiff::Timestamp;

use crate::database::{Bind, FromRow, Row};
use crate::jobs::JobState;
use crate::{Catalog, ClusterId, Result};

/// How a cluster's backups are doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// The cluster.
    pub cluster: ClusterId,
    /// Whether backups are taken. None: it has no settings.
    pub enabled: Option<bool>,
    /// From one backup to the next.
    pub frequency_minutes: Option<i64>,
    /// When its settings were last changed.
    pub settings_changed_at: Option<Timestamp>,
    /// When its newest backup was taken.
    pub last_backup: Option<Timestamp>,
    /// How its newest backup job ended that was not canceled.
    pub last_ending: Option<JobState>,
    /// Whether a backup job waits or runs.
    pub under_way: bool,
}

impl FromRow for Overview {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Overview {
            cluster: row.get("id")?,
            enabled: row.opt("enabled")?,
            frequency_minutes: row.opt("frequency_minutes")?,
            settings_changed_at: row.opt("settings_changed_at")?,
            last_backup: row.opt("last_backup")?,
            last_ending: row.opt("last_ending")?,
            under_way: row.get("under_way")?,
        })
    }
}

impl Catalog {
    /// How these clusters are doing, in no order.
    pub async fn overviews(&self, clusters: &[ClusterId]) -> Result<Vec<Overview>> {
        if clusters.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<_> = (1..=clusters.len()).map(|number| format!("${number}")).collect();
        // Each of the inner questions reads one end of an index.
        let sql = format!(
            "SELECT clusters.id, enabled, frequency_minutes, \
             backup_settings.updated_at AS settings_changed_at, \
             (SELECT data_from FROM backups WHERE backups.cluster_id = clusters.id \
              AND retired_at IS NULL ORDER BY data_from DESC LIMIT 1) AS last_backup, \
             (SELECT state FROM jobs WHERE jobs.cluster_id = clusters.id AND kind = 'backup' \
              AND jobs.state IN ('succeeded', 'failed') \
              ORDER BY created_at DESC, jobs.id DESC LIMIT 1) AS last_ending, \
             EXISTS (SELECT 1 FROM jobs WHERE jobs.cluster_id = clusters.id AND kind = 'backup' \
              AND jobs.state IN ('pending', 'running')) AS under_way \
             FROM clusters LEFT JOIN backup_settings ON backup_settings.cluster_id = clusters.id \
             WHERE clusters.id IN ({})",
            places.join(", ")
        );
        let values = clusters.iter().map(Bind::bind).collect();
        self.database.all("reading how clusters do", sqlx::AssertSqlSafe(sql), values).await
    }
}
