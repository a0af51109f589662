//! Clearing away servers whose test was killed.
//!
//! A test that ends, even by a panic, stops its server. One that is killed (a runner's timeout, Ctrl-C twice,
//! the out-of-memory killer) cannot. So each server's directory carries in its name the process that owns
//! it, and the first cluster that any later test process makes stops the servers, and removes the
//! directories, of owners that are gone. A process id alone could belong to somebody new by then, hence the
//! owner's start time beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

use crate::postgres_install::Install;

const PREFIX: &str = "strongroom-pg-";

/// Makes the directory of a new server, after clearing away what killed tests have left behind.
pub(crate) fn new_server_dir(install: &Install) -> tempfile::TempDir {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| remove_abandoned(install));

    let owner = std::process::id();
    let started = start_time(owner).expect("this process has a start time in /proc");
    tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{owner}-{started}-"))
        .rand_bytes(4)
        .tempdir_in(parent_dir())
        .expect("a directory for a throwaway server")
}

/// The temporary directory, unless its path is so long that a socket's path in it would not fit.
fn parent_dir() -> PathBuf {
    let dir = std::env::temp_dir();
    if dir.as_os_str().len() <= 40 { dir } else { PathBuf::from("/tmp") }
}

fn remove_abandoned(install: &Install) {
    let Ok(entries) = fs::read_dir(parent_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(owner) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        if !is_running(owner) {
            install.stop(&data_dir(&entry.path()));
            // Another test process may be removing it at the same time, or it is another user's.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Where in a server's directory its data lives.
pub(crate) fn data_dir(server_dir: &Path) -> PathBuf {
    server_dir.join("data")
}

/// Whether the owner named as `PID-STARTTIME-...` still runs; a name of any other form counts as running.
fn is_running(owner: &str) -> bool {
    let mut parts = owner.split('-').map(str::parse::<u64>);
    let (Some(Ok(pid)), Some(Ok(started))) = (parts.next(), parts.next()) else {
        return true;
    };
    u32::try_from(pid).ok().and_then(start_time) == Some(started)
}

/// When a process was started, in clock ticks since boot: the twenty-second field of its `stat`.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command in parentheses, which may itself hold spaces and parentheses.
    let (_, after_command) = stat.rsplit_once(") ")?;
    after_command.split(' ').nth(19)?.parse().ok()
}
