use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use strongroom_testkit::Cluster;

#[test]
fn a_cluster_answers_by_tcp_and_by_socket() {
    let cluster = Cluster::start();
    cluster.create_database("odd \"name\" %");
    cluster.psql("odd \"name\" %", "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)");

    for url in [cluster.url("odd \"name\" %"), cluster.socket_url("odd \"name\" %")] {
        let mut psql = Command::new(cluster.bin_dir().join("psql"));
        let output = psql.args(["-AtX", &url, "-c", "SELECT sum(a) FROM t"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "3\n", "{url}");
    }
    assert_eq!(cluster.databases(), ["odd \"name\" %", "postgres"]);
    assert_eq!(
        cluster.psql(
            "template1",
            "SHOW server_encoding; SHOW fsync; SELECT datcollate FROM pg_database WHERE datname = current_database()"
        ),
        "UTF8\noff\nC"
    );
}

#[test]
fn an_error_in_sql_is_told() {
    let cluster = Cluster::start();
    let error = cluster.try_psql("postgres", "SELECT 1; SELECT nonsense; SELECT 2").unwrap_err();
    assert!(error.contains("column \"nonsense\" does not exist"), "{error}");
}

#[test]
fn a_password_is_really_asked_for() {
    let cluster = Cluster::builder().password("s3cret /@").setting("work_mem = '3MB'").start();
    assert_eq!(cluster.psql("postgres", "SHOW work_mem"), "3MB");

    let connect = |url: String| {
        let mut psql = Command::new(cluster.bin_dir().join("psql"));
        let output = psql.args(["-wAtX", &url, "-c", "SELECT 1"]).output().unwrap();
        output.status.success()
    };
    assert!(connect(cluster.url("postgres")));
    assert!(!connect(cluster.user_url("postgres", None, "postgres")));
    assert!(!connect(cluster.user_url("postgres", Some("wrong"), "postgres")));
}

#[test]
fn a_stopped_cluster_starts_again_and_a_dropped_one_leaves_nothing() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE TABLE kept (a int); CHECKPOINT");
    cluster.stop();
    assert!(cluster.try_psql("postgres", "SELECT 1").is_err());
    cluster.restart();
    assert_eq!(cluster.psql("postgres", "SELECT count(*) FROM kept"), "0");

    let dir = cluster.socket_dir().to_owned();
    let pid = server_pid(&cluster);
    assert!(is_running(&pid));
    drop(cluster);
    assert!(!is_running(&pid));
    assert!(!dir.exists());
}

#[test]
fn contents_are_equal_whatever_the_order_of_rows_and_differ_by_one_value() {
    let cluster = Cluster::start();
    let load = |database: &str, rows: &str, last: &str| {
        cluster.create_database(database);
        cluster.psql(
            database,
            &format!(
                "CREATE TABLE t (t text, x float8);
                 INSERT INTO t SELECT 'row ' || g, g / 3.0 FROM {rows} AS g;
                 CREATE TABLE none ();
                 INSERT INTO none DEFAULT VALUES;
                 CREATE TABLE parted (a int) PARTITION BY LIST (a);
                 CREATE TABLE \"odd.part\nition\" PARTITION OF parted FOR VALUES IN (1);
                 INSERT INTO parted VALUES (1);
                 CREATE MATERIALIZED VIEW later AS SELECT 1 WITH NO DATA;
                 CREATE SEQUENCE s;
                 SELECT setval('s', 7, {last});
                 SELECT lo_from_bytea(4711, 'abc');"
            ),
        );
    };
    load("a", "generate_series(1, 1000)", "true");
    load("b", "generate_series(1000, 1, -1)", "true");
    load("c", "generate_series(1, 1000)", "false");
    cluster.psql("c", "UPDATE t SET x = x + 1e-12 WHERE t = 'row 500'");

    let a = cluster.tables_hash("a");
    assert_eq!(a, cluster.tables_hash("b"));
    assert_eq!(
        a.keys().collect::<Vec<_>>(),
        [
            "large object 4711",
            "public.later",
            "public.none",
            "public.odd.part\nition",
            "public.parted",
            "public.t",
            "sequence public.s"
        ]
    );
    assert_eq!(a["public.later"], "not populated");
    assert_eq!(a["sequence public.s"], "last_value 7, is_called t");
    assert!(a["public.none"].starts_with("1 rows"), "{a:?}");

    let c = cluster.tables_hash("c");
    let differing: Vec<_> = a.keys().filter(|name| a[*name] != c[*name]).collect();
    assert_eq!(differing, ["public.t", "sequence public.s"]);

    assert_eq!(cluster.pg_dump("a", &[]), cluster.pg_dump("b", &[]));
    assert_ne!(cluster.pg_dump("a", &[]), cluster.pg_dump("c", &[]));
}

/// The name of a run of this very test program in which a test starts a server and is then killed.
const ABANDON: &str = "STRONGROOM_TESTKIT_ABANDON";

#[test]
fn a_server_whose_test_was_killed_is_stopped_by_the_next() {
    if let Some(told) = std::env::var_os(ABANDON) {
        let cluster = Cluster::start();
        let (dir, pid) = (cluster.data_dir(), server_pid(&cluster));
        std::fs::write(told, format!("{}\n{pid}", dir.display())).unwrap();
        std::process::abort();
    }

    let told = tempfile::NamedTempFile::new().unwrap();
    let name = "cluster::a_server_whose_test_was_killed_is_stopped_by_the_next";
    let mut killed = Command::new(std::env::current_exe().unwrap());
    killed.args(["--exact", name]).env(ABANDON, told.path());
    assert!(!killed.output().unwrap().status.success());
    let told = std::fs::read_to_string(told.path()).unwrap();
    let (data_dir, pid) = told.split_once('\n').unwrap();

    // A test process sweeps once, before its first cluster; this one may have done so already.
    let mut next = Command::new(std::env::current_exe().unwrap());
    next.args(["--exact", "cluster::an_error_in_sql_is_told"]);
    assert!(next.output().unwrap().status.success());
    // Another test process may have begun to sweep before and be about to finish.
    let deadline = Instant::now() + Duration::from_secs(10);
    while (is_running(pid) || Path::new(data_dir).exists()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!is_running(pid), "the server is stopped");
    assert!(!Path::new(data_dir).exists(), "its directory is removed");
}

fn server_pid(cluster: &Cluster) -> String {
    let file = std::fs::read_to_string(cluster.data_dir().join("postmaster.pid")).unwrap();
    file.lines().next().unwrap().to_owned()
}

/// Whether a process lives; one that has ended and was not yet asked for its exit code does not.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
