//! Copying rows: tables cut into segments, segments read by parallel workers into packs.
//!
//! A table is cut at fixed page boundaries, chosen once per table so that heap and out-of-line
//! bytes of a segment stay near [`SEGMENT_BYTES`]. A worker first copies the small tables that are
//! its own, then takes segments of the large ones from a common list, largest table first, until
//! that is empty: all workers end within a segment of each other. On every connection the next
//! query is sent before the last answer was read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom_format::BackupId;
use strongroom_format::contents::{Database, Table, TableData};
use strongroom_format::key::DataKey;
use strongroom_format::piece::PieceWriter;
use strongroom_format::segment::{Segment, SegmentList, place};
use tokio_util::sync::CancellationToken;

use super::BackupOptions;
use crate::postgres::catalog::{SourceTable, large_object_rows};
use crate::postgres::sql::ident;
use crate::postgres::wire::Wire;
use crate::progress::Progress;
use crate::store::{PackWriter, Packs, Store};
use crate::{Error, Kind, Result};

/// Heap and out-of-line bytes that a segment should stand for.
const SEGMENT_BYTES: u64 = 2 * 1024 * 1024;
/// Bytes of rows after which a segment is compressed while it is still being read.
const LONG_RUN: usize = 4 * 1024 * 1024;
/// A table is never cut into more segments than this, so that its list stays small.
const MOST_SEGMENTS: u32 = 1 << 18;
/// Large objects per segment.
const OBJECTS_PER_SEGMENT: usize = 200;
/// Queries under way per connection.
const PIPELINE: usize = 2;
/// Servers from here on find rows by page range without reading the whole table.
const TID_RANGE_SCANS: u32 = 140000;

/// One worker's lasting parts: its open pack, and its compressor.
pub(super) struct Worker {
    pack: PackWriter,
    piece: PieceWriter,
    /// Rows that were read and are not compressed yet.
    run: Vec<u8>,
}

impl Worker {
    /// As many workers as asked for.
    pub(super) fn crew(
        options: &BackupOptions,
        store: &Store,
        id: BackupId,
        packs: &Packs,
        key: Option<&DataKey>,
    ) -> Result<Vec<Self>> {
        (0..options.workers)
            .map(|_| {
                let piece = PieceWriter::new(options.level, key.cloned())
                    .map_err(|error| Error::new(Kind::Usage, error.to_string()))?;
                Ok(Worker {
                    pack: PackWriter::new(store.clone(), id, packs.clone()),
                    piece,
                    run: Vec::new(),
                })
            })
            .collect()
    }

    /// Makes its pack durable.
    pub(super) async fn finish(&mut self) -> Result<()> {
        self.pack.finish().await
    }
}

/// A database as it was read, with the segment lists that belong to its tables.
pub(super) struct ReadDatabase {
    pub(super) database: Database,
    pub(super) lists: Vec<Option<SegmentList>>,
}

/// Takes the segment lists out, in the order of [`Database::data`] over all databases.
pub(super) fn take_lists(databases: &mut [ReadDatabase]) -> Vec<Vec<Option<SegmentList>>> {
    databases.iter_mut().map(|read| std::mem::take(&mut read.lists)).collect()
}

/// What copying a database yields. The lists are those of the tables, then of the large objects.
pub(super) struct Copied {
    pub(super) tables: Vec<Table>,
    pub(super) large_object_data: Option<TableData>,
    pub(super) lists: Vec<Option<SegmentList>>,
    /// The workers' connections. What they have locked must not change before the definitions have
    /// been read too.
    pub(super) locks: Vec<Wire>,
}

/// The tables that one worker locks: the small ones are its own, the large ones everybody's.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    pub(super) small: Vec<usize>,
    pub(super) large: Arc<Vec<(usize, u32)>>,
}

impl Share {
    /// Divides tables (largest first) among workers. Empty tables are in nobody's share.
    pub(super) fn divide(tables: &[SourceTable], workers: usize, version_num: u32) -> Vec<Share> {
        let mut large = Vec::new();
        let mut small: Vec<(u64, Vec<usize>)> = vec![(0, Vec::new()); workers];
        for (index, table) in tables.iter().enumerate() {
            let pages = table.table.pages;
            if pages == 0 && table.by_page {
                continue;
            }
            let per_segment = pages_per_segment(table);
            if table.by_page && version_num >= TID_RANGE_SCANS && pages > per_segment {
                large.push((index, per_segment));
            } else if let Some(least) = small.iter_mut().min_by_key(|(bytes, _)| *bytes) {
                // A query costs something even where the table is tiny.
                least.0 += table.bytes() + 8192;
                least.1.push(index);
            }
        }
        let large = Arc::new(large);
        small.into_iter().map(|(_, small)| Share { small, large: large.clone() }).collect()
    }

    /// Every table of the share.
    pub(super) fn all(&self) -> impl Iterator<Item = usize> + '_ {
        self.small.iter().copied().chain(self.large.iter().map(|(index, _)| *index))
    }
}

/// Pages per segment of a table: fewer where much lies out of line, more where there are too many.
fn pages_per_segment(table: &SourceTable) -> u32 {
    let pages = u64::from(table.table.pages.max(1));
    let per_page = (table.bytes() / pages).max(1);
    let wanted = (SEGMENT_BYTES / per_page).max(1);
    let least = pages.div_ceil(u64::from(MOST_SEGMENTS));
    u32::try_from(wanted.max(least)).unwrap_or(u32::MAX)
}

/// One query's worth of rows.
#[derive(Clone, Copy, Debug)]
enum Task {
    /// A whole small table.
    Whole(usize),
    /// From this page of a table for this many pages; to the end where `last`.
    Pages { table: usize, first: u32, count: u32, last: bool },
    /// Large objects from this index of the list on.
    Objects(usize),
}

/// What the workers of one database share.
struct Shop {
    tables: Vec<SourceTable>,
    objects: Vec<u32>,
    /// Tasks that any worker may take, the largest tables' first.
    common: Vec<Task>,
    next: AtomicUsize,
    cancel: CancellationToken,
    progress: Progress,
}

/// Copies all rows of the read point's tables, and the bytes of these large objects. The workers
/// are put back whether it succeeds or not.
pub(super) async fn copy(
    tables: &[SourceTable],
    shares: Vec<(Wire, Share)>,
    workers: &mut Vec<Worker>,
    objects: Vec<u32>,
    progress: &Progress,
    cancel: CancellationToken,
) -> Result<Copied> {
    let common = common_tasks(tables, &shares, objects.len());
    progress.expected(tables.iter().map(SourceTable::bytes).sum());
    let shop = Arc::new(Shop {
        tables: tables.to_vec(),
        objects,
        common,
        next: AtomicUsize::new(0),
        cancel,
        progress: progress.clone(),
    });
    let mut running = tokio::task::JoinSet::new();
    for (mut worker, (mut wire, share)) in std::mem::take(workers).into_iter().zip(shares) {
        let shop = shop.clone();
        running.spawn(async move {
            let result = worker.work(&mut wire, share, &shop).await;
            if result.is_err() {
                // The others need not go on, and their packs can still be used.
                shop.cancel.cancel();
            }
            (worker, wire, result)
        });
    }
    let mut found = Vec::new();
    let mut locks = Vec::new();
    let mut failure: Option<Error> = None;
    while let Some(ended) = running.join_next().await {
        let (worker, wire, result) = ended.map_err(|error| {
            Error::new(Kind::Failed, format!("a worker ended unexpectedly: {error}"))
        })?;
        workers.push(worker);
        match result {
            Ok(segments) => {
                found.extend(segments);
                locks.push(wire);
            }
            // A worker that was stopped because of another says less than that other one.
            Err(error) if failure.as_ref().is_none_or(|known| known.kind() == Kind::Cancelled) => {
                failure = Some(error);
            }
            Err(_) => {}
        }
    }
    failure.map_or_else(|| Ok(collect(&shop, found, locks)), Err)
}

/// The tasks that are nobody's own.
fn common_tasks(tables: &[SourceTable], shares: &[(Wire, Share)], objects: usize) -> Vec<Task> {
    let mut tasks = Vec::new();
    let large = shares.first().map(|(_, share)| share.large.clone()).unwrap_or_default();
    for (table, count) in large.iter().copied() {
        let pages = tables[table].table.pages;
        let firsts = (0..pages).step_by(count.max(1) as usize);
        tasks.extend(firsts.map(|first| {
            let last = first.saturating_add(count) >= pages;
            Task::Pages { table, first, count, last }
        }));
    }
    tasks.extend((0..objects).step_by(OBJECTS_PER_SEGMENT).map(Task::Objects));
    tasks
}

/// A segment and the table it belongs to; `None`: the large objects.
type Found = (Option<usize>, Segment);

impl Worker {
    async fn work(&mut self, wire: &mut Wire, share: Share, shop: &Shop) -> Result<Vec<Found>> {
        let stop = shop.cancel.clone();
        let worked = tokio::select! {
            worked = self.copy_all(wire, share, shop) => worked,
            () = stop.cancelled() => Err(Error::new(Kind::Cancelled, "the backup was stopped")),
        };
        if worked.is_err() {
            self.pack.abort().await;
        }
        worked
    }

    async fn copy_all(&mut self, wire: &mut Wire, share: Share, shop: &Shop) -> Result<Vec<Found>> {
        let mut own = share.small.into_iter().map(Task::Whole);
        let mut take = || {
            own.next()
                .or_else(|| shop.common.get(shop.next.fetch_add(1, Ordering::Relaxed)).copied())
        };
        let mut asked = std::collections::VecDeque::new();
        let mut found = Vec::new();
        loop {
            while asked.len() < PIPELINE {
                let Some(task) = take() else { break };
                wire.send_copy_out(&query(task, shop)).await?;
                asked.push_back(task);
            }
            let Some(task) = asked.pop_front() else {
                return Ok(found);
            };
            let segment = self
                .copy_segment(wire, task)
                .await
                .map_err(|error| error.context(format!("reading {}", subject(task, shop))))?;
            let table = match task {
                Task::Whole(table) | Task::Pages { table, .. } => Some(table),
                Task::Objects(_) => None,
            };
            shop.progress.moved(weight(task, shop));
            if segment.rows > 0 {
                found.push((table, segment));
            }
        }
    }

    async fn copy_segment(&mut self, wire: &mut Wire, task: Task) -> Result<Segment> {
        let (path, pack, offset) = self.pack.next_segment().await?;
        let place = place(&path, offset);
        let unsealed = |error| Error::stored(&path, error);
        let mut stored = Vec::new();
        self.run.clear();
        self.piece.start(&place, &mut stored).map_err(unsealed)?;
        let mut rows = 0;
        loop {
            let copied = wire.copy_out_run(&mut self.run).await?;
            rows += copied.rows;
            if copied.ended {
                break;
            }
            // Only what is far longer than a segment should be goes through as a stream.
            if self.run.len() >= LONG_RUN {
                self.piece.write(&self.run, &mut stored).map_err(unsealed)?;
                self.run.clear();
                self.pack.write(&mut stored).await?;
            }
        }
        let piece = self.piece.finish(&self.run, &mut stored).map_err(unsealed)?;
        self.run.clear();
        self.pack.write(&mut stored).await?;
        let first_page = match task {
            Task::Whole(_) => 0,
            Task::Pages { first, .. } => first,
            Task::Objects(first) => first as u32,
        };
        Ok(Segment { first_page, pack, offset, rows, piece })
    }
}

/// The query whose answer is the task's rows.
fn query(task: Task, shop: &Shop) -> String {
    let table = match task {
        Task::Whole(table) | Task::Pages { table, .. } => &shop.tables[table],
        Task::Objects(first) => {
            let end = (first + OBJECTS_PER_SEGMENT).min(shop.objects.len());
            return format!("COPY ({}) TO STDOUT", large_object_rows(&shop.objects[first..end]));
        }
    };
    let name = table.qualified();
    let columns: Vec<String> =
        table.table.columns.iter().map(|column| ident(&column.name)).collect();
    let columns = columns.join(", ");
    match (task, &table.condition) {
        (Task::Pages { first, count, last, .. }, _) => {
            let end = match last {
                true => String::new(),
                false => format!(" AND ctid < '({},0)'", first + count),
            };
            format!(
                "COPY (SELECT {columns} FROM ONLY {name} WHERE ctid >= '({first},0)'{end}) TO STDOUT"
            )
        }
        (_, Some(condition)) => {
            format!("COPY (SELECT {columns} FROM ONLY {name} {condition}) TO STDOUT")
        }
        // Without a list of columns COPY takes all that are not generated: here, none.
        (_, None) if columns.is_empty() => format!("COPY {name} TO STDOUT"),
        (_, None) => format!("COPY {name} ({columns}) TO STDOUT"),
    }
}

fn subject(task: Task, shop: &Shop) -> String {
    match task {
        Task::Whole(table) => format!("table {}", shop.tables[table].qualified()),
        Task::Pages { table, first, .. } => {
            format!("table {} from page {first} on", shop.tables[table].qualified())
        }
        Task::Objects(_) => "large objects".to_owned(),
    }
}

/// How much of the expected bytes a task stands for.
fn weight(task: Task, shop: &Shop) -> u64 {
    match task {
        Task::Whole(table) => shop.tables[table].bytes(),
        Task::Pages { table, first, count, .. } => {
            let table = &shop.tables[table];
            let pages = u64::from(count.min(table.table.pages - first));
            table.bytes() * pages / u64::from(table.table.pages)
        }
        Task::Objects(_) => 0,
    }
}

/// Puts each segment to its table.
fn collect(shop: &Shop, mut found: Vec<Found>, locks: Vec<Wire>) -> Copied {
    found.sort_by_key(|(table, segment)| (table.is_none(), *table, segment.first_page));
    let mut found = found.into_iter().peekable();
    let mut tables = Vec::new();
    let mut lists = Vec::new();
    for (index, source) in shop.tables.iter().enumerate() {
        let mut list =
            SegmentList { pages_per_segment: pages_per_segment(source), segments: vec![] };
        while let Some((_, segment)) = found.next_if(|(table, _)| *table == Some(index)) {
            list.segments.push(segment);
        }
        tables.push(Table { data: totals(&list), ..source.table.clone() });
        lists.push(Some(list).filter(|list| !list.segments.is_empty()));
    }
    let objects = SegmentList { pages_per_segment: 0, segments: found.map(|(_, s)| s).collect() };
    let large_object_data = (!objects.segments.is_empty()).then(|| totals(&objects));
    if large_object_data.is_some() {
        lists.push(Some(objects));
    }
    Copied { tables, large_object_data, lists, locks }
}

/// What a list of segments adds up to.
fn totals(list: &SegmentList) -> TableData {
    let sum = |of: fn(&Segment) -> u64| list.segments.iter().map(of).sum();
    TableData {
        rows: sum(|segment| segment.rows),
        size_bytes: sum(|segment| segment.piece.raw_bytes),
        stored_bytes: sum(|segment| segment.piece.stored_bytes),
        added_bytes: sum(|segment| segment.piece.stored_bytes),
        segments: list.segments.len() as u64,
        list: None,
    }
}
