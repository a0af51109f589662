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

use std::collections::{BTreeMap, HashMap, HashSet};

use strongroom_format::contents::{Database, Table};
use strongroom_format::manifest::Targets;

use super::database::{self, StageJob, check_name, stop_if};
use super::load::LoadTable;
use super::plan::{Conflict, Creation, Missing};
use super::publication;
use super::schema::{self, Rendering};
use super::selection::{self, Definitions, Name, Selection};
use super::staging::Staging;
use super::{Plan, RestoreOptions, RestoreTarget, Restored};
use crate::collection::Backup;
use crate::error::bail;
use crate::names::{TableName, shown};
use crate::postgres::archive::{Archive, Entry, Phase};
use crate::postgres::catalog;
use crate::postgres::connect::Client;
use crate::postgres::sql::{Token, ident, literal, qualified, tokens, unquoted};
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
        let RestoreTarget::Tables {
            names,
            into_db,
            into_schema,
            new_table_name,
        } = &options.target
        else {
            bail!(Usage, "no table is named");
        };
        let mut names = names.clone();
        names.sort();
        names.dedup();
        let first = names
            .first()
            .map(|name| name.database.clone())
            .unwrap_or_default();
        if let Some(other) = names.iter().find(|name| name.database != first) {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "the tables are of two databases, {first} and {}",
                    other.database
                ),
            )
            .hint("restore the tables of one database at a time"));
        }
        for (name, what) in [
            (into_db, "database"),
            (into_schema, "schema"),
            (new_table_name, "table"),
        ] {
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
        self.into_schema
            .clone()
            .unwrap_or_else(|| schema.to_owned())
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
                .hint(format!(
                    "strongroom show {} lists its tables",
                    backup.manifest.id
                )));
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
    moved: Vec<Name>,
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
        chosen: selection
            .relations
            .union(&selection.parts)
            .copied()
            .collect(),
        lost_sequences: Vec::new(),
    };
    resolver.rows(backup, &selection)?;
    resolver.needs(&selection).await?;
    resolver.foreign_keys(&selection).await?;
    resolver.conflicts(&selection).await?;
    resolver.creations(&selection).await?;
    let (chosen, lost_sequences) = (resolver.chosen, resolver.lost_sequences);
    let moved = archive
        .entries
        .iter()
        .filter(|entry| chosen.contains(&entry.id))
        .filter(|entry| {
            selection::is_relation(entry)
                || selection::is_movable(entry)
                || entry.kind == "STATISTICS"
        })
        .map(selection::name_of)
        .chain(selection::index_names(
            archive.entries.iter().filter(|e| chosen.contains(&e.id)),
        ))
        .collect();
    let used: Vec<Entry> = archive
        .entries
        .iter()
        .filter(|entry| chosen.contains(&entry.id))
        .cloned()
        .collect();
    // The database's large objects and other extensions stay behind.
    let alone = Database {
        large_objects: Vec::new(),
        extensions: Vec::new(),
        ..request.database.clone()
    };
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

/// Compares what a selection needs with what the target has.
struct Resolver<'a, 'b> {
    definitions: &'b Definitions<'a>,
    request: &'b Request<'a>,
    options: &'b RestoreOptions,
    /// The target database, if it exists.
    target: Option<&'b Client>,
    plan: &'b mut Plan,
    chosen: HashSet<i32>,
    lost_sequences: Vec<Name>,
}

impl Resolver<'_, '_> {
    async fn exists(&self, sql: &str) -> Result<bool> {
        match self.target {
            Some(client) => Ok(client
                .scalar(sql)
                .await?
                .is_some_and(|answer| answer == "t")),
            None => Ok(false),
        }
    }

    async fn relation_exists(&self, name: &Name) -> Result<bool> {
        let name = literal(&qualified(&name.0, &name.1));
        self.exists(&format!("SELECT to_regclass({name}) IS NOT NULL"))
            .await
    }

    /// Every plain table of the selection must have its rows in the backup.
    fn rows(&mut self, backup: &Backup, selection: &Selection) -> Result<()> {
        let Targets::Tables(held) = &backup.manifest.targets else {
            return Ok(());
        };
        let tables: HashSet<u32> = self
            .request
            .database
            .tables
            .iter()
            .map(|table| table.oid)
            .collect();
        for id in &selection.relations {
            let Some(entry) = self.definitions.get(*id) else {
                continue;
            };
            let is_parent = entry.partitioned || entry.definition.contains("\nPARTITION BY ");
            if entry.kind == "TABLE" && !is_parent && !tables.contains(&entry.oid) {
                return Err(Error::new(
                    Kind::NotFound,
                    format!(
                        "backup {} holds no rows of {}",
                        backup.manifest.id,
                        entry.described()
                    ),
                )
                .hint(format!("it was taken of {}", held.join(", "))));
            }
        }
        Ok(())
    }

    async fn needs(&mut self, selection: &Selection) -> Result<()> {
        for (id, needer) in &selection.needs {
            let (Some(entry), Some(needer)) =
                (self.definitions.get(*id), self.definitions.get(*needer))
            else {
                continue;
            };
            match entry.kind.as_str() {
                "SEQUENCE" => self.sequence(entry, needer).await?,
                "TABLE" | "FOREIGN TABLE" | "VIEW" | "MATERIALIZED VIEW" => {
                    self.relation(entry, needer, selection).await?;
                }
                "CONSTRAINT" | "INDEX" | "SCHEMA" => {}
                "EXTENSION" if self.target.is_some() => self.extension(entry, needer).await?,
                _ if selection::is_movable(entry) => self.movable(entry).await?,
                // In a new database everything has to be made; an existing one is asked when the
                // dependent object is created.
                _ if self.target.is_none() => {
                    self.chosen.insert(*id);
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn sequence(&mut self, entry: &Entry, needer: &Entry) -> Result<()> {
        let name = selection::name_of(entry);
        if self.relation_exists(&name).await? {
            return Ok(());
        }
        let (sequence, table) = (format!("{}.{}", name.0, name.1), needer.described());
        if self.options.skip_missing.sequences {
            self.plan.notes.push(format!(
                "{table}: the default that uses sequence {sequence} is left out"
            ));
            self.lost_sequences.push(name);
            return Ok(());
        }
        self.missing(
            "sequence",
            &sequence,
            &table,
            Some("--skip-missing-sequences"),
            vec![
                format!("name {} too, to restore it", self.named(&name)),
                "--skip-missing-sequences (leaves the default out)".to_owned(),
            ],
        );
        Ok(())
    }

    async fn relation(
        &mut self,
        entry: &Entry,
        needer: &Entry,
        selection: &Selection,
    ) -> Result<()> {
        // Foreign keys are asked one by one: they reach the other table through its index.
        if needer.kind == "FK CONSTRAINT" {
            return Ok(());
        }
        let name = selection::name_of(entry);
        if self.relation_exists(&name).await? {
            return Ok(());
        }
        let is_view = matches!(needer.kind.as_str(), "VIEW" | "MATERIALIZED VIEW");
        if is_view && self.options.skip_missing.views {
            let view = needer.described();
            self.plan.notes.push(format!(
                "{view} is left out: {} is missing",
                entry.described()
            ));
            self.leave_out(needer.id, selection);
            return Ok(());
        }
        let mut resolutions = vec![format!("name {} too, to restore it", self.named(&name))];
        if is_view {
            resolutions.push("--skip-missing-views (leaves the view out)".to_owned());
        }
        let kind = entry.kind.to_lowercase();
        let option = is_view.then_some("--skip-missing-views");
        let shown = format!("{}.{}", name.0, name.1);
        self.missing(&kind, &shown, &needer.described(), option, resolutions);
        Ok(())
    }

    /// Leaves a relation out, with its parts and with the views that need it.
    fn leave_out(&mut self, id: i32, selection: &Selection) {
        if !self.chosen.remove(&id) {
            return;
        }
        let dependents: Vec<i32> = selection
            .relations
            .union(&selection.parts)
            .filter(|other| {
                self.definitions
                    .get(**other)
                    .is_some_and(|e| e.dependencies.contains(&id))
            })
            .copied()
            .collect();
        for dependent in dependents {
            let both = (self.definitions.get(dependent), self.definitions.get(id));
            if let (Some(view), Some(needed)) = both
                && selection::is_relation(view)
                && self.chosen.contains(&dependent)
            {
                let (view, needed) = (view.described(), needed.described());
                self.plan
                    .notes
                    .push(format!("{view} is left out: it needs {needed}"));
            }
            self.leave_out(dependent, selection);
        }
    }

    async fn extension(&mut self, entry: &Entry, needer: &Entry) -> Result<()> {
        let name = literal(&entry.tag);
        let sql = format!("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = {name})");
        if !self.exists(&sql).await? {
            let create = format!(
                "in database {}: CREATE EXTENSION {};",
                self.request.into_db,
                ident(&entry.tag)
            );
            self.missing(
                "extension",
                &entry.tag,
                &needer.described(),
                None,
                vec![create],
            );
        }
        Ok(())
    }

    /// A type or function: used if the target has it, created if not.
    async fn movable(&mut self, entry: &Entry) -> Result<()> {
        let (schema, name) = selection::name_of(entry);
        let namespace = format!(
            "SELECT oid FROM pg_namespace WHERE nspname = {}",
            literal(&schema)
        );
        let exists = match entry.kind.as_str() {
            "TYPE" | "DOMAIN" => {
                let name = literal(&qualified(&schema, &name));
                format!("SELECT to_regtype({name}) IS NOT NULL")
            }
            "COLLATION" => format!(
                "SELECT EXISTS (SELECT FROM pg_collation WHERE collname = {} AND collnamespace = ({namespace}))",
                literal(&name)
            ),
            _ => {
                // An argument's type may not exist there either, which is an error and not a no.
                let arguments = &entry.tag[entry.tag.find('(').unwrap_or(entry.tag.len())..];
                let signature = literal(&format!("{}{arguments}", qualified(&schema, &name)));
                let sql = format!("SELECT to_regprocedure({signature}) IS NOT NULL");
                if self.exists(&sql).await.unwrap_or(false) {
                    return Ok(());
                }
                self.chosen.insert(entry.id);
                return Ok(());
            }
        };
        if self.exists(&exists).await? {
            return self.same_labels(entry, &schema, &name).await;
        }
        self.chosen.insert(entry.id);
        Ok(())
    }

    /// An enum of the target is used only if it has the same labels in the same order.
    async fn same_labels(&mut self, entry: &Entry, schema: &str, name: &str) -> Result<()> {
        let Some(target) = self
            .target
            .filter(|_| entry.definition.contains(" AS ENUM ("))
        else {
            return Ok(());
        };
        let ours: Vec<String> = tokens(&entry.definition)
            .iter()
            .filter_map(|token| match token {
                Token::Literal(text) => Some(text[1..text.len() - 1].replace("''", "'")),
                _ => None,
            })
            .collect();
        let full = qualified(schema, name);
        let rows = target
            .query(
                "SELECT enumlabel::text FROM pg_enum WHERE enumtypid = to_regtype($1)::oid ORDER BY enumsortorder",
                &[&full],
            )
            .await?;
        let theirs: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        if ours != theirs {
            self.plan.conflicts.push(Conflict {
                kind: "type".to_owned(),
                name: format!("{schema}.{name}"),
                message: format!(
                    "enum {schema}.{name} of database \"{}\" has other labels ({}) than in the backup ({})",
                    self.request.into_db,
                    theirs.join(", "),
                    ours.join(", ")
                ),
                resolutions: vec!["--into-db with the name of a new database".to_owned()],
            });
        }
        Ok(())
    }

    async fn foreign_keys(&mut self, selection: &Selection) -> Result<()> {
        for id in &selection.parts {
            let Some(entry) = self
                .definitions
                .get(*id)
                .filter(|entry| entry.kind == "FK CONSTRAINT")
            else {
                continue;
            };
            let Some(name) = self.definitions.referenced(entry) else {
                continue;
            };
            let restored = self
                .definitions
                .relation(&name.0, &name.1)
                .is_some_and(|other| selection.relations.contains(&other.id));
            if restored || self.relation_exists(&name).await? {
                continue;
            }
            let other = format!("{}.{}", name.0, name.1);
            if self.options.skip_missing.foreign_keys {
                let what = entry.described();
                self.plan
                    .notes
                    .push(format!("{what} is left out: table {other} is missing"));
                self.chosen.remove(id);
                let comments: Vec<i32> = selection
                    .parts
                    .iter()
                    .filter(|part| {
                        self.definitions
                            .get(**part)
                            .is_some_and(|e| e.dependencies == [*id])
                    })
                    .copied()
                    .collect();
                comments.iter().for_each(|part| {
                    self.chosen.remove(part);
                });
                continue;
            }
            let resolutions = vec![
                format!("name {} too, to restore it", self.named(&name)),
                "--skip-missing-foreign-keys (leaves the foreign key out)".to_owned(),
            ];
            let option = Some("--skip-missing-foreign-keys");
            self.missing("table", &other, &entry.described(), option, resolutions);
        }
        Ok(())
    }

    /// Tables of the target that have the name that a restored one would get.
    async fn conflicts(&mut self, selection: &Selection) -> Result<()> {
        for name in &self.request.names {
            let Some(entry) = self.definitions.relation(&name.schema, &name.table) else {
                continue;
            };
            if !selection.relations.contains(&entry.id) || !self.chosen.contains(&entry.id) {
                continue;
            }
            let schema = self.request.target_schema(&name.schema);
            let table = self
                .request
                .new_table_name
                .clone()
                .unwrap_or_else(|| name.table.clone());
            let target = (schema, table);
            if !self.relation_exists(&target).await? {
                continue;
            }
            let full = qualified(&target.0, &target.1);
            let kind = if entry.kind == "FOREIGN TABLE" {
                "TABLE"
            } else {
                entry.kind.as_str()
            };
            self.plan.conflicts.push(Conflict {
                kind: kind.to_lowercase(),
                name: format!("{}.{}.{}", self.request.into_db, target.0, target.1),
                message: format!(
                    "relation \"{}.{}\" already exists in database \"{}\"",
                    target.0, target.1, self.request.into_db
                ),
                resolutions: vec![
                    format!("--new-table-name {}_restored", shown(&target.1)),
                    format!("--into-schema or --into-db with another name"),
                    format!(
                        "ALTER {kind} {full} RENAME TO {};",
                        ident(&format!("{}_old", target.1))
                    ),
                    format!("DROP {kind} {full};"),
                ],
            });
        }
        let mut targets: Vec<Name> = self
            .request
            .names
            .iter()
            .map(|name| (self.request.target_schema(&name.schema), name.table.clone()))
            .collect();
        targets.sort();
        if let Some(pair) = targets.windows(2).find(|pair| pair[0] == pair[1]) {
            bail!(
                Usage,
                "two of the tables would both be {}.{}",
                pair[0].0,
                pair[0].1
            );
        }
        Ok(())
    }

    async fn creations(&mut self, selection: &Selection) -> Result<()> {
        let database = &self.request.into_db;
        let mut creates = Vec::new();
        let mut add = |kind: &str, name: String, from: Option<String>, rows: Option<u64>| {
            creates.push(Creation {
                kind: kind.to_owned(),
                name,
                from,
                rows,
            });
        };
        if self.target.is_none() {
            add("database", database.clone(), None, None);
        }
        let tables: HashMap<u32, &Table> = self
            .request
            .database
            .tables
            .iter()
            .map(|table| (table.oid, table))
            .collect();
        let mut schemas = BTreeMap::new();
        for entry in self
            .definitions
            .entries
            .iter()
            .filter(|entry| self.chosen.contains(&entry.id))
        {
            if !selection::is_relation(entry) && !selection::is_movable(entry) {
                continue;
            }
            let (schema, name) = selection::name_of(entry);
            let target = self.request.target_schema(&schema);
            let named = self
                .request
                .names
                .iter()
                .any(|n| n.schema == schema && n.table == name);
            let new = self
                .request
                .new_table_name
                .clone()
                .filter(|_| named)
                .unwrap_or_else(|| name.clone());
            let to = format!("{database}.{target}.{new}");
            let from = format!("{}.{schema}.{name}", self.request.database.name);
            let table = tables
                .get(&entry.oid)
                .filter(|_| selection.relations.contains(&entry.id));
            if let Some(table) = table {
                self.plan.tables += 1;
                self.plan.rows += table.data.rows;
                self.plan.size_bytes += table.data.size_bytes;
                self.plan.stored_bytes += table.data.stored_bytes;
            }
            let rows = table.map(|table| table.data.rows);
            add(
                &entry.kind.to_lowercase(),
                to.clone(),
                (from != to).then_some(from),
                rows,
            );
            schemas.insert(target, ());
        }
        for schema in schemas.into_keys() {
            let sql = format!(
                "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = {})",
                literal(&schema)
            );
            if schema != "public" && !self.exists(&sql).await? {
                add("schema", format!("{database}.{schema}"), None, None);
            }
        }
        self.plan.creates = creates;
        if !self.request.database.large_objects.is_empty() {
            self.plan
                .notes
                .push("large objects are restored with their database only".to_owned());
        }
        Ok(())
    }

    fn named(&self, name: &Name) -> String {
        format!(
            "{}.{}.{}",
            shown(&self.request.database.name),
            shown(&name.0),
            shown(&name.1)
        )
    }

    fn missing(
        &mut self,
        kind: &str,
        name: &str,
        needed_by: &str,
        option: Option<&str>,
        resolutions: Vec<String>,
    ) {
        let database = &self.request.into_db;
        self.plan.missing.push(Missing {
            kind: kind.to_owned(),
            name: name.to_owned(),
            needed_by: needed_by.to_owned(),
            option: option.map(str::to_owned),
            message: format!(
                "{needed_by} needs {kind} {name}, which is neither restored nor in database \"{database}\""
            ),
            resolutions,
        });
    }
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
    let job = StageJob {
        backup,
        options,
        staging: &staging,
        progress,
        cancel,
    };
    let restored = tokio::select! {
        restored = prepared.restore(&job) => restored,
        () = cancel.cancelled() => Err(Error::new(Kind::Cancelled, "the restore was stopped")),
    };
    match restored {
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
    async fn restore(self, job: &StageJob<'_>) -> Result<Restored> {
        let Prepared {
            request,
            archive,
            selection,
            chosen,
            moved,
            lost_sequences,
            ..
        } = self;
        let keeper = job.staging.keeper();
        let entries = &archive.entries;
        let mut chosen: Vec<Entry> = entries
            .iter()
            .filter(|entry| chosen.contains(&entry.id))
            .map(|entry| without_defaults(entry, &lost_sequences))
            .collect();
        let mut notes = self.plan.notes;
        for entry in &mut chosen {
            notes.extend(disinherit(entry, &moved));
        }
        let mut rendering = database::rendering(keeper, job.options, &chosen).await?;
        let hidden_database = (!self.database_exists).then(|| job.staging.name());
        if let Some(name) = &hidden_database {
            database::create_like(keeper, entries, request.database, name, &rendering).await?;
        }
        let database = hidden_database.as_ref().unwrap_or(&request.into_db);
        let client = schema::session(&job.options.to, database, &job.staging.worker()).await?;
        let hidden = hide_schemas(job.staging, &client, &moved).await?;
        failpoint::pass("restore.after-staging")?;
        for name in &moved {
            rendering
                .moves
                .insert(name.clone(), hidden[&name.0].clone());
        }
        let phase = |phase: Phase| -> Vec<&Entry> {
            chosen.iter().filter(|entry| entry.phase == phase).collect()
        };
        if hidden_database.is_some() {
            create_schemas(&client, &chosen).await?;
        }
        schema::execute(&client, &phase(Phase::BeforeData), &rendering, job.progress).await?;
        failpoint::pass("restore.after-definitions")?;
        job.progress.step("loading rows");
        let restored_oids: HashSet<u32> = entries
            .iter()
            .filter(|entry| selection.relations.contains(&entry.id))
            .map(|entry| entry.oid)
            .collect();
        let own = |oid: &u32| restored_oids.contains(oid);
        let tables: Vec<&Table> = request
            .database
            .tables
            .iter()
            .filter(|table| own(&table.oid))
            .collect();
        let through = selection::loaded_through(chosen.iter());
        let loads = tables.iter().map(|table| {
            let own = (table.schema.clone(), table.name.clone());
            let (schema, name) = through.get(&own).unwrap_or(&own);
            LoadTable {
                shown: format!(
                    "table {}.{}.{}",
                    request.database.name, table.schema, table.name
                ),
                target: qualified(&hidden[schema], name),
                columns: table.columns.clone(),
                data: table.data,
            }
        });
        job.loading(database, &request.database.encoding)
            .run(loads.collect())
            .await?;
        set_sequences(&client, request.database, &own, &hidden).await?;
        failpoint::pass("restore.after-load")?;
        job.progress.step("building indexes");
        let all: Vec<&Entry> = chosen.iter().collect();
        notes.extend(
            job.build_tables(&client, database, request.database, &all, &rendering)
                .await?,
        );
        schema::execute(&client, &phase(Phase::Privileges), &rendering, job.progress).await?;
        fill_views(&client, request.database, &chosen, &hidden).await?;
        failpoint::pass("restore.after-indexes")?;
        stop_if(job.cancel)?;
        failpoint::pass("restore.before-publish")?;
        let created = publication::publish(&client, &request, &hidden).await?;
        drop(client);
        if let Some(name) = &hidden_database {
            let sql = format!(
                "ALTER DATABASE {} RENAME TO {}",
                ident(name),
                ident(&request.into_db)
            );
            keeper.batch_execute(&sql).await.map_err(|error| {
                Error::from(error).context(format!("naming database \"{}\"", request.into_db))
            })?;
        }
        Ok(Restored {
            created: created
                .into_iter()
                .map(|name| format!("{}.{name}", request.into_db))
                .collect(),
            tables: tables.len() as u64,
            rows: tables.iter().map(|table| table.data.rows).sum(),
            size_bytes: tables.iter().map(|table| table.data.size_bytes).sum(),
            bytes_read: 0,
            notes,
        })
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
fn disinherit(entry: &mut Entry, moved: &[Name]) -> Option<String> {
    let at = entry
        .definition
        .find("\nINHERITS (")
        .filter(|_| entry.kind == "TABLE")?;
    let end = entry.definition[at..]
        .find(')')
        .map_or(entry.definition.len(), |end| at + end);
    let parents = selection::qualified_names(&entry.definition[at..end]);
    let child = qualified(entry.schema.as_deref().unwrap_or_default(), &entry.tag);
    let strangers: Vec<String> = parents
        .iter()
        .filter(|parent| !moved.contains(parent))
        .map(|(schema, name)| qualified(schema, name))
        .collect();
    for parent in &strangers {
        entry
            .definition
            .push_str(&format!("\nALTER TABLE {child} NO INHERIT {parent};\n"));
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
    moved: &[Name],
) -> Result<HashMap<String, String>> {
    let mut hidden = HashMap::new();
    for (schema, _) in moved {
        if hidden.contains_key(schema) {
            continue;
        }
        let name = staging.name();
        client
            .batch_execute(&format!("CREATE SCHEMA {}", ident(&name)))
            .await?;
        hidden.insert(schema.clone(), name);
    }
    Ok(hidden)
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
    let sequences = database
        .sequences
        .iter()
        .filter(|sequence| own(&sequence.oid));
    let statements: String = sequences
        .map(|s| database::set_sequence(&hidden[&s.schema], &s.name, s.last_value, s.is_called))
        .collect();
    client.batch_execute(&statements).await?;
    Ok(())
}

async fn fill_views(
    client: &Client,
    database: &Database,
    chosen: &[Entry],
    hidden: &HashMap<String, String>,
) -> Result<()> {
    for view in chosen
        .iter()
        .filter(|entry| entry.kind == "MATERIALIZED VIEW")
    {
        if database.filled_views.contains(&view.oid) {
            let (schema, name) = selection::name_of(view);
            let name = qualified(&hidden[&schema], &name);
            client
                .batch_execute(&format!("REFRESH MATERIALIZED VIEW {name}"))
                .await
                .map_err(|error| {
                    Error::from(error).context(format!("filling {}", view.described()))
                })?;
        }
    }
    Ok(())
}

impl StageJob<'_> {
    /// As [`StageJob::build`], but foreign keys that the target's rows violate stay, not valid:
    /// they hold for new rows, and the note says how to find the old ones.
    async fn build_tables(
        &self,
        client: &Client,
        name: &str,
        database: &Database,
        entries: &[&Entry],
        rendering: &Rendering,
    ) -> Result<Vec<String>> {
        let (foreign_keys, others): (Vec<&Entry>, Vec<&Entry>) = entries
            .iter()
            .partition(|entry| entry.kind == "FK CONSTRAINT");
        let (comments, others): (Vec<&Entry>, Vec<&Entry>) =
            others.into_iter().partition(|entry| {
                entry
                    .dependencies
                    .iter()
                    .any(|id| foreign_keys.iter().any(|key| key.id == *id))
            });
        self.build(client, name, database, &others, rendering)
            .await?;
        let mut notes = Vec::new();
        for key in foreign_keys {
            let text = rendering.text(key);
            let Err(error) = client.batch_execute(&text).await else {
                continue;
            };
            let violated = error.code().is_some_and(|code| code.code() == "23503");
            let partitioned = error
                .as_db_error()
                .is_some_and(|e| e.message().contains("partitioned"));
            if !violated || partitioned || text.contains(" NOT VALID") {
                return Err(Error::from(error).context(format!("creating {}", key.described()))
                    .hint("--skip-missing-foreign-keys does not help here: rows it refers to are gone; \
                           restore the other table too, or restore --into-db a new database"));
            }
            let text = text.trim_end().trim_end_matches(';').to_owned() + " NOT VALID";
            client.batch_execute(&text).await.map_err(|error| {
                Error::from(error).context(format!("creating {}", key.described()))
            })?;
            notes.push(format!(
                "{} is not valid for all restored rows: some refer to rows that the other table no \
                 longer has. It holds for new rows; when the old ones are mended: ALTER TABLE ... \
                 VALIDATE CONSTRAINT ...",
                key.described()
            ));
        }
        schema::execute(client, &comments, rendering, self.progress).await?;
        Ok(notes)
    }
}
