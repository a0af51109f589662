//! Restore drills: proof, from time to time, that a cluster's backups come back.

use serde_json::json;
use strongroom_catalog::audit::NewEvent;
use strongroom_catalog::drills::Drill;
use strongroom_catalog::{BackupId, ClusterId, JobId, Listed, Page};

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
        Ok(self.catalog().drills(Some(cluster), page).await?)
    }

    /// A drill of this cluster.
    pub async fn drill(&self, caller: &Caller, cluster: ClusterId, id: JobId) -> Result<Drill> {
        caller.require_with(Permission::SeeCluster, cluster)?;
        let drill = self.catalog().drill(id).await?;
        if drill.cluster != cluster {
            return Err(Error::not_found("drill", id));
        }
        Ok(drill)
    }
}
