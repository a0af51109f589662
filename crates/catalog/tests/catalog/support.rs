//! What the scenarios share: an empty catalog on either database, and rows that many of them need.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use jiff::{SignedDuration, Timestamp};
use strongroom_catalog::backups::{Backup, NewBackup};
use strongroom_catalog::clusters::{
    Cluster, ClusterState, Connection, Engine, NewCluster, Plan, Provider,
};
use strongroom_catalog::jobs::Failure;
use strongroom_catalog::storage_locations::{NewLocation, StorageLocation};
use strongroom_catalog::{Address, Catalog, Dialect, FakeClock, KeySource, Secret};
use strongroom_format::BackupId as EngineId;
use strongroom_format::manifest::{BackupType, DatabaseSummary};
use strongroom_testkit as testkit;
use tempfile::TempDir;

/// Makes two tests of a scenario, one for each database.
macro_rules! on_both {
    ($(async fn $name:ident($test:ident: Test) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn scenario($test: &crate::support::Test) $body

            #[test]
            fn on_sqlite() {
                crate::support::run(strongroom_catalog::Dialect::Sqlite, async |test| {
                    scenario(test).await
                });
            }

            #[test]
            fn on_postgres() {
                crate::support::run(strongroom_catalog::Dialect::Postgres, async |test| {
                    scenario(test).await
                });
            }
        }
    )+};
}

/// An empty catalog, whose clock stands still at [`START`].
pub(crate) struct Test {
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) address: Address,
    pub(crate) key_file: PathBuf,
    // Last, so that the catalog is closed before its place goes.
    pub(crate) folder: TempDir,
    pub(crate) server: Option<Arc<testkit::Cluster>>,
}

pub(crate) const START: &str = "2026-11-22T13:00:00.123456Z";

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// Runs a scenario with several threads, as the service does.
pub(crate) fn run(dialect: Dialect, scenario: impl AsyncFnOnce(&Test)) {
    block_on(async {
        let test = Test::new(dialect).await;
        scenario(&test).await;
        test.catalog.close().await;
    });
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().worker_threads(4).build().unwrap().block_on(future)
}

/// One server for all tests that run at the same time; the last one stops it.
fn server() -> Arc<testkit::Cluster> {
    static SERVER: Mutex<Weak<testkit::Cluster>> = Mutex::new(Weak::new());
    let mut server = SERVER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    server.upgrade().unwrap_or_else(|| {
        let started = testkit::Cluster::builder().setting("max_connections = 300").start();
        let started = Arc::new(started);
        *server = Arc::downgrade(&started);
        started
    })
}

/// The address of an empty database, and what keeps it there.
pub(crate) fn empty(dialect: Dialect) -> (Address, TempDir, Option<Arc<testkit::Cluster>>) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let folder = tempfile::tempdir().unwrap();
    match dialect {
        Dialect::Sqlite => (Address::Sqlite(folder.path().join("catalog.db")), folder, None),
        Dialect::Postgres => {
            let server = server();
            let name = format!("catalog_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
            server.create_database(&name);
            (Address::Postgres(Secret::new(server.url(&name))), folder, Some(server))
        }
    }
}

impl Test {
    pub(crate) async fn new(dialect: Dialect) -> Self {
        let (address, folder, server) = empty(dialect);
        let clock = Arc::new(FakeClock::at(time(START)));
        let key_file = folder.path().join("master.key");
        let keys = KeySource::File(key_file.clone());
        let catalog = Catalog::open(&address, keys, clock.clone()).await.unwrap();
        Test { catalog, clock, address, key_file, folder, server }
    }

    /// Another replica: connections of its own to the same catalog.
    pub(crate) async fn replica(&self) -> Catalog {
        let keys = KeySource::File(self.key_file.clone());
        Catalog::open(&self.address, keys, self.clock.clone()).await.unwrap()
    }

    pub(crate) async fn location(&self, name: &str) -> StorageLocation {
        let mut write = self.catalog.begin().await.unwrap();
        let made = write.create_location(&a_location(name)).await.unwrap();
        write.commit().await.unwrap();
        made
    }

    pub(crate) async fn cluster(&self, name: &str) -> Cluster {
        let mut write = self.catalog.begin().await.unwrap();
        let made = write.create_cluster(&a_cluster(name)).await.unwrap();
        write.commit().await.unwrap();
        made
    }

    pub(crate) async fn backup(
        &self,
        cluster: &Cluster,
        location: &StorageLocation,
        data_from: Timestamp,
    ) -> Backup {
        let mut write = self.catalog.begin().await.unwrap();
        let new = a_backup(cluster, location, data_from);
        let made = write.record_backup(&new, None).await.unwrap();
        write.commit().await.unwrap();
        made
    }
}

pub(crate) const LOCATION_URL: &str = "s3://b/x?AWS_ACCESS_KEY_ID=i&AWS_SECRET_ACCESS_KEY=hush-s3";
pub(crate) const CLUSTER_URL: &str = "postgresql://ann:hush-pg@db/x";

pub(crate) fn a_location(name: &str) -> NewLocation {
    NewLocation {
        name: name.to_owned(),
        region: "eu-west-1".to_owned(),
        url: Secret::new(LOCATION_URL),
        url_shown: "s3://b/x".to_owned(),
        encryption: Some(Secret::new("hush-passphrase")),
    }
}

pub(crate) fn a_cluster(name: &str) -> NewCluster {
    NewCluster {
        name: name.to_owned(),
        engine: Engine::Postgres,
        plan: Plan::Dedicated,
        provider: Provider::SelfHosted,
        regions: vec!["eu-west-1".to_owned(), "us-east-1".to_owned()],
        primary_region: "us-east-1".to_owned(),
        state: ClusterState::Created,
        connection: Some(Connection {
            url: Secret::new(CLUSTER_URL),
            shown: "postgresql://ann@db/x".to_owned(),
        }),
        folder: None,
        location: None,
        labels: BTreeMap::from([("team".to_owned(), "ledger's \"ü\"".to_owned())]),
        delete_protection: false,
        creator: Some("ann@example.com".to_owned()),
    }
}

pub(crate) fn a_backup(
    cluster: &Cluster,
    location: &StorageLocation,
    data_from: Timestamp,
) -> NewBackup {
    let engine_id = EngineId::at(data_from);
    NewBackup {
        cluster: cluster.id,
        location: location.id,
        engine_id,
        kind: BackupType::Full,
        parent: None,
        full: engine_id,
        data_from,
        finished_at: data_from + seconds(90),
        expires_at: Some(data_from + hours(24 * 30)),
        size_bytes: 64_738,
        stored_bytes: 20_001,
        rows: 1_017,
        databases: vec![DatabaseSummary {
            name: "movr".to_owned(),
            tables: 6,
            rows: 1_017,
            size_bytes: 64_738,
        }],
        key_id: Some("0123456789abcdef".to_owned()),
        job: None,
    }
}

pub(crate) fn failure(code: &str, message: &str) -> Failure {
    Failure { code: code.to_owned(), message: message.to_owned(), hint: None }
}
