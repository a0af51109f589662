//! The moment of publication, and how somebody else learns whether it came.
//!
//! Every restore becomes visible by the commit of one transaction:
//!
//! | restored | the transaction |
//! |---|---|
//! | databases | the one that renames the staged databases |
//! | tables, into a database that is there | the one that moves them out of the hidden schemas |
//! | tables, into a new database | the one that renames that staged database; what moved inside of it before was still hidden |
//! | a cluster | the one that exchanges all databases and sets the roles |
//!
//! A process may die around that `COMMIT`: before it was sent, while it is on its way, or after the
//! server has done it and before anybody was told. Whoever goes on with its work must not guess:
//! restoring once more over a published cluster would throw away what was written since, and
//! calling a published restore failed would be a lie. So the restore tells a *fence*, inside of the
//! transaction and as the last thing before `COMMIT`, which transaction it is. The fence notes that
//! where it outlives the process, or refuses, and then the transaction is rolled back. It is also
//! where a process that was suspended for an hour learns that its work was given to another.
//!
//! [`outcome`] then asks the server. What may be found, by the moment of death:
//!
//! | the process died | noted | outcome | what to do |
//! |---|---|---|---|
//! | before the fence | nothing | | sweep, begin again |
//! | in the fence, before the note was durable | nothing | the server rolls back | the same |
//! | after the note, before `COMMIT` | the transaction | aborted | the same |
//! | while `COMMIT` was on its way | the transaction | in progress, then one of the others | [`settle`] |
//! | after it | the transaction | committed | it is done; sweep |
//!
//! Four things make that answer trustworthy:
//!
//! - *The id is durable before the fence sees it.* A server that crashes forgets what it had not yet
//!   written to its log, and gives the same ids out again; another transaction that commits under
//!   ours would be taken for it. So a second session first commits something of its own, which
//!   waits for the log up to there, and with it for what our transaction has logged.
//! - *Nothing cancels a transaction whose fence has let it pass.* A person's wish to stop is looked
//!   at right before the fence, and never after.
//! - *A failed `COMMIT` is not taken for a failure.* When the connection breaks there, the restore
//!   asks the server itself.
//! - *An id counts only on the server and the line of history that gave it out.* Behind the same URL
//!   there may be another server by now, and a standby that took over gives ids out again that its
//!   old primary had used, if those had not reached it. So the publication says which server it was
//!   and on which [timeline](https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES),
//!   and a transaction that committed elsewhere is not taken for ours. A standby is asked again until
//!   it was promoted: it may have received a commit that it has not replayed.
//!
//! A server remembers outcomes for as long as its commit log reaches back, hundreds of millions of
//! transactions. After that, and on another server or line, the answer is [`Outcome::Unknown`], and a
//! person must look.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_postgres::error::SqlState;

use super::Restored;
use super::database::stop_if;
use super::staging;
use crate::postgres::connect::Client;
use crate::postgres::history::History;
use crate::postgres::server::Server;
use crate::{CancellationToken, Error, Kind, Result, failpoint};

/// How long a server is waited for, and a transaction whose session was ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// A transaction of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// The server, and the line of its history that gave the id out.
    pub history: History,
    /// The database whose session it is.
    pub database: String,
    /// Its id, as `pg_current_xact_id()` tells it: unique in this history.
    pub xid: u64,
}

/// A restore right before it becomes visible.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Publication {
    /// What makes it visible.
    pub transaction: Transaction,
    /// What will have been done once it is committed.
    pub restored: Restored,
}

type Passing = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// What a restore asks right before it publishes.
#[derive(Clone, Default)]
pub struct Fence(Option<Arc<dyn Fn(Publication) -> Passing + Send + Sync>>);

impl Fence {
    /// Lets everything pass.
    pub fn open() -> Self {
        Fence(None)
    }

    /// Calls `ask` with what is about to be published. Its error refuses the publication, which is
    /// then rolled back, and is the restore's error.
    pub fn new<F>(ask: impl Fn(Publication) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Fence(Some(Arc::new(move |publication| Box::pin(ask(publication)))))
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a fence" } else { "no fence" })
    }
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It committed: users see what was restored.
    Committed,
    /// It did not, and never will: the target is as it was.
    Aborted,
    /// Its session is still there.
    InProgress,
    /// The server no longer knows, or it is not the one to ask.
    Unknown,
}

/// Commits the transaction that `session` has open, which publishes `restored`. The `witness` is
/// another session on the same server.
pub(super) async fn commit(
    session: &Client,
    witness: &Client,
    fence: &Fence,
    restored: &Restored,
    cancel: &CancellationToken,
) -> Result<()> {
    let row = session
        .query_one("SELECT pg_current_xact_id()::text, current_database()::text", &[])
        .await?;
    let (xid, database): (String, String) = (row.get(0), row.get(1));
    let xid = xid
        .parse()
        .map_err(|_| Error::new(Kind::Failed, format!("'{xid}' is no transaction id")))?;
    let transaction = Transaction { history: History::of(witness).await?, database, xid };
    let passed = async {
        make_durable(witness).await?;
        stop_if(cancel)?;
        if let Some(ask) = &fence.0 {
            let transaction = transaction.clone();
            ask(Publication { transaction, restored: restored.clone() }).await?;
        }
        failpoint::pass("restore.during-publish")
    };
    if let Err(error) = passed.await {
        // Whether or not this arrives, nothing commits without a COMMIT.
        let _ = session.batch_execute("ROLLBACK").await;
        return Err(error);
    }
    let Err(error) = session.batch_execute("COMMIT").await.map_err(Error::from) else {
        return Ok(());
    };
    if error.kind() != Kind::Unreachable {
        return Err(error);
    }
    match settle_soon(session.server(), &transaction).await {
        Ok(Outcome::Committed) => Ok(()),
        Ok(Outcome::Aborted) => Err(error),
        Ok(Outcome::InProgress | Outcome::Unknown) | Err(_) => {
            let hint = format!(
                "ask the server when it answers again: SELECT pg_xact_status('{xid}'); tells \
                 whether the restore was committed"
            );
            Err(Error::new(
                Kind::Unreachable,
                format!(
                    "the connection broke while the restore was being committed, and whether it was is \
                     not known: {error}"
                ),
            )
            .hint(hint))
        }
    }
}

/// As [`settle`], with patience for a network or a server that is away for a moment.
async fn settle_soon(server: &Server, transaction: &Transaction) -> Result<Outcome> {
    let begun = std::time::Instant::now();
    loop {
        match settle(server, transaction).await {
            Err(error) if error.kind().may_pass() && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            asked => return asked,
        }
    }
}

/// Waits until what other sessions have logged so far is on the server's disk.
async fn make_durable(witness: &Client) -> Result<()> {
    let script = "BEGIN;\n\
         SELECT pg_catalog.set_config('synchronous_commit', CASE setting WHEN 'off' THEN 'local' \
             ELSE setting END, true) \
         FROM pg_catalog.pg_settings WHERE name = 'synchronous_commit';\n\
         SELECT pg_catalog.pg_logical_emit_message(true, 'strongroom', 'before a publication');\n\
         COMMIT;\n";
    Ok(witness.batch_execute(script).await?)
}

/// What became of this transaction, as the server tells. Asked in the transaction's database, or in
/// another one if that is gone.
pub async fn outcome(server: &Server, transaction: &Transaction) -> Result<Outcome> {
    let client = staging::connect_to(server, &transaction.database).await?;
    status(&client, transaction).await
}

/// As [`outcome`], but waits for an end: if the transaction's session is still there, it is ended
/// first. Only for whoever has taken over the work of the one that opened it.
pub async fn settle(server: &Server, transaction: &Transaction) -> Result<Outcome> {
    let client = staging::connect_to(server, &transaction.database).await?;
    let begun = std::time::Instant::now();
    loop {
        let found = status(&client, transaction).await?;
        if found != Outcome::InProgress || begun.elapsed() > PATIENCE {
            return Ok(found);
        }
        // The list of sessions has only the lower half of an id, which is enough among those that are
        // open at one time.
        client
            .execute(
                "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
                 WHERE backend_xid::text = $1 AND pg_catalog.starts_with(application_name, \
                     'strongroom restore')",
                &[&(transaction.xid & u64::from(u32::MAX)).to_string()],
            )
            .await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn not_replayed(client: &Client) -> Error {
    let message = format!(
        "server {} is a standby, and does not know yet whether the restore was published",
        client.server()
    );
    Error::new(Kind::Unreachable, message)
        .hint("wait until it was promoted, or the primary is back")
}

async fn status(client: &Client, transaction: &Transaction) -> Result<Outcome> {
    let (then, now) = (&transaction.history, History::of(client).await?);
    if then.is_of_another_server(&now) {
        return Ok(Outcome::Unknown);
    }
    // A standby knows of an end only when it has replayed it, and may be promoted with what it has not.
    let replays =
        client.scalar("SELECT pg_catalog.pg_is_in_recovery()").await?.as_deref() == Some("t");
    let sql = "SELECT pg_catalog.pg_xact_status($1::text::xid8)";
    let row = match client.query_one(sql, &[&transaction.xid.to_string()]).await {
        Ok(row) => row,
        // The server has not given out this id yet: it went back to an earlier time, and lost our
        // transaction on the way.
        Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => {
            if replays {
                return Err(not_replayed(client));
            }
            // Or it is what the present primary has left behind.
            let behind = then.is_another_line(&now) && then.timeline > now.timeline;
            return Ok(if behind { Outcome::Unknown } else { Outcome::Aborted });
        }
        Err(error) => return Err(error.into()),
    };
    Ok(match row.get(0) {
        Some("aborted" | "in progress") if replays => return Err(not_replayed(client)),
        // The id may have been given out once more; or ours had reached the server that took over.
        Some("committed") if then.is_another_line(&now) => Outcome::Unknown,
        Some("committed") => Outcome::Committed,
        Some("aborted") => Outcome::Aborted,
        Some("in progress") => Outcome::InProgress,
        Some(_) | None => Outcome::Unknown,
    })
}
