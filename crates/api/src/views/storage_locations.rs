//! Storage locations, as the API shows them: never with what opens them.

use jiff::Timestamp;
use serde::Serialize;
use strongroom_controlplane::model;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::paging::Pagination;

/// A place for managed backups.
#[derive(Debug, Serialize, ToSchema)]
pub struct StorageLocation {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The region that it lies in.
    pub region: String,
    /// Its URL without secrets; of its parameters, only who is asked for a bucket.
    pub url: String,
    /// Whether backups are encrypted before they leave the service.
    pub encrypted: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl From<model::StorageLocation> for StorageLocation {
    fn from(location: model::StorageLocation) -> Self {
        StorageLocation {
            id: location.id.uuid(),
            name: location.name,
            region: location.region,
            url: location.url_shown,
            encrypted: location.encrypted,
            created_at: location.created_at,
        }
    }
}

/// A page of storage locations.
#[derive(Debug, Serialize, ToSchema)]
pub struct StorageLocations {
    /// The locations, by name.
    pub storage_locations: Vec<StorageLocation>,
    /// Where to go on.
    pub pagination: Pagination,
}

impl From<model::Listed<model::StorageLocation>> for StorageLocations {
    fn from(listed: model::Listed<model::StorageLocation>) -> Self {
        StorageLocations {
            pagination: Pagination::from(&listed),
            storage_locations: listed.items.into_iter().map(Into::into).collect(),
        }
    }
}

/// A check that went well.
#[derive(Debug, Serialize, ToSchema)]
pub struct StorageCheck {
    /// How long it took, in milliseconds.
    pub milliseconds: i32,
}
