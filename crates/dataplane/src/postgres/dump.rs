//! Running `pg_dump` for what it knows best: definitions.
//!
//! The newest `pg_dump` of this machine is taken; it must not be older than the server, whose
//! catalogs it would not understand. It reads under our snapshot, and writes its archive to us.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::catalog::STAGING;
use super::server::Server;
use crate::{Error, Kind, Result};

/// How long it may wait for a lock. Our own connections hold theirs by then: what it waits for may
/// well be a statement that waits for us, so that neither would ever go on. Then all locks are given
/// up, the statement runs, and a new read point is taken.
const LOCK_WAIT: &str = "--lock-wait-timeout=500";

/// A `pg_dump` of this machine.
#[derive(Clone, Debug)]
pub(crate) struct PgDump {
    path: PathBuf,
    major: u32,
}

/// The folders in which PostgreSQL's programs may lie, the one the user chose first.
pub(crate) fn program_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("STRONGROOM_PG_BINDIR").into_iter().map(PathBuf::from).collect();
    for parent in ["/usr/lib/postgresql", "/usr/local", "/usr", "/opt/homebrew/opt"] {
        let Ok(entries) = std::fs::read_dir(parent) else {
            continue;
        };
        let installed =
            entries.filter_map(|entry| entry.ok().map(|entry| entry.path().join("bin")));
        folders.extend(installed.filter(|folder| folder.join("pg_dump").is_file()));
    }
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    folders
}

impl PgDump {
    /// The newest `pg_dump` there is, if it can read a server of this version.
    pub(crate) async fn find(server_version_num: u32) -> Result<Self> {
        // Debian's /usr/bin/pg_dump is a script that looks for the others, and slow.
        let is_program = |path: &PathBuf| {
            let program = path.canonicalize();
            program.is_ok_and(|path| path.is_file() && !path.ends_with("pg_wrapper"))
        };
        let mut paths: Vec<PathBuf> =
            program_folders().into_iter().map(|folder| folder.join("pg_dump")).collect();
        paths.retain(is_program);
        paths.dedup();
        let asked = paths.into_iter().map(|path| async {
            let output = Command::new(&path).arg("--version").output().await;
            (path, output)
        });
        let mut newest: Option<PgDump> = None;
        for (path, output) in futures::future::join_all(asked).await {
            let Ok(output) = output else {
                continue;
            };
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let Ok(major) = digits[..end].parse() else {
                continue;
            };
            if newest.as_ref().is_none_or(|found| found.major < major) {
                newest = Some(PgDump { path, major });
            }
        }
        let needed = server_version_num / 10000;
        let hint = format!(
            "install the client programs of PostgreSQL {needed} or later (Debian: apt-get install \
             postgresql-client-{needed}), or name their folder in STRONGROOM_PG_BINDIR"
        );
        let Some(found) = newest else {
            return Err(
                Error::new(Kind::Unsupported, "there is no pg_dump on this machine").hint(hint)
            );
        };
        if found.major < needed {
            let message = format!(
                "the server is PostgreSQL {needed}, and the newest pg_dump here ({}) is of version {}",
                found.path.display(),
                found.major
            );
            return Err(Error::new(Kind::Unsupported, message).hint(hint));
        }
        Ok(found)
    }

    /// Writes the definitions of `database` at the exported `snapshot` to `sink`, run by run.
    pub(crate) async fn schema(
        &self,
        server: &Server,
        database: &str,
        encoding: &str,
        snapshot: &str,
        mut sink: impl AsyncFnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
            command.env_remove(name);
        }
        command
            .args(["--format=custom", "--schema-only", "--compress=0", "--quote-all-identifiers"])
            .args(["--no-password", LOCK_WAIT])
            .arg(format!("--exclude-schema={STAGING}*"))
            .arg(format!("--encoding={encoding}"))
            .arg(format!("--snapshot={snapshot}"))
            .envs(server.libpq_environment(database))
            // Passwords are looked up by us; other servers' in this user's file are not for this one.
            .env("PGPASSFILE", "/dev/null/none")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let cannot = |error: std::io::Error| {
            Error::new(
                Kind::Failed,
                format!("pg_dump ({}) can not be run: {error}", self.path.display()),
            )
        };
        let mut child = command.spawn().map_err(cannot)?;
        let (mut output, mut complaints) = match (child.stdout.take(), child.stderr.take()) {
            (Some(output), Some(complaints)) => (output, complaints),
            _ => return Err(cannot(std::io::ErrorKind::BrokenPipe.into())),
        };
        let said = tokio::spawn(async move {
            let mut said = String::new();
            // A few KiB suffice for a message; a flood of warnings must not fill our memory.
            let _ = (&mut complaints).take(64 * 1024).read_to_string(&mut said).await;
            let _ = tokio::io::copy(&mut complaints, &mut tokio::io::sink()).await;
            said
        });
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = output.read(&mut buffer).await.map_err(cannot)?;
            if read == 0 {
                break;
            }
            sink(&buffer[..read]).await?;
        }
        let status = child.wait().await.map_err(cannot)?;
        if status.success() {
            return Ok(());
        }
        let said = said.await.unwrap_or_default();
        let said = said.replace("pg_dump: ", "").replace("error: ", "");
        let said = said.trim().lines().take(3).map(str::trim).collect::<Vec<_>>().join("; ");
        let kind = match &said {
            // A lock that was not given, or a table that was dropped before it could be; what was
            // dropped while it was being looked at.
            text if text.contains("LOCK TABLE") || text.contains("cache lookup failed") => {
                Kind::Busy
            }
            text if text.contains("permission denied") => Kind::Denied,
            text if text.contains("out of shared memory") => Kind::Exhausted,
            // The encodings that we ask for are always valid: it means that nobody answered.
            text if text.contains("connection") || text.contains("invalid client encoding") => {
                Kind::Unreachable
            }
            _ => Kind::Failed,
        };
        let error = Error::new(kind, format!("pg_dump of database \"{database}\" failed: {said}"));
        Err(match kind {
            Kind::Denied => error.hint(
                "connect as a superuser, or grant the role pg_read_all_data: all definitions must \
                 be readable",
            ),
            Kind::Exhausted => error.hint("raise max_locks_per_transaction on the server"),
            Kind::Unreachable => error.hint("see the server's log, and try again"),
            _ => error,
        })
    }
}
