//! Running an alert: finding out whom to tell, then telling one of them.
//!
//! The job that somebody enqueued has no channel. It becomes one for each channel that is set, in the
//! transaction that ends it; each of those delivers its message, and is tried again by itself. Where
//! other replicas may run, one that has no channel at all leaves the job to them first.

use jiff::Timestamp;
use serde_json::{Value, json};
use strongroom_catalog::jobs::{Ending, Job, JobKind, NewJob};
use strongroom_catalog::{CatalogError, Dialect};

use super::{Done, Running};
use crate::alerts::{Alert, AlertCluster, AlertJob, Channel};
use crate::{Error, Kind, Result};

/// The attempt at which a replica without any channel believes that no other one has some either: after
/// some two hours, in which others that have some were chosen, too.
const LEFT_TO_OTHERS: i64 = 12;

pub(super) async fn run(running: &Running) -> Result<Done> {
    running.check_attempts()?;
    let channel = running.job.payload.get("channel").and_then(Value::as_str);
    match channel.map(Channel::named) {
        None => fan_out(running).await,
        Some(Some(channel)) => {
            let alert = alert(running).await?;
            running.app.config().alerts.deliver(channel, &alert).await?;
            Ok(Done::Succeeded(json!({ "delivered": true })))
        }
        Some(None) => Err(Error::new(Kind::Internal, "this alert has no channel of this build")),
    }
}

async fn fan_out(running: &Running) -> Result<Done> {
    let Running { app, job, lease, .. } = running;
    let channels = app.config().alerts.all();
    let others = app.catalog().dialect() == Dialect::Postgres;
    if channels.is_empty() && others && job.attempts < LEFT_TO_OTHERS {
        return Err(Error::new(Kind::Unavailable, "this replica has no channel for alerts"));
    }
    let mut write = app.catalog().begin().await?;
    write.hold(lease).await?;
    for channel in &channels {
        let mut payload = job.payload.clone();
        payload["channel"] = json!(channel.to_string());
        payload["at"] = json!(job.created_at);
        payload["id"] = json!(id_of(job));
        let part = NewJob {
            cluster: job.cluster,
            slot: Some(format!("{}/{channel}", id_of(job))),
            payload,
            requested_by: job.requested_by.clone(),
            ..NewJob::new(JobKind::Alert)
        };
        write.enqueue(&part).await?;
    }
    write.finish_job(lease, &Ending::Succeeded(json!({ "channels": channels.len() }))).await?;
    write.commit().await?;
    app.ring();
    Ok(Done::Ended)
}

/// What all deliveries of a message have in common.
fn id_of(job: &Job) -> String {
    job.slot.clone().unwrap_or_else(|| format!("alert/{}", job.id))
}

async fn alert(running: &Running) -> Result<Alert> {
    let Running { app, job, .. } = running;
    let payload = &job.payload;
    let time = |name: &str| payload.get(name)?.as_str()?.parse::<Timestamp>().ok();
    let organization = app.catalog().organization().await?.map(|it| it.name);
    let cluster = match job.cluster {
        Some(id) => Some(app.catalog().cluster(id).await?),
        None => None,
    };
    let about = cluster.as_ref().map_or_else(String::new, |it| format!(" of cluster {}", it.name));
    let cluster = cluster.map(|it| AlertCluster { id: it.id.to_string(), name: it.name });
    let mut alert = Alert {
        id: payload.get("id").and_then(Value::as_str).map_or_else(|| id_of(job), str::to_owned),
        event: payload.get("event").and_then(Value::as_str).unwrap_or("job_failed").to_owned(),
        at: time("at").unwrap_or(job.created_at),
        text: String::new(),
        organization,
        cluster,
        job: None,
        last_backup_at: time("last_backup_at"),
    };
    if alert.event == "backup_missed" {
        let since = match alert.last_backup_at {
            Some(last) => format!("the last one was taken at {last}"),
            None => "there is none".to_owned(),
        };
        alert.text = format!("A backup{about} is missing: {since}.");
        return Ok(alert);
    }
    let failed = payload.get("job_id").and_then(Value::as_str).and_then(|id| id.parse().ok());
    let failed = match failed {
        Some(id) => match app.catalog().job(id).await {
            Ok(failed) => Some(failed),
            Err(CatalogError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    let Some(failed) = failed else {
        alert.text = format!("A job{about} has failed.");
        return Ok(alert);
    };
    alert.event = format!("{}_failed", failed.kind);
    let error = failed.error;
    let why = error.as_ref().map_or("the service's log says why", |error| &error.message);
    alert.text = format!("A {}{about} has failed: {why}", failed.kind);
    alert.at = failed.finished_at.unwrap_or(alert.at);
    alert.job = Some(AlertJob {
        id: failed.id.to_string(),
        kind: failed.kind.to_string(),
        attempts: failed.attempts,
        error_code: error.as_ref().map(|error| error.code.clone()),
        error_message: error.as_ref().map(|error| error.message.clone()),
        error_hint: error.and_then(|error| error.hint),
    });
    Ok(alert)
}
