//! How clusters are doing, for a whole page of them with one statement.

use jiff::Timestamp;

use crate::backup_settings::{SETTINGS, Schedule};
use crate::clock::SKEW;
use crate::database::{Bind, FromRow, Row};
use crate::jobs::JobState;
use crate::{Catalog, ClusterId, Result};

/// How a cluster's backups are doing.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its schedule, whether backups are enabled or not; but for the last full backup and the last
    /// drill. The last backup is the newest one that is listed.
    pub schedule: Schedule,
    /// How its newest backup job ended that was not canceled.
    pub last_ending: Option<JobState>,
}

impl FromRow for Overview {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Overview {
            cluster: row.get("cluster_id")?,
            schedule: Schedule::from_row(row)?,
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
        let at_most = self.now().saturating_add(SKEW).unwrap_or(Timestamp::MAX);
        let places: Vec<_> = (1..=clusters.len()).map(|number| format!("${number}")).collect();
        // Each of the inner questions reads one end of an index. Of a schedule, what only the
        // scheduler wants to know is not asked: it would take as long again.
        let sql = format!(
            "SELECT {SETTINGS}, \
             (SELECT slot FROM jobs WHERE jobs.cluster_id = clusters.id AND kind = 'backup' \
              AND slot IS NOT NULL AND created_at <= {now} \
              ORDER BY created_at DESC, jobs.id DESC LIMIT 1) AS last_slot, \
             (SELECT data_from FROM backups WHERE backups.cluster_id = clusters.id \
              AND retired_at IS NULL AND data_from <= {now} \
              ORDER BY data_from DESC LIMIT 1) AS last_backup, \
             NULL AS last_full, NULL AS last_drill, \
             EXISTS (SELECT 1 FROM jobs WHERE jobs.cluster_id = clusters.id AND kind = 'backup' \
              AND jobs.state IN ('pending', 'running')) AS open, \
             (SELECT state FROM jobs WHERE jobs.cluster_id = clusters.id AND kind = 'backup' \
              AND jobs.state IN ('succeeded', 'failed') AND created_at <= {now} \
              ORDER BY created_at DESC, jobs.id DESC LIMIT 1) AS last_ending \
             FROM clusters JOIN backup_settings ON backup_settings.cluster_id = clusters.id \
             WHERE clusters.id IN ({})",
            places.join(", "),
            now = format_args!("${}", clusters.len() + 1),
        );
        let mut values: Vec<_> = clusters.iter().map(Bind::bind).collect();
        values.push(at_most.bind());
        let sql = sqlx::AssertSqlSafe(sql);
        let mut found: Vec<Overview> =
            self.database.all("reading how clusters do", sql, values).await?;
        found.iter_mut().for_each(|overview| overview.schedule.believe_until(at_most));
        Ok(found)
    }
}
