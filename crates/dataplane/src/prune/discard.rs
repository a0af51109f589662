//! Discarding what a job left that died: at once, and not after the grace time.
//!
//! A prune has to guess from the time whether a backup is dead. The service knows: a job has one
//! holder, and the one before lost it. But that one may only be asleep (a suspended process, a
//! machine that was moved), and go on writing when it wakes up. So, in this order:
//!
//! 1. a tombstone is put where the manifest would go, and where there is none. From then on the
//!    sleeper's commit is refused; or it came first, and the backup is complete;
//! 2. everything else in the folder is deleted;
//! 3. the claim is deleted, last: by it, a discard that was interrupted is done again.
//!
//! The tombstone stays. What the sleeper writes after step 2, and the tombstone itself, are removed
//! by a prune after the grace time.

use futures::{StreamExt, TryStreamExt};
use strongroom_format::BackupId;
use strongroom_format::claim::Claim;
use strongroom_format::layout::{Folder, ObjectKey};

use super::execute::{bury_the_dead, delete_all};
use crate::store::{Listed, Store};
use crate::{Error, Result, failpoint};

/// Claims read at the same time.
const CONCURRENCY: usize = 16;

/// What was found of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discarded {
    /// What was unfinished, and is gone.
    pub unfinished: Vec<BackupId>,
    /// What had become complete: it stays, and only its claim was removed, if it could be.
    pub complete: Vec<BackupId>,
}

/// Removes what a job of the service left unfinished, so that it can never become complete. Nobody
/// but the holder of the job may call it.
pub async fn discard(store: &Store, job_id: &str) -> Result<Discarded> {
    let objects = store.listing("").await?;
    let claimed = objects.iter().filter_map(|object| {
        let folder = ObjectKey::folder_of(&object.path)?;
        (object.path == ObjectKey::Started(folder).path()).then_some(folder)
    });
    let claimed: Vec<Folder> = futures::stream::iter(claimed.collect::<Vec<_>>())
        .map(|folder| async move {
            let claim = store.find(&ObjectKey::Started(folder).path()).await?;
            let claim = claim.and_then(|claim| Claim::decode(&claim));
            let ours = claim.is_some_and(|claim| claim.job_id.as_deref() == Some(job_id));
            Ok::<_, Error>(ours.then_some(folder))
        })
        .buffered(CONCURRENCY)
        .try_filter_map(|found| async move { Ok(found) })
        .try_collect()
        .await?;
    let mut discarded = Discarded::default();
    for folder in claimed {
        let claim = ObjectKey::Started(folder).path();
        let dead = bury_the_dead(store, folder).await?;
        if dead {
            let manifest = ObjectKey::Manifest(folder).path();
            // Listed anew: the sleeper may have written until it was buried.
            let others = store.listing(&folder.to_string()).await?.into_iter();
            let others: Vec<Listed> =
                others.filter(|it| it.path != claim && it.path != manifest).collect();
            delete_all(store, &others, "discard.during-sweep").await?;
            store.remove_unfinished(&folder.to_string())?;
            discarded.unfinished.push(folder.id);
        } else {
            discarded.complete.push(folder.id);
        }
        failpoint::pass("discard.before-claim")?;
        match store.delete(&claim).await {
            // In a complete backup it harms nobody.
            Err(_) if !dead => {}
            deleted => deleted?,
        }
    }
    Ok(discarded)
}
