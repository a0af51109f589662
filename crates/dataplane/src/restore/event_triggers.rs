//! The target's event triggers, kept quiet.
//!
//! A table restore creates, moves and drops things in a live database. Its event triggers would fire
//! for all of that, with the rights of whoever restores: see hidden names, act on half-made tables,
//! and let the restore or its clean-up fail. So every session of ours that changes definitions keeps
//! them from firing, as far as its role may.
//!
//! PostgreSQL 17 has a setting for this. Before it, a session that takes the part of a replica does
//! not fire those for the origin, which most are; those enabled `ALWAYS` and `REPLICA` it does. Both
//! need a superuser, or a grant. Triggers `ON login` have fired before anybody could ask.

use crate::postgres::catalog;
use crate::postgres::connect::Client;
use crate::{Error, Kind, Result};

/// What became of a database's event triggers, in one session.
#[derive(Debug, Default)]
pub(super) struct Silenced {
    /// Those that do not fire, and would have.
    quiet: Vec<String>,
    /// Those that fire.
    firing: Vec<String>,
}

/// Keeps the event triggers of the session's database from firing for it.
pub(super) async fn silence(client: &Client) -> Result<Silenced> {
    let sql = "SELECT evtname::text, evtenabled::text FROM pg_event_trigger \
               WHERE evtenabled <> 'D' AND evtevent <> 'login' ORDER BY 1";
    let rows = client.query(sql, &[]).await?;
    let with = |states: &str| -> Vec<String> {
        let of_state = rows.iter().filter(|row| states.contains(row.get::<_, &str>(1)));
        of_state.map(|row| row.get(0)).collect()
    };
    if rows.is_empty() {
        return Ok(Silenced::default());
    }
    let all_off = catalog::version_num(client).await? >= 170000;
    if all_off && may(client, "SET event_triggers = off").await? {
        return Ok(Silenced { quiet: with("OA"), firing: Vec::new() });
    }
    // In a replica the triggers for replicas fire: nothing is gained where only they are left out.
    if !with("O").is_empty() && may(client, "SET session_replication_role = replica").await? {
        return Ok(Silenced { quiet: with("O"), firing: with("AR") });
    }
    Ok(Silenced { quiet: Vec::new(), firing: with("OA") })
}

/// Tries a setting that needs rights.
async fn may(client: &Client, setting: &str) -> Result<bool> {
    match client.batch_execute(setting).await.map_err(Error::from) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == Kind::Denied => Ok(false),
        Err(error) => Err(error),
    }
}

impl Silenced {
    /// What a plan says about them.
    pub(super) fn notes(&self, database: &str) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.quiet.is_empty() {
            notes.push(format!(
                "event triggers of database \"{database}\" do not fire for this restore: {}",
                self.quiet.join(", ")
            ));
        }
        if !self.firing.is_empty() {
            notes.push(format!(
                "event triggers of database \"{database}\" fire for what this restore creates, moves and \
                 removes, under hidden names, and can make it fail: {}; to prevent it, disable them for \
                 the time (ALTER EVENT TRIGGER ... DISABLE), or restore as a superuser where they are not \
                 enabled ALWAYS or REPLICA",
                self.firing.join(", ")
            ));
        }
        notes
    }
}
