//! Who asks. Programs show an API key, people a session; what they may do, the control plane decides.

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use std::net::SocketAddr;

use strongroom_controlplane::model::Secret;
use strongroom_controlplane::{App, Caller, Credentials, Error, Identity, Kind, Origin};

use crate::error::ApiError;

/// The cookie that holds a session's token.
pub const SESSION_COOKIE: &str = "strongroom_session";
/// The header without which a session changes nothing. Other sites can not send it.
pub const REQUEST_HEADER: &str = "x-strongroom-request";
/// The header that names the version of the API.
pub const VERSION_HEADER: &str = "cc-version";
/// The header with the request's id.
pub const REQUEST_ID_HEADER: &str = "x-request-id";
const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";
/// The versions that are spoken; they are the same here.
const VERSIONS: &[&str] = &["2022-03-31", "2022-09-20", "2023-04-10", "2024-09-16", "2026-09-15"];

/// Somebody known: what every handler takes that is not for everybody.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Who it is.
    pub identity: Identity,
    /// What the control plane wants to know of who asks.
    pub caller: Caller,
    /// What it was proved by, for a reply that outlives them.
    pub credentials: Credentials,
}

impl FromRequestParts<App> for Signed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        check_version(parts)?;
        let origin = origin(parts, app);
        let ((identity, caller), credentials) = if let Some(key) = bearer(parts)? {
            (app.identify_by_key(&key, origin).await?, Credentials::Key(key))
        } else if let Some(token) = session_token(parts) {
            let changes = !parts.method.is_safe();
            if changes && !parts.headers.contains_key(REQUEST_HEADER) {
                let message =
                    format!("a session changes nothing without the header {REQUEST_HEADER}");
                return Err(Error::new(Kind::Forbidden, message).into());
            }
            (app.identify_by_session(&token, origin).await?, Credentials::Session(token))
        } else {
            return Err(app.identify_nobody(&origin).into());
        };
        Ok(Signed { identity, caller, credentials })
    }
}

/// Where a request came from. Behind a proxy, that is what the proxy says: the last address, as those
/// before it are what the client says.
pub fn origin(parts: &Parts, app: &App) -> Origin {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(address)| address.ip().to_canonical());
    let told = parts.headers.get_all(FORWARDED_FOR).iter().next_back();
    let told = told.and_then(|told| told.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    let address = if app.config().behind_proxy { told.or(peer) } else { peer };
    let id = parts.headers.get(REQUEST_ID_HEADER).and_then(|id| id.to_str().ok());
    Origin {
        address: address.map(|address| address.to_string()),
        request_id: id.map(str::to_owned),
    }
}

/// The cookie that keeps a session's token in the browser: out of reach for scripts, and of requests
/// from other sites. Over TLS, which ends at a proxy, never sent without.
pub fn session_cookie(parts: &Parts, token: &str, seconds: i64) -> String {
    let secure = parts.headers.get(FORWARDED_PROTO).is_some_and(|proto| proto == "https");
    let secure = if secure { "; Secure" } else { "" };
    format!(
        "{SESSION_COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    )
}

/// Refuses a version of the API that is not spoken.
pub fn check_version(parts: &Parts) -> Result<(), ApiError> {
    match parts.headers.get(VERSION_HEADER) {
        None => Ok(()),
        Some(version) if VERSIONS.iter().any(|known| version == known) => Ok(()),
        Some(_) => Err(Error::invalid("invalid Cc-Version.")
            .hint(format!("send one of {}, or leave the header out", VERSIONS.join(", ")))
            .into()),
    }
}

fn bearer(parts: &Parts) -> Result<Option<Secret>, ApiError> {
    let Some(header) = parts.headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let key = header.to_str().ok().and_then(|text| text.strip_prefix("Bearer "));
    match key {
        Some(key) => Ok(Some(Secret::new(key.trim()))),
        None => Err(Error::new(Kind::Unauthenticated, "the Authorization header can not be read")
            .hint("send Authorization: Bearer with an API key")
            .into()),
    }
}

/// The session's token, if there is one.
pub fn session_token(parts: &Parts) -> Option<Secret> {
    let cookies = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == SESSION_COOKIE).then(|| Secret::new(value))
    })
}
