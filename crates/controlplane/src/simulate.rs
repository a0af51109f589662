//! Living through weeks in minutes: the real scheduler, workers and engine under a clock that is set.
//!
//! What comes out really exists: backups of a real server, in a real storage, of the times at which
//! they would have been taken. It serves the tests of the cadence, and demonstrations, which need some
//! history. In local folders, what was written is also given the time at which it would have been:
//! how long objects stay is measured by the store's own clock.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use strongroom_catalog::FakeClock;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::jobs::Worker;
use crate::{App, Error, Result, Scheduler, cadence};

/// From one step to the next, at most.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// A service whose time somebody else sets.
#[derive(Debug)]
pub struct Simulation {
    app: App,
    clock: Arc<FakeClock>,
    scheduler: Scheduler,
    worker: Worker,
    /// When it began, for the machine: what is newer was written by it.
    begun: SystemTime,
}

impl Simulation {
    /// A simulation of this service, whose catalog was opened with this clock. What it is to live
    /// through must be in the past.
    pub fn new(app: App, clock: Arc<FakeClock>) -> Self {
        Simulation {
            scheduler: Scheduler::new(app.clone()),
            worker: Worker::new(app.clone(), 0),
            app,
            clock,
            begun: SystemTime::now(),
        }
    }

    /// Does everything that is due now.
    pub async fn settle(&self) -> Result<()> {
        let never = CancellationToken::new();
        self.scheduler.tick().await?;
        let mut worked = false;
        while self.worker.run_one(&never).await? {
            worked = true;
        }
        if worked { self.date().await } else { Ok(()) }
    }

    /// Goes from now to `until`, doing on the way what is due when it is. `at_each` is called before
    /// every step, with what time it is then.
    pub async fn run_until(
        &self,
        until: Timestamp,
        mut at_each: impl AsyncFnMut(Timestamp),
    ) -> Result<()> {
        if SystemTime::from(until) > self.begun {
            return Err(Error::invalid("what is simulated must lie in the past"));
        }
        loop {
            let now = self.app.now();
            at_each(now).await;
            self.settle().await?;
            if now >= until {
                return Ok(());
            }
            let next = self.next(now).await?.min(until);
            info!(now = %next, "time goes on");
            self.clock.set(next);
        }
    }

    /// When something is due next, or may be.
    async fn next(&self, now: Timestamp) -> Result<Timestamp> {
        let schedules = self.app.catalog().schedules().await?;
        let due = schedules.iter().filter_map(|schedule| cadence::next(schedule, now));
        let latest = cadence::slot_at(now, LONGEST) + LONGEST;
        Ok(due.filter(|due| *due > now).min().unwrap_or(latest).min(latest))
    }

    /// Gives what was just written into local folders the present time.
    async fn date(&self) -> Result<()> {
        let now = SystemTime::from(self.app.now());
        for location in self.app.all_locations().await? {
            if let Some(folder) = location.url_shown.strip_prefix("file://") {
                let failed = |error| {
                    Error::precondition(format!("the files in {folder} can not be dated"))
                        .caused_by(error)
                };
                date(&PathBuf::from(folder), now, self.begun).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn date(folder: &Path, now: SystemTime, begun: SystemTime) -> std::io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            date(&entry.path(), now, begun)?;
        } else if entry.metadata()?.modified()? >= begun {
            File::options().write(true).open(entry.path())?.set_modified(now)?;
        }
    }
    Ok(())
}
