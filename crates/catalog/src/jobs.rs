//! Jobs: what is to be done, and who does it.
//!
//! A backup, restore, drill, prune or alert is a row. Any worker of any replica may take it, die at
//! any instant, and be replaced. The rules:
//!
//! ```text
//!                     cancel
//!            +---------------------------------+
//!            |                                 v
//!   enqueue -+-> pending --claim--> running -> canceled
//!                   ^                |  | +--> failed
//!                   +--retry, release+  | +--> succeeded
//!                                       +--claim again, when the lease is over
//! ```
//!
//! **A slot becomes a job once.** A job may carry a *slot*, such as cluster, cadence and planned
//! time. The column is unique; enqueuing a slot again returns the job that it became. So every
//! replica can run the scheduler, and a scheduler that is killed half-way through just runs again.
//!
//! **A running job has one holder.** [`Catalog::claim`] takes one due job: state, holder, lease and
//! *generation* change in one statement. PostgreSQL takes the row `FOR UPDATE SKIP LOCKED`, so that
//! replicas do not wait for each other; SQLite does it in a transaction that holds the write lock
//! from its beginning. Restores and alerts, for which somebody waits, go first.
//!
//! **The generation is the fence.** Every claim raises it, and it never falls. The holder gets it
//! in a [`Lease`], and whatever it writes later (heartbeat, progress, result, the row of a backup)
//! is written only if job and generation still match and the job still runs. A worker that was
//! suspended for an hour and wakes up finds itself refused with [`CatalogError::LeaseLost`], and
//! must stop. The time in `lease_until` is no fence: a lease that is over but that nobody has taken
//! can be extended, and clocks of replicas may differ. They may differ by less than the time
//! between the heartbeats and the lease's end; if by more, work is taken away too early and done
//! twice, but never written twice.
//!
//! **The fence ends at the catalog.** What a worker does to a server or a collection is not stopped
//! by it. There the engine's own rules hold: ids are claimed by put-if-absent, a restore publishes
//! in one transaction, and staging belongs to a run that has a keeper. A worker asks with a
//! heartbeat right before a step that can not be undone.
//!
//! **Some jobs run alone.** `alone` names what only one running job may have: the backup of a
//! cluster, the restore into a cluster, the upkeep of a cluster's collection. Claiming passes over jobs whose
//! place is taken. Two replicas can still pick two such jobs at the same moment; then the partial
//! unique index refuses the second, and it looks again.
//!
//! **Some jobs are open alone.** `open_as` names what only one job that has not ended may have. Where
//! two jobs of it are never wanted, also not one after the other (a backup is under way, and the next
//! one is due), the second is not made, and who asks for it gets the first.
//!
//! **A backup that is needed stays.** A job that reads a backup, or builds on it, names it, and
//! until the job has ended the backup can not be retired (see [`crate::backups`]).
//!
//! **Cancelling asks.** A pending job is canceled at once. A running one is marked, its holder
//! learns of it with the next heartbeat, undoes what it did, and says that it is canceled. If the
//! holder dies instead, the job is claimed again with the mark on it, and whoever gets it does the
//! undoing. A job that has ended can not be canceled; one that ends well before it noticed, has
//! ended well. A restore that was begun is never ended here, also not while it waits: it may have
//! left something, or even be published. It is marked, and a worker finds out.
//!
//! **Clocks lie.** No pause is longer than some minutes, and no lease than some minutes. A time that
//! lies further ahead was written while a clock was wrong, and counts as over: else a clock that was
//! a month ahead for a moment would keep a cluster from its backups for a month.
//!
//! # Crash cases
//!
//! | killed | what is left | who goes on |
//! |---|---|---|
//! | before the commit of `enqueue` | nothing | the scheduler's next tick: the slot is free |
//! | after it | a pending job | any worker |
//! | before the commit of `claim` | a pending job | any worker |
//! | after it, before the work | a running job without holder | any worker, when the lease is over |
//! | while working | the same, and remains in the store or the target | the same; the engine removes the remains |
//! | after the work, before the commit of `finish` | the same, and the work is done | the same; the work is found done, or done again |
//! | after it | an ended job | nobody needs to |
//! | while waiting for a retry | a pending job with a later `not_before` | any worker, then |
//!
//! How often a job was claimed stands in `attempts`: a job that kills its workers is given up by
//! the control plane, not by these rules. An orderly shutdown gives jobs back by
//! [`Write::release_job`], and does not count.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::backups::Backup;
use crate::database::{FromRow, Row, args, named};
use crate::page::{Query, Sort};
use crate::{
    BackupId, Catalog, CatalogError, ClusterId, JobId, Listed, LocationId, Order, Page, Result,
    Write, redact,
};

named! {
    /// What is to be done.
    pub enum JobKind: "job kind" {
        /// Take a backup of a cluster.
        Backup = "backup",
        /// Put a backup back.
        Restore = "restore",
        /// Restore into a throwaway cluster, and compare.
        Drill = "drill",
        /// Remove what is no longer needed from a cluster's collection.
        Prune = "prune",
        /// Tell people that something went wrong.
        Alert = "alert",
    }
}

named! {
    /// How far a job is.
    pub enum JobState: "job state" {
        /// It waits: for a worker, for its time, for its place.
        Pending = "pending",
        /// Somebody holds it.
        Running = "running",
        /// It ended well.
        Succeeded = "succeeded",
        /// It ended badly.
        Failed = "failed",
        /// It was given up because somebody wished so.
        Canceled = "canceled",
    }
}

impl JobState {
    /// Whether nothing happens to it any more.
    pub fn has_ended(self) -> bool {
        matches!(self, JobState::Succeeded | JobState::Failed | JobState::Canceled)
    }
}

/// What is to be enqueued.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// What is to be done.
    pub kind: JobKind,
    /// The cluster that is backed up, restored into, or tried.
    pub cluster: Option<ClusterId>,
    /// The location that is read or written.
    pub location: Option<LocationId>,
    /// The backup that it reads, which then stays until the job has ended.
    pub backup: Option<BackupId>,
    /// What may become a job once.
    pub slot: Option<String>,
    /// What only one job that has not ended may have.
    pub open_as: Option<String>,
    /// What the worker must know. No secrets: it reads those from the cluster and the location.
    pub payload: Value,
    /// The SQL statement that it stands for. Secrets are blotted out.
    pub statement: Option<String>,
    /// Who asked for it, as the audit log names them.
    pub requested_by: Option<String>,
    /// Not to be begun before this time. None: now.
    pub not_before: Option<Timestamp>,
}

impl NewJob {
    /// A job with nothing but its kind.
    pub fn new(kind: JobKind) -> Self {
        NewJob {
            kind,
            cluster: None,
            location: None,
            backup: None,
            slot: None,
            open_as: None,
            payload: Value::Object(serde_json::Map::new()),
            statement: None,
            requested_by: None,
            not_before: None,
        }
    }

    /// A job of this kind for a cluster.
    pub fn of(kind: JobKind, cluster: ClusterId) -> Self {
        NewJob { cluster: Some(cluster), ..NewJob::new(kind) }
    }

    /// What only one running job may have.
    fn alone(&self) -> Option<String> {
        let cluster = self.cluster?;
        match self.kind {
            JobKind::Backup | JobKind::Restore | JobKind::Drill => {
                Some(format!("{}/{cluster}", self.kind))
            }
            JobKind::Prune => Some(format!("upkeep/{cluster}")),
            JobKind::Alert => None,
        }
    }
}

/// A job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What is to be done.
    pub kind: JobKind,
    /// How far it is.
    pub state: JobState,
    /// The cluster that it concerns.
    pub cluster: Option<ClusterId>,
    /// The location that is read or written.
    pub location: Option<LocationId>,
    /// The backup that it reads or builds on.
    pub backup: Option<BackupId>,
    /// The slot that it was made for.
    pub slot: Option<String>,
    /// What the worker must know.
    pub payload: Value,
    /// The SQL statement that it stands for, without secrets.
    pub statement: Option<String>,
    /// Who asked for it.
    pub requested_by: Option<String>,
    /// Not to be begun before this time.
    pub not_before: Timestamp,
    /// How often it was begun.
    pub attempts: i64,
    /// How often it was claimed: the fence.
    pub generation: i64,
    /// Who holds it, or held it last.
    pub holder: Option<String>,
    /// Until when its holder is believed to live.
    pub lease_until: Option<Timestamp>,
    /// Since when it is wished to stop.
    pub cancel_requested_at: Option<Timestamp>,
    /// How far its holder says it is.
    pub progress: Option<Value>,
    /// Why it failed; of a job that waits for a retry, why it did the last time.
    pub error: Option<Failure>,
    /// What came of it.
    pub result: Option<Value>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When it was begun for the first time.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

pub(crate) const COLUMNS: &str = "jobs.id, jobs.kind, jobs.state, jobs.cluster_id, \
     jobs.location_id, jobs.backup_id, jobs.slot, jobs.payload, jobs.statement, jobs.requested_by, \
     jobs.not_before, jobs.attempts, jobs.generation, jobs.holder, jobs.lease_until, \
     jobs.cancel_requested_at, jobs.progress, jobs.error_code, jobs.error_message, jobs.error_hint, \
     jobs.result, jobs.created_at, jobs.started_at, jobs.finished_at";

impl FromRow for Job {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Job {
            id: row.get("id")?,
            kind: row.get("kind")?,
            state: row.get("state")?,
            cluster: row.opt("cluster_id")?,
            location: row.opt("location_id")?,
            backup: row.opt("backup_id")?,
            slot: row.opt("slot")?,
            payload: row.get("payload")?,
            statement: row.opt("statement")?,
            requested_by: row.opt("requested_by")?,
            not_before: row.get("not_before")?,
            attempts: row.get("attempts")?,
            generation: row.get("generation")?,
            holder: row.opt("holder")?,
            lease_until: row.opt("lease_until")?,
            cancel_requested_at: row.opt("cancel_requested_at")?,
            progress: row.opt("progress")?,
            error: Failure::of(row)?,
            result: row.opt("result")?,
            created_at: row.get("created_at")?,
            started_at: row.opt("started_at")?,
            finished_at: row.opt("finished_at")?,
        })
    }
}

/// Why an attempt failed, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A short name of what happened, for machines.
    pub code: String,
    /// What happened, to which object.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    fn of(row: &Row) -> Result<Option<Self>> {
        let Some(code) = row.opt("error_code")? else { return Ok(None) };
        let message: Option<String> = row.opt("error_message")?;
        Ok(Some(Failure {
            code,
            message: message.unwrap_or_default(),
            hint: row.opt("error_hint")?,
        }))
    }

    fn redacted(&self) -> Self {
        Failure {
            code: self.code.clone(),
            message: redact::text(&self.message),
            hint: self.hint.as_deref().map(redact::text),
        }
    }
}

/// What came of enqueuing.
#[derive(Clone, Debug)]
pub struct Enqueued {
    /// The job.
    pub job: Job,
    /// False: its slot had become a job before, or one that is open stands in its way; that one.
    pub is_new: bool,
}

/// The right to work on a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Which claim of it this is.
    pub generation: i64,
    /// How long after a heartbeat the holder is believed to live.
    pub length: SignedDuration,
}

/// A job that was claimed, and the right to work on it.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The job. If it is wished to stop, the work is to undo what an earlier holder left.
    pub job: Job,
    /// The right to work on it.
    pub lease: Lease,
}

/// What a holder learns from a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Until when the job is safe from others.
    pub lease_until: Timestamp,
    /// Whether it is wished to stop.
    pub cancel_requested: bool,
}

impl FromRow for Heartbeat {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Heartbeat {
            lease_until: row.get("lease_until")?,
            cancel_requested: row.opt::<Timestamp>("cancel_requested_at")?.is_some(),
        })
    }
}

/// How a job ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// Well, with this result.
    Succeeded(Value),
    /// Badly. Secrets are blotted out of what is said about it.
    Failed(Failure),
    /// Given up as wished, and undone.
    Canceled,
}

/// Which jobs are wanted. Empty: all.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only these kinds.
    pub kinds: Vec<JobKind>,
    /// Only these states.
    pub states: Vec<JobState>,
    /// Only those of this cluster.
    pub cluster: Option<ClusterId>,
    /// Only those enqueued at this time or later.
    pub from: Option<Timestamp>,
    /// Only those enqueued before this time.
    pub until: Option<Timestamp>,
}

/// How many jobs of a kind are in a state; of those that failed, by code.
#[derive(Clone, Debug)]
pub struct JobCount {
    /// What they do.
    pub kind: JobKind,
    /// How far they are.
    pub state: JobState,
    /// Why they failed.
    pub code: Option<String>,
    /// How many there are.
    pub jobs: i64,
}

impl FromRow for JobCount {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(JobCount {
            kind: row.get("kind")?,
            state: row.get("state")?,
            code: row.opt("code")?,
            jobs: row.get("jobs")?,
        })
    }
}

/// Marks a job. One that waits is ended at once, unless a worker has to find out what became of it.
const CANCEL: &str = "cancel_requested_at = coalesce(cancel_requested_at, $2), \
    finished_at = CASE WHEN state = 'running' OR (kind = 'restore' AND generation > 0) \
     THEN finished_at ELSE $2 END, \
    not_before = CASE WHEN state = 'running' THEN not_before ELSE $2 END, \
    state = CASE WHEN state = 'running' OR (kind = 'restore' AND generation > 0) \
     THEN state ELSE 'canceled' END";
/// Whether a job that its holder gives back stays.
const STAYS: &str = "(cancel_requested_at IS NULL OR kind = 'restore')";
/// No pause is as long. A later time is a mistake.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

impl Catalog {
    /// How many jobs wait or run, and how many have ended since this time, by kind, state and error.
    /// Each part reads an index of just those, and not the jobs of all times.
    pub async fn job_counts(&self, ended_since: Timestamp) -> Result<Vec<JobCount>> {
        let sql = "SELECT kind, state, CASE WHEN state = 'failed' THEN error_code END AS code, \
                   count(*) AS jobs FROM jobs WHERE state IN ('pending', 'running') \
                   GROUP BY 1, 2, 3 UNION ALL \
                   SELECT kind, state, CASE WHEN state = 'failed' THEN error_code END AS code, \
                   count(*) AS jobs FROM jobs WHERE finished_at >= $1 GROUP BY 1, 2, 3";
        self.database.all("counting jobs", sql, args![ended_since]).await
    }

    /// Takes one job that is due, of one of these kinds, for `holder`. None: nothing is due.
    pub async fn claim(
        &self,
        holder: &str,
        kinds: &[JobKind],
        length: SignedDuration,
    ) -> Result<Option<Claimed>> {
        // Whoever loses a place that must be alone finds it taken at the next look. So a second
        // loss in a row means that another job of another place was lost; each is somebody's gain.
        const LOOKS: usize = 16;
        for _ in 1..LOOKS {
            match self.try_claim(holder, kinds, length).await {
                Err(error) if error.is_unique_violation() => {}
                claimed => return claimed,
            }
        }
        self.try_claim(holder, kinds, length).await
    }

    async fn try_claim(
        &self,
        holder: &str,
        kinds: &[JobKind],
        length: SignedDuration,
    ) -> Result<Option<Claimed>> {
        let mut write = self.begin().await?;
        let now = write.now();
        let until = now.saturating_add(length).unwrap_or(Timestamp::MAX);
        // Later than any pause or lease that is given.
        let mistake = now.saturating_add(LONGEST_PAUSE.max(length * 10)).unwrap_or(Timestamp::MAX);
        let names: Vec<_> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
        // `=` and not `IN`: PostgreSQL may ask what is behind `IN` once for each row, and each time
        // the answer is another job, as the last one is no longer due.
        let sql = format!(
            "UPDATE jobs SET state = 'running', holder = $2, lease_until = $3, \
             generation = generation + 1, attempts = attempts + 1, \
             started_at = coalesce(started_at, $1) \
             WHERE id = (SELECT id FROM jobs AS due WHERE kind IN ({}) AND ( \
                 (state = 'running' AND (lease_until <= $1 OR lease_until > $4)) \
                 OR (state = 'pending' AND (not_before <= $1 OR not_before > $4) AND NOT EXISTS ( \
                     SELECT 1 FROM jobs AS other \
                     WHERE other.alone = due.alone AND other.state = 'running'))) \
                 ORDER BY CASE WHEN kind IN ('restore', 'alert') THEN 0 ELSE 1 END, not_before, id \
                 LIMIT 1{}) \
             RETURNING {COLUMNS}",
            names.join(", "),
            write.tx.dialect().for_update_skip_locked(),
        );
        let values = args![now, holder, until, mistake];
        let claimed: Option<Job> =
            write.tx.find("claiming a job", sqlx::AssertSqlSafe(sql), values).await?;
        write.commit().await?;
        Ok(claimed.map(|job| {
            let lease = Lease { job: job.id, generation: job.generation, length };
            Claimed { job, lease }
        }))
    }

    /// Says that the holder lives, and how far it is; learns whether it is to stop. An error that
    /// may pass is no reason to stop before the lease is over; [`CatalogError::LeaseLost`] is, at
    /// once.
    pub async fn heartbeat(&self, lease: &Lease, progress: Option<&Value>) -> Result<Heartbeat> {
        let mut write = self.begin().await?;
        let beat = write.beat(lease, progress).await?;
        write.commit().await?;
        Ok(beat)
    }

    /// A job by id.
    pub async fn job(&self, id: JobId) -> Result<Job> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM jobs WHERE id = $1"));
        let found = self.database.find("reading a job", sql, args![id]).await?;
        found.ok_or_else(|| CatalogError::not_found("job", id))
    }

    /// The job that a slot became.
    pub async fn job_of_slot(&self, slot: &str) -> Result<Option<Job>> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM jobs WHERE slot = $1"));
        self.database.find("reading a job", sql, args![slot]).await
    }

    /// A page of jobs, newest first.
    pub async fn jobs(&self, filter: &JobFilter, page: &Page) -> Result<Listed<Job>> {
        let sort = Sort::time("created_at", Order::Descending);
        let select = format!("SELECT {COLUMNS} FROM jobs");
        let mut query = Query::new(select, "id", "created_at", sort);
        query.with_some("cluster_id = {}", filter.cluster);
        query.among("kind", &filter.kinds);
        query.among("state", &filter.states);
        query.with_some("created_at >= {}", filter.from);
        query.with_some("created_at < {}", filter.until);
        query.read(&self.database, "listing jobs", page, self.now()).await
    }
}

impl Write<'_> {
    /// Enqueues a job; or, if its slot has become one, or one is open that it would have to wait for,
    /// returns that.
    pub async fn enqueue(&mut self, new: &NewJob) -> Result<Enqueued> {
        if let Some(backup) = new.backup {
            self.need_backup(backup).await?;
        }
        let doing = "enqueuing a job";
        let now = self.now();
        let sql = format!(
            "INSERT INTO jobs (id, kind, state, cluster_id, location_id, backup_id, slot, alone, \
             open_as, payload, statement, requested_by, not_before, attempts, generation, \
             created_at) \
             VALUES ($1, $2, 'pending', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0, $13) \
             ON CONFLICT DO NOTHING RETURNING {COLUMNS}"
        );
        let values = args![
            JobId::new(),
            new.kind,
            new.cluster,
            new.location,
            new.backup,
            new.slot,
            new.alone(),
            new.open_as,
            new.payload,
            new.statement.as_deref().map(redact::text),
            new.requested_by,
            new.not_before.unwrap_or(now),
            now,
        ];
        let there = format!(
            "SELECT {COLUMNS} FROM jobs WHERE slot = $1 \
             OR (open_as = $2 AND state IN ('pending', 'running')) \
             ORDER BY CASE WHEN slot = $1 THEN 0 ELSE 1 END LIMIT 1"
        );
        loop {
            let insert = sqlx::AssertSqlSafe(sql.clone());
            let made = self.tx.find(doing, insert, values.clone()).await;
            let made = made.map_err(|error| {
                error.or_missing("cluster or storage location of a job of kind", new.kind)
            })?;
            if let Some(job) = made {
                return Ok(Enqueued { job, is_new: true });
            }
            let select = sqlx::AssertSqlSafe(there.clone());
            let found = self.tx.find(doing, select, args![new.slot, new.open_as]).await?;
            if let Some(job) = found {
                return Ok(Enqueued { job, is_new: false });
            }
            // The one that was open has ended between the two statements.
        }
    }

    /// Wishes that a job stops.
    pub async fn cancel_job(&mut self, id: JobId) -> Result<Job> {
        let doing = "canceling a job";
        let sql = format!(
            "UPDATE jobs SET {CANCEL} \
             WHERE id = $1 AND state IN ('pending', 'running') RETURNING {COLUMNS}"
        );
        let values = args![id, self.now()];
        let canceled = self.tx.find(doing, sqlx::AssertSqlSafe(sql), values).await?;
        if let Some(job) = canceled {
            return Ok(job);
        }
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM jobs WHERE id = $1"));
        match self.tx.find::<Job>(doing, sql, args![id]).await? {
            None => Err(CatalogError::not_found("job", id)),
            Some(job) => {
                let reason =
                    format!("job with status {} cannot be requested to be canceled", job.state);
                Err(CatalogError::conflict("job", id, reason))
            }
        }
    }

    /// Wishes that all jobs of a cluster stop, but for those that its end needs: people are still told
    /// what they were to be told, and what has expired is removed.
    pub(crate) async fn cancel_jobs_of(&mut self, cluster: ClusterId) -> Result<u64> {
        let sql = format!(
            "UPDATE jobs SET {CANCEL} WHERE cluster_id = $1 AND state IN ('pending', 'running') \
             AND kind NOT IN ('alert', 'prune')"
        );
        let values = args![cluster, self.now()];
        let doing = "canceling the jobs of a cluster";
        self.tx.run(doing, sqlx::AssertSqlSafe(sql), values).await
    }

    /// Goes on only while the lease is held, and holds it until the commit: nobody can claim the
    /// job meanwhile. The first statement of every transaction in which a holder writes something.
    pub async fn hold(&mut self, lease: &Lease) -> Result<Heartbeat> {
        self.beat(lease, None).await
    }

    async fn beat(&mut self, lease: &Lease, progress: Option<&Value>) -> Result<Heartbeat> {
        let until = self.now().saturating_add(lease.length).unwrap_or(Timestamp::MAX);
        let sql = "UPDATE jobs SET lease_until = $3, progress = coalesce($4, progress) \
                   WHERE id = $1 AND generation = $2 AND state = 'running' \
                   RETURNING lease_until, cancel_requested_at";
        let values = args![lease.job, lease.generation, until, progress];
        let beat = self.tx.find("extending a lease", sql, values).await?;
        beat.ok_or_else(|| lost(lease))
    }

    /// Replaces what the worker must know by what a successor must know, too: unlike progress, which
    /// every heartbeat replaces, it stays until the job has ended. Tells whether to stop.
    pub async fn remember(&mut self, lease: &Lease, payload: &Value) -> Result<Heartbeat> {
        let beat = self.hold(lease).await?;
        let sql = "UPDATE jobs SET payload = $2 WHERE id = $1";
        self.tx.run("noting what a job's worker must know", sql, args![lease.job, payload]).await?;
        Ok(beat)
    }

    /// Notes that a running job reads or writes another location than it was made for.
    pub async fn relocate_job(&mut self, lease: &Lease, location: LocationId) -> Result<()> {
        self.hold(lease).await?;
        let sql = "UPDATE jobs SET location_id = $2 WHERE id = $1";
        self.tx.run("noting a job's location", sql, args![lease.job, location]).await?;
        Ok(())
    }

    /// Notes that a running job builds on a backup, which then stays until the job has ended.
    pub async fn build_on(&mut self, lease: &Lease, backup: BackupId) -> Result<Backup> {
        let backup = self.need_backup(backup).await?;
        self.hold(lease).await?;
        let sql = "UPDATE jobs SET backup_id = $2 WHERE id = $1";
        self.tx.run("noting a job's backup", sql, args![lease.job, backup.id]).await?;
        Ok(backup)
    }

    /// Ends a job.
    pub async fn finish_job(&mut self, lease: &Lease, ending: &Ending) -> Result<Job> {
        let (state, result, failure) = match ending {
            Ending::Succeeded(result) => (JobState::Succeeded, Some(result), None),
            Ending::Failed(failure) => (JobState::Failed, None, Some(failure.redacted())),
            Ending::Canceled => (JobState::Canceled, None, None),
        };
        let code = failure.as_ref().map(|failure| &failure.code);
        let message = failure.as_ref().map(|failure| &failure.message);
        let hint = failure.as_ref().and_then(|failure| failure.hint.as_ref());
        let now = self.now();
        // Tables are of interest while it runs, and afterwards of a restore. They are kilobytes.
        let change = format!(
            "state = $3, result = $4, error_code = $5, error_message = $6, error_hint = $7, \
             finished_at = $8, lease_until = NULL, \
             progress = CASE WHEN kind = 'restore' THEN progress ELSE {} END",
            self.tx.dialect().without_field("progress", "tables")
        );
        let values = args![lease.job, lease.generation, state, result, code, message, hint, now];
        self.fenced("ending a job", lease, &change, values).await
    }

    /// Gives a job back after an error that may pass, to be begun again at `at`. One that is wished
    /// to stop ends here: what it did was undone. But for a restore, see above.
    pub async fn retry_job(
        &mut self,
        lease: &Lease,
        at: Timestamp,
        failure: &Failure,
    ) -> Result<Job> {
        self.give_back(lease, at, failure, 0).await
    }

    /// As [`Write::retry_job`], but as if it had not been begun: nothing was tried.
    pub async fn postpone_job(
        &mut self,
        lease: &Lease,
        at: Timestamp,
        failure: &Failure,
    ) -> Result<Job> {
        self.give_back(lease, at, failure, 1).await
    }

    async fn give_back(
        &mut self,
        lease: &Lease,
        at: Timestamp,
        failure: &Failure,
        uncounted: i64,
    ) -> Result<Job> {
        let now = self.now();
        let Failure { code, message, hint } = failure.redacted();
        let change = format!(
            "state = CASE WHEN {STAYS} THEN 'pending' ELSE 'canceled' END, \
             finished_at = CASE WHEN {STAYS} THEN NULL ELSE $7 END, not_before = $3, \
             error_code = $4, error_message = $5, error_hint = $6, lease_until = NULL, \
             attempts = attempts - $8"
        );
        let values = args![lease.job, lease.generation, at, code, message, hint, now, uncounted];
        self.fenced("giving a job back", lease, &change, values).await
    }

    /// Gives a job back because this process ends, as if it had not been begun. What it did was
    /// undone, or is undone by the next holder.
    pub async fn release_job(&mut self, lease: &Lease) -> Result<Job> {
        let now = self.now();
        let change = format!(
            "state = CASE WHEN {STAYS} THEN 'pending' ELSE 'canceled' END, \
             finished_at = CASE WHEN {STAYS} THEN NULL ELSE $3 END, \
             attempts = attempts - 1, lease_until = NULL"
        );
        let values = args![lease.job, lease.generation, now];
        self.fenced("giving a job back", lease, &change, values).await
    }

    async fn fenced(
        &mut self,
        doing: &'static str,
        lease: &Lease,
        change: &str,
        values: Vec<crate::database::Arg>,
    ) -> Result<Job> {
        let sql = format!(
            "UPDATE jobs SET {change} WHERE id = $1 AND generation = $2 AND state = 'running' \
             RETURNING {COLUMNS}"
        );
        let changed = self.tx.find(doing, sqlx::AssertSqlSafe(sql), values).await?;
        changed.ok_or_else(|| lost(lease))
    }

    /// Forgets jobs of these kinds that ended before this time, but for each cluster's newest of each
    /// kind, which the scheduler goes on from. How many there were.
    pub async fn forget_jobs(&mut self, kinds: &[JobKind], before: Timestamp) -> Result<u64> {
        let names: Vec<_> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
        let sql = format!(
            "DELETE FROM jobs WHERE finished_at < $1 AND kind IN ({}) \
                   AND state IN ('succeeded', 'failed', 'canceled') AND EXISTS ( \
                   SELECT 1 FROM jobs AS newer WHERE newer.cluster_id = jobs.cluster_id \
                   AND newer.kind = jobs.kind AND newer.created_at > jobs.created_at \
                   AND (jobs.slot IS NULL OR newer.slot IS NOT NULL))",
            names.join(", ")
        );
        self.tx.run("forgetting old jobs", sqlx::AssertSqlSafe(sql), args![before]).await
    }
}

fn lost(lease: &Lease) -> CatalogError {
    CatalogError::LeaseLost { job: lease.job, generation: lease.generation }
}
