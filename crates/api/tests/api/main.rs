//! The API over a real socket, with a real catalog, and real clusters where they matter.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod accounts;
mod audit;
mod backup_settings;
mod backups;
mod clusters;
mod databases;
mod docs;
mod every_operation;
mod hardening;
mod openapi;
mod organization;
mod restores;
mod sessions;
mod storage_locations;
mod support;
mod users;
