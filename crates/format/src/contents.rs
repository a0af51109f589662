//! What a backup holds: its databases with their tables and sequences, and the cluster's roles.
//!
//! Stored as one piece of JSON in the `CONTENTS` object, after a number that names the version.
//! The definitions themselves (types, views, functions, indexes, constraints, who depends on whom)
//! stand in each database's schema object, which is the archive that `pg_dump` made; tables here
//! and entries there are joined by their catalog ids.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::piece::PieceInfo;
use crate::{FORMAT_VERSION, FormatError};

/// Everything in a backup but the definitions and the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Version of the stored format.
    pub version: u32,
    /// The databases.
    pub databases: Vec<Database>,
    /// The roles; empty but for a cluster backup.
    pub roles: Vec<Role>,
    /// Every pack that holds a live segment, of this backup or an earlier one of its chain.
    pub packs: Vec<Pack>,
}

/// A pack, by its path below the collection's root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// Its object name.
    pub path: String,
    /// Its length.
    pub stored_bytes: u64,
}

/// One database at its read point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Its oid, as in the archive.
    pub oid: u32,
    /// The role that owns it.
    pub owner: String,
    /// Its encoding, by PostgreSQL's name; rows are stored in it.
    pub encoding: String,
    /// Its collation, as `CREATE DATABASE` takes it.
    pub collation: String,
    /// The moment it was read.
    pub read_point: ReadPoint,
    /// Length and checksum of the schema object.
    pub schema: PieceInfo,
    /// Its number, which names the schema object.
    pub number: usize,
    /// The extensions that it uses.
    pub extensions: Vec<Extension>,
    /// Its tables, largest first.
    pub tables: Vec<Table>,
    /// Its sequences.
    pub sequences: Vec<Sequence>,
    /// The materialized views that held rows, by oid: a restore fills them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filled_views: Vec<u32>,
    /// Its large objects.
    pub large_objects: Vec<LargeObject>,
    /// The bytes of its large objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_object_data: Option<TableData>,
}

/// The one consistent moment that a database was read at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadPoint {
    /// The server's clock.
    pub at: Timestamp,
    /// The write-ahead log position; absent on servers that do not tell.
    pub lsn: Option<String>,
    /// The snapshot, as `pg_current_snapshot()` prints it.
    pub snapshot: String,
    /// From where an incremental on top of this backup looks for changes in the write-ahead log.
    /// Absent where none is known that misses nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Sample>,
}

/// A position in the write-ahead log, and a transaction id that was not assigned before it: no
/// transaction from this id on has written anything before that position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The position, as PostgreSQL prints it.
    pub lsn: String,
    /// The transaction id, with its epoch.
    pub xid: u64,
}

/// An extension in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A relation that holds rows: a plain table, or a leaf partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its oid, as in the archive.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The columns whose values are stored, in order; generated ones are not.
    pub columns: Vec<Column>,
    /// Set on an extension's own table: only the rows that its condition chooses are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// The file that held it at the read point, to tell a rewritten table.
    pub relfilenode: u32,
    /// A digest of everything that decides what its stored rows look like beside the rows
    /// themselves: columns, types, labels. Absent where rows may look different although nothing
    /// that we know of has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    /// Heap pages when it was read.
    pub pages: u32,
    /// Whether changes to it are in the write-ahead log.
    pub logged: bool,
    /// Its rows.
    pub data: TableData,
}

/// A column whose values are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as `format_type` prints it.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// The rows of one table, in all, and where their segment list lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableData {
    /// Rows.
    pub rows: u64,
    /// Raw bytes.
    pub size_bytes: u64,
    /// Bytes in packs.
    pub stored_bytes: u64,
    /// Bytes that this backup itself added to packs.
    pub added_bytes: u64,
    /// Segments.
    pub segments: u64,
    /// The list of segments, absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<ListRef>,
}

/// Where in the `SEGMENTS` object a table's list lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRef {
    /// Where the piece begins.
    pub offset: u64,
    /// Lengths and checksum of the piece.
    pub piece: PieceInfo,
}

/// A sequence and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// Its oid, as in the archive.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The last value handed out, or the next one if it was never called.
    pub last_value: i64,
    /// Whether a value was handed out.
    pub is_called: bool,
    /// The table that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<u32>,
}

/// A large object, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeObject {
    /// Its oid.
    pub oid: u32,
    /// The role that owns it.
    pub owner: String,
    /// Its comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Privileges on it: role (empty: everyone), privilege, with grant option.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<(String, String, bool)>,
    /// Whether `grants` are all there are, or the default ones hold.
    #[serde(default)]
    pub has_grants: bool,
}

/// A role of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// `CREATE ROLE` options, such as `LOGIN NOSUPERUSER`; without the password.
    pub options: String,
    /// The password verifier, where the server lets us read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Set where the server did not let us read the verifier: a restore then leaves the password
    /// of a role that exists as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub password_unknown: bool,
    /// Its settings in all databases: `ALTER ROLE` clauses, such as `SET work_mem TO '64MB'`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// Its comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The roles it is a member of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub member_of: Vec<Membership>,
}

/// One role's membership in another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The group.
    pub role: String,
    /// Whether the member may admit others.
    pub admin: bool,
    /// Whether the member inherits the group's rights; servers before 16 ask the role itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherit: Option<bool>,
    /// Whether the member may become the group; always so before 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<bool>,
}

impl Contents {
    /// The JSON that is stored, as a piece.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the JSON.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let not = |error: serde_json::Error| FormatError::NotA {
            expected: "list of contents",
            reason: error.to_string(),
        };
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(not)?;
        if head.version > FORMAT_VERSION {
            return Err(FormatError::NewerVersion {
                found: head.version,
                supported: FORMAT_VERSION,
            });
        }
        serde_json::from_slice(bytes).map_err(not)
    }
}

impl Database {
    /// The parts that hold rows: the tables, then the large objects.
    pub fn data(&self) -> impl Iterator<Item = &TableData> {
        self.tables.iter().map(|table| &table.data).chain(&self.large_object_data)
    }

    /// Raw bytes of all rows.
    pub fn size_bytes(&self) -> u64 {
        self.data().map(|data| data.size_bytes).sum()
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.data.rows).sum()
    }
}
