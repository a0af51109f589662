//! The fixture proves nothing about a backup unless PostgreSQL's own tools can carry it over.

use std::process::Command;

use strongroom_testkit::{Cluster, assert_same_contents, assert_same_dump, fixtures};

#[test]
fn everything_is_carried_over_by_pg_dump_and_pg_restore() {
    let source = Cluster::start();
    source.create_database("everything");
    source.psql("everything", fixtures::everything());

    let target = Cluster::start();
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
    let cluster = Cluster::start();
    for database in ["a", "b"] {
        cluster.create_database(database);
        cluster.psql(database, fixtures::everything());
    }
    assert_same_contents(&cluster.tables_hash("a"), &cluster.tables_hash("b"));
    assert_same_dump(&cluster.pg_dump("a", &[]), &cluster.pg_dump("b", &[]));
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

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
