//! Jobs, as people see them: lists, how far one is, and stopping it.

use serde_json::json;
use strongroom_catalog::audit::NewEvent;
use strongroom_catalog::jobs::{Job, JobFilter};
use strongroom_catalog::{ClusterId, JobId, Listed, Page};

use super::{App, done};
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
        Ok(self.catalog().jobs(&filter, page).await?)
    }

    /// A job.
    pub async fn job(&self, caller: &Caller, id: JobId) -> Result<Job> {
        let job = self.catalog().job(id).await?;
        match job.cluster {
            // Whoever may not see the cluster is not told that there is such a job.
            Some(cluster) => caller
                .require_with(Permission::SeeCluster, cluster)
                .map_err(|_| Error::not_found("job", id))?,
            None => caller.require(Permission::ManageOrganization)?,
        }
        Ok(job)
    }

    /// Wishes that a job stops. One that waits is canceled at once; one that runs undoes what it did.
    pub async fn cancel_job(&self, caller: &Caller, id: JobId) -> Result<Job> {
        let job = self.job(caller, id).await?;
        if let Some(cluster) = job.cluster {
            caller.require_with(Permission::Restore, cluster)?;
        }
        let mut write = self.catalog().begin().await?;
        let canceled = write.cancel_job(id).await?;
        let details = json!({"kind": job.kind, "state": canceled.state});
        let event = done(caller, "JOB_CANCELED", "job", id, details);
        write.record(&NewEvent { cluster: job.cluster, ..event }).await?;
        write.commit().await?;
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
