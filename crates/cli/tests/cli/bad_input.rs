//! What people get wrong: each error is of the right kind, names the object, and tells the way out;
//! and nothing has been written.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;

use insta::{assert_snapshot, with_settings};
use strongroom_format::Checksum;
use strongroom_testkit::{Cluster, Fault, S3Server, Strongroom, assert_same_contents};
use tempfile::TempDir;

use crate::state::{assert_nothing_left, bytes_below, complete, shop, state, told};
use crate::support::{collection, strongroom};

/// A wrong call: what is wrong with it, how it ends, and the object that its error must name.
struct Case {
    what: &'static str,
    program: Strongroom,
    code: i32,
    kind: &'static str,
    names: String,
}

/// A server with passwords, and backups of it; and a server that lacks what they need.
struct Stage {
    source: Cluster,
    target: Cluster,
    folder: TempDir,
    /// The collection with a backup of the cluster, then one of a table, then an encrypted one.
    place: String,
    whole: String,
    tables: String,
    locked: String,
    key: PathBuf,
    keys: TempDir,
    s3: S3Server,
}

impl Stage {
    fn set() -> Self {
        let source = Cluster::builder().password("right").start();
        let (folder, keys) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        source.create_database("shop");
        source.psql("shop", &shop(100));
        source.psql(
            "shop",
            "CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT ON customers TO reader;
             CREATE ROLE auditor LOGIN PASSWORD 'auditor'; 
             GRANT USAGE ON SCHEMA archive TO auditor;
             GRANT SELECT ON ALL TABLES IN SCHEMA public, archive TO auditor;
             GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO auditor;
             CREATE ROLE maker LOGIN CREATEDB PASSWORD 'maker';
             CREATE VIEW shown AS SELECT 1 AS one;",
        );
        source.create_database("owned");
        source.psql(
            "owned",
            "CREATE ROLE owner_of_bills; CREATE TABLE bills (id int);
             ALTER TABLE bills OWNER TO owner_of_bills;",
        );
        // An extension that no other server has: an installed one by another name.
        source.create_database("special");
        source.psql(
            "special",
            "CREATE EXTENSION citext; SET allow_system_table_mods = on;
             UPDATE pg_extension SET extname = 'rare' WHERE extname = 'citext';",
        );
        let key = keys.path().join("key");
        fs::write(&key, "0123456789abcdef".repeat(4)).unwrap();
        let place = collection(folder.path());
        let url = source.url("postgres");
        let take = |more: &[&str]| {
            strongroom(&[&["backup", "--from", &url, "--into", &place], more].concat()).expect_ok();
        };
        take(&[]);
        take(&["--table", "shop.public.customers"]);
        take(&["--database", "shop", "--key-file", key.to_str().unwrap()]);
        let [whole, tables, locked] = complete(&place).try_into().unwrap();
        let target = Cluster::start();
        target.psql("postgres", "CREATE TABLE own AS SELECT 1 AS one");
        let s3 = S3Server::start();
        Stage { source, target, folder, place, whole, tables, locked, key, keys, s3 }
    }

    fn backup(&self, more: &[&str]) -> Strongroom {
        self.backup_from(&self.source.url("postgres"), more)
    }

    fn backup_from(&self, url: &str, more: &[&str]) -> Strongroom {
        strongroom(&[&["backup", "--json", "--from", url, "--into", &self.place], more].concat())
    }

    fn restore(&self, id: &str, what: &[&str]) -> Strongroom {
        self.restore_to(&self.target.url("postgres"), id, what)
    }

    fn restore_to(&self, url: &str, id: &str, what: &[&str]) -> Strongroom {
        let wheres = ["--from", id, "--in", &self.place, "--to", url, "--json"];
        strongroom(&[&["restore"], what, &wheres].concat())
    }

    fn verify(&self, id: &str) -> Strongroom {
        strongroom(&["verify", id, "--in", &self.place, "--json"])
    }
}

/// Runs the cases, and writes down what each of them said.
#[track_caller]
fn check(snapshot: &str, stage: &Stage, cases: Vec<Case>) {
    let servers = [&stage.source, &stage.target];
    let before = servers.map(state);
    let stored = bytes_below(stage.folder.path());
    let (mut text, mut wrong) = (String::new(), String::new());
    for case in cases {
        let output = case.program.run();
        let what = case.what;
        let (kind, message, hint) = told(&output);
        let mut expect = |holds: bool, what_is_wrong: &str| {
            if !holds {
                wrong.push_str(&format!("{what}: {what_is_wrong}: {output:#?}\n"));
            }
        };
        expect(output.code == Some(case.code), "exit code");
        expect(output.stdout.is_empty(), "output");
        expect(kind == case.kind, "kind");
        expect(message.contains(&case.names), &format!("'{}' is not named", case.names));
        expect(!hint.is_empty(), "no way out");
        expect(stored == bytes_below(stage.folder.path()), "changed the collection");
        let hint = hint.replace('\n', "\n      ");
        text.push_str(&format!("{what}\n  {kind}: {message}\n  hint: {hint}\n\n"));
    }
    for (server, before) in servers.into_iter().zip(before) {
        assert_nothing_left(server);
        assert_same_contents(&before, &state(server));
    }
    let folder = regex(stage.folder.path().to_str().unwrap());
    let keys = regex(stage.keys.path().to_str().unwrap());
    let filters = vec![
        (folder.as_str(), "[DIR]"),
        (keys.as_str(), "[KEYS]"),
        (r"127\.0\.0\.1:\d\d+", "127.0.0.1:[PORT]"),
        (r"20[2-9]\d/\d{2}/\d{2}-\d{6}\.\d{2}", "2026/11/22-130000.00"),
        (r"PostgreSQL \d+", "PostgreSQL [VERSION]"),
        (r"here \(\S+\) is of version \d+", "here ([PG_DUMP]) is of version [VERSION]"),
        (r"postgresql-client-\d+", "postgresql-client-[VERSION]"),
        (r#""rare" [0-9.]+"#, r#""rare" [VERSION]"#),
        // In the words of PostgreSQL 15 and before, and of those since.
        (r"must be (member of|able to SET) (ROLE|role) ", "must be [MEMBER OF] "),
    ];
    with_settings!({ filters => filters }, {
        assert_snapshot!(snapshot, text.trim_end());
    });
    assert!(wrong.is_empty(), "{wrong}");
}

/// The text as a regular expression that matches it.
fn regex(text: &str) -> String {
    let escape = |c: char| if c.is_alphanumeric() { c.to_string() } else { format!("\\{c}") };
    text.chars().map(escape).collect()
}

fn case(
    what: &'static str,
    program: Strongroom,
    code: i32,
    kind: &'static str,
    names: impl Into<String>,
) -> Case {
    Case { what, program, code, kind, names: names.into() }
}

/// A port at which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Passes connections on to a server, which then says that it is of another version: answers that
/// hold `from` hold `to` instead, of the same length.
fn pretending(port: u16, from: &str, to: &str) -> u16 {
    assert_eq!(from.len(), to.len());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let own = listener.local_addr().unwrap().port();
    let (from, to) = (from.as_bytes().to_vec(), to.as_bytes().to_vec());
    // These threads end with the test's process, or when either side hangs up.
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (requests, answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || pass(requests, server, &[], &[]));
            let (from, to) = (from.clone(), to.clone());
            thread::spawn(move || pass(answers, client, &from, &to));
        }
    });
    own
}

fn pass(mut source: TcpStream, mut sink: TcpStream, from: &[u8], to: &[u8]) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = source.read(&mut buffer) {
        let bytes = &mut buffer[..read];
        let found = bytes.windows(from.len().max(1)).position(|window| window == from);
        if let Some(at) = found {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        if sink.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = sink.shutdown(std::net::Shutdown::Both);
}

#[test]
fn wrong_names_keys_and_privileges_are_told_and_change_nothing() {
    let stage = Stage::set();
    check("usage", &stage, usage(&stage));
    check("connections", &stage, connections(&stage));
    check("objects", &stage, objects(&stage));
    check("privileges", &stage, privileges(&stage));
    check("keys", &stage, keys(&stage));
    check("versions", &stage, versions(&stage));
    check("obstacles", &stage, obstacles(&stage));
    // The last one, as the target never writes again.
    stage.target.psql("postgres", "CHECKPOINT");
    stage.target.stop();
    fs::write(stage.target.data_dir().join("standby.signal"), "").unwrap();
    stage.target.restart();
    let standby = format!("127.0.0.1:{}", stage.target.port());
    let restores = [
        ("a database onto a standby", &["database", "shop"][..]),
        ("a table onto a standby", &["table", "shop.public.customers"]),
        ("a cluster onto a standby", &["cluster", "--yes"]),
    ];
    let onto = |(what, args): (&'static str, &[&str])| {
        case(what, stage.restore(&stage.whole, args), 1, "unsupported", &standby)
    };
    check("standby", &stage, restores.map(onto).into());
}

fn usage(stage: &Stage) -> Vec<Case> {
    let long = "x".repeat(64);
    let database = ["database", "shop"];
    let table = ["table", "shop.public.customers"];
    let with = |what: &[&str], option: &str, value: &str| {
        stage.restore(&stage.whole, &[what, &[option, value]].concat())
    };
    let wrong = |what, program, names: &str| case(what, program, 2, "usage", names);
    vec![
        wrong("a server of another kind", stage.backup_from("mysql://h/db", &[]), "mysql"),
        wrong(
            "a collection of another kind",
            strongroom(&["backups", "--json", "--in", "ftp://host/backups"]),
            "ftp",
        ),
        wrong(
            "a collection that is a path",
            strongroom(&["backups", "--json", "--in", "/var/backups"]),
            "/var/backups",
        ),
        wrong("an id that is none", stage.verify("yesterday"), "yesterday"),
        wrong("an id that is a path", stage.verify("../../etc/passwd"), "../../etc/passwd"),
        wrong("no workers for a backup", stage.backup(&["--workers", "0"]), "--workers"),
        wrong("no workers for a restore", with(&database, "--workers", "0"), "--workers"),
        wrong(
            "a table without its database",
            stage.restore(&stage.whole, &["table", "customers"]),
            "customers",
        ),
        wrong(
            "two tables and one name",
            with(
                &["table", "shop.public.customers", "shop.public.orders"],
                "--new-table-name",
                "t",
            ),
            "--new-table-name",
        ),
        wrong(
            "two databases and one name",
            with(&["database", "shop", "special"], "--restore-to", "d"),
            "--restore-to",
        ),
        wrong(
            "tables of two databases",
            stage.restore(&stage.whole, &["table", "shop.public.customers", "special.public.t"]),
            "special",
        ),
        wrong("a long database name", with(&database, "--restore-to", &long), &long),
        wrong("a long database name for tables", with(&table, "--into-db", &long), &long),
        wrong("a long schema name", with(&table, "--into-schema", &long), &long),
        wrong("a long table name", with(&table, "--new-table-name", &long), &long),
        wrong("an empty name", with(&database, "--restore-to", ""), "empty"),
        wrong(
            "a name of ours",
            with(&database, "--restore-to", "strongroom_staging_1"),
            "strongroom_staging_1",
        ),
        wrong("a template's name", with(&database, "--restore-to", "template1"), "template1"),
        wrong(
            "a zero byte in a database's name",
            stage.backup_from(&format!("{}%00x", stage.source.url("shop")), &[]),
            "zero byte",
        ),
        wrong(
            "a zero byte in a user's name",
            stage.backup_from(&stage.source.user_url("a\0b", Some("x"), "shop"), &[]),
            "zero byte",
        ),
        wrong(
            "a zero byte in a collection's name",
            strongroom(&["backups", "--json", "--in", "file:///tmp/a%00b"]),
            "zero byte",
        ),
    ]
}

fn connections(stage: &Stage) -> Vec<Case> {
    let closed = closed_port();
    let nobody = format!("127.0.0.1:{closed}");
    let closed_url = format!("postgresql://postgres@{nobody}/postgres");
    let closed_store = format!(
        "s3://bucket/backups?AWS_ENDPOINT=http://{nobody}&AWS_REGION=r&AWS_ACCESS_KEY_ID=k\
         &AWS_SECRET_ACCESS_KEY=hush"
    );
    let as_user = |user, password| stage.source.user_url(user, password, "postgres");
    let database = ["database", "shop"];
    let s3 = &stage.s3;
    // The test's server would make any bucket.
    s3.inject(Fault::status(404).on("PUT").key("nowhere"));
    let own = stage.source.url("postgres");
    vec![
        case(
            "a wrong password for a backup",
            stage.backup_from(&as_user("postgres", Some("wrong")), &[]),
            1,
            "denied",
            "as \"postgres\"",
        ),
        case(
            "a wrong password for a restore",
            stage.restore_to(&as_user("postgres", Some("wrong")), &stage.whole, &database),
            1,
            "denied",
            "as \"postgres\"",
        ),
        case(
            "no password",
            stage.backup_from(&as_user("postgres", None), &[]),
            1,
            "denied",
            "as \"postgres\"",
        ),
        case(
            "an unknown user",
            stage.backup_from(&as_user("stranger", Some("wrong")), &[]),
            1,
            "denied",
            "as \"stranger\"",
        ),
        case(
            "an unknown database in the URL",
            stage.backup_from(&stage.source.url("nowhere"), &[]),
            1,
            "not-found",
            "nowhere",
        ),
        case("a closed port", stage.backup_from(&closed_url, &[]), 1, "unreachable", &nobody),
        case(
            "a closed port for a restore",
            stage.restore_to(&closed_url, &stage.whole, &database),
            1,
            "unreachable",
            &nobody,
        ),
        case(
            "a socket that does not exist",
            stage.backup_from("postgresql:///postgres?host=/nonexistent", &[]),
            1,
            "unreachable",
            "/nonexistent",
        ),
        case(
            "a server without TLS",
            stage.backup_from(&format!("{}?sslmode=require", stage.source.url("shop")), &[]),
            1,
            "denied",
            "TLS",
        ),
        case(
            "a store that does not answer",
            strongroom(&["backups", "--json", "--in", &closed_store])
                .env("STRONGROOM_STORE_TIMEOUT", "1"),
            1,
            "unreachable",
            "s3://bucket/backups",
        ),
        case(
            "a store that refuses the key",
            strongroom(&["backups", "--json", "--in", &s3.url("x").replace(s3.keys().0, "OTHER")]),
            1,
            "denied",
            "s3://backups/x",
        ),
        case(
            "a bucket that does not exist",
            strongroom(&["backup", "--json", "--from", &own, "--into", &s3.url("nowhere")]),
            1,
            "not-found",
            "s3://backups/nowhere",
        ),
        case(
            "a store without credentials",
            strongroom(&["backups", "--json", "--in", &s3.url_without_keys(s3.port(), "x")])
                // Where a machine of that cloud would be asked for its own.
                .env("AWS_METADATA_ENDPOINT", format!("http://{nobody}"))
                .env("STRONGROOM_STORE_TIMEOUT", "1"),
            1,
            "denied",
            "s3://backups/x",
        ),
    ]
}

fn objects(stage: &Stage) -> Vec<Case> {
    let missing = |what, program, names: &str| case(what, program, 1, "not-found", names);
    let empty = collection(stage.keys.path());
    let unknown = "2001/02/03-040506.07";
    vec![
        missing("an unknown database", stage.backup(&["--database", "nowhere"]), "nowhere"),
        missing(
            "an unknown database with a long name",
            stage.backup(&["--database", &"y".repeat(64)]),
            &"y".repeat(64),
        ),
        missing(
            "an unknown table",
            stage.backup(&["--table", "shop.public.nothing"]),
            "shop.public.nothing",
        ),
        missing(
            "a table of an unknown database",
            stage.backup(&["--table", "nowhere.public.customers"]),
            "nowhere",
        ),
        missing(
            "a view where a table belongs",
            stage.backup(&["--table", "shop.public.shown"]),
            "shop.public.shown",
        ),
        missing("an unknown backup", stage.verify(unknown), unknown),
        missing(
            "an unknown backup to restore",
            stage.restore(unknown, &["cluster", "--yes"]),
            unknown,
        ),
        missing(
            "the latest of none",
            strongroom(&["verify", "latest", "--json", "--in", &empty]),
            &empty,
        ),
        missing(
            "a collection that does not exist",
            strongroom(&["backups", "--json", "--in", &format!("{empty}/none")]),
            &format!("{empty}/none"),
        ),
        missing(
            "a database that the backup does not hold",
            stage.restore(&stage.whole, &["database", "nowhere"]),
            "nowhere",
        ),
        missing(
            "a database of which the backup holds a table",
            stage.restore(&stage.tables, &["table", "special.public.t"]),
            "special",
        ),
        missing(
            "a table that the backup does not hold",
            stage.restore(&stage.whole, &["table", "shop.public.nothing"]),
            "shop.public.nothing",
        ),
        missing(
            "a table that a backup of tables does not hold",
            stage.restore(&stage.tables, &["table", "shop.public.orders", "--into-db", "fresh"]),
            "orders",
        ),
    ]
}

fn privileges(stage: &Stage) -> Vec<Case> {
    let denied = |what, program, names: &str| case(what, program, 1, "denied", names);
    let as_reader = stage.source.user_url("reader", Some("reader"), "shop");
    let as_auditor = stage.source.user_url("auditor", Some("auditor"), "shop");
    let as_maker = stage.source.user_url("maker", Some("maker"), "shop");
    let as_ = |url: &str, what: &[&str]| stage.restore_to(url, &stage.whole, what);
    vec![
        denied(
            "no SELECT on a table",
            stage.backup_from(&as_reader, &["--database", "shop"]),
            "permission denied for table",
        ),
        denied(
            "no right to read a large object",
            stage.backup_from(&as_auditor, &["--database", "shop"]),
            "permission denied for large object",
        ),
        denied(
            "no CREATEDB",
            as_(&as_reader, &["database", "shop", "--restore-to", "copy"]),
            "\"reader\"",
        ),
        denied(
            "no CREATEDB for tables",
            as_(&as_reader, &["table", "shop.public.customers", "--into-db", "copy"]),
            "\"reader\"",
        ),
        denied(
            "no CREATE on the database",
            as_(&as_reader, &["table", "shop.public.customers", "--new-table-name", "copy"]),
            "\"shop\"",
        ),
        denied("no superuser", as_(&as_reader, &["cluster", "--yes"]), "\"reader\""),
        denied(
            "no member of the owner",
            as_(&as_maker, &["database", "shop", "--restore-to", "copy"]),
            "postgres",
        ),
    ]
}

fn keys(stage: &Stage) -> Vec<Case> {
    let file = |name: &str, text: &[u8]| {
        let path = stage.keys.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let wrong = file("wrong", &[7; 32]);
    let short = file("short", b"hush");
    let binary = file("binary", &[0xff; 31]);
    let absent = stage.keys.path().join("absent").display().to_string();
    let right = stage.key.to_str().unwrap();
    let with = |program: Strongroom, key: &str| program.args(["--key-file", key]);
    let restored = || stage.restore(&stage.locked, &["database", "shop"]);
    let (locked, whole) = (stage.locked.as_str(), stage.whole.as_str());
    let bad = |what, program, names: &str| case(what, program, 1, "key", names);
    vec![
        bad("no key", stage.verify(locked), locked),
        bad("no key for a restore", restored(), locked),
        bad("a wrong key", with(stage.verify(locked), &wrong), locked),
        bad("a wrong key for a restore", with(restored(), &wrong), locked),
        bad(
            "a wrong passphrase",
            stage.verify(locked).env("STRONGROOM_PASSPHRASE", "not the right one"),
            locked,
        ),
        bad("a key for a backup without one", with(stage.verify(whole), right), whole),
        bad(
            "a key for a restore without one",
            with(stage.restore(whole, &["table", "shop.public.customers"]), right),
            whole,
        ),
        bad("a short passphrase", with(stage.backup(&[]), &short), &short),
        bad("a key file that holds no key", with(stage.backup(&[]), &binary), &binary),
        bad("a key file that does not exist", with(stage.backup(&[]), &absent), &absent),
    ]
}

fn versions(stage: &Stage) -> Vec<Case> {
    // A backup of a later version of the format, as that version would write it.
    let newer = "2031/01/01-000000.00";
    let from = stage.folder.path().join(&stage.whole).join("MANIFEST");
    let to = stage.keys.path().join("newer").join(newer);
    let text = fs::read_to_string(from).unwrap();
    let (body, _) = text.split_at(text.rfind("checksum ").unwrap());
    let body = body.replace("strongroom manifest 1\n", "strongroom manifest 2\n");
    assert_ne!(body, text[..body.len()]);
    fs::create_dir_all(&to).unwrap();
    let checksum = Checksum::of(body.as_bytes());
    fs::write(to.join("MANIFEST"), format!("{body}checksum {checksum}\n")).unwrap();
    let place = collection(&stage.keys.path().join("newer"));
    let url = stage.target.url("postgres");

    let version = stage.source.psql("postgres", "SHOW server_version_num");
    let port = pretending(stage.source.port(), &version, &format!("99{}", &version[2..]));
    let cluster = ["cluster", "--yes"];
    let unsupported = |what, program, names: &str| case(what, program, 1, "unsupported", names);
    vec![
        unsupported(
            "a newer format",
            strongroom(&["verify", newer, "--json", "--in", &place]),
            &format!("{newer}/MANIFEST"),
        ),
        unsupported(
            "a newer format as the latest",
            strongroom(&[
                "restore", "database", "shop", "--json", "--from", "latest", "--in", &place,
                "--to", &url,
            ]),
            &format!("{newer}/MANIFEST"),
        ),
        unsupported(
            "a server newer than pg_dump",
            stage.backup_from(&stage.source.url_at(port, "postgres"), &[]),
            "PostgreSQL 99",
        ),
        unsupported(
            "a cluster from a backup of a table",
            stage.restore(&stage.tables, &cluster),
            &stage.tables,
        ),
        unsupported(
            "a cluster from a backup of a database",
            stage
                .restore(&stage.locked, &cluster)
                .args(["--key-file", stage.key.to_str().unwrap()]),
            &stage.locked,
        ),
        unsupported(
            "a database from a backup of a table",
            stage.restore(&stage.tables, &["database", "shop"]),
            &stage.tables,
        ),
    ]
}

fn obstacles(stage: &Stage) -> Vec<Case> {
    let own = stage.source.url("postgres");
    let onto_own = |what: &[&str]| stage.restore_to(&own, &stage.whole, what);
    let missing = |what, program, names: &str| case(what, program, 1, "missing", names);
    vec![
        case(
            "a database that is there already",
            onto_own(&["database", "shop"]),
            1,
            "conflict",
            "\"shop\"",
        ),
        case(
            "a table that is there already",
            onto_own(&["table", "shop.public.customers"]),
            1,
            "conflict",
            "public.customers",
        ),
        missing(
            "a role that is missing",
            stage.restore(&stage.whole, &["database", "owned"]),
            "owner_of_bills",
        ),
        missing(
            "an extension that is missing",
            stage.restore(&stage.whole, &["database", "special"]),
            "\"rare\"",
        ),
        missing(
            "a table that a foreign key needs",
            onto_own(&[
                "table",
                "shop.public.orders",
                "shop.public.invoice_numbers",
                "--into-db",
                "fresh",
            ]),
            "customers",
        ),
        missing(
            "a sequence that a default needs",
            onto_own(&[
                "table",
                "shop.public.orders",
                "shop.public.customers",
                "--into-db",
                "fresh",
            ]),
            "invoice_numbers",
        ),
    ]
}

#[test]
fn names_and_definitions_that_are_no_utf8_are_refused_before_they_are_in_a_backup() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    let place = collection(folder.path());
    let url = cluster.url("postgres");
    let backup = |more: &[&str]| {
        strongroom(&[&["backup", "--json", "--from", &url, "--into", &place], more].concat())
    };
    let create = |name: &str, sql: &str| {
        let create = "TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'";
        cluster.psql("postgres", &format!("CREATE DATABASE {name} {create}"));
        // Nothing is converted, and what is no UTF-8 may be printed and executed.
        cluster.psql(name, &format!("SET client_encoding = SQL_ASCII; {sql}"));
    };
    // What is UTF-8 by chance is fine.
    create("fine", "CREATE TABLE café (naïve text DEFAULT 'é'); COMMENT ON TABLE café IS 'ça'");
    backup(&["--database", "fine"]).expect_ok();
    let before = bytes_below(folder.path());
    for (database, sql, names) in [
        ("a_schema", r"SELECT format('CREATE SCHEMA %I', E's\xe9') \gexec", r#"schema "s\xe9""#),
        (
            "a_table",
            r"SELECT format('CREATE TABLE %I ()', E'caf\xe9') \gexec",
            r#"relation "public.caf\xe9""#,
        ),
        (
            "a_column",
            r"CREATE TABLE t (id int); SELECT format('ALTER TABLE t ADD %I int', E'caf\xe9') \gexec",
            r#"column "public.t.caf\xe9""#,
        ),
        ("a_type", r"SELECT format('CREATE TYPE %I AS ENUM ()', E'\xe9') \gexec", r#"type "\xe9""#),
        (
            "a_label",
            r"SELECT format('CREATE TYPE mood AS ENUM (%L)', E'\xe9') \gexec",
            r#"type "mood""#,
        ),
        (
            "a_body",
            r"SELECT format('CREATE FUNCTION f() RETURNS text LANGUAGE sql AS %L', E'SELECT \'\xe9\'::text') \gexec",
            r#"function "f()""#,
        ),
        (
            "a_comment",
            r"CREATE TABLE t (); SELECT format('COMMENT ON TABLE t IS %L', E'\xe9') \gexec",
            r#"comment "TABLE \"t\"""#,
        ),
    ] {
        create(database, sql);
        let output = backup(&["--database", database]).expect_fail(1);
        let (kind, message, hint) = told(&output);
        assert_eq!(kind, "unsupported", "{database}: {output:#?}");
        assert!(message.contains(names) && message.contains("UTF-8"), "{database}: {message}");
        assert!(!hint.is_empty(), "{database}");
        assert_eq!(bytes_below(folder.path()), before, "{database} changed the collection");
        cluster.psql("postgres", &format!("DROP DATABASE {database}"));
    }
    cluster.psql(
        "fine",
        r"CREATE ROLE plain; SET client_encoding = SQL_ASCII;
          SELECT format('COMMENT ON ROLE plain IS %L', E'\xe9') \gexec",
    );
    let (kind, message, _) = told(&backup(&[]).expect_fail(1));
    assert!(kind == "unsupported" && message.contains("role \"plain\""), "{kind}: {message}");
    // A role and a database have names of their own; what does not concern them goes on.
    cluster.psql(
        "fine",
        r"SET client_encoding = SQL_ASCII; SELECT format('CREATE ROLE %I', E'r\xe9') \gexec",
    );
    let (kind, message, _) = told(&backup(&[]).expect_fail(1));
    assert!(kind == "unsupported" && message.contains(r#"role "r\xe9""#), "{kind}: {message}");
    cluster.psql(
        "fine",
        r"SET client_encoding = SQL_ASCII; SELECT format('CREATE DATABASE %I', E'd\xe9') \gexec",
    );
    let (kind, message, _) = told(&backup(&["--database", "fine"]).expect_fail(1));
    assert!(kind == "unsupported" && message.contains(r#"database "d\xe9""#), "{kind}: {message}");
    let wheres = ["--from", "latest", "--in", &place, "--to", &url];
    let restore = ["restore", "database", "fine", "--restore-to", "copy"];
    strongroom(&[&restore[..], &wheres].concat()).expect_ok();
    let table = ["restore", "table", "fine.public.café", "--into-schema", "copy"];
    strongroom(&[&table[..], &wheres].concat()).expect_ok();
}
