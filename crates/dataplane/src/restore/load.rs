//! Loading rows: segments from the store into staged tables, by parallel workers.
//!
//! A worker takes a run of neighbouring segments of one table, reads it with one ranged request
//! while the run before is still being loaded, and passes the rows on into an open `COPY`. It stays
//! with its table as long as that has segments; several workers join at one table when there are
//! fewer tables than workers. Everything is checked on the way: each piece's length and checksum,
//! and the rows that the server says it took against the rows that were written.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use strongroom_format::contents::{Column, TableData};
use strongroom_format::key::DataKey;
use strongroom_format::piece::PieceReader;
use strongroom_format::segment::{Segment, SegmentList, place};
use tokio::task::{JoinHandle, JoinSet};

use crate::collection::Backup;
use crate::names::TableName;
use crate::postgres::server::Server;
use crate::postgres::sql::ident;
use crate::postgres::wire::Wire;
use crate::progress::Progress;
use crate::store::Store;
use crate::{CancellationToken, Error, Kind, Result, failpoint};

/// Bytes of the store that one request reads.
const REQUEST: u64 = 4 * 1024 * 1024;

/// A table to load.
#[derive(Clone, Debug)]
pub(super) struct LoadTable {
    /// What it is called in the backup.
    pub(super) name: Arc<TableName>,
    /// Its quoted name in the target.
    pub(super) target: String,
    /// Its stored columns.
    pub(super) columns: Vec<Column>,
    /// Its rows.
    pub(super) data: TableData,
}

/// Where to load, and by whom.
pub(super) struct Loading<'a> {
    pub(super) backup: &'a Backup,
    pub(super) server: &'a Server,
    pub(super) database: &'a str,
    /// What the rows are encoded in.
    pub(super) encoding: &'a str,
    pub(super) application: String,
    pub(super) workers: usize,
    pub(super) progress: &'a Progress,
    pub(super) cancel: &'a CancellationToken,
}

/// A table and how far it is.
struct Progressing {
    table: LoadTable,
    list: SegmentList,
    next: usize,
    left: u64,
    /// Workers at it.
    active: u64,
    /// Segments that the server has not yet been sent.
    unsent: usize,
}

/// What the workers share.
struct Shop {
    store: Store,
    key: Option<DataKey>,
    packs: Vec<String>,
    tables: Mutex<Vec<Progressing>>,
    progress: Progress,
}

/// Neighbouring segments of one table, and the request that reads them.
struct Batch {
    table: usize,
    segments: Vec<Segment>,
    bytes: JoinHandle<Result<Bytes>>,
}

impl Loading<'_> {
    /// Loads all rows of these tables.
    pub(super) async fn run(self, tables: Vec<LoadTable>) -> Result<()> {
        let tables: Vec<LoadTable> = tables.into_iter().filter(|t| t.data.list.is_some()).collect();
        self.progress.expected(tables.iter().map(|table| table.data.size_bytes).sum());
        let data: Vec<&TableData> = tables.iter().map(|table| &table.data).collect();
        let lists = self.backup.segment_lists(&data).await?;
        let tables: Vec<Progressing> = tables
            .into_iter()
            .zip(lists)
            .map(|(table, list)| Progressing {
                left: table.data.size_bytes,
                unsent: list.segments.len(),
                table,
                list,
                next: 0,
                active: 0,
            })
            .collect();
        for open in tables.iter().filter(|open| open.unsent > 0) {
            self.progress.table(&open.table.name, open.table.data.size_bytes);
        }
        let workers = self.workers.min(tables.iter().map(|t| t.list.segments.len()).sum());
        let shop = Arc::new(Shop {
            store: self.backup.store.clone(),
            key: self.backup.key.clone(),
            packs: self.backup.contents.packs.iter().map(|pack| pack.path.clone()).collect(),
            tables: Mutex::new(tables),
            progress: self.progress.clone(),
        });
        let mut running = JoinSet::new();
        for _ in 0..workers {
            let wire =
                Wire::connect(self.server, self.database, self.encoding, &self.application).await?;
            let (shop, cancel) = (shop.clone(), self.cancel.clone());
            running.spawn(async move {
                tokio::select! {
                    loaded = work(wire, &shop) => loaded,
                    () = cancel.cancelled() => Err(Error::new(Kind::Cancelled, "the restore was stopped")),
                }
            });
        }
        while let Some(ended) = running.join_next().await {
            // The first failure drops the set, and with it the other workers' connections.
            ended.map_err(|error| {
                Error::new(Kind::Failed, format!("a worker ended unexpectedly: {error}"))
            })??;
        }
        Ok(())
    }
}

/// An open `COPY` into a table.
struct OpenCopy {
    table: usize,
    rows: u64,
    shown: String,
}

async fn work(mut wire: Wire, shop: &Shop) -> Result<()> {
    let mut open: Option<OpenCopy> = None;
    let mut next = shop.take(None);
    while let Some(batch) = next {
        next = shop.take(Some(batch.table));
        if open.as_ref().is_none_or(|copy| copy.table != batch.table) {
            if let Some(copy) = open.take() {
                close(&mut wire, copy).await?;
            }
            let (shown, sql) = shop.copy_statement(batch.table);
            wire.copy_in(&sql).await.map_err(|error| error.context(format!("loading {shown}")))?;
            open = Some(OpenCopy { table: batch.table, rows: 0, shown });
        }
        let Some(copy) = &mut open else { continue };
        let bytes = batch.bytes.await.map_err(|error| {
            Error::new(Kind::Failed, format!("a read ended unexpectedly: {error}"))
        })??;
        let mut at = 0;
        for segment in &batch.segments {
            let end = at + segment.piece.stored_bytes as usize;
            let fed = feed(&mut wire, shop, segment, &bytes[at..end]).await;
            fed.map_err(|error| error.context(format!("loading {}", copy.shown)))?;
            copy.rows += segment.rows;
            at = end;
            shop.sent(batch.table, segment);
        }
        failpoint::pass("restore.during-load")?;
    }
    match open {
        Some(copy) => close(&mut wire, copy).await,
        None => Ok(()),
    }
}

/// Passes one segment's rows on to the server.
async fn feed(wire: &mut Wire, shop: &Shop, segment: &Segment, stored: &[u8]) -> Result<()> {
    let path = &shop.packs[segment.pack as usize];
    let unusable = |error| Error::stored(path, error);
    let place = place(path, segment.offset);
    let mut reader =
        PieceReader::new(segment.piece, &place, shop.key.as_ref()).map_err(unusable)?;
    let mut run = Vec::new();
    for part in stored.chunks(256 * 1024) {
        reader.push(part).map_err(unusable)?;
        while reader.next_run(&mut run).map_err(unusable)? {
            wire.copy_in_data(&run).await?;
            shop.progress.moved(run.len() as u64);
            run.clear();
        }
    }
    reader.finish().map_err(unusable)
}

async fn close(wire: &mut Wire, copy: OpenCopy) -> Result<()> {
    let rows =
        wire.copy_in_end().await.map_err(|e| e.context(format!("loading {}", copy.shown)))?;
    if rows == copy.rows {
        return Ok(());
    }
    let OpenCopy { rows: expected, shown, .. } = copy;
    let message = format!("{shown}: the server took {rows} rows, and the backup holds {expected}");
    Err(Error::new(Kind::Damaged, message).hint("verify the backup with strongroom verify"))
}

impl Shop {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Progressing>> {
        self.tables.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The next batch: of the worker's table if that has one, else of the table with most to do
    /// per worker.
    fn take(&self, current: Option<usize>) -> Option<Batch> {
        let mut tables = self.lock();
        let open = |table: &Progressing| table.next < table.list.segments.len();
        let table = match current {
            Some(index) if open(&tables[index]) => index,
            _ => {
                if let Some(index) = current {
                    tables[index].active = tables[index].active.saturating_sub(1);
                }
                let candidates = tables.iter().enumerate().filter(|(_, table)| open(table));
                let (index, _) =
                    candidates.max_by_key(|(_, table)| table.left / (table.active + 1))?;
                tables[index].active += 1;
                index
            }
        };
        let chosen = &mut tables[table];
        let rest = &chosen.list.segments[chosen.next..];
        let first = rest[0];
        let mut end = first.offset + first.piece.stored_bytes;
        let mut count = 1;
        for segment in &rest[1..] {
            let follows = segment.pack == first.pack && segment.offset == end;
            if !follows || end + segment.piece.stored_bytes - first.offset > REQUEST {
                break;
            }
            end += segment.piece.stored_bytes;
            count += 1;
        }
        let segments = rest[..count].to_vec();
        let raw: u64 = segments.iter().map(|segment| segment.piece.raw_bytes).sum();
        chosen.next += count;
        chosen.left = chosen.left.saturating_sub(raw);
        let (store, path) = (self.store.clone(), self.packs[first.pack as usize].clone());
        let range = first.offset..end;
        let bytes = tokio::spawn(async move { store.get_range(&path, range).await });
        Some(Batch { table, segments, bytes })
    }

    /// Tells that a segment was sent.
    fn sent(&self, table: usize, segment: &Segment) {
        let (name, done) = {
            let mut tables = self.lock();
            let open = &mut tables[table];
            open.unsent = open.unsent.saturating_sub(1);
            (open.table.name.clone(), open.unsent == 0)
        };
        self.progress.table_moved(&name, segment.rows, segment.piece.raw_bytes);
        if done {
            self.progress.table_done(&name);
        }
    }

    fn copy_statement(&self, table: usize) -> (String, String) {
        let tables = self.lock();
        let table = &tables[table].table;
        let columns: Vec<String> = table.columns.iter().map(|column| ident(&column.name)).collect();
        let list =
            if columns.is_empty() { String::new() } else { format!("({})", columns.join(", ")) };
        (format!("table {}", table.name), format!("COPY {} {list} FROM STDIN", table.target))
    }
}
