//! Segments: the rows of one table that live in one fixed range of heap pages.
//!
//! A segment is one [piece](crate::piece) inside a pack; raw, it is the text form of `COPY`, a row
//! a line. The `SEGMENTS` object holds one piece per table: its [`SegmentList`] as JSON. Lists lie
//! apart from the contents, so that opening a backup does not read them, and restoring one table
//! reads one.

use serde::{Deserialize, Serialize};

use crate::piece::PieceInfo;
use crate::{Checksum, FormatError};

/// Where one segment lies, and what it holds. Stored as an array, in the fields' order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Segment {
    /// The first heap page of the range, which is as long as its list says; for large objects, the
    /// first object's id. Ranges without rows have no segment.
    pub first_page: u32,
    /// The pack, as an index into [`crate::contents::Contents::packs`].
    pub pack: u32,
    /// Where in the pack the piece begins.
    pub offset: u64,
    /// Rows in the segment.
    pub rows: u64,
    /// Lengths and checksum of the piece.
    pub piece: PieceInfo,
}

#[derive(Serialize, Deserialize)]
struct Stored(u32, u32, u64, u64, u64, u64, Checksum);

impl From<Stored> for Segment {
    fn from(
        Stored(first_page, pack, offset, rows, raw_bytes, stored_bytes, checksum): Stored,
    ) -> Self {
        let piece = PieceInfo { raw_bytes, stored_bytes, checksum };
        Segment { first_page, pack, offset, rows, piece }
    }
}

impl From<Segment> for Stored {
    fn from(s: Segment) -> Stored {
        let PieceInfo { raw_bytes, stored_bytes, checksum } = s.piece;
        Stored(s.first_page, s.pack, s.offset, s.rows, raw_bytes, stored_bytes, checksum)
    }
}

/// All segments of one table, in page order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentList {
    /// Heap pages per segment, from page 0 on; the same along a chain. A table that was read in one
    /// piece has one segment of this many pages or fewer.
    pub pages_per_segment: u32,
    /// The segments.
    pub segments: Vec<Segment>,
    /// For each segment a digest of the identities of its row versions, where they were taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<i64>,
}

impl SegmentList {
    /// The JSON that is stored, as a piece.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the JSON.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        serde_json::from_slice(bytes).map_err(|error| FormatError::NotA {
            expected: "segment list",
            reason: error.to_string(),
        })
    }
}

/// The place that an encrypted segment is bound to.
pub fn place(pack: &str, offset: u64) -> String {
    format!("{pack}@{offset}")
}
