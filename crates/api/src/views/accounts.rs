//! Service accounts and API keys, as the API shows them.

use jiff::Timestamp;
use serde::Serialize;
use strongroom_controlplane::Account;
use strongroom_controlplane::model;
use utoipa::ToSchema;
use uuid::Uuid;

use super::roles::{RoleGrant, list};

/// A program that uses the API.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServiceAccount {
    /// Its id.
    pub id: Uuid,
    /// Its name; two may have the same.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Who made it.
    pub creator_name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its roles.
    pub roles: Vec<RoleGrant>,
    /// Roles that it has by a group. There are no groups yet.
    #[schema(value_type = Vec<Object>)]
    pub group_roles: Vec<serde_json::Value>,
}

impl ServiceAccount {
    /// A service account with these roles.
    pub fn new(account: model::ServiceAccount, grants: &[model::Grant]) -> Self {
        ServiceAccount {
            id: account.id.uuid(),
            name: account.name,
            description: account.description,
            creator_name: account.created_by.unwrap_or_default(),
            created_at: account.created_at,
            roles: list(grants),
            group_roles: Vec::new(),
        }
    }
}

impl From<Account> for ServiceAccount {
    fn from(account: Account) -> Self {
        ServiceAccount::new(account.account, &account.grants)
    }
}

/// A key of a service account, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKey {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Whose key it is.
    pub service_account_id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the original does not have.
    pub strongroom: ApiKeyExtra,
}

/// What the original does not tell of a key.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKeyExtra {
    /// How the secret begins. It names the key wherever its id does.
    pub prefix: String,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}

impl From<model::ApiKey> for ApiKey {
    fn from(key: model::ApiKey) -> Self {
        ApiKey {
            id: key.id.uuid(),
            name: key.name,
            service_account_id: key.service_account.uuid(),
            created_at: key.created_at,
            strongroom: ApiKeyExtra { prefix: key.prefix, last_used: key.last_used },
        }
    }
}
