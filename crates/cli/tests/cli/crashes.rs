//! Nothing is lost, wherever the program dies, fails or is interrupted.
//!
//! A backup is then absent or complete. A restore has changed nothing, or, once it has published,
//! everything. The next run succeeds, and removes what the one that died has left behind.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use strongroom_dataplane::failpoint::{BACKUP, RESTORE_CLUSTER, RESTORE_DATABASE, RESTORE_TABLE};
use strongroom_testkit::{Cluster, Output, Proxy, Running, Strongroom, assert_same_contents};
use tempfile::TempDir;

use crate::state::{
    Random, Source, State, assert_no_sessions, assert_nothing_left, bytes_below, complete, files,
    logical, source, state, without,
};
use crate::support::{collection, strongroom};

/// What a failpoint makes happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The process dies as by `kill -9`.
    Kill,
    /// The step fails.
    Fail,
}

/// Runs the program with this failpoint, and makes sure that it was reached.
#[track_caller]
fn run_into(program: Strongroom, point: &str, action: Action) -> Output {
    let word = match action {
        Action::Kill => "kill",
        Action::Fail => "fail",
    };
    let output = program.failpoints(&format!("{point}=return({word})")).run();
    match action {
        Action::Kill => assert_eq!(output.code, None, "{point} was not reached: {output:#?}"),
        Action::Fail => {
            assert_eq!(output.code, Some(1), "{point} was not reached: {output:#?}");
            assert!(output.stderr.contains(point), "{output:#?}");
        }
    }
    output
}

fn backup(source: &Source, into: &str) -> Strongroom {
    let url = source.cluster.url("postgres");
    strongroom(&["backup", "--from", &url, "--database", "shop", "--into", into])
}

#[test]
fn a_backup_that_dies_or_fails_at_any_step_is_absent_or_complete() {
    let (source, folder) = (source(), TempDir::new().unwrap());
    let place = collection(folder.path());
    backup(&source, &place).expect_ok();
    let earlier = bytes_below(folder.path());
    let manifest = BACKUP.iter().position(|point| *point == "backup.after-manifest");
    let manifest = manifest.unwrap();
    for action in [Action::Kill, Action::Fail] {
        for (at, point) in BACKUP.iter().enumerate() {
            let (known, lying) = (complete(&place), files(folder.path()));
            if (*point, action) == ("backup.before-release", Action::Fail) {
                // Its claim harms nobody: that it could not be removed is told, and no failure.
                let failing = format!("{point}=return(fail)");
                let taken = backup(&source, &place).failpoints(&failing).expect_ok();
                assert!(taken.stderr.contains("could not be removed"), "{taken:#?}");
            } else {
                run_into(backup(&source, &place), point, action);
            }
            assert_no_sessions(&source.cluster);
            let now = complete(&place);
            assert_eq!(now[..known.len()], known, "{point}, {action:?}");
            if at < manifest {
                assert_eq!(now.len(), known.len(), "{point}, {action:?}");
                if action == Action::Fail {
                    assert_eq!(files(folder.path()), lying, "remains of {point}");
                }
            } else {
                let [new] = &now[known.len()..] else {
                    panic!("{point}, {action:?}: {now:?} after {known:?}");
                };
                assert_restorable(&source, &place, new);
            }
            let next = strongroom(&["verify", "latest", "--in", &place]);
            backup(&source, &place).expect_ok();
            next.expect_ok();
            assert_eq!(complete(&place).len(), now.len() + 1);
        }
    }
    for (path, bytes) in earlier {
        assert_eq!(fs::read(&path).unwrap(), bytes, "{}", path.display());
    }
    assert_restorable(&source, &place, "latest");
}

/// Asserts that a backup of the shop verifies, and gives the shop back.
#[track_caller]
fn assert_restorable(source: &Source, place: &str, id: &str) {
    strongroom(&["verify", id, "--in", place]).expect_ok();
    let url = source.cluster.url("postgres");
    let restore = ["restore", "database", "shop", "--restore-to", "regained"];
    let wheres = ["--from", id, "--in", place, "--to", &url];
    strongroom(&[&restore[..], &wheres].concat()).expect_ok();
    assert_same_contents(
        &source.cluster.tables_hash("shop"),
        &source.cluster.tables_hash("regained"),
    );
    source.cluster.psql("postgres", "DROP DATABASE regained");
}

/// The kinds of restore, each with a way to publish of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// `shop` as `regained`.
    Database,
    /// `shop.public.orders` as `again`, in the shop.
    Table,
    /// `shop.public.customers` into `fresh`, a database that does not exist.
    TableIntoNewDatabase,
    /// Everything, over a cluster that has changed since.
    Cluster,
}

/// A server to restore to, and a kind of restore that can be repeated there.
struct Trial {
    what: What,
    source: Arc<Source>,
    target: Cluster,
}

impl Trial {
    fn new(what: What) -> Self {
        Trial::at(Cluster::start(), what)
    }

    fn at(target: Cluster, what: What) -> Self {
        let source = source();
        let trial = Trial { what, source, target };
        // What is restored needs its owners, and a table what it refers to.
        match what {
            What::Database | What::TableIntoNewDatabase => {
                trial.in_target("CREATE ROLE clerk; CREATE ROLE staff")
            }
            What::Table | What::Cluster => {
                trial.restore_all(trial.target.port()).expect_ok();
                trial.undo();
            }
        }
        trial
    }

    /// The same target for another kind of restore.
    fn and_then(mut self, what: What) -> Self {
        self.restore_all(self.target.port()).expect_ok();
        self.what = what;
        self.undo();
        self
    }

    /// Every failpoint on its way.
    fn points(&self) -> &'static [&'static str] {
        match self.what {
            What::Database => RESTORE_DATABASE,
            What::Table | What::TableIntoNewDatabase => RESTORE_TABLE,
            What::Cluster => RESTORE_CLUSTER,
        }
    }

    fn restore_all(&self, port: u16) -> Strongroom {
        self.program(&["cluster", "--yes"], port)
    }

    fn program(&self, what: &[&str], port: u16) -> Strongroom {
        let url = self.target.url_at(port, "postgres");
        let wheres = ["--from", "latest", "--in", &self.source.place, "--to", &url];
        strongroom(&[&["restore"], what, &wheres].concat())
    }

    /// The restore, told that the server is at this port.
    fn run_at(&self, port: u16) -> Strongroom {
        match self.what {
            What::Database => self.program(&["database", "shop", "--restore-to", "regained"], port),
            What::Table => {
                let orders = ["table", "shop.public.orders", "--new-table-name", "again"];
                self.program(&orders, port)
            }
            What::TableIntoNewDatabase => {
                let customers = ["table", "shop.public.customers", "--into-db", "fresh"];
                self.program(&customers, port)
            }
            What::Cluster => self.restore_all(port),
        }
    }

    fn run(&self) -> Strongroom {
        self.run_at(self.target.port())
    }

    /// Asserts that everything came back, and that nothing else has changed since `before`.
    #[track_caller]
    fn assert_complete(&self, before: &State) {
        let now = state(&self.target);
        let below = |state: &State, prefix: &str| -> State {
            let inside = |(name, value): (&String, &String)| {
                Some((name.strip_prefix(prefix)?.to_owned(), value.clone()))
            };
            state.iter().filter_map(inside).collect()
        };
        let expected = &self.source.state;
        match self.what {
            What::Database => {
                assert_same_contents(
                    &below(expected, "shop: "),
                    &logical(below(&now, "regained: ")),
                );
                assert_same_contents(before, &without(now, "regained"));
            }
            What::Table => {
                assert_eq!(now["shop: public.again"], expected["shop: public.orders"]);
                assert_eq!(
                    now["shop: sequence public.again_id_seq"],
                    expected["shop: sequence public.orders_id_seq"]
                );
                assert_same_contents(before, &without(now, "again"));
            }
            What::TableIntoNewDatabase => {
                let customers = "public.customers";
                assert_eq!(
                    now[&format!("fresh: {customers}")],
                    expected[&format!("shop: {customers}")]
                );
                assert_same_contents(before, &without(now, "fresh"));
            }
            What::Cluster => {
                // Roles that the backup does not know stay.
                assert_same_contents(expected, &logical(without(now, "diverged")));
            }
        }
    }

    /// Brings the target to where the next restore has everything to do.
    fn undo(&self) {
        match self.what {
            What::Database => self.in_target("DROP DATABASE IF EXISTS regained"),
            What::Table => {
                self.target.psql("shop", "DROP TABLE IF EXISTS again");
            }
            What::TableIntoNewDatabase => self.in_target("DROP DATABASE IF EXISTS fresh"),
            What::Cluster => {
                self.in_target(
                    "SELECT format('ALTER ROLE clerk RENAME TO diverged_%s', count(*))
                     FROM pg_roles WHERE starts_with(rolname, 'diverged_') \\gexec
                     ALTER ROLE staff CREATEROLE;
                     ALTER DATABASE billing RENAME TO later;",
                );
                self.target
                    .psql("shop", "DROP VIEW open_orders; INSERT INTO archive.empty VALUES (1);");
            }
        }
    }

    fn in_target(&self, sql: &str) {
        self.target.psql("postgres", sql);
    }

    /// Lets something happen to a restore, and asserts that the target has then changed wholly or
    /// not at all; which of them, where that is known.
    #[track_caller]
    fn all_or_nothing(&self, published: Option<bool>, what_happens: impl FnOnce()) {
        let before = state(&self.target);
        what_happens();
        assert_no_sessions(&self.target);
        let now = state(&self.target);
        if published.unwrap_or(now != before) {
            self.assert_complete(&before);
            self.undo();
        } else {
            assert_same_contents(&before, &now);
        }
    }

    /// Asserts that a restore succeeds, and that nothing is left of it or of earlier ones.
    #[track_caller]
    fn succeeds(&self) {
        let before = state(&self.target);
        let output = self.run().expect_ok();
        assert!(!output.stderr.contains("could not be removed"), "{output:#?}");
        self.assert_complete(&before);
        assert_nothing_left(&self.target);
        self.undo();
    }

    /// Visits every failpoint on the way, with each action.
    fn survives_every_failpoint(&self, actions: &[Action]) {
        for action in actions {
            let mut published = false;
            for point in self.points() {
                println!("{:?}: {point}, {action:?}", self.what);
                published |= *point == "restore.after-publish";
                self.all_or_nothing(Some(published), || {
                    run_into(self.run(), point, *action);
                });
                // What a cluster restore has replaced is removed last; by then nobody needs it.
                if *action == Action::Kill || *point == "restore.before-drop" {
                    self.succeeds();
                } else {
                    // Whoever fails in an orderly way cleans up.
                    assert_nothing_left(&self.target);
                }
            }
            assert!(published, "no failpoint lies after the publication");
        }
        self.succeeds();
    }

    /// Kills restores at moments that nobody chose.
    fn survives_being_killed(&self, random: &mut Random, rounds: u32) {
        let whole = self.run().expect_ok().duration;
        self.undo();
        for _ in 0..rounds {
            let moment = whole.mul_f64(random.below(1100) as f64 / 1000.0);
            println!("{:?}: killed after {moment:?} of {whole:?}", self.what);
            self.all_or_nothing(None, || {
                let run = self.run().spawn();
                thread::sleep(moment);
                run.kill();
            });
            self.succeeds();
        }
    }

    /// Interrupts a restore in its midst.
    fn survives_an_interrupt(&self) {
        let proxy = Proxy::to(self.target.port());
        self.all_or_nothing(Some(false), || {
            let mut run = self.run_at(proxy.port()).spawn();
            stall_in_the_midst(&mut run, &proxy);
            run.interrupt();
            thread::sleep(Duration::from_millis(200));
            // Cleaning up needs the server.
            proxy.heal();
            assert_interrupted(&run.wait());
        });
        assert_nothing_left(&self.target);
        self.succeeds();
    }
}

#[test]
fn a_database_restore_that_dies_or_fails_at_any_step_changes_all_or_nothing() {
    Trial::new(What::Database).survives_every_failpoint(&[Action::Kill, Action::Fail]);
}

#[test]
fn a_table_restore_that_dies_or_fails_at_any_step_changes_all_or_nothing() {
    Trial::new(What::Table).survives_every_failpoint(&[Action::Kill, Action::Fail]);
}

#[test]
fn a_table_restore_into_a_new_database_that_dies_at_any_step_changes_all_or_nothing() {
    Trial::new(What::TableIntoNewDatabase).survives_every_failpoint(&[Action::Kill]);
}

#[test]
fn a_cluster_restore_that_dies_or_fails_at_any_step_changes_all_or_nothing() {
    Trial::new(What::Cluster).survives_every_failpoint(&[Action::Kill, Action::Fail]);
}

#[test]
fn a_restore_that_is_killed_at_any_moment_changes_all_or_nothing() {
    let mut random = Random::seeded(7);
    let trial = Trial::new(What::Cluster);
    trial.survives_being_killed(&mut random, 3);
    let trial = trial.and_then(What::Database);
    trial.survives_being_killed(&mut random, 4);
    let trial = trial.and_then(What::Table);
    trial.survives_being_killed(&mut random, 3);
}

#[test]
fn a_finished_restore_survives_the_crash_of_the_server() {
    // Nothing reaches the disk but what a commit waits for.
    let lazy =
        Cluster::builder().setting("synchronous_commit = on").setting("wal_writer_delay = 10s");
    let trial = Trial::at(lazy.start(), What::Cluster);
    let mut kinds = [What::Database, What::TableIntoNewDatabase, What::Table].into_iter();
    let mut trial = Some(trial);
    while let Some(now) = trial {
        let before = state(&now.target);
        now.run().expect_ok();
        now.target.restart();
        now.assert_complete(&before);
        trial = kinds.next().map(|kind| now.and_then(kind));
    }
}

/// Waits until the program is in the midst of moving rows, then stops all that it sends and gets.
#[track_caller]
fn stall_in_the_midst(run: &mut Running, proxy: &Proxy) {
    /// More than planning and definitions take, less than rows.
    const BYTES: u64 = 400_000;
    let begun = Instant::now();
    while proxy.bytes_passed() < BYTES {
        assert!(run.is_running(), "it ended too early");
        assert!(begun.elapsed() < Duration::from_secs(60), "it hangs");
        thread::sleep(Duration::from_micros(200));
    }
    proxy.stall();
}

#[track_caller]
fn assert_interrupted(output: &Output) {
    assert_eq!(output.code, Some(1), "{output:#?}");
    assert!(
        output.stderr.contains("stopping: cleaning up") && output.stderr.contains("was stopped"),
        "{output:#?}"
    );
}

#[test]
fn an_interrupted_backup_leaves_nothing_even_if_the_server_does_not_answer() {
    let (source, folder) = (source(), TempDir::new().unwrap());
    let place = collection(folder.path());
    let proxy = Proxy::to(source.cluster.port());
    let url = source.cluster.url_at(proxy.port(), "postgres");
    let arguments = ["backup", "--from", &url, "--database", "shop", "--into", &place];
    let mut run = strongroom(&arguments).spawn();
    stall_in_the_midst(&mut run, &proxy);
    run.interrupt();
    let interrupted = Instant::now();
    assert_interrupted(&run.wait());
    assert!(interrupted.elapsed() < Duration::from_secs(5));
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
    drop(proxy);
    assert_no_sessions(&source.cluster);
    backup(&source, &place).expect_ok();
    strongroom(&["verify", "latest", "--in", &place]).expect_ok();
}

#[test]
fn a_backup_that_waits_for_a_lock_can_be_interrupted() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    cluster.psql("postgres", "CREATE TABLE taken AS SELECT 1 AS one");
    let place = collection(folder.path());
    let mut locking = cluster.client("psql", "postgres");
    let locking = locking.args(["-c", "BEGIN", "-c", "LOCK taken", "-c", "SELECT pg_sleep(60)"]);
    let mut locking = locking.stdout(Stdio::null()).spawn().unwrap();
    let waits = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'strongroom%'
                 AND wait_event_type = 'Lock'";
    let holds = "SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
                 AND relation = 'taken'::regclass";
    wait_for(|| !cluster.psql("postgres", holds).is_empty());
    let url = cluster.url("postgres");
    let run = strongroom(&["backup", "--from", &url, "--into", &place]).spawn();
    wait_for(|| !cluster.psql("postgres", waits).is_empty());
    run.interrupt();
    let interrupted = Instant::now();
    assert_interrupted(&run.wait());
    assert!(interrupted.elapsed() < Duration::from_secs(3));
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
    locking.kill().unwrap();
    locking.wait().unwrap();
}

#[track_caller]
fn wait_for(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_interrupted_restore_changes_nothing() {
    let trial = Trial::new(What::Cluster);
    trial.survives_an_interrupt();
    let trial = trial.and_then(What::Database);
    trial.survives_an_interrupt();
    let trial = trial.and_then(What::Table);
    trial.survives_an_interrupt();
}
