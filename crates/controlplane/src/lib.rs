//! What should happen: rules, authorization, schedules and jobs of the Strongroom service.
//!
//! Faces (HTTP, later SQL) call methods of [`App`], one file of [`app`] per noun. Each takes the
//! [`Caller`], checks what its roles permit, and changes the catalog in one transaction together with
//! the audit event that tells of it. What takes long becomes a job; [`jobs`] has what runs them, in
//! this process or in another replica.
//!
//! Invariant: the control plane alone knows who may do what. Faces ask, and show the answer.
//!
//! Invariant: nothing here asks the machine for the time. It is what the catalog's clock says, so
//! that a test can live through 45 days, and all parts agree about them.

pub mod alerts;
pub mod app;
pub mod cadence;
pub mod caller;
pub mod error;
pub mod failpoint;
pub mod jobs;
mod limits;
pub mod metrics;
pub mod rebuild;
pub mod scheduler;
pub mod simulate;
pub mod statement;

pub use app::{
    Account, App, AuditPage, AuditQuery, Config, Credentials, Identity, Origin, Person, SignedIn,
    generated_password,
};
pub use caller::{Action, Caller, Permission};
pub use error::{Error, Kind, Result};
pub use limits::Follower;
pub use scheduler::Scheduler;

/// Types of the catalog and the engine that this crate's functions take and give.
pub mod model {
    pub use crate::app::backups::StoragePoint;
    pub use crate::app::contents::{BackupContents, DatabaseContents, MOST_ROWS, TableContents};
    pub use crate::app::restores::{RestoreChoices, RestorePlan, RestoreRequest};
    pub use strongroom_catalog::api_keys::ApiKey;
    pub use strongroom_catalog::audit::{
        Actor, ActorKind, AuditEvent, EventFilter, NewEvent, Outcome,
    };
    pub use strongroom_catalog::backup_settings::{BackupSettings, SettingsChange};
    pub use strongroom_catalog::backups::{Backup, BackupFilter, Day, NewBackup};
    pub use strongroom_catalog::clusters::{
        AsGiven, Cluster, ClusterFilter, ClusterSort, ClusterState, Engine, NewCluster, Plan,
        Provider, UpgradeType, UsageLimits,
    };
    pub use strongroom_catalog::drills::{Drill, Findings};
    pub use strongroom_catalog::grants::{
        Grant, Grantee, GranteeKind, Resource, ResourceKind, Role,
    };
    pub use strongroom_catalog::jobs::{Failure, Job, JobFilter, JobKind, JobState, NewJob};
    pub use strongroom_catalog::organization::Organization;
    pub use strongroom_catalog::restores::{
        NewRestore, Restore, RestoreFilter, RestoreKind, RestoreObject,
    };
    pub use strongroom_catalog::service_accounts::{AccountFilter, ServiceAccount};
    pub use strongroom_catalog::sessions::Session;
    pub use strongroom_catalog::storage_locations::StorageLocation;
    pub use strongroom_catalog::users::User;
    pub use strongroom_catalog::{
        Address, ApiKeyId, AuditEventId, BackupId, Catalog, Clock, ClusterId, FakeClock, FolderId,
        JobId, KeySource, Listed, LocationId, Order, OrganizationId, Page, Secret,
        ServiceAccountId, SystemClock, UserId,
    };
    pub use strongroom_dataplane::diff;
    pub use strongroom_dataplane::names::TableName;
    pub use strongroom_dataplane::restore::Comparison;
    pub use strongroom_dataplane::rows::{TableRows, Value};
    pub use strongroom_format::manifest::{BackupType, DatabaseSummary, Omission};
}
