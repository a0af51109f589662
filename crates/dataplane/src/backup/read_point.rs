//! The read point: the one consistent moment of a database that a backup reads.
//!
//! One connection opens a transaction and exports its snapshot; every worker's connection imports
//! it. That makes rows consistent, but not files: `TRUNCATE` and the rewriting kinds of `ALTER
//! TABLE` are not bound by snapshots, and a table rewritten after the snapshot was taken looks
//! empty to it. So every table is locked before it is read (`ACCESS SHARE`, which delays only such
//! statements), and *after* the locks are held, the definitions that the snapshot sees are compared
//! with the present ones. Where they differ, somebody was faster than our lock, and the whole read
//! point is given up and taken anew.
//!
//! Who locks what: a large table is read by all workers, so all lock it; a small one is locked by
//! the one worker that reads it; an empty one by nobody, since its file was empty at a time at or
//! after the snapshot and was, by the comparison, the snapshot's file. No connection ever waits
//! for a lock behind a statement that waits for another connection of ours: all locks are taken
//! before the first row is read.

use strongroom_format::contents;
use strongroom_format::manifest::Targets;

use super::DatabaseJob;
use super::copy::Share;
use crate::error::bail;
use crate::names::{self, TableName};
use crate::postgres::catalog::{self, SourceTable};
use crate::postgres::connect::Client;
use crate::postgres::sql::{ident, literal};
use crate::postgres::wire::Wire;
use crate::{Error, Kind, Result};

/// Tables named in one `LOCK` statement.
const LOCK_BATCH: usize = 500;
/// How long a lock may be waited for.
const LOCK_TIMEOUT: &str = "10s";

/// A held read point.
pub(super) struct ReadPoint {
    /// The connection whose transaction exported the snapshot.
    pub(super) client: Client,
    /// The exported snapshot's name.
    pub(super) snapshot: String,
    /// What the backup records of it.
    pub(super) stored: contents::ReadPoint,
    /// The tables to read, largest first.
    pub(super) tables: Vec<SourceTable>,
    /// One connection per worker, with the tables that it alone reads.
    pub(super) shares: Vec<(Wire, Share)>,
}

impl ReadPoint {
    pub(super) async fn take(job: &DatabaseJob<'_>, workers: usize) -> Result<Self> {
        let (server, name) = (&job.options.from, &job.row.name);
        let application = format!("strongroom backup {}", job.id);
        let client = Client::connect(server, name, &application).await?;
        // The sizes of tables and the values of sequences are read under locks.
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
             SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"
        );
        client.batch_execute(&begin).await?;
        let row = client
            .query_one(
                "SELECT pg_export_snapshot(), pg_current_snapshot()::text, \
                        to_char(clock_timestamp() AT TIME ZONE 'UTC', \
                                'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
                        (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                              ELSE pg_current_wal_insert_lsn() END)::text",
                &[],
            )
            .await?;
        let snapshot: String = row.get(0);
        let at: String = row.get(2);
        let at =
            at.parse().map_err(|_| Error::new(Kind::Failed, "the server's clock is unreadable"))?;
        let stored = contents::ReadPoint { at, snapshot: row.get(1), lsn: row.get(3) };
        let mut tables = catalog::tables(&client).await.map_err(locked)?;
        if let Targets::Tables(_) = job.cluster.targets {
            tables = named(&client, tables, name, &job.options.tables).await?;
        }
        let shares = Share::divide(&tables, workers, job.cluster.source.version_num);
        let mut connections = Vec::new();
        for share in shares {
            let wire = Wire::connect(server, name, &job.row.encoding, &application).await?;
            connections.push((wire, share));
        }
        let locking = connections.iter_mut().map(|(wire, share)| {
            let locked: Vec<&SourceTable> = share.all().map(|index| &tables[index]).collect();
            lock(wire, &snapshot, locked)
        });
        futures::future::try_join_all(locking).await?;
        unchanged(job, &tables).await?;
        Ok(ReadPoint { client, snapshot, stored, tables, shares: connections })
    }
}

/// Joins the snapshot and locks the tables.
async fn lock(wire: &mut Wire, snapshot: &str, tables: Vec<&SourceTable>) -> Result<()> {
    wire.execute(&format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
         SET TRANSACTION SNAPSHOT {}; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'",
        literal(snapshot)
    ))
    .await?;
    for batch in tables.chunks(LOCK_BATCH) {
        let names: Vec<String> =
            batch.iter().map(|table| format!("ONLY {}", table.qualified())).collect();
        let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "));
        wire.execute(&sql).await.map_err(|error| match error.kind() {
            Kind::Busy => locked(error),
            Kind::NotFound => {
                Error::new(Kind::Busy, "a table was dropped before it could be locked")
            }
            Kind::Denied => Error::new(Kind::Denied, error.message())
                .hint("grant the role SELECT on all tables, or pg_read_all_data"),
            _ => error,
        })?;
    }
    Ok(())
}

/// What it means that a lock was not given in time.
fn locked(error: Error) -> Error {
    if error.kind() != Kind::Busy {
        return error;
    }
    Error::new(Kind::Busy, format!("a table stayed locked by another session for {LOCK_TIMEOUT}"))
        .hint(
            "a session holds or waits for an ACCESS EXCLUSIVE lock (ALTER TABLE, TRUNCATE, \
             VACUUM FULL, ...): let it end, then back up again",
        )
        .caused_by(error)
}

/// Refuses when the present definitions of the locked tables are not those of the snapshot.
async fn unchanged(job: &DatabaseJob<'_>, tables: &[SourceTable]) -> Result<()> {
    let present = Client::connect(&job.options.from, &job.row.name, "strongroom backup").await?;
    let present = catalog::shapes(&present).await?;
    for seen in tables {
        let same = present.get(&seen.table.oid).is_some_and(|now| {
            now.relfilenode == seen.table.relfilenode
                && now.columns == seen.table.columns
                && now.qualified == seen.qualified()
        });
        if !same {
            bail!(
                Busy,
                "table {} was changed, renamed, truncated or dropped before it could be locked",
                seen.qualified()
            );
        }
    }
    Ok(())
}

/// The tables that were asked for by name, with the leaves of partitioned ones.
async fn named(
    client: &Client,
    tables: Vec<SourceTable>,
    database: &str,
    wanted: &[TableName],
) -> Result<Vec<SourceTable>> {
    let mut oids = Vec::new();
    for name in wanted.iter().filter(|name| name.database == database) {
        let rows = client
            .query(
                "SELECT c.oid, c.relkind::text, \
                        ARRAY(SELECT relid::oid FROM pg_partition_tree(c.oid) WHERE isleaf) \
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = $1 AND c.relname = $2",
                &[&name.schema, &name.table],
            )
            .await?;
        let Some(row) = rows.first() else {
            return Err(Error::new(Kind::NotFound, format!("table {name} does not exist"))
                .hint(format!("see the tables with: psql {} -c '\\dt *.*'", ident(database))));
        };
        let (oid, kind): (u32, String) = (row.get(0), row.get(1));
        match kind.as_str() {
            "r" => oids.push(oid),
            "p" => oids.extend(row.get::<_, Vec<u32>>(2)),
            _ => {
                return Err(Error::new(Kind::NotFound, format!("{name} is not a table")).hint(
                    format!(
                        "views and sequences come with their database: --database {}",
                        names::shown(database)
                    ),
                ));
            }
        }
    }
    Ok(tables.into_iter().filter(|table| oids.contains(&table.table.oid)).collect())
}

/// Tells, while the read point is held, which sessions wait for our locks. Never ends by itself.
pub(super) async fn watch_waiters(
    job: &DatabaseJob<'_>,
    stop: &tokio_util::sync::CancellationToken,
) -> std::convert::Infallible {
    let mut told = std::collections::HashSet::new();
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        if stop.is_cancelled() {
            continue;
        }
        // A watch that fails is no reason for the backup to fail: it is only a courtesy.
        let Ok(waiters) = waiters(job).await else {
            continue;
        };
        for (session, table) in waiters {
            if told.insert(session) {
                job.progress.note(format!(
                    "session {session} waits to change or truncate table {table}, which this \
                     backup is reading; sessions behind it wait too"
                ));
            }
        }
    }
}

async fn waiters(job: &DatabaseJob<'_>) -> Result<Vec<(i32, String)>> {
    let client = Client::connect(&job.options.from, &job.row.name, "strongroom backup").await?;
    let rows = client
        .query(
            "SELECT w.pid, w.relation::regclass::text \
             FROM pg_locks w JOIN pg_locks h USING (locktype, database, relation) \
             JOIN pg_stat_activity a ON a.pid = h.pid \
             WHERE NOT w.granted AND h.granted AND w.locktype = 'relation' \
                   AND h.mode = 'AccessShareLock' AND w.mode = 'AccessExclusiveLock' \
                   AND a.application_name = $1",
            &[&format!("strongroom backup {}", job.id)],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
