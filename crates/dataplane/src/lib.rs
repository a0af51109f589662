//! Cluster to store, and back. Knows no catalog of backups but the store's own, no job, no HTTP.
//!
//! Read in the data's order: [`postgres`] is read by [`backup`], which writes to a [`store`]; a
//! [`collection`] is what a store then holds; [`restore`] puts it back, and [`verify`] proves that
//! it could. [`rows`] and [`diff`] look inside without any server. [`prune`] takes away what nobody
//! needs any more.

pub mod backup;
pub mod collection;
pub mod diff;
pub mod error;
pub mod failpoint;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod names;
pub mod postgres;
pub mod progress;
pub mod prune;
pub mod regions;
pub mod restore;
pub mod rows;
mod segments;
pub mod store;
pub mod verify;

pub use error::{Error, Kind, Result};
pub use tokio_util::sync::CancellationToken;
