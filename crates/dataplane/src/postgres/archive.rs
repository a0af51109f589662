//! The table of contents of a `pg_dump` archive: every definition of a database, one entry each,
//! with who owns it and what it depends on.
//!
//! We read the archive ourselves instead of running `pg_restore`, for three reasons: a restore then
//! needs nothing but this program; a single table can be taken out together with what it needs;
//! and definitions can be moved to a hidden schema on their way. The layout follows `ReadHead` and
//! `ReadToc` of PostgreSQL's `pg_backup_archiver.c`, archive versions 1.13 to 1.16 (`pg_dump` 13 to
//! 18). Archives lie in a store and are checked before they come here, yet nothing here trusts a
//! length: every read is bounded by what is left.

use crate::error::bail;
use crate::{Error, Kind, Result};

/// Archive versions that we know: 1.13 and 1.16.
const OLDEST: (u8, u8) = (1, 13);
const NEWEST: (u8, u8) = (1, 16);

/// When an entry is to be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Before rows are loaded.
    BeforeData,
    /// After rows are loaded: indexes, constraints, triggers.
    AfterData,
    /// After everything that somebody could be granted a privilege on.
    Privileges,
    /// At the very end: event triggers, which would fire for all before.
    Last,
}

/// One definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its number in the archive; dependencies name it.
    pub(crate) id: i32,
    /// The oid of the catalog that the object is in.
    pub(crate) catalog: u32,
    /// The object's oid.
    pub(crate) oid: u32,
    /// Its name; for comments and privileges, the kind and name of what they are on.
    pub(crate) tag: String,
    /// Its kind: `TABLE`, `INDEX`, `FK CONSTRAINT` and so on.
    pub(crate) kind: String,
    /// When it is executed.
    pub(crate) phase: Phase,
    /// The statements that create it.
    pub(crate) definition: String,
    /// The statement that drops it.
    pub(crate) drop: String,
    /// Its schema.
    pub(crate) schema: Option<String>,
    /// Its tablespace; `Some("")` is the default one.
    pub(crate) tablespace: Option<String>,
    /// Its table access method.
    pub(crate) access_method: Option<String>,
    /// Whether it is a partitioned table.
    pub(crate) partitioned: bool,
    /// The role that owns it.
    pub(crate) owner: Option<String>,
    /// The entries it depends on.
    pub(crate) dependencies: Vec<i32>,
}

/// The definitions of a database, in an order in which they can be executed.
#[derive(Clone, Debug)]
pub(crate) struct Archive {
    pub(crate) entries: Vec<Entry>,
    /// The major version of the `pg_dump` that wrote it.
    pub(crate) dumped_by: u32,
}

impl Archive {
    /// Reads an archive.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { bytes, at: 0, int_size: 4, offset_size: 8 };
        reader.archive()
    }
}

impl Entry {
    /// What a person calls it: `table public.orders`.
    pub(crate) fn described(&self) -> String {
        let kind = self.kind.to_lowercase();
        match &self.schema {
            Some(schema) => format!("{kind} {schema}.{}", self.tag),
            None => format!("{kind} {}", self.tag),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    int_size: usize,
    offset_size: usize,
}

impl Reader<'_> {
    fn archive(&mut self) -> Result<Archive> {
        if self.take(5)? != b"PGDMP" {
            return Err(malformed("it does not begin as one"));
        }
        let (major, minor, _revision) = (self.byte()?, self.byte()?, self.byte()?);
        let version = (major, minor);
        if version < OLDEST || version > NEWEST {
            bail!(
                Unsupported,
                "the pg_dump archive has version {major}.{minor}, which is not known"
            );
        }
        self.int_size = usize::from(self.byte()?);
        self.offset_size = usize::from(self.byte()?);
        if !(1..=8).contains(&self.int_size) || !(1..=8).contains(&self.offset_size) {
            return Err(malformed("its numbers have an impossible size"));
        }
        let _format = self.byte()?;
        if version >= (1, 15) {
            let _algorithm = self.byte()?;
        } else {
            let _level = self.int()?;
        }
        for _second_to_daylight_saving in 0..7 {
            self.int()?;
        }
        for _database_and_server in 0..2 {
            self.string()?;
        }
        let dumper = self.string()?.unwrap_or_default();
        let major = dumper.split(|c: char| !c.is_ascii_digit()).next();
        let dumped_by = major.and_then(|major| major.parse().ok()).unwrap_or(0);
        let count = self.int()?;
        let mut entries = Vec::new();
        let mut phase = Phase::BeforeData;
        for _ in 0..count {
            let entry = self.entry(version, &mut phase)?;
            entries.push(entry);
        }
        Ok(Archive { entries, dumped_by })
    }

    fn entry(&mut self, version: (u8, u8), current: &mut Phase) -> Result<Entry> {
        let id = self.int()?;
        let _has_data = self.int()?;
        let catalog = self.oid()?;
        let oid = self.oid()?;
        let tag = self.bytes()?.unwrap_or_default().to_vec();
        let kind = self.string()?.unwrap_or_default();
        let tag = String::from_utf8(tag).map_err(|error| unreadable(&kind, error.as_bytes()))?;
        let section = self.int()?;
        let mut text = || -> Result<String> {
            let bytes = self.bytes()?.unwrap_or_default().to_vec();
            String::from_utf8(bytes).map_err(|_| unreadable(&kind, tag.as_bytes()))
        };
        let (definition, drop) = (text()?, text()?);
        let _copy = self.string()?;
        let schema = self.string()?.filter(|name| !name.is_empty());
        let tablespace = self.string()?;
        let access_method = match version >= (1, 14) {
            true => self.string()?.filter(|name| !name.is_empty()),
            false => None,
        };
        let partitioned = version >= (1, 16) && self.int()? == i32::from(b'p');
        let owner = self.string()?.filter(|name| !name.is_empty());
        let _with_oids = self.string()?;
        let mut dependencies = Vec::new();
        while let Some(text) = self.string()? {
            dependencies.push(text.parse().map_err(|_| malformed("a dependency is not a number"))?);
        }
        self.take(1 + self.offset_size)?;
        // Comments and labels belong to no section of their own: they follow what they are on.
        let phase = match (kind.as_str(), section) {
            ("ACL" | "ACL LANGUAGE" | "DEFAULT ACL", _) => Phase::Privileges,
            ("EVENT TRIGGER", _) => Phase::Last,
            ("COMMENT" | "SECURITY LABEL", _) if tag.starts_with("EVENT TRIGGER ") => Phase::Last,
            (_, 4) => {
                *current = Phase::AfterData;
                Phase::AfterData
            }
            (_, 2) => {
                *current = Phase::BeforeData;
                Phase::BeforeData
            }
            _ => *current,
        };
        Ok(Entry {
            id,
            catalog,
            oid,
            tag,
            kind,
            phase,
            definition,
            drop,
            schema,
            tablespace,
            access_method,
            partitioned,
            owner,
            dependencies,
        })
    }

    fn take(&mut self, length: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| malformed("it is cut short"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// A sign byte and then the magnitude, least significant byte first.
    fn int(&mut self) -> Result<i32> {
        let negative = self.byte()? != 0;
        let magnitude = self
            .take(self.int_size)?
            .iter()
            .rev()
            .try_fold(0i64, |sum, byte| sum.checked_mul(256)?.checked_add(i64::from(*byte)));
        let value = magnitude.map(|value| if negative { -value } else { value });
        let value = value.and_then(|value| i32::try_from(value).ok());
        value.ok_or_else(|| malformed("a number is too large"))
    }

    /// A length, negative for none, and the bytes.
    fn bytes(&mut self) -> Result<Option<&[u8]>> {
        let Ok(length) = usize::try_from(self.int()?) else {
            return Ok(None);
        };
        self.take(length).map(Some)
    }

    fn string(&mut self) -> Result<Option<String>> {
        let text = |bytes: &[u8]| {
            String::from_utf8(bytes.to_vec()).map_err(|_| unreadable("object", bytes))
        };
        self.bytes()?.map(text).transpose()
    }

    fn oid(&mut self) -> Result<u32> {
        let text = self.string()?.unwrap_or_default();
        text.parse().map_err(|_| malformed("an oid is not a number"))
    }
}

/// A definition in a `SQL_ASCII` database is any bytes, and statements are UTF-8.
fn unreadable(kind: &str, name: &[u8]) -> Error {
    let (kind, name) = (kind.to_lowercase(), name.escape_ascii());
    Error::new(
        Kind::Unsupported,
        format!("the definition of {kind} \"{name}\" holds bytes that are not UTF-8"),
    )
    .hint(
        "this happens in SQL_ASCII databases: define it anew without these bytes (in names, comments, \
         literals, bodies of functions), or in UTF-8",
    )
}

fn malformed(reason: &str) -> Error {
    Error::new(Kind::Damaged, format!("the pg_dump archive can not be read: {reason}"))
}

/// An archive for tests: the bytes that `pg_dump` 15 would write for these entries.
#[cfg(test)]
pub(crate) fn example(entries: &[(&str, &str, &str)]) -> Vec<u8> {
    fn int(out: &mut Vec<u8>, value: i32) {
        out.push(u8::from(value < 0));
        out.extend(value.unsigned_abs().to_le_bytes());
    }
    fn string(out: &mut Vec<u8>, text: Option<&str>) {
        int(out, text.map_or(-1, |text| text.len() as i32));
        out.extend(text.unwrap_or_default().bytes());
    }
    let mut out = b"PGDMP\x01\x0e\x00\x04\x08\x01".to_vec();
    int(&mut out, 0);
    (0..7).for_each(|_| int(&mut out, 0));
    ["shop", "15.1", "15.1"].iter().for_each(|text| string(&mut out, Some(text)));
    int(&mut out, entries.len() as i32);
    for (number, (kind, tag, definition)) in entries.iter().enumerate() {
        int(&mut out, number as i32 + 1);
        int(&mut out, 0);
        string(&mut out, Some("1259"));
        string(&mut out, Some("16384"));
        string(&mut out, Some(tag));
        string(&mut out, Some(kind));
        int(
            &mut out,
            match *kind {
                "COMMENT" | "ACL" => 1,
                "INDEX" => 4,
                _ => 2,
            },
        );
        string(&mut out, Some(definition));
        string(&mut out, Some(""));
        string(&mut out, None);
        string(&mut out, Some("public"));
        string(&mut out, Some(""));
        string(&mut out, Some("heap"));
        string(&mut out, Some("postgres"));
        string(&mut out, Some("false"));
        string(&mut out, Some("7"));
        string(&mut out, None);
        out.extend([0; 9]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_with_their_phases() {
        let bytes = example(&[
            ("TABLE", "orders", "CREATE TABLE ..."),
            ("COMMENT", "TABLE orders", "COMMENT ..."),
            ("INDEX", "orders_i", "CREATE INDEX ..."),
            ("COMMENT", "INDEX orders_i", "COMMENT ..."),
            ("ACL", "TABLE orders", "GRANT ..."),
        ]);
        let archive = Archive::parse(&bytes).unwrap();
        let phases: Vec<Phase> = archive.entries.iter().map(|entry| entry.phase).collect();
        use Phase::*;
        assert_eq!(phases, [BeforeData, BeforeData, AfterData, AfterData, Privileges]);
        assert_eq!(archive.entries[0].oid, 16384);
        assert_eq!(archive.entries[0].dependencies, [7]);
        assert_eq!(archive.entries[0].described(), "table public.orders");
    }

    #[test]
    fn a_cut_or_altered_archive_is_refused_and_never_panics() {
        let bytes = example(&[("TABLE", "orders", "CREATE TABLE ...")]);
        for cut in 0..bytes.len() {
            assert!(Archive::parse(&bytes[..cut]).is_err(), "{cut}");
        }
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 0xff;
            let _ = Archive::parse(&altered);
        }
    }
}
