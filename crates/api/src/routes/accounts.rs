//! Service accounts and API keys. The paths, and what they do, are the original's.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use strongroom_controlplane::model::{AccountFilter, Role, ServiceAccountId};
use strongroom_controlplane::{App, Error};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::roles::resolved;
use super::{Body, Path, Query};
use crate::auth::Signed;
use crate::error::Reply;
use crate::paging::{Pagination, Paging};
use crate::views::accounts::{ApiKey, ServiceAccount};
use crate::views::roles::{RoleGrant, RoleName};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_service_accounts, create_service_account))
        .routes(routes!(get_service_account, update_service_account, delete_service_account))
        .routes(routes!(list_api_keys, create_api_key))
        .routes(routes!(get_api_key, update_api_key, delete_api_key))
}

/// Service accounts, a page of them.
#[derive(Serialize, ToSchema)]
struct ServiceAccounts {
    /// The service accounts.
    service_accounts: Vec<ServiceAccount>,
    /// Where to go on.
    pagination: Pagination,
}

/// Which service accounts are wanted. Read by [`account_filter`], as a role may be repeated.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it describes")]
struct ListServiceAccounts {
    /// Only those of exactly this name.
    service_account_name: Option<String>,
    /// Only those that have one of these roles, on whatever: repeated, or parted by commas.
    #[param(inline)]
    roles: Option<Vec<RoleName>>,
}

fn account_filter(query: Vec<(String, String)>) -> Result<AccountFilter, Error> {
    let mut filter = AccountFilter::default();
    for (name, value) in query {
        match name.as_str() {
            "service_account_name" => filter.name = Some(value).filter(|name| !name.is_empty()),
            "roles" => {
                for role in value.split(',').filter(|role| !role.is_empty()) {
                    let unknown = || Error::invalid(format!("there is no role {role:?}"));
                    filter.roles.push(role.parse::<Role>().map_err(|_| unknown())?);
                }
            }
            _ => {}
        }
    }
    Ok(filter)
}

/// Service accounts, by name.
#[utoipa::path(get, path = "/service-accounts", tag = "Service accounts",
    params(ListServiceAccounts, Paging), responses((status = 200, body = ServiceAccounts)))]
async fn list_service_accounts(
    State(app): State<App>,
    signed: Signed,
    Query(query): Query<Vec<(String, String)>>,
    Query(paging): Query<Paging>,
) -> Reply<ServiceAccounts> {
    let filter = account_filter(query)?;
    let listed = app.service_accounts(&signed.caller, &filter, &paging.page()?).await?;
    let pagination = Pagination::from(&listed);
    let service_accounts = listed.items.into_iter().map(ServiceAccount::from).collect();
    Ok(Json(ServiceAccounts { service_accounts, pagination }))
}

/// A service account to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateServiceAccount {
    /// Its name.
    name: String,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Its roles; Org Member comes by itself.
    roles: Option<Vec<RoleGrant>>,
}

/// Make a service account. It begins as Org Member.
#[utoipa::path(post, path = "/service-accounts", tag = "Service accounts",
    request_body = CreateServiceAccount, responses((status = 200, body = ServiceAccount)))]
async fn create_service_account(
    State(app): State<App>,
    signed: Signed,
    Body(body): Body<CreateServiceAccount>,
) -> Reply<ServiceAccount> {
    let roles = resolved(&app, &signed.caller, &body.roles.unwrap_or_default()).await?;
    let (name, about) = (&body.name, &body.description);
    Ok(Json(app.create_service_account(&signed.caller, name, about, &roles).await?.into()))
}

/// One service account. A program may see itself.
#[utoipa::path(get, path = "/service-accounts/{id}", tag = "Service accounts",
    params(("id" = Uuid, Path, description = "The service account's id.")),
    responses((status = 200, body = ServiceAccount)))]
async fn get_service_account(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
) -> Reply<ServiceAccount> {
    Ok(Json(app.service_account(&signed.caller, ServiceAccountId::from(id)).await?.into()))
}

/// What can be changed of a service account. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateServiceAccount {
    /// Another name.
    name: Option<String>,
    /// Another description.
    description: Option<String>,
}

/// Change a service account.
#[utoipa::path(patch, path = "/service-accounts/{id}", tag = "Service accounts",
    params(("id" = Uuid, Path, description = "The service account's id.")),
    request_body = UpdateServiceAccount, responses((status = 200, body = ServiceAccount)))]
async fn update_service_account(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Body(body): Body<UpdateServiceAccount>,
) -> Reply<ServiceAccount> {
    let (id, name, about) =
        (ServiceAccountId::from(id), body.name.as_deref(), body.description.as_deref());
    Ok(Json(app.change_service_account(&signed.caller, id, name, about).await?.into()))
}

/// Remove a service account with its keys and roles.
#[utoipa::path(delete, path = "/service-accounts/{id}", tag = "Service accounts",
    params(("id" = Uuid, Path, description = "The service account's id.")),
    responses((status = 200, body = ServiceAccount)))]
async fn delete_service_account(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
) -> Reply<ServiceAccount> {
    let id = ServiceAccountId::from(id);
    Ok(Json(app.delete_service_account(&signed.caller, id).await?.into()))
}

/// API keys, a page of them.
#[derive(Serialize, ToSchema)]
struct ApiKeys {
    /// The keys.
    api_keys: Vec<ApiKey>,
    /// Where to go on.
    pagination: Pagination,
}

/// Which keys are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OfAccount {
    /// Only keys of this service account.
    service_account_id: Option<Uuid>,
}

/// All API keys, or those of one service account, oldest first.
#[utoipa::path(get, path = "/api-keys", tag = "API keys", params(OfAccount, Paging),
    responses((status = 200, body = ApiKeys)))]
async fn list_api_keys(
    State(app): State<App>,
    signed: Signed,
    Query(of): Query<OfAccount>,
    Query(paging): Query<Paging>,
) -> Reply<ApiKeys> {
    let of = of.service_account_id.map(ServiceAccountId::from);
    let listed = app.api_keys(&signed.caller, of, &paging.page()?).await?;
    let pagination = Pagination::from(&listed);
    Ok(Json(ApiKeys { api_keys: listed.items.into_iter().map(ApiKey::from).collect(), pagination }))
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateApiKey {
    /// Its name.
    name: String,
    /// Whose key it is.
    service_account_id: Uuid,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
struct CreatedApiKey {
    /// The key.
    api_key: ApiKey,
    /// What to send as `Authorization: Bearer`. It is not shown again.
    secret: String,
}

/// Make an API key. Its secret is shown this once.
#[utoipa::path(post, path = "/api-keys", tag = "API keys",
    request_body = CreateApiKey, responses((status = 200, body = CreatedApiKey)))]
async fn create_api_key(
    State(app): State<App>,
    signed: Signed,
    Body(body): Body<CreateApiKey>,
) -> Reply<CreatedApiKey> {
    let of = ServiceAccountId::from(body.service_account_id);
    let (key, secret) = app.create_api_key(&signed.caller, of, &body.name).await?;
    Ok(Json(CreatedApiKey { api_key: key.into(), secret: secret.expose().to_owned() }))
}

/// One API key.
#[utoipa::path(get, path = "/api-keys/{id}", tag = "API keys",
    params(("id" = String, Path, description = "The key's id, or how its secret begins: srk_ and 16 digits.")),
    responses((status = 200, body = ApiKey)))]
async fn get_api_key(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<String>,
) -> Reply<ApiKey> {
    Ok(Json(app.api_key(&signed.caller, &id).await?.into()))
}

/// What can be changed of an API key. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateApiKey {
    /// Another name.
    name: Option<String>,
}

/// Rename an API key.
#[utoipa::path(patch, path = "/api-keys/{id}", tag = "API keys",
    params(("id" = String, Path, description = "The key's id, or how its secret begins: srk_ and 16 digits.")),
    request_body = UpdateApiKey, responses((status = 200, body = ApiKey)))]
async fn update_api_key(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<String>,
    Body(body): Body<UpdateApiKey>,
) -> Reply<ApiKey> {
    Ok(Json(app.rename_api_key(&signed.caller, &id, body.name.as_deref()).await?.into()))
}

/// Remove an API key: it opens nothing from now on.
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "API keys",
    params(("id" = String, Path, description = "The key's id, or how its secret begins: srk_ and 16 digits.")),
    responses((status = 200, body = ApiKey)))]
async fn delete_api_key(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<String>,
) -> Reply<ApiKey> {
    Ok(Json(app.delete_api_key(&signed.caller, &id).await?.into()))
}
