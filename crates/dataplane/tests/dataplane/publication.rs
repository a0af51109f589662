//! Whoever goes on after a restore that died learns whether it was published.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strongroom_dataplane::progress::Progress;
use strongroom_dataplane::restore::{
    self, Fence, Outcome, Publication, RestoreTarget, Transaction,
};
use strongroom_dataplane::{CancellationToken, Error, Kind};
use strongroom_testkit::{Cluster, Proxy};

use crate::support::{Shop, as_regained, block_on, options, server};

/// The kinds of restore, each with a way to publish of its own, and what tells that it did.
const KINDS: &[(&str, &str)] = &[
    ("database", "SELECT count(*) FROM pg_database WHERE datname = 'regained'"),
    ("table", "SELECT count(*) FROM pg_class WHERE relname = 'again'"),
    ("new database", "SELECT count(*) FROM pg_database WHERE datname = 'fresh'"),
    ("cluster", "SELECT count(*) FROM pg_database WHERE datname = 'shop'"),
];

fn target(kind: &str) -> RestoreTarget {
    let orders = "shop.public.orders".parse().unwrap();
    let table = |into_db: &str, new_name: Option<&str>| RestoreTarget::Tables {
        names: vec![orders],
        into_db: Some(into_db.to_owned()),
        into_schema: None,
        new_table_name: new_name.map(str::to_owned),
    };
    match kind {
        "database" => as_regained(),
        "table" => table("postgres", Some("again")),
        "new database" => table("fresh", None),
        _ => RestoreTarget::Cluster,
    }
}

fn visible(target: &Cluster, question: &str) -> bool {
    target.psql("postgres", question) == "1"
}

fn nothing_left(target: &Cluster) -> bool {
    let staged = "SELECT count(*) FROM pg_database WHERE datname LIKE 'strongroom%'";
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'strongroom%'";
    target.psql("postgres", staged) == "0" && target.psql("postgres", schemas) == "0"
}

/// Not a test: the process that [`the_outcome_of_a_restore_that_died_is_known`] lets die.
#[test]
#[ignore = "run by another test, as a process of its own"]
fn a_restore_that_notes_its_publication() {
    let argument = |name: &str| std::env::var(name).unwrap();
    let (url, place, note) = (argument("TEST_TO"), argument("TEST_FROM"), argument("TEST_NOTE"));
    let _scenario = fail::FailScenario::setup();
    let fence = Fence::new(move |publication: Publication| {
        std::fs::write(&note, serde_json::to_vec(&publication.transaction).unwrap()).unwrap();
        async { Ok(()) }
    });
    block_on(async {
        let store = strongroom_dataplane::store::Store::open(&place, false).unwrap();
        let backup =
            strongroom_dataplane::collection::Backup::open(&store, "latest", None).await.unwrap();
        let options = options(target(&argument("TEST_KIND")), &url, fence);
        let (progress, cancel) = (Progress::silent(), CancellationToken::new());
        restore::run(&backup, &options, &progress, &cancel).await.unwrap();
    });
}

#[test]
fn the_outcome_of_a_restore_that_died_is_known() {
    let shop = Shop::open();
    shop.back_up();
    for (kind, question) in KINDS {
        for (point, noted) in [
            ("restore.before-publish", None),
            ("restore.during-publish", Some(Outcome::Aborted)),
            ("restore.after-publish", Some(Outcome::Committed)),
        ] {
            println!("{kind}, {point}");
            let target = Cluster::start();
            let url = target.url("postgres");
            let note = shop.folder.path().join("note");
            let _ = std::fs::remove_file(&note);
            let run = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "publication::a_restore_that_notes_its_publication", "--ignored"])
                .env("TEST_TO", &url)
                .env("TEST_FROM", format!("file://{}", shop.folder.path().display()))
                .env("TEST_NOTE", &note)
                .env("TEST_KIND", kind)
                .env("FAILPOINTS", format!("{point}=return(kill)"))
                .output()
                .unwrap();
            assert_eq!(run.status.code(), None, "{point} was not reached: {run:?}");
            let told = std::fs::read(&note).ok();
            assert_eq!(told.is_some(), noted.is_some(), "{kind}, {point}");
            let server = server(&url);
            if let Some(told) = told {
                let transaction: Transaction = serde_json::from_slice(&told).unwrap();
                let outcome = restore::settle(&server, &transaction);
                assert_eq!(Some(block_on(outcome).unwrap()), noted, "{kind}, {point}");
            }
            let published = noted == Some(Outcome::Committed);
            assert_eq!(visible(&target, question), published, "{kind}, {point}");
            let alive = block_on(restore::sweep(&server, &Progress::silent())).unwrap();
            assert_eq!(alive, 0);
            assert!(nothing_left(&target), "{kind}, {point}");
            assert_eq!(visible(&target, question), published, "{kind}, {point}, swept");
        }
    }
}

/// Restores with this fence.
fn restored(
    shop: &Shop,
    target: RestoreTarget,
    url: &str,
    fence: Fence,
    cancel: &CancellationToken,
) -> Result<restore::Restored, Error> {
    block_on(async {
        let backup = shop.latest().await?;
        let options = options(target, url, fence);
        restore::run(&backup, &options, &Progress::silent(), cancel).await
    })
}

#[test]
fn a_fence_that_refuses_leaves_the_target_as_it_was() {
    let shop = Shop::open();
    shop.back_up();
    for (kind, question) in KINDS {
        let to = Cluster::start();
        let seen = Arc::new(Mutex::new(None));
        let noted = seen.clone();
        let fence = Fence::new(move |publication: Publication| {
            *noted.lock().unwrap() = Some(publication);
            async { Err(Error::new(Kind::Busy, "the lease was lost")) }
        });
        let cancel = CancellationToken::new();
        let error = restored(&shop, target(kind), &to.url("postgres"), fence, &cancel).unwrap_err();
        assert!(error.message().ends_with("the lease was lost"), "{kind}: {error}");
        assert_eq!(error.kind(), Kind::Busy);
        assert!(!visible(&to, question) && nothing_left(&to), "{kind}");
        let publication = seen.lock().unwrap().take().unwrap();
        assert_eq!(
            publication.restored.rows,
            if *kind == "table" || *kind == "new database" { 2000 } else { 2050 }
        );
        let server = server(&to.url("postgres"));
        let gone = Transaction { database: "gone".to_owned(), ..publication.transaction };
        let outcome = block_on(restore::outcome(&server, &gone)).unwrap();
        assert_eq!(outcome, Outcome::Aborted, "{kind}");
    }
}

#[test]
fn a_wish_to_stop_comes_too_late_once_the_fence_let_it_pass() {
    let shop = Shop::open();
    shop.back_up();
    for (kind, question) in KINDS {
        let to = Cluster::start();
        let cancel = CancellationToken::new();
        let stopping = cancel.clone();
        let fence = Fence::new(move |_| {
            stopping.cancel();
            async { Ok(()) }
        });
        restored(&shop, target(kind), &to.url("postgres"), fence, &cancel).unwrap();
        assert!(visible(&to, question) && nothing_left(&to), "{kind}");
    }
}

#[test]
fn a_connection_that_breaks_at_the_commit_does_not_make_a_published_restore_fail() {
    let shop = Shop::open();
    shop.back_up();
    let to = Cluster::start();
    let proxy = Arc::new(Proxy::to(to.port()));
    let cut = proxy.clone();
    let fence = Fence::new(move |_| {
        // COMMIT still passes, as a message of twelve bytes; the answer does not.
        cut.cut_after(12);
        let heals = cut.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(700));
            heals.heal();
        });
        async { Ok(()) }
    });
    let url = to.url_at(proxy.port(), "postgres");
    let cancel = CancellationToken::new();
    restored(&shop, as_regained(), &url, fence, &cancel).unwrap();
    assert!(visible(&to, KINDS[0].1) && nothing_left(&to));
}

#[test]
fn a_crash_of_the_server_does_not_give_the_id_of_a_lost_publication_to_another() {
    let shop = Shop::open();
    shop.back_up();
    for (kind, question) in KINDS {
        // Nothing reaches the disk but what a commit waits for.
        let lazy = Cluster::builder().setting("wal_writer_delay = 10s");
        let to = Arc::new(lazy.setting("synchronous_commit = on").start());
        let (crashing, seen) = (to.clone(), Arc::new(Mutex::new(None)));
        let noted = seen.clone();
        let fence = Fence::new(move |publication: Publication| {
            *noted.lock().unwrap() = Some(publication.transaction);
            crashing.restart();
            async { Ok(()) }
        });
        let cancel = CancellationToken::new();
        let url = to.url("postgres");
        restored(&shop, target(kind), &url, fence, &cancel).unwrap_err();
        for _ in 0..10 {
            to.psql("postgres", "SELECT pg_current_xact_id()");
        }
        let lost = seen.lock().unwrap().take().unwrap();
        let outcome = block_on(restore::outcome(&server(&url), &lost)).unwrap();
        assert_eq!(outcome, Outcome::Aborted, "{kind}");
        assert!(!visible(&to, question) && nothing_left(&to), "{kind}");
    }
}

/// Transactions have the same ids on every server, and on each line of one server's history.
#[test]
fn an_id_that_another_server_or_line_of_history_gave_out_is_not_ours() {
    let shop = Shop::open();
    shop.back_up();
    let to = Cluster::start();
    let url = to.url("postgres");
    let seen = Arc::new(Mutex::new(None));
    let noted = seen.clone();
    let fence = Fence::new(move |publication: Publication| {
        *noted.lock().unwrap() = Some(publication.transaction);
        async { Ok(()) }
    });
    restored(&shop, as_regained(), &url, fence, &CancellationToken::new()).unwrap();
    let published = seen.lock().unwrap().take().unwrap();
    let aborted = to.psql("postgres", "BEGIN; SELECT pg_current_xact_id(); ROLLBACK");
    let aborted = aborted.lines().find_map(|line| line.parse().ok()).unwrap();
    let aborted = Transaction { xid: aborted, ..published.clone() };
    let asked =
        |url: &str, transaction| block_on(restore::outcome(&server(url), transaction)).unwrap();
    assert_eq!(asked(&url, &published), Outcome::Committed);
    assert_eq!(asked(&url, &aborted), Outcome::Aborted);
    // Without knowing of whom it is, the server is believed.
    let told_by_nobody = Transaction { history: Default::default(), ..published.clone() };
    assert_eq!(asked(&url, &told_by_nobody), Outcome::Committed);
    // So is one that does not let us ask.
    to.psql("postgres", "CREATE ROLE plain LOGIN");
    to.psql("postgres", "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
    assert_eq!(asked(&to.user_url("plain", None, "postgres"), &published), Outcome::Committed);

    let other = Cluster::start();
    while other.psql("postgres", "SELECT pg_current_xact_id()").parse::<u64>().unwrap()
        < aborted.xid
    {}
    assert_eq!(asked(&other.url("postgres"), &told_by_nobody), Outcome::Committed);
    for transaction in [&published, &aborted] {
        assert_eq!(asked(&other.url("postgres"), transaction), Outcome::Unknown);
    }

    // A standby that takes over begins another line.
    to.stop();
    std::fs::write(to.data_dir().join("standby.signal"), "").unwrap();
    to.restart();
    // Until it has, nothing is an end but a commit that it has replayed.
    assert_eq!(asked(&url, &published), Outcome::Committed);
    let future = Transaction { xid: published.xid + 1_000_000, ..published.clone() };
    for unknown in [&aborted, &future] {
        let error = block_on(restore::outcome(&server(&url), unknown)).unwrap_err();
        assert!(error.kind().may_pass() && error.message().contains("standby"), "{error}");
    }
    assert_eq!(to.psql("postgres", "SELECT pg_promote()"), "t");
    assert_eq!(asked(&url, &published), Outcome::Unknown);
    assert_eq!(asked(&url, &aborted), Outcome::Aborted);
    // The old primary, when it comes back, does not know what the new one did.
    let mut later = future;
    later.history.timeline += 2;
    assert_eq!(asked(&url, &later), Outcome::Unknown);
}

fn transaction(xid: u64) -> Transaction {
    Transaction { history: Default::default(), database: "postgres".to_owned(), xid }
}

#[test]
fn a_transaction_that_is_still_open_is_ended_by_whoever_settles_it() {
    let to = Cluster::start();
    let url = to.url("postgres");
    let open = |name: &str| {
        let mut psql = to.client("psql", "postgres");
        let ours = format!("SET application_name = '{name}'");
        psql.args(["-At", "-c", &ours, "-c", "BEGIN", "-c", "SELECT pg_current_xact_id()"]);
        psql.args(["-c", "SELECT pg_sleep(60)"]).stdout(std::process::Stdio::null());
        let mut child = psql.spawn().unwrap();
        let id = format!(
            "SELECT backend_xid FROM pg_stat_activity WHERE application_name = '{name}' \
             AND backend_xid IS NOT NULL AND query LIKE '%sleep%'"
        );
        for _ in 0..500 {
            let xid = to.psql("postgres", &id);
            if !xid.is_empty() {
                return (child, xid.parse::<u64>().unwrap());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        panic!("psql opens no transaction: {}", child.wait().unwrap());
    };
    let server = server(&url);
    let (mut ours, xid) = open("strongroom restore 0123abcd worker");
    let (mut other, foreign) = open("somebody");
    block_on(async {
        let ours = transaction(xid);
        assert_eq!(restore::outcome(&server, &ours).await.unwrap(), Outcome::InProgress);
        assert_eq!(restore::settle(&server, &ours).await.unwrap(), Outcome::Aborted);
        let untouched = restore::outcome(&server, &transaction(foreign)).await.unwrap();
        assert_eq!(untouched, Outcome::InProgress);
        let future = restore::outcome(&server, &transaction(foreign + 1_000_000)).await.unwrap();
        assert_eq!(future, Outcome::Aborted);
    });
    ours.wait().unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
}
