//! The control plane: rules and jobs, against real servers and the real worker.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod restoring;

mod alerts;
mod drills;
mod restores;
mod restores_killed;
