//! Which definitions come along when single tables are restored.
//!
//! A table brings what is part of it: its partitions, the sequences it owns, its defaults, indexes,
//! constraints, triggers, policies, comments and privileges. It needs others: types, functions,
//! schemas, sequences it does not own, the tables its foreign keys point to. This module answers
//! from the archive alone, without any server, which are which.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use strongroom_format::contents::Database;

use crate::postgres::archive::Entry;
use crate::postgres::sql::{self, Namespace, Token};

/// The kinds that can be asked for by name.
const RELATIONS: &[&str] = &["TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE"];
/// Kinds that are created in the staging schema when the target lacks them, and move with the rest.
const MOVABLE: &[&str] = &["TYPE", "DOMAIN", "FUNCTION", "PROCEDURE", "AGGREGATE", "COLLATION"];

/// A schema-qualified name.
pub(super) type Name = (String, String);

/// What of an archive is restored, and what that needs.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// Relations that are restored: those asked for, partitions, owned sequences.
    pub(super) relations: BTreeSet<i32>,
    /// Everything that is part of them.
    pub(super) parts: BTreeSet<i32>,
    /// What they depend on, and is neither: by entry, the first entry that needs it.
    pub(super) needs: BTreeMap<i32, i32>,
}

/// An archive, indexed.
pub(super) struct Definitions<'a> {
    pub(super) entries: &'a [Entry],
    by_id: HashMap<i32, &'a Entry>,
    /// Relations by schema and name.
    relations: HashMap<(&'a str, &'a str), &'a Entry>,
    /// The types that entries create, those of relations' rows left out.
    types: HashMap<Name, &'a Entry>,
}

impl<'a> Definitions<'a> {
    pub(super) fn new(entries: &'a [Entry]) -> Self {
        let by_id = entries.iter().map(|entry| (entry.id, entry)).collect();
        let relations = entries.iter().filter(|entry| is_relation(entry)).filter_map(|entry| {
            let schema = entry.schema.as_deref()?;
            Some(((schema, entry.tag.as_str()), entry))
        });
        let types = entries.iter().filter(|entry| is_type(entry)).flat_map(|entry| {
            let further = further_names(std::iter::once(entry)).into_iter().map(|(_, name)| name);
            further.chain([name_of(entry)]).map(move |name| (name, entry))
        });
        Definitions { entries, by_id, relations: relations.collect(), types: types.collect() }
    }

    pub(super) fn get(&self, id: i32) -> Option<&'a Entry> {
        self.by_id.get(&id).copied()
    }

    /// The relation of this name.
    pub(super) fn relation(&self, schema: &str, name: &str) -> Option<&'a Entry> {
        self.relations.get(&(schema, name)).copied()
    }

    /// The type of this name, unless it is that of a relation's rows.
    pub(super) fn type_named(&self, name: &Name) -> Option<&'a Entry> {
        self.types.get(name).copied()
    }

    /// Selects these relations with all that is part of them.
    pub(super) fn select(&self, named: &[i32], database: &Database) -> Selection {
        let mut selection =
            Selection { relations: named.iter().copied().collect(), ..Default::default() };
        self.add_partitions(&mut selection);
        self.add_owned_sequences(&mut selection, database);
        // Some parts are parts of parts: the comment on an index, the attachment of an index.
        loop {
            let before = selection.parts.len();
            for entry in self.entries.iter().filter(|entry| !is_relation(entry)) {
                if self.belongs(entry, &selection) {
                    selection.parts.insert(entry.id);
                }
            }
            if selection.parts.len() == before {
                break;
            }
        }
        self.add_needs(&mut selection);
        selection
    }

    /// Partitioned tables, and what is attached to them.
    fn attachments(&self) -> impl Iterator<Item = (i32, i32)> {
        let attached = self.entries.iter().filter(|entry| entry.kind == "TABLE ATTACH");
        attached.filter_map(|attach| self.attached(attach))
    }

    fn add_partitions(&self, selection: &mut Selection) {
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        for (parent, child) in self.attachments() {
            children.entry(parent).or_default().push(child);
        }
        let mut open: Vec<i32> = selection.relations.iter().copied().collect();
        while let Some(id) = open.pop() {
            for child in children.get(&id).into_iter().flatten() {
                if selection.relations.insert(*child) {
                    open.push(*child);
                }
            }
        }
    }

    /// The names of a table's partitions, of all levels.
    pub(super) fn partitions(&self, table: &Entry) -> Vec<Name> {
        let mut selection = Selection { relations: [table.id].into(), ..Default::default() };
        self.add_partitions(&mut selection);
        selection.relations.remove(&table.id);
        let found = selection.relations.iter().filter_map(|id| self.get(*id));
        found.map(name_of).collect()
    }

    /// Parent and child of `ALTER TABLE ONLY parent ATTACH PARTITION child ...`.
    fn attached(&self, attach: &Entry) -> Option<(i32, i32)> {
        let mut names = qualified_names(&attach.definition).into_iter();
        let (parent, child) = (names.next()?, names.next()?);
        Some((self.relation(&parent.0, &parent.1)?.id, self.relation(&child.0, &child.1)?.id))
    }

    fn add_owned_sequences(&self, selection: &mut Selection, database: &Database) {
        let tables: HashSet<u32> =
            selection.relations.iter().filter_map(|id| Some(self.get(*id)?.oid)).collect();
        let owned: HashSet<u32> = database
            .sequences
            .iter()
            .filter(|sequence| sequence.owned_by.is_some_and(|table| tables.contains(&table)))
            .map(|sequence| sequence.oid)
            .collect();
        let entries = self.entries.iter();
        let sequences =
            entries.filter(|entry| entry.kind == "SEQUENCE" && owned.contains(&entry.oid));
        selection.relations.extend(sequences.map(|entry| entry.id));
    }

    fn belongs(&self, entry: &Entry, selection: &Selection) -> bool {
        let has = |id: &i32| selection.relations.contains(id) || selection.parts.contains(id);
        match entry.kind.as_str() {
            // Two objects come together here, and only if both are restored.
            "TABLE ATTACH" => self.attached(entry).is_some_and(|(parent, child)| {
                selection.relations.contains(&parent) && selection.relations.contains(&child)
            }),
            "INDEX ATTACH" | "SEQUENCE OWNED BY" | "COMMENT" | "ACL" | "SECURITY LABEL" => {
                !entry.dependencies.is_empty() && entry.dependencies.iter().all(has)
            }
            // These may depend on other tables too; what counts is whose they are.
            "FK CONSTRAINT" | "TRIGGER" | "RULE" | "POLICY" => {
                self.subject(entry).is_some_and(|id| selection.relations.contains(&id))
            }
            "DEFAULT" | "CONSTRAINT" | "CHECK CONSTRAINT" | "INDEX" | "ROW SECURITY"
            | "STATISTICS" => entry.dependencies.iter().any(|id| selection.relations.contains(id)),
            _ => false,
        }
    }

    /// The table that an entry is about: the first relation that its definition names.
    fn subject(&self, entry: &Entry) -> Option<i32> {
        let names = qualified_names(&entry.definition);
        names.iter().find_map(|(schema, name)| self.relation(schema, name)).map(|entry| entry.id)
    }

    fn add_needs(&self, selection: &mut Selection) {
        // Without the table that it is a partition of, a table is one of its own.
        let partitions: HashSet<(i32, i32)> = self.attachments().collect();
        let mut open: Vec<i32> = selection.relations.union(&selection.parts).copied().collect();
        while let Some(id) = open.pop() {
            let Some(entry) = self.get(id) else { continue };
            for dependency in &entry.dependencies {
                let known = selection.relations.contains(dependency)
                    || selection.parts.contains(dependency)
                    || selection.needs.contains_key(dependency)
                    || partitions.contains(&(*dependency, id));
                if known || self.get(*dependency).is_none() {
                    continue;
                }
                selection.needs.insert(*dependency, id);
                // What an absent table or view, or its index, needs in turn is its own affair.
                let is_others = |entry: &Entry| {
                    is_relation(entry) || matches!(entry.kind.as_str(), "INDEX" | "CONSTRAINT")
                };
                if self.get(*dependency).is_some_and(|entry| !is_others(entry)) {
                    open.push(*dependency);
                }
            }
        }
    }

    /// The relations that a table inherits from.
    pub(super) fn parents(&self, table: &Entry) -> Vec<&'a Entry> {
        let at = table.definition.find("\nINHERITS (").filter(|_| table.kind == "TABLE");
        let Some(at) = at else { return Vec::new() };
        let end = table.definition[at..].find(')').map_or(table.definition.len(), |end| at + end);
        let names = qualified_names(&table.definition[at..end]);
        names.iter().filter_map(|(schema, name)| self.relation(schema, name)).collect()
    }

    /// The table that a foreign key refers to.
    pub(super) fn referenced(&self, foreign_key: &Entry) -> Option<Name> {
        let tokens = sql::tokens(&foreign_key.definition);
        let at = tokens
            .iter()
            .position(|token| matches!(token, Token::Word(word) if *word == "REFERENCES"))?;
        let rest: String = tokens[at..].iter().map(|token| token.text()).collect();
        qualified_names(&rest).into_iter().next()
    }
}

/// Whether an entry is something that holds or shows rows, or a sequence.
pub(super) fn is_relation(entry: &Entry) -> bool {
    RELATIONS.contains(&entry.kind.as_str())
}

/// Whether the target may lack it: then it is created with the tables.
pub(super) fn is_movable(entry: &Entry) -> bool {
    MOVABLE.contains(&entry.kind.as_str())
}

/// Whether an entry is a type by itself.
pub(super) fn is_type(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), "TYPE" | "DOMAIN")
}

/// Whether an entry is something that is called.
pub(super) fn is_routine(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), "FUNCTION" | "PROCEDURE" | "AGGREGATE")
}

/// The qualified names of a text, in order.
pub(super) fn qualified_names(text: &str) -> Vec<Name> {
    let tokens = sql::tokens(text);
    let mut names = Vec::new();
    let mut at = 0;
    while at + 2 < tokens.len() {
        if let (Token::Quoted(schema), Token::Dot, Token::Quoted(name)) =
            (tokens[at], tokens[at + 1], tokens[at + 2])
        {
            names.push((sql::unquoted(schema), sql::unquoted(name)));
            at += 3;
        } else {
            at += 1;
        }
    }
    names
}

/// The relation through which the rows of a partition have to be loaded, where that is not the
/// partition itself: its topmost ancestor that is partitioned by hash. The hash of an enum's value
/// is that of an object id, so that a row may belong to another partition after a restore.
pub(super) fn loaded_through<'a>(entries: impl Iterator<Item = &'a Entry>) -> HashMap<Name, Name> {
    let mut by_hash: HashSet<Name> = HashSet::new();
    let mut parents: HashMap<Name, Name> = HashMap::new();
    for entry in entries {
        if entry.kind == "TABLE" && entry.definition.contains("\nPARTITION BY HASH (") {
            by_hash.insert(name_of(entry));
        } else if entry.kind == "TABLE ATTACH" {
            let mut names = qualified_names(&entry.definition).into_iter();
            if let (Some(parent), Some(child)) = (names.next(), names.next()) {
                parents.insert(child, parent);
            }
        }
    }
    let mut through = HashMap::new();
    for child in parents.keys() {
        let mut parent = parents.get(child);
        while let Some(name) = parent {
            if by_hash.contains(name) {
                through.insert(child.clone(), name.clone());
            }
            parent = parents.get(name);
        }
    }
    through
}

/// The name that `moves` and conflicts know an entry by.
pub(super) fn name_of(entry: &Entry) -> Name {
    let name = match entry.kind.as_str() {
        _ if is_routine(entry) => entry.tag.split('(').next().unwrap_or(&entry.tag).to_owned(),
        _ => entry.tag.clone(),
    };
    (entry.schema.clone().unwrap_or_default(), name)
}

/// What an entry's own name stands for, if the entry moves by itself.
pub(super) fn namespaces(entry: &Entry) -> &'static [Namespace] {
    match entry.kind.as_str() {
        "SEQUENCE" => &[Namespace::Relation],
        _ if is_relation(entry) => &[Namespace::Relation, Namespace::Type],
        // Statements about attributes name a composite type as they do a table.
        "TYPE" if entry.definition.contains("\" AS (") => &[Namespace::Type, Namespace::Relation],
        "TYPE" | "DOMAIN" => &[Namespace::Type],
        "COLLATION" => &[Namespace::Collation],
        "STATISTICS" => &[Namespace::Statistics],
        _ if is_routine(entry) => &[Namespace::Routine],
        _ => &[],
    }
}

/// What these entries create under names besides their own: indexes, which statements name without
/// their table, those of constraints too, and the multiranges of ranges.
pub(super) fn further_names<'a>(
    entries: impl Iterator<Item = &'a Entry>,
) -> Vec<(Namespace, Name)> {
    let further = |entry: &Entry| match entry.kind.as_str() {
        "INDEX" => Some((Namespace::Relation, (entry.schema.clone()?, entry.tag.clone()))),
        "CONSTRAINT" => {
            let name = (entry.schema.clone()?, constraint_name(&entry.definition)?);
            Some((Namespace::Relation, name))
        }
        "TYPE" => {
            let at = entry.definition.find("multirange_type_name = ")?;
            let name = qualified_names(&entry.definition[at..]).into_iter().next()?;
            Some((Namespace::Type, name))
        }
        _ => None,
    };
    entries.filter_map(further).collect()
}

/// The name in `ALTER TABLE ... ADD CONSTRAINT name ...`.
fn constraint_name(definition: &str) -> Option<String> {
    let tokens = sql::tokens(definition);
    let mut rest = tokens.iter().skip_while(|token| **token != Token::Word("CONSTRAINT"));
    rest.find_map(|token| match token {
        Token::Quoted(name) => Some(sql::unquoted(name)),
        _ => None,
    })
}

/// The sequences that `text` takes defaults from.
pub(super) fn default_sequences(text: &str) -> Vec<Name> {
    let tokens = sql::tokens(text);
    let regclass = |at: usize| tokens[at..].iter().take(6).any(|t| t.text().contains("regclass"));
    tokens
        .iter()
        .enumerate()
        .filter(|(at, _)| regclass(*at))
        .filter_map(|(_, token)| match token {
            Token::Literal(text) => text.strip_prefix('\'')?.strip_suffix('\''),
            _ => None,
        })
        .flat_map(|name| qualified_names(&name.replace("''", "'")))
        .collect()
}

/// `text` without the column defaults that take values from `sequence`.
pub(super) fn without_default(text: &str, sequence: &Name) -> String {
    let tokens = sql::tokens(text);
    let is_default = |token: &Token<'_>| matches!(token, Token::Word(word) if *word == "DEFAULT");
    let mut kept = String::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_default(&tokens[at]) {
            let end = expression_end(&tokens, at + 1);
            let expression: String = tokens[at..end].iter().map(|token| token.text()).collect();
            if default_sequences(&expression).contains(sequence) {
                at = end;
                continue;
            }
        }
        kept.push_str(tokens[at].text());
        at += 1;
    }
    kept
}

/// Where a default's expression ends: at a comma, a line's end or a constraint outside of brackets.
fn expression_end(tokens: &[Token<'_>], from: usize) -> usize {
    let mut depth = 0i32;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token {
            Token::Other("(" | "[") => depth += 1,
            Token::Other(")" | "]") if depth == 0 => return at,
            Token::Other(")" | "]") => depth -= 1,
            Token::Other("," | "\n") | Token::Semicolon if depth == 0 => return at,
            Token::Word("NOT" | "CONSTRAINT" | "GENERATED") if depth == 0 => return at,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::postgres::archive::{Archive, example};

    #[test]
    fn a_relation_among_many_is_found_without_looking_at_the_others() {
        let names: Vec<String> = (0..100_000).map(|number| format!("table_{number}")).collect();
        let tables: Vec<_> = names.iter().map(|name| ("TABLE", name.as_str(), "")).collect();
        let archive = Archive::parse(&example(&tables)).unwrap();
        let begun = Instant::now();
        let definitions = Definitions::new(&archive.entries);
        for name in &names {
            assert_eq!(definitions.relation("public", name).unwrap().tag, *name);
        }
        assert!(definitions.relation("other", "table_1").is_none());
        // Looking at each of them takes half a minute.
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_default_is_taken_out_whole() {
        let sequence = ("public".to_owned(), "s".to_owned());
        let text = "CREATE TABLE \"public\".\"t\" (\n    \"a\" integer DEFAULT \"nextval\"('\"public\".\"s\"'::\"regclass\") NOT NULL,\n    \"b\" integer DEFAULT 7\n);";
        assert_eq!(
            without_default(text, &sequence),
            "CREATE TABLE \"public\".\"t\" (\n    \"a\" integer NOT NULL,\n    \"b\" integer DEFAULT 7\n);"
        );
    }
}
