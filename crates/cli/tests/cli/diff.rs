//! What is told of two backups is what happened between them.

use std::fs;

use insta::{assert_snapshot, with_settings};
use serde_json::{Value, json};
use strongroom_testkit::Cluster;
use tempfile::TempDir;

use crate::state::{complete, files, told};
use crate::support::{collection, strongroom};

/// A shop, and what happens to it. A tenth of each page is filled, so that few rows make many
/// segments.
const SHOP: &str = "
    CREATE TABLE orders (id int PRIMARY KEY, note text) WITH (fillfactor = 10);
    INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 20000) n;
    CREATE TABLE customers (id serial PRIMARY KEY, name text);
    INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 100) n;
    CREATE TABLE wider (id int, gone text);
    INSERT INTO wider SELECT n, 'gone ' || n FROM generate_series(1, 50) n;
    CREATE TABLE doubled (id int);
    INSERT INTO doubled SELECT 1 FROM generate_series(1, 10);
    CREATE TABLE emptied AS SELECT n FROM generate_series(1, 30) n;
    CREATE TABLE dropped AS SELECT n FROM generate_series(1, 40) n;
    CREATE TABLE again AS SELECT n FROM generate_series(1, 7) n;
    CREATE TABLE rewritten AS SELECT n FROM generate_series(1, 500) n;
    CREATE TABLE quiet AS SELECT n FROM generate_series(1, 60) n;
    CREATE VIEW names AS SELECT name FROM customers;
    CREATE FUNCTION greeting() RETURNS text LANGUAGE sql AS $$ SELECT 'hello' $$;
    CREATE SEQUENCE numbers;
    SELECT lo_from_bytea(1, 'one'), lo_from_bytea(2, 'two'), lo_from_bytea(3, 'three')";

const CHANGES: &str = "
    UPDATE orders SET note = 'paid' WHERE id BETWEEN 5 AND 9;
    DELETE FROM orders WHERE id IN (11, 12, 13);
    INSERT INTO orders SELECT n, 'new' FROM generate_series(20001, 20010) n;
    ALTER TABLE customers RENAME TO clients;
    INSERT INTO clients (name) VALUES ('late');
    ALTER TABLE wider DROP COLUMN gone, ADD COLUMN more int DEFAULT 1;
    DELETE FROM wider WHERE id = 50;
    INSERT INTO doubled VALUES (1), (1), (2);
    TRUNCATE emptied;
    DROP TABLE dropped;
    DROP TABLE again;
    CREATE TABLE again AS SELECT n FROM generate_series(5, 10) n;
    CREATE TABLE created AS SELECT n FROM generate_series(1, 12) n;
    CREATE INDEX by_note ON orders (note);
    CREATE OR REPLACE FUNCTION greeting() RETURNS text LANGUAGE sql AS $$ SELECT 'good day' $$;
    SELECT setval('numbers', 42);
    SELECT lo_unlink(1), lo_put(2, 0, 'TWO'), lo_from_bytea(4, 'four')";

fn backup(cluster: &Cluster, into: &str, more: &[&str]) {
    let url = cluster.url("postgres");
    let args = ["backup", "--from", &url, "--into", into, "--workers", "1"];
    strongroom(&[&args, more].concat()).expect_ok();
}

#[track_caller]
fn diff(place: &str, from: &str, to: &str, more: &[&str]) -> Value {
    let args = ["diff", from, to, "--in", place, "--json"];
    strongroom(&[&args, more].concat()).expect_ok().json()
}

#[track_caller]
fn text(place: &str, from: &str, to: &str, more: &[&str]) -> String {
    let output = strongroom(&[&["diff", from, to, "--in", place], more].concat()).expect_ok();
    assert!(output.stderr.starts_with("comparing "), "{}", output.stderr);
    output.stdout
}

/// A comparison without what differs between backups of the same state.
fn essence(mut diff: Value) -> Value {
    fn strip(value: &mut Value) {
        if let Value::Object(fields) = value {
            fields.remove("new_stored_bytes");
            fields.values_mut().for_each(strip);
        } else if let Value::Array(items) = value {
            items.iter_mut().for_each(strip);
        }
    }
    strip(&mut diff);
    for field in ["from", "to", "bytes_read"] {
        diff.as_object_mut().unwrap().remove(field);
    }
    diff
}

fn check(name: &str, text: &str) {
    let filters = vec![
        (r"20[2-9]\d/\d{2}/\d{2}-\d{6}\.\d{2}", "2026/11/22-130000.00"),
        (r"20[2-9]\d-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", "2026-11-22 13:00:00"),
        // What is newly stored depends on the compression, and on where tables are cut.
        (r"(?m) {2,}[0-9.]+ (B|KiB)$", "  [SIZE]"),
        (r"[0-9.]+ (B|KiB) newly stored", "[SIZE] newly stored"),
    ];
    with_settings!({ filters => filters }, { assert_snapshot!(name, text) });
}

#[test]
fn what_happened_is_told_of_a_chain_and_of_two_fulls_alike() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    let place = collection(folder.path());
    cluster.create_database("shop");
    cluster.create_database("leaving");
    cluster.psql("shop", SHOP);
    backup(&cluster, &place, &[]);
    backup(&cluster, &place, &["--detector", "version-digest"]);
    cluster.psql("shop", CHANGES);
    cluster.psql("shop", "VACUUM FULL rewritten");
    cluster.psql(
        "postgres",
        "DROP DATABASE leaving; CREATE DATABASE coming; CREATE ROLE clerk; ALTER ROLE postgres SET work_mem = '5MB'",
    );
    backup(&cluster, &place, &["--incremental"]);
    backup(&cluster, &place, &[]);
    let [first, full, incremental, last] = <[String; 4]>::try_from(complete(&place)).unwrap();

    check("diff", &text(&place, &full, &incremental, &[]));
    let chain = diff(&place, &full, &incremental, &[]);
    assert_eq!(chain["changed"], json!(true));
    let fulls = diff(&place, &first, &last, &[]);
    assert_eq!(chain["to"]["type"], json!("incremental"));
    assert_eq!(essence(chain.clone()), essence(fulls));

    let shop = chain["databases"].as_array().unwrap().iter().find(|d| d["name"] == "shop").unwrap();
    let rows: Vec<Value> = shop["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| {
            let count = |side: &str| table[side]["rows"].clone();
            json!([
                table["name"],
                table["change"],
                count("before"),
                count("after"),
                table["rows_added"],
                table["rows_removed"],
            ])
        })
        .collect();
    assert_eq!(
        json!(rows),
        json!([
            ["again", "recreated", 7, 6, 3, 4],
            ["clients", "changed", 100, 101, 1, 0],
            ["created", "added", null, 12, 12, 0],
            ["doubled", "changed", 10, 13, 3, 0],
            ["dropped", "removed", 40, null, 0, 40],
            ["emptied", "changed", 30, 0, 0, 30],
            ["orders", "changed", 20000, 20007, 15, 8],
            ["wider", "changed", 50, 49, 0, 1],
        ])
    );
    let objects = &shop["large_objects"];
    let counts = ["added", "removed", "changed"].map(|field| objects[field].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1]);

    // Back again, everything is the other way round.
    let back = diff(&place, &incremental, &full, &["--database", "shop"]);
    let orders = &back["databases"][0]["tables"][6];
    assert_eq!((&orders["rows_added"], &orders["rows_removed"]), (&json!(8), &json!(15)));

    // Of the large table only the segments are read in which something changed.
    let stored = |id: &str| -> u64 {
        let shown = strongroom(&["show", id, "--in", &place, "--json"]).expect_ok().json();
        let databases = shown["databases"].as_array().unwrap();
        let shop = databases.iter().find(|d| d["name"] == "shop").unwrap();
        let mut tables = shop["tables"].as_array().unwrap().iter();
        tables.find(|table| table["name"] == "orders").unwrap()["stored_bytes"].as_u64().unwrap()
    };
    let orders = &shop["tables"][6];
    let new = orders["new_stored_bytes"].as_u64().unwrap();
    assert!(new > 0 && new < stored(&incremental) / 2, "{new} of {}", stored(&incremental));

    // A segment that both share is not read: damage in it is not noticed here.
    let packs = files(&folder.path().join(&full));
    let pack = packs.iter().find(|path| path.extension().is_some_and(|e| e == "pack")).unwrap();
    let whole = fs::read(pack).unwrap();
    let mut bytes = whole.clone();
    let shared = bytes.len() / 2;
    bytes[shared] ^= 1;
    fs::write(pack, bytes).unwrap();
    strongroom(&["verify", &full, "--in", &place]).expect_fail(1);
    assert_eq!(essence(diff(&place, &full, &incremental, &[])), essence(chain.clone()));
    fs::write(pack, whole).unwrap();

    // The same state twice, in other objects.
    for (from, to) in [(&first, &full), (&incremental, &last)] {
        assert!(text(&place, from, to, &[]).ends_with("\nnothing changed\n"));
        let same = diff(&place, from, to, &[]);
        assert_eq!((&same["changed"], &same["databases"]), (&json!(false), &json!([])));
    }
    let all = text(&place, &first, &full, &["--all", "--database", "shop"]);
    check("diff_all", &all);
}

#[test]
fn backups_of_other_clusters_and_other_things_are_compared_by_name() {
    let (one, other) = (Cluster::start(), Cluster::start());
    let folder = TempDir::new().unwrap();
    let place = collection(&folder.path().join("collection"));
    let key = folder.path().join("key");
    fs::write(&key, "c0ffee00".repeat(8)).unwrap();
    let key = ["--key-file", key.to_str().unwrap()];
    let table = "CREATE TABLE orders AS SELECT n FROM generate_series(1, 100) n";
    for cluster in [&one, &other] {
        cluster.create_database("shop");
    }
    other.psql("shop", "CREATE TABLE shift (); CREATE TABLE only_there (id int)");
    for cluster in [&one, &other] {
        cluster.psql("shop", table);
    }
    other.psql("shop", "DELETE FROM orders WHERE n > 90; DROP TABLE shift");
    backup(&one, &place, &[&["--table", "shop.public.orders"][..], &key].concat());
    backup(&other, &place, &key);
    let [from, to] = <[String; 2]>::try_from(complete(&place)).unwrap();
    check("diff_clusters", &text(&place, &from, &to, &key));

    let output = strongroom(&["diff", &from, &to, "--in", &place, "--json"]).expect_fail(1);
    assert_eq!(told(&output).0, "key");
}

#[test]
fn what_can_not_be_compared_is_named() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    let place = collection(folder.path());
    cluster.create_database("shop");
    cluster.psql("shop", "CREATE TABLE orders AS SELECT n FROM generate_series(1, 1000) n");
    backup(&cluster, &place, &["--database", "shop"]);
    cluster.psql("shop", "UPDATE orders SET n = -n WHERE n % 10 = 0");
    backup(&cluster, &place, &["--database", "shop"]);
    let [from, to] = <[String; 2]>::try_from(complete(&place)).unwrap();
    let fail = |args: &[&str]| {
        let output = strongroom(&[&["diff"], args, &["--in", &place, "--json"]].concat());
        let output = output.expect_fail(1);
        assert_eq!(output.stdout, "");
        told(&output)
    };
    let (kind, message, _) = fail(&[&from, "2000/01/01-000000.00"]);
    assert_eq!(kind, "not-found");
    assert!(message.contains("2000/01/01-000000.00"), "{message}");
    let (kind, message, hint) = fail(&[&from, &to, "--database", "none"]);
    assert_eq!(kind, "not-found");
    assert!(message.contains("none") && hint.contains("shop"), "{message}: {hint}");

    assert_eq!(diff(&place, &from, &to, &[])["databases"][0]["tables"][0]["rows_added"], 100);
    let packs = files(&folder.path().join(&to));
    let pack = packs.iter().find(|path| path.extension().is_some_and(|e| e == "pack")).unwrap();
    let mut bytes = fs::read(pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(pack, bytes).unwrap();
    let (kind, message, hint) = fail(&[&from, &to]);
    assert_eq!(kind, "damaged");
    let name = pack.file_name().unwrap().to_str().unwrap();
    assert!(message.contains("public.orders") && message.contains(name), "{message}");
    assert!(!hint.is_empty());
}
