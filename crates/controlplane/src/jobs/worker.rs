//! Claiming jobs, keeping their leases, and ending them.
//!
//! While a job runs, a second task extends its lease. It also brings what stops the job:
//!
//! | what | how it is learnt | what happens |
//! |---|---|---|
//! | a person wishes it | the heartbeat says so | the work undoes itself; the job ends as canceled |
//! | the process ends | `end` is rung | the same; the job is given back, as if it had not been begun |
//! | somebody else holds it | the heartbeat is refused | the work undoes itself; nothing is noted |
//! | the catalog is away for longer than the lease | a clock that no one sets | the same |
//!
//! Work that does not undo itself in time is dropped where it is. That is as if it had been killed, for
//! which every kind of job is prepared.
//!
//! A failure that may pass is tried again, later and later; others are not, since somebody has to act.
//! Restores end themselves, as only they know what became of them; what they leave open is given to a
//! successor.
//!
//! One worker of a process takes nothing but what somebody waits for: restores and alerts. Backups that
//! hang on a server that hangs do not hold these up.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use strongroom_catalog::CatalogError;
use strongroom_catalog::jobs::{Claimed, Ending, Failure, JobKind};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use super::{Done, Reporter, Running, alert, attempts, backup, drill, prune, restore};
use crate::{App, Error, Kind, Result, alerts, failpoint};

/// How long a worker sleeps when nothing is due and nobody rings, and between heartbeats at most.
const NAP: Duration = Duration::from_secs(1);
/// How long work may take to undo itself when the process ends or the job is lost.
const FAREWELL: Duration = Duration::from_secs(20);
/// The same, when a person wishes that it stops.
const LONG_FAREWELL: Duration = Duration::from_secs(120);

/// When a restore whose end could not be noted is taken up again if somebody wishes that it stops.
const SOON: SignedDuration = SignedDuration::from_secs(5);

/// Runs jobs, one after the other.
#[derive(Debug)]
pub struct Worker {
    app: App,
    name: String,
    kinds: &'static [JobKind],
}

/// Why a job is no longer ours.
struct Lost;

impl Worker {
    /// The worker of this number in this process.
    pub fn new(app: App, number: usize) -> Self {
        let name = format!("{}/{number}", app.config().replica);
        Worker { app, name, kinds: JobKind::ALL }
    }

    /// The worker of this process that takes only what somebody waits for.
    pub fn in_reserve(app: App) -> Self {
        let name = format!("{}/reserve", app.config().replica);
        Worker { app, name, kinds: &[JobKind::Restore, JobKind::Alert] }
    }

    /// Runs jobs until `end` is rung. The job under way is then given back.
    pub async fn run(&self, end: &CancellationToken) {
        while !end.is_cancelled() {
            self.app.own_figures().beats();
            match self.run_one(end).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    warn!(worker = self.name, error = %error, "the catalog can not be asked for jobs");
                }
            }
            tokio::select! {
                () = self.app.rung() => {}
                () = tokio::time::sleep(NAP) => {}
                () = end.cancelled() => {}
            }
        }
    }

    /// Runs one job that is due. Whether there was one.
    pub async fn run_one(&self, end: &CancellationToken) -> Result<bool> {
        let config = self.app.config();
        let claimed = self.app.catalog().claim(&self.name, self.kinds, config.lease).await?;
        let Some(Claimed { job, lease }) = claimed else {
            return Ok(false);
        };
        let span = info_span!("job", id = %job.id, kind = %job.kind, attempt = job.attempts);
        let running = Running {
            app: self.app.clone(),
            job,
            lease,
            cancel: end.child_token(),
            progress: Reporter::new(),
            canceled: Default::default(),
        };
        self.hold(running, end).instrument(span).await;
        Ok(true)
    }

    /// Runs a claimed job while its lease is extended, and ends it.
    async fn hold(&self, running: Running, end: &CancellationToken) {
        info!("begun");
        if running.job.cancel_requested_at.is_some() {
            running.wish_to_stop();
        }
        let mut work = std::pin::pin!(on_a_thread_of_its_own(running.clone()));
        let beating = tokio::spawn(beat(running.clone()));
        let abort = beating.abort_handle();
        let mut beating = std::pin::pin!(beating);
        let ran = tokio::select! {
            ran = &mut work => Some(ran),
            // It ends only when the job is lost.
            _ = &mut beating => {
                warn!("somebody else may hold this job now");
                running.cancel.cancel();
                let _ = tokio::time::timeout(FAREWELL, &mut work).await;
                None
            }
            () = async { end.cancelled().await; tokio::time::sleep(FAREWELL).await } => {
                Some(Err(Error::new(Kind::Conflict, "the job did not stop in time")))
            }
            () = async { running.cancel.cancelled().await; tokio::time::sleep(LONG_FAREWELL).await } => {
                warn!("the job did not stop in time; whoever takes it next removes what it left");
                None
            }
        };
        abort.abort();
        let Some(ran) = ran else { return };
        let noted = match ran {
            Ok(Done::Ended) => Ok(()),
            Ok(Done::NotNoted) => {
                warn!("done, but that can not be noted now; the next holder finds it done");
                return;
            }
            Ok(Done::Succeeded(result)) => self.finish(&running, Ending::Succeeded(result)).await,
            Err(error) => self.fail(&running, error, end).await,
        };
        match noted {
            Ok(()) => {
                info!("ended");
                if let Ok(job) = self.app.catalog().job(running.job.id).await {
                    self.app.own_figures().ended(&job);
                }
            }
            Err(error) => error!(error = %error, "its end can not be noted; another worker will"),
        }
    }

    async fn finish(&self, running: &Running, ending: Ending) -> Result<()> {
        failpoint::pass("service.before-finish")?;
        let mut write = self.app.catalog().begin().await?;
        write.finish_job(&running.lease, &ending).await?;
        write.commit().await?;
        failpoint::pass("service.after-finish")
    }

    /// Notes a failure: to be tried again, or for good.
    async fn fail(&self, running: &Running, error: Error, end: &CancellationToken) -> Result<()> {
        let Running { app, job, lease, .. } = running;
        let canceled = app.catalog().job(job.id).await?.cancel_requested_at.is_some();
        let mut write = app.catalog().begin().await?;
        let most = attempts(job.kind);
        // However often: what is not known of it does not become known by giving up here.
        let ends_itself = job.kind == JobKind::Restore;
        if canceled && !ends_itself {
            info!("stopped, as somebody wished");
            write.finish_job(lease, &Ending::Canceled).await?;
        } else if end.is_cancelled() {
            info!("given back: this process ends");
            write.release_job(lease).await?;
        } else if ends_itself || (error.may_pass() && job.attempts < most) {
            let pause = if canceled { SOON } else { pause_after(job.attempts) };
            let at = app.now() + pause;
            warn!(error = %error, again_at = %at, "failed, and is tried again");
            write.retry_job(lease, at, &Failure::from(&error)).await?;
        } else {
            error!(error = %error, cause = ?std::error::Error::source(&error), "failed");
            write.finish_job(lease, &Ending::Failed(Failure::from(&error))).await?;
            if job.kind != JobKind::Alert {
                write.enqueue(&alerts::job_failed(job)).await?;
            }
        }
        Ok(write.commit().await?)
    }
}

/// How long after so many attempts the next one is made.
fn pause_after(attempts: i64) -> SignedDuration {
    SignedDuration::from_mins(1 << (attempts - 1).clamp(0, 4))
}

/// The one list of what runs which kind of job.
async fn run(running: &Running) -> Result<Done> {
    failpoint::pass("service.after-claim")?;
    match running.job.kind {
        JobKind::Backup => backup::run(running).await,
        JobKind::Prune => prune::run(running).await,
        JobKind::Restore => restore::run(running).await,
        JobKind::Drill => drill::run(running).await,
        JobKind::Alert => alert::run(running).await,
    }
}

/// Runs a job where it holds nobody up: what the engine computes between two awaits would do so to a
/// task of the runtime, and its futures can not move between threads. Dropped, it drops the work.
async fn on_a_thread_of_its_own(running: Running) -> Result<Done> {
    let (dropped, runtime) = (CancellationToken::new(), tokio::runtime::Handle::current());
    let _guard = dropped.clone().drop_guard();
    let span = tracing::Span::current();
    let working = tokio::task::spawn_blocking(move || {
        let work = async {
            tokio::select! {
                ran = run(&running) => ran,
                () = dropped.cancelled() => Err(Error::new(Kind::Conflict, "the job was dropped")),
            }
        };
        runtime.block_on(work.instrument(span))
    });
    working.await.unwrap_or_else(|error| {
        let what = Error::new(Kind::Internal, "the service has failed; its log says how");
        Err(what.caused_by(error))
    })
}

/// Extends the lease until the job is lost, takes its progress along, and brings the wish to stop.
async fn beat(running: Running) -> Lost {
    let Running { app, lease, progress, .. } = &running;
    let length = Duration::try_from(lease.length).unwrap_or(NAP);
    let mut heard = Instant::now();
    let (mut told, mut untold) = (progress.listen(), None);
    told.mark_changed();
    loop {
        tokio::time::sleep((length / 3).min(NAP)).await;
        let asked = Instant::now();
        app.own_figures().beats();
        if told.has_changed().unwrap_or(false) {
            untold = told.borrow_and_update().clone();
        }
        let beat = app.catalog().heartbeat(lease, untold.as_ref());
        // A catalog that hangs is as good as none.
        let left = length.saturating_sub(heard.elapsed()).max(Duration::from_millis(1));
        match tokio::time::timeout(left, beat).await {
            Ok(Ok(beat)) => {
                heard = asked;
                untold = None;
                if beat.cancel_requested {
                    running.wish_to_stop();
                }
            }
            Ok(Err(CatalogError::LeaseLost { .. })) => return Lost,
            Ok(Err(error)) => warn!(error = %error, "the lease can not be extended now"),
            Err(_) => warn!("the lease can not be extended now: the catalog does not answer"),
        }
        if heard.elapsed() >= length {
            return Lost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let minutes: Vec<i64> = (0..8).map(|attempts| pause_after(attempts).as_mins()).collect();
        assert_eq!(minutes, [1, 1, 2, 4, 8, 16, 16, 16]);
    }
}
