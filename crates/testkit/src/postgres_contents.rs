//! Comparing what two databases hold: as `pg_dump` tells it, and as hashes of their rows.
//!
//! A restore that runs in parallel may store rows in another order, which no user can rely on. So neither
//! comparison depends on it.

use std::collections::{BTreeMap, BTreeSet};

use crate::postgres::{self, Cluster};

/// Settings under which a value prints the same in any database, whatever settings that database has.
const SAME_PRINT: &str = "-c search_path=pg_catalog -c timezone=UTC -c datestyle=ISO \
     -c intervalstyle=postgres -c bytea_output=hex -c extra_float_digits=3 -c lc_monetary=C \
     -c xmloption=content -c row_security=off";

/// Prints one line of JSON for each table, materialized view, sequence and large object: a name and a digest.
///
/// Columns are taken in the order of their names, as `pg_dump` does not keep the order of columns in a table
/// that was made to inherit later. Rows of a partitioned table are read through it, so that its digest shows
/// partitions attached wrongly; those of an inheritance parent are its own only.
const DIGESTS: &str = r#"
SELECT CASE
    WHEN c.relkind = 'm' AND NOT c.relispopulated THEN
        format('SELECT json_build_array(%L, %L)', n.nspname || '.' || c.relname, 'not populated')
    WHEN c.relkind = 'S' THEN
        format('SELECT json_build_array(%L, format(''last_value %%s, is_called %%s'', last_value, is_called)) FROM %I.%I',
               'sequence ' || n.nspname || '.' || c.relname, n.nspname, c.relname)
    ELSE
        format('SELECT json_build_array(%L, format(''%%s rows, md5 %%s'', count(*), md5(coalesce(string_agg(h, '''' ORDER BY h COLLATE "C"), ''''))))
                FROM (SELECT md5(row(%s)::text) AS h FROM %s %I.%I AS t) AS hashes',
               n.nspname || '.' || c.relname,
               (SELECT string_agg(format('t.%I', attname), ', ' ORDER BY attname) FROM pg_attribute
                WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
               CASE c.relkind WHEN 'r' THEN 'ONLY' ELSE '' END, n.nspname, c.relname)
    END
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'S') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname
\gexec
SELECT json_build_array('large object ' || oid, md5(lo_get(oid))) FROM pg_largeobject_metadata ORDER BY oid;
"#;

impl Cluster {
    /// A digest of everything that has contents in a database, by name: tables, partitions, materialized
    /// views (`schema.name`), sequences (`sequence schema.name`) and large objects (`large object OID`).
    #[track_caller]
    pub fn tables_hash(&self, database: &str) -> BTreeMap<String, String> {
        let mut psql = self.client("psql", database);
        psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1"]).env("PGOPTIONS", SAME_PRINT);
        let printed = postgres::run(&mut psql, Some(DIGESTS))
            .unwrap_or_else(|error| panic!("the contents of {database}: {error}"));
        printed
            .lines()
            .map(|line| {
                serde_json::from_str::<(String, String)>(line).expect("a name and a digest")
            })
            .collect()
    }

    /// What `pg_dump` writes as plain SQL with these further arguments, made comparable: without what
    /// changes from run to run (program versions, the token of `\restrict`), with the rows of each table sorted,
    /// and with values printed the same whatever the database's own settings.
    #[track_caller]
    pub fn pg_dump(&self, database: &str, args: &[&str]) -> String {
        let dump = postgres::run(
            self.client("pg_dump", database).args(args).env("PGOPTIONS", SAME_PRINT),
            None,
        )
        .unwrap_or_else(|error| panic!("pg_dump of {database}: {error}"));
        comparable(&dump)
    }
}

/// Asserts that two databases have the same contents, and names what differs.
#[track_caller]
pub fn assert_same_contents(expected: &BTreeMap<String, String>, got: &BTreeMap<String, String>) {
    let names: BTreeSet<&String> = expected.keys().chain(got.keys()).collect();
    let differences: Vec<String> = names
        .into_iter()
        .filter(|name| expected.get(*name) != got.get(*name))
        .map(|name| format!("{name}: expected {:?}, got {:?}", expected.get(name), got.get(name)))
        .collect();
    assert!(differences.is_empty(), "contents differ:\n{}", differences.join("\n"));
}

/// Asserts that two dumps are the same, and shows where they first differ.
#[track_caller]
pub fn assert_same_dump(expected: &str, got: &str) {
    let (mut expected, mut got) = (expected.lines(), got.lines());
    for number in 1.. {
        match (expected.next(), got.next()) {
            (None, None) => return,
            (expected, got) if expected == got => {}
            (expected, got) => {
                let [expected, got] = [expected, got].map(|line| line.unwrap_or("the end"));
                panic!(
                    "dumps differ in line {number}:\nexpected {expected:.1000}\n     got {got:.1000}"
                );
            }
        }
    }
}

fn comparable(dump: &str) -> String {
    let mut kept = String::with_capacity(dump.len());
    let mut lines = dump.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let changes = ["-- Dumped from ", "-- Dumped by ", "\\restrict ", "\\unrestrict "];
        if changes.iter().any(|start| line.starts_with(start)) {
            continue;
        }
        kept.push_str(line);
        if line.starts_with("COPY ") && line.ends_with(" FROM stdin;\n") {
            let mut rows: Vec<&str> = lines.by_ref().take_while(|row| *row != "\\.\n").collect();
            rows.sort_unstable();
            kept.extend(rows);
            kept.push_str("\\.\n");
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::comparable;

    #[test]
    fn a_dump_is_compared_without_versions_tokens_and_row_order() {
        let dump = "-- Dumped from database version 15.18\n\\restrict abc\nSET a;\n\
                    COPY s.t (a) FROM stdin;\nb\na\n\\.\n\nSELECT 1;\n\\unrestrict abc\n";
        assert_eq!(comparable(dump), "SET a;\nCOPY s.t (a) FROM stdin;\na\nb\n\\.\n\nSELECT 1;\n");
    }
}
