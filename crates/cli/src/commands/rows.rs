//! `strongroom rows`: rows of a table, without a server.

use clap::Args;
use serde::Serialize;
use strongroom_dataplane::Result;
use strongroom_dataplane::collection::Backup;
use strongroom_dataplane::names::TableName;
use strongroom_dataplane::rows::{self, TableRows, Value};
use strongroom_format::BackupId;
use strongroom_format::contents::Column;

use crate::args::{InCollection, KeyArgs};
use crate::output::{self, counted};
use crate::progress::Reporter;
use crate::signals::cancelled_by_signals;

/// Characters of a value that people are shown.
const WIDTH: usize = 60;
/// Bytes that are enough for them in every encoding.
const KEEP: usize = 4096;

/// Show rows of a table as the backup holds them, without a server
#[derive(Debug, Args)]
#[command(after_help = "\
The first rows are shown, in the order in which the table held them; only as much of the collection
is read as they take. NULL is a null; text that could be taken for one, is empty, or begins or ends
with a space or a quote, is in single quotes. Long values are cut; with --json they are whole.

Examples:
  strongroom rows shop.public.orders --from latest --in file:///var/backups/shop
  strongroom rows shop.public.orders --from latest --in file:///var/backups/shop --limit 5 --json")]
pub(crate) struct RowsArgs {
    /// The table, as database.schema.table
    table: String,

    /// The backup: an id as `strongroom backups` prints it, or `latest`
    #[arg(long, value_name = "BACKUP")]
    from: String,

    #[command(flatten)]
    collection: InCollection,

    /// How many rows are shown, at most a million
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(..=1_000_000)
    )]
    limit: u64,

    #[command(flatten)]
    key: KeyArgs,
}

/// What is told of a table's rows.
#[derive(Serialize)]
struct Shown<'a> {
    backup: BackupId,
    table: String,
    columns: &'a [Column],
    rows: Vec<Vec<Option<&'a str>>>,
    rows_in_all: u64,
    truncated: bool,
    notes: &'a [String],
}

impl RowsArgs {
    pub(crate) async fn run(self, json: bool) -> Result<String> {
        let name: TableName = self.table.parse()?;
        let store = self.collection.open()?;
        let secret = self.key.secret()?;
        let backup = Backup::open(&store, &self.from, secret.as_ref()).await?;
        let reporter = Reporter::new(json);
        let cancel = cancelled_by_signals(&reporter);
        let keep = (!json).then_some(KEEP);
        let found = rows::read(&backup, &name, self.limit, keep, &cancel).await;
        reporter.finish();
        let found = found?;
        if !json {
            return Ok(text(&found));
        }
        Ok(output::json(&Shown {
            backup: backup.manifest.id,
            table: name.to_string(),
            columns: &found.columns,
            rows: found.rows.iter().map(|row| row.iter().map(text_of).collect()).collect(),
            rows_in_all: found.rows_in_all,
            truncated: (found.rows.len() as u64) < found.rows_in_all,
            notes: &found.notes,
        }))
    }
}

fn text_of(value: &Option<Value>) -> Option<&str> {
    value.as_ref().map(|value| value.text.as_str())
}

fn text(found: &TableRows) -> String {
    let mut text = String::new();
    if found.columns.is_empty() {
        text.push_str("the table has no columns whose values are stored\n");
    } else {
        let headings: Vec<(&str, bool)> = found
            .columns
            .iter()
            .map(|column| (column.name.as_str(), is_number(&column.type_name)))
            .collect();
        let cells =
            |row: &Vec<Option<Value>>| row.iter().map(|value| cell(value.as_ref())).collect();
        text.push_str(&output::aligned(&headings, found.rows.iter().map(cells)));
    }
    let shown = found.rows.len() as u64;
    text.push_str(&match shown < found.rows_in_all {
        true => {
            let all = counted(found.rows_in_all, "row");
            format!("({} of {all}; --limit N shows more)\n", output::count(shown))
        }
        false => format!("({})\n", counted(shown, "row")),
    });
    for note in &found.notes {
        text.push_str(&format!("note: {}\n", output::one_line(note)));
    }
    text
}

/// Whether values of this type are read from the right.
fn is_number(type_name: &str) -> bool {
    let bare = type_name.split('(').next().unwrap_or(type_name);
    ["smallint", "integer", "bigint", "numeric", "real", "double precision", "oid"].contains(&bare)
}

/// A value on one line.
fn cell(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "NULL".to_owned();
    };
    let end = value.text.char_indices().nth(WIDTH).map(|(at, _)| at);
    if end.is_some() || value.cut {
        let beginning = &value.text[..end.unwrap_or(value.text.len())];
        let length = counted(value.bytes, "byte");
        return format!("{}… ({length})", output::one_line(beginning));
    }
    let text = output::one_line(&value.text);
    let quoted = text.is_empty()
        || text == "NULL"
        || text.starts_with(['\'', ' '])
        || text.ends_with(['\'', ' ']);
    if quoted { format!("'{}'", text.replace('\'', "''")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        cell(Some(&Value { text: text.to_owned(), bytes: text.len() as u64, cut: false }))
    }

    #[test]
    fn no_text_looks_like_a_null_or_like_nothing() {
        assert_eq!(cell(None), "NULL");
        for (text, cell) in [
            ("NULL", "'NULL'"),
            ("null", "null"),
            ("", "''"),
            ("''", "''''''"),
            (" a", "' a'"),
            ("it's", "it's"),
            ("a\nb\t\u{1b}[31m", "a\\nb\\t\\u{1b}[31m"),
        ] {
            assert_eq!(shown(text), cell);
        }
    }

    #[test]
    fn a_long_value_is_cut_and_its_length_told() {
        let text = "ä".repeat(1000);
        assert_eq!(shown(&text), format!("{}… (2,000 bytes)", "ä".repeat(60)));
        assert_eq!(shown(&"ä".repeat(60)), "ä".repeat(60));
    }
}
