//! The audit log: who did what, on which object, from where, and how it went.
//!
//! Events are recorded in the transaction of the change that they tell of. They are never changed
//! or removed: the database itself refuses. So they name people and objects by name beside the id,
//! and refer to no other table. Details pass through [`crate::redact`].
//!
//! **Whoever follows the log misses nothing.** A reader goes on after the time of the last event that
//! it got. So an event must not become visible with a time before one that others have read already.
//! On SQLite there is one writer, whose clock may be set back. On PostgreSQL transactions commit in any order, and replicas have clocks of
//! their own; therefore events are written as the last thing before the commit, under a lock that is
//! held until it is done, and dated after the last one that is there. Nothing is waited for behind that
//! lock, so it can not be part of a deadlock. Clocks may differ by [`CLOCKS`]: the events of a clock that
//! is further ahead do not drag the others along. A list has nothing that is later than its reader's
//! clock; so followers get what is ahead of it when its time has come, and never go on from there before.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::database::{FromRow, Row, args, named};
use crate::page::{Query, Sort};
use crate::{
    AuditEventId, Catalog, ClusterId, Listed, Order, Page, Result, ServiceAccountId, UserId, Write,
    redact,
};

named! {
    /// The kind of who did it.
    pub enum ActorKind: "actor type" {
        /// A person.
        User = "USER",
        /// A program.
        ServiceAccount = "SERVICE_ACCOUNT",
        /// The service itself: the scheduler, a worker, the command line.
        System = "SYSTEM",
        /// Nobody known: a sign-in that failed.
        Unknown = "UNKNOWN",
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// What kind of actor.
    pub kind: ActorKind,
    /// The id of the user or the service account.
    pub id: Option<Uuid>,
    /// The name at the time.
    pub name: String,
}

impl Actor {
    /// A person.
    pub fn user(id: UserId, name: impl Into<String>) -> Self {
        Actor { kind: ActorKind::User, id: Some(id.0), name: name.into() }
    }

    /// A program.
    pub fn service_account(id: ServiceAccountId, name: impl Into<String>) -> Self {
        Actor { kind: ActorKind::ServiceAccount, id: Some(id.0), name: name.into() }
    }

    /// The part of the service that did it, such as `scheduler`.
    pub fn system(part: impl Into<String>) -> Self {
        Actor { kind: ActorKind::System, id: None, name: part.into() }
    }

    /// Somebody who gave this name and could not prove it.
    pub fn unknown(name: impl Into<String>) -> Self {
        Actor { kind: ActorKind::Unknown, id: None, name: name.into() }
    }
}

named! {
    /// How it went.
    pub enum Outcome: "outcome" {
        /// It was done.
        Done = "DONE",
        /// It was not allowed.
        Refused = "REFUSED",
        /// It was allowed, and failed.
        Failed = "FAILED",
    }
}

/// What is to be recorded.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Who did it.
    pub actor: Actor,
    /// What, such as `RESTORE_CLUSTER`.
    pub action: String,
    /// The kind of object, such as `cluster`.
    pub object_kind: String,
    /// The object's id.
    pub object_id: Option<String>,
    /// The object's name at the time.
    pub object_name: Option<String>,
    /// The cluster that it concerns.
    pub cluster: Option<ClusterId>,
    /// The address that the request came from.
    pub address: Option<String>,
    /// The request's id, which is in the logs, too.
    pub request_id: Option<String>,
    /// How it went.
    pub outcome: Outcome,
    /// What else is worth knowing. Secrets are blotted out.
    pub details: Value,
}

impl NewEvent {
    /// Something that was done, to an object of this kind.
    pub fn done(actor: Actor, action: impl Into<String>, object_kind: impl Into<String>) -> Self {
        NewEvent {
            actor,
            action: action.into(),
            object_kind: object_kind.into(),
            object_id: None,
            object_name: None,
            cluster: None,
            address: None,
            request_id: None,
            outcome: Outcome::Done,
            details: Value::Object(serde_json::Map::new()),
        }
    }
}

/// What was recorded.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// Its id.
    pub id: AuditEventId,
    /// When it was recorded.
    pub at: Timestamp,
    /// What was recorded.
    pub event: NewEvent,
}

/// By how much the clocks of replicas may differ, and the log still is in order.
pub const CLOCKS: SignedDuration = SignedDuration::from_mins(1);
/// The smallest difference between two times in the log.
pub const TICK: SignedDuration = SignedDuration::from_micros(1);

const COLUMNS: &str = "id, at, actor_kind, actor_id, actor_name, action, object_kind, object_id, \
                       object_name, cluster_id, address, request_id, outcome, details";

impl FromRow for AuditEvent {
    fn from_row(row: &Row) -> Result<Self> {
        Ok(AuditEvent {
            id: row.get("id")?,
            at: row.get("at")?,
            event: NewEvent {
                actor: Actor {
                    kind: row.get("actor_kind")?,
                    id: row.opt("actor_id")?,
                    name: row.get("actor_name")?,
                },
                action: row.get("action")?,
                object_kind: row.get("object_kind")?,
                object_id: row.opt("object_id")?,
                object_name: row.opt("object_name")?,
                cluster: row.opt("cluster_id")?,
                address: row.opt("address")?,
                request_id: row.opt("request_id")?,
                outcome: row.get("outcome")?,
                details: row.get("details")?,
            },
        })
    }
}

/// Which events are wanted. Empty: all.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only those that concern this cluster.
    pub cluster: Option<ClusterId>,
    /// Only those of this user or service account.
    pub actor: Option<Uuid>,
    /// Only these actions.
    pub actions: Vec<String>,
    /// Only those at this time or later.
    pub from: Option<Timestamp>,
    /// Only those before this time.
    pub until: Option<Timestamp>,
}

impl Catalog {
    /// The audit log, newest first.
    pub async fn audit_events(
        &self,
        filter: &EventFilter,
        page: &Page,
    ) -> Result<Listed<AuditEvent>> {
        let sort = Sort::time("at", Order::Descending);
        let mut query = Query::new(format!("SELECT {COLUMNS} FROM audit_events"), "id", "at", sort);
        query.with_some("cluster_id = {}", filter.cluster);
        query.with_some("actor_id = {}", filter.actor);
        query.among("action", &filter.actions);
        query.with_some("at >= {}", filter.from);
        query.with_some("at < {}", filter.until);
        query.until_now();
        query.read(&self.database, "listing audit events", page, self.now()).await
    }
}

impl Write<'_> {
    /// Records an event; it is written with the commit.
    pub async fn record(&mut self, event: &NewEvent) -> Result<()> {
        self.events.push(event.clone());
        Ok(())
    }

    /// Writes what was recorded. The last thing before the commit.
    pub(crate) async fn write_events(&mut self) -> Result<()> {
        if self.events.is_empty() {
            return Ok(());
        }
        let at = self.moment().await?;
        let sql = format!(
            "INSERT INTO audit_events ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \
             $11, $12, $13, $14)"
        );
        for event in std::mem::take(&mut self.events) {
            let values = args![
                AuditEventId::new(),
                at,
                event.actor.kind,
                event.actor.id,
                redact::text(&event.actor.name),
                event.action,
                event.object_kind,
                event.object_id,
                event.object_name,
                event.cluster,
                event.address,
                event.request_id,
                event.outcome,
                redact::json(&event.details),
            ];
            let sql = sqlx::AssertSqlSafe(sql.clone());
            self.tx.run("recording an audit event", sql, values).await?;
        }
        Ok(())
    }

    /// The time of this transaction's events: after those of all that committed before it.
    async fn moment(&mut self) -> Result<Timestamp> {
        let doing = "finding the place of an audit event";
        let now = self.now();
        if let Some(lock) = self.tx.dialect().one_by_one() {
            self.tx.rows(doing, lock, args![]).await?;
        }
        let sql = "SELECT at FROM audit_events WHERE at <= $1 ORDER BY at DESC LIMIT 1";
        let most_ahead = now.saturating_add(CLOCKS).unwrap_or(Timestamp::MAX);
        let last = self.tx.find(doing, sql, args![most_ahead]).await?;
        // With one writer, two come at the same time only where the clock stands still.
        let alone = self.tx.dialect().one_by_one().is_none();
        Ok(match last {
            Some(Moment(last)) if last > now || (last == now && !alone) => {
                last.saturating_add(TICK).unwrap_or(last)
            }
            _ => now,
        })
    }
}

struct Moment(Timestamp);

impl FromRow for Moment {
    fn from_row(row: &Row) -> Result<Self> {
        row.get("at").map(Moment)
    }
}
