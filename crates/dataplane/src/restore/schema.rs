//! Executing definitions: what `pg_restore` does, entry by entry, into staging.
//!
//! Each entry becomes text ([`Rendering`]): its statements, moved to hidden schemas where the
//! restore asks for it, then its owner. Cheap entries go to the server in batches, each of which
//! is one transaction; a batch that fails is repeated one entry at a time, so that the error names
//! the object. Indexes and constraints, which read whole tables, are built in parallel
//! ([`build`]).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Mutex;

use tokio::sync::Notify;

use super::event_triggers;
use crate::postgres::archive::{Entry, Phase};
use crate::postgres::connect::Client;
use crate::postgres::server::Server;
use crate::postgres::sql::{self, Moves, Token, ident, qualified};
use crate::progress::Progress;
use crate::{CancellationToken, Error, Kind, Result};

/// Entries in one batch.
const BATCH: usize = 100;
/// Sorting memory for one index build, where the server has less: builds are few and large.
const BUILD_MEMORY: &str = "256MB";

/// How entries become statements.
#[derive(Clone, Debug, Default)]
pub(super) struct Rendering {
    /// Objects that go to another schema.
    pub(super) moves: Moves,
    /// Roles that the target lacks and may lack.
    pub(super) missing_roles: HashSet<String>,
    /// Tablespaces of the target.
    pub(super) tablespaces: HashSet<String>,
}

impl Rendering {
    /// The statements of an entry.
    pub(super) fn text(&self, entry: &Entry) -> String {
        let mut text = String::new();
        if let Some(tablespace) = &entry.tablespace {
            let known = self.tablespaces.contains(tablespace);
            let name = if known { ident(tablespace) } else { "''".to_owned() };
            text.push_str(&format!("SET default_tablespace = {name};\n"));
        }
        if let Some(method) = entry.access_method.as_ref().filter(|_| !entry.partitioned) {
            text.push_str(&format!("SET default_table_access_method = {};\n", ident(method)));
        }
        let definition = match self.missing_roles.is_empty() {
            true => entry.definition.clone(),
            false => self.without_missing_roles(entry),
        };
        text.push_str(&definition);
        let owner = entry.owner.as_ref().filter(|owner| !self.missing_roles.contains(*owner));
        if let Some(statement) = owner.and_then(|owner| owner_statement(entry, owner)) {
            text.push_str(&format!("\n{statement};\n"));
        }
        match self.moves.is_empty() {
            true => text,
            false => sql::rename(&text, &self.moves),
        }
    }

    fn without_missing_roles(&self, entry: &Entry) -> String {
        if roles_in(entry).is_disjoint(&self.missing_roles.iter().cloned().collect()) {
            return entry.definition.clone();
        }
        let kept: Vec<String> = sql::statements(&entry.definition)
            .into_iter()
            .filter(|statement| {
                let part = Entry { definition: statement.clone(), ..entry.clone() };
                roles_in(&part).is_disjoint(&self.missing_roles.iter().cloned().collect())
            })
            .collect();
        kept.join(";\n") + ";\n"
    }
}

/// The statement that gives an object its owner, for the kinds that have one.
fn owner_statement(entry: &Entry, owner: &str) -> Option<String> {
    if entry.drop.is_empty() {
        return None;
    }
    let object = match entry.kind.as_str() {
        "COLLATION"
        | "CONVERSION"
        | "DOMAIN"
        | "FOREIGN TABLE"
        | "MATERIALIZED VIEW"
        | "SEQUENCE"
        | "STATISTICS"
        | "TABLE"
        | "TEXT SEARCH DICTIONARY"
        | "TEXT SEARCH CONFIGURATION"
        | "TYPE"
        | "VIEW"
        | "PROCEDURAL LANGUAGE"
        | "SCHEMA"
        | "EVENT TRIGGER"
        | "FOREIGN DATA WRAPPER"
        | "SERVER"
        | "PUBLICATION"
        | "SUBSCRIPTION" => {
            let name = match &entry.schema {
                Some(schema) => qualified(schema, &entry.tag),
                None => ident(&entry.tag),
            };
            format!("{} {name}", entry.kind)
        }
        // These are told apart by their arguments, which only the drop statement spells.
        "AGGREGATE" | "FUNCTION" | "OPERATOR" | "OPERATOR CLASS" | "OPERATOR FAMILY"
        | "PROCEDURE" => {
            let drop = entry.drop.trim_end().trim_end_matches(';');
            drop.strip_prefix("DROP ")?.to_owned()
        }
        _ => return None,
    };
    Some(format!("ALTER {object} OWNER TO {}", ident(owner)))
}

/// The roles that an entry's statements name, besides its owner.
fn roles_in(entry: &Entry) -> HashSet<String> {
    let marks: &[&str] = match entry.kind.as_str() {
        "ACL" | "ACL LANGUAGE" => &["TO", "FROM", "AUTHORIZATION", "BY"],
        "DEFAULT ACL" => &["TO", "FROM", "ROLE", "BY"],
        "POLICY" => &["TO"],
        "USER MAPPING" => &["FOR"],
        "DATABASE PROPERTIES" => &["ROLE"],
        _ => return HashSet::new(),
    };
    let mut found = HashSet::new();
    let mut listing = false;
    let tokens = sql::tokens(&entry.definition);
    // `FOR "public"` is everybody even in quotes: no role can have that name.
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Word(word) => listing = marks.iter().any(|mark| word.eq_ignore_ascii_case(mark)),
            Token::Quoted(name) if listing && tokens.get(at + 1) != Some(&Token::Dot) => {
                found.insert(sql::unquoted(name));
            }
            Token::Other(text) if text.trim().is_empty() || *text == "," => {}
            _ => listing = false,
        }
    }
    found.remove("public");
    found
}

/// The roles in whose name something happens when the entries are created: owners, as whom
/// materialized views are filled, and those who granted privileges.
pub(super) fn acting_roles<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeSet<String> {
    let mut roles = BTreeSet::new();
    for entry in entries {
        roles.extend(entry.owner.clone());
        if entry.kind == "ACL" && entry.definition.contains("SET SESSION AUTHORIZATION ") {
            let tokens = sql::tokens(&entry.definition);
            let named = tokens.windows(3).filter_map(|run| match run {
                [Token::Word("AUTHORIZATION"), _, Token::Quoted(name)] => Some(sql::unquoted(name)),
                _ => None,
            });
            roles.extend(named);
        }
    }
    roles
}

/// Every role that the entries need, with the first object that needs it.
pub(super) fn roles_needed<'a>(
    entries: impl Iterator<Item = &'a Entry>,
) -> BTreeMap<String, String> {
    let mut needed = BTreeMap::new();
    for entry in entries {
        let owner = entry.owner.iter().filter(|owner| owner_statement(entry, owner).is_some());
        for role in owner.cloned().chain(roles_in(entry)) {
            needed.entry(role).or_insert_with(|| entry.described());
        }
    }
    needed
}

/// A session that executes definitions, and for which event triggers are quiet.
pub(super) async fn session(server: &Server, database: &str, application: &str) -> Result<Client> {
    let client = Client::connect(server, database, application).await?;
    client
        .batch_execute(
            "SELECT pg_catalog.set_config('search_path', '', false); SET lock_timeout = 0; \
             SET check_function_bodies = off; SET xmloption = content; \
             SET standard_conforming_strings = on; SET synchronous_commit = off",
        )
        .await?;
    event_triggers::silence(&client).await?;
    Ok(client)
}

/// Executes entries in order, in batches.
pub(super) async fn execute(
    client: &Client,
    entries: &[&Entry],
    rendering: &Rendering,
    progress: &Progress,
) -> Result<()> {
    for batch in entries.chunks(BATCH) {
        let texts: Vec<String> = batch.iter().map(|entry| rendering.text(entry)).collect();
        if client.batch_execute(&texts.concat()).await.is_ok() {
            continue;
        }
        // The failed batch was one transaction and left nothing.
        for (entry, text) in batch.iter().zip(&texts) {
            let Err(error) = client.batch_execute(text).await else {
                continue;
            };
            let error = explained(error.into(), entry);
            // Extensions belong to whoever installed them, often not to us.
            if error.kind() == Kind::Denied && entry.tag.starts_with("EXTENSION ") {
                progress.note(format!("left out: {error}"));
                continue;
            }
            return Err(error);
        }
    }
    Ok(())
}

fn explained(error: Error, entry: &Entry) -> Error {
    error.context(format!("creating {}", entry.described()))
}

/// Splits off the builds that cost less than asking for them: they go in batches.
pub(super) fn split_light(builds: Vec<Build>) -> (Vec<Entry>, Vec<Build>) {
    /// Bytes of rows up to which a table is light.
    const LIGHT: u64 = 128 * 1024;
    let (light, heavy): (Vec<Build>, Vec<Build>) =
        builds.into_iter().partition(|build| build.weight < LIGHT);
    (light.into_iter().map(|build| build.entry).collect(), heavy)
}

/// Takes back what `ALTER DEFAULT PRIVILEGES` of the target gave to what was just created in a
/// schema: definitions tell privileges as differences from those that the server itself gives.
pub(super) async fn undo_default_privileges(client: &Client, schema: &str) -> Result<()> {
    let rows = client
        .query(
            "WITH objects AS ( \
                 SELECT format('%s %I.%I', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, \
                               $1::text, relname) AS object, \
                        relacl AS acl, \
                        acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", relowner) AS own \
                 FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident($1)) \
                 UNION ALL \
                 SELECT 'ROUTINE ' || oid::regprocedure::text, proacl, acldefault('f', proowner) \
                 FROM pg_proc WHERE pronamespace = to_regnamespace(quote_ident($1)) \
                 UNION ALL \
                 SELECT 'TYPE ' || oid::regtype::text, typacl, acldefault('T', typowner) \
                 FROM pg_type WHERE typnamespace = to_regnamespace(quote_ident($1)) AND typtype <> 'm'), \
             changes AS ( \
                 SELECT 'REVOKE ALL' AS change, 'FROM' AS word, object, grantee \
                 FROM objects, aclexplode(acl) GROUP BY object, grantee \
                 UNION ALL \
                 SELECT 'GRANT ' || privilege_type, 'TO', object, grantee \
                 FROM objects, aclexplode(own) WHERE acl IS NOT NULL) \
             SELECT format('%s ON %s %s %s;', change, object, word, \
                           CASE grantee WHEN 0 THEN 'PUBLIC' \
                                        ELSE quote_ident(pg_get_userbyid(grantee)) END) \
             FROM changes ORDER BY word",
            &[&schema],
        )
        .await?;
    let statements: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    Ok(client.batch_execute(&statements.concat()).await?)
}

/// Whether an entry of the phase after the data reads a whole table.
pub(super) fn is_build(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), "INDEX" | "CONSTRAINT" | "FK CONSTRAINT" | "CHECK CONSTRAINT")
        && entry.phase == Phase::AfterData
}

/// Something to build, and what must not happen at the same time.
pub(super) struct Build {
    /// What it is, for errors.
    pub(super) entry: Entry,
    /// The tables that it locks, by entry id, and whether against other builds too.
    pub(super) locks: Vec<(i32, bool)>,
    /// Larger ones are begun first.
    pub(super) weight: u64,
}

/// The builds among `entries`; `sizes` are bytes by the table's oid. Foreign keys come apart: they
/// need the indexes of the other table.
pub(super) fn builds(entries: &[&Entry], sizes: &HashMap<u32, u64>) -> (Vec<Build>, Vec<Build>) {
    let by_id: HashMap<i32, &Entry> = entries.iter().map(|entry| (entry.id, *entry)).collect();
    let is_table_id = |id: &&i32| by_id.get(id).is_some_and(|entry| is_table(entry));
    // A foreign key depends on the other table's constraint, and so on its table.
    let tables_of = |id: &i32| -> Vec<i32> {
        match by_id.get(id) {
            Some(entry) if is_table(entry) => vec![*id],
            Some(entry) if is_build(entry) => {
                entry.dependencies.iter().filter(is_table_id).copied().collect()
            }
            _ => Vec::new(),
        }
    };
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for entry in entries.iter().filter(|entry| is_build(entry)) {
        let mut tables: Vec<i32> = entry.dependencies.iter().flat_map(tables_of).collect();
        tables.sort_unstable();
        tables.dedup();
        let weight = tables.iter().filter_map(|id| sizes.get(&by_id[id].oid)).sum();
        let exclusive = entry.kind != "INDEX";
        let locks = tables.into_iter().map(|id| (id, exclusive)).collect();
        let build = Build { entry: (*entry).clone(), locks, weight };
        if entry.kind == "FK CONSTRAINT" { last.push(build) } else { first.push(build) }
    }
    (first, last)
}

fn is_table(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), "TABLE" | "MATERIALIZED VIEW" | "FOREIGN TABLE")
}

/// Builds indexes and constraints, several at a time, largest first. Returns notes.
///
/// Two builds that lock the same table against each other never run together, so that no session
/// waits inside the server while another could use its slot.
pub(super) async fn build(
    clients: &[Client],
    mut builds: Vec<Build>,
    rendering: &Rendering,
    cancel: &CancellationToken,
) -> Result<Vec<String>> {
    builds.sort_by_key(|build| std::cmp::Reverse(build.weight));
    let ids: HashSet<i32> = builds.iter().map(|build| build.entry.id).collect();
    let state =
        Mutex::new(BuildState { waiting: builds, running: Vec::new(), done: HashSet::new() });
    let changed = Notify::new();
    let work = clients.iter().map(|client| async {
        client
            .batch_execute(&format!(
                "SELECT pg_catalog.set_config('maintenance_work_mem', '{BUILD_MEMORY}', false) \
                 WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')) \
                       OPERATOR(pg_catalog.<) pg_catalog.pg_size_bytes('{BUILD_MEMORY}')"
            ))
            .await?;
        let mut notes = Vec::new();
        loop {
            let notified = changed.notified();
            let next = lock(&state).take(&ids);
            match next {
                Next::Build(build) => {
                    let built = tokio::select! {
                        built = build_one(client, &build.entry, rendering) => built,
                        () = cancel.cancelled() => {
                            Err(Error::new(Kind::Cancelled, "the restore was stopped"))
                        }
                    };
                    notes.extend(built?);
                    lock(&state).finish(build.entry.id);
                    changed.notify_waiters();
                }
                Next::Wait => notified.await,
                Next::Done => return Ok(notes),
            }
        }
    });
    futures::future::try_join_all(work).await.map(|notes: Vec<Vec<String>>| notes.concat())
}

/// Builds one index or constraint. A foreign key that restored rows violate (it was broken at the
/// source, or the other table lives on in the target) stays, not valid: it holds for new rows, and
/// the note says how to go on.
async fn build_one(
    client: &Client,
    entry: &Entry,
    rendering: &Rendering,
) -> Result<Option<String>> {
    let text = rendering.text(entry);
    let Err(error) = client.batch_execute(&text).await else { return Ok(None) };
    let violated = error.code().is_some_and(|code| code.code() == "23503");
    if !violated || entry.kind != "FK CONSTRAINT" || text.contains(" NOT VALID") {
        return Err(explained(error.into(), entry));
    }
    let text = text.trim_end().trim_end_matches(';').to_owned() + " NOT VALID";
    client.batch_execute(&text).await.map_err(|error| {
        explained(error.into(), entry).hint(
            "rows that it refers to are missing, and foreign keys of partitioned tables can not be \
             left unchecked: restore the other table too, or restore into a new database",
        )
    })?;
    Ok(Some(format!(
        "{} is not valid for all restored rows: some refer to rows that the other table does not \
         have. It holds for new rows; when the old ones are mended: ALTER TABLE ... VALIDATE \
         CONSTRAINT ...",
        entry.described()
    )))
}

fn lock(state: &Mutex<BuildState>) -> std::sync::MutexGuard<'_, BuildState> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct BuildState {
    waiting: Vec<Build>,
    /// Entry id and locks of what is being built.
    running: Vec<(i32, Vec<(i32, bool)>)>,
    done: HashSet<i32>,
}

enum Next {
    Build(Box<Build>),
    Wait,
    Done,
}

impl BuildState {
    fn take(&mut self, all: &HashSet<i32>) -> Next {
        let free = self.waiting.iter().position(|build| {
            let met = |id: &i32| !all.contains(id) || self.done.contains(id);
            build.entry.dependencies.iter().all(met)
                && !self.running.iter().any(|(_, held)| conflict(held, &build.locks))
        });
        match free {
            Some(at) => {
                let build = self.waiting.remove(at);
                self.running.push((build.entry.id, build.locks.clone()));
                Next::Build(Box::new(build))
            }
            None if self.waiting.is_empty() => Next::Done,
            // A circle of dependencies would never end; the archive's order is the way out.
            None if self.running.is_empty() => {
                let build = self.waiting.remove(0);
                self.running.push((build.entry.id, build.locks.clone()));
                Next::Build(Box::new(build))
            }
            None => Next::Wait,
        }
    }

    fn finish(&mut self, id: i32) {
        self.running.retain(|(running, _)| *running != id);
        self.done.insert(id);
    }
}

fn conflict(held: &[(i32, bool)], wanted: &[(i32, bool)]) -> bool {
    held.iter().any(|(table, exclusive)| {
        wanted.iter().any(|(other, also)| table == other && (*exclusive || *also))
    })
}
