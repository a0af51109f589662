//! The parent of an incremental backup: which backup to build on, and what of each table it holds.
//!
//! The parent is the newest backup of the same cluster and the same targets. Where there is none
//! that can be trusted, a full backup is taken, and says why: an incremental on top of something
//! damaged would be one more backup that can not be restored.
//!
//! The same cluster is not always the same history. Where the timeline is another one, or the log ends
//! before the parent's position (the server was set back to an older copy of its disk), positions and
//! transaction ids have been given out twice, and compare nothing. A server that was set back and has
//! gone past the parent's position since can not be told from one that was not.
//!
//! A table's segments are only compared, and those unchanged taken over by reference, where nothing
//! but rows can have changed since. Everything else is copied whole: a table that is new or was
//! rewritten (its file has another number), one whose shape is not the parent's or not known (types,
//! enum labels, columns with a default that is stored apart, names of objects as values), unlogged
//! tables, whose changes leave no trace in the log, and tables that are not heaps.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use strongroom_format::contents::{Database, Pack, Table, TableData};
use strongroom_format::key::{DataKey, Secret};
use strongroom_format::layout::Folder;
use strongroom_format::manifest::{Found, Manifest, Source, Targets};
use strongroom_format::segment::SegmentList;

use super::floor::position;
use crate::collection::{self, Backup, Entry};
use crate::postgres::catalog::SourceTable;
use crate::store::Store;
use crate::{Kind, Result};

/// Packs looked up at the same time.
const CONCURRENCY: usize = 32;

/// The backup to build on.
pub(super) struct Parent {
    pub(super) backup: Backup,
}

/// Finds the backup to build on; `present` is where the server's log ends, `now` what time it is. An error says why a full
/// one is needed.
pub(super) async fn find(
    store: &Store,
    source: &Source,
    targets: &Targets,
    present: u64,
    now: Timestamp,
    secret: Option<&Secret>,
) -> Result<std::result::Result<Parent, String>> {
    if source.system_identifier.is_empty() {
        return Ok(Err("the server does not tell its system identifier".to_owned()));
    }
    let mut entries = collection::list(store).await?;
    let mut other_cluster = false;
    let mut other_targets = false;
    let newest = loop {
        match entries.pop() {
            None if other_cluster => {
                return Ok(Err(
                    "the backups in the collection are of another cluster (its system \
                               identifier differs)"
                        .to_owned(),
                ));
            }
            None if other_targets => {
                return Ok(Err("no backup in the collection has the same targets".to_owned()));
            }
            None => return Ok(Err("the collection holds no backup to build on".to_owned())),
            Some(Entry::Incomplete(_) | Entry::Pruned(_)) => {}
            // Taken while a clock was ahead: what is older is as good to build on.
            Some(Entry::Complete(manifest)) if manifest.id.time() >= now => {}
            Some(Entry::Damaged(folder, error)) => {
                return Ok(Err(format!("backup {} can not be used: {error}", folder.id)));
            }
            Some(Entry::Complete(manifest)) => {
                match (&manifest.targets == targets, same_cluster(&manifest, source)) {
                    (true, true) => break manifest,
                    (true, false) => other_cluster = true,
                    (false, _) => other_targets = true,
                }
            }
        }
    };
    if newest.source.timeline != source.timeline {
        return Ok(Err(format!(
            "the server is on timeline {}, and backup {} was taken on timeline {}",
            source.timeline, newest.id, newest.source.timeline
        )));
    }
    if newest.source.version_num / 10000 != source.version_num / 10000 {
        return Ok(Err(format!(
            "backup {} was taken from PostgreSQL {}",
            newest.id, newest.source.version
        )));
    }
    let opened = Backup::open_at(store, newest.folder(), secret).await;
    let backup = match opened {
        Ok(backup) => backup,
        // Without its key nothing of it can be read, and what we add must not be in the clear.
        Err(error) if error.kind() == Kind::Key && secret.is_none() => return Err(error),
        // Not found: it was pruned just now.
        Err(error)
            if matches!(
                error.kind(),
                Kind::Key | Kind::Damaged | Kind::Unsupported | Kind::NotFound
            ) =>
        {
            return Ok(Err(error.to_string()));
        }
        Err(error) => return Err(error),
    };
    let read_points = backup.contents.databases.iter().map(|database| &database.read_point);
    let newest_lsn = read_points.filter_map(|point| position(point.lsn.as_deref()?)).max();
    if newest_lsn.unwrap_or(0) > present {
        return Ok(Err(format!(
            "the server's log ends before the position of backup {}: the server was set back",
            newest.id
        )));
    }
    if let Some(lost) = lost_pack(store, &backup.contents.packs).await? {
        return Ok(Err(format!("object {lost} of backup {} is missing or cut short", newest.id)));
    }
    Ok(Ok(Parent { backup }))
}

fn same_cluster(manifest: &Manifest, source: &Source) -> bool {
    manifest.source.engine == source.engine
        && manifest.source.system_identifier == source.system_identifier
}

/// A pack that is not there in its full length.
pub(crate) async fn lost_pack(store: &Store, packs: &[Pack]) -> Result<Option<String>> {
    let lost = futures::stream::iter(packs)
        .map(|pack| async move {
            let whole = store.length(&pack.path).await? == Some(pack.stored_bytes);
            Ok::<_, crate::Error>((!whole).then(|| pack.path.clone()))
        })
        .buffer_unordered(CONCURRENCY)
        .try_filter_map(|lost| async move { Ok(lost) });
    let lost: Vec<String> = lost.try_collect().await?;
    Ok(lost.into_iter().min())
}

impl Parent {
    /// Whether it is still a complete backup. Asked after the claim was made: from then on a prune
    /// leaves the packs of the chain alone (see [`crate::prune`]).
    pub(super) async fn is_there(&self, store: &Store) -> Result<bool> {
        let found = collection::manifest(store, self.backup.manifest.folder()).await?;
        Ok(matches!(found, Some(Found::Complete(_))))
    }

    /// Where an incremental that begins now lies.
    pub(super) fn child(&self, id: strongroom_format::BackupId) -> Folder {
        Folder { id, full: self.backup.manifest.folder().full }
    }

    /// The chain's data key.
    pub(super) fn key(&self) -> Option<&DataKey> {
        self.backup.key.as_ref()
    }

    /// What it holds of a database, if it is the same database.
    pub(super) async fn base(&self, name: &str, oid: u32) -> Result<Option<Base>> {
        let databases = &self.backup.contents.databases;
        let Some(database) = databases.iter().find(|db| db.name == name && db.oid == oid) else {
            return Ok(None);
        };
        let data: Vec<&TableData> = database.data().collect();
        let mut lists = self.backup.segment_lists(&data).await?.into_iter();
        let tables = database.tables.iter().zip(lists.by_ref());
        let tables =
            tables.map(|(table, list)| (table.oid, Arc::new((table.clone(), list)))).collect();
        let large_objects = lists.next().unwrap_or_default();
        Ok(Some(Base { database: database.clone(), tables, large_objects }))
    }
}

/// What the parent holds of one database.
pub(super) struct Base {
    pub(super) database: Database,
    tables: HashMap<u32, Arc<(Table, SegmentList)>>,
    pub(super) large_objects: SegmentList,
}

impl Base {
    /// The parent's state of a table, where segments can be compared with it.
    pub(super) fn of(&self, now: &SourceTable) -> Option<Arc<(Table, SegmentList)>> {
        let known = self.tables.get(&now.table.oid)?;
        let (then, list) = &**known;
        let comparable = now.by_page
            && now.table.logged
            && then.logged
            && now.table.relfilenode != 0
            && now.table.relfilenode == then.relfilenode
            && now.table.shape.is_some()
            && now.table.shape == then.shape
            && now.table.columns == then.columns
            && list.pages_per_segment > 0;
        comparable.then(|| known.clone())
    }
}
