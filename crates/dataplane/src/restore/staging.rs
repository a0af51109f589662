//! Staging: hidden databases and schemas that belong to one running restore.
//!
//! Their names are `strongroom_staging_<run>_<n>`, with eight hexadecimal digits that tell the run.
//! A run is alive as long as its *keeper* is connected: a session that does nothing, named
//! `strongroom restore <run>`. When the process dies its sockets close, and the server ends an idle
//! session at once, while a session in the midst of an index build may go on for hours. So whoever
//! finds staging remains without a keeper may end the run's other sessions and remove them.
//!
//! Roles that a cluster restore had to create early carry the mark in their comment.

use std::time::Duration;

use super::event_triggers;
use crate::postgres::catalog::{self, STAGING};
use crate::postgres::connect::Client;
use crate::postgres::server::Server;
use crate::postgres::sql::{ident, literal};
use crate::progress::Progress;
use crate::{Error, Kind, Result};

/// The comment of a role that was created for staging, before the run's digits.
const ROLE_MARK: &str = "strongroom staging ";

/// One restore's hold on a server.
pub(super) struct Staging {
    run: String,
    server: Server,
    /// The keeper. Its database is the one the URL names, or one that a cluster restore spares.
    keeper: Client,
    databases: std::sync::atomic::AtomicUsize,
}

impl Staging {
    /// Begins a run: from now on its staging is nobody else's to remove.
    pub(super) async fn begin(server: &Server) -> Result<Self> {
        let name = strongroom_format::layout::new_pack_name();
        let run = name[..8].to_owned();
        let keeper = Client::connect(server, &server.database, &application(&run)).await?;
        Ok(Staging { run, server: server.clone(), keeper, databases: 0.into() })
    }

    /// The session for statements on the whole cluster.
    pub(super) fn keeper(&self) -> &Client {
        &self.keeper
    }

    /// Moves the keeper to another database, so that its own can be renamed.
    pub(super) async fn move_keeper(&mut self, database: &str) -> Result<()> {
        self.keeper = Client::connect(&self.server, database, &application(&self.run)).await?;
        Ok(())
    }

    /// What the run's working sessions are called.
    pub(super) fn worker(&self) -> String {
        format!("{} worker", application(&self.run))
    }

    /// A new hidden name, for a database or a schema.
    pub(super) fn name(&self) -> String {
        let number = self.databases.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        format!("{STAGING}{}_{number}", self.run)
    }

    /// The comment that marks a role of this run.
    pub(super) fn role_mark(&self) -> String {
        format!("{ROLE_MARK}{}", self.run)
    }

    /// Removes everything that the run has staged. What was published has other names by now.
    pub(super) async fn abandon(self, progress: &Progress) {
        progress.step("removing what was staged");
        // The keeper may be what broke: a new session does the cleaning.
        drop(self.keeper);
        let mut removed = remove(&self.server, &self.run).await;
        if removed.as_ref().is_err_and(|error| error.kind() == Kind::Unreachable) {
            // What ended the restore's connections may have ended this one too.
            tokio::time::sleep(Duration::from_millis(500)).await;
            removed = remove(&self.server, &self.run).await;
        }
        if let Err(error) = removed {
            progress.note(format!(
                "staging remains could not be removed: {error}; the next restore into this server \
                 removes them (names begin with {STAGING}{})",
                self.run
            ));
        }
    }
}

fn application(run: &str) -> String {
    format!("strongroom restore {run}")
}

/// Finds and removes what killed restores left behind on the server. Returns the runs that seem to be
/// alive.
///
/// A keeper that was killed a moment ago may still be listed. It gets a fraction of a second to leave,
/// not more, since a live one would be waited for in vain; [`sweep_again`] looks once more when there
/// is nothing to wait for.
pub(super) async fn sweep(server: &Server, progress: &Progress) -> Result<Vec<String>> {
    let client = connect(server).await?;
    let mut runs = runs_among(
        client
            .query(
                "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1)",
                &[&STAGING],
            )
            .await?
            .iter()
            .map(|row| row.get(0)),
    );
    let marked = client
        .query(
            "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles \
             WHERE starts_with(shobj_description(oid, 'pg_authid'), $1)",
            &[&ROLE_MARK],
        )
        .await?;
    runs.extend(runs_among(marked.iter().filter_map(|row| {
        Some(format!("{STAGING}{}", row.get::<_, String>(0).strip_prefix(ROLE_MARK)?))
    })));
    for database in catalog::connectable(&client).await? {
        // A database that went away meanwhile has no remains either.
        let Ok(inside) = Client::connect(server, &database, "strongroom restore").await else {
            continue;
        };
        let sql = "SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, $1)";
        runs.extend(runs_among(inside.query(sql, &[&STAGING]).await?.iter().map(|row| row.get(0))));
    }
    runs.sort();
    runs.dedup();
    let mut alive = Vec::new();
    for run in runs {
        if !left_soon(&client, &run).await? {
            progress.note(format!("another restore ({run}) is running on this server"));
            alive.push(run);
            continue;
        }
        remove_interrupted(server, &run, progress).await?;
    }
    Ok(alive)
}

/// Removes the remains of those of these runs whose keepers have left. To be called at the end of a
/// restore, which it can no longer harm.
pub(super) async fn sweep_again(server: &Server, runs: &[String], progress: &Progress) {
    if runs.is_empty() {
        return;
    }
    let swept = async {
        let client = connect(server).await?;
        for run in runs {
            if !keeper_lives(&client, run).await? {
                remove_interrupted(server, run, progress).await?;
            }
        }
        Ok::<(), Error>(())
    };
    // What stays is found by the next restore.
    if let Err(error) = swept.await {
        progress.note(format!("looking after other restores' remains failed: {error}"));
    }
}

async fn remove_interrupted(server: &Server, run: &str, progress: &Progress) -> Result<()> {
    progress.step(format!("removing remains of an interrupted restore ({run})"));
    remove(server, run).await
}

fn runs_among(names: impl Iterator<Item = String>) -> Vec<String> {
    let digits = |name: String| {
        let run = name.strip_prefix(STAGING)?.split('_').next()?.to_owned();
        (run.len() == 8 && run.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(run)
    };
    names.filter_map(digits).collect()
}

/// Whether the run's keeper is gone, or goes while it is given a moment.
async fn left_soon(client: &Client, run: &str) -> Result<bool> {
    for pause in [10, 20, 40, 80, 150] {
        if !keeper_lives(client, run).await? {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    Ok(!keeper_lives(client, run).await?)
}

/// Whether the run's keeper is connected.
async fn keeper_lives(client: &Client, run: &str) -> Result<bool> {
    let application = literal(&application(run));
    let sql = format!("SELECT 1 FROM pg_stat_activity WHERE application_name = {application}");
    Ok(client.scalar(&sql).await?.is_some())
}

/// Ends the run's sessions and removes its databases, schemas and roles.
async fn remove(server: &Server, run: &str) -> Result<()> {
    let client = connect(server).await?;
    let prefix = format!("{STAGING}{run}_");
    end_sessions(&client, run).await?;
    let sql = "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1)";
    for row in client.query(sql, &[&prefix]).await? {
        let name: String = row.get(0);
        // A template, or one that takes no connections, was staged with its properties.
        let quoted = ident(&name);
        let alter = format!("ALTER DATABASE {quoted} WITH IS_TEMPLATE false");
        match client.batch_execute(&alter).await.map_err(Error::from) {
            // Whoever else cleans up was faster.
            Err(error) if error.kind() == Kind::NotFound => continue,
            altered => altered?,
        }
        drop_subscriptions(server, &name).await?;
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")).await?;
    }
    for database in catalog::connectable(&client).await? {
        let Ok(inside) = Client::connect(server, &database, "strongroom restore").await else {
            continue;
        };
        let sql = "SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, $1)";
        let schemas = inside.query(sql, &[&prefix]).await?;
        if !schemas.is_empty() {
            event_triggers::silence(&inside).await?;
        }
        for row in schemas {
            let name: String = row.get(0);
            inside
                .batch_execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", ident(&name)))
                .await?;
        }
    }
    let sql = "SELECT rolname::text FROM pg_roles WHERE shobj_description(oid, 'pg_authid') = $1";
    for row in client.query(sql, &[&format!("{ROLE_MARK}{run}")]).await? {
        let name: String = row.get(0);
        client.batch_execute(&format!("DROP ROLE IF EXISTS {}", ident(&name))).await?;
    }
    Ok(())
}

/// A session for cleaning up.
async fn connect(server: &Server) -> Result<Client> {
    connect_to(server, &server.database).await
}

/// As [`connect`], to this database rather than to another.
pub(super) async fn connect_to(server: &Server, database: &str) -> Result<Client> {
    let mut client = Client::connect(server, database, "strongroom restore").await;
    for other in [&server.database, "postgres", "template1"] {
        // A cluster restore may have replaced the database that the URL names by none.
        if client.as_ref().is_err_and(|error| error.kind() == Kind::NotFound) {
            client = Client::connect(server, other, "strongroom restore").await;
        }
    }
    client
}

/// A database with subscriptions can not be dropped. Their slots at the publishers stay: they may
/// be in use by the database that took this one's place.
async fn drop_subscriptions(server: &Server, database: &str) -> Result<()> {
    let inside = match Client::connect(server, database, "strongroom restore").await {
        Ok(inside) => inside,
        // It takes no connections, by a property of its own; dropping it will tell.
        Err(_) => return Ok(()),
    };
    let sql = "SELECT s.subname::text FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid \
               WHERE d.datname = current_database()";
    for row in inside.query(sql, &[]).await? {
        let name = ident(&row.get::<_, String>(0));
        for change in ["DISABLE", "SET (slot_name = NONE)"] {
            inside.batch_execute(&format!("ALTER SUBSCRIPTION {name} {change}")).await?;
        }
        inside.batch_execute(&format!("DROP SUBSCRIPTION {name}")).await?;
    }
    Ok(())
}

async fn end_sessions(client: &Client, run: &str) -> Result<()> {
    for _ in 0..100 {
        let ended = client
            .query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE starts_with(application_name, $1) AND pid <> pg_backend_pid()",
                &[&application(run)],
            )
            .await?;
        if ended.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(Error::new(Kind::Busy, format!("sessions of restore {run} do not end")))
}
