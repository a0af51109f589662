//! What is in a backup, as the API shows it.

use serde::Serialize;
use strongroom_controlplane::model;
use strongroom_controlplane::model::diff;
use utoipa::ToSchema;

/// The databases of a backup.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupDatabases {
    /// The databases.
    pub databases: Vec<BackupDatabase>,
    /// What was there, and is not in the backup.
    pub omissions: Vec<Omission>,
}

/// A database in a backup.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupDatabase {
    /// Its name.
    pub name: String,
    /// Bytes of its rows in the storage. 0 in an incremental: nothing changed.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub size_bytes: u64,
    /// Bytes of all its rows, before compression.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub total_bytes: u64,
    /// Its rows.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub rows: u64,
    /// How many tables it has.
    pub tables: u64,
    /// Whether anything of it was stored anew by this backup.
    pub changed: bool,
}

/// Something that is not in a backup.
#[derive(Debug, Serialize, ToSchema)]
pub struct Omission {
    /// What.
    pub object: String,
    /// Why.
    pub reason: String,
}

impl From<model::BackupContents> for BackupDatabases {
    fn from(contents: model::BackupContents) -> Self {
        let databases = contents.databases.into_iter().map(|database| BackupDatabase {
            name: database.name,
            size_bytes: database.size_bytes,
            total_bytes: database.total_bytes,
            rows: database.rows,
            tables: database.tables,
            changed: database.changed,
        });
        let omissions = contents
            .omissions
            .into_iter()
            .map(|omission| Omission { object: omission.object, reason: omission.reason });
        BackupDatabases { databases: databases.collect(), omissions: omissions.collect() }
    }
}

/// The tables of a database in a backup.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupTables {
    /// The tables.
    pub tables: Vec<BackupTable>,
}

/// A table in a backup.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupTable {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Bytes of its rows in the storage. 0 in an incremental: nothing changed.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub size_bytes: u64,
    /// Bytes of all its rows, before compression.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub total_bytes: u64,
    /// Its rows.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub rows: u64,
    /// Its columns.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Debug, Serialize, ToSchema)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
}

impl From<model::TableContents> for BackupTable {
    fn from(table: model::TableContents) -> Self {
        let columns = table.columns.into_iter();
        BackupTable {
            schema: table.schema,
            name: table.name,
            size_bytes: table.size_bytes,
            total_bytes: table.total_bytes,
            rows: table.rows,
            columns: columns.map(|(name, type_name)| Column { name, type_name }).collect(),
        }
    }
}

/// The first rows of a table in a backup.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupRows {
    /// The columns whose values are stored.
    pub columns: Vec<Column>,
    /// The rows: values as the server prints them, or null. Long values are cut, and end in `…`.
    pub rows: Vec<Vec<Option<String>>>,
    /// The rows of the whole table.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub rows_in_all: u64,
    /// Whether there are more.
    pub truncated: bool,
    /// What a person should know about them.
    pub notes: Vec<String>,
}

impl From<model::TableRows> for BackupRows {
    fn from(found: model::TableRows) -> Self {
        let truncated = (found.rows.len() as u64) < found.rows_in_all;
        let columns = found.columns.into_iter();
        let value = |value: strongroom_controlplane::model::Value| match value.cut {
            true => value.text + "…",
            false => value.text,
        };
        let row = |row: Vec<Option<_>>| row.into_iter().map(|cell| cell.map(value)).collect();
        BackupRows {
            columns: columns
                .map(|column| Column { name: column.name, type_name: column.type_name })
                .collect(),
            rows: found.rows.into_iter().map(row).collect(),
            rows_in_all: found.rows_in_all,
            truncated,
            notes: found.notes,
        }
    }
}

/// What changed from an older backup to this one.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupDiff {
    /// The databases in which something changed.
    pub databases: Vec<DatabaseDiff>,
    /// The roles that changed.
    pub roles: Vec<RoleDiff>,
    /// What a person should know about the comparison.
    pub notes: Vec<String>,
}

/// What happened to something.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Change {
    /// It is there after, and was not before.
    Added,
    /// It was there before, and is not after.
    Removed,
    /// It is another one of the same name.
    Recreated,
    /// It has another name, and is otherwise the same.
    Renamed,
    /// It is not what it was.
    Changed,
    /// It is what it was.
    Unchanged,
}

impl From<diff::Change> for Change {
    fn from(change: diff::Change) -> Self {
        match change {
            diff::Change::Added => Change::Added,
            diff::Change::Removed => Change::Removed,
            diff::Change::Recreated => Change::Recreated,
            diff::Change::Renamed => Change::Renamed,
            diff::Change::Changed => Change::Changed,
            diff::Change::Unchanged => Change::Unchanged,
        }
    }
}

/// How much there is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Amount {
    /// Rows.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub rows: u64,
    /// Bytes of rows, before compression.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub size_bytes: u64,
}

impl From<diff::Size> for Amount {
    fn from(size: diff::Size) -> Self {
        Amount { rows: size.rows, size_bytes: size.size_bytes }
    }
}

/// What changed in a database.
#[derive(Debug, Serialize, ToSchema)]
pub struct DatabaseDiff {
    /// Its name, after where it has one there.
    pub name: String,
    /// What happened to the database itself.
    pub change: Change,
    /// What it was called before, where that is something else.
    pub renamed_from: Option<String>,
    /// Before.
    pub before: Option<Amount>,
    /// After.
    pub after: Option<Amount>,
    /// Its definitions that changed.
    pub definitions: Vec<DefinitionDiff>,
    /// Its tables whose rows changed.
    pub tables: Vec<TableDiff>,
    /// Its sequences that stand elsewhere.
    pub sequences: Vec<SequenceDiff>,
    /// How many large objects were added, removed or changed.
    pub large_objects_changed: u64,
}

/// A definition that changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct DefinitionDiff {
    /// What happened to it.
    pub change: Change,
    /// Its kind, such as `table` or `index`.
    pub kind: String,
    /// Its schema.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
    /// Its statements before.
    pub before: Option<String>,
    /// Its statements after.
    pub after: Option<String>,
}

/// A table whose rows changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct TableDiff {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What happened to it.
    pub change: Change,
    /// What it was called before, where that is something else: `schema.name`.
    pub renamed_from: Option<String>,
    /// Before.
    pub before: Option<Amount>,
    /// After.
    pub after: Option<Amount>,
    /// Rows that were not there before; one that was updated is one of them.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub rows_added: u64,
    /// Rows that are not there after; one that was updated is one of them.
    #[serde(with = "super::int64")]
    #[schema(value_type = String, format = Int64)]
    pub rows_removed: u64,
    /// Whether these two were counted, or estimated since there are too many.
    pub exact: bool,
}

/// A sequence that stands elsewhere.
#[derive(Debug, Serialize, ToSchema)]
pub struct SequenceDiff {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its last value before.
    pub before: Option<String>,
    /// Its last value after.
    pub after: Option<String>,
}

/// A role that changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct RoleDiff {
    /// Its name.
    pub name: String,
    /// What happened to it.
    pub change: Change,
    /// What of it changed.
    pub what: Vec<String>,
}

impl From<diff::Diff> for BackupDiff {
    fn from(diff: diff::Diff) -> Self {
        let roles = diff.roles.into_iter().map(|role| RoleDiff {
            name: role.name,
            change: role.change.into(),
            what: role.what.into_iter().map(str::to_owned).collect(),
        });
        BackupDiff {
            databases: diff.databases.into_iter().map(DatabaseDiff::from).collect(),
            roles: roles.collect(),
            notes: diff.notes,
        }
    }
}

impl From<diff::DatabaseDiff> for DatabaseDiff {
    fn from(database: diff::DatabaseDiff) -> Self {
        let definitions = database.definitions.into_iter().map(|definition| DefinitionDiff {
            change: definition.change.into(),
            kind: definition.kind,
            schema: definition.schema,
            name: definition.name,
            before: definition.before,
            after: definition.after,
        });
        let tables = database.tables.into_iter().map(|table| TableDiff {
            schema: table.schema,
            name: table.name,
            change: table.change.into(),
            renamed_from: table.renamed_from.map(|(schema, name)| format!("{schema}.{name}")),
            before: table.before.map(Amount::from),
            after: table.after.map(Amount::from),
            rows_added: table.rows_added,
            rows_removed: table.rows_removed,
            exact: table.exact,
        });
        let sequences = database.sequences.into_iter().map(|sequence| SequenceDiff {
            schema: sequence.schema,
            name: sequence.name,
            before: sequence.before.map(|(value, _)| value.to_string()),
            after: sequence.after.map(|(value, _)| value.to_string()),
        });
        let large_objects = &database.large_objects;
        DatabaseDiff {
            name: database.name,
            change: database.change.into(),
            renamed_from: database.renamed_from,
            before: database.before.map(Amount::from),
            after: database.after.map(Amount::from),
            definitions: definitions.collect(),
            tables: tables.collect(),
            sequences: sequences.collect(),
            large_objects_changed: large_objects.added
                + large_objects.removed
                + large_objects.changed,
        }
    }
}
