//! Claiming jobs, keeping their leases, and ending them.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use strongroom_catalog::CatalogError;
use strongroom_catalog::jobs::{Claimed, Ending, JobKind};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use super::{ATTEMPTS, Done, Reporter, Running, alert, drill, restore};
use crate::{App, Error, Kind, Result};

/// How long a worker sleeps when nothing is due and nobody rings.
const NAP: Duration = Duration::from_secs(1);

/// Runs jobs, one after the other.
#[derive(Debug)]
pub struct Worker {
    app: App,
    name: String,
}

impl Worker {
    /// The worker of this number in this process.
    pub fn new(app: App, number: usize) -> Self {
        let name = format!("{}/{number}", app.config().replica);
        Worker { app, name }
    }

    /// Runs jobs until `end` is rung. The job under way is then given back.
    pub async fn run(&self, end: CancellationToken) {
        while !end.is_cancelled() {
            match self.run_one(&end).await {
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
        let kinds: Vec<JobKind> = KINDS.to_vec();
        let claimed = self.app.catalog().claim(&self.name, &kinds, config.lease).await?;
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
        };
        self.hold(running, end).instrument(span).await;
        Ok(true)
    }

    /// Runs a claimed job while its lease is extended, and ends it.
    async fn hold(&self, running: Running, end: &CancellationToken) {
        info!("begun");
        let beats = tokio::spawn(beat(running.clone()));
        let ran = run(&running).await;
        beats.abort();
        let noted = match ran {
            Ok(Done::Ended) => Ok(()),
            Ok(Done::Succeeded(result)) => self.finish(&running, Ending::Succeeded(result)).await,
            Err(error) => self.fail(&running, error, end).await,
        };
        match noted {
            Ok(()) => info!("ended"),
            Err(error) => error!(error = %error, "its end can not be noted; another worker will"),
        }
    }

    async fn finish(&self, running: &Running, ending: Ending) -> Result<(), CatalogError> {
        let mut write = self.app.catalog().begin().await?;
        write.finish_job(&running.lease, &ending).await?;
        write.commit().await
    }

    /// Notes a failure: to be tried again, or for good.
    async fn fail(
        &self,
        running: &Running,
        error: Error,
        end: &CancellationToken,
    ) -> Result<(), CatalogError> {
        let Running { app, job, lease, .. } = running;
        let canceled = app.catalog().job(job.id).await?.cancel_requested_at.is_some();
        let mut write = app.catalog().begin().await?;
        if canceled {
            write.finish_job(lease, &Ending::Canceled).await?;
        } else if end.is_cancelled() {
            write.release_job(lease).await?;
        } else if error.may_pass() && job.attempts < ATTEMPTS {
            let pause = SignedDuration::from_mins(1 << (job.attempts - 1).clamp(0, 4));
            let at = app.now() + pause;
            warn!(error = %error, again_at = %at, "failed, and is tried again");
            write.retry_job(lease, at, error.code(), &error.full_text()).await?;
        } else {
            error!(error = %error, "failed");
            let ending =
                Ending::Failed { code: error.code().to_owned(), message: error.full_text() };
            write.finish_job(lease, &ending).await?;
        }
        write.commit().await
    }
}

/// Kinds that this build runs.
const KINDS: &[JobKind] = &[JobKind::Restore, JobKind::Drill, JobKind::Alert];

/// The one list of what runs which kind of job.
async fn run(running: &Running) -> Result<Done> {
    match running.job.kind {
        JobKind::Restore => restore::run(running).await,
        JobKind::Drill => drill::run(running).await,
        JobKind::Alert => alert::run(running).await,
        other => Err(Error::new(
            Kind::Unsupported,
            format!("jobs of kind {other} are not run by this build"),
        )),
    }
}

/// Extends the lease until the job has ended, takes its progress along, and brings the wish to stop.
async fn beat(running: Running) {
    let Running { app, lease, cancel, progress, .. } = running;
    let third = Duration::try_from(lease.length / 3).unwrap_or(NAP).min(NAP);
    loop {
        tokio::time::sleep(third).await;
        let told = progress.latest().unwrap_or_else(|| json!({}));
        match app.catalog().heartbeat(&lease, Some(&told)).await {
            Ok(beat) if beat.cancel_requested => cancel.cancel(),
            Ok(_) => {}
            Err(CatalogError::LeaseLost { .. }) => {
                warn!("somebody else holds this job now");
                cancel.cancel();
                return;
            }
            Err(error) => warn!(error = %error, "the lease can not be extended now"),
        }
    }
}
