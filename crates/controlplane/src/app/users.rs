//! Users: people who sign in to the console, the first of them, and their passwords.

use serde_json::json;
use strongroom_catalog::grants::{Grant, Grantee, Resource, Role};
use strongroom_catalog::users::{HashedPassword, NewUser, User};
use strongroom_catalog::{Listed, Page, Secret, UserId};
use uuid::Uuid;

use super::organization::checked_name;
use super::roles::{check_scope, grant_first, last_administrator};
use super::{App, done};
use crate::{Caller, Error, Kind, Permission, Result};

/// What whoever makes an organization is in it.
const FOUNDER: [Role; 4] =
    [Role::OrgAdmin, Role::BillingCoordinator, Role::ClusterAdmin, Role::FolderAdmin];

/// A user with its roles.
#[derive(Clone, Debug)]
pub struct Person {
    /// The user.
    pub user: User,
    /// Its roles.
    pub grants: Vec<Grant>,
}

impl App {
    /// Whether there is anybody who signs in.
    pub async fn has_users(&self) -> Result<bool> {
        Ok(!self.catalog().users(&Page::first(1)).await?.items.is_empty())
    }

    /// Makes an Org Administrator where there is no user at all. Replicas may ask at once: there is one
    /// such user afterwards, and only who made it is told so.
    pub async fn ensure_administrator(
        &self,
        email: &str,
        password: Secret,
    ) -> Result<Option<User>> {
        if self.has_users().await? {
            return Ok(None);
        }
        let caller = Caller::system("first start");
        let roles = founder_roles(self).await?;
        match self.create_user(&caller, email, "Administrator", Some(password), &roles).await {
            Ok(person) => Ok(Some(person.user)),
            // Another replica was first.
            Err(error) if error.kind() == Kind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Everybody who can sign in, or could.
    pub async fn users(&self, caller: &Caller, page: &Page) -> Result<Listed<Person>> {
        caller.require(Permission::ManageOrganization)?;
        let Listed { items, next, previous, as_of } = self.catalog().users(page).await?;
        let ids: Vec<Uuid> = items.iter().map(|user| user.id.uuid()).collect();
        let grants = self.catalog().grants_of_all(&ids).await?;
        let of = |user: &User| {
            let own = Grantee::User(user.id);
            grants.iter().filter(|grant| grant.grantee == own).copied().collect()
        };
        let items = items.into_iter().map(|user| Person { grants: of(&user), user }).collect();
        Ok(Listed { items, next, previous, as_of })
    }

    /// One user; everybody may see themselves.
    pub async fn user(&self, caller: &Caller, id: UserId) -> Result<Person> {
        if caller.grantee != Some(Grantee::User(id)) {
            caller.require(Permission::ManageOrganization)?;
        }
        let user = self.catalog().user(id).await?;
        self.person(user).await
    }

    /// The user with this address.
    pub async fn person_by_email(&self, caller: &Caller, email: &str) -> Result<Person> {
        caller.require(Permission::ManageOrganization)?;
        match self.catalog().user_by_email(email).await? {
            Some(user) => self.person(user).await,
            None => Err(Error::not_found("user", email)),
        }
    }

    /// Makes a user with these roles, and Org Member. Without a password, it can not sign in yet.
    pub async fn create_user(
        &self,
        caller: &Caller,
        email: &str,
        name: &str,
        password: Option<Secret>,
        roles: &[(Role, Resource)],
    ) -> Result<Person> {
        caller.require(Permission::ManageOrganization)?;
        let name = checked_name("user", name)?.to_owned();
        for (role, on) in roles {
            check_scope(*role, *on)?;
        }
        let password = match password {
            Some(password) => Some(self.hashed(password).await?),
            None => None,
        };
        let organization = Resource::Organization(self.organization().await?.id);
        let mut write = self.catalog().begin().await?;
        let new = NewUser { email: email.to_owned(), name, password };
        let user = write.create_user(&new).await?;
        grant_first(&mut write, Grantee::User(user.id), roles, organization).await?;
        let names: Vec<_> = roles.iter().map(|(role, _)| role.name()).collect();
        let mut event = done(caller, "CREATE_USER", "user", user.id, json!({ "roles": names }));
        event.object_name = Some(user.email.clone());
        write.record(&event).await?;
        write.commit().await?;
        self.person(user).await
    }

    /// Renames a user, or shuts it out at once, or lets it in again. What is `None` stays.
    pub async fn change_user(
        &self,
        caller: &Caller,
        id: UserId,
        name: Option<&str>,
        disabled: Option<bool>,
    ) -> Result<Person> {
        let own_name = caller.grantee == Some(Grantee::User(id)) && disabled.is_none();
        if !own_name {
            caller.require(Permission::ManageOrganization)?;
        }
        let name = name.map(|name| checked_name("user", name)).transpose()?;
        let mut user = self.catalog().user(id).await?;
        if name.is_none() && disabled.is_none() {
            return self.person(user).await;
        }
        let mut write = self.catalog().begin().await?;
        if let Some(name) = name {
            user = write.rename_user(id, name).await?;
        }
        if let Some(disabled) = disabled {
            user = write.set_user_disabled(id, disabled).await.map_err(last_administrator)?;
        }
        let details = json!({ "name": name, "disabled": disabled });
        let mut event = done(caller, "UPDATE_USER", "user", id, details);
        event.object_name = Some(user.email.clone());
        write.record(&event).await?;
        write.commit().await?;
        self.person(user).await
    }

    /// Removes a user, its roles and its sessions.
    pub async fn delete_user(&self, caller: &Caller, id: UserId) -> Result<Person> {
        caller.require(Permission::ManageOrganization)?;
        let user = self.catalog().user(id).await?;
        let person = self.person(user).await?;
        let mut write = self.catalog().begin().await?;
        write.delete_user(id).await.map_err(last_administrator)?;
        let mut event = done(caller, "DELETE_USER", "user", id, json!({}));
        event.object_name = Some(person.user.email.clone());
        write.record(&event).await?;
        write.commit().await?;
        Ok(person)
    }

    /// Gives a user another password, and ends its sessions. Users show their present one; an Org
    /// Administrator may set that of others.
    pub async fn set_password(
        &self,
        caller: &Caller,
        id: UserId,
        password: Secret,
        current: Option<Secret>,
    ) -> Result<()> {
        let own = caller.grantee == Some(Grantee::User(id));
        if !own {
            caller.require(Permission::ManageOrganization)?;
        }
        let user = self.catalog().user(id).await?;
        if own && user.has_password {
            let Some(current) = current else {
                return Err(Error::invalid("current_password is missing")
                    .hint("whoever changes their own password shows the present one"));
            };
            let address = caller.address.as_deref();
            let attempt = self.0.guesses.attempt(&user.email, address, self.now())?;
            let _turn = self.0.turns.to_hash().await?;
            match self.catalog().check_password(&user.email, current).await {
                Ok(Some(_)) => attempt.succeeded(),
                Ok(None) => {
                    let message = "the present password is another one";
                    return Err(Error::new(Kind::Forbidden, message));
                }
                Err(error) => {
                    attempt.forgive();
                    return Err(error.into());
                }
            }
        }
        let password = self.hashed(password).await?;
        let mut write = self.catalog().begin().await?;
        write.set_password(id, &password).await?;
        let mut event = done(caller, "SET_USER_PASSWORD", "user", id, json!({ "own": own }));
        event.object_name = Some(user.email);
        write.record(&event).await?;
        Ok(write.commit().await?)
    }

    async fn hashed(&self, password: Secret) -> Result<HashedPassword> {
        let _turn = self.0.turns.to_hash().await?;
        Ok(HashedPassword::of(password).await?)
    }

    async fn person(&self, user: User) -> Result<Person> {
        let grants = self.catalog().grants_of(Grantee::User(user.id)).await?;
        Ok(Person { user, grants })
    }
}

async fn founder_roles(app: &App) -> Result<Vec<(Role, Resource)>> {
    let organization = Resource::Organization(app.organization().await?.id);
    Ok(FOUNDER.iter().map(|role| (*role, organization)).collect())
}

/// A password that nobody can guess, and that can be typed: 122 random bits.
pub fn generated_password() -> Secret {
    // Those of a random UUID; in groups, for reading.
    let text = Uuid::new_v4().simple().to_string();
    let groups: Vec<&str> =
        (0..text.len()).step_by(8).filter_map(|at| text.get(at..at + 8)).collect();
    Secret::new(groups.join("-"))
}
