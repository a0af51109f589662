//! Finding PostgreSQL's programs, and running them as a user that PostgreSQL accepts.
//!
//! The server refuses to run as root, which is what a container or a CI machine often is. As root we
//! therefore hand the server to the `postgres` user, or to `nobody` where PostgreSQL came without one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One installed version of PostgreSQL.
#[derive(Debug, Clone)]
pub(crate) struct Install {
    bin_dir: PathBuf,
}

impl Install {
    /// The directory asked for with `STRONGROOM_PG_BINDIR`, else the newest version that Debian's packages
    /// have installed, else whatever `PATH` holds.
    pub(crate) fn find() -> Self {
        let asked = std::env::var_os("STRONGROOM_PG_BINDIR").map(PathBuf::from);
        let bin_dir = asked.or_else(newest_packaged).or_else(in_path).unwrap_or_else(|| {
            panic!(
                "PostgreSQL's server programs were not found: install the package `postgresql`, or set \
                 STRONGROOM_PG_BINDIR to the directory that holds initdb and postgres"
            )
        });
        Self::at(bin_dir)
    }

    pub(crate) fn at(bin_dir: PathBuf) -> Self {
        Self { bin_dir }
    }

    pub(crate) fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// A program of this version, run as ourselves and cut off from the caller's PostgreSQL settings.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin_dir.join(program));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").env("PGTZ", "UTC").stdin(Stdio::null());
        command
    }

    /// A program of this version that touches the server's files, and so runs as the server's user.
    pub(crate) fn server(&self, program: &str) -> Command {
        let mut command = self.client(program);
        if let Some((uid, gid)) = server_user() {
            command.uid(uid).gid(gid);
        }
        // The caller's directory may be closed to that user, and the programs complain when it is.
        command.current_dir("/");
        command
    }

    /// Stops the server of a data directory at once and without a checkpoint. It need not be running.
    pub(crate) fn stop(&self, data_dir: &Path) {
        let _ = self
            .server("pg_ctl")
            .args(["stop", "-m", "immediate", "-t", "20", "-D"])
            .arg(data_dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// The user and group that servers run as, when that is not ourselves.
pub(crate) fn server_user() -> Option<(u32, u32)> {
    let own_uid = fs::metadata("/proc/self").expect("/proc is mounted").uid();
    if own_uid != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    let find = |wanted: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let is_wanted = fields.next() == Some(wanted);
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            is_wanted.then_some((uid, gid))
        })
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("a user `postgres` or `nobody`"))
}

fn newest_packaged() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .flatten()
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let bin_dir = entry.path().join("bin");
            bin_dir.join("initdb").exists().then_some((version, bin_dir))
        })
        .max()
        .map(|(_, bin_dir)| bin_dir)
}

fn in_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|dir| dir.join("initdb").exists())
}
