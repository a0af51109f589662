//! Backing up does not harm the server that is read.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use strongroom_testkit::{Cluster, Fault, Running, S3Server};
use tempfile::TempDir;

use crate::state::assert_no_sessions;
use crate::support::{collection, strongroom};

/// A cluster with a database `shop`, that logs what it is asked to do.
fn logging() -> Cluster {
    let cluster = Cluster::builder()
        .setting("log_statement = 'all'")
        .setting("log_disconnections = on")
        .setting("log_line_prefix = '%a '")
        .start();
    cluster.create_database("shop");
    cluster.psql(
        "shop",
        "CREATE TABLE orders AS SELECT i AS id, md5(i::text) FROM generate_series(1, 200000) AS i;
         CREATE SEQUENCE numbers; SELECT lo_from_bytea(1, 'large');",
    );
    cluster
}

#[test]
fn a_backup_only_reads_and_takes_few_connections() {
    let (cluster, folder) = (logging(), TempDir::new().unwrap());
    let before = cluster.log().len();
    let (url, place) = (cluster.url("postgres"), collection(folder.path()));
    let args = ["backup", "--from", &url, "--into", &place, "--workers", "3"];
    let mut run = strongroom(&args).spawn();
    let sessions = "SELECT count(*) FROM pg_stat_activity
                    WHERE application_name LIKE 'strongroom%' OR application_name = 'pg_dump'";
    let mut most = 0;
    while run.is_running() {
        most = most.max(cluster.psql("template1", sessions).parse::<u32>().unwrap());
    }
    assert_eq!(run.wait().code, Some(0));
    assert!((2..=3 + 4).contains(&most), "{most} sessions");

    let log = cluster.log()[before..].to_owned();
    let statements: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once("LOG:  ")?.1.split_once(": "))
        .filter(|(what, _)| *what == "statement" || what.starts_with("execute "))
        .map(|(_, statement)| statement.trim_start())
        .collect();
    let reads =
        ["SELECT", "SET", "SHOW", "BEGIN", "START", "LOCK", "COPY", "WITH", "DECLARE", "FETCH"];
    let ends =
        ["SAVEPOINT", "RELEASE", "COMMIT", "ROLLBACK", "CLOSE", "PREPARE", "EXECUTE", "DEALLOCATE"];
    for statement in &statements {
        let word = statement.split([' ', ';', '(']).next().unwrap().to_uppercase();
        assert!([&reads[..], &ends].concat().contains(&word.as_str()), "{statement}");
        let copies_in = word == "COPY" && !statement.contains("TO STDOUT");
        assert!(!copies_in, "{statement}");
    }
    let begun = |statement: &&&str| statement.starts_with("BEGIN ISOLATION");
    let transactions: Vec<_> = statements.iter().filter(begun).collect();
    assert!(transactions.len() >= 4, "{statements:#?}");
    assert!(transactions.iter().all(|begin| begin.contains("READ ONLY")), "{transactions:#?}");
}

/// A backup into a store that does not answer any more when all is read, while the tables are locked.
fn held(cluster: &Cluster, s3: &S3Server, more: &[&str]) -> Running {
    s3.inject(Fault::stall().on("PUT").key("schema"));
    let (url, place) = (cluster.url("postgres"), s3.url("backups"));
    let args = ["backup", "--from", &url, "--database", "shop", "--into", &place];
    let mut run = strongroom(&[&args[..], more].concat()).spawn();
    let begun = Instant::now();
    while !cluster.log().contains("pg_dump LOG:  disconnection:") {
        assert!(run.is_running() && begun.elapsed() < Duration::from_secs(60), "it reads nothing");
        thread::sleep(Duration::from_millis(20));
    }
    run
}

#[test]
fn a_statement_that_waits_for_a_backup_is_told() {
    let (cluster, s3) = (logging(), S3Server::start());
    let run = held(&cluster, &s3, &[]);
    let mut alter = cluster.client("psql", "shop");
    let alter = alter.args(["-c", "ALTER TABLE orders ADD more int"]).stdout(Stdio::null());
    let mut alter = alter.spawn().unwrap();
    // It is looked for every few seconds.
    thread::sleep(Duration::from_secs(8));
    assert!(alter.try_wait().unwrap().is_none(), "it does not wait");
    s3.heal();
    let output = run.wait();
    assert_eq!(output.code, Some(0), "{output:#?}");
    assert!(output.stderr.contains("waits to change or truncate table"), "{output:#?}");
    assert!(alter.wait().unwrap().success());
}

#[test]
fn a_read_point_is_held_no_longer_than_the_limit() {
    let (cluster, s3) = (logging(), S3Server::start());
    let run = held(&cluster, &s3, &["--read-point-limit", "10"]);
    let output = run.wait();
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(output.stderr.contains("\"shop\" was not read within 10 s"), "{output:#?}");
    assert!(output.stderr.contains("--read-point-limit"), "{output:#?}");
    assert_no_sessions(&cluster);
    s3.heal();
}
