//! Copying rows: segments, from the server into packs.
//!
//! A worker first copies the small tables that are its own, then takes segments of the large ones
//! from a common list, largest table first, until that is empty: all workers end within a segment
//! of each other. Tables that were not locked in time come last, in rounds: lock some, copy them,
//! let them go. On every connection the next query is sent before the last answer was read.
//!
//! In an incremental backup, ranges that can be compared with the parent's are asked about first
//! ([`Task::Look`], [`Task::Digest`]); those that changed are copied next, by the same worker, and
//! the parent's segments stand for the others.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use strongroom_format::contents::{Database, Table, TableData};
use strongroom_format::key::DataKey;
use strongroom_format::layout::Folder;
use strongroom_format::piece::PieceWriter;
use strongroom_format::segment::{Segment, SegmentList, place};
use tokio_util::sync::CancellationToken;

use super::changes::finder::Finder;
use super::changes::{Detector, page_lsn, version_digest};
use super::large_objects::Batch;
use super::read_point::{Latecomers, Tables};
use super::share::{Share, cut, pages_per_segment};
use super::{BackupOptions, DatabaseJob};
use crate::names::TableName;
use crate::postgres::catalog::{SourceTable, large_object_rows};
use crate::postgres::sql::ident;
use crate::postgres::wire::Wire;
use crate::progress::Progress;
use crate::store::{PackWriter, Packs, Store};
use crate::{Error, Kind, Result};

/// Bytes of rows after which a segment is compressed while it is still being read.
const LONG_RUN: usize = 4 * 1024 * 1024;
/// Queries under way per connection.
const PIPELINE: usize = 2;
/// Segments that are asked about in one query.
const LOOK: u32 = 32;

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
        folder: Folder,
        packs: &Packs,
        key: Option<&DataKey>,
    ) -> Result<Vec<Self>> {
        (0..options.workers)
            .map(|_| {
                let piece = PieceWriter::new(options.level, key.cloned())
                    .map_err(|error| Error::new(Kind::Usage, error.to_string()))?;
                Ok(Worker {
                    pack: PackWriter::new(store.clone(), folder, packs.clone()),
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

    /// Gives up its pack: the backup has failed.
    pub(super) async fn abort(&mut self) {
        self.pack.abort().await;
    }
}

/// A database as it was read, with the segment lists that belong to its tables.
pub(super) struct ReadDatabase {
    pub(super) database: Database,
    pub(super) lists: Vec<Option<SegmentList>>,
    /// How changes in it were found, or will be.
    pub(super) detector: Option<Detector>,
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

/// A range of a table's pages, the rows of which make one segment.
#[derive(Clone, Copy, Debug)]
struct Range {
    table: usize,
    /// The first page.
    first: u32,
    /// Pages.
    count: u32,
    /// The table is not cut: the range is all of it.
    whole: bool,
    /// Nothing comes after it.
    last: bool,
}

/// One query's worth of work.
#[derive(Clone, Copy, Debug)]
enum Task {
    /// Copy a range.
    Copy(Range),
    /// Compare a range by its digest, and copy it if it changed. Where the parent has no digests,
    /// it counts as changed.
    Digest(Range),
    /// Look at the page headers of this many segments, and copy those that changed.
    Look { table: usize, first_segment: u32, segments: u32 },
    /// Copy a batch of large objects.
    Objects(usize),
}

/// A segment of the new backup: copied, or the parent's.
struct Found {
    /// The table; `None`: large objects.
    table: Option<usize>,
    segment: Segment,
    digest: Option<i64>,
}

/// What the workers of one database share.
struct Shop {
    tables: Arc<Vec<SourceTable>>,
    version_num: u32,
    finder: Finder,
    /// The parent's state of each table that can be compared.
    bases: Vec<Option<Arc<(Table, SegmentList)>>>,
    objects: Vec<Batch>,
    latecomers: Latecomers,
    /// Tasks that any worker may take, the largest tables' first.
    common: Vec<Task>,
    next: AtomicUsize,
    cancel: CancellationToken,
    progress: Progress,
    /// What is told of each table.
    told: Vec<Told>,
}

/// A table's name as listeners know it, and its pages that are still to be read.
struct Told {
    name: Arc<TableName>,
    pages: AtomicU32,
}

/// What is to be copied, and from whom what need not be is taken over.
pub(super) struct Plan {
    pub(super) read: Tables,
    pub(super) finder: Finder,
    pub(super) objects: Vec<Batch>,
    /// The number of packs that are not this backup's own.
    pub(super) parent_packs: u32,
}

/// Copies all rows of the read point's tables, and the bytes of the large objects. The workers
/// are put back whether it succeeds or not.
pub(super) async fn copy(
    plan: Plan,
    latecomers: Latecomers,
    workers: &mut Vec<Worker>,
    job: &DatabaseJob<'_>,
    cancel: CancellationToken,
) -> Result<Copied> {
    let Plan { read: Tables { tables, crew }, finder, objects, parent_packs } = plan;
    let bases = match (job.base, &finder) {
        (None, _) | (_, Finder::Everything { .. }) => vec![None; tables.len()],
        (Some(base), _) => tables.iter().map(|table| base.of(table)).collect(),
    };
    let large = crew.first().map(|(_, share)| share.large.clone()).unwrap_or_default();
    job.progress.expected(tables.iter().map(SourceTable::bytes).sum());
    let mut shop = Shop {
        tables,
        version_num: job.cluster.source.version_num,
        finder,
        bases,
        objects,
        latecomers,
        common: Vec::new(),
        next: AtomicUsize::new(0),
        cancel,
        progress: job.progress.clone(),
        told: Vec::new(),
    };
    shop.announce(&job.row.name);
    // What the parent's segments stand for needs no worker.
    let mut found = Vec::new();
    let mut common = Vec::new();
    for table in large.iter() {
        common.extend(shop.tasks(*table, &mut found));
    }
    for (index, batch) in shop.objects.iter().enumerate() {
        match batch.kept {
            Some(segment) => found.push(Found { table: None, segment, digest: batch.digest }),
            None => common.push(Task::Objects(index)),
        }
    }
    shop.common = common;
    let shop = Arc::new(shop);
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
    failure.map_or_else(|| Ok(collect(&shop, found, locks, parent_packs)), Err)
}

/// The ranges that a table is cut into. An empty table has none.
fn ranges(tables: &[SourceTable], table: usize, version_num: u32) -> Vec<Range> {
    let pages = tables[table].table.pages;
    let Some(count) = cut(&tables[table], version_num) else {
        return vec![Range { table, first: 0, count: pages, whole: true, last: true }];
    };
    let range = |first: u32| {
        let last = first.saturating_add(count) >= pages;
        Range { table, first, count, whole: false, last }
    };
    (0..pages).step_by(count as usize).map(range).collect()
}

impl Shop {
    /// Tells which tables are going to be read.
    fn announce(&mut self, database: &str) {
        for table in self.tables.iter() {
            let name = TableName {
                database: database.to_owned(),
                schema: table.table.schema.clone(),
                table: table.table.name.clone(),
            };
            // A table without pages (not all tables have them) is read in one go.
            let told =
                Told { name: Arc::new(name), pages: AtomicU32::new(table.table.pages.max(1)) };
            if !table.is_empty() {
                self.progress.table(&told.name, table.bytes());
            }
            self.told.push(told);
        }
    }

    /// Tells that a range is done with.
    fn moved(&self, range: Range, rows: u64) {
        let bytes = weight(Task::Copy(range), self);
        self.progress.moved(bytes);
        let told = &self.told[range.table];
        self.progress.table_moved(&told.name, rows, bytes);
        let after = |left: u32| if range.whole { 0 } else { left.saturating_sub(range.count) };
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        let before = told.pages.fetch_update(set, get, |left| Some(after(left))).unwrap_or(0);
        if before > 0 && after(before) == 0 {
            self.progress.table_done(&told.name);
        }
    }

    /// The tasks that a table is read by. What is known to be unchanged without a question goes to
    /// `found`.
    fn tasks(&self, table: usize, found: &mut Vec<Found>) -> Vec<Task> {
        let source = &self.tables[table];
        let ranges = ranges(&self.tables, table, self.version_num).into_iter();
        let compared = self.bases[table].is_some();
        match &self.finder {
            Finder::Everything { digests: true } | Finder::VersionDigest
                if source.by_page && source.table.shape.is_some() =>
            {
                ranges.map(Task::Digest).collect()
            }
            Finder::WalSummary(touched) if compared => {
                let touched = touched.get(&table);
                let (changed, same): (Vec<Range>, Vec<Range>) = ranges.partition(|range| {
                    let cut = pages_per_segment(source);
                    touched.is_none_or(|touched| touched.contains(range.first, cut))
                        || self.in_doubt(*range)
                });
                for range in same {
                    self.keep(range, found);
                }
                changed.into_iter().map(Task::Copy).collect()
            }
            Finder::PageLsn { .. } if compared => {
                let segments = ranges.len() as u32;
                let firsts = (0..segments).step_by(LOOK as usize);
                let look = |first_segment: u32| {
                    let segments = LOOK.min(segments - first_segment);
                    Task::Look { table, first_segment, segments }
                };
                firsts.map(look).collect()
            }
            _ => ranges.map(Task::Copy).collect(),
        }
    }

    /// Whether a range can have other rows than the parent's although none of its present pages
    /// changed: where the table has become shorter, rows went with the pages. Where it has become
    /// longer, the parent saw another range.
    fn in_doubt(&self, range: Range) -> bool {
        let Some(base) = &self.bases[range.table] else {
            return true;
        };
        let (then, now) = (base.0.pages, self.tables[range.table].table.pages);
        let end = u64::from(range.first) + u64::from(range.count);
        now < then && range.last || now > then && end > u64::from(then)
    }

    /// Lets the parent's segment stand for the range. It has none where there were no rows.
    fn keep(&self, range: Range, found: &mut Vec<Found>) {
        let parents = self.parents(range);
        self.moved(range, parents.map_or(0, |(segment, _)| segment.rows));
        if let Some((segment, digest)) = parents {
            found.push(Found { table: Some(range.table), segment, digest });
        }
    }

    /// The parent's segment for the range, and its digest.
    fn parents(&self, range: Range) -> Option<(Segment, Option<i64>)> {
        let (_, list) = self.bases[range.table].as_deref()?;
        let at = list.segments.binary_search_by_key(&range.first, |s| s.first_page).ok()?;
        Some((list.segments[at], list.digests.get(at).copied()))
    }

    /// What to do about a range whose digest is known now.
    fn compare(&self, range: Range, rows: u64, digest: i64) -> Compared {
        let known = self.bases[range.table].as_deref().filter(|(_, list)| {
            matches!(self.finder, Finder::VersionDigest)
                && list.digests.len() == list.segments.len()
        });
        let same = known.is_some()
            && match self.parents(range) {
                Some((segment, known)) => segment.rows == rows && known == Some(digest),
                None => rows == 0,
            };
        match (rows, same) {
            (0, _) => Compared::Empty,
            (_, true) => Compared::Same,
            (_, false) => Compared::Changed,
        }
    }
}

enum Compared {
    Empty,
    Same,
    Changed,
}

impl Worker {
    async fn work(&mut self, wire: &mut Wire, share: Share, shop: &Shop) -> Result<Vec<Found>> {
        let stop = shop.cancel.clone();
        // An error leaves the pack open: earlier databases' segments may lie in it, and this one may
        // be read again.
        tokio::select! {
            worked = self.copy_all(wire, share, shop) => worked,
            () = stop.cancelled() => Err(Error::new(Kind::Cancelled, "the backup was stopped")),
        }
    }

    async fn copy_all(&mut self, wire: &mut Wire, share: Share, shop: &Shop) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        let mut own = shop.all_tasks(&share.locked, &mut found);
        let common = || shop.common.get(shop.next.fetch_add(1, Ordering::Relaxed)).copied();
        self.do_tasks(wire, shop, &mut found, || own.pop_front().or_else(common)).await?;
        for round in share.unlocked.chunks(Latecomers::ROUND) {
            let tables: Vec<&SourceTable> = round.iter().map(|at| &shop.tables[*at]).collect();
            shop.latecomers.lock(wire, &tables).await?;
            let mut own = shop.all_tasks(round, &mut found);
            self.do_tasks(wire, shop, &mut found, || own.pop_front()).await?;
        }
        Ok(found)
    }

    /// Does all tasks that `take` hands out, and those that follow from their answers.
    async fn do_tasks(
        &mut self,
        wire: &mut Wire,
        shop: &Shop,
        found: &mut Vec<Found>,
        mut take: impl FnMut() -> Option<Task>,
    ) -> Result<()> {
        let mut asked = VecDeque::new();
        let mut next = VecDeque::new();
        let mut digests = HashMap::new();
        loop {
            while asked.len() < PIPELINE {
                let Some(task) = next.pop_front().or_else(&mut take) else { break };
                wire.send_copy_out(&query(task, shop)).await?;
                asked.push_back(task);
            }
            let Some(task) = asked.pop_front() else {
                return Ok(());
            };
            let reading = |error: Error| match (error.kind(), task) {
                // Its lock does not keep a table's schema from being renamed.
                (Kind::NotFound, Task::Copy(_) | Task::Digest(_) | Task::Look { .. }) => {
                    let what = subject(task, shop);
                    Error::new(Kind::Busy, format!("the schema of {what} was renamed"))
                }
                _ => error.context(format!("reading {}", subject(task, shop))),
            };
            match task {
                Task::Digest(range) => {
                    let text = wire.text_answer().await.map_err(reading)?;
                    let (rows, digest) = version_digest::answer(&text).ok_or_else(|| {
                        reading(Error::new(Kind::Failed, "the server's digest is unreadable"))
                    })?;
                    match shop.compare(range, rows, digest) {
                        Compared::Same => shop.keep(range, found),
                        Compared::Empty => shop.moved(range, 0),
                        Compared::Changed => {
                            digests.insert((range.table, range.first), digest);
                            next.push_back(Task::Copy(range));
                        }
                    }
                }
                Task::Look { table, first_segment, segments } => {
                    let text = wire.text_answer().await.map_err(reading)?;
                    let changed: HashSet<u32> =
                        text.lines().filter_map(|line| line.parse().ok()).collect();
                    let ranges = ranges(&shop.tables, table, shop.version_num);
                    for number in first_segment..first_segment + segments {
                        let range = ranges[number as usize];
                        if changed.contains(&number) || shop.in_doubt(range) {
                            next.push_back(Task::Copy(range));
                        } else {
                            shop.keep(range, found);
                        }
                    }
                }
                Task::Copy(range) => {
                    let segment = self.copy_segment(wire, range.first).await.map_err(reading)?;
                    shop.moved(range, segment.rows);
                    let digest = digests.remove(&(range.table, range.first));
                    if segment.rows > 0 {
                        found.push(Found { table: Some(range.table), segment, digest });
                    }
                }
                Task::Objects(index) => {
                    let batch = &shop.objects[index];
                    let segment = self.copy_segment(wire, batch.first).await.map_err(reading)?;
                    if segment.rows > 0 {
                        found.push(Found { table: None, segment, digest: batch.digest });
                    }
                }
            }
        }
    }

    async fn copy_segment(&mut self, wire: &mut Wire, first_page: u32) -> Result<Segment> {
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
        Ok(Segment { first_page, pack, offset, rows, piece })
    }
}

impl Shop {
    fn all_tasks(&self, tables: &[usize], found: &mut Vec<Found>) -> VecDeque<Task> {
        tables.iter().flat_map(|table| self.tasks(*table, found)).collect()
    }
}

/// The query that a task sends.
fn query(task: Task, shop: &Shop) -> String {
    match task {
        Task::Objects(index) => {
            format!("COPY ({}) TO STDOUT", large_object_rows(&shop.objects[index].oids))
        }
        Task::Copy(range) => copy_query(range, shop),
        Task::Digest(range) => {
            let name = shop.tables[range.table].qualified();
            let rows = match condition(range) {
                Some(condition) => format!("ONLY {name} WHERE {condition}"),
                None => format!("ONLY {name}"),
            };
            format!("COPY ({}) TO STDOUT", version_digest::query(shop.version_num, &rows))
        }
        Task::Look { table, first_segment, segments } => {
            let source = &shop.tables[table];
            let (schema, floor) = match &shop.finder {
                Finder::PageLsn { schema, floor } => (schema.as_str(), floor.as_str()),
                // Nobody else looks.
                _ => ("", ""),
            };
            // A table that is read in one piece is one segment, however long.
            let cut = cut(source, shop.version_num).unwrap_or(source.table.pages.max(1));
            let first = first_segment * cut;
            let pages = (segments.saturating_mul(cut)).min(source.table.pages - first);
            let name = source.qualified();
            let query = page_lsn::changed_segments(schema, &name, first, pages, cut, floor);
            format!("COPY ({query}) TO STDOUT")
        }
    }
}

/// The query whose answer is the rows of a range.
fn copy_query(range: Range, shop: &Shop) -> String {
    let table = &shop.tables[range.table];
    let name = table.qualified();
    let columns: Vec<String> =
        table.table.columns.iter().map(|column| ident(&column.name)).collect();
    let columns = columns.join(", ");
    match (condition(range), &table.condition) {
        (Some(condition), _) => {
            format!("COPY (SELECT {columns} FROM ONLY {name} WHERE {condition}) TO STDOUT")
        }
        (_, Some(condition)) => {
            format!("COPY (SELECT {columns} FROM ONLY {name} {condition}) TO STDOUT")
        }
        // Without a list of columns COPY takes all that are not generated: here, none.
        (_, None) if columns.is_empty() => format!("COPY {name} TO STDOUT"),
        (_, None) => format!("COPY {name} ({columns}) TO STDOUT"),
    }
}

/// What chooses the rows of a range; nothing for all of a table.
fn condition(range: Range) -> Option<String> {
    let Range { first, count, last, .. } = range;
    (!range.whole).then(|| match last {
        true => format!("ctid >= '({first},0)'"),
        false => format!("ctid >= '({first},0)' AND ctid < '({},0)'", first + count),
    })
}

fn subject(task: Task, shop: &Shop) -> String {
    match task {
        Task::Copy(Range { table, whole: true, .. })
        | Task::Digest(Range { table, whole: true, .. })
        | Task::Look { table, .. } => format!("table {}", shop.tables[table].qualified()),
        Task::Copy(Range { table, first, .. }) | Task::Digest(Range { table, first, .. }) => {
            format!("table {} from page {first} on", shop.tables[table].qualified())
        }
        Task::Objects(_) => "large objects".to_owned(),
    }
}

/// How much of the expected bytes a task stands for.
fn weight(task: Task, shop: &Shop) -> u64 {
    match task {
        Task::Copy(range) | Task::Digest(range) => {
            let table = &shop.tables[range.table];
            let pages = u64::from(range.count.min(table.table.pages - range.first));
            match range.whole {
                true => table.bytes(),
                false => table.bytes() * pages / u64::from(table.table.pages.max(1)),
            }
        }
        Task::Look { .. } | Task::Objects(_) => 0,
    }
}

/// Puts each segment to its table.
fn collect(shop: &Shop, mut found: Vec<Found>, locks: Vec<Wire>, parent_packs: u32) -> Copied {
    found.sort_by_key(|found| (found.table.is_none(), found.table, found.segment.first_page));
    let mut found = found.into_iter().peekable();
    let mut tables = Vec::new();
    let mut lists = Vec::new();
    for (index, source) in shop.tables.iter().enumerate() {
        let mut own = Vec::new();
        while let Some(next) = found.next_if(|found| found.table == Some(index)) {
            own.push(next);
        }
        let list = segment_list(pages_per_segment(source), own);
        tables.push(Table { data: totals(&list, parent_packs), ..source.table.clone() });
        lists.push(Some(list).filter(|list| !list.segments.is_empty()));
    }
    let objects = segment_list(0, found.collect());
    let any = !objects.segments.is_empty();
    let large_object_data = any.then(|| totals(&objects, parent_packs));
    if any {
        lists.push(Some(objects));
    }
    Copied { tables, large_object_data, lists, locks }
}

/// The digests are kept where all segments have one.
fn segment_list(pages_per_segment: u32, found: Vec<Found>) -> SegmentList {
    let digests: Option<Vec<i64>> = found.iter().map(|found| found.digest).collect();
    let segments = found.into_iter().map(|found| found.segment).collect();
    SegmentList { pages_per_segment, segments, digests: digests.unwrap_or_default() }
}

/// What a list of segments adds up to.
fn totals(list: &SegmentList, parent_packs: u32) -> TableData {
    let sum = |of: fn(&Segment) -> u64| list.segments.iter().map(of).sum();
    let own = list.segments.iter().filter(|segment| segment.pack >= parent_packs);
    TableData {
        rows: sum(|segment| segment.rows),
        size_bytes: sum(|segment| segment.piece.raw_bytes),
        stored_bytes: sum(|segment| segment.piece.stored_bytes),
        added_bytes: own.map(|segment| segment.piece.stored_bytes).sum(),
        segments: list.segments.len() as u64,
        list: None,
    }
}
