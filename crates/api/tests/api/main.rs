//! The API over a real socket, with a real catalog, and real clusters where they matter.

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
