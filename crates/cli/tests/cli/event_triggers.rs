//! Event triggers of a live database do not get to see, or to break, what a table restore does there.

use serde_json::json;

use crate::state::assert_nothing_left;
use crate::support::strongroom;
use crate::tables::{Shop, assert_says, error};

/// A database with a table, and functions for event triggers.
const SHOP: &str = "
    CREATE ROLE maker LOGIN;
    GRANT CREATE ON DATABASE shop TO maker;
    GRANT CREATE ON SCHEMA public TO maker;
    CREATE TABLE orders (id serial PRIMARY KEY, note text);
    INSERT INTO orders (note) SELECT 'note' FROM generate_series(1, 100);
    CREATE INDEX ON orders (note);
    ALTER TABLE orders OWNER TO maker;
    CREATE TABLE seen (command text);
    GRANT ALL ON seen TO maker;
    CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'nothing is changed here'; END $$;
    CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.seen VALUES (TG_TAG); END $$;";

const AGAIN: [&str; 3] = ["shop.public.orders", "--new-table-name", "again"];

/// Whether the server has a setting that silences all of them.
fn has_setting(shop: &Shop) -> bool {
    shop.psql("SELECT current_setting('server_version_num')::int >= 170000") == "t"
}

#[test]
#[cfg(feature = "failpoints")]
fn event_triggers_do_not_fire_for_a_restore_and_its_clean_up() {
    let shop = Shop::with(SHOP);
    shop.psql(
        "CREATE EVENT TRIGGER sees ON ddl_command_end EXECUTE FUNCTION see();
         CREATE EVENT TRIGGER no_drops ON sql_drop EXECUTE FUNCTION refuse();
         CREATE EVENT TRIGGER nothing_new ON ddl_command_start EXECUTE FUNCTION refuse();",
    );
    let plan = shop.plan(&AGAIN);
    assert_says(&plan["notes"], &["do not fire", "no_drops, nothing_new, sees"]);
    let url = shop.cluster.url("postgres");
    let args = shop.args(&url, &AGAIN);
    let at = "restore.before-publish";
    strongroom(&args).failpoints(&format!("{at}=return(fail)")).expect_fail(1);
    assert_nothing_left(&shop.cluster);
    // What a killed one has left is removed by the next.
    strongroom(&args).failpoints(&format!("{at}=return(kill)")).run();
    shop.restore(&AGAIN);
    assert_nothing_left(&shop.cluster);
    assert_eq!(shop.psql("SELECT count(*) FROM again"), "100");
    assert_eq!(shop.psql("SELECT count(*) FROM seen"), "0");
    // They are as they were.
    let refused = shop.cluster.try_psql("shop", "CREATE TABLE more (id int)");
    assert!(refused.unwrap_err().contains("nothing is changed here"));
}

#[test]
fn an_event_trigger_that_can_not_be_silenced_is_told() {
    let shop = Shop::with(SHOP);
    shop.psql(
        "CREATE EVENT TRIGGER disabled ON ddl_command_start EXECUTE FUNCTION refuse();
         ALTER EVENT TRIGGER disabled DISABLE;
         CREATE EVENT TRIGGER \"for replicas\" ON ddl_command_start EXECUTE FUNCTION refuse();
         ALTER EVENT TRIGGER \"for replicas\" ENABLE REPLICA;",
    );
    assert_eq!(shop.plan(&AGAIN)["notes"], json!([]));
    shop.psql(
        "CREATE EVENT TRIGGER always ON ddl_command_end EXECUTE FUNCTION see();
         ALTER EVENT TRIGGER always ENABLE ALWAYS;",
    );
    // Nothing would be gained by taking the part of a replica.
    let notes = shop.restore(&AGAIN)["notes"].clone();
    let seen = shop.psql("SELECT count(*) > 0 FROM seen");
    match has_setting(&shop) {
        true => {
            assert_says(&notes, &["do not fire", "always"]);
            assert_eq!(seen, "f");
        }
        false => {
            assert_says(&notes, &["can make it fail: always;", "DISABLE"]);
            assert_eq!(seen, "t");
        }
    }
}

#[test]
fn a_role_that_may_not_silence_event_triggers_is_told_which_fire() {
    let shop = Shop::with(SHOP);
    shop.psql("CREATE EVENT TRIGGER guard ON ddl_command_start EXECUTE FUNCTION refuse()");
    let maker = shop.cluster.user_url("maker", None, "postgres");
    let before = shop.dump("shop", &["public.*"]);
    let plan = strongroom(&shop.args(&maker, &[&AGAIN[..], &["--plan"]].concat()));
    assert_says(&plan.expect_ok().json()["notes"], &["can make it fail: guard;", "as a superuser"]);
    let output = strongroom(&shop.args(&maker, &AGAIN)).expect_fail(1);
    assert_says(&error(&output)["message"], &["nothing is changed here"]);
    assert_eq!(shop.dump("shop", &["public.*"]), before);
    assert_nothing_left(&shop.cluster);
}
