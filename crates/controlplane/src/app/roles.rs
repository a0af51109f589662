//! Roles: who has which on what, and who may change that.

use serde_json::json;
use strongroom_catalog::grants::{Grant, Grantee, Resource, ResourceKind, Role};
use strongroom_catalog::{CatalogError, Listed, Page, Write};
use uuid::Uuid;

use super::{App, done};
use crate::caller::title;
use crate::{Caller, Error, Kind, Permission, Result};

/// What a role can be granted on.
pub(crate) fn scopes(role: Role) -> &'static [ResourceKind] {
    use ResourceKind::{Cluster, Organization};
    match role {
        Role::ClusterAdmin
        | Role::ClusterOperatorWriter
        | Role::ClusterDeveloper
        | Role::ClusterMonitor
        | Role::MetricsViewer => &[Organization, Cluster],
        // There are no folders yet, so what concerns them can be had for all of them only.
        Role::BillingCoordinator
        | Role::BillingViewer
        | Role::OrgAdmin
        | Role::OrgMember
        | Role::ClusterCreator
        | Role::FolderAdmin
        | Role::FolderMover => &[Organization],
    }
}

/// Refuses a role on something that it makes no sense on.
pub(crate) fn check_scope(role: Role, on: Resource) -> Result<()> {
    if scopes(role).contains(&on.kind()) {
        return Ok(());
    }
    if on.kind() == ResourceKind::Folder {
        return Err(Error::not_found("folder", on.id()).hint("folders are not supported yet"));
    }
    let names: Vec<_> = scopes(role).iter().map(|kind| kind.name()).collect();
    Err(Error::invalid(format!(
        "the role {} can not be granted on {}: it can be on {}",
        title(role),
        on.kind(),
        names.join(" or ")
    )))
}

/// A role as the audit log tells it.
fn told(role: Role, on: Resource) -> serde_json::Value {
    json!({ "role": role.name(), "resource_type": on.kind().name(), "resource_id": on.id() })
}

impl App {
    /// What a role is on, by its kind and id. The organization needs no id: there is one.
    pub async fn resource(&self, kind: ResourceKind, id: Option<Uuid>) -> Result<Resource> {
        let missing = || Error::invalid(format!("a role on a {kind} needs the id of that {kind}"));
        match (kind, id) {
            (ResourceKind::Organization, None) => {
                Ok(Resource::Organization(self.organization().await?.id))
            }
            (kind, id) => Ok(Resource::new(kind, id.ok_or_else(missing)?)),
        }
    }

    /// Everybody with their roles.
    pub async fn all_roles(
        &self,
        caller: &Caller,
        page: &Page,
    ) -> Result<Listed<(Grantee, Vec<Grant>)>> {
        caller.require(Permission::ManageOrganization)?;
        let grantees = self.catalog().grantees(page).await?;
        let ids: Vec<_> = grantees.items.iter().map(|grantee| grantee.id()).collect();
        let grants = self.catalog().grants_of_all(&ids).await?;
        let Listed { items, next, previous, as_of } = grantees;
        let items = items
            .into_iter()
            .map(|who| (who, grants.iter().filter(|grant| grant.grantee == who).copied().collect()))
            .collect();
        Ok(Listed { items, next, previous, as_of })
    }

    /// The roles of a user or a service account; one's own can be seen by everybody.
    pub async fn roles_of(&self, caller: &Caller, id: Uuid) -> Result<Vec<Grant>> {
        if caller.grantee.is_none_or(|own| own.id() != id) {
            caller.require(Permission::ManageOrganization)?;
        }
        let grantee = self.catalog().grantee(id).await?;
        Ok(self.catalog().grants_of(grantee).await?)
    }

    /// Grants a role. One that is there already stays as it is.
    pub async fn grant_role(
        &self,
        caller: &Caller,
        id: Uuid,
        role: Role,
        on: Resource,
    ) -> Result<Vec<Grant>> {
        caller.require(Permission::ManageOrganization)?;
        check_scope(role, on)?;
        let grantee = self.catalog().grantee(id).await?;
        let mut write = self.catalog().begin().await?;
        if write.grant(grantee, role, on).await? {
            write
                .record(&done(caller, "ADD_USER_TO_ROLE", kind_of(grantee), id, told(role, on)))
                .await?;
        }
        write.commit().await?;
        Ok(self.catalog().grants_of(grantee).await?)
    }

    /// Takes a role away. One that is not there is no error.
    pub async fn revoke_role(
        &self,
        caller: &Caller,
        id: Uuid,
        role: Role,
        on: Resource,
    ) -> Result<Vec<Grant>> {
        caller.require(Permission::ManageOrganization)?;
        let grantee = self.catalog().grantee(id).await?;
        let mut write = self.catalog().begin().await?;
        if write.revoke(grantee, role, on).await.map_err(last_administrator)? {
            let event = done(caller, "REMOVE_USER_FROM_ROLE", kind_of(grantee), id, told(role, on));
            write.record(&event).await?;
        }
        write.commit().await?;
        Ok(self.catalog().grants_of(grantee).await?)
    }

    /// Gives somebody exactly these roles.
    pub async fn set_roles(
        &self,
        caller: &Caller,
        id: Uuid,
        roles: &[(Role, Resource)],
    ) -> Result<Vec<Grant>> {
        caller.require(Permission::ManageOrganization)?;
        for (role, on) in roles {
            check_scope(*role, *on)?;
        }
        let grantee = self.catalog().grantee(id).await?;
        let mut write = self.catalog().begin().await?;
        write.set_grants(grantee, roles).await.map_err(last_administrator)?;
        let list: Vec<_> = roles.iter().map(|(role, on)| told(*role, *on)).collect();
        let details = json!({ "roles": list });
        write.record(&done(caller, "ASSIGN_USER_ROLE", kind_of(grantee), id, details)).await?;
        write.commit().await?;
        Ok(self.catalog().grants_of(grantee).await?)
    }
}

/// Grants the roles that somebody new begins with.
pub(super) async fn grant_first(
    write: &mut Write<'_>,
    grantee: Grantee,
    roles: &[(Role, Resource)],
    member_of: Resource,
) -> Result<()> {
    write.grant(grantee, Role::OrgMember, member_of).await?;
    for (role, on) in roles {
        write.grant(grantee, *role, *on).await?;
    }
    Ok(())
}

fn kind_of(grantee: Grantee) -> &'static str {
    match grantee {
        Grantee::User(_) => "user",
        Grantee::ServiceAccount(_) => "service account",
    }
}

/// That the last administrator stays is the catalog's rule; said as what it means here.
pub(super) fn last_administrator(error: CatalogError) -> Error {
    match error {
        CatalogError::Invalid { what: "the change", reason } => {
            Error::new(Kind::Precondition, format!("this can not be done: {reason}"))
                .hint("make another user Org Administrator first")
        }
        error => error.into(),
    }
}
