//! Incremental backups hold what full ones would.
//!
//! `model` runs everything at once, at random, and compares each backup with what its read point
//! saw. `traps` has what can go wrong one by one, `chains` the choice of the backup to build on.

mod chains;
mod contents;
mod model;
mod traps;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use serde_json::Value;
use strongroom_testkit::{Cluster, ClusterBuilder, Strongroom};
use tempfile::TempDir;

use self::contents::Stored;
use crate::support::{collection, strongroom};

/// Tables of some hundred kilobytes are cut into many segments, of four pages each.
const SMALL_SEGMENTS: &str = "backup.segment-bytes=return(32768)";

/// Transactions of other tests on the same server are waited for.
const LONG_PATIENCE: &str = "backup.floor-patience=return(20000)";

/// The detectors, each with a server that allows it.
const DETECTORS: [&str; 3] = ["wal-summary", "page-lsn", "version-digest"];

/// A cluster that allows a detector, to be made.
fn builder(detector: &str) -> ClusterBuilder {
    let builder = Cluster::builder().setting("max_prepared_transactions = 10");
    match detector {
        "wal-summary" => builder.version(17).setting("summarize_wal = on"),
        _ => builder,
    }
}

/// Makes a database in which a detector can be used.
fn create_database(cluster: &Cluster, name: &str, detector: &str) {
    cluster.create_database(name);
    if detector == "page-lsn" {
        cluster.psql(name, "CREATE EXTENSION pageinspect");
    }
}

/// A server with a detector that is shared by the tests that run at the same time.
fn shared(detector: &'static str) -> Arc<Cluster> {
    static SHARED: Mutex<BTreeMap<&str, Weak<Cluster>>> = Mutex::new(BTreeMap::new());
    // A test that failed to make it has said why; the next one tries again.
    let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(cluster) = shared.get(detector).and_then(Weak::upgrade) {
        return cluster;
    }
    // Nothing but the tests themselves shall touch their tables.
    let cluster = Arc::new(builder(detector).setting("autovacuum = off").start());
    shared.insert(detector, Arc::downgrade(&cluster));
    cluster
}

/// A database, and a collection for its backups.
struct Chain {
    cluster: Arc<Cluster>,
    database: String,
    folder: TempDir,
    detector: &'static str,
    /// Armed besides those that cut segments small.
    failpoints: &'static str,
}

/// A table that nobody changes: it must be kept, or what holds for the others says nothing.
const STILL: &str = "CREATE TABLE still AS SELECT n, repeat(md5(n::text), 4) AS note
                     FROM generate_series(1, 500) n;";

impl Chain {
    /// In a database of this name on the shared server, in which `sql` was run.
    fn new(detector: &'static str, database: &str, sql: &str) -> Self {
        Chain::on(shared(detector), detector, database, sql)
    }

    /// On a server of its own, which may be stopped.
    fn alone(detector: &'static str, sql: &str) -> Self {
        Chain::on(Arc::new(builder(detector).start()), detector, "d", sql)
    }

    fn on(cluster: Arc<Cluster>, detector: &'static str, database: &str, sql: &str) -> Self {
        create_database(&cluster, database, detector);
        cluster.psql(database, &format!("{STILL} {sql}"));
        let folder = TempDir::new().unwrap();
        let (database, failpoints) = (database.to_owned(), LONG_PATIENCE);
        Chain { cluster, database, folder, detector, failpoints }
    }

    fn place(&self) -> String {
        collection(self.folder.path())
    }

    /// Runs SQL, in one transaction unless it says otherwise.
    #[track_caller]
    fn sql(&self, sql: &str) -> String {
        self.cluster.psql(&self.database, sql)
    }

    /// Waits until the sessions of the last backup have ended, and with them what they keep alive.
    fn wait_until_alone(&self) {
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                      AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        while self.sql(others) != "0" {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// An incremental backup of the database, to be run.
    fn backup(&self, more: &[&str]) -> Strongroom {
        let args = ["--database", &self.database, "--incremental", "--detector", self.detector];
        self.backup_of(&[&args[..], more].concat())
    }

    /// A backup of whatever, to be run.
    fn backup_of(&self, args: &[&str]) -> Strongroom {
        // A summary tells what was touched between two checkpoints, and no finer.
        if self.detector == "wal-summary" {
            self.cluster.psql("postgres", "CHECKPOINT");
        }
        let (url, place) = (self.cluster.url("postgres"), self.place());
        let all = ["backup", "--from", &url, "--into", &place, "--json"];
        strongroom(&[&all[..], args].concat())
            .programs_of(&self.cluster)
            .failpoints(&format!("{SMALL_SEGMENTS};{}", self.failpoints))
    }

    /// Takes a backup, which must be a full one.
    #[track_caller]
    fn full(&self) -> Value {
        let taken = self.backup(&[]).expect_ok().json();
        assert_eq!(taken["type"], "full", "{taken}");
        self.assert_holds_the_present();
        taken
    }

    /// Takes an incremental, which must hold what is there now, and has read nothing of the table that
    /// nobody changes.
    #[track_caller]
    fn incremental(&self) -> Stored {
        let (stored, _) = self.incremental_of_whatever();
        let still = format!("{}.public.still", self.database);
        assert_eq!(stored.added().get(&still), Some(&0), "{}: {:?}", self.detector, stored.added());
        stored
    }

    #[track_caller]
    fn incremental_of_whatever(&self) -> (Stored, Value) {
        let taken = self.backup(&[]).expect_ok().json();
        assert_eq!(taken["type"], "incremental", "{taken}");
        assert_eq!(taken["detector"], self.detector, "{taken}");
        (self.assert_holds_the_present(), taken)
    }

    /// Takes a backup, which must be a full one and say this about the reason.
    #[track_caller]
    fn full_because(&self, more: &[&str], reason: &str) {
        let taken = self.backup(more).expect_ok().json();
        let because = taken["full_because"].as_str().unwrap_or_default();
        assert_eq!(taken["type"], "full", "{taken}");
        assert!(because.contains(reason), "{taken}");
        assert!(taken["notes"].to_string().contains("a full backup is taken"), "{taken}");
    }

    fn newest(&self) -> Stored {
        Stored::newest(self.folder.path())
    }

    /// Asserts that the newest backup holds what is there now.
    #[track_caller]
    fn assert_holds_the_present(&self) -> Stored {
        let stored = self.newest();
        let differences = self.differences(&stored);
        assert!(differences.is_empty(), "{}: {differences:#?}", self.detector);
        stored
    }

    fn differences(&self, stored: &Stored) -> Vec<String> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut found = Vec::new();
        for (database, rows) in stored.rows() {
            let url = self.cluster.url(&database);
            let now = runtime.block_on(contents::seen(&url, None)).unwrap();
            found.extend(contents::differences(&now, &rows));
        }
        found
    }
}
