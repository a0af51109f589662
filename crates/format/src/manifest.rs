//! The manifest: the small object whose existence makes a backup complete.
//!
//! It is written last and read first, and it is small enough that listing a thousand backups is
//! cheap: what is inside the databases stands in the contents ([`crate::contents`]), which it
//! names with length and checksum.
//!
//! Stored, it can be read by a person: a line with the version, the JSON, and a line with the
//! checksum of all bytes before it. Where the backup is encrypted, a keyed checksum follows, which
//! only a holder of the key can make.
//!
//! ```text
//! strongroom manifest 1
//! { "id": "2026/11/22-130000.00", ... }
//! checksum 0f5d...
//! authentication 77ab...
//! ```
//!
//! When a backup is pruned, its manifest is replaced by a tombstone: a line that says so, and then
//! the manifest as it was. The tombstone is written with one request, so that there is no moment at
//! which the object says neither, and a backup that was pruned is told from one that lost its
//! manifest. A backup that died gets one too, with nothing after the line: a backup's own manifest
//! is put where there is none, so whichever of both comes first is final.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::key::DataKey;
use crate::layout::Folder;
use crate::piece::PieceInfo;
use crate::{BackupId, Checksum, FORMAT_VERSION, FormatError};

/// Full or incremental.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupType {
    /// Holds every row itself.
    Full,
    /// Holds what changed since its parent.
    Incremental,
}

impl BackupType {
    /// `full` or `incremental`.
    pub fn name(self) -> &'static str {
        match self {
            BackupType::Full => "full",
            BackupType::Incremental => "incremental",
        }
    }
}

/// What a backup was asked to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", content = "names", rename_all = "lowercase")]
pub enum Targets {
    /// Every database, and the roles.
    Cluster,
    /// These databases.
    Databases(Vec<String>),
    /// These tables, as `database.schema.table`.
    Tables(Vec<String>),
}

impl Targets {
    /// `cluster`, `database` or `table`.
    pub fn level(&self) -> &'static str {
        match self {
            Targets::Cluster => "cluster",
            Targets::Databases(_) => "database",
            Targets::Tables(_) => "table",
        }
    }
}

/// The server that a backup was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Always `postgres` so far.
    pub engine: String,
    /// As the server prints it, such as `15.18`.
    pub version: String,
    /// `server_version_num`, such as 150018.
    pub version_num: u32,
    /// Tells one cluster from another. Empty where the server does not let us read it.
    pub system_identifier: String,
    /// The timeline at the read point.
    pub timeline: u32,
}

/// One line of the list of databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSummary {
    /// Its name.
    pub name: String,
    /// Its tables.
    pub tables: u64,
    /// Rows in all its tables.
    pub rows: u64,
    /// Raw bytes of all its tables.
    pub size_bytes: u64,
}

/// Something of the source that the backup does not hold, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Omission {
    /// What it is, such as `database "x"`.
    pub object: String,
    /// Why it is not here.
    pub reason: String,
}

/// What the service notes on a backup that it takes, so that its catalog can be made again from the
/// storage alone. To a restore it says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Managed {
    /// The cluster, by its id in the service.
    pub cluster_id: String,
    /// The cluster, by the name that it had.
    pub cluster_name: String,
    /// The plan that it was on.
    pub plan: String,
    /// The job that took the backup.
    pub job_id: String,
    /// Until when it is to be kept. Absent: until somebody removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What a backup is, without what is inside its databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The backup's name; also the place where it lies.
    pub id: BackupId,
    /// Full or incremental.
    #[serde(rename = "type")]
    pub kind: BackupType,
    /// The backup that an incremental builds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<BackupId>,
    /// The full backup that an incremental's chain begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<BackupId>,
    /// How an incremental found what had changed; on a full backup, how the next one may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<String>,
    /// Why a full backup was taken although an incremental one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_because: Option<String>,
    /// What it was asked to hold.
    pub targets: Targets,
    /// The server it was taken from.
    pub source: Source,
    /// When the backup began: no read point in it is earlier.
    pub data_from: Timestamp,
    /// When the manifest was written.
    pub finished_at: Timestamp,
    /// Raw bytes of all rows.
    pub size_bytes: u64,
    /// Bytes that this backup added to the store, manifest excluded.
    pub stored_bytes: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// The databases.
    pub databases: Vec<DatabaseSummary>,
    /// What is not here, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub omissions: Vec<Omission>,
    /// The contents, a piece of their own.
    pub contents: PieceInfo,
    /// Length of the object with the segment lists.
    pub segment_lists_bytes: u64,
    /// Names the data key, where the backup is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The program that wrote it.
    pub written_by: String,
    /// What the service notes; absent where somebody else took the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,
}

const TITLE: &str = "strongroom manifest ";
const PRUNED_TITLE: &str = "strongroom pruned ";

/// What lies in the place of a manifest.
#[derive(Clone, Debug)]
pub enum Found {
    /// A manifest: the backup is complete.
    Complete(Stored),
    /// A tombstone: the backup was pruned. With the manifest that it had, if it ever was complete.
    Pruned(Option<Stored>),
}

/// The tombstone of a backup with this stored manifest; empty, if it has none.
pub fn bury(manifest: &[u8]) -> Vec<u8> {
    [format!("{PRUNED_TITLE}{FORMAT_VERSION}\n").as_bytes(), manifest].concat()
}

impl Manifest {
    /// The stored form. `key` must be the data key where the backup is encrypted.
    pub fn encode(&self, key: Option<&DataKey>) -> Vec<u8> {
        let json = serde_json::to_string_pretty(self).unwrap_or_default();
        let mut text = format!("{TITLE}{FORMAT_VERSION}\n{json}\n");
        let authentication = key.map(|key| key.authenticate(text.as_bytes()));
        let checksum = Checksum::of(text.as_bytes());
        text.push_str(&format!("checksum {checksum}\n"));
        if let Some(authentication) = authentication {
            text.push_str(&format!("authentication {authentication}\n"));
        }
        text.into_bytes()
    }

    /// Where the backup lies.
    pub fn folder(&self) -> Folder {
        Folder { id: self.id, full: self.full.unwrap_or(self.id) }
    }

    /// Reads what lies in the place of the manifest in `folder`.
    pub fn find(bytes: &[u8], folder: Folder) -> Result<Found, FormatError> {
        let Some(rest) = bytes.strip_prefix(PRUNED_TITLE.as_bytes()) else {
            return Manifest::decode(bytes, folder).map(Found::Complete);
        };
        let not = || FormatError::NotA {
            expected: "tombstone of a pruned backup",
            reason: "its first line names no version".to_owned(),
        };
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(not)?;
        let version = std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse().ok());
        let found: u32 = version.ok_or_else(not)?;
        if found > FORMAT_VERSION {
            return Err(FormatError::NewerVersion { found, supported: FORMAT_VERSION });
        }
        match &rest[end + 1..] {
            [] => Ok(Found::Pruned(None)),
            manifest => Manifest::decode(manifest, folder).map(|it| Found::Pruned(Some(it))),
        }
    }

    /// Reads the stored form of the manifest that lies in `folder`.
    pub fn decode(bytes: &[u8], folder: Folder) -> Result<Stored, FormatError> {
        let not =
            |reason: &str| FormatError::NotA { expected: "manifest", reason: reason.to_owned() };
        let text = std::str::from_utf8(bytes).map_err(|_| not("it is not text"))?;
        let (title, _) = text.split_once('\n').ok_or_else(|| not("it is cut short"))?;
        let found = title
            .strip_prefix(TITLE)
            .and_then(|version| version.parse::<u32>().ok())
            .ok_or_else(|| not("its first line names no version"))?;
        if found > FORMAT_VERSION {
            return Err(FormatError::NewerVersion { found, supported: FORMAT_VERSION });
        }
        let end = text.rfind("\nchecksum ").ok_or_else(|| not("it is cut short"))? + 1;
        let (body, trailer) = text.split_at(end);
        let mut lines = trailer.lines();
        let checksum =
            lines.next().and_then(|line| line.strip_prefix("checksum ")).unwrap_or_default();
        Checksum::of(body.as_bytes()).check(checksum.parse()?)?;
        let authentication =
            lines.next().and_then(|line| line.strip_prefix("authentication ")).map(str::to_owned);
        // Nothing else covers the trailer itself: it must be just what the writer makes of it.
        let mut written = format!("checksum {}\n", Checksum::of(body.as_bytes()));
        written.extend(authentication.iter().map(|made| format!("authentication {made}\n")));
        if trailer != written {
            return Err(not("its last lines were altered or cut short"));
        }
        let json = &body[title.len() + 1..];
        let manifest: Manifest =
            serde_json::from_str(json).map_err(|error| not(&error.to_string()))?;
        if manifest.folder() != folder {
            return Err(FormatError::Misplaced {
                expected: folder.to_string(),
                found: manifest.folder().to_string(),
            });
        }
        Ok(Stored { manifest, body: body.to_owned(), authentication })
    }
}

/// A manifest as it was read, before it was tried against the key.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What it says.
    pub manifest: Manifest,
    body: String,
    authentication: Option<String>,
}

impl Stored {
    /// Refuses an encrypted backup's manifest that no holder of `key` wrote.
    pub fn authenticate(&self, key: Option<&DataKey>) -> Result<(), FormatError> {
        match (&self.manifest.key_id, key) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(FormatError::KeyNeeded),
            (Some(_), Some(key)) => {
                let made = key.authenticate(self.body.as_bytes());
                if self.authentication.as_deref() == Some(made.as_str()) {
                    Ok(())
                } else {
                    Err(FormatError::Decryption)
                }
            }
        }
    }
}
