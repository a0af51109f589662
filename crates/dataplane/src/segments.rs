//! Reading single segments, for who looks at rows without a server.
//!
//! A restore passes rows on into a server, which can undo them; here they are looked at as they
//! come. Whoever tells something that it learned from a segment reads it to its end first: only
//! there is the checksum known to be right.

use std::sync::Arc;

use strongroom_format::key::DataKey;
use strongroom_format::piece::PieceReader;
use strongroom_format::segment::{Segment, place};

use crate::collection::Backup;
use crate::error::bail;
use crate::store::Store;
use crate::{Error, Result};

/// Bytes of the store that one request reads. A longer segment is not held in memory.
const REQUEST: u64 = 4 * 1024 * 1024;

/// Where the segments of a backup are read from. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Packs(Arc<Shared>);

struct Shared {
    store: Store,
    key: Option<DataKey>,
    paths: Vec<String>,
}

impl Packs {
    pub(crate) fn of(backup: &Backup) -> Self {
        Packs(Arc::new(Shared {
            store: backup.store.clone(),
            key: backup.key.clone(),
            paths: backup.contents.packs.iter().map(|pack| pack.path.clone()).collect(),
        }))
    }

    /// A segment of this backup.
    pub(crate) fn source(&self, segment: Segment) -> Source {
        Source { packs: self.clone(), segment }
    }
}

/// A segment, and all that it takes to read it.
#[derive(Clone)]
pub(crate) struct Source {
    packs: Packs,
    pub(crate) segment: Segment,
}

impl Source {
    fn path(&self) -> &str {
        &self.packs.0.paths[self.segment.pack as usize]
    }

    /// Where it lies, which no other segment does.
    pub(crate) fn place(&self) -> (&str, u64) {
        (self.path(), self.segment.offset)
    }

    /// Begins to read: the first request is made here.
    pub(crate) async fn open(self) -> Result<SegmentReader> {
        let place = place(self.path(), self.segment.offset);
        let shown = format!("{} (at byte {})", self.path(), self.segment.offset);
        let pieces = PieceReader::new(self.segment.piece, &place, self.packs.0.key.as_ref())
            .map_err(|error| Error::stored(&shown, error))?;
        let mut reader = SegmentReader {
            at: self.segment.offset,
            source: self,
            shown,
            pieces: Some(pieces),
            run: Vec::new(),
            rows: 0,
        };
        reader.request().await?;
        Ok(reader)
    }
}

/// Reads one segment, run by run.
pub(crate) struct SegmentReader {
    source: Source,
    /// What errors call it.
    shown: String,
    /// Absent once the end was checked.
    pieces: Option<PieceReader>,
    /// Where the next request begins.
    at: u64,
    run: Vec<u8>,
    rows: u64,
}

impl SegmentReader {
    /// The segment that is read.
    pub(crate) fn segment(&self) -> &Segment {
        &self.source.segment
    }

    /// An error about this segment's bytes.
    pub(crate) fn unusable(&self, reason: &str) -> Error {
        let message = format!("object {} can not be used: {reason}", self.shown);
        Error::new(crate::Kind::Damaged, message).hint("verify the backup with strongroom verify")
    }

    /// The next raw bytes. `None`: there are no more, and all of them were what was written.
    pub(crate) async fn next_run(&mut self) -> Result<Option<&[u8]>> {
        let end = self.source.segment.offset + self.source.segment.piece.stored_bytes;
        loop {
            let Some(pieces) = &mut self.pieces else {
                return Ok(None);
            };
            self.run.clear();
            let more = pieces.next_run(&mut self.run);
            if more.map_err(|error| Error::stored(&self.shown, error))? {
                self.rows += self.run.iter().filter(|byte| **byte == b'\n').count() as u64;
                return Ok(Some(&self.run));
            }
            if self.at < end {
                self.request().await?;
                continue;
            }
            if let Some(pieces) = self.pieces.take() {
                pieces.finish().map_err(|error| Error::stored(&self.shown, error))?;
            }
            let written = self.source.segment.rows;
            if self.rows != written {
                bail!(
                    Damaged,
                    "object {} holds {} rows, and {written} were written",
                    self.shown,
                    self.rows
                );
            }
        }
    }

    async fn request(&mut self) -> Result<()> {
        let end = self.source.segment.offset + self.source.segment.piece.stored_bytes;
        let next = (self.at + REQUEST).min(end);
        let bytes = self.source.packs.0.store.get_range(self.source.path(), self.at..next).await?;
        self.at = next;
        if let Some(pieces) = &mut self.pieces {
            pieces.push(&bytes).map_err(|error| Error::stored(&self.shown, error))?;
        }
        Ok(())
    }
}
