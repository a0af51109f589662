//! Backups: an index of what the collections hold.
//!
//! Only complete backups are here, each with what a list of the console shows; what is inside lies
//! in the collection. Backups that failed or are under way are jobs ([`crate::jobs`]). A row is
//! written after the manifest is durable, so a crash between the two leaves a backup that the next
//! rebuild finds. Every cluster has a collection of its own; the id follows from cluster and name, so recording one twice changes nothing.
//!
//! # From kept to gone
//!
//! 1. [`Write::retire_backup`]: it is no longer listed, and no job may begin to read it. Refused
//!    while a job that reads it, or builds on it, waits or runs. Both that and [`Write::enqueue`]
//!    take the backup's row first, so that neither can slip past the other.
//! 2. The engine removes what no kept backup needs from the collection. Of a retired backup, parts
//!    may have to stay: later ones of its chain refer to them.
//! 3. [`Write::forget_backup`]: the row goes, when nothing of it is left.
//!
//! Killed after any step, the next run goes on: retired rows say what is to be done. One that stays in
//! the storage after all is listed again ([`Write::relist_backup`]): what can be restored is never kept
//! from those who may need it.

use jiff::Timestamp;
use jiff::civil::Date;
use strongroom_format::BackupId as EngineId;
use strongroom_format::manifest::{BackupType, DatabaseSummary};

use crate::clock::SKEW;
use crate::database::{Arg, Bind, Column, FromRow, Row, args, to_json, unreadable};
use crate::jobs::Lease;
use crate::page::{Query, Sort};
use crate::{
    BackupId, Catalog, CatalogError, ClusterId, JobId, Listed, LocationId, Order, Page, Result,
    Write,
};

impl Bind for BackupType {
    fn bind(&self) -> Arg {
        Arg::Text(Some(self.name().to_owned()))
    }

    fn null() -> Arg {
        Arg::Text(None)
    }
}

impl Column for BackupType {
    fn read(row: &Row, name: &str) -> Result<Option<Self>> {
        match row.opt::<String>(name)?.as_deref() {
            None => Ok(None),
            Some("full") => Ok(Some(BackupType::Full)),
            Some("incremental") => Ok(Some(BackupType::Incremental)),
            Some(other) => Err(unreadable(name, format!("'{other}' is no type of backup"))),
        }
    }
}

/// What is recorded of a complete backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBackup {
    /// The cluster that it was taken of.
    pub cluster: ClusterId,
    /// The storage location that it lies in.
    pub location: LocationId,
    /// Its name in the collection.
    pub engine_id: EngineId,
    /// Full or incremental.
    pub kind: BackupType,
    /// The backup that an incremental builds on.
    pub parent: Option<EngineId>,
    /// The full backup of its chain; of a full one, itself.
    pub full: EngineId,
    /// Its read point.
    pub data_from: Timestamp,
    /// When its manifest was written.
    pub finished_at: Timestamp,
    /// Until when it is kept. None: until somebody removes it.
    pub expires_at: Option<Timestamp>,
    /// Raw bytes of all rows.
    pub size_bytes: i64,
    /// Bytes that it added to the collection.
    pub stored_bytes: i64,
    /// Rows of all tables.
    pub rows: i64,
    /// The databases.
    pub databases: Vec<DatabaseSummary>,
    /// The data key that it is encrypted with.
    pub key_id: Option<String>,
    /// The job that took it.
    pub job: Option<JobId>,
}

/// A complete backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its id here and in the API.
    pub id: BackupId,
    /// What is known of it.
    pub backup: NewBackup,
    /// When the row was made.
    pub recorded_at: Timestamp,
    /// Since when it is no longer listed, and waits to be removed.
    pub retired_at: Option<Timestamp>,
}

impl std::ops::Deref for Backup {
    type Target = NewBackup;

    fn deref(&self) -> &NewBackup {
        &self.backup
    }
}

const COLUMNS: &str = "id, cluster_id, location_id, engine_id, kind, parent_engine_id, \
                       full_engine_id, data_from, finished_at, expires_at, size_bytes, \
                       stored_bytes, row_count, databases, key_id, job_id, recorded_at, retired_at";

impl FromRow for Backup {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Backup {
            id: row.get("id")?,
            backup: NewBackup {
                cluster: row.get("cluster_id")?,
                location: row.get("location_id")?,
                engine_id: row.get("engine_id")?,
                kind: row.get("kind")?,
                parent: row.opt("parent_engine_id")?,
                full: row.get("full_engine_id")?,
                data_from: row.get("data_from")?,
                finished_at: row.get("finished_at")?,
                expires_at: row.opt("expires_at")?,
                size_bytes: row.get("size_bytes")?,
                stored_bytes: row.get("stored_bytes")?,
                rows: row.get("row_count")?,
                databases: row.json("databases")?,
                key_id: row.opt("key_id")?,
                job: row.opt("job_id")?,
            },
            recorded_at: row.get("recorded_at")?,
            retired_at: row.opt("retired_at")?,
        })
    }
}

/// The newest backup in a location; only where all are retired, one of those.
const NEWEST_IN: &str = "WHERE location_id = $1 \
     ORDER BY CASE WHEN retired_at IS NULL THEN 0 ELSE 1 END, data_from DESC, id LIMIT 1";

/// Which backups are wanted. Empty: all.
#[derive(Clone, Debug, Default)]
pub struct BackupFilter {
    /// Only those of this cluster.
    pub cluster: Option<ClusterId>,
    /// Only those in this location.
    pub location: Option<LocationId>,
    /// Only those taken at this time or later.
    pub from: Option<Timestamp>,
    /// Only those taken before this time.
    pub until: Option<Timestamp>,
    /// Only full ones, or only incremental ones.
    pub kind: Option<BackupType>,
    /// Only those that hold a database of this name.
    pub database: Option<String>,
    /// Retired ones, too.
    pub retired: bool,
}

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// The day, in UTC.
    pub date: Date,
    /// Backups whose read point lies in it.
    pub complete: i64,
    /// Backup jobs made in it that failed.
    pub failed: i64,
}

/// What a backup takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupSize {
    /// Its read point.
    pub data_from: Timestamp,
    /// What it has stored.
    pub stored_bytes: i64,
    /// The rows that it stands for.
    pub size_bytes: i64,
}

impl FromRow for BackupSize {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(BackupSize {
            data_from: row.get("data_from")?,
            stored_bytes: row.get("stored_bytes")?,
            size_bytes: row.get("size_bytes")?,
        })
    }
}

struct Count {
    day: String,
    what: String,
    count: i64,
}

impl FromRow for Count {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Count { day: row.get("day")?, what: row.get("what")?, count: row.get("how_many")? })
    }
}

/// What is listed of a cluster's backups, in sum.
#[derive(Clone, Debug)]
pub struct BackupSum {
    /// The cluster.
    pub cluster: ClusterId,
    /// How many there are.
    pub backups: i64,
    /// Bytes that they added to the storage.
    pub stored_bytes: i64,
    /// Bytes of their rows, before compression.
    pub size_bytes: i64,
}

impl FromRow for BackupSum {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(BackupSum {
            cluster: row.get("cluster_id")?,
            backups: row.get("backups")?,
            stored_bytes: row.get("stored")?,
            size_bytes: row.get("size")?,
        })
    }
}

impl Catalog {
    /// What is listed of every cluster's backups, in sum.
    pub async fn backup_sums(&self) -> Result<Vec<BackupSum>> {
        let sql = "SELECT cluster_id, count(*) AS backups, \
                   CAST(sum(stored_bytes) AS BIGINT) AS stored, \
                   CAST(sum(size_bytes) AS BIGINT) AS size \
                   FROM backups WHERE retired_at IS NULL GROUP BY cluster_id";
        self.database.all("adding up backups", sql, args![]).await
    }

    /// A backup by id, retired or not.
    pub async fn backup(&self, id: BackupId) -> Result<Backup> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM backups WHERE id = $1"));
        let found = self.database.find("reading a backup", sql, args![id]).await?;
        found.ok_or_else(|| CatalogError::not_found("backup", id))
    }

    /// The newest backup of a cluster that was taken before `until`, if that is given.
    pub async fn latest_backup(
        &self,
        cluster: ClusterId,
        until: Option<Timestamp>,
    ) -> Result<Option<Backup>> {
        // One of a time to come was taken while a clock was ahead: only where there is no other.
        let soon = self.now().saturating_add(SKEW).unwrap_or(Timestamp::MAX);
        for until in [Some(until.unwrap_or(soon).min(soon)), until] {
            let filter = BackupFilter { cluster: Some(cluster), until, ..BackupFilter::default() };
            let newest = self.backups(&filter, &Page::first(1)).await?.items.into_iter().next();
            if newest.is_some() {
                return Ok(newest);
            }
        }
        Ok(None)
    }

    /// The newest backup that is known to lie in a location; a retired one, if there is no other.
    pub async fn newest_backup_in(&self, location: LocationId) -> Result<Option<Backup>> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM backups {NEWEST_IN}"));
        self.database.find("reading a location's newest backup", sql, args![location]).await
    }

    /// A page of backups, newest first.
    pub async fn backups(&self, filter: &BackupFilter, page: &Page) -> Result<Listed<Backup>> {
        let sort = Sort::time("data_from", Order::Descending);
        let select = format!("SELECT {COLUMNS} FROM backups");
        let mut query = Query::new(select, "id", "recorded_at", sort);
        query.with_some("cluster_id = {}", filter.cluster);
        query.with_some("location_id = {}", filter.location);
        query.with_some("data_from >= {}", filter.from);
        query.with_some("data_from < {}", filter.until);
        query.with_some("kind = {}", filter.kind);
        query.with_some(self.dialect().has_database(), filter.database.as_deref());
        if !filter.retired {
            query.only("retired_at IS NULL");
        }
        query.read(&self.database, "listing backups", page, self.now()).await
    }

    /// What the backups of a cluster take, oldest first; retired ones are left out.
    pub async fn backup_sizes(&self, cluster: ClusterId) -> Result<Vec<BackupSize>> {
        let sql = "SELECT data_from, stored_bytes, size_bytes FROM backups \
                   WHERE cluster_id = $1 AND retired_at IS NULL ORDER BY data_from, id";
        self.database.all("reading the sizes of backups", sql, args![cluster]).await
    }

    /// A chain of a cluster: the full backup of this name and what builds on it, in order.
    pub async fn chain(&self, cluster: ClusterId, full: EngineId) -> Result<Vec<Backup>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM backups WHERE cluster_id = $1 AND full_engine_id = $2 \
             ORDER BY data_from, id"
        );
        let values = args![cluster, full];
        self.database.all("reading a chain", sqlx::AssertSqlSafe(sql), values).await
    }

    /// The backups of a cluster whose time is over and that are not retired yet, oldest first; at most
    /// so many.
    pub async fn expired_backups(&self, cluster: ClusterId, limit: u32) -> Result<Vec<Backup>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM backups WHERE cluster_id = $1 AND expires_at <= $2 \
             AND retired_at IS NULL ORDER BY expires_at, id LIMIT $3"
        );
        let values = args![cluster, self.now(), i64::from(limit)];
        self.database.all("reading expired backups", sqlx::AssertSqlSafe(sql), values).await
    }

    /// The retired backups of a cluster, of which something may be left, oldest first.
    pub async fn retired_backups(&self, cluster: ClusterId) -> Result<Vec<Backup>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM backups WHERE cluster_id = $1 AND retired_at IS NOT NULL \
             ORDER BY data_from, id"
        );
        let sql = sqlx::AssertSqlSafe(sql);
        self.database.all("reading retired backups", sql, args![cluster]).await
    }

    /// The days from `from` to before `until` on which a cluster has backups, or failed ones.
    pub async fn calendar(
        &self,
        cluster: ClusterId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Day>> {
        let dialect = self.dialect();
        let sql = format!(
            "SELECT {} AS day, 'complete' AS what, count(*) AS how_many FROM backups \
             WHERE cluster_id = $1 AND data_from >= $2 AND data_from < $3 AND retired_at IS NULL \
             GROUP BY 1 UNION ALL \
             SELECT {} AS day, 'failed' AS what, count(*) AS how_many FROM jobs \
             WHERE cluster_id = $1 AND kind = 'backup' AND state = 'failed' \
             AND created_at >= $2 AND created_at < $3 GROUP BY 1 ORDER BY 1",
            dialect.day_of("data_from"),
            dialect.day_of("created_at"),
        );
        let sql = sqlx::AssertSqlSafe(sql);
        let counts: Vec<Count> =
            self.database.all("reading the calendar", sql, args![cluster, from, until]).await?;
        let mut days: Vec<Day> = Vec::new();
        for Count { day, what, count } in counts {
            let date = day.parse().map_err(|error| unreadable("day", error))?;
            if days.last().is_none_or(|last| last.date != date) {
                days.push(Day { date, complete: 0, failed: 0 });
            }
            if let Some(day) = days.last_mut() {
                if what == "complete" { day.complete = count } else { day.failed = count }
            }
        }
        Ok(days)
    }
}

impl Write<'_> {
    /// Records a backup that lies in its collection. With a lease, only while that is held. What
    /// was recorded before stays as it is.
    pub async fn record_backup(
        &mut self,
        new: &NewBackup,
        lease: Option<&Lease>,
    ) -> Result<Backup> {
        if let Some(lease) = lease {
            self.hold(lease).await?;
        }
        let id = BackupId::of(new.cluster, &new.engine_id.to_string());
        let sql = format!(
            "INSERT INTO backups ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, \
             $12, $13, $14, $15, $16, $17, NULL) ON CONFLICT (cluster_id, engine_id) DO NOTHING"
        );
        let values = args![
            id,
            new.cluster,
            new.location,
            new.engine_id,
            new.kind,
            new.parent,
            new.full,
            new.data_from,
            new.finished_at,
            new.expires_at,
            new.size_bytes,
            new.stored_bytes,
            new.rows,
            to_json(&new.databases)?,
            new.key_id,
            new.job,
            self.now(),
        ];
        let recorded = self.tx.run("recording a backup", sqlx::AssertSqlSafe(sql), values).await;
        recorded.map_err(|error| error.or_missing("cluster or storage location of backup", id))?;
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM backups WHERE id = $1"));
        self.tx.one("recording a backup", sql, args![id]).await
    }

    /// As [`Catalog::newest_backup_in`], within the transaction.
    pub async fn newest_backup_in(&mut self, location: LocationId) -> Result<Option<Backup>> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM backups {NEWEST_IN}"));
        self.tx.find("reading a location's newest backup", sql, args![location]).await
    }

    /// Takes a backup off the lists, before it is removed. Refused while a job needs it.
    pub async fn retire_backup(&mut self, id: BackupId) -> Result<Backup> {
        self.lock_backup(id).await?;
        let sql = "SELECT 1 FROM jobs WHERE backup_id = $1 AND state IN ('pending', 'running')";
        if !self.tx.rows("looking for jobs of a backup", sql, args![id]).await?.is_empty() {
            return Err(CatalogError::conflict("backup", id, "a job reads it or builds on it"));
        }
        let sql = format!(
            "UPDATE backups SET retired_at = coalesce(retired_at, $2) WHERE id = $1 \
             RETURNING {COLUMNS}"
        );
        self.tx.one("retiring a backup", sqlx::AssertSqlSafe(sql), args![id, self.now()]).await
    }

    /// Puts a retired backup back on the lists: its time was not over, or it is needed for longer.
    pub async fn relist_backup(&mut self, id: BackupId) -> Result<Backup> {
        let sql = format!("UPDATE backups SET retired_at = NULL WHERE id = $1 RETURNING {COLUMNS}");
        let sql = sqlx::AssertSqlSafe(sql);
        let listed = self.tx.find("listing a backup again", sql, args![id]).await?;
        listed.ok_or_else(|| CatalogError::not_found("backup", id))
    }

    /// Forgets a retired backup of which nothing is left. Whether it was known.
    pub async fn forget_backup(&mut self, id: BackupId) -> Result<bool> {
        let sql = "DELETE FROM backups WHERE id = $1 AND retired_at IS NOT NULL";
        Ok(self.tx.run("forgetting a backup", sql, args![id]).await? > 0)
    }

    /// Forgets all backups of a cluster in a location, retired or not, before they are read anew from
    /// it. In the same transaction, so that no list is ever seen without them.
    pub async fn forget_backups_in(
        &mut self,
        location: LocationId,
        cluster: ClusterId,
    ) -> Result<u64> {
        let sql = "DELETE FROM backups WHERE location_id = $1 AND cluster_id = $2";
        self.tx.run("forgetting the backups of a cluster", sql, args![location, cluster]).await
    }

    /// Takes a backup's row. It is there, and what is decided about it now holds until the commit.
    async fn lock_backup(&mut self, id: BackupId) -> Result<Backup> {
        let lock = self.tx.dialect().for_update();
        let sql = format!("SELECT {COLUMNS} FROM backups WHERE id = $1{lock}");
        let found = self.tx.find("locking a backup", sqlx::AssertSqlSafe(sql), args![id]).await?;
        found.ok_or_else(|| CatalogError::not_found("backup", id))
    }

    /// Takes a backup that a job will need. It stays until the job has ended.
    pub(crate) async fn need_backup(&mut self, id: BackupId) -> Result<Backup> {
        let backup = self.lock_backup(id).await?;
        if backup.retired_at.is_some() {
            let reason = "its time is over, and it is being removed";
            return Err(CatalogError::conflict("backup", id, reason));
        }
        Ok(backup)
    }
}
