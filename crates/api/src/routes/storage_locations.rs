//! Storage locations: where managed backups go.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use strongroom_controlplane::App;
use strongroom_controlplane::app::storage_locations::{LocationChange, LocationRequest};
use strongroom_controlplane::model::{LocationId, Secret};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{Body, Path, Query};
use crate::auth::Signed;
use crate::error::Reply;
use crate::paging::Paging;
use crate::views::Empty;
use crate::views::storage_locations::{StorageCheck, StorageLocation, StorageLocations};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_storage_locations, create_storage_location))
        .routes(routes!(get_storage_location, change_storage_location, delete_storage_location))
        .routes(routes!(check_storage_location))
}

/// All storage locations, by name.
#[utoipa::path(get, path = "/storage-locations", tag = "Storage locations", params(Paging),
    responses((status = 200, body = StorageLocations)))]
async fn list_storage_locations(
    State(app): State<App>,
    signed: Signed,
    Query(paging): Query<Paging>,
) -> Reply<StorageLocations> {
    let listed = app.storage_locations(&signed.caller, &paging.page()?).await?;
    Ok(Json(listed.into()))
}

/// A storage location to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateStorageLocation {
    /// Its name.
    name: String,
    /// The region that it lies in, such as `us-east1`. Clusters with this primary region are backed
    /// up into it.
    region: String,
    /// Where it lies, with what opens it: `file:///folder` or `s3://bucket/folder?AWS_REGION=...`.
    #[schema(write_only)]
    url: String,
    /// Backups are encrypted with this, before they leave the service. Without it they can not be
    /// restored: keep a copy.
    #[schema(write_only)]
    passphrase: Option<String>,
}

/// Make a storage location.
#[utoipa::path(post, path = "/storage-locations", tag = "Storage locations",
    request_body = CreateStorageLocation, responses((status = 200, body = StorageLocation)))]
async fn create_storage_location(
    State(app): State<App>,
    signed: Signed,
    Body(body): Body<CreateStorageLocation>,
) -> Reply<StorageLocation> {
    let request = LocationRequest {
        name: body.name,
        region: body.region,
        url: Secret::new(body.url),
        passphrase: body.passphrase.map(Secret::new),
    };
    Ok(Json(app.create_storage_location(&signed.caller, request).await?.into()))
}

/// A storage location.
#[utoipa::path(get, path = "/storage-locations/{id}", tag = "Storage locations",
    params(("id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, body = StorageLocation)))]
async fn get_storage_location(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
) -> Reply<StorageLocation> {
    Ok(Json(app.storage_location(&signed.caller, LocationId::from(id)).await?.into()))
}

/// What can be changed of a storage location. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeStorageLocation {
    /// Another name.
    name: Option<String>,
    /// Its URL with other keys. Once backups lie here, another place is refused unless the newest of
    /// them is found there.
    #[schema(write_only)]
    url: Option<String>,
    /// Another passphrase; refused once backups lie here.
    #[schema(write_only)]
    passphrase: Option<String>,
}

/// Change a storage location's name or its keys.
#[utoipa::path(patch, path = "/storage-locations/{id}", tag = "Storage locations",
    params(("id" = Uuid, Path, description = "Its id.")),
    request_body = ChangeStorageLocation, responses((status = 200, body = StorageLocation)))]
async fn change_storage_location(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
    Body(body): Body<ChangeStorageLocation>,
) -> Reply<StorageLocation> {
    let change = LocationChange {
        name: body.name,
        url: body.url.map(Secret::new),
        passphrase: body.passphrase.map(Secret::new),
    };
    let id = LocationId::from(id);
    Ok(Json(app.change_storage_location(&signed.caller, id, change).await?.into()))
}

/// Forget a storage location that nothing uses. What lies in it is not touched.
#[utoipa::path(delete, path = "/storage-locations/{id}", tag = "Storage locations",
    params(("id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, body = Empty)))]
async fn delete_storage_location(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
) -> Reply<Empty> {
    app.delete_storage_location(&signed.caller, LocationId::from(id)).await?;
    Ok(Json(Empty {}))
}

/// Write, read, list and delete a small object in a storage location.
#[utoipa::path(post, path = "/storage-locations/{id}/check", tag = "Storage locations",
    params(("id" = Uuid, Path, description = "Its id.")),
    responses((status = 200, body = StorageCheck)))]
async fn check_storage_location(
    State(app): State<App>,
    signed: Signed,
    Path(id): Path<Uuid>,
) -> Reply<StorageCheck> {
    let took = app.check_storage_location(&signed.caller, LocationId::from(id)).await?;
    let milliseconds = i32::try_from(took.as_millis()).unwrap_or(i32::MAX);
    Ok(Json(StorageCheck { milliseconds }))
}
