//! A prune job: backups whose time is over go, and what no kept backup needs is deleted.
//!
//! 1. Backups that have expired are *retired* in the catalog: no list shows them, and no job begins to
//!    read them. One that a job reads or builds on stays for now, and so does the newest backup of a
//!    cluster that is not deleted, whatever its age: an old backup is better than none.
//! 2. The engine makes tombstones of exactly the retired ones, each only if its time is over by the
//!    store's clock, too; deletes what nobody needs when the grace time has passed; and removes what
//!    died.
//! 3. Rows of which nothing is left in the storage are forgotten.
//!
//! Killed after any step, the next prune goes on: what is retired says what is to be done.

use std::collections::BTreeMap;

use serde_json::json;
use strongroom_catalog::CatalogError;
use strongroom_catalog::clusters::Cluster;
use strongroom_dataplane::prune::{self, Action, Expiry, PruneOptions};
use strongroom_dataplane::store::Store;
use strongroom_format::layout::Folder;
use tracing::info;

use super::{Done, Running, progress};
use crate::{Error, Kind, Result, failpoint};

/// Backups retired in one transaction.
const BATCH: u32 = 100;

/// Runs a prune job.
pub(super) async fn run(running: &Running) -> Result<Done> {
    let Running { app, job, .. } = running;
    running.stop_if_wished()?;
    running.check_attempts()?;
    let cluster = job.cluster.ok_or_else(|| Error::invalid("a prune job without a cluster"))?;
    let cluster = app.catalog().cluster(cluster).await?;
    let location = job.location.or(cluster.location);
    let location = location.ok_or_else(|| Error::invalid("a prune job without a location"))?;
    let expired = retire(running, &cluster).await?;
    let collection = match app.collection(location, cluster.id, false).await {
        Ok(collection) => collection,
        // A folder that was never made: nothing was ever backed up there.
        Err(error) if error.kind() == Kind::NotFound => {
            return Ok(Done::Succeeded(json!({"expired": 0, "freed_bytes": 0})));
        }
        Err(error) => return Err(error),
    };
    let retired = app.catalog().retired_backups(cluster.id).await?;
    let named: BTreeMap<_, _> = retired
        .iter()
        .filter(|backup| backup.location == location)
        .map(|backup| (backup.engine_id, backup.expires_at.unwrap_or(backup.recorded_at)))
        .collect();
    let options = PruneOptions {
        expiry: Expiry::Named(named),
        grace: app.config().grace,
        secret: collection.secret.clone(),
        dry_run: false,
        now: app.catalog().simulated_now(),
    };
    let told = progress::listen(&running.progress);
    let pruned = prune::run(&collection.store, &options, &told, &running.cancel).await?;
    let mut gone = Vec::new();
    for backup in &retired {
        let folder = Folder { id: backup.engine_id, full: backup.full };
        if backup.location == location && is_gone(&collection.store, folder).await? {
            gone.push(backup.id);
        }
    }
    failpoint::pass("service.before-forget")?;
    for some in gone.chunks(BATCH as usize) {
        let mut write = app.catalog().begin().await?;
        write.hold(&running.lease).await?;
        for backup in some {
            write.forget_backup(*backup).await?;
        }
        write.commit().await?;
    }
    failpoint::pass("service.after-forget")?;
    let buried = pruned.backups.iter().filter(|it| it.action == Action::Expire).count();
    info!(expired, buried, forgotten = gone.len(), freed = pruned.freed_bytes, "pruned");
    Ok(Done::Succeeded(json!({
        "expired": expired,
        "freed_bytes": pruned.freed_bytes,
        "notes": pruned.notes,
    })))
}

async fn is_gone(store: &Store, folder: Folder) -> Result<bool> {
    Ok(store.objects_in(&folder.to_string()).await?.is_empty())
}

/// Takes off the lists what has expired and may go. How many there were.
async fn retire(running: &Running, cluster: &Cluster) -> Result<usize> {
    let Running { app, lease, .. } = running;
    let catalog = app.catalog();
    let newest = match cluster.deleted_at {
        None => catalog.latest_backup(cluster.id, None).await?.map(|backup| backup.id),
        Some(_) => None,
    };
    let expired = catalog.expired_backups(cluster.id, u32::MAX).await?;
    let due: Vec<_> = expired.iter().map(|it| it.id).filter(|id| Some(*id) != newest).collect();
    let mut retired = 0;
    for some in due.chunks(BATCH as usize) {
        running.stop_if_wished()?;
        failpoint::pass("service.before-retire")?;
        let mut write = catalog.begin().await?;
        write.hold(lease).await?;
        for backup in some {
            match write.retire_backup(*backup).await {
                Ok(_) => retired += 1,
                // A job reads it. The next prune sees it again.
                Err(CatalogError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        write.commit().await?;
        failpoint::pass("service.after-retire")?;
    }
    Ok(retired)
}
