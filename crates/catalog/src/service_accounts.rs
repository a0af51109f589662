//! Service accounts: programs that use the API, by keys (see [`crate::api_keys`]).

use jiff::Timestamp;

use crate::database::{FromRow, Row, args};
use crate::grants::Role;
use crate::page::{Query, Sort};
use crate::{Catalog, CatalogError, Listed, Page, Result, ServiceAccountId, Write};

/// A program that uses the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its id.
    pub id: ServiceAccountId,
    /// Its name; two may have the same.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Who made it, as the audit log names them.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Which service accounts are wanted.
#[derive(Clone, Debug, Default)]
pub struct AccountFilter {
    /// Only those of exactly this name.
    pub name: Option<String>,
    /// Only those that have one of these roles, on whatever. None: all.
    pub roles: Vec<Role>,
}

const COLUMNS: &str = "id, name, description, created_by, created_at, updated_at";

impl FromRow for ServiceAccount {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(ServiceAccount {
            id: row.get("id")?,
            name: row.get("name")?,
            description: row.get("description")?,
            created_by: row.opt("created_by")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

impl Catalog {
    /// A service account by id.
    pub async fn service_account(&self, id: ServiceAccountId) -> Result<ServiceAccount> {
        let sql = format!("SELECT {COLUMNS} FROM service_accounts WHERE id = $1");
        let sql = sqlx::AssertSqlSafe(sql);
        let found = self.database.find("reading a service account", sql, args![id]).await?;
        found.ok_or_else(|| CatalogError::not_found("service account", id))
    }

    /// Service accounts, by name.
    pub async fn service_accounts(
        &self,
        filter: &AccountFilter,
        page: &Page,
    ) -> Result<Listed<ServiceAccount>> {
        let select = format!("SELECT {COLUMNS} FROM service_accounts");
        let mut query = Query::new(select, "id", "created_at", Sort::text("name"));
        query.with_some("name = {}", filter.name.as_ref());
        let with_role = "id IN (SELECT grantee_id FROM grants \
                         WHERE grantee_kind = 'SERVICE_ACCOUNT' AND role IN ({}))";
        query.with_any(with_role, &filter.roles);
        query.read(&self.database, "listing service accounts", page, self.now()).await
    }
}

impl Write<'_> {
    /// Makes a service account, without keys or roles.
    pub async fn create_service_account(
        &mut self,
        name: &str,
        description: &str,
        created_by: Option<&str>,
    ) -> Result<ServiceAccount> {
        let now = self.now();
        let sql = format!(
            "INSERT INTO service_accounts ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $5) \
             RETURNING {COLUMNS}"
        );
        let values = args![ServiceAccountId::new(), name, description, created_by, now];
        self.tx.one("making a service account", sqlx::AssertSqlSafe(sql), values).await
    }

    /// Changes name and description; what is not given stays.
    pub async fn change_service_account(
        &mut self,
        id: ServiceAccountId,
        name: Option<&str>,
        description: Option<&str>,
    ) -> Result<ServiceAccount> {
        let now = self.now();
        let sql = format!(
            "UPDATE service_accounts SET name = coalesce($2, name), \
             description = coalesce($3, description), updated_at = $4 \
             WHERE id = $1 RETURNING {COLUMNS}"
        );
        let values = args![id, name, description, now];
        let changed =
            self.tx.find("changing a service account", sqlx::AssertSqlSafe(sql), values).await?;
        changed.ok_or_else(|| CatalogError::not_found("service account", id))
    }

    /// Removes a service account with its keys and roles.
    pub async fn delete_service_account(&mut self, id: ServiceAccountId) -> Result<()> {
        let grants =
            "DELETE FROM grants WHERE grantee_kind = 'SERVICE_ACCOUNT' AND grantee_id = $1";
        self.tx.run("removing a service account's roles", grants, args![id]).await?;
        let sql = "DELETE FROM service_accounts WHERE id = $1";
        match self.tx.run("removing a service account", sql, args![id]).await? {
            0 => Err(CatalogError::not_found("service account", id)),
            _ => Ok(()),
        }
    }
}
