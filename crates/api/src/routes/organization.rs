//! The organization.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use strongroom_controlplane::App;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Body;
use crate::auth::Signed;
use crate::error::Reply;
use crate::views::organization::Organization;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_organization, rename_organization))
}

/// The organization that everything here belongs to.
#[utoipa::path(get, path = "/organization", tag = "Organization",
    responses((status = 200, body = Organization)))]
async fn get_organization(State(app): State<App>, _: Signed) -> Reply<Organization> {
    Ok(Json(app.organization().await?.into()))
}

/// What can be changed of the organization.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RenameOrganization {
    /// Its new name.
    name: String,
}

/// Give the organization another name.
#[utoipa::path(patch, path = "/organization", tag = "Organization",
    request_body = RenameOrganization, responses((status = 200, body = Organization)))]
async fn rename_organization(
    State(app): State<App>,
    signed: Signed,
    Body(body): Body<RenameOrganization>,
) -> Reply<Organization> {
    Ok(Json(app.rename_organization(&signed.caller, &body.name).await?.into()))
}
