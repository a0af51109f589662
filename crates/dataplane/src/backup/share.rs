//! Who reads which table: the cut of a table into page ranges, and the division among workers.
//!
//! A large table is read by all workers, range by range; a small one by one worker. The division is
//! made twice: before the snapshot, to know what to lock, and after it, from the locks that were
//! really got. See [`super::read_point`].

use std::collections::HashSet;
use std::sync::Arc;

use crate::failpoint;
use crate::postgres::catalog::SourceTable;

/// Heap and out-of-line bytes that a segment should stand for.
const SEGMENT_BYTES: u64 = 2 * 1024 * 1024;
/// A table is never cut into more segments than this, so that its list stays small.
const MOST_SEGMENTS: u32 = 1 << 18;
/// Servers from here on find rows by page range without reading the whole table.
///
/// What PostgreSQL 13 offers instead was measured (80 MB, 40 ranges, server time): a condition on
/// `ctid` reads the whole table for each range; lists of all 291 places per page take 3.0 times as
/// long as reading the table once; reading it once with `ctid` in each row, to be cut here, 1.17
/// times. There, a table is one segment, read by one worker, and an incremental copies it whole or
/// not at all.
const TID_RANGE_SCANS: u32 = 140000;

/// The tables that one worker reads, as indices.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    /// Its own, locked since before the snapshot.
    pub(super) locked: Vec<usize>,
    /// Everybody's, locked by everybody since before the snapshot.
    pub(super) large: Arc<Vec<usize>>,
    /// Its own, to be locked when it is their turn.
    pub(super) unlocked: Vec<usize>,
}

/// Divides tables (largest first) among workers, to lock them. Empty tables are in nobody's share
/// unless they are suspects; nor are those for which the server has no room for locks.
pub(super) fn divide(
    tables: &[SourceTable],
    workers: usize,
    version_num: u32,
    suspects: &HashSet<u32>,
    mut room: usize,
) -> Vec<Share> {
    let mut large = Vec::new();
    let mut piles = Piles::new(workers);
    for (index, table) in tables.iter().enumerate() {
        if table.is_empty() && !suspects.contains(&table.table.oid) {
            continue;
        }
        if is_large(table, version_num) && room >= workers {
            room -= workers;
            large.push(index);
        } else if room > 0 {
            room -= 1;
            piles.smallest(table).push(index);
        }
    }
    let large = Arc::new(large);
    let share = |locked| Share { locked, large: large.clone(), unlocked: Vec::new() };
    piles.0.into_iter().map(|(_, locked)| share(locked)).collect()
}

/// Divides tables (largest first) among workers that hold locks on `held`, one set per worker.
pub(super) fn assign(
    tables: &[SourceTable],
    held: &[HashSet<u32>],
    version_num: u32,
) -> Vec<Share> {
    let mut large = Vec::new();
    let mut shares = vec![Share::default(); held.len()];
    let mut piles = Piles::new(held.len());
    for (index, table) in tables.iter().enumerate() {
        if table.is_empty() {
            continue;
        }
        let holds = |oids: &HashSet<u32>| oids.contains(&table.table.oid);
        if is_large(table, version_num) && held.iter().all(holds) {
            large.push(index);
        } else if let Some(worker) = held.iter().position(holds) {
            piles.0[worker].0 += weight(table);
            shares[worker].locked.push(index);
        } else {
            piles.smallest(table).push(index);
        }
    }
    let large = Arc::new(large);
    for (share, (_, unlocked)) in shares.iter_mut().zip(piles.0) {
        share.large = large.clone();
        share.unlocked = unlocked;
    }
    shares
}

/// Bytes and tables of each worker.
struct Piles(Vec<(u64, Vec<usize>)>);

impl Piles {
    fn new(workers: usize) -> Self {
        Piles(vec![(0, Vec::new()); workers.max(1)])
    }

    /// The pile with the fewest bytes, after the table's were added to it.
    fn smallest(&mut self, table: &SourceTable) -> &mut Vec<usize> {
        let least = (0..self.0.len()).min_by_key(|at| self.0[*at].0).unwrap_or(0);
        let (bytes, pile) = &mut self.0[least];
        *bytes += weight(table);
        pile
    }
}

/// A query costs something even where the table is tiny.
fn weight(table: &SourceTable) -> u64 {
    table.bytes() + 8192
}

/// Whether the table is worth being read by several workers, and can be.
fn is_large(table: &SourceTable, version_num: u32) -> bool {
    cut(table, version_num).is_some()
}

/// The pages per segment of a table that is read in ranges.
pub(super) fn cut(table: &SourceTable, version_num: u32) -> Option<u32> {
    let per_segment = pages_per_segment(table);
    let in_ranges = table.by_page && version_num >= TID_RANGE_SCANS;
    (in_ranges && table.table.pages > per_segment).then_some(per_segment)
}

/// Pages per segment of a table: fewer where much lies out of line, more where there are too many.
/// The same along a chain.
pub(super) fn pages_per_segment(table: &SourceTable) -> u32 {
    if let Some(cut) = table.chain_cut {
        return cut;
    }
    let pages = u64::from(table.table.pages.max(1));
    let per_page = (table.bytes() / pages).max(1);
    let segment_bytes = failpoint::number("backup.segment-bytes").unwrap_or(SEGMENT_BYTES);
    let wanted = (segment_bytes / per_page).max(1);
    let least = pages.div_ceil(u64::from(MOST_SEGMENTS));
    u32::try_from(wanted.max(least)).unwrap_or(u32::MAX)
}
