//! Sessions: a person, signed in at a browser.
//!
//! A session is a random token of 256 bits, which only the browser has; the catalog keeps its hash.
//! It ends at a fixed time, or earlier when it was idle for too long. Being used is written down at
//! most once in a twentieth of the idle time, so that a busy console does not write with every
//! request.

use jiff::{SignedDuration, Timestamp};

use crate::database::{FromRow, Row, args};
use crate::sealed::{Secret, random, to_hex};
use crate::users::{Proven, User};
use crate::{Catalog, CatalogError, Result, UserId, Write};

/// How long sessions live.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// From sign-in to the end, whatever happens.
    pub total: SignedDuration,
    /// From the last request to the end.
    pub idle: SignedDuration,
}

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Who.
    pub user: UserId,
    /// Since when.
    pub created_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// How many seconds it may be idle.
    pub idle_seconds: i64,
    /// When it was last used, roughly.
    pub last_seen: Timestamp,
    /// From where it was begun.
    pub address: Option<String>,
    /// What the browser calls itself.
    pub agent: Option<String>,
}

const COLUMNS: &str = "user_id, created_at, expires_at, idle_seconds, last_seen, address, agent";

impl FromRow for Session {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(Session {
            user: row.get("user_id")?,
            created_at: row.get("created_at")?,
            expires_at: row.get("expires_at")?,
            idle_seconds: row.get("idle_seconds")?,
            last_seen: row.get("last_seen")?,
            address: row.opt("address")?,
            agent: row.opt("agent")?,
        })
    }
}

impl Session {
    /// When it ends if it is not used again.
    pub fn ends_at(&self) -> Timestamp {
        let idle = self.last_seen.saturating_add(SignedDuration::from_secs(self.idle_seconds));
        idle.map_or(self.expires_at, |idle| idle.min(self.expires_at))
    }
}

/// Tokens are random, so a fast hash without salt is as good as a slow one.
pub(crate) fn token_hash(token: &str) -> Vec<u8> {
    blake3::hash(token.as_bytes()).as_bytes().to_vec()
}

impl Catalog {
    /// The session of this token, and its user. None: it has ended, never was, or the user is
    /// disabled.
    pub async fn session(&self, token: &Secret) -> Result<Option<(Session, User)>> {
        let now = self.now();
        let hash = token_hash(token.expose());
        let sql = format!("SELECT {COLUMNS} FROM sessions WHERE token_hash = $1");
        let sql = sqlx::AssertSqlSafe(sql);
        let found: Option<Session> =
            self.database.find("reading a session", sql, args![hash]).await?;
        let Some(mut session) = found.filter(|session| now < session.ends_at()) else {
            return Ok(None);
        };
        // A user that is removed takes its sessions along, perhaps at this moment.
        let user = match self.user(session.user).await {
            Ok(user) if user.disabled_at.is_none() => user,
            Ok(_) | Err(CatalogError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let unseen = now.duration_since(session.last_seen).as_secs();
        if unseen > session.idle_seconds / 20 {
            let mut write = self.begin().await?;
            // Never back in time, where two requests pass each other.
            let sql = "UPDATE sessions SET last_seen = $2 WHERE token_hash = $1 AND last_seen < $2";
            write.tx.run("noting that a session is used", sql, args![hash, now]).await?;
            write.commit().await?;
            session.last_seen = now;
        }
        Ok(Some((session, user)))
    }

    /// Removes sessions that have ended; how many there were. Nothing depends on it but room.
    pub async fn sweep_sessions(&self) -> Result<u64> {
        let mut write = self.begin().await?;
        let now = write.now();
        let sql = "DELETE FROM sessions WHERE expires_at <= $1";
        let removed = write.tx.run("removing old sessions", sql, args![now]).await?;
        write.commit().await?;
        Ok(removed)
    }
}

impl Write<'_> {
    /// Begins a session for a user who has shown a password. The token is not kept anywhere else.
    /// None: since then the password was changed, or the user disabled or removed.
    pub async fn start_session(
        &mut self,
        proven: &Proven,
        lifetime: Lifetime,
        address: Option<&str>,
        agent: Option<&str>,
    ) -> Result<Option<(Secret, Session)>> {
        let token = Secret::new(to_hex(&random::<32>()));
        let now = self.now();
        let user = proven.user.id;
        // First, as it makes whoever changes the password now wait until the session can be ended.
        let sql = "UPDATE users SET last_sign_in = $2 \
                   WHERE id = $1 AND password_hash = $3 AND disabled_at IS NULL";
        let values = args![user, now, proven.hash];
        if self.tx.run("noting that a user signs in", sql, values).await? == 0 {
            return Ok(None);
        }
        let expires = now.saturating_add(lifetime.total).unwrap_or(Timestamp::MAX);
        let idle = lifetime.idle.as_secs();
        // A name of a browser is whatever it wants to send.
        let agent = agent.map(|agent| agent.chars().take(200).collect::<String>());
        let sql = format!(
            "INSERT INTO sessions (token_hash, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $3, $6, $7) \
             RETURNING {COLUMNS}"
        );
        let values = args![token_hash(token.expose()), user, now, expires, idle, address, agent];
        let session = self.tx.one("beginning a session", sqlx::AssertSqlSafe(sql), values).await?;
        Ok(Some((token, session)))
    }

    /// Ends the session of this token. Whether there was one.
    pub async fn end_session(&mut self, token: &Secret) -> Result<bool> {
        let sql = "DELETE FROM sessions WHERE token_hash = $1";
        let hash = token_hash(token.expose());
        Ok(self.tx.run("ending a session", sql, args![hash]).await? > 0)
    }

    /// Ends all sessions of a user; how many there were.
    pub async fn end_sessions_of(&mut self, user: UserId) -> Result<u64> {
        let sql = "DELETE FROM sessions WHERE user_id = $1";
        self.tx.run("ending a user's sessions", sql, args![user]).await
    }
}
