//! Which rows of a table were added and removed.
//!
//! Segments that hold the same bytes on both sides are not read: those of a chain that did not
//! change, and, where nothing is encrypted, those that were written twice. The rows of all others
//! are compared as they are stored, as lines of text; a row that was updated is one row removed and
//! one added. Where the columns are not the same before and after, rows are compared by the columns
//! that both have.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::StreamExt;
use strongroom_format::contents::{Column, Table, TableData};
use strongroom_format::segment::SegmentList;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::multiset::{Difference, MOST, Multiset, RowHash};
use crate::collection::Backup;
use crate::progress::Progress;
use crate::segments::{Packs, Source};
use crate::{Error, Kind, Result};

/// Segments of one side whose beginnings are requested at the same time.
const AHEAD: usize = 4;
/// Bytes of a row that tell a large object's id.
const HEAD: usize = 16;
/// No table has more columns.
const MOST_COLUMNS: usize = 1664;

/// The segments that are on one side only.
pub(super) struct Different {
    before: Vec<Source>,
    after: Vec<Source>,
    /// Bytes that lie in packs after, and did not before.
    pub(super) new_stored_bytes: u64,
}

impl Different {
    /// Bytes of the store that have to be read.
    pub(super) fn stored_bytes(&self) -> u64 {
        let bytes = |source: &Source| source.segment.piece.stored_bytes;
        self.before.iter().chain(&self.after).map(bytes).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }
}

/// Compares two lists of segments. `alike` says that rows mean the same on both sides.
pub(super) fn different(
    before: (&Packs, SegmentList),
    after: (&Packs, SegmentList),
    alike: bool,
) -> Different {
    let sources = |(packs, list): (&Packs, SegmentList)| -> Vec<Source> {
        list.segments.into_iter().map(|segment| packs.source(segment)).collect()
    };
    let (mut before, mut after) = (sources(before), sources(after));
    let places: HashSet<(&str, u64)> = before.iter().map(Source::place).collect();
    let new = after.iter().filter(|source| !places.contains(&source.place()));
    let new_stored_bytes = new.map(|source| source.segment.piece.stored_bytes).sum();
    if alike {
        // Equal bytes, wherever they lie; of a pair, both are left out.
        let piece = |source: &Source| source.segment.piece;
        let mut held: HashMap<_, u64> = HashMap::new();
        for source in &before {
            *held.entry(piece(source).checksum).or_default() += 1;
        }
        let mut shared: HashMap<_, u64> = HashMap::new();
        after.retain(|source| match held.get_mut(&piece(source).checksum) {
            Some(left @ 1..) => {
                *left -= 1;
                *shared.entry(piece(source).checksum).or_default() += 1;
                false
            }
            _ => true,
        });
        before.retain(|source| match shared.get_mut(&piece(source).checksum) {
            Some(left @ 1..) => {
                *left -= 1;
                false
            }
            _ => true,
        });
    }
    Different { before, after, new_stored_bytes }
}

/// Where the values of the compared columns stand in a row; `None`: the whole row is compared.
pub(super) type Columns = Option<Vec<usize>>;

/// How rows before and after are compared.
pub(super) struct Compared {
    pub(super) before: Columns,
    pub(super) after: Columns,
}

impl Compared {
    /// The columns that both have, by name.
    pub(super) fn by(before: &Table, after: &Table) -> Self {
        let names = |table: &Table| -> Vec<String> {
            table.columns.iter().map(|column| column.name.clone()).collect()
        };
        if names(before) == names(after) {
            return Compared { before: None, after: None };
        }
        let place = |columns: &[Column], name: &str| columns.iter().position(|c| c.name == name);
        let both = before.columns.iter().enumerate();
        let (before, after) = both
            .filter_map(|(at, column)| Some((at, place(&after.columns, &column.name)?)))
            .unzip();
        Compared { before: Some(before), after: Some(after) }
    }

    /// Whether equal lines are equal rows.
    pub(super) fn is_whole(&self) -> bool {
        self.before.is_none()
    }
}

/// Counts the rows that are on one side only.
pub(super) async fn count(
    different: Different,
    compared: Compared,
    progress: &Progress,
) -> Result<Difference> {
    let rows = |sources: &[Source]| sources.iter().map(|source| source.segment.rows).sum();
    // One side alone needs no reading.
    if different.before.is_empty() || different.after.is_empty() {
        let (added, removed) = (rows(&different.after), rows(&different.before));
        progress.moved(different.stored_bytes());
        return Ok(Difference { added, removed, exact: true });
    }
    let mut all = Multiset::new(MOST);
    each_row(different, compared, progress, |row, by| all.count(row.hash, by)).await?;
    Ok(all.difference())
}

/// The large objects whose bytes differ, among those that are on both sides.
pub(super) async fn changed_objects(
    before: (&Backup, Option<&TableData>),
    after: (&Backup, Option<&TableData>),
    progress: &Progress,
) -> Result<(HashSet<u32>, u64)> {
    let mut lists = Vec::new();
    for (backup, data) in [before, after] {
        let list = match data {
            Some(data) => backup.segment_lists(&[data]).await?.pop(),
            None => None,
        };
        lists.push((Packs::of(backup), list.unwrap_or_default()));
    }
    let [before, after] = <[_; 2]>::try_from(lists)
        .map_err(|_| Error::new(Kind::Failed, "the lists of large objects were lost"))?;
    let different = different((&before.0, before.1), (&after.0, after.1), true);
    let new_stored_bytes = different.new_stored_bytes;
    progress.expected(different.stored_bytes());
    // Of each object the sum over its rows, which does not depend on their order.
    let mut sums: BTreeMap<u32, u128> = BTreeMap::new();
    let compared = Compared { before: None, after: None };
    let mut unknown = false;
    each_row(different, compared, progress, |row, by| {
        let id = row.head.split(|byte| *byte == b'\t').next().unwrap_or_default();
        let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
        unknown |= id.is_none();
        let sum = sums.entry(id.unwrap_or_default()).or_default();
        let value = row.hash.value();
        *sum = if by > 0 { sum.wrapping_add(value) } else { sum.wrapping_sub(value) };
    })
    .await?;
    if unknown {
        return Err(Error::new(Kind::Damaged, "a row of the large objects names no object")
            .hint("verify both backups with strongroom verify"));
    }
    let changed = sums.into_iter().filter(|(_, sum)| *sum != 0).map(|(id, _)| id).collect();
    Ok((changed, new_stored_bytes))
}

/// A row, as much of it as is looked at.
struct LookedAt {
    hash: RowHash,
    /// Its first bytes.
    head: [u8; HEAD],
}

/// Rows of one side, and how far it is in the table: the segment's first page and the row in it.
struct Batch {
    at: (u32, u64),
    rows: Vec<LookedAt>,
}

/// Gives every row of both sides to `each`, with 1 for one after and -1 for one before. The side
/// that lags behind in the table goes first, so that equal rows come close together.
async fn each_row(
    different: Different,
    compared: Compared,
    progress: &Progress,
    mut each: impl FnMut(&LookedAt, i64),
) -> Result<()> {
    let mut sides = [
        Side::start(different.before, compared.before, progress, -1),
        Side::start(different.after, compared.after, progress, 1),
    ];
    for side in &mut sides {
        side.advance().await?;
    }
    loop {
        let [before, after] = &mut sides;
        let behind = match (&before.next, &after.next) {
            (None, None) => return Ok(()),
            (Some(one), Some(other)) if one.at <= other.at => before,
            (Some(_), None) => before,
            (_, Some(_)) => after,
        };
        if let Some(batch) = behind.next.take() {
            batch.rows.iter().for_each(|row| each(row, behind.by));
        }
        behind.advance().await?;
    }
}

/// One side, which is read and hashed by a task of its own.
struct Side {
    batches: mpsc::Receiver<Result<Batch>>,
    next: Option<Batch>,
    by: i64,
    /// Dropped with the side, which ends it.
    _task: JoinSet<()>,
}

impl Side {
    fn start(sources: Vec<Source>, columns: Columns, progress: &Progress, by: i64) -> Self {
        let (sender, batches) = mpsc::channel(4);
        let progress = progress.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            if let Err(error) = read(sources, columns, &progress, &sender).await {
                // Nobody listens any more where the other side has failed.
                let _ = sender.send(Err(error)).await;
            }
        });
        Side { batches, next: None, by, _task: task }
    }

    async fn advance(&mut self) -> Result<()> {
        self.next = self.batches.recv().await.transpose()?;
        Ok(())
    }
}

async fn read(
    sources: Vec<Source>,
    columns: Columns,
    progress: &Progress,
    sender: &mpsc::Sender<Result<Batch>>,
) -> Result<()> {
    let mut hasher = RowHasher::new(columns);
    let mut readers = futures::stream::iter(sources).map(Source::open).buffered(AHEAD);
    while let Some(reader) = readers.next().await {
        let mut reader = reader?;
        let page = reader.segment().first_page;
        let stored = reader.segment().piece.stored_bytes;
        let mut row = 0;
        while let Some(run) = reader.next_run().await? {
            let mut rows = Vec::new();
            hasher.push(run, &mut rows);
            let at = (page, row);
            row += rows.len() as u64;
            if !rows.is_empty() && sender.send(Ok(Batch { at, rows })).await.is_err() {
                return Ok(());
            }
        }
        if !hasher.is_between_rows() {
            return Err(reader.unusable("its last row has no end"));
        }
        progress.moved(stored);
    }
    Ok(())
}

/// Hashes rows as their bytes arrive, however they are cut.
struct RowHasher {
    columns: Columns,
    /// The row, or the value of it, that has begun and not ended.
    open: blake3::Hasher,
    is_open: bool,
    head: [u8; HEAD],
    head_length: usize,
    /// The values of the row that have ended, where not all are compared.
    values: Vec<[u8; 32]>,
}

impl RowHasher {
    fn new(columns: Columns) -> Self {
        RowHasher {
            columns,
            open: blake3::Hasher::new(),
            is_open: false,
            head: [0; HEAD],
            head_length: 0,
            values: Vec::new(),
        }
    }

    fn is_between_rows(&self) -> bool {
        !self.is_open && self.values.is_empty()
    }

    fn push(&mut self, run: &[u8], rows: &mut Vec<LookedAt>) {
        match self.columns.take() {
            None => self.whole_rows(run, rows),
            Some(columns) => {
                self.values_of_rows(run, &columns, rows);
                self.columns = Some(columns);
            }
        }
    }

    fn whole_rows(&mut self, run: &[u8], rows: &mut Vec<LookedAt>) {
        let mut rest = run;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let hash = self.ended(&rest[..=end]);
            rows.push(LookedAt { hash: RowHash::of(&hash), head: self.head });
            (self.head, self.head_length) = ([0; HEAD], 0);
            rest = &rest[end + 1..];
        }
        self.begun(rest);
    }

    fn values_of_rows(&mut self, run: &[u8], columns: &[usize], rows: &mut Vec<LookedAt>) {
        let mut rest = run;
        // A backslash is never followed by a raw tab or line feed in what COPY writes.
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\t' | b'\n')) {
            let hash = self.ended(&rest[..end]);
            if self.values.len() < MOST_COLUMNS {
                self.values.push(*hash.as_bytes());
            }
            if rest[end] == b'\n' {
                let mut row = blake3::Hasher::new();
                for column in columns {
                    row.update(self.values.get(*column).map_or(&[][..], |value| &value[..]));
                }
                rows.push(LookedAt { hash: RowHash::of(&row.finalize()), head: [0; HEAD] });
                self.values.clear();
            }
            rest = &rest[end + 1..];
        }
        self.begun(rest);
    }

    /// The hash of what has begun and ends with these bytes.
    fn ended(&mut self, bytes: &[u8]) -> blake3::Hash {
        self.look_at(bytes);
        if !std::mem::take(&mut self.is_open) {
            return blake3::hash(bytes);
        }
        let hash = self.open.update(bytes).finalize();
        self.open.reset();
        hash
    }

    fn begun(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.look_at(bytes);
            self.open.update(bytes);
            self.is_open = true;
        }
    }

    fn look_at(&mut self, bytes: &[u8]) {
        let room = (HEAD - self.head_length).min(bytes.len());
        self.head[self.head_length..][..room].copy_from_slice(&bytes[..room]);
        self.head_length += room;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(text: &[u8], columns: Columns, step: usize) -> Vec<RowHash> {
        let mut hasher = RowHasher::new(columns);
        let mut rows = Vec::new();
        text.chunks(step).for_each(|run| hasher.push(run, &mut rows));
        assert!(hasher.is_between_rows());
        rows.iter().map(|row| row.hash).collect()
    }

    #[test]
    fn rows_are_hashed_the_same_however_they_are_cut() {
        let text = b"1\tone\t\\N\n\t\t\n22\ttwo\tx\n";
        for columns in [None, Some(vec![2, 0]), Some(vec![])] {
            let whole = hashes(text, columns.clone(), text.len());
            assert_eq!(whole.len(), 3);
            for step in 1..text.len() {
                assert_eq!(hashes(text, columns.clone(), step), whole, "{step} {columns:?}");
            }
        }
    }

    #[test]
    fn rows_are_compared_by_the_columns_named() {
        let before = hashes(b"1\ta\n2\tb\n", Some(vec![0]), 99);
        let after = hashes(b"x\t1\nz\t2\n", Some(vec![1]), 99);
        assert_eq!(before, after);
        assert_ne!(before[0], before[1]);
        let moved = hashes(b"ab\tc\na\tbc\n", Some(vec![0, 1]), 99);
        assert_ne!(moved[0], moved[1], "where a value ends counts");
    }
}
