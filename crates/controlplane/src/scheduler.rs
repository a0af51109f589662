//! The scheduler: the clock and the catalog in, jobs out.
//!
//! Every replica runs one, and a tick may be repeated, killed half-way, or made by two replicas at
//! once: what is due is worked out anew from the catalog, a slot becomes a job only once, and of a
//! cluster only one backup is open at a time. Nothing is kept in memory but what saves questions.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use strongroom_catalog::backup_settings::{Schedule, Upkeep};
use strongroom_catalog::jobs::{JobKind, NewJob};
use strongroom_catalog::{CatalogError, ClusterId, LocationId};
use strongroom_format::manifest::BackupType;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{App, Result, cadence, failpoint, statement};

/// From one tick to the next.
const PAUSE: Duration = Duration::from_secs(5);
/// Jobs enqueued in one transaction.
const BATCH: usize = 50;
/// How long after its deletion a cluster without backups is still looked after: something that was
/// under way may have left remains.
const FAREWELL: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long ended jobs are listed; prunes, of which there are many, shorter.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);
const KEPT_PRUNES: SignedDuration = SignedDuration::from_hours(3 * 24);

/// Who asks for what is due.
const NAME: &str = "scheduler";

/// Makes jobs of what is due.
#[derive(Debug)]
pub struct Scheduler {
    app: App,
    seen: Mutex<Seen>,
}

/// What was done by this process: asking again would do no harm, and costs something.
#[derive(Debug, Default)]
struct Seen {
    /// Misses that were told of.
    missed: HashSet<String>,
    /// When the house was kept last.
    kept_house: Option<Timestamp>,
}

/// What a tick made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Backups.
    pub backups: usize,
    /// Prunes.
    pub prunes: usize,
    /// Drills.
    pub drills: usize,
    /// Misses that were found.
    pub missed: usize,
}

impl Scheduler {
    /// A scheduler of this service.
    pub fn new(app: App) -> Self {
        Scheduler { app, seen: Mutex::default() }
    }

    /// Ticks until `end` is rung.
    pub async fn run(&self, end: &CancellationToken) {
        while !end.is_cancelled() {
            if let Err(error) = self.tick().await {
                warn!(error = %error, "the catalog can not be asked for what is due");
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = end.cancelled() => {}
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes jobs of everything that is due now.
    pub async fn tick(&self) -> Result<Ticked> {
        let now = self.app.now();
        let schedules = self.app.catalog().schedules().await?;
        let ticked = Ticked {
            backups: self.backups(&schedules, now).await?,
            prunes: self.prunes(now).await?,
            drills: self.drills(&schedules, now).await?,
            missed: self.missed(&schedules, now).await?,
        };
        self.keep_house(now).await?;
        if ticked != Ticked::default() {
            self.app.ring();
        }
        Ok(ticked)
    }

    async fn backups(&self, schedules: &[Schedule], now: Timestamp) -> Result<usize> {
        let due: Vec<(&Schedule, cadence::Due)> = schedules
            .iter()
            .filter_map(|schedule| Some((schedule, cadence::due(schedule, now)?)))
            .collect();
        if due.is_empty() {
            return Ok(0);
        }
        let locations = self.locations().await?;
        let jobs = due.into_iter().filter_map(|(schedule, due)| {
            let location = schedule.location?;
            let shown = locations.get(&location)?;
            Some(backup_job(due, location, shown))
        });
        self.enqueue(jobs.collect()).await
    }

    /// What storage locations are shown as.
    async fn locations(&self) -> Result<HashMap<LocationId, String>> {
        let locations = self.app.all_locations().await?;
        Ok(locations.into_iter().map(|it| (it.id, it.url_shown)).collect())
    }

    async fn prunes(&self, now: Timestamp) -> Result<usize> {
        let upkeep = self.app.catalog().upkeep().await?;
        let jobs = upkeep.iter().filter_map(|upkeep| prune_job(upkeep, now));
        self.enqueue(jobs.collect()).await
    }

    /// Enqueues jobs. How many are new.
    async fn enqueue(&self, jobs: Vec<NewJob>) -> Result<usize> {
        let mut made = 0;
        for some in jobs.chunks(BATCH) {
            failpoint::pass("service.before-enqueue")?;
            let mut write = self.app.catalog().begin().await?;
            for job in some {
                let enqueued = write.enqueue(job).await?;
                if enqueued.is_new {
                    made += 1;
                    info!(kind = %job.kind, slot = job.slot.as_deref(), "due");
                }
            }
            write.commit().await?;
            failpoint::pass("service.after-enqueue")?;
        }
        Ok(made)
    }

    async fn drills(&self, schedules: &[Schedule], now: Timestamp) -> Result<usize> {
        let mut made = 0;
        for schedule in schedules.iter().filter(|schedule| cadence::drill_is_due(schedule, now)) {
            let cluster = schedule.settings.cluster;
            let Some(newest) = self.app.catalog().latest_backup(cluster, None).await? else {
                continue;
            };
            let day = cadence::slot_at(now, SignedDuration::from_hours(24));
            let slot = format!("{cluster}/drill/{day}");
            let mut write = self.app.catalog().begin().await?;
            match write.enqueue_drill(newest.id, Some(&slot), NAME).await {
                Ok(_) => made += 1,
                // It was taken off the lists just now.
                Err(CatalogError::Conflict { .. } | CatalogError::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
            write.commit().await?;
        }
        Ok(made)
    }

    /// Tells of backups that are missing: once a day, for as long as there is none.
    async fn missed(&self, schedules: &[Schedule], now: Timestamp) -> Result<usize> {
        let missed = schedules.iter().filter(|schedule| cadence::is_missed(schedule, now));
        let mut told = Vec::new();
        let mut jobs = Vec::new();
        for schedule in missed {
            let cluster = schedule.settings.cluster;
            let since = schedule.last_backup.unwrap_or(schedule.settings.updated_at);
            // Once a day, for as long as there is none.
            let day = now.duration_since(since).as_hours() / 24;
            let slot = format!("{cluster}/missed/{since}/{day}");
            if !self.seen().missed.contains(&slot) {
                warn!(cluster = %cluster, since = %since, "a backup is missing");
                jobs.push(missed_job(cluster, since, schedule.last_backup, slot.clone()));
                told.push(slot);
            }
        }
        self.enqueue(jobs).await?;
        let found = told.len();
        self.seen().missed.extend(told);
        Ok(found)
    }

    /// Once an hour: what is over is forgotten.
    async fn keep_house(&self, now: Timestamp) -> Result<()> {
        let hour = SignedDuration::from_hours(1);
        {
            let mut seen = self.seen();
            if seen.kept_house.is_some_and(|last| now.duration_since(last).abs() < hour) {
                return Ok(());
            }
            seen.kept_house = Some(now);
        }
        let catalog = self.app.catalog();
        catalog.sweep_sessions().await?;
        let mut write = catalog.begin().await?;
        write.forget_jobs(&[JobKind::Prune, JobKind::Alert], now - KEPT_PRUNES).await?;
        write.forget_jobs(JobKind::ALL, now - KEPT).await?;
        Ok(write.commit().await?)
    }
}

/// What only one open backup job of a cluster may have.
pub(crate) fn open_as(cluster: ClusterId) -> String {
    format!("backup/{cluster}")
}

fn backup_job(due: cadence::Due, location: LocationId, shown: &str) -> NewJob {
    let cluster = due.slot.cluster;
    NewJob {
        location: Some(location),
        slot: Some(due.slot.name()),
        open_as: Some(open_as(cluster)),
        payload: payload(due.kind, Some(due.slot.at)),
        statement: Some(statement::backup(due.kind, shown, cluster)),
        requested_by: Some(NAME.to_owned()),
        ..NewJob::of(JobKind::Backup, cluster)
    }
}

/// What the worker of a backup must know.
pub(crate) fn payload(kind: BackupType, slot: Option<Timestamp>) -> serde_json::Value {
    json!({"type": kind.name(), "slot": slot})
}

fn prune_job(upkeep: &Upkeep, now: Timestamp) -> Option<NewJob> {
    let cluster = upkeep.cluster;
    let long_gone = upkeep.deleted_at.is_some_and(|at| now.duration_since(at) > FAREWELL);
    if upkeep.open || (long_gone && !upkeep.has_backups) {
        return None;
    }
    let urgent = upkeep.expired || upkeep.retired;
    let slot = cadence::prune_slot(cluster, urgent, upkeep.last_prune, now)?;
    Some(NewJob {
        location: Some(upkeep.location),
        slot: Some(slot),
        open_as: Some(format!("prune/{cluster}")),
        requested_by: Some(NAME.to_owned()),
        ..NewJob::of(JobKind::Prune, cluster)
    })
}

fn missed_job(
    cluster: ClusterId,
    since: Timestamp,
    last_backup: Option<Timestamp>,
    slot: String,
) -> NewJob {
    NewJob {
        slot: Some(slot),
        payload: json!({
            "event": "backup_missed", "since": since, "last_backup_at": last_backup,
        }),
        requested_by: Some(NAME.to_owned()),
        ..NewJob::of(JobKind::Alert, cluster)
    }
}
