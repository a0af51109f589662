//! The console's files, built into the program: `npm run build` in `web/` makes them, and the feature
//! `console` takes them in. Without the feature there is no console, and building needs no Node.
//!
//! The console is one page that knows all addresses. So whatever is neither a file nor the API's is
//! answered with that page, and it shows what the address names. Files under `assets/` have a hash of
//! their content in their names and are kept by browsers for good; the page itself is asked for anew
//! each time, which is how a new version of the service reaches people.
//!
//! In debug builds the files are read from `web/dist` when they are asked for.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

/// What `npm run build` has made.
#[derive(Embed)]
#[folder = "../../web/dist"]
#[exclude = ".vite/*"]
struct Files;

/// The page that all addresses lead to.
const PAGE: &str = "index.html";
/// Files whose names change with their content.
const HASHED: &str = "assets/";

/// What the page may load, and where it may send: only this service. Styles may stand in the page,
/// since the components put their measures there; scripts may not.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'",
);

/// The console's answer, if the address is the console's.
pub(crate) fn answer(request: &Request) -> Option<Response> {
    let path = request.uri().path().trim_start_matches('/');
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read || path == "api" || path.starts_with("api/") {
        return None;
    }
    match Files::get(path) {
        Some(file) if !path.is_empty() => Some(reply(path, file, request.headers())),
        // A file of an older version that is gone: the page would not run as a script.
        None if path.starts_with(HASHED) => None,
        _ => Files::get(PAGE).map(|page| reply(PAGE, page, request.headers())),
    }
}

fn reply(name: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let tag = tag(&file.metadata.sha256_hash());
    let caching = match name {
        _ if name.starts_with(HASHED) => "public, max-age=31536000, immutable",
        _ => "no-cache",
    };
    let known = asked.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let body = match file.data {
            Cow::Borrowed(bytes) => Body::from(bytes),
            Cow::Owned(bytes) => Body::from(bytes),
        };
        let mut response = Response::new(body);
        if let Ok(kind) = HeaderValue::from_str(file.metadata.mimetype()) {
            response.headers_mut().insert(CONTENT_TYPE, kind);
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}

/// Weak, because compressing changes the bytes that are sent.
fn tag(hash: &[u8]) -> String {
    let short: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("W/\"{short}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Option<Response> {
        answer(&Request::get(path).body(Body::empty()).unwrap())
    }

    fn header(response: &Response, name: axum::http::HeaderName) -> &str {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[test]
    fn every_address_leads_to_the_page() {
        for path in ["/", "/sign-in", "/clusters/1/backups?date=2023-04-20"] {
            let response = get(path).unwrap();
            assert_eq!(header(&response, CONTENT_TYPE), "text/html", "{path}");
            assert_eq!(header(&response, CACHE_CONTROL), "no-cache", "{path}");
            assert!(header(&response, CONTENT_SECURITY_POLICY).contains("script-src 'self'"));
        }
    }

    #[test]
    fn assets_are_kept_for_good_and_missing_ones_are_missing() {
        let script = Files::iter().find(|name| name.ends_with(".js")).unwrap();
        let response = get(&format!("/{script}")).unwrap();
        assert_eq!(header(&response, CONTENT_TYPE), "text/javascript");
        assert!(header(&response, CACHE_CONTROL).contains("immutable"));
        assert!(get("/assets/gone-12345.js").is_none());
    }

    #[test]
    fn the_api_is_left_alone() {
        assert!(get("/api/v1/nothing").is_none());
        assert!(answer(&Request::post("/clusters").body(Body::empty()).unwrap()).is_none());
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let first = get("/").unwrap();
        let request = Request::get("/").header(IF_NONE_MATCH, header(&first, ETAG));
        let second = answer(&request.body(Body::empty()).unwrap()).unwrap();
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
    }
}
