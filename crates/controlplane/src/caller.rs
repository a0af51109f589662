//! Who asks, and what that permits.
//!
//! Roles are granted on the organization or on a cluster, and add up; what is granted on the
//! organization holds on every cluster. Which role permits what is the table in [`Permission::roles`],
//! and nowhere else.
//!
//! A cluster on which a caller has no role does not exist for it: it can not be told from one that
//! never was. A cluster that it may see, and may not do something with, is refused by name.

use strongroom_catalog::ClusterId;
use strongroom_catalog::audit::Actor;
use strongroom_catalog::grants::{Grant, Grantee, Resource, Role};

use crate::{Error, Kind, Result};

/// Something that not everybody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// See a cluster, its backups, jobs and restores as lists.
    SeeCluster,
    /// Look into backups: contents, rows, differences. Plan and run restores, into the cluster and
    /// from its backups; cancel jobs.
    Restore,
    /// Take backups, run drills, change backup settings.
    ManageBackups,
    /// Change or delete the cluster, its databases and SQL users.
    ManageCluster,
    /// Attach clusters.
    CreateClusters,
    /// Manage users, service accounts, API keys, roles, storage locations and the organization.
    ManageOrganization,
    /// Read the audit log.
    ReadAudit,
    /// Read metrics.
    ReadMetrics,
}

impl Permission {
    /// All of them.
    pub const ALL: &'static [Permission] = &[
        Permission::SeeCluster,
        Permission::Restore,
        Permission::ManageBackups,
        Permission::ManageCluster,
        Permission::CreateClusters,
        Permission::ManageOrganization,
        Permission::ReadAudit,
        Permission::ReadMetrics,
    ];

    /// The roles that permit it.
    pub fn roles(self) -> &'static [Role] {
        use Role::*;
        match self {
            Permission::SeeCluster => &[
                OrgAdmin,
                ClusterAdmin,
                ClusterOperatorWriter,
                ClusterDeveloper,
                ClusterMonitor,
                MetricsViewer,
            ],
            // Of the original's first form: Org Administrator. Of today's: the other two.
            Permission::Restore | Permission::ManageBackups => {
                &[OrgAdmin, ClusterAdmin, ClusterOperatorWriter]
            }
            Permission::ManageCluster => &[OrgAdmin, ClusterAdmin],
            Permission::CreateClusters => &[OrgAdmin, ClusterAdmin, ClusterCreator],
            Permission::ManageOrganization | Permission::ReadAudit => &[OrgAdmin],
            Permission::ReadMetrics => {
                &[OrgAdmin, ClusterAdmin, ClusterOperatorWriter, ClusterMonitor, MetricsViewer]
            }
        }
    }

    /// What it permits, as people read it.
    pub fn doing(self) -> &'static str {
        match self {
            Permission::SeeCluster => "see this cluster",
            Permission::Restore => "look into backups and restore them",
            Permission::ManageBackups => "take backups or change how they are taken",
            Permission::ManageCluster => "change this cluster",
            Permission::CreateClusters => "attach clusters",
            Permission::ManageOrganization => "manage the organization",
            Permission::ReadAudit => "read the audit log",
            Permission::ReadMetrics => "read metrics",
        }
    }

    /// Why somebody without these roles may not.
    pub fn refusal(self) -> String {
        let names: Vec<&str> = self.roles().iter().map(|role| title(*role)).collect();
        format!("you may not {}: that needs the role {}", self.doing(), names.join(" or "))
    }
}

/// The role's name as people read it.
pub fn title(role: Role) -> &'static str {
    match role {
        Role::BillingCoordinator => "Billing Coordinator",
        Role::OrgAdmin => "Org Administrator",
        Role::OrgMember => "Org Member",
        Role::ClusterAdmin => "Cluster Admin",
        Role::ClusterOperatorWriter => "Cluster Operator",
        Role::ClusterDeveloper => "Cluster Developer",
        Role::ClusterCreator => "Cluster Creator",
        Role::FolderAdmin => "Folder Admin",
        Role::FolderMover => "Folder Mover",
        Role::MetricsViewer => "Metrics Viewer",
        Role::ClusterMonitor => "Cluster Monitor",
        Role::BillingViewer => "Billing Viewer",
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// As the audit log names it.
    pub actor: Actor,
    /// Whose roles count. `None`: the service itself, which may do everything.
    pub grantee: Option<Grantee>,
    /// Its roles, read when the request began.
    pub grants: Vec<Grant>,
    /// The address that the request came from.
    pub address: Option<String>,
    /// The request's id, which is in the log, too.
    pub request_id: Option<String>,
}

impl Caller {
    /// A part of the service, such as `scheduler`, or the command line on the service's machine.
    pub fn system(part: &str) -> Self {
        Caller {
            actor: Actor::system(part),
            grantee: None,
            grants: Vec::new(),
            address: None,
            request_id: None,
        }
    }

    /// Whether the caller may do this in the whole organization, and so on every cluster.
    pub fn may(&self, permission: Permission) -> bool {
        self.has(permission, |on| matches!(on, Resource::Organization(_)))
    }

    /// Whether the caller may do this with this cluster.
    pub fn may_with(&self, permission: Permission, cluster: ClusterId) -> bool {
        self.has(permission, |on| match on {
            Resource::Organization(_) => true,
            Resource::Cluster(id) => id == cluster,
            Resource::Folder(_) => false,
        })
    }

    fn has(&self, permission: Permission, holds: impl Fn(Resource) -> bool) -> bool {
        let roles = permission.roles();
        self.grantee.is_none()
            || self.grants.iter().any(|grant| roles.contains(&grant.role) && holds(grant.on))
    }

    /// Refuses what the caller may not do in the organization.
    pub fn require(&self, permission: Permission) -> Result<()> {
        if self.may(permission) {
            return Ok(());
        }
        Err(refused(permission))
    }

    /// Refuses what the caller may not do with this cluster; one that it may not see does not exist.
    pub fn require_with(&self, permission: Permission, cluster: ClusterId) -> Result<()> {
        if !self.may_with(Permission::SeeCluster, cluster) {
            return Err(Error::not_found("cluster", cluster));
        }
        if !self.may_with(permission, cluster) {
            return Err(refused(permission));
        }
        Ok(())
    }

    /// The clusters that the caller may see. `None`: all.
    pub fn visible(&self) -> Option<Vec<ClusterId>> {
        if self.may(Permission::SeeCluster) {
            return None;
        }
        let roles = Permission::SeeCluster.roles();
        let mut visible: Vec<ClusterId> = Vec::new();
        for grant in &self.grants {
            if let Resource::Cluster(id) = grant.on
                && roles.contains(&grant.role)
                && !visible.contains(&id)
            {
                visible.push(id);
            }
        }
        Some(visible)
    }

    /// What this caller may do with a cluster, as faces show it.
    pub fn action_with(
        &self,
        name: &'static str,
        permission: Permission,
        cluster: ClusterId,
    ) -> Action {
        Action::allowed_if(name, self.may_with(permission, cluster), || permission.refusal())
    }
}

fn refused(permission: Permission) -> Error {
    Error::new(Kind::Forbidden, permission.refusal())
        .hint("ask an Org Administrator of your organization for that role")
}

/// Something that can be done with an object, and whether this caller can do it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What: `restore`, `cancel` and so on.
    pub name: &'static str,
    /// Whether it would be let through.
    pub allowed: bool,
    /// Why not.
    pub reason: Option<String>,
}

impl Action {
    /// An action that is allowed, or the reason why not.
    pub fn allowed_if(name: &'static str, allowed: bool, reason: impl FnOnce() -> String) -> Self {
        Action { name, allowed, reason: (!allowed).then(reason) }
    }

    /// The same action; but refused for this reason, if it is not refused already and `wrong`.
    #[must_use]
    pub fn unless(mut self, wrong: bool, reason: impl FnOnce() -> String) -> Self {
        if self.allowed && wrong {
            self.allowed = false;
            self.reason = Some(reason());
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use strongroom_catalog::{OrganizationId, UserId};

    use super::*;

    fn with(role: Role, on: Resource) -> Caller {
        let user = UserId::new();
        let grantee = Grantee::User(user);
        let grant = Grant { grantee, role, on, created_at: Timestamp::UNIX_EPOCH };
        Caller {
            actor: Actor::user(user, "somebody"),
            grantee: Some(grantee),
            grants: vec![grant],
            address: None,
            request_id: None,
        }
    }

    #[test]
    fn a_role_on_a_cluster_ends_there() {
        let (mine, other) = (ClusterId::new(), ClusterId::new());
        let caller = with(Role::ClusterAdmin, Resource::Cluster(mine));
        assert!(caller.require_with(Permission::Restore, mine).is_ok());
        let refused = caller.require_with(Permission::Restore, other).unwrap_err();
        assert_eq!(refused.kind(), Kind::NotFound, "it can not even be told that it exists");
        assert_eq!(caller.visible(), Some(vec![mine]));
        assert!(caller.require(Permission::CreateClusters).is_err());
    }

    #[test]
    fn a_role_on_the_organization_holds_on_every_cluster() {
        let caller =
            with(Role::ClusterOperatorWriter, Resource::Organization(OrganizationId::new()));
        assert!(caller.require_with(Permission::Restore, ClusterId::new()).is_ok());
        assert_eq!(caller.visible(), None);
        assert!(caller.require(Permission::ManageOrganization).is_err());
    }

    #[test]
    fn those_who_may_see_are_told_what_they_lack() {
        let cluster = ClusterId::new();
        let caller = with(Role::ClusterDeveloper, Resource::Cluster(cluster));
        assert!(caller.require_with(Permission::SeeCluster, cluster).is_ok());
        let refused = caller.require_with(Permission::Restore, cluster).unwrap_err();
        assert_eq!(refused.kind(), Kind::Forbidden);
        assert_eq!(
            refused.message(),
            "you may not look into backups and restore them: that needs the role Org Administrator \
             or Cluster Admin or Cluster Operator"
        );
    }

    #[test]
    fn members_may_nothing_by_that() {
        let caller = with(Role::OrgMember, Resource::Organization(OrganizationId::new()));
        assert_eq!(caller.visible(), Some(vec![]));
        assert!(!caller.may(Permission::ReadMetrics));
    }
}
