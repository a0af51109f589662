//! What the target has already: whether a table restore may use it.
//!
//! Rows are never to become other values without a word. So the plan has a conflict where the same
//! text would be read as another value (a composite type with other attributes, an enum with other
//! labels), and where something decides values that are computed again: a generated column is not
//! in the backup, and a function of the target with another body would fill it with other values.
//!
//! Where rows are safe, a difference is told and the target's own is used: it may refuse rows, which
//! is an error that names it (a domain's constraint, a function in a check), or behave otherwise
//! later on (a default, a trigger, an index, which is then what the target's own statements expect).

use std::collections::{BTreeMap, HashSet};

use super::columns::columns;
use super::compare::{self, ColumnThere, Compared, Difference};
use super::plan::{Comparison, Conflict, Use};
use super::resolve::Resolver;
use super::selection::{
    self, Definitions, Name, Selection, is_routine, is_type, name_of, qualified_names,
};
use crate::Result;
use crate::postgres::archive::Entry;
use crate::postgres::connect::Client;
use crate::postgres::sql::{self, Token, qualified};

/// The way out where an existing database means something else by a name.
const NEW_DATABASE: &str = "--into-db with the name of a new database";

/// What decides the values that restored tables hold: by entry, a table whose values it decides.
#[derive(Debug, Default)]
pub(super) struct Deciding(BTreeMap<i32, i32>);

impl Deciding {
    /// Besides the rows themselves there are two things. The types of the columns, and what these
    /// are made of. And what generated columns are computed by: they are not in the backup.
    pub(super) fn of(definitions: &Definitions<'_>, selection: &Selection) -> Self {
        let mut found = Deciding::default();
        for id in &selection.relations {
            let Some(table) = definitions.get(*id) else { continue };
            let mut seen: HashSet<i32> = HashSet::new();
            // What its parents hold or generate, the table does too.
            let mut tables = vec![table];
            while let Some(table) = tables.pop() {
                if seen.insert(table.id) && matches!(table.kind.as_str(), "TABLE" | "FOREIGN TABLE")
                {
                    found.add_types(definitions, table, *id);
                    found.add_generating(definitions, table, *id);
                    tables.extend(definitions.parents(table));
                }
            }
        }
        found
    }

    fn add_types(&mut self, definitions: &Definitions<'_>, table: &Entry, whose: i32) {
        let mut open = vec![table];
        let mut seen: HashSet<i32> = HashSet::new();
        while let Some(entry) = open.pop() {
            if !seen.insert(entry.id) {
                continue;
            }
            for name in compare::types_in(entry) {
                open.extend(definitions.type_named(&name));
                open.extend(definitions.relation(&name.0, &name.1));
            }
            if is_type(entry) && !self.0.contains_key(&entry.id) {
                self.0.insert(entry.id, whose);
                // A type is read by functions of its own; a domain's only refuse values.
                if entry.kind == "TYPE" {
                    self.add_computing(definitions, entry.dependencies.clone(), whose);
                }
            }
        }
    }

    fn add_generating(&mut self, definitions: &Definitions<'_>, table: &Entry, whose: i32) {
        let generated = columns(&table.definition).into_iter().filter_map(|c| c.generated);
        let generated: Vec<String> = generated.collect();
        if generated.is_empty() {
            return;
        }
        // What is named elsewhere only, in defaults and checks, decides nothing. Operators and casts
        // are not found by name.
        let elsewhere = qualified_names(&table.definition);
        let expressions = qualified_names(&generated.join(" "));
        let decides = |id: &i32| {
            let name = definitions.get(*id).map(name_of).unwrap_or_default();
            expressions.contains(&name) || !elsewhere.contains(&name)
        };
        let needs = table.dependencies.iter().copied().filter(decides).collect();
        self.add_computing(definitions, needs, whose);
    }

    /// Adds those of the entries that compute, with what they need or seem to call.
    fn add_computing(&mut self, definitions: &Definitions<'_>, mut open: Vec<i32>, whose: i32) {
        while let Some(id) = open.pop() {
            let Some(entry) = definitions.get(id) else { continue };
            let is_other = matches!(entry.kind.as_str(), "OPERATOR" | "CAST" | "COLLATION");
            let computes = is_routine(entry) || is_other || entry.kind.starts_with("TEXT SEARCH ");
            if computes && !self.0.contains_key(&id) {
                self.0.insert(id, whose);
                open.extend(entry.dependencies.iter().copied());
                open.extend(called_by(definitions, entry));
                // An expression depends on a cast's function, and names neither.
                let casts = definitions.entries.iter().filter(|e| e.kind == "CAST");
                open.extend(casts.filter(|e| e.dependencies.contains(&id)).map(|e| e.id));
            }
        }
    }
}

/// The functions whose names a function's body holds: PostgreSQL does not tell what it calls.
fn called_by(definitions: &Definitions<'_>, function: &Entry) -> Vec<i32> {
    let Some(at) = function.definition.rfind("\n    AS ").filter(|_| is_routine(function)) else {
        return Vec::new();
    };
    let body = function.definition[at..].replace(['$', '\''], " ");
    let words: HashSet<String> = sql::tokens(&body)
        .iter()
        .filter_map(|token| match token {
            Token::Word(word) => Some(word.to_lowercase()),
            Token::Quoted(quoted) => Some(sql::unquoted(quoted)),
            _ => None,
        })
        .collect();
    let named = |entry: &&Entry| is_routine(entry) && words.contains(&name_of(entry).1);
    definitions.entries.iter().filter(named).map(|entry| entry.id).collect()
}

impl<'a> Resolver<'a, '_> {
    /// A type, a function or the like: used if the target has the same. What it lacks is created if
    /// it can be; of other kinds, the target is asked when the dependent object is created.
    pub(super) async fn existing(
        &mut self,
        target: &Client,
        entry: &Entry,
        deciding: &Deciding,
    ) -> Result<()> {
        match compare::compare(target, entry).await? {
            Compared::Absent if selection::is_movable(entry) => {
                self.chosen.insert(entry.id);
            }
            found => self.uses(entry, found, deciding),
        }
        Ok(())
    }

    /// Tells what comparing an object of the target has found.
    fn uses(&mut self, entry: &Entry, found: Compared, deciding: &Deciding) {
        let comparison = match &found {
            Compared::Absent => return,
            Compared::Same => Comparison::Same,
            Compared::Differs(_) => Comparison::Different,
            Compared::Unknown => Comparison::NotCompared,
        };
        let (kind, shown) = (entry.kind.to_lowercase(), entry.described());
        let name = match &entry.schema {
            Some(schema) => format!("{schema}.{}", entry.tag),
            None => entry.tag.clone(),
        };
        self.plan.uses.push(Use { kind: kind.clone(), name: name.clone(), comparison });
        let whose = deciding.0.get(&entry.id).and_then(|id| self.definitions.get(*id));
        let database = &self.request.into_db;
        match (found, whose.map(Entry::described)) {
            (Compared::Differs(difference), Some(whose)) if !difference.keeps_values => {
                let message = self.differs(&shown, &difference);
                let mut resolutions = vec![NEW_DATABASE.to_owned()];
                let relation = if is_type(entry) {
                    "is the type of values"
                } else {
                    resolutions.push(format!(
                        "in database \"{database}\", give {shown} the definition that it has in the \
                         backup"
                    ));
                    "computes values"
                };
                let message = format!("{message}, and {relation} of {whose}");
                self.plan.conflicts.push(Conflict { kind, name, message, resolutions });
            }
            (Compared::Differs(difference), _) => {
                let message = self.differs(&shown, &difference);
                self.plan.notes.push(format!("{message}: the database's own is used"));
            }
            (Compared::Unknown, Some(whose)) => self.plan.notes.push(format!(
                "{shown} computes values of {whose}, and that of database \"{database}\" is not \
                 compared with the backup's"
            )),
            _ => {}
        }
    }

    fn differs(&self, object: &str, difference: &Difference) -> String {
        let (database, what) = (&self.request.into_db, difference.what);
        match &difference.sides {
            Some((theirs, ours)) => format!(
                "{object} of database \"{database}\" {what} ({theirs}) than in the backup ({ours})"
            ),
            None => format!("{object} of database \"{database}\" {what} than in the backup"),
        }
    }

    /// What the archive does not list as needed, and is used all the same.
    pub(super) async fn others_used(
        &mut self,
        target: &Client,
        selection: &Selection,
        deciding: &Deciding,
    ) -> Result<()> {
        for id in deciding.0.keys() {
            let Some(entry) = self.definitions.get(*id) else { continue };
            if !selection.needs.contains_key(id) && !self.chosen.contains(id) {
                let found = compare::compare(target, entry).await?;
                self.uses(entry, found, deciding);
            }
        }
        self.column_types(target, selection).await?;
        self.parents(target, selection).await
    }

    /// Types of columns that the archive does not define as such: those of extensions, and the rows
    /// of relations that are not restored.
    async fn column_types(&mut self, target: &Client, selection: &Selection) -> Result<()> {
        let mut asked: HashSet<Name> = HashSet::new();
        let selected = selection.relations.iter().chain(selection.needs.keys());
        let mut open: Vec<&Entry> = selected.filter_map(|id| self.definitions.get(*id)).collect();
        open.retain(|entry| is_type(entry) || selection.relations.contains(&entry.id));
        while let Some(entry) = open.pop() {
            open.extend(self.strange_parents(entry, selection));
            for name in compare::types_in(entry) {
                let system = matches!(name.0.as_str(), "pg_catalog" | "information_schema");
                let known = self.definitions.type_named(&name).is_some();
                if system || known || !asked.insert(name.clone()) {
                    continue;
                }
                match self.definitions.relation(&name.0, &name.1) {
                    Some(relation) if selection.relations.contains(&relation.id) => {}
                    Some(relation) => {
                        self.rows_as_type(target, relation, entry).await?;
                        open.push(relation);
                    }
                    None => self.type_of_extension(target, &name, entry).await?,
                }
            }
        }
        Ok(())
    }

    /// The tables that a table inherits from, and that are not restored.
    fn strange_parents(&self, table: &Entry, selection: &Selection) -> Vec<&'a Entry> {
        let mut parents = self.definitions.parents(table);
        parents.retain(|parent| !selection.relations.contains(&parent.id));
        parents
    }

    /// A column that holds rows of a relation: the target's must have the same columns in the same
    /// order.
    async fn rows_as_type(
        &mut self,
        target: &Client,
        relation: &Entry,
        needer: &Entry,
    ) -> Result<()> {
        let name = name_of(relation);
        let Some(there) = compare::columns_there(target, &qualified(&name.0, &name.1)).await?
        else {
            // It is missing, which is told elsewhere.
            return Ok(());
        };
        let theirs: Vec<String> = there.into_iter().map(|column| column.text).collect();
        let database = &self.request.into_db;
        let message = match compare::all_columns(relation) {
            Some(ours) if ours == theirs => return Ok(()),
            Some(ours) => {
                let difference = Difference::of_columns(&theirs, &ours);
                self.differs(&relation.described(), &difference)
            }
            None => format!(
                "the columns of {} of database \"{database}\" can not be compared with the backup's",
                relation.described()
            ),
        };
        let message = format!("{message}, and {} holds rows of it", needer.described());
        self.other_relation(relation, &name, message);
        Ok(())
    }

    fn other_relation(&mut self, relation: &Entry, name: &Name, message: String) {
        self.plan.conflicts.push(Conflict {
            kind: relation.kind.to_lowercase(),
            name: format!("{}.{}", name.0, name.1),
            message,
            resolutions: vec![format!("{NEW_DATABASE}, and {} named too", self.named(name))],
        });
    }

    /// A type that is in no definition of the archive belonged to an extension.
    async fn type_of_extension(
        &mut self,
        target: &Client,
        name: &Name,
        needer: &Entry,
    ) -> Result<()> {
        let full = qualified(&name.0, &name.1);
        let Some(there) = compare::extension_there(target, &full).await? else {
            // That it is missing is told when the extension is looked for, or by the server.
            return Ok(());
        };
        let mut entries = self.definitions.entries.iter();
        let known = |extension: &String| {
            entries.any(|entry| entry.kind == "EXTENSION" && entry.tag == *extension)
        };
        if there.as_ref().is_some_and(known) {
            return Ok(());
        }
        let (shown, needer) = (format!("{}.{}", name.0, name.1), needer.described());
        let there = there.map_or("no extension".to_owned(), |name| format!("extension {name}"));
        self.plan.conflicts.push(Conflict {
            kind: "type".to_owned(),
            message: format!(
                "type {shown} of database \"{}\" belongs to {there}, and to another extension in the \
                 backup; {needer} needs it",
                self.request.into_db
            ),
            name: shown,
            resolutions: vec![NEW_DATABASE.to_owned()],
        });
        Ok(())
    }

    /// Tables that a restored one inherits from, and that are not restored: it gets its inherited
    /// columns from those of the target.
    async fn parents(&mut self, target: &Client, selection: &Selection) -> Result<()> {
        for id in &selection.relations {
            let Some(heir) = self.definitions.get(*id) else { continue };
            for parent in self.strange_parents(heir, selection) {
                let name = name_of(parent);
                let full = qualified(&name.0, &name.1);
                let Some(theirs) = compare::columns_there(target, &full).await? else {
                    continue;
                };
                let theirs: Vec<String> = theirs.iter().map(ColumnThere::whole).collect();
                let ours = self.inherited(parent);
                let (heir, heirs) = (heir.described(), &self.request.into_db);
                if ours.iter().any(|column| !theirs.contains(column)) {
                    let difference = Difference::of_columns(&theirs, &ours);
                    let message = self.differs(&parent.described(), &difference);
                    let message = format!("{message}, and {heir} inherits them");
                    self.other_relation(parent, &name, message);
                } else if theirs.len() > ours.len() {
                    self.plan.notes.push(format!(
                        "{heir} gets columns that it did not have: {} of database \"{heirs}\" has more \
                         than in the backup",
                        parent.described()
                    ));
                }
            }
        }
        Ok(())
    }

    /// The columns of a table, with those that it inherits, as far as definitions list them.
    fn inherited(&self, table: &Entry) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut open = vec![table];
        let (mut seen, mut names) = (HashSet::new(), HashSet::new());
        while let Some(table) = open.pop() {
            if seen.insert(table.id) {
                // What it says itself of a column counts, not what its parents say.
                let own = columns(&table.definition).into_iter();
                let new = own.filter(|column| names.insert(column.name.clone()));
                found.extend(new.map(|column| column.whole()));
                open.extend(self.definitions.parents(table));
            }
        }
        found
    }
}
