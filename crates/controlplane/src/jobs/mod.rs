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

pub mod alert;
pub mod drill;
pub mod progress;
pub mod restore;
mod worker;

use serde_json::Value;
use strongroom_catalog::jobs::{Job, Lease};
use tokio_util::sync::CancellationToken;

use crate::App;

pub use worker::Worker;

/// How often a job is begun before it is given up.
pub const ATTEMPTS: i64 = 5;

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
}

/// Where a running job puts how far it is; the next heartbeat takes it to the catalog.
#[derive(Clone, Debug)]
pub struct Reporter(tokio::sync::watch::Sender<Option<Value>>);

impl Reporter {
    fn new() -> Self {
        Reporter(tokio::sync::watch::Sender::new(None))
    }

    /// Replaces what is told.
    pub fn set(&self, progress: Value) {
        self.0.send_replace(Some(progress));
    }

    fn latest(&self) -> Option<Value> {
        self.0.borrow().clone()
    }
}

/// What came of a job that did not fail.
#[derive(Clone, Debug)]
pub enum Done {
    /// It is to be ended with this result.
    Succeeded(Value),
    /// It has ended itself, together with what it recorded.
    Ended,
}
