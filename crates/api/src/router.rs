//! What there is: the whole table of routes, and what every request passes through.
//!
//! From the outside in: the request's id, the trace, the headers that every reply has, a limit of time,
//! a net for panics, a limit of size. Whatever refuses on the way does it by [`ApiError`], and the reply
//! gets the request's id where it passes `guard`.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use strongroom_controlplane::{App, Error, Kind};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::RequestBodyTimeoutLayer;
use tower_http::trace::TraceLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::auth::REQUEST_ID_HEADER;
use crate::error::{ApiError, Unreadable, with_request_id};
use crate::{openapi, routes};

/// Bodies are small: options and names.
const LARGEST_BODY: usize = 1024 * 1024;
/// How long a body may stand still on its way.
const SLOWEST_BODY: Duration = Duration::from_secs(30);
/// How long a reply may take to begin. What takes longer is a job.
const SLOWEST_REPLY: Duration = Duration::from_secs(120);
/// The most characters of a request's id that a client chose.
const LONGEST_ID: usize = 64;

/// The operations under `/api/v1`, with their description.
pub(crate) fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(routes::session::routes())
        .merge(routes::organization::routes())
        .merge(routes::users::routes())
        .merge(routes::roles::routes())
        .merge(routes::accounts::routes())
        .merge(routes::audit::routes())
        .merge(routes::storage_locations::routes())
        .merge(routes::clusters::routes())
        .merge(routes::databases::routes())
        .merge(routes::backup_settings::routes())
        .merge(routes::backups::routes())
        .merge(routes::contents::routes())
        .merge(routes::jobs::routes())
        .merge(routes::restores::routes())
        .merge(routes::drills::routes())
}

/// The service's HTTP face.
pub fn router(app: App) -> Router {
    let (operations, _) = OpenApiRouter::new().nest("/api/v1", operations()).split_for_parts();
    let router = operations
        .nest("/api/v1", routes::roles::without_ids())
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(routes::observe::ready))
        .route("/metrics", get(routes::observe::metrics))
        .route("/api/v1/openapi.json", get(|| async { axum::Json(openapi::document()) }))
        .fallback(elsewhere)
        .method_not_allowed_fallback(|| async {
            let message = "this address does not take this method";
            Unreadable::with(StatusCode::METHOD_NOT_ALLOWED, message)
                .hint("the header Allow names those that it takes")
        })
        .with_state(app);
    layers_around(router)
}

/// Puts what every request passes around a router.
fn layers_around(router: Router) -> Router {
    let id = HeaderName::from_static(REQUEST_ID_HEADER);
    router.layer(
        ServiceBuilder::new()
            .layer(from_fn(own_ids))
            .layer(SetRequestIdLayer::new(id.clone(), MakeRequestUuid))
            .layer(PropagateRequestIdLayer::new(id))
            .layer(TraceLayer::new_for_http().make_span_with(span))
            .layer(CompressionLayer::new())
            .layer(from_fn(guard))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(RequestBodyTimeoutLayer::new(SLOWEST_BODY))
            .layer(DefaultBodyLimit::max(LARGEST_BODY)),
    )
}

/// What is not the API's: the console, where it is built in.
async fn elsewhere(request: Request) -> Response {
    #[cfg(feature = "console")]
    if let Some(answer) = crate::console::answer(&request) {
        return answer;
    }
    ApiError(Error::not_found("page", request.uri().path().to_owned())).into_response()
}

/// Takes away a request's id that is not fit for a log, so that it gets one of ours.
async fn own_ids(mut request: Request, next: Next) -> Response {
    let fit = |id: &HeaderValue| {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(allowed)
    };
    if request.headers().get(REQUEST_ID_HEADER).is_some_and(|id| !fit(id)) {
        request.headers_mut().remove(REQUEST_ID_HEADER);
    }
    next.run(request).await
}

/// What the log says of a request: no query, which has addresses of people and tokens of pages.
fn span(request: &Request) -> tracing::Span {
    let id = request.headers().get(REQUEST_ID_HEADER).and_then(|id| id.to_str().ok());
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map_or_else(|| request.uri().path(), MatchedPath::as_str);
    tracing::debug_span!("request", method = %request.method(), path, id)
}

/// What every reply says to browsers, and refusals to operators; and how long it may take to come.
async fn guard(request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID_HEADER).and_then(|id| id.to_str().ok());
    let id = id.unwrap_or_default().to_owned();
    let nul = request.uri().to_string().contains("%00");
    let response = if nul {
        Unreadable::new("address", "it contains the character NUL").into_response()
    } else {
        match tokio::time::timeout(SLOWEST_REPLY, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let message = "the request took too long, and was given up";
                ApiError(Error::new(Kind::Unavailable, message)).into_response()
            }
        }
    };
    let mut response = with_request_id(response, &id);
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("x-frame-options", HeaderValue::from_static("DENY"));
    headers.insert("referrer-policy", HeaderValue::from_static("same-origin"));
    headers.entry("cache-control").or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A fault of ours. The panic itself, which may quote what it was about, goes to the standard error
/// output, and not into a reply.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    let message = "the service has failed; its log says how";
    ApiError(Error::new(Kind::Internal, message)).into_response()
}
