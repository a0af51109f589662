//! Bytes at rest: everything a collection holds, and nothing else.
//!
//! This crate is pure: no I/O, no async, no clock. It can therefore be fuzzed cheaply, and read
//! next to `docs/format.md`, which describes the same bytes for a person with a hex editor and a
//! lost server. Reading order:
//!
//! * [`id`]: how a backup is named: by its read point.
//! * [`layout`]: the only place where object names are spelled.
//! * [`checksum`]: what every stored byte is covered by.
//! * [`key`]: data keys, and the keys that wrap them.
//! * [`piece`]: a run of stored bytes: compressed, perhaps encrypted, checksummed.
//! * [`segment`]: the rows of one page range of one table, and the lists that find them.
//! * [`claim`]: the object by which a running backup holds its id.
//! * [`manifest`]: the small object whose existence makes a backup complete.
//! * [`contents`]: what the backup holds, object by object.
//!
//! Invariant: a reader of this version reads every earlier version (`tests/versions.rs` keeps one
//! stored example of each), and refuses a later one by name instead of guessing.

pub mod checksum;
pub mod claim;
pub mod contents;
pub mod error;
pub mod id;
pub mod key;
pub mod layout;
pub mod manifest;
pub mod piece;
pub mod segment;

pub use checksum::Checksum;
pub use error::FormatError;
pub use id::BackupId;

/// The version of the stored format that this crate writes.
pub const FORMAT_VERSION: u32 = 1;
