//! What a store holds: finding backups, and opening one.
//!
//! Listing reads the folder names and one small manifest per backup. Opening reads that backup's
//! contents and nothing of any other.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use strongroom_format::contents::{Contents, Database, ListRef, TableData};
use strongroom_format::key::{DataKey, EncryptionInfo, Secret};
use strongroom_format::layout::{Folder, INCREMENTALS, ObjectKey};
use strongroom_format::manifest::{Found, Manifest, Stored};
use strongroom_format::piece;
use strongroom_format::segment::{SegmentList, place};
use strongroom_format::{BackupId, FormatError};

use crate::store::Store;
use crate::{Error, Kind, Result};

/// Requests under way at the same time.
const CONCURRENCY: usize = 32;

/// A backup's place in the collection, and what was found there.
#[derive(Debug)]
pub enum Entry {
    /// A complete backup.
    Complete(Box<Manifest>),
    /// A folder without a manifest: a backup that runs, or one that died.
    Incomplete(Folder),
    /// A backup that was pruned. What is left of it is needed by others, or for a while by readers.
    Pruned(Folder),
    /// A manifest that can not be used.
    Damaged(Folder, Error),
}

impl Entry {
    /// Where it lies.
    pub fn folder(&self) -> Folder {
        match self {
            Entry::Complete(manifest) => manifest.folder(),
            Entry::Incomplete(folder) | Entry::Pruned(folder) | Entry::Damaged(folder, _) => {
                *folder
            }
        }
    }
}

/// Everything that looks like a backup, oldest first.
pub async fn list(store: &Store) -> Result<Vec<Entry>> {
    let folders = folders(store).await?;
    let entries: BTreeMap<BackupId, Entry> = futures::stream::iter(folders)
        .map(|folder| async move {
            let entry = match manifest(store, folder).await {
                Ok(Some(Found::Complete(stored))) => Entry::Complete(Box::new(stored.manifest)),
                Ok(Some(Found::Pruned(_))) => Entry::Pruned(folder),
                Ok(None) => {
                    let objects = store.objects_in(&folder.to_string()).await?;
                    // Local disks keep the empty folders of a backup that was removed.
                    if objects.is_empty() {
                        return Ok(None);
                    }
                    // Only a backup that runs or died on the way has no manifest yet.
                    match objects.contains(&ObjectKey::Started(folder).path()) {
                        true => Entry::Incomplete(folder),
                        false => {
                            let path = ObjectKey::Manifest(folder).path();
                            Entry::Damaged(folder, store.missing(&path))
                        }
                    }
                }
                Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => {
                    Entry::Damaged(folder, error)
                }
                Err(error) => return Err(error),
            };
            Ok(Some((folder.id, entry)))
        })
        .buffer_unordered(CONCURRENCY)
        .try_filter_map(|found| async move { Ok::<_, Error>(found) })
        .try_collect()
        .await?;
    Ok(entries.into_values().collect())
}

/// The complete backup that a job of the service took. So a job that died after its manifest is told
/// from one that has to be done.
pub async fn find_by_job(store: &Store, job_id: &str) -> Result<Option<Manifest>> {
    let mine = |manifest: &Manifest| {
        manifest.managed.as_ref().is_some_and(|managed| managed.job_id == job_id)
    };
    let complete = list(store).await?.into_iter().filter_map(|entry| match entry {
        Entry::Complete(manifest) => Some(*manifest),
        _ => None,
    });
    // The newest, should there be two.
    Ok(complete.filter(mine).last())
}

/// The folders of all backups, of whatever state.
pub(crate) async fn folders(store: &Store) -> Result<Vec<Folder>> {
    let fulls: Vec<BackupId> = ids_in(store, "").await?;
    let mut folders: Vec<Folder> = fulls.into_iter().map(Folder::of_full).collect();
    for full in ids_in(store, INCREMENTALS).await? {
        let chain = Folder::chain(full);
        for day in store.folders(&chain).await? {
            let day = format!("{chain}/{day}");
            let times = store.folders(&day).await?;
            folders.extend(times.iter().flat_map(|time| format!("{day}/{time}").parse::<Folder>()));
        }
    }
    Ok(folders)
}

/// The ids by which the folders of `year/month/` inside `root` are named.
async fn ids_in(store: &Store, root: &str) -> Result<Vec<BackupId>> {
    let digits = |name: &String, length| {
        name.len() == length && name.bytes().all(|byte| byte.is_ascii_digit())
    };
    let below = |folder: &str| match root {
        "" => folder.to_owned(),
        _ => format!("{root}/{folder}"),
    };
    let mut ids = Vec::new();
    for year in store.folders(root).await?.iter().filter(|name| digits(name, 4)) {
        for month in store.folders(&below(year)).await?.iter().filter(|name| digits(name, 2)) {
            let folder = format!("{year}/{month}");
            for day in store.folders(&below(&folder)).await? {
                ids.extend(format!("{folder}/{day}").parse::<BackupId>());
            }
        }
    }
    Ok(ids)
}

/// What lies in the place of the backup's manifest.
pub(crate) async fn manifest(store: &Store, folder: Folder) -> Result<Option<Found>> {
    let path = ObjectKey::Manifest(folder).path();
    let Some(bytes) = store.find(&path).await? else {
        return Ok(None);
    };
    Manifest::find(&bytes, folder).map(Some).map_err(|error| Error::stored(path, error))
}

/// Where the backup of this id lies. The id of a full backup names its place; an incremental's does
/// so together with its full's, which is most often the newest one before it.
async fn locate(store: &Store, id: BackupId) -> Result<Folder> {
    let full = Folder::of_full(id);
    if store.length(&ObjectKey::Manifest(full).path()).await?.is_some() {
        return Ok(full);
    }
    let mut fulls = ids_in(store, INCREMENTALS).await?;
    fulls.retain(|full| *full < id);
    fulls.sort();
    let mut started = full;
    for full in fulls.into_iter().rev() {
        let folder = Folder { id, full };
        if store.length(&ObjectKey::Manifest(folder).path()).await?.is_some() {
            return Ok(folder);
        }
        if !store.objects_in(&folder.to_string()).await?.is_empty() {
            started = folder;
        }
    }
    Ok(started)
}

/// The backup that `name` stands for: an id, or `latest` for the newest backup that has ended. Where that
/// one is damaged, or of a newer format, it is an error.
pub async fn resolve(store: &Store, name: &str) -> Result<Folder> {
    if name != "latest" {
        let id = name.parse().map_err(|error: FormatError| {
            Error::new(Kind::Usage, error.to_string())
                .hint("strongroom backups lists the ids; 'latest' names the newest")
        })?;
        return locate(store, id).await;
    }
    for entry in list(store).await?.into_iter().rev() {
        match entry {
            Entry::Complete(manifest) => return Ok(manifest.folder()),
            Entry::Incomplete(_) | Entry::Pruned(_) => {}
            // Who asks for the newest is not given an older one without a word.
            Entry::Damaged(folder, error) => {
                let newest = format!("the newest backup, {}, can not be used", folder.id);
                return Err(error.context(newest));
            }
        }
    }
    Err(Error::new(
        Kind::NotFound,
        format!("collection {} holds no complete backup", store.shown()),
    )
    .hint("take one with strongroom backup"))
}

/// An opened backup.
pub struct Backup {
    /// Where it lies.
    pub store: Store,
    /// What it is.
    pub manifest: Manifest,
    /// What it holds.
    pub contents: Contents,
    pub(crate) key: Option<DataKey>,
}

impl Backup {
    /// Opens the backup that `name` stands for. Every check that does not need the packs is made.
    pub async fn open(store: &Store, name: &str, secret: Option<&Secret>) -> Result<Self> {
        let folder = resolve(store, name).await?;
        Backup::open_at(store, folder, secret).await
    }

    /// Opens the backup that lies in `folder`.
    pub async fn open_at(store: &Store, folder: Folder, secret: Option<&Secret>) -> Result<Self> {
        let id = folder.id;
        let found = manifest(store, folder).await?;
        if let Some(Found::Pruned(_)) = found {
            return Err(was_pruned(store, folder));
        }
        let Some(Found::Complete(stored)) = found else {
            let started = store.length(&ObjectKey::Started(folder).path()).await?.is_some();
            if !started && !store.objects_in(&folder.to_string()).await?.is_empty() {
                return Err(store.missing(&ObjectKey::Manifest(folder).path()));
            }
            let what = if started { "is not complete" } else { "does not exist" };
            return Err(Error::new(
                Kind::NotFound,
                format!("backup {id} {what} in collection {}", store.shown()),
            )
            .hint("strongroom backups lists the complete ones"));
        };
        Backup::open_stored(store, stored, secret).await
    }

    /// Opens the backup of this manifest.
    pub(crate) async fn open_stored(
        store: &Store,
        stored: Stored,
        secret: Option<&Secret>,
    ) -> Result<Self> {
        let folder = stored.manifest.folder();
        let id = folder.id;
        let key = match (&stored.manifest.key_id, secret) {
            (None, None) => None,
            // A key says that the backup must come from its holder; anybody can write one without.
            (None, Some(_)) => {
                let message = format!("backup {id} is not encrypted, and a key was given");
                return Err(Error::new(Kind::Key, message).hint(
                    "to use it all the same, give no --key-file and unset STRONGROOM_PASSPHRASE",
                ));
            }
            (Some(_), None) => {
                let message = format!("backup {id} is encrypted, and no key was given");
                return Err(Error::new(Kind::Key, message).hint(
                    "give the key with --key-file, or a passphrase in STRONGROOM_PASSPHRASE",
                ));
            }
            (Some(_), Some(secret)) => {
                let path = ObjectKey::EncryptionInfo(folder).path();
                let bytes = store.get(&path).await?;
                let unusable = |error| Error::stored(&path, error);
                let info = EncryptionInfo::decode(&bytes).map_err(unusable)?;
                if stored.manifest.key_id.as_ref() != Some(&info.key_id) {
                    return Err(unusable(FormatError::Misplaced {
                        expected: format!("key {}", stored.manifest.key_id.unwrap_or_default()),
                        found: format!("key {}", info.key_id),
                    }));
                }
                Some(info.open(secret).map_err(unusable)?)
            }
        };
        let path = ObjectKey::Manifest(folder).path();
        stored.authenticate(key.as_ref()).map_err(|error| Error::stored(path, error))?;
        let manifest = stored.manifest;
        let path = ObjectKey::Contents(folder).path();
        let unusable = |error| Error::stored(&path, error);
        let bytes = store.get(&path).await?;
        let raw =
            piece::decode(&bytes, manifest.contents, &path, key.as_ref()).map_err(unusable)?;
        let contents = Contents::decode(&raw).map_err(unusable)?;
        Ok(Backup { store: store.clone(), manifest, contents, key })
    }

    /// The error of a read, unless what was to be read is missing because the backup was pruned in
    /// the meantime: then that is the error.
    pub(crate) async fn unless_pruned(&self, error: Error) -> Error {
        let folder = self.manifest.folder();
        let gone = error.kind() == Kind::Damaged
            && !matches!(
                manifest(&self.store, folder).await,
                Ok(Some(Found::Complete(_))) | Err(_)
            );
        if gone { was_pruned(&self.store, folder) } else { error }
    }

    /// The database of this name.
    pub fn database(&self, name: &str) -> Result<&Database> {
        self.contents.databases.iter().find(|database| database.name == name).ok_or_else(|| {
            let there: Vec<&str> =
                self.contents.databases.iter().map(|d| d.name.as_str()).collect();
            Error::new(
                Kind::NotFound,
                format!("backup {} holds no database \"{name}\"", self.manifest.id),
            )
            .hint(format!("it holds: {}", there.join(", ")))
        })
    }

    /// The archive that `pg_dump` made of the database's definitions.
    pub(crate) async fn schema(&self, database: &Database) -> Result<Vec<u8>> {
        let path = ObjectKey::Schema(self.manifest.folder(), database.number).path();
        let bytes = self.store.get(&path).await?;
        piece::decode(&bytes, database.schema, &path, self.key.as_ref())
            .map_err(|error| Error::stored(path, error))
    }

    /// Where the rows of these tables lie, in their order. Lists that lie close together are read
    /// with one request; those of other tables are not read.
    pub(crate) async fn segment_lists(&self, data: &[&TableData]) -> Result<Vec<SegmentList>> {
        /// A gap that is cheaper to read than to ask around.
        const GAP: u64 = 64 * 1024;
        /// The most that one request reads.
        const REQUEST: u64 = 8 * 1024 * 1024;
        let path = ObjectKey::Segments(self.manifest.folder()).path();
        let mut lists = vec![SegmentList::default(); data.len()];
        let mut wanted: Vec<(usize, ListRef)> =
            data.iter().enumerate().filter_map(|(at, data)| Some((at, data.list?))).collect();
        wanted.sort_by_key(|(_, list)| list.offset);
        let end = |list: &ListRef| list.offset + list.piece.stored_bytes;
        let mut rest = wanted.as_slice();
        while let Some((_, first)) = rest.first() {
            let mut last = end(first);
            let mut count = 1;
            for (_, list) in &rest[1..] {
                if list.offset > last + GAP || end(list) - first.offset > REQUEST {
                    break;
                }
                last = end(list);
                count += 1;
            }
            let bytes = self.store.get_range(&path, first.offset..last).await?;
            for (at, list) in &rest[..count] {
                let from = (list.offset - first.offset) as usize;
                let stored = bytes.get(from..from + list.piece.stored_bytes as usize);
                let stored = stored.ok_or_else(|| {
                    Error::new(Kind::Damaged, format!("the lists in object {path} overlap"))
                })?;
                lists[*at] = self.decode_list(&path, list, stored)?;
            }
            rest = &rest[count..];
        }
        Ok(lists)
    }

    fn decode_list(&self, path: &str, list: &ListRef, stored: &[u8]) -> Result<SegmentList> {
        let unusable = |error| Error::stored(path, error);
        let place = place(path, list.offset);
        let raw = piece::decode(stored, list.piece, &place, self.key.as_ref()).map_err(unusable)?;
        let decoded = SegmentList::decode(&raw).map_err(unusable)?;
        let packs = self.contents.packs.len();
        if let Some(segment) = decoded.segments.iter().find(|s| s.pack as usize >= packs) {
            let message =
                format!("object {path} names pack {}, and there are {packs}", segment.pack);
            return Err(Error::new(Kind::Damaged, message));
        }
        Ok(decoded)
    }
}

/// The error for a backup that is no more.
fn was_pruned(store: &Store, folder: Folder) -> Error {
    let shown = store.shown();
    Error::new(Kind::NotFound, format!("backup {} was pruned from collection {shown}", folder.id))
        .hint("strongroom backups lists those that are left")
}

/// Wraps the data key of every encrypted backup that `old` opens for `new` instead.
/// Returns how many were rewrapped. Packs are not touched.
pub async fn rotate_keys(store: &Store, old: &Secret, new: &Secret) -> Result<u64> {
    let mut rotated = 0;
    for entry in list(store).await? {
        let object = ObjectKey::EncryptionInfo(entry.folder());
        let encrypted = match &entry {
            Entry::Complete(manifest) => manifest.key_id.is_some(),
            // Its envelope holds the chain's data key for as long as it is there.
            Entry::Pruned(_) => store.length(&object.path()).await?.is_some(),
            Entry::Incomplete(_) | Entry::Damaged(..) => false,
        };
        if !encrypted {
            continue;
        }
        let unusable = |error| Error::stored(object.path(), error);
        let info = EncryptionInfo::decode(&store.get(&object.path()).await?).map_err(unusable)?;
        if info.open(new).is_ok() {
            // An earlier rotation was interrupted after this one.
            continue;
        }
        let info = info.rotate(old, new).map_err(unusable)?;
        store.put(&object, info.encode()).await?;
        rotated += u64::from(matches!(entry, Entry::Complete(_)));
    }
    Ok(rotated)
}
