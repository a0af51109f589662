//! Restore drills: `verify --restore` restores into a throwaway server and counts.

use strongroom_testkit::{Cluster, fixtures};
use tempfile::TempDir;

use crate::support::{collection, strongroom};

/// A cluster with a table that is partitioned by the hash of an enum, in two levels.
struct Sky {
    cluster: Cluster,
    place: String,
    _folder: TempDir,
}

impl Sky {
    fn new() -> Self {
        let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
        cluster.create_database("sky");
        cluster.psql("sky", fixtures::enum_hash_partitions());
        let place = collection(folder.path());
        Sky { cluster, place, _folder: folder }
    }

    /// Backs these up and drills: the numbers of tables and rows.
    #[track_caller]
    fn drill(&self, more: &[&str]) -> (u64, u64) {
        let url = self.cluster.url("postgres");
        let backup = ["backup", "--from", &url, "--into", &self.place];
        strongroom(&[&backup[..], more].concat()).expect_ok();
        let verify = ["verify", "latest", "--restore", "--in", &self.place, "--json"];
        let verified = strongroom(&verify).expect_ok().json();
        (verified["restored_tables"].as_u64().unwrap(), verified["rows"].as_u64().unwrap())
    }
}

#[test]
fn partitions_by_hash_are_counted_where_they_were_restored_to() {
    let sky = Sky::new();
    sky.cluster.psql("sky", "CREATE TABLE moons AS SELECT generate_series(1, 7) AS moon");
    let rows = |table: &str| -> u64 {
        sky.cluster.psql("sky", &format!("SELECT count(*) FROM {table}")).parse().unwrap()
    };
    // Rows may go to other partitions than they came from, so they are counted at the topmost table.
    assert_eq!(sky.drill(&["--database", "sky"]), (6, rows("visits") + 7));
    assert_eq!(sky.drill(&["--table", "sky.public.visits"]), (5, rows("visits")));
    // A partition without that one is a table of its own, and one that has partitions itself is their
    // topmost table.
    let partition = ["--table", "sky.public.visits_0"];
    assert_eq!(sky.drill(&partition), (1, rows("visits_0")));
    let nested = ["--table", "sky.public.visits_3", "--table", "sky.public.moons"];
    assert_eq!(sky.drill(&nested), (3, rows("visits_3") + 7));
    let lowest = ["--table", "sky.public.visits_3_0", "--table", "sky.public.visits_1"];
    assert_eq!(sky.drill(&lowest), (2, rows("visits_3_0") + rows("visits_1")));
}
