//! Choosing a detector for one database at its read point, and what it takes to ask it.

use std::collections::HashMap;

use strongroom_format::contents::ReadPoint;

use super::wal_summary::{self, File, Touched};
use super::{Detector, Means};
use crate::backup::parent::Base;
use crate::postgres::catalog::SourceTable;
use crate::postgres::connect::Client;
use crate::{Error, Kind, Result, failpoint};

/// How the changes of one database are found.
pub(in crate::backup) enum Finder {
    /// Not at all: everything is copied. Digests are taken for a later incremental where set.
    Everything { digests: bool },
    /// By what the summaries say, for each table (by index) that can be compared.
    WalSummary(HashMap<usize, Touched>),
    /// By page headers.
    PageLsn {
        /// The schema of `pageinspect`.
        schema: String,
        /// Pages that were changed at or after this position count.
        floor: String,
    },
    /// By digests.
    VersionDigest,
}

/// What choosing needs to know.
pub(in crate::backup) struct Question<'a> {
    pub(in crate::backup) present: &'a Client,
    pub(in crate::backup) means: &'a Means,
    /// The detector that was asked for.
    pub(in crate::backup) wanted: Option<Detector>,
    /// The parent's state, for an incremental.
    pub(in crate::backup) base: Option<&'a Base>,
    /// Whether incrementals are going to be built on this backup.
    pub(in crate::backup) in_chain: bool,
    pub(in crate::backup) timeline: u32,
    pub(in crate::backup) now: &'a ReadPoint,
    pub(in crate::backup) tables: &'a [SourceTable],
}

impl Question<'_> {
    /// The finder, the detector's name, and what a person should know about the choice.
    pub(in crate::backup) async fn answer(
        &self,
    ) -> Result<(Finder, Option<Detector>, Option<String>)> {
        if let Some(wanted) = self.wanted {
            self.means.allow(wanted).map_err(|reason| unavailable(wanted, &reason))?;
        }
        let Some(base) = self.base else {
            let planned = self.wanted.or_else(|| self.in_chain.then(|| self.means.best()));
            let digests = planned == Some(Detector::VersionDigest);
            return Ok((Finder::Everything { digests }, planned, None));
        };
        let mut note = None;
        for detector in Detector::ALL {
            if self.wanted.is_some_and(|wanted| wanted != detector)
                || self.means.allow(detector).is_err()
            {
                continue;
            }
            match self.try_detector(detector, base).await? {
                Ok(finder) => return Ok((finder, Some(detector), note)),
                Err(reason) => {
                    note = Some(format!("changes are not found by {detector}: {reason}"))
                }
            }
        }
        // What is in the way now is so for this parent: the next incremental finds its changes again.
        if let (Some(wanted), Some(reason)) = (self.wanted, &note) {
            let note = format!("everything is copied: {reason}");
            return Ok((Finder::Everything { digests: false }, Some(wanted), Some(note)));
        }
        Ok((Finder::VersionDigest, Some(Detector::VersionDigest), note))
    }

    async fn try_detector(
        &self,
        detector: Detector,
        base: &Base,
    ) -> Result<std::result::Result<Finder, String>> {
        if detector == Detector::VersionDigest {
            return Ok(Ok(Finder::VersionDigest));
        }
        let floor = match &base.database.read_point.floor {
            // What a test does to see that it would notice.
            _ if failpoint::wants("incremental.naive-floor") => {
                base.database.read_point.lsn.clone()
            }
            floor => floor.as_ref().map(|sample| sample.lsn.clone()),
        };
        let Some(floor) = floor else {
            return Ok(Err(
                "a transaction that was open when the parent backup was taken is older \
                           than every known position of the write-ahead log"
                    .to_owned(),
            ));
        };
        if self.database_is_newer(base).await? {
            return Ok(Err(
                "the database was made, renamed or altered since the parent backup".to_owned()
            ));
        }
        if detector == Detector::PageLsn {
            let schema = self.means.page_lsn.clone().unwrap_or_default();
            return Ok(Ok(Finder::PageLsn { schema, floor }));
        }
        let Some(to) = &self.now.lsn else {
            return Ok(Err("the server told no log position".to_owned()));
        };
        let compared: Vec<(usize, File)> = self
            .tables
            .iter()
            .enumerate()
            .filter_map(|(at, table)| {
                let file = File {
                    tablespace: table.tablespace,
                    relfilenode: table.table.relfilenode,
                    per_segment: table.chain_cut?,
                };
                Some((at, file))
            })
            .collect();
        let (indices, files): (Vec<usize>, Vec<File>) = compared.into_iter().unzip();
        let touched = wal_summary::touched(self.present, self.timeline, &floor, to, &files).await?;
        Ok(touched.map(|touched| Finder::WalSummary(indices.into_iter().zip(touched).collect())))
    }
}

impl Question<'_> {
    /// Whether the database's own row in the catalog was written since the parent's floor. A database
    /// that was dropped and made again, with the same object id, from a template has the template's
    /// files, with positions from long ago.
    async fn database_is_newer(&self, base: &Base) -> Result<bool> {
        let Some(floor) = &base.database.read_point.floor else {
            return Ok(false);
        };
        // Both ages are counted from the same next transaction id. An id from so long ago that its age
        // is negative was frozen.
        let sql = format!(
            "SELECT age(xmin) BETWEEN 0 AND age('{}'::xid) FROM pg_database \
             WHERE datname = current_database()",
            floor.xid as u32
        );
        Ok(self.present.scalar(&sql).await?.as_deref() == Some("t"))
    }
}

fn unavailable(detector: Detector, reason: &str) -> Error {
    Error::new(Kind::Unsupported, format!("changes can not be found by {detector}: {reason}"))
        .hint("leave --detector out, to take the best that the server allows")
}
