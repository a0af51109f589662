//! What there is: the whole table of routes, and what every request passes through.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use strongroom_controlplane::{App, Error};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::auth::REQUEST_ID_HEADER;
use crate::error::ApiError;
use crate::{openapi, routes};

/// Bodies are small: options and names.
const LARGEST_BODY: usize = 1024 * 1024;

/// The operations under `/api/v1`, with their description.
pub(crate) fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(routes::organization::routes())
        .merge(routes::backups::routes())
        .merge(routes::jobs::routes())
        .merge(routes::contents::routes())
        .merge(routes::storage_locations::routes())
}

/// The service's HTTP face.
pub fn router(app: App) -> Router {
    let (operations, _) = OpenApiRouter::new().nest("/api/v1", operations()).split_for_parts();
    let id = HeaderName::from_static(REQUEST_ID_HEADER);
    let layers = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(id.clone(), MakeRequestUuid))
        .layer(PropagateRequestIdLayer::new(id))
        .layer(TraceLayer::new_for_http())
        .layer(CompressionLayer::new())
        .layer(from_fn(guard))
        .layer(DefaultBodyLimit::max(LARGEST_BODY));
    operations
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/api/v1/openapi.json", get(|| async { axum::Json(openapi::document()) }))
        .fallback(elsewhere)
        .method_not_allowed_fallback(|| async {
            ApiError(Error::invalid("this address does not take this method"))
        })
        .layer(layers)
        .with_state(app)
}

/// What is not the API's: the console, where it is built in.
async fn elsewhere(request: Request) -> Response {
    #[cfg(feature = "console")]
    if let Some(answer) = crate::console::answer(&request) {
        return answer;
    }
    ApiError(Error::not_found("page", request.uri().path().to_owned())).into_response()
}

/// What every reply says to browsers.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await.into_response();
    let headers = response.headers_mut();
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("x-frame-options", HeaderValue::from_static("DENY"));
    headers.insert("referrer-policy", HeaderValue::from_static("same-origin"));
    headers.entry("cache-control").or_insert(HeaderValue::from_static("no-store"));
    response
}
