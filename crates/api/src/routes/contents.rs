//! What is in a backup.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use strongroom_controlplane::App;
use strongroom_controlplane::model::TableName;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Path, Query};
use crate::auth::Signed;
use crate::error::Reply;
use crate::views::contents::{BackupDatabases, BackupDiff, BackupRows, BackupTable, BackupTables};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_backup_databases))
        .routes(routes!(list_backup_tables))
        .routes(routes!(get_backup_rows))
        .routes(routes!(get_backup_diff))
}

/// The databases in a backup.
#[utoipa::path(get, path = "/clusters/{cluster_id}/backups/{backup_id}/databases", tag = "Backups",
    params(("cluster_id" = Uuid, Path, description = "The cluster."),
        ("backup_id" = Uuid, Path, description = "The backup.")),
    responses((status = 200, body = BackupDatabases)))]
async fn list_backup_databases(
    State(app): State<App>,
    signed: Signed,
    Path((cluster, backup)): Path<(Uuid, Uuid)>,
) -> Reply<BackupDatabases> {
    let contents = app.backup_contents(&signed.caller, cluster.into(), backup.into()).await?;
    Ok(Json(contents.into()))
}

/// The tables of a database in a backup.
#[utoipa::path(get, path = "/clusters/{cluster_id}/backups/{backup_id}/databases/{database}/tables",
    tag = "Backups",
    params(("cluster_id" = Uuid, Path, description = "The cluster."),
        ("backup_id" = Uuid, Path, description = "The backup."),
        ("database" = String, Path, description = "The database.")),
    responses((status = 200, body = BackupTables)))]
async fn list_backup_tables(
    State(app): State<App>,
    signed: Signed,
    Path((cluster, backup, database)): Path<(Uuid, Uuid, String)>,
) -> Reply<BackupTables> {
    let (cluster, backup) = (cluster.into(), backup.into());
    let tables = app.backup_tables(&signed.caller, cluster, backup, &database).await?;
    Ok(Json(BackupTables { tables: tables.into_iter().map(BackupTable::from).collect() }))
}

/// How many rows are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct RowsQuery {
    /// The most rows of the reply; 100 if it is left out.
    #[param(minimum = 0, maximum = 1000)]
    limit: Option<u32>,
}

/// The first rows of a table in a backup.
#[utoipa::path(get,
    path = "/clusters/{cluster_id}/backups/{backup_id}/databases/{database}/tables/{schema}/{table}/rows",
    tag = "Backups",
    params(("cluster_id" = Uuid, Path, description = "The cluster."),
        ("backup_id" = Uuid, Path, description = "The backup."),
        ("database" = String, Path, description = "The database."),
        ("schema" = String, Path, description = "The table's schema."),
        ("table" = String, Path, description = "The table."), RowsQuery),
    responses((status = 200, body = BackupRows)))]
async fn get_backup_rows(
    State(app): State<App>,
    signed: Signed,
    Path((cluster, backup, database, schema, table)): Path<(Uuid, Uuid, String, String, String)>,
    Query(query): Query<RowsQuery>,
) -> Reply<BackupRows> {
    let name = TableName { database, schema, table };
    let (cluster, backup) = (cluster.into(), backup.into());
    let limit = query.limit.unwrap_or(100).into();
    Ok(Json(app.backup_rows(&signed.caller, cluster, backup, &name, limit).await?.into()))
}

/// What a backup is compared with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct DiffQuery {
    /// The older backup of the same cluster.
    other: Uuid,
    /// Only this database.
    database: Option<String>,
}

/// What changed from an older backup of the cluster to this one.
#[utoipa::path(get, path = "/clusters/{cluster_id}/backups/{backup_id}/diff", tag = "Backups",
    params(("cluster_id" = Uuid, Path, description = "The cluster."),
        ("backup_id" = Uuid, Path, description = "The backup."), DiffQuery),
    responses((status = 200, body = BackupDiff)))]
async fn get_backup_diff(
    State(app): State<App>,
    signed: Signed,
    Path((cluster, backup)): Path<(Uuid, Uuid)>,
    Query(query): Query<DiffQuery>,
) -> Reply<BackupDiff> {
    let DiffQuery { other, database } = query;
    let (cluster, backup, other) = (cluster.into(), backup.into(), other.into());
    let changed = app.backup_diff(&signed.caller, cluster, backup, other, database).await?;
    Ok(Json(changed.into()))
}
