//! `strongroom diff`: what changed between two backups.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use strongroom_dataplane::Result;
use strongroom_dataplane::collection::Backup;
use strongroom_dataplane::diff::{
    self, Change, DatabaseDiff, DefinitionDiff, Diff, DiffOptions, RoleDiff, Size, TableDiff,
};
use strongroom_dataplane::names::shown;
use strongroom_format::BackupId;

use crate::args::{InCollection, KeyArgs};
use crate::output::{self, count, counted, facts};
use crate::progress::Reporter;
use crate::signals::cancelled_by_signals;

/// Show what changed between two backups: rows, definitions, sequences, large objects, roles
#[derive(Debug, Args)]
#[command(after_help = "\
Only rows that are not stored for both backups alike are read. A row that was updated counts as one
removed and one added. Where very many rows differ, their number is an estimate, and marked as such.

Examples:
  strongroom diff 2026/11/21-130000.00 latest --in file:///var/backups/shop
  strongroom diff 2026/11/21-130000.00 latest --in file:///var/backups/shop --database shop --json")]
pub(crate) struct DiffArgs {
    /// The earlier backup: an id as `strongroom backups` prints it, or `latest`
    from: String,

    /// The later backup
    to: String,

    #[command(flatten)]
    collection: InCollection,

    /// Only this database
    #[arg(long, value_name = "D")]
    database: Option<String>,

    /// Also list databases and tables that did not change
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    key: KeyArgs,
}

/// What is told of a comparison.
#[derive(Serialize)]
struct Report {
    from: Side,
    to: Side,
    changed: bool,
    #[serde(flatten)]
    diff: Diff,
}

#[derive(Serialize)]
struct Side {
    id: BackupId,
    #[serde(rename = "type")]
    kind: &'static str,
    data_from: Timestamp,
}

impl DiffArgs {
    pub(crate) async fn run(self, json: bool) -> Result<String> {
        let store = self.collection.open()?;
        let secret = self.key.secret()?;
        let from = Backup::open(&store, &self.from, secret.as_ref()).await?;
        let to = Backup::open(&store, &self.to, secret.as_ref()).await?;
        let reporter = Reporter::new(json);
        let (progress, cancel) = (reporter.progress(), cancelled_by_signals(&reporter));
        let options = DiffOptions { database: self.database, all: self.all };
        let diff = diff::diff(&from, &to, &options, &progress, &cancel).await;
        reporter.finish();
        let diff = diff?;
        let side = |backup: &Backup| Side {
            id: backup.manifest.id,
            kind: backup.manifest.kind.name(),
            data_from: backup.manifest.data_from,
        };
        let report = Report { from: side(&from), to: side(&to), changed: !diff.is_empty(), diff };
        Ok(if json { output::json(&report) } else { report.text() })
    }
}

impl Side {
    fn text(&self) -> String {
        format!("{} ({}, data from {})", self.id, self.kind, output::time(self.data_from))
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = facts(&[("from", self.from.text()), ("to", self.to.text())]);
        for note in &self.diff.notes {
            text.push_str(&format!("note: {}\n", output::one_line(note)));
        }
        if !self.changed {
            text.push_str("nothing changed\n");
        }
        for database in &self.diff.databases {
            text.push('\n');
            text.push_str(&database_text(database));
        }
        if !self.diff.roles.is_empty() {
            text.push_str("\nroles\n");
            let rows = self.diff.roles.iter().map(role_cells);
            text.push_str(&indented(&output::table(&["CHANGE", "ROLE"], rows)));
        }
        text
    }
}

fn database_text(database: &DatabaseDiff) -> String {
    let mut heading = format!("database {}: {}", shown(&database.name), database.change.name());
    if let Some(name) = &database.renamed_from {
        heading.push_str(&format!(" (it was {})", shown(name)));
    }
    let one_side = database.before.xor(database.after);
    if let Some(Size { tables, rows, size_bytes }) = one_side {
        heading.push_str(&format!(
            "; {}, {}, {}",
            counted(tables.unwrap_or_default(), "table"),
            counted(rows, "row"),
            output::size(size_bytes)
        ));
    }
    let mut parts = Vec::new();
    if !database.definitions.is_empty() {
        let rows = database.definitions.iter().map(definition_cells);
        parts.push(output::table(&["CHANGE", "DEFINITION"], rows));
    }
    if !database.tables.is_empty() {
        let headings = [
            "CHANGE",
            "TABLE",
            ">ROWS",
            ">BEFORE",
            ">ADDED",
            ">REMOVED",
            ">SIZE",
            ">BEFORE",
            ">NEWLY STORED",
        ];
        let rows = database.tables.iter().map(table_cells);
        let mut table = output::table(&headings, rows);
        for found in database.tables.iter().filter(|t| !t.columns_not_compared.is_empty()) {
            table.push_str(&format!(
                "note: rows of {} are compared without {}\n",
                name(Some(&found.schema), &found.name),
                output::one_line(&output::names(&found.columns_not_compared, 60))
            ));
        }
        parts.push(table);
    }
    if !database.sequences.is_empty() {
        let value = |value: Option<(i64, bool)>| match value {
            None => "-".to_owned(),
            Some((value, true)) => value.to_string(),
            Some((value, false)) => format!("{value} (not called)"),
        };
        let cells = |sequence: &diff::SequenceDiff| {
            vec![
                name(Some(&sequence.schema), &sequence.name),
                value(sequence.after),
                value(sequence.before),
            ]
        };
        let rows = database.sequences.iter().map(cells);
        parts.push(output::table(&["SEQUENCE", ">VALUE", ">BEFORE"], rows));
    }
    let objects = &database.large_objects;
    if !objects.is_unchanged() {
        parts.push(format!(
            "large objects: {} added, {} removed, {} changed; {} newly stored\n",
            count(objects.added),
            count(objects.removed),
            count(objects.changed),
            output::size(objects.new_stored_bytes)
        ));
    }
    format!("{}\n{}", output::one_line(&heading), indented(&parts.join("\n")))
}

fn definition_cells(definition: &DefinitionDiff) -> Vec<String> {
    let schema = definition.schema.as_deref();
    let mut what = format!("{} {}", definition.kind, name(schema, &definition.name));
    if let Some((schema, before)) = &definition.renamed_from {
        what.push_str(&format!(" (it was {})", name(schema.as_deref(), before)));
    }
    if let Some((before, after)) = &definition.owner {
        what.push_str(&format!(" (owner {} instead of {})", shown(after), shown(before)));
    }
    vec![definition.change.name().to_owned(), what]
}

fn table_cells(table: &TableDiff) -> Vec<String> {
    let mut what = name(Some(&table.schema), &table.name);
    if let Some((schema, before)) = &table.renamed_from {
        what.push_str(&format!(" (it was {})", name(Some(schema), before)));
    }
    let rows = |size: Option<Size>| size.map_or("-".to_owned(), |size| count(size.rows));
    let bytes =
        |size: Option<Size>| size.map_or("-".to_owned(), |size| output::size(size.size_bytes));
    let about = |rows: u64| match table.exact {
        true => count(rows),
        false => format!("about {}", count(rows)),
    };
    vec![
        table.change.name().to_owned(),
        what,
        rows(table.after),
        rows(table.before),
        about(table.rows_added),
        about(table.rows_removed),
        bytes(table.after),
        bytes(table.before),
        output::size(table.new_stored_bytes),
    ]
}

fn role_cells(role: &RoleDiff) -> Vec<String> {
    let mut what = shown(&role.name);
    if role.change == Change::Changed {
        what.push_str(&format!(" ({})", role.what.join(", ")));
    }
    vec![role.change.name().to_owned(), what]
}

/// A name as people know it. Tags of definitions are no names, and have spaces of their own.
fn name(schema: Option<&str>, name: &str) -> String {
    match schema {
        Some(schema) => format!("{}.{name}", shown(schema)),
        None => name.to_owned(),
    }
}

fn indented(text: &str) -> String {
    let line = |line: &str| match line {
        "" => "\n".to_owned(),
        line => format!("  {line}\n"),
    };
    text.lines().map(line).collect()
}
