//! A prune job: backups whose time is over go, and what no kept backup needs is deleted.
//!
//! 1. The collection is opened. Where its folder is not there, nothing is decided: a disk that is not
//!    mounted looks like one on which there never was a backup.
//! 2. The engine looks at everything, and says what is going to happen to it ([`prune::prepare`]). It is
//!    told which backups have expired as far as the catalog knows, and takes better care than this:
//!    their time must be over by the store's clock, too; what shares a chain with damage stays, and so
//!    does the newest backup of a cluster that is not deleted, back to the newest that is in order: an
//!    old backup is better than none.
//! 3. The catalog is made to agree with that. What is going to expire is *retired*: no list shows it,
//!    and no job begins to read it. One that a job reads or builds on stays for now. What was retired
//!    and is complete and stays, whoever was wrong about it, is listed again.
//!    A backup of the service that no list ever had is recorded: its job was given up, killed or
//!    canceled after the manifest was written, and before anybody could look.
//! 4. The engine does it: it makes tombstones of exactly what is retired, deletes what nobody needs when
//!    the grace time has passed, and removes what died.
//! 5. Rows of which nothing is left in the storage are forgotten.
//!
//! Killed after any step, the next prune goes on: what is retired expires then, or is listed again. A
//! holder that slept may still make a tombstone of what its successor has listed again; the next prune
//! finds that, and takes it off the lists.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;
use strongroom_catalog::backups::Backup;
use strongroom_catalog::clusters::Cluster;
use strongroom_catalog::{CatalogError, LocationId};
use strongroom_dataplane::collection::{Entry, list};
use strongroom_dataplane::prune::{self, Action, Expiry, Prepared, PruneOptions};
use strongroom_dataplane::store::Store;
use strongroom_format::layout::Folder;
use tracing::{info, warn};

use super::{Done, Running, progress};
use crate::app::collection::{Collection, as_found};
use crate::{App, Error, Kind, Result, failpoint};

/// Rows changed in one transaction.
const BATCH: usize = 100;

/// Runs a prune job.
pub(super) async fn run(running: &Running) -> Result<Done> {
    let Running { app, job, .. } = running;
    running.stop_if_wished()?;
    running.check_attempts()?;
    let cluster = job.cluster.ok_or_else(|| Error::invalid("a prune job without a cluster"))?;
    let cluster = app.catalog().cluster(cluster).await?;
    let location = cluster.location.or(job.location);
    let location = location.ok_or_else(|| Error::invalid("a prune job without a location"))?;
    let collection = match app.collection(location, cluster.id, false).await {
        Ok(collection) => collection,
        Err(error) if error.kind() == Kind::NotFound => {
            app.never_backed_up(&cluster, location, error).await?;
            return Ok(Done::Succeeded(json!({"expired": 0, "freed_bytes": 0})));
        }
        Err(error) => return Err(error),
    };
    let (options, known) = options(app, &cluster, location, &collection).await?;
    let told = progress::listen(&running.progress);
    let mut prepared = prune::prepare(&collection.store, &options, &told).await?;
    let found = adopt(running, &cluster, location, &collection, &prepared).await?;
    let (expired, listed_again) = agree(running, &known, &mut prepared).await?;
    running.stop_if_wished()?;
    let pruned = prepared.execute(&told, &running.cancel).await?;
    let mut gone = Vec::new();
    for backup in app.catalog().retired_backups(cluster.id).await? {
        let folder = Folder { id: backup.engine_id, full: backup.full };
        if backup.location == location && is_gone(&collection.store, folder).await? {
            gone.push(backup.id);
        }
    }
    failpoint::pass("service.before-forget")?;
    for some in gone.chunks(BATCH) {
        let mut write = app.catalog().begin().await?;
        write.hold(&running.lease).await?;
        for backup in some {
            write.forget_backup(*backup).await?;
        }
        write.commit().await?;
    }
    failpoint::pass("service.after-forget")?;
    let buried = pruned.backups.iter().filter(|it| it.action == Action::Expire).count();
    let (forgotten, freed) = (gone.len(), pruned.freed_bytes);
    info!(expired, buried, listed_again, found, forgotten, freed, "pruned");
    Ok(Done::Succeeded(json!({
        "expired": expired,
        "freed_bytes": pruned.freed_bytes,
        "notes": pruned.notes,
    })))
}

/// What the engine is to be told for a prune of a cluster's collection; and the backups that have
/// expired or are retired already, as far as the catalog knows.
pub(crate) async fn options(
    app: &App,
    cluster: &Cluster,
    location: LocationId,
    collection: &Collection,
) -> Result<(PruneOptions, Vec<Backup>)> {
    let catalog = app.catalog();
    let lives = cluster.deleted_at.is_none();
    let mut known = catalog.expired_backups(cluster.id, u32::MAX).await?;
    known.extend(catalog.retired_backups(cluster.id).await?);
    known.retain(|backup| backup.location == location);
    // The engine keeps the newest that it finds. Should that be one that the catalog does not know, the
    // lists are not to be empty.
    let newest = match lives {
        true => catalog.latest_backup(cluster.id, None).await?.map(|newest| newest.id),
        false => None,
    };
    let backups: BTreeMap<_, _> = known
        .iter()
        .filter(|backup| Some(backup.id) != newest)
        .map(|backup| (backup.engine_id, backup.expires_at.unwrap_or(backup.recorded_at)))
        .collect();
    let options = PruneOptions {
        expiry: Expiry::Named { backups, keep_newest: lives },
        grace: app.config().grace,
        secret: collection.secret.clone(),
        dry_run: false,
        now: catalog.simulated_now(),
    };
    Ok((options, known))
}

/// Records complete backups of the service that the catalog does not know. How many there were.
async fn adopt(
    running: &Running,
    cluster: &Cluster,
    location: LocationId,
    collection: &Collection,
    prepared: &Prepared,
) -> Result<usize> {
    let known = running.app.known_backups(cluster.id, location).await?;
    let known: HashSet<_> = known.into_iter().map(|backup| backup.engine_id).collect();
    let unknown: HashSet<_> = prepared
        .backups()
        .filter(|it| it.complete && !known.contains(&it.id))
        .map(|it| it.id)
        .collect();
    if unknown.is_empty() {
        return Ok(0);
    }
    let mut found = Vec::new();
    for entry in list(&collection.store).await? {
        if let Entry::Complete(manifest) = entry
            && unknown.contains(&manifest.id)
            && manifest.managed.is_some()
        {
            warn!(backup = %manifest.id, "it is complete, and no list had it");
            found.push(as_found(&manifest, cluster.id, location));
        }
    }
    for some in found.chunks(BATCH) {
        let mut write = running.app.catalog().begin().await?;
        for backup in some {
            write.record_backup(backup, Some(&running.lease)).await?;
        }
        write.commit().await?;
    }
    Ok(found.len())
}

async fn is_gone(store: &Store, folder: Folder) -> Result<bool> {
    Ok(store.objects_in(&folder.to_string()).await?.is_empty())
}

/// Takes off the lists what is no backup any more or is not going to be, and puts back what stays.
/// What a job needs is spared. How many were taken off, and how many put back.
async fn agree(
    running: &Running,
    known: &[Backup],
    prepared: &mut Prepared,
) -> Result<(usize, usize)> {
    let verdicts: BTreeMap<_, _> =
        prepared.backups().map(|it| (it.id, (it.complete, it.action))).collect();
    let changes: Vec<(&Backup, bool)> = known
        .iter()
        .filter_map(|backup| {
            let listed = match verdicts.get(&backup.engine_id) {
                Some((true, action)) => *action != Action::Expire,
                // Nobody can say whether it is one.
                Some((false, Action::Keep)) => return None,
                Some((false, _)) | None => false,
            };
            (listed != backup.retired_at.is_none()).then_some((backup, listed))
        })
        .collect();
    let (mut retired, mut listed_again) = (0, 0);
    for some in changes.chunks(BATCH) {
        running.stop_if_wished()?;
        failpoint::pass("service.before-retire")?;
        let mut write = running.app.catalog().begin().await?;
        write.hold(&running.lease).await?;
        for (backup, listed) in some {
            if *listed {
                warn!(backup = %backup.engine_id, "it was taken off the lists, and stays: it is put back");
                write.relist_backup(backup.id).await?;
                listed_again += 1;
                continue;
            }
            match write.retire_backup(backup.id).await {
                Ok(_) => retired += 1,
                // The next prune sees it again.
                Err(CatalogError::Conflict { .. }) => {
                    prepared.spare(backup.engine_id, "a job reads it or builds on it");
                }
                Err(error) => return Err(error.into()),
            }
        }
        write.commit().await?;
        failpoint::pass("service.after-retire")?;
    }
    Ok((retired, listed_again))
}
