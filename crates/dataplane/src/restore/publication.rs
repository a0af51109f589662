//! Publishing staged tables: one transaction that moves everything out of the hidden schemas.
//!
//! Tables that were asked for get their wanted names. What comes along (partitions, sequences,
//! indexes, statistics) keeps its name where that is free; where it is not, or where the table got
//! a new name, the table's old name at its beginning becomes the new one, and a number makes it
//! unique. PostgreSQL moves a table's indexes, constraints and owned sequences with it.

use std::collections::{HashMap, HashSet};

use super::table::Request;
use crate::postgres::connect::Client;
use crate::postgres::sql::{Namespace, ident, qualified};
use crate::{Error, Result};

/// How long a lock on what stands beside may be waited for.
const LOCK_TIMEOUT: &str = "30s";

/// The words for what can be asked for by name.
const RELATIONS: &[&str] = &["TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE"];

/// An object in a hidden schema.
struct Staged {
    /// The word for it in `ALTER ...`.
    kind: String,
    name: String,
    /// What its name stands for, and so what it must not collide with.
    namespaces: Vec<Namespace>,
    /// For functions, the arguments in parentheses.
    arguments: String,
    /// Moves with its table.
    follows: bool,
    /// The relation that this belongs to: an index's or sequence's table, a partition's topmost
    /// parent.
    table: Option<String>,
}

/// Moves what lies in the `hidden` schemas (by the schema it comes from) into place, in a transaction
/// that is left open: its commit publishes. Returns the names of the relations that were asked for.
pub(super) async fn move_into_place(
    client: &Client,
    request: &Request<'_>,
    hidden: &HashMap<String, String>,
) -> Result<Vec<String>> {
    // Nothing of the staging is durable until this transaction is, which makes all of it so.
    let mut script = format!(
        "BEGIN;\nSET LOCAL lock_timeout = '{LOCK_TIMEOUT}';\n\
         SET LOCAL synchronous_commit TO DEFAULT;\n"
    );
    let mut created = Vec::new();
    let mut taken: HashSet<(Namespace, String, String)> = HashSet::new();
    for source in hidden.keys() {
        let target = request.target_schema(source);
        script.push_str(&format!("CREATE SCHEMA IF NOT EXISTS {};\n", ident(&target)));
        for (namespace, name) in names_in(client, &target).await? {
            taken.insert((namespace, target.clone(), name));
        }
    }
    let mut all = Vec::new();
    for (source, hidden_schema) in hidden {
        for staged in staged_in(client, hidden_schema).await? {
            all.push((source, hidden_schema, staged));
        }
    }
    // A routine is told by the types of its arguments, so it goes while they are where they were.
    all.sort_by_key(|(.., staged)| staged.arguments.is_empty());
    for (source, hidden_schema, staged) in all {
        let target = request.target_schema(source);
        let Staged { kind, name, namespaces, arguments, follows, table } = &staged;
        // A function, a type or statistics may have the same name.
        let named = RELATIONS.contains(&kind.as_str())
            && request.names.iter().any(|n| n.schema == *source && n.table == *name);
        let new = match &request.new_table_name {
            Some(new) if named => new.clone(),
            _ if named || !arguments.is_empty() => name.clone(),
            new => {
                // What comes along may lie in another schema than its table.
                let is_named = |old: &&str| request.names.iter().any(|n| n.table == **old);
                let old = table.as_deref().filter(is_named);
                let is_free = |wanted: &str| {
                    let key = |space: &Namespace| (*space, target.clone(), wanted.to_owned());
                    !namespaces.iter().any(|space| taken.contains(&key(space)))
                };
                free_name(name, old, new.as_deref(), is_free)
            }
        };
        for namespace in namespaces {
            taken.insert((*namespace, target.clone(), new.clone()));
        }
        if new != *name {
            let full = qualified(hidden_schema, name);
            script.push_str(&format!("ALTER {kind} {full} RENAME TO {};\n", ident(&new)));
        }
        if !follows {
            let full = format!("{}{arguments}", qualified(hidden_schema, &new));
            script.push_str(&format!("ALTER {kind} {full} SET SCHEMA {};\n", ident(&target)));
        }
        if named {
            created.push(format!("{target}.{new}"));
        }
    }
    for hidden_schema in hidden.values() {
        script.push_str(&format!("DROP SCHEMA {};\n", ident(hidden_schema)));
    }
    client
        .batch_execute(&script)
        .await
        .map_err(|error| Error::from(error).context("moving the restored tables into place"))?;
    created.sort();
    Ok(created)
}

/// A name for something that comes along with a table.
fn free_name(
    name: &str,
    old_table: Option<&str>,
    new_table: Option<&str>,
    is_free: impl Fn(&str) -> bool,
) -> String {
    let renamed = match (old_table, new_table) {
        (Some(old), Some(new)) => name.strip_prefix(old).map(|rest| format!("{new}{rest}")),
        _ => None,
    };
    let wanted = cut(renamed.as_deref().unwrap_or(name), 63).to_owned();
    let mut candidate = wanted.clone();
    let mut number = 1;
    while !is_free(&candidate) {
        let suffix = format!("_{number}");
        candidate = format!("{}{suffix}", cut(&wanted, 63 - suffix.len()));
        number += 1;
    }
    candidate
}

/// The longest beginning of `text` with at most `most` bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The names that a schema has already, but for those of routines.
async fn names_in(client: &Client, schema: &str) -> Result<Vec<(Namespace, String)>> {
    let rows = client
        .query(
            "SELECT 'r', c.relname::text FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 \
             UNION ALL SELECT 't', t.typname::text FROM pg_catalog.pg_type t \
             JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = $1 \
             UNION ALL SELECT 's', s.stxname::text FROM pg_catalog.pg_statistic_ext s \
             JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace WHERE n.nspname = $1 \
             UNION ALL SELECT 'c', c.collname::text FROM pg_catalog.pg_collation c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace WHERE n.nspname = $1",
            &[&schema],
        )
        .await?;
    let names = rows.iter().flat_map(|row| {
        let name: String = row.get(1);
        namespaces(row.get(0)).into_iter().map(move |namespace| (namespace, name.clone()))
    });
    Ok(names.collect())
}

/// Namespaces by their letters in queries.
fn namespaces(letters: &str) -> Vec<Namespace> {
    let namespace = |letter: char| match letter {
        'r' => Some(Namespace::Relation),
        't' => Some(Namespace::Type),
        's' => Some(Namespace::Statistics),
        'c' => Some(Namespace::Collation),
        _ => None,
    };
    letters.chars().filter_map(namespace).collect()
}

/// What lies in a hidden schema, in an order in which it can be moved: what follows its table is
/// renamed before the table moves.
async fn staged_in(client: &Client, schema: &str) -> Result<Vec<Staged>> {
    let rows = client
        .query(
            "SELECT CASE WHEN c.relkind IN ('i', 'I') THEN 'INDEX' WHEN c.relkind = 'S' THEN 'SEQUENCE' \
                         WHEN c.relkind = 'v' THEN 'VIEW' WHEN c.relkind = 'm' THEN 'MATERIALIZED VIEW' \
                         WHEN c.relkind = 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, \
                    c.relname::text, '', \
                    c.relkind IN ('i', 'I') OR (c.relkind = 'S' AND owner.relname IS NOT NULL), \
                    coalesce(indexed.relname, owner.relname, root.relname)::text, \
                    CASE WHEN c.relkind IN ('i', 'I', 'S') THEN 0 WHEN c.relkind IN ('v', 'm') THEN 3 ELSE 2 END AS rank, \
                    CASE WHEN c.relkind IN ('i', 'I', 'S') THEN 'r' ELSE 'rt' END \
             FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $1 \
             LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid \
             LEFT JOIN pg_catalog.pg_class indexed ON indexed.oid = \
                  coalesce(pg_catalog.pg_partition_root(i.indrelid)::oid, i.indrelid) \
             LEFT JOIN pg_catalog.pg_depend d ON c.relkind = 'S' AND d.objid = c.oid \
                  AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i') \
                  AND d.refclassid = 'pg_catalog.pg_class'::regclass \
             LEFT JOIN pg_catalog.pg_class owner ON owner.oid = d.refobjid \
             LEFT JOIN pg_catalog.pg_class root ON c.relispartition AND c.relkind IN ('r', 'p', 'f') \
                  AND root.oid = pg_catalog.pg_partition_root(c.oid) \
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I') \
             UNION ALL \
             SELECT 'STATISTICS', s.stxname::text, '', false, t.relname::text, 4, 's' \
             FROM pg_catalog.pg_statistic_ext s \
             JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace AND n.nspname = $1 \
             JOIN pg_catalog.pg_class t ON t.oid = s.stxrelid \
             UNION ALL \
             SELECT CASE WHEN t.typtype = 'd' THEN 'DOMAIN' ELSE 'TYPE' END, t.typname::text, '', \
                    false, NULL, 1, CASE WHEN t.typtype = 'c' THEN 'rt' ELSE 't' END \
             FROM pg_catalog.pg_type t \
             JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace AND n.nspname = $1 \
             LEFT JOIN pg_catalog.pg_class r ON r.oid = t.typrelid \
             WHERE t.typtype IN ('b', 'c', 'd', 'e', 'r', 'm') \
                   AND (t.typrelid = 0 OR r.relkind = 'c') \
                   AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid) \
             UNION ALL \
             SELECT 'ROUTINE', p.proname::text, \
                    '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')', false, NULL, 1, '' \
             FROM pg_catalog.pg_proc p \
             JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND n.nspname = $1 \
             UNION ALL \
             SELECT 'COLLATION', c.collname::text, '', false, NULL, 1, 'c' \
             FROM pg_catalog.pg_collation c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace AND n.nspname = $1 \
             ORDER BY 6, 2",
            &[&schema],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| Staged {
            kind: row.get(0),
            name: row.get(1),
            arguments: row.get(2),
            follows: row.get(3),
            table: row.get(4),
            namespaces: namespaces(row.get(6)),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_along_is_named_after_its_table() {
        let is_free = |name: &str| !["orders_pkey", "copy_i"].contains(&name);
        let name = |name, old, new| free_name(name, old, new, is_free);
        assert_eq!(name("orders_pkey", Some("orders"), Some("copy")), "copy_pkey");
        assert_eq!(name("orders_i", Some("orders"), Some("copy")), "copy_i_1");
        assert_eq!(name("orders_pkey", Some("orders"), None), "orders_pkey_1");
        assert_eq!(name("other", Some("orders"), Some("copy")), "other");
        let long = "é".repeat(31) + "x";
        assert_eq!(name(&long, None, None), long);
        assert!(name(&format!("orders{long}"), Some("orders"), Some("copies_of")).len() <= 63);
    }
}
