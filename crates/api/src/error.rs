//! Errors as replies. The one place that knows HTTP statuses and the numbers of gRPC, which the
//! original's error bodies carry.
//!
//! The pairs are those of grpc-gateway, which clients of the original are made for:
//! <https://grpc-ecosystem.github.io/grpc-gateway/docs/mapping/customizing_your_gateway/>.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::header::RETRY_AFTER;
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
        let mut response = (status, Json(body)).into_response();
        if let Kind::TooManyRequests { retry_after } = error.kind() {
            let seconds = retry_after.as_secs_f64().ceil().max(1.0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds as u64));
        }
        response
    }
}

/// What axum refuses to read is the request's fault, and said in our form.
pub(crate) fn unreadable(what: &str, text: String) -> ApiError {
    ApiError(Error::invalid(format!("the {what} can not be read: {text}")))
}

impl From<JsonRejection> for Unreadable {
    fn from(rejection: JsonRejection) -> Self {
        Unreadable(unreadable("body", rejection.body_text()))
    }
}

impl From<QueryRejection> for Unreadable {
    fn from(rejection: QueryRejection) -> Self {
        Unreadable(unreadable("query", rejection.body_text()))
    }
}

impl From<PathRejection> for Unreadable {
    fn from(rejection: PathRejection) -> Self {
        Unreadable(unreadable("path", rejection.body_text()))
    }
}

/// A part of a request that can not be read, as a reply.
#[derive(Debug)]
pub struct Unreadable(ApiError);

impl IntoResponse for Unreadable {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
