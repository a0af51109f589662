//! Writing packs: many segments in one stored object.
//!
//! Each worker writes its own pack, so that segments need no coordination, and starts a new one at
//! a segment's end once the pack is [`FULL`]. A pack is one multipart upload: at most
//! [`PARTS_IN_FLIGHT`] parts of [`PART`] bytes are in memory, and a slow store thereby slows the
//! worker, and through its socket the server. A pack that was not finished was never visible.

use std::sync::{Arc, Mutex};

use object_store::{ObjectStoreExt, WriteMultipart};
use strongroom_format::contents::Pack;
use strongroom_format::layout::{Folder, ObjectKey, new_pack_name};

use super::Store;
use crate::{Result, failpoint};

/// A pack is full at this length.
const FULL: u64 = 128 * 1024 * 1024;
/// Bytes per part; stores take no less than 5 MiB, the last part excepted.
const PART: usize = 8 * 1024 * 1024;
/// Parts that may be on their way at once, per pack.
const PARTS_IN_FLIGHT: usize = 2;

/// The packs of one backup; segments name them by index.
#[derive(Clone, Default)]
pub(crate) struct Packs(Arc<Mutex<Vec<Pack>>>);

impl Packs {
    /// Those of the parent first, under the numbers that they have there.
    pub(crate) fn after(parent: &[Pack]) -> Self {
        Packs(Arc::new(Mutex::new(parent.to_vec())))
    }

    fn add(&self, path: String) -> u32 {
        let mut packs = self.lock();
        packs.push(Pack { path, stored_bytes: 0 });
        (packs.len() - 1) as u32
    }

    fn finished(&self, index: u32, length: u64) {
        self.lock()[index as usize].stored_bytes = length;
    }

    /// All packs, in index order.
    pub(crate) fn list(&self) -> Vec<Pack> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Pack>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Writes segments into packs, one after the other.
pub(crate) struct PackWriter {
    store: Store,
    folder: Folder,
    packs: Packs,
    open: Option<OpenPack>,
}

struct OpenPack {
    upload: WriteMultipart,
    index: u32,
    path: String,
    length: u64,
}

impl PackWriter {
    pub(crate) fn new(store: Store, folder: Folder, packs: Packs) -> Self {
        PackWriter { store, folder, packs, open: None }
    }

    /// Where the next segment will lie: pack path, pack index and offset.
    pub(crate) async fn next_segment(&mut self) -> Result<(String, u32, u64)> {
        if self.open.as_ref().is_some_and(|pack| pack.length >= FULL) {
            self.finish().await?;
        }
        if self.open.is_none() {
            let path = ObjectKey::Pack(self.folder, new_pack_name()).path();
            let upload = self.store.objects.put_multipart(&self.store.place(&path)).await;
            let upload = upload.map_err(|error| self.store.error("writing", &path, error))?;
            self.open = Some(OpenPack {
                upload: WriteMultipart::new_with_chunk_size(upload, PART),
                index: self.packs.add(path.clone()),
                path,
                length: 0,
            });
        }
        let pack = self.open.as_ref();
        Ok(pack.map(|pack| (pack.path.clone(), pack.index, pack.length)).unwrap_or_default())
    }

    /// Writes the next bytes of the segment, and empties `bytes`.
    pub(crate) async fn write(&mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let Some(pack) = &mut self.open else {
            return Ok(());
        };
        let waited = pack.upload.wait_for_capacity(PARTS_IN_FLIGHT).await;
        waited.map_err(|error| self.store.error("writing", &pack.path, error))?;
        pack.upload.write(bytes);
        pack.length += bytes.len() as u64;
        bytes.clear();
        Ok(())
    }

    /// Makes the pack durable and visible.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        let Some(pack) = self.open.take() else {
            return Ok(());
        };
        failpoint::pass("backup.before-pack")?;
        let finished = pack.upload.finish().await;
        finished.map_err(|error| self.store.error("writing", &pack.path, error))?;
        self.store.counters.written.fetch_add(pack.length, std::sync::atomic::Ordering::Relaxed);
        self.packs.finished(pack.index, pack.length);
        failpoint::pass("backup.after-pack")
    }

    /// Gives up the pack under way.
    pub(crate) async fn abort(&mut self) {
        if let Some(pack) = self.open.take() {
            // Its parts were never visible; what a store keeps of them is its own to expire.
            let _ = pack.upload.abort().await;
        }
    }
}
