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
//!     MANIFEST                     written last: from now on the backup exists
//! ```

use crate::id::BackupId;

/// An object of a collection. [`ObjectKey::path`] is its name below the collection's root.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// The claim on an id, by a backup that runs or that died.
    Started(BackupId),
    /// The wrapped data key.
    EncryptionInfo(BackupId),
    /// A pack, by its random name.
    Pack(BackupId, String),
    /// The schema of the database with this number.
    Schema(BackupId, usize),
    /// The segment lists.
    Segments(BackupId),
    /// What the backup holds.
    Contents(BackupId),
    /// The manifest.
    Manifest(BackupId),
}

/// A name for a pack that no other pack has, so that a repeated or concurrent backup can never
/// overwrite one.
pub fn new_pack_name() -> String {
    crate::checksum::to_hex(&crate::key::random::<8>())
}

/// The file name of a manifest.
pub const MANIFEST: &str = "MANIFEST";

impl ObjectKey {
    /// The object's name below the collection's root, with `/` between its parts.
    pub fn path(&self) -> String {
        match self {
            ObjectKey::Started(id) => format!("{id}/STARTED"),
            ObjectKey::EncryptionInfo(id) => format!("{id}/ENCRYPTION-INFO"),
            ObjectKey::Pack(id, name) => format!("{id}/data/{name}.pack"),
            ObjectKey::Schema(id, number) => format!("{id}/schema/{number}.dump"),
            ObjectKey::Segments(id) => format!("{id}/SEGMENTS"),
            ObjectKey::Contents(id) => format!("{id}/CONTENTS"),
            ObjectKey::Manifest(id) => format!("{id}/{MANIFEST}"),
        }
    }

    /// The backup whose manifest has this path, if it is a manifest's path.
    pub fn manifest_of(path: &str) -> Option<BackupId> {
        path.strip_suffix(MANIFEST)?.strip_suffix('/')?.parse().ok()
    }
}
