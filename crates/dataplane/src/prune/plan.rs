//! What to keep, what to let expire and what to delete, and why.
//!
//! The plan is made from one survey. What it may not know (backups that begin or end meanwhile) is
//! looked for by its execution.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use strongroom_format::BackupId;
use strongroom_format::key::Secret;
use strongroom_format::layout::{Folder, ObjectKey};
use strongroom_format::manifest::{BackupType, Manifest, Stored};

use super::survey::{Chain, Collection, Member, State};
use super::{Action, Expiry, PruneOptions, Verdict};
use crate::backup::parent::lost_pack;
use crate::collection::Backup;
use crate::store::{Listed, Store};
use crate::{Error, Kind, Result};

/// Contents read at the same time.
const CONCURRENCY: usize = 8;
/// How many backups that need a pack are named.
const NAMED: usize = 2;

/// What time it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    /// By the clock that lets less expire.
    pub(super) careful: Timestamp,
    /// By the clock that the store dates its objects with.
    pub(super) store: Timestamp,
}

/// What is to be done, in this order: sweep the dead, delete what was buried, bury the expired.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) verdicts: BTreeMap<Folder, Verdict>,
    pub(super) notes: Vec<String>,
    /// Backups that died.
    pub(super) dead: Vec<Deletion>,
    /// By chain, what nobody needs.
    pub(super) deletions: BTreeMap<BackupId, Vec<Deletion>>,
    /// Backups that expire.
    pub(super) expired: Vec<Folder>,
    /// The folders that the survey knows as complete or buried.
    pub(super) settled: BTreeSet<Folder>,
}

/// What goes out of one folder.
#[derive(Debug)]
pub(super) struct Deletion {
    pub(super) folder: Folder,
    /// Everything that only the backup itself read.
    pub(super) objects: Vec<Listed>,
    /// Packs that nobody needs.
    pub(super) packs: Vec<Listed>,
    /// Whether the tombstone goes too, since nothing else is left.
    pub(super) tombstone: Option<Listed>,
}

impl Deletion {
    pub(super) fn bytes(&self) -> u64 {
        let all = self.objects.iter().chain(&self.packs).chain(&self.tombstone);
        all.map(|object| object.bytes).sum()
    }
}

/// What stands in the way of a chain's deletions.
#[derive(Default)]
struct Obstacles {
    /// Nothing of the chain may go, nor expire.
    damage: Option<String>,
    /// Nothing of it may be deleted.
    unknown: Option<String>,
}

struct Planner<'a> {
    store: &'a Store,
    options: &'a PruneOptions,
    clocks: Clocks,
    plan: Plan,
}

pub(super) async fn plan(
    store: &Store,
    options: &PruneOptions,
    clocks: Clocks,
    collection: Collection,
) -> Result<Plan> {
    let mut planner = Planner { store, options, clocks, plan: Plan::default() };
    let mut expired = planner.ages(&collection);
    if options.expiry.keeps_the_newest() {
        planner.keep_the_newest(&collection, &mut expired).await?;
    }
    for (full, chain) in &collection {
        planner.chain(*full, chain, &expired).await?;
    }
    Ok(planner.plan)
}

impl Planner<'_> {
    /// Says of each folder what its age makes of it, and returns the backups that would expire.
    fn ages(&mut self, collection: &Collection) -> BTreeSet<Folder> {
        let mut expired = BTreeSet::new();
        for (folder, member) in collection.values().flatten() {
            let (action, reason) = self.by_age(*folder, member);
            if action == Action::Expire {
                expired.insert(*folder);
            }
            if matches!(member.state, State::Complete(_) | State::Buried(..)) {
                self.plan.settled.insert(*folder);
            }
            let data_from = match &member.state {
                State::Complete(stored) => stored.manifest.data_from,
                _ => folder.id.time(),
            };
            let verdict = Verdict {
                id: folder.id,
                kind: kind(*folder).name(),
                data_from,
                complete: matches!(member.state, State::Complete(_)),
                action,
                reason,
                stored_bytes: member.bytes(),
                freed_bytes: 0,
            };
            self.plan.verdicts.insert(*folder, verdict);
        }
        expired
    }

    fn by_age(&self, folder: Folder, member: &Member) -> (Action, String) {
        let grace = self.options.grace;
        match &member.state {
            State::Complete(stored) => {
                let (over, reason) = self.is_over(folder, &stored.manifest);
                let written = self.age_of(
                    member
                        .objects
                        .iter()
                        .filter(|object| object.path == ObjectKey::Manifest(folder).path()),
                );
                if !over {
                    (Action::Keep, reason)
                } else if written < grace {
                    let grace = exactly(grace);
                    (Action::Keep, format!("{reason}, but it was written less than {grace} ago"))
                } else {
                    (Action::Expire, reason)
                }
            }
            State::Unfinished => {
                let quiet = self.age_of(&member.objects);
                if quiet < grace {
                    (
                        Action::Wait,
                        "it is still being taken, or was interrupted just now".to_owned(),
                    )
                } else {
                    (Action::Delete, format!("interrupted, nothing was written for {}", age(quiet)))
                }
            }
            State::Buried(at, stored) => {
                let ago = since(*at, self.clocks.store);
                let what = if stored.is_some() { "expired" } else { "removed as interrupted" };
                let reason = format!("{what} {} ago", age(ago));
                if ago < grace {
                    let grace = exactly(grace);
                    (Action::Wait, format!("{reason}, readers have {grace} to come to an end"))
                } else {
                    (Action::Delete, reason)
                }
            }
            State::Unusable(error) => (Action::Keep, format!("it can not be read: {error}")),
        }
    }

    /// Whether a complete backup's time is over, and why.
    fn is_over(&self, folder: Folder, manifest: &Manifest) -> (bool, String) {
        match &self.options.expiry {
            Expiry::ByAge { full, incremental } => {
                let (plural, period) = match kind(folder) {
                    BackupType::Full => ("fulls", *full),
                    BackupType::Incremental => ("incrementals", *incremental),
                };
                let old = since(manifest.data_from, self.clocks.careful);
                let reason = format!("{} old, {plural} are kept {}", age(old), exactly(period));
                (old >= period, reason)
            }
            Expiry::Named { backups, .. } => match backups.get(&folder.id) {
                None => (false, "it is not among those that are to expire".to_owned()),
                Some(until) => (*until <= self.clocks.careful, format!("kept until {until}")),
            },
        }
    }

    /// How long ago the newest of these objects was written.
    fn age_of<'b>(&self, objects: impl IntoIterator<Item = &'b Listed>) -> Duration {
        let newest = objects.into_iter().map(|object| object.modified).max();
        since(newest.unwrap_or(Timestamp::MAX), self.clocks.store)
    }

    /// Keeps, of every cluster and targets of which something expires, everything from the newest
    /// backup back to the newest that is in order.
    async fn keep_the_newest(
        &mut self,
        collection: &Collection,
        expired: &mut BTreeSet<Folder>,
    ) -> Result<()> {
        let mut groups: HashMap<String, Vec<(Folder, &Stored)>> = HashMap::new();
        for (folder, member) in collection.values().flatten() {
            if let State::Complete(stored) = &member.state {
                groups.entry(self.group(&stored.manifest)).or_default().push((*folder, stored));
            }
        }
        for mut group in groups.into_values() {
            if !group.iter().any(|(folder, _)| expired.contains(folder)) {
                continue;
            }
            group.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.id));
            for (at, (folder, stored)) in group.iter().enumerate() {
                let trouble = self.trouble(stored).await?;
                let newest = if at == 0 { "newest" } else { "newest in order" };
                if expired.remove(folder) {
                    let reason = match &trouble {
                        None => format!("{newest} of its cluster and targets"),
                        Some(trouble) => {
                            format!(
                                "nothing newer of its cluster and targets is in order, nor is it: {trouble}"
                            )
                        }
                    };
                    self.verdict(*folder, Action::Keep, reason);
                }
                match trouble {
                    None => break,
                    Some(trouble) => {
                        self.plan.notes.push(format!("backup {} is damaged: {trouble}", folder.id));
                    }
                }
            }
        }
        Ok(())
    }

    /// Names what backups are alike: those of the same cluster, of the same targets. A collection of
    /// which somebody names what expires is that of one cluster, on whatever server that is.
    fn group(&self, manifest: &Manifest) -> String {
        let targets = serde_json::to_string(&manifest.targets).unwrap_or_default();
        let source = &manifest.source;
        match self.options.expiry {
            Expiry::ByAge { .. } => {
                format!("{} {} {targets}", source.engine, source.system_identifier)
            }
            Expiry::Named { .. } => targets,
        }
    }

    /// What keeps a backup from being restored, as far as its packs' lengths tell.
    async fn trouble(&self, stored: &Stored) -> Result<Option<String>> {
        let manifest = &stored.manifest;
        let lost = match self.open(stored).await {
            Ok(backup) => lost_pack(self.store, &backup.contents.packs).await?,
            Err(error) if error.kind() == Kind::Key => {
                // Then there is only this to look at.
                let path = ObjectKey::Contents(manifest.folder()).path();
                let whole = self.store.length(&path).await? == Some(manifest.contents.stored_bytes);
                (!whole).then_some(path)
            }
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => {
                return Ok(Some(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        Ok(lost.map(|path| format!("object {path} is missing or cut short")))
    }

    /// Opens a backup that is or was complete.
    async fn open(&self, stored: &Stored) -> Result<Backup> {
        let secret: Option<&Secret> = self.options.secret.as_ref();
        // The key is for those that are encrypted; whether others should be is not ours to say.
        let secret = secret.filter(|_| stored.manifest.key_id.is_some());
        Backup::open_stored(self.store, stored.clone(), secret).await
    }

    /// Plans what happens to one chain.
    async fn chain(
        &mut self,
        full: BackupId,
        chain: &Chain,
        expired: &BTreeSet<Folder>,
    ) -> Result<()> {
        let dead: Vec<Folder> =
            chain.keys().copied().filter(|folder| self.is_dead(*folder, chain)).collect();
        for folder in &dead {
            let deletion = deletion(*folder, &chain[folder], &HashMap::new());
            self.plan.dead.push(Deletion { tombstone: None, ..deletion });
        }
        let due: Vec<Folder> = chain
            .iter()
            .filter(|(folder, member)| {
                matches!(member.state, State::Buried(..))
                    && self.plan.verdicts[folder].action == Action::Delete
            })
            .map(|(folder, _)| *folder)
            .collect();
        let strays = self.may_have_strays(chain);
        let expiring = chain.keys().any(|folder| expired.contains(folder));
        if due.is_empty() && strays.is_empty() && !expiring {
            self.tell_dead(&dead, chain);
            return Ok(());
        }
        let (needs, obstacles) = self.needs(chain, expired).await?;
        let running = chain.iter().find(|(folder, member)| {
            matches!(member.state, State::Unfinished) && !dead.contains(folder)
        });
        let running = running.map(|(folder, _)| format!("backup {} is being taken", folder.id));
        for folder in chain.keys().filter(|folder| expired.contains(folder)) {
            match &obstacles.damage {
                Some(damage) => {
                    let why = &self.plan.verdicts[folder].reason;
                    let reason = format!("{why}, but {damage}");
                    self.verdict(*folder, Action::Keep, reason);
                }
                None => self.plan.expired.push(*folder),
            }
        }
        self.tell_dead(&dead, chain);
        let obstacle =
            obstacles.damage.as_ref().or(obstacles.unknown.as_ref()).or(running.as_ref());
        if let Some(obstacle) = obstacle {
            for folder in &due {
                let why = &self.plan.verdicts[folder].reason;
                let reason = format!("{why}, kept for now: {obstacle}");
                self.verdict(*folder, Action::Wait, reason);
            }
            if !due.is_empty() && running.as_ref() != Some(obstacle) {
                let what = format!("nothing of the chain of full backup {full} is deleted");
                self.plan.notes.push(format!("{what}: {obstacle}"));
            }
            return Ok(());
        }
        let mut deletions = Vec::new();
        for folder in due {
            let member = &chain[&folder];
            let deletion = deletion(folder, member, &needs);
            let kept = member.objects.iter().filter_map(|object| needs.get(&object.path));
            let by: BTreeSet<BackupId> = kept.flatten().copied().collect();
            let why = self.plan.verdicts[&folder].reason.clone();
            let (action, reason) = match by.is_empty() {
                true => (Action::Delete, why),
                false if deletion.bytes() == 0 => {
                    (Action::Wait, format!("{why}, packs kept: needed by {}", named(&by)))
                }
                false => (Action::Delete, format!("{why}, packs kept: needed by {}", named(&by))),
            };
            self.verdict(folder, action, reason);
            self.frees(folder, deletion.bytes());
            deletions.push(deletion);
        }
        for (folder, strays) in strays {
            let unneeded = |stray: &Listed| !needs.contains_key(&stray.path);
            let packs: Vec<Listed> = strays.into_iter().filter(unneeded).collect();
            let deletion = Deletion { folder, objects: Vec::new(), packs, tombstone: None };
            self.frees(folder, deletion.bytes());
            deletions.push(deletion);
        }
        deletions.retain(|deletion| deletion.bytes() > 0);
        if !deletions.is_empty() {
            self.plan.deletions.insert(full, deletions);
        }
        Ok(())
    }

    fn is_dead(&self, folder: Folder, chain: &Chain) -> bool {
        matches!(chain[&folder].state, State::Unfinished)
            && self.plan.verdicts[&folder].action == Action::Delete
    }

    fn tell_dead(&mut self, dead: &[Folder], chain: &Chain) {
        for folder in dead {
            self.frees(*folder, chain[folder].bytes());
        }
    }

    /// Packs that lie in the folders of complete backups, and that these may not have written: then
    /// a folder holds more than its manifest says. They may still be needed.
    fn may_have_strays(&self, chain: &Chain) -> Vec<(Folder, Vec<Listed>)> {
        let mut found = Vec::new();
        for (folder, member) in chain {
            let State::Complete(stored) = &member.state else { continue };
            let others = [
                ObjectKey::Manifest(*folder).path(),
                ObjectKey::Started(*folder).path(),
                ObjectKey::EncryptionInfo(*folder).path(),
            ];
            let counted = member.objects.iter().filter(|object| !others.contains(&object.path));
            let bytes: u64 = counted.map(|object| object.bytes).sum();
            if bytes > stored.manifest.stored_bytes {
                let old = |object: &&Listed| {
                    ObjectKey::is_pack(&object.path)
                        && since(object.modified, self.clocks.store) >= self.options.grace
                };
                found.push((*folder, member.objects.iter().filter(old).cloned().collect()));
            }
        }
        found
    }

    /// Every pack that a backup of the chain needs, with those that need it: the complete ones, and
    /// the buried ones that somebody may still be reading.
    async fn needs(
        &self,
        chain: &Chain,
        expired: &BTreeSet<Folder>,
    ) -> Result<(HashMap<String, Vec<BackupId>>, Obstacles)> {
        let mut needs: HashMap<String, Vec<BackupId>> = HashMap::new();
        let mut obstacles = Obstacles::default();
        let mut readable: Vec<(Folder, &Stored, bool)> = Vec::new();
        for (folder, member) in chain {
            match &member.state {
                State::Complete(stored) => {
                    readable.push((*folder, stored, !expired.contains(folder)));
                }
                State::Buried(_, Some(stored))
                    if self.plan.verdicts[folder].action == Action::Wait =>
                {
                    readable.push((*folder, stored, false));
                }
                State::Unusable(error) => {
                    obstacles.damage =
                        Some(format!("backup {} of its chain can not be read: {error}", folder.id));
                }
                State::Buried(..) | State::Unfinished => {}
            }
        }
        let opened: Vec<(Folder, bool, Result<Backup>)> = futures::stream::iter(readable)
            .map(|(folder, stored, kept)| async move { (folder, kept, self.open(stored).await) })
            .buffered(CONCURRENCY)
            .map(Ok::<_, Error>)
            .try_collect()
            .await?;
        for (folder, kept, opened) in opened {
            match opened {
                Ok(backup) => {
                    for pack in backup.contents.packs {
                        needs.entry(pack.path).or_default().push(folder.id);
                    }
                }
                Err(error) if error.kind() == Kind::Key => {
                    obstacles.unknown = Some(format!("what it needs is not known: {error}"));
                }
                Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => {
                    // What has expired and can not be opened, nobody is reading.
                    if kept {
                        let reason =
                            format!("backup {} of its chain is damaged: {error}", folder.id);
                        obstacles.damage = Some(reason);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok((needs, obstacles))
    }

    fn verdict(&mut self, folder: Folder, action: Action, reason: String) {
        if let Some(verdict) = self.plan.verdicts.get_mut(&folder) {
            (verdict.action, verdict.reason) = (action, reason);
        }
    }

    fn frees(&mut self, folder: Folder, bytes: u64) {
        if let Some(verdict) = self.plan.verdicts.get_mut(&folder) {
            verdict.freed_bytes = bytes;
        }
    }
}

/// What can go out of the folder of a backup that is no more.
fn deletion(folder: Folder, member: &Member, needs: &HashMap<String, Vec<BackupId>>) -> Deletion {
    let manifest = ObjectKey::Manifest(folder).path();
    let mut deletion = Deletion { folder, objects: Vec::new(), packs: Vec::new(), tombstone: None };
    let mut kept = false;
    for object in &member.objects {
        if object.path == manifest {
            deletion.tombstone = Some(object.clone());
        } else if !ObjectKey::is_pack(&object.path) {
            deletion.objects.push(object.clone());
        } else if needs.contains_key(&object.path) {
            kept = true;
        } else {
            deletion.packs.push(object.clone());
        }
    }
    if kept {
        deletion.tombstone = None;
    }
    deletion
}

fn kind(folder: Folder) -> BackupType {
    if folder.id == folder.full { BackupType::Full } else { BackupType::Incremental }
}

/// The time from then to now; none, if then is yet to come.
fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

/// The first of these ids, and how many there are beside them.
fn named(ids: &BTreeSet<BackupId>) -> String {
    let names: Vec<String> = ids.iter().take(NAMED).map(ToString::to_string).collect();
    match ids.len() - names.len() {
        0 => names.join(", "),
        more => format!("{}, +{more} more", names.join(", ")),
    }
}

/// A duration in the largest unit of which there are at least two.
pub(super) fn age(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86400, "days"), (3600, "h"), (60, "min"), (1, "s")];
    let seconds = duration.as_secs();
    let (length, unit) =
        UNITS.into_iter().find(|(length, _)| seconds >= 2 * length).unwrap_or((1, "s"));
    format!("{} {unit}", seconds / length)
}

/// A duration that somebody chose, such as `30 days` or `36 h`.
fn exactly(duration: Duration) -> String {
    match duration.as_secs() {
        86400 => "1 day".to_owned(),
        days if days > 0 && days % 86400 == 0 => format!("{} days", days / 86400),
        hours if hours > 0 && hours % 3600 == 0 => format!("{} h", hours / 3600),
        minutes if minutes > 0 && minutes % 60 == 0 => format!("{} min", minutes / 60),
        0 => format!("{} ms", duration.as_millis()),
        seconds => format!("{seconds} s"),
    }
}
