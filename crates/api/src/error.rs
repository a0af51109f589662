//! Errors as replies. The one place that knows HTTP statuses and the numbers of gRPC, which the
//! original's error bodies carry.
//!
//! The pairs are those of grpc-gateway, which clients of the original are made for:
//! <https://grpc-ecosystem.github.io/grpc-gateway/docs/mapping/customizing_your_gateway/>.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::header::{CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use strongroom_controlplane::{Error, Kind};
use utoipa::ToSchema;

/// Shorthand for what handlers return: 200 with this body, or a [`Status`].
pub type Reply<T> = Result<Json<T>, ApiError>;

/// The body of every reply that is not 200.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// The gRPC code of the error.
    pub code: i32,
    /// What happened, to which object.
    pub message: String,
    /// More about it, each with an `@type`: `strongroom/hint` has what to do, `strongroom/request` the
    /// request's id in the service's log.
    #[schema(value_type = Vec<Object>)]
    pub details: Vec<Value>,
}

/// An error on its way out.
#[derive(Debug)]
pub struct ApiError(pub Error);

impl<E: Into<Error>> From<E> for ApiError {
    fn from(error: E) -> Self {
        ApiError(error.into())
    }
}

/// Status and gRPC code of a kind of error.
fn codes(kind: Kind) -> (StatusCode, i32) {
    match kind {
        Kind::Invalid => (StatusCode::BAD_REQUEST, 3),
        Kind::Precondition => (StatusCode::BAD_REQUEST, 9),
        Kind::Unauthenticated => (StatusCode::UNAUTHORIZED, 16),
        Kind::Forbidden => (StatusCode::FORBIDDEN, 7),
        Kind::NotFound => (StatusCode::NOT_FOUND, 5),
        Kind::AlreadyExists => (StatusCode::CONFLICT, 6),
        Kind::Conflict => (StatusCode::CONFLICT, 10),
        Kind::TooManyRequests { .. } => (StatusCode::TOO_MANY_REQUESTS, 8),
        Kind::Unsupported => (StatusCode::NOT_IMPLEMENTED, 12),
        Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 14),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, 13),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let ApiError(error) = self;
        let (status, code) = codes(error.kind());
        if status.is_server_error() {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(error = %error, cause, "a request failed");
        }
        let hint =
            error.hint_text().map(|hint| json!({ "@type": "strongroom/hint", "hint": hint }));
        let body = Status {
            code,
            message: error.message().to_owned(),
            details: hint.into_iter().collect(),
        };
        let mut response = (status, Json(&body)).into_response();
        if let Kind::TooManyRequests { retry_after } = error.kind() {
            let seconds = retry_after.as_secs_f64().ceil().max(1.0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds as u64));
        }
        response.extensions_mut().insert(Refusal(Arc::new(body)));
        response
    }
}

/// What a reply that is a refusal says, kept beside its body so that more can be said.
#[derive(Clone)]
struct Refusal(Arc<Status>);

/// Adds the request's id to a refusal, by which operators find it in the log.
pub(crate) fn with_request_id(response: Response, id: &str) -> Response {
    let Some(Refusal(status)) = response.extensions().get().cloned() else { return response };
    let mut details = status.details.clone();
    details.push(json!({ "@type": "strongroom/request", "request_id": id }));
    let body = Status { code: status.code, message: status.message.clone(), details };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    let (_, body) = Json(body).into_response().into_parts();
    Response::from_parts(parts, body)
}

/// A request, or a part of it, that can not be read: the request's fault, said in our form. Where HTTP
/// has a status of its own for the reason, that is the status.
#[derive(Debug)]
pub struct Unreadable {
    error: Error,
    status: StatusCode,
}

impl Unreadable {
    /// With the status 400.
    pub(crate) fn new(what: &str, text: impl std::fmt::Display) -> Self {
        Unreadable::with(StatusCode::BAD_REQUEST, format!("the {what} can not be read: {text}"))
    }

    /// With another status.
    pub(crate) fn with(status: StatusCode, message: impl Into<String>) -> Self {
        Unreadable { error: Error::invalid(message), status }
    }

    /// Adds what to do about it.
    pub(crate) fn hint(self, hint: &str) -> Self {
        Unreadable { error: self.error.hint(hint), ..self }
    }
}

impl IntoResponse for Unreadable {
    fn into_response(self) -> Response {
        let mut response = ApiError(self.error).into_response();
        *response.status_mut() = self.status;
        response
    }
}

impl From<JsonRejection> for Unreadable {
    fn from(rejection: JsonRejection) -> Self {
        Unreadable::new("body", rejection.body_text())
    }
}

impl From<BytesRejection> for Unreadable {
    fn from(rejection: BytesRejection) -> Self {
        let status = rejection.status();
        Unreadable { status, ..Unreadable::new("body", rejection.body_text()) }
    }
}

impl From<QueryRejection> for Unreadable {
    fn from(rejection: QueryRejection) -> Self {
        Unreadable::new("query", rejection.body_text())
    }
}

impl From<PathRejection> for Unreadable {
    fn from(rejection: PathRejection) -> Self {
        Unreadable::new("path", rejection.body_text())
    }
}
