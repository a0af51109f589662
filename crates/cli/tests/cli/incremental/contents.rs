//! What a backup holds and what a snapshot sees, row by row, read without the program.
//!
//! The truth of a backup is what its read point saw. A backup that is told to shows its snapshot
//! ([`Watched`]), and waits until we have read every table through it by ourselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use strongroom_format::contents::{Contents, Database, TableData};
use strongroom_format::layout::{Folder, ObjectKey};
use strongroom_format::manifest::Manifest;
use strongroom_format::piece;
use strongroom_format::segment::{SegmentList, place};
use strongroom_testkit::{Cluster, Output, Running, Strongroom};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

/// The rows of each table (`schema.table`, and `large objects`), sorted, as `COPY` prints them.
pub(crate) type Rows = BTreeMap<String, Vec<Vec<u8>>>;

/// The rows of databases, by name.
pub(crate) type Databases = BTreeMap<String, Rows>;

/// Where large objects stand among the tables.
const LARGE_OBJECTS: &str = "large objects";

// --- what a backup holds ------------------------------------------------------------------------

/// A backup in a folder that is a collection.
pub(crate) struct Stored {
    root: PathBuf,
    folder: Folder,
    pub(crate) manifest: Manifest,
    pub(crate) contents: Contents,
}

impl Stored {
    /// The newest one.
    #[track_caller]
    pub(crate) fn newest(root: &Path) -> Self {
        let all = crate::state::files(root);
        let manifests = all.iter().filter(|path| path.ends_with("MANIFEST"));
        let folder = |path: &PathBuf| {
            let below = path.parent().unwrap().strip_prefix(root).unwrap();
            below.to_str().unwrap().parse::<Folder>().unwrap()
        };
        let folder = manifests.map(folder).max_by_key(|folder| folder.id).expect("no backup");
        let read = |key: ObjectKey| fs::read(root.join(key.path())).unwrap();
        let manifest =
            Manifest::decode(&read(ObjectKey::Manifest(folder)), folder).unwrap().manifest;
        let key = ObjectKey::Contents(folder);
        let raw = piece::decode(&read(key.clone()), manifest.contents, &key.path(), None).unwrap();
        let contents = Contents::decode(&raw).unwrap();
        Stored { root: root.to_owned(), folder, manifest, contents }
    }

    /// All rows.
    #[track_caller]
    pub(crate) fn rows(&self) -> Databases {
        let mut packs = BTreeMap::new();
        let databases = self.contents.databases.iter();
        databases.map(|db| (db.name.clone(), self.rows_of(db, &mut packs))).collect()
    }

    fn rows_of(&self, database: &Database, packs: &mut BTreeMap<u32, Vec<u8>>) -> Rows {
        let table = |table: &strongroom_format::contents::Table| {
            (format!("{}.{}", table.schema, table.name), table.data)
        };
        let objects = database.large_object_data.map(|data| (LARGE_OBJECTS.to_owned(), data));
        let data = database.tables.iter().map(table).chain(objects);
        let mut all: Rows = data.map(|(name, data)| (name, self.read(data, packs))).collect();
        all.entry(LARGE_OBJECTS.to_owned()).or_default();
        all
    }

    fn read(&self, data: TableData, packs: &mut BTreeMap<u32, Vec<u8>>) -> Vec<Vec<u8>> {
        let Some(at) = data.list else {
            return Vec::new();
        };
        let path = ObjectKey::Segments(self.folder).path();
        let lists = fs::read(self.root.join(&path)).unwrap();
        let from = at.offset as usize;
        let stored = &lists[from..from + at.piece.stored_bytes as usize];
        let raw = piece::decode(stored, at.piece, &place(&path, at.offset), None).unwrap();
        let mut rows = Vec::new();
        for segment in SegmentList::decode(&raw).unwrap().segments {
            let path = &self.contents.packs[segment.pack as usize].path;
            let pack = packs
                .entry(segment.pack)
                .or_insert_with(|| fs::read(self.root.join(path)).unwrap());
            let from = segment.offset as usize;
            let stored = &pack[from..from + segment.piece.stored_bytes as usize];
            let place = place(path, segment.offset);
            let raw = piece::decode(stored, segment.piece, &place, None).unwrap();
            let lines = raw.split_inclusive(|byte| *byte == b'\n');
            rows.extend(lines.map(<[u8]>::to_vec));
        }
        rows.sort_unstable();
        rows
    }

    /// The bytes that each table added to the collection, by `database.schema.table`.
    pub(crate) fn added(&self) -> BTreeMap<String, u64> {
        let tables = self.contents.databases.iter().flat_map(|database| {
            database.tables.iter().map(|table| {
                let name = format!("{}.{}.{}", database.name, table.schema, table.name);
                (name, table.data.added_bytes)
            })
        });
        tables.collect()
    }

    /// The bytes of all rows as they are stored, and how many of them this backup added.
    pub(crate) fn stored_and_added(&self) -> (u64, u64) {
        let data = self.contents.databases.iter().flat_map(Database::data);
        data.fold((0, 0), |sum, data| (sum.0 + data.stored_bytes, sum.1 + data.added_bytes))
    }
}

// --- what a snapshot sees -----------------------------------------------------------------------

/// Under what the program reads rows, so that they print the same.
const SESSION: &str = "
    SET search_path = pg_catalog; SET datestyle = 'ISO, YMD'; SET intervalstyle = postgres;
    SET timezone = 'UTC'; SET bytea_output = 'hex'; SET lc_monetary = 'C';
    SET extra_float_digits = 3; SET lock_timeout = '5s'";

/// A connection whose other half runs beside it.
pub(crate) async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(client)
}

/// All rows of a database; through a snapshot, if one is named.
pub(crate) async fn seen(url: &str, snapshot: Option<&str>) -> Result<Rows, tokio_postgres::Error> {
    let client = connect(url).await?;
    client.batch_execute(SESSION).await?;
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
    if let Some(snapshot) = snapshot {
        client.batch_execute(&format!("SET TRANSACTION SNAPSHOT '{snapshot}'")).await?;
    }
    let tables = client
        .query(
            "SELECT format('%s.%s', nspname, relname), format('%I.%I', nspname, relname),
                    (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
                     FROM pg_attribute
                     WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
                           AND attgenerated = '')
             FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
             WHERE relkind = 'r' AND relpersistence <> 't'
                   AND nspname NOT IN ('pg_catalog', 'information_schema')",
            &[],
        )
        .await?;
    let mut all = Rows::new();
    for table in tables {
        let (name, quoted): (String, String) = (table.get(0), table.get(1));
        let columns: Option<String> = table.get(2);
        let columns = columns.unwrap_or_default();
        let sql = format!("COPY (SELECT {columns} FROM ONLY {quoted}) TO STDOUT");
        all.insert(name, lines(&client, &sql).await?);
    }
    let objects = "COPY (SELECT oid, 0, lo_get(oid) FROM pg_largeobject_metadata) TO STDOUT";
    all.insert(LARGE_OBJECTS.to_owned(), lines(&client, objects).await?);
    Ok(all)
}

async fn lines(client: &Client, sql: &str) -> Result<Vec<Vec<u8>>, tokio_postgres::Error> {
    let rows = client.copy_out(sql).await?.map_ok(|row| row.to_vec());
    let mut rows: Vec<Vec<u8>> = rows.try_collect().await?;
    rows.sort_unstable();
    Ok(rows)
}

// --- a backup whose read points are watched -----------------------------------------------------

/// A backup under way that shows its read points.
pub(crate) struct Watched {
    run: Running,
    shown: PathBuf,
    _folder: TempDir,
}

impl Watched {
    /// Starts it. `failpoints` are armed besides.
    pub(crate) fn start(run: Strongroom, failpoints: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let shown = folder.path().join("read-point");
        let show = format!("backup.show-read-point=return({});{failpoints}", shown.display());
        Watched { run: run.failpoints(&show).spawn(), shown, _folder: folder }
    }

    /// Waits for the next read point: its database, and its snapshot. It is held until
    /// [`Watched::go_on`]. None when the backup has ended.
    pub(crate) fn read_point(&mut self) -> Option<(String, String)> {
        let begun = Instant::now();
        loop {
            if let Ok(text) = fs::read_to_string(&self.shown) {
                let (database, snapshot) = text.split_once('\t').unwrap();
                return Some((database.to_owned(), snapshot.to_owned()));
            }
            if !self.run.is_running() || begun.elapsed() > Duration::from_secs(170) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn go_on(&self) {
        fs::remove_file(&self.shown).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> Output {
        self.run.wait()
    }

    /// Lets it run to its end, and reads at each read point what it sees. None for a database that
    /// could not be read through the last of its snapshots.
    pub(crate) fn finish(
        mut self,
        runtime: &Runtime,
        cluster: &Cluster,
    ) -> (Output, BTreeMap<String, Option<Rows>>) {
        let mut truth = BTreeMap::new();
        while let Some((database, snapshot)) = self.read_point() {
            let rows = runtime.block_on(seen(&cluster.url(&database), Some(&snapshot)));
            if let Err(error) = &rows {
                println!("{database} could not be read beside the backup: {error:?}");
            }
            truth.insert(database, rows.ok());
            self.go_on();
        }
        (self.run.wait(), truth)
    }
}

// --- comparing ----------------------------------------------------------------------------------

/// What two databases differ in, told shortly.
pub(crate) fn differences(truth: &Rows, got: &Rows) -> Vec<String> {
    let mut found = Vec::new();
    for name in truth.keys().chain(got.keys().filter(|name| !truth.contains_key(*name))) {
        let (Some(truth), Some(got)) = (truth.get(name), got.get(name)) else {
            let where_to = if truth.contains_key(name) { "missing" } else { "too much" };
            found.push(format!("{name} is {where_to}"));
            continue;
        };
        if truth != got {
            let missing = only_in_first(truth, got);
            let extra = only_in_first(got, truth);
            found.push(format!(
                "{name}: {} rows instead of {}; missing {}: {:?}; too much {}: {:?}",
                got.len(),
                truth.len(),
                missing.len(),
                missing.iter().take(3).collect::<Vec<_>>(),
                extra.len(),
                extra.iter().take(3).collect::<Vec<_>>(),
            ));
        }
    }
    found
}

/// Beginnings of the rows (both sorted) that the second lacks.
fn only_in_first(first: &[Vec<u8>], second: &[Vec<u8>]) -> Vec<String> {
    let mut second = second.iter().peekable();
    let mut found = Vec::new();
    for row in first {
        while second.next_if(|other| *other < row).is_some() {}
        if second.next_if(|other| *other == row).is_none() {
            found.push(String::from_utf8_lossy(row).chars().take(60).collect());
        }
    }
    found
}
