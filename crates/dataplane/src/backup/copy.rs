//! Copying rows: tables cut into segments, segments read by parallel workers into packs.
//!
//! A worker first copies the small tables that are its own, then takes segments of the large ones
//! from a common list, largest table first, until that is empty: all workers end within a segment
//! of each other. Tables that were not locked in time come last, in rounds: lock some, copy them,
//! let them go. On every connection the next query is sent before the last answer was read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom_format::BackupId;
use strongroom_format::contents::{Database, Table, TableData};
use strongroom_format::key::DataKey;
use strongroom_format::piece::PieceWriter;
use strongroom_format::segment::{Segment, SegmentList, place};
use tokio_util::sync::CancellationToken;

use super::read_point::{Latecomers, Tables};
use super::share::{Share, cut, pages_per_segment};
use super::{BackupOptions, DatabaseJob};
use crate::postgres::catalog::{SourceTable, large_object_rows};
use crate::postgres::sql::ident;
use crate::postgres::wire::Wire;
use crate::progress::Progress;
use crate::store::{PackWriter, Packs, Store};
use crate::{Error, Kind, Result};

/// Bytes of rows after which a segment is compressed while it is still being read.
const LONG_RUN: usize = 4 * 1024 * 1024;
/// Large objects per segment.
const OBJECTS_PER_SEGMENT: usize = 200;
/// Queries under way per connection.
const PIPELINE: usize = 2;
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
    tables: Arc<Vec<SourceTable>>,
    version_num: u32,
    objects: Vec<u32>,
    latecomers: Latecomers,
    /// Tasks that any worker may take, the largest tables' first.
    common: Vec<Task>,
    next: AtomicUsize,
    cancel: CancellationToken,
    progress: Progress,
}

/// Copies all rows of the read point's tables, and the bytes of these large objects. The workers
/// are put back whether it succeeds or not.
pub(super) async fn copy(
    read: Tables,
    latecomers: Latecomers,
    workers: &mut Vec<Worker>,
    objects: Vec<u32>,
    job: &DatabaseJob<'_>,
    cancel: CancellationToken,
) -> Result<Copied> {
    let Tables { tables, crew } = read;
    let version_num = job.cluster.source.version_num;
    let large = crew.first().map(|(_, share)| share.large.clone()).unwrap_or_default();
    let mut common: Vec<Task> =
        large.iter().flat_map(|table| tasks(&tables, *table, version_num)).collect();
    common.extend((0..objects.len()).step_by(OBJECTS_PER_SEGMENT).map(Task::Objects));
    job.progress.expected(tables.iter().map(SourceTable::bytes).sum());
    let shop = Arc::new(Shop {
        tables,
        version_num,
        objects,
        latecomers,
        common,
        next: AtomicUsize::new(0),
        cancel,
        progress: job.progress.clone(),
    });
    let mut running = tokio::task::JoinSet::new();
    for (mut worker, (mut wire, share)) in std::mem::take(workers).into_iter().zip(crew) {
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

/// The tasks that a table is read by.
fn tasks(tables: &[SourceTable], table: usize, version_num: u32) -> Vec<Task> {
    let Some(count) = cut(&tables[table], version_num) else {
        return vec![Task::Whole(table)];
    };
    let pages = tables[table].table.pages;
    let firsts = (0..pages).step_by(count as usize);
    let range = |first: u32| {
        let last = first.saturating_add(count) >= pages;
        Task::Pages { table, first, count, last }
    };
    firsts.map(range).collect()
}

impl Shop {
    fn tasks(&self, tables: &[usize]) -> VecDeque<Task> {
        tables.iter().flat_map(|table| tasks(&self.tables, *table, self.version_num)).collect()
    }
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
        let mut found = Vec::new();
        let mut own = shop.tasks(&share.locked);
        let common = || shop.common.get(shop.next.fetch_add(1, Ordering::Relaxed)).copied();
        self.copy_tasks(wire, shop, &mut found, || own.pop_front().or_else(common)).await?;
        for round in share.unlocked.chunks(Latecomers::ROUND) {
            let tables: Vec<&SourceTable> = round.iter().map(|at| &shop.tables[*at]).collect();
            shop.latecomers.lock(wire, &tables).await?;
            let mut own = shop.tasks(round);
            self.copy_tasks(wire, shop, &mut found, || own.pop_front()).await?;
        }
        Ok(found)
    }

    /// Copies the segments of all tasks that `take` hands out.
    async fn copy_tasks(
        &mut self,
        wire: &mut Wire,
        shop: &Shop,
        found: &mut Vec<Found>,
        mut take: impl FnMut() -> Option<Task>,
    ) -> Result<()> {
        let mut asked = VecDeque::new();
        loop {
            while asked.len() < PIPELINE {
                let Some(task) = take() else { break };
                wire.send_copy_out(&query(task, shop)).await?;
                asked.push_back(task);
            }
            let Some(task) = asked.pop_front() else {
                return Ok(());
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
