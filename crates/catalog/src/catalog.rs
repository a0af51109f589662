//! Opening the catalog, and the transaction in which it is changed.
//!
//! Opening is safe to repeat and to do at the same time: an empty database gets the schema, an
//! older one is brought up to date, a newer one is refused by name. PostgreSQL guards the migration
//! by an advisory lock, SQLite by a lock on a file beside it; a migration that is killed is rolled
//! back, each as a whole.
//!
//! A [`Write`] holds the only writing connection of SQLite, and row locks in PostgreSQL. It is for
//! a few statements: nothing that may take long, and no call of another server, belongs between
//! [`Catalog::begin`] and [`Write::commit`], nor a call of the catalog that would begin a second
//! one.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Executor as _;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::audit::NewEvent;
use crate::clock::Clock;
use crate::database::{Database, FromRow, Row, Transaction, args, failed, micros};
use crate::dialect::Dialect;
use crate::sealed::{MasterKeys, Place, Secret, file_error};
use crate::{CatalogError, Result};

/// How long a writer waits for another process that writes to the same SQLite file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a task waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections that read, for each process.
const READERS: u32 = 8;

/// Where the catalog is.
#[derive(Clone, Debug)]
pub enum Address {
    /// A SQLite file, made where there is none.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL database, which must exist.
    Postgres(Secret),
}

impl FromStr for Address {
    type Err = CatalogError;

    /// Takes `postgresql://...`, `sqlite:PATH` or a path.
    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with("postgresql://") || text.starts_with("postgres://") {
            return Ok(Address::Postgres(Secret::new(text)));
        }
        let path = text.strip_prefix("sqlite:").unwrap_or(text);
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.contains("://") {
            let reason = "it is neither a path nor a URL that begins with postgresql://";
            return Err(CatalogError::invalid("the catalog's address", reason));
        }
        Ok(Address::Sqlite(path.into()))
    }
}

/// Where the master key comes from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// A file, made at the first start of a new catalog.
    File(PathBuf),
    /// Keys that were given in another way, such as the environment.
    Keys(MasterKeys),
}

/// The open catalog. Clones share its connections.
#[derive(Clone)]
pub struct Catalog {
    pub(crate) database: Database,
    pub(crate) keys: Arc<MasterKeys>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Catalog({:?})", self.dialect())
    }
}

/// A transaction that changes the catalog. Dropped without [`Write::commit`], it has done nothing.
pub struct Write<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) tx: Transaction,
    /// What the audit log gets at the commit.
    pub(crate) events: Vec<NewEvent>,
}

impl fmt::Debug for Write<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Write(..)")
    }
}

impl Catalog {
    /// Opens the catalog, makes or updates its schema, and checks that `keys` are the right ones.
    pub async fn open(address: &Address, keys: KeySource, clock: Arc<dyn Clock>) -> Result<Self> {
        let database = match address {
            Address::Sqlite(path) => open_sqlite(path).await?,
            Address::Postgres(url) => open_postgres(url).await?,
        };
        let keys = Arc::new(checked_keys(&database, keys).await?);
        Ok(Catalog { database, keys, clock })
    }

    /// Which database it is in.
    pub fn dialect(&self) -> Dialect {
        self.database.dialect()
    }

    /// The present moment, as the catalog's clock tells it, to the microsecond.
    pub fn now(&self) -> Timestamp {
        micros(self.clock.now())
    }

    /// The present moment, if it is not that of the machine's clock.
    pub fn simulated_now(&self) -> Option<Timestamp> {
        self.clock.is_simulated().then(|| self.now())
    }

    /// Begins a transaction that changes the catalog.
    pub async fn begin(&self) -> Result<Write<'_>> {
        Ok(Write { catalog: self, tx: self.database.begin().await?, events: Vec::new() })
    }

    /// Whether the database answers; for readiness checks.
    pub async fn ping(&self) -> Result<()> {
        self.database.rows("asking whether it answers", "SELECT 1", args![]).await.map(drop)
    }

    /// Closes all connections. Everything committed is durable without it.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// Second step of a rotation of the master key: seals every secret again, with the first of the
    /// keys that the catalog was opened with. How many there were.
    pub async fn reseal(&self) -> Result<u64> {
        let mut write = self.begin().await?;
        let mut sealed = 0;
        for (table, id, column) in SEALED {
            let select = format!(
                "SELECT {id} AS row_id, {column} AS sealed FROM {table} \
                 WHERE {column} IS NOT NULL{}",
                write.tx.dialect().for_update()
            );
            let update = format!("UPDATE {table} SET {column} = $1 WHERE {id} = $2");
            let rows =
                write.tx.rows("reading secrets", sqlx::AssertSqlSafe(select), args![]).await?;
            for row in rows {
                let (row_id, id_arg) = row_id(&row, id)?;
                let place = Place { table, row: &row_id, column };
                let secret = self.keys.open(place, &row.get::<Vec<u8>>("sealed")?)?;
                let bytes = self.keys.seal(place, &secret)?;
                let values = vec![crate::database::Arg::Bytes(Some(bytes)), id_arg];
                let update = sqlx::AssertSqlSafe(update.clone());
                sealed += write.tx.run("sealing secrets again", update, values).await?;
            }
        }
        write.commit().await?;
        Ok(sealed)
    }
}

/// Every sealed column, with the column that names its row.
const SEALED: &[(&str, &str, &str)] = &[
    ("key_check", "name", "sealed"),
    ("storage_locations", "id", "url_sealed"),
    ("storage_locations", "id", "encryption_sealed"),
    ("clusters", "id", "connection_sealed"),
];

/// A row's id as text, and as a value for a statement.
fn row_id(row: &Row, id: &str) -> Result<(String, crate::database::Arg)> {
    use crate::database::Bind;
    if id == "name" {
        let name: String = row.get("row_id")?;
        return Ok((name.clone(), name.bind()));
    }
    let uuid: uuid::Uuid = row.get("row_id")?;
    Ok((uuid.to_string(), uuid.bind()))
}

impl Write<'_> {
    /// Makes the changes durable and visible.
    pub async fn commit(mut self) -> Result<()> {
        self.write_events().await?;
        self.tx.commit().await
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.catalog.now()
    }

    pub(crate) fn keys(&self) -> &MasterKeys {
        &self.catalog.keys
    }
}

async fn open_sqlite(path: &Path) -> Result<Database> {
    // Made beforehand, so that nobody but its owner can read it. SQLite gives the files that it
    // puts beside it the same mode.
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    options.open(path).map_err(|error| file_error(path, error))?;

    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true);
    let open = |connections| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // Connections to a file do not go stale.
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options.clone())
    };
    let lock = lock_file(path).await?;
    let writer = open(1).await.map_err(|source| failed("opening the file", source))?;
    Dialect::Sqlite.migrator().run(&writer).await.map_err(migration_failed)?;
    drop(lock);
    let readers = open(READERS).await.map_err(|source| failed("opening the file", source))?;
    Ok(Database::Sqlite { readers, writer })
}

/// Waits until no other process migrates this file. Whoever dies lets go of it.
async fn lock_file(path: &Path) -> Result<File> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let path = path.with_file_name(name);
    let lock = move || {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let locked = options.open(&path).and_then(|file| file.lock().map(|()| file));
        locked.map_err(|error| file_error(&path, error))
    };
    match tokio::task::spawn_blocking(lock).await {
        Ok(locked) => locked,
        Err(_) => Err(failed("locking the file", sqlx::Error::WorkerCrashed)),
    }
}

async fn open_postgres(url: &Secret) -> Result<Database> {
    let options = PgConnectOptions::from_str(url.expose())
        .map_err(|source| failed("reading its URL", source))?
        .application_name("strongroom");
    let pool = PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // Statements here are short: compiling one would take longer than running it.
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute("SET jit = off").await.map(drop) })
        })
        .connect_with(options)
        .await
        .map_err(|source| failed("connecting", source))?;
    Dialect::Postgres.migrator().run(&pool).await.map_err(migration_failed)?;
    Ok(Database::Postgres(pool))
}

fn migration_failed(error: MigrateError) -> CatalogError {
    let supported = Dialect::SCHEMA_VERSION;
    match error {
        MigrateError::VersionMissing(found) => CatalogError::NewerSchema { found, supported },
        source => CatalogError::Migration { supported, source: Box::new(source) },
    }
}

struct KeyCheck(Vec<u8>);

impl FromRow for KeyCheck {
    fn from_row(row: &Row) -> Result<Self> {
        row.get("sealed").map(KeyCheck)
    }
}

/// The keys, after they have opened the key check; or have made it, in a new catalog.
async fn checked_keys(database: &Database, source: KeySource) -> Result<MasterKeys> {
    const PLACE: Place<'static> = Place { table: "key_check", row: "key", column: "sealed" };
    const FIND: &str = "SELECT sealed FROM key_check WHERE name = 'key'";
    let doing = "checking the master key";

    let stored: Option<KeyCheck> = database.find(doing, FIND, args![]).await?;
    let keys = match source {
        KeySource::Keys(keys) => keys,
        KeySource::File(path) => match (MasterKeys::load(&path)?, &stored) {
            (Some(keys), _) => keys,
            (None, None) => MasterKeys::create(&path)?,
            (None, Some(_)) => {
                return Err(CatalogError::MasterKey(format!(
                    "there is no master key file {}, and the catalog has secrets that were sealed \
                     with one",
                    path.display()
                )));
            }
        },
    };
    let stored = match stored {
        Some(stored) => stored,
        None => {
            // Of several replicas that start at once, one is first; all others must have its key.
            let sealed = keys.seal(PLACE, &Secret::new("strongroom"))?;
            let mut tx = database.begin().await?;
            let insert = "INSERT INTO key_check (name, sealed) VALUES ('key', $1) \
                          ON CONFLICT (name) DO NOTHING";
            tx.run(doing, insert, args![sealed]).await?;
            let stored = tx.one(doing, FIND, args![]).await?;
            tx.commit().await?;
            stored
        }
    };
    match keys.open(PLACE, &stored.0) {
        Ok(_) => Ok(keys),
        Err(CatalogError::Sealed { reason, .. }) => Err(CatalogError::MasterKey(format!(
            "the master key is not the one that the catalog was made with: {reason}"
        ))),
        Err(error) => Err(error),
    }
}
