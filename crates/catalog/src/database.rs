//! One way to speak to both databases.
//!
//! Statements are written once, with `$1` for values, which SQLite and PostgreSQL both read; the
//! few that differ ask [`crate::dialect`]. What differs in every statement is the form of values,
//! and that is decided here: PostgreSQL has types for times, ids and JSON, SQLite keeps them as
//! text that a person can read in its shell, and that sorts as the values do.
//!
//! SQLite has one writer. All writes go through a pool of one connection, so that tasks of this
//! process queue up in order instead of polling a lock; other processes are waited for by the busy
//! timeout. Readers have connections of their own and never wait (WAL). A transaction that writes
//! says so at its beginning (`BEGIN IMMEDIATE`): one that read first and wanted to write later
//! could be refused in the middle.
//!
//! A write is durable when its call returns: `synchronous = FULL`. A job that was claimed, or a key
//! that was shown once, must not be forgotten by a power cut.

use jiff::{Timestamp, Unit};
use serde_json::Value;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgPool, PgRow, PgTypeInfo, PgValueRef};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{Decode, Encode, Executor, Postgres, Row as _, SqlSafeStr, SqlStr, Sqlite, Type};
use uuid::Uuid;

use crate::dialect::Dialect;
use crate::{CatalogError, Result};

/// The open database.
#[derive(Clone)]
pub(crate) enum Database {
    /// One file.
    Sqlite { readers: SqlitePool, writer: SqlitePool },
    /// A server that several replicas share.
    Postgres(PgPool),
}

/// A transaction that may write. Dropped without a commit, it has done nothing.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// A value for a statement. The type is known for NULL, too: PostgreSQL asks for it.
#[derive(Clone)]
pub(crate) enum Arg {
    Text(Option<String>),
    Int(Option<i64>),
    Float(Option<f64>),
    Bool(Option<bool>),
    Time(Option<Timestamp>),
    Id(Option<Uuid>),
    Bytes(Option<Vec<u8>>),
    Json(Option<Value>),
}

/// A row of a reply.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What can be given to a statement.
pub(crate) trait Bind {
    fn bind(&self) -> Arg;
    fn null() -> Arg;
}

/// What can be read from a row. `None`: NULL.
pub(crate) trait Column: Sized {
    fn read(row: &Row, name: &str) -> Result<Option<Self>>;
}

/// What a whole row can be read as.
pub(crate) trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self>;
}

/// The values of a statement, in order.
macro_rules! args {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::database::Bind::bind(&$value)),*]
    };
}
pub(crate) use args;

impl Database {
    /// Which of the two it is.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Database::Sqlite { .. } => Dialect::Sqlite,
            Database::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The rows of a statement that only reads.
    pub(crate) async fn rows(
        &self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        args: Vec<Arg>,
    ) -> Result<Vec<Row>> {
        let sql = sql.into_sql_str();
        check(&args)?;
        match self {
            Database::Sqlite { readers, .. } => sqlite_rows(readers, sql, args).await,
            Database::Postgres(pool) => postgres_rows(pool, sql, args).await,
        }
        .map_err(|source| failed(doing, source))
    }

    /// The one row of a statement that only reads, read as `T`.
    pub(crate) async fn find<T: FromRow>(
        &self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        args: Vec<Arg>,
    ) -> Result<Option<T>> {
        self.rows(doing, sql, args).await?.first().map(T::from_row).transpose()
    }

    /// The rows of a statement that only reads, read as `T`.
    pub(crate) async fn all<T: FromRow>(
        &self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        args: Vec<Arg>,
    ) -> Result<Vec<T>> {
        self.rows(doing, sql, args).await?.iter().map(T::from_row).collect()
    }

    /// Begins a transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Transaction> {
        let begun = match self {
            Database::Sqlite { writer, .. } => {
                writer.begin_with("BEGIN IMMEDIATE").await.map(Transaction::Sqlite)
            }
            Database::Postgres(pool) => pool.begin().await.map(Transaction::Postgres),
        };
        begun.map_err(|source| failed("beginning a transaction", source))
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        match self {
            Database::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Database::Postgres(pool) => pool.close().await,
        }
    }
}

impl Transaction {
    /// Which database it is in.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Transaction::Sqlite(_) => Dialect::Sqlite,
            Transaction::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The rows of a statement, which may be a change with `RETURNING`.
    pub(crate) async fn rows(
        &mut self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        args: Vec<Arg>,
    ) -> Result<Vec<Row>> {
        let sql = sql.into_sql_str();
        check(&args)?;
        match self {
            Transaction::Sqlite(tx) => sqlite_rows(&mut **tx, sql, args).await,
            Transaction::Postgres(tx) => postgres_rows(&mut **tx, sql, args).await,
        }
        .map_err(|source| failed(doing, source))
    }

    /// The one row of a statement, read as `T`.
    pub(crate) async fn find<T: FromRow>(
        &mut self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        args: Vec<Arg>,
    ) -> Result<Option<T>> {
        self.rows(doing, sql, args).await?.first().map(T::from_row).transpose()
    }

    /// The one row that a statement must have, read as `T`.
    pub(crate) async fn one<T: FromRow>(
        &mut self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        args: Vec<Arg>,
    ) -> Result<T> {
        let found = self.find(doing, sql, args).await?;
        found.ok_or_else(|| failed(doing, sqlx::Error::RowNotFound))
    }

    /// Runs a statement; how many rows it changed.
    pub(crate) async fn run(
        &mut self,
        doing: &'static str,
        sql: impl SqlSafeStr,
        args: Vec<Arg>,
    ) -> Result<u64> {
        let sql = sql.into_sql_str();
        check(&args)?;
        let done = match self {
            Transaction::Sqlite(tx) => {
                let done = tx.execute(sqlite_query(sql, args)).await;
                done.map(|done| done.rows_affected())
            }
            Transaction::Postgres(tx) => {
                let done = tx.execute(postgres_query(sql, args)).await;
                done.map(|done| done.rows_affected())
            }
        };
        done.map_err(|source| failed(doing, source))
    }

    /// Makes its changes durable and visible.
    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Transaction::Sqlite(tx) => tx.commit().await,
            Transaction::Postgres(tx) => tx.commit().await,
        }
        .map_err(|source| failed("committing", source))
    }
}

pub(crate) fn failed(doing: &'static str, source: sqlx::Error) -> CatalogError {
    CatalogError::Database { doing, source: Box::new(source) }
}

/// PostgreSQL has no NUL in text, so neither database gets one: what works on one works on both.
fn check(args: &[Arg]) -> Result<()> {
    fn has_nul(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(values) => values.iter().any(has_nul),
            Value::Object(fields) => {
                fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
            }
            _ => false,
        }
    }
    let bad = args.iter().any(|arg| match arg {
        Arg::Text(Some(text)) => text.contains('\0'),
        Arg::Json(Some(value)) => has_nul(value),
        _ => false,
    });
    if bad { Err(CatalogError::invalid("the text", "it contains a NUL character")) } else { Ok(()) }
}

async fn sqlite_rows<'e>(
    executor: impl Executor<'e, Database = Sqlite>,
    sql: SqlStr,
    args: Vec<Arg>,
) -> Result<Vec<Row>, sqlx::Error> {
    // To the last row, always: a change whose reply is not read to its end may not have happened.
    let rows = sqlite_query(sql, args).fetch_all(executor).await?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

async fn postgres_rows<'e>(
    executor: impl Executor<'e, Database = Postgres>,
    sql: SqlStr,
    args: Vec<Arg>,
) -> Result<Vec<Row>, sqlx::Error> {
    let rows = postgres_query(sql, args).fetch_all(executor).await?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}

fn sqlite_query(sql: SqlStr, args: Vec<Arg>) -> Query<'static, Sqlite, SqliteArguments> {
    args.into_iter().fold(sqlx::query(sql), |query, arg| match arg {
        Arg::Text(value) => query.bind(value),
        Arg::Int(value) => query.bind(value),
        Arg::Float(value) => query.bind(value),
        Arg::Bool(value) => query.bind(value),
        Arg::Time(value) => query.bind(value.map(sqlite_time)),
        Arg::Id(value) => query.bind(value.map(|id| id.to_string())),
        Arg::Bytes(value) => query.bind(value),
        Arg::Json(value) => query.bind(value.map(|value| value.to_string())),
    })
}

fn postgres_query(sql: SqlStr, args: Vec<Arg>) -> Query<'static, Postgres, PgArguments> {
    args.into_iter().fold(sqlx::query(sql), |query, arg| match arg {
        Arg::Text(value) => query.bind(value),
        Arg::Int(value) => query.bind(value),
        Arg::Float(value) => query.bind(value),
        Arg::Bool(value) => query.bind(value),
        Arg::Time(value) => query.bind(value.map(PostgresTime)),
        Arg::Id(value) => query.bind(value),
        Arg::Bytes(value) => query.bind(value),
        Arg::Json(value) => query.bind(value),
    })
}

/// RFC 3339 with always six digits, so that text sorts as time does.
fn sqlite_time(time: Timestamp) -> String {
    format!("{:.6}", keepable(time))
}

/// The moment to the microsecond, which is what both databases keep.
pub(crate) fn micros(time: Timestamp) -> Timestamp {
    let round = jiff::TimestampRound::new().smallest(Unit::Microsecond);
    time.round(round.mode(jiff::RoundMode::Floor)).unwrap_or(time)
}

/// The moment as it can be kept and compared in both databases. Somebody may ask for a list up to the
/// year -9999, which PostgreSQL refuses and which does not sort as text; nothing here is that old.
fn keepable(time: Timestamp) -> Timestamp {
    micros(time).max(Timestamp::UNIX_EPOCH)
}

/// A `timestamptz`: microseconds since the year 2000.
struct PostgresTime(Timestamp);

/// The year 2000, in microseconds since 1970.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

impl Type<Postgres> for PostgresTime {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1184))
    }

    fn compatible(found: &PgTypeInfo) -> bool {
        *found == Self::type_info()
    }
}

impl Encode<'_, Postgres> for PostgresTime {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let since = keepable(self.0).as_microsecond() - POSTGRES_EPOCH;
        Encode::<Postgres>::encode(since, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for PostgresTime {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let since: i64 = Decode::<Postgres>::decode(value)?;
        let time = since.checked_add(POSTGRES_EPOCH).ok_or("the time is out of range")?;
        Ok(PostgresTime(Timestamp::from_microsecond(time)?))
    }
}

impl Row {
    /// A value that must be there.
    pub(crate) fn get<T: Column>(&self, name: &str) -> Result<T> {
        self.opt(name)?.ok_or_else(|| unreadable(name, "it is empty"))
    }

    /// A value that may be missing.
    pub(crate) fn opt<T: Column>(&self, name: &str) -> Result<Option<T>> {
        T::read(self, name)
    }

    /// JSON that is read as `T`.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value: Value = self.get(name)?;
        serde_json::from_value(value).map_err(|error| unreadable(name, error))
    }
}

pub(crate) fn unreadable(column: &str, reason: impl ToString) -> CatalogError {
    CatalogError::Unreadable { column: column.to_owned(), reason: reason.to_string() }
}

/// What is to be stored as JSON.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|error| CatalogError::invalid("the value", error.to_string()))
}

macro_rules! columns {
    ($($rust:ty => $variant:ident;)+) => {$(
        impl Bind for $rust {
            fn bind(&self) -> Arg {
                Arg::$variant(Some(self.clone()))
            }

            fn null() -> Arg {
                Arg::$variant(None)
            }
        }
    )+};
}

columns! {
    String => Text;
    i64 => Int;
    f64 => Float;
    bool => Bool;
    Timestamp => Time;
    Uuid => Id;
    Vec<u8> => Bytes;
    Value => Json;
}

impl Bind for str {
    fn bind(&self) -> Arg {
        Arg::Text(Some(self.to_owned()))
    }

    fn null() -> Arg {
        Arg::Text(None)
    }
}

impl<T: Bind + ?Sized> Bind for &T {
    fn bind(&self) -> Arg {
        (**self).bind()
    }

    fn null() -> Arg {
        T::null()
    }
}

impl<T: Bind> Bind for Option<T> {
    fn bind(&self) -> Arg {
        self.as_ref().map_or_else(T::null, Bind::bind)
    }

    fn null() -> Arg {
        T::null()
    }
}

macro_rules! plain_columns {
    ($($rust:ty),+) => {$(
        impl Column for $rust {
            fn read(row: &Row, name: &str) -> Result<Option<Self>> {
                match row {
                    Row::Sqlite(row) => row.try_get(name),
                    Row::Postgres(row) => row.try_get(name),
                }
                .map_err(|error| unreadable(name, error))
            }
        }
    )+};
}

plain_columns!(String, i64, f64, bool, Vec<u8>);

/// A column that SQLite keeps as text and PostgreSQL in a type of its own.
macro_rules! richer_columns {
    ($($rust:ty, $postgres:ty, $from_postgres:expr, $from_text:expr;)+) => {$(
        impl Column for $rust {
            fn read(row: &Row, name: &str) -> Result<Option<Self>> {
                match row {
                    Row::Sqlite(row) => {
                        let text: Option<String> =
                            row.try_get(name).map_err(|error| unreadable(name, error))?;
                        let Some(text) = text else { return Ok(None) };
                        let parsed = $from_text(&text);
                        parsed.map(Some).map_err(|error| unreadable(name, error))
                    }
                    Row::Postgres(row) => {
                        let value: Option<$postgres> =
                            row.try_get(name).map_err(|error| unreadable(name, error))?;
                        Ok(value.map($from_postgres))
                    }
                }
            }
        }
    )+};
}

richer_columns! {
    Timestamp, PostgresTime, |time| time.0, |text: &str| text.parse::<Timestamp>();
    Uuid, Uuid, |id| id, |text: &str| text.parse::<Uuid>();
    Value, Value, |value| value, |text: &str| serde_json::from_str::<Value>(text);
}

/// An enum that is stored by its name.
macro_rules! named {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $what:literal {
            $($(#[$doc:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize,
            serde::Deserialize,
        )]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in the database and the API.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::CatalogError;

            fn from_str(text: &str) -> $crate::Result<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == text).ok_or_else(|| {
                    let names: Vec<_> = Self::ALL.iter().map(|known| known.name()).collect();
                    let reason = format!("'{text}' is none of {}", names.join(", "));
                    $crate::CatalogError::invalid($what, reason)
                })
            }
        }

        impl $crate::database::Bind for $name {
            fn bind(&self) -> $crate::database::Arg {
                $crate::database::Arg::Text(Some(self.name().to_owned()))
            }

            fn null() -> $crate::database::Arg {
                $crate::database::Arg::Text(None)
            }
        }

        impl $crate::database::Column for $name {
            fn read(row: &$crate::database::Row, name: &str) -> $crate::Result<Option<Self>> {
                let Some(text) = row.opt::<String>(name)? else { return Ok(None) };
                text.parse().map(Some).map_err(|error| $crate::database::unreadable(name, error))
            }
        }
    };
}
pub(crate) use named;

/// An id of a backup in its collection, as the storage spells it.
impl Bind for strongroom_format::BackupId {
    fn bind(&self) -> Arg {
        Arg::Text(Some(self.to_string()))
    }

    fn null() -> Arg {
        Arg::Text(None)
    }
}

impl Column for strongroom_format::BackupId {
    fn read(row: &Row, name: &str) -> Result<Option<Self>> {
        let Some(text) = row.opt::<String>(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error| unreadable(name, error))
    }
}
