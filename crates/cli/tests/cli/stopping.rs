//! Ctrl-C and SIGTERM, and the question that a cluster restore asks.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use strongroom_testkit::{Cluster, Proxy, Running};
use tempfile::TempDir;

use crate::support::{collection, strongroom};

/// A backup that hangs in its first connection until it is told to end.
fn hanging(cluster: &Cluster, proxy: &Proxy, into: &str) -> Running {
    proxy.stall();
    let url = cluster.url_at(proxy.port(), "postgres");
    let run =
        strongroom(&["backup", "--from", &format!("{url}?connect_timeout=60"), "--into", into]);
    let run = run.timeout(Duration::from_secs(30)).spawn();
    let begun = Instant::now();
    while proxy.connections() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no connection was opened");
        thread::sleep(Duration::from_millis(10));
    }
    run
}

#[test]
fn the_second_signal_ends_the_program_at_once() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    for signal in ["INT", "TERM"] {
        let proxy = Proxy::to(cluster.port());
        let mut run = hanging(&cluster, &proxy, &collection(folder.path()));
        run.signal(signal);
        thread::sleep(Duration::from_millis(300));
        if run.is_running() {
            run.signal(signal);
        }
        let output = run.wait();
        assert_eq!(output.code, Some(1), "{output:?}");
        assert_eq!(output.stdout, "");
        assert!(
            output
                .stderr
                .starts_with("stopping: cleaning up (press Ctrl-C again to leave remains)\n"),
            "{}",
            output.stderr
        );
        assert!(output.duration < Duration::from_secs(20), "{output:?}");
    }
}

/// Runs the program at a terminal, where somebody types this line, and returns what it showed.
fn at_a_terminal(args: &[&str], typed: &str) -> (Option<i32>, String) {
    let quoted = |arg: &&str| format!("'{arg}'");
    let args: Vec<_> = args.iter().map(quoted).collect();
    let command = format!("{} {}", env!("CARGO_BIN_EXE_strongroom"), args.join(" "));
    let script =
        format!("(sleep 2; echo '{typed}'; sleep 2) | script -qec \"{command}\" /dev/null");
    let output = Command::new("sh").args(["-c", &script]).env("TERM", "xterm").output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_cluster_restore_that_is_not_confirmed_changes_nothing() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    let (place, url) = (collection(folder.path()), cluster.url("postgres"));
    strongroom(&["backup", "--from", &url, "--into", &place]).expect_ok();
    cluster.create_database("later");
    let restore = ["restore", "cluster", "--from", "latest", "--in", &place, "--to", &url];
    let (code, shown) = at_a_terminal(&restore, "yes");
    assert_eq!(code, Some(1), "{shown}");
    let word = format!("127.0.0.1:{}", cluster.port());
    assert!(shown.contains(&format!("Type {word} to go on")), "{shown}");
    assert!(shown.contains("error: the restore was not confirmed; nothing was changed"), "{shown}");
    assert!(cluster.databases().contains(&"later".to_owned()));
}

/// What a restore has staged, and its keeper: a session that leaves by itself.
struct OtherRestore<'a> {
    cluster: &'a Cluster,
    keeper: Child,
}

impl<'a> OtherRestore<'a> {
    fn begin(cluster: &'a Cluster, seconds: &str) -> Self {
        cluster.psql("postgres", "CREATE SCHEMA strongroom_staging_0123abcd_0");
        let mut keeper = cluster.client("psql", "postgres");
        keeper.env("PGAPPNAME", "strongroom restore 0123abcd");
        keeper.stdout(Stdio::null()).stderr(Stdio::null());
        let keeper = keeper.args(["-c", &format!("SELECT pg_sleep({seconds})")]).spawn().unwrap();
        let connected = "SELECT 1 FROM pg_stat_activity
                         WHERE application_name = 'strongroom restore 0123abcd'";
        let begun = Instant::now();
        while cluster.psql("postgres", connected).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the keeper does not connect");
        }
        OtherRestore { cluster, keeper }
    }

    fn remains(&self) -> bool {
        let schema = "SELECT to_regnamespace('strongroom_staging_0123abcd_0') IS NOT NULL";
        self.cluster.psql("postgres", schema) == "t"
    }
}

impl Drop for OtherRestore<'_> {
    fn drop(&mut self) {
        // Its client ends with it.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE application_name = 'strongroom restore 0123abcd'";
        let _ = self.cluster.try_psql("postgres", end);
        let _ = self.keeper.wait();
    }
}

#[test]
fn a_restore_does_not_wait_for_another_one() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    let (place, url) = (collection(folder.path()), cluster.url("postgres"));
    cluster.psql("postgres", "CREATE TABLE one AS SELECT 1 AS one");
    strongroom(&["backup", "--from", &url, "--into", &place]).expect_ok();
    let wheres = ["--from", "latest", "--in", &place, "--to", &url];
    let restore = |name: &'static str| {
        let table = ["restore", "table", "postgres.public.one", "--into-schema", name];
        strongroom(&[&table[..], &wheres].concat())
    };
    let seconds = |names: [&'static str; 3], told: bool| {
        let run = |name| {
            let output = restore(name).expect_ok();
            let tells = output.stderr.contains("another restore (0123abcd) is running");
            assert_eq!(tells, told, "{output:#?}");
            output.duration.as_secs_f64()
        };
        names.map(run).into_iter().fold(f64::INFINITY, f64::min)
    };
    let alone = seconds(["a", "b", "c"], false);
    let other = OtherRestore::begin(&cluster, "600");
    let beside = seconds(["d", "e", "f"], true);
    assert!(other.remains());
    assert!(beside < alone + 1.5, "{beside} s beside another restore, {alone} s alone");
    drop(other);
    // It is gone: the next one cleans up after it.
    restore("g").expect_ok();
    let remains = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'strongroom%'";
    assert_eq!(cluster.psql("postgres", remains), "");
}

#[test]
#[cfg(feature = "failpoints")]
fn what_another_restore_leaves_meanwhile_is_removed_at_the_end() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    let (place, url) = (collection(folder.path()), cluster.url("postgres"));
    cluster.psql("postgres", "CREATE TABLE one AS SELECT 1 AS one");
    strongroom(&["backup", "--from", &url, "--into", &place]).expect_ok();
    let other = OtherRestore::begin(&cluster, "3");
    let table = ["restore", "table", "postgres.public.one", "--into-schema", "a"];
    let wheres = ["--from", "latest", "--in", &place, "--to", &url];
    let restore = strongroom(&[&table[..], &wheres].concat());
    restore.failpoints("restore.before-publish=sleep(4000)").expect_ok();
    assert!(!other.remains());
}
