//! Jobs: what takes long.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use serde::Deserialize;
use strongroom_controlplane::model::{JobFilter, JobId, JobKind, JobState};
use strongroom_controlplane::{App, Caller, Credentials, Follower};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Path, Query};
use crate::auth::Signed;
use crate::error::{ApiError, Reply};
use crate::paging::{Pagination, Paging};
use crate::views::jobs::{Job, Jobs};

/// How often a job that is followed is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is asked anew who follows it, and what they may see.
const AGAIN: Duration = Duration::from_secs(3);

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_jobs))
        .routes(routes!(get_job))
        .routes(routes!(cancel_job))
        .routes(routes!(follow_job))
}

/// Which jobs are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only this kind, such as `BACKUP`.
    kind: Option<String>,
    /// Only this state, such as `RUNNING`.
    state: Option<String>,
}

/// The jobs of a cluster, newest first.
#[utoipa::path(get, path = "/clusters/{cluster_id}/jobs", tag = "Jobs",
    params(("cluster_id" = Uuid, Path, description = "The cluster."), Which, Paging),
    responses((status = 200, body = Jobs)))]
async fn list_jobs(
    State(app): State<App>,
    signed: Signed,
    Path(cluster): Path<Uuid>,
    Query(which): Query<Which>,
    Query(paging): Query<Paging>,
) -> Reply<Jobs> {
    let kind = which.kind.map(|kind| kind.to_lowercase().parse::<JobKind>()).transpose()?;
    let state = which.state.map(|state| state.to_lowercase().parse::<JobState>()).transpose()?;
    let filter = JobFilter {
        kinds: kind.into_iter().collect(),
        states: state.into_iter().collect(),
        ..JobFilter::default()
    };
    let page = paging.page()?;
    let listed = app.jobs(&signed.caller, cluster.into(), filter, &page).await?;
    let pagination = Pagination::from(&listed);
    let shown = |job| {
        let actions = app.job_actions(&signed.caller, &job);
        Job::new(job, actions)
    };
    Ok(Json(Jobs { jobs: listed.items.into_iter().map(shown).collect(), pagination }))
}

/// A job.
#[utoipa::path(get, path = "/jobs/{job_id}", tag = "Jobs",
    params(("job_id" = Uuid, Path, description = "The job.")),
    responses((status = 200, body = Job)))]
async fn get_job(State(app): State<App>, signed: Signed, Path(job): Path<Uuid>) -> Reply<Job> {
    Ok(Json(look(&app, &signed.caller, job.into()).await?))
}

async fn look(app: &App, caller: &Caller, id: JobId) -> Result<Job, ApiError> {
    let job = app.job(caller, id).await?;
    let actions = app.job_actions(caller, &job);
    Ok(Job::new(job, actions))
}

/// Stop a job. One that waits is canceled at once; one that runs undoes what it did, and says so when
/// it is done.
#[utoipa::path(post, path = "/jobs/{job_id}/cancel", tag = "Jobs",
    params(("job_id" = Uuid, Path, description = "The job.")),
    responses((status = 200, body = Job)))]
async fn cancel_job(State(app): State<App>, signed: Signed, Path(job): Path<Uuid>) -> Reply<Job> {
    let job = app.cancel_job(&signed.caller, job.into()).await?;
    let actions = app.job_actions(&signed.caller, &job);
    Ok(Json(Job::new(job, actions)))
}

/// Follow a job: an event named `job` with the job as its data, now and whenever it changes. The
/// stream ends after the job has, and when who follows it may no longer: the session has ended, the API
/// key was deleted, a role was taken away. Whoever follows 20 jobs is refused another one with 429, and so
/// is everybody where 200 are followed.
#[utoipa::path(get, path = "/jobs/{job_id}/events", tag = "Jobs",
    params(("job_id" = Uuid, Path, description = "The job.")),
    responses((status = 200, description = "Server-sent events.", content_type = "text/event-stream",
        body = String)))]
async fn follow_job(
    State(app): State<App>,
    signed: Signed,
    Path(job): Path<Uuid>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let id: JobId = job.into();
    let first = look(&app, &signed.caller, id).await?;
    let begin = Following {
        _follower: app.follow(&signed.caller)?,
        app,
        caller: signed.caller,
        credentials: signed.credentials,
        asked: Instant::now(),
        next: Some(first),
        told: String::new(),
        ended: false,
    };
    let events = futures::stream::unfold(begin, move |mut following| async move {
        loop {
            if let Some(job) = following.next.take() {
                let data = serde_json::to_string(&job).unwrap_or_default();
                let ended = job.finished_at.is_some();
                if data != following.told {
                    following.told.clone_from(&data);
                    following.ended = ended;
                    return Some((Ok(Event::default().event("job").data(data)), following));
                }
            }
            if following.ended {
                return None;
            }
            tokio::time::sleep(LOOK).await;
            // Roles may have been taken away, or the catalog be away: the client asks again.
            following.next = Some(following.again(id).await.ok()?);
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// Somebody who follows a job.
struct Following {
    app: App,
    caller: Caller,
    credentials: Credentials,
    /// When it was last asked who it is.
    asked: Instant,
    next: Option<Job>,
    /// What was told last.
    told: String,
    ended: bool,
    _follower: Follower,
}

impl Following {
    /// Looks at the job again, if whoever follows it still may.
    async fn again(&mut self, id: JobId) -> Result<Job, ApiError> {
        if self.asked.elapsed() >= AGAIN {
            self.caller = self.app.identify_again(&self.credentials, &self.caller).await?;
            self.asked = Instant::now();
        }
        look(&self.app, &self.caller, id).await
    }
}
