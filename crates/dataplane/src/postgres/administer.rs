//! Databases and users of a server, listed and changed as a person would with SQL.
//!
//! Names come from outside and are quoted, always. A password never reaches the server: what is sent
//! is the verifier that the server would make of it, so that neither its log nor its statistics of
//! statements can have it.

use futures::{StreamExt, stream};
use tokio_postgres::error::SqlState;

use super::catalog::{self, STAGING};
use super::connect::Client;
use super::server::Server;
use super::sql::{ident, literal};
use crate::error::bail;
use crate::{Error, Kind, Result};

/// Databases whose tables are counted at the same time.
const AT_ONCE: usize = 4;
/// The longest name, in bytes; PostgreSQL would cut longer ones.
const LONGEST_NAME: usize = 63;

/// A database of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: String,
}

/// All databases but templates and staging remains, by name.
pub async fn databases(server: &Server) -> Result<Vec<DatabaseInfo>> {
    let client = connect(server, &server.database).await?;
    let rows = catalog::databases(&client).await?.into_iter();
    let mut found: Vec<_> =
        rows.map(|row| DatabaseInfo { name: row.name, owner: row.owner }).collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// How many tables each of these databases has. `None`: it can not be looked into.
pub async fn table_counts(server: &Server, databases: &[String]) -> Vec<Option<u64>> {
    let count = async |database: &String| {
        let client = connect(server, database).await.ok()?;
        let sql = format!(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' \
               AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
               AND NOT starts_with(n.nspname, {})",
            literal(STAGING)
        );
        client.scalar(&sql).await.ok()??.parse().ok()
    };
    stream::iter(databases).map(count).buffered(AT_ONCE).collect().await
}

/// Makes an empty database.
pub async fn create_database(server: &Server, name: &str) -> Result<()> {
    checked("database", name)?;
    let sql = format!("CREATE DATABASE {}", ident(name));
    run(server, &server.database, &sql, &format!("database {}", ident(name))).await
}

/// Gives a database another name.
pub async fn rename_database(server: &Server, name: &str, new_name: &str) -> Result<()> {
    checked("database", new_name)?;
    let through = beside(server, name)?;
    let sql = format!("ALTER DATABASE {} RENAME TO {}", ident(name), ident(new_name));
    // What can clash is the new name.
    run(server, &through, &sql, &format!("database {}", ident(new_name))).await
}

/// Removes a database with all that is in it. Refused while somebody uses it.
pub async fn drop_database(server: &Server, name: &str) -> Result<()> {
    let through = beside(server, name)?;
    let sql = format!("DROP DATABASE {}", ident(name));
    run(server, &through, &sql, &format!("database {}", ident(name))).await
}

/// All roles that can log in, by name.
pub async fn users(server: &Server) -> Result<Vec<String>> {
    let client = connect(server, &server.database).await?;
    let sql = "SELECT rolname::text FROM pg_roles WHERE rolcanlogin ORDER BY rolname COLLATE \"C\"";
    let rows = client.query(sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Makes a role that can log in with this password.
pub async fn create_user(server: &Server, name: &str, password: &str) -> Result<()> {
    checked("user", name)?;
    let verifier = verifier(password)?;
    let sql = format!("CREATE ROLE {} LOGIN PASSWORD {}", ident(name), literal(&verifier));
    run(server, &server.database, &sql, &format!("user {}", ident(name))).await
}

/// Gives a role another password.
pub async fn set_password(server: &Server, name: &str, password: &str) -> Result<()> {
    let verifier = verifier(password)?;
    let sql = format!("ALTER ROLE {} PASSWORD {}", ident(name), literal(&verifier));
    run(server, &server.database, &sql, &format!("user {}", ident(name))).await
}

/// Removes a role. Refused while it owns something or has been granted something.
pub async fn drop_user(server: &Server, name: &str) -> Result<()> {
    let sql = format!("DROP ROLE {}", ident(name));
    run(server, &server.database, &sql, &format!("user {}", ident(name))).await
}

/// What the server keeps of a password: made here, so that the password stays here.
fn verifier(password: &str) -> Result<String> {
    if password.is_empty() {
        bail!(Usage, "the password is empty");
    }
    if password.contains('\0') {
        bail!(Usage, "the password has a NUL character in it");
    }
    Ok(postgres_protocol::password::scram_sha_256(password.as_bytes()))
}

/// A name that the server takes as it is.
fn checked(what: &str, name: &str) -> Result<()> {
    let wrong = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > LONGEST_NAME {
        format!("it has {} bytes, and {LONGEST_NAME} are the most", name.len())
    } else if name.contains('\0') {
        "it has a NUL character in it".to_owned()
    } else if name.starts_with(STAGING) || name.starts_with("pg_") {
        "such names are kept for the system".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::Usage, format!("'{name}' can not be the name of a {what}: {wrong}")))
}

/// A database from which `name` can be renamed or dropped.
fn beside(server: &Server, name: &str) -> Result<String> {
    if name == server.database {
        return Err(Error::new(
            Kind::Busy,
            format!("database {} is the one that Strongroom connects to", ident(name)),
        )
        .hint("change the connection URL of the cluster to another database first"));
    }
    Ok(server.database.clone())
}

async fn connect(server: &Server, database: &str) -> Result<Client> {
    Client::connect(server, database, "strongroom").await
}

/// Runs one statement about `object`, and says what its failure means.
async fn run(server: &Server, database: &str, sql: &str, object: &str) -> Result<()> {
    let client = connect(server, database).await?;
    let Err(error) = client.batch_execute(sql).await else { return Ok(()) };
    let code = error.code().cloned();
    let said = Error::from(error);
    let plain = |kind, text: &str| Error::new(kind, format!("{object} {text}"));
    Err(match code {
        Some(code) if code == SqlState::UNDEFINED_OBJECT || code == SqlState::INVALID_CATALOG_NAME => {
            plain(Kind::NotFound, "does not exist")
        }
        Some(code) if code == SqlState::DUPLICATE_DATABASE || code == SqlState::DUPLICATE_OBJECT => {
            plain(Kind::Conflict, "exists already")
        }
        Some(code) if code == SqlState::DEPENDENT_OBJECTS_STILL_EXIST => plain(
            Kind::Busy,
            &format!("can not be removed: {}", said.message()),
        )
        .hint("give what it owns to another role (REASSIGN OWNED), and remove its grants (DROP OWNED)"),
        Some(code) if code == SqlState::OBJECT_IN_USE => plain(Kind::Busy, &format!("is in use: {}", said.message()))
            .hint("end the sessions that use it, and try again"),
        _ => said.context(object),
    })
}
