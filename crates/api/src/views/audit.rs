//! The audit log, as the API shows it.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use strongroom_controlplane::AuditPage;
use strongroom_controlplane::model::{self, ActorKind, ClusterId, Outcome};
use utoipa::ToSchema;
use uuid::Uuid;

/// What the original's names of actions begin with.
pub const ACTION_PREFIX: &str = "AUDIT_LOG_ACTION_";

/// A part of the audit log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditLog {
    /// The entries, in the order that was asked for.
    pub entries: Vec<AuditEntry>,
    /// The `starting_from` of what follows. Not there: nothing follows, and never will.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_starting_from: Option<Timestamp>,
}

/// Something that was done, or was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its id.
    pub id: Uuid,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// What was done; the original's name where it has one.
    pub action: String,
    /// From where it was asked for.
    pub source: Source,
    /// The address of the user who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_email: Option<String>,
    /// The name of the service account that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// The cluster that it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<Uuid>,
    /// That cluster's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// Why it was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The details, as JSON in a text.
    pub payload: String,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// From which address.
    pub metadata: Metadata,
    /// What the original does not have.
    pub strongroom: AuditExtra,
}

/// From which address it came.
#[derive(Debug, Serialize, ToSchema)]
pub struct Metadata {
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
}

/// From where something was asked for.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub enum Source {
    /// The API, by a key.
    #[serde(rename = "AUDIT_LOG_SOURCE_CC_API")]
    Api,
    /// The console.
    #[serde(rename = "AUDIT_LOG_SOURCE_UI")]
    Console,
    /// The service itself, or the command line beside it.
    #[serde(rename = "AUDIT_LOG_SOURCE_INTERNAL")]
    Internal,
}

/// What the original does not tell of an entry.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditExtra {
    /// Who did it.
    pub actor: AuditActor,
    /// What it was done to.
    pub object: AuditObject,
    /// How it went: `DONE`, `REFUSED` or `FAILED`.
    pub outcome: String,
    /// The details.
    #[schema(value_type = Object)]
    pub details: Value,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditActor {
    /// `USER`, `SERVICE_ACCOUNT`, `SYSTEM` or `UNKNOWN`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: Option<Uuid>,
    /// Its name at the time.
    pub name: String,
}

/// What it was done to.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditObject {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: Option<String>,
    /// Its name at the time.
    pub name: Option<String>,
}

impl From<AuditPage> for AuditLog {
    fn from(page: AuditPage) -> Self {
        let AuditPage { events, next, clusters } = page;
        let entries = events.into_iter().map(|event| entry(event, &clusters)).collect();
        AuditLog { entries, next_starting_from: next }
    }
}

fn entry(recorded: model::AuditEvent, clusters: &HashMap<ClusterId, String>) -> AuditEntry {
    let event = recorded.event;
    let action = match event.action.strip_prefix(ACTION_PREFIX) {
        Some(_) => event.action,
        None => format!("{ACTION_PREFIX}{}", event.action),
    };
    let kind = event.actor.kind;
    let name = |wanted: ActorKind| (kind == wanted).then(|| event.actor.name.clone());
    AuditEntry {
        id: recorded.id.uuid(),
        created_at: recorded.at,
        action,
        source: match kind {
            ActorKind::User | ActorKind::Unknown => Source::Console,
            ActorKind::ServiceAccount => Source::Api,
            ActorKind::System => Source::Internal,
        },
        user_email: name(ActorKind::User),
        service_account_name: name(ActorKind::ServiceAccount),
        cluster_id: event.cluster.map(ClusterId::uuid),
        cluster_name: event.cluster.and_then(|id| clusters.get(&id).cloned()),
        error: match event.outcome {
            Outcome::Done => None,
            Outcome::Refused => Some("refused".to_owned()),
            Outcome::Failed => Some("failed".to_owned()),
        },
        payload: event.details.to_string(),
        trace_id: event.request_id,
        metadata: Metadata { ip_address: event.address },
        strongroom: AuditExtra {
            actor: AuditActor {
                kind: kind.name().to_owned(),
                id: event.actor.id,
                name: event.actor.name,
            },
            object: AuditObject {
                kind: event.object_kind,
                id: event.object_id,
                name: event.object_name,
            },
            outcome: event.outcome.name().to_owned(),
            details: event.details,
        },
    }
}
