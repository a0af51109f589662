//! Proving that a backup can be restored.
//!
//! Two rungs. [`verify`] reads every object that the backup names, and checks lengths, checksums,
//! decompression, and the number of rows in every segment against the lists, the contents and the
//! manifest. [`verify_by_restore`] then restores it into a throwaway cluster of this machine, and
//! counts the rows there.
//!
//! Both end with the first thing that is wrong. A [`drill`] takes the same two rungs and goes on
//! where it can, so that its findings name every table that would not come back.

mod damage;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use strongroom_format::contents::{Database, TableData};
use strongroom_format::layout::ObjectKey;
use strongroom_format::manifest::Targets;
use strongroom_format::piece::PieceReader;
use strongroom_format::segment::{Segment, SegmentList, place};
use tokio::task::JoinSet;

use crate::collection::Backup;
use crate::error::bail;
use crate::names::TableName;
use crate::postgres::archive::Archive;
use crate::postgres::catalog;
use crate::postgres::connect::Client;
use crate::postgres::sql::{ident, qualified};
use crate::postgres::throwaway::Throwaway;
use crate::progress::Progress;
use crate::restore::{self, Fence, RestoreOptions, RestoreTarget, SkipMissing};
use crate::{CancellationToken, Error, Kind, Result};

use self::damage::Damage;
pub use self::damage::Difference;

/// Bytes of the store that one request reads.
const REQUEST: u64 = 8 * 1024 * 1024;

/// What a verification found to be whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Stored objects that were read.
    pub objects: u64,
    /// Segments whose checksum, length and rows were checked.
    pub segments: u64,
    /// Rows that were counted.
    pub rows: u64,
    /// Bytes read from the store.
    pub bytes_read: u64,
    /// Tables that were restored into a throwaway cluster and counted there.
    pub restored_tables: Option<u64>,
    /// What could not be checked, or differs without harm.
    pub notes: Vec<String>,
}

/// Reads and checks everything that the backup names.
pub async fn verify(
    backup: &Backup,
    workers: usize,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Verified> {
    read_all(backup, workers, &Damage::ends_it(), progress, cancel).await
}

async fn read_all(
    backup: &Backup,
    workers: usize,
    damage: &Damage,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Verified> {
    match read_everything(backup, workers, damage, progress, cancel).await {
        Ok(verified) => Ok(verified),
        Err(error) => Err(backup.unless_pruned(error).await),
    }
}

async fn read_everything(
    backup: &Backup,
    workers: usize,
    damage: &Damage,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Verified> {
    let before = backup.store.bytes_read();
    progress.step(format!("verifying backup {}", backup.manifest.id));
    damage.of("backup", check_sums(backup))?;
    let lengths = ObjectKey::Segments(backup.manifest.folder()).path();
    let lists_bytes = backup.manifest.segment_lists_bytes;
    damage.of("backup", check_length(backup, &lengths, lists_bytes).await)?;
    for pack in &backup.contents.packs {
        // What a pack lacks shows once more at the tables whose rows lie there.
        let checked = check_length(backup, &pack.path, pack.stored_bytes).await;
        damage.of(&format!("object {}", pack.path), checked)?;
    }
    for database in &backup.contents.databases {
        let read = async { Archive::parse(&backup.schema(database).await?) };
        damage.of(&format!("database {}", database.name), read.await)?;
    }
    let mut queue = VecDeque::new();
    let mut tables = Vec::new();
    let mut rows = 0;
    for database in &backup.contents.databases {
        let named = database.tables.iter().map(|table| {
            (format!("table {}.{}.{}", database.name, table.schema, table.name), &table.data)
        });
        let objects = database.large_object_data.as_ref();
        let objects = objects.map(|data| (format!("large objects of {}", database.name), data));
        let named: Vec<(String, &TableData)> = named.chain(objects).collect();
        let data: Vec<&TableData> = named.iter().map(|(_, data)| *data).collect();
        let read = backup.segment_lists(&data).await;
        let lists = damage.of(&format!("database {}", database.name), read)?;
        for ((name, data), list) in named.into_iter().zip(lists.unwrap_or_default()) {
            damage.of(&name, check_list(backup, database, data, &list))?;
            queue.extend(list.segments.into_iter().map(|segment| (tables.len(), segment)));
            tables.push(name);
        }
        rows += database.rows();
    }
    // In the order in which they lie, so that neighbours are read together.
    queue.make_contiguous().sort_by_key(|(_, segment)| (segment.pack, segment.offset));
    let segments = queue.len() as u64;
    let stored: u64 = queue.iter().map(|(_, segment)| segment.piece.stored_bytes).sum();
    progress.expected(stored);
    let (queue, tables) = (Arc::new(Mutex::new(queue)), Arc::new(tables));
    let mut running = JoinSet::new();
    for _ in 0..workers.max(1) {
        let reader = Reader {
            store: backup.store.clone(),
            key: backup.key.clone(),
            packs: backup.contents.packs.iter().map(|pack| pack.path.clone()).collect(),
            queue: queue.clone(),
            tables: tables.clone(),
            damage: damage.clone(),
            progress: progress.clone(),
        };
        let cancel = cancel.clone();
        running.spawn(async move {
            tokio::select! {
                read = reader.run() => read,
                () = cancel.cancelled() => Err(Error::new(Kind::Cancelled, "the verification was stopped")),
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.map_err(|error| {
            Error::new(Kind::Failed, format!("a reader ended unexpectedly: {error}"))
        })??;
    }
    let manifest_contents_and_lists = 3;
    let keys = u64::from(backup.manifest.key_id.is_some());
    let objects = backup.contents.packs.len() + backup.contents.databases.len();
    Ok(Verified {
        objects: objects as u64 + manifest_contents_and_lists + keys,
        segments,
        rows,
        bytes_read: backup.store.bytes_read() - before,
        restored_tables: None,
        notes: Vec::new(),
    })
}

/// The manifest's sums against the contents.
fn check_sums(backup: &Backup) -> Result<()> {
    let manifest = &backup.manifest;
    for (summary, database) in manifest.databases.iter().zip(&backup.contents.databases) {
        let same = summary.name == database.name
            && summary.rows == database.rows()
            && summary.size_bytes == database.size_bytes()
            && summary.tables == database.tables.len() as u64;
        if !same {
            bail!(
                Damaged,
                "manifest and contents of backup {} disagree on database \"{}\"",
                manifest.id,
                summary.name
            );
        }
    }
    if manifest.databases.len() != backup.contents.databases.len() {
        bail!(Damaged, "manifest and contents of backup {} disagree on the databases", manifest.id);
    }
    Ok(())
}

async fn check_length(backup: &Backup, path: &str, expected: u64) -> Result<()> {
    match backup.store.length(path).await? {
        Some(length) if length == expected => Ok(()),
        Some(length) => Err(Error::new(
            Kind::Damaged,
            format!("object {path} has {length} bytes, and {expected} were written"),
        )
        .hint(
            "restore from another backup, or bring the object back from a copy of the collection",
        )),
        // A backup without rows has no lists.
        None if expected == 0 => Ok(()),
        None => Err(backup.store.missing(path)),
    }
}

/// A table's list against its totals.
fn check_list(
    backup: &Backup,
    database: &Database,
    data: &TableData,
    list: &SegmentList,
) -> Result<()> {
    let rows: u64 = list.segments.iter().map(|segment| segment.rows).sum();
    let raw: u64 = list.segments.iter().map(|segment| segment.piece.raw_bytes).sum();
    if rows == data.rows && raw == data.size_bytes && list.segments.len() as u64 == data.segments {
        return Ok(());
    }
    bail!(
        Damaged,
        "a segment list of database \"{}\" in backup {} does not add up to the table's rows",
        database.name,
        backup.manifest.id
    )
}

/// One of the parallel readers.
struct Reader {
    store: crate::store::Store,
    key: Option<strongroom_format::key::DataKey>,
    packs: Vec<String>,
    /// What is to be read, with the numbers of the tables that it belongs to.
    queue: Arc<Mutex<VecDeque<(usize, Segment)>>>,
    tables: Arc<Vec<String>>,
    damage: Damage,
    progress: Progress,
}

impl Reader {
    async fn run(self) -> Result<()> {
        let mut raw = Vec::new();
        loop {
            let batch = self.take();
            let (Some((table, first)), Some((_, last))) = (batch.first(), batch.last()) else {
                return Ok(());
            };
            let path = &self.packs[first.pack as usize];
            let end = last.offset + last.piece.stored_bytes;
            if batch.len() == 1 && end - first.offset > REQUEST {
                let checked = self.check_long(path, first, &mut raw).await;
                self.damage.of(&self.tables[*table], checked)?;
            } else {
                let read = self.store.get_range(path, first.offset..end).await;
                let Some(bytes) = self.damage.of(&self.tables[*table], read)? else {
                    for (table, _) in &batch {
                        self.damage.also(&self.tables[*table], path);
                    }
                    continue;
                };
                for (table, segment) in &batch {
                    let from = (segment.offset - first.offset) as usize;
                    let stored = &bytes[from..from + segment.piece.stored_bytes as usize];
                    let checked = self.check(path, segment, stored, &mut raw);
                    self.damage.of(&self.tables[*table], checked)?;
                }
            }
            self.progress.moved(end - first.offset);
            tokio::task::yield_now().await;
        }
    }

    /// The next neighbouring segments, about [`REQUEST`] bytes.
    fn take(&self) -> Vec<(usize, Segment)> {
        let mut queue = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut batch: Vec<(usize, Segment)> = Vec::new();
        while let Some((_, next)) = queue.front() {
            if let (Some((_, first)), Some((_, last))) = (batch.first(), batch.last()) {
                let end = last.offset + last.piece.stored_bytes;
                let follows = next.pack == last.pack && next.offset == end;
                if !follows || end + next.piece.stored_bytes - first.offset > REQUEST {
                    break;
                }
            }
            batch.extend(queue.pop_front());
        }
        batch
    }

    fn check(&self, path: &str, segment: &Segment, stored: &[u8], raw: &mut Vec<u8>) -> Result<()> {
        let place = place(path, segment.offset);
        let unusable = |error| Error::stored(format!("{path} (at byte {})", segment.offset), error);
        let mut reader =
            PieceReader::new(segment.piece, &place, self.key.as_ref()).map_err(unusable)?;
        let mut rows = 0;
        for part in stored.chunks(256 * 1024) {
            reader.push(part).map_err(unusable)?;
            count_rows(&mut reader, raw, &mut rows).map_err(unusable)?;
        }
        reader.finish().map_err(unusable)?;
        check_rows(path, segment, rows)
    }

    /// As [`Reader::check`], for a segment that is not to be held in memory.
    async fn check_long(&self, path: &str, segment: &Segment, raw: &mut Vec<u8>) -> Result<()> {
        let place = place(path, segment.offset);
        let unusable = |error| Error::stored(format!("{path} (at byte {})", segment.offset), error);
        let mut reader =
            PieceReader::new(segment.piece, &place, self.key.as_ref()).map_err(unusable)?;
        let mut rows = 0;
        let (mut at, end) = (segment.offset, segment.offset + segment.piece.stored_bytes);
        while at < end {
            let next = (at + REQUEST).min(end);
            reader.push(&self.store.get_range(path, at..next).await?).map_err(unusable)?;
            count_rows(&mut reader, raw, &mut rows).map_err(unusable)?;
            at = next;
        }
        reader.finish().map_err(unusable)?;
        check_rows(path, segment, rows)
    }
}

/// Every row of the text form ends with a line feed, and has no other.
fn count_rows(
    reader: &mut PieceReader,
    raw: &mut Vec<u8>,
    rows: &mut u64,
) -> std::result::Result<(), strongroom_format::FormatError> {
    raw.clear();
    while reader.next_run(raw)? {
        *rows += raw.iter().filter(|byte| **byte == b'\n').count() as u64;
        raw.clear();
    }
    Ok(())
}

fn check_rows(path: &str, segment: &Segment, rows: u64) -> Result<()> {
    if rows == segment.rows {
        return Ok(());
    }
    bail!(
        Damaged,
        "object {path} (at byte {}) holds {rows} rows, and {} were written",
        segment.offset,
        segment.rows
    )
}

/// Verifies the backup, then restores it into a throwaway cluster of this machine, and compares
/// what is there with what the backup says.
pub async fn verify_by_restore(
    backup: &Backup,
    workers: usize,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Verified> {
    let mut verified = verify(backup, workers, progress, cancel).await?;
    let before = backup.store.bytes_read();
    let damage = Damage::ends_it();
    let counted = try_out(backup, workers, &damage, progress, cancel).await?;
    verified.restored_tables = Some(counted.tables);
    verified.notes.extend(counted.notes);
    verified.bytes_read += backup.store.bytes_read() - before;
    Ok(verified)
}

/// What a drill found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drilled {
    /// Tables that were restored and counted.
    pub tables_checked: u64,
    /// Rows in them.
    pub rows_checked: u64,
    /// What would not come back as the backup says. Empty: everything would.
    pub differences: Vec<Difference>,
    /// What could not be checked, or differs without harm.
    pub notes: Vec<String>,
}

/// Reads everything that the backup names, and restores it into a throwaway cluster of this machine if
/// all of it can be read. An error says that the drill could not be held; what is wrong with the backup
/// is a difference.
pub async fn drill(
    backup: &Backup,
    workers: usize,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Drilled> {
    let damage = Damage::collected();
    read_all(backup, workers, &damage, progress, cancel).await?;
    let mut counted = Counted::default();
    if damage.is_none() {
        counted = try_out(backup, workers, &damage, progress, cancel).await?;
    }
    let differences = damage.differences();
    if let Some(first) = differences.first() {
        let error = backup.unless_pruned(Error::new(Kind::Damaged, &first.message)).await;
        if error.kind() != Kind::Damaged {
            return Err(error);
        }
    }
    let Counted { tables, rows, notes } = counted;
    Ok(Drilled { tables_checked: tables, rows_checked: rows, differences, notes })
}

/// What was restored into a throwaway cluster.
#[derive(Default)]
struct Counted {
    tables: u64,
    rows: u64,
    notes: Vec<String>,
}

async fn try_out(
    backup: &Backup,
    workers: usize,
    damage: &Damage,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Counted> {
    progress.step("starting a throwaway cluster");
    let throwaway = Throwaway::start(backup.manifest.source.version_num).await?;
    let counted = tokio::select! {
        counted = restore_and_count(backup, &throwaway, workers, damage, progress, cancel) => counted,
        () = cancel.cancelled() => Err(Error::new(Kind::Cancelled, "the verification was stopped")),
    };
    throwaway.stop().await;
    counted
}

async fn restore_and_count(
    backup: &Backup,
    throwaway: &Throwaway,
    workers: usize,
    damage: &Damage,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Counted> {
    let server = throwaway.server();
    let client = Client::connect(&server, "postgres", "strongroom verify").await?;
    let mut notes = Vec::new();
    for role in roles_of(backup).await? {
        // Some things only superusers can own, and nobody logs in here.
        client.batch_execute(&format!("CREATE ROLE {} SUPERUSER", ident(&role))).await?;
    }
    drop(client);
    let mut targets = Vec::new();
    match &backup.manifest.targets {
        Targets::Cluster => targets.push(RestoreTarget::Cluster),
        Targets::Databases(_) => {
            // The throwaway cluster has a `postgres` database already, empty and in our way.
            for database in &backup.contents.databases {
                let restore_to =
                    (database.name == "postgres").then(|| "strongroom_verified".to_owned());
                targets.push(RestoreTarget::Databases {
                    names: vec![database.name.clone()],
                    restore_to,
                });
            }
        }
        Targets::Tables(_) => {
            for database in &backup.contents.databases {
                targets.push(RestoreTarget::Tables {
                    names: named_tables(backup, database).unwrap_or_default(),
                    into_db: Some(verified_name(backup, database)),
                    into_schema: None,
                    new_table_name: None,
                });
            }
        }
    }
    for target in targets {
        let skip_missing =
            SkipMissing { foreign_keys: true, sequences: true, views: true, roles: false };
        let (to, fence) = (server.clone(), Fence::open());
        let schema_only = false;
        let options = RestoreOptions { target, to, skip_missing, schema_only, workers, fence };
        let object = match &options.target {
            RestoreTarget::Cluster => "cluster".to_owned(),
            RestoreTarget::Databases { names, .. } => format!("database {}", names.join(", ")),
            RestoreTarget::Tables { names, .. } => {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                format!("table {}", names.join(", "))
            }
        };
        let restored = restore::run(backup, &options, progress, cancel).await;
        let restored = damage.of_restore(&object, restored)?;
        notes.extend(restored.into_iter().flat_map(|restored| restored.notes));
    }
    progress.step("counting the restored rows");
    let (mut tables, mut rows_checked) = (0, 0);
    let client = Client::connect(&server, "postgres", "strongroom verify").await?;
    for database in &backup.contents.databases {
        let name = verified_name(backup, database);
        if !catalog::database_exists(&client, &name).await? {
            // Its restore has failed, which is told already.
            continue;
        }
        let client = Client::connect(&server, &name, "strongroom verify").await?;
        // Rows that were loaded through a partitioned table are counted there: they may have gone
        // to other partitions than those they came from.
        let archive = Archive::parse(&backup.schema(database).await?)?;
        let named = named_tables(backup, database);
        let through = restore::loaded_through(&archive.entries, database, named.as_deref());
        let mut expected: BTreeMap<(&str, (String, String)), u64> = BTreeMap::new();
        for table in database.tables.iter().filter(|table| table.extension.is_none()) {
            let own = (table.schema.clone(), table.name.clone());
            let counted_at = match through.get(&own) {
                Some(root) => ("", root.clone()),
                None => ("ONLY ", own),
            };
            *expected.entry(counted_at).or_default() += table.data.rows;
            tables += 1;
        }
        for ((only, (schema, table)), rows) in expected {
            let full = qualified(&schema, &table);
            let object = format!("table {}.{schema}.{table}", database.name);
            let count = async {
                let counted = client.scalar(&format!("SELECT count(*) FROM {only}{full}")).await?;
                if counted.as_deref() != Some(rows.to_string().as_str()) {
                    bail!(
                        Damaged,
                        "{object} has {} rows after a restore, and the backup holds {rows}",
                        counted.unwrap_or_default()
                    );
                }
                Ok(())
            };
            let counted = count.await;
            if damage.of_restore(&object, counted)?.is_some() {
                rows_checked += rows;
            }
        }
    }
    // What restored cleanly here may still tell a person what to do elsewhere; not for a drill.
    notes.retain(|note| {
        !note.contains("keeps its password") && !note.starts_with("statistics are not restored")
    });
    Ok(Counted { tables, rows: rows_checked, notes })
}

/// The tables of a database that the backup was taken of, if not of all.
fn named_tables(backup: &Backup, database: &Database) -> Option<Vec<TableName>> {
    let Targets::Tables(names) = &backup.manifest.targets else { return None };
    let named = names.iter().filter_map(|name| name.parse::<TableName>().ok());
    Some(named.filter(|name| name.database == database.name).collect())
}

/// What a database is called in the throwaway cluster.
fn verified_name(backup: &Backup, database: &Database) -> String {
    match backup.manifest.targets {
        Targets::Cluster => database.name.clone(),
        _ if database.name == "postgres" => "strongroom_verified".to_owned(),
        _ => database.name.clone(),
    }
}

/// The roles that must exist before databases are restored; a cluster brings its own.
async fn roles_of(backup: &Backup) -> Result<Vec<String>> {
    if backup.manifest.targets == Targets::Cluster {
        return Ok(Vec::new());
    }
    let mut roles = std::collections::BTreeSet::new();
    for database in &backup.contents.databases {
        let archive = Archive::parse(&backup.schema(database).await?)?;
        roles.extend(restore::roles_needed(&archive.entries));
        roles.extend(database.large_objects.iter().flat_map(|object| {
            object.grants.iter().map(|(role, ..)| role.clone()).chain([object.owner.clone()])
        }));
        roles.insert(database.owner.clone());
    }
    roles.retain(|role| !role.is_empty() && !role.starts_with("pg_") && role != Throwaway::USER);
    Ok(roles.into_iter().collect())
}
