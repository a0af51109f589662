//! Signing in and out, and who is asking.

use axum::Json;
use axum::extract::State;
use axum::http::header::{SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::response::{AppendHeaders, IntoResponse};
use serde::Deserialize;
use strongroom_controlplane::model::Secret;
use strongroom_controlplane::{App, Caller, Error, Identity, SignedIn};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Body;
use crate::auth::{self, Signed, session_cookie, session_token};
use crate::error::{ApiError, Reply};
use crate::views::Empty;
use crate::views::accounts::ServiceAccount;
use crate::views::roles::list;
use crate::views::session::Session;
use crate::views::users::User;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(sign_in, get_session, sign_out))
}

/// Who somebody claims to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    /// The user's address.
    email: String,
    /// The user's password.
    #[schema(format = Password)]
    password: String,
}

/// Sign in: begins a session, whose token is a cookie.
#[utoipa::path(post, path = "/session", tag = "Session", security(()),
    request_body = Credentials, responses((status = 200, body = Session)))]
async fn sign_in(
    State(app): State<App>,
    parts: Parts,
    Body(body): Body<Credentials>,
) -> Result<impl IntoResponse, ApiError> {
    auth::check_version(&parts)?;
    let origin = auth::origin(&parts, &app);
    let agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    let password = Secret::new(body.password);
    let SignedIn { token, session, user, caller } =
        app.sign_in(&body.email, password, origin, agent).await?;
    let left = session.expires_at.duration_since(app.now()).as_secs();
    let cookie = session_cookie(&parts, token.expose(), left);
    let shown = show(&app, Identity::User(user, session), &caller).await?;
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), Json(shown)))
}

/// Who is asking, and what that permits.
#[utoipa::path(get, path = "/session", tag = "Session",
    responses((status = 200, body = Session)))]
async fn get_session(State(app): State<App>, signed: Signed) -> Reply<Session> {
    Ok(Json(show(&app, signed.identity, &signed.caller).await?))
}

/// Sign out: ends the session.
#[utoipa::path(delete, path = "/session", tag = "Session",
    responses((status = 200, body = Empty)))]
async fn sign_out(
    State(app): State<App>,
    signed: Signed,
    parts: Parts,
) -> Result<impl IntoResponse, ApiError> {
    let Some(token) =
        session_token(&parts).filter(|_| matches!(signed.identity, Identity::User(..)))
    else {
        return Err(Error::precondition("an API key is no session that could be ended")
            .hint("delete the key, if it is to open nothing any more")
            .into());
    };
    app.sign_out(&signed.caller, &token).await?;
    Ok((AppendHeaders([(SET_COOKIE, session_cookie(&parts, "", 0))]), Json(Empty {})))
}

async fn show(app: &App, identity: Identity, caller: &Caller) -> Result<Session, ApiError> {
    let actions = app.actions_of(caller).into_iter().map(Into::into).collect();
    let organization = app.organization().await?.into();
    let roles = list(&caller.grants);
    let mut shown = Session {
        user: None,
        service_account: None,
        organization,
        roles,
        actions,
        expires_at: None,
    };
    match identity {
        Identity::User(user, session) => {
            shown.expires_at = Some(session.ends_at());
            shown.user = Some(User::new(user, &caller.grants));
        }
        Identity::ServiceAccount(account) => {
            shown.service_account = Some(ServiceAccount::new(account, &caller.grants));
        }
    }
    Ok(shown)
}
