//! Grants: who has which role on what.
//!
//! A grant is on the organization, a folder or a cluster. What a role allows, and that what is
//! granted above holds below, are rules of the control plane. Here is one rule, since only the
//! database can keep it against two replicas at once: somebody who can sign in stays Org
//! Administrator. A change that could end that takes the organization's row first, so two of them
//! can not each remove "the other" administrator.

use jiff::Timestamp;
use uuid::Uuid;

use crate::database::{Bind, FromRow, Row, args, named};
use crate::page::{Query, Sort};
use crate::{
    Catalog, CatalogError, ClusterId, FolderId, Listed, Order, OrganizationId, Page, Result,
    ServiceAccountId, UserId, Write,
};

named! {
    /// A role, by its name in the API.
    pub enum Role: "role" {
        /// Manages billing.
        BillingCoordinator = "BILLING_COORDINATOR",
        /// Manages users, service accounts and roles.
        OrgAdmin = "ORG_ADMIN",
        /// Belongs to the organization, and may nothing by that.
        OrgMember = "ORG_MEMBER",
        /// Manages clusters, and restores.
        ClusterAdmin = "CLUSTER_ADMIN",
        /// Operates clusters, and restores.
        ClusterOperatorWriter = "CLUSTER_OPERATOR_WRITER",
        /// Uses clusters, and sees their details.
        ClusterDeveloper = "CLUSTER_DEVELOPER",
        /// Makes clusters, and becomes Cluster Admin of those.
        ClusterCreator = "CLUSTER_CREATOR",
        /// Manages folders.
        FolderAdmin = "FOLDER_ADMIN",
        /// Moves clusters between folders.
        FolderMover = "FOLDER_MOVER",
        /// Sees metrics.
        MetricsViewer = "METRICS_VIEWER",
        /// Sees how clusters are.
        ClusterMonitor = "CLUSTER_MONITOR",
        /// Sees billing.
        BillingViewer = "BILLING_VIEWER",
    }
}

named! {
    /// The kind of what a role is granted on.
    pub enum ResourceKind: "resource type" {
        /// The organization and everything in it.
        Organization = "ORGANIZATION",
        /// One cluster.
        Cluster = "CLUSTER",
        /// A folder and what is in it.
        Folder = "FOLDER",
    }
}

/// What a role is granted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The organization and everything in it.
    Organization(OrganizationId),
    /// One cluster.
    Cluster(ClusterId),
    /// A folder and what is in it.
    Folder(FolderId),
}

impl Resource {
    /// Its kind.
    pub fn kind(self) -> ResourceKind {
        match self {
            Resource::Organization(_) => ResourceKind::Organization,
            Resource::Cluster(_) => ResourceKind::Cluster,
            Resource::Folder(_) => ResourceKind::Folder,
        }
    }

    /// Its id.
    pub fn id(self) -> Uuid {
        match self {
            Resource::Organization(id) => id.0,
            Resource::Cluster(id) => id.0,
            Resource::Folder(id) => id.0,
        }
    }

    /// The resource of this kind and id.
    pub fn new(kind: ResourceKind, id: Uuid) -> Self {
        match kind {
            ResourceKind::Organization => Resource::Organization(OrganizationId(id)),
            ResourceKind::Cluster => Resource::Cluster(ClusterId(id)),
            ResourceKind::Folder => Resource::Folder(FolderId(id)),
        }
    }
}

named! {
    /// The kind of who has a role.
    pub enum GranteeKind: "grantee type" {
        /// A person.
        User = "USER",
        /// A program.
        ServiceAccount = "SERVICE_ACCOUNT",
    }
}

/// Who has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grantee {
    /// A person.
    User(UserId),
    /// A program.
    ServiceAccount(ServiceAccountId),
}

impl Grantee {
    /// Its kind.
    pub fn kind(self) -> GranteeKind {
        match self {
            Grantee::User(_) => GranteeKind::User,
            Grantee::ServiceAccount(_) => GranteeKind::ServiceAccount,
        }
    }

    /// Its id.
    pub fn id(self) -> Uuid {
        match self {
            Grantee::User(id) => id.0,
            Grantee::ServiceAccount(id) => id.0,
        }
    }
}

/// A role on something, of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who has it.
    pub grantee: Grantee,
    /// Which role.
    pub role: Role,
    /// On what.
    pub on: Resource,
    /// Since when.
    pub created_at: Timestamp,
}

impl FromRow for Grantee {
    fn from_row(row: &Row) -> Result<Self> {
        let id = row.get("id")?;
        Ok(match row.get("kind")? {
            GranteeKind::User => Grantee::User(UserId(id)),
            GranteeKind::ServiceAccount => Grantee::ServiceAccount(ServiceAccountId(id)),
        })
    }
}

const COLUMNS: &str = "grantee_kind, grantee_id, role, resource_kind, resource_id, created_at";

impl FromRow for Grant {
    fn from_row(row: &Row) -> Result<Self> {
        let grantee_id = row.get("grantee_id")?;
        let grantee = match row.get("grantee_kind")? {
            GranteeKind::User => Grantee::User(UserId(grantee_id)),
            GranteeKind::ServiceAccount => Grantee::ServiceAccount(ServiceAccountId(grantee_id)),
        };
        Ok(Grant {
            grantee,
            role: row.get("role")?,
            on: Resource::new(row.get("resource_kind")?, row.get("resource_id")?),
            created_at: row.get("created_at")?,
        })
    }
}

impl Catalog {
    /// All roles of somebody: what every request is judged by.
    pub async fn grants_of(&self, grantee: Grantee) -> Result<Vec<Grant>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM grants WHERE grantee_kind = $1 AND grantee_id = $2 \
             ORDER BY role, resource_kind, resource_id"
        );
        let values = args![grantee.kind(), grantee.id()];
        self.database.all("reading roles", sqlx::AssertSqlSafe(sql), values).await
    }

    /// All roles of several users and service accounts, whose ids never clash.
    pub async fn grants_of_all(&self, grantees: &[Uuid]) -> Result<Vec<Grant>> {
        if grantees.is_empty() {
            return Ok(Vec::new());
        }
        let places: Vec<_> = (1..=grantees.len()).map(|place| format!("${place}")).collect();
        let sql = format!(
            "SELECT {COLUMNS} FROM grants WHERE grantee_id IN ({}) \
             ORDER BY role, resource_kind, resource_id",
            places.join(", ")
        );
        let values = grantees.iter().map(Bind::bind).collect();
        self.database.all("reading roles", sqlx::AssertSqlSafe(sql), values).await
    }

    /// Everybody who can have roles, oldest first.
    pub async fn grantees(&self, page: &Page) -> Result<Listed<Grantee>> {
        let select = "SELECT id, kind, created_at FROM (\
                      SELECT id, 'USER' AS kind, created_at FROM users UNION ALL \
                      SELECT id, 'SERVICE_ACCOUNT' AS kind, created_at FROM service_accounts\
                      ) AS grantees";
        let sort = Sort::time("created_at", Order::Ascending);
        let query = Query::new(select, "id", "created_at", sort);
        query.read(&self.database, "listing who can have roles", page, self.now()).await
    }

    /// Who has this id: a user or a service account.
    pub async fn grantee(&self, id: Uuid) -> Result<Grantee> {
        let sql = "SELECT id, 'USER' AS kind FROM users WHERE id = $1 UNION ALL \
                   SELECT id, 'SERVICE_ACCOUNT' AS kind FROM service_accounts WHERE id = $1";
        let found = self.database.find("looking for a grantee", sql, args![id]).await?;
        found.ok_or_else(|| CatalogError::not_found("user or service account", id))
    }

    /// Everybody's roles on something.
    pub async fn grants_on(&self, resource: Resource) -> Result<Vec<Grant>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM grants WHERE resource_kind = $1 AND resource_id = $2 \
             ORDER BY grantee_kind, grantee_id, role"
        );
        let values = args![resource.kind(), resource.id()];
        self.database.all("reading roles", sqlx::AssertSqlSafe(sql), values).await
    }
}

impl Write<'_> {
    /// Grants a role. Whether it is new: granting twice changes nothing.
    pub async fn grant(&mut self, grantee: Grantee, role: Role, on: Resource) -> Result<bool> {
        self.check_ends(grantee, on).await?;
        let now = self.now();
        let sql = format!(
            "INSERT INTO grants ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"
        );
        let values = args![grantee.kind(), grantee.id(), role, on.kind(), on.id(), now];
        Ok(self.tx.run("granting a role", sqlx::AssertSqlSafe(sql), values).await? > 0)
    }

    /// Takes a role away. Whether it was there. The last Org Administrator stays.
    pub async fn revoke(&mut self, grantee: Grantee, role: Role, on: Resource) -> Result<bool> {
        let administered = self.lock_administrators().await?;
        let sql = "DELETE FROM grants WHERE grantee_kind = $1 AND grantee_id = $2 AND role = $3 \
                   AND resource_kind = $4 AND resource_id = $5";
        let values = args![grantee.kind(), grantee.id(), role, on.kind(), on.id()];
        let removed = self.tx.run("taking a role away", sql, values).await?;
        self.keep_an_administrator(administered).await?;
        Ok(removed > 0)
    }

    /// Gives somebody exactly these roles.
    pub async fn set_grants(&mut self, grantee: Grantee, roles: &[(Role, Resource)]) -> Result<()> {
        let administered = self.lock_administrators().await?;
        let sql = "DELETE FROM grants WHERE grantee_kind = $1 AND grantee_id = $2";
        let values = args![grantee.kind(), grantee.id()];
        self.tx.run("taking roles away", sql, values).await?;
        for (role, on) in roles {
            self.grant(grantee, *role, *on).await?;
        }
        self.keep_an_administrator(administered).await
    }

    /// Both ends of a grant must exist; a folder's are not kept here.
    async fn check_ends(&mut self, grantee: Grantee, on: Resource) -> Result<()> {
        let (what, sql) = match grantee {
            Grantee::User(_) => ("user", "SELECT 1 FROM users WHERE id = $1"),
            Grantee::ServiceAccount(_) => {
                ("service account", "SELECT 1 FROM service_accounts WHERE id = $1")
            }
        };
        let found = self.tx.rows("looking for a grantee", sql, args![grantee.id()]).await?;
        if found.is_empty() {
            return Err(CatalogError::not_found(what, grantee.id()));
        }
        let (what, sql) = match on {
            Resource::Organization(_) => {
                ("organization", "SELECT 1 FROM organizations WHERE id = $1")
            }
            Resource::Cluster(_) => ("cluster", "SELECT 1 FROM clusters WHERE id = $1"),
            Resource::Folder(_) => return Ok(()),
        };
        let found = self.tx.rows("looking for a resource", sql, args![on.id()]).await?;
        if found.is_empty() {
            return Err(CatalogError::not_found(what, on.id()));
        }
        Ok(())
    }

    /// Makes changes that could take the last administrator away wait for each other. Whether there
    /// is one now: an organization that is being set up may be without.
    pub(crate) async fn lock_administrators(&mut self) -> Result<bool> {
        let lock = self.tx.dialect().for_update();
        let sql = sqlx::AssertSqlSafe(format!("SELECT id FROM organizations{lock}"));
        self.tx.rows("locking the organization", sql, args![]).await?;
        self.has_administrator().await
    }

    /// Refuses a change after which nobody could manage an organization that was `administered`.
    pub(crate) async fn keep_an_administrator(&mut self, administered: bool) -> Result<()> {
        if administered && !self.has_administrator().await? {
            let reason = "nobody who can sign in would be left as Org Administrator";
            return Err(CatalogError::invalid("the change", reason));
        }
        Ok(())
    }

    async fn has_administrator(&mut self) -> Result<bool> {
        let sql = "SELECT 1 FROM grants JOIN users ON users.id = grants.grantee_id \
                   WHERE grantee_kind = 'USER' AND role = 'ORG_ADMIN' \
                   AND resource_kind = 'ORGANIZATION' AND disabled_at IS NULL \
                   AND password_hash IS NOT NULL LIMIT 1";
        Ok(!self.tx.rows("looking for an administrator", sql, args![]).await?.is_empty())
    }
}
