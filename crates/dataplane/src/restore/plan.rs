//! The plan of a restore: what it will create, what is in its way, what it lacks.
//!
//! A plan writes nothing, and is the same for every face: the command line prints it, machines get
//! it as JSON. A restore runs only a plan that has no conflicts and lacks nothing.

use serde::Serialize;

use crate::{Error, Kind, Result};

/// What a restore would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Plan {
    /// The backup, by id.
    pub backup: String,
    /// The server it would be restored to.
    pub target: String,
    /// What would be created.
    pub creates: Vec<Creation>,
    /// Types, functions and the like of the target that restored objects would use.
    pub uses: Vec<Use>,
    /// What is in the way.
    pub conflicts: Vec<Conflict>,
    /// What is needed and is neither in the restore nor in the target.
    pub missing: Vec<Missing>,
    /// What would be replaced or removed.
    pub replaces: Vec<String>,
    /// What would be left out or would differ from the backup.
    pub notes: Vec<String>,
    /// Tables that would be loaded.
    pub tables: u64,
    /// Rows that would be loaded.
    pub rows: u64,
    /// Bytes of rows, before compression.
    pub size_bytes: u64,
    /// Bytes of rows in the store, which would be read.
    pub stored_bytes: u64,
}

/// An object that would be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Creation {
    /// `database`, `schema`, `table`, `sequence`, `type`, `view`, `role` and so on.
    pub kind: String,
    /// Its name in the target.
    pub name: String,
    /// Its name in the backup, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its rows, where it holds any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// An object of the target that restored objects would use instead of the one in the backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Use {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it is what the backup means by that name.
    pub comparison: Comparison,
}

/// What comparing an object of the target with the one in the backup has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// Their definitions say the same.
    Same,
    /// A conflict or a note tells how.
    Different,
    /// Objects of this kind are not compared.
    NotCompared,
}

/// An object of the target that is in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What is the matter.
    pub message: String,
    /// Statements or options that resolve it; any one of them.
    pub resolutions: Vec<String>,
}

/// Something that a restored object needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The object that needs it.
    pub needed_by: String,
    /// The option that leaves the dependent part out, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// What is the matter.
    pub message: String,
    /// Statements or options that resolve it; any one of them.
    pub resolutions: Vec<String>,
}

impl Plan {
    /// The error of the first thing that stands in the way, which counts the others.
    pub fn refuse(&self) -> Result<()> {
        let conflicts = self.conflicts.iter().map(|c| (Kind::Conflict, &c.message, &c.resolutions));
        let missing = self.missing.iter().map(|m| (Kind::Missing, &m.message, &m.resolutions));
        let mut found = conflicts.chain(missing);
        let Some((kind, message, resolutions)) = found.next() else {
            return Ok(());
        };
        let message = match found.count() {
            0 => message.clone(),
            1 => format!("{message} (and 1 more obstacle: see --plan)"),
            more => format!("{message} (and {more} more obstacles: see --plan)"),
        };
        let error = Error::new(kind, message);
        Err(match resolutions.is_empty() {
            true => error,
            false => error.hint(resolutions.join("\n  or: ")),
        })
    }
}
