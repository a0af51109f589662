//! Users: people who sign in to the console.
//!
//! Passwords are hashed by Argon2id, off the async threads: that is work of a tenth of a second and
//! 19 MiB by intention. Whether an address is known can not be told from how long a refusal takes:
//! an unknown one is compared with a hash, too. Limits on attempts are the control plane's.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use jiff::Timestamp;

use crate::database::{FromRow, Row, args, failed};
use crate::page::{Query, Sort};
use crate::sealed::{Secret, random, to_hex};
use crate::{Catalog, CatalogError, Listed, Order, Page, Result, UserId, Write};

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The address to sign in with, in lower case.
    pub email: String,
    /// The name to show.
    pub name: String,
    /// Whether there is a password. An invited user has none yet.
    pub has_password: bool,
    /// Since when this user may do nothing any more.
    pub disabled_at: Option<Timestamp>,
    /// When this user last signed in.
    pub last_sign_in: Option<Timestamp>,
    /// When this user was made.
    pub created_at: Timestamp,
    /// When this user was last changed.
    pub updated_at: Timestamp,
}

/// What is known of a user when it is made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The address to sign in with.
    pub email: String,
    /// The name to show.
    pub name: String,
    /// The hash of the password, if there is one already.
    pub password: Option<HashedPassword>,
}

/// A password that was hashed. Its `Debug` does not show the hash.
#[derive(Clone)]
pub struct HashedPassword(String);

impl std::fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashedPassword(..)")
    }
}

/// A user who has shown the right password. What it was compared with is kept, as the password may be
/// another one before a session begins.
#[derive(Clone)]
pub struct Proven {
    /// Who.
    pub user: User,
    pub(crate) hash: String,
}

impl std::fmt::Debug for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proven").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The fewest characters of a password.
pub const MIN_PASSWORD: usize = 8;
/// The most bytes of a password: nobody types more, and hashing them would cost us.
pub const MAX_PASSWORD: usize = 1024;

impl HashedPassword {
    /// Hashes a password. Takes a tenth of a second; done before a transaction is begun.
    pub async fn of(password: Secret) -> Result<Self> {
        let characters = password.expose().chars().count();
        if characters < MIN_PASSWORD || password.expose().len() > MAX_PASSWORD {
            let reason = format!("it has fewer than {MIN_PASSWORD} characters, or too many");
            return Err(CatalogError::invalid("the password", reason));
        }
        let hash = move || {
            let hash = Argon2::default().hash_password(password.expose().as_bytes());
            hash.map(|hash| HashedPassword(hash.to_string())).map_err(|error| error.to_string())
        };
        match tokio::task::spawn_blocking(hash).await {
            Ok(Ok(hashed)) => Ok(hashed),
            Ok(Err(reason)) => Err(CatalogError::invalid("the password", reason)),
            Err(_) => Err(failed("hashing a password", sqlx::Error::WorkerCrashed)),
        }
    }
}

/// What the password of an unknown address is compared with.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| {
    let words = to_hex(&random::<16>());
    Argon2::default().hash_password(words.as_bytes()).ok().map(|hash| hash.to_string())
});

/// Whether `password` has this hash. Without a hash, the same work, and no.
async fn verify(password: Secret, hash: Option<String>) -> Result<bool> {
    let verify = move || {
        let known = hash.is_some();
        let hash = hash.or_else(|| NOBODY.clone()).unwrap_or_default();
        let too_long = password.expose().len() > MAX_PASSWORD;
        let Ok(hash) = PasswordHash::new(&hash) else { return false };
        let password = if too_long { "" } else { password.expose() };
        let matches = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        matches && known && !too_long
    };
    let verified = tokio::task::spawn_blocking(verify).await;
    verified.map_err(|_| failed("comparing a password", sqlx::Error::WorkerCrashed))
}

const COLUMNS: &str = "id, email, name, password_hash IS NOT NULL AS has_password, disabled_at, \
                       last_sign_in, created_at, updated_at";

impl FromRow for User {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(User {
            id: row.get("id")?,
            email: row.get("email")?,
            name: row.get("name")?,
            has_password: row.get("has_password")?,
            disabled_at: row.opt("disabled_at")?,
            last_sign_in: row.opt("last_sign_in")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

struct Credentials {
    id: UserId,
    hash: Option<String>,
}

impl FromRow for Credentials {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Credentials { id: row.get("id")?, hash: row.opt("password_hash")? })
    }
}

/// Addresses are compared without regard to case.
fn normal(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let parts = email.split_once('@');
    let sane = parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if !sane || email.len() > 254 || email.contains(char::is_whitespace) {
        return Err(CatalogError::invalid("the e-mail address", format!("'{email}' is none")));
    }
    Ok(email)
}

impl Catalog {
    /// A user by id.
    pub async fn user(&self, id: UserId) -> Result<User> {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM users WHERE id = $1"));
        let found = self.database.find("reading a user", sql, args![id]).await?;
        found.ok_or_else(|| CatalogError::not_found("user", id))
    }

    /// A user by address.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        let Ok(email) = normal(email) else { return Ok(None) };
        let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM users WHERE email = $1"));
        self.database.find("reading a user", sql, args![email]).await
    }

    /// All users, oldest first.
    pub async fn users(&self, page: &Page) -> Result<Listed<User>> {
        let sort = Sort::time("created_at", Order::Ascending);
        let query = Query::new(format!("SELECT {COLUMNS} FROM users"), "id", "created_at", sort);
        query.read(&self.database, "listing users", page, self.now()).await
    }

    /// The user with this address and password. None: one of them is wrong, or the user is
    /// disabled; which, nobody is told.
    pub async fn check_password(&self, email: &str, password: Secret) -> Result<Option<Proven>> {
        // Something that is no address belongs to nobody, and costs the same.
        let email = normal(email).unwrap_or_default();
        let sql = "SELECT id, password_hash FROM users WHERE email = $1 AND disabled_at IS NULL";
        let known: Option<Credentials> =
            self.database.find("reading a password", sql, args![email]).await?;
        let (id, hash) = known.map_or((None, None), |known| (Some(known.id), known.hash));
        let matches = verify(password, hash.clone()).await?;
        match id.zip(hash).filter(|_| matches) {
            Some((id, hash)) => Ok(Some(Proven { user: self.user(id).await?, hash })),
            None => Ok(None),
        }
    }
}

impl Write<'_> {
    /// Makes a user.
    pub async fn create_user(&mut self, new: &NewUser) -> Result<User> {
        let email = normal(&new.email)?;
        let hash = new.password.as_ref().map(|password| &password.0);
        let now = self.now();
        let sql = format!(
            "INSERT INTO users (id, email, name, password_hash, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $5) RETURNING {COLUMNS}"
        );
        let values = args![UserId::new(), email, new.name, hash.cloned(), now];
        let made = self.tx.one("making a user", sqlx::AssertSqlSafe(sql), values).await;
        made.map_err(|error: CatalogError| error.or_exists("user", &email))
    }

    /// Gives a user another name to show.
    pub async fn rename_user(&mut self, id: UserId, name: &str) -> Result<User> {
        let now = self.now();
        self.change_user(id, "name = $2, updated_at = $3", args![id, name, now]).await
    }

    /// Gives a user another password, and ends all sessions that were begun with the old one.
    pub async fn set_password(&mut self, id: UserId, password: &HashedPassword) -> Result<User> {
        let now = self.now();
        let values = args![id, password.0, now];
        let user = self.change_user(id, "password_hash = $2, updated_at = $3", values).await?;
        self.end_sessions_of(id).await?;
        Ok(user)
    }

    /// Lets a user do nothing any more, and ends all its sessions; or lets it back in. The last
    /// Org Administrator stays.
    pub async fn set_user_disabled(&mut self, id: UserId, disabled: bool) -> Result<User> {
        let now = self.now();
        let at = disabled.then_some(now);
        let change = "disabled_at = $2, updated_at = $3";
        let administered = self.lock_administrators().await?;
        let user = self.change_user(id, change, args![id, at, now]).await?;
        if disabled {
            self.end_sessions_of(id).await?;
            self.keep_an_administrator(administered).await?;
        }
        Ok(user)
    }

    /// Removes a user with its roles and sessions. Audit events keep its name.
    pub async fn delete_user(&mut self, id: UserId) -> Result<()> {
        let administered = self.lock_administrators().await?;
        let grants = "DELETE FROM grants WHERE grantee_kind = 'USER' AND grantee_id = $1";
        self.tx.run("removing a user's roles", grants, args![id]).await?;
        let removed =
            self.tx.run("removing a user", "DELETE FROM users WHERE id = $1", args![id]).await?;
        if removed == 0 {
            return Err(CatalogError::not_found("user", id));
        }
        self.keep_an_administrator(administered).await
    }

    pub(crate) async fn change_user(
        &mut self,
        id: UserId,
        change: &str,
        values: Vec<crate::database::Arg>,
    ) -> Result<User> {
        let sql = format!("UPDATE users SET {change} WHERE id = $1 RETURNING {COLUMNS}");
        let changed = self.tx.find("changing a user", sqlx::AssertSqlSafe(sql), values).await?;
        changed.ok_or_else(|| CatalogError::not_found("user", id))
    }
}
