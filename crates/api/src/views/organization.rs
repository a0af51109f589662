//! The organization, as the API shows it.

use jiff::Timestamp;
use serde::Serialize;
use strongroom_controlplane::model;
use utoipa::ToSchema;
use uuid::Uuid;

/// The organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct Organization {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// A short name for addresses, made of the id.
    pub label: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl From<model::Organization> for Organization {
    fn from(organization: model::Organization) -> Self {
        let id = organization.id.uuid();
        let label = format!("org-{}", &id.simple().to_string()[..5]);
        Organization { id, label, name: organization.name, created_at: organization.created_at }
    }
}
