//! What changes the rows that a backup would hold although it does not look like it, one by one.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::process::Stdio;

use super::{Chain, DETECTORS};

/// A table of some segments.
const ROWS: &str = "
    CREATE TABLE t (id int, v int, note text);
    INSERT INTO t SELECT n, 0, repeat(md5(n::text), 4) FROM generate_series(1, 1000) n;";

/// With each detector: takes a full backup, then one incremental after each step.
#[track_caller]
fn after_each(database: &str, sql: &str, steps: &[&str]) {
    for detector in DETECTORS {
        let chain = Chain::new(detector, database, &format!("{ROWS} {sql}"));
        chain.full();
        for step in steps {
            chain.wait_until_alone();
            chain.sql(step);
            println!("{detector}: {step}");
            chain.incremental();
        }
    }
}

#[test]
fn where_nothing_has_changed_nothing_is_added() {
    for detector in DETECTORS {
        let chain = Chain::new(
            detector,
            "unchanged",
            &format!("{ROWS} SELECT lo_from_bytea(4711, 'large'); SELECT count(*) FROM t;"),
        );
        chain.full();
        for _ in 0..2 {
            let stored = chain.incremental();
            assert!(stored.added().values().all(|added| *added == 0), "{:?}", stored.added());
            let (_, added) = stored.stored_and_added();
            assert_eq!(added, 0, "{detector}");
            assert!(
                stored.contents.packs.iter().all(|pack| !pack.path.starts_with("incrementals/"))
            );
        }
    }
}

#[test]
fn one_changed_row_adds_one_segment() {
    for detector in DETECTORS {
        let chain = Chain::new(detector, "one_row", ROWS);
        chain.full();
        chain.sql("UPDATE t SET v = 1 WHERE id = 500");
        let stored = chain.incremental();
        let table = stored.contents.databases[0].tables.iter().find(|table| table.name == "t");
        let table = table.unwrap();
        // The row's old place, and its new one at the end.
        assert!(table.data.segments > 4, "{table:?}");
        assert!(table.data.added_bytes > 0, "{table:?}");
        assert!(table.data.added_bytes < table.data.stored_bytes * 3 / 4, "{table:?}");
    }
}

#[test]
fn a_table_that_is_cut_short_and_grows_again_is_not_what_it_was() {
    let cut = "DELETE FROM t WHERE ctid >= '(9,0)'; VACUUM t;
               SELECT 1 / (pg_relation_size('t') <= 9 * 8192)::int";
    let grow =
        "INSERT INTO t SELECT n, 7, repeat(md5(n::text), 4) FROM generate_series(5000, 6000) n";
    let both = format!("{cut}; {grow}");
    let grow_less = grow.replace("6000", "5100");
    let both_less = format!("{cut}; {grow_less}");
    after_each("cut_short", "", &[cut, &both, &both_less, "DELETE FROM t; VACUUM t", grow]);
}

#[test]
fn rewritten_tables_are_read_anew() {
    after_each(
        "rewritten",
        "CREATE UNIQUE INDEX i ON t (id);",
        &[
            "DELETE FROM t WHERE id % 3 = 0; VACUUM FULL t",
            "CLUSTER t USING i",
            "TRUNCATE t",
            "BEGIN; TRUNCATE t; INSERT INTO t SELECT n, 2, 'other' FROM generate_series(1, 1000) n; COMMIT",
            "BEGIN; TRUNCATE t; ROLLBACK; ALTER TABLE t ALTER v TYPE text USING 'v' || v",
        ],
    );
}

#[test]
fn renamed_labels_columns_and_attributes_change_the_text_of_old_rows() {
    after_each(
        "renamed",
        "CREATE TYPE mood AS ENUM ('sad', 'glad');
         CREATE TYPE pair AS (x int, m mood);
         CREATE DOMAIN moods AS mood[];
         CREATE TABLE directly AS SELECT n, 'sad'::mood AS m FROM generate_series(1, 300) n;
         CREATE TABLE inside AS SELECT n, (n, 'sad')::pair AS p, '{sad,glad}'::moods AS ms
             FROM generate_series(1, 300) n;",
        &[
            // Each step changes every table in one way.
            "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'; ALTER TABLE t RENAME v TO w",
            "ALTER TYPE pair ADD ATTRIBUTE y int; ALTER TABLE t DROP w; ALTER TABLE t ADD w int",
            "ALTER TYPE mood ADD VALUE 'blank' BEFORE 'glad'; ALTER TABLE t RENAME TO u",
            "ALTER TYPE pair DROP ATTRIBUTE x; ALTER TABLE u ADD fast int DEFAULT 5",
            "ALTER TABLE u ALTER fast SET DEFAULT 6; ALTER TABLE u ALTER note TYPE varchar",
            "ALTER TABLE u DROP fast; ALTER TABLE u ADD fast int DEFAULT 7",
        ],
    );
}

#[test]
fn values_that_are_names_of_objects_are_read_each_time() {
    after_each(
        "names",
        "CREATE DOMAIN what AS regclass;
         CREATE TABLE names AS SELECT n, 't'::regclass AS name, '{t}'::regclass[] AS list,
                                      't'::what AS inside FROM generate_series(1, 300) n;",
        &[
            "ALTER TABLE t RENAME TO u",
            "CREATE SCHEMA s; ALTER TABLE u SET SCHEMA s",
            "DROP TABLE s.u",
        ],
    );
}

#[test]
fn unlogged_tables_are_read_each_time() {
    after_each(
        "unlogged",
        "CREATE UNLOGGED TABLE cache AS SELECT n, 0 AS v FROM generate_series(1, 1000) n;",
        &[
            "UPDATE cache SET v = 1 WHERE n = 1",
            "ALTER TABLE cache SET LOGGED; UPDATE cache SET v = 2 WHERE n = 2",
            "UPDATE cache SET v = 3 WHERE n = 3",
            "ALTER TABLE cache SET UNLOGGED",
        ],
    );
}

#[test]
fn values_out_of_line_and_large_objects_are_followed() {
    after_each(
        "out_of_line",
        "CREATE TABLE wide (id int, body text);
         ALTER TABLE wide ALTER body SET STORAGE EXTERNAL;
         INSERT INTO wide SELECT n, repeat(md5(n::text), 200) FROM generate_series(1, 100) n;
         SELECT lo_from_bytea(n, decode(repeat(md5(n::text), 100), 'hex'))
             FROM generate_series(50000, 50500) n;",
        &[
            "UPDATE wide SET body = body || 'x' WHERE id = 7; SELECT lo_put(50100, 100, 'changed')",
            "BEGIN; SELECT lo_truncate(lo_open(50200, 131072), 10); COMMIT",
            "SELECT lo_unlink(50000), lo_from_bytea(49999, 'before'), lo_from_bytea(60000, 'behind')",
            "SELECT lo_create(50000); VACUUM FULL pg_largeobject",
            "SELECT lo_unlink(oid) FROM pg_largeobject_metadata",
        ],
    );
}

#[test]
fn partitions_and_children_come_and_go() {
    after_each(
        "partitions",
        "CREATE TABLE p (id int, v int) PARTITION BY LIST (v);
         CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);
         CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2);
         INSERT INTO p SELECT n, 1 + n % 2 FROM generate_series(1, 3000) n;",
        &[
            "UPDATE p SET v = 2 WHERE id = 7",
            "ALTER TABLE p DETACH PARTITION p_1; CREATE TABLE p_n PARTITION OF p FOR VALUES IN (1)",
            "INSERT INTO p VALUES (1, 1)",
        ],
    );
}

#[test]
fn a_database_made_again_under_its_name_is_another_one() {
    for detector in DETECTORS {
        let chain = Chain::new(detector, "remade", ROWS);
        chain.full();
        let cluster = &chain.cluster;
        cluster.psql("postgres", "DROP DATABASE remade");
        super::create_database(cluster, "remade", detector);
        chain.sql(&format!("{} {}", super::STILL, ROWS.replace("0, repeat", "1, repeat")));
        chain.incremental_of_whatever();
        chain.sql("UPDATE t SET v = 2 WHERE id = 3");
        chain.incremental();
        // Even its number can be the same, and its files another database's, from long ago.
        cluster.psql("postgres", "DROP DATABASE IF EXISTS pattern");
        cluster.psql("postgres", "ALTER DATABASE remade RENAME TO pattern");
        let again = "CREATE DATABASE remade TEMPLATE pattern STRATEGY file_copy OID 99999";
        cluster.psql("postgres", again);
        chain.sql("UPDATE t SET v = 3");
        chain.incremental_of_whatever();
        cluster.psql("postgres", "DROP DATABASE remade");
        cluster.psql("postgres", again);
        chain.incremental_of_whatever();
        chain.sql("UPDATE t SET v = 4 WHERE id = 4");
        chain.incremental();
    }
}

#[test]
fn a_database_or_table_that_moves_to_another_tablespace_is_followed() {
    for detector in DETECTORS {
        let chain = Chain::new(detector, "moving", ROWS);
        let cluster = &chain.cluster;
        cluster.psql(
            "postgres",
            "SET allow_in_place_tablespaces = on; CREATE TABLESPACE other LOCATION ''",
        );
        chain.full();
        chain.sql("UPDATE t SET v = 1 WHERE id = 1; ALTER TABLE t SET TABLESPACE other");
        chain.incremental();
        chain.sql("UPDATE t SET v = 2 WHERE id = 2; ALTER TABLE t SET TABLESPACE pg_default");
        chain.incremental();
        chain.sql("UPDATE t SET v = 3 WHERE id = 3");
        cluster.psql("postgres", "ALTER DATABASE moving SET TABLESPACE other");
        chain.incremental_of_whatever();
        chain.sql("UPDATE t SET v = 4 WHERE id = 4");
        chain.incremental();
        cluster.psql("postgres", "DROP DATABASE moving");
        cluster.psql("postgres", "DROP TABLESPACE other");
    }
}

/// A transaction that has changed a table, and stays open until it is told to end.
struct Open(std::process::Child);

impl Open {
    fn begin(chain: &Chain, sql: &str) -> Self {
        let mut psql = chain.cluster.client("psql", &chain.database);
        let mut psql =
            psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1"]).stdin(Stdio::piped()).spawn().unwrap();
        let script = format!("BEGIN; SET application_name = 'open'; {sql};\n");
        psql.stdin.as_mut().unwrap().write_all(script.as_bytes()).unwrap();
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE application_name = 'open' AND state = 'idle in transaction'";
        while chain.sql(waits) != "1" {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Open(psql)
    }

    fn end(mut self, how: &str) {
        self.0.stdin.as_mut().unwrap().write_all(format!("{how};\n").as_bytes()).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

/// Takes a full backup beside a transaction that has changed its pages already, and an incremental
/// after its end. Tells in what the incremental differs from what is there.
fn beside_an_open_transaction(detector: &'static str, failpoints: &'static str) -> Vec<String> {
    let mut chain = Chain::alone(detector, ROWS);
    chain.failpoints = failpoints;
    let open = Open::begin(&chain, "UPDATE t SET v = 1 WHERE id = 1; INSERT INTO t VALUES (0, 0)");
    // No summary of the log reaches from before this to after it.
    chain.sql("CHECKPOINT");
    chain.full();
    open.end("COMMIT");
    let taken = chain.backup(&[]).expect_ok().json();
    assert_eq!(taken["type"], "incremental", "{taken}");
    chain.differences(&chain.newest())
}

#[test]
fn what_a_transaction_wrote_before_the_parent_and_committed_after_it_is_there() {
    for detector in DETECTORS {
        let differences = beside_an_open_transaction(detector, "");
        assert!(differences.is_empty(), "{detector}: {differences:#?}");
    }
}

#[test]
fn without_the_floor_it_would_be_missed() {
    for detector in ["wal-summary", "page-lsn"] {
        let differences = beside_an_open_transaction(detector, "incremental.naive-floor=return");
        assert!(
            differences.iter().any(|it| it.starts_with("public.t")),
            "{detector}: {differences:?}"
        );
    }
}

#[test]
fn a_prepared_transaction_beside_the_parent_is_waited_for_in_vain_and_missed_nowhere() {
    for detector in DETECTORS {
        let mut chain = Chain::alone(detector, ROWS);
        chain.failpoints = "";
        chain.sql("BEGIN; UPDATE t SET v = 1 WHERE id = 1; PREPARE TRANSACTION 'p'");
        // No position is known that it wrote nothing before.
        chain.sql("CHECKPOINT");
        chain.full();
        let (_, taken) = chain.incremental_of_whatever();
        let told = taken["notes"].to_string().contains("is older");
        assert_eq!(told, detector != "version-digest", "{taken}");
        chain.sql("COMMIT PREPARED 'p'");
        chain.incremental_of_whatever();
        chain.sql("UPDATE t SET v = 2 WHERE id = 2");
        chain.incremental();
    }
}

#[test]
fn a_crash_undoes_nothing_that_a_backup_holds() {
    for detector in DETECTORS {
        // Commits are on disk only much later.
        let builder = super::builder(detector).setting("wal_writer_delay = 1500ms");
        let chain = Chain::on(builder.start().into(), detector, "d", ROWS);
        chain.full();
        for number in 1..=2 {
            // Committed in memory, and in the backup; the space is used by others after the crash.
            chain.sql(&format!("UPDATE t SET v = {number} WHERE id < 50; SELECT txid_current()"));
            chain.incremental_of_whatever();
            chain.cluster.restart();
            chain.incremental_of_whatever();
            chain.sql(&format!("UPDATE t SET v = -{number} WHERE id BETWEEN 100 AND 150"));
            chain.incremental_of_whatever();
        }
        chain.incremental();
    }
}

#[test]
fn pages_of_zeros_where_rows_were_are_no_rows() {
    for detector in ["page-lsn", "version-digest"] {
        let chain = Chain::alone(detector, ROWS);
        chain.full();
        let file = chain.sql("SELECT pg_relation_filepath('t')");
        let pages: u64 = chain.sql("SELECT pg_relation_size('t') / 8192").parse().unwrap();
        chain.wait_until_alone();
        chain.sql("DELETE FROM t WHERE ctid >= '(9,0)'; VACUUM t; CHECKPOINT");
        chain.cluster.stop();
        // As a server leaves them that dies while it makes room.
        let mut file =
            fs::File::options().write(true).open(chain.cluster.data_dir().join(file)).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(&vec![0; (pages as usize + 8 - 9) * 8192]).unwrap();
        chain.cluster.restart();
        assert_eq!(chain.sql("SELECT pg_relation_size('t') / 8192"), (pages + 8).to_string());
        chain.incremental();
    }
}

#[test]
fn a_server_that_reads_tables_in_one_piece_is_looked_at_to_the_end() {
    // The oldest version that is read has no page ranges; it is tested where it is asked for.
    if !strongroom_testkit::tested_versions().contains(&13) {
        return;
    }
    for detector in ["page-lsn", "version-digest"] {
        let cluster = strongroom_testkit::Cluster::builder().version(13).start();
        let chain = Chain::on(cluster.into(), detector, "d", ROWS);
        chain.full();
        for id in [1, 500, 999] {
            chain.sql(&format!("UPDATE t SET v = 1 WHERE id = {id}"));
            chain.incremental();
        }
        chain.wait_until_alone();
        chain.sql("DELETE FROM t WHERE ctid >= '(9,0)'; VACUUM t");
        chain.incremental();
    }
}
