//! Why the catalog refused or failed.
//!
//! Every error says what happened, to which object, and [`CatalogError::hint`] what to do. None
//! contains a secret: secrets are bound as sealed bytes or hashes, and databases quote neither.

use thiserror::Error;

use crate::id::JobId;

/// Shorthand for results of this crate.
pub type Result<T, E = CatalogError> = std::result::Result<T, E>;

/// A refusal or failure of the catalog.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// Nothing of that name or id is known.
    #[error("there is no {what} {name}")]
    NotFound {
        /// The kind of object.
        what: &'static str,
        /// The name or id that was asked for.
        name: String,
    },
    /// The name is taken.
    #[error("{what} {name} exists already")]
    Exists {
        /// The kind of object.
        what: &'static str,
        /// The name that is taken.
        name: String,
    },
    /// A value can not be stored, or makes no sense.
    #[error("{what} can not be used: {reason}")]
    Invalid {
        /// Which value.
        what: &'static str,
        /// Why it is refused.
        reason: String,
    },
    /// The object is not in a state in which this can be done.
    #[error("{what} {name}: {reason}")]
    Conflict {
        /// The kind of object.
        what: &'static str,
        /// Which one.
        name: String,
        /// What stands in the way.
        reason: String,
    },
    /// Somebody else has the job now, or it has ended.
    #[error("job {job} is no longer held: generation {generation} of its lease is over")]
    LeaseLost {
        /// The job.
        job: JobId,
        /// The generation that was held.
        generation: i64,
    },
    /// The catalog was changed by a later version of Strongroom.
    #[error("the catalog has schema version {found}, and this strongroom knows up to {supported}")]
    NewerSchema {
        /// The version that the catalog has.
        found: i64,
        /// The highest version that this build knows.
        supported: i64,
    },
    /// The schema could not be brought up to date.
    #[error("the catalog's schema can not be brought to version {supported}: {source}")]
    Migration {
        /// The version that this build wants.
        supported: i64,
        /// What went wrong.
        source: Box<sqlx::migrate::MigrateError>,
    },
    /// The master key is missing, unreadable, or another one.
    #[error("{0}")]
    MasterKey(String),
    /// A sealed value does not open.
    #[error("the sealed {column} of {table} {row} can not be opened: {reason}")]
    Sealed {
        /// The table that it is in.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row.
        row: String,
        /// Why.
        reason: String,
    },
    /// A stored value is not one that this build knows.
    #[error("column {column} of the catalog holds something unreadable: {reason}")]
    Unreadable {
        /// The column.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file that holds the catalog or its key can not be used.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database failed or does not answer.
    #[error("the catalog's database failed while {doing}: {source}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        source: Box<sqlx::Error>,
    },
}

impl CatalogError {
    /// What can be done about it, where somebody can do something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            CatalogError::NewerSchema { .. } => {
                Some("run the newer strongroom, or one later still")
            }
            CatalogError::MasterKey(_) | CatalogError::Sealed { .. } => Some(
                "bring back the master key file that the catalog was made with; every replica \
                 needs the same one",
            ),
            CatalogError::Unreadable { .. } => {
                Some("if a newer strongroom wrote it, run that one; else rebuild the catalog")
            }
            CatalogError::Database { .. } if self.may_pass() => {
                Some("check that the database runs and has connections left, and try again")
            }
            _ => None,
        }
    }

    /// Whether the same call may succeed later although nobody changes anything.
    pub fn may_pass(&self) -> bool {
        let CatalogError::Database { source, .. } = self else { return false };
        match source.as_ref() {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
            // Of SQLite: busy and locked, which the extended codes keep in their lowest byte. Of
            // PostgreSQL: connections, resources, shutdown, serialization and deadlock.
            sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                let sqlite = error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some();
                if sqlite {
                    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
                } else {
                    let class = code.get(..2).unwrap_or_default();
                    matches!(class, "08" | "40" | "53" | "57")
                }
            }),
            _ => false,
        }
    }

    pub(crate) fn not_found(what: &'static str, name: impl ToString) -> Self {
        CatalogError::NotFound { what, name: name.to_string() }
    }

    pub(crate) fn invalid(what: &'static str, reason: impl Into<String>) -> Self {
        CatalogError::Invalid { what, reason: reason.into() }
    }

    pub(crate) fn conflict(
        what: &'static str,
        name: impl ToString,
        reason: impl Into<String>,
    ) -> Self {
        CatalogError::Conflict { what, name: name.to_string(), reason: reason.into() }
    }

    /// The same error; but where a unique value was there already, that is what it says.
    pub(crate) fn or_exists(self, what: &'static str, name: impl ToString) -> Self {
        if self.is_unique_violation() {
            CatalogError::Exists { what, name: name.to_string() }
        } else {
            self
        }
    }

    /// The same error; but where a row that is referred to is missing, that is what it says.
    pub(crate) fn or_missing(self, what: &'static str, name: impl ToString) -> Self {
        let missing = self.database().is_some_and(|error| error.is_foreign_key_violation());
        if missing { CatalogError::not_found(what, name) } else { self }
    }

    pub(crate) fn is_unique_violation(&self) -> bool {
        self.database().is_some_and(|error| error.is_unique_violation())
    }

    fn database(&self) -> Option<&dyn sqlx::error::DatabaseError> {
        let CatalogError::Database { source, .. } = self else { return None };
        source.as_database_error()
    }
}
