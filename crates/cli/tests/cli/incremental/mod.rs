//! Incremental backups hold what full ones would.
//!
//! `model` runs everything at once, at random, and compares each backup with what its read point
//! saw. `traps` has what can go wrong one by one, `chains` the choice of the backup to build on.

mod chains;
mod contents;
mod model;
mod traps;

use serde_json::Value;
use strongroom_testkit::{Cluster, ClusterBuilder, Strongroom};
use tempfile::TempDir;

use self::contents::Stored;
use crate::support::{collection, strongroom};

/// Tables of some hundred kilobytes are cut into many segments, of four pages each.
const SMALL_SEGMENTS: &str = "backup.segment-bytes=return(32768)";

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

/// A cluster, and a collection for its backups.
struct Chain {
    cluster: Cluster,
    folder: TempDir,
    detector: &'static str,
}

impl Chain {
    /// With a database `d`, in which `sql` was run.
    fn new(detector: &'static str, sql: &str) -> Self {
        let cluster = builder(detector).start();
        create_database(&cluster, "d", detector);
        cluster.psql("d", sql);
        Chain { cluster, folder: TempDir::new().unwrap(), detector }
    }

    fn place(&self) -> String {
        collection(self.folder.path())
    }

    /// A backup of the database `d`, to be run.
    fn backup(&self, more: &[&str]) -> Strongroom {
        let args = ["--database", "d", "--incremental", "--detector", self.detector];
        self.backup_of(&[&args[..], more].concat())
    }

    /// A backup, to be run.
    fn backup_of(&self, args: &[&str]) -> Strongroom {
        let (url, place) = (self.cluster.url("postgres"), self.place());
        let all = ["backup", "--from", &url, "--into", &place, "--json"];
        strongroom(&[&all[..], args].concat())
            .programs_of(&self.cluster)
            .failpoints(SMALL_SEGMENTS)
    }

    /// Takes a backup of `d`, which must be a full one.
    #[track_caller]
    fn full(&self) -> Value {
        let taken = self.backup(&[]).expect_ok().json();
        assert_eq!(taken["type"], "full", "{taken}");
        taken
    }

    /// Takes an incremental of `d`, which must hold what is there now.
    #[track_caller]
    fn incremental(&self) -> Stored {
        let taken = self.backup(&[]).expect_ok().json();
        assert_eq!(taken["type"], "incremental", "{taken}");
        assert_eq!(taken["detector"], self.detector, "{taken}");
        let stored = self.newest();
        self.assert_holds_the_present(&stored);
        stored
    }

    fn newest(&self) -> Stored {
        Stored::newest(self.folder.path())
    }

    #[track_caller]
    fn assert_holds_the_present(&self, stored: &Stored) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for (database, rows) in stored.rows() {
            let now = runtime.block_on(contents::seen(&self.cluster.url(&database), None)).unwrap();
            let differences = contents::differences(&now, &rows);
            assert!(differences.is_empty(), "{}: {database}: {differences:#?}", self.detector);
        }
    }
}
