//! Rows of a table, read from the collection alone.
//!
//! The first rows, in the order in which the table held them. Segments are read one after the other
//! until there are enough rows, each to its end and against its checksum: a row is given only when
//! the segment that it comes from is known to be whole.

use strongroom_format::contents::{Column, Database, Table};
use strongroom_format::manifest::Targets;

use crate::collection::Backup;
use crate::names::{TableName, shown};
use crate::postgres::archive::Archive;
use crate::postgres::copy_text::{Decoder, Field, Row};
use crate::postgres::encoding::TextEncoding;
use crate::segments::{Packs, Source};
use crate::{CancellationToken, Error, Kind, Result, restore};

/// Rows of one table.
#[derive(Clone, Debug, Default)]
pub struct TableRows {
    /// The columns whose values are stored.
    pub columns: Vec<Column>,
    /// The first rows; a value that is `None` is null.
    pub rows: Vec<Vec<Option<Value>>>,
    /// How many rows the table has.
    pub rows_in_all: u64,
    /// What a person should know about them.
    pub notes: Vec<String>,
}

/// A value that is not null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its text, or the beginning of it.
    pub text: String,
    /// How many bytes it has in the database's encoding.
    pub bytes: u64,
    /// Whether `text` is only the beginning.
    pub cut: bool,
}

/// Reads the first `limit` rows of a table. Of values longer than `keep` bytes only the beginning is
/// kept, so that a row of hundreds of megabytes is not held in memory.
pub async fn read(
    backup: &Backup,
    name: &TableName,
    limit: u64,
    keep: Option<usize>,
    cancel: &CancellationToken,
) -> Result<TableRows> {
    let reading = read_rows(backup, name, limit, keep.unwrap_or(usize::MAX));
    tokio::select! {
        read = reading => read,
        () = cancel.cancelled() => Err(Error::new(Kind::Cancelled, "the reading was stopped")),
    }
}

async fn read_rows(
    backup: &Backup,
    name: &TableName,
    limit: u64,
    keep: usize,
) -> Result<TableRows> {
    let database = backup.database(&name.database)?;
    let Some(table) = find(database, name) else {
        return Err(not_there(backup, database, name).await?);
    };
    let mut decoder = Decoder::new(table.columns.len(), keep);
    let mut rows: Vec<Row> = Vec::new();
    if limit > 0 {
        let packs = Packs::of(backup);
        let lists = backup.segment_lists(&[&table.data]).await?;
        for segment in lists.into_iter().flat_map(|list| list.segments) {
            if rows.len() as u64 == limit {
                break;
            }
            read_segment(packs.source(segment), &mut decoder, limit, &mut rows).await?;
        }
    }
    let encoding = TextEncoding::named(&database.encoding);
    let mut undecoded = 0;
    let mut value = |field: Field| {
        let cut = field.length > field.bytes.len() as u64;
        let decoded = encoding.decode(&field.bytes, cut);
        undecoded += u64::from(!decoded.whole);
        Value { text: decoded.text, bytes: field.length, cut }
    };
    let rows = rows
        .into_iter()
        .map(|row| row.into_iter().map(|field| field.map(&mut value)).collect())
        .collect();
    let mut notes = Vec::new();
    if undecoded > 0 {
        let name = &database.encoding;
        let why = match name.as_str() {
            "SQL_ASCII" => "are not UTF-8, and SQL_ASCII does not say what they are".to_owned(),
            _ if !encoding.is_known() => format!("only a server can read in {name}"),
            _ => format!("mean nothing in {name}"),
        };
        let values = if undecoded == 1 { "1 value has" } else { "some values have" };
        notes.push(format!(
            "{values} bytes that {why}; each of them is shown as \\x and two digits"
        ));
    }
    if let Some(extension) = &table.extension {
        notes.push(format!(
            "the table belongs to extension {extension}: only the rows that the extension's own \
             condition chooses are in a backup"
        ));
    }
    Ok(TableRows { columns: table.columns.clone(), rows, rows_in_all: table.data.rows, notes })
}

fn find<'a>(database: &'a Database, name: &TableName) -> Option<&'a Table> {
    database.tables.iter().find(|table| table.schema == name.schema && table.name == name.table)
}

/// Reads a segment to its end, and adds its rows up to the limit.
async fn read_segment(
    source: Source,
    decoder: &mut Decoder,
    limit: u64,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let mut reader = source.open().await?;
    let mut fault = None;
    while let Some(run) = reader.next_run().await? {
        if fault.is_some() || rows.len() as u64 == limit {
            continue;
        }
        let pushed = decoder.push(run, |row| {
            if (rows.len() as u64) < limit {
                rows.push(row);
            }
        });
        fault = pushed.err();
    }
    // What is damaged was told above, by its checksum; this was written so.
    if let Some(fault) = fault {
        let reason =
            format!("a row in it has {} values, which is not the table's number", fault.values);
        return Err(reader.unusable(&reason));
    }
    if (rows.len() as u64) < limit && !decoder.is_between_rows() {
        return Err(reader.unusable("its last row has no end"));
    }
    Ok(())
}

/// Why the backup has no rows of this table, and where to look.
async fn not_there(backup: &Backup, database: &Database, name: &TableName) -> Result<Error> {
    let id = backup.manifest.id;
    let archive = Archive::parse(&backup.schema(database).await?)?;
    let Some(entry) = restore::relation(&archive.entries, &name.schema, &name.table) else {
        let elsewhere: Vec<String> = database
            .tables
            .iter()
            .filter(|table| table.name.eq_ignore_ascii_case(&name.table))
            .map(|table| full_name(database, &table.schema, &table.name))
            .collect();
        let hint = match elsewhere.as_slice() {
            [] => format!(
                "strongroom show {id} --database {} lists its tables",
                shown(&database.name)
            ),
            names => format!("it holds {}", names.join(", ")),
        };
        let message = format!("backup {id} holds no table {name}");
        return Ok(Error::new(Kind::NotFound, message).hint(hint));
    };
    if entry.kind != "TABLE" {
        let kind = entry.kind.to_lowercase();
        let message =
            format!("{name} is a {kind}: backup {id} holds its definition, and no rows of it");
        return Ok(Error::new(Kind::NotFound, message)
            .hint("name a table; a restored database fills and shows the rest"));
    }
    let leaves: Vec<String> = restore::partitions(&archive.entries, entry)
        .into_iter()
        .filter(|(schema, table)| {
            database.tables.iter().any(|held| held.schema == *schema && held.name == *table)
        })
        .map(|(schema, table)| full_name(database, &schema, &table))
        .collect();
    if !leaves.is_empty() {
        const NAMED: usize = 10;
        let more = match leaves.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let names = leaves[..leaves.len().min(NAMED)].join(", ");
        return Ok(Error::new(
            Kind::NotFound,
            format!("{name} is partitioned, and has no rows of its own"),
        )
        .hint(format!("its rows are in {names}{more}")));
    }
    let message = format!("backup {id} holds no rows of table {name}");
    let hint = match &backup.manifest.targets {
        Targets::Tables(held) => format!("it was taken of {}", held.join(", ")),
        _ => "it is partitioned and has no partitions, or it is unknown to the backup".to_owned(),
    };
    Ok(Error::new(Kind::NotFound, message).hint(hint))
}

fn full_name(database: &Database, schema: &str, table: &str) -> String {
    let [database, schema, table] = [&database.name, schema, table].map(str::to_owned);
    TableName { database, schema, table }.to_string()
}
