//! Scenarios of the control plane, with real servers, a real catalog and the real engine.
//!
//! What many of them need is in [`support`].

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "tests tell what failed by panicking, and their names are their documentation"
)]

mod backups;
mod simulation;
mod support;
