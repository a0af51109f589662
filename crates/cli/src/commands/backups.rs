//! `strongroom backups`: lists what a collection holds.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use strongroom_dataplane::collection::{self, Entry};
use strongroom_dataplane::{Kind, Result};
use strongroom_format::BackupId;
use strongroom_format::layout::Folder;
use strongroom_format::manifest::Manifest;

use crate::args::InCollection;
use crate::output;

/// Characters that the names of databases may take in the table.
const NAMES_WIDTH: usize = 48;

/// List the backups of a collection, oldest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  strongroom backups --in file:///var/backups/shop
  strongroom backups --in file:///var/backups/shop --json | jq -r '.[-1].id'")]
pub(crate) struct BackupsArgs {
    #[command(flatten)]
    collection: InCollection,

    /// With --json: also those that are incomplete or damaged (the table always shows them), and
    /// those that were pruned and are not wholly gone
    #[arg(long)]
    all: bool,
}

/// One line of the list.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Complete {
        id: BackupId,
        #[serde(rename = "type")]
        kind: &'static str,
        parent: Option<BackupId>,
        level: &'static str,
        data_from: Timestamp,
        finished_at: Timestamp,
        size_bytes: u64,
        stored_bytes: u64,
        rows: u64,
        databases: Vec<String>,
        encrypted: bool,
        status: &'static str,
    },
    Unusable {
        id: BackupId,
        data_from: Timestamp,
        status: &'static str,
        error: String,
    },
}

impl BackupsArgs {
    pub(crate) async fn run(self, json: bool) -> Result<String> {
        let store = self.collection.open()?;
        let mut entries = collection::list(&store).await?;
        if !(json && self.all) {
            // Nobody can do anything with them.
            entries.retain(|entry| !matches!(entry, Entry::Pruned(_)));
        }
        let lines: Vec<Line> = entries.into_iter().map(Line::from).collect();
        if json {
            let shown = |line: &&Line| self.all || matches!(line, Line::Complete { .. });
            return Ok(output::json(&lines.iter().filter(shown).collect::<Vec<_>>()));
        }
        if lines.is_empty() {
            return Ok(format!("collection {} holds no backups", store.shown()));
        }
        let headings =
            ["BACKUP", "TYPE", "DATA FROM (UTC)", ">SIZE", ">STORED", "DATABASES", "BUILDS ON"];
        let chained = lines.iter().any(|line| line.parent().is_some());
        let columns = headings.len() - usize::from(!chained);
        let cells = |line: &Line| line.cells().into_iter().take(columns).collect();
        let table = output::table(&headings[..columns], lines.iter().map(cells));
        let reasons: String = lines.iter().filter_map(Line::reason).collect();
        Ok(if reasons.is_empty() { table } else { format!("{table}\n{reasons}") })
    }
}

impl From<Entry> for Line {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Complete(manifest) => Line::complete(*manifest),
            Entry::Incomplete(Folder { id, .. }) => Line::Unusable {
                id,
                data_from: id.time(),
                status: "incomplete",
                error: "it is still being taken, or was interrupted".to_owned(),
            },
            Entry::Pruned(Folder { id, .. }) => Line::Unusable {
                id,
                data_from: id.time(),
                status: "pruned",
                error: "what is left of it is deleted when nobody needs it any more".to_owned(),
            },
            Entry::Damaged(Folder { id, .. }, error) => Line::Unusable {
                id,
                data_from: id.time(),
                // Nothing is wrong with a backup that a newer version of the program took.
                status: if error.kind() == Kind::Unsupported { "unsupported" } else { "damaged" },
                error: error.message().to_owned(),
            },
        }
    }
}

impl Line {
    fn complete(manifest: Manifest) -> Self {
        Line::Complete {
            id: manifest.id,
            kind: manifest.kind.name(),
            parent: manifest.parent,
            level: manifest.targets.level(),
            data_from: manifest.data_from,
            finished_at: manifest.finished_at,
            size_bytes: manifest.size_bytes,
            stored_bytes: manifest.stored_bytes,
            rows: manifest.rows,
            databases: manifest.databases.into_iter().map(|database| database.name).collect(),
            encrypted: manifest.key_id.is_some(),
            status: "complete",
        }
    }

    fn parent(&self) -> Option<BackupId> {
        match self {
            Line::Complete { parent, .. } => *parent,
            Line::Unusable { .. } => None,
        }
    }

    fn cells(&self) -> Vec<String> {
        match self {
            Line::Complete { id, kind, data_from, size_bytes, stored_bytes, databases, .. } => {
                vec![
                    id.to_string(),
                    (*kind).to_owned(),
                    output::time_in_utc(*data_from),
                    output::size(*size_bytes),
                    output::size(*stored_bytes),
                    output::names(databases, NAMES_WIDTH),
                    self.parent().map(|parent| parent.to_string()).unwrap_or_default(),
                ]
            }
            Line::Unusable { id, data_from, status, .. } => vec![
                id.to_string(),
                (*status).to_owned(),
                output::time_in_utc(*data_from),
                "-".to_owned(),
                "-".to_owned(),
                "-".to_owned(),
                String::new(),
            ],
        }
    }

    fn reason(&self) -> Option<String> {
        match self {
            Line::Complete { .. } => None,
            Line::Unusable { id, status, error, .. } => {
                Some(format!("{id} is {status}: {error}\n"))
            }
        }
    }
}
