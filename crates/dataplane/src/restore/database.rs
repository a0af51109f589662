//! Restoring whole databases: staged as hidden databases, published by renaming them.
//!
//! ```text
//! create database strongroom_staging_x -> definitions -> rows -> sequences, large objects
//!   -> indexes, constraints -> the rest -> privileges -> materialized views -> rename
//! ```
//!
//! The rename is the publication: until it commits there is no database of the wanted name.
//! Several databases are renamed in one transaction. The cluster restore uses the same staging.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use strongroom_format::contents::{Database, Table};
use strongroom_format::manifest::Targets;

use super::fence;
use super::load::{LoadTable, Loading};
use super::plan::{Conflict, Creation, Missing};
use super::schema::{self, Rendering};
use super::selection::{self, Name};
use super::staging::Staging;
use super::{Plan, RestoreOptions, RestoreTarget, Restored, large_objects};
use crate::collection::Backup;
use crate::error::bail;
use crate::names::TableName;
use crate::postgres::archive::{Archive, Entry, Phase};
use crate::postgres::catalog::{self, STAGING};
use crate::postgres::connect::Client;
use crate::postgres::sql::{self, ident, qualified};
use crate::progress::Progress;
use crate::{CancellationToken, Error, Kind, Result, failpoint, regions};

/// The longest name that PostgreSQL keeps.
const LONGEST_NAME: usize = 63;

/// The databases to restore, each with its new name.
fn wanted<'a>(backup: &'a Backup, options: &RestoreOptions) -> Result<Vec<(&'a Database, String)>> {
    let RestoreTarget::Databases { names, restore_to } = &options.target else {
        return Ok(Vec::new());
    };
    if let Targets::Tables(_) = backup.manifest.targets {
        return Err(Error::new(
            Kind::Unsupported,
            format!("backup {} holds single tables, not whole databases", backup.manifest.id),
        )
        .hint(
            "restore its tables with strongroom restore table, or use a backup of the database",
        ));
    }
    let mut names = names.clone();
    names.sort();
    names.dedup();
    let named = names.iter().map(|name| {
        let to = restore_to.as_ref().unwrap_or(name);
        Ok((backup.database(name)?, to.clone()))
    });
    named.collect()
}

/// Refuses names that no database or table can be given.
pub(super) fn check_name(name: &str, what: &str) -> Result<()> {
    let refused = |why: String| Err(Error::new(Kind::Usage, why).hint("choose another name"));
    if name.is_empty() || name.contains('\0') {
        return refused(format!("the new {what} has an empty name, or one with a zero byte"));
    }
    if name.len() > LONGEST_NAME {
        return refused(format!("the {what} name '{name}' is longer than {LONGEST_NAME} bytes"));
    }
    if name.starts_with(STAGING) || matches!(name, "template0" | "template1") && what == "database"
    {
        return refused(format!("the {what} name '{name}' is reserved"));
    }
    Ok(())
}

pub(super) async fn plan(backup: &Backup, options: &RestoreOptions) -> Result<Plan> {
    let wanted = wanted(backup, options)?;
    let client = Client::connect(&options.to, &options.to.database, "strongroom restore").await?;
    let mut plan = begin(backup, options, &client).await?;
    may_create_databases(&client).await?;
    for (database, name) in &wanted {
        check_name(name, "database")?;
        if catalog::database_exists(&client, name).await? {
            plan.conflicts.push(Conflict {
                kind: "database".to_owned(),
                name: name.clone(),
                message: format!("database \"{name}\" already exists on {}", options.to),
                resolutions: vec![
                    format!("--restore-to {name}_restored"),
                    format!(
                        "ALTER DATABASE {} RENAME TO {};",
                        ident(name),
                        ident(&format!("{name}_old"))
                    ),
                    format!("DROP DATABASE {};", ident(name)),
                ],
            });
        }
        add_database(&mut plan, database, name);
        let archive = Archive::parse(&backup.schema(database).await?)?;
        add_missing(&mut plan, &client, options, database, &archive.entries, &HashSet::new())
            .await?;
    }
    Ok(plan)
}

/// A plan with what every kind of restore has to say.
pub(super) async fn begin(
    backup: &Backup,
    options: &RestoreOptions,
    client: &Client,
) -> Result<Plan> {
    let version = catalog::version_num(client).await?;
    let source = &backup.manifest.source;
    if version < 130000 {
        return Err(Error::new(
            Kind::Unsupported,
            format!("server {} is PostgreSQL {}", options.to, version / 10000),
        )
        .hint("PostgreSQL 13 and later can be restored into"));
    }
    let mut notes = Vec::new();
    if version / 10000 < source.version_num / 10000 {
        notes.push(format!(
            "the backup was taken from PostgreSQL {} and the target is {}: definitions that only the \
             newer version knows make the restore fail, with the target untouched",
            source.version_num / 10000,
            version / 10000
        ));
    }
    if client.scalar("SELECT pg_is_in_recovery()").await?.as_deref() == Some("t") {
        return Err(Error::new(
            Kind::Unsupported,
            format!("server {} is a standby, which takes no writes", options.to),
        )
        .hint("restore into its primary"));
    }
    Ok(Plan {
        backup: backup.manifest.id.to_string(),
        target: options.to.to_string(),
        notes,
        ..Plan::default()
    })
}

/// Refuses a role that may not create databases.
pub(super) async fn may_create_databases(client: &Client) -> Result<()> {
    let sql = "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user";
    if client.scalar(sql).await?.as_deref() == Some("t") {
        return Ok(());
    }
    let server = client.server();
    let user = &server.user;
    Err(Error::new(Kind::Denied, format!("role \"{user}\" may not create databases on {server}"))
        .hint(format!("ALTER ROLE {} CREATEDB; or connect as a superuser", ident(user))))
}

/// Adds a database and its tables to what will be created.
pub(super) fn add_database(plan: &mut Plan, database: &Database, name: &str) {
    let from = (database.name != name).then(|| database.name.clone());
    plan.creates.push(Creation {
        kind: "database".to_owned(),
        name: name.to_owned(),
        from,
        rows: None,
    });
    for table in &database.tables {
        plan.creates.push(Creation {
            kind: "table".to_owned(),
            name: format!("{name}.{}.{}", table.schema, table.name),
            from: None,
            rows: Some(table.data.rows),
        });
    }
    plan.tables += database.tables.len() as u64;
    plan.rows += database.rows();
    plan.size_bytes += database.size_bytes();
    plan.stored_bytes += database.data().map(|data| data.stored_bytes).sum::<u64>();
}

/// Adds what the server lacks: roles (but for those in `coming`), extensions, tablespaces.
pub(super) async fn add_missing(
    plan: &mut Plan,
    client: &Client,
    options: &RestoreOptions,
    database: &Database,
    entries: &[Entry],
    coming: &HashSet<String>,
) -> Result<()> {
    let present: HashSet<String> = catalog::role_names(client).await?.into_iter().collect();
    let mut roles = schema::roles_needed(entries.iter());
    for object in &database.large_objects {
        let granted = object.grants.iter().map(|(role, ..)| role).filter(|role| !role.is_empty());
        for role in granted.chain([&object.owner]) {
            let needed_by = format!("large object {}", object.oid);
            roles.entry(role.clone()).or_insert(needed_by);
        }
    }
    for (role, needed_by) in roles {
        if present.contains(&role) || coming.contains(&role) {
            continue;
        }
        if options.skip_missing.roles {
            plan.notes.push(format!(
                "role \"{role}\" does not exist on the target: what it owned belongs to \"{}\", and \
                 grants and policies for it are left out",
                options.to.user
            ));
            continue;
        }
        if plan.missing.iter().any(|missing| missing.kind == "role" && missing.name == role) {
            continue;
        }
        plan.missing.push(Missing {
            kind: "role".to_owned(),
            message: format!(
                "role \"{role}\" does not exist on {}, and {needed_by} needs it",
                options.to
            ),
            name: role.clone(),
            needed_by,
            option: Some("--skip-missing-roles".to_owned()),
            resolutions: vec![
                format!("CREATE ROLE {};", ident(&role)),
                "--skip-missing-roles (the connecting role owns such objects; grants are left out)"
                    .to_owned(),
            ],
        });
    }
    let sql = "SELECT name::text FROM pg_available_extensions";
    let available: HashSet<String> =
        client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    for extension in &database.extensions {
        if available.contains(&extension.name) {
            continue;
        }
        plan.missing.push(Missing {
            kind: "extension".to_owned(),
            name: extension.name.clone(),
            needed_by: format!("database {}", database.name),
            option: None,
            message: format!(
                "extension \"{}\" {} is not installed on {}, and database \"{}\" needs it",
                extension.name, extension.version, options.to, database.name
            ),
            resolutions: vec![format!(
                "install the package with extension \"{}\" on the target's machine",
                extension.name
            )],
        });
    }
    let tablespaces = tablespaces(client).await?;
    let lost: HashSet<&String> = entries
        .iter()
        .filter_map(|entry| entry.tablespace.as_ref())
        .filter(|name| !name.is_empty() && !tablespaces.contains(*name))
        .collect();
    for name in lost {
        plan.notes.push(format!(
            "tablespace \"{name}\" does not exist on the target: its objects go to the default one"
        ));
    }
    Ok(())
}

async fn tablespaces(client: &Client) -> Result<HashSet<String>> {
    let rows = client.query("SELECT spcname::text FROM pg_tablespace", &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// How definitions are rendered for this target, before any move.
pub(super) async fn rendering(
    client: &Client,
    options: &RestoreOptions,
    entries: &[Entry],
) -> Result<Rendering> {
    let mut missing_roles = HashSet::new();
    if options.skip_missing.roles {
        let present: HashSet<String> = catalog::role_names(client).await?.into_iter().collect();
        let needed = schema::roles_needed(entries.iter()).into_keys();
        missing_roles = needed.filter(|role| !present.contains(role)).collect();
    }
    Ok(Rendering { missing_roles, tablespaces: tablespaces(client).await?, ..Rendering::default() })
}

pub(super) async fn run(
    backup: &Backup,
    options: &RestoreOptions,
    plan: Plan,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Restored> {
    let wanted = wanted(backup, options)?;
    failpoint::pass("restore.before-staging")?;
    let staging = Staging::begin(&options.to).await?;
    let job = StageJob { backup, options, staging: &staging, progress, cancel };
    let published = async {
        let mut renames = Vec::new();
        let mut notes = plan.notes.clone();
        for (database, name) in &wanted {
            let staged = job.stage(database).await?;
            notes.extend(staged.notes);
            renames.push((staged.name, name.clone()));
        }
        failpoint::pass("restore.before-publish")?;
        stop_if(cancel)?;
        let created = renames.iter().map(|(_, name)| name.clone()).collect();
        let restored = Restored::planned(&plan, created, notes);
        publish(&job, &renames, &restored).await?;
        Ok(restored)
    };
    match published.await {
        Ok(restored) => {
            failpoint::pass("restore.after-publish")?;
            Ok(restored)
        }
        Err(error) => {
            staging.abandon(progress).await;
            Err(error)
        }
    }
}

/// Refuses to go on once somebody cancelled.
pub(super) fn stop_if(cancel: &CancellationToken) -> Result<()> {
    match cancel.is_cancelled() {
        true => Err(Error::new(Kind::Cancelled, "the restore was stopped")),
        false => Ok(()),
    }
}

/// Gives the staged databases their names, all at once.
pub(super) async fn publish(
    job: &StageJob<'_>,
    renames: &[(String, String)],
    restored: &Restored,
) -> Result<()> {
    let mut script = String::from("BEGIN;\n");
    for (staged, name) in renames {
        script.push_str(&format!("ALTER DATABASE {} RENAME TO {};\n", ident(staged), ident(name)));
    }
    let server = &job.options.to;
    let session = Client::connect(server, &server.database, &job.staging.worker()).await?;
    session
        .batch_execute(&script)
        .await
        .map_err(|error| Error::from(error).context("giving the restored databases their names"))?;
    fence::commit(&session, job.staging.keeper(), &job.options.fence, restored, job.cancel).await
}

/// Everything that staging a database needs.
pub(super) struct StageJob<'a> {
    pub(super) backup: &'a Backup,
    pub(super) options: &'a RestoreOptions,
    pub(super) staging: &'a Staging,
    pub(super) progress: &'a Progress,
    pub(super) cancel: &'a CancellationToken,
}

/// A staged database: complete, under a hidden name.
pub(super) struct Staged {
    pub(super) name: String,
    pub(super) notes: Vec<String>,
}

impl StageJob<'_> {
    /// Creates, fills and finishes a hidden database.
    pub(super) async fn stage(&self, database: &Database) -> Result<Staged> {
        tokio::select! {
            staged = self.stage_uncancelled(database) => {
                staged.map_err(|error| error.context(format!("database \"{}\"", database.name)))
            }
            () = self.cancel.cancelled() => Err(Error::new(Kind::Cancelled, "the restore was stopped")),
        }
    }

    async fn stage_uncancelled(&self, database: &Database) -> Result<Staged> {
        let archive = Archive::parse(&self.backup.schema(database).await?)?;
        let keeper = self.staging.keeper();
        let rendering = rendering(keeper, self.options, &archive.entries).await?;
        let name = self.staging.name();
        self.progress.step(format!("staging database {}", database.name));
        let (own, inside): (Vec<&Entry>, Vec<&Entry>) =
            archive.entries.iter().partition(|entry| is_of_database(entry));
        create_database(keeper, &own, database, &name, &rendering).await?;
        failpoint::pass("restore.after-staging")?;
        let (server, worker) = (&self.options.to, self.staging.worker());
        let client = schema::session(server, &name, &worker).await?;
        let phase = |phase: Phase| -> Vec<&Entry> {
            inside.iter().filter(|entry| entry.phase == phase).copied().collect()
        };
        // Privileges on the schema public are told as what differs from a new database's, and since
        // version 15 those are fewer. What an older server gives away must not remain.
        if archive.dumped_by >= 15 && catalog::version_num(&client).await? < 150000 {
            client.batch_execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await?;
        }
        schema::execute(&client, &phase(Phase::BeforeData), &rendering, self.progress).await?;
        failpoint::pass("restore.after-definitions")?;
        self.progress.step(format!("loading database {}", database.name));
        let through = selection::loaded_through(inside.iter().copied());
        let tables =
            database.tables.iter().map(|table| load_table(database, table, &through)).collect();
        self.loading(&name, &database.encoding).run(tables).await?;
        set_sequences(&client, database).await?;
        let mut notes = large_objects::restore(self, &client, database, &rendering).await?;
        failpoint::pass("restore.after-load")?;
        self.progress.step(format!("building indexes of database {}", database.name));
        notes.extend(self.build(&client, &name, database, &inside, &rendering).await?);
        schema::execute(&client, &phase(Phase::Privileges), &rendering, self.progress).await?;
        notes.extend(self.fill_views(&client, database, &inside, &rendering).await?);
        schema::execute(&client, &phase(Phase::Last), &rendering, self.progress).await?;
        failpoint::pass("restore.after-indexes")?;
        drop(client);
        notes.extend(finish_database(keeper, &own, database, &name, &rendering).await?);
        notes.extend(to_do_afterwards(&archive.entries));
        Ok(Staged { name, notes })
    }

    /// The loading of rows into a database of the target.
    pub(super) fn loading<'b>(&'b self, name: &'b str, encoding: &'b str) -> Loading<'b> {
        Loading {
            backup: self.backup,
            server: &self.options.to,
            database: name,
            encoding,
            application: self.staging.worker(),
            workers: self.options.workers,
            progress: self.progress,
            cancel: self.cancel,
        }
    }

    /// Everything of the phase after the data. Indexes of partitions must be attached before a
    /// foreign key can refer to the partitioned table; the rest may speak of any of them. Returns
    /// notes.
    pub(super) async fn build(
        &self,
        client: &Client,
        name: &str,
        database: &Database,
        entries: &[&Entry],
        rendering: &Rendering,
    ) -> Result<Vec<String>> {
        let sizes: HashMap<u32, u64> =
            database.tables.iter().map(|table| (table.oid, table.data.size_bytes)).collect();
        let (indexes, foreign_keys) = schema::builds(entries, &sizes);
        let (light, heavy) = schema::split_light(indexes);
        let most = heavy.len().max(foreign_keys.len()).min(self.options.workers);
        let mut clients = Vec::new();
        for _ in 0..most {
            clients.push(schema::session(&self.options.to, name, &self.staging.worker()).await?);
        }
        let after = entries.iter().filter(|e| e.phase == Phase::AfterData && !schema::is_build(e));
        let (attach, rest): (Vec<&Entry>, Vec<&Entry>) =
            after.copied().partition(|entry| entry.kind == "INDEX ATTACH");
        let light: Vec<&Entry> = light.iter().collect();
        schema::execute(client, &light, rendering, self.progress).await?;
        let mut notes = schema::build(&clients, heavy, rendering, self.cancel).await?;
        schema::execute(client, &attach, rendering, self.progress).await?;
        notes.extend(schema::build(&clients, foreign_keys, rendering, self.cancel).await?);
        schema::execute(client, &rest, rendering, self.progress).await?;
        Ok(notes)
    }

    /// Fills the materialized views that held rows, in an order in which they can be. What they
    /// hold can be computed again at any time, so that one that fails (its foreign server may be
    /// away) is told and does not undo the restore. Returns notes.
    pub(super) async fn fill_views(
        &self,
        client: &Client,
        database: &Database,
        entries: &[&Entry],
        rendering: &Rendering,
    ) -> Result<Vec<String>> {
        let filled: HashSet<u32> = database.filled_views.iter().copied().collect();
        let mut notes = Vec::new();
        for view in entries.iter().filter(|entry| entry.kind == "MATERIALIZED VIEW") {
            if !filled.contains(&view.oid) {
                continue;
            }
            let name = qualified(view.schema.as_deref().unwrap_or_default(), &view.tag);
            self.progress.step(format!("filling {}", view.described()));
            let refresh = format!("REFRESH MATERIALIZED VIEW {name}");
            let filled = client.batch_execute(&sql::rename(&refresh, &rendering.moves)).await;
            if let Err(error) = filled.map_err(Error::from) {
                if error.kind() == Kind::Unreachable {
                    return Err(error);
                }
                notes.push(format!(
                    "{} is empty, it could not be filled: {error}; {refresh};",
                    view.described()
                ));
            }
        }
        Ok(notes)
    }
}

/// Whether an entry speaks of the database itself, and not of something inside.
fn is_of_database(entry: &Entry) -> bool {
    entry.kind.starts_with("DATABASE") || entry.tag.starts_with("DATABASE ")
}

/// What to load into a table, under its own name.
fn load_table(database: &Database, table: &Table, through: &HashMap<Name, Name>) -> LoadTable {
    let own = (table.schema.clone(), table.name.clone());
    let (schema, name) = through.get(&own).unwrap_or(&own);
    LoadTable {
        name: named(database, table),
        target: qualified(schema, name),
        columns: table.columns.clone(),
        data: table.data,
    }
}

/// A table of the backup by its full name.
pub(super) fn named(database: &Database, table: &Table) -> Arc<TableName> {
    Arc::new(TableName {
        database: database.name.clone(),
        schema: table.schema.clone(),
        table: table.name.clone(),
    })
}

async fn create_database(
    keeper: &Client,
    own: &[&Entry],
    database: &Database,
    name: &str,
    rendering: &Rendering,
) -> Result<()> {
    let Some(entry) = own.iter().find(|entry| entry.kind == "DATABASE") else {
        bail!(
            Damaged,
            "the definitions of database \"{}\" do not say how to create it",
            database.name
        );
    };
    let mut text = sql::rename_database(&entry.definition, &database.name, name);
    // The database's own tablespace, unlike a table's, is part of the statement.
    let foreign = entry.definition.contains("TABLESPACE")
        && !rendering
            .tablespaces
            .iter()
            .any(|space| entry.definition.contains(&format!("TABLESPACE = {}", ident(space))));
    if foreign && let Some(at) = text.find(" TABLESPACE = ") {
        text.truncate(at);
    }
    // Servers before 15 know one provider of locales only, and not the word for it.
    if catalog::version_num(keeper).await? < 150000 {
        text = text.replace(" LOCALE_PROVIDER = libc", "");
    }
    keeper.batch_execute(&text).await.map_err(|error| {
        let error = Error::from(error).context(format!("creating database \"{}\"", database.name));
        match error.message().contains("locale") || error.message().contains("collation") {
            true => error.hint(format!(
                "the target's machine lacks the locale '{}': install it there (Debian: locale-gen)",
                database.collation
            )),
            false => error,
        }
    })?;
    Ok(())
}

/// Creates an empty hidden database with the encoding and collation of the one in the backup.
pub(super) async fn create_like(
    keeper: &Client,
    entries: &[Entry],
    database: &Database,
    name: &str,
    rendering: &Rendering,
) -> Result<()> {
    let own: Vec<&Entry> = entries.iter().filter(|entry| is_of_database(entry)).collect();
    create_database(keeper, &own, database, name, rendering).await
}

/// Gives the database its properties, comment, privileges and owner. The last step before the
/// rename: from here on somebody with the hidden name could connect as to the original. Returns notes.
async fn finish_database(
    keeper: &Client,
    own: &[&Entry],
    database: &Database,
    name: &str,
    rendering: &Rendering,
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for entry in own.iter().filter(|entry| entry.kind != "DATABASE") {
        let original = rendering.text(entry);
        let (regions, rest): (Vec<String>, Vec<String>) = sql::statements(&original)
            .into_iter()
            .partition(|statement| regions::is_declaration(statement));
        let rest = match regions.is_empty() {
            true => original,
            false => rest.iter().map(|statement| format!("{statement};\n")).collect(),
        };
        let text = sql::rename_database(&rest, &database.name, name);
        keeper.batch_execute(&text).await.map_err(|error| {
            Error::from(error).context(format!("setting up database \"{}\"", database.name))
        })?;
        for statement in regions {
            // Since version 15, a setting of no known module is for superusers, or needs a grant.
            let text = sql::rename_database(&statement, &database.name, name);
            match keeper.batch_execute(&text).await.map_err(Error::from) {
                Err(error) if error.kind() == Kind::Denied => notes.push(format!(
                    "the regions of database \"{}\" could not be declared: {error}; as a superuser: \
                     {};",
                    database.name,
                    statement.trim()
                )),
                done => done?,
            }
        }
    }
    if !rendering.missing_roles.contains(&database.owner) {
        let text = format!("ALTER DATABASE {} OWNER TO {}", ident(name), ident(&database.owner));
        keeper.batch_execute(&text).await.map_err(|error| {
            Error::from(error).context(format!("giving database \"{}\" its owner", database.name))
        })?;
    }
    Ok(notes)
}

/// Sets every sequence to where it stood.
pub(super) async fn set_sequences(client: &Client, database: &Database) -> Result<()> {
    for batch in database.sequences.chunks(500) {
        let values: Vec<String> = batch
            .iter()
            .map(|sequence| {
                set_sequence(
                    &sequence.schema,
                    &sequence.name,
                    sequence.last_value,
                    sequence.is_called,
                )
            })
            .collect();
        client.batch_execute(&values.concat()).await?;
    }
    Ok(())
}

/// The statement that sets one sequence.
pub(super) fn set_sequence(schema: &str, name: &str, last_value: i64, is_called: bool) -> String {
    let name = sql::literal(&qualified(schema, name));
    format!("SELECT pg_catalog.setval({name}, {last_value}, {is_called});\n")
}

/// What a restore can not set again by itself.
fn to_do_afterwards(entries: &[Entry]) -> Vec<String> {
    let mut notes = Vec::new();
    for entry in entries.iter().filter(|entry| entry.kind == "SUBSCRIPTION") {
        notes.push(format!(
            "subscription \"{}\" was restored disabled: ALTER SUBSCRIPTION {} ENABLE when its publisher is right",
            entry.tag,
            ident(&entry.tag)
        ));
    }
    notes
}
