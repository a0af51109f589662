//! Rows that are shown without a server are those that the server had.

use std::fs;

use insta::{assert_snapshot, with_settings};
use serde_json::{Value, json};
use strongroom_testkit::{Cluster, S3Server, fixtures};
use tempfile::TempDir;

use crate::state::{files, told};
use crate::support::{collection, strongroom, transcripts};

fn backup(cluster: &Cluster, into: &str, more: &[&str]) {
    let url = cluster.url("postgres");
    strongroom(&[&["backup", "--from", &url, "--into", into], more].concat()).expect_ok();
}

/// What `rows` tells of a table, all of it.
#[track_caller]
fn rows(place: &str, table: &str, more: &[&str]) -> Value {
    let args = ["rows", table, "--from", "latest", "--in", place, "--limit", "1000000", "--json"];
    strongroom(&[&args[..], more].concat()).expect_ok().json()
}

/// What `psql` prints of these columns of a table, in the same form.
#[track_caller]
fn printed(cluster: &Cluster, database: &str, table: &str, columns: &[String]) -> Value {
    let quoted: Vec<String> =
        columns.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
    let query = format!("SELECT {} FROM ONLY {table}", quoted.join(", "));
    // Values have every character, but hardly these in a row.
    let [field, row, null] = ["<|field|>", "<|row|>", "<|null|>"];
    let settings = "-c datestyle=ISO -c intervalstyle=postgres -c bytea_output=hex \
                    -c extra_float_digits=3";
    let null_as = format!("null={null}");
    let output = cluster
        .client("psql", database)
        .env("PGOPTIONS", settings)
        .args(["-qAtX", "-F", field, "-R", row, "-P", &null_as, "-c", &query])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let value = |value: &str| if value == null { Value::Null } else { json!(value) };
    let values = |row: &str| -> Value { row.split(field).map(value).collect() };
    // Nothing at all is no row, and not one of an empty value.
    if text.is_empty() { json!([]) } else { text.split(row).map(values).collect() }
}

/// Asserts that the rows of a table are those that `psql` prints; returns how many there are.
#[track_caller]
fn assert_same(cluster: &Cluster, place: &str, database: &str, schema: &str, table: &str) -> usize {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let name = format!("{database}.{}.{}", quoted(schema), quoted(table));
    let told = rows(place, &name, &[]);
    let columns = told["columns"].as_array().unwrap().iter();
    let columns: Vec<String> =
        columns.map(|column| column["name"].as_str().unwrap().to_owned()).collect();
    let count = told["rows"].as_array().unwrap().len();
    assert_eq!(
        (&told["rows_in_all"], &told["truncated"]),
        (&json!(count), &json!(false)),
        "{name}"
    );
    let notes = told["notes"].to_string();
    if columns.is_empty() || notes.contains("extension") {
        return count;
    }
    let table = format!("{}.{}", quoted(schema), quoted(table));
    let expected = printed(cluster, database, &table, &columns);
    let pairs = told["rows"].as_array().unwrap().iter().zip(expected.as_array().unwrap());
    for (at, (told, expected)) in pairs.enumerate() {
        let (told, expected) = (told.as_array().unwrap(), expected.as_array().unwrap());
        assert_eq!(told.len(), expected.len(), "values of row {at} of {name}");
        for (column, (told, expected)) in columns.iter().zip(told.iter().zip(expected)) {
            // Some values have megabytes.
            let short = |value: &Value| value.to_string().chars().take(200).collect::<String>();
            let difference = format!("{} instead of {}", short(told), short(expected));
            assert!(told == expected, "row {at} of {name}, {column}: {difference}");
        }
    }
    assert_eq!(count, expected.as_array().unwrap().len(), "{name}");
    count
}

#[test]
fn every_value_is_the_one_that_the_server_prints() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    cluster.create_database("everything");
    cluster.psql("everything", fixtures::everything());
    cluster.psql(
        "everything",
        r"CREATE TABLE odd (id int, gone int, value text, twice int GENERATED ALWAYS AS (id * 2) STORED);
          ALTER TABLE odd DROP COLUMN gone;
          INSERT INTO odd (id, value) SELECT n, 'a' || chr(n) || chr(n) || 'z'
              FROM generate_series(1, 300) n;
          INSERT INTO odd (id, value) VALUES (1, NULL), (2, ''), (3, '\N'), (4, 'NULL'), (5, '\\N\.'),
              (6, E'\t\n\r\\\b\f\v'), (7, '\x41\101'), (8, repeat('long ', 300000)), (NULL, '😀');",
    );
    let place = collection(folder.path());
    backup(&cluster, &place, &["--database", "everything"]);
    let shown = strongroom(&["show", "latest", "--in", &place, "--json"]).expect_ok().json();
    let tables = shown["databases"][0]["tables"].as_array().unwrap();
    let mut compared = 0;
    for table in tables {
        let [schema, name] = ["schema", "name"].map(|part| table[part].as_str().unwrap());
        compared += assert_same(&cluster, &place, "everything", schema, name);
    }
    assert!(tables.len() > 40 && compared > 1000, "{} tables, {compared} rows", tables.len());
}

#[test]
fn every_character_of_other_encodings_is_the_one_that_the_server_prints() {
    // All that a server can have and we read were compared once; these stand for their kinds.
    let encodings = ["LATIN1", "LATIN5", "WIN1252", "KOI8U", "EUC_JP", "EUC_KR", "EUC_CN"];
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    for encoding in encodings {
        cluster.psql(
            "postgres",
            &format!(
                "CREATE DATABASE {} ENCODING '{encoding}' TEMPLATE template0
                 LC_COLLATE 'C' LC_CTYPE 'C'",
                encoding.to_lowercase()
            ),
        );
        // What the server has no other character for can not be printed either.
        let bytes = match encoding.starts_with("EUC") {
            false => "SELECT decode(to_hex(n), 'hex') FROM generate_series(128, 255) n",
            true => {
                "SELECT decode(to_hex(256 * m + n), 'hex')
                 FROM generate_series(161, 254) m, generate_series(161, 254) n"
            }
        };
        cluster.psql(
            &encoding.to_lowercase(),
            &format!(
                "CREATE TABLE characters (raw bytea, value text);
                 DO $$
                 DECLARE
                     raw bytea;
                 BEGIN
                     FOR raw IN {bytes} LOOP
                         -- Newer than the table that we read by, which shows its bytes.
                         CONTINUE WHEN '{encoding}' = 'EUC_KR' AND raw = '\\xa2e8';
                         BEGIN
                             PERFORM convert_to(convert_from(raw, '{encoding}'), 'UTF8');
                             INSERT INTO characters VALUES (raw, convert_from(raw, '{encoding}'));
                         EXCEPTION WHEN OTHERS THEN NULL;
                         END;
                     END LOOP;
                 END $$;"
            ),
        );
    }
    let place = collection(folder.path());
    backup(&cluster, &place, &[]);
    for encoding in encodings {
        let database = encoding.to_lowercase();
        let compared = assert_same(&cluster, &place, &database, "public", "characters");
        assert!(compared > 80, "{encoding}: {compared}");
    }
}
#[test]
fn people_can_tell_apart_what_they_see() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    cluster.create_database("shop");
    cluster.psql(
        "shop",
        r#"CREATE TABLE odd (id int, "na	me" text, ">price" numeric(10,2), at timestamptz);
           INSERT INTO odd VALUES
               (1, 'plain', 12.50, '2026-11-22 13:00:00+00'), (20, NULL, NULL, NULL),
               (300, 'NULL', 0, 'infinity'), (4000, '', -1, NULL),
               (5, E'two\nlines\tand \x1b[31mred', 7, NULL), (6, ' spaces ', 8, NULL),
               (7, repeat('länge ', 50), 9, NULL), (8, '日本語', 10, NULL);
           CREATE TABLE nothing (id int, name text);
           CREATE TABLE bare ();
           INSERT INTO bare SELECT FROM generate_series(1, 3);
           CREATE TABLE visits (at date, who text) PARTITION BY RANGE (at);
           CREATE TABLE visits_2025 PARTITION OF visits
               FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
           CREATE TABLE visits_2026 PARTITION OF visits
               FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
           CREATE VIEW recent AS SELECT * FROM visits;
           CREATE SCHEMA archive;
           CREATE TABLE archive.orders (id int);"#,
    );
    cluster.psql(
        "postgres",
        "CREATE DATABASE bytes ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    cluster.psql("bytes", r"CREATE TABLE mixed AS SELECT E'caf\xe9 or caf\xc3\xa9' AS word");
    let place = collection(folder.path());
    backup(&cluster, &place, &[]);
    let table = |name: &'static str, more: &[&'static str]| -> Vec<String> {
        let args = ["rows", name, "--from", "latest", "--in", &place];
        args.iter().chain(more).map(|arg| (*arg).to_owned()).collect()
    };
    let calls = [
        table("shop.public.odd", &[]),
        table("shop.public.odd", &["--limit", "2"]),
        table("shop.public.odd", &["--limit", "0"]),
        table("shop.public.nothing", &[]),
        table("shop.public.bare", &["--limit", "2"]),
        table("bytes.public.mixed", &[]),
        table("shop.public.bare", &["--limit", "2", "--json"]),
        table("shop.public.visits", &[]),
        table("shop.public.recent", &[]),
        table("shop.public.orders", &[]),
        table("shop.public.none", &[]),
        table("none.public.orders", &[]),
        table("orders", &[]),
        table("shop.public.odd", &["--limit=-1"]),
        table("shop.public.odd", &["--limit", "1000001"]),
    ];
    let calls: Vec<Vec<&str>> =
        calls.iter().map(|call| call.iter().map(String::as_str).collect()).collect();
    let text = transcripts(&calls.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let filters = vec![
        (r"file:///\S+", "file://[DIR]"),
        (r"20[2-9]\d/\d{2}/\d{2}-\d{6}\.\d{2}", "2026/11/22-130000.00"),
    ];
    with_settings!({ filters => filters }, { assert_snapshot!("rows", text) });
}

/// A table of several segments, each of which is more than a hundred rows.
const BIG: &str = "CREATE TABLE big AS
    SELECT n AS id, sha256(n::text::bytea) || sha256((-n)::text::bytea) AS noise
    FROM generate_series(1, 120000) n";

#[test]
fn only_as_many_segments_are_read_as_it_takes() {
    let (cluster, s3) = (Cluster::start(), S3Server::start());
    cluster.create_database("shop");
    cluster.psql("shop", BIG);
    let place = s3.url("backups");
    backup(&cluster, &place, &["--database", "shop", "--workers", "1"]);
    let shown = strongroom(&["show", "latest", "--in", &place, "--json"]).expect_ok().json();
    let stored = shown["databases"][0]["tables"][0]["stored_bytes"].as_u64().unwrap();
    assert!(stored > 8_000_000, "{stored}");
    let read = |limit: &str| {
        s3.forget();
        let args =
            ["rows", "shop.public.big", "--from", "latest", "--in", &place, "--limit", limit];
        let found = strongroom(&[&args[..], &["--json"]].concat()).expect_ok().json();
        let bytes = s3.bytes_read(".pack");
        (found, bytes)
    };
    assert_eq!(read("0").1, 0);
    let (found, one) = read("5");
    let ids: Vec<&Value> = found["rows"].as_array().unwrap().iter().map(|row| &row[0]).collect();
    assert_eq!(json!(ids), json!(["1", "2", "3", "4", "5"]));
    assert_eq!((&found["rows_in_all"], &found["truncated"]), (&json!(120_000), &json!(true)));
    assert!(one > 0 && one < stored / 4, "{one} of {stored}");
    let (found, all) = read("1000000");
    assert_eq!((found["rows"].as_array().unwrap().len(), all), (120_000, stored));
}

#[test]
fn a_damaged_segment_is_named_and_its_rows_are_not_shown() {
    let (cluster, folder, keys) =
        (Cluster::start(), TempDir::new().unwrap(), TempDir::new().unwrap());
    cluster.create_database("shop");
    cluster.psql("shop", BIG);
    let key = keys.path().join("key");
    fs::write(&key, "c0ffee00".repeat(8)).unwrap();
    let key = key.to_str().unwrap();
    for (name, more) in [("plain", vec![]), ("sealed", vec!["--key-file", key])] {
        let place = collection(&folder.path().join(name));
        let database = ["--database", "shop", "--workers", "1"];
        backup(&cluster, &place, &[&database[..], &more].concat());
        let args = ["rows", "shop.public.big", "--from", "latest", "--in", &place, "--json"];
        let with = |limit: &str| strongroom(&[&args[..], &more, &["--limit", limit]].concat());
        let whole = with("3").expect_ok().json();
        assert_eq!(whole["rows"][2][0], json!("3"));
        if !more.is_empty() {
            let (kind, _, hint) = told(&strongroom(&args).expect_fail(1));
            assert_eq!(kind, "key");
            assert!(hint.contains("--key-file"), "{hint}");
        }
        let packs = files(&folder.path().join(name));
        let pack = packs.iter().find(|path| path.extension().is_some_and(|e| e == "pack")).unwrap();
        let mut bytes = fs::read(pack).unwrap();
        let last = bytes.len() - 100;
        bytes[last] ^= 1;
        fs::write(pack, &bytes).unwrap();
        assert_eq!(with("3").expect_ok().json(), whole, "another segment is not looked at");
        bytes[500_000] ^= 1;
        fs::write(pack, &bytes).unwrap();
        let output = with("3").expect_fail(1);
        assert_eq!(output.stdout, "");
        let (kind, message, _) = told(&output);
        assert_eq!(kind, "damaged");
        let name = pack.file_name().unwrap().to_str().unwrap();
        assert!(message.contains(name) && message.contains("(at byte 0)"), "{message}");
    }
}
