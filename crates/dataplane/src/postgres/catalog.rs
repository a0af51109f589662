//! What the server's catalogs say: databases, tables, sequences, large objects, roles.
//!
//! Every question is asked once for all objects, so that ten thousand tables cost a few queries.
//! Results come under the snapshot of the client's transaction, except for what functions such as
//! `pg_relation_size` look up, which is always the present.
//!
//! Names are UTF-8 for us, which the server sees to, with an exception: in a database with the
//! encoding `SQL_ASCII` a name is any bytes, that of a database or a role too. What can not be named
//! can not be backed up, and is refused by its bytes ([`readable`]).

use std::collections::{HashMap, HashSet};

use strongroom_format::contents::{
    Column, Extension, LargeObject, Membership, Role, Sequence, Table, TableData,
};
use tokio_postgres::Row;

use super::connect::Client;
use super::sql::{literal, qualified};
use crate::{Error, Kind, Result};

/// Staging databases and schemas begin with this, and belong to nobody but a running restore.
pub const STAGING: &str = "strongroom_staging_";

/// SQL that yields the bytes of a name, whatever they are.
fn bytes_of(name: &str) -> String {
    // The server would refuse to send the name itself, and to convert it.
    format!(r"replace({name}::text, '\', '\\')::bytea")
}

/// The name with these bytes.
fn readable(kind: &str, bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| {
        let shown = bytes.escape_ascii();
        Error::new(Kind::Unsupported, format!("the name of {kind} \"{shown}\" is not valid UTF-8"))
            .hint("rename it, as a user whose client_encoding is SQL_ASCII")
    })
}

/// The names that `source` has in `column`, without those that are not UTF-8: nobody can have asked
/// for one of these.
async fn names(client: &Client, column: &str, source: &str) -> Result<Vec<String>> {
    let sql = format!("SELECT {} FROM {source}", bytes_of(column));
    let rows = client.query(sql.as_str(), &[]).await?;
    Ok(rows.iter().filter_map(|row| String::from_utf8(row.get(0)).ok()).collect())
}

/// Refuses names of schemas, relations and columns that are not UTF-8.
async fn all_readable(client: &Client) -> Result<()> {
    if client.scalar("SHOW server_encoding").await?.as_deref() != Some("SQL_ASCII") {
        return Ok(());
    }
    let relation = "nspname::text || '.' || relname::text";
    let column = format!("{relation} || '.' || attname::text");
    let relations = "pg_class JOIN pg_namespace n ON n.oid = relnamespace";
    let columns = format!("{relations} JOIN pg_attribute a ON attrelid = pg_class.oid");
    for (kind, name, source, system) in [
        ("schema", "nspname", "pg_namespace", "oid"),
        ("relation", relation, relations, "pg_class.oid"),
        ("column", &column, &columns, "attrelid"),
    ] {
        let sql = format!(
            "SELECT {} FROM {source} WHERE {system} >= 16384 AND {name} ~ '[^\\x01-\\x7f]' ORDER BY 1",
            bytes_of(&format!("({name})"))
        );
        for row in client.query(sql.as_str(), &[]).await? {
            readable(kind, row.get(0))?;
        }
    }
    Ok(())
}

/// A database as the cluster lists it.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseRow {
    pub(crate) name: String,
    pub(crate) oid: u32,
    pub(crate) owner: String,
    pub(crate) encoding: String,
    pub(crate) collation: String,
    pub(crate) accepts_connections: bool,
}

/// All databases but the server's own templates and staging remains.
pub(crate) async fn databases(client: &Client) -> Result<Vec<DatabaseRow>> {
    let sql = format!(
        "SELECT {}, oid, {}, \
                pg_encoding_to_char(encoding)::text, datcollate::text, datallowconn \
         FROM pg_database \
         WHERE datname NOT IN ('template0', 'template1') AND NOT starts_with(datname, $1) \
         ORDER BY datname",
        bytes_of("datname"),
        bytes_of("pg_get_userbyid(datdba)")
    );
    let rows = client.query(sql.as_str(), &[&STAGING]).await?;
    let database = |row: &Row| {
        Ok(DatabaseRow {
            name: readable("database", row.get(0))?,
            oid: row.get(1),
            owner: readable("role", row.get(2))?,
            encoding: row.get(3),
            collation: row.get(4),
            accepts_connections: row.get(5),
        })
    };
    rows.iter().map(database).collect()
}

/// The databases that can be connected to, staged ones left out.
pub(crate) async fn connectable(client: &Client) -> Result<Vec<String>> {
    let source = format!(
        "pg_database WHERE datallowconn AND datname <> 'template0' \
             AND NOT starts_with(datname, {}) AND has_database_privilege(oid, 'CONNECT')",
        literal(STAGING)
    );
    names(client, "datname", &source).await
}

/// A table, and what decides how it is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SourceTable {
    pub(crate) table: Table,
    /// Bytes of heap and of out-of-line values.
    pub(crate) heap_bytes: u64,
    pub(crate) toast_bytes: u64,
    /// Rows can be addressed by page.
    pub(crate) by_page: bool,
    /// The condition on the rows of an extension's table.
    pub(crate) condition: Option<String>,
    /// The tablespace that its file lies in.
    pub(crate) tablespace: u32,
    /// The pages per segment of its chain, where it has one.
    pub(crate) chain_cut: Option<u32>,
}

impl SourceTable {
    pub(crate) fn qualified(&self) -> String {
        qualified(&self.table.schema, &self.table.name)
    }

    /// Takes note of its size.
    pub(crate) fn measured(&mut self, size: Size) {
        self.table.pages = size.pages;
        self.heap_bytes = size.heap_bytes;
        self.toast_bytes = size.toast_bytes;
    }

    /// No page, so no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_page && self.table.pages == 0
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.heap_bytes + self.toast_bytes
    }
}

/// All relations of the current database that hold rows of their own, in the order of their names.
/// Their sizes are not asked here: that takes locks, and may wait. See [`size_query`].
pub(crate) async fn tables(client: &Client) -> Result<Vec<SourceTable>> {
    all_readable(client).await?;
    let rows = client
        .query(
            "SELECT c.oid, n.nspname::text, c.relname::text, c.relfilenode, c.relpersistence = 'p', \
                    coalesce(am.amname = 'heap', false), e.extname::text, \
                    e.extcondition[array_position(e.extconfig, c.oid)], a.names, a.types, \
                    coalesce(nullif(c.reltablespace, 0), own.dattablespace) \
             FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_database own ON own.datname = current_database() \
             LEFT JOIN pg_am am ON am.oid = c.relam \
             LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid \
                  AND d.objsubid = 0 AND d.deptype = 'e' \
             LEFT JOIN pg_extension e ON e.oid = d.refobjid \
             LEFT JOIN LATERAL ( \
                  SELECT array_agg(attname::text ORDER BY attnum) AS names, \
                         array_agg(format_type(atttypid, atttypmod) ORDER BY attnum) AS types \
                  FROM pg_attribute \
                  WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped \
                        AND attgenerated = '') a ON true \
             WHERE c.relkind = 'r' AND c.relpersistence <> 't' \
                   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
                   AND NOT starts_with(n.nspname, 'strongroom_staging_') \
                   AND (e.oid IS NULL OR c.oid = ANY (e.extconfig)) \
             ORDER BY n.nspname, c.relname",
            &[],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let names: Option<Vec<String>> = row.get(8);
            let types: Option<Vec<String>> = row.get(9);
            let columns = names.unwrap_or_default().into_iter().zip(types.unwrap_or_default());
            let extension: Option<String> = row.get(6);
            let condition: Option<String> = row.get(7);
            SourceTable {
                table: Table {
                    oid: row.get(0),
                    schema: row.get(1),
                    name: row.get(2),
                    columns: columns.map(|(name, type_name)| Column { name, type_name }).collect(),
                    relfilenode: row.get(3),
                    shape: None,
                    pages: 0,
                    logged: row.get(4),
                    data: TableData::default(),
                    extension: extension.clone(),
                },
                by_page: row.get::<_, bool>(5) && extension.is_none(),
                heap_bytes: 0,
                toast_bytes: 0,
                condition: condition.filter(|text| !text.is_empty()),
                tablespace: row.get(10),
                chain_cut: None,
            }
        })
        .collect())
}

/// For each logged table, a digest of what decides how its stored rows look beside themselves.
///
/// Rows are stored as text. The text of an old row changes without the row when an enum's label is
/// renamed, when a column is dropped and another one takes its name, when a column is added whose
/// default stands in the catalog and not in the rows, or when the extension that prints a type is
/// updated; all that is in the digest, for the types of the columns and every type inside of those.
/// No digest at all for tables with values that print the names of other objects (`regclass` and its
/// kin, `aclitem`), and types that print by a function of somebody's own.
pub(crate) async fn row_shapes(
    client: &Client,
    version_num: u32,
) -> Result<HashMap<u32, Option<String>>> {
    // Multiranges came with PostgreSQL 14.
    let ranges = match version_num {
        140000.. => "t.oid IN (r.rngtypid, r.rngmultitypid)",
        _ => "t.oid = r.rngtypid",
    };
    // Not a cryptographic digest: those are not allowed on every server.
    let digest = |text: &str| {
        format!("to_hex(hashtextextended({text}, 0)) || to_hex(hashtextextended({text}, 1))")
    };
    let members = digest(
        "string_agg(concat_ws('|', t.oid, t.typtype, t.typoutput::oid, e.extname, e.extversion, \
             (SELECT string_agg(quote_literal(enumlabel), ',' ORDER BY enumsortorder) \
              FROM pg_enum WHERE enumtypid = t.oid), \
             (SELECT string_agg(concat_ws(' ', attnum, attname, atttypid, atttypmod), ',' \
                                ORDER BY attnum) \
              FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0)), \
             chr(10) ORDER BY t.oid)",
    );
    let columns = digest(
        "string_agg(concat_ws('|', c.attnum, c.attname, c.atttypid, c.atttypmod, \
                              quote_nullable(c.missing), r.digest), chr(10) ORDER BY c.attnum)",
    );
    let sql = format!(
        "WITH RECURSIVE columns AS ( \
             SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, \
                    a.attmissingval::text AS missing \
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
             WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= 16384 \
                   AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), \
         members (root, type) AS ( \
             SELECT DISTINCT atttypid, atttypid FROM columns \
             UNION \
             SELECT m.root, inner_type.oid \
             FROM members m JOIN pg_type t ON t.oid = m.type \
             CROSS JOIN LATERAL ( \
                 SELECT t.typelem AS oid \
                 UNION ALL SELECT t.typbasetype \
                 UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE {ranges} \
                 UNION ALL SELECT a.atttypid FROM pg_attribute a \
                           WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped \
             ) inner_type WHERE inner_type.oid <> 0), \
         roots AS ( \
             SELECT m.root, \
                    bool_or(t.typtype = 'b' AND (t.typname = 'aclitem' OR t.typname LIKE 'reg%') \
                                AND t.oid < 16384 \
                            OR t.typtype = 'b' AND t.oid >= 16384 AND e.oid IS NULL \
                               AND t.typoutput <> 'array_out'::regproc) AS unsteady, \
                    {members} AS digest \
             FROM members m JOIN pg_type t ON t.oid = m.type \
             LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid \
                  AND d.deptype = 'e' \
             LEFT JOIN pg_extension e ON e.oid = d.refobjid \
             GROUP BY m.root) \
         SELECT c.attrelid, bool_or(r.unsteady), \
                {columns} \
         FROM columns c JOIN roots r ON r.root = c.atttypid \
         GROUP BY c.attrelid"
    );
    let rows = client.query(sql.as_str(), &[]).await?;
    let shape = |row: &Row| {
        let digest: Option<String> = row.get(2);
        (row.get(0), digest.filter(|_| row.get::<_, Option<bool>>(1) == Some(false)))
    };
    Ok(rows.iter().map(shape).collect())
}

/// A query for the present sizes of these tables: oid, pages, bytes of heap, bytes out of line. It
/// locks each table for a moment, unless the session holds a lock already.
pub(crate) fn size_query(oids: &[u32]) -> String {
    let oids: Vec<String> = oids.iter().map(u32::to_string).collect();
    format!(
        "SELECT c.oid::int8, \
                s.heap / current_setting('block_size')::int8, s.heap, \
                coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0) \
         FROM pg_class c \
         CROSS JOIN LATERAL (SELECT coalesce(pg_relation_size(c.oid), 0) AS heap) s \
         WHERE c.oid = ANY ('{{{}}}'::oid[])",
        oids.join(",")
    )
}

/// A table's size.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) pages: u32,
    pub(crate) heap_bytes: u64,
    pub(crate) toast_bytes: u64,
}

impl Size {
    /// From the columns of [`size_query`], with the table's oid.
    pub(crate) fn of(row: [i64; 4]) -> (u32, Size) {
        let [oid, pages, heap, toast] = row.map(|number| u64::try_from(number).unwrap_or(0));
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        (oid as u32, Size { pages, heap_bytes: heap, toast_bytes: toast })
    }
}

/// A table's name, file and columns, as the present catalogs have them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) qualified: String,
    pub(crate) relfilenode: u32,
    pub(crate) columns: Vec<Column>,
}

/// The shapes of these tables, by oid. Asks nothing that takes a lock, so that it never waits behind
/// a statement that waits for us.
pub(crate) async fn shapes(client: &Client, oids: &[u32]) -> Result<HashMap<u32, Shape>> {
    let rows = client
        .query(
            "SELECT c.oid, n.nspname::text, c.relname::text, c.relfilenode, \
                    array_agg(attname::text ORDER BY attnum) FILTER (WHERE attnum > 0), \
                    array_agg(format_type(atttypid, atttypmod) ORDER BY attnum) FILTER (WHERE attnum > 0) \
             FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
                  AND NOT a.attisdropped AND a.attgenerated = '' \
             WHERE c.oid = ANY ($1) \
             GROUP BY 1, 2, 3, 4",
            &[&oids],
        )
        .await?;
    let shape = |row: &Row| {
        let names: Option<Vec<String>> = row.get(4);
        let types: Option<Vec<String>> = row.get(5);
        let columns = names.unwrap_or_default().into_iter().zip(types.unwrap_or_default());
        let shape = Shape {
            qualified: qualified(row.get(1), row.get(2)),
            relfilenode: row.get(3),
            columns: columns.map(|(name, type_name)| Column { name, type_name }).collect(),
        };
        (row.get(0), shape)
    };
    Ok(rows.iter().map(shape).collect())
}

/// The labels of all enums of the current database, by the numbers that they keep when they are
/// renamed.
pub(crate) async fn enum_labels(client: &Client) -> Result<HashMap<u32, String>> {
    let rows = client.query("SELECT oid, enumlabel::text FROM pg_enum", &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// How many tables may be locked at once without taking the room of others: a quarter of what the
/// server's lock table was made for.
pub(crate) async fn room_for_locks(client: &Client) -> Result<usize> {
    let row = client
        .query_one(
            "SELECT current_setting('max_locks_per_transaction')::int8 \
                    * current_setting('max_connections')::int8 / 4",
            &[],
        )
        .await?;
    Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

/// The relations of the current database that each of these sessions has locked.
pub(crate) async fn locks_of(client: &Client, pids: &[i32]) -> Result<Vec<HashSet<u32>>> {
    let rows = client
        .query(
            "SELECT pid, relation FROM pg_locks \
             WHERE pid = ANY ($1) AND locktype = 'relation' AND granted \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            &[&pids],
        )
        .await?;
    let mut held = vec![HashSet::new(); pids.len()];
    for row in rows {
        let (pid, relation): (i32, u32) = (row.get(0), row.get(1));
        if let Some(at) = pids.iter().position(|known| *known == pid) {
            held[at].insert(relation);
        }
    }
    Ok(held)
}

/// All sequences of the current database, with their present values: sequences take no part in
/// transactions, and a value read after the snapshot is never behind its rows. The values are read
/// by `present`, a connection without a transaction, which keeps no locks.
pub(crate) async fn sequences(client: &Client, present: &Client) -> Result<Vec<Sequence>> {
    let rows = client
        .query(
            "SELECT c.oid, n.nspname::text, c.relname::text, o.refobjid \
             FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             LEFT JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = c.oid \
                  AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i') \
             LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid \
                  AND d.deptype = 'e' \
             LEFT JOIN pg_extension e ON e.oid = d.refobjid \
             WHERE c.relkind = 'S' AND c.relpersistence <> 't' \
                   AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
                   AND NOT starts_with(n.nspname, 'strongroom_staging_') \
                   AND (e.oid IS NULL OR c.oid = ANY (e.extconfig)) \
             ORDER BY 2, 3",
            &[],
        )
        .await?;
    let mut sequences: Vec<Sequence> = rows
        .iter()
        .map(|row| Sequence {
            oid: row.get(0),
            schema: row.get(1),
            name: row.get(2),
            last_value: 0,
            is_called: false,
            owned_by: row.get(3),
        })
        .collect();
    for batch in sequences.chunks_mut(200) {
        let values: Vec<String> = batch
            .iter()
            .enumerate()
            .map(|(at, sequence)| {
                let name = qualified(&sequence.schema, &sequence.name);
                format!("SELECT {at}, last_value, is_called FROM {name}")
            })
            .collect();
        for row in present.query(values.join(" UNION ALL ").as_str(), &[]).await? {
            let sequence = &mut batch[row.get::<_, i32>(0) as usize];
            sequence.last_value = row.get(1);
            sequence.is_called = row.get(2);
        }
    }
    Ok(sequences)
}

/// The extensions in use in the current database.
pub(crate) async fn extensions(client: &Client) -> Result<Vec<Extension>> {
    let rows =
        client.query("SELECT extname::text, extversion FROM pg_extension ORDER BY 1", &[]).await?;
    Ok(rows.iter().map(|row| Extension { name: row.get(0), version: row.get(1) }).collect())
}

/// The materialized views of the current database that hold rows.
pub(crate) async fn filled_views(client: &Client) -> Result<Vec<u32>> {
    let sql = "SELECT oid FROM pg_class WHERE relkind = 'm' AND relispopulated ORDER BY oid";
    Ok(client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// The large objects of the current database, without their bytes.
pub(crate) async fn large_objects(client: &Client) -> Result<Vec<LargeObject>> {
    let rows = client
        .query(
            "SELECT m.oid, pg_get_userbyid(m.lomowner)::text, \
                    obj_description(m.oid, 'pg_largeobject'), m.lomacl IS NOT NULL, \
                    coalesce(g.roles, '{}'), coalesce(g.privileges, '{}'), \
                    coalesce(g.grantable, '{}') \
             FROM pg_largeobject_metadata m \
             LEFT JOIN LATERAL ( \
                  SELECT array_agg(CASE WHEN grantee = 0 THEN '' \
                                        ELSE pg_get_userbyid(grantee)::text END) AS roles, \
                         array_agg(privilege_type) AS privileges, \
                         array_agg(is_grantable) AS grantable \
                  FROM aclexplode(m.lomacl)) g ON true \
             ORDER BY m.oid",
            &[],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let roles: Vec<String> = row.get(4);
            let privileges: Vec<String> = row.get(5);
            let grantable: Vec<bool> = row.get(6);
            LargeObject {
                oid: row.get(0),
                owner: row.get(1),
                comment: row.get(2),
                has_grants: row.get(3),
                grants: roles
                    .into_iter()
                    .zip(privileges)
                    .zip(grantable)
                    .map(|((role, privilege), grantable)| (role, privilege, grantable))
                    .collect(),
            }
        })
        .collect())
}

/// The query that yields the bytes of large objects: oid, offset, and up to 1 MiB from there.
pub(crate) fn large_object_rows(oids: &[u32]) -> String {
    let oids: Vec<String> = oids.iter().map(u32::to_string).collect();
    // Each object is opened to learn its length and closed again at once (a descriptor per object
    // would pile up until the transaction's end); the sum with zero makes closing wait for that.
    format!(
        "SELECT o.oid, part.at, lo_get(o.oid, part.at, 1048576) \
         FROM unnest('{{{}}}'::oid[]) AS o(oid) \
         CROSS JOIN LATERAL (SELECT lo_open(o.oid, 262144) AS fd OFFSET 0) AS opened \
         CROSS JOIN LATERAL (SELECT lo_lseek64(opened.fd, 0, 2) AS size OFFSET 0) AS known \
         CROSS JOIN LATERAL \
             (SELECT lo_close(opened.fd + (known.size * 0)::int) AS done OFFSET 0) AS closed \
         CROSS JOIN LATERAL \
             generate_series(0, greatest(known.size - 1, 0) + closed.done, 1048576) AS part(at)",
        oids.join(",")
    )
}

/// The cluster's roles, without the server's own. Passwords where we may read them.
pub(crate) async fn roles(client: &Client) -> Result<Vec<Role>> {
    let may_read = client
        .scalar("SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')")
        .await?
        .is_some_and(|answer| answer == "t");
    let (source, password) = match may_read {
        true => ("pg_authid", "r.rolpassword"),
        false => ("pg_roles", "NULL::text"),
    };
    for row in client.query(&format!("SELECT {} FROM pg_roles", bytes_of("rolname")), &[]).await? {
        readable("role", row.get(0))?;
    }
    let sql = format!(
        "SELECT r.rolname::text, \
                concat_ws(' ', \
                    CASE WHEN r.rolsuper THEN 'SUPERUSER' ELSE 'NOSUPERUSER' END, \
                    CASE WHEN r.rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END, \
                    CASE WHEN r.rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END, \
                    CASE WHEN r.rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END, \
                    CASE WHEN r.rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END, \
                    CASE WHEN r.rolreplication THEN 'REPLICATION' ELSE 'NOREPLICATION' END, \
                    CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END, \
                    'CONNECTION LIMIT ' || r.rolconnlimit, \
                    'VALID UNTIL ' || quote_literal(r.rolvaliduntil)), \
                {password}, \
                ARRAY(SELECT 'SET ' || quote_ident(split_part(s, '=', 1)) || ' TO ' || \
                             CASE WHEN value = '\"\"' THEN '''''' \
                                  WHEN split_part(s, '=', 1) IN ('local_preload_libraries', \
                                       'search_path', 'session_preload_libraries', \
                                       'temp_tablespaces') THEN value \
                                  ELSE quote_literal(value) END \
                      FROM pg_db_role_setting, unnest(setconfig) AS s, \
                           LATERAL substr(s, strpos(s, '=') + 1) AS value \
                      WHERE setrole = r.oid AND setdatabase = 0), \
                shobj_description(r.oid, 'pg_authid') \
         FROM {source} r \
         WHERE NOT starts_with(r.rolname, 'pg_') \
         ORDER BY r.rolname"
    );
    let role = |row: &Row| {
        let name: String = row.get(0);
        let unreadable = |_| {
            let message = format!("settings or comment of role \"{name}\" are not valid UTF-8");
            Error::new(Kind::Unsupported, message).hint("set them anew, in UTF-8")
        };
        Ok(Role {
            options: row.get(1),
            password: row.get(2),
            password_unknown: !may_read,
            settings: row.try_get(3).map_err(unreadable)?,
            comment: row.try_get(4).map_err(unreadable)?,
            member_of: Vec::new(),
            name,
        })
    };
    let rows = client.query(sql.as_str(), &[]).await?;
    let mut roles = rows.iter().map(role).collect::<Result<Vec<Role>>>()?;
    let options = match version_num(client).await? {
        160000.. => "bool_or(m.inherit_option), bool_or(m.set_option)",
        _ => "NULL::bool, NULL::bool",
    };
    let sql = format!(
        "SELECT pg_get_userbyid(m.member)::text, pg_get_userbyid(m.roleid)::text, \
                bool_or(m.admin_option), {options} \
         FROM pg_auth_members m GROUP BY 1, 2 ORDER BY 1, 2"
    );
    for row in client.query(sql.as_str(), &[]).await? {
        let member: String = row.get(0);
        if let Some(role) = roles.iter_mut().find(|role| role.name == member) {
            role.member_of.push(Membership {
                role: row.get(1),
                admin: row.get(2),
                inherit: row.get(3),
                set: row.get(4),
            });
        }
    }
    Ok(roles)
}

/// The names of all roles of the server, its own included.
pub(crate) async fn role_names(client: &Client) -> Result<Vec<String>> {
    names(client, "rolname", "pg_roles").await
}

/// `server_version_num`.
pub(crate) async fn version_num(client: &Client) -> Result<u32> {
    let text = client.scalar("SHOW server_version_num").await?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Whether a database of this name exists.
pub(crate) async fn database_exists(client: &Client, name: &str) -> Result<bool> {
    let sql = format!("SELECT 1 FROM pg_database WHERE datname = {}", literal(name));
    Ok(client.scalar(&sql).await?.is_some())
}
