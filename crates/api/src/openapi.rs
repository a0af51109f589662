//! The description of the API, made from the handlers, and committed as `openapi.json`.

use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder, SecurityRequirement,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::auth::SESSION_COOKIE;
use crate::error::Status;
use crate::router;

/// What every operation may answer instead of 200.
const REFUSALS: &[(&str, &str)] = &[
    ("400", "The request is wrong, or can not be fulfilled as things stand."),
    ("401", "Nobody known is asking."),
    ("403", "The caller's roles do not suffice."),
    ("404", "There is no such object, or none that the caller may see."),
    ("409", "The name is taken, or something else is being done to the object."),
    ("429", "Too many requests; Retry-After says when to ask again."),
    ("500", "The service has failed; its log says how."),
    ("501", "This is not supported here."),
    ("503", "A server, a store or the catalog does not answer now."),
];

/// What those may answer that read a body.
const BODY_REFUSALS: &[(&str, &str)] =
    &[("413", "The body is larger than 1 MiB."), ("415", "The body is not said to be JSON.")];

/// The whole description.
pub fn document() -> OpenApi {
    let (_, mut document) =
        OpenApiRouter::new().nest("/api/v1", router::operations()).split_for_parts();
    let about = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Strongroom API")
                .version("v1")
                .description(Some(
                    "Managed backups of SQL clusters: the original's Cloud API v1, and what is ours \
                     beside it, in objects named `strongroom` or under addresses of its own.",
                ))
                .build(),
        )
        .build();
    document.info = about.info;
    let components = document.components.get_or_insert_default();
    components.schemas.insert(Status::name().into_owned(), Status::schema());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("api_key", SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    for path in document.paths.paths.values_mut() {
        let operations =
            [&mut path.get, &mut path.put, &mut path.post, &mut path.delete, &mut path.patch];
        operations.into_iter().flatten().for_each(complete);
    }
    document
}

/// Adds what all operations have in common.
fn complete(operation: &mut Operation) {
    let of_bodies = if operation.request_body.is_some() { BODY_REFUSALS } else { &[] };
    for (status, text) in REFUSALS.iter().chain(of_bodies) {
        let schema = Ref::from_schema_name(Status::name());
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let refusal =
            ResponseBuilder::new().description(*text).content("application/json", content);
        let responses = &mut operation.responses.responses;
        responses.entry((*status).to_owned()).or_insert_with(|| refusal.build().into());
    }
    if operation.security.is_none() {
        let ways = ["api_key", "session"];
        let any = ways.map(|way| SecurityRequirement::new(way, Vec::<String>::new()));
        operation.security = Some(any.into());
    }
}
