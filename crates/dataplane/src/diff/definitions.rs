//! Which definitions changed, from the archives of both backups.
//!
//! The same object is found by its oid where both backups are of the same database, and by kind,
//! schema and name otherwise. Where something was renamed, every definition that names it changes
//! its text without having changed; such a text is taken for the same.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::Change;
use crate::postgres::archive::Entry;
use crate::postgres::sql::{self, Token, ident};

/// Kinds that tell nothing about an object of the database, or are told elsewhere.
const LEFT_OUT: &[&str] =
    &["ENCODING", "STDSTRINGS", "SEARCHPATH", "BLOB", "BLOBS", "BLOB METADATA", "TABLE DATA"];
/// Kinds whose tag is the object's own name, by which others name it.
const NAMED: &[&str] = &[
    "SCHEMA",
    "TABLE",
    "FOREIGN TABLE",
    "VIEW",
    "MATERIALIZED VIEW",
    "SEQUENCE",
    "INDEX",
    "TYPE",
    "DOMAIN",
    "COLLATION",
    "DATABASE",
];

/// A definition that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DefinitionDiff {
    /// What happened to it.
    pub change: Change,
    /// Its kind, such as `table`, `index`, `fk constraint`.
    pub kind: String,
    /// Its schema.
    pub schema: Option<String>,
    /// Its name; constraints and triggers stand behind their table's.
    pub name: String,
    /// What it was called before, where that is something else: schema and name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<(Option<String>, String)>,
    /// Its owner before and after, where that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<(String, String)>,
    /// Its statements before.
    pub before: Option<String>,
    /// Its statements after.
    pub after: Option<String>,
}

/// Names that were replaced by others.
#[derive(Default)]
struct Renames(HashMap<String, String>);

impl Renames {
    /// Whether the name before is the name after.
    fn same(&self, before: &str, after: &str) -> bool {
        before == after || self.0.get(before).is_some_and(|renamed| renamed == after)
    }

    fn renamed(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    /// A tag with the names in it replaced.
    fn in_tag(&self, tag: &str) -> String {
        let words = tag.split(' ').map(|word| {
            let parts: Vec<String> = word.split('.').map(|part| self.renamed(part)).collect();
            parts.join(".")
        });
        self.0.get(tag).cloned().unwrap_or_else(|| words.collect::<Vec<_>>().join(" "))
    }

    /// Whether two texts are the same but for names that were replaced.
    fn same_text(&self, before: &str, after: &str) -> bool {
        if before == after {
            return true;
        }
        if self.0.is_empty() {
            return false;
        }
        let (before, after) = (sql::tokens(before), sql::tokens(after));
        before.len() == after.len()
            && before.iter().zip(&after).all(|(before, after)| match (before, after) {
                (Token::Quoted(one), Token::Quoted(other)) => {
                    self.same(&sql::unquoted(one), &sql::unquoted(other))
                }
                // Names in literals, such as that of a sequence.
                (Token::Literal(one), Token::Literal(other)) => {
                    one == other || self.in_literal(one) == *other
                }
                (one, other) => one == other,
            })
    }

    fn in_literal(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (from, to)| text.replace(&ident(from), &ident(to)))
    }
}

/// Compares two archives. `same_database` says that oids mean the same in both.
pub(super) fn compare(
    before: &[Entry],
    after: &[Entry],
    same_database: bool,
    database_renamed: Option<(&str, &str)>,
) -> Vec<DefinitionDiff> {
    let before: Vec<&Entry> = before.iter().filter(|entry| is_told(entry)).collect();
    let after: Vec<&Entry> = after.iter().filter(|entry| is_told(entry)).collect();
    let mut pairs: Vec<(&Entry, &Entry)> = Vec::new();
    if same_database {
        pairs = paired(&before, &after, |entry| {
            (entry.oid != 0).then(|| (entry.kind.clone(), entry.catalog, entry.oid))
        });
    }
    let mut renames = Renames::default();
    renames.0.extend(database_renamed.map(|(from, to)| (from.to_owned(), to.to_owned())));
    for (before, after) in &pairs {
        if NAMED.contains(&before.kind.as_str()) && before.tag != after.tag {
            renames.0.insert(before.tag.clone(), after.tag.clone());
        }
    }
    let paired_before: HashSet<i32> = pairs.iter().map(|(entry, _)| entry.id).collect();
    let paired_after: HashSet<i32> = pairs.iter().map(|(_, entry)| entry.id).collect();
    let (mut left_before, mut left_after) = (before, after);
    left_before.retain(|entry| !paired_before.contains(&entry.id));
    left_after.retain(|entry| !paired_after.contains(&entry.id));
    // Some names stand for several objects, such as those of operators: equal ones first.
    let key = |entry: &Entry, renames: &Renames| {
        let schema = entry.schema.as_deref().map(|schema| renames.renamed(schema));
        (entry.kind.clone(), schema, renames.in_tag(&entry.tag))
    };
    let no_renames = Renames::default();
    let by_name = matched(
        &left_before,
        &left_after,
        |entry| key(entry, &renames),
        |entry| key(entry, &no_renames),
        |one, other| renames.same_text(&one.definition, &other.definition),
    );
    let matched_before: HashSet<i32> = by_name.iter().map(|(entry, _)| entry.id).collect();
    let matched_after: HashSet<i32> = by_name.iter().map(|(_, entry)| entry.id).collect();
    pairs.extend(by_name);
    let mut found: Vec<DefinitionDiff> =
        pairs.iter().filter_map(|(before, after)| changed(before, after, &renames)).collect();
    let removed = left_before.iter().filter(|entry| !matched_before.contains(&entry.id));
    found.extend(removed.map(|entry| one_sided(entry, Change::Removed)));
    let added = left_after.iter().filter(|entry| !matched_after.contains(&entry.id));
    found.extend(added.map(|entry| one_sided(entry, Change::Added)));
    found.sort_by(|one, other| {
        let key = |d: &DefinitionDiff| (d.schema.clone(), d.name.clone(), d.kind.clone(), d.change);
        key(one).cmp(&key(other))
    });
    found
}

fn is_told(entry: &Entry) -> bool {
    !LEFT_OUT.contains(&entry.kind.as_str()) && !entry.tag.starts_with("LARGE OBJECT ")
}

/// The entries that have the same key on both sides, where no other has it.
fn paired<'a, K: Eq + std::hash::Hash>(
    before: &[&'a Entry],
    after: &[&'a Entry],
    key: impl Fn(&Entry) -> Option<K>,
) -> Vec<(&'a Entry, &'a Entry)> {
    let index = |entries: &[&'a Entry]| -> HashMap<K, Vec<&'a Entry>> {
        let mut index: HashMap<K, Vec<&Entry>> = HashMap::new();
        for entry in entries {
            if let Some(key) = key(entry) {
                index.entry(key).or_default().push(entry);
            }
        }
        index
    };
    let after = index(after);
    let pair =
        |(key, before): (K, Vec<&'a Entry>)| match (before.as_slice(), after.get(&key)?.as_slice())
        {
            ([before], [after]) => Some((*before, *after)),
            _ => None,
        };
    index(before).into_iter().filter_map(pair).collect()
}

/// The entries that have the same key on both sides: those that are equal, then the others in order.
fn matched<'a, K: Eq + std::hash::Hash>(
    before: &[&'a Entry],
    after: &[&'a Entry],
    key_before: impl Fn(&Entry) -> K,
    key_after: impl Fn(&Entry) -> K,
    equal: impl Fn(&Entry, &Entry) -> bool,
) -> Vec<(&'a Entry, &'a Entry)> {
    let mut index: HashMap<K, Vec<&Entry>> = HashMap::new();
    for entry in after {
        index.entry(key_after(entry)).or_default().push(entry);
    }
    let mut pairs = Vec::new();
    let mut open = Vec::new();
    for entry in before {
        let Some(candidates) = index.get_mut(&key_before(entry)) else { continue };
        match candidates.iter().position(|candidate| equal(entry, candidate)) {
            Some(at) => pairs.push((*entry, candidates.remove(at))),
            None => open.push(*entry),
        }
    }
    for entry in open {
        if let Some(candidates) = index.get_mut(&key_before(entry))
            && !candidates.is_empty()
        {
            pairs.push((entry, candidates.remove(0)));
        }
    }
    pairs
}

fn changed(before: &Entry, after: &Entry, renames: &Renames) -> Option<DefinitionDiff> {
    let owner = (before.owner != after.owner).then(|| {
        let owner = |entry: &Entry| entry.owner.clone().unwrap_or_default();
        (owner(before), owner(after))
    });
    let same = renames.same_text(&before.definition, &after.definition)
        && owner.is_none()
        && before.tablespace == after.tablespace
        && before.access_method == after.access_method;
    // What only follows a renamed table or schema was not renamed itself.
    let follows = match NAMED.contains(&before.kind.as_str()) {
        true => before.tag == after.tag,
        false => before.tag == after.tag || renames.in_tag(&before.tag) == after.tag,
    };
    let schema = |entry: &Entry| entry.schema.clone().unwrap_or_default();
    let renamed = !follows || !renames.same(&schema(before), &schema(after));
    if same && !renamed {
        return None;
    }
    Some(DefinitionDiff {
        change: if same { Change::Renamed } else { Change::Changed },
        renamed_from: renamed.then(|| (before.schema.clone(), before.tag.clone())),
        owner,
        before: Some(before.definition.clone()),
        ..one_sided(after, Change::Added)
    })
}

fn one_sided(entry: &Entry, change: Change) -> DefinitionDiff {
    let text = Some(entry.definition.clone());
    let (before, after) = if change == Change::Added { (None, text) } else { (text, None) };
    DefinitionDiff {
        change,
        kind: match entry.kind.as_str() {
            "ACL" => "privileges".to_owned(),
            "DEFAULT ACL" => "default privileges".to_owned(),
            "TABLE ATTACH" => "partition".to_owned(),
            "INDEX ATTACH" => "index of a partition".to_owned(),
            "FK CONSTRAINT" => "foreign key".to_owned(),
            kind => kind.to_lowercase(),
        },
        schema: entry.schema.clone(),
        name: entry.tag.clone(),
        renamed_from: None,
        owner: None,
        before,
        after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::archive::{Archive, example};

    fn entries(entries: &[(&str, &str, &str)]) -> Vec<Entry> {
        let mut parsed = Archive::parse(&example(entries)).unwrap().entries;
        // The examples all have one oid; here it is their place.
        parsed.iter_mut().for_each(|entry| entry.oid = 16384 + entry.id as u32);
        parsed
    }

    fn told(before: &[Entry], after: &[Entry], same_database: bool) -> Vec<String> {
        let found = compare(before, after, same_database, None);
        found.iter().map(|d| format!("{} {} {}", d.change.name(), d.kind, d.name)).collect()
    }

    #[test]
    fn a_renamed_table_takes_its_parts_along() {
        let before = entries(&[
            ("TABLE", "a", "CREATE TABLE \"public\".\"a\" (\"b\" integer, \"a\" integer)"),
            ("CONSTRAINT", "a a_pkey", "ALTER TABLE \"public\".\"a\" ADD PRIMARY KEY (\"b\")"),
            ("DEFAULT", "a b", "SET DEFAULT \"nextval\"('\"public\".\"a\"'::\"regclass\")"),
        ]);
        let after = entries(&[
            ("TABLE", "z", "CREATE TABLE \"public\".\"z\" (\"b\" integer, \"a\" integer)"),
            ("CONSTRAINT", "z a_pkey", "ALTER TABLE \"public\".\"z\" ADD PRIMARY KEY (\"b\")"),
            ("DEFAULT", "z b", "SET DEFAULT \"nextval\"('\"public\".\"z\"'::\"regclass\")"),
        ]);
        assert_eq!(told(&before, &after, true), ["renamed table z"]);
        assert_eq!(told(&before, &after, false).len(), 6, "without oids they are strangers");
        assert_eq!(told(&before, &before, true), [""; 0]);
    }

    #[test]
    fn order_and_oids_do_not_matter() {
        let one = ("OPERATOR", "+", "CREATE OPERATOR + (one)");
        let other = ("OPERATOR", "+", "CREATE OPERATOR + (other)");
        let (before, after) = (entries(&[one, other]), entries(&[other, one]));
        assert_eq!(told(&before, &after, false), [""; 0]);
        let third = ("OPERATOR", "+", "CREATE OPERATOR + (third)");
        let found = told(&before, &entries(&[third, other]), false);
        assert_eq!(found, ["changed operator +"]);
    }
}
