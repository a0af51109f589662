//! Pruning: deleting what no kept backup needs, while others back up, restore and verify.
//!
//! A backup *expires* when it is older than its type is kept, or when somebody who knows better names
//! it ([`Expiry`]). It then stops being a backup, in one
//! step: a tombstone replaces its manifest. Its objects are deleted by a later prune, when the grace
//! time has passed since and nobody needs them. Packs outlive their backup for as long as a kept
//! backup of the chain names them; everything else of it (contents, lists, definitions, envelope) is
//! read by nobody but itself and goes.
//!
//! ```text
//! complete --(expired)--> tombstone in place of MANIFEST --(grace)--> its objects deleted
//! STARTED alone --(dead)-->        the same tombstone             --> packs, when nobody needs them
//!                                                                 --> the tombstone, when all is gone
//! ```
//!
//! # What must hold
//!
//! **No complete manifest ever names a deleted pack**, however prunes, backups and crashes are
//! interleaved. Stores are taken to be consistent: who reads or lists after a write has returned
//! sees it. Nothing is assumed about how long anybody sleeps, with the one exception at the end.
//!
//! *What is read from a manifest is final in one direction.* A backup puts its manifest where there
//! is none; a prune puts a tombstone over it, or, for a backup that seems dead, where there is none.
//! Of two that put where there is none, the store lets one through. So a folder goes from nothing to
//! complete to tombstone, or from nothing to tombstone, and never back. A backup that was taken for
//! dead can not become complete: its commit fails, and says why.
//!
//! *Packs of a complete backup that others build on.* An incremental backup B does, in this order:
//!
//! 1. choose a parent P, and read what it holds;
//! 2. put its claim, `STARTED`, into a folder of P's chain;
//! 3. read P's manifest again, and start over if that is a tombstone by now;
//! 4. write everything, look at every pack that it names, put its manifest;
//! 5. remove its claim.
//!
//! A prune does, in this order:
//!
//! 1. list everything, and read every manifest. It may delete a pack only if no complete backup that
//!    it sees here names it, nor one whose tombstone is younger than the grace time;
//! 2. list everything again, and then once more. If the chain has a folder now that is neither
//!    complete nor buried as far as (1) knows, nothing of the chain is deleted this time;
//! 3. delete.
//!
//! Suppose that B becomes complete, and names a pack that the prune deletes. The pack is P's. In (1)
//! P was not complete any more, or its packs would be needed; so (1) read P's manifest after B's
//! step 3, thus after B's claim was there. Then the first listing of (2) shows the claim, and the
//! chain is left alone; or the claim is gone again by the time the listing passes its place, so B's
//! manifest was there before that, and the second listing shows it. Either way there is a folder that (1) does
//! not know as complete, and nothing was deleted. (A listing of a store is not one moment; that is why
//! there are two.) If (1) knows B as buried, it never becomes complete.
//!
//! A chain that is being built on is thus left alone as a whole, and told so. That also keeps the
//! contents, lists and envelope of a buried parent, which B still reads.
//!
//! *The newest backup stays.* Of every cluster and every choice of targets, the newest complete
//! backup that can be opened and has all its packs is kept, whatever its age. Two prunes with
//! different settings agree on that: only a newer one takes its place. Who names what expires says
//! whether that holds, since of a cluster that was deleted nothing is to stay; and what was taken of
//! another server counts as the same cluster there, since the collection is that of one.
//!
//! # Who reads meanwhile
//!
//! A restore or a verification that has opened a backup goes on undisturbed for the grace time after
//! the backup has become a tombstone: neither its packs nor its lists are deleted before. One that
//! takes longer finds an object missing, and ends with an error that says that the backup was
//! pruned; a restore has then changed nothing.
//!
//! # Interrupted, repeated, side by side
//!
//! Every step can be the last one. Before the tombstone there is a complete backup, after it a
//! tombstone; from then on each deletion stands for itself, and the tombstone goes last, when its
//! folder has nothing else. So what an interrupted prune leaves is never taken for damage (a folder
//! with objects, without manifest and claim), and the next prune goes on from there. Two prunes at the
//! same time do the same, and deleting what is gone is no error.
//!
//! # Who else keeps a list
//!
//! The service has a list of its own of what can be restored, and must take a backup off it before it
//! is a backup no more, but nothing that stays. So a prune can be had in two steps: [`prepare`] tells
//! what is going to happen to every backup, and [`Prepared::execute`] does it. In between backups can be
//! spared. Nobody knows how long that takes; as said above, nothing depends on it.
//!
//! # What is not known is kept
//!
//! Which packs a backup needs stands in its contents. If a kept backup's can not be read, because
//! they are damaged, or of a newer format, nothing of its chain is deleted and none of its backups
//! expire: perhaps the older one is the only good one. Without the key (or with another), backups do
//! expire, since their manifests are not encrypted, but nothing of a chain is deleted in which a backup
//! is left whose contents would have to be read.
//!
//! # What time is it
//!
//! A machine whose clock is a month ahead would find everything expired. A prune therefore writes a
//! small object, and looks at the time that the store gave it; of both clocks the earlier one counts.
//! The grace time is measured on the store's clock alone, from when it says that objects were written.
//! And what was written within the grace time never expires, whatever the clock of the machine that took
//! the backup has made of its date. (A dry run writes nothing, and knows this machine's clock only.)
//!
//! A backup without a manifest counts as dead when nothing was written into its folder for the grace
//! time: not only its claim is looked at, so a backup may take longer than that. If it was alive
//! after all, it fails, as said above; its commit also looks for its claim, which a prune removes. That
//! leaves one case: a process that sleeps between this look and its next request, for longer than it
//! takes two prunes to bury it and, a grace time later, to remove the tombstone.

mod discard;
mod execute;
mod plan;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use strongroom_format::BackupId;
use strongroom_format::key::Secret;
use strongroom_format::layout::ObjectKey;

use crate::progress::Progress;
use crate::store::Store;
use crate::{CancellationToken, Result, failpoint};

pub use self::discard::{Discarded, discard};
pub(crate) use self::execute::bury_the_dead;

/// How far the clocks of machine and store may be apart before it is told.
const SKEW: Duration = Duration::from_secs(60);

/// Which backups expire.
#[derive(Clone, Debug)]
pub enum Expiry {
    /// Those that are older than their type is kept, but for the newest of every cluster and targets.
    ByAge {
        /// How long full backups are kept.
        full: Duration,
        /// How long incremental backups are kept.
        incremental: Duration,
    },
    /// These, each when its time is over; and no others.
    Named {
        /// The backups, and until when each is kept.
        backups: BTreeMap<BackupId, Timestamp>,
        /// Whether the newest one stays that is in order, of all that have the same targets.
        keep_newest: bool,
    },
}

impl Expiry {
    fn keeps_the_newest(&self) -> bool {
        match self {
            Expiry::ByAge { .. } => true,
            Expiry::Named { keep_newest, .. } => *keep_newest,
        }
    }
}

/// What to keep.
#[derive(Clone, Debug)]
pub struct PruneOptions {
    /// Which backups expire.
    pub expiry: Expiry,
    /// How long the objects of a backup stay after it has expired, and how long nothing may be
    /// written before a backup without a manifest counts as dead.
    pub grace: Duration,
    /// Opens the contents of encrypted backups.
    pub secret: Option<Secret>,
    /// Only tell.
    pub dry_run: bool,
    /// What time it is, for tests; else the clocks of this machine and of the store are asked.
    pub now: Option<Timestamp>,
}

/// What happens to a backup, or to what is left of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It stays.
    Keep,
    /// It expires: from now on it is no backup. Its objects stay for the grace time.
    Expire,
    /// It is no backup, and its objects are deleted, but for the packs that others need.
    Delete,
    /// It is no backup, or none yet, and nothing is deleted for now.
    Wait,
}

impl Action {
    /// `keep`, `expire`, `delete` or `wait`.
    pub fn name(self) -> &'static str {
        match self {
            Action::Keep => "keep",
            Action::Expire => "expire",
            Action::Delete => "delete",
            Action::Wait => "wait",
        }
    }
}

/// What happens to one of them, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The backup.
    pub id: BackupId,
    /// Full or incremental.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// When it began.
    pub data_from: Timestamp,
    /// Whether it is a complete backup, before that happens.
    #[serde(skip)]
    pub complete: bool,
    /// What happens.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// Bytes that its objects take.
    pub stored_bytes: u64,
    /// Bytes of them that are deleted.
    pub freed_bytes: u64,
}

/// What a prune did, or would do.
#[derive(Clone, Debug, Serialize)]
pub struct Pruned {
    /// All backups and what is left of others, oldest first.
    pub backups: Vec<Verdict>,
    /// Bytes that were deleted.
    pub freed_bytes: u64,
    /// What somebody should look at.
    pub notes: Vec<String>,
}

/// Deletes what no kept backup needs. A cancel ends it after the step under way.
pub async fn run(
    store: &Store,
    options: &PruneOptions,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Pruned> {
    prepare(store, options, progress).await?.execute(progress, cancel).await
}

/// Looks at everything, and decides what is going to happen to it.
pub async fn prepare(
    store: &Store,
    options: &PruneOptions,
    progress: &Progress,
) -> Result<Prepared> {
    let mut notes = Vec::new();
    let now = now(store, options, &mut notes).await?;
    progress.step("looking at every backup");
    let collection = survey::survey(store, true).await?;
    failpoint::pass("prune.after-survey")?;
    let mut plan = plan::plan(store, options, now, collection).await?;
    plan.notes.splice(0..0, notes);
    Ok(Prepared { store: store.clone(), dry_run: options.dry_run, plan })
}

/// A prune that has decided everything and changed nothing.
#[derive(Debug)]
pub struct Prepared {
    store: Store,
    dry_run: bool,
    plan: plan::Plan,
}

impl Prepared {
    /// What is going to happen, to all backups and to what is left of others, oldest first.
    pub fn backups(&self) -> impl Iterator<Item = &Verdict> {
        self.plan.verdicts.values()
    }

    /// Keeps a backup that was going to expire.
    pub fn spare(&mut self, id: BackupId, reason: &str) {
        self.plan.expired.retain(|folder| folder.id != id);
        for verdict in self.plan.verdicts.values_mut() {
            if verdict.id == id && verdict.action == Action::Expire {
                verdict.action = Action::Keep;
                verdict.reason = format!("{}, but {reason}", verdict.reason);
            }
        }
    }

    /// Does it, or only tells in a dry run. A cancel ends it after the step under way.
    pub async fn execute(
        mut self,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Pruned> {
        if !self.dry_run {
            execute::execute(&self.store, &mut self.plan, progress, cancel).await?;
        }
        let backups: Vec<Verdict> = self.plan.verdicts.into_values().collect();
        let freed_bytes = backups.iter().map(|verdict| verdict.freed_bytes).sum();
        Ok(Pruned { backups, freed_bytes, notes: self.plan.notes })
    }
}

/// The earlier of this machine's and the store's time.
async fn now(
    store: &Store,
    options: &PruneOptions,
    notes: &mut Vec<String>,
) -> Result<plan::Clocks> {
    if let Some(now) = options.now {
        return Ok(plan::Clocks { careful: now, store: now });
    }
    let here = Timestamp::now();
    if options.dry_run {
        return Ok(plan::Clocks { careful: here, store: here });
    }
    let there = store.now(&ObjectKey::Pruning).await?;
    let skew = there.duration_since(here);
    if skew.unsigned_abs() > SKEW {
        let way = if skew.is_negative() { "ahead of" } else { "behind" };
        notes.push(format!(
            "this machine's clock is {} {way} the store's: the earlier time counts",
            plan::age(skew.unsigned_abs())
        ));
    }
    Ok(plan::Clocks { careful: here.min(there), store: there })
}
