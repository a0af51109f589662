//! Changes by summaries of the write-ahead log, which PostgreSQL writes from version 17 on.
//!
//! A summary names the blocks that the log touched between two positions, and *limit blocks*: the
//! length that a relation was cut to, or zero where it was created, from which on everything counts
//! as changed. Summaries must cover everything from the floor to the read point, on one timeline and
//! without a gap; what they do not cover nobody knows. The server closes a summary at a checkpoint,
//! so we ask for one where we may, and wait for the summarizer otherwise.
//!
//! Where a whole database was copied file by file (it was made from another one, or moved to another
//! tablespace), a summary says so by an entry for the relation number zero: no table of it can be
//! compared then. A summary can be removed while we read; so the cover is looked at again afterwards.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::super::floor::position;
use crate::Result;
use crate::postgres::connect::Client;
use crate::postgres::sql::literal;

/// Servers from here on write summaries.
const SUMMARIES: u32 = 170000;
/// How long the summarizer is waited for, with locks held.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether this server writes summaries and we may read them; if not, why.
pub(in crate::backup) async fn available(
    client: &Client,
    version_num: u32,
) -> Result<std::result::Result<(), String>> {
    if version_num < SUMMARIES {
        return Ok(Err("the server is older than PostgreSQL 17".to_owned()));
    }
    let row = client
        .query_one(
            "SELECT current_setting('summarize_wal') = 'on', pg_is_in_recovery(), \
                    has_function_privilege('pg_available_wal_summaries()', 'EXECUTE') AND \
                    has_function_privilege('pg_wal_summary_contents(bigint, pg_lsn, pg_lsn)', \
                                           'EXECUTE')",
            &[],
        )
        .await?;
    Ok(match (row.get(0), row.get(1), row.get(2)) {
        (false, _, _) => Err("the server's setting summarize_wal is off".to_owned()),
        (_, true, _) => Err("the server is a standby".to_owned()),
        (_, _, false) => Err("the role may not execute pg_wal_summary_contents".to_owned()),
        _ => Ok(()),
    })
}

/// A relation's file, and the number of pages per segment that its parent's list has.
pub(in crate::backup) struct File {
    pub(in crate::backup) tablespace: u32,
    pub(in crate::backup) relfilenode: u32,
    pub(in crate::backup) per_segment: u32,
}

/// What the summaries say of one file.
#[derive(Clone, Debug, Default)]
pub(in crate::backup) struct Touched {
    /// Numbers of segments.
    segments: BTreeSet<u32>,
    /// From this page on everything may have changed.
    limit: Option<u32>,
}

impl Touched {
    /// Whether the range of `per_segment` pages from `first` on may have changed.
    pub(in crate::backup) fn contains(&self, first: u32, per_segment: u32) -> bool {
        let end = u64::from(first) + u64::from(per_segment);
        self.segments.contains(&(first / per_segment.max(1)))
            || self.limit.is_some_and(|limit| end > u64::from(limit))
    }
}

/// What was touched between `floor` and `to`, for each of the files. An error says why it is not
/// known.
pub(in crate::backup) async fn touched(
    client: &Client,
    timeline: u32,
    floor: &str,
    to: &str,
    files: &[File],
) -> Result<std::result::Result<Vec<Touched>, String>> {
    if let Err(reason) = wait_until_covered(client, timeline, floor, to).await? {
        return Ok(Err(reason));
    }
    // Several tables may be cut alike; the file tells them apart.
    let column = |of: fn(&File) -> u32| {
        let numbers: Vec<String> = files.iter().map(|file| of(file).to_string()).collect();
        numbers.join(",")
    };
    let sql = format!(
        "SELECT f.at::int8, b.relblocknumber / f.per_segment, \
                min(b.relblocknumber) \
                    FILTER (WHERE b.is_limit_block OR b.relfilenode = 0) \
         FROM pg_available_wal_summaries() s \
         CROSS JOIN LATERAL pg_wal_summary_contents(s.tli, s.start_lsn, s.end_lsn) b \
         JOIN unnest('{{{}}}'::oid[], '{{{}}}'::oid[], '{{{}}}'::int8[]) WITH ORDINALITY \
              AS f(tablespace, node, per_segment, at) \
           ON f.tablespace = b.reltablespace AND b.relfilenode IN (f.node, 0) \
         WHERE s.tli = {timeline} AND s.end_lsn > {floor}::pg_lsn AND s.start_lsn < {to}::pg_lsn \
           AND b.reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) \
           AND b.relforknumber = 0 \
         GROUP BY 1, 2",
        column(|file| file.tablespace),
        column(|file| file.relfilenode),
        column(|file| file.per_segment.max(1)),
        floor = literal(floor),
        to = literal(to),
    );
    let mut found = vec![Touched::default(); files.len()];
    // A summary can be removed between being listed and being read.
    let rows = match client.query(sql.as_str(), &[]).await {
        Ok(rows) => rows,
        Err(error) if error.is_closed() => return Err(error.into()),
        Err(error) => return Ok(Err(format!("the summaries can not be read: {error}"))),
    };
    if let Err(reason) = wait_until_covered(client, timeline, floor, to).await? {
        return Ok(Err(reason));
    }
    for row in rows {
        let at = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX);
        let Some(touched) = found.get_mut(at) else { continue };
        touched.segments.extend(u32::try_from(row.get::<_, i64>(1)));
        if let Some(limit) = row.get::<_, Option<i64>>(2) {
            let limit = u32::try_from(limit).unwrap_or(0);
            touched.limit = Some(touched.limit.map_or(limit, |known| known.min(limit)));
        }
    }
    Ok(Ok(found))
}

/// Waits until the summaries reach `to`. An error says what is missing.
async fn wait_until_covered(
    client: &Client,
    timeline: u32,
    floor: &str,
    to: &str,
) -> Result<std::result::Result<(), String>> {
    let (Some(from), Some(end)) = (position(floor), position(to)) else {
        return Ok(Err("the server told no log position".to_owned()));
    };
    // Without the right to it, the server's own checkpoints have to do.
    let mut asked = false;
    let begun = Instant::now();
    loop {
        let sql = "SELECT start_lsn::text, end_lsn::text FROM pg_available_wal_summaries() \
                   WHERE tli = $1";
        let rows = client.query(sql, &[&i64::from(timeline)]).await?;
        let read = |text: String| position(&text).unwrap_or(0);
        let summaries: HashMap<u64, u64> =
            rows.iter().map(|row| (read(row.get(0)), read(row.get(1)))).collect();
        let later = summaries.keys().any(|start| *start > from);
        match reached(summaries, from) {
            Some(reached) if reached >= end => return Ok(Ok(())),
            None if later => {
                return Ok(Err(format!("no summary of the write-ahead log covers {floor}")));
            }
            _ if begun.elapsed() > PATIENCE => {
                return Ok(Err(format!(
                    "the summaries of the write-ahead log did not reach {to} in {} s",
                    PATIENCE.as_secs()
                )));
            }
            _ => {}
        }
        if !asked {
            asked = true;
            let _ = client.batch_execute("CHECKPOINT").await;
        } else {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

/// How far summaries (start to end) reach without a gap from the one that holds `from`; `None` where
/// none does.
fn reached(summaries: HashMap<u64, u64>, from: u64) -> Option<u64> {
    let mut sorted: Vec<(u64, u64)> = summaries.into_iter().collect();
    sorted.sort_unstable();
    let mut reached = None;
    for (start, stop) in sorted {
        let at = reached.unwrap_or(from);
        if start <= at && stop > at {
            reached = Some(stop);
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_must_cover_everything_without_a_gap() {
        let all = |list: &[(u64, u64)]| list.iter().copied().collect::<HashMap<_, _>>();
        assert_eq!(reached(all(&[(0, 10), (10, 20), (20, 30)]), 5), Some(30));
        assert_eq!(reached(all(&[(0, 10), (20, 30)]), 5), Some(10));
        assert_eq!(reached(all(&[(10, 20)]), 5), None);
        assert_eq!(reached(all(&[(0, 10), (5, 20)]), 2), Some(20));
        assert_eq!(reached(all(&[]), 5), None);
    }

    #[test]
    fn a_limit_block_counts_for_every_range_that_ends_behind_it() {
        let touched = Touched { segments: BTreeSet::from([0]), limit: Some(25) };
        let changed: Vec<bool> = (0..4).map(|at| touched.contains(at * 10, 10)).collect();
        assert_eq!(changed, [true, false, true, true]);
    }
}
