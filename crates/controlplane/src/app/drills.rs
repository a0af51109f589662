//! Restore drills: proof, from time to time, that a cluster's backups come back.

use serde_json::json;
use strongroom_catalog::audit::NewEvent;
use strongroom_catalog::drills::Drill;
use strongroom_catalog::{BackupId, ClusterId, JobId, Listed, Page};

use super::jobs::leave_out_contents;
use super::{App, done};
use crate::{Caller, Error, Permission, Result};

impl App {
    /// Enqueues a drill of a backup; of the newest, if none is named.
    pub async fn create_drill(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        backup: Option<BackupId>,
    ) -> Result<Drill> {
        let cluster = self.cluster_for(caller, Permission::ManageBackups, cluster).await?;
        let permission = Permission::ManageBackups;
        let backup = match backup {
            Some(id) => self.backup_for(caller, permission, cluster.id, id).await?,
            None => self.catalog().latest_backup(cluster.id, None).await?.ok_or_else(|| {
                Error::precondition(format!("cluster {} has no backup", cluster.name))
                    .hint("take one first")
            })?,
        };
        let mut write = self.catalog().begin().await?;
        let drill = write.enqueue_drill(backup.id, None, &caller.actor.name).await?;
        let details = json!({ "backup_id": backup.id });
        let event = NewEvent {
            object_name: Some(cluster.name.clone()),
            cluster: Some(cluster.id),
            ..done(caller, "DRILL_REQUESTED", "drill", drill.job.id, details)
        };
        write.record(&event).await?;
        write.commit().await?;
        self.ring();
        Ok(drill)
    }

    /// The drills of a cluster, newest first.
    pub async fn drills(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        page: &Page,
    ) -> Result<Listed<Drill>> {
        caller.require_with(Permission::SeeCluster, cluster)?;
        let mut listed = self.catalog().drills(Some(cluster), page).await?;
        listed.items.iter_mut().for_each(|drill| leave_out_findings(caller, drill));
        Ok(listed)
    }

    /// A drill of this cluster.
    pub async fn drill(&self, caller: &Caller, cluster: ClusterId, id: JobId) -> Result<Drill> {
        caller.require_with(Permission::SeeCluster, cluster)?;
        let mut drill = self.catalog().drill(id).await?;
        if drill.cluster != cluster {
            return Err(Error::not_found("drill", id));
        }
        leave_out_findings(caller, &mut drill);
        Ok(drill)
    }
}

/// Leaves out what was found in tables, unless the caller may know what backups hold.
fn leave_out_findings(caller: &Caller, drill: &mut Drill) {
    if !caller.may_with(Permission::Restore, drill.cluster) {
        drill.findings.differences.clear();
        leave_out_contents(&mut drill.job);
    }
}
