//! Running a restore: once, whatever dies on the way.
//!
//! The engine stages out of sight and publishes by one commit ([`strongroom_dataplane::restore`]); what
//! stands here is who may commit, and how the catalog learns that it was done.
//!
//! Right before that commit the holder of the job writes into the job, in a transaction that holds the
//! lease, which transaction of the destination it is and what will have been restored. If the lease is
//! lost, or somebody wishes that the restore stops, that fails, and the engine rolls back. So there is
//! never a publication that the catalog knows nothing of:
//!
//! | the holder died | what the job says | what its successor does |
//! |---|---|---|
//! | while it staged | nothing | begins again; the engine first removes what was staged |
//! | between the note and the commit | a transaction | asks the destination: aborted; begins again |
//! | after the commit | a transaction | asks the destination: committed; removes remains, ends the job well |
//! | after the end was noted | it has ended | nothing |
//!
//! A wish to stop is followed in the same way: what was published has ended well, everything else is
//! removed and the destination is as it was. Until the destination has said whether a noted restore was
//! published, no error ends it: not even one that somebody has to mend, such as a password that was
//! changed. One that is gone for good never says so; that is given up after a day, or at once if
//! somebody wishes, and then told. To ask is no attempt to restore, and is not counted as one.
//!
//! While all of a cluster is replaced, its status says so, and it is shown as unavailable. Once a restore
//! was begun, only what stands here ends its job, and it ends the status in the same transaction; so a
//! status never outlives its job. A job that was killed is still running, and whoever goes on with it
//! ends it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_catalog::CatalogError;
use strongroom_catalog::audit::Outcome as AuditOutcome;
use strongroom_catalog::clusters::{ClusterChange, IDLE};
use strongroom_catalog::jobs::{Ending, Failure, Job};
use strongroom_catalog::restores::{Restore, RestoreKind};
use strongroom_dataplane::postgres::server::Server;
use strongroom_dataplane::restore::{self, Fence, Outcome, Publication, Restored};
use strongroom_dataplane::{Error as EngineError, Kind as EngineKind};
use tracing::{info, warn};

use super::{Done, Running, attempts, progress};
use crate::app::restores::{RestoreChoices, ended, target_of};
use crate::{Error, Kind, Result, alerts};

/// How long the end of a restore is tried to be noted, before a successor is left to find it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// When a destination that does not answer is asked again.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// How long a destination is asked whether a restore was published.
const LONGEST_DOUBT: SignedDuration = SignedDuration::from_hours(24);

/// What a person can do where nobody knows whether a restore was published.
const LOOK: &str =
    "look into the destination, and restore once more if what was wanted is not there";

/// What a holder leaves for its successor.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Word {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    publication: Option<Noted>,
}

/// A publication that was about to be committed.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Noted {
    #[serde(flatten)]
    publication: Publication,
    at: Timestamp,
    /// Since when the destination is asked in vain whether it was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_since: Option<Timestamp>,
}

/// How a restore went.
enum Went {
    /// It was published.
    Well(Restored),
    /// The destination is as it was, since somebody wished so.
    Stopped,
    /// It may be published, and the destination will never say whether it is.
    InDoubt(Error),
}

pub(super) async fn run(running: &Running) -> Result<Done> {
    let restore = running.app.catalog().restore(running.job.id).await?;
    let came_to = put_back(running, &restore).await;
    running.tell().await;
    match came_to {
        Ok(Went::Well(mut restored)) => {
            // It is restored, whatever can not be told of it.
            match set_again(running, &restore, &restored).await {
                Ok(more) => drop(restored.notes.splice(0..0, more)),
                Err(error) => warn!(error = %error, "what to set again is not known in full"),
            }
            succeeded(running, &restore, restored).await
        }
        Ok(Went::Stopped) => stopped(running, &restore).await,
        Ok(Went::InDoubt(error)) => failed_for_good(running, &restore, error).await,
        Err(error) => failed(running, &restore, error).await,
    }
}

async fn put_back(running: &Running, restore: &Restore) -> Result<Went> {
    let Running { app, job, .. } = running;
    let server = app.server_of(restore.destination).await?;
    if let Some(went) = published(running, &server).await? {
        return Ok(went);
    }
    if is_canceled(running).await? {
        sweep(running, &server).await?;
        return Ok(Went::Stopped);
    }
    if job.attempts > attempts(job.kind) {
        sweep(running, &server).await?;
        running.check_attempts()?;
    }
    begin(running, restore).await?;
    let backup = app.catalog().backup(restore.backup).await?;
    let opened = app.open_backup(&backup).await?;
    let choices = choices(restore)?;
    let target = target_of(restore.kind, &restore.objects, &choices)?;
    let options = restore::RestoreOptions {
        target,
        to: server.clone(),
        skip_missing: choices.skip_missing(),
        schema_only: choices.schema_only,
        workers: app.config().connections,
        fence: fence(running),
    };
    let listener = progress::listen(&running.progress);
    let ran = restore::run(&opened, &options, &listener, &running.cancel).await;
    let error = match ran {
        Ok(restored) => return Ok(Went::Well(restored)),
        Err(error) => error,
    };
    // Whether it was published is not for this error to say.
    if let Some(went) = published(running, &server).await? {
        return Ok(went);
    }
    if is_canceled(running).await? {
        return Ok(Went::Stopped);
    }
    Err(error.into())
}

/// What a person has to set again, but for what the engine noted while it restored.
async fn set_again(
    running: &Running,
    restore: &Restore,
    restored: &Restored,
) -> Result<Vec<String>> {
    let app = &running.app;
    let backup = app.catalog().backup(restore.backup).await?;
    let opened = app.open_backup(&backup).await?;
    let target = target_of(restore.kind, &restore.objects, &choices(restore)?)?;
    let elsewhere = restore.source != restore.destination;
    let mut told = restore::afterwards(&opened, &target, elsewhere).await?;
    let server = app.server_of(restore.destination).await?;
    if restore.kind == RestoreKind::Cluster && !restored.created.contains(&server.database) {
        told.push(format!(
            "cluster {} is attached by a URL that names the database \"{}\", which the backup does \
             not hold: change the URL, or make that database, or its backups will fail",
            restore.destination_name, server.database
        ));
    }
    Ok(told)
}

fn choices(restore: &Restore) -> Result<RestoreChoices> {
    serde_json::from_value(restore.options.clone()).map_err(|error| {
        Error::new(Kind::Internal, "the options of this restore can not be read").caused_by(error)
    })
}

/// Asks, right before the commit that publishes, whether the job is still ours; and leaves word.
fn fence(running: &Running) -> Fence {
    let running = running.clone();
    Fence::new(move |publication: Publication| {
        let running = running.clone();
        async move {
            let at = running.app.now();
            leave_word(&running, Some(Noted { publication, at, asked_since: None })).await
        }
    })
}

/// What the last holder has left.
fn word(job: Job) -> Result<Word> {
    serde_json::from_value(job.payload).map_err(|error| {
        let message = "what the last worker has noted of this restore can not be read, and with it \
                       whether it was published";
        Error::new(Kind::Internal, message).caused_by(error).hint(LOOK)
    })
}

async fn leave_word(running: &Running, publication: Option<Noted>) -> Result<(), EngineError> {
    let publishes = publication.is_some();
    let word = serde_json::to_value(Word { publication }).unwrap_or_default();
    let noted = async {
        let mut write = running.app.catalog().begin().await?;
        let beat = write.remember(&running.lease, &word).await?;
        if publishes && beat.cancel_requested {
            return Ok(true);
        }
        write.commit().await?;
        Ok::<bool, CatalogError>(false)
    };
    match noted.await {
        Ok(false) => Ok(()),
        Ok(true) => Err(EngineError::new(EngineKind::Cancelled, "the restore was stopped")),
        Err(CatalogError::LeaseLost { .. }) => {
            Err(EngineError::new(EngineKind::Cancelled, "somebody else has this job now"))
        }
        Err(error) => Err(EngineError::new(
            EngineKind::Unreachable,
            "the catalog does not confirm that this restore is still ours",
        )
        .caused_by(error)),
    }
}

/// How it went, if this attempt or an earlier one came to publish it, or may have. None: nothing is
/// visible of it, nor will be.
async fn published(running: &Running, server: &Server) -> Result<Option<Went>> {
    let job = running.app.catalog().job(running.job.id).await?;
    if job.generation != running.lease.generation {
        return Err(Error::new(Kind::Conflict, "somebody else has this job now"));
    }
    let word = match word(job) {
        Ok(word) => word,
        Err(doubt) => return Ok(Some(Went::InDoubt(doubt))),
    };
    let Some(Noted { publication: Publication { transaction, restored }, at, .. }) =
        word.publication
    else {
        return Ok(None);
    };
    let xid = transaction.xid;
    match restore::settle(server, &transaction).await? {
        Outcome::Committed => {
            info!(xid, "the restore was published");
            // Databases that were replaced may be left; they do no harm, and are swept later, too.
            if let Err(error) = sweep(running, server).await {
                warn!(error = %error, "remains of the restore can not be removed now");
            }
            Ok(Some(Went::Well(restored)))
        }
        Outcome::Aborted => {
            leave_word(running, None).await?;
            Ok(None)
        }
        Outcome::InProgress => {
            let message = "the transaction that publishes the restore has not ended yet";
            Err(Error::new(Kind::Unavailable, message))
        }
        Outcome::Unknown => {
            let why =
                "the destination no longer knows whether it was, or another server is there now";
            Ok(Some(Went::InDoubt(in_doubt(at, xid, why))))
        }
    }
}

/// Nobody knows whether a restore was published.
fn in_doubt(at: Timestamp, xid: u64, why: &str) -> Error {
    let message =
        format!("the restore was about to be published at {at}, and {why} (transaction {xid})");
    Error::new(Kind::Internal, message).hint(LOOK)
}

/// Whether a person wishes that it stops.
async fn is_canceled(running: &Running) -> Result<bool> {
    Ok(running.app.catalog().job(running.job.id).await?.cancel_requested_at.is_some())
}

/// Removes what an earlier attempt has left in the destination.
async fn sweep(running: &Running, server: &Server) -> Result<()> {
    restore::sweep(server, &progress::listen(&running.progress)).await?;
    Ok(())
}

/// How a cluster's status says that all of it is being replaced, or that it could not be.
fn status(restore: &Restore, serverless: bool, running: bool) -> Option<&'static str> {
    match (restore.kind, serverless, running) {
        (RestoreKind::Database | RestoreKind::Table, ..) => None,
        (RestoreKind::Cluster, true, true) => Some("TENANT_RESTORE_RUNNING"),
        (RestoreKind::Cluster, true, false) => Some("TENANT_RESTORE_FAILED"),
        (RestoreKind::Cluster, false, true) => Some("DEDICATED_FULL_CLUSTER_RESTORE_RUNNING"),
        (RestoreKind::Cluster, false, false) => Some("DEDICATED_FULL_CLUSTER_RESTORE_FAILED"),
    }
}

fn with_status(status: &str) -> ClusterChange {
    ClusterChange { operation_status: Some(status.to_owned()), ..ClusterChange::default() }
}

/// Says that the cluster is being restored.
async fn begin(running: &Running, restore: &Restore) -> Result<()> {
    let destination = running.app.catalog().cluster(restore.destination).await?;
    let Some(status) = status(restore, destination.plan.is_serverless(), true) else {
        return Ok(());
    };
    let mut write = running.app.catalog().begin().await?;
    write.hold(&running.lease).await?;
    write.change_cluster(destination.id, &with_status(status)).await?;
    Ok(write.commit().await?)
}

/// The end of a restore, and all that goes with it.
struct End<'a> {
    ending: Ending,
    /// What the cluster's status becomes, if the restore has one.
    status: &'a str,
    set_again: Vec<String>,
    outcome: AuditOutcome,
    event: &'static str,
    alert: bool,
}

async fn note_end(running: &Running, restore: &Restore, end: &End<'_>) -> Result<()> {
    let mut write = running.app.catalog().begin().await?;
    write.hold(&running.lease).await?;
    if restore.kind == RestoreKind::Cluster {
        match write.change_cluster(restore.destination, &with_status(end.status)).await {
            // It was detached meanwhile, and has no status any more.
            Ok(_) | Err(CatalogError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if matches!(end.ending, Ending::Succeeded(_)) {
        write.set_again(&running.lease, &end.set_again).await?;
        write.set_completion(&running.lease, 1.0).await?;
    }
    write.finish_job(&running.lease, &end.ending).await?;
    write.record(&ended(restore, end.outcome, end.event)).await?;
    if end.alert {
        write.enqueue(&alerts::job_failed(&running.job)).await?;
    }
    Ok(write.commit().await?)
}

async fn succeeded(running: &Running, restore: &Restore, restored: Restored) -> Result<Done> {
    let result: Value = json!({
        "created": restored.created,
        "tables": restored.tables,
        "rows": restored.rows,
        "size_bytes": restored.size_bytes,
        "bytes_read": restored.bytes_read,
    });
    let end = End {
        ending: Ending::Succeeded(result),
        status: IDLE,
        set_again: restored.notes,
        outcome: AuditOutcome::Done,
        event: "SUCCEEDED",
        alert: false,
    };
    // It is done. While the catalog is away, nothing else can be said of it.
    let begun = std::time::Instant::now();
    loop {
        match note_end(running, restore, &end).await {
            Err(error) if error.may_pass() && begun.elapsed() < PATIENCE => {
                warn!(error = %error, "the restore is published, and that can not be noted now");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            noted => return noted.map(|()| Done::Ended),
        }
    }
}

async fn stopped(running: &Running, restore: &Restore) -> Result<Done> {
    let end = End {
        ending: Ending::Canceled,
        status: IDLE,
        set_again: Vec::new(),
        outcome: AuditOutcome::Done,
        event: "CANCELED",
        alert: false,
    };
    note_end(running, restore, &end).await?;
    Ok(Done::Ended)
}

/// A failure: for good, or given to the worker to be tried again.
async fn failed(running: &Running, restore: &Restore, error: Error) -> Result<Done> {
    let job = running.app.catalog().job(running.job.id).await?;
    let canceled = job.cancel_requested_at.is_some();
    let word = match word(job) {
        Ok(word) => word,
        Err(doubt) => return failed_for_good(running, restore, doubt).await,
    };
    if canceled && word.publication.is_none() {
        return stopped(running, restore).await;
    }
    if let Some(mut noted) = word.publication {
        // It may be published. Until the destination says whether, it has not failed; but a
        // destination that is gone for good never will, and somebody who wishes that it stops need
        // not wait for that.
        let now = running.app.now();
        let patience = if canceled { AGAIN } else { LONGEST_DOUBT };
        // The clock may have been ahead when that was noted.
        let since = noted.asked_since.filter(|since| *since <= now).unwrap_or(now);
        if now.duration_since(since) < patience {
            noted.asked_since = Some(since);
            let mut write = running.app.catalog().begin().await?;
            write.remember(&running.lease, &json!(Word { publication: Some(noted) })).await?;
            write.postpone_job(&running.lease, now + AGAIN, &Failure::from(&error)).await?;
            write.commit().await?;
            return Ok(Done::Ended);
        }
        let why = "the destination can not be asked whether it was";
        let doubt = in_doubt(noted.at, noted.publication.transaction.xid, why).caused_by(error);
        return failed_for_good(running, restore, doubt).await;
    }
    // Rung without a person's wish: this process ends, or somebody else has the job.
    let interrupted = running.cancel.is_cancelled() && !canceled;
    if interrupted || (error.may_pass() && running.job.attempts < attempts(running.job.kind)) {
        if restore.kind == RestoreKind::Cluster {
            // Nothing is being replaced until it is begun again.
            let idle = async {
                let mut write = running.app.catalog().begin().await?;
                write.hold(&running.lease).await?;
                write.change_cluster(restore.destination, &with_status(IDLE)).await?;
                write.commit().await
            };
            if let Err(second) = idle.await {
                warn!(error = %second, "the cluster's status can not be noted now");
            }
        }
        return Err(error);
    }
    failed_for_good(running, restore, error).await
}

async fn failed_for_good(running: &Running, restore: &Restore, error: Error) -> Result<Done> {
    let destination = running.app.catalog().cluster(restore.destination).await?;
    warn!(error = %error, "the restore has failed");
    let end = End {
        ending: Ending::Failed(Failure::from(&error)),
        status: status(restore, destination.plan.is_serverless(), false).unwrap_or(IDLE),
        set_again: Vec::new(),
        outcome: AuditOutcome::Failed,
        event: "FAILED",
        alert: true,
    };
    note_end(running, restore, &end).await?;
    Ok(Done::Ended)
}
