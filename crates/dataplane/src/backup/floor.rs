//! The floor: from where in the write-ahead log an incremental backup looks for changes.
//!
//! It is the trap of finding changes by log positions. The position of the parent's snapshot will
//! not do: a transaction that was open then may have changed its pages *before* that position, and
//! have committed after the snapshot. Its rows are not in the parent, and the pages look old.
//!
//! So we take *samples* `(L, X)`: first the log's position `L`, then a fresh transaction id `X`.
//! Every transaction id from `X` on was assigned after `L`, so whatever such a transaction wrote
//! lies after `L`. Now let `xmin` be the oldest transaction that the parent's snapshot took for
//! running. If `X <= xmin`, every transaction that the parent could not see has an id of at least
//! `X`, and has changed no page before `L`: looking from `L` on misses nothing. The floor is the
//! highest `L` among the samples known with `X <= xmin`.
//!
//! - `X` must be an id assigned for the sample. The snapshot's `xmax` does not serve: ids above it
//!   may be running already, and have written.
//! - A sample is taken when the backup begins; then we wait a moment for older transactions to end.
//!   Where they do not, an older sample serves: that of the server's last checkpoint, which keeps
//!   its redo position and the next transaction id at that time, or the parent's own floor.
//! - The ids have their epoch, so they do not wrap around.
//! - A crash of the server takes away the end of the log that was not on disk yet. New changes then
//!   get positions, and even transaction ids, that were used before; and what a snapshot saw of a
//!   transaction that was committed asynchronously is undone without a trace. So a backup ends only
//!   when the log up to its snapshot, and with it every sample, is on disk ([`make_durable`]).
//! - A standby can not assign transaction ids: there is no floor, and positions are not used.

use std::time::{Duration, Instant};

use strongroom_format::contents::Sample;

use crate::error::bail;
use crate::postgres::connect::Client;
use crate::postgres::sql::literal;
use crate::{Result, failpoint};

/// How long older transactions are waited for.
const PATIENCE: Duration = Duration::from_millis(1000);

/// How long the server may take to write the end of its log to disk.
const DURABLE_PATIENCE: Duration = Duration::from_secs(60);

/// A position in the write-ahead log, as a number.
pub(super) fn position(lsn: &str) -> Option<u64> {
    let (high, low) = lsn.split_once('/')?;
    let high = u64::from(u32::from_str_radix(high, 16).ok()?);
    Some(high << 32 | u64::from(u32::from_str_radix(low, 16).ok()?))
}

/// Where the server's log ends, as far as it has replayed it if it is a standby.
pub(super) async fn present(client: &Client) -> Result<u64> {
    let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                           ELSE pg_current_wal_insert_lsn() END";
    Ok(client.scalar(sql).await?.as_deref().and_then(position).unwrap_or(0))
}

/// The samples that this server can give now, after a moment's wait for older transactions.
pub(super) async fn samples(client: &Client) -> Result<Vec<Sample>> {
    if client.scalar("SELECT pg_is_in_recovery()").await?.as_deref() != Some("f") {
        return Ok(Vec::new());
    }
    // Two statements: the position must be read before the id is assigned.
    let lsn = client.scalar("SELECT pg_current_wal_insert_lsn()").await?;
    let xid = client.scalar("SELECT pg_current_xact_id()").await?;
    let mut samples = Vec::new();
    if let (Some(lsn), Some(xid)) = (lsn, xid.and_then(|xid| xid.parse().ok())) {
        samples.push(Sample { lsn, xid });
        wait_for_older(client, xid).await?;
    }
    samples.extend(checkpoint(client).await);
    Ok(samples)
}

/// The last checkpoint's redo position, and the next transaction id as it was noted after it. Some
/// providers keep the function for themselves.
async fn checkpoint(client: &Client) -> Option<Sample> {
    let sql = "SELECT redo_lsn::text, next_xid FROM pg_control_checkpoint()";
    let row = client.query_one(sql, &[]).await.ok()?;
    let next: String = row.get(1);
    let (epoch, xid) = next.split_once(':')?;
    let xid = epoch.parse::<u64>().ok()? << 32 | xid.parse::<u64>().ok()?;
    Some(Sample { lsn: row.get(0), xid })
}

async fn wait_for_older(client: &Client, xid: u64) -> Result<()> {
    let begun = Instant::now();
    let patience = failpoint::number("backup.floor-patience");
    let patience = patience.map_or(PATIENCE, Duration::from_millis);
    while begun.elapsed() < patience {
        let oldest = client.scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())").await?;
        if oldest.and_then(|oldest| oldest.parse::<u64>().ok()).is_none_or(|oldest| oldest >= xid) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Waits until no crash can undo what a snapshot at `lsn` saw, or give its positions out again.
pub(super) async fn make_durable(client: &Client, lsn: Option<&str>) -> Result<()> {
    // What a standby shows came from another server's disk.
    let Some(lsn) = lsn else {
        return Ok(());
    };
    let sql = format!(
        "SELECT CASE WHEN pg_is_in_recovery() THEN true \
                     ELSE pg_current_wal_flush_lsn() >= {}::pg_lsn END",
        literal(lsn)
    );
    let begun = Instant::now();
    let mut asked = false;
    while client.scalar(&sql).await?.as_deref() == Some("f") {
        if begun.elapsed() > DURABLE_PATIENCE {
            bail!(Failed, "the server did not write its log to disk up to {lsn}");
        }
        // The log's writer follows the last commit, within a fraction of a second.
        if !asked {
            client.scalar("SELECT pg_current_xact_id()").await?;
            asked = true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The best sample for a snapshot, as `pg_current_snapshot()` prints it: `xmin:xmax:running`.
pub(super) fn choose(samples: impl IntoIterator<Item = Sample>, snapshot: &str) -> Option<Sample> {
    let xmin: u64 = snapshot.split(':').next()?.parse().ok()?;
    samples
        .into_iter()
        .filter(|sample| sample.xid <= xmin)
        .max_by_key(|sample| position(&sample.lsn))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(lsn: &str, xid: u64) -> Sample {
        Sample { lsn: lsn.to_owned(), xid }
    }

    #[test]
    fn positions_are_numbers() {
        assert_eq!(position("0/0"), Some(0));
        assert_eq!(position("16/B374D848"), Some(0x16_B374_D848));
        for bad in ["", "16", "16/", "x/1", "1/100000000"] {
            assert_eq!(position(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_floor_is_the_latest_sample_older_than_every_transaction_that_was_running() {
        let known = [sample("0/FF", 90), sample("1/0", 100), sample("2/0", 110)];
        let chosen = |snapshot| choose(known.clone(), snapshot).map(|sample| sample.lsn);
        assert_eq!(chosen("110:120:111,115"), Some("2/0".to_owned()));
        assert_eq!(chosen("109:120:109"), Some("1/0".to_owned()));
        assert_eq!(chosen("99:120:99"), Some("0/FF".to_owned()));
        assert_eq!(chosen("89:120:89"), None);
        assert_eq!(chosen(""), None);
    }
}
