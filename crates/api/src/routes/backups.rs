//! Backups of a cluster.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use strongroom_controlplane::App;
use strongroom_controlplane::model::BackupFilter;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Body, Path, Query};
use crate::auth::Signed;
use crate::error::Reply;
use crate::paging::{Pagination, Paging};
use crate::views::backups::{
    Backup, BackupDays, BackupType, Backups, StorageHistory, StoragePoint,
};
use crate::views::jobs::{IncompleteBackups, Job};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_backups, create_backup))
        .routes(routes!(get_backup))
        .routes(routes!(list_backup_days))
        .routes(routes!(get_storage_history))
        .routes(routes!(list_incomplete_backups))
}

/// A stretch of time.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Period {
    /// From this time on.
    #[param(value_type = Option<String>, format = DateTime)]
    pub(crate) start_time: Option<Timestamp>,
    /// Before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    pub(crate) end_time: Option<Timestamp>,
}

/// Which backups are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only those of this type.
    #[serde(rename = "type")]
    #[param(inline)]
    kind: Option<BackupType>,
    /// Only those that hold this database.
    database: Option<String>,
}

/// The complete backups of a cluster, oldest first unless `pagination.sort_order` is DESC.
#[utoipa::path(get, path = "/clusters/{cluster_id}/backups", tag = "Backups",
    params(("cluster_id" = Uuid, Path, description = "The cluster."), Period, Which, Paging),
    responses((status = 200, body = Backups)))]
async fn list_backups(
    State(app): State<App>,
    signed: Signed,
    Path(cluster): Path<Uuid>,
    Query(period): Query<Period>,
    Query(which): Query<Which>,
    Query(paging): Query<Paging>,
) -> Reply<Backups> {
    let filter = BackupFilter {
        from: period.start_time,
        until: period.end_time,
        kind: which.kind.map(Into::into),
        database: which.database,
        ..BackupFilter::default()
    };
    let page = paging.oldest_first()?;
    let listed = app.backups(&signed.caller, cluster.into(), filter, &page).await?;
    let shown = |backup| Backup::new(backup, app.backup_actions(&signed.caller, backup));
    Ok(Json(Backups {
        backups: listed.items.iter().map(shown).collect(),
        pagination: Pagination::from(&listed),
    }))
}

/// A backup that is to be taken now.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateBackup {
    /// Its type. Left out: incremental where the plan has that, and there is something to build on.
    #[serde(rename = "type")]
    kind: Option<BackupType>,
}

/// Take a backup now. Refused while another one waits or runs.
#[utoipa::path(post, path = "/clusters/{cluster_id}/backups", tag = "Backups",
    params(("cluster_id" = Uuid, Path, description = "The cluster.")),
    request_body = CreateBackup, responses((status = 200, body = Job)))]
async fn create_backup(
    State(app): State<App>,
    signed: Signed,
    Path(cluster): Path<Uuid>,
    Body(body): Body<CreateBackup>,
) -> Reply<Job> {
    let kind = body.kind.map(Into::into);
    let job = app.back_up_now(&signed.caller, cluster.into(), kind).await?;
    let actions = app.job_actions(&signed.caller, &job);
    Ok(Json(Job::new(job, actions)))
}

/// A backup.
#[utoipa::path(get, path = "/clusters/{cluster_id}/backups/{backup_id}", tag = "Backups",
    params(("cluster_id" = Uuid, Path, description = "The cluster."),
        ("backup_id" = Uuid, Path, description = "The backup.")),
    responses((status = 200, body = Backup)))]
async fn get_backup(
    State(app): State<App>,
    signed: Signed,
    Path((cluster, backup)): Path<(Uuid, Uuid)>,
) -> Reply<Backup> {
    let backup = app.backup(&signed.caller, cluster.into(), backup.into()).await?;
    let actions = app.backup_actions(&signed.caller, &backup);
    Ok(Json(Backup::new(&backup, actions)))
}

/// Which days are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Days {
    /// From this time on; 400 days before the end, if it is left out.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Before this time; tomorrow, if it is left out.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// The days on which a cluster has backups, or failed ones.
#[utoipa::path(get, path = "/clusters/{cluster_id}/backup-days", tag = "Backups",
    params(("cluster_id" = Uuid, Path, description = "The cluster."), Days),
    responses((status = 200, body = BackupDays)))]
async fn list_backup_days(
    State(app): State<App>,
    signed: Signed,
    Path(cluster): Path<Uuid>,
    Query(days): Query<Days>,
) -> Reply<BackupDays> {
    let days = app.backup_days(&signed.caller, cluster.into(), days.from, days.until).await?;
    Ok(Json(BackupDays { days: days.into_iter().map(Into::into).collect() }))
}

/// How what the backups of a cluster take has grown.
#[utoipa::path(get, path = "/clusters/{cluster_id}/storage-history", tag = "Backups",
    params(("cluster_id" = Uuid, Path, description = "The cluster.")),
    responses((status = 200, body = StorageHistory)))]
async fn get_storage_history(
    State(app): State<App>,
    signed: Signed,
    Path(cluster): Path<Uuid>,
) -> Reply<StorageHistory> {
    let points = app.storage_history(&signed.caller, cluster.into()).await?;
    Ok(Json(StorageHistory { points: points.into_iter().map(StoragePoint::from).collect() }))
}

/// Backups that wait, run or failed, newest first.
#[utoipa::path(get, path = "/clusters/{cluster_id}/incomplete-backups", tag = "Backups",
    params(("cluster_id" = Uuid, Path, description = "The cluster."), Period, Paging),
    responses((status = 200, body = IncompleteBackups)))]
async fn list_incomplete_backups(
    State(app): State<App>,
    signed: Signed,
    Path(cluster): Path<Uuid>,
    Query(period): Query<Period>,
    Query(paging): Query<Paging>,
) -> Reply<IncompleteBackups> {
    let (from, until, page) = (period.start_time, period.end_time, paging.page()?);
    let cluster = cluster.into();
    let listed = app.incomplete_backups(&signed.caller, cluster, from, until, &page).await?;
    let pagination = Pagination::from(&listed);
    let shown = |job| {
        let actions = app.job_actions(&signed.caller, &job);
        Job::new(job, actions)
    };
    let incomplete_backups = listed.items.into_iter().map(shown).collect();
    Ok(Json(IncompleteBackups { incomplete_backups, pagination }))
}
