//! Prunes of collections that were made by hand: many of them, of every history.
//!
//! The backups here hold packs and nothing else, so that hundreds of collections can be made in a
//! second. Time is made too: objects carry the time of the history, and prunes are told what time it
//! is. Backups of real servers are pruned in the tests of the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use proptest::prelude::*;
use strongroom_format::claim::Claim;
use strongroom_format::contents::{Contents, Pack};
use strongroom_format::key::{DataKey, EncryptionInfo, Secret};
use strongroom_format::layout::{Folder, ObjectKey, new_pack_name};
#[cfg(feature = "failpoints")]
use strongroom_format::manifest::bury;
use strongroom_format::manifest::{BackupType, Manifest, Source, Targets};
use strongroom_format::{BackupId, FORMAT_VERSION, piece};
use tempfile::TempDir;

use super::{Action, Expiry, Prepared, PruneOptions, Pruned, discard, prepare, run};
use crate::collection::{self, Backup, Entry};
use crate::progress::Progress;
use crate::store::Store;
use crate::{CancellationToken, Kind, Result, verify};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A collection, and what was written into it.
struct World {
    folder: TempDir,
    store: Store,
    now: Timestamp,
    secret: Option<Secret>,
    /// Whether backups leave packs behind that they do not use.
    strays: bool,
    /// The complete backups, whatever has become of them.
    taken: BTreeMap<Folder, Taken>,
    _alone: Alone,
}

/// Failpoints belong to the whole process: who sets some, or passes some, is alone.
#[cfg(feature = "failpoints")]
type Alone = fail::FailScenario<'static>;
#[cfg(not(feature = "failpoints"))]
type Alone = ();

#[derive(Clone, Debug)]
struct Taken {
    data_from: Timestamp,
    cluster: u8,
    /// The packs that it names.
    packs: Vec<Pack>,
    damaged: bool,
    key: Option<DataKey>,
}

impl World {
    fn new(secret: Option<Secret>) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&format!("file://{}", folder.path().display()), false).unwrap();
        let now = "2020-01-01T00:00:00Z".parse().unwrap();
        #[cfg(feature = "failpoints")]
        let alone = fail::FailScenario::setup();
        #[cfg(not(feature = "failpoints"))]
        let alone = ();
        World { folder, store, now, secret, strays: false, taken: BTreeMap::new(), _alone: alone }
    }

    fn path(&self, object: &ObjectKey) -> PathBuf {
        self.folder.path().join(object.path())
    }

    /// Gives everything that was just written the time of the history.
    fn date(&self) {
        let now = SystemTime::from(self.now);
        let real = SystemTime::from("2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
        for path in files(self.folder.path()) {
            if fs::metadata(&path).unwrap().modified().unwrap() > real {
                fs::File::options().write(true).open(&path).unwrap().set_modified(now).unwrap();
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// The newest complete backup of a cluster: what an incremental builds on.
    fn newest(&self, cluster: u8) -> Option<Folder> {
        let complete = self.complete();
        let of =
            |folder: &&Folder| complete.contains(folder) && self.taken[folder].cluster == cluster;
        self.taken.keys().filter(of).max_by_key(|folder| folder.id).copied()
    }

    fn complete(&self) -> BTreeSet<Folder> {
        block_on(collection::list(&self.store))
            .unwrap()
            .into_iter()
            .filter(|entry| matches!(entry, Entry::Complete(_)))
            .map(|entry| entry.folder())
            .collect()
    }

    fn full(&mut self, cluster: u8) -> Folder {
        self.take(cluster, None, 0)
    }

    /// An incremental on top of `parent`, which drops as many of its packs.
    fn on_top(&mut self, parent: Folder, drops: usize) -> Folder {
        self.take(self.taken[&parent].cluster, Some(parent), drops)
    }

    fn take(&mut self, cluster: u8, parent: Option<Folder>, drops: usize) -> Folder {
        let mut attempt = self.claim(cluster, parent, drops);
        for _ in 0..Attempt::STEPS {
            attempt.step(self);
        }
        assert_eq!(attempt.outcome, Some(true));
        attempt.folder
    }

    /// A backup that begins now.
    fn claim(&mut self, cluster: u8, parent: Option<Folder>, drops: usize) -> Attempt {
        self.wait(Duration::from_secs(1));
        let id = BackupId::at(self.now);
        let folder = parent.map_or(Folder::of_full(id), |parent| Folder { id, full: parent.full });
        let inherited = parent.map(|parent| self.taken[&parent].packs.clone()).unwrap_or_default();
        let inherited: Vec<Pack> = inherited.into_iter().skip(drops).collect();
        let key = match parent {
            Some(parent) => self.taken[&parent].key.clone(),
            None => self.secret.is_some().then(DataKey::generate),
        };
        let strays = self.strays;
        Attempt {
            folder,
            parent,
            cluster,
            inherited,
            key,
            strays,
            done: 0,
            own: None,
            outcome: None,
            job: None,
        }
    }

    fn options(&self, grace: Duration) -> PruneOptions {
        PruneOptions {
            expiry: Expiry::ByAge { full: 30 * DAY, incremental: 7 * DAY },
            grace,
            secret: self.secret.clone(),
            dry_run: false,
            now: Some(self.now),
        }
    }

    fn prune_with(&mut self, options: &PruneOptions) -> Result<Pruned> {
        let cancel = CancellationToken::new();
        let pruned = block_on(run(&self.store, options, &Progress::silent(), &cancel));
        self.date();
        pruned
    }

    fn prune(&mut self) -> Pruned {
        let pruned = self.prune_with(&self.options(DAY)).unwrap();
        self.assert_safe(DAY);
        pruned
    }

    /// Asserts that all complete backups can be read, and that those that have to be there are.
    fn assert_safe(&self, grace: Duration) {
        let complete = self.complete();
        for folder in &complete {
            let Some(taken) = self.taken.get(folder).filter(|taken| !taken.damaged) else {
                continue;
            };
            for pack in &taken.packs {
                let bytes = fs::read(self.folder.path().join(&pack.path));
                assert_eq!(bytes.ok(), Some(content(&pack.path)), "a pack of {folder}");
            }
            let verified = block_on(async {
                let backup = Backup::open_at(&self.store, *folder, self.secret.as_ref()).await?;
                let cancel = CancellationToken::new();
                verify::verify(&backup, 1, &Progress::silent(), &cancel).await
            });
            verified.unwrap_or_else(|error| panic!("{folder}: {error}"));
        }
        for (folder, taken) in &self.taken {
            let period = if folder.id == folder.full { 30 * DAY } else { 7 * DAY };
            let age = Duration::try_from(self.now.duration_since(taken.data_from)).unwrap();
            let newest = self
                .taken
                .iter()
                .filter(|(_, other)| other.cluster == taken.cluster && !other.damaged)
                .all(|(other, _)| other.id <= folder.id);
            if age < period.max(grace) || (newest && !taken.damaged) {
                assert!(complete.contains(folder) || taken.damaged, "{folder} is gone");
            }
        }
    }

    /// Asserts that nothing lies there that nobody needs, after prunes whose grace time is over.
    fn assert_clean(&mut self) {
        let grace = Duration::from_secs(1);
        for _ in 0..3 {
            self.wait(2 * grace);
            self.prune_with(&self.options(grace)).unwrap();
            self.assert_safe(grace);
        }
        let complete = self.complete();
        let needed: BTreeSet<String> = complete
            .iter()
            .filter_map(|folder| self.taken.get(folder))
            .flat_map(|taken| taken.packs.iter().map(|pack| pack.path.clone()))
            .collect();
        let all: BTreeSet<String> = files(self.folder.path())
            .iter()
            .map(|path| path.strip_prefix(self.folder.path()).unwrap().display().to_string())
            .collect();
        for path in &all {
            let folder = ObjectKey::folder_of(path).unwrap_or_else(|| panic!("{path} is left"));
            let tombstone = *path == ObjectKey::Manifest(folder).path()
                && needed.iter().any(|pack| ObjectKey::folder_of(pack) == Some(folder));
            let own = complete.contains(&folder) && !ObjectKey::is_pack(path);
            assert!(needed.contains(path) || tombstone || own, "{path} is left");
        }
        for entry in block_on(collection::list(&self.store)).unwrap() {
            assert!(matches!(entry, Entry::Complete(_) | Entry::Pruned(_)), "{entry:?}");
        }
    }

    fn action(&self, pruned: &Pruned, folder: Folder) -> (Action, String) {
        let verdict = pruned.backups.iter().find(|verdict| verdict.id == folder.id).unwrap();
        (verdict.action, verdict.reason.clone())
    }
}

/// A backup on its way, which takes the steps that the real one takes, one by one.
#[derive(Clone, Debug)]
struct Attempt {
    folder: Folder,
    parent: Option<Folder>,
    cluster: u8,
    inherited: Vec<Pack>,
    key: Option<DataKey>,
    strays: bool,
    done: usize,
    own: Option<Pack>,
    /// Whether it became complete.
    outcome: Option<bool>,
    /// The job of the service that it belongs to.
    job: Option<String>,
}

impl Attempt {
    const STEPS: usize = 6;

    fn step(&mut self, world: &mut World) {
        if self.outcome.is_some() {
            return;
        }
        let root = world.folder.path().to_owned();
        if let Some(taken) = self.step_in(&root, world.secret.as_ref()) {
            world.taken.insert(self.folder, taken);
        }
        world.date();
    }

    /// The next step; what was taken, once the manifest is there.
    fn step_in(&mut self, root: &Path, secret: Option<&Secret>) -> Option<Taken> {
        if self.outcome.is_some() {
            return None;
        }
        let path = |object: ObjectKey| root.join(object.path());
        let folder = self.folder;
        let mut packs = self.inherited.clone();
        packs.extend(self.own.clone());
        let step = self.done;
        self.done += 1;
        match step {
            0 => {
                let claim = Claim { started_at: folder.id.time(), job_id: self.job.clone() };
                put(&path(ObjectKey::Started(folder)), &claim.encode());
            }
            1 => {
                let parent = self.parent.map(|parent| fs::read(path(ObjectKey::Manifest(parent))));
                let there =
                    parent.is_none_or(|it| it.is_ok_and(|it| it.starts_with(b"strongroom m")));
                if !there {
                    let _ = fs::remove_file(path(ObjectKey::Started(folder)));
                    self.outcome = Some(false);
                }
            }
            2 => {
                let own = ObjectKey::Pack(folder, new_pack_name()).path();
                put(&root.join(&own), &content(&own));
                let stored_bytes = content(&own).len() as u64;
                self.own = Some(Pack { path: own, stored_bytes });
                if self.strays {
                    let stray = ObjectKey::Pack(folder, new_pack_name()).path();
                    put(&root.join(&stray), &content(&stray));
                }
            }
            3 => {
                let contents = Contents { version: FORMAT_VERSION, packs, ..Contents::default() };
                let place = ObjectKey::Contents(folder).path();
                let (bytes, info) =
                    piece::encode(&contents.encode(), &place, 3, self.key.as_ref()).unwrap();
                put(&root.join(&place), &bytes);
                put(&path(ObjectKey::Segments(folder)), b"");
                let mut manifest = manifest(self, contents.packs.last().unwrap(), info);
                let mut wrapped = None;
                if let (Some(key), Some(secret)) = (&self.key, secret) {
                    let info = EncryptionInfo::seal(key, secret).unwrap();
                    manifest.key_id = Some(info.key_id.clone());
                    wrapped = Some(info.encode());
                }
                if let Some(wrapped) = wrapped {
                    put(&path(ObjectKey::EncryptionInfo(folder)), &wrapped);
                }
                put(&path(ObjectKey::Schema(folder, 0)), &manifest.encode(self.key.as_ref()));
            }
            4 => {
                let gone = packs.iter().any(|pack| !root.join(&pack.path).is_file());
                let swept = !path(ObjectKey::Started(folder)).is_file();
                let prepared = fs::read(path(ObjectKey::Schema(folder, 0)));
                let manifest = path(ObjectKey::Manifest(folder));
                let created = match prepared {
                    Ok(prepared) if !gone && !swept => fs::File::create_new(&manifest)
                        .and_then(|_| fs::write(&manifest, prepared))
                        .is_ok(),
                    _ => false,
                };
                let _ = fs::remove_file(path(ObjectKey::Schema(folder, 0)));
                self.outcome = (!created).then_some(false);
                if created {
                    return Some(Taken {
                        data_from: folder.id.time(),
                        cluster: self.cluster,
                        packs,
                        damaged: false,
                        key: self.key.clone(),
                    });
                }
                self.clean(root);
            }
            _ => {
                let _ = fs::remove_file(path(ObjectKey::Started(folder)));
                self.outcome = Some(true);
            }
        }
        None
    }

    /// What an orderly failure removes.
    fn clean(&self, root: &Path) {
        let manifest = root.join(ObjectKey::Manifest(self.folder).path());
        for path in files(&root.join(self.folder.to_string())) {
            if path != manifest {
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn manifest(attempt: &Attempt, own: &Pack, contents: piece::PieceInfo) -> Manifest {
    let folder = attempt.folder;
    Manifest {
        id: folder.id,
        kind: match attempt.parent {
            Some(_) => BackupType::Incremental,
            None => BackupType::Full,
        },
        parent: attempt.parent.map(|parent| parent.id),
        full: attempt.parent.map(|parent| parent.full),
        detector: None,
        full_because: None,
        targets: Targets::Cluster,
        source: Source {
            engine: "postgres".to_owned(),
            version: "17.0".to_owned(),
            version_num: 170_000,
            system_identifier: attempt.cluster.to_string(),
            timeline: 1,
        },
        data_from: folder.id.time(),
        finished_at: folder.id.time(),
        size_bytes: 0,
        stored_bytes: contents.stored_bytes + own.stored_bytes,
        rows: 0,
        databases: Vec::new(),
        omissions: Vec::new(),
        contents,
        segment_lists_bytes: 0,
        key_id: None,
        written_by: "a test".to_owned(),
        managed: None,
    }
}

/// What a pack of this name holds.
fn content(path: &str) -> Vec<u8> {
    path.repeat(3).into_bytes()
}

fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            _ => found.push(entry.path()),
        }
    }
    found
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn what_expires_is_buried_first_and_deleted_after_the_grace_time() {
    let mut world = World::new(None);
    let old = world.full(1);
    let child = world.on_top(old, 0);
    world.wait(40 * DAY);
    let new = world.full(1);
    world.wait(2 * DAY);
    let pruned = world.prune();
    assert_eq!(world.action(&pruned, old).0, Action::Expire);
    assert_eq!(world.action(&pruned, old).1, "42 days old, fulls are kept 30 days");
    assert_eq!(world.action(&pruned, child).1, "42 days old, incrementals are kept 7 days");
    assert_eq!(world.action(&pruned, new).1, "2 days old, fulls are kept 30 days");
    assert_eq!((pruned.freed_bytes, world.complete()), (0, BTreeSet::from([new])));
    // Who has opened it goes on for a day.
    world.wait(23 * HOUR);
    let pruned = world.prune();
    assert_eq!((world.action(&pruned, old).0, pruned.freed_bytes), (Action::Wait, 0));
    world.wait(2 * HOUR);
    let dry = PruneOptions { dry_run: true, ..world.options(DAY) };
    let before = files(world.folder.path());
    let told = world.prune_with(&dry).unwrap();
    assert_eq!(files(world.folder.path()), before, "a dry run deletes nothing");
    let pruned = world.prune();
    assert_eq!(world.action(&pruned, old).0, Action::Delete);
    assert!(pruned.freed_bytes > 0);
    assert_eq!(told.freed_bytes, pruned.freed_bytes);
    assert!(files(&world.folder.path().join(old.to_string())).is_empty());
    world.assert_clean();
}

#[test]
fn packs_stay_as_long_as_a_kept_backup_needs_them() {
    let mut world = World::new(Some(Secret::Key([7; 32])));
    let full = world.full(1);
    world.wait(29 * DAY);
    let child = world.on_top(full, 0);
    let sole = world.on_top(child, 1);
    world.wait(2 * DAY);
    world.full(1);
    world.prune();
    world.wait(2 * DAY);
    let pruned = world.prune();
    let (action, reason) = world.action(&pruned, full);
    assert_eq!(action, Action::Delete);
    assert_eq!(reason, format!("expired 2 days ago, packs kept: needed by {}", child.id));
    assert_eq!(world.complete().len(), 3);
    world.wait(DAY);
    let pruned = world.prune();
    assert_eq!(world.action(&pruned, full).0, Action::Wait, "nothing more can go");
    // When the last that needs them has been gone for the grace time, and not before.
    world.wait(3 * DAY);
    world.prune();
    assert!(!world.complete().contains(&child) && !world.complete().contains(&sole));
    assert!(!files(&world.folder.path().join(full.to_string())).is_empty());
    world.wait(DAY);
    world.prune();
    assert!(files(&world.folder.path().join(full.to_string())).is_empty());
    world.assert_clean();
}

#[test]
fn without_the_key_nothing_of_a_chain_in_use_is_deleted() {
    let mut world = World::new(Some(Secret::Key([7; 32])));
    let gone = world.full(1);
    let full = world.full(1);
    world.wait(29 * DAY);
    world.on_top(full, 1);
    world.wait(2 * DAY);
    let wrong = Some(Secret::Key([8; 32]));
    for secret in [None, wrong] {
        let prune = |world: &mut World| {
            let options = PruneOptions { secret: secret.clone(), ..world.options(DAY) };
            world.prune_with(&options).unwrap()
        };
        prune(&mut world);
        world.wait(2 * DAY);
        let pruned = prune(&mut world);
        let (action, reason) = world.action(&pruned, full);
        assert_eq!(action, Action::Wait);
        assert!(reason.contains("what it needs is not known"), "{reason}");
        assert!(pruned.notes[0].contains(&full.to_string()), "{:?}", pruned.notes);
        // A chain that nobody uses needs no key.
        assert!(files(&world.folder.path().join(gone.to_string())).is_empty());
        world.assert_safe(DAY);
    }
    let pruned = world.prune();
    assert_eq!(world.action(&pruned, full).0, Action::Delete);
}

#[test]
fn damage_keeps_its_chain_and_what_is_older() {
    for object in [ObjectKey::Manifest, ObjectKey::Contents] {
        for newer in [false, true] {
            let mut world = World::new(None);
            let older = world.full(1);
            let full = world.full(1);
            world.wait(35 * DAY);
            let child = world.on_top(full, 0);
            let path = world.path(&object(child));
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            if newer && object(child) == ObjectKey::Manifest(child) {
                bytes = b"strongroom manifest 99\n{}\n".to_vec();
            }
            fs::write(&path, bytes).unwrap();
            world.taken.get_mut(&child).unwrap().damaged = true;
            for _ in 0..3 {
                world.wait(2 * DAY);
                let pruned = world.prune();
                let (action, reason) = world.action(&pruned, full);
                assert_eq!(action, Action::Keep, "{reason}");
                assert!(files(&world.folder.path().join(full.to_string())).len() > 3);
            }
            // The newest that is in order is not of the damaged one's making.
            assert!(world.complete().contains(&full) && !world.complete().contains(&older));
        }
    }
}

#[test]
fn a_lost_pack_does_not_make_the_last_good_backup_expire() {
    let mut world = World::new(None);
    let good = world.full(1);
    let bad = world.full(1);
    fs::remove_file(world.folder.path().join(&world.taken[&bad].packs[0].path)).unwrap();
    world.taken.get_mut(&bad).unwrap().damaged = true;
    world.wait(50 * DAY);
    let pruned = world.prune();
    assert_eq!(world.action(&pruned, good).1, "newest in order of its cluster and targets");
    assert!(pruned.notes[0].contains("missing or cut short"), "{:?}", pruned.notes);
    assert_eq!(world.complete(), BTreeSet::from([good, bad]));
}

#[test]
fn a_backup_that_died_is_swept_and_can_not_come_back() {
    let mut world = World::new(None);
    let full = world.full(1);
    let mut attempt = world.claim(1, Some(full), 0);
    for _ in 0..4 {
        attempt.step(&mut world);
    }
    for partial in ["data/00.pack#1", "schema/1.dump#2", "CONTENTS#1"] {
        let partial = world.folder.path().join(format!("{}/{partial}", attempt.folder));
        fs::create_dir_all(partial.parent().unwrap()).unwrap();
        fs::write(&partial, "half").unwrap();
    }
    world.wait(23 * HOUR);
    let pruned = world.prune();
    assert_eq!(world.action(&pruned, attempt.folder).0, Action::Wait);
    world.wait(2 * HOUR);
    world.prune();
    let manifest = world.path(&ObjectKey::Manifest(attempt.folder));
    assert_eq!(files(&world.folder.path().join(attempt.folder.to_string())), [manifest]);
    attempt.step(&mut world);
    assert_eq!(attempt.outcome, Some(false));
    world.assert_clean();
}

#[test]
fn what_was_just_written_is_kept_whatever_its_date() {
    let mut world = World::new(None);
    world.full(1);
    let real = world.now;
    // The machine that takes this one believes that it is years ago.
    world.now = "2011-01-01T00:00:00Z".parse().unwrap();
    let backdated = world.full(1);
    world.now = real;
    for path in files(&world.folder.path().join(backdated.to_string())) {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::from(real)).unwrap();
    }
    world.wait(HOUR);
    let pruned = world.prune();
    let (action, reason) = world.action(&pruned, backdated);
    assert_eq!(action, Action::Keep);
    assert!(reason.ends_with("but it was written less than 1 day ago"), "{reason}");
}

#[test]
fn the_stores_clock_is_asked() {
    let mut world = World::new(None);
    world.full(1);
    let options = PruneOptions { now: None, ..world.options(DAY) };
    world.prune_with(&options).unwrap();
    assert!(!world.path(&ObjectKey::Pruning).exists(), "nothing of that is left");
    let error = world.prune_with(&PruneOptions { dry_run: true, ..options });
    assert!(error.is_ok());
    let error = block_on(Backup::open(&world.store, "latest", None)).map(|_| ());
    assert!(error.is_ok());
}

#[test]
fn a_backup_that_was_pruned_is_told_from_one_that_is_damaged() {
    let mut world = World::new(None);
    let old = world.full(1);
    let opened = block_on(Backup::open_at(&world.store, old, None)).unwrap();
    world.wait(40 * DAY);
    world.full(1);
    world.prune();
    let reopened = block_on(Backup::open_at(&world.store, old, None)).map(|_| ()).unwrap_err();
    assert_eq!(reopened.kind(), Kind::NotFound);
    assert!(reopened.message().contains("was pruned"), "{reopened}");
    let cancel = CancellationToken::new();
    let verify = || block_on(verify::verify(&opened, 1, &Progress::silent(), &cancel));
    verify().unwrap();
    world.wait(2 * DAY);
    world.prune();
    let error = verify().unwrap_err();
    assert!(error.message().contains("was pruned"), "{error}");
}

/// A step of a history.
#[derive(Clone, Debug)]
enum Event {
    Wait(u64),
    Full(u8),
    /// An incremental on the newest, without some of its packs.
    Incremental(u8, usize),
    /// A backup that dies after so many steps.
    Dead(u8, bool, usize),
    /// A prune that fails at this failpoint, if it comes to it for so many times.
    Prune(Option<(usize, u8)>),
    Damage(usize, bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..200u64).prop_map(Event::Wait),
        2 => (0..2u8).prop_map(Event::Full),
        5 => (0..2u8, 0..3usize).prop_map(|(cluster, drops)| Event::Incremental(cluster, drops)),
        1 => (0..2u8, any::<bool>(), 1..5usize).prop_map(|(c, i, steps)| Event::Dead(c, i, steps)),
        4 => prop::option::of((0..64usize, 0..3u8)).prop_map(Event::Prune),
    ]
}

fn live(world: &mut World, event: Event) {
    match event {
        Event::Wait(hours) => world.wait(u32::try_from(hours).unwrap() * HOUR),
        Event::Full(cluster) => {
            world.full(cluster);
        }
        Event::Incremental(cluster, drops) => {
            match world.newest(cluster).filter(|newest| !world.taken[newest].damaged) {
                Some(newest) => world.on_top(newest, drops),
                None => world.full(cluster),
            };
        }
        Event::Dead(cluster, incremental, steps) => {
            let newest = world.newest(cluster).filter(|_| incremental);
            let mut attempt = world.claim(cluster, newest, 0);
            for _ in 0..steps.min(4) {
                attempt.step(world);
            }
        }
        Event::Prune(crash) => {
            if let Some((point, passes)) = crash {
                arm(point, passes);
            }
            let pruned = world.prune_with(&world.options(DAY));
            disarm();
            if let Err(error) = pruned {
                assert!(error.message().contains("made to fail"), "{error}");
            }
            world.assert_safe(DAY);
        }
        Event::Damage(which, contents) => {
            let complete: Vec<Folder> = world.complete().into_iter().collect();
            let Some(folder) = complete.get(which % complete.len().max(1)) else { return };
            let object = match contents {
                true => ObjectKey::Contents(*folder),
                false => ObjectKey::Manifest(*folder),
            };
            let path = world.path(&object);
            let bytes = fs::read(&path).unwrap();
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(modified).unwrap();
            world.taken.get_mut(folder).unwrap().damaged = true;
        }
    }
}

#[cfg(feature = "failpoints")]
fn arm(point: usize, passes: u8) {
    let points = crate::failpoint::PRUNE;
    fail::cfg(points[point % points.len()], &format!("{passes}*off->return(fail)")).unwrap();
}

#[cfg(not(feature = "failpoints"))]
fn arm(_: usize, _: u8) {}

#[cfg(feature = "failpoints")]
fn disarm() {
    for point in crate::failpoint::PRUNE {
        fail::remove(point);
    }
}

#[cfg(not(feature = "failpoints"))]
fn disarm() {}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is taken, dies and is pruned, and wherever prunes die: what is kept is whole, and in
    /// the end nothing else is left.
    #[test]
    fn every_kept_backup_is_whole_and_nothing_else_is_left(
        events in prop::collection::vec(event(), 1..24),
        encrypted in any::<bool>(),
    ) {
        let mut world = World::new(encrypted.then_some(Secret::Key([7; 32])));
        world.strays = true;
        for event in events {
            live(&mut world, event);
        }
        world.assert_clean();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The same where something is damaged on the way: it may keep others, and loses none.
    #[test]
    fn damage_loses_nothing_else(
        before in prop::collection::vec(event(), 1..12),
        damage in (any::<usize>(), any::<bool>()),
        after in prop::collection::vec(event(), 1..12),
    ) {
        let mut world = World::new(None);
        for event in before.into_iter().chain([Event::Damage(damage.0, damage.1)]).chain(after) {
            live(&mut world, event);
        }
        world.wait(2 * DAY);
        world.prune();
    }
}

#[cfg(feature = "failpoints")]
mod crashes_and_interleavings {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::failpoint::PRUNE;

    /// A collection in which a prune has everything to do, and the backup that was buried before.
    fn everything_to_do() -> World {
        let mut world = World::new(None);
        world.strays = true;
        let old = world.full(1);
        let child = world.on_top(old, 0);
        world.wait(35 * DAY);
        let full = world.full(1);
        world.on_top(full, 1);
        world.prune();
        assert!(!world.complete().contains(&child));
        let mut dead = world.claim(1, None, 0);
        for _ in 0..4 {
            dead.step(&mut world);
        }
        world.full(2);
        world.wait(35 * DAY);
        world.full(1);
        world.full(2);
        world
    }

    #[test]
    fn a_prune_that_ends_at_any_step_is_finished_by_the_next() {
        for point in PRUNE {
            let mut world = everything_to_do();
            fail::cfg(*point, "return(fail)").unwrap();
            let error = world.prune_with(&world.options(DAY)).unwrap_err();
            assert!(error.message().contains(point), "{error}");
            fail::remove(point);
            world.assert_safe(DAY);
            for entry in block_on(collection::list(&world.store)).unwrap() {
                assert!(!matches!(entry, Entry::Damaged(..)), "{point}: {entry:?}");
            }
            world.assert_clean();
        }
    }

    /// Lets an incremental take its steps at chosen moments of two prunes: the one that buries its
    /// parent, and the one that deletes what is left of that.
    fn interleave(moments: [usize; Attempt::STEPS], points: [usize; 2], alive: bool) -> bool {
        let mut world = World::new(None);
        let full = world.full(1);
        let parent = world.on_top(full, 0);
        let attempt = world.claim(1, Some(parent), 0);
        // Something newer, so that the parent may go.
        world.full(1);
        world.wait(31 * DAY);
        let attempt = Arc::new(Mutex::new((attempt, None)));
        let steps = |world: &World, moment: usize| {
            let count = moments.iter().filter(|at| **at == moment).count();
            let (attempt, root) = (attempt.clone(), world.folder.path().to_owned());
            let now = SystemTime::from(world.now);
            move || {
                let mut guard = attempt.lock().unwrap();
                for _ in 0..count {
                    let (attempt, taken) = &mut *guard;
                    if let Some(it) = attempt.step_in(&root, None) {
                        *taken = Some(it);
                    }
                }
                // One that is alive has written just now.
                for path in files(&root.join(guard.0.folder.to_string())) {
                    if alive && count > 0 && !path.ends_with("MANIFEST") {
                        let file = fs::File::options().write(true).open(path);
                        let _ = file.and_then(|file| file.set_modified(now));
                    }
                }
            }
        };
        let touch = |world: &World| {
            let folder = attempt.lock().unwrap().0.folder;
            for path in files(&world.folder.path().join(folder.to_string())) {
                if alive && !path.ends_with("MANIFEST") {
                    let file = fs::File::options().write(true).open(path).unwrap();
                    file.set_modified(SystemTime::from(world.now)).unwrap();
                }
            }
        };
        for round in 0..2 {
            steps(&world, 3 * round)();
            world.date();
            touch(&world);
            let point = PRUNE[points[round] % PRUNE.len()];
            let at_the_point = steps(&world, 3 * round + 1);
            let once = Mutex::new(false);
            fail::cfg_callback(point, move || {
                let mut done = once.lock().unwrap();
                if !std::mem::replace(&mut *done, true) {
                    at_the_point();
                }
            })
            .unwrap();
            let reached = world.prune_with(&world.options(DAY));
            fail::remove(point);
            reached.unwrap();
            world.assert_safe(Duration::ZERO);
            steps(&world, 3 * round + 2)();
            world.date();
            world.wait(DAY + HOUR);
        }
        {
            let mut guard = attempt.lock().unwrap();
            for _ in 0..Attempt::STEPS {
                let (attempt, taken) = &mut *guard;
                if let Some(it) = attempt.step_in(world.folder.path(), None) {
                    *taken = Some(it);
                }
            }
        }
        world.date();
        let (attempt, taken) = attempt.lock().unwrap().clone();
        if let Some(taken) = taken {
            world.taken.insert(attempt.folder, taken);
        }
        let complete = world.complete().contains(&attempt.folder);
        world.assert_safe(Duration::ZERO);
        world.assert_clean();
        complete
    }

    /// Another prune buries the parent just after a backup has claimed its place in the chain, and
    /// this one, which has listed the collection before, is told of no grace time.
    #[test]
    fn a_claim_that_the_survey_has_missed_is_noticed() {
        let mut world = World::new(None);
        let full = world.full(1);
        let parent = world.on_top(full, 0);
        let attempt = Arc::new(Mutex::new(world.claim(1, Some(parent), 0)));
        world.full(1);
        world.wait(31 * DAY);
        let (root, now, meanwhile) =
            (world.folder.path().to_owned(), SystemTime::from(world.now), attempt.clone());
        fail::cfg_callback("prune.after-list", move || {
            let mut attempt = meanwhile.lock().unwrap();
            attempt.step_in(&root, None);
            attempt.step_in(&root, None);
            for folder in [full, parent] {
                let path = root.join(ObjectKey::Manifest(folder).path());
                put(&path, &bury(&fs::read(&path).unwrap()));
                let file = fs::File::options().write(true).open(path).unwrap();
                file.set_modified(now).unwrap();
            }
        })
        .unwrap();
        let pruned = world.prune_with(&world.options(Duration::ZERO)).unwrap();
        let (action, reason) = world.action(&pruned, full);
        assert_eq!(action, Action::Wait, "{reason}");
        assert!(reason.contains("another backup of its chain has begun"), "{reason}");
        let mut attempt = attempt.lock().unwrap().clone();
        for _ in 2..Attempt::STEPS {
            attempt.step(&mut world);
        }
        assert_eq!(attempt.outcome, Some(true), "what it needs was left alone");
        world.assert_safe(Duration::ZERO);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn no_complete_backup_ever_names_a_deleted_pack(
            mut moments in prop::array::uniform6(0..6usize),
            points in prop::array::uniform2(0..64usize),
            alive in any::<bool>(),
        ) {
            moments.sort_unstable();
            interleave(moments, points, alive);
        }
    }

    #[test]
    fn an_incremental_that_lives_keeps_its_parents_packs_and_one_that_seems_dead_does_not() {
        // Claimed before the parent is buried, ready after its grace time.
        assert!(interleave([0, 0, 0, 5, 5, 5], [0, 0], true));
        assert!(!interleave([0, 0, 0, 5, 5, 5], [0, 0], false));
        // Claimed when the parent has just been buried.
        assert!(!interleave([2, 2, 2, 2, 2, 2], [0, 0], true));
    }
}

/// These expire at these times.
fn named(times: &[(Folder, Timestamp)], keep_newest: bool) -> Expiry {
    let backups = times.iter().map(|(folder, time)| (folder.id, *time)).collect();
    Expiry::Named { backups, keep_newest }
}

#[test]
fn named_backups_expire_when_their_time_is_over_and_no_others_do() {
    let mut world = World::new(None);
    let old = world.full(1);
    let child = world.on_top(old, 0);
    let newest = world.full(1);
    world.wait(40 * DAY);
    let (past, soon) = (world.now - DAY, world.now + DAY);
    let expiry = named(&[(child, past), (newest, soon)], true);
    let pruned = world.prune_with(&PruneOptions { expiry, ..world.options(DAY) }).unwrap();
    assert_eq!(world.action(&pruned, old).0, Action::Keep, "it was not named");
    assert_eq!(world.action(&pruned, child).0, Action::Expire);
    assert_eq!(world.action(&pruned, newest).0, Action::Keep, "its time is not over");
    assert_eq!(world.complete(), BTreeSet::from([old, newest]));
    // Who names the newest wants it gone: a deleted cluster loses all.
    world.wait(2 * DAY);
    for _ in 0..2 {
        let expiry = named(&[(old, past), (newest, soon)], false);
        world.prune_with(&PruneOptions { expiry, ..world.options(DAY) }).unwrap();
        world.wait(2 * DAY);
    }
    assert!(world.complete().is_empty());
    assert_eq!(files(world.folder.path()), Vec::<PathBuf>::new(), "nothing of them is left");
}

#[test]
fn of_named_backups_the_newest_in_order_stays_if_that_is_wished() {
    for keep_newest in [true, false] {
        let mut world = World::new(None);
        let old = world.full(1);
        let good = world.full(1);
        // Of another server, since the cluster moved.
        let moved = world.full(2);
        fs::remove_file(world.folder.path().join(&world.taken[&moved].packs[0].path)).unwrap();
        world.taken.get_mut(&moved).unwrap().damaged = true;
        world.wait(3 * DAY);
        let all = [old, good, moved].map(|folder| (folder, world.now - DAY));
        let options =
            PruneOptions { expiry: named(&all, keep_newest), ..world.options(Duration::ZERO) };
        let pruned = world.prune_with(&options).unwrap();
        let stays = match keep_newest {
            true => BTreeSet::from([good, moved]),
            false => BTreeSet::new(),
        };
        assert_eq!(world.complete(), stays);
        for verdict in &pruned.backups {
            assert!(verdict.complete);
            let kept = stays.iter().any(|folder| folder.id == verdict.id);
            assert_eq!(verdict.action == Action::Keep, kept, "{}", verdict.reason);
        }
    }
}

#[test]
fn what_is_spared_stays() {
    let mut world = World::new(None);
    let full = world.full(1);
    let child = world.on_top(full, 0);
    world.full(1);
    world.wait(40 * DAY);
    let (options, silent) = (world.options(DAY), Progress::silent());
    let mut prepared = block_on(prepare(&world.store, &options, &silent)).unwrap();
    let expires = |prepared: &Prepared| {
        let all = prepared.backups().filter(|it| it.action == Action::Expire);
        all.map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(expires(&prepared), [full.id, child.id]);
    assert_eq!(world.complete().len(), 3, "nothing has happened yet");
    prepared.spare(child.id, "somebody reads it");
    assert_eq!(expires(&prepared), [full.id]);
    let cancel = CancellationToken::new();
    let pruned = block_on(prepared.execute(&silent, &cancel)).unwrap();
    world.date();
    let (action, reason) = world.action(&pruned, child);
    assert_eq!(action, Action::Keep);
    assert!(reason.ends_with(", but somebody reads it"), "{reason}");
    assert!(!world.complete().contains(&full) && world.complete().contains(&child));
    // With all that it needs, for as long as it stays.
    world.wait(2 * DAY);
    let expiry = named(&[], false);
    world.prune_with(&PruneOptions { expiry, ..world.options(DAY) }).unwrap();
    for pack in &world.taken[&child].packs {
        assert!(world.folder.path().join(&pack.path).is_file(), "{}", pack.path);
    }
}

/// Every interruption of the dead job, and every one of its successor's discard.
#[test]
fn what_a_dead_job_left_is_gone_at_once_and_can_not_come_back() {
    for steps in 1..Attempt::STEPS {
        let mut world = World::new(None);
        let kept = world.full(1);
        let mut other = world.claim(1, None, 0);
        other.job = Some("other".to_owned());
        let mut dead = world.claim(1, Some(kept), 0);
        dead.job = Some("mine".to_owned());
        for _ in 0..steps {
            other.step(&mut world);
            dead.step(&mut world);
        }
        let was_complete = world.complete().contains(&dead.folder);
        let discarded = block_on(discard(&world.store, "mine")).unwrap();
        let expected = match was_complete {
            true => (vec![], vec![dead.folder.id]),
            false => (vec![dead.folder.id], vec![]),
        };
        assert_eq!((discarded.unfinished, discarded.complete), expected, "after {steps} steps");
        let left: Vec<PathBuf> = files(&world.folder.path().join(dead.folder.to_string()));
        assert_eq!(left.len() == 1, !was_complete, "only a tombstone stays: {left:?}");
        // It wakes up, and goes on.
        for _ in steps..Attempt::STEPS {
            other.step(&mut world);
            dead.step(&mut world);
        }
        assert_eq!(dead.outcome == Some(true), was_complete, "after {steps} steps");
        assert_eq!(world.complete().contains(&dead.folder), was_complete);
        assert_eq!(other.outcome, Some(true), "what is another job's is left alone");
        assert_eq!(block_on(discard(&world.store, "mine")).unwrap().unfinished, []);
        // Dated like everything that was just written.
        world.date();
        world.wait(DAY);
        world.assert_clean();
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn a_discard_that_is_interrupted_is_done_by_the_next() {
    for point in crate::failpoint::DISCARD {
        let mut world = World::new(None);
        let mut dead = world.claim(1, None, 0);
        dead.job = Some("mine".to_owned());
        for _ in 0..4 {
            dead.step(&mut world);
        }
        fail::cfg(*point, "return(fail)").unwrap();
        assert!(block_on(discard(&world.store, "mine")).is_err(), "{point} is passed");
        fail::remove(*point);
        let again = block_on(discard(&world.store, "mine")).unwrap();
        assert_eq!(again.unfinished, [dead.folder.id], "{point}");
        assert_eq!(files(world.folder.path()).len(), 1, "{point}: only a tombstone stays");
        dead.step(&mut world);
        assert_eq!(dead.outcome, Some(false), "{point}");
        world.date();
        world.wait(DAY);
        world.assert_clean();
    }
}
