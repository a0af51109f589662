//! The commit: definitions, segment lists and contents first, the manifest last.
//!
//! Order matters. When the manifest is written, every pack and every other object of the backup is
//! already durable, so that the one small write decides between no backup and a complete one. It
//! succeeds only where nothing lies in its place: see [`crate::prune`].

use std::sync::atomic::{AtomicBool, Ordering};

use strongroom_format::BackupId;
use strongroom_format::contents::{Contents, ListRef};
use strongroom_format::key::DataKey;
use strongroom_format::layout::{Folder, ObjectKey};
use strongroom_format::manifest::{
    BackupType, DatabaseSummary, Managed, Manifest, Omission, Source, Targets,
};
use strongroom_format::piece::{self, PieceInfo, PieceWriter};
use strongroom_format::segment::{SegmentList, place};

use super::parent::lost_pack;
use super::{Clock, DatabaseJob, Gate};
use crate::error::bail;
use crate::postgres::archive::Archive;
use crate::store::Store;
use crate::{Error, Kind, Result, failpoint};

/// The zstd level of what is not rows.
const LEVEL: i32 = 3;

/// Writes the schema object of the job's database, as `pg_dump` makes it. What a restore could not
/// read (definitions that are not UTF-8, an archive of a later version) is refused now.
pub(super) async fn write_schema(job: &DatabaseJob<'_>, snapshot: &str) -> Result<PieceInfo> {
    let object = ObjectKey::Schema(job.folder, job.number);
    let path = object.path();
    let unsealed = |error| Error::stored(&path, error);
    let (mut stored, mut plain) = (Vec::new(), Vec::new());
    let mut writer = PieceWriter::new(LEVEL, job.key.cloned()).map_err(unsealed)?;
    writer.start(&path, &mut stored).map_err(unsealed)?;
    // In SQL_ASCII nobody knows what the bytes mean, so nothing can be converted.
    let encoding = if job.row.encoding == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" };
    let (server, name) = (&job.options.from, &job.row.name);
    job.cluster
        .pg_dump
        .schema(server, name, encoding, snapshot, async |run: &[u8]| {
            plain.extend_from_slice(run);
            writer.write(run, &mut stored).map_err(unsealed)
        })
        .await?;
    Archive::parse(&plain)?;
    drop(plain);
    let info = writer.finish(&[], &mut stored).map_err(unsealed)?;
    failpoint::pass("backup.before-schema")?;
    job.store.put(&object, stored).await?;
    failpoint::pass("backup.after-schema")?;
    Ok(info)
}

/// What the manifest says beyond the contents.
pub(super) struct Commit<'a> {
    pub(super) folder: Folder,
    /// The backup that it builds on.
    pub(super) parent: Option<BackupId>,
    /// How changes were found.
    pub(super) detector: Option<String>,
    /// Why it is not incremental.
    pub(super) full_because: Option<String>,
    pub(super) store: &'a Store,
    pub(super) key: Option<&'a DataKey>,
    pub(super) key_id: Option<String>,
    pub(super) targets: Targets,
    pub(super) source: Source,
    pub(super) omissions: Vec<Omission>,
    /// What the service notes.
    pub(super) managed: Option<Managed>,
    pub(super) clock: Clock,
    pub(super) gate: &'a Gate,
    /// Set when the manifest was sent, and what became of it is not known.
    pub(super) in_doubt: &'a AtomicBool,
}

impl Commit<'_> {
    /// Writes everything that is left to write. `lists` go with the data of each database.
    pub(super) async fn write(
        self,
        mut contents: Contents,
        mut lists: Vec<Vec<Option<SegmentList>>>,
    ) -> Result<Manifest> {
        drop_dead_packs(&mut contents, &mut lists);
        // Nothing is named that was not made durable, whatever went wrong on the way.
        if let Some(pack) = contents.packs.iter().find(|pack| pack.stored_bytes == 0) {
            bail!(Failed, "object {} was not finished; back up again", pack.path);
        }
        let lists = self.encode_lists(&mut contents, lists)?;
        let segment_lists_bytes = lists.len() as u64;
        failpoint::pass("backup.before-segment-lists")?;
        self.store.put(&ObjectKey::Segments(self.folder), lists).await?;
        let object = ObjectKey::Contents(self.folder);
        let path = object.path();
        let (stored, info) = piece::encode(&contents.encode(), &path, LEVEL, self.key)
            .map_err(|error| Error::stored(&path, error))?;
        failpoint::pass("backup.before-contents")?;
        self.store.put(&object, stored).await?;
        let manifest = self.manifest(&contents, info, segment_lists_bytes);
        self.check(&contents).await?;
        self.gate.pass().await?;
        failpoint::pass("backup.before-manifest")?;
        // Put where there is none: a prune that took us for dead has put a tombstone there.
        let (object, encoded) = (ObjectKey::Manifest(self.folder), manifest.encode(self.key));
        // A disk that has failed to write it does not write it later.
        self.in_doubt.store(!self.store.is_local(), Ordering::Relaxed);
        if !self.store.create(&object, encoded.clone()).await? {
            match self.store.find(&object.path()).await? {
                // A request was repeated of which only the answer was lost.
                Some(found) if found == encoded => {}
                Some(_) => {
                    self.in_doubt.store(false, Ordering::Relaxed);
                    return Err(self.given_up());
                }
                // Refused because of another request that is under way: a repeated one of ours.
                None => {
                    let path = object.path();
                    let message = format!(
                        "writing object {path}: the store says that it is there, and \
                         that it is not"
                    );
                    return Err(Error::new(Kind::Unreachable, message).hint("back up again"));
                }
            }
        }
        self.in_doubt.store(false, Ordering::Relaxed);
        failpoint::pass("backup.after-manifest")?;
        Ok(manifest)
    }

    /// Refuses to write a manifest that names what is gone.
    async fn check(&self, contents: &Contents) -> Result<()> {
        if self.store.length(&ObjectKey::Started(self.folder).path()).await?.is_none() {
            return Err(self.given_up());
        }
        match lost_pack(self.store, &contents.packs).await? {
            Some(path) => Err(self.store.missing(&path).context(format!(
                "backup {} is not finished, because of what it would need",
                self.folder.id
            ))),
            None => Ok(()),
        }
    }

    fn given_up(&self) -> Error {
        let id = self.folder.id;
        Error::new(
            Kind::Failed,
            format!("somebody took backup {id} for dead while it ran, and removed what it wrote"),
        )
        .hint(
            "it was a prune, or the holder of its job after this one: give prune a --grace that is \
             longer than any backup takes, and back up again",
        )
    }

    /// The segment lists as one object; each table's data gets to know where its list lies.
    fn encode_lists(
        &self,
        contents: &mut Contents,
        lists: Vec<Vec<Option<SegmentList>>>,
    ) -> Result<Vec<u8>> {
        let path = ObjectKey::Segments(self.folder).path();
        let mut object = Vec::new();
        for (database, lists) in contents.databases.iter_mut().zip(lists) {
            let tables = database.tables.iter_mut().map(|table| &mut table.data);
            for (data, list) in tables.chain(&mut database.large_object_data).zip(lists) {
                let Some(list) = list else { continue };
                let offset = object.len() as u64;
                let place = place(&path, offset);
                let (stored, piece) = piece::encode(&list.encode(), &place, LEVEL, self.key)
                    .map_err(|error| Error::stored(&path, error))?;
                object.extend(stored);
                data.list = Some(ListRef { offset, piece });
            }
        }
        Ok(object)
    }

    fn manifest(&self, contents: &Contents, info: PieceInfo, segment_lists_bytes: u64) -> Manifest {
        let databases: Vec<DatabaseSummary> = contents
            .databases
            .iter()
            .map(|database| DatabaseSummary {
                name: database.name.clone(),
                tables: database.tables.len() as u64,
                rows: database.rows(),
                size_bytes: database.size_bytes(),
            })
            .collect();
        let schemas: u64 = contents.databases.iter().map(|d| d.schema.stored_bytes).sum();
        let own = format!("{}/", self.folder);
        let packs = contents.packs.iter().filter(|pack| pack.path.starts_with(&own));
        let packs: u64 = packs.map(|pack| pack.stored_bytes).sum();
        Manifest {
            id: self.folder.id,
            kind: match self.parent {
                Some(_) => BackupType::Incremental,
                None => BackupType::Full,
            },
            parent: self.parent,
            full: self.parent.map(|_| self.folder.full),
            detector: self.detector.clone(),
            full_because: self.full_because.clone(),
            targets: self.targets.clone(),
            source: self.source.clone(),
            data_from: self.folder.id.time(),
            finished_at: self.clock.now(),
            size_bytes: databases.iter().map(|database| database.size_bytes).sum(),
            stored_bytes: packs + schemas + segment_lists_bytes + info.stored_bytes,
            rows: databases.iter().map(|database| database.rows).sum(),
            databases,
            omissions: self.omissions.clone(),
            contents: info,
            segment_lists_bytes,
            key_id: self.key_id.clone(),
            written_by: concat!("strongroom ", env!("CARGO_PKG_VERSION")).to_owned(),
            managed: self.managed.clone(),
        }
    }
}

/// Leaves out the packs of earlier backups that no segment lies in any more, and numbers the others
/// anew: what is named here is what this backup needs.
fn drop_dead_packs(contents: &mut Contents, lists: &mut [Vec<Option<SegmentList>>]) {
    let mut alive = vec![false; contents.packs.len()];
    let segments = |list: &SegmentList| list.segments.iter().map(|s| s.pack).collect::<Vec<_>>();
    for pack in lists.iter().flatten().flatten().flat_map(segments) {
        alive[pack as usize] = true;
    }
    let mut numbers = Vec::with_capacity(alive.len());
    let mut next = 0;
    for alive in &alive {
        numbers.push(next);
        next += u32::from(*alive);
    }
    for list in lists.iter_mut().flatten().flatten() {
        for segment in &mut list.segments {
            segment.pack = numbers[segment.pack as usize];
        }
    }
    let mut alive = alive.into_iter();
    contents.packs.retain(|_| alive.next().unwrap_or(false));
}
