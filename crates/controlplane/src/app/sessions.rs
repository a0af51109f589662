//! Signing in and out, and what somebody who is signed in may do.

use jiff::SignedDuration;
use serde_json::json;
use strongroom_catalog::Secret;
use strongroom_catalog::audit::{Actor, NewEvent, Outcome};
use strongroom_catalog::sessions::{Lifetime, Session};
use strongroom_catalog::users::{Proven, User};

use super::{App, Origin};
use crate::{Action, Caller, Error, Kind, Permission, Result};

/// A session ends after a day, and after two hours in which nothing was asked. The console asks all
/// the time while it is open.
const LIFETIME: Lifetime =
    Lifetime { total: SignedDuration::from_hours(24), idle: SignedDuration::from_hours(2) };

/// Somebody who has just signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// What the browser keeps.
    pub token: Secret,
    /// The session.
    pub session: Session,
    /// Who.
    pub user: User,
    /// What the control plane wants to know of who asks.
    pub caller: Caller,
}

impl App {
    /// Begins a session for whoever proves to be this user. Whether address or password was wrong,
    /// nobody is told.
    pub async fn sign_in(
        &self,
        email: &str,
        password: Secret,
        origin: Origin,
        agent: Option<&str>,
    ) -> Result<SignedIn> {
        let address = origin.address.clone();
        self.0.requests.count_stranger(address.as_deref())?;
        let attempt = self.0.guesses.attempt(email, address.as_deref(), self.now())?;
        let turn = self.0.turns.to_hash().await?;
        let checked = self.catalog().check_password(email, password).await;
        drop(turn);
        let begun = match checked {
            Ok(Some(proven)) => self.begin_session(proven, origin.clone(), agent).await,
            Ok(None) => Ok(None),
            Err(error) => Err(error.into()),
        };
        match begun {
            Ok(Some(signed_in)) => {
                attempt.succeeded();
                // Room only; whatever keeps it from working will be met again.
                if let Err(error) = self.catalog().sweep_sessions().await {
                    tracing::warn!(%error, "old sessions could not be removed");
                }
                Ok(signed_in)
            }
            Ok(None) => {
                // What is no address may be a password in the wrong field.
                let named =
                    if email.contains('@') { email.trim() } else { "(not an e-mail address)" };
                let named: String = named.chars().take(254).filter(|c| !c.is_control()).collect();
                let mut event = NewEvent::done(Actor::unknown(named), "USER_LOGIN", "user");
                event.outcome = Outcome::Refused;
                event.address = address;
                event.request_id = origin.request_id;
                let mut write = self.catalog().begin().await?;
                write.record(&event).await?;
                write.commit().await?;
                Err(Error::new(
                    Kind::Unauthenticated,
                    "the e-mail address or the password is wrong",
                ))
            }
            Err(error) => {
                attempt.forgive();
                Err(error)
            }
        }
    }

    /// Begins a session for somebody who has shown a password. None: it is no longer the right one.
    async fn begin_session(
        &self,
        proven: Proven,
        origin: Origin,
        agent: Option<&str>,
    ) -> Result<Option<SignedIn>> {
        let address = origin.address.clone();
        let caller = self.caller_of(&proven.user, origin).await?;
        let mut write = self.catalog().begin().await?;
        let begun = write.start_session(&proven, LIFETIME, address.as_deref(), agent).await?;
        let Some((token, session)) = begun else { return Ok(None) };
        let id = proven.user.id;
        let mut event = super::done(&caller, "USER_LOGIN", "user", id, json!({}));
        event.object_name = Some(proven.user.email);
        write.record(&event).await?;
        write.commit().await?;
        let user = self.catalog().user(id).await?;
        Ok(Some(SignedIn { token, session, user, caller }))
    }

    /// Ends the session of this token. One that has ended already is no error.
    pub async fn sign_out(&self, caller: &Caller, token: &Secret) -> Result<()> {
        let mut write = self.catalog().begin().await?;
        if write.end_session(token).await? {
            let id = caller.actor.id.map(|id| id.to_string()).unwrap_or_default();
            write.record(&super::done(caller, "USER_LOGOUT", "user", id, json!({}))).await?;
        }
        Ok(write.commit().await?)
    }

    /// What the caller may do in the organization as a whole.
    pub fn actions_of(&self, caller: &Caller) -> Vec<Action> {
        let actions = [
            ("create_cluster", Permission::CreateClusters),
            ("rename_organization", Permission::ManageOrganization),
            ("manage_users", Permission::ManageOrganization),
            ("manage_service_accounts", Permission::ManageOrganization),
            ("manage_storage_locations", Permission::ManageOrganization),
            ("read_audit_log", Permission::ReadAudit),
            ("read_metrics", Permission::ReadMetrics),
        ];
        let action = |(name, permission): (&'static str, Permission)| {
            Action::allowed_if(name, caller.may(permission), || permission.refusal())
        };
        actions.into_iter().map(action).collect()
    }
}
