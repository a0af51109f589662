//! Finding PostgreSQL's programs, and running them as a user that PostgreSQL accepts.
//!
//! The server refuses to run as root, which is what a container or a CI machine often is. As root we
//! therefore hand the server to the `postgres` user, or to `nobody` where PostgreSQL came without one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::postgres;

/// Where Debian's packages have a folder for each major version.
const PACKAGED: &str = "/usr/lib/postgresql";

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

    /// This major version: the one found by default if it is of this version, else another that is installed.
    ///
    /// # Panics
    /// When it is not installed. A test that skipped itself would be taken for one that passed.
    pub(crate) fn of_version(major: u32) -> Self {
        let installed = installed_versions();
        let Some(bin_dir) = installed.get(&major) else {
            panic!(
                "PostgreSQL {major} is not installed (there is {:?}): run ./dev setup-postgres {major}",
                installed.keys()
            );
        };
        Self::at(bin_dir.clone())
    }

    pub(crate) fn at(bin_dir: PathBuf) -> Self {
        Self { bin_dir }
    }

    pub(crate) fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// The major version, as the server's program tells it.
    pub(crate) fn major(&self) -> u32 {
        let told = postgres::run(self.client("postgres").arg("--version"), None)
            .unwrap_or_else(|error| panic!("the version of {}: {error}", self.bin_dir.display()));
        // "postgres (PostgreSQL) 17.12 (Debian 17.12-0+deb13u1)", or "18beta1" before a release.
        told.split_whitespace()
            .find_map(|word| {
                let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
                word[..digits].parse().ok()
            })
            .unwrap_or_else(|| panic!("a version in {told:?}"))
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

/// The directories of the programs of all major versions that tests can be run with: the one found by
/// default, what Debian's packages have installed, and what `./dev setup-postgres` has.
pub fn installed_versions() -> BTreeMap<u32, PathBuf> {
    let mut installed = versions_in(&own_installs());
    installed.extend(versions_in(Path::new(PACKAGED)));
    let default = Install::find();
    installed.insert(default.major(), default.bin_dir);
    installed
}

/// The major versions that what depends on the server's version is to be tested with: the default, 17 as the
/// first that tells what changed since a backup, and those that `STRONGROOM_TEST_VERSIONS` asks for.
///
/// # Panics
/// When `STRONGROOM_TEST_VERSIONS` holds something else than numbers.
pub fn tested_versions() -> Vec<u32> {
    let asked = std::env::var("STRONGROOM_TEST_VERSIONS").unwrap_or_default();
    let asked = asked.split_whitespace().map(|major| {
        major
            .parse()
            .unwrap_or_else(|_| panic!("STRONGROOM_TEST_VERSIONS: {major:?} is no version"))
    });
    let versions: BTreeSet<u32> = [Install::find().major(), 17].into_iter().chain(asked).collect();
    versions.into_iter().collect()
}

/// Where the script `install-postgres` puts what it installs: not in root's home, as the server's user can not
/// look into it.
fn own_installs() -> PathBuf {
    let cache = if server_user().is_some() {
        PathBuf::from("/var/cache")
    } else {
        let home = || std::env::home_dir().unwrap_or_default().join(".cache");
        std::env::var_os("XDG_CACHE_HOME")
            .filter(|dir| !dir.is_empty())
            .map_or_else(home, PathBuf::from)
    };
    cache.join("strongroom/postgres")
}

fn versions_in(parent: &Path) -> BTreeMap<u32, PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let major = entry.file_name().to_str()?.parse().ok()?;
            let bin_dir = entry.path().join("bin");
            bin_dir.join("initdb").exists().then_some((major, bin_dir))
        })
        .collect()
}

fn newest_packaged() -> Option<PathBuf> {
    versions_in(Path::new(PACKAGED)).pop_last().map(|(_, bin_dir)| bin_dir)
}

fn in_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find(|dir| dir.join("initdb").exists())
}
