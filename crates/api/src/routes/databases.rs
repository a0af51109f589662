//! Databases and SQL users of a cluster, on its own server.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use strongroom_controlplane::App;
use strongroom_controlplane::app::databases::DatabaseChange;
use strongroom_controlplane::model::{ClusterId, Secret};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Body, Path, Query};
use crate::auth::Signed;
use crate::error::Reply;
use crate::paging::Paging;
use crate::views::databases::{Database, Databases, SqlUser, SqlUsers};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_databases, create_database, rename_database))
        .routes(routes!(edit_database, delete_database))
        .routes(routes!(list_sql_users, create_sql_user))
        .routes(routes!(delete_sql_user))
        .routes(routes!(set_sql_user_password))
}

/// The databases of a cluster, by name.
#[utoipa::path(get, path = "/clusters/{cluster_id}/databases", tag = "Databases",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id."), Paging),
    responses((status = 200, body = Databases)))]
async fn list_databases(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Query(paging): Query<Paging>,
) -> Reply<Databases> {
    let page = paging.page()?;
    Ok(Json(app.databases(&signed.caller, ClusterId::from(id), &page).await?.into()))
}

/// A database to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateDatabase {
    /// Its name.
    name: String,
}

/// Make a database on the cluster.
#[utoipa::path(post, path = "/clusters/{cluster_id}/databases", tag = "Databases",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id.")),
    request_body = CreateDatabase, responses((status = 200, body = Database)))]
async fn create_database(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Body(body): Body<CreateDatabase>,
) -> Reply<Database> {
    let made = app.create_database(&signed.caller, ClusterId::from(id), &body.name).await?;
    Ok(Json(made.into()))
}

/// Another name for a database that the body names.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RenameDatabase {
    /// Its name.
    name: String,
    /// Another name.
    new_name: String,
}

/// Give a database another name, the database being named in the body.
#[utoipa::path(patch, path = "/clusters/{cluster_id}/databases", tag = "Databases",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id.")),
    request_body = RenameDatabase, responses((status = 200, body = Database)))]
async fn rename_database(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Body(body): Body<RenameDatabase>,
) -> Reply<Database> {
    let change = DatabaseChange { new_name: Some(body.new_name), ..DatabaseChange::default() };
    let id = ClusterId::from(id);
    Ok(Json(app.change_database(&signed.caller, id, &body.name, change).await?.into()))
}

/// What can be changed of a database. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EditDatabase {
    /// Another name.
    new_name: Option<String>,
    /// What is ours.
    strongroom: Option<EditDatabaseExtras>,
}

/// What is ours to be changed of a database.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EditDatabaseExtras {
    /// The primary one of its regions.
    primary_region: Option<String>,
    /// Its regions, which must be regions of the cluster. Empty: it lives in no region in particular.
    regions: Option<Vec<String>>,
}

/// Give a database another name, or say in which regions it lives.
#[utoipa::path(patch, path = "/clusters/{cluster_id}/databases/{name}", tag = "Databases",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id."),
        ("name" = String, Path, description = "The database's name.")),
    request_body = EditDatabase, responses((status = 200, body = Database)))]
async fn edit_database(
    State(app): State<App>,
    signed: Signed,
    Path((id, name)): Path<(Uuid, String)>,
    Body(body): Body<EditDatabase>,
) -> Reply<Database> {
    let ours = body.strongroom.unwrap_or_default();
    let change = DatabaseChange {
        new_name: body.new_name,
        primary_region: ours.primary_region,
        regions: ours.regions,
    };
    let id = ClusterId::from(id);
    Ok(Json(app.change_database(&signed.caller, id, &name, change).await?.into()))
}

/// Remove a database with all that is in it.
#[utoipa::path(delete, path = "/clusters/{cluster_id}/databases/{name}", tag = "Databases",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id."),
        ("name" = String, Path, description = "The database's name.")),
    responses((status = 200, body = Database)))]
async fn delete_database(
    State(app): State<App>,
    signed: Signed,
    Path((id, name)): Path<(Uuid, String)>,
) -> Reply<Database> {
    Ok(Json(app.drop_database(&signed.caller, ClusterId::from(id), &name).await?.into()))
}

/// The roles of a cluster that can log in, by name.
#[utoipa::path(get, path = "/clusters/{cluster_id}/sql-users", tag = "SQL users",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id."), Paging),
    responses((status = 200, body = SqlUsers)))]
async fn list_sql_users(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Query(paging): Query<Paging>,
) -> Reply<SqlUsers> {
    let page = paging.page()?;
    Ok(Json(app.sql_users(&signed.caller, ClusterId::from(id), &page).await?.into()))
}

/// A role to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateSqlUser {
    /// Its name.
    name: String,
    /// Its password. The server gets a verifier of it, and never the password.
    #[schema(write_only)]
    password: String,
}

/// Make a role that can log in.
#[utoipa::path(post, path = "/clusters/{cluster_id}/sql-users", tag = "SQL users",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id.")),
    request_body = CreateSqlUser, responses((status = 200, body = SqlUser)))]
async fn create_sql_user(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Body(body): Body<CreateSqlUser>,
) -> Reply<SqlUser> {
    let (id, password) = (ClusterId::from(id), Secret::new(body.password));
    app.create_sql_user(&signed.caller, id, &body.name, &password).await?;
    Ok(Json(SqlUser { name: body.name }))
}

/// Remove a role. Refused while it owns something.
#[utoipa::path(delete, path = "/clusters/{cluster_id}/sql-users/{name}", tag = "SQL users",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id."),
        ("name" = String, Path, description = "The role's name.")),
    responses((status = 200, body = SqlUser)))]
async fn delete_sql_user(
    State(app): State<App>,
    signed: Signed,
    Path((id, name)): Path<(Uuid, String)>,
) -> Reply<SqlUser> {
    app.delete_sql_user(&signed.caller, ClusterId::from(id), &name).await?;
    Ok(Json(SqlUser { name }))
}

/// Another password for a role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetSqlUserPassword {
    /// The new password. The server gets a verifier of it, and never the password.
    #[schema(write_only)]
    password: String,
}

/// Give a role another password.
#[utoipa::path(put, path = "/clusters/{cluster_id}/sql-users/{name}/password", tag = "SQL users",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id."),
        ("name" = String, Path, description = "The role's name.")),
    request_body = SetSqlUserPassword, responses((status = 200, body = SqlUser)))]
async fn set_sql_user_password(
    State(app): State<App>,
    signed: Signed,
    Path((id, name)): Path<(Uuid, String)>,
    Body(body): Body<SetSqlUserPassword>,
) -> Reply<SqlUser> {
    let (id, password) = (ClusterId::from(id), Secret::new(body.password));
    app.set_sql_password(&signed.caller, id, &name, &password).await?;
    Ok(Json(SqlUser { name }))
}
