//! A throwaway PostgreSQL cluster of this machine, for restore drills.
//!
//! It listens on a unix socket in its own folder alone, nowhere on the network, and leaves nothing
//! behind. PostgreSQL refuses to run as root; started by root, it runs as the first of the users
//! `postgres` and `nobody` that there is.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

use super::dump::program_folders;
use super::server::{Host, Server, SslMode};
use crate::{Error, Kind, Result};

/// A running throwaway cluster. Dropped, it is killed and its folder removed.
pub(crate) struct Throwaway {
    folder: tempfile::TempDir,
    postgres: Child,
}

impl Throwaway {
    /// Its superuser.
    pub(crate) const USER: &'static str = "strongroom_verifier";
    const PORT: u16 = 5432;

    /// Starts a cluster that can hold what a server of this version held.
    pub(crate) async fn start(version_num: u32) -> Result<Self> {
        let programs = programs(version_num / 10000).await?;
        let failed = |what: &str, reason: String| {
            Error::new(Kind::Failed, format!("the throwaway cluster can not be started: {what}: {reason}"))
                .hint("it lives in the folder for temporary files (TMPDIR), which needs room for the database")
        };
        let folder = tempfile::Builder::new()
            .prefix("strongroom-verify-")
            .tempdir()
            .map_err(|error| failed("its folder", error.to_string()))?;
        let identity = identity().await?;
        if let Some((uid, gid)) = identity {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid))
                .map_err(|error| failed("its folder", error.to_string()))?;
        }
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))
            .map_err(|error| failed("its folder", error.to_string()))?;
        let data = folder.path().join("data");
        let output = as_identity(Command::new(programs.join("initdb")), identity)
            .arg("--pgdata")
            .arg(&data)
            .args(["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"])
            .args(["--username", Throwaway::USER])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|error| failed("initdb", error.to_string()))?;
        if !output.status.success() {
            return Err(failed("initdb", said(&output)));
        }
        let postgres = as_identity(Command::new(programs.join("postgres")), identity)
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-p", &Throwaway::PORT.to_string(), "-c", "listen_addresses="])
            .args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "autovacuum=off"])
            .args(["-c", "max_wal_size=4GB", "-c", "max_locks_per_transaction=1024"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("postgres", error.to_string()))?;
        let mut throwaway = Throwaway { folder, postgres };
        let server = throwaway.server();
        for _ in 0..300 {
            if super::connect::Client::connect(&server, "postgres", "strongroom verify")
                .await
                .is_ok()
            {
                return Ok(throwaway);
            }
            if let Ok(Some(status)) = throwaway.postgres.try_wait() {
                return Err(failed("postgres", format!("it ended at once ({status})")));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(failed("postgres", "it accepts no connections".to_owned()))
    }

    /// How to connect to it.
    pub(crate) fn server(&self) -> Server {
        Server {
            host: Host::Unix(self.folder.path().to_path_buf()),
            port: Throwaway::PORT,
            user: Throwaway::USER.to_owned(),
            password: None,
            database: "postgres".to_owned(),
            ssl_mode: SslMode::Disable,
            ssl_root_cert: None,
            connect_timeout: Duration::from_secs(10),
            options: None,
        }
    }

    /// Stops it and removes its folder.
    pub(crate) async fn stop(mut self) {
        if let Some(pid) = self.postgres.id() {
            // An immediate shutdown ends its children too; killing the parent alone would not.
            let quit = ["-QUIT".to_owned(), pid.to_string()];
            let _ = Command::new("kill").args(quit).status().await;
            let _ = tokio::time::timeout(Duration::from_secs(10), self.postgres.wait()).await;
        }
    }
}

/// The folder of the oldest PostgreSQL server of this machine that is not older than `major`.
async fn programs(major: u32) -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for folder in program_folders() {
        let program = folder.join("postgres");
        if !program.is_file() || !folder.join("initdb").is_file() {
            continue;
        }
        let Ok(output) = Command::new(&program).arg("--version").output().await else {
            continue;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok());
        found.extend(version.map(|version| (version, folder)));
    }
    found.retain(|(version, _)| *version >= major);
    found.sort();
    found.into_iter().next().map(|(_, folder)| folder).ok_or_else(|| {
        Error::new(
            Kind::Unsupported,
            format!("there is no PostgreSQL server of version {major} or later on this machine"),
        )
        .hint(format!(
            "install one (Debian: apt-get install postgresql-{major}), or name its programs' folder \
             in STRONGROOM_PG_BINDIR"
        ))
    })
}

/// The user and group to run as, if we are root.
async fn identity() -> Result<Option<(u32, u32)>> {
    let id = |arguments: Vec<String>| async move {
        let output = Command::new("id").args(arguments).output().await.ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    if id(vec!["-u".to_owned()]).await != Some(0) {
        return Ok(None);
    }
    for user in ["postgres", "nobody"] {
        let uid = id(vec!["-u".to_owned(), user.to_owned()]).await;
        let gid = id(vec!["-g".to_owned(), user.to_owned()]).await;
        if let (Some(uid), Some(gid)) = (uid, gid) {
            return Ok(Some((uid, gid)));
        }
    }
    Err(Error::new(
        Kind::Unsupported,
        "PostgreSQL does not run as root, and there is no other user",
    )
    .hint("run the verification as a user other than root"))
}

fn as_identity(mut command: Command, identity: Option<(u32, u32)>) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
        command.env_remove(name);
    }
    if let Some((uid, gid)) = identity {
        command.uid(uid).gid(gid);
    }
    command.env("LC_ALL", "C");
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or_default().to_owned()
}
