//! Ctrl-C and SIGTERM, and the question that a cluster restore asks.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use strongroom_testkit::{Cluster, Proxy, Running};
use tempfile::TempDir;

use crate::support::{collection, strongroom};

/// A backup that hangs in its first connection until it is told to end.
fn hanging(cluster: &Cluster, proxy: &Proxy, into: &str) -> Running {
    proxy.stall();
    let url = cluster.url_at(proxy.port(), "postgres");
    let run =
        strongroom(&["backup", "--from", &format!("{url}?connect_timeout=60"), "--into", into]);
    let run = run.timeout(Duration::from_secs(30)).spawn();
    let begun = Instant::now();
    while proxy.connections() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no connection was opened");
        thread::sleep(Duration::from_millis(10));
    }
    run
}

#[test]
fn the_second_signal_ends_the_program_at_once() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    for signal in ["INT", "TERM"] {
        let proxy = Proxy::to(cluster.port());
        let mut run = hanging(&cluster, &proxy, &collection(folder.path()));
        run.signal(signal);
        thread::sleep(Duration::from_millis(300));
        if run.is_running() {
            run.signal(signal);
        }
        let output = run.wait();
        assert_eq!(output.code, Some(1), "{output:?}");
        assert_eq!(output.stdout, "");
        assert!(
            output
                .stderr
                .starts_with("stopping: cleaning up (press Ctrl-C again to leave remains)\n"),
            "{}",
            output.stderr
        );
        assert!(output.duration < Duration::from_secs(20), "{output:?}");
    }
}

/// Runs the program at a terminal, where somebody types this line, and returns what it showed.
fn at_a_terminal(args: &[&str], typed: &str) -> (Option<i32>, String) {
    let quoted = |arg: &&str| format!("'{arg}'");
    let args: Vec<_> = args.iter().map(quoted).collect();
    let command = format!("{} {}", env!("CARGO_BIN_EXE_strongroom"), args.join(" "));
    let script =
        format!("(sleep 2; echo '{typed}'; sleep 2) | script -qec \"{command}\" /dev/null");
    let output = Command::new("sh").args(["-c", &script]).env("TERM", "xterm").output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_cluster_restore_that_is_not_confirmed_changes_nothing() {
    let (cluster, folder) = (Cluster::start(), TempDir::new().unwrap());
    let (place, url) = (collection(folder.path()), cluster.url("postgres"));
    strongroom(&["backup", "--from", &url, "--into", &place]).expect_ok();
    cluster.create_database("later");
    let restore = ["restore", "cluster", "--from", "latest", "--in", &place, "--to", &url];
    let (code, shown) = at_a_terminal(&restore, "yes");
    assert_eq!(code, Some(1), "{shown}");
    let word = format!("127.0.0.1:{}", cluster.port());
    assert!(shown.contains(&format!("Type {word} to go on")), "{shown}");
    assert!(shown.contains("error: the restore was not confirmed; nothing was changed"), "{shown}");
    assert!(cluster.databases().contains(&"later".to_owned()));
}
