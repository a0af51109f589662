//! The few things that SQLite and PostgreSQL spell differently.
//!
//! Everything else is one text for both. A statement that needs a new method here should first be
//! tried without: most of what differs in habit does not differ in what both accept.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// One file in the data directory.
    Sqlite,
    /// A server that several replicas share.
    Postgres,
}

/// The versions of the schema, in order: their names, and their text for each database. An entry
/// that was released is never edited; a change is a new one.
const MIGRATIONS: &[(&str, &str, &str)] = &[(
    "first",
    include_str!("../migrations/sqlite/0001_first.sql"),
    include_str!("../migrations/postgres/0001_first.sql"),
)];

impl Dialect {
    /// The newest version of the schema.
    pub(crate) const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

    /// What brings a database to the newest version.
    pub(crate) fn migrator(self) -> Migrator {
        let mut migrations = Vec::new();
        for (version, (name, sqlite, postgres)) in (1..).zip(MIGRATIONS.iter().copied()) {
            let sql = match self {
                Dialect::Sqlite => sqlite,
                Dialect::Postgres => postgres,
            };
            let (name, sql) = (name.into(), sql.into_sql_str());
            migrations.push(Migration::new(version, name, MigrationType::Simple, sql, false));
        }
        Migrator::with_migrations(migrations)
    }

    /// Takes rows that are selected to be changed. SQLite has one writer, and needs no word.
    pub(crate) fn for_update(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE",
        }
    }

    /// The same, and passes over rows that somebody else has taken.
    pub(crate) fn for_update_skip_locked(self) -> &'static str {
        match self {
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Waits until no other transaction holds the place at the end of the audit log, and holds it until
    /// this one has ended. SQLite has one writer.
    pub(crate) fn one_by_one(self) -> Option<&'static str> {
        match self {
            Dialect::Sqlite => None,
            // A number of ours: the letters of "audit".
            Dialect::Postgres => Some("SELECT 1 FROM pg_advisory_xact_lock(418581342580)"),
        }
    }

    /// The UTC day of a time, as `2026-11-22`.
    pub(crate) fn day_of(self, column: &str) -> String {
        match self {
            Dialect::Sqlite => format!("substr({column}, 1, 10)"),
            Dialect::Postgres => {
                format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD')")
            }
        }
    }

    /// A JSON object without one of its fields.
    pub(crate) fn without_field(self, column: &str, field: &str) -> String {
        match self {
            Dialect::Sqlite => format!("json_remove({column}, '$.{field}')"),
            Dialect::Postgres => format!("{column} - '{field}'"),
        }
    }

    /// Whether the list of databases has one of this name.
    pub(crate) fn has_database(self) -> &'static str {
        match self {
            Dialect::Sqlite => {
                "EXISTS (SELECT 1 FROM json_each(databases) \
                 WHERE json_extract(json_each.value, '$.name') = {})"
            }
            Dialect::Postgres => {
                "databases @> jsonb_build_array(jsonb_build_object('name', CAST({} AS text)))"
            }
        }
    }

    /// A time, or where there is none, one after all others; for sorting.
    pub(crate) fn or_never(self, column: &str) -> String {
        match self {
            Dialect::Sqlite => format!("coalesce({column}, '9999-12-30T00:00:00.000000Z')"),
            Dialect::Postgres => format!("coalesce({column}, '9999-12-30 00:00:00+00')"),
        }
    }
}
