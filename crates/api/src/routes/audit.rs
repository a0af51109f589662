//! The audit log. The path and its parameters are the original's, with two filters of ours.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use strongroom_controlplane::model::{ClusterId, Order};
use strongroom_controlplane::{App, AuditQuery, Error};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Query;
use crate::auth::Signed;
use crate::error::Reply;
use crate::paging::SortOrder;
use crate::views::audit::{ACTION_PREFIX, AuditLog};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_audit_logs))
}

/// Which part of the log is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Part {
    /// Only what was recorded after this time, or before it if the order is descending.
    #[param(value_type = Option<String>, format = DateTime)]
    starting_from: Option<Timestamp>,
    /// The direction; ascending if it is left out.
    #[param(inline)]
    sort_order: Option<SortOrder>,
    /// About so many entries: all of one moment come together. 500 if it is left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i32>,
    /// Only what concerns this cluster.
    cluster_id: Option<Uuid>,
    /// Only this action.
    action: Option<String>,
}

/// What was done, by whom, and from where.
#[utoipa::path(get, path = "/auditlogevents", tag = "Audit log", params(Part),
    responses((status = 200, body = AuditLog)))]
async fn list_audit_logs(
    State(app): State<App>,
    signed: Signed,
    Query(part): Query<Part>,
) -> Reply<AuditLog> {
    let limit = match part.limit {
        None => None,
        Some(limit @ 1..=1000) => Some(limit.unsigned_abs()),
        Some(other) => {
            return Err(
                Error::invalid(format!("limit is {other}; it can be from 1 to 1000")).into()
            );
        }
    };
    let query = AuditQuery {
        starting_from: part.starting_from,
        order: part.sort_order.map(Order::from),
        limit,
        cluster: part.cluster_id.map(ClusterId::from),
        action: part.action.map(|action| match action.strip_prefix(ACTION_PREFIX) {
            Some(name) => name.to_owned(),
            None => action,
        }),
    };
    Ok(Json(app.audit_log(&signed.caller, &query).await?.into()))
}
