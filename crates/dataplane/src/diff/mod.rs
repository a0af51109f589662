//! What changed between two backups, read from the collection alone.
//!
//! Definitions are compared by the archives ([`definitions`]), rows by the segments that are not the
//! same on both sides ([`rows`]), in bounded memory ([`multiset`]); everything else stands in the
//! contents. Databases and tables are matched by oid where both backups are of one cluster, then by
//! name. A backup that was not asked to hold something says nothing about it: what only one of the
//! two could hold is not told as added or removed.

mod definitions;
mod multiset;
mod rows;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use strongroom_format::contents::{Contents, Database, Role, Sequence, Table, TableData};
use strongroom_format::manifest::Targets;

use crate::collection::Backup;
use crate::names::shown;
use crate::postgres::archive::{Archive, Entry};
use crate::progress::Progress;
use crate::segments::Packs;
use crate::{CancellationToken, Error, Kind, Result, restore};

pub use definitions::DefinitionDiff;

/// What happened to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
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

impl Change {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Recreated => "recreated",
            Change::Renamed => "renamed",
            Change::Changed => "changed",
            Change::Unchanged => "unchanged",
        }
    }
}

/// What changed from one backup to another.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Diff {
    /// The databases in which something changed; with `all`, all of them.
    pub databases: Vec<DatabaseDiff>,
    /// The roles that changed.
    pub roles: Vec<RoleDiff>,
    /// What a person should know about the comparison.
    pub notes: Vec<String>,
    /// Bytes read from the store.
    pub bytes_read: u64,
}

impl Diff {
    /// Whether nothing that was compared is other than before.
    pub fn is_empty(&self) -> bool {
        self.databases.iter().all(|database| database.is_unchanged()) && self.roles.is_empty()
    }
}

/// What changed in a database.
#[derive(Clone, Debug, Serialize)]
pub struct DatabaseDiff {
    /// Its name, after where it has one there.
    pub name: String,
    /// What happened to the database itself.
    pub change: Change,
    /// What it was called before, where that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<String>,
    /// Its size before.
    pub before: Option<Size>,
    /// Its size after.
    pub after: Option<Size>,
    /// Its definitions that changed.
    pub definitions: Vec<DefinitionDiff>,
    /// Its tables whose rows changed; with `all`, all of them.
    pub tables: Vec<TableDiff>,
    /// Its sequences that stand elsewhere.
    pub sequences: Vec<SequenceDiff>,
    /// Its large objects.
    pub large_objects: LargeObjectsDiff,
}

impl DatabaseDiff {
    fn new(name: &str, change: Change) -> Self {
        DatabaseDiff {
            name: name.to_owned(),
            change,
            renamed_from: None,
            before: None,
            after: None,
            definitions: Vec::new(),
            tables: Vec::new(),
            sequences: Vec::new(),
            large_objects: LargeObjectsDiff::default(),
        }
    }

    /// Whether nothing of it is other than before.
    pub fn is_unchanged(&self) -> bool {
        self.change == Change::Unchanged
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Tables, where it is a database's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    /// Rows.
    pub rows: u64,
    /// Bytes of rows, before compression.
    pub size_bytes: u64,
}

impl Size {
    fn of_database(database: &Database) -> Self {
        Size {
            tables: Some(database.tables.len() as u64),
            rows: database.rows(),
            size_bytes: database.size_bytes(),
        }
    }

    fn of(data: &TableData) -> Self {
        Size { tables: None, rows: data.rows, size_bytes: data.size_bytes }
    }
}

/// What changed in a table.
#[derive(Clone, Debug, Serialize)]
pub struct TableDiff {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What happened to it.
    pub change: Change,
    /// What it was called before, where that is something else: schema and name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<(String, String)>,
    /// Its rows and bytes before.
    pub before: Option<Size>,
    /// Its rows and bytes after.
    pub after: Option<Size>,
    /// Rows that are there after and were not before; one that was updated is one of them.
    pub rows_added: u64,
    /// Rows that were there before and are not after; one that was updated is one of them.
    pub rows_removed: u64,
    /// Whether these two were counted, or estimated since there are too many.
    pub exact: bool,
    /// Columns by which rows were not compared, since only one side has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns_not_compared: Vec<String>,
    /// Bytes in packs that the later backup does not share with the earlier one.
    pub new_stored_bytes: u64,
}

/// A sequence and where it stands: the last value, and whether it was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SequenceDiff {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Where it stood before.
    pub before: Option<(i64, bool)>,
    /// Where it stands after.
    pub after: Option<(i64, bool)>,
}

/// How many large objects changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LargeObjectsDiff {
    /// Objects that are there after, and were not before.
    pub added: u64,
    /// Objects that were there before, and are not after.
    pub removed: u64,
    /// Objects with other bytes, owner, comment or privileges than before.
    pub changed: u64,
    /// Bytes in packs that the later backup does not share with the earlier one.
    pub new_stored_bytes: u64,
}

impl LargeObjectsDiff {
    /// Whether they are all as they were.
    pub fn is_unchanged(&self) -> bool {
        self.added + self.removed + self.changed == 0
    }
}

/// A role that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoleDiff {
    /// Its name.
    pub name: String,
    /// What happened to it.
    pub change: Change,
    /// What of it changed: `options`, `password`, `settings`, `comment`, `membership`.
    pub what: Vec<&'static str>,
}

/// What to compare.
#[derive(Clone, Debug, Default)]
pub struct DiffOptions {
    /// Only this database.
    pub database: Option<String>,
    /// Tell also of databases and tables that did not change.
    pub all: bool,
}

/// Tells what changed from `before` to `after`.
pub async fn diff(
    before: &Backup,
    after: &Backup,
    options: &DiffOptions,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Diff> {
    progress.step(format!("comparing {} with {}", before.manifest.id, after.manifest.id));
    let read = || before.store.bytes_read() + after.store.bytes_read();
    let read_before = read();
    let comparing = Comparison { before, after, options, progress }.run();
    let mut diff = tokio::select! {
        compared = comparing => compared?,
        () = cancel.cancelled() => {
            return Err(Error::new(Kind::Cancelled, "the comparison was stopped"));
        }
    };
    diff.bytes_read = read() - read_before;
    Ok(diff)
}

struct Comparison<'a> {
    before: &'a Backup,
    after: &'a Backup,
    options: &'a DiffOptions,
    progress: &'a Progress,
}

impl Comparison<'_> {
    async fn run(self) -> Result<Diff> {
        let mut diff = Diff { notes: self.notes(), ..Diff::default() };
        let pairs = self.databases()?;
        for (before, after) in pairs {
            let found = match (before, after) {
                (Some(before), Some(after)) => {
                    self.database(before, after, &mut diff.notes).await?
                }
                (Some(before), None) => {
                    let size = Some(Size::of_database(before));
                    let removed = DatabaseDiff::new(&before.name, Change::Removed);
                    DatabaseDiff { before: size, ..removed }
                }
                (None, Some(after)) => {
                    let size = Some(Size::of_database(after));
                    DatabaseDiff { after: size, ..DatabaseDiff::new(&after.name, Change::Added) }
                }
                (None, None) => continue,
            };
            if self.options.all || !found.is_unchanged() {
                diff.databases.push(found);
            }
        }
        let clusters = [self.before, self.after].map(|b| b.manifest.targets == Targets::Cluster);
        if self.options.database.is_none() && clusters == [true, true] {
            diff.roles = roles(&self.before.contents, &self.after.contents);
        }
        Ok(diff)
    }

    /// Whether both backups are of one cluster, so that oids mean the same in both.
    fn same_cluster(&self) -> bool {
        let [before, after] =
            [self.before, self.after].map(|backup| &backup.manifest.source.system_identifier);
        before == after && !before.is_empty()
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let [before, after] = [&self.before.manifest, &self.after.manifest];
        let [one, other] =
            [before, after].map(|manifest| manifest.source.system_identifier.as_str());
        if one.is_empty() || other.is_empty() {
            notes.push(
                "whether both backups are of the same cluster is not known, so everything is \
                 matched by name"
                    .to_owned(),
            );
        } else if one != other {
            notes.push(
                "the backups are of different clusters, so everything is matched by name"
                    .to_owned(),
            );
        }
        let [one, other] = [before, after].map(|manifest| manifest.source.version_num / 10000);
        if one != other {
            notes.push(format!(
                "the servers are PostgreSQL {one} and {other}: some definitions may differ only in \
                 how they are written"
            ));
        }
        if before.targets != after.targets {
            notes.push(
                "the backups were not taken of the same things: what only one of them was to hold \
                 is not compared"
                    .to_owned(),
            );
        }
        notes
    }

    /// Databases before and after, in the order of their names.
    fn databases(&self) -> Result<Vec<(Option<&Database>, Option<&Database>)>> {
        let [before, after] =
            [self.before, self.after].map(|backup| backup.contents.databases.as_slice());
        let by_oid = self.same_cluster();
        let mut pairs = pair(before, after, by_oid, |d| (d.oid, (String::new(), d.name.clone())));
        // A backup that was not asked for a database does not say that there is none.
        let (asked_before, asked_after) =
            (&self.before.manifest.targets, &self.after.manifest.targets);
        pairs.retain(|pair| match pair {
            (Some(database), None) => may_hold(asked_after, &database.name),
            (None, Some(database)) => may_hold(asked_before, &database.name),
            _ => true,
        });
        if let Some(name) = &self.options.database {
            let named = |d: &Option<&Database>| d.is_some_and(|d| d.name == *name);
            pairs.retain(|(before, after)| named(before) || named(after));
            if pairs.is_empty() {
                // The error that names what is there instead.
                self.before.database(name)?;
                self.after.database(name)?;
            }
        }
        pairs.sort_by_key(|(before, after)| (*after).or(*before).map(|d| d.name.clone()));
        Ok(pairs)
    }

    async fn database(
        &self,
        before: &Database,
        after: &Database,
        notes: &mut Vec<String>,
    ) -> Result<DatabaseDiff> {
        let same_database = self.same_cluster() && before.oid == after.oid;
        let renamed = before.name != after.name;
        let mut archives = Vec::new();
        for (backup, database) in [(self.before, before), (self.after, after)] {
            archives.push(Archive::parse(&backup.schema(database).await?)?.entries);
        }
        let [entries_before, entries_after] = <[Vec<Entry>; 2]>::try_from(archives)
            .map_err(|_| Error::new(Kind::Failed, "the definitions were lost"))?;
        if before.encoding != after.encoding {
            notes.push(format!(
                "database {} was in {} and is in {}: rows with other than ASCII text differ",
                shown(&after.name),
                before.encoding,
                after.encoding
            ));
        }
        let mut found = DatabaseDiff {
            renamed_from: renamed.then(|| before.name.clone()),
            before: Some(Size::of_database(before)),
            after: Some(Size::of_database(after)),
            definitions: definitions::compare(
                &entries_before,
                &entries_after,
                same_database,
                renamed.then_some((before.name.as_str(), after.name.as_str())),
            ),
            tables: self
                .tables((before, &entries_before), (after, &entries_after), same_database)
                .await?,
            sequences: sequences(&before.sequences, &after.sequences, same_database),
            ..DatabaseDiff::new(&after.name, Change::Unchanged)
        };
        let of_tables = |backup: &Backup| matches!(backup.manifest.targets, Targets::Tables(_));
        if !of_tables(self.before) && !of_tables(self.after) {
            found.large_objects = self.large_objects(before, after).await?;
        }
        let changed = !found.definitions.is_empty()
            || !found.sequences.is_empty()
            || !found.large_objects.is_unchanged()
            || found.tables.iter().any(|table| table.change != Change::Unchanged);
        found.change = match (changed, renamed) {
            (true, _) => Change::Changed,
            (false, true) => Change::Renamed,
            (false, false) => Change::Unchanged,
        };
        Ok(found)
    }

    async fn tables(
        &self,
        (before, entries_before): (&Database, &[Entry]),
        (after, entries_after): (&Database, &[Entry]),
        same_database: bool,
    ) -> Result<Vec<TableDiff>> {
        let key = |table: &Table| (table.oid, (table.schema.clone(), table.name.clone()));
        let mut pairs = pair(&before.tables, &after.tables, same_database, key);
        // Every backup has all definitions, but perhaps not all rows.
        let defined = |entries: &[Entry], table: &Table| {
            restore::relation(entries, &table.schema, &table.name).is_some()
        };
        pairs.retain(|pair| match pair {
            (Some(table), None) => !defined(entries_after, table),
            (None, Some(table)) => !defined(entries_before, table),
            _ => true,
        });
        let data = |table: Option<&Table>| table.map(|table| table.data).unwrap_or_default();
        let (data_before, data_after): (Vec<TableData>, Vec<TableData>) =
            pairs.iter().map(|(before, after)| (data(*before), data(*after))).unzip();
        let lists_before =
            self.before.segment_lists(&data_before.iter().collect::<Vec<_>>()).await?;
        let lists_after = self.after.segment_lists(&data_after.iter().collect::<Vec<_>>()).await?;
        let packs = [self.before, self.after].map(Packs::of);
        let mut open = Vec::new();
        let lists = lists_before.into_iter().zip(lists_after);
        for ((table_before, table_after), (list_before, list_after)) in pairs.into_iter().zip(lists)
        {
            let compared = match (table_before, table_after) {
                (Some(before), Some(after)) => rows::Compared::by(before, after),
                _ => rows::Compared { before: None, after: None },
            };
            let different = rows::different(
                (&packs[0], list_before),
                (&packs[1], list_after),
                compared.is_whole(),
            );
            self.progress.expected(different.stored_bytes());
            open.push((table_before, table_after, compared, different));
        }
        let mut found = Vec::new();
        for (before, after, compared, different) in open {
            let table = self.table(before, after, compared, different, same_database).await?;
            found.extend(table.filter(|t| self.options.all || t.change != Change::Unchanged));
        }
        found.sort_by(|one, other| (&one.schema, &one.name).cmp(&(&other.schema, &other.name)));
        Ok(found)
    }

    async fn table(
        &self,
        before: Option<&Table>,
        after: Option<&Table>,
        compared: rows::Compared,
        different: rows::Different,
        same_database: bool,
    ) -> Result<Option<TableDiff>> {
        let Some(named) = after.or(before) else {
            return Ok(None);
        };
        let new_stored_bytes = different.new_stored_bytes;
        let same_segments = different.is_empty();
        let counted = rows::count(different, compared, self.progress).await;
        let counted = counted.map_err(|error| {
            error.context(format!(
                "comparing table {}.{}",
                shown(&named.schema),
                shown(&named.name)
            ))
        })?;
        let name = |table: &Table| (table.schema.clone(), table.name.clone());
        let renamed_from = before.map(name).filter(|before| *before != name(named));
        let columns_not_compared = match (before, after) {
            (Some(before), Some(after)) => on_one_side(before, after),
            _ => Vec::new(),
        };
        let rows_changed = !same_segments && counted.added + counted.removed > 0;
        let change = match (before, after) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(before), Some(after)) if same_database && before.oid != after.oid => {
                Change::Recreated
            }
            _ if rows_changed || !counted.exact => Change::Changed,
            _ if renamed_from.is_some() => Change::Renamed,
            _ => Change::Unchanged,
        };
        Ok(Some(TableDiff {
            schema: named.schema.clone(),
            name: named.name.clone(),
            change,
            renamed_from,
            before: before.map(|table| Size::of(&table.data)),
            after: after.map(|table| Size::of(&table.data)),
            rows_added: counted.added,
            rows_removed: counted.removed,
            exact: counted.exact,
            columns_not_compared,
            new_stored_bytes,
        }))
    }

    async fn large_objects(&self, before: &Database, after: &Database) -> Result<LargeObjectsDiff> {
        let known: HashMap<u32, _> =
            before.large_objects.iter().map(|object| (object.oid, object)).collect();
        let still: HashSet<u32> = after.large_objects.iter().map(|object| object.oid).collect();
        let (rewritten, new_stored_bytes) = rows::changed_objects(
            (self.before, before.large_object_data.as_ref()),
            (self.after, after.large_object_data.as_ref()),
            self.progress,
        )
        .await
        .map_err(|error| error.context("comparing large objects"))?;
        let mut found = LargeObjectsDiff { new_stored_bytes, ..LargeObjectsDiff::default() };
        for object in &after.large_objects {
            match known.get(&object.oid) {
                None => found.added += 1,
                Some(other) if *other != object || rewritten.contains(&object.oid) => {
                    found.changed += 1;
                }
                Some(_) => {}
            }
        }
        found.removed = known.keys().filter(|oid| !still.contains(oid)).count() as u64;
        Ok(found)
    }
}

/// Whether a backup of these targets would hold the database if it were there.
fn may_hold(targets: &Targets, database: &str) -> bool {
    match targets {
        Targets::Cluster => true,
        Targets::Databases(names) => names.iter().any(|name| name == database),
        Targets::Tables(_) => false,
    }
}

/// Matches what is the same on both sides: by oid where that means the same, then by name.
fn pair<'a, T>(
    before: &'a [T],
    after: &'a [T],
    by_oid: bool,
    key: impl Fn(&T) -> (u32, (String, String)),
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let mut left: Vec<Option<&T>> = after.iter().map(Some).collect();
    let oids: HashMap<u32, usize> =
        after.iter().enumerate().map(|(at, item)| (key(item).0, at)).collect();
    let names: HashMap<(String, String), usize> =
        after.iter().enumerate().map(|(at, item)| (key(item).1, at)).collect();
    let mut pairs: Vec<(Option<&T>, Option<&T>)> = Vec::new();
    let mut open = Vec::new();
    for item in before {
        let found = oids.get(&key(item).0).filter(|_| by_oid);
        match found.and_then(|at| left[*at].take()) {
            Some(other) => pairs.push((Some(item), Some(other))),
            None => open.push(item),
        }
    }
    for item in open {
        let found = names.get(&key(item).1).and_then(|at| left[*at].take());
        pairs.push((Some(item), found));
    }
    pairs.extend(left.into_iter().flatten().map(|item| (None, Some(item))));
    pairs
}

/// The columns that only one of two tables has.
fn on_one_side(before: &Table, after: &Table) -> Vec<String> {
    let names = |table: &Table| -> Vec<String> {
        table.columns.iter().map(|column| column.name.clone()).collect()
    };
    let (before, after) = (names(before), names(after));
    let missing = before.iter().filter(|name| !after.contains(name));
    missing.chain(after.iter().filter(|name| !before.contains(name))).cloned().collect()
}

fn sequences(before: &[Sequence], after: &[Sequence], same_database: bool) -> Vec<SequenceDiff> {
    let key =
        |sequence: &Sequence| (sequence.oid, (sequence.schema.clone(), sequence.name.clone()));
    let value = |sequence: &Sequence| (sequence.last_value, sequence.is_called);
    let mut found: Vec<SequenceDiff> = pair(before, after, same_database, key)
        .into_iter()
        .filter_map(|(before, after)| {
            let named = after.or(before)?;
            let (before, after) = (before.map(value), after.map(value));
            (before != after).then(|| SequenceDiff {
                schema: named.schema.clone(),
                name: named.name.clone(),
                before,
                after,
            })
        })
        .collect();
    found.sort_by(|one, other| (&one.schema, &one.name).cmp(&(&other.schema, &other.name)));
    found
}

fn roles(before: &Contents, after: &Contents) -> Vec<RoleDiff> {
    let index = |contents: &'_ Contents| -> BTreeMap<String, Role> {
        contents.roles.iter().map(|role| (role.name.clone(), role.clone())).collect()
    };
    let (before, after) = (index(before), index(after));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let compare = |name: &String| {
        let (change, what) = match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) => (Change::Changed, role(before, after)),
            (None, _) => (Change::Added, Vec::new()),
            (_, None) => (Change::Removed, Vec::new()),
        };
        let changed = change != Change::Changed || !what.is_empty();
        changed.then(|| RoleDiff { name: name.clone(), change, what })
    };
    names.into_iter().filter_map(compare).collect()
}

/// What of a role changed.
fn role(before: &Role, after: &Role) -> Vec<&'static str> {
    let readable = !before.password_unknown && !after.password_unknown;
    let memberships = |role: &Role| {
        let mut all: Vec<String> = role.member_of.iter().map(|m| format!("{m:?}")).collect();
        all.sort();
        all
    };
    [
        ("options", before.options != after.options),
        ("password", readable && before.password != after.password),
        ("settings", before.settings != after.settings),
        ("comment", before.comment != after.comment),
        ("membership", memberships(before) != memberships(after)),
    ]
    .into_iter()
    .filter_map(|(what, changed)| changed.then_some(what))
    .collect()
}
