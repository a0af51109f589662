//! Named points where a test makes the process die, or an operation fail.
//!
//! There is one before and one after each durability step, listed here so that a test can visit
//! all of them. Built with the `failpoints` feature, `FAILPOINTS=name=return(kill)` kills the
//! process there as `kill -9` would, and `name=return(fail)` makes the step fail. Without the
//! feature nothing of this is in the program.
//!
//! Some others change what is done: `incremental.naive-floor=return` makes a known mistake,
//! `backup.segment-bytes=return(32768)` cuts small tables into many segments,
//! `backup.floor-patience=return(50)` waits so many milliseconds for older transactions, and
//! `backup.show-read-point=return(file)` shows a test the snapshot, and holds it until it was seen.

/// Every failpoint of a backup, in the order in which it passes them.
pub const BACKUP: &[&str] = &[
    "backup.before-claim",
    "backup.after-claim",
    "backup.after-read-point",
    "backup.before-pack",
    "backup.after-pack",
    "backup.before-schema",
    "backup.after-schema",
    "backup.before-segment-lists",
    "backup.before-contents",
    "backup.before-manifest",
    "backup.after-manifest",
    "backup.before-release",
];

/// Every failpoint of a prune, in the order in which it passes them, if it has everything to do.
pub const PRUNE: &[&str] = &[
    "prune.after-list",
    "prune.after-survey",
    "prune.before-bury",
    "prune.after-bury",
    "prune.before-sweep",
    "prune.during-sweep",
    "prune.after-sweep",
    "prune.before-listing",
    "prune.between-listings",
    "prune.after-listing",
    "prune.before-objects",
    "prune.during-objects",
    "prune.before-packs",
    "prune.during-packs",
    "prune.before-tombstone",
    "prune.after-tombstone",
    "prune.before-mark",
    "prune.after-mark",
];

/// Every failpoint of discarding what a job left, in order.
pub const DISCARD: &[&str] =
    &["prune.before-bury", "prune.after-bury", "discard.during-sweep", "discard.before-claim"];

/// Every failpoint of a database restore, in order.
pub const RESTORE_DATABASE: &[&str] = &[
    "restore.before-staging",
    "restore.after-staging",
    "restore.after-definitions",
    "restore.during-load",
    "restore.after-load",
    "restore.after-indexes",
    "restore.before-publish",
    "restore.during-publish",
    "restore.after-publish",
];

/// Every failpoint of a table restore, in order.
pub const RESTORE_TABLE: &[&str] = &[
    "restore.before-staging",
    "restore.after-staging",
    "restore.after-definitions",
    "restore.during-load",
    "restore.after-load",
    "restore.after-indexes",
    "restore.before-publish",
    "restore.during-publish",
    "restore.after-publish",
];

/// Every failpoint of a cluster restore, in order.
pub const RESTORE_CLUSTER: &[&str] = &[
    "restore.before-staging",
    "restore.after-staging",
    "restore.after-definitions",
    "restore.during-load",
    "restore.after-load",
    "restore.after-indexes",
    "restore.before-publish",
    "restore.during-publish",
    "restore.after-publish",
    "restore.before-drop",
    "restore.after-drop",
];

/// Dies or fails here if a test asked for it.
#[cfg(feature = "failpoints")]
pub fn pass(name: &str) -> crate::Result<()> {
    fail::fail_point!(name, |action| match action.as_deref() {
        Some("kill") => {
            let _ = std::process::Command::new("kill")
                .args(["-KILL", &std::process::id().to_string()])
                .status();
            // The signal is on its way; nothing more may happen here.
            loop {
                std::thread::park();
            }
        }
        _ => Err(crate::Error::new(
            crate::Kind::Failed,
            format!("failpoint {name}: made to fail by a test"),
        )),
    });
    Ok(())
}

/// Whether a test wants this done wrongly, to see that it would notice.
#[cfg(feature = "failpoints")]
pub(crate) fn wants(name: &str) -> bool {
    fail::fail_point!(name, |_| true);
    false
}

/// A number that a test wants in place of the one that is built in.
#[cfg(feature = "failpoints")]
pub(crate) fn number(name: &str) -> Option<u64> {
    argument(name)?.parse().ok()
}

/// Shows a test something, and waits until it has seen enough: `text` is written to the file that the
/// test named, and the test removes it.
#[cfg(feature = "failpoints")]
pub(crate) async fn show(name: &str, text: &str) {
    let Some(path) = argument(name) else {
        return;
    };
    let path = std::path::Path::new(&path);
    let unfinished = path.with_extension("unfinished");
    // A test that is gone waits for nothing.
    let shown = std::fs::write(&unfinished, text).and_then(|()| std::fs::rename(&unfinished, path));
    while shown.is_ok() && path.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

#[cfg(feature = "failpoints")]
fn argument(name: &str) -> Option<String> {
    fail::fail_point!(name, |argument| argument);
    None
}

/// None, in a build without failpoints.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn number(_name: &str) -> Option<u64> {
    None
}

/// Nothing, in a build without failpoints.
#[cfg(not(feature = "failpoints"))]
pub(crate) async fn show(_name: &str, _text: &str) {}

/// Never, in a build without failpoints.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn wants(_name: &str) -> bool {
    false
}

/// Nothing, in a build without failpoints.
#[cfg(not(feature = "failpoints"))]
pub fn pass(_name: &str) -> crate::Result<()> {
    Ok(())
}
