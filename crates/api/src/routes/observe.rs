//! For those who watch the service: readiness and figures. Outside of the API, as is usual.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::header::{CONTENT_TYPE, FORWARDED};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use strongroom_controlplane::App;

use crate::auth::Signed;
use crate::error::ApiError;

/// What Prometheus calls its own form.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether this process can do its work.
pub(crate) async fn ready(State(app): State<App>) -> Result<&'static str, ApiError> {
    app.ready().await?;
    Ok("ready\n")
}

/// Figures, for whoever asks from this machine, or has a role that permits it.
pub(crate) async fn metrics(State(app): State<App>, asked: Watcher) -> Result<Response, ApiError> {
    let text = match asked {
        Watcher::Near => app.figures().await?,
        Watcher::Far(signed) => app.figures_for(&signed.caller).await?,
    };
    Ok(([(CONTENT_TYPE, PROMETHEUS)], text).into_response())
}

/// Who asks for figures.
pub(crate) enum Watcher {
    /// Somebody on this machine.
    Near,
    /// Somebody known.
    Far(Box<Signed>),
}

impl FromRequestParts<App> for Watcher {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let near = peer.is_some_and(|ConnectInfo(peer)| is_loopback(peer.ip()));
        // What a proxy of this machine passes on comes from anywhere.
        let passed_on = ["x-forwarded-for", "x-real-ip", FORWARDED.as_str()]
            .iter()
            .any(|name| parts.headers.contains_key(*name));
        if near && !passed_on && !app.config().behind_proxy {
            return Ok(Watcher::Near);
        }
        Ok(Watcher::Far(Box::new(Signed::from_request_parts(parts, app).await?)))
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}
