//! The help, and calls that are wrong: every one of them ends with what to do, and the right code.

use std::fs;

use insta::{assert_snapshot, with_settings};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{collection, strongroom, transcripts};

#[test]
fn every_command_has_a_help_with_an_example() {
    for command in [
        "",
        "backup",
        "backups",
        "show",
        "rows",
        "diff",
        "restore",
        "restore cluster",
        "restore database",
        "restore table",
        "verify",
        "prune",
        "rekey",
        "serve",
        "users",
        "users create",
        "users list",
        "users set-password",
    ] {
        let args: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        let output = strongroom(&args).expect_ok();
        assert!(output.stdout.contains("Example"), "{command}");
        assert_eq!(output.stderr, "");
        let longest = output.stdout.lines().map(|line| line.chars().count()).max();
        assert!(
            longest <= Some(100),
            "{command}: a line of {longest:?} characters in\n{}",
            output.stdout
        );
        let name = format!("help {command}").trim().replace(' ', "_");
        assert_snapshot!(name, output.stdout);
    }
}

#[test]
fn the_version_is_told() {
    let output = strongroom(&["--version"]).expect_ok();
    assert_eq!(output.stdout, concat!("strongroom ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_call_without_a_command_gets_the_help_and_is_wrong() {
    let output = strongroom(&[]).expect_fail(2);
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("Usage: strongroom"));
}

#[test]
fn wrong_arguments_are_refused() {
    let folder = TempDir::new().unwrap();
    let collection = collection(folder.path());
    let calls: &[&[&str]] = &[
        &["bakcup"],
        &["backup"],
        &["backups", "--in", "ftp://host/backups"],
        &["backups", "--in", "/var/backups"],
        &["backup", "--from", "mysql://host/shop", "--into", &collection],
        &["backup", "--from", "postgresql://h/d?sslcert=x", "--into", &collection],
        &["backup", "--into", &collection, "--table", "orders"],
        &["backup", "--into", &collection, "--database", "a", "--table", "a.b.c"],
        &["backup", "--into", &collection, "--workers", "0"],
        &["backup", "--into", &collection, "--level", "20"],
        &["backup", "--into", &collection, "--read-point-limit", "soon"],
        &["show", "yesterday", "--in", &collection],
        &["rows", "public.orders", "--from", "latest", "--in", &collection],
        &["diff", "latest", "--in", &collection],
        &["restore", "database", "--from", "latest", "--in", &collection],
        &["restore", "table", "public.orders", "--from", "latest", "--in", &collection],
        &["restore", "cluster", "--from", "latest", "--in", &collection],
        &["rekey", "--in", &collection, "--new-key-file", "/nonexistent/new.key"],
        &["restore", "database", "--in", "x", "postgresql://ann:hush@db/shop", "--nonsense"],
        &["backups", "postgresql://ann:hush@db/shop"],
    ];
    let text = transcripts(calls);
    let told = text.lines().filter(|line| !line.starts_with('$')).collect::<String>();
    assert!(!told.contains("hush"), "{text}");
    let ends = text.lines().filter(|line| line.starts_with("exit")).collect::<Vec<_>>();
    assert_eq!(ends, vec!["exit 2"; calls.len()], "{text}");
    let place = regex(&collection);
    with_settings!({ filters => vec![(place.as_str(), "file://[DIR]")] }, {
        assert_snapshot!(text);
    });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a wrong call writes nothing");
}

#[test]
fn what_does_not_exist_is_named() {
    let folder = TempDir::new().unwrap();
    let collection = collection(folder.path());
    let nowhere = format!("{collection}/nowhere");
    let key = folder.path().join("short.key");
    fs::write(&key, "short\n").unwrap();
    let key = key.to_str().unwrap();
    let calls: &[&[&str]] = &[
        &["backups", "--in", &nowhere],
        &["show", "latest", "--in", &collection],
        &["show", "2026/11/22-130000.00", "--in", &collection],
        &["verify", "2026/11/22-130000.00", "--in", &collection],
        &["rows", "shop.public.orders", "--from", "latest", "--in", &collection],
        &["diff", "2026/11/22-130000.00", "latest", "--in", &collection],
        &["restore", "database", "shop", "--from", "latest", "--in", &collection],
        &["restore", "cluster", "--from", "latest", "--in", &collection, "--yes"],
        &["show", "latest", "--in", &collection, "--key-file", "/nonexistent/key"],
        &["show", "latest", "--in", &collection, "--key-file", key],
        &["backup", "--from", "postgresql://postgres@127.0.0.1:1", "--into", &collection],
    ];
    let text = transcripts(calls);
    let ends = text.lines().filter(|line| line.starts_with("exit")).collect::<Vec<_>>();
    assert_eq!(ends, vec!["exit 1"; calls.len()], "{text}");
    let place = regex(&collection);
    let bare = regex(folder.path().to_str().unwrap());
    with_settings!({
        filters => vec![(place.as_str(), "file://[DIR]"), (bare.as_str(), "[DIR]")]
    }, {
        assert_snapshot!(text);
    });
}

#[test]
fn with_json_an_error_is_one_object() {
    let folder = TempDir::new().unwrap();
    let collection = collection(folder.path());
    for (args, code, kind) in [
        (vec!["show", "latest", "--in", &collection, "--json"], 1, "not-found"),
        (vec!["--json", "show", "yesterday", "--in", &collection], 2, "usage"),
        (vec!["backup", "--json"], 2, "usage"),
        (vec!["restore", "cluster", "--from", "latest", "--in", &collection, "--json"], 2, "usage"),
        (
            vec!["backups", "--in", &collection, "--json", "s3://b?AWS_SECRET_ACCESS_KEY=hush"],
            2,
            "usage",
        ),
    ] {
        let output = strongroom(&args).expect_fail(code);
        assert_eq!(output.stdout, "");
        assert!(!output.stderr.contains("hush"));
        let error: Value = serde_json::from_str(&output.stderr).unwrap();
        assert_eq!(error["error"]["kind"], kind, "{args:?}");
        assert!(error["error"]["message"].as_str().unwrap().len() > 10, "{error}");
        assert!(error["error"]["hint"].is_string(), "{error}");
    }
    let output = strongroom(&["backup", "--json"]).expect_fail(2);
    assert!(output.stderr.contains("--into <COLLECTION>"), "{}", output.stderr);
}

#[test]
fn the_collection_and_the_passphrase_may_come_from_the_environment() {
    let folder = TempDir::new().unwrap();
    let run = strongroom(&["backups", "--json"])
        .env("STRONGROOM_COLLECTION", collection(folder.path()))
        .expect_ok();
    assert_eq!(run.stdout, "[]\n");
    let run = strongroom(&["backups"])
        .env("STRONGROOM_COLLECTION", "s3://b/x?AWS_SECRET_ACCESS_KEY=hush&AUTH=odd")
        .expect_fail(2);
    assert!(!run.stderr.contains("hush"), "{}", run.stderr);
    let help = strongroom(&["backups", "--help"])
        .env("STRONGROOM_COLLECTION", "s3://b/x?AWS_SECRET_ACCESS_KEY=hush")
        .expect_ok();
    assert!(!help.stdout.contains("hush"), "{}", help.stdout);
    let run = strongroom(&["show", "latest", "--in", &collection(folder.path())])
        .env("STRONGROOM_PASSPHRASE", "short")
        .expect_fail(1);
    assert!(run.stderr.contains("STRONGROOM_PASSPHRASE"), "{}", run.stderr);
}

/// The text as a regular expression that matches it.
fn regex(text: &str) -> String {
    let escape = |c: char| {
        if c.is_alphanumeric() { c.to_string() } else { format!("\\{c}") }
    };
    text.chars().map(escape).collect()
}
