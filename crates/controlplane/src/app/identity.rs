//! Who is asking: by an API key or a session.

use strongroom_catalog::Secret;
use strongroom_catalog::audit::Actor;
use strongroom_catalog::grants::Grantee;
use strongroom_catalog::service_accounts::ServiceAccount;
use strongroom_catalog::sessions::Session;
use strongroom_catalog::users::User;

use super::App;
use crate::{Caller, Error, Kind, Result};

/// Where a request came from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The address.
    pub address: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
}

/// Who is asking.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A person at a browser.
    User(User, Session),
    /// A program.
    ServiceAccount(ServiceAccount),
}

/// By what somebody proves who they are.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// The secret of an API key.
    Key(Secret),
    /// The token of a session.
    Session(Secret),
}

impl App {
    /// The caller of a reply that goes on, with the roles of now. Not counted as a request. Refused if
    /// the credentials no longer prove anything: the session has ended, the key was deleted.
    pub async fn identify_again(
        &self,
        credentials: &Credentials,
        caller: &Caller,
    ) -> Result<Caller> {
        let known = match credentials {
            Credentials::Key(secret) => {
                let found = self.catalog().authenticate(secret).await?;
                found.map(|(_, account)| {
                    let actor = Actor::service_account(account.id, &account.name);
                    (actor, Grantee::ServiceAccount(account.id))
                })
            }
            Credentials::Session(token) => {
                let found = self.catalog().session(token).await?;
                found.map(|(_, user)| (Actor::user(user.id, &user.email), Grantee::User(user.id)))
            }
        };
        let (actor, grantee) = known.ok_or_else(|| {
            Error::new(Kind::Unauthenticated, "the session has ended, or the API key was deleted")
                .hint("sign in again, or send another API key")
        })?;
        let (address, request_id) = (caller.address.clone(), caller.request_id.clone());
        self.caller(actor, grantee, Origin { address, request_id }).await
    }

    /// The program with this API key.
    pub async fn identify_by_key(
        &self,
        secret: &Secret,
        origin: Origin,
    ) -> Result<(Identity, Caller)> {
        let Some((_, account)) = self.catalog().authenticate(secret).await? else {
            self.0.requests.count_stranger(origin.address.as_deref())?;
            return Err(Error::new(Kind::Unauthenticated, "the API key is not valid")
                .hint("make one for a service account of your organization"));
        };
        self.0.requests.count(Grantee::ServiceAccount(account.id))?;
        let actor = Actor::service_account(account.id, &account.name);
        let caller = self.caller(actor, Grantee::ServiceAccount(account.id), origin).await?;
        Ok((Identity::ServiceAccount(account), caller))
    }

    /// The person with this session.
    pub async fn identify_by_session(
        &self,
        token: &Secret,
        origin: Origin,
    ) -> Result<(Identity, Caller)> {
        let Some((session, user)) = self.catalog().session(token).await? else {
            self.0.requests.count_stranger(origin.address.as_deref())?;
            return Err(
                Error::new(Kind::Unauthenticated, "the session has ended").hint("sign in again")
            );
        };
        self.0.requests.count(Grantee::User(user.id))?;
        let caller = self.caller_of(&user, origin).await?;
        Ok((Identity::User(user, session), caller))
    }

    /// Refuses a request without credentials; too many of them in other words.
    pub fn identify_nobody(&self, origin: &Origin) -> Error {
        if let Err(refused) = self.0.requests.count_stranger(origin.address.as_deref()) {
            return refused;
        }
        Error::new(Kind::Unauthenticated, "nobody is signed in")
            .hint("sign in, or send Authorization: Bearer with an API key")
    }

    pub(super) async fn caller_of(&self, user: &User, origin: Origin) -> Result<Caller> {
        self.caller(Actor::user(user.id, &user.email), Grantee::User(user.id), origin).await
    }

    async fn caller(&self, actor: Actor, grantee: Grantee, origin: Origin) -> Result<Caller> {
        let grants = self.catalog().grants_of(grantee).await?;
        let Origin { address, request_id } = origin;
        Ok(Caller { actor, grantee: Some(grantee), grants, address, request_id })
    }
}
