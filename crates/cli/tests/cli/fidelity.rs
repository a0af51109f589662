//! What comes back is what was there: definitions and contents of whole databases.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use strongroom_testkit::{
    Cluster, Running, S3Server, Strongroom, assert_same_contents, assert_same_dump, fixtures,
};
use tempfile::TempDir;

use crate::support::{collection, strongroom};

/// The larger sizes, for machines with time: ten thousand tables, pgbench at scale 10.
fn full() -> bool {
    std::env::var("STRONGROOM_TEST_FULL").is_ok_and(|value| value == "1")
}

fn backup(cluster: &Cluster, database: &str, into: &str, more: &[&str]) -> Value {
    let url = cluster.url("postgres");
    let args = ["backup", "--from", &url, "--database", database, "--into", into, "--json"];
    strongroom(&[&args, more].concat()).expect_ok().json()
}

fn restore(database: &str, to: &str, target: &Cluster, place: &str, more: &[&str]) -> Strongroom {
    let url = target.url("postgres");
    let args = ["restore", "database", database, "--restore-to", to, "--from", "latest"];
    let where_to = ["--in", place, "--to", &url, "--json"];
    strongroom(&[&args[..], &where_to, more].concat())
}

/// Asserts that two databases of a cluster differ in nothing but their names.
#[track_caller]
fn assert_same_database(cluster: &Cluster, source: &str, copy: &str) {
    assert_same_contents(&cluster.tables_hash(source), &cluster.tables_hash(copy));
    assert_same_dump(&cluster.pg_dump(source, &[]), &cluster.pg_dump(copy, &[]));
    // The database's own properties stand in the dump only with its name.
    let properties = |name: &str| {
        let dump = cluster.pg_dump(name, &["--create", "--schema-only"]);
        dump.replace(name, "database")
    };
    assert_same_dump(&properties(source), &properties(copy));
}

/// A cluster with the database `everything`.
fn everything() -> Cluster {
    let cluster = Cluster::start();
    cluster.create_database("everything");
    cluster.psql("everything", fixtures::everything());
    cluster
}

#[test]
fn a_database_with_everything_comes_back_from_a_folder() {
    let (cluster, folder) = (everything(), TempDir::new().unwrap());
    let place = collection(folder.path());
    backup(&cluster, "everything", &place, &[]);
    restore("everything", "from_folder", &cluster, &place, &[]).expect_ok();
    assert_same_database(&cluster, "everything", "from_folder");
}

#[test]
fn a_database_with_everything_comes_back_from_s3() {
    let (cluster, s3) = (everything(), S3Server::start());
    let place = s3.url("backups");
    backup(&cluster, "everything", &place, &[]);
    restore("everything", "from_s3", &cluster, &place, &[]).expect_ok();
    assert_same_contents(&cluster.tables_hash("everything"), &cluster.tables_hash("from_s3"));
    let dump = |name: &str| cluster.pg_dump(name, &["--schema-only"]);
    assert_same_dump(&dump("everything"), &dump("from_s3"));
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn an_encrypted_database_comes_back_and_nothing_of_it_can_be_read_in_the_store() {
    const PASSPHRASE: &str = "horse battery staple, correct";
    const ROW: &str = "even the owner sees nothing";
    let (cluster, folder, keys) = (everything(), TempDir::new().unwrap(), TempDir::new().unwrap());
    let place = collection(folder.path());
    let key_file = keys.path().join("key");
    fs::write(&key_file, PASSPHRASE).unwrap();
    let key = ["--key-file", key_file.to_str().unwrap()];
    backup(&cluster, "everything", &place, &key);
    restore("everything", "decrypted", &cluster, &place, &key).expect_ok();
    assert_same_contents(&cluster.tables_hash("everything"), &cluster.tables_hash("decrypted"));
    let dump = |name: &str| cluster.pg_dump(name, &["--schema-only"]);
    assert_same_dump(&dump("everything"), &dump("decrypted"));

    // A passphrase, tables, a value, a function's body, a large object, a row.
    let secrets =
        [PASSPHRASE, "many_pages", "secured_from_its_owner", "current_user", "hello", ROW];
    let written = files(folder.path());
    assert!(written.len() > 4, "{written:?}");
    for path in &written {
        let bytes = fs::read(path).unwrap();
        for secret in secrets {
            assert!(!contains(&bytes, secret), "{} holds '{secret}'", path.display());
        }
        let is_manifest = path.ends_with("MANIFEST");
        assert_eq!(contains(&bytes, "everything"), is_manifest, "{}", path.display());
        assert!(!path.to_string_lossy().contains("everything"), "{}", path.display());
    }
    // A row this short is stored as it is where nothing is encrypted, and found by the same search.
    let url = cluster.url("postgres");
    let open = TempDir::new().unwrap();
    let table = ["--table", "everything.ev.secured_from_its_owner"];
    let into = collection(open.path());
    let args = ["backup", "--from", &url, "--into", &into];
    strongroom(&[&args[..], &table].concat()).expect_ok();
    assert!(files(open.path()).iter().any(|path| contains(&fs::read(path).unwrap(), ROW)));

    let output = restore("everything", "without_key", &cluster, &place, &[]).expect_fail(1);
    assert!(output.stderr.contains("--key-file"), "{}", output.stderr);
    assert!(!cluster.databases().contains(&"without_key".to_owned()));
}

#[test]
fn pgbench_tables_come_back() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    let place = collection(folder.path());
    cluster.create_database("accounting");
    let scale = if full() { "10" } else { "3" };
    let mut pgbench = cluster.client("pgbench", "accounting");
    let made = pgbench.args(["-i", "-q", "--foreign-keys", "-s", scale]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    backup(&cluster, "accounting", &place, &[]);
    restore("accounting", "accounting_copy", &cluster, &place, &[]).expect_ok();
    assert_same_database(&cluster, "accounting", "accounting_copy");
}

#[test]
fn databases_of_other_encodings_come_back() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    let place = collection(folder.path());
    for (database, encoding) in [("latin", "LATIN1"), ("ascii", "SQL_ASCII"), ("japan", "EUC_JP")] {
        cluster.psql(
            "postgres",
            &format!(
                "CREATE DATABASE {database} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
            ),
        );
    }
    cluster.psql(
        "latin",
        "CREATE TABLE straßen (\"größe\" int, name text DEFAULT 'Öl');
         INSERT INTO straßen VALUES (1, 'Weißensee'), (2, E'\\xe9'), (3, chr(255)), (4, 'tab\tnew
line \\ \\. \\N'), (5, NULL), (6, DEFAULT);
         CREATE TABLE all_bytes AS SELECT string_agg(chr(i), '') FROM generate_series(1, 255) AS i;
         COMMENT ON TABLE straßen IS 'naïve';
         CREATE FUNCTION schön() RETURNS text LANGUAGE sql AS $$ SELECT 'Käse' $$;",
    );
    // Every byte from 1 to 255 by itself, which is no UTF-8.
    cluster.psql(
        "ascii",
        "CREATE TABLE anything (n int, byte text, name text DEFAULT 'é');
         DO $$ BEGIN FOR i IN 1..255 LOOP
             INSERT INTO anything VALUES (i, chr(i), 'a' || chr(i) || 'b');
         END LOOP; END $$;
         INSERT INTO anything VALUES (256, E'\\xff\\xfe\\x80', E'\\xc3');
         CREATE VIEW named AS SELECT n FROM anything WHERE byte = 'ü';",
    );
    cluster.psql(
        "japan",
        "CREATE TABLE 駅 (名前 text, 路線 text DEFAULT '山手線');
         INSERT INTO 駅 VALUES ('東京', '表\\ソ'), ('新宿', DEFAULT), (E'ｱｲｳ ~ ／', NULL);
         CREATE INDEX 索引 ON 駅 (名前);",
    );
    for database in ["latin", "ascii", "japan"] {
        let copy = format!("{database}_copy");
        backup(&cluster, database, &place, &[]);
        restore(database, &copy, &cluster, &place, &[]).expect_ok();
        assert_same_contents(&cluster.tables_hash(database), &cluster.tables_hash(&copy));
        // What is no UTF-8 can not be printed, but hashed.
        let args: &[&str] = if database == "ascii" { &["--schema-only"] } else { &[] };
        assert_same_dump(&cluster.pg_dump(database, args), &cluster.pg_dump(&copy, args));
        let encoding = |name: &str| {
            cluster.psql(name, "SELECT getdatabaseencoding(), datcollate FROM pg_database WHERE datname = current_database()")
        };
        assert_eq!(encoding(database), encoding(&copy));
    }
}

#[test]
fn rows_of_partitions_by_the_hash_of_an_enum_find_their_new_partitions() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    let place = collection(folder.path());
    cluster.create_database("sky");
    cluster.psql("sky", fixtures::enum_hash_partitions());
    backup(&cluster, "sky", &place, &[]);
    restore("sky", "sky_copy", &cluster, &place, &[]).expect_ok();
    let (source, copy) = (cluster.tables_hash("sky"), cluster.tables_hash("sky_copy"));
    assert_eq!(source["public.visits"], copy["public.visits"]);
    // Each partition takes what its bounds say, or a query by planet would miss rows.
    for planet in ["mercury", "earth", "neptune"] {
        let rows = format!("SELECT count(*) FROM visits WHERE planet = '{planet}'");
        assert_eq!(cluster.psql("sky_copy", &rows), "100", "{planet}");
    }
}

#[test]
fn thousands_of_tables_come_back() {
    // With a server's default settings some 4,500 tables can be locked by all who read them.
    let (tables, locks) = if full() { (10_000, 256) } else { (1_500, 64) };
    let builder = Cluster::builder().setting("max_connections = 100");
    let source = builder.setting(&format!("max_locks_per_transaction = {locks}")).start();
    let target = Cluster::start();
    let folder = TempDir::new().unwrap();
    let place = collection(folder.path());
    source.create_database("many");
    source.psql(
        "many",
        &format!(
            "SELECT format('CREATE TABLE t%s (id serial PRIMARY KEY, at date DEFAULT ''2026-11-22'', note text);
                            INSERT INTO t%s (note) SELECT %L FROM generate_series(1, %s %% 5);', n, n, 'row of ' || n, n)
             FROM generate_series(1, {tables}) AS n
             \\gexec"
        ),
    );
    let limit = Duration::from_secs(600);
    let url = source.url("postgres");
    let taken = strongroom(&["backup", "--from", &url, "--database", "many", "--into", &place])
        .timeout(limit)
        .expect_ok();
    let restored = restore("many", "many", &target, &place, &[]).timeout(limit).expect_ok();
    assert_eq!(restored.json()["tables"], tables);
    println!("{tables} tables: backup {:?}, restore {:?}", taken.duration, restored.duration);
    assert_same_contents(&source.tables_hash("many"), &target.tables_hash("many"));
    // The dump of so many would need more locks than the target has.
    if !full() {
        let dump = |cluster: &Cluster| cluster.pg_dump("many", &["--schema-only"]);
        assert_same_dump(&dump(&source), &dump(&target));
    }
}

/// Waits for the end of a run, and tells the most memory that it held, in MiB.
fn peak_memory(mut run: Running) -> u64 {
    let status = format!("/proc/{}/status", run.id());
    let mut peak = 0;
    while run.is_running() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or_default() / 1024);
        thread::sleep(Duration::from_millis(5));
    }
    let output = run.wait();
    assert_eq!(output.code, Some(0), "{output:?}");
    peak
}

#[test]
fn rows_of_many_megabytes_come_back_in_less_memory_than_one_of_them_takes() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    let place = collection(folder.path());
    cluster.create_database("wide");
    // The bytes double in the text of a COPY; the next row is text with much to escape.
    cluster.psql(
        "wide",
        "CREATE TABLE wide (id int PRIMARY KEY, b bytea, t text);
         INSERT INTO wide SELECT 1, decode(repeat(md5('x'), 3000000), 'hex'), NULL;
         INSERT INTO wide SELECT 2, NULL, repeat(E'tab\\t new line\\n back\\\\slash ', 500000);
         INSERT INTO wide SELECT 3, '', repeat(md5('y'), 300000);
         CREATE TABLE bare ();
         INSERT INTO bare SELECT FROM generate_series(1, 70000);
         CREATE TABLE barer ();",
    );
    let row = cluster.psql("wide", "SELECT length(b::text) / 1024 / 1024 FROM wide WHERE id = 1");
    let url = cluster.url("postgres");
    let run = strongroom(&["backup", "--from", &url, "--database", "wide", "--into", &place]);
    let writing = peak_memory(run.spawn());
    let reading = peak_memory(restore("wide", "wide_copy", &cluster, &place, &[]).spawn());
    println!("peak memory: backup {writing} MiB, restore {reading} MiB, the row {row} MiB");
    assert!(writing.max(reading) < row.parse().unwrap(), "peaks: {writing} and {reading} MiB");
    assert_same_contents(&cluster.tables_hash("wide"), &cluster.tables_hash("wide_copy"));
    assert_same_dump(
        &cluster.pg_dump("wide", &["--schema-only"]),
        &cluster.pg_dump("wide_copy", &["--schema-only"]),
    );
}
