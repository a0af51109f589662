//! The fixture proves nothing about a backup unless PostgreSQL's own tools can carry it over.

use std::process::Command;

use strongroom_testkit::{
    Cluster, assert_same_contents, assert_same_dump, fixtures, tested_versions,
};

#[test]
fn everything_is_carried_over_by_pg_dump_and_pg_restore() {
    // 14 and 16 are installed with the clients of 17, which say what these servers do not understand.
    for version in versions_of_the_fixture().filter(|version| ![14, 16].contains(version)) {
        carry_everything_over(version);
    }
}

fn carry_everything_over(version: u32) {
    let source = Cluster::builder().version(version).start();
    source.create_database("everything");
    source.psql("everything", fixtures::everything());

    let target = Cluster::builder().version(version).start();
    let dir = tempfile::tempdir().unwrap();
    let (globals, dump) = (dir.path().join("globals.sql"), dir.path().join("dump"));
    run(source.client("pg_dumpall", "postgres").arg("--globals-only").arg("-f").arg(&globals));
    run(source.client("pg_dump", "everything").args(["-Fc", "-Z0"]).arg("-f").arg(&dump));
    // Not stopping at errors, as the superuser exists already.
    run(target.client("psql", "postgres").arg("-qf").arg(&globals));
    let mut restore = target.client("pg_restore", "postgres");
    run(restore.args(["--create", "--exit-on-error", "-d", "postgres"]).arg(&dump));

    assert_same_contents(&source.tables_hash("everything"), &target.tables_hash("everything"));
    assert_same_dump(
        &source.pg_dump("everything", &["--create"]),
        &target.pg_dump("everything", &["--create"]),
    );
}

#[test]
fn everything_can_be_loaded_twice_into_one_cluster_and_is_the_same() {
    for version in versions_of_the_fixture() {
        let cluster = Cluster::builder().version(version).start();
        for database in ["a", "b"] {
            cluster.create_database(database);
            cluster.psql(database, fixtures::everything());
        }
        assert_same_contents(&cluster.tables_hash("a"), &cluster.tables_hash("b"));
        assert_same_dump(&cluster.pg_dump("a", &[]), &cluster.pg_dump("b", &[]));
    }
}

#[test]
fn rows_hashed_by_an_enum_move_between_partitions() {
    let cluster = Cluster::start();
    for database in ["a", "b"] {
        cluster.create_database(database);
        cluster.psql(database, fixtures::enum_hash_partitions());
    }
    let (a, b) = (cluster.tables_hash("a"), cluster.tables_hash("b"));
    assert_eq!(a["public.visits"], b["public.visits"]);
    assert_ne!(a, b);
}

fn versions_of_the_fixture() -> impl Iterator<Item = u32> {
    tested_versions().into_iter().filter(|version| *version >= 14)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
