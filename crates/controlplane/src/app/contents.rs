//! What is in a backup: databases, tables, rows, and what changed since another one.
//!
//! Everything is read from the storage, so it is what a restore would find there. Rows are people's
//! data: who may see them is who may restore them.

use strongroom_catalog::{BackupId, ClusterId};
use strongroom_dataplane::diff::{Diff, DiffOptions, diff};
use strongroom_dataplane::names::TableName;
use strongroom_dataplane::progress::Progress;
use strongroom_dataplane::rows::{self, TableRows};
use strongroom_dataplane::{CancellationToken, collection};
use strongroom_format::manifest::{BackupType, Omission};

use super::App;
use crate::{Caller, Error, Permission, Result};

/// The most rows of a table that are shown at once.
pub const MOST_ROWS: u64 = 1000;
/// Of longer values, so many bytes are shown.
const LONGEST_VALUE: usize = 1024;

/// A database in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseContents {
    /// Its name.
    pub name: String,
    /// Bytes of its rows in the storage: of an incremental, those that changed.
    pub size_bytes: u64,
    /// Bytes of all its rows, before compression.
    pub total_bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// Its tables.
    pub tables: u64,
    /// Whether anything of it was stored anew by this backup.
    pub changed: bool,
}

/// A table in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableContents {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Bytes of its rows in the storage: of an incremental, those that changed.
    pub size_bytes: u64,
    /// Bytes of all its rows, before compression.
    pub total_bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// Its columns: names and types.
    pub columns: Vec<(String, String)>,
}

/// What a backup holds.
#[derive(Clone, Debug)]
pub struct BackupContents {
    /// Its databases.
    pub databases: Vec<DatabaseContents>,
    /// What was there and is not in it, with reasons.
    pub omissions: Vec<Omission>,
}

impl App {
    /// The databases of a backup.
    pub async fn backup_contents(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        backup: BackupId,
    ) -> Result<BackupContents> {
        let opened = self.opened(caller, cluster, backup).await?;
        let incremental = opened.manifest.kind == BackupType::Incremental;
        let databases = opened.contents.databases.iter().map(|database| {
            let added: u64 = database.data().map(|data| data.added_bytes).sum();
            let total_bytes = database.size_bytes();
            DatabaseContents {
                name: database.name.clone(),
                size_bytes: added,
                total_bytes,
                rows: database.rows(),
                tables: database.tables.len() as u64,
                changed: !incremental || added > 0,
            }
        });
        Ok(BackupContents {
            databases: databases.collect(),
            omissions: opened.manifest.omissions.clone(),
        })
    }

    /// The tables of a database in a backup.
    pub async fn backup_tables(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        backup: BackupId,
        database: &str,
    ) -> Result<Vec<TableContents>> {
        let opened = self.opened(caller, cluster, backup).await?;
        let tables = opened.database(database)?.tables.iter().map(|table| TableContents {
            schema: table.schema.clone(),
            name: table.name.clone(),
            size_bytes: table.data.added_bytes,
            total_bytes: table.data.size_bytes,
            rows: table.data.rows,
            columns: table
                .columns
                .iter()
                .map(|column| (column.name.clone(), column.type_name.clone()))
                .collect(),
        });
        Ok(tables.collect())
    }

    /// The first rows of a table in a backup.
    pub async fn backup_rows(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        backup: BackupId,
        table: &TableName,
        limit: u64,
    ) -> Result<TableRows> {
        if limit > MOST_ROWS {
            let message = format!("limit is {limit}; {MOST_ROWS} rows are the most");
            return Err(Error::invalid(message)
                .hint("restore the table beside the living one, and query it there"));
        }
        let backup = self.backup_for(caller, Permission::Restore, cluster, backup).await?;
        let _turn = self.0.turns.to_read().await?;
        let opened = self.open_backup(&backup).await?;
        let never = CancellationToken::new();
        Ok(rows::read(&opened, table, limit, Some(LONGEST_VALUE), &never).await?)
    }

    /// What changed from an older backup of the same cluster to this one. With a database: in that
    /// one only.
    pub async fn backup_diff(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        backup: BackupId,
        since: BackupId,
        database: Option<String>,
    ) -> Result<Diff> {
        let before = self.backup_for(caller, Permission::Restore, cluster, since).await?;
        let after = self.backup_for(caller, Permission::Restore, cluster, backup).await?;
        let _turn = self.0.turns.to_read().await?;
        let before = self.open_backup(&before).await?;
        let after = self.open_backup(&after).await?;
        if before.manifest.data_from >= after.manifest.data_from {
            let message = format!("backup {since} is not older than backup {backup}");
            return Err(Error::invalid(message).hint("name the older one as the other"));
        }
        let options = DiffOptions { database, all: false };
        let never = CancellationToken::new();
        Ok(diff(&before, &after, &options, &Progress::silent(), &never).await?)
    }

    async fn opened(
        &self,
        caller: &Caller,
        cluster: ClusterId,
        backup: BackupId,
    ) -> Result<collection::Backup> {
        let backup = self.backup_for(caller, Permission::Restore, cluster, backup).await?;
        self.open_backup(&backup).await
    }
}
