//! The organization. There is one.

use jiff::Timestamp;

use crate::database::{FromRow, Row, args};
use crate::{Catalog, CatalogError, OrganizationId, Result, Write};

/// The organization that owns everything here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    /// When it was made: at the first start.
    pub created_at: Timestamp,
}

impl FromRow for Organization {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Organization {
            id: row.get("id")?,
            name: row.get("name")?,
            created_at: row.get("created_at")?,
        })
    }
}

impl Catalog {
    /// The organization. None before the first start has made it.
    pub async fn organization(&self) -> Result<Option<Organization>> {
        let sql = "SELECT id, name, created_at FROM organizations";
        self.database.find("reading the organization", sql, args![]).await
    }
}

impl Write<'_> {
    /// Makes the organization, or returns the one that there is. Replicas may start at once.
    pub async fn ensure_organization(&mut self, name: &str) -> Result<Organization> {
        let doing = "making the organization";
        let insert = "INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3) \
                      ON CONFLICT (single) DO NOTHING";
        let now = self.now();
        self.tx.run(doing, insert, args![OrganizationId::new(), name, now]).await?;
        self.tx.one(doing, "SELECT id, name, created_at FROM organizations", args![]).await
    }

    /// Gives the organization another name.
    pub async fn rename_organization(&mut self, name: &str) -> Result<Organization> {
        let sql = "UPDATE organizations SET name = $1 RETURNING id, name, created_at";
        let renamed = self.tx.find("renaming the organization", sql, args![name]).await?;
        renamed.ok_or_else(|| CatalogError::not_found("organization", name))
    }
}
