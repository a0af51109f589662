//! Connections that break, disks that fill up, stores that fail or fall silent: each is told as what
//! it is, within bounded time, and nothing is lost or left behind.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use strongroom_testkit::{
    Cluster, Fault, Output, Proxy, Running, S3Server, Strongroom, assert_same_contents,
};
use tempfile::TempDir;

use crate::state::{
    Source, assert_no_sessions, assert_nothing_left, complete, files, remains, source, state, told,
    without,
};
use crate::support::{collection, strongroom};

/// Ten megabytes that can not be compressed: more than one part of an upload.
const NOISE: &str = "
    CREATE TABLE noise AS SELECT n AS id,
        (SELECT string_agg(sha256((n * 1000 + i)::text::bytea), '') FROM generate_series(1, 100) i)
    FROM generate_series(1, 3500) n";

fn backup(url: &str, database: &str, into: &str) -> Strongroom {
    strongroom(&["backup", "--json", "--from", url, "--database", database, "--into", into])
}

fn restore(database: &str, place: &str, url: &str) -> Strongroom {
    let what = ["restore", "database", database, "--restore-to", "regained", "--json"];
    strongroom(&[&what[..], &["--from", "latest", "--in", place, "--to", url]].concat())
}

/// Asserts that a run has failed with an error of this kind, which says these words, and which has
/// a hint.
#[track_caller]
fn assert_told(output: &Output, expected_kind: &str, words: &[&str]) {
    assert_eq!(output.code, Some(1), "{output:#?}");
    let (kind, message, hint) = told(output);
    println!("{kind}: {message}\n  hint: {hint}");
    assert_eq!(kind, expected_kind, "{output:#?}");
    for word in words {
        assert!(message.contains(word), "'{word}' in {output:#?}");
    }
    assert!(hint.len() > 10, "{output:#?}");
}

/// Waits until the program has moved so many bytes through the proxy.
#[track_caller]
fn wait_for_bytes(run: &mut Running, proxy: &Proxy, bytes: u64) {
    let begun = Instant::now();
    while proxy.bytes_passed() < bytes {
        assert!(run.is_running(), "it ended too early");
        assert!(begun.elapsed() < Duration::from_secs(60), "it hangs");
        thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_backup_whose_connection_is_cut_leaves_nothing() {
    let (source, folder) = (source(), TempDir::new().unwrap());
    let place = collection(folder.path());
    let proxy = Proxy::to(source.cluster.port());
    let url = source.cluster.url_at(proxy.port(), "postgres");
    backup(&url, "shop", &place).expect_ok();
    let (whole, first) = (proxy.bytes_passed(), files(folder.path()));
    for percent in [0, 1, 5, 20, 40, 60, 80, 97] {
        // The first one ends within the log-in.
        let bytes = whole * percent / 100 + 200;
        println!("after {bytes} of {whole} bytes");
        proxy.cut_after(bytes);
        let output = backup(&url, "shop", &place).run();
        assert_told(&output, "unreachable", &[]);
        assert_eq!(files(folder.path()), first);
        proxy.heal();
    }
    assert_no_sessions(&source.cluster);
    backup(&url, "shop", &place).expect_ok();
    assert_eq!(complete(&place).len(), 2);
    strongroom(&["verify", "latest", "--in", &place]).expect_ok();
}

#[test]
fn a_backup_whose_server_stops_leaves_nothing() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    cluster.create_database("shop");
    cluster.psql("shop", NOISE);
    let place = collection(folder.path());
    let proxy = Proxy::to(cluster.port());
    let mut run = backup(&cluster.url_at(proxy.port(), "postgres"), "shop", &place).spawn();
    wait_for_bytes(&mut run, &proxy, 2_000_000);
    proxy.stall();
    cluster.stop();
    proxy.heal();
    assert_told(&run.wait(), "unreachable", &["database \"shop\""]);
    assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
    cluster.restart();
    backup(&cluster.url("postgres"), "shop", &place).expect_ok();
    strongroom(&["verify", "latest", "--in", &place]).expect_ok();
}

/// A server to restore the shop to.
fn target() -> Cluster {
    let target = Cluster::start();
    let sql = "CREATE ROLE clerk; CREATE ROLE staff; CREATE TABLE own (id int); CHECKPOINT";
    target.psql("postgres", sql);
    target
}

/// Asserts that the next restore of the shop is complete, and that nothing is left of any other.
#[track_caller]
fn assert_next_succeeds(source: &Source, target: &Cluster, place: &str) {
    let before = state(target);
    restore("shop", place, &target.url("postgres")).expect_ok();
    assert_same_contents(&source.cluster.tables_hash("shop"), &target.tables_hash("regained"));
    assert_same_contents(&before, &without(state(target), "regained"));
    assert_nothing_left(target);
    target.psql("postgres", "DROP DATABASE regained");
}

#[test]
fn a_restore_whose_connection_is_cut_changes_nothing() {
    let (source, target) = (source(), target());
    let before = state(&target);
    let proxy = Proxy::to(target.port());
    let url = target.url_at(proxy.port(), "postgres");
    restore("shop", &source.place, &url).expect_ok();
    target.psql("postgres", "DROP DATABASE regained");
    let whole = proxy.bytes_passed();
    for percent in [5, 30, 60, 90] {
        println!("cut for good after {percent} % of {whole} bytes");
        proxy.cut_after(whole * percent / 100);
        assert_told(&restore("shop", &source.place, &url).run(), "unreachable", &[]);
        proxy.heal();
        assert_no_sessions(&target);
        assert_same_contents(&before, &state(&target));
        assert_next_succeeds(&source, &target, &source.place);
    }
    // The network breaks for a moment: then the restore that fails cleans up itself.
    for percent in [30, 80] {
        let already = proxy.bytes_passed();
        let mut run = restore("shop", &source.place, &url).spawn();
        wait_for_bytes(&mut run, &proxy, already + whole * percent / 100);
        proxy.cut();
        assert_told(&run.wait(), "unreachable", &[]);
        assert_nothing_left(&target);
        assert_same_contents(&before, &state(&target));
    }
    assert_next_succeeds(&source, &target, &source.place);
}

#[test]
fn a_restore_whose_server_stops_changes_nothing() {
    let (source, target) = (source(), target());
    let before = state(&target);
    let proxy = Proxy::to(target.port());
    let url = target.url_at(proxy.port(), "postgres");
    let mut run = restore("shop", &source.place, &url).spawn();
    wait_for_bytes(&mut run, &proxy, 400_000);
    proxy.stall();
    target.stop();
    proxy.heal();
    let output = run.wait();
    assert_told(&output, "unreachable", &["database \"shop\""]);
    target.restart();
    assert_same_contents(&before, &state(&target));
    assert_ne!(remains(&target), Vec::<String>::new(), "nobody could remove it");
    assert_next_succeeds(&source, &target, &source.place);
}

/// A small disk of its own.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Puts a disk of so many KiB at a folder, where we may: this takes root.
    fn mount(at: &Path, kib: u64) -> Option<Self> {
        let own = fs::metadata("/proc/self").unwrap().uid();
        if own != 0 {
            println!("skipped: only root can mount the small disk that this test fills");
            return None;
        }
        let meta = fs::metadata(at).unwrap();
        let options = format!("size={kib}k,mode={:o}", meta.mode() & 0o777);
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &options, "strongroom-test"]).arg(at);
        let output = mounted.output().unwrap();
        if !output.status.success() {
            println!("skipped: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        chown(at, Some(meta.uid()), Some(meta.gid())).unwrap();
        Some(Disk { at: at.to_owned() })
    }

    fn grow(&self, kib: u64) {
        let options = format!("remount,size={kib}k");
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", &options]).arg(&self.at).status().unwrap();
        assert!(status.success());
    }
}

/// Fills the disk of a folder but for so many bytes.
fn fill(folder: &Path, spare: u64) -> PathBuf {
    let filler = folder.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 64 * 1024]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(spare)).unwrap();
    filler
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, as a server may still have files open there.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

#[test]
fn a_backup_into_a_full_disk_says_so_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let Some(disk) = Disk::mount(folder.path(), 4096) else { return };
    let (cluster, elsewhere) = (Cluster::start(), TempDir::new().unwrap());
    let url = cluster.url("postgres");
    cluster.create_database("shop");
    cluster.psql("shop", NOISE);
    let place = collection(folder.path());
    for workers in ["1", "4"] {
        let output = backup(&url, "shop", &place).args(["--workers", workers]).run();
        assert_told(&output, "exhausted", &[&place, "No space left on device"]);
        assert_eq!(files(folder.path()), Vec::<PathBuf>::new());
        assert_eq!(complete(&place), Vec::<String>::new());
    }
    let other = collection(elsewhere.path());
    backup(&url, "shop", &other).expect_ok();
    strongroom(&["verify", "latest", "--in", &other]).expect_ok();
    disk.grow(40 * 1024);
    backup(&url, "shop", &place).expect_ok();
    strongroom(&["verify", "latest", "--in", &place]).expect_ok();
}

#[test]
fn a_restore_into_a_full_disk_says_so_and_changes_nothing() {
    let (target, folder) = (Cluster::start(), TempDir::new().unwrap());
    let place = collection(folder.path());
    let url = target.url("postgres");
    target.create_database("shop");
    // Durable, as this server does not wait for the disk by itself.
    target.psql("shop", &format!("{NOISE}; CHECKPOINT"));
    backup(&url, "shop", &place).expect_ok();
    // Its databases move to a disk with room for two more empty ones, and not for the rows.
    target.stop();
    let (base, aside) = (target.data_dir().join("base"), TempDir::new().unwrap());
    let copy = |from: &Path, to: &Path| {
        let mut cp = Command::new("cp");
        assert!(cp.arg("-a").arg(from.join(".")).arg(to).status().unwrap().success());
    };
    copy(&base, aside.path());
    let used = Command::new("du").arg("-sk").arg(&base).output().unwrap();
    let used = String::from_utf8(used.stdout).unwrap();
    let used: u64 = used.split_whitespace().next().unwrap().parse().unwrap();
    let Some(disk) = Disk::mount(&base, used + 16 * 1024) else { return };
    copy(aside.path(), &base);
    target.restart();
    let before = state(&target);

    let output = restore("shop", &place, &url).run();
    assert_told(&output, "exhausted", &["shop", "53100"]);
    assert_nothing_left(&target);
    assert_same_contents(&before, &state(&target));
    target.psql("shop", "CREATE TABLE usable AS SELECT 1; DROP TABLE usable");
    // Not even a new database fits, once the server has let go of the files that it removed.
    target.restart();
    let filler = fill(&base, 2 * 1024 * 1024);
    let output = restore("shop", &place, &url).run();
    assert_told(&output, "exhausted", &["shop", "53100"]);
    assert_nothing_left(&target);
    assert_same_contents(&before, &state(&target));
    fs::remove_file(filler).unwrap();
    disk.grow(used + 100 * 1024);
    restore("shop", &place, &url).expect_ok();
    assert_same_contents(&target.tables_hash("shop"), &target.tables_hash("regained"));
    assert_nothing_left(&target);
}

/// The seconds after which a store is given up in these tests.
const PATIENCE: &str = "2";

#[test]
fn a_store_that_stumbles_is_asked_again() {
    let (source, target, s3) = (source(), target(), S3Server::start());
    let (place, url) = (s3.url("backups"), source.cluster.url("postgres"));
    let refused = |s3: &S3Server| s3.served().iter().filter(|s| s.status == 503).count();
    for (fault, times) in [
        (Fault::status(503).next(3), 3),
        (Fault::status(503).on("PUT").key(".pack").next(2), 2),
        (Fault::status(503).on("PUT").key("MANIFEST").next(2), 2),
        (Fault::status(500).on("PUT").key("STARTED").next(2), 0),
    ] {
        s3.forget();
        println!("{fault:?}");
        s3.inject(fault);
        backup(&url, "shop", &place).expect_ok();
        assert_eq!(refused(&s3), times);
        s3.heal();
        strongroom(&["verify", "latest", "--in", &place]).expect_ok();
    }
    for fault in [
        Fault::status(503).on("GET").next(3),
        Fault::status(503).key(".pack").next(3),
        Fault::cut_body().key(".pack").next(1),
    ] {
        println!("{fault:?}");
        s3.inject(fault);
        assert_next_succeeds(&source, &target, &place);
        s3.heal();
    }
}

/// A fault that does not end, what the error calls it, and what is left when it is over.
struct Lasting {
    fault: fn() -> Fault,
    words: &'static [&'static str],
    /// Whether the store still lets the backup remove what it wrote.
    clean: bool,
}

#[test]
fn a_store_that_fails_for_good_or_falls_silent_ends_the_backup_in_time() {
    let source = source();
    let cases = [
        Lasting { fault: || Fault::status(500), words: &["MANIFEST"], clean: false },
        Lasting { fault: Fault::stall, words: &["MANIFEST"], clean: false },
        Lasting { fault: || Fault::status(500).after(4), words: &[], clean: false },
        Lasting { fault: || Fault::stall().after(4), words: &[], clean: false },
        Lasting {
            fault: || Fault::status(500).on("PUT").key(".pack"),
            words: &[".pack"],
            clean: true,
        },
        Lasting { fault: || Fault::stall().on("PUT").key(".pack"), words: &[".pack"], clean: true },
        Lasting {
            // It may have been written in spite of the answer, and can not be buried.
            fault: || Fault::status(500).on("PUT").key("MANIFEST"),
            words: &["MANIFEST"],
            clean: false,
        },
        Lasting {
            fault: || Fault::stall().on("PUT").key("MANIFEST"),
            words: &["MANIFEST"],
            clean: false,
        },
        Lasting { fault: || Fault::status(403), words: &["refused our credentials"], clean: true },
        Lasting {
            fault: || Fault::status(403).on("PUT").key("CONTENTS"),
            words: &["CONTENTS", "refused our credentials"],
            clean: true,
        },
    ];
    // Most of their time is waiting.
    thread::scope(|scope| {
        for case in &cases {
            scope.spawn(|| fails_in_time(&source, case));
        }
    });
}

fn fails_in_time(source: &Source, case: &Lasting) {
    let s3 = S3Server::start();
    let (place, url) = (s3.url("backups"), source.cluster.url("postgres"));
    let fault = (case.fault)();
    let kind = if format!("{fault:?}").contains("403") { "denied" } else { "unreachable" };
    println!("{fault:?}");
    s3.inject(fault.clone());
    let program = backup(&url, "shop", &place).env("STRONGROOM_STORE_TIMEOUT", PATIENCE);
    let output = program.run();
    println!("{fault:?} took {:?}", output.duration);
    assert_told(&output, kind, case.words);
    assert!(output.duration < Duration::from_secs(30), "{fault:?}: {output:#?}");
    s3.heal();
    assert_eq!(complete(&place), Vec::<String>::new(), "{fault:?}");
    if case.clean {
        assert_eq!(s3.keys_of_objects(), Vec::<String>::new(), "{fault:?}");
    }
    backup(&url, "shop", &place).expect_ok();
    strongroom(&["verify", "latest", "--in", &place]).expect_ok();
}

/// A request that was given up may still be on its way, and arrive after the backup that sent it has
/// cleaned up. Then either all of the backup is there, or the manifest finds its place taken.
#[test]
fn a_manifest_that_arrives_late_never_names_what_was_removed() {
    let source = source();
    thread::scope(|scope| {
        for buried in [true, false] {
            let source = &source;
            scope.spawn(move || arrives_late(source, buried));
        }
    });
}

/// As S3 answers while an earlier request for the same object is under way.
#[test]
fn a_manifest_that_is_refused_for_one_under_way_is_buried() {
    let (source, s3) = (source(), S3Server::start());
    let (place, url) = (s3.url("backups"), source.cluster.url("postgres"));
    s3.inject(Fault::status(409).on("PUT").key("MANIFEST").next(1));
    assert_told(&backup(&url, "shop", &place).run(), "unreachable", &["MANIFEST"]);
    let left = s3.keys_of_objects();
    assert!(left.len() == 1 && left[0].ends_with("/MANIFEST"), "{left:#?}");
    assert_eq!(complete(&place), Vec::<String>::new());
}

fn arrives_late(source: &Source, buried: bool) {
    let s3 = S3Server::start();
    let (place, url) = (s3.url("backups"), source.cluster.url("postgres"));
    s3.inject(Fault::late().on("PUT").key("MANIFEST").next(1));
    if !buried {
        s3.inject(Fault::status(500).on("PUT").key("MANIFEST"));
    }
    let program = backup(&url, "shop", &place).env("STRONGROOM_STORE_TIMEOUT", PATIENCE);
    assert_told(&program.run(), "unreachable", &["MANIFEST"]);
    s3.heal();
    // Nobody is told when it has arrived.
    thread::sleep(Duration::from_secs(1));
    let left = s3.keys_of_objects();
    assert_eq!(complete(&place).len(), usize::from(!buried), "{left:#?}");
    match buried {
        // The tombstone, and nothing else.
        true => assert!(left.len() == 1 && left[0].ends_with("/MANIFEST"), "{left:#?}"),
        false => drop(strongroom(&["verify", "latest", "--in", &place]).expect_ok()),
    }
    backup(&url, "shop", &place).expect_ok();
    strongroom(&["verify", "latest", "--in", &place]).expect_ok();
}

#[test]
fn a_store_that_fails_for_good_or_falls_silent_ends_the_restore_in_time() {
    let (source, target, s3) = (source(), target(), S3Server::start());
    let (place, url) = (s3.url("backups"), source.cluster.url("postgres"));
    backup(&url, "shop", &place).expect_ok();
    let before = state(&target);
    let url = target.url("postgres");
    for (fault, part) in [
        (Fault::status(500).on("GET").key(".pack"), ".pack"),
        (Fault::stall().on("GET").key(".pack"), ".pack"),
        (Fault::cut_body().on("GET").key(".pack"), ".pack"),
        (Fault::cut_body().on("GET").key("CONTENTS"), "CONTENTS"),
        (Fault::stall().on("GET").key("SEGMENTS"), "SEGMENTS"),
        (Fault::status(500), "the collection"),
    ] {
        println!("{fault:?}");
        s3.inject(fault);
        let program = restore("shop", &place, &url).env("STRONGROOM_STORE_TIMEOUT", PATIENCE);
        let output = program.run();
        println!("took {:?}", output.duration);
        assert_told(&output, "unreachable", &[part]);
        assert!(output.duration < Duration::from_secs(30), "{output:#?}");
        s3.heal();
        assert_nothing_left(&target);
        assert_same_contents(&before, &state(&target));
    }
    assert_next_succeeds(&source, &target, &place);
}

#[test]
fn a_claim_that_can_not_be_removed_is_told_and_does_not_fail_the_backup() {
    let (source, s3) = (source(), S3Server::start());
    let (place, url) = (s3.url("backups"), source.cluster.url("postgres"));
    s3.inject(Fault::status(403).on("POST").no_key());
    let output =
        strongroom(&["backup", "--from", &url, "--database", "shop", "--into", &place]).expect_ok();
    assert!(output.stderr.contains("the claim of backup"), "{output:#?}");
    assert!(s3.keys_of_objects().iter().any(|key| key.ends_with("STARTED")));
    assert_eq!(complete(&place).len(), 1);
    strongroom(&["verify", "latest", "--in", &place]).expect_ok();
}

#[test]
fn a_store_behind_a_broken_network_is_told_as_such() {
    let (source, s3) = (source(), S3Server::start());
    let proxy = Proxy::to(s3.port());
    let (place, url) = (s3.url_at(proxy.port(), "backups"), source.cluster.url("postgres"));
    let once = || backup(&url, "shop", &place).env("STRONGROOM_STORE_TIMEOUT", PATIENCE);
    once().expect_ok();
    let whole = proxy.bytes_passed();
    for percent in [20, 60, 95] {
        proxy.cut_after(whole * percent / 100);
        let output = once().run();
        println!("{percent} %: took {:?}", output.duration);
        assert_told(&output, "unreachable", &["s3://backups/backups"]);
        assert!(output.duration < Duration::from_secs(30), "{output:#?}");
        proxy.heal();
        assert_eq!(complete(&place).len(), 1);
    }
    once().expect_ok();
    assert_eq!(complete(&place).len(), 2);
    strongroom(&["verify", "latest", "--in", &place]).expect_ok();
}
