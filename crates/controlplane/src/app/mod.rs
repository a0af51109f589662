//! What can be asked of the service: a file per noun, each a block of methods of [`App`].
//!
//! A method that changes something begins one catalog transaction, writes change and audit event, and
//! commits. Between begin and commit it asks nobody else: servers and stores are asked before.

mod accounts;
pub mod attach;
mod audit;
pub mod backup_settings;
pub mod backups;
pub mod clusters;
pub(crate) mod collection;
pub mod contents;
pub mod databases;
mod drills;
mod identity;
mod jobs;
mod organization;
pub mod restores;
mod roles;
mod sessions;
pub mod storage_locations;
mod users;

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use strongroom_catalog::audit::{NewEvent, Outcome};
use strongroom_catalog::clusters::Cluster;
use strongroom_catalog::{Catalog, ClusterId};
use tokio::sync::Notify;

pub use self::accounts::Account;
pub use self::audit::{AuditPage, AuditQuery};
pub use self::identity::{Credentials, Identity, Origin};
pub use self::sessions::SignedIn;
pub use self::users::{Person, generated_password};
use crate::alerts::Channels;
use crate::limits::{Followers, Guesses, Requests, Turns};
use crate::metrics::Figures;
use crate::{Caller, Permission, Result};

/// How this process serves.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the service's own files, and of the first storage location.
    pub data_dir: PathBuf,
    /// As whom this process holds jobs; unlike all other replicas.
    pub replica: String,
    /// Jobs at the same time in this process.
    pub workers: usize,
    /// For how long a holder of a job that says nothing is believed to live.
    pub lease: SignedDuration,
    /// How long the objects of an expired or dead backup stay.
    pub grace: Duration,
    /// Connections that one job opens to a cluster.
    pub connections: usize,
    /// Whom to tell of failures.
    pub alerts: Channels,
    /// Requests per second that each user and service account may make; none: as many as they like.
    pub requests_per_second: Option<NonZeroU32>,
    /// Whether requests come through a proxy that says, in `X-Forwarded-For`, from where.
    pub behind_proxy: bool,
}

impl Config {
    /// What serves most: a data directory, and everything else by habit.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Config {
            data_dir: data_dir.into(),
            replica: format!("{}-{}", std::process::id(), uuid::Uuid::now_v7().simple()),
            workers: 4,
            lease: SignedDuration::from_secs(30),
            grace: Duration::from_secs(24 * 3600),
            connections: 2,
            alerts: Channels::default(),
            requests_per_second: NonZeroU32::new(10),
            behind_proxy: false,
        }
    }
}

/// The service, as faces see it. Clones are the same one.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    catalog: Catalog,
    config: Config,
    /// Rung when a job was enqueued here, so that a worker of this process need not wait.
    enqueued: Notify,
    guesses: Guesses,
    requests: Requests,
    turns: Turns,
    followers: Arc<Followers>,
    figures: Figures,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "App({})", self.0.config.replica)
    }
}

impl App {
    /// The service over an open catalog. The first one makes the organization and what else a new
    /// catalog needs.
    pub async fn start(catalog: Catalog, config: Config) -> Result<Self> {
        let requests = Requests::per_second(config.requests_per_second);
        let guesses = Guesses::default();
        let enqueued = Notify::new();
        let figures = Figures::new();
        let inner = Inner {
            catalog,
            config,
            enqueued,
            guesses,
            requests,
            turns: Turns::default(),
            followers: Arc::default(),
            figures,
        };
        let app = App(Arc::new(inner));
        app.prepare_organization().await?;
        app.prepare_locations().await?;
        Ok(app)
    }

    /// What the service knows. For this crate, and for those who open and close it.
    pub fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    /// How this process serves.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.0.catalog.now()
    }

    pub(crate) fn own_figures(&self) -> &Figures {
        &self.0.figures
    }

    /// Tells the workers of this process that there may be a job.
    pub(crate) fn ring(&self) {
        self.0.enqueued.notify_waiters();
    }

    /// Waits until [`App::ring`].
    pub(crate) async fn rung(&self) {
        self.0.enqueued.notified().await;
    }

    /// A cluster that the caller may do this with; deleted ones, too.
    pub(crate) async fn cluster_for(
        &self,
        caller: &Caller,
        permission: Permission,
        id: ClusterId,
    ) -> Result<Cluster> {
        caller.require_with(permission, id)?;
        Ok(self.0.catalog.cluster(id).await?)
    }
}

/// The audit event of something that `caller` has done to an object of this kind.
pub(crate) fn done(
    caller: &Caller,
    action: &str,
    object_kind: &str,
    object: impl fmt::Display,
    details: Value,
) -> NewEvent {
    NewEvent {
        object_id: Some(object.to_string()),
        address: caller.address.clone(),
        request_id: caller.request_id.clone(),
        outcome: Outcome::Done,
        details,
        ..NewEvent::done(caller.actor.clone(), action, object_kind)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures::FutureExt;
    use strongroom_catalog::backups::NewBackup;
    use strongroom_catalog::clusters::{ClusterState, Engine, NewCluster, Plan, Provider};
    use strongroom_catalog::restores::RestoreKind;
    use strongroom_catalog::{Address, FakeClock, KeySource};
    use strongroom_format::manifest::BackupType;

    use super::restores::{RestoreChoices, RestoreRequest};
    use super::*;

    #[tokio::test]
    async fn what_reads_storage_at_length_waits_for_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::Sqlite(folder.path().join("catalog.db"));
        let keys = KeySource::File(folder.path().join("master.key"));
        let clock = Arc::new(FakeClock::at(Timestamp::now()));
        let catalog = Catalog::open(&address, keys, clock).await.unwrap();
        let app = App::start(catalog, Config::new(folder.path())).await.unwrap();
        let location = app.all_locations().await.unwrap().remove(0).id;
        let mut write = app.catalog().begin().await.unwrap();
        let cluster = NewCluster {
            name: "ledger".to_owned(),
            engine: Engine::Postgres,
            plan: Plan::Dedicated,
            provider: Provider::SelfHosted,
            regions: vec!["here".to_owned()],
            primary_region: "here".to_owned(),
            state: ClusterState::Created,
            connection: None,
            folder: None,
            location: Some(location),
            labels: BTreeMap::new(),
            delete_protection: false,
            creator: None,
        };
        let cluster = write.create_cluster(&cluster).await.unwrap().id;
        // It is nowhere, which is what is found out by whoever has a turn.
        let engine_id = app.now().strftime("%Y/%m/%d-%H%M%S.00").to_string().parse().unwrap();
        let backup = NewBackup {
            cluster,
            location,
            engine_id,
            kind: BackupType::Full,
            parent: None,
            full: engine_id,
            data_from: app.now(),
            finished_at: app.now(),
            expires_at: None,
            size_bytes: 1,
            stored_bytes: 1,
            rows: 1,
            databases: Vec::new(),
            key_id: None,
            job: None,
        };
        let backup = write.record_backup(&backup, None).await.unwrap().id;
        write.commit().await.unwrap();

        let caller = Caller::system("test");
        let request = RestoreRequest {
            kind: RestoreKind::Cluster,
            source: None,
            backup: Some(backup),
            objects: Vec::new(),
            options: RestoreChoices::default(),
            confirm_cluster_name: None,
        };
        let table = "shop.public.orders".parse().unwrap();
        let ask = async |which: usize| {
            let answer = async {
                match which {
                    0 => app.backup_rows(&caller, cluster, backup, &table, 1).await.map(drop),
                    1 => app.backup_diff(&caller, cluster, backup, backup, None).await.map(drop),
                    2 => app.plan_restore(&caller, cluster, request.clone()).await.map(drop),
                    _ => app.create_restore(&caller, cluster, request.clone()).await.map(drop),
                }
            };
            tokio::time::timeout(Duration::from_secs(1), answer).await
        };
        let mut turns = Vec::new();
        while let Some(turn) = app.0.turns.to_read().now_or_never() {
            turns.push(turn.unwrap());
        }
        for which in 0..4 {
            assert!(ask(which).await.is_err(), "{which} did not wait");
        }
        drop(turns);
        for which in 0..4 {
            let refused = ask(which).await.expect("a turn").unwrap_err();
            assert_eq!(refused.code(), "not-found", "{which}: {refused}");
        }
    }
}
