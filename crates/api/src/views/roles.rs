//! Roles, as the API shows them.
//!
//! A role on the organization shows no id, as in the original, whose clients compare with that: there
//! is one organization. Its id is accepted where one is asked for.

use serde::{Deserialize, Serialize};
use strongroom_controlplane::model;
use utoipa::ToSchema;
use uuid::Uuid;

/// Declares an enum of the API that has the same names as one of the catalog.
macro_rules! same_names {
    ($(#[$meta:meta])* $name:ident is $model:ty { $($variant:ident: $doc:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        pub enum $name {
            $(#[doc = $doc] $variant,)+
        }

        impl From<$model> for $name {
            fn from(value: $model) -> Self {
                match value {
                    $(<$model>::$variant => $name::$variant,)+
                }
            }
        }

        impl From<$name> for $model {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => <$model>::$variant,)+
                }
            }
        }
    };
}

same_names! {
    /// A role.
    RoleName is model::Role {
        BillingCoordinator: "Manages billing.",
        OrgAdmin: "Manages the organization, its people and programs, and everything in it.",
        OrgMember: "Belongs to the organization, and may nothing by that.",
        ClusterAdmin: "Manages clusters, and restores.",
        ClusterOperatorWriter: "Operates clusters, and restores.",
        ClusterDeveloper: "Sees clusters and their backups.",
        ClusterCreator: "Attaches clusters, and becomes Cluster Admin of those.",
        FolderAdmin: "Manages folders.",
        FolderMover: "Moves clusters between folders.",
        MetricsViewer: "Sees metrics.",
        ClusterMonitor: "Sees how clusters are.",
        BillingViewer: "Sees billing.",
    }
}

same_names! {
    /// The kind of what a role is granted on.
    ResourceType is model::ResourceKind {
        Organization: "The organization and everything in it.",
        Cluster: "One cluster.",
        Folder: "A folder and what is in it.",
    }
}

/// A role on something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleGrant {
    /// Which role.
    pub name: RoleName,
    /// On what.
    pub resource: RoleResource,
}

/// What a role is granted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleResource {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: ResourceType,
    /// Its id; of the organization, none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "id_or_empty")]
    pub id: Option<Uuid>,
}

/// The original's clients send an empty id for the organization.
fn id_or_empty<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Uuid>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

impl From<&model::Grant> for RoleGrant {
    fn from(grant: &model::Grant) -> Self {
        let id = match grant.on {
            model::Resource::Organization(_) => None,
            other => Some(other.id()),
        };
        let resource = RoleResource { kind: grant.on.kind().into(), id };
        RoleGrant { name: grant.role.into(), resource }
    }
}

/// Roles, as a list.
pub fn list(grants: &[model::Grant]) -> Vec<RoleGrant> {
    grants.iter().map(RoleGrant::from).collect()
}

/// The roles of a user or a service account.
#[derive(Debug, Serialize, ToSchema)]
pub struct Roles {
    /// All of them.
    pub roles: Vec<RoleGrant>,
}

/// A user or a service account with its roles.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserRoles {
    /// The user's or the service account's id.
    pub user_id: Uuid,
    /// All of its roles.
    pub roles: Vec<RoleGrant>,
}
