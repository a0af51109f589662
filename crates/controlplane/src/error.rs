//! Why a request was refused or a job failed: in words for whoever asked.
//!
//! One type leaves this crate. Faces map its [`Kind`] to their codes, in one place each. The message
//! says what happened to which object, the hint what to do; both are meant for callers and contain no
//! secret. What only operators should read (a database's own words) is the source, and goes to the log.

use std::fmt;
use std::time::Duration;

use strongroom_catalog::CatalogError;
use strongroom_catalog::jobs::Failure;
use strongroom_dataplane::Kind as EngineKind;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong.
    Invalid,
    /// The request is right, and can not be fulfilled as things stand.
    Precondition,
    /// Nobody known is asking.
    Unauthenticated,
    /// The caller's roles do not suffice.
    Forbidden,
    /// There is no such object, or none that the caller may see.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// Something else is being done to the object.
    Conflict,
    /// Too many requests.
    TooManyRequests {
        /// When the next one is let through.
        retry_after: Duration,
    },
    /// What is asked for is not there yet, or not for this engine.
    Unsupported,
    /// A server, a store or the catalog does not answer now.
    Unavailable,
    /// A fault of the service or of stored data.
    Internal,
}

/// A refusal or a failure.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    code: &'static str,
    message: String,
    hint: Option<String>,
    may_pass: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let code = match kind {
            Kind::Invalid => "invalid",
            Kind::Precondition => "precondition",
            Kind::Unauthenticated => "unauthenticated",
            Kind::Forbidden => "denied",
            Kind::NotFound => "not-found",
            Kind::AlreadyExists => "exists",
            Kind::Conflict => "conflict",
            Kind::TooManyRequests { .. } => "rate-limit",
            Kind::Unsupported => "unsupported",
            Kind::Unavailable => "unreachable",
            Kind::Internal => "internal",
        };
        let may_pass = matches!(kind, Kind::TooManyRequests { .. } | Kind::Unavailable);
        Error { kind, code, message: message.into(), hint: None, may_pass, source: None }
    }

    /// Shorthand for [`Kind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(Kind::Invalid, message)
    }

    /// Shorthand for [`Kind::Precondition`].
    pub fn precondition(message: impl Into<String>) -> Self {
        Error::new(Kind::Precondition, message)
    }

    /// Shorthand for [`Kind::NotFound`].
    pub fn not_found(what: &str, name: impl fmt::Display) -> Self {
        Error::new(Kind::NotFound, format!("there is no {what} {name}"))
    }

    /// Adds what to do about it, unless a hint is there already.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Says in front of the message what was being done.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// Adds the error underneath, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Who has to act.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A short name of what happened, for machines: `damaged`, `unreachable` and so on.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What happened, to which object.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Whether the same may succeed later although nobody changes anything.
    pub fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// Message and hint in one text.
    pub fn full_text(&self) -> String {
        match &self.hint {
            None => self.message.clone(),
            Some(hint) => format!("{}\nhint: {hint}", self.message),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Failure {
            code: error.code.to_owned(),
            message: error.message.clone(),
            hint: error.hint.clone(),
        }
    }
}

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        let kind = match &error {
            CatalogError::NotFound { .. } => Kind::NotFound,
            CatalogError::Exists { .. } => Kind::AlreadyExists,
            CatalogError::Invalid { .. } => Kind::Invalid,
            CatalogError::Conflict { .. } => Kind::Precondition,
            CatalogError::LeaseLost { .. } => Kind::Conflict,
            error if error.may_pass() => Kind::Unavailable,
            _ => Kind::Internal,
        };
        let message = match kind {
            // A database's own words are for the log.
            Kind::Unavailable => "the catalog does not answer now".to_owned(),
            Kind::Internal => "the service has failed; its log says how".to_owned(),
            _ => error.to_string(),
        };
        let hint = match kind {
            Kind::Internal => None,
            _ => error.hint(),
        };
        let mut made = Error::new(kind, message);
        made.hint = hint.map(str::to_owned);
        made.caused_by(error)
    }
}

impl From<strongroom_dataplane::Error> for Error {
    fn from(error: strongroom_dataplane::Error) -> Self {
        let kind = match error.kind() {
            EngineKind::Usage => Kind::Invalid,
            EngineKind::NotFound => Kind::NotFound,
            EngineKind::Conflict
            | EngineKind::Missing
            | EngineKind::Key
            | EngineKind::Denied
            | EngineKind::Exhausted
            | EngineKind::Damaged => Kind::Precondition,
            EngineKind::Unsupported => Kind::Unsupported,
            EngineKind::Unreachable => Kind::Unavailable,
            EngineKind::Busy | EngineKind::Cancelled => Kind::Conflict,
            EngineKind::Failed => Kind::Internal,
        };
        let mut made = Error::new(kind, error.message());
        made.code = error.kind().name();
        made.hint = error.hint_text().map(str::to_owned);
        made.may_pass = error.kind().may_pass();
        made.caused_by(error)
    }
}
