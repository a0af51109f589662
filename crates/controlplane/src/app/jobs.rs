//! Jobs, as people see them: lists, how far one is, and stopping it.
//!
//! Whoever may see a cluster sees its jobs, but not all of what they tell: names of tables are contents of
//! backups, and a restore has another cluster at its other end, which may not exist for the caller.

use serde_json::json;
use strongroom_catalog::audit::NewEvent;
use strongroom_catalog::jobs::{Job, JobFilter, JobKind};
use strongroom_catalog::{ClusterId, JobId, Listed, Page};

use super::{App, done};
use crate::limits::Follower;
use crate::{Action, Caller, Error, Permission, Result};

impl App {
    /// A page of a cluster's jobs, newest first.
    pub async fn jobs(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        filter: JobFilter,
        page: &Page,
    ) -> Result<Listed<Job>> {
        let cluster = self.cluster_for(caller, Permission::SeeCluster, cluster).await?.id;
        let filter = JobFilter { cluster: Some(cluster), ..filter };
        let mut listed = self.catalog().jobs(&filter, page).await?;
        for job in &mut listed.items {
            self.leave_out(caller, job).await?;
        }
        Ok(listed)
    }

    /// A job.
    pub async fn job(&self, caller: &Caller, id: JobId) -> Result<Job> {
        let mut job = self.catalog().job(id).await?;
        match job.cluster {
            // Whoever may not see the cluster is not told that there is such a job.
            Some(cluster) => caller
                .require_with(Permission::SeeCluster, cluster)
                .map_err(|_| Error::not_found("job", id))?,
            None => caller.require(Permission::ManageOrganization)?,
        }
        self.leave_out(caller, &mut job).await?;
        Ok(job)
    }

    /// Counts a reply that tells of a job for as long as it lasts, until what is returned is dropped.
    /// Too many at the same time are refused.
    pub fn follow(&self, caller: &Caller) -> Result<Follower> {
        Follower::of(&self.0.followers, caller.grantee)
    }

    /// Leaves out what the caller may not know of a job of a cluster that it may see.
    async fn leave_out(&self, caller: &Caller, job: &mut Job) -> Result<()> {
        let Some(cluster) = job.cluster else { return Ok(()) };
        if job.kind == JobKind::Restore && !caller.may(Permission::SeeCluster) {
            let source = self.catalog().restore(job.id).await?.source;
            if !caller.may_with(Permission::SeeCluster, source) {
                leave_out_words(job);
            }
        }
        if !caller.may_with(Permission::Restore, cluster) {
            leave_out_contents(job);
        }
        Ok(())
    }

    /// Wishes that a job stops. One that waits is canceled at once; one that runs undoes what it did.
    pub async fn cancel_job(&self, caller: &Caller, id: JobId) -> Result<Job> {
        let job = self.job(caller, id).await?;
        if let Some(cluster) = job.cluster {
            caller.require_with(Permission::Restore, cluster)?;
        }
        let mut write = self.catalog().begin().await?;
        let mut canceled = write.cancel_job(id).await?;
        let details = json!({"kind": job.kind, "state": canceled.state});
        let event = done(caller, "JOB_CANCELED", "job", id, details);
        write.record(&NewEvent { cluster: job.cluster, ..event }).await?;
        write.commit().await?;
        self.leave_out(caller, &mut canceled).await?;
        Ok(canceled)
    }

    /// What this caller may do with a job.
    pub fn job_actions(&self, caller: &Caller, job: &Job) -> Vec<Action> {
        let cancel = match job.cluster {
            Some(cluster) => caller.action_with("cancel", Permission::Restore, cluster),
            None => {
                let permission = Permission::ManageOrganization;
                Action::allowed_if("cancel", caller.may(permission), || permission.refusal())
            }
        };
        let ended = || format!("the job is {} already", job.state);
        let asked = || "it was asked to stop already".to_owned();
        vec![
            cancel
                .unless(job.state.has_ended(), ended)
                .unless(job.cancel_requested_at.is_some(), asked),
        ]
    }
}

/// Leaves out of a job what names tables.
pub(super) fn leave_out_contents(job: &mut Job) {
    if job.kind == JobKind::Drill {
        leave_out_why(job);
    }
    if job.kind == JobKind::Restore {
        leave_out_why(job);
        job.statement = None;
    }
    if let Some(progress) = job.progress.as_mut().and_then(|progress| progress.as_object_mut()) {
        progress.remove("tables");
        progress.remove("notes");
    }
}

/// Leaves out everything of a restore's job in which a cluster may be named that is at one of its ends.
pub(super) fn leave_out_words(job: &mut Job) {
    leave_out_contents(job);
    job.backup = None;
    job.statement = None;
    leave_out_why(job);
}

/// Leaves out why a job failed, but for the code.
fn leave_out_why(job: &mut Job) {
    if let Some(error) = &mut job.error {
        error.message.clear();
        error.hint = None;
    }
}
