//! Servers of other major versions, and what tests of them rely on.

use std::time::{Duration, Instant};

use strongroom_testkit::{Cluster, Strongroom, installed_versions, tested_versions};

#[test]
fn a_cluster_is_of_the_version_asked_for() {
    for version in tested_versions() {
        let cluster = Cluster::builder().version(version).start();
        assert_eq!(cluster.version(), version);
        let told: u32 = cluster.psql("postgres", "SHOW server_version_num").parse().unwrap();
        assert_eq!(told / 10_000, version);
        assert_eq!(installed_versions()[&version], cluster.bin_dir());

        cluster.psql("postgres", "CREATE TABLE kept (a int); CHECKPOINT");
        cluster.restart();
        assert_eq!(cluster.psql("postgres", "SELECT count(*) FROM kept"), "0");
    }
}

#[test]
#[should_panic(expected = "run ./dev setup-postgres 9")]
fn a_version_that_is_missing_fails_the_test() {
    let _ = Cluster::builder().version(9);
}

#[test]
fn every_version_has_the_extensions_that_we_use() {
    for version in tested_versions() {
        let cluster = Cluster::builder().version(version).start();
        cluster.psql(
            "postgres",
            "CREATE EXTENSION pageinspect; CREATE EXTENSION pgcrypto; CREATE TABLE t (a int); INSERT INTO t VALUES (1)",
        );
        let read = "SELECT count(*), encode(digest('a', 'md5'), 'hex') = md5('a')
                    FROM heap_page_items(get_raw_page('t', 0))";
        assert_eq!(cluster.psql("postgres", read), "1|t", "{version}");
    }
}

#[test]
fn summaries_of_changes_follow_a_checkpoint() {
    let cluster = Cluster::builder().version(17).setting("summarize_wal = on").start();
    cluster
        .psql("postgres", "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)");
    let reached = cluster.psql("postgres", "SELECT pg_current_wal_insert_lsn()");
    cluster.psql("postgres", "CHECKPOINT");

    let summarized =
        format!("SELECT max(end_lsn) >= '{reached}' FROM pg_available_wal_summaries()");
    let deadline = Instant::now() + Duration::from_secs(30);
    while cluster.psql("postgres", &summarized) != "t" {
        assert!(Instant::now() < deadline, "no summary up to {reached}: {}", cluster.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let blocks = "SELECT count(DISTINCT c.relblocknumber) FROM pg_available_wal_summaries() AS s,
                  pg_wal_summary_contents(s.tli, s.start_lsn, s.end_lsn) AS c
                  WHERE c.relfilenode = pg_relation_filenode('t') AND NOT c.is_limit_block";
    assert_eq!(cluster.psql("postgres", blocks), "5");
}

#[test]
fn a_program_finds_the_tools_of_a_clusters_version() {
    let cluster = Cluster::builder().version(17).start();
    let shell =
        Strongroom::new("/bin/sh").args(["-c", "\"$STRONGROOM_PG_BINDIR/pg_dump\" --version"]);
    let told = shell.programs_of(&cluster).expect_ok().stdout;
    assert!(told.contains("(PostgreSQL) 17."), "{told}");
}
