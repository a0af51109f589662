//! Drills: proof that backups come back.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use strongroom_controlplane::App;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Body, Path, Query};
use crate::auth::Signed;
use crate::error::Reply;
use crate::paging::Paging;
use crate::views::drills::{Drill, Drills};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_drills, create_drill)).routes(routes!(get_drill))
}

/// The drills of a cluster, newest first.
#[utoipa::path(get, path = "/clusters/{cluster_id}/drills", tag = "Drills",
    params(("cluster_id" = Uuid, Path, description = "The cluster."), Paging),
    responses((status = 200, body = Drills)))]
async fn list_drills(
    State(app): State<App>,
    signed: Signed,
    Path(cluster): Path<Uuid>,
    Query(paging): Query<Paging>,
) -> Reply<Drills> {
    let page = paging.page()?;
    Ok(Json(app.drills(&signed.caller, cluster.into(), &page).await?.into()))
}

/// A drill that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateDrill {
    /// The backup; the newest, if it is left out.
    backup_id: Option<Uuid>,
}

/// Restore a backup into a throwaway cluster, and compare.
#[utoipa::path(post, path = "/clusters/{cluster_id}/drills", tag = "Drills",
    params(("cluster_id" = Uuid, Path, description = "The cluster.")),
    request_body = CreateDrill, responses((status = 200, body = Drill)))]
async fn create_drill(
    State(app): State<App>,
    signed: Signed,
    Path(cluster): Path<Uuid>,
    Body(body): Body<CreateDrill>,
) -> Reply<Drill> {
    let backup = body.backup_id.map(Into::into);
    Ok(Json(app.create_drill(&signed.caller, cluster.into(), backup).await?.into()))
}

/// A drill.
#[utoipa::path(get, path = "/clusters/{cluster_id}/drills/{drill_id}", tag = "Drills",
    params(("cluster_id" = Uuid, Path, description = "The cluster."),
        ("drill_id" = Uuid, Path, description = "The drill.")),
    responses((status = 200, body = Drill)))]
async fn get_drill(
    State(app): State<App>,
    signed: Signed,
    Path((cluster, drill)): Path<(Uuid, Uuid)>,
) -> Reply<Drill> {
    Ok(Json(app.drill(&signed.caller, cluster.into(), drill.into()).await?.into()))
}
