//! Backup settings of a cluster. The original documents both PATCH and PUT for a change; both do the
//! same here.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use strongroom_controlplane::App;
use strongroom_controlplane::model::{ClusterId, SettingsChange};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Body, Path};
use crate::auth::Signed;
use crate::error::Reply;
use crate::views::backup_settings::BackupConfiguration;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_backup_configuration))
        .routes(routes!(update_backup_configuration))
        .routes(routes!(put_backup_configuration))
}

/// The backup settings of a cluster.
#[utoipa::path(get, path = "/clusters/{cluster_id}/backups-config", tag = "Backup settings",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id.")),
    responses((status = 200, body = BackupConfiguration)))]
async fn get_backup_configuration(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
) -> Reply<BackupConfiguration> {
    Ok(Json(app.backup_settings(&signed.caller, ClusterId::from(id)).await?.into()))
}

/// What can be changed of backup settings. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateBackupConfiguration {
    /// Whether backups are taken. Together with `false`, nothing else can be set.
    enabled: Option<bool>,
    /// From one backup to the next: 5, 10, 15, 30, 60, 240 or 1440.
    frequency_minutes: Option<i32>,
    /// How long new backups are kept: 2, 7, 30, 90 or 365. It can be set once.
    retention_days: Option<i32>,
    /// What is ours of them.
    strongroom: Option<UpdateBackupConfigurationExtras>,
}

/// What is ours of backup settings to be changed.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateBackupConfigurationExtras {
    /// From one restore drill to the next. 0: none.
    drill_every_days: Option<i32>,
}

impl From<UpdateBackupConfiguration> for SettingsChange {
    fn from(body: UpdateBackupConfiguration) -> Self {
        SettingsChange {
            enabled: body.enabled,
            frequency_minutes: body.frequency_minutes.map(i64::from),
            retention_days: body.retention_days.map(i64::from),
            drill_every_days: body.strongroom.unwrap_or_default().drill_every_days.map(i64::from),
        }
    }
}

/// Change backup settings. A full backup follows at once, unless backups are disabled.
#[utoipa::path(patch, path = "/clusters/{cluster_id}/backups-config", tag = "Backup settings",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id.")),
    request_body = UpdateBackupConfiguration,
    responses((status = 200, body = BackupConfiguration)))]
async fn update_backup_configuration(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Body(body): Body<UpdateBackupConfiguration>,
) -> Reply<BackupConfiguration> {
    let id = ClusterId::from(id);
    Ok(Json(app.change_backup_settings(&signed.caller, id, body.into()).await?.into()))
}

/// Change backup settings: as PATCH does.
#[utoipa::path(put, path = "/clusters/{cluster_id}/backups-config", tag = "Backup settings",
    params(("cluster_id" = Uuid, Path, description = "The cluster's id.")),
    request_body = UpdateBackupConfiguration,
    responses((status = 200, body = BackupConfiguration)))]
async fn put_backup_configuration(
    state: State<App>,
    signed: Signed,
    path: Path<Uuid>,
    body: Body<UpdateBackupConfiguration>,
) -> Reply<BackupConfiguration> {
    update_backup_configuration(state, signed, path, body).await
}
