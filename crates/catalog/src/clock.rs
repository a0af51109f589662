//! What time it is, as far as the catalog is concerned.
//!
//! Expiry, leases and schedules are arithmetic on times, and tests want to live through 45 days in
//! a second. So nothing in this crate asks the machine for the time but [`SystemClock`].

use std::fmt;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

/// How far clocks of replicas may differ before it is taken for a mistake.
pub(crate) const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Something that knows the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment.
    fn now(&self) -> Timestamp;

    /// Whether it shows another time than the machine does. Then what this crate's callers do outside
    /// of it has to be told what time it is, and other machines' clocks say nothing.
    fn is_simulated(&self) -> bool {
        false
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is moved, for tests and demonstrations.
#[derive(Debug)]
pub struct FakeClock(Mutex<Timestamp>);

impl FakeClock {
    /// A clock that shows `time`.
    pub fn at(time: Timestamp) -> Self {
        FakeClock(Mutex::new(time))
    }

    /// Moves the clock, forward or back.
    pub fn advance(&self, by: SignedDuration) {
        let mut time = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *time += by;
    }

    /// Sets the clock.
    pub fn set(&self, to: Timestamp) {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = to;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn is_simulated(&self) -> bool {
        true
    }
}
