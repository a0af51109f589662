//! Scenarios of the control plane, with real servers, a real catalog and the real engine.
//!
//! What many of them need is in [`support`], and what restores need in [`restoring`].

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "tests tell what failed by panicking, and their names are their documentation"
)]
#![allow(clippy::print_stdout, reason = "figures are for whoever asks for them with --nocapture")]

mod alerts;
mod backups;
mod drills;
mod pruning;
mod rebuild;
mod restores;
mod restores_killed;
mod restoring;
mod scheduler;
mod simulation;
mod storage_locations;
mod support;
