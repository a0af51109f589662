//! A source with a shop, its backup, and calls of the engine.

use std::time::Duration;

use strongroom_dataplane::backup::{self, BackupOptions};
use strongroom_dataplane::collection::Backup;
use strongroom_dataplane::postgres::server::Server;
use strongroom_dataplane::progress::Progress;
use strongroom_dataplane::restore::{Fence, RestoreOptions, RestoreTarget, SkipMissing};
use strongroom_dataplane::store::Store;
use strongroom_dataplane::{CancellationToken, Result};
use strongroom_testkit::Cluster;
use tempfile::TempDir;

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().worker_threads(2).build().unwrap().block_on(future)
}

/// A cluster with a shop of two tables.
pub(crate) struct Shop {
    pub(crate) cluster: Cluster,
    pub(crate) folder: TempDir,
}

impl Shop {
    pub(crate) fn open() -> Self {
        let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
        cluster.create_database("shop");
        cluster.psql(
            "shop",
            "CREATE TABLE orders (id int PRIMARY KEY, note text);
             INSERT INTO orders SELECT n, repeat('order', 20) FROM generate_series(1, 2000) n;
             CREATE TABLE customers (id int PRIMARY KEY);
             INSERT INTO customers SELECT generate_series(1, 50);
             CREATE SEQUENCE numbers; SELECT setval('numbers', 42);
             CREATE MATERIALIZED VIEW latest AS SELECT max(id) FROM orders;",
        );
        Shop { cluster, folder }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&format!("file://{}", self.folder.path().display()), true).unwrap()
    }

    pub(crate) fn back_up(&self) {
        let options = BackupOptions {
            from: server(&self.cluster.url("postgres")),
            databases: Vec::new(),
            tables: Vec::new(),
            workers: 2,
            secret: None,
            level: 1,
            read_point_limit: Duration::from_secs(60),
            incremental: false,
            detector: None,
            managed: None,
            now: None,
            gate: Default::default(),
        };
        let (progress, cancel) = (Progress::silent(), CancellationToken::new());
        block_on(backup::run(&options, &self.store(), &progress, &cancel)).unwrap();
    }

    pub(crate) async fn latest(&self) -> Result<Backup> {
        Backup::open(&self.store(), "latest", None).await
    }
}

pub(crate) fn server(url: &str) -> Server {
    Server::parse(url).unwrap()
}

pub(crate) fn options(target: RestoreTarget, url: &str, fence: Fence) -> RestoreOptions {
    RestoreOptions {
        target,
        to: server(url),
        skip_missing: SkipMissing::default(),
        schema_only: false,
        workers: 2,
        fence,
    }
}

/// The shop under another name.
pub(crate) fn as_regained() -> RestoreTarget {
    RestoreTarget::Databases { names: vec!["shop".into()], restore_to: Some("regained".into()) }
}
