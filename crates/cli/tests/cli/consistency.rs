//! A backup shows one moment, whatever runs on the server meanwhile.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;
use strongroom_testkit::{Cluster, assert_same_dump};
use tempfile::TempDir;

use crate::support::{collection, strongroom};

/// A pgbench that runs until this is dropped.
struct Load(Child);

impl Load {
    fn start(cluster: &Cluster, args: &[&str]) -> Self {
        let mut pgbench = cluster.client("pgbench", "bank");
        pgbench.args(["--no-vacuum", "--time=600"]).args(args);
        Load(pgbench.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Whether it goes on; it ends at the first statement that fails.
    fn runs(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A cluster with a database `bank`, in which pgbench has made its tables.
fn bank() -> Cluster {
    let cluster = Cluster::start();
    cluster.create_database("bank");
    let mut pgbench = cluster.client("pgbench", "bank");
    let made = pgbench.args(["-i", "-q", "-s", "2"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    cluster
}

fn back_up(cluster: &Cluster, place: &str) -> Value {
    let url = cluster.url("postgres");
    let args = ["backup", "--from", &url, "--database", "bank", "--into", place, "--workers", "2"];
    strongroom(&[&args[..], &["--json"]].concat()).expect_ok().json()
}

fn restore(cluster: &Cluster, place: &str, id: &str, to: &str) {
    let url = cluster.url("postgres");
    let args = ["restore", "database", "bank", "--restore-to", to, "--from", id, "--in", place];
    strongroom(&[&args[..], &["--to", &url]].concat()).expect_ok();
}

fn history(cluster: &Cluster) -> u64 {
    cluster.psql("bank", "SELECT count(*) FROM pgbench_history").parse().unwrap()
}

/// Asserts that every transaction of pgbench is in the database as a whole or not at all: each adds
/// the same amount in four tables.
#[track_caller]
fn assert_balanced(cluster: &Cluster, database: &str) {
    let sums = "SELECT (SELECT sum(abalance) FROM pgbench_accounts),
                       (SELECT sum(tbalance) FROM pgbench_tellers),
                       (SELECT sum(bbalance) FROM pgbench_branches),
                       (SELECT coalesce(sum(delta), 0) FROM pgbench_history)";
    let sums = cluster.psql(database, sums);
    let sums: Vec<&str> = sums.split('|').collect();
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{database}: {sums:?}");
}

#[test]
fn a_running_pgbench_is_in_the_books_whole_or_not_at_all() {
    let (cluster, folder) = (bank(), TempDir::new().unwrap());
    let place = collection(folder.path());
    let mut load = Load::start(&cluster, &["--client=4"]);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let before = history(&cluster);
        let taken = back_up(&cluster, &place);
        let during = history(&cluster) - before;
        assert!(during > 20, "only {during} transactions ran beside the backup");
        ids.push(taken["id"].as_str().unwrap().to_owned());
    }
    assert!(load.runs(), "pgbench failed beside a backup");
    drop(load);
    let mut seen = 0;
    for (number, id) in ids.iter().enumerate() {
        let copy = format!("copy_{number}");
        restore(&cluster, &place, id, &copy);
        assert_balanced(&cluster, &copy);
        let rows = cluster.psql(&copy, "SELECT count(*) FROM pgbench_history").parse().unwrap();
        assert!(rows > seen, "backup {id} shows no later moment than the one before");
        seen = rows;
        assert_same_dump(
            &cluster.pg_dump("bank", &["--schema-only"]),
            &cluster.pg_dump(&copy, &["--schema-only"]),
        );
    }
}

/// Tables that change their definitions or their files all the time, and yet hold a thousand rows at
/// each committed moment. What a snapshot does not protect from: a table that was truncated or
/// rewritten after the snapshot looks empty to it.
const CHURNED: &str = "
    CREATE TABLE generations (generation int);
    INSERT INTO generations VALUES (0);
    CREATE TABLE truncated AS SELECT n, 0 AS generation FROM generate_series(1, 1000) AS n;
    CREATE TABLE rewritten AS SELECT n, 0::bigint AS v FROM generate_series(1, 1000) AS n;
    CREATE TABLE vacuumed AS SELECT n, 0 AS v FROM generate_series(1, 1000) AS n;
    CREATE TABLE widened AS SELECT n FROM generate_series(1, 1000) AS n;
    CREATE TABLE replaced AS SELECT n FROM generate_series(1, 1000) AS n;";

/// What happens to them, each by a script of its own that pgbench takes turns with.
const CHURN: &[(&str, &str)] = &[
    (
        "truncate",
        "BEGIN;
         TRUNCATE truncated;
         UPDATE generations SET generation = generation + 1;
         INSERT INTO truncated SELECT n, generation FROM generations, generate_series(1, 1000) AS n;
         COMMIT;",
    ),
    ("rewrite", "ALTER TABLE rewritten ALTER v TYPE bigint USING v + 1;"),
    ("vacuum", "UPDATE vacuumed SET v = v + 1;\nVACUUM FULL vacuumed;"),
    (
        "widen",
        "ALTER TABLE widened ADD extra int DEFAULT 7;
         ALTER TABLE widened DROP extra;",
    ),
    (
        "replace",
        "BEGIN;
         CREATE TABLE replacement AS SELECT n FROM generate_series(1, 1000) AS n;
         DROP TABLE replaced;
         ALTER TABLE replacement RENAME TO replaced;
         COMMIT;",
    ),
    (
        "come_and_go",
        "CREATE TABLE fleeting AS SELECT n FROM generate_series(1, 1000) AS n;
         DROP TABLE fleeting;",
    ),
];

/// The arguments that make pgbench run the scripts.
fn churn(folder: &Path) -> Vec<String> {
    let script = |(name, sql): &(&str, &str)| {
        let path = folder.join(name);
        fs::write(&path, sql).unwrap();
        format!("--file={}", path.display())
    };
    CHURN.iter().map(script).collect()
}

#[test]
fn tables_that_are_truncated_rewritten_or_replaced_are_never_half_there() {
    let (cluster, folder) = (bank(), TempDir::new().unwrap());
    let scripts = TempDir::new().unwrap();
    let place = collection(folder.path());
    cluster.psql("bank", CHURNED);
    let scripts = churn(scripts.path());
    let mut churn = vec!["--rate=10"];
    churn.extend(scripts.iter().map(String::as_str));
    let mut churning = Load::start(&cluster, &churn);
    let mut banking = Load::start(&cluster, &["--client=2"]);
    let generation = || cluster.psql("bank", "SELECT generation FROM generations");
    for number in 0..3 {
        let before = generation();
        while generation() == before {
            assert!(churning.runs(), "the churn ended");
            std::thread::sleep(Duration::from_millis(20));
        }
        back_up(&cluster, &place);
        let copy = format!("copy_{number}");
        restore(&cluster, &place, "latest", &copy);
        assert_balanced(&cluster, &copy);
        for table in ["truncated", "rewritten", "vacuumed", "widened", "replaced"] {
            let rows = cluster.psql(&copy, &format!("SELECT count(*), sum(n) FROM {table}"));
            assert_eq!(rows, "1000|500500", "{table} in backup {number}");
        }
        // The truncating transaction changes two tables at once, the others all rows of one.
        let whole = "SELECT count(DISTINCT t.generation), min(t.generation) = min(g.generation),
                            (SELECT count(DISTINCT v) FROM rewritten), (SELECT count(DISTINCT v) FROM vacuumed)
                     FROM truncated AS t, generations AS g";
        assert_eq!(cluster.psql(&copy, whole), "1|t|1|1");
        if !cluster.psql(&copy, "SELECT to_regclass('fleeting')").is_empty() {
            assert_eq!(cluster.psql(&copy, "SELECT count(*) FROM fleeting"), "1000");
        }
        if cluster.psql(&copy, "SELECT count(*) FROM pg_attribute WHERE attname = 'extra'") == "1" {
            assert_eq!(cluster.psql(&copy, "SELECT sum(extra) FROM widened"), "7000");
        }
        let copied: u64 =
            cluster.psql(&copy, "SELECT generation FROM generations").parse().unwrap();
        assert!(copied >= before.parse().unwrap(), "backup {number} shows the past");
    }
    assert!(churning.runs(), "the churn failed beside a backup");
    assert!(banking.runs(), "pgbench failed beside a backup");
}

#[test]
fn a_table_that_is_being_truncated_or_rewritten_is_waited_for_and_not_read_as_empty() {
    let (cluster, folder) = (bank(), TempDir::new().unwrap());
    let place = collection(folder.path());
    cluster.psql("bank", CHURNED);
    let (_, truncate) = CHURN[0];
    let (_, rewrite) = CHURN[1];
    let both = truncate.replace("BEGIN;", &format!("BEGIN; {rewrite}"));
    let slowly = both.replace("COMMIT;", "SELECT pg_sleep(2); COMMIT;");
    let mut changing = cluster.client("psql", "bank");
    let mut changing = changing.args(["-qc", &slowly]).stdout(Stdio::null()).spawn().unwrap();
    let locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
                  AND relation IN ('truncated'::regclass, 'rewritten'::regclass)";
    while cluster.psql("bank", locked) != "2" {
        assert!(changing.try_wait().unwrap().is_none(), "it ended too early");
    }
    back_up(&cluster, &place);
    assert!(changing.wait().unwrap().success());
    restore(&cluster, &place, "latest", "copy");
    let whole = "SELECT (SELECT count(*) FROM rewritten WHERE v = 1), count(*), min(generation)
                 FROM truncated";
    assert_eq!(cluster.psql("copy", whole), "1000|1000|1");
}

/// A server with room for far fewer locks than there are tables: most are locked only when it is
/// their turn.
fn crowded() -> Cluster {
    let few = ["max_locks_per_transaction = 10", "max_connections = 20"];
    let cluster =
        few.iter().fold(Cluster::builder(), |builder, line| builder.setting(line)).start();
    cluster.create_database("bank");
    cluster.psql(
        "bank",
        "SELECT format('CREATE TABLE t%s AS SELECT n FROM generate_series(1, 100) AS n', t)
         FROM generate_series(1, 150) AS t \\gexec
         CREATE TABLE empty (n int);",
    );
    cluster
}

/// Backs up with a pause between the snapshot and the first lock of the tables that were not locked
/// before it, and meanwhile does something else.
fn back_up_while(cluster: &Cluster, place: &str, sql: &str) -> Value {
    let url = cluster.url("bank");
    let args = ["backup", "--from", &url, "--database", "bank", "--into", place, "--json"];
    let run = strongroom(&args).failpoints("backup.after-read-point=1*sleep(3000)").spawn();
    let held = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'strongroom%'
                AND state = 'idle in transaction' AND backend_xmin IS NOT NULL";
    while cluster.psql("bank", held) == "0" {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    cluster.psql("bank", sql);
    let output = run.wait();
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    output.json()
}

#[test]
fn tables_without_room_for_their_locks_are_read_in_rounds_and_compared() {
    let (cluster, folder) = (crowded(), TempDir::new().unwrap());
    let place = collection(folder.path());
    // t1 to t50 are locked before the snapshot; what happens to the others shows in a comparison.
    for (number, change) in [
        "TRUNCATE t150",
        "ALTER TABLE t149 ALTER n TYPE bigint",
        "ALTER TABLE t148 RENAME TO t_148",
        "DROP TABLE t147",
        "BEGIN; TRUNCATE empty; INSERT INTO empty VALUES (1); COMMIT;",
    ]
    .iter()
    .enumerate()
    {
        let taken = back_up_while(&cluster, &place, change);
        assert!(taken["notes"].to_string().contains("taking a new read point"), "{taken}");
        let copy = format!("copy_{number}");
        restore(&cluster, &place, "latest", &copy);
        assert_same_dump(&cluster.pg_dump("bank", &[]), &cluster.pg_dump(&copy, &[]));
    }
    let taken = back_up_while(&cluster, &place, "UPDATE t150 SET n = 0");
    assert!(taken["notes"].as_array().unwrap().is_empty(), "{taken}");
    let taken = back_up_while(&cluster, &place, "ALTER SCHEMA public RENAME TO private");
    assert!(taken["notes"].to_string().contains("taking a new read point"), "{taken}");
}
