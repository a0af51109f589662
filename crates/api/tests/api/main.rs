//! The API over a real socket, with a real catalog, and real clusters where they matter.

mod backups;
mod openapi;
mod organization;
mod storage_locations;
mod support;
