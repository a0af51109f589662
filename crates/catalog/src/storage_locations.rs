//! Storage locations: collections that the service writes managed backups to, each in a region.

use jiff::Timestamp;

use crate::database::{FromRow, Row, args};
use crate::page::{Query, Sort};
use crate::sealed::{MasterKeys, Place, Secret};
use crate::{Catalog, CatalogError, Listed, LocationId, Page, Result, Write};

/// A place for backups. Its secrets are asked for apart ([`Catalog::location_secrets`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageLocation {
    /// Its id.
    pub id: LocationId,
    /// Its name.
    pub name: String,
    /// The region that it lies in.
    pub region: String,
    /// The collection's URL without secrets.
    pub url_shown: String,
    /// Whether backups are encrypted before they leave the machine.
    pub encrypted: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What is known of a location when it is made.
#[derive(Clone, Debug)]
pub struct NewLocation {
    /// Its name.
    pub name: String,
    /// The region that it lies in.
    pub region: String,
    /// The collection's URL, with what opens it.
    pub url: Secret,
    /// The URL without secrets.
    pub url_shown: String,
    /// The key or passphrase that backups are encrypted with.
    pub encryption: Option<Secret>,
}

/// What opens a location.
#[derive(Clone, Debug)]
pub struct LocationSecrets {
    /// The collection's URL.
    pub url: Secret,
    /// The key or passphrase that backups are encrypted with.
    pub encryption: Option<Secret>,
}

const COLUMNS: &str = "id, name, region, url_shown, encryption_sealed IS NOT NULL AS encrypted, \
                       created_at, updated_at";

impl FromRow for StorageLocation {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(StorageLocation {
            id: row.get("id")?,
            name: row.get("name")?,
            region: row.get("region")?,
            url_shown: row.get("url_shown")?,
            encrypted: row.get("encrypted")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

const SECRETS: &str = "SELECT url_sealed, encryption_sealed FROM storage_locations WHERE id = $1";

struct Sealed {
    url: Vec<u8>,
    encryption: Option<Vec<u8>>,
}

impl Sealed {
    fn open(&self, id: LocationId, keys: &MasterKeys) -> Result<LocationSecrets> {
        let row = id.to_string();
        let open = |bytes| keys.open(place(&row, "encryption_sealed"), bytes);
        Ok(LocationSecrets {
            url: keys.open(place(&row, "url_sealed"), &self.url)?,
            encryption: self.encryption.as_deref().map(open).transpose()?,
        })
    }
}

impl FromRow for Sealed {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Sealed { url: row.get("url_sealed")?, encryption: row.opt("encryption_sealed")? })
    }
}

fn place<'a>(row: &'a str, column: &'static str) -> Place<'a> {
    Place { table: "storage_locations", row, column }
}

impl Catalog {
    /// A location by id.
    pub async fn location(&self, id: LocationId) -> Result<StorageLocation> {
        let sql = format!("SELECT {COLUMNS} FROM storage_locations WHERE id = $1");
        let sql = sqlx::AssertSqlSafe(sql);
        let found = self.database.find("reading a storage location", sql, args![id]).await?;
        found.ok_or_else(|| CatalogError::not_found("storage location", id))
    }

    /// What opens a location: for workers, never for a reply.
    pub async fn location_secrets(&self, id: LocationId) -> Result<LocationSecrets> {
        let found = self.database.find("reading a storage location", SECRETS, args![id]).await?;
        let sealed: Sealed =
            found.ok_or_else(|| CatalogError::not_found("storage location", id))?;
        sealed.open(id, &self.keys)
    }

    /// All locations, by name; or those of one region.
    pub async fn locations(
        &self,
        region: Option<&str>,
        page: &Page,
    ) -> Result<Listed<StorageLocation>> {
        let select = format!("SELECT {COLUMNS} FROM storage_locations");
        let mut query = Query::new(select, "id", "created_at", Sort::text("name"));
        query.with_some("region = {}", region);
        query.read(&self.database, "listing storage locations", page, self.now()).await
    }
}

/// What refers to a location.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocationUse {
    /// The names of clusters that are backed up into it, some of them.
    pub clusters: Vec<String>,
    /// Backups that lie in it, those that wait to be removed, too.
    pub backups: i64,
    /// Jobs that wait or run in it.
    pub jobs: i64,
}

impl LocationUse {
    /// Why it can not be removed, in words. `None`: nothing is in the way.
    pub fn reason(&self) -> Option<String> {
        let LocationUse { clusters, backups, jobs } = self;
        let mut reasons = Vec::new();
        if !clusters.is_empty() {
            reasons.push(format!("clusters are backed up into it: {}", clusters.join(", ")));
        }
        if *backups > 0 {
            reasons.push(format!("{backups} backups lie in it"));
        }
        if *jobs > 0 {
            reasons.push(format!("{jobs} jobs work in it"));
        }
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

struct Named(String);

impl FromRow for Named {
    fn from_row(row: &Row) -> Result<Self> {
        row.get("name").map(Named)
    }
}

struct Counted(i64);

impl FromRow for Counted {
    fn from_row(row: &Row) -> Result<Self> {
        row.get("how_many").map(Counted)
    }
}

impl Write<'_> {
    /// A location and what opens it, which both stay as they are until the commit.
    pub async fn lock_location(
        &mut self,
        id: LocationId,
    ) -> Result<(StorageLocation, LocationSecrets)> {
        let doing = "locking a storage location";
        let missing = || CatalogError::not_found("storage location", id);
        let lock = self.tx.dialect().for_update();
        let sql = format!("SELECT {COLUMNS} FROM storage_locations WHERE id = $1{lock}");
        let found = self.tx.find(doing, sqlx::AssertSqlSafe(sql), args![id]).await?;
        let location: StorageLocation = found.ok_or_else(missing)?;
        let found = self.tx.find(doing, SECRETS, args![id]).await?;
        let sealed: Sealed = found.ok_or_else(missing)?;
        Ok((location, sealed.open(id, self.keys())?))
    }

    /// What refers to a location. The location stays as it is until the commit.
    pub async fn use_of_location(&mut self, id: LocationId) -> Result<LocationUse> {
        let doing = "looking for what uses a storage location";
        let lock = self.tx.dialect().for_update();
        let sql = format!("SELECT id FROM storage_locations WHERE id = $1{lock}");
        if self.tx.rows(doing, sqlx::AssertSqlSafe(sql), args![id]).await?.is_empty() {
            return Err(CatalogError::not_found("storage location", id));
        }
        let sql = "SELECT name FROM clusters WHERE location_id = $1 AND deleted_at IS NULL \
                   ORDER BY name LIMIT 5";
        let rows = self.tx.rows(doing, sql, args![id]).await?;
        let names = rows.iter().map(Named::from_row).collect::<Result<Vec<_>>>()?;
        let clusters = names.into_iter().map(|Named(name)| name).collect();
        let sql = "SELECT count(*) AS how_many FROM backups WHERE location_id = $1";
        let Counted(backups) = self.tx.one(doing, sql, args![id]).await?;
        let sql = "SELECT count(*) AS how_many FROM jobs WHERE location_id = $1 \
                   AND state IN ('pending', 'running')";
        let Counted(jobs) = self.tx.one(doing, sql, args![id]).await?;
        Ok(LocationUse { clusters, backups, jobs })
    }

    /// Makes a location where there is none at all. Of several replicas that ask at once, one does.
    pub async fn create_first_location(
        &mut self,
        new: &NewLocation,
    ) -> Result<Option<StorageLocation>> {
        self.lock_administrators().await?;
        let sql = "SELECT name FROM storage_locations LIMIT 1";
        let rows = self.tx.rows("looking for storage locations", sql, args![]).await?;
        if rows.is_empty() { self.create_location(new).await.map(Some) } else { Ok(None) }
    }

    /// Gives a location another name.
    pub async fn rename_location(&mut self, id: LocationId, name: &str) -> Result<StorageLocation> {
        let sql = format!(
            "UPDATE storage_locations SET name = $2, updated_at = $3 WHERE id = $1 \
             RETURNING {COLUMNS}"
        );
        let values = args![id, name, self.now()];
        let sql = sqlx::AssertSqlSafe(sql);
        let renamed = self.tx.find("renaming a storage location", sql, values).await;
        let renamed = renamed.map_err(|error| error.or_exists("storage location", name))?;
        renamed.ok_or_else(|| CatalogError::not_found("storage location", id))
    }

    /// Makes a location.
    pub async fn create_location(&mut self, new: &NewLocation) -> Result<StorageLocation> {
        let (id, now) = (LocationId::new(), self.now());
        let (url, encryption) = self.seal_location(id, &new.url, new.encryption.as_ref())?;
        let sql = format!(
            "INSERT INTO storage_locations (id, name, region, url_sealed, url_shown, \
             encryption_sealed, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $7) \
             RETURNING {COLUMNS}"
        );
        let values = args![id, new.name, new.region, url, new.url_shown, encryption, now];
        let made = self.tx.one("making a storage location", sqlx::AssertSqlSafe(sql), values).await;
        made.map_err(|error: CatalogError| error.or_exists("storage location", &new.name))
    }

    /// Gives a location another URL, such as one with new keys of the same bucket.
    pub async fn set_location_secrets(
        &mut self,
        id: LocationId,
        secrets: &LocationSecrets,
        url_shown: &str,
    ) -> Result<StorageLocation> {
        let (url, encryption) =
            self.seal_location(id, &secrets.url, secrets.encryption.as_ref())?;
        let now = self.now();
        let sql = format!(
            "UPDATE storage_locations SET url_sealed = $2, encryption_sealed = $3, url_shown = $4, \
             updated_at = $5 WHERE id = $1 RETURNING {COLUMNS}"
        );
        let sql = sqlx::AssertSqlSafe(sql);
        let values = args![id, url, encryption, url_shown, now];
        let changed = self.tx.find("changing a storage location", sql, values).await?;
        changed.ok_or_else(|| CatalogError::not_found("storage location", id))
    }

    /// Forgets a location into which no cluster is backed up, in which no backup lies, and no job
    /// works.
    pub async fn delete_location(&mut self, id: LocationId) -> Result<()> {
        if let Some(reason) = self.use_of_location(id).await?.reason() {
            return Err(CatalogError::conflict("storage location", id, reason));
        }
        let doing = "removing a storage location";
        // What is over needs no place any more.
        for sql in [
            "UPDATE clusters SET location_id = NULL WHERE location_id = $1",
            "UPDATE jobs SET location_id = NULL WHERE location_id = $1",
            "DELETE FROM storage_locations WHERE id = $1",
        ] {
            self.tx.run(doing, sql, args![id]).await?;
        }
        Ok(())
    }

    fn seal_location(
        &self,
        id: LocationId,
        url: &Secret,
        encryption: Option<&Secret>,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
        let row = id.to_string();
        let seal = |secret| self.keys().seal(place(&row, "encryption_sealed"), secret);
        let url = self.keys().seal(place(&row, "url_sealed"), url)?;
        Ok((url, encryption.map(seal).transpose()?))
    }
}
