//! Backups of a cluster as lists show them, and taking one now.
//!
//! What is listed is complete and can be restored. What failed, waits or runs is a job: the list of
//! incomplete backups.

use jiff::Timestamp;
use serde_json::json;
use strongroom_catalog::audit::NewEvent;
use strongroom_catalog::backups::{Backup, BackupFilter, Day};
use strongroom_catalog::clusters::ClusterState;
use strongroom_catalog::jobs::{Job, JobFilter, JobKind, JobState, NewJob};
use strongroom_catalog::{BackupId, ClusterId, Listed, Page};
use strongroom_format::manifest::BackupType;

use super::{App, done};
use crate::{Action, Caller, Error, Kind, Permission, Result, cadence, scheduler, statement};

/// Days of a calendar that are told at once.
const MOST_DAYS: i64 = 400;

/// What a storage history has of points at most.
const MOST_POINTS: usize = 500;

/// What a cluster's backups took after one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoragePoint {
    /// The backup's read point.
    pub at: Timestamp,
    /// Bytes that all backups until then, of those that are listed, have stored.
    pub stored_bytes: i64,
    /// Bytes of rows that were in the cluster.
    pub size_bytes: i64,
}

impl App {
    /// A page of a cluster's backups, newest first.
    pub async fn backups(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        filter: BackupFilter,
        page: &Page,
    ) -> Result<Listed<Backup>> {
        let cluster = self.cluster_for(caller, Permission::SeeCluster, cluster).await?.id;
        let filter = BackupFilter { cluster: Some(cluster), retired: false, ..filter };
        Ok(self.catalog().backups(&filter, page).await?)
    }

    /// One backup of a cluster.
    pub async fn backup(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        backup: BackupId,
    ) -> Result<Backup> {
        self.backup_for(caller, Permission::SeeCluster, cluster, backup).await
    }

    /// What this caller may do with a backup.
    pub fn backup_actions(&self, caller: &Caller, backup: &Backup) -> Vec<Action> {
        let action = |name, permission| caller.action_with(name, permission, backup.cluster);
        vec![
            action("restore", Permission::Restore),
            action("see_contents", Permission::Restore),
            action("run_drill", Permission::ManageBackups),
        ]
    }

    /// The days on which a cluster has backups, or failed ones.
    pub async fn backup_days(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Vec<Day>> {
        let cluster = self.cluster_for(caller, Permission::SeeCluster, cluster).await?.id;
        let days = |days: i64| jiff::SignedDuration::from_hours(24 * days);
        let until = until.unwrap_or(self.now() + days(1));
        let from = match from {
            Some(from) => from,
            None => until.saturating_sub(days(MOST_DAYS)).unwrap_or(Timestamp::MIN),
        };
        if until.duration_since(from) > days(MOST_DAYS) {
            let message = format!("more than {MOST_DAYS} days are asked for");
            return Err(Error::invalid(message).hint("ask for fewer days, by from and until"));
        }
        Ok(self.catalog().calendar(cluster, from, until).await?)
    }

    /// How what a cluster's backups take has grown, oldest first: a point for each backup, or, where
    /// there are many, [`MOST_POINTS`] of them, the newest among them.
    pub async fn storage_history(
        &self,
        caller: &Caller,
        cluster: ClusterId,
    ) -> Result<Vec<StoragePoint>> {
        let cluster = self.cluster_for(caller, Permission::SeeCluster, cluster).await?.id;
        let sizes = self.catalog().backup_sizes(cluster).await?;
        let (step, mut stored_bytes) = (sizes.len().div_ceil(MOST_POINTS).max(1), 0);
        let points = sizes.iter().map(|size| {
            stored_bytes += size.stored_bytes;
            StoragePoint { at: size.data_from, stored_bytes, size_bytes: size.size_bytes }
        });
        let left = points.enumerate().filter(|(at, _)| (sizes.len() - 1 - at) % step == 0);
        Ok(left.map(|(_, point)| point).collect())
    }

    /// Backups that wait, run or failed, newest first.
    pub async fn incomplete_backups(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
        page: &Page,
    ) -> Result<Listed<Job>> {
        let filter = JobFilter {
            kinds: vec![JobKind::Backup],
            states: vec![JobState::Pending, JobState::Running, JobState::Failed],
            from,
            until,
            ..JobFilter::default()
        };
        self.jobs(caller, cluster, filter, page).await
    }

    /// Takes a backup now. Of which type, if nothing is said: incremental where the plan has that, and
    /// a full one where there is nothing to build on.
    pub async fn back_up_now(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        kind: Option<BackupType>,
    ) -> Result<Job> {
        let cluster = self.cluster_for(caller, Permission::ManageBackups, cluster).await?;
        if cluster.state != ClusterState::Created {
            let message = format!("cluster {} is {}", cluster.name, cluster.state);
            return Err(Error::precondition(message).hint("only attached clusters are backed up"));
        }
        if let Some(reason) = cadence::unavailable(cluster.plan, cluster.provider) {
            return Err(Error::precondition(reason));
        }
        let incrementals = !cluster.plan.is_serverless();
        if kind == Some(BackupType::Incremental) && !incrementals {
            let message = format!("the plan {} has full backups only", cluster.plan);
            return Err(Error::precondition(message).hint("ask for a full backup"));
        }
        let Some(location) = cluster.location else {
            let message = format!("cluster {} has no storage location", cluster.name);
            return Err(Error::precondition(message)
                .hint("make a storage location in the cluster's region"));
        };
        let newest = self.catalog().latest_backup(cluster.id, None).await?;
        let kind = match kind {
            Some(kind) => kind,
            None if incrementals && newest.is_some() => BackupType::Incremental,
            None => BackupType::Full,
        };
        let shown = self.catalog().location(location).await?.url_shown;
        let job = NewJob {
            location: Some(location),
            open_as: Some(scheduler::open_as(cluster.id)),
            payload: scheduler::payload(kind, None),
            statement: Some(statement::backup(kind, &shown, cluster.id)),
            requested_by: Some(caller.actor.name.clone()),
            ..NewJob::of(JobKind::Backup, cluster.id)
        };
        let mut write = self.catalog().begin().await?;
        let enqueued = write.enqueue(&job).await?;
        if !enqueued.is_new {
            let state = enqueued.job.state;
            let message = format!("a backup of cluster {} is {state} already", cluster.name);
            return Err(
                Error::new(Kind::Conflict, message).hint("wait for it to end, or cancel it first")
            );
        }
        let details = json!({"type": kind.name(), "job_id": enqueued.job.id});
        let event = done(caller, "BACKUP_REQUESTED", "cluster", cluster.id, details);
        write
            .record(&NewEvent {
                cluster: Some(cluster.id),
                object_name: Some(cluster.name.clone()),
                ..event
            })
            .await?;
        write.commit().await?;
        self.ring();
        Ok(enqueued.job)
    }
}
