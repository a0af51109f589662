//! Roles. The paths, and what they do, are the original's.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use strongroom_controlplane::model::{Resource, ResourceKind, Role};
use strongroom_controlplane::{App, Caller, Error, Permission};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Body, Path, Query};
use crate::auth::Signed;
use crate::error::{ApiError, Reply};
use crate::paging::{Pagination, Paging};
use crate::views::roles::{ResourceType, RoleGrant, RoleName, Roles, UserRoles, list};

/// The most roles in a body.
const MOST_ROLES: usize = 1000;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_role_grants))
        .routes(routes!(get_all_roles_for_user, set_roles_for_user))
        .routes(routes!(add_user_to_role, remove_user_from_role))
}

/// The original's clients name the organization by no id at all, which leaves a hole in the path.
pub(crate) fn without_ids() -> Router<App> {
    let path = "/roles/{user_id}/ORGANIZATION//{role_name}";
    Router::new().route(path, post(add_organization_role).delete(remove_organization_role))
}

/// Roles of everybody, a page of them.
#[derive(Serialize, ToSchema)]
struct RoleGrants {
    /// Users and service accounts, with their roles.
    grants: Vec<UserRoles>,
    /// Where to go on.
    pagination: Pagination,
}

/// All users and service accounts with their roles, oldest first.
#[utoipa::path(get, path = "/roles", tag = "Roles", params(Paging),
    responses((status = 200, body = RoleGrants)))]
async fn list_role_grants(
    State(app): State<App>,
    signed: Signed,
    Query(paging): Query<Paging>,
) -> Reply<RoleGrants> {
    let listed = app.all_roles(&signed.caller, &paging.page()?).await?;
    let pagination = Pagination::from(&listed);
    let show = |(who, grants): &(strongroom_controlplane::model::Grantee, Vec<_>)| UserRoles {
        user_id: who.id(),
        roles: list(grants),
    };
    Ok(Json(RoleGrants { grants: listed.items.iter().map(show).collect(), pagination }))
}

/// The roles of a user or a service account.
#[utoipa::path(get, path = "/roles/{user_id}", tag = "Roles",
    params(("user_id" = Uuid, Path, description = "The user's or the service account's id.")),
    responses((status = 200, body = Roles)))]
async fn get_all_roles_for_user(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
) -> Reply<Roles> {
    Ok(Json(Roles { roles: list(&app.roles_of(&signed.caller, id).await?) }))
}

/// The roles that somebody is to have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetRoles {
    /// All of them; what is not in here is taken away.
    roles: Option<Vec<RoleGrant>>,
}

/// Give a user or a service account exactly these roles.
#[utoipa::path(put, path = "/roles/{user_id}", tag = "Roles",
    params(("user_id" = Uuid, Path, description = "The user's or the service account's id.")),
    request_body = SetRoles, responses((status = 200, body = Roles)))]
async fn set_roles_for_user(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Body(body): Body<SetRoles>,
) -> Reply<Roles> {
    let roles = resolved(&app, &signed.caller, &body.roles.unwrap_or_default()).await?;
    Ok(Json(Roles { roles: list(&app.set_roles(&signed.caller, id, &roles).await?) }))
}

/// Roles as the control plane wants them, for a caller who may grant some.
pub(super) async fn resolved(
    app: &App,
    caller: &Caller,
    roles: &[RoleGrant],
) -> Result<Vec<(Role, Resource)>, ApiError> {
    caller.require(Permission::ManageOrganization)?;
    if roles.len() > MOST_ROLES {
        let message = format!("the body has {} roles; {MOST_ROLES} are the most", roles.len());
        return Err(Error::invalid(message)
            .hint("a role on the organization holds on every cluster")
            .into());
    }
    let organization = app.resource(ResourceKind::Organization, None).await?;
    let mut resolved = Vec::with_capacity(roles.len());
    for role in roles {
        let on = match (role.resource.kind.into(), role.resource.id) {
            (ResourceKind::Organization, None) => organization,
            (kind, id) => app.resource(kind, id).await?,
        };
        resolved.push((role.name.into(), on));
    }
    Ok(resolved)
}

/// Grant a role to a user or a service account. Granting it again changes nothing.
#[utoipa::path(post, path = "/roles/{user_id}/{resource_type}/{resource_id}/{role_name}", tag = "Roles",
    params(
        ("user_id" = Uuid, Path, description = "The user's or the service account's id."),
        ("resource_type" = ResourceType, Path, description = "The kind of what the role is on."),
        ("resource_id" = Uuid, Path, description = "The id of what the role is on."),
        ("role_name" = RoleName, Path, description = "The role."),
    ),
    responses((status = 200, body = Roles)))]
async fn add_user_to_role(
    State(app): State<App>,
    signed: Signed,
    Path((id, kind, on, role)): Path<(Uuid, ResourceType, Uuid, RoleName)>,
) -> Reply<Roles> {
    let on = app.resource(kind.into(), Some(on)).await?;
    Ok(Json(Roles { roles: list(&app.grant_role(&signed.caller, id, role.into(), on).await?) }))
}

/// Take a role away from a user or a service account. One that is not there is no error.
#[utoipa::path(delete, path = "/roles/{user_id}/{resource_type}/{resource_id}/{role_name}", tag = "Roles",
    params(
        ("user_id" = Uuid, Path, description = "The user's or the service account's id."),
        ("resource_type" = ResourceType, Path, description = "The kind of what the role is on."),
        ("resource_id" = Uuid, Path, description = "The id of what the role is on."),
        ("role_name" = RoleName, Path, description = "The role."),
    ),
    responses((status = 200, body = Roles)))]
async fn remove_user_from_role(
    State(app): State<App>,
    signed: Signed,
    Path((id, kind, on, role)): Path<(Uuid, ResourceType, Uuid, RoleName)>,
) -> Reply<Roles> {
    let on = app.resource(kind.into(), Some(on)).await?;
    Ok(Json(Roles { roles: list(&app.revoke_role(&signed.caller, id, role.into(), on).await?) }))
}

async fn add_organization_role(
    State(app): State<App>,
    signed: Signed,
    Path((id, role)): Path<(Uuid, RoleName)>,
) -> Reply<Roles> {
    let on = app.resource(ResourceKind::Organization, None).await?;
    Ok(Json(Roles { roles: list(&app.grant_role(&signed.caller, id, role.into(), on).await?) }))
}

async fn remove_organization_role(
    State(app): State<App>,
    signed: Signed,
    Path((id, role)): Path<(Uuid, RoleName)>,
) -> Reply<Roles> {
    let on = app.resource(ResourceKind::Organization, None).await?;
    Ok(Json(Roles { roles: list(&app.revoke_role(&signed.caller, id, role.into(), on).await?) }))
}
