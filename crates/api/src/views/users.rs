//! Users, as the API shows them.

use jiff::Timestamp;
use serde::Serialize;
use strongroom_controlplane::Person;
use strongroom_controlplane::model;
use utoipa::ToSchema;
use uuid::Uuid;

use super::roles::{RoleGrant, list};

/// Somebody who can sign in to the console.
#[derive(Debug, Serialize, ToSchema)]
pub struct User {
    /// Its id.
    pub id: Uuid,
    /// The address to sign in with.
    pub email: String,
    /// The name to show.
    pub name: String,
    /// Whether there is a password. Without one, nobody can sign in.
    pub has_password: bool,
    /// Whether this user may do nothing any more.
    pub disabled: bool,
    /// When this user last signed in.
    pub last_sign_in: Option<Timestamp>,
    /// When this user was made.
    pub created_at: Timestamp,
    /// Its roles.
    pub roles: Vec<RoleGrant>,
}

impl User {
    /// A user with these roles.
    pub fn new(user: model::User, grants: &[model::Grant]) -> Self {
        User {
            id: user.id.uuid(),
            email: user.email,
            name: user.name,
            has_password: user.has_password,
            disabled: user.disabled_at.is_some(),
            last_sign_in: user.last_sign_in,
            created_at: user.created_at,
            roles: list(grants),
        }
    }
}

impl From<Person> for User {
    fn from(person: Person) -> Self {
        User::new(person.user, &person.grants)
    }
}
