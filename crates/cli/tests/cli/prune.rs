//! Old backups expire, what nobody needs is deleted, and nothing else: beside backups that run,
//! restores that read, and prunes that die.
//!
//! Time passes by being told: `--now` is later than what the store dates its objects with. Histories
//! of every kind are made up in the tests of the dataplane.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use insta::{assert_snapshot, with_settings};
use jiff::Timestamp;
use serde_json::Value;
use strongroom_dataplane::collection::Backup;
use strongroom_dataplane::store::Store;
use strongroom_format::layout::{Folder, ObjectKey};
use strongroom_format::manifest::{BackupType, Manifest};
use strongroom_testkit::{Cluster, Output, Strongroom};
use tempfile::TempDir;

use crate::support::{collection, strongroom};

/// A cluster, and a collection of its backups.
struct Vault {
    cluster: Cluster,
    folder: TempDir,
    place: String,
    key: Option<PathBuf>,
}

impl Vault {
    fn new() -> Self {
        let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
        cluster.create_database("shop");
        cluster.psql(
            "shop",
            "CREATE TABLE orders (id int PRIMARY KEY, noise bytea);
             INSERT INTO orders
                 SELECT n, sha512(n::text::bytea) FROM generate_series(1, 40000) n;
             CREATE TABLE notes (id serial, note text);",
        );
        let root = folder.path().join("collection");
        fs::create_dir(&root).unwrap();
        Vault { place: collection(&root), cluster, folder, key: None }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("collection")
    }

    fn run(&self, args: &[&str]) -> Strongroom {
        let program = strongroom(args);
        match &self.key {
            Some(key) => program.arg("--key-file").arg(key),
            None => program,
        }
    }

    /// Changes a few rows, and takes a backup.
    fn backup(&self, more: &[&str]) -> Strongroom {
        self.cluster.psql("shop", "INSERT INTO notes (note) VALUES ('again')");
        let url = self.cluster.url("postgres");
        // The detector that every server allows, and that a full backup is to prepare for.
        let how = ["--detector", "version-digest", "--json"];
        let args = ["backup", "--from", &url, "--database", "shop", "--into", &self.place];
        self.run(&[&args[..], &how, more].concat())
    }

    fn take(&self, more: &[&str]) -> String {
        id(&self.backup(more).expect_ok())
    }

    /// A prune so many days from now.
    fn prune(&self, days: i64, more: &[&str]) -> Strongroom {
        prune(&self.place, days, more, self.key.as_deref())
    }

    fn complete(&self) -> Vec<String> {
        crate::state::complete(&self.place)
    }

    /// Asserts that the backup is whole, and holds about this many notes.
    #[track_caller]
    fn assert_restorable(&self, id: &str, notes: RangeInclusive<u32>) {
        self.run(&["verify", id, "--in", &self.place]).expect_ok();
        self.restore(id).expect_ok();
        let count = |table: &str| -> u32 {
            let text = self.cluster.psql("regained", &format!("SELECT count(*) FROM {table}"));
            text.trim().parse().unwrap()
        };
        assert_eq!(count("orders"), 40000);
        assert!(notes.contains(&count("notes")), "{notes:?}");
        self.cluster.psql("postgres", "DROP DATABASE regained");
    }

    fn restore(&self, id: &str) -> Strongroom {
        let url = self.cluster.url("postgres");
        let restore = ["restore", "database", "shop", "--restore-to", "regained", "--from", id];
        self.run(&[&restore[..], &["--in", &self.place, "--to", &url]].concat())
    }
}

fn prune(place: &str, days: i64, more: &[&str], key: Option<&Path>) -> Strongroom {
    let now = Timestamp::now() + Duration::from_secs(days.unsigned_abs() * 86400);
    let args = ["prune", "--in", place, "--keep-full", "30d", "--keep-incremental", "7d"];
    let program = strongroom(&args).arg("--now").arg(now.to_string()).args(more);
    match key {
        Some(key) => program.arg("--key-file").arg(key),
        None => program,
    }
}

#[track_caller]
fn id(output: &Output) -> String {
    output.json()["id"].as_str().unwrap().to_owned()
}

/// What a prune says of a backup.
#[track_caller]
fn verdict(output: &Output, id: &str) -> (String, String) {
    let told = output.json();
    let of = |line: &&Value| line["id"] == id;
    let line = told["backups"].as_array().unwrap().iter().find(of);
    let line = line.unwrap_or_else(|| panic!("{id} in {told:#}"));
    let text = |field: &str| line[field].as_str().unwrap().to_owned();
    (text("action"), text("reason"))
}

/// The files in a folder, if it is there.
fn files(folder: &Path) -> Vec<PathBuf> {
    if folder.exists() { crate::state::files(folder) } else { Vec::new() }
}

/// Lets files look as if they were written so many days from now.
fn date(folder: &Path, days: u64) {
    let time = SystemTime::now() + Duration::from_secs(days * 86400);
    for path in files(folder) {
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&path, &target).unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let file = fs::File::options().write(true).open(target).unwrap();
        file.set_modified(modified).unwrap();
    }
}

#[test]
fn what_goes_and_what_stays_is_told_with_the_reason() {
    let vault = Vault::new();
    vault.take(&[]);
    let child = vault.take(&["--incremental"]);
    let dead = vault.root().join("2020/01/01-000000.00");
    fs::create_dir_all(dead.join("data")).unwrap();
    fs::write(dead.join("STARTED"), "{}\n").unwrap();
    fs::write(dead.join("data/00.pack"), "half").unwrap();
    let mut text = String::new();
    let mut step = |title: &str, days: i64, more: &[&str]| {
        let output = vault.prune(days, more).expect_ok();
        text.push_str(&format!("# {title}\n{}{}\n", output.stderr, output.stdout));
    };
    step("after 3 days, dry", 3, &["--dry-run"]);
    step("after 3 days", 3, &[]);
    step("after 40 days, dry", 40, &["--dry-run"]);
    step("after 40 days", 40, &[]);
    step("the next hour", 40, &["--grace", "41d"]);
    step("two days later", 42, &[]);
    step("once more", 42, &[]);
    let filters = vec![
        (r"202[6-9]/\d{2}/\d{2}-\d{6}\.\d{2}", "2026/11/22-130000.00"),
        (r" +[1-9][0-9.]* (B|KiB|MiB)\b", " [SIZE]"),
        (r" +0 B\b", " 0 B"),
        (r" +(STORED|FREED|WOULD FREE)", " $1"),
    ];
    with_settings!({ filters => filters }, { assert_snapshot!("prune", text) });
    assert_eq!(vault.complete(), [child.as_str()]);
    assert!(!dead.exists());
    vault.assert_restorable(&child, 2..=2);
    let listed = strongroom(&["backups", "--in", &vault.place]).expect_ok();
    assert_eq!(listed.stdout.lines().count(), 2, "{}", listed.stdout);
}

#[test]
fn an_encrypted_chain_keeps_what_it_needs() {
    let mut vault = Vault::new();
    let key = vault.folder.path().join("key");
    fs::write(&key, "c0ffee00".repeat(8)).unwrap();
    vault.key = Some(key);
    let full = vault.take(&[]);
    let middle = vault.take(&["--incremental"]);
    let last = vault.take(&["--incremental"]);
    vault.prune(40, &[]).expect_ok();
    let keyless = prune(&vault.place, 45, &["--json"], None).expect_ok();
    let (action, reason) = verdict(&keyless, &full);
    assert_eq!(action, "wait");
    assert!(reason.contains("is encrypted, and no key was given"), "{reason}");
    assert!(keyless.json()["notes"][0].as_str().unwrap().contains(&full), "{keyless:?}");
    let pruned = vault.prune(45, &["--json"]).expect_ok();
    let (action, reason) = verdict(&pruned, &full);
    assert_eq!(action, "delete");
    assert!(reason.ends_with(&format!("packs kept: needed by {last}")), "{reason}");
    assert!(!vault.root().join(&full).join("ENCRYPTION-INFO").exists());
    assert_eq!(vault.complete(), [last.as_str()]);
    let refused = vault.run(&["show", &middle, "--in", &vault.place]).expect_fail(1);
    assert!(!refused.stderr.is_empty());
    vault.assert_restorable(&last, 3..=3);
    // And it is built on.
    let next = vault.take(&["--incremental"]);
    vault.assert_restorable(&next, 4..=4);
}

#[cfg(feature = "failpoints")]
mod beside_others {
    use std::thread;
    use std::time::Instant;

    use strongroom_dataplane::failpoint::PRUNE;

    use super::*;

    #[track_caller]
    fn until(what: &str, mut there: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !there() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what} did not come");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_prune_that_is_killed_at_any_step_is_finished_by_the_next() {
        let vault = Vault::new();
        vault.take(&[]);
        vault.take(&["--incremental"]);
        let full = vault.take(&[]);
        let last = vault.take(&["--incremental"]);
        // What was buried before is due, the dead are there, and the second full expires.
        let middle = vault.root().join(&full).join("MANIFEST");
        date(&vault.root().join(&full), 36);
        vault.prune(36, &[]).expect_ok();
        assert!(fs::read(&middle).unwrap().starts_with(b"strongroom manifest"));
        let dead = vault.root().join("2020/01/01-000000.00");
        fs::create_dir_all(dead.join("data")).unwrap();
        fs::write(dead.join("STARTED"), "{}\n").unwrap();
        fs::write(dead.join("data/00.pack"), "half").unwrap();
        for point in PRUNE {
            let other = TempDir::new().unwrap();
            copy(&vault.root(), other.path());
            let place = collection(other.path());
            let program = prune(&place, 45, &[], None);
            let killed = program.failpoints(&format!("{point}=return(kill)")).run();
            assert_eq!(killed.code, None, "{point} was not reached: {killed:#?}");
            let all = strongroom(&["backups", "--in", &place, "--json", "--all"]).expect_ok();
            assert!(!all.stdout.contains("damaged"), "{point}: {}", all.stdout);
            strongroom(&["verify", "latest", "--in", &place]).expect_ok();
            for days in [46, 48, 50, 52] {
                prune(&place, days, &[], None).expect_ok();
            }
            assert_eq!(crate::state::complete(&place), [last.as_str()], "{point}");
            strongroom(&["verify", &last, "--in", &place]).expect_ok();
            let all = strongroom(&["backups", "--in", &place, "--json", "--all"]).expect_ok();
            let count = all.json().as_array().unwrap().len();
            assert_eq!(count, 2, "{point}: the last, and the full whose packs it needs: {all:#?}");
        }
    }

    #[test]
    fn an_incremental_whose_parent_is_pruned_before_its_claim_builds_on_another() {
        let vault = Vault::new();
        let old = vault.take(&[]);
        let run = vault.backup(&["--incremental"]);
        let run = run.failpoints("backup.before-claim=1*sleep(8000)").spawn();
        until("the backup", || {
            let sessions = "SELECT count(*) FROM pg_stat_activity
                            WHERE application_name = 'strongroom backup'";
            vault.cluster.psql("postgres", sessions) == "1"
        });
        thread::sleep(Duration::from_millis(1500));
        let newer = vault.take(&[]);
        let pruned = vault.prune(40, &["--json"]).expect_ok();
        assert_eq!(verdict(&pruned, &old).0, "expire");
        let output = run.wait();
        assert_eq!(output.code, Some(0), "{output:#?}");
        let taken = output.json();
        assert_eq!(taken["parent"], *newer, "{taken:#}");
        assert!(taken["notes"].to_string().contains("was just pruned"), "{taken:#}");
        assert!(!vault.root().join("incrementals").join(&old).exists(), "no claim is left there");
        vault.assert_restorable(taken["id"].as_str().unwrap(), 3..=3);
    }

    #[test]
    fn an_incremental_keeps_the_packs_of_a_parent_that_expires_while_it_runs() {
        let vault = Vault::new();
        let old = vault.take(&[]);
        let run = vault.backup(&["--incremental"]);
        let run = run.failpoints("backup.after-read-point=1*sleep(8000)").spawn();
        let chain = vault.root().join("incrementals").join(&old);
        until("the claim", || files(&chain).iter().any(|path| path.ends_with("STARTED")));
        let newer = vault.take(&[]);
        for (days, expected) in [(40, "expire"), (45, "wait")] {
            // It is young on those days.
            date(&chain, days);
            let pruned = vault.prune(days as i64, &["--json"]).expect_ok();
            let (action, reason) = verdict(&pruned, &old);
            assert_eq!(action, expected, "{reason}");
            if expected == "wait" {
                assert!(reason.contains("is being taken"), "{reason}");
            }
        }
        assert_eq!(vault.complete(), [newer.as_str()]);
        let output = run.wait();
        assert_eq!(output.code, Some(0), "{output:#?}");
        assert_eq!(output.json()["parent"], *old);
        // It was paused after its read point, or a moment before.
        vault.assert_restorable(&id(&output), 2..=3);
    }

    #[test]
    fn a_backup_that_is_taken_for_dead_fails_and_says_so() {
        for point in ["backup.after-read-point", "backup.before-manifest"] {
            let vault = Vault::new();
            let old = vault.take(&[]);
            let run = vault.backup(&["--incremental"]);
            let run = run.failpoints(&format!("{point}=1*sleep(6000)")).spawn();
            let chain = vault.root().join("incrementals").join(&old);
            let sign = if point.ends_with("manifest") { "CONTENTS" } else { "STARTED" };
            until(sign, || files(&chain).iter().any(|path| path.ends_with(sign)));
            thread::sleep(Duration::from_millis(500));
            vault.prune(40, &[]).expect_ok();
            let output = run.wait();
            assert_eq!(output.code, Some(1), "{output:#?}");
            assert!(output.stderr.contains("took backup"), "{output:#?}");
            assert!(output.stderr.contains("--grace"), "{output:#?}");
            assert_eq!(vault.complete(), [old.as_str()]);
            let left = files(&chain);
            assert!(left.len() == 1 && left[0].ends_with("MANIFEST"), "{point}: {left:?}");
            vault.prune(45, &[]).expect_ok();
            assert!(!chain.exists());
            vault.assert_restorable(&old, 1..=1);
        }
    }

    #[test]
    fn a_restore_has_the_grace_time_and_fails_cleanly_after_it() {
        let vault = Vault::new();
        let old = vault.take(&[]);
        vault.take(&[]);
        let paused = || {
            let run = vault.restore(&old).failpoints("restore.after-staging=1*sleep(6000)").spawn();
            until("the restore", || {
                let names = vault.cluster.databases();
                names.iter().any(|name| name.starts_with("strongroom_staging_"))
            });
            run
        };
        let run = paused();
        // Opened before it expires, and read to the end within the grace time.
        vault.prune(40, &[]).expect_ok();
        let output = run.wait();
        assert_eq!(output.code, Some(0), "{output:#?}");
        vault.cluster.psql("postgres", "DROP DATABASE regained");
        let refused = vault.restore(&old).expect_fail(1);
        assert!(refused.stderr.contains("was pruned"), "{}", refused.stderr);

        // A person brings it back: the manifest stands in the tombstone, after the first line.
        let manifest = vault.root().join(&old).join("MANIFEST");
        let tombstone = fs::read_to_string(&manifest).unwrap();
        fs::write(&manifest, tombstone.split_once('\n').unwrap().1).unwrap();
        let run = paused();
        for days in [40, 45] {
            vault.prune(days, &[]).expect_ok();
        }
        assert!(!vault.root().join(&old).exists());
        let output = run.wait();
        assert_eq!(output.code, Some(1), "{output:#?}");
        assert!(output.stderr.contains("was pruned"), "{output:#?}");
        assert_eq!(vault.cluster.databases(), ["postgres", "shop"]);
    }
}

#[test]
fn two_thousand_backups_are_listed_quickly_and_one_is_opened_alone() {
    const BACKUPS: u32 = 2000;
    let vault = Vault::new();
    let first = vault.take(&[]);
    let root = vault.root();
    let folder: Folder = first.parse().unwrap();
    let bytes = fs::read(root.join(ObjectKey::Manifest(folder).path())).unwrap();
    let manifest = Manifest::decode(&bytes, folder).unwrap().manifest;
    let contents = fs::read(root.join(ObjectKey::Contents(folder).path())).unwrap();
    let mut full = folder;
    for number in 0..BACKUPS - 1 {
        let time = folder.id.time() - Duration::from_secs(3600) * (BACKUPS - number);
        let id = strongroom_format::BackupId::at(time);
        let mut manifest = Manifest { id, data_from: id.time(), ..manifest.clone() };
        // Every day a full, with an incremental every hour on top.
        let at = match number % 24 {
            0 => Folder::of_full(id),
            _ => Folder { id, full: full.full },
        };
        if number % 24 == 0 {
            full = at;
        } else {
            manifest.kind = BackupType::Incremental;
            (manifest.parent, manifest.full) = (Some(full.id), Some(full.full));
        }
        fs::create_dir_all(root.join(at.to_string())).unwrap();
        fs::write(root.join(ObjectKey::Manifest(at).path()), manifest.encode(None)).unwrap();
        fs::write(root.join(ObjectKey::Contents(at).path()), &contents).unwrap();
    }
    let listed = strongroom(&["backups", "--in", &vault.place, "--json"]).expect_ok();
    assert_eq!(listed.json().as_array().unwrap().len(), BACKUPS as usize);
    // Half a second for the released program on an idle machine; this one is neither.
    println!("{BACKUPS} backups were listed within {:?}", listed.duration);
    assert!(listed.duration < Duration::from_secs(10), "{:?}", listed.duration);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let last = listed.json()[0]["id"].as_str().unwrap().to_owned();
    for name in [first, last] {
        let store = Store::open(&vault.place, false).unwrap();
        let opened = runtime.block_on(Backup::open(&store, &name, None)).unwrap();
        let own = fs::metadata(root.join(ObjectKey::Manifest(opened.manifest.folder()).path()));
        let own = own.unwrap().len() + contents.len() as u64;
        assert_eq!(store.bytes_read(), own, "its manifest and contents, and of no other");
    }
}
