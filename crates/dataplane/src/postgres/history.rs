//! Which server it is, and which line of its history.
//!
//! Positions in the log and ids of transactions are comparable within one line only. A line begins when
//! a standby takes over or a server is brought back to an earlier time.

use serde::{Deserialize, Serialize};
use tokio_postgres::error::SqlState;

use super::connect::Client;
use crate::Result;

/// A server, and the line of its history that it is on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The server: copies of it share this. Empty if the role may not ask, as with some providers.
    pub system_identifier: String,
    /// The line. 0 if the role may not ask.
    pub timeline: u32,
}

impl History {
    /// What the server says of itself now.
    pub(crate) async fn of(client: &Client) -> Result<Self> {
        // The control file learns of a promotion minutes later, by the next checkpoint; the names of
        // log files tell it at once. Standbys have no present file.
        let sql = "SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()), \
                          CASE WHEN pg_catalog.pg_is_in_recovery() \
                          THEN (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()) \
                          ELSE ('x' || left(pg_catalog.pg_walfile_name( \
                              pg_catalog.pg_current_wal_insert_lsn()), 8))::bit(32)::int4 END";
        match client.query_one(sql, &[]).await {
            Ok(row) => {
                let timeline = row.get::<_, i32>(1) as u32;
                Ok(History { system_identifier: row.get(0), timeline })
            }
            // Some providers keep these functions for themselves.
            Err(error)
                if matches!(
                    error.code(),
                    Some(
                        &SqlState::INSUFFICIENT_PRIVILEGE
                            | &SqlState::UNDEFINED_FUNCTION
                            | &SqlState::FEATURE_NOT_SUPPORTED
                    )
                ) =>
            {
                Ok(History::default())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn is_known(&self) -> bool {
        !self.system_identifier.is_empty()
    }

    /// Whether both are known, and are not of the same server.
    pub(crate) fn is_of_another_server(&self, other: &Self) -> bool {
        self.is_known() && other.is_known() && self.system_identifier != other.system_identifier
    }

    /// Whether both are known, and are not the same line of one server's history.
    pub(crate) fn is_another_line(&self, other: &Self) -> bool {
        self.is_known() && other.is_known() && self != other
    }
}
