//! Planning a table restore against its target: what is there, what is lacking, what is in the way.
//!
//! The selection says what the tables need; this module asks the target database, need by need.
//! What it has is used, if it is what the backup means by that name ([`super::reuse`]). Types and
//! functions that it lacks are created with the tables. Everything else that it lacks is told, with
//! the option that leaves the dependent part out where there is one. Nothing is written.

use std::collections::{BTreeMap, HashMap, HashSet};

use strongroom_format::contents::Table;
use strongroom_format::manifest::Targets;

use super::RestoreOptions;
use super::plan::{Conflict, Creation, Missing, Plan};
use super::reuse::Deciding;
use super::selection::{self, Definitions, Name, Selection};
use super::table::Request;
use crate::collection::Backup;
use crate::error::bail;
use crate::names::shown;
use crate::postgres::archive::Entry;
use crate::postgres::connect::Client;
use crate::postgres::sql::{ident, literal, qualified};
use crate::{Error, Kind, Result};

/// Compares what a selection needs with what the target has.
pub(super) struct Resolver<'a, 'b> {
    pub(super) definitions: &'b Definitions<'a>,
    pub(super) request: &'b Request<'a>,
    pub(super) options: &'b RestoreOptions,
    /// The target database, if it exists.
    pub(super) target: Option<&'b Client>,
    pub(super) plan: &'b mut Plan,
    pub(super) chosen: HashSet<i32>,
    pub(super) lost_sequences: Vec<Name>,
}

impl Resolver<'_, '_> {
    async fn exists(&self, sql: &str) -> Result<bool> {
        match self.target {
            Some(client) => Ok(client.scalar(sql).await?.is_some_and(|answer| answer == "t")),
            None => Ok(false),
        }
    }

    async fn relation_exists(&self, name: &Name) -> Result<bool> {
        let name = literal(&qualified(&name.0, &name.1));
        self.exists(&format!("SELECT to_regclass({name}) IS NOT NULL")).await
    }

    /// Every plain table of the selection must have its rows in the backup.
    pub(super) fn rows(&mut self, backup: &Backup, selection: &Selection) -> Result<()> {
        let Targets::Tables(held) = &backup.manifest.targets else {
            return Ok(());
        };
        let tables: HashSet<u32> =
            self.request.database.tables.iter().map(|table| table.oid).collect();
        for id in &selection.relations {
            let Some(entry) = self.definitions.get(*id) else {
                continue;
            };
            let is_parent = entry.partitioned || entry.definition.contains("\nPARTITION BY ");
            if entry.kind == "TABLE" && !is_parent && !tables.contains(&entry.oid) {
                return Err(Error::new(
                    Kind::NotFound,
                    format!("backup {} holds no rows of {}", backup.manifest.id, entry.described()),
                )
                .hint(format!("it was taken of {}", held.join(", "))));
            }
        }
        Ok(())
    }

    pub(super) async fn needs(&mut self, selection: &Selection) -> Result<()> {
        let deciding = Deciding::of(self.definitions, selection);
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
                // The type itself is needed as well.
                "SHELL TYPE" if self.target.is_some() => {}
                "EXTENSION" if self.target.is_some() => self.extension(entry, needer).await?,
                // Of a restored table's rows, which the target's namesake does not take.
                _ if self.takes_rows_of(entry, selection) => {
                    self.chosen.insert(*id);
                }
                // In a new database everything has to be made.
                _ => match self.target {
                    None => {
                        self.chosen.insert(*id);
                    }
                    Some(target) => self.existing(target, entry, &deciding).await?,
                },
            }
        }
        self.casts();
        match self.target {
            None => self.operators_of_exclusions(selection),
            Some(target) => self.others_used(target, selection, &deciding).await?,
        }
        Ok(())
    }

    /// Casts between what is created: the archive tells an expression to depend on the cast's
    /// function only. One between types that the target has is its own affair.
    fn casts(&mut self) {
        let is_type = |id: &i32| self.definitions.get(*id).is_some_and(selection::is_type);
        let casts = self.definitions.entries.iter().filter(|entry| {
            let needs = &entry.dependencies;
            entry.kind == "CAST"
                && (self.target.is_none() || needs.iter().any(is_type))
                && !needs.is_empty()
                && needs.iter().all(|id| self.chosen.contains(id))
        });
        let casts: Vec<i32> = casts.map(|entry| entry.id).collect();
        self.chosen.extend(casts);
    }

    /// What makes plain types fit for exclusion constraints: an extension that the archive does
    /// not tell the constraint to depend on.
    fn operators_of_exclusions(&mut self, selection: &Selection) {
        let excludes = |entry: &Entry| {
            let definition = &entry.definition;
            entry.kind == "CONSTRAINT" && definition.contains(" EXCLUDE USING \"gist\" (")
        };
        let mut parts = selection.parts.iter().filter_map(|id| self.definitions.get(*id));
        if parts.any(excludes) {
            let mut entries = self.definitions.entries.iter();
            let found = entries.find(|e| e.kind == "EXTENSION" && e.tag == "btree_gist");
            self.chosen.extend(found.map(|entry| entry.id));
        }
    }

    async fn sequence(&mut self, entry: &Entry, needer: &Entry) -> Result<()> {
        let name = selection::name_of(entry);
        if self.relation_exists(&name).await? {
            return Ok(());
        }
        let (sequence, table) = (format!("{}.{}", name.0, name.1), needer.described());
        if self.options.skip_missing.sequences {
            self.plan
                .notes
                .push(format!("{table}: the default that uses sequence {sequence} is left out"));
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
            self.plan.notes.push(format!("{view} is left out: {} is missing", entry.described()));
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
                self.definitions.get(**other).is_some_and(|e| e.dependencies.contains(&id))
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
                self.plan.notes.push(format!("{view} is left out: it needs {needed}"));
            }
            self.leave_out(dependent, selection);
        }
    }

    async fn extension(&mut self, entry: &Entry, needer: &Entry) -> Result<()> {
        let name = literal(&entry.tag);
        let sql = format!("SELECT extversion FROM pg_extension WHERE extname = {name}");
        let Some(target) = self.target else { return Ok(()) };
        let Some(there) = target.scalar(&sql).await? else {
            let create = format!(
                "in database {}: CREATE EXTENSION {};",
                self.request.into_db,
                ident(&entry.tag)
            );
            self.missing("extension", &entry.tag, &needer.described(), None, vec![create]);
            return Ok(());
        };
        let here = self.request.database.extensions.iter().find(|known| known.name == entry.tag);
        if let Some(here) = here.filter(|known| known.version != there) {
            self.plan.notes.push(format!(
                "extension {} of database \"{}\" has version {there}, and {} in the backup",
                entry.tag, self.request.into_db, here.version
            ));
        }
        Ok(())
    }

    /// Whether a function has the row of a restored relation as an argument.
    fn takes_rows_of(&self, entry: &Entry, selection: &Selection) -> bool {
        if entry.kind != "FUNCTION" {
            return false;
        }
        let head = entry.definition.split(" RETURNS ").next().unwrap_or_default();
        let mut types = selection::qualified_names(head).into_iter().skip(1);
        types.any(|(schema, name)| {
            let relation = self.definitions.relation(&schema, &name);
            relation.is_some_and(|relation| selection.relations.contains(&relation.id))
        })
    }

    pub(super) async fn foreign_keys(&mut self, selection: &Selection) -> Result<()> {
        for id in &selection.parts {
            let Some(entry) =
                self.definitions.get(*id).filter(|entry| entry.kind == "FK CONSTRAINT")
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
                self.plan.notes.push(format!("{what} is left out: table {other} is missing"));
                self.chosen.remove(id);
                let comments: Vec<i32> = selection
                    .parts
                    .iter()
                    .filter(|part| {
                        self.definitions.get(**part).is_some_and(|e| e.dependencies == [*id])
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
    pub(super) async fn conflicts(&mut self, selection: &Selection) -> Result<()> {
        for name in &self.request.names {
            let Some(entry) = self.definitions.relation(&name.schema, &name.table) else {
                continue;
            };
            if !selection.relations.contains(&entry.id) || !self.chosen.contains(&entry.id) {
                continue;
            }
            let schema = self.request.target_schema(&name.schema);
            let table = self.request.new_table_name.clone().unwrap_or_else(|| name.table.clone());
            let target = (schema, table);
            let full = qualified(&target.0, &target.1);
            let ways = vec![
                format!("--new-table-name {}_restored", shown(&target.1)),
                format!("--into-schema or --into-db with another name"),
            ];
            if !self.relation_exists(&target).await? {
                // Whatever has rows has a type of its name.
                let exists = format!("SELECT to_regtype({}) IS NOT NULL", literal(&full));
                if entry.kind != "SEQUENCE" && self.exists(&exists).await? {
                    self.plan.conflicts.push(Conflict {
                        kind: "type".to_owned(),
                        name: format!("{}.{}.{}", self.request.into_db, target.0, target.1),
                        message: format!(
                            "type \"{}.{}\" already exists in database \"{}\", and a {} has a type of its \
                             name",
                            target.0,
                            target.1,
                            self.request.into_db,
                            entry.kind.to_lowercase()
                        ),
                        resolutions: ways,
                    });
                }
                continue;
            }
            let kind = if entry.kind == "FOREIGN TABLE" { "TABLE" } else { entry.kind.as_str() };
            self.plan.conflicts.push(Conflict {
                kind: kind.to_lowercase(),
                name: format!("{}.{}.{}", self.request.into_db, target.0, target.1),
                message: format!(
                    "relation \"{}.{}\" already exists in database \"{}\"",
                    target.0, target.1, self.request.into_db
                ),
                resolutions: [
                    ways,
                    vec![
                        format!(
                            "ALTER {kind} {full} RENAME TO {};",
                            ident(&format!("{}_old", target.1))
                        ),
                        format!("DROP {kind} {full};"),
                    ],
                ]
                .concat(),
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
            bail!(Usage, "two of the tables would both be {}.{}", pair[0].0, pair[0].1);
        }
        Ok(())
    }

    pub(super) async fn creations(&mut self, selection: &Selection) -> Result<()> {
        let database = &self.request.into_db;
        let mut creates = Vec::new();
        let mut add = |kind: &str, name: String, from: Option<String>, rows: Option<u64>| {
            creates.push(Creation { kind: kind.to_owned(), name, from, rows });
        };
        if self.target.is_none() {
            add("database", database.clone(), None, None);
        }
        let tables: HashMap<u32, &Table> =
            self.request.database.tables.iter().map(|table| (table.oid, table)).collect();
        let mut schemas = BTreeMap::new();
        for entry in self.definitions.entries.iter().filter(|entry| self.chosen.contains(&entry.id))
        {
            if !selection::is_relation(entry) && !selection::is_movable(entry) {
                continue;
            }
            let (schema, name) = selection::name_of(entry);
            let target = self.request.target_schema(&schema);
            let named = selection::is_relation(entry)
                && self.request.names.iter().any(|n| n.schema == schema && n.table == name);
            // A sequence that comes with its table gets its name when that is published.
            if entry.kind == "SEQUENCE" && !named {
                continue;
            }
            let new = self
                .request
                .new_table_name
                .clone()
                .filter(|_| named)
                .unwrap_or_else(|| name.clone());
            let to = format!("{database}.{target}.{new}");
            let from = format!("{}.{schema}.{name}", self.request.database.name);
            let table = tables.get(&entry.oid).filter(|_| selection.relations.contains(&entry.id));
            if let Some(table) = table {
                self.plan.tables += 1;
                self.plan.rows += table.data.rows;
                self.plan.size_bytes += table.data.size_bytes;
                self.plan.stored_bytes += table.data.stored_bytes;
            }
            let rows = table.map(|table| table.data.rows);
            add(&entry.kind.to_lowercase(), to.clone(), (from != to).then_some(from), rows);
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
            self.plan.notes.push("large objects are restored with their database only".to_owned());
        }
        Ok(())
    }

    pub(super) fn named(&self, name: &Name) -> String {
        format!("{}.{}.{}", shown(&self.request.database.name), shown(&name.0), shown(&name.1))
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
