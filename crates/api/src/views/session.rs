//! Who is asking, as the API shows it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Action;
use super::accounts::ServiceAccount;
use super::organization::Organization;
use super::roles::RoleGrant;
use super::users::User;

/// Who is asking, and what that permits.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// The person, if it is one.
    pub user: Option<User>,
    /// The program, if it is one.
    pub service_account: Option<ServiceAccount>,
    /// The organization.
    pub organization: Organization,
    /// The roles of whoever asks.
    pub roles: Vec<RoleGrant>,
    /// What these permit in the organization as a whole.
    pub actions: Vec<Action>,
    /// When the session ends if nothing more is asked. A key has no end.
    pub expires_at: Option<Timestamp>,
}
