//! How clusters are doing, for a whole page of them with one statement.

use jiff::Timestamp;

use crate::backup_settings::{SCHEDULE, Schedule};
use crate::database::{Bind, FromRow, Row};
use crate::jobs::JobState;
use crate::{Catalog, ClusterId, Result};

/// How a cluster's backups are doing.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its schedule, whether backups are enabled or not.
    pub schedule: Schedule,
    /// When the newest backup that is listed was taken.
    pub last_listed: Option<Timestamp>,
    /// How its newest backup job ended that was not canceled.
    pub last_ending: Option<JobState>,
}

impl FromRow for Overview {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Overview {
            cluster: row.get("cluster_id")?,
            schedule: Schedule::from_row(row)?,
            last_listed: row.opt("last_listed")?,
            last_ending: row.opt("last_ending")?,
        })
    }
}

impl Catalog {
    /// How these clusters are doing, in no order; deleted ones, too.
    pub async fn overviews(&self, clusters: &[ClusterId]) -> Result<Vec<Overview>> {
        if clusters.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<_> = (1..=clusters.len()).map(|number| format!("${number}")).collect();
        let sql = format!(
            "SELECT {SCHEDULE}, \
             (SELECT data_from FROM backups WHERE backups.cluster_id = clusters.id \
              AND retired_at IS NULL ORDER BY data_from DESC LIMIT 1) AS last_listed, \
             (SELECT state FROM jobs WHERE jobs.cluster_id = clusters.id AND kind = 'backup' \
              AND jobs.state IN ('succeeded', 'failed') \
              ORDER BY created_at DESC, jobs.id DESC LIMIT 1) AS last_ending \
             FROM clusters JOIN backup_settings ON backup_settings.cluster_id = clusters.id \
             WHERE clusters.id IN ({})",
            places.join(", ")
        );
        let values = clusters.iter().map(Bind::bind).collect();
        self.database.all("reading how clusters do", sqlx::AssertSqlSafe(sql), values).await
    }
}
