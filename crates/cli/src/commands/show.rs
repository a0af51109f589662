//! `strongroom show`: what is inside one backup.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use strongroom_dataplane::Result;
use strongroom_dataplane::collection::Backup;
use strongroom_format::BackupId;
use strongroom_format::contents::{Column, Database, Extension, ReadPoint, Table};
use strongroom_format::manifest::{DatabaseSummary, Omission, Source, Targets};

use crate::args::{InCollection, KeyArgs};
use crate::output::{self, count, counted, facts};

/// Show what a backup holds: its databases and tables, with their sizes and rows
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom show latest --in file:///var/backups/shop
  strongroom show 2026/11/22-130000.00 --in file:///var/backups/shop --database shop --json")]
pub(crate) struct ShowArgs {
    /// The backup: an id as `strongroom backups` prints it, or `latest`
    backup: String,

    #[command(flatten)]
    collection: InCollection,

    /// Only this database; may be repeated
    #[arg(long = "database", value_name = "D")]
    databases: Vec<String>,

    #[command(flatten)]
    key: KeyArgs,
}

/// Everything that is told of a backup.
#[derive(Serialize)]
struct Shown<'a> {
    id: BackupId,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<BackupId>,
    detector: Option<&'a str>,
    full_because: Option<&'a str>,
    level: &'static str,
    targets: &'a Targets,
    source: &'a Source,
    data_from: Timestamp,
    finished_at: Timestamp,
    size_bytes: u64,
    stored_bytes: u64,
    rows: u64,
    encrypted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    written_by: &'a str,
    omissions: &'a [Omission],
    databases: Vec<ShownDatabase<'a>>,
    /// All of them, also where only some are shown.
    #[serde(skip)]
    summaries: &'a [DatabaseSummary],
    roles: Vec<&'a str>,
    collection: &'a str,
}

#[derive(Serialize)]
struct ShownDatabase<'a> {
    name: &'a str,
    size_bytes: u64,
    stored_bytes: u64,
    added_bytes: u64,
    rows: u64,
    owner: &'a str,
    encoding: &'a str,
    collation: &'a str,
    read_point: &'a ReadPoint,
    extensions: &'a [Extension],
    sequences: usize,
    large_objects: usize,
    tables: Vec<ShownTable<'a>>,
}

#[derive(Serialize)]
struct ShownTable<'a> {
    schema: &'a str,
    name: &'a str,
    size_bytes: u64,
    stored_bytes: u64,
    added_bytes: u64,
    rows: u64,
    columns: &'a [Column],
}

impl ShowArgs {
    pub(crate) async fn run(self, json: bool) -> Result<String> {
        let store = self.collection.open()?;
        let secret = self.key.secret()?;
        let backup = Backup::open(&store, &self.backup, secret.as_ref()).await?;
        let databases = match self.databases.as_slice() {
            [] => backup.contents.databases.iter().collect(),
            names => names.iter().map(|name| backup.database(name)).collect::<Result<Vec<_>>>()?,
        };
        let shown = Shown::new(&backup, &databases);
        Ok(if json { output::json(&shown) } else { shown.text() })
    }
}

impl<'a> Shown<'a> {
    fn new(backup: &'a Backup, databases: &[&'a Database]) -> Self {
        let manifest = &backup.manifest;
        Shown {
            id: manifest.id,
            kind: manifest.kind.name(),
            parent: manifest.parent,
            detector: manifest.detector.as_deref(),
            full_because: manifest.full_because.as_deref(),
            level: manifest.targets.level(),
            targets: &manifest.targets,
            source: &manifest.source,
            data_from: manifest.data_from,
            finished_at: manifest.finished_at,
            size_bytes: manifest.size_bytes,
            stored_bytes: manifest.stored_bytes,
            rows: manifest.rows,
            encrypted: manifest.key_id.is_some(),
            key_id: manifest.key_id.as_deref(),
            written_by: &manifest.written_by,
            omissions: &manifest.omissions,
            databases: databases.iter().map(|database| ShownDatabase::new(database)).collect(),
            summaries: &manifest.databases,
            roles: backup.contents.roles.iter().map(|role| role.name.as_str()).collect(),
            collection: backup.store.shown(),
        }
    }

    fn text(&self) -> String {
        let names: Vec<String> = self.summaries.iter().map(|d| d.name.clone()).collect();
        let took = self.finished_at.duration_since(self.data_from).as_secs_f64();
        let mut stored = output::size(self.stored_bytes);
        if let Some(ratio) = output::ratio(self.size_bytes, self.stored_bytes) {
            stored.push_str(&format!(" ({ratio})"));
        }
        let mut text = facts(&[
            ("backup", self.id.to_string()),
            ("type", self.kind.to_owned()),
            ("builds on", self.parent.map(|parent| parent.to_string()).unwrap_or_default()),
            ("full because", self.full_because.unwrap_or_default().to_owned()),
            ("changes by", self.detector.unwrap_or_default().to_owned()),
            ("holds", holds(self.targets, &names)),
            ("data from", output::time(self.data_from)),
            (
                "finished",
                format!("{} (after {})", output::time(self.finished_at), output::seconds(took)),
            ),
            ("server", format!("PostgreSQL {}", self.source.version)),
            ("size", format!("{} in {}", output::size(self.size_bytes), counted(self.rows, "row"))),
            ("stored", stored),
            ("encrypted", self.key_id.map_or("no".to_owned(), |key| format!("yes (key {key})"))),
            ("written by", self.written_by.to_owned()),
            ("databases", self.databases_counted()),
            (
                "roles",
                if self.roles.is_empty() { String::new() } else { count(self.roles.len() as u64) },
            ),
        ]);
        for omission in self.omissions {
            text.push_str(&omitted(omission));
        }
        for database in self.databases.iter().filter(|database| !database.tables.is_empty()) {
            text.push('\n');
            text.push_str(&database.text(self.parent.is_some()));
        }
        text
    }

    fn databases_counted(&self) -> String {
        let empty = self.summaries.iter().filter(|database| database.tables == 0).count();
        let all = count(self.summaries.len() as u64);
        match empty {
            0 => all,
            empty => format!("{all} ({} without tables)", count(empty as u64)),
        }
    }
}

impl<'a> ShownDatabase<'a> {
    fn new(database: &'a Database) -> Self {
        ShownDatabase {
            name: &database.name,
            size_bytes: database.size_bytes(),
            stored_bytes: database.data().map(|data| data.stored_bytes).sum(),
            added_bytes: database.data().map(|data| data.added_bytes).sum(),
            rows: database.rows(),
            owner: &database.owner,
            encoding: &database.encoding,
            collation: &database.collation,
            read_point: &database.read_point,
            extensions: &database.extensions,
            sequences: database.sequences.len(),
            large_objects: database.large_objects.len(),
            tables: database.tables.iter().map(ShownTable::new).collect(),
        }
    }

    fn text(&self, incremental: bool) -> String {
        let mut parts = vec![
            counted(self.tables.len() as u64, "table"),
            counted(self.rows, "row"),
            output::size(self.size_bytes),
        ];
        if self.sequences > 0 {
            parts.push(counted(self.sequences as u64, "sequence"));
        }
        if self.large_objects > 0 {
            parts.push(counted(self.large_objects as u64, "large object"));
        }
        // What a full backup added is all that it stored.
        let headings = ["SCHEMA", "TABLE", ">ROWS", ">SIZE", ">STORED", ">ADDED"];
        let columns = headings.len() - usize::from(!incremental);
        let cells = |table: &ShownTable<'_>| table.cells().into_iter().take(columns).collect();
        let table = output::table(&headings[..columns], self.tables.iter().map(cells));
        format!(
            "database {}: {}; owner {}, {}, read point {}\n{}",
            output::one_line(self.name),
            parts.join(", "),
            output::one_line(self.owner),
            self.encoding,
            output::time(self.read_point.at),
            indented(&table)
        )
    }
}

impl<'a> ShownTable<'a> {
    fn new(table: &'a Table) -> Self {
        ShownTable {
            schema: &table.schema,
            name: &table.name,
            size_bytes: table.data.size_bytes,
            stored_bytes: table.data.stored_bytes,
            added_bytes: table.data.added_bytes,
            rows: table.data.rows,
            columns: &table.columns,
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.schema.to_owned(),
            self.name.to_owned(),
            count(self.rows),
            output::size(self.size_bytes),
            output::size(self.stored_bytes),
            output::size(self.added_bytes),
        ]
    }
}

/// What a backup holds, in a few words.
pub(super) fn holds(targets: &Targets, databases: &[String]) -> String {
    const WIDTH: usize = 60;
    match targets {
        Targets::Cluster => format!("the cluster: {}", output::names(databases, WIDTH)),
        Targets::Databases(names) if names.len() == 1 => {
            format!("database {}", output::names(names, WIDTH))
        }
        Targets::Databases(names) => format!("databases {}", output::names(names, WIDTH)),
        Targets::Tables(names) if names.len() == 1 => {
            format!("table {}", output::names(names, WIDTH))
        }
        Targets::Tables(names) => format!("tables {}", output::names(names, WIDTH)),
    }
}

/// A line about something that a backup does not hold.
pub(super) fn omitted(omission: &Omission) -> String {
    let line = format!("note: {} is not in it: {}", omission.object, omission.reason);
    format!("{}\n", output::one_line(&line))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
