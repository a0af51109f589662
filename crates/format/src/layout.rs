//! Where objects lie inside a collection: the only place where their names are spelled.
//!
//! ```text
//! 2026/11/22-130000.00/            one full backup
//!     STARTED                      claimed by a running backup, removed when it ends
//!     ENCRYPTION-INFO              the wrapped data key, where the backup is encrypted
//!     data/<random>.pack           segments, in packs
//!     schema/<n>.dump              what pg_dump says of database n
//!     SEGMENTS                     the segment list of each table
//!     CONTENTS                     databases, tables, sequences, roles
//!     MANIFEST                     written last: from now on the backup exists; replaced by a
//!                                  tombstone when it is pruned
//! incrementals/2026/11/22-130000.00/
//!     20261122/140000.00/          one incremental of that full's chain, with the same objects
//! PRUNING                          written by a prune that begins, which reads the time from it
//! PROBE-<random>                   written, read and removed by a check of the store
//! ```

use std::fmt;
use std::str::FromStr;

use crate::FormatError;
use crate::id::BackupId;

/// The folder that holds the chains.
pub const INCREMENTALS: &str = "incrementals";
/// The file name of a manifest.
pub const MANIFEST: &str = "MANIFEST";

/// Where one backup lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Folder {
    /// The backup.
    pub id: BackupId,
    /// The full backup that its chain begins with: itself, if it is a full one.
    pub full: BackupId,
}

impl Folder {
    /// The folder of a full backup.
    pub fn of_full(id: BackupId) -> Self {
        Folder { id, full: id }
    }

    /// The folder that holds the incrementals on top of a full backup, by day.
    pub fn chain(full: BackupId) -> String {
        format!("{INCREMENTALS}/{full}")
    }
}

impl fmt::Display for Folder {
    /// The folder's name below the collection's root.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.id == self.full {
            return self.id.fmt(f);
        }
        let id = self.id.to_string();
        let (day, time) = id.split_once('-').unwrap_or_default();
        write!(f, "{}/{}/{time}", Folder::chain(self.full), day.replace('/', ""))
    }
}

impl FromStr for Folder {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let bad = || FormatError::BadId(text.to_owned());
        let chain = text.strip_prefix(INCREMENTALS).and_then(|rest| rest.strip_prefix('/'));
        let Some(chain) = chain else {
            return text.parse().map(Folder::of_full);
        };
        let mut parts = chain.rsplitn(3, '/');
        let mut part = || parts.next().ok_or_else(bad);
        let (time, day, full) = (part()?, part()?, part()?);
        if day.len() != 8 || !day.is_ascii() {
            return Err(bad());
        }
        let id = format!("{}/{}/{}-{time}", &day[..4], &day[4..6], &day[6..]).parse()?;
        let folder = Folder { id, full: full.parse()? };
        // Ids are read with slashes around them; folders have one spelling.
        if folder.to_string() == text { Ok(folder) } else { Err(bad()) }
    }
}

/// An object of a collection. [`ObjectKey::path`] is its name below the collection's root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// The claim on an id, by a backup that runs or that died.
    Started(Folder),
    /// The wrapped data key.
    EncryptionInfo(Folder),
    /// A pack, by its random name.
    Pack(Folder, String),
    /// The schema of the database with this number.
    Schema(Folder, usize),
    /// The segment lists.
    Segments(Folder),
    /// What the backup holds.
    Contents(Folder),
    /// The manifest.
    Manifest(Folder),
    /// What a prune asks the store's clock with.
    Pruning,
    /// What a check of the store writes and removes, by its random name.
    Probe(String),
}

/// A name for a pack that no other pack has, so that a repeated or concurrent backup can never
/// overwrite one.
pub fn new_pack_name() -> String {
    crate::checksum::to_hex(&crate::key::random::<8>())
}

/// A name for a probe that no other one has.
pub fn new_probe() -> ObjectKey {
    ObjectKey::Probe(crate::checksum::to_hex(&crate::key::random::<8>()))
}

impl ObjectKey {
    /// The object's name below the collection's root, with `/` between its parts.
    pub fn path(&self) -> String {
        match self {
            ObjectKey::Started(folder) => format!("{folder}/STARTED"),
            ObjectKey::EncryptionInfo(folder) => format!("{folder}/ENCRYPTION-INFO"),
            ObjectKey::Pack(folder, name) => format!("{folder}/data/{name}.pack"),
            ObjectKey::Schema(folder, number) => format!("{folder}/schema/{number}.dump"),
            ObjectKey::Segments(folder) => format!("{folder}/SEGMENTS"),
            ObjectKey::Contents(folder) => format!("{folder}/CONTENTS"),
            ObjectKey::Manifest(folder) => format!("{folder}/{MANIFEST}"),
            ObjectKey::Pruning => "PRUNING".to_owned(),
            ObjectKey::Probe(name) => format!("PROBE-{name}"),
        }
    }

    /// Whether an object of this path is a pack, of whatever backup.
    pub fn is_pack(path: &str) -> bool {
        path.ends_with(".pack")
            && path.rsplit('/').nth(1) == Some("data")
            && ObjectKey::folder_of(path).is_some()
    }

    /// The folder of the backup that an object of this path belongs to, if it is one.
    pub fn folder_of(path: &str) -> Option<Folder> {
        let parts = if path.starts_with(INCREMENTALS) { 6 } else { 3 };
        let (end, _) = path.match_indices('/').nth(parts - 1)?;
        path[..end].parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_survive_their_own_text() {
        let full: BackupId = "2026/11/22-130000.00".parse().unwrap();
        let incremental = Folder { id: "2026/12/01-010203.04".parse().unwrap(), full };
        for (folder, text) in [
            (Folder::of_full(full), "2026/11/22-130000.00"),
            (incremental, "incrementals/2026/11/22-130000.00/20261201/010203.04"),
        ] {
            assert_eq!(folder.to_string(), text);
            assert_eq!(text.parse::<Folder>().unwrap(), folder);
            let pack = ObjectKey::Pack(folder, "00ff".to_owned()).path();
            assert_eq!(ObjectKey::folder_of(&pack), Some(folder));
            assert!(ObjectKey::is_pack(&pack));
            assert!(!ObjectKey::is_pack(&ObjectKey::Contents(folder).path()));
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "incrementals",
            "incrementals/2026/11/22-130000.00",
            "incrementals/2026/11/22-130000.00/20261201",
            "incrementals/2026/11/22-130000.00/2026-12-01/010203.04",
            "incrementals//2026/11/22-130000.00/20261201/010203.04",
            "incrementals/2026/11/22-130000.00/20261122/130000.00",
        ] {
            assert!(text.parse::<Folder>().is_err(), "{text}");
        }
        assert_eq!(ObjectKey::folder_of("2026/11/22-130000.00"), None);
        assert_eq!(ObjectKey::folder_of("notes/of/mine/MANIFEST"), None);
    }
}
