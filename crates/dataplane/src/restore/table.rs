//! Restoring single tables: staged in hidden schemas of the target database, published by moving
//! them into place in one transaction.
//!
//! Each schema that something comes from gets a hidden one of its own. Definitions are moved there
//! by name on their way to the server; types and functions that the target lacks are staged beside
//! the tables, those that it has are used. PostgreSQL binds references by identity, not by name, so
//! that the publication is a handful of `RENAME` and `SET SCHEMA`. The hidden schemas are then
//! dropped without `CASCADE`: were anything left in them, the transaction would fail and nothing
//! be lost.
//!
//! Where the target database does not exist, it is staged like a restored database and renamed at
//! the end.

use std::collections::{BTreeSet, HashMap, HashSet};

use strongroom_format::contents::{Database, Table};

use super::compare;
use super::database::{self, StageJob, check_name, named, stop_if};
use super::event_triggers;
use super::fence;
use super::load::LoadTable;
use super::publication;
use super::resolve::Resolver;
use super::schema;
use super::selection::{self, Definitions, Name, Selection};
use super::staging::Staging;
use super::{Plan, RestoreOptions, RestoreTarget, Restored};
use crate::collection::Backup;
use crate::error::bail;
use crate::names::TableName;
use crate::postgres::archive::{Archive, Entry, Phase};
use crate::postgres::catalog;
use crate::postgres::connect::Client;
use crate::postgres::sql::{Namespace, Token, ident, qualified, tokens, unquoted};
use crate::progress::Progress;
use crate::{CancellationToken, Error, Kind, Result, failpoint};

/// The options of a table restore, resolved.
pub(super) struct Request<'a> {
    pub(super) database: &'a Database,
    pub(super) names: Vec<TableName>,
    pub(super) into_db: String,
    pub(super) into_schema: Option<String>,
    pub(super) new_table_name: Option<String>,
}

impl<'a> Request<'a> {
    fn new(backup: &'a Backup, options: &RestoreOptions) -> Result<Self> {
        let RestoreTarget::Tables { names, into_db, into_schema, new_table_name } = &options.target
        else {
            bail!(Usage, "no table is named");
        };
        let mut names = names.clone();
        names.sort();
        names.dedup();
        let first = names.first().map(|name| name.database.clone()).unwrap_or_default();
        if let Some(other) = names.iter().find(|name| name.database != first) {
            return Err(Error::new(
                Kind::Usage,
                format!("the tables are of two databases, {first} and {}", other.database),
            )
            .hint("restore the tables of one database at a time"));
        }
        for (name, what) in
            [(into_db, "database"), (into_schema, "schema"), (new_table_name, "table")]
        {
            name.iter().try_for_each(|name| check_name(name, what))?;
        }
        Ok(Request {
            database: backup.database(&first)?,
            into_db: into_db.clone().unwrap_or(first),
            names,
            into_schema: into_schema.clone(),
            new_table_name: new_table_name.clone(),
        })
    }

    /// The schema that objects of `schema` go to.
    pub(super) fn target_schema(&self, schema: &str) -> String {
        self.into_schema.clone().unwrap_or_else(|| schema.to_owned())
    }

    /// The relations that were named.
    fn named(&self, definitions: &Definitions<'_>, backup: &Backup) -> Result<Vec<i32>> {
        let mut found = Vec::new();
        for name in &self.names {
            let Some(entry) = definitions.relation(&name.schema, &name.table) else {
                return Err(Error::new(
                    Kind::NotFound,
                    format!("backup {} holds no table {name}", backup.manifest.id),
                )
                .hint(format!("strongroom show {} lists its tables", backup.manifest.id)));
            };
            found.push(entry.id);
        }
        Ok(found)
    }
}

/// A request together with what it means for this target.
struct Prepared<'a> {
    request: Request<'a>,
    archive: Archive,
    selection: Selection,
    /// Entries to execute: relations, parts, and needs that the target lacks.
    chosen: HashSet<i32>,
    /// Names of what goes through staging.
    moved: Vec<(Namespace, Name)>,
    /// Sequences whose defaults are left out.
    lost_sequences: Vec<Name>,
    database_exists: bool,
    plan: Plan,
}

pub(super) async fn plan(backup: &Backup, options: &RestoreOptions) -> Result<Plan> {
    Ok(prepare(backup, options).await?.plan)
}

async fn prepare<'a>(backup: &'a Backup, options: &RestoreOptions) -> Result<Prepared<'a>> {
    let request = Request::new(backup, options)?;
    let archive = Archive::parse(&backup.schema(request.database).await?)?;
    let definitions = Definitions::new(&archive.entries);
    let named = request.named(&definitions, backup)?;
    let selection = definitions.select(&named, request.database);
    let client = Client::connect(&options.to, &options.to.database, "strongroom restore").await?;
    let mut plan = database::begin(backup, options, &client).await?;
    let database_exists = catalog::database_exists(&client, &request.into_db).await?;
    let target = if database_exists {
        let target = Client::connect(&options.to, &request.into_db, "strongroom restore").await?;
        let sql = "SELECT has_database_privilege(current_database(), 'CREATE')";
        if target.scalar(sql).await?.as_deref() != Some("t") {
            let (user, name) = (&options.to.user, &request.into_db);
            return Err(Error::new(
                Kind::Denied,
                format!("role \"{user}\" may not create schemas in database \"{name}\", which staging needs"),
            )
            .hint(format!("GRANT CREATE ON DATABASE {} TO {};", ident(name), ident(user))));
        }
        compare::prepare(&target).await?;
        let silenced = event_triggers::silence(&target).await?;
        plan.notes.extend(silenced.notes(&request.into_db));
        Some(target)
    } else {
        check_name(&request.into_db, "database")?;
        database::may_create_databases(&client).await?;
        None
    };
    let mut resolver = Resolver {
        definitions: &definitions,
        request: &request,
        options,
        target: target.as_ref(),
        plan: &mut plan,
        chosen: selection.relations.union(&selection.parts).copied().collect(),
        lost_sequences: Vec::new(),
    };
    resolver.rows(backup, &selection)?;
    resolver.needs(&selection).await?;
    resolver.foreign_keys(&selection).await?;
    resolver.conflicts(&selection).await?;
    resolver.creations(&selection).await?;
    let (chosen, lost_sequences) = (resolver.chosen, resolver.lost_sequences);
    let staged = || archive.entries.iter().filter(|entry| chosen.contains(&entry.id));
    let own = staged().flat_map(|entry| {
        let named = |namespace: &Namespace| (*namespace, selection::name_of(entry));
        selection::namespaces(entry).iter().map(named)
    });
    let moved = own.chain(selection::further_names(staged())).collect();
    let used: Vec<Entry> =
        archive.entries.iter().filter(|entry| chosen.contains(&entry.id)).cloned().collect();
    // The database's large objects and other extensions stay behind.
    let alone =
        Database { large_objects: Vec::new(), extensions: Vec::new(), ..request.database.clone() };
    database::add_missing(&mut plan, &client, options, &alone, &used, &HashSet::new()).await?;
    Ok(Prepared {
        request,
        archive,
        selection,
        chosen,
        moved,
        lost_sequences,
        database_exists,
        plan,
    })
}

pub(super) async fn run(
    backup: &Backup,
    options: &RestoreOptions,
    _plan: Plan,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Restored> {
    let prepared = prepare(backup, options).await?;
    prepared.plan.refuse()?;
    failpoint::pass("restore.before-staging")?;
    let staging = Staging::begin(&options.to).await?;
    let job = StageJob { backup, options, staging: &staging, progress, cancel };
    let restored = async {
        let staged = tokio::select! {
            staged = prepared.stage(&job) => staged?,
            () = cancel.cancelled() => {
                return Err(Error::new(Kind::Cancelled, "the restore was stopped"));
            }
        };
        staged.publish(&job).await
    };
    match restored.await {
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

impl Prepared<'_> {
    /// Loads everything out of sight, and prepares the transaction that publishes it.
    async fn stage(self, job: &StageJob<'_>) -> Result<Staged> {
        let Prepared {
            request,
            archive,
            selection,
            chosen,
            moved,
            lost_sequences,
            database_exists,
            plan,
        } = self;
        let keeper = job.staging.keeper();
        let entries = &archive.entries;
        let mut chosen: Vec<Entry> = entries
            .iter()
            .filter(|entry| chosen.contains(&entry.id))
            .map(|entry| without_defaults(entry, &lost_sequences))
            .collect();
        let mut notes = plan.notes.clone();
        let relations = moved.iter().filter(|(namespace, _)| *namespace == Namespace::Relation);
        let relations: HashSet<&Name> = relations.map(|(_, name)| name).collect();
        for entry in &mut chosen {
            notes.extend(disinherit(entry, &relations));
        }
        let mut rendering = database::rendering(keeper, job.options, &chosen).await?;
        let hidden_database = (!database_exists).then(|| job.staging.name());
        if let Some(name) = &hidden_database {
            database::create_like(keeper, entries, request.database, name, &rendering).await?;
        }
        let database = hidden_database.as_ref().unwrap_or(&request.into_db);
        let client = schema::session(&job.options.to, database, &job.staging.worker()).await?;
        let hidden = hide_schemas(job.staging, &client, &moved).await?;
        let mut acting = schema::acting_roles(chosen.iter());
        acting.retain(|role| !rendering.missing_roles.contains(role));
        admit(&client, &hidden, &acting).await?;
        failpoint::pass("restore.after-staging")?;
        for (namespace, name) in &moved {
            rendering.moves.insert(*namespace, name.clone(), hidden[&name.0].clone());
        }
        let phase = |phase: Phase| -> Vec<&Entry> {
            chosen.iter().filter(|entry| entry.phase == phase).collect()
        };
        if hidden_database.is_some() {
            create_schemas(&client, &chosen).await?;
        }
        schema::execute(&client, &phase(Phase::BeforeData), &rendering, job.progress).await?;
        for schema in hidden.values() {
            schema::undo_default_privileges(&client, schema).await?;
        }
        failpoint::pass("restore.after-definitions")?;
        job.progress.step("loading rows");
        let restored_oids: HashSet<u32> = entries
            .iter()
            .filter(|entry| selection.relations.contains(&entry.id))
            .map(|entry| entry.oid)
            .collect();
        let own = |oid: &u32| restored_oids.contains(oid);
        let tables: Vec<&Table> =
            request.database.tables.iter().filter(|table| own(&table.oid)).collect();
        let through = selection::loaded_through(chosen.iter());
        let loads = tables.iter().map(|table| {
            let own = (table.schema.clone(), table.name.clone());
            let (schema, name) = through.get(&own).unwrap_or(&own);
            LoadTable {
                name: named(request.database, table),
                target: qualified(&hidden[schema], name),
                columns: table.columns.clone(),
                data: table.data,
            }
        });
        job.loading(database, &request.database.encoding).run(loads.collect()).await?;
        set_sequences(&client, request.database, &own, &hidden).await?;
        failpoint::pass("restore.after-load")?;
        job.progress.step("building indexes");
        let all: Vec<&Entry> = chosen.iter().collect();
        notes.extend(job.build(&client, database, request.database, &all, &rendering).await?);
        schema::execute(&client, &phase(Phase::Privileges), &rendering, job.progress).await?;
        notes.extend(job.fill_views(&client, request.database, &all, &rendering).await?);
        failpoint::pass("restore.after-indexes")?;
        stop_if(job.cancel)?;
        failpoint::pass("restore.before-publish")?;
        let created = publication::move_into_place(&client, &request, &hidden).await?;
        let created =
            created.into_iter().map(|name| format!("{}.{name}", request.into_db)).collect();
        let restored = Restored::planned(&plan, created, notes);
        Ok(match hidden_database {
            None => Staged::InPlace { client: Box::new(client), restored },
            Some(name) => {
                // Seen by nobody yet: the database's name is what publishes.
                client.batch_execute("COMMIT").await?;
                Staged::InDatabase { renames: vec![(name, request.into_db)], restored }
            }
        })
    }
}

/// Tables that only a commit keeps from being seen.
enum Staged {
    /// This session's transaction has moved them into place.
    InPlace { client: Box<Client>, restored: Restored },
    /// They are in a hidden database, which is to get its name.
    InDatabase { renames: Vec<(String, String)>, restored: Restored },
}

impl Staged {
    async fn publish(self, job: &StageJob<'_>) -> Result<Restored> {
        match self {
            Staged::InPlace { client, restored } => {
                let (keeper, fence) = (job.staging.keeper(), &job.options.fence);
                fence::commit(&client, keeper, fence, &restored, job.cancel).await?;
                Ok(restored)
            }
            Staged::InDatabase { renames, restored } => {
                database::publish(job, &renames, &restored).await?;
                Ok(restored)
            }
        }
    }
}

fn without_defaults(entry: &Entry, lost: &[Name]) -> Entry {
    let mut entry = entry.clone();
    for sequence in lost {
        if entry.kind == "DEFAULT"
            && selection::default_sequences(&entry.definition).contains(sequence)
        {
            entry.definition.clear();
        } else if entry.kind == "TABLE" {
            entry.definition = selection::without_default(&entry.definition, sequence);
        }
    }
    entry
}

/// Cuts a table off from parents that are not restored with it: while it inherits from a live
/// table, its rows show up there. The columns stay. One statement after the other in one batch,
/// so that nobody ever sees it inherit.
fn disinherit(entry: &mut Entry, relations: &HashSet<&Name>) -> Option<String> {
    let at = entry.definition.find("\nINHERITS (").filter(|_| entry.kind == "TABLE")?;
    let end = entry.definition[at..].find(')').map_or(entry.definition.len(), |end| at + end);
    let parents = selection::qualified_names(&entry.definition[at..end]);
    let child = qualified(entry.schema.as_deref().unwrap_or_default(), &entry.tag);
    let strangers: Vec<String> = parents
        .iter()
        .filter(|parent| !relations.contains(parent))
        .map(|(schema, name)| qualified(schema, name))
        .collect();
    for parent in &strangers {
        entry.definition.push_str(&format!("\nALTER TABLE {child} NO INHERIT {parent};\n"));
    }
    (!strangers.is_empty()).then(|| {
        format!(
            "{} no longer inherits from {}: its rows would show up there. To make it: ALTER TABLE ... \
             INHERIT ...;",
            entry.described(),
            strangers.join(", ")
        )
    })
}

/// A hidden schema for every schema that something is moved from.
async fn hide_schemas(
    staging: &Staging,
    client: &Client,
    moved: &[(Namespace, Name)],
) -> Result<HashMap<String, String>> {
    let mut hidden = HashMap::new();
    for (_, (schema, _)) in moved {
        if hidden.contains_key(schema) {
            continue;
        }
        let name = staging.name();
        client.batch_execute(&format!("CREATE SCHEMA {}", ident(&name))).await?;
        hidden.insert(schema.clone(), name);
    }
    Ok(hidden)
}

/// Lets these roles act in the hidden schemas, as they could in the real ones.
async fn admit(
    client: &Client,
    hidden: &HashMap<String, String>,
    roles: &BTreeSet<String>,
) -> Result<()> {
    for schema in hidden.values() {
        let schema = ident(schema);
        let grants = roles
            .iter()
            .map(|role| format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {};\n", ident(role)));
        client.batch_execute(&grants.collect::<String>()).await?;
    }
    Ok(())
}

/// The schemas that definitions name although nothing is moved from them, in a new database.
async fn create_schemas(client: &Client, chosen: &[Entry]) -> Result<()> {
    let named = chosen.iter().flat_map(|entry| match entry.kind.as_str() {
        "EXTENSION" => tokens(&entry.definition)
            .iter()
            .filter_map(|token| match token {
                Token::Quoted(name) => Some(unquoted(name)),
                _ => None,
            })
            .skip(1)
            .collect::<Vec<String>>(),
        _ => entry.schema.clone().into_iter().collect(),
    });
    for schema in named.collect::<HashSet<String>>() {
        if schema != "pg_catalog" {
            client
                .batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {}", ident(&schema)))
                .await?;
        }
    }
    Ok(())
}

async fn set_sequences(
    client: &Client,
    database: &Database,
    own: &impl Fn(&u32) -> bool,
    hidden: &HashMap<String, String>,
) -> Result<()> {
    let sequences = database.sequences.iter().filter(|sequence| own(&sequence.oid));
    let statements: String = sequences
        .map(|s| database::set_sequence(&hidden[&s.schema], &s.name, s.last_value, s.is_called))
        .collect();
    client.batch_execute(&statements).await?;
    Ok(())
}
