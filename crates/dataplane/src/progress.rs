//! What a long operation tells while it runs.
//!
//! Bytes are told twice, for two kinds of listeners: in sum ([`Event::Expected`], [`Event::Moved`]),
//! for a bar, and by table, for a list. A table's name is made once and shared, so that telling of a
//! segment costs no allocation.
//!
//! A table is told of with [`Event::Table`] before anything of it is moved, and with
//! [`Event::TableDone`] when all of it was. A read point that is taken anew tells of its tables
//! anew: what was said of them before is void then. Tables without rows are not told of.

use std::sync::Arc;

use crate::names::TableName;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step began, such as "reading database shop".
    Step(String),
    /// How many bytes the step is expected to move, for a progress bar.
    Expected(u64),
    /// Bytes moved since the last such event.
    Moved(u64),
    /// Something that a person should know, although it is no error.
    Note(String),
    /// A table is going to be moved; or is begun anew.
    Table(TableProgress),
    /// Some of a table was moved since the last such event.
    TableMoved {
        /// The table, as it was announced.
        table: Arc<TableName>,
        /// Rows.
        rows: u64,
        /// Bytes, in the unit in which they were expected.
        bytes: u64,
    },
    /// All of a table was moved.
    TableDone(Arc<TableName>),
}

/// What is known of a table before it is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableProgress {
    /// The table, as it is called in the backup.
    pub table: Arc<TableName>,
    /// Bytes that are expected. An estimate: fewer or more may be moved.
    pub bytes_expected: u64,
}

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(Event) + Send + Sync>);

impl Progress {
    /// Sends every event to `listener`.
    pub fn new(listener: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Progress(Arc::new(listener))
    }

    /// Tells nobody.
    pub fn silent() -> Self {
        Progress::new(|_| {})
    }

    pub(crate) fn step(&self, text: impl Into<String>) {
        (self.0)(Event::Step(text.into()));
    }

    pub(crate) fn expected(&self, bytes: u64) {
        (self.0)(Event::Expected(bytes));
    }

    pub(crate) fn moved(&self, bytes: u64) {
        (self.0)(Event::Moved(bytes));
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        (self.0)(Event::Note(text.into()));
    }

    pub(crate) fn table(&self, table: &Arc<TableName>, bytes_expected: u64) {
        (self.0)(Event::Table(TableProgress { table: table.clone(), bytes_expected }));
    }

    pub(crate) fn table_moved(&self, table: &Arc<TableName>, rows: u64, bytes: u64) {
        (self.0)(Event::TableMoved { table: table.clone(), rows, bytes });
    }

    pub(crate) fn table_done(&self, table: &Arc<TableName>) {
        (self.0)(Event::TableDone(table.clone()));
    }
}
