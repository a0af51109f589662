//! Restores: jobs that put a backup back, with what people want to see of them.
//!
//! The job's row has the state, the lease and the error; the restore's row beside it has what was
//! asked for, how far it is, and what a person has to set again afterwards. Both are made in one
//! transaction and go together.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strongroom_format::BackupId as EngineId;

use crate::database::{FromRow, Row, args, named, to_json};
use crate::jobs::{self, Job, JobKind, Lease, NewJob};
use crate::page::{Query, Sort};
use crate::{
    BackupId, Catalog, CatalogError, ClusterId, JobId, Listed, Order, Page, Result, Write,
};

named! {
    /// What is put back.
    pub enum RestoreKind: "restore type" {
        /// All of a cluster.
        Cluster = "CLUSTER",
        /// Databases.
        Database = "DATABASE",
        /// Tables.
        Table = "TABLE",
    }
}

/// A database or table to be put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreObject {
    /// The database in the backup.
    pub database: String,
    /// The table's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
}

/// What is to be restored.
#[derive(Clone, Debug)]
pub struct NewRestore {
    /// The cluster that the backup was taken of.
    pub source: ClusterId,
    /// The cluster that it goes into.
    pub destination: ClusterId,
    /// The backup.
    pub backup: BackupId,
    /// What is put back.
    pub kind: RestoreKind,
    /// Which databases or tables.
    pub objects: Vec<RestoreObject>,
    /// The options, as the API has them.
    pub options: Value,
    /// The SQL statement that it stands for. Secrets are blotted out.
    pub statement: Option<String>,
    /// Who asked for it, as the audit log names them.
    pub requested_by: Option<String>,
}

/// A restore.
#[derive(Clone, Debug, PartialEq)]
pub struct Restore {
    /// The job, whose id is the restore's.
    pub job: Job,
    /// The cluster that the backup was taken of.
    pub source: ClusterId,
    /// Its name, as it is now.
    pub source_name: String,
    /// The cluster that it goes into.
    pub destination: ClusterId,
    /// Its name, as it is now.
    pub destination_name: String,
    /// The backup.
    pub backup: BackupId,
    /// The backup's name in its collection.
    pub backup_engine_id: EngineId,
    /// The backup's read point.
    pub backup_data_from: Timestamp,
    /// What is put back.
    pub kind: RestoreKind,
    /// Which databases or tables.
    pub objects: Vec<RestoreObject>,
    /// The options.
    pub options: Value,
    /// From 0 to 1.
    pub completion: f64,
    /// What a person has to set again.
    pub set_again: Vec<String>,
}

fn select() -> String {
    format!(
        "SELECT {}, restores.source_cluster_id, source.name AS source_name, \
         restores.destination_cluster_id, destination.name AS destination_name, \
         restores.backup_id AS restored_id, restores.backup_engine_id, restores.backup_data_from, \
         restores.kind AS restore_kind, restores.objects, restores.options, restores.completion, \
         restores.set_again FROM restores JOIN jobs ON jobs.id = restores.job_id \
         JOIN clusters AS source ON source.id = restores.source_cluster_id \
         JOIN clusters AS destination ON destination.id = restores.destination_cluster_id",
        jobs::COLUMNS
    )
}

impl FromRow for Restore {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Restore {
            job: Job::from_row(row)?,
            source: row.get("source_cluster_id")?,
            source_name: row.get("source_name")?,
            destination: row.get("destination_cluster_id")?,
            destination_name: row.get("destination_name")?,
            backup: row.get("restored_id")?,
            backup_engine_id: row.get("backup_engine_id")?,
            backup_data_from: row.get("backup_data_from")?,
            kind: row.get("restore_kind")?,
            objects: row.json("objects")?,
            options: row.get("options")?,
            completion: row.get("completion")?,
            set_again: row.json("set_again")?,
        })
    }
}

/// Which restores are wanted. Empty: all.
#[derive(Clone, Debug, Default)]
pub struct RestoreFilter {
    /// Only those into this cluster.
    pub destination: Option<ClusterId>,
    /// Only those of this cluster's backups.
    pub source: Option<ClusterId>,
    /// Only those asked for at this time or later.
    pub from: Option<Timestamp>,
    /// Only those asked for before this time.
    pub until: Option<Timestamp>,
}

impl Catalog {
    /// A restore by id.
    pub async fn restore(&self, id: JobId) -> Result<Restore> {
        let sql = sqlx::AssertSqlSafe(format!("{} WHERE restores.job_id = $1", select()));
        let found = self.database.find("reading a restore", sql, args![id]).await?;
        found.ok_or_else(|| CatalogError::not_found("restore", id))
    }

    /// The kinds of the restores into a cluster that have not ended.
    pub async fn open_restores(&self, destination: ClusterId) -> Result<Vec<RestoreKind>> {
        let doing = "looking for restores into a cluster";
        let open = self.database.rows(doing, OPEN, args![destination]).await?;
        open.iter().map(|open| open.get("kind")).collect()
    }

    /// A page of restores, newest first.
    pub async fn restores(&self, filter: &RestoreFilter, page: &Page) -> Result<Listed<Restore>> {
        let sort = Sort::time("restores.created_at", Order::Descending);
        let mut query = Query::new(select(), "restores.job_id", "restores.created_at", sort);
        query.with_some("restores.destination_cluster_id = {}", filter.destination);
        query.with_some("restores.source_cluster_id = {}", filter.source);
        query.with_some("restores.created_at >= {}", filter.from);
        query.with_some("restores.created_at < {}", filter.until);
        query.read(&self.database, "listing restores", page, self.now()).await
    }
}

/// The kinds of the restores into a cluster that have not ended.
const OPEN: &str = "SELECT restores.kind AS kind FROM jobs \
    JOIN restores ON restores.job_id = jobs.id \
    WHERE jobs.cluster_id = $1 AND jobs.kind = 'restore' \
    AND jobs.state IN ('pending', 'running')";

impl Write<'_> {
    /// The kinds of the restores into a cluster that have not ended. Until the commit nobody else
    /// decides by that. Not found: the cluster was deleted.
    pub async fn open_restores(&mut self, destination: ClusterId) -> Result<Vec<RestoreKind>> {
        let doing = "looking for restores into a cluster";
        self.lock_cluster(destination).await?;
        let open = self.tx.rows(doing, OPEN, args![destination]).await?;
        open.iter().map(|open| open.get("kind")).collect()
    }

    /// Enqueues a restore. The backup stays until it has ended.
    pub async fn enqueue_restore(&mut self, new: &NewRestore) -> Result<Restore> {
        let backup = self.need_backup(new.backup).await?;
        let job = NewJob {
            location: Some(backup.location),
            backup: Some(new.backup),
            statement: new.statement.clone(),
            requested_by: new.requested_by.clone(),
            ..NewJob::of(JobKind::Restore, new.destination)
        };
        let job = self.enqueue(&job).await?.job;
        let sql = "INSERT INTO restores (job_id, source_cluster_id, destination_cluster_id, \
                   backup_id, backup_engine_id, backup_data_from, kind, objects, options, \
                   completion, set_again, created_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        let nothing: [String; 0] = [];
        let values = args![
            job.id,
            new.source,
            new.destination,
            new.backup,
            backup.engine_id,
            backup.data_from,
            new.kind,
            to_json(&new.objects)?,
            new.options,
            0.0,
            to_json(&nothing)?,
            job.created_at,
        ];
        let made = self.tx.run("enqueuing a restore", sql, values).await;
        made.map_err(|error| error.or_missing("cluster", new.source))?;
        let sql = sqlx::AssertSqlSafe(format!("{} WHERE restores.job_id = $1", select()));
        self.tx.one("enqueuing a restore", sql, args![job.id]).await
    }

    /// Notes how far a restore is, from 0 to 1. It never goes back within one attempt.
    pub async fn set_completion(&mut self, lease: &Lease, completion: f64) -> Result<()> {
        self.hold(lease).await?;
        let completion = if completion.is_nan() { 0.0 } else { completion.clamp(0.0, 1.0) };
        let sql = "UPDATE restores SET completion = $2 WHERE job_id = $1";
        self.tx.run("noting a restore's progress", sql, args![lease.job, completion]).await?;
        Ok(())
    }

    /// Notes what a person has to set again after a restore. Before it is ended.
    pub async fn set_again(&mut self, lease: &Lease, what: &[String]) -> Result<()> {
        self.hold(lease).await?;
        let sql = "UPDATE restores SET set_again = $2 WHERE job_id = $1";
        self.tx.run("noting what to set again", sql, args![lease.job, to_json(&what)?]).await?;
        Ok(())
    }
}
