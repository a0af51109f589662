//! The catalog, on both databases: every scenario runs on SQLite and on a real PostgreSQL server.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![allow(clippy::print_stdout, reason = "figures are for whoever asks for them with --nocapture")]

#[macro_use]
mod support;

mod accounts;
mod backups;
mod clusters;
mod jobs;
mod jobs_model;
mod opening;
mod paging;
mod restores;
mod secrets;
mod speed;
