//! What is listed of a collection and shown of a backup, for people and for machines.

use std::fs;
use std::path::{Path, PathBuf};

use insta::{assert_snapshot, with_settings};
use serde_json::{Value, json};
use strongroom_testkit::Cluster;
use tempfile::TempDir;

use crate::support::{collection, strongroom};

/// A small cluster: two databases with tables, one without.
fn cluster() -> Cluster {
    let cluster = Cluster::start();
    for name in ["billing", "empty", "shop"] {
        cluster.create_database(name);
    }
    cluster.psql(
        "shop",
        "CREATE TABLE customers (id int PRIMARY KEY, name text);
         INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(1, 1500) n;
         CREATE SCHEMA \"Odd\";
         CREATE TABLE \"Odd\".\"tab\tle\" (id bigserial, at date);
         INSERT INTO \"Odd\".\"tab\tle\" (at) VALUES ('2026-11-22');
         SELECT lo_from_bytea(4711, 'large');",
    );
    cluster.psql("billing", "CREATE TABLE invoices (id int, paid boolean)");
    cluster
}

/// Takes a backup, and gives its id.
fn backup(cluster: &Cluster, into: &str, more: &[&str]) -> Value {
    let url = cluster.url("postgres");
    let args = ["backup", "--from", &url, "--into", into, "--json"];
    let output = strongroom(&[&args, more].concat()).expect_ok();
    assert_eq!(output.stderr, "", "with --json nothing but errors is told");
    output.json()
}

/// What differs from run to run.
const CHANGES: &[(&str, &str)] = &[
    (r"file:///\S+?(\s)", "file://[DIR]$1"),
    // As long as what they replace, so that columns stay where they are.
    (r"20[2-9]\d/\d{2}/\d{2}-\d{6}\.\d{2}", "2026/11/22-130000.00"),
    (r"20[2-9]\d-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", "2026-11-22 13:00:00"),
    (r"\d+\.\d+ s\b", "[SECONDS]"),
    (r"\d+(\.\d+)? ([KM]i)?B/s", "[RATE]"),
    (r"PostgreSQL \d[0-9.a-z]*", "PostgreSQL [VERSION]"),
    (r"strongroom \d+\.\d+\.\d+", "strongroom [VERSION]"),
    (r"(stored +)\S+ \S+ \(\S+ (smaller|larger)\)", "$1[SIZE] ([RATIO])"),
];

fn check(name: &str, text: &str, more: &[(&'static str, &'static str)]) {
    let filters: Vec<_> = CHANGES.iter().chain(more).copied().collect();
    with_settings!({ filters => filters }, { assert_snapshot!(name, text) });
}

#[test]
fn a_backup_is_reported_listed_and_shown() {
    let (cluster, folder) = (cluster(), TempDir::new().unwrap());
    let place = collection(folder.path());

    let url = cluster.url("postgres");
    let output = strongroom(&["backup", "--from", &url, "--into", &place]).expect_ok();
    check("backup", &output.stdout, &[]);
    check("backup_steps", &output.stderr, &[]);

    let output = strongroom(&["backups", "--in", &place]).expect_ok();
    assert_eq!(output.stderr, "");
    check("backups", &output.stdout, &[(r" [0-9.]+ KiB  billing", " 4.20 KiB  billing")]);

    let output = strongroom(&["show", "latest", "--in", &place]).expect_ok();
    assert_eq!(output.stderr, "");
    check("show", &output.stdout, &[(r"(?m)  [0-9.]+ (B|KiB)$", "  [SIZE]")]);

    let narrowed = ["show", "latest", "--in", &place, "--database", "billing"];
    let output = strongroom(&narrowed).expect_ok();
    assert!(output.stdout.contains("invoices") && !output.stdout.contains("customers"));
    let unknown = ["show", "latest", "--in", &place, "--database", "none"];
    let output = strongroom(&unknown).expect_fail(1);
    assert!(
        output.stderr.contains("it holds: billing, empty, postgres, shop"),
        "{}",
        output.stderr
    );
}

#[test]
fn machines_read_the_same_as_json() {
    let (cluster, folder) = (cluster(), TempDir::new().unwrap());
    let place = collection(folder.path());
    let taken = backup(&cluster, &place, &[]);
    let copy_bytes = |query: &str| -> u64 {
        let text = format!("SELECT sum(octet_length(r) + 1) FROM ({query}) AS rows(r)");
        cluster.psql("shop", &text).trim().parse().unwrap()
    };
    let customers = copy_bytes("SELECT id || E'\\t' || name FROM customers");
    let all = ["billing", "empty", "postgres", "shop"];

    assert_eq!(taken["databases"], json!(all));
    assert_eq!((&taken["type"], &taken["rows"]), (&json!("full"), &json!(1501)));
    assert_eq!(taken["targets"], json!({ "of": "cluster" }));
    assert_eq!((&taken["omissions"], &taken["notes"]), (&json!([]), &json!([])));
    assert_eq!(taken["collection"], json!(place));
    assert!(taken["seconds"].as_f64().unwrap() > 0.0);

    let listed = strongroom(&["backups", "--in", &place, "--json"]).expect_ok().json();
    let line = &listed[0];
    assert_eq!(listed.as_array().unwrap().len(), 1);
    for field in [
        "id",
        "type",
        "level",
        "data_from",
        "finished_at",
        "size_bytes",
        "stored_bytes",
        "rows",
        "databases",
        "encrypted",
    ] {
        assert_eq!(line[field], taken[field], "{field}");
    }
    assert_eq!((&line["status"], &line["encrypted"]), (&json!("complete"), &json!(false)));

    let id = taken["id"].as_str().unwrap();
    let shown = strongroom(&["show", id, "--in", &place, "--json"]).expect_ok().json();
    for field in ["id", "type", "targets", "data_from", "size_bytes", "stored_bytes", "rows"] {
        assert_eq!(shown[field], taken[field], "{field}");
    }
    let names: Vec<_> = shown["databases"].as_array().unwrap().iter().map(|d| &d["name"]).collect();
    assert_eq!(json!(names), json!(all));
    assert!(shown["roles"].as_array().unwrap().contains(&json!("postgres")));
    let shop = &shown["databases"][3];
    assert_eq!((&shop["owner"], &shop["encoding"]), (&json!("postgres"), &json!("UTF8")));
    assert_eq!((&shop["sequences"], &shop["large_objects"]), (&json!(1), &json!(1)));
    assert_eq!(
        shop["tables"][0],
        json!({
            "schema": "public",
            "name": "customers",
            "size_bytes": customers,
            "stored_bytes": shop["tables"][0]["stored_bytes"],
            "added_bytes": shop["tables"][0]["stored_bytes"],
            "rows": 1500,
            "columns": [{ "name": "id", "type": "integer" }, { "name": "name", "type": "text" }],
        })
    );
    assert_eq!(shop["tables"][1]["name"], json!("tab\tle"));
    assert_eq!(shown["databases"][1]["tables"], json!([]));
    let narrowed = ["show", id, "--in", &place, "--json", "--database", "shop"];
    let narrowed = strongroom(&narrowed).expect_ok().json();
    assert_eq!(narrowed["databases"], json!([shop]));
}

#[test]
fn what_is_incomplete_or_damaged_is_marked() {
    let (cluster, folder) = (cluster(), TempDir::new().unwrap());
    let place = collection(folder.path());
    let taken = backup(&cluster, &place, &["--database", "billing"]);
    let whole = folder.path().join(taken["id"].as_str().unwrap());
    let other = |id: &str| -> PathBuf {
        let other = folder.path().join(id);
        fs::create_dir_all(&other).unwrap();
        other
    };
    fs::write(other("2000/01/01-000000.00").join("STARTED"), "{}").unwrap();
    let manifest = fs::read_to_string(whole.join("MANIFEST")).unwrap();
    let damaged = manifest.replace("billing", "BILLING");
    fs::write(other("2000/01/02-000000.00").join("MANIFEST"), damaged).unwrap();
    let newer = manifest.replace("strongroom manifest 1", "strongroom manifest 99");
    fs::write(other("2000/01/03-000000.00").join("MANIFEST"), newer).unwrap();

    let output = strongroom(&["backups", "--in", &place]).expect_ok();
    let more = [(r"[0-9a-f]{32}", "[CHECKSUM]"), (r" [0-9.]+ KiB  billing", " 4.20 KiB  billing")];
    check("backups_marked", &output.stdout, &more);

    let usable = strongroom(&["backups", "--in", &place, "--json"]).expect_ok().json();
    assert_eq!(usable.as_array().unwrap().len(), 1);
    let all = strongroom(&["backups", "--in", &place, "--json", "--all"]).expect_ok().json();
    let status: Vec<_> = all.as_array().unwrap().iter().map(|line| &line["status"]).collect();
    assert_eq!(json!(status), json!(["incomplete", "damaged", "unsupported", "complete"]));
    assert!(all[1]["error"].as_str().unwrap().contains("checksum"), "{all}");

    let show = |id: &str| strongroom(&["show", id, "--in", &place]).expect_fail(1).stderr;
    assert!(show("2000/01/01-000000.00").contains("is not complete"));
    assert!(show("2000/01/02-000000.00").contains("MANIFEST"));
    assert!(show("2000/01/03-000000.00").contains("newer"));
    let latest = strongroom(&["show", "latest", "--in", &place, "--json"]).expect_ok().json();
    assert_eq!(latest["id"], taken["id"], "latest is the newest complete one");
}

#[test]
fn an_encrypted_backup_is_listed_without_its_key_and_shown_with_it() {
    let (cluster, folder) = (cluster(), TempDir::new().unwrap());
    let place = collection(&folder.path().join("collection"));
    let [first, second] = ["first", "second"].map(|name| key_file(folder.path(), name));
    let taken =
        backup(&cluster, &place, &["--table", "shop.public.customers", "--key-file", &first]);
    assert_eq!(taken["encrypted"], json!(true));
    assert_eq!(taken["targets"], json!({ "of": "tables", "names": ["shop.public.customers"] }));

    let listed = strongroom(&["backups", "--in", &place, "--json"]).expect_ok().json();
    assert_eq!(listed[0]["encrypted"], json!(true));
    let show = ["show", "latest", "--in", &place];
    let refused = strongroom(&show).expect_fail(1);
    assert!(refused.stderr.contains("--key-file"), "{}", refused.stderr);
    let with = |key: &str| strongroom(&[&show[..], &["--key-file", key]].concat());
    assert!(with(&first).expect_ok().stdout.contains("table shop.public.customers"));
    with(&second).expect_fail(1);

    let rekey = ["rekey", "--in", &place, "--key-file", &first, "--new-key-file", &second];
    let output = strongroom(&rekey).expect_ok();
    assert!(output.stdout.starts_with("1 backup in file://"), "{}", output.stdout);
    with(&second).expect_ok();
    with(&first).expect_fail(1);
    let again = strongroom(&[&rekey[..], &["--json"]].concat()).expect_ok().json();
    assert_eq!(again["rekeyed"], json!(0));
}

fn key_file(folder: &Path, words: &str) -> String {
    let file = folder.join(format!("{words}.key"));
    fs::write(&file, format!("{words} passphrase\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = TempDir::new().unwrap();
    let script = format!(
        "{{ {} backups --in {}; echo $? >&2; }} | true",
        env!("CARGO_BIN_EXE_strongroom"),
        collection(folder.path())
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "0\n");
}
