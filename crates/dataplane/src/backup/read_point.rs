//! The read point: the one consistent moment of a database that a backup reads.
//!
//! One connection opens a transaction and exports its snapshot; every worker's connection imports
//! it. That makes rows consistent, but not files: `TRUNCATE` and the rewriting kinds of `ALTER
//! TABLE` are not bound by snapshots, and a table rewritten after the snapshot was taken looks
//! empty to it. Locks (`ACCESS SHARE`, which delay only such statements) keep them away:
//!
//! ```text
//! list the tables -> lock them -> take the snapshot -> join it -> list again, under the snapshot
//! ```
//!
//! 1. A table that was locked *before* the snapshot was taken is the snapshot's own until the lock
//!    is let go. Statements that change definitions all the time thus never spoil a read point: we
//!    wait for them, or they for us.
//! 2. A table that was not (it is newer than the first list, or there are more tables than the
//!    server has room for locks) is locked just before it is read, and *then* the present catalogs
//!    are asked whether name, file and columns are still those that the snapshot sees. If not,
//!    somebody was faster than our lock, and the read point is given up and taken anew.
//! 3. An empty table is not locked at all: its file was empty at a time after the snapshot, and was,
//!    by the same comparison, the snapshot's file. One that fails it is locked the next time.
//!
//! Which tables a connection holds is not concluded from the names that it locked, but asked of
//! the server (`pg_locks`): names may have moved to other tables in between. Schemas can be renamed
//! under locked tables at any time, and rows are read by name; so names are compared once more
//! after the last row, and so are the labels of enums.
//!
//! Who locks what: a large table is read by all workers, so all lock it; a small one is locked by
//! the one worker that reads it. A statement that arrives between two workers' locks waits for the
//! first worker, and the second one would wait for it: only the first worker waits long.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use strongroom_format::contents::{self, Table};
use strongroom_format::manifest::Targets;

use super::changes::Means;
use super::share::{self, Share};
use super::{DatabaseJob, floor};
use crate::error::bail;
use crate::names::{self, TableName};
use crate::postgres::catalog::{self, SourceTable};
use crate::postgres::connect::Client;
use crate::postgres::sql::{ident, literal, qualified};
use crate::postgres::wire::Wire;
use crate::{Error, Kind, Result};

/// Tables named in one `LOCK` statement.
const LOCK_BATCH: usize = 500;
/// How long the first lock of a table may be waited for.
const LOCK_TIMEOUT: &str = "10s";
/// How long the other workers' locks of the same table may be waited for.
const NEXT_LOCK_TIMEOUT: &str = "1s";

/// A held read point.
pub(super) struct ReadPoint {
    /// A connection outside of the snapshot's transaction: it sees the present.
    pub(super) present: Arc<Client>,
    /// The connection whose transaction exported the snapshot.
    pub(super) client: Client,
    /// The exported snapshot's name.
    pub(super) snapshot: String,
    /// What the backup records of it.
    pub(super) stored: contents::ReadPoint,
    /// By what changes can be found in this database.
    pub(super) means: Means,
    /// One connection per worker, which has joined the snapshot.
    wires: Vec<Wire>,
    /// Their sessions.
    pids: Vec<i32>,
}

/// What there is to read at a read point.
pub(super) struct Tables {
    /// The tables, largest first.
    pub(super) tables: Arc<Vec<SourceTable>>,
    /// One connection per worker, with the tables that it reads.
    pub(super) crew: Vec<(Wire, Share)>,
}

impl ReadPoint {
    /// Takes one. `suspects` are the tables that spoiled an earlier attempt.
    ///
    /// From the first lock on, a statement that changes definitions may wait for us, and everybody
    /// who wants to lock its table waits for the statement; so nobody but the workers themselves
    /// asks for a table's lock from then on, except `pg_dump`, whose patience is short.
    pub(super) async fn take(
        job: &DatabaseJob<'_>,
        workers: usize,
        suspects: &mut HashSet<u32>,
    ) -> Result<Self> {
        let (server, name) = (&job.options.from, &job.row.name);
        let application = format!("strongroom backup {}", job.folder.id);
        let present = Client::connect(server, name, &application).await?;
        // Even the size of a table is read under a lock.
        present.batch_execute(&format!("SET lock_timeout = '{LOCK_TIMEOUT}'")).await?;
        let wires =
            (0..workers).map(|_| Wire::connect(server, name, &job.row.encoding, &application));
        let mut wires = futures::future::try_join_all(wires).await?;
        let means = Means::ask(&present, job.cluster.source.version_num).await?;
        let mut samples = Vec::new();
        if means.read_positions() {
            samples = floor::samples(&present).await?;
        }
        samples.extend(job.base.and_then(|base| base.database.read_point.floor.clone()));
        let mut known = job.wanted(&present).await?;
        measure(&present, &mut known).await.map_err(locked)?;
        let version = job.cluster.source.version_num;
        let room = catalog::room_for_locks(&present).await?;
        let to_lock = share::divide(&known, workers, version, suspects, room);
        let mut pids = Vec::new();
        for (number, (wire, share)) in wires.iter_mut().zip(&to_lock).enumerate() {
            let pid = wire.text("SELECT pg_backend_pid()").await?;
            pids.push(pid.trim().parse::<i32>().unwrap_or_default());
            let patience = if number == 0 { LOCK_TIMEOUT } else { NEXT_LOCK_TIMEOUT };
            begin(wire, patience).await?;
            // Those that only this worker locks nobody else can have come between.
            let (all, own): (Vec<&SourceTable>, Vec<&SourceTable>) = (
                share.large.iter().map(|index| &known[*index]).collect(),
                share.locked.iter().map(|index| &known[*index]).collect(),
            );
            lock_what_is_there(wire, &all).await?;
            wire.execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")).await?;
            lock_what_is_there(wire, &own).await?;
        }
        let client = Client::connect(server, name, &application).await?;
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
        // Who decides what time it is for ids decides it here.
        let at = job.clock.at.map_or(at, |_| job.clock.now());
        let seen: String = row.get(1);
        let floor = floor::choose(samples, &seen);
        let stored = contents::ReadPoint { at, snapshot: seen, lsn: row.get(3), floor };
        let joining = wires.iter_mut().map(|wire| join(wire, &snapshot));
        futures::future::try_join_all(joining).await?;
        Ok(ReadPoint { present: Arc::new(present), client, snapshot, stored, means, wires, pids })
    }

    /// The tables that the snapshot sees, divided among the workers.
    pub(super) async fn tables(
        &mut self,
        job: &DatabaseJob<'_>,
        suspects: &mut HashSet<u32>,
    ) -> Result<Tables> {
        let mut tables = job.wanted(&self.client).await?;
        let held = catalog::locks_of(&self.present, &self.pids).await?;
        let holder =
            |table: &SourceTable| held.iter().position(|oids| oids.contains(&table.table.oid));
        for (number, wire) in self.wires.iter_mut().enumerate() {
            let own: Vec<u32> = tables
                .iter()
                .filter(|table| holder(table) == Some(number))
                .map(|table| table.table.oid)
                .collect();
            let answer = wire.text(&catalog::size_query(&own)).await?;
            let sizes: HashMap<u32, catalog::Size> = answer.lines().filter_map(size_line).collect();
            for table in &mut tables {
                if let Some(size) = sizes.get(&table.table.oid) {
                    table.measured(*size);
                }
            }
        }
        let (mut held_tables, mut others): (Vec<_>, Vec<_>) =
            tables.into_iter().partition(|table| holder(table).is_some());
        measure(&self.present, &mut others).await.map_err(locked)?;
        let empty: Vec<&SourceTable> = others.iter().filter(|table| table.is_empty()).collect();
        if let Err(changed) = unchanged(&self.present, &empty).await? {
            suspects.extend(changed.iter().map(|table| table.table.oid));
            return Err(changed_error(&changed));
        }
        held_tables.extend(others);
        let mut tables = held_tables;
        largest_first(&mut tables);
        let shares = share::assign(&tables, &held, job.cluster.source.version_num);
        let crew = std::mem::take(&mut self.wires).into_iter().zip(shares).collect();
        Ok(Tables { tables: Arc::new(tables), crew })
    }

    /// What lets a worker lock tables later.
    pub(super) fn latecomers(&self) -> Latecomers {
        Latecomers { present: self.present.clone(), snapshot: self.snapshot.as_str().into() }
    }
}

/// Asks for the sizes of tables, and sorts them by size.
async fn measure(client: &Client, tables: &mut [SourceTable]) -> Result<()> {
    let oids: Vec<u32> = tables.iter().map(|table| table.table.oid).collect();
    let rows = client.query(catalog::size_query(&oids).as_str(), &[]).await?;
    let size = |row: &tokio_postgres::Row| {
        catalog::Size::of([row.get(0), row.get(1), row.get(2), row.get(3)])
    };
    let sizes: HashMap<u32, catalog::Size> = rows.iter().map(size).collect();
    for table in tables.iter_mut() {
        table.measured(sizes.get(&table.table.oid).copied().unwrap_or_default());
    }
    largest_first(tables);
    Ok(())
}

fn largest_first(tables: &mut [SourceTable]) {
    tables.sort_by_cached_key(|table| (std::cmp::Reverse(table.bytes()), table.qualified()));
}

/// A line of the answer to [`catalog::size_query`].
fn size_line(line: &str) -> Option<(u32, catalog::Size)> {
    let mut fields = line.split('\t').map(str::parse::<i64>);
    let mut next = || fields.next()?.ok();
    Some(catalog::Size::of([next()?, next()?, next()?, next()?]))
}

/// Begins a transaction that can still join a snapshot.
async fn begin(wire: &mut Wire, patience: &str) -> Result<()> {
    wire.execute(&format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '{patience}'"
    ))
    .await
}

async fn join(wire: &mut Wire, snapshot: &str) -> Result<()> {
    wire.execute(&format!("SET TRANSACTION SNAPSHOT {}", literal(snapshot))).await
}

/// Locks those of the tables that exist: what was dropped since they were listed, the snapshot
/// will not see.
async fn lock_what_is_there(wire: &mut Wire, tables: &[&SourceTable]) -> Result<()> {
    let mut batches: Vec<&[&SourceTable]> = tables.chunks(LOCK_BATCH).collect();
    while let Some(batch) = batches.pop() {
        wire.execute("SAVEPOINT batch").await?;
        match lock(wire, batch).await {
            Ok(()) => wire.execute("RELEASE batch").await?,
            Err(error) if error.kind() == Kind::NotFound => {
                wire.execute("ROLLBACK TO batch; RELEASE batch").await?;
                if batch.len() > 1 {
                    let (one, other) = batch.split_at(batch.len() / 2);
                    batches.extend([one, other]);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn lock(wire: &mut Wire, batch: &[&SourceTable]) -> Result<()> {
    let names: Vec<String> =
        batch.iter().map(|table| format!("ONLY {}", table.qualified())).collect();
    let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "));
    wire.execute(&sql).await.map_err(|error| match error.kind() {
        Kind::Busy => locked(error),
        Kind::Denied => Error::new(Kind::Denied, error.message())
            .hint("grant the role SELECT on all tables, or pg_read_all_data"),
        _ => error,
    })
}

/// What lets a worker lock tables that were not locked when the snapshot was taken.
#[derive(Clone)]
pub(super) struct Latecomers {
    present: Arc<Client>,
    snapshot: Arc<str>,
}

impl Latecomers {
    /// Tables that a worker locks at a time when it reads them in rounds.
    pub(super) const ROUND: usize = LOCK_BATCH;

    /// Lets the worker's locks go, and locks these tables instead, under the same snapshot.
    /// Refuses when one of them is no longer what the snapshot sees.
    pub(super) async fn lock(&self, wire: &mut Wire, tables: &[&SourceTable]) -> Result<()> {
        wire.execute("COMMIT").await?;
        begin(wire, LOCK_TIMEOUT).await?;
        join(wire, &self.snapshot).await?;
        lock(wire, tables).await.map_err(|error| match error.kind() {
            Kind::NotFound => {
                Error::new(Kind::Busy, "a table was dropped before it could be locked")
            }
            _ => error,
        })?;
        match unchanged(&self.present, tables).await? {
            Ok(()) => Ok(()),
            Err(changed) => Err(changed_error(&changed)),
        }
    }
}

/// What it means that a lock was not given in time.
fn locked(error: Error) -> Error {
    if error.kind() != Kind::Busy {
        return error;
    }
    Error::new(Kind::Busy, "a table stayed locked by another session")
        .hint(
            "a session holds or waits for an ACCESS EXCLUSIVE lock (ALTER TABLE, TRUNCATE, \
             VACUUM FULL, ...): let it end, then back up again",
        )
        .caused_by(error)
}

/// Whether the present definitions of these tables are those of the snapshot; if not, of which not.
async fn unchanged<'a>(
    present: &Client,
    tables: &[&'a SourceTable],
) -> Result<std::result::Result<(), Vec<&'a SourceTable>>> {
    if tables.is_empty() {
        return Ok(Ok(()));
    }
    let oids: Vec<u32> = tables.iter().map(|table| table.table.oid).collect();
    let now: HashMap<u32, catalog::Shape> = catalog::shapes(present, &oids).await?;
    let differs = |seen: &&&SourceTable| {
        !now.get(&seen.table.oid).is_some_and(|now| {
            now.relfilenode == seen.table.relfilenode
                && now.columns == seen.table.columns
                && now.qualified == seen.qualified()
        })
    };
    let changed: Vec<&SourceTable> = tables.iter().filter(differs).copied().collect();
    Ok(if changed.is_empty() { Ok(()) } else { Err(changed) })
}

fn changed_error(changed: &[&SourceTable]) -> Error {
    let table = changed.first().map(|table| table.qualified()).unwrap_or_default();
    Error::new(
        Kind::Busy,
        format!(
            "table {table} was changed, renamed, truncated or dropped before it could be locked"
        ),
    )
}

impl ReadPoint {
    /// Refuses when a table has another name than when it was read: a schema was renamed meanwhile,
    /// and the rows may be those of another table. So it does when an enum's label was renamed, which
    /// takes no lock either: rows print labels as they are at present, the definitions have them as
    /// the snapshot sees them, and a restore would refuse the ones in the others.
    pub(super) async fn names_held(&self, tables: &[Table]) -> Result<()> {
        let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
        let now = catalog::shapes(&self.present, &oids).await?;
        for seen in tables {
            let name = qualified(&seen.schema, &seen.name);
            if now.get(&seen.oid).is_some_and(|now| now.qualified != name) {
                bail!(Busy, "the schema of table {name} was renamed while it was read");
            }
        }
        let now = catalog::enum_labels(&self.present).await?;
        for (oid, label) in catalog::enum_labels(&self.client).await? {
            if now.get(&oid).is_some_and(|now| *now != label) {
                bail!(Busy, "the label '{label}' of an enum was renamed while rows were read");
            }
        }
        Ok(())
    }
}

impl DatabaseJob<'_> {
    /// The tables to read, as the client's transaction sees them.
    async fn wanted(&self, client: &Client) -> Result<Vec<SourceTable>> {
        let mut tables = catalog::tables(client).await.map_err(locked)?;
        let mut shapes = catalog::row_shapes(client, self.cluster.source.version_num).await?;
        for table in &mut tables {
            table.table.shape = shapes.remove(&table.table.oid).flatten();
            let then = self.base.and_then(|base| base.of(table));
            table.chain_cut = then.map(|then| then.1.pages_per_segment);
        }
        match self.cluster.targets {
            Targets::Tables(_) => named(client, tables, &self.row.name, &self.options.tables).await,
            _ => Ok(tables),
        }
    }
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
            &[&format!("strongroom backup {}", job.folder.id)],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
