//! Restores: planned, asked for, watched, cancelled.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use strongroom_controlplane::App;
use strongroom_controlplane::model::RestoreRequest;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Body, Path, Query};
use crate::auth::Signed;
use crate::error::Reply;
use crate::paging::Paging;
use crate::views::restores::{CreateRestore, Restore, RestorePlan, Restores};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_restores, create_restore))
        .routes(routes!(get_restore))
        .routes(routes!(plan_restore))
        .routes(routes!(cancel_restore))
}

/// Which restores are wanted, by the time at which they were asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct When {
    /// At this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    start_time: Option<Timestamp>,
    /// Before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    end_time: Option<Timestamp>,
}

/// The restores into a cluster, oldest first unless `pagination.sort_order` is DESC.
#[utoipa::path(get, path = "/clusters/{cluster_id}/restores", tag = "Restores",
    params(("cluster_id" = Uuid, Path, description = "The destination."), When, Paging),
    responses((status = 200, body = Restores)))]
async fn list_restores(
    State(app): State<App>,
    signed: Signed,
    Path(cluster): Path<Uuid>,
    Query(when): Query<When>,
    Query(paging): Query<Paging>,
) -> Reply<Restores> {
    let page = paging.oldest_first()?;
    let When { start_time, end_time } = when;
    let listed = app.restores(&signed.caller, cluster.into(), start_time, end_time, &page).await?;
    Ok(Json(Restores::new(listed, |restore| app.restore_actions(&signed.caller, restore))))
}

/// Restore into a cluster. What stands in the way is told, and then nothing is begun.
#[utoipa::path(post, path = "/clusters/{cluster_id}/restores", tag = "Restores",
    params(("cluster_id" = Uuid, Path, description = "The destination.")),
    request_body = CreateRestore, responses((status = 200, body = Restore)))]
async fn create_restore(
    State(app): State<App>,
    signed: Signed,
    Path(cluster): Path<Uuid>,
    Body(body): Body<CreateRestore>,
) -> Reply<Restore> {
    let request = RestoreRequest::try_from(body)?;
    let restore = app.create_restore(&signed.caller, cluster.into(), request).await?;
    let actions = app.restore_actions(&signed.caller, &restore);
    Ok(Json(Restore::new(restore, actions)))
}

/// What a restore into a cluster would do, and what stands in its way. Nothing is written.
#[utoipa::path(post, path = "/clusters/{cluster_id}/restore-plans", tag = "Restores",
    params(("cluster_id" = Uuid, Path, description = "The destination.")),
    request_body = CreateRestore, responses((status = 200, body = RestorePlan)))]
async fn plan_restore(
    State(app): State<App>,
    signed: Signed,
    Path(cluster): Path<Uuid>,
    Body(body): Body<CreateRestore>,
) -> Reply<RestorePlan> {
    let request = RestoreRequest::try_from(body)?;
    Ok(Json(app.plan_restore(&signed.caller, cluster.into(), request).await?.into()))
}

/// A restore into this cluster, or of its backups.
#[utoipa::path(get, path = "/clusters/{cluster_id}/restores/{restore_id}", tag = "Restores",
    params(("cluster_id" = Uuid, Path, description = "The destination."),
        ("restore_id" = Uuid, Path, description = "The restore.")),
    responses((status = 200, body = Restore)))]
async fn get_restore(
    State(app): State<App>,
    signed: Signed,
    Path((cluster, restore)): Path<(Uuid, Uuid)>,
) -> Reply<Restore> {
    let restore = app.restore(&signed.caller, cluster.into(), restore.into()).await?;
    let actions = app.restore_actions(&signed.caller, &restore);
    Ok(Json(Restore::new(restore, actions)))
}

/// Wish that a restore stops. The destination is then as it was.
#[utoipa::path(post, path = "/clusters/{cluster_id}/restores/{restore_id}/cancel", tag = "Restores",
    params(("cluster_id" = Uuid, Path, description = "The destination."),
        ("restore_id" = Uuid, Path, description = "The restore.")),
    responses((status = 200, body = Restore)))]
async fn cancel_restore(
    State(app): State<App>,
    signed: Signed,
    Path((cluster, restore)): Path<(Uuid, Uuid)>,
) -> Reply<Restore> {
    let restore = app.cancel_restore(&signed.caller, cluster.into(), restore.into()).await?;
    let actions = app.restore_actions(&signed.caller, &restore);
    Ok(Json(Restore::new(restore, actions)))
}
