//! API keys: how service accounts prove who they are.
//!
//! A key looks like `srk_4f0c9a3be1d27788_` and 64 more digits. The part before the last `_` is its
//! *prefix*: no secret, shown in lists, and what it is found by. Of the whole, only a hash is kept,
//! and it is shown once. The rest has 256 random bits, so a fast hash without salt is enough, and
//! every request of the API can afford it.

use jiff::{SignedDuration, Timestamp};

use crate::database::{FromRow, Row, args};
use crate::page::{Query, Sort};
use crate::sealed::{Secret, random, to_hex};
use crate::service_accounts::ServiceAccount;
use crate::sessions::token_hash;
use crate::{
    ApiKeyId, Catalog, CatalogError, Listed, Order, Page, Result, ServiceAccountId, Write,
};

/// A key of a service account, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose key it is.
    pub service_account: ServiceAccountId,
    /// Its name.
    pub name: String,
    /// How the secret begins.
    pub prefix: String,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

const COLUMNS: &str = "id, service_account_id, name, prefix, last_used, created_at";
/// Uses closer together than this are written down as one.
const USE_INTERVAL: SignedDuration = SignedDuration::from_secs(60);

impl FromRow for ApiKey {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(ApiKey {
            id: row.get("id")?,
            service_account: row.get("service_account_id")?,
            name: row.get("name")?,
            prefix: row.get("prefix")?,
            last_used: row.opt("last_used")?,
            created_at: row.get("created_at")?,
        })
    }
}

struct Kept {
    key: ApiKey,
    hash: Vec<u8>,
}

impl FromRow for Kept {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Kept { key: ApiKey::from_row(row)?, hash: row.get("secret_hash")? })
    }
}

impl Catalog {
    /// The key with this secret, and whose it is. None: there is no such key.
    pub async fn authenticate(&self, secret: &Secret) -> Result<Option<(ApiKey, ServiceAccount)>> {
        let Some((prefix, _)) = secret.expose().rsplit_once('_') else { return Ok(None) };
        if prefix.contains('\0') {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS}, secret_hash FROM api_keys WHERE prefix = $1");
        let sql = sqlx::AssertSqlSafe(sql);
        let kept: Option<Kept> =
            self.database.find("looking for an API key", sql, args![prefix]).await?;
        let Some(Kept { mut key, hash }) = kept else { return Ok(None) };
        // `blake3::Hash` compares in constant time.
        let given = blake3::hash(secret.expose().as_bytes());
        if <[u8; 32]>::try_from(hash).ok().map(blake3::Hash::from_bytes) != Some(given) {
            return Ok(None);
        }
        // An account that is removed takes its keys along, perhaps at this moment.
        let account = match self.service_account(key.service_account).await {
            Ok(account) => account,
            Err(CatalogError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let now = self.now();
        if key.last_used.is_none_or(|used| now.duration_since(used) >= USE_INTERVAL) {
            let mut write = self.begin().await?;
            let sql = "UPDATE api_keys SET last_used = $2 WHERE id = $1";
            write.tx.run("noting that a key is used", sql, args![key.id, now]).await?;
            write.commit().await?;
            key.last_used = Some(now);
        }
        Ok(Some((key, account)))
    }

    /// A key by id.
    pub async fn api_key(&self, id: ApiKeyId) -> Result<ApiKey> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM api_keys WHERE id = $1"));
        let found = self.database.find("reading an API key", sql, args![id]).await?;
        found.ok_or_else(|| CatalogError::not_found("API key", id))
    }

    /// A key by its prefix, by which those name it who have nothing but the secret.
    pub async fn api_key_by_prefix(&self, prefix: &str) -> Result<ApiKey> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM api_keys WHERE prefix = $1"));
        let found = self.database.find("reading an API key", sql, args![prefix]).await?;
        found.ok_or_else(|| CatalogError::not_found("API key", prefix))
    }

    /// All keys, or those of one service account, oldest first.
    pub async fn api_keys(
        &self,
        of: Option<ServiceAccountId>,
        page: &Page,
    ) -> Result<Listed<ApiKey>> {
        let sort = Sort::time("created_at", Order::Ascending);
        let select = format!("SELECT {COLUMNS} FROM api_keys");
        let mut query = Query::new(select, "id", "created_at", sort);
        query.with_some("service_account_id = {}", of);
        query.read(&self.database, "listing API keys", page, self.now()).await
    }
}

impl Write<'_> {
    /// Makes a key. The secret is not kept anywhere else.
    pub async fn create_api_key(
        &mut self,
        of: ServiceAccountId,
        name: &str,
    ) -> Result<(ApiKey, Secret)> {
        let prefix = format!("srk_{}", to_hex(&random::<8>()));
        let secret = Secret::new(format!("{prefix}_{}", to_hex(&random::<32>())));
        let now = self.now();
        let sql = format!(
            "INSERT INTO api_keys (id, service_account_id, name, prefix, secret_hash, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING {COLUMNS}"
        );
        let hash = token_hash(secret.expose());
        let values = args![ApiKeyId::new(), of, name, prefix, hash, now];
        let made = self.tx.one("making an API key", sqlx::AssertSqlSafe(sql), values).await;
        let made = made.map_err(|error: CatalogError| error.or_missing("service account", of))?;
        Ok((made, secret))
    }

    /// Gives a key another name.
    pub async fn rename_api_key(&mut self, id: ApiKeyId, name: &str) -> Result<ApiKey> {
        let sql = format!("UPDATE api_keys SET name = $2 WHERE id = $1 RETURNING {COLUMNS}");
        let sql = sqlx::AssertSqlSafe(sql);
        let renamed = self.tx.find("renaming an API key", sql, args![id, name]).await?;
        renamed.ok_or_else(|| CatalogError::not_found("API key", id))
    }

    /// Removes a key; it opens nothing from now on.
    pub async fn delete_api_key(&mut self, id: ApiKeyId) -> Result<()> {
        let sql = "DELETE FROM api_keys WHERE id = $1";
        match self.tx.run("removing an API key", sql, args![id]).await? {
            0 => Err(CatalogError::not_found("API key", id)),
            _ => Ok(()),
        }
    }
}
