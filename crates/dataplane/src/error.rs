//! What went wrong, in one type: what happened, to which object, and what to do.
//!
//! Every error that leaves this crate has a [`Kind`], from which the faces derive exit codes, HTTP
//! statuses and SQLSTATEs in one place each, a message that names the object, and, where somebody
//! can do something about it, a hint. Messages never contain a secret: connection strings and
//! collection URLs enter them only in their redacted form.

use std::fmt;

use strongroom_format::FormatError;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act, and whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The call itself is wrong: a URL, a name, options that exclude each other.
    Usage,
    /// The backup, database, table or role that was named does not exist.
    NotFound,
    /// Something in the target is in the way.
    Conflict,
    /// Something that a restored object needs is neither restored nor in the target.
    Missing,
    /// Stored bytes are missing or are not what was written.
    Damaged,
    /// A key is missing or is the wrong one.
    Key,
    /// Versions, encodings or licences that do not go together.
    Unsupported,
    /// The credentials were refused, or do not suffice.
    Denied,
    /// Nobody answers, or the connection broke.
    Unreachable,
    /// The disk, memory or connection slots of the server or the store are used up.
    Exhausted,
    /// Somebody else holds what we need.
    Busy,
    /// A person stopped it.
    Cancelled,
    /// Anything else that a server, a store or this program reports.
    Failed,
}

impl Kind {
    /// The kind's name in machine-readable output.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Usage => "usage",
            Kind::NotFound => "not-found",
            Kind::Conflict => "conflict",
            Kind::Missing => "missing",
            Kind::Damaged => "damaged",
            Kind::Key => "key",
            Kind::Unsupported => "unsupported",
            Kind::Denied => "denied",
            Kind::Unreachable => "unreachable",
            Kind::Exhausted => "exhausted",
            Kind::Busy => "busy",
            Kind::Cancelled => "cancelled",
            Kind::Failed => "failed",
        }
    }

    /// Whether the same call may succeed later although nobody changes anything.
    pub fn may_pass(self) -> bool {
        matches!(self, Kind::Unreachable | Kind::Busy | Kind::Exhausted)
    }
}

/// An error that a person can act on.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind. The message says what happened, to which object.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), hint: None, source: None }
    }

    /// Adds what to do about it, unless a hint is there already.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Says in front of the message what was being done.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// Who has to act.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What happened, to which object.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Stored bytes of `object` were refused.
    pub fn stored(object: impl fmt::Display, error: FormatError) -> Self {
        let message = format!("object {object} can not be used: {error}");
        match error {
            FormatError::NewerVersion { .. } => {
                Error::new(Kind::Unsupported, message).hint("use a newer strongroom to read it")
            }
            FormatError::KeyNeeded => Error::new(Kind::Key, message)
                .hint("give the key with --key-file, or a passphrase in STRONGROOM_PASSPHRASE"),
            // A wrong key does not even open the envelope. What can not be decrypted by the key from
            // there was altered.
            FormatError::WrongKey | FormatError::BadKey(_) => Error::new(Kind::Key, message)
                .hint("give the key that this backup was taken with, by --key-file"),
            FormatError::BadId(_) => Error::new(Kind::Usage, message),
            _ => Error::new(Kind::Damaged, message).hint(
                "the store returned other bytes than were written: restore from another backup, \
                 or bring the object back from a copy of the collection",
            ),
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

/// Shorthand for `Err(Error::new(..))`.
macro_rules! bail {
    ($kind:ident, $($message:tt)*) => {
        return Err($crate::error::Error::new($crate::error::Kind::$kind, format!($($message)*)))
    };
}
pub(crate) use bail;
