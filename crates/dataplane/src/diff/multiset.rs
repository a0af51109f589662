//! How two heaps of rows differ, in bounded memory.
//!
//! Every row is hashed, and a map counts: up for a row after, down for one before. What comes to
//! zero is removed, so the map holds what differs so far, and not the rows. Both sides are fed in
//! the order of the table's pages, so that a row that stayed where it was is soon cancelled.
//!
//! When the differences themselves are too many, the map is thinned: only hashes that end in a zero
//! bit are kept from then on, then in two, and so on. Hashes are spread evenly, so what is left is a
//! fair sample, in which every kept row is still counted exactly. From nearly two million kept rows
//! the total is known to about a thousandth, and it is told as an estimate. Only the estimate of
//! *both* numbers together is needed: their difference is known, since all rows are counted.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Distinct rows that are held at most: their map takes about 55 MB.
pub(super) const MOST: usize = 1_800_000;

/// The first 96 bits of BLAKE3 of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowHash(pub(super) [u32; 3]);

impl RowHash {
    pub(super) fn of(hash: &blake3::Hash) -> Self {
        let word = |at: usize| {
            hash.as_bytes()[at * 4..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
        };
        RowHash([word(0), word(1), word(2)])
    }

    /// As a number.
    pub(super) fn value(self) -> u128 {
        self.0.iter().fold(0, |sum, word| sum << 32 | u128::from(*word))
    }

    /// Whether it is in the sample that thinning this often leaves.
    fn is_kept(self, thinned: u32) -> bool {
        self.0[2].trailing_zeros() >= thinned
    }
}

impl Hash for RowHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.0[0]) << 32 | u64::from(self.0[1]));
    }
}

/// What is a hash already is not hashed again.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| sum.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Rows that were counted on one side and not on the other.
pub(super) struct Multiset {
    counts: HashMap<RowHash, i64, BuildHasherDefault<Itself>>,
    most: usize,
    thinned: u32,
    /// Rows after less rows before, all of them.
    balance: i64,
}

/// How many rows are on one side only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) added: u64,
    pub(super) removed: u64,
    /// Whether the numbers are no estimates.
    pub(super) exact: bool,
}

impl Multiset {
    /// Holds this many distinct rows at most.
    pub(super) fn new(most: usize) -> Self {
        Multiset { counts: HashMap::default(), most, thinned: 0, balance: 0 }
    }

    /// Counts a row: up one after, down one before.
    pub(super) fn count(&mut self, row: RowHash, by: i64) {
        self.balance += by;
        if !row.is_kept(self.thinned) {
            return;
        }
        let count = self.counts.entry(row).or_insert(0);
        *count += by;
        if *count == 0 {
            self.counts.remove(&row);
        }
        while self.counts.len() > self.most {
            self.thinned += 1;
            let thinned = self.thinned;
            self.counts.retain(|row, _| row.is_kept(thinned));
        }
    }

    pub(super) fn difference(&self) -> Difference {
        let (mut added, mut removed) = (0u64, 0u64);
        for count in self.counts.values() {
            let side = if *count > 0 { &mut added } else { &mut removed };
            *side += count.unsigned_abs();
        }
        if self.thinned == 0 {
            return Difference { added, removed, exact: true };
        }
        let both = (added + removed) << self.thinned.min(32);
        let least = self.balance.unsigned_abs();
        let fewer = both.saturating_sub(least) / 2;
        let more = fewer + least;
        match self.balance >= 0 {
            true => Difference { added: more, removed: fewer, exact: false },
            false => Difference { added: fewer, removed: more, exact: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash(row: u64) -> RowHash {
        RowHash::of(&blake3::hash(&row.to_le_bytes()))
    }

    fn difference(before: &[u64], after: &[u64], most: usize) -> Difference {
        let mut rows = Multiset::new(most);
        before.iter().for_each(|row| rows.count(hash(*row), -1));
        after.iter().for_each(|row| rows.count(hash(*row), 1));
        rows.difference()
    }

    proptest! {
        #[test]
        fn equal_rows_cancel_each_other_as_often_as_they_occur(
            before in proptest::collection::vec(0u64..20, 0..60),
            after in proptest::collection::vec(0u64..20, 0..60),
        ) {
            let occurs = |rows: &[u64], row| rows.iter().filter(|other| **other == row).count() as i64;
            let more = |row| occurs(&after, row) - occurs(&before, row);
            let added: i64 = (0..20).map(|row| more(row).max(0)).sum();
            let removed: i64 = (0..20).map(|row| (-more(row)).max(0)).sum();
            let found = difference(&before, &after, 100);
            prop_assert_eq!((found.added as i64, found.removed as i64), (added, removed));
            prop_assert!(found.exact);
        }
    }

    #[test]
    fn too_many_differences_are_estimated_from_a_sample() {
        let (before, after): (Vec<u64>, Vec<u64>) =
            ((0..100_000).collect(), (40_000..150_000).collect());
        let found = difference(&before, &after, 5_000);
        assert!(!found.exact);
        assert_eq!(found.added as i64 - found.removed as i64, 10_000, "what is counted is exact");
        assert!((36_000..44_000).contains(&found.removed), "{found:?}");
        assert_eq!(difference(&before, &after, 200_000).removed, 40_000);
    }

    #[test]
    fn memory_is_bounded() {
        let mut rows = Multiset::new(1_000);
        (0..100_000).for_each(|row| rows.count(hash(row), 1));
        assert!(rows.counts.len() <= 1_000);
        let found = rows.difference();
        assert_eq!(found, Difference { added: 100_000, removed: 0, exact: false }, "{found:?}");
    }
}
