//! Looking at a server before it is relied on: who we are there, and what that lets us do.
//!
//! A backup that fails in the first night because a table can not be read is noticed late. So what a
//! backup and a restore need is asked for beforehand, and what is missing is told with the statement
//! that mends it. Nothing is changed.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};

use super::catalog::{self, DatabaseRow};
use super::connect::Client;
use super::dump::PgDump;
use super::server::Server;
use super::sql::ident;
use crate::{Error, Kind, Result};

/// The oldest and the newest server that is known.
const MAJORS: std::ops::RangeInclusive<u32> = 13..=18;
/// Databases that are looked at at the same time.
const AT_ONCE: usize = 4;
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The names of objects that a message tells, of many.
const TOLD: usize = 3;

/// The major versions that are supported, oldest first.
pub fn supported_majors() -> std::ops::RangeInclusive<u32> {
    MAJORS
}

/// What a server is, and what we may do there.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Its version, such as `15.14`.
    pub version: String,
    /// Its major version.
    pub major: u32,
    /// What it calls itself, if it tells.
    pub system_identifier: Option<String>,
    /// Whether it follows another server.
    pub standby: bool,
    /// Our role is a superuser.
    pub superuser: bool,
    /// Our role reads all tables, present and future.
    pub reads_all_data: bool,
    /// Our role reads the passwords of roles.
    pub reads_passwords: bool,
    /// Our role may make databases.
    pub creates_databases: bool,
    /// Our role is not bound by row security.
    pub bypasses_row_security: bool,
    /// What will not work, the worst first.
    pub problems: Vec<Problem>,
}

/// Something that will not work, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What will not work, and why.
    pub message: String,
    /// A statement for a superuser, or another thing to do.
    pub remedy: Option<String>,
    /// Backups would fail.
    pub blocking: bool,
}

impl Inspection {
    /// What our role may do, by short names.
    pub fn privileges(&self) -> Vec<&'static str> {
        let all = [
            (self.superuser, "superuser"),
            (self.reads_all_data, "reads all tables"),
            (self.reads_passwords, "reads the passwords of roles"),
            (self.bypasses_row_security, "is not bound by row security"),
            (self.creates_databases, "creates databases"),
        ];
        all.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect()
    }

    /// The first problem that lets backups fail.
    pub fn blocking(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.blocking)
    }
}

/// Looks at a server. An error: it can not be reached, or is none that can be backed up.
pub async fn inspect(server: &Server) -> Result<Inspection> {
    match tokio::time::timeout(PATIENCE, look(server)).await {
        Ok(inspection) => inspection,
        Err(_) => Err(Error::new(
            Kind::Unreachable,
            format!("server {server} did not answer all questions within {} s", PATIENCE.as_secs()),
        )
        .hint("see what keeps it busy, and try again")),
    }
}

async fn look(server: &Server) -> Result<Inspection> {
    let client = Client::connect(server, &server.database, "strongroom").await?;
    let version_num = version(server, &client).await?;
    let source = crate::backup::source(&client, version_num).await?;
    let row = client
        .query_one(
            "SELECT r.rolsuper, r.rolcreatedb, r.rolbypassrls, \
                    has_table_privilege('pg_catalog.pg_authid', 'SELECT'), pg_is_in_recovery(), \
                    coalesce((SELECT pg_has_role(oid, 'USAGE') FROM pg_roles \
                              WHERE rolname = 'pg_read_all_data'), false) \
             FROM pg_roles r WHERE r.rolname = current_user",
            &[],
        )
        .await?;
    let superuser: bool = row.get(0);
    let mut found = Inspection {
        version: source.version,
        major: version_num / 10000,
        system_identifier: Some(source.system_identifier).filter(|text| !text.is_empty()),
        standby: row.get(4),
        superuser,
        reads_all_data: superuser || row.get::<_, bool>(5),
        reads_passwords: row.get(3),
        creates_databases: superuser || row.get::<_, bool>(1),
        bypasses_row_security: superuser || row.get::<_, bool>(2),
        problems: Vec::new(),
    };
    if let Err(error) = PgDump::find(version_num).await {
        let remedy = error.hint_text().map(str::to_owned);
        let message = error.message().to_owned();
        found.problems.push(Problem { message, remedy, blocking: true });
    }
    let databases = catalog::databases(&client).await?;
    found.problems.extend(unreadable(server, &client, &databases, &found).await?);
    found.problems.extend(shortcomings(server, &found));
    Ok(found)
}

async fn version(server: &Server, client: &Client) -> Result<u32> {
    let text = client.scalar("SELECT version()").await?.unwrap_or_default();
    if !text.starts_with("PostgreSQL") {
        let name = text.split(' ').next().unwrap_or_default();
        return Err(Error::new(
            Kind::Unsupported,
            format!("server {server} is no PostgreSQL but calls itself {name}"),
        )
        .hint("PostgreSQL 13 to 18 can be attached"));
    }
    let version_num = catalog::version_num(client).await?;
    let major = version_num / 10000;
    if MAJORS.contains(&major) {
        return Ok(version_num);
    }
    Err(Error::new(Kind::Unsupported, format!("server {server} is PostgreSQL {major}"))
        .hint(format!("versions {} to {} can be backed up", MAJORS.start(), MAJORS.end())))
}

/// What can not be read, of everything that a backup of the cluster reads.
async fn unreadable(
    server: &Server,
    client: &Client,
    databases: &[DatabaseRow],
    found: &Inspection,
) -> Result<Vec<Problem>> {
    if found.superuser {
        return Ok(Vec::new());
    }
    let rows = client
        .query("SELECT oid FROM pg_database WHERE has_database_privilege(oid, 'CONNECT')", &[])
        .await?;
    let open: Vec<u32> = rows.iter().map(|row| row.get(0)).collect();
    let mut problems = Vec::new();
    let mut readable = Vec::new();
    for database in databases.iter().filter(|database| database.accepts_connections) {
        if open.contains(&database.oid) {
            readable.push(database.name.clone());
            continue;
        }
        let (name, user) = (ident(&database.name), ident(&server.user));
        problems.push(Problem {
            message: format!("role {user} may not connect to database {name}"),
            remedy: Some(format!("GRANT CONNECT ON DATABASE {name} TO {user}")),
            blocking: true,
        });
    }
    let looks = stream::iter(readable)
        .map(|database| async move { unreadable_in(server, &database, found).await })
        .buffered(AT_ONCE);
    let inside: Vec<Vec<Problem>> = looks.try_collect().await?;
    problems.extend(inside.into_iter().flatten());
    Ok(problems)
}

/// Tables and sequences that a backup reads and we may not; those whose rows would be hidden; large
/// objects.
async fn unreadable_in(
    server: &Server,
    database: &str,
    found: &Inspection,
) -> Result<Vec<Problem>> {
    let client = Client::connect(server, database, "strongroom").await?;
    let rows = client
        .query(
            "SELECT n.nspname::text, format('%I.%I', n.nspname, c.relname), \
                    NOT (has_schema_privilege(n.oid, 'USAGE') \
                         AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') \
                             ELSE has_table_privilege(c.oid, 'SELECT') END), \
                    c.relkind <> 'S' AND row_security_active(c.oid) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid \
                  AND d.objsubid = 0 AND d.deptype = 'e' \
             LEFT JOIN pg_extension e ON e.oid = d.refobjid \
             WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' \
                   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
                   AND NOT starts_with(n.nspname, 'strongroom_staging_') \
                   AND (e.oid IS NULL OR c.oid = ANY (e.extconfig)) \
             ORDER BY 2",
            &[],
        )
        .await?;
    let (mut hidden, mut schemas, mut filtered) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        let (schema, name): (String, String) = (row.get(0), row.get(1));
        if row.get(2) {
            hidden.push(name);
            if !schemas.contains(&schema) {
                schemas.push(schema);
            }
        } else if row.get(3) {
            filtered.push(name);
        }
    }
    let (shown, user) = (ident(database), ident(&server.user));
    let mut problems = Vec::new();
    if !hidden.is_empty() {
        let grants = schemas.iter().map(|schema| {
            let schema = ident(schema);
            format!(
                "GRANT USAGE ON SCHEMA {schema} TO {user}; GRANT SELECT ON ALL TABLES IN SCHEMA \
                 {schema} TO {user}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {user}"
            )
        });
        let remedy = match found.major {
            14.. => format!("GRANT pg_read_all_data TO {user}"),
            _ => format!("in database {shown}: {}", grants.collect::<Vec<_>>().join("; ")),
        };
        problems.push(Problem {
            message: format!("role {user} may not read {} in database {shown}", told(&hidden)),
            remedy: Some(remedy),
            blocking: true,
        });
    }
    if !filtered.is_empty() {
        problems.push(Problem {
            message: format!(
                "row security hides rows of {} in database {shown} from role {user}",
                told(&filtered)
            ),
            remedy: Some(format!("ALTER ROLE {user} BYPASSRLS")),
            blocking: true,
        });
    }
    // Reading all data did not extend to large objects for long; version 18 can be asked.
    let readable = match found.major {
        18.. => "has_largeobject_privilege(m.oid, 'SELECT')",
        _ => {
            "current_setting('lo_compat_privileges') = 'on' OR pg_has_role(m.lomowner, 'USAGE') \
             OR EXISTS (SELECT FROM aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT' \
                        AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))"
        }
    };
    let sql = format!(
        "SELECT count(*), min(m.oid) FROM pg_largeobject_metadata m WHERE NOT ({readable})"
    );
    let row = client.query_one(sql.as_str(), &[]).await?;
    let (count, first): (i64, Option<u32>) = (row.get(0), row.get(1));
    if let Some(first) = first {
        problems.push(Problem {
            message: format!("role {user} may not read {count} large objects in database {shown}"),
            remedy: Some(format!(
                "ALTER ROLE {user} SUPERUSER, or in database {shown}, for each of them: \
                 GRANT SELECT ON LARGE OBJECT {first} TO {user}"
            )),
            blocking: true,
        });
    }
    Ok(problems)
}

/// The first of many names.
fn told(names: &[String]) -> String {
    let first = names[..names.len().min(TOLD)].join(", ");
    match names.len() {
        1 => first,
        many if many <= TOLD => format!("{many} relations ({first})"),
        many => format!("{many} relations ({first} and others)"),
    }
}

/// What works less well than it could.
fn shortcomings(server: &Server, found: &Inspection) -> Vec<Problem> {
    let user = ident(&server.user);
    let mut problems = Vec::new();
    let mut tell = |wrong: bool, message: String, remedy: Option<String>| {
        if wrong {
            problems.push(Problem { message, remedy, blocking: false });
        }
    };
    tell(
        !found.reads_passwords,
        format!("role {user} may not read the passwords of roles: backups will not have them"),
        Some(format!(
            "in database {}: GRANT SELECT ON pg_catalog.pg_authid TO {user}",
            ident(&server.database)
        )),
    );
    tell(
        !found.creates_databases,
        format!("role {user} may not create databases: none can be restored into this cluster"),
        Some(format!("ALTER ROLE {user} CREATEDB")),
    );
    tell(
        !found.superuser,
        format!(
            "role {user} is no superuser: a whole cluster can not be restored into this one, and \
             restored objects can only be given to roles that it is a member of"
        ),
        Some(format!("ALTER ROLE {user} SUPERUSER")),
    );
    tell(
        found.standby,
        "the server is a standby: it can be backed up, and nothing can be restored into it".into(),
        None,
    );
    tell(
        found.system_identifier.is_none(),
        format!(
            "role {user} may not ask for the system identifier: every backup will be a full one"
        ),
        Some(format!("GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO {user}")),
    );
    problems
}

/// Whether a server answers, and lets us in.
pub async fn answers(server: &Server, within: Duration) -> Result<()> {
    let mut server = server.clone();
    server.connect_timeout = within;
    let client = Client::connect(&server, &server.database, "strongroom").await?;
    client.scalar("SELECT 1").await.map(drop)
}
