//! What the service knows: an index of the collections, who may do what, and the jobs.
//!
//! One concrete type, [`Catalog`], over SQLite (the default: one file in the data directory) or
//! PostgreSQL (where several replicas share it). It decides nothing that a person would call a rule
//! of the product; those stand in the control plane. What it does decide is what only a database
//! can: that a slot becomes one job, that a job has one holder, that a secret lies sealed, that the
//! last administrator stays.
//!
//! Questions are methods of [`Catalog`]. Changes are methods of [`Write`], a transaction: so a
//! change and the audit event that tells of it become visible together, or neither does. Only the
//! short calls of a job's holder ([`Catalog::claim`], [`Catalog::heartbeat`]), of a session and of
//! an API key stand alone.
//!
//! In reading order:
//!
//! * [`catalog`]: opening, migrating, the transaction.
//! * [`id`], [`clock`], [`page`], [`sealed`], [`redact`]: what all nouns share.
//! * [`organization`], [`users`], [`sessions`], [`service_accounts`], [`api_keys`], [`grants`],
//!   [`audit`]: who is who, who may what, who did what.
//! * [`storage_locations`], [`clusters`], [`backup_settings`], [`backups`]: what is backed up,
//!   where to, how often, and what exists.
//! * [`jobs`], [`restores`], [`drills`]: what is to be done, by whom, and how it went.
//! * [`overview`]: how clusters are doing, many at once.
//! * `database`, `dialect`: one way to speak to both databases.
//!
//! Invariant: the collections are the truth. Every row of `backups` can be made again from the
//! manifests, with the same id. What a manifest does not say is worked out anew by whoever
//! rebuilds: which cluster it was (by the system identifier), and until when it is kept (by the
//! settings).
//!
//! Invariant: no secret is in the database in the clear. Passwords are hashed by Argon2id, tokens
//! and keys (which are random) by BLAKE3, and what must be read again is sealed.

pub mod api_keys;
pub mod audit;
pub mod backup_settings;
pub mod backups;
pub mod catalog;
pub mod clock;
pub mod clusters;
mod database;
mod dialect;
pub mod drills;
pub mod error;
pub mod grants;
pub mod id;
pub mod jobs;
pub mod organization;
pub mod overview;
pub mod page;
pub mod redact;
pub mod restores;
pub mod sealed;
pub mod service_accounts;
pub mod sessions;
pub mod storage_locations;
pub mod users;

pub use catalog::{Address, Catalog, KeySource, Write};
pub use clock::{Clock, FakeClock, SystemClock};
pub use dialect::Dialect;
pub use error::{CatalogError, Result};
pub use id::{
    ApiKeyId, AuditEventId, BackupId, ClusterId, FolderId, JobId, LocationId, OrganizationId,
    ServiceAccountId, UserId,
};
pub use page::{Listed, Order, Page};
pub use sealed::{MasterKeys, Secret};
