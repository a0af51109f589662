//! The collection's objects, wherever they lie: a local folder or an S3 bucket.
//!
//! The `object_store` crate speaks the protocols; this module decides what is asked of them. An
//! object is visible whole or not at all. On local disks a write returns after file and folder were
//! synced; object stores promise the same with their reply. Every read and write is counted, so
//! that a restore can say what it cost.

mod check;
mod location;
mod pack;

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use strongroom_format::layout::ObjectKey;

pub use location::{Place, within};
pub(crate) use pack::{PackWriter, Packs};

use crate::{Error, Kind, Result};

/// An open collection.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// The collection's folder inside the bucket.
    root: Path,
    /// The collection's URL without secrets.
    shown: Arc<str>,
    /// The collection's folder, where it is one of this machine.
    local: Option<PathBuf>,
    counters: Arc<Counters>,
}

/// An object, as a listing shows it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Its name below the collection's root.
    pub(crate) path: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// When it was written, by the store's clock.
    pub(crate) modified: Timestamp,
}

fn remove_unfinished_in(place: &FilePath) -> Result<()> {
    let is_unfinished = |name: &str| {
        let number = name.rsplit_once('#').map(|(_, number)| number);
        number.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let Ok(files) = std::fs::read_dir(place) else { return Ok(()) };
    for file in files.flatten() {
        if file.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_unfinished_in(&file.path())?;
        } else if file.file_name().to_str().is_some_and(is_unfinished) {
            std::fs::remove_file(file.path()).map_err(|error| {
                Error::new(Kind::Failed, format!("deleting {}", file.path().display()))
                    .caused_by(error)
            })?;
        }
    }
    // A folder that was kept by them alone is as good as gone.
    let _ = std::fs::remove_dir(place);
    Ok(())
}

fn is_uuid(name: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    name.len() == 36
        && name.bytes().enumerate().all(|(at, byte)| match dashes.contains(&at) {
            true => byte == b'-',
            false => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

fn modified(meta: &ObjectMeta) -> Timestamp {
    let millis = meta.last_modified.timestamp_millis();
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

#[derive(Default)]
struct Counters {
    read: AtomicU64,
    written: AtomicU64,
}

impl Store {
    /// Opens the collection at `url`. A local folder is created where `create` is set, and must
    /// exist otherwise. Nothing is read or written yet.
    pub fn open(url: &str, create: bool) -> Result<Self> {
        let location::Opened { objects, root, place, local } = location::open(url, create)?;
        let shown = place.to_string().into();
        Ok(Store { objects, root, shown, local, counters: Arc::default() })
    }

    /// Opens the collection that lies in a folder of the collection at `url`, such as that of one
    /// cluster in a storage location: `inner` goes onto the URL's path, before its parameters.
    pub fn open_within(url: &str, inner: &str, create: bool) -> Result<Self> {
        Store::open(&location::within(url, inner)?, create)
    }

    /// The collection's URL without secrets.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Bytes read since it was opened.
    pub fn bytes_read(&self) -> u64 {
        self.counters.read.load(Ordering::Relaxed)
    }

    /// Bytes written since it was opened.
    pub fn bytes_written(&self) -> u64 {
        self.counters.written.load(Ordering::Relaxed)
    }

    fn place(&self, path: &str) -> Path {
        path.split('/').fold(self.root.clone(), |place, part| place.join(part))
    }

    /// Writes an object whole, replacing an earlier one.
    pub async fn put(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<()> {
        let length = bytes.len() as u64;
        let path = key.path();
        let put = self.objects.put(&self.place(&path), bytes.into()).await;
        put.map_err(|error| self.error("writing", &path, error))?;
        self.counters.written.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    /// Writes an object unless there is one of that name. False: there is.
    pub async fn create(&self, key: &ObjectKey, bytes: Vec<u8>) -> Result<bool> {
        let path = key.path();
        let options = PutOptions { mode: PutMode::Create, ..Default::default() };
        match self.objects.put_opts(&self.place(&path), bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.error("writing", &path, error)),
        }
    }

    /// Reads an object whole. `None`: there is none.
    pub async fn find(&self, path: &str) -> Result<Option<Bytes>> {
        let read = async { self.objects.get(&self.place(path)).await?.bytes().await };
        match read.await {
            Ok(bytes) => {
                self.counters.read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(Some(bytes))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("reading", path, error)),
        }
    }

    /// Reads an object whole.
    pub async fn get(&self, path: &str) -> Result<Bytes> {
        self.find(path).await?.ok_or_else(|| self.missing(path))
    }

    /// Reads a part of an object.
    pub async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let wanted = range.end - range.start;
        if wanted == 0 {
            return Ok(Bytes::new());
        }
        let from = range.start;
        let read = match self.objects.get_range(&self.place(path), range).await {
            Ok(bytes) => bytes,
            Err(object_store::Error::NotFound { .. }) => return Err(self.missing(path)),
            Err(error) => {
                // A range past the end is reported in a different way by every store.
                let head = self.objects.head(&self.place(path)).await;
                if head.is_ok_and(|meta| meta.size < from + wanted) {
                    return Err(self.cut_short(path));
                }
                return Err(self.error("reading", path, error));
            }
        };
        if (read.len() as u64) < wanted {
            return Err(self.cut_short(path));
        }
        self.counters.read.fetch_add(wanted, Ordering::Relaxed);
        Ok(read)
    }

    /// The length of an object. `None`: there is none.
    pub async fn length(&self, path: &str) -> Result<Option<u64>> {
        match self.objects.head(&self.place(path)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("reading", path, error)),
        }
    }

    /// The folders directly inside `folder` (the collection's own: ""), by name.
    pub async fn folders(&self, folder: &str) -> Result<Vec<String>> {
        let place = if folder.is_empty() { self.root.clone() } else { self.place(folder) };
        let listed = self.objects.list_with_delimiter(Some(&place)).await;
        let listed = listed.map_err(|error| self.error("listing", folder, error))?;
        let name = |path: &Path| path.parts().next_back().map(|part| part.as_ref().to_owned());
        Ok(listed.common_prefixes.iter().filter_map(name).collect())
    }

    /// The collections that lie in folders of this one and have the form of a UUID, in lower case: in a
    /// storage location, those of its clusters.
    pub async fn inner_collections(&self) -> Result<Vec<String>> {
        let mut names = self.folders("").await?;
        names.retain(|name| is_uuid(name));
        names.sort();
        Ok(names)
    }

    /// The names of all objects inside `folder`, below the collection's root.
    pub async fn objects_in(&self, folder: &str) -> Result<Vec<String>> {
        let listed = self.listing(folder).await?;
        Ok(listed.into_iter().map(|object| object.path).collect())
    }

    /// All objects inside `folder` (the collection's own: "").
    pub(crate) async fn listing(&self, folder: &str) -> Result<Vec<Listed>> {
        let place = if folder.is_empty() { self.root.clone() } else { self.place(folder) };
        let listed: Vec<_> = self
            .objects
            .list(Some(&place))
            .try_collect()
            .await
            .map_err(|error| self.error("listing", folder, error))?;
        let below = |meta: ObjectMeta| {
            let parts: Vec<_> = meta.location.prefix_match(&self.root)?.collect();
            let path = parts.iter().map(|part| part.as_ref()).collect::<Vec<_>>().join("/");
            Some(Listed { path, bytes: meta.size, modified: modified(&meta) })
        };
        Ok(listed.into_iter().filter_map(below).collect())
    }

    /// When an object was written, by the store's clock. `None`: there is none.
    pub(crate) async fn written(&self, path: &str) -> Result<Option<Timestamp>> {
        match self.objects.head(&self.place(path)).await {
            Ok(meta) => Ok(Some(modified(&meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error("reading", path, error)),
        }
    }

    /// What time it is, by the clock that the store dates its objects with.
    pub(crate) async fn now(&self, probe: &ObjectKey) -> Result<Timestamp> {
        let path = probe.path();
        self.put(probe, format!("{}\n", Timestamp::now()).into_bytes()).await?;
        let now = self.written(&path).await?;
        self.delete(&path).await?;
        // Another prune may have removed it; then nobody but this machine knows.
        Ok(now.unwrap_or_else(Timestamp::now))
    }

    /// Whether it is a folder of this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// Removes files below a backup's folder that were never finished, which local disks keep, and no
    /// listing shows. Their writer must be dead.
    pub(crate) fn remove_unfinished(&self, folder: &str) -> Result<()> {
        match &self.local {
            Some(root) => remove_unfinished_in(&root.join(folder)),
            None => Ok(()),
        }
    }

    /// Removes an object; it is no error if there is none.
    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.objects.delete(&self.place(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error("deleting", path, error)),
        }
    }

    /// The error for an object that must be there.
    pub(crate) fn missing(&self, path: &str) -> Error {
        Error::new(
            Kind::Damaged,
            format!("object {path} is missing from collection {}", self.shown),
        )
        .hint("restore from another backup, or bring the object back from a copy of the collection")
    }

    fn cut_short(&self, path: &str) -> Error {
        let shown = &self.shown;
        Error::new(
            Kind::Damaged,
            format!("object {path} in collection {shown} was cut short"),
        )
        .hint("restore from another backup, or bring the object back from a copy of the collection")
    }

    fn error(&self, doing: &str, path: &str, error: object_store::Error) -> Error {
        let what =
            if path.is_empty() { "the collection".to_owned() } else { format!("object {path}") };
        location::translate(&format!("{doing} {what} in {}", self.shown), error)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}
