//! A service with a cluster, its backup, and a cluster to restore into.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use strongroom_catalog::audit::{Actor, EventFilter};
use strongroom_catalog::backups::{Backup, NewBackup};
use strongroom_catalog::clusters::{
    Cluster, ClusterState, Connection, Engine, NewCluster, Plan, Provider,
};
use strongroom_catalog::grants::{Grant, Grantee, Resource, Role};
use strongroom_catalog::jobs::Job;
use strongroom_catalog::restores::{Restore, RestoreKind, RestoreObject};
use strongroom_catalog::storage_locations::{NewLocation, StorageLocation};
use strongroom_catalog::{
    Address, Catalog, Clock, ClusterId, JobId, KeySource, Page, Secret, SystemClock, UserId,
};
use strongroom_controlplane::jobs::Worker;
use strongroom_controlplane::model::{RestoreChoices, RestoreRequest};
use strongroom_controlplane::{App, Caller, Config};
use strongroom_dataplane::CancellationToken;
use strongroom_dataplane::backup::{self, BackupOptions, ManagedOptions};
use strongroom_dataplane::postgres::server::Server;
use strongroom_dataplane::progress::Progress;
use strongroom_dataplane::store::Store;
use strongroom_testkit as testkit;
use tempfile::TempDir;

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().worker_threads(2).build().unwrap().block_on(future)
}

/// The file that names the catalog's database, where the catalog is no file itself.
const ON_POSTGRES: &str = "catalog.url";

/// A service without workers, and what it manages.
pub(crate) struct Service {
    pub(crate) app: App,
    pub(crate) source: testkit::Cluster,
    pub(crate) target: testkit::Cluster,
    pub(crate) location: StorageLocation,
    pub(crate) folder: TempDir,
}

/// The service over the catalog in this folder.
pub(crate) async fn app(folder: &Path, change: impl FnOnce(&mut Config)) -> App {
    app_at(folder, Arc::new(SystemClock), change).await
}

/// The same, with another clock.
pub(crate) async fn app_at(
    folder: &Path,
    clock: Arc<dyn Clock>,
    change: impl FnOnce(&mut Config),
) -> App {
    let address = match std::fs::read_to_string(folder.join(ON_POSTGRES)) {
        Ok(url) => Address::Postgres(Secret::new(url)),
        Err(_) => Address::Sqlite(folder.join("catalog.db")),
    };
    let keys = KeySource::File(folder.join("master.key"));
    let catalog = Catalog::open(&address, keys, clock).await.unwrap();
    let mut config = Config::new(folder);
    config.lease = SignedDuration::from_secs(3);
    change(&mut config);
    App::start(catalog, config).await.unwrap()
}

impl Service {
    /// A shop in the source, nothing in the target.
    pub(crate) async fn start() -> Self {
        Service::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Service::start_in(TempDir::new().unwrap(), change).await
    }

    /// With its catalog in a database of this server.
    pub(crate) async fn start_on(server: &testkit::Cluster) -> Self {
        let folder = TempDir::new().unwrap();
        let name = format!("catalog_{}", server.databases().len());
        server.create_database(&name);
        std::fs::write(folder.path().join(ON_POSTGRES), server.url(&name)).unwrap();
        Service::start_in(folder, |_| {}).await
    }

    async fn start_in(folder: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let source = testkit::Cluster::start();
        source.create_database("shop");
        source.psql(
            "shop",
            "CREATE TABLE orders (id int PRIMARY KEY, note text);
             INSERT INTO orders SELECT n, repeat('order', 20) FROM generate_series(1, 2000) n;
             CREATE TABLE customers (id int PRIMARY KEY);
             INSERT INTO customers SELECT generate_series(1, 50);",
        );
        let app = app(folder.path(), change).await;
        let url = format!("file://{}", folder.path().join("backups").display());
        let mut write = app.catalog().begin().await.unwrap();
        let new = NewLocation {
            name: "here".to_owned(),
            region: "eu-west-1".to_owned(),
            url: Secret::new(&url),
            url_shown: url,
            encryption: None,
        };
        let location = write.create_location(&new).await.unwrap();
        write.commit().await.unwrap();
        Service { app, source, target: testkit::Cluster::start(), location, folder }
    }

    /// Attaches a cluster at this URL.
    pub(crate) async fn attach(&self, name: &str, url: String, plan: Plan) -> Cluster {
        self.attach_in(name, url, plan, &["eu-west-1"]).await
    }

    pub(crate) async fn attach_in(
        &self,
        name: &str,
        url: String,
        plan: Plan,
        regions: &[&str],
    ) -> Cluster {
        let mut write = self.app.catalog().begin().await.unwrap();
        let new = NewCluster {
            name: name.to_owned(),
            engine: Engine::Postgres,
            plan,
            provider: Provider::SelfHosted,
            regions: regions.iter().map(|region| (*region).to_owned()).collect(),
            primary_region: regions[0].to_owned(),
            state: ClusterState::Created,
            connection: Some(Connection { url: Secret::new(url), shown: name.to_owned() }),
            folder: None,
            location: Some(self.location.id),
            labels: Default::default(),
            delete_protection: false,
            creator: None,
        };
        let cluster = write.create_cluster(&new).await.unwrap();
        write.commit().await.unwrap();
        cluster
    }

    /// Both clusters, attached with this plan.
    pub(crate) async fn attach_both(&self, plan: Plan) -> (Cluster, Cluster) {
        let source = self.attach("source", self.source.url("postgres"), plan).await;
        let target = self.attach("target", self.target.url("postgres"), plan).await;
        (source, target)
    }

    /// Takes a backup of the source, as that cluster's.
    pub(crate) async fn back_up(&self, cluster: &Cluster) -> Backup {
        let options = BackupOptions {
            from: Server::parse(&self.source.url("postgres")).unwrap(),
            databases: Vec::new(),
            tables: Vec::new(),
            workers: 2,
            secret: None,
            level: 1,
            read_point_limit: Duration::from_secs(60),
            incremental: false,
            detector: None,
            managed: Some(ManagedOptions {
                cluster_id: cluster.id.to_string(),
                cluster_name: cluster.name.clone(),
                plan: cluster.plan.to_string(),
                job_id: JobId::new().to_string(),
                full_expires_at: None,
                incremental_expires_at: None,
            }),
            now: None,
            gate: Default::default(),
        };
        let place = self.place_of(cluster.id);
        let store = Store::open(&format!("file://{}", place.display()), true).unwrap();
        let (progress, cancel) = (Progress::silent(), CancellationToken::new());
        let manifest = backup::run(&options, &store, &progress, &cancel).await.unwrap();
        let new = NewBackup {
            cluster: cluster.id,
            location: self.location.id,
            engine_id: manifest.id,
            kind: manifest.kind,
            parent: manifest.parent,
            full: manifest.folder().full,
            data_from: manifest.data_from,
            finished_at: manifest.finished_at,
            expires_at: None,
            size_bytes: manifest.size_bytes as i64,
            stored_bytes: manifest.stored_bytes as i64,
            rows: manifest.rows as i64,
            databases: manifest.databases.clone(),
            key_id: None,
            job: None,
        };
        let mut write = self.app.catalog().begin().await.unwrap();
        let backup = write.record_backup(&new, None).await.unwrap();
        write.commit().await.unwrap();
        backup
    }

    pub(crate) fn place_of(&self, cluster: ClusterId) -> PathBuf {
        self.folder.path().join("backups").join(cluster.to_string())
    }

    /// Turns every bit of every pack.
    pub(crate) fn damage(&self, cluster: ClusterId) {
        let mut folders = vec![self.place_of(cluster)];
        let mut damaged = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "pack") {
                    let bytes: Vec<u8> =
                        std::fs::read(&path).unwrap().iter().map(|byte| !byte).collect();
                    std::fs::write(&path, bytes).unwrap();
                    damaged += 1;
                }
            }
        }
        assert!(damaged > 0);
    }

    /// Runs one job. Whether there was one.
    pub(crate) async fn work(&self) -> bool {
        let worker = Worker::new(self.app.clone(), 0);
        worker.run_one(&CancellationToken::new()).await.unwrap()
    }

    pub(crate) async fn job(&self, id: JobId) -> Job {
        self.app.catalog().job(id).await.unwrap()
    }

    pub(crate) async fn restore(&self, id: JobId) -> Restore {
        self.app.catalog().restore(id).await.unwrap()
    }

    /// What the audit log has of restores, oldest first.
    pub(crate) async fn audited(&self) -> Vec<String> {
        let events =
            self.app.catalog().audit_events(&EventFilter::default(), &Page::first(100)).await;
        let mut told: Vec<String> = events
            .unwrap()
            .items
            .into_iter()
            .filter(|event| event.event.action.starts_with("RESTORE_"))
            .map(|event| {
                let what = event.event.details["event"].as_str().unwrap_or_default().to_owned();
                format!("{} {what}", event.event.action)
            })
            .collect();
        told.reverse();
        told
    }

    pub(crate) async fn status_of(&self, cluster: ClusterId) -> String {
        self.app.catalog().cluster(cluster).await.unwrap().operation_status
    }

    /// Whether the target has nothing that is staged.
    pub(crate) fn nothing_staged(&self) -> bool {
        let staged = "SELECT count(*) FROM pg_database WHERE datname LIKE 'strongroom%'";
        self.target.psql("postgres", staged) == "0"
    }
}

/// Somebody with these roles.
pub(crate) fn somebody(roles: &[(Role, ClusterId)]) -> Caller {
    let user = UserId::new();
    let grantee = Grantee::User(user);
    let grants = roles.iter().map(|(role, cluster)| Grant {
        grantee,
        role: *role,
        on: Resource::Cluster(*cluster),
        created_at: Timestamp::UNIX_EPOCH,
    });
    Caller {
        actor: Actor::user(user, "ann@example.org"),
        grantee: Some(grantee),
        grants: grants.collect(),
        address: None,
        request_id: None,
    }
}

pub(crate) fn everybody() -> Caller {
    Caller::system("test")
}

pub(crate) fn request(kind: RestoreKind, source: ClusterId) -> RestoreRequest {
    RestoreRequest {
        kind,
        source: Some(source),
        backup: None,
        objects: Vec::new(),
        options: RestoreChoices::default(),
        confirm_cluster_name: None,
    }
}

/// The shop, as a database restore.
pub(crate) fn shop(source: ClusterId) -> RestoreRequest {
    let shop = RestoreObject { database: "shop".to_owned(), schema: None, table: None };
    RestoreRequest { objects: vec![shop], ..request(RestoreKind::Database, source) }
}

pub(crate) fn orders(source: ClusterId) -> RestoreRequest {
    let orders = RestoreObject {
        database: "shop".to_owned(),
        schema: None,
        table: Some("orders".to_owned()),
    };
    RestoreRequest { objects: vec![orders], ..request(RestoreKind::Table, source) }
}
