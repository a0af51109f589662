//! The catalog, on both databases: every scenario runs on SQLite and on a real PostgreSQL server.

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
