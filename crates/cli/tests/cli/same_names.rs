//! One name, several things. A table restore uses what the target has under the names that the table
//! needs: where that is not what the backup means by these names, nothing is loaded, or the
//! difference is told. And a table, a type, a function and an index may share a name.

use serde_json::{Value, json};
use strongroom_testkit::{Cluster, assert_same_dump, tested_versions};

use crate::support::strongroom;
use crate::tables::{Shop, assert_says};

/// Types, functions and tables that `items` needs. The ones inside of others, and functions that
/// others call, are named in no column.
const NEEDS: &str = "
    CREATE EXTENSION hstore;
    CREATE TYPE colour AS ENUM ('red', 'green');
    CREATE TYPE part AS (colour colour, weight numeric(10, 2), note text COLLATE \"C\");
    CREATE DOMAIN parts AS part[];
    CREATE TYPE kit AS (parts parts, size int);
    CREATE DOMAIN amount AS numeric(10, 2) NOT NULL DEFAULT 1 CHECK (VALUE >= 0);
    CREATE COLLATION backwards (provider = icu, locale = 'de', deterministic = false);
    CREATE TYPE texts AS RANGE (subtype = text, collation = backwards);
    CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi);
    CREATE TYPE rank AS ENUM ('low', 'high');
    CREATE TABLE customers (id int, twice int GENERATED ALWAYS AS (id * 2) STORED, name text, rank rank);
    CREATE TABLE things (id int, label text, doubled int GENERATED ALWAYS AS (id * 2) STORED);

    CREATE FUNCTION rate() RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT 1.19';
    CREATE FUNCTION net(gross numeric, digits int DEFAULT 2) RETURNS numeric
        LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = public, pg_temp
        AS $$ BEGIN RETURN round(gross / Rate(), digits); END $$;
    CREATE FUNCTION parsed(int, int) RETURNS int IMMUTABLE RETURN $1 - $2;
    CREATE FUNCTION joined(a text, b text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT a || b';
    CREATE OPERATOR +% (FUNCTION = joined, LEFTARG = text, RIGHTARG = text);
    CREATE FUNCTION number(colour) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 7';
    CREATE CAST (colour AS int) WITH FUNCTION number(colour);

    CREATE TEXT SEARCH DICTIONARY stems (TEMPLATE = snowball, Language = 'french', StopWords = 'english');
    CREATE TEXT SEARCH CONFIGURATION words (PARSER = \"default\");
    ALTER TEXT SEARCH CONFIGURATION words ADD MAPPING FOR asciiword, word WITH stems, simple;

    CREATE FUNCTION fresh() RETURNS int LANGUAGE sql AS 'SELECT 5';
    CREATE TYPE pair AS (low int, high int);
    CREATE FUNCTION ordered(pair) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
    CREATE FUNCTION fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
    CREATE FUNCTION sorted(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT -$1';
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';";

/// Tables with rows whose values could all be read as others.
const ITEMS: &str = "
    CREATE TABLE items (
        id int DEFAULT fresh() CHECK (fine(id)) CHECK (ordered(NULL)),
        kit kit,
        total amount,
        names texts,
        span span,
        spans span_multirange,
        customer customers,
        tags hstore,
        named text COLLATE backwards,
        colour colour,
        net numeric GENERATED ALWAYS AS (net(total)) STORED,
        difference int GENERATED ALWAYS AS (parsed(id, 3)) STORED,
        pair text GENERATED ALWAYS AS (named +% 'x') STORED,
        number int GENERATED ALWAYS AS (colour::int) STORED,
        words tsvector GENERATED ALWAYS AS (to_tsvector('words', named)) STORED
    );
    INSERT INTO items SELECT i, ROW(ARRAY[ROW('red', 1.5, 'n')::part, ROW('green', 2, 'm')::part]::parts, i)::kit, i,
        '[a,b)', '[1.5,2)', '{[1,2)}', ROW(i, 2 * i, 'nobody', 'low')::customers, 'a=>1', 'x', 'green'
        FROM generate_series(1, 20) AS i;
    CREATE TABLE boxes AS SELECT kit FROM items WHERE id = 1;
    CREATE INDEX ON items (sorted(id));
    CREATE TRIGGER touch BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION touch();
    CREATE TABLE special (extra text) INHERITS (things);
    INSERT INTO special (id, label, extra) SELECT i, 'label', 'extra' FROM generate_series(1, 10) AS i;";

/// A database `shop` with all of it, and a backup.
fn shop() -> Shop {
    Shop::with(&format!("{NEEDS}{ITEMS}"))
}

/// A database with the needs, in which one thing is another one, and what a restore there plans.
#[track_caller]
fn plan_where(shop: &Shop, from: &str, to: &str) -> Value {
    let needs = NEEDS.replacen(from, to, 1);
    assert_ne!(needs, NEEDS, "{from}");
    let _ = shop.cluster.try_psql("postgres", "DROP DATABASE other");
    shop.cluster.create_database("other");
    shop.cluster.psql("other", &needs);
    shop.plan(&["shop.public.items", "shop.public.special", "--into-db", "other"])
}

#[test]
fn what_the_target_has_is_used_where_it_is_the_same() {
    let shop = shop();
    // In another order, with other costs, under other names of constraints; of other versions, which
    // print things in their own words.
    let needs = NEEDS
        .replace("STRICT PARALLEL SAFE", "PARALLEL RESTRICTED COST 7 STRICT")
        .replace("CHECK (VALUE", "CONSTRAINT positive CHECK (VALUE")
        .replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION");
    for version in tested_versions() {
        let target = Cluster::builder().version(version).start();
        target.create_database("other");
        target.psql("other", &needs);
        let url = target.url("postgres");
        let tables = ["shop.public.items", "shop.public.special", "--into-db", "other"];
        let restore = |more: &[&str]| {
            strongroom(&shop.args(&url, &[&tables[..], more].concat())).expect_ok().json()
        };
        let plan = restore(&["--plan"]);
        assert_eq!(plan["conflicts"], json!([]), "{version}");
        assert_eq!(plan["missing"], json!([]), "{version}");
        let notes = plan["notes"].to_string();
        assert!(!notes.contains("in the backup"), "{version}: {notes}");
        let uses = plan["uses"].as_array().unwrap();
        let named: Vec<_> = uses.iter().map(|used| used["name"].as_str().unwrap()).collect();
        for name in ["colour", "part", "parts", "backwards", "rate()", "stems"] {
            assert!(named.contains(&format!("public.{name}").as_str()), "{name}: {named:?}");
        }
        for used in uses {
            assert_eq!(used["comparison"], "same", "{version}: {used}");
        }
        restore(&[]);
        let (ours, theirs) = (shop.cluster.tables_hash("shop"), target.tables_hash("other"));
        assert_eq!(theirs["public.items"], ours["public.items"], "{version}");
        assert_eq!(theirs["public.special"], ours["public.special"], "{version}");
    }
}

#[test]
fn what_would_become_another_value_is_in_the_way() {
    let shop = shop();
    for (from, to, says) in [
        // Types, and types inside of types.
        (
            "part AS (colour colour, weight numeric(10, 2),",
            "part AS (weight numeric(10, 2), colour colour,",
            &[
                "type public.part",
                "(weight numeric(10,2), colour public.colour, note text COLLATE pg_catalog.\"C\")",
                "in the backup (colour public.colour, weight numeric(10,2), note",
            ][..],
        ),
        ("weight numeric(10, 2)", "weight numeric(10, 1)", &["public.part", "numeric(10,1)"]),
        ("note text COLLATE \"C\"", "note text", &["public.part", "note text)"]),
        (
            "('red', 'green')",
            "('green', 'red')",
            &["public.colour", "(green, red)", "(red, green)"],
        ),
        (
            "parts AS part[]",
            "parts AS text[]",
            &["domain public.parts", "(text[])", "public.part[]"],
        ),
        ("kit AS (parts parts, size int)", "kit AS (parts part[], size int)", &["type public.kit"]),
        ("amount AS numeric(10, 2)", "amount AS numeric(10)", &["domain public.amount", "(10,0)"]),
        (
            "subtype = float8, subtype_diff = float8mi",
            "subtype = int4, multirange_type_name = span_multirange",
            &["type public.span", "(subtype = integer", "(subtype = double precision"],
        ),
        ("subtype = text, collation = backwards", "subtype = text", &["public.texts", "backwards"]),
        (
            "'de', deterministic = false",
            "'fr', deterministic = false",
            &["collation public.backwards"],
        ),
        (
            "DOMAIN amount AS",
            "TYPE amount AS ENUM ('1'); CREATE DOMAIN other AS",
            &["an enum", "a domain"],
        ),
        (
            "EXTENSION hstore;",
            "EXTENSION hstore SCHEMA pg_catalog; CREATE DOMAIN hstore AS text;",
            &["type public.hstore", "belongs to no extension"],
        ),
        ("('low', 'high')", "('high', 'low')", &["type public.rank", "(high, low)"]),
        // Rows of other tables, and inherited columns.
        (
            "customers (id int, twice int GENERATED ALWAYS AS (id * 2) STORED, name text,",
            "customers (id int, name text, twice int GENERATED ALWAYS AS (id * 2) STORED,",
            &["table public.customers", "(id integer, name text, twice", "items holds rows of it"],
        ),
        (
            "things (id int, label text",
            "things (id bigint, label text",
            &["public.things", "bigint"],
        ),
        (
            "doubled int GENERATED ALWAYS AS (id * 2)",
            "doubled int GENERATED ALWAYS AS (id * 3)",
            &["public.things", "* 3"],
        ),
        // Functions that generated columns are computed by, directly or not.
        (
            "round(gross / Rate(), digits)",
            "trunc(gross / Rate(), digits)",
            &["net(numeric, integer)", "another body"],
        ),
        (
            "digits int DEFAULT 2",
            "digits int DEFAULT 1",
            &["net(numeric, integer)", "DEFAULT 1", "DEFAULT 2"],
        ),
        ("SET search_path = public, pg_temp", "", &["net(numeric, integer)", "search_path"]),
        ("'SELECT 1.19'", "'SELECT 1.07'", &["public.rate()", "values of table public.items"]),
        ("RETURN $1 - $2", "RETURN $2 - $1", &["public.parsed(integer, integer)"]),
        ("'SELECT a || b'", "'SELECT b || a'", &["public.joined(text, text)"]),
        ("+% (FUNCTION = joined", "+% (FUNCTION = textcat", &["operator public.+%", "textcat"]),
        ("'SELECT 7'", "'SELECT 8'", &["public.number(public.colour)"]),
        (
            "CREATE CAST (colour AS int) WITH FUNCTION number(colour);",
            "CREATE FUNCTION own(colour) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 7';
             CREATE CAST (colour AS int) WITH FUNCTION own(colour);",
            &["cast CAST (public.colour AS integer)", "public.own", "public.number"],
        ),
        (
            "ADD MAPPING FOR asciiword, word WITH stems, simple",
            "ADD MAPPING FOR asciiword, word WITH simple",
            &["configuration public.words", "(asciiword WITH simple; word"],
        ),
        (
            "Language = 'french'",
            "Language = 'german'",
            &["dictionary public.stems", "german", "french"],
        ),
    ] {
        let plan = plan_where(&shop, from, to);
        let conflicts = plan["conflicts"].as_array().unwrap();
        assert!(!conflicts.is_empty(), "{from}: {plan}");
        let found = conflicts.iter().find(|conflict| {
            let message = conflict["message"].as_str().unwrap().replace('"', "");
            says.iter().all(|part| message.contains(&part.replace('"', "")))
        });
        let found = found.unwrap_or_else(|| panic!("{from}: {says:?} is not in {conflicts:#?}"));
        assert_says(&found["message"], &["database \"other\"", "in the backup"]);
        assert_says(&found["resolutions"], &["--into-db with the name of a new database"]);
    }
}

#[test]
fn the_ways_out_of_another_meaning_work() {
    let shop = shop();
    let says = |error: &Value, object: &str| {
        assert_eq!(error["kind"], "conflict");
        assert_says(&error["message"], &[object, "database \"other\"", "in the backup"]);
    };
    plan_where(&shop, "(parts parts, size int)", "(size int, parts parts)");
    let error = shop.refused(&["shop.public.boxes", "--into-db", "other"]);
    says(&error, "public.kit");
    shop.restore(&["shop.public.boxes", "--into-db", "new"]);
    assert_eq!(
        shop.cluster.psql("new", "SELECT kit FROM boxes"),
        shop.psql("SELECT kit FROM boxes")
    );

    plan_where(&shop, "'SELECT 1.19'", "'SELECT 1.07'");
    let error = shop.refused(&["shop.public.items", "--into-db", "other"]);
    says(&error, "public.rate()");
    assert_says(&error["hint"], &["give function public.rate() the definition"]);
    let right =
        "CREATE OR REPLACE FUNCTION rate() RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT 1.19'";
    shop.cluster.psql("other", right);
    shop.restore(&["shop.public.items", "--into-db", "other"]);
    let sum = "SELECT sum(net) FROM items";
    assert_eq!(shop.cluster.psql("other", sum), shop.psql(sum));
}

#[test]
fn what_only_behaves_otherwise_later_is_told() {
    let shop = shop();
    for (from, to, says) in [
        (
            "CHECK (VALUE >= 0)",
            "CHECK (VALUE > -5)",
            &["public.amount", "other constraints", "-5"][..],
        ),
        ("NOT NULL DEFAULT 1 ", "DEFAULT 1 ", &["public.amount", "NOT NULL"]),
        ("'SELECT 5'", "'SELECT 6'", &["public.fresh()", "another body"]),
        // Of a function's argument only.
        (
            "pair AS (low int, high int)",
            "pair AS (high int, low int)",
            &["type public.pair", "other attributes"],
        ),
        (
            "RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'",
            "RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT 1 = 1'",
            &["public.ordered"],
        ),
        ("'SELECT -$1'", "'SELECT $1 + 0'", &["public.sorted(integer)"]),
        ("'BEGIN RETURN new; END'", "'BEGIN RETURN NULL; END'", &["public.touch()"]),
        (
            "things (id int,",
            "things (added date, id int,",
            &["public.special", "columns that it did not have"],
        ),
        (
            "EXTENSION hstore;",
            "EXTENSION hstore; UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'hstore';",
            &["extension hstore", "0.9"],
        ),
    ] {
        let plan = plan_where(&shop, from, to);
        assert_eq!(plan["conflicts"], json!([]), "{from}");
        assert_eq!(plan["notes"].as_array().unwrap().len(), 1, "{from}: {plan}");
        assert_says(&plan["notes"], says);
        assert_says(&plan["notes"], &["in the backup"]);
        let tables = ["shop.public.items", "shop.public.special", "--into-db", "other"];
        let restored = shop.restore(&tables);
        assert_says(&restored["notes"], says);
        let sum = "SELECT sum((kit).size), sum(net) FROM items";
        assert_eq!(shop.cluster.psql("other", sum), shop.psql(sum));
    }
}

#[test]
fn rows_that_a_domain_of_the_target_refuses_are_an_error_that_names_it() {
    let shop = shop();
    plan_where(&shop, "CHECK (VALUE >= 0)", "CHECK (VALUE < 10)");
    let tables = ["shop.public.items", "--into-db", "other"];
    let error = shop.refused(&tables);
    assert_says(&error["message"], &["table shop.public.items", "domain public.amount violates"]);
    assert_eq!(shop.cluster.psql("other", "SELECT to_regclass('items')"), "");
}

/// Things of different kinds under the names of others.
const NAMESAKES: &str = "
    CREATE TYPE status AS ENUM ('new', 'paid');
    CREATE TYPE numbers AS (low int, high int);
    COMMENT ON COLUMN numbers.low IS 'The lower one.';
    CREATE COLLATION orders (provider = libc, locale = 'C');
    CREATE FUNCTION orders(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
    CREATE FUNCTION status(status) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 7';
    CREATE FUNCTION kinds() RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
    CREATE TABLE kinds (id int PRIMARY KEY);
    INSERT INTO kinds VALUES (1), (2);
    CREATE TABLE orders (
        id serial PRIMARY KEY CHECK (orders(id) > 1),
        kind int REFERENCES kinds,
        status status,
        name text COLLATE orders,
        range numbers,
        next int GENERATED ALWAYS AS (orders(id)) STORED,
        rank int GENERATED ALWAYS AS (status(status)) STORED
    );
    INSERT INTO orders (kind, status, name, range)
        SELECT i % 2 + 1, 'new', 'name', ROW(i, i)::numbers FROM generate_series(1, 10) AS i;
    CREATE INDEX status ON orders (status);
    CREATE STATISTICS orders ON kind, name FROM orders;
    CREATE STATISTICS status ON kind, id FROM orders;
    ALTER TABLE orders ADD CONSTRAINT numbered UNIQUE (id, kind);
    COMMENT ON INDEX status IS 'By status.';
    CREATE VIEW seen AS SELECT o.id, k.id AS kind FROM orders AS o, kinds() AS k(id);";

#[test]
fn a_table_a_type_a_function_and_an_index_of_one_name_are_told_apart() {
    let shop = Shop::with(NAMESAKES);
    let tables = ["shop.public.orders", "shop.public.kinds", "shop.public.seen"];
    let before = shop.dump("shop", &["public.*"]);
    let rows = "SELECT * FROM orders ORDER BY id";
    // Everything is made.
    let restored = shop.restore(&[&tables[..], &["--into-db", "new"]].concat());
    let created = ["new.public.kinds", "new.public.orders", "new.public.seen"];
    assert_eq!(restored["created"], json!(created));
    assert_same_dump(&before, &shop.dump("new", &["public.*"]));
    assert_eq!(shop.cluster.psql("new", rows), shop.psql(rows));

    // Only the table is made, under another name; what shares its name is used.
    let restored = shop.restore(&["shop.public.orders", "--new-table-name", "again"]);
    assert_eq!(restored["created"], json!(["shop.public.again"]));
    assert_eq!(shop.psql("SELECT * FROM again ORDER BY id"), shop.psql(rows));
    let referenced = "SELECT confrelid::regclass FROM pg_constraint
                      WHERE contype = 'f' AND conrelid = 'again'::regclass";
    assert_eq!(shop.psql(referenced), "kinds");
    shop.psql("DROP TABLE again");
    assert_same_dump(&before, &shop.dump("shop", &["public.*"]));

    // Functions and types are made, and keep their names beside other things of these names.
    shop.cluster.create_database("other");
    shop.cluster.psql(
        "other",
        "CREATE TABLE kinds (id int); CREATE INDEX status ON kinds (id);
         INSERT INTO kinds VALUES (1), (2); ALTER TABLE kinds ADD PRIMARY KEY (id);",
    );
    shop.restore(&["shop.public.orders", "--into-db", "other", "--new-table-name", "again"]);
    assert_eq!(shop.cluster.psql("other", "SELECT orders(1), status('new'::status)"), "2|7");
    assert_eq!(shop.cluster.psql("other", "SELECT * FROM again ORDER BY id"), shop.psql(rows));
}

#[test]
fn a_type_that_has_the_name_of_a_restored_table_is_in_the_way() {
    let shop = Shop::with(NAMESAKES);
    let error = shop.refused(&["shop.public.orders", "--new-table-name", "status"]);
    assert_eq!(error["kind"], "conflict");
    let error = shop.refused(&["shop.public.kinds", "--new-table-name", "numbers"]);
    assert_eq!(error["kind"], "conflict");
    shop.psql("CREATE DOMAIN number AS int");
    let error = shop.refused(&["shop.public.kinds", "--new-table-name", "number"]);
    assert_eq!(error["kind"], "conflict");
    assert_says(&error["message"], &["type \"public.number\"", "\"shop\""]);
    assert_says(&error["hint"], &["--new-table-name number_restored"]);
}
