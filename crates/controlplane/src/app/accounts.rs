//! Service accounts: programs that use the API, and the keys by which they prove it.

use serde_json::json;
use strongroom_catalog::api_keys::ApiKey;
use strongroom_catalog::grants::{Grant, Grantee, Resource, Role};
use strongroom_catalog::service_accounts::{AccountFilter, ServiceAccount};
use strongroom_catalog::{ApiKeyId, Listed, Page, Secret, ServiceAccountId};
use uuid::Uuid;

use super::organization::checked_name;
use super::roles::{check_scope, grant_first};
use super::{App, done};
use crate::{Caller, Error, Permission, Result};

/// The most characters of a description.
const LONGEST_DESCRIPTION: usize = 1000;

/// A service account with its roles.
#[derive(Clone, Debug)]
pub struct Account {
    /// The service account.
    pub account: ServiceAccount,
    /// Its roles.
    pub grants: Vec<Grant>,
}

fn checked_description(text: &str) -> Result<&str> {
    let length = text.chars().count();
    if length > LONGEST_DESCRIPTION {
        let message = format!(
            "the description has {length} characters, and {LONGEST_DESCRIPTION} are the most"
        );
        return Err(Error::invalid(message));
    }
    Ok(text)
}

impl App {
    /// Service accounts, by name.
    pub async fn service_accounts(
        &self,
        caller: &Caller,
        filter: &AccountFilter,
        page: &Page,
    ) -> Result<Listed<Account>> {
        caller.require(Permission::ManageOrganization)?;
        let listed = self.catalog().service_accounts(filter, page).await?;
        let Listed { items, next, previous, as_of } = listed;
        let ids: Vec<Uuid> = items.iter().map(|account| account.id.uuid()).collect();
        let grants = self.catalog().grants_of_all(&ids).await?;
        let of = |account: &ServiceAccount| {
            let own = Grantee::ServiceAccount(account.id);
            grants.iter().filter(|grant| grant.grantee == own).copied().collect()
        };
        let items =
            items.into_iter().map(|account| Account { grants: of(&account), account }).collect();
        Ok(Listed { items, next, previous, as_of })
    }

    /// One service account; a program may see itself.
    pub async fn service_account(&self, caller: &Caller, id: ServiceAccountId) -> Result<Account> {
        if caller.grantee != Some(Grantee::ServiceAccount(id)) {
            caller.require(Permission::ManageOrganization)?;
        }
        let account = self.catalog().service_account(id).await?;
        self.account(account).await
    }

    /// Makes a service account with these roles, and Org Member.
    pub async fn create_service_account(
        &self,
        caller: &Caller,
        name: &str,
        description: &str,
        roles: &[(Role, Resource)],
    ) -> Result<Account> {
        caller.require(Permission::ManageOrganization)?;
        let name = checked_name("service account", name)?;
        let description = checked_description(description)?;
        for (role, on) in roles {
            check_scope(*role, *on)?;
        }
        let organization = Resource::Organization(self.organization().await?.id);
        let mut write = self.catalog().begin().await?;
        let creator = Some(caller.actor.name.as_str());
        let account = write.create_service_account(name, description, creator).await?;
        let grantee = Grantee::ServiceAccount(account.id);
        grant_first(&mut write, grantee, roles, organization).await?;
        let names: Vec<_> = roles.iter().map(|(role, _)| role.name()).collect();
        let details = json!({ "roles": names });
        let mut event =
            done(caller, "CREATE_SERVICE_ACCOUNT", "service account", account.id, details);
        event.object_name = Some(account.name.clone());
        write.record(&event).await?;
        write.commit().await?;
        self.account(account).await
    }

    /// Changes name and description. What is `None` stays.
    pub async fn change_service_account(
        &self,
        caller: &Caller,
        id: ServiceAccountId,
        name: Option<&str>,
        description: Option<&str>,
    ) -> Result<Account> {
        caller.require(Permission::ManageOrganization)?;
        let name = name.map(|name| checked_name("service account", name)).transpose()?;
        let description = description.map(checked_description).transpose()?;
        let mut write = self.catalog().begin().await?;
        let account = write.change_service_account(id, name, description).await?;
        let details = json!({ "name": name, "description": description });
        let mut event = done(caller, "UPDATE_SERVICE_ACCOUNT", "service account", id, details);
        event.object_name = Some(account.name.clone());
        write.record(&event).await?;
        write.commit().await?;
        self.account(account).await
    }

    /// Removes a service account, its keys and its roles.
    pub async fn delete_service_account(
        &self,
        caller: &Caller,
        id: ServiceAccountId,
    ) -> Result<Account> {
        caller.require(Permission::ManageOrganization)?;
        let account = self.catalog().service_account(id).await?;
        let account = self.account(account).await?;
        let mut write = self.catalog().begin().await?;
        write.delete_service_account(id).await?;
        let mut event = done(caller, "DELETE_SERVICE_ACCOUNT", "service account", id, json!({}));
        event.object_name = Some(account.account.name.clone());
        write.record(&event).await?;
        write.commit().await?;
        Ok(account)
    }

    /// All API keys, or those of one service account.
    pub async fn api_keys(
        &self,
        caller: &Caller,
        of: Option<ServiceAccountId>,
        page: &Page,
    ) -> Result<Listed<ApiKey>> {
        caller.require(Permission::ManageOrganization)?;
        Ok(self.catalog().api_keys(of, page).await?)
    }

    /// One key, by its id or by the prefix of its secret.
    pub async fn api_key(&self, caller: &Caller, id: &str) -> Result<ApiKey> {
        caller.require(Permission::ManageOrganization)?;
        self.find_api_key(id).await
    }

    /// Makes a key. Its secret is shown this once.
    pub async fn create_api_key(
        &self,
        caller: &Caller,
        of: ServiceAccountId,
        name: &str,
    ) -> Result<(ApiKey, Secret)> {
        caller.require(Permission::ManageOrganization)?;
        let name = checked_name("API key", name)?;
        let mut write = self.catalog().begin().await?;
        let (key, secret) = write.create_api_key(of, name).await?;
        record_key(&mut write, caller, "CREATE_API_KEY", &key).await?;
        write.commit().await?;
        Ok((key, secret))
    }

    /// Gives a key another name, if there is one.
    pub async fn rename_api_key(
        &self,
        caller: &Caller,
        id: &str,
        name: Option<&str>,
    ) -> Result<ApiKey> {
        caller.require(Permission::ManageOrganization)?;
        let key = self.find_api_key(id).await?;
        let Some(name) = name else { return Ok(key) };
        let name = checked_name("API key", name)?;
        let mut write = self.catalog().begin().await?;
        let key = write.rename_api_key(key.id, name).await?;
        record_key(&mut write, caller, "UPDATE_API_KEY", &key).await?;
        write.commit().await?;
        Ok(key)
    }

    /// Removes a key; it opens nothing from now on.
    pub async fn delete_api_key(&self, caller: &Caller, id: &str) -> Result<ApiKey> {
        caller.require(Permission::ManageOrganization)?;
        let key = self.find_api_key(id).await?;
        let mut write = self.catalog().begin().await?;
        write.delete_api_key(key.id).await?;
        record_key(&mut write, caller, "DELETE_API_KEY", &key).await?;
        write.commit().await?;
        Ok(key)
    }

    async fn find_api_key(&self, id: &str) -> Result<ApiKey> {
        if let Some(digits) = id.strip_prefix("srk_")
            && digits.len() == 16
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        {
            return Ok(self.catalog().api_key_by_prefix(id).await?);
        }
        Ok(self.catalog().api_key(id.parse::<ApiKeyId>()?).await?)
    }

    async fn account(&self, account: ServiceAccount) -> Result<Account> {
        let grants = self.catalog().grants_of(Grantee::ServiceAccount(account.id)).await?;
        Ok(Account { account, grants })
    }
}

async fn record_key(
    write: &mut strongroom_catalog::Write<'_>,
    caller: &Caller,
    action: &str,
    key: &ApiKey,
) -> Result<()> {
    let details = json!({ "prefix": key.prefix, "service_account_id": key.service_account });
    let mut event = done(caller, action, "API key", key.id, details);
    event.object_name = Some(key.name.clone());
    write.record(&event).await?;
    Ok(())
}
