//! What takes long: jobs, and the workers that run them.
//!
//! A job is a row of the catalog. Any replica claims it, for the length of a *lease*, and extends that
//! while it works. What a holder writes into the catalog is *fenced*: written only while its claim is
//! the newest one. So a holder that slept for too long, and wakes up beside its successor, can not
//! decide anything any more ([`strongroom_catalog::jobs`] has every case).
//!
//! A kind of job is a function in a file of its own, from a [`Running`] job to what came of it. It must
//! be prepared to begin where another one died: `job.generation` above 1 says that there may be
//! remains, and that the work may even be done and only not noted.

mod alert;
pub mod backup;
mod drill;
pub mod progress;
pub mod prune;
mod restore;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use strongroom_catalog::CatalogError;
use strongroom_catalog::jobs::{Job, JobKind, Lease};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{App, Error, Kind, Result};

pub use worker::Worker;

/// How often a job is begun before it is given up. Alerts are tried for a day: what keeps them from
/// people often is what they tell of.
pub const fn attempts(kind: JobKind) -> i64 {
    match kind {
        JobKind::Alert => 100,
        JobKind::Backup | JobKind::Prune | JobKind::Restore | JobKind::Drill => 5,
    }
}

/// A job that this process holds.
#[derive(Clone, Debug)]
pub struct Running {
    /// The service.
    pub app: App,
    /// The job, as it was when it was claimed.
    pub job: Job,
    /// The right to work on it.
    pub lease: Lease,
    /// Rung when somebody wishes that it stops, when the lease is lost, or when the process ends.
    pub cancel: CancellationToken,
    /// What the next heartbeat tells of how far it is.
    pub progress: Reporter,
    /// Whether a person wishes that it stops.
    canceled: Arc<AtomicBool>,
}

impl Running {
    /// Whether a person wishes that it stops. What is done then anyway stays done.
    pub fn is_canceled(&self) -> bool {
        self.canceled.load(Ordering::Relaxed)
    }

    fn wish_to_stop(&self) {
        self.canceled.store(true, Ordering::Relaxed);
        self.cancel.cancel();
    }

    /// Refuses to go on if somebody wishes that it stops.
    pub fn stop_if_wished(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(Kind::Conflict, "the job was stopped"));
        }
        Ok(())
    }

    /// Refuses to begin once more what has been begun too often: it may be what kills the workers.
    /// To be asked after the remains of the last holder were removed.
    pub fn check_attempts(&self) -> Result<()> {
        let most = attempts(self.job.kind);
        if self.job.attempts <= most {
            return Ok(());
        }
        let message = format!("the job was begun {most} times, and no worker came to its end");
        Err(Error::new(Kind::Internal, message)
            .hint("the service's log tells of what happened to the workers"))
    }

    /// Takes to the catalog what was told since the last heartbeat; right before the job ends. What a
    /// job told that was quicker than a heartbeat would else never be seen.
    pub async fn tell(&self) {
        let told = self.progress.listen().borrow().clone();
        if let Err(error) = self.app.catalog().heartbeat(&self.lease, told.as_ref()).await {
            warn!(error = %error, "how far the job came can not be told");
        }
    }

    /// Asks the catalog whether the job is still this holder's; right before a step that can not be
    /// undone.
    pub async fn still_held(&self) -> Result<(), CatalogError> {
        self.app.catalog().heartbeat(&self.lease, None).await.map(drop)
    }
}

/// Where a running job puts how far it is; the next heartbeat takes it to the catalog.
#[derive(Clone, Debug)]
pub struct Reporter(watch::Sender<Option<Value>>);

impl Reporter {
    fn new() -> Self {
        Reporter(watch::Sender::new(None))
    }

    /// Replaces what is told.
    pub fn set(&self, progress: Value) {
        self.0.send_if_modified(|told| {
            let is_new = told.as_ref() != Some(&progress);
            *told = Some(progress);
            is_new
        });
    }

    /// Whoever takes it to the catalog.
    fn listen(&self) -> watch::Receiver<Option<Value>> {
        self.0.subscribe()
    }
}

/// What came of a job that did not fail.
#[derive(Clone, Debug)]
pub enum Done {
    /// It is to be ended with this result.
    Succeeded(Value),
    /// It has ended itself, together with what it recorded.
    Ended,
    /// It is done, or may be, and that can not be noted now. The next holder looks.
    NotNoted,
}
