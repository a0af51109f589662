//! A service over a catalog of its own, a source to back up, and what both are looked at with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use strongroom_catalog::backups::{Backup, BackupFilter};
use strongroom_catalog::clusters::{
    Cluster, ClusterState, Connection, Engine, NewCluster, Plan, Provider,
};
use strongroom_catalog::jobs::{Job, JobFilter, JobKind};
use strongroom_catalog::storage_locations::{NewLocation, StorageLocation};
use strongroom_catalog::{
    Address, Catalog, Clock, ClusterId, FakeClock, JobId, KeySource, Order, Page, Secret,
};
use strongroom_controlplane::jobs::Worker;
use strongroom_controlplane::{App, Config};
use strongroom_dataplane::collection::{self, Entry};
use strongroom_dataplane::store::Store;
use strongroom_testkit as testkit;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().worker_threads(4).build().unwrap().block_on(future)
}

/// A server with one small database, `shop`, that is quick to back up.
pub(crate) fn source() -> testkit::Cluster {
    let server = testkit::Cluster::builder().start();
    server.create_database("shop");
    server.psql(
        "shop",
        "CREATE TABLE orders (id bigserial PRIMARY KEY, note text);
         CREATE TABLE customers (id int PRIMARY KEY, name text);
         INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 50) n;
         UPDATE pg_database SET datallowconn = false WHERE datname IN ('template1', 'postgres');",
    );
    server
}

/// A service, with a storage location in a folder.
pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) location: StorageLocation,
    pub(crate) address: Address,
    // Last, so that what lies in it is closed before it goes.
    pub(crate) folder: TempDir,
}

impl Service {
    pub(crate) async fn start(clock: Arc<dyn Clock>, set: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::Sqlite(folder.path().join("catalog.db"));
        let mut config = Config::new(folder.path());
        set(&mut config);
        let app = App::start(open(&address, folder.path(), clock).await, config).await.unwrap();
        let storage = folder.path().join("storage");
        let url = format!("file://{}", storage.display());
        let new = NewLocation {
            name: "here".to_owned(),
            region: "eu-west-1".to_owned(),
            url: Secret::new(&url),
            url_shown: url,
            // A key and not a passphrase, which would be stretched for every backup that is read.
            encryption: Some(Secret::new("07".repeat(32))),
        };
        let mut write = app.catalog().begin().await.unwrap();
        let location = write.create_location(&new).await.unwrap();
        write.commit().await.unwrap();
        Service { app, location, address, folder }
    }

    /// Another replica: connections of its own to the same catalog.
    pub(crate) async fn replica(&self, clock: Arc<dyn Clock>) -> App {
        let catalog = open(&self.address, self.folder.path(), clock).await;
        App::start(catalog, self.app.config().clone()).await.unwrap()
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.app.catalog()
    }

    /// Attaches a server.
    pub(crate) async fn attach(
        &self,
        name: &str,
        url: &str,
        plan: Plan,
        frequency_minutes: i64,
        retention_days: i64,
    ) -> Cluster {
        let new = NewCluster {
            name: name.to_owned(),
            engine: Engine::Postgres,
            plan,
            provider: Provider::SelfHosted,
            regions: vec!["eu-west-1".to_owned()],
            primary_region: "eu-west-1".to_owned(),
            state: ClusterState::Created,
            connection: Some(Connection { url: Secret::new(url), shown: url.to_owned() }),
            folder: None,
            location: Some(self.location.id),
            labels: BTreeMap::new(),
            delete_protection: false,
            creator: None,
        };
        let mut write = self.catalog().begin().await.unwrap();
        let cluster = write.create_cluster(&new).await.unwrap();
        let settings = write.create_backup_settings(
            cluster.id,
            true,
            frequency_minutes,
            retention_days,
            false,
        );
        settings.await.unwrap();
        write.commit().await.unwrap();
        cluster
    }

    /// Runs jobs until none is due.
    pub(crate) async fn work(&self) {
        let (worker, never) = (Worker::new(self.app.clone(), 0), CancellationToken::new());
        while worker.run_one(&never).await.unwrap() {}
    }

    pub(crate) async fn job(&self, id: JobId) -> Job {
        self.catalog().job(id).await.unwrap()
    }

    /// The jobs of this kind, oldest first.
    pub(crate) async fn jobs(&self, cluster: ClusterId, kind: JobKind) -> Vec<Job> {
        let filter =
            JobFilter { kinds: vec![kind], cluster: Some(cluster), ..JobFilter::default() };
        let page = Page::first(1000).order(Order::Ascending);
        self.catalog().jobs(&filter, &page).await.unwrap().items
    }

    /// The backups that are listed, oldest first.
    pub(crate) async fn listed(&self, cluster: ClusterId) -> Vec<Backup> {
        let filter = BackupFilter { cluster: Some(cluster), ..BackupFilter::default() };
        let mut all = Vec::new();
        let mut page = Page::first(1000).order(Order::Ascending);
        loop {
            let listed = self.catalog().backups(&filter, &page).await.unwrap();
            all.extend(listed.items);
            match listed.next {
                Some(next) => page = Page::at(next, 1000).order(Order::Ascending),
                None => return all,
            }
        }
    }

    pub(crate) fn collection_folder(&self, cluster: ClusterId) -> PathBuf {
        self.folder.path().join("storage").join(cluster.to_string())
    }

    pub(crate) fn store(&self, cluster: ClusterId) -> Store {
        let url = format!("file://{}", self.folder.path().join("storage").display());
        Store::open_within(&url, &cluster.to_string(), true).unwrap()
    }

    /// What lies in the storage of a cluster: the complete backups, and everything else.
    pub(crate) async fn stored(&self, cluster: ClusterId) -> (Vec<String>, Vec<String>) {
        let (mut complete, mut others) = (Vec::new(), Vec::new());
        for entry in collection::list(&self.store(cluster)).await.unwrap() {
            match entry {
                Entry::Complete(manifest) => complete.push(manifest.id.to_string()),
                other => others.push(format!("{other:?}")),
            }
        }
        (complete, others)
    }
}

pub(crate) async fn open(address: &Address, folder: &Path, clock: Arc<dyn Clock>) -> Catalog {
    Catalog::open(address, KeySource::File(folder.join("master.key")), clock).await.unwrap()
}

pub(crate) fn clock(at: &str) -> Arc<FakeClock> {
    Arc::new(FakeClock::at(time(at)))
}

/// What opens the backups here.
pub(crate) fn key() -> strongroom_format::key::Secret {
    strongroom_format::key::Secret::Key([7; 32])
}

/// Whether the large sizes are wanted.
pub(crate) fn full() -> bool {
    std::env::var_os("STRONGROOM_TEST_FULL").is_some()
}

/// All files below a folder, by their names below it.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                _ => found.push(entry.path().strip_prefix(folder).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}
