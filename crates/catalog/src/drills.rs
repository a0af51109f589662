//! Drills: jobs that restore a backup into a throwaway cluster, and compare.
//!
//! As with restores, the job's row has state and error, and the row beside it what was found.

use jiff::Timestamp;
use strongroom_format::BackupId as EngineId;

use crate::database::{FromRow, Row, args, to_json};
use crate::jobs::{self, Job, JobKind, Lease, NewJob};
use crate::page::{Query, Sort};
use crate::{
    BackupId, Catalog, CatalogError, ClusterId, JobId, Listed, Order, Page, Result, Write,
};

/// What a drill found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Tables that were restored and counted.
    pub tables_checked: i64,
    /// Rows in them.
    pub rows_checked: i64,
    /// What differs from what the backup says of itself. Empty: nothing.
    pub differences: Vec<String>,
}

/// A drill.
#[derive(Clone, Debug, PartialEq)]
pub struct Drill {
    /// The job, whose id is the drill's.
    pub job: Job,
    /// The cluster whose backup is tried.
    pub cluster: ClusterId,
    /// The backup.
    pub backup: BackupId,
    /// The backup's name in its collection.
    pub backup_engine_id: EngineId,
    /// The backup's read point.
    pub backup_data_from: Timestamp,
    /// What was found.
    pub findings: Findings,
}

fn select() -> String {
    format!(
        "SELECT {}, drills.cluster_id AS drilled_cluster_id, drills.backup_id AS drilled_id, \
         drills.backup_engine_id, drills.backup_data_from, drills.tables_checked, \
         drills.rows_checked, drills.differences \
         FROM drills JOIN jobs ON jobs.id = drills.job_id",
        jobs::COLUMNS
    )
}

impl FromRow for Drill {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Drill {
            job: Job::from_row(row)?,
            cluster: row.get("drilled_cluster_id")?,
            backup: row.get("drilled_id")?,
            backup_engine_id: row.get("backup_engine_id")?,
            backup_data_from: row.get("backup_data_from")?,
            findings: Findings {
                tables_checked: row.get("tables_checked")?,
                rows_checked: row.get("rows_checked")?,
                differences: row.json("differences")?,
            },
        })
    }
}

impl Catalog {
    /// A drill by id.
    pub async fn drill(&self, id: JobId) -> Result<Drill> {
        let sql = sqlx::AssertSqlSafe(format!("{} WHERE drills.job_id = $1", select()));
        let found = self.database.find("reading a drill", sql, args![id]).await?;
        found.ok_or_else(|| CatalogError::not_found("drill", id))
    }

    /// A page of drills, newest first; all, or those of one cluster.
    pub async fn drills(&self, cluster: Option<ClusterId>, page: &Page) -> Result<Listed<Drill>> {
        let sort = Sort::time("drills.created_at", Order::Descending);
        let mut query = Query::new(select(), "drills.job_id", "drills.created_at", sort);
        query.with_some("drills.cluster_id = {}", cluster);
        query.read(&self.database, "listing drills", page, self.now()).await
    }
}

impl Write<'_> {
    /// Enqueues a drill of a backup, which stays until it has ended. With a slot that has become a
    /// drill before, that one.
    pub async fn enqueue_drill(
        &mut self,
        backup: BackupId,
        slot: Option<&str>,
        requested_by: &str,
    ) -> Result<Drill> {
        let doing = "enqueuing a drill";
        let known = self.need_backup(backup).await?;
        let job = NewJob {
            location: Some(known.location),
            backup: Some(backup),
            slot: slot.map(str::to_owned),
            requested_by: Some(requested_by.to_owned()),
            ..NewJob::of(JobKind::Drill, known.cluster)
        };
        let enqueued = self.enqueue(&job).await?;
        let job = enqueued.job;
        if enqueued.is_new {
            let sql = "INSERT INTO drills (job_id, cluster_id, backup_id, backup_engine_id, \
                       backup_data_from, tables_checked, rows_checked, differences, created_at) \
                       VALUES ($1, $2, $3, $4, $5, 0, 0, $6, $7)";
            let nothing: [String; 0] = [];
            let values = args![
                job.id,
                known.cluster,
                backup,
                known.engine_id,
                known.data_from,
                to_json(&nothing)?,
                job.created_at,
            ];
            self.tx.run(doing, sql, values).await?;
        }
        let sql = sqlx::AssertSqlSafe(format!("{} WHERE drills.job_id = $1", select()));
        self.tx.one(doing, sql, args![job.id]).await
    }

    /// Notes what a drill found. Before it is ended.
    pub async fn set_findings(&mut self, lease: &Lease, findings: &Findings) -> Result<()> {
        self.hold(lease).await?;
        let sql = "UPDATE drills SET tables_checked = $2, rows_checked = $3, differences = $4 \
                   WHERE job_id = $1";
        let differences = to_json(&findings.differences)?;
        let values = args![lease.job, findings.tables_checked, findings.rows_checked, differences];
        self.tx.run("noting what a drill found", sql, values).await?;
        Ok(())
    }
}
