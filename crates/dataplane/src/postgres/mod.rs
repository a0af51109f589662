//! PostgreSQL, as a source and as a target.

pub mod administer;
pub(crate) mod archive;
pub mod catalog;
pub mod connect;
pub(crate) mod copy_text;
pub(crate) mod dump;
pub(crate) mod encoding;
pub mod history;
pub mod inspect;
pub mod server;
pub(crate) mod sql;
pub(crate) mod throwaway;
pub(crate) mod wire;
