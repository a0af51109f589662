//! Which backup an incremental builds on, when a full one is taken instead, and what a chain's members
//! are good for.

use std::fs;
use std::path::PathBuf;

use strongroom_testkit::{Cluster, S3Server, assert_same_contents};

use super::{Chain, DETECTORS, SMALL_SEGMENTS, create_database, shared};
use crate::state::{complete, files, told};
use crate::support::strongroom;

const ROWS: &str = "
    CREATE TABLE t (id int, v int, note text);
    INSERT INTO t SELECT n, 0, repeat(md5(n::text), 4) FROM generate_series(1, 1000) n;";

fn chain(database: &str) -> Chain {
    Chain::new("page-lsn", database, ROWS)
}

fn packs(chain: &Chain) -> Vec<PathBuf> {
    let all = files(chain.folder.path());
    all.into_iter().filter(|path| path.extension().is_some_and(|it| it == "pack")).collect()
}

#[test]
fn every_member_of_a_chain_can_be_shown_verified_and_restored() {
    for detector in DETECTORS {
        let chain = Chain::new(detector, "members", ROWS);
        let mut states = Vec::new();
        for number in 0..4 {
            chain.sql(&format!("UPDATE t SET v = {number} WHERE id % 100 = {number}"));
            match number {
                0 => drop(chain.full()),
                _ => drop(chain.incremental()),
            }
            states.push(chain.cluster.tables_hash("members"));
        }
        let (url, place) = (chain.cluster.url("postgres"), chain.place());
        let ids = complete(&place);
        assert_eq!(ids.len(), 4);
        for (number, (id, state)) in ids.iter().zip(&states).enumerate() {
            let shown = strongroom(&["show", id, "--in", &place, "--json"]).expect_ok().json();
            let parent = number.checked_sub(1).map(|before| ids[before].as_str());
            assert_eq!(shown["parent"].as_str(), parent, "{shown}");
            strongroom(&["verify", id, "--in", &place]).expect_ok();
            let copy = format!("members_{number}");
            let args = ["restore", "database", "members", "--restore-to", &copy, "--from", id];
            let args = [&args[..], &["--in", &place, "--to", &url]].concat();
            strongroom(&args).programs_of(&chain.cluster).expect_ok();
            assert_same_contents(state, &chain.cluster.tables_hash(&copy));
            chain.cluster.psql("postgres", &format!("DROP DATABASE {copy}"));
        }
        let table = ["restore", "table", "members.public.t", "--from", "latest", "--in", &place];
        let there = ["--new-table-name", "t_again", "--to", &url];
        strongroom(&[&table[..], &there].concat()).programs_of(&chain.cluster).expect_ok();
        let again = chain.cluster.tables_hash("members");
        assert_eq!(again["public.t_again"], again["public.t"]);
    }
}

#[test]
fn the_24th_incremental_is_restored_with_no_more_bytes_than_a_full_backup() {
    let (chain, s3) = (chain("long"), S3Server::start());
    let url = chain.cluster.url("postgres");
    let back_up = |place: &str, more: &[&str]| {
        let args = ["backup", "--from", &url, "--into", place, "--database", "long", "--json"];
        strongroom(&[&args[..], more].concat())
            .programs_of(&chain.cluster)
            .failpoints(SMALL_SEGMENTS)
            .expect_ok()
            .json()
    };
    let (place, fresh) = (s3.url("chain"), s3.url("fresh"));
    back_up(&place, &["--incremental"]);
    for number in 0..24 {
        chain.sql(&format!("UPDATE t SET v = {number} WHERE id = {}", 1 + number * 40));
        let taken = back_up(&place, &["--incremental"]);
        assert_eq!(taken["type"], "incremental", "{taken}");
    }
    back_up(&fresh, &[]);
    let read = |place: &str, copy: &str| {
        // The newest by its id: finding it would read the manifests of all.
        let newest = complete(place).pop().unwrap();
        s3.forget();
        let args = ["restore", "database", "long", "--restore-to", copy, "--from", &newest];
        let args = [&args[..], &["--in", place, "--to", &url]].concat();
        strongroom(&args).programs_of(&chain.cluster).expect_ok();
        assert_same_contents(&chain.cluster.tables_hash("long"), &chain.cluster.tables_hash(copy));
        (s3.bytes_read(".pack"), s3.bytes_read(""))
    };
    let (of_chain, all_of_chain) = read(&place, "long_chain");
    let (of_full, all_of_full) = read(&fresh, "long_fresh");
    println!("packs: {of_chain} and {of_full} bytes; in all: {all_of_chain} and {all_of_full}");
    // Segments are the same bytes wherever they lie; only their order of compression differs.
    assert!(of_chain <= of_full * 21 / 20, "{of_chain} instead of {of_full} bytes");
    // Packs are named in the contents; nothing else grows.
    assert!(all_of_chain <= all_of_full * 11 / 10 + 8192, "{all_of_chain}, not {all_of_full}");
}

#[test]
fn a_parent_that_lost_something_is_not_built_on() {
    let chain = chain("lost");
    chain.full();
    fs::remove_file(&packs(&chain)[0]).unwrap();
    chain.full_because(&[], "is missing or cut short");
    chain.incremental();
    let all = packs(&chain);
    let newest = chain.newest().contents.packs[0].path.clone();
    let pack = all.iter().find(|path| path.ends_with(&newest)).unwrap();
    let length = fs::metadata(pack).unwrap().len();
    fs::File::options().write(true).open(pack).unwrap().set_len(length - 1).unwrap();
    chain.full_because(&[], "is missing or cut short");
    chain.incremental();
    let newest = chain.newest().manifest.folder().to_string();
    let contents = chain.folder.path().join(newest).join("CONTENTS");
    let mut bytes = fs::read(&contents).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(contents, bytes).unwrap();
    chain.full_because(&[], "CONTENTS");
    chain.incremental();
    let newest = chain.folder.path().join(chain.newest().manifest.folder().to_string());
    fs::write(newest.join("MANIFEST"), "strongroom manifest 1\n").unwrap();
    chain.full_because(&[], "can not be used");
}

#[test]
fn a_chain_keeps_its_key() {
    let chain = chain("sealed");
    let write = |name: &str| {
        let path = chain.folder.path().join(name);
        fs::write(&path, format!("passphrase {name}")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (one, other) = (write("one"), write("other"));
    chain.backup(&["--key-file", &one]).expect_ok();
    chain.sql("UPDATE t SET v = 1 WHERE id = 1");
    let taken = chain.backup(&["--key-file", &one]).expect_ok().json();
    assert_eq!(taken["type"], "incremental", "{taken}");
    assert_eq!(taken["encrypted"], true, "{taken}");
    let (url, place) = (chain.cluster.url("postgres"), chain.place());
    let args = ["restore", "database", "sealed", "--restore-to", "opened", "--from", "latest"];
    let args = [&args[..], &["--in", &place, "--to", &url, "--key-file", &one]].concat();
    strongroom(&args).programs_of(&chain.cluster).expect_ok();
    let hash = |name| chain.cluster.tables_hash(name);
    assert_same_contents(&hash("sealed"), &hash("opened"));
    // Nothing is added in the clear.
    let refused = chain.backup(&[]).run();
    assert_ne!(refused.code, Some(0), "{refused:?}");
    let (kind, message, hint) = told(&refused);
    assert_eq!(kind, "key", "{message}");
    assert!(
        message.contains("no key was given") && hint.contains("--key-file"),
        "{message} {hint}"
    );
    chain.full_because(&["--key-file", &other], "key");
    let taken = chain.backup(&["--key-file", &other]).expect_ok().json();
    assert_eq!(taken["type"], "incremental", "{taken}");
}

#[test]
fn a_chain_that_is_not_encrypted_is_not_gone_on_with_by_who_brings_a_key() {
    let chain = chain("open");
    chain.full();
    let key = chain.folder.path().join("key");
    fs::write(&key, "passphrase").unwrap();
    chain.full_because(&["--key-file", key.to_str().unwrap()], "not encrypted");
}

#[test]
fn another_cluster_begins_a_chain_of_its_own() {
    let chain = chain("elsewhere");
    chain.full();
    let cluster = Cluster::start();
    create_database(&cluster, "elsewhere", "page-lsn");
    cluster.psql("elsewhere", ROWS);
    let (url, place) = (cluster.url("postgres"), chain.place());
    let args = ["backup", "--from", &url, "--into", &place, "--database", "elsewhere", "--json"];
    let args = [&args[..], &["--incremental"]].concat();
    let taken = strongroom(&args).expect_ok().json();
    assert!(taken["full_because"].to_string().contains("another cluster"), "{taken}");
    // Each goes on with its own.
    chain.incremental();
    let taken = strongroom(&args).expect_ok().json();
    assert_eq!(taken["type"], "incremental", "{taken}");
}

#[test]
fn a_detector_that_the_server_does_not_allow_is_refused_with_its_reason() {
    let chain = Chain::new("version-digest", "refused", ROWS);
    for (detector, reason) in [("page-lsn", "pageinspect"), ("wal-summary", "PostgreSQL 17")] {
        let args = ["--database", "refused", "--incremental", "--detector", detector];
        let output = chain.backup_of(&args).run();
        let (kind, message, hint) = told(&output);
        assert_eq!(kind, "unsupported", "{message}");
        assert!(message.contains(reason) && hint.contains("--detector"), "{message} {hint}");
    }
    let newer = shared("wal-summary");
    newer.create_database("refused");
    newer.psql("postgres", "ALTER SYSTEM SET summarize_wal = off");
    newer.psql("postgres", "SELECT pg_reload_conf(), pg_sleep(0.2)");
    let (url, place) = (newer.url("postgres"), chain.place());
    let args = ["backup", "--from", &url, "--into", &place, "--database", "refused", "--json"];
    let args = [&args[..], &["--incremental", "--detector", "wal-summary"]].concat();
    let output = strongroom(&args).programs_of(&newer).run();
    newer.psql("postgres", "ALTER SYSTEM RESET summarize_wal");
    newer.psql("postgres", "SELECT pg_reload_conf()");
    assert!(told(&output).1.contains("summarize_wal is off"), "{output:?}");
}

#[test]
fn tables_have_chains_of_their_own() {
    let chain = chain("some_tables");
    chain.sql(
        "CREATE TABLE p (id int) PARTITION BY RANGE (id);
         CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10);
         INSERT INTO p VALUES (1)",
    );
    let tables = ["--table", "some_tables.public.t", "--table", "some_tables.public.p"];
    let args = [&tables[..], &["--incremental", "--detector", "page-lsn"]].concat();
    chain.full();
    let taken = chain.backup_of(&args).expect_ok().json();
    assert!(taken["full_because"].to_string().contains("same targets"), "{taken}");
    chain.sql(
        "UPDATE still SET n = 0 WHERE n = 1;
         CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (20); INSERT INTO p VALUES (11)",
    );
    let taken = chain.backup_of(&args).expect_ok().json();
    assert_eq!(taken["type"], "incremental", "{taken}");
    let added = chain.newest().added();
    let names: Vec<&str> = added.keys().map(String::as_str).collect();
    assert_eq!(names, ["some_tables.public.p_1", "some_tables.public.p_2", "some_tables.public.t"]);
    assert_eq!(added["some_tables.public.t"], 0);
    assert_eq!(added["some_tables.public.p_1"], 0);
    assert!(added["some_tables.public.p_2"] > 0);
    let taken = chain.backup(&[]).expect_ok().json();
    assert_eq!(taken["type"], "incremental", "{taken}");
    chain.assert_holds_the_present();
}

#[test]
fn a_clusters_chain_follows_databases_that_come_and_go() {
    for detector in DETECTORS {
        let chain = Chain::alone(detector, ROWS);
        let args: Vec<&str> = match detector {
            // The detectors that need something in each database are chosen for each.
            "page-lsn" => vec!["--incremental"],
            _ => vec!["--incremental", "--detector", detector],
        };
        let take = |kind: &str| {
            let taken = chain.backup_of(&args).expect_ok().json();
            assert_eq!(taken["type"], kind, "{taken}");
            chain.assert_holds_the_present()
        };
        take("full");
        create_database(&chain.cluster, "new", detector);
        chain.cluster.psql("new", ROWS);
        let stored = take("incremental");
        assert_eq!(stored.added()["d.public.t"], 0);
        chain.cluster.psql("new", "UPDATE t SET v = 1 WHERE id = 1");
        let stored = take("incremental");
        assert_eq!(stored.added()["d.public.t"], 0);
        assert!(stored.added()["new.public.t"] > 0);
        chain.cluster.psql("postgres", "DROP DATABASE new");
        let stored = take("incremental");
        assert_eq!(stored.added()["d.public.t"], 0);
        assert!(!stored.added().contains_key("new.public.t"));
    }
}

#[test]
fn a_standby_is_read_by_digests_and_its_promotion_begins_a_new_chain() {
    let chain = Chain::alone("version-digest", ROWS);
    chain.sql("CREATE EXTENSION pageinspect");
    chain.full();
    // What the checkpoint after the promotion will have to write, which takes its time.
    chain.sql(
        "CHECKPOINT; UPDATE t SET v = 1 WHERE id = 1;
         CREATE TABLE filler AS SELECT repeat('x', 7000) FROM generate_series(1, 500);
         SELECT pg_switch_wal()",
    );
    chain.cluster.stop();
    fs::write(chain.cluster.data_dir().join("standby.signal"), "").unwrap();
    chain.cluster.restart();
    assert_eq!(chain.sql("SELECT pg_is_in_recovery()"), "t");
    chain.incremental();
    let args = ["--database", "d", "--incremental", "--detector", "page-lsn"];
    let refused = chain.backup_of(&args).run();
    assert!(told(&refused).1.contains("no standby"), "{refused:?}");
    // Until its next checkpoint the control file knows nothing of it.
    chain.sql("SELECT pg_promote()");
    chain.sql("UPDATE t SET v = 2 WHERE id = 2");
    chain.full_because(&[], "timeline 2");
    chain.incremental();
}

#[test]
fn a_server_that_was_set_back_begins_a_new_chain() {
    let chain = Chain::alone("page-lsn", ROWS);
    chain.sql("CHECKPOINT");
    chain.cluster.stop();
    let copy = tempfile::TempDir::new().unwrap();
    let copied = |from: &str, to: &str| {
        let run = std::process::Command::new("cp").args(["-a", from, to]).status().unwrap();
        assert!(run.success());
    };
    let data = chain.cluster.data_dir();
    let (data, saved) = (data.to_str().unwrap(), copy.path().join("data"));
    copied(data, saved.to_str().unwrap());
    chain.cluster.restart();
    chain.full();
    chain.sql("UPDATE t SET v = 1 WHERE id < 900");
    chain.incremental();
    chain.cluster.stop();
    fs::remove_dir_all(data).unwrap();
    copied(saved.to_str().unwrap(), data);
    chain.cluster.restart();
    chain.sql("UPDATE t SET v = 2 WHERE id = 2");
    chain.full_because(&[], "set back");
    chain.assert_holds_the_present();
    chain.incremental();
}

#[test]
fn a_database_that_is_read_again_spoils_no_pack_of_those_before_it() {
    let chain = Chain::alone("version-digest", ROWS);
    create_database(&chain.cluster, "a_first", "version-digest");
    chain.cluster.psql("a_first", ROWS);
    chain.sql("CREATE SCHEMA s; CREATE TABLE s.t AS SELECT * FROM t");
    let url = chain.cluster.url("postgres");
    let args = ["backup", "--from", &url, "--into", &chain.place(), "--workers", "2", "--json"];
    let run = strongroom(&args).programs_of(&chain.cluster);
    let mut watched = super::contents::Watched::start(run, SMALL_SEGMENTS);
    let mut seen = Vec::new();
    while let Some((database, _)) = watched.read_point() {
        // Its lock does not keep a schema's name.
        if database == "d" && !seen.contains(&database) {
            chain.sql("ALTER SCHEMA s RENAME TO r");
        }
        seen.push(database);
        watched.go_on();
    }
    let output = watched.wait();
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(seen, ["a_first", "d", "d", "postgres"]);
    assert!(output.json()["notes"].to_string().contains("taking a new read point"), "{output:?}");
    chain.assert_holds_the_present();
}

#[test]
fn a_label_that_is_renamed_while_rows_are_read_is_not_half_there() {
    let chain = Chain::alone("version-digest", ROWS);
    chain.sql(
        "CREATE TYPE mood AS ENUM ('sad', 'glad');
         CREATE TABLE moods AS SELECT 'sad'::mood AS m FROM generate_series(1, 100)",
    );
    let url = chain.cluster.url("postgres");
    let args = ["backup", "--from", &url, "--into", &chain.place(), "--database", "d", "--json"];
    let run = strongroom(&args).programs_of(&chain.cluster);
    let mut watched = super::contents::Watched::start(run, SMALL_SEGMENTS);
    watched.read_point();
    chain.sql("ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'");
    watched.go_on();
    watched.read_point();
    watched.go_on();
    let output = watched.wait();
    assert!(output.json()["notes"].to_string().contains("label 'sad'"), "{output:?}");
    let place = chain.place();
    let args = ["restore", "database", "d", "--restore-to", "copy", "--from", "latest"];
    let args = [&args[..], &["--in", &place, "--to", &url]].concat();
    strongroom(&args).programs_of(&chain.cluster).expect_ok();
    assert_same_contents(&chain.cluster.tables_hash("d"), &chain.cluster.tables_hash("copy"));
}
