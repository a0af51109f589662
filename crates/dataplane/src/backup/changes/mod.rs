//! Finding what changed since the parent backup, without anything installed on the server.
//!
//! A table is compared segment by segment: the page ranges that its parent's list was cut at. There
//! are three ways to tell whether the rows that a range shows may have changed, from the cheapest
//! to the one that every server allows:
//!
//! | detector | asks | needs |
//! |---|---|---|
//! | [`wal_summary`] | which blocks the write-ahead log has touched since the floor | PostgreSQL 17, `summarize_wal` |
//! | [`page_lsn`] | the log position that each page was last changed at | a superuser, `pageinspect` |
//! | [`version_digest`] | a digest of the row versions that are visible | nothing |
//!
//! A detector may take an unchanged range for a changed one, never the reverse. What is in doubt
//! does not come to them at all and is copied whole; see [`super::parent`].

pub(super) mod finder;
pub(super) mod page_lsn;
pub(super) mod version_digest;
pub(super) mod wal_summary;

use std::fmt;
use std::str::FromStr;

use crate::postgres::connect::Client;
use crate::{Error, Kind, Result};

/// A way of finding changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detector {
    /// Summaries of the write-ahead log.
    WalSummary,
    /// The position in each page's header.
    PageLsn,
    /// A digest of the visible row versions.
    VersionDigest,
}

impl Detector {
    /// All of them, the cheapest first.
    pub const ALL: [Detector; 3] =
        [Detector::WalSummary, Detector::PageLsn, Detector::VersionDigest];

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Detector::WalSummary => "wal-summary",
            Detector::PageLsn => "page-lsn",
            Detector::VersionDigest => "version-digest",
        }
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Detector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Detector::ALL.into_iter().find(|detector| detector.name() == text).ok_or_else(|| {
            let names = Detector::ALL.map(Detector::name).join(", ");
            Error::new(Kind::Usage, format!("there is no detector \"{text}\""))
                .hint(format!("there are: {names}"))
        })
    }
}

/// By what changes can be found in one database, as far as its server is concerned.
pub(super) struct Means {
    /// Or why not.
    pub(super) wal_summary: std::result::Result<(), String>,
    /// The schema of `pageinspect`.
    pub(super) page_lsn: Option<String>,
}

impl Means {
    pub(super) async fn ask(client: &Client, version_num: u32) -> Result<Self> {
        Ok(Means {
            wal_summary: wal_summary::available(client, version_num).await?,
            page_lsn: page_lsn::available(client).await?,
        })
    }

    /// Whether anything can be done with positions in the write-ahead log.
    pub(super) fn read_positions(&self) -> bool {
        self.wal_summary.is_ok() || self.page_lsn.is_some()
    }

    /// Whether a detector can be used; if not, why.
    pub(super) fn allow(&self, detector: Detector) -> std::result::Result<(), String> {
        match detector {
            Detector::WalSummary => self.wal_summary.clone(),
            Detector::PageLsn if self.page_lsn.is_some() => Ok(()),
            Detector::PageLsn => Err("it needs a superuser, the extension pageinspect in the \
                                      database, and a server that is no standby"
                .to_owned()),
            Detector::VersionDigest => Ok(()),
        }
    }

    /// The cheapest that can be used.
    pub(super) fn best(&self) -> Detector {
        let allowed = |detector: &Detector| self.allow(*detector).is_ok();
        Detector::ALL.into_iter().find(allowed).unwrap_or(Detector::VersionDigest)
    }
}
