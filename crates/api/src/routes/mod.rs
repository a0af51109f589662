//! The handlers: a file per noun, each with a function that lists its routes.

pub mod accounts;
pub mod audit;
pub mod backup_settings;
pub mod backups;
pub mod clusters;
pub mod contents;
pub mod databases;
pub mod drills;
pub mod jobs;
pub mod observe;
pub mod organization;
pub mod restores;
pub mod roles;
pub mod session;
pub mod storage_locations;
pub mod users;

mod strict;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::strict::Strict;
use crate::error::Unreadable;

/// A body in JSON; what can not be read is refused in our form.
///
/// No text in it may contain the character NUL, which PostgreSQL can not keep: neither the catalog, nor
/// the clusters that it would be sent to.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Unreadable;

    async fn from_request(request: Request, state: &S) -> Result<Self, Unreadable> {
        if !is_json(request.headers()) {
            let message = "the body is not said to be JSON";
            return Err(Unreadable::with(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
                .hint("send Content-Type: application/json"));
        }
        let bytes = Bytes::from_request(request, state).await?;
        // Read twice: as a value, which tells lists from objects; and then from the text, which tells
        // fields that are there twice.
        let axum::Json(value): axum::Json<Value> = axum::Json::from_bytes(&bytes)?;
        if has_nul(&value) {
            return Err(Unreadable::new("body", "it contains the character NUL"));
        }
        T::deserialize(Strict(value))
            .map_err(|error| Unreadable::new("body", error.to_string()))?;
        let axum::Json(value) = axum::Json::from_bytes(&bytes)?;
        Ok(Body(value))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The query; what can not be read is refused in our form.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Unreadable))]
pub struct Query<T>(pub T);

/// The parameters in the path; what can not be read is refused in our form.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Unreadable))]
pub struct Path<T>(pub T);
