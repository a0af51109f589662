//! Doing what was planned: sweep the dead, delete what was buried before, bury what has expired.
//!
//! Space is made before anything is written, so that a prune helps on a disk that is nearly full.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt};
use strongroom_format::BackupId;
use strongroom_format::layout::{Folder, ObjectKey};
use strongroom_format::manifest::{Found, Manifest, bury};

use super::Action;
use super::plan::{Deletion, Plan};
use super::survey::survey;
use crate::error::bail;
use crate::progress::Progress;
use crate::store::{Listed, Store};
use crate::{CancellationToken, Error, Result, failpoint};

/// Objects deleted at the same time.
const CONCURRENCY: usize = 16;

pub(super) async fn execute(
    store: &Store,
    plan: &mut Plan,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<()> {
    let dead = std::mem::take(&mut plan.dead);
    if !dead.is_empty() {
        progress.step("removing what interrupted backups left");
    }
    for deletion in dead {
        stop_if(cancel)?;
        let folder = deletion.folder;
        if bury_the_dead(store, folder).await? {
            plan.settled.insert(folder);
            sweep(store, &deletion).await?;
        } else {
            told(plan, folder, Action::Keep, "it has just ended");
        }
    }
    let deletions = std::mem::take(&mut plan.deletions);
    if !deletions.is_empty() {
        progress.step("deleting what no backup needs");
        let busy = busy_chains(store, &plan.settled).await?;
        for (chain, deletions) in deletions {
            for deletion in deletions {
                stop_if(cancel)?;
                if busy.contains(&chain) {
                    let reason = "kept for now: another backup of its chain has begun";
                    told(plan, deletion.folder, Action::Wait, reason);
                } else {
                    delete(store, &deletion).await?;
                }
            }
        }
    }
    let expired = std::mem::take(&mut plan.expired);
    if !expired.is_empty() {
        progress.step("letting old backups expire");
    }
    for folder in expired {
        stop_if(cancel)?;
        bury_expired(store, folder).await?;
    }
    Ok(())
}

fn stop_if(cancel: &CancellationToken) -> Result<()> {
    if cancel.is_cancelled() {
        bail!(Cancelled, "the prune was stopped; the next one goes on from there");
    }
    Ok(())
}

/// Writes down that something went otherwise than planned.
fn told(plan: &mut Plan, folder: Folder, action: Action, reason: &str) {
    if let Some(verdict) = plan.verdicts.get_mut(&folder) {
        (verdict.action, verdict.freed_bytes) = (action, 0);
        verdict.reason = reason.to_owned();
    }
}

/// Takes from a backup that is or seems dead the place where its manifest would go. False: it was alive,
/// and is complete.
pub(crate) async fn bury_the_dead(store: &Store, folder: Folder) -> Result<bool> {
    let object = ObjectKey::Manifest(folder);
    failpoint::pass("prune.before-bury")?;
    let buried = store.create(&object, bury(&[])).await? || {
        let there = store.get(&object.path()).await?;
        matches!(Manifest::find(&there, folder), Ok(Found::Pruned(_)))
    };
    failpoint::pass("prune.after-bury")?;
    Ok(buried)
}

/// Removes what a dead backup wrote, but for the tombstone: it may yet try to commit.
async fn sweep(store: &Store, deletion: &Deletion) -> Result<()> {
    failpoint::pass("prune.before-sweep")?;
    let claim = ObjectKey::Started(deletion.folder).path();
    // Without its claim a backup that is alive after all does not even try.
    store.delete(&claim).await?;
    delete_all(store, &deletion.objects, "prune.during-sweep").await?;
    delete_all(store, &deletion.packs, "prune.during-sweep").await?;
    store.remove_unfinished(&deletion.folder.to_string())?;
    failpoint::pass("prune.after-sweep")
}

/// The chains that have a folder which the plan does not know as complete or buried. Two listings,
/// one after the other: see [`super`].
async fn busy_chains(store: &Store, settled: &BTreeSet<Folder>) -> Result<BTreeSet<BackupId>> {
    let mut busy = BTreeSet::new();
    failpoint::pass("prune.before-listing")?;
    for listing in 0..2 {
        let folders = survey(store, false).await?.into_values().flat_map(|chain| chain.into_keys());
        busy.extend(folders.filter(|it| !settled.contains(it)).map(|folder| folder.full));
        if listing == 0 {
            failpoint::pass("prune.between-listings")?;
        }
    }
    failpoint::pass("prune.after-listing")?;
    Ok(busy)
}

async fn delete(store: &Store, deletion: &Deletion) -> Result<()> {
    failpoint::pass("prune.before-objects")?;
    delete_all(store, &deletion.objects, "prune.during-objects").await?;
    failpoint::pass("prune.before-packs")?;
    delete_all(store, &deletion.packs, "prune.during-packs").await?;
    if let Some(tombstone) = &deletion.tombstone {
        store.remove_unfinished(&deletion.folder.to_string())?;
        failpoint::pass("prune.before-tombstone")?;
        store.delete(&tombstone.path).await?;
        failpoint::pass("prune.after-tombstone")?;
    }
    Ok(())
}

pub(super) async fn delete_all(store: &Store, objects: &[Listed], point: &str) -> Result<()> {
    futures::stream::iter(objects)
        .map(|object| async move {
            store.delete(&object.path).await?;
            failpoint::pass(point)
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

/// Makes of a complete backup one that was pruned.
async fn bury_expired(store: &Store, folder: Folder) -> Result<()> {
    let object = ObjectKey::Manifest(folder);
    let path = object.path();
    let Some(manifest) = store.find(&path).await? else {
        return Ok(());
    };
    match Manifest::find(&manifest, folder).map_err(|error| Error::stored(&path, error))? {
        // By another prune.
        Found::Pruned(_) => Ok(()),
        Found::Complete(_) => {
            failpoint::pass("prune.before-mark")?;
            store.put(&object, bury(&manifest)).await?;
            failpoint::pass("prune.after-mark")
        }
    }
}
